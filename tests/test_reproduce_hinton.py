"""The auto-encoder of Hinton & Salakhutdinov: natural gradient, jitter, the change of units, the clock, a tiny run."""

import itertools
import json
import math

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from autograd import grad
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import autoencoder, nets
from tests.benchmarks import harness, hinton, kfac, results
from tests.benchmarks.harness import OURS, Timing
from tests.benchmarks.reproduce import hinton as experiment


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


def network(sizes=(5, 4, 2), seed=0):
    params = autoencoder.init(list(sizes), np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    return nets.tree_map(lambda a: a + 0.3 * rng.standard_normal(a.shape), params)  # biases that are not 0


def pixels(n=6, p=5, seed=3):
    return np.random.default_rng(seed).random((n, p))


# -------------------- gradient --------------------


def plain_loss(params, X):
    P = autoencoder.decode(params, autoencoder.encode(params, X, nets.tanh), nets.tanh, nets.sigmoid)
    return -anp.sum(X * anp.log(P) + (1 - X) * anp.log(1 - P)) / len(X)


def test_gradient_and_value_are_autograds():
    params, X = network(), pixels()
    inputs, P = kfac.forward(params, X)
    derivatives = kfac.backward(params, inputs, (P - X) / len(X))
    mine = [kfac.layer_gradient(h, G) for h, G in zip(inputs, derivatives, strict=True)]
    wanted = [np.vstack([W, b]) for layers in grad(plain_loss)(params, X) for W, b in layers]
    for a, b in zip(mine, wanted, strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    assert kfac.cross_entropy(X, P) == pytest.approx(plain_loss(params, X), rel=1e-10)
    sure = np.array([[0.0, 1.0]], np.float32)
    assert kfac.cross_entropy(sure, sure) == pytest.approx(0, abs=1e-6)  # 0 log 0


# -------------------- curvature --------------------


def test_factors_are_the_fisher_matrix_of_pixels_drawn_from_the_network():
    """For one image A (x) S is the Fisher matrix of a layer: here by its definition, over all 2^p drawings."""
    params, x = network((3, 2, 1)), pixels(1, 3)
    inputs, P = kfac.forward(params, x)
    drawings = [np.array([bits], float) for bits in itertools.product([0, 1], repeat=3)]
    likely = [float(np.prod(np.where(y == 1, P, 1 - P))) for y in drawings]

    def scores(y):  # d log p(y) / d(weights of every layer), one long row each
        def log_p(params):
            Q = autoencoder.decode(params, autoencoder.encode(params, x, nets.tanh), nets.tanh, nets.sigmoid)
            return anp.sum(y * anp.log(Q) + (1 - y) * anp.log(1 - Q))

        return [np.ravel(np.vstack([W, b])) for layers in grad(log_p)(params) for W, b in layers]

    fisher = [sum(w * np.outer(s, s) for w, s in zip(likely, rows, strict=True))
              for rows in zip(*map(scores, drawings), strict=True)]  # fmt: skip
    signs = [np.array([s], float) for s in itertools.product([-1, 1], repeat=3)]  # all of them: the mean is exact
    found = [kfac.factors(params, inputs, P, s) for s in signs]
    for l, F in enumerate(fisher):
        A, S = (sum(f[l][part] for f in found) / len(found) for part in (0, 1))
        assert_allclose(np.kron(A, S), F, rtol=1e-10, atol=1e-14)


def test_the_damped_inverse_turns_a_gradient_as_the_long_way_does():
    rng = np.random.default_rng(0)
    A, S = (M.T @ M / 9 for M in (rng.standard_normal((9, 4)), 0.1 * rng.standard_normal((9, 3))))
    D, damping = rng.standard_normal((4, 3)), 0.2
    ratio = math.sqrt(np.linalg.eigvalsh(A).mean() / np.linalg.eigvalsh(S).mean())
    damped = np.kron(A + ratio * damping**0.5 * np.eye(4), S + damping**0.5 / ratio * np.eye(3))
    left, right = kfac.inverses(A, S, damping)
    assert_allclose(np.ravel(left @ D @ right), np.linalg.solve(damped, np.ravel(D)), rtol=1e-9)
    assert_allclose(A @ A, A.T @ A)  # neither was changed: they are means that go on
    assert np.linalg.eigvalsh(A).min() < 0.3


def test_a_step_goes_down_and_not_farther_than_trusted():
    X = pixels(40).astype(np.float32)
    start = nets.tree_map(lambda a: a.astype(np.float32), network())

    def first_step(**settings):
        optimiser = kfac.KFAC(start, np.random.default_rng(0), kfac.Settings(warm=1, **settings))
        before = np.concatenate([M.ravel() for M in optimiser.weights])
        value = optimiser.step(X, 0.0)
        assert value == pytest.approx(float(plain_loss(start, X)), rel=1e-5)
        return np.concatenate([M.ravel() for M in optimiser.weights]) - before, optimiser

    whole, optimiser = first_step(lr=0.1, trust=1e9)
    inputs, P = kfac.forward(start, X)
    derivatives = kfac.backward(start, inputs, (P - X) / np.float32(len(X)))
    D = [kfac.layer_gradient(h, G) for h, G in zip(inputs, derivatives, strict=True)]
    wanted = [-0.1 * A @ d @ S for (A, S), d in zip(optimiser.inverse, D, strict=True)]
    assert_allclose(whole, np.concatenate([d.ravel() for d in wanted]), rtol=1e-4, atol=1e-7)
    size = -0.1 * float(whole @ np.concatenate([d.ravel() for d in D]))  # lr^2 d^T F d, as F d is the gradient
    short, _ = first_step(lr=0.1, trust=size / 4)
    assert_allclose(short, whole / 2, rtol=1e-4, atol=1e-7)
    half, _ = first_step(lr=0.05, trust=1e9)
    assert_allclose(half, whole / 2, rtol=1e-4, atol=1e-7)


def test_natural_steps_get_farther_than_gradient_steps_of_any_size():
    X = (np.random.default_rng(0).random((200, 3)) @ np.random.default_rng(1).random((3, 8)) / 3).astype(np.float32)
    entropy = -float(np.sum(X * np.log(X) + (1 - X) * np.log(1 - X))) / len(X)  # nothing is below
    start = autoencoder.init([8, 6, 3], np.random.default_rng(0), np.float32)
    optimiser = kfac.KFAC(start, np.random.default_rng(0), kfac.Settings(damping=0.1, warm=1, every=1, refresh=1))
    left = [optimiser.step(X, t / 60) - entropy for t in range(60)][-1]
    slowly = []
    for lr in (0.3, 1.0, 2.0):
        params = start
        for _ in range(60):
            params = nets.tree_map(lambda a, g, lr=lr: a - lr * g, params, grad(plain_loss)(params, X))
        slowly.append(float(plain_loss(params, X)) - entropy)
    assert 0 < left < 0.75 * min(slowly)
    assert {M.dtype for M in optimiser.weights} == {np.dtype(np.float32)}


# -------------------- images, units --------------------


def test_jitter_is_the_image_through_a_linear_map():
    n, side = 5, 9
    y, x = np.meshgrid(np.arange(side) - 4.0, np.arange(side) - 4.0, indexing="ij")
    plane = (0.5 + 0.03 * y - 0.05 * x).ravel()  # bilinear pieces of a plane are that plane
    seen = hinton.jitter(np.tile(plane, (n, 1)).astype(np.float32), np.random.default_rng(0), 0.1)
    maps = np.eye(2) + 0.1 * np.random.default_rng(0).standard_normal((n, 2, 2), dtype=np.float32)
    for M, image in zip(maps, seen, strict=True):
        v, u = np.clip(M @ np.array([y.ravel(), x.ravel()]), -4, 4)
        assert_allclose(image, 0.5 + 0.03 * v - 0.05 * u, atol=3e-4)


def test_jitter_of_size_zero_changes_nothing_and_each_image_gets_its_own():
    X = np.random.default_rng(1).random((4, 784), dtype=np.float32)
    assert_allclose(hinton.jitter(X, np.random.default_rng(0), 0.0), X, atol=2e-3)  # the border is 1e-3 of a pixel in
    twice = hinton.jitter(X[[0, 0]], np.random.default_rng(0), 0.05)
    assert twice.dtype == np.float32 and abs(twice[0] - twice[1]).max() > 0.1
    assert twice.min() >= 0 and twice.max() <= 1


def test_tanh_units_are_the_same_network():
    params, X = network((5, 4, 3, 2)), pixels()
    same = hinton.tanh_units(params)
    code = autoencoder.encode(params, X)
    assert_allclose(autoencoder.encode(same, X, nets.tanh), code, rtol=1e-12)
    assert_allclose(autoencoder.decode(same, code, nets.tanh), autoencoder.decode(params, code), rtol=1e-12)
    assert abs(autoencoder.encode(params, X, nets.tanh) - code).max() > 0.1


def test_the_random_start_knows_the_mean_image():
    train = np.random.default_rng(0).random((50, 8), dtype=np.float32) * np.linspace(0, 1, 8, dtype=np.float32)
    plan = hinton.Plan(sizes=(8, 4, 2))
    _, decoder = hinton.random_start(train, plan, np.random.default_rng(0), None)
    assert_allclose(nets.sigmoid(decoder[-1][1]), np.clip(train.mean(0), 1e-3, None), rtol=1e-5)
    assert decoder[-1][1].dtype == np.float32


def test_error_in_pieces_is_the_error():
    params, X = network(), pixels(2500)
    wanted = autoencoder.loss(params, X, nets.tanh, nets.sigmoid)
    assert hinton.error(X, params) == pytest.approx(wanted, rel=1e-12)
    assert hinton.error(X[:7], params, nets.relu) == pytest.approx(
        autoencoder.loss(params, X[:7], nets.relu, nets.sigmoid), rel=1e-12
    )


# -------------------- the clock, the line --------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_the_clock_stands_while_a_contender_is_judged():
    clock = Clock()

    def score(params):
        clock.now += 100  # slow
        return params

    watch = hinton.Watch(score, hinton.Plan(seconds=10, marks=5), clock)
    clock.now = 1.9
    watch.look(lambda: 7.0)
    assert watch.errors == {}
    clock.now = 2.5
    watch.look(lambda: 6.0)
    assert watch.errors == {2.5: 6.0} and watch.seconds == 2.5 and watch.progress == 0.25
    clock.now += 1
    watch.look(lambda: 5.0)
    assert len(watch.errors) == 1  # 3.5 of 4
    watch.look(lambda: 5.0, last=True)
    assert watch.errors == {2.5: 6.0, 3.5: 5.0}
    clock.now += 50
    assert watch.progress == 1


def finished(test_error, seconds=600.0, train_error=2.0):
    watch = hinton.Watch(float, hinton.FULL, Clock())
    watch.errors = {seconds / 2: test_error + 1, seconds: test_error}
    return hinton.Trained(watch, None, train_error)


@pytest.mark.parametrize(("ours", "seconds", "torch", "met"), [
    (2.9, 600, 4.8, True), (3.1, 600, 4.8, False), (2.9, 1900, 4.8, False), (2.9, 600, 2.8, False),
])  # fmt: skip
def test_the_line_asks_for_the_error_and_the_minutes(ours, seconds, torch, met):
    line = hinton.line({OURS: finished(ours, seconds), hinton.TORCH: finished(torch)}, "MNIST")
    assert line.met is met
    assert line.timings[OURS] == Timing(ours, ours)
    assert [r.limit for r in line.requirements] == [3.0, 30]


def test_seconds_to_a_level():
    watch = finished(2.9).watch
    assert experiment.seconds_to(watch, 3.9) == 300 and experiment.seconds_to(watch, 3.0) == 600
    assert experiment.seconds_to(watch, 2.0) is None


# -------------------- everything, small --------------------


def blobs(n, seed):
    rng = np.random.default_rng(seed)
    bumps = np.exp(-((np.arange(64) / 64 - rng.random((n, 1))) ** 2) * 50) * rng.random((n, 1))
    return bumps.astype(np.float32)  # images of 8 x 8


def test_a_tiny_run_has_every_row_and_figure(monkeypatch):
    monkeypatch.setattr(harness, "present", lambda contenders: [c for c in contenders if c.package == "numpy"])
    told, train, test = [], blobs(200, 0), blobs(60, 1)
    result = experiment.run(told.append, experiment.TINY, (train, test))
    assert set(result.figures) == {"time", "digits"}
    assert any("PyTorch is not installed here" in sentence for sentence in result.how)
    numbers = {row.what: row for row in result.rows}
    assert numbers["squared error per test image, from pretrained weights"].paper == "3.00"
    assert len(told) == 2 and all("test error" in words for words in told)
    X = test - train.mean(0)
    U = np.linalg.eigh(np.cov(train.T, bias=True))[1][:, -3:]
    floor = float(np.sum((X - X @ U @ U.T) ** 2) / len(X))
    assert numbers["squared error per test image, 30 numbers of PCA"].ours == f"{floor:.2f}"


@pytest.fixture(scope="module")
def trained():
    return hinton.compete(hinton.CONTENDERS[:2], blobs(200, 0), blobs(60, 1), experiment.SMALL, lambda words: None)


def test_training_counts_pretraining_and_lowers_the_error(trained):
    train, test = blobs(200, 0), blobs(60, 1)
    mean = float(np.sum((test - train.mean(0)) ** 2) / len(test))
    for name, one in trained.items():
        assert one.test_error < mean, name
        assert one.test_error == pytest.approx(hinton.error(test, one.params), rel=1e-6)
        assert one.train_error == pytest.approx(hinton.error(train, one.params), rel=1e-6)
        assert len(one.watch.errors) >= 2 and one.watch.steps > 2
    second = trained[hinton.PRETRAINED].watch
    assert 0 < second.pretraining < max(second.errors)
    assert trained[OURS].watch.pretraining == 0


def test_the_numbers_of_the_benchmark_can_be_written(trained, monkeypatch):
    monkeypatch.setattr(hinton, "mnist", lambda: (blobs(200, 0), blobs(60, 1), "blobs"))
    monkeypatch.setattr(hinton, "compete", lambda contenders, *rest: {c.name: trained[c.name] for c in contenders})
    line = hinton.measure(hinton.CONTENDERS[:2], experiment.SMALL)
    written = json.loads(json.dumps(results.as_json(line), allow_nan=False))
    assert written["ours"]["median"] == trained[OURS].test_error
    assert written["met"] is None  # nobody to be compared with
    assert "data: blobs" in written["notes"] and len(written["notes"]) == 3


def test_pytorch_trains_the_same_network(monkeypatch):
    pytest.importorskip("torch", reason="the peer of the benchmark")
    train, test = blobs(200, 0), blobs(60, 1)
    done = hinton.compete(hinton.CONTENDERS[2:], train, test, experiment.TINY.plan, lambda words: None)[hinton.TORCH]
    assert nets.count(done.params) == nets.count(autoencoder.init([64, 20, 3], np.random.default_rng(0)))
    assert_array_equal([len(part) for part in done.params], [2, 2])
    errors = list(done.watch.errors.values())
    assert errors[-1] < 0.9 * errors[0]  # read as ours are, its weights get better
    assert done.train_error == pytest.approx(autoencoder.loss(done.params, train, nets.relu, nets.sigmoid), rel=1e-5)
