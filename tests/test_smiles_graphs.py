"""smiles_canonical and molecular_graphs: against all numberings, all matchings, and bonds taken away one by one."""

import itertools
from collections import Counter

import numpy as np
import pytest

from enm5310 import molecular_graphs as graphs
from enm5310 import smiles, smiles_canonical
from enm5310.molecular_graphs import Molecule
from tests.test_smiles import MOSES, renumbered

# -------------------- matching, rings, valences --------------------


def random_graph(rng, n, p):
    return [(i, j) for i, j in itertools.combinations(range(n), 2) if rng.random() < p]


def test_matchings_and_rings_by_brute_force():
    rng, perfect = np.random.default_rng(0), 0
    for _ in range(200):
        n = int(rng.choice([4, 6, 7, 8]))
        pairs = random_graph(rng, n, 0.35)
        table = {i: [j for pair in pairs if i in pair for j in pair if j != i] for i in range(n)}
        choices = itertools.combinations(pairs, n // 2)
        exists = n % 2 == 0 and any(len({i for pair in chosen for i in pair}) == n for chosen in choices)
        found = graphs.perfect_matching(table)
        assert (found is not None) == exists
        if exists:
            assert set(found) <= set(pairs) and sorted(i for pair in found for i in pair) == list(range(n))
            perfect += 1
        without = [[pair for pair in pairs if pair != bond] for bond in pairs]
        rings = {bond for bond, rest in zip(pairs, without, strict=True) if reach(rest, bond[0], bond[1])}
        assert graphs.ring_bonds(n, pairs) == rings
    assert 40 < perfect < 160


def reach(pairs, i, j):
    seen = {i}
    for _ in pairs:
        seen |= {b for pair in pairs for a, b in (pair, pair[::-1]) if a in seen}
    return j in seen


def test_valences_are_those_of_the_octet_and_beyond():
    assert [graphs.valences(e) for e in ("B", "C", "N", "O", "F", "H")] == [(3,), (4,), (3,), (2,), (1,), (1,)]
    assert [graphs.valences(e) for e in ("P", "S", "Cl", "Si", "Se")] == [(3, 5), (2, 4, 6), (1,), (4,), (2, 4, 6)]
    assert graphs.valences("N", 1) == (4,) and graphs.valences("O", -1) == (1,) and graphs.valences("C", -1) == (3,)
    assert graphs.valences("S", 1) == (3, 5) and graphs.valences("Cl", -1) == (0,) and graphs.valences("Cl", 3) == (4,)
    assert graphs.valences("H", 1) == (0,) and graphs.valences("Fe") == graphs.valences("B", 2) == ()


# -------------------- canonical strings --------------------


def random_molecule(rng, n):
    """A connected graph of C and N with double bonds that respect the valences, or None."""
    pairs = random_graph(rng, n, 0.5)
    orders = rng.choice([1, 1, 2], len(pairs))
    atoms = tuple(rng.choice(["C", "C", "C", "N"], n).tolist())
    used = [sum(int(o) for pair, o in zip(pairs, orders, strict=True) if i in pair) for i in range(n)]
    hydrogens = tuple({"C": 4, "N": 3}[a] - u for a, u in zip(atoms, used, strict=True))
    bonds = tuple((i, j, int(o)) for (i, j), o in zip(pairs, orders, strict=True))
    m = Molecule(atoms, bonds, hydrogens, (0,) * n)
    return m if min(hydrogens) >= 0 and len(graphs.distances(m, 0)) == n else None


def brute_force_form(m):
    """The smallest of all numberings; between atoms that each have one double bond, to one another, orders are free."""
    n = len(m.atoms)
    double = [[k for i, j, o in m.bonds if o == 2 and a in (i, j) for k in (i, j) if k != a] for a in range(n)]
    free = {a for a in range(n) if len(double[a]) == 1 and len(double[double[a][0]]) == 1}
    bonds = [(i, j, 0 if {i, j} <= free else order) for i, j, order in m.bonds]
    atoms = [(a, h, k in free) for k, (a, h) in enumerate(zip(m.atoms, m.hydrogens, strict=True))]
    return min(renumbered(atoms, bonds, p) for p in itertools.permutations(range(n)))


def test_equal_strings_exactly_for_equal_molecules_by_all_numberings():
    rng, strings, forms, rings = np.random.default_rng(1), [], [], 0
    while len(strings) < 400:
        if m := random_molecule(rng, 5):
            strings.append(smiles.canonical(m))
            forms.append(brute_force_form(m))
            rings += len(m.bonds) >= 5
    assert len(set(strings)) == len(set(forms)) == len(set(zip(strings, forms, strict=True))) < 300
    assert rings > 200


OTHERS = [
    "C12C3C4C1C5C2C3C45", "CC(C)(C)C(F)(F)F", "C1=CC=C2C=CC=CC2=C1", "[O-][N+](=O)C#N", "C1CC2(C1)CCC2", "N=C=C=O",
    "OS(=O)(=O)c1ccccc1.Cl", "[CH2-]C1CC1[CH2+]",
]  # fmt: skip


@pytest.mark.parametrize("text", [*MOSES[:40], *OTHERS])
def test_the_string_does_not_depend_on_the_numbering_and_reads_back(text):
    molecule, rng = smiles.parse(text), np.random.default_rng(2)
    wanted = smiles.canonical(text)
    for _ in range(5):
        shuffled = graphs.part(molecule, rng.permutation(len(molecule.atoms)).tolist())
        assert smiles.canonical(shuffled) == wanted and smiles.same_molecule(shuffled, text)
    back = smiles.parse(wanted)
    assert smiles.canonical(back) == wanted
    for of in (0, 2, 3):
        assert sorted(back[of]) == sorted(molecule[of])
    assert Counter(order for *_, order in back.bonds) == Counter(order for *_, order in molecule.bonds)
    assert smiles.wiener_index(back) == smiles.wiener_index(molecule) if "." not in text else "." in wanted


def test_the_packaged_molecules_are_different():
    few = MOSES[:400]
    assert len({smiles.canonical(s) for s in few}) == len(few)


SAME = [
    ("OCC", "CCO"), ("C(C)(C)O", "CC(O)C"), ("c1ccccc1", "C1=CC=CC=C1"), ("Cc1ccccc1C", "CC1=C(C)C=CC=C1"),
    ("Cc1ccccc1C", "CC=1C=CC=CC1C"), ("c1ccc2ccccc2c1", "C1=CC2=CC=CC=C2C=C1"), ("C1CC1O", "OC2CC2"), ("CO.N", "N.OC"),
    ("c1ccccc1-c1ccccc1", "c1ccccc1c1ccccc1"), ("C[C@H](N)O", "C[C@@H](N)O"), ("[CH4]", "C"), ("N[C](C)C", "C[C](C)N"),
    ("C1.C1", "CC"), ("C12CC1C2", "C1C2CC12"), ("Cn1cccc1", "C1=CN(C)C=C1"),
    ("[H]N=C", "N=C"), ("[H]OC([H])[2H]", "CO"),
]  # fmt: skip
DIFFERENT = [
    ("CCO", "COC"), ("C1CCC2CCCCC2C1", "C1CCCC1C1CCCC1"), ("CC=C", "C1CC1"), ("CC(C)CO", "CCC(C)O"), ("C", "[CH3]"),
    ("Cc1ccccc1C", "Cc1cccc(C)c1"), ("C=CC=C", "CC#CC"), ("[NH4+]", "N"), ("Oc1ccccn1", "O=c1cccc[nH]1"), ("CC", "C.C"),
    ("C1CCCCC1.C1CCCCC1", "C1CCCCCCCCCCC1"), ("C1=CCCC1", "C=C1CCC1"), ("CC=CC=CCO", "CCC=CC=CO"),
    ("[H][H]", "[H]"), ("[NH3+]", "N"),
]  # fmt: skip


@pytest.mark.parametrize("a, b", SAME)
def test_two_ways_to_write_one_molecule(a, b):
    assert smiles.same_molecule(a, b) and smiles.canonical(a) == smiles.canonical(b)


@pytest.mark.parametrize("a, b", DIFFERENT)
def test_two_molecules(a, b):
    assert not smiles.same_molecule(a, b) and smiles.canonical(a) != smiles.canonical(b)


def cubic(rng, n):
    """A random connected graph of n atoms CH with three bonds each."""
    while True:
        ends = rng.permutation(np.repeat(np.arange(n), 3)).reshape(-1, 2)
        pairs = {(int(i), int(j)) for i, j in np.sort(ends, axis=1) if i < j}
        m = Molecule(n * ("C",), tuple((i, j, 1) for i, j in sorted(pairs)), n * (1,), n * (0,))
        if len(pairs) == 3 * n // 2 and len(graphs.distances(m, 0)) == n:
            return m


@pytest.mark.parametrize("n, draws, known", [(4, 5, 1), (6, 40, 2), (8, 300, 5), (10, 400, 19)])
def test_as_many_cubic_cages_as_there_are(n, draws, known):
    """Every atom looks like every other; only the search tells cages apart.  Numbers: Robinson and Wormald (1983)."""
    rng = np.random.default_rng(3)
    assert len({smiles.canonical(cubic(rng, n)) for _ in range(draws)}) == known


def test_benzene_is_delocalised_and_a_chain_is_not():
    assert {order for *_, order in graphs.delocalise(smiles.parse("c1ccccc1")).bonds} == {graphs.DELOCALISED}
    assert graphs.delocalise(chain := smiles.parse("C=CC=CC=C")) == chain
    fulvene = smiles.parse("C=C1C=CC=C1")  # no ring of alternating bonds: five bonds are an odd number
    assert graphs.delocalise(fulvene) == fulvene
    azulene = graphs.delocalise(smiles.parse("c1ccc2cccc2cc1"))  # the bond in common is single in both ways
    assert Counter(order for *_, order in azulene.bonds) == {graphs.DELOCALISED: 10, 1: 1}


def test_the_symmetric_cage_of_twenty_atoms_ends_soon(monkeypatch):
    """Its graph is the dodecahedron (Wiener index 500), with 120 symmetries; known ones leave few numberings to try."""
    cage = smiles.parse("C12C3C4C5C1C6C7C2C8C3C9C4C1C5C6C2C7C8C9C12")
    assert set(cage.hydrogens) == {1} and len(cage.bonds) == 30 and smiles.wiener_index(cage) == 500
    wanted, count, refine = smiles.canonical(cage), [], graphs._refine
    monkeypatch.setattr(graphs, "_refine", lambda *args: count.append(1) or refine(*args))
    for seed in range(5):
        shuffled = graphs.part(cage, np.random.default_rng(seed).permutation(20).tolist())
        assert smiles.canonical(shuffled) == wanted
    assert len(count) < 5 * 30


def test_ring_numbers_are_used_again_and_have_two_digits_when_ten_are_open():
    chain = "C" + 12 * "C1CCC1"
    assert smiles.canonical(chain).count("1") == 24 and "2" not in smiles.canonical(chain)
    n = 26  # a ladder bent to a ring and written along its rim: every rung stays open until the way back
    rungs = tuple((i, i + n // 2, 1) for i in range(n // 2))
    ladder = Molecule(n * ("C",), tuple(sorted((*((i, i + 1, 1) for i in range(n - 1)), (0, n - 1, 1), *rungs))),
                      n * (1,), n * (0,))  # fmt: skip
    along = smiles_canonical._depth_first(ladder)
    assert "%10" in along and "%13" in along and smiles.same_molecule(along, ladder)
