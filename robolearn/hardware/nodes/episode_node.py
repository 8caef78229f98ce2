"""The episode runner as a node: `python -m robolearn.hardware.nodes.episode_node`.

Parameters: `station`, `policy` (its contract's hash stands in the marks), `task`, `seconds` (the time limit;
0 for the simulated task's), `judged_by` ("person" or "predicate", only a simulated task's), `action_source`,
`exploration` (how much the policy is pushed, for the marks), `session` (a name), and for the simulated arm
`episodes` (run so many one after another, 0 for none by itself) and `authority` (the level that it raises
itself then: the person's part, which no real station allows).

    ~/start   std_srvs/Trigger   go home through the monitor, and hold there; a guided arm only waits
    ~/ready   std_srvs/Trigger   everything is in place: begin
    ~/stop    std_srvs/Trigger   end the episode, or call it off
    ~/judge   std_srvs/SetBool   true: success; while it runs, or when it is over
    ~/phase   std_msgs/String, latched   phase, episode and results so far, as JSON
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Header, String
from std_srvs.srv import SetBool, Trigger

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.contracts import contract_of
from robolearn.hardware.episodes import EpisodePlan, EpisodeRunner, Phase, Result
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
from robolearn.hardware.wire import SECOND, MonitorStatus

BEAT_PERIOD = 0.05
LOOK_PERIOD = 0.02
"""Between two looks at the time and at what a person would do next [s]."""

CALL_PERIOD = SECOND // 5
"""Between two calls of the script that takes a person's part [ns]."""

AUTHORITIES = ("shadow", "assisted", "autonomous")


