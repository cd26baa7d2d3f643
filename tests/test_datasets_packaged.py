"""Packaged data: the arrays against scikit-learn's, published numbers and an independent rendering; their rebuild."""

import copy
import csv
import gzip
import hashlib
import io
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from enm5310 import datasets
from enm5310.datasets import fontsource
from enm5310.datasets.build import __main__ as command
from enm5310.datasets.build import archive, glyphs, molecules, sources, tables

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"  # beside the clone, not in it
OTHER = SHARED / "fonts_fontsource_az09_32.npz"
SITE = Path(sklearn.datasets.__file__).parents[2]  # holds sklearn/datasets/data


# -------------------- packaged --------------------


def spectrum(X):
    """Eigenvalues of X'X/n by singular values, decreasing: no covariance matrix is formed."""
    return np.linalg.svd(X - X.mean(0), compute_uv=False) ** 2 / len(X)


def test_digits_have_the_published_spectrum():
    lam = spectrum(datasets.load_digits().data)  # SYLLABUS T1(c)
    np.testing.assert_allclose(lam[:3], [178.9073, 163.6266, 141.7095], atol=5e-5)
    np.testing.assert_allclose(lam[:2] / lam.sum(), [0.148906, 0.136188], atol=5e-7)
    np.testing.assert_allclose([lam[k:].sum() for k in (2, 10, 30)], [858.9448, 314.5150, 49.1580], atol=5e-5)
    assert (lam > 1e-9).sum() == 61
    assert [int((lam.cumsum() / lam.sum() < share).sum()) + 1 for share in (0.90, 0.95, 0.99)] == [21, 29, 41]


def test_iris_has_the_published_spectrum():
    X = datasets.load_iris().data  # SYLLABUS T1(d)
    lam = spectrum(X)
    np.testing.assert_allclose(lam, [4.200053, 0.241053, 0.077688, 0.023676], atol=5e-7)
    assert lam[2:].sum() == pytest.approx(0.101364, abs=5e-7)
    assert np.sqrt(lam[2:].sum() * len(X) / (X**2).sum()) == pytest.approx(0.039924, abs=5e-7)


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_loaders_return_what_scikit_learn_returns(name):
    ours, theirs = getattr(datasets, f"load_{name}")(), getattr(sklearn.datasets, f"load_{name}")()
    for field in set(ours) - {"DESCR"}:
        np.testing.assert_array_equal(ours[field], theirs[field], err_msg=field)
    assert (ours.data.dtype, ours.target.dtype) == (theirs.data.dtype, theirs.target.dtype)
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    np.testing.assert_array_equal(X, theirs.data)
    np.testing.assert_array_equal(y, theirs.target)
    assert set(theirs) - set(ours) <= {"frame", "filename", "data_module"}


LOADERS = [getattr(datasets, f"load_{name}") for name in datasets.packaged.LICENCES]


@pytest.mark.parametrize("load", LOADERS)
def test_each_call_returns_fresh_arrays(load):
    first, want = load(), copy.deepcopy(load())
    arrays = [field for field in first if isinstance(first[field], np.ndarray)]
    assert {"data", "target"} <= set(arrays)
    for field in arrays:
        first[field][...] = first[field].flat[0]
    for field in arrays:
        np.testing.assert_array_equal(load()[field], want[field])


def test_digits_images_are_the_rows_of_data():
    digits = datasets.load_digits()
    assert digits.images.shape == (1797, 8, 8)
    digits.images[5, 2, 3] = -1
    assert digits.data[5, 2 * 8 + 3] == -1
    assert digits.feature_names[2 * 8 + 3] == "pixel_2_3"


def test_bunch_is_a_dictionary_with_attributes():
    bunch = datasets.load_iris()
    bunch.extra = 3
    assert bunch["extra"] == bunch.extra == pickle.loads(pickle.dumps(bunch)).extra == 3
    assert "DESCR" in dir(bunch)
    with pytest.raises(AttributeError, match="no field 'traget'; the fields are data, target"):
        bunch.traget  # noqa: B018


