"""The arm in MuJoCo: a profile becomes bodies, torque motors, a gripper and the sensors of its wrist.

Contact groups: geoms of the arm have contype 2 and conaffinity 1, so that they collide with the world and
with objects (MuJoCo's default contype 1, conaffinity 1) but never with one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile, Inertia, Quaternion, Shape, Vector3

ARM_CONTYPE, ARM_CONAFFINITY = 2, 1

GRIP_SITE, WRIST_SITE = "grip", "wrist"
WRIST_FORCE, WRIST_TORQUE = "wrist_force", "wrist_torque"
GRIPPER_ACTUATOR, WIDTH_TENDON = "gripper", "gripper_width"
HAND = "hand"
MJCF_PREFIX = "arm/"
FINGER_BODIES = ("left_finger", "right_finger")
PADS = ("left_pad", "right_pad")
FINGER_JOINTS = ("left_finger_joint", "right_finger_joint")

_GEOM_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}


def motor_name(joint: str) -> str:
    """The name of a joint's torque motor."""
    return f"{joint}_motor"


def _joint_names(arm: ArmProfile) -> tuple[str, ...]:
    """The arm's joints as the model calls them."""
    return tuple(MJCF_PREFIX + name for name in arm.joint_names) if arm.mjcf else arm.joint_names


def _finger_joints(arm: ArmProfile) -> tuple[str, ...]:
    return tuple(MJCF_PREFIX + name for name in arm.mjcf.fingers) if arm.mjcf else FINGER_JOINTS


def add_arm(
    spec: mujoco.MjSpec,
    arm: ArmProfile,
    pos: Vector3 = (0.0, 0.0, 0.0),
    quat: Quaternion = (1.0, 0.0, 0.0, 0.0),
) -> mujoco.MjsBody:
    """Add the arm to `spec`, its base at `pos` [m] and `quat` (wxyz) in the world; return the hand's body.

    Added are: the bodies of the profile's links, then "hand", "left_finger", "right_finger"; one motor
    a joint, `motor_name(joint)`, whose ctrl is the joint's torque [N·m]; the actuator "gripper", whose
    ctrl is the width to hold [m]; the geoms "left_pad" and "right_pad"; the site "grip" between them (z
    out of the hand, y the closing axis); the site "wrist" at the flange with the sensors "wrist_force"
    [N] and "wrist_torque" [N·m]: what the arm does to the hand, in the hand's frame, the hand's weight
    included. MuJoCo adds the joint torques that carry the arm's own weight (gravcomp 1 on its bodies),
    as an arm does that compensates gravity; set model.body_gravcomp to 0 for one that does not.

    With a user's MJCF the bodies and geoms are the file's, their names prefixed with MJCF_PREFIX; its
    actuators, tendons, sensors, keyframes and lights are dropped, its fingers get the pads' friction,
    and motors, gripper, sites and sensors are added as above.

    Raises:
        InputError: the user's MJCF cannot be read or lacks a name that the profile gives.
    """
    hand = _attach_mjcf(spec, arm, pos, quat) if arm.mjcf else _build(spec, arm, pos, quat)
    hand.add_site(name=GRIP_SITE, pos=arm.gripper.tcp, size=[0.004] * 3, group=4)
    hand.add_site(name=WRIST_SITE, size=[0.004] * 3, group=4)
    for name, kind in (
        (WRIST_FORCE, mujoco.mjtSensor.mjSENS_FORCE),
        (WRIST_TORQUE, mujoco.mjtSensor.mjSENS_TORQUE),
    ):
        spec.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=WRIST_SITE)
    _add_actuators(spec, arm)
    return hand


@dataclass(frozen=True)
class ArmHandles:
    """Where the arm is in a compiled model's arrays.

    Attributes:
        qpos, dof: of the joints in the profile's order, (n,) int; into qpos, and into qvel and its like.
        motors: the torque motors, (n,) int; into ctrl.
        finger_qpos, finger_dof: of the left and the right finger, (2,) int.
        gripper: the width actuator; into ctrl.
        hand: body id.
        fingers: body ids of the left and the right finger, (2,) int.
        grip: site id.
        wrist_force, wrist_torque: where their three numbers begin in sensordata.
    """

    qpos: NDArray[np.int64]
    dof: NDArray[np.int64]
    motors: NDArray[np.int64]
    finger_qpos: NDArray[np.int64]
    finger_dof: NDArray[np.int64]
    gripper: int
    hand: int
    fingers: NDArray[np.int64]
    grip: int
    wrist_force: int
    wrist_torque: int


