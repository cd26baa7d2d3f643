"""Whose a file is, as the download of a learning platform or a mail program says it: by its path, and nothing else."""

import datetime
import re
from typing import NamedTuple

from enm5310.grading import listing
from enm5310.practice import Problem


class Owned(NamedTuple):
    """A file with its owner."""

    student: str
    name: str  # the file's name, or its path in the student's folder
    file: listing.File
    version: tuple = (0,)
    lms_id: str | None = None
    note: str | None = None


CANVAS = re.compile(r"(?P<student>[^_/]+)(?P<late>_LATE)?_(?P<user>\d+)_(?P<upload>\d+)_(?P<name>[^/]+)")
MOODLE = re.compile(r"(?P<student>[^/]+?)_(?P<user>\d+)_assignsubmission_(?:file|onlinetext)_?/?(?P<name>.+)")
GRADESCOPE = re.compile(r"submission_(?P<number>\d+)/(?P<name>.+)")
VERSION = re.compile(r"(?P<stem>.+?)-(?P<number>\d{1,6})")  # Canvas: name-2
COPY = re.compile(r"(?P<stem>.+?) ?\((?P<number>\d{1,6})\)\.ipynb")  # browsers and mail programs: name (2)


def owners(file, assignment, notebooks, known, collected, others):
    """The Owned that a path makes (none: another assignment's), or the reason why it belongs to nobody.

    known: what Gradescope's metadata say; collected: who has a folder for this assignment, as in nbgrader's tree;
    others: the course's other assignments.
    """
    parts = file.path.split("/")
    if match := GRADESCOPE.fullmatch(file.path):
        entry = known.get(match["number"])
        if entry is None:
            return "has no entry with a student in submission_metadata.yml"
        together = None if len(entry["students"]) == 1 else f"handed in together by {', '.join(entry['students'])}"
        return [Owned(student, match["name"], file, lms_id=entry["ids"].get(student), note=together)
                for student in entry["students"]]  # fmt: skip
    if match := MOODLE.fullmatch(file.path):
        return [Owned(match["student"], match["name"], file, lms_id=match["user"])]
    if match := CANVAS.fullmatch(file.path):
        name, version = _version(match["name"], notebooks)
        late = "the platform marked it late" if match["late"] else None
        return [Owned(match["student"], name, file, (version, int(match["upload"])), match["user"], late)]
    if len(parts) > 2 and parts[1] == assignment:
        return [Owned(parts[0], "/".join(parts[2:]), file)]
    if len(parts) > 2 and (parts[1] in others or parts[0] in collected):
        return []
    if len(parts) > 1:
        return [Owned(parts[0], "/".join(parts[1:]), file)]
    if not file.name.endswith(".ipynb"):
        return "is no notebook, and no name of a student"
    copy = COPY.fullmatch(file.name)
    student = copy["stem"] if copy else file.name.removesuffix(".ipynb")
    if student in notebooks:
        return "is called like the assignment's notebook: whose is it?"
    return [Owned(student, f"{student}.ipynb", file, (int(copy["number"]) if copy else 0,))]


def _version(name, notebooks):
    """("problem1.ipynb", 2) for problem1-2.ipynb and problem1 (2).ipynb, unless a notebook is called like that."""
    stem, dot, suffix = name.rpartition(".")
    match = None if stem in notebooks else VERSION.fullmatch(stem)
    if not dot or not match:
        return name, 0
    return f"{match['stem']}.{suffix}", int(match["number"])


def without_wrapper(files, assignment, notebooks):
    """The files as seen from inside of a single folder around all of them, where that is no student's folder."""
    tops = {file.path.split("/")[0] for file in files}
    if len(tops) != 1 or any("/" not in file.path for file in files):
        return files
    inner = [file._replace(path=file.path.split("/", 1)[1]) for file in files]
    platform = any(e.fullmatch(f.path) for f in inner for e in (CANVAS, MOODLE, GRADESCOPE))
    already = any(e.fullmatch(f.path) for f in files for e in (CANVAS, MOODLE, GRADESCOPE))
    many = [f for f in inner if f.path.endswith(".ipynb") and "/" not in f.path and f.path[:-6] not in notebooks]
    folders = {f.path.split("/")[0] for f in inner if f.path.count("/") == 1 and f.path.endswith(".ipynb")}
    several = len(many) > len(notebooks) or len(folders - {assignment}) > 1
    return inner if not already and (platform or several or collected(inner, assignment)) else files


def collected(files, assignment):
    """The students with a folder STUDENT/ASSIGNMENT."""
    return {f.path.split("/")[0] for f in files if f.path.split("/")[1:2] == [assignment] and f.path.count("/") > 1}


# -------------------- Gradescope's metadata --------------------


def gradescope(files):
    """({submission's number: {"students", "ids", "time"}}, paths of the metadata files)

    Only the file beside the submissions is Gradescope's: one inside of them is what a student handed in.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe YAML that reads Ruby's objects as the plain mappings they are."""

    Loader.add_multi_constructor("!ruby", lambda loader, suffix, node: loader.construct_mapping(node, deep=True))
    known, used = {}, set()
    for file in files:
        if file.path != "submission_metadata.yml":
            continue
        used.add(file.path)
        try:
            if file.size > 20 * 2**20:
                raise Problem(f"{file.path} has {file.size >> 20} MiB: is it Gradescope's?")
            document = yaml.load(file.read(), Loader)
        except (yaml.YAMLError, listing.Unreadable, RecursionError, ValueError) as why:
            raise Problem(f"{file.path} cannot be read: {' '.join(str(why).split())[:200]}") from None
        for key, entry in (document if isinstance(document, dict) else {}).items():
            number, entry = str(key).removeprefix("submission_"), _plain(entry)
            people = [person for person in map(_plain, _list(entry.get("submitters"))) if _called(person)]
            if people:
                time = entry.get("created_at")
                time = _plain(time).get("utc", time) if isinstance(time, dict) else time
                known[number] = {"students": list(dict.fromkeys(map(_called, people))),
                                 "ids": {_called(p): _text(p["sid"]) for p in people if _text(p.get("sid"))},
                                 "time": str(time) if isinstance(time, str | datetime.date) else None}  # fmt: skip
    return known, used


def _plain(entry):
    """A mapping with Ruby's colons taken off its keys."""
    return {str(k).lstrip(":"): v for k, v in entry.items()} if isinstance(entry, dict) else {}


def _list(value):
    return value if isinstance(value, list) else []


def _called(person):
    """A submitter's student id, else the name in the address, else the full name."""
    email = _text(person.get("email")).partition("@")[0]
    return _text(person.get("sid")) or email or _text(person.get("name"))


def _text(value):
    """A name or a number as text; "" for anything else, however large (YAML can say much in a few lines)."""
    return str(value).strip() if isinstance(value, str | int) and len(str(value)) < 200 else ""
