from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
import pytest
from teaching import solve

from robolearn.envs.kinematics import quaternion_of, rotation_from_vector, yaw_rotation
from robolearn.envs.peg_insertion import FLIP, JAM_FORCE, SETTLE, PegInsertionConfig, PegInsertionEnv
from robolearn.envs.pegs import BLOCK, HANDLE, SHAPES, contact_settings
from robolearn.errors import InputError


def put(env: PegInsertionEnv, shift: tuple[float, float, float], tilt: float = 0.0, yaw: float = 0.0) -> None:
    """Put the peg's tip somewhere in the hole's frame: x and y across, z out of it [m]; turned [rad]."""
    rotation = yaw_rotation(env.hole_yaw) @ rotation_from_vector(np.array([tilt, 0.0, yaw]))
    tip = env._mouth + yaw_rotation(env.hole_yaw) @ np.array(shift)
    address = int(env.model.joint("peg_joint").qposadr[0])
    env.data.qpos[address : address + 3] = tip + rotation @ [0.0, 0.0, env.geometry.grip_to_tip]
    env.data.qpos[address + 3 : address + 7] = quaternion_of(rotation)
    mujoco.mj_kinematics(env.model, env.data)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clearance", ["3mm", "0.5mm"])
def test_the_teacher_inserts(shape: str, clearance: str) -> None:
    env = PegInsertionEnv(shape=shape, clearance=clearance, observe=("q",))
    for seed in (0, 5, 7):
        info = solve(env, seed)
        assert info["success"], (seed, info["reason"])
        assert env.depth >= 0.025
        assert not env.dropped()


def test_the_teacher_inserts_a_tight_peg_and_with_another_arm_and_in_rich_surroundings() -> None:
    for changes in ({"clearance": "0.1mm"}, {"arm": "fr3"}, {"randomisation": "rich"}):
        env = PegInsertionEnv(**changes, observe=("q",))
        assert all(solve(env, seed)["success"] for seed in (0, 1, 3)), changes


def test_the_hole_and_the_grasp_vary_as_asked() -> None:
    env = PegInsertionEnv(observe=("q",))
    drawn: dict[str, list[Any]] = {"hole_shift": [], "hole_yaw": [], "grasp_shift": [], "grasp_tilt": []}
    for seed in range(40):
        _, info = env.reset(seed=seed)
        for name, values in drawn.items():
            values.append(info["sampled"][name])
        hole = env.model.body("hole")
        assert hole.pos == pytest.approx([*(np.array(env.nominal_hole) + drawn["hole_shift"][-1]), BLOCK[2]])
        assert env.data.body("hole").xmat.reshape(3, 3) == pytest.approx(yaw_rotation(drawn["hole_yaw"][-1]))
    limits = {
        "hole_shift": 0.05,
        "hole_yaw": np.radians(30),
        "grasp_shift": 0.003,
        "grasp_tilt": np.radians(5),
    }
    for name, limit in limits.items():
        extreme = np.abs(drawn[name]).max()
        assert 0.85 * limit < extreme <= limit
    narrow = PegInsertionEnv(hole_shift=0.01, hole_turn=0.0, grasp_shift=0.0, grasp_tilt=0.0, observe=("q",))
    for seed in range(5):
        narrow.reset(seed=seed)
        assert np.abs(narrow.sampled["hole_shift"]).max() <= 0.01
        assert narrow.hole_yaw == 0.0


