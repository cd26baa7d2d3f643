"""`enm5310 grade` as an instructor types it: one command, and nbgrader has the scores; real sandbox, real gradebook."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from enm5310.grading import command
from enm5310.practice import Problem
from tests import courses, fake_engine
from tests.courses import answered, hand_in
from tests.students import call
from tests.test_cli import terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="grading is for Linux")


def grade(folder, *arguments, code=0, assignment="ps1"):
    """(the JSON document, the finished run) of `enm5310 grade ...`, after its exit code was seen."""
    out = Path(folder) / "out.json"
    run = call("grade", assignment, "--json", out, *arguments, cwd=folder, PATH="/usr/bin:/bin")
    assert run.returncode == code, run.stdout + run.stderr
    return json.loads(out.read_text(encoding="utf-8")), run


def row(document, student):
    (found,) = [r for r in document["submissions"] if r["student"] == student]
    return found


def summary(document):
    """{student: (status, score)}"""
    return {r["student"]: (r["status"], r["score"]) for r in document["submissions"]}


def formgrader(folder):
    """{student: what formgrader's pages are given}"""
    from enm5310.grading import course

    here = course.find(folder)
    from nbgrader.apps.api import NbGraderAPI

    api = NbGraderAPI(here.directory, config=here.config)
    return {s["student"]: s for s in api.get_submissions("ps1")}


# -------------------- a class --------------------

CLASS = {
    "right": answered(manual=False),
    "half": answered(halved="return abs(x) / 2", manual=False),  # right for 3, wrong for -1
    "wrong": answered("return 3 * x", "return 7", manual=False),
    "untouched": answered(None, None, manual=False),
    "crash": answered("import os\n    os._exit(1)", manual=False),
    "cheat": answered("raise SystemExit", "return x / 2", manual=False,
                      edit=lambda cells: [c for c in cells if c["id"] != "test-doubled"]),
    "torn": answered(manual=False)[:700],
}  # fmt: skip
SCORES = {"right": 4, "half": 3, "wrong": 0, "untouched": 0, "crash": 2, "cheat": 2, "torn": None, "empty": None}


@pytest.fixture(scope="module")
def graded(level, tmp_path_factory):
    """(folder, JSON document, run) of a class, graded once."""
    folder = courses.make(tmp_path_factory.mktemp("kurs") / "Kurs für Zoë", manual=False)
    for student, text in CLASS.items():
        hand_in(folder, student, {"problem1": text}, "2026-03-03 12:00:00 UTC")
    hand_in(folder, "empty", {})
    (folder / "submitted" / "stray.ipynb").write_text("{}")
    return folder, *grade(folder, code=1)


def test_scores_and_states(graded):
    _, document, _ = graded
    assert {r["student"]: r["score"] for r in document["submissions"]} == SCORES
    for r in document["submissions"]:
        lost = r["student"] in ("torn", "empty")
        assert r["status"] == ("not gradable" if lost else "graded") and r["max_score"] == 4
        assert lost or sum(e["score"] for e in r["exercises"]) == r["score"]
    states = {s: [e["state"] for e in row(document, s)["exercises"]] for s in ("right", "half", "untouched")}
    assert states["right"] == ["right", "right"] and states["half"] == ["right", "partly right"]
    assert states["untouched"] == ["not attempted", "not attempted"]
    assert row(document, "empty")["notes"] == ["not gradable: no notebook was handed in"]
    assert row(document, "torn")["notes"][0].startswith("not gradable: ")


def test_the_json_file_is_as_documented(graded, level):
    _, document, _ = graded
    assert set(document) == {"assignment", "sandbox", "seconds", "submissions"}
    assert (document["assignment"], document["sandbox"]) == ("ps1", level.name) and document["seconds"] > 0
    for r in document["submissions"]:
        assert set(r) == {"student", "status", "score", "max_score", "seconds", "notes", "exercises"}
        for e in r["exercises"]:
            assert set(e) == {"id", "score", "max_score", "state", "message"}
    assert [r["student"] for r in document["submissions"]] == sorted(SCORES)


def test_the_screen_tells_all(graded):
    _, _, run = graded
    assert re.search(r"^right +4/4  graded +\d+\.\d s$", run.stdout, re.M)
    assert re.search(r"^torn +-/4  not gradable +\d+\.\d s +\d notes?$", run.stdout, re.M)
    assert "8 submissions of ps1: 6 graded, 2 not gradable; mean 1.8 of 4" in run.stdout
    assert "! empty: not gradable: no notebook was handed in" in run.stdout
    assert "1 file belongs to no student and counts for nobody:\n! stray.ipynb: lies outside" in run.stdout
    assert "/formgrader/manage_submissions/ps1" in run.stdout and run.stderr == ""


def test_nbgrader_sees_the_same(graded):
    folder, document, _ = graded
    seen = formgrader(folder)
    for r in document["submissions"]:
        s = seen[r["student"]]
        if r["score"] is None:
            assert not s["autograded"] and s["score"] == 0
        else:
            assert s["autograded"] and (s["score"], s["max_score"]) == (r["score"], 4) and not s["needs_manual_grade"]
    assert sorted(p.name for p in (folder / "autograded").glob("*/ps1")) == ["ps1"] * 6


def test_no_hidden_test_is_left_where_a_student_will_look(graded):
    folder, document, run = graded
    assert "-82" not in json.dumps(document) + run.stdout
    for text in (p.read_text() for p in (folder / "autograded").rglob("*.ipynb")):
        outputs = [cell["outputs"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        assert "-82" not in json.dumps(outputs)


def test_nothing_is_left_running_or_lying_about(graded):
    folder, _, _ = graded
    assert sorted(p.name for p in folder.iterdir()) == [
        ".grading", "autograded", "gradebook.db", "nbgrader_config.py", "out.json", "source", "submitted"]  # fmt: skip
    assert sorted(p.name for p in (folder / ".grading").rglob("*") if p.is_file()) == sorted(
        [".gitignore", "lock", "ps1.jsonl", "secret", *(f"{student}.json" for student in SCORES)])  # fmt: skip
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]


@pytest.mark.slow
def test_a_second_run_keeps_what_is_unchanged_and_grades_what_is_not(graded, tmp_path):
    folder = shutil.copytree(graded[0], tmp_path / "course")
    hand_in(folder, "wrong", {"problem1": answered("return x + x", manual=False)})
    hand_in(folder, "right", {"problem1": CLASS["torn"]})
    before = {p: p.stat().st_ino for p in (folder / "autograded").glob("*/ps1")}
    document, run = grade(folder, code=1)
    scores = {r["student"]: r["score"] for r in document["submissions"]}
    assert scores == {**SCORES, "wrong": 4, "right": None}
    assert "6 of them unchanged since the last run" in run.stdout
    assert "an earlier score of 4 for problem1 was cleared" in " ".join(row(document, "right")["notes"])
    after = {p: p.stat().st_ino for p in (folder / "autograded").glob("*/ps1")}
    assert {p.parent.name for p in before if before[p] != after.get(p)} == {"wrong", "right"}
    assert (formgrader(folder)["right"]["score"], formgrader(folder)["wrong"]["score"]) == (0, 4)
    shutil.rmtree(folder / "autograded")
    (folder / "gradebook.db").unlink()
    again, run = grade(folder, code=1)
    assert summary(again) == summary(document) and "8 of them unchanged" in run.stdout
    assert formgrader(folder)["wrong"]["score"] == 4  # made anew from the records


# -------------------- several notebooks, humans, late --------------------


@pytest.mark.slow
def test_several_notebooks_manual_scores_and_back_to_nbgrader(level, tmp_path):
    folder = courses.make(tmp_path / "course", ("problem1", "problem2"))
    hand_in(folder, "ada", {"problem1": answered(), "problem2": answered("return 0", why=None)}, "2026-03-03 12:00 UTC")
    hand_in(folder, "bob", {"problem1": answered()})
    hand_in(folder, "eve", {"problem1": answered(), "problem2": answered()[:500]})
    document, _ = grade(folder, code=1)
    wanted = {"ada": ("needs manual", 6.0), "bob": ("needs manual", 4.0), "eve": ("not gradable", 4.0)}
    assert summary(document) == wanted
    assert "problem2.ipynb was not handed in" in row(document, "bob")["notes"]
    assert row(document, "eve")["notes"][0].startswith("not gradable: problem2: ")
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        assert book.find_comment("why", "problem2", "ps1", "ada").comment == "No response."
        assert book.find_grade("why", "problem2", "ps1", "ada").auto_score == 0
        for name in ("problem1", "problem2"):
            for cell, score in (("why", 3), ("draw", 5)):
                found = book.find_grade(cell, name, "ps1", "ada")
                found.manual_score, found.needs_manual_grade = score, False
        book.db.commit()
    assert summary(grade(folder, code=1)[0])["ada"] == ("graded", 22.0)  # unchanged: nobody has to look again
    hand_in(folder, "ada", {"problem2": answered()})
    document, _ = grade(folder, "--student", "ada")
    assert summary(document) == {"ada": ("needs manual", 24.0)}
    assert any("manual scores in problem1 were kept" in note for note in row(document, "ada")["notes"])
    courses.nbgrader(folder, "generate_feedback", "ps1", "--student", "ada")
    page = (folder / "feedback" / "ada" / "ps1" / "problem1.html").read_text()
    assert "Score: 12.0 / 12.0" in re.sub(r"\s+", " ", page)
    courses.nbgrader(folder, "export")
    line = next(line for line in (folder / "grades.csv").read_text().splitlines() if ",ada," in line)
    assert line.endswith(",24.0,0.0,24.0,24.0")


@pytest.mark.slow
def test_switching_back_to_nbgraders_own_command_gives_the_same_scores(graded, tmp_path):
    folder = shutil.copytree(graded[0], tmp_path / "course")
    (folder / "submitted" / "stray.ipynb").unlink()
    for lost in ("torn", "empty", "crash", "cheat"):  # what it cannot do
        shutil.rmtree(folder / "submitted" / lost)
    with (folder / "nbgrader_config.py").open("a") as file:
        file.write("c.KernelManager.transport_encryption = 'auto'\n")
    courses.nbgrader(folder, "generate_assignment", "ps1", "--force")
    courses.nbgrader(folder, "autograde", "ps1", "--force")
    seen = formgrader(folder)
    assert {s: seen[s]["score"] for s in ("right", "half", "wrong", "untouched")} == {
        "right": 4, "half": 3, "wrong": 0, "untouched": 0}  # fmt: skip
    document, run = grade(folder)
    assert "4 of them unchanged" in run.stdout and summary(document)["half"] == ("graded", 3)


@pytest.mark.slow
def test_nbgraders_own_example_course(level, tmp_path):
    """`nbgrader quickstart`, with the environment off the PATH as well: solved, it earns what can be earned."""
    env = {**os.environ, "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-m", "nbgrader", "quickstart", "c101"], cwd=tmp_path, env=env, check=True,
                   capture_output=True)  # fmt: skip
    folder = tmp_path / "c101"
    for name in ("problem1", "problem2"):
        hand_in(folder, "solver", {name: (folder / "source" / "ps1" / f"{name}.ipynb").read_text(encoding="utf-8")})
    document, _ = grade(folder)
    solver = row(document, "solver")
    assert (solver["status"], solver["score"], solver["max_score"]) == ("needs manual", 3.0, 13.0)
    automatic = {e["id"]: (e["score"], e["max_score"]) for e in solver["exercises"] if e["state"] != "needs manual"}
    assert automatic and all(score == most for score, most in automatic.values())


# -------------------- folders and archives of platforms --------------------


@pytest.mark.slow
def test_an_archive_of_a_platform(level, tmp_path):
    folder = courses.make(tmp_path / "course", manual=False)
    archive = tmp_path / "submissions.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("lovelaceada_12_345_problem1-1.ipynb", CLASS["wrong"])
        file.writestr("lovelaceada_12_346_problem1-2.ipynb", CLASS["right"])
        file.writestr("noetheremmy_LATE_13_347_homework.ipynb", CLASS["half"])
        file.writestr("../../evil.ipynb", CLASS["right"])
        file.writestr("=cmd()_1_2_x.ipynb", CLASS["right"])
    document, run = grade(folder, "--submitted", archive, code=1)
    assert summary(document) == {"lovelaceada": ("graded", 4), "noetheremmy": ("graded", 3)}
    assert "the platform marked it late" in row(document, "noetheremmy")["notes"]
    assert "2 files belong to no student" in run.stdout and "../../evil.ipynb" in run.stdout
    assert {s["student"]: s["score"] for s in formgrader(folder).values()} == {"lovelaceada": 4, "noetheremmy": 3}
    document, _ = grade(folder, "--submitted", archive, "--pattern", r"(?P<student>noether)emmy_.*", code=1)
    assert summary(document) == {"noether": ("graded", 3)}


# -------------------- what can go wrong --------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = courses.make(tmp_path_factory.mktemp("small") / "course", manual=False)
    hand_in(folder, "ada", {"problem1": CLASS["right"]})
    return folder


USAGE = {
    ("nope",): "there is no assignment 'nope' here: there are ps1",
    ("ps1", "--jobs", "0"): "Invalid value for '--jobs'",
    ("ps1", "--json", "gone/x.json"): "cannot be written there",
    ("ps1", "--json", "x.ipynb"): "would overwrite a notebook",
    (): "Missing argument",
}
ASKED = {
    command.Asked("../source"): "there is no assignment",
    command.Asked("ps1", students=("eve",)): "eve has not handed in ps1; 1 students have",
    command.Asked("ps1", pattern="x"): "--pattern needs --submitted",
    command.Asked("ps1", submitted=Path("gone")): "neither a folder nor a zip archive",
    command.Asked("ps1", submitted=Path("."), pattern="("): "no regular expression",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, small):
    run = call("grade", *arguments, cwd=small)
    assert (run.returncode, run.stdout) == (2, ""), run.stdout
    assert run.stderr.startswith("enm5310: ") and run.stderr.count("\n") == 1 and USAGE[arguments] in run.stderr
    assert not (small / "gradebook.db").exists()


@pytest.mark.parametrize("asked", ASKED, ids=ASKED.values())
def test_what_cannot_be_graded_is_said_before_anything_is_written(asked, small, monkeypatch):
    monkeypatch.chdir(small)
    with pytest.raises(Problem) as why:
        command.grade(asked)
    assert ASKED[asked] in str(why.value) and "\n" not in str(why.value)
    assert not (small / "gradebook.db").exists()


def test_no_course_and_no_submissions_are_one_line(tmp_path):
    run = call("grade", "ps1", cwd=tmp_path)
    assert run.returncode == 2 and "there is no nbgrader course here" in run.stderr and run.stderr.count("\n") == 1
    run = call("grade", "ps1", cwd=courses.make(tmp_path / "course"))
    assert run.returncode == 2 and "there are no submissions of ps1 in" in run.stderr and run.stderr.count("\n") == 1


def test_elsewhere_than_on_linux_it_says_where_to_go(monkeypatch):
    for platform in ("win32", "darwin"):
        monkeypatch.setattr(sys, "platform", platform)
        with pytest.raises(Problem, match=r"Docker .* `enm5310 check` works everywhere"):
            command.grade(command.Asked("ps1"))


def test_without_a_sandbox_nothing_is_graded_unless_it_is_asked_for(small, monkeypatch):
    def choose(unsafe):
        raise Problem("no sandbox works here")

    monkeypatch.chdir(small)
    engine = command.the_engine()._replace(choose=choose)
    with pytest.raises(Problem, match="no sandbox works here"):
        command.grade(command.Asked("ps1"), engine)
    assert not (small / "gradebook.db").exists()


def test_two_graders_do_not_write_at_once(small, monkeypatch):
    monkeypatch.chdir(small)
    from enm5310.grading import course

    with command._alone(course.find()), pytest.raises(Problem, match="another `enm5310 grade` is at work"):
        command.grade(command.Asked("ps1"), command.the_engine()._replace(choose=lambda unsafe: None))


@pytest.mark.slow
def test_a_fault_of_the_engine_costs_one_submission_and_is_tried_again_next_time(tmp_path, monkeypatch, capsys):
    folder = courses.make(tmp_path / "course", manual=False)
    log = tmp_path / "log"
    for student, text in {"a": "raise", "b": f"kill log {log}", "c": "too much", "d": "score 1"}.items():
        hand_in(folder, student, {"problem1": text})
    monkeypatch.chdir(folder)
    engine = command.Engine(lambda unsafe: SimpleNamespace(name="fake"), fake_engine.Limits(), fake_engine.box,
                            fake_engine.prepare, fake_engine.grade)  # fmt: skip
    for tries in (2, 4):
        assert command.grade(command.Asked("ps1", json=tmp_path / "o.json", jobs=2), engine) == 1
        document = json.loads((tmp_path / "o.json").read_text())
        assert summary(document) == dict.fromkeys("abcd", ("not gradable", None))
        told = [row(document, student)["notes"][0] for student in "abcd"]
        for words, wanted in zip(told, ("the grader fail", "SIGKILL", "cannot read the result: partial", "only a test"),
                                 strict=True):  # fmt: skip
            assert wanted in words
        assert len(log.read_text().splitlines()) == tries
    assert "2 of them unchanged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_file_that_cannot_be_read_costs_its_student_only(level, tmp_path):
    folder = courses.make(tmp_path / "course", manual=False)
    hand_in(folder, "ada", {"problem1": CLASS["right"]})
    with (hand_in(folder, "bob", {}) / "problem1.ipynb").open("wb") as file:
        file.truncate(200 * 2**20)
    eve = hand_in(folder, "eve", {"problem1": CLASS["right"]})
    (eve / "helper.py").write_text("import os; os._exit(1)")
    (eve / "submission_secret.txt").write_text("nbgrader's own")
    document, _ = grade(folder, code=1)
    assert summary(document) == {"ada": ("graded", 4), "bob": ("not gradable", None), "eve": ("graded", 4)}
    assert "problem1.ipynb has 200 MiB; at most 100 are read" in row(document, "bob")["notes"]
    assert "not used: helper.py" in row(document, "eve")["notes"] and "secret" not in str(row(document, "eve")["notes"])


@pytest.mark.slow
def test_who_must_not_be_graded_is_not(level, tmp_path):
    folder = courses.make(tmp_path / "course", manual=False, config=(
        "c.CourseDirectory.student_id_exclude = 'eve,mal'\nc.Autograde.create_student = False"))  # fmt: skip
    for student in ("ada", "bob", "eve"):
        hand_in(folder, student, {"problem1": CLASS["right"]})
    courses.nbgrader(folder, "db", "student", "add", "ada")
    document, run = grade(folder, code=1)
    assert summary(document) == {"ada": ("graded", 4)} and "! bob: is not in the gradebook" in run.stdout


@pytest.mark.slow
def test_files_that_students_may_edit_are_theirs(level, tmp_path):
    config = "c.Autograde.exclude_overwriting = {'ps1': ['own.txt']}"
    folder = courses.make(tmp_path / "course", manual=False, config=config)
    for name in ("own.txt", "given.txt"):
        (folder / "source" / "ps1" / name).write_text("3")
    reads = answered("return int(open('own.txt').read()) * x", "return x / int(open('given.txt').read())", manual=False)
    where = hand_in(folder, "ada", {"problem1": reads})
    for name in ("own.txt", "given.txt"):
        (where / name).write_text("2")
    document, _ = grade(folder)
    assert [e["score"] for e in row(document, "ada")["exercises"]] == [2, 0]
    left = folder / "autograded" / "ada" / "ps1"
    assert ((left / "own.txt").read_text(), (left / "given.txt").read_text()) == ("2", "3")


# -------------------- what it looks like --------------------


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_table_that_fits(graded, columns):
    text, raw = terminal(graded[0], columns, "grade", "ps1")
    table = text.split("/formgrader")[0]
    assert re.search(r"^right +4/4 +graded +\d", table, re.M) and "\x1b[32m" in raw and "\x1b[31m" in raw
    assert max(map(len, table.splitlines())) <= min(columns, 100)


@pytest.mark.slow
def test_names_and_words_cannot_drive_the_terminal(level, tmp_path):
    folder = courses.make(tmp_path / "course", manual=False)
    evil = "\x1b[2J\x1b]0;owned\x07"
    os.mkdir(folder / "submitted")
    (folder / "submitted" / f"x{evil}.ipynb").write_text("{}")
    hand_in(folder, "ada", {"problem1": answered(f"raise ValueError({evil!r} + '[red]x[/red] \u202e')", manual=False)})
    document, run = grade(folder, code=1)
    assert "\x1b" not in run.stdout + run.stderr and "\u202e" not in run.stdout
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", json.dumps(document, ensure_ascii=False))


# -------------------- interrupted --------------------


def begin(folder, *arguments, **environment):
    """A grader in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "enm5310", "grade", "ps1", *arguments], cwd=folder, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def crowd(folder, number, seconds=0.2):
    """A class whose right answers take a while."""
    courses.make(folder, manual=False)
    for i in range(number):
        body = f"import time\n    time.sleep({seconds})\n    return {2 if i % 3 else 3} * x"
        hand_in(folder, f"s{i:02}", {"problem1": answered(body, manual=False)})
    return folder


def records(folder):
    return list((folder / ".grading" / "records" / "ps1").glob("*.json"))


def family(process):
    """The process and all that descend from it, with what is needed to see whether they live on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [p for p in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True))]
    return []


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(level, tmp_path):
    folder = crowd(tmp_path / "course", 12, 0.5)
    run = begin(folder, "--jobs", "2")
    deadline = time.monotonic() + 100
    while len(records(folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    members = family(run)
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130 and out == "", out + err
    assert re.search(r"^\nenm5310: stopped; what is graded is kept \(\d+ of 12\), and the same command goes on", err)
    assert err.count("\n") == 2
    assert not psutil.wait_procs(members, timeout=10)[1]
    kept = len(records(folder))
    document, again = grade(folder)
    assert [r["score"] for r in document["submissions"]] == [4.0 if i % 3 else 2.0 for i in range(12)]
    assert 2 <= kept <= int(re.search(r"(\d+) of them unchanged", again.stdout)[1])


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing(level, tmp_path):
    """Ten times at random moments, the whole process group; then the same scores as in an undisturbed run."""
    folder, calm = crowd(tmp_path / "killed", 30), crowd(tmp_path / "calm", 30)
    wanted = summary(grade(calm)[0])
    rng, scratch = random.Random(os.urandom(8)), tmp_path / "scratch"
    scratch.mkdir()
    for _ in range(10):
        run = begin(folder, TMPDIR=str(scratch))
        deadline = time.monotonic() + rng.uniform(0.3, 6)
        members = []
        while time.monotonic() < deadline and run.poll() is None:
            members += [p for p in family(run) if p not in members]
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=10)
        assert not psutil.wait_procs(members, timeout=10)[1], "orphans"
    run = begin(folder, "--json", str(tmp_path / "out.json"), TMPDIR=str(scratch))
    assert run.wait(timeout=200) == 0, run.communicate()
    run.communicate()
    assert summary(json.loads((tmp_path / "out.json").read_text())) == wanted and len(wanted) == 30
    assert {s: (v["score"], v["autograded"]) for s, v in formgrader(folder).items()} == {
        s: (score, True) for s, (_, score) in wanted.items()}  # fmt: skip
    left = [p for p in folder.rglob("*") if p.name.endswith(".part")]
    assert left == [] and [p.name for p in scratch.iterdir() if p.name.startswith("enm5310")] == []
