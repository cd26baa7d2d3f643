"""``enm5310 grade``: from what was typed to a gradebook with scores, a table, and an exit code that tells the truth."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from enm5310.grading import course, diffs, gradebook, regrade, screens, sources, submissions, turns
from enm5310.grading.run import Engine, Run
from enm5310.practice import Problem
from enm5310.practice.runner import line
from enm5310.practice.screens import console


class Asked(NamedTuple):
    """What was typed."""

    assignment: str
    submitted: Path | None = None
    jobs: int | None = None
    scheduler: str | None = None
    json: Path | None = None
    pattern: str | None = None
    unsafe: bool = False
    students: tuple = ()
    fresh: bool = False
    dry_run: bool = False
    because: str | None = None


def the_engine():
    from enm5310.grading import box, engine, masters, sandbox

    return Engine(sandbox.choose, box.Limits(), box.Box, masters.prepare, engine.grade_notebook)


def grade(asked, engine=None):
    """Grades a class; the exit code."""
    _linux()
    begun, engine = time.monotonic(), engine or the_engine()
    course.prepare()
    from sqlalchemy.exc import SQLAlchemyError

    here, submitted = course.find(), asked.submitted and Path(asked.submitted).expanduser().absolute()
    names = [path.stem for path in sources.notebooks(here, asked.assignment)]
    found = _found(here, asked, submitted, names)
    level = engine.choose(asked.unsafe)
    out = console()
    with _alone(here), regrade.rehearsed(here) if asked.dry_run else contextlib.nullcontext(here) as where:
        with turns.alone(where):
            gradebook.create(where)
            assignment = sources.read(where, asked.assignment)
        run = Run(where, assignment, engine, level, asked.jobs, asked.scheduler, asked.fresh, asked.because,
                  asked.dry_run)  # fmt: skip
        try:
            rows = run.all(found.submissions)
        except SQLAlchemyError as why:
            raise Problem(f"the gradebook cannot be used: {gradebook.in_words(why)}; run the same command again to go "
                          "on where it stopped") from None  # fmt: skip
        except KeyboardInterrupt:
            print(f"\nenm5310: stopped; what is graded is kept ({run.done} of {len(found.submissions)}), and the same "
                  "command goes on from there", file=sys.stderr)  # fmt: skip
            return 130
    unmatched = (*found.unmatched, *run.unmatched)
    seconds = time.monotonic() - begun
    if not asked.dry_run:
        screens.results(out, rows)
    screens.notes(out, [{"student": asked.assignment, "notes": run.about_masters}, *rows], unmatched)
    if rows:
        screens.totals(out, asked.assignment, rows, seconds, run.again, level.name)
    diffs.show(out, list(run.changes.values()), len(rows), asked.dry_run)
    if not asked.dry_run:
        screens.where(out, here, asked.assignment)
    if asked.json:
        document = {"assignment": asked.assignment, "sandbox": level.name, "seconds": round(seconds, 3),
                    "submissions": rows}  # fmt: skip
        document |= {"dry_run": True, "changes": list(run.changes.values())} if asked.dry_run else {}
        asked.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 1 if unmatched or any(row["status"] == "not gradable" for row in rows) else 0


def replay(student, exercise, assignment=None, unsafe=False, engine=None):
    """Shows one exercise of a student's again; the exit code."""
    from enm5310.grading import replay

    _linux()
    return replay.replay(student, exercise, assignment, engine or the_engine(), unsafe, _alone)


def history(assignment, students=(), file=None):
    """Prints who changed which score, when and why, and writes it to a JSON file if one is named; the exit code."""
    here = course.find()
    sources.notebooks(here, assignment)  # Problem: there is none
    return diffs.show_history(here, assignment, students, file)


def _found(here, asked, submitted, names):
    """Who handed in what, as far as it was asked for; Problem when that is nothing."""
    if submitted:
        others = set(sources.assignments(here)) - {asked.assignment}
        found = submissions.handed_in(submitted, asked.assignment, names, asked.pattern, others)
    elif asked.pattern:
        raise Problem("--pattern needs --submitted: the folder or zip archive whose names it explains")
    else:
        found = submissions.in_course(here, asked.assignment)
    excluded = set(here.directory.student_id_exclude.split(",")) - {""}
    there = {s.student: s for s in found.submissions if s.student not in excluded}
    if asked.students:
        gone = [student for student in asked.students if student not in there]
        if gone:
            raise Problem(f"{line(gone[0])} has not handed in {asked.assignment}; {len(there)} students have")
        return submissions.Found(tuple(there[student] for student in dict.fromkeys(asked.students)), ())
    if not there and not found.unmatched:
        where = submitted or here.path("submitted", "STUDENT", asked.assignment)
        raise Problem(f"there are no submissions of {asked.assignment} in {where}: put them there, or say with "
                      "--submitted where they are")  # fmt: skip
    return found._replace(submissions=tuple(there.values()))


def _linux():
    if sys.platform != "linux":
        raise Problem("official grading needs Linux's sandboxes: run it in a Docker container or on a Linux machine; "
                      "`enm5310 check` works everywhere")  # fmt: skip


@contextlib.contextmanager
def _alone(here):
    """One grader at a time writes to a course's gradebook; the system frees the lock of one that was killed."""
    import fcntl

    with (here.ours / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Problem(f"another `enm5310 grade` is at work in {here.root}: wait for it, or stop it") from None
        yield
