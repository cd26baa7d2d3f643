"""What a student's notebook may show in an instructor's browser or terminal: text, pictures, and HTML without teeth."""

import base64
import binascii
import functools
import re

LINE = 600  # characters of a line in a record
TEXT = 100_000  # characters of one output; more is cut
OUTPUTS = 200  # outputs of one cell
PICTURE = 8 * 2**20  # bytes of one picture, in base64
CUT = "\n... output truncated"

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?"  # titles, links and other strings
    r"|[ -/]*[0-~])"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def line(text):
    """One printable line of at most LINE characters, or None."""
    if text is None:
        return None
    told = _ESCAPES.sub("", _encodable(str(text)[: 20 * LINE]))
    told = " ".join("".join(c if c.isprintable() else " " for c in told).split())
    return told if len(told) <= LINE else told[: LINE - 3] + "..."


def text(given, limit=TEXT):
    """Text without terminal escapes, control characters and lone surrogates, cut at the limit."""
    given = _encodable(given[: limit + 1])
    cut = len(given) > limit
    rows = (row.rstrip("\r").rpartition("\r")[2] for row in given[:limit].split("\n"))
    kept = "\n".join(rows)  # of a progress bar what its last carriage return has left
    return _CONTROLS.sub("", _ESCAPES.sub("", kept)) + CUT * cut


def plain(given):
    """Text of ours in which words of a student's may stand: nothing in it but characters that can be written."""
    return _CONTROLS.sub("", _encodable(given))


def _encodable(given):
    """Lone surrogates are no characters: they cannot be written to a file."""
    return given.encode("utf-8", "replace").decode("utf-8")


# -------------------- outputs of code cells --------------------


class Room:
    """How much of its outputs a notebook may show: cleaning takes time."""

    def __init__(self, characters=4_000_000, pictures=32 * 2**20):
        self.characters, self.pictures = characters, pictures

    def take(self, output):
        """Whether there is room for this output; it is gone then."""
        for mime, value in {"text": output.get("text", ""), **(output.get("data") or {})}.items():
            if mime.startswith("image/"):
                self.pictures -= len(value)
            else:
                self.characters -= len(value) * (8 if mime == "text/html" else 1)
        return self.characters >= 0 and self.pictures >= 0


def outputs(given, room):
    """Outputs of a cell that ran in the sandbox (of box.py's forms), as nbformat 4 dicts that are safe to show."""
    shown, cut = [], len(given) > OUTPUTS
    for output in given[:OUTPUTS]:
        if not room.take(output):
            cut = True
            break
        made = _output(output)
        shown += [made] if made is not None else []
    return shown + [_stream("stdout", CUT.strip() + "\n")] * cut


def _stream(name, words):
    return {"output_type": "stream", "name": name, "text": words}


def _output(given):
    kind = given.get("output_type")
    if kind == "stream":
        return _stream("stderr" if given.get("name") == "stderr" else "stdout", text(str(given.get("text", ""))))
    if kind == "error":
        trace = given.get("traceback")
        lines = [text(str(one), 4000) for one in trace[:40]] if isinstance(trace, list) else []
        name, words = line(given.get("ename") or "Error"), line(given.get("evalue") or "")
        return {"output_type": "error", "ename": name, "evalue": words, "traceback": lines}
    if kind not in ("display_data", "execute_result") or not isinstance(given.get("data"), dict):
        return None
    data = {}
    for mime, value in given["data"].items():
        value = "".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(value, str):
            data |= _mime(mime, value, data)
    if not data:
        return None
    made = {"output_type": kind, "data": data, "metadata": {}}
    return made | {"execution_count": None} if kind == "execute_result" else made


def _mime(mime, value, others):
    if mime == "text/plain":
        return {"text/plain": text(value)}
    if mime in ("text/latex", "text/markdown"):
        return {} if "text/plain" in others else {"text/plain": text(value)}
    if mime in ("image/png", "image/jpeg"):
        return {mime: value.strip()} if _is_picture(mime, value) else {}
    if mime == "text/html":
        made = html(value)
        return {} if made is None else {"text/html": made}
    return {}


