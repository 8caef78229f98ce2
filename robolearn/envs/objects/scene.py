"""Objects as MuJoCo bodies."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from robolearn.envs.objects.model import Array, ObjectModel, Rest

_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}

# Contact, for physics of 400 Hz and more. The geoms' priority makes these values hold against the table and
# the finger pads, whose own are then ignored: the friction of a contact is the object's.
PRIORITY = 1
SOLREF = (0.006, 1.0)  # time constant [s] (at least twice the step), damping ratio
SOLIMP = (0.95, 0.99, 0.001, 0.5, 2.0)
TORSIONAL = 0.006  # [m]: a soft pad touches with a patch of about this radius
ROLLING = 0.002  # [m]: a rubber mat: a cylinder on it stays, where smaller values let it creep


def add_object(spec: mujoco.MjSpec, obj: ObjectModel, name: str) -> mujoco.MjsBody:
    """Add an object to a scene as a free body.

    The body is called `name`, its free joint `<name>_joint`, its geoms `<name>_0`, `<name>_1`, ... Its frame
    is the object frame; `resting_pose` gives it a pose. Let the table be a box: MuJoCo 4.0 sometimes reports
    a deep false contact between a plane and a cylinder that stands on it within rounding of upright, and the
    cylinder jumps. Elliptic friction cones with impratio 10 hold best in the gripper.
    """
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=f"{name}_joint")
    for i, part in enumerate(obj.parts):
        body.add_geom(
            name=f"{name}_{i}",
            type=_TYPES[part.kind],
            size=[*part.size, 0.0, 0.0][:3],
            pos=part.pos,
            quat=part.quat,
            rgba=obj.rgba,
            density=obj.mass / obj.volume,
            priority=PRIORITY,
            condim=6 if obj.revolution else 4,
            friction=[obj.friction, TORSIONAL, ROLLING],
            solref=SOLREF,
            solimp=SOLIMP,
        )
    return body


def resting_pose(rest: Rest, xy: ArrayLike, yaw: float, table_height: float = 0.0) -> tuple[Array, Array]:
    """Pose of an object that rests on a table.

    Args:
        rest: One of the object's `rests`.
        xy: Where its centre of mass is, in world coordinates [m]. Shape (2,).
        yaw: Turn about the world's vertical [rad].
        table_height: World height of the table's surface [m].

    Returns:
        Position of the object frame [m], shape (3,), and its orientation wxyz, shape (4,).
    """
    x, y = np.asarray(xy, dtype=float)
    quat = np.zeros(4)
    mujoco.mju_mulQuat(quat, np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]), np.array(rest.quat))
    return np.array([x, y, table_height + rest.height]), quat
