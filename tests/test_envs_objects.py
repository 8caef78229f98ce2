"""The objects: what the library holds, that they rest where they should and that their grasps lift them."""

from __future__ import annotations

import math
import pickle

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from robolearn.envs.objects import (
    SPLITS,
    Grasp,
    ObjectModel,
    Part,
    Rest,
    add_object,
    centred,
    grasps_for,
    library,
    resting_pose,
)
from robolearn.envs.objects.grasps import MAX_WIDTH, PAD, PALM, TIP_CLEARANCE, _reach
from robolearn.envs.objects.library import FRICTION, MASS
from robolearn.envs.objects.model import rotation_matrix
from robolearn.envs.objects.rests import SAFE_TILT
from robolearn.errors import InputError

ALL = library("train") + library("held-out")
HELD_OUT_ONLY = {"tube", "dumbbell"}
RATE = 400  # physics steps a second
FORCE = 50.0  # of each finger [N]


def extents(obj: ObjectModel) -> NDArray[np.float64]:
    """Sorted sizes of the parts: what makes an object differ from others of its family [m]."""
    return np.concatenate([part.size for part in obj.parts])


def made_of(*parts: Part, revolution: bool = False) -> ObjectModel:
    return ObjectModel("custom", "custom", centred(parts), 0.1, 1.0, (1, 0, 0, 1), revolution)


def add_servo(spec: mujoco.MjSpec, joint: str, kp: float, kv: float) -> mujoco.MjsActuator:
    """A position servo [N/m], [N s/m] whose name is the joint's."""
    servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm[0] = kp
    servo.biasprm[1:3] = [-kp, -kv]
    return servo


def scene(obj: ObjectModel, gripper: bool) -> mujoco.MjModel:
    """A table, the object and a gripper of two pads with fingers on a carriage that moves up and down."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 1 / RATE
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    box, slide = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtJoint.mjJNT_SLIDE
    spec.worldbody.add_geom(type=box, size=[0.3, 0.3, 0.05], pos=[0, 0, -0.05])
    add_object(spec, obj, "object")
    if gripper:
        hand = spec.worldbody.add_body(name="hand", gravcomp=1)
        hand.add_joint(name="lift", type=slide, axis=[0, 0, 1])
        add_servo(spec, "lift", kp=20000, kv=400)
        mask = {"contype": 2, "conaffinity": 1}
        palm = PALM + 0.005 - PAD / 2  # above the grip point
        hand.add_geom(type=box, size=[0.03, 0.1, 0.02], pos=[0, 0, palm + 0.02], mass=1.0, **mask)
        for side, name in ((1, "left"), (-1, "right")):
            finger = hand.add_body(name=name, gravcomp=1)
            finger.add_joint(
                name=name, type=slide, axis=[0, side, 0], range=[-0.005, 0.04], limited=True, armature=0.2
            )
            finger.add_geom(type=box, size=[0.01, 0.005, 0.01], pos=[0, side * 0.005, 0], mass=0.02, **mask)
            finger.add_geom(
                type=box, size=[0.01, 0.005, 0.014], pos=[0, side * 0.006, 0.024], mass=0.02, **mask
            )
            servo = add_servo(spec, name, kp=6000, kv=100)
            servo.forcelimited, servo.forcerange = True, [-FORCE, FORCE]
    return spec.compile()


def place(
    model: mujoco.MjModel, data: mujoco.MjData, pos: NDArray[np.float64], quat: NDArray[np.float64]
) -> None:
    mujoco.mj_resetData(model, data)
    data.joint("object_joint").qpos[:] = np.concatenate([pos, quat])


def angle_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Angle of the rotation between two quaternions [deg]."""
    return math.degrees(2 * math.acos(min(abs(float(first @ second)), 1.0)))


