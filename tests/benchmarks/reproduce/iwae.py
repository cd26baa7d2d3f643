"""iwae: what K draws from the encoder are worth, averaged in the VAE and as importance weights in the IWAE.

Burda, Grosse & Salakhutdinov (2016), table 1, one stochastic layer: log p(x) of binary MNIST and the latents in use for
K = 1, 5, 50.  At K = 1 both are the VAE, and so is the beginning of every run here; see `how`.
"""

import time
from typing import NamedTuple

import numpy as np

from enm5310 import bounds, latent, nets, optimize, plots, vae
from enm5310.distributions import log_gaussian, log_softmax, log_standard_normal
from tests.benchmarks.reproduce import images
from tests.benchmarks.reproduce.record import Result, Row

TITLE = "K draws: the VAE and the importance-weighted auto-encoder, MNIST"
PAPER = "Burda, Grosse & Salakhutdinov (2016), Importance Weighted Autoencoders, table 1 (MNIST, one stochastic layer)"
BATCH = 50
RATES = 1e-3, 2e-3, 4e-3  # of Adam
WITHIN = {  # table 1: -log p(x) in nats and active units of 50
    ("VAE", 1): (86.76, 19), ("VAE", 5): (86.47, 20), ("VAE", 50): (86.35, 20),
    ("IWAE", 5): (85.54, 22), ("IWAE", 50): (84.78, 25),
}  # fmt: skip


class Size(NamedTuple):
    """The budget: passes over the images that all runs share, as the VAE with K = 1, and those of each on its own."""

    hidden: tuple = (200, 200)
    latents: int = 50
    shared: int = 20
    own: int = 3
    judged: int = 1000  # test images whose log p(x) is estimated
    draws: int = 1000  # for each of them
    held_out: int = 10_000  # the last training images, by which the learning rate is chosen
    tried: int = 5  # passes over the others for each rate that is tried


FULL = Size()
TINY = Size((8,), 3, 1, 1, 20, 40, 50, 1)

# -------------------- training --------------------


def gradient(params, x, eps, weighted):
    """A bound on log p(x_i), (n,), and the gradient of its average, for x (n, p) and noise eps (n, K, k).

    weighted: log (1/K) sum_k w_ik, the IWAE's, whose gradient is that of log w averaged by the weights w_ik / sum w_i.
    Otherwise the ELBO averaged over K draws, KL exact.  At z = mean + sigma eps, log q(z) = -logvar/2 - eps^2/2, hence
    d log w / d mean = s - z,  d log w / d logvar = (s - z) sigma eps / 2 + 1/2  with s = d log p(x | z) / dz.
    """
    (encoder, decoder), (n, K, k) = params, eps.shape
    up = nets.forward(encoder, x)
    mean, logvar = up[-1][:, None, :k], up[-1][:, None, k:]  # (n, 1, k): the same for all draws of an image
    z = vae.reparametrise(mean, logvar, eps)
    down = nets.forward(decoder, z.reshape(n * K, k))
    rec, slope = vae.bernoulli.log_p_and_slope(np.repeat(x, K, axis=0), down[-1])
    rec = rec.reshape(n, K)
    if weighted:
        log_w = rec + log_standard_normal(z) - log_gaussian(z, mean, logvar)
        bound, share = bounds.iwae_bound(log_w), np.exp(log_softmax(log_w)) / n
    else:
        kl = vae.kl_standard_normal(mean[:, 0], logvar[:, 0])
        bound, share = np.mean(rec, axis=1) - kl, np.full_like(rec, 1 / (n * K))
    slope *= share.reshape(n * K, 1)
    d_decoder, dz = nets.backward(decoder, down, slope)
    dz = dz.reshape(n, K, k)
    if weighted:
        dz -= share[..., None] * z
    d_mean, d_logvar = np.sum(dz, axis=1), np.sum(dz * eps, axis=1) * np.exp(logvar[:, 0] / 2) / 2
    if weighted:
        d_logvar += 1 / (2 * n)
    else:
        d_mean -= mean[:, 0] / n
        d_logvar -= np.expm1(logvar[:, 0]) / (2 * n)
    d_encoder, _ = nets.backward(encoder, up, np.concatenate([d_mean, d_logvar], axis=1), to_input=False)
    return bound, (d_encoder, d_decoder)


