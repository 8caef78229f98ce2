"""The arm in MuJoCo against what is published of it, and that it moves, grasps and collides as it should."""

from __future__ import annotations

import os
from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from robolearn.envs.arm import ArmHandles, add_arm, arm_handles, motor_name
from robolearn.errors import InputError
from robolearn.hardware.arm import ARMS, ArmProfile, load_arm

NAMES = ("panda", "fr3")


def scene(
    arm: ArmProfile, rate: int = 400, box: float = 0.0
) -> tuple[mujoco.MjModel, mujoco.MjData, ArmHandles]:
    """The arm at home, open, on a floor; a cube of half size `box` [m] between its pads if that is not 0."""
    spec = mujoco.MjSpec()
    spec.option.timestep = 1.0 / rate
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    add_arm(spec, arm)
    if box:
        body = spec.worldbody.add_body(name="box")
        body.add_freejoint()
        body.add_geom(name="box", type=mujoco.mjtGeom.mjGEOM_BOX, size=[box] * 3, mass=0.2)
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    data.qpos[handles.qpos] = arm.home
    data.qpos[handles.finger_qpos] = 0.5 * arm.gripper.max_width
    data.ctrl[handles.gripper] = arm.gripper.max_width
    mujoco.mj_forward(model, data)
    if box:
        data.qpos[-7:-4] = data.site_xpos[handles.grip]
        mujoco.mj_forward(model, data)
    return model, data, handles


def mass_matrix(model: mujoco.MjModel, data: mujoco.MjData, dof: np.ndarray) -> np.ndarray:
    columns = np.zeros((model.nv, model.nv))
    for i, unit in enumerate(np.eye(model.nv)):
        mujoco.mj_mulM(model, data, columns[i], unit)
    return columns[np.ix_(dof, dof)]


@pytest.mark.parametrize("name", NAMES)
def test_handles_address_what_they_name(name: str) -> None:
    arm = load_arm(name)
    model, _, handles = scene(arm)
    for i, joint in enumerate(arm.joint_names):
        assert model.joint(joint).qposadr[0] == handles.qpos[i]
        assert model.joint(joint).dofadr[0] == handles.dof[i]
        assert model.actuator(motor_name(joint)).id == handles.motors[i]
    assert model.body(handles.hand).name == "hand"
    assert model.site(handles.grip).name == "grip"
    assert [model.body(finger).name for finger in handles.fingers] == ["left_finger", "right_finger"]
    assert model.actuator(handles.gripper).name == "gripper"
    assert model.sensor("wrist_force").adr[0] == handles.wrist_force
    assert model.sensor("wrist_torque").adr[0] == handles.wrist_torque
    for body in [f"link{i}" for i in range(8)] + ["hand", "left_finger", "right_finger"]:
        assert model.body_gravcomp[model.body(body).id] == 1.0
    np.testing.assert_allclose(model.jnt_range[:7], np.stack([arm.q_min, arm.q_max], axis=1), rtol=1e-14)
    np.testing.assert_array_equal(
        model.actuator_ctrlrange[handles.motors], np.stack([-arm.tau_max, arm.tau_max], 1)
    )
    np.testing.assert_array_equal(model.actuator_ctrlrange[handles.gripper], [0.0, 0.08])


@pytest.mark.parametrize("degree", [True, False])
def test_limits_whatever_the_specifications_unit(degree: bool) -> None:
    spec = mujoco.MjSpec()
    spec.compiler.degree = degree
    arm = load_arm("panda")
    add_arm(spec, arm)
    np.testing.assert_allclose(
        spec.compile().jnt_range[:7], np.stack([arm.q_min, arm.q_max], axis=1), rtol=1e-14
    )


def test_handles_without_arm() -> None:
    with pytest.raises(InputError, match="the model has no joint 'panda_joint1': arm 'panda' was not added"):
        arm_handles(mujoco.MjSpec().compile(), load_arm("panda"))


