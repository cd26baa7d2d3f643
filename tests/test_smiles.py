"""smiles: strings against a generator of the grammar, counts of molecules against Polya's, arrays there and back."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from enm5310 import smiles
from enm5310.datasets import load_molecules
from enm5310.smiles_grammar import SmilesError

VALENCE = {"C": 4, "N": 3, "O": 2}
MOSES = [str(s) for s in load_molecules().data]

# -------------------- the language of single bonds and no rings, generated --------------------


def chains(length, top=True):
    """All valid strings of the length, grown from the rules: an atom, branches in parentheses, then the rest."""
    return [
        atom + tail
        for atom, bonds in VALENCE.items()
        for tail in tails(length - 1, bonds if top else bonds - 1)
    ]  # fmt: skip


def tails(length, free):
    if length == 0:
        return [""]
    if free == 0:
        return []
    found = chains(length, top=False)
    for inner in range(1, length - 1):
        found += [f"({a}){b}" for a in chains(inner, top=False) for b in tails(length - inner - 2, free - 1)]
    return found


@pytest.mark.parametrize("length", range(1, 7))
def test_exactly_the_strings_that_the_rules_generate_are_valid(length):
    wanted = chains(length)
    assert len(wanted) == len(set(wanted))
    assert {s for s in map("".join, itertools.product("CNO()", repeat=length)) if smiles.is_valid(s)} == set(wanted)


def test_longer_strings_of_the_rules_and_one_change_of_each():
    rng = np.random.default_rng(0)
    valid = set(chains(8))
    for s in rng.choice(sorted(valid), 400):
        at, new = rng.integers(8), rng.choice(list("CNO()"))
        changed = s[:at] + new + s[at + 1 :]
        assert smiles.is_valid(s) and smiles.is_valid(changed) == (changed in valid), changed


# -------------------- what the sentences say --------------------

WRONG = {
    "": "the string is empty",
    "C(C": "'(' at position 1 is never closed",
    "CC)": "')' at position 2 closes no parenthesis",
    "(C)C": "'(' at position 0 cannot stand at the start",
    "C()C": "the branch closed at position 2 is empty",
    "C((C))": "'(' at position 2 cannot stand after '('",
    "CO(C)C": "O at position 1 has 3 bonds; it can have at most 2",
    "CC(C)(C)(C)C": "C at position 1 has 5 bonds; it can have at most 4",
    "N(=O)(C)C": "N at position 0 has 4 bonds; it can have at most 3",
    "C=": "the string ends after '=', where an atom must follow",
    "C=-C": "'-' at position 2 cannot stand after '='",
    "=C": "'=' at position 0 cannot stand at the start",
    "C1CC": "ring number 1 at position 1 is never closed",
    "C11": "ring number 1 at position 2 joins an atom to itself",
    "C1C1": "ring number 1 at position 3 joins two atoms that are bonded already",
    "C(C1)1": "ring number 1 at position 5 joins two atoms that are bonded already",
    "C=1CC#1": "ring number 1 at position 6 is opened and closed with different bonds",
    "1CC1": "'1' at position 0 cannot stand at the start",
    "C(=1)C1": "'1' at position 3 cannot stand after '='",
    "Cc": "c at position 1 is lower case, which is for rings, and lies on no ring",
    "C:C": "':' joins C at position 0 and C at position 2; it is for two lower-case atoms",
    "c1cccc1": "no alternating double bonds give each of these exactly one: c at position 0, c at position 2, "
    "c at position 3, c at position 4, c at position 5",
    **{  # fulvalene would need a double bond between the rings
        s: "no alternating double bonds give each of these exactly one: " + ", ".join(f"c at position {k}" for k in at)
        for s, at in {
            "c1cccc1c1cccc1": [0, 2, 3, 4, 5, 7, 9, 10, 11, 12], "c1cccc1-c1cccc1": [0, 2, 3, 4, 5, 8, 10, 11, 12, 13],
        }.items()
    },
    "CX": "'X' at position 1 begins no atom, bond, ring number or parenthesis",
    "C[Q": "'[' at position 1 begins no atom, bond, ring number or parenthesis",
    "C[n?]": "[n?] at position 1 is no atom; one in brackets is such as [nH], [O-] or [NH3+]",
    "C[Na]": "[Na] at position 1 is an element or an ion whose valence is not known here",
    "[NH4]": "[NH4] at position 0 has 4 bonds, 4 of them to hydrogen; it can have at most 3",
    "C..C": "'.' at position 2 cannot stand after '.'",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_with_the_place(text):
    assert smiles.why_invalid(text) == WRONG[text] and not smiles.is_valid(text)
    with pytest.raises(SmilesError) as error:
        smiles.parse(text)
    assert str(error.value) == WRONG[text]


# -------------------- the graph that a string writes --------------------

FORMULAS = {  # as every table of compounds has them: the hydrogens are what the parser adds
    "c1ccccc1": "C6H6", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C": "C8H10N4O2", "CC(=O)Oc1ccccc1C(=O)O": "C9H8O4",
    "c1ccc2ccccc2c1": "C10H8", "c1ccc2[nH]ccc2c1": "C8H7N", "c1ccsc1": "C4H4S", "o1cccc1": "C4H4O", "n1ccccc1": "C5H5N",
    "OS(=O)(=O)O": "H2O4S", "CS(C)=O": "C2H6OS", "ClCCCl": "C2H4Cl2", "FC(F)(F)Br": "CBrF3", "C#N": "CHN",
    "[NH4+]": "H4N", "[O-][N+](=O)c1ccccc1": "C6H5NO2", "OP(=O)(O)O": "H3O4P", "c1ccc(cc1)-c1ccccc1": "C12H10",
    "c1ccccc1c1ccccc1": "C12H10", "C1CC2CCC1C2": "C7H12", "C%12CC%12": "C3H6", "O=c1[nH]cnc2nc[nH]c12": "C5H4N4O",
    "C[n+]1ccccc1": "C6H8N", "[cH-]1cccc1": "C5H5", "B(O)O": "BH3O2", "C[Si](C)(C)C": "C4H12Si", "F/C=C\\F": "C2H2F2",
    "N[C@@H](C)C(=O)O": "C3H7NO2", "[13CH4]": "CH4", "CC.O": "C2H8O", "C(Br)(I)[SeH]": "CH2BrISe",
}  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_hydrogens_fill_the_valences(text):
    molecule = smiles.parse(text)
    count = Counter(molecule.atoms) + Counter(H=sum(molecule.hydrogens))
    hill = sorted(count, key=lambda e: (("C" in count) * {"C": 2, "H": 1}.get(e, 0) * -1, e))
    assert "".join(e + (str(count[e]) if count[e] > 1 else "") for e in hill) == FORMULAS[text]


def test_atoms_and_bonds_stand_in_the_order_of_the_string():
    molecule = smiles.parse("C=C(C#N)[O-]")
    assert molecule.atoms == ("C", "C", "C", "N", "O") and molecule.charges == (0, 0, 0, 0, -1)
    assert molecule.bonds == ((0, 1, 2), (1, 2, 1), (1, 4, 1), (2, 3, 3)) and molecule.hydrogens == (2, 0, 0, 0, 0)


def test_a_long_chain_is_read_without_recursion():
    assert smiles.canonical("O" + 1500 * "C") == 1500 * "C" + "O"


def test_the_packaged_molecules_are_valid_and_with_a_loose_end_are_not():
    assert all(map(smiles.is_valid, MOSES[::5]))
    for s in MOSES[:50]:
        assert not any(map(smiles.is_valid, [s + "(", ")" + s, s + "7C", s + "=", s + "c", "C#" + s + "("]))


# -------------------- all small molecules --------------------


def polya(n_max):
    """{(atoms, hetero-atoms): number of trees} by counting, without any tree: Polya (1937) and Otter (1948).

    P counts planted trees, those with one more bond at the root: x y^h times the multisets of at most valence - 1
    planted trees.  Up to symmetry a tree has one vertex more than edges, but for an edge that a symmetry turns round.
    """

    def times(a, b):
        c = Counter()
        for (n, h), u in a.items():
            for (m, g), v in b.items():
                if n + m <= n_max:
                    c[n + m, h + g] += u * v
        return c

    def stretch(a, k):
        return Counter({(k * n, k * h): u for (n, h), u in a.items() if k * n <= n_max})

    def multisets(a, most):  # k h_k = sum_j p_j h_{k-j}
        h = [Counter({(0, 0): 1})]
        for k in range(1, most + 1):
            total = Counter()
            for j in range(1, k + 1):
                total.update(times(stretch(a, j), h[k - j]))
            h.append(Counter({key: u // k for key, u in total.items()}))
        return sum(h, Counter())

    def rooted(a, spare):
        total = Counter()
        for atom, valence in VALENCE.items():
            total.update(times({(1, int(atom != "C")): 1}, multisets(a, valence - spare)))
        return total

    planted = Counter()
    for _ in range(n_max):
        planted = rooted(planted, 1)
    trees = rooted(planted, 0)
    trees.subtract({key: u / 2 for key, u in times(planted, planted).items()})
    trees.update({key: u / 2 for key, u in stretch(planted, 2).items()})
    return {key: u for key, u in trees.items() if u}


def size(s):
    return sum(c in VALENCE for c in s), sum(c in "NO" for c in s)


def test_there_are_as_many_molecules_as_polya_counts():
    counted = polya(7)
    by_size = [sum(u for (n, _), u in counted.items() if n == k) for k in range(1, 7)]
    assert by_size == [3, 6, 18, 65, 258, 1140]
    found = smiles.enumerate_molecules(6)
    assert Counter(map(size, found)) == {key: u for key, u in counted.items() if key[0] <= 6}
    assert Counter(map(size, smiles.teaching_set()))[7, 2] == counted[7, 2] > 100
    assert sum(u for (n, h), u in counted.items() if n == 7 and h <= 2) == 395


def renumbered(atoms, bonds, p):
    """Atom k of the result is atom p[k] of the given."""
    new = [p.index(k) for k in range(len(p))]
    return tuple(atoms[k] for k in p), tuple(sorted((*sorted((new[i], new[j])), *order) for i, j, *order in bonds))


def test_no_molecule_comes_twice_brute_force():
    """All labelled trees of four atoms by their Pruefer sequences, each drawn in all 24 numberings."""
    forms = set()
    for a, b in itertools.product(range(4), repeat=2):
        left, bonds = [1 + (k == a) + (k == b) for k in range(4)], []
        for k in (a, b):
            leaf = left.index(1)
            bonds.append((leaf, k))
            left[leaf], left[k] = 0, left[k] - 1
        bonds.append(tuple(k for k in range(4) if left[k]))
        for atoms in itertools.product("CNO", repeat=4):
            if all(sum(k in bond for bond in bonds) <= VALENCE[x] for k, x in enumerate(atoms)):
                forms.add(min(renumbered(atoms, bonds, p) for p in itertools.permutations(range(4))))
    four = [s for s in smiles.enumerate_molecules(4) if size(s)[0] == 4]
    assert len(forms) == len(four) == len(set(four)) == 65


def test_the_teaching_set():
    smiles.teaching_set.cache_clear()
    start = time.process_time()
    found = smiles.teaching_set()
    assert time.process_time() - start < 1
    assert len(found) == len(set(found)) == 1885 and found is smiles.teaching_set()
    assert list(found[:9]) == ["C", "N", "O", "CC", "CN", "CO", "NN", "NO", "OO"]
    assert max(len(smiles.tokenize(s)) for s in found) == 13
    assert smiles.vocabulary(found) == (" ", "(", ")", "C", "N", "O")
    assert all(smiles.is_valid(s) and smiles.canonical(s) == s for s in found)
    assert [size(s)[0] for s in found] == sorted(size(s)[0] for s in found)


# -------------------- strings and arrays --------------------


def test_tokens_of_two_letters_brackets_and_ring_numbers():
    text = "BrC(Cl)[C@@H](c1cc[nH]c%12)%12[O-]"
    tokens = smiles.tokenize(text)
    assert "".join(tokens) == text
    assert tokens[:6] == ["Br", "C", "(", "Cl", ")", "[C@@H]"] and {"[nH]", "%12", "[O-]", "1"} <= set(tokens)
    assert smiles.vocabulary(["CBr", "[nH]"]) == (" ", "Br", "C", "[nH]")


@pytest.mark.parametrize("strings", [smiles.teaching_set(), MOSES], ids=["teaching", "MOSES"])
def test_strings_come_back_from_one_hot(strings):
    tokens = smiles.vocabulary(strings)
    length = max(len(smiles.tokenize(s)) for s in strings)
    X = smiles.one_hot(strings, tokens)
    assert X.shape == (len(strings), length, len(tokens)) and X.dtype == np.float32
    assert (X.sum(axis=-1) == 1).all() and set(np.unique(X)) == {0, 1}
    assert smiles.from_one_hot(X, tokens) == list(strings)
    assert smiles.from_indices(X.argmax(-1), tokens) == list(strings)


def test_one_hot_by_hand():
    X = smiles.one_hot(["CO", "ClC"], (" ", "C", "Cl", "O"), length=3)
    np.testing.assert_array_equal(X.argmax(-1), [[1, 3, 0], [2, 1, 0]])
    assert smiles.from_indices([[1, 0, 3], [0, 1, 1], [2, 2, 2]], (" ", "C", "Cl", "O")) == ["C", "", "ClClCl"]
    soft = np.array([[[0.1, 0.5, 0.4], [0.6, 0.2, 0.2]]])
    assert smiles.from_one_hot(soft, (" ", "N", "O")) == ["N"]


def test_what_does_not_fit_is_an_error_or_left_out_with_a_count():
    tokens, strings = (" ", "C", "O"), ["CO", "CN", "", "CCCC", "C?", "OC"]
    for bad, words in {
        "CN": "string 0, 'CN': token 1, 'N', is not in the vocabulary",
        "": "string 0, '': the string is empty",
        "CCCC": "string 0, 'CCCC': 4 tokens do not fit in length 3",
        "C?": "'?' at position 1",
    }.items():
        with pytest.raises(ValueError, match="(?s)" + words.replace("?", "[?]")):
            smiles.one_hot([bad], tokens, 3)
    data, kept, skipped = smiles.one_hot(strings, tokens, 3, skip=True)
    assert data.shape == (2, 3, 3) and kept.tolist() == [0, 5] and skipped == 4
    assert smiles.from_one_hot(data, tokens) == ["CO", "OC"]
    none = smiles.one_hot([], tokens, 3, skip=True)
    assert none.data.shape == (0, 3, 3) and none.skipped == 0 and len(none.kept) == 0
    for call in (lambda: smiles.one_hot([], tokens), lambda: smiles.vocabulary([])):
        with pytest.raises(ValueError, match=r"empty|no strings"):
            call()


# -------------------- Wiener's index --------------------


def test_wiener_index_of_chains_and_stars():
    assert smiles.wiener_index("CCCCCC") == 35
    for n in range(1, 9):
        assert smiles.wiener_index("C" * n) == (n**3 - n) // 6
    assert [smiles.wiener_index(s) for s in ("CO", "CCO", "CC(C)O", "CC(C)(C)O")] == [(n - 1) ** 2 for n in range(2, 6)]


def test_wiener_index_by_floyd_and_warshall():
    for s in [*smiles.teaching_set()[::97], *MOSES[:20], "C1CCCCC1"]:
        molecule = smiles.parse(s)
        n = len(molecule.atoms)
        D = np.where(np.eye(n), 0, np.inf)
        for i, j, _ in molecule.bonds:
            D[i, j] = D[j, i] = 1
        for k in range(n):
            D = np.minimum(D, D[:, [k]] + D[[k]])
        assert smiles.wiener_index(s) == smiles.wiener_index(molecule) == D.sum() / 2
    with pytest.raises(ValueError, match=r"'C\.C' has several parts"):
        smiles.wiener_index("C.C")


def test_one_string_is_no_list_and_a_vocabulary_needs_something_to_fill_up_with():
    for call in (lambda: smiles.vocabulary("CCO"), lambda: smiles.one_hot("CCO", (" ", "C", "O"))):
        with pytest.raises(ValueError, match="'CCO' is one string; give a list"):
            call()
    with pytest.raises(ValueError, match="lacks ' '"):
        smiles.one_hot(["CO"], ("C", "O"), 3)


def test_hydride_is_a_molecule():
    assert smiles.is_valid("[H-]") and smiles.is_valid("[H+]") and not smiles.is_valid("[H-]C")
