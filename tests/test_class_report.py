"""`enm5310 report`: the numbers of a class as they can be counted by hand, on a page where all words are text."""

import base64
import json
import shutil
import statistics
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enm5310 import plots
from enm5310.grading import course
from enm5310.practice import Problem
from enm5310.reporting import charts, class_report, records, report_page
from enm5310.reporting.records import Cell, Graded, Notebook, Record, Standing
from tests import courses, feedback_class
from tests.page_rules import said, violations
from tests.test_feedback import texts

# -------------------- classes that can be counted by hand --------------------


def line(name, state, score, message=None, mistake=None):
    return {"id": name, "grade_id": name, "state": state, "score": score, "max_score": 2.0, "message": message,
            "mistake": mistake, "seed": 1}  # fmt: skip


def submission(student, *lines, notes=(), seconds=1.0, late=timedelta(), penalty=0.0, lost=None, sandbox="bubblewrap"):
    """(Record, Standing) of a student with these lines of one notebook; lost: nothing could be graded."""
    about = {"exercises": list(lines), "notes": list(notes), "sandbox": sandbox, "memory": 3 * 2**20}
    record = Record(student, {} if lost else {"nb": Notebook(about, "{}")}, (), lost, seconds)
    cells = {("nb", e["grade_id"]): Cell("nb", e["grade_id"], 2.0, None if lost else e["score"], None, None,
                                         bool(lost) or e["score"] is None) for e in lines}  # fmt: skip
    penalties = {"nb": penalty} if penalty else {}
    return record, Standing(student, None, None, None, None, datetime(2026, 3, 3), late, penalties, cells, {})


def graded(*submissions, damaged=(), absent=()):
    found = {r.student: r for r, _ in submissions if r.student != "unrecorded"}
    others = tuple(Standing(id, None, None, None, None, None, timedelta(), {}, {}, {}) for id in absent)
    return Graded("ps1", 4.0, None, ("nb",), found, {s.student: s for _, s in submissions}, damaged, others)