@pytest.mark.parametrize("name", NAMES)
def test_kinematics_are_the_published_ones(name: str) -> None:
    """Flange and tool centre against Craig's Denavit-Hartenberg matrices from Franka's documentation."""
    arm = load_arm(name)
    model, data, handles = scene(arm)
    a = [0, 0, 0, 0.0825, -0.0825, 0, 0.088]
    d = [0.333, 0, 0.316, 0, 0.384, 0, 0]
    alpha = np.array([0, -1, 1, 1, -1, 1, 1]) * np.pi / 2
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = rng.uniform(arm.q_min, arm.q_max)
        frame = np.eye(4)
        for i in range(7):
            c, s, ca, sa = np.cos(q[i]), np.sin(q[i]), np.cos(alpha[i]), np.sin(alpha[i])
            frame = frame @ np.array(
                [
                    [c, -s, 0, a[i]],
                    [s * ca, c * ca, -sa, -d[i] * sa],
                    [s * sa, c * sa, ca, d[i] * ca],
                    [0, 0, 0, 1],
                ]
            )
        flange = frame @ np.array([0, 0, 0.107, 1])
        tcp = frame @ np.array([0, 0, 0.107 + 0.1034, 1])
        data.qpos[handles.qpos] = q
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(data.xpos[handles.hand], flange[:3], atol=1e-12)
        np.testing.assert_allclose(data.site_xpos[handles.grip], tcp[:3], atol=1e-12)
        h = np.sqrt(0.5)
        yaw = np.array([[h, h, 0], [-h, h, 0], [0, 0, 1]])  # the hand is mounted at -45 degrees
        np.testing.assert_allclose(
            data.site_xmat[handles.grip].reshape(3, 3), frame[:3, :3] @ yaw, atol=1e-12
        )


# Gravity vector and mass matrix (diagonal, then elements 12, 23, 24, 36 counted from 1) at three postures,
# computed once, outside of this repository, by evaluating get_GravityVector.m and get_MassMatrix.m of Gaz et
# al. (RA-L 2019; github.com/marcocognetti/FrankaEmikaPandaDynModel, commit 24d85ce): an arm without a hand,
# gravity 9.80665 m/s².
GAZ = [
    (
        [0.0, -0.7853981633974483, 0.0, -2.356194490192345, 0.0, 1.5707963267948966, 0.7853981633974483],
        [0.0, -1.7388, -0.6683, 18.524, 0.7158, 1.6714, 0.0],
        [0.4354, 1.4468, 0.8685, 0.7845, 0.0095, 0.0262, 0.0013, -0.0043, -0.0220, -0.5942, 0.0009],
    ),
    (
        [0.5, 0.3, -0.7, -1.2, 0.9, 1.9, -1.1],
        [0.0, -29.055, -4.0483, 17.3752, 0.6104, 1.35, 0.006],
        [1.5452, 2.5521, 0.8663, 0.8168, 0.0098, 0.0231, 0.0013, 0.5737, 0.7320, -1.0241, -0.0736],
    ),
    (
        [-1.2, 0.9, 0.4, -2.0, -0.6, 2.4, 0.8],
        [0.0, -35.8006, 8.7795, 9.5757, 0.1895, 1.3493, 0.0086],
        [1.6674, 1.7707, 1.1415, 0.8016, 0.0116, 0.0262, 0.0013, 0.1308, -0.2948, -0.7834, 0.0565],
    ),
]


@pytest.mark.parametrize(("q", "gravity", "inertia"), GAZ)
def test_panda_dynamics_are_the_identified_ones(
    q: list[float], gravity: list[float], inertia: list[float]
) -> None:
    """The expressions use the least-squares dynamic coefficients, our links the *feasible* parameters that
    the same paper retrieves from them under physical bounds. The two published sets differ: over 300 random
    postures by at most 0.20 N·m in gravity (of up to 50) and 0.052 kg·m² in the mass matrix; relatively
    worst are the wrist's own inertias (element 77 is 0.0013 there, 0.0049 kg·m² here). The tolerances are
    these differences, not rounding."""
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    model.opt.gravity[:] = [0, 0, -9.80665]
    model.body_gravcomp[:] = 0.0
    model.dof_armature[:] = 0.0
    for body in ("hand", "left_finger", "right_finger"):
        model.body(body).mass[:] = 0.0
        model.body(body).inertia[:] = 0.0
    data.qpos[handles.qpos] = q
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qfrc_bias[handles.dof], gravity, atol=0.20)
    m = mass_matrix(model, data, handles.dof)
    ours = [*np.diag(m), m[0, 1], m[1, 2], m[1, 3], m[2, 5]]
    np.testing.assert_allclose(ours, inertia, atol=0.052)


@pytest.mark.parametrize("name", NAMES)
def test_it_carries_its_own_weight(name: str) -> None:
    arm = load_arm(name)
    model, data, handles = scene(arm)
    mujoco.mj_step(model, data, 400)
    np.testing.assert_allclose(data.qpos[handles.qpos], arm.home, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [400, 1000])
