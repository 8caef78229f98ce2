"""What recording costs: CPU, bytes and lost messages at the rates of a robot with two cameras.

One process stands for the recorder's node: messages come in real time, as bytes, and are queued for the
thread that writes them. Two cameras send 640x480 images at 30 Hz; joint state and the three torques come at
200 Hz, the monitor's state at 20 Hz. CPU is that of the whole process less that of making the messages, as a
share of one core. Pictures are a gradient with noise, and raw ones are not compressed.

    python benchmarks/recording.py
    python benchmarks/recording.py --seconds 60 --images jpeg --json
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from robolearn.hardware.recording import messages as types
from robolearn.hardware.recording.background import RecorderThread, Status
from robolearn.hardware.recording.messages import encode, encode_compressed
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.topics import FILTERED, MONITOR, REQUESTED, SENT, Topic
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.wire import JointState, MonitorStatus, Picture, TorqueRequest

STATE, CAMERAS = "/joint_states", ("/front/image", "/wrist/image")
NAMES = tuple(f"joint{i}" for i in range(1, 8))
IMAGES = 16
"""Different pictures that a camera sends in turn."""


@dataclass(frozen=True)
class Result:
    """Of one run.

    Attributes:
        seconds: that it took.
        images: how pictures were sent.
        sent, lost, read: messages queued, given up, and found in the log afterwards.
        megabytes_per_second: written.
        cpu: of recording, as a share of one core.
        slowest_call: longest time that queueing a message took [s].
    """

    seconds: float
    images: str
    sent: int
    lost: int
    read: int
    megabytes_per_second: float
    cpu: float
    slowest_call: float


def pictures(camera: str, images: str) -> list[bytes]:
    """The messages that a camera sends in turn."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:480, 0:640]
    result = []
    for i in range(IMAGES):
        base = (rows[..., None] * [0.3, 0.2, 0.1] + columns[..., None] * [0.1, 0.2, 0.3] + 4 * i) % 256
        pixels = np.clip(base + rng.normal(0, 3, base.shape), 0, 255).astype(np.uint8)
        picture = Picture(0, camera, pixels)
        result.append(encode(picture) if images == "raw" else encode_compressed(picture, images))
    return result


def run(seconds: float, images: str, directory: Path) -> Result:
    """Record for so long, then read what was recorded."""
    kind = types.IMAGE if images == "raw" else types.COMPRESSED_IMAGE
    joints = [Topic(name, types.JOINT_STATE) for name in (STATE, REQUESTED, FILTERED, SENT)]
    topics = (*joints, *(Topic(name, kind) for name in CAMERAS), Topic(MONITOR, types.DIAGNOSTICS))
    state = encode(JointState(0, NAMES, np.arange(7.0), np.zeros(7), np.zeros(7)))
    torque = encode(TorqueRequest(0, NAMES, np.arange(7.0), -1.0))
    small = {STATE: state, REQUESTED: torque, FILTERED: torque, SENT: torque}
    status = encode(MonitorStatus(0, "passing", "autonomous"))
    shots = {camera: pictures(camera, images) for camera in CAMERAS}

    recorder = RecorderThread(Recorder(directory / "log", topics), lambda status: print(status))
    sent, slowest, queueing, frame = 0, 0.0, 0.0, 0
    start, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    for tick in range(round(seconds * 200)):
        due = [*small.items()]
        if tick % 10 == 0:
            due.append((MONITOR, status))
        if tick * 30 // 200 >= frame:
            due += [(camera, shots[camera][frame % IMAGES]) for camera in CAMERAS]
            frame += 1
        now = time.time_ns()
        before = time.thread_time()
        for topic, data in due:
            begin = time.perf_counter()
            recorder.write(topic, now, now, data)
            slowest = max(slowest, time.perf_counter() - begin)
        queueing += time.thread_time() - before
        sent += len(due)
        time.sleep(max(0.0, start + (tick + 1) / 200 - time.perf_counter()))
    end: Status = recorder.close()
    elapsed = time.perf_counter() - start
    share = (time.process_time() - cpu - (time.thread_time() - own) + queueing) / elapsed
    size = sum(file.stat().st_size for file in (directory / "log").iterdir())
    return Result(
        seconds=elapsed,
        images=images,
        sent=sent,
        lost=sum(end.lost.values()),
        read=sum(1 for _ in Log(directory / "log").messages()),
        megabytes_per_second=size / elapsed / 1e6,
        cpu=share,
        slowest_call=slowest,
    )


def main(
    seconds: float = 30.0,
    images: Literal["raw", "jpeg", "png"] = "raw",
    directory: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure what recording costs.

    Args:
        seconds: how long.
        images: how the cameras send their pictures.
        directory: on the disk to measure; a temporary one if not given.
        json_: print the figures as JSON.
    """
    folder = Path(tempfile.mkdtemp(dir=directory, prefix="recording-"))
    try:
        result = run(seconds, images, folder)
    finally:
        shutil.rmtree(folder)
    if json_:
        print(json.dumps({**asdict(result), "cores": os.cpu_count()}, indent=2))
        return
    print(f"{result.seconds:.1f} s, {images} images, {result.megabytes_per_second:.1f} MB/s written")
    print(f"messages  {result.sent} sent, {result.lost} lost, {result.read} read back")
    print(f"CPU       {result.cpu:.1%} of one core; slowest call {result.slowest_call * 1e3:.2f} ms")


if __name__ == "__main__":
    tyro.cli(main)
