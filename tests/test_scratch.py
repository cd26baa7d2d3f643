"""Folders that students' processes leave behind: gone afterwards, whatever is in them."""

import os
import subprocess
import sys

import pytest

from enm5310.grading import scratch


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "kept").write_text("outside")
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def deep(folder):
    here = os.getcwd()
    os.chdir(folder)
    try:
        for i in range(3_000):  # deeper than recursion and than PATH_MAX
            os.mkdir("d")
            os.chdir("d")
            if i % 1_000 == 0:
                open("file", "w").close()
    finally:
        os.chdir(here)


def shut(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)


def linked(folder):
    (folder / "out").symlink_to(folder.parent)
    (folder / "a").mkdir()
    (folder / "a" / "nowhere").symlink_to("missing")


def same_names(folder):
    for i in range(3):
        (folder / str(i) / "0" / "1").mkdir(parents=True)
        (folder / str(i) / "0" / "2").touch()


@pytest.mark.parametrize("fill", [deep, shut, linked, same_names, lambda folder: None])
def test_a_folder_goes_with_all_that_is_in_it(folder, fill):
    fill(folder)
    scratch.remove(folder)
    assert not folder.exists() and (folder.parent / "kept").read_text() == "outside"


def test_a_folder_that_is_gone_already_is_fine(folder):
    scratch.remove(folder / "missing")


def test_a_folder_of_ones_own_is_empty_and_goes_once():
    mine = scratch.Folder("test")
    assert os.listdir(mine.name) == [] and str(os.getpid()) in mine.name
    mine.cleanup()
    mine.cleanup()
    assert not os.path.exists(mine.name)


def test_scratch_folders_of_the_dead_are_swept_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f"enm5310-box-{dead.pid}-zygote-x", f"enm5310-box-{os.getpid()}-zygote-x", "enm5310-box-x-y", "other"]
    for name in names:
        (tmp_path / name / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / f"enm5310-box-{dead.pid}-link").symlink_to(tmp_path / "kept")
    scratch.sweep()
    assert {p.name for p in tmp_path.iterdir()} == {*names[1:], "kept", f"enm5310-box-{dead.pid}-link"}
    assert (tmp_path / "kept" / "file").exists()
