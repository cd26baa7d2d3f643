r"""Who handed in what: nbgrader's own tree, or what was downloaded from a learning platform or a mail program.

    nbgrader     alice/ps1/problem1.ipynb, with timestamp.txt beside it
    Gradescope   submission_123/problem1.ipynb, with submission_metadata.yml that says who 123 is
    Canvas       lovelaceada_LATE_12345_67890_problem1-2.ipynb  (the name, the user, the upload, the version)
    Moodle       Ada Lovelace_123456_assignsubmission_file_/problem1.ipynb, or the same without a folder
    mail         alice.ipynb, or alice/problem1.ipynb

For others, ``--pattern`` is a regular expression that matches a path in the folder (or its last part) with
``(?P<student>...)``, and with ``(?P<version>\d+)`` where the same student may have several.  What belongs to no student
is listed, never dropped.  Students are named by paths alone: nothing in a notebook says whose it is.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from typing import NamedTuple

from enm5310.grading import listing
from enm5310.grading.platforms import Owned, collected, gradescope, owners, without_wrapper
from enm5310.practice import Problem

LONGEST = 100  # characters of a student's id; the gradebook has room for 128


class Submission(NamedTuple):
    student: str
    files: tuple  # of (name, listing.File): the notebooks, the newest version of each
    extra: tuple = ()  # of (path, listing.File): everything else
    timestamp: str | None = None  # as it was written by the platform
    notes: tuple = ()
    lms_id: str | None = None


class Found(NamedTuple):
    submissions: tuple  # of Submission, by student
    unmatched: tuple  # of (path, why)


# -------------------- nbgrader's tree --------------------


def in_course(course, assignment):
    """What lies in the course's submitted directory."""
    step = course.directory.submitted_directory
    expression = re.compile(course.directory.format_path(step, "(?P<student>.*)", re.escape(assignment), escape=True))
    found, unmatched, empty = [], [], []
    top = course.path("submitted", "*", assignment)
    fixed = next((p for p in top.parents if "*" not in str(p)), top)
    for folder in sorted(fixed.glob(top.relative_to(fixed).as_posix())):
        match, shown = expression.fullmatch(str(folder)), folder.relative_to(fixed).as_posix()
        if not folder.is_dir() or not match:
            continue
        why = _student(match["student"])[1]
        if why is None and any(p.is_symlink() for p in (folder, *folder.parents) if fixed in p.parents):
            why = "is a link, which is not followed"
        if why:
            unmatched.append((shown, why))
            continue
        inside = listing.folder(folder)
        unmatched += [(f"{shown}/{path}", why) for path, why in inside.refused]
        found += [(f"{shown}/{file.path}", Owned(match["student"], file.path, file)) for file in inside.files]
        empty += [] if inside.files else [_student(match["student"])[0]]
    for stray in (*fixed.glob("*.ipynb"), *fixed.glob("*/*.ipynb")):
        if not stray.parent.name == assignment:
            unmatched.append((stray.relative_to(fixed).as_posix(), f"lies outside of a folder STUDENT/{assignment}"))
    owned, odd = _named(found)
    return _found(owned, [*unmatched, *odd], empty, stamped={one.student for one in owned})


# -------------------- folders and archives --------------------


def handed_in(where, assignment, notebooks, pattern=None, others=()):
    """What a folder or zip archive holds for an assignment with these notebooks; Problem when it is neither.

    others: names of the course's other assignments.
    """
    files, refused = listing.of(where)
    expression = _compiled(pattern)
    files = files if expression else without_wrapper(files, assignment, notebooks)
    known, used = gradescope(files)
    mine = collected(files, assignment)
    pairs, unmatched = [], list(refused)
    for file in files:
        if file.path in used:
            continue
        how = known, mine, others
        found = _by_pattern(expression, file) if expression else owners(file, assignment, notebooks, *how)
        if isinstance(found, str):
            unmatched.append((file.path, found))
        else:
            pairs += [(file.path, one) for one in found]
    owned, odd = _named(pairs)
    times = {student: entry.get("time") for entry in known.values() for student in entry["students"]}
    return _found(_apart(owned), [*unmatched, *odd], stamped=set() if expression else mine, times=times)


def _compiled(pattern):
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as why:
        raise Problem(f"--pattern is no regular expression: {why}") from None
    if "student" not in expression.groupindex:
        raise Problem(r"--pattern must say where the student's id is: '(?P<student>\w+)_.*\.ipynb', for example")
    return expression


