"""vae: the ELBO against loops, quadrature and the exact linear VAE; three gradients against each other; training."""

import math

import numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate
from scipy import stats as scipy_stats
from sklearn.datasets import load_digits, load_iris

from enm5310 import latent, nets, optimize, ppca, vae

LIKELIHOODS = ["bernoulli", "gaussian", "continuous_bernoulli", vae.gaussian(0.3)]


def small(p=4, hidden=(3,), k=2, n=5, seed=0):
    """Parameters with nothing zero, data in [0, 1] and noise."""
    rng = np.random.default_rng(seed)
    params = nets.tree_map(lambda a: a + 0.3 * rng.normal(size=a.shape), vae.init(p, list(hidden), k, rng))
    return params, rng.uniform(size=(n, p)), rng.normal(size=(n, k))


def gauss_hermite(n=80):
    """Nodes and weights of E[f(eps)], eps ~ N(0, 1)."""
    eps, w = np.polynomial.hermite_e.hermegauss(n)
    return eps, w / w.sum()


def log_density(name, x, a):
    """One pixel's log p(x | a), from the definition."""
    if name == "gaussian":
        return scipy_stats.norm.logpdf(x, a, 1.0)
    prob = 1 / (1 + math.exp(-a))
    unnormalised = lambda x: prob**x * (1 - prob) ** (1 - x)  # noqa: E731
    return math.log(unnormalised(x)) - (math.log(integrate.quad(unnormalised, 0, 1)[0]) if name[0] == "c" else 0)


# -------------------- the model --------------------


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "continuous_bernoulli"])
def test_elbo_equals_loops_over_samples_features_and_latents(name):
    params, X, eps = small()
    mean, logvar = vae.encode(params, X)
    out = vae.elbo(params, X, eps, name, beta=2.5)
    for i in range(5):
        z = [mean[i, j] + math.sqrt(math.exp(logvar[i, j])) * eps[i, j] for j in range(2)]
        a = nets.apply(params[1], np.array(z))
        rec = sum(log_density(name, X[i, j], a[j]) for j in range(4))
        kl = sum((mean[i, j] ** 2 + math.exp(logvar[i, j]) - logvar[i, j] - 1) / 2 for j in range(2))
        assert_allclose([out.rec[i], out.kl[i], out.elbo[i]], [rec, kl, rec - 2.5 * kl], rtol=1e-10)


def test_encoder_heads_are_mean_then_logvar_and_networks_mirror_each_other():
    params = vae.init(7, [5, 4], 2, np.random.default_rng(0))
    assert [W.shape for W, _ in params[0]] == [(7, 5), (5, 4), (4, 4)]
    assert [W.shape for W, _ in params[1]] == [(2, 4), (4, 5), (5, 7)]
    X = np.random.default_rng(1).uniform(size=(3, 7))
    both = nets.apply(params[0], X)
    assert_array_equal(np.hstack(vae.encode(params, X)), both)


def test_elbo_at_takes_any_q_and_equals_elbo_at_the_encoder():
    params, X, eps = small()
    mean, logvar = vae.encode(params, X)
    for mine, wanted in zip(vae.elbo_at(params, X, mean, logvar, eps), vae.elbo(params, X, eps), strict=True):
        assert_array_equal(mine, wanted)
    prior = vae.elbo_at(params, X, 0 * mean, 0 * logvar, eps)
    assert not prior.kl.any() and (prior.elbo == prior.rec).all()
    wanted = vae.bernoulli.log_p(X, vae.decode(params, eps))
    assert_allclose(prior.rec, wanted, rtol=1e-13)  # z = eps


