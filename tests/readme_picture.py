"""The moving picture of the README:  python -m tests.readme_picture [MNIST.npz]

A VAE with two latents learns MNIST.  On the left the codes of test images, on the right what the decoder draws at a
grid of codes, from the first step to the last; the loop begins at the end, so that what shows only its first frame (on
paper, or without motion) shows what was learned.  Writes ``lectures/pictures/vae_learns.gif``, at most 1.5 MB.  The
images are those of `datasets.fetch_mnist`, or of a file with x_train, x_test and y_test, as Keras keeps them.
"""

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from enm5310 import datasets, latent, nets, plots, vae
from tests.notebooks import ROOT

TARGET = ROOT / "lectures" / "pictures" / "vae_learns.gif"
LIMIT = 1_500_000  # bytes
HIDDEN, SIDE, REACH = [256, 128], 13, 3.3  # units, images per side, and what is seen of the latent space
STEPS = [0, 20, 40, 60, 80, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 1000, 1250, 1500, 2000, 2500, 3000, 4000,
         5000, 6000]  # fmt: skip
SECONDS = (1.0, 0.18, 4.0)  # the first frame, each between, the last


def digits(file=None):
    """Training images, test images, both float32 in [0, 1], and the labels of the latter."""
    if file is not None:
        with np.load(file) as data:
            train, test, labels = data["x_train"], data["x_test"], data["y_test"]
    else:
        (train, _), (test, labels) = (datasets.fetch_mnist(subset=s, return_X_y=True) for s in ("train", "test"))
    return *(np.divide(X.reshape(len(X), -1), 255, dtype=np.float32) for X in (train, test)), labels


def snapshots(train, test, steps=STEPS, hidden=HIDDEN, size=100, seed=1):
    """[(step, ELBO of the test images, their mean codes (n, 2), images at the grid (SIDE, SIDE, p))] of a training."""
    rng, found = np.random.default_rng(seed), []
    eps = rng.standard_normal((len(test), 2), np.float32)

    def look(step, params):
        if step not in steps or step in (s for s, *_ in found):
            return len(found) == len(steps)
        told = np.mean(vae.elbo(params, test, eps, activation=nets.relu).elbo, dtype=float)
        grid = latent.grid(SIDE).astype(np.float32).reshape(-1, 2)
        drawn = vae.decode_mean(params, grid, activation=nets.relu).reshape(SIDE, SIDE, -1)
        found.append((step, told, vae.encode(params, test, activation=nets.relu)[0], drawn))
        return len(found) == len(steps)

    start = vae.init(train.shape[1], hidden, 2, rng, np.float32)
    look(0, start)
    vae.fit(start, train, rng, epochs=10**6, size=size, lr=lambda t: 2e-3 / (1 + t / 1000), dynamic=True,
            activation=nets.relu, callback=lambda t, params, value: look(t, params))  # fmt: skip
    return found


def frame(step, told, codes, drawn, labels):
    """One image of 1400 x 760 pixels, which a page shows half as large."""
    figure = Figure(figsize=(7, 3.8), dpi=200)  # places by hand: nothing moves from frame to frame but what learns
    figure.text(0.5, 0.955, f"A VAE learns digits: step {step:,}, ELBO {told:.0f} nats", ha="center", size=11)
    left, right = (figure.add_axes((x, 0.12, width, 2.8 / 3.8)) for x, width in ((0.07, 0.40), (0.53, 0.45)))
    inside = np.max(np.abs(codes), axis=1) < REACH
    plots.classes(codes[inside], labels[inside], [str(c) for c in range(10)], left, size=9)
    left.get_legend().remove()
    for c in range(10):
        heart = np.clip(np.median(codes[labels == c], axis=0), -REACH, REACH)
        plots.label(left, heart, str(c), plots.COLORS[c], size=13)
    left.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=range(-3, 4), yticks=range(-3, 4))
    left.set_title(f"codes of {len(codes):,} test images", fontsize=10)
    side = round(drawn.shape[2] ** 0.5)
    plots.images(drawn.reshape(SIDE, SIDE, side, side), right, limits=(0, 1))
    right.set_anchor("C")
    right.set_title("what the decoder draws at a grid of codes", fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return Image.open(picture).convert("RGB")


def gif(frames, width=800):
    """The frames as one looped GIF, in as many colours as fit: the same palette everywhere, or it would flicker."""
    small = [f.resize((width, round(f.height * width / f.width)), Image.Resampling.LANCZOS) for f in frames]
    pile = Image.new("RGB", (width, small[0].height * 3))
    for row, f in enumerate((small[0], small[len(small) // 2], small[-1])):
        pile.paste(f, (0, row * f.height))
    first, between, last = (round(1000 * s) for s in SECONDS)
    pauses = [last, first, *[between] * (len(frames) - 2)]
    for colors in (128, 96, 64, 48, 32):
        palette = pile.quantize(colors, method=Image.Quantize.MAXCOVERAGE, kmeans=4)
        few = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in (small[-1], *small[:-1])]
        out = io.BytesIO()
        few[0].save(out, format="gif", save_all=True, append_images=few[1:], loop=0, optimize=False, duration=pauses)
        if len(out.getvalue()) <= LIMIT:
            return out.getvalue()
    raise ValueError(f"{len(frames)} frames do not fit into {LIMIT} bytes; show fewer")


def main(file=None):
    train, test, labels = digits(file)
    shown, seen = slice(0, 1500), []
    for step, told, codes, drawn in snapshots(train, test[shown]):
        print(f"step {step}: ELBO {told:.1f} nats", flush=True)
        seen.append(frame(step, told, codes, drawn, labels[shown]))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gif(seen))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
