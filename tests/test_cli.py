"""The command line through real processes, warnings as errors: exit codes, one line per error, nothing lost."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import enm5310
from enm5310 import doctor, release
from enm5310.practice import Problem
from tests.notebooks import ROOT, exercises, solution_cell
from tests.students import IDS, PART, STARTER, call, write

UNBIASED = "def covariance(X):\n    return np.cov(X, rowvar=False)"
ASCENDING = """def pca_fit(X, k):
    lam, U = np.linalg.eigh(np.cov(X.T, bias=True))
    return X.mean(axis=0), U[:, -k:], lam[-k:]
"""
STUB = "raise NotImplementedError"
TOTAL = sum(e.max_points for e in exercises(PART))


@pytest.fixture
def home(tmp_path):
    """A course folder with a path that needs care, holding a solved notebook."""
    folder = tmp_path / "Kurs für Zoë"
    write(notebook(folder))
    return folder


def notebook(folder):
    return folder / "exercises" / PART / f"{PART}.ipynb"


def verdicts(folder, *arguments, code, **environment):
    """The JSON of `enm5310 check`, after its exit code, its silence on stderr and the notebook's bytes were checked."""
    out = folder / "verdicts.json"
    before = notebook(folder).read_bytes()
    run = call("check", *arguments, "--json", out, cwd=folder, **environment)
    assert run.returncode == code, run.stdout + run.stderr
    assert notebook(folder).read_bytes() == before
    assert [p.name for p in notebook(folder).parent.iterdir()] == [f"{PART}.ipynb"]
    return json.loads(out.read_text(encoding="utf-8")), run


# -------------------- check --------------------


def test_right_everything(home):
    document, run = verdicts(home, code=0)
    assert run.stderr == "" and "Everything is right" in run.stdout and f"{TOTAL} of {TOTAL} points" in run.stdout
    for e, v in zip(exercises(PART), document["exercises"], strict=True):
        assert v == {
            "id": e.id, "state": "right", "points": e.max_points, "max_points": e.max_points, "message": None,
            "mistake": None, "part": PART, "notebook": f"exercises/{PART}/{PART}.ipynb",
        }  # fmt: skip


def test_wrong_and_partly_right_are_named_and_fixing_them_turns_the_exit_code(home):
    write(notebook(home), {"covariance": UNBIASED, "pca-fit": ASCENDING})
    document, run = verdicts(home, "1", code=1)
    v = {v["id"]: v for v in document["exercises"]}
    told = "You divided by n - 1 (the unbiased estimate). The slide's covariance divides by n."
    assert (v["1.2"]["state"], v["1.2"]["points"]) == ("wrong", 0)
    assert v["1.2"]["mistake"] == v["1.2"]["message"] == told
    assert (v["1.3"]["state"], v["1.3"]["points"], v["1.3"]["max_points"]) == ("partly right", 2, 3)
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("1.2 ")]
    assert line.split()[1:4] == ["✗", "wrong", "0/1"] and line.endswith(f"Covariance: {told}")
    assert "enm5310 hint 1.2" in run.stdout and run.stderr == ""
    write(notebook(home))
    verdicts(home, PART, code=0)


def test_nothing_attempted_is_1_and_some_right_with_the_rest_untouched_is_0(home):
    shutil.copy(STARTER, notebook(home))
    document, run = verdicts(home, code=1)
    assert [v["state"] for v in document["exercises"]] == ["not attempted"] * 10 and "Next: 1.1" in run.stdout
    (center,) = [solution_cell(e) for e in exercises(PART) if e.name == "center"]
    write(notebook(home), {"center": center}, solved=False)
    document, run = verdicts(home, notebook(home), code=0)
    assert [v["state"] for v in document["exercises"]] == ["right"] + ["not attempted"] * 9
    assert "Next: 1.2" in run.stdout


