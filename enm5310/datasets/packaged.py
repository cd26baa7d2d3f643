"""Data that comes with the package: no network, the same numbers everywhere, fresh arrays on every call.

The ``.npz`` files beside this module are written by ``python -m enm5310.datasets.build``; LICENSES.md says where they
come from.
"""

from importlib.resources import files

import numpy as np

from ._bunch import Bunch

LICENCES = {
    "digits": "BSD-3-Clause (scikit-learn's copy); UCI's own terms not verified",
    "iris": "BSD-3-Clause (scikit-learn's copy); measurements published by Fisher, 1936",
    "glyphs": "pictures of letters in typefaces under OFL-1.1, one family under Apache-2.0",
    "font_axes": "pictures of letters in a typeface under OFL-1.1",
    "molecules": "MIT (molsets' copy); ZINC's own terms not verified",
    "demand": "BSD-3-Clause (ddop's copy)",
}

_DIGITS = """Optical recognition of handwritten digits: 1797 images of 8 x 8 pixels, 10 classes.

A pixel counts the ink in a 4 x 4 block of a 32 x 32 bitmap, so it is an integer in 0..16. The 13 writers are those of
the original's test set. E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, data set 80; the copy is the
one in scikit-learn. Preprocessing: Garris et al., NIST Form-Based Handprint Recognition System, NISTIR 5469 (1994)."""

_IRIS = """Iris flowers: 150 plants, 50 of each of 3 species, 4 lengths in cm.

R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936) 179-188. The copy is
the one in scikit-learn: Fisher's numbers, without the two misprints of the UCI file."""

_FONT_AXES = """Roboto Flex along its axes: 10 weights, 6 widths and 3 slants, 17 places in all, 62 characters each.

A variable font is one file with numbers to choose, so here is what a latent direction can be compared with: the true
one. The file is that of the npm package @fontsource-variable/roboto-flex 5.3.0, under the SIL Open Font License 1.1."""

_DEMAND = """Demand at YAZ, a restaurant in Stuttgart: 765 days, 2013-10-04 to 2015-11-07, of 7 main ingredients.

The copy is the one in the package ddop 0.7.6 (A. Philippi et al.), with the weather and the holidays. A day when the
restaurant was closed counts as a demand of 0. Units of the weather are not stated there. Nothing was corrected: the
source calls 2014-12-31, a Wednesday, a Saturday."""


def load_digits(*, return_X_y=False):
    """The digits X, shape (1797, 64), float64 in 0..16, and their labels, shape (1797,), in 0..9.

    The scale is scikit-learn's; the lectures divide by 16.  Returns a Bunch with ``data`` (1797, 64), ``images``
    (1797, 8, 8; the same memory), ``target``, ``target_names``, ``feature_names``, ``DESCR``; or ``(data, target)``.
    """
    arrays = read_packaged("digits")
    images, target = arrays["images"].astype(np.float64), arrays["target"].astype(np.int64)
    data = images.reshape(len(images), -1)
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    fields = {"images": images, "target_names": np.arange(10), "feature_names": names, "DESCR": _DIGITS}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def load_iris(*, return_X_y=False):
    """The iris measurements X, shape (150, 4), float64 in cm, and their species, shape (150,), in 0..2.

    Returns a Bunch with ``data``, ``target``, ``target_names``, ``feature_names``, ``DESCR``; or ``(data, target)``.
    """
    arrays = read_packaged("iris")
    data, target = arrays["data"].astype(np.float64), arrays["target"].astype(np.int64)
    names = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
    fields = {"target_names": arrays["target_names"], "feature_names": names, "DESCR": _IRIS}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def load_demand(*, return_X_y=False):
    """What 765 days were like, X, shape (765, 11), float64, and the demand for 7 dishes, shape (765, 7), int64.

    Columns of X: weekday (0 is Monday), month, year; is_holiday, is_closed, weekend (0 or 1); wind, clouds, rain,
    sunshine, temperature.  Returns a Bunch with ``data``, ``target``, ``feature_names``, ``target_names``, ``dates``
    (765,), ``DESCR``; or ``(data, target)``.
    """
    arrays = read_packaged("demand")
    data, target = arrays["data"].astype(np.float64), arrays["target"].astype(np.int64)
    names = {key: arrays[key].tolist() for key in ("feature_names", "target_names")}
    fields = {"dates": arrays["dates"], **names, "DESCR": _DEMAND}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def load_glyphs(*, return_X_y=False):
    """A-Z, a-z, 0-9 in 140 typefaces: images (140, 62, 32, 32), float32 in 0 (paper) to 1 (ink), steps of 1/255.

    36 families at weights 400 and 700, upright and, but for two, italic.  Returns a Bunch with ``data`` (140, 62 * 32 *
    32; the same memory), ``images``, ``chars`` (a string of 62), ``families``, ``weights``, ``italic``, ``serif``,
    ``mono``, ``condensed`` (140,), ``target`` (140,) with ``target_names`` (0 regular, 1 italic, 2 bold, 3 bold
    italic), ``DESCR``; or ``(data, target)``.  `fetch_fonts` has more weights, and other sizes.
    """
    from .fontsource import bunch_of, embedded  # here: the list of the faces is read only when it is needed

    arrays = read_packaged("glyphs")
    bunch = bunch_of(arrays["images"], embedded(), "".join(arrays["chars"]))
    return (bunch.data, bunch.target) if return_X_y else bunch


def load_font_axes(*, return_X_y=False):
    """A variable font at 17 places of its axes: images (17, 62, 32, 32), float32 in 0..1, drawn as in `load_glyphs`.

    Returns a Bunch with ``data`` (17, 62 * 32 * 32; the same memory), ``images``, ``chars``, ``target`` (17, 3): weight
    100 to 1000, width 25 to 151 per cent, slant 0 to -10 degrees, one at a time from (400, 100, 0); ``target_names``,
    ``DESCR``; or ``(data, target)``.
    """
    arrays = read_packaged("font_axes")
    images, target = arrays["images"].astype(np.float32) / 255, arrays["target"].astype(np.float64)
    data = images.reshape(len(images), -1)
    names = np.array(["weight", "width", "slant"])
    fields = {"images": images, "chars": "".join(arrays["chars"]), "target_names": names, "DESCR": _FONT_AXES}
    return (data, target) if return_X_y else Bunch(data=data, target=target, **fields)


def packaged_file(name):
    """The ``.npz`` of a packaged data set, as a path or, inside a zip, what behaves like one."""
    return files(__package__).joinpath(f"{name}.npz")


def read_packaged(name):
    """The arrays of a packaged data set, by name."""
    with packaged_file(name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
