"""Molecules as graphs: valences, rings, double bonds that alternate, and an exact canonical numbering of the atoms.

Atoms are numbered from 0; a bond is (i, j, order) with i < j and order 1, 2, 3 or 4.  Shape in space (R/S, E/Z) and
isotopes are left out, so molecules that differ in nothing else count as the same.
"""

from typing import NamedTuple

_PERIODS = ("B C N O F Ne", "Al Si P S Cl Ar", "Ga Ge As Se Br Kr", "In Sn Sb Te I Xe")
_SECOND = ((3,), (4,), (3,), (2,), (1,), (0,))
_LATER = ((3,), (4,), (3, 5), (2, 4, 6), (1,), (0,))  # from the third period on, more than an octet
DELOCALISED = 0  # the order of a bond that is single in one way of writing the molecule and double in another


class Molecule(NamedTuple):
    """A graph without drawn hydrogens: one element, hydrogen count and charge per atom, and bonds (i, j, order)."""

    atoms: tuple  # "C", "N", "Cl", ...
    bonds: tuple  # (i, j, order), i < j
    hydrogens: tuple  # on each atom
    charges: tuple


def valences(element, charge=0):
    """How many bonds, hydrogens included, an atom may have: C (4,), S (2, 4, 6), N+ as C (4,), O- as F (1,).

    An ion has the valences of the neutral atom with as many electrons.  () for elements outside groups 13 to 18 and H.
    """
    if element == "H":
        return {-1: (0,), 0: (1,), 1: (0,)}.get(charge, ())
    for period in map(str.split, _PERIODS):
        if element in period:
            column = period.index(element) - charge
            return (_SECOND if "C" in period else _LATER)[column] if 0 <= column < len(period) else ()
    return ()


def neighbours(molecule):
    """[{j: order of the bond i-j}] for every atom i."""
    table = [{} for _ in molecule.atoms]
    for i, j, order in molecule.bonds:
        table[i][j] = table[j][i] = order
    return table


def distances(molecule, start):
    """{atom: number of bonds on the shortest way from `start`}, in the order of breadth-first search."""
    table, far = neighbours(molecule), {start: 0}
    for i in (queue := [start]):
        for j in table[i]:
            if j not in far:
                far[j] = far[i] + 1
                queue.append(j)
    return far


def components(molecule):
    """The connected parts, each a sorted list of atoms."""
    left, parts = set(range(len(molecule.atoms))), []
    while left:
        parts.append(sorted(distances(molecule, min(left))))
        left.difference_update(parts[-1])
    return parts


def part(molecule, atoms):
    """The molecule made of `atoms`, renumbered 0, 1, ... in the order given; bonds to other atoms are cut."""
    new = {i: k for k, i in enumerate(atoms)}
    bonds = [(*sorted((new[i], new[j])), order) for i, j, order in molecule.bonds if i in new and j in new]
    elements, hydrogens, charges = (
        tuple(of[i] for i in atoms) for of in (molecule.atoms, molecule.hydrogens, molecule.charges)
    )
    return Molecule(elements, tuple(sorted(bonds)), hydrogens, charges)


def ring_bonds(n, pairs):
    """The set of those pairs (i, j), i < j, of n atoms that lie on a ring.

    A bond outside a spanning forest closes one ring with it; every ring bond lies on one of these.
    """
    table = [[] for _ in range(n)]
    for i, j in pairs:
        table[i].append(j)
        table[j].append(i)
    parent, depth = [-1] * n, [-1] * n
    for root in range(n):
        if depth[root] < 0:
            depth[root] = 0
            for i in (queue := [root]):
                for j in table[i]:
                    if depth[j] < 0:
                        parent[j], depth[j] = i, depth[i] + 1
                        queue.append(j)
    found = set()
    for i, j in pairs:
        if parent[i] != j and parent[j] != i:
            found.add((i, j))
            while i != j:
                i, j = (i, j) if depth[i] >= depth[j] else (j, i)
                found.add((min(i, parent[i]), max(i, parent[i])))
                i = parent[i]
    return found


def perfect_matching(table):
    """Pairs of neighbours, each vertex in exactly one, or None; table = {vertex: [neighbours]}.

    Always pairs the vertex with the fewest free neighbours next, so that in rings nearly every step is forced; what was
    found to be impossible is not tried again.  The answer depends on the table alone.
    """
    impossible = set()

    def match(free):
        if not free:
            return ()
        if free in impossible:
            return None
        i = min(free, key=lambda i: (sum(j in free for j in table[i]), i))
        for j in sorted(table[i]):
            if j in free and (rest := match(free - {i, j})) is not None:
                return ((min(i, j), max(i, j)), *rest)
        impossible.add(free)
        return None

    return match(frozenset(table))


