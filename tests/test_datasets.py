"""datasets: the downloader against hostile mirrors, and what it feeds.

The mirrors are HTTP servers on the loopback interface, one per behaviour; no test talks to any other host.
"""

import base64
import gzip
import hashlib
import io
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import enm5310
from enm5310 import datasets
from enm5310.datasets import download, fontsource, mirrors, mnist, molecules

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"  # beside the clone, not in it


# -------------------- mirrors on the loopback interface --------------------


def idx(array):
    """IDX as its format says, written independently of the package: 0 0 8 ndim, big-endian sizes, bytes."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(s.to_bytes(4, "big") for s in array.shape) + array.tobytes()


ARRAYS = {
    f"{part}-{kind}": np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    for part, n in (("train", 5), ("t10k", 3))
    for kind, shape in (("images", (n, 4, 3)), ("labels", (n,)))
}
BYTES = {name: idx(array) for name, array in ARRAYS.items()}


def spec(name, stream=None):
    stream = BYTES[name] if stream is None else stream
    return mnist.IDX(name, ARRAYS[name].shape, hashlib.sha256(stream).hexdigest())


TOY = mnist.LabelledImages(
    "toy",
    train=(spec("train-images"), spec("train-labels")),
    test=(spec("t10k-images"), spec("t10k-labels")),
    mirrors=("http://127.0.0.1:9",),  # the discard port: nobody answers
    target_names=("a", "b"),
    licence="none",
    DESCR="five and three images of 4 x 3",
)
BOMB = gzip.compress(bytes(1 << 26))  # 64 MiB in 64 KiB


def flipped(body, at):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def serve_gz(self, name, body):
    self.reply(200, gzip.compress(body)) if name.endswith(".gz") else self.reply(404)


def serve_plain(self, name, body):
    self.reply(404) if name.endswith(".gz") else self.reply(200, body)


def serve_busy_once(self, name, body):
    first = self.server.requests.count(self.path) == 1
    self.reply(503) if first else self.reply(200, gzip.compress(body))


def serve_appended(self, name, body):
    """The file, then zeros and silence: a client that knows where gzip ends has no need to wait."""
    self.reply(200, gzip.compress(body) + bytes(1000), length=9999)
    self.server.stop.wait(30)


def serve_stall(self, name, body):
    self.reply(200, gzip.compress(body)[:30], length=999)
    self.server.stop.wait(30)


def serve_together(self, name, body):
    """Answers nobody before two clients have asked for this file, so that both are at it at the same time."""
    with self.server.lock:
        barrier = self.server.barriers.setdefault(name, threading.Barrier(2, timeout=30))
    barrier.wait()
    self.reply(200, gzip.compress(body))


BEHAVIOURS = {
    "gz": serve_gz,
    "plain": serve_plain,
    "unpacked-gz": lambda self, name, body: self.reply(200, body),  # some storage unpacks what it serves
    "appended": serve_appended,
    "missing": lambda self, name, body: self.reply(404),
    "forbidden": lambda self, name, body: self.reply(403),
    "busy": lambda self, name, body: self.reply(503),
    "busy-once": serve_busy_once,
    "stall": serve_stall,
    "silent": lambda self, name, body: self.server.stop.wait(30),
    "hang-up": lambda self, name, body: None,
    "garbage": lambda self, name, body: self.wfile.write(b"\x00\x01 no HTTP\r\n\r\n"),
    "truncated": lambda self, name, body: self.reply(200, gzip.compress(body)[:-12], length=len(gzip.compress(body))),
    "short": lambda self, name, body: self.reply(200, gzip.compress(body[:-1])),
    "long": lambda self, name, body: self.reply(200, gzip.compress(body + b"x")),
    "empty": lambda self, name, body: self.reply(200, b""),
    "corrupt": lambda self, name, body: self.reply(200, gzip.compress(flipped(body, len(body) - 1))),
    "corrupt-plain": lambda self, name, body: self.reply(200, flipped(body, len(body) - 1)),
    "corrupt-gz": lambda self, name, body: self.reply(200, flipped(gzip.compress(body), 14)),
    "bomb": lambda self, name, body: self.reply(200, BOMB),
    "page": lambda self, name, body: self.reply(200, b"\n<!DOCTYPE html><title>Campus Wi-Fi</title>Please log in."),
    "together": serve_together,
}


class Handler(BaseHTTPRequestHandler):
    """GET /behaviour/name or /behaviour/name.gz; a name may have slashes in it"""

    def do_GET(self):
        self.server.requests.append(self.path)
        self.server.agents.add(self.headers["User-Agent"])
        behaviour, name = self.path.strip("/").split("/", 1)
        BEHAVIOURS[behaviour](self, name, self.server.bodies[name.removesuffix(".gz")])

    def reply(self, code, body=b"", length=None):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.bodies, server.requests, server.agents, server.barriers = dict(BYTES), [], set(), {}
        server.stop, server.lock, server.daemon_threads = threading.Event(), threading.Lock(), False
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def toy(server, tmp_path):
    """fetch_images of the toy data from mirrors given by behaviour."""

    def fetch(*behaviours, **how):
        where = [f"{server.url}/{b}" if b in BEHAVIOURS else b for b in behaviours]
        how = {"data_home": tmp_path / "cache", "mirrors": where, "delay": 0.01, "timeout": 10, "n_retries": 1} | how
        return mnist.fetch_images(TOY, **how)

    return fetch


def assert_toy(bunch, parts=("train", "t10k")):
    images = np.concatenate([ARRAYS[f"{part}-images"] for part in parts])
    np.testing.assert_array_equal(bunch.images, images)
    np.testing.assert_array_equal(bunch.data, images.reshape(len(images), 12))
    np.testing.assert_array_equal(bunch.target, np.concatenate([ARRAYS[f"{part}-labels"] for part in parts]))
    assert (bunch.images.dtype, bunch.data.dtype, bunch.target.dtype) == (np.uint8, np.uint8, np.int64)


def contents(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("behaviour", ["gz", "plain", "unpacked-gz", "appended", "busy-once"])
def test_fetch_from_any_honest_mirror(toy, tmp_path, behaviour):
    assert_toy(toy(behaviour))
    assert contents(tmp_path) == sorted(BYTES)
    for name, body in BYTES.items():
        assert (tmp_path / "cache" / "toy" / name).read_bytes() == body


FAULTS = {
    "missing": "has no train-images.gz and no train-images \\(HTTP 404 Not Found\\)",
    "forbidden": "HTTP 403 Forbidden",
    "busy": "HTTP 503 Service Unavailable",
    "stall": "no answer for 0.3 s",
    "silent": "no answer for 0.3 s",
    "hang-up": "Remote end closed connection",
    "garbage": "no HTTP",
    "truncated": "stopped after \\d+ of 76 bytes",
    "short": "stopped after 75 of 76 bytes",
    "empty": "stopped after 0 of 76 bytes",
    "long": "sent more than the 76 bytes expected",
    "corrupt": "sent something else of the same size \\(wrong SHA-256\\)",
    "corrupt-gz": "decompressing",
    "bomb": "sent more than the 76 bytes expected",
    "page": "sent a web page instead of the file",
}


@pytest.mark.parametrize(("behaviour", "reason"), FAULTS.items())
def test_fault_is_named_and_the_next_mirror_rescues(toy, server, tmp_path, behaviour, reason):
    patience = 0.3 if "0.3 s" in reason else 10  # short only where it is what is tested: the machine may be busy
    with pytest.raises(OSError, match=f"train-images could not be downloaded:\n  {server.url}/{behaviour}: .*{reason}"):
        toy(behaviour, timeout=patience)
    assert contents(tmp_path) == []
    assert_toy(toy(behaviour, "gz", subset="test", timeout=patience), parts=["t10k"])
    assert contents(tmp_path) == ["t10k-images", "t10k-labels"]


def test_only_faults_that_may_pass_are_asked_again(toy, server):
    for behaviour, times in (("busy", 4), ("truncated", 4), ("corrupt", 1), ("page", 1), ("forbidden", 1)):
        server.requests.clear()
        with pytest.raises(OSError, match=behaviour):
            toy(behaviour, n_retries=3)
        assert len(server.requests) == times, behaviour


def test_rounds_wait_for_delay_and_ask_every_mirror(toy, server, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    with pytest.raises(OSError, match="could not be downloaded"):
        toy("busy", "truncated", n_retries=2, delay=1.5)
    asked = [path.split("/")[1] for path in server.requests]
    assert (asked, waits) == (["busy", "truncated"] * 3, [0, 0, 1.5, 0, 1.5, 0])


def test_error_names_every_mirror_and_what_to_do(toy, server, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(OSError) as failure:
        toy(refused, "missing", "page", str(tmp_path / "stick"), "nonsense://host", "http://[half")
    lines = str(failure.value).splitlines()
    reasons = dict(line.strip().split(": ", 1) for line in lines[1:7])
    assert "refused" in reasons[refused]
    assert "urlopen" not in reasons[refused]
    assert "Invalid IPv6 URL" in reasons["http://[half"]
    assert reasons[f"{server.url}/missing"].endswith("(HTTP 404 Not Found)")
    assert reasons[f"{server.url}/page"].startswith("sent a web page")
    assert reasons[str(tmp_path / "stick")] == "has no train-images.gz and no train-images"
    assert "unknown url type" in reasons["nonsense://host"]
    assert "mirrors=[...]" in lines[-1]


def test_bomb_never_fills_memory(toy):
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="sent more than"):
            toy("bomb", n_retries=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6 < len(gzip.decompress(BOMB)), f"{peak / 1e6:.1f} MB for a file of 76 bytes"


def test_large_stream_survives_piecewise_unpacking(monkeypatch):
    """Many pieces per chunk and many chunks per piece give the bytes that gzip gives."""
    rng = np.random.default_rng(0)
    body = bytes(200_000) + rng.bytes(200_000) + b"abc" * 100_000
    for chunk, piece in ((7, 1000), (100_000, 10), (1000, 1000)):
        monkeypatch.setattr(mirrors, "CHUNK", chunk)
        monkeypatch.setattr(mirrors, "PIECE", piece)
        assert b"".join(mirrors.inflate(io.BufferedReader(io.BytesIO(gzip.compress(body))))) == body
        assert b"".join(mirrors.inflate(io.BufferedReader(io.BytesIO(body)))) == body


# -------------------- cache --------------------


def test_cache_is_reused_without_asking(toy, server):
    assert_toy(toy("gz"))
    server.requests.clear()
    first = toy("gz")
    first.data[...] = 0  # a call's arrays are its own
    assert_toy(toy("gz", download_if_missing=False))
    assert server.requests == []


def test_subset_fetches_only_its_files(toy, server, tmp_path):
    assert_toy(toy("gz", subset="train"), parts=["train"])
    assert contents(tmp_path) == ["train-images", "train-labels"]
    assert_toy(toy("gz", subset="all"))
    X, y = toy("gz", subset="test", return_X_y=True)
    np.testing.assert_array_equal(X, ARRAYS["t10k-images"].reshape(3, 12))
    np.testing.assert_array_equal(y, ARRAYS["t10k-labels"])
    with pytest.raises(ValueError, match="subset is 'valid'; it can be 'train', 'test', or 'all'"):
        toy("gz", subset="valid")


@pytest.mark.parametrize("damage", [lambda b: flipped(b, 40), lambda b: b[:-1], lambda b: b + b"x", lambda b: b""])
def test_broken_cached_file_is_replaced_with_one_notice(toy, server, tmp_path, caplog, damage):
    toy("gz")
    path = tmp_path / "cache" / "toy" / "train-images"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=r"train-images is broken \(wrong SHA-256\)\. Call again with"):
        toy("gz", download_if_missing=False)
    server.requests.clear()
    with caplog.at_level(logging.INFO):
        assert_toy(toy("gz"))
    assert [record.message for record in caplog.records] == [
        f"{path} is broken (wrong SHA-256): it is downloaded again"
    ]
    assert server.requests == ["/gz/train-images.gz"]
    assert path.read_bytes() == BYTES["train-images"]


def test_broken_cached_file_stays_when_no_mirror_helps(toy, tmp_path):
    toy("gz")
    path = tmp_path / "cache" / "toy" / "train-images"
    path.write_bytes(b"broken")
    with pytest.raises(OSError, match="could not be downloaded"):
        toy("missing")
    assert path.read_bytes() == b"broken"


def test_missing_data_names_the_folder_and_the_remedy(toy, server, tmp_path):
    with pytest.raises(OSError) as failure:
        toy("gz", download_if_missing=False)
    assert str(tmp_path / "cache" / "toy" / "train-images") + " is not there" in str(failure.value)
    assert "download_if_missing=True" in str(failure.value)
    assert server.requests == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.parametrize("shape", [lambda p: [p], lambda p: str(p), lambda p: p, lambda p: (str(p),)])
def test_local_folder_is_a_mirror(toy, tmp_path, suffix, shape):
    stick = tmp_path / "stick"
    stick.mkdir()
    for name, body in BYTES.items():
        (stick / (name + suffix)).write_bytes(gzip.compress(body) if suffix else body)
    assert_toy(toy(mirrors=shape(stick)))


def test_mirror_may_be_written_with_slash_or_tilde(toy, server, tmp_path, monkeypatch):
    assert_toy(toy(f"{server.url}/plain/", data_home=tmp_path / "stick"))
    assert server.requests[:2] == ["/plain/train-images.gz", "/plain/train-images"]
    assert server.agents == {f"enm5310/{enm5310.__version__}"}  # some servers refuse Python's own
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert_toy(toy("~/stick/toy"))


def test_cache_folder_is_a_mirror_for_the_next_machine(toy, tmp_path):
    toy("gz")
    assert_toy(toy(mirrors=tmp_path / "cache" / "toy", data_home=tmp_path / "other"))


def test_cache_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv("ENM5310_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.get_data_home() == tmp_path / "xdg" / "enm5310"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert datasets.get_data_home() == tmp_path / ".cache" / "enm5310"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert datasets.get_data_home() == tmp_path / "Library" / "Caches" / "enm5310"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert datasets.get_data_home() == tmp_path / "Local" / "enm5310"
    monkeypatch.setenv("ENM5310_DATA", "~/course")
    assert datasets.get_data_home() == tmp_path / "course"
    assert datasets.get_data_home(tmp_path) == datasets.get_data_home(str(tmp_path)) == tmp_path


def test_environment_variable_is_the_cache(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("ENM5310_DATA", str(tmp_path / "env"))
    assert_toy(toy("gz", data_home=None))
    assert contents(tmp_path / "env" / "toy") == sorted(BYTES)


def test_file_where_the_cache_folder_should_be(toy, server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write into the cache folder .*file.*data_home=\.\.\. or .*ENM5310_DATA"):
        toy("gz", data_home=tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no read-only folders")
def test_read_only_cache_folder(toy, server, tmp_path):
    with tempfile.TemporaryDirectory() as open_to_all:  # tmp_path is closed to other users
        home = Path(open_to_all, "cache")
        toy("gz", data_home=home, subset="test")
        Path(open_to_all).chmod(0o755)
        (home / "toy").chmod(0o555)
        server.requests.clear()
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # root may write anywhere
        try:
            assert_toy(toy("gz", data_home=home, subset="test"), parts=["t10k"])
            with pytest.raises(OSError, match=r"cannot write into the cache folder .*: Permission denied"):
                toy("gz", "plain", data_home=home, n_retries=3)
        finally:
            if root:
                os.seteuid(0)
            (home / "toy").chmod(0o755)
    assert server.requests == []  # our own fault is no reason to ask other mirrors


def test_full_disk_is_not_the_mirrors_fault(toy, server, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(OSError, match=r"cannot write into the cache folder .*: No space left on device"):
        toy("gz", "plain", n_retries=3)
    assert server.requests == ["/gz/train-images.gz"]
    assert contents(tmp_path) == []


def test_file_that_another_process_put_there_first_is_taken(toy, tmp_path, monkeypatch):
    """Windows: the other process has the file open, so it cannot be replaced, nor need be."""

    def occupied(source, target):
        Path(target).write_bytes(Path(source).read_bytes())
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(download.os, "replace", occupied)
    assert_toy(toy("gz"))
    assert contents(tmp_path) == sorted(BYTES)


def test_disk_that_does_not_keep_what_it_is_given(toy, monkeypatch):
    monkeypatch.setattr(download.os, "replace", lambda source, target: Path(target).write_bytes(b"other"))
    with pytest.raises(OSError, match="does not read back so"):
        toy("gz")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
def test_cached_files_follow_the_umask(toy, tmp_path):
    old = os.umask(0o022)
    try:
        toy("gz", subset="test")  # an instructor fills a folder for the class
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "cache" / "toy").iterdir()} == {0o644}


# -------------------- interrupts, processes, progress --------------------


def child(server, folder, behaviour):
    """Another Python that fetches the toy data."""
    how = {"mirrors": [f"{server.url}/{behaviour}"], "data_home": folder, "n_retries": 0, "timeout": 20}
    code = (
        "import base64, pickle, signal, sys; from enm5310.datasets import mnist;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # a shell's background jobs ignore it
        "spec, how = pickle.loads(base64.b64decode(sys.argv[1])); print(mnist.fetch_images(spec, **how).data.sum())"
    )
    argv = [sys.executable, "-W", "error", "-c", code, base64.b64encode(pickle.dumps((TOY, how))).decode()]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once(server, tmp_path):
    children = [child(server, tmp_path, "together") for _ in range(2)]
    replies = [c.communicate(timeout=60) for c in children]
    want = str(sum(int(ARRAYS[name].sum()) for name in ("train-images", "t10k-images")))
    assert replies == [(want + "\n", "")] * 2
    assert len(server.requests) == 8  # both did ask for every file
    assert contents(tmp_path) == sorted(BYTES)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_no_partial_file(server, tmp_path):
    process = child(server, tmp_path, "stall")
    deadline = time.monotonic() + 30
    while not contents(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [name.endswith(".part") for name in contents(tmp_path)] == [True]
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert contents(tmp_path) == []


def test_interrupt_in_the_callback_leaves_no_partial_file(toy, tmp_path):
    def stop(name, done, total):
        assert len(contents(tmp_path)) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy("gz", progress=stop)
    assert contents(tmp_path) == []


def test_progress_counts_every_byte(toy, monkeypatch):
    monkeypatch.setattr(mirrors, "PIECE", 10)
    calls = []
    toy("gz", progress=lambda *call: calls.append(call))
    assert {name for name, _, _ in calls} == set(BYTES)
    for name, body in BYTES.items():
        done = [done for file, done, total in calls if file == name and total == len(body)]
        assert done == sorted(done)
        assert done[-1] == len(body)
        assert len(done) >= len(body) // 10


def test_bar_is_drawn_on_request_and_on_terminals(toy, tmp_path, monkeypatch, capsys):
    toy("gz", data_home=tmp_path / "1")
    toy("gz", data_home=tmp_path / "2", progress=False)
    assert capsys.readouterr().err == ""
    toy("gz", data_home=tmp_path / "3", progress=True)
    assert "train-images: 100%" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    toy("gz", data_home=tmp_path / "4")
    assert "t10k-labels: 100%" in capsys.readouterr().err


# -------------------- IDX, MNIST --------------------


@pytest.mark.parametrize("header", ["00000703", "00000801", "01000803", "0000080300000006", "<htm"])
def test_wrong_magic_or_sizes_are_refused(server, tmp_path, header):
    """Bytes whose hash is right, but which are not what the table of files says."""
    start = bytes.fromhex(header) if header[0] in "01" else header.encode()
    stream = start + BYTES["train-images"][len(start) :]
    with pytest.raises(ValueError, match=rf"shape \(5, 4, 3\): header {start.hex(' ', 4)}.* 76 bytes were expected"):
        mnist.parse_idx(np.frombuffer(stream, np.uint8), (5, 4, 3))


@pytest.mark.parametrize("size", [0, 3, 15, 75, 77])
def test_wrong_length_is_refused(size):
    stream = np.frombuffer((BYTES["train-images"] + b"x")[:size], np.uint8)
    with pytest.raises(ValueError, match=f"and {size} bytes came, .* 76 bytes were expected"):
        mnist.parse_idx(stream, (5, 4, 3))


def test_downloaded_file_with_wrong_header_is_refused(server, tmp_path):
    stream = flipped(BYTES["train-images"], 3)
    server.bodies["train-images"] = stream
    table = TOY._replace(train=(spec("train-images", stream), TOY.train[1]))
    with pytest.raises(ValueError, match="not an IDX file of bytes of shape"):
        mnist.fetch_images(table, data_home=tmp_path, mirrors=[f"{server.url}/gz"])


@pytest.mark.parametrize(("fetch", "table"), [("fetch_mnist", "MNIST"), ("fetch_fashion_mnist", "FASHION_MNIST")])
def test_public_functions_pass_every_option_on(server, tmp_path, monkeypatch, fetch, table):
    monkeypatch.setattr(mnist, table, TOY._replace(mirrors=(f"{server.url}/busy-once",)))
    fetch, calls = getattr(datasets, fetch), []
    with pytest.raises(OSError, match="HTTP 503"):
        fetch(data_home=tmp_path, n_retries=0, delay=0.01, timeout=5)
    with pytest.raises(OSError, match="is not there"):
        fetch(data_home=tmp_path, download_if_missing=False)
    with pytest.raises(OSError, match="HTTP 403"):
        fetch(data_home=tmp_path, mirrors=[f"{server.url}/forbidden"])
    assert_toy(fetch(data_home=tmp_path, delay=0.01, progress=lambda *call: calls.append(call)))
    assert calls
    assert fetch(data_home=tmp_path, subset="test", return_X_y=True)[0].shape == (3, 12)


@pytest.mark.parametrize("table", [mnist.MNIST, mnist.FASHION_MNIST])
def test_tables_describe_the_official_files(table):
    sizes = [(f.name, f.size) for f in mnist.idx_files(table)]
    assert sizes == [
        ("train-images-idx3-ubyte", 47040016),
        ("train-labels-idx1-ubyte", 60008),
        ("t10k-images-idx3-ubyte", 7840016),
        ("t10k-labels-idx1-ubyte", 10008),
    ]
    assert len(table.mirrors) >= 2
    assert len(table.target_names) == 10
    assert len({f.sha256 for t in (mnist.MNIST, mnist.FASHION_MNIST) for f in mnist.idx_files(t)}) == 8


@pytest.mark.skipif(not (REAL / "mnist_70k.npz").exists(), reason="needs the real MNIST, ../shared/data/mnist_70k.npz")
def test_real_mnist_comes_through_a_mirror(server, tmp_path):
    names = [f.name for f in mnist.idx_files(mnist.MNIST)]
    with np.load(REAL / "mnist_70k.npz") as real:
        arrays = [real[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    server.bodies = {name: idx(array) for name, array in zip(names, arrays, strict=True)}
    how = {"mirrors": [f"{server.url}/missing", f"{server.url}/unpacked-gz"], "data_home": tmp_path}
    train, test = (datasets.fetch_mnist(subset=subset, **how) for subset in ("train", "test"))
    for bunch, x, y in ((train, *arrays[:2]), (test, *arrays[2:])):
        np.testing.assert_array_equal(bunch.images, x)
        np.testing.assert_array_equal(bunch.target, y)
    assert (train.data.shape, test.data.shape) == ((60000, 784), (10000, 784))
    assert np.bincount(train.target).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    X = train.data.astype(np.float32)
    second, first = np.einsum("ij,ij->", X, X, dtype=np.float64), X.sum(0, dtype=np.float64)
    trace = (second / 60000 - np.sum((first / 60000) ** 2)) / 255**2  # tr C = E|x|^2 - |E x|^2
    assert trace == pytest.approx(52.7250, abs=5e-5)  # SYLLABUS T1(b)
    everything = datasets.fetch_mnist(download_if_missing=False, data_home=tmp_path)
    np.testing.assert_array_equal(everything.target, np.concatenate([train.target, test.target]))
    assert {e.name: e.state for e in datasets.available(tmp_path)}["mnist"] == "cached"


# -------------------- fonts, ZINC --------------------


@pytest.fixture
def typefaces(server, monkeypatch):
    """Two families of matplotlib's, three files, take the place of the 466; a function that fetches them."""
    ttf, faces = Path(matplotlib.get_data_path(), "fonts", "ttf"), []
    for family, weight, italic, name in (
        ("dejavu", 400, False, "DejaVuSans"), ("dejavu", 700, True, "DejaVuSans-BoldOblique"),
        ("modern", 400, False, "cmr10"),
    ):  # fmt: skip
        body = (ttf / f"{name}.ttf").read_bytes()
        face = fontsource.Face(family, "1.0", "free", weight, italic, len(body), hashlib.sha256(body).hexdigest())
        server.bodies[face.file.name] = body
        faces.append(face)
    monkeypatch.setattr(fontsource, "faces", lambda: faces)

    def fetch(behaviour="plain", **how):
        how = {"mirrors": f"{server.url}/{behaviour}", "delay": 0.01, "n_retries": 0, "timeout": 10} | how
        return datasets.fetch_fonts(**how)

    return fetch


