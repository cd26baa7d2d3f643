"""`enm5310 grade --replay`: the inputs that were drawn and the verdict, again; whatever a student wrote."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from enm5310.checks.engine import Fn, student_seed
from enm5310.grading import command, course, replay, values
from enm5310.practice import Problem
from tests import courses
from tests.courses import answered, hand_in
from tests.notebooks import ROOT
from tests.students import call, write

EVIL = "\x1b[2J\x1b]0;owned\x07[red]x\u202e"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")

SHOWN = {
    "3": 3, "0.333333": 1 / 3, "nan": float("nan"), "None": None, "True": True, "'a'": "a", "2.5": np.float64(2.5),
    "int64 3 [1, 2, 3]": np.array([1, 2, 3]), "float64 2x2 [[1. , 0.5], [0. , 2. ]]": np.array([[1, 0.5], [0, 2]]),
    "bool scalar True": np.array(True), "[1, (2, 3)]": [1, (2, 3)], "{'k': [1]}": {"k": [1]},
    "[0, 1, 2, 3, 4, 5, and 3 more]": list(range(9)), "an integer of 20001 bits": 2**20000,
    "[[[[[...]]]]]": [[[[[[[1]]]]]]], "function `f = lambda x: x`": Fn("f = lambda x: x"), "a object": object(),
    "float64 100 [ 0., 1., ..., 98., 99.]": np.arange(100.0),
}  # fmt: skip


@pytest.mark.parametrize("words", SHOWN)
def test_values_are_shown_compactly(words):
    assert values.shown(SHOWN[words]) == words


def test_whatever_a_value_holds_it_is_one_short_line():
    for value in (EVIL * 1000, [EVIL] * 50, {EVIL: EVIL}, np.arange(10**6), [["x" * 500] * 9] * 9, "\ud800", "a\nb"):
        text = values.shown(value)
        assert len(text) <= values.WIDE and "\n" not in text and not CONTROL.search(text)
    words = values.in_words((1,), {f"k{EVIL}": 2})
    assert words[0] == "1" and words[1].endswith("=2") and not CONTROL.search(words[1])

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    assert values.shown_error(Odd()) == "Odd" and not CONTROL.search(values.shown_error(ValueError(EVIL)))


LINE = {"id": "1.2", "grade_id": "test-covariance", "score": 0.0, "max_score": 1.0, "state": "wrong",
        "message": f"no {EVIL}", "mistake": None, "protected": True, "seed": 7}  # fmt: skip


def test_every_difference_of_a_verdict_is_seen(capsys):
    from enm5310.practice.screens import console

    assert replay.alike(LINE, dict(LINE)) and replay.alike(LINE, {**LINE, "seed": 8})
    found = replay.Found("ps1", "problem1", LINE, {}, "")
    for key, other in {"state": "right", "score": 1.0, "message": None, "mistake": "m"}.items():
        assert not replay.alike(LINE, {**LINE, key: other})
        made = replay.Replay(((f"f{EVIL}", ("1",), "2"),) * 3, 5, {**LINE, key: other})
        replay.show(console(), "ada", found, made, ["a note"])
        out = capsys.readouterr().out
        assert "! recorded was: wrong, 0 of 1: no" in out and "and 5 more calls" in out and "! a note" in out
        assert "The same verdict" not in out


# -------------------- finding it --------------------


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A course with a secret and two records, made by hand; (student, record) writes another."""
    folder = courses.make(tmp_path / "course")
    monkeypatch.chdir(folder)
    here = course.find()
    here.secret()

    def save(student, exercises, text="{}", assignment="ps1"):
        where = here.ours / "records" / assignment
        where.mkdir(parents=True, exist_ok=True)
        result = {"notebooks": {"problem1": {"record": {"exercises": exercises}, "text": text}}}
        (where / f"{student}.json").write_text(json.dumps({"student": student, "result": result}))

    save("ada", [LINE, {**LINE, "id": "why", "grade_id": "why", "state": "needs manual"}])
    save("torn", [LINE], text=None)
    return here, save


