"""Beside the student's code: runs cells, answers calls, sends plain data.  It keeps no clock and decides nothing."""

import importlib
import io
import linecache
import os
import random
import sys
import traceback
import warnings

import numpy as np

from . import masks as masking
from . import shell as shells
from . import wire
from .given import Receiver

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.dirname(os.path.dirname(HERE))  # frames of the library are not the student's
NUMPY = os.path.dirname(np.__file__)
SEED = 22  # of the global generators: the same code draws the same numbers in every run


class Child:
    """The student's namespace and what can be asked about it."""

    def __init__(self, shell, outputs, channel):
        self.shell, self.outputs, self.channel = shell, outputs, channel
        self.memory, self.figures = None, True

    def serve(self):
        """Answers requests until the channel ends."""
        owner, pid = os.getpid(), os.getpid
        while True:
            receiver = Receiver(self.shell.user_ns)
            try:
                request = wire.unpack(self.channel.receive(), receiver.make)
            except wire.Closed:
                os._exit(0)  # not sys.exit: threads or exit handlers of the student's code have no say any more
            label = {"nonce": request.pop("nonce"), "number": request.pop("number")}
            self.outputs.clear()
            reply = self._reply(getattr(self, request.pop("do")), request, receiver.failed)
            if pid() != owner:  # a fork that the student's code made and forgot to end
                os._exit(0)
            sys.settrace(None)
            sys.setprofile(None)
            reply["outputs"] = self.outputs.taken()
            try:
                frame = wire.pack({**label, **reply}, cap=self.channel.cap)
            except BaseException as why:
                frame = wire.pack({**label, "error": self.told(why), "outputs": reply["outputs"]})
            self.channel.send(frame)

    def _reply(self, do, request, failed):
        try:
            if failed is not None:
                raise failed
            with self.shell.builtin_trap:  # get_ipython, display
                try:
                    return {"error": None, **do(**request)}
                finally:
                    show_figures(self.outputs, self.figures)
        except BaseException as why:  # KeyboardInterrupt and its like too: they are an answer here
            return {"error": self.told(why)}

    # -------------------- requests --------------------

    def setup(self, files, masks, commands, figures, memory):
        self.memory, self.shell.commands, self.figures = memory, commands, figures
        if commands:
            os.kill = _kill
        else:
            shells.no_commands(self.shell)
        if masks is not None:
            masking.install(masks)
        for name, data in files.items():
            os.makedirs(os.path.dirname(os.path.abspath(name)), exist_ok=True)
            with open(name, "xb") as file:
                file.write(data)
        self.hooks = shells.Hooks(self.shell)
        sys.path.insert(0, "")
        sys.argv = [""]
        sys.stdout, sys.stderr = shells.Stream("stdout", self.outputs, 1), shells.Stream("stderr", self.outputs, 2)
        random.seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002 - the global generator is what the student's code may use
        return {"value": os.getpid()}

    def cell(self, source):
        self.hooks.restore()
        result = self.shell.run_cell(source, store_history=True)
        why = result.error_before_exec or result.error_in_exec
        return {} if why is None else {"error": self.told(why, in_cell=True)}

    def call(self, name, args, kwargs):
        given = {**dict(enumerate(args)), **kwargs}
        before = {key: _print(x) for key, x in given.items()}
        with warnings.catch_warnings(record=True) as caught, np.errstate(divide="warn", over="warn", invalid="warn"):
            warnings.simplefilter("always")  # as in checks.capture, whatever the student's code has set
            try:
                value = self.shell.user_ns[name](*args, **kwargs)
            finally:
                self.outputs.first("stderr", [f"{w.category.__name__}: {w.message}\n" for w in caught])
        return {"value": value, "changed": {key: x for key, x in given.items() if before[key] != _print(x)}}

    def defined(self, names):
        ns = self.shell.user_ns
        return {"value": {name: _kind(ns[name]) if name in ns else None for name in names}}

    def types(self, names):
        ns = self.shell.user_ns
        return {"value": {name: type(ns[name]).__name__[:80] if name in ns else None for name in names}}

    def value(self, name):
        if name not in self.shell.user_ns:
            raise NameError(f"name {name!r} is not defined")
        return {"value": self.shell.user_ns[name]}

    # -------------------- exceptions in plain data --------------------

    def told(self, why, in_cell=False):
        """(class, builtin base classes, message, (line number, line) of the student's code or None)."""
        if type(why) is wire.Oversized:
            return "Oversized", ("MemoryError", "Exception"), str(why), None
        try:
            message = str(why.msg if isinstance(why, SyntaxError) else why)[:2000]
        except BaseException:  # an exception class of the student's own may fail even here
            message = None
        if isinstance(why, MemoryError) and self.memory:
            message = f"{message or 'out of memory'} (a notebook may use {self.memory / 2**30:g} GiB)"
        bases = tuple(c.__name__ for c in type(why).__mro__ if c.__module__ == "builtins")
        return type(why).__name__[:80], bases, message, _where(why, in_cell)


