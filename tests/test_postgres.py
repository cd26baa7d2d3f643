"""A gradebook in PostgreSQL, a real server of our own: two graders lose nothing, a restart loses nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from enm5310.grading import command, course, gradebook, regrade, turns
from enm5310.practice import Problem
from tests import courses, test_regrade
from tests.courses import answered, hand_in
from tests.students import call
from tests.test_grade_command import CLASS, summary
from tests.test_gradebook import ERROR, graded

NAMES = "initdb", "pg_ctl", "createdb", "dropdb"


def programs():
    """Where the server's programs lie; Debian's are installed when there are none."""
    for tried in range(2):
        places = [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *Path("/usr/lib/postgresql").glob("*/bin")]
        found = next((place for place in places if all((place / name).is_file() for name in NAMES)), None)
        if found or tried:
            return found
        assert os.geteuid() == 0, "install PostgreSQL"
        for words in (["update", "-qq"], ["install", "-y", "-qq", "postgresql"]):
            subprocess.run(["apt-get", *words], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


@pytest.fixture(scope="session")
def server():
    """run(program, *arguments) for a server that is up, which must not run as root."""
    where = programs()
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # short: its socket's path has room for 107 bytes
        user = "nobody" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)

        def run(program, *arguments):
            subprocess.run([where / program, *arguments], check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")

        def control(*arguments):
            run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", *arguments)

        run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "grader")
        start = "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"
        control(*start)
        try:
            yield SimpleNamespace(folder=folder, run=run, start=lambda: control(*start),
                                  stop=lambda: control("-m", "immediate", "stop"))  # fmt: skip
        finally:
            control("-m", "immediate", "stop")


@pytest.fixture
def address(server):
    """Of an empty database."""
    server.run("createdb", "-h", server.folder, "-U", "grader", "grades")
    yield f"postgresql+psycopg://grader@/grades?host={server.folder}"
    server.run("dropdb", "-f", "-h", server.folder, "-U", "grader", "grades")


@pytest.fixture
def here(address, tmp_path):
    """(Course, Assignment) with a gradebook in PostgreSQL."""
    return courses.entered(courses.make(tmp_path / "course", config=f"c.CourseDirectory.db_url = {address!r}"))


def grades(here):
    """{student: {cell: (auto_score, manual_score, needs_manual_grade)}}"""
    found = {}
    with gradebook._tables().Gradebook(here.db_url, here.id) as book:
        for submission in book.assignment_submissions("ps1"):
            for notebook in submission.notebooks:
                mine = {g.name: (g.auto_score, g.manual_score, g.needs_manual_grade) for g in notebook.grades}
                found[submission.student_id] = mine
    return found


RIGHT = {"test-doubled": (2, None, False), "test-halved": (2, None, False), "why": (None, None, True),
         "draw": (None, None, True)}  # fmt: skip


@pytest.mark.database
def test_a_class(level, address, tmp_path):
    """The command itself with the real engine, nbgrader's export, ours, and a dry run, which copies the database."""
    folder = courses.make(tmp_path / "course", manual=False, config=f"c.CourseDirectory.db_url = {address!r}")
    for student in ("right", "half", "torn"):
        hand_in(folder, student, {"problem1": CLASS[student]})
    out = tmp_path / "out.json"
    for again in (False, True):
        run = call("grade", "ps1", "--json", out, cwd=folder)
        assert run.returncode == 1 and run.stderr == "", run.stdout + run.stderr
        scores = {"right": ("graded", 4), "half": ("graded", 3), "torn": ("not gradable", None)}
        assert summary(json.loads(out.read_text())) == scores and ("unchanged" in run.stdout) == again
    courses.nbgrader(folder, "export")
    table = [line.split(",") for line in (folder / "grades.csv").read_text().splitlines()[1:]]
    assert {line[3]: float(line[9]) for line in table} == {"right": 4, "half": 3, "torn": 0}
    run = call("export", "ps1", "--to", "canvas", cwd=folder)
    assert run.returncode == 1 and run.stderr == ""
    rows = [line.split(",") for line in (folder / "ps1-canvas.csv").read_text().splitlines()[2:]]
    assert {row[3]: row[5] for row in rows} == {"right": "4", "half": "3"}
    hand_in(folder, "half", {"problem1": answered(manual=False)})
    before = grades(course.find(folder))
    run = call("grade", "ps1", "--dry-run", cwd=folder)
    assert "half  3 -> 4  (test-halved 1 -> 2)\n1 of 3 scores would change" in run.stdout, run.stdout + run.stderr
    assert grades(course.find(folder)) == before


