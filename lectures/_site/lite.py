"""The notebooks in the browser: JupyterLite with a kernel that finds the whole course in one lock file of our own.

    python lectures/_site/lite.py OUT                   writes OUT/lite; Python itself comes from Pyodide's CDN
    python lectures/_site/lite.py OUT --pyodide DIST    all of it lies in OUT/lite; DIST is an unpacked Pyodide release

``lite/`` beside this file holds JupyterLite's configuration, the page that learners see first, and the part of
Pyodide's own lock file that the course needs.  To move to another Pyodide, install the jupyterlite-pyodide-kernel that
asks for it and rewrite that part: ``python lectures/_site/lite.py --pin DIST``.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lite_wheels import describe, key, repack, sha256, slim

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = Path(__file__).with_name("lite")
PIN = CONFIGURATION / "pyodide-lock.json"
NOTEBOOKS = "lectures/*.ipynb", "exercises/*/*.ipynb"  # laid out as here, so that their links hold
KERNEL = "micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython"  # what its start asks for
MATHS = "numpy", "matplotlib", "pillow"  # what enm5310 needs in a notebook
NOT_IN_PYODIDE = "autograd", "comm"  # pure Python, repacked from what is installed here: no network, the tested version
RUNTIME = "pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"
CDN = "https://cdn.jsdelivr.net/pyodide/v{}/full"
MISSING = "JupyterLite is not installed: pip install --group docs"
HOME = "static/pyodide"  # in OUT/lite: the lock file, our wheels and, if asked for, Pyodide itself


class Failed(Exception):
    """One line: what is missing, and what to do."""


def build(out, pyodide=None):
    """Writes OUT/lite, whole or not at all; returns the folder.  Failed with one line when something is missing.

    ``pyodide``, else the environment variable PYODIDE_DIST, is an unpacked Pyodide release to be part of it.
    """
    out, pyodide = Path(out).resolve(), pyodide or os.environ.get("PYODIDE_DIST")
    pinned = _pinned()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lite-", dir=out) as work:
        made = _jupyterlite(Path(work))
        home = made / HOME
        home.mkdir(parents=True)
        wheels = [_enm5310(home), *_installed(home), *_copy(_kernel_wheels(), home)]
        if pyodide:
            take(Path(pyodide), pinned, home)
        base = "" if pyodide else f"{CDN.format(pinned['pyodide'])}/"
        (home / PIN.name).write_text(json.dumps(lock(pinned, base, wheels), indent=1), encoding="utf-8")
        _head(made / "lab" / "index.html")
        _configure(made / "jupyter-lite.json", "./" + HOME if pyodide else CDN.format(pinned["pyodide"]))
        target = out / "lite"
        if target.exists():
            shutil.rmtree(target)
        return made.rename(target)


# -------------------- JupyterLite --------------------


def _jupyterlite(work):
    """JupyterLite with the notebooks, without a Python yet: a folder in ``work``."""
    source, made = work / "source", work / "lite"
    shutil.copytree(CONFIGURATION, source, ignore=shutil.ignore_patterns("README.md", PIN.name))
    files = source / "files"
    for pattern in NOTEBOOKS:
        for path in sorted(ROOT.glob(pattern)):
            target = files / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    shutil.copyfile(CONFIGURATION / "README.md", files / "README.md")
    _run(
        "jupyterlite_core", "build", f"--lite-dir={source}", f"--output-dir={made}", f"--contents={files}",
        f"--LiteBuildConfig.federated_extensions={_kernel()}", cwd=source,
    )  # fmt: skip
    return made


def _configure(settings, pyodide):
    """Tells the kernel where Pyodide and our lock file are."""
    stored = json.loads(settings.read_text(encoding="utf-8"))
    config = stored["jupyter-config-data"]
    kernel = config.setdefault("litePluginSettings", {}).setdefault("@jupyterlite/pyodide-kernel-extension:kernel", {})
    kernel |= {
        "pyodideUrl": f"{pyodide}/pyodide.mjs",
        "loadPyodideOptions": {"lockFileURL": f"./{HOME}/{PIN.name}", "packages": KERNEL},
        "disablePyPIFallback": True,
    }
    if pyodide.startswith("."):  # else the reader is asked first: what comes from another host comes on request
        config["settingsOverrides"]["@jupyterlab/notebook-extension:tracker"] = {"autoStartDefaultKernel": True}
    settings.write_text(json.dumps(stored, indent=1), encoding="utf-8")


def _head(page):
    """Tells screen readers the page's language, and browsers its icon, which they else look for at the host's root."""
    text = page.read_text(encoding="utf-8")
    head = '<html lang="en">\n<head>\n    <link rel="icon" href="favicon.ico">'
    page.write_text(re.sub(r"<html>\s*<head>", head, text, count=1), encoding="utf-8")


def _kernel():
    """The folder of the installed kernel extension."""
    found = Path(sys.prefix, "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension")
    if not found.is_dir():
        raise Failed(MISSING)
    return found


def _kernel_wheels():
    return sorted(path for name in ("piplite", "ipykernel", "pyodide_kernel")
                  for path in (_kernel() / "static/pypi").glob(f"{name}-*.whl"))  # fmt: skip


def _run(module, *arguments, cwd):
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Failed(f"{module} failed: {lines[-1] if lines else 'it said nothing'}")


# -------------------- wheels --------------------


def _enm5310(folder):
    """The wheel of this checkout, with the solutions that a check shows and without what lies beside it as contents."""
    _run("hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("enm5310-*.whl")
    slim(wheel, "enm5310/_course/lectures/", "enm5310/_course/exercises/")
    return wheel


def _installed(folder):
    try:
        return [repack(name, folder) for name in NOT_IN_PYODIDE]
    except ValueError as why:  # not installed, or not pure Python
        raise Failed(str(why)) from None


def _copy(paths, folder):
    return [Path(shutil.copyfile(path, folder / path.name)) for path in paths]


# -------------------- Pyodide --------------------


def trimmed(lock):
    """The part of Pyodide's lock file that the kernel and the course need."""
    there = {key(name): entry for name, entry in lock["packages"].items()}
    wanted, found = [name for name in KERNEL + MATHS if name in there], {}
    while wanted:
        if (name := wanted.pop()) not in found:
            found[name] = {**there[name], "depends": [key(other) for other in there[name]["depends"]]}
            wanted += found[name]["depends"]
    return {"info": lock["info"], "packages": dict(sorted(found.items()))}


