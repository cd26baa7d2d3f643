"""linear_vae: a VAE with linear networks, trained by `vae.fit`, beside probabilistic PCA, which is solved exactly.

Tipping & Bishop (1999) give the maximum of the likelihood; Lucas et al. (2019) show that the ELBO of the linear VAE has
the same maxima and that latents with lambda_j <= s2 collapse at both.  Here that is measured on trained networks.
"""

from typing import NamedTuple

import numpy as np

from enm5310 import datasets, latent, nets, pca, plots, ppca, vae
from tests.benchmarks.reproduce import images
from tests.benchmarks.reproduce.record import Result, Row

TITLE = "The linear VAE reaches probabilistic PCA"
PAPER = (
    "M. E. Tipping & C. M. Bishop (1999), Probabilistic principal component analysis, *Journal of the Royal "
    "Statistical Society B* 61, 611-622; J. Lucas, G. Tucker, R. Grosse & M. Norouzi (2019), Don't blame the ELBO! A "
    "linear VAE perspective on posterior collapse, *NeurIPS* 32."
)


class Size(NamedTuple):
    """The budget."""

    q: int = 10  # latents on the 8 x 8 digits
    epochs: int = 1000
    q_mnist: int = 20
    n_mnist: int = 10_000
    epochs_mnist: int = 150
    q_collapse: int = 20
    epochs_collapse: int = 1200
    noises: tuple = tuple(float(x) for x in np.round(0.02 * 1.7 ** np.arange(8), 4))  # s2 of the collapse
    draws: int = 100  # of the noise that estimates an ELBO
    lr: float = 0.03  # on the digits; 0.03 is too much for 784 pixels
    lr_mnist: float = 0.01
    lr_collapse: float = 0.01
    batch: int = 100
    batch_collapse: int = 600  # less noise: a latent that is to stay unused wanders in it


FULL = Size()
TINY = Size(
    q=2, epochs=30, q_mnist=2, n_mnist=200, epochs_mnist=30, q_collapse=3, epochs_collapse=40, noises=(0.02, 0.1, 1.0),
    draws=20, lr_collapse=0.03, batch_collapse=100,
)  # fmt: skip


# -------------------- the VAE as a PPCA --------------------


def train(params, X, s2, rng, epochs, batch, lr, callback=None):
    """`vae.fit` with the likelihood N(output, s2 I) and a learning rate that falls linearly from lr to 0."""
    steps = epochs * -(-len(X) // batch)
    falling = lambda t: lr * (1 - t / steps)  # noqa: E731
    return vae.fit(params, X, rng, epochs, batch, falling, vae.gaussian(s2**0.5), callback=callback).params


def in_double(params):
    return nets.tree_map(lambda a: a.astype(np.float64), params)


def as_ppca(params, s2):
    """The decoder alone: p(x) = N(b, W W^T + s2 I)."""
    ((W, b),) = params[1]
    return ppca.PPCA(W.T, b, s2)


def exact_elbo(params, s2, X):
    """The average ELBO in closed form; unlike `ppca.linear_vae_elbo` for a variance that the encoder makes of x.

    E_q |x - b - W z|^2 = |x - b - W m|^2 + sum_j e^logvar_j |w_j|^2 for z ~ N(m, diag e^logvar).
    """
    ((W, b),) = params[1]
    mean, logvar = vae.encode(params, X)
    squares = np.sum((X - b - mean @ W) ** 2, axis=1) + np.exp(logvar) @ np.sum(W**2, axis=1)
    rec = -0.5 * (X.shape[1] * np.log(2 * np.pi * s2) + squares / s2)
    return float(np.mean(rec - 0.5 * np.sum(mean**2 + np.exp(logvar) - logvar - 1, axis=1)))


def monte_carlo(params, s2, X, draws, rng):
    """The average ELBO of X by `vae.elbo`, estimated by draws of the noise, and its standard error."""
    k = len(params[1][0][0])
    values = [
        np.mean(vae.elbo(params, X, rng.standard_normal((len(X), k)), vae.gaussian(s2**0.5)).elbo) for _ in range(draws)
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1) / draws**0.5)


# -------------------- measurements --------------------


def reached(X, q, epochs, lr, size, rng, callback=None, start=None):
    """Trained at the maximum likelihood's own s2: what is left to the maximum of log p, in nats, and where it is."""
    exact = ppca.fit(X.astype(np.float64), q)
    s2, start = float(exact.s2), vae.init(X.shape[1], [], q, rng, X.dtype) if start is None else start
    params, X = in_double(train(start, X, s2, rng, epochs, size.batch, lr, callback)), X.astype(np.float64)
    top = float(np.mean(ppca.log_likelihood(exact, X)))
    decoder = as_ppca(params, s2)
    elbo, error = monte_carlo(params, s2, X, size.draws, rng)
    log_p = float(np.mean(ppca.log_likelihood(decoder, X)))
    return {
        "top": top, "s2": s2, "log p": log_p, "elbo": exact_elbo(params, s2, X), "estimate": elbo, "error": error,
        "rotation": float(ppca.elbo_gap(decoder)),
    }  # fmt: skip


