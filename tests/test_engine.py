"""The check engine itself: what it believes, what it catches, how it counts, what it tells."""

import copy
import hashlib
import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from autograd import grad

from enm5310.checks import CheckFailed, Fn, NotAttempted, Wrong, answers, close, exercise
from enm5310.checks.engine import PRACTICE_SEED, in_kernel, student_seed
from enm5310.checks.ladder import Note


@exercise(
    "1.1", of="double", slide=2, title="Doubling", canon=abs,
    parts={"left alone": 0, "positive": 1, "doubled": 2}, hints=["Think.", "Multiply."],
)  # fmt: skip
def double(t):
    for n in (1, 2, 3):
        x = t.rng.uniform(1, 2, size=n)
        y = t("double", x, like=(n,))
        with t.part("left alone"): t.left_alone()
        with t.part("positive"):
            if not (y > 0).all(): raise Wrong("it must be positive")
        with t.part("doubled"): close(y, x + x)


@double.mistake("You tripled.")
def _(x):
    return 3 * x


def judge(f, seed=PRACTICE_SEED):
    return double.judge(in_kernel({"double": f}), seed)


# -------------------- states and points --------------------


def test_right_partly_right_wrong_and_not_attempted():
    assert repr(double(lambda x: 2 * x)) == "3"
    assert judge(lambda x: 3 * x)[:2] == ("partly right", 1)
    assert judge(lambda x: -2 * x)[:2] == ("wrong", 0)
    with pytest.raises(CheckFailed, match="wrong, 0 of 3"):
        double(lambda x: -x)

    def stub(x):
        raise NotImplementedError

    with pytest.raises(NotAttempted, match="not attempted"):
        double(stub)
    assert issubclass(CheckFailed, AssertionError) and issubclass(NotAttempted, NotImplementedError)


def test_a_gate_costs_everything():
    def in_place(x):
        x *= 2
        return x

    verdict = judge(in_place)
    assert verdict[:2] == ("wrong", 0) and "in place" in verdict.message
    assert [p.why for p in verdict.parts[1:]] == [None, None]


def test_a_part_that_fails_once_stays_failed_and_the_check_goes_on():
    seen = []

    def wrong_at_first(x):
        seen.append(len(x))
        return 5 * x if len(x) == 1 else 2 * x

    assert judge(wrong_at_first)[:2] == ("partly right", 1)
    assert seen == [1, 2, 3]


def test_a_mistake_is_named_only_if_it_gives_the_same_answers_everywhere():
    assert judge(lambda x: 3 * x).mistake == "You tripled."
    assert judge(lambda x: -3.0 * x).mistake == "You tripled."  # canon=abs: the sign is free
    assert judge(lambda x: 3 * x if len(x) < 3 else 4 * x).mistake is None


def test_two_functions_one_of_them_still_a_stub():
    from enm5310.checks import part1

    def decode(Z, X_train, U):
        raise NotImplementedError

    report = part1.encode_decode(lambda X_new, X_train, U: (X_new - X_train.mean(axis=0)) @ U, decode)
    assert report.state == "partly right" and report.points == 1 and report.message == "decode is not written yet"


def test_a_check_that_forgets_a_declared_part_is_an_error():
    @exercise("1.1", of="f", slide=1, title="t", parts={"a": 1, "b": 1}, hints=["h"])
    def forgetful(t):
        with t.part("a"): pass

    with pytest.raises(RuntimeError, match="never entered"):
        forgetful(lambda: 1)


def test_wrong_number_of_functions_or_a_value_in_place_of_one():
    with pytest.raises(TypeError, match=r"takes the function itself: check.double\(double\)"):
        double(np.ones(3))


# -------------------- seeds --------------------


def test_practice_seed_is_public_and_graded_runs_are_fresh(monkeypatch):
    assert double(lambda x: 2 * x).seed == PRACTICE_SEED
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    first, second = double(lambda x: 2 * x).seed, double(lambda x: 2 * x).seed
    assert len({PRACTICE_SEED, first, second}) == 3
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    assert double(lambda x: 2 * x).seed == PRACTICE_SEED


