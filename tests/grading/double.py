"""A stand-in for box.Box in this process, for tests of what is done with its answers: trusted code only, no walls."""

import contextlib
import copy
import io
import sys
import traceback

import numpy as np

from enm5310.grading.box import Died, Limits, Ran, Remote, Reply
from enm5310.grading.sandbox import Level


class Box:
    """deadly: a cell or function whose source or name contains this text ends the student's process."""

    def __init__(self, limits=Limits(), deadly=None):  # noqa: B008 - immutable
        self.level, self.limits, self.deadly, self.made = Level("none", ()), limits, deadly, 0

    def student(self, files=None, masks=None):
        self.made += 1
        return Student(self.deadly)


class Student:
    memory = 0

    def __init__(self, deadly):
        self.scope, self.deadly, self.dead = {"__name__": "__main__"}, deadly, False

    def close(self):
        self.dead = True

    def cell(self, source, seconds=None):
        self._alive(source)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            error = self._run(source)
        text = printed.getvalue()
        return Ran([{"output_type": "stream", "name": "stdout", "text": text}] if text else [], error)

    def _run(self, source):
        try:
            exec(compile(source, "<cell>", "exec"), self.scope)
        except Exception as why:
            return _remote(why)

    def call(self, name, args=(), kwargs=None, seconds=None):
        self._alive(name)
        given = copy.deepcopy({**dict(enumerate(args)), **(kwargs or {})})
        before, printed = copy.deepcopy(given), io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                value = self.scope[name](*(given[i] for i in range(len(args))), **{k: given[k] for k in kwargs or {}})
            except Exception as why:
                raise _remote(why) from None
        changed = {key: x for key, x in given.items() if not np.array_equal(np.asarray(x), np.asarray(before[key]))}
        text = printed.getvalue()
        return Reply(value, changed, [{"output_type": "stream", "name": "stdout", "text": text}] if text else [])

    def defined(self, names):
        self._alive("")
        kinds = {}
        for name in names:
            x = self.scope.get(name)
            kinds[name] = None if name not in self.scope else "class" if isinstance(x, type) else "data"
            if callable(x) and not isinstance(x, type):
                kinds[name] = "function"
            elif type(x) is type(sys):
                kinds[name] = "module"
        return kinds

    def types(self, names):
        return {name: type(self.scope[name]).__name__ if name in self.scope else None for name in names}

    def value(self, name):
        return copy.deepcopy(self.scope[name])

    def _alive(self, what):
        if self.dead or (self.deadly and self.deadly in what):
            self.dead = True
            raise Died("ended its process (exit code 3)")


def _remote(why):
    bases = tuple(c.__name__ for c in type(why).__mro__ if c.__module__ == "builtins")
    frames = [f for f in traceback.extract_tb(why.__traceback__) if f.filename == "<cell>"]
    return Remote(type(why).__name__, bases, str(why), (frames[-1].lineno, "a line") if frames else None)
