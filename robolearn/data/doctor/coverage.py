"""How much of what the simulator varies from episode to episode was seen: the initial conditions of a store.

Generated episodes tell in their `info` what was drawn for them. Each range is cut into bins, and counted is
which of them hold an episode. As many uniform draws as there are episodes would cover a share

    1 - (1 - 1 / bins) ** episodes

which is what is expected. Logs of an arm tell of none of this but the posture in which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Array, Subject
from robolearn.envs.randomisation import RICH, TIERS

COVERAGE = "coverage"

BINS = 10
"""Of a range of numbers; whole numbers and objects have a bin each."""

FEWEST = 20
"""Episodes below which nothing is said about what they cover."""

CHANCE = 1e-3
"""Coverage is too small if uniform draws leave as many bins empty with less than this probability,"""
LITTLE = 0.5
"""and very small below this share, where more is expected."""

START, NARROW = 0.03, 0.03
"""The simulator begins within this of its usual posture, in each joint [rad]; starts that differ by less than
the other, from the lowest to the highest, hardly differ."""

POSTURE = "starting posture"

LAST_THREE = 3  # joints of the wrist, which have a friction of their own

Range = tuple[float, float]

_TASK_RANGES = {
    "hole_shift": "hole_shift",
    "hole_yaw": "hole_turn",
    "grasp_shift": "grasp_shift",
    "grasp_tilt": "grasp_tilt",
}
"""What a task draws from minus to plus a field of its configuration: names in `info` and in it."""


@dataclass
class Coverage:
    """What episodes of a task cover of one range.

    Attributes:
        task, name: the task, and what varies.
        low, high: the range.
        own: whether these episodes were to cover it; False where it is the range of the tier "rich", and they
            were generated without that variation.
        counts: episodes by component and bin, (components, bins).
        episodes: how many tell of it.
        outside: values that lie outside the range.
    """

    task: str
    name: str
    low: float
    high: float
    own: bool
    counts: NDArray[np.int64]
    episodes: int = 0
    outside: int = 0

    @property
    def draws(self) -> float:
        """Values of each component."""
        return float(self.counts.sum()) / len(self.counts)

    @property
    def covered(self) -> float:
        """Share of bins with a value, the mean over components."""
        return float((self.counts > 0).mean())

    @property
    def expected(self) -> float:
        """The same for as many uniform draws."""
        return 1.0 - (1.0 - 1.0 / self.counts.shape[1]) ** self.draws

    @property
    def least(self) -> float:
        """The share that uniform draws would hardly ever stay below.

        How many bins stay empty is about as a Poisson distribution has it, or varies less.
        """
        bins = self.counts.shape[1]
        mean = bins * (1.0 - self.expected)
        empty, probability = 0, np.exp(-mean)
        total = probability
        while total < 1.0 - CHANCE:
            empty += 1
            probability *= mean / empty
            total += probability
        return max(1.0 - empty / bins, 0.0)

    @property
    def range(self) -> str:
        """The range in words."""
        bins = self.counts.shape[1]
        return f"one of {bins}" if self.high - self.low == bins else f"{self.low:g} to {self.high:g}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        told = {name: getattr(self, name) for name in ("task", "name", "low", "high", "own", "episodes")}
        shares = {name: getattr(self, name) for name in ("outside", "covered", "expected")}
        return {**told, **shares, "bins": self.counts.sum(0).tolist()}


@dataclass(eq=False)
class CoverageSurvey:
    """Counts what episodes say of their conditions.

    Attributes:
        ranges: what is covered, complete after `finish`.
        untold: by task, episodes that do not tell of each thing that the simulator varies.
    """

    ranges: list[Coverage] = field(default_factory=list)
    untold: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known: dict[tuple[Any, ...], Coverage] = {}
        self._starts: dict[tuple[str, tuple[str, ...]], list[Array]] = {}

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode."""
        episode = subject.episode
        for name, low, high, bins, own, values in _drawn(episode.info, episode.config):
            key = (episode.task, name, low, high, own, len(values), bins)
            if key not in self._known:
                counts = np.zeros((len(values), bins), np.int64)
                self._known[key] = Coverage(episode.task, name, low, high, own, counts)
            _count(self._known[key], values)
        untold = self.untold.setdefault(episode.task, {})
        for name in _VARIED:
            if name not in episode.info:
                untold[name] = untold.get(name, 0) + 1
        if subject.q is not None and np.isfinite(subject.q[0]).all():
            joints = episode.contract.joints
            self._starts.setdefault((episode.task, joints), []).append(subject.q[0])
        return iter(())

    def finish(self) -> Iterator[Finding]:
        """What is covered too little."""
        self.ranges = list(self._known.values())
        for (task, joints), starts in self._starts.items():
            yield from self._posture(task, joints, np.array(starts))
        fixed: dict[str, list[Coverage]] = {}
        for coverage in self.ranges:
            if coverage.name == POSTURE or coverage.episodes < FEWEST:
                continue
            if not coverage.own:
                fixed.setdefault(coverage.task, []).append(coverage)
            elif coverage.covered < coverage.least - 1e-9:
                yield _too_little(coverage)
        for task, ranges in fixed.items():
            names = ", ".join(coverage.name for coverage in ranges)
            yield Finding(
                COVERAGE,
                "note",
                f"in {max(c.episodes for c in ranges)} episodes of {task} these do not vary: {names}",
                "for a policy that is to leave the simulator, generate with --set randomisation=rich",
                channel="randomisation",
            )

    def _posture(self, task: str, joints: tuple[str, ...], starts: Array) -> Iterator[Finding]:
        """Coverage of where the arm began (episodes, n), about the median of it [rad]."""
        middle = np.median(starts, axis=0)
        counts = np.zeros((len(joints), BINS), np.int64)
        coverage = Coverage(task, POSTURE, -START, START, True, counts)
        for start in starts:
            _count(coverage, start - middle)
        self.ranges.append(coverage)
        spread = float(np.ptp(starts, axis=0).mean())
        if len(starts) >= FEWEST and spread < NARROW:
            yield Finding(
                COVERAGE,
                "note",
                f"{len(starts)} episodes of {task} begin with joints that differ by {spread:.4f} rad in the "
                f"mean; the simulator begins within {START:g} rad of its usual posture, either way",
                "let the arm begin a little elsewhere each time",
                value=spread,
                bound=NARROW,
                channel=POSTURE,
            )


