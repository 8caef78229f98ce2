"""What a gate asks of the task's simulator: whether the contract fits, success, and the limiter's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from robolearn.data.episode import Episode
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError
from robolearn.hardware.station import Station
from robolearn.improving.gate_record import Check
from robolearn.policies.bundle import Bundle
from robolearn.training.evaluation import check_offer, evaluate, task_changes
from robolearn.training.statistics import difference_interval, wilson_interval

CONFIDENCE = 0.90
"""Of the two-sided interval of a difference: each of its ends is a one-sided bound at 95 %."""

SEEING = ("observe", "image_size", "cameras")
"""Fields of a task's configuration that say how a policy looks at the task, not what the task is."""

Tables = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Episodes of the candidate and of the one that it is held against, in the order of the same seeds."""

Progress = Callable[[Episode], None]


def contract_check(new: Bundle, incumbent: Bundle | None, station: Station) -> Check:
    """Whether the station offers what the candidate requires, and it is for the incumbent's task and arm."""
    wrong = [str(gap) for gap in new.contract.satisfied_by(station.with_cameras_of(new.contract).offer())]
    if incumbent is not None:
        if new.task != incumbent.task:
            wrong.append(f"its task is {new.task}, the incumbent's {incumbent.task}")
        for name in ("arm", "joints", "action"):
            mine, theirs = getattr(new.contract, name), getattr(incumbent.contract, name)
            if mine != theirs:
                wrong.append(f"{name}: {mine}, the incumbent's {theirs}")
    if not wrong:
        try:
            check_offer(new.contract, new.task, task_changes(new, {}))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        return Check(
            "contract", "failed", True, f"{len(wrong)} gaps: {'; '.join(wrong)}"[:2000], {"gaps": wrong}
        )
    return Check(
        "contract", "passed", True, f"station {station.name} and the task offer all that it requires"
    )


def same_task(new: Bundle, other: Bundle, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes under which `other` meets the very task that `new` is for, seen with its own eyes."""
    wanted = {key: value for key, value in new.changes.items() if key not in SEEING}
    defaults = task_class(other.task).config_type()
    for key in other.changes:
        if key not in SEEING and key not in wanted:
            wanted[key] = getattr(defaults, key)
    return {**wanted, **changes}


def evaluate_both(
    new: Bundle,
    other: Bundle,
    episodes: int,
    seed: int,
    changes: Mapping[str, Any],
    workers: int | None,
    progress: Progress | None = None,
) -> Tables:
    """Run two policies on the same episodes of the task that the first one is for."""
    assert new.path is not None
    assert other.path is not None
    options: dict[str, Any] = {"workers": workers, "progress": progress}
    first = evaluate(new.path, episodes, seed, changes, **options).table
    second = evaluate(other.path, episodes, seed, same_task(new, other, changes), **options).table
    return first, second


def success_check(
    tables: Tables, margin: float, name: str = "success", against: str = "the incumbent"
) -> Check:
    """Whether success is not worse by more than the margin: a test of non-inferiority on paired episodes.

    Passed if the one-sided 95 % lower bound of the difference (Agresti and Min 2005, on the pairs of the same
    seed) lies above minus the margin.
    """
    mine, theirs = ([bool(row["success"]) for row in table] for table in tables)
    figures = {
        "candidate": _rate(mine),
        "other": _rate(theirs),
        **paired_difference(mine, theirs),
        "margin": margin,
    }
    low, _ = figures["interval"]
    passed = low >= -margin
    words = (
        f"{sum(mine)} of {len(mine)} against {sum(theirs)} of {against} on the same seeds: difference "
        f"{figures['difference']:+.3f}, at 95 % at least {low:+.3f}; {-margin:+.3f} is allowed"
    )
    return Check(name, "passed" if passed else "failed", True, words, figures)


def limiter_check(tables: Tables, most: float) -> Check:
    """Whether the limiter alters the candidate's requests seldom, or no more often than the incumbent's."""
    mine, theirs = (
        sum(row["altered_ticks"] or 0 for row in table) / max(sum(row["ticks"] or 0 for row in table), 1)
        for table in tables
    )
    bound = max(most, theirs)
    words = f"{100 * mine:.2f} % of the ticks altered; allowed are {100 * bound:.2f} %, the incumbent's are "
    words += f"{100 * theirs:.2f} %"
    figures = {"candidate": mine, "incumbent": theirs, "most": most}
    return Check("limiter", "passed" if mine <= bound else "failed", True, words, figures)


# --- counting -----------------------------------------------------------------------------------------------


def _rate(successes: Sequence[bool]) -> dict[str, Any]:
    count = sum(successes)
    low, high = wilson_interval(count, len(successes))
    return {
        "successes": count,
        "episodes": len(successes),
        "rate": count / len(successes),
        "interval": [low, high],
    }


def paired_difference(mine: Sequence[bool], theirs: Sequence[bool]) -> dict[str, Any]:
    """Difference of two shares in pairs, with the interval whose ends are one-sided bounds at 95 %."""
    won = sum(a and not b for a, b in zip(mine, theirs, strict=True))
    lost = sum(b and not a for a, b in zip(mine, theirs, strict=True))
    low, high = difference_interval(lost, won, len(mine), CONFIDENCE)
    return {"won": won, "lost": lost, "difference": (won - lost) / len(mine), "interval": [low, high]}
