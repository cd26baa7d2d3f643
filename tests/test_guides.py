"""The guides for instructors and for those who study alone: their tables, sums, links and commands are true."""

import functools
import re
import shlex
from itertools import accumulate, chain

import pytest
import typer

from enm5310 import cli, course
from tests.benchmarks import course as benchmark
from tests.benchmarks.harness import OURS, Contender, Requirement
from tests.notebooks import ROOT, cells, every_exercise, source

FOLDER = ROOT / "lectures"
GUIDES = "INSTRUCTORS.md", "SELF_STUDY.md"
PER_PART = [(10, 26), (6, 18), (9, 26), (10, 30), (8, 28), (9, 28), (9, 30), (5, 14)]  # exercises, points
HOURS = {"an hour and a half": 90, "two hours": 120, "two and a half hours": 150, "three hours": 180}
LECTURES = ["00_start_here", *course.PARTS]


@functools.cache
def text(guide):
    return (FOLDER / guide).read_text(encoding="utf-8")


def prose(guide):
    """The text as one line."""
    return " ".join(text(guide).split())


def tables(guide):
    """[(heading above, rows as {column: cell})] of a guide."""
    found, heading, lines = [], "", text(guide).splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|") or set(line) <= set("|- "):
            continue
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if not before.startswith("|"):
            columns = row
            found.append((heading, []))
        else:
            found[-1][1].append(dict(zip(columns, row, strict=True)))
    return found


def rows(guide, column):
    """All rows of the tables that have this column."""
    return [row for _, table in tables(guide) for row in table if column in row]


@functools.cache
def minutes():
    """{exercise's id: the estimate}"""
    return {row["id"]: int(row["min"]) for row in rows("INSTRUCTORS.md", "difficulty")}


def number(cell):
    return int(cell or 0)


def part(id):
    return int(id.split(".")[0])


def expanded(words):
    """The ids in words such as "1.2-1.4, 3.1"."""
    ids = []
    for span in filter(None, words.split(", ")):
        first, _, last = span.partition("-")
        n, m = (int(id.split(".")[1]) for id in (first, last or first))
        ids += [f"{part(first)}.{i}" for i in range(n, m + 1)]
    return ids


def asked(step):
    """The exercises of a line of a schedule; the table for an evening has none."""
    return expanded(step.get("exercises for credit", step.get("exercises", "")))


def clock(minutes):
    return f"{minutes // 60} h {minutes % 60:02}"


# -------------------- exercises --------------------


def test_the_course_has_66_exercises_and_200_points():
    exercises = every_exercise()
    assert (len(exercises), sum(e.max_points for e in exercises)) == (66, 200)
    parts = [[e for e in exercises if part(e.id) == p] for p in range(1, 9)]
    assert [(len(es), sum(e.max_points for e in es)) for es in parts] == PER_PART


def test_the_table_lists_every_exercise_as_its_check_declares_it():
    listed = [(row["id"], row["exercise"], row["points"]) for row in rows("INSTRUCTORS.md", "difficulty")]
    assert listed == [(e.id, e.title, str(e.max_points)) for e in every_exercise()]
    assert "66 exercises and 200 points" in prose("SELF_STUDY.md")


def test_minutes_and_difficulty_are_plausible_and_mistakes_are_named():
    for row in rows("INSTRUCTORS.md", "difficulty"):
        assert number(row["min"]) % 5 == 0 < number(row["min"]) and row["difficulty"] in {"1", "2", "3"}, row["id"]
        assert row["mistakes it names"].count(";") >= 1, row["id"]


@pytest.mark.parametrize("number", range(1, 9))
def test_the_minutes_of_a_part_add_up_to_what_its_notebook_says(number):
    name, (count, points) = course.PARTS[number - 1], PER_PART[number - 1]
    opening = " ".join(source(cells(ROOT / "exercises" / name / f"{name}.ipynb")[0]).split())
    about = re.search(r"points, about (.+?)\. They go", opening)[1]
    assert sum(m for id, m in minutes().items() if part(id) == number) == HOURS[about]
    assert f"{name}.ipynb), {count} exercises, {points} points." in prose("INSTRUCTORS.md")


