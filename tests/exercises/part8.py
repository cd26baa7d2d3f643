"""What the checks of part 8 must accept, must recognise by another route, and which mutants change nothing.

VARIANTS: right answers by other algorithms.  RUNS, SYMPTOMS: other searches, good and bad.  ROUTES: a known
misconception coded differently, with a piece of the sentence that must name it.  EQUIVALENT: surviving mutants, by
exercise, with the reason.
"""

import itertools
import math
import re

import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.sparse.csgraph
import scipy.special
from scipy import stats

from enm5310 import latent, ppca, smiles
from enm5310.datasets import load_glyphs

# -------------------- right answers by other algorithms --------------------


def grid_turned(n):
    """Upside down, and the coordinates exchanged."""
    q = scipy.special.ndtri((np.arange(n) + 0.5) / n)
    return [[[a, b] for b in q] for a in q[::-1]]


def grid_by_root_finding(n):
    q = [scipy.optimize.brentq(lambda z, u=(i + 0.5) / n: stats.norm.cdf(z) - u, -9, 9) for i in range(n)]
    return np.array(list(itertools.product(q, q))).reshape(n, n, 2)


def arc_by_rotation(z0, z1, t):
    """The unit vectors turn; their coordinates in the two directions are the weights."""
    u0, u1 = z0 / np.linalg.norm(z0), z1 / np.linalg.norm(z1)
    side = u1 - (u0 @ u1) * u0
    if np.linalg.norm(side) < 1e-9:
        return z0 + np.multiply.outer(t, z1 - z0)
    w = np.arctan2(np.linalg.norm(side), u0 @ u1)
    b = np.sin(t * w) / np.linalg.norm(side)
    a = np.cos(t * w) - b * (u0 @ u1)
    return a[:, None] * z0 + b[:, None] * z1


def arc_from_the_end(z0, z1, t):
    return latent.slerp(z1, z0, t)


def arc_by_complex_powers(z0, z1, t):
    """In the plane of both, u1 / u0 = e^(i w): weights from imaginary parts."""
    w = np.angle(complex(z0 @ z1, np.sqrt(max((z0 @ z0) * (z1 @ z1) - (z0 @ z1) ** 2, 0))))
    if w == 0:
        return (1 - t)[:, None] * z0 + t[:, None] * z1
    turn = np.exp(1j * w)
    return np.stack([((turn ** (1 - s)).imag * z0 + (turn**s).imag * z1) / turn.imag for s in t])


def vector_in_loops(Z, has, family, held_out):
    sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for z, h, f in zip(Z, has, family, strict=True):
        if f != held_out:
            sums[bool(h)], counts[bool(h)] = sums[bool(h)] + z, counts[bool(h)] + 1
    return sums[True] / counts[True] - sums[False] / counts[False]


def vector_by_regression(Z, has, family, held_out):
    """The slope on a flag that is 0 or 1 is a difference of means."""
    keep = family != held_out
    A = np.stack([np.ones(keep.sum()), has[keep]], axis=1)
    return np.linalg.lstsq(A, Z[keep], rcond=None)[0][1]


def vector_by_weights(Z, has, family, held_out):
    keep, has = (family != held_out).astype(float), has.astype(float)
    w = keep * (has / np.sum(keep * has) - (1 - has) / np.sum(keep * (1 - has)))
    return w @ Z


def transfer_in_pixels(X, has, family, held_out, x):
    return np.clip(x + vector_in_loops(X, has, family, held_out), 0, 1)


def transfer_by_eigenvectors(X, has, family, held_out, x):
    keep = family != held_out
    C = np.cov(X[keep].T)
    U = np.linalg.eigh(C)[1][:, -5:]
    return np.clip(x + U @ vector_by_weights(X @ U, has, family, held_out), 0, 1)


def transfer_by_a_linear_vae(X, has, family, held_out, x):
    """Probabilistic PCA, the best linear VAE: codes are posterior means, W decodes them."""
    keep = family != held_out
    model = ppca.fit(X[keep], 8)
    Z = ppca.posterior(model, X[keep])[0]
    v = Z[has[keep]].mean(axis=0) - Z[~has[keep]].mean(axis=0)
    return np.clip(x + model.W @ v, 0, 1)


def one_hot_by_identity(strings, length, vocabulary):
    rows = [[vocabulary.index(c) for c in s + " " * (length - len(s))] for s in strings]
    return np.eye(len(vocabulary))[np.array(rows)]


