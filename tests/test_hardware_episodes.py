from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from robolearn.errors import InputError
from robolearn.hardware.episodes import TRANSITIONS, EpisodePlan, EpisodeRunner, Event, Phase
from robolearn.hardware.station import Station, load_station
from robolearn.hardware.wire import SECOND, JointState


@pytest.fixture(scope="module")
def station() -> Station:
    return load_station("sim")


def plan(station: Station, **changes: object) -> EpisodePlan:
    basis = EpisodePlan("grasp", 6.0, station.home, -1.0, contract="c", bundle="b", session="s")
    return replace(basis, **changes)  # type: ignore[arg-type]


def at_home(station: Station, stamp: int) -> JointState:
    q = np.array(station.home)
    return JointState(stamp, station.joint_names, q, np.zeros(7), np.zeros(7))


def waiting(station: Station, **changes: object) -> tuple[EpisodeRunner, int]:
    """A runner whose arm is home, and the time."""
    runner = EpisodeRunner(station, plan(station, **changes))
    assert runner.start(seed=3)
    time = 0
    while runner.phase is Phase.HOMING:
        assert runner.on_state(at_home(station, time)) is not None
        time += 5_000_000
    return runner, time


def test_every_transition_is_in_the_table() -> None:
    for phase, event in product(Phase, Event):
        after = TRANSITIONS.get((phase, event))
        assert after is not phase
    # an episode runs only after the arm came home and a person was ready
    assert [key for key, after in TRANSITIONS.items() if after is Phase.RUNNING] == [
        (Phase.WAITING, Event.READY)
    ]
    assert [key for key, after in TRANSITIONS.items() if after is Phase.WAITING] == [
        (Phase.IDLE, Event.START_GUIDED),
        (Phase.HOMING, Event.THERE),
    ]
    starts = {event for (phase, event) in TRANSITIONS if phase is Phase.IDLE}
    assert starts == {Event.START, Event.START_GUIDED}


def test_a_guided_episode_is_begun_ended_and_judged_and_asks_for_nothing(station: Station) -> None:
    guided = plan(station, action_source="none", judged_by="person", contract="", bundle="")
    runner, elsewhere = EpisodeRunner(station, guided), replace(at_home(station, 0), position=np.zeros(7))
    for number in range(2):
        assert runner.start()
        assert runner.phase is Phase.WAITING
        assert runner.on_state(elsewhere) is None, "the arm is in a person's hands"
        assert runner.ready(number * SECOND)
        assert runner.phase is Phase.RUNNING
        assert runner.stop(number * SECOND + 1)
        assert runner.phase is Phase.JUDGING
        assert runner.judge(number * SECOND + 2, number == 0)
        assert runner.phase is Phase.IDLE
        begin, end = runner.take_marks()
        assert (begin.body["action_source"], end.body["action_source"]) == ("none", "none")
        assert end.body["outcome"]["success"] is (number == 0)  # type: ignore[index]
    assert runner.start()
    assert runner.stop(9 * SECOND), "called off"
    assert runner.phase is Phase.IDLE


def test_an_episode_that_the_predicate_judges(station: Station) -> None:
    runner, time = waiting(station)
    assert runner.phase is Phase.WAITING
    assert runner.on_state(at_home(station, time)) is not None  # it is held there
    assert runner.ready(time)
    assert runner.on_state(at_home(station, time + 5_000_000)) is None  # now the policy asks
    runner.tick(time + SECOND)
    runner.measured = {"peak_force": 3.0, "drops": 0}
    runner.on_verdict(time + 2 * SECOND, True, "success")
    assert runner.phase is Phase.IDLE
    assert runner.result is not None
    assert (runner.result.success, runner.result.judged_by, runner.result.seconds) == (True, "predicate", 2.0)
    begin, end = runner.take_marks()
    assert (begin.kind, end.kind) == ("begin", "end")
    assert begin.episode == end.episode == "s-0000"
    assert (begin.stamp, end.stamp) == (time, time + 2 * SECOND)
    told = {
        "task": "grasp",
        "seed": 3,
        "contract": "c",
        "bundle": "b",
        "action_source": "policy",
        "station": "sim",
    }
    assert told.items() <= begin.body.items()
    assert told.items() <= end.body.items()
    assert end.body["judged_by"] == "predicate"
    assert end.body["outcome"] == {
        "success": True,
        "reason": "success",
        "seconds": 2.0,
        "peak_force": 3.0,
        "drops": 0,
    }
    assert runner.take_marks() == []
    assert runner.start()
    assert runner.result is None


def test_the_time_limit_ends_it(station: Station) -> None:
    runner, time = waiting(station)
    runner.ready(time)
    runner.tick(time + 6 * SECOND - 1)
    assert runner.phase is Phase.RUNNING
    runner.tick(time + 6 * SECOND)
    assert runner.result is not None
    assert (runner.result.success, runner.result.reason) == (False, "time")


@pytest.mark.parametrize("success", [True, False])
def test_a_person_judges_where_no_predicate_does(station: Station, success: bool) -> None:
    runner, time = waiting(station, judged_by="person")
    runner.ready(time)
    runner.on_verdict(time + 1, True, "success")  # nobody asked it
    runner.tick(time + 6 * SECOND)
    assert runner.phase is Phase.JUDGING
    assert runner.result is None
    assert not runner.start()
    assert runner.judge(time + 9 * SECOND, success, "slipped once")
    assert runner.result is not None
    assert runner.result.judged_by == "person"
    assert runner.result.seconds == 6.0
    assert runner.result.reason == ("success" if success else "time")
    end = runner.take_marks()[-1]
    assert end.body["notes"] == "slipped once"
    assert not runner.judge(time + 10 * SECOND, success)


def test_a_person_may_judge_and_stop_while_it_runs(station: Station) -> None:
    runner, time = waiting(station, judged_by="person")
    runner.ready(time)
    assert runner.judge(time + SECOND, True)
    assert runner.result is not None
    assert (runner.result.success, runner.result.seconds) == (True, 1.0)
    runner, time = waiting(station, judged_by="person")
    runner.ready(time)
    assert runner.stop(time + SECOND)
    assert runner.phase is Phase.JUDGING
    runner, time = waiting(station)
    runner.ready(time)
    assert runner.stop(time + SECOND)
    assert runner.result is not None
    assert (runner.result.success, runner.result.reason) == (False, "stopped")


def test_what_cannot_be_now_does_not_happen(station: Station) -> None:
    runner = EpisodeRunner(station, plan(station))
    assert not runner.ready(0)
    assert not runner.stop(0)
    assert not runner.judge(0, True)
    assert runner.on_state(at_home(station, 0)) is None
    assert runner.start()
    assert not runner.start()
    assert not runner.ready(0)
    assert runner.stop(0)  # called off before it began: no mark
    assert runner.phase is Phase.IDLE
    assert runner.take_marks() == []


def test_a_stop_of_the_monitor_is_a_failure_that_it_judged(station: Station) -> None:
    runner, time = waiting(station, judged_by="person")
    runner.ready(time)
    runner.on_monitor_stopped(time + SECOND)
    assert runner.result is not None
    assert (runner.result.success, runner.result.judged_by) == (False, "monitor")
    runner, time = waiting(station)
    runner.on_monitor_stopped(time)
    assert runner.phase is Phase.IDLE
    assert runner.result is None


def test_plans_that_cannot_be_are_refused(station: Station) -> None:
    for changes in ({"seconds": 0.0}, {"judged_by": "nobody"}, {"action_source": "luck"}, {"gripper": 2.0}):
        with pytest.raises(InputError):
            plan(station, **changes)
