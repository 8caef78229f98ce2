"""How long logs take to import: seconds for each gigabyte of 640x480 images, all the way into a store.

The log is of the kind that a deployment leaves: two cameras of 640x480 pixels at 30 Hz, joint states,
filtered and sent torques and the monitor's state at 200 Hz, a policy's requests at 20 Hz, episodes of six
seconds. The pictures are a gradient with noise, as in `recording.py`; the contract is that of the shipped
grasping policy, whose pictures are 64x64. Beside the import stands how long it takes only to read the log's
messages.

    python benchmarks/importing.py
    python benchmarks/importing.py --images jpeg --gigabytes 0.5 --workers 1 --json
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from recording import pictures

from robolearn.data.importing.add import ADDED, import_logs
from robolearn.data.importing.plan import Options, plan_log
from robolearn.hardware.contracts import contract_of
from robolearn.hardware.recording.messages import encode
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.topics import EPISODE, FILTERED, MONITOR, REQUESTED, SENT, station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.runner import PolicyRunner
from robolearn.hardware.station import Station, load_station, station_values
from robolearn.hardware.wire import (
    GRIPPER,
    SECOND,
    EpisodeMark,
    JointState,
    MonitorStatus,
    Picture,
    TorqueRequest,
)
from robolearn.policies.bundle import Bundle

WIDTH, HEIGHT, EPISODE_TIME, PAUSE = 640, 480, 6.0, 1.0
MS = 1_000_000


@dataclass(frozen=True)
class Result:
    """Of one run.

    Attributes:
        images: how pictures were sent.
        workers: processes that imported.
        gigabytes: size of the log.
        episodes, steps: in the store afterwards.
        read: time to read the messages and nothing else, in one process [s/GB].
        imported: time of the import [s/GB].
        cpu: that all processes of the import took [s/GB]; on a machine that is busy this tells more.
    """

    images: str
    workers: int
    gigabytes: float
    episodes: int
    steps: int
    read: float
    imported: float
    cpu: float


class Still:
    """Asks for the same torque all the time."""

    def reset(self) -> None:
        """There is nothing to forget."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        return np.linspace(-1.0, 1.0, 8, dtype=np.float32)


def station() -> Station:
    """The simulated arm's, but with cameras as they are sold: the same views, ten times as fine."""
    basis = load_station("sim").with_cameras_of(contract_of("grasp"))
    cameras = []
    for camera in basis.cameras:
        scale = HEIGHT / camera.height
        fine = replace(camera, width=WIDTH, height=HEIGHT, cx=(WIDTH - 1) / 2, cy=(HEIGHT - 1) / 2)
        cameras.append(replace(fine, fx=scale * camera.fx, fy=scale * camera.fy, rate=30.0))
    return replace(basis, cameras=tuple(cameras))


def write_log(directory: Path, size: float, images: str) -> int:
    """A log of some episodes that is at least so large [bytes]; how large it is."""
    place = station()
    shots = {camera.name: pictures(camera.name, images) for camera in place.cameras}
    cameras = tuple(
        replace(camera, transport="raw" if images == "raw" else "compressed") for camera in place.cameras
    )
    place = replace(place, cameras=cameras)
    recorder = Recorder(directory, station_topics(place), split_bytes=2**62)
    number = 0
    start = 0
    while sum(file.stat().st_size for file in directory.iterdir()) < size:
        for topic, now, data in messages(place, shots, f"e{number:04d}", start):
            recorder.write(topic, now, now, data)
        recorder.flush()
        number += 1
        start += round((EPISODE_TIME + PAUSE) * SECOND)
    recorder.close()
    return sum(file.stat().st_size for file in directory.glob("*.mcap"))


