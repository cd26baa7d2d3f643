"""`enm5310 watch` on a real pseudo-terminal and in a pipe, and check.progress(); every wait is for a state."""

import hashlib
import importlib
import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import psutil
import pytest
from rich.console import Console

from enm5310.checks import part1
from enm5310.practice import notebook, progress, runner, saves, watch, watching
from tests.notebooks import PARTS, exercises, reference
from tests.students import IDS, PART, STARTER, write

UNBIASED = "def covariance(X):\n    return np.cov(X, rowvar=False)"
PATIENCE = 120  # seconds, on a loaded machine
TOTAL = sum(e.max_points for e in exercises(PART))


@pytest.fixture
def home(tmp_path):
    """A course folder with the untouched first part."""
    folder = tmp_path / "Kurs für Zoë"
    write(folder / "exercises" / PART / f"{PART}.ipynb", solved=False).write_bytes(STARTER.read_bytes())
    return folder


def book(folder):
    return folder / "exercises" / PART / f"{PART}.ipynb"


# -------------------- which files were saved --------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def looked(home):
    """(look(seconds later), path): what Saves says as time goes on."""
    clock, path = Clock(), book(home)
    files = saves.Saves({path: hashlib.sha256(path.read_bytes()).hexdigest()}, clock)

    def look(later):
        clock.now += later
        return files.look()

    assert look(0) == ([], [])
    return look, path


def test_a_save_is_told_once_it_is_quiet_and_only_when_the_bytes_are_new(looked):
    look, path = looked
    write(path, {"covariance": UNBIASED})
    assert look(0.1) == ([], []) and look(0.1) == ([], []) and look(0.2) == ([path], []) and look(9) == ([], [])
    os.utime(path, ns=(1, 1))
    assert look(1) == ([], []) and look(1) == ([], [])


def test_half_a_notebook_waits_for_the_rest_and_is_told_when_none_comes(looked):
    look, path = looked
    whole = write(path, {"covariance": UNBIASED}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert look(1) == ([], []) and look(1) == ([], []) and look(1) == ([], [])
    ((), (told,)) = map(tuple, look(2))
    assert "is not a notebook: not JSON" in told and look(5) == ([], [])
    path.write_bytes(whole)
    assert look(0) == ([], []) and look(1) == ([path], [])


def test_a_deleted_notebook_is_told_and_checked_when_it_is_back_with_other_bytes(looked):
    look, path = looked
    path.unlink()
    assert look(1) == ([], [f"{path.name} was deleted or moved away"]) and look(9) == ([], [])
    path.write_bytes(STARTER.read_bytes())
    assert look(1) == ([], []) and look(1) == ([], [])
    path.unlink()
    look(1)
    write(path)
    assert look(1) == ([], []) and look(1) == ([path], [])


# -------------------- what is drawn --------------------


def drawn(state, columns, lines=24, **options):
    out = Console(file=io.StringIO(), width=columns, height=lines, force_terminal=True, color_system=None, **options)
    with out.capture() as capture:
        out.print(watching.Screen(state), height=lines, end="")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capture.get()).splitlines()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 24), (40, 8), (20, 3), (10, 1)])
def test_the_screen_fits_and_the_keys_are_never_cut_off(home, columns, lines):
    state = watch.State(home)
    (id,) = [e.id for e in exercises(PART) if e.name == "covariance"]
    state.judged[id] = state.judged[id]._replace(state="wrong", message="[red]bad\x1b[2J\x07 " + "long " * 60)
    state.current = state.first(PART)
    rows = drawn(state, columns, lines)
    assert len(rows) <= lines and max(map(len, rows)) <= columns
    text = " ".join(" ".join(rows).split())
    assert "\x1b" not in text and "\x07" not in text
    if lines >= 8:
        assert "q quit" in text and "h hint" in text and f"0 of {TOTAL} points" in text
    if lines == 24:
        assert f"{id} Covariance" in text and "wrong, 0 of 1 points" in text and "[red]bad" in text


# -------------------- on a terminal --------------------


