"""What is handed in: read whatever it is, put onto the master with a note, shown without harm."""

import base64
import collections
import html.parser
import json
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enm5310.grading import clean, intake, integrity, masters, repair
from enm5310.grading.intake import NotGradable
from tests.grading import books
from tests.grading.attacks import at
from tests.grading.damage import damaged


@pytest.fixture(scope="module")
def master():
    return masters.read(json.dumps(books.foreign_source()).encode())


def assembled(master, edit=None, answers=None):
    data = json.dumps(books.submission(books.foreign_source(), answers, edit=edit)).encode()
    cells, notes = intake.read(data)
    entries, more = repair.assemble(cells, master)
    return entries, [*notes, *more]


def names_of(entries, master):
    return [master.cells[e.of].name if e.of is not None else None for e in entries]


# -------------------- reading --------------------


REFUSED = {
    b"": "the file is empty",
    b"  \n": "the file is empty",
    b"\xff\xfe\x00\xd8": "bytes that are not text",
    b"caf\xe9": "bytes that are not text",
    b"not json": r"not JSON at line 1 \(Expecting value\)",
    b'{"cells": [\n<<<<<<< HEAD\n': "merge conflict",
    b'{"cells": ': "not JSON at line 1",
    b"[" * 100_000: "nested too deeply",
    b'{"cells": ' + b"[" * 100_000: "nested too deeply",
    b'{"x": ' + b"9" * 10_000 + b"}": "a number too long",
    b"[]": "no list of cells",
    b"3": "no list of cells",
    b'{"cells": {}}': "no list of cells",
    b'{"cells": null, "nbformat": 4}': "no list of cells",
    b'{"worksheets": [], "nbformat": 3}': "old format 3",
    json.dumps({"cells": [{}] * 2001}).encode(): "2,001 cells",
    json.dumps({"cells": [{"cell_type": "code", "source": "x" * (10**6 + 1)}]}).encode(): "more than 1 million char",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: repr(data[:20]))
