"""The trusted side of the sandbox: a Box is a running zygote, a Student one forked child with a namespace of its own.

Nothing that comes back is believed beyond its form: frames are plain data, outputs are of known types and sizes, and
bytes that nobody asked for end the student.
"""

import base64
import binascii
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import PurePosixPath
from typing import NamedTuple

from enm5310.grading import sandbox
from enm5310.grading.inside import wire
from enm5310.grading.sending import Sender
from enm5310.practice import Problem


class Limits(NamedTuple):
    seconds: float = 30.0  # wall time, of a cell and of the calls of one test
    slow: float = 120.0  # the same, where something is trained
    cpu: float = 900.0  # seconds of processor time in all
    memory: int = 2 * 2**30  # bytes
    output: int = 2**20  # bytes of text that a cell may print
    file: int = 64 * 2**20  # bytes of one file
    disk: int = 128 * 2**20  # bytes of all files
    frame: int = 64 * 2**20  # bytes of one message
    start: float = 60.0  # seconds until a zygote is ready
    total: float = 900.0  # seconds for a notebook
    fatal: int = 12  # cells and calls that may kill their process before a notebook is given up
    threads: int = 2048  # started in all
    files: int = 128  # open at once


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


# -------------------- the zygote --------------------


class Box:
    """A zygote at a sandbox level.  Survives the death of any student; starts itself anew when the zygote has died."""

    def __init__(self, level, limits=Limits()):  # noqa: B008 - immutable
        self.level, self.limits = level, limits
        self.process = self._control = self._scratch = None
        self._start()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _start(self):
        scratch = sandbox.SCRATCH
        if self.level.name != "bubblewrap":
            self._scratch = _folder("zygote")
            scratch = self._scratch.name
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile()
        try:
            with theirs:
                self.process = subprocess.Popen(
                    sandbox.command(self.level, theirs.fileno(), scratch), pass_fds=[theirs.fileno()],
                    env=sandbox.environment(scratch), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=self._errors, start_new_session=True,
                )  # fmt: skip
            self._control.settimeout(self.limits.start)
            if self._control.recv(16) != b"ready":
                raise EOFError
        except (OSError, EOFError) as why:
            why = str(why) if isinstance(why, TimeoutError) else self.complaint()
            self.close()
            raise Problem(f"the sandbox {self.level.name} did not start: {why}") from None
        except BaseException:
            self.close()
            raise

    def complaint(self):
        """The last thing that the zygote, or a fork before it was shut in, has said."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2000))
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else "no reason given"

    def close(self):
        """Ends the zygote and every student."""
        self._control.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._errors.close()
        if self._scratch is not None:
            self._scratch.cleanup()

    def student(self, files=None, masks=None, *, folder=None, commands=False):
        """A fresh Student.  files: {relative name: bytes} of the private folder; masks: see inside/masks.py.

        folder: a folder of this machine to work in instead of a private one, at the level "none"; commands: whether
        commands of the system are run.
        """
        if not self.alive:
            self.close()
            self._start()
        return Student(self, files or {}, masks, folder, commands)

    def fork(self, limits, channel, status):
        """Has the zygote fork a student that holds the other ends of these two sockets."""
        socket.send_fds(self._control, [json.dumps(limits).encode()], [channel.fileno(), status.fileno()])


def _folder(name):
    """A folder of this machine that goes with this process; whoever finds it later sees whose it was."""
    return tempfile.TemporaryDirectory(prefix=f"enm5310-box-{os.getpid()}-{name}-", ignore_cleanup_errors=True)


# -------------------- a student --------------------


class Student:
    """One forked child.  After ``Died`` every further request raises it again."""

    def __init__(self, box, files, masks, folder, commands):
        files = _checked(files)
        self.box, self.limits, self.dead = box, box.limits, None
        self.memory = 0  # peak, in bytes; known when it has ended by itself
        self._number, self._folder = 0, None
        if folder is None and box.level.name != "bubblewrap":
            self._folder = _folder("student")
            os.mkdir(os.path.join(self._folder.name, ".tmp"))
        self._channel, theirs = socket.socketpair()
        self._status, guards = socket.socketpair()
        self._wire = wire.Channel(self._channel, self.limits.frame)
        limits = {**self.limits._asdict(), "folder": folder or (self._folder and self._folder.name),
                  "home": folder is None}  # fmt: skip
        with theirs, guards:
            box.fork(limits, theirs, guards)
        try:
            self._ask("setup", self.limits.start, files=files, masks=masks, folder=folder,
                      commands=commands, memory=self.limits.memory)  # fmt: skip
        except Died as why:
            self.close()
            raise Problem(f"the sandbox {box.level.name} cannot shut in a student: {why} ({box.complaint()})") from None

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()

    def close(self):
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def kill(self, why="was ended"):
        """Ends the process with all it has started."""
        if self.dead is None:
            self.dead = why
        self._channel.close()
        self._status.close()

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
        return self._about("defined", names, 0)

    def types(self, names):
        """{name: the name of its type, or None when there is no such name}."""
        return self._about("types", names, 0)

    def value(self, name):
        """A variable of the notebook; Remote NameError when there is none."""
        answer = self._ask("value", None, name=name)
        if answer["error"] is not None:
            raise answer["error"]
        return answer["value"]

    def _about(self, what, names, _):
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
        if not self._wire.idle():
            self._over() if self._ended() else self._broken("it sent what nobody had asked for")
        try:
            self._wire.send(frame, deadline, self._tick)
            answer = wire.unpack(self._wire.receive(deadline, self._tick))
        except TimeoutError:
            self._die(f"did not finish within {seconds:g} s")
        except wire.Closed:
            self._over()
        except wire.Broken as why:
            self._broken(str(why))
        if not isinstance(answer, dict) or not answer.keys() <= ANSWER or answer.get("number") != self._number \
                or type(answer.get("nonce")) is not bytes or not secrets.compare_digest(answer["nonce"], nonce):
            self._broken("an answer to another question")
        answer = {"value": None, "changed": {}, **answer}
        try:
            answer["error"] = _remote(answer.get("error"))
            answer["outputs"] = outputs(answer["outputs"], self.limits.output)
            if not isinstance(answer["changed"], dict):
                raise ValueError("changes of the wrong form")
        except (ValueError, KeyError, TypeError) as why:
            self._broken(str(why))
        return answer

    def _tick(self):
        """Every half second of waiting: a folder of this machine has no size of its own that would hold."""
        if self._folder is not None and _size_of(self._folder.name, self.limits.disk) > self.limits.disk:
            self._die(f"wrote more than {self.limits.disk / 2**20:g} MiB of files")

    def _die(self, why):
        self.kill(why)
        raise Died(why)

    def _broken(self, why):
        self._die(f"broke the protocol: {why[:200]}")

    def _ended(self):
        return bool(select.select([self._status], [], [], 0)[0])

    def _over(self):
        """The channel has closed: why, as the guard tells it."""
        self._status.settimeout(2.0)
        try:
            how, peak, cpu = json.loads(self._status.recv(4096))
        except (OSError, ValueError):
            self._die("closed its channel")
        self.memory = peak * 1024
        self._die(_how(how, self.memory, cpu, self.limits))


ANSWER = {"nonce", "number", "value", "changed", "outputs", "error"}
MEANS = {"SIGKILL": ": out of memory?", "SIGSEGV": ": invalid memory access, or recursion without end"}


def _how(status, peak, cpu, limits):
    """How a process ended, in words, from its wait status and what it used."""
    if os.WIFEXITED(status):
        return f"ended its process (exit code {os.WEXITSTATUS(status)})"
    number = os.WTERMSIG(status)
    if number in (signal.SIGXCPU, signal.SIGKILL) and cpu > 0.95 * limits.cpu:
        return f"used more than {limits.cpu:g} s of processor time"
    if peak > 0.9 * limits.memory:
        return f"used more than {limits.memory / 2**30:g} GiB of memory"
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"crashed its process ({name}{MEANS.get(name, '')})"


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


def _checked(files):
    for name, data in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or not isinstance(data, bytes):
            raise ValueError(f"{name!r} is not a file of a private folder")
    return files


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


# -------------------- outputs --------------------

FORMS = {
    "stream": {"output_type", "name", "text"}, "error": {"output_type", "ename", "evalue", "traceback"},
    "display_data": {"output_type", "data", "metadata"}, "execute_result": {"output_type", "data", "metadata"},
}  # fmt: skip
TEXT = ("text/plain", "text/html", "text/latex", "text/markdown")
PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


def outputs(given, limit):
    """The outputs of a cell, rebuilt; ValueError unless they are nbformat's, of known types and bounded size."""
    if not isinstance(given, list) or len(given) > 1000:
        raise ValueError("not a list of outputs")
    if sum(map(_size, given)) > 8 * limit + 2**18:
        raise ValueError("outputs that are too large")
    return [_output(o) for o in given]


