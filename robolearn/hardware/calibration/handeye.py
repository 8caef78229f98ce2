"""Where a camera is, from views of the board while the arm stands still in different postures.

Two cases that are one equation. A camera that stands in the base frame watches a board on the hand; a camera
on the hand watches a board that lies still. In both, the camera is fixed in its frame (X: pose of its optical
frame there), the board in the other one (Z), and the arm tells how the two frames stand to each other in view
i (A_i: pose of the board's frame in the camera's). The board is seen from the camera at B_i, so that

    A_i Z = X B_i.

First the closed form (M. Shah: Solving the robot-world/hand-eye calibration problem using the Kronecker
product. Journal of Mechanisms and Robotics 5(3), 2013), written here because not every OpenCV of version 5
gives its own to Python; then X and Z together so that the corners' distances in the images are smallest,
which weighs each corner by what it is worth (a single view's B_i is known much better across than along the
line of sight).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import degrees, radians

import numpy as np
from numpy.typing import NDArray

from robolearn.camera import FRAMES
from robolearn.errors import InputError, choose
from robolearn.hardware.calibration.board import Corners
from robolearn.hardware.calibration.intrinsics import (
    OUTLIER_FACTOR,
    OUTLIER_FLOOR,
    check_rejected,
    spread,
)
from robolearn.hardware.calibration.least_squares import minimise
from robolearn.hardware.calibration.projection import Lens, inverse, pose, rotation_of, rotation_vector

Array = NDArray[np.float64]

MIN_VIEWS = 8
MIN_TURN = radians(8)
"""How far the hand's turns must spread about its second axis: with turns about one axis alone, nothing tells
where along that axis the camera is."""
MAX_ERROR = 5.0
"""Error of all views together [pixels] beyond which arm, lens or board cannot be those that were stated."""


@dataclass(frozen=True, eq=False)
class HandEye:
    """A camera's pose and how well it is known.

    Attributes:
        frame: "base" or "hand".
        pose: of the camera's optical frame in `frame` (4, 4).
        board: pose of the board in the other frame (4, 4).
        error: root mean square distance of corners from where they should be, in views that the pose was
            fitted to [pixels].
        held_out: the same where each view is predicted by a fit to the others: the figure to trust [pixels].
        view_errors: held-out error of each view used, by name [pixels].
        rejected: held-out errors of the views that disagreed with the others and were left out, by name
            [pixels].
        position_deviation: standard deviation of the position along the axes of `frame` (3,) [m].
        rotation_deviation: standard deviation of the rotation about the axes of `frame` (3,) [rad].
    """

    frame: str
    pose: Array
    board: Array
    error: float
    held_out: float
    view_errors: dict[str, float]
    rejected: dict[str, float]
    position_deviation: Array
    rotation_deviation: Array


def calibrate_hand_eye(views: Sequence[Corners], hands: Sequence[Array], lens: Lens, frame: str) -> HandEye:
    """A camera's pose from views of the board and the hand's poses in the base frame.

    Args:
        views: the corners found in each image.
        hands: pose of the hand (4, 4) in the base frame when each was taken, the arm at rest.
        lens: the camera's intrinsics.
        frame: "base" if the camera stands still and the board is on the hand, "hand" the other way round.

    Raises:
        InputError: too few views, a hand that did not turn about two axes, views that disagree with each
            other, or an error that no camera has.
    """
    choose("frame of the camera", frame, FRAMES)
    if len(views) != len(hands):
        raise InputError(f"there are {len(views)} views and {len(hands)} poses of the hand; they go in pairs")
    _check_enough(len(views), {})
    sizes = {view.size for view in views}
    if sizes != {(lens.width, lens.height)}:
        words = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        raise InputError(
            f"the images are {words} pixels; the intrinsics are those of {lens.width} x {lens.height}"
        )
    _check_turns(hands)
    problem = _Problem(
        list(views),
        [hand if frame == "base" else inverse(hand) for hand in hands],
        lens,
        list(range(len(views))),
    )
    rejected: dict[str, float] = {}
    while True:
        solution = problem.solve()
        others = problem.leave_one_out(solution)
        errors = {
            problem.views[i].name: problem.rms(x, [i]) for i, x in zip(problem.used, others, strict=True)
        }
        name = max(errors, key=lambda key: errors[key])
        if errors[name] <= max(OUTLIER_FACTOR * float(np.median(list(errors.values()))), OUTLIER_FLOOR):
            break
        rejected[name] = errors[name]
        problem = problem.without(name)
        check_rejected(rejected, len(views))
    _check_enough(len(problem.used), rejected)
    _check_turns([hands[i] for i in problem.used])
    error = problem.rms(solution, problem.used)
    if error > MAX_ERROR:
        raise InputError(
            f"arm and images disagree by {error:.1f} pixels; {MAX_ERROR:g} is the most. See whether the "
            "board's sizes are those given, the camera is the one of these intrinsics, it is on the "
            f"{frame} as stated, and the joint positions are those of the images, in radians and by name"
        )
    camera, board = _poses(solution)
    position, rotation = _jackknife(camera, [_poses(x)[0] for x in others])
    weights = np.array([len(problem.views[i].points) for i in problem.used], np.float64)
    held_out = float(np.sqrt(np.average(np.square(list(errors.values())), weights=weights)))
    return HandEye(frame, camera, board, error, held_out, errors, rejected, position, rotation)


@dataclass(frozen=True)
class _Problem:
    """Views, the arm's A_i for each, and which of them count. The parameters (12,) are those of X⁻¹ and of Z:
    rotation vector [rad] and translation [m] of either."""

    views: list[Corners]
    arm: list[Array]
    lens: Lens
    used: list[int]

    def without(self, name: str) -> _Problem:
        kept = [i for i in self.used if self.views[i].name != name]
        return _Problem(self.views, self.arm, self.lens, kept)

    def solve(self) -> Array:
        seen = [self.lens.pose_of(self.views[i].points, self.views[i].pixels) for i in self.used]
        camera, board = closed_form([self.arm[i] for i in self.used], seen)
        return self.refine(_parameters(camera, board), self.used)

    def refine(self, start: Array, used: Sequence[int]) -> Array:
        def residuals(x: Array) -> tuple[Array, Array]:
            parts = [self.residuals(x, i) for i in used]
            return np.concatenate([r for r, _ in parts]), np.concatenate([slopes for _, slopes in parts])

        return minimise(residuals, start)

    def leave_one_out(self, start: Array) -> list[Array]:
        """The solution without each of the used views in turn."""
        return [self.refine(start, [j for j in self.used if j != i]) for i in self.used]

    def rms(self, x: Array, used: Sequence[int]) -> float:
        squares = [self.residuals(x, i)[0].reshape(-1, 2) ** 2 for i in used]
        return float(np.sqrt(np.concatenate(squares).sum(axis=1).mean()))

    def residuals(self, x: Array, i: int) -> tuple[Array, Array]:
        """Of view i's corners (2 m,) [pixels], and their derivatives (2 m, 12).

        A turn by a small w after rotation vector r (R becomes exp(w) R) changes r by Jl⁻¹(r) w; the
        projection knows its derivative by rotation vector and translation of the whole chain, X⁻¹ A_i Z.
        """
        world, board = pose(rotation_of(x[:3]), x[3:6]), pose(rotation_of(x[6:9]), x[9:])
        front = world @ self.arm[i]
        whole = front @ board
        turn = rotation_vector(whole[:3, :3])
        pixels, by_pose, _ = self.lens.project(self.views[i].points, turn, whole[:3, 3])
        by_turn, by_shift = by_pose[:, :3] @ np.linalg.inv(left_jacobian(turn)), by_pose[:, 3:]
        # X⁻¹ turned by w: the whole chain turns by w, and its translation about X⁻¹'s own.
        lever = whole[:3, 3] - x[3:6]
        first = (by_turn - by_shift @ cross_matrix(lever)) @ left_jacobian(x[:3])
        # Z turned by w: the chain turns by w seen from the camera; its translation stays.
        second = by_turn @ front[:3, :3] @ left_jacobian(x[6:9])
        slopes = np.hstack([first, by_shift, second, by_shift @ front[:3, :3]])
        return (pixels - self.views[i].pixels).ravel(), slopes


def closed_form(arm: Sequence[Array], seen: Sequence[Array]) -> tuple[Array, Array]:
    """X and Z (4, 4) with A_i Z = X B_i as nearly as the closed form gets (Shah, 2013).

    Args:
        arm: A_i (n, 4, 4).
        seen: B_i (n, 4, 4).
    """
    # vec(R_A R_Z R_Bᵀ) = (R_B ⊗ R_A) vec(R_Z) must be vec(R_X) for all i: the singular vectors of the mean.
    mean = np.mean([np.kron(b[:3, :3], a[:3, :3]) for a, b in zip(arm, seen, strict=True)], axis=0)
    left, _, right = np.linalg.svd(mean)
    x, z = left[:, 0].reshape(3, 3, order="F"), right[0].reshape(3, 3, order="F")
    if np.linalg.det(x) < 0:
        x, z = -x, -z
    rotation_x, rotation_z = _nearest_rotation(x), _nearest_rotation(z)
    # R_A t_Z + t_A = R_X t_B + t_X
    rows = np.concatenate([np.hstack([np.eye(3), -a[:3, :3]]) for a in arm])
    values = np.concatenate([a[:3, 3] - rotation_x @ b[:3, 3] for a, b in zip(arm, seen, strict=True)])
    shifts = np.linalg.lstsq(rows, values, rcond=None)[0]
    return pose(rotation_x, shifts[:3]), pose(rotation_z, shifts[3:])


def _nearest_rotation(matrix: Array) -> Array:
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt


def left_jacobian(vector: Array) -> Array:
    """J (3, 3): adding d to a rotation vector (3,) turns by J @ d afterwards, for small d (T. Barfoot: State
    Estimation for Robotics, 2017, 7.1.3)."""
    angle = float(np.linalg.norm(vector))
    k = cross_matrix(vector)
    if angle < 1e-6:
        return np.eye(3) + 0.5 * k
    return np.eye(3) + (1 - np.cos(angle)) / angle**2 * k + (angle - np.sin(angle)) / angle**3 * k @ k


def cross_matrix(v: Array) -> Array:
    """The matrix (3, 3) whose product with w is v x w."""
    return np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])


def _parameters(camera: Array, board: Array) -> Array:
    parts = []
    for transform in (inverse(camera), board):
        parts += [rotation_vector(transform[:3, :3]), transform[:3, 3]]
    return np.concatenate(parts)


def _poses(x: Array) -> tuple[Array, Array]:
    """X and Z."""
    return inverse(pose(rotation_of(x[:3]), x[3:6])), pose(rotation_of(x[6:9]), x[9:])


def _jackknife(camera: Array, others: Sequence[Array]) -> tuple[Array, Array]:
    """Standard deviations of position and rotation, from the poses found without each view in turn.

    What is wrong with an arm's joints is the same for all corners of a view, so that counting corners as
    independent would promise too much; a view left out takes its error with it.
    """
    n = len(others)
    shifts = np.array([other[:3, 3] - camera[:3, 3] for other in others])
    turns = np.array([rotation_vector(other[:3, :3] @ camera[:3, :3].T) for other in others])
    position, rotation = (
        np.sqrt((n - 1) / n * np.sum((d - d.mean(axis=0)) ** 2, axis=0)) for d in (shifts, turns)
    )
    return position, rotation


def _check_enough(n: int, rejected: dict[str, float]) -> None:
    if n < MIN_VIEWS:
        without = f", {', '.join(rejected)} rejected," if rejected else ""
        raise InputError(f"there are {n} views of the board{without}; it takes {MIN_VIEWS}, better 15 to 20")


def _check_turns(hands: Sequence[Array]) -> None:
    first, second, _ = (degrees(angle) for angle in spread([hand[:3, :3] for hand in hands]))
    if second < degrees(MIN_TURN):
        raise InputError(
            f"the hand's turns spread by {first:.1f} degrees about one axis and {second:.1f} about the "
            f"next; both must be {degrees(MIN_TURN):.0f} or more. Turn the hand about two axes, by 20 to 40 "
            "degrees each way"
        )
