from __future__ import annotations

import mujoco
import numpy as np
import pytest

from robolearn.envs.pegs import (
    BLOCK,
    COLLISION_GROUP,
    DENSITY,
    HANDLE,
    PHYSICS_RATES,
    SHAPES,
    PegGeometry,
    add_hole,
    add_peg,
    contact_settings,
    fits,
    half_planes,
    offset,
    vertices,
)
from robolearn.errors import InputError

POLYGONS = tuple(shape for shape in SHAPES if shape != "round")
MM = 1e-3


def scene(geometry: PegGeometry) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A hole at the origin and the peg's tip 10 mm above its mouth, both with yaw 0."""
    settings = contact_settings(geometry.clearance)
    spec = mujoco.MjSpec()
    settings.apply(spec)
    add_hole(spec, geometry)
    add_peg(spec, geometry, settings=settings).pos = (0.0, 0.0, geometry.grip_to_tip + 0.010)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def place(model, data, geometry, tip, rotation_vector=(0.0, 0.0, 0.0)) -> None:
    """Put the upright peg's tip at `tip` and turn the peg about its handle; find the contacts."""
    data.qpos[:3] = tip[0], tip[1], tip[2] + geometry.grip_to_tip
    angle = float(np.linalg.norm(rotation_vector))
    axis = np.array(rotation_vector) / angle if angle else np.array([0.0, 0.0, 1.0])
    mujoco.mju_axisAngle2Quat(data.qpos[3:7], axis, angle)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_collision(model, data)


def walls(model) -> list[int]:
    return [g for g in range(model.ngeom) if model.geom(g).name.startswith("hole_wall")]


def hit(model, data, x, y, group) -> float:
    """Height at which a ray going down at (x, y) meets the geoms of one group."""
    groups = np.zeros(6, np.uint8)
    groups[group] = 1
    peg = model.body("peg").id
    distance = mujoco.mj_ray(
        model, data, np.array([x, y, 0.1]), np.array([0.0, 0.0, -1.0]), groups, 1, peg, np.zeros(1, np.int32)
    )
    assert distance >= 0
    return 0.1 - distance


# --- plane geometry ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distance", [0.0, 1e-4, 4e-3])
def test_offset_moves_every_side_by_the_distance(shape, distance):
    polygon = vertices(shape)
    normal, bound = half_planes(polygon)
    moved_normal, moved_bound = half_planes(offset(polygon, distance))
    np.testing.assert_allclose(moved_normal, normal, atol=1e-9)
    np.testing.assert_allclose(moved_bound - bound, distance, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_cross_sections_are_convex_and_as_wide_as_asked(shape):
    polygon = vertices(shape, 0.02)
    normal, bound = half_planes(polygon)
    assert (polygon @ normal.T <= bound + 1e-12).all()
    assert (bound > 0).all()
    if shape == "trapezoid":
        assert np.ptp(polygon[:, 0]) == pytest.approx(0.02)
        assert np.ptp(polygon[:, 1]) == pytest.approx(0.024)
    else:
        np.testing.assert_allclose(bound, 0.01)  # every side touches the inscribed circle


@pytest.mark.parametrize("clearance", [0.1 * MM, 1 * MM, 4 * MM])
def test_trapezoid_fits_one_way_only(clearance):
    ways = [yaw for yaw in range(360) if fits("trapezoid", clearance, np.radians(yaw))]
    assert 0 in ways
    assert all(yaw <= 20 or yaw >= 340 for yaw in ways)


@pytest.mark.parametrize(("shape", "turn"), [("square", 90), ("hexagon", 60), ("trapezoid", 360)])
def test_tight_pegs_fit_only_at_their_symmetry(shape, turn):
    ways = [yaw for yaw in range(360) if fits(shape, 0.1 * MM, np.radians(yaw))]
    assert ways == list(range(0, 360, turn))


def test_round_peg_fits_at_any_yaw_and_nothing_fits_a_smaller_hole():
    assert all(fits("round", 0.01 * MM, yaw) for yaw in np.linspace(0, 2 * np.pi, 50))
    assert not any(fits(shape, -0.01 * MM, 0.0) for shape in SHAPES)


@pytest.mark.parametrize("shape", POLYGONS)
def test_fits_agrees_with_trying_every_place(shape):
    step = 0.2 * MM
    grid = np.arange(-6 * MM, 6 * MM + step, step)
    places = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 2)
    peg = vertices(shape)
    for clearance in (1 * MM, 4 * MM):
        normal, bound = half_planes(offset(peg, clearance))
        for yaw in np.radians([0, 4, 9, 14, 30, 45, 90, 135, 180, 200]):
            c, s = np.cos(yaw), np.sin(yaw)
            corners = places + peg @ np.array([[c, s], [-s, c]])
            found = bool((corners @ normal.T <= bound + 1e-9).all(axis=(1, 2)).any())
            if found:
                assert fits(shape, clearance, yaw)
            elif fits(shape, clearance, yaw):  # room for it, but less than the grid can find
                assert not fits(shape, clearance - step, yaw)


