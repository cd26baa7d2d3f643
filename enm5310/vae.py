"""The variational auto-encoder (slides 8-9): z ~ N(0, I), x ~ p(x | decoder(z)), and q(z | x) = N(mean, e^logvar) by an
encoder, trained together to maximise ELBO = rec - beta KL.  One sample of noise per image and step (`eps`) is enough.

Parameters are a pair (encoder, decoder) of networks [(W, b), ...]; the encoder puts out mean and logvar side by side.
"""

from typing import NamedTuple

import autograd.numpy as np
from autograd import grad

from enm5310 import backend, nets, training
from enm5310.distributions import log_gaussian
from enm5310.fused import kl_standard_normal
from enm5310.likelihoods import Likelihood, bernoulli, continuous_bernoulli, gaussian, likelihood_named
from enm5310.nets import tanh

__all__ = [  # the likelihoods belong to the model: `vae.gaussian(0.3)`
    "Elbo", "Likelihood", "after", "before", "bernoulli", "by_hand", "continuous_bernoulli", "decode", "decode_mean",
    "elbo", "elbo_at", "encode", "fit", "free_bits", "gaussian", "implied_beta", "init", "likelihood_named",
    "log_weight", "reparametrise", "sample",
]  # fmt: skip

# -------------------- the model --------------------


def init(p, hidden, k, rng, dtype=np.float64):
    """(encoder, decoder) for p features, hidden = [h_1, ...], k latents: p -> h_1 ... -> 2k and k -> ... h_1 -> p."""
    return nets.init([p, *hidden, 2 * k], rng, dtype), nets.init([k, *hidden[::-1], p], rng, dtype)


def encode(params, X, activation=tanh):
    """mean and logvar = log sigma^2 of q(z | x_i) for the rows of X (n, p), each (n, k)."""
    return _heads(nets.apply(params[0], X, activation))


def _heads(output):
    k = np.shape(output)[-1] // 2
    return output[..., :k], output[..., k:]


def reparametrise(mean, logvar, eps):
    """z = mean + sigma eps ~ N(mean, sigma^2) for eps ~ N(0, I): the randomness no longer depends on the encoder."""
    return mean + np.exp(logvar / 2) * eps


def decode(params, Z, activation=tanh):
    """What the decoder says of p(x | z) for the rows of Z (n, k): logits or means, (n, p)."""
    return nets.apply(params[1], Z, activation)


def decode_mean(params, Z, likelihood="bernoulli", activation=tanh):
    """E[x | z] for the rows of Z (n, k), shape (n, p): a picture of the decoder, not a sample."""
    return likelihood_named(likelihood).mean(decode(params, Z, activation))


def sample(params, eps, noise, likelihood="bernoulli", activation=tanh):
    """x ~ p(x), (n, p): z = eps ~ N(0, I), (n, k), then x ~ p(x | z) from noise (n, p).  No encoder needed.

    noise is uniform in [0, 1), for the Gaussian standard normal, and independent of eps.
    """
    output = decode(params, eps, activation)
    if np.shape(noise) != np.shape(output):
        raise ValueError(f"noise has shape {np.shape(noise)}; every feature wants its own, shape {np.shape(output)}")
    return likelihood_named(likelihood).draw(output, noise)


class Elbo(NamedTuple):
    """elbo = rec - beta kl, one value per sample, in nats."""

    elbo: np.ndarray  # (n,)
    rec: np.ndarray  # (n,), log p(x | z) at one z ~ q(z | x)
    kl: np.ndarray  # (n,), KL(q(z | x) || N(0, I)), exact


def elbo(params, X, eps, likelihood="bernoulli", beta=1.0, activation=tanh):
    """log p(x_i | z_i) - beta KL(q(z | x_i) || N(0, I)) at z_i = mean_i + sigma_i eps_i, for X (n, p), eps (n, k).

    At beta = 1 its expectation over eps is a lower bound on log p(x_i); one draw may lie above.  eps (L, n, k) gives L
    draws, elbo and rec (L, n).  Raises ValueError when eps has no row of its own for every row of X.
    Source: Kingma & Welling (2013), equation 10; beta: Higgins et al. (2017).
    """
    return elbo_at(params, X, *encode(params, X, activation), eps, likelihood, beta, activation)


def elbo_at(params, X, mean, logvar, eps, likelihood="bernoulli", beta=1.0, activation=tanh):
    """The same for any q(z | x_i) = N(mean_i, e^logvar_i), mean and logvar (n, k), whoever proposes it."""
    _check_noise(eps, mean)
    rec = likelihood_named(likelihood).log_p(X, decode(params, reparametrise(mean, logvar, eps), activation))
    kl = kl_standard_normal(mean, logvar)
    return Elbo(rec - beta * kl, rec, kl)


