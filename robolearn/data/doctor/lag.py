"""Cameras that lag behind the joints although their stamps look right.

Whenever the arm moves faster, pictures change more. How much more depends on what is seen, so what is
compared is how both *grow*: x = log(change of the picture) and y = log(motion of the joints), each from one
step to the next. Their correlation over all steps of an episode, or of one log's episodes, is largest where
they show the same moment. A camera that lags by k steps has its peak there.

Calibrated on 125 simulated and deployed episodes of two cameras each: no clean one, alone or in groups, is
beyond the bounds. In groups of five a lag of one or two steps of a fixed camera is found nearly always.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Array, Subject

LAG = "camera lag"

FARTHEST = 0.25
"""Lags up to this are looked for, either way [s]."""

FLOOR = 0.1
"""What is less than this share of the median counts as this: the logarithm of rest says nothing."""

TOGETHER, ALONE = 4.0, 5.0
"""By so many standard deviations of chance the peak of many episodes, or of one, must stand out from 0; from
the correlation without a lag by one less. There are more single episodes to be wrong about."""

FEWEST = 20
"""Steps below which an episode says nothing."""

REMEDY = (
    "measure the camera's delay (exposure, driver, network) and let its stamps say when pictures were taken; "
    "then import again"
)


@dataclass(frozen=True, eq=False)
class Correlation:
    """How two signals go together at lags from -k to k.

    Attributes:
        sums: of products of the two, each scaled to mean 0 and spread 1 in its episode, (2 k + 1,).
        steps: how many steps they are over.
    """

    sums: Array
    steps: int

    def __add__(self, other: Correlation) -> Correlation:
        return Correlation(self.sums + other.sums, self.steps + other.steps)

    def late(self, clear: float) -> tuple[int, float]:
        """By how many steps pictures are late (early where negative), and the correlation there.

        0 unless another lag is better by `clear` standard deviations (see `TOGETHER`).
        """
        middle = len(self.sums) // 2
        values, chance = self.sums / self.steps, 1.0 / np.sqrt(self.steps)
        best = int(values.argmax())
        apart = values[best] - values[middle] > (clear - 1.0) * chance
        if values[best] > clear * chance and apart:
            return best - middle, float(values[best])
        return 0, float(values[middle])


def correlate(change: Array, motion: Array, lags: int) -> Correlation | None:
    """The correlation of how a picture's change and the arm's motion grow.

    Args:
        change, motion: in each step, (T,) each, from 0 up.
        lags: how many steps are looked at, either way.

    Returns:
        it, or None where there are too few steps, or one of the two never changes.
    """
    if len(change) < max(FEWEST, 2 * lags + 2):
        return None
    scaled = []
    for signal in (change, motion):
        level = float(np.median(signal)) or float(signal.mean())
        if not level > 0.0:
            return None
        growth = np.diff(np.log(signal + FLOOR * level))
        if not growth.std() > 1e-9:
            return None
        scaled.append((growth - growth.mean()) / growth.std())
    x, y = scaled
    steps = len(x)
    sums = [
        float(x[max(0, k) : steps + min(0, k)] @ y[max(0, -k) : steps - max(0, k)])
        for k in range(-lags, lags + 1)
    ]
    return Correlation(np.array(sums), steps)


def correlations(subject: Subject) -> dict[str, Correlation]:
    """Of each camera whose episode says something."""
    if subject.motion is None:
        return {}
    lags = max(1, round(FARTHEST / subject.period))
    found = {name: correlate(change, subject.motion, lags) for name, change in subject.change.items()}
    return {name: correlation for name, correlation in found.items() if correlation is not None}


class LagSurvey:
    """Adds up the correlations of each log's, or other origin's, episodes."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, float, float], tuple[Correlation, int, int]] = {}

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode; a finding where it alone is clear."""
        tolerance = subject.episode.contract.delay_tolerance
        for camera, found in correlations(subject).items():
            key = (subject.row.origin, camera, subject.period, tolerance)
            known = self._groups.get(key)
            total = found if known is None else known[0] + found
            first, count = (subject.row.number, 0) if known is None else known[1:]
            self._groups[key] = (total, first, count + 1)
            late, correlation = found.late(ALONE)
            if abs(late) * subject.period > tolerance:
                yield subject.finding(
                    LAG,
                    "warning",
                    f"camera {camera} shows motion {_told(late, subject.period)} the joints (correlation "
                    f"{correlation:.2f} there)",
                    REMEDY,
                    channel=camera,
                    value=late * subject.period,
                    bound=tolerance,
                )

    def of(self, origin: str, camera: str) -> Correlation | None:
        """The correlation of an origin's episodes; None where they say nothing."""
        found = [
            group[0] for (whose, name, *_), group in self._groups.items() if (whose, name) == (origin, camera)
        ]
        return max(found, key=lambda correlation: correlation.steps, default=None)

    def finish(self) -> Iterator[Finding]:
        """What whole groups say."""
        for (origin, camera, period, tolerance), (total, first, count) in self._groups.items():
            late, correlation = total.late(TOGETHER)
            if count > 1 and abs(late) * period > tolerance:
                yield Finding(
                    LAG,
                    "error",
                    f"in the {count} episodes of {origin} camera {camera} shows motion {_told(late, period)} "
                    f"the joints (correlation {correlation:.2f} there)",
                    REMEDY,
                    value=late * period,
                    bound=tolerance,
                    episode=first,
                    channel=camera,
                )


def _told(late: int, period: float) -> str:
    return f"{1e3 * abs(late) * period:.0f} ms {'after' if late > 0 else 'before'}"
