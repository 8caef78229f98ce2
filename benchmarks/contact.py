"""How well the simulated peg and hole hold up: penetration, creep of the held peg, and what a step costs.

An arm holds the peg between its gripper's pads, by friction, and a Cartesian impedance whose pull is capped
at 30 N presses it down beside the hole, to the hole's floor, and sideways in the hole in five directions, and
inserts it off centre. Penetration is measured twice: as MuJoCo's contacts report it, and from the peg's pose
alone (how far its edges lie outside the hole), which would also see a contact that MuJoCo misses. The held
peg's creep is its motion in the hand in 5 s, under its weight and under 10 N along the shaft.

    python benchmarks/contact.py                          # all shapes, 4 mm to 0.1 mm
    python benchmarks/contact.py --clearances 1mm --physics-rate 400
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Annotated

import mujoco
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from robolearn.envs.arm import add_arm, arm_handles
from robolearn.envs.kinematics import DOWN, quaternion_of, reach
from robolearn.envs.operational_space import rotation_error
from robolearn.envs.pegs import (
    BLOCK,
    HANDLE,
    SHAPES,
    PegGeometry,
    add_hole,
    add_peg,
    contact_settings,
    half_planes,
    offset,
    vertices,
)
from robolearn.hardware.arm import load_arm
from robolearn.units import format_length, parse_length

Array = NDArray[np.float64]

PRESS = 30.0  # N
MOUTH = np.array([0.5, 0.0, BLOCK[2]])
STIFFNESS, DAMPING = 3000.0, 200.0  # of the hand's translation: N/m, N·s/m
TURN_STIFFNESS, TURN_DAMPING = 60.0, 4.0  # and of its rotation: N·m/rad, N·m·s/rad
SPEED = 0.05  # m/s, of every approach
TARGET = 0.2  # of the clearance, for the 99th percentile of penetration
CREEP_SECONDS, CREEP_TARGET, CREEP_LOAD = 5.0, 2e-4, 10.0  # s, m, N


class Rig:
    """The arm above the hole with the peg in its gripper, and what has been measured so far.

    Args:
        geometry: of peg and hole.
        physics_rate: simulation steps a second, or None for the recommended one.
        arm: name of the arm profile.
    """

    def __init__(self, geometry: PegGeometry, physics_rate: int | None = None, arm: str = "panda") -> None:
        self.geometry = geometry
        settings = contact_settings(geometry.clearance, physics_rate)
        self.rate = settings.physics_rate
        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        settings.apply(spec)
        profile = load_arm(arm)
        add_arm(spec, profile)
        add_hole(spec, geometry).pos = MOUTH
        add_peg(spec, geometry, settings=settings)
        self.model = model = spec.compile()
        self.data = data = mujoco.MjData(model)
        self.arm = arm_handles(model, profile)
        self.shaft = model.geom("peg_shaft").id
        self.hole, self.peg = model.body("hole").id, model.body("peg").id

        section = vertices(geometry.shape, geometry.width)
        self.sides, self.bounds = half_planes(offset(section, geometry.clearance))
        if geometry.shape == "round":
            around = np.linspace(0, 2 * np.pi, 180, endpoint=False)
            section = geometry.width / 2 * np.stack([np.cos(around), np.sin(around)], axis=1)
        self.section = section

        self.penetration: list[float] = []
        self.outside: list[float] = []
        self.forces: list[float] = []
        self.step_seconds: list[float] = []

        self.goal = np.array([0.0, 0.0, 0.010])  # of the tip, from the mouth
        grip = MOUTH + self.goal + [0.0, 0.0, geometry.grip_to_tip]
        self.posture = reach(model, data, self.arm, profile, grip, DOWN)
        data.qpos[self.arm.finger_qpos] = HANDLE[1] / 2
        start = int(model.joint("peg_joint").qposadr[0])
        data.qpos[start : start + 3] = grip
        data.qpos[start + 3 : start + 7] = quaternion_of(np.eye(3))
        self.move((0.0, 0.0, 0.010), hold=0.5, record=False)

    def move(self, tip: tuple[float, float, float], hold: float = 0.0, record: bool = True) -> None:
        """Take the hand to where an undisturbed tip is at `tip` [m] from the mouth; stay `hold` seconds."""
        start, end = self.goal, np.array(tip)
        travel = float(np.linalg.norm(end - start)) / SPEED
        for step in range(round((travel + hold) * self.rate)):
            done = min((step + 1) / (travel * self.rate), 1.0) if travel > 0 else 1.0
            self.goal = start + done * (end - start)
            self._step()
            if record:
                self._record()

    def shift(self) -> Array:
        """The peg's place in the hand, shape (3,) [m]."""
        rotation = self.data.site_xmat[self.arm.grip].reshape(3, 3)
        return np.asarray(rotation.T @ (self.data.xpos[self.peg] - self.data.site_xpos[self.arm.grip]))

    def load(self, force: float) -> None:
        """Pull the peg down with `force` [N] from now on."""
        self.data.xfrc_applied[self.peg, 2] = -force

    def _step(self) -> None:
        model, data, arm = self.model, self.data, self.arm
        jacobian = np.zeros((6, model.nv))
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], arm.grip)
        jacobian = jacobian[:, arm.dof]
        dq = data.qvel[arm.dof]
        velocity = jacobian @ dq
        goal = MOUTH + self.goal + [0.0, 0.0, self.geometry.grip_to_tip]
        pull = STIFFNESS * (goal - data.site_xpos[arm.grip])
        pull *= min(1.0, PRESS / max(float(np.linalg.norm(pull)), 1e-9))
        turn = TURN_STIFFNESS * rotation_error(DOWN, data.site_xmat[arm.grip].reshape(3, 3))
        wrench = np.concatenate([pull - DAMPING * velocity[:3], turn - TURN_DAMPING * velocity[3:]])
        stay = 5.0 * (self.posture - data.qpos[arm.qpos]) - 1.0 * dq
        free = np.eye(len(dq)) - jacobian.T @ np.linalg.pinv(jacobian.T)
        data.ctrl[arm.motors] = jacobian.T @ wrench + free @ stay
        data.ctrl[arm.gripper] = 0.0
        begin = time.perf_counter()
        mujoco.mj_step(model, data)
        self.seconds = time.perf_counter() - begin

    def _record(self) -> None:
        contact = self.data.contact
        if self.data.ncon == 0:
            return
        between = (self.model.geom_bodyid[contact.geom] == self.hole).any(axis=1)
        between &= (contact.geom == self.shaft).any(axis=1)
        if not between.any():
            return
        self.penetration += np.maximum(-contact.dist[between], 0.0).tolist()
        self.forces += self.data.efc_force[contact.efc_address[between]].tolist()
        self.outside.append(self._outside())
        self.step_seconds.append(self.seconds)

    def _outside(self) -> float:
        """How far the shaft in the hole lies outside the hole's faces, from its pose alone [m]."""
        rotation, origin = self.data.xmat[self.peg].reshape(3, 3), self.data.xpos[self.peg] - MOUTH
        n = len(self.section)
        upper = np.column_stack([self.section, np.full(n, -HANDLE[2] / 2)]) @ rotation.T + origin
        lower = np.column_stack([self.section, np.full(n, -self.geometry.grip_to_tip)]) @ rotation.T + origin
        throat = -self.geometry.chamfer
        share = (throat - lower[:, 2]) / (upper[:, 2] - lower[:, 2])
        inside = share > 0
        if not inside.any():
            return 0.0
        crossing = lower + share[:, None] * (upper - lower)
        points = np.vstack([lower[inside], crossing[inside]])
        beyond = float((points[:, :2] @ self.sides.T - self.bounds).max())
        return max(beyond, -self.geometry.hole_depth - float(lower[:, 2].min()), 0.0)


