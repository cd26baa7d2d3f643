"""What grading has left of one assignment, read again: the records on disk and the scores in nbgrader's gradebook.

Nothing is written here.  Scores are the gradebook's: a human may have changed them since.  A record tells the rest, as
long as it is what the gradebook was filled from (``is_current``).
"""

import json
import math
from datetime import timedelta
from typing import Any, NamedTuple

from enm5310.grading import gradebook, sources
from enm5310.grading.journal import Journal
from enm5310.practice import Problem


class Notebook(NamedTuple):
    """One notebook of a record."""

    record: dict  # as engine.grade_notebook makes it
    text: str | None  # the executed notebook, or None when it could not be graded


class Record(NamedTuple):
    student: str
    notebooks: dict  # name -> Notebook, of those that were handed in
    notes: tuple
    lost: str | None  # why nothing of it could be graded
    seconds: float


class Cell(NamedTuple):
    """A graded cell of a student's in the gradebook; its ``score`` counts what humans have entered."""

    notebook: str
    name: str
    max_score: float
    auto: float | None
    manual: float | None
    extra: float | None
    waiting: bool  # for a human

    @property
    def score(self):
        given = self.manual if self.manual is not None else self.auto
        return 0.0 if given is None else given + (self.extra or 0.0)


class Standing(NamedTuple):
    """A submission in the gradebook."""

    student: str
    first_name: str | None
    last_name: str | None
    email: str | None
    lms_id: str | None
    timestamp: Any  # datetime in UTC without a zone, or None
    late: timedelta  # after the due date and the student's own extension
    penalties: dict  # notebook -> points taken off for being late, where there are any
    cells: dict  # (notebook, cell) -> Cell, in the order of their names
    comments: dict  # (notebook, cell) -> (what the grader wrote by itself or None, a human's comment or None)

    @property
    def score(self):
        """As formgrader shows it: the late penalty is not taken off."""
        return float(sum(cell.score for cell in self.cells.values()))

    @property
    def penalty(self):
        return float(sum(self.penalties.values()))

    @property
    def final(self):
        """As `nbgrader export` writes it: the late penalty is taken off."""
        return max(0.0, self.score - self.penalty)

    @property
    def waiting(self):
        return any(cell.waiting for cell in self.cells.values())


class Graded(NamedTuple):
    """One assignment of a class."""

    assignment: str
    max_score: float
    duedate: Any  # datetime in UTC without a zone, or None
    notebooks: tuple  # names, in order
    records: dict  # student -> Record
    standings: dict  # student -> Standing
    damaged: tuple  # names of the record files that cannot be read
    absent: tuple = ()  # Standings without cells: students in the gradebook who have handed nothing in


def read(course, assignment):
    """The Graded of a course's assignment; Problem when it does not exist or has not been graded."""
    names = tuple(path.stem for path in sources.notebooks(course, assignment))
    again = f"run `enm5310 grade {assignment}`"
    records, damaged = _records(Journal(course, assignment).folder)
    if not gradebook.exists(course):
        raise Problem(f"there are no grades of {assignment} yet: {again}")
    max_score, duedate, standings, absent = _standings(course, assignment)
    if not standings:
        raise Problem(f"there are no grades of {assignment} yet: {again}")
    return Graded(assignment, max_score, duedate, names, records, standings, damaged, absent)


def is_current(record, standing):
    """Whether the gradebook's automatic scores are this record's; else it was graded anew, or that was interrupted."""
    scores = {}
    for name, notebook in record.notebooks.items() if record.lost is None else ():
        if notebook.text is not None:
            scores |= {(name, line["grade_id"]): line["score"] for line in notebook.record["exercises"]}
    for (notebook, cell), there in standing.cells.items():
        missing = record.lost is None and notebook not in record.notebooks
        mine = 0.0 if missing else scores.get((notebook, cell))
        if mine is None or there.auto is None:
            if mine is not there.auto:
                return False
        elif not math.isclose(mine, there.auto, rel_tol=1e-4, abs_tol=1e-9):  # nbgrader reads six digits
            return False
    return True


# -------------------- records --------------------


def _records(folder):
    found, damaged = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = _record(json.loads(path.read_text(encoding="utf-8")), path.stem)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            damaged.append(path.name)
    return found, tuple(damaged)


