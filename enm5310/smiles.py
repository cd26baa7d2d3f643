"""Molecules as SMILES strings (slide 12): one-hot sequences, all small molecules, and a property that needs no table.

Strings are checked by `enm5310.smiles_grammar` and made unique by `enm5310.smiles_canonical`; the functions are here
too, so that one import serves the lecture.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from enm5310.molecular_graphs import distances, valences
from enm5310.smiles_canonical import canonical, canonical_tree, same_molecule
from enm5310.smiles_grammar import SmilesError, is_valid, parse, tokenize, why_invalid

__all__ = [
    "PAD", "OneHot", "SmilesError", "canonical", "enumerate_molecules", "from_indices", "from_one_hot", "is_valid",
    "one_hot", "parse", "same_molecule", "teaching_set", "tokenize", "vocabulary", "why_invalid", "wiener_index",
]  # fmt: skip
PAD = " "  # fills a sequence up to the common length; always token 0 of a vocabulary


# -------------------- strings and arrays --------------------


class OneHot(NamedTuple):
    """What `one_hot(..., skip=True)` could write, and how much it left out."""

    data: np.ndarray  # (n, length, V)
    kept: np.ndarray  # (n,) indices into the list of strings
    skipped: int


def vocabulary(smiles):
    """The tokens that occur in a list of strings, a sorted tuple with PAD in front: (" ", "(", ")", "C", "N", "O")."""
    tokens = sorted({token for s in _listed(smiles) for token in tokenize(s)})
    if not tokens:
        raise ValueError("no strings, so no tokens; give at least one SMILES string")
    return (PAD, *tokens)


def one_hot(smiles, vocabulary, length=None, *, skip=False):
    """X[i, t, v] = 1 where token t of string i is vocabulary[v], and PAD after its end; (n, length, V) float32.

    length: by default that of the longest string.  A string that is empty, has a token outside the vocabulary or more
    than `length` tokens raises ValueError; with skip=True it is left out, and a OneHot says which were kept.
    """
    index, rows, kept = {token: v for v, token in enumerate(vocabulary)}, [], []
    if PAD not in index:
        raise ValueError(f"the vocabulary {vocabulary} lacks {PAD!r}, which fills up; `smiles.vocabulary` makes one")
    for i, s in enumerate(_listed(smiles)):
        try:
            rows.append(_indices(s, index, length))
            kept.append(i)
        except ValueError as why:
            if not skip:
                raise ValueError(f"string {i}, {s!r}: {why}") from None
    if not rows and not skip:
        raise ValueError("the list of strings is empty")
    length = max(map(len, rows), default=0) if length is None else length
    full = np.array([row + [index[PAD]] * (length - len(row)) for row in rows], dtype=int).reshape(len(rows), length)
    data = np.eye(len(vocabulary), dtype=np.float32)[full]
    return OneHot(data, np.array(kept, dtype=int), len(smiles) - len(kept)) if skip else data


def _listed(smiles):
    if isinstance(smiles, str):
        raise ValueError(f"{smiles!r} is one string; give a list of strings")
    return smiles


def _indices(s, index, length):
    tokens = tokenize(s)
    if not tokens:
        raise ValueError("the string is empty")
    for t, token in enumerate(tokens):
        if token not in index:
            raise ValueError(f"token {t}, {token!r}, is not in the vocabulary")
    if length is not None and len(tokens) > length:
        raise ValueError(f"{len(tokens)} tokens do not fit in length {length}")
    return [index[token] for token in tokens]


def from_indices(indices, vocabulary):
    """The strings of token numbers (n, length); each ends before its first PAD."""
    words = np.array(vocabulary, dtype=object)[np.asarray(indices)]
    return ["".join(row).partition(PAD)[0] for row in words]


def from_one_hot(X, vocabulary):
    """The strings of X (n, length, V), one-hot or probabilities: the largest entry is the token."""
    return from_indices(np.argmax(X, axis=-1), vocabulary)


# -------------------- all small molecules --------------------


def enumerate_molecules(n_max=6, hetero=None):
    """All molecules of at most n_max atoms C, N, O with single bonds and no rings, as canonical strings.

    3, 6, 18, 65, 258, 1140 of 1, 2, ..., 6 atoms, by size and then sorted.  hetero: at most so many N and O.
    Every tree has an end, so that adding an end in every way to the molecules of n - 1 atoms gives those of n.
    """
    found, size = [], {"": ("", ())}  # canonical string: (letters, the earlier atom that each is bonded to)
    for _ in range(n_max):
        grown = {}
        for names, parents in size.values():
            for atom in "CNO":
                if hetero is None or sum(a != "C" for a in names + atom) <= hetero:
                    for at in _places(names, parents):
                        tree = names + atom, (*parents, at)
                        grown.setdefault(canonical_tree(names + atom, (*parents, at)), tree)
        size = grown
        found += sorted(size)
    return found


@cache
def teaching_set():
    """The 1,885 molecules of the lecture, a tuple: all 1,490 of at most 6 atoms, 395 of 7 with at most 2 N and O.

    Strings of `enumerate_molecules`, at most 13 tokens of (" ", "(", ")", "C", "N", "O").
    """
    seven = [s for s in enumerate_molecules(7, hetero=2) if sum(c in "CNO" for c in s) == 7]
    return (*enumerate_molecules(6), *seven)


def _places(names, parents):
    """The atoms with a free valence; for no atoms, the start."""
    used = [(k > 0) + parents.count(k) for k in range(len(names))]
    return [k for k, a in enumerate(names) if used[k] < valences(a)[0]] if names else [None]


# -------------------- a property --------------------


def wiener_index(smiles):
    """W = the sum of distances in bonds over all unordered pairs of atoms, of a string or a Molecule.

    (n^3 - n) / 6 for a chain and (n - 1)^2 for a star, the largest and the smallest among trees of n atoms.
    Raises ValueError for a molecule in several parts.  Source: Wiener (1947), who predicted boiling points by it.
    """
    molecule = parse(smiles) if isinstance(smiles, str) else smiles
    far = [distances(molecule, i) for i in range(len(molecule.atoms))]
    if len(far[0]) < len(far):
        raise ValueError(f"{smiles!r} has several parts, and there is no distance between them")
    return sum(sum(row.values()) for row in far) // 2
