"""A budget of wall time for trusted code that waits on a student's: it runs while the test runs, not while it asks."""

import contextlib
import signal
import threading
import time


class OutOfTime(BaseException):
    """The test's own code ran too long; a test cannot catch it as an Exception."""


class Clock:
    """``with clock.running(seconds)`` raises OutOfTime when they are over; stopped by an alarm in the main thread.

    Elsewhere, and on systems without alarms, only ``left()`` tells.
    """

    def __init__(self):
        self._until, self._armed = None, False
        self._alarm = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()

    def left(self):
        return float("inf") if self._until is None else max(0.0, self._until - time.monotonic())

    @contextlib.contextmanager
    def running(self, seconds):
        before, self._until = self._until, time.monotonic() + seconds
        handler = signal.signal(signal.SIGALRM, self._ring) if self._alarm else None
        try:
            self._arm()
            yield self
        finally:
            self._disarm()
            if self._alarm:
                signal.signal(signal.SIGALRM, handler)
            self._until = before

    @contextlib.contextmanager
    def asking(self):
        """While the student's process is asked, which has a limit of its own: an alarm would tear the conversation."""
        self._disarm()
        try:
            yield
        finally:
            if self._until is not None:
                self._arm()

    def _arm(self):
        self._armed = True
        if self._alarm:  # again and again: a test may swallow one with a bare except
            signal.setitimer(signal.ITIMER_REAL, max(self.left(), 0.001), 0.25)

    def _disarm(self):
        self._armed = False
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, number, frame):
        if self._armed:
            raise OutOfTime
