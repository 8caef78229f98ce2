from __future__ import annotations

import copy
import itertools
import time
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_policies import small_contract

from robolearn.data.episode import Episode, Outcome, Source
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.policies.guided import GuidedConfig, Learner, Replay, fit_normalisation
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig
from robolearn.training.checkpoint import checkpoint, restore
from robolearn.training.problem import pose
from robolearn.training.rollout import EpisodeSpec, run_episode
from robolearn.training.run import TrainConfig
from robolearn.training.tally import Clock, Tally

CPU = torch.device("cpu")
CONFIG = GuidedConfig(batch=8)


def recorded(steps: int, number: int = 0, **observations: NDArray[Any]) -> Episode:
    """An episode of T steps whose readings say where they come from: "q" is (number, step)."""
    where = np.stack([np.full(steps + 1, number), np.arange(steps + 1)], 1).astype(np.float32)
    picture = where.astype(np.uint8)[:, None, :, None] * np.ones((4, 1, 3), np.uint8)
    return Episode(
        contract=small_contract(),
        observations={"q": where, "front": picture, "state": where, **observations},
        requested=np.zeros((steps, 2)),
        filtered=np.zeros((steps, 1)),
        sent=np.zeros((steps, 1)),
        stamps=np.arange(steps + 1.0),
        reward=np.zeros(steps),
        reward_terms={},
        source=np.zeros(steps, np.uint8),
        outcome=Outcome(True, "success", steps, float(steps)),
        task="grasp",
        config={},
        seed=number,
        info={},
        expert=np.stack([np.full(steps, number), np.arange(steps)], 1),
    )


def rows(replay: Replay, draws: int = 2000) -> dict[str, NDArray[Any]]:
    batch = replay.sample(draws, np.random.default_rng(0), CPU)
    return {name: value.numpy() for name, value in batch.items()}


# --- the replay -----------------------------------------------------------------------------------------


def test_a_batch_holds_what_belongs_together_and_never_the_last_observation() -> None:
    replay = Replay(50)
    for number, steps in enumerate((3, 1, 5)):
        replay.add(recorded(steps, number))
    batch = rows(replay)
    assert replay.size == 9
    np.testing.assert_array_equal(batch["q"], batch["expert"])
    np.testing.assert_array_equal(batch["q"], batch["front"][:, 0, :, 0])
    found = {(int(number), int(step)) for number, step in batch["q"]}
    assert found == {(number, step) for number, steps in enumerate((3, 1, 5)) for step in range(steps)}
    assert (batch["front"].dtype, batch["expert"].dtype) == (np.uint8, np.float32)


def test_the_oldest_go_first() -> None:
    replay = Replay(6)
    for number in range(4):
        replay.add(recorded(4, number))
    found = {(int(number), int(step)) for number, step in rows(replay)["q"]}
    assert found == {(2, 2), (2, 3), *((3, step) for step in range(4))}
    replay.add(recorded(20, 9))  # longer than all that is kept
    assert {tuple(row) for row in rows(replay)["q"].tolist()} == {(9, step) for step in range(14, 20)}


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(4, 30),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    history=st.integers(2, 4),
)
def test_windows_stay_in_their_episodes_however_the_arrays_are_overwritten(
    capacity: int, lengths: list[int], history: int
) -> None:
    replay = Replay(capacity, {"q": history})
    for number, steps in enumerate(lengths):
        replay.add(recorded(steps, number))
        batch = rows(replay, 300)
        number_now, now = batch["expert"].T
        for back in range(history):
            there = batch["q"][:, history - 1 - back]
            np.testing.assert_array_equal(there[:, 0], number_now)
            np.testing.assert_array_equal(there[:, 1], np.maximum(now - back, 0))
    everything = [(number, step) for number, steps in enumerate(lengths) for step in range(steps)][-capacity:]
    if replay.size == capacity:  # the oldest are there only as the past of the others
        everything = everything[history - 1 :]
    assert {tuple(row) for row in rows(replay)["expert"].tolist()} == set(everything)


def test_only_what_has_a_window_gets_a_time_axis() -> None:
    replay = Replay(50, {"q": 3, "front": 2})
    replay.add(recorded(9))
    shapes = {name: value.shape[1:] for name, value in rows(replay, 5).items()}
    assert shapes == {"q": (3, 2), "front": (2, 4, 2, 3), "state": (2,), "expert": (2,)}


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(InputError, match="seed 7 has no labels"):
        Replay(5).add(replace(recorded(3, 7), expert=None))
    with pytest.raises(InputError, match="capacity of 2 holds no window of 3"):
        Replay(2, {"q": 3})


