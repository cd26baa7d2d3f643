"""The known numbers of MNIST, on the real data when they lie beside the clone or in the cache."""

import numpy as np
import pytest

from enm5310 import distributions, pca
from enm5310.checks import part1
from tests.notebooks import exercises, reference

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def full(mnist):
    return pca.fit(mnist[0])


def test_spectrum(full):
    assert np.allclose(full.variances[:3], [5.1168, 3.7413, 3.2527], atol=5e-5)
    assert np.isclose(full.variances.sum(), 52.7250, atol=5e-5)
    assert [pca.n_components(full.variances, fraction) for fraction in (0.90, 0.95, 0.99)] == [87, 154, 331]
    assert np.sum(full.variances > 1e-12) == 712


@pytest.mark.parametrize(
    ("k", "error"), [(2, 43.645), (6, 32.651), (10, 26.714), (30, 13.8663), (50, 9.004), (100, 4.403)]
)
def test_reconstruction_of_test_images(mnist, full, k, error):
    cut = pca.PCA(full.mean, full.U[:, :k], full.variances[:k])
    assert np.isclose(pca.reconstruction_error(cut, mnist[1]).mean(), error, atol=5e-4 if k != 30 else 5e-5)


def test_reconstruction_of_training_images_is_what_is_discarded(full):
    assert np.isclose(full.variances[30:].sum(), 14.2071, atol=5e-5)


def test_the_projects_solution_reproduces_the_papers_number(mnist):
    """Hinton & Salakhutdinov (2006) print 13.87; test images centred with their own mean would give 13.8632."""
    (project,) = [e for e in exercises("01_pca") if e.name == "pca_errors"]
    errors = reference(project)["pca_errors"](*mnist, 30)
    assert np.allclose(errors, part1.MNIST_ERRORS, atol=5e-4 / 5) and round(float(errors[1]), 2) == 13.87


def test_floor_of_the_bernoulli_loss_on_grey_pixels(mnist):
    for X, floor in zip(mnist, (45.7568, 45.5345), strict=True):
        pieces = [distributions.entropy_bernoulli(X[i : i + 5000]) for i in range(0, len(X), 5000)]
        assert np.isclose(np.mean(np.concatenate(pieces)), floor, atol=5e-5)


def test_baseline_of_independent_pixels(mnist):
    """Each pixel with its own training mean; pixels never inked in training are held at 1e-12."""
    mean = np.clip(mnist[0].mean(axis=0), 1e-12, 1 - 1e-12)
    logits = np.log(mean) - np.log1p(-mean)
    pieces = [distributions.log_bernoulli(mnist[1][i : i + 1000], logits) for i in range(0, 10_000, 1000)]
    assert np.isclose(np.mean(np.concatenate(pieces)), -205.805, atol=5e-4)


def test_baseline_of_independent_binary_pixels(mnist):
    """Pixels are on above 127; each has its training frequency, held inside [1e-6, 1 - 1e-6]."""
    on, seen = (np.mean(X > 0.5, axis=0) for X in mnist)  # 127 / 255 < 0.5 < 128 / 255
    on = np.clip(on, 1e-6, 1 - 1e-6)
    logits = np.log(on) - np.log1p(-on)
    assert distributions.log_bernoulli(seen, logits) == pytest.approx(-205.846, abs=5e-4)  # linear in x: of the mean
