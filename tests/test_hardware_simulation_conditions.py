"""What a reality makes of the simulated arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_task import BallEnv

from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.realities import Reality, load_reality
from robolearn.hardware.simulation import Message, Shutter, SimulatedArm, WireTiming
from robolearn.hardware.wire import SECOND, JointState, Picture

MS = SECOND // 1000
TASK = "small_task:BallEnv"
FAR = load_reality("far", load_arm("panda"))
TIMING = WireTiming(cameras={"front": Shutter(20.0, 0.03)})


@pytest.fixture(scope="module")
def nominal() -> Iterator[SimulatedArm]:
    arm = SimulatedArm(TASK, timing=TIMING)
    yield arm
    arm.close()


@pytest.fixture(scope="module")
def far() -> Iterator[SimulatedArm]:
    arm = SimulatedArm(TASK, timing=TIMING, reality=FAR)
    yield arm
    arm.close()


def heard(arm: SimulatedArm, seconds: float) -> list[tuple[int, Message]]:
    """Messages and when they arrived, looked at every ms."""
    start = arm._time(arm._count)
    times = range(start + MS, start + round(seconds * SECOND), MS)
    return [(now, message) for now in times for message in arm.advance(now)]


def test_conditions_are_the_realitys_in_every_episode(far: SimulatedArm) -> None:
    seen = []
    for seed in (3, 4):
        far.reset_episode(seed, far._time(far._count))
        model, drawn = far.env.model, far.env.sampled
        assert drawn["mass_scale"] == FAR.mass_scale
        np.testing.assert_array_equal(drawn["torque_gain"], FAR.torque_gain)
        np.testing.assert_array_equal(model.dof_frictionloss[far.env.handles.dof], FAR.joint_friction)
        names = (
            "cam_pos",
            "cam_quat",
            "cam_fovy",
            "light_dir",
            "light_diffuse",
            "geom_rgba",
            "geom_friction",
        )
        seen.append([getattr(model, name).copy() for name in (*names, "body_mass", "tex_data")])
    for first, second in zip(*seen, strict=True):
        np.testing.assert_array_equal(first, second)


def test_every_number_arrives_in_the_model(nominal: SimulatedArm, far: SimulatedArm) -> None:
    for arm in (nominal, far):
        arm.reset_episode(5, arm._time(arm._count))
    plain, real = nominal.env.model, far.env.model
    ball = plain.body("ball").id
    assert real.body_mass[ball] == pytest.approx(FAR.mass_scale * plain.body_mass[ball])
    np.testing.assert_allclose(real.geom_friction[:, 0], FAR.friction_scale * plain.geom_friction[:, 0])
    for name in ("front", "wrist"):
        camera = plain.camera(name).id
        np.testing.assert_allclose(real.cam_pos[camera] - plain.cam_pos[camera], FAR.camera_shift[name])
        focal = [np.tan(np.radians(model.cam_fovy[camera]) / 2) for model in (plain, real)]
        assert focal[0] / focal[1] == pytest.approx(FAR.focal_scale[name])
        turn = np.linalg.norm(FAR.camera_turn[name])
        cosine = abs(float(plain.cam_quat[camera] @ real.cam_quat[camera]))
        assert 2 * np.arccos(min(cosine, 1.0)) == pytest.approx(turn, rel=1e-3)
    np.testing.assert_allclose(real.light_dir - plain.light_dir, [FAR.light_shift], atol=1e-6)
    shifts = np.abs(real.geom_rgba[:, :3] - plain.geom_rgba[:, :3])[plain.geom_rgba[:, 3] > 0]
    assert 0.5 * FAR.colour_shift < shifts.max() <= FAR.colour_shift + 1e-6
    shown = [model.geom_rgba[model.geom(f"distractor{i}").id, 3] for model in (plain, real) for i in range(4)]
    assert shown == [0, 0, 0, 0, 1, 1, 1, 0]
    table = real.geom("table").id
    assert real.geom_matid[table] != plain.geom_matid[table]


def test_an_episodes_things_lie_where_its_seed_puts_them(nominal: SimulatedArm, far: SimulatedArm) -> None:
    for seed in (7, 8):
        for arm in (nominal, far):
            arm.reset_episode(seed, arm._time(arm._count))
        np.testing.assert_array_equal(far.env.data.qpos, nominal.env.data.qpos)


@pytest.mark.parametrize("tier", ["clean", "rich"])
def test_so_they_do_whatever_the_policy_was_trained_under(tier: str) -> None:
    changes: dict[str, Any] = {"randomisation": tier}
    env, arm = BallEnv(**changes), SimulatedArm(TASK, changes, reality=FAR)
    env.reset(seed=9)
    arm.reset_episode(9, 0)
    np.testing.assert_array_equal(arm.env.data.qpos, env.data.qpos)
    assert arm.env.contract().hash == env.contract().hash


def test_the_room_is_the_same_whatever_object_lies_in_it() -> None:
    env = make("grasp", {"observe": ("q",)})
    arm = SimulatedArm("grasp", {"observe": ("q",)}, reality=FAR)
    counts, rooms = set(), []
    for seed in range(4):
        arm.reset_episode(seed, 0)
        env.reset(seed=seed)
        assert arm.env.sampled["objects"] == env.sampled["objects"]
        np.testing.assert_allclose(arm.env.data.qpos, env.data.qpos)
        model = arm.env.model
        counts.add(model.ngeom)
        things = [model.body(f"distractor{i}").id for i in range(4)]
        rooms.append([model.body_pos[things], model.geom_rgba[:20], model.tex_data])
        rooms[-1] = [part.copy() for part in rooms[-1]]
    assert len(counts) > 1
    for room in rooms[1:]:
        for first, second in zip(rooms[0], room, strict=True):
            np.testing.assert_array_equal(first, second)


def test_everything_comes_later(nominal: SimulatedArm, far: SimulatedArm) -> None:
    ages: list[dict[str, int]] = []
    for arm in (nominal, far):
        messages = heard(arm, 0.3)
        states = [now - m.stamp for now, m in messages if isinstance(m, JointState)]
        fronts = [now - m.stamp for now, m in messages if isinstance(m, Picture) and m.camera == "front"]
        wrists = [now - m.stamp for now, m in messages if isinstance(m, Picture) and m.camera == "wrist"]
        ages.append({"state": max(states), "front": max(fronts), "wrist": max(wrists)})
    late = {name: ages[1][name] - ages[0][name] for name in ages[0]}
    assert late["state"] == pytest.approx(FAR.state_delay_extra * SECOND, abs=MS)
    assert late["front"] == pytest.approx(FAR.camera_delay_extra * SECOND, abs=MS)
    assert late["wrist"] == pytest.approx(FAR.camera_delay_extra * SECOND, abs=MS)


def test_a_torque_acts_later_and_is_another_one(nominal: SimulatedArm, far: SimulatedArm) -> None:
    first: list[float] = []
    for arm in (nominal, far):
        arm.reset_episode(1, arm._time(arm._count))
        heard(arm, 0.2)
        sent = arm._time(arm._count)
        arm.command(np.array([5.0, 0, 0, 0, 0, 0, 0]), sent)
        states = [m for _, m in heard(arm, 0.2) if isinstance(m, JointState)]
        made = [(state.stamp - sent, state.effort[0]) for state in states if state.effort[0] != 0.0]
        first.append(made[0][0])
        assert made[0][1] == pytest.approx(5.0 if arm is nominal else 5.0 * FAR.torque_gain[0])
        arm.command(np.zeros(7), arm._time(arm._count))
        heard(arm, 0.1)
    assert first[1] - first[0] == pytest.approx(FAR.command_delay_extra * SECOND, abs=5 * MS)


def test_readings_and_pictures_are_noisy(far: SimulatedArm) -> None:
    far.reset_episode(2, far._time(far._count))
    far.command(np.zeros(7), far._time(far._count))
    messages = [message for _, message in heard(far, 1.0)]
    speeds = np.array([m.velocity[:7] for m in messages if isinstance(m, JointState)][20:])
    assert speeds.std() == pytest.approx(FAR.dq_noise, rel=0.2)
    pictures = [m.pixels.astype(float) for m in messages if isinstance(m, Picture) and m.camera == "wrist"]
    assert np.std(pictures[-1] - pictures[-2]) == pytest.approx(np.sqrt(2) * FAR.image_noise, rel=0.3)


def broken(**changes: Any) -> Reality:
    return replace(FAR, **changes)


def test_a_reality_of_another_arm_or_with_other_cameras_is_refused() -> None:
    with pytest.raises(InputError, match=r"torque_gain has 6 numbers; arm 'panda' has 7 joints"):
        SimulatedArm(TASK, reality=broken(torque_gain=(1.0,) * 6))
    with pytest.raises(InputError, match=r"far\.yaml 'side'.*front, wrist"):
        SimulatedArm(TASK, reality=broken(focal_scale={"side": 1.0}))
