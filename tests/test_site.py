"""What the site is made of: sources, links, formulas of docstrings.  tests/browser/test_site.py builds it and looks."""

import ast
import json
import re
import shutil
import subprocess
import sys

import pytest

from enm5310 import course
from tests.notebooks import ROOT

SITE = ROOT / "lectures" / "_site"


@pytest.fixture(scope="module", autouse=True)
def site_modules():
    """The modules of the build stand in a folder of scripts, not in a package."""
    sys.path.insert(0, str(SITE))
    yield
    sys.path.remove(str(SITE))


# -------------------- formulas --------------------

RENDERED = {
    "C = (1/n) sum_i (x_i - mean)(x_i - mean)^T, shape (p, p), for the rows x_i of X.": (
        r"C = \frac{1}{n}\, \sum_{i}\, (x_{i} - \mathrm{mean})(x_{i} - \mathrm{mean})^{\top}",
        "shape (p, p), for the rows x_i of X.",
    ),
    "p(z | x) = N(z; m1, S2^-1), nats.": (r"p(z \mid x) = \mathcal{N}(z; m_{1},\; S_{2}^{-1})", "nats."),
    "KL(q || p) = 1/2 [v1_j / v2_j - 1 - 2pi]: the price.": (
        r"\operatorname{KL}(q \,\|\, p) = \tfrac{1}{2}\, [v_{1j} / v_{2j} - 1 - 2\pi]",
        "the price.",
    ),
    "theta* <- argmin_x e^(-2 a^2) / sqrt(v_hat + eps)": (
        r"\theta ^{*} \leftarrow \operatorname*{argmin}_{x}\, e^{-2\, a^{2}} / \sqrt{\hat{v} + \varepsilon}",
        "",
    ),
    "E_{p(z; theta)}[f'(z)] = sum_{j<=q} ln|K|": (r"E_{p(z; \theta)}[f'(z)] = \sum_{j\le q}\, \ln |K|", ""),
    "log w = a - s2 I, rows Z = mu": (r"\log \, w = a - \mathrm{s2}\, I", "rows Z = mu"),  # s2 is a square here
    "elbo = rec - kl, rec and kl of each": (r"\mathrm{elbo} = \mathrm{rec} - \mathrm{kl}", "rec and kl of each"),
}
NOT_RENDERED = [
    "The mean of q(z | x) of each string, (n, k).",
    "b_s = mean of the other S - 1 values",  # cut after "mean" it would say something else
    "x_j = 1 with probability grey_j, else 0",  # one of two cases
    "E[values] ~ sum_i w_i values_i, for weights",  # about equal, not distributed as
    "log_w = log p(x) - log q",  # an index, or a word of the code?
    "f(z = (1, 2] = 3",
    "e^f(x) = 2 for x",  # where does the exponent end?
    "e^|z| / 2 = a for z",
    "W ~ N(0, 2 / (in + out)), shape (in, out)",
    "a = b +",
    "C = f(@)",
    "x (n, p)",
    "",
]


@pytest.mark.parametrize("text", RENDERED)
def test_a_formula_is_rendered_symbol_by_symbol(text):
    import formulas

    assert formulas.split(text) == RENDERED[text]


@pytest.mark.parametrize("text", NOT_RENDERED)
def test_what_would_have_to_be_guessed_stays_text(text):
    import formulas

    assert formulas.split(text) is None


