"""A station is an arm where it stands: what its driver calls things, what watches it, how far it may move.

`load_station("panda")` reads a shipped one, `load_station("mine.yaml")` one's own. Most parameters are
declared in `robolearn.hardware.settings`; `python -m robolearn.hardware.station` prints the tables of
`docs/stations.md`.

Units are SI, angles in radians, quaternions wxyz, positions in the arm's base frame unless said otherwise.
"""
# ruff: noqa: RUF009 - a declaration is a dataclass field, made by a function

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from robolearn.contract import Action, Camera, Channel, Contract, Offer
from robolearn.errors import InputError, choose
from robolearn.files import replacing
from robolearn.hardware.arm import ArmProfile, arm_names, load_arm
from robolearn.hardware.impedance import REACH
from robolearn.hardware.lens import undistort
from robolearn.hardware.limiter import limiter_parameters
from robolearn.hardware.parameters import (
    flag,
    joint_names,
    joint_numbers,
    mapping,
    mappings,
    plain,
    read,
    tables,
    text,
)
from robolearn.hardware.reading import Section, read_yaml
from robolearn.hardware.settings import (
    ControllerSettings,
    GripperSettings,
    MonitorSettings,
    RecorderSettings,
    StateSettings,
    StationCamera,
    Workspace,
    WrenchSettings,
)

STATIONS = Path(__file__).parent / "stations"

_CHANNELS = (("q", "rad"), ("dq", "rad/s"), ("tau", "N·m"))  # tau is the torque sent last, as in training