def test_exercises_named_in_the_text_exist_and_those_that_train_are_all_named():
    known = {e.id for e in every_exercise()}
    for guide in GUIDES:
        named = set(re.findall(r"(?<![\d.])[1-9]\.\d{1,2}(?![\d.]*\d)", text(guide).replace("Python 3.11", "")))
        assert named <= known
    trains = re.search(r"training exercises do \(([^)]+)\)", text("SELF_STUDY.md"))[1]
    assert trains.split(", ") == [e.id for e in every_exercise() if e.slow]


# -------------------- lectures --------------------


def stated(name):
    """(minutes to read, seconds to run) as a lecture's first cell says them."""
    opening = source(cells(FOLDER / f"{name}.ipynb")[0])
    return tuple(int(n) for n in re.search(r"(\d+) minutes to read · (\d+) seconds to run", opening).groups())


def test_the_table_of_lectures_says_what_the_lectures_and_their_list_say():
    *listed, everything = rows("INSTRUCTORS.md", "run, s")
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(listed) == len(LECTURES)
    for i, (row, name) in enumerate(zip(listed, LECTURES, strict=True)):
        slides, read = re.search(rf"^\| \[{name}\]\S+ \| (\S*) ?\| (\d+) \|", overview, re.M).groups()
        assert row["lecture"].startswith(f"{i} [") and f"]({name}.ipynb)" in row["lecture"]
        assert (int(row["reading, min"]), int(row["run, s"])) == stated(name) and row["reading, min"] == read
        assert row["slides"] == slides
        mine = [id for id in minutes() if part(id) == i]
        assert number(row["exercises, min"]) == sum(minutes()[id] for id in mine)
        assert (number(row["exercises"]), number(row["points"])) == ((0, 0), *PER_PART)[i]
    for column in ("reading, min", "run, s", "exercises", "points", "exercises, min"):
        assert number(everything[column]) == sum(number(row[column]) for row in listed), column


def needs():
    """{part: the lectures that it needs}"""
    return {int(row["part"]): {int(p) for p in row["needs"].split(", ") if p}
            for row in rows("SELF_STUDY.md", "needs")}  # fmt: skip


def test_every_part_needs_only_earlier_ones_and_there_is_an_order_for_each():
    assert list(needs()) == list(range(1, 9))
    assert all(max(wanted, default=0) < p for p, wanted in needs().items())


# -------------------- schedules --------------------

SCHEDULES = [(guide, i) for guide in GUIDES for i, (_, table) in enumerate(tables(guide)) if "lectures" in table[0]]


def test_there_are_three_schedules_and_three_routes():
    assert [guide for guide, _ in SCHEDULES] == ["INSTRUCTORS.md"] * 3 + ["SELF_STUDY.md"] * 3
    assert [len(tables(guide)[i][1]) - 1 for guide, i in SCHEDULES] == [5, 2, 4, 4, 2, 4]


@pytest.mark.parametrize(("guide", "i"), SCHEDULES)
def test_a_schedule_adds_up(guide, i):
    points = {e.id: e.max_points for e in every_exercise()}
    *steps, everything = tables(guide)[i][1]
    sums = dict.fromkeys(("reading", "exercises", "points"), 0)
    for step in [*steps, everything]:
        ids = asked(step)
        if step is not everything:
            sums["reading"] += (reading := sum(stated(LECTURES[int(n)])[0] for n in step["lectures"].split(", ")))
            sums["exercises"] += (work := sum(minutes()[id] for id in ids))
            sums["points"] += (worth := sum(points[id] for id in ids))
        else:
            reading, work, worth = sums["reading"], sums["exercises"], sums["points"]
        assert int(step["reading, min"]) == reading
        if "together" in step:
            assert (int(step["exercises, min"]), int(step["points"])) == (work, worth)
            assert step["together"] == clock(reading + work)


@pytest.mark.parametrize(("guide", "i"), SCHEDULES)
def test_a_schedule_reads_everything_once_and_before_it_is_needed(guide, i):
    steps = tables(guide)[i][1][:-1]
    lectures = [[int(n) for n in step["lectures"].split(", ")] for step in steps]
    ids = [asked(step) for step in steps]
    flat, every = list(chain(*lectures)), list(chain(*ids))
    assert flat == sorted(set(flat)) and flat[0] == 0
    assert len(every) == len(set(every))
    for read, exercises in zip(accumulate(lectures), ids, strict=True):
        assert {part(id) for id in exercises} <= set(read)
        assert all(needs()[lecture] <= set(read) for lecture in read if lecture)


