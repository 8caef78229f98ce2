"""Where the cameras stand: virtual pinhole cameras fixed to the arm's base or riding on the hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.camera import Camera
from robolearn.errors import InputError


@dataclass(frozen=True)
class View:
    """One pinhole camera with square pixels and the principal point at the centre of its picture.

    Attributes:
        name: how observations and contracts call it.
        frame: "base" (fixed beside the arm) or "hand" (rides on the hand).
        position: of the focal point in that frame [m].
        target: the point in that frame that the camera looks at [m].
        up: direction in that frame that is up in the picture.
        fovy: vertical field of view [rad].
        width: picture width [pixels].
        height: picture height [pixels].
    """

    name: str
    frame: str
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    fovy: float
    width: int = 64
    height: int = 64

    def __post_init__(self) -> None:
        thing = f"of camera {self.name!r}"
        for name in ("position", "target", "up"):
            checks.vector(f"{name} {thing}", getattr(self, name), 3)
        forward = np.subtract(self.target, self.position)
        if np.linalg.norm(np.cross(forward, self.up)) < 1e-9:
            raise InputError(
                f"camera {self.name!r} at {self.position} cannot look at {self.target} with {self.up} up: "
                "the target must be elsewhere, and not straight above or below"
            )
        self.camera()  # everything else is for a camera to check

    def camera(self, **changes: Any) -> Camera:
        """The view as contracts have it, its fields changed as said: `name`, `delay`, `encoding`."""
        pinhole: dict[str, Any] = {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "fovy": self.fovy,
            "frame": self.frame,
            "position": self.position,
            "quaternion": tuple(self.optical_quaternion.tolist()),
        }
        return Camera.from_fovy(**(pinhole | changes))

    @property
    def optical_rotation(self) -> NDArray[np.float64]:
        """Orientation of the optical frame (x right, y down, z forward) in `frame`, shape (3, 3)."""
        forward = np.subtract(self.target, self.position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, self.up)
        right = right / np.linalg.norm(right)
        return np.column_stack([right, np.cross(forward, right), forward])

    @property
    def optical_quaternion(self) -> NDArray[np.float64]:
        """The same as a quaternion wxyz, shape (4,)."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.optical_rotation.ravel())
        return quaternion


VIDEO = View("video", "base", (1.2, -0.75, 0.6), (0.42, 0.0, 0.17), (0, 0, 1), 0.6, 480, 480)
"""What people see of every task; no observation."""


def add_camera(body: mujoco.MjsBody, view: View) -> None:
    """Fix a camera to a body whose frame is the view's; MuJoCo's cameras look along -z with y up."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, (view.optical_rotation @ np.diag([1.0, -1.0, -1.0])).ravel())
    body.add_camera(name=view.name, pos=list(view.position), quat=quaternion, fovy=np.degrees(view.fovy))