def test_students_get_seeds_of_their_own_that_only_the_secret_foretells():
    seeds = {
        student_seed(secret, student, exercise_id)
        for secret in (b"a", b"b") for student in ("ada", "ada1", "") for exercise_id in ("1.2", "1.10", "12")
    }  # fmt: skip
    assert len(seeds) == 18 and all(0 <= seed < 2**48 for seed in seeds)
    assert student_seed(b"k", "ada", "1.2") == student_seed(b"k", "ada", "1.2")
    assert len({student_seed(b"k", "a", "b1.2"), student_seed(b"k", "ab", "1.2")}) == 2, "names do not run together"
    # RFC 2104 by hand: H((k ^ opad) | H((k ^ ipad) | message))
    pad = lambda byte: bytes(k ^ byte for k in b"k".ljust(64, b"\0"))  # noqa: E731
    inner = hashlib.sha256(pad(0x36) + b'["ada", "1.2"]').digest()
    assert student_seed(b"k", "ada", "1.2") == int.from_bytes(hashlib.sha256(pad(0x5C) + inner).digest()[:6], "big")


def test_a_seed_replays_the_same_inputs():
    def record(into):
        return lambda x: into.append(x.copy()) or 2 * x

    a, b, c = [], [], []
    double(record(a), seed=7)
    double(record(b), seed=7)
    double(record(c), seed=8)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)) and not np.array_equal(a[0], c[0])


# -------------------- what is caught --------------------


