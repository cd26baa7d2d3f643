"""One SMILES string for each molecule: by sorting branches for trees, by canonical numbering where there are rings."""

from enm5310 import molecular_graphs as graphs
from enm5310.smiles_grammar import ORGANIC, parse

_BONDS = {1: "", 2: "=", 3: "#", 4: "$"}


def canonical(smiles):
    """One and the same string for all SMILES of a molecule (a string or a Molecule), and different ones for different.

    A molecule without rings starts at an end, with its shortest branches first: "OC(C)C" -> "CC(C)O".  One with rings
    is written with alternating double bonds, from the first atom of `molecular_graphs.canonical_order`.  Shape in space
    and isotopes are left out; tautomers and shifted charges are different molecules.
    """
    molecule = _molecule(smiles)
    parts = [graphs.part(molecule, atoms) for atoms in graphs.components(molecule)]
    return ".".join(sorted(_tree(p) if len(p.bonds) < len(p.atoms) else _with_rings(p) for p in parts))


def same_molecule(a, b):
    """Whether two SMILES strings or Molecules are the same graph, however their atoms are numbered."""
    a, b = _molecule(a), _molecule(b)
    return sorted(a.atoms) == sorted(b.atoms) and canonical(a) == canonical(b)


def _molecule(smiles):
    return parse(smiles) if isinstance(smiles, str) else smiles


def _tree(molecule):
    """The smallest of the strings that start at an end."""
    table = graphs.neighbours(molecule)
    names = [_name(molecule, i) for i in range(len(table))]
    bonds = [{j: _BONDS[order] for j, order in row.items()} for row in table]
    return min(_rooted(names, bonds, i) for i, row in enumerate(table) if len(row) <= 1)


def _rooted(names, bonds, root):
    """The string of a tree from `root`, branches before the main chain, shorter before longer, equally long sorted."""
    order, parent, text = [root], {root: root}, {}
    for i in order:
        for j in bonds[i]:
            if j != parent[i]:
                parent[j] = i
                order.append(j)
    for i in reversed(order):
        tails = sorted((bonds[i][j] + text[j] for j in bonds[i] if j != parent[i]), key=lambda s: (len(s), s))
        text[i] = names[i] + "".join(f"({tail})" for tail in tails[:-1]) + "".join(tails[-1:])
    return text[root]


def _with_rings(molecule):
    """Depth-first from the first canonical atom; the double bonds are the first matching in canonical numbers."""
    loose = graphs.delocalise(molecule)
    loose = graphs.part(loose, graphs.canonical_order(loose))
    table = {}
    for i, j, order in loose.bonds:
        if order == graphs.DELOCALISED:
            table.setdefault(i, []).append(j)
            table.setdefault(j, []).append(i)
    doubles = set(graphs.perfect_matching(table))
    bonds = tuple((i, j, order or 1 + ((i, j) in doubles)) for i, j, order in loose.bonds)
    return _depth_first(loose._replace(bonds=bonds))


def _depth_first(molecule):
    """The string of a graph from atom 0, neighbours in order of their numbers; ring bonds get the first free digit."""
    table, names = graphs.neighbours(molecule), [_name(molecule, i) for i in range(len(molecule.atoms))]
    parent, order = {}, []
    stack = [(0, None)]
    while stack:  # a depth-first tree: every bond outside it joins an atom to one of its ancestors
        i, above = stack.pop()
        if i in order:
            continue
        parent[i] = above
        order.append(i)
        stack.extend((j, i) for j in sorted(table[i], reverse=True) if j not in order)
    place = {i: k for k, i in enumerate(order)}
    free, open_ = list(range(1, 100)), {}
    digits = [""] * len(names)
    for i in order:
        ends = sorted((j for j in table[i] if parent[i] != j and parent[j] != i), key=place.get)
        for j in [j for j in ends if place[j] < place[i]]:
            digits[i] += _digit(open_[j, i])
            free = sorted([*free, open_.pop((j, i))])
        for j in [j for j in ends if place[j] > place[i]]:
            open_[i, j] = free.pop(0)
            digits[i] += _BONDS[table[i][j]] + _digit(open_[i, j])
    text = [name + digit for name, digit in zip(names, digits, strict=True)]
    for i in reversed(order):
        tails = [_BONDS[table[i][j]] + text[j] for j in sorted(table[i], key=place.get) if parent[j] == i]
        text[i] += "".join(f"({tail})" for tail in tails[:-1]) + "".join(tails[-1:])
    return text[0]


def _digit(number):
    return str(number) if number < 10 else f"%{number}"


def _name(molecule, i):
    """The atom as written: in brackets unless the valence alone gives its hydrogens."""
    element, hydrogens, charge = (of[i] for of in (molecule.atoms, molecule.hydrogens, molecule.charges))
    used = sum(order for a, b, order in molecule.bonds if i in (a, b))
    plain = next((v - used for v in graphs.valences(element) if v >= used), None)
    if element in ORGANIC and charge == 0 and plain == hydrogens:
        return element
    h = "H" * (hydrogens > 0) + (str(hydrogens) if hydrogens > 1 else "")
    sign = ("" if charge == 0 else "+" if charge > 0 else "-") + (str(abs(charge)) if abs(charge) > 1 else "")
    return f"[{element}{h}{sign}]"


def canonical_tree(names, parents):
    """The canonical string of a tree with single bonds; parents[k] is the earlier atom that k is bonded to, or None."""
    bonds = [{} for _ in names]
    for k, at in enumerate(parents):
        if at is not None:
            bonds[k][at] = bonds[at][k] = ""
    return min(_rooted(names, bonds, k) for k, row in enumerate(bonds) if len(row) <= 1)
