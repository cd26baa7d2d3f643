"""The gradebook as nbgrader itself would have written it, row by row; nothing stale, nothing of a human's lost."""

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import nbformat
import pytest

from enm5310.grading import autograded, course, gradebook, journal, sources, submissions
from enm5310.grading.autograded import Graded
from enm5310.practice import Problem
from tests import courses

LATE, ON_TIME = "2026-03-03 12:00:00 UTC", "2026-02-27 08:30:00.5 UTC"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """(folder, Assignment) of a course with two notebooks in its gradebook, to be copied."""
    folder = courses.make(tmp_path_factory.mktemp("course") / "a b", ("problem1", "problem2"))
    return folder, courses.entered(folder)[1]


@pytest.fixture
def opened(template, tmp_path):
    """() -> (Course, Assignment) of a fresh copy with the due date 1 March."""
    made = []

    def fresh(config=""):
        folder = tmp_path / f"course{len(made)}"
        made.append(shutil.copytree(template[0], folder))
        with (folder / "nbgrader_config.py").open("a") as file:
            file.write(config)
        here = course.find(folder)
        from nbgrader.api import Gradebook

        with Gradebook(here.db_url) as book:
            book.update_or_create_assignment("ps1", duedate="2026-03-01 00:00:00 UTC")
        return here, template[1]

    return fresh


def executed(assignment, notebook="problem1", doubled=(), halved=(), why="Because."):
    """The text of an executed notebook, with these outputs of the test cells."""
    book = nbformat.reads(assignment.masters[notebook].decode(), as_version=4)
    for cell in book.cells:
        cell.metadata.pop("enm5310", None)
        if cell.id == "why":
            cell.source = why
        if cell.id in ("test-doubled", "test-halved"):
            cell.outputs = [nbformat.from_dict(o) for o in (doubled if cell.id == "test-doubled" else halved)]
    return nbformat.writes(book)


ERROR = [{"output_type": "error", "ename": "AssertionError", "evalue": "", "traceback": []}]
HALF = [{"output_type": "execute_result", "data": {"text/plain": "1"}, "metadata": {}, "execution_count": 1}]


def rows(here):
    """All that the gradebook knows of submissions, without its random ids."""
    path = here.db_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as db:
        grades = db.execute(
            "select a.student_id, n.name, c.name, c.type, g.auto_score, g.manual_score, g.extra_credit, "
            "g.needs_manual_grade from grade g join base_cell c on c.id = g.cell_id join submitted_notebook s on "
            "s.id = g.notebook_id join notebook n on n.id = s.notebook_id join submitted_assignment a on "
            "a.id = s.assignment_id").fetchall()
        comments = db.execute(
            "select a.student_id, n.name, c.name, c.type, m.auto_comment, m.manual_comment from comment m join "
            "base_cell c on c.id = m.cell_id join submitted_notebook s on s.id = m.notebook_id join notebook n on "
            "n.id = s.notebook_id join submitted_assignment a on a.id = s.assignment_id").fetchall()
        books = db.execute(
            "select a.student_id, a.timestamp, n.name, s.late_submission_penalty, s.flagged from submitted_notebook s "
            "join notebook n on n.id = s.notebook_id join submitted_assignment a on a.id = s.assignment_id").fetchall()
    db.close()
    return sorted(grades, key=repr), sorted(comments, key=repr), sorted(books, key=repr)


def by_nbgrader(here, assignment, graded):
    """Writes the same with nbgrader's own preprocessors, in the order and way of its Autograde."""
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades

    with Gradebook(here.db_url, here.directory.course_id) as book:
        book.update_or_create_student(graded.student)
        stamp = {"timestamp": graded.timestamp} if graded.timestamp else {}
        book.update_or_create_submission("ps1", graded.student, **stamp)
        for name in graded.missing:
            for grade in book.find_submission_notebook(name, "ps1", graded.student).grades:
                grade.auto_score, grade.needs_manual_grade = 0, False
            book.db.commit()
    for name, found in graded.executed.items():
        about = {"notebook": name, "assignment": "ps1", "student": graded.student, "db_url": here.db_url}
        notebook = nbformat.reads(found["text"], as_version=4)
        for kind in (SaveAutoGrades, AssignLatePenalties):
            kind(config=here.config).preprocess(notebook, {"nbgrader": copy.copy(about)})


def graded(assignment, student="ada", timestamp=None, missing=(), **outputs):
    found = {n: autograded.reading(executed(assignment, n, **outputs)) for n in assignment.masters if n not in missing}
    return Graded(student, found, missing, timestamp)


