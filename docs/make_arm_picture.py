"""Draw the picture of docs/arms.md: `python docs/make_arm_picture.py` writes docs/images/arms.png."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import mujoco
import numpy as np
from numpy.typing import NDArray

import robolearn  # noqa: F401  (chooses the GL backend)
from robolearn.envs.arm import add_arm, arm_handles
from robolearn.hardware.arm import load_arm

VIEWS = ((135.0, -15.0, 1.45), (90.0, -8.0, 1.45), (155.0, -10.0, 0.55))  # azimuth, elevation, distance
POSTURE = [0.3, -0.3, 0.2, -2.1, 0.1, 1.9, 1.2]


def pictures(size: int) -> NDArray[np.uint8]:
    spec = mujoco.MjSpec()
    floor = spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], rgba=[0.62, 0.66, 0.7, 1]
    )
    floor.name = "floor"
    spec.worldbody.add_light(pos=[1, -1, 2.5], dir=[-0.4, 0.4, -1], diffuse=[0.5] * 3)
    spec.visual.headlight.ambient = [0.35] * 3
    arm = load_arm("panda")
    add_arm(spec, arm)
    model = spec.compile()
    data, handles = mujoco.MjData(model), arm_handles(model, arm)
    data.qpos[handles.qpos] = POSTURE
    data.qpos[handles.finger_qpos] = 0.03
    mujoco.mj_forward(model, data)
    row = []
    with mujoco.Renderer(model, size, size) as renderer:
        for azimuth, elevation, distance in VIEWS:
            camera = mujoco.MjvCamera()
            camera.azimuth, camera.elevation, camera.distance = azimuth, elevation, distance
            camera.lookat = data.site_xpos[handles.grip] + [0, 0, 0.1] if distance < 1 else [0.25, 0.05, 0.38]
            renderer.update_scene(data, camera)
            row.append(renderer.render().copy())
    return np.hstack(row)


if __name__ == "__main__":
    iio.imwrite(Path(__file__).parent / "images" / "arms.png", pictures(320))
