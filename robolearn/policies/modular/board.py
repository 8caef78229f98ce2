"""A second detector: a marker board beside the hole, seen by a calibrated camera.

Nothing is learned here. What has to be measured is: the camera's pinhole and pose (`robolearn calibrate`),
where the hole is on the board, and how the peg is held, which the board says nothing of: whatever the peg is
shifted and tilted in the hand remains as an error for the search. It needs pictures in which the markers'
fields take a few pixels each, so more than the 64 x 64 that the networks are content with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.camera import Camera
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.calibration.board import Board, find_corners
from robolearn.hardware.calibration.projection import Lens, pose
from robolearn.hardware.model import ArmModel
from robolearn.hardware.operational_space import rotation_error
from robolearn.policies.modular.insertion import Insertion
from robolearn.policies.modular.policy import Hands, ModularConfig

Array = NDArray[np.float64]

FLIP: Array = np.diag([1.0, -1.0, -1.0])
"""From the axes of the hole, z up, to those of a peg's tip in it, z down, (3, 3)."""


class BoardSight:
    """Finds the hole by the board.

    Args:
        board: the board.
        camera: as it is calibrated, without distortion.
        hole: pose of the hole in the board's frame (4, 4): origin in the middle of the mouth, z out of it.
        tip: pose of the peg's tip in the hand's grip frame (4, 4), z out of the tip.
    """

    def __init__(self, board: Board, camera: Camera, hole: Array, tip: Array) -> None:
        self.camera = camera
        self._board, self._hole, self._tip = board, hole, tip
        pinhole = (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)
        self._lens = Lens(*pinhole, "plumb_bob", (0.0,) * 5)
        self._mount = pose(camera.rotation, np.array(camera.position))

    def hole(self, picture: NDArray[np.uint8], carrier: Array) -> Array | None:
        """Pose of the hole in the base frame (4, 4); None where too little of the board is seen.

        Args:
            picture: uint8 (height, width, 3) or (height, width).
            carrier: pose of the frame that the camera is fixed to (4, 4): the hand's, or the base's.
        """
        corners = find_corners(self._board, picture, self.camera.name)
        if corners is None:
            return None
        try:
            seen = self._lens.pose_of(corners.points, corners.pixels)
        except InputError:  # corners that no board has made
            return None
        return np.asarray(carrier @ self._mount @ seen @ self._hole)

    def label(self, hole: Array, grip: Array) -> Array:
        """What a detector would say (9,), as `insertion_labels`, of hole and grip point (4, 4)."""
        tip = grip @ self._tip
        aligned = hole[:3, :3] @ FLIP
        turn = rotation_error(aligned, tip[:3, :3])
        return np.concatenate([hole[:3, 3] - tip[:3, 3], turn, self._tip[:3, 3]])


class BoardPolicy:
    """Insertion by the board: an actor as a bundle's network is one.

    Args:
        sight: finds the hole in the pictures of its camera.
        config: what the controller knows; of insertion.
    """

    def __init__(self, sight: BoardSight, config: ModularConfig) -> None:
        self._sight, self._hands = sight, Hands(config)
        if not isinstance(self._hands.skill, Insertion):
            raise InputError(f"a board says where a hole is; the task is {config.task!r}: choose insertion")
        self._model, self._posture = ArmModel(load_arm(config.arm)), np.array(config.posture)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: an episode begins."""
        self._hands.reset()
        self._hole: Array | None = None

    def observe(self, observation: Mapping[str, NDArray[Any]]) -> None:
        """Take in the next observation; where the board is hidden, the hole is where it was."""
        frames = self._model.frames(np.asarray(observation["q"], float))
        carrier = self._model.hand(frames) if self._sight.camera.frame == "hand" else np.eye(4)
        seen = self._sight.hole(observation[self._sight.camera.name], carrier)
        self._hole = self._hole if seen is None else seen
        if self._hole is not None:
            self._hands.see(self._sight.label(self._hole, self._model.grip(frames)), observation)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The action for the next observation, (n + 1,); without a torque until the board has been seen."""
        self.observe(observation)
        if self._hole is None:
            return np.append(np.zeros(len(self._posture)), 1.0).astype(np.float32)
        return self._hands.act()
