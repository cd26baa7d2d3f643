"""The instructor's notebook, read once: its cells, what its tests need, which of them can be run outside the sandbox.

A test is *protected* when it passes in the trusted process, with proxies in place of the instructor's own solution.
One that does not (it deletes a student's name, looks into a function, uses its objects) runs beside the student's code.
"""

import ast
import hashlib
import importlib
import json
from typing import NamedTuple

from enm5310.checks import Exercise
from enm5310.grading import names, slices
from enm5310.grading.serving import Unavailable
from enm5310.practice import Problem


class Cell(NamedTuple):
    """A cell of the master."""

    kind: str  # "code", "markdown" or "raw"
    role: str  # "test", "solution", "manual", "task", "locked" or "free"
    source: str
    released: str  # what students got: without solutions and hidden tests
    name: str = ""  # nbgrader's grade_id
    id: str = ""
    points: float = 0.0
    nbgrader: dict = {}  # noqa: RUF012 - its metadata, never changed
    hidden: tuple = ()  # (first, last) line numbers of hidden tests
    exercise: tuple | None = None  # (module, name) of the check of ours that it calls
    remote: frozenset = frozenset()  # names that a test takes from the student
    needs: tuple = ()  # (cell, statement, names that the student must have imported, too) to run before a test
    protected: bool = True
    number: bool | None = None  # whether a test ends with its points; None: not known yet
    changes: frozenset = frozenset()  # (function, argument) that the instructor's own solution changes in place
    traits: frozenset = frozenset()  # (function, "NaN" and its like) of the instructor's own answers


class Master(NamedTuple):
    """Plain data: it can be sent to another process."""

    cells: tuple
    kernelspec: dict
    names: frozenset  # that its solution cells define
    masks: dict  # attribute of the library -> the exercise that asks to write it
    sha256: str
    notes: tuple = ()  # lines for the instructor

    @property
    def tests(self):
        return [i for i, cell in enumerate(self.cells) if cell.role == "test"]

    @property
    def ids(self):
        """The ids of its exercises, each of which has a seed: of our own checks, else the tests' names."""
        return tuple(identity(self.cells[i]) for i in self.tests)

    @property
    def grade_ids(self):
        return tuple(cell.name for cell in self.cells if cell.name)

    @property
    def max_score(self):
        return sum(cell.points for cell in self.cells)


def identity(cell):
    """What a record calls the exercise of a graded cell: "1.3" for a check of ours, else its name."""
    return exercise(cell.exercise).id if cell.exercise else cell.name


def exercise(where):
    """The check of ours that a test cell calls, from its (module, name)."""
    return getattr(importlib.import_module(where[0]), where[1])


def prepare(master, files, limits, box, own=None):
    """The Master in these bytes, its tests tried on its own solutions; files: {name: bytes} it comes with.

    own: those of them that a student may replace: they are there beside the solutions only, as with a student.

    Problem when it is no notebook of nbgrader's.
    """
    from enm5310.grading.trial import trial  # it runs the engine, which knows masters

    try:
        return trial(read(master), files, limits, box, own or {})
    except Unavailable as why:
        raise Problem(f"the sandbox starts no process: {why}") from None


# -------------------- reading --------------------


def read(data):
    """The Master in these bytes, nothing run."""
    try:
        document = json.loads(data)
        cells = [_cell(cell) for cell in document["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise Problem(f"the source notebook cannot be read: {type(why).__name__}: {why}") from None
    graded = [cell.name for cell in cells if cell.name]
    twice = {name for name in graded if graded.count(name) > 1}
    if twice:
        raise Problem(f"the source notebook has several cells with the nbgrader id {', '.join(sorted(twice))}")
    modules = {}
    for i, cell in enumerate(cells):
        if cell.kind == "code" and cell.role in ("free", "locked"):
            modules |= _check_modules(cell.source)
        if cell.role == "test":
            remote, needs = slices.needs_of(cells, i)
            cells[i] = cell._replace(exercise=_calls(cell.source, modules), remote=remote, needs=needs)
    defined = frozenset().union(*(_defined(cell) for cell in cells))
    masks = {answer: e.id for e in _exercises(set(modules.values())) for answer in e.answers}
    spec = document.get("metadata", {}).get("kernelspec", {})
    return Master(tuple(cells), spec, defined, masks, hashlib.sha256(data).hexdigest())


def _cell(cell):
    source, metadata = cell["source"], cell.get("metadata", {})
    source = ("".join(source) if isinstance(source, list) else source).replace("\r\n", "\n")
    mine = metadata.get("nbgrader", {})
    grade, solution, locked, task = (bool(mine.get(key)) for key in ("grade", "solution", "locked", "task"))
    role = (
        "task" if task else "manual" if grade and (solution or cell["cell_type"] != "code") else "test" if grade
        else "solution" if solution else "locked" if locked else "free"
    )  # fmt: skip
    shown, hidden = _without_hidden(source)
    released = metadata.get("enm5310", {}).get("released", shown)
    if role == "free":
        return Cell(cell["cell_type"], role, source, released, id=cell.get("id", ""))
    points = max(0.0, float(mine.get("points") or 0)) if grade or task else 0.0
    kept = {
        "grade": grade, "grade_id": mine["grade_id"], "locked": locked, "schema_version": 3, "solution": solution,
        "task": task, "cell_type": cell["cell_type"],
    }  # fmt: skip
    kept |= {"points": points} if grade or task else {}
    kept |= {"checksum": mine["checksum"]} if "checksum" in mine else {}
    return Cell(cell["cell_type"], role, source, released, mine["grade_id"], cell.get("id", ""), points, kept, hidden)


def _without_hidden(source):
    """(source without its hidden tests, the line numbers of these)."""
    shown, hidden, begun = [], [], None
    for number, line in enumerate(source.split("\n"), start=1):
        if "BEGIN HIDDEN TESTS" in line:
            begun = number
        elif "END HIDDEN TESTS" in line and begun is not None:
            hidden.append((begun, number))
            begun = None
        elif begun is None:
            shown.append(line)
    if begun is not None:
        hidden.append((begun, number))
    return "\n".join(shown), tuple(hidden)


def _defined(cell):
    if cell.kind != "code" or cell.role not in ("solution", "manual"):
        return frozenset()
    return frozenset().union(*(s.binds for s in names.statements(cell.source) if not s.imports))


# -------------------- checks of this course --------------------


def _check_modules(source):
    """{name: module} for imports such as ``from enm5310.checks import part1 as check``."""
    found = {}
    for statement in names.statements(source):
        if statement.imports:
            node = statement.node
            for alias in node.names:
                full = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
                if full.startswith("enm5310.checks.part") and (alias.asname or isinstance(node, ast.ImportFrom)):
                    found[alias.asname or alias.name] = full
    return found


def _calls(source, modules):
    """(module, name) when a test cell is the call of one of our checks with its own functions."""
    tree = names.parse(source)
    call = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    called = call.func if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None
    module = modules.get(called.value.id) if called and isinstance(called.value, ast.Name) else None
    found = module and vars(importlib.import_module(module)).get(called.attr)
    if isinstance(found, Exercise) and [getattr(a, "id", None) for a in call.args] == list(found.of):
        return module, called.attr
    return None


def _exercises(modules):
    for module in sorted(modules):
        yield from (e for e in vars(importlib.import_module(module)).values() if isinstance(e, Exercise))
