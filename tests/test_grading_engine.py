"""The grading engine from bytes to verdict: what is right earns full marks, the rest nothing, whatever it tries."""

import json
import pickle
import random
import subprocess
import sys

import nbformat
import pytest

from enm5310.grading import engine, masters
from enm5310.practice import notebook, runner
from tests.grading import books
from tests.grading.attacks import ATTACKS, SOURCES, TAME, at, course
from tests.grading.damage import damaged
from tests.grading.honest import HONEST
from tests.notebooks import PARTS, ROOT, exercises
from tests.sampling import one_in
from tests.students import STARTER

MASTERS = {"course": books.course, "foreign": books.foreign}


def states(record):
    return {e["grade_id"]: e["state"] for e in record["exercises"]}


def shown(executed, record):
    """Everything of the result but the sources of code cells, which are the student's own or the instructor's."""
    cells = executed["cells"] if executed else []
    return json.dumps([record, [c["source"] if c["cell_type"] != "code" else c["outputs"] for c in cells]])


def reads_as_nbgrader(executed, record):
    """nbgrader's own reading of the executed notebook gives exactly the record's points."""
    from nbgrader.nbgraderformat import MetadataValidator
    from nbgrader.utils import determine_grade, is_grade

    book = nbformat.reads(engine.text(executed), as_version=4)
    nbformat.validate(book)
    MetadataValidator().validate_nb(book)
    read = {c.metadata.nbgrader.grade_id: determine_grade(c) for c in book.cells if is_grade(c)}
    told = {e["grade_id"]: (e["score"], e["max_score"]) for e in record["exercises"]}
    tasks = {name for name in told if name not in read}
    assert tasks <= {"drawing"} and read == {name: told[name] for name in read}


# -------------------- this course --------------------


def trains(part):
    return any(e.slow for e in exercises(part))


TRAINS = [pytest.param(part, marks=pytest.mark.slow) if trains(part) else part for part in PARTS]


@pytest.mark.parametrize("part", TRAINS)
def test_every_solution_earns_full_marks_without_the_answer_key(part):
    data, master = books.solutions(part), books.course(part)
    assert master.notes == () and all(cell.protected for cell in master.cells)
    assert list(master.ids) == [e.id for e in exercises(part)]
    for seed in (1, 2, 3):
        executed, record = books.grade(data, master, seed)
        assert (record["status"], record["score"]) == ("graded", master.max_score) and record["notes"] == []
        assert set(states(record).values()) == {"right"}
    reads_as_nbgrader(executed, record)


@pytest.mark.parametrize("part", TRAINS)
def test_the_released_starter_earns_nothing(part):
    data = (ROOT / "exercises" / part / f"{part}.ipynb").read_bytes()
    executed, record = books.grade(data, books.course(part))
    assert set(states(record).values()) == {"not attempted"} and record["score"] == 0
    reads_as_nbgrader(executed, record)


def test_importing_the_answers_earns_nothing():
    imported = {
        e.name.replace("_", "-"): "\n".join(f"from {a.rpartition('.')[0]} import {a.rpartition('.')[2]} as {name}"
                                            for a, name in zip(e.answers, e.of, strict=False))
        for e in exercises(books.PART) if e.answers
    }  # fmt: skip
    master = books.course()
    _, record = books.grade(books.submission(books.course_source(), imported), master)
    got = books.points(record)
    assert {name: got[f"test-{name}"] for name in imported} == dict.fromkeys(imported, 0)
    lost = sum(cell.points for cell in master.cells if cell.name.removeprefix("test-") in imported)
    assert sum(got.values()) == master.max_score - lost
    named = [note for note in record["notes"] if note.startswith("answer key: ")]
    assert len(named) == sum(min(len(e.answers), len(e.of)) for e in exercises(books.PART))


def test_a_record_says_how_it_came_about_and_can_be_repeated():
    master = books.course()
    data = STARTER.read_bytes()
    _, record = books.grade(data, master, seed=5)
    _, again = books.grade(data, master, seed=5)
    assert {**record, "seconds": 0} == {**again, "seconds": 0}
    assert json.loads(json.dumps(record)) == record
    assert record["hashes"]["master"] == master.sha256 and record["sandbox"] == books.the_box().level.name
    seeds = {e["id"]: e["seed"] for e in record["exercises"]}
    assert len(set(seeds.values())) == len(seeds) and set(seeds) == set(master.ids)
    assert pickle.loads(pickle.dumps(master)) == master


