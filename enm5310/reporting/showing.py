"""A student's own cells on a page: code coloured but not run, text as text, outputs cut to a size that can be read."""

import re
import sys
from pathlib import Path

from enm5310.grading import clean
from enm5310.reporting import pages, pictures

CODE, ANSWER, OUT, ROWS = 20_000, 20_000, 4_000, 80  # characters of a cell, of an answer, of an output; its lines
CHARACTERS, PICTURES, PICTURE_BYTES = 400_000, 60, 8 * 2**20  # of a page


class Sheet:
    """What one page may still show of a student's; places: folders of this machine that no page may name."""

    def __init__(self, places=()):
        self.characters, self.pictures, self.bytes = CHARACTERS, PICTURES, PICTURE_BYTES
        self.left_out = 0  # cells
        self.figures = 0
        self._places = _places(places)

    def cell(self, cell):
        """The HTML of a cell of an executed notebook, with its outputs."""
        source = cell["source"]
        if self.characters <= 0:
            self.left_out += 1
            return ""
        if cell["cell_type"] != "code":
            return f'<div class="theirs answer">{self._cut(source, ANSWER)}</div>' if source.strip() else ""
        if not source.strip():
            return ""
        return pages.pre(f"<code>{self._code(source)}</code>") + "".join(map(self._output, cell.get("outputs", ())))

    def without_places(self, given):
        """Text of a traceback or a message, without the paths of this machine."""
        return self._places.sub("\u2026", given)

    # -------------------- text --------------------

    def _code(self, source):
        source, more = clean.plain(source), ""
        if len(source) > CODE:
            source, more = source[:CODE], f"\n\u2026 {pages.count(len(source) - CODE, 'more character')} not shown"
        self.characters -= len(source)
        return coloured(source) + more

    def _cut(self, given, most, rows=10**9):
        """Escaped text, with a count of what is left out."""
        given = clean.text(given, clean.TEXT)
        lines = given.split("\n", rows)
        kept = "\n".join(lines[:rows])[:most]
        self.characters -= len(kept)
        left = len(given) - len(kept)
        told = f"\n\u2026 {pages.count(left, 'more character')} not shown" if left > 1 else ""
        return pages.text(self.without_places(kept)) + told

    # -------------------- outputs --------------------

    def _output(self, output):
        kind = output.get("output_type")
        if self.characters <= 0:
            return '<p class="muted">An output is not shown: the page is full.</p>'
        if kind == "stream":
            return pages.pre(self._cut(output["text"], OUT, ROWS), "out")
        if kind == "error":
            said = f"{output['ename']}: {output['evalue']}".rstrip(": ")
            return pages.pre(self._cut(said, OUT, ROWS), "out")
        data = output.get("data", {})
        for mime in ("image/png", "image/jpeg"):
            if mime in data:
                return self._picture(data[mime])
        if "text/html" in data:
            made = table(data["text/html"]) if len(data["text/html"]) <= 5 * OUT else None
            if made is not None:
                self.characters -= len(made)
                return f'<div class="theirs">{self.without_places(made)}</div>'
        if "text/plain" in data:
            return pages.pre(self._cut(data["text/plain"], OUT, ROWS), "out")
        return ""

    def _picture(self, data):
        made = pictures.anew(data) if self.pictures > 0 else None
        if made is None or len(made[0]) > self.bytes:
            return '<p class="muted">A picture is not shown: it is too large, damaged, or one too many.</p>'
        data, width, height = made
        self.pictures, self.bytes, self.figures = self.pictures - 1, self.bytes - len(data), self.figures + 1
        alt = f"Figure {self.figures}, drawn by the code above"
        size = f'width="{width}" height="{height}"'
        return f'<figure><img alt="{alt}" {size} src="data:image/png;base64,{data}"></figure>'


def table(given):
    """HTML of a student's with tables and emphasis only, or None."""
    import nh3

    once = clean.html(given)  # too long or too deep: None
    return once and nh3.clean(once, tags=TAGS, attributes=ATTRIBUTES, url_schemes=set(), link_rel=None)


TAGS = {*clean.TABLES, "b", "i", "em", "strong", "code", "pre", "sub", "sup", "br", "p", "ul", "ol", "li"} - {"caption"}
SPANS = {"colspan", "rowspan"}
ATTRIBUTES = {"*": set(), "td": SPANS, "th": SPANS}  # nh3 would let title and lang pass otherwise


# -------------------- code --------------------


def coloured(source):
    """Python source as HTML with a class on keywords, texts, numbers, comments and names that are defined."""
    from pygments.lexers import PythonLexer
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    kinds = ((Keyword, "k"), (Operator.Word, "k"), (String, "s"), (Number, "m"), (Comment, "c"),
             (Name.Function, "nf"), (Name.Class, "nf"))  # fmt: skip
    made = []
    for token, piece in PythonLexer(stripnl=False, ensurenl=False).get_tokens(source):
        name = next((name for kind, name in kinds if token in kind), None)
        made.append(f'<span class="{name}">{pages.text(piece)}</span>' if name else pages.text(piece))
    return "".join(made)


def _places(more):
    """A pattern for paths of this machine, up to the package that they lead to."""
    roots = {sys.prefix, sys.base_prefix, Path.home(), Path(__file__).parents[2], *more}
    roots = {str(path) for root in roots for path in (root, Path(root).resolve())}
    known = "|".join(re.escape(root) for root in sorted(roots, key=len, reverse=True) if len(root) > 2)
    step = r"(?:/[^\s/:'\"<>|]+)"
    return re.compile(rf"{step}{{1,12}}?/(?:site|dist)-packages(?=/)|{step}{{1,6}}?/lib/python3\.\d+|(?:{known})")
