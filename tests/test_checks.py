"""Proof obligations of every exercise: right answers pass, wrong ones are named, mutants die, junk earns nothing.

The last function of a slow exercise is a training run, the others are its exact step.  On many seeds the step alone is
judged, with the run left unwritten; the run has tests of its own at the end.
"""

import ast
import functools
import importlib
import inspect
import pickle
import sys

import numpy as np
import pytest

from enm5310.checks import CheckFailed, NotAttempted
from enm5310.checks.engine import PRACTICE_SEED, Fn, in_kernel
from tests import notebooks
from tests.mutants import mutants
from tests.sampling import one_in

EXERCISES = notebooks.every_exercise()
every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: f"{e.id} {e.name}")
each_or_later = pytest.mark.parametrize(  # what takes long: one in five here, all of them in the slow part
    "exercise", one_in(5, EXERCISES), ids=lambda e: f"{e.id} {e.name}"
)
every_slow_exercise = pytest.mark.parametrize(
    "exercise", one_in(3, [e for e in EXERCISES if e.slow]), ids=lambda e: f"{e.id} {e.name}"
)
SEEDS = range(1000, 1200)


def proof(exercise):
    """The hand-written proof material of the exercise's part."""
    return importlib.import_module(f"tests.exercises.part{exercise.id.split('.')[0]}")


def judge(exercise, functions, seed):
    return exercise.judge(in_kernel(functions), seed)


def by_name(names, functions):
    if isinstance(functions, dict):
        return functions
    return dict(zip(names, functions if isinstance(functions, tuple) else (functions,), strict=True))


def unwritten(*args):
    raise NotImplementedError


def step(exercise, functions):
    """What is judged on many seeds, by name: every function, but of a slow exercise its last one is left unwritten."""
    if not exercise.slow:
        return by_name(exercise.of, functions)
    *names, run = exercise.of
    return {**by_name(names, functions), run: unwritten}


def is_right(exercise, verdict):
    """All parts are; of a slow exercise all but those that the unwritten run fails, which leaves half of the points."""
    if not exercise.slow:
        return verdict.state == "right" and verdict.points == exercise.max_points
    left = {part.why for part in verdict.parts} - {None, f"{exercise.of[-1]} is not written yet"}
    return not left and verdict.points >= exercise.max_points / 2


def reference_step(exercise):
    functions = notebooks.reference(exercise)
    return step(exercise, {name: functions[name] for name in exercise.of})


def assert_reference_is_right(exercise, seeds):
    for seed in seeds:
        verdict = judge(exercise, reference_step(exercise), seed)
        assert is_right(exercise, verdict), (seed, verdict)


@every_exercise
def test_reference_solution_is_right(exercise):
    assert_reference_is_right(exercise, [PRACTICE_SEED, *SEEDS[:15]])


@pytest.mark.slow
@every_exercise
def test_reference_solution_is_right_on_every_seed(exercise):
    assert_reference_is_right(exercise, SEEDS)


def assert_variants_are_right(exercise, seeds):
    variants = proof(exercise).VARIANTS[exercise.name]
    assert len(variants) >= 3
    for variant in variants:
        for seed in seeds:
            verdict = judge(exercise, step(exercise, variant), seed)
            assert is_right(exercise, verdict), (variant, seed, verdict)


@each_or_later
def test_at_least_three_other_algorithms_are_right(exercise):
    assert_variants_are_right(exercise, [PRACTICE_SEED, *SEEDS[:6]])


@pytest.mark.slow
@every_exercise
def test_at_least_three_other_algorithms_are_right_on_every_seed(exercise):
    assert_variants_are_right(exercise, SEEDS)


def assert_mistakes_are_named(exercise, seeds):
    assert len({say for say, _, _ in exercise.known}) >= 4
    for say, of, wrong in exercise.known:
        for seed in seeds:
            verdict = judge(exercise, {**reference_step(exercise), of: wrong}, seed)
            assert verdict.state in ("wrong", "partly right") and verdict.mistake == say, (say, seed, verdict)
            assert not is_right(exercise, verdict)


@each_or_later
def test_known_mistakes_fail_and_are_named(exercise):
    assert_mistakes_are_named(exercise, [PRACTICE_SEED, *SEEDS[:2]])