def lifts(
    model: mujoco.MjModel, rest: Rest, grasp: Grasp, aim: tuple[float, float] = (0.0, 0.0), turn: float = 0.0
) -> tuple[float, float]:
    """Descend, close, lift by 12 cm and hold: how far the object rose [m] and turned in the hand [deg].

    The hand misses the grasp by `aim` [m] and `turn` [rad].
    """
    data = mujoco.MjData(model)
    closing = rotation_matrix(rest.quat) @ grasp.closing
    pos, quat = resting_pose(rest, (0, 0), math.pi / 2 - math.atan2(closing[1], closing[0]) + turn)
    grip = rotation_matrix(quat) @ grasp.position
    pos[:2] = aim - grip[:2]
    height = float(pos[2] + grip[2])
    place(model, data, pos, quat)
    data.joint("lift").qpos[:] = height + 0.1
    data.joint("left").qpos[:] = data.joint("right").qpos[:] = 0.04

    def move(seconds: float, start: float, goal: float, width: float) -> None:
        for s in np.linspace(0, 1, round(seconds * RATE)):
            data.ctrl[0] = start + (goal - start) * s * s * (3 - 2 * s)
            data.ctrl[1:] = np.maximum(data.ctrl[1:] - 0.05 / RATE, width / 2)
            mujoco.mj_step(model, data)

    data.ctrl[1:] = 0.04
    move(0.5, height + 0.1, height, 0.08)
    before = data.body("object").xquat.copy()
    touched = float(np.linalg.norm(data.body("object").xpos - pos))
    assert touched < 0.001, f"the open hand pushes the object by {touched * 1000:.1f} mm"
    move(1.0, height, height, -0.01)
    move(0.7, height, height + 0.12, -0.01)
    move(0.5, height + 0.12, height + 0.12, -0.01)
    assert np.isfinite(data.qpos).all()
    return float(data.body("object").xpos[2] - pos[2]), angle_between(before, data.body("object").xquat)


def test_splits_are_large_enough_and_disjoint() -> None:
    train, held_out = library("train"), library("held-out")
    assert len(train) >= 60
    assert len(held_out) >= 30
    assert len({obj.name for obj in ALL}) == len(ALL)
    assert {obj.family for obj in held_out} - {obj.family for obj in train} == HELD_OUT_ONLY
    assert {"box", "cylinder", "capsule", "ellipsoid", "L", "T", "cross", "mug", "frame"} <= {
        o.family for o in train
    }


def test_no_two_objects_of_a_family_have_like_sizes() -> None:
    for i, first in enumerate(ALL):
        for second in ALL[i + 1 :]:
            if first.family == second.family:
                # Sizes are halves of the dimensions: 1 mm here is 2 mm of the object.
                assert np.abs(extents(first) - extents(second)).max() >= 0.001 - 1e-9, (
                    first.name,
                    second.name,
                )


def test_library_varies_and_stays_in_range() -> None:
    for obj in ALL:
        assert MASS[0] <= obj.mass <= MASS[1]
        assert FRICTION[0] <= obj.friction <= FRICTION[1]
        assert max(obj.rgba[:3]) - min(obj.rgba[:3]) > 0.25, f"{obj.name} is grey"
        assert len(obj.parts) <= 12
    assert np.ptp([obj.mass for obj in ALL]) > 0.2
    assert np.ptp([obj.friction for obj in ALL]) > 0.5


def test_library_never_changes() -> None:
    library.cache_clear()
    again = library("train") + library("held-out")
    assert again == ALL
    assert [obj.grasps for obj in again[::9]] == [obj.grasps for obj in ALL[::9]]
    # Published results name these objects: their sizes are part of the task.
    sizes = {obj.name: obj.parts[0].size for obj in ALL}
    assert sizes["box-0"] == pytest.approx((0.0205, 0.014, 0.0155))
    assert sizes["cylinder-9"] == pytest.approx((0.0155, 0.017))
    assert sizes["dumbbell-3"] == pytest.approx((0.0105, 0.0175))


def test_unknown_split_names_the_choices() -> None:
    with pytest.raises(InputError, match=r"'test'.*train, held-out"):
        library("test")
    assert SPLITS == ("train", "held-out")


@pytest.mark.parametrize(
    "size", [(0.01, 0.01), (0.01, 0.01, 0.0), (0.01, 0.01, math.nan), (0.01, -1.0, 0.01)]
)
def test_part_refuses_bad_sizes(size: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="size of a box"):
        Part("box", size)


def test_part_refuses_an_unknown_kind() -> None:
    with pytest.raises(InputError, match="sphere"):
        Part("sphere", (0.01,))


@pytest.mark.parametrize("obj", ALL[::3], ids=lambda obj: obj.name)
def test_mass_and_frame_in_mujoco(obj: ObjectModel) -> None:
    model = scene(obj, gripper=False)
    body = model.body("object")
    assert body.mass[0] == pytest.approx(obj.mass, rel=1e-6)
    assert np.abs(body.ipos).max() < 1e-6, "the frame's origin is not the centre of mass"
    inertia = np.sort(body.inertia)
    assert (inertia > 0).all()
    assert inertia[2] <= inertia[0] + inertia[1] + 1e-12


