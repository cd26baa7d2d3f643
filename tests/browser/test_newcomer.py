"""A newcomer's first hour in JupyterLab: start, read, fail an exercise, be told why, mend it."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest

from enm5310 import start
from tests.notebooks import exercises, solution_cell

pytestmark = pytest.mark.browser
EXERCISES = "exercises/01_pca/01_pca.ipynb"
UNBIASED = "def covariance(X):\n    return np.cov(X, rowvar=False)\n"
MENDED = "def covariance(X):\n    return np.cov(X, rowvar=False, bias=True)"


@contextmanager
def started(folder, home):
    """(address, token) of the JupyterLab that ``enm5310 start`` runs on a folder."""
    env = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home)}
    command = [sys.executable, "-m", "enm5310", "start", "--dir", str(folder), "--no-browser"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told = ""
        for line in process.stdout:
            told += line
            if url := re.search(r"(http://\S+?)/lab/\S*\?token=(\w+)", line):
                yield url[1], url[2]
                return
        pytest.fail(f"no address was printed:\n{told}")
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def course(tmp_path):
    """A course folder in which 1.1 is right and 1.2 divides by n - 1."""
    folder = tmp_path / "my course"
    start.copy(folder)
    nb = nbformat.read(folder / EXERCISES, as_version=4)
    answers = {e.name: solution_cell(e) for e in exercises("01_pca")} | {"covariance": UNBIASED}
    for cell in nb.cells:
        cell.source = answers.get(cell.id, cell.source) if cell.id in ("center", "covariance") else cell.source
    nbformat.write(nb, folder / EXERCISES)
    return folder


def open_notebook(page, address, token, name, heading):
    page.goto(f"{address}/lab/workspaces/{name.split('/')[0]}/tree/{name}?token={token}")
    page.get_by_role("heading", name=heading).first.wait_for(timeout=60_000)
    page.get_by_text("| Idle").wait_for(timeout=60_000)


def run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def test_from_start_to_a_mended_exercise(open_page, course, tmp_path, screenshot):
    page = open_page(viewport={"width": 1200, "height": 1000})
    with started(course, tmp_path) as (address, token):
        open_notebook(page, address, token, "lectures/00_start_here.ipynb", re.compile("start", re.I))
        assert page.get_by_text("Would you like to").count() == 0, "no news popup"
        screenshot(page, "start_here")

        open_notebook(page, address, token, EXERCISES, "Exercises 1")
        run_all(page)
        told = page.get_by_text("You divided by n - 1 (the unbiased estimate)").first
        told.wait_for(timeout=60_000)
        told.scroll_into_view_if_needed()
        assert page.get_by_text("1.1 Remove the mean: right, 1 of 1 point").count() == 1
        screenshot(page, "told_why")

        editor = page.locator(".jp-CodeCell .cm-content", has_text="np.cov").first
        editor.click()
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(MENDED)
        page.keyboard.press("Shift+Enter")
        page.keyboard.press("Shift+Enter")
        page.get_by_text("1.2 Covariance: right, 1 of 1 point").first.wait_for(timeout=60_000)
        screenshot(page, "mended")
        page.goto("about:blank")  # leave before the server stops
