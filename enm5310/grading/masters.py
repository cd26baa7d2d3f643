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
from enm5310.grading import names
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
    return _exercise(cell.exercise).id if cell.exercise else cell.name


def _exercise(where):
    return getattr(importlib.import_module(where[0]), where[1])


def prepare(master, files, limits, box):
    """The Master in these bytes, its tests tried on its own solutions; files: {name: bytes} it comes with.

    Problem when it is no notebook of nbgrader's.
    """
    return trial(read(master), files, limits, box)


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
            remote, needs = _slice(cells, i)
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


# -------------------- what a test needs --------------------


def _slice(cells, test):
    """(names that it takes from the student, statements of other cells to run first) for a test cell.

    Backwards from the test: whoever binds a name that is needed is needed, too.  The last to bind it decides whether it
    is the student's.  What a solution cell imports is imported here, if the student has imported it.
    """
    wanted = set(names.needed(cells[test].source))
    remote, settled, needs, star = set(), set(), [], False
    for number in range(test - 1, -1, -1):
        cell = cells[number]
        if cell.kind != "code":
            continue
        theirs = cell.role in ("solution", "manual")
        for at, s in reversed(list(enumerate(names.statements(cell.source)))):
            binds = s.binds & wanted
            if theirs and not s.imports:
                remote |= binds - settled
                settled |= binds
            elif binds or s.star or (s.root in wanted - remote and cell.role != "test"):
                needs.append((number, at, tuple(sorted(binds)) if theirs else ()))
                wanted |= s.needs if not s.imports else set()
                settled |= binds
                star = star or s.star
    unknown = wanted - settled - names.BUILTINS
    return frozenset(remote | (set() if star else unknown)), tuple(reversed(needs))


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "dill", "sympify", "parse_expr", "runpy"}


def _runs_text(cells, test):
    """A name in a test, or in what it needs, that could run a student's text as a program in the trusted process."""
    used = set(names.needed(cells[test].source)).union(
        *(names.statements(cells[number].source)[at].needs | names.statements(cells[number].source)[at].binds
          for number, at, _ in cells[test].needs)
    )  # fmt: skip
    return next(iter(sorted(used & RUNS_TEXT)), None)


# -------------------- the trial --------------------


def trial(master, files, limits, box):
    """The Master with each test tried on the instructor's own solutions."""
    from enm5310.grading import engine

    cells, notes = list(master.cells), []
    for i in master.tests:
        text = _runs_text(cells, i)
        if text:
            cells[i] = cells[i]._replace(protected=False)
            notes.append(f"{cells[i].name}: graded inside the sandbox, as it uses {text}: not protected")
    master = master._replace(cells=tuple(cells))
    outside = engine.dry_run(master, files, limits, box)
    again = [i for i in outside if not _full(cells[i], outside[i])]
    if again:  # a test may draw random numbers
        tried = engine.dry_run(master, files, limits, box, only=again)
        outside |= {i: v for i, v in tried.items() if _full(cells[i], v)}
    failed = [i for i, v in outside.items() if not _full(cells[i], v) and not _uses_checks(cells, i)]
    inside = [i for i in master.tests if i not in outside]
    tried = engine.dry_run(master, files, limits, box, only=[*inside, *failed], inside=True) if inside or failed else {}
    for i, v in {**outside, **{i: v for i, v in tried.items() if i in inside}}.items():
        cells[i] = cells[i]._replace(number=v.number, changes=v.changes, traits=v.traits)
    for i in failed:
        if _full(cells[i], tried[i]):
            cells[i] = cells[i]._replace(protected=False, number=tried[i].number)
            notes.append(f"{cells[i].name}: passes only beside the student's code and is graded there: not protected")
    for i in master.tests:
        v = outside[i] if i in outside and cells[i].protected else tried[i]
        if v.score < cells[i].points:
            why = f": {v.message}" if v.message else ""
            got = f"{v.score:g} of {cells[i].points:g}"
            notes.append(f"{cells[i].name}: the instructor's own solution earns {got}{why}")
    return master._replace(cells=tuple(cells), notes=tuple(notes))


def _uses_checks(cells, test):
    """Whether a test uses checks of ours, which do nothing beside the student's code: there it would always pass."""
    used = [names.statements(cells[number].source)[at] for number, at, _ in cells[test].needs]
    used += names.statements(cells[test].source)
    return any("enm5310.checks" in ast.unparse(s.node) for s in used if s.imports)


def _full(cell, verdict):
    return verdict.state == "right" or (verdict.number and verdict.score > 0)