def test_what_students_may_see_does_not_tell_their_seeds():
    wrong = {"covariance": "def covariance(X): return 0", "center": "def center(X): raise NotImplementedError"}
    executed, record = books.grade(books.submission(books.course_source(), wrong), books.course())
    text = engine.text(executed)
    assert "seed=..." in text and not [e["seed"] for e in record["exercises"] if str(e["seed"]) in text]


def test_each_exercise_is_judged_with_its_own_seed():
    master, answer = books.course(), {"svd-to-eig": "def svd_to_eig(s, n):\n    raise ValueError(f'{s[0]:.6f}')"}
    said = {books.grade(books.submission(books.course_source(), answer), master, seed)[1]["exercises"][6]["message"]
            for seed in (1, 2, 2)}  # fmt: skip
    assert len(said) == 2 and all("svd_to_eig raised ValueError: " in words for words in said)


# -------------------- the same verdicts as `enm5310 check` --------------------


def known_mistakes(k):
    """A notebook with the k-th known mistake of every exercise, which come along as the text of the checks."""
    text = (ROOT / "enm5310" / "checks" / "part1.py").read_text(encoding="utf-8")
    text = text.replace("from enm5310.checks.engine import exercise\n", DECLARING)
    text = text.replace("progress = panel.of(__name__)\n", "")
    answers = books.course_answers()
    for e in exercises(books.PART):
        at = k % len(e.known)
        answers[e.name.replace("_", "-")] += f"\n{e.known[at][1]} = KNOWN['{e.id}'][{at}]"

    def edit(cells):
        return [*cells[:2], books.code(text), *cells[2:]]

    return books.submission(books.course_source(), answers, edit=edit)


DECLARING = """
KNOWN = {}
class exercise:
    def __init__(self, id, **declared): self.mine = KNOWN[id] = []
    def __call__(self, check): return self
    def mistake(self, say, of=None): return lambda f: self.mine.append(f) or f
"""


def both(document, tmp_path):
    """({id: verdict} by `enm5310 check`, the same by the engine with the practice seed)"""
    data = json.dumps(document).encode() if isinstance(document, dict) else document
    path = tmp_path / "01_pca.ipynb"
    path.write_bytes(data)
    practised = runner.judge_notebook(notebook.read(path), runner.Limits(seconds=books.LIMITS.seconds, memory=2**30))
    _, record = engine.grade_notebook(data, books.course(), books.LIMITS, {}, box=books.the_box())
    fields = ("state", "points", "message", "mistake")
    mine = {j.id: tuple(getattr(j, f) for f in fields) for j in practised.exercises}
    return mine, {e["id"]: (e["state"], e["score"], e["message"], e["mistake"]) for e in record["exercises"]}


@pytest.mark.parametrize("k", one_in(6, range(max(len(e.known) for e in exercises(books.PART)))))
def test_known_mistakes_get_the_same_words_as_in_practice(k, tmp_path):
    practised, graded = both(known_mistakes(k), tmp_path)
    assert practised == graded
    assert sum(mistake is not None for *_, mistake in graded.values()) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("name", one_in(6, [n for n in TAME if "escapes" not in n]))  # practice leaves some of them in
def test_wrong_answers_get_the_same_verdict_in_practice(name, tmp_path):
    practised, graded = both(ATTACKS[name].make(), tmp_path)
    assert practised == graded


REPAIRED = {  # what official grading puts right and practice tells the student to put right
    "the_set_up_deleted",
    "a_cell_turned_into_text",
    "sixteen_bits_a_character",
}  # fmt: skip


COURSE = [name for name, (which, _) in HONEST.items() if which == "course" and name not in REPAIRED]


@pytest.mark.slow
@pytest.mark.parametrize("name", one_in(6, COURSE))
def test_odd_answers_get_the_same_verdict_in_practice(name, tmp_path):
    practised, graded = both(HONEST[name][1](), tmp_path)
    assert practised == graded


@pytest.mark.parametrize("edited", [False, True])
def test_copies_of_a_test_cell_get_the_same_verdict_in_practice(edited, tmp_path):
    """Above the answer, below it, below a second one that is wrong; in the second case one is a wrong answer to 1.1,
    which is judged above it."""

    def edit(cells):
        i = at(cells, "test-covariance")
        test = cells[i]
        other = {**test, "source": "def center(X): return 0"} if edited else test
        wrong = {"cell_type": "code", "metadata": {}, "id": "more", "execution_count": None, "outputs": [],
                 "source": "def covariance(X): return X"}  # fmt: skip
        return [test, *cells[:i], other, test, wrong, test, *cells[i + 1 :]]

    practised, graded = both(course(edit=edit), tmp_path)
    assert practised == graded and graded["1.2"][:2] == ("right", 1)