def lock(pinned, base, wheels):
    """The lock file: Pyodide's packages at ``base``, and wheels that lie beside it."""
    packages = {name: {**entry, "file_name": base + entry["file_name"]} for name, entry in pinned["packages"].items()}
    packages |= {entry["name"]: entry for entry in map(describe, wheels)}
    for entry in packages.values():  # what else a wheel requires is for the command line
        entry["depends"] = [name for name in entry["depends"] if name in packages]
    return {"info": pinned["info"], "packages": dict(sorted(packages.items()))}


def _pinned():
    pinned, wanted = json.loads(PIN.read_text(encoding="utf-8")), _wanted()
    if pinned["pyodide"] != wanted:
        raise Failed(f"the kernel wants Pyodide {wanted}, {PIN.name} is of {pinned['pyodide']}: rewrite it with --pin")
    return pinned


def _wanted():
    """The version of Pyodide that the installed kernel extension is made for."""
    try:
        from jupyterlite_pyodide_kernel.constants import PYODIDE_VERSION
    except ImportError:
        raise Failed(MISSING) from None
    return PYODIDE_VERSION


def pin(dist):
    """Rewrites the part of Pyodide's lock file that we keep, from a release that fits the installed kernel."""
    kept = {"pyodide": _wanted(), **trimmed(_lock_of(Path(dist)))}
    PIN.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _lock_of(dist):
    try:
        return json.loads((dist / "pyodide-lock.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Failed(f"{dist} is no unpacked Pyodide release: it has no readable pyodide-lock.json") from None


def take(dist, pinned, home):
    """Copies Pyodide and the packages of the lock file, each as pinned."""
    if trimmed(_lock_of(dist))["packages"] != pinned["packages"]:
        raise Failed(f"{dist} is not Pyodide {pinned['pyodide']}: its lock file has other packages")
    hashes = {entry["file_name"]: entry["sha256"] for entry in pinned["packages"].values()}
    for name in RUNTIME + tuple(hashes):
        if not (dist / name).is_file():
            raise Failed(f"{dist} has no {name}: unpack the whole release, not the core alone")
        if name in hashes and sha256(dist / name) != hashes[name]:
            raise Failed(f"{dist / name} is not the pinned file: its SHA-256 differs")
        shutil.copyfile(dist / name, home / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, help="the folder that gets lite/")
    parser.add_argument("--pyodide", metavar="DIST", help="an unpacked Pyodide release to be part of it (PYODIDE_DIST)")
    parser.add_argument("--pin", metavar="DIST", help="rewrite lite/pyodide-lock.json from this release instead")
    asked = parser.parse_args()
    if (asked.out is None) == (asked.pin is None):
        parser.error("name either OUT or --pin DIST")
    try:
        if asked.pin:
            pin(asked.pin)
        else:
            print(build(asked.out, asked.pyodide))
    except Failed as why:
        sys.exit(f"lite: {why}")


if __name__ == "__main__":
    main()
