"""Single keys from a terminal, without Enter, while the program goes on; the terminal is put back afterwards."""

import contextlib
import os
import sys
import time

GONE = "gone"  # the terminal was closed


@contextlib.contextmanager
def pressed():
    """Yields wait(seconds): the next key in lower case, "" when none came, or GONE."""
    if os.name == "nt":
        yield _windows
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)  # Ctrl-C still interrupts
        mode = termios.tcgetattr(terminal)
        mode[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the shell with our screen and no cursor
        termios.tcsetattr(terminal, termios.TCSANOW, mode)
        yield lambda seconds: _posix(terminal, seconds)
    finally:
        with contextlib.suppress(termios.error):  # there may be no terminal any more
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _posix(terminal, seconds):
    import select

    if not select.select([terminal], [], [], seconds)[0]:
        return ""
    try:
        data = os.read(terminal, 1)
        if data == b"\x1b":  # an arrow or function key: the rest of its sequence is no key of ours
            while select.select([terminal], [], [], 0)[0] and os.read(terminal, 64):
                pass
            return ""
    except OSError:
        return GONE
    return data.decode("ascii", "ignore").lower() if data else GONE


def _windows(seconds):
    import msvcrt

    until = time.monotonic() + seconds
    while not msvcrt.kbhit():
        if time.monotonic() > until:
            return ""
        time.sleep(0.02)
    key = msvcrt.getwch()
    if key in "\0\xe0":  # the first half of an arrow or function key
        msvcrt.getwch()
        return ""
    if key == "\x03":
        raise KeyboardInterrupt
    return key.lower()
