"""What is counted in a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.recording import topics
from robolearn.hardware.recording.messages import Record, encode
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import EpisodeMark, MonitorStatus, TorqueRequest
from robolearn.improving.runs import Run, paired, read_runs, summary_of

STATION = load_station("sim")
BOUNDS = limiter_parameters(STATION.arm, STATION.monitor.rate)
TICK = 5_000_000
Write = Callable[[int, str, Record], None]


def log_of(path: Path, *messages: tuple[int, str, Record], station: Station = STATION) -> list[Run]:
    """The episodes of a log with messages at ticks."""
    recorder = Recorder(path, topics.station_topics(STATION))
    for tick, topic, record in messages:
        recorder.write(topic, tick * TICK, tick * TICK, encode(record))
    recorder.close()
    return read_runs(path, station)


def torque(tick: int, *values: float, topic: str = topics.SENT) -> tuple[int, str, Record]:
    numbers = np.zeros(7)
    numbers[: len(values)] = values
    return tick, topic, TorqueRequest(tick * TICK, STATION.joint_names, numbers)


def status(tick: int, mode: str = "passing", *causes: str) -> tuple[int, str, Record]:
    return tick, topics.MONITOR, MonitorStatus(tick * TICK, mode, "autonomous", causes)


def mark(tick: int, kind: str, seed: int = 4, success: bool = True) -> tuple[int, str, Record]:
    body: dict[str, object] = {"seed": seed}
    if kind == "end":
        body["outcome"] = {"success": success, "reason": "success" if success else "time"}
    return tick, topics.EPISODE, EpisodeMark(tick * TICK, kind, f"episode-{seed}", body)


def test_an_episode_is_what_lies_between_its_marks(tmp_path: Path) -> None:
    (run,) = log_of(
        tmp_path / "log",
        status(1, "stopped", "state_lost"),
        torque(2, 1.0, topic=topics.REQUESTED),
        mark(3, "begin"),
        status(4, "passing", "limited_rate", "limited_speed"),
        torque(4, 1.0, topic=topics.REQUESTED),
        status(5, "holding", "request_late"),
        status(6, "stopped", "speed", "limited_rate"),
        mark(7, "end", success=False),
        status(8, "stopped", "position"),
    )
    assert run == Run(
        seed=4,
        success=False,
        reason="time",
        seconds=4 * 0.005,
        asked=1,
        ticks=3,
        altered=2,
        limited={"rate": 2, "speed": 1},
        held=2,
        stops=("speed",),
        sent=0,
        beyond=0,
    )
    assert Run.from_dict(asdict(run) | {"stops": list(run.stops)}) == run


def test_every_torque_beyond_a_bound_is_counted_whenever_it_was_sent(tmp_path: Path) -> None:
    most, step = BOUNDS.tau_max[0], BOUNDS.dtau[0]
    ramp = [torque(k, k * step) for k in range(1, 4)]
    runs = log_of(
        tmp_path / "log",
        *ramp,
        torque(4, 3 * step + 1.5 * step),  # too fast, before the episode
        mark(5, "begin"),
        torque(9, most),  # after a pause nobody can tell how fast
        torque(10, most + 0.1),
        torque(11, np.nan),
        mark(12, "end"),
        torque(20, -most),
        mark(21, "begin", seed=5),
        torque(22, -most + step),
        mark(23, "end", seed=5),
    )
    assert [(run.sent, run.beyond) for run in runs] == [(7, 3), (2, 0)]


@pytest.mark.parametrize(("deactivation", "beyond"), [("set_bool", 0), ("none", 1)])
def test_an_arm_that_is_never_deactivated_keeps_its_torque_in_a_pause(
    tmp_path: Path, deactivation: str, beyond: int
) -> None:
    step = BOUNDS.dtau[0]
    station = replace(STATION, controller=replace(STATION.controller, deactivation=deactivation))
    messages = (
        mark(1, "begin"),
        torque(2, 3 * step),
        torque(90, 2 * step),
        torque(180, -step),
        mark(190, "end"),
    )
    (run,) = log_of(tmp_path / "log", *messages, station=station)
    assert (run.sent, run.beyond) == (3, beyond)


def test_a_beginning_without_an_end_is_no_episode_and_marks_may_come_twice(tmp_path: Path) -> None:
    messages = (mark(1, "begin"), mark(2, "begin"), mark(4, "end"), mark(5, "end"), mark(6, "begin", 5))
    (run,) = log_of(tmp_path / "log", *messages)
    assert run.seconds == pytest.approx(3 * 0.005)


def a_run(seed: int, success: bool, **changes: object) -> Run:
    values: dict[str, object] = {
        "seed": seed,
        "success": success,
        "reason": "success" if success else "time",
        "seconds": 2.0,
        "asked": 40,
        "ticks": 400,
        "altered": 0,
        "limited": {},
        "held": 0,
        "stops": (),
        "sent": 500,
        "beyond": 0,
    }
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def test_figures_of_many_episodes() -> None:
    runs = [a_run(seed, seed < 3) for seed in range(9)]
    runs.append(a_run(9, False, altered=40, limited={"rate": 40}, held=20, stops=("speed",), beyond=2))
    found = summary_of(runs)
    assert (found["episodes"], found["successes"], found["rate"]) == (10, 3, 0.3)
    assert found["interval"] == pytest.approx([0.1078, 0.6032], abs=1e-3)
    assert found["reasons"] == {"time": 7, "success": 3}
    assert found["interventions"] == {
        "altered": 0.01,
        "limited": {"rate": 0.01},
        "held": 0.005,
        "stopped": 1,
        "stops": {"speed": 1},
    }
    assert (found["sent"], found["violations"]) == (5000, 2)
    with pytest.raises(InputError, match="no episode"):
        summary_of([])


def test_pairs_of_the_same_seed() -> None:
    before = [{"seed": seed, "success": seed < 2} for seed in range(4)]
    after = [{"seed": seed, "success": seed > 0} for seed in range(1, 5)]
    assert paired(before, after) == (0, 2, 3)
