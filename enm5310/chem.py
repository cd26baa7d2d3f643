"""What needs the extra `chem` (RDKit, selfies): validity and properties for all of chemistry, SELFIES, drawings.

Nothing else in the package imports it, and each function names what is missing: pip install "enm5310[chem]".
"""

from importlib import import_module

import numpy as np

from enm5310 import depiction


def rdkit_valid(smiles):
    """Whether RDKit reads and sanitises the string as a molecule of at least one atom."""
    return _read(smiles) is not None


def rdkit_properties(smiles):
    """(logP, QED, SAS) of each string, shape (n, 3): those of `datasets.load_molecules`, unrounded.

    Crippen's logP; QED, 0 to 1 (Bickerton et al., 2012); SAS, 1 (easy to make) to 10 (Ertl and Schuffenhauer, 2009).
    Raises ValueError for a string that is no molecule.
    """
    crippen, qed, sas = (_need(f"rdkit.{name}") for name in ("Chem.Crippen", "Chem.QED", "Contrib.SA_Score.sascorer"))
    molecules = [_molecule(s) for s in smiles]
    return np.array([[crippen.MolLogP(m), qed.qed(m), sas.calculateScore(m)] for m in molecules]).reshape(-1, 3)


def rdkit_layout(smiles):
    """Positions (n, 2) of the atoms on paper, in the order of the string, as RDKit draws them; bonds have length 1."""
    m = _molecule(smiles)
    _need("rdkit.Chem.rdDepictor").Compute2DCoords(m)
    return m.GetConformer().GetPositions()[:, :2] / 1.5


def positions(smiles):
    """Where to draw the atoms, (n, 2): RDKit's layout where it is installed, else `depiction.layout`."""
    try:
        return rdkit_layout(smiles)
    except ModuleNotFoundError:
        return depiction.layout(smiles)


def to_selfies(smiles):
    """The SELFIES string of a SMILES string, by the package selfies; `smiles.tokenize` splits it into its tokens."""
    return _need("selfies").encoder(smiles)


def from_selfies(text):
    """The SMILES string of a SELFIES string: every sequence of its tokens has one, if only the empty one."""
    return _need("selfies").decoder(text)


def _molecule(smiles):
    if (m := _read(smiles)) is None:
        raise ValueError(f"{smiles!r} is not the SMILES string of a molecule")
    return m


def _read(smiles):
    with _need("rdkit.rdBase").BlockLogs():  # it reports on standard error what it cannot read
        m = _need("rdkit.Chem").MolFromSmiles(smiles)
    return m if m is not None and m.GetNumAtoms() else None


def _need(name):
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        package = {"rdkit": "RDKit"}.get(name.split(".")[0], name)
        raise ModuleNotFoundError(f'this needs {package}: pip install "enm5310[chem]"', name=missing.name) from None
