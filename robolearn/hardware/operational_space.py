"""The law of operational-space control (Khatib, IEEE J-RA 3(1), 1987), from numbers alone.

It turns an error of a frame's pose into a desired acceleration of that frame, weighs it with the arm's
inertia as felt there, and maps the wrench to joint torques; what the six dimensions leave free is used to
stay near a posture. Torques exclude gravity. Where the numbers come from, a simulator or an arm's own model,
is somebody else's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gains:
    """Closed-loop behaviour of the controlled frame.

    Attributes:
        stiffness: squared natural frequency of the translation [1/s²].
        rotation_stiffness: squared natural frequency of the rotation [1/s²].
        damping_ratio: 1 is critically damped.
        speed: translation speed that the error is clipped to ask for [m/s].
        rotation_speed: the same for the rotation [rad/s].
        posture_stiffness: pull towards the posture in the null space [1/s²].
    """

    stiffness: float = 36.0
    rotation_stiffness: float = 36.0
    damping_ratio: float = 1.0
    speed: float = 0.5
    rotation_speed: float = 2.0
    posture_stiffness: float = 10.0


def rotation_error(target: Array, current: Array) -> Array:
    """Rotation vector (3,) [rad], in the world frame, that turns one rotation matrix (3, 3) into another.

    Of the two axes of an exact half turn, one is chosen.
    """
    difference = target @ current.T
    # plain floats: this runs several times a control step, and NumPy takes ten times as long on three numbers
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = difference.tolist()
    x, y, z = 0.5 * (zy - yz), 0.5 * (xz - zx), 0.5 * (yx - xy)
    sine, cosine = sqrt(x * x + y * y + z * z), 0.5 * (xx + yy + zz - 1.0)
    if sine > 1e-9:
        scale = atan2(sine, cosine) / sine
        return np.array([x * scale, y * scale, z * scale])
    if cosine > 0.0:
        return np.array([x, y, z])
    outer = 0.5 * (difference + np.eye(3))  # of a half turn: axis times its own transpose
    column = outer[:, int(np.argmax(np.diag(outer)))]
    return np.asarray(pi * column / np.linalg.norm(column))


def clip_norm(vector: Array, limit: float) -> Array:
    """The vector, or the one of its direction that is as long as the limit."""
    length = sqrt(vector @ vector)
    return vector if length <= limit else vector * (limit / length)


def hand_torque(
    gains: Gains,
    jacobian: Array,
    inertia: Array,
    q: Array,
    dq: Array,
    posture: Array,
    error: Array,
    twist: Array,
    load: Array | None = None,
) -> Array:
    """Torques that take a frame fixed to the hand to a goal, gravity of the arm excluded.

    Args:
        gains: closed-loop behaviour.
        jacobian: velocity of the frame's origin over the hand's angular velocity, per joint velocity (6, n).
        inertia: of the arm in joint space (n, n) [kg·m²].
        q, dq: joint positions (n,) [rad] and velocities (n,) [rad/s].
        posture: joint positions to stay near (n,) [rad].
        error: from where the frame is to where it should be (3,) [m], base frame.
        twist: rotation vector that turns it as it should be turned (3,) [rad], base frame.
        load: force that the hand has to exert besides, such as a payload's weight (3,) [N].

    Returns:
        shape (n,) [N·m].
    """
    velocity = jacobian @ dq
    omega, omega_r = sqrt(gains.stiffness), sqrt(gains.rotation_stiffness)
    damping = 2 * gains.damping_ratio
    # an error clipped at speed * 2 zeta / omega makes the damped system cruise at that speed (Khatib)
    error = clip_norm(error, gains.speed * damping / omega)
    twist = clip_norm(twist, gains.rotation_speed * damping / omega_r)
    acceleration = np.concatenate(
        [
            gains.stiffness * error - damping * omega * velocity[:3],
            gains.rotation_stiffness * twist - damping * omega_r * velocity[3:],
        ]
    )
    weighted = np.linalg.solve(inertia, jacobian.T)  # M^-1 J^T, shape (n, 6)
    mobility = jacobian @ weighted
    mobility[np.diag_indices(6)] += 1e-5  # keeps the wrench bounded near singular postures
    felt = np.linalg.inv(mobility)
    wrench = felt @ acceleration
    if load is not None:
        wrench[:3] += load
    k = gains.posture_stiffness
    relax = inertia @ (k * (posture - q) - 2 * sqrt(k) * dq)
    return np.asarray(jacobian.T @ wrench + relax - jacobian.T @ (felt @ (weighted.T @ relax)))
