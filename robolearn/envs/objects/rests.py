"""Stable orientations of an object on a table.

A body of revolution rests where its potential energy has a minimum over the tilt of its axis. Anything else
is made of boxes, at least outside: it rests on the faces of its convex hull above which its centre of mass
lies.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from robolearn.envs.kinematics import quaternion_of
from robolearn.envs.objects.model import Array, ObjectModel, Quaternion, Rest, frame_with
from robolearn.errors import InputError

# A rest must survive this tilt [rad]: a finger that touches an object of less would topple it.
SAFE_TILT = math.radians(12)
_PLANE = 2e-5  # vertices closer to a hull face than this lie in it [m]


def stable_rests(obj: ObjectModel) -> tuple[Rest, ...]:
    """Stable orientations of an object, the lowest first, each with a margin of at least `SAFE_TILT`.

    Raises:
        InputError: The object has none, or would rest on a round part without being a body of revolution.
    """
    ups = _ups_of_revolution(obj) if obj.revolution else _ups_of_polyhedron(obj)
    if not ups:
        raise InputError(
            f"object {obj.name!r} has no rest that survives a tilt of {math.degrees(SAFE_TILT):.0f} degrees"
        )
    # In an order that does not depend on how the hull was computed.
    ups.sort(key=lambda up: (round(obj.support(-up), 6), *up.round(4)))
    return tuple(Rest(_quat_with_up(up), obj.support(-up)) for up in ups)


def _quat_with_up(up: Array) -> Quaternion:
    """Rotation that turns `up` of the object frame to the world's z."""
    axis = np.eye(3)[int(np.argmin(np.abs(up)))]
    w, x, y, z = quaternion_of(frame_with(up, axis).T).tolist()
    return w, x, y, z


def _ups_of_revolution(obj: ObjectModel) -> list[Array]:
    """Minima over the angle between the axis and the vertical of the height of the centre of mass."""
    step = math.radians(1)
    tilts = np.arange(0, 181) * step
    ups = np.column_stack([np.sin(tilts), np.zeros_like(tilts), np.cos(tilts)])
    height = np.array([obj.support(-up) for up in ups])
    margin = round(SAFE_TILT / step)
    found = []
    for i in range(181):
        around = np.abs(np.arange(i - margin, i + margin + 1))
        rise = np.diff(height[np.where(around > 180, 360 - around, around)])
        if (rise[:margin] < -1e-9).all() and (rise[margin:] > 1e-9).all():
            found.append(ups[i].round(12))
    return found


def _ups_of_polyhedron(obj: ObjectModel) -> list[Array]:
    """Inward normals of the hull's faces above which the centre of mass lies, with the margin."""
    corners = [part.vertices() for part in obj.parts if part.kind == "box"]
    if not corners:
        raise InputError(f"object {obj.name!r} has neither a box nor an axis of revolution to rest on")
    vertices = np.unique(np.vstack(corners).round(9), axis=0)
    found: list[Array] = []
    for normal in _hull_normals(vertices):
        if any(up @ -normal > 1 - 1e-6 for up in found):
            continue
        distance = vertices @ normal
        height = distance.max()
        face = vertices[distance > height - _PLANE]
        if _distance_inside(face, normal) > height * math.tan(SAFE_TILT):
            if obj.support(normal) > height + _PLANE:
                raise InputError(
                    f"object {obj.name!r} would rest on a round part but is no body of revolution"
                )
            found.append(-normal)
    return found


def _hull_normals(vertices: Array) -> Array:
    """Outward normals, shape (m, 3), of the convex hull of points (n, 3), by MuJoCo's mesh compiler."""
    spec = mujoco.MjSpec()
    # Millimetres: the compiler refuses volumes below 1e-15.
    spec.add_mesh(
        name="hull",
        uservert=(vertices * 1000).ravel().tolist(),
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX,
    )
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="hull")
    model = spec.compile()
    back = np.zeros(9)
    mujoco.mju_quat2Mat(back, model.mesh_quat[0])
    corners = model.mesh_vert[model.mesh_face] @ back.reshape(3, 3).T
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-3] / lengths[lengths > 1e-3, None]
    return np.asarray(normals)


def _distance_inside(face: Array, normal: Array) -> float:
    """How far the origin's projection lies inside the hull of coplanar points [m]; negative outside."""
    basis = frame_with(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])[:, :2]
    flat = face @ basis
    angles = np.linspace(0, 2 * math.pi, 360, endpoint=False)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    return float((flat @ directions.T).max(axis=0).min())
