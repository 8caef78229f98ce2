"""The torque limiter: one small function between whoever asks for a torque and the motors.

It runs at the contract's filter rate, in the simulation (compiled, see `robolearn.envs.torque_path`) and in
the safety monitor (as plain Python on lists). It has no memory but the torque that it sent last, which the
caller hands back as `previous`.

Hard, for any input: every output is finite, within `tau_max` (gravity included, where we supply it) and
within `dtau` of the torque sent a tick before. Soft, inside that box: joint position, joint speed and power.
A request inside every bound comes out bit for bit as it went in.

The soft bounds. A virtual wall, spring and damper, stands at each position limit, and a damper at each speed
limit; with x the way to the limit and v the speed towards it, they permit a torque towards the limit of

    b = wall_stiffness * x - wall_damping * v        and        b = speed_gain * (dq_max - v),

negative where the joint must brake. Once in force, a torque t goes on accelerating the joint: for the
reaction time until the limiter sees and acts on what it did, and then while it is withdrawn by dtau a tick,
which takes long next to the time a light joint needs to reach its top speed. Both cost speed; in units of
torque, the bound must have room for t + t² / (2 s), with s = dtau * reaction_ticks. So of a positive b only

    t = s * (sqrt(1 + 2 b / s) - 1)

is permitted. Without this term a light joint that is pushed with full torque outruns the rate at which torque
can be withdrawn, passes through the wall and swings between its limits.
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

REACTION_TIME = 0.025
"""From sending a torque to answering its effect [s]: 10 ms to see the state, a tick, and some reserve."""

_LARGEST_STATE = 1e6
"""rad and rad/s; a joint state beyond it is no measurement and is treated as NaN is."""


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
    """Damper at the speed limits [N·m·s/rad]."""
    reaction_ticks: float
    """Ticks from sending a torque to sending the answer to its effect."""
    power_max: float
    """Largest mechanical power that the request may put into the arm, all joints together [W]."""


def limiter_parameters(arm: ArmProfile, filter_rate: float) -> LimiterParameters:
    """Parameters of `limit`, as lists, for an arm whose limiter ticks `filter_rate` times a second.

    Raises:
        InputError: the filter rate is not a positive number, or slower than the soft bounds can work with.
    """
    if not (math.isfinite(filter_rate) and filter_rate * REACTION_TIME >= 1.0):
        raise InputError(f"filter_rate is {filter_rate!r} Hz; it must be {1.0 / REACTION_TIME:g} Hz or more")
    # What we send at one tick reaches an arm with a faster loop as one step, unless it interpolates.
    period = 1.0 / filter_rate if arm.interpolates else min(arm.control_period, 1.0 / filter_rate)
    settings = arm.limiter
    return LimiterParameters(
        tau_max=(arm.tau_max - settings.tau_margin).tolist(),
        dtau=(arm.dtau_max * period).tolist(),
        q_lo=(arm.q_min + settings.q_margin).tolist(),
        q_hi=(arm.q_max - settings.q_margin).tolist(),
        wall_stiffness=settings.wall_stiffness.tolist(),
        wall_damping=settings.wall_damping.tolist(),
        dq_max=(arm.dq_max - settings.dq_margin).tolist(),
        speed_gain=settings.speed_gain.tolist(),
        reaction_ticks=REACTION_TIME * filter_rate,
        power_max=settings.power_max,
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
    """Bound one tick's torque. All sequences have one length; nothing is changed but `out`.

    Args:
        request: torque asked for, gravity excluded [N·m].
        gravity: torque that we send on top to carry the arm [N·m]; zeros where it carries itself.
        previous: what this function wrote to `out` a tick ago [N·m].
        q, dq: joint positions [rad] and speeds [rad/s] as measured, some milliseconds old.
        p: the bounds.
        out: receives the torque to send, gravity included [N·m].

    Returns:
        Bits of `CAUSES` for the bounds that were met: 0 exactly when every input is finite and `out` is
        request + gravity (the request itself where gravity is 0).

    What does not make sense is decided so:

    - A NaN or an infinity anywhere in request, q or dq withdraws the request of every joint: half a command
      is no command, and nothing feeds back on a state that is not a number. Gravity remains, approached at
      the permitted rate.
    - A joint whose gravity is not finite keeps its previous torque: zero would drop the arm.
    - A previous torque that is not finite counts as the gravity torque, or as 0 if that is not finite either.
    - A previous torque outside the box counts as the nearest one inside: magnitude goes before rate.
    - Where a bound from above is lower than one from below (far beyond a position limit and too fast on the
      way back), the one from above holds.
    """
    n = len(out)
    causes = 0
    for i in range(n):
        if not (math.isfinite(request[i]) and abs(q[i]) < _LARGEST_STATE and abs(dq[i]) < _LARGEST_STATE):
            causes |= NONFINITE
    withdrawn = causes != 0

    # The soft bounds act on the request alone: gravity is carried however fast the arm moves.
    power = 0.0
    for i in range(n):
        if withdrawn:
            out[i] = 0.0
            continue
        torque = float(request[i])
        position = float(q[i])
        speed = float(dq[i])
        s = p.dtau[i] * p.reaction_ticks
        upper = p.wall_stiffness[i] * (p.q_hi[i] - position) - p.wall_damping[i] * speed
        lower = p.wall_stiffness[i] * (p.q_lo[i] - position) - p.wall_damping[i] * speed
        cause_above = cause_below = POSITION
        if p.speed_gain[i] * (p.dq_max[i] - speed) < upper:
            upper = p.speed_gain[i] * (p.dq_max[i] - speed)
            cause_above = SPEED
        if p.speed_gain[i] * (-p.dq_max[i] - speed) > lower:
            lower = p.speed_gain[i] * (-p.dq_max[i] - speed)
            cause_below = SPEED
        lower = min(lower, upper)
        room = torque * torque / (2.0 * s)
        if (torque + room if torque > 0.0 else torque) > upper:
            torque = s * (math.sqrt(1.0 + 2.0 * upper / s) - 1.0) if upper > 0.0 else upper
            causes |= cause_above
        elif (torque - room if torque < 0.0 else torque) < lower:
            torque = s * (1.0 - math.sqrt(1.0 - 2.0 * lower / s)) if lower < 0.0 else lower
            causes |= cause_below
        if torque * speed > 0.0:
            power += min(abs(torque), p.tau_max[i]) * abs(speed)
        out[i] = torque

    share = 1.0
    if power > p.power_max:
        share = p.power_max / power
        causes |= POWER

    altered = False
    for i in range(n):
        tau_max = p.tau_max[i]
        dtau = p.dtau[i]
        torque = float(out[i])
        if share < 1.0 and torque * dq[i] > 0.0:
            torque = share * min(max(torque, -tau_max), tau_max)

        wanted = float(request[i])
        weight = float(gravity[i])
        weighed = math.isfinite(weight)
        if weighed and weight != 0.0:  # adding 0.0 would change the bits of a request of -0.0
            wanted += weight
            torque += weight
        last = float(previous[i])
        if not math.isfinite(last):
            causes |= NONFINITE
            last = weight if weighed else 0.0
        last = min(max(last, -tau_max), tau_max)
        if not weighed:
            causes |= NONFINITE
            torque = last

        if torque > tau_max:
            torque = tau_max
            causes |= MAGNITUDE
        elif torque < -tau_max:
            torque = -tau_max
            causes |= MAGNITUDE
        # The sums may round to a hair outside the bound: then a unit or two in the last place are taken off.
        if torque - last > dtau:
            torque = last + dtau
            if torque - last > dtau:
                torque -= 2.3e-16 * abs(torque)
            causes |= RATE
        elif last - torque > dtau:
            torque = last - dtau
            if last - torque > dtau:
                torque += 2.3e-16 * abs(torque)
            causes |= RATE
        altered |= torque != wanted
        out[i] = torque
    return causes if altered else causes & NONFINITE
