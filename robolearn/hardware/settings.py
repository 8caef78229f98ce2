"""What a station's file says, section by section: every parameter with its unit, range and default.

Each dataclass is one mapping of the file; `robolearn.hardware.station` puts them together and reads them.
"""
# ruff: noqa: RUF009 - a declaration is a dataclass field, made by a function

from __future__ import annotations

from dataclasses import dataclass

from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.lens import LENSES
from robolearn.hardware.limiter import REACTION_TIME
from robolearn.hardware.parameters import (
    Values,
    choice,
    mapping,
    number,
    quaternion,
    text,
    texts,
    vector,
    whole,
)
from robolearn.hardware.reading import Section

CONTROLLERS = (
    "effort_controllers/JointGroupEffortController",
    "forward_command_controller/ForwardCommandController",
)
"""Types of ros2_control's controllers that pass torques on as they are: `std_msgs/Float64MultiArray`."""

DEACTIVATIONS = ("switch_controller", "set_bool", "none")
GRIPPERS = ("none", "action_gripper_command", "action_franka", "topic_float64", "topic_float64_array")


def _deactivation_service(arm: ArmProfile, values: Values) -> str:
    return f"{values['manager']}/switch_controller" if values["deactivation"] == "switch_controller" else ""


@dataclass(frozen=True)
class ControllerSettings:
    """The controller of ros2_control that receives torques."""

    type: str = choice(
        "Type of the controller; one with `interface_name: effort` if it is the forward command controller.",
        CONTROLLERS,
        default=CONTROLLERS[0],
    )
    name: str = text("Name of the controller.", default="effort_controller")
    command_topic: str = text(
        "Topic on which it receives a `std_msgs/Float64MultiArray`, in the order of `joint_names`.",
        derive=lambda arm, values: f"/{values['name']}/commands",
        derived="/NAME/commands",
    )
    manager: str = text("Name of the controller manager's node.", default="/controller_manager")
    deactivation: str = choice(
        "How the controller is deactivated where torques can no longer be trusted: by the controller "
        "manager, by a `std_srvs/SetBool` service, or never. The effort becomes zero, so only an arm that "
        "carries its own weight or is braked may be deactivated; another one falls.",
        DEACTIVATIONS,
    )
    deactivation_service: str = text(
        "Name of that service.",
        derive=_deactivation_service,
        derived="MANAGER/switch_controller; none for `set_bool`",
    )
    request_delay: float = number(
        "From the moment the policy is asked until its torque reaches the monitor.",
        "s",
        0.0,
        0.5,
        default=0.005,
    )
    command_delay: float = number(
        "From the monitor's sending a torque until the motors make it.", "s", 0.0, 0.1, default=0.005
    )

    def check(self, section: Section, arm: ArmProfile) -> None:
        if self.deactivation == "set_bool" and not self.deactivation_service:
            raise section.error("deactivation_service", None, "the name of a std_srvs/SetBool service")


@dataclass(frozen=True)
class StateSettings:
    """Where joint states come from."""

    topic: str = text("Topic of the `sensor_msgs/JointState`.", default="/joint_states")
    rate: float = number("How often a state comes.", "Hz", 40.0, 10_000.0)
    delay: float = number("Age of a state when it arrives.", "s", 0.0, 0.1, default=0.005)


@dataclass(frozen=True)
class StationCamera:
    """A camera of the station."""

    name: str = text("The virtual camera of the policies that it serves: `front`, `wrist`.")
    topic: str = text("Topic of its images.")
    transport: str = choice(
        "`raw` for sensor_msgs/Image, `compressed` for sensor_msgs/CompressedImage.", ("raw", "compressed")
    )
    encoding: str = choice("What a pixel is.", ("rgb8", "depth"), default="rgb8")
    width: int = whole("Width of an image.", "px", 1, 10_000)
    height: int = whole("Height of an image.", "px", 1, 10_000)
    fx: float = number("Focal length along the rows.", "px", 1.0, 100_000.0)
    fy: float = number("Focal length along the columns.", "px", 1.0, 100_000.0)
    cx: float = number("Column of the principal point.", "px", -10_000.0, 20_000.0)
    cy: float = number("Row of the principal point.", "px", -10_000.0, 20_000.0)
    distortion: str = choice("Distortion model, as in sensor_msgs/CameraInfo.", tuple(LENSES), default="none")
    coefficients: tuple[float, ...] = vector(
        "Of the distortion: k1, k2, p1, p2, k3 (plumb_bob) or k1, k2, k3, k4 (equidistant).",
        "-",
        -100.0,
        100.0,
        lambda values: LENSES[values["distortion"]],
    )
    frame: str = choice("What it is mounted to.", ("base", "hand"))
    position: tuple[float, ...] = vector("Of the optical frame in `frame`.", "m", -10.0, 10.0, 3)
    quaternion: tuple[float, ...] = quaternion(
        "Of the optical frame (z forward, x right, y down) in `frame`: w, x, y, z."
    )
    rate: float = number("How often an image comes.", "Hz", 1.0, 1000.0)
    delay: float = number("Age of an image when it arrives, exposure included.", "s", 0.0, 1.0)

    def check(self, section: Section, arm: ArmProfile) -> None:
        if self.encoding == "depth" and self.transport == "compressed":
            raise section.error("transport", self.transport, "raw for a camera whose encoding is depth")