class Trained(NamedTuple):
    params: tuple
    state: optimize.Sums  # Adam's
    seconds: float  # of processor time


def train(grey, K, weighted, passes, begin, lr, seed=1):
    """`passes` over the images from where `begin` ended, pixels drawn afresh at each visit.

    lr is a number or a function of the fraction done.
    """
    rng, steps = np.random.default_rng(seed), passes * -(-len(grey) // BATCH)
    k, state, began = len(begin.params[1][0][0]), begin.state, time.process_time()  # Adam overwrites its state

    def downhill(params, i, t):
        x = vae.draw_pixels(grey[i], rng)
        bound, up = gradient(params, x, rng.standard_normal((len(i), K, k), np.float32), weighted)
        return -np.mean(bound), up

    def update(params, gradient, state, lr):
        return optimize.adam_in_place(params, gradient, state, -lr, eps=1e-4)  # uphill; the paper's eps

    run, state = optimize.train_on(
        downhill, begin.params, optimize.epochs(len(grey), BATCH, rng, passes), update, None,
        (lambda t: lr(t / steps)) if callable(lr) else lr,
        state and state._replace(m=nets.tree_map(np.copy, state.m), v=nets.tree_map(np.copy, state.v)),
    )  # fmt: skip
    return Trained(run.params, state, time.process_time() - began)


def start(grey, size):
    """Random weights; the decoder's last bias is the log-odds of the mean image."""
    encoder, decoder = vae.init(grey.shape[1], size.hidden, size.latents, np.random.default_rng(0), np.float32)
    mean = np.clip(np.mean(grey, axis=0), 1e-3, 1 - 1e-3)
    return Trained((encoder, [*decoder[:-1], (decoder[-1][0], np.log(mean) - np.log1p(-mean))]), None, 0.0)


# -------------------- judging --------------------


def log_p(params, x, draws, rng):
    """L_K of each image, (n,), float64: log (1/K) sum_k w_k, K = draws; one encoding serves them all."""
    mean, logvar = vae.encode(params, x)
    at_once = max(1, 1000 // len(x))  # rows of the decoder that stay in the cache
    log_w = np.empty((draws, len(x)))
    for k in range(0, draws, at_once):
        some = range(k, min(k + at_once, draws))
        z = vae.reparametrise(mean, logvar, rng.standard_normal((len(some), *mean.shape), np.float32))
        rec = vae.bernoulli.log_p(x, vae.decode(params, z))
        log_w[k : k + len(some)] = rec + log_standard_normal(z) - log_gaussian(z, mean, logvar)
    return bounds.iwae_bound(log_w.T)


class Judged(NamedTuple):
    """One run on the test images."""

    log_p: np.ndarray  # (n,)
    activity: np.ndarray  # Var_x(E_q[z_j | x]), (k,)
    active: int
    seconds: float


def judge(trained, x, some, size):
    """log p of the rows `some` of the binary images x, activity over all of them; the same noise for every run."""
    mean = vae.encode(trained.params, x)[0].astype(np.float64)
    values = log_p(trained.params, x[some], size.draws, np.random.default_rng(3))
    return Judged(values, np.var(mean, axis=0), int(np.sum(latent.active_units(mean))), trained.seconds)


def gain(better, base):
    """How much higher the average log p is, in nats, and its standard error: both have seen the same images."""
    d = better.log_p - base.log_p
    return float(np.mean(d)), float(np.std(d) / len(d) ** 0.5)


# -------------------- the experiment --------------------


def tried(grey, size):
    """{learning rate: -ELBO of all images held out, after passes over the others}, K = 1."""
    others, rng = grey[: -size.held_out], np.random.default_rng(5)
    x = vae.draw_pixels(grey[-size.held_out :], rng)
    eps = rng.standard_normal((len(x), size.latents), np.float32)
    ends = {lr: train(others, 1, False, size.tried, start(others, size), lr).params for lr in RATES}
    return {lr: -float(np.mean(vae.elbo(params, x, eps).elbo, dtype=np.float64)) for lr, params in ends.items()}


def run(say, size=FULL, data=None):
    """The five runs of table 1: VAE and IWAE for K = 1, 5, 50, which coincide at K = 1."""
    grey, test = images(data)
    x = vae.draw_pixels(test, np.random.default_rng(2))
    some = np.linspace(0, len(x) - 1, min(size.judged, len(x))).astype(int)  # all over the test images
    found = tried(grey, size)
    lr = min(found, key=found.get)
    say(f"learning rates by the images held out: {rates(found)}")
    shared = train(grey, 1, False, size.shared, start(grey, size), lr)
    before = judge(shared, x, some[:1], size).active
    say(f"the passes in common: {before} active, {shared.seconds:.0f} s")
    judged = {}
    for name, K in WITHIN:
        trained = train(grey, K, name == "IWAE", size.own, shared, lambda done: lr * (1 - done), seed=4)
        judged[name, K] = now = judge(trained, x, some, size)
        say(f"{name}, K = {K}: {-np.mean(now.log_p):.2f}, {now.active} active, {now.seconds:.0f} s")
    figures = {"gain": gains_drawn(judged), "activity": activity_drawn(judged)}
    return Result(rows(judged), how(size, len(some), found), figures, remarks(judged, size, shared, before))


def label(name, K):
    return f"{name}, K = {K}" if K > 1 else "VAE = IWAE, K = 1"


def rows(judged):
    found = []
    for key, now in judged.items():
        paper, units = WITHIN[key]
        error = np.std(now.log_p) / len(now.log_p) ** 0.5
        ours = f"{-np.mean(now.log_p):.2f} ± {error:.2f}"
        found += [
            Row(f"-log p(x), nats: {label(*key)}", f"{paper:.2f}", ours, "table 1, 3280 passes over the images"),
            Row(f"active units of 50: {label(*key)}", f"{units}", f"{now.active}", "table 1"),
        ]
    for key in list(judged)[1:]:
        more, error = gain(judged[key], judged["VAE", 1])
        paper = WITHIN["VAE", 1][0] - WITHIN[key][0]
        ours = f"{more:.2f} ± {error:.2f}"
        found.append(Row(f"nats gained over K = 1: {label(*key)}", f"{paper:.2f}", ours, "differences of table 1"))
    return found


def rates(found):
    return ", ".join(f"{lr:g} {nats:.1f}" for lr, nats in found.items())


def how(size, judged, found):
    lr = min(found, key=found.get)
    sizes = "-".join(map(str, (784, *size.hidden, size.latents)))
    return [
        f"60 000 training images, each pixel drawn afresh as 0 or 1 with its grey level as the probability. Encoder "
        f"{sizes}, decoder the same backwards, tanh, Adam with eps 1e-4, all as in the paper; float32, minibatches of "
        f"{BATCH} (the paper: 20).",
        f"The first {size.shared} passes over the images are the same for all runs: the VAE with K = 1 at a learning "
        f"rate of {lr:g}. From there each run goes on for {size.own} passes with its own bound and K, Adam's moments "
        f"kept, the rate falling to 0 along a straight line; order of images and pixels are the same. The paper trains "
        f"each run alone for 3280 passes; its table 2 does as we do, from the trained VAE on with the IWAE.",
        "VAE: the ELBO averaged over K draws, KL exact; IWAE: the gradients of log w averaged by their normalised "
        "weights (equation 14). The decoder's last bias starts at the log-odds of the mean image.",
        f"The rate was chosen by -ELBO of the last {size.held_out} training images, K = 1, after {size.tried} passes "
        f"over the others: {rates(found)} nats.",
        f"-log p(x): L_K with {size.draws} draws (the paper: 5000) for {judged} test images, evenly spaced in the test "
        f"set, made binary once, sums in float64, ± standard error over images; gains are of the same images and the "
        f"same noise, hence their smaller errors. Active: the variance over all test images of the encoder's mean is "
        f"above 0.01. Seeds 0 to 4.",
    ]


def units(judged, size, before):
    """What became of the active units, in words: the trend is believed only if it holds above noise, at 0.1, too."""

    def counted(level):
        runs = {name: [judged["VAE" if K == 1 else name, K] for K in (1, 5, 50)] for name in ("VAE", "IWAE")}
        found = {name: [int(np.sum(run.activity > level)) for run in three] for name, three in runs.items()}
        trend = found["IWAE"] == sorted(found["IWAE"]) and found["IWAE"][2] > max(found["VAE"])
        return "; ".join(f"{name} {', '.join(map(str, three))}" for name, three in found.items()), trend

    (words, trend), (clear, sure) = counted(0.01), counted(0.1)
    told = f"Active units for K = 1, 5, 50: {words} ({before} after the passes in common); above 0.1 instead: {clear}"
    if trend and sure:
        return f"{told}. As in the paper, the IWAE keeps more of them the larger K is, and more than the VAE."
    return (
        f"{told}. That the IWAE uses more units the larger K is does not show here beyond the noise of training: "
        f"{size.own} passes of its own are few for a latent to be switched on again (in the paper's table 2, 37 passes "
        f"with K = 50 raised 19 to 22)."
    )


def remarks(judged, size, shared, before):
    one, most = judged["VAE", 1], judged["IWAE", 50]
    more, error = gain(most, judged["VAE", 50])
    return (
        f"At the same K = 50, weights instead of averages are worth {more:.2f} ± {error:.2f} nats (table 1: 1.57).",
        units(judged, size, before),
        f"The levels are those of {size.shared + size.own} passes instead of 3280: compare the differences. Processor "
        f"time: {shared.seconds / 60:.1f} minutes for the passes in common, then "
        f"{', '.join(f'{now.seconds / 60:.1f} for {label(*key)}' for key, now in judged.items())}. At equal time K = 1 "
        f"would have seen {most.seconds / one.seconds:.0f} times as many images as K = 50 in its own passes, which was "
        f"not tried.",
    )


# -------------------- figures --------------------


def gains_drawn(judged):
    """Against K: nats gained over K = 1, and active units, for ours and the paper's."""
    left, right = plots.panels(2, height=3.6, width=8.0)
    draws = sorted({K for _, K in judged})
    lines, units = {}, {}
    for name in ("IWAE", "VAE"):
        keys = [("VAE" if K == 1 else name, K) for K in draws]
        lines[f"{name}, here"] = [gain(judged[key], judged["VAE", 1])[0] for key in keys]
        lines[f"{name}, paper"] = [WITHIN["VAE", 1][0] - WITHIN[key][0] for key in keys]
        units[f"{name}, here"] = [judged[key].active for key in keys]
        units[f"{name}, paper"] = [WITHIN[key][1] for key in keys]
    plots.curves(draws, lines, left, xlabel="draws K", ylabel="nats gained over K = 1", xscale="log")
    plots.curves(draws, units, right, xlabel="draws K", ylabel="active units of 50", xscale="log")
    right.get_legend().remove()
    for ax in (left, right):
        ax.set_xticks(draws, [str(K) for K in draws])
        ax.minorticks_off()
        for line, marker in zip(ax.lines, plots.MARKERS, strict=False):
            line.set_marker(marker)
    ends = {name: f"{values[-1]:.1f} nats and {units[name][-1]} units" for name, values in lines.items()}
    return left.figure, (
        f"Left, nats gained over K = 1 against K = 1, 5, 50; right, active units. At K = 50 the lines end at "
        f"{'; '.join(f'{end} for {name}' for name, end in ends.items())}."
    )


def activity_drawn(judged):
    """Var_x(E_q[z_j | x]) of the latents, largest first, with the threshold of 0.01."""
    ax = plots.panels(1, height=3.6, width=8.0)[0]
    first = next(iter(judged.values())).activity
    rank = np.arange(1, len(first) + 1)
    lines = {label(*key): np.sort(now.activity)[::-1] for key, now in judged.items()}
    plots.curves(rank, lines, ax, xlabel="latent, most active first", ylabel="variance of its mean over images")
    ax.set_yscale("log")
    ax.axhline(0.01, color="#666666", linewidth=0.8)
    ax.text(1, 0.0105, "active above 0.01", color="#666666", va="bottom")
    between = sum(int(np.sum((now.activity > 0.003) & (now.activity < 0.03))) for now in judged.values())
    return ax.figure, (
        f"Activity of the {len(first)} latents of each run, largest first, on a logarithmic axis with a line at 0.01: "
        f"{', '.join(f'{now.active} above it for {label(*key)}' for key, now in judged.items())}; {between} of all "
        f"{len(first) * len(judged)} lie within a factor of three of the line."
    )
