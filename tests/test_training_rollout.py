from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from robolearn.data.episode import Episode, Source
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.training.rollout import EpisodeSpec, run_episode

STATE = {"observe": ("q", "dq", "tau", "gripper", "state")}


class Still:
    """A policy that asks for no torque and an open gripper, and counts what it is told."""

    def __init__(self, size: int = 8) -> None:
        self.resets = self.actions = self.looks = 0
        self.action = np.zeros(size, np.float32)

    def reset(self) -> None:
        self.resets += 1

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        self.actions += 1
        return self.action

    def observe(self, observation: dict[str, NDArray[Any]]) -> None:
        self.looks += 1


@pytest.fixture(scope="module")
def env() -> Iterator[ManipulationEnv]:
    env = make("peg-insertion", STATE)
    yield env
    env.close()


def spec(seed: int = 3, **options: Any) -> EpisodeSpec:
    return EpisodeSpec("peg-insertion", STATE, seed, **options)


def same(a: Episode, b: Episode) -> bool:
    """Whether two episodes are equal to the last bit."""
    ours, theirs = a.arrays(), b.arrays()
    return (
        ours.keys() == theirs.keys()
        and all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
        and (a.outcome, a.info, a.config) == (b.outcome, b.info, b.config)
    )


def test_the_teacher_alone_is_recorded_as_such(env: ManipulationEnv) -> None:
    episode = run_episode(env, spec(), None)
    assert episode.outcome.success
    assert episode.outcome.reason == "success"
    assert set(episode.source) == {Source.TEACHER}
    assert episode.expert is not None
    np.testing.assert_array_equal(episode.requested, episode.expert)
    assert episode.outcome.seconds == pytest.approx(episode.stamps[-1])
    np.testing.assert_allclose(np.diff(episode.stamps), 0.05)
    assert (episode.task, episode.seed, episode.info["noise"]) == ("peg-insertion", 3, 0.0)


def test_a_spec_determines_its_episode_to_the_bit_whatever_ran_before(env: ManipulationEnv) -> None:
    noisy = spec(noise=0.5)
    first = run_episode(env, noisy, None)
    run_episode(env, spec(4, noise=0.2), None)
    assert same(first, run_episode(env, noisy, None))
    fresh = make("peg-insertion", STATE)
    assert same(first, run_episode(fresh, noisy, None))
    assert not same(first, run_episode(env, spec(4, noise=0.5), None))


def test_exploration_is_part_of_the_request(env: ManipulationEnv) -> None:
    episode = run_episode(env, spec(exploration=0.2), None)
    assert episode.info["exploration"] == 0.2
    assert episode.expert is not None
    added = episode.requested - episode.expert
    assert (added[:, -1] == 0.0).all()
    share = added[:, :-1] / env.noise_torque
    assert 0.1 < share[share != 0.0].std() < 0.3
    assert 0.2 < share.any(1).mean() < 0.8
    passed = (episode.requested[:, :-1] == episode.filtered).all(1)  # the limiter lets through what it may
    assert passed.mean() > 0.5


def test_noise_disturbs_the_arm_but_is_no_part_of_the_request(env: ManipulationEnv) -> None:
    calm, noisy = run_episode(env, spec(), None), run_episode(env, spec(noise=1.0), None)
    np.testing.assert_array_equal(noisy.requested, noisy.expert)
    steps = min(len(calm), len(noisy))
    assert np.abs(calm.observations["q"][:steps] - noisy.observations["q"][:steps]).max() > 0.01
    # what was sent differs from what was asked for by the push, and the gripper is never pushed
    assert np.abs(noisy.filtered - noisy.requested[:, :-1]).max() > 0.5
    assert set(noisy.requested[:, -1]) == {1.0}


def test_a_policy_acts_and_the_teacher_says_what_it_would_have_done(env: ManipulationEnv) -> None:
    actor = Still()
    episode = run_episode(env, spec(policy="still", labels=True), actor)
    assert (actor.resets, actor.actions) == (1, len(episode))
    assert set(episode.source) == {Source.POLICY}
    assert not episode.requested.any()
    assert episode.expert is not None
    assert np.abs(episode.expert[:, :-1]).max() > 0.1
    assert not episode.outcome.success


