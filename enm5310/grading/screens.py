"""How grading looks: a bar while it runs, then a table, what needs attention, and where to go on.

Whatever comes from a student or a file name is shown as one printable line: no control character, no escape.
"""

import contextlib
import sys
import time
from collections import Counter

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from enm5310.practice.runner import line
from enm5310.practice.screens import plain

STYLES = {"graded": "green", "needs manual": "yellow", "not gradable": "red"}
MOST = 60  # lines of notes


@contextlib.contextmanager
def live(assignment, total):
    """Gives (began, done), to be told of students: a bar with the time left; in a pipe, a line now and then."""
    if sys.stderr.isatty():
        with _bar(assignment, total) as told:
            yield told
    else:
        yield _lines(assignment, total)


@contextlib.contextmanager
def _bar(assignment, total):
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    running = {}  # the students now at work, in the order they began
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{assignment}: starting", total=total)

        def show(advance=0):
            names = ", ".join(line(name)[:20] for name in list(running)[:3])
            bar.update(task, advance=advance, description=Text(f"{assignment}: {names or 'writing'}").markup)

        def began(student):
            running[student] = None
            show()

        def done(student):
            running.pop(student, None)
            show(1)

        yield began, done


def _lines(assignment, total, clock=time.monotonic):
    state = {"done": 0, "begun": clock(), "told": clock()}

    def done(student):
        state["done"] += 1
        if clock() - state["told"] >= 10 and state["done"] < total:
            state["told"] = clock()
            left = (clock() - state["begun"]) * (total / state["done"] - 1)
            print(f"{assignment}: {state['done']} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True)

    return (lambda student: None), done


# -------------------- afterwards --------------------


def results(out, rows):
    """The table of rows, dicts as in the JSON file."""
    if plain(out):
        width = max((len(line(row["student"])) for row in rows), default=0)
        for row in rows:
            notes = f"  {_count(len(row['notes']), 'note')}" if row["notes"] else ""
            name, seconds = line(row["student"]), f"{row['seconds']:.1f} s"
            out.print(Text(f"{name:<{width}}  {_score(row):>9}  {row['status']:<12}  {seconds:>8}{notes}"))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("student", overflow="ellipsis", max_width=40, no_wrap=True)
    for name in ("score", "status", "notes", "seconds"):
        table.add_column(name, justify="left" if name == "status" else "right", no_wrap=True)
    for row in rows:
        table.add_row(Text(line(row["student"])), _score(row), Text(row["status"], style=STYLES[row["status"]]),
                      f"{len(row['notes']) or ''}", f"{row['seconds']:.1f}")  # fmt: skip
    out.print(Padding(table, (1, 0)))


def _score(row):
    return f"{'-' if row['score'] is None else format(row['score'], 'g')}/{row['max_score']:g}"


def notes(out, rows, unmatched):
    """What an instructor should look at, a line each."""
    told = [(line(row["student"]), line(note)) for row in rows for note in row["notes"]]
    for student, note in told[:MOST]:
        out.print(Text(f"! {student}: {note}", style="yellow"))
    if len(told) > MOST:
        out.print(Text(f"! and {_count(len(told) - MOST, 'more note')}: --json FILE has them all", style="yellow"))
    if unmatched:
        verb = "belongs" if len(unmatched) == 1 else "belong"
        out.print(Text(f"{_count(len(unmatched), 'file')} {verb} to no student and {verb.replace('belong', 'count')} "
                       "for nobody:", style="bold red"))  # fmt: skip
        for path, why in unmatched[:MOST]:
            out.print(Text(f"! {line(path)}: {line(why)}", style="red"))
        if len(unmatched) > MOST:
            out.print(Text(f"! and {len(unmatched) - MOST} more", style="red"))


def totals(out, assignment, rows, seconds, again, sandbox):
    """'60 submissions of ps1: 57 graded, 2 need manual grading, 1 not gradable; mean 7.4 of 10; ...'"""
    count = Counter(row["status"] for row in rows)
    words = {"graded": "graded", "needs manual": "to be graded by hand", "not gradable": "not gradable"}
    parts = ", ".join(f"{count[status]} {told}" for status, told in words.items() if count[status])
    scored = [row["score"] for row in rows if row["score"] is not None]
    mean = f"; mean {sum(scored) / len(scored):.1f} of {rows[0]['max_score']:g}" if scored else ""
    kept = f", {again} of them unchanged since the last run" if again else ""
    out.print(Text.assemble((f"{_count(len(rows), 'submission')} of {assignment}", "bold"), f": {parts}{kept}{mean}"))
    out.print(Text(f"{seconds:.0f} s, sandbox: {sandbox}"))


def where(out, course, assignment):
    """Where to look at it."""
    out.print(Text(f"The scores are in the gradebook: run `jupyter lab` in {line(str(course.folder))} and open "
                   f"/formgrader/manage_submissions/{assignment}"))  # fmt: skip


def _count(n, word):
    return f"{n} {word}{'s' * (n != 1)}"
