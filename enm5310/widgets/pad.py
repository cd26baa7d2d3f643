"""A point in a plane of codes and the pictures that decoders make of it: ``pad`` decodes in the page, without a kernel.

    pad(decoder, (8, 8), activations="tanh", output="logistic", points=Z, labels=y, alt="codes of digits, by class")

Drag the point, move it with the arrow keys or with the two sliders; a small network in JavaScript answers at once.
The figure is HTML alone, like that of ``frames``; without JavaScript a poster stays, the pictures at ``start``.
"""

import itertools
from html import escape

import numpy as np

from enm5310.widgets import pad_codes, pad_decoder, pad_plane
from enm5310.widgets.figure import MAX_BYTES, Figure, asset
from enm5310.widgets.pictures import data_url, png

JS, CSS = asset("figure.js", "pad.js"), asset("figure.css", "pad.css")
FINE, COARSE = 200, 50  # steps along an axis at most; coarse where Python makes a text for every place


def pad(
    decoder, shape, *, alt, activations, output, points=None, labels=None, classes=None, xlim=None, ylim=None,
    start=None, xlabel="z1", ylabel="z2", caption="", picture="decoded picture", text=None, scale=None,
    vmin=0.0, vmax=1.0,
):  # fmt: skip
    """A figure whose point z (2,) is decoded to a picture of shape (h, w), ink dark: vmin is white and vmax black.

    ``decoder`` is a list of layers (W, b), rows are samples: h = f(z W + b); or {title: layers}, each with a picture of
    its own at the same z.  ``activations`` names f of the hidden layers and ``output`` that of the last layer: linear,
    logistic, relu, softplus or tanh (also sigmoid and identity), one name for all or {title: name}.

    ``points`` (n, 2) are codes drawn behind, ``labels`` (n,) their classes, ``classes`` the names of these from class 0
    on.  ``xlim`` and ``ylim`` are (low, high); without them the plane holds the points, or +-3.  The point stands at
    multiples of a round step; ``start`` is where it begins, by default at 0.

    ``alt`` says what the plane shows to a reader who cannot see it, ``picture`` what a picture is: "decoded digit".
    ``text(z)`` is a line below, made here for every place of a coarser plane.  ``scale``: screen pixels per pixel.

    Raises ValueError for shapes that do not fit, unknown names, numbers that are not finite, or more than 4 MB.
    """
    if not alt or not picture:
        raise ValueError(f"alt is {alt!r} and picture {picture!r}; say in some words what each shows")
    h, w = _shape(shape)
    if not (np.isfinite([vmin, vmax]).all() and vmin != vmax):
        raise ValueError(f"vmin is {vmin} and vmax {vmax}; give two different finite values")
    decoders = pad_decoder.read(decoder, h * w, activations, output)
    codes = pad_codes.read(points, labels, classes)
    inside = None if codes is None else codes.points
    steps = pad_plane.axes(inside, xlim, ylim, (xlabel, ylabel), COARSE if text else FINE)
    at = [axis.nearest(v) for axis, v in zip(steps, _start(start, steps), strict=True)]
    z = np.array([axis.value(i) for axis, i in zip(steps, at, strict=True)])
    state = ", ".join(f"{axis.label} = {axis.word(i)}" for axis, i in zip(steps, at, strict=True))
    plane, pixels = pad_plane.draw(steps, codes, z, f"{alt}; {state}")
    texts = _texts(text, steps)
    payload = {
        "axes": [axis._asdict() for axis in steps],
        "pixels": pixels,
        "start": at,
        "alt": alt,
        "picture": picture,
        "shape": [h, w],
        "grey": [float(vmin), float(vmax)],
        "decoders": [d.packed() for d in decoders],
        "codes": pad_codes.packed(codes),
        "texts": texts,
    }
    scale = scale or max(1, round((pad_plane.SIDE if len(decoders) == 1 else 150) / max(h, w)))
    shown = [_picture(d, grey(d(z), vmin, vmax).reshape(h, w), scale, picture, state) for d in decoders]
    words = _readout(state, pad_codes.nearest(codes, z), texts and _text_at(texts, at, steps))
    readout = f'<p class="enm-readout" role="status" aria-live="polite">{escape(words)}</p>'
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    side = f'<div class="enm-side"><div class="enm-pictures">{"".join(shown)}</div>{readout}</div>'
    figure = Pad(payload, f'<div class="enm-stage">{plane}{side}</div>{caption}')
    if (size := figure.size + len(figure.inner)) > MAX_BYTES:
        raise ValueError(
            f"the figure takes {size / 1e6:.2f} MB, the limit is {MAX_BYTES / 1e6:g} MB; give the decoder fewer or "
            "smaller layers, show fewer points, or a shorter text"
        )
    return figure


class Pad(Figure):
    """What ``pad`` returns: payload["decoders"] and payload["codes"] as pad_decoder and pad_plane pack them."""

    classes = "enm-figure enm-pad"
    css, js = CSS, JS

    def __repr__(self):
        nets = [f"{d['title']} {'-'.join(map(str, d['sizes']))}".strip() for d in self.payload["decoders"]]
        return f"Pad({', '.join(nets)}; {self.size / 1000:.0f} kB): {self.payload['alt']}"


def grey(values, vmin, vmax):
    """Values as bytes of grey: vmin is 255, vmax 0, halves go up, as in pad.js."""
    ink = np.clip((values - vmin) / (vmax - vmin), 0, 1)
    return np.floor(255 * (1 - ink) + 0.5).astype(np.uint8)


def _shape(shape):
    try:
        h, w = (int(n) for n in shape)
    except (TypeError, ValueError):
        h = w = 0
    if min(h, w) < 1:
        raise ValueError(f"shape is {shape!r}; give (height, width) of the decoded picture")
    return h, w


def _start(start, steps):
    """Where the point begins: as near to 0 as the limits allow, where nothing else is asked for."""
    start = np.zeros(2) if start is None else np.asarray(start, float)
    if start.shape != (2,) or not np.isfinite(start).all():
        raise ValueError(f"start is {start.tolist()}; give a finite code (z1, z2)")
    return start


def _texts(text, steps):
    """text(z) at every place of the plane, the second axis the fastest; equal texts are stored once."""
    if text is None:
        return None
    columns = [[axis.value(i) for i in range(axis.first, axis.last + 1)] for axis in steps]
    every = [str(text(np.array(z))) for z in itertools.product(*columns)]
    pool = {words: i for i, words in enumerate(dict.fromkeys(every))}
    return {"pool": list(pool), "at": [pool[words] for words in every]}


def _text_at(texts, at, steps):
    (i, j), (x, y) = at, steps
    return texts["pool"][texts["at"][(i - x.first) * (y.last - y.first + 1) + j - y.first]]


def _readout(state, name, words):
    """The line below: where the point is, the class of the nearest code, and the text for this place."""
    return state + (f"; nearest code: {name}" if name else "") + (f"\n{words}" if words else "")


def _picture(decoder, image, scale, picture, state):
    """HTML of one decoder's picture, with its title where the figure has several."""
    title = f'<div class="enm-title">{escape(decoder.title)}</div>' if decoder.title else ""
    alt = f"{picture}, {decoder.title}, at {state}" if decoder.title else f"{picture} at {state}"
    size = f'width="{image.shape[1] * scale:.0f}" height="{image.shape[0] * scale:.0f}"'
    img = f'<img data-picture="" class="enm-pixelated" {size} alt="{escape(alt)}" src="{data_url(png(image))}">'
    return f'<div class="enm-panel">{title}{img}</div>'