def test_what_is_no_notebook_is_refused_in_one_line(data):
    with pytest.raises(NotGradable, match=REFUSED[data]) as why:
        intake.read(data)
    assert "\n" not in str(why.value) and len(str(why.value)) < 200


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"",'])
def test_a_file_of_millions_of_nothings_is_not_parsed(piece):
    begun = time.monotonic()
    with pytest.raises(NotGradable, match="too many values"):
        intake.read(b'{"cells": [' + piece * (40 * 2**20 // len(piece)) + b"0]}")
    assert time.monotonic() - begun < 3


def test_a_file_that_is_too_large_is_not_even_parsed():
    begun = time.monotonic()
    with pytest.raises(NotGradable, match="at most 50 MiB"):
        intake.read(b"[" * (intake.BYTES + 1))
    assert time.monotonic() - begun < 5


ODD = [
    None, 3, "text", [], {}, {"cell_type": "code"}, {"cell_type": 4, "source": ""}, {"cell_type": "code", "source": 3},
    {"cell_type": "code", "source": {"a": 1}}, {"cell_type": "code", "source": ["a", None, 3, "b"], "metadata": "x"},
    {"cell_type": "heading", "source": "x"},
    {"cell_type": "code", "source": "x", "metadata": {"nbgrader": 3, "tags": 3}},
    {"cell_type": "code", "source": "x", "metadata": {"nbgrader": {"grade_id": ["a"]}, "tags": [1, "b"]}, "id": 7},
    {"cell_type": "markdown", "source": "\ud800\0x", "id": "\ud800"},
]  # fmt: skip


def test_odd_cells_are_read_as_far_as_they_go():
    cells, notes = intake.read(json.dumps({"nbformat": 4, "cells": ODD}).encode())
    assert [(c.kind, c.source) for c in cells] == [
        ("code", ""), ("code", "ab"), ("raw", "x"), ("code", "x"), ("code", "x"), ("markdown", "?\ufffdx"),
    ]  # fmt: skip
    assert notes == ["odd cells: 8 that are no cells of a notebook were left out"]
    assert all(cell.name == "" for cell in cells) and cells[4].tags == ("b",)


@pytest.mark.parametrize("version", [None, "4", 4.0, True, 5, -1, 10**30])
def test_an_odd_version_is_noted(version):
    _, notes = intake.read(json.dumps({"nbformat": version, "cells": []}).encode())
    assert notes == ["odd metadata: the notebook does not say that it is of format 4"]


@pytest.mark.parametrize("minor", range(6))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_every_format_and_encoding_reads_the_same(minor, encoding):
    document = {**books.submission(books.foreign_source()), "nbformat_minor": minor}
    data = json.dumps(document, ensure_ascii=False).encode(encoding)
    data = b"\xff\xfe" * (encoding == "utf-16-le") + data
    assert intake.read(data) == intake.read(json.dumps(document).encode())


def test_line_ends_and_lists_of_lines_read_the_same():
    document = books.submission(books.foreign_source())
    plain = intake.read(json.dumps(document).encode())
    for cell in document["cells"]:
        cell["source"] = [line.replace("\n", "\r\n") for line in cell["source"].splitlines(keepends=True)]
    assert intake.read(json.dumps(document, indent=3).encode()) == plain


# -------------------- onto the master --------------------


def test_an_untouched_notebook_comes_through_without_a_note(master):
    entries, notes = assembled(master)
    assert notes == [] and [e.of for e in entries if master.cells[e.of or 0].name] == [
        i for i, cell in enumerate(master.cells) if cell.name
    ]
    for entry in entries:
        if entry.of is not None and master.cells[entry.of].role in ("test", "locked"):
            assert entry.source == master.cells[entry.of].source  # the hidden tests are back


EDITS = {
    "edited test": (lambda c: c[at(c, "test_add")].update(source="assert True"),
                    "test_add: the test cell was edited; the instructor's is used"),
    "edited set-up": (lambda c: c[at(c, "setup")].update(source="x = 1"),
                      "setup: the locked cell was edited; the instructor's is used"),
    "retyped": (lambda c: c[at(c, "add")].update(cell_type="raw"),
                "add: its type was changed to raw; it was changed back"),
    "missing test": (lambda c: c.pop(at(c, "test_add")),
                     "test_add: the test cell is missing; the answer was judged at the end"),
    "missing solution": (lambda c: c.pop(at(c, "add")), "add: the solution cell is missing"),
    "missing essay": (lambda c: c.pop(at(c, "essay")), "essay: the manual cell is missing"),
    "missing set-up": (lambda c: c.pop(at(c, "setup")), "setup: the locked cell is missing"),
    "copied": (lambda c: c.append(c[at(c, "test_add")]), "test_add: the cell is there 2 times"),
    "moved": (lambda c: c.append(c.pop(at(c, "add"))), "cells were moved: add"),
    "tagged": (lambda c: c[at(c, "test_add")]["metadata"].update(tags=["skip-execution"]),
               "tags were dropped: skip-execution"),
    "points": (lambda c: c[at(c, "test_add")]["metadata"]["nbgrader"].update(points=99),
               "test_add: its nbgrader metadata was edited; the instructor's is used"),
    "flags": (lambda c: c[at(c, "add")]["metadata"]["nbgrader"].update(grade=True, points=3),
              "add: its nbgrader metadata was edited; the instructor's is used"),
    "unknown": (lambda c: c.append(books.test("1", "mine\x1b[2J", 3.0)),
                "odd metadata: no cell of the assignment is called mine"),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_was_done_to_a_cell_is_undone_and_noted(name, master):
    change, note = EDITS[name]

    def edit(cells):
        change(cells)
        return cells

    entries, notes = assembled(master, edit)
    assert notes == [note]
    present = [n for n in names_of([e for e in entries if not e.copy], master) if n]
    assert sorted(present) == sorted(cell.name for cell in master.cells if cell.name)  # each exactly once
    for entry in entries:
        if entry.of is not None and master.cells[entry.of].role in ("test", "locked") and not entry.copy:
            assert (entry.kind, entry.source) == master.cells[entry.of][:3:2]


def test_missing_cells_go_back_to_where_they_were(master):
    entries, _ = assembled(master, lambda cells: [c for c in cells if c["id"] not in ("setup", "essay", "test_add")])
    order = names_of(entries, master)
    assert order[:2] == ["setup", None] and order[-1] == "test_add"
    assert order.index("essay") == order.index("test_stack") + 1
    assert [e.source for e in entries if e.missing and e.kind == "markdown"] == [""]


def test_the_last_written_copy_of_an_answer_is_the_one_graded_by_hand(master):
    def edit(cells):
        mine, stub = json.loads(json.dumps([cells[at(cells, "essay")]] * 2))
        mine["source"], stub["source"] = "second thoughts", cells[at(cells, "essay")]["source"]
        return [*cells, mine, stub]

    source = books.released(books.foreign_source())
    released = masters.read(json.dumps(books.foreign_source()).encode())
    entries, _ = assembled(released, edit)
    (essay,) = [e for e in entries if e.of is not None and released.cells[e.of].name == "essay"]
    assert essay.source == "second thoughts" and source


def test_a_notebook_of_another_assignment_is_refused(master):
    for cells in ([], [books.code("x = 1")], [books.code("import numpy as np", "setup", locked=True)]):
        with pytest.raises(NotGradable, match="none of its cells belongs to this assignment"):
            repair.assemble(intake.read(json.dumps(books.book(cells)).encode())[0], master)
    repair.assemble(intake.read(json.dumps(books.book([books.code("def add(a, b): return 3")])).encode())[0], master)


# -------------------- what is shown --------------------

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


def test_outputs_keep_text_pictures_and_tame_html():
    given = [
        {"output_type": "stream", "name": "stdout", "text": "a\x1b[31mred\x1b[0m\x1b]0;t\x07\x00\n 1%\r 50%\r100%\r\n"},
        {"output_type": "display_data", "metadata": {"x": 1}, "data": {
            "text/plain": "x",
            "text/html": "<b onclick=1>b</b><script>alert(1)</script><img src=x><a href='javascript:1'>a</a>",
            "application/javascript": "alert(1)", "image/svg+xml": "<svg/>", "image/png": PNG, "image/jpeg": PNG}},
        {"output_type": "execute_result", "metadata": {}, "data": {"text/latex": "$x$"}},
        {"output_type": "execute_result", "metadata": {}, "data": {"application/json": {"a": 1}}},
        {"output_type": "error", "ename": "E\x1b[2J", "evalue": "a\nb", "traceback": ["\x1b[31mline\x1b[0m"] * 100},
        {"output_type": "update_display_data", "data": {"text/plain": "x"}},
    ]  # fmt: skip
    assert clean.outputs(given, clean.Room()) == [
        {"output_type": "stream", "name": "stdout", "text": "ared\n100%\n"},
        {"output_type": "display_data", "metadata": {}, "data": {
            "text/plain": "x", "text/html": "<b>b</b>a", "image/png": PNG}},
        {"output_type": "execute_result", "metadata": {}, "data": {"text/plain": "$x$"}, "execution_count": None},
        {"output_type": "error", "ename": "E", "evalue": "a b", "traceback": ["line"] * 40},
    ]  # fmt: skip


def test_there_is_room_for_so_much_and_no_more():
    room = clean.Room(characters=10)
    given = [{"output_type": "stream", "name": "stdout", "text": "12345678"}] * 3
    assert [o["text"] for o in clean.outputs(given, room)] == ["12345678", "... output truncated\n"]
    assert clean.outputs([{"output_type": "stream", "name": "stdout", "text": ""}] * 500, clean.Room())[200:] != []


TEXTS = {
    "a<b and a < b": "a< b and a < b",
    "$x<y$ <b>bold</b> <br/> <https://a.org/x>": "$x< y$ <b>bold</b> <br/> https://a.org/x",
    "<s>no</s> <s>[x](u '</s>')": "<s>no</s> < s>[x](u '< /s>')",
    "![a](b/c.png) ![d](https://a.org/x.png)": "![a](b/c.png) [d](https://a.org/x.png)",
    "# why\na # b": "# \u2060why\na # b",
    "> why\n> ---\n\n---": "> why\u2060\n> ---\n\n---",
    "<script>alert(1)</script>": "< script>alert(1)< /script>",
    "<b onclick=alert(1)>x</b>": "< b onclick=alert(1)>x< /b>",
    "<IMG SRC=x ONERROR=y>": "< IMG SRC=x ONERROR=y>",
    "<!-- x --><?php ?>": "< !-- x -->< ?php ?>",
    "[x](javascript:alert(1)) [y](JaVaScRiPt :z)": "[x](javascript :alert(1)) [y](JaVaScRiPt  :z)",
    "[x](java&#115;cript:1) [y](javascript&colon;1)": "[x](java& #115;cript:1) [y](javascript& colon;1)",
    "![x](data:image/png;base64,AA) [y](data:text/html,x)": "![x](data:image/png;base64,AA) [y](data :text/html,x)",
    "the data: three, and R&D": "the data: three, and R&D",
    "\x1b[2Jx\u202ey": "xy",
}


@pytest.mark.parametrize("given_text", TEXTS)
def test_markdown_keeps_its_meaning_and_loses_its_teeth(given_text):
    assert clean.markdown(given_text) == TEXTS[given_text]


EVIL = [
    "<svg/onload=alert(1)>", "<a href='javascript:1'>x</a>", "<<script>x</script>", "<\nscript>x", "<b><b onclick=x>",
    "[a]: javascript:alert(1)\n[a]", "<javascript:alert(1)>", "[x](<javascript:alert(1)>)", "[x](\tjavascript:1)",
    "![x](https://a.org/x.png\" onerror=\"alert(1))", "[x](&#x6a;avascript:1)", "`<script>`", "    <script>", "<style>",
    "$<script>alert(1)</script>$", "<b\nonclick=alert(1)>", "[x](vbscript:1)", "[x](file:///etc/x)", "<details open>",
    "<pre>\n<https://contenteditable/autofocus/onfocus=alert(1)>\n</pre>", "<<https://onclick=x>x>", "<s>\n\nx",
    "<details>\n<https://style=position:fixed>\n", "<b>[x](u '</b>')", "<small>`</small>`", "<i>$</i>$", "<s>\\`</s>",
    "# why", "why\n===", "1. - > # why", "why \n  --", "###### why ##",
    "![x](https://a.org/x.png)", "![x](//a.org/x)", "![x](/logout)", "!![x](../x)", "![x\\](a.png)](https://a.org/x)",
    "![x`](a.png)`](https://a.org/x)", "![x$](a.png)$](https://a.org/x)", "![x][y]\n\n[y]: https://a.org/x",
    "![x](a.\\./x)",
]  # fmt: skip


class Tags(html.parser.HTMLParser):
    """Every tag that a browser would see, with its attributes, and which inline tags stay open."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], collections.Counter()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.open[tag] += tag in clean.INLINE

    def handle_endtag(self, tag):
        self.open[tag] -= self.open[tag] > 0


@pytest.mark.parametrize("evil", [*TEXTS, *EVIL])
def test_markdown_rendered_by_nbconvert_runs_nothing(evil):
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    seen = Tags(markdown2html_mistune(clean.markdown(evil)))
    assert +seen.open == {}  # a browser would go on with it to the end of the page
    for tag, attributes in seen.found:
        assert tag in clean.HARMLESS or tag in ("a", "img"), tag
        assert not any(name.startswith("on") for name in attributes)
        target = (attributes.get("href") or attributes.get("src") or "").strip().lower()
        assert not target.startswith(("javascript:", "vbscript:", "file:", "data:text")), target
        assert "style" not in attributes and attributes.get("id") != "why"  # nbgrader's box for a score has this id
        assert tag != "img" or re.fullmatch(r"data:image/\S*|[\w/]+\.png", target), target


@given(st.text(max_size=300))
def test_whatever_is_cleaned_can_be_written_and_printed(words):
    for cleaned in (clean.text(words), clean.line(words), clean.markdown(words), clean.html(words)):
        cleaned.encode("utf-8")
        assert "\x1b" not in cleaned and "\0" not in cleaned
    assert clean.line(words).isprintable()


def test_html_of_students_has_no_attributes_but_spans_of_cells():
    assert clean.html('<b title="x" lang="y" class="z">b</b>') == "<b>b</b>"
    assert clean.html('<table><tbody><tr><td colspan="2" title="x">1</td></tr></tbody></table>').count("=") == 1


PIECES = ["x", "x\r", "data :", "\x1b[", "\x1b]", "<", "<b ", "&", "<div>", "<div></b>", "<!--"]


@pytest.mark.parametrize("piece", PIECES)
def test_cleaning_takes_time_in_proportion(piece):
    begun = time.monotonic()
    long = piece * (200_000 // len(piece))
    clean.text(long), clean.markdown(long), clean.line(long), clean.html(long[: clean.TEXT])
    assert time.monotonic() - begun < 5


# -------------------- integrity --------------------

MASKS = {"enm5310.pca.fit": "1.3", "enm5310.ppca.fit": "1.8"}
ANSWER = "answer key: it names enm5310.pca.fit, which exercise 1.3 asks to write"
REACHES = "checks: it reaches into enm5310.checks"
NOTED = {
    "from enm5310.pca import fit as f": [ANSWER],
    "from enm5310 import pca as p\np.fit(X, 3)": [ANSWER],
    "import enm5310.pca\ndef pca_fit(X, k): return enm5310.pca.fit(X, k)": [ANSWER],
    "import enm5310.pca as q\nq.fit": [ANSWER],
    "import importlib\nimportlib.import_module('enm5310.pca.fit')": [ANSWER, "imports: importlib"],
    "from enm5310 import pca\npca.explained_variance, fit": [],
    "from enm5310.checks import part1 as check\ncheck.center(center)\ncheck.center.hint()": [],
    "from enm5310.checks import part1 as check\ncheck.center.known": [f"{REACHES}.part1.center.known"],
    "from enm5310.checks.engine import Trial": [f"{REACHES}.engine, enm5310.checks.engine.Trial"],
    "from enm5310.checks.part1 import _leading": [f"{REACHES}.part1._leading"],
    "from enm5310 import pca\npca._eig(X, 3)": ["library: it uses enm5310.pca._eig, which is not for use"],
    "import enm5310\nenm5310.__version__": [],
    "import ctypes, gc\n!ls": ["imports: ctypes, gc"],
    "import sys\nsys._getframe(1).f_back": ["code: it uses _getframe, f_back"],
    "fit = 3\nnp.linalg.eigh(X)\nimport os, sys, time": [],
    "def (": [],
    "-" * 100_000 + "1": [],
    "1" + "+1" * 50_000: [],
}


@pytest.mark.parametrize("source", NOTED, ids=lambda s: s[:40])
def test_what_an_instructor_may_want_to_know(source):
    assert integrity.notes([source], MASKS) == NOTED[source]


# -------------------- damage --------------------


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_no_damage_is_too_much_for_intake(rng):
    _survives(rng, masters.read(json.dumps(books.foreign_source()).encode()))


@pytest.mark.slow
@settings(max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_nor_is_a_lot_of_damage(rng):
    _survives(rng, masters.read(json.dumps(books.foreign_source()).encode()))


def _survives(rng, master):
    data = damaged(rng, json.dumps(books.submission(books.foreign_source())).encode())
    try:
        cells, notes = intake.read(data)
        entries, more = repair.assemble(cells, master)
    except NotGradable as why:
        assert str(why) and "\n" not in str(why)
        return
    present = [n for n in names_of([e for e in entries if not e.copy], master) if n]
    assert sorted(present) == sorted(cell.name for cell in master.cells if cell.name)
    assert all(isinstance(note, str) for note in [*notes, *more])
    for entry in entries:
        entry.source.encode("utf-8")
        if entry.of is not None and not entry.copy and master.cells[entry.of].role in ("test", "locked"):
            assert entry.source == master.cells[entry.of].source
