"""A lecture and its exercises in the JupyterLab of ``enm5310 start``: run to the end, figures moved, progress seen."""

import io

import nbformat
import numpy as np
import pytest
from PIL import Image
from test_frames import drag
from test_newcomer import EXERCISES, open_notebook, run_all, started

from enm5310 import start
from tests.notebooks import PARTS, exercises, solution_cell

pytestmark = pytest.mark.browser
LECTURE = "lectures/01_pca.ipynb"
FLICKER = 64  # grey levels of 255: an edge drawn half a pixel further is no change


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """(folder, address, token) of a course as a student has it."""
    folder = tmp_path_factory.mktemp("student") / "my course"
    start.copy(folder)
    with started(folder, tmp_path_factory.mktemp("home")) as (address, token):
        yield folder, address, token


def finished(page, path):
    """The notebook after its last cell, saved: the file says what every cell showed, also those out of view."""
    page.get_by_text("| Busy").or_(page.get_by_text("| Idle")).first.wait_for()
    before = path.stat().st_mtime_ns
    for _ in range(60):
        page.get_by_text("| Idle").wait_for(timeout=90_000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
        book = nbformat.read(path, as_version=4)
        cells = [cell for cell in book.cells if cell.cell_type == "code"]
        if path.stat().st_mtime_ns > before and all(cell.execution_count for cell in cells):
            return cells
    pytest.fail("the notebook did not come to its end within a minute")


FIGURES = {
    "A cloud of petals": ("angle", "60", ["kept", "lost"]),
    "Ten digits above their reconstructions": ("k", "10", ["error", "discarded variance"]),
    "Irises in the plane of two components": ("σ²", "0.05068", ["active latents", "nats"]),
}


def scrolled_to(page, name):
    """The live figure whose picture has this name; JupyterLab draws a cell only when it comes into view."""
    figure = page.locator("figure[data-live]", has=page.get_by_role("img", name=name))
    page.locator(".jp-WindowedPanel-outer").first.hover()
    for _ in range(120):
        if figure.count():
            figure.evaluate("figure => figure.scrollIntoView({block: 'center'})")  # clear of bars and their shadows
            return figure
        page.mouse.wheel(0, 800)
        page.wait_for_timeout(100)
    pytest.fail(f"no live figure shows {name}")


def seen(figure, name):
    """What an eye sees, the words of the picture for who cannot see it, and the line that is read aloud at a move."""
    image = figure.get_by_role("img", name=name)
    with Image.open(io.BytesIO(image.screenshot())) as shown:
        pixels = np.asarray(shown.convert("L"), float)[2:-2, 2:-2]  # an edge may fall between two pixels of the screen
    return pixels, image.get_attribute("alt"), figure.get_by_role("status").inner_text()


def check_moved(before, after, letter, old, new):
    (pixels, words, told), (other_pixels, other_words, other_told) = before, after
    assert (words.split(": ")[-1], other_words.split(": ")[-1]) == (f"{letter} = {old}", f"{letter} = {new}")
    assert told != other_told
    changed = np.abs(pixels - other_pixels) > FLICKER
    assert pixels.shape == other_pixels.shape and changed.mean() > 0.002, "the picture is still the same"


def tab_to_slider(page, figure):
    """From the selected cell, by keyboard alone; the cell's toolbar, when Lab shows it, lies on the way."""
    figure.evaluate("figure => figure.closest('.jp-Cell').focus()")
    slider = figure.get_by_role("slider")
    for _ in range(5):
        page.keyboard.press("Tab")
        if slider.evaluate("slider => slider === document.activeElement"):
            return
    pytest.fail("Tab does not reach the slider")


def test_lecture_1_runs_to_its_end_and_its_figures_move(tall_page, course, screenshot):
    folder, address, token = course
    page = tall_page
    open_notebook(page, address, token, LECTURE, "PCA, and the density behind it")
    run_all(page)
    cells = finished(page, folder / LECTURE)
    outputs = [output for cell in cells for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert [cell.id for cell in cells if "frames(" in cell.source] == ["rotate", "reconstructions-slider", "shrinkage"]
    for name, (letter, first, told) in FIGURES.items():
        figure = scrolled_to(page, name)
        slider = figure.get_by_role("slider", name=letter, exact=True)
        here = seen(figure, name)
        assert all(word in here[2] for word in told)
        tab_to_slider(page, figure)
        page.keyboard.press("ArrowRight")
        second = slider.get_attribute("aria-valuetext")
        right = seen(figure, name)
        check_moved(here, right, letter, first, second)
        page.keyboard.press("ArrowLeft")
        np.testing.assert_allclose(seen(figure, name)[0], here[0], atol=FLICKER)
        drag(page, slider, 0)
        check_moved(here, seen(figure, name), letter, first, slider.get_attribute("aria-valuetext"))
        assert slider.evaluate("slider => Number(slider.value)") == 0
        page.keyboard.press("End")  # the slider that the mouse left goes on with the keys
        check_moved(here, seen(figure, name), letter, first, slider.get_attribute("aria-valuetext"))
        screenshot(page, name.split()[-1])
    assert page.locator("figure[data-live]").count() == len(FIGURES)
    page.goto("about:blank")


def test_progress_in_an_exercise_notebook(open_page, course, screenshot):
    """The panel before and after a right answer, asked for in a new cell as a student does it."""
    _, address, token = course
    answer = solution_cell(exercises("01_pca")[0])
    page = open_page(viewport={"width": 1300, "height": 1000})
    open_notebook(page, address, token, EXERCISES, "Exercises 1")
    page.locator(".jp-CodeCell").first.click()
    page.keyboard.press("Control+Enter")  # the set-up cell
    part, whole = panel(page)
    assert part[0] == "01_pca" and part[1].split() == ["Exercise", "State", "Points"]
    rows = [row.split("\t") for row in part[2:]]
    assert len(rows) == len(exercises("01_pca"))
    assert all(state == "○ not attempted" and points.startswith("0 of ") for _, state, points in rows)
    assert whole[0] == "All parts" and [line.strip() for line in whole[1::2]] == PARTS
    page.locator(".jp-CodeCell .cm-content", has_text="def center(X)").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(answer)
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")
    page.get_by_text("1.1 Remove the mean: right, 1 of 1 point").first.wait_for(timeout=60_000)
    page.keyboard.press("Escape")
    part, whole = panel(page)
    rows = [row.split("\t") for row in part[2:]]
    assert rows[0] == ["1.1 Remove the mean", "✓ right", "1 of 1"] and rows[1][1] == "○ not attempted"
    assert page.get_by_text("Next: 1.2 Covariance").count() == 1
    screenshot(page, "progress")
    page.goto("about:blank")


def panel(page):
    """The lines of the two tables that ``check.progress()`` shows in a new cell below the selected one."""
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.insert_text("check.progress()")
    page.keyboard.press("Control+Enter")
    tables = page.locator(".jp-CodeCell.jp-mod-selected").get_by_role("table")
    tables.nth(1).wait_for()
    return [table.inner_text().splitlines() for table in tables.all()]
