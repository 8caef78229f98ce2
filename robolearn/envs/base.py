"""`ManipulationEnv`: the small base that every task subclasses.

A task says what stands in the scene (`build`), where (`place`), what counts (`reward_terms`, `holds`) and how
a privileged teacher would do it (`teacher`). Everything else lives here: the arm, the torque path, cameras,
delays, randomisation, observations.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any, ClassVar

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.contract import Contract
from robolearn.envs.arm import ArmHandles
from robolearn.envs.commands import command_space, make_command
from robolearn.envs.config import CHANNELS, TaskConfig, check, views_of, weighed
from robolearn.envs.kinematics import DOWN, reach
from robolearn.envs.observing import Moment, Observer
from robolearn.envs.promising import contract_of
from robolearn.envs.randomisation import tier
from robolearn.envs.scene import Scene, Scenes, compile_scene
from robolearn.envs.starting import draw_start, set_hand
from robolearn.envs.timeline import Timeline
from robolearn.envs.views import VIDEO
from robolearn.errors import choose
from robolearn.hardware.arm import ArmProfile, load_arm

__all__ = ["CHANNELS", "ManipulationEnv", "TaskConfig"]

Array = NDArray[np.float64]

_NOTHING: Array = np.zeros(0)


class ManipulationEnv(gymnasium.Env[dict[str, NDArray[Any]], NDArray[np.float32]]):
    """A torque-controlled arm with a gripper, two cameras and a task.

    Args:
        config: what is asked for; None takes the task's defaults.
        render_mode: None or "rgb_array" (what `render` returns: a pretty picture for people, 480 x 480).
        **changes: fields of the config to replace, such as `observe=("q", "dq", "state")`.

    Raises:
        InputError: a field that does not exist or cannot be used; the message names it and the choices.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012  (gymnasium's own)
    name: ClassVar[str] = ""
    config_type: ClassVar[type[TaskConfig]] = TaskConfig
    hold_steps: ClassVar[int] = 1
    state_size: ClassVar[int] = 0
    starts_closed: ClassVar[bool] = False
    start_position: ClassVar[tuple[float, float, float]] = (0.5, 0.0, 0.25)

    def __init__(
        self, config: TaskConfig | None = None, render_mode: str | None = None, **changes: Any
    ) -> None:
        config = config or self.config_type()
        for key in changes:
            choose(f"parameter of {type(self).__name__}", key, [field.name for field in fields(config)])
        self.config = config = replace(config, **changes)
        if render_mode is not None:
            choose("render mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": config.control_rate}
        self.arm: ArmProfile = load_arm(config.arm)
        self.randomisation = tier(config.randomisation)
        self.conditions = self.randomisation  # of this episode: it may be asked to be a clean one
        self.physics_rate = (
            self.natural_physics_rate() if config.physics_rate is None else config.physics_rate
        )
        check(config, self.physics_rate)
        self.views = views_of(config)

        self._scenes = Scenes()
        self.usual_posture = self.arm.home  # near which the arm is started and steered
        self.scene = self._scene_for(self.scene_key())
        self.usual_posture = reach(
            self.model, self.data, self.handles, self.arm, np.array(self.start_position), DOWN
        )
        self._scenes.clear()
        self.success = False
        self.drops = self.jams = 0
        self._finished = True
        self._seen: dict[str, Any] | None = None  # by `once`, in the step that is being judged
        self._observer = Observer(tuple(config.observe), self.views, self.arm.n, self.state_size)
        self.observation_space = self._observer.space()
        self.action_space = command_space(config.action, self.arm)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, or what comes out of a pickle, has the configuration and begins with a reset."""
        return type(self), (self.config, self.render_mode)

    # --- what a task writes ---------------------------------------------------------------------------------

    def natural_physics_rate(self) -> int:
        """Simulation steps a second that the task's contacts need [Hz]."""
        return 400

    def scene_key(self) -> Hashable:
        """Which world the next episode needs, drawn from `self.np_random`; compiled when it is not kept."""
        return 0

    def scenes_kept(self) -> int:
        """How many compiled worlds are kept for when they come again; one takes 1 to 5 MB."""
        return 128

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        """Add the task's bodies to a scene that already has the arm, a table top at z = 0 and light."""
        raise NotImplementedError

    def place(self) -> None:
        """Put things where `self.np_random` wants them in this episode, in `self.data` and `self.model`.

        Where `self.scattered` is set, also bring the hand somewhere on its way, with `bring_hand`.
        """
        raise NotImplementedError

    def watch(self) -> None:
        """Look for events after a control step, and count them: `self.drops` and `self.jams`."""

    def holds(self) -> bool:
        """Whether the goal holds in the simulator's state; for `hold_steps` steps on end it is a success."""
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

    # --- gymnasium ------------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin an episode; `info["sampled"]` has everything that was drawn for it.

        With the option "scattered" the arm begins somewhere on the way to the goal, moving, in place of where
        the task begins: many short episodes from there show a learner more of the world than few long ones.
        With the option "clean" it has the conditions of the clean tier, whatever the configuration says.

        Raises:
            InputError: an option that is not known.
        """
        super().reset(seed=seed)
        for option in options or {}:
            choose("option of reset", option, ("scattered", "clean"))
        self.scattered = bool((options or {}).get("scattered", False))
        clean = bool((options or {}).get("clean", False))
        self.conditions = tier("clean") if clean else self.randomisation
        self.scene = self._scene_for(self.scene_key())
        model, data, path = self.model, self.data, self.scene.path
        self.sampled = self.conditions.sample(self.np_random, self.arm.n, tuple(self.views))
        self.scene.surroundings.apply(self.sampled, self.handles.dof)
        if self.sampled["texture"]:
            self._observer.textures_changed(self.scene)
        mujoco.mj_resetData(model, data)
        data.qpos[self.handles.qpos] = draw_start(self)
        data.qpos[self.handles.finger_qpos] = self.arm.gripper.max_width / 2
        mujoco.mj_forward(model, data)
        path.gain[:] = self.sampled["torque_gain"]
        path.reset()
        self.place()
        mujoco.mj_forward(model, data)
        path.reset_meters()
        path.tare[:] = data.sensordata[self.handles.wrist_force : self.handles.wrist_force + 3]
        self._begin()
        return self._observe(), self._info({}) | {"sampled": deepcopy(self.sampled)}

    def _begin(self) -> None:
        self._index = self._held = 0  # actions taken, and for how many on end the goal has held
        self.drops = self.jams = 0
        self._finished = False
        self.success = False
        waiting = np.append(np.zeros(self.arm.n), 1.0 if self.starts_closed else -1.0)
        self._timeline = Timeline(
            self.physics_rate // self.config.control_rate,
            command_age=round(self.sampled["action_delay"] * self.physics_rate),
            moment_age=round(self.sampled["observation_delay"] * self.physics_rate),
            waiting=make_command("torque", waiting, self),
            look=self._present,
        )

    def step(self, action: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """One control step; see `gymnasium.Env.step`.

        Returns:
            observation, reward, terminated (success or failure), truncated (time), and info: "success";
            "reason" ("success", "time", "diverged" or the task's own failure; "" while the episode goes on);
            "reward_terms", unscaled; "drops" and "jams", so far; "requested", "filtered" and "sent" torque of
            the limiter's latest tick, each shape (n,) [N·m].

        Raises:
            InputError: the action has a wrong shape or is not finite; nothing has happened then.
            RuntimeError: the episode is over, or none has begun.
        """
        if self._finished:
            raise RuntimeError("no episode is going on: call reset() before step()")
        self._timeline.step(make_command(self.config.action, action, self), self._present)
        self._follow()
        self._index += 1

        terms, reason = self._judge()
        reward = weighed(terms, self.config.reward_scales, type(self).__name__)
        truncated = reason is None and self._index >= self.max_steps
        self._finished = reason is not None or truncated
        info = self._info(terms)
        info["reason"] = reason or ("time" if truncated else "")
        return self._observe(), reward, reason is not None, truncated, info

    def _judge(self) -> tuple[dict[str, float], str | None]:
        """The reward's terms, and why the episode is over, or None."""
        if self.scene.path.diverged:
            self._held, self.success = 0, False
            return dict.fromkeys(self.config.reward_scales, 0.0), "diverged"
        self._seen = {}
        try:
            self.watch()
            terms = self.reward_terms()
            self._held = self._held + 1 if self.holds() else 0
            self.success = self._held >= self.hold_steps
            return terms, "success" if self.success else self.failure()
        finally:
            self._seen = None

    def advance(self, torque: Array, width: float, steps: int) -> None:
        """Physics under one torque request, and the frames (`data.xpos` and so on) of where it leads.

        MuJoCo's own step leaves the frames where the step began.

        Args:
            torque: asked of the torque path, shape (n,) [N·m].
            width: where the gripper is to go [m].
            steps: physics steps.
        """
        self.scene.path.advance(torque, width, steps)
        self._follow()

    def _follow(self) -> None:
        """Bring the frames to where the physics is."""
        if not self.scene.path.diverged:
            mujoco.mj_kinematics(self.model, self.data)
            mujoco.mj_comPos(self.model, self.data)

    def render(self) -> Any:
        """The present as people see it, shape (480, 480, 3); None without a render mode."""
        if self.render_mode is None:
            return None
        return self.picture(VIDEO.name, VIDEO.width, VIDEO.height, "pretty")

    def close(self) -> None:
        """Free what rendering holds; it is taken anew if the environment is used again."""
        self._observer.close()

    # --- the present state ----------------------------------------------------------------------------------

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
        """Torques that disturb the arm noticeably within a control step, shape (n,) [N·m]."""
        return self.arm.noticeable_torque

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
        return contract_of(self, history)

    def grip_pose(self) -> tuple[Array, Array]:
        """Position (3,) [m] and rotation (3, 3) of the point between the pads; z points out of the hand."""
        site = self.handles.grip
        return self.data.site_xpos[site].copy(), self.data.site_xmat[site].reshape(3, 3).copy()

    def bring_hand(self, position: Array, rotation: Array, twist: Array) -> bool:
        """Set the arm so that the hand has a pose and a velocity, in a posture near the usual one.

        Args:
            position: of the grip point, shape (3,) [m].
            rotation: of the hand, shape (3, 3).
            twist: linear and angular velocity, shape (6,) [m/s, rad/s].

        Returns:
            Whether that was possible without touching anything; if not, the arm is as it was.
        """
        return set_hand(self, position, rotation, twist)

    def fingers_touch(self, body: int) -> bool:
        """Whether both fingers touch a body, with their pads or above them."""
        pairs = self.touching_bodies()
        fingers = self.handles.fingers.tolist()
        return all([body, finger] in pairs or [finger, body] in pairs for finger in fingers)

    def touching_bodies(self) -> list[list[int]]:
        """The two bodies of every contact, in the order of `data.contact`."""
        return self.once("pairs", lambda: self.model.geom_bodyid[self.data.contact.geom].tolist())

    def once(self, name: str, look: Callable[[], Any]) -> Any:
        """What `look` gives; while a step is judged, by `watch` and what follows it, it looks only once."""
        if self._seen is None:
            return look()
        if name not in self._seen:
            self._seen[name] = look()
        return self._seen[name]

    def action_of(self, torque: Array, closed: float) -> NDArray[np.float32]:
        """A torque action: joint torques [N·m], and the gripper from open (-1) to closed (+1)."""
        limit = self.arm.tau_max
        return np.append(np.clip(torque, -limit, limit), closed).astype(np.float32)

    def overcome_friction(self, torque: Array) -> Array:
        """What to command so that the joints feel a torque, shape (n,) [N·m], for teachers only.

        It undoes this episode's torque gains, and adds the joints' friction: along the motion, and from rest
        along the torque.
        """
        motion = np.tanh(self.data.qvel[self.handles.dof] / 0.01 + torque / 0.02)  # rad/s, N·m: small ones
        return np.asarray((torque + self.sampled["joint_friction"] * motion) / self.sampled["torque_gain"])

    def picture(self, camera: str, width: int, height: int, profile: str = "pretty") -> NDArray[np.uint8]:
        """What a camera sees now; uint8 RGB, shape (height, width, 3)."""
        return self._observer.picture(self.scene, camera, width, height, profile)

    # --- inside ---------------------------------------------------------------------------------------------

    def _scene_for(self, key: Hashable) -> Scene:
        return self._scenes.take(
            key,
            self.scenes_kept(),
            lambda: compile_scene(
                self.arm,
                self.views.values(),
                lambda spec: self.build(spec, key),
                physics_rate=self.physics_rate,
                filter_rate=self.config.filter_rate,
                posture=self.usual_posture,
            ),
        )

    def _present(self) -> Moment:
        """What an observation will show; of a world that flew apart, what was before."""
        if not self.scene.path.diverged:
            state = _NOTHING
            if "state" in self.config.observe:
                self._follow()
                state = self.privileged()
            self._latest = Moment.of(self.scene, state)
        return self._latest

    def _observe(self) -> dict[str, NDArray[Any]]:
        return self._observer.read(self.scene, self._timeline.seen(), self.conditions, self.np_random)

    def _info(self, terms: dict[str, float]) -> dict[str, Any]:
        path = self.scene.path
        return {
            "success": self.success,
            "reward_terms": terms,
            "drops": self.drops,
            "jams": self.jams,
            "requested": path.request.copy(),
            "filtered": path.filtered.copy(),
            "sent": path.sent.copy(),
        }