# --- the solid geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clearance", [0.1 * MM, 4 * MM])
def test_every_wall_is_the_clearance_away_from_the_centred_peg(shape, clearance):
    geometry = PegGeometry(shape, clearance=clearance)
    model, data = scene(geometry)
    place(model, data, geometry, (0.0, 0.0, -0.020))
    assert data.ncon == 0
    shaft = model.geom("peg_shaft").id
    gaps = [mujoco.mj_geomDistance(model, data, shaft, wall, 0.1, np.zeros(6)) for wall in walls(model)]
    assert len(gaps) == len(vertices(shape))
    np.testing.assert_allclose(gaps, clearance, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_mouth_chamfer_and_floor_are_where_the_geometry_says(shape):
    geometry = PegGeometry(shape, clearance=1 * MM, chamfer=2 * MM)
    model, data = scene(geometry)
    throat = offset(vertices(shape), geometry.clearance)
    normal, bound = half_planes(throat)
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(-0.049, 0.049, (400, 2)):
        beyond = float((normal @ [x, y] - bound).max())
        expected = -geometry.hole_depth if beyond < 0 else min(beyond - geometry.chamfer, 0.0)
        assert hit(model, data, x, y, COLLISION_GROUP) == pytest.approx(expected, abs=1e-6)
        assert hit(model, data, x, y, 0) == pytest.approx(expected, abs=1e-6)  # seen and felt are the same


def test_hole_without_chamfer_has_a_sharp_edge():
    model, data = scene(PegGeometry("square", clearance=1 * MM, chamfer=0.0))
    assert hit(model, data, 0.01601, 0.0, COLLISION_GROUP) == pytest.approx(0.0, abs=1e-9)
    assert hit(model, data, 0.01599, 0.0, COLLISION_GROUP) == pytest.approx(-0.032, abs=1e-9)


@pytest.mark.parametrize(("yaw", "goes_in"), [(0, True), (90, False), (180, False), (270, False)])
def test_simulated_trapezoid_goes_in_one_way_only(yaw, goes_in):
    geometry = PegGeometry("trapezoid", clearance=4 * MM)
    model, data = scene(geometry)
    free = []
    for x in np.linspace(-0.006, 0.006, 7):
        for y in np.linspace(-0.006, 0.006, 7):
            place(model, data, geometry, (x, y, -0.020), (0.0, 0.0, np.radians(yaw)))
            free.append(data.ncon == 0)
    assert any(free) == goes_in


def test_peg_frames_and_the_hole_moves_with_its_body():
    geometry = PegGeometry("hexagon")
    model, data = scene(geometry)
    tip = data.site("peg_tip")
    np.testing.assert_allclose(tip.xpos, [0, 0, 0.010], atol=1e-12)
    np.testing.assert_allclose(tip.xmat.reshape(3, 3)[:, 2], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(data.site("peg_grip").xpos, data.body("peg").xpos, atol=1e-12)
    model.body("hole").pos[:] = [0.3, 0.1, 0.2]
    model.body("hole").quat[:] = [np.cos(0.3), 0, 0, np.sin(0.3)]
    place(model, data, geometry, (0.3, 0.1, 0.2 - 0.020), (0.0, 0.0, 0.6))
    assert data.ncon == 0
    np.testing.assert_allclose(data.site("hole_top").xpos, [0.3, 0.1, 0.2], atol=1e-12)
    place(model, data, geometry, (0.306, 0.1, 0.2 - 0.020), (0.0, 0.0, 0.6))
    assert data.ncon > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_mass_and_inertia_are_those_of_the_solid(shape):
    geometry = PegGeometry(shape)
    model, _ = scene(geometry)
    length, half = geometry.shaft_length, geometry.width / 2
    if shape == "round":
        area, centre = np.pi * half**2, np.zeros(2)
        second = np.diag([0.25 * half**2, 0.25 * half**2])
    else:  # Green's theorem, triangle by triangle from the origin
        a = vertices(shape)
        b = np.roll(a, -1, axis=0)
        cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        area = cross.sum() / 2
        centre = ((a + b) * cross[:, None]).sum(axis=0) / (6 * area)
        outer = sum(np.outer(p, p) * c for p, c in zip([*a, *b, *(a + b)], np.tile(cross, 3), strict=True))
        second = outer / (24 * area)
    parts = [  # mass, centre, second moment about the origin per mass
        (area * length * DENSITY, [*centre, -(HANDLE[2] + length) / 2], second, length),
        (float(np.prod(HANDLE)) * DENSITY, [0, 0, 0], np.diag(np.square(HANDLE[:2]) / 12), HANDLE[2]),
    ]
    mass = sum(m for m, *_ in parts)
    centre = sum(m * np.array(c) for m, c, *_ in parts) / mass
    moment = np.zeros((3, 3))
    for m, c, plane, height in parts:
        about_origin = np.zeros((3, 3))
        about_origin[:2, :2] = plane
        about_origin[2, 2] = height**2 / 12 + c[2] ** 2
        about_origin[:2, 2] = about_origin[2, :2] = np.array(c[:2]) * c[2]
        moment += m * about_origin
    moment -= mass * np.outer(centre, centre)
    inertia = np.trace(moment) * np.eye(3) - moment

    body = model.body("peg")
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, body.iquat)
    rotation = rotation.reshape(3, 3)
    assert body.mass[0] == pytest.approx(mass)
    assert 0.08 < mass < 0.11
    np.testing.assert_allclose(body.ipos, centre, atol=1e-7)
    np.testing.assert_allclose(rotation @ np.diag(body.inertia) @ rotation.T, inertia, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_few_geoms_are_drawn_and_those_do_not_collide(shape):
    model, _ = scene(PegGeometry(shape))
    hole = model.body("hole").id
    drawn = [g for g in range(model.ngeom) if model.geom_bodyid[g] == hole and model.geom_group[g] == 0]
    assert len(drawn) == 3
    assert not model.geom_contype[drawn].any()
    assert not model.geom_conaffinity[drawn].any()


# --- contact -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_shallow_contacts_are_as_deep_as_they_are(shape):
    geometry = PegGeometry(shape, clearance=0.1 * MM)
    model, data = scene(geometry)
    rng = np.random.default_rng(0)
    normal, _ = half_planes(vertices(shape))
    for i in range(10_000):
        depth = 10 ** rng.uniform(-9, -5)
        if i % 2:
            side = normal[rng.integers(len(normal))]
            place(model, data, geometry, (*(side * (geometry.clearance + depth)), -0.020))
        else:
            turn = (0.0, 0.0, 0.01 * rng.normal())
            place(model, data, geometry, (*rng.uniform(-0.02, 0.02, 2), -depth), turn)
        deepest = -data.contact.dist.min() if data.ncon else 0.0
        assert deepest < depth + 2e-6
        if i % 2 and depth > 1e-6:
            assert deepest > 0.5 * depth


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("clearance", [3 * MM, 1 * MM, 0.1 * MM])
def test_thirty_newtons_sink_in_by_less_than_a_fifth_of_the_clearance(shape, clearance):
    geometry = PegGeometry(shape, clearance=clearance)
    model, data = scene(geometry)
    peg, floor = model.body("peg").id, -geometry.hole_depth
    normal, _ = half_planes(vertices(shape))
    for side in (None, 0, len(normal) // 2):  # down on the floor, or sideways on a wall
        push = np.array([0.0, 0.0, -30.0]) if side is None else np.array([*30.0 * normal[side], -1.0])
        aside = (0.0, 0.0) if side is None else clearance * normal[side]
        mujoco.mj_resetData(model, data)
        place(model, data, geometry, (*aside, floor))
        depths: list[float] = []
        steps = round(0.2 / model.opt.timestep)
        for step in range(steps):
            force = push * min(1.0, 2 * step / steps)
            lever = [0.0, 0.0, 0.6 * floor] - data.xipos[peg]  # the force acts in the hole
            data.xfrc_applied[peg] = [*force, *np.cross(lever, force)]
            mujoco.mj_step(model, data)
            depths += np.maximum(-data.contact.dist, 0.0).tolist()
        assert len(depths) > steps
        assert 0 < np.percentile(depths, 99) <= 0.2 * clearance
        tip = data.site("peg_tip").xpos
        np.testing.assert_allclose(tip, [*aside, floor], atol=0.3 * clearance)  # and it is still there


@pytest.mark.parametrize("clearance", [3 * MM, 0.1 * MM])
@pytest.mark.parametrize("force", [40.0, 70.0])
def test_held_peg_does_not_creep(clearance, force):
    geometry = PegGeometry("trapezoid", clearance=clearance)
    settings = contact_settings(clearance)
    spec = mujoco.MjSpec()
    settings.apply(spec)
    add_peg(spec, geometry, settings=settings)
    for name, side in (("left", 1.0), ("right", -1.0)):
        finger = spec.worldbody.add_body(name=name, pos=(0, side * (HANDLE[1] / 2 + 0.005), 0), gravcomp=1.0)
        finger.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=(0, -side, 0))
        finger.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.010, 0.005, 0.010), mass=0.1, condim=4)
        motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
    spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1="left", name2="right").data[1] = 1.0
    model = spec.compile()
    data = mujoco.MjData(model)
    data.ctrl[:] = force
    data.xfrc_applied[model.body("peg").id, 2] = -10.0
    heights = []
    for _ in range(2):
        for _ in range(round((0.2 if not heights else 1.0) / model.opt.timestep)):
            mujoco.mj_step(model, data)
        heights.append(data.qpos[2 + model.joint("peg_joint").qposadr[0]])
    assert abs(heights[1] - heights[0]) < 0.2 * MM / 5  # a fifth of what five seconds may take


