"""What names a piece of Python binds, and what names it needs: read from its syntax, nothing is run."""

import ast
import builtins
import functools
import symtable
from typing import NamedTuple

BUILTINS = frozenset(dir(builtins)) | {"get_ipython", "display", "__name__"}


class Statement(NamedTuple):
    """One top-level statement of a cell."""

    node: ast.stmt
    binds: frozenset  # names of the module that it may bind, change or delete
    needs: frozenset  # names that it, or a function it defines, reads
    imports: bool
    star: bool  # from m import *
    root: str | None  # np for the statement np.random.seed(0): it acts on what it starts with


@functools.lru_cache(maxsize=4096)
def statements(source):
    """The top-level statements of a cell, magics made harmless; empty for what is no Python."""
    tree = parse(source)
    return () if tree is None else tuple(map(_statement, tree.body))


@functools.lru_cache(maxsize=4096)
def parse(source):
    """The cell's syntax tree with the line numbers of its text, or None when it is no Python."""
    for text in (source, without_magics(source)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def without_magics(source):
    """The text with every line that IPython alone understands emptied, so that all others keep their numbers."""
    lines = source.split("\n")
    if source.lstrip().startswith("%%"):
        return "\n" * (len(lines) - 1)
    return "\n".join(_pass(line) if line.lstrip()[:1] in ("%", "!", "?") or line.rstrip()[-1:] == "?" else line
                     for line in lines)  # fmt: skip


def _pass(line):
    return line[: len(line) - len(line.lstrip())] + "pass"


def bound(source):
    """The names that a cell binds at its top level."""
    return frozenset().union(*(s.binds for s in statements(source)))


def needed(source):
    """The names that a cell reads before it binds them itself."""
    free, own = set(), set()
    for s in statements(source):
        free |= s.needs - own - (s.binds if isinstance(s.node, COMPOUND) else set())
        own |= s.binds
    return frozenset(free)


COMPOUND = (ast.For, ast.While, ast.With, ast.If, ast.Try, ast.FunctionDef, ast.ClassDef)  # bind before they read


# -------------------- one statement --------------------


def _statement(node):
    binds, needs = set(), set()
    for part in _outside_functions(node):
        binds |= set(_bound_by(part))
    for part in ast.walk(node):
        if isinstance(part, ast.Global):
            binds |= set(part.names)
    needs = set(_read(symtable.symtable(ast.unparse(node), "<cell>", "exec")))
    if isinstance(node, ast.AugAssign):
        needs |= binds
    star = isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    root = _root(call.func) if call and isinstance(call.func, ast.Attribute) else None
    imports = isinstance(node, (ast.Import, ast.ImportFrom))
    return Statement(node, frozenset(binds), frozenset(needs), imports, star, root)


def _read(table):
    """The names of the module that a piece of code reads, also from inside its functions."""
    top = table.get_type() == "module"
    yield from (s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global()))
    for inner in table.get_children():
        yield from _read(inner)


def _outside_functions(node):
    """The node and what lies in it, without the insides of functions, classes, lambdas and comprehensions."""
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            yield from (part for part in ast.walk(child) if isinstance(part, ast.NamedExpr))
        else:
            yield from _outside_functions(child)


def _bound_by(part):
    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield part.name
    elif isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del)):
        yield part.id
    elif isinstance(part, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name.partition(".")[0]) for alias in part.names if alias.name != "*")
    elif isinstance(part, ast.NamedExpr):
        yield part.target.id
    elif isinstance(part, ast.ExceptHandler) and part.name:
        yield part.name
    elif isinstance(part, (ast.MatchAs, ast.MatchStar)) and part.name:
        yield part.name
    elif isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, (ast.Store, ast.Del)):
        root = _root(part)
        if root:
            yield root


def _root(node):
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
