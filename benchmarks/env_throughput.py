"""How much of MuJoCo's speed reaches the policy: env.step against bare physics and bare rendering.

Teacher episodes are recorded with small random torques added. Then, in turns, the environment replays the
same actions from the same seeds, and a bare loop replays the same motor commands from the same states:
compiled, with nothing in it but mj_step, and for pictures mjv_updateScene, mjr_render and mjr_readPixels of
each camera after every control step. Both must arrive at the same states to the last bit. Resets are not
counted. Times are the CPU time of the process, the best of some repeats, so that other work on the machine
matters little. Two processes at once, resets included, are set against one by their CPU time, and by the
clock on the wall, which needs two idle cores.

The environment skips shapes that are outside a picture, which the bare loop does not. A second line for
pictures ("seen alone") is against a bare loop that is told what to skip.

    python benchmarks/env_throughput.py
    python benchmarks/env_throughput.py --tasks grasp --episodes 2 --json
    python benchmarks/env_throughput.py --no-pixels --no-processes    # state alone
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import robolearn  # noqa: F401 - chooses how to draw before mujoco is imported

# isort: split

import mujoco
import numba
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.rendering import PROFILES, shapes_in_picture
from robolearn.envs.tasks import make
from robolearn.envs.torque_loop import mj_step

Array = NDArray[np.float64]

READINGS = ("q", "dq", "tau", "gripper")
CAMERAS = ("front", "wrist")
FULL = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
NOISE = 0.3  # of the random torques, as a share of `noise_torque`
TARGETS = {"pixels": 0.85, "state": 0.80, "two processes": 1.8, "two processes, wall": 1.8}


@dataclass
class Options:
    """What to measure."""

    tasks: tuple[str, ...] = ("grasp", "peg-insertion")
    """names of tasks"""
    episodes: int = 6
    """teacher episodes a task"""
    repeats: int = 5
    """times that everything is measured; the fastest counts"""
    pixels: bool = True
    """also measure pictures"""
    processes: bool = True
    """also measure two processes at once"""
    json: bool = False
    """print JSON"""


@dataclass
class Episode:
    """A recorded episode.

    `actions` (T, a), `start` and `warmstart` of the physics, `ctrl` (S, nu) of every physics step, `qpos` (T
    + 1, nq) as observed, `end` the physics' last state.
    """

    seed: int
    actions: NDArray[np.float32]
    start: Array
    warmstart: Array
    ctrl: Array
    qpos: Array
    end: Array


def record(env: ManipulationEnv, seed: int) -> Episode:
    """Run the teacher, disturbed, one physics step at a time."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed)
    path, data = env.scene.path, env.data
    start, warmstart = state_of(env.model, env.data), data.qacc_warmstart.copy()
    actions, ctrl, qpos = [], [], [data.qpos.copy()]
    several = path.advance

    def one_by_one(torque: Array, width: float, steps: int) -> None:
        for _ in range(steps):
            several(torque, width, 1)
            ctrl.append(data.ctrl.copy())

    path.advance = one_by_one  # type: ignore[method-assign]
    done = False
    while not done:
        action = env.teacher()
        action[:-1] += NOISE * env.noise_torque * rng.standard_normal(env.arm.n)
        _, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
        actions.append(action)
        qpos.append(data.qpos.copy())
    path.advance = several  # type: ignore[method-assign]
    return Episode(
        seed,
        np.array(actions),
        start,
        warmstart,
        np.array(ctrl),
        np.array(qpos),
        state_of(env.model, env.data),
    )


def state_of(model: mujoco.MjModel, data: mujoco.MjData) -> Array:
    """Time, positions, velocities and activations."""
    state = np.zeros(mujoco.mj_stateSize(model, FULL))
    mujoco.mj_getState(model, data, state, FULL)
    return state


