"""The course's package without the answers: a copy for the sandbox, where no way of importing or reading finds them.

Masked functions keep their signatures and refuse; what a student's code has no use for is left out.  By name only: the
same mathematics under another name stays, as a student may copy it by hand at home, too.
"""

import ast
import shutil
from pathlib import Path

LEFT_OUT = ("checks", "grading", "practice", "_course", "__pycache__", "cli.py", "release.py", "start.py")


def copy(package, masks, target):
    """Writes a copy of the package's folder; masks: {"enm5310.pca.fit": "1.3"}, or None for one with the checks."""
    package, target = Path(package), Path(target)
    left_out = [name for name in LEFT_OUT if masks is not None or name != "checks"]
    shutil.copytree(package, target, ignore=shutil.ignore_patterns(*left_out))
    masks = masks or {}
    for path in sorted(target.rglob("*.py")):
        module = ".".join([package.name, *path.relative_to(target).with_suffix("").parts]).removesuffix(".__init__")
        mine = {name.removeprefix(f"{module}."): id for name, id in masks.items() if _belongs(name, path, module)}
        if mine:
            path.write_text(redacted(path.read_text(encoding="utf-8"), module, mine), encoding="utf-8")


def _belongs(name, path, module):
    """Whether a masked name is an attribute of this module, and not of a module below it."""
    if not name.startswith(f"{module}."):
        return False
    first = name.removeprefix(f"{module}.").partition(".")[0]
    return path.name != "__init__.py" or not ((path.parent / first).is_dir() or (path.parent / f"{first}.py").is_file())


def redacted(source, module, masks):
    """The source of a module in which the masked names ("fit", "Net.forward") refuse."""
    tree = ast.parse(source)
    for name, id in masks.items():
        words = f"{id} asks you to write this; {module}.{name} is not there while it is graded"
        refuse = ast.parse(f"raise PermissionError({words!r})").body
        found = _definitions(tree, name.split("."))
        for node in found:
            node.body = refuse
        if not found:  # bound in another way: bound again, at the end
            f = name.replace(".", "_")
            tree.body += ast.parse(f"def {f}(*args, **kwargs): raise PermissionError({words!r})").body
            if f != name:
                tree.body += ast.parse(f"{name} = {f}").body
    return ast.unparse(ast.fix_missing_locations(tree))


def _definitions(tree, path):
    """The functions of a dotted name, wherever in the module it is defined: inside an if or a try, or twice."""
    *owners, name = path
    scopes = [tree]
    for owner in owners:
        scopes = [n for scope in scopes for n in ast.walk(scope) if isinstance(n, ast.ClassDef) and n.name == owner]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [n for scope in scopes for n in _own(scope) if isinstance(n, functions) and n.name == name]


def _own(scope):
    """The nodes of a scope, without those inside its functions and classes."""
    for node in ast.iter_child_nodes(scope):
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _own(node)
