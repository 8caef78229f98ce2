from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest
from small_task import BallEnv
from test_envs_observing import green, pixel

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.randomisation import CLEAN, RICH, Randomisation, tier
from robolearn.envs.tasks import make
from robolearn.errors import InputError

NOISE = ("q_noise", "dq_noise", "wrench_noise", "image_noise")


def ball(randomisation: Randomisation = CLEAN, **changes: Any) -> BallEnv:
    env = BallEnv(**changes)
    env.randomisation = randomisation
    return env


def arrays(model: mujoco.MjModel) -> dict[str, Any]:
    """Everything in a model."""
    found = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    everything = {name: value.copy() for name, value in found.items() if isinstance(value, np.ndarray)}
    for part in (model.opt, model.stat, model.vis.map):
        for name in dir(part):
            value = getattr(part, name)
            if not name.startswith("_") and isinstance(value, int | float | np.ndarray):
                everything[f"{type(part).__name__}.{name}"] = np.copy(value)
    return everything


# --- drawing values
# -------------------------------------------------------------------------------------------


def test_values_are_drawn_from_their_ranges() -> None:
    rng = np.random.default_rng(0)
    drawn = [RICH.sample(rng, 7, ("front", "wrist")) for _ in range(300)]
    for name in ("observation_delay", "action_delay", "light_intensity", "mass_scale", "friction_scale"):
        low, high = getattr(RICH, name)
        values = np.array([sample[name] for sample in drawn])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    shapes = {"camera_shift": (2, 3), "camera_turn": (2, 3), "focal_scale": (2,), "torque_gain": (7,)}
    for name, shape in shapes.items():
        low, high = getattr(RICH, name)
        values = np.array([sample[name] for sample in drawn])
        assert values.shape == (300, *shape)
        assert low <= values.min()
        assert values.max() <= high
        assert values.std() > 0.2 * (high - low)
    friction = np.array([sample["joint_friction"] for sample in drawn]).max(axis=0)
    assert (friction[:4] > 0.9).all()
    assert (friction[:4] <= 1.0).all()
    assert (friction[4:] > 0.25).all()
    assert (friction[4:] <= 0.3).all()
    assert {sample["distractors"] for sample in drawn} == {0, 1, 2, 3, 4}
    assert 0.4 < np.mean([sample["texture"] for sample in drawn]) < 0.6


def test_the_clean_tier_has_delays_and_no_surprise() -> None:
    drawn = CLEAN.sample(np.random.default_rng(0), 7, ("front",))
    assert drawn["observation_delay"] == drawn["action_delay"] == 0.01
    for name in ("light_intensity", "mass_scale", "friction_scale"):
        assert drawn[name] == 1.0
    for name in ("torque_gain", "focal_scale"):
        assert (drawn[name] == 1.0).all()
    for name in ("light_shift", "camera_shift", "camera_turn", "joint_friction"):
        assert (drawn[name] == 0.0).all()
    assert (drawn["colour_shift"], drawn["texture"], drawn["distractors"]) == (0.0, False, 0)
    assert all(getattr(CLEAN, name) == 0.0 for name in NOISE)


def test_arms_with_few_joints() -> None:
    assert RICH.sample(np.random.default_rng(0), 2, ())["joint_friction"].shape == (2,)


def test_tiers_by_name() -> None:
    assert (tier("clean"), tier("rich")) == (CLEAN, RICH)
    with pytest.raises(
        InputError, match=r"unknown randomisation tier 'clear' .*'clean'.*: choose one of clean, rich"
    ):
        tier("clear")


@pytest.mark.parametrize("name", ["grasp", "peg-insertion"])
def test_every_value_is_in_info_and_is_the_readers_to_keep(name: str) -> None:
    env = make(name, {"randomisation": "rich", "observe": ("q",)})
    _, info = env.reset(seed=0)
    expected = {"start_posture"} | set(RICH.sample(np.random.default_rng(0), 7, ()))
    own = {
        "grasp": {"objects", "positions", "yaws", "rests"},
        "peg-insertion": {"hole_shift", "hole_yaw", "grasp_shift", "grasp_tilt"},
    }[name]
    assert set(info["sampled"]) == expected | own
    info["sampled"]["joint_friction"][:] = 99.0
    assert env.sampled["joint_friction"].max() < 1.1


