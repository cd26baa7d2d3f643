"""PCA when the data are large: one pass over batches, a randomised basis, and what each route costs (slides 2-3).

Everything here returns the `PCA` of `pca.fit`.  Arrays are filled in place, so nothing here is differentiable.
"""

import math
from typing import NamedTuple

import numpy as np

from enm5310 import backend, pca
from enm5310.pca import PCA, _checked

ROWS = 4096  # rows per product X^T X: enough to hide adding a p x p matrix, few enough to stay in the cache


class Plan(NamedTuple):
    """The route that `pca.fit(X, k, "auto")` takes, and why."""

    method: str
    costs: dict  # method: time in units of 1e9 floating-point operations of a large float64 matrix product
    why: str


def plan(n, p, k=None, dtype=np.float64, methods=("eig", "stream", "svd", "gram", "randomised")):
    """The cheapest of `methods` for k components of X, shape (n, p): least estimated time, with all the estimates.

    "svd" is never the cheapest: ask for it by name when small variances must keep their digits.
    """
    # How the constants were measured: processor time of each operation alone in one thread (OpenBLAS, AVX-512, shapes
    # 8192 x 784 to 8000 x 3000), over the time of one flop of X^T X in float64 at 8192 x 2000 (53 Gflop/s there).
    small = min(n, p)
    k = small if k is None else k
    l = _width(k)
    w = 0.5 if dtype in (np.float16, np.float32) else 1.0  # float32 halves products and traffic; LAPACK runs in float64
    flops = {
        "eig": w * (n * p**2 + 100 * n * p) + 8 * p**3,  # X^T X by symmetry; check, mean, centred copy; eigh(C)
        "stream": w * (n * p**2 + 50 * n * p) + 8 * p**3 + 10 * p**2,  # the same without a copy of X
        "svd": w * 100 * n * p + 12 * max(n, p) * small**2 + 5 * small**3,
        "gram": w * (n**2 * p + 100 * n * p + 4 * n * p * k) + 8 * n**3,  # X X^T, then U = X^T V
        # narrow products reach 2/5 of the speed of wide ones; 8 powers of C reach 1e-4 rad on MNIST for k = 30
        "randomised": w * (100 + 8 * 4 * l * 2.5) * n * p + 700 * p * l**2 + 10**4 * l**3 if 8 * l < small else np.inf,
    }
    costs = {method: round(flops[method] / 1e9, 6) for method in sorted(methods, key=flops.get)}
    return Plan(next(iter(costs)), costs, _why(costs, n, p, k))


def fit_stream(batches, k=None, rng=None, device="cpu"):
    """C = (1/n) sum_i (x_i - mean)(x_i - mean)^T over all rows of an iterable of (m, p) arrays, read once, then U.

    Memory is O(p^2 + 4096 p) whatever the number of rows, and how rows are cut into batches changes nothing.
    float32 rows are centred and multiplied in float32, 4096 at a time, and those pieces are added in float64: however
    many rows and however large the mean, C is right to about 1e-6 of its largest variance.  U returns to float32.
    Given rng, a numpy.random.Generator, few components are taken from C by the random basis of fit_randomised, to
    1e-6 rad, in about half the time of all p eigenvectors when p = 784.
    device="gpu": 4096 rows at a time are copied there; C and its eigenvectors are made there.
    Raises ValueError when there is no row, batches differ in features or type, a number is not finite, or k is outside
    0..min(n, p); TypeError for what is not real numbers.  Source: Chan, Golub & LeVeque (1983).
    """
    return backend.run(device, rng, lambda where: _fit_stream(batches, k, rng, where), np.empty(0))


def _fit_stream(batches, k, rng, where):  # on the device where an (empty) array lies
    try:
        n, mean, S, dtype = _moments(backend.beside(x, where) for x in _blocks(batches, ROWS))
    except MemoryError as full:
        if backend.on_device(where) and iter(batches) is batches:  # half of them are gone
            raise RuntimeError(f"{full}: give a list of batches, which can be read again, or device='cpu'") from full
        raise
    p = len(mean)
    k = min(n, p) if k is None else k
    if not 0 <= k <= min(n, p):
        raise ValueError(f"k is {k}; {n} samples of {p} features have 0 to {min(n, p)} components")
    S /= n
    U, variances = _eigenvectors(S, k, rng)
    return PCA(*(a.astype(dtype) for a in (mean, U, np.maximum(variances, 0))))


