"""From a moment of the simulation to what a policy is shown of it: pictures, readings and their noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.arm import ArmHandles
from robolearn.envs.config import DEPTH, channels
from robolearn.envs.randomisation import Randomisation
from robolearn.envs.rendering import Renderer, check_size
from robolearn.envs.scene import Scene
from robolearn.envs.views import VIDEO, View
from robolearn.errors import choose

Array = NDArray[np.float64]

_UNMOVED = (np.zeros((0, 3)), np.zeros((0, 4)))  # a world without bodies that are moved by hand


class Moment(NamedTuple):
    """What is kept of an instant until it is observed.

    Attributes:
        qpos, qvel: the whole simulation's positions and velocities.
        mocap: positions and quaternions of bodies that a task moves by hand.
        tau: torque sent last, gravity excluded, shape (n,) [N·m].
        sensordata: of the whole model, the force and the torque at the wrist among it [N, N·m].
        state: the task's privileged state; empty unless it is observed.
    """

    qpos: Array
    qvel: Array
    mocap: tuple[Array, Array]
    tau: Array
    sensordata: Array
    state: Array

    @classmethod
    def of(cls, scene: Scene, state: Array) -> Moment:
        """The present of a scene."""
        data = scene.data
        return cls(
            data.qpos.copy(),
            data.qvel.copy(),
            (data.mocap_pos.copy(), data.mocap_quat.copy()) if scene.model.nmocap else _UNMOVED,
            scene.path.filtered.copy(),
            data.sensordata.copy(),
            state,
        )


class Observer:
    """Looks at moments through cameras and sensors.

    Args:
        observe: names of cameras, of their depth and of channels, as in `TaskConfig`.
        views: the cameras by name.
        joints: number of arm joints n.
        state_size: length of the privileged state.
    """

    def __init__(
        self, observe: tuple[str, ...], views: dict[str, View], joints: int, state_size: int
    ) -> None:
        self._observe = observe
        self._views = views
        self._sizes = {name: channel.size for name, channel in channels(joints).items()}
        self._sizes["state"] = state_size
        self._renderers: dict[str, Renderer] = {}

    def space(self) -> gymnasium.Space[Any]:
        """What `read` returns."""
        spaces: dict[str, gymnasium.Space[Any]] = {}
        for item in self._observe:
            if item in self._sizes:
                spaces[item] = gymnasium.spaces.Box(-np.inf, np.inf, (self._sizes[item],), np.float32)
                continue
            view = self._views[item.removesuffix(DEPTH)]
            if item in self._views:
                spaces[item] = gymnasium.spaces.Box(0, 255, (view.height, view.width, 3), np.uint8)
            else:
                spaces[item] = gymnasium.spaces.Box(0, np.inf, (view.height, view.width), np.float32)
        return gymnasium.spaces.Dict(spaces)

    def read(
        self, scene: Scene, moment: Moment, noise: Randomisation, rng: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        """An observation of a moment of a scene, with the noise of a randomisation.

        Returns:
            pictures uint8 (height, width, 3), depth float32 (height, width) [m], channels float32 (k,).
        """
        renderer: Renderer | None = None
        observation: dict[str, NDArray[Any]] = {}
        for item in self._observe:
            if item in self._sizes:
                observation[item] = _reading(item, scene.handles, moment, noise, rng).astype(np.float32)
                continue
            if renderer is None:
                _show(scene, moment.qpos, moment.mocap)
                renderer = self._renderer(scene, "fast")
            view = self._views[item.removesuffix(DEPTH)]
            picture = renderer.draw(
                scene.model,
                scene.view,
                _camera(scene, view.name),
                view.width,
                view.height,
                depth=item != view.name,
            )
            if item == view.name:
                picture = speckled(picture, noise.image_noise, rng)
            observation[item] = picture
        return observation

    def picture(self, scene: Scene, camera: str, width: int, height: int, profile: str) -> NDArray[np.uint8]:
        """What a camera sees of a scene's present, shape (height, width, 3).

        Raises:
            InputError: there is no such camera, or such a size.
        """
        choose("camera", camera, [*self._views, VIDEO.name])
        check_size(width, height)
        _show(scene, scene.data.qpos, (scene.data.mocap_pos, scene.data.mocap_quat))
        renderer = self._renderer(scene, profile, width, height)
        return renderer.draw(scene.model, scene.view, _camera(scene, camera), width, height)

    def textures_changed(self, scene: Scene) -> None:
        """Draw with the textures that the scene's model has now."""
        for renderer in self._renderers.values():
            renderer.upload_textures(scene.model)

    def close(self) -> None:
        """Free what rendering holds; the next picture takes it anew."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _renderer(self, scene: Scene, profile: str, width: int = 1, height: int = 1) -> Renderer:
        """Ready to draw a scene, in the cameras' sizes and the one given."""
        renderer = self._renderers.get(profile)
        if renderer is None or renderer.assets != scene.assets or not renderer.covers(width, height):
            if renderer is not None:
                renderer.close()
            widest = max([width, *(view.width for view in self._views.values())])
            tallest = max([height, *(view.height for view in self._views.values())])
            renderer = self._renderers[profile] = Renderer(scene.model, widest, tallest, profile)
        renderer.use(scene.model)
        return renderer


def speckled(picture: NDArray[np.uint8], spread: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture with the noise of a sensor, of a standard deviation of so many 255ths."""
    if not spread:
        return picture
    noisy = picture + spread * rng.standard_normal(picture.shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _camera(scene: Scene, name: str) -> int:
    return int(mujoco.mj_name2id(scene.model, mujoco.mjtObj.mjOBJ_CAMERA.value, name))


def _reading(
    item: str, handles: ArmHandles, moment: Moment, noise: Randomisation, rng: np.random.Generator
) -> Array:
    """One channel, noise included."""
    if item == "q":
        return _blurred(moment.qpos[handles.qpos], noise.q_noise, rng)
    if item == "dq":
        return _blurred(moment.qvel[handles.dof], noise.dq_noise, rng)
    if item == "tau":
        return moment.tau
    if item == "gripper":
        (q, other_q), (dq, other_dq) = handles.finger_qpos, handles.finger_dof
        return np.array([moment.qpos[q] + moment.qpos[other_q], moment.qvel[dq] + moment.qvel[other_dq]])
    if item == "wrench":  # the hand's weight is in it
        force = moment.sensordata[handles.wrist_force : handles.wrist_force + 3]
        torque = moment.sensordata[handles.wrist_torque : handles.wrist_torque + 3]
        spread = noise.wrench_noise
        return np.concatenate([_blurred(force, spread, rng), _blurred(torque, 0.1 * spread, rng)])
    return moment.state


def _blurred(value: Array, spread: float, rng: np.random.Generator) -> Array:
    return value + spread * rng.standard_normal(len(value)) if spread else value


def _show(scene: Scene, qpos: Array, mocap: tuple[Array, Array]) -> None:
    """Put a state before the cameras."""
    model, view = scene.model, scene.view
    view.qpos[:] = qpos
    view.mocap_pos[:], view.mocap_quat[:] = mocap
    mujoco.mj_kinematics(model, view)
    mujoco.mj_comPos(model, view)  # lights and cameras may follow a centre of mass
    mujoco.mj_camlight(model, view)
