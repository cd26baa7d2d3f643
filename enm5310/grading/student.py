"""A Student: one process with a notebook's namespace in it, and what may be asked of it.

Nothing that comes back is believed beyond its form: frames are plain data, outputs are of known types and sizes, and
bytes that nobody asked for end the student.
"""

import os
import secrets
import time
from typing import NamedTuple

from enm5310.grading import outputs
from enm5310.grading.inside import wire
from enm5310.grading.sending import Sender


class Limits(NamedTuple):
    seconds: float = 30.0  # wall time, of a cell and of the calls of one test
    slow: float = 120.0  # the same, where something is trained
    cpu: float | None = 900.0  # seconds of processor time in all
    memory: int = 2 * 2**30  # bytes
    output: int = 2**20  # bytes of text that a cell may print
    file: int = 64 * 2**20  # bytes of one file
    disk: int = 128 * 2**20  # bytes of all files
    frame: int = 64 * 2**20  # bytes of one message
    start: float = 60.0  # seconds until a zygote is ready
    total: float = 900.0  # seconds for a notebook
    fatal: int = 12  # cells and calls that may kill their process before a notebook is given up
    threads: int = 2048  # started in all
    files: int | None = 128  # open at once


class Died(Exception):
    """The student's process is gone; the message says why, as the end of a sentence that starts "its cell ..."."""


class Remote(Exception):
    """An exception of the student's code."""

    def __init__(self, kind, bases, message, where):
        super().__init__(kind if message in (None, "") else f"{kind}: {message}")
        self.kind, self.bases, self.message = kind, bases, message  # message: None when str() of it fails
        self.where = where  # (line number, line) of the student's own code, or None


class Oversized(Remote):
    """The answer, or what was done to an argument, is too large to be sent."""


class Ran(NamedTuple):
    outputs: list  # of nbformat-4 output dicts
    error: Remote | None


class Reply(NamedTuple):
    value: object
    changed: dict  # position or keyword -> new value, of the arguments that the call changed in place
    outputs: list


class Student:
    """Talks to one process over a ``line`` (see box.py, piped.py).  After ``Died`` every further request raises it."""

    def __init__(self, line, limits, files, setup, private=None):
        self.limits, self.dead, self.memory = limits, None, 0  # memory: the most it used, in bytes, once it has ended
        self._line, self._number = line, 0
        self._private = private  # a scratch.Folder of this machine that it works in, or None
        self._ask("setup", limits.start, files=files, memory=limits.memory, **setup)

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()

    def close(self):
        self.kill()
        if self._private is not None:
            self._private.cleanup()
            self._private = None

    def kill(self, why="was ended"):
        """Ends the process with all it has started."""
        if self.dead is None:
            self.dead = why
        self.memory = max(self.memory, self._line.close())

    # -------------------- requests --------------------

    def cell(self, source, seconds=None):
        """Runs a cell as a notebook does."""
        answer = self._ask("cell", seconds, source=source)
        return Ran(answer["outputs"], answer["error"])

    def call(self, name, args=(), kwargs=None, seconds=None):
        """Calls a function of the notebook; raises its exception as Remote."""
        answer = self._ask("call", seconds, name=name, args=tuple(args), kwargs=dict(kwargs or {}))
        if answer["error"] is not None:
            raise answer["error"]
        return Reply(answer["value"], answer["changed"], answer["outputs"])

    def defined(self, names):
        """{name: "function", "class", "data", another type's name, or None when there is no such name}."""
        return self._about("defined", names)

    def types(self, names):
        """{name: the name of its type, or None when there is no such name}."""
        return self._about("types", names)

    def value(self, name):
        """A variable of the notebook; Remote NameError when there is none."""
        answer = self._ask("value", None, name=name)
        if answer["error"] is not None:
            raise answer["error"]
        return answer["value"]

    def _about(self, what, names):
        value = self._ask(what, None, names=list(names))["value"]
        if not isinstance(value, dict) or not all(v is None or isinstance(v, str) for v in value.values()):
            self._broken("an answer of the wrong form")
        return {name: value.get(name) for name in names}

    # -------------------- the protocol --------------------

    def _ask(self, do, seconds, **what):
        if self.dead is not None:
            raise Died(self.dead)
        seconds = self.limits.seconds if seconds is None else seconds
        deadline, nonce = time.monotonic() + seconds, secrets.token_bytes(16)
        self._number += 1
        frame = wire.pack({"nonce": nonce, "number": self._number, "do": do, **what}, Sender(), self.limits.frame)
        self._tick()
        if not self._line.idle():
            self._over() if self._line.ended() else self._broken("it sent what nobody had asked for")
        try:
            self._line.send(frame, deadline, self._tick)
            answer = wire.unpack(self._line.receive(deadline, self._tick))
        except TimeoutError:
            self._die(f"did not finish within {seconds:g} s")
        except wire.Closed:
            self._over()
        except wire.Broken as why:
            self._broken(str(why))
        return self._checked(answer, nonce)

    def _checked(self, answer, nonce):
        """The answer, its exception and its outputs rebuilt; ends the student when it is not one to the question."""
        if not isinstance(answer, dict) or not answer.keys() <= ANSWER or answer.get("number") != self._number \
                or type(answer.get("nonce")) is not bytes or not secrets.compare_digest(answer["nonce"], nonce):
            self._broken("an answer to another question")
        try:
            shown = outputs.rebuilt(answer.get("outputs"), self.limits.output)
            changed, error = answer.get("changed", {}), _remote(answer.get("error"))
            if not isinstance(changed, dict):
                raise ValueError("changes of the wrong form")
        except (ValueError, TypeError, KeyError, RecursionError) as why:
            self._broken(str(why))
        return {"value": answer.get("value"), "changed": changed, "outputs": shown, "error": error}

    def _tick(self):
        """Every half second of waiting: a folder of this machine has no size of its own that would hold."""
        if self._private is not None and _size_of(self._private.name, self.limits.disk) > self.limits.disk:
            self._die(f"wrote more than {self.limits.disk / 2**20:g} MiB of files")

    def _die(self, why):
        self.kill(why)
        raise Died(why)

    def _broken(self, why):
        self._die(f"broke the protocol: {why[:200]}")

    def _over(self):
        """The channel has closed: why, as the line tells it."""
        why, self.memory = self._line.how()
        self._die(why)


ANSWER = {"nonce", "number", "value", "changed", "outputs", "error"}


def _remote(error):
    if error is None:
        return None
    kind, bases, message, where = error
    if not isinstance(kind, str) or not isinstance(bases, tuple) or not all(isinstance(b, str) for b in bases) \
            or not (message is None or isinstance(message, str)):
        raise ValueError("an exception of the wrong form")
    if where is not None:
        number, line = where
        if type(number) is not int or not 0 < number < 10**7 or not isinstance(line, str):
            raise ValueError("an exception of the wrong form")
        where = number, line[:200]
    kind = kind[:80] if kind.isidentifier() else "Exception"
    made = Oversized if kind == "Oversized" else Remote
    return made(kind, bases[:20], message and message[:2000], where)


def _size_of(folder, most):
    """Bytes of the files below a folder, at 4 KiB for each entry at least; stops counting beyond ``most``."""
    size, left = 0, [folder]
    while left and size <= most:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    size += max(4096, entry.stat(follow_symlinks=False).st_size)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    if size > most:
                        break
        except OSError:  # gone in the meantime, or shut by the student's code
            continue
    return size
