"""Episodes that are nearly one another's copies.

A store refuses what it holds already, bit by bit. What was imported twice in different ways (another cut,
another origin, stamps or numbers rounded) gets in. So of each episode the smallest hashes of its transitions
are kept: a sketch of some numbers, by which one sees what share two episodes have in common, wherever in them
it is (Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject

COPIES = "near copy"

KEPT = 32
"""Hashes in a sketch."""

FEWEST = 8
"""Different transitions below which an episode is not compared."""

SAME = 0.3
"""Two episodes with more than this share of their transitions in common are nearly copies."""

GRID = 1e-4
"""Numbers are rounded to this before they are compared."""

FAR = 1e12
"""Numbers beyond it count as this one."""

PIXELS = 64
"""So many values of a picture stand for it where there are no other readings."""

Hashes = NDArray[np.uint64]

_RNG = np.random.default_rng(19970611)
_FACTORS = _RNG.integers(1, 2**63, 4096, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def sketch(rows: NDArray[Any]) -> Hashes:
    """The smallest hashes of two rows in a row, at most `KEPT`, sorted; of rows (T, k) of numbers.

    Rows that are no numbers are left out; transitions that come again count once.
    """
    rows = rows[np.isfinite(rows).all(1)]
    if len(rows) < 2:
        return np.zeros(0, np.uint64)
    whole = np.round(np.clip(rows.astype(float), -FAR, FAR) / GRID).astype(np.int64).view(np.uint64)
    factors = np.resize(_FACTORS, whole.shape[1])
    with np.errstate(over="ignore"):
        single = _mixed((_mixed(whole) * factors).sum(1, dtype=np.uint64))
        pairs = _mixed(single[:-1] * _FACTORS[0] + single[1:])
    return np.unique(pairs)[:KEPT]


class CopySurvey:
    """Keeps a sketch of the actions and one of the observations of every episode."""

    def __init__(self) -> None:
        self._hashes: dict[str, list[Hashes]] = {"observations": [], "actions": []}
        self._rows: list[tuple[int, str]] = []

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode."""
        episode = subject.episode
        steps = [*episode.requested.T, *episode.filtered.T]  # of what was not asked for, what was sent
        asked = np.nan_to_num(np.stack(steps, 1), nan=0.0, posinf=0.0, neginf=0.0)
        for kind, rows in (("observations", _observed(subject)), ("actions", asked)):
            found = sketch(rows)
            self._hashes[kind].append(found if len(found) >= FEWEST else found[:0])
        self._rows.append((subject.row.number, subject.row.origin))
        return iter(())

    def finish(self) -> Iterator[Finding]:
        """Which episodes have too much in common, each with the first one that it is like."""
        observed, acted = (_shares(self._hashes[kind]) for kind in ("observations", "actions"))
        for later in sorted(observed.keys() | acted.keys()):
            kind, found = ("observations", observed) if later in observed else ("actions", acted)
            earlier, share = found[later]
            (number, origin), (other, whose) = self._rows[later], self._rows[earlier]
            also = " and its actions" if kind == "observations" and later in acted else ""
            whose = f"episode {other}" if origin == whose else f"episode {other} of {whose}"
            yield Finding(
                COPIES,
                "warning" if kind == "observations" else "note",
                f"about {100 * share:.0f} % of its {kind}{also} are those of {whose}",
                "keep one of them: a copy counts twice, and one that is held out knows the other"
                if kind == "observations"
                else "fine if somebody played the same actions again; else keep one of them",
                value=share,
                bound=SAME,
                episode=number,
                channel=kind,
            )


def _observed(subject: Subject) -> NDArray[Any]:
    """What was read at each moment, (T + 1, k); pixels of the first camera if there is nothing else."""
    episode = subject.episode
    names = [channel.name for channel in episode.contract.proprioception]
    if names:
        return np.concatenate([episode.observations[name] for name in names], 1)
    for camera in episode.contract.cameras:
        flat = episode.observations[camera.name].reshape(len(episode) + 1, -1)
        return flat[:, :: max(1, flat.shape[1] // PIXELS)]
    return np.zeros((0, 1))


def _shares(sketches: list[Hashes]) -> dict[int, tuple[int, float]]:
    """By episode: the first one that shares enough of its sketch, and what share."""
    if not any(len(each) for each in sketches):
        return {}
    hashes = np.concatenate(sketches)
    owner = np.repeat(np.arange(len(sketches)), [len(each) for each in sketches])
    order = np.lexsort((owner, hashes))
    hashes, owner = hashes[order], owner[order]
    fresh = np.concatenate([[True], hashes[1:] != hashes[:-1]])
    first = owner[np.maximum.accumulate(np.where(fresh, np.arange(len(owner)), 0))]
    pairs, counts = np.unique(np.stack([owner, first], 1)[~fresh], axis=0, return_counts=True)
    found: dict[int, tuple[int, float]] = {}
    for (later, earlier), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        share = count / min(len(sketches[later]), len(sketches[earlier]))
        if share > SAME and share > found.get(later, (0, 0.0))[1]:
            found[later] = (earlier, share)
    return found


def _mixed(values: Hashes) -> Hashes:
    """Numbers spread over all of 64 bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
