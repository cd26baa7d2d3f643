"""Execute notebooks top to bottom with warnings as errors:  python -m tests.execute OUT_FOLDER NOTEBOOK [NOTEBOOK ...]

Executed copies land in OUT_FOLDER under the notebooks' own names.  Exit code 1 when a cell raises or writes to stderr.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

QUIET = Config({"KernelManager": {"transport_encryption": "auto"}})  # ipykernel warns about plain TCP on every start
STRICT, LENIENT = ("import warnings; warnings.simplefilter('error')", "import warnings; warnings.resetwarnings()")


def execute(path, out):
    """Writes the executed copy of a notebook into the folder ``out``; returns the complaints, one line each."""
    nb = nbformat.read(path, as_version=4)
    first, last = (nbformat.v4.new_code_cell(text) for text in (STRICT, LENIENT))  # the kernel's own end is not judged
    nb.cells = [first, *nb.cells, last]
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(nb, timeout=600, kernel_name="python3", resources=resources, config=QUIET)
    complaints = []
    try:
        client.execute()
    except CellExecutionError as why:
        complaints.append(f"{path.name}: {str(why)[-1500:]}")
    nb.cells = nb.cells[1:-1]
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                complaints.append(f"{path.name}, cell {cell.id}: wrote to stderr: {output.text[:500]}")
    nbformat.write(nb, out / path.name)
    return complaints


def main(out, *paths):
    Path(out).mkdir(parents=True, exist_ok=True)
    bad = []
    for path in map(Path, paths):
        start = time.perf_counter()
        bad += execute(path.resolve(), Path(out))
        print(f"{path.name}: {time.perf_counter() - start:.1f} s", flush=True)
    print(*bad, sep="\n", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
