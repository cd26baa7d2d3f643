"""The linear VAE in ppca: its ELBO against quadrature, its gap against a Gaussian KL, when latents collapse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats as scipy_stats
from sklearn.datasets import load_iris

from enm5310 import nets, ppca, vae

X = load_iris().data
VARIANCES = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]


def rotated(model, degrees):
    t = math.radians(degrees)
    return model._replace(W=model.W @ np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]))


def log_p(model, X):
    """The marginal, by a dense covariance."""
    S = model.W @ model.W.T + model.s2 * np.eye(len(model.mu))
    return scipy_stats.multivariate_normal(model.mu, S).logpdf(X)


def kl_to_the_posterior(linear, model):
    """KL(N(m, diag d) || N(m, S)) with the posterior covariance S by conditioning the joint Gaussian of (z, x)."""
    q = len(linear.d)
    C = model.W @ model.W.T + model.s2 * np.eye(len(model.mu))
    S = np.eye(q) - model.W.T @ np.linalg.inv(C) @ model.W
    D = np.diag(linear.d)
    return 0.5 * (np.trace(np.linalg.inv(S) @ D) - q + np.linalg.slogdet(S)[1] - np.linalg.slogdet(D)[1])


def test_elbo_is_tight_at_the_maximum_of_the_likelihood():
    model = ppca.fit(X, 2)
    elbo, rec, kl = ppca.linear_vae_elbo(ppca.best_encoder(model), X)
    assert_allclose(elbo, log_p(model, X), atol=1e-11)
    assert elbo.mean() == pytest.approx(-2.6997519, abs=5e-8)
    assert kl.mean() == pytest.approx(2.9883608, abs=5e-8)
    assert kl.mean() == pytest.approx(0.5 * np.log(VARIANCES[:2] / VARIANCES[2:].mean()).sum(), rel=1e-12)
    assert rec.mean() == pytest.approx(0.2886090, abs=1e-7)  # -2.6997519 + 2.9883608, each rounded


@pytest.mark.parametrize(("degrees", "gap"), [(15, 0.3384005), (30, 0.6808369), (45, 0.7915771)])
def test_rotating_the_latents_opens_the_gap_of_the_formula(degrees, gap):
    model = rotated(ppca.fit(X, 2), degrees)
    linear = ppca.best_encoder(model)
    assert_allclose(log_p(model, X), log_p(ppca.fit(X, 2), X), rtol=1e-10)  # the likelihood sees nothing
    assert_allclose(log_p(model, X) - ppca.linear_vae_elbo(linear, X)[0], gap, atol=5e-8)
    assert ppca.elbo_gap(model) == pytest.approx(gap, abs=5e-8)
    assert ppca.elbo_gap(model) == pytest.approx(kl_to_the_posterior(linear, model), rel=1e-10)


def random_model(seed, p=4, q=3):
    rng = np.random.default_rng(seed)
    return ppca.PPCA(rng.normal(size=(p, q)), rng.normal(size=p), rng.uniform(0.1, 2)), rng


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_elbo_of_any_encoder_equals_quadrature_and_stays_below_log_p(seed):
    model, rng = random_model(seed, q=2)
    linear = ppca.LinearVAE(model, rng.normal(size=(2, 4)), rng.uniform(0.2, 2, 2))
    data = rng.normal(size=(3, 4))
    nodes, w = np.polynomial.hermite_e.hermegauss(8)  # exact for polynomials up to degree 15
    elbo, rec, kl = ppca.linear_vae_elbo(linear, data)
    for i, x in enumerate(data):
        mean, sd = linear.V @ (x - model.mu), np.sqrt(linear.d)
        total_rec = total_kl = 0.0
        for a, wa in zip(nodes, w / w.sum(), strict=True):
            for b, wb in zip(nodes, w / w.sum(), strict=True):
                z = mean + sd * [a, b]
                fit = scipy_stats.norm.logpdf(x, model.W @ z + model.mu, math.sqrt(model.s2)).sum()
                total_rec += wa * wb * fit
                total_kl += wa * wb * (scipy_stats.norm.logpdf(z, mean, sd) - scipy_stats.norm.logpdf(z)).sum()
        assert_allclose([rec[i], kl[i], elbo[i]], [total_rec, total_kl, total_rec - total_kl], rtol=1e-9)
    assert (elbo <= log_p(model, data) + 1e-9).all()


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_gap_of_the_best_encoder_is_the_kl_and_no_other_encoder_does_better(seed):
    model, rng = random_model(seed)
    best, data = ppca.best_encoder(model), rng.normal(size=(5, 4))
    elbo = ppca.linear_vae_elbo(best, data)[0]
    assert_allclose(log_p(model, data) - elbo, ppca.elbo_gap(model), rtol=1e-8, atol=1e-9)
    assert ppca.elbo_gap(model) == pytest.approx(kl_to_the_posterior(best, model), rel=1e-8, abs=1e-10)
    for size in (1e-3, 0.1):
        V = best.V + size * rng.normal(size=best.V.shape)
        other = ppca.LinearVAE(model, V, best.d * rng.uniform(1 - size, 1 + size, 3))
        assert (ppca.linear_vae_elbo(other, data)[0] < elbo).all()


def test_orthogonal_loadings_leave_no_gap():
    model, rng = random_model(0)
    Q = np.linalg.qr(rng.normal(size=(4, 3)))[0]
    assert ppca.elbo_gap(model._replace(W=Q * [3.0, 1.0, 0.2])) == pytest.approx(0, abs=1e-12)
    assert ppca.elbo_gap(model) > 0.01


@pytest.mark.parametrize(("s2", "active"), [(0.01, 4), (0.05, 3), (0.1, 2), (0.5, 1), (1, 1), (5, 0)])
def test_latents_collapse_below_the_noise_variance(s2, active):
    model = ppca.fit_loadings(X, 4, s2)
    assert ppca.active_latents(VARIANCES, s2) == active
    kl = ppca.linear_vae_elbo(ppca.best_encoder(model), X)[2].mean()
    assert ((model.W**2).sum(0) > 0).sum() == active
    wanted = 0.5 * np.log(VARIANCES[:active] / s2).sum()  # the average KL of the latents in use
    assert kl == pytest.approx(wanted, abs=1e-10)
    assert ppca.active_latents(VARIANCES, s2, q=1) == min(active, 1)


@pytest.mark.parametrize("s2", [0.01, 0.1, 1.0, 5.0])
def test_no_loadings_have_a_higher_likelihood_at_fixed_noise(s2):
    model, rng = ppca.fit_loadings(X, 2, s2), np.random.default_rng(0)
    best = log_p(model, X).mean()
    for size in (1e-3, 1e-2, 0.3):
        for _ in range(20):
            assert log_p(model._replace(W=model.W + size * rng.normal(size=(4, 2))), X).mean() < best


def test_fit_loadings_meets_fit_at_its_own_noise_and_has_a_column_per_latent():
    model = ppca.fit(X, 2)
    again = ppca.fit_loadings(X, 2, model.s2)
    assert_allclose(again.W @ again.W.T, model.W @ model.W.T, atol=1e-12)
    none = ppca.fit_loadings(X, 0, 1.0)
    assert none.W.shape == (4, 0) and ppca.elbo_gap(none) == 0
    few = ppca.fit_loadings(X[:2], 4, 0.01)  # two samples have one direction of variance
    assert few.W.shape == (4, 4) and ((few.W**2).sum(0) > 1e-12).sum() == 1


@pytest.mark.parametrize(("q", "s2"), [(5, 0.1), (-1, 0.1), (2, 0.0), (2, -1.0), (2, math.nan)])
def test_fit_loadings_refuses_impossible_settings(q, s2):
    with pytest.raises(ValueError, match="positive noise variance"):
        ppca.fit_loadings(X, q, s2)


def test_networks_of_a_linear_vae_say_the_same():
    model = rotated(ppca.fit(X, 2), 20)
    linear = ppca.best_encoder(model)
    params = ppca.to_nets(linear)
    mean, logvar = vae.encode(params, X)
    assert_allclose(mean, [linear.V @ (x - model.mu) for x in X], atol=1e-11)
    assert_allclose(np.exp(logvar), np.tile(linear.d, (150, 1)), rtol=1e-12)
    Z = np.random.default_rng(0).normal(size=(5, 2))
    assert_allclose(vae.decode(params, Z), [model.W @ z + model.mu for z in Z], rtol=1e-12)


def test_float32_stays_float32():
    model = ppca.fit(X.astype(np.float32), 2)
    linear = ppca.best_encoder(model)
    out = [linear.V, linear.d, *ppca.linear_vae_elbo(linear, X.astype(np.float32)), *nets.leaves(ppca.to_nets(linear))]
    assert {a.dtype for a in out} == {np.dtype(np.float32)}
    assert ppca.fit_loadings(X.astype(np.float32), 2, 0.1).W.dtype == np.float32


def test_other_features_than_the_models_are_refused():
    linear = ppca.best_encoder(random_model(0)[0])
    with pytest.raises(ValueError, match="4 features"):
        ppca.linear_vae_elbo(linear, np.ones((5, 1)))
