"""training: checkpoints that continue to the same bits, early stopping, and the fast path against the plain one."""

import json
import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from enm5310 import autoencoder, distributions, nets, optimize, training, vae


def quadratic(n=12, p=3, seed=0):
    """Least squares with noise of its own in every step, so that a generator out of step would be seen."""
    X = np.random.default_rng(seed).normal(size=(n, p))

    def value_and_gradient(rng):
        def noisy(theta, i, t):
            r = theta[0] - X[i].mean(0) - 0.1 * rng.normal(size=p)
            return float(r @ r), [2 * r]

        return noisy

    return X, value_and_gradient


def run(rng, epochs, start=(5.0, -3.0, 2.0), **settings):
    X, noisy = quadratic()
    return training.fit(noisy(rng), [np.array(start)], len(X), rng, epochs, 5, lambda t: 0.1 / (1 + t / 10), **settings)


def same(a, b):
    for mine, wanted in zip(nets.leaves(a.params), nets.leaves(b.params), strict=True):
        assert_array_equal(mine, wanted)
        assert mine.dtype == wanted.dtype
    assert_array_equal(a.values, b.values)


GENERATORS = [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_a_run_that_was_cut_at_any_epoch_ends_with_the_same_bits(kind, cut, tmp_path):
    generator = lambda: np.random.Generator(kind(7))  # noqa: E731
    loss = lambda params: float(np.sum((params[0] - 0.3) ** 2))  # noqa: E731
    whole = run(generator(), 5, loss=loss)
    file = tmp_path / "run.npz"
    first = run(generator(), cut, loss=loss, checkpoint=file)
    assert len(first.values) == 3 * cut and list(tmp_path.iterdir()) == [file]
    rest = run(np.random.Generator(kind(99)), 5, start=(0.0, 0.0, 0.0), loss=loss, checkpoint=file)
    same(rest, whole)
    assert_array_equal(rest.values[: 3 * cut], first.values)


def test_a_run_that_was_stopped_inside_an_epoch_goes_on_from_the_end_of_the_last(tmp_path):
    file, whole = tmp_path / "run.npz", run(np.random.default_rng(7), 5)

    def stop(t, params, value):
        return t == 7  # in the third epoch of three steps

    cut = run(np.random.default_rng(7), 5, callback=stop, checkpoint=file)
    assert cut.stopped and len(cut.values) == 8
    again = run(np.random.default_rng(1), 5, checkpoint=file)
    same(again, whole)
    assert not again.stopped


def test_the_stop_button_at_any_moment_leaves_a_file_to_go_on_from(tmp_path):
    whole = run(np.random.default_rng(7), 4)
    for step in (4, 6):
        file = tmp_path / f"{step}.npz"

        def press(t, params, value, step=step):
            if t == step:
                raise KeyboardInterrupt

        assert run(np.random.default_rng(7), 4, callback=press, checkpoint=file).stopped
        same(run(np.random.default_rng(7), 4, checkpoint=file), whole)


def test_callback_and_rates_count_steps_across_the_cut(tmp_path):
    seen, file = [], tmp_path / "run.npz"
    run(np.random.default_rng(0), 2, checkpoint=file, callback=lambda t, p, v: seen.append(t))
    run(np.random.default_rng(0), 3, checkpoint=file, callback=lambda t, p, v: seen.append(t))
    assert seen == list(range(9))


def test_a_finished_run_is_not_run_again(tmp_path):
    file = tmp_path / "run.npz"
    done = run(np.random.default_rng(0), 3, checkpoint=file)
    again = run(np.random.default_rng(0), 3, checkpoint=file, callback=lambda *now: pytest.fail("a step was taken"))
    same(again, done)


def test_a_crash_while_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "run.npz"
    run(np.random.default_rng(7), 2, checkpoint=file)
    before = file.read_bytes()

    def half(out, **arrays):
        out.write(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", half)
        with pytest.raises(OSError, match="disk full"):
            run(np.random.default_rng(7), 3, checkpoint=file)
    assert file.read_bytes() == before
    same(run(np.random.default_rng(7), 5, checkpoint=file), run(np.random.default_rng(7), 5))
    assert os.listdir(tmp_path) == ["run.npz"]


def test_a_checkpoint_of_other_parameters_or_another_generator_is_refused(tmp_path):
    file, rng = tmp_path / "run.npz", np.random.default_rng(0)
    run(rng, 1, checkpoint=file)
    for params in ([np.zeros(4)], [np.zeros(3), np.zeros(3)], [np.zeros(3, np.float32)], []):
        with pytest.raises(ValueError, match=r"run\.npz is of other parameters"):
            training.load(file, params, rng)
    with pytest.raises(ValueError, match="state must be for a MT19937"):
        training.load(file, [np.zeros(3)], np.random.Generator(np.random.MT19937(0)))


def test_a_checkpoint_is_plain_arrays_and_keeps_every_nesting(tmp_path):
    params = (nets.init([3, 2], np.random.default_rng(0), np.float32), {"b": [np.float32([1, 2])]})
    _, sums = optimize.adam_in_place(params, nets.tree_map(np.ones_like, params))
    state = training.State(params, sums, np.arange(3.0), nets.tree_map(np.negative, params), np.array([0.5, np.nan]))
    rng = np.random.default_rng(3)
    rng.integers(9, dtype=np.uint32)  # leaves half a draw in the generator
    training.save(tmp_path / "a", state, rng)
    other = np.random.default_rng(0)
    back = training.load(tmp_path / "a", params, other)
    assert type(back.params) is tuple and type(back.params[0]) is list and type(back.sums) is optimize.Sums
    for a, b in zip(nets.leaves(back), nets.leaves(state), strict=True):
        assert_array_equal(a, b)
    assert other.bit_generator.state == rng.bit_generator.state
    with np.load(tmp_path / "a", allow_pickle=False) as file:
        assert json.loads(str(file["generator"]))["bit_generator"] == "PCG64"


# -------------------- judged on rows held out --------------------


def scripted(losses):
    """A loss that gives these numbers in turn, and the parameters it was asked about."""
    asked = []

    def loss(params):
        asked.append(params)
        return losses[len(asked) - 1]

    return loss, asked


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([5, 4, 3, 3.5, 3.2, 1], 2, 5, 2),  # never sees the 1
        ([5, 4, 3, 3.5, 2, 2, 2.5, 1], 2, 7, 4),  # equal is not better
        ([5, 6, 7], 1, 2, 0),
        ([5, 4, 3, 2], 1, 4, 3),
        ([5, 6, 4, 7], None, 4, 2),
    ],
)
def test_patience_and_the_best_epoch(losses, patience, epochs, best):
    loss, asked = scripted(losses)
    out = run(np.random.default_rng(0), 4 if patience is None else len(losses), loss=loss, patience=patience)
    assert len(asked) == epochs and len(out.values) == 3 * epochs
    assert_array_equal(out.params[0], asked[best][0])
    assert not out.stopped


