"""SMILES strings as a language: tokens, a stack grammar, valences, and a sentence for whoever broke a rule.

Read are the organic subset (B C N O P S F Cl Br I, lower case in aromatic rings), brackets with charge and hydrogens,
branches, ring closures, bonds and dots.  Aromatic rings need alternating double bonds (a perfect matching, as in RDKit;
Hueckel's 4n + 2 is not asked for).  Isotopes, @, / and \\ are read and left out.
Refused, though RDKit takes them: a lower-case atom without an aromatic neighbour, N with five bonds (nitro groups have
charges here: [N+](=O)[O-]), halogens with more than one bond.  Not decided, and refused: wild cards, and elements
outside groups 13 to 18 and hydrogen (metals).
Source: Weininger (1988), SMILES; Craig James et al., OpenSMILES specification (2007).
"""

import re
from typing import NamedTuple

from enm5310.molecular_graphs import Molecule, part, perfect_matching, ring_bonds, valences

_TOKEN = re.compile(r"\[[^\[\]]*\]|Br|Cl|%\d\d|[BCNOPSFIbcnops]|[-=#$:/\\().]|\d")
_BRACKET = re.compile(r"\[(\d*)(se|as|te|[bcnops]|[A-Z][a-z]?)(@{0,2})(?:H(\d?)())?([+-]\d?|\++|-+|)(?::\d+)?\]")
_ORDERS = {"-": 1, "/": 1, "\\": 1, "=": 2, "#": 3, "$": 4, ":": 1.5}
ORGANIC = {"B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I"}  # may stand without brackets
_KINDS = {"(": "(", ")": ")", ".": "."} | dict.fromkeys(_ORDERS, "bond")
_AFTER = {  # what may stand before each kind of token; a bond just after "(" belongs to an atom, not to a ring digit
    "atom": {"start", "atom", "bond", "first bond", "(", ")", "ring", "."},
    "bond": {"atom", "ring", ")", "("},
    "ring": {"atom", "ring", ")", "bond"},
    "(": {"atom", "ring", ")"},
    ")": {"atom", "ring", ")"},
    ".": {"atom", "ring", ")"},
    "end": {"atom", "ring", ")"},
}


class SmilesError(ValueError):
    """Why a string is not the SMILES of a molecule, in one sentence; positions count from 0."""


class _Atom(NamedTuple):
    symbol: str  # as an element: upper case first
    aromatic: bool
    hydrogens: int | None  # None: outside brackets, where the valence decides
    charge: int
    name: str  # for messages: "N at position 3"


def tokenize(smiles):
    """The tokens of a string, in order: "C(Cl)[nH]%12" -> C, (, Cl, ), [nH], %12.

    Raises SmilesError at a character that begins no token.  Any [...] is one token, whatever it holds.
    """
    return [token for token, _ in _tokens(smiles)]


def _tokens(smiles):
    at, found = 0, []
    while at < len(smiles):
        match = _TOKEN.match(smiles, at)
        if match is None:
            raise SmilesError(f"{smiles[at]!r} at position {at} begins no atom, bond, ring number or parenthesis")
        found.append((match[0], at))
        at = match.end()
    return found


def is_valid(smiles):
    """Whether the string follows the grammar and every atom a valence; see the module for what is not decided."""
    return why_invalid(smiles) is None


def why_invalid(smiles):
    """One sentence that says what is wrong first, with the position (from 0), or None for a valid string."""
    try:
        parse(smiles)
    except SmilesError as error:
        return str(error)
    return None


def parse(smiles):
    """The Molecule that the string writes, atoms in the order of the string, aromatic rings with alternating bonds.

    Hydrogens are counted, also those written as [H].
    Raises SmilesError with the sentence of `why_invalid`.
    """
    atoms, bonds = _read(_tokens(smiles))
    rings = ring_bonds(len(atoms), list(bonds))
    for (i, j), order in bonds.items():
        both = atoms[i].aromatic and atoms[j].aromatic
        if order == 1.5 and not both:
            raise SmilesError(f"':' joins {atoms[i].name} and {atoms[j].name}; it is for two lower-case atoms")
        if order is None or order == 1.5:  # not written: aromatic between aromatic atoms, if on a ring
            bonds[i, j] = 1.5 if both and (i, j) in rings else 1
    in_ring = {i for pair in rings for i in pair}
    for i, atom in enumerate(atoms):
        if atom.aromatic and i not in in_ring:
            raise SmilesError(f"{atom.name} is lower case, which is for rings, and lies on no ring")
    return _without_drawn_hydrogens(_fill(atoms, bonds))


# -------------------- the grammar --------------------


