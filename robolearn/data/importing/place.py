"""What has to be known of the station where a log was recorded: what is called what, and its cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.alignment import Wiring
from robolearn.hardware.arm import ArmProfile, arm_names, load_arm
from robolearn.hardware.parameters import read
from robolearn.hardware.reading import Section
from robolearn.hardware.settings import ControllerSettings, GripperSettings, StateSettings, StationCamera
from robolearn.hardware.station import Station


@dataclass(frozen=True)
class Place:
    """A station, as far as its logs are concerned.

    Attributes:
        name: of the station.
        arm: its profile.
        joint_names: the joints' names in joint states, in the arm's order.
        states: topics of joint states, the arm's and the gripper's.
        fingers: joints whose positions add up to the gripper's width.
        command_delay: from sending a torque until the motors make it [s].
        cameras: the physical ones.
    """

    name: str
    arm: ArmProfile
    joint_names: tuple[str, ...]
    states: tuple[str, ...]
    fingers: tuple[str, ...]
    command_delay: float
    cameras: tuple[StationCamera, ...]

    @classmethod
    def of(cls, station: Station) -> Place:
        """That of a station whose file is at hand."""
        return cls._make(
            station.name,
            station.arm,
            station.joint_names,
            (station.state, station.gripper, station.controller),
            station.cameras,
        )

    @classmethod
    def described(cls, path: Path, setup: Mapping[str, Any]) -> Place:
        """That which a log of our own describes. What matters only to who moves the arm is not read: it may
        be of another version.

        Args:
            path: of the log, for complaints.
            setup: the station, as `station_values` gives it.

        Raises:
            InputError: a value that cannot be, or an arm's file that is not here.
        """
        section = Section(path, "station", dict(setup))
        name = section.text("arm")
        if name not in arm_names() and not Path(name).is_file():
            known = ", ".join(arm_names())
            raise section.error("arm", name, f"one of {known}, or a file that is here; else give --station")
        arm = load_arm(name if name in arm_names() else Path(name))
        settings = (
            read(StateSettings, section.section("state"), arm),
            read(GripperSettings, section.section("gripper"), arm),
            read(ControllerSettings, section.section("controller"), arm),
        )
        entries = section.sections("cameras") if "cameras" in section else []
        cameras = tuple(read(StationCamera, entry, arm) for entry in entries)
        joints = section.texts("joint_names") if "joint_names" in section else arm.joint_names
        if len(joints) != arm.n:
            raise section.error("joint_names", list(joints), f"a list of {arm.n} names")
        return cls._make(section.text("name"), arm, joints, settings, cameras)

    @classmethod
    def _make(
        cls,
        name: str,
        arm: ArmProfile,
        joint_names: tuple[str, ...],
        settings: tuple[StateSettings, GripperSettings, ControllerSettings],
        cameras: tuple[StationCamera, ...],
    ) -> Place:
        state, gripper, controller = settings
        states = dict.fromkeys([state.topic])
        if gripper.kind != "none":
            states[gripper.state_topic] = None
        return cls(
            name, arm, joint_names, tuple(states), gripper.state_joints, controller.command_delay, cameras
        )

    def wiring(self, contract: Contract) -> Wiring:
        """Where a contract's parts are found here.

        Raises:
            InputError: the contract is for another arm, or names a camera that is not here.
        """
        if contract.arm != self.arm.name:
            arm = self.arm.name
            raise InputError(f"the contract is for arm {contract.arm!r}; station {self.name!r} has {arm!r}")
        there = {camera.name: camera for camera in self.cameras}
        if missing := [camera.name for camera in contract.cameras if camera.name not in there]:
            lacking = ", ".join(missing)
            raise InputError(f"station {self.name!r} has no camera {lacking}, which the contract names")
        names = dict(zip(self.arm.joint_names, self.joint_names, strict=True))
        return Wiring(
            tuple(names[joint] for joint in contract.joints),
            self.fingers,
            self.command_delay,
            tuple(there[camera.name] for camera in contract.cameras),
        )
