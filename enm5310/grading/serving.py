"""The children of one submission: each runs the notebook's cells up to where it is asked, and answers calls there.

A child that hangs, crashes or floods is replaced by a fresh one, in which the cells run again without the guilty one;
whoever asked is told, and all others go on.
"""

import contextlib
import time
from typing import NamedTuple

from enm5310.grading import integrity
from enm5310.grading.box import Died
from enm5310.practice import Problem

SHOW = -1  # the child that is shown and talked about when tests are hidden: it never sees what a test hands over
ROOM = 32 * 2**20  # characters of outputs that are kept of one notebook


class Stopped(BaseException):
    """The student's process ended, or its time did, while it was asked; no test can catch it as an Exception."""

    name = None  # of the function that was asked
    crashed = False  # the process ended by itself: it may have been another cell's doing


class Unavailable(BaseException):
    """The sandbox gives no child any more: nobody's fault here, and nobody's verdict."""


class Fate(NamedTuple):
    """What became of a cell that stopped."""

    kind: str  # the exception's class, or "" when it took its process with it
    words: str
    fatal: bool


class Children:
    """The children of one notebook, made when they are needed; a context manager."""

    def __init__(self, box, sources, limits, files=None, masks=None, hidden=False):
        self.box, self.sources, self.limits = box, sources, limits  # sources: one per cell, None for what is not run
        self.hidden, self.room = hidden, ROOM
        self.files, self.masks = files or {}, masks or {}
        self.until = time.monotonic() + limits.total
        self.fates, self.shown, self.memory = {}, {}, 0  # memory: the most that is known, in bytes
        self.deaths = {True: 0, False: 0}  # of the child for show, of the others
        self._here, self._done = {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *why):
        for number in list(self._here):
            self.close(number)

    def close(self, number):
        """Ends a child; asking for it again makes a new one."""
        student = self._here.pop(number, None)
        self._done.pop(number, None)
        if student is not None:
            self.memory = max(self.memory, student.memory)
            with contextlib.suppress(Exception):
                student.close()

    # -------------------- asking --------------------

    def at(self, number, position):
        """The child of this number, alive, after the cells before the position; Stopped when that cannot be had."""
        while True:
            self._may_go_on(number)
            if self._done.get(number, 0) > position:  # it has seen later cells: copies of a test lead back
                self.close(number)
            if number not in self._here:
                self._here[number], self._done[number] = self._student(), 0
            try:
                self._run(number, position)
                return self._here[number]
            except Died:
                continue

    def ask(self, number, position, what, *args, seconds, **kwargs):
        """student.what(*args) in that child, within so many seconds; Stopped(why) when it dies over it."""
        student = self.at(number, position)
        try:
            return getattr(student, what)(*args, seconds=min(seconds, self._left()), **kwargs)
        except Died as why:
            raise self._stopped(number, why) from None

    def look(self, number, position, what, *args):
        """As ask, for the two questions that run none of the student's code."""
        student = self.at(number, position)
        try:
            return getattr(student, what)(*args)
        except Died as why:
            raise self._stopped(number, why) from None

    # -------------------- running --------------------

    def _run(self, number, position):
        student = self._here[number]
        while self._done[number] < position:
            at = self._done[number]
            source = self.sources[at]
            dead = at in self.fates and self.fates[at].fatal
            if source is not None and source.strip() and not dead:
                self._may_go_on(number)
                try:
                    ran = student.cell(source, seconds=min(self.limits.seconds, self._left()))
                    rest = _after_input(source, ran.error)
                    if rest:  # nobody answers it, but what the cell defines further down shall be there
                        student.cell(rest, seconds=min(self.limits.seconds, self._left()))
                except Died as why:
                    self._lost(number)
                    self.fates[at] = Fate("", self._told(number, why), True)
                    raise
                self._remember(number, at, ran)
            self._done[number] = at + 1

    def _remember(self, number, at, ran):
        if self.hidden and number != SHOW:
            return
        if at not in self.shown:
            self.room -= sum(map(_size, ran.outputs))
            self.shown[at] = ran.outputs if self.room >= 0 else [TOO_MUCH] * bool(ran.outputs)
        if ran.error is not None and at not in self.fates:
            self.fates[at] = Fate(ran.error.kind, words(ran.error), False)

    def _student(self):
        """A new child.  The machine may be short of something for a moment, so it is tried again."""
        for pause in (0.2, 1.0, None):
            try:
                return self.box.student(self.files, self.masks)
            except (Died, Problem) as why:
                if pause is None:
                    raise Unavailable(str(why)) from None
                time.sleep(pause)

    def _stopped(self, number, died):
        self._lost(number)
        made = Stopped(self._told(number, died))
        made.crashed = not str(died).startswith("did not finish")
        return made

    def _told(self, number, died):
        """Why a child died; of one that may have seen hidden tests only whether it was late."""
        told = str(died)
        shown = not self.hidden or number == SHOW or told.startswith("did not finish")
        return told if shown else "ended its process"

    def _lost(self, number):
        self.close(number)
        self.deaths[number == SHOW] += 1

    def _left(self):
        return max(0.05, self.until - time.monotonic())

    def _may_go_on(self, number):
        if self.deaths[number == SHOW] >= self.limits.fatal:
            raise Stopped(f"not reached: {self.limits.fatal} steps of this notebook hung or crashed; mend those first")
        if time.monotonic() >= self.until:
            raise Stopped(f"not reached: the notebook had used up its {self.limits.total:g} s")


TOO_MUCH = {"output_type": "stream", "name": "stdout", "text": "... outputs of this notebook are not shown any more\n"}


def _size(output):
    return sum(len(value) for value in (output.get("text", ""), *output.get("data", {}).values())) + 100


def _after_input(source, error):
    """The rest of a cell below the statement whose input() stopped it, on its own lines; else None."""
    if error is None or error.kind != "StdinNotImplementedError" or error.where is None:
        return None
    line, shown = error.where
    lines = source.split("\n")
    if not (line <= len(lines) and "input" in shown and lines[line - 1].strip().startswith(shown[:40])):
        return None  # the line of another cell's function
    tree = integrity.parsed(source)
    ends = [node.end_lineno for node in tree.body if node.lineno <= line <= node.end_lineno] if tree else []
    return "\n" * ends[0] + "\n".join(lines[ends[0] :]) if ends else None


def words(remote):
    """An exception of the student's in one line: "ValueError: too bad (line 3)"."""
    text = (remote.message or "").strip().partition("\n")[0][:300]
    line = remote.where[0] if remote.where else None
    return remote.kind + f": {text}" * bool(text) + f" (line {line})" * bool(line)
