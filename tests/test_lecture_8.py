"""What lecture 8 says about its live models is what it shows: trainings differ in the last digits between machines."""

import re

import numpy as np
import pytest

from enm5310 import molecules, pca, smiles
from tests.notebooks import ROOT

LECTURE = ROOT / "lectures" / "08_generative_models.ipynb"


def numbers(line):
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d+(?:\.\d*)?", line)]


@pytest.mark.parametrize("path", [LECTURE], ids=lambda path: path.stem)
def test_the_sentences_of_lecture_8_hold(path, executed):
    nb, _, _ = executed(path)
    outputs = {cell.id: [o for o in cell.get("outputs", []) if o.output_type == "stream"] for cell in nb.cells}
    lines = {name: "".join(o.text for o in printed).splitlines() for name, printed in outputs.items()}

    assert numbers(lines["digits-neighbours"][0])[0] > 0.5  # by chance 0.1
    pixels, codes = (numbers(line.split(": ")[1]) for line in lines["morph-distance"])
    assert np.mean(codes[3:5]) < np.mean(pixels[3:5])  # halfway
    samples, real = numbers(lines["memory-compute"][0])
    moved, same = numbers(lines["memory-shift"][0])
    assert samples < 1.5 * real and same == real < moved

    won = [numbers(line.split(":")[1])[0] for line in lines["letters-test-run"]]
    assert min(won) > 30 and abs(won[0] - won[1]) < 5 and abs(won[2] - won[3]) < 5  # groups, twins: no difference
    assert won[4] < won[5] - 3  # without the bold faces of serif families there is one

    assert numbers(lines["molecules-train"][0])[0] > 0.85
    (valid, unique, novel, _), copier = (numbers(line) for line in lines["molecules-report"][:2])
    assert 0.85 < valid < 1 and unique < 1 and novel > 0.05 and copier == [1, 1, 0, 1000]

    assert numbers(lines["space-picture"][0])[-1] > 0.75

    best = {line.split()[0]: numbers(line)[0] for line in lines["search-picture"]}
    assert best["Bayesian"] > max(56, best["random"], best["evolution"], best["gradient"])
    walk = {int(step): (belief, truth) for step, _, belief, truth in map(numbers, lines["exploit-compute"])}
    assert abs(np.subtract(*walk[0])) < 8 < abs(np.subtract(*walk[100]))
    assert walk[-100][0] < -5  # no molecule has a negative index
    assert numbers(lines["avb"][0])[1] < 1.7


@pytest.mark.slow
def test_without_a_property_to_learn_the_plane_is_less_sorted():
    known, rng = smiles.teaching_set(), np.random.default_rng(0)
    W = np.array([smiles.wiener_index(s) for s in known], float)
    model = molecules.fit(known, rng.permutation(W), rng, epochs=25, size=50, lr=5e-3, hidden=64, read=128)
    Z = molecules.codes(model, known)
    r = np.corrcoef(pca.encode(pca.fit(Z, 2), Z).T, W)[-1, :2]
    assert 0.4 < np.sqrt(r @ r) < 0.7
