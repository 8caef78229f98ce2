"""How a hand comes to a hole, or to a thing that it is to grasp, when their poses are known.

These are the phases of the teachers, which know the simulator's state, and of the modular policies, which
have estimates in its place: functions of plain numbers. Lengths are in metres, angles in radians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HOVER = 0.012  # above the mouth, where a peg waits until it is aligned
NEAR = 0.015  # above the mouth, where it begins to go gently
BEYOND = 0.004  # how much deeper than asked it is driven, without touching the floor
STRIDE = 0.018  # how far below the tip the aim is at most; with the usual gains the peg sinks at 75 mm/s
UPRIGHT = 0.06  # a peg turned by less than this is aligned

PAD_ROOM = 0.004  # that each finger keeps from the object on its way down
PRESS = 0.015  # how far beyond the grasp the hand is driven until it is there
SHORT, DEEP = 0.012, 0.020  # of the grasp, where the fingers may begin to close


def tightness(clearance: float, chamfer: float) -> float:
    """How far beside the hole's axis a peg may come down and still be led in by the chamfer."""
    return clearance + 0.6 * chamfer


def insertion_aim(tip: Array, mouth: Array, aside: float, turn: float, tight: float, enough: float) -> Array:
    """Where the peg's tip should go next: align above the mouth, go down the further the better aligned.

    Args:
        tip: where it is (3,), z up.
        mouth: the middle of the hole's mouth (3,).
        aside: distance of the tip from the hole's axis.
        turn: angle by which the peg is turned against the hole.
        tight: as `tightness`.
        enough: depth of the tip under the mouth that counts as inserted.
    """
    misfit = max(aside / tight, turn / UPRIGHT)
    height = float(tip[2] - mouth[2])
    # beside the chamfer it would only rub on the rim: it waits above until it is over it
    waits = float(np.clip(misfit - 1.0, 0.0, 1.0)) * HOVER
    sinks = float(np.clip((1.2 - misfit) / 0.4, 0.0, 1.0)) if height > -0.001 else 1.0
    deep = -enough - BEYOND
    aim = mouth + np.array([0.0, 0.0, waits + sinks * (deep - waits)])
    # it meets the rim gently, and is quicker far above
    aim[2] = max(aim[2], tip[2] - STRIDE - max(height - NEAR, 0.0))
    return aim


def grasp_phase(away: Array, turn: float, width: float, opening: float, closing: bool) -> tuple[bool, float]:
    """Whether to close the fingers, and how far to stay back from the grasp.

    A funnel over the object: what its fingers would not clear keeps the hand up, everything else is mended
    on the way down. Whoever aims at the grasp itself comes to rest above it where the joints have friction,
    and a policy cannot see how much: so the hand is driven beyond it until the fingers close.

    Args:
        away: from the grip point to the grasp, in the axes of the hand as it should be (3,): along the pads,
            along the closing direction, along the approach.
        turn: angle by which the hand is turned against the grasp.
        width: of the object there.
        opening: of the open fingers.
        closing: whether the fingers have begun to close; then they go on unless the object has slipped away.

    Returns:
        whether the hand is at the object, so that the fingers close; how far to aim before the grasp, against
        the approach, negative where beyond it.
    """
    room = max((opening - width) / 2 - PAD_ROOM, 0.004)
    reach = 2.0 if closing else 1.0
    off = max(abs(away[0]) - 0.010, abs(away[1]) - room, 0.1 * (turn - 0.2), 0.0)
    at_object = bool(off <= 0.005 * (reach - 1.0) and -DEEP * reach < away[2] < SHORT * reach)
    return at_object, 0.0 if at_object else float(np.clip(3.0 * off, 0.0, 0.06)) - PRESS