# -------------------- several at once --------------------

GRADER = """
import sys, time
from pathlib import Path
from enm5310.grading import course, gradebook, sources, turns
from tests.test_gradebook import ERROR, graded
folder, *students = sys.argv[1:]
here = course.find(folder)
import nbgrader.api, nbgrader.converters
(Path(folder) / "ready").touch()
while not all((Path(folder).parent / name / "ready").exists() for name in "ab"):
    time.sleep(0.01)
with turns.alone(here):
    gradebook.create(here)
    assignment = sources.read(here, "ps1")
with gradebook.Writer(here, assignment) as writer:
    for student in students:
        outputs = {"doubled": ERROR} if student.startswith("b") else {}
        writer.write(graded(assignment, student, **outputs))
"""


@pytest.mark.database
def test_two_graders_at_once_lose_nothing(address, tmp_path):
    """Two machines, each with a folder of its own, begin at the same moment with an empty database."""
    both, runs = [f"both{i}" for i in range(15)], []
    for name in ("a", "b"):
        folder = courses.make(tmp_path / name, config=f"c.CourseDirectory.db_url = {address!r}")
        mine = [f"{name}{i}" for i in range(15)]
        students = [student for pair in zip(mine, both, strict=True) for student in pair]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
        runs.append(subprocess.Popen([sys.executable, "-c", GRADER, str(folder), *students], env=env,
                                     stderr=subprocess.PIPE, text=True))  # fmt: skip
    for run in runs:
        assert run.wait(timeout=200) == 0, run.communicate()[1]
        run.communicate()
    found = grades(course.find(tmp_path / "a"))
    assert set(found) == {*both, *(f"{name}{i}" for name in "ab" for i in range(15))}
    wrong = {**RIGHT, "test-doubled": (0, None, False)}
    for student, cells in found.items():
        assert cells in ([wrong] if student[0] == "b" and student not in both else [RIGHT, wrong]), student
        assert student in both or student[0] == "b" or cells == RIGHT


@pytest.mark.database
def test_a_row_that_another_machine_has_made_since_is_used(here, monkeypatch):
    here, assignment = here
    original, made = gradebook.Writer._assignment, []

    def late(self):  # after it was looked whether the student is there
        if not made:
            with gradebook._tables().Gradebook(here.db_url, here.id) as book:
                made.append(book.add_student("ada", first_name="Ada").id)
        return original(self)

    monkeypatch.setattr(gradebook.Writer, "_assignment", late)
    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment, "ada"))
    assert grades(here) == {"ada": RIGHT} and made == ["ada"]


@pytest.mark.database
def test_assignments_are_made_one_after_the_other(here):
    here, _ = here
    done = []

    def another():
        with turns.alone(here):
            done.append("another")

    with pytest.raises(KeyError), turns.alone(here):
        thread = threading.Thread(target=another)
        thread.start()
        thread.join(timeout=1)
        assert done == []
        raise KeyError  # whatever happens, the next one's turn comes
    thread.join(timeout=20)
    assert done == ["another"]