def test_an_exercise_is_found_by_id_test_or_name(recorded):
    here, _ = recorded
    for name in ("1.2", "test-covariance", "covariance"):
        for assignment in (None, "ps1"):
            found = replay.find(here, "ada", name, assignment)
            assert (found.assignment, found.notebook, found.line) == ("ps1", "problem1", LINE)


MISSING = {
    ("eve", "1.2", None): "there is no record of eve in any assignment: `enm5310 grade ASSIGNMENT` makes it",
    ("../ps1/ada", "1.2", None): "there is no record of ../ps1/ada",
    ("ada", "9.9", "ps1"): "ada's record has no exercise 9.9 in ps1",
    ("ada", "1.2", "ps7"): "there is no assignment 'ps7' here",
    ("ada", "why", None): "a human grades why",
    ("torn", "1.2", None): "torn's problem1 could not be graded",
    ("damaged", "1.2", None): "the record of damaged is damaged",
    (f"e{EVIL}", f"1{EVIL}", None): "there is no record of e",
}


@pytest.mark.parametrize("wanted", MISSING, ids=lambda w: w[0][:8])
def test_what_is_not_there_is_one_line(wanted, recorded):
    here, _ = recorded
    (here.ours / "records" / "ps1" / "damaged.json").write_text('{"result": []}')
    with pytest.raises(Problem) as why:
        replay.find(here, *wanted)
    assert MISSING[wanted] in str(why.value) and not CONTROL.search(str(why.value)) and "\n" not in str(why.value)


def test_without_the_courses_secret_there_is_no_replay(tmp_path, monkeypatch):
    folder = courses.make(tmp_path / "clone")
    monkeypatch.chdir(folder)
    with pytest.raises(Problem, match="no secret and no records: a replay needs the folder where the class was graded"):
        command.replay("ada", "1.2", engine=SimpleNamespace())
    assert sorted(p.name for p in folder.iterdir()) == ["nbgrader_config.py", "source"]  # none was drawn by asking


def test_no_replay_disturbs_a_run(recorded, monkeypatch):
    here, _ = recorded
    engine = SimpleNamespace(choose=lambda unsafe: None)
    with command._alone(here), pytest.raises(Problem, match="another `enm5310 grade` is at work"):
        command.replay("ada", "1.2", engine=engine)


def test_seeds_are_the_records_and_a_new_secret_is_told(recorded):
    here, _ = recorded
    mine = {**LINE, "seed": student_seed(here.secret(), "ada", "1.2")}
    found = replay.Found("ps1", "problem1", mine, {"exercises": [mine]}, "")
    general = student_seed(here.secret(), "ada", "ps1/problem1")
    assert replay._seeds(here, found, "ada") == ({"1.2": mine["seed"], "": general}, [])
    seeds, notes = replay._seeds(here, found._replace(line=LINE, record={"exercises": [LINE]}), "ada")
    assert seeds["1.2"] == 7 and notes == ["the course's secret has changed since: the seed is the record's"]


# -------------------- run again, in the sandbox --------------------


UNBIASED = "import numpy as np\ndef covariance(X):\n    return np.cov(X, rowvar=False)"
RANDOM = "import os\ndef covariance(X):\n    raise ValueError(os.urandom(8).hex())"
DRAWS = "def covariance(X):\n    raise ValueError(repr(X[0, 0]))"


