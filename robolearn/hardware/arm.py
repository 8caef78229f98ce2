"""An arm is data: its profile is read from one YAML file.

The simulator builds the arm from it, the torque limiter takes its bounds from it, the nodes on the robot
take joint names and periods from it. `load_arm("panda")` and `load_arm("fr3")` are shipped; a third arm is
one more file, given by its path. A profile with an `mjcf:` section describes an arm whose shape is in a
MuJoCo file of the user's.

Units are SI, angles in radians, quaternions wxyz. In the file, orientations are `rpy` as in URDF: rotations
about the parent's fixed x, y and z axis, in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import choose
from robolearn.hardware.reading import read_yaml

Array = NDArray[np.float64]
Vector3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

ARMS = Path(__file__).parent / "arms"

SHAPE_SIZES = {"box": 3, "cylinder": 2, "capsule": 2, "sphere": 1, "ellipsoid": 3}
"""Kinds of primitive and how many numbers their size has: MuJoCo's half sizes, or radius and half length."""


@dataclass(frozen=True)
class Shape:
    """A primitive that is seen and collides, in the frame of its body.

    Attributes:
        kind: one of SHAPE_SIZES.
        size: half sizes [m], as MuJoCo has them.
        pos: centre (3,) [m].
        quat: orientation wxyz.
        rgba: colour, each in [0, 1].
    """

    kind: str
    size: tuple[float, ...]
    pos: Vector3
    quat: Quaternion
    rgba: Quaternion


@dataclass(frozen=True)
class Inertia:
    """Mass [kg], centre of mass (3,) [m] in the body's frame, inertia (ixx, iyy, izz, ixy, ixz, iyz) [kg·m²]
    about the centre of mass along the body's axes (the order of MuJoCo's fullinertia)."""

    mass: float
    com: Vector3
    tensor: tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Link:
    """A rigid body of the arm; it turns about the z axis of its frame, or is fixed if `joint` is None.

    Attributes:
        pos, quat: the link's frame (that of its joint) in the frame of the link before it, wxyz.
    """

    name: str
    joint: str | None
    pos: Vector3
    quat: Quaternion
    inertia: Inertia
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Pad:
    """The flat rubber of a finger; the face that touches looks along -y of the finger.

    Attributes:
        size: half sizes (3,) [m].
        pos: centre in the finger's frame (3,) [m].
        rgba: colour, each in [0, 1].
    """

    size: Vector3
    pos: Vector3
    rgba: Quaternion


@dataclass(frozen=True)
class HandBodies:
    """The bodies of a parallel gripper.

    Attributes:
        hand, hand_shapes: the body at the flange.
        finger_base: origin of both fingers' frames in the hand's frame, closed (3,) [m].
        finger, finger_shapes, pad: the left finger; the right one is the same, turned by pi about z.
    """

    hand: Inertia
    hand_shapes: tuple[Shape, ...]
    finger_base: Vector3
    finger: Inertia
    finger_shapes: tuple[Shape, ...]
    pad: Pad


@dataclass(frozen=True)
class GripperProfile:
    """A parallel gripper: the fingers slide along the hand's y axis, always symmetrically.

    Attributes:
        pos, quat: the hand's frame in the flange's frame; z points out of the hand.
        tcp: the point between the pads' centres, in the hand's frame (3,) [m].
        max_width: distance between the open pads [m].
        closing_speed: rate of the width [m/s], the same for opening.
        dead_time: from a command to the first motion [s].
        force: with which each pad presses at most [N].
        stiffness: of the width servo [N/m]: how fast the force rises with width error.
        finger_armature: the drive's inertia as felt at each finger [kg].
        finger_damping: viscous friction at each finger [N·s/m].
        pad_friction: sliding [-], torsional [m] and rolling [m] friction of the pads.
        bodies: None if the arm is a user's MJCF.
    """

    pos: Vector3
    quat: Quaternion
    tcp: Vector3
    max_width: float
    closing_speed: float
    dead_time: float
    force: float
    stiffness: float
    finger_armature: float
    finger_damping: float
    pad_friction: Vector3
    bodies: HandBodies | None