@pytest.mark.parametrize(
    ("name", "values", "valid"),
    [
        ("demonstrations", (0, 1.5, True), "a whole number from 1 up"),
        ("scattered_steps", (0,), "a whole number from 1 up"),
        ("batch", (0, -3), "a whole number from 1 up"),
        ("capacity", (0,), "a whole number from 1 up"),
        ("scattered", (-1, 2.5), "a whole number from 0 up"),
        ("noise", (-0.1, float("nan")), "a finite number from 0 up"),
        ("policy_noise", (-0.1,), "a finite number from 0 up"),
        ("state_weight", (-0.1,), "a finite number from 0 up"),
        ("gripper_weight", (float("inf"),), "a finite number from 0 up"),
        ("learning_rate", (0.0, -1e-3, float("inf")), "a finite number above 0"),
        ("teacher_share", (-0.1, 1.1), "a number from 0 to 1"),
        ("free_share", (-0.1, 1.1), "a number from 0 to 1"),
        ("recolour", (-0.1, 1.1, "all"), "number"),
        ("average", (-0.1, 1.1, 1.0), "to"),
    ],
)
def test_no_learning_is_done_with_values_that_make_no_sense(name: str, values: Any, valid: str) -> None:
    for value in values:
        with pytest.raises(InputError, match=f"^{name} is .*{valid}"):
            GuidedConfig(**{name: value})


def test_every_value_of_learning_is_checked() -> None:
    for field in fields(GuidedConfig):
        with pytest.raises(InputError, match=f"^{field.name} is"):
            GuidedConfig(**{field.name: None})  # type: ignore[arg-type]


# --- the learner ----------------------------------------------------------------------------------------


def network(history: int = 1, recurrent: bool = False, action: int = 2) -> Visuomotor:
    torch.manual_seed(0)
    config = VisuomotorConfig(
        (3,), kernel=2, stride=1, hidden=32, layers=1, history=history, recurrent=recurrent
    )
    return Visuomotor(config, {"front": (4, 2)}, {"q": 2}, 2, action)


def filled(made: Visuomotor, episodes: int = 20) -> Replay:
    replay = Replay(1000, made.windows)
    for number in range(episodes):
        replay.add(recorded(10, number))
    return replay


def test_the_normalisation_is_that_of_what_was_collected() -> None:
    made = network()
    replay = filled(made)
    still = Replay(50)
    still.add(recorded(5, number=4))
    fit_normalisation(made, replay)
    assert made.reading_mean.tolist() == pytest.approx([9.5, 4.5])
    assert made.reading_scale.tolist() == pytest.approx([np.std(range(20)), np.std(range(10))])
    assert made.state_mean.tolist() == pytest.approx([9.5, 4.5])
    assert (made.action_mean[0].item(), made.action_scale[0].item()) == pytest.approx(
        (9.5, np.std(range(20)))
    )
    assert (made.action_mean[1].item(), made.action_scale[1].item()) == (0.0, 1.0)  # the gripper
    fit_normalisation(made, still)
    assert made.reading_scale[0].item() == pytest.approx(1e-3)  # what stood still does not divide by zero


def test_losses_fall_and_the_average_follows() -> None:
    made = network()
    replay, rng = filled(made), np.random.default_rng(0)
    fit_normalisation(made, replay)
    learner = Learner(made, replace(CONFIG, average=0.9), CPU)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    losses = [learner.update(replay.sample(32, rng, CPU), 0.0) for _ in range(150)]
    for name in ("torque", "state"):
        late = np.mean([loss[name] for loss in losses[-20:]])
        assert late < 0.2 * np.mean([loss[name] for loss in losses[:5]]), name
    assert learner.steps == 150
    weight = "control.0.weight"
    now, average = made.state_dict()[weight], learner.average.module.state_dict()[weight].clone()
    way = (now - before[weight]).norm()
    assert 0 < (now - average).norm() < way
    assert torch.equal(learner.average.module.get_buffer("action_mean"), made.action_mean)
    policy = learner.policy()
    learner.update(replay.sample(32, rng, CPU), 0.0)
    assert torch.equal(policy.state_dict()[weight], average)  # of the moment of asking
    assert not torch.equal(learner.average.module.state_dict()[weight], average)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_refused_and_spoils_nothing(bad: float) -> None:
    made = network()
    learner, replay, rng = Learner(made, CONFIG, CPU), filled(made), np.random.default_rng(0)
    learner.update(replay.sample(8, rng, CPU), 0.0)
    before = copy.deepcopy(checkpoint(Clock(60.0, 0.0), learner, rng, Tally()))
    batch = replay.sample(8, rng, CPU)
    batch["expert"][0, 0] = bad
    with pytest.raises(FloatingPointError, match=r"diverged at step 1 .*--learning.learning-rate"):
        learner.update(batch, 0.0)
    after = checkpoint(Clock(60.0, 0.0), learner, rng, Tally())
    for part in ("network", "average"):
        assert all(torch.equal(before[part][name], value) for name, value in after[part].items())
    assert repr(before["optimiser"]) == repr(after["optimiser"])
    assert learner.steps == 1


def test_the_learning_rate_falls_to_a_twentieth() -> None:
    learner, replay = Learner(network(), CONFIG, CPU), filled(network())
    rates = []
    for progress in (0.0, 0.5, 1.0, 1.3):
        learner.update(replay.sample(8, np.random.default_rng(0), CPU), progress)
        rates.append(learner.optimiser.param_groups[0]["lr"] / CONFIG.learning_rate)
    assert rates == pytest.approx([1.0, 0.525, 0.05, 0.05])


