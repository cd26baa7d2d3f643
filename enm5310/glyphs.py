"""Font files to pixels (slide 10), by Pillow: ttf, otf, ttc, woff2 and variable fonts.

Every face is drawn the same way, so that a decoder can compare faces: capitals have the same height, all letters stand
on the same baseline, and each is centred in its picture.  A file that is no text font is left out and says why.
"""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
CAP, BASE = 18 / 32, 23 / 32  # the height of H, and where the baseline is below the top edge, as parts of the picture
FINE = 4  # drawn that many times larger, then averaged: no hinting, and positions to a quarter of a pixel
EM, PROBE = 1024, 64  # pixels to the em where outlines are measured, and where pictures are compared
NEVER = "\U0010fffe"  # Unicode will never assign it: whatever a font draws for it, it draws for all it lacks
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc", ".woff", ".woff2")


class Glyphs(NamedTuple):
    """What `render` drew, one row per face, and what it left out."""

    images: np.ndarray  # (faces, characters, size, size), uint8, 0 (paper) to 255 (ink)
    paths: list  # the file of each face
    families: list
    styles: list  # "Regular", "Bold Italic", ..., as the file names it
    skipped: list  # (file, reason)


class NotText(Exception):
    """Why a file cannot be used."""


def render(fonts, chars=CHARS, size=32, axes=None):
    """Every face as pictures (faces, len(chars), size, size), uint8, 0 (paper) to 255 (ink): a `Glyphs`.

    fonts: a file, a folder, the name of a family on this system ("DejaVu Sans"), or a list of these.  axes: where on
    the axes of variable fonts, such as {"Weight": 700}; others stay at their default (`variation_axes` lists them).
    Of a collection (ttc) the first face is drawn.
    Files that are broken, lack a character or draw symbols in place of letters are in `skipped`, with the reason.
    Raises ValueError when no face is left, or chars, size or axes is unusable.
    """
    if not chars or len(set(chars)) < len(chars) or any(c.isspace() for c in chars):
        raise ValueError(f"chars is {chars!r}; give at least one character, each once, and none that leaves no ink")
    if size != int(size) or size < 8:
        raise ValueError(f"size is {size}; a letter needs a whole number of pixels, 8 or more")
    images, faces, skipped = [], [], []
    for path in files(fonts):
        try:
            images.append(_draw(path, chars, int(size), axes))
            faces.append((path, *_names(path)))
        except NotText as why:
            skipped.append((path, str(why)))
    if not images:
        reasons = "; ".join(f"{path}: {why}" for path, why in skipped[:3]) or "the list or the folder is empty"
        raise ValueError(f"none of {len(skipped)} font files can be used ({reasons})")
    return Glyphs(np.stack(images), *(list(column) for column in zip(*faces, strict=True)), skipped)


def variation_axes(path):
    """{name of the axis: (minimum, default, maximum)} of a font file; {} for one that does not vary."""
    try:
        axes = _open(path, EM).get_variation_axes()
    except OSError:  # how Pillow says that the font has none
        return {}
    names = [a["name"].decode() if a.get("name") else f"axis {i}" for i, a in enumerate(axes)]
    return {name: (a["minimum"], a["default"], a["maximum"]) for name, a in zip(names, axes, strict=True)}


# -------------------- which files --------------------


def files(fonts):
    """The font files that `render` would read, in order: those of folders sorted by name, families looked up."""
    fonts = [fonts] if isinstance(fonts, str | os.PathLike) else list(fonts)
    return [file for font in fonts for file in _files(font)]


def _files(font):
    path = Path(font).expanduser()
    if path.is_dir():
        return _below(path)
    if path.is_file() or path.suffix.lower() in SUFFIXES:  # one that is not there will be skipped, and say so
        return [path]
    found = [file for file in system_fonts() if _family(file).lower() == str(font).lower()]
    if not found:
        raise ValueError(f"{str(font)!r} is no file, no folder, and no family among the fonts of this system")
    return found


def system_fonts():
    """The font files in the folders where Windows, macOS and Linux keep them."""
    if sys.platform == "win32":
        folders = [os.environ.get("WINDIR", r"C:\Windows") + r"\Fonts", "~/AppData/Local/Microsoft/Windows/Fonts"]
    elif sys.platform == "darwin":
        folders = ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"]
    else:
        data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        folders = ["/usr/share/fonts", "/usr/local/share/fonts", f"{data}/fonts", "~/.fonts"]
    return [file for folder in folders for file in _below(Path(folder).expanduser())]