@pytest.mark.parametrize("family", sorted({obj.family for obj in ALL}))
def test_reach_agrees_with_mujocos_rays(family: str) -> None:
    obj = next(obj for obj in ALL if obj.family == family)
    model = scene(obj, gripper=False)
    data = mujoco.MjData(model)
    place(model, data, np.array([0, 0, 0.5]), np.array([1.0, 0, 0, 0]))
    mujoco.mj_kinematics(model, data)
    rng = np.random.default_rng(0)
    geom = np.zeros(1, dtype=np.int32)
    for direction in (np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0.48, -0.64, 0.6])):
        origins = rng.uniform(-0.03, 0.03, (200, 3))
        origins -= np.outer(origins @ direction, direction)
        low, high = _reach(obj.parts, origins, direction)
        for origin, lowest, highest in zip(origins, low, high, strict=True):
            start = origin + np.array([0, 0, 0.5])
            ahead = mujoco.mj_ray(model, data, start - 0.2 * direction, direction, None, 0, -1, geom)
            behind = mujoco.mj_ray(model, data, start + 0.2 * direction, -direction, None, 0, -1, geom)
            if ahead < 0:
                assert lowest > highest - 1e-6
            else:
                assert lowest == pytest.approx(ahead - 0.2, abs=1e-6)
                assert highest == pytest.approx(0.2 - behind, abs=1e-6)


def test_rests_of_simple_shapes() -> None:
    box = made_of(Part("box", (0.01, 0.02, 0.03)))
    assert [round(rest.height, 6) for rest in box.rests] == [0.01, 0.01, 0.02, 0.02, 0.03, 0.03]
    cylinder = made_of(Part("cylinder", (0.02, 0.03)), revolution=True)
    assert [round(rest.height, 6) for rest in cylinder.rests] == [0.02, 0.03, 0.03]
    capsule = made_of(Part("capsule", (0.01, 0.02)), revolution=True)
    assert [round(rest.height, 6) for rest in capsule.rests] == [0.01]
    disc = made_of(Part("ellipsoid", (0.02, 0.02, 0.01)), revolution=True)
    assert [round(rest.height, 6) for rest in disc.rests] == [0.01, 0.01]
    pin = made_of(Part("cylinder", (0.005, 0.05)), revolution=True)
    assert math.tan(SAFE_TILT) > 0.005 / 0.05
    assert [round(rest.height, 6) for rest in pin.rests] == [0.005], "a pin must not be stood on its end"


def test_an_object_that_cannot_rest_is_refused() -> None:
    with pytest.raises(InputError, match="no rest"):
        _ = made_of(Part("ellipsoid", (0.02, 0.02, 0.02)), revolution=True).rests
    with pytest.raises(InputError, match="axis of revolution"):
        _ = made_of(Part("capsule", (0.02, 0.02))).rests
    with pytest.raises(InputError, match="round part"):
        _ = made_of(Part("box", (0.02, 0.02, 0.02)), Part("cylinder", (0.01, 0.01), (0, 0, 0.03))).rests


def test_an_object_that_cannot_be_gripped_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be gripped"):
        _ = made_of(Part("box", (0.05, 0.05, 0.05))).grasps


@pytest.mark.parametrize("obj", ALL, ids=lambda obj: obj.name)
def test_rests_hold_for_a_second(obj: ObjectModel) -> None:
    model = scene(obj, gripper=False)
    data = mujoco.MjData(model)
    yaw = 0.7 * ALL.index(obj)
    for rest in obj.rests:
        pos, quat = resting_pose(rest, (0.05, -0.03), yaw)
        place(model, data, pos, quat)
        mujoco.mj_step(model, data, RATE)
        assert np.linalg.norm(data.qpos[:3] - pos) < 0.0005
        assert angle_between(data.qpos[3:7], quat) < 0.5


def test_resting_pose_turns_about_the_vertical() -> None:
    obj = ALL[0]
    rest = obj.rests[2]
    pos, quat = resting_pose(rest, (0.3, -0.1), 0.9, table_height=0.2)
    assert pos == pytest.approx([0.3, -0.1, 0.2 + rest.height])
    c, s = math.cos(0.9), math.sin(0.9)
    expected = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ rotation_matrix(rest.quat)
    np.testing.assert_allclose(rotation_matrix(quat), expected, atol=1e-12)


