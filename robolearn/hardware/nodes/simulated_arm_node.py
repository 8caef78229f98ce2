"""The simulated arm behind topics, in real time: `python -m robolearn.hardware.nodes.simulated_arm_node`.

Parameters: `station` (a simulated one), `policy` (a bundle: its task and cameras), or `task` and `changes`
(JSON), `seed` (of the next episode; each takes the next number), `payload_error` [kg] and `reality` (what the
arm is otherwise than in the training simulator: a name or a file).

Topics and the service that activates its controller are the station's. Beside a real arm's, it has

    ~/reset_episode   std_srvs/Trigger          puts things in place; the answer's message is the seed
    ~/fault           std_msgs/String           lets something go wrong: {"kind": "state late", "amount": 0.1}
    ~/clear_faults    std_srvs/Trigger          ends all of that
    ~/task            std_msgs/String, latched  task, posture and gripper that episodes begin with, seconds
    ~/verdict         std_msgs/String, latched  what the task's predicate says of the episode; JSON

An episode is judged from its mark on: the arm hears the episode runner's.
"""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import asdict
from typing import Any

from geometry_msgs.msg import WrenchStamped
from rclpy.node import Node
from sensor_msgs.msg import Image
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Float64, Float64MultiArray, String
from std_srvs.srv import SetBool, Trigger

from robolearn import checks
from robolearn.errors import InputError
from robolearn.hardware.faults import Fault
from robolearn.hardware.nodes import convert, names
from robolearn.hardware.nodes.arm_thread import ArmThread
from robolearn.hardware.nodes.common import (
    EXACT,
    LATCHED,
    LATEST,
    SENSOR,
    Farewell,
    every,
    run,
    station_parameter,
    system,
    text_parameter,
)
from robolearn.hardware.nodes.large_messages import make_room
from robolearn.hardware.realities import load_reality
from robolearn.hardware.recording import topics
from robolearn.hardware.simulation import Message, SimulatedArm, lenses, wire_timing
from robolearn.hardware.wire import JointState, Picture