def _below(folder):
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def _family(path):
    try:
        return _names(path)[0]
    except NotText:
        return ""


def _names(path):
    return tuple(name or "" for name in _open(path, EM).getname())  # (family, style)


# -------------------- one face --------------------


def _open(path, pixels, axes=None):
    """Pillow's font at that many pixels to the em, moved along its axes; NotText if the file is none."""
    from PIL import ImageFont  # here, so that the mathematics needs no Pillow

    try:
        font = ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)
    except (OSError, ValueError) as why:
        raise NotText(f"cannot be opened ({why})") from None
    if axes:
        font.set_variation_by_axes(_place(path, axes))
    return font


def _place(path, axes):
    known = variation_axes(path)
    for name, value in axes.items():
        if name not in known:
            raise ValueError(f"{path} has no axis {name!r}; its axes: {', '.join(known) or 'none, it does not vary'}")
        low, _, high = known[name]
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; on {path} this axis goes from {low} to {high}")
    return [axes.get(name, default) for name, (_, default, _) in known.items()]


def _draw(path, chars, size, axes):
    """The pictures of one face, (len(chars), size, size), uint8; NotText if it does not draw these characters."""
    try:
        scale = _scale(path, chars, size, axes)
        font = _open(path, FINE * scale, axes)
        return np.stack([_picture(font, c, size) for c in chars])
    except OSError as why:  # Pillow meets a table that is damaged only when it comes to use it
        raise NotText(f"is damaged ({why})") from None


def _scale(path, chars, size, axes):
    """Pixels to the em: capitals as high as CAP says, or less where a long stroke would leave the picture."""
    _refuse_symbols(_open(path, PROBE, axes), chars)
    font = _open(path, EM, axes)
    boxes = [font.getbbox(c, anchor="ls") for c in chars]  # y grows downwards from the baseline
    above, below = -min(b[1] for b in boxes), max(b[3] for b in boxes)
    cap = -font.getbbox("H", anchor="ls")[1] if _has(_open(path, PROBE, axes), "H") else above
    if cap <= 0:
        raise NotText("draws its letters below the line")
    limits = [CAP / cap, *(part / reach for part, reach in ((BASE, above), (1 - BASE, below)) if reach > 0)]
    return min(limits) * size * EM


def _refuse_symbols(font, chars):
    missing = [c for c in chars if not _has(font, c)]
    if missing:
        raise NotText(f"has no {''.join(missing[:5])}{' ...' if len(missing) > 5 else ''}")
    pictures = len({_shape(font, c) for c in chars})
    if pictures < len(chars) / 2:  # I and l, or O and 0, may look the same
        raise NotText(f"draws {pictures} pictures for {len(chars)} characters")
    for c in "Hx":  # every alphabet of the Latin script has these two on the line
        _, top, _, bottom = font.getbbox(c, anchor="ls")
        if _has(font, c) and abs(bottom) > 0.15 * (bottom - top):
            raise NotText(f"draws symbols in place of letters: its {c} does not stand on the line")


def _has(font, c):
    (*_, ink), absent = _shape(font, c), _shape(font, NEVER)
    return any(ink) and (*_, ink) != absent


def _shape(font, c):
    mask, offset = font.getmask2(c, "L", anchor="ls")
    return mask.size, offset, bytes(mask)


def _picture(font, c, size):
    """One character, (size, size), uint8: centred by its ink, squeezed where it is wider than the picture."""
    from PIL import Image

    mask, (_, top) = font.getmask2(c, "L", anchor="ls")
    ink = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])
    columns = np.flatnonzero(ink.any(axis=0))
    ink = ink[:, columns[0] : columns[-1] + 1]
    side = size * FINE
    if ink.shape[1] > side:
        ink = np.asarray(Image.fromarray(ink).resize((side, len(ink)), Image.Resampling.BOX))
    fine = np.zeros((side, side))
    row, column = round(BASE * side) + top, (side - ink.shape[1]) // 2
    row = min(max(row, 0), side - len(ink))  # rounding of outlines to pixels may reach one fine pixel too far
    fine[row : row + len(ink), column : column + ink.shape[1]] = ink
    return np.rint(fine.reshape(size, FINE, size, FINE).mean(axis=(1, 3))).astype(np.uint8)
