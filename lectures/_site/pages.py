"""Sphinx extension: links below a notebook's title, figures of lectures on other pages, tables with an empty corner."""

import re
from pathlib import Path
from typing import ClassVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive, directives

LITE = "lite/lab/index.html?path="
EMPTY_HEADING = re.compile(r"<th( [^>]*)?>(?:<p></p>)?</th>")


class LectureFigure(Directive):
    """``{lecture-figure} lectures/07_vae.ipynb`` with ``:cell: pad``: what that cell shows, live, without its code."""

    required_arguments = 1
    option_spec: ClassVar = {"cell": directives.unchanged_required}

    def run(self):
        env = self.state.document.settings.env
        path = Path(env.srcdir, self.arguments[0])
        env.note_dependency(str(path))
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.id == self.options["cell"]]
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        shown = [data["text/html"] for data in outputs if "text/html" in data]
        if not shown:
            raise self.error(f"cell {self.options['cell']!r} of {path.name} shows no HTML")
        return [nodes.raw("", f'<div class="front-figure">{shown[0]}</div>', format="html")]


def bar(docname, up, lite):
    """HTML of the links of a notebook's page; ``up`` leads to the top of the site."""
    name = docname.rpartition("/")[2] + ".ipynb"
    links = [f'<a href="{name}" download>Download the notebook</a>']
    if lite:
        links.append(f'<a href="{up}{LITE}{docname}.ipynb">Open in the browser</a>')
    return f'<p class="notebook-links">{" ".join(links)}</p>'


def add_bar(app, pagename, templatename, context, doctree):
    if doctree is None or not pagename.startswith(("lectures/", "exercises/")):
        return
    if not str(app.env.doc2path(pagename)).endswith(".ipynb"):
        return
    line = bar(pagename, "../" * pagename.count("/"), app.tags.has("lite"))
    head, end, rest = context["body"].partition("</h1>")
    context["body"] = head + end + line + rest


def name_no_empty_column(app, pagename, templatename, context, doctree):
    """The empty corner of a table is a cell, not a heading that a screen reader would announce as nothing."""
    if doctree is not None:
        context["body"] = EMPTY_HEADING.sub(r"<td\1><p></p></td>", context["body"])


def setup(app):
    app.add_directive("lecture-figure", LectureFigure)
    app.connect("html-page-context", add_bar)
    app.connect("html-page-context", name_no_empty_column)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