@pytest.mark.slow
@every_exercise
def test_known_mistakes_fail_and_are_named_on_many_seeds(exercise):
    assert_mistakes_are_named(exercise, SEEDS[::3])  # some 800 mistakes: all seeds would take 20 minutes


@each_or_later
def test_the_same_misconception_by_another_route_gets_the_same_name(exercise):
    routes = proof(exercise).ROUTES.get(exercise.name, [])
    assert routes or not any(exercise._canon.values()), "an exercise with a canon needs a pair"
    for wrong, piece in routes:
        for seed in [PRACTICE_SEED, *SEEDS[:5]]:
            verdict = judge(exercise, step(exercise, wrong), seed)
            assert verdict.points < exercise.max_points, (piece, seed, verdict)
            assert verdict.mistake and piece in verdict.mistake, (piece, seed, verdict)


@every_exercise
def test_what_no_known_mistake_can_repeat_is_explained_by_the_check_itself(exercise):
    for wrong, piece in getattr(proof(exercise), "TOLD", {}).get(exercise.name, []):
        for seed in [PRACTICE_SEED, *SEEDS[:5]]:
            verdict = judge(exercise, step(exercise, wrong), seed)
            assert verdict.points < exercise.max_points and verdict.mistake is None, (piece, seed, verdict)
            assert piece in verdict.message, (piece, seed, verdict)


@each_or_later
def test_mutants_of_the_solution_die(exercise):
    equivalent = proof(exercise).EQUIVALENT.get(exercise.name, {})
    setup = notebooks.reference(exercise)[exercise.of[0]].__globals__
    made = list(mutants(_source_of_the_step(exercise)))
    survivors = [what for what, mutant in made if survives(exercise, mutant, dict(setup))]
    assert len(made) >= 4
    assert set(survivors) == set(equivalent), "each survivor is listed with its reason, and nothing else is"


def _source_of_the_step(exercise):
    """The solution, without the run of a slow exercise: no mutants of the loop."""
    tree = ast.parse(notebooks.solution_cell(exercise))
    run = exercise.of[-1] if exercise.slow else None
    tree.body = [node for node in tree.body if getattr(node, "name", "") != run]
    return ast.unparse(tree)


def survives(exercise, mutant, scope):
    try:
        notebooks.run(mutant, scope, name="<mutant>")
    except Exception:  # does not even define the function
        return False
    functions = step(exercise, {name: scope[name] for name in exercise.of})
    return any(is_right(exercise, judge(exercise, functions, seed)) for seed in (PRACTICE_SEED, 1000, 1001))


# -------------------- single precision --------------------


def in_float32(values):
    if isinstance(values, (tuple, list)):
        return type(values)(in_float32(v) for v in values)
    real = isinstance(values, (float, np.ndarray, np.generic)) and np.asarray(values).dtype.kind == "f"
    return np.float32(values) if real else values


ONLY_IN_FLOAT64 = {  # not right when *computed* in float32
    "2.3": "arccos of a cosine near 1 loses half of the digits", "3.1": "a difference of nearly equal averages",
    "3.2": "distances of 1e-9 from a data point", "4.1": "float32 has the neighbours 1 - 6e-8 and 1",
    "6.4": "numbers of 1e-18 beside 1", "6.5": "1 - p for p near 1", "6.9": "a difference of nearly equal values",
}  # fmt: skip


@every_exercise
def test_a_right_answer_in_single_precision_is_right(exercise):
    """Rounded at the end; and, for nearly all exercises, computed from arguments in single precision."""
    ways = [lambda f: lambda *args: in_float32(f(*args))]
    if exercise.id not in ONLY_IN_FLOAT64:
        ways.append(lambda f: lambda *args: in_float32(f(*in_float32(args))))
    for way in ways:
        functions = {name: f if f is unwritten else way(f) for name, f in reference_step(exercise).items()}
        for seed in [PRACTICE_SEED, *SEEDS[:5]]:
            verdict = judge(exercise, functions, seed)
            assert is_right(exercise, verdict), (seed, verdict)