def rotated(X, q, size, rng):
    """At the maximum likelihood with W turned at random: the gap of the best encoder, by formula and by `vae.elbo`."""
    exact = ppca.fit(X, q)
    turned = exact._replace(W=exact.W @ np.linalg.qr(rng.normal(size=(q, q)))[0])
    log_p = float(np.mean(ppca.log_likelihood(turned, X)))
    elbo, error = monte_carlo(ppca.to_nets(ppca.best_encoder(turned)), float(exact.s2), X, size.draws, rng)
    straight = turned._replace(W=turned.W @ np.linalg.svd(turned.W, full_matrices=False)[2].T)  # columns orthogonal
    return {
        "same log p": abs(log_p - float(np.mean(ppca.log_likelihood(exact, X)))), "error": error,
        "formula": float(ppca.elbo_gap(turned)), "estimate": log_p - elbo, "straight": float(ppca.elbo_gap(straight)),
    }  # fmt: skip


def without_leader(X, q):
    """A stationary point that is no maximum: PPCA whose leading latent is dead, w_1 = 0, as networks; and its cost.

    In log p it costs [lambda_1 / s2 - 1 - ln(lambda_1 / s2)] / 2.
    """
    exact = ppca.fit(X, q)
    dead = exact._replace(W=np.concatenate([np.zeros_like(exact.W[:, :1]), exact.W[:, 1:]], axis=1))
    ratio = pca.fit(X, 1).variances[0] / exact.s2
    return ppca.to_nets(ppca.best_encoder(dead)), float(ratio - 1 - np.log(ratio)) / 2


def collapsed(X, size, rng):
    """(s2, latents in use by PPCA, those of a trained VAE, the eigenvalue nearest to s2) for each noise variance."""
    variances = pca.fit(X, None, "svd").variances
    for s2 in size.noises:
        start = vae.init(X.shape[1], [], size.q_collapse, rng)
        params = train(start, X, s2, rng, size.epochs_collapse, size.batch_collapse, size.lr_collapse)
        used = int(np.sum(latent.active_units(vae.encode(params, X)[0])))
        nearest = variances[np.argmin(np.abs(np.log(np.maximum(variances, 1e-9) / s2)))]
        yield s2, ppca.active_latents(variances, s2, size.q_collapse), used, float(nearest)


# -------------------- the experiment --------------------


