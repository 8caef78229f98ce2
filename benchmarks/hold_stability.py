"""How late the hold may answer: the largest eigenvalue of its loop over random postures, as the delay grows.

    python benchmarks/hold_stability.py
    python benchmarks/hold_stability.py --postures 400 --json

At every posture the arm is linear, M q'' = torque - friction q'. A torque is kept for a tick of 5 ms, and
answers the state that the arm had `delay` before. Printed is the largest magnitude, over all postures, of an
eigenvalue of this loop's exact discretisation, per tick: below 1 the arm comes to rest, above it swings more
and more. A mode that comes to rest like its spring has exp(-5 ms * 16/s) = 0.923. What the limiter's rate
does is no part of this; see `tests/test_hardware_impedance.py` and `tests/test_hardware_hold.py`. Below
it stands by how much the spring gives way to a load.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import rich
import tyro
from numpy.typing import NDArray
from rich.table import Table

from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.hardware.model import ArmModel, Payload
from robolearn.hardware.station import load_station

Array = NDArray[np.float64]

TICK = 0.005
DELAYS = (0.005, 0.010, 0.015, 0.020, 0.025, 0.030)
LOAD = 0.5
"""kg"""
MARGIN = 0.1
"""Postures keep so far from the joints' limits [rad]."""


@dataclass
class Options:
    """What to look at."""

    postures: int = 100
    """postures: of each arm"""
    arms: Annotated[tuple[str, ...], tyro.conf.arg(name="arms")] = ("panda", "fr3")
    """arms: names of shipped ones"""
    json: bool = False
    """json: print JSON"""


def postures(arm: ArmProfile, count: int, seed: int = 0) -> Array:
    """Half of them anywhere, half near where a grasp begins, none touching itself, (count, n) [rad]."""
    rng, model = np.random.default_rng(seed), ArmModel(arm)
    low, high = arm.q_min + MARGIN, arm.q_max - MARGIN
    chosen: list[Array] = []
    while len(chosen) < count:
        near = np.clip(arm.home + rng.uniform(-0.7, 0.7, arm.n), low, high)
        q = near if len(chosen) % 2 else rng.uniform(low, high)
        if model.self_distance(model.capsules(model.frames(q))) > 0.0:
            chosen.append(q)
    return np.array(chosen)


def spectral_radius(
    inertia: Array, friction: Array, stiffness: Array, damping: Array, delay: float, tick: float = TICK
) -> float:
    """Largest magnitude of the closed loop's eigenvalues, per tick.

    Args:
        inertia: of the arm (n, n) [kg·m²].
        friction: of its joints (n,) [N·m·s/rad].
        stiffness, damping: of the hold (n, n) [N·m/rad], [N·m·s/rad].
        delay: from a state to the torque that answers it, a whole number of ticks [s].
        tick: for which a torque is kept [s].
    """
    n, late = len(inertia), round(delay / tick)
    rates = np.zeros((3 * n, 3 * n))  # of positions, speeds and the torques that are kept
    rates[:n, n : 2 * n] = np.eye(n)
    rates[n : 2 * n, n : 2 * n] = np.linalg.solve(inertia, -np.diag(friction))
    rates[n : 2 * n, 2 * n :] = np.linalg.inv(inertia)
    step = term = np.eye(3 * n)
    for k in range(1, 20):  # the exponential's series; the norm of rates * tick is below 1
        term = term @ rates * (tick / k)
        step = step + term
    answer = -np.hstack([stiffness, damping])
    loop = np.zeros((n * (2 + late), n * (2 + late)))  # the state, and the torques under way, oldest first
    loop[: 2 * n, : 2 * n] = step[: 2 * n, : 2 * n]
    loop[: 2 * n, 2 * n : 3 * n] = step[: 2 * n, 2 * n :]
    loop[2 * n : -n, 3 * n :] = np.eye(n * (late - 1))
    loop[-n:, : 2 * n] = answer
    return float(np.abs(np.linalg.eigvals(loop)).max())


