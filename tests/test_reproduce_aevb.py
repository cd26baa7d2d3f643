"""Kingma & Welling's figures 2 and 4: the optimiser, the curves and what is said of them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from autograd import grad
from autograd import numpy as anp

from enm5310 import nets, optimize, vae
from tests.benchmarks.reproduce import aevb
from tests.benchmarks.reproduce.aevb import Curve


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


def made_up(n=400, side=4):
    """Grey images with two dimensions of variation."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((2, side * side))
    train, test = (1 / (1 + np.exp(-2 * rng.standard_normal((m, 2)) @ A)) for m in (n, 100))
    return train.astype(np.float32), test.astype(np.float32), "MNIST"


def test_adagrad_divides_by_the_root_of_all_squares_so_far():
    rng = np.random.default_rng(1)
    theta, gradients = [rng.standard_normal(5)], rng.standard_normal((4, 5))
    params, state = theta, None
    for g in gradients:
        params, state = aevb.adagrad(params, [g], state, 0.3)
    wanted = theta[0].copy()
    for t in range(4):
        wanted -= 0.3 * gradients[t] / np.sqrt(np.sum(gradients[: t + 1] ** 2, axis=0))
    np.testing.assert_allclose(params[0], wanted, rtol=1e-6)
    assert theta[0] is not params[0] and not np.allclose(theta[0], params[0])  # what was given stays


