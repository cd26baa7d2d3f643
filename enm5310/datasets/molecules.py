"""Molecules as SMILES strings with three properties: 5,000 in the package, 249,455 by download."""

import csv
import io
import os

import numpy as np

from ._bunch import Bunch
from .download import File, get_data_home, obtain
from .packaged import read_packaged

PROPERTIES = ["logP", "QED", "SAS"]

_COMMON = """
logP is Crippen's estimate of the octanol-water partition coefficient (Wildman and Crippen, 1999), QED the quantitative
estimate of drug-likeness, 0 to 1 (Bickerton et al., 2012), SAS the synthetic accessibility score, 1 (easy) to 10 (Ertl
and Schuffenhauer, 2009)."""

_MOLECULES = (
    """Molecules: 5,000 SMILES strings from the training part of MOSES, with logP, QED and SAS.

D. Polykovskiy et al., Molecular Sets (MOSES): a benchmarking platform for molecular generation models, Frontiers in
Pharmacology 11 (2020) 565644, a selection of ZINC Clean Leads; the copy is the one in the package molsets 0.3.1. Taken
are the 5,000 strings whose SHA-256 are the smallest, which is a sample without a random generator. The properties were
computed with RDKit 2026.9.1 and are rounded to 1e-4."""
    + _COMMON
)

_ZINC = (
    """ZINC-250k: 249,455 drug-like molecules as SMILES, with logP, QED and SAS.

R. Gomez-Bombarelli et al., Automatic chemical design using a data-driven continuous representation of molecules, ACS
Central Science 4 (2018) 268-276, drew them at random from ZINC (Irwin et al., 2012) and computed the properties."""
    + _COMMON
)

ZINC = File(
    "250k_rndm_zinc_drugs_clean_3.csv", None, "35e3f1a52b1badc0697e373d73a18ad773f415936ff992f4c6baa2e067b3e6ae",
    packed=False,
)  # fmt: skip
_REPOSITORY = "aspuru-guzik-group/chemical_vae"
_COMMIT = "a509dc613c4c9be54d448a34829bab25bcf09a79"
MIRRORS = (
    f"https://raw.githubusercontent.com/{_REPOSITORY}/{_COMMIT}/models/zinc_properties",
    f"https://cdn.jsdelivr.net/gh/{_REPOSITORY}@{_COMMIT}/models/zinc_properties",
)


def load_molecules(*, return_X_y=False):
    """5,000 SMILES strings, shape (5000,), of 20 to 51 characters, and logP, QED, SAS, shape (5000, 3), float64.

    Returns a Bunch with ``data`` (the strings), ``target``, ``target_names``, ``DESCR``; or ``(data, target)``.
    """
    arrays = read_packaged("molecules")
    return _bunch(arrays["smiles"].astype(str), arrays["properties"] / 1e4, _MOLECULES, return_X_y)


def fetch_zinc250k(
    *, data_home=None, download_if_missing=True, return_X_y=False, n_retries=3, delay=1.0, mirrors=None,
    progress=None, timeout=10.0,
):
    """249,455 SMILES strings, shape (249455,), and logP, QED, SAS, shape (249455, 3), float64.

    Returns what `load_molecules` does.  The first call downloads the csv file of Gomez-Bombarelli et al., some 23 MB,
    and keeps it in `data_home`; every call checks the SHA-256.  Arguments and errors are those of `fetch_mnist`.
    """
    mirrors = MIRRORS if mirrors is None else [mirrors] if isinstance(mirrors, str | os.PathLike) else list(mirrors)
    stream = obtain(
        ZINC, folder(data_home), mirrors, download_if_missing=download_if_missing, n_retries=n_retries, delay=delay,
        timeout=timeout, progress=progress,
    )  # fmt: skip
    return _bunch(*parse(stream.tobytes()), _ZINC, return_X_y)


def folder(data_home=None):
    """Where `fetch_zinc250k` keeps its file."""
    return get_data_home(data_home) / "zinc250k"


def parse(stream):
    """SMILES and properties in the bytes of a csv file with a line of names; a quoted string may end in a newline.

    ValueError when the columns are not smiles, logP, qed, SAS, or a row has fewer.
    """
    head, *rows = csv.reader(io.StringIO(stream.decode("ascii"), newline=""))
    if head != ["smiles", "logP", "qed", "SAS"] or any(len(row) != 4 for row in rows):
        raise ValueError(f"the columns are {', '.join(head)}; smiles, logP, qed, SAS were expected, in every row")
    return np.array([row[0].strip() for row in rows]), np.array([row[1:] for row in rows], float)


def _bunch(smiles, properties, descr, return_X_y):
    if return_X_y:
        return smiles, properties
    return Bunch(data=smiles, target=properties, target_names=np.array(PROPERTIES), DESCR=descr)
