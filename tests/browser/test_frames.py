"""Frames in a real browser: live by mouse and keyboard in a plain page, in JupyterLab and in exported HTML.

The figure under test is the lecture's: digits above their reconstructions from k principal components, beside the scree
curve; its numbers are computed here, its pictures are read back from the screen by the browser itself.
"""

import re

import numpy as np
import pytest
from live_pages import export, live_figures, notebook, picture, run_all, write
from sklearn.datasets import load_digits

from enm5310.widgets.frames import frames

pytestmark = pytest.mark.browser

X = load_digits().data / 16
_, S, VT = np.linalg.svd(X - X.mean(0))
LAM = S**2 / len(X)
KS = [1, 2, 5, 10, 30]


def error(k):
    """Mean squared reconstruction error from k components, by projecting."""
    residual = (X - X.mean(0)) - (X - X.mean(0)) @ VT[:k].T @ VT[:k]
    return (residual**2).sum(1).mean()


def digits(k):
    """Ten digits above their reconstructions, dark on white, (18, 90)."""
    hats = X.mean(0) + (X[:10] - X.mean(0)) @ VT[:k].T @ VT[:k]
    rows = [np.hstack([np.pad(x.reshape(8, 8), ((0, 1), (0, 1))) for x in part]) for part in (X[:10], hats)]
    return (255 * (1 - np.vstack(rows).clip(0, 1))).round().astype(np.uint8)


def scree(k):
    j = np.arange(1, 65)
    return {
        "lines": {"eigenvalue": (j, LAM)},
        "marks": {"k": (k, LAM[k - 1])},
        "xlabel": "component",
        "ylabel": "variance",
    }


def readout(k):
    return f"k = {k}: error {error(k):.4f} = discarded eigenvalues {LAM[k:].sum():.4f}"


def pca_figure():
    alts = ["ten digits above their reconstructions", "eigenvalues in decreasing order, the k-th marked"]
    return frames({"k": KS}, lambda k: (digits(k), scree(k)), text=readout, alt=alts, scale=5, caption="What k keeps")


def gauss_figure():
    z = np.linspace(-4, 4, 81)
    density = lambda mu, s: np.exp(-((z - mu) ** 2) / 2 / s**2) / s / np.sqrt(2 * np.pi)  # noqa: E731
    draw = lambda mu, s: {"x": z, "lines": {"q": density(mu, s), "p": density(0, 1)}, "xlabel": "z"}  # noqa: E731
    words = {"alt": "densities q and p", "text": lambda mu, s: f"KL {np.log(1 / s) + (s**2 + mu**2 - 1) / 2:.3f} nats"}
    return frames({"mu": [-2, 0, 2], "s": [0.5, 1, 2]}, draw, labels={"s": "σ"}, start={"mu": 0, "s": 1}, **words)


def check_pca(figure, k):
    """The figure on the page is the frame of k: picture, moving mark, readout, names for who cannot see it."""
    state = f"k = {k}"
    np.testing.assert_array_equal(picture(figure.get_by_role("img", name=f"their reconstructions: {state}")), digits(k))
    paths = figure.get_by_role("img", name=f"the k-th marked: {state}").locator("svg path")
    box = "path => { const b = path.getBBox(); return [b.x, b.width]; }"
    (curve, length), (mark, size) = (paths.nth(i).evaluate(box) for i in range(2))
    assert abs((mark + size / 2 - curve) / length - (k - 1) / 63) < 0.1 / 63  # the curve runs from component 1 to 64
    assert figure.get_by_role("status").inner_text() == readout(k)
    slider = figure.get_by_role("slider", name="k", exact=True)
    assert slider.get_attribute("aria-valuetext") == str(k)
    assert figure.locator(".enm-value").inner_text() == str(k)


def drag(page, slider, fraction):
    """Takes the thumb where it is and lets it go at a fraction of the track."""
    slider.scroll_into_view_if_needed()
    box, now = slider.bounding_box(), slider.evaluate("x => x.value / x.max")
    x = lambda f: box["x"] + 8 + f * (box["width"] - 16)  # the thumb is 16 pixels wide  # noqa: E731
    y = box["y"] + box["height"] / 2
    page.mouse.move(x(now), y)
    page.mouse.down()
    page.mouse.move(x((now + fraction) / 2), y)
    page.mouse.move(x(fraction), y)
    page.mouse.up()


def by_keyboard_and_mouse(page, figure):
    """Plays the figure from its start through every way to move it."""
    check_pca(figure, 1)
    slider = figure.get_by_role("slider", name="k", exact=True)
    slider.focus()
    for key, k in ("ArrowRight", 2), ("ArrowUp", 5), ("ArrowLeft", 2), ("End", 30), ("Home", 1), ("ArrowRight", 2):
        page.keyboard.press(key)
        check_pca(figure, k)
    for fraction, k in (0.75, 10), (1, 30), (0.5, 5):
        drag(page, slider, fraction)
        check_pca(figure, k)


# -------------------- a plain page --------------------


