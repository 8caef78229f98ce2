"""Pegs and holes: their geometry, and the contact settings under which a tight fit stays a fit.

A cross section is a convex polygon (a circle for the round peg). The hole is that polygon offset outwards by
the clearance, so the gap is the same on every side: `clearance` is always *per side*. The peg is one shaft of
that cross section under a box-shaped handle, whose two parallel sides a gripper's pads can hold.

Frames. The peg's body frame sits in the middle of the handle, z along the shaft *towards the handle's top*.
The hole's body frame sits in the middle of the mouth, z up, out of the block. A peg that goes in has the
hole's yaw and its frame's origin above the hole's. Collision geometry is exact and invisible (geom group 3);
what is drawn of the block is three meshes, because rendering time grows with the number of geoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError, choose

Array = NDArray[np.float64]

SHAPES = ("round", "square", "hexagon", "trapezoid")

# Below, penetration would be no small part of the gap; above, the trapezoid would go in the wrong way round.
CLEARANCES = (5e-5, 5e-3)  # per side [m]
CHAMFERS = (0.0, 0.006)  # [m]
ROUND_SIDES = 24  # walls of the round hole: a regular polygon around the circle
HANDLE = (0.030, 0.024, 0.040)  # m, full sizes; the gripper closes along y
BLOCK = (0.100, 0.100, 0.045)  # m, full sizes of the block that holds the hole
MOUTH_BAND = 0.005  # m, painted around the mouth so that its outline covers pixels in a small image
DENSITY = 1200.0  # kg/m3, a printed plastic

PEG_COLOUR = (0.93, 0.36, 0.08, 1.0)
HANDLE_COLOUR = (0.45, 0.10, 0.05, 1.0)
BLOCK_COLOUR = (0.45, 0.53, 0.64, 1.0)
MOUTH_COLOUR = (0.98, 0.93, 0.25, 1.0)
INSIDE_COLOUR = (0.07, 0.08, 0.12, 1.0)
COLLISION_GROUP = 3  # not drawn by default


@dataclass(frozen=True)
class PegGeometry:
    """A peg and the hole it belongs to. Lengths in metres.

    Raises InputError for an unknown shape and for lengths that make no peg or no hole.
    """

    shape: str = "trapezoid"
    """One of SHAPES."""
    clearance: float = 0.003
    """Gap between the centred peg and the hole on every side."""
    chamfer: float = 0.002
    """Depth and width of the 45 degree chamfer around the hole's mouth; 0 for a sharp edge."""
    width: float = 0.030
    """Size of the cross section: diameter, across flats, or the wide side of the trapezoid."""
    shaft_length: float = 0.060
    hole_depth: float = 0.032

    def __post_init__(self) -> None:
        choose("peg shape", self.shape, SHAPES)
        limits = {
            "clearance": CLEARANCES,
            "chamfer": CHAMFERS,
            "width": (0.015, 0.040),
            "shaft_length": (0.020, 0.120),
            "hole_depth": (0.010, 0.040),
        }
        for name, (low, high) in limits.items():
            checks.length(f"peg {name}", getattr(self, name), low, high)
        if self.chamfer >= self.hole_depth:
            raise InputError(f"peg chamfer {self.chamfer} m must be less than hole_depth {self.hole_depth} m")

    @property
    def grip_to_tip(self) -> float:
        """Distance from the peg's body frame (middle of the handle) down to the tip, m."""
        return HANDLE[2] / 2 + self.shaft_length


def vertices(shape: str, width: float = 0.030) -> Array:
    """Corners of a cross section, counter-clockwise around the axis, shape (n, 2), in metres.

    The round one is the regular polygon *around* the circle of diameter `width`; it describes the hole,
    while the peg itself is a true cylinder. The trapezoid is isosceles, wide at -y and narrow at +y, its
    proportions such that up to 5 mm clearance at the default width it goes in one way only.
    """
    choose("peg shape", shape, SHAPES)
    half = width / 2
    if shape == "trapezoid":
        height, narrow = 1.2 * half, 14 / 30 * half
        return np.array([(-half, -height), (half, -height), (narrow, height), (-narrow, height)])
    sides = {"round": ROUND_SIDES, "square": 4, "hexagon": 6}[shape]
    angle = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    radius = half / np.cos(np.pi / sides)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def half_planes(polygon: Array) -> tuple[Array, Array]:
    """Outward unit normals (n, 2) and offsets (n,) in metres of a convex counter-clockwise polygon.

    A point x is inside where normals @ x <= offsets.
    """
    edge = np.roll(polygon, -1, axis=0) - polygon
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1) / np.linalg.norm(edge, axis=1, keepdims=True)
    return normal, np.einsum("ij,ij->i", normal, polygon)


