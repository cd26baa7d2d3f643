"""How verdicts look: a table with marks and colours in a terminal, one plain line per exercise in a pipe.

A mark and the words always say what the colour says; NO_COLOR is respected; an output that cannot encode the marks
gets ASCII ones.
"""

import contextlib
import sys
from collections import Counter

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from enm5310.checks.report import MARKS

STYLES = {"right": "green", "partly right": "yellow", "wrong": "red", "not attempted": "dim"}
ASCII = {"right": "+", "partly right": "~", "wrong": "x", "not attempted": "-"}
WIDTH = 100  # wider lines are hard to read


def console():
    """The terminal, at most WIDTH columns wide; in a pipe lines are never broken."""
    out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if out.is_terminal:
        out.width = min(out.width, WIDTH)
    return out


def plain(out):
    """Whether to print lines rather than tables: into a pipe, or on a terminal that cannot move its cursor."""
    return not out.is_terminal or out.is_dumb_terminal


def mark(state):
    """The state's mark, in what the output can encode."""
    try:
        MARKS[state].encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII[state]
    return MARKS[state]


# -------------------- verdicts --------------------


def verdicts(out, heading, judged, notes=(), seconds=None):
    """The exercises of one notebook or part (anything with Judged's fields), notes below, a line of totals."""
    out.print(Text.assemble((heading, "bold")))
    if plain(out):
        for j in judged:
            out.print(Text(_line(j)))
    else:
        out.print(Padding(_table(judged), (1, 0)))
    for note in notes:
        out.print(Text(f"! {note}", style="yellow"))
    out.print(totals(judged, seconds))


def _line(j):
    points = f"{j.points}/{j.max_points}"
    return f"{j.id:<5} {mark(j.state)} {j.state:<13} {points:>5}  {j.title}" + (f": {j.message}" if j.message else "")


def _table(judged):
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    for j in judged:
        style = STYLES[j.state]
        words = Text(j.title, style="dim" if j.state == "not attempted" else "")
        if j.message and j.state != "not attempted":  # the state says that already
            words.append(f"\n{j.message}", style=style)
        table.add_row(j.id, words, Text(f"{mark(j.state)} {j.state}", style=style), f"{j.points}/{j.max_points}")
    return table


def totals(judged, seconds=None):
    """'7 of 26 points: 3 right, 1 wrong, 6 not attempted (2.1 s)'."""
    count = Counter(j.state for j in judged)
    listed = ", ".join(f"{count[state]} {state}" for state in MARKS if count[state])
    got, most = sum(j.points for j in judged), sum(j.max_points for j in judged)
    took = "" if seconds is None else f" ({seconds:.1f} s)"
    return Text.assemble((f"{got} of {most} points", "bold"), f": {listed}{took}")


# -------------------- progress --------------------


def bars(out, parts):
    """A bar per part, for {part: [judged, ...]}: points of all points."""
    wide = 30
    for part, judged in parts.items():
        got, most = sum(j.points for j in judged), sum(j.max_points for j in judged)
        words = f"{got:>3} of {most} points"
        if plain(out):
            out.print(Text(f"{part:<24} {words}"))
            continue
        full, line = wide * got // most, "=" if mark("right") == ASCII["right"] else "\u2501"
        bar = (line * full, "green"), (line * (wide - full), "bright_black")
        out.print(Text.assemble((f"{part:<24} ", "bold"), *bar, f" {words}"))


def note(out, markdown):
    """A hint or a solution: Markdown set for a terminal, or as it is for a pipe."""
    out.print(Text(markdown) if plain(out) else Markdown(markdown, code_theme="ansi_dark"))


# -------------------- while it runs --------------------


@contextlib.contextmanager
def live(title):
    """report(done, total, step) draws a progress bar on the terminal's stderr, gone when all is done; else nothing."""
    if not sys.stderr.isatty():
        yield lambda done, total, step: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(title))

        def report(done, total, step):
            doing = f"checking {step.what}" if step.kind == "check" else "running cells"
            bar.update(task, completed=done, total=total, description=escape(f"{title}: {doing}"))

        yield report
