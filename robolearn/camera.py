"""Pinhole cameras: what a policy sees through, and how the image of one makes the image of another.

A camera's pose is that of its *optical* frame (z forward, x right, y down) in the arm's base frame or in the
hand's body frame. Pixel (u, v) has its centre at the whole numbers u, v, as in OpenCV and in ROS: an image of
width w spans -0.5 to w - 0.5. Lengths are in metres, angles in radians, quaternions (w, x, y, z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError, choose

FRAMES = ("base", "hand")
ENCODINGS = ("rgb8", "depth")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    `width` and `height` in pixels, `fx`, `fy`, `cx`, `cy` its intrinsics in pixels. `position` (3,) [m] and
    `quaternion` (4,) of the optical frame in `frame`. `delay` is the age of an image when it is seen [s].
    A required camera accepts a mounting error up to `position_tolerance` [m] and `rotation_tolerance` [rad];
    those of an offered camera mean nothing. A physical camera is offered as it is *after* undistortion.
    """

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    frame: str
    position: tuple[float, ...]
    quaternion: tuple[float, ...]
    position_tolerance: float = 0.02
    rotation_tolerance: float = math.radians(3)
    delay: float = 0.0
    encoding: str = "rgb8"

    def __post_init__(self) -> None:
        thing = f"of camera {checks.text('camera name', self.name)!r}"
        checked = dict(
            width=checks.whole(f"width {thing}", self.width, 1),
            height=checks.whole(f"height {thing}", self.height, 1),
            fx=checks.number(f"fx {thing}", self.fx, above=0.0),
            fy=checks.number(f"fy {thing}", self.fy, above=0.0),
            cx=checks.number(f"cx {thing}", self.cx),
            cy=checks.number(f"cy {thing}", self.cy),
            frame=choose(f"frame {thing}", checks.text(f"frame {thing}", self.frame), FRAMES),
            position=checks.vector(f"position {thing}", self.position, 3),
            quaternion=checks.quaternion(f"quaternion {thing}", self.quaternion),
            position_tolerance=checks.number(f"position_tolerance {thing}", self.position_tolerance, low=0.0),
            rotation_tolerance=checks.number(f"rotation_tolerance {thing}", self.rotation_tolerance, low=0.0),
            delay=checks.number(f"delay {thing}", self.delay, low=0.0),
            encoding=choose(f"encoding {thing}", checks.text(f"encoding {thing}", self.encoding), ENCODINGS),
        )
        for field, value in checked.items():
            object.__setattr__(self, field, value)

    @classmethod
    def from_fovy(
        cls,
        name: str,
        width: int,
        height: int,
        fovy: float,
        frame: str,
        position: tuple[float, ...],
        quaternion: tuple[float, ...],
        **rest: Any,
    ) -> Camera:
        """A camera of square pixels and centred principal point, from its vertical field of view [rad].

        `rest` are the other fields of `Camera`. MuJoCo states fovy in degrees.
        """
        thing = f"of camera {name!r}"
        width, height = checks.whole(f"width {thing}", width, 1), checks.whole(f"height {thing}", height, 1)
        if not 0.0 < (fovy := checks.number(f"fovy {thing}", fovy)) < math.pi:
            raise InputError(f"fovy {thing} is {fovy!r}; it must lie between 0 and pi radians")
        f = height / (2.0 * math.tan(fovy / 2.0))
        cx, cy = (width - 1) / 2, (height - 1) / 2
        return cls(name, width, height, f, f, cx, cy, frame, position, quaternion, **rest)

    @property
    def fovy(self) -> float:
        """Vertical field of view [rad].

        Raises:
            InputError: the pixels are not square or the principal point is not the centre, so that a field of
                view does not describe the camera.
        """
        off_centre = max(abs(self.cx - (self.width - 1) / 2), abs(self.cy - (self.height - 1) / 2))
        if abs(self.fx - self.fy) > 1e-6 * self.fy or off_centre > 1e-6 * self.height:
            raise InputError(
                f"camera {self.name!r} has no fovy: that takes square pixels and a principal point at the "
                f"centre, and it has fx {self.fx:g}, fy {self.fy:g}, cx {self.cx:g}, cy {self.cy:g}"
            )
        return 2.0 * math.atan(self.height / (2.0 * self.fy))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Intrinsic matrix K (3, 3): a point (x, y, z) of the optical frame is seen at K @ (x, y, z) / z."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Rotation (3, 3) that takes vectors of the optical frame to `frame`."""
        return rotation_matrix(self.quaternion)


def rotation_matrix(quaternion: tuple[float, ...]) -> NDArray[np.float64]:
    """The rotation (3, 3) of a unit quaternion (w, x, y, z)."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def pixel_map(required: Camera, offered: Camera) -> NDArray[np.float64]:
    """Homography H (3, 3) from pixels of a required camera to pixels of an offered one.

    (a, b, c) = H @ (u, v, 1) says that pixel (u, v) of the required image is found at (a/c, b/c) of the
    undistorted offered image, in front of that camera where c > 0. With equal rotations this is a crop and a
    resize; otherwise it turns the image, too, which is exact for cameras at one place. c is also the ratio of
    the offered to the required depth along the optical axes, for images of depth.

    `cv2.warpPerspective(image, H, (width, height), flags=cv2.WARP_INVERSE_MAP | ...)` applies it.
    """
    turn = offered.rotation.T @ required.rotation
    return offered.matrix @ turn @ np.linalg.inv(required.matrix)


def distance_between(first: Camera, second: Camera) -> float:
    """Distance of two cameras in one frame [m]."""
    return math.dist(first.position, second.position)


def angle_between(first: Camera, second: Camera) -> float:
    """Angle of the rotation between two cameras in one frame [rad]."""
    w1, w2 = first.quaternion[0], second.quaternion[0]
    v1, v2 = np.array(first.quaternion[1:]), np.array(second.quaternion[1:])
    # By sine and cosine: an arc cosine alone would find 1e-8 rad between a camera and itself.
    sine = float(np.linalg.norm(w1 * v2 - w2 * v1 - np.cross(v1, v2)))
    return 2.0 * math.atan2(sine, abs(w1 * w2 + float(v1 @ v2)))


def uncovered(need: Camera, offered: Camera) -> str:
    """How far the view of `need` reaches out of the offered image, in words; nothing where it is covered."""
    right, bottom = need.width - 0.5, need.height - 0.5
    corners = np.array([[-0.5, -0.5, 1], [right, -0.5, 1], [right, bottom, 1], [-0.5, bottom, 1]])
    seen = corners @ pixel_map(need, offered).T
    if not (seen[:, 2] > 0.0).all():
        return "a view that is partly behind it"
    # A homography keeps lines straight, so the corners speak for the whole image.
    u, v = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    excess = {
        "left": -0.5 - u.min(),
        "right": u.max() - (offered.width - 0.5),
        "top": -0.5 - v.min(),
        "bottom": v.max() - (offered.height - 0.5),
    }
    rounding = 1e-6 * max(offered.width, offered.height)
    out = [f"{pixels:.2g} px at the {side}" for side, pixels in excess.items() if not pixels <= rounding]
    return f"{offered.width} x {offered.height}, too small by {', '.join(out)}" if out else ""
