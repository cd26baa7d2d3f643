"""``enm5310 start``: a working copy of the course that is never overwritten, and JupyterLab opened in it.

The manifest ``.enm5310/manifest.json`` keeps the SHA-256 of each file as it was copied.  A file that still has it was
not edited and follows the course; any other file is the student's and stays as it is.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

from enm5310 import course
from enm5310.practice import Problem
from enm5310.practice.places import DIR, MEMORY
from enm5310.practice.processes import own_group
from enm5310.practice.progress import write

FIRST = "lectures/00_start_here.ipynb"
COPIED = {".ipynb", ".md", ".png", ".svg", ".jpg", ".csv", ".npz"}  # not the site's sources, which lie there too
NOT_FOR_STUDENTS = {"index.md", "INSTRUCTORS.md"}
SETTINGS = {  # no question about news, no look-up of new versions
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


# -------------------- the copy --------------------


class Copied(NamedTuple):
    """What a copy came to: paths relative to the course folder."""

    new: list
    updated: list
    kept: list  # edited by the student
    outdated: list  # edited by the student, and the course has a newer version


def folder_here():
    """Where the course goes unless told otherwise: the copy that the terminal is in, else ./enm5310-course."""
    here = Path.cwd()
    return next((f for f in (here, *here.parents) if (f / MEMORY / "manifest.json").is_file()), here / DIR)


def copy(folder):
    """Copies lectures and exercises into a folder, file by file; edited files stay.  Problem when it cannot write."""
    folder = Path(folder)
    done, manifest = Copied([], [], [], []), _manifest(folder)
    try:
        for name, source in _files():
            data = source.read_bytes()
            manifest[name] = _copy(name, data, folder / name, manifest.get(name), done)
        write(folder / MEMORY / "manifest.json", json.dumps(manifest, indent=1).encode())
    except OSError as why:
        raise Problem(f"the course cannot be copied into {folder}: {why.strerror or why}; "
                      f"choose another folder with --dir") from None  # fmt: skip
    return done


def _copy(name, data, target, copied, done):
    """Writes one file where that loses nothing; returns the hash that the manifest keeps."""
    new = hashlib.sha256(data).hexdigest()
    there = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
    if there == new:
        return new
    if there in (None, copied):
        write(target, data)  # a fresh file with the user's own rights, also from a read-only package
        (done.new if there is None else done.updated).append(name)
        return new
    done.kept.append(name)
    if copied not in (None, new):
        done.outdated.append(name)
    return copied or new


def _files():
    """(name in the course folder, file) of everything that students work with."""
    for top in ("lectures", "exercises"):
        root = course.folder(top)
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            hidden = any(part.startswith((".", "_")) for part in inside.parts)
            if path.is_file() and path.suffix in COPIED and not hidden and inside.name not in NOT_FOR_STUDENTS:
                yield f"{top}/{inside.as_posix()}", path


def _manifest(folder):
    """{name: hash when copied}; a damaged manifest counts as none, so every file that differs counts as edited."""
    try:
        stored = json.loads((folder / MEMORY / "manifest.json").read_text(encoding="utf-8"))
        return {str(name): str(sha) for name, sha in stored.items()}
    except (OSError, ValueError, AttributeError):
        return {}


# -------------------- JupyterLab --------------------


class Lab(NamedTuple):
    process: subprocess.Popen
    url: str  # with the token
    log: Path


def free_port(wanted=None, first=8888):
    """The wanted port, or the first free one from 8888; Problem when the wanted one is taken or not to be had."""
    for port in [wanted] if wanted else range(first, first + 100):
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one just closed may be taken again
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    if wanted:
        raise Problem(f"port {wanted} cannot be used: another program has it; leave --port out, or name another one")
    raise Problem(f"no port from {first} to {first + 99} is free: name one with --port")


def launch(folder, port, browser=True):
    """Starts JupyterLab on the loopback interface in a folder; returns a Lab whose server may not answer yet."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise Problem("JupyterLab is not installed: pip install 'enm5310[lab]' (in a clone: pip install -e '.[lab]')")
    folder, token = Path(folder).resolve(), secrets.token_hex(24)
    memory = folder / MEMORY
    write(memory / "jupyter" / "labconfig" / "default_setting_overrides.json", json.dumps(SETTINGS).encode())
    page = f"/lab/tree/{urllib.parse.quote(FIRST)}" if (folder / FIRST).is_file() else "/lab"
    options = [
        f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--LabApp.default_url={page}", "--LabApp.news_url=None",
        "--KernelManager.transport_encryption=auto", *["--no-browser"] * (not browser), *["--allow-root"] * _root(),
    ]  # fmt: skip
    settings = os.pathsep.join(filter(None, [str(memory / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]))
    # the token travels in the environment: on the command line every user of the machine could read it
    environment = {**os.environ, "JUPYTER_TOKEN": token, "JUPYTER_CONFIG_PATH": settings}
    with open(memory / "jupyter.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, **own_group(),
        )  # fmt: skip
    return Lab(process, f"http://127.0.0.1:{port}{page}?token={token}", memory / "jupyter.log")


def _root():
    """Whether this is the root user, as in a container; Jupyter then wants to be told that this is meant."""
    return os.name == "posix" and os.geteuid() == 0


def wait(lab, seconds=90.0):
    """Returns once the server answers; Problem when it ended, or is silent for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if lab.process.poll() is not None:
            raise Problem(f"JupyterLab did not start: {_last_error(lab.log)} (all of it: {lab.log})")
        try:
            with _ask(lab, "/api/status"):
                return
        except urllib.error.HTTPError as answer:  # it answers, if only to ask for a password of the user's own making
            answer.close()
            return
        except OSError:
            time.sleep(0.1)
    raise Problem(f"JupyterLab does not answer after {seconds:g} s; what it says is in {lab.log}")


def stop(lab):
    """Ends the server and its kernels: asks it to shut down, and kills what is left."""
    if lab.process.poll() is None:
        with contextlib.suppress(OSError), _ask(lab, "/api/shutdown", method="POST"):
            pass
    for end in (lambda: None, lab.process.terminate, lab.process.kill):
        end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return lab.process.wait(timeout=10)


def _ask(lab, path, method="GET"):
    url = urllib.parse.urlsplit(lab.url)
    token = urllib.parse.parse_qs(url.query)["token"][0]
    headers = {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"http://{url.netloc}{path}", headers=headers, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
    return direct.open(request, timeout=5)


def _last_error(log):
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@contextlib.contextmanager
def ended_by_signals():
    """SIGTERM and a closed terminal end the block as Ctrl-C does, so that what it started is stopped."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
