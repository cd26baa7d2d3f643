"""The experiment `generative`: its own measures by hand; models and data have tests elsewhere."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from tests.benchmarks.reproduce import generative as experiment


def test_share_gone_and_its_jackknife_by_hand():
    after, before = np.array([1.0, 1.0, 3.0]), np.array([2.0, 2.0, 4.0])
    gone, error = experiment.share_gone(after, before, np.array(["a", "a", "b"]))
    assert gone == pytest.approx(1 - 5 / 8)
    left = np.array([1 - 3 / 4, 1 - 2 / 4])  # without a, without b
    assert error == pytest.approx(np.sqrt(1 / 2 * np.sum((left - left.mean()) ** 2)))


def test_the_jackknife_of_equal_weights_is_the_standard_error_of_a_mean():
    after = np.random.default_rng(0).random(30)
    _, error = experiment.share_gone(after, np.ones(30), np.arange(30).astype(str))
    assert error == pytest.approx(after.std(ddof=1) / 30**0.5)


def test_squares_are_summed_over_all_but_the_first_axis():
    found = experiment.squares(np.arange(8.0).reshape(2, 2, 2))
    np.testing.assert_array_equal(found, [0 + 1 + 4 + 9, 16 + 25 + 36 + 49])


def test_sorted_by_is_the_multiple_correlation():
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(400, 2))
    plane -= plane.mean(axis=0)
    plane = plane @ np.linalg.inv(np.linalg.cholesky(plane.T @ plane)).T  # orthonormal columns: correlations add up
    W = 3 * plane[:, 0] - 2 * plane[:, 1] + 0.1 * rng.normal(size=400)
    learn, test = np.arange(300), np.arange(300, 400)
    whole, held = experiment.sorted_by(plane, W, learn, test)
    r = np.corrcoef(plane.T, W)[-1, :2]
    assert whole == pytest.approx(np.sqrt(r @ r), rel=1e-9)
    line = LinearRegression().fit(plane[learn], W[learn])  # sees nothing of those held out
    assert held == pytest.approx(np.corrcoef(line.predict(plane[test]), W[test])[0, 1], rel=1e-9)
    assert abs(experiment.sorted_by(plane, rng.permutation(W), learn, test)[1]) < 0.4


@pytest.fixture(scope="module")
def small():
    told = []
    yield experiment.run(told.append, experiment.TINY), told
    plt.close("all")


def test_small_run_has_its_rows(small):
    result, told = small
    assert len(result.rows) == 2 + 3 + 6 and len(told) == 2
    assert all(row.paper == "-" for row in result.rows)
    assert result.rows[1].what.startswith("held-out families, regular + 1 v") and "±" in result.rows[1].ours
    assert "pairs" in result.rows[1].remark


def test_the_edits_error_is_the_benchmarks(small):
    """By two routes: `attribute` of the benchmark, and `fonts.edit` with the amount 1."""
    letters = experiment.bold(experiment.TINY, np.random.default_rng(1))
    assert letters.gone[1.0][0] == pytest.approx(letters.found["edited"], abs=1e-5)
    assert letters.gone[1.0][0] > letters.gone[0.5][0] > 0  # even three epochs thicken strokes


def test_small_run_draws_letters_and_two_clouds(small):
    sheet, clouds = (small[0].figures[name][0] for name in ("bold", "space"))
    assert len(sheet.axes[0].get_yticklabels()) == 3 * 4
    assert len(clouds.axes) == 4  # two clouds, two scales
    first, second = (ax.collections[0].get_offsets() for ax in clouds.axes[:2])
    assert len(first) == len(second) == experiment.TINY.molecules
