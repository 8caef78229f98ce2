"""Logs of strangers, in which everything is a known function of time, and the mapping files for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_logs import ball_contract, write, write_sqlite

from robolearn.contract import Contract
from robolearn.data.episode import Episode, Source
from robolearn.data.importing.mapped import plan_mapped
from robolearn.data.importing.mapping import LogMapping, read_mapping
from robolearn.data.importing.plan import Plan
from robolearn.data.importing.read import read_episode
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.model import ArmModel
from robolearn.hardware.parameters import tables
from robolearn.hardware.recording.definitions import new, serialize
from robolearn.hardware.recording.messages import encode, encode_compressed
from robolearn.hardware.recording.reader import LogMessage
from robolearn.hardware.wire import SECOND, JointState, Picture, TorqueCommand, TorqueRequest

MS = 1_000_000
START = 1_700_000_000 * SECOND
NAMES = tuple(f"joint_{i}" for i in range(7))
FINGERS = ("left_finger", "right_finger")
TYPES = {
    "/joints": "sensor_msgs/msg/JointState",
    "/hand": "sensor_msgs/msg/JointState",
    "/commands": "std_msgs/msg/Float64MultiArray",
    "/torques": "sensor_msgs/msg/JointState",
    "/cam/front": "sensor_msgs/msg/Image",
    "/cam/wrist/compressed": "sensor_msgs/msg/CompressedImage",
    "/recording": "std_msgs/msg/Bool",
}


def q(t: Any) -> Any:
    """Where the joints stand (7,) [rad], at a time [s]."""
    return 0.1 * np.arange(7) + 0.3 * np.asarray(t)[..., None]


def tau(t: Any) -> Any:
    """What is commanded (7,) [N·m]."""
    return np.arange(7) + np.asarray(t)[..., None]


def width(t: float) -> float:
    """Of the gripper [m]: it closes after a second."""
    return 0.08 if t < 1.0 else 0.01


def message(topic: str, time: int, data: bytes) -> LogMessage:
    return LogMessage(topic, TYPES[topic], time, time, data)


def stranger(seconds: float = 2.0, begin: float = 0.0) -> list[LogMessage]:
    """A log: joints at 100 Hz, the hand at 50, torques at 500, two cameras at 30 that come 80 ms late."""
    result = []
    for step in range(round(seconds * 1000)):
        t = begin + step / 1000
        now = START + round(t * SECOND)
        if step % 10 == 0:
            state = JointState(now, NAMES, q(t), np.full(7, 0.3), np.zeros(7))
            result.append(message("/joints", now + 2 * MS, encode(state)))
        if step % 20 == 0:
            half = np.full(2, width(t) / 2)
            hand = JointState(now, FINGERS, half, np.zeros(2), np.zeros(0))
            result.append(message("/hand", now + 4 * MS, encode(hand)))
        if step % 2 == 0:
            result.append(message("/commands", now, encode(TorqueCommand(tau(t)))))
        if step % 33 == 0:
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[:] = [step // 33 % 200, 10, 250]
            result.append(message("/cam/front", now + 80 * MS, encode(Picture(now, "x", pixels))))
        if step % 33 == 5:
            # four numbers in the corners tell when it was taken and which way up it is
            pixels = np.zeros((48, 96, 3), np.uint8)
            pixels[:24, :48], pixels[:24, 48:] = [step // 33 % 200, 0, 0], 100
            data = encode_compressed(Picture(now, "x", pixels))
            result.append(message("/cam/wrist/compressed", now + 60 * MS, data))
    return sorted(result, key=lambda entry: entry.log_time)


BASIS = """
contract: contract.json
task: pick
joint_names: [joint_0, joint_1, joint_2, joint_3, joint_4, joint_5, joint_6]
state: {topic: /joints}
gripper: {topic: /hand, joints: [left_finger, right_finger], open: 0.08}
torque: {sent: /commands}
cameras:
  - {name: front, topic: /cam/front}
  - {name: wrist, topic: /cam/wrist/compressed}
