"""How a camera sees, from views of the board: focal lengths, principal point and distortion.

A flat board of known size, seen from several directions, tells all of it (Z. Zhang: A flexible new technique
for camera calibration. PAMI 22(11), 2000). Lens and poses of the board are found together, so that the
corners' distances in the images are smallest; the models are OpenCV's, the search is ours: one for both
models, where OpenCV's own for the fisheye holds the poses while it turns to the lens, and takes other
arguments in each of its versions. Around it stands what decides whether the numbers mean anything: are the
views enough, do they cover the image, is the board tilted in them, does each agree with the others, how far
could the result be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import degrees, radians

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError, choose
from robolearn.hardware.calibration.board import Corners
from robolearn.hardware.calibration.least_squares import minimise
from robolearn.hardware.calibration.projection import Lens, rotation_of, rotation_vector
from robolearn.hardware.lens import LENSES

Array = NDArray[np.float64]

MIN_VIEWS = 8
MIN_TILT = radians(10)
"""How far the board's tilts must spread (root mean square): a flat thing seen from one direction alone says
nothing about the focal length."""
CELLS = 5
MIN_COVERAGE = 0.6
"""Share of the CELLS x CELLS fields of the image in which some corner must have been seen."""
MAX_DEVIATION = 0.01
"""Of the focal lengths and of the principal point, as a share of the focal length: where the views leave more
open than this standard deviation, the result is refused."""
MODELS = ("plumb_bob", "equidistant")
FIRST_GUESSES = {"plumb_bob": (0.6, 1.2, 2.4), "equidistant": (1 / np.pi, 0.5, 0.8)}
"""Of the focal length, as a share of the image's longer side; a fisheye's 1/pi sees half of the world."""
OUTLIER_FACTOR, OUTLIER_FLOOR = 4.0, 0.3
"""A view is rejected whose error is above OUTLIER_FACTOR medians and above OUTLIER_FLOOR pixels."""
MAX_REJECTED = 0.25
"""Share of the views that may be rejected; if it takes more, something other than a bad view is wrong."""


@dataclass(frozen=True)
class Intrinsics:
    """A camera's intrinsics and how well they are known.

    Attributes:
        lens: the intrinsics.
        error: root mean square distance of corners from where the lens puts them [pixels].
        view_errors: the same, by name of the view used.
        rejected: errors of the views that disagreed with the others and were left out, by name [pixels].
        deviations: standard deviations of fx, fy, cx, cy [pixels].
        coverage: share of the fields of the image in which corners were seen.
        unseen: the parts of the image where none was, in words.
    """

    lens: Lens
    error: float
    view_errors: dict[str, float]
    rejected: dict[str, float]
    deviations: tuple[float, float, float, float]
    coverage: float
    unseen: tuple[str, ...]


def calibrate_intrinsics(views: Sequence[Corners], model: str = "plumb_bob") -> Intrinsics:
    """A camera's intrinsics from views of the board.

    Args:
        views: the corners found in each image.
        model: of the distortion, one of MODELS.

    Raises:
        InputError: too few views, of several sizes, that leave much of the image unseen, that show the board
            from one direction only, that disagree with each other, or that leave the result too uncertain.
    """
    choose("model of distortion", model, MODELS)
    _check_enough(views)
    coverage, unseen = cover(views)
    if coverage < MIN_COVERAGE:
        raise InputError(
            f"the views cover {coverage:.0%} of the image; they must cover {MIN_COVERAGE:.0%}: no corner "
            f"was seen at the {', '.join(unseen) or 'edges'}. Add views with the board there"
        )
    used, rejected = list(views), dict[str, float]()
    while True:
        lens, poses = _solve(used, model)
        errors = {view.name: _rms(view, lens, at) for view, at in zip(used, poses, strict=True)}
        # The worst one goes first: it also spoils the errors of the others.
        name = max(errors, key=lambda key: errors[key])
        if errors[name] <= max(OUTLIER_FACTOR * float(np.median(list(errors.values()))), OUTLIER_FLOOR):
            break
        rejected[name] = errors[name]
        used = [view for view in used if view.name != name]
        check_rejected(rejected, len(views))
    _check_enough(used, rejected)
    _check_tilts(poses)
    deviations = _deviations(used, lens, poses)
    for what, deviation in zip(("fx", "fy", "cx", "cy"), deviations, strict=True):
        if not deviation < MAX_DEVIATION * lens.fx:
            raise InputError(
                f"these views leave {what} uncertain by {deviation:.1f} pixels (one standard deviation); it "
                f"must be below {MAX_DEVIATION * lens.fx:.1f}, {MAX_DEVIATION:.0%} of the focal length. Add "
                "views with the board tilted by 20 to 45 degrees about both axes, near and far, up to the "
                "edges of the image"
            )
    points = sum(len(view.points) for view in used)
    squares = sum(errors[view.name] ** 2 * len(view.points) for view in used)
    return Intrinsics(lens, float(np.sqrt(squares / points)), errors, rejected, deviations, coverage, unseen)


def check_rejected(rejected: dict[str, float], views: int) -> None:
    """Raise InputError where more than MAX_REJECTED of the views disagree with the others."""
    if len(rejected) > MAX_REJECTED * views:
        worst = ", ".join(f"{name} ({error:.1f} pixels)" for name, error in rejected.items())
        raise InputError(
            f"{len(rejected)} of {views} views disagree with the others: {worst}. With so many it is not "
            "they: see whether the board is flat, its numbers of squares and its sizes are those given, the "
            "camera's focus is fixed, nothing slipped, and images and joint positions belong together"
        )


def cover(views: Sequence[Corners]) -> tuple[float, tuple[str, ...]]:
    """Share of the CELLS x CELLS fields of the image in which corners were seen, and which edges saw none."""
    size = np.array(views[0].size)
    pixels = np.concatenate([view.pixels for view in views])
    fields = np.clip((pixels + 0.5) / size * CELLS, 0, CELLS - 1).astype(int)
    seen = np.zeros((CELLS, CELLS), bool)
    seen[fields[:, 1], fields[:, 0]] = True
    edges = {"top": seen[0], "bottom": seen[-1], "left": seen[:, 0], "right": seen[:, -1]}
    return float(seen.mean()), tuple(name for name, line in edges.items() if not line.any())


def _check_enough(views: Sequence[Corners], rejected: dict[str, float] | None = None) -> None:
    if len(views) < MIN_VIEWS:
        without = f", {', '.join(rejected)} rejected," if rejected else ""
        raise InputError(
            f"there are {len(views)} views of the board{without}; it takes {MIN_VIEWS}, better 20"
        )
    sizes = sorted({view.size for view in views})
    if len(sizes) > 1:
        words = ", ".join(f"{width} x {height}" for width, height in sizes)
        raise InputError(f"the images have different sizes, {words}; they must come from one camera as it is")
    if len({view.name for view in views}) < len(views):
        raise InputError("two views have one name; each needs its own")


def _solve(views: Sequence[Corners], model: str) -> tuple[Lens, list[Array]]:
    """Intrinsics, and of each view the rotation vector and translation (6,) of the board: those with the
    smallest error of all corners together, from whichever of the first guesses leads there."""
    results = []
    for focal in FIRST_GUESSES[model]:
        try:
            results.append(_adjust(views, model, focal * max(views[0].size)))
        except (InputError, np.linalg.LinAlgError, cv2.error):
            continue  # from there no pose is found, or the way leads to nowhere; another guess may do better
    if not results:
        raise InputError(
            f"no {model} lens explains these views: the board is seen from too few directions, its sizes "
            f"are not those given, or the lens is of another model ({', '.join(MODELS)})"
        )
    return min(results, key=lambda result: result[0])[1:]


def _adjust(views: Sequence[Corners], model: str, focal: float) -> tuple[float, Lens, list[Array]]:
    """Sum of squares [pixels²], intrinsics and poses of the board, found together (bundle adjustment)."""
    width, height = views[0].size
    k = 4 + LENSES[model]

    def lens_of(x: Array) -> Lens:
        fx, fy, cx, cy = (float(v) for v in x[:4])
        return Lens(width, height, fx, fy, cx, cy, model, tuple(float(v) for v in x[4:k]))

    def residuals(x: Array) -> tuple[Array, Array]:
        lens, parts, slopes = lens_of(x), [], np.zeros((2 * sum(len(view.points) for view in views), len(x)))
        row = 0
        for i, view in enumerate(views):
            own = slice(k + 6 * i, k + 6 * i + 6)
            seen, by_pose, by_lens = lens.project(view.points, x[own][:3], x[own][3:])
            parts.append((seen - view.pixels).ravel())
            rows = slice(row, row := row + len(parts[-1]))
            slopes[rows, :k], slopes[rows, own] = by_lens, by_pose
        return np.concatenate(parts), slopes

    start = np.concatenate([[focal, focal, (width - 1) / 2, (height - 1) / 2], np.zeros(k - 4)])
    first, poses = lens_of(start), []
    for view in views:
        at = first.pose_of(view.points, view.pixels)
        poses.append(np.concatenate([rotation_vector(at[:3, :3]), at[:3, 3]]))
    x = minimise(residuals, np.concatenate([start, *poses]))
    if not (x[:2] > 0).all():
        raise InputError("the focal lengths are not positive")
    return float(np.sum(residuals(x)[0] ** 2)), lens_of(x), list(x[k:].reshape(-1, 6))


def _rms(view: Corners, lens: Lens, at: Array) -> float:
    seen, _, _ = lens.project(view.points, at[:3], at[3:])
    return float(np.sqrt(np.mean(np.sum((seen - view.pixels) ** 2, axis=1))))


def spread(rotations: Sequence[Array]) -> Array:
    """How far rotations (n, 3, 3) spread about their mean: root mean square angles about the three axes, the
    largest first (3,) [rad]."""
    u, _, vt = np.linalg.svd(np.mean(rotations, axis=0))
    mean = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    turns = np.array([rotation_vector(mean.T @ rotation) for rotation in rotations])
    return np.sqrt(np.maximum(np.linalg.eigvalsh(turns.T @ turns / len(turns))[::-1], 0.0))


def _check_tilts(poses: Sequence[Array]) -> None:
    """The board's normals must point in different directions; turns about the normal say nothing."""
    normals = np.array([rotation_of(at[:3])[:, 2] for at in poses])
    mean = normals.mean(axis=0)
    across = normals - np.outer(normals @ mean, mean) / (mean @ mean)
    largest = float(np.linalg.svd(across, compute_uv=False)[0] / np.sqrt(len(normals)))
    if largest < np.sin(MIN_TILT):
        raise InputError(
            f"the board is tilted alike in all views, within {degrees(np.arcsin(min(largest, 1.0))):.1f} "
            f"degrees; the tilts must spread by {degrees(MIN_TILT):.0f} or more. Tilt it by 20 to 45 "
            "degrees, about both axes"
        )


def _deviations(
    views: Sequence[Corners], lens: Lens, poses: Sequence[Array]
) -> tuple[float, float, float, float]:
    """Standard deviations of fx, fy, cx, cy [pixels], the poses of the board being unknown, too.

    The information on the lens that is left when each view has spent what its own pose takes (Schur's
    complement).
    """
    n = 4 + LENSES[lens.model]
    information, squares, count = np.zeros((n, n)), 0.0, 0
    for view, at in zip(views, poses, strict=True):
        seen, by_pose, by_lens = lens.project(view.points, at[:3], at[3:])
        taken = by_pose @ np.linalg.lstsq(by_pose, by_lens, rcond=None)[0]
        information += by_lens.T @ (by_lens - taken)
        squares += float(np.sum((seen - view.pixels) ** 2))
        count += 2 * len(view.points) - 6
    scale = np.sqrt(np.diag(information))
    scaled = information / np.outer(scale, scale)
    if not np.linalg.cond(scaled) < 1e13:
        return (np.inf,) * 4
    variances = np.diag(np.linalg.inv(scaled)) / scale**2 * squares / max(count - len(scale), 1)
    fx, fy, cx, cy = (float(v) for v in np.sqrt(variances[:4]))
    return fx, fy, cx, cy
