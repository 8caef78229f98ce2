"""Arm profiles: what is shipped, and what a wrong file is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from robolearn.errors import InputError
from robolearn.hardware.arm import ARMS, arm_names, load_arm
from robolearn.hardware.arm_reading import quaternion_from_rpy

NAMES = ("fr3", "panda")


def write(tmp_path: Path, change: Callable[[dict], None]) -> Path:
    """The Panda's file with a change, under another name."""
    values = yaml.safe_load((ARMS / "panda.yaml").read_text())
    change(values)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_shipped_arms() -> None:
    assert arm_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_complete_and_consistent(name: str) -> None:
    arm = load_arm(name)
    assert arm.name == name
    assert arm.n == 7
    assert arm.joint_names == tuple(f"{name}_joint{i}" for i in range(1, 8))
    for key in ("q_min", "q_max", "dq_max", "ddq_max", "tau_max", "dtau_max", "home", "armature", "damping"):
        values = getattr(arm, key)
        assert values.shape == (7,), key
        assert values.dtype == np.float64, key
        assert np.isfinite(values).all(), key
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.0
    assert (arm.home - arm.q_min > 0.2).all()
    assert (arm.q_max - arm.home > 0.2).all()
    assert [link.joint for link in arm.links] == [None, *arm.joint_names]
    assert any("Franka Control Interface" in source for source in arm.sources)
    assert not arm.interpolates
    assert arm.compensates_gravity
    assert arm.control_period == 0.001


