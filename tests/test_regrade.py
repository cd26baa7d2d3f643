"""Grading again: what would change is seen before, what has changed is kept, and neither is touched by the other."""

import contextlib
import json
import re
import shutil
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from enm5310.grading import command, course, diffs, gradebook, job, regrade, run
from enm5310.practice import Problem
from tests import courses
from tests.courses import answered, hand_in
from tests.students import call
from tests.test_cli import terminal
from tests.test_gradebook import rows

EVIL = "\x1b[2J\x1b]0;owned\x07[red]x\u202e"


class Master(NamedTuple):
    """Of an engine without a sandbox: a submission's text says what it earns in each test."""

    document: dict
    grade_ids: tuple = ("doubled", "test-doubled", "halved", "test-halved")
    ids: tuple = ("test-doubled", "test-halved")
    notes: tuple = ()


def prepare(data, files, limits, box, own):
    return Master(json.loads(data))


CALLS = []  # students' texts, as they are graded


def grade(submitted, master, limits, seeds, *, box, files, own):
    text = json.loads(submitted)["cells"][0]["source"]
    CALLS.append("".join(text))
    if "broken" in CALLS[-1]:
        return None, {"status": "not gradable", "reason": "it is broken", "notes": [], "exercises": []}
    book = json.loads(json.dumps(master.document))
    for cell in book["cells"]:
        cell["metadata"].pop("enm5310", None)
        if cell["id"].startswith("test-"):
            factor = 0.5 if "# strict" in "".join(cell["source"]) else 1
            earned = factor * float(re.search(rf"{cell['id'][5:]} (\S+)", CALLS[-1])[1])
            cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": f"{earned}"}, "metadata": {},
                                "execution_count": 1}]  # fmt: skip
    return book, {"status": "graded", "notes": [], "exercises": []}


ENGINE = run.Engine(lambda unsafe: SimpleNamespace(name="none"), (1, 2), lambda level, limits: None, prepare, grade)


