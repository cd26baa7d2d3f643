"""The pad in a real browser: live by mouse, touch and keyboard in a plain page, in JupyterLab and in exported HTML.

The figure under test: digits on their first two principal components, decoded by PCA and, beside it, by a network; what
the pictures must be is computed here in float64, what they are is read back from the screen by the browser itself.
"""

import re

import numpy as np
import pytest
from live_pages import export, live_figures, notebook, picture, run_all, write
from sklearn.datasets import load_digits

from enm5310.widgets.pad import pad

pytestmark = pytest.mark.browser

DIGITS = load_digits()
X, Y = DIGITS.data[:600] / 16, DIGITS.target[:600]
VT = np.linalg.svd(X - X.mean(0), full_matrices=False)[2][:2]
Z = (X - X.mean(0)) @ VT.T
RNG = np.random.default_rng(0)
W1, B1, W2, B2 = RNG.normal(size=(2, 8)), RNG.normal(size=8), RNG.normal(size=(8, 64)), RNG.normal(size=64)
PCA, NET = [(VT, X.mean(0))], [(W1, B1), (W2, B2)]


def pad_figure(**options):
    names = {"alt": "codes of digits", "picture": "decoded digit", "caption": "What two numbers say of a digit"}
    kind = {"activations": "tanh", "output": {"PCA": "linear", "network": "logistic"}}
    return pad({"PCA": PCA, "network": NET}, (8, 8), points=Z, labels=Y, xlim=(-3, 3), ylim=(-3, 3),
               start=(1, -0.5), **kind, **names | options)  # fmt: skip


def plain_figure():
    words = {"alt": "the plane", "picture": "image", "text": lambda z: f"z1 + z2 = {z.sum():.1f}"}
    return pad(NET, (8, 8), activations="tanh", output="logistic", xlabel="a", ylabel="b", **words)


def decoded(z):
    """Bytes of grey of both pictures, ink dark."""
    values = X.mean(0) + z @ VT, 1 / (1 + np.exp(-(np.tanh(z @ W1 + B1) @ W2 + B2)))
    return [255 * (1 - v.clip(0, 1)).reshape(8, 8) for v in values]


def words(v):
    return f"{v:.2f}".replace("-", "−")


def check(figure, z1, z2):
    """Everything that the figure shows and says is what it must be with the point at (z1, z2)."""
    state = f"z1 = {words(z1)}, z2 = {words(z2)}"
    assert figure.get_by_role("status").inner_text().startswith(state + "; nearest code: ")
    for title, grey in zip(("PCA", "network"), decoded(np.array([z1, z2])), strict=True):
        shown = picture(figure.get_by_role("img", name=f"decoded digit, {title}, at {state}", exact=True))
        assert np.abs(shown - grey).max() < 0.51  # the nearest of 256 levels
    for name, value in ("z1", z1), ("z2", z2):
        slider = figure.get_by_role("slider", name=name, exact=True)
        assert slider.get_attribute("aria-valuetext") == words(value)
        assert slider.evaluate("x => Number(x.value)") == round(value / 0.05)
    assert figure.get_by_role("application", name=f"codes of digits; {state}", exact=True).count() == 1
    circle = figure.locator("[data-point] circle").first.bounding_box()
    middle = circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2
    np.testing.assert_allclose(middle, spot(figure, z1, z2), atol=0.6)


def spot(figure, z1, z2):
    """Where (z1, z2) is on the screen: the plane is a square of 280 from -3 to 3, 52 right and 10 below its corner."""
    box = figure.locator("[data-plane]").bounding_box()
    scale = box["width"] / 346
    return box["x"] + scale * (52 + 280 * (z1 + 3) / 6), box["y"] + scale * (10 + 280 * (3 - z2) / 6)