def replay_env(env: ManipulationEnv, episode: Episode) -> float:
    """CPU seconds of the environment's steps."""
    env.reset(seed=episode.seed)
    begin = time.process_time()
    for action in episode.actions:
        env.step(action)
    spent = time.process_time() - begin
    assert (state_of(env.model, env.data) == episode.end).all(), "the environment did not repeat the episode"
    return spent


@numba.njit
def play(model: int, data: int, ctrl: Array, commands: Array) -> None:
    """mj_step once for each row of motor commands."""
    for i in range(len(commands)):
        ctrl[:] = commands[i]
        mj_step(model, data)


def replay_bare(env: ManipulationEnv, episode: Episode, draughtsman: Draughtsman | None = None) -> float:
    """CPU seconds of MuJoCo alone. The environment has just run the episode: its model is the episode's."""
    model, data = env.model, mujoco.MjData(env.model)
    mujoco.mj_setState(model, data, episode.start, FULL)
    data.qacc_warmstart[:] = episode.warmstart
    steps = len(episode.ctrl) // len(episode.actions)
    if draughtsman is not None:
        draughtsman.prepare(model, episode)
    begin = time.process_time()
    for i in range(len(episode.actions)):
        play(model._address, data._address, data.ctrl, episode.ctrl[i * steps : (i + 1) * steps])
        if draughtsman is not None:
            draughtsman.draw(i)
    spent = time.process_time() - begin
    if draughtsman is not None:
        draughtsman.finish()
    assert (state_of(model, data) == episode.end).all(), (
        "bare physics came to another state than the environment"
    )
    return spent


class Draughtsman:
    """Draws an episode's observations and no more; with `skip`, without the shapes outside a picture."""

    def __init__(self, model: mujoco.MjModel, skip: bool, size: int = 64) -> None:
        quality = model.vis.quality
        quality.shadowsize, quality.offsamples, quality.numslices, quality.numstacks = PROFILES["fast"]
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self.context)
        self.scene = mujoco.MjvScene(model, maxgeom=512)
        for flag in ("SHADOW", "REFLECTION", "SKYBOX"):
            self.scene.flags[int(getattr(mujoco.mjtRndFlag, f"mjRND_{flag}"))] = 0
        self.option = mujoco.MjvOption()
        self.camera = mujoco.MjvCamera()
        self.camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
        self.frame = mujoco.MjrRect(0, 0, size, size)
        self.pixels = np.empty((size, size, 3), np.uint8)
        self.skip = skip

    def prepare(self, model: mujoco.MjModel, episode: Episode) -> None:
        self.model, self.data, self.qpos = model, mujoco.MjData(model), episode.qpos[1:]
        self.cameras = [model.camera(name).id for name in CAMERAS]
        self.before = groups = model.geom_group.copy()
        self.groups = []
        for qpos in self.qpos:
            self.place(qpos)
            seen = [shapes_in_picture(model, self.data, camera, 1.0) for camera in self.cameras]
            self.groups.append([np.where(shapes, groups, 5) if self.skip else groups for shapes in seen])

    def finish(self) -> None:
        self.model.geom_group[:] = self.before

    def place(self, qpos: Array) -> None:
        self.data.qpos[:] = qpos
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def draw(self, step: int) -> None:
        self.place(self.qpos[step])
        for camera, groups in zip(self.cameras, self.groups[step], strict=True):
            self.camera.fixedcamid = camera
            self.model.geom_group[:] = groups
            everything = mujoco.mjtCatBit.mjCAT_ALL.value
            mujoco.mjv_updateScene(
                self.model, self.data, self.option, None, self.camera, everything, self.scene
            )
            mujoco.mjr_render(self.frame, self.scene, self.context)
            mujoco.mjr_readPixels(self.pixels, None, self.frame, self.context)