def _too_little(coverage: Coverage) -> Finding:
    little = coverage.covered < LITTLE < coverage.expected
    return Finding(
        COVERAGE,
        "warning" if little else "note",
        f"{coverage.episodes} episodes of {coverage.task} cover {100 * coverage.covered:.0f} % of the range "
        f"of {coverage.name}, {coverage.range}; as many uniform draws would cover "
        f"{100 * coverage.expected:.0f} %",
        "collect episodes with what is missing: docs/environments.md tells what each range means",
        value=coverage.covered,
        bound=coverage.least,
        channel=coverage.name,
    )


def _count(coverage: Coverage, values: Array) -> None:
    """Put an episode's values, one a component, into their bins."""
    bins = coverage.counts.shape[1]
    width = (coverage.high - coverage.low) / bins
    place = np.floor((values - coverage.low) / width + 1e-9).astype(np.int64)
    slack = 1e-9 * (coverage.high - coverage.low)
    inside = (values >= coverage.low - slack) & (values <= coverage.high + slack)
    place = np.clip(place, 0, bins - 1)  # the upper end belongs to the last bin
    np.add.at(coverage.counts, (np.flatnonzero(inside), place[inside]), 1)
    coverage.outside += int((~inside).sum())
    coverage.episodes += 1


Drawn = tuple[str, float, float, int, bool, Array]


def _drawn(info: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Drawn]:
    """What was drawn for an episode: name, low, high, bins, whether it was to vary, and the values (k,)."""
    tier = TIERS.get(str(config.get("randomisation")))
    if tier is not None:
        for name in _VARIED:
            values = _numbers(info.get(name))
            if values is None:
                continue
            for suffix, attribute, part in _parts(name, values):
                mine, rich = getattr(tier, attribute), getattr(RICH, attribute)
                own = _varies(mine)
                low, high, bins = _bounds(mine if own else rich)
                yield name + suffix, low, high, bins, own, part
    for name, source in _TASK_RANGES.items():
        values, far = _numbers(info.get(name)), config.get(source)
        if values is not None and isinstance(far, int | float) and far > 0:
            yield name, -float(far), float(far), BINS, True, values
    yield from _objects(info, config)


_VARIED = (
    "observation_delay",
    "action_delay",
    "light_intensity",
    "light_shift",
    "texture",
    "distractors",
    "camera_shift",
    "camera_turn",
    "focal_scale",
    "mass_scale",
    "friction_scale",
    "torque_gain",
    "joint_friction",
)
"""What `Randomisation.sample` draws and tells of; all but the friction of joints has a field of its name."""


def _parts(name: str, values: Array) -> Iterator[tuple[str, str, Array]]:
    """The parts of a sampled value that have ranges of their own: suffix of the name, field, values."""
    if name != "joint_friction":
        yield "", name, values
        return
    if len(values) > LAST_THREE:
        yield " upper", "joint_friction_upper", values[:-LAST_THREE]
    yield " wrist", "joint_friction_wrist", values[-LAST_THREE:]


def _varies(value: Any) -> bool:
    return bool(value[0] < value[1]) if isinstance(value, tuple) else value > 0.0


def _bounds(value: Any) -> tuple[float, float, int]:
    """Low, high and bins of a range, of whole numbers, or of a probability (then: no or yes)."""
    if not isinstance(value, tuple):
        return -0.5, 1.5, 2
    low, high = value
    if isinstance(low, int) and isinstance(high, int):
        return low - 0.5, high + 0.5, high - low + 1
    return float(low), float(high), BINS


def _objects(info: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Drawn]:
    names, split = info.get("objects"), config.get("objects")
    if not isinstance(names, list):
        return
    from robolearn.envs.objects.library import SPLITS, library  # logs of an arm need no simulator

    if split not in SPLITS:
        return
    known = [thing.name for thing in library(split)]
    for name in names:
        if name in known:
            place = np.array([float(known.index(name))])
            yield f"objects ({split})", -0.5, len(known) - 0.5, len(known), True, place


def _numbers(value: Any) -> Array | None:
    """A sampled value as numbers (k,); None where there is none."""
    try:
        numbers = np.asarray(value, float).reshape(-1) if value is not None else np.zeros(0)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.size and np.isfinite(numbers).all() else None
