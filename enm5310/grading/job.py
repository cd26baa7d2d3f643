"""What a worker does for one submission: find out which notebook each file is, grade each in the worker's sandbox."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from enm5310.grading.matching import recognised


class Setup(NamedTuple):
    """The same for every submission of a run; sent to each worker once."""

    id: str  # another one for every run
    level: Any  # sandbox.Level
    limits: Any  # box.Limits
    masters: dict  # notebook -> masters.Master, or for `prepare` the notebook's bytes
    files: dict  # path -> bytes of what the notebooks come with, and that students may not edit
    box: Callable  # the three of the engine: Box,
    prepare: Callable  # masters.prepare,
    grade: Callable  # engine.grade_notebook
    own: dict = {}  # noqa: RUF012 - path -> bytes of what they may edit: it may hold programs, run in the sandbox only


class Task(NamedTuple):
    """One submission."""

    student: str
    files: dict  # name -> bytes: the notebooks
    own: dict  # path -> bytes: the student's version of files that may be edited
    seeds: dict  # notebook -> {exercise: seed}
    also: tuple = ()  # names of the other files


_here = {}  # this worker's Setup and Box


def begin(setup):
    """Keeps the Setup and starts the sandbox; its Problem, if it has one, is everybody's."""
    _here.update(setup=setup, box=setup.box(setup.level, setup.limits))


def prepare():
    """{notebook: Master} of the Setup's notebooks, which this worker uses from now on."""
    setup, box = _here["setup"], _here["box"]
    masters = {name: setup.prepare(data, setup.files, setup.limits, box, own=setup.own)
               for name, data in setup.masters.items()}  # fmt: skip
    _here["setup"] = setup._replace(masters=masters)
    return masters


def grade(task):
    """The result, as plain data; "notebooks" has an entry for each notebook that was found."""
    from enm5310.grading.engine import text

    setup, box, begun = _here["setup"], _here["box"], time.monotonic()
    chosen, notes = recognised(task.files, {name: master.grade_ids for name, master in setup.masters.items()})
    found = {}
    for name in (name for name in setup.masters if name in chosen):
        executed, record = setup.grade(
            task.files[chosen[name]], setup.masters[name], setup.limits, task.seeds[name], box=box,
            files=setup.files, own={**setup.own, **task.own},
        )  # fmt: skip
        words = text(executed).encode(errors="replace").decode() if executed else None  # no lone surrogates
        found[name] = {"record": record, "text": words}
    why = None if found else _nothing(task)
    return {"notebooks": found, "notes": list(notes) if found else [], "lost": why, "final": True,
            "seconds": time.monotonic() - begun}  # fmt: skip


def _nothing(task):
    if task.files:
        return f"no file is a notebook of this assignment: {_some(task.files)}"
    return "no notebook was handed in" + (f", only {_some(task.also)}" if task.also else "")


def _some(names):
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