# -------------------- honest and hostile --------------------


@pytest.mark.parametrize("name", one_in(8, HONEST))
def test_what_is_odd_but_right_earns_full_marks(name):
    which, make = HONEST[name]
    _, record = books.grade(make(), MASTERS[which]())
    lost = {e["grade_id"]: e["message"] for e in record["exercises"] if e["score"] not in (None, e["max_score"])}
    assert not lost and record["status"] == ("graded" if which == "course" else "needs manual")


@pytest.mark.parametrize("name", one_in(12, ATTACKS))
def test_an_attack_earns_nothing_and_costs_nobody(name):
    a = ATTACKS[name]
    master = MASTERS[a.master]()
    executed, record = books.grade(a.make(), master)
    got = books.points(record)
    wanted = {c.name: 0 if c.name in a.targets else c.points for c in master.cells if c.role == "test"}
    assert set(a.targets) <= set(wanted)
    assert {name: got[name] for name in a.targets} == dict.fromkeys(a.targets, 0)
    assert a.spoils or {name: got[name] for name in wanted} == wanted
    engine.text(executed).encode()
    said = shown(executed, record)
    assert not [words for words in a.forbidden if words in said]
    reads_as_nbgrader(executed, record)


def test_there_are_enough_of_both():
    assert len(HONEST) >= 40 and len(ATTACKS) >= 60
    assert {a.master for a in ATTACKS.values()} == {master for master, _ in HONEST.values()} == set(MASTERS)


def test_a_defect_of_the_grader_costs_one_submission_and_is_told(monkeypatch):
    monkeypatch.setattr(engine.intake, "read", lambda data: [][1])
    executed, record = books.grade(STARTER.read_bytes(), books.course())
    assert executed is None and record["status"] == "not gradable" and record["score"] == 0
    assert record["reason"] == f"{engine.DEFECT} IndexError: list index out of range"
    assert set(states(record)) == {cell.name for cell in books.course().cells if cell.points}


def test_half_a_character_in_a_message_does_not_stop_the_writer(tmp_path):
    half = "def encode(X_new, X_train, U):\n    return (X_new - X_train.mean(axis=0)) @ U\n\n"
    half += "def decode(*args):\n    raise ValueError('\\ud800 \\x1b[2J \\0')"
    executed, record = books.grade(books.submission(books.course_source(), {"encode-decode": half}), books.course())
    assert states(record)["test-encode-decode"] == "partly right"
    (tmp_path / "x.ipynb").write_text(engine.text(executed), encoding="utf-8")
    assert "\x1b" not in shown(executed, record).encode().decode("unicode_escape")


# -------------------- damage --------------------


@pytest.mark.slow
@pytest.mark.parametrize("which", MASTERS)
def test_a_record_comes_of_every_damaged_notebook(which):
    master, rng = MASTERS[which](), random.Random(7319)
    data = json.dumps(books.submission(SOURCES[which]())).encode()
    for _ in range(250):
        executed, record = books.grade(damaged(rng, data), master)
        assert record["status"] in ("graded", "needs manual", "not gradable")
        assert (executed is None) == (record["status"] == "not gradable") == ("reason" in record)
        assert not record.get("reason", "").startswith(engine.DEFECT)
        assert {e["grade_id"] for e in record["exercises"]} >= {master.cells[i].name for i in master.tests}
        assert 0 <= record["score"] <= record["max_score"]
        if executed:
            reads_as_nbgrader(executed, record)


# -------------------- somebody else's course --------------------


def test_a_foreign_course_is_protected_where_it_can_be():
    master = books.foreign()
    assert [cell.name for cell in master.cells if not cell.protected] == ["test_stack"]
    assert master.notes == ("test_stack: passes only beside the student's code and is graded there: not protected",)
    executed, record = books.grade(books.submission(books.foreign_source()), master)
    assert record["status"] == "needs manual" and record["score"] == 21 and record["max_score"] == 31
    assert [e["grade_id"] for e in record["exercises"] if not e["protected"]] == ["test_stack"]
    assert record["notes"] == ["not protected: test_stack ran beside the student's code"]
    reads_as_nbgrader(executed, record)