@pytest.mark.parametrize("obj", ALL, ids=lambda obj: obj.name)
def test_every_rest_has_grasps_within_the_hands_limits(obj: ObjectModel) -> None:
    for rest in obj.rests:
        rotation = rotation_matrix(rest.quat)
        grasps = grasps_for(obj, rotation)
        assert 1 <= len(grasps) <= 2
        top = rest.height + obj.support(rotation[2])
        for grasp in grasps:
            approach, closing = rotation @ grasp.approach, rotation @ grasp.closing
            np.testing.assert_allclose(approach, [0, 0, -1], atol=1e-4)
            assert abs(closing[2]) < 1e-4
            assert np.linalg.norm(closing) == pytest.approx(1)
            assert 0.013 < grasp.width <= MAX_WIDTH
            tip = rest.height + (rotation @ grasp.position)[2] - PAD / 2
            assert tip >= TIP_CLEARANCE - 1e-6
            assert top - tip <= PALM + 1e-6
            if obj.family not in ("L", "T", "mug"):
                assert np.linalg.norm((rotation @ grasp.position)[:2]) < 0.001, "not over the centre of mass"
            else:
                assert np.linalg.norm((rotation @ grasp.position)[:2]) < 0.018


def test_grasps_follow_a_rolling_cylinder() -> None:
    cylinder = made_of(Part("cylinder", (0.015, 0.03)), revolution=True)
    lying = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # its z axis along the world's x
    for roll in np.linspace(0, 2 * math.pi, 7):
        c, s = math.cos(roll), math.sin(roll)
        rotation = lying @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        grasps = grasps_for(cylinder, rotation)
        assert len(grasps) == 2
        for grasp in grasps:
            np.testing.assert_allclose(rotation @ grasp.approach, [0, 0, -1], atol=1e-9)
            assert not grasp.free_yaw
        np.testing.assert_allclose(np.abs(rotation @ grasps[0].closing), [0, 1, 0], atol=1e-9)


def test_upright_bodies_of_revolution_and_balls_leave_the_yaw_free() -> None:
    balls = 0
    for obj in ALL:
        (part, *_) = obj.parts
        ball = part.kind == "ellipsoid" and max(part.size) < 1.1 * min(part.size)
        balls += ball
        for grasp in obj.grasps:
            assert grasp.free_yaw == (ball or (obj.revolution and abs(grasp.approach[2]) > 0.999))
    assert balls


def test_a_leaning_object_has_no_grasp() -> None:
    obj = made_of(Part("box", (0.015, 0.02, 0.025)))
    for degrees, count in ((0, 2), (24, 2), (26, 0), (45, 0), (64, 0), (66, 2)):
        a = math.radians(degrees)
        rotation = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
        assert len(grasps_for(obj, rotation)) == count, degrees


def test_objects_travel_between_processes() -> None:
    obj = ALL[-1]
    assert obj.grasps
    copy = pickle.loads(pickle.dumps(obj))
    assert copy == obj
    assert copy.grasps == obj.grasps


def test_every_object_is_lifted_from_one_rest() -> None:
    for i, obj in enumerate(ALL):
        model = scene(obj, gripper=True)
        rest = obj.rests[i % len(obj.rests)]
        grasps = grasps_for(obj, rotation_matrix(rest.quat))
        rise, turn = lifts(model, rest, grasps[i % len(grasps)])
        assert rise == pytest.approx(0.12, abs=0.006), obj.name
        assert turn < 3, obj.name


@pytest.mark.slow
def test_all_grasps_lift_even_when_the_hand_is_a_little_off() -> None:
    rng = np.random.default_rng(0)
    failed, total = [], 0
    for obj in ALL:
        model = scene(obj, gripper=True)
        for i, rest in enumerate(obj.rests):
            for grasp in grasps_for(obj, rotation_matrix(rest.quat)):
                x, y = rng.uniform(-0.003, 0.003, 2)
                rise, _ = lifts(model, rest, grasp, (x, y), rng.uniform(-0.09, 0.09))
                total += 1
                if rise < 0.11:
                    failed.append(f"{obj.name} rest {i} closing {grasp.closing}: rose {rise * 1000:.0f} mm")
    assert len(failed) <= 0.005 * total, "\n".join(failed)
