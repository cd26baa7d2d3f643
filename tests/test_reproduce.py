"""The papers' experiments as a whole: what is kept of a run, and that the page in the repository is what was kept."""

import json
import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from tests.benchmarks import __main__ as command
from tests.benchmarks import reproduce, results
from tests.benchmarks.reproduce import record
from tests.benchmarks.reproduce.record import Result, Row
from tests.notebooks import ROOT

MACHINE = results.machine(1)


def experiment(ours="1.5", names=("curve",)):
    def run(say):
        say("half way")
        figures = {}
        for name in names:
            figures[name] = plt.subplots(figsize=(2, 1))[0], f"a {name} that falls"
        rows = [Row("error of |x|", "1.4", ours, "table 1")]
        return Result(rows, ["One image.", "Seed 0."], figures, ["It falls."])

    return SimpleNamespace(TITLE="A title", PAPER="Author (2000), A paper", run=run)


@pytest.fixture(autouse=True)
def figures_are_closed():
    yield
    plt.close("all")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "FOLDER", tmp_path / "pictures")
    monkeypatch.setattr(record, "PAGE", tmp_path / "PAGE.md")
    return tmp_path / "pictures"


def test_a_run_is_kept_and_shown(folder):
    told = []
    assert reproduce.main(["pca"], MACHINE, told.append, {"pca": experiment()}) == 0
    kept = json.loads((folder / "pca.json").read_text())
    assert kept["rows"] == [{"what": "error of |x|", "paper": "1.4", "ours": "1.5", "remark": "table 1"}]
    assert kept["minutes"]["wall"] >= 0 and kept["machine"] == MACHINE
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept["date"])
    with Image.open(folder / "pca_curve.png") as picture:
        assert picture.width > 100
    page = record.PAGE.read_text()
    assert "| error of \\|x\\| | 1.4 | 1.5 | table 1 |" in page  # three cells and a remark, whatever the words hold
    assert "![a curve that falls](pictures/pca_curve.png)" in page and "**How.** One image. Seed 0." in page
    assert "Not run yet: hinton" in page and "half way" in told


def test_a_new_run_replaces_the_old_one_pictures_too(folder):
    for names, ours in [(("curve", "grid"), "1.5"), (("grid",), "1.6")]:
        reproduce.main(["pca"], MACHINE, lambda words: None, {"pca": experiment(ours, names)})
    assert sorted(file.name for file in folder.iterdir()) == ["pca.json", "pca_grid.png"]
    assert "1.6" in record.PAGE.read_text() and "1.5" not in record.PAGE.read_text()


def test_a_run_that_fails_leaves_what_was_kept(folder):
    reproduce.main(["pca"], MACHINE, lambda words: None, {"pca": experiment()})

    def run(say):
        raise ZeroDivisionError

    broken = SimpleNamespace(TITLE="A title", PAPER="A paper", run=run)
    with pytest.raises(ZeroDivisionError):
        reproduce.main(["pca"], MACHINE, lambda words: None, {"pca": broken})
    assert json.loads((folder / "pca.json").read_text())["rows"][0]["ours"] == "1.5"


def test_numbers_of_papers_are_not_compared_with_made_up_images(folder):
    noise = np.zeros((2, 784)), np.zeros((2, 784)), "SYNTHETIC"
    with pytest.raises(FileNotFoundError, match="enm5310 data fetch mnist"):
        reproduce.images(noise)
    told = []
    needs = SimpleNamespace(TITLE="T", PAPER="P", run=lambda say: reproduce.images(noise))
    assert reproduce.main(["pca"], MACHINE, told.append, {"pca": needs}) == 2
    assert "MNIST is not here" in told[-1] and not folder.exists()


def test_the_command_knows_its_experiments(capsys, monkeypatch):
    monkeypatch.setattr(command, "use_threads", lambda n: None)
    assert command.main(["reproduce", "pca", "nonsense"]) == 2
    assert "no experiment is called 'nonsense'; there are pca, hinton" in capsys.readouterr().err


# -------------------- what stands in the repository --------------------


def test_the_page_is_what_the_records_say():
    assert record.PAGE.read_text(encoding="utf-8") == record.page(reproduce.NAMES)


def test_every_experiment_was_run_and_has_its_pictures():
    kept = record.records(reproduce.NAMES)
    assert [r["name"] for r in kept] == reproduce.NAMES
    shown = {file: alt for r in kept for file, alt in r["figures"].items()}
    assert set(shown) == {file.name for file in record.FOLDER.glob("*.png")}
    assert all(len(alt) > 40 for alt in shown.values())


def test_the_readme_quotes_the_records():
    """README's table of reproductions: the same quantity, the paper's number and ours as in the records."""
    kept = {(row["what"], row["paper"], row["ours"]) for r in record.records(reproduce.NAMES) for row in r["rows"]}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| `reproduce", readme, re.M)
    assert len(table) >= 8
    assert [row for row in table if row not in kept] == []