def log_weight(params, X, eps, likelihood="bernoulli", activation=tanh):
    """log w_i = log p(x_i | z_i) + log p(z_i) - log q(z_i | x_i) at z_i = mean_i + sigma_i eps_i, shape (n,) or (L, n).

    E[w] = p(x), E[log w] = ELBO, with the KL estimated too.  Source: Burda, Grosse & Salakhutdinov (2016).
    """
    mean, logvar = encode(params, X, activation)
    _check_noise(eps, mean)
    z = reparametrise(mean, logvar, eps)
    rec = likelihood_named(likelihood).log_p(X, decode(params, z, activation))
    return rec + log_gaussian(z, np.zeros_like(mean), np.zeros_like(mean)) - log_gaussian(z, mean, logvar)


# -------------------- three routes to one gradient --------------------
# Each returns the Elbo and the gradient of its average over the rows of X, nested like params.


def after(params, X, eps, likelihood="bernoulli", beta=1.0, activation=tanh):
    """After reparametrisation (slide 9, right): z = g(eps, phi), and the gradient flows through the sample."""

    def average(params):
        values = elbo(params, X, eps, likelihood, beta, activation).elbo
        return np.sum(values) / np.size(values)  # np.mean's gradient is float64

    return elbo(params, X, eps, likelihood, beta, activation), grad(average)(params)


def before(params, X, eps, likelihood="bernoulli", beta=1.0, activation=tanh, baseline=0.0):
    """grad_phi E_q[rec(z)] = E_q[(rec(z) - b) grad_phi log q(z | x; phi)]: before reparametrisation (slide 9, left).

    The sample z is a number here and the encoder learns by its score: unbiased for the gradient of `after`, and far
    noisier.  A baseline b, one number or one per row made without that row's eps, leaves the mean and lowers the noise.
    Source: Williams (1992); Paisley, Blei & Jordan (2012).
    """
    now = elbo(params, X, eps, likelihood, beta, activation)
    if np.shape(baseline) not in {(), np.shape(X)[:1], np.shape(now.rec)}:
        raise ValueError(f"baseline has shape {np.shape(baseline)}; want one number or one per row, {np.shape(X)[:1]}")
    z = reparametrise(*encode(params, X, activation), eps)

    def surrogate(params):  # its gradient is the estimator; its value means nothing
        mean, logvar = encode(params, X, activation)
        rec = likelihood_named(likelihood).log_p(X, decode(params, z, activation))
        score = (now.rec - baseline) * log_gaussian(z, mean, logvar)
        return np.sum(rec + score - beta * kl_standard_normal(mean, logvar))

    return now, nets.tree_map(lambda g: g / np.size(now.elbo), grad(surrogate)(params))


def by_hand(params, X, eps, likelihood="bernoulli", beta=1.0, activation=tanh):
    """`after` derived on paper: back through the decoder, through z = mean + sigma eps, then through the encoder.

    d z / d mean = 1,  d z / d logvar = sigma eps / 2,  d KL / d mean = mean,  d KL / d logvar = (sigma^2 - 1) / 2.
    """
    (encoder, decoder), p_x, n = params, likelihood_named(likelihood), len(X)
    up = nets.forward(encoder, X, activation)
    mean, logvar = _heads(up[-1])
    _check_noise(eps, mean, draws=False)
    down = nets.forward(decoder, reparametrise(mean, logvar, eps), activation)
    (rec, slope), kl = p_x.log_p_and_slope(X, down[-1]), kl_standard_normal(mean, logvar)

    d_decoder, dz = nets.backward(decoder, down, slope / n, activation)
    d_mean = dz - beta / n * mean
    d_logvar = dz * eps * np.exp(logvar / 2) / 2 - beta / n * np.expm1(logvar) / 2
    d_encoder, _ = nets.backward(
        encoder, up, np.concatenate([d_mean, d_logvar], axis=1), activation, to_input=False
    )
    return Elbo(rec - beta * kl, rec, kl), (d_encoder, d_decoder)


# -------------------- training --------------------


