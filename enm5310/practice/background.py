"""`enm5310 check` of one notebook while something else goes on; it can be ended at any moment."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from enm5310.practice import processes


class Check:
    """The process, in a group of its own; what it finds goes through a file."""

    def __init__(self, path):
        self.path, self.began = path, time.monotonic()
        self.place = tempfile.TemporaryDirectory(prefix="enm5310-", ignore_cleanup_errors=True)
        self.file = Path(self.place.name) / "verdicts.json"
        self.said = (Path(self.place.name) / "said").open("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "enm5310", "check", str(path), "--json", str(self.file)], cwd=path.parents[2],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.said, **processes.own_group(),
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip

    def poll(self):
        """None while it runs, then (verdicts, problem or None)."""
        if self.process.poll() is None:
            return None
        try:
            document = json.loads(self.file.read_text(encoding="utf-8"))
            told = document["problems"] + document["notes"]
            return document["exercises"], told[0] if document["problems"] else None
        except (OSError, ValueError):
            self.said.seek(0)
            last = self.said.read()[-2000:].strip().splitlines()[-1:]
            return [], f"the check stopped: {''.join(last) or f'exit code {self.process.returncode}'}"
        finally:
            self._clear()

    def end(self):
        """Asks it to stop, so that it ends what it has started, and then makes it."""
        if os.name == "posix" and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=3)
        processes.kill(self.process)
        self._clear()

    def _clear(self):
        self.said.close()
        self.place.cleanup()
