"""The torque limiter: one small function between whoever asks for a torque and the motors.

It runs at the contract's filter rate, in the simulation (compiled, see `robolearn.envs.torque_path`) and in
the safety monitor (as plain Python on lists). It has no memory but the torque it sent last, which the caller
hands back as `previous`.

Hard, for every input whatsoever: each output is finite, within `tau_max` (gravity included, where we supply it)
and within `dtau` of the torque sent a tick before. Soft, inside that box: joint position, joint speed and
power. A request inside every bound comes out bit for bit as it went in.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence
from typing import TYPE_CHECKING, NamedTuple

from robolearn.errors import InputError

if TYPE_CHECKING:
    from robolearn.hardware.arm import ArmProfile

CAUSES = ("nonfinite", "magnitude", "rate", "position", "speed", "power")
"""Names of the causes that `limit` reports, in the order of their bits."""

NONFINITE, MAGNITUDE, RATE, POSITION, SPEED, POWER = 1, 2, 4, 8, 16, 32

_LARGEST_STATE = 1e6
"""rad and rad/s; a joint state beyond it is no measurement, and is treated as NaN is."""


class LimiterParameters(NamedTuple):
    """What `limit` enforces. Sequences have one entry a joint, in the arm's joint order."""

    tau_max: Sequence[float]
    """Largest magnitude of the torque sent, gravity included [N·m]."""
    dtau: Sequence[float]
    """Largest change of the torque sent from one tick to the next [N·m]."""
    q_lo: Sequence[float]
    """Lower soft position limit, where the wall's spring is at rest [rad]."""
    q_hi: Sequence[float]
    """Upper soft position limit [rad]."""
    wall_stiffness: Sequence[float]
    """Spring of the walls at the position limits [N·m/rad]."""
    wall_damping: Sequence[float]
    """Damper of the walls at the position limits [N·m·s/rad]."""
    dq_max: Sequence[float]
    """Soft speed limit [rad/s]."""
    speed_gain: Sequence[float]
    """Braking torque per speed above the limit, and room per speed below it [N·m·s/rad]."""
    power_max: float
    """Largest mechanical power that the request may put into the arm, all joints together [W]."""


def limiter_parameters(arm: ArmProfile, filter_rate: float) -> LimiterParameters:
    """Parameters of `limit` for an arm whose limiter ticks `filter_rate` times a second."""
    if not (math.isfinite(filter_rate) and filter_rate > 0.0):
        raise InputError(f"filter_rate is {filter_rate!r}; it must be a positive number of ticks per second")
    # A torque held over one of our ticks reaches an arm with a faster loop of its own as one step, unless
    # something downstream interpolates.
    period = 1.0 / filter_rate if arm.interpolates else min(arm.control_period, 1.0 / filter_rate)
    n = len(arm.joint_names)
    tau_max = [float(t) - (1.0 if t > 20.0 else 0.5) for t in arm.tau_max]
    dq_max = [float(v) - 0.1 for v in arm.dq_max]
    stiffness = [200.0 if t > 20.0 else 20.0 for t in tau_max]
    return LimiterParameters(
        tau_max=tau_max,
        dtau=[float(d) * period for d in arm.dtau_max],
        q_lo=[float(q) + 0.1 for q in arm.q_min],
        q_hi=[float(q) - 0.1 for q in arm.q_max],
        wall_stiffness=stiffness,
        wall_damping=[0.3 * k for k in stiffness],
        dq_max=dq_max,
        speed_gain=[2.0 * t / v for t, v in zip(tau_max, dq_max, strict=True)],
        power_max=30.0 * n,
    )


