"""nbgrader's gradebook, written by this process alone: one transaction per submission.

What is written is what nbgrader's SaveAutoGrades and AssignLatePenalties would have written for the same executed
notebooks (a test compares them); manual scores, comments and extra credit are never touched.
"""

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from enm5310.grading import autograded
from enm5310.practice import Problem

PATIENCE = 30  # seconds that a submission waits for a database


def create(course):
    """The gradebook exists: SQLite's file appears whole or not at all, whenever this process may be killed."""
    from nbgrader.api import Gradebook
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    url = make_url(course.db_url)
    path = url.database if url.get_backend_name() == "sqlite" else None
    try:
        if path not in (None, "", ":memory:"):
            _create_file(url, Path(path))
        with Gradebook(course.db_url, course.id) as gradebook:
            gradebook.db.query(_tables().Student.id).first()
    except (SQLAlchemyError, OSError, ImportError) as why:
        shown = url.render_as_string(hide_password=True)
        raise Problem(f"the gradebook {shown} cannot be used: {in_words(why)}") from None


def exists(course):
    """Whether there is a gradebook; to ask for a file of SQLite's that is not there would make one."""
    from sqlalchemy.engine import make_url

    url = make_url(course.db_url)
    return url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:") or Path(url.database).is_file()


def _create_file(url, path):
    from nbgrader.api import Gradebook

    for left in path.parent.glob(f"{path.name}.*.part*"):  # of a run that was killed, and SQLite's journals of them
        left.unlink()
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        Gradebook(url.set(database=str(fresh)).render_as_string(hide_password=False)).close()
        with contextlib.suppress(FileExistsError):  # of two that are the first, one wins
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _tables():
    from nbgrader import api

    return api


class Written(NamedTuple):
    """What the gradebook says of a submission now."""

    score: float  # manual scores and extra credit included, a late penalty not taken off: as formgrader shows it
    waiting: bool  # for a human
    notes: tuple


