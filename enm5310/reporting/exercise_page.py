"""One exercise of a student's page: what was tested, what was wrong, what to reread, and the student's own cells."""

import html
import re

from enm5310 import course
from enm5310.reporting import pages
from enm5310.reporting.pages import state, text, words
from enm5310.reporting.showing import CODE, coloured


def section(result, test, comments, sheet):
    cell, line, exercise, made = result.cell, result.line, result.exercise, ""
    auto, manual = comments.get((cell.notebook, cell.name), (None, None))
    if cell.extra:
        made += f"<p>Extra credit in it: {pages.worth(cell.extra)}.</p>\n"
    if line and line["message"] and line["state"] != "right":
        label = "A usual mistake: " if line.get("mistake") else ""
        made += f'<p class="say">{label}{words(sheet.without_places(line["message"]))}</p>\n'
    if exercise:
        made += _tested(exercise, line, test)
        if line["state"] != "right":
            made += f"<p>To reread: slide {text(exercise.slide)}, notebook {text(course.part_of(exercise.id))}.</p>\n"
    elif test is not None:
        made += _shown_test(test)
    if manual:
        made += f'<h3>Comment</h3>\n<p class="say comment">{text(manual)}</p>\n'
    elif auto:
        made += f'<p class="muted">{text(auto)}</p>\n'
    return made


def _tested(exercise, line, test):
    """The parts of a check of ours in words, and which of them held."""
    held, rows, told = _held(exercise, line, test), [], {line["message"]}
    for part, weight in exercise.parts.items():
        worth = pages.count(weight, "point") if weight else "required"
        passed, why = held.get(part, (None, ""))
        mark = {None: "", True: state("right", "holds") + ": ", False: state("wrong", "does not hold") + ": "}[passed]
        new = why and why not in told
        told.add(why)
        rows.append(f"<li>{mark}{words(part)} ({worth})" + (f"<p>{words(why)}</p>" if new else "") + "</li>")
    said = words(", ".join(f"`{name}`" for name in exercise.of))
    return f"<h3>What was tested of {said}</h3>\n<ul class=\"tested\">{''.join(rows)}</ul>\n"


def _held(exercise, line, test):
    """{part: (whether it held, why not)}, from the report in the outputs of the test cell."""
    if line["state"] == "right":
        return dict.fromkeys(exercise.parts, (True, ""))
    if line["state"] == "not attempted" or test is None:
        return {}
    shown, found = _report(test), {}
    for part in exercise.parts:
        match = re.search(rf"^  ([\u2713\u2717]) {re.escape(part)} \((?:\d+|required)\)(?:: (.*))?$", shown, re.M)
        if match:
            found[part] = match[1] == "\u2713", match[2] or ""
    return found


def _report(test):
    """The lines of a check's report, as its text has them: of an error its traceback, else made from its HTML."""
    for output in test.get("outputs", ()):
        if output.get("output_type") == "error":
            return "\n".join(output["traceback"])
        made = output.get("data", {}).get("text/html", "")
        rows = re.findall(r"<div>([\u2713\u2717] [^<]*) <span[^>]*>(\([^)]*\))</span>(?: &ndash; ([^<]*))?</div>", made)
        if rows:
            return "\n".join(f"  {html.unescape(words)} {weight}" + (f": {html.unescape(why)}" if why else "")
                             for words, weight, why in rows)  # fmt: skip
    return ""


def _shown_test(test):
    """The part of another course's test that students were given, and how much is not shown."""
    source, _, hidden = test["source"].rpartition("# hidden tests: ")
    if not hidden.isdigit():
        source, hidden = test["source"], "0"
    if test["cell_type"] != "code":
        return ""
    shown = coloured(source[:CODE].rstrip())
    made = f"<h3>How it was tested</h3>\n{pages.pre(f'<code>{shown}</code>')}\n" if shown else ""
    if int(hidden):
        made += "<p>There are more tests, which are not shown.</p>\n" if shown else "<p>The tests are not shown.</p>\n"
    return made


# -------------------- the student's cells --------------------


def pieces(executed, given, sheet):
    """({graded cell: HTML of the student's cells that belong to it}, HTML of those after the last one, {name: test}).

    A test is about what was written before it, an answer in words stands in its own cell, a task comes before its
    answer.  given: texts of cells that were not written by the student.
    """
    parts, tests, pending, task = {}, {}, "", None
    for cell in executed["cells"]:
        mine = cell["metadata"].get("nbgrader") or {}
        graded, solution = mine.get("grade"), mine.get("solution")
        name = mine.get("grade_id")
        if mine.get("task"):
            parts[name], tests[name], task = pending, cell, name
            pending = ""
        elif graded and not solution and cell["cell_type"] == "code":
            parts[name], tests[name], pending, task = pending, cell, "", None
        elif graded:
            parts[name], tests[name] = pending + sheet.cell(cell), {"cell_type": "markdown", "source": ""}
            pending, task = "", None
        elif solution or (not mine and cell["source"].strip() not in given):
            task = None if solution else task
            if task:
                parts[task] += sheet.cell(cell)
            else:
                pending += sheet.cell(cell)
    return parts, pending, tests
