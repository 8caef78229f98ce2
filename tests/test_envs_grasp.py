from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
from teaching import solve

from robolearn.envs.grasp import AREA, DOWN_AGAIN, LIFT, PILE, SETTLE, STILL, GraspEnv, objects_of
from robolearn.envs.kinematics import DOWN, yaw_rotation
from robolearn.envs.objects import resting_pose
from robolearn.errors import InputError


def put(env: GraspEnv, slot: int, height: float, velocity: float = 0.0) -> None:
    """Hold an object in the air, above where it rested."""
    address = int(env.model.joint(f"object{slot}_joint").qposadr[0])
    dof = int(env.model.joint(f"object{slot}_joint").dofadr[0])
    env.data.qpos[address + 2] = env._rest_height[slot] + height
    env.data.qvel[dof : dof + 6] = 0.0
    env.data.qvel[dof] = velocity
    mujoco.mj_kinematics(env.model, env.data)
    mujoco.mj_comPos(env.model, env.data)
    mujoco.mj_comVel(env.model, env.data)


@pytest.mark.parametrize("objects", ["train", "held-out"])
@pytest.mark.parametrize("arm", ["panda", "fr3"])
def test_the_teacher_grasps(objects: str, arm: str) -> None:
    env = GraspEnv(objects=objects, arm=arm, observe=("q",))
    for seed in range(5):
        info = solve(env, seed)
        assert info["success"], (seed, info["reason"], env.sampled["objects"])
        assert max(env._heights()) > LIFT


def test_the_teacher_grasps_from_a_clutter_and_in_rich_surroundings() -> None:
    env = GraspEnv(count=4, observe=("q",))
    assert all(solve(env, seed)["success"] for seed in range(3))
    env = GraspEnv(randomisation="rich", observe=("q",))
    assert all(solve(env, seed)["success"] for seed in range(5))


def test_objects_lie_on_the_table_where_they_should() -> None:
    env = GraspEnv(observe=("q",))
    names, yaws = set(), []
    for seed in range(25):
        env.reset(seed=seed)
        x, y, z = env.data.xpos[env._bodies[0]]
        assert AREA[0][0] <= x <= AREA[0][1]
        assert AREA[1][0] <= y <= AREA[1][1]
        assert z == pytest.approx(env._rest_height[0], abs=1e-3)
        assert env.data.ncon == 0 or env.data.contact.dist.min() > -1e-3
        names.add(env.sampled["objects"][0])
        yaws.append(np.arctan2(env.data.xmat[env._bodies[0]][3], env.data.xmat[env._bodies[0]][0]))
        # it stays there
        for _ in range(4):
            env.step(np.r_[np.zeros(7), -1.0])
        assert np.linalg.norm(env.data.xpos[env._bodies[0]] - [x, y, z]) < 3e-3
    assert len(names) > 15
    assert np.std(yaws) > 1.0


def rebuilt(env: GraspEnv, sampled: dict[str, Any]) -> mujoco.MjData:
    """How an episode began, from nothing but what `info` says was drawn for it."""
    library, width = objects_of(env.config.objects), env.arm.gripper.max_width
    names = [thing.name for thing in library]
    key = tuple(names.index(name) for name in sampled["objects"])
    scene = env._scene_for(key)
    data, arm = scene.data, scene.handles
    scene.surroundings.apply(sampled, arm.dof)
    mujoco.mj_resetData(scene.model, data)
    data.qpos[arm.qpos] = sampled["start_posture"]
    data.qpos[arm.finger_qpos] = width / 2
    scene.path.gain[:] = sampled["torque_gain"]
    scene.path.reset()
    piled = False
    for slot, index in enumerate(key):
        position, rest = sampled["positions"][slot], library[index].rests[sampled["rests"][slot]]
        lying, quaternion = resting_pose(rest, position[:2], sampled["yaws"][slot])
        start = int(scene.model.joint(f"object{slot}_joint").qposadr[0])
        data.qpos[start : start + 7] = [*position, *quaternion]
        piled |= bool(position[2] > lying[2] + PILE / 2)
    if piled:
        scene.path.advance(np.zeros(env.arm.n), width, round(SETTLE * env.physics_rate))
    if "scattered_posture" in sampled:
        data.qpos[arm.qpos] = sampled["scattered_posture"]
        data.qvel[arm.dof] = sampled["scattered_velocity"]
    return data


@pytest.mark.parametrize(
    ("changes", "scattered"),
    [
        ({}, False),
        ({"randomisation": "rich", "count": 3}, True),
        ({"objects": "held-out", "count": 8}, False),
    ],
)
def test_a_start_can_be_rebuilt_from_what_was_sampled(changes: dict[str, Any], scattered: bool) -> None:
    env, other = (GraspEnv(**changes, observe=("q",)) for _ in range(2))
    for seed in (0, 1):
        _, info = env.reset(seed=seed, options={"scattered": scattered})
        data = rebuilt(other, info["sampled"])
        assert env.data.qpos == pytest.approx(data.qpos, abs=1e-9)
        assert env.data.qvel == pytest.approx(data.qvel, abs=1e-9)
        moving = bool(np.abs(env.data.qvel[env.handles.dof]).max() > 1e-6)
        assert moving is ("scattered_velocity" in info["sampled"]) is scattered


