"""glyphs: every kind of font file, good and odd, drawn by the rules that the module states; boxes of known area."""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib.tables.TupleVariation import TupleVariation

from enm5310 import fonts, glyphs

TTF = Path(matplotlib.get_data_path(), "fonts", "ttf")
SANS = TTF / "DejaVuSans.ttf"


def box(x0, y0, x1, y1):
    pen = TTGlyphPen(None)
    pen.moveTo((x0, y0))
    for point in ((x0, y1), (x1, y1), (x1, y0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


def boxes(path, letters, axis=None, name="Weight"):
    """A font whose letters are boxes (x0, y0, x1, y1) on an em of 1000; on the axis Weight, 100 to 900, x1 moves by
    `axis` units."""
    names = [".notdef", *letters]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(name): name for name in letters})
    font.setupGlyf({".notdef": box(0, 0, 500, 900), **{name: box(*corners) for name, corners in letters.items()}})
    font.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-300)
    font.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    if axis:
        font.setupFvar([("wght", 100, 100, 900, name)], [])
        moves = [(0, 0), (0, 0), (axis, 0), (axis, 0), *[(0, 0)] * 4]  # four corners, then four points of the metrics
        font.setupGvar({name: [TupleVariation({"wght": (0, 1, 1)}, moves)] for name in letters})
    font.save(path)
    return path


# -------------------- how a letter is drawn --------------------


@pytest.mark.parametrize("size", [16, 32, 33, 64])
def test_a_box_has_its_size_and_its_place(tmp_path, size):
    """H is 700 high and 350 wide, so 18/32 and 9/32 of the picture; x is below and above the line by design."""
    path = boxes(tmp_path / "boxes.ttf", {"H": (100, 0, 450, 700), "x": (0, 0, 700, 350), "q": (0, -280, 350, 350)})
    H, x, q = glyphs.render(path, "Hxq", size).images[0] / 255
    for picture, width, height, bottom in ((H, 350, 700, 0), (x, 700, 350, 0), (q, 350, 630, 280)):
        scale = 18 / 32 / 700 * size
        assert picture.sum() == pytest.approx(width * height * scale**2, rel=0.12 if size < 30 else 0.06)
        rows, columns = picture.sum(1), picture.sum(0)
        y, x_ = (np.arange(size) + 0.5) @ rows / rows.sum(), (np.arange(size) + 0.5) @ columns / columns.sum()
        assert x_ == pytest.approx(size / 2, abs=0.3)  # centred
        assert y == pytest.approx(23 / 32 * size + bottom * scale - height * scale / 2, abs=0.3)


def test_long_strokes_are_drawn_smaller_and_wide_letters_squeezed(tmp_path):
    H, x = (0, 0, 350, 700), (0, 0, 300, 400)
    deep = glyphs.render(boxes(tmp_path / "deep.ttf", {"H": H, "x": x, "j": (0, -700, 200, 400)}), "Hxj").images[0]
    rows = [np.flatnonzero((picture > 127).any(1)) for picture in deep]
    assert rows[2][-1] == 31  # j ends at the lower edge, 9/32 below the line, so 700 units are 9 pixels
    assert len(rows[0]) == 9
    wide = glyphs.render(boxes(tmp_path / "wide.ttf", {"H": H, "x": x, "W": (0, 0, 1500, 700)}), "HxW").images[0] / 255
    assert wide[2].sum() == pytest.approx(32 * 18, rel=0.02)  # all of the width, and its height
    assert wide[0].sum() == pytest.approx(9 * 18, rel=0.06)  # the others as before


def test_no_ink_is_lost_and_none_is_cut(tmp_path):
    small, large = (glyphs.render(TTF / "STIXGeneralItalic.ttf", size=size).images[0] / 255 for size in (32, 128))
    np.testing.assert_allclose(small.mean((1, 2)), large.mean((1, 2)), rtol=0.06, atol=2e-3)
    assert glyphs.render(SANS, "W", 32).images.dtype == np.uint8


def test_scale_is_that_of_H_even_when_it_is_not_asked_for():
    full = glyphs.render(SANS).images[0]
    np.testing.assert_array_equal(glyphs.render(SANS, "ace").images[0], full[[glyphs.CHARS.index(c) for c in "ace"]])


# -------------------- variable fonts --------------------


def test_axes_of_a_variable_font(tmp_path):
    """The boxes grow by 1 unit per unit of weight: their ink is linear in it, exactly known at every place."""
    letters = {"H": (0, 0, 200, 700), "x": (0, 0, 200, 400)}
    path = boxes(tmp_path / "variable.ttf", letters, axis=400)
    assert fonts.variation_axes(path) == {"Weight": (100, 100, 900)}
    ink = [glyphs.render(path, "H", 64, {"Weight": w}).images.sum() / 255 for w in (100, 300, 500, 900)]
    scale = 18 / 32 / 700 * 64
    np.testing.assert_allclose(ink, [w * 700 * scale**2 for w in (200, 300, 400, 600)], rtol=0.06)
    lightest = glyphs.render(path, "H", axes={"Weight": 100})
    np.testing.assert_array_equal(glyphs.render(path, "H").images, lightest.images)
    with pytest.raises(ValueError, match=r"Weight is 950; on .*variable.ttf this axis goes from 100 to 900"):
        glyphs.render(path, "H", axes={"Weight": 950})
    with pytest.raises(ValueError, match=r"has no axis 'Width'; its axes: Weight"):
        glyphs.render(path, "H", axes={"Width": 1})
    with pytest.raises(ValueError, match=r"DejaVuSans.ttf has no axis 'Weight'; its axes: none, it does not vary"):
        glyphs.render(SANS, "H", axes={"Weight": 1})
    assert glyphs.variation_axes(SANS) == {}
    nameless = boxes(tmp_path / "nameless.ttf", letters, axis=400, name="")
    assert glyphs.variation_axes(nameless) == {"axis 0": (100, 100, 900)}
    heavy = glyphs.render(nameless, "H", 64, {"axis 0": 900}).images
    np.testing.assert_array_equal(heavy, glyphs.render(path, "H", 64, {"Weight": 900}).images)


