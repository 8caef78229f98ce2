"""Looks into a bag: what is in it, how regular that is, and which mapping file would make episodes of it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robolearn.contract import Contract
from robolearn.data.importing.bag import Bag, open_bag
from robolearn.data.importing.events import GRIPPER_TYPES, picture_stamp
from robolearn.data.importing.mapped import BOOL
from robolearn.data.importing.plan import notes_of
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.recording.messages import (
    COMMAND,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    STRING,
    WRENCH,
)
from robolearn.hardware.recording.reader import LogMessage
from robolearn.hardware.recording.summary import TopicSummary, summarize_topic
from robolearn.hardware.recording.topics import EPISODE
from robolearn.hardware.wire import SECOND, EpisodeMark, JointState, Picture, TorqueCommand, TorqueRequest

SAMPLE = 200
"""So many of a topic's first messages are looked at."""

STAMPED = (JOINT_STATE, IMAGE, COMPRESSED_IMAGE, WRENCH)
_FINGER = re.compile("finger|gripper|hand", re.IGNORECASE)
_HINTS = {"requested": re.compile("request|desire|target|policy|action"), "filtered": re.compile("filter")}


@dataclass(frozen=True)
class TopicLook:
    """A topic.

    Attributes:
        summary: how many messages, how often, how regular.
        lag: usual time from the stamp to the recording [s]; None where messages carry no stamp.
        disorder: messages, of the first ones, whose stamp is not later than that of the one before.
        content: of the first message, in words.
        joints: their names, where it has some.
        carries: fields of a joint state that are filled.
    """

    summary: TopicSummary
    lag: float | None
    disorder: int
    content: str
    joints: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """A bag: its topics, what is wrong with it, its episodes if it is one of ours, or else a mapping file."""

    path: str
    topics: list[TopicLook]
    notes: list[str]
    episodes: list[str]
    proposal: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return asdict(self)


def inspect_bag(path: Path, contract: Contract | None = None, named: str = "") -> Look:
    """Look into a bag.

    Args:
        path: a directory or a file.
        contract: what its episodes are to be for, if that is known.
        named: how a mapping file calls that contract.

    Raises:
        InputError: there is no bag, or it holds no messages.
        OSError: it cannot be read.
    """
    bag = open_bag(path)
    notes = notes_of(bag)
    topics = [_look(bag, name) for name in sorted(bag.topics)]
    for topic in topics:
        if topic.disorder and topic.carries != ("effort",):  # torques carry the stamp of what they came from
            notes.append(
                f"{topic.summary.name}: {topic.disorder} of the first {SAMPLE} stamps are no later than the "
                "one before"
            )
    episodes = _episodes(bag)
    proposal = "" if episodes else propose(topics, contract, named)
    return Look(str(path), topics, notes, episodes, proposal)


def _look(bag: Bag, name: str) -> TopicLook:
    times = bag.times(name)
    summary = summarize_topic(name, bag.topics[name].type, times)
    if not times.size:
        return TopicLook(summary, None, 0, "no messages")
    last = int(times[min(SAMPLE, len(times)) - 1])
    messages = [message for message in bag.messages([name], int(times[0]), last)][:SAMPLE]
    stamps = np.array([_stamp(message) for message in messages])
    logged = np.array([message.log_time for message in messages])
    known = summary.type in STAMPED and stamps.size > 0 and stamps.any()
    lag = float(np.median(logged - stamps)) / SECOND if known else None
    disorder = int((np.diff(stamps) <= 0).sum()) if known else 0
    try:
        record: Any = messages[0].record()
    except (InputError, IndexError):
        return TopicLook(summary, lag, disorder, "")
    return TopicLook(summary, lag, disorder, *_content(record))


def _stamp(message: LogMessage) -> int:
    """A message's stamp [ns]; 0 where it carries none."""
    if message.type in (IMAGE, COMPRESSED_IMAGE):
        try:
            return picture_stamp(message)
        except InputError:
            return 0
    if message.type not in STAMPED:
        return 0
    try:
        return int(getattr(message.record(), "stamp", 0))
    except InputError:
        return 0


def _content(record: Any) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    if isinstance(record, Picture):
        height, width = record.pixels.shape[:2]
        return f"{width} x {height} {'rgb8' if record.pixels.ndim == 3 else 'depth'}", (), ()
    if isinstance(record, JointState):
        filled = tuple(name for name in ("position", "velocity", "effort") if len(getattr(record, name)))
        return f"{len(record.names)} joints: {', '.join(filled)}", record.names, filled
    if isinstance(record, TorqueRequest):
        return f"{len(record.names)} joints: effort", record.names, ("effort",)
    if isinstance(record, TorqueCommand):
        return f"{len(record.torque)} numbers", (), ("effort",)
    return "", (), ()


