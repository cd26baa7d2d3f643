"""One student's page: the score, and for each exercise what was tested, what went wrong and what the student wrote.

The scores are the gradebook's.  The words are ours, or of the instructor's comments; of a hidden test there is nothing
but the fact that there is one.
"""

import json
from typing import NamedTuple

from enm5310.grading import engine
from enm5310.reporting import exercise_page, pages, results
from enm5310.reporting.pages import points, state, text, words, worth
from enm5310.reporting.showing import Sheet


class About(NamedTuple):
    """What is the same for the whole class."""

    assignment: str
    max_score: float
    notebooks: dict  # name -> set of the texts of cells that students were given
    places: tuple = ()  # folders of this machine that no page may name


class Line(NamedTuple):
    """One exercise of the page."""

    anchor: str
    title: str
    result: results.Result
    section: str  # its HTML below the title

    @property
    def state(self):
        return state(self.result.kind, self.result.said)


def page(about, record, standing):
    """(the page, {"status", "score", "max_score"}); record: None when there is none that the gradebook agrees with."""
    sheet = Sheet(about.places)
    lines, loose = [], []
    for name in about.notebooks:
        mine, more = _notebook(about, name, record, standing, sheet, len(lines))
        lines += mine
        loose += more
    status, said = _status(record, standing)
    who = " ".join(filter(None, (standing.first_name, standing.last_name)))
    title = f"{about.assignment}: feedback for {who or standing.student}"
    head = f"<h1>{text(title)}</h1>\n" + (f'<p class="muted">Student {text(standing.student)}</p>\n' if who else "")
    summary = pages.table("Result of each exercise", ("Exercise", "Result", "Score"), [
        (f'<a href="#{line.anchor}">{text(line.title)}</a>', line.state, _points(line.result.cell)) for line in lines
    ], numbers={2})  # fmt: skip
    body = head + _score(about, standing) + "".join(f"<p>{told}</p>\n" for told in said) + summary
    body += "".join(f'<h2 id="{line.anchor}">{text(line.title)}</h2>\n<p>{line.state}, '
                    f"{_points(line.result.cell)}</p>\n{line.section}\n" for line in lines)  # fmt: skip
    body += "".join(loose)
    if sheet.left_out:
        body += f'<p class="muted">{pages.count(sheet.left_out, "more cell")} of yours not shown: the page is full.</p>'
    told = {"status": status, "score": standing.final, "max_score": about.max_score}
    return pages.document(title, body), told


# -------------------- the whole --------------------


def _score(about, standing):
    if all(cell.auto is None and cell.manual is None for cell in standing.cells.values()):
        told = f'<p class="score">No score yet, {points(about.max_score)} points are possible</p>\n'
    else:
        told = f'<p class="score">{points(standing.final)} of {worth(about.max_score)}</p>\n'
    if standing.penalty:
        off = f"{points(standing.penalty)} of {worth(standing.score)}"
        return told + f"<p>Handed in {_duration(standing.late)} late: {off} are taken off.</p>\n"
    return told + f"<p>Handed in {_duration(standing.late)} late.</p>\n" * bool(standing.late)


def _status(record, standing):
    """(a word, sentences as HTML) about the submission as a whole."""
    waiting = sum(cell.waiting for cell in standing.cells.values())
    if record is None:
        if standing.waiting and all(cell.auto is None for cell in standing.cells.values()):
            return "not graded", ["Your work has not been graded yet: grading was interrupted, which is not your "
                                  "fault and costs no points. There will be a new page."]  # fmt: skip
        return "scores only", ["These are the scores in the gradebook; how they came about is not recorded."]
    if record.lost:
        return "not gradable", [f"Your work could not be graded: {_reason(record.lost)}. Ask your teacher how to hand "
                                "it in again."]  # fmt: skip
    if any(notebook.text is None for notebook in record.notebooks.values()):
        return "not gradable", ["Part of your work could not be graded; below is why."]
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        return "needs manual", [f"{pages.count(waiting, 'exercise')} still {verb} for a human; the score can rise."]
    return "graded", []


def _reason(why):
    """Why something could not be graded; of a defect of the grader's, the instructor alone sees what it was."""
    if why.startswith(engine.DEFECT) or "the grader fail" in why or "nbgrader cannot" in why:
        return "the grading program itself failed at it, which is not your fault"
    return words(why)


def _points(cell):
    nothing = cell.auto is None and cell.manual is None
    return f"{chr(0x2013) if nothing else points(cell.score)} of {worth(cell.max_score)}"


def _duration(late):
    minutes = late.total_seconds() / 60
    hours = minutes / 60
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.3g} h" if hours < 72 else f"{hours / 24:.3g} days"


# -------------------- one notebook --------------------


def _notebook(about, name, record, standing, sheet, begun):
    """(its Lines, HTML of what belongs to no exercise)"""
    notebook = record.notebooks.get(name) if record and record.lost is None else None
    parts, rest, tests = ({}, "", {})
    if notebook and notebook.text is not None:
        parts, rest, tests = exercise_page.pieces(json.loads(notebook.text), about.notebooks[name], sheet)
    several, lines = f"{name}: " if len(about.notebooks) > 1 else "", []
    for result in results.of(record, standing, name):
        section = exercise_page.section(result, tests.get(result.cell.name), standing.comments, sheet)
        section += _theirs(parts.get(result.cell.name, ""))
        lines.append(Line(f"exercise-{begun + len(lines) + 1}", f"{several}{result.title}", result, section))
    loose = []
    if record and record.lost is None and notebook is None:
        loose.append(f"<h2>{text(name)}</h2>\n<p>{text(name)}.ipynb was not handed in.</p>\n")
    elif notebook and notebook.text is None:
        loose.append(f"<h2>{text(name)}</h2>\n<p>{text(name)}.ipynb could not be graded: "
                     f"{_reason(notebook.record.get('reason') or 'it cannot be read')}.</p>\n")  # fmt: skip
    elif rest:
        loose.append(f"<h2>{several and text(several)}After the last exercise</h2>\n{_theirs(rest)}")
    return lines, loose


def _theirs(made):
    return f"<h3>What you wrote, and what it showed</h3>\n{made}\n" if made else ""