def human(here, student="ada"):
    """A human grades by hand: a score, extra credit, a comment."""
    from nbgrader.api import Gradebook

    with Gradebook(here.db_url) as book:
        for cell, score in (("why", 2.5), ("test-halved", 1.5)):
            grade = book.find_grade(cell, "problem1", "ps1", student)
            grade.manual_score, grade.needs_manual_grade = score, False
        book.find_grade("test-doubled", "problem1", "ps1", student).extra_credit = 0.5
        book.find_comment("why", "problem1", "ps1", student).manual_comment = "Well said."
        book.db.commit()


PLUGIN = "\nc.AssignLatePenalties.plugin_class = 'penalties.Tenth'\n"
ZERO = "\nc.LateSubmissionPlugin.penalty_method = 'zero'\n"

CASES = {
    "all right": [{}],
    "wrong and half": [{"doubled": ERROR, "halved": HALF}],
    "no response": [{"why": "YOUR ANSWER HERE"}],
    "on time": [{"timestamp": ON_TIME}],
    "late": [{"timestamp": LATE}],
    "late, 1 point": [{"timestamp": LATE, "doubled": ERROR, "halved": HALF}],
    "late, 3 points": [{"timestamp": LATE, "halved": HALF}],
    "one missing": [{"missing": ("problem2",)}],
    "graded again": [{"doubled": ERROR}, human, {"doubled": HALF, "timestamp": LATE}],
    "on time after all": [{"timestamp": LATE}, {"timestamp": ON_TIME}],
}


@pytest.mark.filterwarnings("ignore:Object of type <Submitted")  # of nbgrader's own code
@pytest.mark.parametrize("config", ["", ZERO, PLUGIN], ids=["no penalty", "zero", "plug-in"])
@pytest.mark.parametrize("case", CASES)
def test_every_row_is_what_nbgrader_would_have_written(case, config, opened, monkeypatch):
    results = []
    for write in (by_nbgrader, None):
        here, assignment = opened(config)
        (here.folder / "penalties.py").write_text(
            "from nbgrader.plugins import BasePlugin\nclass Tenth(BasePlugin):\n"
            "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n"
            "        return -1 if score < 3 else 50 if score == 3 else score / 10\n")
        monkeypatch.syspath_prepend(here.folder)
        monkeypatch.delitem(sys.modules, "penalties", raising=False)
        for step in CASES[case]:
            if callable(step):
                step(here)
            elif write:
                write(here, assignment, graded(assignment, **step))
            else:
                with gradebook.Writer(here, assignment) as writer:
                    writer.write(graded(assignment, **step))
        results.append(rows(here))
    assert results[0] == results[1]
    grades, comments, books = results[1]
    assert len(grades) == 2 * 4 and len(comments) == 2 * 4 and len(books) == 2  # the comparison is about something
    late = case in ("late", "late, 3 points", "graded again") or (case == "late, 1 point" and config == ZERO)
    assert any(p for *_, p, _ in books) == (bool(config) and late)


def test_the_score_and_who_waits_are_told(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        assert writer.write(graded(assignment, halved=HALF)) == (6.0, True, ())  # (2 + 1) twice; words and tasks wait
        human(here)
        score, waiting, notes = writer.write(graded(assignment, doubled=ERROR))
    assert score == 0.5 + 1.5 + 2.5 + 2 and waiting and "2 manual scores in problem1 were kept" in notes[0]


def test_a_late_penalty_is_told_and_a_broken_plug_in_stops_nothing(opened):
    from nbgrader.plugins import BasePlugin

    here, assignment = opened(ZERO)
    with gradebook.Writer(here, assignment) as writer:
        notes = writer.write(graded(assignment, timestamp=LATE)).notes
        assert notes[0] == "problem1: late by 60.0 h, 4 of 4 points are taken off"
        writer.late.plugin_inst = BasePlugin()
        score, _, notes = writer.write(graded(assignment, timestamp=LATE))
        assert score == 8 and notes[0].startswith("the late penalty could not be found: 'BasePlugin'")
        assert "holds no time" in writer.write(graded(assignment, timestamp="soon\x1b[2J")).notes[0]


def test_an_extension_is_seen_although_nothing_was_graded_again(opened):
    here, assignment = opened(ZERO)
    from nbgrader.api import Gradebook

    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment, timestamp=LATE))
        assert {p for *_, p, _ in rows(here)[2]} == {4.0}
        with Gradebook(here.db_url) as book:
            book.grant_extension("ps1", "ada", days=5)
        before = rows(here)[0]
        assert writer.write(graded(assignment, timestamp=LATE), anew=False).notes == ()
    assert {p for *_, p, _ in rows(here)[2]} == {None} and rows(here)[0] == before