"""


@dataclass
class Desk:
    """A folder with a contract and a mapping file in it."""

    folder: Path
    contract: Contract

    def mapping(self, text: str = BASIS) -> LogMapping:
        (self.folder / "contract.json").write_text(self.contract.to_json())
        (self.folder / "map.yaml").write_text(text)
        return read_mapping(self.folder / "map.yaml")

    def plan(self, messages: list[LogMessage], text: str = BASIS, **options: Any) -> Plan:
        log = self.folder / f"log{len(list(self.folder.iterdir()))}"
        return plan_mapped(write(log, messages), self.mapping(text), options.get("unlabelled", False))

    def read(self, messages: list[LogMessage], text: str = BASIS, **options: Any) -> list[Episode]:
        episodes = []
        for job in self.plan(messages, text, **options).jobs:
            found, report = read_episode(job)
            assert not report.refused, report
            episodes += found
        return episodes


@pytest.fixture(scope="module")
def contract() -> Contract:
    return ball_contract()


@pytest.fixture
def desk(tmp_path: Path, contract: Contract) -> Desk:
    return Desk(tmp_path, contract)


def moments(episode: Episode, origin: int = START) -> np.ndarray:
    """Of the observations, since the log's beginning [s]."""
    return (episode.info["began"] - origin) / SECOND + episode.stamps


def check_observations(episode: Episode, origin: int = START) -> np.ndarray:
    """What every observation shows was there at its moment; when its pictures were taken, on average [s]."""
    at, seen = moments(episode, origin), episode.observations
    np.testing.assert_allclose(np.diff(at)[:-1], 0.05)
    front = seen["front"][:, 0, 0, 0] * 0.033
    wrist = seen["wrist"][:, 0, 0, 0] * 0.033 + 0.005
    for taken in (front, wrist):  # what is a little nearer but yet to come is not waited for
        assert np.abs(taken - at).max() <= 0.6 * 0.033 + 1e-9
        assert np.median(np.abs(taken - at)) <= 0.25 * 0.033 + 1e-9
    taken = (front + wrist) / 2
    # between two readings, or the last one where the next is yet to come
    np.testing.assert_allclose(seen["q"], q(taken), atol=0.3 * 0.01)
    assert np.median(np.abs(seen["q"] - q(taken))) < 1e-6
    np.testing.assert_allclose(seen["dq"], 0.3, rtol=1e-6)
    return np.asarray(taken)


def test_observations_are_aligned_by_stamps_and_actions_follow_as_in_deployment(desk: Desk) -> None:
    (episode,) = desk.read(stranger())
    episode.validate()
    assert len(episode) >= 35
    at, seen = moments(episode), episode.observations
    taken = check_observations(episode)
    expected = [[width(t), 0.0] for t in taken]
    near = np.abs(taken - 1.0) > 0.02
    np.testing.assert_allclose(seen["gripper"][near], np.float32(expected)[near], atol=1e-7)
    # the torque that had been sent 5 ms before, the last of those that come every 2 ms
    np.testing.assert_allclose(seen["tau"], tau(taken - 0.005), atol=0.0025)

    # seen 10 ms after its moment, answered 10 ms later but for the 5 ms that a command is on its way
    begin = at[:-1] + 0.015
    sent = [np.arange(np.ceil(a * 500), np.ceil(b * 500)) / 500 for a, b in pairwise(begin)]
    np.testing.assert_allclose(episode.filtered[:-1], tau([times.mean() for times in sent]), atol=2e-3)
    np.testing.assert_array_equal(episode.requested[:, :7], episode.filtered)
    np.testing.assert_array_equal(episode.sent, episode.filtered)  # this arm carries itself
    closed = episode.requested[:, 7]
    near = np.abs(begin + 0.05 - 1.0) > 0.03
    np.testing.assert_array_equal(closed[near], np.where(begin[near] + 0.05 < 1.0, -1.0, 1.0))
    assert set(episode.source.tolist()) == {Source.OPERATOR}
    assert (episode.task, episode.outcome.success, episode.outcome.reason) == ("pick", False, "cut")
    assert episode.info["torque_labels"]


def test_both_storage_formats_give_the_same(desk: Desk) -> None:
    messages, mapping = stranger(1.0), desk.mapping()
    logs = [write(desk.folder / "a", messages), write_sqlite(desk.folder / "b", messages)]
    first, second = (read_episode(plan_mapped(log, mapping, False).jobs[0])[0][0] for log in logs)
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[name])


def test_what_is_recorded_out_of_order_is_put_in_order(desk: Desk) -> None:
    rng = np.random.default_rng(0)
    messages = stranger(1.5)
    shuffled = [replace(m, log_time=m.log_time + int(rng.integers(0, 300 * MS))) for m in messages]
    shuffled = [m if m.topic == "/commands" else s for m, s in zip(messages, shuffled, strict=True)]
    (episode,) = desk.read(sorted(shuffled, key=lambda m: m.log_time))
    assert len(episode) >= 20
    check_observations(episode)