class SimulatedArmNode(Node):
    """An arm, its gripper and its cameras, as their drivers would publish them."""

    def __init__(self) -> None:
        super().__init__(names.SIMULATED_ARM)
        self.station = station = station_parameter(self)
        if not station.simulated:
            raise InputError(f"station {station.name!r} is no simulated one (simulated: true)")
        task, changes = self._task()
        self.declare_parameter("seed", 0)
        payload = float(self.declare_parameter("payload_error", 0.0).value)
        reality = text_parameter(self, "reality")
        real = load_reality(reality, station.arm) if reality else None
        self._verdict: object = None
        self._farewell = Farewell(self)

        publish = self.create_publisher
        self._states = publish(JointStateMessage, station.state.topic, SENSOR)
        self._images = {camera.name: publish(Image, camera.topic, SENSOR) for camera in station.cameras}
        self._wrenches = publish(WrenchStamped, station.wrench.topic, SENSOR) if station.wrench else None
        self._verdicts = publish(String, "~/verdict", LATCHED)
        self._tasks = publish(String, "~/task", LATCHED)

        def make() -> SimulatedArm:
            return SimulatedArm(
                task,
                changes,
                wire_timing(station),
                start=system(),
                payload_error=payload,
                joint_names=station.joint_names,
                reality=real,
                lenses=lenses(station),
            )

        self.arm = ArmThread(make, self._publish, self._watch)
        self.create_subscription(
            Float64MultiArray, station.controller.command_topic, self._on_command, LATEST
        )
        if station.gripper.kind != "none":
            self.create_subscription(Float64, station.gripper.name, self._on_gripper, LATEST)
        self.create_subscription(String, topics.EPISODE, self._on_mark, EXACT)
        self.create_subscription(String, "~/fault", self._on_fault, EXACT)
        if station.controller.deactivation == "set_bool":
            self.create_service(SetBool, station.controller.deactivation_service, self._on_activate)
        self.create_service(Trigger, "~/reset_episode", self._on_reset)
        self.create_service(Trigger, "~/clear_faults", self._on_clear)
        every(self, 0.1, self._check)
        self._tasks.publish(String(data=json.dumps(self.arm.call(_about))))
        gc.collect()
        gc.freeze()  # what is here stays: the collector need not look at it between two joint states
        self.arm.begin()
        self.get_logger().info(f"the simulated arm is at task {task!r}")

    def _task(self) -> tuple[str, dict[str, Any]]:
        task, changes = text_parameter(self, "task"), text_parameter(self, "changes", "{}")
        policy = str(self.get_parameter("policy").value)
        mine = checks.mapping("parameter changes", checks.parse_json("parameter changes", changes))
        if policy and not task:
            from robolearn.policies.bundle import load_bundle

            bundle = load_bundle(policy)
            return bundle.task, {**bundle.changes, **mine}
        return task or "grasp", mine

    @property
    def ended(self) -> bool:
        """Whether the monitor is done with the arm; then time stops."""
        if over := self._farewell.over:
            self.arm.close()
        return over

    def end(self) -> None:
        """The monitor still needs it to bring it to rest."""
        self._farewell.begin()

    # --- from the arm's thread ----------------------------------------------------------------------------

    def _publish(self, message: Message) -> None:
        if isinstance(message, JointState):
            self._states.publish(convert.joint_state_message(message))
        elif isinstance(message, Picture):
            self._images[message.camera].publish(convert.image_message(message))
        elif self._wrenches is not None:
            self._wrenches.publish(convert.wrench_message(message))

    def _watch(self, arm: SimulatedArm) -> None:
        if arm.verdict is self._verdict:
            return
        self._verdict = arm.verdict
        if arm.verdict is not None:
            said = {"seed": arm.seed, **asdict(arm.verdict), "measured": asdict(arm.meters)}
            self._verdicts.publish(String(data=json.dumps(said)))

    def _check(self) -> None:
        """A simulation that has failed must not look like an arm that keeps still."""
        if self.arm.failure is not None:
            raise self.arm.failure

    # --- from the wire ------------------------------------------------------------------------------------

    def _on_command(self, message: Float64MultiArray) -> None:
        torque, now = convert.numbers(message.data), system()
        self.arm.tell(lambda arm: arm.command(torque, now))

    def _on_gripper(self, message: Float64) -> None:
        gripper, now = self.station.gripper, system()
        middle = 0.5 * gripper.command_scale * (gripper.open_width + gripper.closed_width)
        closed = 1.0 if message.data < middle else -1.0
        self.arm.tell(lambda arm: arm.command_gripper(closed, now))

    def _on_activate(self, request: Any, response: Any) -> Any:
        now = system()
        self.arm.tell(lambda arm: arm.set_active(bool(request.data), now))
        response.success, response.message = True, "active" if request.data else "inactive"
        return response

    def _on_mark(self, message: String) -> None:
        try:
            mark = convert.mark(message)
        except InputError as error:
            self.get_logger().warning(f"refused: {error}")
            return
        if mark.kind == "begin":
            self.arm.tell(lambda arm: arm.begin_episode())

    def _on_reset(self, request: Any, response: Any) -> Any:
        seed = int(self.get_parameter("seed").value)
        self.arm.call(lambda arm: _reset(arm, seed))
        self.set_parameters([type(self.get_parameter("seed"))("seed", value=seed + 1)])
        response.success, response.message = True, str(seed)
        return response

    def _on_fault(self, message: String) -> None:
        try:
            words = checks.mapping("a fault", checks.parse_json("a fault", message.data))
            fault = Fault(**words)
            self.arm.call(lambda arm: arm.inject(fault))
            self.get_logger().warning(f"from now on: {message.data}")
        except (InputError, TypeError) as error:
            self.get_logger().error(f"refused: {error}")

    def _on_clear(self, request: Any, response: Any) -> Any:
        self.arm.call(lambda arm: arm.faults.clear())
        response.success, response.message = True, "nothing goes wrong any more"
        return response


def _about(arm: SimulatedArm) -> dict[str, Any]:
    env = arm.env
    return {
        "task": arm.task,
        "home": arm.start_posture.tolist(),
        "gripper": 1.0 if env.starts_closed else -1.0,
        "seconds": env.config.episode_seconds,
    }


def _reset(arm: SimulatedArm, seed: int) -> None:
    """It may take longer than a joint state may be old: the arm stands still meanwhile."""
    arm.reset_episode(seed, system())
    arm.skip(system())


def main() -> int:
    """Entry point."""
    make_room()
    sys.setswitchinterval(0.001)  # the arm's thread and the executor's take turns that often [s]
    return run(SimulatedArmNode)


if __name__ == "__main__":
    sys.exit(main())
