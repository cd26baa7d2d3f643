"""One run over a class: what is still good is kept, the rest is graded, and all of it ends up in the gradebook."""

import fnmatch
import functools
import os
import uuid
from typing import Any, NamedTuple

from enm5310.checks.engine import student_seed
from enm5310.grading import autograded, batch, gradebook, job, journal, listing, regrade, scratch, screens
from enm5310.practice.runner import line

SECRET = "submission_secret.txt"  # nbgrader's exchange lays it beside what was handed in


class Engine(NamedTuple):
    """What grades: the seam where tests put something simple."""

    choose: object  # sandbox.choose
    limits: object  # box.Limits()
    box: object
    prepare: object
    grade: object


class Entry(NamedTuple):
    """What has to be remembered of a submission while it is graded."""

    submission: Any
    parts: dict  # of the key of its record
    key: str
    notes: tuple
    own: dict  # path -> bytes: the student's version of files that may be edited
    before: dict | None = None  # the parts of the key of the record that there was


class Run:
    """rehearsed: what is graded is kept for the next run, gradebook and history stay as they are.

    because: why it is graded again, for the history.
    """

    def __init__(self, here, assignment, engine, level, jobs=None, scheduler=None, fresh=False, because=None,
                 rehearsed=False):  # fmt: skip
        self.because, self.rehearsed, self.changes = because, rehearsed, {}  # student -> line as in the history
        self.here, self.assignment, self.jobs, self.scheduler, self.fresh = here, assignment, jobs, scheduler, fresh
        files = {name: data for name, data in assignment.files.items() if name not in assignment.editable}
        own = {name: data for name, data in assignment.files.items() if name in assignment.editable}
        self.setup = job.Setup(uuid.uuid4().hex, level, engine.limits, assignment.masters, files, engine.box,
                               engine.prepare, engine.grade, own)  # fmt: skip
        self.journal, self.secret = journal.Journal(here, assignment.name), here.secret()
        self.tried = journal.Journal(here, assignment.name, "tried")
        self.history = regrade.History(here, assignment.name)
        self.unmatched, self.about_masters, self.done, self.again = [], [], 0, 0
        self._entries = {}  # of the submissions now at work
        self._common = {
            "masters": {name: journal.digest(data) for name, data in assignment.masters.items()},
            "files": {name: journal.digest(data) for name, data in assignment.files.items()},
            "engine": journal.engine(), "limits": list(engine.limits), "sandbox": level.name != "none",
            "secret": journal.digest(b"key " + self.secret),
        }  # fmt: skip

    def all(self, handed_in):
        """The rows of all submissions, by student; each is in the gradebook."""
        self.journal.sweep()
        self.tried.sweep()
        writer = regrade.Rehearsal if self.rehearsed else gradebook.Writer
        scratch.sweep()
        with writer(self.here, self.assignment) as self.writer, \
                screens.live(self.assignment.name, len(handed_in)) as (began, done):  # fmt: skip
            self.known, rows, waiting = self.writer.auto_scores(), {}, []
            for submission in self._admitted(handed_in):
                _, entry = self._read(submission)
                record = None if self.fresh else self.journal.load(submission.student, entry.key)
                tried = None if record or self.fresh else self.tried.load(submission.student, entry.key)
                if record is None and tried is None:
                    waiting.append(submission)
                    continue
                if tried and not self.rehearsed:
                    self._keep(self.journal, entry, tried["result"])
                    self.tried.forget(submission.student)
                rows[submission.student] = self._settled(entry, (record or tried)["result"])
                self.again += record is not None
                done(submission.student)
            for student, result in self._graded(waiting, began):
                entry = self._entries.pop(student)
                if result["final"]:
                    self._keep(self.tried if self.rehearsed else self.journal, entry, result)
                rows[student] = self._settled(entry, result)
                done(student)
        return [rows[student] for student in sorted(rows)]

    def _keep(self, where, entry, result):
        student = entry.submission.student
        where.save(student, {"student": student, "key": entry.key, "parts": entry.parts, "result": result})

    def _admitted(self, handed_in):
        """Without those whom the gradebook does not know, where the configuration says that it must."""
        if self.here.config.Autograde.get("create_student", True):
            return handed_in
        known = self.writer.students()
        self.unmatched += [(s.student, "is not in the gradebook, and Autograde.create_student is off")
                           for s in handed_in if s.student not in known]  # fmt: skip
        return [s for s in handed_in if s.student in known]

    def _graded(self, waiting, began):
        """(student, result) of the submissions that have to be graded, as they are done."""
        if not waiting:
            return iter(())
        keeper = batch.prepared(self.setup)
        self.setup = keeper.setup
        for name, master in self.setup.masters.items():
            self.about_masters += [self._labelled(name, note) for note in master.notes]
        tasks = self._tasks(waiting)
        if self.scheduler:
            keeper.close()
            return batch.cluster(self.setup, tasks, self.scheduler, began)
        return batch.local(keeper, tasks, min(self.jobs or len(os.sched_getaffinity(0)), len(waiting)), began)

    def _tasks(self, waiting):
        for submission in waiting:
            task, self._entries[submission.student] = self._read(submission)
            yield task

    # -------------------- from files to a task --------------------

    def _read(self, submission):
        """(Task, Entry) of a submission as it now lies there; what cannot be read becomes an empty notebook."""
        files, own, unused, notes = {}, {}, [], list(submission.notes)
        for name, file in (*submission.files, *submission.extra):
            mine = name in self.assignment.editable
            if name == SECRET or self._ignored(name) or (name in self.assignment.files and not mine):
                continue
            if not name.endswith(".ipynb") and not mine:
                unused.append(name)
                continue
            try:
                data = file.read()
            except listing.Unreadable as why:
                data, notes = b"", [*notes, f"{name} {why}"]
            (own if mine else files)[name] = data
        if unused and files:
            notes.append(f"not used: {', '.join(sorted(unused)[:5])}" + (" and more" if len(unused) > 5 else ""))
        seeds = {name: self._seeds(submission.student, name) for name in self.setup.masters}
        task = job.Task(submission.student, files, own, seeds, tuple(sorted(unused)))
        parts = {
            "student": submission.student, **self._common, "also": list(task.also),
            "notebooks": {name: journal.digest(data) for name, data in files.items()},
            "own": {name: journal.digest(data) for name, data in own.items()},
        }  # fmt: skip
        before = self.journal.parts(submission.student)
        return task, Entry(submission, parts, journal.key(**parts), tuple(notes), own, before)

    def _ignored(self, name):
        return any(fnmatch.fnmatch(part, glob) for part in name.split("/") for glob in self.here.directory.ignore)

    def _seeds(self, student, notebook):
        """The student's own seeds, for the exercises of a prepared master."""
        ids = getattr(self.setup.masters[notebook], "ids", ())
        general = student_seed(self.secret, student, f"{self.assignment.name}/{notebook}")
        return {"": general, **{id: student_seed(self.secret, student, id) for id in ids}}

    # -------------------- from a result to the gradebook and a row --------------------

    def _settled(self, entry, result):
        """Writes a result to the gradebook, unless it is there already; the submission's row."""
        submission, lost, names = entry.submission, result["lost"], list(self.assignment.masters)
        executed = {name: self._executed(found) for name, found in result["notebooks"].items()}
        graded = autograded.Graded(
            submission.student, dict.fromkeys(names) if lost else executed,
            () if lost else tuple(n for n in names if n not in executed), submission.timestamp,
            {**self.assignment.files, **entry.own}, submission.lms_id,
        )  # fmt: skip
        anew = not self.writer.is_written(graded, self.known)
        written = self.writer.write(graded, anew, functools.partial(self._note, entry, graded) if anew else None)
        self.done += 1
        return self._row(entry, result, graded, written)

    def _note(self, entry, graded, before, written):
        """A line of the history, when a score changes; of a rehearsal it is only told."""
        known = self.known.get(graded.student, {})
        cells = regrade.changes(graded, known)
        if cells or not known:
            after = None if all(found is None for found in graded.executed.values()) else written.score
            why = regrade.reasons((entry.before or {}) if known else None, entry.parts)
            made = regrade.entry(graded.student, before, after, cells, self.because, why)
            self.changes[graded.student] = made
            if not self.rehearsed:
                self.history.add(made)

    def _executed(self, found):
        """What nbgrader reads in an executed notebook; what it cannot read is not gradable, and stops nobody else."""
        try:
            return found["text"] and autograded.reading(found["text"])
        except Exception as why:
            found["record"] |= {"status": "not gradable", "reason": f"nbgrader cannot read the result: {why}"}

    def _row(self, entry, result, graded, written):
        """A submission as the JSON file has it."""
        reasons, exercises = [result["lost"]] if result["lost"] else [], []
        notes = [*entry.notes, *result["notes"], *(f"{n}.ipynb was not handed in" for n in graded.missing)]
        for name, found in result["notebooks"].items():
            record = found["record"]
            notes += [self._labelled(name, note) for note in record["notes"]]
            if record["status"] == "not gradable":
                reasons.append(self._labelled(name, record["reason"]))
            exercises += [{key: e[key] for key in ("id", "score", "max_score", "state", "message")}
                          for e in record["exercises"]]  # fmt: skip
        nothing = all(found is None for found in graded.executed.values())
        said = [f"not gradable: {why}" for why in reasons]
        return {
            "student": graded.student,
            "status": "not gradable" if reasons else "needs manual" if written.waiting else "graded",
            "score": None if nothing else written.score, "max_score": self.assignment.max_score,
            "seconds": round(result["seconds"], 3),
            "notes": [line(note) for note in (*said, *notes, *written.notes)], "exercises": exercises,
        }  # fmt: skip

    def _labelled(self, notebook, note):
        return f"{notebook}: {note}" if len(self.assignment.masters) > 1 else note
