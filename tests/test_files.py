from __future__ import annotations

from pathlib import Path

import pytest

from robolearn.errors import InputError
from robolearn.files import check_writable, creating, replacing


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("old")
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".json"
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("old")

    def fail() -> None:
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_made_and_nothing_left_in_it(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_place_for_no_files_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"nothing can be written to '.*file/below': Not a directory"):
        check_writable(tmp_path / "file" / "below")


def test_a_folder_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "new" / "folder"
    with creating(place) as draft:
        (draft / "part").mkdir()
        (draft / "part" / "file").write_text("all")
        assert not place.exists()
    assert (place / "part" / "file").read_text() == "all"
    assert list(place.parent.iterdir()) == [place]

    def fail() -> None:
        with creating(tmp_path / "other") as draft:
            (draft / "half").touch()
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already, and it is not overwritten"), creating(tmp_path):
        pass
