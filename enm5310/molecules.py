"""Molecules through a VAE of strings (slide 12): train it, encode, decode, sample, walk, and judge what comes out.

The model is `enm5310.string_vae`, whose functions are here too; this module speaks SMILES, and any other language that
`smiles.tokenize` reads: SELFIES, or the tokens of `enm5310.derivation`.  Properties are in the unit of the data.
Source: Gomez-Bombarelli et al., ACS Central Science 4 (2018) 268-276.
"""

from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd import value_and_grad

from enm5310 import latent, nets, optimize, smiles, training
from enm5310.fused import affine
from enm5310.molecular_graphs import distances
from enm5310.sequences import gru
from enm5310.string_vae import Elbo, before, counted, elbo, encode, init, logits, predict, start

__all__ = [
    "Elbo", "Model", "Validity", "before", "codes", "counted", "decode", "elbo", "encode", "fit", "init",
    "interpolate", "logits", "polar_reach", "predict", "property_of", "reconstruct", "sample_prior", "split",
    "true_property", "validity_report",
]  # fmt: skip


class Model(NamedTuple):
    """What `fit` learned and what it needs to speak of molecules and of the property in its own unit."""

    params: dict
    vocabulary: tuple
    length: int  # T: one more than the longest string, for its end
    centre: onp.ndarray  # (m,), average of the properties
    scale: onp.ndarray  # (m,), their standard deviation
    values: onp.ndarray  # (steps,), the objective of every step


# -------------------- training --------------------


