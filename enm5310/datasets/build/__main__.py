"""The command; see the package."""

import argparse
import tempfile

from enm5310.datasets import build as package

from . import archive, demand, glyphs, molecules, tables

SOURCES = {"tables": tables, "glyphs": glyphs, "molecules": molecules, "demand": demand}


def main(argv=None):
    args = _parser().parse_args(argv)
    names = args.names or list(SOURCES)
    if unknown := [name for name in names if name not in SOURCES]:
        raise SystemExit(f"no source is called {unknown[0]!r}; there are {', '.join(SOURCES)}")
    if args.source and len(names) > 1:
        raise SystemExit("--from gives one source; say which: " + ", ".join(SOURCES))
    for name in names:
        source = SOURCES[name]
        with tempfile.TemporaryDirectory() as folder:
            built = source.build(args.source or source.download(folder))
        (_check if args.check else _write)(source, built)


def _check(source, built):
    """One line; exit status 1 if a packaged file is not what is built from the source."""
    found = [archive.difference(name, arrays, source.COMPRESS, source.TOLERANCE) for name, arrays in built.items()]
    if wrong := [words for words in found if words]:
        raise SystemExit("; ".join(wrong) + ": run python -m enm5310.datasets.build")
    print(f"{', '.join(built)}: the same as a rebuild")


def _write(source, built):
    for name, arrays in built.items():
        archive.write(name, arrays, source.COMPRESS)
        print(f"{name}: " + ", ".join(f"{key} {array.shape} {array.dtype}" for key, array in arrays.items()))


def _parser():
    parser = argparse.ArgumentParser("python -m enm5310.datasets.build", description=package.__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SOURCES)}; all of them by default")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a packaged file differs")
    whats = "; ".join(f"{name}: {source.WHAT}" for name, source in SOURCES.items())
    parser.add_argument("--from", dest="source", metavar="PATH", help=f"take the one source from here. {whats}")
    return parser


if __name__ == "__main__":
    main()
