"""What an instructor may want to know about the code of a submission; a note costs no points."""

import ast
import re

FORBIDDEN = {
    "ctypes", "_ctypes", "socket", "subprocess", "multiprocessing", "gc", "inspect", "signal", "importlib", "builtins",
    "faulthandler", "mmap", "pty", "requests", "urllib", "http", "posix", "threading", "_thread", "sitecustomize",
    "runpy", "pkgutil", "fcntl", "zipimport", "imp",
}  # fmt: skip
PEEKS = {
    "_getframe", "settrace", "setprofile", "__subclasses__", "__globals__", "__builtins__", "f_back", "gi_frame",
    "__path__", "__file__", "__spec__", "__loader__", "get_code", "get_source", "getsource", "meta_path", "path_hooks",
    "run_path", "run_module", "spec_from_file_location", "exec_module",
}  # fmt: skip


def notes(sources, masks):
    """Lines about what the cells of a student's own import or reach for.  masks: {"enm5310.pca.fit": "1.3"}."""
    answers, checks, private, modules, peeks = {}, set(), set(), set(), set()
    for source in sources:
        if "enm5310" in source and re.search(r"%run\b|\bopen\(|\bread_text\(|\bcopytree\(|^!", source, re.M):
            peeks.add("files of the library")
        tree, used = parsed(source), _Used()
        try:
            used.visit(tree or ast.Module([], []))
        except RecursionError:
            continue
        answers |= {name: masks[name] for name in used.full if name in masks}
        checks |= {name for name in used.full if _reaches_into_checks(name.split("."))}
        private |= {name for name in used.full if _is_private(name.split("."))}
        modules |= used.modules & FORBIDDEN
        peeks |= used.attributes & PEEKS
    told = [f"answer key: it names {name}, which exercise {masks[name]} asks to write" for name in sorted(answers)]
    told += [f"checks: it reaches into {', '.join(sorted(checks)[:5])}"] * bool(checks)
    told += [f"library: it uses {', '.join(sorted(private)[:5])}, which is not for use"] * bool(private)
    told += [f"imports: {', '.join(sorted(modules)[:10])}"] * bool(modules)
    return told + [f"code: it uses {', '.join(sorted(peeks)[:10])}"] * bool(peeks)


def _reaches_into_checks(steps):
    """Whether a dotted name is more of enm5310.checks than a notebook calls, such as check.center.hint."""
    if steps[:2] != ["enm5310", "checks"] or len(steps) < 3:
        return False
    if not steps[2].startswith("part"):
        return True
    return any(step.startswith("_") for step in steps[3:]) or (len(steps) > 4 and steps[4] not in PUBLIC)


def _is_private(steps):
    """Whether a dotted name is inside a module of the library, as enm5310.pca._eig is."""
    inner = any(step.startswith("_") and not step.startswith("__") for step in steps[1:])
    return steps[0] == "enm5310" and inner and steps[1:2] != ["checks"]


PUBLIC = {"hint", "help", "mistakes", "solution", "id", "title"}


def parsed(source):
    """The syntax tree of a student's cell, or None for what is no Python, or too deep to be read."""
    from enm5310.grading import names

    if len(source) > 200_000:
        return None
    for text in (source, names.without_magics(source)):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


class _Used(ast.NodeVisitor):
    """Dotted names as imports make them: ``from enm5310 import pca as p; p.fit`` is enm5310.pca.fit."""

    def __init__(self):
        self.alias, self.full, self.modules, self.attributes = {}, set(), set(), set()

    def visit_Import(self, node):
        for a in node.names:
            self.modules.add(a.name.partition(".")[0])
            self.full.add(a.name)
            self.alias[a.asname or a.name.partition(".")[0]] = a.name if a.asname else a.name.partition(".")[0]

    def visit_ImportFrom(self, node):
        module = node.module or ""
        self.modules.add(module.partition(".")[0])
        self.full.add(module)
        for a in node.names:
            self.full.add(f"{module}.{a.name}")
            self.alias[a.asname or a.name] = f"{module}.{a.name}"

    def visit_Attribute(self, node):
        self.attributes.add(node.attr)
        steps, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            steps.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in self.alias:
            self.full.add(".".join([self.alias[inner.id], *reversed(steps)]))
        self.generic_visit(node)

    def visit_Name(self, node):
        if node.id in PEEKS:
            self.attributes.add(node.id)

    def visit_Constant(self, node):
        """import_module("enm5310.pca") and getattr(m, "fit") hide behind text; the module's name is enough to note."""
        if isinstance(node.value, str) and node.value.startswith("enm5310.") and len(node.value) < 100:
            self.full.add(node.value)
