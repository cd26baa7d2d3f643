"""Processes that go with whatever they have started."""

import contextlib
import os
import signal
import subprocess


def own_group():
    """So that the child goes with whatever it started, and Ctrl-C reaches this process alone."""
    return {"start_new_session": True} if os.name == "posix" else {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


def kill(process):
    """Ends a Popen that was started with own_group, and its group."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
    process.kill()
    process.wait()
