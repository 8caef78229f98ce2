"""What a log says of its episodes: how each ended, what the monitor did, and whether a limit was broken.

It is read off the wire, the same for an arm behind ROS and for one in this process: nothing here knows the
simulator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError
from robolearn.hardware.limiter import CAUSES, limiter_parameters
from robolearn.hardware.recording import topics
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, EpisodeMark, MonitorStatus, TorqueRequest
from robolearn.training.statistics import wilson_interval

ROUNDING = 1e-9
"""By so much a torque may lie beyond a bound: sums are rounded [N·m]."""


@dataclass(frozen=True)
class Run:
    """An episode.

    Attributes:
        seed: of the episode.
        success: whether it reached its goal.
        reason: why it ended, in a word.
        seconds: how long it ran [s].
        asked: torques that were asked for.
        ticks: of the monitor.
        altered: ticks in which the limiter altered the request.
        limited: the same by cause; a tick may have several.
        held: ticks in which the monitor held or stopped the arm.
        stops: what stopped it: names of the monitor's causes.
        sent: torques that were sent since the episode before.
        beyond: how many of them lay beyond the limiter's hard bounds, in magnitude or in change.
    """

    seed: int
    success: bool
    reason: str
    seconds: float
    asked: int
    ticks: int
    altered: int
    limited: dict[str, int]
    held: int
    stops: tuple[str, ...]
    sent: int
    beyond: int

    @classmethod
    def from_dict(cls, value: object) -> Run:
        """The inverse of `asdict`, after JSON; raises InputError for anything else."""
        data = checks.exact_keys("an episode", value, [f.name for f in fields(cls)])
        return cls(**{**data, "stops": tuple(data["stops"])})


def read_runs(directory: Path, station: Station) -> list[Run]:
    """The episodes of a log, in the order of their ends.

    Raises:
        InputError: there is no log, or a message in it cannot be read.
    """
    log, counting = Log(directory), _Counting(station)
    wanted = (topics.EPISODE, topics.MONITOR, topics.REQUESTED, topics.SENT)
    for message in log.messages(wanted):
        counting.hear(message.topic, message.log_time, message.record())
    return counting.runs


class _Counting:
    """Hears a log's messages in the order of time."""

    def __init__(self, station: Station) -> None:
        self.runs: list[Run] = []
        bounds = limiter_parameters(station.arm, station.monitor.rate)
        self._most, self._change = np.array(bounds.tau_max), np.array(bounds.dtau)
        # a controller that was deactivated meanwhile begins anew; another one keeps what it was sent last
        self._gap = 1.5 * SECOND / station.monitor.rate if station.may_deactivate else np.inf
        self._last: tuple[int, NDArray[Any]] | None = None
        self._sent = self._beyond = 0
        self._begin: tuple[int, EpisodeMark] | None = None
        self._tally = _Tally()

    def hear(self, topic: str, now: int, record: object) -> None:
        """A message, received at a time [ns]."""
        if isinstance(record, EpisodeMark):
            self._mark(now, record)
        elif topic == topics.SENT and isinstance(record, TorqueRequest):
            self._send(now, record.torque)
        elif self._begin is not None and isinstance(record, MonitorStatus):
            self._tally.add(record)
        elif self._begin is not None and topic == topics.REQUESTED:
            self._tally.asked += 1

    def _mark(self, now: int, mark: EpisodeMark) -> None:
        if mark.kind == "begin":
            if self._begin is None or self._begin[1].episode != mark.episode:  # a latched mark may come twice
                self._begin, self._tally = (now, mark), _Tally()
            return
        if self._begin is None or self._begin[1].episode != mark.episode:
            return
        begun, first = self._begin
        outcome = checks.mapping("outcome of a mark", mark.body.get("outcome"))
        tally = self._tally
        self.runs.append(
            Run(
                seed=checks.whole("seed of a mark", first.body.get("seed"), 0),
                success=checks.flag("success of a mark", outcome.get("success")),
                reason=checks.text("reason of a mark", outcome.get("reason")),
                seconds=(now - begun) / SECOND,
                asked=tally.asked,
                ticks=tally.ticks,
                altered=tally.altered,
                limited=dict(tally.limited),
                held=tally.held,
                stops=tuple(sorted(tally.stops)),
                sent=self._sent,
                beyond=self._beyond,
            )
        )
        self._begin, self._sent, self._beyond = None, 0, 0

    def _send(self, now: int, torque: NDArray[Any]) -> None:
        excess = np.abs(torque) - self._most
        if self._last is not None and now - self._last[0] <= self._gap:
            excess = np.maximum(excess, np.abs(torque - self._last[1]) - self._change)
        self._last = now, torque
        self._sent += 1
        self._beyond += not (excess <= ROUNDING).all()  # written so that NaN lies beyond


@dataclass
class _Tally:
    asked: int = 0
    ticks: int = 0
    altered: int = 0
    held: int = 0
    limited: Counter[str] = field(default_factory=Counter)
    stops: set[str] = field(default_factory=set)

    def add(self, status: MonitorStatus) -> None:
        limited = [cause for cause in CAUSES if f"limited_{cause}" in status.causes]
        self.ticks += 1
        self.altered += bool(limited)
        self.limited.update(limited)
        self.held += status.mode != "passing"
        if status.mode == "stopped":
            self.stops.update(cause for cause in status.causes if not cause.startswith("limited_"))


def summary_of(runs: Iterable[Run]) -> dict[str, Any]:
    """The figures of some episodes, at least one; JSON-like.

    Raises:
        InputError: there is none.
    """
    runs = list(runs)
    if not runs:
        raise InputError("there is no episode to count")
    successes, ticks = sum(run.success for run in runs), max(sum(run.ticks for run in runs), 1)
    limited: Counter[str] = Counter()
    for run in runs:
        limited.update(run.limited)
    low, high = wilson_interval(successes, len(runs))
    return {
        "episodes": len(runs),
        "successes": successes,
        "rate": successes / len(runs),
        "interval": [low, high],
        "reasons": dict(Counter(run.reason for run in runs).most_common()),
        "running": sum(run.seconds for run in runs),
        "interventions": {
            "altered": sum(run.altered for run in runs) / ticks,
            "limited": {cause: limited[cause] / ticks for cause in CAUSES if limited[cause]},
            "held": sum(run.held for run in runs) / ticks,
            "stopped": sum(bool(run.stops) for run in runs),
            "stops": dict(Counter(cause for run in runs for cause in run.stops).most_common()),
        },
        "sent": sum(run.sent for run in runs),
        "violations": sum(run.beyond for run in runs),
    }


def paired(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> tuple[int, int, int]:
    """Episodes of the same seeds that only the first of two policies lost, that only it won, and all of them.

    Args:
        before, after: rows with `seed` and `success`.
    """
    first = {row["seed"]: bool(row["success"]) for row in before}
    second = {row["seed"]: bool(row["success"]) for row in after}
    both = first.keys() & second.keys()
    lost = sum(first[seed] and not second[seed] for seed in both)
    won = sum(second[seed] and not first[seed] for seed in both)
    return lost, won, len(both)