def test_stable_under_torques_held_for_50_ms(name: str, rate: int) -> None:
    """A joint impedance at 20 Hz, whose gains fit that rate, settles; without it the arm only drifts."""
    arm = load_arm(name)
    model, data, handles = scene(arm, rate)
    inertia = np.diag(mass_matrix(model, data, handles.dof))
    goal = arm.home + 0.1
    for step in range(4 * rate):
        if step % (rate // 20) == 0:
            error, speed = goal - data.qpos[handles.qpos], data.qvel[handles.dof]
            data.ctrl[handles.motors] = inertia * (25.0 * error - 8.0 * speed)
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.qpos[handles.qpos], goal, atol=0.02)
    assert np.abs(data.qvel).max() < 0.02


def test_torques_are_bounded() -> None:
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    data.ctrl[handles.motors] = 1e3
    mujoco.mj_forward(model, data)
    np.testing.assert_array_equal(data.actuator_force[handles.motors], arm.tau_max)


def test_extreme_torques_stay_finite() -> None:
    """Full torque back and forth at 20 Hz, against the joint limits and the floor."""
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    rng = np.random.default_rng(1)
    for step in range(800):
        if step % 20 == 0:
            data.ctrl[handles.motors] = arm.tau_max * rng.choice([-1.0, 1.0], 7)
        mujoco.mj_step(model, data)
    assert np.isfinite(data.qpos).all()
    assert not any(warning.number for warning in data.warning[:8])


def test_gripper_opens_and_closes() -> None:
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    for width in (0.0, 0.08, 0.03):
        data.ctrl[handles.gripper] = width
        mujoco.mj_step(model, data, 200)
        np.testing.assert_allclose(data.qpos[handles.finger_qpos], 0.5 * width, atol=2e-4)


def test_fingertips_are_where_the_hands_are() -> None:
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    data.qpos[handles.finger_qpos] = 0.01
    mujoco.mj_kinematics(model, data)
    hand = data.xmat[handles.hand].reshape(3, 3)
    for pad, side in (("left_pad", 1.0), ("right_pad", -1.0)):
        centre = hand.T @ (data.geom(pad).xpos - data.xpos[handles.hand])
        np.testing.assert_allclose(centre, [0, side * (0.01 + model.geom(pad).size[1]), 0.1034], atol=1e-12)
        assert centre[2] + model.geom(pad).size[2] == pytest.approx(0.1123, abs=1e-3)


def test_it_grasps_with_the_profiles_force_and_the_wrist_feels_the_weight() -> None:
    arm = load_arm("panda")
    model, data, handles = scene(arm, box=0.02)
    weightless, model.opt.gravity[2] = model.opt.gravity[2], 0.0
    width = 0.08
    for _ in range(400):
        width = max(0.0, width - arm.gripper.closing_speed / 400)
        data.ctrl[handles.gripper] = width
        mujoco.mj_step(model, data)
    force = np.zeros((data.ncon, 6))
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, force[i])
    left = [model.geom("left_pad").id in data.contact[i].geom for i in range(data.ncon)]
    assert force[left, 0].sum() == pytest.approx(arm.gripper.force, rel=0.02)
    empty = data.sensordata[handles.wrist_force + 2]
    model.opt.gravity[2] = weightless
    mujoco.mj_step(model, data, 40)
    # z of the hand points down: the arm holds hand and box up
    weight = 9.81 * (0.2 + arm.gripper.bodies.hand.mass + 2 * arm.gripper.bodies.finger.mass)
    assert data.sensordata[handles.wrist_force + 2] - empty == pytest.approx(-weight, rel=0.05)
    assert np.linalg.norm(data.body("box").xpos - data.site_xpos[handles.grip]) < 2e-3


def test_geoms_collide_with_the_world_but_not_with_one_another() -> None:
    arm = load_arm("panda")
    model, data, handles = scene(arm)
    floor = model.geom("floor").id
    rng = np.random.default_rng(2)
    touched: set[int] = set()
    for _ in range(300):
        data.qpos[handles.qpos] = rng.uniform(arm.q_min, arm.q_max)
        mujoco.mj_forward(model, data)
        for contact in data.contact:
            assert floor in contact.geom
            touched.update(int(model.geom_bodyid[geom]) for geom in contact.geom if geom != floor)
    names = {model.body(body).name for body in touched}
    assert {"link5", "link6", "link7", "hand", "left_finger", "right_finger"} <= names


