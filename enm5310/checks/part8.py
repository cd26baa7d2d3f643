"""Part 8, generative models: exercises 8.1-8.5.

Molecules are trees of C, N and O with single bonds, written in the alphabet CNO(); hydrogens fill what is left.  The
check reads them with a small parser of its own.  In 8.5 it decodes every point itself: no decoding goes uncounted.
"""

import functools
import itertools
import math

import numpy as np

from enm5310.checks import panel
from enm5310.checks.answers import Wrong, close, tolerance
from enm5310.checks.engine import exercise

progress = panel.of(__name__)

# -------------------- 8.1 --------------------

CELLS, ARC = "cells of equal probability", "the arc"


def _normal_cdf(z):
    return np.vectorize(lambda x: math.erfc(-x / math.sqrt(2)) / 2, otypes=[float])(z)


def _layouts(Z):
    """The eight ways to lay a square grid out: turned and mirrored."""
    for Y in (Z, np.swapaxes(Z, 0, 1)):
        yield from (Y, Y[::-1], Y[:, ::-1], Y[::-1, ::-1])


def _one_layout(Z):
    """The same for every layout of the same grid."""
    return min(_layouts(np.asarray(Z, dtype=float)), key=lambda Y: tuple(np.round(Y, 3).ravel() + 0.0))


@exercise(
    "8.1", of=("latent_grid", "slerp"), slide=11, title="Where to look, how to walk",
    answers=["enm5310.latent.grid", "enm5310.latent.slerp", "enm5310.latent.normal_quantile"],
    canon={"latent_grid": _one_layout}, parts={CELLS: 1, ARC: 1},
    hints=[
        "Cut the prior of one coordinate into n cells of probability 1/n. Below the middle of cell i lies the "
        "probability (i + 1/2)/n. Which function turns a probability into a z?",
        "`NormalDist().inv_cdf(u)` from Python's statistics is Phi^-1, for one u at a time. Then np.meshgrid(q, q) and "
        "np.stack(..., axis=-1).",
        "slerp: w comes from *unit* vectors, cos w = z0 . z1 / (|z0| |z1|); clip it to [-1, 1] before np.arccos. The "
        "weights sin((1-t) w)/sin w and sin(t w)/sin w multiply z0 and z1 themselves. Where sin w is 0: a straight "
        "line.",
    ],
)  # fmt: skip
def latent_views(t):
    for n in (3, 2, 6):
        with t.part(CELLS):
            Z = t("latent_grid", n, like=(n, n, 2)).astype(float)
            middle = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * 2), axis=-1)
            if not any(np.max(np.abs(_normal_cdf(Y) - middle)) < 1e-6 for Y in _layouts(Z)):
                raise Wrong(_what_cells(Z, n))
    for k, angles in [(2, (0.6, 0.95)), (3, (1.1, 1.5)), (7, (1.8, 2.5))]:
        with t.part(ARC):
            z0, z1 = _two_codes(t, k, t.rng.uniform(*angles))
            at = np.concatenate([[0.0], t.rng.uniform(0.1, 0.9, size=3), [1.0]])
            path = t("slerp", z0, z1, at, like=(5, k)).astype(float)
            _expect_arc(path, z0, z1, at)
    on_axis = np.array([t.rng.integers(5, 9) / 4, 0.0, 0.0])  # its cosine is exactly 1
    for z in (on_axis, _rounded_up(t)):
        with t.part(ARC):
            at = t.rng.uniform(size=3)
            path = t("slerp", z, 2 * z, at, like=(3, 3)).astype(float)
            if not np.allclose(path, np.outer(2 - at, z), rtol=1e-6):  # from the end
                close(path, np.outer(1 + at, z), "parallel codes: the arc is the straight line (1 - t) z0 + t z1")


def _rounded_up(t):
    """A code whose cosine with its double is computed as 1.0000000000000002, where arccos has no value."""
    while True:
        z = t.rng.normal(size=3) + 2
        if z @ (2 * z) / (np.linalg.norm(z) * np.linalg.norm(2 * z)) > 1:
            return z


def _two_codes(t, k, w):
    """Two codes of different lengths at the angle w."""
    e = np.linalg.qr(t.rng.normal(size=(k, 2)))[0]
    return t.rng.uniform(1.2, 2) * e[:, 0], t.rng.uniform(2.2, 3) * (math.cos(w) * e[:, 0] + math.sin(w) * e[:, 1])


def _what_cells(Z, n):
    q = np.unique(np.round(Z, 9))
    if len(q) == n and n > 2 and np.ptp(np.diff(q)) < 1e-6:
        return "the codes are evenly spaced, and the normal prior is not: take its quantiles Phi^-1((i + 1/2)/n)"
    below = np.sort(_normal_cdf(Z[..., 0]).ravel())[0]
    return f"for n = {n} the smallest z_1 must have the probability {0.5 / n:.4f} below it; yours has {below:.4f}"


def _expect_arc(path, z0, z1, at):
    """Turn u0 towards u1 in their plane; the coordinates of the result in (u0, u1) are the weights of z0 and z1."""
    u0, u1 = z0 / np.linalg.norm(z0), z1 / np.linalg.norm(z1)
    side = u1 - (u0 @ u1) * u0
    w, side = math.atan2(np.linalg.norm(side), u0 @ u1), side / np.linalg.norm(side)
    turned = np.outer(np.cos(at * w), u0) + np.outer(np.sin(at * w), side)
    weights = np.linalg.lstsq(np.stack([u0, u1], axis=1), turned.T, rcond=None)[0]
    wanted = weights.T @ np.stack([z0, z1])
    if np.max(np.abs(path - wanted)) > 1e-6 and np.max(np.abs(path - _from_the_end(wanted, weights, z0, z1))) > 1e-6:
        close(path, wanted)


def _from_the_end(wanted, weights, z0, z1):
    """The same arc walked from z1 to z0: t and 1 - t exchanged."""
    return weights[::-1].T @ np.stack([z0, z1])


def _gridded(q):
    return lambda n: np.stack(np.meshgrid(q(n), q(n)), axis=-1)


def _quantile(u):
    """Phi^-1 by bisection: this file keeps to what it can show."""
    low, high = np.full(np.shape(u), -9.0), np.full(np.shape(u), 9.0)
    for _ in range(60):
        middle = (low + high) / 2
        up = _normal_cdf(middle) < u
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return low


