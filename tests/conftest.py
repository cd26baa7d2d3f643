"""Session fixtures: every notebook is executed once, and whoever needs an executed copy takes it from here."""

import os
import subprocess
import sys

import nbformat
import pytest
from hypothesis import settings

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
