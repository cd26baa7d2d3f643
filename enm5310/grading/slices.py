"""What a test needs of the other cells: the names that are the student's, and statements that are run before it."""

import ast

from enm5310.grading import names


def needs_of(cells, test):
    """(names that it takes from the student, statements of other cells to run first) for a test cell.

    Backwards from the test: whoever binds a name that is needed is needed, too.  The last to bind it decides whether it
    is the student's.  What a solution cell imports is imported here, if the student has imported it.
    """
    wanted, before = set(names.needed(cells[test].source)), None
    while wanted != before:  # a function may read names that are bound after it
        before = set(wanted)
        remote, needs, unknown = _backwards(cells, test, wanted)
    return frozenset(remote | unknown), tuple(reversed(needs))


def _backwards(cells, test, wanted):
    """One pass: (the student's names, statements to run, names that nobody binds); it adds to ``wanted``."""
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
    return remote, needs, set() if star else wanted - settled - names.BUILTINS


RUNS_TEXT = {"eval", "exec", "compile", "__import__", "pickle", "marshal", "dill", "sympify", "parse_expr", "runpy"}


def runs_text(cells, test):
    """A name in a test, or in what it needs, that could run a student's text as a program in the trusted process."""
    used = set(names.needed(cells[test].source)).union(
        *(names.statements(cells[number].source)[at].needs | names.statements(cells[number].source)[at].binds
          for number, at, _ in cells[test].needs)
    )  # fmt: skip
    return next(iter(sorted(used & RUNS_TEXT)), None)


def uses_checks(cells, test):
    """Whether a test uses checks of ours, which do nothing beside the student's code: there it would always pass."""
    used = [names.statements(cells[number].source)[at] for number, at, _ in cells[test].needs]
    used += names.statements(cells[test].source)
    return any("enm5310.checks" in ast.unparse(s.node) for s in used if s.imports)
