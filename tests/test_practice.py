"""The practice runner: whatever a notebook holds, each exercise gets its own verdict and the file stays as it was."""

import contextlib
import json
import re
import subprocess
import sys
import time

import psutil
import pytest

from enm5310 import course
from enm5310.grading import sandbox
from enm5310.practice import Problem, notebook, places, plan, progress, runner
from tests.notebooks import exercises
from tests.students import IDS, PART, STARTER, code, write

FULL = {e.id: e.max_points for e in exercises(PART)}
QUICK = runner.Limits(seconds=1.5)


def judge(path, limits=runner.Limits(), **options):  # noqa: B008 - immutable
    """{id: Judged} and the notes; the folder and the file must be afterwards what they were before."""
    before = {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()}
    outcome = runner.judge_notebook(notebook.read(path), limits, **options)
    assert {p: p.read_bytes() for p in path.parent.rglob("*") if p.is_file()} == before
    assert [j.id for j in outcome.exercises] == list(FULL)
    return {j.id: j for j in outcome.exercises}, outcome.notes


@pytest.fixture(params=["forked", pytest.param("piped", marks=pytest.mark.slow)])
def way(request, monkeypatch):
    """How the child is made: by fork, as on Linux, or as where there is none."""
    if request.param == "piped":
        monkeypatch.setattr(runner.sys, "platform", "another")
    elif sys.platform != "linux":
        pytest.skip("forks of a warmed process are for Linux")
    return request.param


def others_right(judged, *amiss):
    missed = {j.id for j in judged.values() if (j.state, j.points) != ("right", FULL[j.id])}
    return missed == {IDS[name] for name in amiss}


# -------------------- right, untouched, odd --------------------


def test_the_solutions_earn_full_marks(way):
    path = course.folder("solutions") / PART / f"{PART}.ipynb"
    judged, notes = judge(path)
    assert others_right(judged) and notes == ()
    assert all(j.message is None and j.mistake is None for j in judged.values())


def test_the_untouched_starter_is_not_attempted():
    judged, notes = judge(STARTER)
    assert {(j.state, j.points) for j in judged.values()} == {("not attempted", 0)} and notes == ()


ANSWERS = {  # what a student may return, and what is said; each in another exercise of the same notebook
    "center": ("def center(X):\n    raise ValueError('too bad')", "raised ValueError: too bad .line 2: `raise Val"),
    "covariance": ("def covariance(X)\n    return X", r"not defined: its cell stopped with SyntaxError: .*\(line 1\)"),
    "pca-fit": ("def pca_fit(X, k):\n    return [1, 2], [[1, 2], [3]], [1]", "as U a list whose rows have different"),
    "encode-decode": ("encode = 3\ndef decode(*args): return 0", "encode is not a function but of type int"),
    "reconstruction-error": ("def reconstruction_error(X, mean, U): return np.full(len(X), np.nan)", "NaN"),
    "n-components": ("def n_components(lam, fraction):\n    return 2 + 1j", "complex"),
    "svd-to-eig": ("def svd_to_eig(s, n):\n    return np.broadcast_to(0.0, (10**5, 10**5))", "more than 20,000,000"),
    "ppca-fit": ("def ppca_fit(X, q):\n    return ppca_fit(X, q)", "RecursionError"),
    "ppca-loglik": ("def ppca_loglik(X, W, mu, s2):\n    return '-12.5'", "returned text; expected one number"),
    "pca-errors": ("def pca_errors(a, b, k):\n    exit()", "raised SystemExit: exit.. ends the notebook's kernel"),
}


def test_each_bad_answer_gets_one_line_of_its_own(tmp_path):
    judged, _ = judge(write(tmp_path / "01_pca.ipynb", {name: answer for name, (answer, _) in ANSWERS.items()}))
    for name, (_, words) in ANSWERS.items():
        j = judged[IDS[name]]
        assert (j.state, j.points) == ("wrong", 0) and re.search(words, j.message), f"{name}: {j.message}"
        assert "\n" not in j.message


