"""How grading again looks: scores before and after, and the history of them."""

import json

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from enm5310.grading import regrade
from enm5310.practice import Problem
from enm5310.practice.runner import line
from enm5310.practice.screens import console, plain

MOST = 60  # lines of changes; --json FILE and the history have them all


def show(out, changes, total, rehearsed):
    """What a run has changed, or would change; changes: lines as in the history."""
    first = [change for change in changes if change["why"] == ["first graded"]]
    again = sorted((change for change in changes if change not in first), key=lambda change: change["student"])
    if not rehearsed and not again:
        return
    if again:
        _table(out, again[:MOST])
        if len(again) > MOST:
            out.print(Text(f"! and {len(again) - MOST} more", style="yellow"))
    up, down = (sum(_moved(change) * sign > 0 for change in again) for sign in (1, -1))
    words = f"{up} up, {down} down" + (f", {len(again) - up - down} in parts only" if up + down < len(again) else "")
    verb = "would change" if rehearsed else "changed"
    if again:
        why = ", ".join(sorted({reason for change in again for reason in change["why"]}))
        out.print(Text(f"{len(again)} of {total} scores {verb}: {words} ({why})", style="bold"))
    elif len(first) < total:
        out.print(Text(f"None of {total} scores {verb}", style="bold"))
    if rehearsed and first:
        out.print(Text(f"{len(first)} would be graded for the first time"))
    if rehearsed:
        out.print(Text("Nothing was written. The same command without --dry-run writes it, and grades nothing twice."))


def _table(out, changes):
    short = len({key.partition("/")[0] for change in changes for key in change["cells"]}) < 2
    rows = [(line(change["student"]), _points(change["old"]), _points(change["new"]), _cells(change, short))
            for change in changes]  # fmt: skip
    if plain(out):
        for student, old, new, cells in rows:
            out.print(Text(f"{student}  {old} -> {new}  ({cells})"))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("student", overflow="ellipsis", max_width=24, no_wrap=True)
    for name in ("before", "after"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("where", overflow="fold")
    for change, (student, old, new, cells) in zip(changes, rows, strict=True):
        moved = _moved(change)
        style = "green" if moved > 0 else "red" if moved < 0 else "yellow"
        table.add_row(Text(student), old, Text(new, style=style), Text(cells))
    out.print(Padding(table, (1, 0)))


def _moved(change):
    return (change["new"] or 0) - (change["old"] or 0)


def _points(score):
    return "-" if score is None else format(score, ".6g")


def _cells(change, short):
    parts = [f"{line(key.partition('/')[2] if short else key)} {_points(old)} -> {_points(new)}"
             for key, (old, new) in change["cells"].items()]  # fmt: skip
    return ", ".join(parts[:6]) + (f" and {len(parts) - 6} more" if len(parts) > 6 else "")


def show_history(here, assignment, students=(), file=None):
    """All lines of the history, or those of some students; written to a JSON file, too, if one is named."""
    history = regrade.History(here, assignment)
    lines, damaged = history.read()
    lines = [entry for entry in lines if not students or entry["student"] in students]
    if file is not None:
        document = {"assignment": assignment, "history": lines, "damaged": damaged}
        file.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if damaged:
        many = "1 line is" if damaged == 1 else f"{damaged} lines are"
        console().print(Text(line(f"! {many} damaged and not shown: {history.path}"), style="yellow"))
    if not lines:
        whom = f" of {line(', '.join(students))}" if students else ""
        raise Problem(f"the history of {assignment} has nothing{whom}: `enm5310 grade {assignment}` writes it")
    out = console()
    for entry in lines:
        why = "; ".join(filter(None, (entry.get("because"), ", ".join(entry.get("why") or ()))))
        what = f"{entry['student']}: {_points(entry['old'])} -> {_points(entry['new'])}"
        out.print(Text(line(f"{entry['when']} {what}, by {entry['who']}: {why}")))
    return 0