def _episodes(bag: Bag) -> list[str]:
    """Names of the episodes that marks of ours begin."""
    if EPISODE not in bag.topics or bag.topics[EPISODE].type != STRING:
        return []
    names: dict[str, None] = {}
    for message in bag.messages([EPISODE]):
        try:
            mark = message.record()
        except InputError:
            continue
        if isinstance(mark, EpisodeMark) and mark.kind == "begin":
            names[mark.episode] = None
    return list(names)


def propose(topics: list[TopicLook], contract: Contract | None, named: str) -> str:
    """A mapping file for a bag with these topics; what nobody can guess says FILL_IN."""
    lines = [
        "# Which topic is which channel: docs/importing.md has every key. Look through it before you use it.",
        f"contract: {named or 'FILL_IN  # a bundle, or the path of a contract.json'}",
        "task: FILL_IN",
        "source: operator  # or policy, or teacher",
    ]
    stamped = [topic.lag is not None for topic in topics if topic.summary.type in STAMPED]
    if stamped and not all(stamped):
        lines.append("stamps: arrival  # some messages carry none")
    lines += [
        *_propose_joints(topics, contract),
        *_propose_torque(topics),
        *_propose_cameras(topics, contract),
    ]
    bools = [topic.summary.name for topic in topics if topic.summary.type == BOOL]
    gaps = [t for t in topics if t.summary.type == JOINT_STATE and t.summary.gaps and t.summary.longest > 1.0]
    if bools:
        lines += ["episodes:", "  by: topic", f"  topic: {bools[0]}"]
    else:
        lines += ["episodes:", f"  by: {'gap' if gaps else 'whole'}  # or topic: a std_msgs/Bool"]
    return "\n".join(
        [*lines, "outcome:", "  success: false  # true where all of them reached their goal", ""]
    )


def _propose_joints(topics: list[TopicLook], contract: Contract | None) -> list[str]:
    states = [t for t in topics if t.summary.type == JOINT_STATE and "position" in t.carries]
    arms = sorted(states, key=lambda t: -sum(not _FINGER.search(name) for name in t.joints))
    if not arms:
        return ["state:", "  topic: FILL_IN  # a sensor_msgs/JointState with positions and velocities"]
    names = [name for name in arms[0].joints if not _FINGER.search(name)]
    lines = ["state:", f"  topic: {arms[0].summary.name}"]
    if contract is None or set(load_arm(contract.arm).joint_names) != set(names):
        lines.append(f"joint_names: [{', '.join(names)}]  # in the arm's order, from base to wrist")
    for topic in states:
        if fingers := [name for name in topic.joints if _FINGER.search(name)]:
            lines += ["gripper:", f"  topic: {topic.summary.name}", f"  joints: [{', '.join(fingers)}]"]
            lines.append("  open: 0.08  # their positions added up, when it is open")
            commands = [
                t.summary.name
                for t in topics
                if t.summary.type in GRIPPER_TYPES and _FINGER.search(t.summary.name)
            ]
            lines += [f"  command: {name}" for name in commands[:1]]
            break
    return lines


def _propose_torque(topics: list[TopicLook]) -> list[str]:
    torques = [t for t in topics if t.carries == ("effort",) and t.summary.type in (JOINT_STATE, COMMAND)]
    torques = [t for t in torques if not _FINGER.search(t.summary.name)]
    if not torques:
        return ["# torque: none was found: `--unlabelled` takes what was seen"]
    lines = ["torque:"]
    used = set()
    for topic in torques:
        name = topic.summary.name
        meaning = next((key for key, hint in _HINTS.items() if hint.search(name)), "sent")
        lines.append(f"  {'# ' if meaning in used else ''}{meaning}: {name}")
        used.add(meaning)
    return lines


def _propose_cameras(topics: list[TopicLook], contract: Contract | None) -> list[str]:
    shown = [t for t in topics if t.summary.type in (IMAGE, COMPRESSED_IMAGE)]
    if not shown:
        return []
    wanted = [] if contract is None else [camera.name for camera in contract.cameras]
    lines = ["cameras:"]
    for topic in shown:
        name = next((camera for camera in wanted if camera in topic.summary.name), "FILL_IN")
        lines += [f"  - name: {name}  # {topic.content}", f"    topic: {topic.summary.name}"]
    return lines
