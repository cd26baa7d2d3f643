"""``enm5310 report``: one page for the instructor about a graded class: what to teach again, and what to look at."""

import json
import re
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from enm5310.grading import course
from enm5310.practice import Problem
from enm5310.practice.progress import write
from enm5310.practice.runner import line
from enm5310.reporting import records, report_page, results


class Asked(NamedTuple):
    """What was typed."""

    assignment: str
    output: Path | None = None
    json: Path | None = None


def report(asked):
    """Writes the page; the exit code."""
    here = course.find()
    found = summary(records.read(here, asked.assignment))
    path = asked.output or here.ours / "reports" / f"{asked.assignment}.html"
    if path.suffix not in (".html", ".htm") or path.is_dir():
        raise Problem(f"--output {path} is no page: name a file that ends in .html")
    write(path, report_page.page(found).encode("utf-8"))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for mistake in found["mistakes"][:5]:
        print(f"{mistake['students']:>4}  {line(mistake['exercise'])}: {line(mistake['message'])}")
    print(f"report on {len(found['submissions'])} submissions of {asked.assignment}: {line(str(path))}")
    return 0


def summary(graded):
    """What the page tells, as plain data."""
    found = {student: results.record_of(graded, student) for student in graded.standings}
    every = {student: [result for name in graded.notebooks for result in results.of(record, standing, name)]
             for (student, record), standing in zip(found.items(), graded.standings.values(), strict=True)}  # fmt: skip
    titles = _titles(every, graded.notebooks)
    submissions = [_submission(graded.standings[student], found[student], every[student], titles) for student in found]
    scored = [s["score"] for s in submissions if s["score"] is not None]
    partial = sum(s["score"] is not None and bool(s["waits"]) for s in submissions)
    return {
        "assignment": graded.assignment, "max_score": graded.max_score, "submissions": submissions,
        "scores": scored, "partial": partial, "mean": statistics.fmean(scored) if scored else None,
        "median": statistics.median(scored) if scored else None,
        "exercises": _exercises(every, titles, submissions), "mistakes": _mistakes(every, titles, named=True),
        "messages": _mistakes(every, titles, named=False), "notes": _notes(found), "damaged": list(graded.damaged),
        "absent": [standing.student for standing in graded.absent],
        "sandboxes": dict(Counter(_sandboxes(found))),
    }  # fmt: skip


# -------------------- submissions --------------------


def _submission(standing, record, mine, titles):
    seconds = record.seconds if record else None
    memory = max([n.record.get("memory", 0) for n in record.notebooks.values()], default=0) if record else 0
    reasons = [record.lost] if record and record.lost else []
    for name, notebook in record.notebooks.items() if record and not record.lost else ():
        reasons += [f"{name}: {notebook.record.get('reason') or 'not readable'}"] if notebook.text is None else []
    none = all(cell.auto is None and cell.manual is None for cell in standing.cells.values())
    if record is None and none:
        reasons = ["grading was interrupted, or went wrong: grade it again"]
    waits = [] if reasons else [titles[_key(result)] for result in mine if result.cell.waiting]
    return {
        "student": standing.student, "score": None if none else standing.final, "penalty": standing.penalty,
        "late_hours": standing.late.total_seconds() / 3600, "seconds": seconds, "memory": memory,
        "not_gradable": reasons, "waits": waits, "recorded": record is not None,
    }  # fmt: skip


# -------------------- exercises --------------------


def _key(result):
    return result.cell.notebook, result.cell.name


def _titles(every, notebooks):
    """{(notebook, cell): its title}, in the order of the fullest record."""
    titles = {}
    for mine in sorted(every.values(), key=lambda mine: -sum(result.line is not None for result in mine)):
        for result in mine:
            several = f"{result.cell.notebook}: " if len(notebooks) > 1 else ""
            if result.line is not None or _key(result) not in titles:
                titles[_key(result)] = f"{several}{result.title}"
    return titles


def _exercises(every, titles, submissions):
    found = defaultdict(list)
    for mine in every.values():
        for result in mine:
            found[_key(result)].append(result)
    rows = []
    for key, title in titles.items():
        there = found[key]
        scores = [r.cell.score for r in there if r.cell.auto is not None or r.cell.manual is not None]
        rows.append({
            "title": title, "max_score": there[0].cell.max_score, "kinds": dict(Counter(r.kind for r in there)),
            "said": dict(Counter(r.said for r in there).most_common()),
            "mean": statistics.fmean(scores) if scores else None,
            "waits": sum(title in submission["waits"] for submission in submissions),
        })  # fmt: skip
    return rows


def _mistakes(every, titles, named):
    """The sentences that students read, the most frequent first; numbers differ between students and do not count."""
    found = defaultdict(set)
    for student, mine in every.items():
        for result in mine:
            about = result.line or {}
            said = about.get("mistake") if named else about.get("message")
            if said and about["state"] != "right" and (named or not about.get("mistake")):
                found[titles[_key(result)], said if named else _NUMBER.sub("\u2026", said)].add(student)
    rows = [{"exercise": title, "message": said, "students": len(who)} for (title, said), who in found.items()]
    rows = sorted(rows, key=lambda row: (-row["students"], row["exercise"], row["message"]))
    return rows if named else [row for row in rows if row["students"] > 1][:20]


_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")


# -------------------- what to look at --------------------


def _notes(found):
    """[{"student", "note"}, ...] of what the engine noticed about integrity and about cells that stopped."""
    rows = []
    for student, record in found.items():
        if record is None or record.lost:
            continue
        several = len(record.notebooks) > 1
        told = list(record.notes)
        for name, notebook in record.notebooks.items():
            told += [f"{name}: {note}" if several else note for note in notebook.record.get("notes", ())]
        rows += [{"student": student, "note": note} for note in told]
    return rows


def _sandboxes(found):
    for record in found.values():
        for notebook in record.notebooks.values() if record else ():
            yield notebook.record.get("sandbox", "unknown")
