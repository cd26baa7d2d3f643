"""Catch what a student's function prints while it is checked: one byte on stderr costs the cell under nbgrader."""

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings

MAX_TEXT = 2_000  # characters kept per call: a runaway print must not flood the report
MAX_WARNINGS = 20


class Capped(io.StringIO):
    """Keeps the first MAX_TEXT characters and drops the rest, so that an endless print cannot fill the memory."""

    def write(self, text):
        super().write(text[: max(0, MAX_TEXT - self.tell())])
        return len(text)


@contextlib.contextmanager
def captured(lines):
    """Appends to ``lines`` everything written to stdout, stderr (also from C code) or raised as a warning."""
    text = Capped()
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(text),
        _logging_to(text),
        _descriptors(text),
    ):
        warnings.simplefilter("always")
        try:
            yield
        finally:
            lines += [f"{w.category.__name__}: {w.message}"[:MAX_TEXT] for w in caught[:MAX_WARNINGS]]
    lines += text.getvalue().splitlines()


@contextlib.contextmanager
def _logging_to(text):
    """Handlers made by logging.basicConfig hold on to the old stderr, so they are pointed here for the while."""
    handlers = [h for h in logging.root.handlers if isinstance(h, logging.StreamHandler) and not _to_file(h)]
    streams = [h.setStream(text) for h in handlers]  # setStream returns the stream it replaces
    try:
        yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)


def _to_file(handler):
    return isinstance(handler, logging.FileHandler)


@contextlib.contextmanager
def _descriptors(text):
    """File descriptors 1 and 2, which LAPACK and other C code write to without asking Python."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        _flush()  # what was written before belongs to the notebook
        for fd in (1, 2):
            try:
                keep = os.dup(fd)
            except OSError:  # closed, as under some servers: nothing to catch
                continue
            stack.callback(os.close, keep)
            os.dup2(file.fileno(), fd)
            stack.callback(os.dup2, keep, fd)
        try:
            yield
        finally:
            _flush()
            file.seek(0)
            text.write(file.read(MAX_TEXT).decode(errors="replace"))


def _flush():
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):  # None under pythonw, closed under some servers
            stream.flush()
