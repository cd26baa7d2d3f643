"""Data: ``load_*`` comes with the package and needs no network; ``fetch_*`` downloads once, checks and keeps.

Conventions are scikit-learn's: keyword arguments only, a Bunch with ``data`` (n, p) and ``target`` (n,), or the pair
``(data, target)`` with ``return_X_y=True``.  Each loader's docstring says the scale of its numbers.
"""

from typing import NamedTuple

from . import fontsource, mnist, molecules
from .download import get_data_home
from .fontsource import fetch_fonts
from .mnist import FASHION_MNIST, MNIST, fetch_fashion_mnist, fetch_mnist
from .molecules import fetch_zinc250k, load_molecules
from .options import load_option_chain
from .packaged import LICENCES, load_demand, load_digits, load_font_axes, load_glyphs, load_iris, packaged_file

__all__ = [
    "Entry", "available", "fetch", "fetch_fashion_mnist", "fetch_fonts", "fetch_mnist", "fetch_zinc250k",
    "get_data_home", "load_demand", "load_digits", "load_font_axes", "load_glyphs", "load_iris", "load_molecules",
    "load_option_chain",
]  # fmt: skip

_LOADERS = {
    "digits": load_digits, "iris": load_iris, "glyphs": load_glyphs, "font_axes": load_font_axes,
    "molecules": load_molecules, "demand": load_demand,
    "mnist": fetch_mnist, "fashion_mnist": fetch_fashion_mnist, "fonts": fetch_fonts, "zinc250k": fetch_zinc250k,
}  # fmt: skip


class Entry(NamedTuple):
    name: str
    kind: str  # "packaged" or "fetchable"
    state: str  # "packaged", "cached" or "not cached"
    size: int  # bytes on disk, once it is there; 0 where nobody published it and it is not there yet
    where: str  # the file or the folder
    licence: str


def available(data_home=None):
    """All data sets, one Entry each, without reading any: "cached" means that all files are there in full length."""
    images = [
        _fetchable(d.name, mnist.idx_files(d), mnist.folder(d, data_home), d.licence) for d in (MNIST, FASHION_MNIST)
    ]
    faces = [face.file for face in fontsource.faces()]
    fonts = _fetchable("fonts", faces, fontsource.folder(data_home), "OFL-1.1; one family Apache-2.0")
    zinc = _fetchable("zinc250k", [molecules.ZINC], molecules.folder(data_home), "ZINC's terms not verified")
    return [*map(_packaged, LICENCES), *images, fonts, zinc]


def fetch(name, **options):
    """The data set of that name in `available()`, downloaded if need be; `options` are those of its own loader."""
    if name.replace("-", "_") not in _LOADERS:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(_LOADERS)}")
    return _LOADERS[name.replace("-", "_")](**options)


def _packaged(name):
    file = packaged_file(name)
    return Entry(name, "packaged", "packaged", len(file.read_bytes()), str(file), LICENCES[name])


def _fetchable(name, files, where, licence):
    found = [_size(where / file.name) for file in files]
    there = all(size is not None and size == (file.size or size) for size, file in zip(found, files, strict=True))
    total = sum(file.size or size or 0 for size, file in zip(found, files, strict=True))
    return Entry(name, "fetchable", "cached" if there else "not cached", total, str(where), licence)


def _size(path):
    return path.stat().st_size if path.is_file() else None