def _record(stored, student):
    """The Record of a student; KeyError and others when the file holds something else, such as another student's."""
    result = stored["result"]
    if stored["student"] != student:
        raise ValueError("another student's")
    notebooks = {name: Notebook(dict(found["record"]), found["text"]) for name, found in result["notebooks"].items()}
    for notebook in notebooks.values():
        for line in notebook.record["exercises"]:
            line["id"], line["grade_id"], line["state"], line["score"], line["max_score"]  # KeyError: damaged
    return Record(student, notebooks, tuple(result["notes"]), result["lost"], float(result["seconds"]))


# -------------------- the gradebook --------------------


def _standings(course, assignment):
    """(max score, due date, {student: Standing}, absent) in a few queries, whatever the size of the class."""
    from nbgrader import api as t
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with t.Gradebook(course.db_url, course.id) as book:
            return _read(book.db, t, assignment)
    except SQLAlchemyError as why:
        words = " ".join(str(getattr(why, "orig", None) or why).split())[:200]
        raise Problem(f"the gradebook cannot be read: {words}") from None


def _read(db, t, assignment):
    about = db.query(t.Assignment.id, t.Assignment.duedate).filter(t.Assignment.name == assignment).first()
    if about is None:
        return 0.0, None, {}, ()
    worth = {}
    for kind in (t.GradeCell, t.TaskCell):
        rows = db.query(kind.id, t.Notebook.name, kind.name, kind.max_score).join(
            t.Notebook, t.Notebook.id == kind.notebook_id).filter(t.Notebook.assignment_id == about.id)  # fmt: skip
        worth |= {id: (notebook, name, float(points)) for id, notebook, name, points in rows}
    S, N = t.SubmittedAssignment, t.SubmittedNotebook
    made, owner = {}, {}
    people = db.query(S.id, S.timestamp, S.extension, t.Student).join(t.Student, t.Student.id == S.student_id)
    for id, time, extension, who in people.filter(S.assignment_id == about.id):
        due = about.duedate and about.duedate + (extension or timedelta())
        late = max(timedelta(), time - due) if time and due else timedelta()
        made[id] = _standing(who, time, late)
    there = db.query(S.student_id).filter(S.assignment_id == about.id)
    others = db.query(t.Student).filter(t.Student.id.not_in(there)).order_by(t.Student.id)
    absent = tuple(_standing(who, None, timedelta()) for who in others)
    rows = db.query(N.id, N.assignment_id, N.late_submission_penalty, t.Notebook.name).join(
        t.Notebook, t.Notebook.id == N.notebook_id).filter(t.Notebook.assignment_id == about.id)  # fmt: skip
    for id, submission, penalty, name in rows:
        if submission in made:
            owner[id] = made[submission], name
            if penalty:
                made[submission].penalties[name] = float(penalty)
    within = N.assignment_id.in_(db.query(S.id).filter(S.assignment_id == about.id))
    G, C = t.Grade, t.Comment
    grades = db.query(G.notebook_id, G.cell_id, G.auto_score, G.manual_score, G.extra_credit, G.needs_manual_grade)
    for notebook, cell, *scores in grades.join(N, N.id == G.notebook_id).filter(within):
        if notebook in owner and cell in worth:
            (standing, _), (name, grade_id, points) = owner[notebook], worth[cell]
            standing.cells[name, grade_id] = Cell(name, grade_id, points, *scores)
    remarks = db.query(C.notebook_id, t.BaseCell.name, C.auto_comment, C.manual_comment).join(
        t.BaseCell, t.BaseCell.id == C.cell_id).join(N, N.id == C.notebook_id).filter(within)  # fmt: skip
    for notebook, cell, auto, manual in remarks:
        if notebook in owner and (auto or manual):
            standing, name = owner[notebook]
            standing.comments[name, cell] = auto, manual
    sorted_ = [s._replace(cells=dict(sorted(s.cells.items()))) for s in made.values()]
    standings = {s.student: s for s in sorted(sorted_, key=lambda s: s.student)}
    return sum(points for *_, points in worth.values()), about.duedate, standings, absent


def _standing(who, time, late):
    return Standing(who.id, who.first_name, who.last_name, who.email, who.lms_user_id, time, late, {}, {}, {})
