"""Our checker, our names of molecules and our drawings against RDKit and selfies, the extra `chem`."""

import random

import numpy as np
import pytest

from enm5310 import chem, smiles
from enm5310.datasets import load_molecules
from tests.test_smiles import MOSES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def the_extra():
    pytest.importorskip("rdkit", reason='needs the extra: pip install "enm5310[chem]"')
    pytest.importorskip("selfies", reason='needs the extra: pip install "enm5310[chem]"')


def damaged(text, changes, alphabet, rng):
    """`changes` tokens replaced, taken out, put in or exchanged."""
    tokens = smiles.tokenize(text)
    for _ in range(changes):
        at, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
        kind = rng.randrange(4)
        if kind == 0:
            tokens[at] = rng.choice(alphabet)
        elif kind == 1 and len(tokens) > 1:
            del tokens[at]
        elif kind == 2:
            tokens.insert(at, rng.choice(alphabet))
        else:
            tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


def test_the_checker_agrees_on_the_teaching_set_and_all_its_damages():
    rng, alphabet = random.Random(0), ["C", "N", "O", "(", ")"]
    strings = [damaged(s, n, alphabet, rng) for s in smiles.teaching_set() for n in (0, 1, 1, 2, 3)]
    ours, theirs = ([valid(s) for s in strings] for valid in (smiles.is_valid, chem.rdkit_valid))
    assert ours == theirs and 0.3 < np.mean(ours) < 0.9


def test_the_checker_agrees_on_real_molecules_and_on_994_of_1000_damages():
    """20,000 strings with one to three damages: 2 are valid for us and not for RDKit, 115 the other way."""
    assert all(map(smiles.is_valid, MOSES)) and all(map(chem.rdkit_valid, MOSES))
    rng, alphabet = random.Random(0), smiles.vocabulary(MOSES)[1:]
    strings = [damaged(s, 1 + n % 3, alphabet, rng) for n, s in enumerate(4 * MOSES)]
    ours, theirs = (np.array([valid(s) for s in strings]) for valid in (smiles.is_valid, chem.rdkit_valid))
    assert np.mean(ours) > 0.08
    assert np.mean(ours != theirs) < 0.01 and np.mean(ours & ~theirs) < 0.001


def test_molecules_are_the_same_when_rdkit_says_so():
    from rdkit import Chem

    some = MOSES[::5]
    for s in some:
        m = Chem.MolFromSmiles(s)
        for _ in range(2):
            other = Chem.MolToSmiles(m, doRandom=True)
            assert smiles.same_molecule(other, s), (other, s)
        Chem.Kekulize(m, clearAromaticFlags=True)
        assert smiles.same_molecule(Chem.MolToSmiles(m, kekuleSmiles=True), s), s
        assert Chem.MolToSmiles(Chem.MolFromSmiles(smiles.canonical(s))) == Chem.MolToSmiles(Chem.MolFromSmiles(s))
    theirs = [Chem.MolToSmiles(Chem.MolFromSmiles(s)) for s in smiles.teaching_set()]
    assert len(set(theirs)) == 1885


def test_hydrogens_and_charges_are_those_of_rdkit():
    from rdkit import Chem

    for s in MOSES[::3]:
        ours, theirs = smiles.parse(s), Chem.MolFromSmiles(s)
        assert list(ours.hydrogens) == [a.GetTotalNumHs() for a in theirs.GetAtoms()], s
        assert list(ours.atoms) == [a.GetSymbol() for a in theirs.GetAtoms()], s


def test_properties_are_those_of_the_packaged_table():
    table = load_molecules()
    np.testing.assert_allclose(chem.rdkit_properties(table.data[:500]), table.target[:500], atol=1e-4)
    assert chem.rdkit_properties([]).shape == (0, 3)
    with pytest.raises(ValueError, match="'cc' is not"):
        chem.rdkit_properties(["CC", "cc"])


def test_selfies_come_back_and_cannot_be_damaged():
    rng = random.Random(1)
    texts = [chem.to_selfies(s) for s in MOSES[::5]]
    assert all(smiles.same_molecule(chem.from_selfies(t), s) for t, s in zip(texts, MOSES[::5], strict=True))
    alphabet = smiles.vocabulary(texts)[1:]
    for text in texts:
        s = chem.from_selfies(damaged(text, 3, alphabet, rng))
        assert s == "" or chem.rdkit_valid(s)


def test_layouts_of_rdkit_have_bonds_of_length_one_in_the_order_of_the_string():
    for s in MOSES[:50]:
        X, bonds = chem.positions(s), smiles.parse(s).bonds
        np.testing.assert_array_equal(X, chem.rdkit_layout(s))
        lengths = [np.linalg.norm(X[i] - X[j]) for i, j, _ in bonds]
        assert X.shape == (len(smiles.parse(s).atoms), 2) and 0.9 < np.median(lengths) < 1.1, s