def test_every_bad_argument_is_one_line_and_the_others_are_still_checked(home):
    bad = {"text.ipynb": b"hello", "empty.ipynb": b"", "bytes.ipynb": bytes(range(256)), "v3.ipynb": b'{"nbformat":3}'}
    for name, data in bad.items():
        (home / name).write_bytes(data)
    (home / "nothing here").mkdir()
    words = [*bad, "gone.ipynb", "nothing here", "nonsense", "99"]
    document, run = verdicts(home, *words, notebook(home), "--timeout", "20", code=2)
    assert [v["state"] for v in document["exercises"]] == ["right"] * 10
    lines = run.stderr.splitlines()
    assert len(lines) == len(words) and all(line.startswith("enm5310: ") for line in lines)
    for word in words:
        assert sum(word in line for line in lines) == 1, word
    assert [f"enm5310: {problem}" for problem in document["problems"]] == lines
    assert {name: (home / name).read_bytes() for name in bad} == bad


def test_an_endless_loop_is_stopped_and_the_others_are_checked(home):
    write(notebook(home), {"covariance": "while True: pass"})
    document, _ = verdicts(home, "--timeout", "1", code=1)
    assert [v["id"] for v in document["exercises"] if v["state"] != "right"] == ["1.2"]
    assert "did not finish within 1 s" in document["exercises"][1]["message"]


def test_several_notebooks_are_totalled(home, tmp_path):
    other = write(tmp_path / "other" / f"{PART}.ipynb", solved=False)
    run = call("check", "1", other.parent, cwd=home)
    assert run.returncode == 0 and run.stdout.count(f"{TOTAL} of {TOTAL} points") == 1
    assert f"{TOTAL} of {2 * TOTAL} points: 10 right, 10 not attempted" in run.stdout
    assert [p.name for p in other.parent.iterdir()] == [other.name]  # no progress kept outside a course folder


def test_no_course_folder_is_one_line(tmp_path):
    for command in (["check"], ["check", "1"], ["hint", "1.1"]):
        run = call(*command, cwd=tmp_path)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("enm5310: there is no course folder here") and run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_json_never_overwrites_a_notebook(home):
    before = notebook(home).read_bytes()
    for target in (notebook(home), home, home / "gone" / "x.json"):
        run = call("check", "--json", target, cwd=home)
        assert run.returncode == 2 and run.stderr.startswith("enm5310: --json") and run.stderr.count("\n") == 1
    assert notebook(home).read_bytes() == before


# -------------------- what it looks like --------------------


def terminal(folder, columns, *arguments, **environment):
    """What a terminal of so many columns shows: (text without escapes, raw text)."""
    import pty

    environment = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm-256color", **environment}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "enm5310", *arguments], cwd=folder, stdin=theirs, stdout=theirs,
        stderr=subprocess.DEVNULL, env={**environment, "COLUMNS": str(columns)},
    )  # fmt: skip
    os.close(theirs)
    data = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    process.wait(timeout=60)
    raw = data.decode().replace("\r\n", "\n")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw), raw


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_shows_a_table_that_fits(home, columns):
    write(notebook(home), {"covariance": UNBIASED, "pca-fit": ASCENDING, "svd-to-eig": "def svd_to_eig(s, n): " + STUB})
    text, raw = terminal(home, columns, "check")
    assert max(map(len, text.splitlines())) <= min(columns, 100)
    words = " ".join(text.split())
    for name in IDS.values():
        assert re.search(rf"^{name} ", text, re.M), name
    for told in ("✗ wrong 0/1", "◐ partly right 2/3", "○ not attempted 0/2", "divided by n - 1"):
        assert told in words
    assert "\x1b[31m" in raw and "\x1b[32m" in raw
    _, raw = terminal(home, columns, "check", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw)


def test_an_output_without_unicode_gets_ascii_marks(home):
    write(notebook(home), {"covariance": UNBIASED, "center": "def center(X): raise ValueError('Größe √2')"})
    run = call("check", cwd=home, PYTHONIOENCODING="ascii")
    assert run.returncode == 1 and run.stderr == "" and run.stdout.isascii()
    assert re.search(r"^1.2 +x wrong +0/1", run.stdout, re.M) and re.search(r"^1.3 +\+ right", run.stdout, re.M)


# -------------------- hints, solutions, progress --------------------