def messages(
    place: Station, shots: dict[str, list[bytes]], name: str, start: int
) -> Iterator[tuple[str, int, bytes]]:
    """What a recorder hears of an episode, in order: topic, time [ns], bytes."""
    contract = contract_of("grasp")
    nothing: Any = None
    runner = PolicyRunner(Bundle(nothing, contract, "grasp", {}), place, Still())
    body: dict[str, object] = {
        "task": "grasp",
        "seed": None,
        "contract": contract.hash,
        "requires": contract.to_dict(),
        "setup": station_values(place),
        "action_source": "policy",
    }
    begin, end = start + round(PAUSE * SECOND), start + round((EPISODE_TIME + PAUSE) * SECOND)
    joints = (*place.joint_names, GRIPPER)
    # the policy needs pixels only to know that there are some; the log has the noisy ones
    blank = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    passing = MonitorStatus(0, "passing", "autonomous")
    request = TorqueRequest(0, place.joint_names, np.zeros(7), -1.0)
    frame = 0
    for now in range(start, end + 1, 5 * MS):
        state = JointState(now - 5 * MS, joints, np.arange(8.0) + now / SECOND, np.zeros(8), np.zeros(8))
        if state.stamp >= 0:
            yield place.state.topic, now, encode(state)
            runner.on_state(now, state)
        taken = start + round(frame * SECOND / 30)
        if now >= taken + 10 * MS:
            for camera in place.cameras:
                data = bytearray(shots[camera.name][frame % len(shots[camera.name])])
                data[4:12] = np.array(divmod(taken, SECOND), "<u4").tobytes()  # header.stamp
                yield camera.topic, now, bytes(data)
                runner.on_picture(now, Picture(taken, camera.name, blank))
            frame += 1
        if now == begin:
            runner.begin(now)
            runner.forget()
            yield EPISODE, now, encode(EpisodeMark(now, "begin", name, body))
        if runner.due(now) and (observation := runner.prepare(now)) is not None:
            request = runner.request(observation, runner.infer(observation), now)
            yield REQUESTED, now, encode(request)
        torque = encode(request)
        runner.on_filtered(now, request)
        yield SENT, now, torque
        yield FILTERED, now, torque
        yield MONITOR, now, encode(replace(passing, stamp=now))
    outcome = {"success": False, "reason": "time", "seconds": EPISODE_TIME}
    yield EPISODE, end, encode(EpisodeMark(end, "end", name, {"outcome": outcome, "judged_by": "predicate"}))


def run(size: float, images: str, workers: int, folder: Path) -> Result:
    """Write a log, read it, and import it."""
    gigabytes = write_log(folder / "log", size, images) / 1e9
    began = time.perf_counter()
    for _ in Log(folder / "log").messages():
        pass
    read = time.perf_counter() - began
    began, used = time.perf_counter(), sum(os.times()[:4])
    done = import_logs([folder / "log"], folder / "store", lambda log: plan_log(log, Options()), workers)
    imported, cpu = time.perf_counter() - began, sum(os.times()[:4]) - used
    assert done.count(ADDED) == len(done.reports), done.reports
    steps = sum(report.steps for _, report in done.reports)
    times = [seconds / gigabytes for seconds in (read, imported, cpu)]
    return Result(images, workers, gigabytes, len(done.reports), steps, *times)


def main(
    gigabytes: float = 2.0,
    images: Literal["raw", "jpeg", "png"] = "raw",
    workers: int = 2,
    directory: Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure how long an import takes.

    Args:
        gigabytes: size of the log.
        images: how the cameras sent their pictures.
        workers: processes that import.
        directory: on the disk to measure; a temporary one if not given.
        json_: print the figures as JSON.
    """
    folder = Path(tempfile.mkdtemp(dir=directory, prefix="importing-"))
    try:
        result = run(1e9 * gigabytes, images, workers, folder)
    finally:
        shutil.rmtree(folder)
    if json_:
        print(json.dumps({**asdict(result), "cores": os.cpu_count()}, indent=2))
        return
    print(f"{result.gigabytes:.2f} GB, {images} images: {result.episodes} episodes, {result.steps} steps")
    print(f"import    {result.imported:.1f} s/GB with {workers} processes, CPU {result.cpu:.1f} s/GB")
    print(f"read      {result.read:.1f} s/GB, one process, nothing done with it")


if __name__ == "__main__":
    tyro.cli(main)