def test_prints_warnings_and_logging_go_into_the_report(capfd):
    logging.getLogger("student").setLevel(logging.WARNING)

    def noisy(x):
        print("hello")
        print("on stderr", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        logging.getLogger("student").warning("logged")
        os.write(2, b"from C\n")
        np.log(np.zeros(1))
        return 2 * x

    report = double(noisy)
    told = "\n".join(report.verdict.printed)
    for piece in ("hello", "on stderr", "UserWarning: careful", "RuntimeWarning: divide by zero", "from C"):
        assert piece in told, piece
    assert capfd.readouterr() == ("", "")
    assert "hello" in str(report) and "hello" in report._repr_html_()


def test_handlers_that_hold_the_old_stderr_are_caught_and_given_back(capfd):
    handler = logging.StreamHandler(sys.stderr)
    logging.root.addHandler(handler)
    try:
        report = double(lambda x: logging.warning("held") or 2 * x)
        assert any("held" in line for line in report.verdict.printed) and handler.stream is sys.stderr
    finally:
        logging.root.removeHandler(handler)
    assert capfd.readouterr().err == ""


def test_a_print_flood_is_cut():
    report = double(lambda x: print("x" * 10**6) or 2 * x)
    assert sum(map(len, report.verdict.printed)) < 10_000 and len(str(report)) < 10_000


def test_an_endless_print_does_not_fill_the_memory():
    import tracemalloc

    def endless(x):
        for _ in range(3_000):
            print("x" * 10_000)
        return 2 * x

    tracemalloc.start()
    try:
        assert double(endless).points == 3
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_exit_is_caught_but_an_interrupt_is_not():
    assert "SystemExit" in judge(lambda x: sys.exit()).message

    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(interrupted)


def test_refused_input_is_not_called_unwritten():
    class StdinNotImplementedError(NotImplementedError):
        pass

    def asks(x):
        raise StdinNotImplementedError("raw_input was called")

    assert judge(asks).state == "wrong"


def test_the_caller_of_a_check_keeps_its_own_streams():
    out, err = sys.stdout, sys.stderr
    judge(lambda x: 1 / 0)
    assert (sys.stdout, sys.stderr) == (out, err)


# -------------------- answers --------------------


class Liar(np.ndarray):
    """Equal to everything, and of any shape that is asked for."""

    __array_priority__ = 1000

    def __eq__(self, other):
        return np.ones(np.shape(other), bool)

    def __array_ufunc__(self, *args, **kwargs):
        return np.zeros(1)

    @property
    def shape(self):
        return (1,)


def test_lying_arrays_are_rebuilt_before_they_are_read():
    lie = np.arange(6.0).view(Liar)
    plain = answers.rebuild(lie)
    assert type(plain) is np.ndarray and np.ndarray.__getattribute__(plain, "shape") == (6,)
    assert judge(lambda x: lie).state == "wrong"


class LyingList(list):
    def __len__(self):
        return 1

    def __iter__(self):
        return iter([1.0])


def test_lying_lists_are_rebuilt_too():
    assert answers.rebuild(LyingList([1.0, 2.0])) == [1.0, 2.0]


@pytest.mark.parametrize("out", [None, True, 3, 2.5, "text", (1, 2.0), [1, [2]], {"a": 1}, np.arange(3), np.float32(2)])
def test_plain_data_survive_rebuilding(out):
    assert answers.same(answers.rebuild(out), out if not isinstance(out, np.generic) else np.asarray(out))


def test_complex_numbers_count_only_without_an_imaginary_part():
    assert answers.rebuild(np.array([1 + 0j, 2])).dtype == float and answers.rebuild(3 + 0j) == 3.0
    for out in (np.array([1.0, 1j]), 1j, np.complex128(1j)):
        with pytest.raises(Wrong, match="complex"):
            answers.rebuild(out)


def test_a_message_says_which_part_failed_once():
    report = double(lambda x: 5 * x)
    assert report.message.startswith("doubled: expected") and str(report).count("expected") == 1


def test_an_exception_inside_autograd_names_the_students_line():
    def slope(x):
        return grad(np.copy)(np.ones(2))

    assert "scalar-output" in judge(slope).message and "`return grad(np.copy)" in judge(slope).message


def test_an_exception_in_a_helper_names_the_helpers_line():
    def helper(x):
        return x.no_such_thing

    def calls(x):
        return helper(x)

    assert "`return x.no_such_thing`" in judge(calls).message


def test_an_exception_that_cannot_be_printed_is_named():
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no words")

    def mute(x):
        raise Mute

    assert "double raised Mute" in judge(mute).message


def test_rebuilt_arrays_do_not_share_memory():
    a = np.arange(3.0)
    assert not np.shares_memory(answers.rebuild(a), a)


@pytest.mark.parametrize(
    ("out", "like", "words"),
    [
        (np.zeros((3, 2)), (2, 3), "transposed"),
        (np.zeros((3, 1)), (3,), "flatten"),
        (np.zeros(3), (3, 3), "axis summed away"),
        (np.zeros((1, 1)), (), ".item()"),
        (np.array([1.0, np.nan]), (2,), r"NaN at \[1\]"),
        (np.array(np.inf), (), "infinity"),
        (None, (2,), "return statement missing"),
        (2.5, int, "whole number"),
        ("a", float, "text"),
        ((1.0, 2.0), {"mean": (), "U": (), "lam": ()}, "2 values; expected a tuple of 3: mean, U, lam"),
        ((1.0, np.zeros(2)), {"a": (), "b": (3,)}, r"as b an array of shape \(2,\); expected shape \(3,\)"),
        ([[1.0], [1.0, 2.0]], (2, 2), "different lengths"),
        (1, bool, "True or False"),
        (3.0, str, "text"),
        ([[1.0], [2.0, 3.0]], lambda rows: [answers.fit(row, (1,)) for row in rows], r"expected shape \(1,\)"),
    ],
)
def test_misfits_say_what_came_and_what_was_wanted(out, like, words):
    with pytest.raises(Wrong, match=words):
        answers.fit(answers.rebuild(out), like)


@pytest.mark.parametrize(
    ("out", "like", "fitted"),
    [
        ([1, 2], (2,), np.array([1, 2])),
        (np.float64(3), (), np.array(3.0)),
        (np.int64(3), int, 3),
        (3.0, int, 3),
        (np.bool_(True), bool, True),
        (np.array([[1.0, 2.0]]), (1, None), np.array([[1.0, 2.0]])),
        (np.array([1.0, 2.0]), [(), ()], (np.array(1.0), np.array(2.0))),
        ("yes", str, "yes"),
        ([[1.0], [2.0, 3.0]], lambda rows: sum(len(answers.fit(row, (None,))) for row in rows), 3),
    ],
)
def test_honest_odd_forms_are_accepted(out, like, fitted):
    assert answers.same(answers.fit(answers.rebuild(out), like), fitted)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda d: d.T, "transpose"),
        (lambda d: -d, "sign is flipped"),
        (lambda d: 1.5 * d, "everywhere 1.5 times"),
        (lambda d: d + 2, "everywhere 2 too large"),
        (lambda d: d + np.eye(3), r"expected .* at \[\d, \d\], got"),
    ],
)
def test_differences_are_described(answer, words):
    desired = np.random.default_rng(0).normal(size=(3, 3))
    close(desired * (1 + 1e-9), desired)
    with pytest.raises(Wrong, match=words):
        close(answer(desired), desired)


def test_close_forgives_rounding_of_the_answers_own_precision_and_no_more():
    desired = np.array([1.0, 2.0])
    close(desired.astype(np.float32) * np.float32(1 + 1e-5), desired)
    with pytest.raises(Wrong):
        close(desired * (1 + 1e-5), desired)
    with pytest.raises(Wrong):
        close(desired.astype(np.float32) * np.float32(1.001), desired)


def test_same_compares_forms_and_nan():
    assert answers.same((1.0, [np.nan]), (1.0, [np.nan]))
    assert not answers.same((1.0,), (1.0, 2.0))
    assert not answers.same(None, 0.0) and not answers.same("a", "b")
    assert answers.same([[1.0, 2.0]], np.array([[1.0, 2.0]])) and not answers.same([1.0, 2.0], np.array([1.0, 2.1]))
    assert not answers.same([[1.0], [2.0, 3.0]], np.ones(2)) and not answers.same(["a"], np.ones(1))