def test_contact_settings_grow_finer_with_the_fit():
    rates = [contact_settings(clearance).physics_rate for clearance, _ in PHYSICS_RATES]
    assert rates == sorted(rates)
    assert all(rate % 200 == 0 for rate in rates)
    assert contact_settings(3 * MM).physics_rate == 400
    asked = contact_settings(3 * MM, physics_rate=4000)
    assert asked.physics_rate == 4000
    assert asked.solref[0] == pytest.approx(2 / 4000)
    spec = mujoco.MjSpec()
    asked.apply(spec)
    assert spec.option.timestep == pytest.approx(1 / 4000)


def test_bad_geometry_is_refused_by_name():
    with pytest.raises(InputError, match=r"peg shape 'hexagn'.*'hexagon'.*round, square, hexagon, trapezoid"):
        PegGeometry("hexagn")
    with pytest.raises(InputError, match="peg shape"):
        vertices("star")
    for name, value in [
        ("clearance", 0.0),
        ("clearance", -0.001),
        ("clearance", 0.0051),
        ("clearance", float("nan")),
        ("chamfer", -0.001),
        ("width", 0.0),
        ("shaft_length", float("inf")),
        ("hole_depth", BLOCK[2]),
    ]:
        with pytest.raises(InputError, match=name):
            PegGeometry(**{name: value})
