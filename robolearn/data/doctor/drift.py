"""Contracts that differ within one store: the same numbers then mean different things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from robolearn.contract import Contract
from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject
from robolearn.terminal import brief

DRIFT = "contract drift"

SHOWN = 3
"""Values of a field that are told, the most frequent first."""


class DriftSurvey:
    """Counts contracts and calibrations."""

    def __init__(self) -> None:
        self._contracts: dict[str, Contract] = {}
        self._episodes: Counter[str] = Counter()
        self._calibrations: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode."""
        name = subject.row.contract
        self._contracts[name] = subject.episode.contract
        self._episodes[name] += 1
        self._first.setdefault(name, subject.row.number)
        if subject.row.calibration:
            self._calibrations[subject.row.calibration] += 1
        return iter(())

    def finish(self) -> Iterator[Finding]:
        """Every field in which contracts differ."""
        fields = {name: dict(_flat(contract.to_dict())) for name, contract in self._contracts.items()}
        names = dict.fromkeys(key for each in fields.values() for key in each)
        usual = self._episodes.most_common(1)[0][0] if self._episodes else ""
        for field in names:
            values: dict[str, list[str]] = {}
            for name, each in fields.items():
                values.setdefault(brief(each.get(field), 6), []).append(name)
            if len(values) < 2:
                continue
            counted = {text: sum(self._episodes[name] for name in whose) for text, whose in values.items()}
            ordered = sorted(counted.items(), key=lambda item: -item[1])
            words = "; ".join(f"{text} ({count})" for text, count in ordered[:SHOWN])
            more = f"; and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
            other = next(name for whose in values.values() if usual not in whose for name in whose)
            yield Finding(
                DRIFT,
                "warning",
                f"contracts differ in {field}, by number of episodes: {words}{more}",
                "keep to one (Query(contract=...) selects), or make sure that the difference does not matter",
                value=float(len(values)),
                bound=1.0,
                episode=self._first[other],
                channel=field,
            )
        if len(self._calibrations) > 1:
            words = ", ".join(
                f"{name[:12]} ({count})" for name, count in self._calibrations.most_common(SHOWN)
            )
            yield Finding(
                DRIFT,
                "note",
                f"episodes are of {len(self._calibrations)} calibrations of the cameras: {words}",
                "fine after a new calibration; if nobody calibrated, the cameras were moved",
                value=float(len(self._calibrations)),
                bound=1.0,
                channel="calibration",
            )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries by their path ("cameras.front.position"); lists of named things by their names."""
    for key, entry in value.items():
        path = f"{prefix}{key}"
        if isinstance(entry, Mapping):
            yield from _flat(entry, f"{path}.")
        elif isinstance(entry, list | tuple) and entry and all(isinstance(each, Mapping) for each in entry):
            yield from _flat({str(each.get("name", i)): each for i, each in enumerate(entry)}, f"{path}.")
        else:
            yield path, entry
