"""nbgrader's own buttons and pages on our notebooks and grades: Validate for students, formgrader for instructors."""

import pytest
from conftest import INSIDE, serving
from test_newcomer import EXERCISES, open_notebook, started

from enm5310 import start
from tests import courses, feedback_class, students

pytestmark = pytest.mark.browser
UNBIASED = "def covariance(X):\n    return np.cov(X, rowvar=False)\n"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """(folder, address, token) of a course as a student has it."""
    folder = tmp_path_factory.mktemp("student") / "my course"
    start.copy(folder)
    with started(folder, tmp_path_factory.mktemp("home")) as (address, token):
        yield folder, address, token


def validated(page, course, screenshot, name, answers):
    """What the dialog of nbgrader's button says of the exercises with all solved but for these answers."""
    folder, address, token = course
    students.write(folder / EXERCISES, answers)
    open_notebook(page, address, token, EXERCISES, "Exercises 1")
    page.get_by_role("button", name="Validate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Validation Results").wait_for(timeout=120_000)
    screenshot(page, name)
    words = dialog.inner_text()
    page.goto("about:blank")
    return words


def test_validate_names_the_cell_that_fails(open_page, course, screenshot):
    page = open_page(viewport={"width": 1300, "height": 1000})
    words = validated(page, course, screenshot, "validate_wrong", {"covariance": UNBIASED})
    assert "The following cell failed:" in words and words.count("check.covariance(covariance)") == 1
    assert "1.2 Covariance: wrong, 0 of 1 point" in words and "You divided by n - 1 (the unbiased estimate)" in words
    assert "check.center" not in words
    words = validated(page, course, screenshot, "validate_right", {})
    assert "Success! Your notebook passes all the tests." in words and "failed" not in words


# -------------------- formgrader --------------------