def test_the_reward_is_of_the_nearest_object_but_rather_of_one_in_the_grip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = GraspEnv(count=3, observe=("q",))
    env.reset(seed=0)
    for slot in range(3):
        put(env, slot, 0.0 if slot else 0.1 * LIFT)
    away = np.linalg.norm(env.data.xpos[env._bodies] - env.grip_pose()[0], axis=1)
    near, middle, far = (int(slot) for slot in np.argsort(away))

    def terms(slot: int, grip: float) -> dict[str, float]:
        lift = 0.0 if slot else 0.1
        return {"reach": np.exp(-away[slot] / 0.1), "grip": grip, "lift": lift, "lifted": 0.0}

    assert env.reward_terms() == pytest.approx(terms(near, 0.0))
    for held, counts in (([far], far), ([far, middle], middle), ([far, near], near)):
        bodies = [env._bodies[slot] for slot in held]
        monkeypatch.setattr(env, "fingers_touch", lambda body, held=bodies: body in held)
        assert env.reward_terms() == pytest.approx(terms(counts, 1.0))


@pytest.mark.parametrize(("count", "kept"), [(1, 7), (2, 4)])
def test_clutters_do_not_pile_up_in_memory(count: int, kept: int) -> None:
    env = GraspEnv(count=count, observe=("q",))
    keys = [tuple(range(start, start + count)) for start in range(7)]
    for key in keys:
        env._scene_for(key)
    assert list(env._scenes) == keys[-kept:]


def test_the_sets_are_disjoint_and_used() -> None:
    train, held_out = ({thing.name for thing in objects_of(split)} for split in ("train", "held-out"))
    assert len(train) >= 60
    assert len(held_out) >= 30
    assert not train & held_out
    families, new = ({thing.family for thing in objects_of(split)} for split in ("train", "held-out"))
    assert len(new - families) >= 2
    env = GraspEnv(objects="held-out", count=3, observe=("q",))
    for seed in range(3):
        _, info = env.reset(seed=seed)
        assert set(info["sampled"]["objects"]) <= held_out
        assert len(set(info["sampled"]["objects"])) == 3


def test_success_is_an_object_held_high_and_still(monkeypatch: pytest.MonkeyPatch) -> None:
    env = GraspEnv(count=2, observe=("q",))
    env.reset(seed=0)
    for slot in (0, 1):  # any of them will do
        for height, velocity, expected in (
            (LIFT + 0.005, 0.0, True),
            (LIFT - 0.005, 0.0, False),
            (LIFT + 0.005, STILL + 0.01, False),
        ):
            put(env, slot, height, velocity)
            assert env.holds() is False  # nobody holds it there
            with monkeypatch.context() as patch:
                patch.setattr(env, "fingers_touch", lambda body, mine=env._bodies[slot]: body == mine)
                assert env.holds() is expected
        put(env, slot, 0.0)


def test_what_lies_on_the_object_that_is_held_does_not_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    env = GraspEnv(count=2, observe=("q",))
    env.reset(seed=0)
    put(env, 0, LIFT + 0.005)
    put(env, 1, LIFT + 0.05)
    monkeypatch.setattr(env, "fingers_touch", lambda body: body == env._bodies[0])
    assert env.holds()


OPEN, CLOSED = (np.r_[np.zeros(7), sign] for sign in (-1.0, 1.0))


def lift(env: GraspEnv, seed: int) -> None:
    """Until the object hangs between the pads."""
    env.reset(seed=seed)
    while env._heights()[0] < LIFT / 2:
        env.step(env.teacher())


def test_an_object_that_slips_out_of_the_hand_is_a_drop() -> None:
    env = GraspEnv(observe=("q",))
    lift(env, 1)
    assert (env.drops, env.jams) == (0, 0)
    for _ in range(16):  # the gripper has a dead time
        *_, info = env.step(OPEN)
    assert info["drops"] == env.drops == 1
    assert env._underside(0) < 0.001
    for _ in range(5):
        env.step(OPEN)
    assert env.drops == 1
    assert env.reset(seed=1)[1]["drops"] == 0


def test_whether_an_object_is_gripped_is_of_the_present_after_a_step_too() -> None:
    env = GraspEnv(observe=("q",))
    lift(env, 1)
    assert env.gripped(0)
    put(env, 0, 0.5)
    mujoco.mj_forward(env.model, env.data)
    assert not env.gripped(0)


