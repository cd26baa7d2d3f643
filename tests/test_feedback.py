"""`enm5310 feedback`: pages that tell the truth, hold nobody else's data, and do nothing, whatever was handed in."""

import base64
import io
import json
import os
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from enm5310.checks import CheckFailed, NotAttempted, part1
from enm5310.grading import course, engine, gradebook
from enm5310.practice import Problem
from enm5310.reporting import exercise_page, feedback, feedback_page, pages, pictures, records, showing
from enm5310.reporting.records import Cell, Notebook, Record, Standing
from tests import courses, feedback_class
from tests.feedback_class import HIDDEN
from tests.grading import books
from tests.grading.attacks import ATTACKS
from tests.grading.redteam import CASES
from tests.page_rules import chunks, said, violations

# -------------------- pages without a class --------------------


def cell(name="test-doubled", auto=2.0, worth=2.0, manual=None, extra=None, waiting=False):
    return Cell("problem1", name, worth, auto, manual, extra, waiting)


def standing(*cells, late=timedelta(), penalties=None, comments=None):
    cells = {(c.notebook, c.name): c for c in cells or [cell()]}
    return Standing("ada", None, None, None, None, datetime(2026, 3, 3), late, penalties or {}, cells, comments or {})


def graded_cell(name="test-doubled", outputs=(), source="assert doubled(3) == 6", **more):
    flags = {"grade_id": name, "grade": True, "solution": False, "locked": True, **more}
    return {"cell_type": "code", "metadata": {"nbgrader": flags}, "source": source, "outputs": list(outputs)}


def free(source, outputs=(), kind="code"):
    return {"cell_type": kind, "metadata": {}, "source": source, "outputs": list(outputs)}


def line(name="test-doubled", state="right", message=None, **more):
    return {"id": name, "grade_id": name, "state": state, "score": 2.0, "max_score": 2.0, "message": message,
            "mistake": None, "seed": 77123456789, **more}  # fmt: skip


def record(*cells, lines=None, lost=None, notebooks=None):
    text = json.dumps({"cells": [*cells, graded_cell()]})
    made = {"problem1": Notebook({"exercises": lines or [line()]}, text)} if notebooks is None else notebooks
    return Record("ada", {} if lost else made, (), lost, 1.0)


def page(found, there=None, notebooks=("problem1",), places=(), given=()):
    about = feedback_page.About("ps1", 12.0, {name: set(given) for name in notebooks}, places)
    return feedback_page.page(about, found, there or standing())[0]


def text_of(found, there=None, **options):
    made = page(found, there, **options)
    assert violations(made) == []
    return said(made)


# -------------------- whatever was handed in --------------------

