"""What an experiment gives, what is kept of it, and the page that shows all of them.

`lectures/reproductions/NAME.json` and the pictures beside it are written by the command alone; so is the page.
"""

import datetime
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[3] / "lectures" / "reproductions"
PAGE = FOLDER.parent / "REPRODUCTIONS.md"

TOP = """# Papers, reproduced

The papers' numbers beside ours. Every section is written by its command, on the machine named in it; a number that we
could not reach stands here too, with why. Hyper-parameters were chosen on training images held out, the last 10,000;
nothing was chosen by the test images. All with the library in NumPy, without a GPU.

    python -m tests.benchmarks reproduce NAME

"""


class Row(NamedTuple):
    """One quantity: what the paper prints ("-": nothing) and what came out here."""

    what: str
    paper: str
    ours: str
    remark: str = ""


class Result(NamedTuple):
    """What `run(say)` of an experiment returns."""

    rows: list  # of Row
    how: list  # sentences: data, network, optimiser, hyper-parameters and how they were chosen, seeds
    figures: dict  # name -> (matplotlib figure, alternative text)
    remarks: tuple = ()  # sentences: what is seen, what was not reached and why


def keep(name, experiment, say, machine):
    """Run an experiment; its numbers as NAME.json and its figures as NAME_FIGURE.png in FOLDER: the record."""
    began, wall, processor = datetime.date.today(), time.perf_counter(), time.process_time()
    result = experiment.run(say)
    minutes = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob(f"{name}_*.png"):
        old.unlink()
    for figure, (drawn, _) in result.figures.items():
        drawn.savefig(FOLDER / f"{name}_{figure}.png", dpi=110, bbox_inches="tight", facecolor="white")
    record = {
        "name": name, "title": experiment.TITLE, "paper": experiment.PAPER, "date": began.isoformat(),
        "minutes": {clock: round(seconds / 60, 2) for clock, seconds in minutes.items()}, "machine": machine,
        "how": result.how, "rows": [row._asdict() for row in result.rows], "remarks": list(result.remarks),
        "figures": {f"{name}_{figure}.png": alt for figure, (_, alt) in result.figures.items()},
    }  # fmt: skip
    whole = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    half = FOLDER / f"{name}.json.part"
    half.write_text(whole, encoding="utf-8")
    os.replace(half, FOLDER / f"{name}.json")
    return record


def records(names):
    """The records that are there, in the order of names."""
    files = [FOLDER / f"{name}.json" for name in names]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def page(names):
    """All of REPRODUCTIONS.md."""
    found = records(names)
    missing = [name for name in names if name not in {r["name"] for r in found}]
    waiting = f"Not run yet: {', '.join(missing)}.\n\n" if missing else ""
    return TOP + waiting + "\n".join(section(record, FOLDER.name) for record in found)


def section(record, pictures):
    """One experiment in Markdown."""
    m, machine = record["minutes"], record["machine"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    lines = [
        f"## {record['title']}", "", f"{record['paper']}", "",
        "| | paper | here | |", "|---|--:|--:|---|",
        *(_row(row.values()) for row in record["rows"]), "",
        *(f"![{alt}]({pictures}/{file})\n" for file, alt in record["figures"].items()),
        *(f"{sentence}\n" for sentence in record["remarks"]),
        f"**How.** {' '.join(record['how'])}", "",
        f"`python -m tests.benchmarks reproduce {record['name']}`, {record['date']}: {m['wall']:.1f} minutes, "
        f"{m['processor']:.1f} of processor time; {machine['processor']}, {threads}, load {machine['load']} at the "
        f"start, Python {machine['python']}, NumPy {machine['numpy']}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _row(cells):
    escaped = (cell.replace("|", "\\|") for cell in cells)  # a bar in the words opens no column
    return f"| {' | '.join(escaped)} |"
