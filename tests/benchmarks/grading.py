"""grading: a class on part 1, good, bad and hostile notebooks mixed, in the sandbox, beside `nbgrader autograde`.

Both grade in a course folder of their own, from the command to the last score in the gradebook, start-up included.
Stock nbgrader takes a sample of the same mix, once, since it is slow; what it cannot do at all is left out of both: a
copied test cell stops its whole class, and a loop without end costs either of them its time limit.
"""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tests.benchmarks.harness import OURS, Contender, Line, Requirement, Timing, agree, exponent, limits
from tests.notebooks import ROOT
from tests.students import PART, STARTER, write

WHAT = "seconds per submission, a class of 60 on part 1 from the command to the gradebook, sandbox on"
SIZES, SAMPLE, ROUNDS = (60, 240, 960), 10, 3
STOCK = "nbgrader autograde"

FLOOD = "print('x' * 50_000)\ndef center(X):\n    print('y' * 50_000)\n    return X - X.mean(axis=0), X.mean(axis=0)"
UNBIASED = "def covariance(X):\n    return np.cov(X, rowvar=False)"
PATCH = "import numpy as np\nnp.allclose = np.isclose = lambda *a, **k: True\ndef covariance(X): return X"
EXIT = "import os\nos._exit(0)"


def skip(cells):
    """The tag that makes stock nbgrader pass over the tests."""
    for cell in cells:
        if cell["id"].startswith("test-"):
            cell["metadata"]["tags"] = ["skip-execution"]
    return cells


KINDS = (  # a mix that repeats; those marked grade alike in both, so that their scores can be compared
    ("good", {}), ("good", {}), ("unbiased", {"answers": {"covariance": UNBIASED}}), ("good", {}), ("good", {}),
    ("starter", {"solved": False}), ("good", {}), ("patches numpy", {"answers": {"covariance": PATCH}}),
    ("syntax error", {"answers": {"center": "def center(X:"}}), ("exits", {"answers": {"covariance": EXIT}}),
    ("good", {}), ("skips the tests", {"solved": False, "edit": skip}), ("floods", {"answers": {"center": FLOOD}}),
)  # fmt: skip
ALIKE = ("good", "unbiased", "starter", "syntax error")


def kind(number):
    return KINDS[number % len(KINDS)]


def course(folder, number):
    """A copy of this course's sources with so many submissions."""
    shutil.copytree(ROOT / "solutions", folder / "solutions", ignore=shutil.ignore_patterns(".*"))
    for i in range(number):
        path = folder / ".grading" / "submitted" / f"s{i:04}" / PART / STARTER.name
        write(path, **kind(i)[1])
    return folder


def scores(folder):
    """{student: score} in a course's gradebook."""
    with contextlib.closing(sqlite3.connect(folder / ".grading" / "gradebook.db")) as db:
        return dict(db.execute(
            "select a.student_id, sum(coalesce(g.manual_score, g.auto_score, 0)) from grade g join submitted_notebook "
            "n on n.id = g.notebook_id join submitted_assignment a on a.id = n.assignment_id group by a.student_id"
        ))  # fmt: skip


def by_enm5310(folder):
    """(seconds, peak memory of the grader, of all its processes together, in bytes) of one run over a class.

    Memory is looked at once a second.
    """
    command = [sys.executable, "-m", "enm5310", "grade", PART, "--fresh"]
    begun, own, all_of_them = time.perf_counter(), 0, 0
    run = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    grader = psutil.Process(run.pid)
    while run.poll() is None:
        with contextlib.suppress(psutil.Error):
            sizes = [0]
            for process in grader.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    sizes.append(process.memory_info().rss)
            mine = grader.memory_info().rss
            own, all_of_them = max(own, mine), max(all_of_them, mine + sum(sizes))
        time.sleep(1)  # looking at all processes is not free
    if run.returncode not in (0, 1):
        raise RuntimeError(f"enm5310 grade failed with exit code {run.returncode}")
    return time.perf_counter() - begun, own, all_of_them


def by_nbgrader(folder):
    """Seconds of stock autograding, the entry of the assignment not counted."""
    where = folder / "solutions"
    nbgrader = [sys.executable, "-m", "nbgrader"]
    quiet = {"cwd": where, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    config = where / "nbgrader_config.py"
    config.write_text(config.read_text() + "\nc.KernelManager.transport_encryption = 'auto'\n")
    subprocess.run([*nbgrader, "generate_assignment", PART, "--force"], check=True, **quiet)
    begun = time.perf_counter()
    subprocess.run([*nbgrader, "autograde", PART, "--force"], check=False, **quiet)  # it fails for those that exit
    return time.perf_counter() - begun


CONTENDERS = [Contender(OURS, by_enm5310, "nbgrader"), Contender(STOCK, by_nbgrader, "nbgrader", limit=0.1)]


def measure(contenders, sizes=SIZES, sample=SAMPLE, rounds=ROUNDS):
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        scratch = Path(scratch)
        folders = {n: course(scratch / f"class{n}", n) for n in sizes}
        first = [by_enm5310(folders[sizes[0]]) for _ in range(rounds)]
        runs = {sizes[0]: min(first), **{n: by_enm5310(folders[n]) for n in sizes[1:]}}
        mine = scores(folders[sizes[0]])
        each = [seconds / sizes[0] for seconds, *_ in first]
        timings = {OURS: Timing(float(np.median(each)), min(each))}
        notes = [f"{n}: {s:.0f} s, {s / n:.2f} s each; peak memory {own / 2**20:.0f} MiB of the grader, "
                 f"{total / 2**20:.0f} MiB with its workers and students"
                 for n, (s, own, total) in runs.items()]  # fmt: skip
        if STOCK in {c.name for c in contenders}:
            folder = course(scratch / "stock", sample)
            seconds = by_nbgrader(folder) / sample
            timings[STOCK] = Timing(seconds, seconds)
            theirs = scores(folder)
            both = [s for s in theirs if kind(int(s[1:]))[0] in ALIKE]
            agree("scores", {OURS: [mine[s] for s in both], STOCK: [theirs[s] for s in both]}, rtol=1e-9)
            notes.append(f"stock: {sample} of the mix, once, {seconds * sample:.0f} s; {len(both)} scores compared")
    flat = runs[sizes[-1]][1] / runs[sizes[0]][1]
    growth = {"submissions": {OURS: exponent(sizes, [runs[n][0] for n in sizes])}}
    wanted = (Requirement(f"grader's memory, {sizes[-1]} / {sizes[0]} submissions", flat, 1.3),
              Requirement("growth with submissions", growth["submissions"][OURS], 1.1))  # fmt: skip
    return Line("grading", timings, limits(contenders, timings), growth, wanted, tuple(notes))