def _by_pattern(expression, file):
    match = expression.fullmatch(file.path) or expression.fullmatch(file.name)
    if not match or not match["student"]:
        return "does not match --pattern"
    version = match.groupdict().get("version")
    if version is None:
        return [Owned(match["student"], file.name, file)]
    if not version.isdecimal():
        return f"has the version {version!r} by --pattern, which is no number"
    same = match.string[: match.start("version")] + match.string[match.end("version") :]  # the versions of one file
    return [Owned(match["student"], same.rsplit("/", 1)[-1], file, (int(version),))]


# -------------------- from files to submissions --------------------


def _named(pairs):
    """(the Owned with their students' ids, [(path, why)] of the others) for (path, Owned) pairs.

    Of two spellings of one id, such as a letter with its accent as one character or as two, the odd one is nobody's.
    """
    owned, odd, spellings = [], [], defaultdict(set)
    for _, one in pairs:
        spellings[_student(one.student)[0]].add(one.student)
    for path, one in pairs:
        student, why = _student(one.student)
        if why is None and one.student != student and len(spellings[student]) > 1:
            why = f"{one.student!a} is another spelling of {student}: whose is it?"
        if why:
            odd.append((path, why))
        else:
            owned.append(one._replace(student=student))
    return owned, odd


def _apart(owned):
    """Two people of one name become two students, by the platform's number; they must never share a grade."""
    numbers = defaultdict(set)
    for one in owned:
        numbers[one.student].add(one.lms_id)
    for one in owned:
        people = len(numbers[one.student])
        if people > 1 and one.lms_id:
            note = f"the name {one.student} is shared by {people} people"
            one = one._replace(student=f"{one.student}_{one.lms_id}", note=note)
        yield one


def _found(owned, unmatched, empty=(), stamped=(), times=None):
    """The Submissions; stamped: whose files lie as nbgrader collects them, which writes each one's timestamp.txt.

    Anywhere else a file of that name is the student's own, and says nothing about the time.
    """
    mine = defaultdict(list)
    for one in owned:
        mine[one.student].append(one)
    folded = Counter(student.casefold() for student in {*mine, *empty})
    made = [Submission(student, ()) for student in empty if student not in mine]
    for student, its in mine.items():
        notes = list(dict.fromkeys(one.note for one in its if one.note))
        if folded[student.casefold()] > 1:
            notes.append("another student's id differs in small and capital letters only")
        newest, older = _newest(one for one in its if one.name.endswith(".ipynb"))
        notes += [f"an older version, {one.file.path}, was not graded" for one in older]
        stamp = next((one.file for one in its if student in stamped and one.name == "timestamp.txt"), None)
        extra = [(one.name, one.file) for one in its if not one.name.endswith(".ipynb") and one.file is not stamp]
        time = _stamp(stamp) if stamp else (times or {}).get(student)
        lms_id = next((one.lms_id for one in its if one.lms_id), None)
        made.append(Submission(student, tuple(newest), tuple(extra), time, tuple(notes), lms_id))
    return Found(tuple(sorted(made, key=lambda s: s.student)), tuple(sorted(set(unmatched))))


def _newest(notebooks):
    """([(name, file), ...] with the highest version of each name, the others)"""
    best, older = {}, []
    for one in sorted(notebooks, key=lambda one: (one.version, one.file.path)):
        if one.name in best:
            older.append(best[one.name])
        best[one.name] = one
    return [(name, best[name].file) for name in sorted(best, key=lambda n: (n.count("/"), n))], older


def _stamp(file):
    try:
        return file.read()[:100].decode("utf-8", errors="replace").strip() or None
    except listing.Unreadable:
        return None


def _student(text):
    """(the id in Unicode's composed form, None), or (None, why it cannot be a student's id)."""
    student = unicodedata.normalize("NFC", text)
    if not student or len(student) > LONGEST or len(student.encode(errors="replace")) > 200:
        return None, f"the student's id has {len(student)} characters: 1 to {LONGEST} are possible"
    odd = sorted({c for c in student if unicodedata.category(c)[0] not in "LMN" and c not in " ._-@+'(),~&"})
    if odd:
        return None, f"{student!a} cannot be a student's id: {', '.join(map(ascii, odd))}"
    if student != student.strip():
        return None, f"{student!a} cannot be a student's id: it begins or ends with a space"
    if unicodedata.category(student[0])[0] not in "LN" and student[0] != "_":
        return None, f"{student!a} cannot be a student's id: it must begin with a letter or a digit"
    return student, None