def in_this_process(setup):
    job.begin(setup)
    return SimpleNamespace(setup=setup._replace(masters=job.prepare()))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A course folder with its gradebook, which takes a while to make."""
    folder = courses.make(tmp_path_factory.mktemp("regrade") / "course")
    courses.entered(folder)
    return folder


@pytest.fixture
def class_of(template, tmp_path, monkeypatch):
    """A course folder with three submissions, which is graded in this process."""
    monkeypatch.setattr(run.batch, "prepared", in_this_process)
    monkeypatch.setattr(run.batch, "local", lambda keeper, tasks, *_: ((t.student, job.grade(t)) for t in tasks))
    monkeypatch.setattr(regrade.getpass, "getuser", lambda: "emmy")
    CALLS.clear()
    folder = shutil.copytree(template, tmp_path / "course")
    monkeypatch.chdir(folder)
    for student, points in {"ada": (2, 2), "bob": (1, 0), "eve": (0, 0)}.items():
        give(folder, student, "doubled {} halved {}".format(*points))
    return folder


def give(folder, student, text):
    def edit(cells):
        cells[0].source = text
        return cells

    hand_in(folder, student, {"problem1": answered(edit=edit)})


def graded(**asked):
    return command.grade(command.Asked("ps1", **asked), ENGINE)


def stricter(folder, cell="test-halved"):
    """The instructor changes a test."""
    path = folder / "source" / "ps1" / "problem1.ipynb"
    book = json.loads(path.read_text())
    for c in book["cells"]:
        c["source"] = "".join(c["source"]) + "\n# strict" * (c["id"] == cell)
    path.write_text(json.dumps(book))


def lines(folder):
    return regrade.History(course.find(folder), "ps1").lines()


def told(folder):
    return [(e["student"], e["old"], e["new"], e["cells"], e["because"], e["why"]) for e in lines(folder)]


def everything(folder):
    """All files but the lock and what was tried, with their content and identity."""
    return {p: (p.stat().st_ino, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()
            and "tried" not in p.parts and p.name != "lock"}  # fmt: skip


# -------------------- before it is written --------------------


def test_a_dry_run_shows_all_and_changes_nothing(class_of, tmp_path, capsys):
    assert graded() == 0
    stricter(class_of)
    give(class_of, "eve", "doubled 2 halved 0")
    give(class_of, "new", "doubled 1 halved 1")
    before, seen = everything(class_of), len(CALLS)
    capsys.readouterr()
    assert graded(dry_run=True, json=tmp_path / "out.json") == 0
    out = capsys.readouterr().out
    assert everything(class_of) == before and len(CALLS) == seen + 4
    assert "ada  4 -> 3  (test-halved 2 -> 1)\neve  0 -> 2  (test-doubled 0 -> 2)\n" in out
    assert "2 of 4 scores would change: 1 up, 1 down (handed in again, the source notebook changed)" in out
    assert "1 would be graded for the first time" in out and "Nothing was written." in out and "formgrader" not in out
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["dry_run"] is True and sorted(c["student"] for c in document["changes"]) == ["ada", "eve", "new"]
    assert {r["student"]: r["score"] for r in document["submissions"]} == {"ada": 3, "bob": 1, "eve": 2, "new": 1.5}

    assert graded() == 0  # the same is written, and nothing is graded a second time
    out = capsys.readouterr().out
    assert len(CALLS) == seen + 4 and "2 of 4 scores changed: 1 up, 1 down" in out and "formgrader" in out
    assert list((class_of / ".grading" / "tried").rglob("*.json")) == []
    assert {g[0]: g[4] for g in rows(course.find())[0] if g[2] == "test-halved"} == {
        "ada": 1.0, "bob": 0.0, "eve": 0.0, "new": 0.5}  # fmt: skip
    assert graded(dry_run=True) == 0 and "None of 4 scores would change" in capsys.readouterr().out
    assert graded() == 0 and "scores changed" not in capsys.readouterr().out


def test_a_dry_run_before_the_first_run_makes_no_gradebook(class_of, capsys):
    (class_of / "gradebook.db").unlink()
    assert graded(dry_run=True) == 0
    out = capsys.readouterr().out
    assert "3 would be graded for the first time" in out and "None of" not in out
    assert not (class_of / "gradebook.db").exists() and not (class_of / "autograded").exists() and lines(class_of) == []


def test_what_a_dry_run_has_tried_is_not_used_for_anything_else(class_of, capsys):
    graded(dry_run=True)
    stricter(class_of)
    graded()
    assert len(CALLS) == 6 and {e["student"]: e["new"] for e in lines(class_of)} == {"ada": 3, "bob": 1, "eve": 0}


def test_the_copy_is_the_gradebook_and_is_gone_afterwards(class_of):
    graded()
    from nbgrader.api import Gradebook

    here = course.find()
    with Gradebook(here.db_url) as book:
        book.update_or_create_assignment("ps1", duedate="2026-03-01 00:00:00 UTC")
        book.grant_extension("ps1", "ada", days=3)
        book.find_grade("why", "problem1", "ps1", "ada").manual_score = 2.5
        book.find_comment("why", "problem1", "ps1", "ada").manual_comment = "Zoë, \N{SNOWMAN}"
        book.db.commit()
    before = everything(class_of)
    with regrade.rehearsed(here) as beside:
        assert rows(beside) == rows(here) and rows(here)[0]
        with Gradebook(beside.db_url) as book:
            assert book.find_submission("ps1", "ada").duedate.day == 4
            assert book.find_comment("why", "problem1", "ps1", "ada").comment == "Zoë, \N{SNOWMAN}"
            book.remove_assignment("ps1")
        assert rows(beside)[0] == [] and beside.root == here.root and here.db_url != beside.db_url
    assert everything(class_of) == before
    (class_of / ".grading" / "rehearsal" / "gradebook.db").write_text("of a run that was killed")
    with regrade.rehearsed(here) as beside:
        assert rows(beside) == rows(here)


# -------------------- the history --------------------


def test_who_changed_what_when_and_why(class_of):
    graded()
    first = told(class_of)
    assert [(e[0], e[1], e[2], e[5]) for e in first] == [
        ("ada", None, 4.0, ["first graded"]), ("bob", None, 1.0, ["first graded"]),
        ("eve", None, 0.0, ["first graded"])]  # fmt: skip
    text = (class_of / ".grading" / "history" / "ps1.jsonl").read_bytes()
    stricter(class_of)
    give(class_of, "bob", "doubled 2 halved 0")
    give(class_of, "eve", "broken")
    graded(because=f"the sign {EVIL}\nwas wrong")
    because = "the sign [red]x was wrong"
    test = "problem1/test-"
    assert told(class_of)[3:] == [
        ("ada", 4.0, 3.0, {f"{test}halved": [2.0, 1.0]}, because, ["the source notebook changed"]),
        ("bob", 1.0, 2.0, {f"{test}doubled": [1.0, 2.0]}, because, ["handed in again", "the source notebook changed"]),
        ("eve", 0.0, None, {f"{test}doubled": [0.0, None], f"{test}halved": [0.0, None]}, because,
         ["handed in again", "the source notebook changed"]),
    ]  # fmt: skip
    assert {e["who"] for e in lines(class_of)} == {"emmy"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", e["when"]) for e in lines(class_of))
    assert (class_of / ".grading" / "history" / "ps1.jsonl").read_bytes().startswith(text)
    graded(fresh=True)
    assert len(lines(class_of)) == 6  # the same scores again are no change


def test_a_humans_points_are_in_the_totals_and_never_a_change(class_of):
    graded()
    from nbgrader.api import Gradebook

    with Gradebook(course.find().db_url) as book:
        found = book.find_grade("why", "problem1", "ps1", "ada")
        found.manual_score, found.needs_manual_grade = 2.5, False
        book.db.commit()
    stricter(class_of)
    graded()
    (entry,) = [e for e in told(class_of)[3:] if e[0] == "ada"]
    assert entry[:4] == ("ada", 6.5, 5.5, {"problem1/test-halved": [2.0, 1.0]})


def test_a_change_is_on_disk_before_the_gradebook_has_it(class_of, monkeypatch):
    graded()
    stricter(class_of)
    with monkeypatch.context() as patched:
        original = gradebook.Writer._enter

        def killed(self, *arguments):
            original(self, *arguments)
            self.gradebook.db.commit = lambda: (_ for _ in ()).throw(SystemExit)  # the power goes
            return gradebook.Written(3.0, True, ())

        patched.setattr(gradebook.Writer, "_enter", killed)
        with contextlib.suppress(SystemExit):
            graded()
    assert told(class_of)[3][:3] == ("ada", 4.0, 3.0)
    assert {g[0]: g[4] for g in rows(course.find())[0] if g[2] == "test-halved"}["ada"] == 2.0
    graded()
    assert {g[0]: g[4] for g in rows(course.find())[0] if g[2] == "test-halved"}["ada"] == 1.0
    assert told(class_of)[4][:3] == ("ada", 4.0, 3.0)


def test_a_history_that_cannot_be_written_lets_no_score_change(class_of, monkeypatch):
    graded()
    stricter(class_of)

    def full(self, entry):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(regrade.History, "add", full)
    before = rows(course.find())
    with pytest.raises(OSError, match="No space"):
        graded()
    assert rows(course.find()) == before


def test_torn_lines_cost_no_other_line(class_of):
    graded()
    path = class_of / ".grading" / "history" / "ps1.jsonl"
    with path.open("ab") as file:
        file.write(b'{"when": "2026-01-01", "who')
    stricter(class_of)
    graded()
    assert [e["student"] for e in lines(class_of)] == ["ada", "bob", "eve", "ada"]
    path.write_bytes(path.read_bytes() + b"[1]\n" + b"[" * 100_000 + b"\n\xff\xfe\n{}\n")
    assert len(lines(class_of)) == 4


def test_reasons_name_each_part_of_the_key():
    assert set(regrade.reasons(None, {})) == {"first graded"} and regrade.reasons({}, {"engine": 1}) == ["graded again"]
    assert regrade.reasons({"engine": 1}, {"engine": 1}) == ["graded again"]
    for part, words in regrade.PARTS.items():
        assert regrade.reasons({"x": 1, part: 1}, {"x": 1, part: 2}) == [words]


def test_every_part_of_a_record_has_a_reason(class_of):
    graded()
    record = json.loads((class_of / ".grading" / "records" / "ps1" / "ada.json").read_text())
    assert set(record["parts"]) == {"student", *regrade.PARTS}
    assert record["key"] == run.journal.key(**record["parts"])


# -------------------- how it looks --------------------


def test_the_history_is_printed_and_drives_no_terminal(class_of, capsys):
    with pytest.raises(Problem, match="has nothing: `enm5310 grade ps1` writes it"):
        command.history("ps1")
    graded()
    history = regrade.History(course.find(), "ps1")
    history.add({**regrade.entry("ada", 4.0, 2.0, {}, None, [EVIL]), "student": f"a{EVIL}"})
    capsys.readouterr()
    assert command.history("ps1") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith(" ada: - -> 4, by emmy: first graded") and len(out.splitlines()) == 4
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert command.history("ps1", ("bob",)) == 0 and capsys.readouterr().out.count("\n") == 1
    with pytest.raises(Problem, match="has nothing of nobody"):
        command.history("ps1", ("nobody",))
    with pytest.raises(Problem, match="there is no assignment"):
        command.history("../ps1")


def test_many_changes_are_counted_and_the_first_are_shown(capsys):
    from enm5310.practice.screens import console

    changes = [regrade.entry(f"s{i:03}{EVIL}", 1.0, 2.0, {f"p/c{k}": [0, 1] for k in range(9)}, None, ["x"])
               for i in range(100)]  # fmt: skip
    diffs.show(console(), changes, 100, True)
    out = capsys.readouterr().out
    assert "! and 40 more" in out and "c5 0 -> 1 and 3 more" in out and "\x1b" not in out and "\u202e" not in out


DAMAGED = ["[]", "null", "{", '"ada"', '{"student": "ada"}', '{"when": 1}', "\\u0000", "9" * 5000, "[" * 5000]
WRONG = [("old", "x"), ("new", float("nan")), ("new", True), ("new", float("inf")), ("student", 3), ("when", None),
         ("why", 5), ("why", [1]), ("cells", [1]), ("cells", {"a": 3}), ("cells", {"a": [float("nan"), 1]}),
         ("because", {})]  # fmt: skip


def test_damaged_lines_of_the_history_are_counted_and_end_nothing(class_of, capsys, tmp_path):
    history = regrade.History(course.find(), "ps1")
    good = regrade.entry("ada", 4.0, 2.0, {"a/b": [4.0, 2.0]}, "because", ["why"])
    history.add(good)
    with history.path.open("a", encoding="utf-8") as file:
        lines = [*DAMAGED, *(json.dumps({**good, key: value}) for key, value in WRONG)]
        file.write("".join(f"{line}\n" for line in lines))
    history.add(good)
    assert history.lines() == [good, good]
    file = tmp_path / "history.json"
    assert command.history("ps1", (), file) == 0
    shown = capsys.readouterr().out
    assert f"! {len(lines)} lines are damaged and not shown: {history.path}" in " ".join(shown.split())
    assert shown.count("ada: 4 -> 2") == 2
    written = json.loads(file.read_text())
    assert written == {"assignment": "ps1", "history": [good, good], "damaged": len(lines)}
    history.path.write_text("{\n")
    with pytest.raises(Problem, match="has nothing"):
        command.history("ps1")
    assert "! 1 line is damaged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_changed_test_in_a_terminal(tmp_path):
    """The command itself, with the real engine and sandbox."""
    folder = courses.make(tmp_path / "course", manual=False)
    for student, halved in {"ada": "return x / 2", "bob": "return abs(x) / 2"}.items():
        hand_in(folder, student, {"problem1": answered(halved=halved, manual=False)})
    assert call("grade", "ps1", cwd=folder).returncode == 0
    path = folder / "source" / "ps1" / "problem1.ipynb"
    path.write_text(path.read_text().replace("halved(-1) == -0.5", "halved(-1) == 0.5"))
    text, raw = terminal(folder, 80, "grade", "ps1", "--dry-run")
    assert re.search(r"^ada +4 +3 +test-halved 2 -> 1 *$", text, re.M) and "\x1b[31m" in raw and "\x1b[32m" in raw
    assert max(map(len, text.splitlines())) <= 100
    done = call("grade", "ps1", "--because", "the sign was wrong", cwd=folder)
    assert done.returncode == 0 and "2 of 2 scores changed: 1 up, 1 down" in done.stdout
    done = call("grade", "ps1", "--history", "--student", "bob", "--json", "bob.json", cwd=folder)
    kept = json.loads((folder / "bob.json").read_text())["history"]
    assert [(line["student"], line["old"], line["new"]) for line in kept] == [("bob", None, 3), ("bob", 3, 4)]
    assert "bob: 3 -> 4, by" in done.stdout and "the sign was wrong; the source notebook changed" in done.stdout
