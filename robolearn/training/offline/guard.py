"""What a fine-tuned policy has to show before it takes the place of the one that it began as.

A duel: both act, without exploring, on the same scenes, on which nobody has acted before. So it does not
matter that the policy was picked as the best of several. It is kept if it succeeded there no less often, and
if it is not worse by more than a margin, at 95 %: the gate's own test of non-inferiority (`success_check`).
And then, where there is a regression suite, the gate's check of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robolearn.errors import InputError
from robolearn.improving.gate_record import Check
from robolearn.improving.gate_simulation import success_check
from robolearn.improving.gate_suite import Case, read_suite, regression_check, standards
from robolearn.policies.bundle import load_bundle


def better(new: Sequence[bool], old: Sequence[bool], margin: float) -> Check:
    """Whether a policy may be kept after a duel.

    Args:
        new, old: whether each scene was a success, of the policy and of the one that it all began with.
        margin: by how much it may be worse, at 95 %.
    """
    tables = ([{"success": s} for s in new], [{"success": s} for s in old])
    found = success_check(tables, margin, "duel", "the bundle's policy")
    if found.verdict == "passed" and found.figures["difference"] < 0.0:
        return Check("duel", "failed", True, f"{found.reason}; but it did worse", found.figures)
    return found


def check_duel(episodes: int, margin: float) -> None:
    """Raise an InputError where no duel so short could end well."""
    if better([True] * episodes, [False] * episodes, margin).verdict != "passed":
        least = next(n for n in range(1, 1000) if better([True] * n, [False] * n, margin).verdict == "passed")
        raise InputError(
            f"duel is {episodes}, and winning it all would not even show that a policy is no worse by "
            f"{margin:g}: give at least {least}, or a larger margin"
        )


def read_regressions(file: str | None, task: str) -> list[Case]:
    """The cases of a regression suite; none without a file.

    Raises:
        InputError: it cannot be used, or is about another task.
    """
    cases = [] if file is None else read_suite(Path(file))
    standards(cases, task)
    return cases


def regressed(place: Path, cases: Sequence[Case], margin: float, workers: int) -> Check:
    """What a regression suite says of the bundle in a directory."""
    return regression_check(load_bundle(place), cases, margin, workers)


def figures_of(check: Check | None) -> dict[str, Any] | None:
    """A check as it is kept, JSON-like."""
    return None if check is None else {"verdict": check.verdict, "reason": check.reason, **check.figures}
