"""The simulated arm: a MuJoCo task that behaves, on the wire, as a real arm under ros2_control does."""

from robolearn.hardware.simulation.arm import SimulatedArm
from robolearn.hardware.simulation.judging import Meters, Verdict
from robolearn.hardware.simulation.lenses import lenses
from robolearn.hardware.simulation.sensors import Message
from robolearn.hardware.simulation.timing import Shutter, WireTiming, wire_timing

__all__ = ["Message", "Meters", "Shutter", "SimulatedArm", "Verdict", "WireTiming", "lenses", "wire_timing"]