def fit(
    strings, y, rng, k=16, epochs=100, size=100, lr=3e-3, beta=0.25, noise=0.3, hidden=128, read=256, dropout=0.0,
    length=None, vocabulary=None, callback=None,
):  # fmt: skip
    """Maximise the average `elbo` over SMILES strings and their properties y (n,) or (n, m), by Adam; the Model.

    beta grows from 0 over the first third of the steps, lr falls to 0 over the second half; dropout is the share of
    characters hidden from the decoder.  On the teaching set log 1,885 = 7.5 nats tell a molecule.  At beta = 1 the
    model spends 2 nats on z and is the better density, but does not say which molecule z is; at 0.25 it spends 11.
    callback(t, params, elbo) may return True to stop.  Raises ValueError for strings that cannot be read, or NaN in y.
    """
    if isinstance(strings, str):
        raise ValueError(f"{strings!r} is one string; give a list of strings")
    strings, y = list(strings), onp.asarray(y, onp.float64)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.size == 0 or len(y) != len(strings) or not onp.all(onp.isfinite(y)):
        raise ValueError(f"{len(strings)} strings, properties {y.shape}: want n >= 1 rows of finite numbers")
    vocabulary = smiles.vocabulary(strings) if vocabulary is None else vocabulary
    length = 1 + max(len(smiles.tokenize(s)) for s in strings) if length is None else length
    X = smiles.one_hot(strings, vocabulary, length)
    centre, scale = y.mean(axis=0), onp.where(y.std(axis=0) > 0, y.std(axis=0), 1.0)
    Y = ((y - centre) / scale).astype(X.dtype)
    params = init(len(vocabulary), length, k, rng, hidden, read, y.shape[1])
    steps = epochs * -(-len(X) // size)
    weight = optimize.warm_up(max(1, steps // 3), beta)

    def value_and_gradient(params, i, t):
        eps = rng.standard_normal((len(i), k), onp.float32)
        keep = (rng.random((length, len(i), 1)) >= dropout).astype(onp.float32)

        def average(params):
            return np.sum(elbo(params, X[i], Y[i], eps, weight(t), noise, keep).elbo) / -len(i)

        return value_and_grad(average)(params)

    told = callback and (lambda t, params, value: callback(t, params, -value))
    schedule = lambda t: lr * min(1.0, 2 * (1 - t / steps))  # noqa: E731
    run = training.fit(value_and_gradient, params, len(X), rng, epochs, size, schedule, told)
    return Model(run.params, vocabulary, length, centre, scale, -run.values)


def split(n, rng, held_out=0.1):
    """Two arrays of indices, in random order: those to learn from, and the share held_out of 0 ... n - 1, rounded."""
    order = rng.permutation(n)
    test = round(held_out * n)
    return order[test:], order[:test]


# -------------------- molecules and codes --------------------


def codes(model, strings):
    """The mean of q(z | x) of each string, (n, k).

    Raises ValueError for one that is empty, too long or has an unknown token; `smiles.one_hot(..., skip=True)` skips.
    """
    return encode(model.params, smiles.one_hot(list(strings), model.vocabulary, model.length))[0]


def decode(model, Z, rng=None):
    """The strings of codes Z (n, k), written by the decoder alone: always its likeliest character ("greedy").

    With a generator each character is drawn from its probabilities instead: then the string is a sample of p(x | z).
    """
    params, Z = model.params, onp.asarray(Z, model.params["style"].dtype)
    if Z.ndim != 2 or Z.shape[1] != len(params["style"]):
        raise ValueError(f"codes have shape {Z.shape}; want (n, {len(params['style'])})")
    h, style, eye = start(params, Z), Z @ params["style"], onp.eye(len(model.vocabulary), dtype=Z.dtype)
    x, tokens = onp.zeros((len(Z), len(eye)), Z.dtype), []
    for _ in range(model.length):
        h = gru((affine(x, *params["previous"]) + style)[None], h, *params["state"])[0]
        l = nets.apply(params["character"], h)
        if rng is not None:  # the largest of l + Gumbel noise is k with probability softmax(l)_k
            l = l + rng.gumbel(size=l.shape)
        tokens.append(onp.argmax(l, axis=1))
        x = eye[tokens[-1]]
    return smiles.from_indices(onp.stack(tokens, axis=1), model.vocabulary)


def reconstruct(model, strings):
    """Each string through its code and back, greedily."""
    return decode(model, codes(model, strings))


def sample_prior(model, n, rng, greedy=True):
    """n strings from z ~ N(0, I), one for each z."""
    return decode(model, rng.standard_normal((n, len(model.params["style"]))), None if greedy else rng)


def property_of(model, Z):
    """f(z) in the unit of the data, (n, m): what the model believes, which may be far from the truth off its data."""
    return predict(model.params, onp.asarray(Z)) * model.scale + model.centre


def interpolate(model, a, b, n):
    """n strings decoded along the great circle (`latent.slerp`) from the code of string a to that of string b."""
    z0, z1 = codes(model, [a, b])
    return decode(model, latent.slerp(z0, z1, onp.linspace(0, 1, n)))


class Validity(NamedTuple):
    """Shares: valid of all strings, unique (different molecules) of the valid, novel (not in the training) of them."""

    valid: float
    unique: float
    novel: float
    n: int  # strings


def validity_report(strings, training, is_valid=smiles.is_valid):
    """What `Validity` says, molecules compared by their canonical strings; 0 of nothing is 0.

    A table of the training strings would have valid = 1 and novel = 0: the two belong together.  is_valid: another
    judge, `chem.rdkit_valid` for instance; what it accepts and our grammar does not is compared by its text.  SMILES
    only: pass SELFIES through `chem.from_selfies` first.  Raises ValueError for an empty list.
    """
    strings = list(strings)
    if not strings:
        raise ValueError("no strings to report on")
    found, known = [_name(s) for s in strings if is_valid(s)], {_name(s) for s in training}
    share = 1 / max(1, len(found))
    return Validity(
        len(found) / len(strings), len(set(found)) * share, sum(s not in known for s in found) * share, len(strings)
    )


def _name(string):  # another judge may accept what our grammar does not read
    return smiles.canonical(string) if smiles.is_valid(string) else string


# -------------------- a property to search for --------------------


def polar_reach(molecule):
    """The sum of distances, in bonds, over pairs of polar atoms (not C), less 8 for each bond between two of them.

    Of a string or a Molecule.  Unlike the Wiener index it is not won by the longest chain: carbon counts nothing, and
    polar atoms side by side (N-N, N-O, O-O, which are weak bonds) cost more than they bring.  Of all 6,926 molecules of
    at most 7 atoms 12 have the most, 28; the best in the teaching set have 16.
    """
    molecule = smiles.parse(molecule) if isinstance(molecule, str) else molecule
    polar = [i for i, a in enumerate(molecule.atoms) if a != "C"]
    far = [distances(molecule, i) for i in polar]
    weak = sum(molecule.atoms[i] != "C" and molecule.atoms[j] != "C" for i, j, _ in molecule.bonds)
    return sum(row.get(j, 0) for row in far for j in polar) // 2 - 8 * weak


def true_property(model, Z, of=polar_reach, most=7):
    """The property of the molecule that each code decodes to, (n,): what `property_of` only believes.

    NaN where the string is no molecule, or one of more than `most` atoms: without that limit a search finds endless
    chains, which win by size alone.
    """

    def value(string):
        if not smiles.is_valid(string):
            return onp.nan
        molecule = smiles.parse(string)
        return of(molecule) if len(molecule.atoms) <= most else onp.nan

    return onp.array([value(string) for string in decode(model, Z)], float)
