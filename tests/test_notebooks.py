"""Every notebook is clean on disk and runs to the end, offline, with warnings as errors."""

import ast
import doctest
import json
import re
import statistics

import nbformat
import numpy as np
import pytest

from tests.conftest import NOTEBOOKS
from tests.notebooks import PARTS, ROOT, cells, exercises, nbgrader, reference, solution_cell, source

RELEASED = [ROOT / "exercises" / part / f"{part}.ipynb" for part in PARTS]
ON_DISK = NOTEBOOKS + RELEASED
LECTURES = [path for path in NOTEBOOKS if path.parent.name == "lectures"]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def by_name(path):
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_executes_without_errors_and_warnings(path, executed):
    _, complaints, _ = executed(path)
    assert not complaints


@pytest.mark.parametrize("path", ON_DISK, ids=by_name)
def test_is_clean_on_disk(path):
    text = path.read_text(encoding="utf-8")
    nb = nbformat.reads(text, as_version=4)
    nbformat.validate(nb)
    assert (nb.nbformat, nb.nbformat_minor) == (4, 5)
    assert nb.metadata == {"kernelspec": KERNEL}
    ids = [cell.id for cell in nb.cells]
    assert len(ids) == len(set(ids))
    for cell in nb.cells:
        assert cell.id == cell.id.lower() and not re.fullmatch(r"[0-9a-f]{8}", cell.id), "ids are given by hand"
        assert not cell.get("outputs") and not cell.get("execution_count"), cell.id
        assert set(cell.metadata) <= {"nbgrader", "deletable", "editable", "tags"}, cell.id
    assert text == nbformat.writes(nb) + ("\n" if not nbformat.writes(nb).endswith("\n") else "")


@pytest.mark.parametrize("path", ON_DISK, ids=by_name)
def test_code_fits_into_the_width_of_a_notebook(path):
    for cell in cells(path):
        if cell["cell_type"] == "code":
            assert max(map(len, source(cell).splitlines()), default=0) <= 100, cell["id"]


@pytest.mark.parametrize("path", LECTURES, ids=by_name)
def test_lecture_code_cells_are_short_and_have_one_job(path):
    lengths = []
    for cell in cells(path):
        if cell["cell_type"] != "code":
            continue
        text = source(cell)
        lengths.append(len([line for line in text.splitlines() if line.strip()]))
        assert lengths[-1] <= 15, cell["id"]
        tree = ast.parse("\n".join(line for line in text.splitlines() if not line.startswith(("%", "!"))))
        defines = any(isinstance(node, ast.FunctionDef) for node in tree.body)
        plots = any(isinstance(node, ast.Name) and node.id == "plots" for node in ast.walk(tree))
        assert not (defines and plots and "frames" not in text), f"{cell['id']} defines mathematics and plots it"
    assert statistics.median(lengths) <= 5


@pytest.mark.parametrize("path", LECTURES, ids=by_name)
def test_lecture_links_lead_somewhere(path):
    for cell in cells(path):
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#\s]+)", source(cell)):
                assert target.startswith(("http", "mailto:")) or (path.parent / target).exists(), (cell["id"], target)


@pytest.mark.parametrize("path", LECTURES, ids=by_name)
def test_every_figure_of_a_lecture_has_a_text_alternative(path, executed):
    nb, _, _ = executed(path)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data or "image/svg+xml" in data:
                page = "".join(data.get("text/html", ""))
                assert 'alt="' in page and 'alt=""' not in page, f"{cell.id}: a picture without words"


def printed(nb, cell):
    """All numbers that a cell of an executed notebook printed, in order."""
    (texts,) = [[o.text for o in c.outputs if o.output_type == "stream"] for c in nb.cells if c.id == cell]
    return [float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", "".join(texts))]


def test_what_lecture_2_says_about_its_live_training_is_what_it_shows(executed):
    """Training differs in the last digits from machine to machine; the sentences around it must hold on all."""
    nb, _, _ = executed(ROOT / "lectures" / "02_autoencoders.ipynb")
    floor, loss = printed(nb, "linear-train")
    assert floor == 3.3417329016 and 0 <= loss - floor < 1e-8
    pca_train, pca_test, train, test = printed(nb, "deep-numbers")
    assert (pca_train, pca_test) == (3.342, 3.432) and train < test < 2.6
    real, *rows = printed(nb, "sampler-numbers")
    k, errors, distances = np.reshape(rows, (3, 3)).T
    assert real == 1.19 and list(k) == [5, 10, 20]
    assert np.all(np.diff(errors) < 0) and np.all(np.diff(distances) > 0) and distances[0] > real


# -------------------- exercises --------------------


@pytest.mark.parametrize("part", PARTS)
def test_one_graded_cell_per_exercise_worth_its_points_and_nothing_hidden(part):
    notebook = cells(ROOT / "solutions" / part / f"{part}.ipynb")
    graded = {nbgrader(c)["grade_id"]: c for c in notebook if nbgrader(c).get("grade")}
    for e in exercises(part):
        cell = graded.pop("test-" + e.name.replace("_", "-"))
        assert source(cell) == f"check.{e.name}({', '.join(e.of)})"
        assert nbgrader(cell)["points"] == e.max_points and nbgrader(cell)["locked"]
    assert not graded
    assert not any("HIDDEN" in source(c) for c in notebook)
    assert all(nbgrader(c).get("grade_id", c["id"]) == c["id"] for c in notebook)


@pytest.mark.parametrize("part", PARTS)
def test_the_solutions_earn_full_marks_in_the_notebook(part, executed):
    nb, _, _ = executed(ROOT / "solutions" / part / f"{part}.ipynb")
    for cell in nb.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("grade"):
            (output,) = [o for o in cell.outputs if o.output_type == "execute_result"]
            assert float(output.data["text/plain"]) == meta["points"], cell.id


@pytest.mark.parametrize("part", PARTS)
def test_stubs_keep_signature_docstring_and_steps_but_no_solution(part):
    released = {c["id"]: source(c) for c in cells(ROOT / "exercises" / part / f"{part}.ipynb")}
    for e in exercises(part):
        stub, solution = released[e.name.replace("_", "-")], solution_cell(e)
        a, b = ast.parse(stub).body, ast.parse(solution).body
        for name in e.of:
            f, g = next(n for n in a if n.name == name), next(n for n in b if n.name == name)
            assert ast.dump(f.args) == ast.dump(g.args) and ast.get_docstring(f) == ast.get_docstring(g)
            assert isinstance(f.body[-1], ast.Raise) and len(f.body) == 2
        assert "# 1." in stub and "SOLUTION" not in stub


TRAINING_TAKES_LONG = [
    pytest.param(e, marks=pytest.mark.slow) if e.slow else e for part in PARTS for e in exercises(part)
]


@pytest.mark.parametrize("exercise", TRAINING_TAKES_LONG, ids=lambda e: e.id)
def test_the_numbers_in_the_docstrings_are_what_the_solution_gives(exercise):
    """The target that a stub shows before it is solved, run as a doctest of the reference solution."""
    finder = doctest.DocTestFinder(recurse=False)
    checker = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with np.printoptions(precision=4, suppress=True):
        for name, f in reference(exercise).items():
            (test,) = finder.find(f, name, globs=dict(f.__globals__))
            told = []
            assert test.examples and checker.run(test, out=told.append).failed == 0, "".join(told)


def test_all_parts_have_a_solution_and_a_release():
    assert PARTS and all(path.is_file() for path in RELEASED)
    assert json.loads(RELEASED[0].read_text(encoding="utf-8"))["cells"]
