"""The course's site as plain files, built from this clone without network:

    python lectures/_site/build.py OUT                      executes the lectures first and keeps the copies in _build
    python lectures/_site/build.py OUT --executed FOLDER    takes the executed copies that lie in FOLDER
    python lectures/_site/build.py OUT --lite               with JupyterLite, so that notebooks open in the browser

It needs the group ``docs`` and node.  A warning of Sphinx ends it: what is built has no broken link and no bad formula.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LECTURES = sorted((ROOT / "lectures").glob("*.ipynb"))
KEPT = ROOT / "_build" / "executed"


class Failed(Exception):
    """One line: what is wrong, and what to do."""


def build(out, executed=None, lite=False):
    """Writes the site into the folder ``out``, which it replaces.  Failed when something is missing."""
    out = Path(out).resolve()
    _ready(out)
    import stage  # beside this file

    executed = Path(executed) if executed else execute()
    missing = [path.name for path in LECTURES if not (executed / path.name).is_file()]
    if missing:
        raise Failed(f"{executed} has no executed {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="site-") as work:
        source, made = Path(work, "source"), Path(work, "html")
        stage.stage(source, executed)
        options = ["-W", "--keep-going", "-q", "-c", ROOT / "lectures", "-d", Path(work, "doctrees")]
        _run("sphinx", *options, *["-t", "lite"] * lite, source, made)
        stage.downloads(made)
        (made / ".buildinfo").unlink(missing_ok=True)
        if lite:
            _lite(made)
        if out.exists():
            shutil.rmtree(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, out)
    return out


def _ready(out):
    if shutil.which("node") is None:
        raise Failed("node is not on the PATH: KaTeX renders the formulas in it (https://nodejs.org)")
    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").is_file():
        raise Failed(f"{out} is not empty and no earlier build: name another folder")


def _lite(out):
    import lite

    try:
        lite.build(out)
    except lite.Failed as why:
        raise Failed(str(why)) from None


def execute():
    """Executed copies of the lectures in _build, made again where a lecture or the package has changed."""
    KEPT.mkdir(parents=True, exist_ok=True)
    record = KEPT / "made-from.json"
    kept = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    package = _sha(*sorted(p for p in (ROOT / "enm5310").rglob("*") if p.suffix in (".py", ".js", ".css", ".npz")))
    for path in LECTURES:
        made_from = [_sha(path), package]
        if kept.get(path.name) != made_from or not (KEPT / path.name).is_file():
            _run("tests.execute", KEPT, path, ENM5310_DATA=str(KEPT / "no-cache"))  # as in the tests: packaged data
            kept[path.name] = made_from
            record.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return KEPT


def _sha(*paths):
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode() + path.read_bytes())
    return sha.hexdigest()


def _run(module, *arguments, **variables):
    """python -m module ..., its words shown as they come."""
    env = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | variables
    done = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, env=env)
    if done.returncode:
        raise Failed(f"{module} found something wrong; its lines above say what")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", metavar="OUT", help="the folder that gets the site")
    parser.add_argument("--executed", metavar="FOLDER", help="executed copies of the lectures")
    parser.add_argument("--lite", action="store_true", help="with JupyterLite")
    asked = parser.parse_args()
    try:
        print(build(asked.out, asked.executed, asked.lite) / "index.html")
    except Failed as why:
        sys.exit(f"site: {why}")


if __name__ == "__main__":
    main()
