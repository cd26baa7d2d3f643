"""One run of one test: the student's names in it, what it asks of the student's process, and what came of that."""

import contextlib
import functools
import sys
from collections.abc import Iterator

from enm5310.grading import clean, traits, verdicts
from enm5310.grading.box import Remote
from enm5310.grading.clock import OutOfTime
from enm5310.grading.masters import exercise
from enm5310.grading.proxies import Proxy
from enm5310.grading.serving import Stopped, Unavailable


class Run:
    """One run of one test: what the student's names are, what was called, what came of it."""

    def __init__(self, bench, number, position, withhold):
        self.bench, self.cell, self.position, self.withhold = bench, bench.master.cells[number], position, withhold
        self.changes, self.traits, self.stopped = set(), set(), None

    def go_there(self, children):
        """Runs the cells before the test, which have limits of their own, in so many children."""
        try:
            for child in range(children):
                self.bench.children.at(child, self.position)
        except Unavailable as why:
            self.stopped = why
            raise

    def missing(self, exercise):
        """Why one of the exercise's functions is not there, in words, or None."""
        kinds = self._look("defined", exercise.of)
        for name in exercise.of:
            if kinds[name] not in ("function", "class"):
                kind = kinds[name] and self._look("types", [name])[name]
                return self.bench.explain(exercise, name, kind, self.position)
        return None

    def prepare(self):
        """Binds the student's names, then runs what the test needs of the master's other cells."""
        bench, scope = self.bench, self.bench.scope
        imported = {name for number, at, guard in self.cell.needs for name in guard}
        kinds = self._look("defined", sorted(self.cell.remote | imported)) if self.cell.remote | imported else {}
        for name in sorted(self.cell.remote):
            scope.pop(name, None)
            if kinds[name] in ("function", "class"):
                scope[name] = Proxy(name, functools.partial(bench.ask, self._child(name)), bench.accept, scope)
            elif kinds[name] is not None:
                with contextlib.suppress(Remote):  # it cannot be sent: the name stays undefined
                    scope[name] = self._look("value", name)
                    self._look_at(name, scope[name])
        for number, at, guard in self.cell.needs:
            if not guard or all(kinds[name] is not None for name in guard):
                bench.statement(number, at)

    def _child(self, name):
        """State cannot pass from one function of an exercise to another when they live in different processes."""
        if not self.bench.separate or not self.cell.exercise:
            return 0
        return exercise(self.cell.exercise).of.index(name)

    def _look(self, what, name):
        try:
            with self.bench.clock.asking():
                return self.bench.children.look(0, self.position, what, name)
        except Unavailable as why:
            self.stopped = why
            raise

    def ask(self, child, name, args, kwargs):
        """The Reply to a call of the student's function, within the time that the test has left."""
        bench = self.bench
        if self.stopped:
            raise self.stopped
        if bench.hidden and not bench.tainted:
            bench.tainted = _called_from_hidden(bench)
        left = bench.clock.left()
        if left <= 0:
            raise OutOfTime
        try:
            with bench.clock.asking():
                reply = bench.children.ask(child, self.position, "call", name, args, kwargs, seconds=left)
        except (Stopped, Unavailable) as why:
            why.name, self.stopped = name, why
            raise
        except Remote as why:
            if why.kind in ("StopIteration", "StopAsyncIteration") and not self.cell.exercise:
                self._have(name, why.kind, f"raised {why.kind}")  # it would end list(map(f, xs)) early, without a word
            raise
        self.changes |= {(name, key) for key in reply.changed}
        if self.cell.exercise:  # a check of ours looks for itself
            return reply
        if isinstance(reply.value, Iterator):  # of ours, over plain data
            items = list(reply.value)
            self._look_at(name, items)
            return reply if type(reply.value).__name__.startswith("dict_") else reply._replace(value=iter(items))
        self._look_at(name, reply.value)
        return reply

    def _look_at(self, name, value):
        """Answers that pass a careless test, as they compare with nothing: none where the instructor's has some."""
        for trait in sorted(traits.of(value)):
            self._have(name, trait, f"gave {trait}")

    def _have(self, name, trait, told):
        """Notes what the student's name has about it; ends the test when the instructor's own never has it."""
        self.traits.add((name, trait))
        if self.cell.number is not None and (name, trait) not in self.cell.traits:
            self.stopped = Stopped(f"{told}, which the instructor's own solution never does")
            self.stopped.name = name
            raise self.stopped

    def accept(self, name, key):
        """Whether a change in place that a call made is made to the caller's argument, too."""
        return not self.withhold or (name, key) in self.cell.changes

    def verdict(self, state, score, message, outputs=None, mistake=None, number=False):
        message = clean.line(message)
        if outputs is None:
            outputs = [verdicts.error("AssertionError", message or state)]
        return verdicts.Verdict(
            state, float(score), message, outputs, mistake, number,
            meddled=bool(self.changes - self.cell.changes), changes=frozenset(self.changes),
            traits=frozenset(self.traits), stopped=self.stopped is not None,
            crashed=self.stopped is not None and self.stopped.crashed,
        )  # fmt: skip


def _called_from_hidden(bench):
    frame = sys._getframe(1)
    while frame is not None:
        if bench.is_hidden(frame.f_code.co_filename, frame.f_lineno):
            return True
        frame = frame.f_back
    return False
