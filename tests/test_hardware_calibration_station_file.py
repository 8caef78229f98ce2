"""Measured values go into a station's file, and everything else in it stays as it is."""

from __future__ import annotations

import pytest

from robolearn.errors import InputError
from robolearn.hardware.calibration.station_file import edited, write_camera
from robolearn.hardware.station import STATIONS, load_station

POSE = {"frame": "base", "position": [0.9, -0.01, 0.6], "quaternion": [0.5, -0.5, 0.5, -0.5]}
NOTE = "2026-11-20: 0.21 pixels"

TEXT = """\
# Our lab.
name: lab   # the one upstairs
cameras:
  - name: front  # beside the table
    frame: base
    position: [0.1, 0.2, 0.3]  # by tape measure
    quaternion:
      - 1.0
      - 0.0
      - 0.0
      - 0.0
    # how often
    rate: 30.0
  - {name: wrist, frame: hand, position: [0, 0, 0]}

# The room.
workspace: {}
"""


def test_values_are_replaced_and_comments_stay():
    assert (
        edited(TEXT, "lab.yaml", "front", POSE, "pose", NOTE)
        == """\
# Our lab.
name: lab   # the one upstairs
cameras:
  - name: front  # beside the table
    # pose measured 2026-11-20: 0.21 pixels
    frame: base
    position: [0.9, -0.01, 0.6]  # by tape measure
    quaternion:
      [0.5, -0.5, 0.5, -0.5]
    # how often
    rate: 30.0
  - {name: wrist, frame: hand, position: [0, 0, 0]}

# The room.
workspace: {}
"""
    )


def test_what_is_missing_is_added():
    block = edited(TEXT, "lab.yaml", "front", {"fx": 610.25, "distortion": "none"}, "intrinsics", NOTE)
    assert "    rate: 30.0\n    # intrinsics measured 2026-11-20: 0.21 pixels\n    fx: 610.25\n" in block
    assert block.count("\n") == TEXT.count("\n") + 3
    flow = edited(TEXT, "lab.yaml", "wrist", POSE, "pose", NOTE)
    assert "position: [0.9, -0.01, 0.6], quaternion: [0.5, -0.5, 0.5, -0.5]}" in flow


def test_a_newer_note_takes_the_place_of_an_older_one():
    once = edited(TEXT, "lab.yaml", "front", POSE, "pose", "2026-01-01: 3 pixels")
    twice = edited(once, "lab.yaml", "front", POSE, "pose", NOTE)
    assert twice == edited(TEXT, "lab.yaml", "front", POSE, "pose", NOTE)
    both = edited(twice, "lab.yaml", "front", {"fx": 600.0}, "intrinsics", NOTE)
    assert both.count("measured") == 2


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_endings_and_a_last_line_without_one_are_kept(ending, last):
    text = "cameras:\n- name: front\n  fx: 1.0\n"
    text = (text if last else text[:-1]).replace("\n", ending)
    result = edited(text, "lab.yaml", "front", {"fx": 2.0, "fy": 3.0}, "intrinsics", NOTE)
    wanted = f"cameras:\n- name: front\n  # intrinsics measured {NOTE}\n  fx: 2.0\n  fy: 3.0\n"
    assert result == (wanted if last else wanted[:-1]).replace("\n", ending)


def test_values_behind_an_alias_are_not_touched():
    text = "cameras:\n- {name: front, position: &p [0, 0, 0]}\n- {name: wrist, position: *p}\n"
    for camera in ("front", "wrist"):
        with pytest.raises(InputError, match=f"camera '{camera}' cannot be changed without changing others"):
            edited(text, "lab.yaml", camera, POSE, "pose", NOTE)


def test_cameras_that_are_not_there_are_named():
    with pytest.raises(InputError, match=r"unknown camera of lab.yaml 'front_'.*front, wrist"):
        edited(TEXT, "lab.yaml", "front_", POSE, "pose", NOTE)
    with pytest.raises(InputError, match=r"lab.yaml has no cameras; add 'front' to it first"):
        edited("name: lab\n", "lab.yaml", "front", POSE, "pose", NOTE)


def test_a_shipped_station_takes_what_was_measured(tmp_path):
    path = tmp_path / "mine.yaml"
    before = (STATIONS / "panda.yaml").read_bytes()
    path.write_bytes(before)
    backup = write_camera(path, "wrist", {**POSE, "frame": "hand"}, "pose", NOTE)
    assert backup.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.yaml", "mine.yaml.bak"]
    wrist = next(camera for camera in load_station(path).cameras if camera.name == "wrist")
    assert wrist.position == (0.9, -0.01, 0.6)
    changed = set(path.read_text().splitlines()) ^ set(before.decode().splitlines())
    assert len(changed) == 5  # two values, before and after, and the note


def test_what_would_not_be_a_station_is_not_written(tmp_path):
    path = tmp_path / "mine.yaml"
    before = (STATIONS / "panda.yaml").read_bytes()
    path.write_bytes(before)
    with pytest.raises(InputError, match="position"):
        write_camera(path, "front", {"position": [0.0, 0.0, 99.0]}, "pose", NOTE)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["mine.yaml"]
