"""What differs from episode to episode, written down as data.

A tier is a set of ranges; `sample` draws one value from each, and every value drawn goes into the episode's
`info`. `clean` is a world without surprises, but with the nominal delays of a real wire; `rich` is meant to
cover a real laboratory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robolearn.errors import choose

Range = tuple[float, float]


@dataclass(frozen=True)
class Randomisation:
    """Ranges (low, high) that an episode's conditions are drawn from, uniformly unless said otherwise.

    Attributes:
        observation_delay: age of images and joint readings when the policy gets them [s].
        action_delay: from the policy's being asked to its torque's reaching the limiter [s].
        light_intensity: factor on the lamp's nominal brightness.
        light_shift: shift of the direction of the light along each axis (it points 1 down).
        colour_shift: largest shift, up or down, of every geom's colour channels (1 is full scale).
        texture: probability that the table carries a random pattern.
        distractors: number of coloured things standing about outside the work's way.
        camera_shift: shift of each camera along each axis [m].
        camera_turn: rotation of each camera about each axis [rad].
        focal_scale: factor on each camera's focal length.
        mass_scale: factor on the masses of the objects.
        friction_scale: factor on the friction of the objects and the finger pads.
        torque_gain: factor between the torque commanded and the torque made, per joint.
        joint_friction_upper: Coulomb friction of the joints up to the elbow [N·m].
        joint_friction_wrist: Coulomb friction of the last three joints [N·m].
        q_noise: standard deviation of joint position readings [rad].
        dq_noise: standard deviation of joint velocity readings [rad/s].
        wrench_noise: standard deviation of wrist force [N]; a tenth of it for torques [N·m].
        image_noise: standard deviation of pixel values (255 is full scale).
    """

    observation_delay: Range = (0.01, 0.01)
    action_delay: Range = (0.01, 0.01)
    light_intensity: Range = (1.0, 1.0)
    light_shift: Range = (0.0, 0.0)
    colour_shift: float = 0.0
    texture: float = 0.0
    distractors: tuple[int, int] = (0, 0)
    camera_shift: Range = (0.0, 0.0)
    camera_turn: Range = (0.0, 0.0)
    focal_scale: Range = (1.0, 1.0)
    mass_scale: Range = (1.0, 1.0)
    friction_scale: Range = (1.0, 1.0)
    torque_gain: Range = (1.0, 1.0)
    joint_friction_upper: Range = (0.0, 0.0)
    joint_friction_wrist: Range = (0.0, 0.0)
    q_noise: float = 0.0
    dq_noise: float = 0.0
    wrench_noise: float = 0.0
    image_noise: float = 0.0

    def sample(self, rng: np.random.Generator, joints: int, cameras: tuple[str, ...]) -> dict[str, Any]:
        """Draw one episode's conditions.

        Args:
            rng: source of randomness.
            joints: number of arm joints n.
            cameras: names of the cameras.

        Returns:
            plain floats and float arrays by name: per-joint values have shape (n,), per-camera values
            (cameras, 3) or (cameras,).
        """
        upper = max(joints - 3, 0)
        count = len(cameras)
        return {
            "observation_delay": float(rng.uniform(*self.observation_delay)),
            "action_delay": float(rng.uniform(*self.action_delay)),
            "light_intensity": float(rng.uniform(*self.light_intensity)),
            "light_shift": rng.uniform(*self.light_shift, size=3),
            "colour_seed": int(rng.integers(2**31)),
            "colour_shift": self.colour_shift,
            "texture": bool(rng.random() < self.texture),
            "distractors": int(rng.integers(self.distractors[0], self.distractors[1] + 1)),
            "camera_shift": rng.uniform(*self.camera_shift, size=(count, 3)),
            "camera_turn": rng.uniform(*self.camera_turn, size=(count, 3)),
            "focal_scale": rng.uniform(*self.focal_scale, size=count),
            "mass_scale": float(rng.uniform(*self.mass_scale)),
            "friction_scale": float(rng.uniform(*self.friction_scale)),
            "torque_gain": rng.uniform(*self.torque_gain, size=joints),
            "joint_friction": np.concatenate(
                [
                    rng.uniform(*self.joint_friction_upper, size=upper),
                    rng.uniform(*self.joint_friction_wrist, size=joints - upper),
                ]
            ),
        }


CLEAN = Randomisation()
RICH = Randomisation(
    observation_delay=(0.0, 0.04),
    action_delay=(0.0, 0.04),
    light_intensity=(0.6, 1.4),
    light_shift=(-0.5, 0.5),
    colour_shift=0.12,
    texture=0.5,
    distractors=(0, 4),
    camera_shift=(-0.02, 0.02),
    camera_turn=(-np.radians(3), np.radians(3)),
    focal_scale=(0.95, 1.05),
    mass_scale=(0.7, 1.3),
    friction_scale=(0.5, 1.5),
    torque_gain=(0.9, 1.1),
    joint_friction_upper=(0.0, 1.0),
    joint_friction_wrist=(0.0, 0.3),
    q_noise=1e-4,
    dq_noise=5e-3,
    wrench_noise=0.2,
    image_noise=4.0,
)
TIERS = {"clean": CLEAN, "rich": RICH}


def tier(name: str) -> Randomisation:
    """The ranges called "clean" or "rich"; InputError names both for any other."""
    return TIERS[choose("randomisation tier", name, TIERS)]