def by_inertia(inertia: Array, frequency: float) -> tuple[Array, Array]:
    """The hold's spring and damper."""
    return frequency**2 * inertia, 2.0 * frequency * inertia


def by_joint(arm: ArmProfile) -> tuple[Array, Array]:
    """What it is compared with: a spring and a damper for each joint, those of the walls at its limits."""
    return np.diag(2.0 * arm.limiter.wall_stiffness), np.diag(arm.limiter.wall_damping)


def scan(
    name: str, count: int, frequency: float, delays: tuple[float, ...] = DELAYS
) -> dict[str, list[float]]:
    """Worst spectral radius at each delay, for each kind of hold and of arm."""
    arm = load_arm(name)
    model, loaded = ArmModel(arm), ArmModel(arm, Payload(3.0, arm.gripper.tcp))
    frames = model.frames(postures(arm, count))
    inertias, heavy = model.inertia(frames), loaded.inertia(frames)
    rough, smooth = arm.damping, np.zeros(arm.n)
    rows: dict[str, list[float]] = {
        what: []
        for what in (
            "a spring and a damper for each joint",
            "by inertia",
            "by inertia, no friction",
            "by inertia, no friction, half the inertia that the model has",
            "by inertia, no friction, 3 kg that the model does not know of",
        )
    }
    for delay in delays:
        cases = []
        for M, more in zip(inertias, heavy, strict=True):
            hold = by_inertia(M, frequency)
            cases.append(
                [
                    spectral_radius(M, rough, *by_joint(arm), delay),
                    spectral_radius(M, rough, *hold, delay),
                    spectral_radius(M, smooth, *hold, delay),
                    spectral_radius(0.5 * M, smooth, *hold, delay),
                    spectral_radius(more, smooth, *hold, delay),
                ]
            )
        for row, worst in zip(rows.values(), np.max(cases, axis=0), strict=True):
            row.append(float(worst))
    return rows


def give_way(name: str, frequency: float, load: float = LOAD, count: int = 5000) -> Array:
    """By how much an unknown load between the pads displaces the joint that it displaces most [rad].

    Args:
        name: of a shipped arm.
        frequency: of the hold [rad/s].
        load: in the hand [kg].
        count: of random postures, those in which the arm touches itself left out of the answer.
    """
    arm = load_arm(name)
    model, loaded = ArmModel(arm), ArmModel(arm, Payload(load, arm.gripper.tcp))
    frames = model.frames(
        np.random.default_rng(0).uniform(arm.q_min + MARGIN, arm.q_max - MARGIN, (count, arm.n))
    )
    frames = frames[model.self_distance(model.capsules(frames)) > 0.0]
    weight = loaded.gravity(frames) - model.gravity(frames)
    pull = np.linalg.solve(model.inertia(frames), weight[..., None])[..., 0]
    return np.asarray(np.abs(pull).max(axis=-1) / frequency**2)


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    frequency = load_station("sim").monitor.hold.frequency
    found = {name: scan(name, options.postures, frequency) for name in options.arms}
    ways = {name: give_way(name, frequency) for name in options.arms}
    given = {name: {"most": float(way.max()), "median": float(np.median(way))} for name, way in ways.items()}
    if options.json:
        result = {"frequency": frequency, "delays": DELAYS, "radius": found, "give_way": given}
        print(json.dumps(result, indent=2))
        return
    for name, rows in found.items():
        table = Table(title=f"{name}: {options.postures} postures, {frequency:g} rad/s")
        table.add_column("hold")
        for delay in DELAYS:
            table.add_column(f"{1e3 * delay:.0f} ms", justify="right")
        for what, radii in rows.items():
            table.add_row(what, *(f"{radius:.3f}" for radius in radii))
        rich.print(table)
        most, median = given[name]["most"], given[name]["median"]
        print(f"{LOAD:g} kg that nobody told it of: {most:.3f} rad at most, {median:.3f} rad in the median\n")


if __name__ == "__main__":
    main()
