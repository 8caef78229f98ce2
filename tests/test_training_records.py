from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_policies import small_network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig
from robolearn.training.records import Recorder, Snapshots
from robolearn.training.run import Run, TrainConfig
from robolearn.training.scribe import Scribe


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def scribe(said: list[str]) -> Scribe:
    return Scribe(said.append)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    config = TrainConfig("grasp", {}, GuidedConfig(), VisuomotorConfig(), 1.0)
    with Run.create(tmp_path / "run", config) as run:
        yield run


def test_metrics_and_scalars_hold_the_mean_losses_since_the_last_line(run: Run, scribe: Scribe) -> None:
    recorder = Recorder(run, scribe)
    recorder.add({"torque": 1.0, "state": 4.0})
    recorder.add({"torque": 2.0, "state": 6.0})
    recorder.write(2, {"seconds": 1.5, "success": None})
    recorder.add({"torque": 7.0, "state": 0.0})
    recorder.add({"torque": 7.0})  # no state in this one
    recorder.write(3, {"seconds": 2.5, "success": 0.5})
    recorder.write(3, {"seconds": 2.6, "success": 0.5})  # no step since: the losses are as they were
    recorder.finish()
    scribe.finish()
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert lines == [
        {"seconds": 1.5, "success": None, "losses": {"torque": 1.5, "state": 5.0}},
        {"seconds": 2.5, "success": 0.5, "losses": {"torque": 7.0, "state": 0.0}},
        {"seconds": 2.6, "success": 0.5, "losses": {"torque": 7.0, "state": 0.0}},
    ]
    assert run.last_seconds() == 2.6
    events = EventAccumulator(str(run.path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss/state", "loss/torque", "seconds", "success"]
    assert [(e.step, e.value) for e in events.Scalars("loss/torque")] == [(2, 1.5), (3, 7.0), (3, 7.0)]


def test_a_resumed_run_takes_the_place_of_the_scalars_that_it_repeats(run: Run, tmp_path: Path) -> None:
    for first, values in ((0, {10: 1.0, 20: 2.0, 30: 3.0}), (20, {20: 7.0, 25: 8.0})):
        scribe = Scribe(print)
        recorder = Recorder(run, scribe, first)
        for step, value in values.items():
            recorder.write(step, {"reward": value})
        recorder.finish()
        scribe.finish()
    events = EventAccumulator(str(run.path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("reward")] == [(10, 1.0), (20, 7.0), (25, 8.0)]


def test_a_line_of_metrics_is_written_whole_or_not_at_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.append_metrics({"seconds": 1.0})

    class Half:
        """A file on a disk that fills in the middle of a write."""

        def __init__(self, file: object) -> None:
            self.file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def __enter__(self) -> Half:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()  # type: ignore[attr-defined]

        def write(self, line: bytes) -> int:
            return int(self.file.write(line[:5]))  # type: ignore[attr-defined]

    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Half(real(self, *a, **k)))
    with pytest.raises(OSError, match="No space left") as caught:
        run.append_metrics({"seconds": 2.0})
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    run.append_metrics({"seconds": 3.0})
    assert run.metrics.read_text() == '{"seconds": 1.0}\n{"seconds": 3.0}\n'
    with run.metrics.open("a") as file:
        file.write('{"secon')  # what a kill leaves
    assert run.last_seconds() == 3.0


def test_a_snapshot_stays_as_long_as_an_episode_needs_it(tmp_path: Path, scribe: Scribe) -> None:
    def wait(snapshots: Snapshots, name: str) -> None:
        while snapshots.latest is None or Path(snapshots.latest).name != name:
            assert scribe._thread.is_alive()

    snapshots = Snapshots(tmp_path, scribe, lambda path, policy: path.mkdir())
    policies = [small_network(seed=seed) for seed in range(3)]
    assert snapshots.latest is None
    snapshots.returned(None)
    snapshots.publish(1, policies[0])
    wait(snapshots, "0000001")
    first = snapshots.latest
    snapshots.taken(first)
    snapshots.taken(first)
    for number in (2, 3):
        snapshots.publish(number, policies[number - 1])
    wait(snapshots, "0000003")
    snapshots.returned(first)
    scribe.write("nothing", lambda: None)
    while scribe.backlog:
        pass
    assert sorted(os.listdir(tmp_path)) == ["0000001", "0000003"]  # one episode is still on its way
    assert (snapshots[first].steps, snapshots[first].policy) == (1, policies[0])
    snapshots.returned(first)
    scribe.finish()
    assert os.listdir(tmp_path) == ["0000003"]
    with pytest.raises(KeyError):
        snapshots[first]


def test_a_snapshot_that_cannot_be_written_is_never_the_latest(
    tmp_path: Path, scribe: Scribe, said: list[str]
) -> None:
    def save(path: Path, policy: Visuomotor) -> None:
        if path.name == "0000002":
            raise OSError(errno.ENOSPC, "No space left on device")

    snapshots, policy = Snapshots(tmp_path, scribe, save), small_network()
    snapshots.publish(1, policy)
    snapshots.publish(2, policy)
    scribe.finish()
    assert snapshots.latest == str(tmp_path / "0000001")
    assert list(snapshots._published) == [snapshots.latest]  # on a full disk they do not pile up in memory
    snapshots.returned(snapshots.latest)
    assert said == ["snapshots cannot be written (No space left on device); training goes on in memory"]