def by_mouse_and_keyboard(page, figure):
    """Plays the figure from its start through every way to move it."""
    check(figure, 1, -0.5)
    figure.scroll_into_view_if_needed()
    page.mouse.click(*spot(figure, -2, 2))
    check(figure, -2, 2)
    page.mouse.move(*spot(figure, -2, 2))
    page.mouse.down()
    page.mouse.move(*spot(figure, 0.5, 0.25))
    check(figure, 0.5, 0.25)
    page.mouse.move(*spot(figure, 9, 1.25))  # out of the plane: it stays at the edge
    check(figure, 3, 1.25)
    page.mouse.move(*spot(figure, 2.5, -1))
    page.mouse.up()
    page.mouse.move(*spot(figure, -1, -1))  # let go
    check(figure, 2.5, -1)
    assert page.evaluate("document.activeElement.hasAttribute('data-plane')")  # the keys go on from there
    moves = [("ArrowLeft", 2.45, -1), ("ArrowUp", 2.45, -0.95), ("Shift+ArrowDown", 2.45, -1.45),
             ("Shift+ArrowRight", 2.95, -1.45), ("Shift+ArrowRight", 3, -1.45), ("Home", 1, -0.5)]  # fmt: skip
    for key, z1, z2 in moves:
        page.keyboard.press(key)
        check(figure, z1, z2)
    figure.get_by_role("slider", name="z1", exact=True).focus()
    for key, z1 in ("ArrowRight", 1.05), ("End", 3), ("Home", -3):
        page.keyboard.press(key)
        check(figure, z1, -0.5)
    figure.get_by_role("slider", name="z2", exact=True).focus()
    page.keyboard.press("ArrowUp")
    check(figure, -3, -0.45)
    assert page.evaluate("getSelection().isCollapsed")


# -------------------- a plain page --------------------


def test_plain_page_is_live(page, tmp_path, screenshot):
    page.goto(write(tmp_path / "page.html", pad_figure()))
    by_mouse_and_keyboard(page, page.locator("figure"))
    screenshot(page, "page")


def test_focus_is_visible_and_tab_goes_plane_then_sliders(page, tmp_path, screenshot):
    page.goto(write(tmp_path / "page.html", pad_figure()))
    outline = "x => [getComputedStyle(x).outlineStyle, parseFloat(getComputedStyle(x).outlineWidth)]"
    stops = [page.locator("[data-plane]"), page.get_by_role("slider", name="z1"), page.get_by_role("slider", name="z2")]
    for stop in stops:
        assert stop.evaluate(outline)[0] == "none"
        page.keyboard.press("Tab")
        assert stop.evaluate("x => x === document.activeElement")
        style, width = stop.evaluate(outline)
        assert style == "solid" and width >= 2
        screenshot(page, f"focus_{stops.index(stop)}")


def test_keys_that_are_not_ours_do_what_they_always_do(page, tmp_path):
    page.goto(write(tmp_path / "page.html", pad_figure(), plain_figure(), plain_figure()))
    page.locator("[data-plane]").first.focus()
    for key in "a", "Control+ArrowLeft", "Alt+ArrowUp":
        page.keyboard.press(key)
    page.mouse.click(*spot(page.locator("figure").first, 2, 2), button="right")
    check(page.locator("figure").first, 1, -0.5)
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("PageDown")
    page.wait_for_function("scrollY > 0")


def test_without_javascript_the_poster_stays(open_page, tmp_path, screenshot):
    page = open_page(java_script_enabled=False, viewport={"width": 1200, "height": 900})
    page.goto(write(tmp_path / "page.html", pad_figure(), plain_figure()))
    for title in "PCA", "network":
        poster = page.get_by_role("img", name=f"decoded digit, {title}, at z1 = 1.00, z2 = −0.50", exact=True)
        assert poster.is_visible() and poster.bounding_box()["width"] > 100
    assert page.get_by_role("img", name="codes of digits; z1 = 1.00, z2 = −0.50").is_visible()
    assert page.get_by_text("a = 0.0, b = 0.0").is_visible() and page.get_by_text("What two numbers say").is_visible()
    assert page.get_by_role("slider").count() == 0 and page.get_by_text("Drag the point").count() == 0
    screenshot(page, "without_javascript")


def test_the_live_figure_looks_like_its_poster(open_page, tmp_path):
    boxes = []
    for live in False, True:
        page = open_page(java_script_enabled=live, viewport={"width": 1200, "height": 900})
        page.goto(write(tmp_path / "page.html", pad_figure()))
        found = [page.locator("[data-plane]"), *page.get_by_role("img", name="decoded digit").all()]
        boxes.append([x.bounding_box() for x in found])
    assert boxes[0] == boxes[1] and len(boxes[0]) == 3  # nothing jumps when the module starts


