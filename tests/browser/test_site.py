"""The built site in a real browser: every page, every link, figures by keyboard, search, dark, phone, axe-core.

The lectures are executed for it once; with ENM5310_EXECUTED=FOLDER it takes the executed copies that lie there.
"""

import functools
import html.parser
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import nbformat
import pytest
from axe import violations

from tests.notebooks import PARTS, ROOT

pytestmark = pytest.mark.browser

LECTURES = sorted((ROOT / "lectures").glob("*.ipynb"))
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
LOOKED_AT = {
    "front": "index.html",
    "lecture": "lectures/01_pca.html",
    "exercise": "exercises/01_pca/01_pca.html",
    "api": "api/enm5310.bounds.html",
    "reproductions": "lectures/REPRODUCTIONS.html",
    "search": "search.html?q=covariance",
}


@pytest.fixture(scope="module")
def copies(executed, tmp_path_factory):
    """A folder of executed lectures."""
    if given := os.environ.get("ENM5310_EXECUTED"):
        return Path(given)
    folder = tmp_path_factory.mktemp("lectures")
    for path in LECTURES:
        _, complaints, copy = executed(path)
        assert not complaints
        shutil.copyfile(copy, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def site(copies, tmp_path_factory):
    """The folder of the site, built by its one command."""
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "lectures/_site/build.py", out, "--executed", copies]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def address(site):
    """The site on a loopback port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def opened(page, url):
    """The page, loaded; results of a search have come."""
    page.goto(url)
    if "search.html" in url:
        page.locator("#search-results li").first.wait_for()
    return page


# -------------------- what was built --------------------


class Page(html.parser.HTMLParser):
    """Ids and addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.targets, self.classes = set(), [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        self.classes |= set((given.get("class") or "").split())
        self.targets += [given[name] for name in ("href", "src", "poster", "data-src") if given.get(name)]


def broken(pages, root):
    """"page: target" of each address that leads nowhere inside the site; those of other hosts are not followed."""
    for path, page in pages.items():
        for target in page.targets:
            scheme, host, to, _, anchor = urllib.parse.urlsplit(target)
            if scheme in ("http", "https", "mailto", "data") or host:
                continue
            there = (path.parent / urllib.parse.unquote(to)).resolve() if to else path
            if not there.is_file() or root not in there.parents:
                yield f"{path.relative_to(root)}: {target}"
            elif anchor and there in pages and urllib.parse.unquote(anchor) not in pages[there].ids:
                yield f"{path.relative_to(root)}: {target} (no such anchor)"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.resolve().rglob("*.html"))}


def test_every_link_picture_and_script_is_there(site, pages):
    assert len(pages) > 100
    assert list(broken(pages, site.resolve())) == []


def test_a_broken_link_would_be_found(tmp_path):
    bad = '<a href="b.html#no"></a><img src="c.png"><a href="../d.html"></a>'
    (tmp_path / "a.html").write_text(f'{bad}<a href="#top" id="top"></a>')
    (tmp_path / "b.html").write_text('<h1 id="yes"></h1><a href="a.html#top"></a>')
    pages = {path: Page(path) for path in tmp_path.glob("*.html")}
    told = sorted(broken(pages, tmp_path))
    assert told == ["a.html: ../d.html", "a.html: b.html#no (no such anchor)", "a.html: c.png"]


def test_formulas_are_rendered_all_and_in_the_style_of_their_own_katex(site, pages):
    from sphinxcontrib.katex import katex_version

    style = (site / "_static" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    assert f'content:"{katex_version}"' in style, "the vendored style is of another KaTeX than the one that renders"
    for path, page in pages.items():
        text = path.read_text(encoding="utf-8")
        assert "katex-error" not in page.classes, path
        prose = re.sub(r"(?s)<(script|style|code|pre|annotation)\b.*?</\1>", "", text)
        assert not re.search(r"\\(frac|sum|mathbb|begin|left|sigma|top)\b|\$\$", prose), path
    for notebook in [*LECTURES, *(ROOT / "exercises" / part / f"{part}.ipynb" for part in PARTS)]:
        cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "markdown"]
        text = re.sub(r"(?s)```.*?```|`[^`]*`", "", "\n\n".join(cells))
        wanted = len(re.findall(r"(?s)\$\$.+?\$\$|\$[^$]+\$", text))
        built = (site / notebook.relative_to(ROOT).with_suffix(".html")).read_text(encoding="utf-8")
        article = built[built.index("<article") : built.index("</article>")]  # titles stand beside it again
        assert article.count('<annotation encoding="application/x-tex">') == wanted, notebook


