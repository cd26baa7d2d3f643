"""Where to draw the atoms of a molecule: bonds of length 1, angles of 120 degrees, rings as regular polygons.

Positions are complex numbers inside this module, so that a rotation is a product and a reflection a conjugate.
"""

from itertools import product
from math import pi

import numpy as np

from enm5310.molecular_graphs import components, distances, neighbours, part, ring_bonds
from enm5310.smiles_grammar import parse


def layout(smiles):
    """Positions (n, 2) of the atoms of a string or a Molecule, in its order; several parts stand side by side.

    Rings come first, then what hangs on them, always into the widest gap; then the two sides of single bonds are
    reflected while that takes atoms apart.  Ring systems that polygons cannot form are laid out by distances.
    """
    molecule = parse(smiles) if isinstance(smiles, str) else smiles
    z, left = np.zeros(len(molecule.atoms), dtype=complex), 0.0
    for atoms in components(molecule):
        piece = _component(part(molecule, atoms))
        z[atoms] = piece - piece.real.min() + left
        left = z[atoms].real.max() + 1.5
    return np.stack([z.real, z.imag], axis=1)


def _component(molecule):
    n, table = len(molecule.atoms), neighbours(molecule)
    rings = ring_bonds(n, [(i, j) for i, j, _ in molecule.bonds])
    systems = _systems(molecule, rings)
    far = max(distances(molecule, 0).items(), key=lambda item: item[1])[0]
    start = max(systems, key=lambda i: len(systems[i]), default=far)  # an end of the longest chain, if all is a chain
    z = _grow(table, systems, start)
    z = _unfold(molecule, rings, np.array([z[i] for i in range(n)]))
    centred = z - z.mean()
    slope = np.angle(np.sum(centred**2)) / 2  # of the longest axis
    return centred * np.exp(-1j * pi / 6 * round(slope / (pi / 6)))


# -------------------- rings --------------------


def _systems(molecule, bonds):
    """{atom on a ring: {atom: position} of all rings joined to it by shared atoms}."""
    table = neighbours(molecule)
    rings = list({frozenset(ring): ring for ring in (_ring(table, i, j) for i, j in sorted(bonds))}.values())
    found = {}
    while rings:
        system = {*rings[0]}
        while more := [ring for ring in rings if system & set(ring) and not system >= set(ring)]:
            system.update(*more)
        mine = [ring for ring in rings if set(ring) <= system]
        rings = [ring for ring in rings if not set(ring) <= system]
        z = _polygons(mine, table)
        inside = [(i, j) for i, j in bonds if i in system]
        lengths = [abs(z[i] - z[j]) for i, j in inside]
        apart = min(abs(z[i] - z[j]) for i in z for j in z if i < j)
        if max(lengths) > 1.2 or min(lengths) < 0.8 or apart < 0.5:
            z = _by_distances(molecule, sorted(system))
        found |= dict.fromkeys(system, z)
    return found


def _ring(table, i, j):
    """The atoms of a shortest ring through the bond i-j, in turn, i first and j last."""
    came = {i: None}
    for a in (queue := [i]):
        for b in table[a]:
            if b not in came and {a, b} != {i, j}:
                came[b] = a
                queue.append(b)
    ring = [j]
    while ring[-1] != i:
        ring.append(came[ring[-1]])
    return ring[::-1]


def _polygons(rings, table):
    """Regular polygons, each set on a side (or, failing that, an atom) of those that stand already."""
    z = _polygon(rings[0], {rings[0][0]: 0, rings[0][1]: 1}, 1)
    while left := [ring for ring in rings if not set(ring) <= set(z)]:
        turned = [ring[k:] + ring[:k] for ring in left for k in range(len(ring))]
        edges = [ring for ring in turned if ring[0] in z and ring[1] in z]
        if edges:
            new = max((_polygon(edges[0], z, turn) for turn in (1, -1)), key=lambda new: _clearance(new, z))
        else:
            ring = next(ring for ring in turned if ring[0] in z)
            out, m = _outward(ring[0], z, table), len(ring)
            new = _polygon(ring, z | {ring[1]: z[ring[0]] + out * np.exp(-0.5j * pi * (m - 2) / m)}, 1)
        z = new | z
    return z


def _polygon(ring, z, turn):
    """The ring as a polygon with sides of length 1 on its first two atoms, to their left (turn 1) or right (-1)."""
    new = {i: z[i] for i in ring[:2]}
    for a, b, c in zip(ring, ring[1:], ring[2:], strict=False):
        new[c] = new[b] + (new[b] - new[a]) * np.exp(2j * pi * turn / len(ring))
    return new


