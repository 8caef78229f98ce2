"""Making the arm's controller active and inactive: one port, with an adapter for each way to ask.

Effort becomes zero on deactivation, so a station says whether that is allowed; where it is not, `NoPort`
stands here. Nothing blocks: an answer comes as a future, and what was not confirmed is asked again.

ros2_control's controller manager answers OK to requests that it has not met: under BEST_EFFORT it drops a
controller that it does not know or that is not as it expects. So its list of controllers alone confirms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.task import Future

from robolearn.errors import InputError
from robolearn.hardware.nodes.common import steady
from robolearn.hardware.station import Station
from robolearn.hardware.wire import SECOND

AGAIN = SECOND // 10
"""An answer that has not come by then is asked for again [ns]; deactivation takes 10 ms where all is well."""


class Port:
    """Asks for what is wanted until it is confirmed.

    Attributes:
        active: what the controller confirmed last; None before the first answer.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.active: bool | None = None
        self._wanted: bool | None = None
        self._asked_at = 0
        self._answer: Any = None  # the future that counts

    def want(self, active: bool) -> None:
        """What the controller should be; call it as often as you like."""
        if active is not self._wanted:
            self._wanted, self._answer = active, None
            self._ask()

    def forget(self) -> None:
        """Somebody else may have asked for something since: nothing is known, and nothing wanted."""
        self.active = self._wanted = self._answer = None

    def spin(self) -> None:
        """Ask again where the answer is late or was a refusal; called often."""
        if self._wanted is not None and self.active is not self._wanted and steady() - self._asked_at > AGAIN:
            self._ask()

    def _ask(self) -> None:
        self._asked_at = steady()
        wanted, self.active = self._wanted, None
        assert wanted is not None
        future = self._call(wanted)
        if future is None:
            self._node.get_logger().warning(
                f"nobody answers who could make the controller {'' if wanted else 'in'}active",
                throttle_duration_sec=1.0,
            )
            return
        self._answer = future
        future.add_done_callback(lambda done: self._answered(done, wanted))

    def _answered(self, future: Any, wanted: bool) -> None:
        if future is not self._answer or future.cancelled() or future.exception() is not None:
            return
        self._judge(future.result(), wanted)

    def _call(self, active: bool) -> Future | None:
        raise NotImplementedError

    def _judge(self, response: Any, wanted: bool) -> None:
        """The call was answered: set `active` if that confirms it."""
        raise NotImplementedError


class NoPort(Port):
    """The controller is always active."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.active = True

    def want(self, active: bool) -> None:
        pass

    def forget(self) -> None:
        pass

    def spin(self) -> None:
        pass


class SetBoolPort(Port):
    """std_srvs/SetBool: the simulated arm, and whoever offers such a service."""

    def __init__(self, node: Node, station: Station) -> None:
        super().__init__(node)
        from std_srvs.srv import SetBool

        self._make: Callable[[bool], Any] = lambda active: SetBool.Request(data=active)
        self._client = node.create_client(SetBool, station.controller.deactivation_service)

    def _call(self, active: bool) -> Future | None:
        return self._client.call_async(self._make(active)) if self._client.service_is_ready() else None

    def _judge(self, response: Any, wanted: bool) -> None:
        if response.success:
            self.active = wanted


class SwitchControllerPort(Port):
    """SwitchController of ros2_control's controller manager, confirmed by its ListControllers."""

    def __init__(self, node: Node, station: Station) -> None:
        super().__init__(node)
        try:
            from controller_manager_msgs.srv import ListControllers, SwitchController
        except ImportError as error:
            raise InputError(
                f"station {station.name!r} deactivates by switch_controller, which needs "
                f"controller_manager_msgs ({error}): install ros-$ROS_DISTRO-controller-manager-msgs and "
                "source ROS"
            ) from error
        self._name = station.controller.name
        self._switching, self._listing = SwitchController, ListControllers
        self._switch = node.create_client(SwitchController, station.controller.deactivation_service)
        self._list = node.create_client(ListControllers, f"{station.controller.manager}/list_controllers")

    def _call(self, active: bool) -> Future | None:
        if not self._switch.service_is_ready():
            return None
        request = self._switching.Request()
        request.activate_controllers = [self._name] if active else []
        request.deactivate_controllers = [] if active else [self._name]
        request.strictness = self._switching.Request.STRICT
        request.activate_asap = True
        return self._switch.call_async(request)

    def _judge(self, response: Any, wanted: bool) -> None:
        """Whatever was answered (one that is so already is refused), look how the controller is."""
        if not self._list.service_is_ready():
            return
        self._asked_at = steady()
        self._answer = listed = self._list.call_async(self._listing.Request())
        listed.add_done_callback(lambda done: self._look(done, wanted))

    def _look(self, future: Any, wanted: bool) -> None:
        if future is not self._answer or future.cancelled() or future.exception() is not None:
            return
        states = {controller.name: controller.state for controller in future.result().controller}
        if states.get(self._name) == ("active" if wanted else "inactive"):
            self.active = wanted
        else:
            found = states.get(self._name, "unknown to the controller manager")
            self._node.get_logger().warning(
                f"controller {self._name!r} is {found}; it should be {'' if wanted else 'in'}active",
                throttle_duration_sec=1.0,
            )


def deactivation_port(node: Node, station: Station) -> Port:
    """The port that a station's `controller.deactivation` asks for.

    Raises:
        InputError: messages that it needs are not installed.
    """
    kind = station.controller.deactivation
    if kind == "switch_controller":
        return SwitchControllerPort(node, station)
    return SetBoolPort(node, station) if kind == "set_bool" else NoPort(node)
