"""What the checks of part 8 believe themselves: their parser, their molecules, the odds of a random search."""

import itertools
import math

import numpy as np

from enm5310 import smiles
from enm5310.checks import part8
from tests.exercises.part8 import valid_by_recursive_descent, valid_by_rewriting


def judged(s):
    return part8._bonds(s) is not None and part8._fits(s)


def test_the_parser_agrees_with_three_others_on_every_short_string():
    strings = ["".join(letters) for n in range(6) for letters in itertools.product("CNO()", repeat=n)]
    wanted = [judged(s) for s in strings]
    assert len(strings) == 3906 and 0 < sum(wanted) < len(strings) / 2
    assert wanted == valid_by_rewriting(strings) == valid_by_recursive_descent(strings)
    assert wanted == [smiles.is_valid(s) for s in strings]


def test_all_1885_molecules_of_the_lecture_are_valid_and_have_their_wiener_index():
    assert len(smiles.teaching_set()) == 1885
    for s in smiles.teaching_set():
        assert judged(s) and part8._property(s) == smiles.wiener_index(s)


def test_grown_molecules_have_the_bonds_they_were_asked_for():
    rng = np.random.default_rng(0)
    for core, room in part8.VALENCE.items():
        for degree in (room, room + 1, room + 2):
            for inner in (False, True):
                s = part8._grown(rng, core, degree, inner, 2)
                assert judged(s) == smiles.is_valid(s) == (degree == room), s


def test_a_random_search_reaches_the_limit_as_rarely_as_the_volume_says():
    rng, n = np.random.default_rng(1), 400_000
    landscape = part8._Landscape(rng)
    far = np.linalg.norm((rng.uniform(-3, 3, size=(n, part8.K)) - landscape.goal) @ landscape.A, axis=1)
    chain = np.floor(part8.LONGEST / np.sqrt(1 + far**2 / landscape.s))
    index = (chain**3 - chain) / 6
    for share in (1e-3, 1e-4):  # of the points themselves: seen often enough to count
        hits = np.sum(index >= landscape.limit(part8.ODDS / share))
        assert 0 < hits < share * n + 5 * math.sqrt(share * n)


def test_the_limit_is_the_first_chain_inside_a_ball_of_that_volume():
    volume = 1.0
    for k in range(2, part8.K + 1, 2):
        volume *= 2 * math.pi / k  # V_k = V_{k-2} 2 pi / k
    landscape = part8._Landscape(np.random.default_rng(3))
    assert abs(abs(np.linalg.det(landscape.A)) - 1) < 1e-12  # so that an ellipsoid has the volume of the ball
    for calls in (10, 900, 10**5):
        n = round((6 * landscape.limit(calls)) ** (1 / 3))
        inside, outside = (math.sqrt(landscape.s * ((part8.LONGEST / m) ** 2 - 1)) for m in (n, n - 1))
        shares = [volume * r**part8.K / 6**part8.K * calls for r in (inside, outside)]
        assert shares[0] < part8.ODDS <= shares[1]


def test_the_decoder_writes_the_chain_that_the_distance_says_or_none():
    rng = np.random.default_rng(2)
    landscape, broken = part8._Landscape(rng), 0
    for z in rng.uniform(-3, 3, size=(300, part8.K)):
        far = np.linalg.norm((z - landscape.goal) @ landscape.A)
        n = math.floor(part8.LONGEST / math.sqrt(1 + far**2 / landscape.s))
        value = part8._property(landscape.decode(z))
        broken += math.isnan(value)
        assert math.isnan(value) or value == (n**3 - n) / 6
    assert 59 < broken < 141  # a third of 300, within five standard errors
    assert part8._property(landscape.decode(landscape.goal)) == (60**3 - 60) / 6
