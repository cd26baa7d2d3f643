"""What ``enm5310 watch`` shows: the part and its bar, the current exercise and why it is not right, the keys."""

import time

from rich.console import Group
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from enm5310.practice import runner, screens

KEYS = {"h": "hint", "n": "next", "s": "solution", "a": "check all", "q": "quit"}


def points(judged):
    return sum(j.points for j in judged), sum(j.max_points for j in judged)


def summary(state, part):
    """'7 of 26 points: 3 right, 1 wrong, 6 not attempted; 1.2 You divided by n - 1 ...' of the first that fails."""
    judged = [state.judged[e.id] for e in state.exercises[part]]
    first = next((j for j in judged if j.state in ("wrong", "partly right")), None)
    why = f"; {first.id} {first.state}: {first.message or first.title}" if first else ""
    return screens.totals(judged).plain + why


def farewell(state):
    got, most = points(state.judged.values())
    return f"You have {got} of {most} points; `enm5310 watch` goes on from here."


class Screen:
    """All of it, for a terminal of any size: what does not fit is cut off above the keys."""

    def __init__(self, state):
        self.state = state

    def __rich_console__(self, console, options):
        height = options.height or console.size.height
        free = options.update(width=min(options.max_width, screens.WIDTH), height=None)
        foot = console.render_lines(_keys(), free, pad=False)[:height]
        head = console.render_lines(_above(self.state, free.max_width), free, pad=False)[: height - len(foot)]
        blank = [[]] * (height - len(foot) - len(head))
        for row in (*head, *blank, *foot):
            yield from (*row, Segment.line())


def _keys():
    parts = [part for key, what in KEYS.items() for part in ((f" {key} ", "reverse"), f" {what}  ")]
    return Text.assemble(*parts)


def _above(state, width):
    judged = [state.judged[e.id] for e in state.exercises[state.part]]
    lines = [
        Text.assemble((state.part, "bold"), f"  {_doing(state)}"),
        _bar(*points(judged), width, "points"),
        _bar(*points(state.judged.values()), width, "in all parts"),
        Text(),
        *_current(state),
        Text(),
        *(_row(j, j.id == state.current.id, width) for j in judged),
    ]
    if state.note:
        lines += [Text(), Text(f"! {runner.line(state.note)}", style="yellow")]
    return Group(*lines)


def _doing(state):
    if state.check is None:
        return "watching: save your notebook to check it"
    return f"checking {state.paths[state.check.path]}, {time.monotonic() - state.check.began:.0f} s"


def _bar(got, most, width, words):
    told = f" {got} of {most} {words}"
    wide = max(5, min(40, width - 26))
    full, line = wide * got // max(1, most), "=" if screens.mark("right") == screens.ASCII["right"] else "\u2501"
    empty = "-" if line == "=" else line  # without colours, and in a picture of ASCII, the ends must differ
    return Text.assemble((line * full, "green"), (empty * (wide - full), "bright_black"), told)


def _current(state):
    e, j = state.current, state.judged[state.current.id]
    yield Text.assemble((f"{e.id} {e.title}", "bold"))
    yield Text(f"{screens.mark(j.state)} {j.state}, {j.points} of {j.max_points} points", style=screens.STYLES[j.state])
    if j.message and j.state != "not attempted":
        yield Text(runner.line(j.message))
    if state.text:
        heading, markdown = state.text
        yield Text(f"{heading}:", style="bold")
        yield Markdown(markdown, code_theme="ansi_dark")


def _row(j, current, width):
    words = f"{'>' if current else ' '} {screens.mark(j.state)} {j.id:<5}{j.title}"
    return Text(words[:width], style="bold" if current else screens.STYLES[j.state])
