"""The notebooks in the browser: pages, paths, kernel and wheels, with a stand-in for the CDN.

The stand-in is the runtime of the npm package ``pyodide`` and the kernel's pure Python wheels from PyPI.  NumPy and
Matplotlib for WebAssembly lie on the CDN alone: here they are wheels without a module, so that the kernel asks for
them, gets them, and cannot import them.  All up to there is real.
"""

import functools
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile

import pytest

from tests.browser.conftest import INSIDE
from tests.notebooks import PARTS, ROOT, cells, source

pytestmark = pytest.mark.browser
NOTEBOOKS = [str(p.relative_to(ROOT)) for where in ("lectures/*", "exercises/*/*") for p in ROOT.glob(where + ".ipynb")]
EXERCISES = "exercises/01_pca/01_pca.ipynb"


# -------------------- a Pyodide without NumPy --------------------


@pytest.fixture(scope="module")
def lite():
    sys.path.insert(0, str(ROOT / "lectures" / "_site"))
    try:
        import lite

        return lite
    finally:
        sys.path.pop(0)


def fetch(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}"


def hollow(path, entry):
    """A wheel with a name and a version and no module."""
    folder = f"{path.name.split('-')[0]}-{entry['version']}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        named = f"Metadata-Version: 2.1\nName: {entry['name']}\nVersion: {entry['version']}\n"
        archive.writestr(f"{folder}/METADATA", named)
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")


@pytest.fixture(scope="module")
def release(lite, tmp_path_factory):
    """A folder like an unpacked Pyodide release, whose lock file has the stand-ins' hashes."""
    folder = tmp_path_factory.mktemp("pyodide")
    kept = json.loads(lite.PIN.read_text())
    npm = shutil.which("npm")
    assert npm, "npm brings Pyodide's runtime to these tests"
    fetch([npm, "pack", "--silent", f"pyodide@{kept['pyodide']}"], folder)
    fetch(["tar", "xzf", *(p.name for p in folder.glob("*.tgz")), "--strip-components=1"], folder)
    lock = json.loads((folder / "pyodide-lock.json").read_text())
    assert lite.trimmed(lock)["packages"] == kept["packages"]  # what we keep of it is what it says
    of_kernel = lite.trimmed(lock | {"packages": {k: v for k, v in lock["packages"].items() if k not in lite.MATHS}})
    wanted = [f"{p['name']}=={p['version']}" for p in of_kernel["packages"].values()]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version=3.14"]
    fetch([*pip, *wanted], folder)
    for entry in lock["packages"].values():
        path = folder / entry["file_name"]
        if lite.key(entry["name"]) in kept["packages"]:
            if not path.exists():
                hollow(path, entry)
            entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "pyodide-lock.json").write_text(json.dumps(lock))
    return folder