def test_figures_on_one_page_do_not_meet(page, tmp_path, screenshot):
    page.goto(write(tmp_path / "page.html", pad_figure(), plain_figure(), pad_figure()))
    first, plain, twin = (page.locator("figure").nth(i) for i in range(3))
    still = plain.inner_html()
    twin.locator("[data-plane]").focus()  # equal content, hence equal ids: still its own figure
    page.keyboard.press("ArrowRight")
    check(first, 1, -0.5)
    check(twin, 1.05, -0.5)
    assert plain.inner_html() == still
    plain.locator("[data-plane]").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowUp")
    assert plain.get_by_role("status").inner_text() == "a = 2.0, b = 0.2\nz1 + z2 = 2.2"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(x => x.id)")
    assert len(ids) == len(set(ids))
    screenshot(page, "three_figures")


def test_phone_is_dragged_by_finger_and_has_no_sideways_scrolling(open_page, tmp_path, screenshot):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.goto(write(tmp_path / "page.html", pad_figure(), plain_figure()))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visible = page.locator("figure, figure > *, .enm-stage > *, .enm-side > *, canvas, input, .enm-key").all()
    for box in (x.bounding_box() for x in visible):
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    slider = page.get_by_role("slider", name="z1", exact=True)
    assert slider.bounding_box()["height"] >= 24 and slider.bounding_box()["width"] >= 150  # WCAG 2.2, target size
    figure = page.locator("figure").first
    page.touchscreen.tap(*spot(figure, -1, 1))
    check(figure, -1, 1)
    finger = page.context.new_cdp_session(page)
    for kind, z in ("touchStart", (-1, 1)), ("touchMove", (-1, 0)), ("touchMove", (0.5, -2)), ("touchEnd", None):
        x, y = spot(figure, *(z or (0, 0)))
        points = [{"x": x, "y": y}] if z else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    check(figure, 0.5, -2)
    assert page.evaluate("scrollY") == 0  # the finger moved the point, not the page
    screenshot(page, "phone")


def test_dark_page_keeps_the_plane_on_paper(open_page, tmp_path, screenshot):
    page = open_page(color_scheme="dark", viewport={"width": 1200, "height": 900})
    page.goto(write(tmp_path / "page.html", pad_figure(), plain_figure()))
    colors = "x => [getComputedStyle(x.querySelector('text')).fill, getComputedStyle(x).backgroundColor]"
    ink, paper = page.locator(".enm-plane").first.evaluate(colors)
    assert (ink, paper) == ("rgb(34, 34, 34)", "rgb(255, 255, 255)")
    ink = page.get_by_role("status").first.evaluate("x => getComputedStyle(x).color")
    assert min(map(int, re.findall(r"\d+", ink)[:3])) > 200
    screenshot(page, "dark")


def test_hostile_words_stay_words(page, tmp_path):
    hostile = "</script><img src=x onerror=window.broken=1>"
    names = {"alt": hostile, "caption": hostile, "picture": hostile, "xlabel": hostile, "text": lambda z: hostile}
    figure = pad({hostile: NET}, (8, 8), activations="tanh", output="linear", points=Z[:2], labels=[0, 1],
                 classes=[hostile, hostile], **names)  # fmt: skip
    page.goto(write(tmp_path / "page.html", figure))
    page.locator("[data-plane]").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("status").inner_text().endswith(f"; nearest code: {hostile}\n{hostile}")
    assert page.get_by_role("slider", name=hostile, exact=True).count() == 1
    assert page.evaluate("window.broken") is None and page.locator("img").count() == 0


# -------------------- notebooks --------------------


def test_jupyterlab_shows_it_live_and_keeps_the_keys(tall_page, lab, screenshot):
    page = tall_page
    notebook(lab.root / "pad.ipynb", "test_pad", "pad_figure", "figure")
    run_all(page, lab, "pad.ipynb")
    figures = live_figures(page, 2)
    by_mouse_and_keyboard(page, figures.first)
    check(figures.last, 1, -0.5)  # the same figure shown again stays where it was
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    figures.last.locator("[data-plane]").focus()
    for key in "a", "b", "d", "d", "x":  # with a cell selected these would add, delete and cut cells
        page.keyboard.press(key)
    page.keyboard.press("ArrowUp")
    check(figures.last, 1, -0.45)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert page.locator(".jp-Notebook .jp-OutputArea-output").count() == 2  # one output per cell
    screenshot(page, "jupyterlab")


def test_exported_html_is_live(page, tmp_path, screenshot):
    notebook(tmp_path / "export.ipynb", "test_pad", "pad_figure")
    page.goto(export(tmp_path / "export.ipynb"))
    by_mouse_and_keyboard(page, page.locator("figure[data-live]"))
    screenshot(page, "exported")
