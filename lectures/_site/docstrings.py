"""Sphinx extension: docstrings in the course's own prose, shown as they are meant, never read as reStructuredText.

A docstring begins with its formula.  ``formulas`` renders what it is sure of; the rest stays in the code's letters.
Indented lines, lists and examples keep their lines, other paragraphs flow.
"""

import inspect
import re
import textwrap

import formulas


def escaped(text):
    """Text that reStructuredText reads as these very characters."""
    return re.sub(r"([^\w\s]|_)", r"\\\1", text)


CODE = re.compile(r"(``?)([^`\s](?:[^`]*[^`\s])?)\1(?!`)")


def prose(text):
    """`escaped`, but for `code` between backquotes, which is set as such; "\\ " is a space that nobody sees."""
    out, end = "", 0
    for code in CODE.finditer(text):
        out, end = f"{out}{escaped(text[end : code.start()])}\\ ``{code[2]}``\\ ", code.end()
    return out + escaped(text[end:])


def literal(lines, style="docstring"):
    return [".. code-block:: text", f"   :class: {style}", "", *(f"   {line}" for line in lines), ""]


def keeps_its_lines(paragraph):
    return any(line.startswith((" ", "- ", ">>>")) for line in paragraph)


def paragraphs(lines):
    block = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def to_rst(lines, arguments=None):
    """A docstring as lines of reStructuredText; it may begin with a formula in the ``arguments`` of a function."""
    out = []
    for i, block in enumerate(paragraphs(lines)):
        if keeps_its_lines(block[1:]) or keeps_its_lines(block[:1]):
            out += literal(block)
            continue
        text = " ".join(block)
        if i == 0 and arguments is not None and (found := formulas.split(text, arguments)):
            tex, text = found
            out += [".. math::", "", f"   {tex}", ""]
        out += [prose(text), ""] if text else []
    return out


def fields(kind):
    """The fields of a NamedTuple with the comments that say what they are: [(name, comment)]."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return []
    found = re.findall(r"^    (\w+): [^#\n]*?(?:#\s*(.*))?$", source, re.M)
    return [(name, said) for name, said in found if name in getattr(kind, "_fields", ())]


def arguments_of(function):
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def process(app, what, name, item, options, lines):
    lines[:] = to_rst(lines, arguments_of(item) if what in ("function", "method") else None)
    if what == "class" and getattr(item, "_fields", None):
        lines += [f"- ``{field}``{': ' * bool(said)}{prose(said)}" for field, said in fields(item)] + [""]


def skip(app, what, name, item, skip, options):
    """Fields of named tuples are listed in the class's own text."""
    if type(item).__name__ == "_tuplegetter":
        return True
    return None


def setup(app):
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", skip)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
