"""Strings that cannot be wrong: the idea of SELFIES for molecules of C, N, O with single bonds and no rings.

A token is an instruction and not a letter of the result.  It is carried out as far as the free bonds of the last atom
allow, so that every sequence of tokens ends in a molecule.  The alphabet is ours and for teaching; that of the package
selfies, for all of chemistry, is in `enm5310.chem`.  Source of the idea: Krenn et al. (2020), Self-referencing embedded
strings (SELFIES).
"""

from enm5310.molecular_graphs import neighbours, valences
from enm5310.smiles_canonical import canonical, canonical_tree
from enm5310.smiles_grammar import parse, tokenize

BRANCH = "[branch]"
ALPHABET = ("C", "N", "O", BRANCH)  # just after BRANCH these are the numbers 1, 2, 3, 4


def decode(text):
    """The canonical SMILES string of any sequence of tokens: "CC[branch]CON" -> C, C, a branch of one token (O), N.

    An atom is bonded to the one before it.  BRANCH reads the next token as a number q and the q tokens after it as a
    branch; it does nothing at the start, at the end, or when the atom has only one bond left, which the chain needs: so
    there always is one.  A sequence without atoms is methane, "C".
    Raises ValueError for tokens outside ALPHABET.
    """
    tokens = tokenize(text)
    if unknown := set(tokens) - set(ALPHABET):
        raise ValueError(f"{sorted(unknown)} are not among the tokens {ALPHABET}")
    names, parents = [], []
    _derive(tokens, None, 1, names, parents)
    return canonical_tree(names, parents) if names else "C"


def _derive(tokens, last, free, names, parents):
    """Carries out the tokens; `last` is the atom to go on from, and `free` its bonds."""
    left = list(tokens)
    while left:
        token = left.pop(0)
        if token != BRANCH:
            free = valences(token)[0] - (last is not None)
            parents.append(last)
            names.append(token)
            last = len(names) - 1
        elif last is not None and free > 1 and left:
            q = ALPHABET.index(left.pop(0)) + 1
            before = len(names)
            _derive(left[:q], last, 1, names, parents)
            free -= len(names) > before
            left = left[q:]


def encode(smiles):
    """The tokens of a molecule, as one string: "CC(O)N" -> "CC[branch]CNO"; decode(encode(s)) == canonical(s).

    Raises ValueError for other atoms, bonds or rings, and for a branch of more than four tokens.
    """
    molecule = parse(canonical(smiles))
    table = neighbours(molecule)
    plain = set(molecule.atoms) <= set("CNO") and all(order == 1 for _, _, order in molecule.bonds)
    if not plain or len(molecule.bonds) != len(table) - 1 or any(molecule.charges):
        raise ValueError(f"{smiles!r} is not a molecule of C, N, O with single bonds and no rings")
    return "".join(_tokens_from(molecule.atoms, table, 0, None, smiles))


def _tokens_from(atoms, table, i, above, smiles):
    tails = sorted((_tokens_from(atoms, table, j, i, smiles) for j in table[i] if j != above), key=len)
    *branches, main = tails or [[]]
    tokens = [atoms[i]]
    for branch in branches:
        if len(branch) > len(ALPHABET):
            raise ValueError(f"{smiles!r} has a branch of {len(branch)} tokens; at most {len(ALPHABET)} can be told")
        tokens += [BRANCH, ALPHABET[len(branch) - 1], *branch]
    return tokens + main