def arm_handles(model: mujoco.MjModel, arm: ArmProfile) -> ArmHandles:
    """Find the arm that `add_arm` put into `model`. Raises InputError if it was not."""

    def find(kind: mujoco.mjtObj, what: str, name: str) -> int:
        index = mujoco.mj_name2id(model, kind, name)
        if index < 0:
            raise InputError(f"the model has no {what} {name!r}: arm {arm.name!r} was not added to it")
        return int(index)

    def joints(table: NDArray[np.int32], names: tuple[str, ...]) -> NDArray[np.int64]:
        found = [find(mujoco.mjtObj.mjOBJ_JOINT, "joint", name) for name in names]
        return table[found].astype(np.int64)

    def actuator(name: str) -> int:
        return find(mujoco.mjtObj.mjOBJ_ACTUATOR, "actuator", name)

    def sensor(name: str) -> int:
        return int(model.sensor_adr[find(mujoco.mjtObj.mjOBJ_SENSOR, "sensor", name)])

    return ArmHandles(
        qpos=joints(model.jnt_qposadr, _joint_names(arm)),
        dof=joints(model.jnt_dofadr, _joint_names(arm)),
        motors=np.array([actuator(motor_name(joint)) for joint in arm.joint_names], dtype=np.int64),
        finger_qpos=joints(model.jnt_qposadr, _finger_joints(arm)),
        finger_dof=joints(model.jnt_dofadr, _finger_joints(arm)),
        gripper=actuator(GRIPPER_ACTUATOR),
        hand=find(mujoco.mjtObj.mjOBJ_BODY, "body", MJCF_PREFIX + arm.mjcf.hand if arm.mjcf else HAND),
        fingers=joints(model.jnt_bodyid, _finger_joints(arm)),
        grip=find(mujoco.mjtObj.mjOBJ_SITE, "site", GRIP_SITE),
        wrist_force=sensor(WRIST_FORCE),
        wrist_torque=sensor(WRIST_TORQUE),
    )


def _build(spec: mujoco.MjSpec, arm: ArmProfile, pos: Vector3, quat: Quaternion) -> mujoco.MjsBody:
    body = spec.worldbody.add_frame(pos=pos, quat=quat)
    parent = spec.worldbody
    for i, link in enumerate(arm.links):
        parent = parent.add_body(name=link.name, pos=link.pos, quat=link.quat, gravcomp=1.0)
        if i == 0:
            parent.set_frame(body)
        if link.joint:
            j = arm.joint_names.index(link.joint)
            parent.add_joint(
                name=link.joint,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=[0, 0, 1],
                limited=mujoco.mjtLimited.mjLIMITED_TRUE,
                range=_joint_range(spec, arm, j),
                armature=arm.armature[j],
                damping=arm.damping[j],
            )
        _set_inertia(parent, link.inertia)
        _add_shapes(parent, link.shapes)
    flange = parent.add_frame(pos=arm.flange[0], quat=arm.flange[1])
    return _build_gripper(spec, arm, parent, flange)


def _joint_range(spec: mujoco.MjSpec, arm: ArmProfile, i: int) -> list[float]:
    """Joint i's limits in the unit that `spec` will be compiled with (MuJoCo's default is degrees)."""
    unit = 180.0 / np.pi if spec.compiler.degree else 1.0
    return [unit * arm.q_min[i], unit * arm.q_max[i]]


def _build_gripper(
    spec: mujoco.MjSpec, arm: ArmProfile, last: mujoco.MjsBody, flange: mujoco.MjsFrame
) -> mujoco.MjsBody:
    gripper, bodies = arm.gripper, arm.gripper.bodies
    assert bodies is not None  # they are read whenever there is no MJCF
    hand = last.add_body(name=HAND, pos=gripper.pos, quat=gripper.quat, gravcomp=1.0)
    hand.set_frame(flange)
    _set_inertia(hand, bodies.hand)
    _add_shapes(hand, bodies.hand_shapes)
    pad = Shape("box", bodies.pad.size, bodies.pad.pos, (1.0, 0.0, 0.0, 0.0), bodies.pad.rgba)
    turned = ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))  # the right finger is the left one, by pi about z
    for side, name, joint, quat in zip(("left", "right"), FINGER_BODIES, FINGER_JOINTS, turned, strict=True):
        finger = hand.add_body(name=name, pos=bodies.finger_base, quat=quat, gravcomp=1.0)
        finger.add_joint(
            name=joint,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, 1, 0],
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
            range=[0.0, 0.5 * gripper.max_width],
            armature=gripper.finger_armature,
            damping=gripper.finger_damping,
        )
        _set_inertia(finger, bodies.finger)
        _add_shapes(finger, bodies.finger_shapes)
        _add_shapes(finger, (pad,), name=f"{side}_pad", friction=gripper.pad_friction, condim=4)
    coupling = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT,
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
        name1=FINGER_JOINTS[0],
        name2=FINGER_JOINTS[1],
    )
    coupling.data = [0.0, 1.0] + [0.0] * (len(coupling.data) - 2)  # left = 0 + 1 * right; length as MuJoCo's
    return hand


