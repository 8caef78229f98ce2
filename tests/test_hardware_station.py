"""Stations: what is shipped, what they offer, what a wrong file is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from math import radians, tan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from robolearn.camera import pixel_map
from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.arm import ARMS, ArmProfile, load_arm
from robolearn.hardware.impedance import REACH
from robolearn.hardware.lens import LENSES, distort, undistort
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.model import ArmModel
from robolearn.hardware.parameters import REQUIRED, Parameter, declared, plain, read, tables
from robolearn.hardware.reading import Section
from robolearn.hardware.station import (
    STATIONS,
    Station,
    load_station,
    offered_camera,
    save_station,
    station_names,
)

ROOT = Path(__file__).parent.parent
NAMES = ("fr3", "panda", "sim")
PANDA = load_arm("panda")
UNITS = {"-", "N", "N·m", "N·m/rad", "N·m·s/rad", "Hz", "MB", "m", "m/s", "px", "rad", "rad/s", "s"}


def contract(task: str) -> Contract:
    return Contract.from_json((ROOT / "robolearn/bundles" / task / "contract.json").read_bytes())


def values_of(name: str) -> dict[str, Any]:
    return yaml.safe_load((STATIONS / f"{name}.yaml").read_text())


def put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set a value by its path, such as cameras.0.fx, making sections on the way."""
    *parents, last = path.split(".")
    at: Any = values
    for part in parents:
        at = at[int(part)] if part.isdigit() else at.setdefault(part, {})
    at[last] = value


def parse(values: dict[str, Any], arm: ArmProfile = PANDA) -> Station:
    section = Section(Path("mine.yaml"), "", values)
    return read(Station, section, arm, {"arm": arm, "path": section.path})


def changed(name: str, path: str, value: Any, arm: ArmProfile = PANDA) -> Station:
    values = values_of(name)
    put(values, path, value)
    return parse(values, arm)


def falling() -> ArmProfile:
    return replace(PANDA, compensates_gravity=False)


# What is shipped


def test_shipped_stations() -> None:
    assert station_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_station_is_complete(name: str) -> None:
    station = load_station(name)
    assert station.name == name
    assert station.arm.name == ("panda" if name == "sim" else name)
    assert station.path == STATIONS / f"{name}.yaml"
    assert station.joint_names == station.arm.joint_names
    assert station.home == tuple(station.arm.home)
    assert station.may_deactivate
    assert station.simulated == (name == "sim")
    assert station.monitor.hold.frequency * station.hold_delay < REACH
    for box in (station.workspace.grip, station.workspace.links):
        assert (np.array(box.low) < np.array(box.high)).all()


@pytest.mark.parametrize("name", NAMES)
def test_home_is_a_place_where_the_arm_may_be(name: str) -> None:
    station = load_station(name)
    model = ArmModel(station.arm)
    frames = model.frames(np.array(station.home)[None])
    low, high = model.extent(model.capsules(frames))
    grip = model.grip(frames)[0, :3, 3]
    box = station.workspace
    assert ((box.grip.low < grip) & (grip < box.grip.high)).all()
    assert ((box.links.low < low) & (high < box.links.high)).all()
    assert model.self_distance(model.capsules(frames))[0] > box.self_distance


@pytest.mark.parametrize("task", ["grasp", "peg-insertion"])
def test_simulated_arm_satisfies_shipped_policies(task: str) -> None:
    needed = contract(task)
    assert needed.satisfied_by(load_station("sim").with_cameras_of(needed).offer()) == []


def test_simulated_arm_has_the_cameras_of_the_grasp_task() -> None:
    station, needed = load_station("sim"), contract("grasp")
    assert needed.satisfied_by(station.offer()) == []
    assert station.with_cameras_of(needed) == station
    tolerant = [replace(c, position_tolerance=0.02, rotation_tolerance=radians(3)) for c in needed.cameras]
    assert list(station.offer().cameras) == tolerant


def test_station_under_the_shipped_grasp_policy_has_no_gap() -> None:
    assert contract("grasp").satisfied_by(load_station("panda").offer()) == []


