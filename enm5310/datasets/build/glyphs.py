"""Glyphs: 140 font files from the npm packages @fontsource/..., drawn by `enm5310.glyphs`."""

import hashlib
from pathlib import Path

import numpy as np

from enm5310.datasets import fontsource
from enm5310.glyphs import CHARS, render

from .sources import npm_install

WHAT, COMPRESS = "a folder node_modules with the packages @fontsource/...", True
PILLOW = "13.0.0"  # drew the packaged pictures, with FreeType 2.14.3
TOLERANCE = {"images": 8}  # grey levels of 255: what another FreeType may round otherwise


def download(folder):
    """node_modules/ with the packages."""
    return npm_install(sorted({f"@fontsource/{face.family}@{face.version}" for face in fontsource.embedded()}), folder)


def build(path):
    """{file name: arrays}."""
    paths = [_pinned(Path(path), face) for face in fontsource.embedded()]
    drawn = render(paths, CHARS)
    if drawn.skipped:
        raise SystemExit(f"{drawn.skipped[0][0]} {drawn.skipped[0][1]}")
    return {"glyphs.npz": {"images": drawn.images, "chars": np.array(list(CHARS))}}


def _pinned(path, face):
    file = path / "@fontsource" / face.family / face.path
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != face.sha256:
        raise SystemExit(f"{file} is not there, or its SHA-256 is not the pinned one")
    return file