def test_stamps_of_another_clock_are_brought_together(desk: Desk) -> None:
    """A simulator's clock showed a second while the recorder's showed the year."""

    def early(record: Any) -> Any:
        return replace(record, stamp=record.stamp - START + SECOND)

    messages = [change(m, early) for m in stranger(1.0)]
    plan = desk.plan(messages)
    assert any("from the recorder's clock" in note for note in plan.notes)
    ((episode,), _) = read_episode(plan.jobs[0])
    check_observations(episode, SECOND)
    # commands carry no stamp: they are as exact as the joint states' delay of 2 ms is known
    begin = moments(episode, SECOND)[:-1] + 0.015
    np.testing.assert_allclose(episode.filtered[:-1], tau((begin[:-1] + begin[1:]) / 2), atol=0.005)


def change(m: LogMessage, edit: Callable[[Any], Any]) -> LogMessage:
    """A message with another record, where it carries a stamp."""
    record = m.record()
    if not hasattr(record, "stamp"):
        return m
    new_record = edit(record)
    compressed = m.topic.endswith("compressed")
    return replace(m, data=encode_compressed(new_record) if compressed else encode(new_record))


def test_stamps_that_say_nothing_are_refused_unless_arrival_is_to_count(desk: Desk) -> None:
    messages = [change(m, lambda record: replace(record, stamp=0)) for m in stranger(1.0)]
    with pytest.raises(InputError, match=r"/joints carry no stamp.*stamps: arrival"):
        desk.plan(messages)
    (episode,) = desk.read(messages, BASIS + "stamps: arrival\n")
    at = moments(episode)
    seen = episode.observations["front"][:, 0, 0, 0]
    assert np.abs(seen - (at - 0.08) / 0.033).max() <= 0.61

    mixed = [
        m if m.topic == "/joints" else change(m, lambda r: replace(r, stamp=r.stamp - START + SECOND))
        for m in stranger(1.0)
    ]
    with pytest.raises(InputError, match="different clocks"):
        desk.plan(mixed)


def test_a_stamp_that_leaps_is_left_out(desk: Desk) -> None:
    messages = stranger(1.0)
    wild = {m.log_time for m in messages if m.topic == "/joints"}
    wild = set(sorted(wild)[30:34])

    def leap(m: LogMessage) -> LogMessage:
        if m.topic == "/joints" and m.log_time in wild:
            return change(m, lambda record: replace(record, stamp=record.stamp + 3600 * SECOND))
        return m

    plan = desk.plan([leap(m) for m in messages])
    episodes, report = read_episode(plan.jobs[0])
    assert report.counts["message of /joints whose stamp is far from when it came"] == 4
    assert sum(map(len, episodes)) >= 10


# --- where episodes begin and end ---------------------------------------------------------------------------


def test_a_silence_divides_episodes(desk: Desk) -> None:
    messages = [*stranger(1.0), *stranger(1.2, begin=3.0)]
    text = BASIS + "episodes: {by: gap, gap: 1.0}\noutcome: {success: true, reason: success}\n"
    episodes = desk.read(messages, text)
    assert len(episodes) == 2
    assert moments(episodes[0])[-1] < 1.0 < 3.0 <= moments(episodes[1])[0]
    assert all(episode.outcome.success and episode.reward[-1] == 1.0 for episode in episodes)
    # as a whole, it is one with a hole, and what was before it has no outcome of its own
    whole = desk.read(messages, BASIS + "outcome: {success: true, reason: success}\n")
    assert [episode.outcome.reason for episode in whole] == ["cut", "success"]
    assert [episode.outcome.success for episode in whole] == [False, True]


def test_a_topic_says_when_an_episode_goes_on(desk: Desk) -> None:
    marks = [(0.3, True), (0.35, True), (1.1, False), (1.5, True)]
    bools = [
        message("/recording", START + round(t * SECOND), serialize(new("std_msgs/msg/Bool", data=value)))
        for t, value in marks
    ]
    messages = sorted([*stranger(2.0), *bools], key=lambda m: m.log_time)
    episodes = desk.read(messages, BASIS + "episodes: {by: topic, topic: /recording}\n")
    assert len(episodes) == 2
    assert 0.3 <= moments(episodes[0])[0] <= 0.36
    assert 1.05 <= moments(episodes[0])[-1] <= 1.1
    assert 1.5 <= moments(episodes[1])[0] <= 1.56
    with pytest.raises(InputError, match=r"'/nothing'|/nothing, which is not in the log"):
        desk.plan(messages, BASIS + "episodes: {by: topic, topic: /nothing}\n")


