"""What part 5's runs are held to: integrals against grids and the library, maxima against a general optimiser."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from enm5310.checks import best_gaussian


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(12), rng.normal(size=12)])
    return X, (X @ [0.3, 2.0] + rng.normal(size=12) > 0) * 1.0, 6.0


def log_joint(z, X, y, v):
    """Rows z (S, d): log p(y, z), by scipy."""
    t = (2 * y - 1) * (z @ X.T)
    return np.sum(scipy.special.log_expit(t), axis=1) + np.sum(scipy.stats.norm(0, v**0.5).logpdf(z), axis=1)


def elbo_on_a_grid(mean, C, X, y, v):
    """E_q[log p(y, z) - log q(z)] by the trapezoidal rule in two dimensions."""
    grid = np.linspace(-9, 9, 181)
    eps = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    z = mean + eps @ np.linalg.cholesky(C).T
    log_q = scipy.stats.multivariate_normal(mean, C).logpdf(z)
    w = np.exp(-0.5 * np.sum(eps**2, axis=1))
    return np.sum(w / np.sum(w) * (log_joint(z, X, y, v) - log_q))


def test_the_elbo_is_the_integral_over_a_grid(data):
    mean, C = np.array([0.4, 1.5]), np.array([[0.7, 0.3], [0.3, 1.1]])
    assert best_gaussian.exact_elbo(mean, C, *data) == pytest.approx(elbo_on_a_grid(mean, C, *data), abs=1e-6)


@pytest.mark.parametrize("full", [False, True])
def test_no_optimiser_finds_a_better_gaussian(data, full):
    def loss(theta):
        L = np.array([[np.exp(theta[2]), 0], [full * theta[4], np.exp(theta[3])]])
        return -best_gaussian.exact_elbo(theta[:2], L @ L.T, *data)

    found = scipy.optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-7})
    mean, C = best_gaussian.best_for_logistic(*data, full)
    assert best_gaussian.exact_elbo(mean, C, *data) == pytest.approx(-found.fun, abs=1e-8)
    np.testing.assert_allclose(mean, found.x[:2], atol=1e-4)
    assert best_gaussian.gap((mean, C), *data, full) == 0
    assert best_gaussian.gap((mean + 0.1, C), *data, full) > 1e-3


@pytest.mark.parametrize("full", [False, True])
def test_laplace_s_approximation_sits_at_the_mode_with_the_curvature_there(data, full):
    mean, C = best_gaussian.laplace(*data, full)
    found = scipy.optimize.minimize(lambda z: -log_joint(z[None], *data)[0], np.zeros(2), options={"gtol": 1e-8})
    np.testing.assert_allclose(mean, found.x, atol=1e-5)
    h = 1e-3 * np.eye(2)
    f = [[log_joint((mean + a + b)[None], *data)[0] - log_joint((mean + a - b)[None], *data)[0]
          - log_joint((mean - a + b)[None], *data)[0] + log_joint((mean - a - b)[None], *data)[0] for a in h]
         for b in h]  # fmt: skip
    H = -np.array(f) / 4e-6
    np.testing.assert_allclose(np.linalg.inv(C), H if full else np.diag(np.diag(H)), rtol=1e-4, atol=1e-5)


def test_the_best_gaussian_for_counts_is_the_optimiser_s():
    L, c, y = np.array([[0.45, 0.1], [0.1, 0.3]]), np.array([0.2, -0.4]), np.array([0.0, 2.0])
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    eps = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    w = np.outer(weights, weights).ravel() / np.sum(weights) ** 2

    def loss(theta):
        z = theta[:2] + np.exp(theta[2:]) * eps
        log_p = z @ y - np.sum(np.exp(z), axis=1) - 0.5 * np.sum((z - c) @ L * (z - c), axis=1)
        return -w @ log_p - np.sum(theta[2:])

    found = scipy.optimize.minimize(loss, np.zeros(4), options={"gtol": 1e-8}).x
    mean, sigma = best_gaussian.best_for_counts(L, c, y)
    np.testing.assert_allclose(mean, found[:2], atol=1e-5)
    np.testing.assert_allclose(sigma, np.exp(found[2:]), atol=1e-5)
