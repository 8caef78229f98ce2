"""Top-down grasps of an object by a parallel gripper.

The object is seen from the side, along the closing direction, as two height maps: how far it reaches to
either finger over a grid of lateral position and height. A grasp is a window of the pads' size on these maps.
It is possible where both pads meet opposite surfaces, nothing in the fingers' sweep reaches farther, the open
fingers pass, their tips stay above the table and the palm above the object. Of the possible ones the best
holds the object closest to its centre of mass.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from robolearn.envs.objects.model import Array, Grasp, ObjectModel, Part, Rest, rotation_matrix, triple
from robolearn.errors import InputError

PAD = 0.020  # the pads are squares of this side [m]
MAX_WIDTH = 0.062  # the widest grasp: fingers 80 mm apart pass with 9 mm on either side [m]
TIP_CLEARANCE = 0.004  # of the fingertips above the table [m]
PALM = 0.043  # nothing may reach this far above the fingertips, 5 mm short of the palm [m]
MAX_TILT = math.radians(25)  # of the approach from straight down

_CELL = 0.002  # of the height maps [m]
_PAD_CELLS = round(PAD / _CELL)
_SOFTNESS = 0.001  # a pad touches what is this close to the farthest point [m]
_AIM = 2  # cells by which the hand may be off to either side
_MIN_CONTACT = 12  # cells of a pad that touch, at least
_BALL = 0.1  # an ellipsoid whose diameters differ by less is gripped at any yaw
_SECOND_BEST = 0.008  # another closing direction is kept when its cost is at most this much more [m]


def plan_grasps(obj: ObjectModel, rest: Rest) -> tuple[Grasp, ...]:
    """The best grasps of an object in one of its rests, one or two closing directions, best first.

    Raises:
        InputError: There is none.
    """
    rotation = rotation_matrix(rest.quat)
    up = rotation[2]
    ball, upright = _is_ball(obj), obj.revolution and bool(abs(up[2]) > 1 - 1e-6)
    free_yaw = ball or upright
    closings = [np.array([1.0, 0, 0])] if upright else _closings(obj, up)
    found = []
    for closing in closings[:1] if ball else closings:
        best = _best_along(obj, up, rest.height, closing)
        if best is not None:
            cost, position, width = best
            found.append((cost, Grasp(triple(position), triple(-up), triple(closing), width, free_yaw)))
    if not found:
        raise InputError(
            f"object {obj.name!r} cannot be gripped from above when it rests with {up.round(3)} up"
        )
    found.sort(key=lambda item: item[0])
    return tuple(grasp for cost, grasp in found[:2] if cost < found[0][0] + _SECOND_BEST)


def grasps_for(obj: ObjectModel, rotation: ArrayLike) -> tuple[Grasp, ...]:
    """Grasps that can be made from above while the object has an orientation.

    Args:
        obj: The object.
        rotation: Rotation matrix from the object frame to the world. Shape (3, 3).

    Returns:
        Grasps in the object frame, those whose approach is nearest to straight down, the best first; none if
        that is more than `MAX_TILT` away, as for an object that leans on another.
    """
    down = -np.asarray(rotation, dtype=float)[2]
    grasps = obj.grasps
    if obj.revolution:
        grasps = tuple(_rolled(grasp, down) for grasp in grasps)
    cosines = np.array([grasp.approach for grasp in grasps]) @ down
    best = cosines.max()
    if best < math.cos(MAX_TILT):
        return ()
    return tuple(grasp for grasp, cosine in zip(grasps, cosines, strict=True) if cosine > best - 1e-6)


def _rolled(grasp: Grasp, down: Array) -> Grasp:
    """The grasp turned about the axis of revolution, z, so that its approach comes closest to `down`."""
    approach = np.array(grasp.approach)
    if abs(approach[2]) > 0.999 or math.hypot(down[0], down[1]) < 1e-6:
        return grasp
    angle = math.atan2(down[1], down[0]) - math.atan2(approach[1], approach[0])
    turn = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    return grasp._replace(
        position=triple(turn @ grasp.position),
        approach=triple(turn @ approach),
        closing=triple(turn @ grasp.closing),
    )


def _is_ball(obj: ObjectModel) -> bool:
    """Whether it looks the same from all sides, but for `_BALL`."""
    (part, *others) = obj.parts
    return part.kind == "ellipsoid" and not others and max(part.size) < (1 + _BALL) * min(part.size)


def _closings(obj: ObjectModel, up: Array) -> list[Array]:
    """Horizontal axes of the parts, and of a body of revolution the horizontal that its axis lacks."""
    axes = [axis for part in obj.parts for axis in part.rotation.T]
    if obj.revolution:
        axes = [np.array([0.0, 0, 1]), np.cross([0.0, 0, 1], up)]
    closings: list[Array] = []
    for axis in axes:
        if abs(axis @ up) < 1e-4 and all(abs(axis @ other) < 1 - 1e-4 for other in closings):
            closings.append(axis)
    return closings


def _best_along(
    obj: ObjectModel, up: Array, height: float, closing: Array
) -> tuple[float, Array, float] | None:
    """Cost [m], position in the object frame and width of the best grasp along one closing direction."""
    lateral = np.cross(up, closing)
    top = height + obj.support(up)
    # Cell centres: lateral ones about the centre of mass, with room for a pad on either side; heights above
    # the table.
    half = math.ceil(max(obj.support(lateral), obj.support(-lateral)) / _CELL) + _PAD_CELLS + 1
    a = (np.arange(-half, half) + 0.5) * _CELL
    z = (np.arange(math.ceil(top / _CELL)) + 0.5) * _CELL
    grid_a, grid_z = np.meshgrid(a, z, indexing="ij")
    origins = grid_a[..., None] * lateral + (grid_z[..., None] - height) * up
    low, high = (side.reshape(grid_a.shape) for side in _reach(obj.parts, origins.reshape(-1, 3), closing))

    # What the fingers sweep: the pad's columns and one more on either side, from a cell below the tip upward.
    high_above = np.maximum.accumulate(high[:, ::-1], axis=1)[:, ::-1]
    low_above = np.minimum.accumulate(low[:, ::-1], axis=1)[:, ::-1]
    first = math.ceil(max(TIP_CLEARANCE, top - PALM) / _CELL - 1e-9)  # row of the lowest cell of the pad
    sweep_high = sliding_window_view(high_above, _PAD_CELLS + 2, axis=0).max(axis=-1)[:, first - 1 : -1]
    sweep_low = sliding_window_view(low_above, _PAD_CELLS + 2, axis=0).min(axis=-1)[:, first - 1 : -1]
    empty = np.isinf(sweep_high)
    sweep_high, sweep_low = np.where(empty, 0.0, sweep_high), np.where(empty, 0.0, sweep_low)
    width = sweep_high - sweep_low

    def windows(values: Array, outside: float) -> Array:
        """The cells of the pad in every position, shape (columns, rows, _PAD_CELLS, _PAD_CELLS)."""
        padded = np.pad(values[1:-1, first:], ((0, 0), (0, _PAD_CELLS - 1)), constant_values=outside)
        return sliding_window_view(padded, (_PAD_CELLS, _PAD_CELLS))

    touching = (windows(high, -np.inf) > sweep_high[..., None, None] - _SOFTNESS) & (
        windows(low, np.inf) < sweep_low[..., None, None] + _SOFTNESS
    )
    count = touching.sum(axis=(2, 3))
    possible = (count >= _MIN_CONTACT) & (width <= MAX_WIDTH)
    # A hand that comes down a little to either side must still find a grasp.
    inner = possible[_AIM:-_AIM] & possible[: -2 * _AIM] & possible[2 * _AIM :]
    possible = np.pad(inner, ((_AIM, _AIM), (0, 0)))
    if not possible.any():
        return None
    offsets = (np.arange(_PAD_CELLS) - (_PAD_CELLS - 1) / 2) * _CELL
    contacts = np.maximum(count, 1)
    pad_a = a[1 : 1 + len(width)] - offsets[0]
    pad_z = z[first:] - offsets[0]
    contact_a = (touching.sum(axis=3) @ offsets) / contacts
    contact_z = (touching.sum(axis=2) @ offsets) / contacts
    middle = np.where(possible, sweep_high + sweep_low, 0.0) / 2
    # A lateral offset swings the load. The rest breaks ties: the centre of mass between the pads and level
    # with the contact, which is large and in the middle of the pads; a narrow grasp, tips well above the
    # table.
    cost = (
        np.abs(pad_a[:, None] + contact_a)
        + 0.3 * np.abs(contact_a)
        + 0.3 * np.abs(middle)
        + 0.3 * np.abs(pad_z + contact_z - height)
        + 0.15 * np.abs(contact_z)
        + 0.2 * width
        + 0.008 * (1 - np.minimum(count, 50) / 50)
        + 0.3 * np.maximum(0.018 - pad_z, 0)
    )
    cost[~possible] = np.inf
    column, row = np.unravel_index(np.argmin(cost.round(7)), cost.shape)
    position = pad_a[column] * lateral + (pad_z[row] - height) * up + middle[column, row] * closing
    return float(cost[column, row]), position, float(width[column, row])


def _reach(parts: tuple[Part, ...], origins: Array, direction: Array) -> tuple[Array, Array]:
    """How far the object reaches along `direction` on lines through `origins` of shape (n, 3).

    The smallest and the largest coordinate [m], each of shape (n,): inf and -inf on a line that misses.
    """
    low = np.full(len(origins), np.inf)
    high = np.full(len(origins), -np.inf)
    for part in parts:
        enter, leave = _chord(part, origins, direction)
        hit = enter < leave
        low[hit] = np.minimum(low, enter)[hit]
        high[hit] = np.maximum(high, leave)[hit]
    return low, high


def _chord(part: Part, origins: Array, direction: Array) -> tuple[Array, Array]:
    """Interval of each line inside one part, empty (enter >= leave) on a miss."""
    o = (origins - np.array(part.pos)) @ part.rotation
    d = part.rotation.T @ direction
    size = np.array(part.size)
    if part.kind == "box":
        return _between(o, d, size)
    if part.kind == "ellipsoid":
        return _inside_ball(o / size, d / size)
    radius, half = part.size
    if part.kind == "cylinder":
        side = _inside_ball(o[:, :2] / radius, d[:2] / radius)
        caps = _between(o[:, 2:], d[2:], size[1:])
        return np.maximum(side[0], caps[0]), np.minimum(side[1], caps[1])
    # A capsule is the hull of a cylinder and two balls: convex, so that the three intervals unite to one.
    cylinder = replace(part, kind="cylinder")
    intervals = [_chord(cylinder, origins, direction)]
    for end in (-half, half):
        intervals.append(_inside_ball((o - [0, 0, end]) / radius, d / radius))
    enter = np.min([np.where(lo < hi, lo, np.inf) for lo, hi in intervals], axis=0)
    leave = np.max([np.where(lo < hi, hi, -np.inf) for lo, hi in intervals], axis=0)
    return enter, leave


def _between(o: Array, d: Array, half: Array) -> tuple[Array, Array]:
    """Where lines o + t d of shapes (n, k), (k,) are within plus or minus `half` on every axis."""
    enter = np.full(len(o), -np.inf)
    leave = np.full(len(o), np.inf)
    for axis, h in enumerate(half):
        if abs(d[axis]) < 1e-9:
            enter[np.abs(o[:, axis]) > h] = np.inf
            continue
        t = np.sort(np.stack([(-h - o[:, axis]) / d[axis], (h - o[:, axis]) / d[axis]]), axis=0)
        enter = np.maximum(enter, t[0])
        leave = np.minimum(leave, t[1])
    return enter, leave


def _inside_ball(o: Array, d: Array) -> tuple[Array, Array]:
    """Where lines o + t d of shapes (n, k), (k,) are within the unit ball: all or nothing when d vanishes."""
    a = float(d @ d)
    inside = (o * o).sum(axis=1) - 1
    if a < 1e-12:
        return np.where(inside < 0, -np.inf, np.inf), np.full(len(o), np.inf)
    b = o @ d
    root = b * b - a * inside
    half = np.sqrt(np.maximum(root, 0.0))
    return np.where(root > 0, (-b - half) / a, np.inf), (-b + half) / a