@pytest.mark.parametrize("id", ["7.1", "7.3"])
def test_an_answer_that_is_no_number_anywhere_is_no_known_mistake(id):
    exercise = next(e for e in EXERCISES if e.id == id)
    (f,) = reference_step(exercise).values()
    for seed in SEEDS[:40]:
        verdict = judge(exercise, {exercise.of[0]: lambda *args: np.full_like(f(*args), np.nan)}, seed)
        assert verdict.state == "wrong" and verdict.mistake is None and "NaN" in verdict.message


# -------------------- answers that nobody computed --------------------


@functools.cache
def remembered(exercise):
    """The reference solution; what a slow one gave for the same arguments once, it gives again without training."""

    def wrap(f):
        if not exercise.slow:
            return f  # and its arguments may be functions, which have no key
        known = {}

        def remember(*args):
            key = pickle.dumps([(a.source, a.data) if isinstance(a, Fn) else a for a in args])
            if key not in known:
                known[key] = f(*args)
            return known[key]

        return remember

    return {name: wrap(f) for name, f in notebooks.reference(exercise).items()}


def trivial(exercise):
    """Answers of the right shape without a thought: the functions get the recorded right answer only for its form."""
    rng = np.random.default_rng(0)

    def like_right(make):
        def wrap(right):
            return lambda *args: _map(make, right(*args))

        return {name: wrap(f) for name, f in remembered(exercise).items()}

    yield "zeros", like_right(np.zeros_like)
    yield "ones", like_right(np.ones_like)
    yield "random numbers", like_right(lambda a: rng.normal(size=np.shape(a)))
    yield "an identity", like_right(lambda a: np.eye(*np.shape(a)) if np.ndim(a) == 2 else np.ones_like(a))
    yield "its first argument", {name: lambda *args: args[0] for name in exercise.of}
    yield "its arguments", {name: lambda *args: args for name in exercise.of}


def _map(make, out):
    if isinstance(out, (tuple, list)):
        return type(out)(_map(make, item) for item in out)
    return out if isinstance(out, str) else make(np.asarray(out, dtype=float))


@each_or_later
def test_trivial_answers_earn_nothing(exercise):
    for words, functions in trivial(exercise):
        for seed in (PRACTICE_SEED,) if exercise.slow else (PRACTICE_SEED, 1000, 1001):
            verdict = judge(exercise, functions, seed)
            assert verdict.points == 0 and verdict.state == "wrong", (words, verdict)
            assert " raised " not in verdict.message, (words, verdict)  # or it was not the answer that failed


@every_exercise
def test_answers_without_the_idea_earn_nothing(exercise):
    for functions in getattr(proof(exercise), "HOSTILE", {}).get(exercise.name, []):
        for seed in [PRACTICE_SEED, *SEEDS[:5]]:
            verdict = judge(exercise, step(exercise, functions), seed)
            assert verdict.points == 0 and verdict.state == "wrong", (functions, seed, verdict)


def replaced(exercise, answer):
    return {name: lambda *args: answer for name in exercise.of}


def raises(*args):
    raise ValueError("oh no")


BAD = {
    "text": ("forty-two", "text"),
    "None": (None, "None"),
    "NaN": (float("nan"), None),
    "complex": (1 + 2j, "complex"),
    "ragged": ([[1.0, 2.0], [3.0]], None),
    "an object": (object(), "object"),
    "a function": (np.sum, "function"),
    "huge": (np.broadcast_to(0.0, (10**6, 10**6)), "numbers"),
    "a masked array": (np.ma.array([1.0, 2.0], mask=[0, 1]), "masked"),
    "an array of objects": (np.array([1, "a", None], dtype=object), "objects"),
    "a huge whole number": (10**400, None),
}


@every_exercise
@pytest.mark.parametrize("kind", BAD)
def test_bad_answers_get_one_clear_line(exercise, kind):
    answer, piece = BAD[kind]
    verdict = judge(exercise, replaced(exercise, answer), PRACTICE_SEED)
    assert verdict.state == "wrong" and verdict.points == 0
    assert "\n" not in verdict.message and exercise.of[0] in verdict.message
    assert piece is None or piece in verdict.message