def _is_picture(mime, value):
    if len(value) > PICTURE:
        return False
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return data.startswith(b"\x89PNG\r\n\x1a\n" if mime == "image/png" else b"\xff\xd8\xff")


def html(value):
    """HTML without scripts, styles, forms, frames, links; None when it is too much or nh3 is not installed."""
    cleaner = _cleaner()
    if cleaner is None or len(value) > TEXT or _depth(value) > DEPTH:  # parsers take quadratic time over deep nesting
        return None
    return cleaner.clean(plain(value))


def _depth(value):
    depth = deepest = 0
    for closes, tag in re.findall(r"<(/?)([A-Za-z][A-Za-z0-9]{0,15})", value):
        if tag.lower() not in VOID:
            depth = max(0, depth - 1) if closes else depth + 1
            deepest = max(deepest, depth)
    return deepest


DEPTH = 300
VOID = ("br", "hr", "img", "col", "input", "wbr", "meta", "link", "p", "li", "td", "th", "tr", "dd", "dt")


@functools.cache
def _cleaner():
    try:
        import nh3
    except ImportError:
        return None
    spans = {"colspan", "rowspan"}
    attributes = {"*": set(), "td": spans, "th": spans}  # nh3 alone lets title and lang through
    return nh3.Cleaner(tags={*HARMLESS, *TABLES}, attributes=attributes, url_schemes=set())


# -------------------- Markdown --------------------

INLINE = "b", "i", "u", "s", "em", "strong", "code", "small"  # unclosed, a browser goes on with them to the page's end
HARMLESS = (
    *INLINE, "pre", "sub", "sup", "br", "hr", "p", "ul", "ol", "li", "kbd", "blockquote", "details", "summary",
    "h1", "h2", "h3", "h4", "h5", "h6",
)  # fmt: skip
TABLES = ("table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption", "div", "span", "dl", "dt", "dd")
_PAIR = rf"<({'|'.join(INLINE)})>[^<>`$\[\]\\\n]*</\2>"  # nothing in between that could swallow its end
_TAG = re.compile(rf"({_PAIR})|<(?=[A-Za-z/!?])(?!/?(?:{'|'.join(HARMLESS[len(INLINE):])})\s*/?>)")
_ADDRESS = re.compile(r"<(https?://[^\s<>\"'`]+)>")  # in a block of HTML a browser reads a tag with attributes
_INSIDE = r"\[[^\[\]\\`<$\n]*\]\((?:data:image/|(?!/)(?:(?!\.\.)[\w./ -]){1,300}\))"  # in the submission
_PICTURE = re.compile(rf"(?<!!)!+(?=\[)(?!{_INSIDE})")
_HEADING = re.compile(r"(?m)^([ \t>*+\d.)-]*#{1,6}[ \t]+)|(?<=\S)(?=[ \t]*\n[ \t>]*(?:=+|-+)[ \t]*$)")
_SCHEME = re.compile(
    r"(?i)\b(javascript|vbscript|livescript|file(?=\s*:\s*/)|data(?=\s*:\s*(?!image/(?:png|jpeg|gif);)\w+/))(\s*):"
)
_ENTITY = re.compile(r"(?i)&(?=#|colon|tab|newline|lpar|sol|bsol|Tab)")


def markdown(given):
    """A student's Markdown in which no HTML but bare harmless tags, and no link with a script, is left.

    "a<b" in a formula becomes "a< b", which means the same; a space after "<" keeps a browser from reading a tag.  A
    picture from elsewhere becomes a link to it.  Each heading gets a character that nobody sees: nbgrader's page finds
    the box for a cell's score by the cell's name, and a heading of that name would take its place.
    """
    given = text(given, 10 * TEXT)
    given = _ENTITY.sub("& ", given)
    given = _SCHEME.sub(r"\1\2 :", given)
    given = _ADDRESS.sub(r"\1", given)
    given = _TAG.sub(lambda found: found[1] or "< ", given)
    given = _PICTURE.sub("", given)
    return _HEADING.sub("\\1\N{WORD JOINER}", given)