def test_patience_goes_on_counting_after_a_cut(tmp_path):
    losses, file = [5, 4, 4.5, 4.2, 4.1, 1], tmp_path / "run.npz"
    whole = run(np.random.default_rng(0), 6, loss=scripted(losses)[0], patience=3)
    assert len(whole.values) == 15
    run(np.random.default_rng(0), 3, loss=scripted(losses)[0], patience=3, checkpoint=file)
    rest = run(np.random.default_rng(0), 6, loss=scripted(losses[3:])[0], patience=3, checkpoint=file)
    same(rest, whole)
    over = run(np.random.default_rng(0), 6, loss=lambda params: pytest.fail("over"), patience=3, checkpoint=file)
    same(over, whole)


def test_patience_without_a_judge_and_a_loss_of_nan_are_refused():
    with pytest.raises(ValueError, match="hold some rows out"):
        run(np.random.default_rng(0), 3, patience=2)
    with pytest.raises(ValueError, match="nan at step 3"):
        run(np.random.default_rng(0), 3, loss=lambda params: np.nan)


def test_no_epochs_give_the_start():
    out = run(np.random.default_rng(0), 0, loss=lambda params: 1.0)
    assert_array_equal(out.params[0], [5, -3, 2])
    assert out.values.shape == (0,) and not out.stopped


