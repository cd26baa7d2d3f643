"""From code cells to steps: each exercise is judged at the place of its test cell, whatever became of that cell."""

import ast
import importlib
import importlib.util
import re
from typing import NamedTuple

from enm5310 import course
from enm5310.practice import Problem

MOST_COPIES = 4  # of a test cell, at which an exercise is judged again


class Step(NamedTuple):
    """One thing for the child to do: run a cell, or judge an exercise."""

    kind: str  # "cell" or "check"
    what: object  # the cell's number, or the exercise's name
    source: str = ""  # the cell's
    copy: int = 0  # of a check: 0, or which copy of its test cell stands here


# -------------------- the exercises of a part --------------------


def module_of(part):
    """The name of the module that declares a part's checks: "01_pca" -> "enm5310.checks.part1"."""
    return f"enm5310.checks.part{course.PARTS.index(part) + 1}"


def parts():
    """The parts that have checks, in order."""
    return [part for part in course.PARTS if importlib.util.find_spec(module_of(part))]


def exercises(part):
    """The exercises of a part, in the lecture's order."""
    from enm5310.checks import Exercise

    return [e for e in vars(importlib.import_module(module_of(part))).values() if isinstance(e, Exercise)]


def part_of(notebook):
    """The part whose checks a notebook imports, else the part it is named after; Problem when it is neither."""
    if notebook.path.resolve().parent.name == "lectures":
        raise Problem(f"{notebook.path} is a lecture, with nothing to check: the exercise notebooks are in exercises/")
    for cell in notebook.cells:
        number = re.search(r"^\s*(?:from|import)\s+enm5310\.checks(?:\s+import\s+|\.)part(\d+)\b", cell.source, re.M)
        if number and f"part{number[1]}" in {module_of(part).rsplit(".")[-1] for part in parts()}:
            return course.PARTS[int(number[1]) - 1]
    if notebook.path.stem in parts():
        return notebook.path.stem
    raise Problem(
        f"{notebook.path} is not an exercise notebook of this course: no cell imports its checks "
        f"(`from enm5310.checks import part1 as check`)"
    )


# -------------------- the steps --------------------


def steps(notebook, exercises):
    """(steps, notes): all cells up to the last check, checks at their test cells; what is odd about these cells.

    Test cells are never run: the checks are the package's own.  At a copy of a test cell the exercise is judged again,
    and the best counts, as in `enm5310 grade`; a copy that was edited is a cell like any other.  An exercise whose test
    cell is gone is judged at the end.  Problem when the notebook has nothing of any exercise.
    """
    tests = {cell.number: e for cell in notebook.cells for e in exercises if is_test(cell, e)}
    first = {}  # {exercise's name: the cell that stands for its test}: the first that is one still
    for cell in sorted(notebook.cells, key=lambda c: c.number in tests and not _calls(c, tests[c.number])):
        if cell.number in tests:
            first.setdefault(tests[cell.number].name, cell.number)
    judged, plan, notes = {}, [], []
    for cell in notebook.cells:
        e = tests.get(cell.number)
        if e is None:
            plan.append(Step("cell", cell.number, cell.source))
            continue
        if cell.number == first[e.name] or _calls(cell, e):
            copy = judged[e.name] = judged.get(e.name, -1) + 1
            plan += [Step("check", e.name, copy=copy)] * (copy <= MOST_COPIES)
            notes += [f"{e.id}: its check cell was edited; what it holds is not run"] * (not _calls(cell, e))
        else:
            plan.append(Step("cell", cell.number, cell.source))
        if cell.number != first[e.name]:
            notes.append(f"{e.id}: its check cell is there more than once; the best one counts")
    notes = list(dict.fromkeys(notes))
    if not judged and not any(defines(cell, f) for cell in notebook.cells for e in exercises for f in e.of):
        raise Problem(f"{notebook.path} has none of the exercises {exercises[0].id}-{exercises[-1].id}; "
                      f"`enm5310 start --dir NEW` makes a fresh copy of the course")  # fmt: skip
    missing = [e for e in exercises if e.name not in judged]
    notes += [f"{e.id}: its check cell is missing, so it was judged at the end" for e in missing]
    plan += [Step("check", e.name) for e in missing]
    while plan[-1].kind == "cell":  # what comes after the last check cannot change a verdict
        plan.pop()
    return plan, notes


def is_test(cell, exercise):
    """Whether a cell is an exercise's test cell: by its name, or because it is exactly the call of the check."""
    return cell.name == f"test-{exercise.name.replace('_', '-')}" or _calls(cell, exercise)


def _calls(cell, exercise):
    """Whether the source is ``check.name(f, g)`` with the exercise's own functions, and perhaps a seed."""
    try:
        call = ast.parse(cell.source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == exercise.name):
        return False
    return isinstance(call.func.value, ast.Name) and [getattr(a, "id", None) for a in call.args] == list(exercise.of)


def defines(cell, function):
    """Whether a cell's text looks as if it defined a function of this name; it need not be valid Python."""
    f = re.escape(function)
    return bool(re.search(rf"^\s*(?:async\s+)?(?:def|class)\s+{f}\b|^{f}\s*=[^=]|^from .*import.*\b{f}\b",
                          cell.source, re.M))  # fmt: skip
