"""The codes that ``pad`` draws behind its point: dots in at most ten colours, their legend, and which is nearest."""

import base64
from html import escape
from typing import NamedTuple

import numpy as np

COLORS = [  # those of enm5310.plots, in its order: a class has one colour throughout the course
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#F0E442", "#663311", "#6611CC"),
]
YELLOW = "#F0E442"  # alone it is faint on white


class Codes(NamedTuple):
    points: np.ndarray  # (n, 2)
    labels: np.ndarray | None  # (n,), places in names
    names: list  # of the classes


def read(points, labels, classes):
    """Codes with their classes, or None; labels count the names in ``classes``, by default their own values sorted."""
    if points is None:
        if labels is not None or classes is not None:
            raise ValueError("labels and classes say what points are; give points (n, 2) with them")
        return None
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        bad = ", not all finite" if points.shape[1:] == (2,) and len(points) else ""
        raise ValueError(f"points have shape {points.shape}{bad}; give finite latent codes of shape (n, 2)")
    if labels is None:
        return Codes(points, None, [])
    labels = np.asarray(labels)
    if labels.shape != points.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels are {labels.dtype} of shape {labels.shape} for {len(points)} points; give a whole number for each"
        )
    if classes is None:
        classes, labels = np.unique(labels, return_inverse=True)
    names = [str(name) for name in (classes.tolist() if isinstance(classes, np.ndarray) else classes)]
    if labels.min() < 0 or labels.max() >= len(names) or len(names) > len(COLORS):
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()} for {len(names)} classes; labels count the classes from 0, "
            f"and a plane shows at most {len(COLORS)}"
        )
    return Codes(points, labels.astype(int), names)


def packed(codes):
    """What pad.js needs to name the nearest code: coordinates in 16 bits within their range, classes as digits."""
    if codes is None or codes.labels is None:
        return None
    low, high = codes.points.min(axis=0), codes.points.max(axis=0)
    span = np.where(high > low, high - low, 1)
    places = np.round((codes.points - low) / span * 65535).astype("<u2")
    return {
        "low": low.tolist(),
        "unit": (span / 65535).tolist(),
        "places": base64.b64encode(places.tobytes()).decode(),
        "labels": "".join(map(str, codes.labels)),
        "classes": codes.names,
    }


def nearest(codes, z):
    """The name of the class of the code nearest to z, None where codes have no classes."""
    if codes is None or codes.labels is None:
        return None
    return codes.names[codes.labels[np.argmin(((codes.points - z) ** 2).sum(axis=1))]]


# -------------------- the drawing --------------------


def dots(codes, x, y):
    """Every code as a dot, a line of no length with round ends: one path for each class, its name in the middle."""
    if codes is None:
        return ""
    labels = np.zeros(len(codes.points), int) if codes.labels is None else codes.labels
    width = 6 if len(labels) < 200 else 4.5 if len(labels) < 1000 else 3.5
    paths, words = [], []
    for c in np.unique(labels):
        px, py = x(codes.points[labels == c, 0]), y(codes.points[labels == c, 1])
        d = "".join(f"M{a:.1f},{b:.1f}h0" for a, b in zip(px, py, strict=True))
        if COLORS[c] == YELLOW:
            paths.append(f'<path d="{d}" stroke="#555" stroke-width="{width + 1}"/>')
        paths.append(f'<path d="{d}" stroke="{COLORS[c]}" stroke-width="{width}"/>')
        if codes.names:
            words.append(f'<text x="{np.median(px):.1f}" y="{np.median(py):.1f}">{escape(codes.names[c])}</text>')
    return f'<g stroke-linecap="round">{"".join(paths)}</g><g class="enm-names">{"".join(words)}</g>'


def legend(codes):
    """HTML of the classes' names, each beside its colour."""
    if codes is None or not codes.names:
        return ""
    dot = '<svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" fill="{}"{}/></svg>'
    rim = {YELLOW: ' stroke="#555"'}
    keys = [
        f'<span class="enm-key">{dot.format(color, rim.get(color, ""))}{escape(name)}</span>'
        for name, color in zip(codes.names, COLORS, strict=False)
    ]
    return f'<div class="enm-legend">{"".join(keys)}</div>'
