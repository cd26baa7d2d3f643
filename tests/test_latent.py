"""latent: quantiles against scipy, walks on the sphere, importance weights against quadrature and the linear model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special
from scipy import stats as scipy_stats
from sklearn.datasets import load_iris

from enm5310 import latent, nets, ppca, vae
from enm5310.datasets import load_digits

# -------------------- where to look --------------------


def test_normal_quantile_equals_scipy_to_rounding_error():
    u = np.concatenate([10.0 ** -np.arange(1, 300, 7), np.linspace(0.001, 0.999, 997), 1 - 10.0 ** -np.arange(1, 16)])
    assert_allclose(latent.normal_quantile(u), special.ndtri(u), rtol=4e-15, atol=1e-15)
    # against the definition, by integrating the density: no inverse is involved
    z = float(latent.normal_quantile(0.9))
    assert integrate.quad(scipy_stats.norm.pdf, 0, z)[0] == pytest.approx(0.4, abs=1e-14)


@given(st.floats(1e-12, 0.5))
def test_normal_quantile_is_odd_about_one_half(u):
    left, right = latent.normal_quantile([u, 1 - u])
    assert left == pytest.approx(-right, rel=1e-4 if u < 1e-8 else 1e-7, abs=1e-15)  # 1 - u is rounded


@pytest.mark.parametrize("u", [0, 1, -0.1, 1.5, math.nan, [0.5, 1.0]])
def test_normal_quantile_refuses_the_infinite(u):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        latent.normal_quantile(u)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_grid_sits_in_the_middle_of_cells_of_equal_probability(n):
    Z = latent.grid(n)
    assert Z.shape == (n, n, 2)
    middle = (np.arange(n) + 0.5) / n
    for i in range(n):
        assert_allclose(special.ndtr(Z[i, :, 0]), middle, rtol=1e-13)  # to the right
        assert_allclose(special.ndtr(Z[:, i, 1]), middle[::-1], rtol=1e-13)  # upwards


def test_interpolation_is_the_straight_line():
    z0, z1 = np.array([1.0, 2, 3]), np.array([-1.0, 0, 5])
    path = latent.interpolate(z0, z1, np.linspace(0, 1, 5))
    assert_allclose(path, [z0, [0.5, 1.5, 3.5], [0, 1, 4], [-0.5, 0.5, 4.5], z1])


@given(st.integers(2, 6), st.integers(0, 10**6))
@settings(deadline=None)
def test_slerp_goes_along_the_great_circle_at_constant_speed(k, seed):
    rng = np.random.default_rng(seed)
    z0, z1 = rng.normal(size=(2, k))
    z1 *= np.linalg.norm(z0) / np.linalg.norm(z1)
    t = np.linspace(0, 1, 7)
    path = latent.slerp(z0, z1, t)
    assert_allclose(path[[0, -1]], [z0, z1], rtol=1e-9, atol=1e-9)
    assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(z0), rtol=1e-8)
    w = math.acos(np.clip(z0 @ z1 / (z0 @ z0), -1, 1))
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)  # equal chords of angle w / 6
    assert_allclose(steps, 2 * np.linalg.norm(z0) * math.sin(w / 12), rtol=1e-6, atol=1e-7)
    assert np.linalg.matrix_rank(np.vstack([path, z0, z1]), tol=1e-6) <= 2  # and in one plane


def test_slerp_of_the_unit_axes_is_cosine_and_sine_and_keeps_dtype():
    t = np.linspace(0, 1, 9)
    path = latent.slerp(np.array([1.0, 0]), np.array([0.0, 1]), t)
    assert_allclose(path, np.stack([np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)], axis=1), atol=1e-15)
    assert latent.slerp(np.float32([1, 0]), np.float32([0, 1]), t).dtype == np.float32


def test_slerp_of_parallel_codes_is_the_straight_line_without_nan():
    z, t = np.array([0.3, -2.0, 1.0]), np.linspace(0, 1, 5)
    for z1 in (z, 3 * z, z + 1e-12):
        assert_allclose(latent.slerp(z, z1, t), latent.interpolate(z, z1, t), rtol=1e-9)


def test_slerp_refuses_codes_without_a_unique_great_circle():
    z = np.array([1.0, -2.0])
    with pytest.raises(ValueError, match="opposite"):
        latent.slerp(z, -3 * z, [0.5])
    with pytest.raises(ValueError, match="zero vector"):
        latent.slerp(z, 0 * z, [0.5])


def test_attribute_vector_equals_loops_and_finds_a_planted_shift():
    rng = np.random.default_rng(0)
    has, shift = rng.random(4000) < 0.3, np.array([1.0, -2.0, 0.5])
    Z = rng.normal(size=(4000, 3)) + has[:, None] * shift
    v = latent.attribute_vector(Z, has)
    with_it, without = ([z for z, h in zip(Z, has, strict=True) if h == kind] for kind in (True, False))
    assert_allclose(v, sum(with_it) / len(with_it) - sum(without) / len(without), rtol=1e-11)
    assert (abs(v - shift) < 5 * math.sqrt(1 / len(with_it) + 1 / len(without))).all()
    assert_allclose(latent.attribute_vector(Z + 7, ~has), -v, atol=1e-12)


@pytest.mark.parametrize("has", [[True] * 4, [False] * 4, [True, False], [[True], [False], [True], [True]]])
def test_attribute_vector_wants_one_flag_each_and_both_kinds(has):
    with pytest.raises(ValueError, match="flags"):
        latent.attribute_vector(np.ones((4, 2)), has)


def test_nearest_equals_loops_over_all_pairs():
    rng = np.random.default_rng(0)
    X, among = rng.normal(size=(9, 3)) + 1e5, rng.normal(size=(20, 3)) + 1e5  # far from 0, where squares lose digits
    i, squared = latent.nearest(X, among)
    table = [[sum((a - b) ** 2 for a, b in zip(x, other, strict=True)) for other in among] for x in X]
    assert_array_equal(i, [row.index(min(row)) for row in table])
    assert_allclose(squared, [min(row) for row in table], rtol=1e-9)
    i, squared = latent.nearest(among[[3, 7]], among)
    assert i.tolist() == [3, 7] and squared.tolist() == [0, 0]
    assert latent.nearest(np.float32(X), np.float32(among))[1].dtype == np.float32


@pytest.mark.parametrize("shapes", [((3,), (4, 3)), ((2, 3), (4, 2)), ((2, 3), (0, 3))])
def test_nearest_wants_rows_of_one_length(shapes):
    with pytest.raises(ValueError, match="want"):
        latent.nearest(*map(np.ones, shapes))


def two_latent_digits():
    """A VAE with a plane of codes on binary 8x8 digits, 1500 to learn and 297 to look at, as lecture 8 trains it."""
    digits, rng = load_digits(), np.random.default_rng(5310)
    X = (digits.data > 8).astype(np.float32)
    order = rng.permutation(len(X))
    learn, look = order[:1500], order[1500:]
    run = vae.fit(vae.init(64, [64], 2, rng, np.float32), X[learn], rng, epochs=120, lr=3e-3)
    return run.params, X, digits.target, learn, look


@pytest.fixture(scope="module")
def digits():
    return two_latent_digits()


def test_the_plane_of_digits_keeps_classes_apart_and_fills_the_prior(digits):
    params, X, y, learn, look = digits
    Z, logvar = vae.encode(params, X)
    i, _ = latent.nearest(Z[look], Z[learn])
    agree = np.mean(y[learn][i] == y[look])
    rng, chance = np.random.default_rng(0), []
    for _ in range(20):
        chance.append(np.mean(rng.permutation(y[learn])[i] == y[look]))
    assert agree > 0.55 and max(chance) < 0.2
    spread = np.mean(Z**2 + np.exp(logvar), axis=0)  # of z ~ q(z | x), x from the data: 1 where it is the prior
    assert np.all(abs(spread - 1) < 0.35) and latent.active_units(Z).all()
    baseline = X[learn].mean(0) * 0.998 + 0.001  # every pixel on its own, no latent
    alone = np.mean(X[look] @ np.log(baseline) + (1 - X[look]) @ np.log(1 - baseline))
    eps = rng.normal(size=(20, len(look), 2)).astype(np.float32)
    assert alone + 3 < np.mean(vae.elbo(params, X[look], eps).elbo) < -18


def test_the_middle_of_a_way_between_two_twos_is_nearer_to_real_twos_than_the_mixed_pixels(digits):
    params, X, y, learn, _ = digits
    twos = learn[y[learn] == 2]
    Z, _ = vae.encode(params, X[twos])
    gaps = np.sum((X[twos][:, None] - X[twos][None]) ** 2, axis=2)
    a, b = np.unravel_index(np.argmax(gaps), gaps.shape)  # the two that share the fewest pixels
    way = vae.decode_mean(params, latent.interpolate(Z[a], Z[b], [0.25, 0.5, 0.75]))
    mixed = latent.interpolate(X[twos[a]], X[twos[b]], [0.25, 0.5, 0.75])
    to_way, to_mixed = (latent.nearest(images, X[twos])[1] for images in (way, mixed))
    assert to_way[1] < to_mixed[1]


# -------------------- how good it is --------------------


def test_active_units_are_those_whose_mean_varies_with_x():
    mean = np.random.default_rng(0).normal(size=(500, 4)) * [1.0, 0.11, 0.05, 0.0] + 3
    assert_array_equal(latent.active_units(mean), [True, True, False, False])
    variance = [sum((m - sum(column) / 500) ** 2 for m in column) / 500 for column in mean.T]
    for threshold in (variance[1] * 0.999, variance[1] * 1.001):
        assert latent.active_units(mean, threshold)[1] == (threshold < variance[1])


def small(n=3):
    rng = np.random.default_rng(0)
    params = nets.tree_map(lambda a: a + 0.3 * rng.normal(size=a.shape), vae.init(4, [3], 1, rng))
    return params, (rng.random((n, 4)) < 0.5).astype(float)


def moments_of_weights(params, x):
    """E[w] = p(x), Var[w] and E[log w] over z ~ q, by quadrature on the definition, for one x."""
    mean, logvar = (head[0, 0] for head in vae.encode(params, x[None]))
    z = np.linspace(-11, 11, 40001)
    logits = nets.apply(params[1], z[:, None])
    log_p = np.log(special.expit(logits)) @ x + np.log(special.expit(-logits)) @ (1 - x)
    log_q = scipy_stats.norm.logpdf(z, mean, math.exp(logvar / 2))
    log_w = log_p + scipy_stats.norm.logpdf(z) - log_q
    w = np.exp(log_w)
    first, second, log_mean = (integrate.simpson(np.exp(log_q) * f, x=z) for f in (w, w * w, log_w))
    return first, second - first**2, log_mean


def test_log_likelihood_equals_the_definition_for_given_noise():
    params, X = small()
    eps = np.random.default_rng(1).normal(size=(7, 3, 1))
    wanted = np.log(np.mean([np.exp(vae.log_weight(params, X, e)) for e in eps], axis=0))
    assert_allclose(latent.log_likelihood(params, X, eps), wanted, rtol=1e-12)
    assert_allclose(latent.log_likelihood(params, X, (e for e in eps)), wanted, rtol=1e-12)  # a generator too
    assert_allclose(latent.log_likelihood(params, X, eps[:1]), vae.log_weight(params, X, eps[0]), rtol=1e-13)  # K = 1


def test_weights_are_unbiased_for_p_of_x_within_their_known_error():
    params, X = small()
    rng, K = np.random.default_rng(2), 20_000
    estimate = np.exp(latent.log_likelihood(params, X, rng.normal(size=(K, 3, 1))))
    for i in range(3):
        p, variance, _ = moments_of_weights(params, X[i])
        assert abs(estimate[i] - p) < 5 * math.sqrt(variance / K)
        assert math.sqrt(variance / K) < 0.05 * p  # the interval says something


def test_bound_grows_with_the_number_of_samples_from_the_elbo_to_log_p():
    params, X = small(1)
    p, variance, elbo = moments_of_weights(params, X[0])
    rng, means = np.random.default_rng(3), []
    for K in (1, 2, 10):
        bound = latent.log_likelihood(params, np.repeat(X, 40_000, axis=0), rng.normal(size=(K, 40_000, 1)))
        means.append((bound.mean(), bound.std() / 200))
    assert abs(means[0][0] - elbo) < 5 * means[0][1]
    for (low, error), (high, other) in zip(means, [*means[1:], (math.log(p), 0.0)], strict=True):
        assert high - low > 5 * math.hypot(error, other)
    delta = variance / p**2 / 2  # K (log p - L_K) -> Var[w] / (2 p^2) as K grows (Burda et al. 2016)
    assert 10 * (math.log(p) - means[2][0]) == pytest.approx(delta, rel=0.35)


def test_with_the_exact_posterior_one_sample_gives_log_p_exactly():
    X = load_iris().data
    model = ppca.fit(X, 2)  # orthogonal columns: the posterior is diagonal
    params, noise = ppca.to_nets(ppca.best_encoder(model)), vae.gaussian(math.sqrt(model.s2))
    S = model.W @ model.W.T + model.s2 * np.eye(4)
    wanted = scipy_stats.multivariate_normal(X.mean(0), S).logpdf(X)
    for K in (1, 3):
        eps = np.random.default_rng(K).normal(size=(K, 150, 2))
        assert_allclose(latent.log_likelihood(params, X, eps, noise), wanted, rtol=1e-9)


def test_log_likelihood_survives_weights_that_underflow_and_keeps_float32():
    rng = np.random.default_rng(0)
    params = vae.init(3000, [], 2, rng, np.float32)
    X = np.ones((2, 3000), np.float32)
    out = latent.log_likelihood(params, X, rng.normal(size=(5, 2, 2)).astype(np.float32))
    assert out.dtype == np.float32 and (out < -1000).all() and np.isfinite(out).all()  # e^-1000 = 0 in floating point


def test_log_likelihood_of_no_noise_is_refused():
    params, X = small()
    with pytest.raises(ValueError, match="K >= 1"):
        latent.log_likelihood(params, X, np.zeros((0, 3, 1)))


def test_refining_a_bad_encoder_finds_the_exact_best_one():
    X = load_iris().data[::10]
    model = ppca.fit(load_iris().data, 2)
    best = ppca.best_encoder(model)
    bad = best._replace(V=0.5 * best.V, d=np.array([0.9, 0.2]))
    noise = vae.gaussian(math.sqrt(model.s2))
    eps = math.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])[:, None] * np.ones((4, len(X), 2))  # exact moments
    mean, logvar = latent.refine(ppca.to_nets(bad), X, eps, steps=600, likelihood=noise)
    assert_allclose(mean, (X - model.mu) @ best.V.T, atol=1e-3)
    assert_allclose(logvar, np.log(best.d) * np.ones((len(X), 1)), atol=1e-2)
    won = vae.elbo_at(ppca.to_nets(bad), X, mean, logvar, eps, noise).elbo.mean(0)
    gap = ppca.linear_vae_elbo(best, X)[0] - ppca.linear_vae_elbo(bad, X)[0]  # the amortisation gap, exactly
    assert_allclose(won - ppca.linear_vae_elbo(bad, X)[0], gap, rtol=1e-3, atol=1e-3)
    assert gap.min() > 0.05


def test_bits_per_dim_of_published_likelihoods():
    assert latent.bits_per_dim(-86.76, 784) == pytest.approx(0.1596533, abs=5e-8)
    assert latent.bits_per_dim(np.array([-84.78]), 784) == pytest.approx(0.1560098, abs=5e-8)
    assert latent.bits_per_dim(-8 * 784 * math.log(2), 784) == pytest.approx(8, rel=1e-15)  # a uniform byte


def test_whole_numbers_walk_like_floats():
    z0, z1, t = np.array([1, 0]), np.array([0, 1]), np.array([0.25, 0.5])
    assert_allclose(latent.slerp(z0, z1, t), [[np.cos(a), np.sin(a)] for a in t * np.pi / 2], rtol=1e-12)


@pytest.mark.parametrize("walk", [latent.slerp, latent.interpolate])
def test_walks_join_two_codes_and_not_batches(walk):
    for z0, z1 in [(np.eye(2), np.eye(2)[::-1]), (np.ones(3), np.ones(1))]:
        with pytest.raises(ValueError, match="a batch in a loop"):
            walk(z0, z1, np.array([0.3, 0.6]))


@pytest.mark.parametrize("mean", [np.array([[np.nan], [1.0]]), np.ones((1, 2)), np.zeros((0, 2)), np.ones(5)])
def test_activity_that_cannot_be_judged_is_not_called_collapse(mean):
    with pytest.raises(ValueError, match="variance over x"):
        latent.active_units(mean)


def test_a_constant_mean_is_a_collapsed_latent():
    assert latent.active_units(np.array([[0.5, 1.0], [0.5, 2.0]])).tolist() == [False, True]