def test_loading_imports_nothing_heavy():
    code = (
        "import sys, enm5310.datasets as d, enm5310.datasets.build; d.load_digits(); d.available();"
        "d.load_glyphs(); d.load_molecules(); d.load_demand();"
        "sys.exit(bool({'sklearn', 'scipy', 'matplotlib', 'tqdm', 'autograd', 'PIL', 'rdkit'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -------------------- glyphs, molecules, demand --------------------


@pytest.mark.parametrize("load", LOADERS)
def test_return_X_y_is_data_and_target(load):
    bunch, (X, y) = load(), load(return_X_y=True)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)
    assert len(X) == len(y)
    assert "\n" in bunch.DESCR
    with pytest.raises(TypeError):
        load(True)  # keywords only


@pytest.fixture(scope="module")
def faces():
    return datasets.load_glyphs()


def test_glyphs_are_35_styles_of_36_families(faces):
    assert (faces.images.shape, faces.images.dtype) == ((140, 62, 32, 32), np.float32)
    assert np.shares_memory(faces.images, faces.data)
    assert faces.chars == "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    assert np.bincount(faces.target).tolist() == [36, 34, 36, 34]
    np.testing.assert_array_equal(faces.target, 2 * (faces.weights == 700) + faces.italic)
    assert set(faces.weights) == {400, 700}
    upright_only = set(faces.families) - set(faces.families[faces.italic])
    assert upright_only == {"fira-code", "roboto-slab"}
    levels = faces.images * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)  # bytes / 255
    assert (faces.images.min(), faces.images.max()) == (0, 1)


def test_glyphs_stand_on_one_line_and_are_centred(faces):
    """Read off the pixels: where the ink of letters begins and ends, by a threshold of one half."""
    dark = faces.images > 0.5
    rows, columns = dark.any(3), dark.any(2)
    top, left = rows.argmax(2), columns.argmax(2)
    bottom, right = 32 - rows[..., ::-1].argmax(2), 32 - columns[..., ::-1].argmax(2)
    H = faces.chars.index("H")
    assert np.abs(bottom[:, H] - 23).max() <= 1
    assert np.abs(bottom[:, H] - top[:, H] - 18).max() <= 1
    flat = [faces.chars.index(c) for c in "EFIXZilx"]
    assert np.abs(bottom[:, flat] - 23).max() <= 1
    assert np.abs(left + right - 32).max() <= 3  # the faintest pixels of serifs are below the threshold
    ink = faces.images.sum((2, 3))
    assert ink.min() > 5  # no glyph is missing


def test_bold_is_heavier_in_every_family(faces):
    ink = faces.images.mean((1, 2, 3))
    for family in set(faces.families):
        for italic in (False, True):
            here = (faces.families == family) & (faces.italic == italic)
            assert np.all(ink[here & (faces.weights == 700)] > 1.1 * ink[here & (faces.weights == 400)]), family


def test_slant_is_seen_in_the_italics(faces):
    """The l, an upright stroke: its upper half is to the right of its lower half in italics, and only there."""
    l = faces.images[:, faces.chars.index("l")]
    column = np.arange(32)
    upper, lower = (
        (part.sum(1) @ column) / part.sum((1, 2)) for part in (l[:, 6:13], l[:, 13:20])
    )
    slope = (upper - lower) / 7
    sans = ~faces.serif & ~faces.mono  # a serif is on one side, and a mono's l has a foot
    assert np.abs(slope[sans & ~faces.italic]).max() < 0.03
    assert slope[sans & faces.italic].min() > 0.08


