"""What a gate asks of logged episodes: what they say of a candidate's value, and where they say nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from robolearn.data.store.manifest import EpisodeRow, Query
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.improving.gate_record import Check
from robolearn.policies.bundle import Bundle
from robolearn.policies.evaluation.behaviour import Behaviour, fit_behaviour
from robolearn.policies.evaluation.doubly_robust import doubly_robust, expectations, trajectories
from robolearn.policies.evaluation.fqe import FittedQ, FQEConfig, fitted_q
from robolearn.policies.evaluation.logged import Floats, Logged, read_logged
from robolearn.policies.evaluation.phases import read_phases
from robolearn.policies.evaluation.support import SUPPORTED, Support, unsupported

VALUE, SUPPORT = "off-policy value", "unsupported actions"

ONE_SIDED = 1.645
"""Standard deviations to a one-sided bound at 95 %."""

FEWEST = 10
"""Logged episodes below which nothing is judged by them."""

Say = Callable[[str], None]


def chosen(store: Store, task: str, most: int) -> list[EpisodeRow]:
    """The newest episodes of a task in which torques were commanded."""
    return [row for row in store.episodes(Query(task=task)) if row.labelled][-most:]


def data_hash(episodes: Sequence[EpisodeRow]) -> str:
    """Hash of what happened in some episodes, in any order."""
    contents = sorted(row.content for row in episodes)
    return hashlib.sha256("".join(contents).encode()).hexdigest()


def not_judged(reason: str) -> list[Check]:
    """Both checks where they have nothing to go by: required all the same."""
    return [Check(name, "not judged", True, reason) for name in (VALUE, SUPPORT)]


def logs_checks(
    new: Bundle,
    incumbent: Bundle,
    store: Store,
    episodes: Sequence[EpisodeRow],
    config: FQEConfig,
    most: float,
    say: Say,
) -> list[Check]:
    """Judge a candidate by logged episodes.

    Args:
        new, incumbent: the candidate and who it is held against.
        store: with the episodes.
        episodes: which of them.
        config: of fitted Q evaluation.
        most: largest share of unsupported actions that passes, where the incumbent's is no larger.
        say: is told how far it is.
    """
    if len(episodes) < FEWEST:
        return not_judged(f"the store holds {len(episodes)} episodes of {new.task}; it takes {FEWEST}")
    policies = {"candidate": new.network, "incumbent": incumbent.network}
    try:
        logged, proposed = read_logged(store, episodes, [incumbent.network], policies)
        phase = read_phases(store, episodes)
    except InputError as error:
        return not_judged(f"the logs do not fit: {error}")
    say(f"logs: {len(logged)} episodes, {len(logged.action)} actions")
    behaviour = fit_behaviour(logged)
    fitted = {}
    for name in policies:
        say(f"logs: fitted Q evaluation of the {name}")
        fitted[name] = fitted_q(logged, proposed[name], config)
    support = {name: unsupported(logged, proposed[name], behaviour, phase) for name in policies}
    return [
        _value_check(logged, proposed, behaviour, fitted),
        _support_check(support["candidate"], support["incumbent"], most),
    ]


def _value_check(
    logged: Logged, proposed: dict[str, Floats], behaviour: Behaviour, fitted: dict[str, FittedQ]
) -> Check:
    """Whether the logs do not speak against the candidate."""
    gain = fitted["candidate"].values - fitted["incumbent"].values  # of one draw of episodes each
    half = ONE_SIDED * float(gain.std(ddof=1))
    mean = float(gain.mean())
    figures: dict[str, Any] = {"difference": mean, "interval": [mean - half, mean + half]}
    for name, found in fitted.items():
        expected = expectations(logged, proposed[name], behaviour, found)
        robust = doubly_robust(trajectories(logged, proposed[name], behaviour, *expected))
        spread = ONE_SIDED * float(found.values.std(ddof=1))
        figures[name] = {
            "fitted": found.value,
            "interval": [found.value - spread, found.value + spread],
            "doubly_robust": asdict(robust),
        }
    figures["logged"] = float(np.bincount(logged.episode, _discounted(logged)).mean())
    passed = mean + half >= 0.0
    words = (
        f"discounted success by the logs {figures['candidate']['fitted']:.3f}, the incumbent's "
        f"{figures['incumbent']['fitted']:.3f}, the logs' own {figures['logged']:.3f}: difference "
        f"{mean:+.3f}, at 95 % at most {mean + half:+.3f}; it must not lie below 0"
    )
    return Check(VALUE, "passed" if passed else "failed", True, words, figures)


def _support_check(mine: Support, theirs: Support, most: float) -> Check:
    figures = {"candidate": asdict(mine), "incumbent": asdict(theirs), "most": most, "supported": SUPPORTED}
    if mine.share is None or theirs.share is None:
        words = "too few logged actions in every phase of the task to say which are supported"
        return Check(SUPPORT, "not judged", True, words, figures)
    bound = max(most, theirs.share)
    worst = max((share, name) for name, share in mine.phases.items() if share is not None)
    words = (
        f"{100 * mine.share:.1f} % of its actions lie beyond {100 * SUPPORTED:g} % of the logged ones, most "
        f"in {worst[1]}, {100 * worst[0]:.1f} %; allowed are {100 * bound:.1f} %, the incumbent's are "
        f"{100 * theirs.share:.1f} %"
    )
    return Check(SUPPORT, "passed" if mine.share <= bound else "failed", True, words, figures)


def _discounted(logged: Logged) -> Floats:
    """Of each step's reward, as it counts at its episode's beginning, (N,)."""
    step = logged.row - logged.first[logged.episode]
    return np.asarray(logged.reward * logged.discount**step, np.float32)
