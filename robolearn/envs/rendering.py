"""Off-screen rendering of camera images, fast enough to train from on a CPU.

Measured on a software rasteriser, shadows and multisampling cost ten times the rest of the picture, so the *fast* profile goes
without them and draws round shapes with few facets. The *pretty* profile is for videos.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose

PROFILES = {
    # (shadow map size, multisamples, slices, stacks)
    "fast": (0, 0, 12, 12),
    "pretty": (4096, 4, 48, 24),
}
MAX_GEOMS = 512

_contexts: dict[tuple[int, int], Any] = {}


def _gl_context(width: int, height: int) -> Any:
    """The process's off-screen GL context; pictures larger than it are drawn to a frame buffer, so one serves all."""
    if not _contexts:
        try:
            _contexts[width, height] = mujoco.GLContext(width, height)
        except Exception as error:
            raise RuntimeError(
                f"no off-screen OpenGL context could be made ({type(error).__name__}: {error}). "
                "Run `robolearn doctor`: it names the missing libraries and the values of MUJOCO_GL that work here."
            ) from error
    context = next(iter(_contexts.values()))
    context.make_current()
    return context


class Renderer:
    """Draws the cameras of one model, or of models that share meshes, textures and height fields.

    Args:
        model: the compiled model whose assets go to the GPU (or to the software rasteriser).
        width: largest picture width [pixels].
        height: largest picture height [pixels].
        profile: "fast" or "pretty".
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int, profile: str = "fast") -> None:
        if width < 1 or height < 1:
            raise InputError(f"a camera image needs at least 1 x 1 pixels, not {width} x {height}")
        shadows, samples, slices, stacks = PROFILES[choose("render profile", profile, PROFILES)]
        quality = model.vis.quality
        quality.shadowsize, quality.offsamples = shadows, samples
        quality.numslices, quality.numstacks = slices, stacks
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        _gl_context(width, height)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=MAX_GEOMS)
        flags = self._scene.flags
        flags[int(mujoco.mjtRndFlag.mjRND_SHADOW)] = profile == "pretty"
        flags[int(mujoco.mjtRndFlag.mjRND_REFLECTION)] = profile == "pretty"
        flags[int(mujoco.mjtRndFlag.mjRND_SKYBOX)] = profile == "pretty"
        self._option = mujoco.MjvOption()
        mujoco.mjv_defaultOption(self._option)
        self._option.geomgroup[3:] = 0
        self._option.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
        self.assets = asset_counts(model)
        self._size = (width, height)

    def covers(self, width: int, height: int) -> bool:
        """Whether pictures of this size fit the frame buffer."""
        return width <= self._size[0] and height <= self._size[1]

    def upload_textures(self, model: mujoco.MjModel) -> None:
        """Send the model's textures again after they were changed."""
        _gl_context(*self._size)
        for texture in range(model.ntex):
            mujoco.mjr_uploadTexture(model, self._context, texture)

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

        Returns:
            uint8 RGB, shape (height, width, 3), row 0 on top; with `depth`, float32 distances along the optical axis [m],
            shape (height, width).
        """
        _gl_context(width, height)
        self._camera.fixedcamid = camera
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        view = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(view, self._scene, self._context)
        if not depth:
            rgb = np.empty((height, width, 3), np.uint8)
            mujoco.mjr_readPixels(rgb, None, view, self._context)
            return np.ascontiguousarray(rgb[::-1])
        buffer = np.empty((height, width), np.float32)
        mujoco.mjr_readPixels(None, buffer, view, self._context)
        extent = model.stat.extent
        near, far = model.vis.map.znear * extent, model.vis.map.zfar * extent
        metres = near / (1 - buffer * (1 - near / far))  # the buffer runs from 0 at the near plane to 1 at the far one
        return np.ascontiguousarray(metres[::-1].astype(np.float32))

    def close(self) -> None:
        """Free the GL objects; the process's context stays for other renderers."""
        self._context.free()


def asset_counts(model: mujoco.MjModel) -> tuple[int, ...]:
    """What a renderer has uploaded for a model; models with equal counts built by one recipe may share a renderer."""
    return (model.nmeshvert, model.nmeshface, model.ntex, model.ntexdata, model.nhfielddata)
