"""What a figure is made of: a panel is one place in it over all its frames, HTML that stays around pieces that change.
``pictures`` and ``curves`` make panels; here they stand side by side in the poster, and equal pieces are stored once.
"""

from html import escape
from typing import NamedTuple


class Panel(NamedTuple):
    """One place in the figure over all frames: HTML before the alt text, before the frame's pieces, after them."""

    head: str
    middle: str
    tail: str
    pieces: list  # pieces[i]: strings that make frame i

    def html(self, alt, i):
        return self.head + escape(alt) + self.middle + "".join(self.pieces[i]) + self.tail


def pooled(panels):
    """Every piece once, in the pool, and each frame's pieces as places in the pool: equal pieces cost nothing."""
    every = dict.fromkeys(piece for p in panels for pieces in p.pieces for piece in pieces)
    place = {piece: i for i, piece in enumerate(every)}
    frames = zip(*([[place[piece] for piece in pieces] for pieces in p.pieces] for p in panels), strict=True)
    return {"pool": list(place), "frames": [list(frame) for frame in frames]}


def inner_html(panels, alts, states, texts, first, caption):
    """HTML of the frame ``first``: its panels, the line that names its state, its readout, the caption."""
    shown = [p.html(f"{alt}: {states[first]}", first) for p, alt in zip(panels, alts, strict=True)]
    readout = f'<p class="enm-readout" role="status" aria-live="polite">{escape(texts[first])}</p>' if texts else ""
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    state = f'<p class="enm-state">{escape(states[first])}</p>'
    return f'<div class="enm-stage">{"".join(shown)}</div>{state}{readout}{caption}'


def alt_texts(alt, panels):
    """One alt text for each of so many panels."""
    alts = [alt] * panels if isinstance(alt, str) else list(alt)
    if len(alts) != panels or not all(alts):
        raise ValueError(f"alt is {alt!r} for {panels} panels; say in one sentence what each shows")
    return alts