def test_elbo_averages_to_the_exact_elbo_of_a_linear_vae():
    X = load_iris().data
    for degrees in (0, 25):
        t = math.radians(degrees)
        model = ppca.fit(X, 2)
        R = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        linear = ppca.best_encoder(model._replace(W=model.W @ R))
        linear = linear._replace(V=1.3 * linear.V, d=0.6 * linear.d)  # the ELBO of any q, not only of the best
        # rec is quadratic in eps: these four points have the first three moments of N(0, I), so they are exact
        eps = math.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])[:, None] * np.ones((4, 150, 2))
        out = vae.elbo(ppca.to_nets(linear), X, eps, vae.gaussian(math.sqrt(model.s2)))
        exact = ppca.linear_vae_elbo(linear, X)
        for mine, wanted in zip((out.elbo.mean(0), out.rec.mean(0), out.kl), exact, strict=True):
            assert_allclose(mine, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_elbo_plus_kl_to_the_posterior_is_log_p_by_quadrature(likelihood):
    params, X, _ = small(k=1, n=1)
    z = np.linspace(-12, 12, 20001)[:, None]
    log_joint = vae.likelihood_named(likelihood).log_p(X, vae.decode(params, z)) + scipy_stats.norm.logpdf(z[:, 0])
    log_p = math.log(integrate.simpson(np.exp(log_joint), x=z[:, 0]))
    mean, logvar = (head[0, 0] for head in vae.encode(params, X))
    log_q = scipy_stats.norm.logpdf(z[:, 0], mean, math.exp(logvar / 2))
    gap = integrate.simpson(np.exp(log_q) * (log_q - log_joint + log_p), x=z[:, 0])
    eps, w = gauss_hermite()
    out = vae.elbo(params, X, eps[:, None, None], likelihood)
    assert out.elbo.shape == out.rec.shape == (80, 1)
    assert w @ out.elbo[:, 0] + gap == pytest.approx(log_p, abs=1e-9) and gap > 1e-4


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_weights_average_to_p_and_their_logs_to_the_elbo(likelihood):
    params, X, _ = small(k=1, n=3)
    p_x = vae.likelihood_named(likelihood)
    eps, w = gauss_hermite(120)
    eps = eps[:, None, None] * np.ones((1, 3, 1))
    log_weight = vae.log_weight(params, X, eps, likelihood)
    assert_allclose(w @ log_weight, w @ vae.elbo(params, X, eps, likelihood).elbo, rtol=1e-10)
    for i, x in enumerate(X[:, None]):
        joint = lambda z, x=x: math.exp(p_x.log_p(x, vae.decode(params, np.array([[z]])))[0] - z * z / 2)  # noqa: E731
        p = integrate.quad(joint, -12, 12)[0] / math.sqrt(2 * math.pi)
        assert w @ np.exp(log_weight[:, i]) == pytest.approx(p, rel=1e-4)


@given(st.permutations(range(5)))
@settings(deadline=None)
def test_samples_do_not_see_each_other(order):
    params, X, eps = small()
    for mine, wanted in zip(vae.elbo(params, X[order], eps[order]), vae.elbo(params, X, eps), strict=True):
        assert_allclose(mine, wanted[order], rtol=1e-12)


def test_sigma_to_zero_gives_the_reconstruction_of_the_mean():
    params, X, eps = small()
    (W, b), k = params[0][-1], 2
    params[0][-1] = W * np.array([1, 1, 0, 0]), np.concatenate([b[:k], [-1e4, -1e4]])  # logvar = -10000
    out = vae.elbo(params, X, eps)
    mean = vae.encode(params, X)[0]
    assert_allclose(out.rec, vae.elbo_at(params, X, mean, np.zeros((5, 2)), np.zeros((5, 2))).rec, rtol=1e-12)
    assert_allclose(out.kl, (mean**2).sum(1) / 2 + (1e4 - 1), rtol=1e-12)


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite_and_right(likelihood, size):
    params, X, eps = small(n=2)
    X = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]])
    params[1][-1] = 0 * params[1][-1][0], np.full(4, size)
    out, gradient = vae.by_hand(params, X, eps, likelihood)
    peak = 4 * math.log(1e4) if likelihood[0] == "c" else 0.0  # the density ~ |l| e^(-|l| |x - edge|) near its edge
    assert_allclose(np.sort(out.rec), [peak - 4e4, peak], atol=1e-8)
    assert all(np.isfinite(g).all() for g in nets.leaves(gradient))