class Writer:
    """with Writer(course, assignment) as writer: writer.write(graded)"""

    def __init__(self, course, assignment):
        from nbgrader.converters import Autograde
        from nbgrader.preprocessors import AssignLatePenalties
        from traitlets.utils.importstring import import_item

        self.course, self.assignment = course, assignment
        autograde = Autograde(coursedir=course.directory, config=course.config)
        kinds = [import_item(k) if isinstance(k, str) else k for k in autograde.autograde_preprocessors]
        late = next((kind for kind in kinds if issubclass(kind, AssignLatePenalties)), None)
        self.late = late and late(parent=autograde)
        if self.late:
            self.late.init_plugin()

    def __enter__(self):
        self.gradebook = _tables().Gradebook(self.course.db_url, self.course.id)
        return self

    def __exit__(self, *_):
        self.gradebook.close()

    # -------------------- what is there --------------------

    def students(self):
        """The ids of all students in the gradebook."""
        return {id for (id,) in self.gradebook.db.query(_tables().Student.id)}

    def auto_scores(self):
        """{student: {(notebook, cell): auto_score}} of this assignment, as the gradebook has it."""
        t, found = _tables(), {}
        rows = self.gradebook.db.query(
            t.SubmittedAssignment.student_id, t.Notebook.name, t.BaseCell.name, t.Grade.auto_score
        ).select_from(t.Grade).join(t.BaseCell, t.BaseCell.id == t.Grade.cell_id).join(
            t.SubmittedNotebook, t.SubmittedNotebook.id == t.Grade.notebook_id
        ).join(t.Notebook, t.Notebook.id == t.SubmittedNotebook.notebook_id).join(
            t.SubmittedAssignment, t.SubmittedAssignment.id == t.SubmittedNotebook.assignment_id
        ).join(t.Assignment, t.Assignment.id == t.SubmittedAssignment.assignment_id)  # fmt: skip
        for student, notebook, cell, score in rows.filter(t.Assignment.name == self.assignment.name):
            found.setdefault(student, {})[notebook, cell] = score
        self.gradebook.db.remove()
        return found

    def is_written(self, graded, known):
        """Whether gradebook (known: its auto_scores) and folder hold exactly this already."""
        mine, wanted = dict(known.get(graded.student, {})), {}
        for notebook, cell in mine:
            if notebook in graded.missing:
                wanted[notebook, cell] = 0
            elif graded.executed.get(notebook) is None:
                wanted[notebook, cell] = None
            else:  # a task cell has no automatic score
                wanted[notebook, cell] = graded.executed[notebook]["auto"].get(cell)
        return bool(mine) and mine == wanted and autograded.holds(self.folder(graded.student), graded)

    def folder(self, student):
        return self.course.path("autograded", student, self.assignment.name)

    # -------------------- writing --------------------

    def place(self, graded):
        """Puts a submission's folder where nbgrader looks for it."""
        autograded.place(self.folder(graded.student), graded, self.assignment.permissions)

    def write(self, graded, anew=True, noted=None):
        """Writes one submission to folder and gradebook: a Written.  Problem: the gradebook refuses.

        anew=False: what is_written; only the time and the late penalty are looked at again, since a due date or an
        extension may have changed, and no manual score is sent back for a second look.
        noted(score before or None, Written): told before the gradebook keeps it.
        """
        from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

        if anew:
            self.place(graded)
        end, collisions = time.monotonic() + PATIENCE, 0
        while True:
            try:
                before = self._score(graded.student) if noted else None
                written = self._enter(graded, anew)
                if noted:
                    noted(before, written)
                self.gradebook.db.commit()
                return written
            except OperationalError as why:  # another program is writing (SQLite has waited 5 s), or a server restarts
                self.gradebook.db.rollback()
                if time.monotonic() > end:
                    raise Problem(f"the gradebook is in use, full or away: {in_words(why)}; run the same command again "
                                  "to go on where it stopped") from None  # fmt: skip
                time.sleep(0.5)
            except IntegrityError as why:  # another machine has made the same row since we looked
                self.gradebook.db.rollback()
                collisions += 1
                if collisions > 5:
                    raise Problem(f"the gradebook refuses {graded.student}: {in_words(why)}") from None
            except SQLAlchemyError as why:
                self.gradebook.db.rollback()
                raise Problem(f"the gradebook refuses {graded.student}: {in_words(why)}") from None
            finally:
                self.gradebook.db.remove()  # memory stays flat

    def _score(self, student):
        """What a submission's score is now, or None when nothing of it is graded."""
        t = _tables()
        mine = t.SubmittedAssignment.student_id == student, t.Assignment.name == self.assignment.name
        rows = self.gradebook.db.query(t.Grade.score, t.Grade.auto_score, t.Grade.manual_score).join(
            t.SubmittedNotebook, t.SubmittedNotebook.id == t.Grade.notebook_id
        ).join(t.SubmittedAssignment, t.SubmittedAssignment.id == t.SubmittedNotebook.assignment_id).join(
            t.Assignment, t.Assignment.id == t.SubmittedAssignment.assignment_id).filter(*mine).all()  # fmt: skip
        given = any(auto is not None or manual is not None for _, auto, manual in rows)
        return float(sum(score for score, _, _ in rows)) if given else None

    def _enter(self, graded, anew):
        t, db, notes = _tables(), self.gradebook.db, []
        if db.query(t.Student.id).filter(t.Student.id == graded.student).first() is None:
            db.add(t.Student(id=graded.student, lms_user_id=graded.lms_id))
        assignment = self._assignment()
        where = t.SubmittedAssignment.assignment_id == assignment.id, t.SubmittedAssignment.student_id == graded.student
        time, note = _time(graded.timestamp)
        notes += [note] if note else []
        submissions = db.query(t.SubmittedAssignment.id, t.SubmittedAssignment.extension).filter(*where)
        submission = submissions.with_for_update().first()  # of two machines one waits; SQLite has one writer anyway
        if submission is None:
            row = t.SubmittedAssignment(assignment_id=assignment.id, student_id=graded.student, timestamp=time)
            db.add(row)
            db.flush()
            submission_id, extension = row.id, None
        else:
            submission_id, extension = submission
            db.query(t.SubmittedAssignment).filter(*where).update({"timestamp": time}, synchronize_session=False)
        due = assignment.duedate and assignment.duedate + extension if extension else assignment.duedate
        late = max(0.0, (time - due).total_seconds()) if time and due else 0.0
        for notebook in db.query(t.Notebook.id, t.Notebook.name).filter(t.Notebook.assignment_id == assignment.id):
            mine = _submitted_notebook(db, t, submission_id, notebook.id)
            notes += self._save(db, t, mine, notebook, graded) if anew else []
            notes += self._penalise(db, t, mine, notebook.name, graded, late)
        now = db.query(t.Grade.score, t.Grade.needs_manual_grade).join(
            t.SubmittedNotebook, t.SubmittedNotebook.id == t.Grade.notebook_id
        ).filter(t.SubmittedNotebook.assignment_id == submission_id).all()  # fmt: skip
        return Written(sum(score for score, _ in now), any(waits for _, waits in now), tuple(notes))

    def _assignment(self):
        t = _tables()
        return self.gradebook.db.query(t.Assignment.id, t.Assignment.duedate).filter(
            t.Assignment.name == self.assignment.name).one()  # fmt: skip

    def _save(self, db, t, mine, notebook, graded):
        """The automatic scores and comments of one notebook."""
        found = graded.executed.get(notebook.name)
        grades = db.query(t.Grade.id, t.BaseCell.name, t.Grade.auto_score, t.Grade.manual_score).join(
            t.BaseCell, t.BaseCell.id == t.Grade.cell_id).filter(t.Grade.notebook_id == mine)  # fmt: skip
        grades = grades.with_for_update(of=t.Grade).all()  # a human who enters points meanwhile waits
        comments = db.query(t.Comment.id, t.BaseCell.name).join(
            t.BaseCell, t.BaseCell.id == t.Comment.cell_id).filter(t.Comment.notebook_id == mine).all()  # fmt: skip
        auto, silent, notes = (found["auto"], found["silent"], []) if found else ({}, (), [])
        if notebook.name in graded.missing:
            new = [{"id": g.id, "auto_score": 0, "needs_manual_grade": False} for g in grades]
        elif found is None:
            new = [{"id": g.id, "auto_score": None, "needs_manual_grade": True} for g in grades]
            stale = sum(g.auto_score or 0 for g in grades)
            if any(g.auto_score is not None for g in grades):
                notes.append(f"an earlier score of {stale:g} for {notebook.name} was cleared")
        else:
            new = [{"id": g.id, "auto_score": auto[g.name],
                    "needs_manual_grade": g.manual_score is not None or auto[g.name] is None}
                   for g in grades if g.name in auto]  # fmt: skip
            new += [{"id": g.id, "auto_score": None, "needs_manual_grade": True}  # a task that had been missing
                    for g in grades if g.name not in auto and g.auto_score is not None]  # fmt: skip
            new_ids = {row["id"] for row in new}
            kept = sum(g.manual_score is not None for g in grades if g.id in new_ids)
            notes += [f"{kept} manual scores in {notebook.name} were kept and wait for a second look"] if kept else []
        db.bulk_update_mappings(t.Grade, new)
        remarks = [{"id": c.id, "auto_comment": "No response." if c.name in silent else None} for c in comments]
        db.bulk_update_mappings(t.Comment, remarks)
        return notes

    def _penalise(self, db, t, mine, notebook, graded, late):
        """The late penalty that the course's plug-in asks for."""
        if self.late is None:
            return []
        penalty, notes = None, []
        if late > 0 and graded.executed.get(notebook) is not None:
            score = db.query(t.SubmittedNotebook.score).filter(t.SubmittedNotebook.id == mine).scalar()
            try:
                penalty = self.late.plugin_inst.late_submission_penalty(graded.student, score, late)
                penalty = None if penalty is None else min(max(0.0, float(penalty)), score)
            except Exception as why:  # the course's own code
                notes = [f"the late penalty could not be found: {in_words(why)}"]
            if penalty is not None:
                notes = [f"{notebook}: late by {_duration(late)}, {penalty:g} of {score:g} points are taken off"]
        db.query(t.SubmittedNotebook).filter(t.SubmittedNotebook.id == mine).update(
            {"late_submission_penalty": penalty}, synchronize_session=False)  # fmt: skip
        return notes