def test_fonts_are_downloaded_checked_and_drawn(typefaces, server, tmp_path):
    calls = []
    bunch = typefaces(data_home=tmp_path, progress=lambda *call: calls.append(call))
    assert (bunch.images.shape, bunch.images.dtype) == ((3, 62, 32, 32), np.float32)
    assert bunch.families.tolist() == ["dejavu", "dejavu", "modern"]
    assert (bunch.weights.tolist(), bunch.italic.tolist()) == ([400, 700, 400], [False, True, False])
    assert bunch.target_names[bunch.target].tolist() == ["regular", "bold italic", "regular"]
    assert [path.read_bytes() for path in bunch.paths] == [server.bodies[face.file.name] for face in fontsource.faces()]
    assert not [path for path in server.requests if path.endswith(".gz")]  # a CDN of packages has no such files
    total = sum(face.size for face in fontsource.faces())
    assert calls[-1] == ("fonts", total, total)
    assert len(calls) == len(server.requests) == 3
    again = typefaces(data_home=tmp_path, download_if_missing=False, families=["modern"], chars="aB", size=16)
    assert (again.images.shape, again.chars) == ((1, 2, 16, 16), "aB")
    assert len(server.requests) == 3
    X, y = typefaces(data_home=tmp_path, return_X_y=True)
    np.testing.assert_array_equal(X, bunch.images.reshape(3, -1))
    np.testing.assert_array_equal(y, bunch.target)


