"""The course's package without the answers: a copy for the sandbox, where no way of importing or reading finds them.

Masked functions keep their signatures and refuse; what a student's code has no use for is left out.  By name only: the
same mathematics under another name stays, as a student may copy it by hand at home, too.
"""

import ast
import shutil
from pathlib import Path

LEFT_OUT = ("checks", "grading", "reporting", "practice", "_course", "__pycache__", "cli.py", "release.py", "start.py")


def copy(package, masks, target):
    """Writes a copy of the package's folder; masks: {"enm5310.pca.fit": "1.3"}, or None for one with the checks."""
    package, target = Path(package), Path(target)
    left_out = [name for name in LEFT_OUT if masks is not None or name != "checks"]
    shutil.copytree(package, target, ignore=shutil.ignore_patterns(*left_out))
    masks, texts = masks or {}, {p: p.read_text(encoding="utf-8") for p in sorted(target.rglob("*.py"))}
    names = {path: used(ast.parse(text)) for path, text in texts.items()} if masks else {}
    for path, text in texts.items():
        module = ".".join([package.name, *path.relative_to(target).with_suffix("").parts]).removesuffix(".__init__")
        mine = {name.removeprefix(f"{module}."): id for name, id in masks.items() if _belongs(name, path, module)}
        if mine:
            elsewhere = set().union(*(found for other, found in names.items() if other != path))
            path.write_text(redacted(text, module, mine, elsewhere), encoding="utf-8")


def _belongs(name, path, module):
    """Whether a masked name is an attribute of this module, and not of a module below it."""
    if not name.startswith(f"{module}."):
        return False
    first = name.removeprefix(f"{module}.").partition(".")[0]
    return path.name != "__init__.py" or not ((path.parent / first).is_dir() or (path.parent / f"{first}.py").is_file())


def redacted(source, module, masks, elsewhere=()):
    """The source of a module in which the masked names ("fit", "Net.forward") refuse.

    So do its private functions that serve nothing else; elsewhere: the names that other modules use.
    """
    tree = ast.parse(source)
    helpers = _only_for(tree, masks, elsewhere)
    for name, id in {**helpers, **masks}.items():
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


def _only_for(tree, masks, elsewhere):
    """{private function: exercise} of those that nothing but masked functions leads to."""
    private, led, roots = {}, {}, set(elsewhere)
    for node in tree.body:
        names = _bound(node)
        if names and all(name.startswith("_") and not name.startswith("__") for name in names):
            private |= dict.fromkeys(names, node)
        elif not any(name in masks for name in names):
            roots |= used(node)
        else:
            led |= {name: masks[next(n for n in names if n in masks)] for name in used(node) - led.keys()}
    _spread(dict.fromkeys(roots, None), private, reached := {})
    _spread(led, private, mine := {})
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {name: id for name, id in mine.items() if name not in reached and isinstance(private[name], functions)}


def _spread(names, private, reached):
    """Adds to ``reached`` the private names among these, and those that they use in turn."""
    for name, id in names.items():
        if name in private and name not in reached:
            reached[name] = id
            _spread(dict.fromkeys(used(private[name]), id), private, reached)


def _bound(node):
    """The names that a statement of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def used(tree):
    """The names that a piece of code uses, also as attributes, or imports."""
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    found |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    return found | {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}


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
