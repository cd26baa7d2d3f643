"""The experiment `pca`: logistic PCA by two routes, against autograd and a general-purpose optimiser."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from autograd import grad
from scipy import optimize as scipy_optimize
from scipy.special import expit

from enm5310 import distributions, nets
from tests.benchmarks.reproduce import pca as experiment


def problem(n=9, m=14, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)), rng.normal(size=(m, k)), rng.random((n, m)), rng.normal(size=m)


def test_gradient_of_the_linear_code_is_autograds():
    rng = np.random.default_rng(1)
    X, params = rng.random((6, 8)), (nets.init([8, 2], rng), nets.init([2, 8], rng))

    def value(params):
        logits = nets.apply(params[1], nets.apply(params[0], X))
        return distributions.log_bernoulli(X, logits).sum() / len(X)

    mine, gradient = experiment.linear_code(params, X)
    assert mine == pytest.approx(value(params), rel=1e-12)
    np.testing.assert_allclose(nets.flatten(gradient), nets.flatten(grad(value)(params)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_newton_ends_where_a_general_optimiser_ends_and_never_goes_down(ridge):
    C, F, X, offset = problem()
    before = np.full(len(C), -np.inf)
    for _ in range(12):
        C, values = experiment.newton(C, F, X, offset, ridge, block=4)
        assert np.all(values >= before)
        before = values
    for c, x, value in zip(C, X, values, strict=True):

        def cost(c, x=x):
            p = expit(F @ c + offset)
            return -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p)) + ridge / 2 * c @ c

        best = scipy_optimize.minimize(cost, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
        np.testing.assert_allclose(c, best.x, atol=1e-5)
        assert value == pytest.approx(-best.fun, rel=1e-10)


def test_a_step_that_overshoots_is_halved():
    """From far away, where every logit is saturated, the full Newton step is astronomically long."""
    C, F, X, offset = problem()
    start = 30 * C
    value = distributions.log_bernoulli(X, start @ F.T + offset)
    _, after = experiment.newton(start, F, X, offset)
    assert np.all(after >= value) and np.mean(after > value) > 0.8


def test_loadings_are_regressions_of_pixels_on_codes():
    """One pixel: after enough steps the slope of the penalised log-likelihood is zero."""
    rng = np.random.default_rng(2)
    Z, X = rng.normal(size=(200, 2)), rng.random((200, 3))
    model = experiment.Logistic(np.zeros((3, 2)), np.zeros(3))
    for _ in range(15):
        model = experiment.loadings(model, X, Z)
    rest = X - expit(Z @ model.U.T + model.b)
    np.testing.assert_allclose(rest.T @ Z, experiment.RIDGE * model.U, atol=1e-6)
    np.testing.assert_allclose(rest.sum(axis=0), experiment.RIDGE * model.b, atol=1e-6)


def test_squared_error_is_summed_over_pixels():
    assert experiment.squared_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2))) == (1 + 4 + 9 + 16) / 2


@pytest.fixture(scope="module")
def small():
    """Images whose pixels are Bernoulli means of a two-dimensional code."""
    rng = np.random.default_rng(3)
    X = expit(6 * rng.normal(size=(400, 2)) @ rng.normal(size=(2, 49))).astype(np.float32)
    told = []
    size = experiment.TINY._replace(k=2, epochs=40, rounds=6)
    yield experiment.run(told.append, size, (X[:300], X[300:], "MNIST")), told
    plt.close("all")


def test_small_run_has_its_rows_in_the_order_that_mathematics_asks_for(small):
    result, told = small
    assert len(result.rows) == 8 and "linear code trained" in told
    pca_, linear, searched, best = (float(row.ours) for row in result.rows[::2])
    assert min(pca_, linear) > searched > best
    assert best < 0.02 * pca_  # data of the model itself: almost nothing is left
    assert [row.paper for row in result.rows[::2]] == ["13.87", "8.01", "-", "-"]
    assert {row.paper for row in result.rows[1::2]} == {"-"}


def test_small_run_draws_a_row_for_each_method(small):
    figure, alt = small[0].figures["digits"]
    words = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(words) == 4 and words[1].startswith("PCA ") and "First" not in words and "paper" in alt


def test_made_up_images_are_refused():
    with pytest.raises(FileNotFoundError, match="MNIST is not here"):
        experiment.run(print, experiment.TINY, (np.zeros((4, 4)), np.zeros((4, 4)), "SYNTHETIC"))