def test_another_task_needs_cameras_mounted_elsewhere() -> None:
    gaps = contract("peg-insertion").satisfied_by(load_station("panda").offer())
    assert [gap.thing for gap in gaps] == [
        "camera front position",
        "camera front rotation",
        "camera wrist rotation",
    ]


def test_policy_of_another_arm_is_refused_by_name_and_joints_alone() -> None:
    gaps = contract("grasp").satisfied_by(load_station("fr3").offer())
    assert [gap.thing for gap in gaps] == ["arm", "joints"]


def test_template_needs_nothing_but_an_arm(tmp_path: Path) -> None:
    text = (STATIONS / "template.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"mine.yaml: arm is 'FILL_IN'; it must be one of fr3, panda, or the"
    ):
        load_station(path)
    for arm in ("panda", "fr3"):
        path.write_text(text.replace("FILL_IN", arm))
        assert load_station(path).arm.name == arm


def test_every_example_in_the_template_is_valid() -> None:
    lines = []
    for line in (STATIONS / "template.yaml").read_text().replace("FILL_IN", "panda").splitlines():
        bare = line.lstrip()
        first = bare[2:].split(":")[0].strip("- ") if bare.startswith("# ") else ""
        is_example = first.isidentifier() and ":" in bare
        nested = bare.startswith("#  ")
        lines.append(line.replace("# ", "", 1) if is_example or nested else line)
    text = "\n".join(lines).replace("    # encoding", "    encoding")
    values = yaml.safe_load(text)
    values["joint_names"], values["home"] = list(PANDA.joint_names), PANDA.home.tolist()
    station = parse(values)
    assert station.wrench is not None
    assert station.cameras[0].encoding == "rgb8"
    assert station.monitor.assisted.torque_scale == 0.5