def test_broken_font_file_is_replaced_and_a_wrong_one_refused(typefaces, server, tmp_path):
    path = typefaces(data_home=tmp_path).paths[1]
    body = path.read_bytes()
    path.write_bytes(flipped(body, 100))
    typefaces(data_home=tmp_path)
    assert path.read_bytes() == body
    with pytest.raises(OSError, match=r"latin-400-normal.woff2 could not be downloaded:\n .*wrong SHA-256"):
        typefaces("corrupt-plain", data_home=tmp_path / "other")
    with pytest.raises(OSError, match=r"has no @fontsource/dejavu@1.0/files/dejavu-latin-400-normal.woff2 \(HTTP 404"):
        typefaces("missing", data_home=tmp_path / "other")


def test_fonts_refuse_what_they_cannot_do(typefaces, tmp_path):
    with pytest.raises(ValueError, match="no family is called 'helvetica'; there are dejavu, modern"):
        typefaces(families=["modern", "helvetica"])
    with pytest.raises(ValueError, match="the list of families is empty"):
        typefaces(families=[])
    with pytest.raises(ValueError, match=r"modern-latin-400-normal.woff2 has no й; choose other characters"):
        typefaces(data_home=tmp_path, chars="aй")


CSV = b'smiles,logP,qed,SAS\n"CC(C)O\n",0.39,0.5,1.3\nc1ccccc1,1.6866,0.4426,1\n'


