"""``enm5310 feedback``: one page per student, where nbgrader keeps feedback, so that it can be released by it."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import NamedTuple

from enm5310.grading import course, sources, submissions
from enm5310.practice import Problem
from enm5310.practice.progress import write
from enm5310.practice.runner import line
from enm5310.reporting import feedback_page, records, results


class Asked(NamedTuple):
    """What was typed."""

    assignment: str
    students: tuple = ()
    json: Path | None = None


def feedback(asked):
    """Writes the pages; the exit code."""
    here = course.find()
    graded = records.read(here, asked.assignment)
    about = feedback_page.About(asked.assignment, graded.max_score, {
        path.stem: given(path) for path in sources.notebooks(here, asked.assignment)
    }, (here.root, here.folder))  # fmt: skip
    asked_for = {f"{student}.json" for student in asked.students}
    damaged = [name for name in graded.damaged if not asked_for or name in asked_for]
    rows, problems = [], [(name, "is damaged: grade the submission again") for name in damaged]
    for student in _wanted(graded, asked):
        why = _unsafe(here, student, graded.standings, asked.assignment)
        if why:
            problems.append((student, why))
            continue
        page, told = feedback_page.page(about, results.record_of(graded, student), graded.standings[student])
        folder = here.path("feedback", student, asked.assignment)
        _place(here, folder, student, asked.assignment, about.notebooks, page)
        rows.append({"student": student, "page": str(folder / f"{next(iter(about.notebooks))}.html"), **told})
    _tell(here, asked, rows, problems)
    return 1 if problems else 0


def given(path):
    """The texts of the cells of a source notebook, which are not the student's work."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return {"".join(cell["source"]).strip() for cell in cells}
    except (ValueError, KeyError, TypeError) as why:
        raise Problem(f"{path} cannot be read: {type(why).__name__}: {why}") from None


def _wanted(graded, asked):
    gone = [student for student in asked.students if student not in graded.standings]
    if gone:
        raise Problem(f"{line(gone[0])} has no grade of {asked.assignment}: run `enm5310 grade {asked.assignment}`")
    return list(dict.fromkeys(asked.students)) or list(graded.standings)


def _unsafe(here, student, standings, assignment):
    """Why a student's page cannot be written, or None: two students must never meet in one folder."""
    why = submissions._student(student)[1]
    if why:
        return why
    for other in standings:
        if other != student and other.casefold() == student.casefold():
            mine, theirs = (here.path("feedback", who, assignment) for who in (student, other))
            mine.mkdir(parents=True, exist_ok=True)
            if theirs.exists() and os.path.samefile(mine, theirs):
                return f"shares a folder with {other} on this disk: give one of them another id"
    return None


# -------------------- files --------------------


def _place(here, folder, student, assignment, notebooks, page):
    """The page under the name of each notebook, beside what `nbgrader release_feedback` asks for.

    It finds a student's page by a secret that was handed in; who handed in elsewhere gets one that nobody knows, so
    that this command does not stop at it.
    """
    handed_in = here.path("submitted", student, assignment)
    for name, otherwise in (("timestamp.txt", ""), ("submission_secret.txt", secrets.token_hex(16))):
        kept = _small(handed_in / name)
        if kept is not None:
            write(folder / name, kept)
        elif not (folder / name).is_file():
            write(folder / name, otherwise.encode())
    for name in notebooks:
        write(folder / f"{name}.html", page.encode("utf-8"))


def _small(path):
    """The bytes of a small regular file, or None."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 10_000:
        return None
    return path.read_bytes()


# -------------------- afterwards --------------------


def _tell(here, asked, rows, problems):
    for row in rows if len(rows) <= 40 else ():
        print(f"{line(row['student'])}  {row['score']:g}/{row['max_score']:g}  {row['status']}")
    for what, why in problems:
        print(f"! {line(what)} {line(why)}", file=sys.stderr)
    where = here.path("feedback", "STUDENT", asked.assignment)
    print(f"{len(rows)} page{'s' * (len(rows) != 1)} of {asked.assignment}: {line(str(where))}")
    print(f"`nbgrader release_feedback {asked.assignment}` hands them out to who handed in through its exchange.")
    if asked.json:
        document = {"assignment": asked.assignment, "pages": rows,
                    "problems": [{"what": what, "why": why} for what, why in problems]}  # fmt: skip
        asked.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