def test_a_curve_is_adagrad_on_the_bound_and_the_prior_of_the_decoder():
    """Three steps again by autograd of the objective written out, with the same random numbers."""
    grey, _, _ = made_up(250)  # few images: the prior weighs theta / 250

    def objective(theta, x, eps):
        prior = sum(anp.sum(a**2) for layer in theta[1] for a in layer) / 2
        return prior / 250 - anp.sum(vae.elbo(theta, x, eps).elbo) / 100

    ours = aevb.curve(far(grey), grey, [aevb.judge_of(grey, 50, 2, 0)] * 2, [100, 300], 0.05)
    rng, theta, state = np.random.default_rng(1), far(grey), None
    batches = (i for i in optimize.epochs(250, 100, rng, 2) if len(i) == 100)  # a short one is left out
    for i, _ in zip(batches, range(3), strict=False):
        x, eps = vae.draw_pixels(grey[i], rng), rng.standard_normal((100, 2), np.float32)
        theta, state = aevb.adagrad(theta, grad(objective)(theta, x, eps), state, 0.05)
    for a, b in zip(nets.leaves(ours.params), nets.leaves(theta), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert ours.seen == (100, 300)


def far(grey):
    """Parameters so large that the prior is felt."""
    return nets.tree_map(lambda a: a + np.float32(1), aevb.start(grey, 6, 2))


def test_points_of_a_curve_are_bounds_of_the_parameters_at_that_point():
    grey, test, _ = made_up()
    judges = [aevb.judge_of(X, 80, 2, 5) for X in (grey, test)]
    long = aevb.curve(aevb.start(grey, 6, 2), grey, judges, [100, 300, 500], 0.05)
    short = aevb.curve(aevb.start(grey, 6, 2), grey, judges, [300], 0.05)
    assert long.seen == (100, 300, 500) and long.test[1] == short.test[0] and long.train[1] == short.train[0]
    for judge, found in zip(judges, (long.train, long.test), strict=True):
        values = vae.elbo(long.params, *judge).elbo
        np.testing.assert_allclose(found[-1], np.mean(values), rtol=1e-6)
    np.testing.assert_allclose(long.errors[-1], np.std(values) / 80**0.5, rtol=1e-5)


def test_a_bound_does_not_depend_on_how_images_are_cut_into_pieces():
    grey, _, _ = made_up(2500)
    x, eps = aevb.judge_of(grey, 2500, 2, 5)
    params = aevb.start(grey, 6, 2)
    np.testing.assert_allclose(aevb.bound(params, x, eps)[0], np.mean(vae.elbo(params, x, eps).elbo), rtol=1e-5)
    assert set(np.unique(x)) == {0, 1} and np.array_equal(aevb.judge_of(grey, 10**9, 2, 5)[0], x)


def test_the_baseline_is_made_of_earlier_batches():
    grey, _, _ = made_up()
    x, eps = aevb.judge_of(grey, 100, 2, 1)
    params, score = aevb.start(grey, 6, 2), aevb.Score(0.75)
    first, second = score(params, x, eps), score(params, x, -eps)
    rec = [float(np.mean(vae.elbo(params, x, e).rec)) for e in (eps, -eps)]
    for got, e, baseline in ((first, eps, 0.0), (second, -eps, rec[0])):
        wanted = vae.before(params, x, e, baseline=baseline)[1]
        for a, b in zip(nets.leaves(got[1]), nets.leaves(wanted), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
            assert a.dtype == np.float32
    assert score.mean == pytest.approx(0.75 * rec[0] + 0.25 * rec[1])


def like(test, train=None, error=0.1, seen=(100, 1000, 10000)):
    return Curve(list(seen), train or list(test), list(test), [error] * len(test), None, 6.0)


def test_what_is_said_of_overfitting_is_measured():
    assert aevb.overfits(like([-120, -100, -99], [-120, -100, -98])) == (
        "no: the test bound was highest at the end, 1.0 below the training one"
    )
    assert aevb.overfits(like([-120, -99, -100])).startswith("yes: the test bound fell by 1.0")
    assert aevb.overfits(like([-120, -99.95, -100])).startswith("no: the test bound fell by 0.0")  # within the error
    curves = {3: like([-120, -100, -99]), 5: like([-120, -99, -100])}
    assert aevb.rising(curves) == "those of N_z = 3 still rise"
    assert aevb.rising({3: curves[3]}) == "all of them still rise"


def test_the_order_is_that_of_the_last_points():
    curves = {3: like([0, 0, -140]), 20: like([0, 0, -100]), 200: like([0, 0, -100.2]), 10: like([0, 0, -105])}
    assert aevb.order(curves) == "3 < 10 < 200 ~ 20"


def test_rows_read_the_curves():
    curves = {3: like([-150, -140, -130]), 9: like([-150, -120, -110], error=0.25)}
    rows = aevb.rows(curves, like([-200, -190], seen=(100, 1000)))
    assert [row.ours for row in rows] == [
        "-130.0 ± 0.1 (training images -130.0)", "-110.0 ± 0.2 (training images -110.0)",
        "no: the test bound was highest at the end, 0.0 above the training one", "3 < 9",
        "-190.0 ± 0.1 (reparametrised -140.0)", "10.0-10.0",
    ]  # fmt: skip
    assert aevb.at(curves[3], 10**2.5) == pytest.approx(-145)


def test_the_experiment_as_a_whole():
    told = []
    result = aevb.run(told.append, aevb.TINY, made_up())
    assert len(result.rows) == len(aevb.TINY.latents) + 4 and len(told) == len(aevb.TINY.latents) + 3
    bounds, grid = result.figures["bound"][0], result.figures["manifold"][0]
    panels = bounds.axes
    assert [ax.get_title() for ax in panels] == ["$N_z = 2$", "$N_z = 3$", "$N_z = 4$"]
    assert [len(ax.lines) for ax in panels] == [3, 2, 2] and all(ax.get_xscale() == "log" for ax in panels)
    assert np.shape(grid.axes[0].images[0].get_array()) == (3 * 5 - 1, 3 * 5 - 1)
    assert result.rows[0].ours.startswith(f"{panels[0].lines[0].get_ydata()[-1]:.1f} ± ")


def test_the_manifold_is_the_decoder_at_equal_probabilities():
    grey, _, _ = made_up()
    params = aevb.start(grey, 6, 2)
    shown = aevb.manifold(params, 3)[0].axes[0].images[0].get_array()
    lower_left = vae.decode_mean(params, np.full((1, 2), np.sqrt(2) * -0.6840697, np.float32))  # Phi^-1(1/6)
    np.testing.assert_allclose(shown[-4:, :4], lower_left.reshape(4, 4), atol=1e-5)


def test_step_sizes_are_judged_by_images_that_training_has_not_seen():
    """Left halves are learned, right halves are held out: a bound near that of a coin says that they were unknown."""
    half = np.repeat([1.0, 0.0], 32).astype(np.float32)
    grey = np.concatenate([np.tile(half, (300, 1)), np.tile(1 - half, (50, 1))])
    size = aevb.TINY._replace(held_out=50, tried=4000)
    unknown, known = aevb.tried(grey, size), aevb.tried(np.tile(half, (350, 1)), size)
    assert list(unknown) == list(aevb.RATES) and all(known[lr] > unknown[lr] + 20 for lr in aevb.RATES)