@pytest.mark.parametrize("scattered", [False, True])
def test_a_start_can_be_rebuilt_from_what_was_sampled(scattered: bool) -> None:
    env, other = (PegInsertionEnv(randomisation="rich", observe=("q",)) for _ in range(2))
    _, info = env.reset(seed=3, options={"scattered": scattered})
    sampled, scene = info["sampled"], other._scene_for(0)
    model, data, arm = scene.model, scene.data, scene.handles
    scene.surroundings.apply(sampled, arm.dof)
    mujoco.mj_resetData(model, data)
    hole = model.body("hole").id
    model.body_pos[hole] = [*(np.array(env.nominal_hole) + sampled["hole_shift"]), BLOCK[2]]
    model.body_quat[hole] = quaternion_of(yaw_rotation(sampled["hole_yaw"]))
    data.qpos[arm.qpos] = sampled["scattered_posture" if scattered else "start_posture"]
    data.qpos[arm.finger_qpos] = HANDLE[1] / 2
    mujoco.mj_kinematics(model, data)
    grip, hand = data.site_xpos[arm.grip], data.site_xmat[arm.grip].reshape(3, 3)
    x, z = sampled["grasp_shift"]
    turned = hand @ rotation_from_vector(np.array([0.0, sampled["grasp_tilt"], 0.0])) @ FLIP
    start = int(model.joint("peg_joint").qposadr[0])
    data.qpos[start : start + 7] = [*(grip + hand @ [x, 0.0, z]), *quaternion_of(turned)]
    # the pads close on the handle, the peg's weight carried meanwhile
    scene.path.gain[:] = sampled["torque_gain"]
    scene.path.reset()
    peg = model.body("peg").id
    data.xfrc_applied[peg, 2] = 9.81 * model.body_mass[peg]
    closing = round((env.arm.gripper.dead_time + SETTLE) * env.physics_rate)
    scene.path.advance(np.zeros(env.arm.n), 0.0, closing)
    assert env.data.qpos == pytest.approx(data.qpos, abs=1e-7)
    assert env.data.qvel == pytest.approx(data.qvel, abs=1e-5)


def test_the_peg_is_held_by_friction_alone() -> None:
    env = PegInsertionEnv(observe=("q",))
    env.reset(seed=0)
    assert env.model.neq == 1  # the fingers' coupling
    held = {"left_pad", "right_pad"}
    touching = {
        env.model.geom(int(geom)).name
        for pair in env.data.contact.geom
        for geom in pair
        if "peg_handle" in (env.model.geom(int(pair[0])).name, env.model.geom(int(pair[1])).name)
    }
    assert held <= touching
    # opened, it lets go, and that ends the episode
    for _ in range(60):
        _, _, terminated, _, info = env.step(np.r_[np.zeros(7), -1.0])
        if terminated:
            break
    assert (info["reason"], info["success"], env.dropped()) == ("dropped", False, True)
    assert (info["drops"], info["jams"]) == (1, 0)


def test_the_peg_sits_in_the_hand_as_it_was_drawn() -> None:
    for tier in ("clean", "rich"):
        env = PegInsertionEnv(observe=("q",), randomisation=tier)
        for seed in range(8):
            env.reset(seed=seed)
            grip, hand = env.grip_pose()
            shift, tilt = env.sampled["grasp_shift"], env.sampled["grasp_tilt"]
            assert hand.T @ (env.data.xpos[env._peg] - grip) == pytest.approx(
                [shift[0], 0.0, shift[1]], abs=1e-4
            )
            turned = hand.T @ env.data.xmat[env._peg].reshape(3, 3) @ FLIP.T
            assert turned == pytest.approx(rotation_from_vector(np.array([0.0, tilt, 0.0])), abs=1e-3)


def test_a_held_peg_stays_where_it_is_held() -> None:
    env = PegInsertionEnv(observe=("q",), action="impedance")
    env.reset(seed=1)
    grip, hand = env.grip_pose()
    before = hand.T @ (env.data.xpos[env._peg] - grip)
    for _ in range(60):
        env.step(np.r_[np.zeros(7), 1.0])
    grip, hand = env.grip_pose()
    assert np.linalg.norm(hand.T @ (env.data.xpos[env._peg] - grip) - before) < 1e-4


def test_depth_counts_in_the_hole_alone() -> None:
    env = PegInsertionEnv(observe=("q",))
    env.reset(seed=0)
    for shift, expected in (
        ((0.0, 0.0, 0.01), 0.0),
        ((0.0, 0.0, -0.02), 0.02),
        ((0.002, -0.002, -0.03), 0.03),
        ((0.05, 0.0, -0.02), 0.0),  # beside the block's hole
    ):
        put(env, shift)
        assert env.depth == pytest.approx(expected, abs=1e-9)
        error, turn = env.error()
        assert error == pytest.approx(-np.array(shift), abs=1e-9)
        assert np.linalg.norm(turn) < 1e-6