class Terminal:
    """`enm5310 watch` on a pseudo-terminal: what it has written so far, and its keyboard."""

    def __init__(self, folder, columns=80, lines=40, **environment):
        import fcntl
        import pty
        import struct
        import termios

        self.termios, self.data = termios, b""
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.mode = termios.tcgetattr(self.theirs)
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "NBGRADER_EXECUTION")}
        env |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "enm5310", "watch"], cwd=folder, env=env,
            stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, start_new_session=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *why):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def read(self, seconds=0.1):
        while select.select([self.ours], [], [], seconds)[0]:
            self.data += os.read(self.ours, 65536)
            seconds = 0

    def wait(self, words, since=0):
        """Waits until these words were drawn, after so many bytes."""
        until = time.monotonic() + PATIENCE
        while words not in self.text(since):
            assert time.monotonic() < until and self.process.poll() is None, self.text(since)[-3000:]
            self.read()

    def text(self, since=0):
        raw = self.data[since:].decode("utf-8", "replace")
        return " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw).split())

    def press(self, key):
        since = len(self.data)
        os.write(self.ours, key)
        return since

    def resize(self, columns, lines):
        import fcntl
        import struct

        since = len(self.data)
        fcntl.ioctl(self.theirs, self.termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        return since

    def ended(self):
        """The exit code; the screen, the cursor and the terminal's mode must be as before."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < until
            self.read()
        self.read()
        for on, off in ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h")):
            assert -1 < self.data.rfind(on) < self.data.rfind(off)
        assert self.termios.tcgetattr(self.theirs) == self.mode
        return self.process.returncode


def running_in(folder):
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        if process.info["cwd"] and process.info["cwd"].startswith(str(folder)) and process.info["status"] != "zombie":
            found.append(process)
    return found


terminals = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")


@terminals
def test_a_save_is_checked_keys_give_hints_and_q_leaves_the_terminal_as_it_was(home):
    (e,) = [e for e in exercises(PART) if e.name == "covariance"]
    with Terminal(home) as t:
        t.wait("save your notebook to check it")
        assert "0 of" in t.text() and not (home / ".enm5310").exists()  # the untouched notebook is not run
        t.press(b"\x1b[A")  # an arrow key is no key of ours
        write(book(home), {"covariance": UNBIASED})
        t.wait("divided by n - 1")
        assert f"{e.id} Covariance" in t.text() and f"{TOTAL - 1} of {TOTAL} points" in t.text()
        t.wait("Not yet: the solution of", t.press(b"s"))
        t.wait("Hint 1 of 3:", t.press(b"h"))
        t.press(b"q")
        assert t.ended() == 0
        assert f"You have {TOTAL - 1} of" in t.text()
    known, note = progress.load(home)
    assert note is None and known.hints == {e.id: 1} and known.verdicts[e.id]["state"] == "wrong"
    assert running_in(home) == []


@terminals
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_interrupt_while_a_notebook_runs_ends_everything_at_once(home, how):
    with Terminal(home, columns=40, PYTHONIOENCODING="ascii") as t:
        t.wait("save your notebook")
        write(book(home), {"center": "import time\ntime.sleep(25)"})
        t.wait("checking 01_pca")
        os.killpg(t.process.pid, signal.SIGINT if how == "Ctrl-C" else signal.SIGTERM)
        assert t.ended() == 0
        assert t.data.isascii()
    until = time.monotonic() + PATIENCE
    while running_in(home):
        assert time.monotonic() < until, running_in(home)
        time.sleep(0.1)


@terminals
def test_n_goes_on_h_and_s_end_in_the_solution_and_a_checks_everything(home):
    first, second, *_, last = exercises(PART)
    heading = "{0.id} {0.title} \u25cb not attempted, 0 of {0.max_points} points"
    with Terminal(home, columns=100) as t:
        t.wait(heading.format(first))
        t.wait(heading.format(second), t.press(b"n"))
        for number in range(1, len(second.hints) + 1):
            t.wait(f"Hint {number} of {len(second.hints)}:", t.press(b"h"))
        t.wait("Solution:", since := t.press(b"s"))
        t.wait("return X.T @ X / len(X)", since)
        for _ in exercises(PART)[2:]:
            t.press(b"N")  # with Caps Lock
        t.wait(heading.format(last))
        t.wait(heading.format(exercises(PARTS[1])[0]), t.press(b"n"))  # and so into the next part
        since = t.press(b"a")
        t.wait("checking 01_pca", since)
        t.wait(f"! {PART}: 0 of {TOTAL} points: {len(exercises(PART))} not attempted", since)
        t.press(b"x")
        t.press(b"q")
        assert t.ended() == 0
    known, _ = progress.load(home)
    assert known.hints == {second.id: len(second.hints)} and len(known.verdicts) == len(exercises(PART))


@terminals
@pytest.mark.parametrize(("columns", "lines"), [(40, 12), (120, 50), (20, 3)])
def test_a_terminal_that_changes_its_size_is_filled_and_never_overrun(home, columns, lines):
    with Terminal(home) as t:
        t.wait("save your notebook to check it")
        since = t.resize(columns, lines)
        until = time.monotonic() + PATIENCE
        while t.data.count(b"\x1b[H", since) < 4:
            assert time.monotonic() < until
            t.read()
        frame = t.data.split(b"\x1b[H")[-2].decode()  # whole, and drawn after the change
        rows = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame).replace("\r", "").split("\n")
        assert len(rows) == lines and max(map(len, rows)) <= columns
        assert "q quit" in " ".join(" ".join(rows).split())
        t.press(b"q")
        assert t.ended() == 0


@terminals
def test_a_terminal_that_is_closed_ends_it_also_while_a_notebook_runs(home):
    t = Terminal(home)
    try:
        t.wait("save your notebook")
        write(book(home), {"center": "import time\ntime.sleep(60)"})
        t.wait("checking 01_pca")
    finally:
        os.close(t.theirs)
        os.close(t.ours)
    try:
        assert t.process.wait(PATIENCE) >= 0  # by itself; what it says goes nowhere
    finally:
        t.process.kill()
        t.process.wait()
    until = time.monotonic() + PATIENCE
    while running_in(home):
        assert time.monotonic() < until, running_in(home)
        time.sleep(0.1)


def test_a_pipe_that_nobody_reads_any_more_ends_it_without_a_complaint(home):
    process = subprocess.Popen([sys.executable, "-W", "error", "-m", "enm5310", "watch"], cwd=home,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert process.stdout.readline().startswith(b"watching the notebooks of ")
        process.stdout.close()  # as `| head -1` does
        book(home).unlink()
        said = process.stderr.read()
        code = process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert said == b"" and code in (0, 1, 141)
    assert running_in(home) == []


def test_in_a_pipe_there_is_one_line_per_change_and_no_control_code(home):
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen([sys.executable, "-W", "error", "-m", "enm5310", "watch"], cwd=home, env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               encoding="utf-8")  # fmt: skip
    try:
        assert process.stdout.readline().startswith("watching the notebooks of ")
        write(book(home), {"covariance": "def covariance(X):\n    raise ValueError('\\x1b[2J bad')"})
        checked = process.stdout.readline()
        assert checked.startswith(f"01_pca: {TOTAL - 1} of {TOTAL} points: ") and "raised ValueError" in checked
        book(home).unlink()
        assert process.stdout.readline() == f"{PART}.ipynb was deleted or moved away\n"
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=PATIENCE)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert rest == f"You have {TOTAL - 1} of {every()} points; `enm5310 watch` goes on from here.\n"
    assert "\x1b" not in checked


def every():
    from tests.notebooks import every_exercise

    return sum(e.max_points for e in every_exercise())


# -------------------- check.progress() --------------------


class Cells(HTMLParser):
    """The text of the table cells of a page; every element must be closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            assert tag == "td" or dict(attrs)["scope"] in ("row", "col")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.cells and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.fixture
def fresh(home, monkeypatch):
    """The first part in a notebook of the course folder, nothing checked."""
    monkeypatch.chdir(book(home).parent)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    for e in exercises(PART):
        monkeypatch.setattr(e, "verdict", None)
        monkeypatch.setattr(e, "state", None)
    return home


def test_progress_shows_what_this_kernel_checked_else_what_was_remembered(fresh):
    judged = [runner.Judged(id, "", "right", 1, 1) for id in ("1.1", "1.2")]
    progress.remember(fresh, notebook.read(book(fresh)), judged)
    before = sorted(p for p in fresh.rglob("*"))
    with pytest.raises(AssertionError):
        part1.covariance(lambda X: X.T @ X)
    panel = part1.progress()
    assert sorted(p for p in fresh.rglob("*")) == before
    shown = {r.id: (r.state, r.points) for r in panel.rows}
    assert shown == {**dict.fromkeys(IDS.values(), ("not attempted", 0)), "1.1": ("right", 1), "1.2": ("wrong", 0)}
    assert panel.next.id == "1.2" and panel.totals[PART] == (1, TOTAL)
    assert sum(most for _, most in panel.totals.values()) == every()
    part1.covariance(*reference(part1.covariance).values())
    assert part1.progress().next.id == "1.3"


def test_the_panel_says_the_same_as_text_and_as_html(fresh):
    panel = part1.progress()
    cells, text = Cells(panel._repr_html_()).cells, repr(panel)
    for r in panel.rows:
        at = cells.index(f"{r.id} {r.title}")
        assert cells[at + 1].endswith(r.state) and cells[at + 2] == f"{r.points} of {r.max_points}"
        assert re.search(rf"^{re.escape(r.id)} +○ not attempted +0/{r.max_points}  {re.escape(r.title)}$", text, re.M)
    for part, (got, most) in panel.totals.items():
        assert cells[cells.index(part) + 2] == f"{got} of {most} points"
        assert re.search(rf"^{part} +{got} of {most} points$", text, re.M)
    assert panel.goes_on == f"Next: 1.1 {part1.center.title}" and panel.goes_on in text


def test_while_a_notebook_is_graded_nothing_is_read(fresh, monkeypatch):
    progress.remember(fresh, notebook.read(book(fresh)), [runner.Judged("1.1", "", "right", 1, 1)])
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert {r.state for r in part1.progress().rows} == {"not attempted"}


@pytest.mark.parametrize("number", range(1, 9))
def test_every_part_has_it_for_itself(number, fresh):
    panel = importlib.import_module(f"enm5310.checks.part{number}").progress()
    assert panel.rows and all(r.id.startswith(f"{number}.") for r in panel.rows)


def test_a_student_s_own_cell_may_call_it_in_checks_and_in_graded_runs(home):
    path = write(book(home), {"center": "def center(X):\n    return X - X.mean(0), X.mean(0)\ncheck.progress()"})
    outcome = runner.judge_notebook(notebook.read(path))
    assert sum(j.points for j in outcome.exercises) == TOTAL and outcome.notes == ()


def test_beside_graded_code_it_is_inert():
    code = ("from enm5310.grading.inside import masks; masks.install({}); from enm5310.checks import part1 as check; "
            "print([repr(check.progress())])")  # fmt: skip
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("['']\n", "")
