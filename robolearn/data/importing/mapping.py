"""A mapping file: which topic of somebody else's log is which channel, where its episodes begin and end.

`robolearn data inspect BAG` proposes one. Parameters are declared as a station's are, so that an unknown key
is refused with the valid ones; `python -m robolearn.data.importing.mapping` prints the tables of
`docs/importing.md`. Logs of our own need none.
"""
# ruff: noqa: RUF009 - a declaration is a dataclass field, made by a function

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robolearn.contract import Contract
from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.hardware.contracts import contract_of, read_contract
from robolearn.hardware.lens import LENSES
from robolearn.hardware.parameters import (
    choice,
    flag,
    joint_names,
    mapping,
    mappings,
    number,
    read,
    tables,
    text,
    texts,
    vector,
)
from robolearn.hardware.reading import Section, read_yaml

SOURCES = ("policy", "teacher", "operator")
CUTS = ("whole", "gap", "topic")
_INTRINSICS = ("fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class StateTopic:
    """Where joint states come from."""

    topic: str = text("Topic of the `sensor_msgs/JointState`, with positions and velocities.")


@dataclass(frozen=True)
class GripperTopics:
    """The gripper: what it measures, and what it was told."""

    topic: str = text(
        "Topic of the `sensor_msgs/JointState` with the fingers; `state.topic` if left out.", default=""
    )
    joints: tuple[str, ...] = texts("The fingers' joints; their positions add up to the width.")
    command: str = text(
        "Topic of what the gripper was told: `std_msgs/Float64` or `Float64MultiArray`, or `Bool` with open "
        "-1 and closed 1. Without one, the width that was measured stands for it.",
        default="",
    )
    open: float = number("Width, or command, of an open gripper.", "m", -1000.0, 1000.0)
    closed: float = number("Width, or command, of a closed one.", "m", -1000.0, 1000.0, default=0.0)


@dataclass(frozen=True)
class TorqueTopics:
    """Torques: `sensor_msgs/JointState` with efforts by name, or `std_msgs/Float64MultiArray` in the order of
    `joint_names`. One is enough; what is not there is worked out from it."""

    requested: str = text("What was asked for, gravity excluded.", default="")
    filtered: str = text("What was let through, gravity excluded.", default="")
    sent: str = text(
        "What the controller got, with gravity unless the arm compensates its own weight.", default=""
    )


@dataclass(frozen=True)
class CameraTopic:
    """A camera. One without intrinsics is taken to be the contract's: its pictures are cropped about their
    centre to the contract's shape and resized."""

    name: str = text("The contract's camera that it serves.")
    topic: str = text("Topic of its `sensor_msgs/Image` or `CompressedImage`.")
    fx: float | None = number("Focal length along the rows.", "px", 1.0, 100_000.0, default=None)
    fy: float | None = number("Focal length along the columns.", "px", 1.0, 100_000.0, default=None)
    cx: float | None = number("Column of the principal point.", "px", -10_000.0, 20_000.0, default=None)
    cy: float | None = number("Row of the principal point.", "px", -10_000.0, 20_000.0, default=None)
    distortion: str = choice("Distortion model, as in sensor_msgs/CameraInfo.", tuple(LENSES), default="none")
    coefficients: tuple[float, ...] = vector(
        "Of the distortion: k1, k2, p1, p2, k3 (plumb_bob) or k1, k2, k3, k4 (equidistant).",
        "-",
        -100.0,
        100.0,
        lambda values: LENSES[values["distortion"]],
    )

    def check(self, section: Section, arm: ArmProfile) -> None:
        """Raise InputError where intrinsics are given in part."""
        missing = [name for name in _INTRINSICS if getattr(self, name) is None]
        if missing and (len(missing) < len(_INTRINSICS) or self.distortion != "none"):
            raise section.error(missing[0], None, "a number, as fx, fy, cx and cy belong together")


@dataclass(frozen=True)
class Cutting:
    """Where episodes begin and end."""

    by: str = choice(
        "`whole`: each log is one; `gap`: a silence of the joint states divides them; `topic`: a "
        "`std_msgs/Bool` says true while one goes on.",
        CUTS,
        default="whole",
    )
    gap: float = number("Silence that divides.", "s", 0.1, 3600.0, default=1.0)
    topic: str = text("The topic that says so.", default="")
    longest: float = number(
        "An episode that lasts longer is cut into pieces.", "s", 1.0, 3600.0, default=120.0
    )

    def check(self, section: Section, arm: ArmProfile) -> None:
        """Raise InputError where the topic is missing."""
        if self.by == "topic" and not self.topic:
            raise section.error("topic", None, "the name of a topic, as by is 'topic'")


@dataclass(frozen=True)
class Judgement:
    """How episodes ended: the log does not say."""

    success: bool = flag("Whether all of them reached their goal.", default=False)
    reason: str = text(
        "Why they ended, in a word; `cut` if nobody knows, and values then go on beyond the end.",
        default="cut",
    )


@dataclass(frozen=True)
class LogMapping:
    """Everything in the file.

    Attributes:
        arm: the contract's.
        requires: the contract.
        path: the file.
    """

    arm: ArmProfile = field(compare=False, repr=False)
    requires: Contract
    path: Path = field(compare=False)
    contract: str = text(
        "What the episodes are to be for: a bundle, or the path of a contract's `.json` file, relative to "
        "this one."
    )
    arm_name: str = text("Path of the arm's file, if it is none of the shipped ones.", default="", key="arm")
    task: str = text("Name of the task.")
    source: str = choice("Who chose the actions.", SOURCES, default="operator")
    stamps: str = choice(
        "`header`: messages say when they were measured; `arrival`: what they say cannot be used, and the "
        "time at which they were recorded stands for it.",
        ("header", "arrival"),
        default="header",
    )
    joint_names: tuple[str, ...] = joint_names(
        "The joints' names in the log, in the arm's order.",
        derive=lambda arm, values: arm.joint_names,
        derived="the arm's",
    )
    command_delay: float = number(
        "From sending a torque until the motors make it.", "s", 0.0, 0.1, default=0.005
    )
    state: StateTopic = mapping(StateTopic, "Joint states.")
    gripper: GripperTopics | None = mapping(GripperTopics, "The gripper.", default=None)
    torque: TorqueTopics | None = mapping(TorqueTopics, "Torques.", default=None)
    cameras: tuple[CameraTopic, ...] = mappings(CameraTopic, "The cameras.")
    episodes: Cutting = mapping(Cutting, "Where episodes begin and end.")
    outcome: Judgement = mapping(Judgement, "How they ended.")

    def check(self, section: Section, arm: ArmProfile) -> None:
        """Raise InputError for what the contract requires and the file does not name."""
        contract = self.requires
        named = {camera.name for camera in self.cameras}
        if missing := [camera.name for camera in contract.cameras if camera.name not in named]:
            raise section.error(
                "cameras", sorted(named), f"all that the contract names: {', '.join(missing)}"
            )
        if len(named) < len(self.cameras):
            raise section.error("cameras", [c.name for c in self.cameras], "a list of cameras, each once")
        channels = {channel.name for channel in contract.proprioception}
        if self.gripper is None and ("gripper" in channels or contract.action.gripper):
            raise section.error("gripper", None, "there, as the contract has a gripper")
        if self.torque is not None and not any(
            (self.torque.requested, self.torque.filtered, self.torque.sent)
        ):
            raise section.error("torque", {}, "one of requested, filtered and sent at least")
        if contract.action.kind != "torque":
            raise section.error("contract", self.contract, "one whose actions are torques")


def read_mapping(path: Path) -> LogMapping:
    """Read a mapping file.

    Raises:
        InputError: it cannot be read, or a value in it cannot be: names file, key, value and range.
    """
    section = read_yaml(path)
    name = section.text("contract")
    contract = read_contract(path.parent / name) if name.endswith(".json") else contract_of(name)
    arm_name = section.text("arm") if "arm" in section else contract.arm
    arm = load_arm(
        path.parent / Path(arm_name).expanduser() if arm_name.endswith((".yaml", ".yml")) else arm_name
    )
    return read(LogMapping, section, arm, {"arm": arm, "requires": contract, "path": path})


if __name__ == "__main__":
    print(tables(LogMapping))
