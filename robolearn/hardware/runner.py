"""The policy runner: from what arrives over the wire to what a policy asks for, aligned as in training.

How messages become observations is told in `robolearn.hardware.alignment`. Asking the policy takes three
steps, so that the one that takes long can run elsewhere:

    runner.begin(now)                           # an episode begins, and
    runner.forget()                             # the policy forgets, on the thread where it infers
    observation = runner.prepare(now)           # None where something is missing
    action = runner.infer(observation)          # on any one thread, one after the other
    request = runner.request(observation, action, now)

Times are whole nanoseconds of the clock that the stamps belong to.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robolearn.hardware.alignment import Alignment, Observation, Wiring
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND, Heartbeat, TorqueRequest

if TYPE_CHECKING:
    from robolearn.policies.bundle import Bundle

__all__ = ["Actor", "Latencies", "Observation", "PolicyRunner"]

SENDER = "policy"
"""Of the runner's heartbeats and requests, where there is one runner."""


class Actor(Protocol):
    """What chooses actions; it is shown every observation of an episode once, in order."""

    def reset(self) -> None:
        """Forget the past: an episode begins."""

    def act(self, observation: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """The action for the next observation, shape (a,)."""


class Latencies:
    """How long things took, of the latest 1000 [s]."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=1000)

    def add(self, nanoseconds: int) -> None:
        self._recent.append(nanoseconds / SECOND)

    def summary(self) -> dict[str, float]:
        """Median, 99th percentile and maximum [s]; empty before the first."""
        if not self._recent:
            return {}
        median, p99, most = np.quantile(self._recent, [0.5, 0.99, 1.0]).tolist()
        return {"median": median, "p99": p99, "max": most}


class PolicyRunner(Alignment):
    """Runs the policy of a bundle at a station.

    Args:
        bundle: the policy and its contract.
        station: where it is to run.
        actor: what chooses the actions; None for the bundle's own network, in torch.
        sender: of its heartbeats and requests; two runners need two.

    Attributes:
        joint_names: the contract's joints, as the wire calls them.
        inference: from an observation to its request.
        age: from an observation's stamp to its request.

    Raises:
        InputError: the station does not offer what the contract requires; lists every gap.
    """

    def __init__(
        self, bundle: Bundle, station: Station, actor: Actor | None = None, sender: str = SENDER
    ) -> None:
        bundle.contract.require(station.offer())
        super().__init__(bundle.contract, Wiring.at(station, bundle.contract))
        self.bundle, self.station, self.sender = bundle.weights_hash, station, sender
        self.actor: Actor = actor if actor is not None else bundle.network
        self.joint_names = self.wiring.joint_names
        self.inference, self.age = Latencies(), Latencies()

    def forget(self) -> None:
        """The policy forgets the episode before; never while it infers."""
        self.actor.reset()

    def infer(self, observation: Observation) -> NDArray[np.float32]:
        """The policy's action, shape (a,); takes long, and may run on a thread of its own."""
        return self.actor.act(observation.values)

    def request(self, observation: Observation, action: NDArray[np.float32], now: int) -> TorqueRequest:
        """What to send to the monitor for an action that was chosen by now."""
        self.inference.add(now - observation.prepared)
        self.age.add(now - observation.stamp)
        n = len(self.joint_names)
        gripper = float(action[n]) if self.contract.action.gripper else None
        torque = action[:n].astype(np.float64)
        return TorqueRequest(observation.stamp, self.joint_names, torque, gripper, self.sender)

    def heartbeat(self, now: int) -> Heartbeat:
        """What announces the policy and keeps it alive in the monitor's eyes."""
        return Heartbeat(now, self.sender, self.bundle, self.contract.hash)
