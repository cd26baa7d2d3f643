"""The experiment `mohamed`: closed forms of variances against quadrature of the estimators' definitions."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from enm5310 import gradients
from tests.benchmarks.reproduce import mohamed as experiment


def by_quadrature(f, slope, mu, sigma):
    """{estimator: variances of its rows} from the definitions: trapezoidal and Gauss-Legendre rules on fine grids."""
    e = np.linspace(-12, 12, 4001)
    w, z = stats.norm.pdf(e) * (e[1] - e[0]), mu + sigma * e

    def var(r, w=w):
        return np.sum(w * r**2) - np.sum(w * r) ** 2

    scores = e / sigma, (e**2 - 1) / sigma
    best = [np.sum(w * f(z) * s**2) / np.sum(w * s**2) for s in scores]
    r = np.linspace(0, 12, 4001)  # an odd difference times an odd density is even: nothing is lost at the end 0
    d_mu = (f(mu + sigma * r) - f(mu - sigma * r)) / (sigma * np.sqrt(2 * np.pi))
    u, wu = np.polynomial.legendre.leggauss(80)
    u, wu = (u[:, None] + 1) / 2, wu[:, None] / 2
    d_sigma = (f(mu + sigma * e) - f(mu + sigma * e * u)) / sigma
    return {
        "score_function": [var(f(z) * s) for s in scores],
        "with_baseline": [var((f(z) - b) * s) for b, s in zip(best, scores, strict=True)],
        "pathwise": [var(slope(z)), var(slope(z) * e)],
        "measure_valued": [var(d_mu, r * np.exp(-r * r / 2) * (r[1] - r[0])), var(d_sigma, wu * w * e**2)],
    }


def costs(k):
    return {
        experiment.quadratic: (lambda z: (z - k) ** 2, lambda z: 2 * (z - k)),
        experiment.cosine: (lambda z: np.cos(k * z), lambda z: -k * np.sin(k * z)),
        experiment.exponential: (lambda z: np.exp(-k * z**2), lambda z: -2 * k * z * np.exp(-k * z**2)),
    }


@pytest.mark.parametrize("variances", costs(1))
@given(st.floats(-2, 2), st.floats(0.4, 2), st.floats(0.05, 6))
@settings(deadline=None, max_examples=25)
def test_closed_forms_by_quadrature(variances, mu, sigma, k):
    wanted = by_quadrature(*costs(k)[variances], mu, sigma)
    found = variances(mu, sigma, k)
    assert set(found) == set(wanted) == set(experiment.ESTIMATORS)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=2e-6 * max(value), err_msg=name)


def test_the_librarys_closed_forms_agree():
    for mu, sigma, k in [(1, 1, 0.5), (-0.3, 0.7, 2.0), (2, 1.4, 0.2)]:
        for mine, library in [
            (experiment.cosine, gradients.cosine_variances),
            (experiment.exponential, gradients.exponential_variances),
        ]:
            for name, value in library(mu, sigma, k).items():
                assert mine(mu, sigma, k)[name][0] == pytest.approx(value, rel=1e-10)


def test_dawsons_function():
    for x in (0.0, 1e-3, 0.3, 0.92, 2.0, 7.5, 20.0):
        assert experiment.dawson(x) == pytest.approx(special.dawsn(x), rel=1e-12)


def test_variance_and_its_standard_error():
    """Of normal rows: sigma^2 and sigma^2 sqrt(2 / S); the second column has twice the scale."""
    rows = np.random.default_rng(0).normal(size=(100_000, 2)) * [1, 2]
    v, error = experiment.variance(rows)
    np.testing.assert_allclose(error, np.array([1, 4]) * (2 / 100_000) ** 0.5, rtol=0.05)
    assert np.all(np.abs(v - [1, 4]) < 5 * error)


@pytest.mark.parametrize("sigma", [1.0, 0.6])
def test_rows_are_of_sigma_not_of_its_logarithm(sigma):
    rng = np.random.default_rng(1)
    rows = experiment.rows_of(lambda z: (z - 3) ** 2, 1.0, sigma, rng, 50_000)
    for name, wanted in experiment.quadratic(1.0, sigma, 3).items():
        v, error = experiment.variance(rows[name])
        assert np.all(np.abs(v - wanted) < 6 * error), name
        np.testing.assert_allclose(rows[name].mean(axis=0), [-4, 2 * sigma], atol=5 * np.sqrt(max(wanted) / 50_000))


def test_crossings_of_the_quadratic_are_known():
    """a^2 (16/pi - 4) = 4 sigma^2 with a = 1 - k."""
    a = 2 / np.sqrt(16 / np.pi - 4)
    size = experiment.TINY._replace(seeds=4, crossing_samples=20_000)
    for c, k in zip(experiment.CROSSINGS, (1 - a, 1 + a), strict=False):
        theory, mean, error = experiment.crossing(c, size)
        assert theory == pytest.approx(k, abs=1e-9)
        assert abs(mean - theory) < 8 * error + 0.02  # an error from four seeds is itself uncertain
    assert experiment.bisect(lambda x: 2 - x, 0, 5) == pytest.approx(2)


def test_every_bracket_holds_a_crossing():
    for c in experiment.CROSSINGS:
        v = [experiment.COSTS[c.cost].variances(1, 1, k) for k in (c.low, c.high)]
        signs = [np.sign(at[c.one][c.parameter] - at[c.other][c.parameter]) for at in v]
        assert signs[0] == -signs[1]


def test_numbers_are_written_to_two_digits_of_their_error():
    assert experiment.number(123.456, 0.0234) == "123.456 ± 0.023"
    assert experiment.number(123.456, 12.3) == "123 ± 12"
    assert experiment.number(0.0, 0.0) == "0.00 ± 0.00"


@pytest.fixture(scope="module")
def small():
    told = []
    yield experiment.run(told.append, experiment.TINY), told
    plt.close("all")


def test_small_run_has_its_rows(small):
    result, told = small
    assert len(result.rows) == 3 * 3 * 2 + len(experiment.CROSSINGS) + 1 and len(told) == 3
    assert result.rows[0].what.startswith("(z − k)², k = -3, variance of d/dμ")
    assert result.rows[0].remark == "closed form 495, 4, 17.49"
    assert all("±" in row.ours for row in result.rows[:-1])


def test_small_run_draws_lines_and_points(small):
    two, three = (small[0].figures[name][0] for name in ("figure2", "figure3"))
    assert len(two.axes) == 2 and len(three.axes) == 4
    for ax in two.axes + three.axes:
        assert len(ax.containers) == 4  # one of error bars for each estimator
