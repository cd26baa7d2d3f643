"""Sphinx extension: waits for KaTeX's node until it listens, as long as a busy machine makes it wait.

sphinxcontrib.katex 0.9.11 asks once, as soon as the socket's file is there, and gives up after five seconds.
"""

import socket
import time
from subprocess import PIPE, Popen

from sphinxcontrib import katex

SECONDS = 120


def start(rundir, timeout):
    """(process, connected socket) of a node that renders formulas."""
    path, end = rundir / "katex.sock", time.monotonic() + timeout
    process = Popen(katex.KaTeXServer.build_command(socket=path), stdin=PIPE, stdout=PIPE, cwd=rundir)
    while True:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(str(path))
            return process, line
        except (FileNotFoundError, ConnectionRefusedError):
            line.close()
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise katex.KaTeXServer.timeout_error(timeout) from None
            time.sleep(0.01)


def setup(app):
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = SECONDS
    if hasattr(socket, "AF_UNIX"):
        katex.KaTeXServer.start_server_process = start
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
