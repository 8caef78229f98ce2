"""The policy as a lifecycle node: `python -m robolearn.hardware.nodes.policy_node`.

Parameters: `station`, `policy` (a bundle: required), `onnx` (a file of `robolearn export`, run in place of
torch), `threads` (of torch), `autostart` (configure and activate by itself), `exploration` (how much it is
pushed off its path, see `robolearn.hardware.exploring`) and `seed` (of the pushes).

configure loads the bundle and refuses it with every gap between what its contract requires and what the
station offers. While active the node beats, and acts in the episodes whose marks it hears. The network runs
on a thread of its own: no callback waits for it, and a network that hangs does not beat.

    /robolearn/torque/requested   sensor_msgs/JointState   what it asks for
    /robolearn/policy/heartbeat   std_msgs/Header          alive, and which bundle
    ~/contract                    std_msgs/String, latched what it requires
    /diagnostics                  latencies, and what observations lacked, once a second
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Header, String

from robolearn.errors import InputError
from robolearn.hardware.exploring import explore
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.common import (
    EXACT,
    LATCHED,
    SENSOR,
    Farewell,
    every,
    run,
    station_parameter,
    steady,
    system,
    text_parameter,
)
from robolearn.hardware.recording import topics
from robolearn.hardware.runner import Observation, PolicyRunner
from robolearn.hardware.wire import SECOND, TorqueRequest

BEAT_PERIOD = 0.05
"""Between two heartbeats [s]."""

LOOK_PERIOD = 0.002
"""Between two looks whether an observation is due [s]."""

REPORT_PERIOD = 1.0
DIAGNOSTIC = "robolearn: policy"
"""DiagnosticStatus.name of the policy's report."""


class Thinker:
    """Runs the network on a thread of its own, one thing after another.

    Attributes:
        since: when it began with the observation that it is at, by the steady clock [ns]; None while idle.
    """

    def __init__(self, runner: PolicyRunner, done: Any) -> None:
        self._runner, self._done = runner, done
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.since: int | None = None
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self._thread.start()

    def think(self, observation: Observation) -> None:
        """Begin; only while it is idle."""
        self.since = steady()
        self._work.put(partial(self._think, observation))

    def forget(self) -> None:
        """An episode begins: the policy forgets, after what it is at and before what comes."""
        self._work.put(self._runner.forget)

    def close(self) -> None:
        """End the thread, when it comes to it."""
        self._work.put(None)

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            try:
                do()
            except Exception as error:  # whatever it was, the policy is dead: it stays busy and beats no more
                self.failure = f"the policy failed: {error!r}"
                self.since = self.since or steady()
                return

    def _think(self, observation: Observation) -> None:
        action = self._runner.infer(observation)
        self._done(self._runner.request(observation, action, system()))
        self.since = None