@dataclass(frozen=True)
class Row:
    """Measured figures of one peg [m, N]; percentiles are those of the worst scenario."""

    shape: str
    clearance: float
    physics_rate: int
    penetration: float
    """99th percentile over contacts and steps."""
    outside: float
    """The same of the peg's edges outside the hole, computed from its pose."""
    contact_force: float
    """99th percentile of single contacts' normal forces; a lever in the hole multiplies the 30 N."""
    creep: float
    creep_loaded: float
    steps_per_second: float
    """mj_step with peg and hole in contact."""
    times_real_time: float

    @property
    def holds(self) -> bool:
        return max(self.penetration, self.outside) <= TARGET * self.clearance and (
            max(self.creep, self.creep_loaded) <= CREEP_TARGET
        )


def press_beside(rig: Rig) -> None:
    side = 0.5 * rig.geometry.width
    rig.move((side, 0.4 * side, 0.010), record=False)
    rig.move((side, 0.4 * side, -0.015), hold=0.3)
    rig.move((side + 0.004, 0.2 * side, -0.015), hold=0.1)


def press_floor(rig: Rig) -> None:
    rig.move((0.0, 0.0, -rig.geometry.hole_depth - 0.015), hold=0.4)


def press_walls(rig: Rig) -> None:
    rig.move((0.0, 0.0, -0.020), record=False)
    for direction in np.radians([0, 90, 40, 200, 290]):
        aside = (0.010 + rig.geometry.clearance) * np.array([np.cos(direction), np.sin(direction)])
        rig.move((float(aside[0]), float(aside[1]), -0.020), hold=0.3)


