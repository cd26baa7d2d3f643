"""Molecules: SMILES strings from the wheel of molsets; RDKit, in an environment of its own, computes the properties."""

import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

from .sources import Unreachable, members, pip_download

WHAT, COMPRESS, TOLERANCE = "the wheel of molsets 0.3.1", True, {}
WHEEL = "molsets-0.3.1-py3-none-any.whl"
WHEEL_SHA256 = "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34"
SHA256 = {"train.csv.gz": "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c"}
RDKIT = "rdkit==2026.9.1"
COUNT = 5000

PROPERTIES = """
import sys
from rdkit import Chem, RDLogger
from rdkit.Chem import QED, Crippen
from rdkit.Contrib.SA_Score import sascorer
for line in sys.stdin:
    m = Chem.MolFromSmiles(line.strip())
    print(Crippen.MolLogP(m), QED.qed(m), sascorer.calculateScore(m))
"""


def download(folder):
    """The wheel."""
    return pip_download("molsets==0.3.1", WHEEL, WHEEL_SHA256, folder)


def build(path):
    """{file name: arrays}: strings as bytes, properties in units of 1e-4."""
    source = members(path, {name: f"moses/dataset/data/{name}" for name in SHA256}, SHA256)
    smiles = choose(gzip.decompress(source["train.csv.gz"]).decode().split()[1:])
    units = np.rint(1e4 * properties(smiles)).astype("<i4")
    return {"molecules.npz": {"smiles": np.array(smiles).astype("S57"), "properties": units}}


def choose(smiles):
    """The COUNT strings with the smallest SHA-256, in the order of these: a sample without a random generator."""
    return sorted(smiles, key=lambda s: hashlib.sha256(s.encode()).digest())[:COUNT]


def properties(smiles):
    """logP, QED and SAS of each string, (n, 3), by the pinned RDKit, which is installed for the purpose and removed."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "Scripts" if sys.platform == "win32" else "bin", "python")
        pip = subprocess.run([python, "-m", "pip", "install", "--quiet", RDKIT], capture_output=True, text=True)
        if pip.returncode:
            raise Unreachable(f"pip cannot install {RDKIT} ({(pip.stderr.strip().splitlines() or ['?'])[-1]})")
        lines = "\n".join(smiles)
        run = subprocess.run([python, "-c", PROPERTIES], input=lines, capture_output=True, text=True, check=True)
    return np.loadtxt(io.StringIO(run.stdout), ndmin=2)