@every_exercise
def test_an_exception_names_itself_and_the_line(exercise):
    scope = notebooks.run("def f(*args):\n    x = 1\n    return x.shape[99]\n")
    verdict = judge(exercise, {name: scope["f"] for name in exercise.of}, PRACTICE_SEED)
    assert verdict.state == "wrong"
    assert f"{exercise.of[0]} raised AttributeError" in verdict.message
    assert "line 3: `return x.shape[99]`" in verdict.message


@every_exercise
def test_the_starter_is_not_attempted(exercise):
    assert judge(exercise, {name: unwritten for name in exercise.of}, PRACTICE_SEED).state == "not attempted"
    with pytest.raises(NotAttempted):
        exercise(*[unwritten] * len(exercise.of))


@every_exercise
def test_a_wrong_shape_says_both_shapes(exercise):
    verdict = judge(exercise, replaced(exercise, np.zeros((2, 3, 5))), PRACTICE_SEED)
    assert verdict.state == "wrong" and "expected" in verdict.message


# -------------------- training runs --------------------


def with_run(exercise, run):
    """The reference solution with another training run."""
    return {**remembered(exercise), exercise.of[-1]: run}


@every_slow_exercise
def test_the_reference_trains_well_enough(exercise):
    assert judge(exercise, remembered(exercise), PRACTICE_SEED).state == "right"


@pytest.mark.slow
@every_slow_exercise
def test_the_reference_and_other_trainings_are_right_on_three_seeds(exercise):
    others = proof(exercise).RUNS[exercise.name]
    assert others
    for functions in [notebooks.reference(exercise), *(with_run(exercise, run) for run in others)]:
        for seed in SEEDS[:3]:
            verdict = judge(exercise, functions, seed)
            assert verdict.state == "right" and verdict.points == exercise.max_points, (functions, seed, verdict)


@every_slow_exercise
def test_a_training_that_is_not_good_enough_is_told_its_symptom(exercise):
    for run, piece in proof(exercise).SYMPTOMS[exercise.name]:
        verdict = judge(exercise, with_run(exercise, run), PRACTICE_SEED)
        assert verdict.state == "partly right" and verdict.mistake is None, (run, verdict)
        assert piece in verdict.message and "\n" not in verdict.message, (run, verdict)


@every_slow_exercise
def test_a_run_that_fails_leaves_the_points_of_the_step_and_no_more(exercise):
    for run, piece in [(unwritten, "is not written yet"), (raises, "oh no"), (lambda *args: None, "None")]:
        verdict = judge(exercise, with_run(exercise, run), PRACTICE_SEED)
        assert verdict.state == "partly right" and is_right(exercise, judge(exercise, reference_step(exercise), 1))
        assert verdict.points == judge(exercise, reference_step(exercise), PRACTICE_SEED).points < exercise.max_points
        assert exercise.of[-1] in verdict.message and piece in verdict.message


# -------------------- the declarations --------------------


@every_exercise
def test_declarations_are_complete(exercise):
    assert len(exercise.hints) >= 2 and exercise.title and exercise.slide
    assert sum(exercise.parts.values()) == exercise.max_points > 0
    for name in exercise.answers:
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), name
    for _say, of, _ in exercise.known:
        assert of in exercise.of


def test_ids_are_unique_and_in_order():
    ids = [tuple(int(i) for i in e.id.split(".")) for e in EXERCISES]
    assert ids == sorted(set(ids))


def test_checks_import_no_mathematics():
    """Rule 4: a check never calls the library's own implementation, so it may not even import it."""
    for part in notebooks.PARTS:
        for node in ast.walk(ast.parse(inspect.getsource(notebooks.checks(part)))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                top = name.split(".")[0]
                assert top in {"numpy", "autograd", *sys.stdlib_module_names} or name.startswith(ALLOWED), name


ALLOWED = ("enm5310.checks.", "enm5310.datasets")


@every_exercise
def test_a_failing_check_shows_its_report_in_place_of_a_traceback(exercise):
    with pytest.raises(CheckFailed) as failed:
        exercise(*replaced(exercise, None).values())
    lines = failed.value._render_traceback_()
    assert exercise.id in lines[0] and "Traceback" not in "".join(lines)
