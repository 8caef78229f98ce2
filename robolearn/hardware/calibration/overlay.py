"""The simulated arm over the real picture: where the two part, calibration or joint positions are wrong."""

from __future__ import annotations

from math import atan

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera
from robolearn.envs.arm import ArmHandles, add_arm, arm_handles
from robolearn.envs.rendering import Renderer
from robolearn.envs.views import View, add_camera
from robolearn.errors import InputError
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.calibration.projection import Lens

Array = NDArray[np.float64]

OUTLINE = (255, 60, 0)
OPACITY = 0.45
WIDEST = 3.0
"""Tangent of half the angle that is drawn: 72 degrees off the axis. A fisheye sees more, and gets nothing "
"there."""
FINEST = 2400
"""Pixels along a side of the drawing from which the lens's picture is made."""


def hand_pose(arm: ArmProfile, positions: Array) -> Array:
    """Pose of the hand (4, 4) in the base frame, of any arm that the simulator can build; `positions` (n,) "
    "[rad]."""
    _, data, handles = _posed(arm, positions, None)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = data.xmat[handles.hand].reshape(3, 3), data.xpos[handles.hand]
    return pose


def simulated_picture(
    arm: ArmProfile, positions: Array, camera: Camera, lens: Lens, width: float | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """What the camera should see of the arm.

    Args:
        arm: alone in the world.
        positions: of its joints (n,) [rad].
        camera: where it stands.
        lens: how it sees.
        width: between the fingers [m]; open if not given.

    Returns:
        uint8 RGB (height, width, 3), and where in it the arm is (height, width).
    """
    columns, rows = np.meshgrid(np.arange(lens.width), np.arange(lens.height))
    rays = lens.rays(np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float64))
    slopes = np.abs(np.nan_to_num(rays, nan=np.inf, posinf=np.inf, neginf=np.inf))
    reach = [min(float(part[part < WIDEST].max(initial=0.1)), WIDEST) for part in slopes.T]
    # A simulated camera has no lens and looks straight ahead: it draws all that the rays reach, as fine as
    # they are.
    focal = min(max(lens.fx, lens.fy), FINEST / 2 / max(reach))
    size = [2 * round(focal * slope) + 3 for slope in reach]
    rotation = camera.rotation
    position = np.array(camera.position)
    view = View(
        name="camera",
        frame=camera.frame,
        position=_triple(position),
        target=_triple(position + rotation[:, 2]),
        up=_triple(-rotation[:, 1]),
        fovy=2 * atan(size[1] / 2 / focal),
        width=size[0],
        height=size[1],
    )
    model, data, _ = _posed(arm, positions, view, width)
    renderer = Renderer(model, size[0], size[1], profile="pretty")
    try:
        renderer.use(model)
        drawn = renderer.draw(model, data, 0, size[0], size[1])
        depth = renderer.draw(model, data, 0, size[0], size[1], depth=True)
    finally:
        renderer.close()
    far = model.vis.map.zfar * model.stat.extent
    there = (depth < 0.99 * far).astype(np.uint8)
    x, y = (
        (focal * part + (side - 1) / 2).reshape(lens.height, lens.width).astype(np.float32)
        for part, side in zip(np.nan_to_num(rays, nan=1e6).T, size, strict=True)
    )
    picture = cv2.remap(drawn, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    mask = cv2.remap(there, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(picture, np.uint8), mask.astype(bool)


def overlay(
    image: NDArray[np.uint8], arm: ArmProfile, positions: Array, camera: Camera, lens: Lens
) -> NDArray[np.uint8]:
    """The real picture with the simulated arm over it, half transparent and outlined; uint8 RGB.

    Args:
        image: uint8 RGB (height, width, 3) as the camera gave it, undistorted by nobody.
        arm, positions, camera, lens: as for `simulated_picture`.

    Raises:
        InputError: the image is not of the camera's size.
    """
    if image.shape != (lens.height, lens.width, 3):
        raise InputError(
            f"the image is {image.shape[1]} x {image.shape[0]}; camera {camera.name!r} has "
            f"{lens.width} x {lens.height} pixels"
        )
    picture, mask = simulated_picture(arm, positions, camera, lens)
    mixed = np.where(mask[:, :, None], (1 - OPACITY) * image + OPACITY * picture, image).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(lens.width / 640))
    return np.asarray(cv2.drawContours(mixed, outlines, -1, OUTLINE, thickness, cv2.LINE_AA), np.uint8)


def _posed(
    arm: ArmProfile, positions: Array, view: View | None, width: float | None = None
) -> tuple[mujoco.MjModel, mujoco.MjData, ArmHandles]:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.visual.headlight.ambient, spec.visual.headlight.diffuse = [0.4] * 3, [0.5] * 3
    spec.visual.map.znear, spec.visual.map.zfar, spec.stat.extent = 0.005, 10.0, 1.0
    hand = add_arm(spec, arm)
    if view is not None:
        add_camera(hand if view.frame == "hand" else spec.worldbody, view)
    model = spec.compile()
    data, handles = mujoco.MjData(model), arm_handles(model, arm)
    data.qpos[handles.qpos] = positions
    data.qpos[handles.finger_qpos] = 0.5 * (arm.gripper.max_width if width is None else width)
    mujoco.mj_forward(model, data)
    return model, data, handles


def _triple(vector: Array) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z