def test_four_weeks_are_everything_and_the_longest_route_has_all_lectures():
    (_, four), (_, month) = tables("INSTRUCTORS.md")[SCHEDULES[2][1]], tables("SELF_STUDY.md")[SCHEDULES[5][1]]
    assert list(chain(*map(asked, four[:-1]))) == list(minutes())
    for table in (four, month):
        assert ", ".join(step["lectures"] for step in table[:-1]) == ", ".join(map(str, range(9)))
    left = [id for id in minutes() if id not in chain(*map(asked, month[:-1]))]
    assert f"The {len(left)} exercises that this route leaves out, about nine hours" in prose("SELF_STUDY.md")
    assert sum(minutes()[id] for id in left) == pytest.approx(9 * 60, abs=30)
    assert all(4 * 60 - 15 <= int(s["reading, min"]) + int(s["exercises, min"]) <= 4 * 60 for s in month[:-1])


# -------------------- links and commands --------------------


def anchors(markdown):
    """The names that GitHub gives to headings."""
    heads = re.findall(r"^#+ (.+)$", markdown, re.M)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_somewhere(guide):
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text(guide)) if not link.startswith("https://")]
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        target = (FOLDER / path).resolve() if path else FOLDER / guide
        assert target.is_file(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link
        if guide == "SELF_STUDY.md":  # `enm5310 start` copies these two folders and nothing else
            assert target.is_relative_to(FOLDER) or target.is_relative_to(ROOT / "exercises"), link


def commands(guide):
    """Every `enm5310 ...` of a guide, as words: in code spans and in indented lines."""
    spans = re.findall(r"`(enm5310 [^`]+)`", prose(guide))
    lines = re.findall(r"^ {4,}(enm5310 .+)$", text(guide), re.M)
    return [shlex.split(line)[1:] for line in [*spans, *lines]]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_exists_with_these_arguments(guide):
    root = typer.main.get_command(cli.app)
    seen = set()
    for name, *words in commands(guide):
        command, seen = root.commands[name], seen | {name}
        if hasattr(command, "commands"):  # a group, such as `data`
            name, *words = words
            command = command.commands[name]
        if words:  # else only the command's name is mentioned
            command.make_context(name, words).close()  # raises for what the command line would refuse
    options = {option for command in root.commands.values() for p in command.params for option in p.opts}
    assert set(re.findall(r"`(--[\w-]+)", text(guide))) <= options
    wanted = {"INSTRUCTORS.md": {"doctor", "grade", "report", "feedback", "export", "release", "start"},
              "SELF_STUDY.md": {"start", "doctor", "check", "progress", "hint", "solution", "data"}}  # fmt: skip
    assert seen >= wanted[guide]


# -------------------- the benchmark that runs them all --------------------


def test_the_benchmark_has_every_notebook_and_the_lectures_own_budgets():
    there = benchmark.notebooks()
    assert list(there) == [f"lectures/{name}" for name in LECTURES] + [f"solutions/{name}" for name in course.PARTS]
    budgets = [benchmark.stated(path) for path in there.values()]
    assert budgets == [stated(name)[1] for name in LECTURES] + [None] * 8


@pytest.mark.parametrize(("slow", "met"), [(1, True), (2, False), (9, False)])
def test_the_benchmark_judges_each_lecture_and_the_sum(slow, met):
    """Every lecture takes its budget, but lecture 1 `slow` times as long; solutions take 60 s each."""
    seconds = {path: float(benchmark.stated(path) or 60) for path in benchmark.notebooks().values()}
    seconds[FOLDER / "01_pca.ipynb"] *= slow
    line = benchmark.measure([Contender(OURS, seconds.get), *benchmark.CONTENDERS[1:]])
    assert line.timings[OURS].median == sum(seconds.values()) and line.timings["allowed"].median == 12 * 60
    assert line.met is met and line.against == "allowed"
    promised = stated("01_pca")[1]
    assert Requirement("lectures/01_pca, s", slow * promised, promised) in line.requirements
    assert len(line.requirements) == 9 and "solutions/08_generative_models 60.0" in line.notes[1]


def test_the_benchmark_fails_above_twelve_minutes_even_if_every_lecture_keeps_its_budget():
    def seconds(path):
        return benchmark.stated(path) or 100

    line = benchmark.measure([Contender(OURS, seconds), *benchmark.CONTENDERS[1:]])
    assert all(r.value <= r.limit for r in line.requirements) and line.met is False