def test_the_outcome_has_the_events_and_the_altered_ticks(env: ManipulationEnv) -> None:
    dropped = run_episode(env, spec(policy="still"), Still()).outcome
    assert (dropped.reason, dropped.drops, dropped.jams) == ("dropped", 1, 0)
    outcome = run_episode(env, spec(noise=3.0), None).outcome
    assert outcome.altered_ticks == env.scene.path.altered_ticks
    assert 0 < outcome.altered_ticks <= sum(outcome.interventions.values())


def test_without_labels_there_is_no_expert(env: ManipulationEnv) -> None:
    assert run_episode(env, spec(policy="still"), Still()).expert is None


def test_the_teacher_takes_its_share_of_the_steps_in_stretches(env: ManipulationEnv) -> None:
    held = Still()
    held.action[-1] = 1.0  # keep the peg, so that the episodes are long
    sources = []
    for seed in range(8):
        episode = run_episode(env, spec(seed, policy="still", teacher_share=0.4, labels=True), held)
        mine = episode.source == Source.POLICY
        assert not episode.requested[mine][:, :-1].any()
        np.testing.assert_array_equal(episode.requested[~mine], episode.expert[~mine])  # type: ignore[index]
        sources.append(episode.source)
    steps = np.concatenate(sources)
    assert set(steps) == {Source.POLICY, Source.TEACHER}
    # the policy is shown what it does not act on, so that one with a memory misses nothing
    assert (held.actions, held.looks) == ((steps == Source.POLICY).sum(), (steps == Source.TEACHER).sum())
    changes = sum(int((np.diff(source.astype(int)) != 0).sum()) for source in sources)
    assert 8 < changes < len(steps) / 8  # it is drawn every 12 steps on average who acts
    for share, alone in ((0.0, Source.POLICY), (1.0, Source.TEACHER)):
        assert set(run_episode(env, spec(policy="still", teacher_share=share), held).source) == {alone}


def test_an_episode_is_cut_off_after_so_many_steps(env: ManipulationEnv) -> None:
    cut, whole = run_episode(env, spec(steps=5), None), run_episode(env, spec(), None)
    assert (len(cut), cut.outcome.reason, cut.outcome.success) == (5, "cut", False)
    np.testing.assert_array_equal(cut.observations["q"], whole.observations["q"][:6])
    assert len(run_episode(env, spec(steps=10_000), None)) == len(whole)


def test_a_scattered_start_is_another_one_and_determined_by_the_seed(env: ManipulationEnv) -> None:
    first, again = (run_episode(env, spec(steps=3, scattered=True), None) for _ in range(2))
    assert same(first, again)
    usual = run_episode(env, spec(steps=3), None)
    assert np.abs(first.observations["q"][0] - usual.observations["q"][0]).max() > 0.05


def test_a_clean_episode_of_a_rich_configuration_is_one_of_the_clean_configuration(
    env: ManipulationEnv,
) -> None:
    rich = make("peg-insertion", {**STATE, "randomisation": "rich"})
    try:
        clean = run_episode(rich, spec(steps=3, clean=True), None)
        usual = run_episode(rich, spec(steps=3), None)
    finally:
        rich.close()
    plain = run_episode(env, spec(steps=3), None)
    assert clean.info == plain.info
    for name, array in plain.arrays().items():
        np.testing.assert_array_equal(clean.arrays()[name], array)
    assert not np.any(clean.info["joint_friction"])
    assert np.any(usual.info["joint_friction"])  # the next episode is rich again


def test_the_teacher_and_noise_want_torque_actions() -> None:
    env = make("peg-insertion", {**STATE, "action": "pose"})
    for options in (
        {},
        {"policy": "p", "labels": True},
        {"policy": "p", "noise": 0.1},
        {"policy": "p", "exploration": 0.1},
    ):
        with pytest.raises(InputError, match=r"'pose'.*choose 'torque'"):
            run_episode(env, EpisodeSpec("peg-insertion", {}, 0, **options), Still(7) if options else None)
    assert len(run_episode(env, EpisodeSpec("peg-insertion", {}, 0, "still"), Still(7)))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"noise": -0.1}, "noise"),
        ({"exploration": -0.1}, "exploration"),
        ({"noise": math.nan}, "noise"),
        ({"teacher_share": 1.5}, "teacher_share"),
        ({"teacher_share": -0.1}, "teacher_share"),
        ({"steps": 0}, "steps"),
    ],
)
def test_a_spec_refuses_what_makes_no_sense(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        spec(**options)
