"""A spring and a damper shaped by the arm's own inertia: every motion of the arm answers alike.

Springs and dampers chosen joint by joint slow a motion of several joints at the rate damping / inertia, and
that inertia depends on posture and motion: J1 against J3, where grasping starts, has so little that dampers
which suit each of the two alone slow it at 100/s. A loop that sees the arm 15 ms late cannot do that; the arm
swings. So here

    torque = M (w² way + 2 w speed)

with M the joint-space inertia where the arm is held, w one frequency, `way` and `speed` from the arm to where
it should be. Then M drops out, and every mode x of the arm is, with the loop's delay T, the same oscillator,

    x''(t) = -2 w x'(t - T) - w² x(t - T),

critically damped for T = 0. How late it may answer follows from its loop gain (2 w s + w²) exp(-s T) / s². At
|s| = 1.029 * 2 w that is 1, and its phase 76° - 59° * 2 w T above -180°: it is stable while 2 w T < 1.295.
Asked for is w T <= REACH = 0.36. There the phase margin is 34° and the gain margin 2.0, so that the loop is
still stable with 1.8 times the delay or half the inertia. These are the textbook's margins: 30° to 60°, and 2
to 5 (Åström and Murray, Feedback Systems, 2nd edition, Princeton 2021, section 10.3).

Then there is the limiter's rate. A torque that may change by R each second still brakes the arm while it is
withdrawn; a damper that knows nothing of it passes through rest with the torque on, and may swing for ever.
In that time a torque t takes as much speed as a damper of 2 w takes with t² / (2 s), s = R / 2w. So of a wish
b only t is asked for, with t + t² / (2 s) = b, as in `robolearn.hardware.limiter`. All joints are scaled by
the share of the one that must yield most: what brakes the arm along its path still does.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from robolearn.hardware.model import ArmModel, Array

REACH = 0.36
"""Largest frequency times the delay of its loop; see above."""


class Impedance:
    """Torques that lead an arm to a place, as if each of its motions hung on one and the same spring.

    Attributes:
        frequency: of the spring, w [rad/s]; the damper is critical.
    """

    def __init__(self, model: ArmModel, frequency: float, filter_rate: float) -> None:
        """
        Args:
            model: of the arm.
            frequency: w [rad/s].
            filter_rate: of the limiter that the torques go through [Hz].
        """
        self.frequency = frequency
        self._model, self._filter_rate = model, filter_rate
        self._inertia, self._slack = np.zeros((model.arm.n, model.arm.n)), np.ones(model.arm.n)

    def shape(self, q: Sequence[float] | Array, dtau: Sequence[float]) -> None:
        """To be called first, and again where the inertia has changed.

        Args:
            q: positions at which its inertia is taken (n,) [rad].
            dtau: the limiter's largest change of a torque from one tick to the next (n,) [N·m].
        """
        self._inertia = self._model.inertia(self._model.frames(np.asarray(q)))
        self._slack = np.array(dtau) * self._filter_rate / (2.0 * self.frequency)

    def torque(self, way: Array, speed: Array) -> Array:
        """The torque to ask for (n,) [N·m], gravity excluded.

        Args:
            way: from where the arm is to where it should be (n,) [rad].
            speed: by how much it should be faster (n,) [rad/s].
        """
        w = self.frequency
        wish = self._inertia @ (w * w * way + 2.0 * w * speed)
        excess = float(np.max(np.abs(wish) / self._slack))
        return np.asarray(wish * (2.0 / (1.0 + sqrt(1.0 + 2.0 * excess))))