# -------------------- sampling --------------------


@pytest.mark.parametrize("l", [-700.0, -30.0, -2.0, -1e-9, 0.0, 1e-4, 3.0, 700.0])
def test_continuous_bernoulli_is_drawn_by_its_inverse_cdf(l):
    u = np.array([0.01, 0.3, 0.5, 0.8, 0.999])
    x = vae.continuous_bernoulli.draw(np.full(5, l), u)
    edge = 1.0 if l > 0 else 0.0  # e^(l (t - edge)) never overflows
    near = [abs(edge - 9 / max(abs(l), 9.0))]  # where the mass is
    mass = lambda a, b: integrate.quad(lambda t: math.exp(l * (t - edge)), a, b, points=near)[0]  # noqa: E731
    assert_allclose([mass(0, b) / mass(0, 1) for b in x], u, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_at_the_ends_of_the_noise_and_of_the_logits_stay_in_the_unit_interval(dtype):
    l, u = np.meshgrid(np.array([-1e4, -50, 0, 50, 1e4], dtype), np.array([0, 1e-7, 0.5, 1 - 1e-7], dtype))
    x = vae.continuous_bernoulli.draw(l, u)
    assert x.dtype == dtype and (x >= 0).all() and (x <= 1).all()
    assert_allclose(x[2], [0, 0, 0.5, 1, 1], atol=0.015)
    assert_array_equal(vae.bernoulli.draw(l, u)[2], [0, 0, 0, 1, 1])


@pytest.mark.parametrize(("likelihood", "sd"), [("bernoulli", 0.5), ("continuous_bernoulli", 0.3), ("gaussian", 1.0)])
def test_samples_have_the_mean_of_the_decoder(likelihood, sd):
    params, rng, n = small()[0], np.random.default_rng(0), 20_000
    z = np.ones((n, 1)) * [0.7, -0.4]
    noise = rng.standard_normal((n, 4)) if likelihood == "gaussian" else rng.random((n, 4))
    x = vae.sample(params, z, noise, likelihood)
    mean = vae.decode_mean(params, z[:1], likelihood)[0]
    assert (abs(x.mean(0) - mean) < 5 * sd / math.sqrt(n)).all()


def test_a_linear_vae_samples_its_marginal():
    X, rng, n = load_iris().data, np.random.default_rng(0), 200_000
    model = ppca.fit(X, 2)
    params = ppca.to_nets(ppca.best_encoder(model))
    noise = vae.gaussian(math.sqrt(model.s2))
    x = vae.sample(params, rng.standard_normal((n, 2)), rng.standard_normal((n, 4)), noise)
    one = vae.sample(params, np.array([[0.3, -2.0]]), np.array([[1.0, 0, 0, -2]]), noise)[0]
    mean = model.mu + model.W @ [0.3, -2.0]
    assert_allclose(one, mean + math.sqrt(model.s2) * np.array([1.0, 0, 0, -2]), rtol=1e-12)  # mean + sigma noise
    S = model.W @ model.W.T + model.s2 * np.eye(4)
    error = np.cov(x.T, bias=True) - S
    assert (abs(error) < 5 * np.sqrt((S**2 + np.outer(np.diag(S), np.diag(S))) / n)).all()
    assert (abs(x.mean(0) - X.mean(0)) < 5 * np.sqrt(np.diag(S) / n)).all()


# -------------------- gradients --------------------


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("activation", [nets.tanh, nets.sigmoid, nets.softplus, nets.relu])
@pytest.mark.parametrize("hidden", [(3,), (4, 3), ()])
def test_gradient_by_hand_equals_autograd_for_every_parameter(likelihood, activation, hidden):
    params, X, eps = small(hidden=hidden)
    mine, by_hand = vae.by_hand(params, X, eps, likelihood, 1.7, activation)
    wanted, by_autograd = vae.after(params, X, eps, likelihood, 1.7, activation)
    for a, b in zip(nets.leaves((mine, by_hand)), nets.leaves((wanted, by_autograd)), strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_gradient_by_hand_equals_finite_differences():
    params, X, eps = small()
    v, h = nets.flatten(params), 1e-6
    f = lambda v: vae.elbo(nets.unflatten(v, params), X, eps, beta=0.5).elbo.mean()  # noqa: E731
    wanted = [(f(v + h * e) - f(v - h * e)) / (2 * h) for e in np.eye(len(v))]
    assert_allclose(nets.flatten(vae.by_hand(params, X, eps, beta=0.5)[1]), wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("likelihood", LIKELIHOODS[:3])
def test_the_elbo_differentiates_twice_in_both_modes(likelihood):
    params, X, eps = small(p=2, hidden=(2,), k=1, n=2)
    check_grads(lambda params: vae.elbo(params, X, eps, likelihood).elbo, modes=["fwd", "rev"], order=2)(params)


@pytest.mark.parametrize("likelihood", LIKELIHOODS[:3])
def test_before_and_after_have_the_same_expectation_and_before_is_noisier(likelihood):
    params, X, _ = small(k=1, n=1)
    nodes, w = gauss_hermite(60)

    def moments(route, **settings):  # exact mean and variance of the estimator over eps
        rows = [nets.flatten(route(params, X, np.array([[e]]), likelihood, 1.5, **settings)[1]) for e in nodes]
        mean = w @ np.array(rows)
        return mean, w @ (np.array(rows) - mean) ** 2

    after, var_after = moments(vae.after)
    n_encoder = nets.count(params[0])
    for baseline in (0.0, -2.0, np.array([3.0])):
        before, var_before = moments(vae.before, baseline=baseline)
        assert_allclose(before, after, rtol=1e-6, atol=1e-8)  # as far as 60 nodes go
        assert_allclose(var_before[n_encoder:], var_after[n_encoder:], rtol=1e-7, atol=1e-9)  # the decoder: the same
    assert moments(vae.before)[1][:n_encoder].sum() > 5 * var_after[:n_encoder].sum()


def test_a_good_baseline_lowers_the_variance_of_before():
    params, X, _ = small(k=1, n=1)
    nodes, w = gauss_hermite(60)
    variances = []
    for baseline in (0.0, float(w @ vae.elbo(params, X, nodes[:, None, None]).rec[:, 0])):
        rows = np.array([nets.flatten(vae.before(params, X, np.array([[e]]), baseline=baseline)[1][0]) for e in nodes])
        variances.append((w @ (rows - w @ rows) ** 2).sum())
    assert variances[1] < variances[0] / 5


@pytest.mark.parametrize("route", [vae.by_hand, vae.after, vae.before])
def test_gradients_of_a_batch_are_averages_over_its_samples(route):
    params, X, eps = small()
    rows = [nets.flatten(route(params, X[i : i + 1], eps[i : i + 1])[1]) for i in range(5)]
    assert_allclose(nets.flatten(route(params, X, eps)[1]), sum(rows) / 5, rtol=1e-11, atol=1e-14)
    first = grad(lambda p: vae.elbo(p, X[:1], eps[:1]).elbo[0])(params)
    assert_allclose(nets.flatten(vae.after(params, X[:1], eps[:1])[1]), nets.flatten(first), rtol=1e-12)


@pytest.mark.parametrize("route", [vae.by_hand, vae.after, vae.before])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_float32_stays_float32(route, likelihood):
    params, X, eps = small()
    to32 = lambda a: a.astype(np.float32)  # noqa: E731
    out = route(nets.tree_map(to32, params), to32(X), to32(eps), likelihood, 0.5)
    assert {a.dtype for a in nets.leaves(out)} == {np.dtype(np.float32)}
    exact = route(params, X, eps, likelihood, 0.5)
    for a, b in zip(nets.leaves(out), nets.leaves(exact), strict=True):
        assert_allclose(a, b, rtol=2e-3, atol=2e-4)


# -------------------- bad input --------------------


@pytest.mark.parametrize("route", [vae.elbo, vae.by_hand, vae.log_weight])
def test_noise_shared_by_samples_or_an_empty_batch_is_refused(route):
    params, X, eps = small()
    for bad in [eps[0], eps[:1], eps[:, :1], eps[:4], np.float64(0.3), np.zeros((5, 3))]:
        with pytest.raises(ValueError, match="eps has shape"):
            route(params, X, bad)
    with pytest.raises(ValueError, match="eps has shape"):
        route(params, X[:0], eps[:0])


@pytest.mark.parametrize("route", [vae.after, vae.before])
def test_several_draws_give_the_average_of_their_gradients(route):
    params, X, _ = small()
    eps = np.random.default_rng(1).normal(size=(3, *X.shape[:1], 2))
    each = [nets.flatten(route(params, X, one)[1]) for one in eps]
    assert_allclose(nets.flatten(route(params, X, eps)[1]), np.mean(each, axis=0), rtol=1e-9, atol=1e-12)


def test_by_hand_takes_one_draw():
    params, X, eps = small()
    with pytest.raises(ValueError, match="eps has shape"):
        vae.by_hand(params, X, eps[None])


def test_baselines_and_noise_of_another_shape_are_refused():
    params, X, eps = small()
    for bad in (np.zeros((5, 1)), np.zeros(4), np.zeros((5, 5))):
        with pytest.raises(ValueError, match="baseline has shape"):
            vae.before(params, X, eps, baseline=bad)
    for bad in (np.zeros((5, 1)), np.zeros(4), np.float64(0.5)):  # one draw for a whole row, or for all rows
        with pytest.raises(ValueError, match="noise has shape"):
            vae.sample(params, eps, bad)
    for mean, logvar in [(np.zeros(3), np.zeros(3)), (np.zeros((4, 3)), np.zeros(3))]:
        with pytest.raises(ValueError, match="heads of a batch"):
            vae.free_bits(mean, logvar, 0.1)


def test_wrong_data_are_refused():
    params, X, eps = small()
    with pytest.raises(ValueError, match="takes 4 features"):
        vae.elbo(params, X[:, :3], eps)
    for name in ("bernoulli", "continuous_bernoulli"):
        for bad in (16 * X, X - 0.5, np.where(X > X.max() - 1e-9, np.nan, X)):
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                vae.elbo(params, bad, eps, name)
    with pytest.raises(ValueError, match="no likelihood is called 'poisson'"):
        vae.elbo(params, X, eps, "poisson")
    for sigma in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="sigma"):
            vae.gaussian(sigma)


def test_fit_refuses_bad_data():
    params, X, _ = small()
    rng = np.random.default_rng(0)
    for bad in [X[0], X[:0], np.where(X > X.max() - 1e-9, np.nan, X)]:
        with pytest.raises(ValueError, match="finite matrix"):
            vae.fit(params, bad, rng)
    with pytest.raises(ValueError, match=r"scale to \[0, 1\]"):
        vae.fit(params, X + 0.5, rng, dynamic=True)
    with pytest.raises(ValueError, match=r"scale to \[0, 1\]"):
        vae.fit(params, X - 0.5, rng, dynamic=True)
    with pytest.raises(ValueError, match="step"):
        vae.fit(params, X, rng, lr=1e6, likelihood="gaussian", epochs=200)


# -------------------- training --------------------


def digits():
    """Binarised digits, 1500 to train and 297 to test, shuffled."""
    X = (load_digits().data / 16 > 0.5).astype(np.float32)
    order = np.random.RandomState(0).permutation(1797)
    return X[order[:1500]], X[order[1500:]]


def baseline(train, test):
    """Mean log p of independent pixels, each with its training frequency."""
    p = (train.sum(0, dtype=float) + 1) / (len(train) + 2)
    return (test * np.log(p) + (1 - test) * np.log(1 - p)).sum(1).mean()


def train_digits(k, beta=1.0, epochs=267):
    """64 hidden units, 4000 steps of 100 digits: parameters, and elbo, rec, kl of the test digits over 20 draws."""
    train, test = digits()
    start = vae.init(64, [64], k, np.random.default_rng(1), np.float32)
    run = vae.fit(start, train, np.random.default_rng(2), epochs=epochs, lr=3e-3, beta=beta)
    eps = np.random.default_rng(3).standard_normal((20, 297, k)).astype(np.float32)
    return run, test, [float(part.mean()) for part in vae.elbo(run.params, test, eps)]


def test_two_latents_explain_the_digits():
    run, test, (elbo, rec, kl) = train_digits(2)
    assert baseline(*digits()) == pytest.approx(-24.54, abs=0.02)
    assert elbo > -21.0
    assert rec - kl == pytest.approx(elbo, abs=1e-4) and -18.5 < rec < -15 and 2 < kl < 4.5
    assert latent.active_units(vae.encode(run.params, test)[0]).sum() == 2
    assert run.values[-200:].mean() > -20.5 and run.values[:20].mean() < -25
    assert {a.dtype for a in nets.leaves(run.params)} == {np.dtype(np.float32)}


@pytest.mark.slow
def test_ten_latents_explain_more():
    run, test, (elbo, _, kl) = train_digits(10)
    assert elbo > -18.8 and 5 < kl < 8
    assert latent.active_units(vae.encode(run.params, test)[0]).sum() >= 6


def test_a_large_beta_collapses_the_posterior_onto_the_prior():
    run, test, (elbo, _, kl) = train_digits(10, beta=20, epochs=150)
    assert kl < 0.01 and not latent.active_units(vae.encode(run.params, test)[0]).any()
    assert elbo == pytest.approx(baseline(*digits()), abs=0.1)  # only independent pixels are left


@pytest.mark.slow
def test_beta_four_keeps_a_little():
    _, _, (elbo, _, kl) = train_digits(10, beta=4, epochs=150)
    assert 0.02 < kl < 0.4 and -24.5 < elbo < -23.8


@pytest.mark.slow
def test_a_gaussian_decoder_beats_no_latents_and_linear_ones():
    X = load_digits().data / 16
    order = np.random.RandomState(0).permutation(1797)
    train, test = X[order[:1500]], X[order[1500:]]
    noise = vae.gaussian(0.2)
    start = vae.init(64, [64], 10, np.random.default_rng(1))
    run = vae.fit(start, train, np.random.default_rng(2), epochs=150, lr=3e-3, likelihood=noise)
    eps = np.random.default_rng(3).standard_normal((20, 297, 10))
    without = scipy_stats.norm.logpdf(test, train.mean(0), 0.2).sum(1).mean()
    linear = ppca.log_likelihood(ppca.fit_loadings(train, 10, 0.2**2), test).mean()  # exact, not a bound
    assert without < linear < 14
    assert vae.elbo(run.params, test, eps, noise).elbo.mean() > max(linear, 16)


GREY = load_digits().data / 16


@pytest.mark.slow
@pytest.mark.parametrize(("k", "elbo"), [(2, -24.58), (10, -24.16)])
def test_numbers_of_the_lecture_for_grey_digits(k, elbo):
    """The Bernoulli "likelihood" of grey levels: within 0.3 nats, below the entropy of the pixels, above no latents."""
    order = np.random.RandomState(0).permutation(1797)
    train, test = (GREY[order[part]].astype(np.float32) for part in (slice(1500), slice(1500, None)))
    start = vae.init(64, [64], k, np.random.default_rng(1), np.float32)
    run = vae.fit(start, train, np.random.default_rng(2), epochs=267, lr=3e-3)
    eps = np.random.default_rng(3).standard_normal((20, 297, k)).astype(np.float32)
    floor = scipy_stats.entropy([test, 1 - test]).sum(1).mean()
    assert elbo - 0.3 < vae.elbo(run.params, test, eps).elbo.mean() < min(elbo + 0.5, -floor)
    assert baseline(train, test) == pytest.approx(-27.24, abs=0.02) and floor == pytest.approx(13.60, abs=0.02)


@pytest.mark.slow
def test_number_of_the_lecture_for_a_gaussian_decoder():
    """sigma = 0.2, ten latents, 4000 steps: +20.00 within a nat."""
    order = np.random.RandomState(0).permutation(1797)
    train, test = (GREY[order[part]].astype(np.float32) for part in (slice(1500), slice(1500, None)))
    start, noise = vae.init(64, [64], 10, np.random.default_rng(1), np.float32), vae.gaussian(0.2)
    rate = lambda t: 6e-3 * (1 - t / 4005)  # noqa: E731
    run = vae.fit(start, train, np.random.default_rng(2), epochs=267, lr=rate, likelihood=noise)
    eps = np.random.default_rng(3).standard_normal((20, 297, 10)).astype(np.float32)
    assert vae.elbo(run.params, test, eps, noise).elbo.mean() == pytest.approx(20, abs=1)


def test_training_a_linear_vae_finds_the_likelihood_of_ppca():
    X = load_iris().data
    model = ppca.fit(X, 2)
    noise = vae.gaussian(math.sqrt(model.s2))
    start = vae.init(4, [], 2, np.random.default_rng(0))
    rate = lambda t: 0.02 / (1 + t / 300)  # noqa: E731
    run = vae.fit(start, X - X.mean(0), np.random.default_rng(1), epochs=4000, size=150, lr=rate, likelihood=noise)
    eps = math.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])[:, None] * np.ones((4, 150, 2))  # exact: see above
    exact = vae.elbo(run.params, X - X.mean(0), eps, noise).elbo.mean()
    best = ppca.log_likelihood(model, X).mean()
    assert best - 0.03 < exact < best + 1e-9


