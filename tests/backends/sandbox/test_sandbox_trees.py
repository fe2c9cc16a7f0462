"""Owning, measuring and removing folders that programs wrote."""

import os

import pytest

from greylag.adapters.sandbox import trees
from greylag.domain.errors import BackendError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def test_removing_follows_no_link(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "link").symlink_to(kept)
    (folder / "up").symlink_to("..")
    (folder / "a" / "b" / "file").symlink_to(kept / "file")
    os.mkfifo(folder / "pipe")
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    trees.remove(folder)
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    assert (kept / "file").read_text() == "kept"
    trees.remove(folder)


def test_removing_a_link_removes_the_link(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").write_text("x")
    trees.remove(tmp_path / "link")
    trees.remove(tmp_path / "file")
    assert os.listdir(tmp_path) == ["kept"]


def test_a_tree_deeper_than_any_path_is_measured_as_over_and_removed(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    place = os.open(folder, os.O_RDONLY)
    for _ in range(500):
        os.mkdir("dddddddddd", dir_fd=place)
        os.mkdir("beside", dir_fd=place)
        deeper = os.open("dddddddddd", os.O_RDONLY, dir_fd=place)
        os.fchmod(place, 0o500)
        os.close(place)
        place = deeper
    os.close(place)
    assert not trees.measure(folder, max_files=10_000, max_bytes=10**9).complete
    trees.remove(folder)
    assert os.listdir(tmp_path) == []


def test_measuring(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "big").write_bytes(b"x" * 100_000)
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(10**12)
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "a").chmod(0)
    usage = trees.measure(tmp_path, max_files=100, max_bytes=10**6)
    assert (usage.files, usage.complete) == (4, True)
    assert 100_000 <= usage.size_bytes < 200_000
    assert not trees.measure(tmp_path, max_files=3, max_bytes=10**6).complete
    assert not trees.measure(tmp_path, max_files=100, max_bytes=50_000).complete
    (tmp_path / "a").chmod(0o755)


def test_a_link_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to("/usr")
    with pytest.raises(BackendError) as caught:
        trees.own(tmp_path / "link", 61000)
    assert caught.value.code == "GL-SANDBOX-006"
    with pytest.raises(BackendError):
        trees.measure(tmp_path / "missing", max_files=1, max_bytes=1)


@AS_ROOT
def test_owning_follows_no_link(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("x")
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "link").symlink_to(kept)
    (folder / "a" / "file").write_text("x")
    trees.own(folder, 61005)
    assert kept.stat().st_uid == 0
    assert {path.lstat().st_uid for path in (folder, *folder.rglob("*"))} == {61005}
    trees.remove(folder)


@AS_ROOT
def test_a_file_with_a_second_name_outside_is_not_given_away(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    os.link(kept, folder / "same")
    with pytest.raises(BackendError, match="hard links"):
        trees.own(folder, 61005)
    assert kept.stat().st_uid == 0


@AS_ROOT
def test_workspaces_get_identities_of_their_own(sandbox, tmp_path):
    folders = [tmp_path / f"w{number}" for number in range(20)]
    for folder in folders:
        folder.mkdir()
        sandbox.adopt(folder)
    owners = [folder.stat().st_uid for folder in folders]
    assert len(set(owners)) == 20
    for folder in folders:
        sandbox.adopt(folder)
    assert [folder.stat().st_uid for folder in folders] == owners