EVENLY = "Evenly spaced codes are quantiles of a uniform law; the prior is normal: Phi^-1((i + 1/2)/n)."
for _reach in (1, 2, 3):
    latent_views.mistake(EVENLY)(_gridded(lambda n, reach=_reach: np.linspace(-reach, reach, n)))
latent_views.mistake("These are probabilities (i + 1/2)/n, not codes; Phi^-1 of them is missing.")(
    _gridded(lambda n: (np.arange(n) + 0.5) / n))  # fmt: skip
latent_views.mistake("You applied Phi where its inverse belongs: from a probability to a code leads Phi^-1.")(
    _gridded(lambda n: _normal_cdf((np.arange(n) + 0.5) / n)))  # fmt: skip
latent_views.mistake("You took (i + 1)/(n + 1); the middle of cell i is at (i + 1/2)/n.")(
    _gridded(lambda n: _quantile((np.arange(n) + 1) / (n + 1))))  # fmt: skip
latent_views.mistake("You spaced the probabilities from 0.05 to 0.95; the middles of n cells are (i + 1/2)/n.")(
    _gridded(lambda n: _quantile(np.linspace(0.05, 0.95, n))))  # fmt: skip
latent_views.mistake("Only one coordinate varies: Z[i, j] needs both q_j and q_i.")(
    lambda n: np.tile(_quantile((np.arange(n) + 0.5) / n)[:, None], (n, 1, 2)))  # fmt: skip


@latent_views.mistake("The end points i/n have infinite quantiles; take the middles of the cells, (i + 1/2)/n.")
def _(n):
    q = np.linspace(-np.inf, np.inf, 2) if n == 2 else np.concatenate(
        [[-np.inf], _quantile(np.arange(1, n - 1) / (n - 1)), [np.inf]])  # fmt: skip
    return np.stack(np.meshgrid(q, q), axis=-1)


def _walk(angle=lambda u0, u1, z0, z1: math.acos(min(u0 @ u1, 1.0)), weight=lambda t, w: np.sin(t * w) / np.sin(w),
          of=lambda u, z: z):  # fmt: skip
    """A wrong version of the arc."""

    def wrong(z0, z1, t):
        u0, u1 = z0 / np.linalg.norm(z0), z1 / np.linalg.norm(z1)
        w = angle(u0, u1, z0, z1)
        if w < 1e-9:
            return np.outer(1 - t, z0) + np.outer(t, z1)
        return np.outer(weight(1 - t, w), of(u0, z0)) + np.outer(weight(t, w), of(u1, z1))

    return wrong


def _mistake_on_the_way(say, **wrong):
    latent_views.mistake(say, of="slerp")(_walk(**wrong))


_mistake_on_the_way("You walk straight, which is interpolation; the weights are sin((1-t) w)/sin w and sin(t w)/sin w.",
                    weight=lambda t, w: t)  # fmt: skip
_mistake_on_the_way("The division by sin w is missing.", weight=lambda t, w: np.sin(t * w))
_mistake_on_the_way("Divide z0 and z1 by their lengths before you take the angle between them.",
                    angle=lambda u0, u1, z0, z1: math.acos(np.clip(z0 @ z1, -1, 1)) or 1e-12)  # fmt: skip
_mistake_on_the_way("Cosine for sine: the weights are sin((1-t) w)/sin w and sin(t w)/sin w.",
                    weight=lambda t, w: np.cos(t * w) / np.sin(w))  # fmt: skip


@latent_views.mistake("You mixed the unit vectors; unit vectors give the angle only, the weights multiply z0 and z1.",
                      of="slerp")  # fmt: skip
def _(z0, z1, t):
    u0, u1 = z0 / np.linalg.norm(z0), z1 / np.linalg.norm(z1)
    return _walk()(u0, u1, t)


@latent_views.mistake("For parallel codes w = 0 and 0/0 is no number: use the straight line there.", of="slerp")
def _(z0, z1, t):
    w = np.arccos(z0 @ z1 / np.sqrt(z0 @ z0) / np.sqrt(z1 @ z1))
    return np.outer(np.sin((1 - t) * w) / np.sin(w), z0) + np.outer(np.sin(t * w) / np.sin(w), z1)


@latent_views.mistake("Rounding made your cosine larger than 1, where arccos has no value: np.clip it to [-1, 1].",
                      of="slerp")  # fmt: skip
def _(z0, z1, t):
    w = np.arccos(z0 @ z1 / (np.linalg.norm(z0) * np.linalg.norm(z1)))
    if w == 0:
        return np.outer(1 - t, z0) + np.outer(t, z1)
    return np.outer(np.sin((1 - t) * w) / np.sin(w), z0) + np.outer(np.sin(t * w) / np.sin(w), z1)


@latent_views.mistake("You walked straight and then put the length right: the right curve, but not at an even pace.",
                      of="slerp")  # fmt: skip
def _(z0, z1, t):
    straight = np.outer(1 - t, z0) + np.outer(t, z1)
    lengths = (1 - t) * np.linalg.norm(z0) + t * np.linalg.norm(z1)
    return straight / np.linalg.norm(straight, axis=1, keepdims=True) * lengths[:, None]


# -------------------- 8.2 --------------------

VECTOR, TRANSFER = "the vector, without the held-out family", "a family it has not seen: error down by 20 %"


@functools.cache
def _capitals():
    """Upright capitals, regular and bold, 32x32: array (families, 2, 26, 1024) in [0, 1]."""
    from enm5310.datasets import load_glyphs  # here: the other checks need no data

    glyphs = load_glyphs()
    upright = ~np.asarray(glyphs.italic, dtype=bool)
    capitals = np.asarray(glyphs.images)[upright, :26].reshape(-1, 26, 1024)
    family, bold = np.asarray(glyphs.families)[upright], np.asarray(glyphs.weights)[upright] >= 600
    named = [(capitals[(family == f) & ~bold], capitals[(family == f) & bold]) for f in np.unique(family)]
    return np.stack([np.stack([thin[0], fat[0]]) for thin, fat in named if len(thin) and len(fat)])


