"""The arm's own model against MuJoCo's, which is built from the same profile by other code."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robolearn.envs.arm import ArmHandles, add_arm, arm_handles
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile, Shape, load_arm
from robolearn.hardware.model import ArmModel, Payload, _capsule, pose, segment_distance

ARMS = ("panda", "fr3")


def scene(
    arm: ArmProfile, payload: Payload | None = None
) -> tuple[mujoco.MjModel, mujoco.MjData, ArmHandles]:
    spec = mujoco.MjSpec()
    hand = add_arm(spec, arm)
    if payload is not None:
        load = hand.add_body(name="payload", gravcomp=1.0)
        load.mass, load.ipos, load.inertia = payload.mass, payload.com, [1e-4] * 3
        load.explicitinertial = True
    model = spec.compile()
    return model, mujoco.MjData(model), arm_handles(model, arm)


def postures(arm: ArmProfile, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(arm.q_min, arm.q_max, (count, arm.n))


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("payload", [None, Payload(0.7, (0.01, -0.02, 0.12))])
def test_frames_jacobian_and_gravity_are_mujocos(name: str, payload: Payload | None) -> None:
    arm = load_arm(name)
    model, data, handles = scene(arm, payload)
    ours = ArmModel(arm, payload)
    bodies = [model.body(link.name).id for link in arm.links]
    q = postures(arm, 60)
    frames = ours.frames(q)
    hands, grips = ours.hand(frames), ours.grip(frames)
    jacobians, gravity = ours.jacobian(frames), ours.gravity(frames)
    theirs = np.zeros((6, model.nv))
    for i in range(len(q)):
        data.qpos[handles.qpos] = q[i]
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(frames[i, :, :3, 3], data.xpos[bodies], atol=1e-9)
        np.testing.assert_allclose(frames[i, :, :3, :3], data.xmat[bodies].reshape(-1, 3, 3), atol=1e-9)
        np.testing.assert_allclose(hands[i, :3, 3], data.xpos[handles.hand], atol=1e-9)
        np.testing.assert_allclose(grips[i, :3, 3], data.site_xpos[handles.grip], atol=1e-9)
        np.testing.assert_allclose(grips[i, :3, :3].ravel(), data.site_xmat[handles.grip], atol=1e-9)
        mujoco.mj_jacSite(model, data, theirs[:3], theirs[3:], handles.grip)
        np.testing.assert_allclose(jacobians[i], theirs[:, handles.dof], atol=1e-9)
        np.testing.assert_allclose(gravity[i], data.qfrc_gravcomp[handles.dof], atol=1e-9)


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("payload", [None, Payload(0.7, (0.01, -0.02, 0.12))])
def test_inertia_is_mujocos_armature_included(name: str, payload: Payload | None) -> None:
    arm = load_arm(name)
    model, data, handles = scene(arm, payload)
    ours = ArmModel(arm, payload)
    theirs = np.zeros((model.nv, model.nv))
    q = postures(arm, 60)
    inertia = ours.inertia(ours.frames(q))
    data.qpos[handles.finger_qpos] = 0.5 * arm.gripper.max_width
    for i in range(len(q)):
        data.qpos[handles.qpos] = q[i]
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, theirs)
        # MuJoCo refuses a point mass: its payload has 1e-4 kg·m² of its own
        near = 1e-9 if payload is None else 2e-4
        np.testing.assert_allclose(inertia[i], theirs[np.ix_(handles.dof, handles.dof)], atol=near)
    np.testing.assert_array_equal(inertia, np.swapaxes(inertia, -1, -2))
    assert (np.linalg.eigvalsh(inertia)[:, 0] >= 0.9 * arm.armature.min()).all()


def test_the_inertia_of_a_point_mass_is_that_of_its_jacobian() -> None:
    arm = load_arm("panda")
    bare, tip = ArmModel(arm), arm.gripper.tcp
    loaded = ArmModel(arm, Payload(2.0, tip))
    frames = bare.frames(postures(arm, 5))
    moved = bare.jacobian(frames)[..., :3, :]
    added = 2.0 * np.swapaxes(moved, -1, -2) @ moved
    np.testing.assert_allclose(loaded.inertia(frames) - bare.inertia(frames), added, atol=1e-12)


def test_one_posture_gives_what_a_batch_gives() -> None:
    ours = ArmModel(load_arm("panda"))
    q = postures(ours.arm, 6).reshape(2, 3, 7)
    frames = ours.frames(q)
    capsules = ours.capsules(frames)
    low, high = ours.extent(capsules)
    single = ours.frames(q[1, 2])
    np.testing.assert_array_equal(frames[1, 2], single)
    np.testing.assert_allclose(ours.gravity(frames)[1, 2], ours.gravity(single), atol=1e-12)
    np.testing.assert_allclose(ours.inertia(frames)[1, 2], ours.inertia(single), atol=1e-12)
    np.testing.assert_allclose(ours.self_distance(capsules)[1, 2], ours.self_distance(capsules[1, 2]))
    np.testing.assert_allclose(low[1, 2], ours.extent(capsules[1, 2])[0])
    assert (low < high).all()


points = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3).map(np.array)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(points, points, points, points)
def test_no_two_points_of_segments_are_closer_than_their_distance(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray
) -> None:
    distance = float(segment_distance(a, b, c, d))
    s, t = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    gaps = (a - c) + s[..., None] * (b - a) - t[..., None] * (d - c)
    sampled = float(np.linalg.norm(gaps, axis=-1).min())
    step = 0.005 * (np.linalg.norm(b - a) + np.linalg.norm(d - c))
    assert sampled - step - 1e-9 <= distance <= sampled + 1e-9


def test_segments_that_cross_run_parallel_or_are_points() -> None:
    o, x, y, z = np.zeros(3), *np.eye(3)
    assert segment_distance(-x, x, -y + z, y + z) == pytest.approx(1.0)
    assert segment_distance(o, x, y, x + y) == pytest.approx(1.0)
    assert segment_distance(o, x, 2 * x, 3 * x) == pytest.approx(1.0)
    assert segment_distance(o, o, 2 * z, 2 * z) == pytest.approx(2.0)
    assert segment_distance(o, o, -x + y, x + y) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ARMS)
def test_distances_between_capsules_are_mujocos(name: str) -> None:
    arm = load_arm(name)
    ours = ArmModel(arm)
    spec = mujoco.MjSpec()
    count = len(ours.radius)
    for i in range(count):
        half = 0.5 * float(np.linalg.norm(np.diff(ours._ends[i, :3], axis=1)))
        body = spec.worldbody.add_body(name=str(i), mocap=True)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[ours.radius[i], max(half, 1e-9), 0.0])
    model = spec.compile()
    data = mujoco.MjData(model)
    for q in postures(arm, 10):
        ends = ours.capsules(ours.frames(q))
        for i in range(count):
            along = ends[i, 1] - ends[i, 0]
            data.mocap_pos[i] = ends[i].mean(axis=0)
            mujoco.mju_quatZ2Vec(data.mocap_quat[i], along / np.linalg.norm(along))
        mujoco.mj_kinematics(model, data)
        least = min(mujoco.mj_geomDistance(model, data, i, j, 5.0, None) for i, j in ours.pairs.T)
        assert float(ours.self_distance(ends)) == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("name", ARMS)
def test_the_arm_is_apart_at_home_and_touches_itself_when_folded(name: str) -> None:
    arm = load_arm(name)
    ours = ArmModel(arm)
    links = ours.capsule_links[ours.pairs]
    assert (links[1] - links[0] >= 2).all()
    far = {(0, k) for k in range(4, 8)} | {(1, k) for k in range(4, 8)} | {(2, k) for k in range(5, 8)}
    assert far <= set(map(tuple, links.T.tolist())), "every pair of links far apart is watched"
    assert ours.self_distance(ours.capsules(ours.frames(arm.home))) > 0.02
    folded = np.array([0.0, 1.7, 0.0, -3.0, 0.0, 0.6, 0.785])
    assert ours.self_distance(ours.capsules(ours.frames(folded))) < 0.0


@pytest.mark.parametrize(
    ("kind", "size"),
    [("box", (0.1, 0.3, 0.2)), ("ellipsoid", (0.3, 0.1, 0.2)), ("cylinder", (0.1, 0.3)), ("sphere", (0.2,))],
)
def test_a_capsule_holds_its_shape(kind: str, size: tuple[float, ...]) -> None:
    shape = Shape(kind, size, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
    axis, half, radius = _capsule(shape)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    if kind == "box":
        surface = np.sign(directions) * size
    elif kind == "cylinder":
        round_ = directions[:, :2] / np.linalg.norm(directions[:, :2], axis=1, keepdims=True)
        surface = np.column_stack([size[0] * round_, size[1] * np.sign(directions[:, 2])])
    else:
        surface = directions * (size if kind == "ellipsoid" else size[0])
    core = np.zeros_like(surface)
    core[:, axis] = np.clip(surface[:, axis], -half, half)
    assert (np.linalg.norm(surface - core, axis=1) <= radius + 1e-9).all()


def test_extent_reaches_as_far_as_the_fingers() -> None:
    ours = ArmModel(load_arm("panda"))
    frames = ours.frames(ours.arm.home)
    low, high = ours.extent(ours.capsules(frames))
    grip = ours.grip(frames)[:3, 3]
    assert high[0] > grip[0]
    assert low[2] < grip[2]
    stretched = ours.frames(np.array([0.0, 1.5, 0.0, -0.1, 0.0, 1.6, 0.785]))
    reach = ours.extent(ours.capsules(stretched))[1][0]
    assert 0.0 < reach - ours.grip(stretched)[0, 3] < 0.06


def test_a_pose_turns_and_moves() -> None:
    half = np.sqrt(0.5)
    turned = pose((1.0, 2.0, 3.0), (half, 0.0, 0.0, half))
    np.testing.assert_allclose(turned @ [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 3.0, 1.0])


def test_an_arm_without_links_is_refused() -> None:
    with pytest.raises(InputError, match="has no links and hand"):
        ArmModel(dataclasses.replace(load_arm("panda"), links=()))


def test_the_model_needs_numpy_only() -> None:
    heavy = ("mujoco", "numba", "scipy", "torch", "cv2", "gymnasium")
    code = f"import sys, robolearn.hardware.model\nprint([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
