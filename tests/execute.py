"""Execute notebooks top to bottom with warnings as errors:  python -m tests.execute OUT_FOLDER NOTEBOOK [NOTEBOOK ...]

Executed copies land in OUT_FOLDER under the notebooks' own names.  Exit code 1 when a cell raises or writes to stderr.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

STRICT = "import warnings\nwarnings.simplefilter('error')"


def execute(path, out):
    """Writes the executed copy of a notebook into the folder ``out``; returns the complaints, one line each."""
    nb = nbformat.read(path, as_version=4)
    nb.cells.insert(0, nbformat.v4.new_code_cell(STRICT, id="strict"))
    client = NotebookClient(nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    complaints = []
    try:
        client.execute()
    except CellExecutionError as why:
        complaints.append(f"{path.name}: {str(why)[-1500:]}")
    del nb.cells[0]
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
