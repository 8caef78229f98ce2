"""Logs of which much is lost or damaged: whatever comes of them is true, and nothing else is raised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recorded_logs import FRONT, STATES, WRIST, Deployed, deploy, write

from robolearn.data.episode import Episode, Source
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import read_episode
from robolearn.errors import InputError
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.topics import FILTERED, MONITOR, REQUESTED, SENT
from robolearn.hardware.wire import Picture, TorqueRequest

ALL = (STATES, FRONT, WRIST, REQUESTED, FILTERED, SENT, MONITOR)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("fuzz") / "log")


@pytest.fixture(scope="module")
def said(deployed: Deployed) -> dict[str, set[bytes]]:
    """Everything that the log says, to the bit: torques and pictures."""
    result: dict[str, set[bytes]] = {topic: set() for topic in ALL}
    for message in Log(deployed.log).messages(ALL):
        record = message.record()
        if isinstance(record, TorqueRequest):
            result[message.topic].add(np.asarray(record.torque).tobytes())
        elif isinstance(record, Picture):
            result[message.topic].add(record.pixels.tobytes())
    return result


def check(episode: Episode, said: dict[str, set[bytes]]) -> None:
    episode.validate()
    assert (np.diff(episode.stamps) <= 0.125 + 1e-9).all()
    asked = np.isfinite(episode.requested[:, :7])
    assert (asked.all(1) | ~asked.any(1)).all()
    assert (episode.source[~asked.all(1)] == Source.MONITOR).all()
    told = {
        REQUESTED: episode.requested[asked.all(1), :7],
        FILTERED: episode.filtered,
        SENT: episode.sent,
        FRONT: episode.observations["front"],
        WRIST: episode.observations["wrist"],
    }
    for topic, rows in told.items():
        made_up = [k for k, row in enumerate(rows) if row.tobytes() not in said[topic]]
        assert not made_up, topic


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_the_rest_is_true(
    deployed: Deployed, said: dict[str, set[bytes]], tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    lost = {topic: rng.choice([0.0, 0.0, 0.05, 0.3, 0.8]) for topic in ALL}
    kept = [m for m in Log(deployed.log).messages() if rng.random() >= lost.get(m.topic, 0.0)]
    plan = plan_log(write(tmp_path / "log", kept), Options())
    for job in plan.jobs:
        episodes, report = read_episode(job)
        assert bool(episodes) != bool(report.refused)
        assert sum(map(len, episodes)) <= len(deployed.guide.did[0])
        for episode in episodes:
            check(episode, said)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_gives_what_is_whole_in_it(
    deployed: Deployed, said: dict[str, set[bytes]], tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    (file,) = deployed.log.glob("*.mcap")
    data = bytearray(file.read_bytes())
    # at the end stand index and definitions, of which every byte counts
    for place in rng.integers(0, len(data), seed).tolist() + rng.integers(-9000, 0, 3 * seed).tolist():
        data[place] = rng.integers(256)
    damaged = tmp_path / "damaged.mcap"
    damaged.write_bytes(data[: int(rng.uniform(0.3, 1.2) * len(data))])
    try:
        plan = plan_log(damaged, Options())
    except InputError:
        return
    for job in plan.jobs:
        episodes, _ = read_episode(job)
        for episode in episodes:
            check(episode, said)
