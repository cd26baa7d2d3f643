"""axe-core on the pages that the project makes: figures, an exported lecture, feedback for students, class reports."""

import pytest
from axe import violations
from live_pages import export, live_figures, notebook, run_all, write
from test_feedback_pages import addresses as pages_of_a_class
from test_frames import gauss_figure, pca_figure
from test_pad import pad_figure

pytestmark = pytest.mark.browser
addresses = pages_of_a_class  # a fixture

PLANTED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Planted</title>
<main><h1>Planted</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><p style="color: #bbb">pale</p>
</main></html>"""


def test_axe_sees_what_is_planted(page, tmp_path):
    (tmp_path / "page.html").write_text(PLANTED)
    page.goto((tmp_path / "page.html").as_uri())
    rules = {found.partition(",")[0] for found in violations(page)}
    assert rules == {"image-alt", "color-contrast"}
    assert violations(page, without=rules) == violations(page, inside="h1") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures(open_page, tmp_path, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    page.goto(write(tmp_path / "page.html", pca_figure(), gauss_figure(), pad_figure()))
    assert page.locator("figure[data-live]").count() == 3
    assert violations(page, without=["page-has-heading-one"]) == []  # the figures alone, without a text around them


# -------------------- by keyboard alone --------------------

NAMES = ["k", "codes of digits; z1 = 1.00, z2 = −0.50", "z1", "z2"]  # of what Tab stops at in frames, then in the pad
FOCUSED = "document.activeElement.ariaLabel || document.activeElement.labels?.[0]?.innerText || ''"


def two_notebook_cells(path):
    notebook(path, "test_frames", "pca_figure", "from test_pad import pad_figure\npad_figure()")


def tab_through(page, figures):
    """From where the focus is: each control in turn, moved by a key of its own, and out of the last one again."""
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        where = "figure[data-live] :focus"
        if page.locator(where).count():
            reached.append(page.evaluate(FOCUSED))
            told = figures.get_by_role("status").all_inner_texts()
            page.keyboard.press("ArrowRight")
            assert figures.get_by_role("status").all_inner_texts() != told
            page.keyboard.press("ArrowLeft")
            assert figures.get_by_role("status").all_inner_texts() == told
        elif len(reached) == len(NAMES):
            break
    assert reached == NAMES


def test_keyboard_alone_in_jupyterlab(tall_page, lab, screenshot):
    two_notebook_cells(lab.root / "keys.ipynb")
    page = tall_page
    run_all(page, lab, "keys.ipynb")
    figures = live_figures(page, 2)
    page.keyboard.press("Escape")  # out of the editor; from here JupyterLab goes on with Tab
    page.locator(".jp-Cell").first.evaluate("cell => cell.focus()")
    tab_through(page, figures)
    assert violations(page, inside=".jp-OutputArea", without=["region"]) == []
    screenshot(page, "lab")


def test_keyboard_alone_in_exported_html(page, tmp_path):
    two_notebook_cells(tmp_path / "keys.ipynb")
    page.goto(export(tmp_path / "keys.ipynb"))
    tab_through(page, page.locator("figure[data-live]"))
    assert violations(page, inside="figure") == []


# -------------------- pages for people --------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_feedback_and_report_pages(open_page, addresses, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1000, "height": 900})
    for name, address in addresses.items():
        page.goto(address)
        assert violations(page) == [], name
