"""Draw every object of the library into docs/images/objects.png.

    MUJOCO_GL=egl python docs/make_object_sheet.py

A row is a family, held-out objects are on the right. Each object lies in one of its rests, between the finger
pads of its best grasp.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.kinematics import quaternion_of
from robolearn.envs.objects import ObjectModel, add_object, grasps_for, library, resting_pose
from robolearn.envs.objects.grasps import PAD
from robolearn.envs.objects.model import frame_with, rotation_matrix

TILE = 96  # [pixels]
SPACING = 0.4  # between objects, so that no other one is in a tile [m]
OUTPUT = Path(__file__).parent / "images" / "objects.png"


def main() -> None:
    rows: dict[str, tuple[list[ObjectModel], list[ObjectModel]]] = {
        obj.family: ([], []) for split in ("train", "held-out") for obj in library(split)
    }
    for column, split in enumerate(("train", "held-out")):
        for obj in library(split):
            rows[obj.family][column].append(obj)
    train = max(len(row[0]) for row in rows.values())
    held_out = max(len(row[1]) for row in rows.values())
    gap = TILE // 3
    sheet = np.full((len(rows) * TILE, (train + held_out) * TILE + gap, 3), 255, dtype=np.uint8)
    for y, row in enumerate(rows.values()):
        for objects, left in ((row[0], 0), (row[1], train * TILE + gap)):
            if objects:
                strip = np.hstack(pictures(objects))
                sheet[y * TILE : (y + 1) * TILE, left : left + strip.shape[1]] = strip

    height, width, _ = sheet.shape
    figure = plt.figure(figsize=(width / 100 + 1.0, height / 100 + 0.35))
    axes = figure.add_axes((1.0 / (width / 100 + 1.0), 0.0, 1 / (1 + 100 / width), 1 / (1 + 35 / height)))
    axes.imshow(sheet)
    axes.set_xticks([])
    axes.set_yticks(TILE * (np.arange(len(rows)) + 0.5), list(rows), fontsize=11)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    counts = [sum(len(row[i]) for row in rows.values()) for i in (0, 1)]
    axes.text(0, -8, f"training ({counts[0]})", fontsize=12, weight="bold")
    axes.text(train * TILE + gap, -8, f"held out ({counts[1]})", fontsize=12, weight="bold")
    OUTPUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUTPUT, dpi=100, pil_kwargs={"optimize": True})
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1000:.0f} kB")


def pictures(objects: list[ObjectModel]) -> list[NDArray[np.uint8]]:
    """One tile an object, of shape (TILE, TILE, 3)."""
    spec = mujoco.MjSpec()
    getattr(spec.visual, "global").offwidth = getattr(spec.visual, "global").offheight = TILE
    spec.visual.headlight.diffuse = [0.3, 0.3, 0.3]
    spec.visual.headlight.ambient = [0.25, 0.25, 0.25]
    spec.stat.extent = 0.3  # of a tile: MuJoCo's clipping planes scale with it
    box = mujoco.mjtGeom.mjGEOM_BOX
    spec.worldbody.add_geom(type=box, size=[9, 1, 0.05], pos=[0, 0, -0.05], rgba=[0.62, 0.60, 0.57, 1])
    sun = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    spec.worldbody.add_light(pos=[0, 0, 3], dir=[0.3, 0.4, -1], type=sun, castshadow=False)
    for i, obj in enumerate(objects):
        rest = obj.rests[i % len(obj.rests)]
        pos, quat = resting_pose(rest, (SPACING * i, 0.0), 0.6 + 0.9 * i)
        body = add_object(spec, obj, obj.name)
        body.pos, body.quat = pos, quat
        rotation = rotation_matrix(quat)
        grasp = grasps_for(obj, rotation)[0]
        closing = rotation @ grasp.closing
        centre = pos + rotation @ grasp.position
        for side in (-1, 1):
            spec.worldbody.add_geom(
                type=box,
                size=[PAD / 2, 0.0015, PAD / 2],
                pos=centre + side * (grasp.width / 2 + 0.0025) * closing,
                quat=quaternion_of(frame_with(np.array([0.0, 0, 1]), np.cross(closing, [0.0, 0, 1]))),
                rgba=[0.1, 0.1, 0.1, 1.0],
            )
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = mujoco.MjvCamera()
    camera.distance, camera.azimuth, camera.elevation = 0.18, 90, -42
    tiles = []
    with mujoco.Renderer(model, TILE, TILE) as renderer:
        for obj in objects:
            camera.lookat[:] = data.body(obj.name).xpos
            renderer.update_scene(data, camera)
            tiles.append(renderer.render().copy())
    return tiles


if __name__ == "__main__":
    main()