def test_station_with_an_arm_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "arm.yaml").write_text((ARMS / "panda.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text((STATIONS / "template.yaml").read_text().replace("FILL_IN", "arm.yaml"))
    station = load_station(path)
    (tmp_path / "elsewhere").mkdir()
    save_station(station, tmp_path / "elsewhere" / "copy.yaml")
    again = load_station(str(tmp_path / "elsewhere" / "copy.yaml"))
    assert again.arm_name == str((tmp_path / "arm.yaml").resolve())
    assert replace(again, arm_name="arm.yaml") == station


def test_unknown_station() -> None:
    with pytest.raises(InputError, match=r"unknown station 'pand' \(did you mean 'panda'\?\)"):
        load_station("pand")


# Declarations and documentation


def every_parameter(cls: type = Station, path: str = "") -> list[tuple[str, Parameter]]:
    found = []
    for name, parameter in declared(cls).items():
        where = f"{path}{parameter.key or name}"
        found.append((where, parameter))
        if parameter.inner is not None:
            found += every_parameter(parameter.inner, where + ".")
    return found


def test_every_parameter_says_what_it_is() -> None:
    for where, parameter in every_parameter():
        assert parameter.about.endswith("."), where
        assert "|" not in parameter.about, where
        assert bool(parameter.derived) == (parameter.derive is not None), where
        if "number" in parameter.words:
            assert parameter.unit in UNITS, where  # "-" is written on purpose where there is none
            assert parameter.low < parameter.high, where
        else:
            assert parameter.unit == "", where
        assert parameter.inner is None or is_dataclass(parameter.inner), where


def test_every_field_is_declared() -> None:
    def classes(cls: type) -> set[type]:
        inner = [p.inner for p in declared(cls).values() if p.inner is not None]
        return {cls}.union(*(classes(one) for one in inner))

    for cls in classes(Station) - {Station}:
        assert list(declared(cls)) == [f.name for f in fields(cls)]
    assert {f.name for f in fields(Station)} - set(declared(Station)) == {"arm", "path"}


def test_defaults_lie_in_their_ranges() -> None:
    for where, parameter in every_parameter():
        default = parameter.default
        if parameter.unit and default is not REQUIRED:
            for value in default if isinstance(default, tuple) else (default,):
                assert parameter.low <= value <= parameter.high, where
        if parameter.choices and default is not REQUIRED:
            assert default in parameter.choices, where


def test_page_has_the_tables_of_the_declarations() -> None:
    page = (ROOT / "docs/stations.md").read_text()
    assert page.split("<!-- tables -->\n")[1].strip() == tables(Station).strip(), (
        "docs/stations.md is old: `python -m robolearn.hardware.station` prints what goes below its mark"
    )
    assert "(stations.md)" in (ROOT / "docs/index.md").read_text()


# Wrong files


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("monitor.rate", 20, "monitor.rate is 20; it must be a number in [40, 1000]"),
        ("monitor.rate", None, None),
        ("monitor.hold.speed", 2, "monitor.hold.speed is 2; it must be a number in [0.001, 0.5]"),
        (
            "monitor.frozen_time",
            2.5,
            "monitor.frozen_time is 2.5; it must be a number in [0.005, 1]",
        ),
        ("monitor.requst_age", 0.1, "in monitor: unknown key 'requst_age' (did you mean 'request_age'?)"),
        ("controler", {}, "in the file: unknown key 'controler' (did you mean 'controller'?)"),
        (
            "controller.type",
            "effort",
            "controller.type is 'effort'; it must be one of effort_controllers/Joint",
        ),
        (
            "controller.deactivation_service",
            None,
            "deactivation_service is None; it must be the name of a std_srvs",
        ),
        ("state.rate", "200 Hz", "state.rate is '200 Hz'; it must be a number in [40, 10000]"),
        ("braked", 1, "braked is 1; it must be true or false"),
        ("home", [0.0] * 7, "home[3] is 0.0; it must be in [-3.0718, -0.0698], the arm's limits"),
        ("home", [0.0] * 6, "it must be a list of 7 numbers, each a number in [-12.5664, 12.5664]"),
        ("joint_names", ["a"] * 7, "it must be a list of different texts"),
        ("joint_names", ["a"], "it must be a list of 7 different texts, one for each joint"),
        ("monitor.hold.frequency", 0, "monitor.hold.frequency is 0; it must be a number in [1, 100]"),
        (
            "monitor.hold.frequency",
            21,
            "monitor.hold.frequency is 21.0; it must be at most 20.57 rad/s: from the arm's motion",
        ),
        (
            "controller.command_delay",
            0.02,
            "monitor.hold.frequency is 16.0; it must be at most 11.08 rad/s: ",
        ),
        ("monitor.hold.ramp_time", 0.2, "ramp_time is 0.2; it must be at most 0.065 s, what state_age"),
        ("cameras.1.name", "front", "cameras[1].name is 'front'; it must be another than those before it"),
        ("cameras.0.frame", "world", "cameras[0].frame is 'world'; it must be one of base, hand"),
        (
            "cameras.0.distortion",
            "plumb_bob",
            "cameras[0].coefficients is missing; it must be a list of 5 numbers",
        ),
        ("cameras.0.quaternion", [1, 1, 1, 1], "it must be (w, x, y, z) of norm 1"),
        ("cameras.0.width", 0, "cameras[0].width is 0; it must be a number in [1, 10000]"),
        ("workspace.grip.low", [0.2, 0.5, 0.0], "workspace.grip.high[1] is 0.45; it must be above low[1]"),
        ("workspace", None, "workspace.grip.low is missing; it must be a list of 3 numbers"),
        (
            "gripper.kind",
            "suction",
            "gripper.kind is 'suction'; it must be one of none, action_gripper_command",
        ),
        (
            "gripper.name",
            None,
            "gripper.name is None; it must be the name that a gripper of kind topic_float64",
        ),
        ("gripper.closed_width", 0.1, "gripper.open_width is 0.08; it must be above closed_width, 0.1"),
        ("wrench", {"force_max": 20}, "wrench.topic is missing; it must be a text"),
        (
            "monitor.state_age",
            0.008,
            "monitor.state_age is 0.008; it must be above 0.01 s: by its rate and delay",
        ),
        (
            "monitor.request_age",
            0.02,
            "request_age is 0.02; it must be above 0.03167 s: by its rate and delay, an",
        ),
        (
            "cameras.1.delay",
            0.5,
            "camera_age is 0.2; it must be above 0.5167 s: by its rate and delay, an image of w",
        ),
    ],
)
def test_wrong_file(path: str, value: Any, complaint: str | None) -> None:
    if complaint is None:
        changed("sim", path, value)
        return
    with pytest.raises(InputError) as caught:
        changed("sim", path, value)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: ")