def offset(polygon: Array, distance: float) -> Array:
    """The polygon whose sides lie `distance` metres outside those of a convex one, shape (n, 2)."""
    normal, _ = half_planes(polygon)
    before = np.roll(normal, 1, axis=0)
    return polygon + distance * (before + normal) / (1 + np.einsum("ij,ij->i", before, normal))[:, None]


def fits(shape: str, clearance: float, yaw: float, width: float = 0.030) -> bool:
    """Whether the upright peg, turned by `yaw` radians against the hole, has any place inside it.

    Every side of the hole bounds the peg's centre by a half plane, so the peg fits exactly if these half
    planes have a common point; a large square is clipped by each in turn.
    """
    peg = vertices(shape, width)
    normal, bound = half_planes(offset(peg, clearance))
    if shape == "round":
        reach = np.full(len(normal), width / 2)
    else:
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        reach = (normal @ turn @ peg.T).max(axis=1)
    room = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    for direction, limit in zip(normal, bound - reach, strict=True):
        excess = room @ direction - limit
        kept: list[Array] = []
        for i in range(len(room)):
            a, b, da, db = room[i - 1], room[i], excess[i - 1], excess[i]
            if (da > 0) != (db > 0):
                kept.append(a + (b - a) * da / (da - db))
            if db <= 0:
                kept.append(b)
        if not kept:
            return False
        room = np.array(kept)
    return True


@dataclass(frozen=True)
class ContactSettings:
    """How to simulate a fit; `contact_settings` chooses by the clearance, `apply` puts it into a spec."""

    physics_rate: int
    """Physics steps per second, a multiple of 200."""
    solref: tuple[float, float]
    """Time constant (s) and damping ratio of shaft against hole."""
    solimp: tuple[float, float, float, float, float]
    friction: tuple[float, float, float]
    """Sliding (and unused torsional, rolling) friction of shaft against hole."""
    grip_solref: tuple[float, float]
    grip_solimp: tuple[float, float, float, float, float]
    grip_friction: tuple[float, float, float]
    """Handle against the gripper's pads: sliding, torsional (m), rolling (m)."""
    impratio: float

    def apply(self, spec: mujoco.MjSpec) -> None:
        """Set time step, integrator, friction cone and collision accuracy of `spec`."""
        spec.option.timestep = 1.0 / self.physics_rate
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        spec.option.impratio = self.impratio
        # At the default, 1e-6 m, a contact shallower than that may be reported as one millimetres deep and
        # sideways, which throws the round peg off the rim.
        spec.option.ccd_tolerance = 1e-10
        # A face on a face needs more than one contact point: with one, a tight peg tilts through the wall.
        # MuJoCo 3 has to be asked for it; later it is on by default.
        if hasattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD"):
            spec.option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_MULTICCD)


PHYSICS_RATES = ((0.002, 400), (0.001, 600), (0.0005, 800), (0.0002, 1000), (0.0, 2000))
"""From which clearance (m) on each physics rate (Hz) keeps penetration small: benchmarks/contact.py."""


def contact_settings(clearance: float, physics_rate: int | None = None) -> ContactSettings:
    """Settings for a clearance (m, per side): penetration's 99th percentile at 30 N is below a fifth of it.

    That holds at the rate (Hz) chosen here, or a higher one asked for.

    The time constant is the shortest that MuJoCo allows, two steps. A softer constraint sinks in further
    under a steady force, a harder one (solimp nearer to 1) bounces and hits harder; 0.99 lies between. The
    grip is overdamped, which takes the bounce out of a jammed peg: it halves penetration and the peg's slip
    in the hand. Creep under a load is a velocity, to first order load / mass * (1 - solimp) / impratio *
    time constant / 2, which impratio keeps small.
    """
    rate = physics_rate or next(rate for smallest, rate in PHYSICS_RATES if clearance >= smallest)
    solimp = (0.99, 0.99, 0.001, 0.5, 2.0)
    return ContactSettings(
        physics_rate=rate,
        solref=(2.0 / rate, 1.0),
        solimp=solimp,
        friction=(0.3, 0.005, 0.0001),
        grip_solref=(2.0 / rate, 5.0),
        grip_solimp=solimp,
        grip_friction=(1.0, 0.005, 0.0001),
        impratio=30.0,
    )


