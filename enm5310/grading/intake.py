"""The bytes that a student handed in become cells.

Nothing of the file is believed: the JSON is walked type by type, and of a cell only its type, its source, its names
and its tags are taken; outputs, attachments and execution counts are left behind.
"""

import codecs
import json
from typing import NamedTuple

from enm5310.grading import clean

BYTES, CELLS, CELL_TEXT, ALL_TEXT = 50 * 2**20, 2_000, 10**6, 4 * 10**6
VALUES = 10**6  # lists and dicts in a file: each costs far more memory than its text


class NotGradable(Exception):
    """The submission cannot be graded; the message says why in one line."""


class Submitted(NamedTuple):
    """A cell as it was handed in."""

    kind: str  # "code", "markdown" or "raw"
    source: str
    name: str  # nbgrader's grade_id, or empty
    id: str
    nbgrader: dict
    tags: tuple


# -------------------- the file --------------------


def read(data):
    """(the submitted cells, notes); NotGradable when it is no notebook."""
    document = _json(data)
    version = document.get("nbformat") if isinstance(document, dict) else None
    cells = document.get("cells") if isinstance(document, dict) else None
    if isinstance(document, dict) and not isinstance(cells, list) and isinstance(document.get("worksheets"), list):
        raise NotGradable("a notebook of the old format 3: open it in JupyterLab, save it and hand it in again")
    if not isinstance(cells, list):
        raise NotGradable("JSON, but not a notebook: it has no list of cells")
    if len(cells) > CELLS:
        raise NotGradable(f"it has {len(cells):,} cells; at most {CELLS:,} are graded")
    notes = []
    if type(version) is not int or version != 4:
        notes.append("odd metadata: the notebook does not say that it is of format 4")
    read, odd = [], 0
    for cell in cells:
        made = _cell(cell)
        odd += made is None
        read += [made] if made else []
    if odd:
        notes.append(f"odd cells: {odd} that are no cells of a notebook were left out")
    if sum(len(cell.source) for cell in read) > ALL_TEXT or any(len(cell.source) > CELL_TEXT for cell in read):
        raise NotGradable(f"its cells hold more than {CELL_TEXT // 10**6} million characters")
    return read, notes


def _json(data):
    if not data.strip():
        raise NotGradable("the file is empty")
    if len(data) > BYTES:
        raise NotGradable(f"the file has {len(data) / 2**20:.0f} MiB; at most {BYTES // 2**20} MiB are read")
    if data.count(b"[") + data.count(b"{") > VALUES or data.count(b'"') > 8 * VALUES:
        raise NotGradable("JSON of too many values to be a notebook")
    try:
        return json.loads(_text(data))
    except UnicodeDecodeError:
        raise NotGradable("not a notebook: it holds bytes that are not text") from None
    except json.JSONDecodeError as why:
        conflict = "; it holds a merge conflict (<<<<<<<)" if b"<<<<<<< " in data else ""
        raise NotGradable(f"not a notebook: not JSON at line {why.lineno} ({clean.line(why.msg)}){conflict}") from None
    except ValueError:
        raise NotGradable("not a notebook: its JSON holds a number too long to be one") from None
    except (RecursionError, MemoryError):
        raise NotGradable("not a notebook: its JSON is nested too deeply") from None


def _text(data):
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def _cell(cell):
    """A Submitted cell, or None for what is none."""
    if not isinstance(cell, dict):
        return None
    kind, source, metadata = cell.get("cell_type"), cell.get("source", ""), cell.get("metadata")
    if isinstance(source, list):
        source = "".join(piece for piece in source if isinstance(piece, str))
    if not isinstance(source, str) or not isinstance(kind, str):
        return None
    metadata = metadata if isinstance(metadata, dict) else {}
    nbgrader = metadata.get("nbgrader") if isinstance(metadata.get("nbgrader"), dict) else {}
    tags = metadata.get("tags")
    tags = tuple(clean.line(tag) for tag in tags[:20] if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Submitted(
        kind if kind in ("code", "markdown") else "raw", plain(source), _short(nbgrader.get("grade_id")),
        _short(cell.get("id")), nbgrader, tags,
    )  # fmt: skip


def plain(source):
    """Source with Unix line ends, without the characters that no file and no Python source may hold."""
    source = source.encode("utf-8", "replace").decode("utf-8")
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd").removeprefix("\ufeff")


def _short(given):
    return given if isinstance(given, str) and len(given) <= 200 else ""
