"""What is done with the lines of the harness: one table, one JSON, and what machine they are of."""

import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from rich.table import Table

from tests.benchmarks.harness import OURS


def machine(threads):
    """What the numbers were measured on."""
    return {
        "system": platform.platform(terse=True), "processor": _processor(), "cores": os.cpu_count(), "threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(), "numpy": np.__version__, **_versions(),
    }  # fmt: skip


def _processor():
    info = Path("/proc/cpuinfo")  # where there is none, platform says something shorter
    lines = info.read_text().splitlines() if info.exists() else []
    return next((l.split(":")[1].strip() for l in lines if l.startswith("model name")), platform.processor())


def _versions():
    found = {}
    for package in ("autograd", "torch", "jax", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def as_json(line):
    """One entry of "lines": ratio and target are those of the peer that decides (`against`)."""
    timings = {name: t._asdict() for name, t in line.timings.items()}
    ours = timings.pop(OURS)
    return {
        "name": line.name, "ours": ours, "peers": timings, "unit": line.unit,
        "ratio": line.ratios.get(line.against), "target": line.limits.get(line.against), "met": line.met,
        "against": line.against, "ratios": line.ratios, "ratios_of_minima": line.of("min"),
        "limits": {name: limit for name, limit in line.limits.items() if limit < math.inf}, "growth": dict(line.growth),
        "requirements": [r._asdict() for r in line.requirements], "notes": list(line.notes), **line.extra,
    }  # fmt: skip


def table(lines):
    """One rich table: a row per contender, a row per requirement."""
    heads = "line", "who", "median", "minimum", "ours / peer", "of minima", "target", "met", "growth"
    t = Table(*heads, title="Benchmarks: ours / peer and the target are of medians")
    for column in t.columns[2:7]:
        column.justify = "right"
    for line in lines:
        for row in _rows(line):
            t.add_row(*row)
        t.add_section()
    return t


def _rows(line):
    for name, t in line.timings.items():
        exponents = ", ".join(f"{what}^{fits[name]:.2f}" for what, fits in line.growth.items() if name in fits)
        judged = ["", "", "", _met(line.met)] if name == OURS else _judged(line, name)
        heading = line.name if name == OURS else ""
        yield heading, name, quantity(t.median, line.unit), quantity(t.min, line.unit), *judged, exponents
    for r in line.requirements:
        yield "", r.what, f"{r.value:.4g}", "", "", "", f"<= {r.limit:g}", _met(r.value <= r.limit), ""


def _judged(line, peer):
    ratio, limit = line.ratios[peer], line.limits[peer]
    target = [f"<= {limit:.2f}", _met(ratio <= limit)] if limit < math.inf else ["", ""]
    return [f"{ratio:.2f}", f"{line.of('min')[peer]:.2f}", *target]


def quantity(value, unit):
    """Three digits and the unit, seconds as ms or us where that reads better."""
    if unit != "s":
        return f"{value:.2f} {unit}"
    scale, name = next(((s, n) for s, n in [(1, "s"), (1e-3, "ms")] if value >= s), (1e-6, "us"))
    return f"{value / scale:.3g} {name}"


def _met(met):
    return "not shown" if met is None else "yes" if met else "no"
