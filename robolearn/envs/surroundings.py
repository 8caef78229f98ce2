"""The room: table, lamp and distractors, and what randomisation changes in a compiled model."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.kinematics import rotation_from_vector

TABLE = "table"
DISTRACTORS = 4
_TEXTURE_SIZE = 64  # [pixels]
_TILES = 8  # of one colour, along a side of the texture
_CHANGED = (
    "body_mass",
    "body_inertia",
    "body_pos",
    "body_quat",
    "geom_friction",
    "geom_rgba",
    "geom_matid",
    "cam_pos",
    "cam_quat",
    "cam_fovy",
    "light_dir",
    "light_diffuse",
    "dof_frictionloss",
)
_OFFSETS = ("cam_pos0", "cam_poscom0", "light_pos0", "light_poscom0")


def add_surroundings(spec: mujoco.MjSpec) -> None:
    """A table top at z = 0, a lamp, and distractors, which touch nothing and are hidden unless asked for."""
    world = spec.worldbody
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.map.znear = 0.005
    spec.visual.map.zfar = 5.0
    spec.stat.extent = 1.0
    spec.add_texture(
        name="pattern",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=[1, 1, 1],
        width=_TEXTURE_SIZE,
        height=_TEXTURE_SIZE,
    )
    spec.add_texture(  # for people; policies see black where there is nothing
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.89, 0.93],
        rgb2=[0.55, 0.60, 0.68],
        width=64,
        height=64,
    )
    pattern = spec.add_material(name="pattern", texrepeat=[3, 3])
    pattern.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = "pattern"
    world.add_light(
        name="lamp",
        pos=[0.3, -0.6, 1.6],
        dir=[0.1, 0.35, -1.0],
        diffuse=[0.55, 0.55, 0.55],
        specular=[0.1, 0.1, 0.1],
        castshadow=True,
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
    )
    world.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.6, 0.7, 0.05],
        pos=[0.35, 0.0, -0.05],
        rgba=[0.62, 0.60, 0.57, 1.0],
        friction=[0.8, 0.01, 0.001],
        condim=4,
    )
    kinds = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_SPHERE)
    for index in range(DISTRACTORS):
        body = world.add_body(name=f"distractor{index}", pos=[0.0, 0.6, 0.03])
        body.add_geom(
            name=f"distractor{index}",
            type=kinds[index % 3],
            size=[0.03, 0.03, 0.03],
            rgba=[0.5, 0.5, 0.5, 0.0],
            contype=0,
            conaffinity=0,
        )


class Surroundings:
    """Applies an episode's sampled conditions to a model, always starting from the model as it was compiled.

    Args:
        model: as compiled; every `apply` begins by restoring what is in `_CHANGED`.
        data: some state of it, used as scratch where quantities derived from masses are computed.
        cameras: names of the cameras that are moved, in the order of the sampled values.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, cameras: tuple[str, ...]) -> None:
        self._model, self._data = model, data
        self._nominal: dict[str, NDArray[Any]] = {name: getattr(model, name).copy() for name in _CHANGED}
        self._cameras = [model.camera(name).id for name in cameras]
        free = int(mujoco.mjtJoint.mjJNT_FREE)
        self._loose = [int(model.jnt_bodyid[j]) for j in range(model.njnt) if int(model.jnt_type[j]) == free]
        self._table = model.geom(TABLE).id
        start = int(model.tex_adr[model.texture("pattern").id])
        self._pixels = slice(start, start + _TEXTURE_SIZE**2 * 3)
        self._distractors = [model.body(f"distractor{i}").id for i in range(DISTRACTORS)]
        self._extent = model.stat.extent
        self._offsets = {name: getattr(model, name).copy() for name in _OFFSETS}
        self._scaled = False

    def apply(self, sampled: dict[str, Any], arm_dof: NDArray[np.int_]) -> None:
        """Write an episode's conditions into the model.

        Args:
            sampled: what `Randomisation.sample` drew.
            arm_dof: the arm's joints in qvel, shape (n,).
        """
        model = self._model
        for name, value in self._nominal.items():
            getattr(model, name)[:] = value
        rng = np.random.default_rng(sampled["colour_seed"])

        model.light_diffuse[:] = np.clip(model.light_diffuse * sampled["light_intensity"], 0, 1)
        model.light_dir[:] += sampled["light_shift"]  # a lamp far away: only its direction is seen
        for row, camera in enumerate(self._cameras):
            model.cam_pos[camera] += sampled["camera_shift"][row]
            turn = np.zeros(4)
            mujoco.mju_mat2Quat(turn, rotation_from_vector(sampled["camera_turn"][row]).ravel())
            mujoco.mju_mulQuat(model.cam_quat[camera], self._nominal["cam_quat"][camera].copy(), turn)
            half = np.tan(np.radians(model.cam_fovy[camera]) / 2) / sampled["focal_scale"][row]
            model.cam_fovy[camera] = np.degrees(2 * np.arctan(half))

        shift = sampled["colour_shift"]
        if shift:
            colours = model.geom_rgba[:, :3]
            colours += rng.uniform(-shift, shift, colours.shape)
            np.clip(colours, 0, 1, out=colours)
        self.furnish(sampled["texture"], sampled["distractors"], rng)

        model.geom_friction[:, 0] *= sampled["friction_scale"]
        model.dof_frictionloss[arm_dof] = sampled["joint_friction"]
        scaled = sampled["mass_scale"] != 1.0
        if scaled:
            model.body_mass[self._loose] *= sampled["mass_scale"]
            model.body_inertia[self._loose] *= sampled["mass_scale"]
        if scaled or self._scaled:  # quantities that the compiler derived from masses
            mujoco.mj_setConst(model, self._data)
            # MuJoCo 3 derives these anew, too, though no mass is in them; clipping planes follow the extent
            model.stat.extent = self._extent
            for name in _OFFSETS:
                getattr(model, name)[:] = self._offsets[name]
        self._scaled = scaled

    def furnish(self, texture: bool, distractors: int, rng: np.random.Generator) -> None:
        """Lay a pattern on the table, and put things beside the work that have nothing to do with it.

        Args:
            texture: whether there is a pattern.
            distractors: how many things.
            rng: draws what the pattern is, and where the things stand.
        """
        model = self._model
        if texture:
            model.geom_matid[self._table] = model.material("pattern").id
            tile = np.ones((_TEXTURE_SIZE // _TILES, _TEXTURE_SIZE // _TILES, 1))
            pattern = np.kron(rng.uniform(0.4, 1.0, (_TILES, _TILES, 3)), tile)
            model.tex_data[self._pixels] = (255 * pattern).astype(np.uint8).ravel()
        for body in self._distractors[:distractors]:
            side = rng.choice([-1.0, 1.0])
            model.body_pos[body] = [rng.uniform(0.25, 0.75), side * rng.uniform(0.2, 0.35), 0.03]
            geom = int(model.body_geomadr[body])
            model.geom_rgba[geom] = [*rng.uniform(0, 1, 3), 1.0]