def test_font_axes_move_one_thing_at_a_time():
    f = datasets.load_font_axes()
    assert f.images.shape == (17, 62, 32, 32)
    assert np.shares_memory(f.images, f.data)
    weight, width, slant = f.target.T
    assert (np.abs(f.target - [400, 100, 0]) > 0).sum(1).max() == 1
    thick = f.images[(width == 100) & (slant == 0)].mean((1, 2, 3))
    assert np.all(np.diff(thick) > 0) and thick[-1] > 3 * thick[0]
    H = f.chars.index("H")
    plain = (weight == 400) & (slant == 0)
    spans = (f.images[plain, H] > 0.5).any(1).sum(1)[np.argsort(width[plain])]
    assert np.all(np.diff(spans) >= 0) and spans[-1] >= spans[0] + 4  # an H at each width, pixels across
    lean = [(f.images[(slant == s) & (weight == 400) & (width == 100), H][0] > 0.5).any(0).sum() for s in (0, -5, -10)]
    assert lean[0] < lean[1] < lean[2]


@pytest.mark.skipif(not OTHER.exists(), reason="needs the rendering beside the clone")
def test_glyphs_agree_with_an_independent_rendering(faces):
    """Another renderer's pictures of the same files: the same labels, and the same shapes once size and place agree."""
    with np.load(OTHER) as other:
        other = dict(other)
    keys = zip(other["family"], other["weight"], other["italic"], strict=True)
    where = {key: n for n, key in enumerate(keys)}
    rows = [where[key] for key in zip(faces.families, faces.weights, faces.italic, strict=True)]
    for ours in ("serif", "mono", "condensed"):
        np.testing.assert_array_equal(faces[ours], other[ours][rows])
    pairs = [(a, b / 255) for a, b in zip(faces.images[::5, ::7], other["X"][rows][::5, ::7], strict=True)]
    off = np.array([[shape_difference(x, y) for x, y in zip(*pair, strict=True)] for pair in pairs])
    wrong = np.array([[shape_difference(x, y) for x, y in zip(a, b[::-1], strict=True)] for a, b in pairs])
    assert off.max() < 0.2
    assert np.median(wrong) > 4 * np.median(off)  # the measure tells letters apart


def shape_difference(a, b):
    """Mean absolute difference of two glyphs, each cut to its ink and averaged over 10 x 10 cells."""
    return np.abs(cells(a) - cells(b)).mean()


def cells(image, n=10):
    rows, columns = (np.flatnonzero(image.max(axis) > 0.25) for axis in (1, 0))
    box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fine = np.kron(box, np.ones((n, n)))  # every pixel as n x n, so that the box divides into n x n cells
    return fine.reshape(n, box.shape[0], n, box.shape[1]).mean((1, 3))


def test_molecules_are_as_the_paper_of_moses_says():
    m = datasets.load_molecules()
    assert m.target.shape == (5000, 3)
    assert len(set(m.data)) == 5000
    lengths = np.char.str_len(m.data)
    assert (lengths.min(), lengths.max()) == (20, 51)
    assert not set("@+/\\.") & set("".join(m.data))  # no stereochemistry, no charges, one piece
    logp, qed, sas = m.target.T
    assert 0 < qed.min() < qed.max() <= 1
    assert 1 <= sas.min() < sas.max() <= 10
    np.testing.assert_allclose(m.target * 1e4, np.rint(m.target * 1e4), atol=1e-6)
    fatty = [sum(map(smiles.count, "CcSsl")) - 2 * sum(map(smiles.count, "NnOo")) for smiles in m.data]
    assert np.corrcoef(fatty, logp)[0, 1] > 0.6  # carbon and chlorine like oil, nitrogen and oxygen water


@pytest.mark.skipif(not (SHARED / "moses_20k_props.csv.gz").exists(), reason="needs the table beside the clone")
def test_molecules_agree_with_another_computation():
    m = datasets.load_molecules()
    with gzip.open(SHARED / "moses_20k_props.csv.gz", "rt") as file:
        table = {row["smiles"]: [float(row[k]) for k in ("logP", "qed", "SAS")] for row in csv.DictReader(file)}
    both = [i for i, s in enumerate(m.data) if s in table]
    assert len(both) > 40  # 5000 * 20000 / 1584663 = 63 expected
    np.testing.assert_allclose(m.target[both], [table[s] for s in m.data[both]], atol=1.01e-4)
    # the sample is one of the same population: means within five standard errors of both
    population = np.array(list(table.values()))
    error = population.std(0) * np.sqrt(1 / len(m.target) + 1 / len(population))
    assert np.all(np.abs(m.target.mean(0) - population.mean(0)) < 5 * error)