# --- the model
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ball", "peg-insertion"])
def test_nothing_of_an_episode_stays_in_the_model(name: str) -> None:
    env, fresh = (BallEnv() if name == "ball" else make(name, {"observe": ("q",)}) for _ in range(2))
    fresh.reset(seed=7)
    expected = arrays(fresh.model)
    for seed in range(4):
        env.randomisation = RICH
        env.reset(seed=seed)
        env.step(np.zeros(8))
        changed = arrays(env.model)
        assert sum(not np.array_equal(changed[key], expected[key]) for key in expected) > 10
        env.randomisation = CLEAN
        env.reset(seed=7)
        after = arrays(env.model)
        # the pattern stays in its texture, which no surface wears then
        different = [key for key in expected if not np.array_equal(after[key], expected[key], equal_nan=True)]
        assert different in ([], ["tex_data"])


def test_masses_and_what_follows_from_them() -> None:
    nominal, heavy = ball(), ball(replace(CLEAN, mass_scale=(1.3, 1.3)))
    for env in (nominal, heavy):
        env.reset(seed=0)
    index = nominal.model.body("ball").id
    for name in ("body_mass", "body_inertia", "body_subtreemass"):
        assert getattr(heavy.model, name)[index] == pytest.approx(1.3 * getattr(nominal.model, name)[index])
    dof = int(nominal.model.body_dofadr[index])
    for name in ("dof_M0", "dof_invweight0"):
        exponent = 1 if name == "dof_M0" else -1
        expected = 1.3**exponent * getattr(nominal.model, name)[dof : dof + 6]
        assert getattr(heavy.model, name)[dof : dof + 6] == pytest.approx(expected)
    hand = nominal.handles.hand
    assert heavy.model.body_mass[hand] == nominal.model.body_mass[hand]


def test_friction() -> None:
    nominal, smooth = ball(), ball(replace(CLEAN, friction_scale=(0.5, 0.5)))
    for env in (nominal, smooth):
        env.reset(seed=0)
    for name in ("ball", "left_pad", "table"):
        assert smooth.model.geom(name).friction[0] == 0.5 * nominal.model.geom(name).friction[0]


def test_torque_gain_is_between_what_is_sent_and_what_is_made() -> None:
    env = ball(replace(CLEAN, torque_gain=(0.9, 1.1)))
    env.reset(seed=0)
    gain = env.sampled["torque_gain"]
    assert gain.std() > 0.02
    for _ in range(3):
        *_, info = env.step(np.r_[np.full(7, 0.8), -1.0])
    assert info["sent"] == pytest.approx(np.full(7, 0.8))
    assert env.data.qfrc_actuator[env.handles.dof] == pytest.approx(0.8 * gain)


def test_joint_friction_holds_against_less_and_gives_way_to_more() -> None:
    def motion(friction: float, torque: float) -> np.ndarray:
        env = ball(
            replace(
                CLEAN, joint_friction_upper=(friction, friction), joint_friction_wrist=(friction, friction)
            )
        )
        env.reset(seed=0)
        start = env.data.qpos[env.handles.qpos].copy()
        for _ in range(8):
            env.step(np.r_[np.full(7, torque), -1.0])
        return np.abs(env.data.qpos[env.handles.qpos] - start)

    assert (motion(0.3, 0.2) < 0.002).all()
    assert (motion(0.0, 0.2) > 0.004).all()
    assert (motion(0.3, 0.6) > 0.004).all()


# --- what is seen
# ---------------------------------------------------------------------------------------------


def picture(env: ManipulationEnv, seed: int = 0, camera: str = "front") -> np.ndarray:
    return env.reset(seed=seed)[0][camera]


