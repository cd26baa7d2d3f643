"""The pages of the API reference: one per public module, in groups that follow the slides."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "enm5310"
GROUPS = {
    "PCA and auto-encoders": "pca pca_large ppca nets autoencoder",
    "Probability and bounds": "distributions likelihoods bounds",
    "Gradients of expectations": "paths gradients decisions",
    "Ratios, evolution, games": "ratios evolution adversarial",
    "The variational auto-encoder": "vae latent fused",
    "Letters and molecules": "fonts font_vae glyphs molecules string_vae sequences latent_search gaussian_process",
    "Molecules as text and graphs": "smiles smiles_grammar smiles_canonical molecular_graphs derivation depiction chem",
    "Training": "optimize training backend",
    "Data and figures": "datasets plots graphs widgets.frames widgets.pad",
}
NO_REFERENCE = {"cli", "course", "doctor", "release", "start", "__init__", "__main__"}  # commands, not a library
TOP = """API reference
=============

Every formula of the lectures lives in one module, in NumPy and autograd, and a function's description begins with its
formula. Where that can be rendered without a doubt it is shown as mathematics, elsewhere as it stands in the code.

"""


def file(module):
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def first_sentence(module):
    """What a module's docstring says first."""
    text = ast.get_docstring(ast.parse(file(module).read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def write(folder):
    """index.rst and a page per module."""
    from docstrings import escaped

    folder.mkdir(parents=True)
    index = [TOP]
    for title, names in GROUPS.items():
        modules = names.split()
        index += [title, "-" * len(title), ""]
        index += [f":doc:`{m} <enm5310.{m}>`\n   {escaped(first_sentence(m))}\n" for m in modules]
        index += [".. toctree::", "   :hidden:", "", *(f"   enm5310.{m}" for m in modules), ""]
        for m in modules:
            name = f"enm5310.{m}"
            heading = name.replace("_", r"\_")
            page = f"{heading}\n{'=' * len(heading)}\n\n.. automodule:: {name}\n"
            (folder / f"{name}.rst").write_text(page, encoding="utf-8")
    (folder / "index.rst").write_text("\n".join(index), encoding="utf-8")