# -------------------- functions that a check hands over --------------------


def test_fn_is_source_and_data_and_can_be_copied():
    f = Fn("def f(x):\n    return np.sum(a * x ** 2)", a=np.array([1.0, 2.0]))
    g = copy.deepcopy(f)
    assert f(np.ones(2)) == g(np.ones(2)) == 3.0
    g.data["a"][:] = 0
    assert f.data["a"][0] == 1.0


def test_fn_is_differentiable():
    from autograd import grad

    assert np.allclose(grad(Fn("def f(x):\n    return np.sum(x ** 2)"))(np.array([1.0, 2.0])), [2.0, 4.0])


def test_functions_and_nested_data_cross_the_road():
    seen = {}

    @exercise("1.1", of="apply", slide=1, title="t", parts={"applied": 1}, hints=["h"])
    def apply(t):
        x = t.rng.normal(size=3)
        seen["x"] = x
        layers = [(np.eye(3), np.zeros(3))]
        with t.part("applied"):
            close(t("apply", Fn("def f(x):\n    return x + 1"), x, layers, like=(3,)), x + 1)
            t.left_alone()

    assert apply(lambda f, x, layers: f(x)).points == 1

    def spoils(f, x, layers):
        layers[0][1][0] = 7
        return f(x)

    with pytest.raises(CheckFailed, match="changed its argument 3 in place"):
        apply(spoils)


# -------------------- reports and the ladder --------------------


def test_the_report_is_a_bare_number_a_text_and_safe_html():
    report = double(lambda x: print("<script>") or 3 * x)
    assert repr(report) == "1"
    text, page = str(report), report._repr_html_()
    assert "1.1 Doubling: partly right, 1 of 3 points" in text and "You tripled." in text
    assert f"seed={PRACTICE_SEED}" in text and "check.double.hint()" in text
    assert "<script>" not in page and "&lt;script&gt;" in page and "You tripled." in page


def test_hints_come_one_at_a_time_and_the_last_opens_the_solution(monkeypatch):
    from enm5310.checks import part1

    check = copy.copy(part1.covariance)
    check.hints_shown, check.state = 0, None
    assert "after 3 more hints" in check.solution()
    hints = [check.hint() for _ in check.hints]
    assert len(set(hints)) == len(check.hints) and "last hint" in hints[-1] and check.hint() == hints[-1]
    assert "X.T @ X / len(X)" in check.solution() and "SOLUTION" not in check.solution()
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(PermissionError, match="graded"):
        check.solution()


def test_a_right_answer_opens_the_solution():
    from enm5310.checks import part1

    check = copy.copy(part1.covariance)
    check.hints_shown, check.state = 0, None
    check(lambda X: np.cov(X, rowvar=False, bias=True))
    assert "def covariance" in check.solution()


def test_help_and_mistakes_are_readable_notes():
    assert isinstance(double.help(), Note) and "left alone (required" in double.help()
    assert repr(double.mistakes()) == "**Usual mistakes in 1.1**\n\n- You tripled."
    assert repr(double) == "<check 1.1 Doubling: check.double(double)>"


def test_importing_the_checks_stays_light():
    code = "import sys, enm5310.checks.part1; print(*sorted(m for m in sys.modules if '.' not in m))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "scipy", "IPython", "nbgrader", "jupyter_core", "typer", "rich"} & set(out)


def test_official_seeds_hold_for_the_while():
    from enm5310.checks import engine, part1

    e = part1.svd_to_eig
    assert e(lambda s, n: s**2 / n).seed == engine.PRACTICE_SEED
    with engine.seeded({"1.7": 5, "": 6}):
        assert e(lambda s, n: s**2 / n).seed == 5 and e(lambda s, n: s**2 / n, seed=8).seed == 8
        assert part1.center(lambda X: (X - X.mean(0), X.mean(0))).seed == 6
    with engine.seeded({}):
        assert e(lambda s, n: s**2 / n).seed == engine.PRACTICE_SEED
    assert e(lambda s, n: s**2 / n).seed == engine.PRACTICE_SEED


def test_the_line_of_an_exception_from_another_process_is_told():
    from enm5310.checks import engine

    why = ValueError("too bad")
    assert engine._in_words(why) == "ValueError: too bad"
    why.student_line = engine.Line(3, "  raise it  ")
    assert engine._in_words(why) == "ValueError: too bad (line 3: `raise it`)"
    why.student_line = (3, "not a Line")
    assert engine._in_words(why) == "ValueError: too bad"
