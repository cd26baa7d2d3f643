"""Each test of a master is tried on the instructor's own solutions, before any student's."""

from enm5310.grading import slices
from enm5310.grading.book import Book
from enm5310.grading.isolated import isolated
from enm5310.grading.repair import Entry


def trial(master, files, limits, box, own):
    """The Master with each test tried on the instructor's own solutions."""
    cells, notes = list(master.cells), []
    for i in master.tests:
        text = slices.runs_text(cells, i)
        if text:
            cells[i] = cells[i]._replace(protected=False)
            notes.append(f"{cells[i].name}: graded inside the sandbox, as it uses {text}: not protected")
    master = master._replace(cells=tuple(cells))
    outside = dry_run(master, files, limits, box, own)
    again = [i for i in outside if not _full(cells[i], outside[i])]
    if again:  # a test may draw random numbers
        tried = dry_run(master, files, limits, box, own, only=again)
        outside |= {i: v for i, v in tried.items() if _full(cells[i], v)}
    failed = [i for i, v in outside.items() if not _full(cells[i], v) and not slices.uses_checks(cells, i)]
    inside = [i for i in master.tests if i not in outside]
    tried = dry_run(master, files, limits, box, own, only=[*inside, *failed], inside=True) if inside or failed else {}
    for i, v in {**outside, **{i: v for i, v in tried.items() if i in inside}}.items():
        cells[i] = cells[i]._replace(number=v.number, changes=v.changes, traits=v.traits)
    for i in failed:
        if _full(cells[i], tried[i]):
            cells[i] = cells[i]._replace(protected=False, number=tried[i].number)
            notes.append(f"{cells[i].name}: passes only beside the student's code and is graded there: not protected")
    for i in master.tests:
        v = outside[i] if i in outside and cells[i].protected else tried[i]
        if v.score < cells[i].points:
            why = f": {v.message}" if v.message else ""
            got = f"{v.score:g} of {cells[i].points:g}"
            notes.append(f"{cells[i].name}: the instructor's own solution earns {got}{why}")
    return master._replace(cells=tuple(cells), notes=tuple(notes))


def _full(cell, verdict):
    return verdict.state == "right" or (verdict.number and verdict.score > 0)


def dry_run(master, files, limits, box, own, only=None, inside=False):
    """{number of a test cell: its Verdict on the instructor's own solutions}, outside the sandbox or inside."""
    entries = [Entry(cell.kind, cell.source, i) for i, cell in enumerate(master.cells)]
    book = Book(entries, master, limits, {}, box, files, own)
    wanted = [i for i in (master.tests if only is None else only) if inside or master.cells[i].protected]
    with book, isolated(book.files):
        judge = book.inside if inside else book.bench.judge_once
        return {i: judge(i, i) for i in wanted}
