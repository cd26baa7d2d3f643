"""Small syntactic changes to a solution: a check that lets one pass has a hole, or the change is equivalent."""

import ast
import copy

BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
BINARY[ast.MatMult] = ast.Mult
COMPARE = {ast.GtE: ast.Gt, ast.Gt: ast.GtE, ast.LtE: ast.Lt, ast.Lt: ast.LtE, ast.Eq: ast.NotEq}
CALLS = {"sum": "mean", "mean": "sum", "sqrt": "square", "log": "exp", "exp": "log", "argmax": "argmin", "max": "min"}


def mutants(text):
    """(what was changed, mutated source) for each single change to the functions in ``text``."""
    tree = ast.parse(text)
    for path, node in _nodes(tree):
        for what, change in _changes(node):
            mutant = copy.deepcopy(tree)
            change(_find(mutant, path))
            yield f"{what} in `{ast.unparse(node)[:60]}`", ast.unparse(ast.fix_missing_locations(mutant))


def _nodes(tree, path=()):
    """Every node with the way to it, docstrings left out."""
    for name, value in ast.iter_fields(tree):
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _docstring(child):
                step = (*path, (name, i if isinstance(value, list) else None))
                yield step, child
                yield from _nodes(child, step)


def _docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _find(tree, path):
    for name, i in path:
        tree = getattr(tree, name) if i is None else getattr(tree, name)[i]
    return tree


def _changes(node):
    """(words, function that changes a copy of the node in place)."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        yield f"{type(node.op).__name__} -> {BINARY[type(node.op)].__name__}", _set("op", BINARY[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARE:
        yield "comparison", _set("ops", [COMPARE[type(node.ops[0])]()])
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value} + 1", _set("value", node.value + 1)
        yield f"{node.value} - 1", _set("value", node.value - 1)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "minus dropped", _set("op", ast.UAdd())
    if isinstance(node, ast.Attribute) and node.attr in CALLS:
        yield f"{node.attr} -> {CALLS[node.attr]}", _set("attr", CALLS[node.attr])
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield ".T dropped", _set("attr", "real")
    if isinstance(node, ast.Slice) and (node.lower or node.upper) and not node.step:
        yield "slice turned round", _swap("lower", "upper")
    if isinstance(node, ast.keyword) and node.arg in ("axis", "keepdims"):
        yield f"{node.arg} dropped", _set("value", ast.Constant(None if node.arg == "axis" else False))
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
        yield "results swapped", lambda n: n.value.elts.reverse()
    if isinstance(node, ast.Assign) and _names(node.targets[0]) <= _names(node.value):
        yield "assignment dropped", lambda n: _set("value", ast.parse(ast.unparse(n.targets[0]), mode="eval").body)(n)


def _names(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _set(field, value):
    return lambda node: setattr(node, field, copy.deepcopy(value))


def _swap(a, b):
    def change(node):
        x, y = getattr(node, a), getattr(node, b)
        setattr(node, a, y)
        setattr(node, b, x)

    return change