class PolicyNode(LifecycleNode):
    """Sees what the arm and its cameras publish, and asks the monitor for torques."""

    def __init__(self) -> None:
        super().__init__(names.POLICY, namespace=names.NAMESPACE)
        self.station = station_parameter(self)
        self._onnx = text_parameter(self, "onnx")
        self._exploration = float(self.declare_parameter("exploration", 0.0).value)
        self._seed = int(self.declare_parameter("seed", 0).value)
        self._threads = int(self.declare_parameter("threads", 1).value)
        self._runner: PolicyRunner | None = None
        self._thinker: Thinker | None = None
        self._listening: list[Any] = []
        self._pacing: list[Any] = []
        self._asking = False
        self._farewell = Farewell(self)
        self._requested = self.create_publisher(JointStateMessage, topics.REQUESTED, EXACT)
        self._heartbeat = self.create_publisher(Header, topics.HEARTBEAT, EXACT)
        self._contract = self.create_publisher(String, names.CONTRACT, LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, EXACT)
        if bool(self.declare_parameter("autostart", True).value):
            for trigger in (self.trigger_configure, self.trigger_activate):
                if trigger() != TransitionCallbackReturn.SUCCESS:
                    raise InputError("the policy cannot run here; see above")

    # --- lifecycle ----------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle and hold its contract against the station."""
        try:
            self._configure(str(self.get_parameter("policy").value))
        except InputError as error:
            self.get_logger().error(f"refused: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self, policy: str) -> None:
        if not policy:
            raise InputError("parameter policy is empty; it must be a bundle")
        import torch

        from robolearn.policies.bundle import load_bundle

        torch.set_num_threads(self._threads)
        bundle = load_bundle(policy)
        actor = None
        if self._onnx:
            from robolearn.hardware.inference import OnnxActor

            actor = OnnxActor(self._onnx, bundle.contract.hash, bundle.weights_hash)
        acting = explore(actor or bundle.network, self.station.arm, self._exploration, self._seed)
        self._runner = runner = PolicyRunner(bundle, self.station, acting, names.sender(names.POLICY))
        self._warm_up(runner)
        self._thinker = Thinker(runner, self._ask)
        self._contract.publish(String(data=bundle.contract.to_json()))
        self.get_logger().info(f"bundle {bundle.weights_hash[:12]} of task {bundle.task!r} fits the station")

    @staticmethod
    def _warm_up(runner: PolicyRunner) -> None:
        """The first run of a network is the slowest: let it be none that matters."""
        contract = runner.contract
        values: dict[str, Any] = {c.name: np.zeros(c.size, np.float32) for c in contract.proprioception}
        for camera in contract.cameras:
            depth = camera.encoding == "depth"
            shape = (camera.height, camera.width) if depth else (camera.height, camera.width, 3)
            values[camera.name] = np.zeros(shape, np.float32 if depth else np.uint8)
        runner.actor.reset()
        for _ in range(3):
            runner.infer(Observation(0, 0, values))
        runner.actor.reset()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen and to beat."""
        assert self._runner is not None
        listen, runner = self.create_subscription, self._runner
        states = {self.station.state.topic}
        if self.station.gripper.kind != "none":
            states.add(self.station.gripper.state_topic)
        self._listening = [
            listen(JointStateMessage, topic, self._on_state, SENSOR) for topic in sorted(states)
        ]
        needed = {camera.name for camera in runner.contract.cameras}
        for camera in self.station.cameras:
            if camera.name in needed:
                kind = Image if camera.transport == "raw" else CompressedImage
                see = partial(self._on_image, camera.name)
                self._listening.append(listen(kind, camera.topic, see, SENSOR))
        self._listening += [
            listen(JointStateMessage, topics.FILTERED, self._on_filtered, EXACT),
            listen(String, topics.EPISODE, self._on_mark, EXACT),
        ]
        self._pacing = [
            every(self, BEAT_PERIOD, self._beat),
            every(self, LOOK_PERIOD, self._look),
            every(self, REPORT_PERIOD, self._report),
        ]
        self._asking = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ask for nothing more, and fall silent."""
        self._fall_silent()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the bundle."""
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget everything."""
        self._fall_silent()
        self._forget()
        return TransitionCallbackReturn.SUCCESS

    def _fall_silent(self) -> None:
        self._asking = False
        if self._runner is not None:
            self._runner.end()
        for timer in self._pacing:
            self.destroy_timer(timer)
        for subscription in self._listening:
            self.destroy_subscription(subscription)
        self._pacing, self._listening = [], []

    def _forget(self) -> None:
        if self._thinker is not None:
            self._thinker.close()
        self._runner = self._thinker = None

    @property
    def ended(self) -> bool:
        """It beats until the arm is at rest: a policy that falls silent before that counts as lost."""
        return self._farewell.over

    def end(self) -> None:
        """Ask for nothing more."""
        self._asking = False
        if self._runner is not None:
            self._runner.end()
        self._farewell.begin()

    # --- what it hears ------------------------------------------------------------------------------------

    def _on_state(self, message: JointStateMessage) -> None:
        assert self._runner is not None
        self._runner.on_state(system(), convert.joint_state(message))

    def _on_image(self, camera: str, message: Any) -> None:
        assert self._runner is not None
        try:
            self._runner.on_picture(system(), convert.picture(message, camera))
        except InputError as error:
            self.get_logger().warning(f"camera {camera}: {error}", throttle_duration_sec=1.0)

    def _on_filtered(self, message: JointStateMessage) -> None:
        assert self._runner is not None
        self._runner.on_filtered(system(), convert.torque_request(message))

    def _on_mark(self, message: String) -> None:
        assert self._runner is not None
        try:
            mark = convert.mark(message)
        except InputError as error:
            self.get_logger().warning(f"refused: {error}")
            return
        if mark.kind == "begin" and mark.body.get("action_source", "policy") == "policy":
            assert self._thinker is not None
            self._thinker.forget()
            self._runner.begin(system())
        else:
            self._runner.end()

    # --- what it does -------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Begin with the observation that is due, unless the network is still busy with the one before."""
        assert self._runner is not None
        assert self._thinker is not None
        now = system()
        if self._thinker.since is None and self._runner.due(now):
            observation = self._runner.prepare(now)
            if observation is not None:
                self._thinker.think(observation)
            else:
                lacking = ", ".join(self._runner.missing)
                self.get_logger().warning(f"no observation: {lacking}", throttle_duration_sec=1.0)

    def _ask(self, request: TorqueRequest) -> None:
        if self._asking:
            self._requested.publish(convert.torque_message(request))

    def _beat(self) -> None:
        assert self._runner is not None
        assert self._thinker is not None
        busy = self._thinker.since
        if busy is not None and steady() - busy > self.station.monitor.heartbeat_timeout * SECOND:
            words = self._thinker.failure or "the network hangs"
            self.get_logger().error(words, throttle_duration_sec=1.0)
            return
        self._heartbeat.publish(convert.heartbeat_message(self._runner.heartbeat(system())))

    def _report(self) -> None:
        assert self._runner is not None
        pairs = [
            (f"{name} {key}", f"{1e3 * value:.2f} ms")
            for name, latencies in (("inference", self._runner.inference), ("age", self._runner.age))
            for key, value in latencies.summary().items()
        ]
        pairs += [(f"count {name}", str(count)) for name, count in self._runner.reports.items()]
        missing = ", ".join(self._runner.missing)
        entry = convert.diagnostic(DIAGNOSTIC, int(bool(missing)), missing or "sees all it needs", pairs)
        self._diagnostics.publish(convert.diagnostics_message(system(), entry))


def main() -> int:
    """Entry point."""
    return run(PolicyNode)


if __name__ == "__main__":
    sys.exit(main())
