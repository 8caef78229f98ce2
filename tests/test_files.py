from __future__ import annotations

from pathlib import Path

import pytest

from robolearn.files import replacing


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
