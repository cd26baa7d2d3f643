r"""Scores as the files that other systems import.  Everything here is plain data in, bytes out.

csv         for people and spreadsheets: everybody, with what is not final; UTF-8 with a byte-order mark, as Excel wants
canvas      Canvas, Grades > Import: Student, ID, SIS User ID, SIS Login ID, Section, then the assignment, and a line
            "Points Possible" (community.canvaslms.com, "How do I import grades in the Gradebook?"; checked against the
            importer, lib/gradebook_importer.rb in github.com/instructure/canvas-lms)
gradescope  Gradescope reads no table of scores; it runs an autograder and takes results.json from it.  The file is the
            zip archive of one that looks the student up and runs nothing of the submission
            (gradescope-autograders.readthedocs.io/en/latest/specs/ and .../submission_metadata/)
moodle      Moodle: the assignment's offline grading worksheet, by Identifier (checked against its importer,
            mod/assign/feedback/offline/importgradeslib.php in github.com/moodle/moodle), or Grades > Import > CSV file,
            by ID number or e-mail address (docs.moodle.org/en/Grade_import)

**Formulas.**  A spreadsheet runs a cell that starts with = + - @, or does so after one of its separators.

- Names are shown to people and find nobody.  There an apostrophe is put before such a character, and control characters
  become spaces.  `unguarded` takes the apostrophe away again.
- An id finds the student, so it is never changed.  One that a spreadsheet could run, or that is more than one line, is
  not written at all: the student is left out and named (an e-mail address like that stays empty).  "=HYPERLINK(..." is
  such an id; "-ada", "+49 30 12" and "@bob" are not, since letters, digits and ``. _ - + @ = ~`` alone call no function
  and reach no other program.
"""

import csv
import io
import json
import re
import zipfile

from enm5310.grading.clean import line

STARTS = "=+\\-@\uff1d\uff0b\uff0d\uff20"  # the wide forms, too, which some spreadsheets read as the same
BEGINS = re.compile(rf"(^|[;,|])(\s*)(?='*[{STARTS}])")
GUARDED = re.compile(rf"(^|[;,|])(\s*)'(?='*[{STARTS}])")
HARMLESS = re.compile(r"[\w.\-+@=~ ]*")
OWN = re.compile("(Current|Final|Override) (Score|Points|Grade|Status)")  # columns that Canvas computes
EPOCH = 1980, 1, 1, 0, 0, 0  # of files in an archive: the same scores are the same bytes


class Unsafe(ValueError):
    """An id that cannot be written as it is."""


def guarded(text):
    """A name as one line that no spreadsheet runs."""
    return BEGINS.sub(r"\1\2'", line(text or ""))


def unguarded(text):
    """What `guarded` was given, if that was one line already."""
    return GUARDED.sub(r"\1\2", text)


def exact(id):
    """An id as it is, or Unsafe."""
    id = id or ""
    if BEGINS.search(id) and not HARMLESS.fullmatch(id):
        raise Unsafe("a spreadsheet could run it as a formula")
    if id != line(id):
        raise Unsafe("it is not one printable line")
    return id


def other(id):
    """A second way to find the student, or nothing if it cannot be written as it is."""
    try:
        return exact(id)
    except Unsafe:
        return ""


def number(score):
    """At most two decimals, as Canvas and Moodle keep them; 0.1 + 0.2 is 0.3."""
    return f"{score:.2f}".rstrip("0").rstrip(".")


def digits(id):
    """A platform's own number of the student, or nothing: Canvas would read "12ab" as 12, who is somebody else."""
    return id if id and re.fullmatch(r"[0-9]{1,18}", id) else ""


def named(row):
    return " ".join(filter(None, (row.first_name, row.last_name))) or row.student


# -------------------- the files --------------------


def as_csv(assignment, rows):
    """Everybody: status, score so far, and the points of each graded cell; an empty field has not been graded."""
    cells = list(dict.fromkeys(key for row in rows for key in row.points))
    several = len({notebook for notebook, _ in cells}) > 1
    titles = [guarded(f"{notebook}/{name}" if several else name) for notebook, name in cells]
    table = [["student", "last_name", "first_name", "email", "lms_user_id", "assignment", "status", "score",
              "max_score", "late_penalty", "waiting", "timestamp", *titles]]  # fmt: skip
    for row in rows:
        points = [row.points.get(cell) for cell in cells]
        table.append([
            exact(row.student), guarded(row.last_name), guarded(row.first_name), guarded(row.email), other(row.lms_id),
            guarded(assignment), row.status, "" if row.score is None else number(row.score), number(row.max_score),
            number(row.penalty), row.waiting, row.timestamp, *("" if p is None else number(p) for p in points),
        ])  # fmt: skip
    return _table(table).encode("utf-8-sig")


