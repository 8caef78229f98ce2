"""Logs of deployments, what the policy saw and did while they were written, and the same logs spoilt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from small_task import BallEnv

from robolearn.contract import Contract
from robolearn.data.episode import Episode, Outcome
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import Report, read_episode
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.recording.definitions import STORE
from robolearn.hardware.recording.messages import Record, decode, encode
from robolearn.hardware.recording.reader import Log, LogMessage
from robolearn.hardware.recording.topics import EPISODE, Topic, station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import EpisodeMark
from robolearn.policies.bundle import Bundle

TASK = "small_task:BallEnv"
CHANGES: dict[str, Any] = {
    "observe": ("front", "wrist", "q", "dq", "tau", "gripper"),
    "image_size": 32,
    "episode_seconds": 2.0,
}
STATES, FRONT, WRIST = "/joint_states", "/cameras/front/image_raw", "/cameras/wrist/image_raw"


def ball_contract() -> Contract:
    env = BallEnv(**CHANGES)
    env.close()
    return env.contract()


class Guide:
    """Acts as the task's teacher does, and remembers what it was shown and did, episode by episode."""

    def __init__(self) -> None:
        self.process: OneProcess
        self.shown: list[list[dict[str, np.ndarray]]] = []
        self.did: list[list[np.ndarray]] = []

    def reset(self) -> None:
        self.shown.append([])
        self.did.append([])

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        action = np.clip(self.process.arm.env.teacher(), -20, 20).astype(np.float32)
        action[-1] = (-1.0) ** len(self.did[-1])  # the task does not mind
        self.shown[-1].append(observation)
        self.did[-1].append(action)
        return action


@dataclass
class Deployed:
    """A log, and how it came about."""

    log: Path
    guide: Guide
    outcomes: list[Outcome]
    contract: Contract
    process: OneProcess = field(repr=False)


def deploy(
    log: Path,
    seeds: Iterable[int] = (0,),
    *,
    station: Station | None = None,
    contract: Contract | None = None,
    prepare: Callable[[OneProcess], None] = lambda process: None,
    **options: Any,
) -> Deployed:
    """Run episodes of the ball's task at the simulated arm and leave their log."""
    nothing: Any = None
    bundle = Bundle(nothing, contract or ball_contract(), TASK, CHANGES, weights_hash="ball")
    station = station or load_station("sim")
    recorder = Recorder(log, station_topics(station.with_cameras_of(bundle.contract)))

    def record(topic: str, now: int, record: Record) -> None:
        recorder.write(topic, now, now, encode(record))

    guide = Guide()
    process = guide.process = OneProcess(bundle, station, actor=guide, record=record, **options)
    prepare(process)
    outcomes = [process.run_episode(seed) for seed in seeds]
    recorder.close()
    process.close()
    return Deployed(log, guide, outcomes, bundle.contract, process)


def with_cameras(rate: float, *delays: float) -> Station:
    """The simulated station with cameras of another rate and of these delays."""
    station = load_station("sim")
    pairs = zip(station.cameras, delays or (0.01, 0.01), strict=True)
    cameras = tuple(replace(camera, rate=rate, delay=delay) for camera, delay in pairs)
    return replace(station, cameras=cameras)


def read_log(log: Path, **options: Any) -> list[tuple[list[Episode], Report]]:
    """All episodes of a log of our own."""
    plan = plan_log(log, Options(**options))
    assert not plan.refused, plan.refused
    return [read_episode(job) for job in plan.jobs]


def read_one(log: Path, **options: Any) -> tuple[Episode, Report]:
    """The one whole episode of a log."""
    ((episodes, report),) = read_log(log, **options)
    assert len(episodes) == 1, report
    return episodes[0], report


Edit = Callable[[LogMessage], "Iterable[LogMessage]"]


def spoil(log: Path, to: Path, edit: Edit) -> Path:
    """Write a log anew, in the order of log time; `edit` makes none, one or more of each message."""
    source = Log(log)
    changed = [new for message in source.messages() for new in edit(message)]
    return write(to, sorted(changed, key=lambda message: message.log_time))


def write(to: Path, messages: Iterable[LogMessage]) -> Path:
    """Write messages as a log, in the order given."""
    messages = list(messages)
    topics = {message.topic: message.type for message in messages}
    recorder = Recorder(to, [Topic(name, kind) for name, kind in topics.items()])
    for message in messages:
        recorder.write(message.topic, message.log_time, message.publish_time, message.data)
    recorder.close()
    return to


def write_sqlite(to: Path, messages: Iterable[LogMessage]) -> Path:
    """The same as a sqlite3 bag, by rosbags."""
    with BagWriter(to, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections: dict[str, Any] = {}
        for message in messages:
            if message.topic not in connections:
                connections[message.topic] = writer.add_connection(
                    message.topic, message.type, typestore=STORE
                )
            writer.write(connections[message.topic], message.log_time, message.data)
    return to


def edit_record(topic: str, change: Callable[[Any], Any]) -> Edit:
    """An edit that changes the records of one topic."""

    def edit(message: LogMessage) -> list[LogMessage]:
        if message.topic != topic:
            return [message]
        return [replace(message, data=encode(change(decode(message.type, message.data))))]

    return edit


def edit_marks(change: Callable[[EpisodeMark], EpisodeMark | None]) -> Edit:
    """An edit that changes marks, or leaves them out (None)."""

    def edit(message: LogMessage) -> list[LogMessage]:
        if message.topic != EPISODE:
            return [message]
        mark = decode(message.type, message.data)
        assert isinstance(mark, EpisodeMark)
        new = change(mark)
        return [] if new is None else [replace(message, data=encode(new))]

    return edit


def assert_same(first: Episode, second: Episode) -> None:
    """Two episodes say the same, bit by bit."""
    ours, theirs = first.arrays(), second.arrays()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    assert first.outcome == second.outcome
    assert (first.task, first.seed, first.contract) == (second.task, second.seed, second.contract)