@dataclass(frozen=True)
class Station:
    """An arm where it stands.

    Attributes:
        arm: its profile.
        path: the file that this was read from.
    """

    arm: ArmProfile = field(compare=False, repr=False)
    path: Path = field(compare=False)
    name: str = text("Short name of the station; logs carry it.")
    arm_name: str = text("Name of a shipped arm, or path of an arm's file, relative to this one.", key="arm")
    simulated: bool = flag(
        "True for the simulated arm: its cameras are then those of the policy's contract.", default=False
    )
    joint_names: tuple[str, ...] = joint_names(
        "The joints' names in joint states, in the arm's order; also the order of the controller's `joints`.",
        derive=lambda arm, values: arm.joint_names,
        derived="the arm's",
    )
    braked: bool = flag(
        "True if brakes hold the arm as soon as its controller is deactivated.", default=False
    )
    home: tuple[float, ...] = joint_numbers(
        "Posture from which episodes start.",
        "rad",
        -4 * pi,
        4 * pi,
        derive=lambda arm, values: tuple(arm.home.tolist()),
        derived="the arm's",
    )
    controller: ControllerSettings = mapping(ControllerSettings, "Who receives torques.")
    state: StateSettings = mapping(StateSettings, "Where joint states come from.")
    gripper: GripperSettings = mapping(GripperSettings, "The gripper.")
    cameras: tuple[StationCamera, ...] = mappings(StationCamera, "The cameras.")
    workspace: Workspace = mapping(Workspace, "Where the arm may be.")
    wrench: WrenchSettings | None = mapping(
        WrenchSettings, "External force at the wrist, where it is measured.", default=None
    )
    monitor: MonitorSettings = mapping(MonitorSettings, "What the safety monitor accepts.")
    recorder: RecorderSettings = mapping(RecorderSettings, "Where logs go.")

    def check(self, section: Section, arm: ArmProfile) -> None:
        """Raise InputError for what only several values together tell."""
        deactivation = self.controller.deactivation
        if deactivation != "none" and not (arm.compensates_gravity or self.braked):
            raise section.error(
                "controller.deactivation",
                deactivation,
                f"none: without torques the arm {arm.name!r} falls, for it neither compensates its own "
                "gravity nor has brakes (braked: true)",
            )
        for i, q in enumerate(self.home):
            if not arm.q_min[i] <= q <= arm.q_max[i]:
                limits = f"in [{arm.q_min[i]:g}, {arm.q_max[i]:g}], the arm's limits"
                raise section.error(f"home[{i}]", q, limits)
        self._check_cameras(section)
        self._check_ages(section)
        hold = self.monitor.hold
        room = hold.deactivate_within - self.monitor.state_age - 1.0 / self.monitor.rate
        if not hold.ramp_time <= room:
            bound = f"at most {room:.4g} s, what state_age and a tick leave of deactivate_within"
            raise section.error("monitor.hold.ramp_time", hold.ramp_time, bound)
        if not hold.frequency <= REACH / self.hold_delay:
            bound = (
                f"at most {REACH / self.hold_delay:.4g} rad/s: from the arm's motion to the answer to it may "
                f"pass {self.hold_delay:.4g} s, by state.delay, state.rate, controller.command_delay and "
                "monitor.rate"
            )
            raise section.error("monitor.hold.frequency", hold.frequency, bound)

    def _check_cameras(self, section: Section) -> None:
        for i, camera in enumerate(self.cameras):
            if camera.name in [other.name for other in self.cameras[:i]]:
                raise section.error(f"cameras[{i}].name", camera.name, "another than those before it")
            try:
                offered_camera(camera)
            except InputError as error:
                key = f"cameras[{i}].coefficients"
                raise section.error(key, list(camera.coefficients), f"those of a lens: {error}") from error

    def _check_ages(self, section: Section) -> None:
        """What counts as too old must be older than what comes as it should."""
        ages = [("state_age", "a joint state", self.state.delay + 1.0 / self.state.rate)]
        for camera in self.cameras:
            ages.append(("camera_age", f"an image of {camera.name}", camera.delay + 1.0 / camera.rate))
        ages.append(("request_age", "an observation", self._age_at_monitor + 1.0 / min(self._rates)))
        for key, thing, age in ages:
            if not getattr(self.monitor, key) > age:
                bound = f"above {age:.4g} s: by its rate and delay, {thing} becomes as old as that"
                raise section.error(f"monitor.{key}", getattr(self.monitor, key), bound)

    @property
    def may_deactivate(self) -> bool:
        """Whether the controller may be deactivated: the arm stays up without torques."""
        return self.controller.deactivation != "none"

    @property
    def hold_delay(self) -> float:
        """From the arm's motion to the motors' answer to it [s], while it is held.

        Way and period of the joint states, way of the torques, and half a tick: so much a torque that is kept
        for a tick comes late on average (Åström and Wittenmark, Computer-Controlled Systems, 3rd edition,
        Prentice Hall 1997, chapter 8).
        """
        there = self.state.delay + 1.0 / self.state.rate
        return there + self.controller.command_delay + 0.5 / self.monitor.rate

    @property
    def observation_delay(self) -> float:
        """Age of an observation when the policy gets it [s]: that of its oldest part."""
        return max([self.state.delay, *(camera.delay for camera in self.cameras)])

    @property
    def _age_at_monitor(self) -> float:
        """Age of the observation behind a torque when the monitor gets it [s]."""
        return self.observation_delay + self.controller.request_delay

    @property
    def _rates(self) -> tuple[float, ...]:
        """How often something new is to be seen or to be done [Hz]."""
        return (self.monitor.rate, self.state.rate, *(camera.rate for camera in self.cameras))

    def offer(self) -> Offer:
        """What the station offers to a policy, for `Contract.satisfied_by`.

        Raises:
            InputError: the distortion of a camera is that of no lens.
        """
        n = self.arm.n
        channels = [Channel(name, unit, n, per_joint=True) for name, unit in _CHANNELS]
        has_gripper = self.gripper.kind != "none"
        if has_gripper:
            channels.append(Channel("gripper", "m, m/s", 2))
        limiter = limiter_parameters(self.arm, self.monitor.rate)._asdict()
        controller = self.controller
        # A torque is sent for a whole control period, and by its end its observation is that much older.
        slowest = 1.0 / (self.monitor.request_age - self._age_at_monitor)
        return Offer(
            arm=self.arm.name,
            joints=self.arm.joint_names,
            proprioception=tuple(channels),
            cameras=tuple(offered_camera(camera) for camera in self.cameras),
            actions=(Action("torque", n, "N·m", has_gripper),),
            control_rate=(slowest, min(self._rates)),
            filter_rate=(self.monitor.rate, self.monitor.rate),
            limiter={k: tuple(v) if isinstance(v, list) else v for k, v in limiter.items()},
            delays={
                "observation": self.observation_delay,
                "action": controller.request_delay + controller.command_delay,
                # The limiter's loop, there and back: in training, all of it is on the way of the state.
                "state": self.state.delay + controller.command_delay,
            },
        )

    def with_cameras_of(self, contract: Contract) -> Station:
        """The simulated arm's station while it runs a task: its cameras are those that the policy requires.

        Topic, transport, rate and delay of a camera of the same name stay; another one has transport, rate
        and delay of the first. A camera that the file gives a distorting lens keeps its size and intrinsics,
        too, and stands where the policy requires it.

        Raises:
            InputError: the arm is not simulated: then a camera is where it is.
        """
        if not (self.simulated and self.cameras):
            raise InputError(f"station {self.name!r} has the cameras of its file; it is not a simulated one")
        mine = {camera.name: camera for camera in self.cameras}
        cameras = []
        for needed in contract.cameras:
            topic = f"/cameras/{needed.name}/image_raw"
            camera = mine.get(needed.name)
            if camera is not None and camera.distortion != "none":
                place = {key: getattr(needed, key) for key in ("frame", "position", "quaternion")}
                cameras.append(replace(camera, **place))
            else:
                camera = camera or replace(self.cameras[0], topic=topic)
                cameras.append(replace(camera, distortion="none", coefficients=(), **_optics(needed)))
        return replace(self, cameras=tuple(cameras))


