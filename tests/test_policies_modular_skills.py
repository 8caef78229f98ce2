from __future__ import annotations

import numpy as np
import pytest
import torch
from modular_truth import act_on_truth, blind

from robolearn.errors import InputError
from robolearn.policies.modular.grasping import Grasping
from robolearn.policies.modular.insertion import Insertion
from robolearn.policies.modular.policy import Hands, ModularConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.modular import modular_config


@pytest.mark.parametrize("task", ["peg-insertion", "grasp"])
def test_with_the_truth_for_an_estimate_it_does_what_the_teacher_does(task: str) -> None:
    changes = {"clearance": "1mm"} if task == "peg-insertion" else {}
    env = blind(task, **changes)
    for seed in range(2):
        info, _ = act_on_truth(env, seed)
        assert info["reason"] == "success"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "changes"),
    [("grasp", {}), ("peg-insertion", {"clearance": "1mm"}), ("peg-insertion", {"clearance": "0.5mm"})],
)
def test_the_ceiling_of_the_rival_is_the_teachers(task: str, changes: dict[str, str]) -> None:
    env = blind(task, **changes)
    ends = [act_on_truth(env, seed)[0]["success"] for seed in range(20)]
    assert sum(ends) >= 19


def test_a_hole_that_is_seen_beside_its_place_is_found_by_sliding() -> None:
    env = blind("peg-insertion", clearance="1mm")
    wrong = np.zeros(Insertion.size)
    wrong[:2] = 0.0045, 0.001
    info, hands = act_on_truth(env, 1, wrong)
    assert info["reason"] == "success"
    assert isinstance(hands.skill, Insertion)
    assert hands.skill.pressing
    assert hands.skill.inside


def test_a_hole_seen_too_low_is_pressed_for_and_one_too_high_is_not_taken_for_entered() -> None:
    env = blind("peg-insertion", clearance="1mm")
    for height in (-0.005, 0.005):
        wrong = np.zeros(Insertion.size)
        wrong[2] = height
        info, _ = act_on_truth(env, 0, wrong)
        assert info["reason"] == "success", height


def test_a_hand_that_closes_beside_the_object_opens_and_looks_again() -> None:
    env = blind("grasp", episode_seconds=10.0)
    hands = Hands(modular_config(VisuomotorConfig(), env))
    observation, _ = env.reset(seed=3)
    commands: list[float] = []
    done = False
    while not done:
        grip = hands.servo.grips(observation["q"].astype(float)[None])
        label = hands.skill.labels(observation["state"].astype(float)[None], grip)[0]
        missed = (np.diff(np.sign(commands)) < 0).any()
        if not missed:
            label[:3] = [0.0, 0.0, 0.0]  # the grasp seems to be where the hand is: in the air
        hands.see(label, observation)
        action = hands.act()
        commands.append(action[-1])
        observation, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
    assert missed
    assert info["reason"] == "success"


@pytest.mark.parametrize("skill", [Insertion, Grasping])
def test_what_matters_of_an_error_grows_with_the_distance(skill: type[Insertion] | type[Grasping]) -> None:
    near, far = torch.zeros(2, skill.size), torch.zeros(2, skill.size)
    far[:, 0] = 0.2
    small, large = skill.tolerance(near), skill.tolerance(far)
    assert small.shape == (2, skill.size)
    assert (small > 0).all()
    assert (large >= small).all()
    assert (large[:, :3] > 5 * small[:, :3]).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"facts": {"clearance": 0.001}}, "facts of insertion"),
        ({"facts": {"clearance": -1.0}}, "clearance"),
        ({"task": "juggling"}, "grasp"),
        ({"arm": "hand.yaml"}, "panda"),
        ({"posture": (0.0,)}, "posture"),
        ({"friction": (0.0, "much")}, "friction"),
        ({"rate": 0.0}, "rate"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, object], message: str) -> None:
    env = blind("peg-insertion")
    good = vars(modular_config(VisuomotorConfig(), env))
    with pytest.raises(InputError, match=message):
        Hands(ModularConfig(**{**good, **changed}))