def test_zinc_is_downloaded_checked_and_stripped(server, tmp_path, monkeypatch):
    monkeypatch.setattr(molecules, "ZINC", molecules.ZINC._replace(sha256=hashlib.sha256(CSV).hexdigest()))
    server.bodies[molecules.ZINC.name] = CSV
    how = {"data_home": tmp_path, "n_retries": 0, "delay": 0.01}
    states = lambda: {e.name: (e.state, e.size) for e in datasets.available(tmp_path)}["zinc250k"]  # noqa: E731
    with pytest.raises(OSError, match=r"sent 99 bytes of something else \(wrong SHA-256\)"):
        monkeypatch.setitem(server.bodies, molecules.ZINC.name, CSV + bytes(99 - len(CSV)))
        datasets.fetch_zinc250k(mirrors=f"{server.url}/plain", **how)
    assert states() == ("not cached", 0)
    server.bodies[molecules.ZINC.name] = CSV
    bunch = datasets.fetch_zinc250k(mirrors=[f"{server.url}/missing", f"{server.url}/plain"], **how)
    assert bunch.data.tolist() == ["CC(C)O", "c1ccccc1"]
    np.testing.assert_array_equal(bunch.target, [[0.39, 0.5, 1.3], [1.6866, 0.4426, 1]])
    assert bunch.target_names.tolist() == datasets.load_molecules().target_names.tolist() == ["logP", "QED", "SAS"]
    assert states() == ("cached", len(CSV))
    X, y = datasets.fetch("zinc250k", download_if_missing=False, return_X_y=True, **how)
    assert (X.tolist(), y.shape) == (bunch.data.tolist(), (2, 3))