def test_lens_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"cameras\[0\].coefficients is \[-50.0, .*\]; it must be those of a lens"
    ):
        changed("panda", "cameras.0.coefficients", [-50, 0, 0, 0, 0])


def test_depth_is_not_compressed() -> None:
    with pytest.raises(InputError, match=r"cameras\[0\].transport is 'compressed'; it must be raw"):
        changed("panda", "cameras.0.encoding", "depth")


@pytest.mark.parametrize("how", ["set_bool", "switch_controller"])
def test_arm_that_would_fall_is_never_deactivated(how: str) -> None:
    with pytest.raises(
        InputError, match=r"mine.yaml: controller.deactivation is '.*'; it must be none: .* falls"
    ):
        changed("sim", "controller.deactivation", how, falling())
    assert not changed("sim", "controller.deactivation", "none", falling()).may_deactivate
    values = values_of("sim")
    put(values, "controller.deactivation", how)
    put(values, "braked", True)
    assert parse(values, falling()).may_deactivate


def test_names_follow_from_names() -> None:
    values = values_of("panda")
    values["controller"] = {"name": "torque", "manager": "/left/manager", "deactivation": "switch_controller"}
    controller = parse(values).controller
    assert controller.command_topic == "/torque/commands"
    assert controller.deactivation_service == "/left/manager/switch_controller"


# Reading what was written


def strategy(parameter: Parameter, n: int) -> st.SearchStrategy[Any]:
    """Values of a parameter that is a number, a list of them, a flag or a choice."""
    numbers = st.floats(parameter.low, parameter.high)
    if parameter.choices:
        return st.sampled_from(parameter.choices)
    return {
        "number": numbers,
        "whole number": st.integers(int(parameter.low), int(parameter.high)),
        "true or false": st.booleans(),
        "a number for each joint": st.lists(numbers, min_size=n, max_size=n),
    }.get(parameter.words, st.none())


# What lies in its range each on its own and may be refused together is chosen from where it is not.
APART = {
    "monitor.state_age": st.floats(0.05, 0.06),
    "monitor.request_age": st.floats(0.95, 1.0),
    "monitor.camera_age": st.floats(1.95, 2.0),
    "monitor.hold.ramp_time": st.floats(0.005, 0.01),
    "monitor.hold.deactivate_within": st.just(0.1),
    "monitor.hold.frequency": st.floats(1.0, 2.0),
    "state.delay": st.floats(0.0, 0.02),
    "controller.request_delay": st.floats(0.0, 0.2),
    "gripper.open_width": st.floats(0.5, 1.0),
    "gripper.closed_width": st.floats(0.0, 0.05),
    "home": st.just(PANDA.home.tolist()),
}


@st.composite
def stations(draw: st.DrawFn) -> dict[str, Any]:
    values = values_of("sim")
    for where, parameter in every_parameter():
        if where.startswith(("cameras", "workspace", "wrench")) or draw(st.booleans()):
            continue
        value = draw(APART[where] if where in APART else strategy(parameter, PANDA.n))
        if value is not None:
            put(values, where, value)
    for where in APART:
        if where.startswith("monitor"):
            put(values, where, draw(APART[where]))
    for camera in values["cameras"]:
        camera["position"] = draw(st.lists(st.floats(-10, 10), min_size=3, max_size=3))
        camera["rate"], camera["delay"] = draw(st.floats(2.5, 1000)), draw(st.floats(0, 0.2))
        camera["fx"] = draw(st.floats(1.0, 1e5))
    if draw(st.booleans()):
        values["wrench"] = {"topic": draw(st.text("abc/", min_size=1)), "age_max": draw(st.floats(0.005, 1))}
    return values