def test_from_the_first_hint_to_the_solution(home):
    write(notebook(home), {"covariance": UNBIASED})
    (e,) = [e for e in exercises(PART) if e.name == "covariance"]
    assert "or after 3 more hints: `enm5310 hint 1.2`" in call("solution", "1.2", cwd=home).stderr
    for number, hint in enumerate(e.hints, 1):
        assert call("solution", "1.2", cwd=home).returncode == 2
        run = call("hint", "1.2" if number % 2 else "covariance", cwd=home)
        assert run.returncode == 0 and run.stderr == "" and hint in run.stdout and f"hint {number} of 3" in run.stdout
    assert "enm5310 solution 1.2" in run.stdout
    shown = call("solution", "1.2", cwd=home)
    assert shown.returncode == 0 and "X.T @ X / " in shown.stdout and "BEGIN SOLUTION" not in shown.stdout
    graded = call("solution", "1.2", cwd=home, NBGRADER_EXECUTION="autograde")
    assert (graded.returncode, graded.stdout) == (2, "") and "while a notebook is graded" in graded.stderr


def test_a_right_answer_opens_its_solution_and_progress_shows_all(home):
    write(notebook(home), {"covariance": UNBIASED})
    assert "Nothing has been checked yet" in call("progress", cwd=home).stdout
    verdicts(home, code=1)
    assert call("solution", "1.1", cwd=home).returncode == 0 and call("solution", "1.2", cwd=home).returncode == 2
    run = call("progress", cwd=home / "exercises")
    assert run.returncode == 0 and run.stderr == ""
    assert re.search(r"^1\.2 +✗ wrong +0/1 +Covariance: You divided by n - 1", run.stdout, re.M)
    assert re.search(rf"^01_pca +{TOTAL - 1} of {TOTAL} points$", run.stdout, re.M) and "has changed" not in run.stdout
    write(notebook(home))
    assert f"exercises/{PART}/{PART}.ipynb has changed since it was checked" in call("progress", cwd=home).stdout
    text, _ = terminal(home, 80, "progress")
    assert "━" * 28 in text


def test_checking_a_copy_or_the_solutions_does_not_count_as_progress(home):
    write(notebook(home), solved=False)
    copy = write(home / "solutions" / PART / f"{PART}.ipynb")
    assert call("check", copy, cwd=home).returncode == 0
    assert not (home / ".enm5310").exists()


def test_damaged_progress_is_set_aside_with_one_line(home):
    (home / ".enm5310").mkdir()
    (home / ".enm5310" / "progress.json").write_text('{"hints": ')
    run = call("hint", "1.1", cwd=home)
    assert run.returncode == 0 and "hint 1 of 3" in run.stdout
    assert run.stderr.startswith("! the progress file was damaged") and run.stderr.count("\n") == 1
    assert "hint 2 of 3" in call("hint", "1.1", cwd=home).stdout


# -------------------- usage, doctor, data --------------------

USAGE = {
    ("chek",): "No such command 'chek'",
    ("check", "--jsn"): "No such option",
    ("hint",): "Missing argument",
    ("hint", "1.22"): "there is no exercise 1.22; did you mean",
    ("hint", "covarianc"): "did you mean covariance",
    ("solution", "%&"): "`enm5310 progress` lists them",
    ("start", "--port", "x"): "Invalid value for '--port'",
    ("start", "--port", "99999"): "Invalid value for '--port'",
    ("data", "fetch", "imagenet"): "no data set is called 'imagenet'",
    ("release", "9"): "there is no part 9",
    ("check", "--timeout", "0"): "Invalid value for '--timeout'",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, home):
    run = call(*arguments, cwd=home)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("enm5310: ") and run.stderr.count("\n") == 1 and USAGE[arguments] in run.stderr


def test_help_and_version(tmp_path):
    assert call("--version", cwd=tmp_path).stdout == f"enm5310 {enm5310.__version__}\n"
    for arguments in ([], ["--help"], ["-h"]):
        run = call(*arguments, cwd=tmp_path)
        assert run.returncode == 0 and run.stderr == ""
        for name in ("start", "check", "progress", "hint", "solution", "grade", "release", "data", "doctor"):
            assert re.search(rf"^\s+{name}\s", run.stdout, re.M), name
    script = subprocess.run([Path(sys.executable).with_name("enm5310"), "--version"], capture_output=True, text=True)
    assert script.stdout == f"enm5310 {enm5310.__version__}\n"


def test_the_command_itself_imports_nothing_heavy():
    code = "import sys, enm5310.cli; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "autograd", "matplotlib", "IPython", "nbformat", "nbgrader", "jupyterlab"} & set(loaded)