@functools.cache
def _straight_on():
    """The pictures that somebody could keep: (2, families x 26, 64), light and bold, as 8x8 pixels."""
    small = np.minimum(1.5 * _capitals().reshape(-1, 2, 26, 8, 4, 8, 4).mean(axis=(4, 6)), 1)
    return small.swapaxes(0, 1).reshape(2, -1, 64)


def _view(rng):
    """(64, 1024): makes 8x8 pixels of 32x32, turned, sheared, stretched and shifted a little.

    Each trial sees all letters through a view of its own, so that no picture is among those of the package: looking up
    the held-out family there gives the letter as it would be seen straight on.
    """
    turn, shear = rng.uniform(-0.2, 0.2), rng.uniform(-0.3, 0.3)
    c, s = math.cos(turn), math.sin(turn)
    back = np.array([[c, -s], [s, c]]) @ [[1, shear], [0, 1]] * rng.uniform(0.95, 1.2, size=2)
    fine = np.stack(np.divmod(np.arange(1024), 32), axis=1)
    at = (fine - 15.5) @ back.T + 15.5 + rng.uniform(-2.5, 2.5, size=2)  # where each fine pixel comes from
    low, M = np.floor(at).astype(int), np.zeros(64 * 1024)
    cell = fine[:, 0] // 4 * 8 + fine[:, 1] // 4
    for corner in np.ndindex(2, 2):
        source, weight = low + corner, np.prod(1 - np.abs(at - low - corner), axis=1) / 16
        inside = np.all((source >= 0) & (source < 32), axis=1)
        M += np.bincount((cell * 1024 + source @ [32, 1])[inside], weight[inside], minlength=M.size)
    return M.reshape(64, 1024)