def as_canvas(assignment, rows):
    """Final scores alone: an empty field would clear a score that Canvas has."""
    if OWN.search(assignment):
        raise Unsafe("Canvas takes a column of this name for one of its own")
    table = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", exact(assignment)],
             ["Points Possible", "", "", "", "", number(rows[0].max_score) if rows else ""]]  # fmt: skip
    for row in rows:
        name = guarded(named(row))
        if "Points Possible" in name:  # Canvas would take the line for the one above
            name = exact(row.student).replace("Points Possible", "Points-Possible")
        table.append([name, digits(row.lms_id), "", exact(row.student), "", number(row.score)])
    return _table(table).encode()


def as_moodle(assignment, rows):
    """Final scores alone: an empty field would clear a grade.  The dash lets Moodle keep what it has graded since."""
    table = [["Identifier", "Full name", "ID number", "Email address", "Grade", "Maximum grade",
              "Last modified (grade)"]]  # fmt: skip
    for row in rows:
        participant = f"Participant {digits(row.lms_id)}" if digits(row.lms_id) else ""
        table.append([participant, guarded(named(row)), exact(row.student), other(row.email), number(row.score),
                      number(row.max_score), "-"])  # fmt: skip
    return _table(table).encode()


def as_gradescope(assignment, rows):
    """An autograder; who has no final score in it gets none there either: it fails, and says so."""
    results = {}
    for row in rows:
        tests = [{"name": line(name), "score": round(row.points[notebook, name], 4), "max_score": most}
                 for (notebook, name), most in row.worth.items()]  # fmt: skip
        late = f"{number(row.penalty)} points are taken off for being late." if row.penalty else ""
        results[exact(row.student)] = {
            "id": exact(row.student), "platform": other(row.lms_id), "email": other(row.email).lower(),
            "results": {"score": round(row.score, 4), "output": late, "tests": tests},
        }
    files = {"setup.sh": "#!/bin/bash\n", "run_autograder": RUN,
             "scores.json": json.dumps({"assignment": assignment, "students": list(results.values())}, indent=1)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = (0o644 if name.endswith(".json") else 0o755) << 16
            archive.writestr(entry, text.encode())
    return out.getvalue()


RUN = '''#!/usr/bin/env python3
"""Gives each student the score that was found elsewhere; nothing of the submission is run, nor even opened."""

import json
import sys
from pathlib import Path

here = Path(sys.argv[1] if len(sys.argv) > 1 else "/autograder")
scores = json.loads((here / "source" / "scores.json").read_text(encoding="utf-8"))
users = json.loads((here / "submission_metadata.json").read_text(encoding="utf-8"))["users"]


def of(user):
    """The entries of a student: by student id, else by e-mail address, never by name.

    What stands before the @ counts only where there is nothing better: no student id here, no address there.
    """
    sid, email = str(user.get("sid") or ""), str(user.get("email") or "").lower()
    tests = [
        lambda entry: sid and sid in (entry["id"], entry["platform"]),
        lambda entry: email and email == entry["email"],
        lambda entry: email and not sid and not entry["email"] and entry["id"].lower() == email.partition("@")[0],
    ]
    found = ([entry["results"] for entry in scores["students"] if test(entry)] for test in tests)
    return next(filter(None, found), [])


found = [results for user in users for results in of(user)]
if not found:
    sys.exit("there is no final score of this student: nothing was graded, or a human is still at work")
if any(results != found[0] for results in found):
    sys.exit("these students have different scores")
(here / "results").mkdir(exist_ok=True)
(here / "results" / "results.json").write_text(json.dumps(found[0]), encoding="utf-8")
'''


def _table(rows):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


FORMATS = {"csv": as_csv, "canvas": as_canvas, "gradescope": as_gradescope, "moodle": as_moodle}