def one_hot_by_comparison(strings, length, vocabulary):
    letters = np.array([list(f"{s:<{length}}") for s in strings])
    return letters[:, :, None] == np.array(list(vocabulary))


def one_hot_by_the_library(strings, length, vocabulary):
    return smiles.one_hot(strings, tuple(vocabulary), length)


def read_by_partition(P, vocabulary):
    return ["".join(vocabulary[max(range(6), key=row.__getitem__)] for row in one).partition(" ")[0] for one in P]


def read_by_a_regular_expression(P, vocabulary):
    texts = ["".join(np.array(list(vocabulary))[np.argmax(one, axis=1)]) for one in P]
    return [re.match(r"[^ ]*", text).group() for text in texts]


def read_by_the_library(P, vocabulary):
    return smiles.from_one_hot(P, tuple(vocabulary))


def valid_by_rewriting(strings):
    """A branch without branches inside is one letter, taken out; its atoms are checked on the way out."""
    return [_rewritten(s) for s in strings]


def _rewritten(s):
    room = {"C": 4, "N": 3, "O": 2}
    text = "".join({"C": "4", "N": "3", "O": "2"}.get(c, c) for c in s)  # digits: bonds still free
    if re.search(r"[^CNO()]", s):
        return False
    while (found := re.search(r"(\d)\((\d+)\)", text)) is not None:
        parent, chain = int(found[1]) - 1, found[2]
        if not _chain_fits([int(c) for c in chain], 1):
            return False
        if parent < 0:
            return False
        text = text[: found.start()] + str(parent) + text[found.end() :]
    return bool(re.fullmatch(r"\d+", text)) and _chain_fits([int(c) for c in text], 0) and bool(room)


def _chain_fits(free, before):
    n = len(free)
    return all(f >= (i > 0 or before) + (i < n - 1) for i, f in enumerate(free))


def valid_by_recursive_descent(strings):
    return [_descends(s) for s in strings]


def _descends(s):
    room = {"C": 4, "N": 3, "O": 2}

    def chain(i, above):
        """Reads atoms from i on; the place after them, or None."""
        if i >= len(s) or s[i] not in room:
            return None
        free, i = room[s[i]] - above, i + 1
        while i < len(s) and s[i] == "(":
            i = chain(i + 1, 1)
            if i is None or i >= len(s) or s[i] != ")":
                return None
            free, i = free - 1, i + 1
        if i < len(s) and s[i] in room:
            return None if free < 1 else chain(i, 1)
        return None if free < 0 else i

    return chain(0, 0) == len(s)


def valid_by_the_library(strings):
    return np.array([smiles.is_valid(s) for s in strings])


def wiener_by_floyd(n, bonds):
    D = np.full((n, n), np.inf)
    D[np.arange(n), np.arange(n)] = 0
    for i, j in bonds:
        D[i, j] = D[j, i] = 1
    for k in range(n):
        D = np.minimum(D, D[:, [k]] + D[[k], :])
    return D.sum() / 2


def wiener_by_scipy(n, bonds):
    A = np.zeros((n, n))
    if len(bonds):
        A[tuple(bonds.T)] = 1
    D = scipy.sparse.csgraph.shortest_path(A, directed=False, unweighted=True)
    return int(D[np.triu_indices(n, 1)].sum())


def wiener_with_lengths(n, bonds):
    """The sum of both directions is the length of a bond: right as long as no bond is listed twice."""
    A = np.zeros((n, n))
    np.add.at(A, (bonds[:, 0], bonds[:, 1]), 1)
    return scipy.sparse.csgraph.dijkstra(A + A.T)[np.triu_indices(n, 1)].sum()


def wiener_by_spheres(n, bonds):
    """sum over d of the pairs that are farther apart than d."""
    near = np.eye(n, dtype=int)
    step = near.copy()
    for i, j in bonds:
        step[i, j] = step[j, i] = 1
    total = 0
    for _ in range(n):
        total += np.sum(near == 0) // 2
        near = ((near @ step) > 0).astype(int)
    return int(total)


def improvement_by_quadrature(mean, sd, best):
    def one(m, s):
        if s == 0:
            return max(m - best, 0.0)
        return scipy.integrate.quad(lambda x: (x - best) * stats.norm.pdf(x, m, s), best, max(best, m) + 9 * s)[0]

    return [one(m, s) for m, s in zip(mean, sd, strict=True)]