def test_what_lasts_too_long_is_cut_into_pieces(desk: Desk) -> None:
    text = BASIS + "episodes: {longest: 1.0}\noutcome: {success: true, reason: success}\n"
    episodes = desk.read(stranger(2.5), text)
    assert [episode.outcome.reason for episode in episodes] == ["cut", "cut", "success"]
    assert all(len(episode) <= 20 for episode in episodes)


# --- torques ------------------------------------------------------------------------------------------------


def test_requested_and_filtered_torques_with_names_of_their_own(desk: Desk) -> None:
    messages = stranger(1.0)
    order = np.random.default_rng(1).permutation(7)
    extra = []
    for step in range(0, 1000, 5):
        t, now = step / 1000, START + step * MS
        names = tuple(NAMES[i] for i in order)
        extra.append(message("/torques", now, encode(TorqueRequest(now, names, 2 * tau(t)[order]))))
    both = sorted([*messages, *extra], key=lambda m: m.log_time)
    text = BASIS.replace("{sent: /commands}", "{sent: /commands, requested: /torques}")
    (episode,) = desk.read(both, text)
    np.testing.assert_allclose(episode.requested[:-1, :7], 2 * episode.filtered[:-1], atol=0.02)
    assert episode.info["altered"] == list(range(len(episode)))


def test_gravity_is_taken_off_where_we_supply_it(tmp_path: Path, contract: Contract) -> None:
    """The same arm, but that its controller is sent the torque that carries it."""
    profile = (Path(__file__).parents[1] / "robolearn/hardware/arms/panda.yaml").read_text()
    assert "compensates_gravity: true" in profile
    (tmp_path / "heavy.yaml").write_text(
        profile.replace("compensates_gravity: true", "compensates_gravity: false")
    )
    arm = load_arm(tmp_path / "heavy.yaml")
    model = ArmModel(arm)
    desk = Desk(tmp_path, contract)

    def weight(t: float) -> np.ndarray:
        return np.asarray(model.gravity(model.frames(q(t))))

    messages = []
    for m in stranger(1.0):
        t = (m.log_time - START) / SECOND
        heavy = m.topic == "/commands"
        messages.append(replace(m, data=encode(TorqueCommand(tau(t) + weight(t)))) if heavy else m)
    (episode,) = desk.read(messages, BASIS + "arm: heavy.yaml\n")
    (plain,) = desk.read(stranger(1.0))
    np.testing.assert_allclose(episode.filtered, plain.filtered, atol=0.1)  # states are up to 10 ms old
    np.testing.assert_array_equal(episode.requested[:, :7], episode.filtered)
    at = moments(episode)[:-2] + 0.04
    np.testing.assert_allclose(episode.sent[:-1], tau(at) + np.array([weight(t) for t in at]), atol=0.1)


def test_without_torques_only_what_was_seen_is_taken_and_only_when_asked_for(desk: Desk) -> None:
    text = BASIS.replace("torque: {sent: /commands}\n", "")
    with pytest.raises(InputError, match=r"names no torques.*--unlabelled"):
        desk.plan(stranger(1.0), text)
    (episode,) = desk.read(stranger(1.0), text, unlabelled=True)
    episode.validate()
    assert not episode.info["torque_labels"]
    assert np.isnan(episode.requested[:, :7]).all()
    assert not episode.filtered.any()
    assert not episode.observations["tau"].any()


def test_slow_torques_stand_until_the_next(desk: Desk) -> None:
    """Commands at 10 Hz, half of the control rate."""
    messages = [m for m in stranger(2.0) if m.topic != "/commands" or (m.log_time - START) % (100 * MS) == 0]
    contract = replace(
        desk.contract, proprioception=tuple(c for c in desk.contract.proprioception if c.name != "tau")
    )
    (episode,) = Desk(desk.folder, contract).read(messages)
    assert len(episode) >= 35
    begin = moments(episode)[:-1] + 0.015
    expected = tau(np.floor((begin + 0.05 - 1e-9) * 10) / 10)
    np.testing.assert_allclose(episode.filtered[:-1], expected[:-1], atol=1e-9)


