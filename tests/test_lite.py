"""What the notebooks in the browser stand on: the library without what a browser lacks, our wheels, our lock file."""

import base64
import csv
import hashlib
import importlib.metadata
import json
import subprocess
import sys
import zipfile

import pytest

from tests.notebooks import PARTS, ROOT, cells

SITE = ROOT / "lectures" / "_site"


@pytest.fixture(scope="module")
def lite():
    """lectures/_site/lite.py, imported as the build of the site does it."""
    sys.path.insert(0, str(SITE))
    try:
        import lite

        return lite
    finally:
        sys.path.remove(str(SITE))


# -------------------- without what a browser lacks --------------------

NOT_FOR_NOTEBOOKS = (
    *("enm5310.__main__", "enm5310.cli", "enm5310.grading", "enm5310.reporting", "enm5310.datasets.build"),
    *(f"enm5310.practice.{name}" for name in ("checking", "screens", "watch", "watching")),
)


def without(*notebooks):
    """What tests/browserless.py tells of a Python that lacks what a browser's lacks."""
    command = [sys.executable, "-W", "error", "-m", "tests.browserless", *map(str, notebooks)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def solutions(part):
    return ROOT / "solutions" / part / f"{part}.ipynb"


def test_part_1_is_solved_without_what_a_browser_lacks_and_only_the_command_line_misses_it():
    told = without(solutions("01_pca"))
    assert told["cells"] == [sum(c["cell_type"] == "code" for c in cells(solutions("01_pca")))]
    assert told["missing"]["enm5310.cli"] == "typer"  # so the modules are indeed missing
    assert {"rich", "resource", "fcntl"} <= set(told["missing"].values())
    assert [name for name in told["missing"] if not name.startswith(NOT_FOR_NOTEBOOKS)] == []


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS[1:])
def test_every_part_is_solved_without_what_a_browser_lacks(part):
    assert without(solutions(part))["cells"] == [sum(c["cell_type"] == "code" for c in cells(solutions(part)))]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "lectures").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_lecture_runs_without_what_a_browser_lacks(path):
    assert without(path)["cells"] == [sum(c["cell_type"] == "code" for c in cells(path))]


def test_a_notebook_that_starts_a_process_or_a_thread_would_be_noticed(tmp_path):
    for source in ("import subprocess; subprocess.run(['true'])", "import multiprocessing",
                   "import threading; threading.Thread(target=print).start()"):  # fmt: skip
        path = tmp_path / "notebook.ipynb"
        path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": [source]}]}))
        with pytest.raises(AssertionError, match=r"Function not implemented|No module|new thread"):
            without(path)


# -------------------- wheels --------------------


def test_a_repacked_wheel_is_what_is_installed(lite, tmp_path):
    wheel = lite.repack("autograd", tmp_path)
    installed = importlib.metadata.distribution("autograd")
    code = {str(f): f.read_binary() for f in installed.files if f.suffix == ".py"}
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert wheel.name == f"autograd-{installed.version}-py3-none-any.whl"
    assert {name: data for name, data in inside.items() if name.endswith(".py")} == code
    (record,) = [name for name in inside if name.endswith("/RECORD")]
    rows = {path: (sha, size) for path, sha, size in csv.reader(inside[record].decode().splitlines())}
    assert rows.keys() == inside.keys() and rows[record] == ("", "")
    for name, data in inside.items():
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert rows[name] == (f"sha256={digest}", str(len(data)))


def test_a_repacked_wheel_installs_and_has_the_same_bytes_each_time(lite, tmp_path):
    wheel = lite.repack("autograd", tmp_path)
    first = wheel.read_bytes()
    assert lite.repack("autograd", tmp_path).read_bytes() == first
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", tmp_path / "there"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    assert (tmp_path / "there" / "autograd" / "numpy" / "__init__.py").is_file()


def test_folders_are_taken_out_of_a_wheel_and_its_list(lite, tmp_path):
    wheel = lite.repack("autograd", tmp_path)
    whole = wheel.stat().st_size
    lite.slim(wheel, "autograd/scipy/")
    with zipfile.ZipFile(wheel) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith("/RECORD")]
        listed = [path for path, *_ in csv.reader(archive.read(record).decode().splitlines())]
        assert sorted(listed) == sorted(archive.namelist()) and archive.testzip() is None
    assert "autograd/core.py" in listed and not [name for name in listed if name.startswith("autograd/scipy/")]
    assert wheel.stat().st_size < whole


