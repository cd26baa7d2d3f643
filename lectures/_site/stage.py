"""The sources of the site in one folder, laid out as in the repository, so that their links hold as they are.

Only the front page moves: ``lectures/index.md`` becomes ``index.md``, and its links follow.
"""

import re
import shutil
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parents[2]
AS_THEY_ARE = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "enm5310/datasets/LICENSES.md", "lectures/*.md",
    "lectures/contact_sheets/*.png", "lectures/pictures/*", "lectures/reproductions/*.png", "exercises/*/*.ipynb",
)  # fmt: skip
NOTEBOOKS = "lectures/*.ipynb", "exercises/*/*.ipynb"
FRONT = "lectures/index.md"


def stage(folder, executed):
    """Writes all sources into a folder; lectures are taken from ``executed``, with their outputs."""
    for path in (path for pattern in AS_THEY_ARE for path in sorted(ROOT.glob(pattern))):
        _copy(path, folder / path.relative_to(ROOT))
    for path in sorted((ROOT / "lectures").glob("*.ipynb")):
        _copy(Path(executed) / path.name, folder / "lectures" / path.name)
    (folder / FRONT).unlink()
    (folder / "index.md").write_text(moved((ROOT / FRONT).read_text(encoding="utf-8")), encoding="utf-8")
    reference.write(folder / "api")


def downloads(out):
    """Puts the notebooks as they are in the repository, without outputs, beside their pages."""
    for path in (path for pattern in NOTEBOOKS for path in sorted(ROOT.glob(pattern))):
        _copy(path, Path(out) / path.relative_to(ROOT))


def moved(text):
    """The front page's links, seen from the top: ](01_pca.ipynb) -> ](lectures/01_pca.ipynb), ](../X) -> ](X)."""
    return re.sub(r"\]\((?!\w+:|#)(\.\./)?", lambda m: "](" if m[1] else "](lectures/", text)


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
