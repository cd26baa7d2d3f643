"""``enm5310 export``: the scores of the gradebook as a file that a learning platform imports (see ``formats``).

For a platform a score is final or it is not there: what waits for a human, or could not be graded, is left out and
told.  In ``--to csv`` it is there with its status, and so are students of the gradebook who handed nothing in.
"""

from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from enm5310.grading import course
from enm5310.practice import Problem
from enm5310.practice.progress import write
from enm5310.practice.runner import line
from enm5310.practice.screens import console
from enm5310.reporting import formats, records

STATUSES = "graded", "partly graded", "not graded", "not handed in"
SUFFIX = {"gradescope": "zip"}
HOW = {
    "csv": "It opens in a spreadsheet.",
    "canvas": "In Canvas: Grades > Import; a column of this name is made if there is none.",
    "gradescope": "In Gradescope: Configure Autograder, upload it, then Regrade All Submissions.",
    "moodle": "In Moodle: the assignment's Upload grading worksheet, or Grades > Import > CSV file.",
}


class Row(NamedTuple):
    """A submission, as the gradebook has it."""

    student: str
    first_name: str | None
    last_name: str | None
    email: str | None
    lms_id: str | None
    status: str  # one of STATUSES
    score: float | None  # so far, the late penalty taken off; None when nothing is graded
    max_score: float
    penalty: float
    waiting: int  # cells that a human has to grade
    timestamp: str
    points: dict[Any, float | None]  # (notebook, cell) -> points, None when it is not graded
    worth: dict[Any, float]  # (notebook, cell) -> at most


def export(assignment, to, out=None):
    """Writes the file; 1 when somebody's score is not in it, or is not final."""
    here = course.find()
    graded = records.read(here, assignment)
    rows = [row_of(standing, graded.max_score) for standing in graded.standings.values()]
    absent = [row_of(standing, graded.max_score)._replace(status="not handed in") for standing in graded.absent]
    wanted = [*rows, *absent] if to == "csv" else [row for row in rows if row.status == "graded"]
    kept, left = _writable(wanted, to, assignment)
    if not kept and not left:
        raise Problem(f"no score of {assignment} is final yet: `enm5310 export {assignment} --to csv` has all there is")
    path = Path(out).expanduser() if out else Path(f"{assignment}-{to}.{SUFFIX.get(to, 'csv')}")
    write(path.absolute(), formats.FORMATS[to](assignment, kept))
    _tell(console(), assignment, to, path, [*rows, *absent], kept, left)
    return 1 if left or any(row.status != "graded" for row in rows) else 0


def row_of(standing, max_score):
    """The Row of a records.Standing."""
    points = {key: None if cell.auto is None and cell.manual is None else cell.score
              for key, cell in standing.cells.items()}  # fmt: skip
    waiting = sum(cell.waiting for cell in standing.cells.values())
    nothing = all(p is None for p in points.values())
    some_missing = waiting or None in points.values()  # a gradebook of another tool may have cells without any score
    status = "not graded" if nothing else "partly graded" if some_missing else "graded"
    return Row(
        standing.student, standing.first_name, standing.last_name, standing.email, standing.lms_id, status,
        None if nothing else standing.final, max_score, standing.penalty, waiting,
        f"{standing.timestamp:%Y-%m-%d %H:%M:%S} UTC" if standing.timestamp else "", points,
        {key: cell.max_score for key, cell in standing.cells.items()},
    )  # fmt: skip


def _writable(rows, to, assignment):
    """(rows, [(student, why)] of those whose ids the format cannot hold)"""
    kept, left = [], []
    try:
        formats.FORMATS[to](assignment, [])
    except formats.Unsafe as why:
        raise Problem(f"the assignment's name cannot be written to a file of {to}: {why}") from None
    for row in rows:
        try:
            formats.FORMATS[to](assignment, [row])
            kept.append(row)
        except formats.Unsafe as why:
            left.append((row.student, f"left out of the file, as an id of this student cannot be written: {why}"))
    return kept, left


def _tell(out, assignment, to, path, rows, kept, left):
    final = sum(row.status == "graded" for row in kept)
    handed_in = sum(row.status != "not handed in" for row in rows)
    people = f"{handed_in} submission{'s' * (handed_in != 1)}"
    out.print(Text(f"{line(str(path))}: final scores of {final} of {people} of {line(assignment)}"))
    so_far = "with the score so far" if to == "csv" else "not in the file"
    for status, words in (
        ("partly graded", f"partly graded, {so_far}"), ("not graded", "not graded, without a score"),
        ("not handed in", "handed nothing in, without a score"),
    ):  # fmt: skip
        names = [line(row.student) for row in rows if row.status == status]
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            if to != "csv":
                words = words.replace("without a score", "not in the file")
            out.print(Text(f"! {len(names)} {words}: {', '.join(names[:5])}{more}", style="yellow"))
    for student, why in left:
        out.print(Text(f"! {line(repr(student))}: {why}", style="red"))
    out.print(Text(HOW[to]))