# -------------------- vae.fit and autoencoder.fit --------------------

DIGITS = (load_digits().data / 16).astype(np.float32)


def fit_vae(rng, epochs, **settings):
    start = vae.init(64, [16], 3, np.random.default_rng(0), np.float32)
    return vae.fit(start, DIGITS[:300], rng, epochs, 64, 3e-3, activation=nets.relu, dynamic=True, **settings)


def fit_autoencoder(rng, epochs, **settings):
    start = autoencoder.init([64, 16, 3], np.random.default_rng(0), np.float32)
    return autoencoder.fit(start, DIGITS[:300], rng, epochs, 64, 3e-3, output=nets.sigmoid, **settings)


OUT = DIGITS[300:400]
JUDGES = {fit_vae: (OUT, np.random.default_rng(1).normal(size=(2, 100, 3))), fit_autoencoder: OUT}


@pytest.mark.parametrize("fit", JUDGES)
def test_models_go_on_exactly_with_noise_pixels_best_and_schedule(fit, tmp_path):
    settings = {"held_out": JUDGES[fit], "patience": 50, "checkpoint": tmp_path / "model.npz"}
    whole = fit(np.random.default_rng(5), 4, **settings | {"checkpoint": None})
    fit(np.random.default_rng(5), 2, **settings)
    same(fit(np.random.default_rng(6), 4, **settings), whole)
    assert {a.dtype for a in nets.leaves(whole.params)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("fit", JUDGES)
def test_models_return_the_epoch_that_is_best_on_the_rows_held_out(fit):
    at_the_ends = []

    def callback(t, params, value):
        if t and t % 5 == 0:
            at_the_ends.append(params)

    best = fit(np.random.default_rng(5), 6, held_out=JUDGES[fit], callback=callback)
    plain = fit(np.random.default_rng(5), 6)
    assert_array_equal(best.values, plain.values)  # judging draws nothing and changes nothing
    if fit is fit_vae:
        losses = [-vae.elbo(p, *JUDGES[fit], activation=nets.relu).elbo.mean() for p in [*at_the_ends, plain.params]]
    else:
        losses = [autoencoder.loss(p, JUDGES[fit], output=nets.sigmoid) for p in [*at_the_ends, plain.params]]
    wanted = [*at_the_ends, plain.params][int(np.argmin(losses))]
    for a, b in zip(nets.leaves(best.params), nets.leaves(wanted), strict=True):
        assert_array_equal(a, b)


# -------------------- nothing is faster by being wrong --------------------

PLAIN = vae.bernoulli._replace(log_p=distributions.log_bernoulli, both=None)


@pytest.mark.parametrize("activation", [nets.tanh, nets.relu])
def test_the_fast_path_has_the_loss_curve_of_plain_autograd_and_plain_adam(activation):
    """100 steps in float32 with the same batches and noise, to the rounding of float32; float64 to its own."""
    for dtype, tolerance in [(np.float32, 2e-5), (np.float64, 1e-10)]:
        start = vae.init(64, [32], 4, np.random.default_rng(0), dtype)
        X = (DIGITS[:500] > 0.5).astype(dtype)
        fast = vae.fit(start, X, np.random.default_rng(3), 10, 50, 2e-3, activation=activation)

        rng, params, state, plain = np.random.default_rng(3), start, None, []
        for batch in optimize.epochs(500, 50, rng, 10):
            eps = rng.standard_normal((50, 4), dtype)
            now, up = vae.after(params, X[batch], eps, PLAIN, activation=activation)
            params, state = optimize.adam(params, nets.tree_map(np.negative, up), state, lr=2e-3)
            plain.append(now.elbo.mean())
        assert len(fast.values) == 100 and fast.values[-1] > fast.values[0] + 10
        assert_allclose(fast.values, plain, rtol=tolerance)
