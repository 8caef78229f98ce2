"""The shapes: each family is a function from its dimensions [m] to the parts of one object.

Adding a family is adding such a function and a line to the table in `library.py`. The parts of a compound
touch but do not overlap, so that their mass is the object's.
"""

from __future__ import annotations

import math

from robolearn.envs.objects.model import Part

_RING = 8  # walls of a round ring: even in both directions, so that opposite walls are parallel


def box(length: float, width: float, height: float) -> tuple[Part, ...]:
    return (Part("box", (length / 2, width / 2, height / 2)),)


def cylinder(diameter: float, height: float) -> tuple[Part, ...]:
    return (Part("cylinder", (diameter / 2, height / 2)),)


def capsule(diameter: float, length: float) -> tuple[Part, ...]:
    """`length` includes the round ends."""
    return (Part("capsule", (diameter / 2, (length - diameter) / 2)),)


def ellipsoid(diameter: float, length: float) -> tuple[Part, ...]:
    """Flattened when `length`, along the axis of revolution, is less than `diameter`, else elongated."""
    return (Part("ellipsoid", (diameter / 2, diameter / 2, length / 2)),)


def l_shape(long: float, short: float, thickness: float, depth: float) -> tuple[Part, ...]:
    """Two legs of outer lengths `long` (x) and `short` (y)."""
    return (
        Part("box", (long / 2, thickness / 2, depth / 2), (long / 2, thickness / 2, 0)),
        Part(
            "box",
            (thickness / 2, (short - thickness) / 2, depth / 2),
            (thickness / 2, (short + thickness) / 2, 0),
        ),
    )


def t_shape(bar: float, stem: float, thickness: float, depth: float) -> tuple[Part, ...]:
    """A bar along x and a stem of its own length `stem` along y."""
    return (
        Part("box", (bar / 2, thickness / 2, depth / 2)),
        Part("box", (thickness / 2, stem / 2, depth / 2), (0, (thickness + stem) / 2, 0)),
    )


def cross(length: float, width: float, thickness: float, depth: float) -> tuple[Part, ...]:
    """A bar along x, and two arms that reach `width` along y."""
    arm = (width - thickness) / 2
    return (
        Part("box", (length / 2, thickness / 2, depth / 2)),
        Part("box", (thickness / 2, arm / 2, depth / 2), (0, (thickness + arm) / 2, 0)),
        Part("box", (thickness / 2, arm / 2, depth / 2), (0, -(thickness + arm) / 2, 0)),
    )


def frame(length: float, width: float, thickness: float, depth: float) -> tuple[Part, ...]:
    """A rectangular ring."""
    side = (width - 2 * thickness) / 2
    return (
        Part("box", (length / 2, thickness / 2, depth / 2), (0, (width - thickness) / 2, 0)),
        Part("box", (length / 2, thickness / 2, depth / 2), (0, -(width - thickness) / 2, 0)),
        Part("box", (thickness / 2, side, depth / 2), ((length - thickness) / 2, 0, 0)),
        Part("box", (thickness / 2, side, depth / 2), (-(length - thickness) / 2, 0, 0)),
    )


def tube(diameter: float, thickness: float, height: float) -> tuple[Part, ...]:
    """A ring of eight walls; `diameter` is the distance of opposite outer faces."""
    middle = (diameter - thickness) / 2
    # The walls meet on the middle circle: what they overlap inside they lack outside.
    half_side = middle * math.tan(math.pi / _RING)
    walls = []
    for i in range(_RING):
        turn = 2 * math.pi * i / _RING
        walls.append(
            Part(
                "box",
                (thickness / 2, half_side, height / 2),
                (middle * math.cos(turn), middle * math.sin(turn), 0),
                (math.cos(turn / 2), 0, 0, math.sin(turn / 2)),
            )
        )
    return tuple(walls)


def mug(diameter: float, height: float, handle: float) -> tuple[Part, ...]:
    """An eight-sided mug with a floor, and a handle that stands out by `handle` along x."""
    wall = 0.005
    inside = diameter / 2 - wall
    bar = 0.006
    grip = 0.6 * height
    floor = Part("cylinder", (inside, wall / 2), (0, 0, (wall - height) / 2))
    arm = (handle - bar) / 2
    return (
        *tube(diameter, wall, height),
        floor,
        Part("box", (arm, bar / 2, bar / 2), (diameter / 2 + arm, 0, (grip - bar) / 2)),
        Part("box", (arm, bar / 2, bar / 2), (diameter / 2 + arm, 0, -(grip - bar) / 2)),
        Part("box", (bar / 2, bar / 2, grip / 2), (diameter / 2 + handle - bar / 2, 0, 0)),
    )


def dumbbell(diameter: float, waist: float, disc: float, length: float) -> tuple[Part, ...]:
    """Two discs of `diameter` and thickness `disc` on a rod of diameter `waist`; `length` over all."""
    rod = length - 2 * disc
    return (
        Part("cylinder", (waist / 2, rod / 2)),
        Part("cylinder", (diameter / 2, disc / 2), (0, 0, (rod + disc) / 2)),
        Part("cylinder", (diameter / 2, disc / 2), (0, 0, -(rod + disc) / 2)),
    )
