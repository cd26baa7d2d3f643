"""How a verdict is told: a bare number for nbgrader, text for the terminal, HTML for the notebook."""

import html
from typing import NamedTuple


class Part(NamedTuple):
    """One named property of an answer: its weight (0 = gate) and, when it fails, why."""

    words: str
    weight: int
    why: str | None


MARKS = {"right": "\u2713", "partly right": "\u25d0", "wrong": "\u2717", "not attempted": "\u25cb"}
# Okabe & Ito's colour-blind-safe palette; the mark and the words say the same
COLOURS = {"right": "#009E73", "partly right": "#E69F00", "wrong": "#D55E00", "not attempted": "#888888"}
ANSI = {"right": "\x1b[32m", "partly right": "\x1b[33m", "wrong": "\x1b[31m", "not attempted": "\x1b[2m"}


class Report:
    """The verdict on one exercise: ``repr`` is the points (nbgrader reads text/plain), ``str`` the text."""

    def __init__(self, exercise, verdict):
        self.exercise, self.verdict = exercise, verdict
        self.state, self.points, self.message, self.mistake = (
            verdict.state, verdict.points, verdict.message, verdict.mistake)  # fmt: skip
        self.max_points, self.seed = exercise.max_points, verdict.seed

    def __repr__(self):
        return f"{self.points:g}"

    def __str__(self):
        return "\n".join(self._lines())

    @property
    def headline(self):
        e = self.exercise
        return f"{e.id} {e.title}: {self.state}, {self.points} of {self.max_points} point{'s' * (self.max_points != 1)}"

    def _lines(self):
        yield f"{MARKS[self.state]} {self.headline}"
        if self.message:
            yield self.message
        if self.state != "not attempted":
            yield from (self._part(part) for part in self.verdict.parts)
        if self.verdict.printed:
            yield "Your code printed:"
            yield from (f"    {line}" for line in self.verdict.printed[:12])
        yield self.footer

    def _part(self, part):
        weight = f" ({part.weight})" if part.weight else " (required)"
        why = f": {part.why}" if part.why and not self._said(part) else ""
        return f"  {MARKS['wrong' if part.why else 'right']} {part.words}{weight}{why}"

    def _said(self, part):
        """Whether the message above the parts is this part's already."""
        return self.message in (part.why, f"{part.words}: {part.why}")

    @property
    def footer(self):
        e, call = self.exercise, f"check.{self.exercise.name}"
        stuck = "" if self.state == "right" else f" | stuck? {call}.hint()"
        return f"slide {e.slide} | replay: {call}({', '.join(e.of)}, seed={self.seed}){stuck}"

    def _repr_html_(self):
        rows = "".join(
            f"<div>{MARKS['wrong' if p.why else 'right']} {html.escape(p.words)}"
            f" <span style='opacity:.65'>({p.weight or 'required'})</span>"
            + (f" &ndash; {html.escape(p.why)}" if p.why and not self._said(p) else "")
            + "</div>"
            for p in self.verdict.parts
        )
        printed = "".join(f"{html.escape(line)}\n" for line in self.verdict.printed[:12])
        return (
            f"<div role='status' style='border-left:5px solid {COLOURS[self.state]};padding:.3em .8em;line-height:1.5'>"
            f"<div><b>{MARKS[self.state]} {html.escape(self.headline)}</b></div>"
            + (f"<div>{html.escape(self.message)}</div>" if self.message else "")
            + rows
            + (f"<details><summary>Your code printed</summary><pre>{printed}</pre></details>" if printed else "")
            + f"<div style='opacity:.65;font-size:.85em'>{html.escape(self.footer)}</div></div>"
        )


class _Shown(Exception):
    """An exception that carries a report and shows it in a notebook in place of a traceback."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report

    def _render_traceback_(self):
        """IPython shows these lines instead of the frames of our own code."""
        first, *rest = str(self.report).splitlines()
        return [f"{ANSI[self.report.state]}{first}\x1b[0m", *rest]


class CheckFailed(_Shown, AssertionError):
    """Nothing earned; the message is the report."""


class NotAttempted(_Shown, NotImplementedError):
    """The stub is untouched; the message is the report."""
