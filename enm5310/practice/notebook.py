"""Read a notebook file, never write one: its code cells, or the one line that says why it is no notebook."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from enm5310.practice import Problem


class Cell(NamedTuple):
    """A code cell; ``name`` is nbgrader's grade_id, else the cell id, else empty."""

    number: int  # its place in the file, from 0
    name: str
    source: str


class Notebook(NamedTuple):
    path: Path
    cells: tuple  # of Cell: code only, in order
    sha256: str  # of the file's bytes


def read(path):
    """The Notebook in a file; Problem when there is none, or it is not one."""
    path = Path(path)
    return parse(_bytes(path), path)


def parse(data, path):
    """The Notebook in these bytes; ``path`` is what messages call it."""
    document = _json(data, path)
    version = document.get("nbformat") if isinstance(document, dict) else None
    if isinstance(version, int) and version < 4:
        raise Problem(f"{path} is a notebook of the old format {version}: open it in JupyterLab and save it")
    cells = document.get("cells") if isinstance(version, int) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise Problem(f"{path} is JSON but not a notebook: it has no list of cells")
    code = tuple(_cell(number, cell) for number, cell in enumerate(cells) if cell.get("cell_type") == "code")
    if not code:
        raise Problem(f"{path} has no code cell: there is nothing to check")
    return Notebook(path, code, hashlib.sha256(data).hexdigest())


def _bytes(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Problem(f"there is no {path}") from None
    except IsADirectoryError:
        raise Problem(f"{path} is a folder, not a notebook") from None
    except OSError as why:
        raise Problem(f"{path} cannot be read: {why.strerror or why}") from None


def _json(data, path):
    if not data.strip():
        raise Problem(f"{path} is empty: restore it from a copy, or delete it and run `enm5310 start`")
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Problem(f"{path} is not a notebook: it holds bytes that are not text") from None
    except json.JSONDecodeError as why:
        conflict = "; it holds a merge conflict (<<<<<<<)" if b"<<<<<<< " in data else ""
        raise Problem(f"{path} is not a notebook: not JSON at line {why.lineno} ({why.msg}){conflict}") from None
    except RecursionError:
        raise Problem(f"{path} is not a notebook: its JSON is nested too deeply") from None


def _cell(number, cell):
    source, metadata = cell.get("source", ""), cell.get("metadata")
    graded = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = (graded.get("grade_id") if isinstance(graded, dict) else None) or cell.get("id") or ""
    return Cell(number, str(name), "".join(map(str, source)) if isinstance(source, list) else str(source))
