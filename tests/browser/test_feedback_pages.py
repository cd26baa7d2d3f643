"""The pages of a hostile class in a real browser, from files: nothing runs, nothing is fetched, all can be read."""

import re
import shutil

import pytest

from enm5310.reporting import class_report, feedback
from tests import feedback_class

pytestmark = pytest.mark.browser

SIZES = {"wide": (1200, 900), "phone": (375, 800)}
CONTRAST = """() => {
    // the WCAG contrast of each piece of text with what lies behind it: the smallest, and where
    const rgb = c => c.match(/[\\d.]+/g).map(Number);
    const lum = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    let worst = [21, ""];
    for (const e of document.querySelectorAll("body *")) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
        let behind = e;
        while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
        const [a, b] = [getComputedStyle(e).color, getComputedStyle(behind ?? document.body).backgroundColor]
            .map(c => lum(rgb(c))).sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
    }
    return worst;
}"""


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """{name: file:// address} of pages, in a folder of their own."""
    monkeypatch = pytest.MonkeyPatch()
    folder = shutil.copytree(feedback_class.whole(), tmp_path_factory.mktemp("pages") / "kurs")
    with monkeypatch.context() as patched:
        patched.chdir(folder)
        for assignment in ("ps1", feedback_class.PART):
            feedback.feedback(feedback.Asked(assignment))
            class_report.report(class_report.Asked(assignment))
    paths = {f"{p.parent.parent.name} {p.parent.name}": p for p in (folder / "feedback").rglob("*.html")}
    paths |= {f"report {p.stem}": p for p in (folder / ".grading" / "reports").glob("*.html")}
    return {name: path.as_uri() for name, path in paths.items()}


LOOKED_AT = ("mallory ps1", "ada ps1", "bob 01_pca", "report ps1", "report 01_pca")


def test_nothing_of_a_submission_runs_or_is_fetched(open_page, addresses):
    page, asked = open_page(viewport={"width": 1200, "height": 900}), []
    page.on("request", lambda request: asked.append(request.url.partition(":")[0]))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    assert len(addresses) == 13
    for address in addresses.values():
        page.goto(address)
        assert page.locator("h1").count() == 1
        assert page.locator("script, iframe, form, svg, object").count() == 0
        broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
        assert broken == 0
    assert set(asked) <= {"file", "data"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_fit_and_can_be_read(open_page, addresses, screenshot, scheme, size):
    width, height = SIZES[size]
    page = open_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    for name, address in addresses.items():
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        ratio, where = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{name}: {ratio:.2f} of {where}"
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")
        if name in LOOKED_AT:
            screenshot(page, f"{name.replace(' ', '_')}_{size}_{scheme}")


def test_a_keyboard_reaches_the_content_and_each_exercise(open_page, addresses):
    page = open_page(viewport={"width": 800, "height": 900})
    page.goto(addresses["bob 01_pca"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert first.startswith("1.1 ") and page.locator(":target").text_content() == first


def test_pages_print_on_paper(open_page, addresses, tmp_path):
    """Nothing is cut off at the right edge of the paper, and dark pages print dark on white."""
    for name in ("mallory ps1", "bob 01_pca", "report ps1"):
        page = open_page(viewport={"width": 700, "height": 990}, color_scheme="dark")
        page.goto(addresses[name])
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 700, name
        boxes = "[...document.querySelectorAll('pre')]"
        wide = page.evaluate(f"{boxes}.filter(e => e.scrollWidth > e.clientWidth + 1).length")
        assert wide == 0, name
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(CONTRAST)[0] >= 4.5
        data = page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert data.startswith(b"%PDF") and 1 <= len(re.findall(rb"/Type /Page\b", data)) <= 12
