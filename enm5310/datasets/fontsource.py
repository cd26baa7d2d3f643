"""The faces of the npm packages @fontsource/...: which there are, their SHA-256, and the rest of them by download.

`load_glyphs` has 140 of these faces; `fetch_fonts` gets all 466, as files that `enm5310.glyphs` draws at any size.
"""

import os
from importlib.resources import files
from typing import NamedTuple

import numpy as np

from enm5310 import glyphs

from ._bunch import Bunch
from .download import File, get_data_home, obtain, reporter

MIRRORS = ("https://cdn.jsdelivr.net/npm", "https://unpkg.com")  # both serve the files of any npm package
SERIF = {
    "bitter", "cormorant-garamond", "crimson-pro", "eb-garamond", "ibm-plex-serif", "libre-baskerville", "lora",
    "merriweather", "playfair-display", "pt-serif", "roboto-slab", "source-serif-4", "spectral",
}  # fmt: skip
MONO = {"cousine", "fira-code", "ibm-plex-mono", "jetbrains-mono", "roboto-mono"}
CONDENSED = {"barlow-condensed", "roboto-condensed"}
STYLES = ["regular", "italic", "bold", "bold italic"]

_DESCR = """Glyphs: A-Z, a-z, 0-9 in {n} typefaces of {families} families, 32 x 32 pixels unless another size was asked.

Capitals are 18/32 of the picture high in every face, all letters stand on one line, 23/32 below the top edge, and each
is centred; a letter wider than the picture (a W, now and then) is squeezed. Weight and slant are those of the file
names; serif, mono and condensed were judged family by family. The files are those of the npm packages @fontsource/...
5.3; they are under the SIL Open Font License 1.1, Roboto Slab under Apache-2.0. The Open Font License lets the pictures
of letters be used freely (its FAQ, 1.1). Families: {names}."""


class Face(NamedTuple):
    """One file of the list."""

    family: str  # as the package is called: "eb-garamond"
    version: str  # of the package
    licence: str
    weight: int  # 100 to 900; 400 is regular, 700 bold
    italic: bool
    size: int  # bytes
    sha256: str

    @property
    def path(self):
        """Below the folder of the package."""
        return f"files/{self.family}-latin-{self.weight}-{'italic' if self.italic else 'normal'}.woff2"

    @property
    def file(self):
        """What `download.obtain` wants: the name holds the version, as the mirrors' addresses do."""
        name = f"@fontsource/{self.family}@{self.version}/{self.path}"
        return File(name, self.size, self.sha256, packed=False)


def faces():
    """All faces of the list, by family, weight and slant (italic last)."""
    found, package = [], None
    for line in files(__package__).joinpath("fontsource.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            weight, style, size, sha256 = line.split()
            found.append(Face(*package, int(weight), style == "italic", int(size), sha256))
        elif not line.startswith("#"):
            package = line.split()
    return sorted(found, key=lambda face: face[0:1] + face[3:5])


def embedded():
    """The 140 faces of `load_glyphs`, in its order: regular and bold."""
    return [face for face in faces() if face.weight in (400, 700)]


def fetch_fonts(
    *, families=None, chars=glyphs.CHARS, size=32, data_home=None, download_if_missing=True, return_X_y=False,
    n_retries=3, delay=1.0, mirrors=None, progress=None, timeout=10.0,
):
    """466 typefaces of 36 families at all their weights, drawn: images (n, len(chars), size, size), float32 in 0..1.

    Returns a Bunch as `load_glyphs` does, and in ``paths`` the font files; or ``(data, target)``.  families: only
    these, by the names in ``load_glyphs().families``.  The first call downloads 10 MB in 466 files, checks the SHA-256
    of each and keeps them in `data_home`; drawing takes some seconds.  The other arguments are those of `fetch_mnist`;
    a mirror holds the files as "@fontsource/arimo@5.3.0/files/arimo-latin-400-normal.woff2".

    OSError as `fetch_mnist`; ValueError for a family that is not there, or characters that a face lacks.
    """
    chosen = _chosen(families)
    where = folder(data_home)
    mirrors = MIRRORS if mirrors is None else [mirrors] if isinstance(mirrors, str | os.PathLike) else list(mirrors)
    how = {"n_retries": n_retries, "delay": delay, "timeout": timeout, "download_if_missing": download_if_missing}
    whole = File("fonts", sum(face.size for face in chosen), "")
    with reporter(progress, whole) as report:
        for i, face in enumerate(chosen, 1):
            obtain(face.file, where, mirrors, progress=False, **how)
            report(sum(face.size for face in chosen[:i]))
    paths = [where / face.file.name for face in chosen]
    drawn = glyphs.render(paths, chars, size)
    if drawn.skipped:
        raise ValueError(f"{drawn.skipped[0][0].name} {drawn.skipped[0][1]}; choose other characters or families")
    bunch = bunch_of(drawn.images, chosen, chars)
    bunch.paths = paths
    return (bunch.data, bunch.target) if return_X_y else bunch


def folder(data_home=None):
    """Where `fetch_fonts` keeps its files."""
    return get_data_home(data_home) / "fonts"


def bunch_of(images, chosen, chars):
    """The Bunch of `load_glyphs` for images (n, c, size, size), uint8, of these faces."""
    images = images.astype(np.float32) / 255
    data = images.reshape(len(images), -1)
    family, weight = np.array([face.family for face in chosen]), np.array([face.weight for face in chosen])
    italic = np.array([face.italic for face in chosen])
    target = 2 * (weight >= 600) + italic
    kinds = {
        name: np.isin(family, sorted(those))
        for name, those in (("serif", SERIF), ("mono", MONO), ("condensed", CONDENSED))
    }
    known = sorted(set(family.tolist()))
    descr = _DESCR.format(n=len(images), families=len(known), names=", ".join(known))
    return Bunch(
        data=data, images=images, target=target, target_names=np.array(STYLES), chars=chars, families=family,
        weights=weight, italic=italic, **kinds, DESCR=descr,
    )  # fmt: skip


def _chosen(families):
    everything = faces()
    if families is None:
        return everything
    families = [families] if isinstance(families, str) else list(families)
    known = list(dict.fromkeys(face.family for face in everything))
    unknown = [name for name in families if name not in known]
    if unknown or not families:
        what = f"no family is called {unknown[0]!r}" if unknown else "the list of families is empty"
        raise ValueError(f"{what}; there are {', '.join(known)}")
    return [face for face in everything if face.family in families]
