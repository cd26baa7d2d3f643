"""A static page: no script, no style but ours, nothing from elsewhere; it works from file://, and its policy says so.

All text goes through ``text`` or ``words``; what else may stand on a page is made by ``showing`` and ``pictures``.
"""

import base64
import functools
import hashlib
import html
import importlib.resources
import re

from enm5310.grading import clean


def document(title, body):
    """A whole page, as text; the policy allows pictures inside the page and our own style sheet, and nothing else."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#content">Skip to the content</a>\n<main id="content">\n{body}\n</main>\n'
        "</body>\n</html>\n"
    )


@functools.cache
def _style():
    return importlib.resources.files("enm5310.reporting").joinpath("pages.css").read_text(encoding="utf-8")


def text(given):
    """Text of anybody's as HTML: escaped, and without characters that nobody can see."""
    return html.escape(clean.plain(str(given)))


def words(given):
    """A sentence of ours, in which `code` stands between backticks, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(given))


def pre(made, kind=""):
    """Lines of text, which are HTML already.  A box that may have to be scrolled is a stop of the Tab key."""
    lines = html.unescape(re.sub(r"<[^>]*>", "", made)).split("\n")
    stop = ' tabindex="0"' if len(lines) > 20 or max(map(len, lines)) > 60 else ""
    kind = f' class="{kind}"' if kind else ""
    return f"<pre{kind}{stop}>{made}</pre>"


def count(n, word):
    return f"{n:,} {word}{'s' * (n != 1)}"


def points(n):
    """A number of points without digits that mean nothing."""
    return f"{round(n, 2):g}"


def worth(n):
    return f"{points(n)} point{'s' * (n != 1)}"


def table(caption, head, rows, numbers=()):
    """A table with a header row; the cells are HTML, and the columns in ``numbers`` are numbers."""
    kind = [' class="n"' if at in numbers else "" for at in range(len(head))]
    top = "".join(f'<th scope="col"{k}>{cell}</th>' for cell, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{cell}</td>" for cell, k in zip(row, kind, strict=True)) + "</tr>\n" for row in rows
    )
    caption = f"<caption class='muted'>{caption}</caption>" if caption else ""
    return f'<div class="wide"><table>{caption}\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


MARKS = {"right": "\u2713", "partly": "\u25d0", "wrong": "\u2717", "none": "\u25cb"}


def state(kind, said):
    """A state with its mark, which a screen reader does not read since the words say the same."""
    return f'<span class="{kind}"><span aria-hidden="true">{MARKS[kind]}</span> {text(said)}</span>'
