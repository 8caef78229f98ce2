"""What the torque path costs: physics steps per second with it, against bare mj_step on the same trajectory.

The torque path runs a policy's worth of random requests (20 Hz) and what reached the actuators is recorded.
Then the same controls are replayed through bare mj_step (in a compiled loop, in a Python loop, and by
mujoco.rollout), which ends in the same state to the bit: the physics is the same work in every row. Runs
alternate, and the ratios are medians over rounds, so that a busy machine spoils few of them.

    python benchmarks/torque_path.py
    python benchmarks/torque_path.py --seconds 2 --rounds 50 --json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

import mujoco
import mujoco.rollout
import numba
import numpy as np
import rich
import tyro
from numpy.typing import NDArray
from rich.table import Table

from robolearn.envs.arm import add_arm, arm_handles
from robolearn.envs.torque_loop import mj_step
from robolearn.envs.torque_path import TorquePath
from robolearn.hardware.arm import load_arm

Floats = NDArray[np.float64]

CONTROL_RATE, FILTER_RATE = 20, 200  # Hz
TARGET = 0.9  # of bare mj_step


@dataclass(frozen=True)
class Result:
    """Physics steps per second in the fastest round; `ratio` is that of the torque path to bare mj_step."""

    scene: str
    physics_rate: int
    bare: float
    torque_path: float
    python_loop: float
    rollout: float
    ratio: float


def build(boxes: int, physics_rate: int) -> TorquePath:
    """The Panda at home above a floor on which `boxes` cubes lie."""
    arm = load_arm("panda")
    spec = mujoco.MjSpec()
    spec.option.timestep = 1.0 / physics_rate
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    add_arm(spec, arm)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    for i in range(boxes):
        box = spec.worldbody.add_body(pos=[0.5, 0.1 * i - 0.05 * boxes, 0.02])
        box.add_freejoint()
        box.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02] * 3, mass=0.1)
    model = spec.compile()
    data = mujoco.MjData(model)
    handles = arm_handles(model, arm)
    data.qpos[handles.qpos] = arm.home
    data.qpos[handles.finger_qpos] = 0.5 * arm.gripper.max_width
    return TorquePath(
        model, data, handles, arm, physics_rate=physics_rate, filter_rate=FILTER_RATE, state_delay=0.01
    )


@numba.njit(nogil=True)
def replay(model: int, data: int, ctrl: Floats, record: Floats) -> None:
    """Step once for each row of `record`."""
    for step in range(len(record)):
        ctrl[:] = record[step]
        mj_step(model, data)


def measure(scene: str, boxes: int, physics_rate: int, seconds: float, rounds: int) -> Result:
    path = build(boxes, physics_rate)
    model, data = path.model, path.data
    start = data.qpos.copy()
    per_action = physics_rate // CONTROL_RATE
    rng = np.random.default_rng(0)
    requests = rng.normal(size=(round(seconds * CONTROL_RATE), 7)) * [3, 3, 3, 3, 0.5, 0.5, 0.5]
    widths = rng.choice([0.0, path.arm.gripper.max_width], len(requests))
    record = np.empty((len(requests) * per_action, model.nu))

    def begin() -> None:
        mujoco.mj_resetData(model, data)
        data.qpos[:] = start
        mujoco.mj_forward(model, data)
        path.reset()

    begin()
    for step in range(len(record)):
        action = step // per_action
        path.advance(requests[action], widths[action], 1)
        record[step] = data.ctrl
    end = data.qpos.copy()

    def with_path() -> None:
        for request, width in zip(requests, widths, strict=True):
            path.advance(request, width, per_action)

    def bare() -> None:
        replay(model._address, data._address, data.ctrl, record)

    def python_loop() -> None:
        for row in record:
            data.ctrl[:] = row
            mujoco.mj_step(model, data)

    state = np.empty(mujoco.mj_stateSize(model, int(mujoco.mjtState.mjSTATE_FULLPHYSICS)))

    def rollout() -> None:
        mujoco.mj_getState(model, data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        states, _ = mujoco.rollout.rollout(
            model, data, state[None], record[None], initial_warmstart=data.qacc_warmstart[None]
        )
        data.qpos[:] = states[0, -1, 1 : 1 + model.nq]

    def rate(run: Callable[[], None]) -> float:
        begin()
        before = time.perf_counter()
        run()
        elapsed = time.perf_counter() - before
        if not np.array_equal(data.qpos, end):
            raise RuntimeError(f"{scene}: {run.__name__} ended in another state, so the work differs")
        return len(record) / elapsed

    runs = (bare, with_path, python_loop, rollout)
    for run in runs:
        rate(run)  # compile, fill the caches
    rates = np.array([[rate(run) for run in runs] for _ in range(rounds)])
    bare_rate, path_rate, python_rate, rollout_rate = (float(best) for best in rates.max(axis=0))
    return Result(scene, physics_rate, bare_rate, path_rate, python_rate, rollout_rate, path_rate / bare_rate)


SCENES = (("arm alone", 0, 400), ("arm alone", 0, 1000), ("four cubes", 4, 400), ("eight cubes", 8, 1000))


def main(
    seconds: float = 5.0,
    rounds: int = 20,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure every scene and print rates and ratios.

    Args:
        seconds: simulated time of a run.
        rounds: runs of each kind.
        as_json: print JSON instead of a table.
    """
    results = [measure(*scene, seconds, rounds) for scene in SCENES]
    if as_json:
        print(json.dumps({"mujoco": mujoco.__version__, "rows": [asdict(result) for result in results]}))
        return
    table = Table("scene", "physics rate", "bare", "torque path", "Python loop", "rollout", "ratio")
    for r in results:
        rates = [f"{x / 1000:.1f}" for x in (r.bare, r.torque_path, r.python_loop, r.rollout)]
        colour = "green" if r.ratio >= TARGET else "red"
        table.add_row(r.scene, f"{r.physics_rate} Hz", *rates, f"[{colour}]{r.ratio:.3f}[/]")
    rich.print(table)
    rich.print(f"in 1000 physics steps a second; ratio: torque path to bare, target {TARGET}")


if __name__ == "__main__":
    tyro.cli(main)