@exercise(
    "8.2", of=("attribute_vector", "transfer"), slide=10, title="Bold is a direction",
    answers=["enm5310.latent.attribute_vector", "enm5310.fonts.attribute_vector", "enm5310.fonts.edit"],
    parts={VECTOR: 1, TRANSFER: 2},
    hints=[
        "First drop the rows of the held-out family, `keep = family != held_out`. Then the mean of the codes with the "
        "attribute minus the mean of those without.",
        "transfer: learn mean and principal directions V (k, p) from X[keep], codes Z = (X - mean) @ V.T, and the "
        "vector from these codes. Some 5 to 10 components are plenty.",
        "In pixels the vector is v @ V. Add it to x and cut to [0, 1] with np.clip: what the components cannot "
        "draw of x stays as it is.",
    ],
)  # fmt: skip
def fonts(t):
    for k in (1, 3, 2):
        family = t.rng.permutation([0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
        has = t.rng.permuted(np.arange(10) % 3 == 0)
        while len(np.unique(has[family != 2])) < 2 or len(np.unique(has[family == 2])) < 2:
            has = t.rng.permuted(np.arange(10) % 3 == 0)
        Z = t.rng.normal(size=(10, k)) + 2 + 6 * (family == 2)[:, None] * has[:, None]
        with t.part(VECTOR):
            bold, light = ([z for z, h, f in zip(Z, has, family, strict=True) if f != 2 and h == side]
                           for side in (True, False))  # fmt: skip
            wanted = sum(bold) / len(bold) - sum(light) / len(light)
            close(t("attribute_vector", Z, has, family, 2, like=(k,)), wanted)
    for bolder in (True, False):
        with t.part(TRANSFER): _expect_transfer(t, bolder)


def _expect_transfer(t, bolder):
    X, has, family, held, x, truth = _faces(t, bolder)
    got = t("transfer", X, has, family, held, x, like=(64,)).astype(float)
    decoys = X.copy()
    decoys[family == held] = t.rng.uniform(size=(2, 64))
    again = t("transfer", decoys, has, family, held, x, like=(64,)).astype(float)
    if np.min(got) < -1e-6 or np.max(got) > 1 + 1e-6:
        raise Wrong(f"a grey level is {got.flat[np.argmax(np.abs(got - 0.5))]:.3f}; cut the picture to [0, 1]")
    what = "bolder" if bolder else "lighter"
    share = 1 - np.sum((got - truth) ** 2) / np.sum((x - truth) ** 2)
    if share < 0.2:
        turned = 1 - np.sum((2 * x - got - truth) ** 2) / np.sum((x - truth) ** 2)
        raise Wrong(f"making an unseen family {what} must lower the squared error by 20 %; yours changes it by "
                    f"{-100 * share:+.0f} %" + ("; the other way it would fall: is a sign wrong?" if turned > 0.2 else
                    ": mean of the codes with the attribute minus mean of those without, added to x"))  # fmt: skip
    if np.max(np.abs(got - again)) > 1e-5 * max(1, np.max(np.abs(got))):
        raise Wrong("the answer changed when the held-out family's pictures in X were replaced: it has been used "
                    "(or your answer is random: seed it)")  # fmt: skip


def _faces(t, bolder):
    """Pictures of one letter in 14 families; one of them, held out, as it is without and with the attribute."""
    both, view, held = _capitals(), _view(t.rng).astype(np.float32), None
    while held is None:
        chosen = both[t.rng.permutation(len(both))[:14], :, t.rng.integers(26)] @ view.T  # (14, 2, 64)
        chosen = np.minimum(1.5 * chosen.astype(float), 1)  # black strokes
        sides = chosen[:, :: 1 if bolder else -1]  # without, with
        held = next((int(f) for f in t.rng.permutation(np.flatnonzero(_tell(sides))) if not _kept(*sides[f])), None)
    order = t.rng.permutation(28)
    X, bold, family = chosen.reshape(28, 64)[order], (np.arange(28) % 2 == 1)[order], (np.arange(28) // 2)[order]
    return X, bold == bolder, family, held, *sides[held]


def _tell(sides):
    """Which of the families (14, 2, 64) tell a step from a copy when they are held out.

    The mean difference of the others, added to x, halves the error and goes beyond 0 or 1 somewhere.  The others' mean,
    the nearest face and the twin of the nearest do not come near.
    """
    x, truth = sides.swapaxes(0, 1)
    mean = (np.sum(sides, axis=0) - sides) / (len(sides) - 1)  # of the others
    moved = x + mean[:, 1] - mean[:, 0]
    bolder = np.sum(mean[:, 1] - mean[:, 0], axis=1) > 0
    beyond = np.where(bolder, np.max(moved, axis=1) > 1.05, np.min(moved, axis=1) < -0.05)
    apart = np.sum((x[:, None, None] - sides) ** 2, axis=3)  # (held out, other, side)
    apart[np.arange(len(x)), np.arange(len(x))] = np.inf
    near = np.argmin(apart, axis=1)
    copies = np.stack([mean[:, 1], truth[near[:, 0]], truth[near[:, 1]]])
    far = np.sum((x - truth) ** 2, axis=1)
    close_by = np.sum((np.clip(moved, 0, 1) - truth) ** 2, axis=1) < 0.5 * far
    return beyond & close_by & np.all(np.sum((copies - truth) ** 2, axis=2) > 0.8 * far, axis=0)


def _kept(x, truth):
    """Whether the package's picture that is nearest to x helps: its twin comes near, or x plus what changes there."""
    known = _straight_on()
    side, i = np.unravel_index(np.argmin(np.sum((known - x) ** 2, axis=2)), known.shape[:2])
    twin, face = known[1 - side, i], known[side, i]
    copies = np.stack([twin, np.clip(x + twin - face, 0, 1)])
    return np.min(np.sum((copies - truth) ** 2, axis=1)) < 0.8 * np.sum((x - truth) ** 2)


def _vector(keep=lambda family, held: family != held, answer=lambda Z, has: np.mean(Z[has], 0) - np.mean(Z[~has], 0)):
    """A wrong version of the vector."""
    return lambda Z, has, family, held: answer(Z[keep(family, held)], has[keep(family, held)])


fonts.mistake("You used the held-out family as well; leave its rows out, or the test is no test.")(
    _vector(lambda family, held: family == family))  # fmt: skip
fonts.mistake("You kept the held-out family alone; it is the one to leave out.")(
    _vector(lambda family, held: family == held))  # fmt: skip
fonts.mistake("The sign is wrong: with the attribute minus without.")(
    _vector(answer=lambda Z, has: np.mean(Z[~has], 0) - np.mean(Z[has], 0)))  # fmt: skip
fonts.mistake("You summed; take the *mean* of each group, they differ in size.")(
    _vector(answer=lambda Z, has: np.sum(Z[has], 0) - np.sum(Z[~has], 0)))  # fmt: skip
fonts.mistake("You subtracted the mean of all codes; subtract the mean of those *without* the attribute.")(
    _vector(answer=lambda Z, has: np.mean(Z[has], 0) - np.mean(Z, 0)))  # fmt: skip
fonts.mistake("This is where the codes with the attribute lie; subtract the mean of those without.")(
    _vector(answer=lambda Z, has: np.mean(Z[has], 0)))  # fmt: skip
fonts.mistake("You divided both sums by the number of all codes; each group has its own size.")(
    _vector(answer=lambda Z, has: (np.sum(Z[has], 0) - np.sum(Z[~has], 0)) / len(Z)))  # fmt: skip
fonts.mistake("You divided the vector by its length; how bold bold is belongs to it.")(
    _vector(answer=lambda Z, has: (d := np.mean(Z[has], 0) - np.mean(Z[~has], 0)) / np.linalg.norm(d)))  # fmt: skip
fonts.mistake("transfer: the sign is wrong, this moves x away from the attribute.", of="transfer")(
    lambda X, has, family, held, x: np.clip(
        x - _vector()(X, has, family, held), 0, 1))  # fmt: skip
fonts.mistake("You returned x as it came; add the attribute to it.", of="transfer")(
    lambda X, has, family, held, x: x)  # fmt: skip


# -------------------- molecules: reading and writing --------------------

VALENCE = {"C": 4, "N": 3, "O": 2}


def _bonds(s):
    """[(i, j), ...] of the atoms that a string joins, or None where its grammar is broken."""
    bonds, n, last, waiting, before = [], 0, None, [], ""
    for c in s:
        if c in VALENCE:
            if last is not None:
                bonds.append((last, n))
            last, n = n, n + 1
        elif c == "(" and before not in ("", "("):
            waiting.append(last)
        elif c == ")" and waiting and before != "(":
            last = waiting.pop()
        else:
            return None
        before = c
    return None if waiting or n == 0 else bonds


def _fits(s):
    """Whether no atom of a string with a sound grammar has more bonds than its valence."""
    ends = [i for bond in _bonds(s) for i in bond]
    return all(ends.count(i) <= VALENCE[c] for i, c in enumerate(c for c in s if c in VALENCE))


def _write(atoms, children, i, rng):
    """The part of a tree below atom i: every child but the last in parentheses, in random order."""
    below = [_write(atoms, children, j, rng) for j in rng.permutation(children[i])] if children[i] else []
    return atoms[i] + "".join(f"({one})" for one in below[:-1]) + "".join(below[-1:])


def _grown(rng, core, degree, inner, extra):
    """A string whose atom `core` has so many bonds, one of them to its parent when `inner`; other atoms fit."""
    atoms, children = (["C"], [[]]) if inner else ([], [])
    atoms, children, at = [*atoms, core], [*children, []], len(atoms)
    if inner:
        children[0].append(1)
    for _ in range(degree - inner):
        children[at].append(len(atoms))
        atoms, children = [*atoms, "C"], [*children, []]
    for _ in range(extra):
        free = [i for i in range(len(atoms)) if i != at and len(children[i]) + (i > 0) < VALENCE[atoms[i]]]
        i = int(rng.choice(free))
        children[i].append(len(atoms))
        atoms, children = [*atoms, "CNO"[rng.integers(3)]], [*children, []]
    return _write(atoms, children, 0, rng)


def _spoilt(s, rng):
    """The ways to break the parentheses of a molecule with a branch."""
    opens, closes = ([i for i, c in enumerate(s) if c == p] for p in "()")
    i, j, k = int(rng.choice(opens)), int(rng.choice(closes)), int(rng.choice(opens))
    yield s[:i] + s[i + 1 :]  # one that is never opened
    yield s[:j] + s[j + 1 :]  # one that is never closed
    yield s + "("
    yield s[: k + 1] + ")(" + s[k + 1 :]  # an empty branch
    yield "(" + s[0] + ")" + s[1:]  # a branch of nothing
    yield s[:k] + "(" + s[k:j] + ")" + s[j:] if k < j else s[:k] + "(" + s[k:] + ")"  # a branch that begins with one
    yield s.replace("(", "<").replace(")", "(").replace("<", ")")  # as many, the wrong way round
    yield ")" + s + "("


# -------------------- 8.3 --------------------

CODES, PARENTHESES, BONDS = "there and back", "parentheses", "valence"


@exercise(
    "8.3", of=("one_hot", "from_one_hot", "is_valid"), slide=12, title="When is a string a molecule?",
    answers=["enm5310.smiles.one_hot", "enm5310.smiles.from_one_hot", "enm5310.smiles.from_indices",
             "enm5310.smiles.is_valid", "enm5310.smiles_grammar.is_valid", "enm5310.smiles_grammar.why_invalid"],
    parts={CODES: 1, PARENTHESES: 1, BONDS: 1},
    hints=[
        "one_hot: fill every string up with blanks, `s.ljust(length)`, and set one entry of each row to 1. Back: the "
        "largest entry of each row names the character, and the string ends before its first blank.",
        "is_valid walks along the string and keeps a stack. An atom bonds to the last atom; '(' puts that atom on the "
        "stack; ')' takes it off, and the next atom bonds to it. Count the bonds at both ends.",
        "Illegal: '(' at the start or after '('; ')' after '(' or with an empty stack; a stack that is not empty at "
        "the end; no atom; any other character; more bonds at an atom than 4 for C, 3 for N, 2 for O.",
    ],
)  # fmt: skip
def molecules(t):
    valid = [_grown(t.rng, *case, 2) for case in [("C", 4, True), ("N", 3, True), ("O", 2, True), ("C", 4, False),
             ("N", 3, False), ("O", 2, False), ("C", 3, True), ("N", 2, False)]]  # fmt: skip
    branched = [s for s in valid if "(" in s]
    broken = [b for s in branched for b in _spoilt(s, t.rng) if _bonds(b) is None] + ["", "()", "C C", "(C)"]
    crowded = [_grown(t.rng, *case, 1) for case in [("C", 5, True), ("N", 4, True), ("O", 3, True), ("C", 5, False),
               ("N", 4, False), ("O", 3, False), ("C", 6, True), ("N", 5, True), ("O", 4, False)]]  # fmt: skip
    with t.part(CODES): _expect_round_trip(t, valid)
    order = t.rng.permutation(len(valid) + len(broken) + len(crowded) + 3)
    strings = [*valid, "CN(C)", "O", "C(O)(N)C", *broken, *crowded]  # a branch may end a string
    said = t("is_valid", [strings[i] for i in order], like=(len(strings),)).astype(float)
    verdict = dict(zip([strings[i] for i in order], said, strict=True))
    with t.part(PARENTHESES): _expect_verdicts(verdict, [s for s in strings if _bonds(s) is None or _fits(s)])
    with t.part(BONDS): _expect_verdicts(verdict, [s for s in strings if _bonds(s) is not None])


def _expect_round_trip(t, valid):
    vocabulary = "".join(t.rng.permutation(list("CNO() ")))
    length = max(map(len, valid)) + 2
    P = t("one_hot", valid, length, vocabulary, like=(len(valid), length, 6))
    close(P, [[[float(c == v) for v in vocabulary] for c in s.ljust(length)] for s in valid])
    rows = ["CC(O)N", "C N", " CC", "N(", ""]  # what stands after the first blank does not count
    rows = [rows[i] for i in t.rng.permutation(5)]
    scores = 0.3 * t.rng.uniform(size=(5, 8, 6))
    for s, one in zip(rows, scores, strict=True):
        one[np.arange(8), [vocabulary.index(c) for c in s.ljust(8)]] += 0.35  # not a 1, and not always above 1/2
    got = t("from_one_hot", scores, vocabulary, like=[str] * 5)
    for s, g in zip(rows, got, strict=True):
        if s.split(" ")[0] != g:
            told = f"the largest entries spell {s.ljust(8)!r}, so the string is {s.split(' ')[0]!r}"
            raise Wrong(f"from_one_hot: {told}; you read {g!r}")


def _expect_verdicts(verdict, strings):
    for s in strings:
        right = _bonds(s) is not None and _fits(s)
        if verdict[s] != right:
            raise Wrong(f"{s!r} is {'a valid molecule' if right else 'none: ' + _reason(s)}; you said "
                        f"{bool(verdict[s])}")  # fmt: skip


def _reason(s):
    if _bonds(s) is not None:
        return "an atom has more bonds than its valence allows, its parent counts too"
    if not any(c in VALENCE for c in s):
        return "it has no atom"
    return "it holds a blank" if " " in s else "its parentheses are broken"


def _spread(strings, length, vocabulary):
    return np.array([[[float(c == v) for v in vocabulary] for c in s.ljust(length)] for s in strings])


molecules.mistake("Your padding has no 1 in it: a blank is a character of the alphabet too.")(
    lambda s, length, vocabulary: _spread(s, length, vocabulary) * (np.array(list(vocabulary)) != " "))  # fmt: skip
molecules.mistake("You sorted the alphabet; entry v belongs to vocabulary[v].")(
    lambda s, length, vocabulary: _spread(s, length, sorted(vocabulary)))  # fmt: skip
molecules.mistake("You padded at the front; the string comes first, the blanks after it.")(
    lambda s, length, vocabulary: _spread([one.rjust(length) for one in s], length, vocabulary))  # fmt: skip
molecules.mistake("You centred the string; it comes first, and all blanks after it.")(
    lambda s, length, vocabulary: _spread([one.center(length) for one in s], length, vocabulary))  # fmt: skip


def _read(P, vocabulary, pick=lambda row: np.argmax(row)):
    return ["".join("" if (i := pick(row)) is None else vocabulary[i] for row in one) for one in P]


def _misread(say, read):
    molecules.mistake(say, of="from_one_hot")(read)


_misread("You dropped the blanks and kept what follows: the first blank ends the string, 'C N' is read as 'C'.",
         lambda P, vocabulary: [s.replace(" ", "") for s in _read(P, vocabulary)])  # fmt: skip
_misread("You stripped the end only; the *first* blank ends the string, whatever the decoder wrote after it.",
         lambda P, vocabulary: [s.rstrip() for s in _read(P, vocabulary)])  # fmt: skip
_misread("You stripped both ends; the *first* blank ends the string, and a string may be empty.",
         lambda P, vocabulary: [s.strip() for s in _read(P, vocabulary)])  # fmt: skip
_misread("You kept the padding: the string ends before the first blank.", _read)
_misread("You looked for entries above 1/2; a decoder gives scores, take the largest of each row.",
         lambda P, vocabulary: [s.split(" ")[0] for s in _read(P, vocabulary, lambda row: np.argmax(row) if max(row)
                                                               > 0.5 else None)])  # fmt: skip


def _balanced(s):
    depths = [0, *itertools.accumulate((c == "(") - (c == ")") for c in s)]
    return min(depths) >= 0 and depths[-1] == 0


def _judged(one):
    """A wrong version of is_valid from a wrong verdict on one string."""
    return lambda strings: [bool(one(s)) for s in strings]


def _degrees(s, bonds):
    return [sum(i in bond for bond in bonds) for i in range(sum(c in VALENCE for c in s))]


def _within(s, degrees):
    return all(d <= VALENCE[c] for c, d in zip((c for c in s if c in VALENCE), degrees, strict=True))


def _without_rest(s):
    """The bonds of every atom without the one to an atom that stands after a ')'."""
    before = [s[k - 1 : k] for k, c in enumerate(s) if c in VALENCE]
    degrees = _degrees(s, _bonds(s))
    for i, j in _bonds(s):
        degrees[i] -= before[j] == ")"
    return degrees


molecules.mistake("You only counted the parentheses. Depth says nothing about valence, nor does it see '()' or '(C)C'.",
                  of="is_valid")(_judged(_balanced))  # fmt: skip
molecules.mistake("You only compared how many '(' and ')' there are; ')C(' has as many of both.", of="is_valid")(
    _judged(lambda s: s.count("(") == s.count(")")))  # fmt: skip
molecules.mistake("The grammar is right, but no atom is ever too full: C has 4 bonds, N 3, O 2, branches count, and "
                  "after ')' the chain goes on at the atom before '('.",
                  of="is_valid")(
    _judged(lambda s: _bonds(s) is not None))  # fmt: skip
molecules.mistake("You forgot the bond to the parent: an atom in a branch has used one bond before its first child.",
                  of="is_valid")(_judged(lambda s: _bonds(s) is not None and _within(
                      s, [sum(i == a for a, _ in _bonds(s)) for i in range(len(_degrees(s, _bonds(s))))])))  # fmt: skip
molecules.mistake("You gave the first atom a parent, too; it has none, so all its bonds are free.", of="is_valid")(
    _judged(lambda s: _bonds(s) is not None and _within(
        s, [d + (i == 0) for i, d in enumerate(_degrees(s, _bonds(s)))])))  # fmt: skip
molecules.mistake("After its branches an atom bonds to the rest of the chain: that bond counts, keep a stack.",
                  of="is_valid")(_judged(lambda s: _bonds(s) is not None and _within(
                      s, _without_rest(s))))  # fmt: skip
molecules.mistake("You allow one bond too few: an atom may use its whole valence.", of="is_valid")(
    _judged(lambda s: _bonds(s) is not None and _within(s, [d + 1 for d in _degrees(s, _bonds(s))])))  # fmt: skip
molecules.mistake("A string may end with a branch: 'CN(C)' is another way to write 'CNC'.", of="is_valid")(
    _judged(lambda s: _bonds(s) is not None and _fits(s) and not s.endswith(")")))  # fmt: skip


# -------------------- 8.4 --------------------

CHAINS, GRAPHS = "chains and stars", "any molecule, with rings, whatever the numbering"


def _distances(n, bonds):
    """Powers of the adjacency matrix: the distance is the first power that joins two atoms."""
    step = np.eye(n, dtype=int)
    for i, j in bonds:
        step[i, j] = step[j, i] = 1
    D, reached = np.full((n, n), -1), np.eye(n, dtype=int)
    for d in range(n):
        D[(D < 0) & (reached > 0)] = d
        reached = np.minimum(reached @ step, 1)
    return D


@exercise(
    "8.4", of="wiener_index", slide=12, title="One number from a molecule",
    answers=["enm5310.smiles.wiener_index"], parts={CHAINS: 1, GRAPHS: 1},
    hints=[
        "Breadth-first search from one atom gives its distances to all others: first the neighbours, then theirs that "
        "are new. Do that from every atom.",
        "Every pair counts once, and a search from both ends finds it twice. Bonds have no direction.",
        "Floyd and Warshall's way: D = 0 on the diagonal, 1 for bonds, infinite elsewhere; for every k: "
        "D = np.minimum(D, D[:, [k]] + D[[k], :]). Then sum and halve.",
    ],
)  # fmt: skip
def wiener(t):
    for n in (1, int(t.rng.integers(4, 9)), int(t.rng.integers(9, 14))):
        name = t.rng.permutation(n)
        with t.part(CHAINS):
            _expect_wiener(t, n, [(name[i], name[i + 1]) for i in range(n - 1)], (n**3 - n) // 6, "chain")
            _expect_wiener(t, n, [(name[0], name[i]) for i in range(1, n)], (n - 1) ** 2, "star")
    for rings in (0, 1, 2):
        n = int(t.rng.integers(7, 12))
        name = t.rng.permutation(n)
        tree = [(int(t.rng.integers(max(0, i - 3), i)), i) for i in range(1, n)]
        far = np.argwhere(np.triu(_distances(n, tree)) >= 3)  # i < j: no bond is listed twice
        more = [tuple(pair) for pair in t.rng.permutation(far)[:rings]] if len(far) else []
        bonds = [(name[i], name[j]) if t.rng.random() < 0.5 else (name[j], name[i]) for i, j in tree + more]
        with t.part(GRAPHS):
            D = _distances(n, bonds)
            _expect_wiener(t, n, bonds, sum(int(D[i, j]) for i in range(n) for j in range(i)), "molecule")


def _expect_wiener(t, n, bonds, wanted, what):
    bonds = np.array(bonds, dtype=int).reshape(-1, 2)
    got = t("wiener_index", n, t.rng.permutation(bonds), like=int)
    if got != wanted:
        raise Wrong(f"the {what} of {n} atoms has the index {wanted}, you have {got}")


def _from_distances(answer):
    return lambda n, bonds: answer(_distances(n, bonds))


wiener.mistake("You counted every pair twice, from both ends: sum over i < j.")(_from_distances(np.sum))
wiener.mistake("You took the average distance; the index is the sum over pairs.")(
    _from_distances(lambda D: 0 if len(D) == 1 else np.sum(D) / (len(D) * (len(D) - 1))))  # fmt: skip
wiener.mistake("You counted atoms along the way; a distance counts *bonds*, one less.")(
    _from_distances(lambda D: np.sum(np.triu(D + 1, 1))))  # fmt: skip
wiener.mistake("You summed the distances from one atom; every pair of atoms counts.")(
    _from_distances(lambda D: np.sum(D[0])))  # fmt: skip
wiener.mistake("You squared the distances; the index is their plain sum.")(
    _from_distances(lambda D: np.sum(np.triu(D) ** 2)))  # fmt: skip
wiener.mistake("This is the largest distance (the diameter); sum over all pairs.")(_from_distances(np.max))
wiener.mistake("This is the number of bonds; pairs that are farther apart count too.")(
    _from_distances(lambda D: np.sum(np.triu(D == 1))))  # fmt: skip
wiener.mistake("You added up the numbers of bonds at the atoms; add up the distances of pairs.")(
    _from_distances(lambda D: np.sum(D == 1)))  # fmt: skip


@wiener.mistake("Your bonds lead one way only; i-j is also j-i.")
def _(n, bonds):
    D = np.full((n, n), np.inf)
    np.fill_diagonal(D, 0)
    for i, j in bonds:
        D[i, j] = 1
    for k in range(n):
        D = np.minimum(D, D[:, [k]] + D[[k], :])
    return int(np.sum(D[np.isfinite(D)]))


# -------------------- 8.5 --------------------

EI, REPORT, SEARCH = "expected_improvement", "report", "better than a random search, at equal decoder calls"
K, BATCH, ROUNDS, LONGEST = 12, 10, 30, 60  # latents, points per round, rounds, atoms of the longest chain
TRIES = 5  # landscapes, of which one is enough: many a plain search fails on one in two
ODDS = 1e-3  # of a random search, over all tries; for 1e-6 it took recombination, or a well set surrogate


@exercise(
    "8.5", of=("expected_improvement", "report", "propose"), slide=12, title="Search the latent space", slow=True,
    answers=[
        "enm5310.gaussian_process.expected_improvement", "enm5310.molecules.validity_report",
        "enm5310.latent_search.evolution_search", "enm5310.latent_search.bayesian_search",
    ],
    parts={EI: 1, REPORT: 1, SEARCH: 2},
    hints=[
        "E max(mean + sd e - best, 0) with e normal: with u = (mean - best)/sd it is sd (u Phi(u) + phi(u)). Where sd "
        "is 0 there is nothing to average: max(mean - best, 0).",
        "report: an invalid string has y = nan. np.nanmax skips it; a set of the valid strings removes repetitions; "
        "novel are those that are not in `known`.",
        "propose, an evolution strategy: on the first call (no rows in Z) return uniform points in the box; then draw "
        "around the mean of the five best valid points so far with a standard deviation that shrinks, 1.2 * 0.92**"
        "(len(Z)/m), and clip to [-3, 3]. A point with y = nan has failed: it is never among the best.",
        "Other ways work too: a Gaussian process on log(1 + y) and expected improvement over candidates around the "
        "best point, or the gradient of a fitted surrogate.",
    ],
)  # fmt: skip
def search(t):
    for n in (1, 5, 4):
        mean, best = t.rng.normal(size=n) * 2, float(t.rng.normal())
        mean[-1] = best + t.rng.uniform(0.5, 2)
        mean[0] = best  # where sd = 0 this is 0/0
        for sd in (t.rng.uniform(0.3, 2, size=n), np.zeros(n)):
            with t.part(EI):
                got = t("expected_improvement", mean, sd, best, like=(n,))
                wanted = np.maximum(mean[:, None] + sd[:, None] * NODES - best, 0) @ MASS
                if np.max(np.abs(got - wanted)) > 1e-9:  # for all of them may be 0
                    close(got, wanted, rtol=1e-4)
    for _ in range(3):
        with t.part(REPORT): _expect_report(t)
    with t.part(SEARCH):
        failures = []
        while len(failures) < TRIES and (why := _failure(t, _Landscape(t.rng))):
            failures.append(why)
        if len(failures) == TRIES:
            raise Wrong(failures[-1])


NODES = np.linspace(-9, 9, 4001)  # a kink costs the trapezoidal rule 2e-6
MASS = np.exp(-0.5 * NODES**2) / np.sum(np.exp(-0.5 * NODES**2))


def _expect_report(t):
    pool = [_grown(t.rng, "C", int(t.rng.integers(1, 5)), False, e) for e in (3, 4, 5, 6, 7)]
    pool = list(dict.fromkeys(pool))
    smiles = [*pool, pool[0], pool[0], pool[-1], "C(", "O(C)(C)C", "C("]
    y = np.array([*range(3, 3 + len(pool)), 3, 3, 2 + len(pool), *[np.nan] * 3], dtype=float) ** 2
    order = t.rng.permutation(len(smiles))
    known = [pool[0], "N", "OO"]
    got = t("report", [smiles[i] for i in order], y[order], known, like={"best": (), "valid": (), "novel": ()})
    novel = sum(s not in known for s in pool) / len(pool)
    wanted = {"best": max(v for v in y if v == v), "valid": (len(y) - 3) / len(y), "novel": novel}
    for (name, want), one in zip(wanted.items(), got, strict=True):
        if abs(float(one) - want) > tolerance(one) * max(1.0, want):
            raise Wrong(f"{name} should be {want:.6g}, you have {float(one):.6g}")


class _Landscape:
    """A decoder of K latents on [-3, 3]^K: the nearer to a place from the seed, the longer the chain it writes."""

    def __init__(self, rng):
        Q = np.linalg.qr(rng.normal(size=(K, K)))[0]
        scale = np.exp(rng.uniform(-0.25, 0.25, size=K))
        self.A = Q * (scale / np.prod(scale) ** (1 / K))  # |det A| = 1
        self.goal = rng.choice([-1.0, 1.0], size=K) * rng.uniform(0.6, 1.8, size=K)  # staying near 0 finds nothing
        self.stripes, self.s = 10 * rng.normal(size=K) / K**0.5, 3.0

    def decode(self, z):
        """The string at z, of which about a third is broken."""
        far = (z - self.goal) @ self.A
        n = int(LONGEST / math.sqrt(1 + far @ far / self.s))
        atoms = np.where(z > 1.2, "O", np.where(z < -1.2, "N", "C"))
        s = "".join(atoms[i % K] if i % 2 else "C" for i in range(n))
        return s if math.sin((z - self.goal) @ self.stripes) < 0.5 else s[: n // 2] + "(" + s[n // 2 :]

    def limit(self, calls):
        """What `calls` uniform points reach with probability below ODDS: the ball around the goal is so small."""
        ball = math.pi ** (K / 2) / math.gamma(K / 2 + 1)
        radius = (ODDS / calls * 6**K / ball) ** (1 / K)
        n = int(LONGEST / math.sqrt(1 + radius**2 / self.s)) + 1
        return (n**3 - n) // 6


def _property(s):
    """Wiener index of a valid molecule by the bonds that separate its atoms, else nan."""
    bonds = _bonds(s)
    if bonds is None or not _fits(s):
        return math.nan
    size = [1] * (len(bonds) + 1)
    for i, j in reversed(bonds):
        size[i] += size[j]
    return float(sum(size[j] * (len(size) - size[j]) for _, j in bonds))


def _failure(t, landscape):
    """Runs the search; None, or why its best is not good enough."""
    Z, y = np.zeros((0, K)), np.zeros(0)
    for _ in range(ROUNDS):
        new = t("propose", Z, y, BATCH, int(t.rng.integers(2**31)), like=(BATCH, K)).astype(float)
        if np.max(np.abs(new)) > 3:
            raise Wrong(f"a proposed code has the coordinate {new.flat[np.argmax(np.abs(new))]:.3g}; clip to [-3, 3]")
        Z, y = np.concatenate([Z, new]), np.append(y, [_property(landscape.decode(z)) for z in new])
    calls, limit = len(y), landscape.limit(TRIES * len(y))
    if np.max(np.ptp(Z, axis=0)) < 1e-9:
        return f"all your {calls} points are the same; draw new ones, from np.random.default_rng(seed)"
    if np.all(np.isnan(y)):
        return f"none of the {calls} strings you decoded is a molecule; an invalid one, y = nan, is a failure"
    if np.nanmax(y) < limit:
        told = f"after {calls} decodings your best molecule has the index {np.nanmax(y):.0f}; {limit} is needed"
        return (f"{told}, which random points reach once in a thousand times. Draw around the mean of the few best "
                "(nan is none of them), in steps that shrink; a model fits log y better than y")  # fmt: skip
    return None


def _phi(u):
    return np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)


def _expected(d, s, u):
    return d * _normal_cdf(u) + s * _phi(u)


def _improvement(answer):
    """A wrong version of the expected improvement, with the right limit at sd = 0."""

    def wrong(mean, sd, best):
        u = (mean - best) / np.where(sd > 0, sd, 1)
        return np.where(sd > 0, answer(mean - best, sd, u), np.maximum(mean - best, 0))

    return wrong


search.mistake("This is for a minimum; here larger is better: improvement is mean - best.")(
    lambda mean, sd, best: _improvement(_expected)(-mean, sd, -best))  # fmt: skip
search.mistake("This is the probability of an improvement; by how much counts too.")(
    lambda mean, sd, best: _normal_cdf((mean - best) / np.maximum(sd, 1e-12)))  # fmt: skip
search.mistake("The term sd phi(u) is missing: uncertain points may surprise.")(
    _improvement(lambda d, s, u: d * _normal_cdf(u)))  # fmt: skip
search.mistake("phi(u) must be multiplied by sd.")(_improvement(lambda d, s, u: d * _normal_cdf(u) + _phi(u)))
search.mistake("You divided by the variance: u = (mean - best)/sd.")(
    _improvement(lambda d, s, u: d * _normal_cdf(d / s**2) + s * _phi(d / s**2)))  # fmt: skip
search.mistake("You ignored sd: a point may turn out better than its mean.")(
    lambda mean, sd, best: np.maximum(mean - best, 0))  # fmt: skip


AT_ZERO = "At sd = 0 you divide by 0, and what follows is no number; there the improvement is max(mean - best, 0)."


@search.mistake(AT_ZERO)
def _(mean, sd, best):
    u = (mean - best) / sd
    return (mean - best) * _normal_cdf(u) + sd * _phi(u)


@search.mistake(AT_ZERO)
def _(mean, sd, best):
    u = (mean - best) / sd
    return sd * (u * _normal_cdf(u) + _phi(u))


search.mistake("Where sd = 0 you return 0; a better mean is an improvement there too: max(mean - best, 0).")(
    lambda mean, sd, best: np.where(sd > 0, _expected(mean - best, sd, (mean - best) / np.where(sd > 0, sd, 1)), 0))


def _reported(say, best=np.nanmax, valid=lambda y: np.mean(~np.isnan(y)), novel=lambda s, y, known: np.mean(
        [one not in known for one in {a for a, b in zip(s, y, strict=True) if b == b}])):  # fmt: skip
    search.mistake(say, of="report")(lambda s, y, known: (best(y), valid(y), novel(s, y, known)))


_reported("Invalid strings count as novel in your report; they are no molecules: look at valid ones only.",
          novel=lambda s, y, known: np.mean([one not in known for one in set(s)]))  # fmt: skip
_reported("The same string found twice is one molecule: novel is a share of *different* valid strings.",
          novel=lambda s, y, known: np.mean([a not in known for a, b in zip(s, y, strict=True) if b == b]))  # fmt: skip
_reported("You returned the share of known molecules; novel are those that are *not* in known.",
          novel=lambda s, y, known: np.mean([one in known for one in {a for a, b in zip(s, y, strict=True) if b == b}])
          )  # fmt: skip
_reported("best is not a number: nan marks an invalid string, skip it (np.nanmax).", best=np.max)
_reported("best is where the best is; its value is asked for.", best=lambda y: float(np.nanargmax(y)))
_reported("valid is the share that failed; count the others.", valid=lambda y: np.mean(np.isnan(y)))
_reported("valid is a number of strings; its share of all is asked for.", valid=lambda y: np.sum(~np.isnan(y)))