def _clearance(new, z):
    return min((abs(new[i] - z[j]) for i in new for j in z if i not in z), default=0)


def _outward(i, z, table):
    """The unit vector from atom i away from its neighbours in z."""
    inward = sum(z[j] - z[i] for j in table[i] if j in z)
    return -inward / abs(inward)


def _by_distances(molecule, atoms):
    """Positions whose distances are near the numbers of bonds between atoms: stress majorisation.

    Starts from classical scaling; each step moves every atom to the weighted mean of where the others want it.
    Source: Gansner, Koren and North (2004), Graph drawing by stress majorization.
    """
    piece = part(molecule, atoms)
    n = len(atoms)
    D = np.array([[distances(piece, i)[j] for j in range(n)] for i in range(n)], dtype=float)
    J = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-J @ D**2 @ J / 2)
    x, y = (vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0.1))).T
    z = x + 1j * y + 0.01 * np.exp(1j * np.arange(n))  # no two atoms in one place
    weight = 1 / (D + np.eye(n)) ** 2 * (1 - np.eye(n))
    for _ in range(200):
        apart = z[:, None] - z
        z = np.sum(weight * (z + D * apart / np.maximum(abs(apart), 1e-9)), axis=1) / weight.sum(axis=1)
    scale = np.mean([abs(z[i] - z[j]) for i, j, _ in piece.bonds])
    return dict(zip(atoms, z / scale, strict=True))


# -------------------- chains --------------------


def _grow(table, systems, start):
    """{atom: position}, from the start outwards; a ring system comes as a whole, turned to face where it hangs."""
    z = dict(systems.get(start, {start: 0j}))
    for i in (queue := list(z)):
        new = [j for j in table[i] if j not in z]
        for j, u in zip(new, _directions(i, len(new), z, table[i]), strict=True):
            local = systems.get(j, {j: 0j})
            turn = u / -_outward(j, local, table) if len(local) > 1 else 1
            z |= {k: z[i] + u + (local[k] - local[j]) * turn for k in local}
            queue += local
    return z


def _directions(i, k, z, bonds):
    """k unit vectors from atom i into the widest gap between its neighbours; one from one neighbour, at 120 degrees."""
    placed = sorted(np.angle(z[j] - z[i]) for j in bonds if j in z)
    straight = 3 in bonds.values() or list(bonds.values()).count(2) == 2
    if not placed:
        return [np.exp(2j * pi * m / max(k, 3 - straight)) for m in range(k)]
    if len(placed) == k == 1 and not straight:
        choices = [np.exp(1j * (placed[0] + turn * 2 * pi / 3)) for turn in (1, -1)]
        return [max(choices, key=lambda u: min(abs(z[i] + u - z[j]) for j in z))]
    gaps = [(b - a, a) for a, b in zip(placed, [*placed[1:], placed[0] + 2 * pi], strict=True)]
    wide, first = max(gaps)
    return [np.exp(1j * (first + wide * (m + 1) / (k + 1))) for m in range(k)]


def _unfold(molecule, rings, z):
    """Reflects one side of a bond outside rings at its line, as long as that takes atoms apart; if two still are too
    near, also turns one side by 30 degrees."""
    sides = []
    for i, j, _ in molecule.bonds:
        if (i, j) not in rings:
            cut = molecule._replace(bonds=tuple(b for b in molecule.bonds if b[:2] != (i, j)))
            sides += [(i, j, sorted(distances(cut, j))), (j, i, sorted(distances(cut, i)))]
    z = _lowest(z, sides, [_reflect], 1e-6)
    apart = abs(z[:, None] - z) + 9 * np.eye(len(z))
    return _lowest(z, sides, [_reflect, _turn(pi / 6), _turn(-pi / 6)], 1) if apart.min() < 0.6 else z


def _lowest(z, sides, moves, least):
    """Moves sides as long as one lowers the sum of 1 / distance^4 by `least`."""
    energy, lower = _crowding(z), True
    while lower:
        lower = False
        for (i, j, side), move in product(sides, moves):
            new = z.copy()
            new[side] = move(z[side], z[i], z[j])
            if (crowding := _crowding(new)) < energy - least:
                z, energy, lower = new, crowding, True
    return z


def _reflect(side, a, b):
    return a + (b - a) * np.conj((side - a) / (b - a))


def _turn(angle):
    return lambda side, a, b: a + (side - a) * np.exp(1j * angle)


def _crowding(z):
    return np.sum(1 / (abs(z[:, None] - z) ** 2 + 0.01) ** 2)