def test_exercises_are_pages_with_their_notebook_to_download(site, address, page):
    for part in PARTS:
        there = site / "exercises" / part / f"{part}.ipynb"
        assert there.read_bytes() == (ROOT / "exercises" / part / f"{part}.ipynb").read_bytes()
        text = there.with_suffix(".html").read_text(encoding="utf-8")
        assert "NotImplementedError" in text and "lite/lab" not in text  # without JupyterLite no link leads there
    opened(page, address + LOOKED_AT["exercise"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the notebook").click()
    assert Path(download.value.path()).read_bytes() == (ROOT / "exercises/01_pca/01_pca.ipynb").read_bytes()


def test_the_reference_has_formulas_fields_and_source(address, page):
    opened(page, address + "api/enm5310.bounds.html")
    entry = page.locator("dl.function", has=page.locator("[id='enm5310.bounds.jensen_gap']"))
    assert entry.locator(".katex-display").count() == 1
    assert "for convex f, 0 for affine f; points x (n,) or (n, p), weights w (n,)." in entry.inner_text()
    assert "best_psi: theta -> argmin_psi g(theta, psi): touches f there" in page.locator("article").inner_text()
    entry.locator(".viewcode-link").click()
    assert page.url.endswith("_modules/enm5310/bounds.html#jensen_gap")


# -------------------- every page --------------------


def test_every_page_loads_whole_without_errors_and_all_figures_live(open_page, site, copies, address):
    """No console error, nothing from outside (`open_page` sees to it), all pictures, one title, no sideways scroll."""
    page, wrong = open_page(viewport=PHONE), []
    plain = [path for path in sorted(site.rglob("*.html")) if "_modules" not in path.parts and "api" not in path.parts]
    for path in [*plain, site / "api" / "index.html", site / "api" / "enm5310.vae.html"]:
        name = str(path.relative_to(site))
        page.goto(address + name)
        facts = page.evaluate("""() => ({
            titles: document.querySelectorAll("h1").length,
            pictures: [...document.images].filter((i) => i.complete && !i.naturalWidth).length,
            words: [...document.images].filter((i) => !i.alt).length,
            wide: document.documentElement.scrollWidth - innerWidth,
            dead: document.querySelectorAll("figure[data-enm-figure]:not([data-live])").length,
        })""")
        wanted = {"titles": 1, "pictures": 0, "words": 0, "wide": 0, "dead": 0}
        if facts != wanted:
            wrong.append((name, facts))
        notebook = copies / f"{path.stem}.ipynb"
        if path.parent.name == "lectures" and notebook.is_file():
            shown = notebook.read_text(encoding="utf-8").count("<figure class=")
            live = page.locator("figure[data-live]").count()
            assert live == shown, (name, live, shown)
    assert wrong == []


@pytest.mark.parametrize("name", ["front", "lecture"])
def test_the_first_figure_can_be_used_within_two_seconds(open_page, address, name):
    """From the call of the address to the live figure, cold: seconds of the page's own thread, as other programs may
    hold the processor at the same time.  The next test bounds what travels."""
    page = open_page(viewport=WIDE)
    clock = page.context.new_cdp_session(page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address + LOOKED_AT[name], wait_until="commit")
    page.locator("figure[data-live]").first.wait_for(state="attached")
    took = {metric["name"]: metric["value"] for metric in clock.send("Performance.getMetrics")["metrics"]}
    print(f"{name}: {took['TaskDuration']:.2f} s of processor time, {page.evaluate('performance.now()'):.0f} ms")
    assert took["ScriptDuration"] < took["TaskDuration"] < 2


def test_pages_are_light(site):
    """Bytes of each page itself, which a server compresses further; figures of a lecture travel inside."""
    weights = {path.relative_to(site).as_posix(): path.stat().st_size for path in site.rglob("*.html")}
    assert weights["index.html"] < 200_000 and max(weights.values()) < 3_000_000
    shared = [path for path in (site / "_static").rglob("*") if path.suffix in (".css", ".js")]
    assert sum(path.stat().st_size for path in shared) < 500_000


# -------------------- by keyboard --------------------


def tab_to(page, wanted, most=80):
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"not reached by {most} times Tab")


def skip_to_content(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").strip() == "Skip to content"
    page.keyboard.press("Enter")


def test_the_pad_of_the_front_page_is_on_the_first_screen_and_moves_by_keyboard(page, address, screenshot):
    page.set_viewport_size(WIDE)
    opened(page, address)
    figure = page.locator("figure[data-live]")
    box = figure.bounding_box()
    assert box["y"] + box["height"] < WIDE["height"], "below the first screen"
    readout, plane = figure.get_by_role("status"), figure.locator("[data-plane]")
    first = readout.inner_text()
    skip_to_content(page)
    tab_to(page, plane)
    page.keyboard.press("Shift+ArrowRight")
    second = readout.inner_text()
    tab_to(page, figure.get_by_role("slider").nth(1))
    page.keyboard.press("ArrowUp")
    third = readout.inner_text()
    assert len({first, second, third}) == 3 and "z1 = 0.00" in first and "z1 = 0.00" not in second
    assert plane.get_attribute("aria-label").endswith(third.split(";")[0])
    screenshot(page, "pad_moved")


def test_a_slider_of_a_lecture_moves_by_keyboard(page, address, screenshot):
    opened(page, address + LOOKED_AT["lecture"])
    figure = page.locator("figure[data-live]").first
    slider, readout = figure.get_by_role("slider").first, figure.get_by_role("status")
    before = slider.get_attribute("aria-valuetext"), readout.inner_text(), figure.locator("img").get_attribute("src")
    skip_to_content(page)
    tab_to(page, slider)
    page.keyboard.press("ArrowRight")
    after = slider.get_attribute("aria-valuetext"), readout.inner_text(), figure.locator("img").get_attribute("src")
    assert all(a != b for a, b in zip(before, after, strict=True))
    figure.scroll_into_view_if_needed()
    screenshot(page, "slider_moved")


def test_side_bars_open_by_keyboard_on_a_phone_and_hold_no_focus_while_closed(open_page, address, screenshot):
    page = open_page(viewport=PHONE)
    opened(page, address + LOOKED_AT["exercise"])
    assert page.get_by_role("link", name="Start here").count() == 0  # not there for keyboard and screen reader
    button = page.get_by_role("button", name="Site")
    tab_to(page, button, 10)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Start here").first.wait_for()
    assert button.get_attribute("aria-expanded") == "true"
    page.wait_for_timeout(400)  # it slides in
    screenshot(page, "navigation_phone")
    page.keyboard.press("Space")
    page.get_by_role("link", name="Start here").first.wait_for(state="hidden")


def test_search_finds_a_function_a_lecture_and_an_exercise(page, address, screenshot):
    opened(page, address)
    box = page.get_by_role("searchbox").or_(page.get_by_placeholder("Search")).first
    tab_to(page, box, 8)
    page.keyboard.type("covariance")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li")
    page.get_by_text("Search finished").wait_for()
    told = "\n".join(results.all_inner_texts())
    assert all(words in told for words in ("enm5310.pca.covariance", "Exercises 1", "PCA, and the density behind it"))
    screenshot(page, "search")
    results.get_by_role("link", name="enm5310.pca.covariance").click()
    assert page.url.endswith("api/enm5310.pca.html#enm5310.pca.covariance")


def test_dark_and_light_can_be_chosen_and_are_remembered(page, address):
    opened(page, address)
    colour = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    light = colour()
    button = page.locator(".theme-toggle-content button")
    for _ in range(3):
        if colour() == light:
            button.click()
    dark = colour()
    assert dark != light
    opened(page, address + "lectures/README.html")
    assert colour() == dark


def test_without_javascript_text_formulas_and_posters_stay(open_page, address, screenshot):
    page = open_page(java_script_enabled=False, viewport=WIDE)
    opened(page, address + "lectures/01_pca.html")
    assert page.locator("figure img").first.get_attribute("alt") and page.locator(".katex-html").count() > 100
    assert page.locator("figure").first.is_visible()
    screenshot(page, "without_javascript")


# -------------------- looked at, and by axe-core --------------------


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_axe_has_no_objection(open_page, address, screenshot, name, scheme, size):
    page = opened(open_page(viewport=size, color_scheme=scheme), address + LOOKED_AT[name])
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    screenshot(page, f"{name}_{scheme}_{size['width']}")
    assert violations(page) == []
