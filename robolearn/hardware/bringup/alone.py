"""A deployment without ROS: the same cores in one process, with the same log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from robolearn.hardware.monitor.states import Authority
from robolearn.hardware.oneprocess import run_episodes
from robolearn.hardware.recording.messages import Record, encode
from robolearn.hardware.recording.topics import station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import Station
from robolearn.policies.bundle import load_bundle


def run_alone(policy: str, station: Station, seeds: Iterable[int], authority: str, directory: Path) -> int:
    """Run episodes of a policy on a simulated clock, print how they went, and leave the log.

    Args:
        policy: a bundle.
        station: a simulated one.
        seeds: of the episodes.
        authority: "assisted" or "autonomous".
        directory: of the log, a new one.

    Raises:
        InputError: the station does not offer what the policy requires.
    """
    bundle = load_bundle(policy)
    recorder = Recorder(directory, station_topics(station.with_cameras_of(bundle.contract)))

    def record(topic: str, now: int, record: Record) -> None:
        recorder.write(topic, now, now, encode(record))

    try:
        outcomes = run_episodes(bundle, station, seeds, record=record, authority=Authority[authority.upper()])
    finally:
        recorder.close()
    for index, outcome in enumerate(outcomes):
        print(f"episode {index}: {outcome.reason} after {outcome.seconds:.1f} s")
    successes = sum(outcome.success for outcome in outcomes)
    print(f"{successes} of {len(outcomes)} episodes succeeded; the log is {directory}")
    return 0
