"""Probabilistic PCA against the dense Gaussian, optimisation and known numbers (Tipping & Bishop 1999)."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import sklearn.decomposition
from autograd.test_util import check_grads
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris

from enm5310 import pca, ppca

digits, iris = load_digits().data, load_iris().data


def model(seed, p=5, q=2):
    rng = np.random.default_rng(seed)
    return ppca.PPCA(rng.normal(size=(p, q)) * 2, rng.normal(size=p), rng.uniform(0.1, 2)), rng.normal(size=(7, p)) * 3


models = st.builds(model, st.integers(0, 10**6), st.integers(3, 7), st.integers(0, 2))


def dense(m):
    return scipy.stats.multivariate_normal(m.mu, m.W @ m.W.T + m.s2 * np.eye(len(m.mu)))


@given(models)
def test_log_likelihood_is_the_dense_gaussians(case):
    m, X = case
    assert np.allclose(ppca.log_likelihood(m, X), dense(m).logpdf(X), rtol=1e-9)


def test_the_density_integrates_to_one_and_to_the_marginal_of_the_generative_model():
    m = ppca.PPCA(np.array([[1.5]]), np.array([0.3]), 0.4)

    def density(x):
        return np.exp(ppca.log_likelihood(m, np.array([[x]]))[0])

    assert np.isclose(scipy.integrate.quad(density, -20, 20)[0], 1, atol=1e-8)
    joint = scipy.integrate.quad(
        lambda z: scipy.stats.norm.pdf(z) * scipy.stats.norm.pdf(0.7, 1.5 * z + 0.3, np.sqrt(0.4)), -10, 10
    )[0]
    assert np.isclose(density(0.7), joint, rtol=1e-8)


@pytest.mark.parametrize(("q", "value"), [(1, -3.1377964), (2, -2.6997519), (3, -2.5327642)])
def test_known_likelihoods_of_iris(q, value):
    m = ppca.fit(iris, q)
    assert np.isclose(ppca.log_likelihood(m, iris).mean(), value, atol=5e-8)
    assert np.isclose(ppca.max_log_likelihood(pca.fit(iris).variances, q), value, atol=5e-8)


def test_known_noise_variance_and_full_gaussian_of_iris():
    assert np.isclose(ppca.fit(iris, 2).s2, 0.0506821, atol=5e-8)
    full = scipy.stats.multivariate_normal(iris.mean(0), np.cov(iris.T, bias=True)).logpdf(iris).mean()
    assert np.isclose(ppca.log_likelihood(ppca.fit(iris, 3), iris).mean(), full, atol=1e-9)


@pytest.mark.parametrize(("q", "value"), [(2, -177.4399715), (10, -159.9937312)])
def test_known_likelihoods_of_the_digits(q, value):
    assert np.isclose(ppca.log_likelihood(ppca.fit(digits, q), digits).mean(), value, atol=5e-8)


def test_fit_is_the_maximum_found_by_an_optimiser():
    X = np.random.default_rng(3).normal(size=(40, 3)) * [3, 2, 1]

    def loss(theta):
        return -dense(ppca.PPCA(theta[:3].reshape(3, 1), theta[3:6], np.exp(theta[6]))).logpdf(X).mean()

    best = min(scipy.optimize.minimize(loss, np.r_[np.eye(3)[i], np.zeros(4)]).fun for i in range(3))
    assert np.isclose(-best, ppca.log_likelihood(ppca.fit(X, 1), X).mean(), atol=1e-6)


@given(models, st.integers(0, 10**6))
def test_the_likelihood_cannot_see_a_rotation_of_the_latent_space(case, seed):
    m, X = case
    q = m.W.shape[1]
    R = np.linalg.qr(np.random.default_rng(seed).normal(size=(q, q)))[0] if q else np.zeros((0, 0))
    assert np.allclose(ppca.log_likelihood(m._replace(W=m.W @ R), X), ppca.log_likelihood(m, X))


@given(models)
def test_posterior_is_bayes_rule(case):
    """log p(z|x) = log p(x|z) + log p(z) - log p(x) at any z."""
    m, X = case
    means, covariance = ppca.posterior(m, X)
    q = m.W.shape[1]
    if q == 0:
        return
    z = np.linspace(-1, 1, q)
    likelihood = scipy.stats.norm.logpdf(X, ppca.decode(m, z[None]), np.sqrt(m.s2)).sum(axis=1)
    bayes = likelihood + scipy.stats.norm.logpdf(z).sum() - ppca.log_likelihood(m, X)
    direct = [scipy.stats.multivariate_normal(mean, covariance).logpdf(z) for mean in means]
    assert np.allclose(direct, bayes, atol=1e-7)


def test_posterior_mean_shrinks_and_reaches_the_projection_without_noise():
    m, f = ppca.fit(iris, 2), pca.fit(iris, 2, "svd")  # the same signs as ppca.fit
    shrink = np.sqrt(f.variances - m.s2) / f.variances  # M^-1 W^T r = (lam - s2)^(1/2) / lam u^T r
    assert np.allclose(ppca.posterior(m, iris)[0], pca.encode(f, iris) * shrink)
    reconstructed = ppca.decode(m, ppca.posterior(m, iris)[0]) - m.mu
    assert np.linalg.norm(reconstructed) < np.linalg.norm(pca.decode(f, pca.encode(f, iris)) - m.mu)
    sharp = m._replace(s2=1e-12)
    projected = pca.decode(f, pca.encode(f, iris))
    assert np.allclose(ppca.decode(sharp, ppca.posterior(sharp, iris)[0]), projected, atol=1e-6)


def test_samples_have_the_models_mean_and_covariance():
    """Within 5 standard errors: Var of a sample covariance entry is (K_ii K_jj + K_ij^2) / n for Gaussians."""
    m, _ = model(7)
    n, rng = 200_000, np.random.default_rng(0)
    X = ppca.sample(m, rng.normal(size=(n, 2)), rng.normal(size=(n, 5)))
    K = m.W @ m.W.T + m.s2 * np.eye(5)
    assert (np.abs(X.mean(0) - m.mu) < 5 * np.sqrt(np.diag(K) / n)).all()
    error = np.sqrt((np.outer(np.diag(K), np.diag(K)) + K**2) / n)
    assert (np.abs((X - m.mu).T @ (X - m.mu) / n - K) < 5 * error).all()


def test_fewer_samples_than_features():
    X = np.random.default_rng(0).normal(size=(5, 9))
    m = ppca.fit(X, 2)
    lam = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    assert np.isclose(m.s2, lam[2:].sum() / 7)
    assert np.isclose(dense(m).logpdf(X).mean(), ppca.max_log_likelihood(np.maximum(lam, 0), 2), rtol=1e-9)


def test_no_latent_dimension_is_an_isotropic_gaussian():
    m = ppca.fit(iris, 0)
    assert m.W.shape == (4, 0) and np.isclose(m.s2, np.mean((iris - iris.mean(0)) ** 2))
    assert np.allclose(ppca.log_likelihood(m, iris), dense(m).logpdf(iris))


@pytest.mark.parametrize("q", [-1, 4, 5])
def test_too_many_or_negative_latent_dimensions_are_refused(q):
    with pytest.raises(ValueError, match="0 to 3 latent"):
        ppca.fit(iris, q)


def test_a_degenerate_likelihood_is_refused():
    X = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="grows without bound"):
        ppca.fit(X, 1)


def test_log_likelihood_is_differentiable_in_every_parameter():
    m, X = model(11)
    check_grads(lambda W, mu, s2: ppca.log_likelihood(ppca.PPCA(W, mu, s2), X), modes=["rev"], order=1)(*m)


def test_float32_stays_float32():
    m = ppca.fit(iris.astype(np.float32), 2)
    assert m.W.dtype == np.float32 and np.asarray(m.s2).dtype == np.float32
    assert ppca.log_likelihood(m, iris.astype(np.float32)).dtype == np.float32
    assert ppca.posterior(m, iris.astype(np.float32))[0].dtype == np.float32


@pytest.mark.parametrize("use", [ppca.log_likelihood, ppca.posterior])
def test_other_features_than_the_models_are_refused(use):
    m, _ = model(0, 4, 2)
    for bad in (np.ones((5, 1)), np.ones((5, 3))):  # (n, 1) would be repeated over all features
        with pytest.raises(ValueError, match="4 features"):
            use(m, bad)


@pytest.mark.parametrize("s2", [0.0, -0.1, np.nan])
def test_a_noise_variance_that_is_none_is_refused(s2):
    m, X = model(0, 4, 2)
    m = m._replace(s2=s2)
    for use in (lambda: ppca.log_likelihood(m, X), lambda: ppca.posterior(m, X), lambda: ppca.elbo_gap(m),
                lambda: ppca.best_encoder(m)):  # fmt: skip
        with pytest.raises(ValueError, match="s2 is"):
            use()


def test_variances_must_decrease_and_leave_one_for_the_noise():
    for variances, q in [([1.0, 2, 3], 1), ([3.0, 2, 1], -1), ([3.0, 2, 1], 3), ([3.0, np.nan, 1], 1)]:
        with pytest.raises(ValueError, match="reverse those of eigh"):
            ppca.max_log_likelihood(np.array(variances), q)
    for variances, s2, q in [([1.0, 2, 3], 0.5, 1), ([3.0, 2, 1], 0.5, -1), ([3.0, 2, 1], np.nan, 1), ([3.0], -1.0, 1)]:
        with pytest.raises(ValueError, match="reverse those of eigh"):
            ppca.active_latents(np.array(variances), s2, q)


def test_noise_shared_by_features_is_refused():
    with pytest.raises(ValueError, match="its own noise"):
        ppca.sample(model(0, 4, 2)[0], np.ones((5, 2)), np.ones((5, 1)))


@pytest.mark.parametrize(
    ("X", "ours", "theirs"), [(iris, -2.6997519, -2.6997965), (digits, -177.4399715, -177.4399765)]
)
def test_scikit_learn_divides_by_n_minus_1_and_is_a_little_less_likely(X, ours, theirs):
    assert sklearn.decomposition.PCA(2, svd_solver="full").fit(X).score(X) == pytest.approx(theirs, abs=5e-8)
    assert ppca.log_likelihood(ppca.fit(X, 2), X).mean() == pytest.approx(ours, abs=5e-8)