def _kill(pid, signal, kill=os.kill):
    """os.kill, but not of all processes: where nothing is shut in, a slip would end the user's whole session."""
    if pid == -1:
        raise PermissionError(1, "Operation not permitted")
    kill(pid, signal)


def _print(x):
    """The bytes of a value that can be changed in place, to see whether it was."""
    return wire.pack(x) if isinstance(x, (np.ndarray, list, dict, set, tuple)) else None


def _kind(x):
    """What a name of the notebook stands for: "class", "function", "data", or another type's name."""
    if isinstance(x, type) or callable(x):
        return "class" if isinstance(x, type) else "function"
    return "data" if x is None or isinstance(x, DATA) else type(x).__name__[:80]


DATA = (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, np.ndarray, np.generic)


def _where(why, in_cell):
    if isinstance(why, SyntaxError) and in_cell and why.lineno is not None:
        return why.lineno, (why.text or "").strip()[:200]
    frames = traceback.extract_tb(why.__traceback__)
    if in_cell:
        own = [f for f in frames if f.filename.startswith("<ipython-input")]
    else:
        own = [f for f in frames if not f.filename.startswith((OURS, NUMPY, "<__array_function__"))]
    if not own:
        return None
    line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno)
    return own[-1].lineno, line.strip()[:200]


def show_figures(outputs, draw=True):
    """Open figures are shown as pictures when a cell has ended, as a notebook does, or only closed."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and not draw:
        pyplot.close("all")
    for number in pyplot.get_fignums() if pyplot is not None else ():
        file = io.BytesIO()
        try:
            pyplot.figure(number).savefig(file, format="png", bbox_inches="tight")
        except Exception as why:
            outputs.error(type(why).__name__, "a figure could not be drawn", [])
        else:
            outputs.display("display_data", {"image/png": file.getvalue(), "text/plain": "<Figure>"})
        pyplot.close(number)


def make(folder, warm=True):
    """(shell, outputs); warm: everything heavy imported and tried once, so that forked children find it so."""
    outputs = shells.Outputs(2**20)
    shell = shells.make(outputs, folder)
    if not warm:
        return shell, outputs
    for name in ("numpy.testing", "autograd.numpy", "matplotlib.pyplot", "matplotlib.backends.backend_agg",
                 "IPython.display", "asyncio", "pickle", "marshal"):  # fmt: skip
        importlib.import_module(name)
    pyplot = sys.modules["matplotlib.pyplot"]  # Agg, as the environment says
    pyplot.show = lambda *args, **kwargs: show_figures(outputs)
    for source in ("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)).text(0, 0, 'x')",
                   "1 / 0", "1 + 1", "import numpy as np\nnp.eye(2)"):  # fmt: skip
        shell.run_cell(source, store_history=True)
        show_figures(outputs)
    outputs.clear()
    shell.reset(new_session=True)
    shell.execution_count = 1
    return shell, outputs
