"""Which episodes a stranger's log holds and how each is read, as a mapping file says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from robolearn.camera import Camera
from robolearn.data.episode import Source
from robolearn.data.importing.bag import Bag, clock_jumps, open_bag
from robolearn.data.importing.events import GRIPPER_TYPES, picture_stamp
from robolearn.data.importing.mapping import CameraTopic, LogMapping
from robolearn.data.importing.plan import Plan, check_type, notes_of, origin_of
from robolearn.data.importing.recipe import Job, Recipe, Span, Topics
from robolearn.errors import InputError
from robolearn.hardware.alignment import Wiring
from robolearn.hardware.recording.definitions import deserialize
from robolearn.hardware.recording.messages import COMMAND, COMPRESSED_IMAGE, IMAGE, JOINT_STATE
from robolearn.hardware.recording.reader import LogMessage
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.wire import SECOND, Picture

CLOCKS = SECOND
"""Stamps farther than this from the recorder's clock are of another clock [ns]."""

BOOL = "std_msgs/msg/Bool"

_SOURCES = {"policy": Source.POLICY, "teacher": Source.TEACHER, "operator": Source.OPERATOR}


def plan_mapped(path: Path, mapping: LogMapping, unlabelled: bool) -> Plan:
    """The episodes of a log, as a mapping has it.

    Raises:
        InputError: there is no log, it is empty, a topic is missing or of the wrong type, or there are no
            torques and `unlabelled` is False.
        OSError: it cannot be read.
    """
    bag = open_bag(path)
    notes = notes_of(bag)
    if mapping.torque is None and not unlabelled:
        raise InputError(
            f"{mapping.path} names no torques: nothing can be learned from what was done; --unlabelled takes "
            "what was seen"
        )
    recipe = _recipe(bag, mapping)
    if recipe.offset:
        notes.append(f"stamps are {-recipe.offset / SECOND:+.3f} s from the recorder's clock")
    if mapping.gripper is not None and not mapping.gripper.command:
        notes.append("what the gripper was told is taken from its width")
    outcome = {"success": mapping.outcome.success, "reason": mapping.outcome.reason}
    jobs = []
    for i, (begin, end, whole) in enumerate(_spans(bag, mapping)):
        span = Span(
            name=f"{i:04d}",
            begin=begin,
            end=end,
            task=mapping.task,
            seed=None,
            policy=mapping.source,
            outcome=outcome if whole else {"success": False, "reason": "cut"},
            judged_by="mapping",
        )
        jobs.append(Job(path, origin_of(path), span, recipe, tuple(clock_jumps(bag))))
    if not jobs:
        raise InputError(f"log {path} holds no episode: cut by {mapping.episodes.by!r}, nothing remains")
    return Plan(jobs, notes=notes)


def _recipe(bag: Bag, mapping: LogMapping) -> Recipe:
    gripper, torque, contract = mapping.gripper, mapping.torque, mapping.requires
    states = dict.fromkeys([mapping.state.topic])
    if gripper is not None and gripper.topic:
        states[gripper.topic] = None
    for topic in states:
        check_type(bag, topic, (JOINT_STATE,), "the joint state")
    command = "" if gripper is None else gripper.command
    if command:
        check_type(bag, command, GRIPPER_TYPES, "the gripper's command")
    names = {} if torque is None else {n: getattr(torque, n) for n in ("requested", "filtered", "sent")}
    for name, topic in names.items():
        if topic:
            check_type(bag, topic, (JOINT_STATE, COMMAND), f"the torque {name}")
    wanted = {camera.name: camera for camera in contract.cameras}
    cameras = [camera for camera in mapping.cameras if camera.name in wanted]
    for camera in cameras:
        check_type(bag, camera.topic, (IMAGE, COMPRESSED_IMAGE), f"camera {camera.name}")
    offset = _clock_offset(bag, mapping, [*states, *(camera.topic for camera in cameras)])
    wire_names = dict(zip(mapping.arm.joint_names, mapping.joint_names, strict=True))
    wiring = Wiring(
        tuple(wire_names[joint] for joint in contract.joints),
        () if gripper is None else gripper.joints,
        mapping.command_delay,
        tuple(_camera(bag, camera, wanted[camera.name]) for camera in cameras),
    )
    topics = Topics(
        tuple(states), {camera.topic: camera.name for camera in cameras}, **names, gripper=command
    )
    return Recipe(
        contract,
        wiring,
        mapping.arm,
        mapping.joint_names,
        topics,
        _SOURCES[mapping.source],
        labelled=torque is not None,
        ours=False,
        stamps=mapping.stamps,
        offset=offset,
        gripper=gripper,
    )


