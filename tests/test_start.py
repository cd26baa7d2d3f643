"""`enm5310 start`: the copy never loses an edit, and JupyterLab really starts, on loopback only, and really stops."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

import enm5310
from enm5310 import course, start
from enm5310.practice import Problem
from tests.students import call

NOTEBOOK = "exercises/01_pca/01_pca.ipynb"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -------------------- the copy --------------------


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A small course that a test may change: {name: text} in its lectures/ and exercises/."""
    root = tmp_path / "source"
    for name in (start.FIRST, NOTEBOOK, "lectures/README.md", "lectures/conf.py", "lectures/.hidden.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}, first version")
    monkeypatch.setattr(course, "folder", lambda name: root / name)
    return root


def test_the_real_course_is_copied_byte_for_byte(tmp_path):
    done = start.copy(tmp_path)
    assert {start.FIRST, NOTEBOOK} <= set(done.new) and not (done.updated or done.kept or done.outdated)
    for name in done.new:
        top, inside = name.split("/", 1)
        assert (tmp_path / name).read_bytes() == (course.folder(top) / inside).read_bytes()
    assert set(contents(tmp_path)) == {*done.new, ".enm5310/manifest.json"}
    assert "lectures/SELF_STUDY.md" in done.new and "lectures/INSTRUCTORS.md" not in done.new


def test_a_second_start_changes_nothing(source, tmp_path):
    copy = tmp_path / "copy"
    assert sorted(start.copy(copy).new) == [NOTEBOOK, "lectures/00_start_here.ipynb", "lectures/README.md"]
    before = contents(copy)
    assert start.copy(copy) == start.Copied([], [], [], [])
    assert contents(copy) == before


def test_edits_stay_and_unedited_files_follow_the_course(source, tmp_path):
    copy = tmp_path / "copy"
    start.copy(copy)
    (copy / NOTEBOOK).write_text("my answers")
    (copy / "mine.ipynb").write_text("my own notebook")
    assert start.copy(copy) == start.Copied([], [], [NOTEBOOK], [])
    for name in (NOTEBOOK, "lectures/README.md"):
        (source / name).write_text("second version")
    for _ in range(2):  # the newer version is told each time
        done = start.copy(copy)
        assert (done.kept, done.outdated) == ([NOTEBOOK], [NOTEBOOK])
    assert (copy / NOTEBOOK).read_text() == "my answers" and (copy / "mine.ipynb").read_text() == "my own notebook"
    assert (copy / "lectures/README.md").read_text() == "second version"
    os.rename(copy / NOTEBOOK, copy / "exercises/01_pca/old.ipynb")  # what the message advises
    assert start.copy(copy) == start.Copied([NOTEBOOK], [], [], [])
    assert (copy / NOTEBOOK).read_text() == "second version"
    assert (copy / "exercises/01_pca/old.ipynb").read_text() == "my answers"


@pytest.mark.parametrize("damage", ["", "{", "[1]", '"text"'])
def test_a_damaged_or_missing_manifest_loses_no_edit(source, tmp_path, damage):
    copy = tmp_path / "copy"
    start.copy(copy)
    (copy / NOTEBOOK).write_text("my answers")
    (copy / ".enm5310/manifest.json").write_text(damage)
    (source / "lectures/README.md").write_text("second version")
    done = start.copy(copy)
    assert sorted(done.kept) == [NOTEBOOK, "lectures/README.md"]  # nobody knows whether that one was edited
    assert (copy / NOTEBOOK).read_text() == "my answers"


def test_a_folder_that_was_there_before_is_not_overwritten(source, tmp_path):
    copy = tmp_path / "copy"
    (copy / NOTEBOOK).parent.mkdir(parents=True)
    (copy / NOTEBOOK).write_text("my answers from last year")
    assert start.copy(copy).kept == start.copy(copy).kept == [NOTEBOOK]
    assert (copy / NOTEBOOK).read_text() == "my answers from last year"


def test_where_the_copy_goes(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start.folder_here() == tmp_path / "enm5310-course"
    start.copy(tmp_path / "enm5310-course")
    monkeypatch.chdir(tmp_path / "enm5310-course" / "exercises")
    assert start.folder_here() == tmp_path / "enm5310-course"  # and no course within the course


def test_what_cannot_be_done_is_one_line(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Problem, match="choose another folder with --dir"):
        start.copy(tmp_path / "file")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Problem, match=f"port {port} cannot be used"):
            start.free_port(port)
        assert start.free_port(first=port) > port
    assert start.free_port(port) == port
    monkeypatch.setattr(start.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem, match=r"pip install 'enm5310\[lab\]'"):
        start.launch(tmp_path, port)


