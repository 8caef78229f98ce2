"""Records survive the way through the bytes of ROS 2 messages, and genuine ROS reads the same bytes."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rosbags.typesys import Stores, get_typestore

from robolearn.errors import InputError
from robolearn.hardware.recording import messages
from robolearn.hardware.recording.definitions import definition, deserialize, new, serialize
from robolearn.hardware.recording.messages import Record, decode, encode, encode_compressed
from robolearn.hardware.wire import (
    EpisodeMark,
    Heartbeat,
    JointState,
    MonitorStatus,
    Picture,
    TorqueCommand,
    TorqueRequest,
    Wrench,
)

TYPES = {
    JointState: messages.JOINT_STATE,
    TorqueRequest: messages.JOINT_STATE,
    TorqueCommand: messages.COMMAND,
    Picture: messages.IMAGE,
    Wrench: messages.WRENCH,
    Heartbeat: messages.HEADER,
    MonitorStatus: messages.DIAGNOSTICS,
    EpisodeMark: messages.STRING,
}

stamps = st.integers(0, 2**31 * 10**9 - 1)
numbers = st.floats(width=64, allow_nan=True, allow_infinity=True)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
printable = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)
joints = st.lists(texts.filter(lambda name: name != "gripper"), min_size=1, max_size=9).map(tuple)


def same(a: Any, b: Any) -> bool:
    """Equal, numbers bit for bit."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes()
    return bool(a == b)


def assert_same(a: Record, b: Record) -> None:
    assert type(a) is type(b)
    for field in fields(a):
        assert same(getattr(a, field.name), getattr(b, field.name)), field.name


def vectors(n: int) -> st.SearchStrategy[Any]:
    return arrays.arrays(np.float64, n, elements=numbers)


@st.composite
def joint_states(draw: st.DrawFn) -> JointState:
    names = draw(joints)
    n = len(names)
    either = st.one_of(vectors(n), vectors(0))
    return JointState(draw(stamps), names, draw(vectors(n)), draw(either), draw(either))


@st.composite
def requests(draw: st.DrawFn) -> TorqueRequest:
    names = draw(joints)
    gripper, sender = draw(st.none() | numbers), draw(texts)
    return TorqueRequest(draw(stamps), names, draw(vectors(len(names))), gripper, sender)


jsonlike = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
pictures = st.builds(
    Picture,
    stamps,
    printable,
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))
    | arrays.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6))),
)
records = st.one_of(
    joint_states(),
    requests(),
    st.builds(TorqueCommand, vectors(7)),
    pictures,
    st.builds(Wrench, stamps, vectors(3), vectors(3)),
    st.builds(Heartbeat, stamps, texts, texts, texts),
    st.builds(
        MonitorStatus,
        stamps,
        st.sampled_from(["passing", "holding", "stopped"]),
        texts,
        st.lists(texts, max_size=4).map(tuple),
        st.dictionaries(texts, st.integers(0, 2**63), max_size=4),
        numbers,
    ),
    st.builds(
        EpisodeMark,
        stamps,
        st.sampled_from(["begin", "end"]),
        printable,
        st.dictionaries(printable, jsonlike, max_size=4),
    ),
)


@given(records)
def test_a_record_survives_its_message(record: Record) -> None:
    got = decode(TYPES[type(record)], encode(record))
    if isinstance(record, MonitorStatus) and np.isnan(record.scale):
        assert np.isnan(got.scale)  # type: ignore[union-attr]  # written in decimal
        return
    assert_same(record, got)


def test_a_nan_keeps_its_bits() -> None:
    torque = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001], np.uint64).view(float)
    request = TorqueRequest(1, ("a", "b", "c"), torque, float("nan"))
    assert_same(request, decode(messages.JOINT_STATE, encode(request)))


@pytest.mark.parametrize("type", sorted(set(TYPES.values()) | {messages.COMPRESSED_IMAGE}))
def test_humble_and_jazzy_define_the_types_alike(type: str) -> None:
    for store in (Stores.ROS2_HUMBLE, Stores.ROS2_KILTED):
        other = get_typestore(store)
        assert other.generate_msgdef(type, ros_version=2)[0] == definition(type).text
        assert other.hash_rihs01(type) == definition(type).hash


def test_png_keeps_every_bit_and_jpeg_nearly() -> None:
    ramp = np.linspace(0, 255, 48, dtype=np.uint8)
    pixels = np.stack([np.tile(ramp, (32, 1)), np.tile(ramp[:32, None], (1, 48)), np.full((32, 48), 90)], 2)
    picture = Picture(5, "front", pixels.astype(np.uint8))
    assert_same(picture, decode(messages.COMPRESSED_IMAGE, encode_compressed(picture, "png")))
    jpeg = decode(messages.COMPRESSED_IMAGE, encode_compressed(picture, "jpeg"))
    assert isinstance(jpeg, Picture)
    assert np.abs(jpeg.pixels.astype(int) - picture.pixels).mean() < 3