NASTY = [
    "<script>alert(1)</script>", "</main></body></html>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    "-->", "<!--", "<style>*{display:none}</style>", "</style>", "</pre></code>", "javascript:alert(1)", "\x1b[31m",
    "\u202e", "]]>", "<![CDATA[", "&lt;script&gt;", "&#60;b&#62;", "`", "``x``", "\0", "\ud800", "=HYPERLINK(1)",
    "<math><mi//xlink:href='data:x,<script>'>", "<a href='//x.y'>z</a>",
    "<table><td background=javascript:1>",
    "<base href=//x.y>", "<meta http-equiv=refresh content=0>", "<noscript><p title='</noscript><img src=x>'>",
    "{{7*7}}", "$$\\a$$", "<h1>Score</h1>", "<p id=content>",
    "<textarea>", "<title>", "<plaintext>", "<template>", "\r", "\f",
    "\v", "\x85", "<select><option>", "<object data=x>", "<form><input>", "</p><p>", "'\"><", "# hidden tests: 3",
    "<p class=skip>",
]  # fmt: skip
texts = st.lists(st.sampled_from(NASTY) | st.text(st.characters(), max_size=20), max_size=6).map("".join)
data = st.dictionaries(st.sampled_from(["text/html", "text/plain", "image/png", "image/jpeg", "image/svg+xml",
                                        "application/javascript"]), texts, max_size=3)  # fmt: skip
outputs = st.lists(st.one_of(
    st.builds(lambda t: {"output_type": "stream", "name": "stdout", "text": t}, texts),
    st.builds(lambda n, v, t: {"output_type": "error", "ename": n, "evalue": v, "traceback": [t]}, texts, texts, texts),
    st.builds(lambda d: {"output_type": "display_data", "data": d, "metadata": {}}, data),
), max_size=3)  # fmt: skip


@settings(max_examples=60)
@given(texts, texts, outputs, texts, texts, texts)
def test_nothing_of_a_student_is_more_than_text(source, answer, shown, message, comment, name):
    cells = [free(source, shown), free(answer, kind="markdown")]
    there = standing(cell(auto=0.0), comments={("problem1", "test-doubled"): (None, comment)})
    there = there._replace(first_name=name, last_name="L")
    made = page(record(*cells, lines=[line(state="wrong", message=message)]), there)
    assert violations(made) == []
    assert not any(c in made for c in "\x1b\0\u202e\x85") and made.encode("utf-8")


@settings(max_examples=60)
@given(texts)
def test_html_of_a_student_keeps_tables_and_loses_the_rest(given):
    made = showing.table(f"<table><tr><td>kept</td></tr></table>{given}")
    assert violations(pages.document("t", f"<h1>t</h1><div>{made}</div>")) == []
    assert "kept" in made


def test_no_attribute_of_a_student_survives_but_the_size_of_a_cell():
    given = "<table id=content class=k title=t lang=en style=x onclick=y><tr><td colspan=2 title=u bgcolor=red>z"
    assert showing.table(given) == '<table><tbody><tr><td colspan="2">z</td></tr></tbody></table>'
    for kept in ("<b>x</b>", "<ul><li>x</li></ul>"):
        assert showing.table(kept) == kept
    assert showing.table("<h1>a</h1><a href='#'>b</a><img src=data:x><svg><b>c</b></svg>").startswith("ab")


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=200))
def test_coloured_code_is_the_same_code(source):
    from bleach._vendor import html5lib

    wanted = pages.clean.plain(source)
    made = html5lib.parseFragment(f"<pre>\n{showing.coloured(wanted)}</pre>", namespaceHTMLElements=False)
    assert "".join(made.itertext()) == wanted


def test_a_page_stays_readable_however_much_was_handed_in():
    lots = {"output_type": "stream", "name": "stdout", "text": "x" * 90_000}
    made = page(record(*[free("#" * 120_000, [lots] * 9)] * 20))
    assert len(made) < 3_000_000 and violations(made) == []
    assert "86,000 more characters not shown" in said(made) and "more cells of yours not shown" in said(made)
    rows = page(record(free("1", [{**lots, "text": "row\n" * 1_000}])))
    assert said(rows).count("row") == showing.ROWS and "characters not shown" in said(rows)
    long = {"text/html": f"<table>{'<tr><td>1' * 4_000}</table>", "text/plain": "a frame of 4000 rows"}
    told = said(page(record(free("1", [{"output_type": "display_data", "data": long}]))))
    assert "a frame of 4000 rows" in told and "111" not in told
    bomb = "<table>" * 50_000
    assert "<table>" * 3 not in page(record(free("1", [{"output_type": "display_data", "data": {"text/html": bomb}}])))


def test_paths_of_this_machine_are_not_told():
    inside = Path(np.__file__).parent
    words = f"see {inside}/linalg.py and {Path(__file__)} and {sys.prefix}/bin and {Path.home()}/x and /srv/kurs/a"
    shown = [{"output_type": "stream", "name": "stdout", "text": words},
             {"output_type": "error", "ename": "OSError", "evalue": words, "traceback": [words]},
             {"output_type": "display_data", "data": {"text/html": f"<b>{words}</b>"}}]  # fmt: skip
    found = record(free("1", shown), lines=[line(state="wrong", message=words)])
    made = page(found, standing(cell(auto=0.0)), places=("/srv/kurs",))
    for place in (inside.parent, Path(__file__).parents[1], sys.prefix, Path.home(), "/srv/kurs"):
        assert f"{place}/" not in made
    assert "\u2026/numpy/linalg.py" in made


# -------------------- pictures --------------------


def encoded(picture, kind="PNG", **options):
    out = io.BytesIO()
    picture.save(out, format=kind, **options)
    return base64.b64encode(out.getvalue()).decode()