def test_a_foreign_starter_earns_nothing():
    _, record = books.grade(books.submission(books.foreign_source(), solved=False), books.foreign())
    assert record["score"] == 0
    told = {e["grade_id"]: e["message"] for e in record["exercises"]}
    assert told["test_add"] == "add is not written yet" and "'answer' is not defined" in told["test_answer"]
    assert states(record)["test_squares_raise"] == "not attempted"


OURS = """
--- locked setup
from enm5310.checks import part1 as check
--- solution f
def f(s, n): return 0
--- test it 2
check.svd_to_eig(f)
"""


def test_checks_of_this_course_are_never_run_inside_where_they_do_nothing():
    master = books.prepared(OURS)
    assert master.cells[2].protected and master.notes[0].startswith("it: the instructor's own solution earns 0 of 2")
    _, record = books.grade(books.source_book(OURS), master)
    assert record["score"] == 0


def test_functions_of_one_exercise_share_no_state():
    apart = """
told = []
def encode(X_new, X_train, U):
    told.append(1)
    return (X_new - X_train.mean(axis=0)) @ U
def decode(Z, X_train, U):
    return 0 if told else Z @ U.T + X_train.mean(axis=0)
"""
    _, record = books.grade(books.submission(books.course_source(), {"encode-decode": apart}), books.course())
    assert states(record)["test-encode-decode"] == "right"


def test_partial_credit_and_what_is_said_about_it():
    half = (
        "def squares(n):\n    if n < 1: raise ValueError\n    return [i**2 for i in range(1, n + 1)] if n < 9 else [0]"
    )
    executed, record = books.grade(books.submission(books.foreign_source(), {"squares": half}), books.foreign())
    (mine,) = [e for e in record["exercises"] if e["grade_id"] == "test_squares"]
    assert (mine["state"], mine["score"], mine["message"]) == ("partly right", 2.667, "the test gave 2.667 of 4 points")
    reads_as_nbgrader(executed, record)


def test_a_visible_test_says_what_failed_and_a_hidden_one_does_not():
    wrong = {"mean": "def mean(xs):\n    return 2.0", "add": "def add(a, b):\n    return 3"}
    executed, record = books.grade(books.submission(books.foreign_source(), wrong), books.foreign())
    told = {e["grade_id"]: e["message"] for e in record["exercises"]}
    assert told["test_add"] == "`assert add('a', 'b') == 'ab'` failed"
    assert told["test_mean"] == "a hidden test failed"
    assert books.CANARY not in engine.text(executed) + json.dumps(record)
    assert "# hidden tests: 1" in engine.text(executed)


def test_a_class_is_graded_beside_the_students_code():
    wrong = {"stack": "class Stack:\n    push = pop = lambda *a: 3"}
    _, record = books.grade(books.submission(books.foreign_source(), wrong), books.foreign())
    (mine,) = [e for e in record["exercises"] if e["grade_id"] == "test_stack"]
    assert (mine["state"], mine["score"], mine["protected"]) == ("wrong", 0, False)


def test_what_was_not_touched_earns_0_by_hand_as_in_nbgrader():
    from nbgrader.utils import compute_checksum

    source, stubs = books.foreign_source(), {c["id"]: c for c in books.released(books.foreign_source())["cells"]}
    for cell in source["cells"]:
        if cell["metadata"].get("nbgrader"):  # as grading.sources leaves them
            stub = nbformat.from_dict(stubs[cell["id"]])
            cell["metadata"]["nbgrader"]["checksum"] = compute_checksum(stub)
            cell["metadata"]["enm5310"] = {"released": stub.source}
    master = masters.read(json.dumps(source).encode())
    for edit in (None, lambda cells: [c for c in cells if c["id"] != "essay"]):
        executed, record = books.grade(books.submission(source, solved=False, edit=edit), master)
        assert states(record)["essay"] == states(record)["plot"] == "not attempted"
        assert states(record)["drawing"] == "needs manual"
        reads_as_nbgrader(executed, record)
    executed, record = books.grade(books.submission(source), master)
    assert states(record)["essay"] == states(record)["plot"] == "needs manual"
    reads_as_nbgrader(executed, record)


@pytest.mark.slow
def test_a_hanging_cell_costs_its_own_question_only():
    loop = "def twice(f, x):\n    while True: pass"
    answers = {"add": "while True: pass", "mean": "import os\nos._exit(4)", "twice": loop}
    _, record = books.grade(books.submission(books.foreign_source(), answers), books.foreign())
    assert {name for name, score in books.points(record).items() if score == 0} == {
        "test_add", "test_add_keywords", "test_mean", "test_twice"
    }  # fmt: skip
    assert any("`while True: pass` did not finish within 2 s" in note for note in record["notes"])


