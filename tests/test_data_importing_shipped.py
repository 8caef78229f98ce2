"""The shipped grasping policy, deployed and logged: imported is what it saw and asked for, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from recorded_logs import read_one

from robolearn.data.episode import Source
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import read_episode
from robolearn.data.store import Store, Transitions
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.recording.messages import Record, encode
from robolearn.hardware.recording.topics import station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import load_station
from robolearn.policies.bundle import load_bundle


class Witness:
    """Passes on to the network, and remembers what it was shown and what it did."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.shown: list[dict[str, np.ndarray]] = []
        self.did: list[np.ndarray] = []

    def reset(self) -> None:
        self.network.reset()

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        action = self.network.act(observation)
        self.shown.append({name: value.copy() for name, value in observation.items()})
        self.did.append(np.array(action))
        return np.asarray(action)


def test_the_shipped_policy_is_given_back_to_the_bit(tmp_path: Path) -> None:
    bundle, station = load_bundle("grasp"), load_station("sim")
    recorder = Recorder(tmp_path / "log", station_topics(station.with_cameras_of(bundle.contract)))

    def record(topic: str, now: int, record: Record) -> None:
        recorder.write(topic, now, now, encode(record))

    witness = Witness(bundle.network)
    process = OneProcess(bundle, station, actor=witness, record=record)
    outcome = process.run_episode(20_000)
    recorder.close()
    process.close()

    episode, report = read_one(tmp_path / "log")
    assert report.counts == {}
    assert len(witness.did) - len(episode) in (0, 1)
    for k, action in enumerate(episode.requested):
        np.testing.assert_array_equal(action, witness.did[k].astype(np.float64))
        for name, value in witness.shown[k].items():
            assert episode.observations[name].dtype == value.dtype
            np.testing.assert_array_equal(episode.observations[name][k], value, err_msg=f"{name} {k}")
    assert (episode.outcome.success, episode.outcome.reason) == (outcome.success, outcome.reason)
    assert episode.outcome.interventions == outcome.interventions
    assert episode.outcome.altered_ticks == outcome.altered_ticks
    assert set(episode.source.tolist()) == {Source.POLICY}

    # and from the store as a batch that a learner takes
    (job,) = plan_log(tmp_path / "log", Options()).jobs
    ((episode,), _) = read_episode(job)
    with Store.create(tmp_path / "store") as store:
        store.add(episode, origin=job.origin, policy=job.span.policy)
        batch = Transitions(store).batch(16, np.random.default_rng(0))
    assert batch.observation["front"].shape == (16, 64, 64, 3)
    rows = [np.flatnonzero((episode.filtered.astype(np.float32) == a[:7]).all(1)) for a in batch.action]
    assert all(found.size for found in rows)
