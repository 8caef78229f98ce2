"""Somebody else's episodes: what is taken, what is assumed and told, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exchanging import CONTRACT

from robolearn.contract import Action, Channel, Contract
from robolearn.data.episode import Source
from robolearn.data.exchange.foreign import LUMP, Adoption, Recording, Told
from robolearn.data.exchange.losses import Losses
from robolearn.errors import InputError

OURS = replace(
    CONTRACT,
    cameras=CONTRACT.cameras[:1],
    proprioception=(Channel("q", "rad", 2, per_joint=True), Channel("width", "m", 1)),
)


def recording(rows: int = 5, steps: int = 5, **changes: Any) -> Recording:
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "name": "episode 3",
        "task": "pick",
        "seed": 3,
        "observations": {
            "front": rng.integers(0, 256, (rows, 32, 48, 3), np.uint8),
            LUMP: np.arange(3.0 * rows, dtype=np.float32).reshape(rows, 3),
            "phase": np.arange(rows),
        },
        "actions": rng.random((steps, 3), np.float32),
        "success": True,
        **changes,
    }
    return Recording(**values)


def adopt(found: Recording, rate: float | None = 20, **told: Any) -> tuple[Any, dict[str, str]]:
    losses = Losses()
    episode = Adoption("lerobot:so100", rate, Told(**told), losses).episode(found)
    return episode, {loss.thing: loss.why for loss in losses.all()}


# --- without a contract


def test_a_contract_is_built_of_the_features() -> None:
    found = recording(names={"actions": ["a", "b", "c"]}, reward=np.array([0, 0, 0, 0, 1.0]))
    episode, lost = adopt(found)
    contract = episode.contract
    assert Contract.from_json(contract.to_json()) == contract
    assert (contract.arm, contract.joints) == ("lerobot:so100", ("a", "b", "c"))
    assert contract.action == Action("pose", 3, "unknown", gripper=False)
    assert [(camera.name, camera.width, camera.height) for camera in contract.cameras] == [("front", 48, 32)]
    assert contract.proprioception == (Channel(LUMP, "unknown", 3),)
    assert contract.control_rate == contract.filter_rate == 20
    assert len(episode) == 4
    assert (episode.observations["front"] == found.observations["front"]).all()
    assert (episode.observations["phase"] == np.arange(5)).all()
    assert (episode.requested == found.actions[:4].astype(float)).all()
    assert not episode.filtered.any()
    assert not episode.sent.any()
    assert episode.reward.tolist() == [0, 0, 0, 0]
    assert (episode.source == Source.OPERATOR).all()
    assert (episode.outcome.success, episode.outcome.reason, episode.outcome.seconds) == (
        True,
        "success",
        0.2,
    )
    assert (episode.task, episode.seed, episode.info) == ("pick", 3, {"recording": "episode 3"})
    np.testing.assert_allclose(episode.stamps, np.arange(5) / 20)
    assert lost == {
        "last action": "left out: the dataset has no observation after it",
        "contract": "built from the dataset's features; where cameras stand is not known",
        "filtered, sent": "zeros: the dataset's actions are no torques",
    }


def test_one_contract_serves_the_whole_dataset() -> None:
    adoption = Adoption("a", 20, Told(), Losses())
    first = adoption.episode(recording())
    assert adoption.episode(recording(7, 7)).contract == first.contract
    other = recording()
    other.observations["front"] = other.observations["front"][:, :16]
    with pytest.raises(InputError, match=r"episode 3: observations/front is uint8 of shape \(5, 16, 48, 3\)"):
        adoption.episode(other)


def test_with_an_observation_more_every_action_is_kept() -> None:
    episode, lost = adopt(recording(6, 5))
    assert len(episode) == 5
    assert "last action" not in lost


def test_names_are_made_plain() -> None:
    found = recording()
    found.observations["wrist.image"] = found.observations.pop("front")
    found.observations["one.number"] = np.zeros(5, np.float32)
    episode, _ = adopt(found)
    assert episode.contract.cameras[0].name == "wrist_image"
    assert episode.observations["one_number"].shape == (5, 1)
    found.observations["one_number"] = np.zeros(5)
    with pytest.raises(InputError, match="two of its observations are called 'one_number'"):
        adopt(found)


def test_text_is_left_out() -> None:
    found = recording()
    found.observations["said"] = np.array(["a"] * 5, dtype=object)
    episode, lost = adopt(found)
    assert "said" not in episode.observations
    assert lost["said"] == "left out: it holds no numbers"


# --- with a contract


def test_readings_and_actions_go_by_joint() -> None:
    names = {"actions": ["elbow.pos", "shoulder.pos", "grip"], LUMP: ["q.elbow", "q.shoulder", "width.0"]}
    found = recording(names=names)
    episode, lost = adopt(found, contract=OURS)
    assert (episode.observations["q"] == found.observations[LUMP][:, [1, 0]]).all()
    assert (episode.observations["width"] == found.observations[LUMP][:, 2:]).all()
    assert (episode.filtered == found.actions[:4, [1, 0]].astype(float)).all()
    assert (episode.requested[:, 2] == found.actions[:4, 2].astype(float)).all()
    assert (episode.sent == episode.filtered).all()
    assert LUMP not in episode.observations
    assert lost["filtered, sent"] == "the dataset has one torque: it stands for both"
    assert not {"actions", "q"} & lost.keys()


def test_numbers_without_names_are_taken_as_they_stand_and_it_is_told() -> None:
    found = recording()
    episode, lost = adopt(found, contract=OURS)
    assert (episode.filtered == found.actions[:4, :2].astype(float)).all()
    assert (episode.observations["q"] == found.observations[LUMP][:, :2]).all()
    why = "taken in the order in which its numbers stand: they bear no joint's name"
    assert (lost["actions"], lost["q"]) == (why, why)


def test_a_channel_may_have_an_observation_of_its_own() -> None:
    found = recording()
    lump = found.observations.pop(LUMP)
    found.observations |= {"q": lump[:, :2].astype(np.int32), "width": lump[:, 2]}
    found.names = {"q": ["elbow", "shoulder"]}
    episode, _ = adopt(found, contract=OURS)
    assert episode.observations["q"].dtype == np.float32
    assert (episode.observations["q"] == lump[:, [1, 0]].astype(int)).all()
    assert episode.observations["width"].shape == (5, 1)
    found.observations["q"] = np.zeros((5, 3))
    with pytest.raises(InputError, match=r"observations/q is float64 of shape \(5, 3\)"):
        adopt(found, contract=OURS)


def test_observations_may_get_the_contracts_names() -> None:
    found = recording(names={"arm.positions": ["elbow", "shoulder"]})
    lump = found.observations.pop(LUMP)
    found.observations |= {"arm.positions": lump[:, :2], "width": lump[:, 2]}
    found.observations["laptop"] = found.observations.pop("front")
    episode, _ = adopt(found, contract=OURS, rename={"arm_positions": "q", "laptop": "front"})
    assert (episode.observations["q"] == lump[:, [1, 0]]).all()
    assert set(episode.observations) == {"front", "q", "width", "phase"}
    with pytest.raises(
        InputError, match=r"unknown observation to rename 'lap' .*: choose one of phase, arm_positions"
    ):
        adopt(found, rename={"lap": "front"})
    with pytest.raises(InputError, match="two of its observations are called 'width'"):
        adopt(found, rename={"laptop": "width"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": np.zeros((5, 7))}, "its actions have 7 numbers; the contract's have 3"),
        ({"actions": np.zeros((1, 3))}, r"it has 1 actions and \[5\] observations"),
        (
            {"names": {"actions": ["elbow", "wrist", "x"]}},
            "actions is of elbow, wrist; the contract's joints are",
        ),
        ({"actions": np.full((5, 3), np.nan)}, "filtered holds NaN"),
        ({"task": ""}, "task is ''"),
    ],
)
def test_what_does_not_fit_the_contract_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"episode 3: .*{message}"):
        adopt(recording(**change), contract=OURS)


def test_what_the_contract_names_must_be_there() -> None:
    found = recording()
    picture = found.observations.pop("front")
    with pytest.raises(InputError, match="no picture 'front'; its observations are: proprioception, phase"):
        adopt(found, contract=OURS)
    found.observations["front"] = picture
    found.observations[LUMP] = found.observations[LUMP][:, :2]
    with pytest.raises(
        InputError, match=r"no channel q, width: .* all 3 numbers \(it has one of shape \(2,\)\)"
    ):
        adopt(found, contract=OURS)
    del found.observations[LUMP]
    with pytest.raises(InputError, match=r"no channel q, width: .* \(it has none\)"):
        adopt(found, contract=OURS)


def test_observations_of_different_lengths_are_refused() -> None:
    found = recording()
    found.observations["phase"] = np.arange(6)
    with pytest.raises(InputError, match=r"it has 5 actions and \[5, 6\] observations"):
        adopt(found)
    with pytest.raises(InputError, match="too short"):
        adopt(recording(1, 1))


# --- rate, stamps, reward, outcome


def test_somebody_must_say_the_rate() -> None:
    with pytest.raises(InputError, match=r"does not say the rate of its actions: give it \(--rate HZ\)"):
        adopt(recording(), rate=None)
    losses = Losses()
    assert Adoption("a", None, Told(rate=5), losses).episode(recording()).contract.control_rate == 5
    assert Adoption("a", None, Told(contract=OURS), losses).episode(recording()).stamps[1] == 0.05
    with pytest.raises(InputError, match="is said to be 30 Hz by the dataset, 20 Hz by the contract"):
        Adoption("a", 30, Told(contract=OURS), losses)


def test_stamps_are_kept_if_they_increase() -> None:
    stamps = np.array([0.0, 0.06, 0.1, 0.2, 0.21], np.float32)
    episode, lost = adopt(recording(stamps=stamps))
    assert (episode.stamps == stamps.astype(float)).all()
    assert "stamps" not in lost
    episode, lost = adopt(recording(stamps=stamps[::-1].copy()))
    np.testing.assert_allclose(episode.stamps, np.arange(5) / 20)
    assert "do not increase" in lost["stamps"]


def test_success_is_said_by_the_dataset_by_a_person_or_by_the_reward() -> None:
    sparse = np.array([0, 0, 0, 0, 1.0])
    for said, told, reward, expected in (
        (False, True, sparse, False),
        (None, False, sparse, False),
        (None, None, sparse, True),
        (None, None, 0 * sparse, False),
    ):
        episode, _ = adopt(recording(success=said, reward=reward), success=told)
        assert episode.outcome.success is expected
    for reward in (None, sparse / 2):
        with pytest.raises(
            InputError, match=r"does not say whether it succeeded: give it \(--success yes\|no\)"
        ):
            adopt(recording(success=None, reward=reward))


def test_an_end_without_success_is_a_failure_only_if_the_dataset_says_so() -> None:
    assert adopt(recording(success=False, failed=True))[0].outcome.reason == "failed"
    cut = adopt(recording(success=False))[0].outcome
    assert (cut.reason, cut.terminated) == ("cut", False)


def test_a_missing_reward_is_told() -> None:
    assert "reward" not in adopt(recording(reward=np.ones(5)))[1]
    episode, lost = adopt(recording(), source=Source.TEACHER)
    assert lost["reward"] == "zeros: the dataset has none"
    assert (episode.source == Source.TEACHER).all()