# --- what cannot be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new_text", "words"),
    [
        ("task: pick", "tusk: pick", r"task is missing"),
        ("task: pick", "task: pick\nrates: 3", r"unknown key 'rates'.*stamps"),
        ("topic: /joints", "tpoic: /joints", r"state.topic is missing"),
        ("contract: contract.json", "contract: nothing", r"no bundle 'nothing'"),
        ("contract: contract.json", "contract: none.json", r"none.json"),
        ("{sent: /commands}", "{}", r"one of requested, filtered and sent"),
        ("  - {name: wrist, topic: /cam/wrist/compressed}", "", r"wrist"),
        ("open: 0.08", "open: wide", r"gripper.open is 'wide'"),
        ("task: pick", "task: pick\nsource: robot", r"source is 'robot'.*policy, teacher, operator"),
        ("topic: /cam/front", "topic: /cam/front, fx: 300.0", r"fy is None.*belong together"),
        ("task: pick", "task: pick\nepisodes: {by: topic}", r"episodes.topic"),
        ("gripper: {topic: /hand, joints: [left_finger, right_finger], open: 0.08}", "", r"gripper is None"),
    ],
)
def test_a_mapping_that_cannot_be_names_the_key(desk: Desk, old: str, new_text: str, words: str) -> None:
    assert old in BASIS
    with pytest.raises(InputError, match=words) as caught:
        desk.mapping(BASIS.replace(old, new_text))
    if "contract:" not in old:
        assert "map.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new_text", "words"),
    [
        ("/joints}", "/joint_states}", r"the joint state is to be on /joint_states, which is not in the log"),
        ("/joints}", "/cam/front}", r"is a sensor_msgs/msg/Image; it must be a sensor_msgs/msg/JointState"),
        (
            "/cam/wrist/compressed",
            "/commands",
            r"camera wrist on /commands is a std_msgs/msg/Float64MultiArray",
        ),
        ("{sent: /commands}", "{sent: /cam/front}", r"torque sent on /cam/front is a sensor_msgs/msg/Image"),
        ("open: 0.08}", "open: 0.08, command: /joints}", r"gripper's command on /joints"),
    ],
)
def test_a_log_without_what_the_mapping_names_is_refused(
    desk: Desk, old: str, new_text: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        desk.plan(stranger(0.5), BASIS.replace(old, new_text))


def test_a_depth_camera_serves_no_colour(desk: Desk) -> None:
    def deep(m: LogMessage) -> LogMessage:
        if m.topic != "/cam/front":
            return m
        return change(m, lambda p: replace(p, pixels=np.ones((64, 64), np.float32)))

    with pytest.raises(InputError, match="/cam/front shows depth"):
        desk.plan([deep(m) for m in stranger(0.5)])


def test_pictures_are_cropped_about_their_centre_or_by_their_intrinsics(desk: Desk) -> None:
    """96 x 48 pixels: a square of 48 about the centre. With a shorter focal length less is cut off."""

    def shaded(m: LogMessage) -> LogMessage:
        if m.topic != "/cam/front":
            return m
        columns = np.broadcast_to(np.arange(96)[None, :, None], (48, 96, 3)).astype(np.uint8)
        return change(m, lambda p: replace(p, pixels=columns.copy()))

    messages = [shaded(m) for m in stranger(0.5)]
    (episode,) = desk.read(messages)
    row = episode.observations["front"][0, 16, :, 0].astype(float)
    np.testing.assert_allclose(row, 24 + 1.5 * np.arange(32) + 0.25, atol=1.0)

    required = desk.contract.cameras[0]
    focal = required.fx * 3.0
    given = f"topic: /cam/front, fx: {focal}, fy: {focal}, cx: 47.5, cy: 23.5"
    episodes, report = read_episode(desk.plan(messages, BASIS.replace("topic: /cam/front", given)).jobs[0])
    assert episodes == []
    assert "does not cover the field of view" in report.refused


def test_the_gripper_may_have_commands_of_its_own(desk: Desk) -> None:
    told = [
        LogMessage(
            "/gripper",
            "std_msgs/msg/Float64",
            START + step * 100 * MS,
            0,
            serialize(new("std_msgs/msg/Float64", data=20.0 if step < 5 else 90.0)),
        )
        for step in range(10)
    ]
    messages = sorted([*stranger(1.0), *told], key=lambda m: m.log_time)
    text = BASIS.replace("open: 0.08}", "command: /gripper, open: 100.0, closed: 0.0}")
    (episode,) = desk.read(messages, text)
    at = moments(episode)[:-1] + 0.065
    closed = episode.requested[:, 7]
    np.testing.assert_array_equal(
        closed[np.abs(at - 0.5) > 0.03], np.where(at < 0.5, 1.0, -1.0)[np.abs(at - 0.5) > 0.03]
    )


def test_the_page_has_every_parameter() -> None:
    page = (Path(__file__).parents[1] / "docs/importing.md").read_text()
    assert tables(LogMapping) in page, (
        "docs/importing.md is old: `python -m robolearn.data.importing.mapping` prints its tables"
    )
