"""Logs of the short, coarse task of `small_policies`, with outcomes of one's choice."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_policies import CHANGES, TASK

from robolearn.data.episode import Episode
from robolearn.data.store.store import Store
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec

STATE = ("q", "dq", "tau", "gripper", "state")
STATE_WORDS = ["grasp", "--image-size", "24", "--episode-seconds", "0.4", "--from-state"]


@functools.cache
def recorded(observe: tuple[str, ...], count: int) -> tuple[Episode, ...]:
    """Episodes of the exploring teacher, eight steps each; none of them succeeds so early."""
    runner = Runner()
    changes: dict[str, Any] = {**CHANGES, "observe": observe}
    try:
        return tuple(
            runner(EpisodeSpec(TASK, changes, 1_000_000 + number, exploration=1.0)) for number in range(count)
        )
    finally:
        runner.close()


def small_logs(
    path: Path, observe: tuple[str, ...] = STATE, successes: Sequence[bool] = (True, False, True, False)
) -> str:
    """A store of as many episodes as outcomes are given; returns its path."""
    with Store.create(path) as store, store.group():
        for episode, success in zip(recorded(observe, len(successes)), successes, strict=True):
            outcome = replace(episode.outcome, success=success, reason="success" if success else "time")
            store.add(replace(episode, outcome=outcome), origin="a test", policy="teacher")
    return str(path)