def test_demand_is_the_published_table():
    d = datasets.load_demand()
    assert (d.data.shape, d.target.shape, d.target.dtype) == ((765, 11), (765, 7), np.int64)
    assert (str(d.dates[0]), str(d.dates[-1])) == ("2013-10-04", "2015-11-07")
    assert set(np.diff(d.dates).astype(int)) == {1}
    steak = d.target[:, d.target_names.index("steak")]
    assert steak.mean() == pytest.approx(22.333333, abs=1e-6)
    assert steak.std(ddof=1) == pytest.approx(10.082643, abs=1e-6)
    assert np.quantile(steak, 0.75) == 27
    day = {name: column for name, column in zip(d.feature_names, d.data.T, strict=True)}
    closed = day["is_closed"] == 1
    assert closed.sum() == 5
    assert d.target[closed].sum() == 0 and d.target[~closed].sum(1).min() > 0
    np.testing.assert_array_equal(day["month"], [date.month for date in d.dates.tolist()])
    np.testing.assert_array_equal(day["year"], [date.year for date in d.dates.tolist()])
    wrong = d.dates[day["weekday"] != [date.weekday() for date in d.dates.tolist()]]
    assert wrong.astype(str).tolist() == ["2014-12-31"]  # the source's mistake, which DESCR mentions
    assert "2014-12-31" in d.DESCR


def test_list_of_faces_is_that_of_the_manifest():
    faces = fontsource.faces()
    assert len(faces) == len(set(faces)) == len({face.sha256 for face in faces}) == 466
    assert len({face.family for face in faces}) == 36
    assert sum(face.size for face in faces) == 9928716
    assert sum(face.licence == "Apache-2.0" for face in faces) == 9
    assert {face.family for face in faces if face.licence == "Apache-2.0"} == {"roboto-slab"}
    assert {face.licence for face in faces} == {"OFL-1.1", "Apache-2.0"}
    assert faces[0].file.name == "@fontsource/arimo@5.3.0/files/arimo-latin-400-normal.woff2"
    loaded = datasets.load_glyphs()
    assert [face.family for face in fontsource.embedded()] == loaded.families.tolist()


# -------------------- build --------------------


def wheel(folder, tamper=b""):
    """A wheel with the name of the pinned one and, of its contents, the two csv files."""
    path, info = folder / tables.WHEEL, "scikit_learn-1.9.1.dist-info/"
    with zipfile.ZipFile(path, "w") as archive:
        for name in tables.SHA256:
            archive.writestr(tables.FOLDER + name, (SITE / tables.FOLDER / name).read_bytes() + tamper)
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: scikit-learn\nVersion: 1.9.1\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-linux_x86_64\n")
        archive.writestr(info + "RECORD", "")
    return path


