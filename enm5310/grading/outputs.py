"""The outputs that a student's process sends: rebuilt as nbformat's, of known types and bounded size, or refused."""

import base64
import binascii

FORMS = {
    "stream": {"output_type", "name", "text"}, "error": {"output_type", "ename", "evalue", "traceback"},
    "display_data": {"output_type", "data", "metadata"}, "execute_result": {"output_type", "data", "metadata"},
}  # fmt: skip
TEXT = ("text/plain", "text/html", "text/latex", "text/markdown")
PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


def rebuilt(given, limit):
    """The outputs of a cell, rebuilt; ValueError unless they are nbformat's, of known types and bounded size."""
    if not isinstance(given, list) or len(given) > 1000:
        raise ValueError("not a list of outputs")
    if sum(map(_size, given)) > 8 * limit + 2**18:
        raise ValueError("outputs that are too large")
    return [_output(o) for o in given]


def _size(x):
    if isinstance(x, (list, dict)):
        return 8 + sum(map(_size, x.values() if isinstance(x, dict) else x))
    return len(x) if isinstance(x, str) else 8


def _output(o):
    kind = o.get("output_type") if isinstance(o, dict) else None
    if kind not in FORMS or o.keys() != FORMS[kind]:
        raise ValueError("not an output")
    if kind == "stream":
        if o["name"] not in ("stdout", "stderr"):
            raise ValueError("not a stream")
        return {"output_type": kind, "name": o["name"], "text": _text(o["text"])}
    if kind == "error":
        if not isinstance(o["traceback"], list):
            raise ValueError("not a traceback")
        words = {"ename": _text(o["ename"]), "evalue": _text(o["evalue"])}
        return {"output_type": kind, **words, "traceback": list(map(_text, o["traceback"]))}
    if not isinstance(o["data"], dict):
        raise ValueError("not an output")
    data = {mime: _text(value) for mime, value in o["data"].items()
            if mime in TEXT or (mime in PICTURES and _is_picture(mime, value))}  # fmt: skip
    return {"output_type": kind, "data": data, "metadata": {}} | ({"execution_count": None} if kind[0] == "e" else {})


def _text(text):
    """Text that can be written: no NUL, no half of a surrogate pair."""
    if not isinstance(text, str):
        raise ValueError("not text")
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _is_picture(mime, value):
    """Whether this is base64, in its one right spelling, of something that begins like a picture of this kind."""
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return False
    return data.startswith(PICTURES[mime]) and base64.b64encode(data).decode() == value
