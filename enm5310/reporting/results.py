"""What became of each exercise of a submission, in words: the gradebook's score with the record's reasons beside it."""

from typing import Any, NamedTuple

from enm5310 import course
from enm5310.reporting import records


class Result(NamedTuple):
    """One graded cell of a student's."""

    cell: records.Cell
    line: dict | None  # the record's, or None
    exercise: Any  # the check of this course that it is about, or None
    kind: str  # "right", "partly", "wrong" or "none"
    said: str

    @property
    def title(self):
        return f"{self.exercise.id} {self.exercise.title}" if self.exercise else self.cell.name


def record_of(graded, student):
    """A student's record, if the gradebook was filled from it; else None."""
    record = graded.records.get(student)
    return record if record is not None and records.is_current(record, graded.standings[student]) else None


def of(record, standing, notebook):
    """The Results of one notebook, in its order as far as that is known."""
    found = record.notebooks.get(notebook) if record and record.lost is None else None
    missing = record is not None and record.lost is None and found is None
    lines = {line["grade_id"]: line for line in found.record["exercises"]} if found else {}
    there = {name: cell for (book, name), cell in standing.cells.items() if book == notebook}
    order = [name for name in lines if name in there]
    lost = bool(record and record.lost) or (found is not None and found.text is None)
    return [_result(there[name], lines.get(name), missing, lost)
            for name in [*order, *(name for name in there if name not in lines)]]  # fmt: skip


def _result(cell, line, missing, lost):
    kind, said = _state(cell, line, missing, lost)
    return Result(cell, line, _exercise(line), kind, said)


def _state(cell, line, missing, lost):
    if cell.manual is not None:
        return _by_score(cell), "graded by hand" + ", to be looked at once more" * cell.waiting
    if missing:
        return "none", "not handed in"
    if lost:
        return "none", "could not be graded"
    if cell.waiting and cell.auto is None:
        return "none", "waits for a human" if line else "not graded yet"
    if line is None or line["state"] == "needs manual":
        return _by_score(cell), "graded"
    kinds = {"right": "right", "partly right": "partly", "wrong": "wrong", "not attempted": "none"}
    return kinds.get(line["state"], "none"), line["state"]


def _by_score(cell):
    return "right" if cell.score >= cell.max_score else "partly" if cell.score > 0 else "wrong"


def _exercise(line):
    """The check of this course that a line of a record is about, or None: of other notebooks the two names agree."""
    if line is None or line["id"] == line["grade_id"]:
        return None
    from enm5310.practice import plan

    return next((e for e in plan.exercises(course.part_of(line["id"])) if e.id == line["id"]), None)