def _first(bag: Bag, topic: str) -> LogMessage:
    start = int(bag.written(topic).min())
    return next(iter(bag.messages([topic], start, start)))


def _clock_offset(bag: Bag, mapping: LogMapping, topics: list[str]) -> int:
    """From the clock of the stamps to the recorder's [ns]; 0 where both are one, but for delays."""
    if mapping.stamps == "arrival":
        return 0
    offsets = []
    for topic in topics:
        message = _first(bag, topic)
        if message.type == JOINT_STATE:
            record = message.record()
            assert not isinstance(record, Picture)
            stamp = getattr(record, "stamp", 0)
        else:
            stamp = picture_stamp(message)
        if stamp == 0:
            raise InputError(
                f"messages of {topic} carry no stamp: write `stamps: arrival` in {mapping.path} to take the "
                "time at which they were recorded"
            )
        offsets.append(message.log_time - stamp)
    if max(offsets) - min(offsets) > CLOCKS:
        apart = (max(offsets) - min(offsets)) / SECOND
        raise InputError(
            f"the stamps of {', '.join(topics)} are of different clocks, {apart:.1f} s apart: write `stamps: "
            f"arrival` in {mapping.path} to take the time at which they were recorded"
        )
    return offsets[0] if abs(offsets[0]) > CLOCKS else 0


def _camera(bag: Bag, camera: CameraTopic, required: Camera) -> StationCamera:
    """The physical camera behind a topic: its pictures' size from the first of them."""
    message = _first(bag, camera.topic)
    picture = message.record()
    assert isinstance(picture, Picture)
    depth = required.encoding == "depth"
    if (picture.pixels.ndim == 2) != depth:
        kind = "depth" if picture.pixels.ndim == 2 else "colour"
        raise InputError(
            f"{camera.topic} shows {kind}; the contract's camera {camera.name!r} is {required.encoding}"
        )
    height, width = picture.pixels.shape[:2]
    scale = min(width / required.width, height / required.height)
    intrinsics = {
        "fx": required.fx * scale,
        "fy": required.fy * scale,
        "cx": (width - 1) / 2 + (required.cx - (required.width - 1) / 2) * scale,
        "cy": (height - 1) / 2 + (required.cy - (required.height - 1) / 2) * scale,
    }
    if camera.fx is not None:
        intrinsics = {name: getattr(camera, name) for name in intrinsics}
    steps = np.diff(bag.times(camera.topic))
    if not steps.size or not np.median(steps) > 0:
        raise InputError(f"{camera.topic} has {steps.size + 1} pictures; their rate cannot be told")
    return StationCamera(
        name=camera.name,
        topic=camera.topic,
        transport="raw" if message.type == IMAGE else "compressed",
        encoding=required.encoding,
        width=width,
        height=height,
        **intrinsics,
        distortion=camera.distortion,
        coefficients=camera.coefficients,
        frame=required.frame,
        position=required.position,
        quaternion=required.quaternion,
        rate=SECOND / float(np.median(steps)),
        delay=0.0,
    )


def _spans(bag: Bag, mapping: LogMapping) -> list[tuple[int, int, bool]]:
    """Beginnings and ends of episodes [ns], and whether such an end is the episode's own."""
    cutting, times = mapping.episodes, bag.times(mapping.state.topic)
    if cutting.by == "topic":
        check_type(bag, cutting.topic, (BOOL,), "what says whether an episode goes on")
        found = _while_true(bag, cutting.topic, int(times[-1]))
    elif cutting.by == "gap":
        edges = np.flatnonzero(np.diff(times) > cutting.gap * SECOND)
        firsts, lasts = [0, *(edges + 1).tolist()], [*edges.tolist(), len(times) - 1]
        found = [(int(times[a]), int(times[b])) for a, b in zip(firsts, lasts, strict=True) if b > a]
    else:
        found = [(int(times[0]), int(times[-1]))]
    longest = round(cutting.longest * SECOND)
    spans = []
    for begin, end in found:
        edges_of = [*range(begin, end, longest), end]
        spans += [(a, b, b == end) for a, b in pairwise(edges_of)]
    return spans


def _while_true(bag: Bag, topic: str, last: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for message in bag.messages([topic]):
        if bool(deserialize(BOOL, message.data).data):
            begin = message.log_time if begin is None else begin
        elif begin is not None:
            found.append((begin, message.log_time))
            begin = None
    if begin is not None and last > begin:
        found.append((begin, last))
    return found
