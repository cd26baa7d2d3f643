"""The harness of the benchmarks, with a fake clock and fake contenders: nothing here depends on how fast things are."""

import ast
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import harness, results
from tests.benchmarks.harness import OURS, Contender, Line, Requirement, Timing

FOLDER = Path(harness.__file__).parent


@pytest.fixture(autouse=True)
def threads_stay(monkeypatch):
    monkeypatch.setattr(command, "use_threads", lambda n: None)  # the test run keeps its cores


class Clock:
    """A clock that moves only when a call spends time."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def call(self, name, *seconds):
        """A call that takes the given seconds in turn, the last one for ever."""
        left = list(seconds)

        def spend():
            self.log.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return spend

    def sleep(self, seconds):
        self.log.append("rest")
        self.now += seconds


# -------------------- timing --------------------


def test_contenders_take_turns_and_warm_up_is_not_counted():
    clock = Clock()
    calls = {"a": clock.call("a", 100, 1, 2, 50, 3, 4), "b": clock.call("b", 7)}
    seconds = harness.interleave(calls, rounds=2, inner=2, clock=clock, sleep=clock.sleep)
    turn = ["rest", "a", "a", "a", "rest", "b", "b", "b"]
    assert clock.log == turn * 2
    assert seconds == {"a": [1, 2, 3, 4], "b": [7, 7, 7, 7]}  # neither 100 nor 50, the first call of each turn


def test_median_and_minimum_are_of_the_timed_calls():
    clock = Clock()
    call = clock.call("a", 9, 5, 9, 1, 9, 30)
    assert harness.race({OURS: call}, rounds=3, clock=clock, sleep=clock.sleep) == {OURS: Timing(5, 1)}


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_exponent_of_a_power_law(power):
    sizes = [10, 20, 50, 400]
    assert harness.exponent(sizes, [0.3 * n**power for n in sizes]) == pytest.approx(power, abs=1e-12)


def test_exponent_is_the_least_squares_line_in_logarithms():
    sizes, seconds = [1, 2, 4, 8], [1.0, 3.0, 3.5, 10.0]
    assert harness.exponent(sizes, seconds) == pytest.approx(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def test_growth_builds_every_contender_for_every_size():
    clock = Clock()
    who = [Contender(OURS, lambda n: clock.call(OURS, n**2)), Contender("peer", lambda n: clock.call("peer", n))]
    fits = harness.growth(who, {n: n for n in (1, 3, 9)}, rounds=2, clock=clock, sleep=clock.sleep)
    assert fits == {OURS: pytest.approx(2), "peer": pytest.approx(1)}


# -------------------- judging --------------------


def line_of(ours, limits, requirements=(), **peers):
    timings = {OURS: Timing(ours, ours), **{name: Timing(t, t) for name, t in peers.items()}}
    return Line("fake", timings, limits, requirements=requirements)


def test_the_peer_nearest_its_limit_decides():
    line = line_of(1.5, {"fast": math.inf, "even": 1.7, "slow": 0.5}, fast=0.1, even=1.0, slow=4.0)
    assert line.against == "even" and line.met
    assert line.ratios == {"fast": 15.0, "even": 1.5, "slow": 0.375}
    assert not line_of(1.5, {"even": 1.4}, even=1.0).met


def test_a_requirement_can_fail_a_line_that_is_fast_enough():
    assert line_of(1, {"peer": 1.0}, [Requirement("memory", 0.3, 0.3)], peer=1).met  # at the limit: met
    assert not line_of(1, {"peer": 1.0}, [Requirement("memory", 0.31, 0.3)], peer=1).met


def test_without_a_peer_that_has_a_limit_nothing_is_shown():
    assert line_of(1, {}).met is None
    assert line_of(1, {"peer": math.inf}, peer=9).met is None


def test_an_allowance_of_seconds_becomes_a_ratio():
    peer = Contender("peer", None, limit=1.0, plus=0.050)
    assert harness.limits([Contender(OURS, None), peer], {"peer": Timing(0.2, 0.1)}) == {"peer": pytest.approx(1.25)}


def test_who_computes_something_else_is_named():
    right = np.arange(4.0)
    harness.agree("rows", {OURS: right, "peer": right * (1 + 1e-7)}, rtol=1e-6)
    for wrong in (right * 1.001, right[:, None], right[:3], right * math.nan):
        with pytest.raises(harness.Disagreement, match=r"rows: peer differs from enm5310 by"):
            harness.agree("rows", {OURS: right, "peer": wrong}, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(2.5, "s", "2.5 s"), (0.0354, "s", "35.4 ms"), (2e-5, "s", "20 us"), (98.456, "nats", "98.46 nats")],
)
def test_quantities_read_well(value, unit, words):
    assert results.quantity(value, unit) == words


# -------------------- the command --------------------


def fake_lines(package="numpy", disagree=False):
    def measure(contenders):
        if disagree:
            raise harness.Disagreement("peer differs")
        timings = {c.name: Timing(2.0, 1.0) if c.name == OURS else Timing(4.0, 3.0) for c in contenders}
        return Line("fake", timings, harness.limits(contenders, timings), {"n": {OURS: 1.0}}, notes=("a note",))

    contenders = [Contender(OURS, None), Contender("peer", None, package, limit=1.0)]
    return {"fake": SimpleNamespace(WHAT="nothing", CONTENDERS=contenders, measure=measure)}


def test_the_json_has_the_agreed_form(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert command.main(["fake", "--json", str(file), "--threads", "1"], fake_lines()) == 0
    result = json.loads(file.read_text())
    assert {"machine", "lines"} <= result.keys() and result["machine"]["threads"] == 1
    (line,) = result["lines"]
    assert line["name"] == "fake"
    assert line["ours"] == {"median": 2.0, "min": 1.0} and line["peers"] == {"peer": {"median": 4.0, "min": 3.0}}
    assert (line["ratio"], line["target"], line["met"]) == (0.5, 1.0, True)
    assert line["growth"] == {"n": {OURS: 1.0}} and line["notes"] == ["a note"]
    printed = capsys.readouterr().out
    assert "threads 1" in printed and "0.50" in printed and "<= 1.00" in printed and "a note" in printed


def test_a_missing_peer_is_an_error_with_the_command_that_installs_it(capsys):
    assert command.main(["fake"], fake_lines("no_such_package")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no_such_package" in error and "pip install --group bench" in error


def test_allow_missing_goes_on_without_it_and_claims_nothing(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert command.main(["--allow-missing", "--json", str(file)], fake_lines("no_such_package")) == 0
    result = json.loads(file.read_text())
    assert result["missing"] == ["no_such_package"] and "without no_such_package" in capsys.readouterr().out
    assert result["lines"][0]["peers"] == {} and result["lines"][0]["met"] is None


def test_an_unknown_name_is_one_line_that_lists_the_others(capsys):
    assert command.main(["vae_step", "hintom"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "'hintom'" in error and all(name in error for name in command.NAMES)


def test_disagreement_ends_the_run_without_a_table(capsys):
    assert command.main([], fake_lines(disagree=True)) == 2
    out, error = capsys.readouterr()
    assert error == "fake: peer differs\n" and "Benchmarks" not in out


# -------------------- the lines --------------------


def top_level_imports(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_peers_are_imported_only_when_they_are_built():
    for path in FOLDER.glob("*.py"):
        assert not {"torch", "jax", "sklearn"} & set(top_level_imports(path)), path.name


def test_every_name_has_its_module_with_ours_first_and_a_target():
    check = """if 1:
        from importlib import import_module; import sys
        from tests.benchmarks import __main__ as command, harness
        for name in command.NAMES:
            line = import_module(f"tests.benchmarks.{name}")
            assert line.WHAT and line.CONTENDERS[0].name == harness.OURS and callable(line.measure), name
            assert any(c.limit < float("inf") for c in line.CONTENDERS[1:]), name
        assert not {"torch", "jax", "sklearn"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", check], check=True, cwd=FOLDER.parents[1])


def test_the_plain_step_and_ours_agree_without_any_peer(monkeypatch):
    from tests.benchmarks import vae_step

    rng = np.random.default_rng(3)
    grey = rng.random((8, 784), dtype=np.float32)
    monkeypatch.setattr(vae_step, "mnist", lambda: (grey, None, "noise"))
    plain = [c for c in vae_step.CONTENDERS if c.name in (OURS, "plain autograd", "matrix products")]
    steppers = vae_step.check(plain, n=8, steps=3)
    assert math.isnan(steppers["matrix products"].step())  # it computes no loss, so it cannot be compared
    wrong = Contender(OURS, lambda given: vae_step.ours(given._replace(eps=-given.eps)))
    with pytest.raises(harness.Disagreement, match=r"gradient of the VAE.*plain autograd"):
        vae_step.check([wrong, *plain[1:]], n=8, steps=3)


def test_curves_count_only_the_seconds_of_training():
    from tests.benchmarks import mnist_vae

    clock = Clock()
    curve = mnist_vae.Curve(lambda params: 100.0 - params, marks=(2, 4), clock=clock)
    curve.resume()
    clock.now += 1.9
    assert not curve.due()
    clock.now += 0.1
    assert curve.due()
    curve.pause()
    curve.mark(5.0)
    clock.now += 1000  # the other one trains
    curve.resume()
    clock.now += 1.9
    assert not curve.due()
    clock.now += 0.2
    assert curve.due()
    curve.mark(6.0)
    assert curve.nats == {2: 95.0, 4: 94.0} and not curve.due()


def test_the_line_of_mnist_asks_for_the_elbo_and_for_no_lag():
    from tests.benchmarks import mnist_vae

    def judged(ours, torch):
        curves = {OURS: SimpleNamespace(nats=ours, steps=1), "PyTorch eager": SimpleNamespace(nats=torch, steps=1)}
        return mnist_vae.line(curves, "noise").met

    good = {12: 104.0, 60: 98.0}
    assert judged(good, {12: 104.5, 60: 98.0})
    assert not judged(good, {12: 103.9, 60: 98.5})  # behind on the way
    assert not judged(good, {12: 104.5, 60: 97.9})  # behind at the end
    assert not judged({12: 105.1, 60: 98.0}, {12: 106.0, 60: 99.0})  # too slow at first
    assert not judged({12: 104.0, 60: 99.1}, {12: 106.0, 60: 99.5})


def test_both_contenders_start_from_the_mean_image_and_slow_down():
    from enm5310 import distributions, vae
    from tests.benchmarks import mnist_vae

    train = np.random.default_rng(0).random((50, 784), dtype=np.float32) * np.linspace(0, 1, 784, dtype=np.float32)
    params = mnist_vae.start(train)
    bias = params[1][-1][1]
    assert bias.dtype == np.float32 and params[1][-1][0].any()
    np.testing.assert_allclose(distributions.sigmoid(bias), np.clip(train.mean(0), 1e-3, None), rtol=1e-5)
    assert np.isfinite(vae.encode(params, train)[0]).all()
    rates = [mnist_vae.rate(t) for t in range(0, 9000, 100)]
    assert rates == sorted(rates, reverse=True) and rates[0] == 4e-3 and mnist_vae.rate(5000) == 2e-3


def test_memory_of_streaming_pca_is_measured_in_a_process_of_its_own_and_checked():
    from tests.benchmarks import pca

    rng = np.random.default_rng(4)
    X = (rng.standard_normal((3000, 40)) * np.arange(1, 41)).astype(np.float32)
    truth = pca.exact(X)
    assert 0 <= pca.stream_memory(X, truth) < 100e6
    with pytest.raises(harness.Disagreement, match="streaming"):
        pca.stream_memory(X, np.eye(40)[:, :30])  # the weak directions


def test_synthetic_images_have_the_shape_of_mnist_and_say_so(monkeypatch, tmp_path):
    from tests.benchmarks import data

    monkeypatch.setattr(data, "SHARED", tmp_path / "absent.npz")
    monkeypatch.setenv("ENM5310_DATA", str(tmp_path))
    monkeypatch.setattr(data, "_synthetic", lambda rng: rng.integers(0, 256, (70000, 784), dtype=np.uint8))
    train, test, source = data._images()
    assert train.shape == (60000, 784) and test.shape == (10000, 784) and "SYNTHETIC" in source
