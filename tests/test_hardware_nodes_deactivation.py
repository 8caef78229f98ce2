"""The port to ros2_control's controller manager, over messages and a manager that are made here."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from robolearn.hardware.nodes import deactivation
from robolearn.hardware.nodes.deactivation import AGAIN, SwitchControllerPort
from robolearn.hardware.station import load_station

NAME = "effort_controller"


class SwitchController:
    """controller_manager_msgs/srv/SwitchController."""

    class Request(SimpleNamespace):
        BEST_EFFORT, STRICT = 1, 2


class ListControllers:
    """controller_manager_msgs/srv/ListControllers."""

    class Request(SimpleNamespace):
        pass


class Future:
    """One that is answered when the test says so."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer, self._then, self._result = answer, [], None

    def add_done_callback(self, then: Callable[[Any], None]) -> None:
        self._then.append(then)

    def cancelled(self) -> bool:
        return False

    def exception(self) -> None:
        return None

    def result(self) -> Any:
        return self._result

    def come(self) -> None:
        self._result = self._answer()
        for then in self._then:
            then(self)


class Manager:
    """A controller manager as ros2_control's: OK says that nothing went wrong, not that anything was done.

    Attributes:
        states: of its controllers.
        waiting: calls that are not answered yet.
        strictness: of the requests so far.
    """

    def __init__(self, **states: str) -> None:
        self.states, self.ignores = states, False
        self.waiting: list[Future] = []
        self.strictness: list[int] = []

    def create_client(self, kind: Any, name: str) -> Any:
        answer = {
            "/controller_manager/switch_controller": self._switch,
            "/controller_manager/list_controllers": self._list,
        }[name]

        def call(request: Any) -> Future:
            future = Future(lambda: answer(request))
            self.waiting.append(future)
            return future

        return SimpleNamespace(service_is_ready=lambda: True, call_async=call)

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=lambda text, **options: None)

    def _switch(self, request: Any) -> Any:
        self.strictness.append(request.strictness)
        asked = [(name, "active") for name in request.activate_controllers]
        asked += [(name, "inactive") for name in request.deactivate_controllers]
        before = {"active": "inactive", "inactive": "active"}
        met = all(self.states.get(name) == before[state] for name, state in asked)
        if met and not self.ignores:
            self.states.update(asked)
        return SimpleNamespace(ok=met or request.strictness == SwitchController.Request.BEST_EFFORT)

    def _list(self, request: Any) -> Any:
        known = [SimpleNamespace(name=name, state=state) for name, state in self.states.items()]
        return SimpleNamespace(controller=known)

    def answer(self) -> None:
        """Answer every call, also those that come of the answers."""
        while self.waiting:
            self.waiting.pop(0).come()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    messages, services = types.ModuleType("controller_manager_msgs"), types.ModuleType("srv")
    services.SwitchController, services.ListControllers = SwitchController, ListControllers  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "controller_manager_msgs", messages)
    monkeypatch.setitem(sys.modules, "controller_manager_msgs.srv", services)
    now = [0]
    monkeypatch.setattr(deactivation, "steady", lambda: now[0])
    return now


def port_to(manager: Any) -> SwitchControllerPort:
    panda = load_station("panda")
    assert panda.controller.name == NAME
    return SwitchControllerPort(manager, panda)


def test_what_the_list_shows_is_confirmed(clock: list[int]) -> None:
    manager = Manager(effort_controller="inactive")
    port = port_to(manager)
    port.want(True)
    assert port.active is None
    manager.answer()
    assert port.active is True
    port.want(False)
    assert port.active is None
    manager.answer()
    assert port.active is False
    assert manager.states == {NAME: "inactive"}
    assert set(manager.strictness) == {SwitchController.Request.STRICT}


def test_one_that_is_so_already_is_confirmed(clock: list[int]) -> None:
    manager = Manager(effort_controller="inactive")
    port = port_to(manager)
    port.want(False)
    manager.answer()
    assert port.active is False


@pytest.mark.parametrize("states", [{}, {"effort_controllers": "active"}, {NAME: "unconfigured"}])
def test_a_controller_that_is_not_there_is_never_confirmed(clock: list[int], states: dict[str, str]) -> None:
    manager = Manager(**states)
    port = port_to(manager)
    for wanted in (False, True):
        port.want(wanted)
        manager.answer()
        assert port.active is None


def test_ok_alone_confirms_nothing_and_it_is_asked_again(clock: list[int]) -> None:
    manager = Manager(effort_controller="active")
    port, manager.ignores = port_to(manager), True
    port.want(False)
    manager.answer()
    assert port.active is None
    port.spin()
    assert not manager.waiting, "not at once"
    clock[0] += AGAIN + 1
    manager.ignores = False
    port.spin()
    manager.answer()
    assert port.active is False


def test_an_answer_that_comes_after_another_wish_counts_for_nothing(clock: list[int]) -> None:
    manager = Manager(effort_controller="active")
    port = port_to(manager)
    port.want(False)
    late = manager.waiting.pop()
    port.want(True)
    late.come()
    assert port.active is None
    manager.answer()
    assert port.active is True
    assert manager.states == {NAME: "active"}
