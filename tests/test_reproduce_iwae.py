"""Burda et al.'s table 1: the gradients by hand, the estimate of log p(x), and what the rows say."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from autograd import grad
from autograd import numpy as anp

from enm5310 import bounds, latent, nets, vae
from tests.benchmarks.reproduce import iwae
from tests.benchmarks.reproduce.iwae import Judged


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


def small(K=4, n=5, p=9, k=3, dtype=np.float64):
    """A network with parameters far from 0, binary images and noise (n, K, k)."""
    rng = np.random.default_rng(7)
    params = nets.tree_map(lambda a: a + 0.2 * rng.standard_normal(a.shape), vae.init(p, [6, 4], k, rng))
    x, eps = (rng.random((n, p)) < 0.4).astype(dtype), rng.standard_normal((n, K, k)).astype(dtype)
    return nets.tree_map(lambda a: a.astype(dtype), params), x, eps


def by_autograd(params, x, eps, weighted):
    """The same bound from the library's estimates, draw by draw, and autograd's gradient of its average."""
    draws = np.swapaxes(eps, 0, 1)  # (K, n, k)

    def bound(params):
        if weighted:
            return bounds.iwae_bound(anp.stack([vae.log_weight(params, x, e) for e in draws], axis=1))
        return sum(vae.elbo(params, x, e).elbo for e in draws) / len(draws)

    return bound(params), grad(lambda params: anp.mean(bound(params)))(params)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [1, 4])
def test_the_gradient_by_hand_is_autograds(K, weighted):
    params, x, eps = small(K)
    bound, got = iwae.gradient(params, x, eps, weighted)
    value, wanted = by_autograd(params, x, eps, weighted)
    np.testing.assert_allclose(bound, value, rtol=1e-10)
    for a, b in zip(nets.leaves(got), nets.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)


def test_one_draw_averaged_is_the_vaes_gradient():
    params, x, eps = small(1)
    got, wanted = iwae.gradient(params, x, eps, False)[1], vae.by_hand(params, x, eps[:, 0])[1]
    for a, b in zip(nets.leaves(got), nets.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_float32_stays(weighted):
    bound, got = iwae.gradient(*small(dtype=np.float32), weighted)
    assert bound.dtype == np.float32 and {a.dtype for a in nets.leaves(got)} == {np.dtype(np.float32)}


def test_log_p_is_the_librarys_estimate_for_the_same_noise():
    params, x, _ = small(dtype=np.float32)
    noise = np.random.default_rng(5).standard_normal((450, 5, 3), np.float32)  # 200 at a time and a rest
    wanted = latent.log_likelihood(params, x, noise)
    np.testing.assert_allclose(iwae.log_p(params, x, 450, np.random.default_rng(5)), wanted, atol=2e-5)


def test_log_p_tends_to_the_evidence():
    """Two latents: log p(x) by a sum over a fine grid of the prior, on an image that the encoder knows nothing of."""
    params, x, _ = small(k=2)
    z = np.linspace(-7, 7, 281)
    Z = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    prior = np.exp(-np.sum(Z**2, axis=1) / 2) / (2 * np.pi) * (z[1] - z[0]) ** 2
    rec = np.stack([vae.bernoulli.log_p(row, vae.decode(params, Z)) for row in x])
    wanted = np.log(np.exp(rec) @ prior)
    np.testing.assert_allclose(iwae.log_p(params, x, 40000, np.random.default_rng(1)), wanted, atol=0.05)


def made_up(n=300, side=4):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((2, side * side))
    train, test = (1 / (1 + np.exp(-2 * rng.standard_normal((m, 2)) @ A)) for m in (n, 100))
    return train.astype(np.float32), test.astype(np.float32), "MNIST"


def test_runs_share_their_beginning_and_leave_it_as_it_was():
    grey = made_up()[0]
    shared = iwae.train(grey, 1, False, 1, iwae.start(grey, iwae.TINY), 2e-3)
    before = [a.copy() for a in nets.leaves((shared.params, shared.state.m, shared.state.v))]
    ends = [iwae.train(grey, 2, True, 1, shared, lambda done: 2e-3 * (1 - done), seed=4) for _ in range(2)]
    for a, b in zip(before, nets.leaves((shared.params, shared.state.m, shared.state.v)), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(nets.leaves(ends[0].params), nets.leaves(ends[1].params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert shared.state.t == 6 and ends[0].state.t == 12  # steps: Adam goes on


def test_training_raises_the_bound_it_is_given():
    grey = made_up(500)[0]
    x, eps = vae.draw_pixels(grey, np.random.default_rng(8)), np.random.default_rng(9).standard_normal((500, 5, 3))
    begin = iwae.start(grey, iwae.TINY)
    for weighted in (False, True):
        end = iwae.train(grey, 5, weighted, 8, begin, 0.01)
        low, high = (np.mean(iwae.gradient(t.params, x, eps.astype(np.float32), weighted)[0]) for t in (begin, end))
        assert high > low + 0.3


def like(shift, active, n=100):
    values = -95 + np.sin(np.arange(n)) + shift
    return Judged(values, np.where(np.arange(50) < active, 0.5, 1e-4), active, 60.0)


def test_rows_pair_the_images():
    judged = {key: like(0.1 * key[1], 19 + i) for i, key in enumerate(iwae.WITHIN)}
    rows = {row.what: row for row in iwae.rows(judged)}
    error = np.std(np.sin(np.arange(100))) / 10
    assert rows["-log p(x), nats: VAE = IWAE, K = 1"].ours == f"{-np.mean(judged['VAE', 1].log_p):.2f} ± {error:.2f}"
    assert rows["nats gained over K = 1: IWAE, K = 50"].ours == "4.90 ± 0.00"  # a shift has no error between pairs
    assert rows["nats gained over K = 1: IWAE, K = 50"].paper == "1.98"
    assert rows["active units of 50: IWAE, K = 50"] == ("active units of 50: IWAE, K = 50", "25", "23", "table 1")


def test_what_is_said_of_active_units_is_what_was_counted():
    def said(counts, level=1):
        judged = {key: like(0, n) for key, n in zip(iwae.WITHIN, counts, strict=True)}
        judged = {key: now._replace(activity=level * now.activity) for key, now in judged.items()}
        return iwae.units(judged, iwae.TINY, 30)

    words = said((19, 20, 20, 22, 25))
    assert "VAE 19, 20, 20; IWAE 19, 22, 25 (30 after the passes in common)" in words and "As in the paper" in words
    for counts in ((21, 21, 21, 21, 21), (19, 20, 20, 18, 25), (19, 20, 25, 22, 25)):
        assert "does not show here" in said(counts)
    assert "does not show here" in said((19, 20, 20, 22, 25), 0.1)  # all within the noise


def test_the_experiment_as_a_whole():
    told = []
    result = iwae.run(told.append, iwae.TINY, made_up())
    assert len(result.rows) == 14 and len(told) == 7 and set(result.figures) == {"gain", "activity"}
    left, right = result.figures["gain"][0].axes
    assert [list(line.get_xdata()) for line in left.lines] == [[1, 5, 50]] * 4
    assert list(right.lines[1].get_ydata()) == [19, 22, 25]  # the IWAE's of the paper
    activity = result.figures["activity"][0].axes[0].lines[0].get_ydata()
    assert np.all(np.diff(activity) <= 0) and result.rows[1].ours == str(int(np.sum(activity > 0.01)))


def test_learning_rates_are_judged_by_images_that_training_has_not_seen():
    """Left halves are learned, right halves are held out: to the network these are worse than to a coin."""
    half = np.repeat([1.0, 0.0], 32).astype(np.float32)
    grey = np.concatenate([np.tile(half, (300, 1)), np.tile(1 - half, (50, 1))])
    size = iwae.TINY._replace(tried=20)
    unknown, known = iwae.tried(grey, size), iwae.tried(np.tile(half, (350, 1)), size)
    assert list(unknown) == list(iwae.RATES) and all(known[lr] < unknown[lr] - 20 for lr in iwae.RATES)
