"""Which notebook of an assignment a file is: by the ids of nbgrader's cells in it; by its name where those are gone."""

import re

GRADE_ID = re.compile(rb'"grade_id"\s*:\s*"((?:[^"\\]|\\.){1,200})"')


def recognised(files, masters):
    """({notebook: the file's name}, notes), for files {name: bytes} and masters {notebook: its grade_ids}.

    A file with ids, but none of this assignment's, is of another one, whatever it is called.
    """
    inside = {name: set(GRADE_ID.findall(data)) for name, data in files.items()}
    wanted = {notebook: {id.encode() for id in ids} for notebook, ids in masters.items()}
    shared = {(n, name): len(wanted[n] & inside[name]) for n in masters for name in files}
    chosen, left = {}, dict.fromkeys(files)
    for notebook in masters:
        mine = [name for name in left if shared[notebook, name] > 0
                and all(shared[notebook, name] >= shared[other, name] for other in masters)]  # fmt: skip
        if mine:
            chosen[notebook] = max(mine, key=lambda name: (_stem(name) == notebook, shared[notebook, name], -len(name)))
            del left[chosen[notebook]]
    unknown = [name for name in left if not inside[name]]
    for notebook in (n for n in masters if n not in chosen):
        same = [name for name in unknown if _stem(name) == notebook]
        only = unknown if len(unknown) == 1 and len(masters) - len(chosen) == 1 else []
        if same or only:
            chosen[notebook] = (same or only)[0]
            del left[chosen[notebook]]
            unknown.remove(chosen[notebook])
    notes = [f"{name} was taken for {notebook}.ipynb by the cells in it"
             for notebook, name in chosen.items() if _stem(name) != notebook]  # fmt: skip
    return chosen, (*notes, *(f"{name} was not graded: another file is that notebook, or it is none of the assignment's"
                              for name in left))  # fmt: skip


def _stem(name):
    return name.rsplit("/", 1)[-1].removesuffix(".ipynb")