def refusal(*argv):
    """The one line with which the build script gives up."""
    with pytest.raises(SystemExit) as stop:
        command.main([*map(str, argv)])
    assert isinstance(stop.value.code, str)  # Python prints it to stderr and exits with status 1
    assert "\n" not in stop.value.code
    return stop.value.code


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """The packaged files, in a folder of their own that the build script takes for its home."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("digits.npz", "iris.npz"):
        (home / name).write_bytes((archive.HERE / name).read_bytes())
    monkeypatch.setattr(archive, "HERE", home)
    return home


def test_packaged_files_are_a_rebuild_byte_for_byte(copies, capsys):
    command.main(["tables", "--check", "--from", str(SITE)])
    assert capsys.readouterr().out == "digits.npz, iris.npz: the same as a rebuild\n"
    before = {path.name: path.read_bytes() for path in copies.iterdir()}
    for path in copies.iterdir():
        path.unlink()
    command.main(["tables", "--from", str(SITE)])
    assert before == {path.name: path.read_bytes() for path in copies.iterdir()}


def test_npz_bytes_depend_on_the_arrays_only(monkeypatch):
    arrays = {"x": np.arange(6).reshape(2, 3), "y": np.array(["a", "b"])}
    first = archive.npz(arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(sys, "platform", "win32")
    assert archive.npz({name: np.asfortranarray(array) for name, array in arrays.items()}) == first
    with zipfile.ZipFile(io.BytesIO(first)) as file:
        assert {(e.date_time, e.compress_type, e.create_system) for e in file.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3)
        }
    with np.load(io.BytesIO(first)) as back:
        assert all(np.array_equal(back[name], array) for name, array in arrays.items())


def test_check_says_what_differs(copies):
    argv = ("tables", "--check", "--from", SITE)
    arrays = dict(np.load(io.BytesIO((copies / "digits.npz").read_bytes())))
    np.savez_compressed(copies / "digits.npz", **arrays)
    assert refusal(*argv).startswith("digits.npz differs from its source in its bytes, not in its numbers: run ")
    arrays["images"][7, 3, 3] ^= 1
    (copies / "digits.npz").write_bytes(archive.npz(arrays))
    assert refusal(*argv).startswith("digits.npz differs from its source in images: run ")
    (copies / "digits.npz").write_bytes(b"PK\3\4 not a zip")
    (copies / "iris.npz").unlink()
    assert "digits.npz differs from its source so far that" in refusal(*argv)
    assert "iris.npz is missing" in refusal(*argv)


def test_build_reads_wheels_and_source_archives(tmp_path, copies):
    command.main(["tables", "--check", "--from", str(wheel(tmp_path))])
    with sources.tarfile.open(tmp_path / "scikit_learn-1.9.1.tar.gz", "w:gz") as archive:
        for name in tables.SHA256:
            archive.add(SITE / tables.FOLDER / name, f"scikit_learn-1.9.1/{tables.FOLDER}{name}")
    command.main(["tables", "--check", "--from", str(tmp_path / "scikit_learn-1.9.1.tar.gz")])


def test_build_refuses_other_sources(tmp_path, copies):
    assert "digits.csv.gz: its SHA-256 is not the pinned one" in refusal("tables", "--from", wheel(tmp_path, b" "))
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other.py", "")
    for path in (tmp_path / "absent.whl", tmp_path / "other.whl", tmp_path, Path(__file__)):
        assert f"{path}: cannot read {tables.FOLDER}" in refusal("tables", "--from", path)


def test_build_downloads_with_pip_and_ignores_its_noise(tmp_path, copies, monkeypatch, capsys):
    """The real pip, told to look for packages in a folder only; PYTHONVERBOSE fills its stderr with noise."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert "pip cannot download scikit-learn==1.9.1" in refusal("tables", "--check")
    sha256 = hashlib.sha256(wheel(tmp_path).read_bytes()).hexdigest()
    assert "pip did not download the pinned" in refusal("tables", "--check")
    monkeypatch.setattr(tables, "WHEEL_SHA256", sha256)
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    command.main(["tables", "--check"])
    assert capsys.readouterr().out == "digits.npz, iris.npz: the same as a rebuild\n"


def test_build_exits_with_status_1_and_one_line(tmp_path):
    argv = [sys.executable, "-m", "enm5310.datasets.build", "tables", "--check", "--from", str(tmp_path)]
    run = subprocess.run(argv, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)




def test_build_command_refuses_what_it_does_not_know(tmp_path):
    assert "no source is called 'fonts'; there are tables, glyphs, molecules, demand" in refusal("fonts")
    assert "--from gives one source" in refusal("--from", tmp_path)
    assert "arimo-latin-400-normal.woff2 is not there, or its SHA-256" in refusal("glyphs", "--from", tmp_path)
    assert "cannot read moses/dataset/data/train.csv.gz" in refusal("molecules", "--from", tmp_path)
    assert "cannot read ddop/datasets/data/yaz_data.csv" in refusal("demand", "--from", tmp_path)