@pytest.mark.parametrize(("history", "recurrent"), [(1, False), (3, True)])
def test_colours_are_swapped_in_their_share_of_the_batch(history: int, recurrent: bool) -> None:
    made = network(history, recurrent)
    rng = np.random.default_rng(0)
    replay = Replay(100, made.windows)
    replay.add(recorded(40, front=rng.integers(0, 256, (41, 4, 2, 3), np.uint8)))
    for share, swapped in ((0.5, 4), (0.0, 0), (1.0, 8)):
        learner = Learner(made, replace(CONFIG, recolour=share), CPU)
        orders = set()
        for seed in range(12):
            torch.manual_seed(seed)
            batch = replay.sample(8, rng, CPU)
            before = batch["front"].clone()
            learner.update(batch, 0.0)
            assert torch.equal(batch["front"][swapped:], before[swapped:])
            turns = [
                order
                for order in itertools.permutations(range(3))
                if torch.equal(batch["front"][:swapped], before[:swapped][..., order])
            ]
            orders.update(turns if swapped else [(0, 1, 2)])
            assert turns
        assert len(orders) > 2 if swapped else orders == {(0, 1, 2)}


@pytest.mark.parametrize(
    ("history", "recurrent", "knows"), [(1, False, False), (2, False, True), (2, True, True)]
)
def test_looking_back_tells_what_the_present_does_not(history: int, recurrent: bool, knows: bool) -> None:
    """The action is which way the readings went: one moment says nothing of it."""
    made = network(history, recurrent)
    replay, rng = Replay(4000, made.windows), np.random.default_rng(0)
    for number in range(80):
        q = rng.standard_normal((26, 2)).astype(np.float32)
        went = np.vstack([np.zeros(2), np.diff(q[:25], axis=0)])
        replay.add(replace(recorded(25, number, q=q, front=np.zeros((26, 4, 2, 3), np.uint8)), expert=went))
    fit_normalisation(made, replay)
    learner = Learner(made, replace(CONFIG, recolour=0.0, state_weight=0.0), CPU)
    losses = [learner.update(replay.sample(64, rng, CPU), 0.0)["torque"] for _ in range(300)]
    assert (np.mean(losses[-30:]) < 0.1) == knows


@pytest.mark.parametrize(("history", "recurrent"), [(1, False), (3, False), (3, True)])
def test_learning_goes_on_from_a_checkpoint_as_if_nothing_had_happened(history: int, recurrent: bool) -> None:
    made = network(history, recurrent)
    replay, rng = filled(made), np.random.default_rng(3)
    fit_normalisation(made, replay)
    learner = Learner(made, CONFIG, CPU)
    for _ in range(3):
        learner.update(replay.sample(8, rng, CPU), 0.1)
    state = copy.deepcopy(checkpoint(Clock(60.0, time.monotonic()), learner, rng, Tally()))
    expected = [learner.update(replay.sample(8, rng, CPU), 0.5) for _ in range(3)]
    other = np.random.default_rng(99)
    again = restore(state, network(history, recurrent), CONFIG, CPU, other, Tally())
    assert [again.update(replay.sample(8, other, CPU), 0.5) for _ in range(3)] == expected


# --- in a task ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("history", "recurrent"), [(3, False), (3, True)])
def test_what_acted_is_what_is_trained_whoever_acts_in_between(
    history: int, recurrent: bool, tmp_path: Any
) -> None:
    size = VisuomotorConfig((4,), kernel=4, hidden=16, history=history, recurrent=recurrent)
    changes = {"image_size": 16, "observe": ("front", "q", "dq"), "episode_seconds": 2.0}
    problem = pose(TrainConfig("peg-insertion", changes, CONFIG, size, minutes=1.0))
    assert problem.contract.history == history
    problem.network.reading_scale.fill_(0.5)
    problem.save(tmp_path / "bundle", problem.network)
    actor = load_bundle(tmp_path / "bundle").network

    env = make(problem.task, problem.collected)
    spec = EpisodeSpec(problem.task, problem.collected, 1_000_000, "", teacher_share=0.5, labels=True)
    replay = Replay(200, actor.windows)
    episodes = [run_episode(env, replace(spec, seed=seed), actor) for seed in (1_000_000, 1_000_001)]
    env.close()
    for episode in episodes:
        replay.add(episode)
    sources = np.concatenate([episode.source for episode in episodes])
    assert set(sources) == {Source.POLICY, Source.TEACHER}
    requested = np.concatenate([episode.requested for episode in episodes])

    class InTurn:
        """Draws every observation of the replay once, in order."""

        def integers(self, high: int, size: int) -> NDArray[np.int64]:
            return np.arange(high)[:size]

    batch = replay.sample(replay.size, InTurn(), CPU)  # type: ignore[arg-type]
    with torch.no_grad():
        normalised, _ = actor(batch)
    torques = (normalised * actor.action_scale + actor.action_mean).numpy()[:, :-1]
    own = sources == Source.POLICY
    np.testing.assert_allclose(torques[own], requested[own][:, :-1], atol=1e-4)
