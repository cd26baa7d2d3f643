"""Wheels for a Pyodide lock file: one made of an installed package, and the entry that describes one."""

import base64
import hashlib
import importlib.metadata
import re
import zipfile


def repack(name, folder):
    """A wheel of a pure Python package as it is installed here, the same bytes each time; ValueError if it is not."""
    try:
        installed = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"{name} is not installed: pip install --group docs") from None
    (tag, *_) = re.findall(r"^Tag: (.*)$", installed.read_text("WHEEL"), re.M)
    if not tag.endswith("-none-any"):
        raise ValueError(f"{name} is not pure Python here ({tag}): a browser cannot run it")
    record = []
    wheel = folder / f"{name}-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(installed.files, key=str):
            if ".." in file.parts or "__pycache__" in file.parts or file.name in ("INSTALLER", "REQUESTED", "RECORD"):
                continue  # written by the installer
            data = file.read_binary()
            sha = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={sha},{len(data)}")
            archive.writestr(zipfile.ZipInfo(str(file)), data, zipfile.ZIP_DEFLATED)
        mine = f"{name}-{installed.version}.dist-info/RECORD"
        archive.writestr(zipfile.ZipInfo(mine), "\n".join([*record, f"{mine},,", ""]), zipfile.ZIP_DEFLATED)
    return wheel


def slim(wheel, *folders):
    """Takes folders out of a wheel, and out of its list of files."""
    with zipfile.ZipFile(wheel) as archive:
        files = [(info, archive.read(info)) for info in archive.infolist() if not info.filename.startswith(folders)]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in files:
            if info.filename.endswith(".dist-info/RECORD"):
                kept = [line for line in data.decode().splitlines() if not line.startswith(folders)]
                data = "".join(f"{line}\n" for line in kept).encode()
            archive.writestr(info, data)


def describe(wheel):
    """A wheel's entry in the lock file."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        head = archive.read(metadata).decode().partition("\n\n")[0]
    (name,), (version,) = (re.findall(rf"^{field}: (.*)$", head, re.M) for field in ("Name", "Version"))
    needs = [line for line in re.findall(r"^Requires-Dist: (.*)$", head, re.M) if "extra ==" not in line]
    return {
        "name": key(name), "version": version, "file_name": wheel.name, "install_dir": "site",
        "sha256": sha256(wheel), "package_type": "package", "unvendored_tests": False,
        "imports": sorted({n.split("/")[0] for n in names if re.fullmatch(r"[^/]+/__init__\.py", n)}),
        "depends": [key(re.match(r"[\w.-]+", line)[0]) for line in needs],
    }  # fmt: skip


def key(name):
    """A package's name as lock files have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