def test_nothing_stale_is_left_when_a_submission_is_not_gradable(opened):
    here, assignment = opened(ZERO)
    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment, timestamp=LATE))
        human(here)
        folder = writer.folder("ada")
        assert sorted(p.name for p in folder.iterdir()) == ["problem1.ipynb", "problem2.ipynb", "timestamp.txt"]
        score, waiting, notes = writer.write(Graded("ada", {"problem1": None, "problem2": None}))
    assert not folder.exists() and list(folder.parent.iterdir()) == []
    grades, _, books = rows(here)
    assert {g[4] for g in grades} == {None} and all(g[7] for g in grades) and waiting
    assert sorted(g[5] for g in grades if g[5] is not None) == [1.5, 2.5] and score == 4.0  # a human's, never touched
    assert {p for *_, p, _ in books} == {None}
    assert "an earlier score of 4 for problem1 was cleared" in notes


def test_one_bad_notebook_costs_the_other_nothing(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        found = graded(assignment)
        assert writer.write(found._replace(executed={**found.executed, "problem2": None})).score == 4
        assert [p.name for p in writer.folder("ada").iterdir()] == ["problem1.ipynb"]


def test_what_is_written_is_known_and_every_difference_is_seen(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        first, second = graded(assignment, timestamp=ON_TIME), graded(assignment, "bob", missing=("problem2",))

        def known(one):
            return writer.is_written(one, writer.auto_scores())

        assert not known(first)
        for one in (first, second):
            writer.write(one)
        assert known(first) and known(second)
        human(here)
        assert known(first)  # a human's work is no difference
        lost = first._replace(executed=dict.fromkeys(first.executed))
        others = [graded(assignment, timestamp=ON_TIME, doubled=ERROR), graded(assignment, timestamp=LATE), lost,
                  graded(assignment, timestamp=ON_TIME, missing=("problem2",)), graded(assignment, "eve")]  # fmt: skip
        assert not any(map(known, others))
        writer.write(lost)
        assert known(lost) and not known(first)
        writer.write(first)
        (writer.folder("ada") / "problem1.ipynb").chmod(0o644)
        (writer.folder("ada") / "problem1.ipynb").write_text("{}")
        assert not known(first)
        shutil.rmtree(writer.folder("bob"))
        assert not known(second)


def test_a_task_that_had_been_missing_waits_for_a_human_again(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment, missing=("problem2",)))
        one = graded(assignment)
        writer.write(one)
        assert writer.is_written(one, writer.auto_scores())
    assert {(g[4], g[7]) for g in rows(here)[0] if g[2] == "draw"} == {(None, 1)}


# -------------------- the folder --------------------


def test_the_folder_is_what_nbgrader_would_have_left(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        one = graded(assignment, timestamp=ON_TIME)._replace(files={"data/x.csv": b"1,2"})
        left = writer.folder("ada").with_name(".ps1.0123.part")
        left.mkdir(parents=True)
        writer.write(one)
        folder = writer.folder("ada")
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        assert names == ["data/x.csv", "problem1.ipynb", "problem2.ipynb", "timestamp.txt"]
        assert {p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()} == {0o444}
        assert (folder / "timestamp.txt").read_text() == ON_TIME
        assert [p.name for p in folder.parent.iterdir()] == ["ps1"]
        writer.write(one._replace(files={}))
        assert not (folder / "data").exists() and [p.name for p in folder.parent.iterdir()] == ["ps1"]


# -------------------- the course --------------------


@pytest.mark.slow
def test_the_gradebook_is_made_whole_also_without_alembic_on_the_path(tmp_path):
    folder = courses.make(tmp_path / "course")
    code = "from tests import courses; import sys; courses.entered(sys.argv[1])"
    env = {**os.environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(folder)], env=env, check=True)
    with sqlite3.connect(folder / "gradebook.db") as db:
        assert db.execute("select count(*) from alembic_version").fetchone() == (1,)
        assert db.execute("select name from assignment").fetchall() == [("ps1",)]
        assert len(db.execute("select * from source_cell").fetchall()) == 6
    db.close()
    assert sorted(p.name for p in folder.iterdir()) == ["gradebook.db", "nbgrader_config.py", "source"]


def test_what_the_engine_gets_has_the_solution_and_the_released_checksums(opened):
    here, assignment = opened()
    assert assignment.max_score == 2 * courses.POINTS and assignment.files == {} and assignment.permissions == 0o444
    cells = {c["id"]: c for c in json.loads(assignment.masters["problem1"])["cells"]}
    assert "return 2 * x" in "".join(cells["doubled"]["source"]) and "-82" in "".join(cells["test-doubled"]["source"])
    with sqlite3.connect(here.db_url.removeprefix("sqlite:///")) as db:
        saved = dict(db.execute("select s.name, s.checksum from source_cell s join notebook n on n.id = s.notebook_id "
                                "where n.name = 'problem1'"))  # fmt: skip
    db.close()
    assert {i: c["metadata"]["nbgrader"]["checksum"] for i, c in cells.items() if i != "title"} == saved
    released = {i: c["metadata"]["enm5310"]["released"] for i, c in cells.items() if i != "title"}
    assert released["test-doubled"] == "assert doubled(3) == 6"
    assert released["doubled"] == "def doubled(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def test_header_footer_and_the_files_of_an_assignment(tmp_path):
    folder = courses.make(tmp_path / "course", config=(
        "c.IncludeHeaderFooter.header = 'source/header.ipynb'\nc.Autograde.exclude_overwriting = {'ps1': ['own.py']}\n"
        "c.CourseDirectory.groupshared = True"))  # fmt: skip
    header = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("NAME = ''")])
    nbformat.write(header, folder / "source/header.ipynb")
    for name in ("data/x.csv", "own.py", "__pycache__/x.pyc"):
        (folder / "source/ps1" / name).parent.mkdir(exist_ok=True)
        (folder / "source/ps1" / name).write_bytes(b"x")
    _, assignment = courses.entered(folder)
    assert json.loads(assignment.masters["problem1"])["cells"][0]["source"] == ["NAME = ''"]
    assert assignment.files == {"data/x.csv": b"x", "own.py": b"x"} and assignment.editable == ("own.py",)
    assert assignment.permissions == 0o664