def test_data_lists_what_there_is(tmp_path):
    for arguments in (["data"], ["data", "list"]):
        run = call(*arguments, cwd=tmp_path, ENM5310_DATA=str(tmp_path / "cache"))
        assert run.returncode == 0 and run.stderr == ""
        assert re.search(r"^digits +packaged ", run.stdout, re.M)
        assert re.search(r"^mnist +not cached ", run.stdout, re.M)
        assert f"cache: {tmp_path / 'cache'}" in run.stdout
    fetched = call("data", "fetch", "digits", cwd=tmp_path)
    assert fetched.returncode == 0 and fetched.stdout.startswith("digits: packaged in ")


def test_doctor_finds_all_well_here(tmp_path):
    run = call("doctor", cwd=tmp_path, ENM5310_DATA=str(tmp_path))
    assert run.returncode == 0 and run.stderr == "" and "All is well" in run.stdout
    for what in ("Python", "enm5310", *doctor.NEEDED, *doctor.LAB, "kernel python3", "GPU", "fonts", "data cache"):
        assert re.search(rf"^[ !] {what} ", run.stdout, re.M), what


def test_doctor_names_the_fix_of_what_is_missing(monkeypatch):
    def version(name):
        if name == "jupyterlab":
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    found = {f.what: f for f in doctor.findings()}
    assert found["jupyterlab"].fix == "pip install 'enm5310[lab]'" and not found["numpy"].fix
    assert found["kernel python3"].fix and not found["GPU"].fix
    assert not doctor.can_work(found.values())
    assert doctor.can_work([found["GPU"], found["numpy"], found["fonts"]])  # fonts are nice to have


# -------------------- release --------------------


@pytest.fixture
def clone(tmp_path):
    """A clone of the course: the package, the solutions and nothing released yet."""
    package = Path(enm5310.__file__).parent
    shutil.copytree(package, tmp_path / "enm5310", ignore=shutil.ignore_patterns("__pycache__", "_course"))
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def released(clone):
    return {p.relative_to(clone).as_posix(): p.read_bytes() for p in (clone / "exercises").rglob("*") if p.is_file()}


def test_release_makes_the_committed_bytes_each_time(clone):
    release.generate(clone, PART)
    (clone / "exercises" / PART / "stale.txt").write_text("left by hand")
    first = released(clone)
    release.generate(clone, PART)
    name = f"exercises/{PART}/{PART}.ipynb"
    assert released(clone) == {name: first[name]} == {name: STARTER.read_bytes()}
    assert {p.name for p in clone.iterdir()} - {".grading"} == {"enm5310", "solutions", "pyproject.toml", "exercises"}


def test_a_solution_that_nbgrader_refuses_is_named_and_the_old_release_stays(clone):
    release.generate(clone, PART)
    before = released(clone)
    source = clone / "solutions" / PART / f"{PART}.ipynb"
    source.write_text(source.read_text(encoding="utf-8").replace("### END SOLUTION", "### END"), encoding="utf-8")
    with pytest.raises(Problem, match="nbgrader could not release 01_pca: RuntimeError") as caught:
        release.generate(clone, PART)
    assert "\n" not in str(caught.value) and released(clone) == before


@pytest.mark.slow
def test_release_runs_every_solution_and_wants_full_marks(clone):
    run = call("release", cwd=clone, PYTHONPATH=str(clone))
    assert run.returncode == 0 and run.stderr == "", run.stderr
    assert released(clone)[f"exercises/{PART}/{PART}.ipynb"] == STARTER.read_bytes()
    before = released(clone)
    for old, new, told in [
        ("X.T @ X / len(X)", "X.T @ X / (len(X) - 1)", "01_pca is not released: a cell stopped with CheckFailed"),
        ("import numpy as np", "1 / 0", "01_pca is not released: a cell stopped with ZeroDivisionError"),
    ]:
        source = clone / "solutions" / PART / f"{PART}.ipynb"
        text = source.read_text(encoding="utf-8")
        assert old in text
        source.write_text(text.replace(old, new), encoding="utf-8")
        run = call("release", "1", cwd=clone, PYTHONPATH=str(clone))
        assert run.returncode == 2 and run.stderr.startswith(f"enm5310: {told}") and run.stderr.count("\n") == 1
        source.write_text(text, encoding="utf-8")
    assert released(clone) == before