def delocalise(molecule):
    """The molecule with the order DELOCALISED for every bond on a ring of alternately single and double bonds.

    The double bonds between atoms with one double bond each are a matching; two matchings of the same atoms differ by
    rings of alternating bonds, so that all ways to draw the double bonds of benzene give one graph.
    """
    table = neighbours(molecule)
    double = [[j for j, order in row.items() if order == 2] for row in table]
    able = {i for i, ends in enumerate(double) if len(ends) == 1}
    rings = ring_bonds(len(table), [(i, j) for i, j, _ in molecule.bonds if i in able and j in able])
    links = {i: [j for j in table[i] if (min(i, j), max(i, j)) in rings] for i in able}
    found = set()
    for i, j in rings:
        if (i, j) not in found and (ring := _alternating_ring(table, links, [i, j])):
            found.update((min(a, b), max(a, b)) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
    bonds = tuple((i, j, DELOCALISED if (i, j) in found else order) for i, j, order in molecule.bonds)
    return molecule._replace(bonds=bonds)


def _alternating_ring(table, links, path):
    """Extends `path` (>= 2 atoms) to a ring whose bonds are 1, 2, 1, 2, ... in turn, or None."""
    wanted = 3 - table[path[-2]][path[-1]]
    for j in links[path[-1]]:
        if table[path[-1]][j] == wanted:
            if j == path[0] and len(path) > 2 and wanted != table[path[0]][path[1]]:
                return path
            if j not in path and (ring := _alternating_ring(table, links, [*path, j])):
                return ring
    return None


# -------------------- canonical numbering --------------------


def canonical_order(molecule):
    """The atoms in an order that depends on the molecule alone and not on the numbers they came with.

    Colours (element, hydrogens, charge) are refined by the colours of the neighbours until nothing changes; among atoms
    that stay alike, each in turn is singled out and the search goes on.  Of all numberings reached so, the one with the
    smallest list of bonds is taken.  Two equal lists are a symmetry, and atoms that known symmetries exchange need not
    be tried twice (McKay, 1981, Practical graph isomorphism).
    """
    table = [[(j, order) for j, order in row.items()] for row in neighbours(molecule)]
    leaves, symmetries = {}, []

    def search(colors, fixed):
        colors = _refine(table, colors)
        cells = {}
        for i, c in enumerate(colors):
            cells.setdefault(c, []).append(i)
        cell = next((cells[c] for c in sorted(cells) if len(cells[c]) > 1), None)
        if cell is None:
            bonds = tuple(sorted((*sorted((colors[i], colors[j])), order) for i, j, order in molecule.bonds))
            if bonds in leaves:
                at = {c: i for i, c in enumerate(colors)}
                symmetries.append([at[c] for c in leaves[bonds]])
            else:
                leaves[bonds] = colors
            return
        tried = set()
        for i in cell:
            if i not in tried:
                search([2 * c + (c == colors[i] and j != i) for j, c in enumerate(colors)], [*fixed, i])
                tried |= _orbit({i, *tried}, [s for s in symmetries if all(s[k] == k for k in fixed)])

    ends_first = [-h for h in molecule.hydrogens]
    search(_ranks(list(zip(molecule.atoms, ends_first, molecule.charges, strict=True))), [])
    colors = leaves[min(leaves)]
    return sorted(range(len(colors)), key=colors.__getitem__)


def _ranks(keys):
    rank = {key: r for r, key in enumerate(sorted(set(keys)))}
    return [rank[key] for key in keys]


def _refine(table, colors):
    """Splits colours by the colours of the neighbours, until none splits; the order of the old colours is kept."""
    colors, count = _ranks(colors), 0
    while len(set(colors)) > count:
        count = len(set(colors))
        colors = _ranks([(colors[i], *sorted(5 * colors[j] + o for j, o in row)) for i, row in enumerate(table)])
    return colors


def _orbit(atoms, symmetries):
    """All atoms that the symmetries lead to from `atoms`."""
    for i in (queue := list(atoms)):
        for s in symmetries:
            if s[i] not in atoms:
                atoms.add(s[i])
                queue.append(s[i])
    return atoms