MORE = {
    "center": ("raise RuntimeError('in\\nthe cell')", "center is not defined: its cell stopped with Run.*: in .line 1"),
    "covariance": ("exit()", "covariance is not defined: its cell stopped with SystemExit"),
    "pca-fit": ("def pca_fit(X, k):\n    return np.zeros((10**6, 10**6))", "MemoryError"),
    "encode-decode": ("x = 1", "encode is not defined: no cell of the notebook defines it"),
    "reconstruction-error": ("def reconstruction_error(X, mean, U): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "n-components": ("def n_components(lam, fraction):\n    return int(input('k = '))", "input.. cannot be answered"),
    "svd-to-eig": ("def svd_to_eig(s, n): return s**2 / n\ndel svd_to_eig", "not defined after its cell has run"),
    "ppca-fit": ("class Odd(Exception):\n  def __str__(self): 1 / 0\ndef ppca_fit(X, q): pass\nraise Odd", "None"),
    "ppca-loglik": ("def ppca_loglik(*args):\n    raise ValueError('\\x1b[2J' + 'long ' * 5000)", "raised ValueError"),
    "pca-errors": ("import sys\nsys.exit('bye')", "pca_errors is not defined: its cell stopped with SystemExit: bye"),
}


def test_more_of_them(tmp_path):
    judged, notes = judge(write(tmp_path / "01_pca.ipynb", {name: answer for name, (answer, _) in MORE.items()}))
    for name, (_, words) in MORE.items():
        j = judged[IDS[name]]
        assert (j.state, j.points) == ("wrong", 0) and re.search(words, j.message), f"{name}: {j.message}"
        assert j.message.isprintable() and len(j.message) <= 600
    assert any("Odd" in note for note in notes)  # the cell stopped after its function was defined: told, not punished


def test_prints_warnings_logging_magics_and_plots_do_no_harm(tmp_path, way):
    noisy = """%matplotlib inline
import logging, os, sys, warnings
import matplotlib.pyplot as plt
!echo from the shell
np.linalg.eigh?
%timeit -n1 -r1 None
warnings.warn("careful")
logging.warning("logged")
os.write(1, b'{"done": true}\\n')
os.write(2, b"from C")
plt.plot([1, 2])
plt.show()
from IPython.display import HTML, display
display(HTML("<b>hm</b>"))
assert plt.get_backend().lower() == "agg" and not plt.isinteractive()
def covariance(X):
    print("working", flush=True); print("hm", file=sys.stderr); warnings.warn("careful")
    print("more", file=sys.__stdout__); display("x"); os.write(1, b"x" * 100)
    X = X - X.mean(axis=0)
    return X.T @ X / len(X)
"""
    judged, notes = judge(write(tmp_path / "01_pca.ipynb", {"covariance": noisy}))
    assert others_right(judged) and notes == ()


def test_a_cell_that_stops_is_told_unless_it_only_tried_a_stub(tmp_path):
    def edit(cells):
        return [cells[0], code("center = 0 / 0"), code("raise NotImplementedError"), *cells[1:]]

    judged, notes = judge(write(tmp_path / "01_pca.ipynb", edit=edit))
    assert others_right(judged)
    assert notes == ("the cell `center = 0 / 0` stopped with ZeroDivisionError: division by zero (line 1)",)


# -------------------- test cells --------------------


def test_cells_after_the_check_and_edited_or_copied_check_cells_change_nothing(tmp_path):
    def edit(cells):
        at = {cell["id"]: i for i, cell in enumerate(cells)}
        cells[at["test-covariance"]]["source"] = "covariance = lambda X: 0\nprint('full marks')"
        copied = [cells[at["test-center"]]] * 2
        late = code("def center(X): return 0")
        return [*cells[: at["test-center"]], *copied, late, *cells[at["test-center"] + 1 :]]

    judged, notes = judge(write(tmp_path / "01_pca.ipynb", edit=edit))
    assert others_right(judged)
    assert notes == (
        "1.1: its check cell is there more than once; the best one counts",
        "1.2: its check cell was edited; what it holds is not run",
    )


def test_of_several_copies_of_a_check_cell_the_best_counts_as_in_grading(tmp_path):
    """One above the answer, one below it, one below a second, wrong answer; an edited copy is a cell like any other."""

    def edit(cells):
        at = {cell["id"]: i for i, cell in enumerate(cells)}
        test, wrong = cells[at["test-covariance"]], code("def covariance(X): return X")
        edited = json.loads(json.dumps(test))
        edited["source"] = "import numpy as np\nshared = np.zeros(2)"
        check = code("assert len(shared) == 2")
        before, after = cells[: at["test-covariance"]], cells[at["test-covariance"] + 1 :]
        return [test, *before, edited, test, wrong, test, check, *after]

    path = write(tmp_path / "01_pca.ipynb", edit=edit)
    judged, notes = judge(path)
    assert others_right(judged), judged["1.2"]
    assert notes == ("1.2: its check cell is there more than once; the best one counts",)


def test_an_exercise_without_its_check_cell_is_judged_at_the_end(tmp_path):
    path = write(tmp_path / "01_pca.ipynb", drop=["test-covariance", "test-pca-errors"])
    judged, notes = judge(path)
    assert others_right(judged)
    assert notes == tuple(f"{i}: its check cell is missing, so it was judged at the end" for i in ("1.2", "1.10"))


def test_an_answer_below_its_check_is_told_to_move_up(tmp_path):
    def edit(cells):
        answer = next(cell for cell in cells if cell["id"] == "covariance")
        return [*(cell for cell in cells if cell is not answer), answer]

    judged, _ = judge(write(tmp_path / "01_pca.ipynb", edit=edit))
    assert others_right(judged, "covariance")
    assert judged["1.2"].message.startswith("covariance is not defined where it is checked: its cell comes after")


def test_a_missing_cell_costs_its_own_exercise_only(tmp_path):
    judged, _ = judge(write(tmp_path / "01_pca.ipynb", drop=["covariance"]))
    assert others_right(judged, "covariance")
    assert judged["1.2"].message.startswith("covariance is not defined: no cell of the notebook defines it")


def test_check_cells_are_known_without_metadata_too():
    def cells(*sources):
        cells = [{"cell_type": "code", "metadata": {}, "source": s} for s in sources]
        return notebook.parse(json.dumps({"nbformat": 4, "cells": cells}).encode(), STARTER)

    center, covariance = exercises(PART)[:2]
    once, again = "check.center(center)", "check.center(center, seed=3)"
    book = cells("text.center(20)", "def center(X): pass", once, again, "late = 1")
    steps, _ = plan.steps(book, [center])
    assert [(s.kind, s.what) for s in steps] == [("cell", 0), ("cell", 1), ("check", "center"), ("check", "center")]
    steps, _ = plan.steps(cells("%matplotlib inline\ncovariance = 3"), [covariance])
    assert [s.kind for s in steps] == ["cell", "check"]
    with pytest.raises(Problem, match="none of the exercises"):
        plan.steps(cells("x = 1"), [center])


# -------------------- what hangs or kills its process --------------------


def test_loops_and_crashes_cost_their_own_exercise_only(tmp_path, way):
    answers = {
        "center": "def center(X):\n    while True: pass",  # inside a check
        "covariance": "while True: pass",  # in a cell
        "reconstruction-error": "import os\nos._exit(3)",
        "ppca-loglik": "import ctypes\ndef ppca_loglik(*args):\n    ctypes.string_at(0)",
    }
    said = []
    path = write(tmp_path / "01_pca.ipynb", answers)
    judged, notes = judge(path, QUICK, tell=lambda done, total, step: said.append((done, total)))
    assert others_right(judged, *answers) and notes == ()
    assert judged["1.1"].message == "center did not finish within 1.5 s: is there a loop that never ends?"
    assert judged["1.2"].message.startswith("covariance is not defined: its cell did not finish within 1.5 s")
    assert judged["1.5"].message == "reconstruction_error is not defined: its cell ended its process (exit code 3)"
    assert judged["1.9"].message.startswith("ppca_loglik crashed its process (SIGSEGV")
    assert all(0 <= done <= total for done, total in said)


@pytest.mark.slow
def test_floods_and_stubborn_code_end_too(tmp_path, way):
    answers = {
        "covariance": "def covariance(X):\n    while True: print('x' * 10_000)",
        "pca-fit": "import sys\nfor _ in range(20_000): print('flood'); sys.stderr.write('flood')\n1 / 0",
        "ppca-fit": "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "pca-errors": "import os, signal, threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
                      "def pca_errors(*args): os.kill(os.getpid(), signal.SIGKILL)",
    }  # fmt: skip
    judged, _ = judge(write(tmp_path / "01_pca.ipynb", answers), QUICK)
    assert others_right(judged, *answers)
    assert judged["1.2"].message.startswith("covariance did not finish") or "MemoryError" in judged["1.2"].message
    assert "ZeroDivisionError" in judged["1.3"].message
    assert judged["1.8"].message.startswith("ppca_fit is not defined: its cell did not finish")
    assert judged["1.10"].message == "pca_errors crashed its process (SIGKILL: out of memory?)"


def test_a_fork_that_forgets_to_end_has_no_say(tmp_path, way):
    fork = "import os, time\npid = os.fork()\nif pid:\n    time.sleep(1)"
    covariance = "def covariance(X):\n    X = X - X.mean(axis=0)\n    return X.T @ X / len(X) if pid else 0"
    path = write(tmp_path / "01_pca.ipynb", {"covariance": covariance}, edit=lambda cells: [code(fork), *cells])
    judged, _ = judge(path)
    assert others_right(judged)


def test_what_the_code_has_started_ends_with_it(tmp_path, way):
    sleep = f"""import subprocess, sys
ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"
open({str(tmp_path / "pid")!r}, "w").write(str(subprocess.Popen([sys.executable, "-c", ignoring]).pid))
raise NotImplementedError"""
    path = write(tmp_path / "own" / "01_pca.ipynb", edit=lambda cells: [code(sleep), *cells])
    judged, _ = judge(path)
    assert others_right(judged)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int((tmp_path / "pid").read_text())).wait(timeout=5)