def test_pictures_keep_their_pixels_and_nothing_else():
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "<script>alert(1)</script>")
    given = encoded(Image.fromarray(pixels), pnginfo=info)
    made, width, height = pictures.anew(given)
    raw = base64.b64decode(made)
    assert (width, height) == (30, 20) and b"script" in base64.b64decode(given) and b"script" not in raw
    assert set(chunks(raw)) == {b"IHDR", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(raw)) as again:
        assert np.array_equal(np.asarray(again), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(mode):
    made = pictures.anew(encoded(Image.new(mode, (8, 4))))
    with Image.open(io.BytesIO(base64.b64decode(made[0]))) as again:
        assert (again.mode, again.size) == ("RGB", (8, 4))
    clear = pictures.anew(encoded(Image.new("RGBA", (8, 4), (0, 0, 0, 0))))
    with Image.open(io.BytesIO(base64.b64decode(clear[0]))) as again:
        assert again.getpixel((0, 0)) == (255, 255, 255)


def test_pictures_that_are_none_or_too_large_are_left_out():
    huge = base64.b64decode(encoded(Image.new("1", (4_000, 4_000))))
    png = base64.b64decode(encoded(Image.new("RGB", (8, 4))))
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    gif = base64.b64decode(encoded(Image.new("P", (8, 4)), "GIF"))
    claims = png[:16] + (2**31 - 1).to_bytes(4, "big") * 2 + png[24:]
    for raw in (huge, png[:40], svg, gif, claims, b"", b"\x89PNG\r\n\x1a\n"):
        assert pictures.anew(base64.b64encode(raw).decode()) is None
    assert pictures.anew("no base64!") is None
    wide = pictures.anew(encoded(Image.new("L", (3_000, 300))))
    assert wide[1] == pictures.WIDEST and wide[2] == 140
    assert pictures.anew(encoded(Image.new("RGB", (8, 4)), "JPEG"))[1:] == (8, 4)


def test_a_page_shows_figures_up_to_its_limit():
    figure = {"output_type": "display_data", "data": {"image/png": encoded(Image.new("L", (5, 5))), "text/plain": "F"}}
    made = page(record(free("1", [figure] * (showing.PICTURES + 2))))
    assert violations(made) == [] and made.count("<img ") == showing.PICTURES
    assert made.count("A picture is not shown") == 2 and 'alt="Figure 1, drawn by the code above"' in made


# -------------------- states in words --------------------


def test_right_partly_wrong_and_not_attempted():
    for state, auto in (("right", 2), ("partly right", 1), ("wrong", 0), ("not attempted", 0)):
        told = text_of(record(lines=[line(state=state, message="a `reason`", score=auto)]), standing(cell(auto=auto)))
        assert f"{state}, {auto} of 2 points" in told and f"{auto} of 12 points" in told
        assert ("a reason" in told) == (state != "right")


def test_late_with_and_without_a_penalty():
    late = timedelta(hours=3)
    told = text_of(record(), standing(late=late, penalties={"problem1": 0.5}))
    assert "1.5 of 12 points" in told and "Handed in 3 h late: 0.5 of 2 points are taken off." in told
    assert "Handed in 30 min late." in text_of(record(), standing(late=timedelta(minutes=30)))
    assert "Handed in 5 days late." in text_of(record(), standing(late=timedelta(days=5)))
    assert "late" not in text_of(record())


def test_what_humans_did():
    waits = standing(cell(), cell("why", None, 3.0, waiting=True))
    told = text_of(record(lines=[line(), line("why", "needs manual", score=None)]), waits)
    assert "why \u25cb waits for a human, \u2013 of 3 points" in told
    assert "1 exercise still waits for a human; the score can rise." in told and "2 of 12 points" in told
    done = standing(cell("why", None, 3.0, manual=2.5, extra=1.0),
                    comments={("problem1", "why"): (None, "Nice!\n<b>Really</b>")})  # fmt: skip
    told = text_of(record(lines=[line("why", "needs manual", score=None)]), done)
    assert "graded by hand, 3.5 of 3 points" in told and "Extra credit in it: 1 point." in told
    assert "Nice! <b>Really</b>" in told
    again = standing(cell(auto=0.0, manual=2.0, waiting=True))
    assert "graded by hand, to be looked at once more" in text_of(record(lines=[line(state="wrong")]), again)
    silent = standing(cell("why", 0.0, 3.0), comments={("problem1", "why"): ("No response.", None)})
    assert "No response." in text_of(record(lines=[line("why", "not attempted", score=0.0)]), silent)


def test_what_could_not_be_graded():
    nothing = standing(cell(auto=None, waiting=True))
    told = text_of(record(lost="no notebook was handed in"), nothing)
    assert "could not be graded: no notebook was handed in." in told and "No score yet" in told
    reason = {"problem1": Notebook({"exercises": [line(state="wrong")], "reason": "not JSON at line 3"}, None)}
    told = text_of(record(notebooks=reason), nothing)
    assert "problem1.ipynb could not be graded: not JSON at line 3." in told
    assert "could not be graded, \u2013 of 2" in told
    ours = {"problem1": Notebook({"exercises": [], "reason": f"{engine.DEFECT} KeyError: /root/x"}, None)}
    told = text_of(record(notebooks=ours), nothing)
    assert "not your fault" in told and "KeyError" not in told and "/root" not in told
    told = text_of(None, nothing)
    assert "has not been graded yet: grading was interrupted, which is not your fault and costs no points" in told
    assert "not graded yet" in told and "2 points" in told
    assert "how they came about is not recorded" in text_of(None, standing())


def test_several_notebooks_are_told_apart():
    there = standing(cell(), Cell("problem2", "test-doubled", 2.0, 0.0, None, None, False))
    told = text_of(record(), there, notebooks=("problem1", "problem2"))
    assert "problem1: test-doubled" in told and "problem2: test-doubled \u25cb not handed in, 0 of 2 points" in told
    assert "problem2.ipynb was not handed in." in told


def test_hidden_tests_are_words():
    hidden = graded_cell(source="assert doubled(3) == 6\n# hidden tests: 2")
    made = {"problem1": Notebook({"exercises": [line()]}, json.dumps({"cells": [hidden]}))}
    told = text_of(record(notebooks=made))
    assert "assert doubled(3) == 6" in told and "There are more tests, which are not shown." in told
    hidden["source"] = "\n# hidden tests: 1"
    made = {"problem1": Notebook({"exercises": [line()]}, json.dumps({"cells": [hidden]}))}
    assert "The tests are not shown." in text_of(record(notebooks=made))


def test_cells_that_students_were_given_are_left_out():
    markdown = [free(words, kind="markdown") for words in ("# Problem sheet", "# My words")]
    cells = [*markdown, free("import given"), free("mine = 1")]
    told = text_of(record(*cells), given=["# Problem sheet", "import given"])
    assert "mine = 1" in told and "My words" in told and "Problem sheet" not in told and "import given" not in told


def test_an_answer_after_a_task_belongs_to_it():
    task = graded_cell("draw", task=True, grade=False, source="Draw.")
    cells = [{**task, "cell_type": "markdown"}, free("drawn = 1"), graded_cell()]
    found = {"problem1": Notebook({"exercises": [line("draw", "needs manual", score=None), line()]},
                                  json.dumps({"cells": cells}))}  # fmt: skip
    told = text_of(record(notebooks=found), standing(cell("draw", None, 5.0, waiting=True), cell()))
    assert told.index("draw") < told.index("drawn = 1") < told.rindex("test-doubled")


# -------------------- checks of ours --------------------


def wrong_center(X):
    return X - X.mean(axis=0), X.sum(axis=0)


def half_pca(X, k):
    """The right components, the smallest of them first."""
    mean = X.mean(axis=0)
    lam, U = np.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    return mean, U[:, -k:], lam[-k:]


def unwritten(X):
    raise NotImplementedError


@pytest.mark.parametrize("check, function", [(part1.center, wrong_center), (part1.pca_fit, half_pca),
                                             (part1.covariance, lambda X: "no")])  # fmt: skip
def test_the_parts_of_a_check_are_marked_as_its_report_marks_them(check, function):
    """As trusted.py writes a report into a test cell."""
    try:
        report = check(function)
        shown = [{"output_type": "execute_result", "data": {"text/html": report._repr_html_()}}]
    except CheckFailed as why:
        report = why.report
        shown = [{"output_type": "error", "ename": "CheckFailed", "evalue": "", "traceback": str(report).splitlines()}]
    about = line(state=report.state, message=report.message, id=check.id)
    held = exercise_page._held(check, about, graded_cell(outputs=shown))
    parts = report.verdict.parts
    assert {words: passed for words, (passed, _) in held.items()} == {p.words: p.why is None for p in parts}
    text = json.dumps({"cells": [graded_cell(outputs=shown)]})
    told = text_of(record(notebooks={"problem1": Notebook({"exercises": [about]}, text)}), standing(cell(auto=0.0)))
    assert f"{check.id} {check.title}" in told and f"To reread: slide {check.slide}, notebook 01_pca." in told
    assert told.count("does not hold") == sum(p.why is not None for p in parts)


def test_a_stub_has_no_marks():
    with pytest.raises(NotAttempted) as why:
        part1.center(unwritten)
    shown = [{"output_type": "error", "ename": "", "evalue": "", "traceback": str(why.value.report).splitlines()}]
    assert exercise_page._held(part1.center, line(state="not attempted"), graded_cell(outputs=shown)) == {}


def test_all_parts_of_a_right_answer_hold():
    about = line(id="1.1")
    told = text_of(record(lines=[about]))
    assert told.count("holds") == len(part1.center.parts) and "To reread" not in told


# -------------------- a class, graded --------------------


@pytest.fixture
def kurs(tmp_path, monkeypatch):
    """A copy of it, in which one is."""
    folder = shutil.copytree(feedback_class.small(), tmp_path / "kurs")
    monkeypatch.chdir(folder)
    return folder


def read(folder, student, assignment="ps1", notebook="problem1"):
    return (folder / "feedback" / student / assignment / f"{notebook}.html").read_text(encoding="utf-8")


def test_scores_are_the_gradebooks(kurs, capsys):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{kurs}/gradebook.db") as book:
        grade = book.find_grade("why", "problem1", "ps1", "ada")
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = 2.0, 0.5, False
        book.find_comment("why", "problem1", "ps1", "ada").manual_comment = "Well said"
        book.db.commit()
    assert feedback.feedback(feedback.Asked("ps1", json=kurs / "f.json")) == 0
    with Gradebook(f"sqlite:///{kurs}/gradebook.db") as book:
        for student in ("ada", "Zoë Müller-O'Neil", "torn"):
            there = book.find_submission("ps1", student)
            told = said(read(kurs, student))
            assert f"{there.score:g} of {there.max_score:g} points" in told or "No score yet" in told
            assert student in told
    assert "6.5 of 12 points" in said(read(kurs, "ada")) and "Well said" in said(read(kurs, "ada"))
    document = json.loads((kurs / "f.json").read_text(encoding="utf-8"))
    assert {p["student"]: (p["score"], p["status"]) for p in document["pages"]} == {
        "Zoë Müller-O'Neil": (2.0, "needs manual"), "ada": (6.5, "needs manual"), "torn": (0.0, "not gradable")
    }  # fmt: skip
    assert (document["assignment"], document["problems"]) == ("ps1", [])
    out = capsys.readouterr().out
    assert "ada  6.5/12  needs manual\n" in out and "3 pages of ps1: " in out


def test_pages_hold_no_hidden_test_no_seed_and_nobody_elses_work(kurs):
    feedback.feedback(feedback.Asked("ps1"))
    found = records.read(course.find(kurs), "ps1")
    notebooks = [notebook.record for record in found.records.values() for notebook in record.notebooks.values()]
    seeds = {str(exercise["seed"]) for notebook in notebooks for exercise in notebook["exercises"]}
    for student in found.standings:
        made = read(kurs, student)
        assert violations(made) == []
        assert not any(words in made for words in (*HIDDEN, *seeds, str(kurs), sys.prefix, f"{Path.home()}/"))
        canaries = {who: f"canary of {who}" for who in ("ada", "zoe", "torn")}
        mine = {"Zoë Müller-O'Neil": "zoe"}.get(student, student)
        assert [who for who, canary in canaries.items() if canary in made] == ([mine] if student != "torn" else [])
        assert not [who for who in found.standings if who != student and who in made]


def test_files_lie_where_nbgrader_looks(kurs):
    (kurs / "submitted" / "ada" / "ps1" / "submission_secret.txt").write_text("5ec4e7")
    feedback.feedback(feedback.Asked("ps1"))
    files = {p.name: p for p in (kurs / "feedback" / "ada" / "ps1").iterdir()}
    assert sorted(files) == ["problem1.html", "submission_secret.txt", "timestamp.txt"]
    assert files["submission_secret.txt"].read_text() == "5ec4e7" and "2026-03-03" in files["timestamp.txt"].read_text()
    torn = kurs / "feedback" / "torn" / "ps1" / "submission_secret.txt"
    drawn = torn.read_text()
    assert len(drawn) == 32
    feedback.feedback(feedback.Asked("ps1"))
    assert torn.read_text() == drawn  # a second run changes no address


def test_only_the_students_that_were_asked_for(kurs, monkeypatch):
    assert feedback_class.typed(monkeypatch, "feedback", "ps1", "--student", "torn", "--json", "f.json") == 0
    assert [p["student"] for p in json.loads((kurs / "f.json").read_text())["pages"]] == ["torn"]
    assert sorted(p.name for p in (kurs / "feedback").iterdir()) == ["torn"]
    with pytest.raises(Problem, match="nobody has no grade of ps1: run `enm5310 grade ps1`"):
        feedback.feedback(feedback.Asked("ps1", ("nobody",)))


def test_a_stale_record_is_not_shown_as_if_it_counted(kurs):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{kurs}/gradebook.db") as book:
        for grade in book.find_submission_notebook("problem1", "ps1", "ada").grades:
            grade.auto_score, grade.needs_manual_grade = None, True
        book.db.commit()
    feedback.feedback(feedback.Asked("ps1"))
    told = said(read(kurs, "ada"))
    assert "has not been graded yet" in told and "No score yet" in told and "canary" not in told


def test_damaged_records_cost_nobody_else_a_page(kurs, capsys):
    (kurs / ".grading" / "records" / "ps1" / "ada.json").write_text("{" * 10_000)
    (kurs / ".grading" / "records" / "ps1" / "torn.json").write_text('{"result": {"notebooks": 3}}')
    assert feedback.feedback(feedback.Asked("ps1")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "! ada.json is damaged: grade the submission again", "! torn.json is damaged: grade the submission again"]
    assert "how they came about is not recorded" in said(read(kurs, "ada"))
    assert "canary of zoe" in read(kurs, "Zoë Müller-O'Neil")
    assert feedback.feedback(feedback.Asked("ps1", ("Zoë Müller-O'Neil",))) == 0
    zoe = kurs / ".grading" / "records" / "ps1" / "Zoë Müller-O'Neil.json"
    shutil.copy(zoe, zoe.with_name("ada.json"))  # a slip of the hand
    assert feedback.feedback(feedback.Asked("ps1", ("ada",))) == 1
    assert "canary" not in read(kurs, "ada") and "Zoë" not in read(kurs, "ada")


def test_a_page_appears_whole_or_not_at_all(kurs, monkeypatch):
    feedback.feedback(feedback.Asked("ps1"))
    before = read(kurs, "ada")
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        patched.setattr(feedback_page, "page", lambda *_: ("half", {"status": "", "score": 0.0, "max_score": 0.0}))
        with pytest.raises(OSError):
            feedback.feedback(feedback.Asked("ps1"))
    assert read(kurs, "ada") == before and not list((kurs / "feedback").rglob("*.part"))


def test_two_students_never_share_a_folder(kurs, monkeypatch, capsys):
    here = course.find(kurs)
    there = {"Ada": None, "ada": None}
    assert feedback._unsafe(here, "ada", there, "ps1") is None  # this disk tells them apart
    (kurs / "feedback" / "Ada" / "ps1").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(os.path, "samefile", lambda *_: True)  # as on one that does not
    assert "shares a folder with Ada" in feedback._unsafe(here, "ada", there, "ps1")
    for odd in ("../x", "a/b", "", "a\nb", ".hidden", "a" * 200):
        assert feedback._unsafe(here, odd, {odd: None}, "ps1")


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    folder = courses.make(tmp_path / "course")
    words = "there are no grades of ps1 yet: run `enm5310 grade ps1`"
    monkeypatch.chdir(folder)
    assert feedback_class.typed(monkeypatch, "feedback", "ps1") == 2
    assert capsys.readouterr() == ("", f"enm5310: {words}\n")
    assert not (folder / "gradebook.db").exists()
    with pytest.raises(Problem, match="there is no assignment 'ps9' here: there are ps1"):
        feedback.feedback(feedback.Asked("ps9"))
    gradebook.create(course.find(folder))
    with pytest.raises(Problem, match=words):
        feedback.feedback(feedback.Asked("ps1"))
    with pytest.raises(Problem, match="there is no nbgrader course here"):
        monkeypatch.chdir(tmp_path)
        feedback.feedback(feedback.Asked("ps1"))


# -------------------- a hostile class, graded --------------------


@pytest.fixture
def class_folder(tmp_path, monkeypatch):
    folder = shutil.copytree(feedback_class.whole(), tmp_path / "kurs")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_a_hostile_class_gets_harmless_pages(class_folder):
    for assignment in ("ps1", feedback_class.PART):
        assert feedback.feedback(feedback.Asked(assignment)) == 0
    made = sorted((class_folder / "feedback").rglob("*.html"))
    assert len(made) == 11
    for path in made:
        text = path.read_text(encoding="utf-8")
        assert violations(text) == [] and len(text) < 400_000, path
        assert not any(words in text for words in (*HIDDEN, str(class_folder), sys.prefix)), path
    mallory = said(read(class_folder, "mallory"))
    assert "characters not shown" in mallory and "late: 1 of 2 points are taken off" in mallory
    assert "You averaged over the features" in said(read(class_folder, "bob", feedback_class.PART, feedback_class.PART))


@pytest.mark.slow
def test_nbgrader_releases_the_pages_and_students_fetch_them(class_folder, tmp_path):
    feedback.feedback(feedback.Asked("ps1"))
    exchange = tmp_path / "exchange"
    exchange.mkdir(mode=0o777)
    exchange.chmod(0o777)
    options = ("--course=kurs", f"--Exchange.root={exchange}")
    courses.nbgrader(class_folder, "release_feedback", "ps1", *options)
    released = {p.read_bytes() for p in (exchange / "kurs" / "feedback").iterdir()}
    assert released == {p.read_bytes() for p in (class_folder / "feedback").glob("*/ps1/*.html")}
    home, cache = tmp_path / "ada", tmp_path / "cache"
    home.mkdir()
    handed_in = cache / "kurs" / "ada+ps1+2026-03-03 12:00:00 UTC"
    shutil.copytree(class_folder / "submitted" / "ada" / "ps1", handed_in)
    courses.nbgrader(home, "fetch_feedback", "ps1", "--student=ada", f"--Exchange.cache={cache}", *options)
    (fetched,) = home.rglob("problem1.html")
    assert fetched.read_text(encoding="utf-8") == read(class_folder, "ada")


@pytest.mark.slow
def test_a_class_of_a_thousand(class_folder):
    """Less than a minute: a page with a figure must take less than 0.06 s."""
    here = course.find(class_folder)
    found = records.read(here, feedback_class.PART)
    about = feedback_page.About(found.assignment, found.max_score, {feedback_class.PART: set()}, ())
    begun = time.process_time()
    for _ in range(50):
        feedback_page.page(about, found.records["ada"], found.standings["ada"])
    assert (time.process_time() - begun) / 50 < 0.06


def chosen(cases):
    """Every tenth of a table of attacks, and all that must keep words from being told."""
    return [name for i, (name, case) in enumerate(cases.items()) if i % 10 == 0 or case.forbidden]


def of_attack(name):
    """(executed notebook, record, what must not be told)"""
    if name in ATTACKS:
        a = ATTACKS[name]
        return *books.grade(a.make(), {"course": books.course, "foreign": books.foreign}[a.master]()), a.forbidden
    case = CASES[name]
    return *books.grade(case.make(), case.master()), case.forbidden


@pytest.mark.slow
@pytest.mark.parametrize("name", [*chosen(ATTACKS), *chosen(CASES)])
def test_an_attack_leaves_nothing_on_a_page(name):
    executed, about, forbidden = of_attack(name)
    scores = {e["grade_id"]: e["score"] if executed else None for e in about["exercises"]}
    there = standing(*(cell(e["grade_id"], scores[e["grade_id"]], e["max_score"]) for e in about["exercises"]))
    found = record(notebooks={"problem1": Notebook(about, executed and engine.text(executed))})
    assert records.is_current(found, there) and violations(page(found, there)) == []
    for one in executed["cells"] if executed else ():  # what a student wrote may hold any word; what comes back may not
        if not one["metadata"].get("nbgrader", {}).get("grade"):
            one["source"] = "pass"
    made = page(record(notebooks={"problem1": Notebook(about, executed and engine.text(executed))}), there)
    seeds = [str(e["seed"]) for e in about["exercises"] if len(str(e["seed"])) > 6]
    assert not [words for words in (*forbidden, *seeds, books.CANARY, sys.prefix) if words in made]
