"""What is remembered between two calls: the last verdicts, the hints shown, the notebooks as they were last checked.

All of it lies in ``.enm5310/progress.json`` of the course folder, and may be deleted at any time.
"""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from enm5310.practice.places import MEMORY


class Progress(NamedTuple):
    verdicts: dict  # id -> {"state", "points", "max_points", "message", "mistake"}
    hints: dict  # id -> how many have been shown
    notebooks: dict  # path in the course folder -> SHA-256 of the file when it was checked


def load(folder):
    """(the Progress of a course folder, None or a line to tell): a damaged file is set aside, and all starts anew."""
    path = Path(folder) / MEMORY / "progress.json"
    fresh = Progress({}, {}, {})
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8"))), None
    except FileNotFoundError:
        return fresh, None
    except OSError as why:
        return fresh, f"the progress in {path} cannot be read: {why.strerror or why}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        aside = path.with_name(f"progress.damaged-{secrets.token_hex(2)}.json")
        with contextlib.suppress(OSError):
            os.replace(path, aside)
        return fresh, f"the progress file was damaged; it is kept as {aside} and a new one was begun"


def _checked(stored):
    verdicts, hints, notebooks = (stored[name] for name in Progress._fields)
    verdicts = {str(i): {name: v[name] for name in ("state", "points", "max_points", "message", "mistake")}
                for i, v in verdicts.items()}  # fmt: skip
    if not all(type(v["points"]) is type(v["max_points"]) is int for v in verdicts.values()):
        raise ValueError("points that are no numbers")
    hints = {str(i): int(n) for i, n in hints.items()}
    return Progress(verdicts, hints, {str(path): str(sha) for path, sha in notebooks.items()})


def save(folder, progress):
    """Writes all or nothing; returns None, or the line that says why it could not be written."""
    try:
        write(Path(folder) / MEMORY / "progress.json", json.dumps(progress._asdict(), indent=1).encode())
    except OSError as why:
        return f"progress is not kept: {Path(folder) / MEMORY} cannot be written ({why.strerror or why})"
    return None


def write(path, data):
    """The bytes at a path, by a temporary file and a rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remember(folder, notebook, judged):
    """Adds the verdicts on a notebook to the progress of its course folder; returns the lines to tell."""
    progress, note = load(folder)
    verdicts = {j.id: {"state": j.state, "points": j.points, "max_points": j.max_points,
                       "message": j.message, "mistake": j.mistake} for j in judged}  # fmt: skip
    inside = Path(notebook.path).resolve().relative_to(folder).as_posix()
    progress = Progress({**progress.verdicts, **verdicts}, progress.hints,
                        {**progress.notebooks, inside: notebook.sha256})  # fmt: skip
    return [told for told in (note, save(folder, progress)) if told]


def changed(folder, progress):
    """The notebooks that are no longer as they were when they were last checked, as paths in the course folder."""
    return [path for path, sha in progress.notebooks.items() if _sha256(Path(folder) / path) != sha]


def _sha256(path):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