def test_a_read_only_package_gives_a_copy_that_can_be_edited(tmp_path):
    """An installed package as a wheel makes it, course inside, nothing writable."""
    package = tmp_path / "site" / "enm5310"
    shutil.copytree(Path(enm5310.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "_course"))
    for name in ("lectures", "exercises", "solutions"):
        shutil.copytree(course.folder(name), package / "_course" / name)
    for path in [*package.rglob("*"), package]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        copying = "from enm5310 import course, start; start.copy('copy'); print(course.folder('lectures'))"
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        run = subprocess.run([sys.executable, "-c", copying], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert run.stderr == "" and str(package) in run.stdout
        assert contents(tmp_path / "copy")[NOTEBOOK] == (package / "_course" / NOTEBOOK).read_bytes()
        for path in (tmp_path / "copy").rglob("*"):
            assert path.stat().st_mode & 0o200, f"{path} is read-only"
        release = call("release", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
        assert release.returncode == 2 and "release works in a clone" in release.stderr
    finally:
        for path in [package, *package.rglob("*")]:
            path.chmod(0o755)


# -------------------- JupyterLab --------------------


class Started:
    """`enm5310 start --no-browser` as a process; ``url`` once it has printed one."""

    def __init__(self, cwd, *options):
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "JUPYTER_RUNTIME_DIR": str(cwd / "runtime")}
        command = [sys.executable, "-W", "error", "-m", "enm5310", "start", "--no-browser", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(command, cwd=cwd, env=env, **pipes)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if line.startswith("Stop it"):
                break
        self.url = next((line.split()[-1] for line in self.lines if "http" in line), None)
        self.servers = psutil.Process(self.process.pid).children() if self.url else []

    def get(self, path, token=True):
        base, secret = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/.*token=(\w+)", self.url).groups()
        headers = {"Authorization": f"token {secret}"} if token else {}
        with urllib.request.urlopen(urllib.request.Request(base + path, headers=headers), timeout=30) as answer:
            return answer.read().decode()

    def stop(self, number):
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest.split("\n")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a home with spaces")
    started = Started(folder)
    assert started.url, started.lines
    yield folder, started
    if started.process.poll() is None:
        started.stop(signal.SIGINT)


def test_it_answers_at_the_printed_address_and_serves_the_first_lecture(lab):
    folder, started = lab
    assert started.lines[0] == f"The course is in {(folder / 'enm5310-course').resolve()}"
    assert len(started.lines) == 4, "nothing alarming is printed"
    assert "/lab/tree/lectures/00_start_here.ipynb?token=" in started.url
    page = started.get("/lab/tree/lectures/00_start_here.ipynb")
    assert "JupyterLab" in page
    served = json.loads(started.get("/api/contents/lectures/00_start_here.ipynb"))
    on_disk = json.loads((folder / "enm5310-course" / start.FIRST).read_text(encoding="utf-8"))
    assert [c["source"] for c in served["content"]["cells"]] == ["".join(c["source"]) for c in on_disk["cells"]]


def test_only_this_machine_and_only_with_the_token(lab):
    _, started = lab
    (server,) = started.servers
    assert {c.laddr.ip for c in server.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert not any("token" in word for word in server.cmdline())
    with pytest.raises(urllib.error.HTTPError) as refused:
        started.get("/api/contents", token=False)
    assert refused.value.code == 403
    refused.value.close()


def test_it_asks_nothing_about_news_and_looks_up_no_versions(lab):
    _, started = lab
    settings = json.loads(started.get("/lab/api/settings/@jupyterlab/apputils-extension:notification"))
    defaults = {name: p.get("default") for name, p in settings["schema"]["properties"].items()}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False


def test_a_taken_port_is_one_line_or_the_next_one(lab):
    folder, started = lab
    port = started.url.split(":")[2].split("/")[0]
    second = call("start", "--no-browser", "--port", port, "--dir", folder / "other", cwd=folder)
    assert second.returncode == 2 and second.stdout == ""
    assert second.stderr.startswith(f"enm5310: port {port} cannot be used") and second.stderr.count("\n") == 1
    assert not (folder / "other").exists()


def test_ctrl_c_ends_it_cleanly_and_a_second_start_keeps_the_edit(lab):
    folder, started = lab
    (server,) = started.servers
    mine = folder / "enm5310-course" / NOTEBOOK
    document = json.loads(mine.read_text(encoding="utf-8"))
    document["cells"][0]["source"] = "my notes"
    mine.write_text(json.dumps(document), encoding="utf-8")
    edited = mine.read_bytes()
    code, rest = started.stop(signal.SIGINT)
    assert code == 0 and rest[1] == "Stopping JupyterLab; your files stay where they are."
    assert not server.is_running()
    again = Started(folder)
    code, _ = again.stop(signal.SIGTERM)  # as a closing terminal or a supervisor does
    assert code == 0 and "Files: 1 kept as you edited them" in again.lines
    assert not any(s.is_running() for s in again.servers)
    assert mine.read_bytes() == edited


def test_a_server_that_ends_at_once_is_told_with_its_reason(tmp_path):
    start.copy(tmp_path)
    lab = start.launch(tmp_path, start.free_port(first=9100), browser=False)
    lab.process.kill()
    lab.process.wait()
    lab.log.write_text("first\nOSError: no space left\n\n")
    begun = time.monotonic()
    with pytest.raises(Problem, match="JupyterLab did not start: OSError: no space left"):
        start.wait(lab)
    assert time.monotonic() - begun < 5
    start.stop(lab)