def test_build_without_npm_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm is not there; install Node.js, or use --from" in refusal("glyphs")
    with pytest.raises(sources.Unreachable):
        sources.npm_install(["@fontsource/arimo@5.3.0"], tmp_path)


def test_sample_of_molecules_is_the_smallest_hashes(monkeypatch):
    monkeypatch.setattr(molecules, "COUNT", 3)
    words = ["CCO", "CCN", "c1ccccc1", "CC", "C", "N"]
    ranks = {hashlib.sha256(word.encode()).hexdigest(): word for word in words}
    assert molecules.choose(words) == molecules.choose(words[::-1]) == [ranks[key] for key in sorted(ranks)[:3]]


def test_compressed_archives_are_compared_by_their_numbers(copies):
    arrays = {"images": np.arange(48, dtype=np.uint8).reshape(3, 16), "chars": np.array("abc")}
    archive.write("x.npz", arrays, compress=True)
    assert archive.difference("x.npz", arrays, compress=True) is None
    np.savez(copies / "x.npz", **arrays)  # other bytes, same numbers
    assert archive.difference("x.npz", arrays, compress=True) is None
    near = arrays | {"images": arrays["images"] + np.uint8(3)}
    assert archive.difference("x.npz", near, compress=True) == "x.npz differs from its source in images"
    assert archive.difference("x.npz", near, compress=True, tolerance={"images": 3}) is None
    assert archive.difference("x.npz", near, compress=True, tolerance={"images": 2}) is not None
    assert archive.difference("x.npz", near | {"chars": np.array("abd")}, True, {"images": 3}) is not None
    assert archive.difference("x.npz", arrays | {"images": arrays["images"][:2]}, True, {"images": 255}) is not None


def test_glyphs_are_built_from_the_files_named(tmp_path, monkeypatch):
    """Two faces of matplotlib's stand in for the packages; a file with other bytes is refused."""
    import matplotlib

    ttf = Path(matplotlib.get_data_path(), "fonts", "ttf")
    chosen = []
    for weight, name in ((400, "DejaVuSans.ttf"), (700, "DejaVuSans-Bold.ttf")):
        body = (ttf / name).read_bytes()
        face = fontsource.Face("dejavu", "1", "free", weight, False, len(body), hashlib.sha256(body).hexdigest())
        file = tmp_path / "@fontsource" / "dejavu" / face.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        chosen.append(face)
    monkeypatch.setattr(fontsource, "embedded", lambda: chosen)
    variable = tmp_path.joinpath(*glyphs.VARIABLE)
    variable.parent.mkdir(parents=True)
    variable.write_bytes(body)
    assert "roboto-flex-latin-full-normal.woff2 is not there, or its SHA-256" in refusal("glyphs", "--from", tmp_path)
    monkeypatch.setattr(glyphs, "VARIABLE_SHA256", hashlib.sha256(body).hexdigest())
    monkeypatch.setattr(glyphs, "PLACES", [()])  # it does not vary
    monkeypatch.setattr(glyphs, "AXES", [])
    built = glyphs.build(tmp_path)
    assert built["glyphs.npz"]["images"].shape == (2, 62, 32, 32)
    assert built["glyphs.npz"]["images"][1].mean() > 1.2 * built["glyphs.npz"]["images"][0].mean()
    np.testing.assert_array_equal(built["font_axes.npz"]["images"][0], built["glyphs.npz"]["images"][1])
    file.write_bytes(body + b"x")
    assert "its SHA-256 is not the pinned one" in refusal("glyphs", "--check", "--from", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(command.SOURCES))
def test_packaged_data_is_what_the_registries_give(name, capsys):
    try:
        command.main([name, "--check"])
    except sources.Unreachable as why:
        pytest.skip(f"no registry: {why}")
    assert "the same as a rebuild" in capsys.readouterr().out
