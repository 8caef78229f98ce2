from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import torch

from robolearn.training.rollout import EpisodeSpec, run_episode
from robolearn.training.tally import RECENT, Clock, Every, Tally, process_start


def test_the_running_success_is_of_the_policys_own_latest_episodes() -> None:
    from robolearn.envs.tasks import make

    observe = {"observe": ("q", "dq", "state")}
    episode = run_episode(make("peg-insertion", observe), EpisodeSpec("peg-insertion", observe, 3), None)
    assert episode.outcome.success
    tally = Tally()
    tally.add(episode, alone=False)
    assert (tally.success, tally.episodes, tally.frames) == (None, 1, len(episode))
    assert tally.text(7) == "episodes 1  steps 7"
    tally.own.extend([False] * 3)
    tally.add(episode, alone=True)
    assert tally.success == 0.25
    assert tally.text(7) == "episodes 2  steps 7  success 0.25 (last 4 alone)"
    for _ in range(RECENT):
        tally.add(episode, alone=True)
    assert tally.success == 1.0


def test_the_best_is_the_latest_policy_of_those_that_did_as_well_as_any() -> None:
    tally, weights = Tally(), [{"w": torch.full((1,), float(k))} for k in range(4)]
    tally.own.extend([True] * (RECENT - 1))
    tally.judge(10, weights[0])
    assert tally.best is None  # so few tell nothing
    expected = [(False, 10, RECENT - 1), (False, 10, RECENT - 1), (True, 10, RECENT - 1)]
    for step, (success, steps, successes) in zip((10, 20, 30), expected, strict=True):
        tally.own.append(success)
        tally.judge(step, weights[step // 10 - 1])
        assert tally.best is not None
        assert (tally.best.steps, tally.best.successes) == (steps, successes)
    assert tally.best.weights is weights[0]
    tally.own.extend([True] * (RECENT - 1) + [False])
    tally.judge(40, weights[3])
    assert (tally.best.steps, tally.best.weights) == (40, weights[3])


def test_the_clock_goes_on_where_the_process_before_stopped() -> None:
    now = time.monotonic()
    clock = Clock(budget=100.0, started=now - 10.0, used=30.0)
    assert 40.0 <= clock.seconds < 41.0
    np.testing.assert_allclose(clock.share, 0.4, atol=0.01)


def test_every_is_due_at_once_and_then_not_too_often() -> None:
    every, never = Every(0.05), Every(1e6)
    assert every.due()
    assert never.due()
    assert not never.due()
    deadline = time.monotonic() + 10
    while not every.due():
        assert time.monotonic() < deadline
    assert not never.due()


def test_the_start_of_the_process_is_before_its_first_line() -> None:
    code = (
        "import time; time.sleep(0.3); before = time.monotonic()\n"
        "from robolearn.training.tally import process_start\n"
        "print(before - process_start())"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # a clock tick of 10 ms is as finely as the system knows
    assert 0.29 <= float(done.stdout) <= time.monotonic() - begin + 0.02
    assert process_start() < begin
