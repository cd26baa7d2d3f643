"""Where the course's folders are: inside an installed package, or beside it in a clone."""

from pathlib import Path

PARTS = (
    "01_pca",
    "02_autoencoders",
    "03_bounds_elbo",
    "04_reparameterization",
    "05_applications",
    "06_ratios_es_games",
    "07_vae",
    "08_generative_models",
)


def folder(name):
    """The folder of "lectures", "exercises" or "solutions"; FileNotFoundError when the course is not there."""
    here = Path(__file__).resolve().parent
    for candidate in (here / "_course" / name, here.parent / name):  # the wheel's copy, then the clone's
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the course's {name}/ folder is missing: reinstall enm5310, or use a full clone")


def part_of(exercise_id):
    """The part an exercise belongs to: "1.3" -> "01_pca"."""
    return PARTS[int(exercise_id.split(".")[0]) - 1]


def parts_here():
    """The parts this version of the course has exercises for, in order."""
    return [part for part in PARTS if (folder("solutions") / part / f"{part}.ipynb").is_file()]
