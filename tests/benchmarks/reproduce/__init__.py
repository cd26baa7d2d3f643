"""Numbers and figures of the papers beside ours: `python -m tests.benchmarks reproduce [NAME ...]`.

An experiment is a module with TITLE, PAPER (the citation) and `run(say) -> record.Result`; say(text) tells progress.
"""

from importlib import import_module

NAMES = ["pca", "hinton", "linear_vae", "aevb", "iwae", "mohamed", "generative"]


def images(data=None):
    """(train (60000, 784), test (10000, 784)) of the real MNIST, float32 in [0, 1].

    Raises FileNotFoundError where there is none: a paper's number is not compared with one of made-up images.
    """
    from tests.benchmarks.data import mnist

    train, test, source = data or mnist()
    if source != "MNIST":
        raise FileNotFoundError("MNIST is not here; `enm5310 data fetch mnist` gets it (11 MB)")
    return train, test


def main(names, machine, say=print, modules=None):
    """Run the experiments called for, all by default, and write the page after each; the exit code."""
    from tests.benchmarks.reproduce import record

    for name in names or NAMES:
        experiment = (modules or {}).get(name) or import_module(f"tests.benchmarks.reproduce.{name}")
        say(f"{name}: {experiment.TITLE} ...")
        try:
            done = record.keep(name, experiment, say, machine)
        except FileNotFoundError as why:
            say(str(why))
            return 2
        for row in done["rows"]:
            say(f"  {row['what']}: paper {row['paper']}, here {row['ours']}")
        record.PAGE.write_text(record.page(NAMES), encoding="utf-8")
    return 0
