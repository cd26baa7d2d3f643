"""A student's folder in autograded/, as nbgrader would have left it, and what nbgrader reads in the notebooks there."""

import contextlib
import os
import secrets
import shutil
from typing import NamedTuple


class Graded(NamedTuple):
    """One student's assignment, ready to be written."""

    student: str
    executed: dict  # notebook -> what `reading` made of the executed notebook, or None when it is not gradable
    missing: tuple = ()  # notebooks that were not handed in
    timestamp: str | None = None
    files: dict = {}  # noqa: RUF012 - path -> bytes of what lies beside the notebooks
    lms_id: str | None = None


def reading(text):
    """What the gradebook is to know of an executed notebook, as nbgrader reads it: plain data.

    "text": the notebook; "auto": the automatic score of each grade cell, None where a human decides; "silent": the
    solution cells that were left without a response.
    """
    import nbformat
    from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, is_task

    def silent(cell):
        answer = is_solution(cell) and not is_task(cell)
        return answer and cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)

    marked = [cell for cell in nbformat.v4.reads(text).cells if "nbgrader" in cell.metadata]
    return {
        "text": text,
        "auto": {c.metadata.nbgrader.grade_id: determine_grade(c)[0] for c in marked if is_grade(c)},
        "silent": [c.metadata.nbgrader.grade_id for c in marked if silent(c)],
    }


def holds(folder, graded):
    """Whether the folder has exactly these notebooks and this timestamp."""
    texts, there = _texts(graded), {}
    if folder.is_dir():
        there = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".ipynb" or p.name == "timestamp.txt"}
    return there == texts


def place(folder, graded, permissions):
    """Makes the folder anew, whole or not at all; when no notebook is gradable there is none."""
    for left in folder.parent.glob(f".{folder.name}.*.part"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    texts = _texts(graded)
    fresh, old = (folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part") for _ in range(2))
    for name, data in {**graded.files, **texts}.items() if texts else ():
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).write_bytes(data)
        (fresh / name).chmod(permissions)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, old)
    if texts:
        os.rename(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def _texts(graded):
    texts = {f"{name}.ipynb": found["text"].encode() for name, found in graded.executed.items() if found}
    return {**texts, "timestamp.txt": graded.timestamp.encode()} if texts and graded.timestamp else texts