def _size(x):
    if isinstance(x, (list, dict)):
        return 8 + sum(map(_size, x.values() if isinstance(x, dict) else x))
    return len(x) if isinstance(x, str) else 8


def _output(o):
    kind = o.get("output_type") if isinstance(o, dict) else None
    if kind not in FORMS or o.keys() != FORMS[kind]:
        raise ValueError("not an output")
    if kind == "stream":
        if o["name"] not in ("stdout", "stderr"):
            raise ValueError("not a stream")
        return {"output_type": kind, "name": o["name"], "text": _text(o["text"])}
    if kind == "error":
        if not isinstance(o["traceback"], list):
            raise ValueError("not a traceback")
        words = {"ename": _text(o["ename"]), "evalue": _text(o["evalue"])}
        return {"output_type": kind, **words, "traceback": list(map(_text, o["traceback"]))}
    if not isinstance(o["data"], dict):
        raise ValueError("not an output")
    data = {mime: _text(value) for mime, value in o["data"].items()
            if mime in TEXT or (mime in PICTURES and _is_picture(mime, value))}  # fmt: skip
    return {"output_type": kind, "data": data, "metadata": {}} | ({"execution_count": None} if kind[0] == "e" else {})


def _text(text):
    """Text that can be written: no NUL, no half of a surrogate pair."""
    if not isinstance(text, str):
        raise ValueError("not text")
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _is_picture(mime, value):
    """Whether this is base64, in its one right spelling, of something that begins like a picture of this kind."""
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return False
    return data.startswith(PICTURES[mime]) and base64.b64encode(data).decode() == value