def test_panda_limits_are_frankas() -> None:
    arm = load_arm("panda")
    np.testing.assert_array_equal(arm.q_max, [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
    np.testing.assert_array_equal(arm.q_min, [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
    np.testing.assert_array_equal(arm.dq_max, [2.175] * 4 + [2.61] * 3)
    np.testing.assert_array_equal(arm.ddq_max, [15, 7.5, 10, 12.5, 15, 20, 20])
    np.testing.assert_array_equal(arm.tau_max, [87] * 4 + [12] * 3)
    np.testing.assert_array_equal(arm.dtau_max, [1000] * 7)


def test_fr3_limits_are_frankas() -> None:
    arm = load_arm("fr3")
    np.testing.assert_array_equal(arm.q_max, [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159])
    np.testing.assert_array_equal(arm.q_min, [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159])
    np.testing.assert_array_equal(arm.dq_max, [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
    np.testing.assert_array_equal(arm.ddq_max, [10] * 7)
    np.testing.assert_array_equal(arm.tau_max, [87] * 4 + [12] * 3)


def test_unknown_arm_names_the_choices() -> None:
    with pytest.raises(
        InputError, match=r"unknown arm 'pandas' \(did you mean 'panda'\?\): choose one of fr3, panda"
    ):
        load_arm("pandas")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        load_arm(tmp_path / "none.yaml")


def test_a_third_arm_is_one_file(tmp_path: Path) -> None:
    def change(values: dict) -> None:
        values["name"] = "mine"
        values["joints"]["tau_max"][3] = 40

    arm = load_arm(str(write(tmp_path, change)))
    assert arm.name == "mine"
    assert arm.tau_max[3] == 40.0


def set_in(values: dict, key: str, value: object) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values[int(part) if part.isdigit() else part]  # type: ignore[index]
    if value is None:
        del values[last]
    else:
        values[int(last) if last.isdigit() else last] = value  # type: ignore[index]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("joints.tau_max.2", -3, r"joints\.tau_max\[2\] is -3; it must be a number in \[0\.001, 10000\]"),
        ("joints.tau_max.2", math.nan, r"joints\.tau_max\[2\] is nan; it must be a number"),
        ("joints.tau_max.2", math.inf, r"joints\.tau_max\[2\] is inf; it must be a number"),
        ("joints.tau_max.2", True, r"joints\.tau_max\[2\] is True; it must be a number"),
        ("joints.tau_max.2", "87", r"joints\.tau_max\[2\] is '87'; it must be a number"),
        ("joints.tau_max", [87.0], r"joints\.tau_max is \[87\.0\]; it must be a list of 7 numbers"),
        ("joints.tau_max", 87.0, r"joints\.tau_max is 87\.0; it must be a list of 7 numbers"),
        ("joints.tau_max", None, r"joints\.tau_max is missing; it must be a list of 7 numbers"),
        ("joints.tau", [1.0], r"in joints: unknown key 'tau' .*choose one of names, q_min"),
        ("joints.names.1", "panda_joint1", r"joints\.names is .*; it must be a list of different texts"),
        (
            "joints.q_max.0",
            -3.0,
            r"joints\.q_max\[0\] is -3\.0; it must be above q_min\[0\], which is -2\.8973",
        ),
        ("joints.home.5", -1.0, r"joints\.home\[5\] is -1\.0; it must be in \[-0\.0175, 3\.7525\]"),
        ("joints.names", [], r"joints\.names is \[\]; it must be a list of different texts"),
        ("control.interpolates", "no", r"control\.interpolates is 'no'; it must be true or false"),
        ("control.period", 0, r"control\.period is 0; it must be a number in \[1e-05, 0\.1\]"),
        ("control", 3, r"control is 3; it must be a mapping"),
        ("name", "", r"name is ''; it must be a text that is not empty"),
        ("limiter.tau_margin.6", 12.0, r"limiter\.tau_margin\[6\] is 12\.0; it must be below 12"),
        ("limiter.q_margin.5", 2.0, r"limiter\.q_margin\[5\] is 2\.0; it must be below 1\.885"),
        (
            "links.1.joint",
            "panda_joint2",
            r"links\[1\]\.joint is 'panda_joint2'; it must be 'panda_joint1', the next",
        ),
        ("links.2.joint", None, r"links\[2\]\.joint is None; it must be 'panda_joint2'"),
        ("links.0.name", "hand", r"links\[0\]\.name is 'hand'; it must be another than"),
        ("links.3.mass", 0, r"links\[3\]\.mass is 0; it must be a number in \[1e-06, 1000\]"),
        (
            "links.3.inertia.0",
            1.0,
            r"links\[3\]\.inertia is .*principal moments positive, none above the sum",
        ),
        ("links.3.inertia.0", -1.0, r"links\[3\]\.inertia is .*principal moments positive"),
        (
            "links.3.shapes.0.kind",
            "mesh",
            r"links\[3\]\.shapes\[0\]\.kind is 'mesh'; it must be one of box, cylinder",
        ),
        ("links.3.shapes.0.ends", [0, 0, 0, 0, 0, 0], r"shapes\[0\]\.ends is .*two different points"),
        (
            "links.0.shapes.0.rgba.0",
            255,
            r"links\[0\]\.shapes\[0\]\.rgba\[0\] is 255; it must be a number in \[0, 1\]",
        ),
        (
            "links.3.shapes",
            [],
            r"links\[3\]\.shapes is \[\]; it must be a list of mappings that is not empty",
        ),
        ("gripper.force", 0, r"gripper\.force is 0; it must be a number in \[0\.01, 10000\]"),
        ("gripper.pad", None, r"gripper\.pad is missing; it must be a mapping"),
        ("sources", "me", r"sources is 'me'; it must be a list of different texts"),
        ("colour", "red", r"in the file: unknown key 'colour'"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = write(tmp_path, lambda values: set_in(values, key, value))
    with pytest.raises(InputError, match=message) as error:
        load_arm(path)
    assert str(path) in str(error.value)


def test_a_joint_without_link_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, lambda values: values["links"].pop())
    with pytest.raises(
        InputError, match=r"links is .*; it must be complete: no link has joint 'panda_joint7'"
    ):
        load_arm(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "not valid YAML"),
        ("name: a\nname: b\n", "the key 'name' is written twice"),
        ("", "the file is None; it must be a mapping"),
        ("- 1\n", r"the file is \[1\]; it must be a mapping"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_arm(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        load_arm(path)


def test_rpy_is_urdfs() -> None:
    s = math.sqrt(0.5)
    np.testing.assert_allclose(quaternion_from_rpy((math.pi / 2, 0, 0)), [s, s, 0, 0], atol=1e-15)
    np.testing.assert_allclose(quaternion_from_rpy((0, math.pi / 2, 0)), [s, 0, s, 0], atol=1e-15)
    # First x by a quarter, then the fixed z by a quarter: x -> y, y -> z, z -> x.
    np.testing.assert_allclose(
        quaternion_from_rpy((math.pi / 2, 0, math.pi / 2)), [0.5, 0.5, 0.5, 0.5], atol=1e-15
    )
