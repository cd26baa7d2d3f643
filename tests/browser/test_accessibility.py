"""axe-core on the pages that the project makes: figures, an exported lecture, feedback for students, class reports."""

import pytest
from axe import violations
from pages import write
from test_frames import gauss_figure, pca_figure
from test_pad import pad_figure

pytestmark = pytest.mark.browser

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
