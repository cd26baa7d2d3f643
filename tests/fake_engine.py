"""An engine for tests of what is around it: a submission's text says how grading it goes.  No sandbox, no notebook."""

import os
import re
import signal
import sys
import time
from typing import NamedTuple

from enm5310.grading.job import Setup, Task
from enm5310.practice import Problem


class Limits(NamedTuple):
    start: float = 60.0
    total: float = 30.0


class Master(NamedTuple):
    grade_ids: tuple = ("a",)
    ids: tuple = ("1.1",)
    notes: tuple = ()


def box(level, limits):
    if level == "broken":
        raise Problem("no sandbox today")
    if level == "dead":
        os._exit(7)
    return os.getpid()


def prepare(data, files, limits, box, own):
    if data == b"bad":
        raise Problem("the source is bad")
    return Master(notes=(data.decode(),))


def grade(submitted, master, limits, seeds, *, box, files, own):
    """`score 3`, `sleep 0.2`, `exit`, `kill`, `hang`, `raise`, `problem`, `print`, `big`; `log PATH` writes a line."""
    text = submitted.decode()
    if match := re.search(r"log (\S+)", text):
        with open(match[1], "a") as file:
            file.write(f"{os.getpid()}\n")
    if "print" in text:
        print("to stdout")
        os.write(1, b"straight to 1")
        sys.stdin.read()  # nobody answers
    if "exit" in text:
        os._exit(3)
    if "kill" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in text:
        time.sleep(1000)
    if "problem" in text:
        raise Problem("the sandbox is broken")
    if "raise" in text:
        raise ValueError("a fault of the engine")
    time.sleep(float(match[1]) if (match := re.search(r"sleep (\S+)", text)) else 0)
    score = float(match[1]) if (match := re.search(r"score (\S+)", text)) else 0.0
    if "too much" in text:  # nbgrader raises an exception over such points
        output = {"output_type": "execute_result", "data": {"text/plain": "99"}, "metadata": {}, "execution_count": 1}
        graded = {"grade": True, "grade_id": "a", "points": 2, "solution": False, "locked": True, "schema_version": 3}
        cell = {"cell_type": "code", "source": "", "metadata": {"nbgrader": graded}, "outputs": [output]}
        book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        return book, {"status": "graded", "score": 99.0, "notes": [], "exercises": []}
    note = "x" * 3_000_000 if "big" in text else f"seed {seeds['1.1']}, pid {os.getpid()}"
    return None, {"status": "not gradable", "reason": "only a test", "score": score, "notes": [note], "exercises": []}


def setup(level="none", masters=None, **limits):
    return Setup("run", level, Limits(**limits), masters or {"ps": Master()}, {}, box, prepare, grade)


def task(student, text):
    return Task(student, {"ps.ipynb": text.encode()}, {}, {"ps": {"": 0, "1.1": 5}})
