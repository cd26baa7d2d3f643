"""`python -m tests.benchmarks [NAME ...] [--json FILE] [--allow-missing] [--threads N]`: exit 0 when all were measured.

Whether a target is met is in the table and in the JSON, not in the exit code: on a busy machine that would be noise.
Exit 2: unknown name, a peer that is not installed, contenders that do not compute the same.

`python -m tests.benchmarks reproduce [NAME ...]` runs the papers' experiments and writes lectures/REPRODUCTIONS.md.
"""

import argparse
import json
import os
import sys
from importlib import import_module
from pathlib import Path

NAMES = ["vae_step", "mnist_vae", "pca", "gradients", "fonts", "molecules", "startup", "grading", "course"]
LONG = ["hinton"]  # an hour: only by name


def main(argv=None, lines=None):
    """Run the lines called for; `lines`: their modules by name, by default those of this package."""
    args = parser().parse_args(argv)
    if args.names[:1] == ["reproduce"]:
        return reproduced(args)
    known = lines or NAMES + LONG
    if unknown := [name for name in args.names if name not in known]:
        return fail(f"no benchmark is called {unknown[0]!r}; there are {', '.join(known)}")
    use_threads(args.threads)  # before anything imports NumPy
    from tests.benchmarks import harness

    names = args.names or list(lines or NAMES)
    modules = lines or {name: import_module(f"tests.benchmarks.{name}") for name in names}
    absent = list(dict.fromkeys(p for name in names for p in harness.missing(modules[name].CONTENDERS)))
    if absent and not args.allow_missing:
        return fail(f"not installed: {', '.join(absent)}; run `pip install --group bench`, or add --allow-missing")
    return report({name: modules[name] for name in names}, args, absent)


def reproduced(args):
    from tests.benchmarks import reproduce

    if unknown := [name for name in args.names[1:] if name not in reproduce.NAMES]:
        return fail(f"no experiment is called {unknown[0]!r}; there are {', '.join(reproduce.NAMES)}")
    use_threads(args.threads)
    from tests.benchmarks import results

    return reproduce.main(args.names[1:], results.machine(args.threads))


def report(modules, args, absent):
    from rich.console import Console

    from tests.benchmarks import harness, results

    console, done = Console(), []
    console.width = max(console.width, 130)  # the table needs it; a file has no width of its own
    machine = results.machine(args.threads)
    console.print(", ".join(f"{key} {value}" for key, value in machine.items()), soft_wrap=True)
    if (machine["load"] or 0) > 0.5:
        console.print("other programs are running (load above 0.5): trust ratios of minima, or `--threads 1`")
    for name, module in modules.items():
        console.print(f"{name}: {module.WHAT} ...")
        try:
            done.append(module.measure(harness.present(module.CONTENDERS)))
        except harness.Disagreement as why:
            return fail(f"{name}: {why}")
    console.print(results.table(done))
    for line in done:
        for note in line.notes:
            console.print(f"{line.name}: {note}")
    if absent:
        console.print(f"without {', '.join(absent)}: not installed")
    if args.json:
        content = {"machine": machine, "lines": [results.as_json(line) for line in done], "missing": absent}
        args.json.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def parser():
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="The library beside its peers.")
    names = f"{', '.join(NAMES)}, all by default; {', '.join(LONG)} by name only; or: reproduce, then experiments"
    p.add_argument("names", nargs="*", metavar="NAME", help=names)
    p.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    p.add_argument("--allow-missing", action="store_true", help="go on without peers that are not installed")
    p.add_argument("--threads", type=int, default=cores(), metavar="N", help="for every contender; default all cores")
    return p


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def use_threads(n):
    """The same number of threads for every library: by the variables each reads, and by the cores it may see."""
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC"):
        os.environ[variable] = str(n)  # NPROC is JAX's
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])


def fail(words):
    print(words, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
