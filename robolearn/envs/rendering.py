"""Off-screen rendering of camera images, fast enough to train from on a CPU.

Measured on a software rasteriser, shadows and multisampling cost ten times the rest of the picture, so the
*fast* profile goes without them and draws round shapes with few facets. What is left is proportional to the
number of shapes, seen or not, so it also leaves out those beyond the edges of the picture. The *pretty*
profile is for videos.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import radians, sqrt, tan
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.envs.compiling import compiled
from robolearn.errors import InputError, choose

Floats = NDArray[np.float64]

PROFILES = {
    # (shadow map size, multisamples, slices, stacks)
    "fast": (0, 0, 12, 12),
    "pretty": (4096, 4, 48, 24),
}
MAX_GEOMS = 512
_DRAWN_GROUPS = 3  # geoms of the groups 0 to 2 are drawn, as in MuJoCo's viewer
_HIDDEN_GROUP = 5

_contexts: dict[int, Any] = {}


def _make_current(width: int, height: int) -> None:
    """Use the process's off-screen GL context; it serves all sizes, pictures being drawn to frame buffers."""
    process = os.getpid()  # a forked child cannot draw with its parent's
    context = _contexts.get(process)
    if context is None:
        context = _contexts[process] = mujoco.GLContext(width, height)
    context.make_current()


@contextmanager
def _explained() -> Iterator[None]:
    """Turns whatever OpenGL raises in the block into an InputError.

    Every backend fails in a way and a place of its own: without a display GLFW makes a context that is none.
    """
    try:
        yield
    except Exception as error:
        _contexts.pop(os.getpid(), None)
        used = os.environ.get("MUJOCO_GL")
        raise InputError(
            f"no picture can be drawn with MUJOCO_GL={used} ({type(error).__name__}: {error}): run "
            "`robolearn doctor`, which names what is missing and the values of MUJOCO_GL that work here"
        ) from error