@pytest.mark.database
def test_a_human_who_grades_meanwhile_waits_and_loses_nothing(here, monkeypatch):
    here, assignment = here
    done = []

    def human():
        with gradebook._tables().Gradebook(here.db_url, here.id) as book:
            found = book.find_grade("test-doubled", "problem1", "ps1", "ada")
            found.manual_score, found.needs_manual_grade = 1.5, False
            book.db.commit()
        done.append("human")

    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment, "ada"))
        from sqlalchemy.orm import Session

        original, threads = Session.bulk_update_mappings, []

        def slowly(self, mapper, rows):  # between what is read and what is written
            if not threads:
                threads.append(threading.Thread(target=human))
                threads[0].start()
                threads[0].join(timeout=2)
                assert done == []
            return original(self, mapper, rows)

        monkeypatch.setattr(Session, "bulk_update_mappings", slowly)
        writer.write(graded(assignment, "ada", doubled=ERROR))
        done.append("grader")
        threads[0].join(timeout=20)
    assert set(done) == {"grader", "human"}
    assert grades(here)["ada"]["test-doubled"] == (0, 1.5, False)


# -------------------- a server that restarts --------------------


@pytest.mark.database
def test_a_restart_while_a_score_is_written_is_waited_for(here, server):
    here, assignment = here
    restarted = []

    def restart(before, written):  # after the rows, before the commit
        if not restarted:
            restarted.append(True)
            server.stop()
            server.start()

    with gradebook.Writer(here, assignment) as writer:
        for number in range(6):
            writer.write(graded(assignment, f"s{number}"), noted=restart if number == 3 else None)
    assert grades(here) == {f"s{number}": RIGHT for number in range(6)} and restarted


@pytest.mark.database
def test_a_run_whose_server_went_away_goes_on_where_it_was(address, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(test_regrade.run.batch, "prepared", test_regrade.in_this_process)
    monkeypatch.setattr(test_regrade.run.batch, "local",
                        lambda keeper, tasks, *_: ((t.student, test_regrade.job.grade(t)) for t in tasks))  # fmt: skip
    monkeypatch.setattr(gradebook, "PATIENCE", 1)
    folder = courses.make(tmp_path / "course", config=f"c.CourseDirectory.db_url = {address!r}")
    monkeypatch.chdir(folder)
    for number in range(5):
        test_regrade.give(folder, f"s{number}", f"doubled 2 halved {number % 3}")
    test_regrade.CALLS.clear()
    add = regrade.History.add

    def away(self, entry):
        add(self, entry)
        if entry["student"] == "s2" and away.once:
            away.once = False
            server.stop()

    away.once = True
    monkeypatch.setattr(regrade.History, "add", away)
    with pytest.raises(Problem, match=r"in use, full or away: .*run the same command again to go on") as why:
        test_regrade.graded()
    assert "\n" not in str(why.value)
    with pytest.raises(Problem, match="cannot be used") as why:  # nor does it begin
        test_regrade.graded()
    assert "\n" not in str(why.value)
    server.start()
    seen = len(test_regrade.CALLS)
    assert test_regrade.graded() == 0 and len(test_regrade.CALLS) == 5 and seen == 3
    assert {s: cells["test-halved"][0] for s, cells in grades(course.find()).items()} == {
        "s0": 0, "s1": 1, "s2": 2, "s3": 0, "s4": 1}  # fmt: skip
    assert {e["student"] for e in test_regrade.lines(folder)} == {"s0", "s1", "s2", "s3", "s4"}


# -------------------- without a server --------------------


def test_a_missing_driver_is_one_line(tmp_path, monkeypatch):
    address = "postgresql+psycopg://grader:secret@nowhere/grades"
    monkeypatch.chdir(courses.make(tmp_path / "course", config=f"c.CourseDirectory.db_url = {address!r}"))
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for asked in (lambda: command.grade(command.Asked("ps1")), course.find):
        with pytest.raises(Problem, match=r"needs a driver .*pip install 'enm5310\[postgres\]'") as why:
            asked()
        assert "\n" not in str(why.value) and "secret" not in str(why.value)


@pytest.mark.parametrize("address", ["", "no address", "nosuchdb://x/y"])
def test_an_address_that_is_none_is_one_line(address, tmp_path):
    folder = courses.make(tmp_path / "course", config=f"c.CourseDirectory.db_url = {address!r}")
    with pytest.raises(Problem, match="is no address of a database") as why:
        course.find(folder)
    assert "\n" not in str(why.value)