@pytest.fixture(scope="module")
def built(lite, release, tmp_path_factory):
    """(site that takes Pyodide from the CDN, site that brings it along): folders with lite/ in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite, "PIN", tmp_path_factory.mktemp("pin") / "pyodide-lock.json")
        patch.delenv("PYODIDE_DIST", raising=False)
        lite.pin(release)
        return tuple(lite.build(tmp_path_factory.mktemp("site"), dist).parent for dist in (None, release))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path):
        return "text/javascript" if path.endswith(".mjs") else super().guess_type(path)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def addresses(built):
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=d)) for d in built]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tuple(f"http://127.0.0.1:{server.server_port}/lite" for server in servers)
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def visit(browser, lite, release):
    """visit(address): a page in a fresh profile, and the list of what it asks of the CDN.

    The test fails if the page asked another host, or logged an error other than those of files that ``absent`` matches.
    """
    trouble, contexts = [], []
    cdn = lite.CDN.format(json.loads(lite.PIN.read_text())["pyodide"]) + "/"

    def opened(address, absent="(?!)"):
        asked = []

        def heard(message):
            place = message.location["url"]
            missing = re.search("status of 404|does not exist", message.text)
            if message.type == "error" and not (missing and re.search(absent, place + message.text)):
                trouble.append(f"console: {message.text} {place}")

        context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
        contexts.append(context)

        def answer(route):
            name = route.request.url.removeprefix(cdn)
            asked.append(name)
            kinds = {".mjs": "text/javascript", ".wasm": "application/wasm"}
            kind = kinds.get(name[name.rindex(".") :], "application/octet-stream")
            route.fulfill(path=release / name, content_type=kind, headers={"Access-Control-Allow-Origin": "*"})

        context.route(cdn + "**", answer)
        context.on("request", lambda r: r.url.startswith((*INSIDE, cdn)) or trouble.append(f"outside: {r.url}"))
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: trouble.append(f"exception: {error}"))
        page.goto(address)
        return page, asked

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


TRACEBACK = "/lite/api/(resolvePath|contents/lib)"  # Lab looks for the files that a traceback names, to link them


def address_of(site, notebook):
    return f"{site}/lab/index.html?path={notebook}"


def title(notebook):
    return re.search(r"^# (.*)$", source(cells(ROOT / notebook)[0]), re.M)[1].replace("`", "")


def choose_kernel(page, name):
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Select Kernel", exact=True).wait_for(timeout=60_000)
    assert dialog.get_by_role("combobox").locator("option:checked").inner_text() == "Python (Pyodide)"
    dialog.get_by_role("button", name=name).click()


def run(page, code, cell=1):
    """What a code cell of the open notebook prints when it holds this code."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(cell)
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").fill(code)
    cell.locator(".cm-content").press("Control+Enter")
    done = re.compile(r"\[\d+\]:")
    for _ in range(600):
        shown = cell.locator(".jp-InputPrompt").inner_text()
        if shown != before and done.fullmatch(shown.strip()):
            break
        page.wait_for_timeout(100)
    page.get_by_text("| Idle").wait_for(timeout=60_000)
    return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts()).strip()


# -------------------- files --------------------


def test_every_lecture_and_exercise_is_there_as_it_lies_in_the_repository(built):
    assert len(NOTEBOOKS) == 9 + len(PARTS)
    for site in built:
        for notebook in NOTEBOOKS:
            assert (site / "lite" / "files" / notebook).read_bytes() == (ROOT / notebook).read_bytes()
            folder, _, name = notebook.rpartition("/")
            listed = json.loads((site / "lite" / "api" / "contents" / folder / "all.json").read_text())["content"]
            assert name in [entry["name"] for entry in listed]
        assert not any("solutions" in path.parts for path in (site / "lite" / "files").rglob("*"))


def test_the_site_is_small_and_only_what_it_needs(built):
    cdn, whole = (sum(p.stat().st_size for p in (site / "lite").rglob("*") if p.is_file()) for site in built)
    assert cdn < 26e6 and whole < 50e6
    extensions = [p.parent.name for p in (built[0] / "lite" / "extensions").rglob("package.json")]
    assert extensions == ["pyodide-kernel-extension"]  # none of those that happen to be installed where it was built


# -------------------- in the browser --------------------


def test_a_notebook_opens_and_nothing_is_fetched_before_a_kernel_is_chosen(visit, addresses, screenshot):
    for notebook in ("lectures/00_start_here.ipynb", "lectures/07_vae.ipynb"):
        page, asked = visit(address_of(addresses[0], notebook))
        choose_kernel(page, "No Kernel")
        page.get_by_role("heading", name=title(notebook)).first.wait_for(timeout=60_000)
        assert page.get_by_role("dialog").count() == 0
        page.wait_for_timeout(1000)
        assert asked == []
    screenshot(page, "lecture")


def test_a_link_to_a_notebook_that_is_not_there_would_be_noticed(visit, addresses):
    page, _ = visit(address_of(addresses[0], "01_pca.ipynb"), absent="01_pca.ipynb")
    page.get_by_role("dialog").wait_for(timeout=60_000)
    assert "Select Kernel" not in page.get_by_role("dialog").inner_text()


STATE = """import importlib.metadata as m, pathlib, sys, warnings, zipfile
import enm5310, enm5310.course
warnings.simplefilter("error")
home = pathlib.Path(enm5310.__file__).parent
sources = [p for p in home.rglob("*.py")]
for p in sources: compile(p.read_bytes(), str(p), "exec")
print(sys.platform, sys.maxsize, pathlib.Path.cwd(), m.version("enm5310"), m.version("autograd"))
print(len(sources), enm5310.course.parts_here(), len(zipfile.ZipFile(home / "datasets" / "digits.npz").namelist()))"""


