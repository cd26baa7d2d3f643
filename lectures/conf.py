"""Sphinx's settings for the course's site.  ``python lectures/_site/build.py OUT`` stages the sources and calls Sphinx.

The tag ``lite`` says that JupyterLite lies in the site, so that "open in the browser" has something to open.
Formulas are rendered here, by KaTeX in node; style and fonts lie in ``_site/static``: no page asks another host.
"""

import sys
from pathlib import Path

SITE = Path(__file__).resolve().with_name("_site")
sys.path.insert(0, str(SITE))

project = "enm5310"
author = "the contributors of enm5310"
language = "en"
root_doc = "index"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinxcontrib.katex",
    "patience",
    "pages",
    "docstrings",
]  # fmt: skip
smartquotes = False  # "..." in code-like text stays as it is

# -------------------- notebooks: executed copies come from the build --------------------

nb_execution_mode = "off"
nb_ipywidgets_js = {}  # our figures are HTML and ask for no script of others
nb_mime_priority_overrides = [("html", "text/html", 0)]
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# -------------------- formulas --------------------

katex_prerender = True
katex_css_path = "katex/katex.min.css"

# -------------------- API reference --------------------

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
add_module_names = False
toc_object_entries_show_parents = "hide"
viewcode_line_numbers = True
viewcode_follow_imported_members = False  # each name is documented in the module that defines it

# -------------------- appearance --------------------

html_theme = "furo"
html_title = "enm5310"
templates_path = [str(SITE / "templates")]
html_favicon = str(SITE / "static" / "icon.svg")
html_static_path = [str(SITE / "static")]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b5fa5",
        "color-brand-content": "#0b5fa5",
        "color-brand-visited": "#0b5fa5",
        "color-foreground-muted": "#595e66",
        "color-foreground-secondary": "#4d525a",
    },
    "dark_css_variables": {
        "color-brand-primary": "#7cc0ff",
        "color-brand-content": "#7cc0ff",
        "color-brand-visited": "#7cc0ff",
        "color-foreground-muted": "#a3a9b3",
    },
}