@given(stations())
@settings(max_examples=25, deadline=None)
def test_any_station_in_range_is_read_and_comes_back(values: dict[str, Any]) -> None:
    station = parse(values)
    assert parse(yaml.safe_load(yaml.safe_dump(plain(station)))) == station
    low, high = station.offer().control_rate
    assert 0.0 < low <= high


@pytest.mark.parametrize("name", NAMES)
def test_saved_station_is_the_same(name: str, tmp_path: Path) -> None:
    station = load_station(name)
    save_station(station, tmp_path / "copy.yaml")
    assert load_station(tmp_path / "copy.yaml") == station


# Offers


def test_offer_is_of_the_arm_and_of_the_filter_rate() -> None:
    offer = changed("sim", "monitor.rate", 400.0).offer()
    assert offer.filter_rate == (400.0, 400.0)
    expected = limiter_parameters(PANDA, 400.0)
    assert offer.limiter["tau_max"] == tuple(expected.tau_max)
    assert offer.limiter["reaction_ticks"] == expected.reaction_ticks == 10.0
    assert set(offer.limiter) == set(expected._fields)
    assert [gap.thing for gap in contract("grasp").satisfied_by(offer)] == [
        "filter_rate",
        "limiter reaction_ticks",
    ]


def test_offered_delays_are_those_of_the_whole_way() -> None:
    values = values_of("sim")
    for path, value in (
        ("state.delay", 0.003),
        ("controller.request_delay", 0.007),
        ("controller.command_delay", 0.004),
        ("cameras.1.delay", 0.03),
    ):
        put(values, path, value)
    offer = parse(values).offer()
    assert offer.delays == {
        "observation": 0.03,
        "action": pytest.approx(0.011),
        "state": pytest.approx(0.007),
    }
    assert offer.control_rate == (pytest.approx(1 / (0.1 - 0.03 - 0.007)), 60.0)
    gaps = [gap.thing for gap in contract("grasp").satisfied_by(offer)]
    assert gaps == ["camera wrist delay", "delay observation"]


def test_arm_without_gripper_offers_none() -> None:
    station = changed("sim", "gripper", {"kind": "none"})
    gaps = [gap.thing for gap in contract("grasp").satisfied_by(station.offer())]
    assert gaps == ["channel gripper", "gripper"]


def test_joints_are_offered_by_the_arms_names() -> None:
    wire = [f"left_{name}" for name in PANDA.joint_names]
    station = changed("sim", "joint_names", wire)
    assert station.joint_names == tuple(wire)
    assert contract("grasp").satisfied_by(station.offer()) == []


def test_only_a_simulated_arm_has_the_cameras_that_it_is_asked_for() -> None:
    with pytest.raises(InputError, match="station 'panda' has the cameras of its file"):
        load_station("panda").with_cameras_of(contract("grasp"))


def test_simulated_arm_shows_further_cameras() -> None:
    needed = contract("grasp")
    side = replace(needed.cameras[0], name="side", width=80)
    station = load_station("sim").with_cameras_of(replace(needed, cameras=(side,)))
    assert [camera.name for camera in station.cameras] == ["side"]
    assert station.cameras[0].topic == "/cameras/side/image_raw"
    assert station.cameras[0].width == 80


# Lenses

COEFFICIENTS = {
    "plumb_bob": (-0.28, 0.09, 0.0006, -0.0004, -0.012),
    "equidistant": (-0.02, 0.004, -0.003, 0.0005),
}


def straight(model: str, points: np.ndarray) -> np.ndarray:
    coefficients = np.array(COEFFICIENTS[model])
    solve = cv2.fisheye.undistortPoints if model == "equidistant" else cv2.undistortPoints
    return solve(points.reshape(-1, 1, 2), np.eye(3), coefficients).reshape(-1, 2)


