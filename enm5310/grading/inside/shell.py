"""An IPython shell without a terminal, a keyboard or commands of the system; what a cell shows is kept as outputs."""

import base64
import builtins
import io
import sys

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any, Bool, Dict
from traitlets.config import Config
from traitlets.config.configurable import SingletonConfigurable

MIME = ("text/plain", "text/html", "text/latex", "text/markdown", "image/png", "image/jpeg")
MOST = 500  # outputs of a cell
PICTURES = 4  # times as many bytes for pictures as for text


class Outputs:
    """The outputs of one cell or call, in nbformat's form; what is too much is dropped, and said."""

    def __init__(self, limit):
        self.limit = limit
        self.clear()

    def clear(self):
        self.all, self.text, self.data, self.cut, self.ids = [], 0, 0, False, {}

    def stream(self, name, text):
        if self.cut:
            return
        text = text[: self.limit - self.text + 1]
        self.text += len(text)
        last = self.all[-1] if self.all else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"].append(text)
        elif len(self.all) < MOST:
            self.all.append({"output_type": "stream", "name": name, "text": [text]})
        if self.text > self.limit or len(self.all) >= MOST:
            self.cut = True
            self.all.append({"output_type": "stream", "name": name, "text": ["\n... output truncated\n"]})

    def first(self, name, lines):
        """Text before all that was shown: at most 20 lines."""
        if lines:
            self.all.insert(0, {"output_type": "stream", "name": name, "text": [line[:2_000] for line in lines[:20]]})

    def display(self, kind, data, display_id=None, update=False):
        data = {mime: _text(data[mime]) for mime in MIME if isinstance(data.get(mime), (str, bytes))}
        size = sum(map(len, data.values()))
        if self.data + size > PICTURES * self.limit or len(self.all) >= MOST:
            data = {"text/plain": f"... an output of {size / 1e6:.1f} MB was left out"}
            if len(self.all) > MOST:
                return
        else:
            self.data += size
        if update and display_id in self.ids:
            self.all[self.ids[display_id]]["data"] = data
            return
        if display_id is not None:
            self.ids[display_id] = len(self.all)
        self.all.append({"output_type": kind, "data": data, "metadata": {}})

    def error(self, name, message, lines):
        lines = [line[:2_000] for line in lines[-40:]]
        self.all.append({"output_type": "error", "ename": name[:200], "evalue": message[:2_000], "traceback": lines})

    def taken(self):
        """The outputs as plain data, and none are left."""
        done = [{**o, "text": "".join(o["text"])} if o["output_type"] == "stream" else o for o in self.all]
        self.clear()
        return done


def _text(data):
    return data if isinstance(data, str) else base64.b64encode(data).decode()


class Stream(io.TextIOBase):
    """What takes the place of sys.stdout or sys.stderr."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, name, outputs, fd):
        self.name, self._outputs, self._fd = f"<{name}>", outputs, fd

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._outputs.stream(self.name[1:-1], text)
        return len(text)

    def writable(self):
        return True

    def fileno(self):
        return self._fd

    @property
    def buffer(self):
        return _Bytes(self)


class _Bytes(io.RawIOBase):
    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


class InlineBackend(SingletonConfigurable):
    """Takes `%config InlineBackend.figure_format = "svg"` and its like, which are for a browser to look at."""

    figure_format, figure_formats = Any().tag(config=True), Any().tag(config=True)
    rc, print_figure_kwargs = Dict().tag(config=True), Dict().tag(config=True)
    close_figures = Bool(True).tag(config=True)


def make(outputs, folder):
    """The shell of this process, which shows into ``outputs``; made once, before any student's code runs."""

    class Hook(DisplayHook):
        def write_output_prompt(self):
            """A notebook has none."""

        def write_format_data(self, format_dict, md_dict=None):
            if format_dict:
                outputs.display("execute_result", format_dict)

        def finish_displayhook(self):
            """Nothing is printed."""

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, *, transient=None, update=False, **_):
            outputs.display("display_data", data, (transient or {}).get("display_id"), update)

        def clear_output(self, wait=False):
            outputs.clear()

    class Shell(InteractiveShell):
        displayhook_class, display_pub_class = Hook, Publisher
        commands = False  # whether commands of the system are run

        def enable_gui(self, gui=None):
            """No event loop: a figure is drawn and shown as a picture."""

        def enable_matplotlib(self, gui=None):
            return gui, "agg"  # %matplotlib inline, widget, qt ...: all stay with Agg

        def ask_exit(self):
            raise SystemExit("exit() ends the notebook's kernel; take it out")

        def system(self, cmd):
            if self.commands:
                return super().system(cmd)
            print(f"[commands of the system are not run here: {str(cmd).split(maxsplit=1)[0][:40]}]", file=sys.stderr)
            self.user_ns["_exit_code"] = 127

        system_piped = system_raw = system

        def getoutput(self, cmd, split=True, depth=0):
            if self.commands:
                return super().getoutput(cmd, split, depth + 1)
            self.system(cmd)
            return [] if split else ""

        def showtraceback(self, *args, **kwargs):
            kind = sys.exc_info()[0]
            try:
                super().showtraceback(*args, **kwargs)
            except BaseException:  # an exception class of the student's own may not even be shown
                outputs.error(getattr(kind, "__name__", "Exception"), "", [])

        def _format_exception_for_storage(self, *args, **kwargs):
            """Nothing is stored."""

        def _showtraceback(self, etype, evalue, stb):
            try:
                message = str(evalue)
            except BaseException:
                message = ""
            outputs.error(etype.__name__, message, [str(line) for line in stb])

    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell = Shell.instance(config=config, ipython_dir=folder)
    shell.configurables.append(InlineBackend.instance(parent=shell))
    shell.set_hook("show_in_pager", lambda *args, **kwargs: None)  # `np.linalg.eigh?` has no reader here

    def input(prompt="", /):
        raise StdinNotImplementedError("input() cannot be answered while a notebook is checked; use a fixed value")

    builtins.input = input
    return shell


class Hooks:
    """What IPython lets a cell change about all that follow: put back before each cell."""

    def __init__(self, shell):
        self.lists = [shell.input_transformers_cleanup, shell.input_transformers_post, shell.ast_transformers,
                      *shell.events.callbacks.values()]  # fmt: skip
        self.kept = [list(x) for x in self.lists]

    def restore(self):
        for now, kept in zip(self.lists, self.kept, strict=True):
            now[:] = kept


def no_commands(shell):
    """``%%bash`` and its like say that they are not run, as ``!ls`` does."""

    def refuse(line, cell=None):
        shell.system(line.strip() or "script")

    for name in ("bash", "sh", "script", "perl", "ruby", "system", "sx", "python2", "pypy", "cmd"):
        shell.register_magic_function(refuse, "line_cell", name)
    for name in ("pip", "conda", "mamba", "micromamba", "uv"):
        shell.register_magic_function(lambda line, name=name: shell.system(name), "line", name)