def test_memory_is_limited(tmp_path, way):
    greedy = "def covariance(X):\n    return np.ones(10**8)"
    judged, _ = judge(write(tmp_path / "01_pca.ipynb", {"covariance": greedy}), runner.Limits(memory=2**29))
    assert others_right(judged, "covariance") and "MemoryError" in judged["1.2"].message


def test_after_too_many_fatal_steps_the_rest_is_given_up(tmp_path):
    die = "import os; os._exit(0)"
    path = write(tmp_path / "01_pca.ipynb", {"covariance": die, "pca-fit": die})
    judged, _ = judge(path, runner.Limits(fatal=2))
    assert judged["1.1"].state == "right" and judged["1.2"].message.endswith("ended its process (exit code 0)")
    assert judged["1.4"].message == "not reached: 2 steps of this notebook hung or crashed; mend those first"


def test_the_child_ends_with_its_parent(tmp_path, way):
    wait = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(100)"
    path = write(tmp_path / "own" / "01_pca.ipynb", edit=lambda cells: [code(wait), *cells])
    platform = "" if way == "forked" else "runner.sys.platform = 'another'; "
    script = f"from enm5310.practice import notebook, runner; {platform}"
    script += f"runner.judge_notebook(notebook.read({str(path)!r}))"
    with subprocess.Popen([sys.executable, "-c", script]) as owner:
        told = tmp_path / "own" / "pid"
        while not (told.is_file() and told.read_text()):
            time.sleep(0.05)
            assert owner.poll() is None
        child = psutil.Process(int(told.read_text()))
        owner.kill()
        owner.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_child_that_cannot_start_is_a_problem_of_the_environment(tmp_path, monkeypatch, way):
    for name in ("zygote.py", "alone.py"):
        (tmp_path / name).write_text("import no_such_module")
    monkeypatch.setattr(sandbox, "INSIDE", tmp_path)
    with pytest.raises(Problem, match=r"notebooks cannot be run here: .*ModuleNotFoundError.*no_such_module.*doctor"):
        runner.judge_notebook(notebook.read(STARTER))