def test_too_many_deaths_end_a_notebook_that_keeps_what_it_has():
    bomb = {c["metadata"]["nbgrader"]["grade_id"]: "import os\nos._exit(1)" for c in books.foreign_source()["cells"][5:]
            if c["metadata"].get("nbgrader", {}).get("solution")}  # fmt: skip
    few = books.LIMITS._replace(fatal=3)
    _, record = books.grade(books.submission(books.foreign_source(), bomb), books.foreign(), limits=few)
    assert books.points(record)["test_add"] == 2
    assert "not reached: 3 steps" in next(e["message"] for e in record["exercises"] if e["grade_id"] == "test_shout")


def test_a_notebook_has_a_limit_of_its_own():
    slow = books.submission(books.foreign_source(), {"add": "import time\ntime.sleep(1.5)"})
    _, record = books.grade(slow, books.foreign(), limits=books.LIMITS._replace(total=1.0))
    assert record["score"] == 0
    assert "not reached: the notebook had used up its 1 s" in {e["message"] for e in record["exercises"]}


FILES = """
--- locked setup
import numpy as np
import shared
TABLE = np.loadtxt("table.csv")
--- solution total
def total():
    ### BEGIN SOLUTION
    return float(open("table.csv").read().split()[0]) + shared.one()
    ### END SOLUTION
--- test test_total 1
assert total() == TABLE[0] + 1
"""


def test_the_instructors_files_are_there_on_both_sides():
    files = {"table.csv": b"3\n4\n", "shared.py": b"def one(): return 1\n"}
    data = json.dumps(books.source_book(FILES)).encode()
    master = masters.prepare(data, files, books.LIMITS, books.the_box())
    assert master.notes == ()
    _, record = books.grade(data, master, files=files)
    assert record["score"] == 1 and "shared" not in sys.modules
    _, record = books.grade(books.submission(books.source_book(FILES), solved=False), master, files=files)
    assert record["score"] == 0


HELPED = """
--- locked setup
from helper import twice
--- solution f
def f(x):
    ### BEGIN SOLUTION
    return twice(x)
    ### END SOLUTION
--- test it 2
assert f(3) == twice(3) == 6
"""
EVIL = b"import os\nopen(os.environ['ENM5310_EVIL'], 'w').close()\ndef twice(x): return 6"


def test_a_file_that_students_may_replace_is_never_run_outside(tmp_path, monkeypatch):
    evil = tmp_path / "evil"
    monkeypatch.setenv("ENM5310_EVIL", str(evil))
    mine = {"helper.py": b"def twice(x): return 2 * x"}
    data = json.dumps(books.source_book(HELPED)).encode()
    assert masters.prepare(data, mine, books.LIMITS, books.the_box()).cells[2].protected  # nobody may replace it
    master = masters.prepare(data, {}, books.LIMITS, books.the_box(), own=mine)
    assert not master.cells[2].protected and "not protected" in master.notes[0]
    assert books.grade(data, master, own=mine)[1]["score"] == 2
    for prepared in (master, masters.prepare(data, mine, books.LIMITS, books.the_box())):
        books.grade(data, prepared, files=mine, own={"helper.py": EVIL})
        assert not evil.exists() and "helper" not in sys.modules


# -------------------- nbgrader's own example --------------------


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, "-m", "nbgrader", "quickstart", "course101"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "course101" / "source" / "ps1"


@pytest.mark.slow
@pytest.mark.parametrize("name, automatic, total", [("problem1", 3.0, 10.0), ("problem2", 0.0, 3.0)])
def test_the_quickstart_solved_earns_full_marks_and_unsolved_nothing(quickstart, name, automatic, total):
    source = json.loads((quickstart / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in source["cells"]:
        cell["source"] = "".join(cell["source"])
    files = {"jupyter.png": (quickstart / "jupyter.png").read_bytes()}
    master = masters.prepare((quickstart / f"{name}.ipynb").read_bytes(), files, books.LIMITS, books.the_box())
    _, record = books.grade(books.submission(source), master, files=files)
    assert (record["status"], record["score"], record["max_score"]) == ("needs manual", automatic, total)
    _, record = books.grade(books.submission(source, solved=False), master, files=files)
    assert (record["status"], record["score"]) == ("needs manual", 0)