def test_what_the_hand_did_not_carry_is_no_drop() -> None:
    env = GraspEnv(count=2, observe=("q",))
    env.reset(seed=0)
    put(env, 0, 0.05)  # as if it had been thrown up
    for _ in range(10):
        env.step(OPEN)
    assert env._underside(0) < DOWN_AGAIN
    assert env.drops == 0


def test_what_is_put_down_is_no_drop() -> None:
    env = GraspEnv(observe=("q",))
    lift(env, 1)
    while env._underside(0) > 0.004:
        grip, hand = env.grip_pose()
        torque = env.scene.control.torque(env.data, grip, hand, grip - [0.0, 0.0, 0.02], hand)
        env.step(env.action_of(torque, 1.0))
        assert env.gripped(0)
    for _ in range(16):
        env.step(OPEN)
    assert not env.gripped(0)
    assert env.drops == 0


def test_success_takes_half_a_second_on_end() -> None:
    env = GraspEnv(observe=("q",))
    assert env.hold_steps == 10
    solve(env, 1)
    assert env._held == 10


def test_an_object_on_the_floor_is_lost() -> None:
    env = GraspEnv(count=2, observe=("q",))
    env.reset(seed=0)
    assert env.failure() is None
    for slot in (0, 1):
        address = int(env.model.joint(f"object{slot}_joint").qposadr[0])
        env.data.qpos[address : address + 3] = [1.2, 0.0, 0.03] if slot else [0.5, 0.0, -0.5]
        mujoco.mj_kinematics(env.model, env.data)
        assert env.failure() == ("lost" if slot else None)  # as long as one is there it can be grasped


def test_the_privileged_state_leads_to_the_grasp() -> None:
    env = GraspEnv(observe=("state", "q"))
    observation, _ = env.reset(seed=2)
    assert observation["state"].shape == (11,)
    for _ in range(60):
        state = env.privileged()
        grip, _ = env.grip_pose()
        assert state[:3] + grip == pytest.approx(state[3:6])
        assert 0.0 < state[9] < 0.08
        if state[10]:  # both fingers touch it
            break
        env.step(env.teacher())
    assert np.linalg.norm(state[:3]) < 0.015
    assert np.linalg.norm(state[6:9]) < 0.3


@pytest.mark.parametrize(
    ("beyond", "lean", "sign"),
    [(0.2, 0.1, 1), (0.2, -0.1, -1), (-0.2, 0.1, 1), (-0.2, -0.1, -1), (0.6, 0.1, -1), (-0.6, -0.1, 1)],
)
def test_of_two_ways_round_nearly_equal_the_teacher_takes_the_one_that_the_hand_leans_to(
    beyond: float, lean: float, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = [thing.name for thing in objects_of("train")].index("box-1")  # too long to be gripped the other way
    monkeypatch.setattr(GraspEnv, "scene_key", lambda self: (box,))
    env = GraspEnv(observe=("q",))
    env.reset(seed=0)
    point, across = env.privileged()[3:6], env._target()[2][:, 1]  # the pads close along `across`
    # at its usual yaw the hand has to turn by pi/2 + beyond one way round, or pi/2 - beyond the other
    turn, turned = np.zeros(4), np.zeros(4)
    angle = beyond - np.arctan2(across[1], across[0])
    mujoco.mju_axisAngle2Quat(turn, np.array([0.0, 0.0, 1.0]), float(angle))
    start = int(env.model.joint("object0_joint").qposadr[0])
    mujoco.mju_mulQuat(turned, turn, env.data.qpos[start + 3 : start + 7].copy())
    env.data.qpos[start + 3 : start + 7] = turned
    assert env.bring_hand(point + np.array([0.0, 0.0, 0.1]), yaw_rotation(lean) @ DOWN, np.zeros(6))
    assert env.privileged()[8] == pytest.approx(sign * np.pi / 2 + beyond - lean, abs=0.05)


def test_the_hand_starts_open_above_the_objects() -> None:
    env = GraspEnv(observe=("q",))
    starts = []
    for seed in range(5):
        env.reset(seed=seed)
        position, rotation = env.grip_pose()
        assert position == pytest.approx(env.start_position, abs=0.04)
        assert rotation == pytest.approx(DOWN, abs=0.12)
        assert env.width == pytest.approx(env.arm.gripper.max_width)
        starts.append(position)
    assert np.std(starts, axis=0).min() > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objects": "training"},
            "unknown set of objects 'training' .*'train'.*: choose one of train, held-out",
        ),
        ({"objects": None}, "unknown set of objects None"),
        *(
            ({"count": count}, f"count is {count!r}; it must be a whole number from 1 to 8")
            for count in (0, 9, "3", 1.5, 3.0, True, None, float("nan"))
        ),
        ({"shape": "round"}, "unknown parameter of GraspEnv 'shape'"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GraspEnv(**changes)