@pytest.mark.parametrize("name", NAMES)
def test_few_geoms(name: str) -> None:
    model, _, _ = scene(load_arm(name))
    assert model.ngeom - 1 <= 25  # a frame's cost is per geom


def test_base_pose() -> None:
    arm = load_arm("panda")
    spec = mujoco.MjSpec()
    add_arm(spec, arm, pos=(0.1, -0.2, 0.3), quat=(0.0, 0.0, 0.0, 1.0))
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    data.qpos[handles.qpos] = arm.home
    mujoco.mj_kinematics(model, data)
    _, reference, _ = scene(arm)
    grip = reference.site_xpos[handles.grip]
    np.testing.assert_allclose(
        data.site_xpos[handles.grip], [0.1 - grip[0], -0.2 - grip[1], 0.3 + grip[2]], atol=1e-12
    )


def test_a_third_arm_from_a_file_of_its_own(tmp_path: Path) -> None:
    """A six-joint arm: the Panda's file without its last joint, renamed."""
    values = yaml.safe_load((ARMS / "panda.yaml").read_text())
    values["name"] = "six"
    for section in (values["joints"], values["limiter"]):
        for key, value in section.items():
            if isinstance(value, list):
                section[key] = value[:6]
    values["joints"]["names"] = [f"six_{i}" for i in range(6)]
    values["links"] = values["links"][:7]
    for link, joint in zip(values["links"][1:], values["joints"]["names"], strict=True):
        link["joint"] = joint
    path = tmp_path / "six.yaml"
    path.write_text(yaml.safe_dump(values))
    arm = load_arm(path)
    assert arm.n == 6
    model, data, handles = scene(arm)
    data.ctrl[handles.motors] = 0.5
    mujoco.mj_step(model, data, 100)
    assert np.isfinite(data.qpos).all()
    assert np.abs(data.qpos[handles.qpos] - arm.home).max() > 0.01


MJCF = """
<mujoco>
  <compiler angle="degree"/>
  <default><geom rgba="0.5 0.5 0.5 1"/></default>
  <worldbody>
    <body name="base">
      <geom type="cylinder" size="0.05 0.05"/>
      <body name="upper" pos="0 0 0.1">
        <joint name="shoulder" axis="0 1 0" range="-90 90"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03"/>
        <body name="lower" pos="0 0 0.3">
          <joint name="elbow" axis="0 1 0" range="-150 150"/>
          <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03"/>
          <body name="palm" pos="0 0 0.3">
            <joint name="wrist" axis="0 0 1" range="-170 170"/>
            <geom type="box" size="0.03 0.06 0.02" contype="0" conaffinity="0"/>
            <body name="a" pos="0 0 0.02">
              <joint name="finger_a" type="slide" axis="0 1 0" range="0 0.03"/>
              <geom name="tip_a" type="box" size="0.01 0.005 0.03" pos="0 0.005 0.03" friction="0.2"/>
            </body>
            <body name="b" pos="0 0 0.02">
              <joint name="finger_b" type="slide" axis="0 -1 0" range="0 0.03"/>
              <geom name="tip_b" type="box" size="0.01 0.005 0.03" pos="0 -0.005 0.03" friction="0.2"/>
            </body>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  <equality><joint joint1="finger_a" joint2="finger_b"/></equality>
  <actuator><position name="theirs" joint="elbow" kp="1000"/></actuator>
  <sensor><jointpos joint="elbow"/></sensor>
  <keyframe><key name="home" qpos="0 0 0 0 0" ctrl="0"/></keyframe>
</mujoco>
"""