def test_a_session_survives_a_slip(tmp_path, way):
    slip = "import os, signal\ndef covariance(X): os.kill(-1, 0)"  # signal 0 only asks whether one may
    judged, _ = judge(write(tmp_path / "01_pca.ipynb", {"covariance": slip}))
    assert "PermissionError" in judged["1.2"].message


# -------------------- the folder --------------------


def test_the_notebooks_own_folder_is_used_and_left_alone(tmp_path, monkeypatch, way):
    folder = tmp_path / "Übung 1 – Hauptkomponenten"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (folder / "helper.py").write_text("def mean(X): return X.mean(axis=0)\n")
    (folder / "json.py").write_text("raise SystemExit('shadows the standard library')\n")
    (folder / "data.txt").write_text("1 2 3")
    answer = """import os, helper
assert open("data.txt").read() == "1 2 3" and os.path.basename(os.getcwd()).startswith("Übung")
def covariance(X):
    X = X - helper.mean(X)
    return X.T @ X / len(X)
"""
    judged, notes = judge(write(folder / "01_pca.ipynb", {"covariance": answer}))
    assert others_right(judged) and notes == ()


# -------------------- reading --------------------

BAD_FILES = {
    b"": "is empty",
    b"  \n": "is empty",
    b"\x89PNG\r\n\x1a\n\xff\xfe": "holds bytes that are not text",
    b"hello": "not JSON at line 1",
    b'{"cells": [\n<<<<<<< HEAD\n': "merge conflict",
    b"[1, 2]": "has no list of cells",
    b"null": "has no list of cells",
    b'{"cells": [], "nbformat": "4"}': "has no list of cells",
    b'{"cells": 3, "nbformat": 4}': "has no list of cells",
    b'{"cells": [1], "nbformat": 4}': "has no list of cells",
    b'{"worksheets": [], "nbformat": 3}': "old format 3",
    b'{"cells": [], "nbformat": 4}': "no code cell",
    b"[" * 200_000: "nested too deeply",
}


