"""solutions/ and exercises/ in step, and the whole nbgrader pipeline with its stock commands."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.notebooks import PARTS, ROOT, exercises, nbgrader, solution_cell
from tests.sampling import one_in

PART = "01_pca"
NBGRADER = Path(sys.executable).with_name("nbgrader")


def course_copy(folder):
    """A course of its own: the solutions, their configuration and the released exercises."""
    for name in ("solutions", "exercises"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    return folder


def run_nbgrader(course, *arguments):
    """A stock command from the documented folder, with the virtual environment off PATH."""
    env = {k: v for k, v in os.environ.items() if k not in ("NBGRADER_EXECUTION", "VIRTUAL_ENV")}
    env["PATH"] = "/usr/bin:/bin"
    command = [str(NBGRADER), *map(str, arguments)]
    run = subprocess.run(command, cwd=course / "solutions", env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize("part", one_in(3, PARTS))
def test_exercises_are_what_nbgrader_makes_of_the_solutions_byte_for_byte(part, tmp_path):
    course = course_copy(tmp_path)
    shutil.rmtree(course / "exercises")
    run_nbgrader(course, "generate_assignment", part, "--no-db")
    made, kept = course / "exercises" / part, ROOT / "exercises" / part
    assert sorted(p.name for p in made.iterdir()) == sorted(p.name for p in kept.iterdir() if p.suffix != "")
    for path in made.iterdir():
        assert path.read_bytes() == (kept / path.name).read_bytes(), f"{path.name}: run `enm5310 release {part}`"


# -------------------- a class graded by stock nbgrader --------------------

ASCENDING = '''def pca_fit(X, k):
    mean = X.mean(axis=0)
    lam, U = np.linalg.eigh((X - mean).T @ (X - mean) / len(X))
    return mean, U[:, -k:], lam[-k:]
'''
UNBIASED = '''def covariance(X):
    return np.cov(X, rowvar=False)
'''
NOISY = '''import sys, warnings, logging, os
def covariance(X):
    print("working"); print("hm", file=sys.stderr); warnings.warn("careful"); logging.warning("logged")
    os.write(2, b"from C")
    np.log(np.zeros(2))
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
'''


def submission(path, replace=None, solved=True):
    """A student's copy of the released notebook: solved, with some answers replaced."""
    nb = nbformat.read(ROOT / "exercises" / PART / f"{PART}.ipynb", as_version=4)
    answers = {e.name.replace("_", "-"): solution_cell(e) for e in exercises(PART)} if solved else {}
    for cell in nb.cells:
        cell.source = {**answers, **(replace or {})}.get(cell.id, cell.source)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