def measure(task: str, options: Options) -> dict[str, Any]:
    """Control steps a CPU second, as `env.step` and bare, with and without pictures."""
    pixels, state = (make(task, dict(observe=observe)) for observe in (CAMERAS + READINGS, READINGS))
    episodes = [record(state, seed) for seed in range(options.episodes)]
    if options.pixels:
        pixels.reset(seed=0)  # makes the GL context
    play(
        state.model._address, state.data._address, state.data.ctrl, np.zeros((0, state.model.nu))
    )  # compiles
    runs: dict[str, Callable[[Episode], float]] = {
        "env state": lambda episode: replay_env(state, episode),
        "bare state": lambda episode: replay_bare(state, episode),
    }
    if options.pixels:
        everything, seen = Draughtsman(pixels.model, skip=False), Draughtsman(pixels.model, skip=True)
        runs = {
            "env pixels": lambda episode: replay_env(pixels, episode),
            "bare pixels": lambda episode: replay_bare(pixels, episode, everything),
            "bare seen": lambda episode: replay_bare(pixels, episode, seen),
            **runs,
        }
    best = {name: np.full(len(episodes), np.inf) for name in runs}
    for _ in range(options.repeats):
        for i, episode in enumerate(episodes):
            for name, run in runs.items():
                best[name][i] = min(best[name][i], run(episode))
    for env in (pixels, state):
        env.close()
    steps = sum(len(episode.actions) for episode in episodes)
    rates = {name: steps / float(times.sum()) for name, times in best.items()}
    found: dict[str, Any] = {"task": task, "steps": steps, "physics_rate": state.physics_rate}
    if options.pixels:
        found["pixels"] = compare(rates["env pixels"], rates["bare pixels"])
        found["pixels, seen alone"] = compare(rates["env pixels"], rates["bare seen"])
    return found | {"state": compare(rates["env state"], rates["bare state"])}


def compare(ours: float, reference: float) -> dict[str, float]:
    return {"env": ours, "reference": reference, "ratio": ours / reference}


def work(task: str, seconds: float, start: Any, results: Any) -> None:
    """Step an environment with pictures for some seconds on the wall, as a collector does."""
    env = make(task, dict(observe=CAMERAS + READINGS))
    episodes = [record(env, seed) for seed in range(2)]
    start.wait()
    begin, spent, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - begin < seconds:
        for episode in episodes:
            env.reset(seed=episode.seed)
            for action in episode.actions:
                env.step(action)
            steps += len(episode.actions)
    results.put((steps / (time.process_time() - spent), steps / (time.perf_counter() - begin)))
    env.close()


def together(task: str, processes: int, seconds: float = 5.0) -> Array:
    """Control steps a second of some processes, all together: by their CPU time, and by the wall clock."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=work, args=(task, seconds, start, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    rates = np.sum([results.get() for _ in workers], axis=0)
    for worker in workers:
        worker.join()
    return rates


def main(options: Options) -> None:
    found = []
    for task in options.tasks:
        measured = measure(task, options)
        if options.processes:
            pairs = np.array([(together(task, 1), together(task, 2)) for _ in range(2)])
            one, two = pairs.max(axis=0).tolist()
            measured["two processes"] = compare(two[0], one[0])
            measured["two processes, wall"] = compare(two[1], one[1])
        found.append(measured)
    if options.json:
        print(json.dumps({"options": asdict(options), "targets": TARGETS, "tasks": found}, indent=2))
        return
    table = Table(title="control steps a second at 20 Hz, two cameras of 64 x 64")
    for column in ("task", "what", "env.step", "reference", "ratio", "target"):
        table.add_column(column, justify="left" if column in ("task", "what") else "right")
    for measured in found:
        for name, row in measured.items():
            if isinstance(row, dict):
                target = f"{TARGETS[name]:g}" if name in TARGETS else ""
                table.add_row(
                    measured["task"],
                    name,
                    f"{row['env']:.0f}",
                    f"{row['reference']:.0f}",
                    f"{row['ratio']:.2f}",
                    target,
                )
    Console().print(table)
    print("reference: MuJoCo alone; of two processes, one process")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