@pytest.mark.parametrize("data", BAD_FILES, ids=lambda data: repr(data[:20]))
def test_what_is_no_notebook_is_said_in_one_line(data, tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_bytes(data)
    with pytest.raises(Problem, match=BAD_FILES[data]) as caught:
        notebook.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_folders_missing_files_and_foreign_notebooks_are_told_apart(tmp_path):
    with pytest.raises(Problem, match="is a folder"):
        notebook.read(tmp_path)
    with pytest.raises(Problem, match=r"there is no .*gone.ipynb"):
        notebook.read(tmp_path / "gone.ipynb")
    foreign = notebook.parse(b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1"}]}', tmp_path / "x.ipynb")
    with pytest.raises(Problem, match="not an exercise notebook"):
        plan.part_of(foreign)
    with pytest.raises(Problem, match="is a lecture"):
        plan.part_of(notebook.read(course.folder("lectures") / "00_start_here.ipynb"))


def test_odd_but_valid_notebooks_are_read(tmp_path):
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b"]}, {"cell_type": "code", "metadata": None}, {}]
    data = "\ufeff" + json.dumps({"nbformat": 4, "cells": cells}).replace(", ", ",\r\n")
    book = notebook.parse(data.encode(), tmp_path / "renamed.ipynb")
    assert [c.source for c in book.cells] == ["a = 1\nb", ""]
    assert plan.part_of(book._replace(cells=(notebook.Cell(0, "", "import enm5310.checks.part1"),))) == PART


# -------------------- places and progress --------------------


def test_what_is_asked_for_is_found_from_anywhere(tmp_path, monkeypatch):
    nb = write(tmp_path / "enm5310-course" / "exercises" / PART / f"{PART}.ipynb", solved=False)
    monkeypatch.chdir(tmp_path)
    for words in ([], ["1"], ["01"], [PART], ["enm5310-course"], ["enm5310-course/exercises"], [nb.parent], [nb]):
        paths, problems = places.asked(words)
        assert [p.resolve() for p in paths] == [nb] and not problems, words
    monkeypatch.chdir(nb.parent)
    assert places.asked([]) == ([nb.relative_to(nb.parent)], [])
    (nb.parent / ".ipynb_checkpoints").mkdir()
    copy = nb.parent / ".ipynb_checkpoints" / "01_pca-checkpoint.ipynb"
    copy.write_bytes(nb.read_bytes())
    assert places.asked(["."])[0] == [nb.relative_to(nb.parent)]
    (nb.parent.parent / ".ipynb_checkpoints").mkdir()
    (nb.parent.parent / ".ipynb_checkpoints" / "01_pca.ipynb").write_bytes(nb.read_bytes())
    assert [p.resolve() for p in places.asked([".."])[0]] == [nb]
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    paths, problems = places.asked(["nonsense", ".", "9", nb])
    assert [p.resolve() for p in paths] == [nb]
    parts = ", ".join(f"{int(part[:2])} ({part})" for part in plan.parts())
    assert "1 (01_pca)" in parts
    assert [str(p).split(":")[0] for p in problems] == [
        f"there is no notebook, folder or part called nonsense; the parts are {parts}", ". has no notebook in it",
        f"there is no notebook, folder or part called 9; the parts are {parts}",
    ]  # fmt: skip


JUDGED = runner.Judged("1.2", "Covariance", "wrong", 0, 1, "message", "mistake")


def test_progress_is_kept_and_a_changed_notebook_is_noticed(tmp_path):
    path = write(tmp_path / "exercises" / PART / f"{PART}.ipynb")
    assert progress.load(tmp_path) == (progress.Progress({}, {}, {}), None)
    assert progress.remember(tmp_path, notebook.read(path), [JUDGED]) == []
    known, note = progress.load(tmp_path)
    assert note is None and runner.Judged("1.2", "Covariance", **known.verdicts["1.2"]) == JUDGED
    assert progress.changed(tmp_path, known) == []
    path.write_text(path.read_text() + " ")
    assert progress.changed(tmp_path, known) == [f"exercises/{PART}/{PART}.ipynb"]
    assert [p.name for p in (tmp_path / ".enm5310").iterdir()] == ["progress.json"]


DAMAGED = [
    "", "{", "[]", '{"verdicts": 3}', '{"verdicts": {"1.1": {}}, "hints": {}, "notebooks": {}}',
    '{"verdicts": {}, "hints": {"1.1": "x"}, "notebooks": {}}',
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_progress_file_is_set_aside(text, tmp_path):
    file = tmp_path / ".enm5310" / "progress.json"
    file.parent.mkdir()
    file.write_text(text)
    known, note = progress.load(tmp_path)
    assert known == progress.Progress({}, {}, {}) and "damaged" in note
    (aside,) = file.parent.iterdir()
    assert aside.read_text() == text and str(aside) in note


def test_progress_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / ".enm5310").write_text("a file where the folder should be")
    assert "progress is not kept" in progress.save(tmp_path, progress.Progress({}, {}, {}))
    (tmp_path / "folder" / "x.json").mkdir(parents=True)
    with pytest.raises(OSError):
        progress.write(tmp_path / "folder" / "x.json", b"{}")
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["x.json"]  # nothing half-written beside it