# -------------------- which files --------------------


def test_of_the_files_of_matplotlib_the_22_text_faces_are_drawn():
    drawn = fonts.render(TTF)
    assert drawn.images.shape == (22, 62, 32, 32)
    assert {path.stem[:4] for path in drawn.paths} == {"Deja", "STIX", "cmb1", "cmmi", "cmr1", "cmss", "cmti", "cmtt"}
    assert len(drawn.paths) == len(drawn.families) == len(drawn.styles) == 22
    assert (drawn.families[0], drawn.styles[0]) == ("DejaVu Sans", "Bold")
    reasons = {path.name: why for path, why in drawn.skipped}
    assert len(reasons) == len(list(TTF.glob("*.ttf"))) - 22
    assert reasons["LastResortHE-Regular.ttf"] == "draws 1 pictures for 62 characters"
    assert reasons["STIXNonUni.ttf"] == "has no ABCDE ..."
    for name, letter in (("cmex10.ttf", "H"), ("cmsy10.ttf", "x")):
        assert reasons[name] == f"draws symbols in place of letters: its {letter} does not stand on the line"


def test_broken_files_are_skipped_with_the_reason(tmp_path):
    (tmp_path / "page.ttf").write_text("<html>not a font</html>")
    (tmp_path / "empty.otf").write_bytes(b"")
    (tmp_path / "cut.ttf").write_bytes(SANS.read_bytes()[:60000])
    (tmp_path / "good.ttf").write_bytes(SANS.read_bytes())
    (tmp_path / "readme.txt").write_text("not even called a font")
    drawn = glyphs.render([tmp_path, tmp_path / "absent.ttf"])
    assert [path.name for path in drawn.paths] == ["good.ttf"]
    assert {path.name for path, _ in drawn.skipped} == {"page.ttf", "empty.otf", "cut.ttf", "absent.ttf"}
    assert all(why for _, why in drawn.skipped)


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_cut_anywhere_is_drawn_or_skipped_never_a_crash(tmp_path, kept):
    body = SANS.read_bytes()
    (tmp_path / "cut.ttf").write_bytes(body[: int(kept * len(body))])
    drawn = glyphs.render([SANS, tmp_path / "cut.ttf"], "Hxo")
    assert len(drawn.paths) + len(drawn.skipped) == 2


def test_a_missing_character_is_named(tmp_path):
    path = boxes(tmp_path / "boxes.ttf", {"H": (0, 0, 350, 700), "x": (0, 0, 300, 400)})
    with pytest.raises(ValueError, match=r"none of 1 font files can be used \(.*boxes.ttf: has no A\)"):
        glyphs.render(path, "HAx")
    with pytest.raises(ValueError, match="has no 012"):
        glyphs.render(path, "0123456789")


@pytest.mark.parametrize("chars", ["", "AA", "A B", []])
def test_characters_that_cannot_be_drawn_are_refused(chars):
    with pytest.raises(ValueError, match="give at least one character, each once, and none that leaves no ink"):
        glyphs.render(SANS, chars)


@pytest.mark.parametrize("size", [0, 7, -32, 20.5])
def test_size_must_be_a_number_of_pixels(size):
    with pytest.raises(ValueError, match="a whole number of pixels, 8 or more"):
        glyphs.render(SANS, size=size)


def test_nothing_to_draw_is_an_error_that_says_so(tmp_path):
    for nothing in ([], tmp_path):
        with pytest.raises(ValueError, match=r"none of 0 font files can be used \(the list or the folder is empty\)"):
            glyphs.render(nothing)
    with pytest.raises(ValueError, match="'No Such Family' is no file, no folder, and no family among the fonts"):
        glyphs.render("No Such Family")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_families_of_the_system_are_found_by_name(tmp_path, monkeypatch, platform):
    folder = {"linux": "share/fonts", "darwin": "Library/Fonts", "win32": "AppData/Local/Microsoft/Windows/Fonts"}
    where = tmp_path / folder[platform] / "sub"
    where.mkdir(parents=True)
    for name in ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "cmr10.ttf"):
        (where / name).write_bytes((TTF / name).read_bytes())
    (where / "broken.ttf").write_bytes(b"x")
    for variable, value in (("HOME", tmp_path), ("USERPROFILE", tmp_path), ("XDG_DATA_HOME", tmp_path / "share")):
        monkeypatch.setenv(variable, str(value))
    monkeypatch.setattr(sys, "platform", platform)
    drawn = glyphs.render(["dejavu serif", SANS], "Hx")
    assert {"DejaVu Serif", "DejaVu Sans"} == set(drawn.families)
    assert {path.name for path in drawn.paths} >= {"DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSans.ttf"}
    assert "cmr10.ttf" not in {path.name for path in drawn.paths}