CAPTURE = """import importlib.util, os, pathlib, enm5310
spec = importlib.util.spec_from_file_location("capture", pathlib.Path(enm5310.__file__).parent / "checks/capture.py")
capture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(capture)
lines = []
with capture.captured(lines):
    print("by Python")
    os.write(1, b"below Python")
print(lines)"""  # what a check does around a student's function, without the NumPy that its package imports


def expected_state():
    import importlib.metadata as m

    home = ROOT / "enm5310"
    count = sum(1 for p in home.rglob("*.py") if "_course" not in p.parts)
    return count, m.version("enm5310"), m.version("autograd"), home / "datasets" / "digits.npz"


def check_state(told):
    count, ours, autograds, digits = expected_state()
    first, second = told.splitlines()
    assert first.split() == ["emscripten", str(2**31 - 1), "/drive/exercises/01_pca", ours, autograds]
    with zipfile.ZipFile(digits) as archive:
        assert second.endswith(f"{list(PARTS)} {len(archive.namelist())}")
    assert int(second.split()[0]) >= count


def names(lite, release, *wanted):
    """The files of these packages and of what they need."""
    lock, found, wanted = json.loads((release / "pyodide-lock.json").read_text())["packages"], set(), list(wanted)
    there = {lite.key(name): entry for name, entry in lock.items()}
    while wanted:
        name = lite.key(wanted.pop())
        if name in there and there[name]["file_name"] not in found:
            found.add(there[name]["file_name"])
            wanted += there[name]["depends"]
    return found


def test_the_kernel_starts_from_our_lock_file_and_finds_the_course(visit, addresses, lite, release, screenshot):
    page, asked = visit(address_of(addresses[0], EXERCISES), absent=TRACEBACK)
    choose_kernel(page, "Select")
    page.get_by_text("| Idle").wait_for(timeout=180_000)
    kernel = {*lite.RUNTIME, *names(lite, release, *lite.KERNEL)}
    assert set(asked) == kernel
    check_state(run(page, STATE))
    assert set(asked) == kernel | names(lite, release, *lite.MATHS)  # the first `import enm5310` brings NumPy along
    told = run(page, "from enm5310.checks import part1 as check")
    assert "No module named 'autograd'" not in told and "No module named 'numpy'" in told  # the stand-in's limit
    screenshot(page, "kernel")


def test_a_site_that_brings_pyodide_along_starts_by_itself_and_asks_nobody(visit, addresses):
    page, asked = visit(address_of(addresses[1], EXERCISES), absent=TRACEBACK)
    page.get_by_text("| Idle").wait_for(timeout=180_000)
    check_state(run(page, STATE))
    assert run(page, CAPTURE) == "['by Python', 'below Python']"
    refused = run(page, "%pip install scipy")
    assert "PyPI fallback is disabled" in refused and asked == []


def test_changes_are_kept_here_until_the_copy_is_deleted_and_can_be_downloaded(visit, addresses, screenshot):
    page, _ = visit(address_of(addresses[0], EXERCISES))
    choose_kernel(page, "No Kernel")
    page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".cm-content").fill("mine = 1")
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached", timeout=10_000)

    def first_answer():
        return page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".cm-content").inner_text()

    page.goto(address_of(addresses[0], EXERCISES))
    choose_kernel(page, "No Kernel")
    page.get_by_text("mine = 1").wait_for(timeout=60_000)
    assert first_answer() == "mine = 1"
    page.get_by_role("menuitem", name="File", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Download", exact=True).click()
    stored = json.loads(download.value.path().read_text())
    assert "mine = 1" in [source(cell) for cell in stored["cells"]]
    assert stored["metadata"]["kernelspec"]["name"] == "python3"  # so that it opens in every Jupyter
    screenshot(page, "changed")

    page.locator(".jp-DirListing-item", has_text="01_pca.ipynb").click(button="right")
    page.get_by_role("menuitem", name="Delete").click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.locator(".jp-Notebook").wait_for(state="detached", timeout=10_000)
    page.goto(address_of(addresses[0], EXERCISES))
    choose_kernel(page, "No Kernel")
    page.locator(".cm-content", has_text="raise NotImplementedError").first.wait_for(state="attached", timeout=60_000)
    assert first_answer().startswith("def center(X):")
