"""Training on a device, through the public API: the numbers of the CPU, and nothing copied back inside a step."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import autoencoder, backend, nets, optimize, training, vae
from tests import device
from tests.benchmarks import harness
from tests.device import TRAFFIC, Device
from tests.notebooks import ROOT

LIKELIHOODS = ["bernoulli", "gaussian", "continuous_bernoulli", vae.gaussian(0.3)]


@pytest.fixture(params=device.KINDS)
def gpu(request, monkeypatch):
    return device.Gpu(request.param, monkeypatch)


@pytest.fixture
def counted(monkeypatch):
    """The stand-in, which counts copies and has as little memory as a test wants."""
    return device.Gpu("stand-in", monkeypatch)


def problem(dtype=np.float32, n=23, p=6, k=2):
    rng = np.random.default_rng(0)
    return vae.init(p, [5], k, rng, dtype), rng.random((n, p)).astype(dtype), rng.standard_normal((n, k)).astype(dtype)


def close(mine, wanted, dtype=np.float32):
    for a, b in zip(nets.leaves(mine), nets.leaves(wanted), strict=True):
        assert type(a) is type(b) is np.ndarray and a.dtype == b.dtype == dtype
        assert_allclose(a, b, rtol=0, atol=(2e-5 if dtype == np.float32 else 1e-12) * max(1, abs(b).max(initial=0)))


# -------------------- one step --------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("route", [vae.by_hand, vae.after, vae.before])
def test_three_routes_to_the_gradient_give_the_numbers_of_the_cpu(gpu, route, likelihood, dtype):
    data = problem(dtype)
    there = gpu(data)
    with gpu.no_copies():
        values, gradient = route(*there, likelihood, 0.7)
    wanted, by_host = route(*data, likelihood, 0.7)
    close(backend.to_host((tuple(values), gradient)), (tuple(wanted), by_host), dtype)


@pytest.mark.parametrize("activation", [nets.sigmoid, nets.softplus, nets.relu, nets.identity])
def test_every_activation_goes_both_ways(gpu, activation):
    data = problem(np.float64)
    mine = backend.to_host(vae.by_hand(*gpu(data), activation=activation)[1])
    assert_allclose(nets.flatten(mine), nets.flatten(vae.after(*data, activation=activation)[1]), atol=1e-12)
    mine = backend.to_host(vae.after(*gpu(data), activation=activation)[1])
    assert_allclose(nets.flatten(mine), nets.flatten(vae.by_hand(*data, activation=activation)[1]), atol=1e-12)


@pytest.mark.parametrize("rule", [optimize.sgd, optimize.adam, optimize.adam_in_place])
def test_update_rules_stay_on_the_device(gpu, rule, monkeypatch):
    monkeypatch.setattr(optimize, "BLOCK", 4)
    params, X, eps = problem()
    theirs, state, there, there_state = params, None, gpu(params), None
    for _ in range(3):
        gradient = vae.by_hand(theirs, X, eps)[1]
        theirs, state = rule(theirs, gradient, state, lr=-0.1)
        there_gradient = gpu(gradient)
        with gpu.no_copies():
            there, there_state = rule(there, there_gradient, there_state, lr=-0.1)
    close(backend.to_host(there), theirs)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sampling_and_means_run_there(gpu, likelihood):
    params, X, eps = problem(np.float64)
    noise = np.random.default_rng(1).random(X.shape)
    there, eps_there, noise_there = gpu((params, eps, noise))
    with gpu.no_copies():
        mine = vae.sample(there, eps_there, noise_there, likelihood), vae.decode_mean(there, eps_there, likelihood)
    wanted = vae.sample(params, eps, noise, likelihood), vae.decode_mean(params, eps, likelihood)
    close(backend.to_host(mine), wanted, np.float64)
    weight = vae.log_weight(there, gpu(X), eps_there, likelihood)
    assert_allclose(weight.get(), vae.log_weight(params, X, eps, likelihood), rtol=1e-12)


# -------------------- whole runs --------------------


@pytest.mark.parametrize("route", [vae.by_hand, vae.after])
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_vae_trains_on_the_device_with_the_numbers_of_the_cpu(gpu, route, dynamic):
    params, X, _ = problem()
    runs = [
        vae.fit(params, X, np.random.default_rng(5), 3, 8, 1e-2, route=route, dynamic=dynamic, device=where)
        for where in ("gpu", "cpu")
    ]
    close(runs[0].params, runs[1].params)
    assert type(runs[0].values) is np.ndarray and len(runs[0].values) == 9
    assert_allclose(runs[0].values, runs[1].values, rtol=1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_step_of_training_copies_its_indices_and_its_noise_there_and_nothing_back(counted, dynamic):
    params, X, _ = problem()
    started = []

    def route(params, x, eps, *rest):
        assert all(isinstance(a, Device) for a in (x, eps, *nets.leaves(params)))
        started.append((TRAFFIC["to_device"], TRAFFIC["to_host"]))
        return vae.by_hand(params, x, eps, *rest)

    vae.fit(params, X, np.random.default_rng(5), 2, 8, route=route, dynamic=dynamic, device="gpu")
    (up, back), per_step = np.diff(started, axis=0).T, 3 if dynamic else 2
    assert (up == per_step).all()  # indices, noise, pixels
    assert back.tolist() == [0, 0, 1, 0, 0]  # three steps to an epoch: between epochs the objectives come back
    data = 1 + len(nets.leaves(params))
    assert started[0] == (data + per_step, 1)  # the 1 is the proof that the device computes
    assert TRAFFIC["to_host"] == 1 + 2 + len(nets.leaves(params))
    assert TRAFFIC["to_device"] == data + 6 * per_step


def test_a_callback_sees_numbers_and_device_parameters_and_can_stop(gpu):
    params, X, _ = problem()
    seen, average = [], optimize.Average()

    def callback(t, now, value):
        average(now)
        seen.append(value)
        return t == 4

    run = vae.fit(params, X, np.random.default_rng(5), 9, 8, 1e-2, callback=callback, device="gpu")
    assert run.stopped and len(run.values) == 5
    assert all(type(value) is float for value in seen) and seen == list(run.values)
    assert all(isinstance(a, gpu.array) for a in nets.leaves(average.params))
    other = optimize.Average()
    vae.fit(params, X, np.random.default_rng(5), 9, 8, 1e-2, callback=lambda t, p, v: other(p) or t == 4)
    close(backend.to_host(average.params), other.params)


@pytest.mark.parametrize("where", ["gpu", "cpu"])
def test_rows_held_out_choose_the_epoch_and_a_checkpoint_goes_on_from_either_device(gpu, tmp_path, where):
    params, X, eps = problem()
    common = {"size": 8, "lr": 0.05, "held_out": (X[:7], eps[:7]), "patience": 2}
    whole = vae.fit(params, X, np.random.default_rng(5), 6, **common)
    file = tmp_path / "run.npz"
    vae.fit(params, X, np.random.default_rng(5), 2, **common, checkpoint=file, device="gpu")
    rest = vae.fit(params, X, np.random.default_rng(9), 6, **common, checkpoint=file, device=where)
    close(rest.params, whole.params)
    assert_allclose(rest.values, whole.values, rtol=1e-5)


@pytest.mark.parametrize("callback", [None, lambda *now: None])
def test_an_objective_that_is_not_finite_names_its_step(gpu, callback):
    params, X, _ = problem()
    taken = []

    def route(params, *rest):
        taken.append(1)
        now, gradient = vae.by_hand(params, *rest)
        return now._replace(elbo=now.elbo * (np.nan if len(taken) == 4 else 1.0)), gradient

    with pytest.raises(ValueError, match="the objective is nan at step 3"):
        vae.fit(params, X, np.random.default_rng(5), 9, 8, route=route, callback=callback, device="gpu")
    assert len(taken) == (6 if callback is None else 4)  # without a callback it is seen at the end of the epoch


@pytest.mark.parametrize("output", [nets.identity, nets.sigmoid])
def test_an_auto_encoder_trains_there_by_autograd(gpu, output):
    rng = np.random.default_rng(0)
    X, params = rng.random((23, 6)), autoencoder.init([6, 5, 2], rng, np.float32)
    common = {"epochs": 2, "size": 8, "lr": 0.01, "output": output, "held_out": X[:5]}
    runs = [autoencoder.fit(params, X, np.random.default_rng(3), **common, device=where) for where in ("gpu", "cpu")]
    close(runs[0].params, runs[1].params)
    assert_allclose(runs[0].values, runs[1].values, rtol=1e-5)


def test_a_step_of_the_auto_encoder_copies_nothing_back(counted, monkeypatch):
    rng, counts = np.random.default_rng(0), []
    X, params = rng.random((24, 6)).astype(np.float32), autoencoder.init([6, 5, 2], rng, np.float32)
    update = training.adam_in_place
    monkeypatch.setattr(training, "adam_in_place", lambda *a: counts.append(dict(TRAFFIC)) or update(*a))
    autoencoder.fit(params, X, np.random.default_rng(3), 1, 8, device="gpu")
    assert [c["to_host"] for c in counts] == [1, 1, 1]
    assert np.diff([c["to_device"] for c in counts]).tolist() == [1, 1]  # the indices


# -------------------- no device, or not enough of it --------------------


def test_too_little_memory_is_one_line_and_the_cpu(counted, monkeypatch):
    _, X, _ = problem()
    params = vae.init(6, [50], 2, np.random.default_rng(0), np.float32)
    wanted = vae.fit(params, X, np.random.default_rng(5), 2, 8)
    for limit in (500, 1500):  # bytes: X has 552, the hidden units of a batch 1600
        monkeypatch.setattr(device, "LIMIT", [limit])
        with pytest.warns(RuntimeWarning) as caught:
            run = vae.fit(params, X, np.random.default_rng(5), 2, 8, device="gpu")
        (warning,) = caught
        assert "memory does not suffice" in str(warning.message) and str(warning.message).endswith("the CPU is used")
        assert "\n" not in str(warning.message) and warning.filename == __file__
        for a, b in zip(nets.leaves(run.params), nets.leaves(wanted.params), strict=True):
            assert_array_equal(a, b)
        assert_array_equal(run.values, wanted.values)


def test_memory_that_runs_out_in_the_middle_starts_again_with_the_same_numbers(counted):
    params, X, _ = problem()
    wanted, steps = vae.fit(params, X, np.random.default_rng(5), 2, 8), []

    def route(params, x, *rest):
        steps.append(type(x))
        if len(steps) == 4:
            raise device.OutOfMemoryError("Out of memory allocating 1,024 bytes (allocated so far: 9 bytes).")
        return vae.by_hand(params, x, *rest)

    with pytest.warns(RuntimeWarning, match="the CPU is used"):
        run = vae.fit(params, X, np.random.default_rng(5), 2, 8, route=route, device="gpu")
    assert steps == [Device] * 4 + [np.ndarray] * 6
    assert_array_equal(run.values, wanted.values)


def test_other_errors_are_not_hidden(counted):
    params, X, _ = problem()

    def route(*args):
        raise RuntimeError("cudaErrorIllegalAddress")

    with pytest.raises(RuntimeError, match="IllegalAddress"):
        vae.fit(params, X, np.random.default_rng(5), 2, 8, route=route, device="gpu")


def test_a_device_that_does_not_exist_is_refused():
    params, X, _ = problem()
    with pytest.raises(ValueError, match="device is 'tpu'"):
        vae.fit(params, X, np.random.default_rng(0), device="tpu")


def test_without_a_device_the_cpu_trains_and_says_so_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", device.module(available=False))
    params, X, _ = problem()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = vae.fit(params, X, np.random.default_rng(5), 2, 8, device="gpu")
    assert [str(w.message) for w in caught] == ["CuPy 0.stand-in sees no CUDA device; the CPU is used"]
    assert_array_equal(run.values, vae.fit(params, X, np.random.default_rng(5), 2, 8).values)


# -------------------- the benchmark --------------------


def test_the_line_of_the_benchmark_computes_the_same_everywhere(counted, monkeypatch):
    from tests.benchmarks import gpu, vae_step

    grey = np.random.default_rng(3).random((8, 784), dtype=np.float32)
    monkeypatch.setattr(vae_step, "mnist", lambda: (grey, None, "noise"))
    mine = [c for c in gpu.CONTENDERS if c.package != "torch"]
    steppers = gpu.check(mine, n=4, steps=2)
    assert np.isnan(steppers["matrix products on the GPU"].step())
    assert gpu.device_name() == "stand-in, CuPy 0.stand-in"
    wrong = mine[0]._replace(build=lambda given: mine[0].build(given._replace(eps=-given.eps)))
    with pytest.raises(harness.Disagreement, match="gradient of the VAE"):
        gpu.check([wrong, mine[1]], n=4, steps=2)


def test_the_benchmark_without_a_device_is_one_line():
    code = "import runpy, sys; sys.modules['cupy'] = None; runpy.run_module('tests.benchmarks.gpu', {}, '__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.startswith("CuPy is not installed") and done.stderr.count("\n") == 1