@pytest.mark.parametrize("model", COEFFICIENTS)
def test_lens_is_opencvs(model: str) -> None:
    reach = 0.9 if model == "equidistant" else 0.5
    grid = np.stack(np.meshgrid(np.linspace(-reach, reach, 9), np.linspace(-reach, reach, 9)), -1).reshape(
        -1, 2
    )
    seen = undistort(model, COEFFICIENTS[model], grid)
    np.testing.assert_allclose(distort(model, COEFFICIENTS[model], seen), grid, atol=1e-9)
    solid = np.c_[seen, np.ones(len(seen))].reshape(-1, 1, 3)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    zero = np.zeros(3)
    shown, _ = project(solid, zero, zero, np.eye(3), np.array(COEFFICIENTS[model]))
    np.testing.assert_allclose(shown.reshape(-1, 2), grid, atol=1e-9)


def test_lens_without_distortion_and_unknown_lens() -> None:
    points = np.array([[0.1, -0.2]])
    np.testing.assert_array_equal(distort("none", (), points), points)
    np.testing.assert_array_equal(undistort("none", (), points), points)
    for function in (distort, undistort):
        with pytest.raises(InputError, match="unknown distortion model 'brown'"):
            function("brown", (), points)


@pytest.mark.parametrize(("model", "first"), [("plumb_bob", -5.0), ("equidistant", -1.0)])
def test_coefficients_of_no_lens(model: str, first: float) -> None:
    with pytest.raises(InputError, match="bends the image back upon itself"):
        undistort(model, (first, *[0.0] * (LENSES[model] - 1)), np.array([[0.9, 0.9]]))


@pytest.mark.parametrize("model", COEFFICIENTS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_offered_image_is_filled_by_the_raw_one_and_no_smaller_than_need_be(model: str, sign: float) -> None:
    station = load_station("panda")
    camera = replace(
        station.cameras[0],
        distortion=model,
        coefficients=tuple(sign * c for c in COEFFICIENTS[model]),
        fx=500.0,
        fy=510.0,
        cx=300.0,
        cy=250.0,
    )
    offered = offered_camera(camera)
    u, v = np.meshgrid(
        np.linspace(-0.5, offered.width - 0.5, 50), np.linspace(-0.5, offered.height - 0.5, 50)
    )
    points = np.stack(((u - offered.cx) / offered.fx, (v - offered.cy) / offered.fy), -1)
    raw = distort(model, camera.coefficients, points) * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    right, bottom = camera.width - 0.5, camera.height - 0.5
    slack = 0.3 if model == "plumb_bob" else 0.01  # between the 65 points of an edge
    assert raw[..., 0].min() > -0.5 - slack
    assert raw[..., 1].min() > -0.5 - slack
    assert raw[..., 0].max() < right + slack
    assert raw[..., 1].max() < bottom + slack
    assert min(raw[:, 0, 0].min() + 0.5, right - raw[:, -1, 0].max()) < 1.5  # it touches a side


def test_pinhole_is_offered_as_it_is() -> None:
    camera = load_station("sim").cameras[0]
    offered = offered_camera(camera)
    assert (offered.width, offered.height, offered.cx, offered.cy) == (64, 64, 31.5, 31.5)
    assert offered.fovy == pytest.approx(2 * np.arctan(32 / camera.fy))
    np.testing.assert_allclose(pixel_map(contract("grasp").cameras[0], offered), np.eye(3), atol=1e-12)


def test_fisheye_sees_as_far_as_it_does() -> None:
    camera = replace(load_station("panda").cameras[1], coefficients=(0.0, 0.0, 0.0, 0.0))
    offered = offered_camera(camera)
    assert offered.height == int(2 * camera.fy * tan(240 / camera.fy))


# The trusted process


def test_station_needs_nothing_heavy() -> None:
    code = (
        "import sys, robolearn.hardware.station as s; s.load_station('sim').offer(); "
        "print([m for m in ('torch', 'numba', 'mujoco', 'scipy', 'cv2', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_change_of_a_copy_leaves_the_original(tmp_path: Path) -> None:
    station = load_station("sim")
    values = plain(station)
    values["cameras"][0]["position"][0] = 9.0
    assert station.cameras[0].position[0] == 0.92
