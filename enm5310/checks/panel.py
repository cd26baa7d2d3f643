"""How far you are, in a notebook: ``check.progress()`` shows the part's exercises and the points of all parts.

What was checked in this kernel counts, else what ``enm5310 check`` has remembered; nothing is written.
"""

import html
import os
from typing import NamedTuple

from enm5310 import course
from enm5310.checks import report


class Row(NamedTuple):
    """One exercise as last seen."""

    id: str
    title: str
    state: str
    points: int
    max_points: int


class Panel:
    """The exercises of a part (rows), and {part: (points, of how many)}; ``repr`` says the same as the HTML."""

    def __init__(self, part, rows, totals):
        self.part, self.rows, self.totals = part, rows, totals
        self.next = next((r for r in rows if r.state in ("wrong", "partly right")), None) or next(
            (r for r in rows if r.state == "not attempted"), None)  # fmt: skip

    @property
    def goes_on(self):
        return f"Next: {self.next.id} {self.next.title}" if self.next else "Everything in this part is right."

    def __repr__(self):
        rows = [f"{r.id:<5} {report.MARKS[r.state]} {r.state:<13} {r.points}/{r.max_points}  {r.title}"
                for r in self.rows]  # fmt: skip
        bars = [f"{part:<24} {got:>3} of {most} points" for part, (got, most) in self.totals.items()]
        return "\n".join([self.part, *rows, self.goes_on, "", *bars])

    def _repr_html_(self):
        head = "".join(f"<th scope='col' style='text-align:left'>{w}</th>" for w in ("Exercise", "State", "Points"))
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(f'{r.id} {r.title}')}</th>"
            f"<td style='text-align:left;border-left:4px solid {report.COLOURS[r.state]}'>"
            f"{report.MARKS[r.state]} {r.state}</td><td style='text-align:left'>{r.points} of {r.max_points}</td></tr>"
            for r in self.rows
        )
        bars = "".join(
            f"<tr><th scope='row' style='text-align:left'>{part}</th><td>{_bar(got, most)}</td>"
            f"<td style='text-align:left'>{got} of {most} points</td></tr>"
            for part, (got, most) in self.totals.items()
        )
        caption = "<caption style='text-align:left;font-weight:bold'>"
        return (
            f"<table>{caption}{self.part}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p><b>{html.escape(self.goes_on)}</b></p>"
            f"<table>{caption}All parts</caption><tbody>{bars}</tbody></table>"
        )


def _bar(got, most):
    """For the eye alone; the points beside it are the text."""
    full = 100 * got / max(1, most)
    return (
        "<div aria-hidden='true' style='width:12em;height:.7em;border:1px solid #888888'>"
        f"<div style='width:{full:.0f}%;height:100%;background:{report.COLOURS['right']}'></div></div>"
    )


def of(module):
    """The function ``progress`` of a part's module of checks."""
    number = int(module.rpartition("part")[2])

    def progress():
        """How far you are: the exercises of this part, the next one, and the points of all parts."""
        from enm5310.practice import plan

        remembered = _remembered()
        rows = {part: [_row(e, remembered.get(e.id)) for e in plan.exercises(part)] for part in plan.parts()}
        totals = {part: (sum(r.points for r in of), sum(r.max_points for r in of)) for part, of in rows.items()}
        part = course.PARTS[number - 1]
        return Panel(part, rows[part], totals)

    return progress


def _row(e, known):
    if e.verdict is not None:
        return Row(e.id, e.title, e.verdict.state, e.verdict.points, e.max_points)
    if known is not None and known["state"] in report.MARKS:
        return Row(e.id, e.title, known["state"], known["points"], e.max_points)
    return Row(e.id, e.title, "not attempted", 0, e.max_points)


def _remembered():
    """{id: verdict} of the course folder around the notebook; nothing while it is graded, or where there is none."""
    from enm5310.practice import Problem, places, progress

    if os.environ.get("NBGRADER_EXECUTION"):
        return {}
    try:
        return progress.load(places.here())[0].verdicts
    except Problem:
        return {}
