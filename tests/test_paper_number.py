"""The ungraded cell after exercise 1.10: what it says with and without MNIST, and when it keeps still."""

import pytest

from enm5310 import datasets
from enm5310.checks import part1
from tests.notebooks import exercises, reference

(PROJECT,) = [e for e in exercises("01_pca") if e.name == "pca_errors"]


@pytest.fixture
def solved():
    return reference(PROJECT)["pca_errors"]


def test_without_mnist_it_runs_on_the_packaged_digits(solved, tmp_path, monkeypatch):
    monkeypatch.setenv("ENM5310_DATA", str(tmp_path))
    told = part1.paper_number(solved)
    assert "8 x 8 digits" in told and "enm5310 data fetch mnist" in told
    assert "training error 0.1925 (known: 0.1925)" in told and "test error 0.2052 (known: 0.2052)" in told
    assert not list(tmp_path.iterdir()), "nothing is downloaded"


def test_with_mnist_in_the_cache_it_runs_on_mnist(monkeypatch):
    seen = {}

    def cached(*, download_if_missing):
        assert not download_if_missing
        X = datasets.load_digits().data.repeat(40, axis=0)[:70_000]
        return datasets.packaged.Bunch(data=X)

    def errors(X_train, X_test, k):
        seen.update(train=len(X_train), test=len(X_test), top=X_train.max(), k=k)
        return 14.2071, 13.8663

    monkeypatch.setattr(datasets, "fetch_mnist", cached)
    told = part1.paper_number(errors)
    assert "MNIST" in told and "13.87" in told
    assert seen == {"train": 60_000, "test": 10_000, "top": 16 / 255, "k": 30}


def test_a_stub_and_a_graded_run_are_left_alone(solved, monkeypatch):
    def stub(X_train, X_test, k):
        raise NotImplementedError

    assert "not written yet" in part1.paper_number(stub)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert "Not run" in part1.paper_number(solved)
