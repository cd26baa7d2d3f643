"""Who handed in what: every platform's names, archives that mean harm, and nothing that is dropped without a word."""

import io
import json
import os
import struct
import zipfile

import pytest

from enm5310.grading import listing, matching, platforms, submissions
from enm5310.practice import Problem

NOTEBOOKS = ["problem1", "problem2"]


def lay(folder, *paths, data=b"{}"):
    """Files of a folder."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def pack(path, files):
    """A zip archive of {name: bytes}."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def seen(where, notebooks=NOTEBOOKS, **how):
    """({student: [paths of notebooks, in the order of their names]}, {path: reason})"""
    found = submissions.handed_in(where, "ps1", notebooks, **how)
    return {s.student: [file.path for _, file in s.files] for s in found.submissions}, dict(found.unmatched)


# -------------------- the platforms --------------------

LAYOUTS = {
    "canvas": (
        ["lovelaceada_123_900_problem1.ipynb", "lovelaceada_LATE_123_901_problem2.ipynb",
         "noethere_7_902_problem1-2.ipynb"],
        {"lovelaceada": ["lovelaceada_123_900_problem1.ipynb", "lovelaceada_LATE_123_901_problem2.ipynb"],
         "noethere": ["noethere_7_902_problem1-2.ipynb"]},
    ),
    "moodle": (
        ["Ada Lovelace_123456_assignsubmission_file_/problem1.ipynb",
         "Zoë Müller_77_assignsubmission_file_/a/problem1.ipynb",
         "O'Neil, Ann-Marie_78_assignsubmission_file/x.ipynb", "Jo_1_assignsubmission_file_problem1.ipynb"],
        {"Ada Lovelace": ["Ada Lovelace_123456_assignsubmission_file_/problem1.ipynb"],
         "Zoë Müller": ["Zoë Müller_77_assignsubmission_file_/a/problem1.ipynb"],
         "O'Neil, Ann-Marie": ["O'Neil, Ann-Marie_78_assignsubmission_file/x.ipynb"],
         "Jo": ["Jo_1_assignsubmission_file_problem1.ipynb"]},
    ),
    "nbgrader": (
        ["ada/ps1/problem1.ipynb", "ada/ps1/problem2.ipynb", "ada/ps2/problem1.ipynb", "bob/ps2/problem1.ipynb"],
        {"ada": ["ada/ps1/problem1.ipynb", "ada/ps1/problem2.ipynb"]},
    ),
    "mail": (
        ["ada.ipynb", "s-1.ipynb", "s-2.ipynb", "bob/problem1.ipynb", "bob/deep/problem2.ipynb", "eve (1).ipynb"],
        {"ada": ["ada.ipynb"], "s-1": ["s-1.ipynb"], "s-2": ["s-2.ipynb"], "eve": ["eve (1).ipynb"],
         "bob": ["bob/problem1.ipynb", "bob/deep/problem2.ipynb"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("wrapped", ["", "Export of ps1/"], ids=["bare", "wrapped"])
def test_each_platforms_names(layout, packed, wrapped, tmp_path):
    names, wanted = LAYOUTS[layout]
    if packed:
        where = pack(tmp_path / "all.zip", {wrapped + name: "{}" for name in names})
    else:
        where = lay(tmp_path / "all", *(wrapped + name for name in names))
    assert seen(where, others={"ps2"}) == (wanted, {})


def test_the_newest_version_counts_and_the_older_ones_are_named(tmp_path):
    names = [f"adal_1_{upload}_problem1{v}.ipynb" for upload, v in [(30, ""), (9, "-1"), (4, "-10"), (5, "-2")]]
    found = submissions.handed_in(lay(tmp_path / "all", *names, "eve (2).ipynb", "eve.ipynb"), "ps1", NOTEBOOKS)
    ada, eve = found.submissions
    assert [f.path for _, f in ada.files] == ["adal_1_4_problem1-10.ipynb"]
    older = {note.split(",")[1].strip() for note in ada.notes}
    assert older == set(names) - {"adal_1_4_problem1-10.ipynb"} and len(ada.notes) == 3
    assert [f.path for _, f in eve.files] == ["eve (2).ipynb"] and "eve.ipynb" in eve.notes[0]


def test_a_version_is_no_part_of_a_notebooks_own_name(tmp_path):
    where = lay(tmp_path / "all", "ada_1_2_lab-1.ipynb", "ada_1_3_lab-2.ipynb", "ada_1_4_lab-2-1.ipynb")
    found = submissions.handed_in(where, "ps1", ["lab-1", "lab-2"])
    assert [(name, f.path) for name, f in found.submissions[0].files] == [
        ("lab-1.ipynb", "ada_1_2_lab-1.ipynb"), ("lab-2.ipynb", "ada_1_4_lab-2-1.ipynb")]  # fmt: skip


def test_late_is_told(tmp_path):
    found = submissions.handed_in(lay(tmp_path / "all", "ada_LATE_1_2_problem1.ipynb"), "ps1", NOTEBOOKS)
    assert found.submissions[0].notes == ("the platform marked it late",)


def test_two_people_of_one_name_never_share_a_grade(tmp_path):
    where = lay(tmp_path / "all", "smithjo_1_2_problem1.ipynb", "smithjo_5_6_problem1.ipynb", "ada_3_4_problem1.ipynb")
    found = submissions.handed_in(where, "ps1", NOTEBOOKS)
    assert [s.student for s in found.submissions] == ["ada", "smithjo_1", "smithjo_5"]
    assert "shared by 2 people" in found.submissions[1].notes[0] and found.submissions[1].lms_id == "1"
    anonymous = lay(tmp_path / "b", "anon_1_2_problem1.ipynb", "anon_5_6_problem1.ipynb")
    assert list(seen(anonymous)[0]) == ["anon_1", "anon_5"]


METADATA = """
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0042'
    :email: ada@example.org
  :created_at: 2026-10-01 12:00:00.000000000 Z
  :score:
submission_12:
  :submitters:
  - :name: Emmy Noether
    :email: emmy@example.org
  - :name: Sofia K.
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: &1 2026-10-02 13:00:00.000000000 Z
    zone: !ruby/object:ActiveSupport::TimeZone
      name: America/New_York
    time: *1
"""


def test_gradescope_says_who_and_when(tmp_path):
    files = {f"assignment_9_export/submission_{n}/problem1.ipynb": "{}" for n in (11, 12, 13)}
    where = pack(tmp_path / "all.zip", {**files, "assignment_9_export/submission_metadata.yml": METADATA})
    found = submissions.handed_in(where, "ps1", NOTEBOOKS)
    ada, sofia, emmy = found.submissions
    assert (ada.student, ada.lms_id, ada.timestamp) == ("0042", "0042", "2026-10-01 12:00:00+00:00")
    assert (sofia.student, emmy.student) == ("Sofia K.", "emmy") and emmy.timestamp == "2026-10-02 13:00:00+00:00"
    assert emmy.files == sofia.files and "emmy, Sofia K." in emmy.notes[0]
    assert dict(found.unmatched) == {
        "submission_13/problem1.ipynb": "has no entry with a student in submission_metadata.yml"}  # fmt: skip


def test_a_student_cannot_say_when_it_was_handed_in(tmp_path):
    own = {"submission_11/problem1.ipynb": "{}", "submission_11/timestamp.txt": "2020-01-01"}
    where = pack(tmp_path / "g.zip", {**own, "submission_metadata.yml": METADATA})
    (ada,) = submissions.handed_in(where, "ps1", NOTEBOOKS).submissions
    assert ada.timestamp == "2026-10-01 12:00:00+00:00" and [name for name, _ in ada.extra] == ["timestamp.txt"]
    for path in ("Ada_1_assignsubmission_file_/", "ada/", "eve/ps2/"):
        lay(tmp_path / "m", f"{path}problem1.ipynb", f"{path}timestamp.txt", data=b"2020-01-01")
        assert {s.timestamp for s in submissions.handed_in(tmp_path / "m", "ps1", NOTEBOOKS).submissions} == {None}
    lay(tmp_path / "n", "ada/ps1/problem1.ipynb", "ada/ps1/timestamp.txt", data=b"2020-01-01")  # as nbgrader collects
    assert submissions.handed_in(tmp_path / "n", "ps1", NOTEBOOKS).submissions[0].timestamp == "2020-01-01"


def test_metadata_that_a_student_handed_in_say_nothing(tmp_path):
    for text in ("a: [", METADATA.replace("submission_11", "submission_13")):
        files = {f"submission_{n}/problem1.ipynb": "{}" for n in (11, 13)}
        own = {"submission_11/submission_metadata.yml": text, "submission_13/a/submission_metadata.yml": text}
        owned, unmatched = seen(pack(tmp_path / "all.zip", {**files, **own, "submission_metadata.yml": METADATA}))
        assert owned == {"0042": ["submission_11/problem1.ipynb"]}
        assert sorted(unmatched) == ["submission_13/a/submission_metadata.yml", "submission_13/problem1.ipynb"]


def test_metadata_that_grow_when_they_are_read_stay_small(tmp_path):
    lay(tmp_path, "submission_1/problem1.ipynb")
    rows = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (tmp_path / "submission_metadata.yml").write_text(
        f"a0: &a0 [x]\n{rows}submission_1: {{submitters: [{{name: *a11, sid: *a11}}], created_at: *a11}}\n")
    owned, unmatched = seen(tmp_path)
    assert owned == {} and list(unmatched) == ["submission_1/problem1.ipynb"]


ODD = ["a: [", "\x00", "!!python/object/apply:os.system ['false']", "{" * 5000, "- 1", "submission_1: 3"]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_metadata_run_nothing_and_own_nothing(text, tmp_path):
    lay(tmp_path, "submission_1/problem1.ipynb")
    (tmp_path / "submission_metadata.yml").write_text(text)
    try:
        owned, unmatched = seen(tmp_path)
    except Problem as why:
        assert "submission_metadata.yml cannot be read" in str(why) and "\n" not in str(why)
    else:
        assert owned == {} and list(unmatched) == ["submission_1/problem1.ipynb"]


def test_a_pattern_of_ones_own(tmp_path):
    names = "ps1__ada__v2.ipynb", "ps1__ada__v10.ipynb", "x/ps1__bob__v1.ipynb", "other.ipynb", "n.pdf"
    where = lay(tmp_path / "all", *names)
    owned, unmatched = seen(where, pattern=r"ps1__(?P<student>\w+?)__v(?P<version>\d+)\.ipynb")
    assert owned == {"ada": ["ps1__ada__v10.ipynb"], "bob": ["x/ps1__bob__v1.ipynb"]}
    assert list(unmatched) == ["n.pdf", "other.ipynb"]
    for bad, told in [("(", "no regular expression"), (r"\w+", "must say where the student's id is")]:
        with pytest.raises(Problem, match=told):
            seen(where, pattern=bad)


def test_what_belongs_to_nobody_is_listed(tmp_path):
    lay(tmp_path, "problem1.ipynb", "readme.txt", "ada.ipynb", "a+b=c/problem1.ipynb", ".hidden/problem1.ipynb")
    lay(tmp_path, "__MACOSX/x.ipynb", "ada/.DS_Store")
    owned, unmatched = seen(tmp_path)
    assert owned == {"ada": ["ada.ipynb"]}
    assert sorted(unmatched) == [".hidden/problem1.ipynb", "a+b=c/problem1.ipynb", "problem1.ipynb", "readme.txt"]
    assert "whose is it?" in unmatched["problem1.ipynb"] and "'='" in unmatched["a+b=c/problem1.ipynb"]


IDS = {
    "ada": True, "ada.l": True, "ada@example.org": True, "Zoë": True, "李雷": True, "O'Neil, A (Jr)": True, "_x": True,
    "7": True,
    "": False, " ": False, ".": False, "..": False, "-x": False, "=cmd()": False, "+1": False, "@x": False, ".x": False,
    "a*": False, "a[b]": False, "<b>": False, "a\tb": False, "a\x1b[31m": False, "a\u202eb": False, "a\u200bb": False,
    "a" * 100: True, "a" * 101: False, "\U0001f600": False, "{x}": False, "a:b": False, "a\\b": False, "é" * 101: False,
}  # fmt: skip


@pytest.mark.parametrize("text", IDS, ids=ascii)
def test_a_students_id_is_harmless_everywhere(text):
    student, why = submissions._student(text)
    assert (student is not None) == IDS[text] and (why is None) == IDS[text]
    assert why is None or why.isprintable()


def test_two_spellings_never_share_a_student(tmp_path):
    decomposed, composed = "Zoe\u0308/problem1.ipynb", "Zo\u00eb/problem1.ipynb"
    assert seen(pack(tmp_path / "a.zip", {decomposed: "{}"})) == ({"Zo\u00eb": [decomposed]}, {})
    owned, unmatched = seen(pack(tmp_path / "b.zip", {decomposed: "{}", composed: "{}"}))
    assert owned == {"Zo\u00eb": [composed]} and "another spelling of" in unmatched[decomposed]
    lay(tmp_path / "c", *(f"{name}/problem1.ipynb" for name in ("ada", "ada ", "ada\u00a0")))
    owned, unmatched = seen(tmp_path / "c")
    assert owned == {"ada": ["ada/problem1.ipynb"]} and len(unmatched) == 2


def test_a_students_folder_called_like_the_assignment_hides_nobody(tmp_path):
    lay(tmp_path, *(f"{name}/problem1.ipynb" for name in ("ada/ps1", "ada/week", "bob/week", "eve/ps2")))
    assert seen(tmp_path, others={"ps2"}) == (
        {"ada": ["ada/ps1/problem1.ipynb"], "bob": ["bob/week/problem1.ipynb"]}, {})  # fmt: skip


# -------------------- folders --------------------


def test_links_and_special_files_are_not_followed(tmp_path):
    lay(tmp_path / "all", "ada/problem1.ipynb")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.ipynb").write_text("key")
    (tmp_path / "all" / "bob").mkdir()
    (tmp_path / "all" / "bob" / "problem1.ipynb").symlink_to("../ada/problem1.ipynb")
    (tmp_path / "all" / "eve").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "all" / "ada" / "problem2.ipynb")
    owned, unmatched = seen(tmp_path / "all")
    assert owned == {"ada": ["ada/problem1.ipynb"]}
    assert {p: why.split(",")[0] for p, why in unmatched.items()} == {
        "bob/problem1.ipynb": "is a link", "eve": "is a link", "ada/problem2.ipynb": "is no regular file"}  # fmt: skip


def test_a_file_swapped_for_a_link_or_a_pipe_is_not_read(tmp_path):
    lay(tmp_path, "ada.ipynb")
    (file,) = listing.folder(tmp_path).files
    for swap in (lambda p: p.symlink_to("/etc/passwd"), os.mkfifo):
        (tmp_path / "ada.ipynb").unlink()
        swap(tmp_path / "ada.ipynb")
        with pytest.raises(listing.Unreadable):
            file.read()


def test_names_that_a_terminal_would_obey_are_refused(tmp_path):
    lay(tmp_path, "a\x1b[31m.ipynb")
    os.close(os.open(os.fsencode(str(tmp_path)) + b"/b\xff.ipynb", os.O_CREAT))
    owned, unmatched = seen(tmp_path)
    assert owned == {} and len(unmatched) == 2


# -------------------- archives --------------------


def test_a_zip_that_means_harm_reads_only_what_is_harmless(tmp_path):
    link = zipfile.ZipInfo("bob/problem1.ipynb")
    link.external_attr = 0o120777 << 16
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("ada/problem1.ipynb", "first")
        archive.writestr("ada/problem1.ipynb", "second")
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../up/problem1.ipynb", "x")
        archive.writestr("/etc/problem1.ipynb", "x")
        archive.writestr("C:/x/problem1.ipynb", "x")
        archive.writestr("cat\\problem1.ipynb", "backslash")
        archive.writestr("dan/problem1.ipynb", b"\0" * (20 * 2**20))
        archive.writestr("eve/inner.zip", "PK")
        archive.writestr("Ada/problem1.ipynb", "another Ada")
    found = submissions.handed_in(path, "ps1", NOTEBOOKS)
    read = {s.student: [file.read() for _, file in s.files] for s in found.submissions}
    assert read == {"ada": [b"second"], "Ada": [b"another Ada"], "cat": [b"backslash"], "eve": []}
    assert [name for name, _ in found.submissions[-1].extra] == ["inner.zip"]
    why = dict(found.unmatched)
    assert "twice" in why["ada/problem1.ipynb"] and "link" in why["bob/problem1.ipynb"]
    assert "expands" in why["dan/problem1.ipynb"]
    assert sum("leads out" in reason for reason in why.values()) == 3 and len(why) == 6
    assert all("capital letters" in s.notes[0] for s in found.submissions if s.student.lower() == "ada")


def test_an_encrypted_or_damaged_member_is_told(tmp_path):
    path = pack(tmp_path / "all.zip", {"ada.ipynb": "hello " * 50, "bob.ipynb": "hello " * 50})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # bob's entry in the directory: say it is encrypted
    data[at + 8] |= 1
    data[data.index(b"ada.ipynb") + 12] ^= 0xFF  # a byte of ada's compressed text
    path.write_bytes(data)
    found = submissions.handed_in(path, "ps1", NOTEBOOKS)
    assert dict(found.unmatched) == {"bob.ipynb": "is encrypted"}
    with pytest.raises(listing.Unreadable, match="cannot be unpacked"):
        found.submissions[0].files[0][1].read()


def test_a_member_that_lies_about_its_size_stops_where_it_said(tmp_path):
    path = pack(tmp_path / "all.zip", {"ada.ipynb": b"x" * 100_000})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(data)
    ((_, file),) = submissions.handed_in(path, "ps1", NOTEBOOKS).submissions[0].files
    with pytest.raises(listing.Unreadable):
        file.read()


def test_names_in_utf8_without_the_flag_are_read(tmp_path):
    path = pack(tmp_path / "all.zip", {"Zo\u00eb.ipynb": "{}"})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset + 1] &= ~0x08
    path.write_bytes(data)
    assert list(seen(path)[0]) == ["Zo\u00eb"]


def test_too_much_or_no_archive_at_all_is_one_line(tmp_path, monkeypatch):
    path = pack(tmp_path / "all.zip", {f"s{i}.ipynb": "x" * 100 for i in range(20)})
    for name, limit in (("MOST", 19), ("TOTAL", 1999)):
        with monkeypatch.context() as m:
            m.setattr(listing, name, limit)
            with pytest.raises(Problem, match="20 files"):
                listing.of(path)
    (tmp_path / "text.zip").write_text("hello")
    for bad in (tmp_path / "text.zip", tmp_path / "gone"):
        with pytest.raises(Problem, match="neither a folder nor a zip archive"):
            listing.of(bad)
    path.write_bytes(path.read_bytes()[:-40] + b"PK\x05\x06" + b"\xff" * 18)
    with pytest.raises(Problem, match=r"damaged|neither"):
        listing.of(path)


# -------------------- which notebook is it? --------------------


def book(*ids):
    return json.dumps({"cells": [{"metadata": {"nbgrader": {"grade_id": i}}} for i in ids]}).encode()


MASTERS = {"problem1": ("a", "b", "c"), "problem2": ("x", "y")}
BOTH = {"problem1": "problem1.ipynb", "problem2": "problem2.ipynb"}
SWAPPED = {"problem1": "problem2.ipynb", "problem2": "problem1.ipynb"}


@pytest.mark.parametrize(("files", "wanted"), [
    ({"problem1.ipynb": book("a", "b"), "problem2.ipynb": book("x")}, BOTH),
    ({"problem2.ipynb": book("a"), "problem1.ipynb": book("x")}, SWAPPED),
    ({"mine.ipynb": book("a", "b", "c")}, {"problem1": "mine.ipynb"}),
    ({"problem1-Copy1.ipynb": book("a", "b", "c"), "problem1.ipynb": book("a")}, {"problem1": "problem1.ipynb"}),
    ({"problem1.ipynb": b"{}", "problem2.ipynb": b"not JSON"}, BOTH),
    ({"u.ipynb": book("a"), "v.ipynb": b"{}"}, {"problem1": "u.ipynb", "problem2": "v.ipynb"}),
    ({"v.ipynb": b"{}"}, {}),
    ({"problem1.ipynb": book("of", "another")}, {}),
    ({}, {}),
])  # fmt: skip
def test_a_notebook_is_known_by_the_cells_in_it(files, wanted):
    chosen, notes = matching.recognised(files, MASTERS)
    assert chosen == wanted
    for name in set(files) - set(wanted.values()):
        assert any(note.startswith(f"{name} was not graded") for note in notes)
    for notebook, name in chosen.items():
        assert (name == f"{notebook}.ipynb") != any(f"{name} was taken for {notebook}" in note for note in notes)


def test_a_lone_file_without_ids_is_the_only_notebook():
    assert matching.recognised({"hw.ipynb": b"\xff\xfe"}, {"ps": ("a",)})[0] == {"ps": "hw.ipynb"}
    assert matching.recognised({"hw.ipynb": b"{}", "b.ipynb": b"{}"}, {"ps": ("a",)})[0] == {}


def test_listing_is_in_one_order_and_reads_what_is_there(tmp_path):
    lay(tmp_path, "b/2.ipynb", "a/1.ipynb", "b/.ipynb_checkpoints/2.ipynb", data=b"abc")
    files = listing.of(tmp_path).files
    assert [f.path for f in files] == ["a/1.ipynb", "b/2.ipynb"] and [f.read() for f in files] == [b"abc"] * 2
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    (tmp_path / "none.zip").write_bytes(buffer.getvalue())
    assert listing.of(tmp_path / "none.zip") == ((), ())
    assert platforms.collected(files, "ps1") == set()