def add_peg(
    spec: mujoco.MjSpec, geometry: PegGeometry, name: str = "peg", settings: ContactSettings | None = None
) -> Any:
    """Add the free peg and return its body (an MjsBody); `settings` are `contact_settings` of its clearance.

    Joint `<name>_joint`, geoms `<name>_shaft` and `<name>_handle`, sites `<name>_tip` (middle of the tip, z
    pointing down out of it) and `<name>_grip` (the body frame). The peg's contact parameters win over those
    of whatever it touches (geom priority 1).
    """
    settings = settings or contact_settings(geometry.clearance)
    length, half_width = geometry.shaft_length, geometry.width / 2
    middle = (0.0, 0.0, -(HANDLE[2] + length) / 2)
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=f"{name}_joint")
    shaft = body.add_geom(
        name=f"{name}_shaft",
        pos=middle,
        density=DENSITY,
        rgba=PEG_COLOUR,
        condim=3,
        priority=1,
        friction=settings.friction,
        solref=settings.solref,
        solimp=settings.solimp,
    )
    if geometry.shape == "round":
        shaft.type = mujoco.mjtGeom.mjGEOM_CYLINDER
        shaft.size = (half_width, length / 2, 0.0)
    elif geometry.shape == "square":
        shaft.type = mujoco.mjtGeom.mjGEOM_BOX
        shaft.size = (half_width, half_width, length / 2)
    else:
        shaft.type = mujoco.mjtGeom.mjGEOM_MESH
        shaft.meshname = f"{name}_shaft"
        section = vertices(geometry.shape, geometry.width)
        _add_mesh(spec, f"{name}_shaft", np.vstack([_at(section, -length / 2), _at(section, length / 2)]))
    body.add_geom(
        name=f"{name}_handle",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=tuple(0.5 * side for side in HANDLE),
        density=DENSITY,
        rgba=HANDLE_COLOUR,
        condim=4,
        priority=1,
        friction=settings.grip_friction,
        solref=settings.grip_solref,
        solimp=settings.grip_solimp,
    )
    tip = (0.0, 0.0, -geometry.grip_to_tip)
    body.add_site(name=f"{name}_tip", pos=tip, quat=(0.0, 1.0, 0.0, 0.0), group=4)
    body.add_site(name=f"{name}_grip", group=4)
    return body


