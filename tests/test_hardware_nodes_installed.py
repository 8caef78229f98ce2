"""The tests of the nodes are skipped without rclpy: here it must be told where that may not be."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_rclpy_is_there_wherever_there_are_wheels_of_it() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("no wheels of rclpy for this platform: the nodes are tested on Linux on x86_64")
    missing = [
        name
        for name in ("rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "diagnostic_msgs", "std_srvs")
        if importlib.util.find_spec(name) is None
    ]
    assert not missing, f"{', '.join(missing)} missing: pip install 'robolearn[ros]' (make setup does)"


def test_the_package_is_one_for_ament() -> None:
    """With an address that is none, colcon leaves out the hooks by which ROS finds the package."""
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    (maintainer,) = package.findall("maintainer")
    assert re.fullmatch(r"[-.\w]+@([-\w]+\.)+[a-z]{2,}", maintainer.get("email", ""))
    assert not re.search(r"example|invalid|localhost|todo", maintainer.get("email", ""), re.IGNORECASE)
    assert (ROOT / "resource" / str(package.findtext("name"))).is_file()