def test_entering_twice_changes_nothing_and_a_changed_source_with_submissions_is_told(opened):
    here, assignment = opened()
    with gradebook.Writer(here, assignment) as writer:
        writer.write(graded(assignment))
    before = rows(here)
    assert sources.read(here, "ps1") == assignment and rows(here) == before
    path = here.root / "source/ps1/problem1.ipynb"
    book = nbformat.read(path, as_version=4)
    book.cells = book.cells[:-1]
    nbformat.write(book, path)
    with pytest.raises(Problem, match="Cannot add or remove cells") as why:
        sources.read(here, "ps1")
    assert "\n" not in str(why.value) and rows(here) == before
    path.unlink()
    with pytest.raises(Problem, match=r"problem1\.ipynb, which is no longer in the source"):
        sources.read(here, "ps1")
    assert rows(here) == before


def test_where_a_course_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    folder = courses.make(tmp_path / "course", config="c.CourseDirectory.course_id = 'c1'")
    (tmp_path / "plain" / "source").mkdir(parents=True)
    for start in (folder, folder / "source", folder / "source" / "ps1"):
        assert course.find(start).root == folder and course.find(start).directory.course_id == "c1"
    assert course.find(tmp_path / "plain").db_url == f"sqlite:///{tmp_path}/plain/gradebook.db"
    with pytest.raises(Problem, match="no nbgrader course here"):
        course.find(tmp_path)
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\nc.CourseDirectory.course_id = 'shared'\n")
    found = course.find(tmp_path)
    assert found.root == folder and found.directory.course_id == "c1"
    (folder / "nbgrader_config.py").write_text("1 / 0")
    with pytest.raises(Problem, match=r"nbgrader_config\.py does not load: ZeroDivisionError"):
        course.find(folder)


def test_this_course_is_found_from_its_root_and_from_solutions(tmp_path, monkeypatch):
    from tests.notebooks import ROOT

    monkeypatch.delenv("ENM5310_GRADEBOOK", raising=False)
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions", ignore=shutil.ignore_patterns(".*"))
    for start in (tmp_path, tmp_path / "solutions"):
        here = course.find(start)
        assert (here.root, here.folder) == (tmp_path, tmp_path / "solutions")
        assert here.path("submitted", "ada", "01_pca") == tmp_path / ".grading" / "submitted" / "ada" / "01_pca"
    assert sources.notebooks(here, "01_pca") == [tmp_path / "solutions/01_pca/01_pca.ipynb"]
    for wrong in ("nope", "../solutions", "", ".", "01_pca/../01_pca"):
        with pytest.raises(Problem, match="there is no assignment"):
            sources.notebooks(here, wrong)


