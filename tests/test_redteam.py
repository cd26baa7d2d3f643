"""The second table of attacks (tests/grading/redteam.py), and attacks that need more than one submission."""

import contextlib
import json
import time

import numpy as np
import pytest

from enm5310.checks.engine import in_kernel
from enm5310.grading import engine, masters, submissions
from enm5310.grading.box import Died
from tests.grading import books
from tests.grading.attacks import course
from tests.grading.redteam import CASES, FAST
from tests.notebooks import every_exercise
from tests.test_checks import remembered


def _marked(names):
    return [pytest.param(n, marks=[] if any(words in n for words in FAST) else pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", _marked(CASES))
def test_nothing_is_gained(name):
    case = CASES[name]
    begun = time.monotonic()
    executed, record = books.grade(case.make(), case.master())
    assert time.monotonic() - begun < 60
    shown = engine.text(executed) if executed else ""
    (shown + json.dumps(record, ensure_ascii=False)).encode()  # half a character would stop whoever writes it to a file
    earned, worth = books.points(record), {e["grade_id"]: e["max_score"] for e in record["exercises"]}
    for target in case.targets:
        assert earned[target] == (worth[target] if case.earn else 0), record
    if not case.spoils:
        others = {name: score for name, score in earned.items() if name not in case.targets and score is not None}
        assert others == {name: worth[name] for name in others}, record
    assert record["score"] <= record["max_score"] and "BEGIN HIDDEN TESTS" not in shown
    outputs = [cell.get("outputs") for cell in executed["cells"]] if executed else []
    said = json.dumps([record, outputs], ensure_ascii=False)
    assert not [words for words in case.forbidden if words in said]
    assert any(case.noted in note for note in record["notes"]) or not case.noted, "no note about it"
    assert len(record["notes"]) <= 40 and len(shown) < 40e6


def test_there_are_many_of_them():
    assert len(CASES) >= 150


# -------------------- the next student --------------------

HARM = [name for name, case in CASES.items() if case.spoils and name.startswith("covariance")]


@pytest.mark.parametrize("name", _marked(HARM))
def test_the_next_student_has_all_points(name):
    """While the guilty one is still there."""
    source = next(c["source"] for c in CASES[name].make()["cells"] if c["id"] == "covariance")
    with books.the_box().student(masks={}) as guilty:
        with contextlib.suppress(Died):
            guilty.cell(source)
        _, record = books.grade(course(), books.course())
        assert record["score"] == record["max_score"], record


# -------------------- files that students may edit --------------------

HELPER = """
--- locked setup
from helper import mean
--- solution note
### BEGIN SOLUTION
x = 1
### END SOLUTION
--- test test_mean 2
assert mean([1.0, 2.0]) == 1.5
"""


def test_a_file_that_students_may_edit_is_never_run_by_the_grader(tmp_path):
    source = books.source_book(HELPER)
    right = {"helper.py": b"def mean(xs): return sum(xs) / len(xs)"}
    master = masters.prepare(json.dumps(source).encode(), {}, books.LIMITS, books.the_box(), own=right)
    assert [cell.protected for cell in master.cells if cell.role == "test"] == [False]
    trace = tmp_path / "trace"
    evil = f"try: open({str(trace)!r}, 'w').close()\nexcept OSError: pass\ndef mean(xs): return 0.0"
    for helper, points in ((right["helper.py"], 2), (evil.encode(), 0)):
        _, record = books.grade(books.submission(source), master, own={"helper.py": helper})
        assert books.points(record) == {"test_mean": points} and not trace.exists()


# -------------------- numbers at the edge, in every exercise --------------------


def _unnormal(shape):
    """Extended floats whose leading bit is missing: finite to isfinite, not a number to arithmetic."""
    made = np.zeros(shape, np.longdouble)
    if made.itemsize == 16 and made.size:
        made.reshape(-1).view(np.uint8).reshape(-1, 16)[:, :10] = [0, 0, 0, 0, 0, 0, 0, 0x40, 0xFF, 0x3F]
    return made


EDGES = {
    "nan": lambda shape: np.full(shape, np.nan),
    "overflow": lambda shape: np.where(np.arange(int(np.prod(shape))).reshape(shape) % 2, 1e308, -1e308),
    "1e155": lambda shape: np.full(shape, 1e155),
    "wide": lambda shape: np.full(shape, np.longdouble("1e4000")),
    "unnormal": _unnormal,
    "int64": lambda shape: np.full(shape, -(2**63)),
    "int8": lambda shape: np.full(shape, -128, np.int8),
    "uint8": lambda shape: np.full(shape, 255, np.uint8),
    "bool": lambda shape: np.ones(shape, bool),
    "half": lambda shape: np.full(shape, 65504, np.float16),
}


def _filled(right, fill):
    if isinstance(right, (tuple, list)):
        return type(right)(_filled(item, fill) for item in right)
    return right if right is None or isinstance(right, (str, dict)) else fill(np.shape(right))


EXERCISES = every_exercise()


@pytest.mark.slow
@pytest.mark.parametrize("e", EXERCISES, ids=lambda e: e.id)
def test_no_check_is_won_by_its_arithmetic(e):
    """The right shapes, filled with numbers that overflow, wrap around or are none: nothing, and no error of ours."""
    right = remembered(e)
    for name, fill in EDGES.items():
        wrong = {f: lambda *args, f=f, fill=fill: _filled(right[f](*args), fill) for f in e.of}
        verdict = e.judge(in_kernel(wrong), seed=5)
        assert verdict.points == 0, (name, verdict)


@pytest.mark.slow
@pytest.mark.parametrize("e", EXERCISES, ids=lambda e: e.id)
def test_no_mistake_hides_behind_a_coarse_type(e):
    """A known mistake, rounded to half or single precision, earns no more than it does in full."""
    right = remembered(e)  # one training for all mistakes of a step

    def cast(out, kind):
        if isinstance(out, (tuple, list)):
            return type(out)(cast(item, kind) for item in out)
        return out if out is None or isinstance(out, (str, bool, dict)) else np.asarray(out).astype(kind)

    for say, of, wrong in e.known:
        def judged(kind, of=of, wrong=wrong):
            functions = {**right, of: lambda *args: cast(wrong(*args), kind)}
            return e.judge(in_kernel({f: functions[f] for f in e.of}), seed=5).points

        plain = e.judge(in_kernel({f: wrong if f == of else right[f] for f in e.of}), seed=5).points
        assert max(judged(np.float16), judged(np.float32)) <= plain, say


# -------------------- whose is it? --------------------


def _handed_in(tmp_path, *names, **contents):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents.get(path.suffix[1:], "{}"))
    return submissions.handed_in(tmp_path, "ps1", ["p1"])


METADATA = "submission_{n}:\n  :submitters:\n  - :name: {name}\n    :sid: {name}\n  :created_at: 2026-01-0{n}\n"


@pytest.mark.parametrize("place", ["submission_2", "submission_2/more"])
@pytest.mark.parametrize("text", ["a: [}", METADATA.format(n=1, name="mallory"), "x: &x [a, a]\ny: *x\n"])
def test_metadata_that_a_student_uploads_are_no_metadata(tmp_path, place, text):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "submission_metadata.yml").write_text(text)
    real = METADATA.format(n=1, name="ada") + METADATA.format(n=2, name="bob")
    found = _handed_in(tmp_path, "submission_1/p1.ipynb", "submission_2/p1.ipynb", "submission_metadata.yml", yml=real)
    assert [s.student for s in found.submissions] == ["ada", "bob"] and not found.unmatched


@pytest.mark.parametrize("impostor", ["ada ", "ada\u00a0", "\u00a0ada"])
def test_an_impostor_with_a_space_is_not_ada(tmp_path, impostor):
    found = _handed_in(tmp_path, "ada/p1.ipynb", f"{impostor}/p1.ipynb", "bob/p1.ipynb")
    ada = next(s for s in found.submissions if s.student == "ada")
    assert [file.path for _, file in ada.files] == ["ada/p1.ipynb"] and not ada.notes
    assert [path for path, _ in found.unmatched] == [f"{impostor}/p1.ipynb"]


def test_a_time_of_ones_own_is_none(tmp_path):
    found = _handed_in(tmp_path, "ada/p1.ipynb", "ada/timestamp.txt", "bob/p1.ipynb", txt="1999-01-01 00:00:00")
    assert found.submissions[0].timestamp is None


def test_a_folder_of_one_student_makes_nobody_vanish(tmp_path):
    found = _handed_in(tmp_path, "ada/ps1/p1.ipynb", "bob/week/p1.ipynb", "eve/p1.ipynb")
    told = {s.student for s in found.submissions} | {path.partition("/")[0] for path, _ in found.unmatched}
    assert told == {"ada", "bob", "eve"}
