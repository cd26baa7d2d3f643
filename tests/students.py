"""Notebooks as students leave them, and the command line as they call it."""

import json
import os
import subprocess
import sys

from tests.notebooks import ROOT, exercises, solution_cell

PART = "01_pca"
STARTER = ROOT / "exercises" / PART / f"{PART}.ipynb"
IDS = {e.name.replace("_", "-"): e.id for e in exercises(PART)}


def write(path, answers=None, solved=True, drop=(), edit=lambda cells: cells):
    """The released notebook at a path: solved or not, with the source of some cells replaced and some cells dropped."""
    document = json.loads(STARTER.read_text(encoding="utf-8"))
    sources = {e.name.replace("_", "-"): solution_cell(e) for e in exercises(PART)} if solved else {}
    sources |= answers or {}
    assert set(sources) | set(drop) <= {cell["id"] for cell in document["cells"]}
    for cell in document["cells"]:
        cell["source"] = sources.get(cell["id"], cell["source"])
    document["cells"] = edit([cell for cell in document["cells"] if cell["id"] not in drop])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def code(source, **metadata):
    """A code cell of the student's own."""
    empty = {"outputs": [], "execution_count": None}
    return {"cell_type": "code", "id": "mine", "metadata": metadata, "source": source, **empty}


def call(*arguments, cwd, **environment):
    """`enm5310 ...` in a process of its own, warnings as errors: the finished run, as text."""
    env = {k: v for k, v in os.environ.items() if k not in ("NBGRADER_EXECUTION", "NO_COLOR", "FORCE_COLOR")}
    env |= {"PYTHONIOENCODING": "utf-8", **environment}
    command = [sys.executable, "-W", "error", "-m", "enm5310", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", timeout=120)
