"""``enm5310 watch``: checks a notebook whenever it is saved, and shows where you are, until q.

``saves`` says which, ``background`` runs ``enm5310 check``, which keeps the progress; here is the loop, and the state
that ``watching`` draws.
"""

import contextlib
import hashlib
import sys
import time

from rich.console import Console
from rich.live import Live

from enm5310 import course
from enm5310.practice import Problem, background, checking, keys, places, plan, progress, runner, saves, screens
from enm5310.practice.watching import Screen, farewell, summary

TICK = 0.2  # seconds between two looks at the files


def watch():
    """Watches the notebooks of the course folder the terminal is in; returns the exit code 0 when asked to end."""
    from enm5310 import start

    places.asked(None)  # a Problem when there is nothing to watch
    state = State(places.here())
    out = Console(highlight=False)  # no width of its own: it follows the terminal's
    with start.ended_by_signals(), contextlib.ExitStack() as stack:
        stack.callback(state.end)
        try:
            if screens.plain(out) or not sys.stdin.isatty():
                _lines(state, stack)
            else:
                _screen(state, out, stack)
        except KeyboardInterrupt:
            pass
    print(farewell(state), flush=True)
    return 0


def _lines(state, stack):
    """Without a terminal: one line for each change."""
    print(f"watching the notebooks of {places.shown(state.folder)}; Ctrl-C ends it", flush=True)
    while True:
        for line in state.step():
            print(line, flush=True)
        time.sleep(TICK)


def _screen(state, out, stack):
    wait = stack.enter_context(keys.pressed())
    live = stack.enter_context(Live(console=out, screen=True, auto_refresh=False, redirect_stdout=False,
                                    redirect_stderr=False))  # fmt: skip
    while True:
        state.step()
        live.update(Screen(state), refresh=True)
        key = wait(TICK)
        if key in ("q", keys.GONE):
            return
        if key in state.keys:
            state.keys[key]()


class State:
    """What is known of the exercises, which one is looked at, what is checked now and what has to be."""

    def __init__(self, folder):
        known, note = progress.load(folder)
        self.folder, self.note, self.text = folder, note, None  # text: (heading, Markdown) of a hint or solution
        self.exercises = {part: plan.exercises(part) for part in plan.parts()}
        self.judged = {e.id: checking.as_known(e, known.verdicts.get(e.id)) for e in self.all()}
        self.paths = {folder / "exercises" / part / f"{part}.ipynb": part for part in self.exercises}
        self.saves = saves.Saves({path: _known(path, folder, known) for path in self.paths})
        self.waiting, self.check = [], None  # paths to check; the Check that runs
        self.part = next((part for part in self.exercises if self.todo(part)), next(iter(self.exercises)))
        self.current = self.first(self.part)
        self.keys = {"h": self.hint, "s": self.solution, "n": self.next, "a": self.check_all}

    def all(self):
        return [e for part in self.exercises.values() for e in part]

    def todo(self, part):
        return [e for e in self.exercises[part] if self.judged[e.id].state != "right"]

    def first(self, part):
        """The first exercise that fails, else the first that is left, else the last one."""
        amiss = [e for e in self.todo(part) if self.judged[e.id].state != "not attempted"]
        return (amiss or self.todo(part) or self.exercises[part][-1:])[0]

    # -------------------- as time goes on --------------------

    def step(self):
        """Looks at the files, starts and finishes checks; returns a line for each thing that has changed."""
        news = self.saves.look()
        lines = [runner.line(told) for told in news.told]
        self.waiting += [path for path in news.saved if path not in self.waiting]
        if self.check is not None and (came := self.check.poll()) is not None:
            lines.append(self.finished(self.paths[self.check.path], *came))
            self.check = None
        if self.check is None and self.waiting:
            self.check = background.Check(self.waiting.pop(0))
        if lines:
            self.note = lines[-1]
        return lines

    def finished(self, part, verdicts, problem):
        """Takes over the verdicts on a part: the line that tells them."""
        before = dict(self.judged)
        for v in verdicts:
            if v["id"] in self.judged:
                told = {name: v[name] for name in ("state", "points", "max_points", "message", "mistake")}
                self.judged[v["id"]] = self.judged[v["id"]]._replace(**told)
        if problem:
            return runner.line(f"{part}: {problem}")
        changed = [id for id, j in self.judged.items() if before[id].state != j.state]
        if part != self.part or self.judged[self.current.id].state == "right" or self.current.id in changed:
            self.part, self.current, self.text = part, self.first(part), None
        return runner.line(f"{part}: {summary(self, part)}")

    def end(self):
        if self.check is not None:
            self.check.end()

    # -------------------- keys --------------------

    def next(self):
        """The next exercise that is not right, of this part and then of the others."""
        order = self.all()
        at = order.index(self.current) + 1
        left = [e for e in order[at:] + order[:at] if self.judged[e.id].state != "right"]
        if left:
            self.current, self.text = left[0], None
            self.part = course.part_of(self.current.id)

    def hint(self):
        number, _, notes = checking.take_hint(self.folder, self.current)
        self.text = f"Hint {number} of {len(self.current.hints)}", self.current.hints[number - 1]
        self.note = notes[-1] if notes else self.note

    def solution(self):
        try:
            worked, _ = checking.open_solution(self.folder, self.current)
            self.text = "Solution", f"```python\n{worked}\n```"
        except Problem as problem:
            self.text = "Not yet", str(problem)

    def check_all(self):
        self.waiting += [path for path in self.paths if path.is_file() and path not in self.waiting]


def _known(path, folder, known):
    """The SHA-256 of a notebook when it was checked; before that, of the released one, which needs no check."""
    inside = path.relative_to(folder).as_posix()
    try:
        released = (course.folder("exercises") / path.parent.name / path.name).read_bytes()
    except OSError:
        released = b""
    return known.notebooks.get(inside, hashlib.sha256(released).hexdigest())