def improvement_by_a_truncated_mean(mean, sd, best):
    out = []
    for m, s in zip(mean, sd, strict=True):
        if s == 0:
            out.append(max(m - best, 0.0))
        else:
            above = stats.norm.sf(best, m, s)
            out.append(above * (m - best) + s * stats.norm.pdf((best - m) / s))
    return np.array(out)


def improvement_with_a_tiny_sd(mean, sd, best):
    sd = np.maximum(sd, 1e-12)
    u = (mean - best) / sd
    return sd * (u * scipy.special.ndtr(u) + np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi))


def report_in_loops(strings, y, known):
    best, valid, found = -math.inf, 0, {}
    for s, value in zip(strings, y, strict=True):
        if value == value:
            best, valid, found[s] = max(best, value), valid + 1, s not in known
    return [best, valid / len(y), sum(found.values()) / len(found)]


def report_by_unique(strings, y, known):
    ok = np.isfinite(y)
    found = np.unique(np.array(strings)[ok])
    return np.array([y[ok].max(), ok.sum() / ok.size, 1 - np.isin(found, known).mean()])


def report_sorted(strings, y, known):
    pairs = sorted((v, s) for s, v in zip(strings, y, strict=True) if not math.isnan(v))
    names = {s for _, s in pairs}
    return pairs[-1][0], len(pairs) / len(strings), (len(names) - len(names & set(known))) / len(names)


VARIANTS = {
    "latent_views": [(grid_turned, arc_by_rotation), (grid_by_root_finding, arc_from_the_end),
                     (latent.grid, arc_by_complex_powers)],
    "fonts": [(vector_in_loops, transfer_in_pixels), (vector_by_regression, transfer_by_eigenvectors),
              (vector_by_weights, transfer_by_a_linear_vae)],
    "molecules": [(one_hot_by_identity, read_by_partition, valid_by_rewriting),
                  (one_hot_by_comparison, read_by_a_regular_expression, valid_by_recursive_descent),
                  (one_hot_by_the_library, read_by_the_library, valid_by_the_library)],
    "wiener": [wiener_by_floyd, wiener_by_scipy, wiener_by_spheres, wiener_with_lengths],
    "search": [(improvement_by_quadrature, report_in_loops),
               (improvement_by_a_truncated_mean, report_by_unique),
               (improvement_with_a_tiny_sd, report_sorted)],
}  # fmt: skip


# -------------------- other searches, good and bad --------------------


def uniform(Z, y, m, seed):
    return np.random.default_rng(seed).uniform(-3, 3, size=(m, Z.shape[1]))


def gaussian_process(Z, y, m, seed):
    """Expected improvement of log(1 + W) over candidates, mostly near the best; neighbours of a chosen one lose."""
    rng, k = np.random.default_rng(seed), Z.shape[1]
    if len(Z) < 20:
        return uniform(Z, y, m, seed)
    ok = ~np.isnan(y)
    X, f = Z[ok], np.log1p(y[ok])
    best, f = X[np.argmax(f)], (f - f.mean()) / f.std()
    near = [np.clip(best + w * rng.normal(size=(250, k)), -3, 3) for w in (1, 0.5, 0.25, 0.12)]
    C = np.concatenate([rng.uniform(-3, 3, size=(200, k)), *near])

    def kernel(A, B):
        return 4 * np.exp(-((A[:, None] - B[None]) ** 2).sum(axis=2) / 32)

    L = np.linalg.cholesky(kernel(X, X) + 3e-3 * np.eye(len(X)))
    cross = kernel(C, X)
    mean = cross @ np.linalg.solve(L.T, np.linalg.solve(L, f))
    sd = np.sqrt(np.maximum(4 - (np.linalg.solve(L, cross.T) ** 2).sum(axis=0), 1e-12))
    ei, chosen = improvement_with_a_tiny_sd(mean, sd, f.max()), []
    for _ in range(m):
        chosen.append(C[np.argmax(ei)])
        ei = ei * (1 - np.exp(-((C - chosen[-1]) ** 2).sum(axis=1) / 0.1))
    return np.array(chosen)