def test_training_before_reparametrisation_works_too_but_slower():
    rng = np.random.default_rng(0)
    X = (rng.random((200, 1)) < 0.5) * np.ones((1, 6))  # all six pixels on or off together: one bit
    after, before = (
        vae.fit(vae.init(6, [], 1, np.random.default_rng(1)), X, np.random.default_rng(2), epochs=60, size=20,
                lr=0.02, route=route).values[-100:].mean() for route in (vae.by_hand, vae.before))  # fmt: skip
    assert after > before > -6 * math.log(2) + 1  # independent pixels: -6 ln 2
    assert after < -math.log(2) + 0.1  # log p(x) of the truth, a single coin


def test_fit_follows_beta_and_draws_fresh_noise_and_pixels():
    params, X, _ = small(n=40)
    seen = []

    def spy(params, x, eps, likelihood, beta, activation):
        seen.append((x, eps, beta))
        return vae.by_hand(params, x, eps, likelihood, beta, activation)

    vae.fit(params, X, np.random.default_rng(0), epochs=200, size=40, beta=optimize.warm_up(4), route=spy, dynamic=True)
    assert [beta for _, _, beta in seen[:6]] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert all(type(beta) is float for _, _, beta in seen)
    pixels, eps = (np.array([step[i] for step in seen]) for i in (0, 1))
    assert set(np.unique(pixels)) == {0, 1}
    assert abs(pixels.mean() - X.mean()) < 5 * 0.5 / math.sqrt(pixels.size)
    assert len(np.unique(eps)) == eps.size  # never the same noise twice
    assert abs(eps.std() - 1) < 5 / math.sqrt(2 * eps.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_are_drawn_with_their_grey_level_and_never_against_certainty(dtype):
    grey = np.array([0, 1e-6, 0.25, 0.7, 1 - 1e-6, 1], dtype) * np.ones((200_000, 1), dtype)
    x = vae.draw_pixels(grey, np.random.default_rng(0))
    assert x.dtype == dtype and set(np.unique(x)) == {0, 1}
    p = grey[0].astype(float)
    tolerance = 5 * np.sqrt(p * (1 - p) / len(x)) + 2.0**-16  # sampling, and how finely a level is resolved
    assert (abs(x.mean(0, dtype=float) - p) <= tolerance).all()
    assert not x[:, 0].any() and x[:, -1].all()
    independent = np.corrcoef(x[:, 2:4].T)[0, 1]
    assert abs(independent) < 5 / math.sqrt(len(x))


def test_a_likelihood_without_a_joint_pass_takes_the_two_apart():
    params, X, eps = small()
    apart = vae.Likelihood(*vae.bernoulli[:4])
    assert apart.both is None and vae.bernoulli.both is not None
    for a, b in zip(*(nets.leaves(vae.by_hand(params, X, eps, p_x)) for p_x in (apart, "bernoulli")), strict=True):
        assert_allclose(a, b, rtol=1e-11, atol=1e-14)


def test_fit_repeats_and_can_be_stopped():
    params, X, _ = small(n=30)
    a, b = (vae.fit(params, X, np.random.default_rng(1), epochs=3, size=8) for _ in range(2))
    assert_array_equal(nets.flatten(a.params), nets.flatten(b.params))
    assert len(a.values) == 12 and not a.stopped
    seen = []
    run = vae.fit(params, X, np.random.default_rng(1), size=8, callback=lambda t, p, v: seen.append(v) or t == 2)
    assert run.stopped and list(run.values) == seen and seen[0] == a.values[0] < 0  # ELBOs, not losses


def test_fit_keeps_the_dtype_of_the_networks_for_integer_data():
    params = vae.init(4, [3], 2, np.random.default_rng(0), np.float32)
    X = (small(n=9)[1] > 0.5).astype(np.uint8)
    run = vae.fit(params, X, np.random.default_rng(0), epochs=2)
    assert {a.dtype for a in nets.leaves(run.params)} == {np.dtype(np.float32)}


# -------------------- the weight of the KL --------------------


def test_implied_beta_of_published_losses():
    assert vae.implied_beta("mean", "mean", 784, 200) == pytest.approx(3.92, rel=1e-12)
    assert vae.implied_beta("mean", "mean", 120, 196) == pytest.approx(0.6122449, abs=5e-8)
    assert vae.implied_beta("mean", "sum", 64 * 64 * 3, 100, weight=0.0005) == pytest.approx(6.144, rel=1e-12)
    assert vae.implied_beta("sum", "sum", 784, 20) == 1
    with pytest.raises(ValueError, match="'sum' or 'mean'"):
        vae.implied_beta("mean", "none", 784, 20)


@pytest.mark.parametrize("reductions", [("sum", "mean"), ("mean", "mean"), ("mean", "sum")])
def test_a_reduced_loss_has_the_gradient_of_its_implied_beta(reductions):
    params, X, eps = small(n=1)
    reduce_rec, reduce_kl = ({"sum": 1, "mean": size}[r] for r, size in zip(reductions, (4, 2), strict=True))

    def reduced(params):
        _, rec, kl = vae.elbo(params, X, eps)
        return rec[0] / reduce_rec - kl[0] / reduce_kl

    wanted = nets.flatten(vae.after(params, X, eps, beta=vae.implied_beta(*reductions, 4, 2))[1])
    assert_allclose(nets.flatten(grad(reduced)(params)) * reduce_rec, wanted, rtol=1e-10, atol=1e-13)


def test_free_bits_equal_loops_and_stop_the_gradient_below_the_floor():
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(6, 3)) * [1, 0.1, 0.01], rng.normal(size=(6, 3)) * 0.1
    one = lambda m, l: (m * m + math.exp(l) - l - 1) / 2  # noqa: E731
    kl = [sum(one(mean[i, j], logvar[i, j]) for i in range(6)) / 6 for j in range(3)]
    assert kl[0] > 0.1 > kl[1]
    assert vae.free_bits(mean, logvar, 0.1) == pytest.approx(sum(max(0.1, value) for value in kl), rel=1e-12)
    slope = grad(vae.free_bits)(mean, logvar, 0.1)
    assert_allclose(slope[:, 0], mean[:, 0] / 6, rtol=1e-12)
    assert not slope[:, 1:].any()
