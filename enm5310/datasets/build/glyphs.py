"""Glyphs: 140 font files from the npm packages @fontsource/... and a variable one, drawn by `enm5310.glyphs`."""

import hashlib
from pathlib import Path

import numpy as np

from enm5310.datasets import fontsource
from enm5310.glyphs import CHARS, render

from .sources import npm_install

WHAT, COMPRESS = "a folder node_modules with the packages @fontsource/... and @fontsource-variable/roboto-flex", True
PILLOW = "13.0.0"  # drew the packaged pictures, with FreeType 2.14.3
TOLERANCE = {"images": 8}  # grey levels of 255: what another FreeType may round otherwise
VARIABLE = "@fontsource-variable/roboto-flex", "files/roboto-flex-latin-full-normal.woff2"
VARIABLE_VERSION = "5.3.0"
VARIABLE_SHA256 = "173b23c08b26e4f98d1f00fd52b030aba61d56131a218655bcac0fd38b6a228b"
AXES = ["Weight", "Width", "Slant"]
PLACES = [  # along one axis at a time, from the regular face
    *[(weight, 100, 0) for weight in range(100, 1001, 100)],
    *[(400, width, 0) for width in (25, 50, 75, 125, 151)],
    (400, 100, -5), (400, 100, -10),
]  # fmt: skip


def download(folder):
    """node_modules/ with the packages."""
    packages = {f"@fontsource/{face.family}@{face.version}" for face in fontsource.embedded()}
    return npm_install([*sorted(packages), f"{VARIABLE[0]}@{VARIABLE_VERSION}"], folder)


def build(path):
    """{file name: arrays}."""
    top = Path(path)
    paths = [
        _pinned(top / "@fontsource" / face.family / face.path, face.sha256) for face in fontsource.embedded()
    ]
    drawn = render(paths, CHARS)
    if drawn.skipped:
        raise SystemExit(f"{drawn.skipped[0][0]} {drawn.skipped[0][1]}")
    flex = _pinned(top.joinpath(*VARIABLE), VARIABLE_SHA256)
    along = [render(flex, CHARS, axes=dict(zip(AXES, place, strict=True))).images[0] for place in PLACES]
    chars = np.array(list(CHARS))
    return {
        "glyphs.npz": {"images": drawn.images, "chars": chars},
        "font_axes.npz": {"images": np.stack(along), "chars": chars, "target": np.array(PLACES, "<i2")},
    }


def _pinned(file, sha256):
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"{file} is not there, or its SHA-256 is not the pinned one")
    return file