def surrogate_gradient(Z, y, m, seed):
    """y^(-2/3) is nearly a paraboloid: fit one by least squares and go down its gradient from the best points."""
    rng, k = np.random.default_rng(seed), Z.shape[1]
    ok = np.nan_to_num(y) > 0
    if len(Z) < 100 or ok.sum() < 30:
        return np.clip(uniform(Z, y, m, seed), -3, 3)
    X, f = Z[ok], y[ok] ** (-2 / 3)
    f = f / f.min()
    A = np.hstack([np.ones((len(X), 1)), X, X**2])
    w = 1 / f
    c = np.linalg.lstsq(np.vstack([A * w[:, None], 1e-3 * np.eye(2 * k + 1)]), np.append(f * w, np.zeros(2 * k + 1)),
                        rcond=None)[0]  # fmt: skip
    start = X[np.argsort(f)[:m]]
    start = start[rng.integers(len(start), size=m)]
    goal = np.clip(-c[1 : k + 1] / (2 * np.maximum(c[k + 1 :], 0.01)), -3, 3)
    slope = c[1 : k + 1] + 2 * c[k + 1 :] * start
    step = np.where(rng.random((m, 1)) < 0.5, rng.uniform(0.2, 1, size=(m, 1)) * (goal - start), -0.1 * slope)
    return np.clip(start + step + 0.15 * rng.normal(size=(m, k)), -3, 3)


