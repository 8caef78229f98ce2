"""Pictures as large as real cameras make them, from process to process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from robolearn.hardware.nodes import large_messages
from robolearn.hardware.nodes.large_messages import PROFILE, VARIABLES, make_room

ROOT = Path(__file__).parents[1]
FRAMES = 40

CAMERAS = f"""
import os, time
from array import array
from robolearn.hardware.nodes.large_messages import make_room
make_room()
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("cameras")
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
publishers = [node.create_publisher(Image, topic, qos) for topic in ("/left", "/right")]
image = Image(height=480, width=640, encoding="rgb8", step=1920)
image.data = array("B", os.urandom(480 * 1920))
deadline = time.monotonic() + 30.0
while any(p.get_subscription_count() == 0 for p in publishers) and time.monotonic() < deadline:
    time.sleep(0.05)
time.sleep(0.5)
for _ in range({FRAMES}):
    for publisher in publishers:
        publisher.publish(image)
    time.sleep(1 / 30)
time.sleep(2.0)
"""


def test_the_profile_is_one_and_is_shipped() -> None:
    space = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
    tree = ElementTree.parse(PROFILE)
    assert [int(size.text or 0) for size in tree.iter(f"{space}segment_size")] == [16 * 2**20]
    for file in ("pyproject.toml", "setup.py"):
        assert "hardware/nodes/*.xml" in (ROOT / file).read_text(), file


def test_who_names_a_profile_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    make_room()
    assert environment == dict.fromkeys(VARIABLES, str(PROFILE))
    environment.clear()
    environment[VARIABLES[0]] = "mine.xml"
    make_room()
    assert environment == {VARIABLES[0]: "mine.xml"}


def test_the_path_for_a_cameras_driver() -> None:
    command = [sys.executable, "-m", large_messages.__name__]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()) == PROFILE


@pytest.mark.ros
def test_no_picture_of_two_real_cameras_is_lost() -> None:
    pytest.importorskip("rclpy")
    from deploying import domain
    from sensor_msgs.msg import Image

    from robolearn.hardware.nodes.background import BackgroundNode
    from robolearn.hardware.nodes.common import SENSOR

    own = domain()
    counts = {"/left": 0, "/right": 0}
    background = BackgroundNode("watcher", domain=own)

    def see(topic: str, message: Image) -> None:
        counts[topic] += 1

    for topic in counts:
        background.node.create_subscription(Image, topic, lambda m, topic=topic: see(topic, m), SENSOR)
    background.start()
    environment = {
        **{key: value for key, value in os.environ.items() if key not in VARIABLES},
        "ROS_DOMAIN_ID": str(own),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    subprocess.run([sys.executable, "-c", CAMERAS], env=environment, check=True, timeout=120.0)
    deadline = time.monotonic() + 5.0
    while min(counts.values()) < FRAMES and time.monotonic() < deadline:
        time.sleep(0.05)
    background.close()
    assert counts == {"/left": FRAMES, "/right": FRAMES}