NBGRADERS_OWN = "https://cdnjs.cloudflare.com/ajax/libs/mathjax/"  # its pages of submissions always ask for it
IDLE = "window.MathJax = {Hub: {Config() {}, Configured() {}, Queue() {}, Startup: {signal: {Interest() {}}}}};"
HOSTILE = [
    "<pre>\n<https://contenteditable/autofocus/onfocus=window.broken=1>x\n</pre>",  # Markdown calls it an address
    "<details>\n<https://style=position:fixed;inset:0;background:white>\n",
    "# test-doubled\n\n## why\n\ndraw\n====",  # the ids of the boxes for scores
    "<s>struck <small>[small](x '</small>') <script>window.broken = 1</script>",
    "![x](http://evil.example/x.png) ![y](/logout) <img src=x onerror=window.broken=1> <!-- <pre>",
]
SHOWS = """
class Shows:
    def _repr_html_(self):
        return "<svg onload=window.broken=1></svg><p style=position:fixed onclick=x>x</p></div><iframe srcdoc='<b>'>"
Shows()
"""
CLASS = {
    "ada": {},
    "bob": {"doubled": "return 3 * x"},
    "eve": {"doubled": "import os\n    os._exit(1)", "why": "Because <b>I</b> say so."},
    "mallory": {
        "edit": feedback_class.with_cells(
            *(feedback_class.free(words, "markdown") for words in HOSTILE), feedback_class.free(SHOWS)
        )
    },
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """JupyterLab in a course folder that was graded: one right, one wrong, one that ends Python, one hostile."""
    folder = courses.make(tmp_path_factory.mktemp("course") / "kurs")
    for student, given in CLASS.items():
        courses.hand_in(folder, student, {"problem1": courses.answered(**given)})
    assert feedback_class.grade(folder) == 0
    with serving(folder, tmp_path_factory.mktemp("home")) as lab:
        yield lab


@pytest.fixture
def instructor(browser, graded):
    """The instructor's page, logged in; MathJax, which nbgrader takes from outside, does nothing here."""
    trouble = []
    context = browser.new_context(viewport={"width": 1300, "height": 1100})
    context.route(f"{NBGRADERS_OWN}**", lambda route: route.fulfill(body=IDLE, content_type="text/javascript"))
    page = context.new_page()
    page.on("console", lambda m: m.type == "error" and trouble.append(m.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
    page.on("request", lambda r: r.url.startswith((*INSIDE, NBGRADERS_OWN)) or trouble.append(r.url))
    page.goto(f"{graded.address}/tree?token={graded.token}")
    yield page
    context.close()
    assert trouble == []


def rows(page, address, heading):
    """[[word of each cell]] of a table of formgrader, by its first or second column."""
    page.goto(address)
    page.get_by_text(heading, exact=True).first.wait_for()
    page.locator("#main-table tr td:nth-child(2)").first.wait_for()
    page.get_by_text("Loading, please wait").wait_for(state="detached")
    table = page.locator("#main-table tr").all()
    return [[cell.inner_text().strip() for cell in row.locator("td").all()] for row in table]


def open_submission(page, root, student):
    page.goto(f"{root}/manage_students/{student}/ps1")
    page.get_by_role("link", name="problem1").click()
    page.locator("#why").wait_for()
    page.wait_for_function("document.querySelector('#test-halved').placeholder !== ''")  # scores arrive after the page


def test_formgrader_shows_a_class_graded_by_us(instructor, graded, screenshot):
    page, root = instructor, f"{graded.address}/formgrader"
    ((name, _, status, *_, submissions, _, _),) = rows(page, f"{root}/manage_assignments", "Name")
    assert (name, status, submissions) == ("ps1", "draft", "4")
    screenshot(page, "assignments")
    got = {row[1]: (row[3], row[4]) for row in rows(page, f"{root}/manage_submissions/ps1", "Student ID")}
    scores = {"ada": "4 / 12", "bob": "2 / 12", "eve": "2 / 12", "mallory": "4 / 12"}
    assert got == {student: ("needs manual grading", score) for student, score in scores.items()}
    screenshot(page, "submissions")
    assert [row[2:4] for row in rows(page, f"{root}/gradebook", "Assignment ID")] == [["4", "3 / 12"]]

    open_submission(page, root, "bob")
    score = {grade: page.locator(f"#{grade}").get_attribute("placeholder") for grade in ("test-doubled", "test-halved")}
    assert score == {"test-doubled": "0", "test-halved": "2"}
    said = page.locator("body").inner_text()
    assert "return 3 * x" in said and "AssertionError" in said
    assert "doubled(-41)" not in said  # the hidden test
    screenshot(page, "wrong")
    open_submission(page, root, "eve")
    said = page.locator("body").inner_text()
    assert "doubled ended its process" in said and "Because I say so." in said
    screenshot(page, "crash")


def test_a_hostile_submission_takes_nothing_from_the_instructor(instructor, graded, screenshot):
    """This page is of the instructor's own Jupyter server: a script in it could open a terminal."""
    page = instructor
    open_submission(page, f"{graded.address}/formgrader", "mallory")
    assert page.evaluate("window.broken") is None
    for grade, score in ("test-doubled", "2"), ("test-halved", "2"), ("why", None), ("draw", None):
        box = page.locator(f"[id='{grade}']")
        assert box.count() == 1 and box.evaluate("box => box.tagName") == "INPUT"
        assert box.get_attribute("placeholder") == score and box.is_visible()
    marks = "element => [...element.attributes].some(a => /^on/.test(a.name))"
    shown = "[...document.querySelectorAll('.text_cell_render *, .output_area *')]"
    assert page.evaluate(f"{shown}.length") > 15 and page.evaluate(f"{shown}.some({marks})") is False
    addresses = page.evaluate(f"{shown}.map(element => element.src).filter(Boolean)")
    assert all(address.startswith("data:image/") for address in addresses)
    last = page.locator("#draw")
    around = "e => { for (; e; e = e.parentElement) if (['S', 'SMALL', 'DETAILS'].includes(e.tagName)) return true; }"
    assert last.evaluate(around) is None
    screenshot(page, "hostile")


def test_a_grade_given_by_hand_survives_grading_again(instructor, graded, screenshot):
    from playwright.sync_api import expect

    page, root = instructor, f"{graded.address}/formgrader"
    open_submission(page, root, "ada")
    with page.expect_response(lambda r: "/api/grade/" in r.url and r.request.method == "PUT") as saved:
        page.locator("#why").fill("2.5")
        page.keyboard.press("Tab")
    assert saved.value.ok
    with page.expect_response(lambda r: "/api/comment/" in r.url and r.request.method == "PUT") as saved:
        page.locator("#why-comment").fill("Well said.")
        page.keyboard.press("Tab")
    assert saved.value.ok
    assert feedback_class.grade(graded.root) == 0
    open_submission(page, root, "ada")
    expect(page.locator("#why")).to_have_value("2.5")
    expect(page.locator("#why-comment")).to_have_value("Well said.")
    assert page.locator("#test-doubled").get_attribute("placeholder") == "2"
    page.locator("#why").scroll_into_view_if_needed()
    screenshot(page, "by_hand")
    got = {row[1]: row[4] for row in rows(page, f"{root}/manage_submissions/ps1", "Student ID")}
    assert got == {"ada": "6.5 / 12", "bob": "2 / 12", "eve": "2 / 12", "mallory": "4 / 12"}
