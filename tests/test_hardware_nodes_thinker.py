"""The thread on which a policy's network runs."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from robolearn.hardware.alignment import Observation
from robolearn.hardware.nodes.policy_node import Thinker


class Slow:
    """A runner whose network takes until it is let go; writes a diary."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.diary: list[tuple[str, str]] = []

    def _note(self, what: str) -> None:
        self.diary.append((what, threading.current_thread().name))

    def infer(self, observation: Observation) -> str:
        self._note("begins to think")
        assert self.go.wait(60.0)
        self._note("has thought")
        return "action"

    def request(self, observation: Observation, action: str, now: int) -> str:
        return action

    def forget(self) -> None:
        self._note("forgets")


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_policy_forgets_on_its_own_thread_and_never_while_it_thinks() -> None:
    runner, asked = Slow(), []
    thinker = Thinker(runner, asked.append)  # type: ignore[arg-type]
    thinker.think(Observation(0, 0, {}))
    until(lambda: runner.diary)
    thinker.forget()  # an episode begins
    time.sleep(0.05)
    assert [what for what, _ in runner.diary] == ["begins to think"]
    runner.go.set()
    until(lambda: len(runner.diary) == 3)
    assert runner.diary == [(what, "policy") for what in ("begins to think", "has thought", "forgets")]
    assert asked == ["action"]
    assert thinker.since is None
    thinker.close()


def test_one_that_cannot_forget_is_dead_as_one_that_cannot_think() -> None:
    runner = SimpleNamespace(forget=lambda: 1 / 0)
    thinker = Thinker(runner, None)  # type: ignore[arg-type]
    thinker.forget()
    until(lambda: thinker.failure)
    until(lambda: thinker.since is not None)
    assert "ZeroDivisionError" in thinker.failure