PIXEL = base64.b64decode(  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsqeDbQAAAABJRU5ErkJggg==")  # fmt: skip
SIGN, AXIS = "You lost the sign: `-x`.", "You averaged over the wrong axis."
CLASS = graded(
    submission("ada", line("a", "right", 2.0), line("b", "right", 2.0), seconds=0.5),
    submission("bob", line("a", "wrong", 0.0, SIGN, SIGN), line("b", "partly right", 1.0, "expected 3.1, got -2e-5"),
               seconds=9.0, late=timedelta(hours=5), penalty=0.25),
    submission("cyd", line("a", "wrong", 0.0, SIGN, SIGN), line("b", "wrong", 0.0, "expected 7, got 1", None),
               notes=["the test cell a was missing", "imports: subprocess"]),
    submission("dan", line("a", "partly right", 1.0, AXIS, AXIS), line("b", "needs manual", None)),
    submission("eve", line("a", "wrong", 0.0), line("b", "wrong", 0.0), lost="no notebook was handed in"),
    damaged=("x.json",), absent=("fay", "<b>gus"),
)  # fmt: skip


def test_the_numbers_are_those_of_the_class():
    found = class_report.summary(CLASS)
    assert found["scores"] == [4.0, 0.75, 0.0, 1.0]
    assert (found["mean"], found["median"]) == (statistics.fmean([4, 0.75, 0, 1]), 0.875)
    assert found["mistakes"] == [{"exercise": "a", "message": SIGN, "students": 2},
                                 {"exercise": "a", "message": AXIS, "students": 1}]  # fmt: skip
    assert found["messages"] == [{"exercise": "b", "message": "expected \u2026, got \u2026", "students": 2}]
    a, b = found["exercises"]
    assert a["kinds"] == {"right": 1, "wrong": 2, "partly": 1, "none": 1} and a["mean"] == 0.75 and a["waits"] == 0
    assert b["kinds"] == {"right": 1, "wrong": 1, "partly": 1, "none": 2} and b["mean"] == 1.0 and b["waits"] == 1
    assert b["said"] == {"right": 1, "partly right": 1, "wrong": 1, "waits for a human": 1, "could not be graded": 1}
    assert found["notes"] == [{"student": "cyd", "note": "the test cell a was missing"},
                              {"student": "cyd", "note": "imports: subprocess"}]  # fmt: skip
    rows = {row["student"]: row for row in found["submissions"]}
    assert rows["dan"]["waits"] == ["b"] and rows["eve"]["waits"] == [] and rows["eve"]["score"] is None
    assert rows["eve"]["not_gradable"] == ["no notebook was handed in"]
    assert (rows["bob"]["late_hours"], rows["bob"]["penalty"], rows["bob"]["score"]) == (5.0, 0.25, 0.75)
    assert found["sandboxes"] == {"bubblewrap": 4}
    assert found["absent"] == ["fay", "<b>gus"]
    json.dumps(found, allow_nan=False)


def test_the_page_says_the_numbers():
    page = report_page.page(class_report.summary(CLASS))
    assert violations(page) == []
    told = said(page)
    for words in (
        "5 submissions: 3 graded, 1 to be graded by hand, 1 not gradable. 2 more students of the gradebook handed",
        "fay, <b>gus", "4 scores, mean 1.44, median 0.88 of 4",
        "a You lost the sign: -x. 2 (40 %)", "a You averaged over the wrong axis. 1 (20 %)",
        "b expected \u2026, got \u2026 2 (40 %)", "dan b", "eve no notebook was handed in",
        "cyd the test cell a was missing", "cyd imports: subprocess", "bob 5 h 0.25", "bob 9.0 s 3 MiB",
        "Damaged records: x.json.", "In JupyterLab: /formgrader/gradebook/ps1.",
    ):  # fmt: skip
        assert words in told, words
    assert told.index("lost the sign") < told.index("wrong axis")
    assert told.index("bob 9.0 s") < told.index("cyd 1.0 s") < told.index("ada 0.5 s")


def test_what_an_instructor_must_not_overlook():
    right = line("a", "right", 2.0)
    unsafe = graded(submission("ada", right, sandbox="none"), submission("unrecorded", right))
    told = said(report_page.page(class_report.summary(unsafe)))
    assert "1 notebook ran without a sandbox (--unsafe)" in told
    assert "1 submission without a record that agrees with the gradebook" in told
    record, standing = submission("ada", line("a", "right", 2.0))
    cells = {key: cell._replace(auto=None, waiting=True) for key, cell in standing.cells.items()}
    stale = graded((record, standing._replace(cells=cells)))
    told = said(report_page.page(class_report.summary(stale)))
    assert "ada grading was interrupted, or went wrong: grade it again" in told and "Nobody has a score yet." in told


def test_a_human_s_score_counts():
    record, standing = submission("ada", line("a", "wrong", 0.0))
    cells = {key: cell._replace(manual=1.5) for key, cell in standing.cells.items()}
    found = class_report.summary(graded((record, standing._replace(cells=cells))))
    assert found["scores"] == [1.5] and found["exercises"][0]["said"] == {"graded by hand": 1}


def test_numbers_in_messages_do_not_tell_students_apart():
    for message, wanted in (("expected 12.92 at [1, 1], got -6e-05", "expected \u2026 at [\u2026, \u2026], got \u2026"),
                          ("x1 and log2 stay", "x1 and log2 stay"), ("line 3: `C`", "line \u2026: `C`")):  # fmt: skip
        assert class_report._NUMBER.sub("\u2026", message) == wanted


def test_a_large_class_has_a_page_that_can_be_read():
    many = [submission(f"s{i:04}", line("a", "wrong", 0.0, SIGN, SIGN), notes=[f"note {i}"] * 3) for i in range(1_000)]
    page = report_page.page(class_report.summary(graded(*many)))
    assert violations(page) == [] and "2,700 more lines not shown" in said(page) and len(page) < 300_000
    assert "1000 (100 %)" in said(page)


@settings(max_examples=50)
@given(st.lists(texts, min_size=6, max_size=6))
def test_nothing_of_a_student_is_more_than_text(words):
    name, student, message, mistake, note, lost = words
    ada = submission(f"s{student}", line(f"a{name}", "wrong", 0.0, message, mistake), notes=[note])
    eve = submission("eve", line(f"a{name}", "wrong", 0.0), lost=f"x{lost}")
    found = class_report.summary(graded(ada, eve, submission("bob", line(f"a{name}", "wrong", 0.0, message))))
    with patch.object(charts, "_shown", lambda ax, alt: plt.close(ax.figure) or plots.Picture(PIXEL, 10, alt)):
        page = report_page.page(found)
    assert violations(page) == [] and not any(c in page for c in "\x1b\0\u202e")


def test_figures_have_words():
    picture = charts.scores([0.0, 3.0, 3.1, 4.0], 4.0)
    assert picture.alt == "Histogram of 4 scores from 0 to 4; most of them, 3, lie between 3 and 4."
    assert "to 6;" in charts.scores([6.0], 4.0).alt  # extra credit
    titles = ["\u6f22\u5b57 \x1b\u202e\0", *(f"$x_{i}$ \\frac{{" * 9 for i in range(60))]  # no formula
    assert charts.results(titles, [dict.fromkeys(charts.KINDS, 1)] * 61).png.startswith(b"\x89PNG")


# -------------------- a class, graded --------------------


def test_the_command_writes_page_and_numbers(tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(feedback_class.small(), tmp_path / "kurs")
    monkeypatch.chdir(folder)
    assert feedback_class.typed(monkeypatch, "report", "ps1", "--json", "r.json") == 0
    path = folder / ".grading" / "reports" / "ps1.html"
    assert capsys.readouterr().out.endswith(f"report on 3 submissions of ps1: {path}\n")
    assert violations(path.read_text(encoding="utf-8")) == []
    numbers = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    standings = records.read(course.find(folder), "ps1").standings
    scores = {student: standing.final for student, standing in standings.items() if student != "torn"}
    assert numbers["scores"] == list(scores.values()) == [2.0, 4.0]
    assert {row["student"]: row["score"] for row in numbers["submissions"]} == {**scores, "torn": None}
    with pytest.raises(Problem, match="is no page: name a file that ends"):
        class_report.report(class_report.Asked("ps1", output=folder / "gradebook.db"))


def test_before_grading_there_is_nothing_to_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(courses.make(tmp_path / "course"))
    assert feedback_class.typed(monkeypatch, "report", "ps1") == 2
    assert capsys.readouterr() == ("", "enm5310: there are no grades of ps1 yet: run `enm5310 grade ps1`\n")


@pytest.mark.slow
def test_a_hostile_class_is_reported(tmp_path, monkeypatch):
    folder = shutil.copytree(feedback_class.whole(), tmp_path / "kurs")
    monkeypatch.chdir(folder)
    for assignment in ("ps1", feedback_class.PART):
        assert class_report.report(class_report.Asked(assignment, json=folder / f"{assignment}.json")) == 0
        page = (folder / ".grading" / "reports" / f"{assignment}.html").read_text(encoding="utf-8")
        assert violations(page) == []
    pca = json.loads(Path(f"{feedback_class.PART}.json").read_text(encoding="utf-8"))
    assert [(m["exercise"], m["students"]) for m in pca["mistakes"]][:1] == [("1.1 Remove the mean", 1)]
    ps1 = json.loads(Path("ps1.json").read_text(encoding="utf-8"))
    cheat = " ".join(row["note"] for row in ps1["notes"] if row["student"] == "cheat")
    assert "test-halved" in cheat and "subprocess" in cheat


def test_fifteen_seconds_late_and_parts_that_wait_are_said():
    found = class_report.summary(graded(
        submission("ada", line("a", "right", 2.0), late=timedelta(seconds=15)),
        submission("bob", line("a", "right", 2.0), penalty=0.5),
        submission("dan", line("a", "right", 2.0), line("b", "needs manual", None)),
    ))  # fmt: skip
    assert found["partial"] == 1
    page = report_page.page(found)
    assert "ada" in page.split("Late</h2>")[1].split("<h2")[0] and "bob" in page.split("Late</h2>")[1].split("<h2")[0]
    assert "1 of them still have parts to be graded by hand" in page


def test_a_long_list_of_mistakes_shows_as_many_as_it_says():
    many = [submission(f"s{i}", line("a", "wrong", 0.0, f"Slip {'x' * i}.", f"Slip {'x' * i}.")) for i in range(305)]
    page = report_page.page(class_report.summary(graded(*many)))
    assert page.count("Slip ") == report_page.LINES and "5 more lines not shown" in page
