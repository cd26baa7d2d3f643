"""derivation: every sequence of tokens is a molecule, and every molecule of the teaching set has a sequence."""

import itertools
import tomllib

import numpy as np
import pytest

from enm5310 import chem, depiction, smiles
from enm5310.derivation import ALPHABET, BRANCH, decode, encode
from tests.notebooks import ROOT

# -------------------- the derivation --------------------


@pytest.mark.parametrize("length", range(7))
def test_every_sequence_is_a_molecule(length):
    for tokens in itertools.product(ALPHABET, repeat=length):
        molecule = smiles.parse(decode("".join(tokens)))  # raises for what is none
        assert 1 <= len(molecule.atoms) <= max(length, 1)


def test_every_damage_to_a_sequence_is_a_molecule():
    rng = np.random.default_rng(0)
    for s in smiles.teaching_set()[::7]:
        tokens = smiles.tokenize(encode(s))
        tokens[rng.integers(len(tokens))] = rng.choice(ALPHABET)
        rng.shuffle(tokens)
        assert smiles.is_valid(decode("".join(tokens)))


def test_every_molecule_of_the_teaching_set_has_a_sequence():
    sequences = [encode(s) for s in smiles.teaching_set()]
    assert [decode(t) for t in sequences] == list(smiles.teaching_set())
    assert smiles.vocabulary(sequences) == (smiles.PAD, *ALPHABET)
    X = smiles.one_hot(sequences, smiles.vocabulary(sequences))
    assert X.shape == (1885, 13, 5) and smiles.from_one_hot(X, smiles.vocabulary(sequences)) == sequences


BY_HAND = {  # B stands for the branch
    "": "C", "B": "C", "BBB": "C", "BCC": "CC", "CCO": "CCO", "OOO": "OOO",
    "CBCON": "OCN",  # a branch of one token, O, then N
    "CBNOON": "C(OO)N",  # a branch of two tokens, O and O, then N
    "OBCCN": "O(C)N",  # at the start oxygen has two bonds, and the branch takes one
    "COBCN": "COCN",  # here it has one: B does nothing, and C is no number
    "CB": "C", "CBC": "C", "CBCB": "C", "CBCBO": "CO",  # a branch without atoms takes no bond
    "CBCCBCCBCCBCCC": "C(C)(C)(C)CCC",  # the last bond is for the chain
    "CBCBBCCBCCBCCC": "C(C)(C)(C)C",  # the first branch is empty, so three more have room
    "CBBCBCCCN": "C(CC(C))N", "CBBNBCCCO": "C(N(C))CO",  # a branch of four tokens with a branch
}  # fmt: skip


@pytest.mark.parametrize("text", BY_HAND)
def test_by_hand(text):
    assert decode(text.replace("B", BRANCH)) == smiles.canonical(BY_HAND[text])


def test_what_has_no_sequence():
    for s in ("C1CC1", "C=C", "CS", "[NH4+]", "C.C"):
        with pytest.raises(ValueError, match=r"not a molecule of C, N, O with single bonds and no rings"):
            encode(s)
    long = "CCCCCC(CCCCC)CCCCC"
    with pytest.raises(ValueError, match="a branch of 5 tokens; at most 4"):
        encode(long)
    with pytest.raises(ValueError, match=r"\['F'\] are not among"):
        decode("CF")


# -------------------- the extra `chem` --------------------


@pytest.mark.parametrize("name, call", {
    "RDKit": lambda: chem.rdkit_valid("C"), "RDKit ": lambda: chem.rdkit_properties(["C"]),
    "RDKit  ": lambda: chem.rdkit_layout("C"), "selfies": lambda: chem.to_selfies("C"),
    "selfies ": lambda: chem.from_selfies("[C]"),
}.items())  # fmt: skip
def test_what_is_missing_is_named_with_the_command(monkeypatch, name, call):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])

    monkeypatch.setattr(chem, "import_module", missing)
    with pytest.raises(ModuleNotFoundError) as error:
        call()
    assert str(error.value) == f'this needs {name.strip()}: pip install "enm5310[chem]"'
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert any(line.startswith(name.strip().lower()) for line in extras["chem"])


def test_without_rdkit_our_own_layout_is_drawn(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(chem, "import_module", missing)
    np.testing.assert_array_equal(chem.positions("CC(O)N"), depiction.layout("CC(O)N"))