def fit(
    params, X, rng, epochs=100, size=100, lr=1e-3, likelihood="bernoulli", beta=1.0, activation=tanh,
    route=by_hand, dynamic=False, callback=None, held_out=None, patience=None, checkpoint=None, device="cpu",
):  # fmt: skip
    """Maximise the average `elbo` over the rows of X (n, p) from params, by Adam on minibatches; a Run of ELBOs.

    beta and lr are numbers or functions of the step t (`optimize.warm_up`); dynamic draws binary pixels afresh from
    the grey levels of X at each visit.  callback(t, params, elbo) may stop the run by returning True, so may Ctrl-C.
    held_out = (X, eps), eps as for `elbo`: return the parameters of the epoch whose average ELBO on these rows is the
    highest, and stop after `patience` epochs without a higher one.  checkpoint: a file from which an interrupted run
    goes on exactly (see `training.fit`).  The networks' dtype is kept, whatever X has.  device="gpu" trains there, with
    the same noise and in the same order; a callback then gets the parameters as they lie there (`backend.to_host`).
    Raises ValueError when X is not a finite matrix or the ELBO diverges.
    """
    if np.ndim(X) != 2 or 0 in np.shape(X) or not np.all(np.isfinite(X)):
        raise ValueError(f"X has shape {np.shape(X)}; want a finite matrix (n, p) with at least one row and no NaN")
    if dynamic and not (np.min(X) >= 0 and np.max(X) <= 1):
        raise ValueError(f"X runs from {np.min(X)} to {np.max(X)}; a pixel to draw is a probability: scale to [0, 1]")
    return backend.run(
        device, rng,
        lambda params, X, held_out: _fit(
            params, X, rng, epochs, size, lr, likelihood, beta, activation, route, dynamic, callback, held_out,
            patience, checkpoint,
        ),
        params, X, held_out,
    )  # fmt: skip


def _fit(
    params, X, rng, epochs, size, lr, likelihood, beta, activation, route, dynamic, callback, held_out, patience,
    checkpoint,
):  # fmt: skip
    dtype, k = params[1][0][0].dtype, len(params[1][0][0])

    def value_and_gradient(params, i, t):
        x = X[backend.beside(i, X)]
        x = draw_pixels(x, rng) if dynamic else x
        eps = backend.beside(rng.standard_normal((len(i), k), dtype), x)  # fresh noise for every sample and step
        weight = float(beta(t) if callable(beta) else beta)
        now, gradient = route(params, x.astype(dtype, copy=False), eps, likelihood, weight, activation)
        return -np.mean(now.elbo), gradient

    def loss(params):
        return -float(np.mean(elbo(params, *held_out, likelihood, activation=activation).elbo, dtype=np.float64))

    told = callback and (lambda t, params, value: callback(t, params, -value))
    run = training.fit(
        value_and_gradient, params, len(X), rng, epochs, size, lr, told,
        loss if held_out else None, patience, checkpoint, uphill=True,
    )  # fmt: skip
    return run._replace(values=-run.values)


def draw_pixels(grey, rng):
    """x_j = 1 with probability grey_j in [0, 1], else 0, shape and type of grey: exact at 0 and 1, to 2^-16 between."""
    noise = backend.beside(rng.integers(0, 2**16, np.shape(grey), np.uint16), grey)
    return (noise < grey * 2**16).astype(grey.dtype)


def free_bits(mean, logvar, floor):
    """sum_j max(floor, average over the batch of KL_j), nats: no gain in making a latent cheaper than floor.

    Source: Kingma et al. (2016), section 3.4 and appendix C.8.
    """
    if np.ndim(mean) != 2 or np.shape(mean) != np.shape(logvar):
        raise ValueError(f"mean {np.shape(mean)}, logvar {np.shape(logvar)}; want the heads of a batch, (n, k) both")
    kl = kl_standard_normal(mean[..., None], logvar[..., None])  # (n, k): one value per latent
    return np.sum(np.maximum(floor, np.sum(kl, axis=0) / len(kl)))


def implied_beta(reduce_rec, reduce_kl, D, K, weight=1.0):
    """The beta that a loss means when it takes the "sum" or the "mean" of rec over D features and of KL over K latents.

    rec_reduced + weight KL_reduced is a multiple of rec + beta KL, beta = weight (D if rec is a mean) / (K if KL is).
    """
    per = {"sum": (1, 1), "mean": (D, K)}
    if reduce_rec not in per or reduce_kl not in per:
        raise ValueError(f"the reductions are {reduce_rec!r} and {reduce_kl!r}; each must be 'sum' or 'mean'")
    return weight * per[reduce_rec][0] / per[reduce_kl][1]


def _check_noise(eps, mean, draws=True):
    if (np.shape(eps)[-2:] if draws else np.shape(eps)) != np.shape(mean) or len(mean) == 0:
        raise ValueError(f"eps has shape {np.shape(eps)}; each of n >= 1 samples needs its own, shape {np.shape(mean)}")