def limit(
    request: Sequence[float],
    gravity: Sequence[float],
    previous: Sequence[float],
    q: Sequence[float],
    dq: Sequence[float],
    p: LimiterParameters,
    out: MutableSequence[float],
) -> int:
    """Bound one tick's torque. Lists or arrays of one length; pure but for writing `out`.

    Parameters
    ----------
    request:
        Torque asked for, gravity excluded [N·m].
    gravity:
        Gravity torque that we supply on top [N·m]; zeros where the arm compensates its own weight.
    previous:
        What this function wrote to `out` a tick ago [N·m].
    q, dq:
        Joint positions and speeds as measured, some milliseconds old [rad], [rad/s].
    p:
        The bounds.
    out:
        Receives the torque to send, gravity included [N·m].

    Returns
    -------
    Bits of `CAUSES` for the bounds that altered the request: 0 exactly when everything was finite and `out` is
    request + gravity.

    A NaN or an infinity anywhere in the request or in the state withdraws the whole request: half a
    command is no command, and nothing feeds back on a state that is not a number. What is left is gravity alone, approached
    at the permitted rate. A joint whose gravity is not finite keeps its previous torque, since zero would drop the arm.
    A previous torque that is not finite counts as the gravity torque. One outside the box is
    brought into it at once: magnitude goes before rate.
    """
    n = len(out)
    causes = 0
    for i in range(n):
        if not (math.isfinite(request[i]) and abs(q[i]) < _LARGEST_STATE and abs(dq[i]) < _LARGEST_STATE):
            causes |= NONFINITE
    withdrawn = causes != 0

    # The soft bounds act on the request alone, never on gravity: the arm must not be dropped for being fast.
    power = 0.0
    for i in range(n):
        torque = 0.0 if withdrawn else float(request[i])
        if not withdrawn:
            room_above = p.q_hi[i] - q[i]
            room_below = p.q_lo[i] - q[i]
            upper = p.wall_stiffness[i] * room_above - p.wall_damping[i] * dq[i]
            lower = p.wall_stiffness[i] * room_below - p.wall_damping[i] * dq[i]
            if torque > upper and torque > lower:
                torque = max(upper, lower)
                causes |= POSITION
            elif torque < lower:
                torque = lower
                causes |= POSITION
            fastest = p.speed_gain[i] * (p.dq_max[i] - dq[i])
            slowest = p.speed_gain[i] * (-p.dq_max[i] - dq[i])
            if torque > fastest:
                torque = fastest
                causes |= SPEED
            elif torque < slowest:
                torque = slowest
                causes |= SPEED
            if torque * dq[i] > 0.0:
                power += min(abs(torque), p.tau_max[i]) * abs(dq[i])
        out[i] = torque

    share = 1.0
    if power > p.power_max:
        share = p.power_max / power
        causes |= POWER

    altered = False
    for i in range(n):
        limit_i = p.tau_max[i]
        torque = float(out[i])
        if share < 1.0 and torque * dq[i] > 0.0:
            torque = share * min(max(torque, -limit_i), limit_i)

        weight = float(gravity[i])
        known = math.isfinite(weight)
        before = float(previous[i])
        if not math.isfinite(before):
            before = weight if known else 0.0
        before = min(max(before, -limit_i), limit_i)

        wanted = float(request[i])
        if not known:
            causes |= NONFINITE
            torque = before
        elif weight != 0.0:  # -0.0 + 0.0 would lose the sign of a request of -0.0
            torque += weight
            wanted += weight

        if torque > limit_i:
            torque = limit_i
            causes |= MAGNITUDE
        elif torque < -limit_i:
            torque = -limit_i
            causes |= MAGNITUDE
        if torque - before > p.dtau[i]:
            torque = before + p.dtau[i]
            if torque - before > p.dtau[i]:  # the sum was rounded up: one unit in the last place down
                torque -= 2.3e-16 * abs(torque)
            causes |= RATE
        elif before - torque > p.dtau[i]:
            torque = before - p.dtau[i]
            if before - torque > p.dtau[i]:
                torque += 2.3e-16 * abs(torque)
            causes |= RATE
        if not known or torque != wanted:
            altered = True
        out[i] = torque
    return causes if altered else causes & NONFINITE