def docstrings():
    """(module.name, first paragraph, arguments) of every public function of the reference."""
    import reference

    for module in " ".join(reference.GROUPS.values()).split():
        for node in ast.walk(ast.parse(reference.file(module).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.get_docstring(node):
                text = " ".join(ast.get_docstring(node).partition("\n\n")[0].split())
                yield f"{module}.{node.name}", text, [a.arg for a in node.args.args + node.args.kwonlyargs]


BACK = [  # TeX as the letters of the code, without brackets: an independent way back
    (r"\\operatorname\*?\{(\w+)\}|\\mathrm\{(\w+)\}", r"\1\2"), (r"\\[td]?frac\{(\w+)\}\{(\w+)\}", r"\1/\2"),
    (r"\\mathcal\{N\}", "N"), (r"\\hat\{(\w)\}", r"\1_hat"), (r"\\,\\\|\\,", "||"), (r"\\mid\b", "|"),
    (r"\\varepsilon", "eps"), (r"\\nabla", "grad"), (r"\\top", "T"), (r"\\le\b", "<="), (r"\\ge\b", ">="),
    (r"\\leftarrow", "<-"), (r"\\to\b", "->"), (r"\\sim", "~"), (r"\\[,;]", ""), (r"\\", ""),
]  # fmt: skip


def bare(text):
    return re.sub(r"[\s(){}]", "", text)


def test_no_symbol_of_a_formula_is_lost_added_or_moved():
    import formulas

    rendered = {}
    for name, text, arguments in docstrings():
        if found := formulas.split(text, arguments):
            tex, rest = found
            for pattern, plain in BACK:
                tex = re.sub(pattern, plain, tex)
            letters = re.sub(r"([A-Za-z])_(\d)", r"\1\2", bare(tex)).replace("^*", "*")
            wanted = re.sub(r"\b([A-Za-z]\d)_([a-z])\b", r"\1\2", text.removesuffix(rest) if rest else text)
            wanted = bare(wanted).rstrip(",;:.")
            assert letters == wanted, (name, found)
            rendered[name] = found
    assert len(rendered) > 110  # of some 370: the others begin with words
    assert {"pca.covariance", "distributions.kl_standard_normal", "vae.elbo", "bounds.elbo_surgery"} <= set(rendered)


# -------------------- docstrings as text --------------------


def test_code_in_docstrings_is_set_as_code():
    import docstrings as extension

    rst = extension.to_rst(["Where `minimise` stopped: ``x * y_``, a ` alone, `f(x)`."])
    assert rst[0] == r"Where \ ``minimise``\  stopped\: \ ``x * y_``\ \, a \` alone\, \ ``f(x)``\ \."


def test_docstrings_are_text_whatever_they_contain():
    import docstrings as extension

    shown = extension.to_rst(["*a* |b| `c x_ :d: \\e <f>_", "goes on", "", "- one", "  more", "", ">>> 1 * 2", "2"])
    assert shown[0] == r"\*a\* \|b\| \`c x\_ \:d\: \\e \<f\>\_ goes on"
    text = "\n".join(shown[1:])
    assert text.count(".. code-block:: text") == 2 and "   - one\n     more" in text and "   >>> 1 * 2\n   2" in text


def test_fields_of_a_named_tuple_are_listed_with_their_comments():
    import docstrings as extension

    from enm5310.pca import PCA
    from enm5310.vae import Elbo

    assert extension.fields(PCA)[0] == ("mean", "(p,)") and len(extension.fields(PCA)) == 3
    assert [name for name, _ in extension.fields(Elbo)] == list(Elbo._fields)
    assert extension.fields(int) == []


# -------------------- pages --------------------


def test_the_reference_has_every_module():
    import reference

    listed = " ".join(reference.GROUPS.values()).split()
    there = {path.stem for path in reference.PACKAGE.glob("*.py")} - reference.NO_REFERENCE
    assert len(listed) == len(set(listed)) and there <= set(listed)
    assert all(reference.file(module).is_file() and reference.first_sentence(module) for module in listed)


def test_every_lecture_exercise_and_guide_is_in_the_table_of_contents():
    text = (ROOT / "lectures" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^(?:lectures|exercises)/[\w/]+$", text, re.M))
    pages = [p for p in (ROOT / "lectures").glob("*") if p.suffix in (".md", ".ipynb") and p.name != "index.md"]
    wanted = {f"lectures/{p.stem}" for p in pages} | {f"exercises/{part}/{part}" for part in course.PARTS}
    assert listed == wanted | {"lectures/REPRODUCTIONS"}


def test_the_front_page_moves_to_the_top_with_its_links():
    import stage

    told = stage.moved("[a](01_pca.ipynb) [b](../SECURITY.md#x) [c](https://x.y) [d](#here)")
    assert told == "[a](lectures/01_pca.ipynb) [b](SECURITY.md#x) [c](https://x.y) [d](#here)"
    text = (ROOT / "lectures" / "index.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!\w+:|#)([^)#]+)", stage.moved(text)):
        assert (ROOT / target).exists(), target


def test_the_front_page_opens_jupyterlite_only_where_it_is_built():
    lab = re.search(r'^LITE = "(.+)"', (SITE / "pages.py").read_text(encoding="utf-8"), re.M)[1]  # needs no docutils
    text = (ROOT / "lectures" / "index.md").read_text(encoding="utf-8")
    only = re.search(r"```{only} lite\n(.+?)```", text, re.S)[1]
    (target,) = re.findall(r'href="([^"]+)"', only)
    assert target.startswith(lab) and (ROOT / target.removeprefix(lab)).is_file()
    assert text.count(lab) == 1


def test_styles_and_scripts_of_the_site_ask_nothing_of_another_host():
    files = [p for p in (SITE / "static").rglob("*") if p.suffix in (".css", ".js", ".svg")]
    assert len(files) >= 4
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(//", text), path
        for target in re.findall(r"url\(([^)]+)\)", text):
            assert (path.parent / target).is_file(), target


# -------------------- the command --------------------


def build_command(*arguments, **environment):
    command = [sys.executable, SITE / "build.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment or None)


def test_without_node_one_line_says_so(tmp_path):
    done = build_command(tmp_path / "site", PATH="/nowhere")
    assert done.returncode == 1 and done.stderr.splitlines() == [
        "site: node is not on the PATH: KaTeX renders the formulas in it (https://nodejs.org)"
    ]


def test_a_folder_with_other_things_is_left_alone(tmp_path, monkeypatch):
    import build

    monkeypatch.setattr(shutil, "which", lambda name: name)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(build.Failed, match="not empty and no earlier build"):
        build.build(tmp_path, executed=tmp_path)
    with pytest.raises(build.Failed, match="has no executed 00_start_here"):
        build.build(tmp_path / "site", executed=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_lectures_are_executed_again_only_when_something_changed(tmp_path, monkeypatch):
    import build

    lectures = [tmp_path / "a.ipynb", tmp_path / "b.ipynb"]
    for path in lectures:
        path.write_text("{}")
    ran = []

    def run(module, out, path, **variables):
        ran.append(path.name)
        (out / path.name).write_text("executed")

    monkeypatch.setattr(build, "LECTURES", lectures)
    monkeypatch.setattr(build, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(build, "_run", run)
    build.execute()
    build.execute()
    assert ran == ["a.ipynb", "b.ipynb"]
    lectures[1].write_text(json.dumps({"cells": []}))
    (tmp_path / "kept" / "a.ipynb").unlink()
    build.execute()
    build.execute()
    assert ran[2:] == ["a.ipynb", "b.ipynb"]
    package, *others = [build._sha(path) for path in lectures], build._sha(*lectures), build._sha(*lectures[::-1])
    assert len({*package, *others}) == 4
