"""The objects that policies are trained on and tested with.

Dimensions are spread over each family's ranges by Roberts' additive recurrence, a low-discrepancy sequence
("The Unreasonable Effectiveness of Quasirandom Sequences", M. Roberts, 2018): arithmetic alone, the same on
every machine, and no two objects of a family alike. Training objects are the first terms of a family's
sequence, held-out objects the next ones. Two families are held out altogether.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from robolearn.envs.objects import families
from robolearn.envs.objects.model import Array, ObjectModel, Part, centred
from robolearn.errors import choose

SPLITS = ("train", "held-out")
MASS = (0.03, 0.3)  # [kg]
FRICTION = (0.6, 1.2)
_DENSITY = (500.0, 3000.0)  # [kg/m3], before the mass is clipped to its range

Range = tuple[float, float]


class _Family(NamedTuple):
    """A family's function, the ranges of its arguments [mm] and the numbers of objects."""

    parts: Callable[..., tuple[Part, ...]]
    ranges: tuple[Range, ...]
    train: int
    held_out: int
    revolution: bool = False


_FAMILIES = {
    "box": _Family(families.box, ((30, 58), (20, 45), (16, 84)), 12, 4),
    "cylinder": _Family(families.cylinder, ((20, 56), (16, 84)), 9, 3, True),
    "capsule": _Family(families.capsule, ((18, 40), (50, 90)), 6, 3, True),
    "ellipsoid": _Family(families.ellipsoid, ((26, 56), (22, 80)), 8, 4, True),
    "L": _Family(families.l_shape, ((38, 58), (30, 46), (14, 22), (16, 36)), 8, 3),
    "T": _Family(families.t_shape, ((46, 64), (20, 36), (14, 22), (16, 36)), 7, 3),
    "cross": _Family(families.cross, ((44, 60), (40, 56), (14, 20), (16, 34)), 6, 3),
    "mug": _Family(families.mug, ((38, 50), (36, 56), (12, 16)), 5, 2),
    "frame": _Family(families.frame, ((44, 66), (34, 56), (6, 10), (16, 32)), 6, 2),
    "tube": _Family(families.tube, ((32, 54), (5, 9), (20, 60)), 0, 4),
    "dumbbell": _Family(families.dumbbell, ((30, 46), (14, 22), (9, 13), (50, 75)), 0, 4, True),
}


@cache
def library(split: str) -> tuple[ObjectModel, ...]:
    """All objects of one split, "train" or "held-out", always the same.

    Raises:
        InputError: Unknown split.
    """
    choose("object split", split, SPLITS)
    objects = []
    for name, family in _FAMILIES.items():
        first, count = (0, family.train) if split == "train" else (family.train, family.held_out)
        objects += [_make(name, family, index) for index in range(first, first + count)]
    return tuple(objects)


def _make(name: str, family: _Family, index: int) -> ObjectModel:
    dimensions = len(family.ranges)
    u = _recurrence(index, dimensions + 3)
    sizes = [round(low + x * (high - low)) / 1000 for (low, high), x in zip(family.ranges, u, strict=False)]
    parts = centred(family.parts(*sizes))
    density, friction, shade = u[dimensions:]
    volume = sum(part.volume for part in parts)
    mass = float(np.clip((_DENSITY[0] + density * (_DENSITY[1] - _DENSITY[0])) * volume, *MASS))
    # Saturated colours: none is the grey of a table or the white and black of an arm.
    hue = (list(_FAMILIES).index(name) * 0.382 + index * 0.618) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65 + 0.35 * shade, 0.95 - 0.4 * ((7 * shade) % 1))
    return ObjectModel(
        name=f"{name}-{index}",
        family=name,
        parts=parts,
        mass=round(mass, 4),
        friction=round(FRICTION[0] + float(friction) * (FRICTION[1] - FRICTION[0]), 3),
        rgba=(float(red), float(green), float(blue), 1.0),
        revolution=family.revolution,
    )


def _recurrence(index: int, dimensions: int) -> Array:
    """Term `index` of the sequence in the unit cube. Shape (dimensions,)."""
    phi = 2.0
    for _ in range(60):  # the root of phi ** (dimensions + 1) = phi + 1
        phi = (1 + phi) ** (1 / (dimensions + 1))
    return np.asarray((0.5 + (index + 1) * phi ** -np.arange(1.0, dimensions + 1)) % 1.0)
