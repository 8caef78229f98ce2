from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import mujoco
import numpy as np
import pytest
from small_task import BallConfig, BallEnv

from robolearn.camera import Camera
from robolearn.envs import rendering
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.randomisation import CLEAN, RICH
from robolearn.envs.tasks import make
from robolearn.errors import InputError

CAMERAS = ("front", "wrist", "front_depth", "wrist_depth")


def hand_pose(env: ManipulationEnv) -> tuple[np.ndarray, np.ndarray]:
    return env.data.xpos[env.handles.hand], env.data.xmat[env.handles.hand].reshape(3, 3)


def pose(env: ManipulationEnv, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Of a contract's camera in the world, whose frame the arm's base is."""
    position, rotation = np.array(camera.position), camera.rotation
    if camera.frame == "base":
        return position, rotation
    at, turned = hand_pose(env)
    return at + turned @ position, turned @ rotation


def pixel(env: ManipulationEnv, camera: Camera, point: np.ndarray) -> tuple[np.ndarray, float]:
    """Where a camera sees a point: column and row, and the distance along the optical axis."""
    position, rotation = pose(env, camera)
    local = rotation.T @ (point - position)
    u, v, _ = camera.matrix @ (local / local[2])
    return np.array([u, v]), float(local[2])


def green(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """Middle of the flag in a picture, column and row, and the number of its pixels."""
    r, g, b = picture.astype(int).transpose(2, 0, 1)
    rows, columns = np.nonzero((g > 60) & (g > 3 * r) & (g > 3 * b))
    return np.array([columns.mean(), rows.mean()]) if len(rows) else np.zeros(2), len(rows)


@pytest.mark.parametrize("name", ["front", "wrist"])
def test_a_point_is_seen_where_the_contract_says(name: str) -> None:
    env = BallEnv(observe=CAMERAS)
    env.randomisation = replace(CLEAN, observation_delay=(0.0, 0.0))
    camera = {camera.name: camera for camera in env.contract().cameras}[name]
    assert (camera.width, camera.height) == ((96, 64) if name == "front" else (64, 64))
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(30):
        point = rng.uniform((0.3, -0.2, 0.02), (0.6, 0.2, 0.35))
        if name == "wrist":  # between the table and the hand, which looks down from 0.25 m
            point = env.grip_pose()[0] + rng.uniform((0.01, -0.08, -0.15), (0.1, 0.08, -0.05))
        env.data.mocap_pos[0] = point
        observation, *_ = env.step(np.zeros(8))
        middle, size = green(observation[name])
        expected, distance = pixel(env, camera, point)
        inside = (expected > 3).all() and (expected < [camera.width - 4, camera.height - 4]).all()
        if not inside or size < 4:
            continue  # out of the picture, or behind the arm
        found += 1
        assert middle == pytest.approx(expected, abs=0.7)
        column, row = expected.round().astype(int)
        assert (
            distance - 0.011 < observation[f"{name}_depth"][row, column] < distance + 0.001
        )  # its near side
        env.reset(seed=0)
    assert found > 8
    env.close()


def test_depth_is_what_rays_measure() -> None:
    env = make("grasp", {"observe": ("front_depth", "wrist_depth"), "image_size": 48, "count": 4})
    env.randomisation = replace(CLEAN, observation_delay=(0.0, 0.0))
    observation, _ = env.reset(seed=3)
    for _ in range(12):
        observation, *_ = env.step(env.teacher())
    drawn = np.array([1, 1, 1, 0, 0, 0], np.uint8)
    for camera in env.contract().cameras:
        position, rotation = pose(env, camera)
        measured, traced = [], []
        for row in range(0, 48, 3):
            for column in range(0, 48, 3):
                ray = np.linalg.solve(camera.matrix, [column, row, 1.0])
                length = np.linalg.norm(ray)
                geom = np.zeros(1, np.int32)
                distance = mujoco.mj_ray(
                    env.model, env.data, position, rotation @ ray / length, drawn, 1, -1, geom
                )
                measured.append(float(observation[camera.name][row, column]))
                traced.append(distance / length if distance >= 0 else 5.0)
        error = np.abs(np.array(measured) - traced)
        assert np.median(error) < 1e-4
        assert np.mean(error < 2e-3) > 0.9  # the rest are edges, and round things drawn with few facets
    env.close()


@pytest.mark.parametrize("name", ["grasp", "peg-insertion"])
def test_leaving_out_what_a_camera_cannot_see_changes_no_pixel(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make(name, {"observe": ("front", "wrist")})
    env.randomisation = replace(RICH, texture=1.0, image_noise=0.0)
    left_out = 0
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(3):
            for _ in range(6):
                env.step(env.teacher())
            view = env.scene.view
            shapes = [rendering.shapes_in_picture(env.model, view, i, 1.0) for i in range(2)]
            left_out += sum(int((~seen).sum()) for seen in shapes)
            few = [env.picture(camera, 64, 64, "fast") for camera in ("front", "wrist")]
            with monkeypatch.context() as patch:
                patch.setattr(rendering, "shapes_in_picture", lambda model, *_: np.ones(model.ngeom, bool))
                every = [env.picture(camera, 64, 64, "fast") for camera in ("front", "wrist")]
            assert all(np.array_equal(a, b) for a, b in zip(few, every, strict=True))
            assert not np.array_equal(few[0], few[1])
    assert left_out > 100
    assert set(env.model.geom_group) <= {0, 3}  # as they were
    env.close()


@dataclass(frozen=True)
class MeshConfig(BallConfig):
    observe: tuple[str, ...] = ("front",)


class MeshEnv(BallEnv):
    """Beside the ball stands a block: a mesh of eight corners, low in one world and high in another."""

    config_type = MeshConfig

    def scene_key(self) -> Hashable:
        return int(self.np_random.integers(2))

    def build(self, spec: mujoco.MjSpec, key: Hashable) -> None:
        super().build(spec, key)
        size = np.array([0.05, 0.05, 0.3 if key else 0.05])
        corners = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T * size
        spec.add_mesh(name="block", uservert=corners.ravel())
        colour = np.array([[[200, 40, 40]], [[40, 40, 200]]][bool(key)], np.uint8)
        spec.add_texture(
            name="paint",
            type=mujoco.mjtTexture.mjTEXTURE_CUBE,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            rgb1=colour[0] / 255,
            width=8,
            height=48,
        )
        paint = spec.add_material(name="paint")
        paint.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "paint"
        body = spec.worldbody.add_body(pos=[0.4, -0.2, 0.05])
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname="block",
            material="paint",
            contype=0,
            conaffinity=0,
        )


def test_each_world_is_drawn_with_its_own_meshes_and_textures() -> None:
    env = MeshEnv()
    worlds: dict[bytes, np.ndarray] = {}
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        fresh = MeshEnv()
        expected, _ = fresh.reset(seed=seed)
        assert np.array_equal(observation["front"], expected["front"])
        worlds[env.scene.assets] = observation["front"]
        fresh.close()
    assert len(worlds) == 2
    env.close()


def test_worlds_without_meshes_share_a_renderer() -> None:
    env = make("grasp", {"observe": ("front",)})
    keys = set()
    for seed in range(3):
        env.reset(seed=seed)
        keys.add(env.scene.assets)
    assert len(keys) == 1
    env.close()


def test_a_picture_of_any_camera_in_any_size() -> None:
    env = BallEnv(observe=("front",))
    env.reset(seed=0)
    for profile in ("fast", "pretty"):
        assert env.picture("wrist", 100, 50, profile).shape == (50, 100, 3)
    assert env.picture("video", 30, 40).shape == (40, 30, 3)
    with pytest.raises(
        InputError, match=r"unknown camera 'frnt' .*'front'.*: choose one of front, wrist, video"
    ):
        env.picture("frnt", 10, 10)
    with pytest.raises(InputError, match="unknown render profile 'ugly': choose one of fast, pretty"):
        env.picture("front", 10, 10, "ugly")
    with pytest.raises(InputError, match="at least 1 x 1"):
        env.picture("front", 0, 10)
    env.close()


def test_readings_are_those_of_the_simulation() -> None:
    env = BallEnv(observe=("q", "dq", "tau", "gripper", "wrench", "state"))
    env.randomisation = replace(CLEAN, observation_delay=(0.0, 0.0))
    env.reset(seed=0)
    data, handles = env.data, env.handles
    for width in (-1.0, 1.0, 1.0, 1.0):
        observation, *_, info = env.step(np.r_[np.full(7, 0.3), width])
    expected = {
        "q": data.qpos[handles.qpos],
        "dq": data.qvel[handles.dof],
        "tau": info["filtered"],
        "gripper": [env.width, data.qvel[handles.finger_dof].sum()],
        "wrench": np.r_[data.sensor("wrist_force").data, data.sensor("wrist_torque").data],
        "state": env.privileged(),
    }
    assert set(expected) == set(observation)
    for name, value in expected.items():
        assert np.array_equal(observation[name], np.asarray(value, np.float32)), name
    assert observation["tau"] == pytest.approx(np.full(7, 0.3))
    assert 0.0 < observation["gripper"][0] < 0.08
    assert observation["gripper"][1] < -0.05
