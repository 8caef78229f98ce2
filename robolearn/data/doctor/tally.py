"""Counts for the page's histograms: constant room, however many episodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Array, Subject

LONGEST = 600.0  # s: longer episodes count as this long


class Histogram:
    """Counts of values in bins of one width; what is outside counts at the ends.

    Attributes:
        label: what is counted, with its unit.
        edges: of the bins, (bins + 1,).
        counts: (bins,).
    """

    def __init__(self, label: str, high: float, bins: int) -> None:
        self.label = label
        self.edges = np.linspace(0.0, high, bins + 1)
        self.counts = np.zeros(bins, np.int64)

    def add(self, values: Array | float) -> None:
        """Count values, those that are no numbers left out."""
        finite = np.asarray(values, float).reshape(-1)
        finite = finite[np.isfinite(finite)]
        self.counts += np.histogram(np.clip(finite, 0.0, self.edges[-1]), self.edges)[0]

    def outline(self) -> tuple[Array, Array]:
        """Corners of the bars' outline, x and y, up to the last bin with anything in it."""
        used = int(np.flatnonzero(self.counts).max(initial=0)) + 1
        edges, counts = self.edges[: used + 1], self.counts[:used].astype(float)
        return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(counts, 2), [0.0]])

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {"label": self.label, "edges": self.edges.tolist(), "counts": self.counts.tolist()}


class Tally:
    """Histograms of what episodes are like."""

    def __init__(self) -> None:
        self.lengths = Histogram("seconds an episode", LONGEST, 1200)
        self.torques = Histogram(
            "torque sent, share of its limit in percent, the highest of all joints", 120.0, 60
        )
        self.speeds = Histogram(
            "joint speed, share of its limit in percent, the highest of all joints", 200.0, 50
        )
        self.brightness: dict[str, Histogram] = {}

    @property
    def histograms(self) -> list[Histogram]:
        """Those with anything in them, brightness aside."""
        return [each for each in (self.lengths, self.torques, self.speeds) if each.counts.any()]

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode."""
        episode = subject.episode
        self.lengths.add(float(episode.stamps[-1] - episode.stamps[0]))
        self.torques.add(_shares(episode.sent, subject.limit("tau_max")))
        self.speeds.add(_shares(subject.dq, subject.limit("dq_max")))
        for camera in episode.contract.cameras:
            if camera.encoding == "rgb8":
                known = self.brightness.setdefault(camera.name, Histogram("mean of a picture", 255.0, 64))
                pictures: NDArray[Any] = episode.observations[camera.name]
                known.add(pictures.reshape(len(pictures), -1).mean(1))
        return iter(())

    def finish(self) -> Iterator[Finding]:
        """Nothing is wrong with numbers that are only counted."""
        return iter(())


def _shares(values: Array | None, limit: Array | None) -> Array:
    """Of each row, the largest share of its limit, in percent."""
    if values is None or limit is None:
        return np.zeros(0)
    return np.asarray(100.0 * (np.abs(values) / limit).max(1))
