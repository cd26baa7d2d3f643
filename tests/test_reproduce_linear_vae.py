"""The experiment `linear_vae`: its closed forms against quadrature, Monte Carlo and the library's special cases."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris

from enm5310 import ppca, vae
from tests.benchmarks.reproduce import linear_vae as experiment

X = load_iris().data


def random_vae(seed=0, p=4, q=2):
    rng = np.random.default_rng(seed)
    encoder = [(0.3 * rng.normal(size=(p, 2 * q)), rng.normal(size=2 * q))]
    return (encoder, [(rng.normal(size=(q, p)), rng.normal(size=p))]), rng


def test_exact_elbo_is_quadrature_when_the_variance_looks_at_x():
    params, rng = random_vae()
    data, s2 = rng.normal(size=(3, 4)), 0.7
    nodes, w = np.polynomial.hermite_e.hermegauss(12)
    w, total = w / w.sum(), 0.0
    mean, logvar = vae.encode(params, data)
    assert np.ptp(logvar, axis=0).min() > 0.1
    for x, m, sd in zip(data, mean, np.exp(logvar / 2), strict=True):
        for a, wa in zip(nodes, w, strict=True):
            for b, wb in zip(nodes, w, strict=True):
                z = m + sd * [a, b]
                log_p = stats.norm.logpdf(x, vae.decode(params, z), s2**0.5).sum() + stats.norm.logpdf(z).sum()
                total += wa * wb * (log_p - stats.norm.logpdf(z, m, sd).sum()) / 3
    assert experiment.exact_elbo(params, s2, data) == pytest.approx(total, rel=1e-9)


def test_exact_elbo_is_the_librarys_when_the_variance_is_fixed():
    linear = ppca.best_encoder(ppca.fit(X, 2))
    mine = experiment.exact_elbo(ppca.to_nets(linear), linear.ppca.s2, X)
    assert mine == pytest.approx(ppca.linear_vae_elbo(linear, X)[0].mean(), rel=1e-10)


def test_monte_carlo_is_right_by_its_own_standard_error():
    params, rng = random_vae(1)
    data = rng.normal(size=(40, 4))
    estimate, error = experiment.monte_carlo(params, 0.7, data, 400, rng)
    assert abs(estimate - experiment.exact_elbo(params, 0.7, data)) < 5 * error
    once = [np.mean(vae.elbo(params, data, rng.normal(size=(40, 2)), vae.gaussian(0.7**0.5)).elbo) for _ in range(800)]
    assert error == pytest.approx(np.std(once) / 20, rel=0.25)


def test_the_decoder_alone_is_a_ppca():
    params, rng = random_vae(2)
    data = rng.normal(size=(5, 4))
    (W, b), s2 = params[1][0], 0.3
    wanted = stats.multivariate_normal(b, W.T @ W + s2 * np.eye(4)).logpdf(data)
    np.testing.assert_allclose(ppca.log_likelihood(experiment.as_ppca(params, s2), data), wanted, rtol=1e-10)


def test_a_dead_leader_costs_what_the_formula_says_and_is_stationary():
    params, cost = experiment.without_leader(X, 2)
    exact = ppca.fit(X, 2)
    drop = ppca.log_likelihood(exact, X).mean() - ppca.log_likelihood(experiment.as_ppca(params, exact.s2), X).mean()
    assert drop == pytest.approx(cost, rel=1e-9) and cost > 1
    eps = np.random.default_rng(0).normal(size=(800, 150, 2))
    eps = np.concatenate([eps, -eps])  # in pairs: the slope along the dead latent is odd in its noise
    rows = [vae.by_hand(params, X, e, vae.gaussian(exact.s2**0.5))[1][1][0][0] for e in eps]
    error = np.std(rows, axis=0) / len(rows) ** 0.5
    assert np.all(np.abs(np.mean(rows, axis=0)) < 5 * error + 1e-9)


def test_turning_the_loadings_costs_the_gap_and_turning_back_costs_nothing():
    found = experiment.rotated(X, 2, experiment.TINY._replace(draws=400), np.random.default_rng(0))
    assert found["formula"] > 0.05 and found["same log p"] < 1e-10 and abs(found["straight"]) < 1e-10
    assert abs(found["estimate"] - found["formula"]) < 5 * found["error"]


@pytest.fixture(scope="module")
def small():
    rng, told = np.random.default_rng(0), []
    noise = rng.random((240, 36)).astype(np.float32)
    image = np.clip(noise[:, :3] @ noise[:3] + 0.1 * noise, 0, 1)
    yield experiment.run(told.append, experiment.TINY, (image, image, "MNIST")), told
    plt.close("all")


def test_small_run_has_its_rows(small):
    result, told = small
    assert len(result.rows) == 12 and len(told) == 4
    by_name = {row.what: row for row in result.rows}
    assert len(by_name) == 12
    gap = float(by_name["8x8 digits: max of log p - log p of the trained decoder"].ours)
    assert 0 <= gap < 3  # a tenth of a second of training, from more than 50
    assert by_name[next(name for name in by_name if "latents in use" in name)].ours == "3 of 3"


def test_small_run_draws_paths_and_counts(small):
    figure, alt = small[0].figures["training"]
    left, right = figure.axes
    assert len(left.lines) == 2 and all(len(line.get_xdata()) > 10 for line in left.lines)
    falls = left.lines[1].get_ydata()  # from the dead leader
    assert falls[-1] < falls[0]
    theory, dots = right.lines
    assert np.all(np.diff(theory.get_ydata()) <= 0) and len(dots.get_xdata()) == 3 and "Left" in alt