@pytest.mark.slow
def test_a_relative_gradebook_and_a_structure_of_ones_own(tmp_path):
    folder = courses.make(tmp_path / "course", config="c.CourseDirectory.db_url = 'sqlite:///grades/g.db'")
    here, _ = courses.entered(folder)
    assert (folder / "grades" / "g.db").is_file() and here.db_url == f"sqlite:///{folder}/grades/g.db"


def test_a_gradebook_that_cannot_be_used_is_one_line(tmp_path):
    folder = courses.make(tmp_path / "course", config="c.CourseDirectory.db_url = 'sqlite:///gradebook.db'")
    (folder / "gradebook.db").write_text("this is no database, but it is long enough to be taken for one" * 20)
    with pytest.raises(Problem, match="cannot be used: file is not a database") as why:
        gradebook.create(course.find(folder))
    assert "\n" not in str(why.value)


def test_the_secret_is_drawn_once_and_is_the_owners_alone(opened):
    here, _ = opened()
    secret = here.secret()
    assert len(secret) == 32 and here.secret() == secret and secret != opened()[0].secret()
    assert (here.ours / "secret").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in here.ours.iterdir()) == [".gitignore", "secret"]
    assert (here.ours / ".gitignore").read_text() == "*\n"
    (here.ours / "secret").write_bytes(b"short")
    with pytest.raises(Problem, match="is damaged"):
        here.secret()


# -------------------- who has handed in, in the course's own tree --------------------


def test_the_submitted_tree(opened, tmp_path):
    here, _ = opened()
    text = courses.answered()
    folder = courses.hand_in(here.root, "ada", {"problem1": text, "problem2": text}, ON_TIME)
    (folder / "extra.csv").write_text("1")
    (folder / "deep").mkdir()
    (folder / "deep" / "problem3.ipynb").write_text("{}")
    courses.hand_in(here.root, "bob", {"problem1": text}, assignment="ps2")
    courses.hand_in(here.root, "empty", {})
    courses.hand_in(here.root, "a*b", {"problem1": text})
    (here.root / "submitted" / "stray.ipynb").write_text("{}")
    (here.root / "submitted" / "eve").mkdir()
    (here.root / "submitted" / "eve" / "ps1").symlink_to(folder)
    (here.root / "submitted" / "mal").symlink_to(folder.parent)
    found = submissions.in_course(here, "ps1")
    ada, empty = found.submissions
    assert [name for name, _ in ada.files] == ["problem1.ipynb", "problem2.ipynb", "deep/problem3.ipynb"]
    assert [name for name, _ in ada.extra] == ["extra.csv"] and ada.timestamp == ON_TIME
    assert (empty.student, empty.files) == ("empty", ())
    assert {path: why.split(",")[0][:20] for path, why in found.unmatched} == {
        "a*b/ps1": "'a*b' cannot be a st", "eve/ps1": "is a link", "mal/ps1": "is a link",
        "stray.ipynb": "lies outside of a fo"}  # fmt: skip


def test_a_structure_of_folders_of_ones_own(tmp_path):
    structure = "c.CourseDirectory.directory_structure = '{nbgrader_step}/{assignment_id}/{student_id}'"
    here = course.find(courses.make(tmp_path / "other", config=structure))
    where = here.root / "submitted" / "ps1" / "ada"
    where.mkdir(parents=True)
    (where / "problem1.ipynb").write_text("{}")
    (found,) = submissions.in_course(here, "ps1").submissions
    assert found.student == "ada" and [name for name, _ in found.files] == ["problem1.ipynb"]


# -------------------- the journal --------------------


def test_a_record_is_used_again_only_under_its_key(opened):
    here, _ = opened()
    records = journal.Journal(here, "ps1")
    assert records.load("ada", "k") is None
    records.save("ada", {"key": "k", "result": 1})
    assert records.load("ada", "k") == {"key": "k", "result": 1} and records.load("ada", "other") is None
    for damaged in ('{"key": "k", "resu', "[]", "[" * 100_000, ""):
        (records.folder / "ada.json").write_text(damaged)
        assert records.load("ada", "k") is None
    (records.folder / "ada.json.0123.part").write_text("torn")
    records.sweep()
    assert [p.name for p in records.folder.iterdir()] == ["ada.json"]
    assert journal.key(a=1, b=[2]) == journal.key(b=[2], a=1) != journal.key(a=1, b=[3])
