"""Who may import whom: the arrows of the design, held by reading every module's imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import enm5310

PACKAGE = Path(enm5310.__file__).parent
MATHS = {
    "pca", "pca_large", "ppca", "nets", "optimize", "autoencoder", "distributions", "bounds", "paths", "gradients",
    "decisions", "ratios", "evolution", "adversarial", "vae", "latent", "fonts", "molecules", "backend", "fused",
    "likelihoods", "training", "font_vae", "smiles", "smiles_grammar", "smiles_canonical", "molecular_graphs",
    "derivation", "depiction", "sequences", "latent_search",
    "gaussian_process", "string_vae", "graphs",
}  # fmt: skip
NO_MATHS = {"plots", "datasets", "checks", "widgets"}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_course" not in p.parts)


def imports(path, top_level_only=False):
    """Dotted names that a module imports; relative ones made absolute."""
    package = ("enm5310", *path.relative_to(PACKAGE).parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{a.name}" for a in node.names)


def part(path):
    """The module or subpackage a file belongs to: pca, checks, datasets, ..."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path):
    return {name.split(".")[1] for name in imports(path) if name.startswith("enm5310.")}


def by_name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", [p for p in MODULES if part(p) in MATHS], ids=by_name)
def test_the_mathematics_imports_numpy_autograd_and_itself(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top in {"numpy", "autograd", "enm5310", *sys.stdlib_module_names}, name
        assert top != "enm5310" or name.split(".")[1] in MATHS | {"glyphs"}, name


@pytest.mark.parametrize("path", [p for p in MODULES if part(p) in NO_MATHS], ids=by_name)
def test_figures_data_and_checks_import_no_mathematics(path):
    assert not ours(path) & MATHS


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_only_plots_imports_matplotlib_and_only_backend_names_cupy(path):
    tops = {name.split(".")[0] for name in imports(path)}
    assert "matplotlib" not in tops or part(path) in {"plots", "doctor"}, "pictures belong to plots.py"
    assert "cupy" not in tops or part(path) == "backend"
    pictures = part(path) in {"glyphs", "plots"} or by_name(path) == "reporting/pictures.py"
    assert "PIL" not in tops or pictures, "pictures of letters belong to glyphs.py, students' to reporting/pictures.py"
    assert not tops & {"scipy", "sklearn", "torch"}, "oracles of the tests, not of the library"


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_every_module_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module docstring"
    if part(path) in MATHS:
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{node.name} has no docstring"


def loaded_by(statement):
    code = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_nothing():
    assert not {"numpy", "autograd", "matplotlib", "IPython", "nbgrader", "typer", "rich"} & loaded_by("import enm5310")


@pytest.mark.parametrize("module", sorted({part(p) for p in MODULES} & MATHS))
def test_importing_the_mathematics_loads_numpy_and_autograd_only(module):
    assert not {"matplotlib", "scipy", "IPython", "nbgrader", "cupy"} & loaded_by(f"import enm5310.{module}")


@pytest.mark.parametrize("path", [p for p in MODULES if part(p) == "grading"], ids=by_name)
def test_who_grades_knows_nothing_of_what_is_made_of_the_grades(path):
    assert "reporting" not in ours(path)  # and a change of a page grades nobody again: see grading/journal.py
