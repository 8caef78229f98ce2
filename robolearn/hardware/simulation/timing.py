"""How long things take between the simulated arm and the others, and how often they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robolearn import checks
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND


@dataclass(frozen=True)
class Shutter:
    """When a camera looks, and when its picture comes.

    Attributes:
        rate: pictures a second [Hz].
        delay: from the shutter to the picture's arrival [s].
    """

    rate: float = 60.0
    delay: float = 0.01

    def __post_init__(self) -> None:
        checks.number("a camera's rate", self.rate, above=0.0)
        checks.number("a camera's delay", self.delay, low=0.0)


@dataclass(frozen=True)
class WireTiming:
    """The wire of a simulated arm.

    From a torque to the state that shows it, both ways together, genuine ros2_control took 10 ms.

    Attributes:
        state_rate: joint states a second [Hz].
        state_delay: from measuring to a joint state's arrival [s].
        command_delay: from sending a torque to the motors' making it [s].
        deactivation_delay: from asking to zero effort [s].
        cameras: by name; the task's cameras that are not named here have the default.
        wrench: whether the force and torque at the wrist are measured and sent, with the joint states.
    """

    state_rate: float = 200.0
    state_delay: float = 0.005
    command_delay: float = 0.005
    deactivation_delay: float = 0.01
    cameras: Mapping[str, Shutter] = field(default_factory=dict)
    wrench: bool = False

    def __post_init__(self) -> None:
        checks.number("state_rate", self.state_rate, above=0.0)
        for name in ("state_delay", "command_delay", "deactivation_delay"):
            checks.number(name, getattr(self, name), low=0.0)


def wire_timing(station: Station) -> WireTiming:
    """Rates and delays as a station has them."""
    return WireTiming(
        state_rate=station.state.rate,
        state_delay=station.state.delay,
        command_delay=station.controller.command_delay,
        cameras={camera.name: Shutter(camera.rate, camera.delay) for camera in station.cameras},
        wrench=station.wrench is not None,
    )


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds of a time [s]."""
    return round(seconds * SECOND)
