"""Submitted cells become a notebook of which every cell but the solution and free cells is the master's.

Names and ids only say which cell of the master is meant.  What is missing, doubled, moved, edited or of another type is
put right and noted; only what has nothing of the assignment in it is refused.
"""

import ast
import itertools
from typing import NamedTuple

from enm5310.grading import clean
from enm5310.grading.intake import NotGradable


class Entry(NamedTuple):
    """A cell of the notebook that is graded."""

    kind: str
    source: str
    of: int | None = None  # which cell of the master it is; None for a cell of the student's own
    copy: bool = False  # another copy of a test cell: the answer may be judged here too
    missing: bool = False  # it was not in the submission


def assemble(submitted, master):
    """(Entries in the student's order, notes) for the cells that were handed in; NotGradable when none is known."""
    meant = _meant(submitted, master)
    if not _known(submitted, meant, master):
        raise NotGradable("none of its cells belongs to this assignment")
    chosen, notes = _chosen(submitted, meant, master), []
    entries, place = [], {}
    for number, cell in enumerate(submitted):
        of = meant[number]
        if of is None:
            entries.append(Entry(cell.kind, cell.source))
        elif chosen[of] == number:
            place[of] = len(entries)
            entries.append(_as_master(cell, of, master, notes))
        elif master.cells[of].role == "test" and _unedited(cell, master.cells[of]):
            entries.append(Entry(cell.kind, cell.source, of, copy=True))
        elif master.cells[of].role == "locked" and _unedited(cell, master.cells[of]):
            continue  # the same cell again
        else:
            entries.append(Entry(cell.kind, cell.source))  # a copy made to write something else into it
    notes += _odd(submitted, meant, chosen, master)
    _insert_missing(entries, place, master, notes)
    return entries, notes


def _meant(submitted, master):
    """For each cell, the number of the master's cell that it says it is, or None."""
    by_name = {cell.name: i for i, cell in enumerate(master.cells) if cell.name}
    by_id = {cell.id: i for i, cell in enumerate(master.cells) if cell.name and cell.id}
    tests = {_key(master.cells[i].released): i for i in master.tests if master.cells[i].released.strip()}
    meant = []
    for cell in submitted:
        of = by_name.get(cell.name) if cell.name else by_id.get(cell.id)
        if of is None and cell.kind == "code" and len(cell.source) < 10_000:
            of = tests.get(_key(cell.source))
        meant.append(of)
    return meant


def _key(source):
    """What two copies of a cell have in common: the text without the spaces around its lines; a check, any seed."""
    try:
        call = ast.parse(source.strip(), mode="eval").body if len(source) < 300 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
        if all(isinstance(a, ast.Name) for a in call.args) and all(k.arg == "seed" for k in call.keywords):
            return (call.func.value.id, call.func.attr, *(a.id for a in call.args))
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _known(submitted, meant, master):
    """Whether anything of the assignment's own work is there: a graded or solution cell, or a name that one defines."""
    if any(of is not None and master.cells[of].role != "locked" for of in meant):
        return True
    names = [name for name in master.names if len(name) > 1]
    return any(cell.kind == "code" and _writes(cell.source, name) for cell in submitted for name in names)


def _writes(source, name):
    at = source.find(name)
    return at >= 0 and any(
        line.lstrip().startswith((f"def {name}(", f"def {name} (", f"class {name}", f"{name} =", f"{name}="))
        for line in source.splitlines()
    )


def _chosen(submitted, meant, master):
    """{cell of the master: the submitted cell that stands for it}.

    Of several copies of a locked or test cell the first that still is one; of a solution the last, as in nbgrader.
    """
    copies = {}
    for number, of in enumerate(meant):
        if of is not None:
            copies.setdefault(of, []).append(number)
    chosen = {}
    for of, numbers in copies.items():
        same = [n for n in numbers if _unedited(submitted[n], master.cells[of])]
        if master.cells[of].role in ("test", "locked", "task"):
            chosen[of] = min(same, default=numbers[0])
        else:
            chosen[of] = max(set(numbers) - set(same), default=numbers[-1])
    return chosen


def _unedited(cell, mine):
    return _key(cell.source) in (_key(mine.released), _key(mine.source))


def _as_master(cell, of, master, notes):
    mine = master.cells[of]
    if cell.kind != mine.kind:
        notes.append(f"{mine.name}: its type was changed to {cell.kind}; it was changed back")
    if mine.role in ("test", "locked"):
        if not _unedited(cell, mine):
            notes.append(f"{mine.name}: the {mine.role} cell was edited; the instructor's is used")
        return Entry(mine.kind, mine.source, of)
    return Entry(mine.kind, cell.source, of)


def _odd(submitted, meant, chosen, master):
    """Notes about copies, moved cells, tags and metadata."""
    numbers = {of: sum(other == of for other in meant) for of in chosen}
    for of, count in numbers.items():
        if count > 1:
            yield f"{master.cells[of].name}: the cell is there {count} times"
    order = [of for number, of in enumerate(meant) if of is not None and chosen[of] == number]
    moved = [master.cells[b].name for a, b in itertools.pairwise(order) if b < a]
    if moved:
        yield f"cells were moved: {some(moved)}"
    tagged = sorted({tag for cell in submitted for tag in cell.tags})
    if tagged:
        yield f"tags were dropped: {some(tagged)}"
    unknown = [cell.name for cell, of in zip(submitted, meant, strict=True) if cell.name and of is None]
    if unknown:
        yield f"odd metadata: no cell of the assignment is called {some(unknown)}"
    for of, number in chosen.items():
        said, mine = submitted[number].nbgrader, master.cells[of]
        if any(key in said and not _same(said[key], mine.nbgrader.get(key, False)) for key in FLAGS):
            yield f"{mine.name}: its nbgrader metadata was edited; the instructor's is used"


FLAGS = ("grade", "solution", "task", "points")


def _same(said, mine):
    return isinstance(said, (bool, int, float)) and said == mine


def some(words):
    words = [clean.line(word)[:60] for word in dict.fromkeys(words)]
    return ", ".join(words[:5]) + (f" and {len(words) - 5} more" if len(words) > 5 else "")


def _insert_missing(entries, place, master, notes):
    """Puts the master's cells that are gone back: a test at the end, any other after its predecessor."""
    for of, mine in enumerate(master.cells):
        if not mine.name or of in place:
            continue
        source = mine.source if mine.role in ("test", "locked", "task") else ""
        if mine.role == "test":
            notes.append(f"{mine.name}: the test cell is missing; the answer was judged at the end")
            at = len(entries)
        else:
            notes.append(f"{mine.name}: the {mine.role} cell is missing")
            earlier = [i for i in place if i < of]
            later = [at for i, at in place.items() if i > of and master.cells[i].role != "locked"]
            at = min([place[max(earlier)] + 1, *later]) if earlier else 0
        for i, old in place.items():
            place[i] = old + (old >= at)
        if mine.role != "test":
            place[of] = at
        entries.insert(at, Entry(mine.kind, source, of, missing=True))