def test_success_is_a_depth_that_holds() -> None:
    env = PegInsertionEnv(observe=("q",))
    assert env.hold_steps == 5
    env.reset(seed=0)
    put(env, (0.0, 0.0, -0.0251))
    assert env.depth >= env.config.insertion_depth
    assert not env.holds()  # nobody holds it there
    deeper = PegInsertionEnv(insertion_depth=0.03, observe=("q",))
    solve(deeper, 0)
    assert deeper.success
    assert deeper.depth >= 0.03


def test_a_peg_that_stands_in_the_hole_beside_an_open_hand_is_no_success() -> None:
    env = PegInsertionEnv(observe=("q",))
    solve(env, 0)
    assert env.holds()
    env.advance(np.zeros(7), env.arm.gripper.max_width, env.physics_rate)
    assert env.depth >= env.enough
    assert not env.dropped()
    assert not env.holds()


def test_the_error_is_what_aligns_the_peg() -> None:
    env = PegInsertionEnv(observe=("q",))
    env.reset(seed=4)
    shift, turn = env.error()
    hole = yaw_rotation(env.hole_yaw)
    position, rotation = env.tip_pose()
    assert position + hole @ shift == pytest.approx(env._mouth)
    assert rotation_from_vector(hole @ turn) @ rotation == pytest.approx(hole @ FLIP, abs=1e-9)


def test_the_privileged_state() -> None:
    env = PegInsertionEnv(observe=("state", "q"))
    observation, _ = env.reset(seed=3)
    assert observation["state"].shape == (14,)
    state = env.privileged()
    position, _ = env.tip_pose()
    assert state[:3] + position == pytest.approx(env._mouth)
    assert np.arctan2(state[6], state[7]) == pytest.approx(env.hole_yaw)
    assert state[8:11] == pytest.approx(env._mouth)
    grip, hand = env.grip_pose()
    assert grip + hand @ state[11:14] == pytest.approx(position)


def hit_the_rim(env: PegInsertionEnv) -> None:
    """Move the block, unseen by the teacher, so that it comes down beside the hole."""
    env.reset(seed=0)
    env.model.body_pos[env._hole][0] += 0.02
    while env.pressure() == 0.0:
        env.step(env.teacher())


def test_a_peg_that_presses_and_stays_is_one_jam() -> None:
    env = PegInsertionEnv(observe=("q",))
    hit_the_rim(env)
    for _ in range(12):
        position, rotation = env.tip_pose()
        deep = position - [0.0, 0.0, 0.1]
        torque = env._insertion.torque(env.data, position, rotation, deep, rotation)
        *_, info = env.step(env.action_of(torque, 1.0))
    assert env.pressure() > JAM_FORCE
    assert info["jams"] == env.jams == 1  # however long it lasts
    assert env.reset(seed=0)[1]["jams"] == 0


def test_a_hard_touch_is_no_jam() -> None:
    env = PegInsertionEnv(observe=("q",))
    hit_the_rim(env)
    for _ in range(12):  # the teacher stays there, waiting, and presses no more
        env.step(env.teacher())
    assert env.pressure() > 0.0
    assert env.scene.path.peak_force > JAM_FORCE
    assert (env.jams, env.drops) == (0, 0)


def test_the_teacher_neither_jams_nor_drops() -> None:
    env = PegInsertionEnv(observe=("q",))
    info = solve(env, 0)
    assert (info["drops"], info["jams"]) == (0, 0)


