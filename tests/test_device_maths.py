"""PCA and the estimators of gradients on device arrays: the numbers of the CPU, no copy where none is needed."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from numpy.testing import assert_allclose, assert_array_equal

from enm5310 import backend, distributions, gradients, paths, pca, pca_large
from tests import device
from tests.device import TRAFFIC


@pytest.fixture(params=device.KINDS)
def gpu(request, monkeypatch):
    return device.Gpu(request.param, monkeypatch)


# -------------------- PCA --------------------


def data(n=60, p=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, p)) * np.arange(p, 0, -1) + 5).astype(dtype)


def same_components(mine, wanted, atol=1e-9):
    for a, b in zip(mine, wanted, strict=True):
        assert type(a) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape
    assert_allclose(mine.mean, wanted.mean, atol=atol)
    assert_allclose(mine.variances, wanted.variances, atol=atol * wanted.variances.max(initial=1))
    assert_allclose(abs(np.sum(mine.U * wanted.U, axis=0)), 1, atol=atol)  # each column up to its sign


@pytest.mark.parametrize("method", ["eig", "svd", "gram", "auto"])
def test_pca_of_a_device_array_stays_there(gpu, method):
    X = data()
    there, x = pca.fit(gpu(X), 3, method), gpu(X[:4])
    same_components(backend.to_host(there), pca.fit(X, 3, method))
    with gpu.no_copies():
        Z = pca.encode(there, x)
        error = pca.reconstruction_error(there, x)
    here = pca.fit(X, 3, method)
    assert_allclose(abs(Z.get()), abs(pca.encode(here, X[:4])), atol=1e-9)
    assert_allclose(error.get(), pca.reconstruction_error(here, X[:4]), atol=1e-9)
    everything = pca.fit(X).variances
    assert_allclose(pca.explained_variance(gpu(everything)).get(), pca.explained_variance(everything), rtol=1e-12)
    assert pca.n_components(gpu(everything), 0.9) == pca.n_components(everything, 0.9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["eig", "stream", "auto", "svd", "gram", "randomised"])
def test_host_data_go_through_the_device(gpu, method, dtype, monkeypatch):
    monkeypatch.setattr(pca_large, "ROWS", 16)
    X, rng = (data(50, 40) * 0.6 ** np.arange(40)).astype(dtype), np.random.default_rng
    mine = pca.fit(X, 2, method, rng(1), device="gpu")
    same_components(mine, pca.fit(X, 2, method, rng(1)), 1e-7 if dtype == np.float64 else 2e-4)


def test_streaming_holds_one_block_at_a_time_there(monkeypatch):
    gpu = device.Gpu("stand-in", monkeypatch)
    monkeypatch.setattr(pca_large, "ROWS", 16)
    X = data(200, 8)
    monkeypatch.setattr(device, "LIMIT", [17 * 8 * 8])  # bytes of a block and a row, an eleventh of X
    same_components(pca.fit(X, 3, device="gpu"), pca.fit(X, 3))
    with pytest.raises(MemoryError):
        gpu(X)
    assert TRAFFIC["to_device"] == 1 + 13 + 1  # where to compute, 13 blocks, X
    mine = pca_large.fit_stream((x for x in np.array_split(X, 7)), 3, device="gpu")
    same_components(mine, pca.fit(X, 3))


@pytest.mark.parametrize("method", ["eig", "svd", "gram"])
def test_pca_without_room_for_it_is_done_by_the_cpu(monkeypatch, method):
    device.Gpu("stand-in", monkeypatch)
    monkeypatch.setattr(device, "LIMIT", [60])
    with pytest.warns(RuntimeWarning, match="memory does not suffice.*the CPU is used"):
        mine = pca.fit(data(), 3, method, device="gpu")
    wanted = pca.fit(data(), 3, "stream" if method == "eig" else method)
    for a, b in zip(mine, wanted, strict=True):
        assert_array_equal(a, b)


def test_batches_that_are_gone_cannot_be_done_again(monkeypatch):
    device.Gpu("stand-in", monkeypatch)
    monkeypatch.setattr(device, "LIMIT", [60])
    with pytest.raises(RuntimeError, match="give a list of batches"):
        pca_large.fit_stream((x for x in [data()]), device="gpu")
    with pytest.warns(RuntimeWarning, match="the CPU is used"):
        pca_large.fit_stream([data()], device="gpu")


def test_what_cannot_be_analysed_is_refused_there_too(gpu):
    bad = data()
    bad[3, 1] = np.nan
    for X, words in [(bad, "row 3 contains NaN"), (data()[:0], "no row")]:
        with pytest.raises(ValueError, match=words):
            pca.fit(X, device="gpu")
    with pytest.raises(ValueError, match="NaN"):
        pca.fit(gpu(bad))
    with pytest.raises(ValueError, match="k is 9"):
        pca.fit(data(), 9, device="gpu")


def test_pca_differentiates_through_what_it_made(gpu):
    X, here = data(), pca.fit(data(), 2)
    there = gpu(here)
    mine = grad(lambda X: anp.sum(pca.reconstruction_error(there, X)))(gpu(X[:3]))
    assert_allclose(mine.get(), grad(lambda X: anp.sum(pca.reconstruction_error(here, X)))(X[:3]), atol=1e-12)


# -------------------- estimators of gradients --------------------


def cost(z):
    return anp.sin(z) + z * z


THETA, S = np.array([0.4, -0.3]), 37
rng = np.random.default_rng(0)
EPS, EPS3, U = rng.standard_normal(S), rng.standard_normal((S, 3)), rng.random(S)
ESTIMATORS = {
    "reparameterization": lambda at: gradients.reparameterization(cost, paths.gaussian, at(THETA), at(EPS)),
    "score_function": lambda at: gradients.score_function(cost, paths.gaussian_log_p, at(THETA), at(EPS)),
    "score_function, baseline": lambda at: gradients.score_function(
        cost, paths.gaussian_log_p, at(THETA), at(EPS), gradients.leave_one_out(cost(at(EPS)))
    ),
    "optimal_baseline": lambda at: gradients.optimal_baseline(cost, paths.gaussian_log_p, at(THETA), at(EPS)),
    "implicit": lambda at: gradients.implicit_reparameterization(
        cost, lambda z, t: 1 / (1 + anp.exp(t[:, 0] - z)),
        lambda z, t: t[:, 0] - z - 2 * anp.log1p(anp.exp(t[:, 0] - z)), at(THETA[:1]), at(EPS),
    ),
    "measure_valued": lambda at: gradients.measure_valued(cost, at(THETA), at(EPS3)),
    "finite_differences": lambda at: gradients.finite_differences(cost, paths.gaussian, at(THETA), at(EPS), 1e-3),
    "elbo_gradient": lambda at: gradients.elbo_gradient(
        lambda z: -z * z, paths.gaussian_log_p, paths.gaussian, at(THETA), at(EPS)
    ),
    "sticking_the_landing": lambda at: gradients.sticking_the_landing(
        lambda z: -z * z, paths.gaussian_log_p, paths.gaussian, at(THETA), at(EPS)
    ),
    "heaviside": lambda at: tuple(gradients.heaviside_failure(at(THETA), at(EPS))),
    "multivariate": lambda at: gradients.reparameterization(
        lambda z: anp.sum(z * z, axis=1),
        lambda eps, t: paths.multivariate_normal(eps, t, at(np.tril(np.ones((3, 3))))), at(np.arange(3.0)), at(EPS3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_of_gradients_run_there(gpu, name, monkeypatch):
    monkeypatch.setattr(gradients, "PIECE", 10)  # in pieces too
    mine, wanted = backend.to_host(ESTIMATORS[name](gpu)), ESTIMATORS[name](lambda a: a)
    for a, b in zip(*((x,) if isinstance(x, np.ndarray) else x for x in (mine, wanted)), strict=True):
        assert a.dtype == b.dtype == np.float64
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_reparameterised_gradient_copies_nothing_and_has_the_known_mean(gpu):
    n = 100_000
    theta, eps = gpu(THETA), gpu(np.random.default_rng(1).standard_normal(n))
    with gpu.no_copies():
        rows = gradients.reparameterization(lambda z: z**2, paths.gaussian, theta, eps)
    mu, sigma = THETA[0], math.exp(THETA[1])
    error = rows.get().mean(0) - [2 * mu, 2 * sigma**2]
    sd = [2 * sigma, math.sqrt(4 * sigma**2 * (mu**2 + 2 * sigma**2))]  # gradients.quadratic_variances
    assert (abs(error) < 5 * np.array(sd) / math.sqrt(n)).all()


FLOWS = {
    "exponential": lambda u: paths.exponential(u, 2.0), "logistic": paths.logistic, "gumbel": paths.gumbel,
    "laplace": paths.laplace, "cauchy": paths.cauchy, "box_muller": lambda u: anp.stack(paths.box_muller(u, u[::-1])),
    "push_forward": lambda u: anp.stack(paths.push_forward(lambda e: -0.5 * e * e, anp.sinh, u)),
    "pushforward_log_p": lambda u: paths.pushforward_log_p(lambda e: -0.5 * e * e, anp.log, u),
    "planar_flow": lambda u: paths.planar_flow(u[:, None] * u[:3], u[:3], u[3:6], u[7])[1],
}  # fmt: skip


@pytest.mark.parametrize("name", FLOWS)
def test_paths_and_their_derivatives_run_there(gpu, name):
    both = lambda at: (FLOWS[name](at(U)), grad(lambda u: anp.sum(anp.sin(FLOWS[name](u))))(at(U)))  # noqa: E731
    for a, b in zip(backend.to_host(both(gpu)), both(lambda a: a), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


P, Q, V = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.random((4, 3))
L = np.tril(rng.normal(size=(3, 3)), -1) + np.eye(3)
DENSITIES = {
    "log_mean_exp": (distributions.log_mean_exp, P), "log_softmax": (distributions.log_softmax, P),
    "log_gaussian": (distributions.log_gaussian, V, P, Q),
    "log_standard_normal": (distributions.log_standard_normal, P),
    "log_gaussian, number": (lambda x, mean: distributions.log_gaussian(x, mean, 0.3), V, P),
    "log_gaussian_full": (distributions.log_gaussian_full, V, P, L),
    "log_bernoulli": (distributions.log_bernoulli, V, P),
    "log_continuous_bernoulli": (distributions.log_continuous_bernoulli, V, P),
    "logC": (distributions.continuous_bernoulli_logC, P), "cb_mean": (distributions.continuous_bernoulli_mean, P),
    "log_categorical": (lambda l: distributions.log_categorical(l * 0 + 1 / 3, l), P),
    "kl_standard_normal": (distributions.kl_standard_normal, P, Q), "kl_diag": (distributions.kl_diag, P, Q, V, P),
    "kl_gaussians": (lambda m, A: distributions.kl_gaussians(m, A @ A.T, m + 1, A.T @ A), P[0], L + 0.1),
    "kl_bernoulli": (distributions.kl_bernoulli, P, Q), "kl_categorical": (distributions.kl_categorical, P, Q),
    "entropy_gaussian": (distributions.entropy_gaussian, P), "entropy_bernoulli": (distributions.entropy_bernoulli, V),
    "optimal_variance": (distributions.optimal_variance, P, Q),
}  # fmt: skip


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_and_divergences_differentiate_there(gpu, name):
    f, *args = DENSITIES[name]
    both = lambda args: (f(*args), grad(lambda args: anp.sum(anp.sin(f(*args))))(tuple(args)))  # noqa: E731
    mine, wanted = backend.to_host(both(gpu(args))), both(args)
    assert_allclose(mine[0], wanted[0], rtol=1e-10)
    for a, b in zip(mine[1], wanted[1], strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)