def _read(tokens):
    """Atoms, and {(i, j): order}, None where no bond is written."""
    atoms, bonds, rings, branches = [], {}, {}, []
    before, order, last, text = None, None, "start", ""
    for token, at in [*tokens, ("", None)]:
        kind = "end" if not token else _KINDS.get(token) or ("ring" if token[0] in "%0123456789" else "atom")
        if last not in _AFTER[kind]:
            raise SmilesError(_misplaced(token, at, text, kind, last))
        if kind == "atom":
            atoms.append(_atom(token, at))
            if before is not None:
                bonds[before, len(atoms) - 1] = order
            before, order = len(atoms) - 1, None
        elif kind == "bond":
            order, kind = _ORDERS[token], "first bond" if last == "(" else "bond"
        elif kind == "(":
            branches.append((before, at))
        elif kind == ")":
            if not branches:
                raise SmilesError(f"')' at position {at} closes no parenthesis")
            before = branches.pop()[0]
        elif kind == "ring":
            _ring(int(token.strip("%")), f"ring number {token} at position {at}", before, order, rings, bonds)
            order = None
        elif kind == ".":
            before = None
        last, text = kind, token
    if branches:
        raise SmilesError(f"'(' at position {branches[-1][1]} is never closed")
    if rings:
        raise SmilesError(f"{next(iter(rings.values()))[2]} is never closed")
    return atoms, bonds


def _misplaced(token, at, before, kind, last):
    if kind == "end":
        return f"the string ends after {before!r}, where an atom must follow" if before else "the string is empty"
    if (last, kind) == ("(", ")"):
        return f"the branch closed at position {at} is empty"
    place = "at the start" if last == "start" else f"after {before!r}"
    return f"{token!r} at position {at} cannot stand {place}"


def _atom(token, at):
    if token[0] != "[":
        return _Atom(token.capitalize(), token.islower(), None, 0, f"{token} at position {at}")
    match = _BRACKET.fullmatch(token)
    if match is None:
        raise SmilesError(f"{token} at position {at} is no atom; one in brackets is such as [nH], [O-] or [NH3+]")
    _, symbol, _, count, hydrogens, charge = match.groups()
    sign = -1 if charge[:1] == "-" else 1
    size = int(charge[1:]) if charge[1:].isdigit() else len(charge)
    number = int(count or 1) if hydrogens is not None else 0
    atom = _Atom(symbol.capitalize(), symbol.islower(), number, sign * size, f"{token} at position {at}")
    if not valences(atom.symbol, atom.charge):
        raise SmilesError(f"{atom.name} is an element or an ion whose valence is not known here")
    return atom


def _ring(number, name, atom, order, rings, bonds):
    if number not in rings:
        rings[number] = atom, order, name
        return
    other, first, _ = rings.pop(number)
    if other == atom:
        raise SmilesError(f"{name} joins an atom to itself")
    pair = min(other, atom), max(other, atom)
    if pair in bonds:
        raise SmilesError(f"{name} joins two atoms that are bonded already")
    if first and order and first != order:
        raise SmilesError(f"{name} is opened and closed with different bonds")
    bonds[pair] = first or order


# -------------------- hydrogens and double bonds --------------------


def _fill(atoms, bonds):
    """Gives hydrogens to atoms outside brackets, and the double bonds to aromatic rings."""
    used = [atom.hydrogens or 0 for atom in atoms]
    for (i, j), order in bonds.items():
        used[i] += int(order)  # 1 for an aromatic bond
        used[j] += int(order)
    room = [_room(atom, n) for atom, n in zip(atoms, used, strict=True)]
    table = {i: [] for i, atom in enumerate(atoms) if atom.aromatic and room[i]}
    for (i, j), order in bonds.items():
        if order == 1.5 and i in table and j in table:
            table[i].append(j)
            table[j].append(i)
    pairs = perfect_matching(table)
    if pairs is None:
        names = ", ".join(atoms[i].name for i in table)
        raise SmilesError(f"no alternating double bonds give each of these exactly one: {names}")
    for i, j in pairs:
        room[i], room[j] = room[i] - 1, room[j] - 1
    doubles = set(pairs)
    return Molecule(
        tuple(atom.symbol for atom in atoms),
        tuple(sorted((*pair, 2 if pair in doubles else int(order)) for pair, order in bonds.items())),
        tuple(r if atom.hydrogens is None else atom.hydrogens for atom, r in zip(atoms, room, strict=True)),
        tuple(atom.charge for atom in atoms),
    )


def _without_drawn_hydrogens(molecule):
    """[H]N=C as N=C: a hydrogen with one bond to another element counts there, and is no atom of the graph."""
    if "H" not in molecule.atoms:
        return molecule
    atoms, hydrogens, dropped = molecule.atoms, list(molecule.hydrogens), set()
    for i, j, _ in molecule.bonds:
        for h, other in ((i, j), (j, i)):
            if atoms[h] == "H" != atoms[other]:
                hydrogens[other] += 1
                dropped.add(h)
    kept = [k for k in range(len(atoms)) if k not in dropped]
    return part(molecule._replace(hydrogens=tuple(hydrogens)), kept)


def _room(atom, used):
    """Bonds left to the next valence of the atom: hydrogens outside brackets, unpaired electrons inside."""
    allowed = valences(atom.symbol, atom.charge)
    for v in allowed:
        if v >= used:
            return v - used
    brackets = f", {atom.hydrogens} of them to hydrogen" if atom.hydrogens else ""
    raise SmilesError(f"{atom.name} has {used} bonds{brackets}; it can have at most {allowed[-1]}")