def run(say, size=FULL, data=None):
    big = np.asarray(images(data)[0][: size.n_mnist])
    X = datasets.load_digits().data / 16
    exact = ppca.fit(X, size.q)
    s2, top = float(exact.s2), float(np.mean(ppca.log_likelihood(exact, X)))
    saddle, cost = without_leader(X, size.q)
    paths, found = {}, {}
    for name, start in {"random weights": None, "leading latent dead": saddle}.items():
        paths[name] = ([], [])
        watch = watcher(paths[name], lambda params: top - exact_elbo(params, s2, X), -(-len(X) // size.batch))
        found[name] = reached(X, size.q, size.epochs, size.lr, size, np.random.default_rng(0), watch, start)
        paths[name][0].append(size.epochs)
        paths[name][1].append(top - found[name]["elbo"])
        say(f"digits from {name}: max log p - ELBO = {found[name]['top'] - found[name]['elbo']:.4f} nats")
    found["MNIST"] = reached(big, size.q_mnist, size.epochs_mnist, size.lr_mnist, size, np.random.default_rng(0))
    say(f"MNIST: max log p - ELBO = {found['MNIST']['top'] - found['MNIST']['elbo']:.3f} nats")
    turned = rotated(X, size.q, size, np.random.default_rng(1))
    counts = list(collapsed(X, size, np.random.default_rng(2)))
    say(f"latents in use: {counts}")
    noises = np.geomspace(size.noises[0], size.noises[-1], 400)
    variances = pca.fit(X, None, "svd").variances
    theory = noises, [ppca.active_latents(variances, s2, size.q_collapse) for s2 in noises]
    figures = {"training": figure(paths, theory, counts)}
    return Result(rows(found, turned, cost, counts, size), how(size, s2, found), figures, remarks(found, counts))


def watcher(path, gap, steps):
    """A callback that notes the gap at epochs 1, 2, 3, 4, 6, ..., spaced evenly on a log scale."""
    marks = set(np.unique(np.round(np.geomspace(1, 10**5, 90))).astype(int))

    def callback(t, params, value):
        if t % steps == 0 and t // steps in marks | {0}:
            path[0].append(t // steps)
            path[1].append(gap(params))

    return callback


def rows(found, turned, cost, counts, size):
    digits, saddle, mnist = found["random weights"], found["leading latent dead"], found["MNIST"]
    agree = sum(theory == used for _, theory, used, _ in counts)
    return [
        *gap_rows("8x8 digits", size.q, digits), *gap_rows(f"MNIST, {size.n_mnist:,} images", size.q_mnist, mnist),
        Row("digits, start where the leading latent is dead: max log p - log p there, nats", "-", f"{cost:.2f}",
            "a stationary point: [lambda/s2 - 1 - ln(lambda/s2)]/2"),
        Row("the same after training", "0", f"{saddle['top'] - saddle['log p']:.4f}",
            "Lucas et al.: the ELBO adds no local maxima to those of log p"),
        Row("digits, W of the maximum turned at random: log p - ELBO of the best encoder, by formula", "-",
            f"{turned['formula']:.4f}", f"log p itself moves by {turned['same log p']:.0e}"),
        Row("the same by Monte Carlo", "-", f"{turned['estimate']:.4f} ± {turned['error']:.4f}", "`vae.elbo`"),
        Row("turned back until its columns are orthogonal", "0", f"{max(turned['straight'], 0):.0e}",
            "Lucas et al.: a diagonal posterior singles out the principal directions"),
        Row(f"digits, {size.q_collapse} latents: latents in use at {len(counts)} noise variances, theory and VAE equal",
            f"{len(counts)} of {len(counts)}", f"{agree} of {len(counts)}", "in use: lambda_j > s2; figure, right"),
    ]  # fmt: skip


def gap_rows(what, q, f):
    return [
        Row(f"{what}, {q} latents: max of log p, nats per image", "-", f"{f['top']:.4f}",
            "Tipping & Bishop's closed form"),
        Row(f"{what}: max of log p - log p of the trained decoder", "0", f"{f['top'] - f['log p']:.4f}", "exact"),
        Row(f"{what}: max of log p - ELBO, by Monte Carlo", "0", f"{f['top'] - f['estimate']:.4f} ± {f['error']:.4f}",
            f"in closed form {f['top'] - f['elbo']:.4f}; of this {f['rotation']:.4f}: W is not quite orthogonal"),
    ]  # fmt: skip


def how(size, s2, found):
    return [
        "The 1,797 8x8 digits, grey values / 16, and the first training images of MNIST, grey levels in [0, 1]; the "
        "linear networks x -> (mean, logvar) and z -> x of `vae.init(p, [], q, rng)`, the likelihood N(Wz + b, s2 I) "
        f"with the maximum likelihood's own s2 ({s2:.5f} and {found['MNIST']['s2']:.5f}).",
        "Trained by `vae.fit`: Adam, one draw of noise per image and step, learning rate falling linearly to 0: from "
        f"{size.lr} in {size.epochs} epochs on the digits, from {size.lr_mnist} in {size.epochs_mnist} on MNIST, "
        f"batches of {size.batch}; for each noise variance of the collapse from {size.lr_collapse} in "
        f"{size.epochs_collapse}, batches of {size.batch_collapse}. Seed 0 (collapse 2, rotation 1).",
        f"Monte Carlo: {size.draws} draws of noise for every image; ± is a standard error. A latent is in use when "
        "the variance of its mean over the data is above 0.01 (`latent.active_units`).",
        "Everything is measured on the data trained on: the statements are about the maximum of their likelihood.",
    ]


def remarks(found, counts):
    digits, mnist = found["random weights"], found["MNIST"]
    missed = [
        f"{used} instead of {theory} at s2 = {s2:g}, nearest eigenvalue {nearest:.4f}"
        for s2, theory, used, nearest in counts if theory != used
    ]  # fmt: skip
    return (
        "The papers prove these statements and print no numbers for these data; the column says what the theorems say. "
        f"Training gets within {digits['top'] - digits['elbo']:.3f} nats of the maximum on the digits and within "
        f"{mnist['top'] - mnist['elbo']:.2f} on MNIST; what is left is the noise of the steps and, on MNIST, "
        "directions of nearly equal variance, which take long to separate.",
        "The latents that are not in use are not in use at the maximum of the likelihood either: a VAE that collapses "
        "like this has found what its noise variance asks for."
        + (f" Not equal: {'; '.join(missed)}." if missed else ""),
    )


def figure(paths, theory, counts):
    left, right = plots.panels(2, height=3.6)
    plots.curves(None, {name: (1 + np.array(x), y) for name, (x, y) in paths.items()}, left, xlabel="epoch (from 1)",
                 ylabel="max log p − ELBO, nats", xscale="log", yscale="log")  # fmt: skip
    s2, _, used, _ = np.transpose(counts)
    right.plot(*theory, color=plots.COLORS[0], linewidth=2, label="PPCA: λ > s2")
    right.plot(s2, used, "o", color=plots.COLORS[3], markersize=7, label="trained VAE")
    right.set(xscale="log", xlabel="noise variance s2", ylabel="latents in use")
    right.set_xticks(ticks := [0.02, 0.05, 0.1, 0.2, 0.5], [f"{tick:g}" for tick in ticks])
    right.minorticks_off()
    right.spines[["top", "right"]].set_visible(False)
    right.legend(frameon=False)
    return left.figure, (
        "Left, the distance of the ELBO from the maximum of the likelihood against epochs, both on log scales: from "
        "random weights and from a point with a dead latent it falls towards zero. Right, the number of latents in use "
        "against the noise variance: the dots of trained VAEs follow the falling steps of the theory."
    )