def test_what_cannot_be_repacked_is_said(lite, tmp_path):
    with pytest.raises(ValueError, match="numpy is not pure Python here"):
        lite.repack("numpy", tmp_path)
    with pytest.raises(ValueError, match="no-such-package is not installed"):
        lite.repack("no-such-package", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_entry_of_a_wheel(lite, tmp_path):
    wheel = lite.repack("autograd", tmp_path)
    entry = lite.describe(wheel)
    assert entry["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (entry["name"], entry["file_name"]) == ("autograd", wheel.name)
    assert (entry["imports"], entry["depends"]) == (["autograd"], ["numpy"])  # not scipy, which is an extra


# -------------------- the lock file --------------------


def test_the_kept_part_of_pyodides_lock_file_has_all_that_is_needed(lite):
    kept = json.loads(lite.PIN.read_text())
    own = {"autograd", "comm", "enm5310", "ipykernel", "piplite", "pyodide-kernel"}
    assert set(lite.KERNEL + lite.MATHS) - own <= kept["packages"].keys()
    assert {name for entry in kept["packages"].values() for name in entry["depends"]} <= kept["packages"].keys()
    assert not own & kept["packages"].keys()
    assert lite.trimmed(kept)["packages"] == kept["packages"]  # and nothing else
    assert kept["info"]["arch"] == "wasm32"


def package(name, *depends):
    return {"name": name, "version": "1", "file_name": f"{name}-1-py3-none-any.whl", "depends": list(depends),
            "sha256": hashlib.sha256(name.encode()).hexdigest(), "imports": [name]}  # fmt: skip


@pytest.fixture
def release(lite, tmp_path, monkeypatch):
    """A made-up Pyodide release in a folder, pinned."""
    names = {"numpy": [], "micropip": ["Some_Thing"], "some-thing": [], "unrelated": []}
    lock = {"info": {"arch": "wasm32"}, "packages": {name: package(name, *needs) for name, needs in names.items()}}
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "pyodide-lock.json").write_text(json.dumps(lock))
    for name in lite.RUNTIME:
        (folder / name).write_text(name)
    for name, entry in lock["packages"].items():
        (folder / entry["file_name"]).write_text(name)
    monkeypatch.setattr(lite, "PIN", tmp_path / "pyodide-lock.json")
    monkeypatch.setattr(lite, "_wanted", lambda: "1.2.3")
    lite.pin(folder)
    return folder


def test_a_release_is_pinned_by_what_the_course_needs_of_it(lite, release, monkeypatch):
    pinned = lite._pinned()
    assert list(pinned["packages"]) == ["micropip", "numpy", "some-thing"]  # with what they need, and nothing else
    assert pinned["packages"]["micropip"]["depends"] == ["some-thing"]
    monkeypatch.setattr(lite, "_wanted", lambda: "1.2.4")
    with pytest.raises(lite.Failed, match=r"wants Pyodide 1\.2\.4, .* is of 1\.2\.3: rewrite it with --pin"):
        lite._pinned()


def test_a_release_becomes_part_of_the_site(lite, release, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    lite.take(release, lite._pinned(), home)
    wheels = [f"{name}-1-py3-none-any.whl" for name in ("micropip", "numpy", "some-thing")]
    assert sorted(p.name for p in home.iterdir()) == sorted([*lite.RUNTIME, *wheels])
    assert lite.lock(lite._pinned(), "", [])["packages"]["numpy"]["file_name"] == "numpy-1-py3-none-any.whl"


def test_a_release_that_is_not_the_pinned_one_is_refused(lite, release, tmp_path):
    pinned, home = lite._pinned(), tmp_path / "home"
    home.mkdir()
    wheel = release / "numpy-1-py3-none-any.whl"
    wheel.write_text("another NumPy")
    with pytest.raises(lite.Failed, match="is not the pinned file"):
        lite.take(release, pinned, home)
    wheel.unlink()
    with pytest.raises(lite.Failed, match="unpack the whole release"):
        lite.take(release, pinned, home)
    (release / "pyodide-lock.json").write_text(json.dumps({"info": {}, "packages": {"numpy": package("numpy")}}))
    with pytest.raises(lite.Failed, match="has other packages"):
        lite.take(release, pinned, home)
    (release / "pyodide-lock.json").unlink()
    with pytest.raises(lite.Failed, match="no unpacked Pyodide release"):
        lite.take(release, pinned, home)


def test_our_wheels_join_the_lock_file_and_need_only_what_is_in_it(lite, release, tmp_path):
    wheel = lite.repack("autograd", tmp_path)
    made = lite.lock(lite._pinned(), "https://cdn.example/full/", [wheel])
    assert list(made["packages"]) == ["autograd", "micropip", "numpy", "some-thing"]
    assert made["packages"]["numpy"]["file_name"] == "https://cdn.example/full/numpy-1-py3-none-any.whl"
    assert made["packages"]["autograd"]["file_name"] == wheel.name  # beside the lock file
    assert made["packages"]["autograd"]["depends"] == ["numpy"]
    assert {"arch": "wasm32"} == made["info"]
