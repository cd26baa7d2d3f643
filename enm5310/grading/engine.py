"""One submission in, one verdict out: grade_notebook() reads no file, writes none, and raises nothing for a student.

The submitted bytes and the master become a notebook (intake), its cells run in children of a sandbox (serving), the
master's tests are run here (trusted), and what is shown is made harmless (clean).
"""

import functools
import hashlib
import importlib.metadata
import json
import platform
import time

from enm5310.grading import clean, intake, repair, sandbox
from enm5310.grading.book import Book, line
from enm5310.grading.box import Box
from enm5310.grading.serving import Unavailable
from enm5310.practice import Problem


def grade_notebook(submitted, master, limits, seed, *, box=None, files=None, own=None):
    """(executed notebook as nbformat data, record) for a student's bytes and a masters.Master.

    seed: {exercise id: int}, "" for the general one.  box: a Box, else one that this process keeps for these limits.
    files: {name: bytes} that the assignment comes with; own: those of the student's that replace some of them, which
    are there beside the student's code only.  A submission that cannot be graded has no executed notebook.
    Problem: the sandbox itself does not work.
    """
    begun, box = time.monotonic(), box or shared(limits)
    record = {
        "status": "not gradable", "score": 0.0, "max_score": master.max_score, "seconds": 0.0, "memory": 0, "notes": [],
        "exercises": [], "sandbox": box.level.name, "versions": versions(),
        "hashes": {"submitted": hashlib.sha256(submitted).hexdigest(), "master": master.sha256},
    }  # fmt: skip
    try:
        executed, graded = _graded(submitted, master, limits, seed, box, files or {}, own or {})
    except Unavailable as why:
        raise Problem(f"the sandbox starts no process any more: {why}") from None
    except intake.NotGradable as why:
        executed, graded = None, {"reason": clean.line(str(why))}
    except Exception as why:  # a defect of ours, which shall not stop a class
        executed, graded = None, {"reason": clean.line(f"{DEFECT} {type(why).__name__}: {why}")}
    if executed is None:
        record["exercises"] = [line(cell, seed, "wrong", 0.0) for cell in master.cells if cell.points]
    record |= graded
    record["seconds"] = round(time.monotonic() - begun, 3)
    return executed, record


DEFECT = "the grader itself stopped, please report it:"


def _graded(submitted, master, limits, seed, box, files, own):
    cells, notes = intake.read(submitted)
    entries, more = repair.assemble(cells, master)
    with Book(entries, master, limits, seed, box, files, own) as book:
        executed, exercises = book.graded()
        notes = [*notes, *more, *book.notes()]
    return executed, {
        "status": "needs manual" if any(e["state"] == "needs manual" for e in exercises) else "graded",
        "score": float(sum(e["score"] or 0 for e in exercises)), "exercises": exercises,
        "notes": list(dict.fromkeys(map(clean.line, notes))), "memory": book.children.memory,
    }  # fmt: skip


@functools.lru_cache(maxsize=4)
def shared(limits):
    """The Box of this process, at the best sandbox level there is."""
    return Box(sandbox.choose(), limits)


@functools.cache
def versions():
    return {"python": platform.python_version(), **{
        package: importlib.metadata.version(package) for package in ("enm5310", "numpy", "autograd", "ipython")
    }}  # fmt: skip


def text(executed):
    """The executed notebook as the text of a file, laid out as nbformat does (whose import takes seconds)."""
    made = json.dumps(executed, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return made.encode("utf-8", "replace").decode("utf-8")
