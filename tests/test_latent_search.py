"""gaussian_process, latent_search: dense formulas, quadrature, margins over random search where its law is known."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats

from enm5310 import gaussian_process as gps
from enm5310 import latent_search as ls

# -------------------- the Gaussian process --------------------


def test_one_value_by_hand():
    # a = 2, l = 1, noise = 1: at the value itself the mean is 4/5 y and the variance 4 - 16/5 = 4/5
    gp = gps.condition(np.zeros((1, 1)), np.array([3.0]), 1.0, 2.0, 1.0)
    mean, sd = gps.posterior(gp, np.array([[0.0], [1.0], [50.0]]))
    k = 4 * math.exp(-0.5)
    assert_allclose(mean, [12 / 5, 3 * k / 5, 0], atol=1e-14)
    assert_allclose(sd**2, [4 / 5, 4 - k * k / 5, 4], rtol=1e-13)


def test_two_values_by_hand():
    # K + I = [[2, e], [e, 2]] with e = k(0, 1); by symmetry both weights of y = (1, 1) are 1 / (2 + e)
    e = math.exp(-0.5)
    gp = gps.condition(np.array([[0.0], [1.0]]), np.ones(2), 1.0, 1.0, 1.0)
    mean, sd = gps.posterior(gp, np.array([[0.5]]))
    k = math.exp(-0.125)
    assert_allclose(gp.alpha, np.full(2, 1 / (2 + e)), rtol=1e-14)
    assert_allclose([mean[0], sd[0] ** 2], [2 * k / (2 + e), 1 - 2 * k * k / (2 + e)], rtol=1e-13)


def example(n=7, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)), rng.normal(size=n), rng.normal(size=(4, k))


def test_posterior_and_evidence_equal_those_of_the_joint_gaussian():
    Z, y, new = example()
    l, a, noise, mean = 0.8, 1.7, 0.3, 0.4

    def k(A, B):
        return np.array([[a * a * math.exp(-sum((x - w) ** 2) / (2 * l * l)) for w in B] for x in A])

    S = k(Z, Z) + noise**2 * np.eye(7)
    gp = gps.condition(Z, y, l, a, noise, mean)
    m, sd = gps.posterior(gp, new)
    assert_allclose(m, mean + k(new, Z) @ np.linalg.inv(S) @ (y - mean), rtol=1e-11)
    assert_allclose(sd**2, np.diag(k(new, new) - k(new, Z) @ np.linalg.inv(S) @ k(Z, new)), rtol=1e-10)
    assert_allclose(gps.log_evidence(gp), stats.multivariate_normal(np.full(7, mean), S).logpdf(y), rtol=1e-12)


def test_the_grid_finds_the_length_and_the_noise_that_made_the_data():
    rng = np.random.default_rng(1)
    Z = rng.uniform(-3, 3, size=(120, 1))
    y = np.sin(2 * Z[:, 0]) + 0.05 * rng.normal(size=120)
    gp = gps.fit(Z, y)
    assert gp.lengthscale in (0.5, 1.0) and gp.noise == 0.05 * np.std(y)
    assert gps.log_evidence(gp) > gps.log_evidence(gps.condition(Z, y, 0.25, np.std(y), 0.5 * np.std(y), y.mean()))
    noise_only = gps.fit(Z, rng.normal(size=120))
    assert noise_only.noise > 0.4


def test_wrong_shapes_and_no_noise_are_refused():
    Z, y, _ = example()
    for bad in [(Z[0], y, 1.0, 1.0, 0.1), (Z, y[:3], 1.0, 1.0, 0.1), (Z, y, 1.0, 1.0, 0.0)]:
        with pytest.raises(ValueError, match="noise"):
            gps.condition(*bad)


@pytest.mark.parametrize(("mean", "sd", "best"), [(0, 1, 0), (1, 0.5, 2), (-3, 2, 1), (5, 0.1, 4), (2, 3, -1)])
def test_expected_improvement_equals_quadrature(mean, sd, best):
    density = stats.norm(mean, sd).pdf
    wanted = integrate.quad(lambda f: (f - best) * density(f), best, max(best, mean) + 12 * sd, points=[mean])[0]
    assert_allclose(gps.expected_improvement(mean, sd, best), wanted, rtol=1e-8)


def test_expected_improvement_at_its_limits():
    assert_allclose(gps.expected_improvement(0.0, 1.0, 0.0), 1 / math.sqrt(2 * math.pi), rtol=1e-15)
    assert_array_equal(gps.expected_improvement(np.array([1.0, 3.0]), np.zeros(2), 2.0), [0, 1])  # sure
    assert gps.expected_improvement(-100.0, 1.0, 0.0) >= 0


# -------------------- counting --------------------


def test_every_call_counts_and_the_budget_holds():
    f = ls.Counted(lambda Z: Z[:, 0], 5)
    f(np.ones((3, 2)))
    assert f.left == 2
    with pytest.raises(ValueError, match="3 calls asked for and 2 of 5 left"):
        f(np.ones((3, 2)))
    f(np.zeros((2, 2)))
    assert_array_equal(f.search().values, [1, 1, 1, 0, 0])
    assert f.search().Z.shape == (5, 2)
    with pytest.raises(ValueError, match="one value per row"):
        ls.Counted(lambda Z: Z, 5)(np.ones((3, 2)))


def test_invalid_calls_count_and_never_win():
    search = ls.Search(np.zeros((4, 1)), np.array([np.nan, 1, np.nan, 2]))
    assert_array_equal(search.best_so_far, [-np.inf, 1, 1, 2])
    assert_array_equal(ls.filled(search.values), [1, 1, 1, 2])
    assert_array_equal(ls.filled(np.full(2, np.nan)), [0, 0])


# -------------------- searches on a landscape whose random search is known --------------------

K, BUDGET = 4, 60
TOP = np.full(K, 1.2)


def bowl(Z):
    return -np.sum((Z - TOP) ** 2, axis=1)


def bowl_slope(Z):
    return -2 * (Z - TOP)


def holed(Z):
    """The bowl, invalid in a third of the space that holds no optimum."""
    return np.where(np.sin(9 * Z[:, 0] + 2) > 0.5, np.nan, bowl(Z))


SEARCHES = {
    "random": ls.random_search,
    "evolution": lambda f, k, budget, rng: ls.evolution_search(f, k, budget, rng, pairs=5, sigma=0.5),
    "bayesian": lambda f, k, budget, rng: ls.bayesian_search(f, k, budget, rng, start=10, candidates=60, every=20),
    "gradient": lambda f, k, budget, rng: ls.gradient_search(f, bowl_slope, k, budget, rng, radius=None),
}


# |z - top|^2 is noncentral chi-squared, so r = -(best of the budget) has P(r > t) = P(one > t)^budget
WORSE = stats.ncx2(K, TOP @ TOP).sf
EXPECTED = -integrate.quad(lambda t: WORSE(t) ** BUDGET, 0, 30)[0]


def best_values(name, seeds):
    return [SEARCHES[name](bowl, K, BUDGET, np.random.default_rng(s)).best_so_far[-1] for s in range(seeds)]


def test_random_search_has_the_expected_best_value():
    square = integrate.quad(lambda t: 2 * t * WORSE(t) ** BUDGET, 0, 30)[0]
    assert abs(np.mean(best_values("random", 400)) - EXPECTED) <= 5 * np.sqrt((square - EXPECTED**2) / 400)
    assert -1.4 < EXPECTED < -1.0  # what the others are held against


@pytest.mark.parametrize(("name", "margin"), [("evolution", 0.9), ("bayesian", 1.2), ("gradient", 1.25)])
def test_every_search_beats_random_search_by_a_margin(name, margin):
    assert np.mean(best_values(name, 6)) > EXPECTED + margin


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("budget", [1, 7, 23])
def test_the_whole_budget_is_spent_also_with_invalid_codes(name, budget):
    for f in (bowl, holed, lambda Z: np.full(len(Z), np.nan)):
        search = SEARCHES[name](f, K, budget, np.random.default_rng(0))
        assert search.Z.shape == (budget, K) and search.values.shape == (budget,)
        assert_array_equal(search.values, f(search.Z))


def test_the_path_climbs_by_steps_of_one_length_and_keeps_to_the_ball():
    Z = np.random.default_rng(0).normal(size=(5, K))
    path = ls.ascend(bowl_slope, Z, steps=10, lr=0.1)
    assert path.shape == (11, 5, K)
    assert_allclose(np.linalg.norm(np.diff(path, axis=0), axis=2), 0.1, rtol=1e-12)
    assert (np.diff([bowl(z) for z in path[:6]], axis=0) > 0).all()
    held = ls.ascend(bowl_slope, 0.1 * Z, steps=80, lr=0.1, radius=0.8)
    assert_allclose(np.linalg.norm(held[-1], axis=1), 0.8, rtol=1e-12)  # the top lies outside, at 2.4
    assert_allclose(held[-1], np.broadcast_to(0.8 * TOP / np.linalg.norm(TOP), (5, K)), atol=0.1)
    assert_array_equal(ls.ascend(np.zeros_like, Z, steps=2)[-1], Z)  # no slope, no step


def test_a_gaussian_process_begins_with_something():
    with pytest.raises(ValueError, match="start is 0"):
        ls.bayesian_search(lambda Z: Z[:, 0], 2, 5, np.random.default_rng(0), start=0)