@dataclass(frozen=True, eq=False)
class LimiterSettings:
    """How far inside the published limits the torque limiter stays, and how strong its soft terms are.

    Attributes:
        q_margin, dq_margin, tau_margin: room left inside the limits (n,) [rad], [rad/s], [N·m].
        wall_stiffness, wall_damping: of the virtual wall at a position limit (n,) [N·m/rad], [N·m·s/rad].
        speed_gain: braking torque per speed above the soft speed limit (n,) [N·m·s/rad].
        power_max: mechanical power that a request may put into the arm, all joints together [W].
    """

    q_margin: Array
    dq_margin: Array
    tau_margin: Array
    wall_stiffness: Array
    wall_damping: Array
    speed_gain: Array
    power_max: float


@dataclass(frozen=True)
class MjcfSource:
    """A MuJoCo file that holds the arm, and the names in it of what a profile must know.

    Attributes:
        file: the file's path; it holds the arm with its hand and nothing else.
        fingers: slide joints of the two fingers, each growing by half of the width.
        hand: the body that carries the fingers; its z axis points out of the hand, y is the closing axis.
    """

    file: Path
    fingers: tuple[str, str]
    hand: str


@dataclass(frozen=True, eq=False)
class ArmProfile:
    """What is known of an arm. Arrays have one entry a joint, (n,), and are read-only.

    Attributes:
        name: short name, as in `load_arm`.
        title: what a person calls the arm.
        sources: where the numbers come from.
        joint_names: in the order of every array here and of the policies' torques.
        q_min, q_max: position limits [rad].
        dq_max, ddq_max: speed [rad/s] and acceleration [rad/s²] limits.
        tau_max, dtau_max: torque [N·m] and torque rate [N·m/s] limits.
        home: a posture to start from [rad].
        armature: inertia of the drives as felt at the joints [kg·m²].
        damping: viscous friction of the joints [N·m·s/rad].
        control_period: the arm's own control loop [s].
        interpolates: True if the arm (or its driver) ramps between the torques that it receives.
        compensates_gravity: True if the arm adds its own gravity torque to what it is sent.
        links: base to tip, without the hand; empty for a user's MJCF.
        flange: pose of the flange in the last link's frame: position [m] and quaternion wxyz.
        mjcf: None, or the user's MuJoCo file.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    joint_names: tuple[str, ...]
    q_min: Array
    q_max: Array
    dq_max: Array
    ddq_max: Array
    tau_max: Array
    dtau_max: Array
    home: Array
    armature: Array
    damping: Array
    control_period: float
    interpolates: bool
    compensates_gravity: bool
    links: tuple[Link, ...]
    flange: tuple[Vector3, Quaternion]
    gripper: GripperProfile
    limiter: LimiterSettings
    mjcf: MjcfSource | None

    @property
    def n(self) -> int:
        """Number of joints, the fingers not counted."""
        return len(self.joint_names)

    @property
    def noticeable_torque(self) -> NDArray[np.float64]:
        """Torques that disturb the arm noticeably within a control step, (n,) [N·m].

        A twentieth of a joint's strength; a third of that for the last three, which carry little inertia.
        """
        share = np.full(self.n, 1 / 20)
        share[-3:] /= 3
        return share * self.tau_max


def arm_names() -> tuple[str, ...]:
    """Names of the arms that come with the package."""
    return tuple(sorted(path.stem for path in ARMS.glob("*.yaml")))


def load_arm(name_or_path: str | Path) -> ArmProfile:
    """Read an arm's profile: one of `arm_names()` or the path of a YAML file (it ends in .yaml or .yml).

    Raises:
        InputError: no such arm, or a value in the file that cannot be: names file, key, value, valid range.
    """
    from robolearn.hardware.arm_reading import read_profile  # which makes what is declared here

    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        return read_profile(read_yaml(Path(name_or_path)))
    return read_profile(read_yaml(ARMS / f"{choose('arm', name_or_path, arm_names())}.yaml"))