def test_the_simulation_is_as_fine_as_the_fit_needs() -> None:
    for clearance in ("4mm", "1mm", "0.1mm"):
        env = PegInsertionEnv(clearance=clearance, observe=("q",))
        settings = contact_settings(env.geometry.clearance)
        assert env.physics_rate == settings.physics_rate
        assert env.model.opt.timestep == pytest.approx(1 / settings.physics_rate)
        assert env.model.opt.impratio == settings.impratio
    # a rate that is asked for is used, and the contacts are made for it
    env = PegInsertionEnv(physics_rate=2000, observe=("q",))
    assert env.model.opt.timestep == 0.0005
    assert env.model.geom("peg_shaft").solref[0] == pytest.approx(0.001)


def test_angles_may_have_units() -> None:
    env = PegInsertionEnv(observe=("q",), hole_turn="180deg", grasp_tilt="5 deg")
    assert env.config == PegInsertionConfig(observe=("q",), hole_turn=np.pi)
    env.reset(seed=0)
    assert abs(env.hole_yaw) <= np.pi


@pytest.mark.parametrize(("shape", "expected"), [("round", 1.0), ("square", np.exp(-2.5))])
def test_only_a_peg_that_has_a_right_yaw_is_asked_for_it(shape: str, expected: float) -> None:
    env = PegInsertionEnv(observe=("q",), shape=shape)
    env.reset(seed=0)
    put(env, (0.0, 0.0, 0.01), yaw=0.5)
    assert env.reward_terms()["upright"] == pytest.approx(expected, abs=1e-6)


def test_lengths_may_have_units() -> None:
    lengths = {
        "clearance": ("1mm", 0.001),
        "chamfer": ("1.5 mm", 0.0015),
        "hole_shift": ("2cm", 0.02),
        "grasp_shift": ("500um", 0.0005),
        "insertion_depth": ("0.02", 0.02),
    }
    text = PegInsertionEnv(observe=("q",), **{name: text for name, (text, _) in lengths.items()})
    assert text.config == PegInsertionConfig(
        observe=("q",), **{name: metres for name, (_, metres) in lengths.items()}
    )
    text.reset(seed=0)
    assert np.abs(text.sampled["hole_shift"]).max() <= 0.02
    assert text.enough == 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"shape": "triangle"},
            "unknown peg shape 'triangle'.*: choose one of round, square, hexagon, trapezoid",
        ),
        ({"clearance": "1 mn"}, "length '1 mn' has the unknown unit 'mn'.* m, cm, mm, um"),
        ({"clearance": "wide"}, "not a number"),
        ({"clearance": 0.0}, "clearance is 0.0, .*; it must be a length from 50 um to 5 mm"),
        ({"clearance": "2cm"}, "clearance is '2cm', 20 mm; it must be"),
        ({"clearance": "5.1mm"}, "clearance"),
        ({"clearance": "49um"}, "clearance"),
        ({"chamfer": "-1mm"}, "chamfer is '-1mm'"),
        ({"chamfer": [0.001]}, "chamfer: length"),
        ({"insertion_depth": 0}, "insertion_depth is 0"),
        ({"insertion_depth": -0.01}, "insertion_depth is -0.01"),
        ({"insertion_depth": "31mm"}, "insertion_depth is '31mm', 31 mm; .* to 30 mm"),
        ({"hole_shift": "5 furlongs"}, "hole_shift: length '5 furlongs'"),
        ({"hole_shift": "11cm"}, "hole_shift is '11cm'"),
        ({"grasp_shift": -0.001}, "grasp_shift is -0.001"),
        ({"hole_turn": -0.1}, "hole_turn is -0.1, -5.73 deg; it must be an angle from 0 deg to 180 deg"),
        ({"hole_turn": "30mm"}, "hole_turn: angle '30mm' has the unknown unit 'mm'"),
        ({"grasp_tilt": "31deg"}, "grasp_tilt is '31deg', 31 deg; it must be an angle from 0 deg to 30 deg"),
        *(
            ({name: value}, name)
            for name in ("clearance", "hole_shift", "hole_turn", "grasp_shift", "grasp_tilt")
            for value in (math.nan, math.inf, True, None)
        ),
        ({"objects": "train"}, "unknown parameter of PegInsertionEnv 'objects'"),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PegInsertionEnv(**changes)