def fit_randomised(X, k, rng, tol=1e-4, powers=20):
    """U from the span of (Q, C Q, C^2 Q, ...) for a random Q, shape (p, k/2 + 10), without forming C.

    Powers of C are added until the angle between U and the true subspace, estimated from |C u - sigma^2 u| and the gap
    sigma_k^2 - sigma_{k+1}^2 (Davis & Kahan 1970), is below tol radians.  rng is a numpy.random.Generator.
    Raises ValueError as pca.fit does; ArithmeticError when `powers` powers do not suffice, because the variances
    k and k + 1 hardly differ or k is not small.  Source: Halko, Martinsson, Shkolnisky & Tygert (2011), who keep all
    powers; Halko, Martinsson & Tropp (2011), algorithm 4.4, keeps the last and does four times the work on MNIST.
    """
    k, mean = _checked(X, k), np.mean(X, axis=0)
    X = X - mean
    start = backend.beside(rng.normal(size=(X.shape[1], _width(k))).astype(X.dtype), X)
    U, variances = _leading(lambda q: _covariance_times(X, q), start, min(X.shape), k, tol, powers)
    return PCA(mean, U.astype(mean.dtype), np.maximum(variances, 0).astype(mean.dtype))


def fit(X, k, method, rng):
    """The routes that pca.fit leaves to this module: "stream", "randomised" and "auto"."""
    if method == "auto":
        return _fit_auto(X, k, rng)
    if method == "stream":
        return fit_stream([X], k, rng)
    if method != "randomised":
        raise ValueError(f'method is {method!r}; take "eig", "svd", "gram", "stream", "randomised" or "auto"')
    if rng is None:
        raise ValueError('method="randomised" draws a random basis: pass rng=numpy.random.default_rng(seed)')
    return fit_randomised(X, k, rng)


def _fit_auto(X, k, rng):
    if np.ndim(X) != 2 or 0 in np.shape(X):
        return pca.fit(X, k)  # which says what is wrong
    methods = ["eig", "gram"]  # work on any array: autograd's boxes, the GPU's
    methods += ["stream"] if isinstance(X, np.ndarray) else []
    if rng is not None and isinstance(X, np.ndarray):
        try:
            if plan(*X.shape, k, X.dtype, [*methods, "randomised"]).method == "randomised":
                return fit_randomised(X, k, rng)
        except ArithmeticError:
            pass  # the k-th variance is not separate enough: the exact routes do not mind
    return pca.fit(X, k, plan(*X.shape, k, X.dtype, methods).method, rng)


def _width(k):
    return k // 2 + 10  # columns of the random basis: more of them need fewer powers of C, each at a higher price


def _why(costs, n, p, k):
    best, *others = (f"{method} {cost:.3g}" for method, cost in costs.items())
    return f"{k} components of {n} x {p}, in Gflop: {best}" + "".join(f", {other}" for other in others)


def _moments(blocks):
    """n, mean, S = sum_i (x_i - mean)(x_i - mean)^T in float64, and the type of the rows."""
    n = 0
    for x in blocks:
        m, p = x.shape
        if n == 0:  # no later block is larger
            mean, S = (np.zeros_like(x, np.float64, "C", shape=shape) for shape in ((p,), (p, p)))
            D, DtD = (np.empty_like(x, order="C", shape=shape) for shape in ((m + 1, p), (p, p)))
        d, shift = D[: m + 1], _mean(x, n)
        np.subtract(x, shift, out=d[:m])
        rest = np.sum(d[:m], axis=0).astype(np.float64) / m  # what the rounding of shift left of the mean
        step = shift + rest - mean
        d[m] = math.sqrt(n * m / (n + m)) * step  # S_new = S + D^T D + nm/(n + m) step step^T: one row more
        S += np.matmul(d.T, d, out=DtD)
        tiny = 0.1 * float(np.finfo(x.dtype).eps)
        if np.any(m * rest**2 > tiny * np.diag(DtD)):  # |mean| is far larger than the spread
            S -= m * np.outer(rest, rest)
        mean += m / (n + m) * step
        n += m
    if n == 0:
        raise ValueError("there is no row: batches is empty, or a generator that has been read already")
    return n, mean, S, x.dtype


def _mean(x, start):
    with np.errstate(all="ignore"):  # reported below, with the row
        mean = np.mean(x, axis=0)
    if not np.all(np.isfinite(mean)):
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        where = f"row {start + int(bad[0])}" if len(bad) else f"the sum of rows {start} to {start + len(x) - 1}"
        raise ValueError(f"{where} contains NaN or infinity; drop or impute those rows first")
    return mean


