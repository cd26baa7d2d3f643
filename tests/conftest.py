"""Fixtures that several files share: executed notebooks, each executed once, and MNIST."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import numpy as np
import pytest
from hypothesis import settings

from enm5310 import datasets
from tests.notebooks import PARTS, ROOT

os.environ.setdefault("MPLBACKEND", "Agg")

# in the background of a shell, or under nohup, these are ignored, by every child too: then no test could interrupt one
for name, default in {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}.items():
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, default)

# busy machines make deadlines lie; CI draws the same examples every time, a developer's run draws new ones
settings.register_profile("course", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("course")

NOTEBOOKS = [
    *sorted((ROOT / "lectures").glob("*.ipynb")),
    *(ROOT / "solutions" / part / f"{part}.ipynb" for part in PARTS),
]


class Executed:
    """Executed copies of notebooks by path, each made once, one after the other beside the running tests."""

    def __init__(self, folder, paths):
        self.folder, self.running, self.ends = folder, None, False
        self.pool = ThreadPoolExecutor(1)
        self.runs = {path: self.pool.submit(self.run, path) for path in paths}

    def __call__(self, path):
        """(executed notebook, complaints as text, path of the copy)"""
        if path not in self.runs:
            self.runs[path] = self.pool.submit(self.run, path)
        return self.runs[path].result()

    def run(self, path):
        out = self.folder / path.parent.name
        env = {**os.environ, "ENM5310_DATA": str(self.folder / "no-cache"), "MPLBACKEND": ""}
        env = {k: v for k, v in env.items() if v and k not in ("NBGRADER_EXECUTION", "PYTEST_CURRENT_TEST")}
        command = [sys.executable, "-m", "tests.execute", str(out), str(path)]
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as self.running:
            if self.ends:
                self.running.kill()
            said = self.running.communicate()[1]
        complaints = "" if self.running.returncode == 0 else said or "no message"
        copy = out / path.name
        return nbformat.read(copy, as_version=4) if copy.exists() else None, complaints, copy

    def close(self):
        self.ends = True
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self.running:
            self.running.terminate()
        self.pool.shutdown()


def of_executed(items):
    return [item for item in items if "executed" in getattr(item, "fixturenames", ())]


def pytest_collection_modifyitems(items):
    """Tests of executed notebooks come last: the notebooks run on the second core from the first test on."""
    last = of_executed(items)
    items[:] = [item for item in items if item not in set(last)] + last


@pytest.fixture(scope="session")
def executed(request, tmp_path_factory):
    asked = (getattr(item, "callspec", None) for item in of_executed(request.session.items))
    paths = dict.fromkeys(spec.params["path"] for spec in asked if spec and "path" in spec.params)
    executed = Executed(tmp_path_factory.mktemp("executed"), paths)
    yield executed
    executed.close()


@pytest.fixture(scope="session", autouse=True)
def notebooks_run_from_the_start(request):
    if of_executed(request.session.items):
        request.getfixturevalue("executed")


@pytest.fixture(scope="module")
def mnist():
    """Training images (60000, 784) and test images (10000, 784), grey values 0..1."""
    beside = ROOT.parent / "shared" / "data" / "mnist_70k.npz"
    if beside.is_file():
        with np.load(beside) as file:
            return file["x_train"].reshape(-1, 784) / 255, file["x_test"].reshape(-1, 784) / 255
    try:
        X = datasets.fetch_mnist(download_if_missing=False).data / 255
    except OSError as why:
        pytest.skip(f"MNIST is neither beside the clone nor in the cache: {why}")
    return X[:60_000], X[60_000:]


@pytest.fixture(scope="session")
def level():
    """The sandbox of this machine."""
    from enm5310.grading import sandbox
    from enm5310.practice import Problem

    try:
        return sandbox.choose()
    except Problem as why:
        pytest.skip(f"no sandbox here: {why}")
