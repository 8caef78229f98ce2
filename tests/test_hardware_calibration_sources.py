"""Views from files, and those worth having from a stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rendered_boards import BOARD, PINHOLE, Painter, look

from robolearn.cli import main
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.calibration.sources import find_views, pick, read_joints, write_view
from robolearn.hardware.recording.messages import COMPRESSED_IMAGE, JOINT_STATE, encode, encode_compressed
from robolearn.hardware.recording.topics import Topic
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import SECOND, JointState, Picture

JOINTS = ("a", "b")
NONE = np.empty(0)


@pytest.fixture(scope="module")
def stills():
    """The board at two places, twice each with other noise, and nothing at all."""
    painter = Painter(PINHOLE)
    places = [look(0.3, 0.5, 0.1, [x, 0.0, 0.5]) for x in (-0.05, 0.05)]
    grey = [painter.picture(place, seed) for place in places for seed in (0, 1)]
    return [*(np.dstack([image] * 3) for image in grey), np.full((480, 640, 3), 90, np.uint8)]


def picture(image, at):
    return Picture(round(at * SECOND), "front", image)


def state(at, q):
    return JointState(round(at * SECOND), ("b", "other", "a"), np.array([q[1], 9.0, q[0]]), NONE, NONE)


def stream(images, at=0.0, moving=()):
    """Pictures at 4 Hz with states at 20 Hz; the joints move around the pictures `moving`."""
    for i in range(round(len(images) * 5)):
        t = at + i / 20
        yield state(t, (0.1 * (t if i // 5 in moving else 0.0), 0.2))
        if i % 5 == 2:
            yield picture(images[i // 5], t)


def test_still_views_at_new_places_are_picked(stills):
    a, again, b, b_again, nothing = stills
    images = [a, again, again, b, b_again, nothing, a, again]
    views = list(pick(BOARD, stream([*images, nothing, nothing]), JOINTS))
    assert [view.image is image for view, image in zip(views, [again, b_again], strict=True)] == [True, True]
    assert views[0].positions == pytest.approx([0.0, 0.2])
    assert views[0].corners.name == "front at 0.350 s"


def test_views_in_which_the_arm_moves_are_left_until_it_stands(stills):
    a, again, *_, nothing = stills
    images = [a, again, a, again, a, nothing, nothing]
    moving = list(pick(BOARD, stream(images, moving={0, 1, 2}), JOINTS))
    assert len(moving) == 1
    assert moving[0].corners.name > "front at 0.6"
    assert not list(pick(BOARD, stream(images, moving=range(9)), JOINTS))


def test_without_joints_the_board_alone_decides(stills):
    pictures = [picture(image, 0.1 * i) for i, image in enumerate(stills)]
    views = list(pick(BOARD, pictures, None))
    assert len(views) == 2
    assert views[0].positions is None


def test_joint_states_without_a_joint_are_refused(stills):
    with pytest.raises(InputError, match="lack some of a, z; they have b, other, a"):
        list(pick(BOARD, stream([*stills[:2], *stills[:2]]), ("a", "z")))


def test_depth_is_refused():
    with pytest.raises(InputError, match="camera 'front' measures depth"):
        list(pick(BOARD, [picture(np.zeros((4, 4), np.float32), 0.0)], None))


def test_what_is_saved_is_read_back(stills, tmp_path):
    views = list(pick(BOARD, stream([*stills, *[stills[-1]] * 2]), JOINTS))
    for view in views:
        write_view(tmp_path, view, JOINTS)
    Image.fromarray(stills[-1]).save(tmp_path / "zzz.png")
    table = tmp_path / "joints.csv"
    assert table.read_text().splitlines()[0] == "image,a,b"
    again, without = find_views(BOARD, [tmp_path], {**read_joints(table, JOINTS), "zzz.png": np.zeros(2)})
    assert without == ["zzz.png"]
    assert [view.corners.name for view in again] == ["view000.png", "view001.png"]
    assert (again[1].image == views[1].image).all()
    assert again[0].positions == pytest.approx(views[0].positions, abs=1e-6)
    with pytest.raises(InputError, match=r"no joint positions for zzz.png; there are for view000.png"):
        find_views(BOARD, [tmp_path], read_joints(table, JOINTS))


def test_a_log_is_a_stream(stills, tmp_path, capsys):
    arm, camera = load_arm("panda"), load_station("panda").cameras[0]
    states = load_station("panda").state.topic
    topics = [Topic(states, JOINT_STATE), Topic(camera.topic, COMPRESSED_IMAGE)]
    recorder = Recorder(tmp_path / "log", topics)
    for record in stream([*stills, *[stills[-1]] * 2]):
        if isinstance(record, Picture):
            data, topic = encode_compressed(record), camera.topic
        else:
            data, topic = encode(replace(record, names=arm.joint_names, position=arm.home)), states
        recorder.write(topic, record.stamp, record.stamp, data)
    recorder.close()
    words = ["calibrate", "capture", "panda", "front", "--log", str(tmp_path / "log")]
    assert main([*words, "--out", str(tmp_path / "views")]) == 0
    assert "2 views in" in capsys.readouterr().out
    rows = read_joints(tmp_path / "views" / "joints.csv", arm.joint_names)
    assert rows["view001.png"] == pytest.approx(arm.home, abs=1e-6)
    assert main([*words, "--out", str(tmp_path / "one"), "--no-joints", "--views", "1"]) == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["view000.png"]
    assert main([*words[:4], "--log", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("j.csv", "image,a,b\nx.png,1,0.2\n", None),
        ("j.csv", "image, b, other, a\nx.png, 0.2, 7, 1\n", None),
        ("j.json", '{"x.png": {"b": 0.2, "a": 1}}', None),
        ("j.csv", "a,b\n1,2\n", "the first line must name the columns"),
        ("j.csv", "", "the first line must name the columns"),
        ("j.csv", "image,a\nx.png,1\n", r"x.png lacks b; it has a"),
        ("j.csv", "image,a,b\nx.png,1\n", "line 2 has 2 columns; the first line has 3"),
        ("j.csv", "image,a,b\nx.png,1,2\nx.png,1,2\n", "stands there twice"),
        ("j.csv", "image,a,b\nx.png,1,two\n", "line 2: could not convert .*numbers"),
        ("j.csv", "image,a,b\nx.png,1,nan\n", "x.png: b is nan"),
        ("j.csv", "image,a,b\nx.png,1,90\n", r"b is 90.0; it must be a number from -13 to 13"),
        ("j.json", "[]", "must be a mapping"),
        ("j.txt", "", "ends in .csv or .json"),
    ],
)
def test_tables_of_joint_positions(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    if words is None:
        rows = read_joints(tmp_path / name, JOINTS)
        assert {image: q.tolist() for image, q in rows.items()} == {"x.png": [1.0, 0.2]}
        return
    with pytest.raises(InputError, match=words):
        read_joints(tmp_path / name, JOINTS)


def test_paths_without_images_are_refused(tmp_path):
    with pytest.raises(InputError, match="neither an image nor a folder"):
        find_views(BOARD, [tmp_path / "none.png"])
    with pytest.raises(InputError, match="there is no image in"):
        find_views(BOARD, [tmp_path])
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a.png cannot be read as an image"):
        find_views(BOARD, [tmp_path])
    with pytest.raises(InputError, match=r"two images are called a.png"):
        find_views(BOARD, [tmp_path, tmp_path / "a.png"])