def insert_off_centre(rig: Rig) -> None:
    error = 0.7 * (rig.geometry.clearance + rig.geometry.chamfer)
    rig.move((error, 0.3 * error, 0.010), record=False)
    rig.move((0.7 * error, 0.0, -0.030), hold=0.1)
    rig.move((0.0, 0.0, -0.030), hold=0.1)


SCENARIOS = (press_beside, press_floor, press_walls, insert_off_centre)


def measure(geometry: PegGeometry, physics_rate: int | None = None) -> Row:
    """All scenarios and the creep for one peg."""
    penetration, outside, force, seconds = 0.0, 0.0, 0.0, []
    for scenario in SCENARIOS:
        rig = Rig(geometry, physics_rate)
        scenario(rig)
        if rig.penetration:
            penetration = max(penetration, float(np.percentile(rig.penetration, 99)))
            outside = max(outside, float(np.percentile(rig.outside, 99)))
            force = max(force, float(np.percentile(rig.forces, 99)))
            seconds += rig.step_seconds
    speed = 1.0 / float(np.mean(seconds))
    return Row(
        shape=geometry.shape,
        clearance=geometry.clearance,
        physics_rate=rig.rate,
        penetration=penetration,
        outside=outside,
        contact_force=force,
        creep=creep(geometry, physics_rate, 0.0),
        creep_loaded=creep(geometry, physics_rate, CREEP_LOAD),
        steps_per_second=speed,
        times_real_time=speed / rig.rate,
    )


def creep(geometry: PegGeometry, physics_rate: int | None, load: float) -> float:
    """How far the peg slides in the pads in CREEP_SECONDS while `load` [N] pulls it down [m]."""
    rig = Rig(geometry, physics_rate)
    rig.load(load)
    rig.move((0.0, 0.0, 0.010), hold=0.2, record=False)  # the contact's spring gives way first
    before = rig.shift()
    rig.move((0.0, 0.0, 0.010), hold=CREEP_SECONDS, record=False)
    return float(np.linalg.norm(rig.shift() - before))


def main(
    shapes: tuple[str, ...] = SHAPES,
    clearances: tuple[str, ...] = ("4mm", "3mm", "2mm", "1mm", "0.5mm", "0.2mm", "0.1mm"),
    physics_rate: int | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure penetration, creep and cost of peg contact.

    Args:
        shapes: of the peg.
        clearances: per side, with unit.
        physics_rate: Hz; None takes the recommended one of each clearance.
        as_json: print JSON instead of a table.
    """
    rows = [
        measure(PegGeometry(shape, clearance=parse_length(clearance)), physics_rate)
        for clearance in clearances
        for shape in shapes
    ]
    if as_json:
        report = [asdict(row) | {"holds": row.holds} for row in rows]
        print(json.dumps({"mujoco": mujoco.__version__, "rows": report}))
        return
    table = Table(
        title=f"Peg contact at {PRESS:.0f} N, MuJoCo {mujoco.__version__}",
        caption="99th percentiles of penetration in % of the clearance, as contacts report it and from the "
        "pose, and of contact force; creep in 5 s by weight and with 10 N; mj_step in contact per second",
    )
    headings = "shape clearance Hz contact pose force,N creep,um 10\u00a0N,um step/s x\u00a0real holds"
    for heading in headings.replace(",", "\n").split(" "):
        table.add_column(heading, justify="left" if heading == "shape" else "right")
    for row in rows:
        table.add_row(
            row.shape,
            format_length(row.clearance),
            str(row.physics_rate),
            f"{100 * row.penetration / row.clearance:.1f}",
            f"{100 * row.outside / row.clearance:.1f}",
            f"{row.contact_force:.0f}",
            f"{1e6 * row.creep:.1f}",
            f"{1e6 * row.creep_loaded:.1f}",
            f"{row.steps_per_second:.0f}",
            f"{row.times_real_time:.0f}",
            "yes" if row.holds else "NO",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    tyro.cli(main)
