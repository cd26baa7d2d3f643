"""Sphinx extension: the line of links below a notebook's title, and figures of lectures on other pages."""

from pathlib import Path

import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive, directives

LITE = "lite/lab/index.html?path="


class LectureFigure(Directive):
    """``{lecture-figure} lectures/07_vae.ipynb`` with ``:cell: pad``: what that cell shows, live, without its code."""

    required_arguments = 1
    option_spec = {"cell": directives.unchanged_required}

    def run(self):
        env = self.state.document.settings.env
        path = Path(env.srcdir, self.arguments[0])
        env.note_dependency(str(path))
        wanted = [cell for cell in nbformat.read(path, as_version=4).cells if cell.id == self.options["cell"]]
        shown = [o.data["text/html"] for cell in wanted for o in cell.get("outputs", []) if "text/html" in o.get("data", {})]
        if not shown:
            raise self.error(f"cell {self.options['cell']!r} of {path.name} shows no HTML")
        return [nodes.raw("", f'<div class="front-figure">{shown[0]}</div>', format="html")]


def bar(docname, up, lite):
    """HTML of the links of a notebook's page; ``up`` leads to the top of the site."""
    name = docname.rpartition("/")[2] + ".ipynb"
    links = [f'<a href="{name}" download>Download the notebook</a>']
    if lite:
        links.append(f'<a href="{up}{LITE}{docname}.ipynb">Open in the browser</a>')
    top, _, rest = docname.partition("/")
    return f'<p class="notebook-links">{" ".join(links)}</p>'


def add_bar(app, pagename, templatename, context, doctree):
    if doctree is None or not pagename.startswith(("lectures/", "exercises/")):
        return
    if not str(app.env.doc2path(pagename)).endswith(".ipynb"):
        return
    line = bar(pagename, "../" * pagename.count("/"), app.tags.has("lite"))
    head, end, rest = context["body"].partition("</h1>")
    context["body"] = head + end + line + rest


def setup(app):
    app.add_directive("lecture-figure", LectureFigure)
    app.connect("html-page-context", add_bar)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
