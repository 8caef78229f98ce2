from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest

from robolearn.camera import Camera
from robolearn.envs.views import VIDEO, View, add_camera
from robolearn.errors import InputError

VIEW = View("eye", "base", (1.0, 0.2, 0.6), (0.4, -0.1, 0.1), (0, 0, 1), 0.8, 40, 30)


def test_the_optical_frame() -> None:
    right, down, forward = VIEW.optical_rotation.T
    assert VIEW.optical_rotation @ VIEW.optical_rotation.T == pytest.approx(np.eye(3))
    assert np.linalg.det(VIEW.optical_rotation) == pytest.approx(1.0)
    way = np.subtract(VIEW.target, VIEW.position)
    assert forward == pytest.approx(way / np.linalg.norm(way))
    assert right[2] == pytest.approx(0.0)  # level
    assert down[2] < 0.0


def test_its_quaternion_is_the_same_rotation() -> None:
    camera = Camera.from_fovy("eye", 40, 30, 0.8, "base", VIEW.position, tuple(VIEW.optical_quaternion))
    assert camera.rotation == pytest.approx(VIEW.optical_rotation)


def test_mujocos_camera_looks_the_same_way() -> None:
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(pos=[0.1, 0.2, 0.3], quat=[0.8, 0.0, 0.6, 0.0])
    body.add_geom(size=[0.1, 0.1, 0.1])
    add_camera(body, VIEW)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    turned = data.xmat[1].reshape(3, 3)
    assert data.cam_xpos[0] == pytest.approx(data.xpos[1] + turned @ VIEW.position)
    expected = turned @ VIEW.optical_rotation @ np.diag([1, -1, -1])
    assert data.cam_xmat[0].reshape(3, 3) == pytest.approx(expected)
    assert np.radians(model.cam_fovy[0]) == pytest.approx(VIEW.fovy)


def test_what_people_see_is_whole() -> None:
    assert (VIDEO.width, VIDEO.height) == (480, 480)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": "world"}, "unknown frame of camera 'eye' 'world': choose one of base, hand"),
        ({"width": 0}, "width of camera 'eye' is 0; it must be a whole number from 1 up"),
        ({"height": -1}, "height of camera 'eye' is -1"),
        ({"width": 40.5}, "width of camera 'eye' is 40.5"),
        ({"position": (float("nan"), 0, 0)}, r"position of camera 'eye'\[0\] is nan"),
        ({"name": ""}, "camera name is ''"),
        ({"fovy": 0.0}, "fovy of camera 'eye' is 0.0"),
        ({"fovy": 45.0}, "must lie between 0 and pi"),
        ({"target": (1.0, 0.2, 0.6)}, "cannot look at"),
        ({"target": (1.0, 0.2, 0.0)}, "not straight above or below"),
        ({"up": (0, 0, 0)}, "cannot look"),
    ],
)
def test_views_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(VIEW, **changes)
