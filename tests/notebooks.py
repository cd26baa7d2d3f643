"""Reading the course's notebooks in tests: cells, and the reference solutions as live functions."""

import functools
import importlib
import json
import linecache
from pathlib import Path

from enm5310 import course

ROOT = Path(__file__).resolve().parent.parent
PARTS = course.parts_here()


def cells(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def nbgrader(cell):
    return cell["metadata"].get("nbgrader", {})


def checks(part):
    """The check module of a part: "01_pca" -> enm5310.checks.part1."""
    return importlib.import_module(f"enm5310.checks.part{int(part[:2])}")


def exercises(part):
    from enm5310.checks import Exercise

    return [e for e in vars(checks(part)).values() if isinstance(e, Exercise)]


def every_exercise():
    return [e for part in PARTS for e in exercises(part)]


def solution_cell(exercise):
    """The source of the cell that solves an exercise."""
    part = course.part_of(exercise.id)
    wanted = exercise.name.replace("_", "-")
    (cell,) = [c for c in cells(ROOT / "solutions" / part / f"{part}.ipynb") if nbgrader(c).get("grade_id") == wanted]
    return source(cell)


def run(text, scope=None, name="<student's cell>"):
    """The names that a cell's source defines, after the notebook's set-up cell."""
    scope = {"__name__": "student"} if scope is None else scope
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), scope)
    return scope


@functools.cache
def reference(exercise):
    """The functions that the solutions notebook gives for an exercise, by name."""
    part = course.part_of(exercise.id)
    path = ROOT / "solutions" / part / f"{part}.ipynb"
    (setup,) = [c for c in cells(path) if nbgrader(c).get("grade_id") == "setup"]
    scope = run(solution_cell(exercise), run(source(setup)), name=f"<solution {exercise.id}>")
    return {name: scope[name] for name in exercise.of}