def mjcf_profile(tmp_path: Path, **changes: object) -> Path:
    values = yaml.safe_load((ARMS / "panda.yaml").read_text())
    for key in ("links", "flange"):
        del values[key]
    for section in (values["joints"], values["limiter"]):
        for key, value in section.items():
            if isinstance(value, list):
                section[key] = value[:3]
    values["joints"] |= {
        "names": ["shoulder", "elbow", "wrist"],
        "q_min": [-1.0, -2.0, -2.5],
        "q_max": [1.0, 2.0, 2.5],
        "home": [0.5, 1.0, 0.0],
    }
    for key in ("hand", "finger", "pad", "rpy"):
        del values["gripper"][key]
    values["gripper"] |= {"tcp": [0.0, 0.0, 0.05], "max_width": 0.06}
    values["mjcf"] = {
        "file": "arm.xml",
        "fingers": ["finger_a", "finger_b"],
        "hand": "palm",
    } | changes
    (tmp_path / "arm.xml").write_text(MJCF)
    path = tmp_path / "three.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_users_mjcf_takes_the_arms_place(tmp_path: Path) -> None:
    arm = load_arm(mjcf_profile(tmp_path))
    model, data, handles = scene(arm)
    assert arm.n == 3
    assert model.nu == 4  # three motors and the gripper: their actuator is gone
    assert model.nsensor == 2
    assert model.nkey == 0
    np.testing.assert_allclose(model.jnt_range[:3], [[-1, 1], [-2, 2], [-2.5, 2.5]])
    np.testing.assert_allclose(model.dof_damping[handles.dof], arm.damping)
    assert model.geom("arm/tip_a").friction[0] == arm.gripper.pad_friction[0]
    assert model.geom("arm/tip_a").contype[0] == 2
    assert model.body("arm/palm").id == handles.hand
    tips = [model.geom(name).id for name in ("arm/tip_a", "arm/tip_b")]
    assert model.geom_bodyid[tips].tolist() == handles.fingers.tolist()
    mujoco.mj_step(model, data, 200)
    np.testing.assert_allclose(data.qpos[handles.qpos], arm.home, atol=1e-6)  # it carries its weight
    data.ctrl[handles.motors] = [0.0, 0.2, 0.0]
    data.ctrl[handles.gripper] = 0.02
    mujoco.mj_step(model, data, 200)
    assert data.qpos[handles.qpos[1]] > 1.02
    np.testing.assert_allclose(data.qpos[handles.finger_qpos], 0.01, atol=5e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hand": "paw"}, r"arm\.xml: has no body 'paw' \(mjcf\.hand of arm 'panda'\); it has .*palm"),
        (
            {"fingers": ["finger_a", "thumb"]},
            r"has no joint 'thumb' \(mjcf\.fingers .*; it has shoulder, elbow, wrist",
        ),
    ],
)
def test_a_name_that_the_mjcf_lacks(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        add_arm(mujoco.MjSpec(), load_arm(mjcf_profile(tmp_path, **changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"file": "other.xml"},
            r"mjcf\.file is 'other\.xml'; it must be a MuJoCo XML file; there is none at .*other\.xml",
        ),
        (
            {"file": "$NO_SUCH_ROOT/a.xml"},
            r"mjcf\.file is '\$NO_SUCH_ROOT/a\.xml'; it must be a path whose environment",
        ),
        ({"fingers": ["finger_a"]}, r"mjcf\.fingers is \['finger_a'\]; it must be a list of two joint names"),
    ],
)
def test_an_mjcf_section_that_is_wrong(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_arm(mjcf_profile(tmp_path, **changes))


def test_an_mjcf_that_is_broken(tmp_path: Path) -> None:
    path = mjcf_profile(tmp_path)
    (tmp_path / "arm.xml").write_text("<mujoco><worldbody>")
    with pytest.raises(InputError, match=r"arm\.xml: MuJoCo cannot read it"):
        add_arm(mujoco.MjSpec(), load_arm(path))


@pytest.mark.skipif(
    "MENAGERIE_ROOT" not in os.environ, reason="needs a copy of MuJoCo Menagerie in $MENAGERIE_ROOT"
)
def test_menageries_panda_takes_the_arms_place(tmp_path: Path) -> None:
    values = yaml.safe_load((ARMS / "panda.yaml").read_text())
    for key in ("links", "flange"):
        del values[key]
    for key in ("hand", "finger", "pad", "rpy"):
        del values["gripper"][key]
    values["joints"]["names"] = [f"joint{i}" for i in range(1, 8)]
    values["mjcf"] = {
        "file": "$MENAGERIE_ROOT/franka_emika_panda/panda.xml",
        "fingers": ["finger_joint1", "finger_joint2"],
        "hand": "hand",
    }
    path = tmp_path / "menagerie.yaml"
    path.write_text(yaml.safe_dump(values))
    arm = load_arm(path)
    model, data, handles = scene(arm)
    _, ours, _ = scene(load_arm("panda"))
    np.testing.assert_allclose(data.site_xpos[handles.grip], ours.site_xpos[0], atol=1e-6)
    mujoco.mj_step(model, data, 200)
    np.testing.assert_allclose(data.qpos[handles.qpos], arm.home, atol=1e-3)