@dataclass(frozen=True)
class Box:
    """A box along the axes of the base frame."""

    low: tuple[float, ...] = vector("Corner with the lowest coordinates.", "m", -10.0, 10.0, 3)
    high: tuple[float, ...] = vector("Corner with the highest coordinates.", "m", -10.0, 10.0, 3)

    def check(self, section: Section, arm: ArmProfile) -> None:
        for i, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not low < high:
                raise section.error(f"high[{i}]", high, f"above low[{i}], which is {low:g}")


@dataclass(frozen=True)
class Workspace:
    """Where the arm may be."""

    grip: Box = mapping(Box, "Where the point between the finger pads may be.")
    links: Box = mapping(Box, "Where any part of any moving link and of the hand may be.")
    self_distance: float = number(
        "Least distance between parts of the arm that are not neighbours.", "m", 0.0, 0.2, default=0.02
    )


@dataclass(frozen=True)
class GripperSettings:
    """How the gripper is commanded and read. It opens and closes by the sign of what a policy asks."""

    kind: str = choice(
        "Action of `control_msgs/GripperCommand`, actions `move` and `grasp` of `franka_msgs`, a topic of "
        "`std_msgs/Float64` or `Float64MultiArray` with the target, or no gripper.",
        GRIPPERS,
    )
    name: str = text(
        "Name of the action or topic; for franka_msgs of the node that has the actions.",
        default="",
    )
    open_width: float = number(
        "Width to which it opens.",
        "m",
        0.0,
        1.0,
        derive=lambda arm, values: arm.gripper.max_width,
        derived="the arm's gripper.max_width",
    )
    closed_width: float = number("Width towards which it closes.", "m", 0.0, 1.0, default=0.0)
    speed: float = number(
        "Rate of the width.",
        "m/s",
        1e-3,
        10.0,
        derive=lambda arm, values: arm.gripper.closing_speed,
        derived="the arm's gripper.closing_speed",
    )
    force: float = number(
        "Force with which it holds.",
        "N",
        0.1,
        10_000.0,
        derive=lambda arm, values: arm.gripper.force,
        derived="the arm's gripper.force",
    )
    command_scale: float = number(
        "What is sent for each metre of width: 1 where the driver wants the width, 0.5 where it wants the "
        "way of one finger.",
        "-",
        1e-3,
        1e6,
        default=1.0,
    )
    state_topic: str = text(
        "Topic of the `sensor_msgs/JointState` that has its fingers.", default="/joint_states"
    )
    state_joints: tuple[str, ...] = texts("Joints whose positions add up to the width.", default=("gripper",))
    state_rate: float = number("How often that state comes.", "Hz", 1.0, 10_000.0, default=30.0)

    def check(self, section: Section, arm: ArmProfile) -> None:
        if not self.closed_width < self.open_width:
            raise section.error("open_width", self.open_width, f"above closed_width, {self.closed_width:g}")
        if self.kind != "none" and not self.name:
            raise section.error("name", None, f"the name that a gripper of kind {self.kind} listens to")


@dataclass(frozen=True)
class WrenchSettings:
    """The external force and torque at the wrist, where they are measured."""

    topic: str = text("Topic of the `geometry_msgs/WrenchStamped`.")
    force_max: float = number("External force that stops the arm.", "N", 0.1, 10_000.0, default=50.0)
    torque_max: float = number("External torque that stops the arm.", "N·m", 0.1, 10_000.0, default=20.0)
    age_max: float = number("Oldest wrench that counts.", "s", 0.005, 1.0, default=0.1)


