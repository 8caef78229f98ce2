"""The builder: what is appended step by step is what the episode holds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.builder import EpisodeBuilder
from robolearn.data.episode import Outcome, Source
from robolearn.errors import InputError

SIZE = 64
CONTRACT = Contract(
    arm="two",
    joints=("shoulder", "elbow"),
    proprioception=(Channel("q", "rad", 2, per_joint=True),),
    cameras=tuple(
        Camera.from_fovy(name, SIZE, SIZE, 0.8, frame, (1, 0, 1), (1, 0, 0, 0))
        for name, frame in (("front", "base"), ("wrist", "hand"))
    ),
    action=Action("torque", 2, "N·m", gripper=True),
    control_rate=20,
    filter_rate=200,
    limiter={},
    delays={},
)


def start(observation: dict[str, Any], **options: Any) -> EpisodeBuilder:
    return EpisodeBuilder(
        CONTRACT, observation, 0.0, task="grasp", config={}, seed=1, info={"mass": 0.2}, **options
    )


def step(i: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "requested": np.full(3, i, np.float32),
        "filtered": [i, 0.5],
        "sent": np.full(2, -i),
        "observation": {"q": np.full(2, i + 1, np.float32)},
        "stamp": 0.05 * (i + 1),
        "reward": float(i),
        "reward_terms": {"reach": i / 2, "lift": 0.0},
        "source": Source.POLICY,
        **changes,
    }


def done(steps: int) -> Outcome:
    return Outcome(False, "time", steps, steps / 20)


@given(st.integers(1, 40), st.integers(1, 9), st.booleans())
def test_every_step_is_kept_whatever_the_capacity(steps: int, capacity: int, taught: bool):
    q = np.zeros(2, np.float32)  # one buffer for all, as an environment may have
    builder = start({"q": q}, capacity=capacity)
    for i in range(steps):
        q[:] = i + 1
        expert = np.full(3, 2 * i) if taught else None
        builder.append(**step(i, observation={"q": q}, source=i % 4, expert=expert))
        assert builder.steps == i + 1
    builder.info["notes"] = "added late"
    episode = builder.finish(done(steps))

    index = np.arange(steps, dtype=float)
    assert len(episode) == steps
    assert np.array_equal(episode.observations["q"], np.arange(steps + 1, dtype=np.float32)[:, None] * [1, 1])
    assert episode.observations["q"].dtype == np.float32
    assert np.array_equal(episode.requested, index[:, None] * [1, 1, 1])
    assert np.array_equal(episode.filtered, np.stack([index, np.full(steps, 0.5)], 1))
    assert np.array_equal(episode.sent, -index[:, None] * [1, 1])
    assert np.array_equal(episode.stamps, 0.05 * np.arange(steps + 1))
    assert np.array_equal(episode.reward, index)
    assert np.array_equal(episode.reward_terms["reach"], index / 2)
    assert np.array_equal(episode.source, np.arange(steps) % 4)
    if taught:
        assert episode.expert is not None
        assert np.array_equal(episode.expert, 2 * index[:, None] * [1, 1, 1])
    else:
        assert episode.expert is None
    assert all(array.base is None for array in episode.arrays().values())
    assert episode.info == {"mass": 0.2, "notes": "added late"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"requested": np.zeros(2)},
            r"requested is float64 of shape \(2,\); it must be float64 of shape \(3,\)",
        ),
        ({"filtered": 0.0}, r"filtered is float64 of shape \(\)"),
        ({"sent": np.zeros((1, 2))}, r"sent is float64 of shape \(1, 2\)"),
        (
            {"observation": {"q": np.zeros(2)}},
            r"observation 'q' is float64 .* must be float32 of shape \(2,\)",
        ),
        ({"observation": {"q": np.zeros(1, np.float32)}}, r"observation 'q' is float32 of shape \(1,\)"),
        ({"observation": {}}, r"step 1 has the observations \[\]; it must have .* \['q'\]"),
        ({"observation": {"q": np.zeros(2), "dq": np.zeros(2)}}, r"observations \['dq', 'q'\]"),
        ({"reward_terms": {"reach": 0.0}}, r"reward terms \['reach'\]; .* \['lift', 'reach'\]"),
        ({"expert": np.zeros(3)}, "step 1 must have no expert action"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_and_leaves_no_trace(change, message):
    builder = start({"q": np.zeros(2, np.float32)})
    builder.append(**step(0))
    with pytest.raises(InputError, match=message):
        builder.append(**step(1, **change))
    builder.append(**step(1))
    episode = builder.finish(done(2))
    assert np.array_equal(episode.reward, [0.0, 1.0])
    assert np.array_equal(episode.sent, [[0.0, 0.0], [-1.0, -1.0]])
    assert np.array_equal(episode.reward_terms["reach"], [0.0, 0.5])


def test_a_value_that_is_no_number_leaves_no_trace_either():
    builder = start({"q": np.zeros(2, np.float32)})
    builder.append(**step(0))
    with pytest.raises(ValueError, match="could not convert"):
        builder.append(**step(1, reward_terms={"reach": 0.0, "lift": "high"}))
    builder.append(**step(1))
    assert len(builder.finish(done(2)).reward_terms["lift"]) == 2


def test_the_expert_is_given_always_or_never():
    builder = start({"q": np.zeros(2, np.float32)})
    builder.append(**step(0, expert=np.zeros(3)))
    with pytest.raises(InputError, match="step 1 must have an expert action"):
        builder.append(**step(1))


def test_the_end():
    builder = start({"q": np.zeros(2, np.float32)})
    with pytest.raises(InputError, match="the episode has no steps"):
        builder.finish(done(1))
    builder.append(**step(0))
    with pytest.raises(InputError, match="outcome says 7 steps; requested has 1"):
        builder.finish(done(7))
    builder.finish(done(1))
    with pytest.raises(RuntimeError, match="finished"):
        builder.append(**step(1))
    with pytest.raises(RuntimeError, match="finished"):
        builder.finish(done(1))


@pytest.mark.parametrize("source", [-1, 4, 256])
def test_an_unknown_source_is_refused(source):
    builder = start({"q": np.zeros(2, np.float32)})
    builder.append(**step(0, source=source))
    with pytest.raises(InputError, match=f"source holds .*{source}"):
        builder.finish(done(1))


def test_without_observations():
    builder = start({})
    builder.append(**step(0, observation={}, reward_terms={}))
    assert builder.finish(done(1)).observations == {}


def test_a_step_with_two_pictures_is_cheap():
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    observation = {"front": picture, "wrist": picture.copy(), "q": np.zeros(2, np.float32)}
    arguments = step(0, observation=observation, expert=np.zeros(3))
    best = np.inf
    for _ in range(5):
        builder = start(observation)
        begin = time.perf_counter()
        for i in range(100):
            arguments["stamp"] = float(i + 1)
            builder.append(**arguments)
        best = min(best, (time.perf_counter() - begin) / 100)
    # About 10 us on an idle core; the bound allows for a busy machine and still catches a copy of all steps.
    assert best < 100e-6
    assert builder.finish(done(100)).observations["front"].shape == (101, SIZE, SIZE, 3)