@pytest.fixture(scope="module")
def graded(level, tmp_path_factory):
    """This course's first part, graded for three students."""
    folder = tmp_path_factory.mktemp("replay") / "clone"
    shutil.copytree(ROOT / "solutions" / "01_pca", folder / "solutions" / "01_pca")
    shutil.copy(ROOT / "solutions" / "nbgrader_config.py", folder / "solutions")
    for student, source in {"ada": UNBIASED, "eve": RANDOM, "bob": DRAWS, "solver": None}.items():
        where = folder / ".grading" / "submitted" / student / "01_pca" / "01_pca.ipynb"
        write(where, {"covariance": source} if source else None)
    run = call("grade", "01_pca", cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def again(folder, student, exercise, code=0):
    run = call("grade", "--replay", student, exercise, cwd=folder)
    assert run.returncode == code and run.stderr == "", run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_the_inputs_and_the_verdict_of_an_exercise(graded):
    before = {p: p.read_bytes() for p in graded.rglob("*") if p.is_file() and p.name != "lock"}
    out = again(graded, "ada", "1.2")
    secret = (graded / ".grading" / "secret").read_bytes()
    seed = student_seed(secret, "ada", "1.2")
    X = np.random.default_rng(seed).normal(size=(3, 2))  # as the check draws its first input, up to scale and shift
    assert f"ada, 1.2 of 01_pca, seed {seed}" in out
    first = re.search(r"^1\. covariance\(float64 3x2 \[\[(.*)\]\]\)$", out, re.M)[1]
    shown = np.array([[float(x) for x in row.split(",")] for row in first.split("], [")])
    assert np.allclose(np.corrcoef(shown[:, 0], X[:, 0])[0, 1], 1, atol=1e-3)
    assert "verdict: wrong, 0 of 1: You divided by n - 1" in out and "The same verdict as recorded." in out
    for name in ("covariance", "test-covariance"):
        assert again(graded, "ada", name) == out
    assert "verdict: right, 1 of 1\n" in again(graded, "solver", "1.2")
    assert {p: p.read_bytes() for p in graded.rglob("*") if p.is_file() and p.name != "lock"} == before
    bob = again(graded, "bob", "1.2")  # another student, another input, which the message holds
    assert re.search(r"raised ValueError: (np\.float64\()?-?\d", bob) and "The same verdict" in bob
    assert re.search(r"3x2 \[\[.*", bob)[0] != re.search(r"3x2 \[\[.*", out)[0]


@pytest.mark.slow
def test_a_verdict_that_is_not_the_same_is_told(graded):
    out = again(graded, "eve", "1.2", code=1)
    assert "! recorded was: wrong, 0 of 1: covariance raised ValueError" in out and "The same verdict" not in out


@pytest.mark.slow
def test_a_submission_that_was_replaced_is_replayed_as_it_was_graded(graded, tmp_path):
    folder = shutil.copytree(graded, tmp_path / "clone")
    write(folder / ".grading" / "submitted" / "ada" / "01_pca" / "01_pca.ipynb")  # now all right
    assert "You divided by n - 1" in again(folder, "ada", "1.2")
    (folder / ".grading" / "secret").write_bytes(b"another secret of thirty-two byte")
    run = call("grade", "--replay", "ada", "1.2", cwd=folder)
    assert run.returncode == 2 and "is damaged" in run.stderr
    (folder / ".grading" / "secret").write_bytes(b"x" * 32)
    out = again(folder, "ada", "1.2")
    assert "! the course's secret has changed since" in out and "The same verdict as recorded." in out


@pytest.mark.slow
def test_tests_of_any_course_and_hostile_answers(level, tmp_path):
    folder = courses.make(tmp_path / "course", manual=False)
    evil = f"import sys\n    sys.stdout.write({EVIL!r})\n    raise ValueError({EVIL!r})"
    hand_in(folder, "ada", {"problem1": answered(halved=evil, manual=False)})
    copied = json.loads(answered("return 7", manual=False))
    copied["cells"] += copied["cells"][1:3]  # whoever copies a cell in some editors gets its id twice
    hand_in(folder, "twice", {"problem1": json.dumps(copied)})
    assert call("grade", "ps1", cwd=folder).returncode == 0
    for student, test in (("ada", "test-halved"), ("ada", "test-doubled"), ("twice", "test-doubled")):
        run = call("grade", "ps1", "--replay", student, test, cwd=folder)
        assert run.returncode == 0 and "The same verdict as recorded." in run.stdout, run.stdout + run.stderr
        assert not CONTROL.search(run.stdout)
    run = call("grade", "ps1", "--replay", "ada", "test-doubled", cwd=folder)
    assert "1. doubled(3)\n   = 6\n2. doubled(-41)\n   = -82\n" in run.stdout