def test_plain_page_is_live(page, tmp_path, screenshot):
    page.goto(write(tmp_path / "page.html", pca_figure()))
    assert page.locator(".enm-state").count() == 0  # the sliders took the place of the poster's line
    by_keyboard_and_mouse(page, page.locator("figure"))
    page.locator("input").focus()
    page.keyboard.press("ArrowRight")
    screenshot(page, "page")


def test_focus_is_visible(page, tmp_path):
    page.goto(write(tmp_path / "page.html", pca_figure()))
    outline = "x => [getComputedStyle(x).outlineStyle, parseFloat(getComputedStyle(x).outlineWidth)]"
    assert page.locator("input").evaluate(outline)[0] == "none"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"
    style, width = page.locator("input").evaluate(outline)
    assert style == "solid" and width >= 2


def test_without_javascript_the_poster_stays(open_page, tmp_path, screenshot):
    page = open_page(java_script_enabled=False, viewport={"width": 1200, "height": 600})
    page.goto(write(tmp_path / "page.html", pca_figure(), gauss_figure()))
    for name in "ten digits above their reconstructions: k = 1", "the k-th marked: k = 1", "q and p: mu = 0, σ = 1":
        poster = page.get_by_role("img", name=name)
        assert poster.is_visible() and poster.bounding_box()["width"] > 300
    assert page.get_by_text("k = 1", exact=True).is_visible()
    assert page.get_by_text(readout(1)).is_visible() and page.get_by_text("What k keeps").is_visible()
    assert page.get_by_role("slider").count() == 0
    screenshot(page, "without_javascript")


def test_figures_on_one_page_do_not_meet(page, tmp_path, screenshot):
    page.goto(write(tmp_path / "page.html", pca_figure(), gauss_figure(), pca_figure()))
    first, gauss, twin = (page.locator("figure").nth(i) for i in range(3))
    twin.get_by_role("slider").focus()  # equal content, hence equal ids: still its own figure
    page.keyboard.press("ArrowRight")
    check_pca(first, 1)
    check_pca(twin, 2)
    still = gauss.inner_html()
    first.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert gauss.inner_html() == still
    check_pca(first, 30)
    check_pca(twin, 2)
    gauss.get_by_role("slider", name="σ", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert gauss.get_by_role("img", name="densities q and p: mu = 0, σ = 2").is_visible()
    assert gauss.get_by_role("status").inner_text() == "KL 0.807 nats"  # log(1/2) + 3/2
    gauss.get_by_role("slider", name="mu", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert gauss.get_by_role("status").inner_text() == "KL 2.807 nats"  # mu^2 / 2 = 2 more
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)")
    assert len(ids) == len(set(ids))
    screenshot(page, "three_figures")


def test_phone_width_has_no_sideways_scrolling(open_page, tmp_path, screenshot):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.goto(write(tmp_path / "page.html", pca_figure(), gauss_figure()))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (x.bounding_box() for x in page.locator("figure *:visible").all() if x.bounding_box()):
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    slider = page.get_by_role("slider", name="k", exact=True)
    assert slider.bounding_box()["height"] >= 24 and slider.bounding_box()["width"] >= 150  # WCAG 2.2, target size
    slider.tap()  # in the middle
    check_pca(page.locator("figure").first, 5)
    screenshot(page, "phone")


def test_dark_page_has_light_axes(open_page, tmp_path, screenshot):
    page = open_page(color_scheme="dark", viewport={"width": 1200, "height": 900})
    page.goto(write(tmp_path / "page.html", pca_figure(), gauss_figure()))
    colors = "x => [getComputedStyle(x).fill, getComputedStyle(document.body).color]"
    ink, text = page.locator("svg[role=img] text").first.evaluate(colors)
    assert ink == text and min(map(int, re.findall(r"\d+", ink)[:3])) > 200
    screenshot(page, "dark")


def test_hostile_words_stay_words(page, tmp_path):
    hostile = "</script><img src=x onerror=window.broken=1>"
    draw = lambda **k: ({"lines": {hostile: ([0, 1], [0, 1])}, "xlabel": hostile}, hostile)  # noqa: E731
    page.goto(write(tmp_path / "page.html", frames({hostile: ["a", hostile]}, draw, alt=hostile, caption=hostile)))
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("status").inner_text() == hostile
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == hostile
    assert page.evaluate("window.broken") is None and page.locator("img").count() == 0


# -------------------- notebooks --------------------


def test_jupyterlab_shows_it_live_and_keeps_the_arrow_keys(tall_page, lab, screenshot):
    page = tall_page
    notebook(lab.root / "live.ipynb", "test_frames", "pca_figure", "figure")
    run_all(page, lab, "live.ipynb")
    figures = live_figures(page, 2)
    by_keyboard_and_mouse(page, figures.first)
    check_pca(figures.last, 1)  # the same figure shown again stays where it was
    assert page.locator(".jp-Notebook .jp-OutputArea-output").count() == 2  # one output per cell
    screenshot(page, "jupyterlab")


def test_exported_html_is_live(page, tmp_path, screenshot):
    notebook(tmp_path / "export.ipynb", "test_frames", "pca_figure")
    page.goto(export(tmp_path / "export.ipynb"))
    by_keyboard_and_mouse(page, page.locator("figure[data-live]"))
    screenshot(page, "exported")
