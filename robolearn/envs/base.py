"""`ManipulationEnv`: the small base that every task subclasses.

A task says what stands in the scene (`build`), where (`place`), what counts (`reward_terms`, `holds`) and how a privileged teacher
would do it (`teacher`). Everything else lives here: the arm, the torque path, cameras, delays, randomisation, observations.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera
from robolearn.contract import Action, Channel, Contract
from robolearn.envs.arm import ArmHandles, add_arm, arm_handles
from robolearn.envs.commands import COMMANDS, Command, command_space, make_command
from robolearn.envs.kinematics import DOWN, reach
from robolearn.envs.operational_space import OperationalSpace
from robolearn.envs.randomisation import CLEAN, tier
from robolearn.envs.rendering import Renderer, asset_counts
from robolearn.envs.surroundings import Surroundings, add_surroundings
from robolearn.envs.torque_path import TorquePath
from robolearn.envs.views import View, add_camera
from robolearn.errors import InputError, choose
from robolearn.hardware.arm import ArmProfile, load_arm

Array = NDArray[np.float64]

CHANNELS = ("q", "dq", "tau", "gripper", "wrench", "state")
VIDEO = View("video", "base", (1.25, -0.75, 0.65), (0.42, 0.0, 0.15), (0, 0, 1), 0.75, 480, 480)
SCENES_KEPT = 128
STATE_DELAY = 0.01  # age of the joint state that the limiter acts on: the wire and the driver [s]


@dataclass(frozen=True)
class TaskConfig:
    """What every task can be asked for.

    Attributes:
        arm: name of a shipped arm, or path of an arm profile.
        observe: names of cameras ("front", "wrist"), their depth ("front_depth"), and of channels (q, dq, tau, gripper, wrench,
            state), in the order in which observations carry them.
        image_size: width and height of every picture [pixels]; None keeps each camera's own.
        cameras: the virtual cameras; observe picks among them.
        action: "torque" (joint torques, gravity excluded), "impedance" (joint displacements) or "pose" (hand displacements).
        control_rate: how often the policy acts [Hz]; divides physics_rate.
        filter_rate: how often the torque limiter acts [Hz]; divides physics_rate.
        physics_rate: simulation steps a second [Hz]; None takes what the task needs.
        episode_seconds: the time limit [s].
        randomisation: "clean" or "rich".
        reward_scales: weight of each named reward term.
    """

    arm: str = "panda"
    observe: tuple[str, ...] = ("front", "wrist", "q", "dq", "tau", "gripper")
    image_size: int | None = None
    cameras: tuple[View, ...] = ()
    action: str = "torque"
    control_rate: int = 20
    filter_rate: int = 200
    physics_rate: int | None = None
    episode_seconds: float = 6.0
    randomisation: str = "clean"
    reward_scales: dict[str, float] = field(default_factory=dict)


@dataclass
class Scene:
    """One compiled world of a task and all that belongs to it."""

    model: mujoco.MjModel
    data: mujoco.MjData
    view: mujoco.MjData  # a second state, from which cameras see the world as it was when the shutter opened
    handles: ArmHandles
    path: TorquePath
    control: OperationalSpace
    surroundings: Surroundings


@dataclass(frozen=True)
class _Snapshot:
    qpos: Array
    qvel: Array
    mocap: tuple[Array, Array]
    tau: Array
    wrench: Array
    state: NDArray[np.float32]


class ManipulationEnv(gymnasium.Env[dict[str, NDArray[Any]], NDArray[np.float32]]):
    """A torque-controlled arm with a gripper, two cameras and a task.

    Args:
        config: what is asked for; None takes the task's defaults.
        render_mode: None or "rgb_array" (what `render` returns: a pretty picture for people, 480 x 480).
        **changes: fields of the config to replace, such as `observe=("q", "dq", "state")`.

    Raises:
        InputError: a field that does not exist or cannot be used; the message names it, its value and the choices.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (gymnasium's own declaration)
    name: ClassVar[str] = ""
    config_type: ClassVar[type[TaskConfig]] = TaskConfig
    hold_steps: ClassVar[int] = 1
    state_size: ClassVar[int] = 0
    starts_closed: ClassVar[bool] = False
    start_position: ClassVar[tuple[float, float, float]] = (0.5, 0.0, 0.25)

    def __init__(self, config: TaskConfig | None = None, render_mode: str | None = None, **changes: Any) -> None:
        config = config or self.config_type()
        names = [f.name for f in fields(config)]
        for key in changes:
            choose(f"parameter of {type(self).__name__}", key, names)
        self.config = replace(config, **changes)
        if render_mode is not None:
            choose("render mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.arm: ArmProfile = load_arm(self.config.arm)
        self.randomisation = tier(self.config.randomisation)
        self.physics_rate = self.config.physics_rate or self.natural_physics_rate()
        self.metadata = {**self.metadata, "render_fps": self.config.control_rate}
        self._check_rates()
        size = self.config.image_size
        if size is not None and size < 1:
            raise InputError(f"image_size is {size}: a camera picture needs at least 1 pixel a side")
        self.views = {
            view.name: view if size is None else replace(view, width=size, height=size)
            for view in self.config.cameras
        }
        choices = [*self.views, *(f"{name}_depth" for name in self.views), *CHANNELS]
        for item in self.config.observe:
            choose("observation", item, choices)
        choose("kind of action", self.config.action, COMMANDS)

        self._scenes: OrderedDict[Hashable, Scene] = OrderedDict()
        self._renderers: dict[str, Renderer] = {}
        self._start = self.arm.home
        self.scene = self._scene_for(self.scene_key())
        self._start = reach(
            self.model, self.data, self.handles, self.arm, np.array(self.start_position), DOWN
        )
        self._scenes.clear()
        self.action_space = command_space(self.config.action, self.arm)
        self.observation_space = self._observation_space()

    # --- what a task writes ---------------------------------------------------------------------------------------------

    def natural_physics_rate(self) -> int:
        """Simulation steps a second that the task's contacts need [Hz]."""
        return 400

    def scene_key(self) -> Hashable:
        """Which world the next episode needs; worlds are compiled once and kept. Drawn from `self.np_random`."""
        return 0

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        """Add the task's bodies to a scene that already has the arm, a table top at z = 0 and light."""
        raise NotImplementedError

    def place(self) -> None:
        """Put things where this episode wants them, in `self.data` and `self.model`; drawn from `self.np_random`."""
        raise NotImplementedError

    def holds(self) -> bool:
        """Whether the goal holds now, judged on the simulator's state; held for `hold_steps` steps it is a success."""
        raise NotImplementedError

    def failure(self) -> str | None:
        """Why the episode cannot succeed any more ("dropped"), or None."""
        return None

    def reward_terms(self) -> dict[str, float]:
        """Named terms between 0 and 1."""
        raise NotImplementedError

    def privileged(self) -> Array:
        """What only a simulator knows, for teachers and critics, shape (k,)."""
        raise NotImplementedError

    def teacher(self) -> NDArray[np.float32]:
        """The scripted teacher's action in the present state: joint torques and gripper, shape (n + 1,)."""
        raise NotImplementedError

    # --- gymnasium ------------------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        super().reset(seed=seed)
        self.scene = self._scene_for(self.scene_key())
        model, data = self.model, self.data
        self.sampled = self.randomisation.sample(self.np_random, self.arm.n, tuple(self.views))
        self.scene.surroundings.apply(self.sampled, self.handles.dof)
        if self.sampled["texture"]:
            for renderer in self._renderers.values():
                renderer.upload_textures(model)
        mujoco.mj_resetData(model, data)
        data.qpos[self.handles.qpos] = self._start + self.np_random.uniform(-0.03, 0.03, self.arm.n)
        data.qpos[self.handles.finger_qpos] = self.arm.gripper.max_width / 2
        mujoco.mj_forward(model, data)
        self.scene.path.gain[:] = self.sampled["torque_gain"]
        self.scene.path.reset()
        self.place()
        mujoco.mj_forward(model, data)
        self.scene.path.reset_meters()
        self.scene.path.tare[:] = data.sensordata[self.handles.wrist_force : self.handles.wrist_force + 3]
        self._begin()
        return self._observe(), self._info({})

    def _begin(self) -> None:
        rate, steps = self.physics_rate, self._steps
        self._observation_age = round(self.sampled["observation_delay"] * rate)
        self._action_age = round(self.sampled["action_delay"] * rate)
        self._now = 0
        self._index = 0
        self._held = 0
        self._finished = False
        self.success = False
        still = np.zeros(self.arm.n)
        self._active: Command = make_command("torque", np.append(still, 1.0 if self.starts_closed else -1.0), self)
        self._pending: deque[tuple[int, Command]] = deque()
        self._snapshots: deque[_Snapshot] = deque()
        self._taken = 0
        while max(0, self._taken * steps - self._observation_age) == 0:
            self._snapshots.append(self._snapshot())
            self._taken += 1

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        if self._finished:
            raise RuntimeError("this episode is over: call reset() before the next step()")
        self._pending.append((self._now + self._action_age, make_command(self.config.action, action, self)))
        end = self._now + self._steps
        while self._now < end:
            while self._pending and self._pending[0][0] <= self._now:
                self._active = self._pending.popleft()[1]
            until = min(end, max(0, self._taken * self._steps - self._observation_age))
            if self._pending:
                until = min(until, self._pending[0][0])
            self._active.run(until - self._now)
            self._now = until
            if self._now == self._taken * self._steps - self._observation_age:
                self._snapshots.append(self._snapshot())
                self._taken += 1
        self._index += 1

        diverged = self.scene.path.diverged
        terms = {name: 0.0 for name in self.config.reward_scales} if diverged else self.reward_terms()
        reward = float(sum(self.config.reward_scales[name] * value for name, value in terms.items()))
        self._held = 0 if diverged or not self.holds() else self._held + 1
        self.success = self._held >= self.hold_steps
        reason = "success" if self.success else "diverged" if diverged else self.failure()
        truncated = reason is None and self._index >= self.max_steps
        self._finished = reason is not None or truncated
        info = self._info(terms)
        info["reason"] = reason or ("time" if truncated else "")
        return self._observe(), reward, reason is not None, truncated, info

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        if self.render_mode is None:
            return None
        return self.picture(VIDEO.name, VIDEO.width, VIDEO.height, "pretty")

    def close(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    # --- the present state ------------------------------------------------------------------------------------------------

    @property
    def model(self) -> mujoco.MjModel:
        return self.scene.model

    @property
    def data(self) -> mujoco.MjData:
        return self.scene.data

    @property
    def handles(self) -> ArmHandles:
        return self.scene.handles

    @property
    def noise_torque(self) -> Array:
        """Torques that disturb the arm noticeably within a control step, shape (n,) [N·m].

        A twentieth of a joint's strength; a third of that for the last three, which carry little inertia.
        """
        share = np.full(self.arm.n, 1 / 20)
        share[-3:] /= 3
        return share * self.arm.tau_max

    @property
    def max_steps(self) -> int:
        """Control steps until the time limit."""
        return round(self.config.episode_seconds * self.config.control_rate)

    @property
    def width(self) -> float:
        """Distance between the finger pads [m]."""
        return float(self.data.qpos[self.handles.finger_qpos].sum())

    def contract(self, history: int = 1) -> Contract:
        """What a policy trained here requires of whoever runs it; privileged state is no part of it."""
        n, nominal, config = self.arm.n, CLEAN, self.config
        known = {
            "q": Channel("q", "rad", n, per_joint=True),
            "dq": Channel("dq", "rad/s", n, per_joint=True),
            "tau": Channel("tau", "N·m", n, per_joint=True),
            "gripper": Channel("gripper", "m, m/s", 2),
            "wrench": Channel("wrench", "N, N·m", 6),
        }
        cameras = []
        for item in config.observe:
            if item not in known and item != "state":
                view = self.views[item.removesuffix("_depth")]
                camera = Camera.from_fovy(
                    item,
                    view.width,
                    view.height,
                    view.fovy,
                    frame=view.frame,
                    position=view.position,
                    quaternion=tuple(view.optical_quaternion.tolist()),
                    delay=nominal.observation_delay[0],
                    encoding="rgb8" if item in self.views else "depth",
                )
                cameras.append(camera)
        limiter = self.scene.path.parameters._asdict()
        size, unit = {"torque": (n, "N·m"), "impedance": (n, "rad"), "pose": (6, "m, rad")}[config.action]
        return Contract(
            arm=self.arm.name,
            joints=self.arm.joint_names,
            proprioception=tuple(known[item] for item in config.observe if item in known),
            cameras=tuple(cameras),
            action=Action(config.action, size, unit, gripper=True),
            control_rate=config.control_rate,
            filter_rate=config.filter_rate,
            limiter={k: tuple(v) if isinstance(v, list) else v for k, v in limiter.items()},
            delays={"observation": nominal.observation_delay[0], "action": nominal.action_delay[0], "state": STATE_DELAY},
            history=history,
        )

    def grip_pose(self) -> tuple[Array, Array]:
        """Position (3,) [m] and rotation (3, 3) of the point between the finger pads; z points out of the hand."""
        site = self.handles.grip
        return self.data.site_xpos[site].copy(), self.data.site_xmat[site].reshape(3, 3).copy()

    def action_of(self, torque: Array, closed: float) -> NDArray[np.float32]:
        """A torque action: joint torques [N·m], and the gripper from open (-1) to closed (+1)."""
        limit = self.arm.tau_max
        return np.append(np.clip(torque, -limit, limit), closed).astype(np.float32)

    def overcome_friction(self, torque: Array) -> Array:
        """Add the joints' Coulomb friction in the direction of the torque, so that small torques move the arm too; shape (n,)."""
        return np.asarray(torque + self.sampled["joint_friction"] * np.tanh(torque / 0.3))

    def picture(self, camera: str, width: int, height: int, profile: str = "pretty") -> NDArray[np.uint8]:
        """What a camera sees now; uint8 RGB, shape (height, width, 3)."""
        self.scene.view.qpos[:] = self.data.qpos
        return self._draw(camera, width, height, profile, depth=False)

    # --- inside -----------------------------------------------------------------------------------------------------------

    def _check_rates(self) -> None:
        config = self.config
        for name in ("control_rate", "filter_rate"):
            rate = getattr(config, name)
            if rate < 1 or self.physics_rate % rate:
                divisors = [d for d in range(1, self.physics_rate + 1) if self.physics_rate % d == 0]
                raise InputError(
                    f"{name} {rate} Hz does not divide physics_rate {self.physics_rate} Hz: choose one of {divisors}"
                )
        self._steps = self.physics_rate // config.control_rate

    def _scene_for(self, key: Hashable) -> Scene:
        if key in self._scenes:
            self._scenes.move_to_end(key)
            return self._scenes[key]
        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        option = spec.option
        option.timestep = 1.0 / self.physics_rate
        option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST.value
        option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC.value
        option.impratio = 10.0
        # a reset inside mj_step would hide a divergence: the torque path looks for it and ends the episode instead
        option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        spec.memory = 8 * 2**20
        add_surroundings(spec)
        add_arm(spec, self.arm)
        for view in [*self.views.values(), VIDEO]:
            add_camera(spec.body("hand") if view.frame == "hand" else spec.worldbody, view)
        self.build(spec, key)
        model = spec.compile()
        data = mujoco.MjData(model)
        handles = arm_handles(model, self.arm)
        path = TorquePath(
            model,
            data,
            handles,
            self.arm,
            physics_rate=self.physics_rate,
            filter_rate=self.config.filter_rate,
            state_delay=STATE_DELAY,
        )
        scene = Scene(
            model,
            data,
            mujoco.MjData(model),
            handles,
            path,
            OperationalSpace(model, handles, self._start),
            Surroundings(model, data, tuple(self.views)),
        )
        self._scenes[key] = scene
        if len(self._scenes) > SCENES_KEPT:
            self._scenes.popitem(last=False)
        return scene

    def _snapshot(self) -> _Snapshot:
        data, handles = self.data, self.handles
        observe = self.config.observe
        force, torque = handles.wrist_force, handles.wrist_torque
        return _Snapshot(
            data.qpos.copy(),
            data.qvel.copy(),
            (data.mocap_pos.copy(), data.mocap_quat.copy()),
            self.scene.path.filtered.copy(),
            np.concatenate([data.sensordata[force : force + 3], data.sensordata[torque : torque + 3]]),
            self.privileged().astype(np.float32) if "state" in observe else np.zeros(0, np.float32),
        )

    def _observe(self) -> dict[str, NDArray[Any]]:
        shot = self._snapshots.popleft()
        handles, ranges, rng = self.handles, self.randomisation, self.np_random
        view = self.scene.view
        view.qpos[:] = shot.qpos
        view.mocap_pos[:], view.mocap_quat[:] = shot.mocap
        observation: dict[str, NDArray[Any]] = {}
        for item in self.config.observe:
            if item == "q":
                value: NDArray[Any] = shot.qpos[handles.qpos] + ranges.q_noise * rng.standard_normal(self.arm.n)
            elif item == "dq":
                value = shot.qvel[handles.dof] + ranges.dq_noise * rng.standard_normal(self.arm.n)
            elif item == "tau":
                value = shot.tau
            elif item == "gripper":
                value = np.array([shot.qpos[handles.finger_qpos].sum(), shot.qvel[handles.finger_dof].sum()])
            elif item == "wrench":
                noise = ranges.wrench_noise * np.repeat([1.0, 0.1], 3)
                value = shot.wrench + noise * rng.standard_normal(6)
            elif item == "state":
                value = shot.state
            else:
                name = item.removesuffix("_depth")
                camera = self.views[name]
                value = self._draw(name, camera.width, camera.height, "fast", depth=item != name)
                if value.dtype == np.uint8 and ranges.image_noise:
                    noise = ranges.image_noise * rng.standard_normal(value.shape, np.float32)
                    value = np.clip(value + noise, 0, 255).astype(np.uint8)
            observation[item] = value if value.dtype == np.uint8 else value.astype(np.float32)
        return observation

    def _draw(self, camera: str, width: int, height: int, profile: str, *, depth: bool) -> NDArray[Any]:
        model, view = self.model, self.scene.view
        renderer = self._renderers.get(profile)
        if renderer is None or renderer.assets != asset_counts(model) or not renderer.covers(width, height):
            if renderer is not None:
                renderer.close()
            sizes = [(v.width, v.height) for v in self.views.values()]
            widest = max([width, *(w for w, _ in sizes)])
            tallest = max([height, *(h for _, h in sizes)])
            renderer = self._renderers[profile] = Renderer(model, widest, tallest, profile)
        mujoco.mj_kinematics(model, view)
        mujoco.mj_comPos(model, view)
        mujoco.mj_camlight(model, view)
        return renderer.draw(model, view, model.camera(camera).id, width, height, depth=depth)

    def _observation_space(self) -> gymnasium.spaces.Dict:
        n = self.arm.n
        sizes = {"q": n, "dq": n, "tau": n, "gripper": 2, "wrench": 6}
        spaces: dict[str, gymnasium.Space[Any]] = {}
        for item in self.config.observe:
            if item in self.views:
                view = self.views[item]
                spaces[item] = gymnasium.spaces.Box(0, 255, (view.height, view.width, 3), np.uint8)
            elif item.endswith("_depth"):
                view = self.views[item.removesuffix("_depth")]
                spaces[item] = gymnasium.spaces.Box(0, np.inf, (view.height, view.width), np.float32)
            else:
                size = self.state_size if item == "state" else sizes[item]
                spaces[item] = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        return gymnasium.spaces.Dict(spaces)

    def _info(self, terms: dict[str, float]) -> dict[str, Any]:
        path = self.scene.path
        return {
            "success": self.success,
            "reward_terms": terms,
            "requested": path.request.copy(),
            "filtered": path.filtered.copy(),
            "sent": path.sent.copy(),
            "sampled": self.sampled,
        }
