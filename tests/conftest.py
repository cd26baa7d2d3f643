"""Fixtures that several files share: executed notebooks, each executed once, and MNIST."""

import os
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from hypothesis import settings

from enm5310 import datasets
from tests.notebooks import PARTS, ROOT

os.environ.setdefault("MPLBACKEND", "Agg")

# busy machines make deadlines lie; CI draws the same examples every time, a developer's run draws new ones
settings.register_profile("course", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("course")

NOTEBOOKS = [
    *sorted((ROOT / "lectures").glob("*.ipynb")),
    *(ROOT / "solutions" / part / f"{part}.ipynb" for part in PARTS),
]


class Executed:
    """Executed copies of notebooks by path, made on first use and kept for the session."""

    def __init__(self, folder):
        self.folder, self.done = folder, {}

    def __call__(self, path):
        """(executed notebook, complaints as text, path of the copy)"""
        if path not in self.done:
            out = self.folder / path.parent.name
            env = {**os.environ, "ENM5310_DATA": str(self.folder / "no-cache"), "MPLBACKEND": ""}
            env = {k: v for k, v in env.items() if v and k not in ("NBGRADER_EXECUTION", "PYTEST_CURRENT_TEST")}
            command = [sys.executable, "-m", "tests.execute", str(out), str(path)]
            run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
            complaints = "" if run.returncode == 0 else run.stderr or "no message"
            self.done[path] = nbformat.read(out / path.name, as_version=4), complaints, out / path.name
        return self.done[path]


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    return Executed(tmp_path_factory.mktemp("executed"))


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