@pytest.mark.parametrize(
    "change",
    [
        {"light_intensity": (0.6, 0.6)},
        {"light_shift": (0.4, 0.4)},
        {"colour_shift": 0.12},
        {"texture": 1.0},
        {"distractors": (4, 4)},
        {"camera_shift": (0.02, 0.02)},
        {"camera_turn": (0.05, 0.05)},
        {"focal_scale": (1.05, 1.05)},
        {"image_noise": 4.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_condition_shows_and_goes_again(change: dict[str, Any]) -> None:
    env = ball(observe=("front",))
    plain = picture(env)
    env.randomisation = replace(CLEAN, **change)
    changed = picture(env)
    assert (changed != plain).any(axis=2).mean() > (0.005 if "distractors" in change else 0.05)
    assert np.array_equal(picture(env), changed)
    env.randomisation = CLEAN
    assert np.array_equal(picture(env), plain)
    env.close()


def test_textures_differ_from_episode_to_episode() -> None:
    env = ball(replace(CLEAN, texture=1.0), observe=("front",))
    pictures = [picture(env, seed) for seed in (0, 1, 0)]
    assert (pictures[0] != pictures[1]).mean() > 0.2
    assert np.array_equal(pictures[0], pictures[2])
    # the table is darker in some places than in others, and the arm is not
    env.randomisation = CLEAN
    plain = picture(env).astype(float)
    assert pictures[0][40:].std() > 1.5 * plain[40:].std()
    env.close()


def test_distractors_are_hidden_unless_asked_for_and_touch_nothing() -> None:
    env = ball()
    for count in (0, 2, 4):
        env.randomisation = replace(CLEAN, distractors=(count, count))
        env.reset(seed=3)
        geoms = [env.model.geom(f"distractor{i}") for i in range(4)]
        assert [geom.rgba[3] for geom in geoms] == [1.0] * count + [0.0] * (4 - count)
        assert all(geom.contype[0] == geom.conaffinity[0] == 0 for geom in geoms)
        places = np.array([env.data.body(f"distractor{i}").xpos for i in range(count)]).reshape(count, 3)
        assert (np.abs(places[:, 1]) > 0.19).all()  # beside the work


@pytest.mark.parametrize("name", ["front", "wrist"])
def test_a_shifted_camera_sees_from_where_it_was_shifted_to(name: str) -> None:
    env = ball(
        replace(
            CLEAN,
            camera_shift=(-0.02, 0.02),
            camera_turn=(-0.05, 0.05),
            focal_scale=(0.95, 1.05),
            observation_delay=(0.0, 0.0),
        ),
        observe=("front", "wrist"),
    )
    nominal = {camera.name: camera for camera in env.contract().cameras}[name]
    row = list(env.views).index(name)
    moved = found = 0
    for seed in range(10):
        env.reset(seed=seed)
        shift, turn = env.sampled["camera_shift"][row], env.sampled["camera_turn"][row]
        # the turn is about the axes of MuJoCo's camera: x right, y up, z backwards
        quaternion, half = np.zeros(4), np.zeros(4)
        angle = np.linalg.norm(turn)
        mujoco.mju_axisAngle2Quat(half, turn * [1, -1, -1] / angle, angle)
        mujoco.mju_mulQuat(quaternion, np.array(nominal.quaternion), half)
        focal = nominal.fx * env.sampled["focal_scale"][row]
        camera = replace(
            nominal,
            position=tuple(np.array(nominal.position) + shift),
            quaternion=tuple(quaternion),
            fx=focal,
            fy=focal,
        )
        point = env.grip_pose()[0] + [0.05, 0.01, -0.1]
        env.data.mocap_pos[0] = point
        observation, *_ = env.step(np.zeros(8))
        middle, size = green(observation[name])
        expected, _ = pixel(env, camera, point)
        before, _ = pixel(env, nominal, point)
        inside = (expected > 4).all() and (expected < [camera.width - 5, camera.height - 5]).all()
        if size < 4 or not inside:
            continue
        found += 1
        moved += np.linalg.norm(expected - before) > 1.5
        assert middle == pytest.approx(expected, abs=0.8)
    assert found > 5
    assert moved > 3
    env.close()


def test_noise_is_as_strong_as_it_says_and_only_where_it_is_asked_for() -> None:
    observe = ("front", "q", "dq", "tau", "gripper", "wrench")
    clean = ball(observe=observe)
    expected, _ = clean.reset(seed=0)
    again, _ = clean.reset(seed=0)
    assert all(np.array_equal(expected[key], again[key]) for key in observe)
    noisy = ball(replace(CLEAN, **{name: getattr(RICH, name) for name in NOISE}), observe=observe)
    readings: dict[str, list[np.ndarray]] = {key: [] for key in observe}
    for _ in range(60):
        # the same moment, and another draw of the noise
        noisy.reset(seed=0)
        noisy._begin()
        noisy.np_random.bit_generator.advance(len(readings["q"]) * 100_000)
        for key, value in noisy._observe().items():
            readings[key].append(value.astype(float) - expected[key])
    spread = {key: np.array(values).std(axis=0) for key, values in readings.items()}
    unclipped = (expected["front"] > 40) & (expected["front"] < 215)
    assert spread["q"] == pytest.approx(np.full(7, RICH.q_noise), rel=0.35)
    assert spread["dq"] == pytest.approx(np.full(7, RICH.dq_noise), rel=0.35)
    assert spread["wrench"][:3] == pytest.approx(np.full(3, RICH.wrench_noise), rel=0.35)
    assert spread["wrench"][3:] == pytest.approx(np.full(3, 0.1 * RICH.wrench_noise), rel=0.35)
    assert spread["front"][unclipped].mean() == pytest.approx(RICH.image_noise, rel=0.1)
    assert np.abs(np.array(readings["front"])[:, unclipped].mean()) < 0.1  # rounded, not cut off
    for key in ("tau", "gripper"):
        assert (spread[key] == 0).all()
    clean.close()
    noisy.close()
