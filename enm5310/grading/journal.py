"""What has been graded, on disk: one file per submission, each written whole, so that a killed run loses nothing else.

A record is used again as long as everything that it depends on is the same: the key says so.
"""

import functools
import hashlib
import json
from pathlib import Path

from enm5310.practice.progress import write


class Journal:
    """The records of one assignment; of a kind: those that the gradebook is made from, or what was only tried."""

    def __init__(self, course, assignment, kind="records"):
        self.folder = course.ours / kind / assignment

    def load(self, student, key):
        """The record of a student, if it was made under this key; else None."""
        record = self.read(student)
        return record if record is not None and record.get("key") == key else None

    def parts(self, student):
        """What the key of a student's record was made from; {} when that is not known, None without a record."""
        record = self.read(student)
        found = record and record.get("parts", {})
        return found if found is None or isinstance(found, dict) else {}

    def read(self, student):
        """A student's record, whatever its key, or None."""
        try:
            record = json.loads((self.folder / f"{student}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    def save(self, student, record):
        write(self.folder / f"{student}.json", json.dumps(record, indent=1).encode())

    def forget(self, student):
        (self.folder / f"{student}.json").unlink(missing_ok=True)

    def sweep(self):
        """Deletes what a killed run has left half-written."""
        for left in self.folder.glob("*.part"):
            left.unlink(missing_ok=True)


def key(**parts):
    """A hash of plain data: of all that a record depends on."""
    return digest(json.dumps(parts, sort_keys=True).encode())


def digest(data):
    return hashlib.sha256(data).hexdigest()


@functools.cache
def engine():
    """A hash of the code that grades: another version of it grades again."""
    package = Path(__file__).resolve().parent.parent
    parts = [*package.glob("grading/**/*.py"), *package.glob("checks/*.py")]
    return digest(b"".join(p.read_bytes() for p in sorted(parts)))