class EpisodeNode(Node):
    """Leads one episode after another, as people or a script ask."""

    def __init__(self) -> None:
        super().__init__(names.EPISODES, namespace=names.NAMESPACE)
        self.station = station = station_parameter(self)
        self._settings = {
            "task": text_parameter(self, "task", "grasp"),
            "judged_by": text_parameter(self, "judged_by", "predicate" if station.simulated else "person"),
            "action_source": text_parameter(self, "action_source", "policy"),
            "session": text_parameter(self, "session") or time.strftime("%Y%m%d-%H%M%S"),
        }
        self._exploration = float(self.declare_parameter("exploration", 0.0).value)
        self._seconds = float(self.declare_parameter("seconds", 0.0).value)
        self._planned = int(self.declare_parameter("episodes", 0).value)
        self._authority = choose("authority", text_parameter(self, "authority", "shadow"), AUTHORITIES)
        if not station.simulated and (self._planned or self._authority != "shadow"):
            raise InputError(
                f"station {station.name!r} is a real one: there a person starts episodes and raises "
                "authority (parameters episodes and authority are for the simulated arm)"
            )
        if not station.simulated and self._settings["judged_by"] == "predicate":
            raise InputError(
                f"station {station.name!r} has no predicate that could judge: judged_by is person"
            )
        self._policy = str(self.get_parameter("policy").value)
        self.runner: EpisodeRunner | None = None
        self.results: list[Result] = []
        self._status: MonitorStatus | None = None
        self._bundle = ""
        self._called_at = 0
        self._call: Future | None = None
        self._told = ""
        self._farewell = Farewell(self)

        self._requested = self.create_publisher(JointStateMessage, topics.REQUESTED, EXACT)
        self._heartbeat = self.create_publisher(Header, topics.HEARTBEAT, EXACT)
        self._marks = self.create_publisher(String, topics.EPISODE, LATCHED)
        self._phase = self.create_publisher(String, "~/phase", LATCHED)
        listen, serve = self.create_subscription, self.create_service
        listen(JointStateMessage, station.state.topic, self._on_state, SENSOR)
        listen(DiagnosticArray, topics.MONITOR, self._on_monitor, EXACT)
        listen(Header, topics.HEARTBEAT, self._on_heartbeat, EXACT)
        if station.simulated:
            listen(String, names.TASK, self._on_task, LATCHED)
            listen(String, names.VERDICT, self._on_verdict, EXACT)
        else:
            self._make(self._settings["task"], self._seconds or 30.0, list(station.home), -1.0)
        serve(Trigger, "~/start", lambda q, a: self._answer(a, self._start(None)))
        serve(Trigger, "~/ready", lambda q, a: self._answer(a, self._ready()))
        serve(Trigger, "~/stop", lambda q, a: self._answer(a, self._do(lambda r: r.stop(system()))))
        serve(SetBool, "~/judge", lambda q, a: self._answer(a, self._do(lambda r: r.judge(system(), q.data))))
        client = self.create_client
        self._reset_arm = client(Trigger, f"{names.ARM_NODE}/reset_episode")
        self._reset_monitor = client(Trigger, f"{names.MONITOR_NODE}/reset")
        self._enable = client(SetBool, f"{names.MONITOR_NODE}/enable")
        self._autonomous = client(SetBool, f"{names.MONITOR_NODE}/autonomous")
        every(self, BEAT_PERIOD, self._beat)
        every(self, LOOK_PERIOD, self._look)

    def _make(self, task: str, seconds: float, home: list[float], gripper: float) -> None:
        contract = contract_of(self._policy) if self._policy else None
        plan = EpisodePlan(
            **{**self._settings, "task": task},
            seconds=seconds,
            home=home,
            gripper=gripper,
            contract=contract.hash if contract else "",
            bundle=self._bundle,
            requires=contract.to_dict() if contract else None,
            exploration=self._exploration,
        )
        self.runner = EpisodeRunner(self.station, plan, names.sender(names.EPISODES))

    # --- what it hears ------------------------------------------------------------------------------------

    def _on_task(self, message: String) -> None:
        if self.runner is None:
            about = json.loads(message.data)
            self._make(about["task"], self._seconds or about["seconds"], about["home"], about["gripper"])

    def _on_state(self, message: JointStateMessage) -> None:
        if self.runner is None:
            return
        request = self.runner.on_state(convert.joint_state(message))
        if request is not None:
            self._requested.publish(convert.torque_message(request))

    def _on_heartbeat(self, message: Header) -> None:
        try:
            beat = convert.heartbeat(message)
        except InputError:  # the monitor says so
            return
        if beat.bundle and beat.bundle != self._bundle and self.runner is not None:
            self._bundle, plan = beat.bundle, self.runner.plan
            requires = plan.requires if beat.contract == plan.contract else None
            self.runner.plan = replace(plan, bundle=beat.bundle, contract=beat.contract, requires=requires)

    def _on_monitor(self, message: DiagnosticArray) -> None:
        self._status = convert.status(message)
        if self.runner is None or self._status.mode != "stopped":
            return
        # a script resets what stopped while nothing was being tried; a person decides himself
        if self.runner.phase is Phase.RUNNING or not self._planned:
            self.runner.on_monitor_stopped(system())

    def _on_verdict(self, message: String) -> None:
        if self.runner is not None:
            said = checks.mapping("a verdict", checks.parse_json("a verdict", message.data))
            self.runner.measured = said["measured"]
            self.runner.on_verdict(system(), said["success"], said["reason"])

    # --- what people ask ----------------------------------------------------------------------------------

    def _answer(self, response: Any, done: bool) -> Any:
        phase = "waits for the simulated arm" if self.runner is None else f"is {self.runner.phase.value}"
        response.success, response.message = done, f"the episode runner {phase}"
        self._publish()
        return response

    def _do(self, ask: Any) -> bool:
        return self.runner is not None and bool(ask(self.runner))

    def _start(self, seed: int | None) -> bool:
        return self._do(lambda runner: runner.start(seed))

    def _ready(self) -> bool:
        return self._do(lambda runner: runner.ready(system()))

    # --- what it does -------------------------------------------------------------------------------------

    def _beat(self) -> None:
        if self.runner is not None:
            self._heartbeat.publish(convert.heartbeat_message(self.runner.heartbeat(system())))

    def _look(self) -> None:
        runner = self.runner
        if runner is None:
            return
        before = runner.phase
        runner.tick(system())
        if self._planned and len(self.results) < self._planned:
            self._play_person(runner)
        self._publish()
        if before is not Phase.IDLE and runner.phase is Phase.IDLE and runner.result is not None:
            self.get_logger().info(f"episode: {runner.result}")

    def _publish(self) -> None:
        """Marks, and the phase whenever it changes."""
        runner = self.runner
        if runner is None:
            return
        for mark in runner.take_marks():
            self._marks.publish(convert.mark_message(mark))
            if mark.kind == "end" and runner.result is not None:
                self.results.append(runner.result)
        told = json.dumps(
            {
                "phase": runner.phase.value,
                "episodes": len(self.results),
                "successes": sum(result.success for result in self.results),
                "planned": self._planned,
            }
        )
        if told != self._told:
            self._told = told
            self._phase.publish(String(data=told))

    def _play_person(self, runner: EpisodeRunner) -> None:
        """What a person would do next at the simulated arm, one call at a time."""
        if runner.phase is Phase.WAITING and self._authority == (self._status and self._status.authority):
            self._ready()
            return
        if runner.phase is Phase.RUNNING or self._status is None or (self._call and not self._call.done()):
            return
        if steady() - self._called_at < CALL_PERIOD:
            return
        if runner.phase is Phase.IDLE:
            self._send(self._reset_arm, Trigger.Request(), self._was_reset)
        elif self._status.mode == "stopped":
            self._send(self._reset_monitor, Trigger.Request())
        elif self._status.authority == "shadow" and self._authority != "shadow":
            self._send(self._enable, SetBool.Request(data=True))
        elif self._status.authority == "assisted" and self._authority == "autonomous":
            self._send(self._autonomous, SetBool.Request(data=True))

    def _send(self, client: Any, request: Any, then: Any = None) -> None:
        self._called_at = steady()
        if client.service_is_ready():
            self._call = client.call_async(request)
            if then is not None:
                self._call.add_done_callback(then)

    def _was_reset(self, future: Future) -> None:
        answer = future.result()
        if answer is not None and answer.success:
            self._start(int(answer.message))

    def end(self) -> None:
        """A running episode is called off, and its end marked."""
        self._do(lambda runner: runner.stop(system()))
        self._publish()
        self._planned = 0
        self._farewell.begin()

    @property
    def ended(self) -> bool:
        """It beats until the arm is at rest, as the policy does."""
        return self._farewell.over


def main() -> int:
    """Entry point."""
    return run(EpisodeNode)


if __name__ == "__main__":
    sys.exit(main())