def _blocks(batches, rows):
    """The same rows, `rows` at a time (fewer in the last block), in a buffer that is filled again for the next."""
    buffer, held = None, 0
    for x, dtype in _alike(batches):
        buffer = np.empty((rows, x.shape[1]), dtype) if buffer is None else buffer
        while len(x):
            take = min(rows - held, len(x))
            if take == rows:  # a whole block at once: no copy, unless it must become floating point
                yield x[:rows].astype(dtype, copy=False)
            else:
                buffer[held : held + take] = x[:take]
                held += take
                if held == rows:
                    yield buffer
                    held = 0
            x = x[take:]
    if held:
        yield buffer[:held]


def _alike(batches):
    """(batch, float32 or float64) for each batch, which must agree in features and type."""
    first = None
    for i, x in enumerate(batches):
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "biuf":
            raise TypeError(f"batch {i} is a {type(x).__name__}; give real NumPy arrays of shape (m, p)")
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(f"batch {i} has shape {x.shape}, want (m, p), one row per sample")
        dtype = np.dtype(np.float32 if x.dtype in (np.float16, np.float32) else np.float64)
        first = (x.shape[1], dtype) if first is None else first
        if (x.shape[1], dtype) != first:
            raise ValueError(f"batch {i} has {x.shape[1]} features in {dtype}, the first had {first[0]} in {first[1]}")
        yield x, dtype


def _eigenvectors(C, k, rng):
    """The k leading eigenvectors and eigenvalues of C: by a random basis where it is faster and can tell them apart."""
    if rng is not None and 20 * k < len(C):
        try:
            start = backend.beside(rng.normal(size=(len(C), k // 2 + 5)), C)
            return _leading(lambda q: C @ q, start, len(C), k, tol=1e-6, powers=20, every=2)
        except ArithmeticError:
            pass  # close eigenvalues do not disturb eigh
    variances, U = np.linalg.eigh(C)  # C u = sigma^2 u, ascending, so reverse
    return U[:, ::-1][:, :k], variances[::-1][:k]


def _leading(C_times, start, size, k, tol, powers, every=1):
    """The k leading eigenvectors and eigenvalues of C from the span of start, C start, C^2 start, ..., to tol rad."""
    q, angle = start, np.inf
    Q = CQ = q[:, :0].astype(np.float64)
    for power in range(powers):
        if Q.shape[1] + q.shape[1] > size:  # the whole space: nothing is saved any more
            break
        q = _new_directions(q, Q).astype(start.dtype)
        Q, q = np.hstack([Q, q]), C_times(q)
        CQ = np.hstack([CQ, q])
        if power % every == every - 1:  # the small eigenproblem costs as much as a product with a small C
            variances, U, residual = _rayleigh_ritz(Q, CQ, k)
            angle = _angle(variances, residual, k)
            if angle <= tol:
                return U, variances[:k]
    raise ArithmeticError(
        f"the subspace is known to {angle:.0e} rad, not {tol:.0e}: the variances {k} and {k + 1} hardly differ, or k "
        f'is not small against {size}; take another k or method="eig"'
    )


def _new_directions(q, Q):
    for _ in range(2):  # once leaves rounding errors of the old directions, twice is enough (Kahan; Parlett 1980)
        q = np.linalg.qr(q - Q @ (Q.T @ q))[0]
    return q


def _covariance_times(X, q):
    """(1/n) X^T (X q) for centred X, in one reading of X: each piece is used twice while it is in the cache."""
    rows = max(256, 2**21 // X.shape[1])
    return sum((x.T @ (x @ q)).astype(np.float64) for x in np.split(X, range(rows, len(X), rows))) / len(X)


def _rayleigh_ritz(Q, CQ, k):
    """All eigenvalues of Q^T C Q, decreasing; U = Q V for its k leading eigenvectors; C U - U diag(variances)."""
    T = Q.T @ CQ
    variances, V = np.linalg.eigh((T + T.T) / 2)
    variances, V = variances[::-1], V[:, ::-1][:, :k]
    return variances, Q @ V, CQ @ V - Q @ V * variances[:k]


def _angle(variances, residual, k):
    """sin(angle) <= |C u_j - sigma_j^2 u_j| / (sigma_j^2 - sigma_{k+1}^2), summed over j <= k in squares."""
    gap = variances[:k] - variances[k] if len(variances) > k else 0 * variances[:k]
    return np.inf if np.any(gap <= 0) else np.linalg.norm(np.linalg.norm(residual, axis=0) / gap)