@pytest.mark.parametrize(
    ("encoding", "data", "step", "want"),
    [
        ("bgr8", [3, 2, 1, 6, 5, 4, 99, 99], 8, [[[1, 2, 3], [4, 5, 6]]]),
        ("rgba8", [1, 2, 3, 255, 4, 5, 6, 255], 8, [[[1, 2, 3], [4, 5, 6]]]),
        ("bgra8", [3, 2, 1, 0, 6, 5, 4, 0], 8, [[[1, 2, 3], [4, 5, 6]]]),
        ("mono8", [7, 9], 2, [[[7, 7, 7], [9, 9, 9]]]),
        ("16UC1", [0xE8, 0x03, 0xF4, 0x01], 4, [[1.0, 0.5]]),
    ],
)
def test_images_of_other_cameras(encoding: str, data: list[int], step: int, want: list[Any]) -> None:
    message = new_image(encoding, 1, 2, step, data)
    picture = decode(messages.IMAGE, serialize(message))
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(picture.pixels, want)


def new_image(encoding: str, height: int, width: int, step: int, data: list[int]) -> Any:
    header = deserialize(messages.IMAGE, encode(Picture(1, "c", np.zeros((1, 1, 3), np.uint8)))).header
    return new(
        messages.IMAGE,
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=np.array(data, np.uint8),
    )


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match="'gripper'"):
        encode(TorqueRequest(0, ("gripper",), np.zeros(1)))
    with pytest.raises(InputError, match="2\\*\\*31"):
        encode(Wrench(2**31 * 10**9, np.zeros(3), np.zeros(3)))
    with pytest.raises(InputError, match="float64"):
        encode(Picture(0, "c", np.zeros((2, 2))))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not JSON-like"):
        encode(EpisodeMark(0, "begin", "e", {"x": float("nan")}))
    with pytest.raises(InputError, match="depth is sent as it is"):
        encode_compressed(Picture(0, "c", np.zeros((2, 2), np.float32)))
    with pytest.raises(InputError, match="rows of 1"):
        decode(messages.IMAGE, serialize(new_image("rgb8", 1, 2, 1, [0])))
    with pytest.raises(InputError, match="'foo/msg/Bar'"):
        decode("foo/msg/Bar", b"")
    with pytest.raises(InputError, match="are not a"):
        decode(messages.JOINT_STATE, b"\0\1\0\0abc")


EXAMPLES: dict[str, Callable[[], Record]] = {
    "state": lambda: JointState(
        1_700_000_000_123_456_789, ("a", "b"), np.arange(2.0), np.ones(2), np.empty(0)
    ),
    "request": lambda: TorqueRequest(7, ("a", "bcd"), np.array([np.nan, -0.0]), -1.0, "me"),
    "command": lambda: TorqueCommand(np.array([1e-308, np.inf])),
    "picture": lambda: Picture(9, "wrist", np.arange(24, dtype=np.uint8).reshape(2, 4, 3)),
    "depth": lambda: Picture(9, "wrist", np.array([[0.5, np.nan]], np.float32)),
    "wrench": lambda: Wrench(1, np.arange(3.0), -np.arange(3.0)),
    "heartbeat": lambda: Heartbeat(3, "policy", "abc", "def"),
    "status": lambda: MonitorStatus(4, "holding", "assisted", ("state old", "ü"), {"state old": 3}, 0.5),
    "mark": lambda: EpisodeMark(5, "end", "e-1", {"outcome": True, "notes": "fällt", "seed": 1}),
}

_ROS = """
import base64, importlib, json, sys
from rclpy.serialization import deserialize_message, serialize_message
def get_message(kind):
    package, part, name = kind.split("/")
    return getattr(importlib.import_module(package + "." + part), name)
out = {}
for key, (kind, data) in json.load(sys.stdin).items():
    message = deserialize_message(base64.b64decode(data), get_message(kind))
    out[key] = [str(message), base64.b64encode(serialize_message(message)).decode()]
json.dump(out, sys.stdout)
"""


def test_genuine_ros_reads_and_writes_the_same_bytes() -> None:
    """In this interpreter's rclpy, or that of the one that ROBOLEARN_ROS_PYTHON names."""
    python = os.environ.get("ROBOLEARN_ROS_PYTHON")
    if python is None and importlib.util.find_spec("rclpy") is None:
        pytest.skip("no rclpy: install robolearn[ros], or name a Python that has it in ROBOLEARN_ROS_PYTHON")
    sent = {key: (TYPES[type(make())], encode(make())) for key, make in EXAMPLES.items()}
    packed = {key: (kind, base64.b64encode(data).decode()) for key, (kind, data) in sent.items()}
    answer = subprocess.run(
        [python or sys.executable, "-c", _ROS],
        input=json.dumps(packed),
        capture_output=True,
        text=True,
        check=True,
    )
    for key, (text, data) in json.loads(answer.stdout).items():
        assert_same(EXAMPLES[key](), decode(sent[key][0], base64.b64decode(data)))
        if key == "state":
            assert "sec=1700000000, nanosec=123456789" in text


@given(st.sampled_from(sorted(EXAMPLES)), st.integers(0, 200))
def test_bytes_cut_short_are_refused_by_name(key: str, left: int) -> None:
    record = EXAMPLES[key]()
    data = encode(record)[:left]
    with contextlib.suppress(InputError):
        decode(TYPES[type(record)], data)