def _submitted_notebook(db, t, submission, notebook):
    """The id of a notebook's row in a submission, with a row for each of its cells, as nbgrader makes them."""
    N = t.SubmittedNotebook
    found = db.query(N.id).filter(N.assignment_id == submission, N.notebook_id == notebook).scalar()
    if found is None:
        row = N(assignment_id=submission, notebook_id=notebook)
        db.add(row)
        db.flush()
        found = row.id
    cells = db.query(t.BaseCell.id, t.BaseCell.type).filter(t.BaseCell.notebook_id == notebook).all()
    for table, kinds in ((t.Grade, ("GradeCell", "TaskCell")), (t.Comment, ("SolutionCell", "TaskCell"))):
        there = {cell for (cell,) in db.query(table.cell_id).filter(table.notebook_id == found)}
        db.add_all(table(cell_id=id, notebook_id=found) for id, kind in cells if kind in kinds and id not in there)
    db.flush()
    return found


# -------------------- in words --------------------


def _time(text):
    """(a timestamp in UTC or None, a note when the text is no time)"""
    from nbgrader.utils import parse_utc

    if not text:
        return None, None
    try:
        return parse_utc(text), None
    except (ValueError, OverflowError, TypeError, AttributeError):
        return None, f"timestamp.txt holds no time: {text[:40]!a}"


def _duration(seconds):
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def in_words(why):
    """A database's error as one line."""
    text = str(getattr(why, "orig", None) or why)
    return " ".join(text.split())[:200] or type(why).__name__
