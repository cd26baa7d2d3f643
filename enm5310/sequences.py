"""Recurrent networks for strings (slide 12): the gated recurrent unit as one primitive, and log p of a string.

Time comes first here: X (T, n, V) is n one-hot strings of T characters, so that step t is one contiguous block.
"""

import numpy as np
from autograd.extend import defvjp, defvjp_argnums, primitive

# -------------------- the gated recurrent unit --------------------


@primitive
def gru(A, h0, U, b):
    """h_1 ... h_T, shape (T, n, h), from inputs A = X W + c (T, n, 3h), a first state h0 (n, h), U (h, 3h) and b (h,).

    With the three parts a_r, a_u, a_c of A_t and p_r, p_u, p_c of h_{t-1} U,

        r = s(a_r + p_r),  u = s(a_u + p_u),  c = tanh(a_c + r (p_c + b)),  h_t = u h_{t-1} + (1 - u) c.

    The reset gate r acts after the product, so that a step needs one product only.
    Source: Cho et al. (2014), equations 5-8, whose r acts before the product.
    """
    H = np.empty((*np.shape(A)[:2], len(U)), np.result_type(A, h0, U, b))
    h = h0
    for t in range(len(A)):
        _, u, c, _ = _gates(A[t], h @ U, b)
        h = np.add(c, u * (h - c), out=H[t])  # u h + (1 - u) c
    return H


def _gates(A, P, b):
    h = np.shape(P)[-1] // 3
    ru = np.tanh(0.5 * (A[..., : 2 * h] + P[..., : 2 * h]))  # s(a) = (1 + tanh(a / 2)) / 2
    ru += 1
    ru *= 0.5
    r, u, q = ru[..., :h], ru[..., h:], P[..., 2 * h :] + b
    return r, u, np.tanh(A[..., 2 * h :] + r * q), q


def _back_through_time(argnums, H, args, _):
    A, h0, U, b = args
    before = np.concatenate([h0[None], H[:-1]])  # h_{t-1}
    r, u, c, q = _gates(A, before @ U, b)  # of all steps in one product: cheaper than keeping them

    def vjp(G):
        dA, dP, dh = np.empty_like(H, shape=np.shape(A)), np.empty_like(H, shape=np.shape(A)), np.zeros_like(h0)
        h = len(U)
        slope_r, slope_u, slope_c = q * r * (1 - r), (before - c) * u * (1 - u), (1 - u) * (1 - c * c)
        for t in reversed(range(len(H))):
            dh = dh + G[t]
            d = dA[t]
            np.multiply(dh, slope_c[t], out=d[:, 2 * h :])
            np.multiply(d[:, 2 * h :], slope_r[t], out=d[:, :h])
            np.multiply(dh, slope_u[t], out=d[:, h : 2 * h])
            dP[t, :, : 2 * h] = d[:, : 2 * h]
            np.multiply(d[:, 2 * h :], r[t], out=dP[t, :, 2 * h :])  # only this one goes through r
            dh = dh * u[t] + dP[t] @ U.T
        flat = dP.reshape(-1, 3 * h)
        every = dA, dh, before.reshape(-1, h).T @ flat, flat[:, 2 * h :].sum(axis=0)
        return tuple(every[i] for i in argnums)

    return vjp


defvjp_argnums(gru, _back_through_time)

# -------------------- log p of a string --------------------


def log_strings(X, logits):
    """sum_t sum_k x_tk log softmax(l_t)_k, shape (n,), summed over characters, for X and logits (T, n, V).

    `distributions.log_categorical` in fewer passes.  Rows of X that are 0 do not count: how padding is masked.
    """
    return _log_strings(X, logits)


@primitive
def _log_strings(X, logits):
    return np.sum(X * _log_softmax(logits), axis=(0, 2))


def _log_softmax(logits):
    l = logits - logits.max(axis=-1, keepdims=True)
    return l - np.log(np.sum(np.exp(l), axis=-1, keepdims=True))


def _slope(X, logits):
    return X - X.sum(axis=-1, keepdims=True) * np.exp(_log_softmax(logits))


defvjp(_log_strings, None, lambda ans, X, logits: lambda g: g[:, None] * _slope(X, logits))