@dataclass(frozen=True)
class HoldSettings:
    """How the arm is stopped and held."""

    frequency: float = number(
        "Natural frequency of the springs that hold the arm where it came to rest. The dampers that bring it "
        "to rest are critical to them, and both are shaped by the arm's inertia. An unknown load displaces "
        "the joints by the acceleration that it would give them, divided by the square of this.",
        "rad/s",
        1.0,
        100.0,
        default=16.0,
    )
    speed: float = number(
        "Speed of every joint below which the arm counts as at rest and the spring begins to hold.",
        "rad/s",
        1e-3,
        0.5,
        default=0.02,
    )
    ramp_time: float = number(
        "Time in which the torque is led to what carries the arm's weight once the state is too old.",
        "s",
        0.005,
        1.0,
        default=0.05,
    )
    deactivate_within: float = number(
        "Time from the last good joint state to the deactivation of the controller, where that is allowed.",
        "s",
        0.005,
        0.1,
        default=0.1,
    )


@dataclass(frozen=True)
class AssistedSettings:
    """What the authority `assisted` permits."""

    torque_scale: float = number("Share of the requested torque that is sent.", "-", 0.0, 1.0, default=0.5)
    speed_scale: float = number("Share of the speed limits that holds.", "-", 0.01, 1.0, default=0.5)


@dataclass(frozen=True)
class MonitorSettings:
    """What the safety monitor accepts, and what it does otherwise."""

    rate: float = number(
        "Ticks of the monitor and of the limiter: the filter rate of the policies that run here.",
        "Hz",
        1.0 / REACTION_TIME,
        1000.0,
        default=200.0,
    )
    request_age: float = number(
        "Oldest observation from which a torque may come that is being sent.", "s", 0.005, 1.0, default=0.1
    )
    state_age: float = number("Oldest joint state that is acted on.", "s", 0.002, 0.1, default=0.03)
    camera_age: float = number(
        "Oldest image that a camera may have delivered last.", "s", 0.01, 2.0, default=0.2
    )
    frozen_time: float = number(
        "Time for which joint states repeat, while the arm moves, that makes a frozen sensor; three states "
        "at least.",
        "s",
        0.005,
        1.0,
        default=0.025,
    )
    moving_speed: float = number(
        "Speed of any joint above which the arm counts as moving.", "rad/s", 1e-3, 1.0, default=0.05
    )
    future_tolerance: float = number(
        "How far a stamp may lie ahead of the monitor's clock.", "s", 0.0, 0.1, default=0.005
    )
    backwards_tolerance: float = number(
        "How far a stamp may lie before the one received last.", "s", 0.0, 0.1, default=0.0
    )
    position_margin: float = number(
        "Measured positions this close to a published limit, or beyond, stop the arm.",
        "rad",
        0.0,
        0.5,
        default=0.02,
    )
    speed_factor: float = number(
        "Measured speeds above this share of the published limit stop the arm.", "-", 0.05, 1.5, default=1.0
    )
    torque_factor: float = number(
        "Measured torques above this share of the published limit stop the arm.", "-", 0.05, 1.5, default=1.0
    )
    power_factor: float = number(
        "Measured mechanical power above this share of the arm's limiter.power_max stops the arm. Measured "
        "torques hold gravity, which the limiter's bound does not.",
        "-",
        0.05,
        10.0,
        default=2.0,
    )
    heartbeat_timeout: float = number(
        "Silence of the policy's heartbeat after which it counts as lost.", "s", 0.02, 5.0, default=0.3
    )
    watchdog_timeout: float = number(
        "Silence of the monitor's heartbeat after which the watchdog takes the arm.",
        "s",
        0.01,
        0.05,
        default=0.03,
    )
    deadline_misses: int = whole(
        "Ticks in a row, each more than a period late, that stop the arm.", "-", 1, 100, default=3
    )
    registry: str = text(
        "Directory of the registry whose promoted bundles alone may run autonomously; relative to this file. "
        "Without one every bundle may at the simulated arm, and none at a real one.",
        default="",
    )
    hold: HoldSettings = mapping(HoldSettings, "How the arm is stopped and held.")
    assisted: AssistedSettings = mapping(AssistedSettings, "What the authority `assisted` permits.")


@dataclass(frozen=True)
class RecorderSettings:
    """Where logs go."""

    directory: str = text("Where logs are written; `~` is the home directory.", default="~/robolearn-logs")
    split_size: float = number("Size at which a new file is begun.", "MB", 1.0, 100_000.0, default=1000.0)
    flush_interval: float = number("Time between two writes to the disk.", "s", 0.05, 0.5, default=0.5)
