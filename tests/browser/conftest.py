"""Fixtures for tests in a real browser: pages that may ask nothing of the outside, and a JupyterLab of our own."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

FLAGS = [
    *"--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split(),
    *"--disable-component-update --disable-sync".split(),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing outside can be reached, not even by mistake
]
INSIDE = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "ws://127.0.0.1:")
LITE = "Shared module @jupyterlite/services doesn't exist"  # the site's tool leaves an extension that Lab cannot load
SCREENSHOTS = Path(__file__).parents[1] / "screenshots"


@pytest.fixture(scope="module")
def browser():
    """One Chromium per test module, with a fresh profile."""
    from playwright.sync_api import sync_playwright

    names = "chromium", "chromium-browser", "google-chrome"
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail(f"tests marked browser need one of {', '.join(names)} on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """open_page(**context options): a page in a fresh context; the test fails if it logged an error or went outside."""
    trouble = []
    with contextlib.ExitStack() as stack:

        def opened(**options):
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", lambda m: m.type == "error" and LITE not in m.text and trouble.append(f"log: {m.text}"))
            page.on("pageerror", lambda error: trouble.append(f"exception: {error}"))
            page.on("request", lambda r: r.url.startswith(INSIDE) or trouble.append(f"outside request: {r.url}"))
            return page

        yield opened
    assert trouble == []


@pytest.fixture
def page(open_page):
    """A page of 1200 x 900; the test fails if it logged an error or went outside."""
    return open_page(viewport={"width": 1200, "height": 900})


@pytest.fixture
def tall_page(open_page):
    """JupyterLab takes cells out of the page that are scrolled out of view; here all are in view."""
    return open_page(viewport={"width": 1300, "height": 1500})


@pytest.fixture
def screenshot(request):
    """screenshot(page or element, name): kept in tests/screenshots/ to be looked at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    module = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    return lambda target, name: target.screenshot(path=SCREENSHOTS / f"{module}_{name}.png")


class Lab(NamedTuple):
    root: Path  # the folder that JupyterLab shows
    address: str
    token: str

    def url(self, notebook):
        workspace = notebook.removesuffix(".ipynb")  # one of its own, else Lab reopens what another test left open
        return f"{self.address}/lab/workspaces/{workspace}/tree/{notebook}?token={self.token}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A stock JupyterLab on a free loopback port in a folder of its own, with a token and without the news popup."""
    with serving(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")) as lab:
        yield lab


@contextlib.contextmanager
def serving(root, home):
    """JupyterLab started in a folder; its settings lie in another, fresh one."""
    settings = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
    (home / "overrides.json").write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = Lab(root, f"http://127.0.0.1:{port}", secrets.token_hex(16))
    with (home / "lab.log").open("w") as log:
        command, env = _command(lab, port, home), _environment(home)
        server = subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=log)
        try:
            _wait(lab, server, home / "lab.log")
            yield lab
        finally:
            server.terminate()  # the server shuts its kernels down
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()


def _command(lab, port, home):
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": lab.root,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": lab.token,
        "LabApp.news_url": None,
        "LabServerApp.app_settings_dir": home,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    return [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--{k}={v}" for k, v in options.items())]


def _environment(home):
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    own = {name: str(home / folder) for name, folder in {**folders, "IPYTHONDIR": "ipython"}.items()}
    return {**os.environ, **own, "OPENBLAS_NUM_THREADS": "1"}


def _wait(lab, server, log, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            with urllib.request.urlopen(f"{lab.address}/api/status?token={lab.token}", timeout=5):
                return
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not answer within {seconds} s:\n{log.read_text()[-3000:]}")
