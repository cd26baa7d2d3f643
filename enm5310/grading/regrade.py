"""Grading again: what changed and why, seen before it is written (``--dry-run``), and kept for ever (``--history``).

nbgrader's gradebook knows the present alone.  The history is a file of lines beside it, to which lines are only ever
added: a line is on disk before the score that it tells of is in the gradebook, so no change goes untold.
"""

import contextlib
import datetime
import getpass
import json
import os

from enm5310.grading import gradebook
from enm5310.grading.clean import line
from enm5310.practice import Problem

PARTS = {  # of a record's key -> in words
    "notebooks": "handed in again", "own": "handed in again", "also": "handed in again",
    "masters": "the source notebook changed", "files": "the assignment's files changed",
    "engine": "checks or grader changed", "limits": "the limits changed", "sandbox": "the sandbox changed",
    "secret": "the course's secret changed",
}  # fmt: skip


def reasons(before, now):
    """Why a submission is graded again, from the parts of its old key ({}: not known) and of its new one."""
    if before is None:
        return ["first graded"]
    if not before:  # of a record that is gone
        return ["graded again"]
    told = [words for part, words in PARTS.items() if before.get(part) != now.get(part)]
    return list(dict.fromkeys(told)) or ["graded again"]


def changes(graded, known):
    """{"notebook/cell": [old, new]} of automatic scores; known: {(notebook, cell): score} in the gradebook now."""
    new = {(notebook, cell): score for notebook, found in graded.executed.items() if found
           for cell, score in found["auto"].items()}  # fmt: skip
    for notebook, cell in known:
        if notebook in graded.missing:
            new[notebook, cell] = 0.0
    keys = sorted({*known, *new})
    return {"/".join(key): [known.get(key), new.get(key)] for key in keys if known.get(key) != new.get(key)}


# -------------------- the history --------------------


class History:
    """The lines of one assignment."""

    def __init__(self, course, assignment):
        self.path = course.ours / "history" / f"{assignment}.jsonl"

    def lines(self):
        """All of them, the oldest first; what a killed run or a full disk has torn is no line."""
        return self.read()[0]

    def read(self):
        """(the lines, how many more there are that are torn or damaged)"""
        try:
            data = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return [], 0
        found = [_entry(text) for text in data.split("\n") if text.strip()]
        whole = [entry for entry in found if entry is not None]
        return whole, len(found) - len(whole)

    def add(self, entry):
        """Writes a line, and waits until the disk has it."""
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")
            file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _entry(text):
    """What a line of the history says, or None when it is none."""
    with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError, AttributeError):  # of any other shape
        entry = json.loads(text)
        e = {"cells": {}, "because": None, "why": [], **entry}
        said = [e["when"], e["who"], e["student"], "" if e["because"] is None else e["because"], *e["why"]]
        scores = [e["old"], e["new"], *(score for old, new in e["cells"].values() for score in (old, new))]
        if all(isinstance(word, str) for word in said) and all(map(_score, scores)):
            return {key: e[key] for key in ("when", "who", "student", "old", "new", "cells", "because", "why")}
    return None


def _score(value):
    return value is None or (type(value) in (int, float) and abs(value) < 1e15)  # NaN is not


def _ends_a_line(file):
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def entry(student, old, new, cells, because, why):
    """A line: who changed a score, when, from what to what, and why."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"when": now, "who": _who(), "student": student, "old": old, "new": new, "cells": cells,
            "because": line(because), "why": why}  # fmt: skip


def _who():
    try:
        return line(getpass.getuser())
    except (OSError, KeyError, ImportError):  # an account without a name
        return f"user {os.getuid()}"


# -------------------- beside the gradebook --------------------


class Rehearsal(gradebook.Writer):
    """Writes to a copied gradebook, and nothing to the students' folders."""

    def place(self, graded):
        pass


@contextlib.contextmanager
def rehearsed(course):
    """The course with a copy of its gradebook, in a file that is gone afterwards; whatever database it is in."""
    import copy

    from sqlalchemy.engine import make_url

    folder = course.ours / "rehearsal"
    folder.mkdir(exist_ok=True)
    path = folder / "gradebook.db"
    directory = copy.copy(course.directory)
    directory.db_url = make_url("sqlite://").set(database=str(path)).render_as_string()
    beside = course._replace(directory=directory)
    try:
        _remove(folder)  # of a run that was killed
        _copy(course.db_url if gradebook.exists(course) else None, beside.db_url)
        yield beside
    finally:
        _remove(folder)


def _remove(folder):
    for left in folder.glob("gradebook.db*"):
        left.unlink(missing_ok=True)


def _copy(source, target):
    """Makes nbgrader's tables in the target, and fills them from the source, if there is one."""
    from nbgrader.api import Base
    from sqlalchemy import create_engine, insert, inspect, select
    from sqlalchemy.exc import SQLAlchemyError

    engines = [create_engine(url) for url in (target, source) if url]
    try:
        Base.metadata.create_all(engines[0])
        for engine in engines[1:]:
            names = set(inspect(engine).get_table_names())
            with engine.connect() as there, engines[0].begin() as here:
                for table in (table for table in Base.metadata.sorted_tables if table.name in names):
                    rows = [dict(row) for row in there.execute(select(table)).mappings()]
                    if rows:
                        here.execute(insert(table), rows)
    except SQLAlchemyError as why:
        raise Problem(f"the gradebook cannot be read: {gradebook.in_words(why)}") from None
    finally:
        for engine in engines:
            engine.dispose()
