"""depiction: lengths, angles and polygons that geometry knows, and no two atoms in one place."""

from math import pi, sin, sqrt

import numpy as np
import pytest

from enm5310 import depiction, smiles
from enm5310.depiction import layout
from tests.test_smiles import MOSES


def lengths_and_apart(text):
    """Lengths of the bonds, and the smallest distance between two atoms."""
    X = layout(text)
    assert X.shape == (len(smiles.parse(text).atoms), 2) and np.isfinite(X).all()
    D = np.linalg.norm(X[:, None] - X, axis=-1)
    return np.array([D[i, j] for i, j, _ in smiles.parse(text).bonds]), np.min(D + 9 * np.eye(len(X)))


def angle(X, i, j, k):
    a, b = X[i] - X[j], X[k] - X[j]
    return np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


@pytest.mark.parametrize("n", range(3, 12))
def test_a_chain_is_a_zigzag_along_the_axis(n):
    X = layout("C" * n)
    assert np.ptp(X[:, 0]) == pytest.approx((n - 1) * sqrt(3) / 2)
    assert np.ptp(X[:, 1]) == pytest.approx(0.5)
    np.testing.assert_allclose([angle(X, i, i + 1, i + 2) for i in range(n - 2)], 120)


@pytest.mark.parametrize("n", range(3, 13))
def test_a_ring_is_a_regular_polygon(n):
    X = layout("C1" + "C" * (n - 2) + "C1")
    np.testing.assert_allclose(np.linalg.norm(X - X.mean(axis=0), axis=1), 1 / (2 * sin(pi / n)))
    np.testing.assert_allclose(np.linalg.norm(X - np.roll(X, 1, axis=0), axis=1), 1)


@pytest.mark.parametrize("text, second", [
    ("c1ccc2ccccc2c1", sqrt(3)), ("c1cc2ccc3cccc4ccc(c1)c2c34", sqrt(3)), ("c1ccc2cc3ccccc3cc2c1", sqrt(3)),
    ("C1CC2CCC1CC2", 0), ("c1ccc2[nH]ccc2c1", 2 * sin(3 * pi / 10)), ("C1CCC2(CC1)CCCC2", 2 * sin(pi * 33 / 180)),
])  # fmt: skip
def test_rings_share_sides_and_atoms(text, second):
    """second: the smallest distance between atoms without a bond: in honeycombs, in pentagons, and where two rings
    of six and five atoms share one, which leaves (360 - 120 - 108) / 2 = 66 degrees between them."""
    lengths, _ = lengths_and_apart(text)
    X = layout(text)
    D = np.linalg.norm(X[:, None] - X, axis=-1) + 9 * np.eye(len(X))
    for i, j, _ in smiles.parse(text).bonds:
        D[i, j] = D[j, i] = 9
    if second:
        np.testing.assert_allclose(lengths, 1)
        assert D.min() == pytest.approx(second)
    else:  # three bridges: no polygons
        assert 0.6 < lengths.min() and lengths.max() < 1.5 and D.min() > 0.5


def test_triple_bonds_are_straight_and_substituents_halve_the_outer_angle():
    X = layout("CC#CC")
    assert angle(X, 0, 1, 2) == pytest.approx(180) and angle(X, 1, 2, 3) == pytest.approx(180)
    assert angle(layout("C=C=C"), 0, 1, 2) == pytest.approx(180)
    X = layout("Cc1ccccc1")
    np.testing.assert_allclose([angle(X, 0, 1, 2), angle(X, 0, 1, 6)], 120)
    X = layout("CC(C)(C)C")
    np.testing.assert_allclose(sorted(angle(X, i, 1, j) for i, j in [(0, 2), (0, 3), (0, 4), (2, 3)])[:2], 90)


def test_small_molecules_have_bonds_of_length_one_and_no_atoms_in_one_place():
    for s in smiles.teaching_set()[::4]:
        lengths, apart = lengths_and_apart(s)
        assert np.allclose(lengths, 1) and (len(lengths) == 0 or apart > 0.6), s


def test_real_molecules_have_room():
    found = [lengths_and_apart(s) for s in MOSES[:200]]
    assert np.mean([np.allclose(lengths, 1) for lengths, _ in found]) >= 0.98  # others have bridges
    assert min(apart for _, apart in found) > 0.3 and np.mean([apart > 0.6 for _, apart in found]) >= 0.98
    assert min(lengths.min() for lengths, _ in found) > 0.6 and max(lengths.max() for lengths, _ in found) < 1.5


def test_atoms_on_top_of_each_other_are_turned_away():
    """Two branches of one ring atom whose second atoms would coincide, whatever side they are reflected to."""
    for s in ("Cc1ccccc1C1(CNC(=O)c2ccco2)CCOCC1", "Cc1nn(C)c2ncc(C(=O)NC3(C(N)=O)CCCCC3)cc12"):
        lengths, apart = lengths_and_apart(s)
        assert np.allclose(lengths, 1) and apart > 0.4, s


def test_parts_stand_side_by_side_and_the_order_is_that_of_the_string():
    X = layout("CCO.c1ccccc1.N")
    assert X[:3, 0].max() + 1.4 < X[3:9, 0].min() and X[3:9, 0].max() + 1.4 < X[9, 0]
    np.testing.assert_array_equal(layout(smiles.parse("CCO")), layout("CCO"))
    assert np.linalg.norm(X[0] - X[2]) > 1.5


def test_distances_of_a_chain_are_met():
    place = depiction._by_distances(smiles.parse("CCCCC"), [0, 1, 2, 3, 4])
    for i in range(5):
        for j in range(5):
            assert abs(place[i] - place[j]) == pytest.approx(abs(i - j), abs=0.02)
