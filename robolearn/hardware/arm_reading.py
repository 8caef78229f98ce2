"""From an arm's YAML file to its profile, every value checked."""

from __future__ import annotations

import os
from math import cos, pi, sin
from pathlib import Path

import numpy as np

from robolearn.hardware.arm import (
    SHAPE_SIZES,
    ArmProfile,
    Array,
    GripperProfile,
    HandBodies,
    Inertia,
    LimiterSettings,
    Link,
    MjcfSource,
    Pad,
    Quaternion,
    Shape,
    Vector3,
)
from robolearn.hardware.reading import Section


def read_profile(top: Section) -> ArmProfile:
    """The profile in a file, whose outermost section is `top`.

    Raises:
        InputError: a value that cannot be: names file, key, value, valid range.
    """
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