def _optics(camera: Camera | StationCamera) -> dict[str, Any]:
    """What a contract's camera and a station's have in common, but for the delay."""
    keys = ("name", "encoding", "width", "height", "fx", "fy", "cx", "cy", "frame", "position", "quaternion")
    return {key: getattr(camera, key) for key in keys}


def offered_camera(camera: StationCamera) -> Camera:
    """A camera as it is after undistortion: a pinhole of the same focal lengths and pose, and of the largest
    image without a gap whose edges the lens reaches everywhere.

    Raises:
        InputError: the distortion's coefficients are those of no lens.
    """
    left, top, right, bottom = _clear_view(camera)
    pinhole = _optics(camera) | dict(
        width=math.floor(right - left + 1e-6),
        height=math.floor(bottom - top + 1e-6),
        cx=camera.cx - left - 0.5,
        cy=camera.cy - top - 0.5,
    )
    return Camera(**pinhole, delay=camera.delay)


def _clear_view(camera: StationCamera) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge [px] of the largest upright view without a gap, after undistortion."""
    right, bottom = camera.width - 0.5, camera.height - 0.5
    if camera.distortion == "none":
        return -0.5, -0.5, right, bottom
    u, v = np.linspace(-0.5, right, 65), np.linspace(-0.5, bottom, 65)
    one = np.ones(65)
    edges = np.array([[-0.5 * one, v], [u, -0.5 * one], [right * one, v], [u, bottom * one]])  # (4, 2, 65)
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    points = (edges.transpose(0, 2, 1) - centre) / focal
    seen = undistort(camera.distortion, camera.coefficients, points) * focal + centre
    return (
        float(seen[0, :, 0].max()),
        float(seen[1, :, 1].max()),
        float(seen[2, :, 0].min()),
        float(seen[3, :, 1].min()),
    )


def station_names() -> tuple[str, ...]:
    """Names of the stations that come with the package; the template, which is for copying, is none."""
    return tuple(sorted(path.stem for path in STATIONS.glob("*.yaml") if path.stem != "template"))


def load_station(name_or_path: str | Path) -> Station:
    """Read a station: one of `station_names()` or the path of a YAML file (it ends in .yaml or .yml).

    Raises:
        InputError: no such station, or a value in the file that cannot be: names file, key, value, range.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        section = read_yaml(Path(name_or_path))
    else:
        section = read_yaml(STATIONS / f"{choose('station', name_or_path, station_names())}.yaml")
    arm = load_arm(_arm_file(section))
    return read(Station, section, arm, {"arm": arm, "path": section.path})


def _arm_file(section: Section) -> str | Path:
    name = section.text("arm")
    if name.endswith((".yaml", ".yml")):
        return section.path.parent / Path(name).expanduser()
    if name not in arm_names():
        known = f"one of {', '.join(arm_names())}, or the path of an arm's YAML file"
        raise section.error("arm", name, known)
    return name


def station_values(station: Station) -> dict[str, Any]:
    """What a station's file says, JSON-like; what is at its default stands there, too."""
    values = plain(station)
    if station.arm_name not in arm_names():
        values["arm"] = str((station.path.parent / Path(station.arm_name).expanduser()).resolve())
    if registry := station.monitor.registry:
        values["monitor"]["registry"] = str((station.path.parent / Path(registry).expanduser()).resolve())
    return values


def save_station(station: Station, path: Path) -> None:
    """Write a station's file; what is at its default is written, too.

    Raises:
        OSError: the file cannot be written; what was there before still is.
    """
    text = yaml.safe_dump(station_values(station), sort_keys=False, allow_unicode=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    print(tables(Station))