def test_file_of_unknown_size_is_asked_again_and_has_a_limit(server, tmp_path, monkeypatch):
    """Its connection may have been cut, which only the hash can tell; and nobody may fill the disk."""
    file = download.File("x", None, hashlib.sha256(CSV).hexdigest(), packed=False)
    server.bodies["x"] = CSV[:-5]
    with pytest.raises(OSError, match="something else"):
        download.obtain(file, tmp_path, [f"{server.url}/plain"], n_retries=2, delay=0.01)
    assert len(server.requests) == 3
    monkeypatch.setattr(mirrors, "LIMIT", 20)
    with pytest.raises(OSError, match="sent more than the 20 bytes expected"):
        download.obtain(file, tmp_path, [f"{server.url}/plain"], n_retries=0)
    assert contents(tmp_path) == []


@pytest.mark.parametrize("text", ["smiles,logP\nC,1", "smiles,logP,qed,SAS\nC,1,2"])
def test_csv_of_other_columns_is_refused(text):
    with pytest.raises(ValueError, match=r"the columns are smiles, logP.*; smiles, logP, qed, SAS were expected"):
        molecules.parse(text.encode())


# -------------------- catalogue --------------------


def test_catalogue_follows_the_cache(server, tmp_path, monkeypatch):
    table = TOY._replace(mirrors=(f"{server.url}/gz",))
    monkeypatch.setattr(datasets, "MNIST", table)
    monkeypatch.setattr(mnist, "MNIST", table)
    states = lambda: {entry.name: entry.state for entry in datasets.available(tmp_path)}  # noqa: E731
    assert states() == {
        **dict.fromkeys(["digits", "iris", "glyphs", "font_axes", "molecules", "demand"], "packaged"),
        **dict.fromkeys(["toy", "fashion_mnist", "fonts", "zinc250k"], "not cached"),
    }
    datasets.fetch("mnist", data_home=tmp_path, subset="test")
    assert states()["toy"] == "not cached"  # half of it is not all of it
    assert_toy(datasets.fetch("mnist", data_home=tmp_path))
    assert states()["toy"] == "cached"
    entry = next(entry for entry in datasets.available(tmp_path) if entry.name == "toy")
    assert entry.size == sum(map(len, BYTES.values())) == sum(f.stat().st_size for f in Path(entry.where).iterdir())
    (tmp_path / "toy" / "t10k-labels").write_bytes(b"short")
    assert states()["toy"] == "not cached"


def test_catalogue_is_complete_and_its_licences_are_explained():
    licences = (Path(datasets.__file__).parent / "LICENSES.md").read_text()
    for entry in datasets.available():
        public = f"load_{entry.name}" if entry.kind == "packaged" else f"fetch_{entry.name}"
        assert public in datasets.__all__
        assert (f"`{entry.name}.npz`" if entry.kind == "packaged" else f"`{public}`") in licences
        assert entry.licence
        if entry.kind == "packaged":
            assert Path(entry.where).stat().st_size == entry.size


def test_fetch_by_name():
    np.testing.assert_array_equal(datasets.fetch("iris").data, datasets.load_iris().data)
    with pytest.raises(OSError, match=r"fashion_mnist.* is not there"):
        datasets.fetch("fashion-mnist", data_home="nowhere", download_if_missing=False)
    with pytest.raises(ValueError, match=r"no data set is called 'cifar'; there are digits, iris, .*, zinc250k"):
        datasets.fetch("cifar")
