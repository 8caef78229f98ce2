"""An episode as the checks look at it: what several of them need is worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding, Severity
from robolearn.data.episode import Episode
from robolearn.data.store.manifest import EpisodeRow

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subject:
    """An episode of T steps with n joints, and what the manifest says of it."""

    row: EpisodeRow
    episode: Episode

    def finding(
        self,
        check: str,
        severity: Severity,
        found: str,
        remedy: str,
        *,
        channel: str = "",
        value: float | None = None,
        bound: float | None = None,
        component: int | None = None,
        step: int | None = None,
        last: int | None = None,
    ) -> Finding:
        """Something found in this episode; see `Finding`."""
        number = self.row.number
        return Finding(check, severity, found, remedy, value, bound, number, channel, component, step, last)

    @property
    def period(self) -> float:
        """Of control [s]."""
        return 1.0 / self.episode.contract.control_rate

    @cached_property
    def intervals(self) -> Array:
        """From each observation to the next, (T,) [s]."""
        return np.diff(self.episode.stamps)

    @cached_property
    def q(self) -> Array | None:
        """Joint positions, (T + 1, n) [rad]; None where they are not observed."""
        return self._per_joint("q")

    @cached_property
    def dq(self) -> Array | None:
        """Joint speeds, (T + 1, n) [rad/s]; None where they are not observed."""
        return self._per_joint("dq")

    @cached_property
    def moved(self) -> Array | None:
        """How far each joint moved in each step, by positions or, without them, by speeds: (T, n) [rad].

        Where a reading is no number the joint counts as still. None where neither is observed.
        """
        if self.q is not None:
            found = np.diff(self.q, axis=0)
        elif self.turned is not None:
            found = self.turned
        else:
            return None
        return np.nan_to_num(np.abs(found), nan=0.0, posinf=0.0, neginf=0.0)

    @cached_property
    def turned(self) -> Array | None:
        """How far each joint should have moved in each step by its speeds, (T, n) [rad]; None without."""
        if self.dq is None:
            return None
        return (self.dq[1:] + self.dq[:-1]) / 2 * self.intervals[:, None]

    @cached_property
    def motion(self) -> Array | None:
        """How far the arm moved in each step, all joints together, (T,) [rad]; None where nobody knows."""
        return None if self.moved is None else np.asarray(np.linalg.norm(self.moved, axis=1))

    @cached_property
    def change(self) -> dict[str, Array]:
        """By camera: how much the picture changed in each step, the mean over its pixels, (T,)."""
        return {c.name: _change(self.episode.observations[c.name]) for c in self.episode.contract.cameras}

    @property
    def labelled(self) -> bool:
        """Whether torques were commanded; not where a person moved the arm by hand."""
        return self.episode.info.get("torque_labels") is not False

    def limit(self, name: str) -> Array | None:
        """A bound of the contract's limiter for each joint, (n,); None where it has none."""
        value = self.episode.contract.limiter.get(name)
        if value is None:
            return None
        return np.broadcast_to(np.asarray(value, float), (len(self.episode.contract.joints),))

    def at(self, step: int) -> str:
        """When an observation was taken, for people: the time since the first."""
        return f"{self.episode.stamps[step] - self.episode.stamps[0]:.2f} s"

    def joint(self, component: int) -> str:
        """Name of a joint."""
        return self.episode.contract.joints[component]

    def _per_joint(self, name: str) -> Array | None:
        channels = [c for c in self.episode.contract.proprioception if c.name == name and c.per_joint]
        return self.episode.observations[name].astype(float) if channels else None


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches in which a mask (T,) holds: where each begins, and where it has ended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def worst(numbers: Array) -> tuple[int, ...]:
    """Where an array has its largest number; what is no number counts as nothing."""
    place = np.unravel_index(int(np.argmax(np.nan_to_num(numbers, nan=-np.inf))), numbers.shape)
    return tuple(int(i) for i in place)


def _change(pictures: NDArray[Any]) -> Array:
    flat = pictures.reshape(len(pictures), -1)
    if flat.dtype == np.uint8:  # in bytes, which is quick and takes no room
        return np.asarray((np.maximum(flat[1:], flat[:-1]) - np.minimum(flat[1:], flat[:-1])).mean(1))
    return np.asarray(np.abs(np.diff(np.nan_to_num(flat.astype(float)), axis=0)).mean(1))