def add_hole(spec: mujoco.MjSpec, geometry: PegGeometry, name: str = "hole") -> Any:
    """Add the block with the hole, fixed in the world, and return its body (an MjsBody).

    The block's upper face is z = 0 of the body and its underside z = -BLOCK[2]. Move it with
    `model.body_pos` and `model.body_quat`. Geoms `<name>_wall0...` and `<name>_floor` collide;
    `<name>_block`, `<name>_mouth` and `<name>_inside` are what one sees. Site `<name>_top` is the body
    frame.
    """
    section = vertices(geometry.shape, geometry.width)
    throat = offset(section, geometry.clearance)
    mouth = offset(throat, geometry.chamfer)
    band = offset(mouth, MOUTH_BAND)
    chamfer, depth = geometry.chamfer, geometry.hole_depth
    body = spec.worldbody.add_body(name=name)
    body.add_site(name=f"{name}_top", group=4)

    # A wall is the part of the block behind one side of the hole, cut off along the mitres of its two
    # corners; it is convex, chamfer included, and the walls tile the block without overlap.
    rim = [_outline_point(throat[i], band[i] - throat[i]) for i in range(len(throat))]
    for i in range(len(throat)):
        j = (i + 1) % len(throat)
        outline = _outline_between(rim[i], rim[j])
        points = [_at(throat[[i, j]], -depth), _at(throat[[i, j]], -chamfer), _at(mouth[[i, j]], 0.0)]
        points += [_at(outline, -depth), _at(outline, 0.0)]
        _add_mesh(spec, f"{name}_wall{i}", np.unique(np.vstack(points).round(9), axis=0))
        body.add_geom(
            name=f"{name}_wall{i}",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=f"{name}_wall{i}",
            group=COLLISION_GROUP,
            rgba=BLOCK_COLOUR,
        )
    floor = (BLOCK[2] - depth) / 2
    body.add_geom(
        name=f"{name}_floor",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(BLOCK[0] / 2, BLOCK[1] / 2, floor),
        pos=(0.0, 0.0, -depth - floor),
        group=COLLISION_GROUP,
        rgba=INSIDE_COLOUR,
    )

    # What is seen: rings of points joined by quadrilaterals, all rings sampled at the same angles.
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.array(BLOCK[:2]) / 2
    angles = np.unique([np.arctan2(p[1], p[0]) for ring in (throat, mouth, band, corners) for p in ring])
    square, band, mouth, throat = (_radial(ring, angles) for ring in (corners, band, mouth, throat))
    pieces = {
        "block": (BLOCK_COLOUR, [_at(square, -BLOCK[2]), _at(square, 0.0), _at(band, 0.0)]),
        "mouth": (MOUTH_COLOUR, [_at(band, 0.0), _at(mouth, 0.0), _at(throat, -chamfer)]),
        "inside": (INSIDE_COLOUR, [_at(throat, -chamfer), _at(throat, -depth), _at(0.0 * throat, -depth)]),
    }
    for piece, (colour, rings) in pieces.items():
        _add_mesh(spec, f"{name}_{piece}", *_loft(rings))
        body.add_geom(
            name=f"{name}_{piece}",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=f"{name}_{piece}",
            rgba=colour,
            contype=0,
            conaffinity=0,
            mass=0.0,
        )
    return body


def _at(points: Array, z: float) -> Array:
    """Points (n, 2) lifted to height z, shape (n, 3)."""
    return np.column_stack([points, np.full(len(points), z)])


def _add_mesh(spec: mujoco.MjSpec, name: str, points: Array, faces: NDArray[np.int32] | None = None) -> None:
    """Add a mesh from its vertices; without faces it is their convex hull, a solid, else an open shell."""
    mesh = spec.add_mesh(name=name, uservert=points.ravel())
    if faces is None:
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_EXACT
    else:
        mesh.userface = faces.ravel()
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def _outline_point(start: Array, direction: Array) -> Array:
    """Where the ray from `start` inside the block's outline leaves it, shape (2,)."""
    half = np.array(BLOCK[:2]) / 2
    with np.errstate(divide="ignore"):
        reach = (np.sign(direction) * half - start) / direction
    return start + direction * reach[direction != 0].min()


def _outline_between(a: Array, b: Array) -> Array:
    """Points a and b of the block's outline and its corners between them, counter-clockwise, shape (n, 2)."""
    corners = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * np.array(BLOCK[:2]) / 2
    angle = np.arctan2(corners[:, 1], corners[:, 0])
    start, end = np.arctan2(a[1], a[0]), np.arctan2(b[1], b[0])
    passed = (angle - start) % (2 * np.pi) < (end - start) % (2 * np.pi)
    return np.vstack([a, corners[passed], b])


def _radial(polygon: Array, angles: Array) -> Array:
    """Where rays from the origin at `angles` (m,) cross a convex polygon around it, shape (m, 2)."""
    normal, bound = half_planes(polygon)
    ray = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ray / ((ray @ normal.T) / bound).max(axis=1, keepdims=True)


def _loft(rings: list[Array]) -> tuple[Array, NDArray[np.int32]]:
    """Vertices and triangles that join consecutive rings of n points each, counter-clockwise from outside."""
    n = len(rings[0])
    i = np.arange(n)
    j = (i + 1) % n
    faces = []
    for r in range(len(rings) - 1):
        low, high = r * n, (r + 1) * n
        faces.append(np.stack([low + i, low + j, high + j], axis=1))
        faces.append(np.stack([low + i, high + j, high + i], axis=1))
    return np.vstack(rings), np.vstack(faces).astype(np.int32)