def asset_key(model: mujoco.MjModel) -> bytes:
    """Equal for models that one renderer can draw: of equal meshes, height fields and sizes of textures."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (
        "mesh_vertadr",
        "mesh_faceadr",
        "mesh_vert",
        "mesh_normal",
        "mesh_face",
        "mesh_texcoord",
        "hfield_size",
        "hfield_data",
        "skin_vert",
        "skin_face",
        "tex_type",
        "tex_width",
        "tex_height",
    ):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(getattr(model, name)).tobytes())
    return digest.digest()


def check_size(width: int, height: int) -> None:
    """Raise InputError where a picture would have no pixel."""
    if width < 1 or height < 1:
        raise InputError(f"a camera picture needs at least 1 x 1 pixels, not {width} x {height}")


class Renderer:
    """Draws the cameras of one model, or of models with equal `asset_key`.

    Args:
        model: the compiled model whose assets go to the GPU (or to the software rasteriser).
        width: largest picture width [pixels].
        height: largest picture height [pixels].
        profile: "fast" or "pretty".

    Raises:
        InputError: a size or a profile that is none, or no OpenGL to draw with.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int, profile: str = "fast") -> None:
        check_size(width, height)
        shadows, samples, slices, stacks = PROFILES[choose("render profile", profile, PROFILES)]
        quality = model.vis.quality
        quality.shadowsize, quality.offsamples = shadows, samples
        quality.numslices, quality.numstacks = slices, stacks
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        with _explained():
            _make_current(width, height)
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        self._scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        self._pretty = profile == "pretty"
        flags = self._scene.flags
        flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = self._pretty
        flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = self._pretty
        flags[int(mujoco.mjtRndFlag.mjRND_SKYBOX)] = self._pretty
        self._option = mujoco.MjvOption()
        mujoco.mjv_defaultOption(self._option)
        self._option.geomgroup[_DRAWN_GROUPS:] = 0
        self._option.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
        self._size = (width, height)
        self._textures_of = model
        self.assets = asset_key(model)

    def covers(self, width: int, height: int) -> bool:
        """Whether pictures of this size fit the frame buffer."""
        return width <= self._size[0] and height <= self._size[1]

    def upload_textures(self, model: mujoco.MjModel) -> None:
        """Draw with a model's textures as they are now."""
        _make_current(*self._size)
        sky = int(mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        for texture in range(model.ntex):
            if self._pretty or int(model.tex_type[texture]) != sky:
                mujoco.mjr_uploadTexture(model, self._context, texture)
        self._textures_of = model

    def use(self, model: mujoco.MjModel) -> None:
        """Get ready to draw a model, the renderer's own or one with equal assets.

        To be called again after another renderer of this process has drawn: it leaves its own frame buffer
            bound.
        """
        if model is self._textures_of:
            _make_current(*self._size)
        else:
            self.upload_textures(model)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def draw(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        camera: int,
        width: int,
        height: int,
        *,
        depth: bool = False,
    ) -> NDArray[Any]:
        """One picture from a fixed camera.

        Args:
            model: the one in use.
            data: its state, kinematics, cameras and lights up to date.
            camera: the camera's id.
            width: of the picture [pixels].
            height: of the picture [pixels].
            depth: measure distances in place of colours.

        Returns:
            uint8 RGB, shape (height, width, 3), row 0 on top; with `depth`, float32 distances along the
            optical axis [m], shape (height, width): that of the far clipping plane where there is nothing.
        """
        self._camera.fixedcamid = camera
        groups = model.geom_group.copy()
        if not self._pretty:  # shadows and reflections may be of shapes that the picture does not show
            model.geom_group[~shapes_in_picture(model, data, camera, width / height)] = _HIDDEN_GROUP
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        model.geom_group[:] = groups
        frame = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(frame, self._scene, self._context)
        if not depth:
            rgb = np.empty((height, width, 3), np.uint8)
            mujoco.mjr_readPixels(rgb, None, frame, self._context)
            return np.ascontiguousarray(rgb[::-1])
        buffer = np.empty((height, width), np.float32)
        mujoco.mjr_readPixels(None, buffer, frame, self._context)
        extent = model.stat.extent
        near, far = model.vis.map.znear * extent, model.vis.map.zfar * extent
        metres = near / (1 - buffer * (1 - near / far))  # it runs from 0 at the near plane to 1 at the far
        return np.ascontiguousarray(metres[::-1].astype(np.float32))

    def close(self) -> None:
        """Free the GL objects; the process's context stays for other renderers."""
        _make_current(*self._size)
        self._context.free()


def shapes_in_picture(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, aspect: float
) -> NDArray[np.bool_]:
    """Of every geom, whether the sphere around it reaches into a camera's pyramid of view, shape (ngeom,)."""
    slope = tan(radians(model.cam_fovy[camera]) / 2)
    seen = np.empty(model.ngeom, np.bool_)
    _spheres_in_pyramid(
        data.geom_xpos,
        model.geom_rbound,
        data.cam_xpos[camera],
        data.cam_xmat[camera],
        slope * aspect,
        slope,
        seen,
    )
    return seen


@compiled
def _spheres_in_pyramid(
    centres: Floats,
    radii: Floats,
    apex: Floats,
    frame: Floats,
    slope_x: float,
    slope_y: float,
    seen: NDArray[np.bool_],
) -> None:
    """Compiled because twenty calls to NumPy a picture are a tenth of the time that the picture takes."""
    length_x, length_y = sqrt(1 + slope_x**2), sqrt(1 + slope_y**2)  # of the normals of the pyramid's sides
    for i in range(len(radii)):
        x = y = back = 0.0
        for k in range(3):
            way = centres[i, k] - apex[k]
            x += way * frame[3 * k]
            y += way * frame[3 * k + 1]
            back += way * frame[3 * k + 2]
        beyond = max((abs(x) + slope_x * back) / length_x, (abs(y) + slope_y * back) / length_y, back)
        seen[i] = beyond <= radii[i] or radii[i] == 0.0  # a plane has no radius