def _set_inertia(body: mujoco.MjsBody, inertia: Inertia) -> None:
    body.explicitinertial = True
    body.mass = inertia.mass
    body.ipos = inertia.com
    body.fullinertia = inertia.tensor


def _add_shapes(body: mujoco.MjsBody, shapes: tuple[Shape, ...], **more: object) -> None:
    for shape in shapes:
        body.add_geom(
            type=_GEOM_TYPES[shape.kind],
            size=[*shape.size, 0.0, 0.0][:3],
            pos=shape.pos,
            quat=shape.quat,
            rgba=shape.rgba,
            contype=ARM_CONTYPE,
            conaffinity=ARM_CONAFFINITY,
            **more,
        )


def _add_actuators(spec: mujoco.MjSpec, arm: ArmProfile) -> None:
    for i, joint in enumerate(_joint_names(arm)):
        torque = [-arm.tau_max[i], arm.tau_max[i]]
        name = motor_name(arm.joint_names[i])
        # With MuJoCo's default gain and bias an actuator's force is its ctrl.
        motor = spec.add_actuator(name=name, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.ctrllimited = motor.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        motor.ctrlrange = motor.forcerange = torque
    gripper = arm.gripper
    width = spec.add_tendon(name=WIDTH_TENDON)  # the fingers' joints add up to the width
    for joint in _finger_joints(arm):
        width.wrap_joint(joint, 1.0)
    servo = spec.add_actuator(name=GRIPPER_ACTUATOR, target=WIDTH_TENDON, trntype=mujoco.mjtTrn.mjTRN_TENDON)
    # Force = stiffness * (ctrl - width). The damping is in the joints: a saturated actuator loses its own.
    servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm = [gripper.stiffness] + [0.0] * (len(servo.gainprm) - 1)
    servo.biasprm = [0.0, -gripper.stiffness] + [0.0] * (len(servo.biasprm) - 2)
    servo.ctrllimited = servo.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    servo.ctrlrange = [0.0, gripper.max_width]
    servo.forcerange = [-gripper.force, gripper.force]


def _attach_mjcf(spec: mujoco.MjSpec, arm: ArmProfile, pos: Vector3, quat: Quaternion) -> mujoco.MjsBody:
    source = arm.mjcf
    assert source is not None
    try:
        child = mujoco.MjSpec.from_file(str(source.file))
    except ValueError as error:
        raise InputError(f"{source.file}: MuJoCo cannot read it: {error}") from error
    for group in (child.actuators, child.sensors, child.keys, child.tendons, child.lights):
        for element in list(group):
            child.delete(element)
    for key, kind, names, elements in (
        ("joints.names", "joint", arm.joint_names, child.joints),
        ("mjcf.fingers", "joint", source.fingers, child.joints),
        ("mjcf.hand", "body", (source.hand,), child.bodies),
    ):
        there = [element.name for element in elements if element.name]
        for name in names:
            if name not in there:
                wanted = f"{kind} {name!r} ({key} of arm {arm.name!r})"
                raise InputError(f"{source.file}: has no {wanted}; it has {', '.join(there)}")
    for i, name in enumerate(arm.joint_names):
        joint = child.joint(name)
        joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, _joint_range(child, arm, i)
        _set_drive(joint, arm.armature[i], arm.damping[i])
    for name in source.fingers:
        finger = child.joint(name)
        _set_drive(finger, arm.gripper.finger_armature, arm.gripper.finger_damping)
        for geom in finger.parent.geoms:
            geom.friction, geom.condim = arm.gripper.pad_friction, 4
    for body in child.bodies[1:]:
        body.gravcomp = 1.0
    for geom in child.geoms:
        if geom.contype or geom.conaffinity:
            geom.contype, geom.conaffinity = ARM_CONTYPE, ARM_CONAFFINITY
    frame = spec.worldbody.add_frame(pos=pos, quat=quat)
    spec.attach(child, frame=frame, prefix=MJCF_PREFIX)
    return spec.body(MJCF_PREFIX + source.hand)


def _set_drive(joint: mujoco.MjsJoint, armature: float, damping: float) -> None:
    joint.armature = armature
    # MuJoCo 4 has a polynomial of the speed here, MuJoCo 3 its linear coefficient alone.
    joint.damping = damping if np.ndim(joint.damping) == 0 else [damping, 0.0, 0.0]