def one_parent(Z, y, m, seed):
    """An evolution strategy with one parent and a plan of its own."""
    if len(Z) == 0:
        return uniform(Z, y, m, seed)
    parent = Z[np.nanargmax(y)] if np.isfinite(y).any() else Z[0]
    size = 1.2 * 0.92 ** (len(Z) // m)
    return [np.clip(parent + size * e, -3, 3) for e in np.random.default_rng(seed).normal(size=(m, Z.shape[1]))]


def many_parents(Z, y, m, seed):
    """An evolution strategy whose every child has a parent of its own among the five best."""
    if np.sum(np.isfinite(y)) < 5:
        return uniform(Z, y, m, seed)
    rng, best = np.random.default_rng(seed), Z[np.argsort(-np.nan_to_num(y))[:5]]
    return np.clip(best[rng.integers(5, size=m)] + 0.97 ** (len(y) / m) * rng.normal(size=(m, Z.shape[1])), -3, 3)


def cross_entropy(Z, y, m, seed):
    """Rubinstein's method: a Gaussian with mean and standard deviations of the ten best, and a little more."""
    if len(y) < 40:
        return uniform(Z, y, m, seed)
    best = Z[np.argsort(-np.nan_to_num(y))[:10]]
    spread = best.std(axis=0) + 0.1
    return np.clip(best.mean(axis=0) + spread * np.random.default_rng(seed).normal(size=(m, Z.shape[1])), -3, 3)


RUNS = {"search": [gaussian_process, surrogate_gradient, one_parent, many_parents, cross_entropy]}


def outside(Z, y, m, seed):
    return 3 + uniform(Z, y, m, seed)


def still(Z, y, m, seed):
    return np.zeros((m, Z.shape[1])) + 0.5


def near_zero(Z, y, m, seed):
    """No search, only where a prior would draw from."""
    return np.clip(0.9 * np.random.default_rng(seed).normal(size=(m, Z.shape[1])), -3, 3)


def invalid_is_success(Z, y, m, seed):
    """nan sorts last, so the best five are all failures."""
    if len(Z) == 0:
        return uniform(Z, y, m, seed)
    best = np.argsort(y)[-5:]
    return np.clip(Z[best].mean(axis=0) + np.random.default_rng(seed).normal(size=(m, Z.shape[1])), -3, 3)


SYMPTOMS = {
    "search": [
        (uniform, "once in a thousand times"),
        (near_zero, "once in a thousand times"),
        (outside, "clip to [-3, 3]"),
        (still, "points are the same"),
        (invalid_is_success, "is needed"),
        (lambda Z, y, m, seed: np.full((m, Z.shape[1]), np.nan), "NaN"),
        (lambda Z, y, m, seed: np.zeros(Z.shape[1]), "expected shape (10, 12)"),
    ],
}


# -------------------- known misconceptions by another route --------------------


def even_grid(n):
    x, y = np.mgrid[-2 : 2 : n * 1j, -2 : 2 : n * 1j]
    return np.dstack([x, y])[::-1]


def by_depth_only(strings):
    def one(s):
        while "()" in (rest := re.sub(r"[^()]", "", s)):
            s = rest.replace("()", "")
        return not re.sub(r"[^()]", "", s)

    return [one(s) for s in strings]


ROUTES = {
    "latent_views": [
        ((even_grid, latent.slerp), "Evenly spaced"),
        ((latent.grid, latent.interpolate), "walk straight"),
    ],
    "fonts": [((lambda Z, has, family, held: latent.attribute_vector(Z, has), transfer_in_pixels),
               "used the held-out family")],
    "molecules": [((one_hot_by_identity, read_by_partition, by_depth_only), "only counted the parentheses")],
    "wiener": [(lambda n, bonds: 2 * wiener_by_scipy(n, bonds), "counted every pair twice")],
    "search": [((lambda mean, sd, best: stats.norm.sf(best, mean, np.maximum(sd, 1e-9)), report_in_loops),
                "probability of an improvement")],
}  # fmt: skip


TOLD = {
    "latent_views": [((lambda n: 1.37 * even_grid(n), latent.slerp), "evenly spaced")],
    "fonts": [
        ((vector_in_loops, lambda X, has, family, held, x: np.clip(
            x + X[has].mean(axis=0) - X[~has].mean(axis=0), 0, 1)), "it has been used"),
        ((vector_in_loops, lambda X, has, family, held, x: np.clip(
            x - 0.7 * vector_by_weights(X, has, family, held), 0, 1)),
         "a sign wrong"),
    ],
}  # fmt: skip


# -------------------- answers without the idea --------------------



def nothing(strings, length, vocabulary):
    return np.zeros((len(strings), length, 6))


def mean_face(X, has, family, held, x):
    return X[has & (family != held)].mean(axis=0)


def nearest_face(X, has, family, held, x):
    faces = X[has & (family != held)]
    return faces[np.argmin(np.sum((faces - x) ** 2, axis=1))]


def kept_face(change):
    """Looks x up among the package's pictures: returns the twin of the nearest one, or adds the change to its twin."""

    def transfer(X, has, family, held, x):
        glyphs = load_glyphs()
        pictures = np.minimum(1.5 * np.asarray(glyphs.images)[:, :26].reshape(-1, 26, 8, 4, 8, 4).mean(axis=(3, 5)), 1)
        pictures = pictures.reshape(len(glyphs.images), 26, 64)
        bold, upright = np.asarray(glyphs.weights) >= 600, ~np.asarray(glyphs.italic, dtype=bool)
        face, letter = np.unravel_index(np.argmin(np.sum((pictures - x) ** 2, axis=2)), pictures.shape[:2])
        same_family = np.asarray(glyphs.families) == glyphs.families[face]
        twins = np.flatnonzero(same_family & upright & (bold != bold[face]))
        if not len(twins):
            return x * 0
        twin, kept = pictures[twins[0], letter], pictures[face, letter]
        return np.clip(x + twin - kept, 0, 1) if change else twin

    return transfer


HOSTILE = {
    "latent_views": [(lambda n: np.zeros((n, n, 2)), lambda z0, z1, t: np.tile(z0, (len(t), 1)))],
    "fonts": [(lambda Z, has, family, held: Z[0], lambda X, has, family, held, x: np.clip(1.3 * x, 0, 1)),
              (lambda Z, has, family, held: Z.mean(axis=0), lambda X, has, family, held, x: X[has].mean(axis=0) * 0),
              (lambda Z, has, family, held: Z[0], mean_face), (lambda Z, has, family, held: Z[0], nearest_face),
              *((lambda Z, has, family, held: Z[0], kept_face(change)) for change in (False, True))],
    "molecules": [(nothing, lambda P, v: ["C"] * len(P), lambda s: [True] * len(s)),
                  (nothing, lambda P, v: [""] * len(P), lambda s: [False] * len(s))],
    "wiener": [lambda n, bonds: (n**3 - n) // 6, lambda n, bonds: (n - 1) ** 2],
    "search": [(lambda mean, sd, best: sd, lambda s, y, known: (np.nanmax(y), 1.0, 1.0))],
}  # fmt: skip


# -------------------- mutants --------------------

ANY_PLANE = "any latent space is accepted, and this is one, nearly as good"

EQUIVALENT = {
    "latent_views": {
        "1 + 1 in `1`": "the lower limit of the clip: codes in opposite directions do not occur",
        "comparison in `w < 1e-07`": "no angle is exactly 1e-7",
    },
    "fonts": {
        "Sub -> Add in `X[keep] - np.mean(X[keep], axis=0)`": ANY_PLANE,
        "mean -> sum in `np.mean`": ANY_PLANE,
        "axis dropped in `axis=0`": ANY_PLANE,
        "8 + 1 in `8`": ANY_PLANE,
        "8 - 1 in `8`": ANY_PLANE,
    },
}
