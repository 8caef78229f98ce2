"""An arm is data: its profile is read from one YAML file.

The simulator builds the arm from it, the torque limiter takes its bounds from it, the nodes on the robot
take joint names and periods from it. `load_arm("panda")` and `load_arm("fr3")` are shipped; a third arm is
one more file, given by its path. A profile with an `mjcf:` section describes an arm whose shape is in a
MuJoCo file of the user's.

Units are SI, angles in radians, quaternions wxyz. In the file, orientations are `rpy` as in URDF: rotations
about the parent's fixed x, y and z axis, in this order.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import choose
from robolearn.hardware.reading import Section, read_yaml

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
    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        return _read_profile(read_yaml(Path(name_or_path)))
    return _read_profile(read_yaml(ARMS / f"{choose('arm', name_or_path, arm_names())}.yaml"))


def _read_profile(top: Section) -> ArmProfile:
    joints = top.section("joints")
    names = joints.texts("names")
    n = len(names)
    q_min = joints.vector("q_min", n, -4 * pi, 4 * pi)
    q_max = joints.vector("q_max", n, -4 * pi, 4 * pi)
    for i in range(n):
        if not q_min[i] < q_max[i]:
            raise joints.error(f"q_max[{i}]", float(q_max[i]), f"above q_min[{i}], which is {q_min[i]:g}")
    home = joints.vector("home", n, -4 * pi, 4 * pi)
    for i in range(n):
        if not q_min[i] <= home[i] <= q_max[i]:
            raise joints.error(f"home[{i}]", float(home[i]), f"in [{q_min[i]:g}, {q_max[i]:g}], the limits")
    control = top.section("control")
    mjcf = _read_mjcf(top.section("mjcf")) if "mjcf" in top else None
    dq_max = joints.vector("dq_max", n, 1e-3, 100.0)
    tau_max = joints.vector("tau_max", n, 1e-3, 10_000.0)
    profile = ArmProfile(
        name=top.text("name"),
        title=top.text("title"),
        sources=top.texts("sources"),
        joint_names=names,
        q_min=q_min,
        q_max=q_max,
        dq_max=dq_max,
        ddq_max=joints.vector("ddq_max", n, 1e-3, 10_000.0),
        tau_max=tau_max,
        dtau_max=joints.vector("dtau_max", n, 1e-3, 1e7),
        home=home,
        armature=joints.vector("armature", n, 0.0, 100.0),
        damping=joints.vector("damping", n, 0.0, 1000.0),
        control_period=control.number("period", 1e-5, 0.1),
        interpolates=control.flag("interpolates"),
        compensates_gravity=control.flag("compensates_gravity"),
        links=() if mjcf else _read_links(top, names),
        flange=((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)) if mjcf else _read_pose(top.section("flange")),
        gripper=_read_gripper(top.section("gripper"), with_bodies=mjcf is None),
        limiter=_read_limiter(top.section("limiter"), q_max - q_min, dq_max, tau_max),
        mjcf=mjcf,
    )
    for section in (joints, control, top):
        section.finish()
    return profile


def _read_limiter(section: Section, q_range: Array, dq_max: Array, tau_max: Array) -> LimiterSettings:
    n = len(q_range)
    limiter = LimiterSettings(
        q_margin=section.vector("q_margin", n, 0.0, 4 * pi),
        dq_margin=section.vector("dq_margin", n, 0.0, 100.0),
        tau_margin=section.vector("tau_margin", n, 0.0, 10_000.0),
        wall_stiffness=section.vector("wall_stiffness", n, 0.0, 1e5),
        wall_damping=section.vector("wall_damping", n, 0.0, 1e5),
        speed_gain=section.vector("speed_gain", n, 0.0, 1e5),
        power_max=section.number("power_max", 1e-3, 1e6),
    )
    for key, margin, room in (
        ("q_margin", limiter.q_margin, 0.5 * q_range),
        ("dq_margin", limiter.dq_margin, dq_max),
        ("tau_margin", limiter.tau_margin, tau_max),
    ):
        for i in range(n):
            if not margin[i] < room[i]:
                raise section.error(f"{key}[{i}]", float(margin[i]), f"below {room[i]:g}, to leave some room")
    section.finish()
    return limiter


def _read_links(top: Section, joint_names: tuple[str, ...]) -> tuple[Link, ...]:
    links: list[Link] = []
    pending = list(joint_names)
    for i, section in enumerate(top.sections("links")):
        joint = section.text("joint") if "joint" in section else None
        expected = pending[0] if pending and i > 0 else None  # the base is fixed, every other link turns
        if joint != expected:
            valid = "absent" if expected is None else f"{expected!r}, the next of joints.names"
            raise section.error("joint", joint, valid)
        if joint is not None:
            pending.pop(0)
        elif i > 0:
            raise section.error("joint", None, "that of a joint; this link has none left, leave it out")
        name = section.text("name")
        reserved = [*(link.name for link in links), "hand", "left_finger", "right_finger", "world"]
        if name in reserved:
            raise section.error("name", name, f"another than {', '.join(reserved)}")
        pos, quat = _read_pose(section)
        links.append(Link(name, joint, pos, quat, _read_inertia(section), _read_shapes(section, "shapes")))
        section.finish()
    if pending:
        raise top.error("links", [link.name for link in links], f"complete: no link has joint {pending[0]!r}")
    return tuple(links)


def _read_pose(section: Section) -> tuple[Vector3, Quaternion]:
    pos = _triple(section, "pos", -10.0, 10.0) if "pos" in section else (0.0, 0.0, 0.0)
    rpy = _triple(section, "rpy", -2 * pi, 2 * pi) if "rpy" in section else (0.0, 0.0, 0.0)
    return pos, quaternion_from_rpy(rpy)


def _read_inertia(section: Section) -> Inertia:
    mass = section.number("mass", 1e-6, 1000.0)
    com = _triple(section, "com", -10.0, 10.0)
    ixx, iyy, izz, ixy, ixz, iyz = (float(v) for v in section.vector("inertia", 6, -1000.0, 1000.0))
    moments = np.linalg.eigvalsh(np.array([[ixx, ixy, ixz], [ixy, iyy, iyz], [ixz, iyz, izz]]))
    if moments[0] <= 0 or moments[0] + moments[1] < moments[2]:
        raise section.error(
            "inertia",
            [ixx, iyy, izz, ixy, ixz, iyz],
            "[ixx, iyy, izz, ixy, ixz, iyz] of a body: principal moments positive, none above the sum of the "
            f"other two; they are {', '.join(f'{m:.3g}' for m in moments)}",
        )
    return Inertia(mass, com, (ixx, iyy, izz, ixy, ixz, iyz))


def _read_shapes(parent: Section, key: str) -> tuple[Shape, ...]:
    shapes = []
    for section in parent.sections(key):
        kind = section.one_of("kind", tuple(SHAPE_SIZES))
        if "ends" in section and kind in ("capsule", "cylinder"):
            ends = section.vector("ends", 6, -10.0, 10.0)
            pos, quat, half_length = _between(ends[:3], ends[3:])
            if half_length < 1e-5:
                raise section.error("ends", ends.tolist(), "two different points, [x, y, z, x, y, z]")
            size: tuple[float, ...] = (section.number("radius", 1e-5, 10.0), half_length)
        else:
            size = tuple(float(v) for v in section.vector("size", SHAPE_SIZES[kind], 1e-5, 10.0))
            pos, quat = _read_pose(section)
        shapes.append(Shape(kind, size, pos, quat, _rgba(section)))
        section.finish()
    return tuple(shapes)


def _between(start: Array, end: Array) -> tuple[Vector3, Quaternion, float]:
    """Centre, orientation and half length of a bar along z that reaches from `start` to `end`, (3,) each."""
    along = end - start
    length = float(np.linalg.norm(along))
    if length == 0.0:
        return (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 0.0
    # From z to `along` it is 1 + z . along + z x along, normalised; straight down, half a turn about x.
    w, x, y = length + float(along[2]), -float(along[1]), float(along[0])
    norm = float(np.linalg.norm([w, x, y]))
    quat = (w / norm, x / norm, y / norm, 0.0) if norm > 1e-9 * length else (0.0, 1.0, 0.0, 0.0)
    centre = 0.5 * (start + end)
    return (float(centre[0]), float(centre[1]), float(centre[2])), quat, 0.5 * length


def _read_gripper(section: Section, with_bodies: bool) -> GripperProfile:
    pos, quat = _read_pose(section)
    gripper = GripperProfile(
        pos=pos,
        quat=quat,
        tcp=_triple(section, "tcp", -1.0, 1.0),
        max_width=section.number("max_width", 1e-3, 1.0),
        closing_speed=section.number("closing_speed", 1e-3, 10.0),
        dead_time=section.number("dead_time", 0.0, 5.0),
        force=section.number("force", 1e-2, 10_000.0),
        stiffness=section.number("stiffness", 1.0, 1e6),
        finger_armature=section.number("finger_armature", 0.0, 10.0),
        finger_damping=section.number("finger_damping", 0.0, 1e5),
        pad_friction=_triple(section, "pad_friction", 0.0, 10.0),
        bodies=_read_hand_bodies(section) if with_bodies else None,
    )
    section.finish()
    return gripper


def _read_hand_bodies(gripper: Section) -> HandBodies:
    hand, finger, pad = (gripper.section(key) for key in ("hand", "finger", "pad"))
    bodies = HandBodies(
        hand=_read_inertia(hand),
        hand_shapes=_read_shapes(hand, "shapes"),
        finger_base=_triple(finger, "pos", -1.0, 1.0),
        finger=_read_inertia(finger),
        finger_shapes=_read_shapes(finger, "shapes"),
        pad=Pad(_triple(pad, "size", 1e-4, 0.1), _triple(pad, "pos", -1.0, 1.0), _rgba(pad)),
    )
    for section in (hand, finger, pad):
        section.finish()
    return bodies


def _read_mjcf(section: Section) -> MjcfSource:
    text = section.text("file")
    expanded = Path(os.path.expandvars(text)).expanduser()
    if "$" in str(expanded):
        raise section.error("file", text, "a path whose environment variables are set")
    file = expanded if expanded.is_absolute() else section.path.parent / expanded
    if not file.is_file():
        raise section.error("file", text, f"a MuJoCo XML file; there is none at {file}")
    fingers = section.texts("fingers")
    if len(fingers) != 2:
        raise section.error("fingers", list(fingers), "a list of two joint names")
    source = MjcfSource(file, (fingers[0], fingers[1]), section.text("hand"))
    section.finish()
    return source


def _triple(section: Section, key: str, low: float, high: float) -> Vector3:
    x, y, z = (float(v) for v in section.vector(key, 3, low, high))
    return x, y, z


def _rgba(section: Section) -> Quaternion:
    r, g, b, a = (float(v) for v in section.vector("rgba", 4, 0.0, 1.0))
    return r, g, b, a


def quaternion_from_rpy(rpy: Vector3) -> Quaternion:
    """Quaternion wxyz of URDF's roll, pitch, yaw [rad]: about the fixed x, then y, then z axis."""
    (cr, cp, cy), (sr, sp, sy) = ([f(0.5 * angle) for angle in rpy] for f in (cos, sin))
    return (
        cy * cp * cr + sy * sp * sr,
        cy * cp * sr - sy * sp * cr,
        cy * sp * cr + sy * cp * sr,
        sy * cp * cr - cy * sp * sr,
    )
