"""The page of ``enm5310 report``, from the plain data of ``class_report.summary``."""

import base64

from enm5310.reporting import charts, pages
from enm5310.reporting.pages import count, points, text, words

LINES = 300  # of one list
SLOWEST = 10


def page(found):
    """The whole page, as text."""
    sections = [
        ("Scores", _scores(found)), ("For the next lecture", _mistakes(found)), ("Exercises", _exercises(found)),
        ("To be graded by hand", _waiting(found)), ("Not gradable", _lost(found)),
        ("Nothing handed in", _absent(found)),
        ("Tampering and integrity", _notes(found)), ("Late", _late(found)),
        ("Slowest submissions", _slowest(found)),
    ]  # fmt: skip
    there = [(f"part-{at}", title, made) for at, (title, made) in enumerate(sections, start=1)]
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in there)
    body = "".join(f'<h2 id="{anchor}">{title}</h2>\n{made}\n' for anchor, title, made in there)
    title = f"{found['assignment']}: report on the class"
    head = f"<h1>{text(title)}</h1>\n<p>{_headline(found)}</p>\n{_warnings(found)}<ul>{links}</ul>\n"
    return pages.document(title, head + body)


def _headline(found):
    rows = found["submissions"]
    lost, waiting = sum(bool(r["not_gradable"]) for r in rows), sum(bool(r["waits"]) for r in rows)
    done = len(rows) - lost - waiting
    told = f"{count(len(rows), 'submission')}: {done} graded, {waiting} to be graded by hand, {lost} not gradable."
    absent = len(found["absent"])
    return f"{told} {count(absent, 'more student')} of the gradebook handed nothing in." if absent else told


def _warnings(found):
    made = ""
    if found["sandboxes"].get("none"):
        n = count(found["sandboxes"]["none"], "notebook")
        made += f'<p class="say">{n} ran without a sandbox (--unsafe), with this account\'s rights.</p>\n'
    unrecorded = sum(not row["recorded"] for row in found["submissions"])
    if unrecorded:
        made += (f"<p class=\"say\">{count(unrecorded, 'submission')} without a record that agrees with the gradebook: "
                 "only scores are known. Grading again gives the rest.</p>\n")  # fmt: skip
    if found["damaged"]:
        made += f"<p class=\"say\">Damaged records: {text(', '.join(found['damaged'][:10]))}. Grade these again.</p>\n"
    return made


def _figure(picture):
    data = base64.b64encode(picture.png).decode()
    alt, source = text(picture.alt), f"data:image/png;base64,{data}"
    return f'<figure><img alt="{alt}" width="{picture.width}" src="{source}"></figure>\n'


# -------------------- what was learnt --------------------


def _scores(found):
    n = found["partial"]
    rest = f"; {n} of them still have parts to be graded by hand, which count 0" if n else ""
    if not found["scores"]:
        return "<p>Nobody has a score yet.</p>"
    middle = f"mean {points(found['mean'])}, median {points(found['median'])} of {points(found['max_score'])}"
    told = f"<p>{count(len(found['scores']), 'score')}, {middle}; late penalties are taken off{rest}.</p>\n"
    return told + _figure(charts.scores(found["scores"], found["max_score"]))


def _mistakes(found):
    total = len(found["submissions"])

    def row(mistake):
        share = f"{mistake['students']} ({100 * mistake['students'] / total:.0f} %)"
        return text(mistake["exercise"]), words(mistake["message"]), share

    made = "<p>No answer was a mistake that has a name.</p>\n"
    if found["mistakes"]:
        head = "Exercise", "Mistake", "Students"
        made = pages.table("Mistakes by name, the most frequent first", head, map(row, found["mistakes"][:LINES]), {2})
        made += _more(len(found["mistakes"]), LINES)
    if found["messages"]:
        head = "Exercise", "Message", "Students"
        made += pages.table("Other messages that several students got", head, map(row, found["messages"]), {2})
    return made


def _exercises(found):
    rows = found["exercises"]
    if not rows:
        return "<p>The gradebook has no exercise.</p>"
    counts = [{kind: row["kinds"].get(kind, 0) for kind in charts.KINDS} for row in rows]
    made = _figure(charts.results([row["title"] for row in rows], counts))
    if len(rows) > charts.MOST:
        made += f"<p>The figure shows the first {charts.MOST} of {len(rows)}.</p>\n"
    listed = []
    for row in rows:
        mean = "\u2013" if row["mean"] is None else points(row["mean"])
        said = ", ".join(f"{n} {how}" for how, n in row["said"].items())
        listed.append((text(row["title"]), text(said), f"{mean} of {points(row['max_score'])}"))
    return made + pages.table("Results of each exercise", ("Exercise", "Results", "Mean"), listed, {2})


# -------------------- what to look at --------------------


def _waiting(found):
    rows = [(text(row["student"]), text(", ".join(row["waits"]))) for row in found["submissions"] if row["waits"]]
    if not rows:
        return "<p>Nothing waits for a human.</p>"
    where = words(f"In JupyterLab: `/formgrader/gradebook/{found['assignment']}`.")
    per = [(text(e["title"]), str(e["waits"])) for e in found["exercises"] if e["waits"]]
    return (f"<p>{where}</p>\n" + pages.table("By exercise", ("Exercise", "Answers that wait"), per, {1})
            + _table("By student", ("Student", "Exercises"), rows))  # fmt: skip


def _lost(found):
    rows = [(text(r["student"]), text("; ".join(r["not_gradable"]))) for r in found["submissions"] if r["not_gradable"]]
    return _table("", ("Student", "Why"), rows) if rows else "<p>All submissions could be graded.</p>"


def _absent(found):
    """Names alone: whoever is in the gradebook, by `nbgrader db student import` or for another assignment."""
    if not found["absent"]:
        return "<p>Everybody in the gradebook has handed something in.</p>"
    names = ", ".join(found["absent"][:LINES])
    return f"<p>{text(names)}</p>\n" + _more(len(found["absent"]), LINES)


def _notes(found):
    rows = [(text(row["student"]), text(row["note"])) for row in found["notes"]]
    if not rows:
        return "<p>Nothing was noticed.</p>"
    told = "<p>A note costs no points by itself: most have a harmless reason. Look before you ask.</p>\n"
    return told + _table("What was noticed", ("Student", "Note"), rows)


def _late(found):
    rows = [(text(row["student"]), f"{row['late_hours']:.3g} h", points(row["penalty"]) if row["penalty"] else "none")
            for row in found["submissions"] if row["late_hours"] or row["penalty"]]  # fmt: skip
    head = "Student", "Late by", "Points taken off"
    return _table("", head, rows, {1, 2}) if rows else "<p>Nobody was late.</p>"


def _slowest(found):
    timed = sorted((row for row in found["submissions"] if row["seconds"]), key=lambda row: -row["seconds"])[:SLOWEST]
    if not timed:
        return "<p>No time is recorded.</p>"
    rows = [(text(row["student"]), f"{row['seconds']:.1f} s", _memory(row["memory"])) for row in timed]
    return pages.table("", ("Student", "Time to grade", "Memory"), rows, {1, 2})


def _memory(n):
    return f"{n / 2**20:.0f} MiB" if n else "\u2013"


def _table(caption, head, rows, numbers=()):
    return pages.table(caption, head, rows[:LINES], numbers) + _more(len(rows), LINES)


def _more(n, most):
    return f"<p>{count(n - most, 'more line')} not shown; --json FILE has all.</p>\n" if n > most else ""