CLASS = {
    "ada": {},
    "ben": {"replace": {"pca-fit": ASCENDING}},
    "cleo": {"replace": {"covariance": UNBIASED}},
    "dan": {"solved": False},
    "eve": {"replace": {"covariance": NOISY}},
}
EXPECTED = {
    "ada": {},
    "ben": {"pca_fit": 2},
    "cleo": {"covariance": 0},
    "dan": {e.name: 0 for e in exercises(PART)},
    "eve": {},
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The course after autograde, feedback and export; exercises/ and solutions/ must stay as they were."""
    course = course_copy(tmp_path_factory.mktemp("course with spaces"))
    for student, answers in CLASS.items():
        submission(course / ".grading" / "submitted" / student / PART / f"{PART}.ipynb", **answers)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("    cd solutions\n")[2].partition("\n\n")[0]
    commands = [line.split() for line in readme.splitlines()]
    assert [words[:2] for words in commands] == [["nbgrader", verb] for verb in VERBS]
    for _, *arguments in commands:  # the README's own lines, as they are printed
        run_nbgrader(course, *arguments)
    return course


VERBS = ["generate_assignment", "autograde", "generate_feedback", "export"]


def autograded(course, student):
    """Points of each exercise as stock nbgrader counts them."""
    from nbgrader.utils import determine_grade

    nb = nbformat.read(course / ".grading" / "autograded" / student / PART / f"{PART}.ipynb", as_version=4)
    cells = {c.metadata.nbgrader.grade_id: c for c in nb.cells if "nbgrader" in c.metadata}
    return {e.name: determine_grade(cells["test-" + e.name.replace("_", "-")])[0] for e in exercises(PART)}


@pytest.mark.slow
@pytest.mark.parametrize("student", CLASS)
def test_stock_autograde_gives_the_reports_points(graded, student):
    full = {e.name: e.max_points for e in exercises(PART)}
    assert autograded(graded, student) == {**full, **EXPECTED[student]}


@pytest.mark.slow
@pytest.mark.parametrize("student", CLASS)
def test_enm5310_check_gives_the_same_points(graded, student, tmp_path):
    path = graded / ".grading" / "submitted" / student / PART / f"{PART}.ipynb"
    before, out = path.read_bytes(), tmp_path / "verdicts.json"
    command = [sys.executable, "-m", "enm5310", "check", str(path), "--json", str(out)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == (0 if student in ("ada", "eve") else 1), run.stdout + run.stderr
    verdicts = json.loads(out.read_text())["exercises"]
    by_id = {e.id: e.name for e in exercises(PART)}
    assert {by_id[v["id"]]: v["points"] for v in verdicts} == autograded(graded, student)
    assert path.read_bytes() == before
    if student == "cleo":
        (covariance,) = [v for v in verdicts if v["id"] == "1.2"]
        assert covariance["state"] == "wrong" and "n - 1" in covariance["mistake"]


@pytest.mark.slow
def test_export_lists_every_student_with_the_points_of_the_gradebook(graded):
    with open(graded / ".grading" / "grades.csv", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == PART}
    total = sum(e.max_points for e in exercises(PART))
    assert {row["max_score"] for row in rows.values()} == {str(float(total))}
    scores = {student: float(row["score"]) for student, row in rows.items()}
    assert scores == {"ada": total, "ben": total - 1, "cleo": total - 1, "dan": 0, "eve": total}


@pytest.mark.slow
def test_feedback_names_the_mistake(graded):
    page = (graded / ".grading" / "feedback" / "cleo" / PART / f"{PART}.html").read_text(encoding="utf-8")
    assert "You divided by n - 1" in page


@pytest.mark.slow
def test_a_graded_run_uses_a_fresh_seed_and_prints_it(graded):
    nb = nbformat.read(graded / ".grading" / "autograded" / "cleo" / PART / f"{PART}.ipynb", as_version=4)
    (cell,) = [c for c in nb.cells if nbgrader(c).get("grade_id") == "test-covariance"]
    told = "".join(cell.outputs[0].traceback)
    assert "check.covariance(covariance, seed=" in told and "seed=22)" not in told


@pytest.mark.slow
def test_grading_leaves_its_debris_in_the_ignored_folder_only(graded):
    assert {p.name for p in graded.iterdir()} == {".grading", "solutions", "exercises"}
    kept = {p.relative_to(graded) for p in graded.rglob("*") if p.is_file() and ".grading" not in p.parts}
    ours = {p.relative_to(ROOT) for name in ("solutions", "exercises") for p in (ROOT / name).rglob("*") if p.is_file()}
    assert {p for p in kept if "__pycache__" not in p.parts} == {p for p in ours if not _untracked(p)}
    assert ".grading/" in (ROOT / ".gitignore").read_text()


def _untracked(path):
    return ".ipynb_checkpoints" in path.parts or "__pycache__" in path.parts


@pytest.mark.slow
def test_nbgrader_validate_accepts_the_solved_and_not_the_untouched_notebook(graded):
    for student, words in (("ada", "Success!"), ("dan", "not attempted")):
        path = graded / ".grading" / "submitted" / student / PART / f"{PART}.ipynb"
        assert words in run_nbgrader(graded, "validate", path)
