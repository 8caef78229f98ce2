"""Which episodes the marks of a log tell of, and under which contract and at which station."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_logs import (
    FRONT,
    STATES,
    Deployed,
    assert_same,
    deploy,
    edit_marks,
    read_log,
    read_one,
    spoil,
    write,
)

from robolearn.contract import Contract
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import read_episode
from robolearn.errors import InputError
from robolearn.hardware.recording.messages import STRING, encode
from robolearn.hardware.recording.reader import Log, LogMessage
from robolearn.hardware.recording.topics import EPISODE, FILTERED, REQUESTED, SENT
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import SECOND, EpisodeMark


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("plan") / "log", (0, 1))


def without(*keys: str) -> Callable[[EpisodeMark], EpisodeMark]:
    def change(mark: EpisodeMark) -> EpisodeMark:
        return replace(mark, body={key: value for key, value in mark.body.items() if key not in keys})

    return change


def refused(log: Path, **options: Any) -> str:
    """Why no episode of a log can be read, one and the same for all of them."""
    plan = plan_log(log, Options(**options))
    assert plan.jobs == []
    (why,) = {report.refused for report in plan.refused}
    return why


def test_marks_tell_all_that_is_needed(deployed: Deployed) -> None:
    plan = plan_log(deployed.log, Options())
    assert plan.notes == plan.refused == []
    assert [job.span.name for job in plan.jobs] == ["session-0000", "session-0001"]
    for seed, job in enumerate(plan.jobs):
        assert job.origin == "log"
        assert job.span.seed == seed
        assert job.span.policy == "ball"
        assert job.span.end > job.span.begin
        assert len(job.span.calibration) == 64
        assert job.span.versions.keys() >= {"robolearn", "mujoco", "numpy"}
        assert job.recipe.contract == deployed.contract
        assert job.recipe.topics.cameras[FRONT] == "front"
    assert len({job.key for job in plan.jobs}) == 2
    assert [job.key for job in plan_log(deployed.log, Options()).jobs] == [job.key for job in plan.jobs]


def test_a_log_from_before_contracts_were_in_it_needs_one(deployed: Deployed, tmp_path: Path) -> None:
    log = spoil(deployed.log, tmp_path / "log", edit_marks(without("requires", "setup", "versions")))
    assert "give --bundle or --contract" in refused(log)
    first, second = read_log(log, contract=deployed.contract)[0], read_log(deployed.log)[0]
    assert_same(first[0][0], second[0][0])
    other = replace(deployed.contract, history=3)
    assert "it ran under contract" in refused(log, contract=other)

    def at_home(mark: EpisodeMark) -> EpisodeMark:
        return replace(mark, body={**mark.body, "station": "kitchen"})

    there = spoil(log, tmp_path / "kitchen", edit_marks(at_home))
    assert "does not describe its station 'kitchen': give --station" in refused(
        there, contract=deployed.contract
    )
    station = load_station("sim").with_cameras_of(deployed.contract)
    episodes, _ = read_log(there, contract=deployed.contract, station=station)[0]
    assert_same(episodes[0], second[0][0])


def test_the_same_episode_is_seen_with_another_size(deployed: Deployed) -> None:
    """The raw bags stay the source: the pictures were 32 x 32."""

    def half(contract: Contract) -> Contract:
        cameras = tuple(
            replace(c, width=16, height=16, fx=c.fx / 2, fy=c.fy / 2, cx=7.5, cy=7.5)
            for c in contract.cameras
        )
        return replace(contract, cameras=cameras)

    large, small = (
        read_log(deployed.log)[0][0][0],
        read_log(deployed.log, contract=half(deployed.contract))[0][0][0],
    )
    assert small.observations["front"].shape[1:] == (16, 16, 3)
    np.testing.assert_array_equal(small.requested, large.requested)
    np.testing.assert_array_equal(small.observations["q"], large.observations["q"])
    blocks = large.observations["front"].reshape(len(large) + 1, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(small.observations["front"] - blocks).max() <= 1.0
    assert "control_rate of the contract given is 10" in refused(
        deployed.log, contract=replace(deployed.contract, control_rate=10.0)
    )


def test_an_episode_whose_end_nobody_marked_ends_with_the_next(deployed: Deployed, tmp_path: Path) -> None:
    log = spoil(deployed.log, tmp_path / "log", edit_marks(lambda m: None if m.kind == "end" else m))
    plan = plan_log(log, Options())
    assert [job.span.outcome["reason"] for job in plan.jobs] == ["cut", "cut"]
    assert plan.jobs[0].span.end == plan.jobs[1].span.begin
    episodes, report = read_episode(plan.jobs[0])
    assert not any(episode.outcome.success for episode in episodes)
    assert report.reason == "cut"


def test_an_episode_whose_beginning_is_missing_is_told(deployed: Deployed, tmp_path: Path) -> None:
    log = spoil(
        deployed.log,
        tmp_path / "log",
        edit_marks(lambda m: None if m.episode.endswith("0") and m.kind == "begin" else m),
    )
    plan = plan_log(log, Options())
    assert [job.span.name for job in plan.jobs] == ["session-0001"]
    assert [(report.episode, report.refused) for report in plan.refused] == [
        ("session-0000", "its beginning is not in the log")
    ]


def test_a_mark_that_comes_again_counts_once(deployed: Deployed, tmp_path: Path) -> None:
    """A latched mark is heard again by whoever listens late, even when its episode is long over."""
    marks = [m for m in Log(deployed.log).messages([EPISODE])]
    last = max(int(times.max()) for times in map(Log(deployed.log).times, Log(deployed.log).topics))
    again = [replace(m, log_time=last) for m in marks[:2]]
    log = write(tmp_path / "log", [*Log(deployed.log).messages(), *again])
    assert [job.span for job in plan_log(log, Options()).jobs] == [
        job.span for job in plan_log(deployed.log, Options()).jobs
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcome": None}, "outcome"),
        ({"outcome": {"success": "yes", "reason": "success"}}, "success of the outcome is 'yes'"),
        ({"outcome": {"success": True}}, "reason of the outcome is None"),
    ],
)
def test_an_end_that_tells_nothing_is_refused(
    deployed: Deployed, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    def end(mark: EpisodeMark) -> EpisodeMark:
        return replace(mark, body={**mark.body, **change}) if mark.kind == "end" else mark

    assert words in refused(spoil(deployed.log, tmp_path / "log", edit_marks(end)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": ""}, "task of the mark is ''"),
        ({"seed": -1}, "seed of the mark is -1"),
        ({"action_source": "ghost"}, "action source 'ghost'"),
        ({"requires": {"version": 99}}, "contract"),
        ({"setup": {"name": "sim", "arm": "nothing"}}, "station.arm is 'nothing'"),
    ],
)
def test_a_beginning_that_makes_no_sense_is_refused(
    deployed: Deployed, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    def begin(mark: EpisodeMark) -> EpisodeMark:
        return replace(mark, body={**mark.body, **change}) if mark.kind == "begin" else mark

    assert words in refused(spoil(deployed.log, tmp_path / "log", edit_marks(begin)))


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ((FRONT,), f"camera front is to be on {FRONT}, which is not in the log; its topics are"),
        ((STATES,), f"the joint state is to be on {STATES}"),
        ((REQUESTED,), "no torques to learn from"),
        ((FILTERED, SENT), "no torques to learn from"),
    ],
)
def test_a_log_that_lacks_a_topic_names_it(
    deployed: Deployed, tmp_path: Path, topics: tuple[str, ...], words: str
) -> None:
    log = spoil(deployed.log, tmp_path / "log", lambda m: [] if m.topic in topics else [m])
    assert words in refused(log)


def test_without_filtered_torques_those_that_were_sent_tell(deployed: Deployed, tmp_path: Path) -> None:
    log = spoil(deployed.log, tmp_path / "log", lambda m: [] if m.topic == FILTERED else [m])
    episodes, _ = read_log(log)[0]
    (whole,), _ = read_log(deployed.log)[0]
    np.testing.assert_array_equal(episodes[0].requested, whole.requested)
    np.testing.assert_array_equal(episodes[0].filtered, whole.filtered)


def test_a_station_of_another_version_is_read_where_it_matters(deployed: Deployed, tmp_path: Path) -> None:
    """What the monitor was told then is no part of a log's meaning."""

    def older(mark: EpisodeMark) -> EpisodeMark:
        if mark.kind == "end":
            return mark
        setup: Any = mark.body["setup"]
        setup = {**setup, "monitor": {"damping": 3.0}, "colour": "red"}
        setup.pop("workspace")
        return replace(mark, body={**mark.body, "setup": setup})

    log = spoil(deployed.log, tmp_path / "log", edit_marks(older))
    assert_same(read_log(log)[0][0][0], read_log(deployed.log)[0][0][0])

    def blind(mark: EpisodeMark) -> EpisodeMark:
        setup: Any = mark.body.get("setup", {})
        return replace(mark, body={**mark.body, "setup": {**setup, "cameras": None}})

    assert "station 'sim' has no camera front, wrist" in refused(
        spoil(deployed.log, tmp_path / "blind", edit_marks(blind))
    )
    other = replace(deployed.contract, arm="fr3")
    without_own = spoil(deployed.log, tmp_path / "own", edit_marks(without("requires", "contract")))
    assert "the contract is for arm 'fr3'; station 'sim' has 'panda'" in refused(without_own, contract=other)


def test_logs_that_are_none_say_what_to_do(deployed: Deployed, tmp_path: Path) -> None:
    unmarked = spoil(deployed.log, tmp_path / "log", lambda m: [] if m.topic == EPISODE else [m])
    with pytest.raises(InputError, match=r"no episode marks of ours.*--map.*robolearn data inspect"):
        plan_log(unmarked, Options())
    with pytest.raises(InputError, match="holds no messages"):
        plan_log(write(tmp_path / "empty", []), Options())
    with pytest.raises(InputError, match="does not exist"):
        plan_log(tmp_path / "nothing", Options())
    words = LogMessage(EPISODE, STRING, SECOND, SECOND, encode(EpisodeMark(0, "begin", "e", {})))
    broken = write(tmp_path / "broken", [replace(words, data=words.data[:9])])
    with pytest.raises(InputError, match="no episode marks"):
        plan_log(broken, Options())


def test_an_arms_own_names_and_an_own_profile_are_in_the_mark(tmp_path: Path) -> None:
    """A station whose driver calls the joints otherwise, and whose arm is a file that is elsewhere by now."""
    names = tuple(f"left_{i}" for i in range(7))
    station = replace(load_station("sim"), joint_names=names)
    deployed = deploy(tmp_path / "log", station=station)
    episode, _ = read_one(deployed.log)
    np.testing.assert_array_equal(episode.requested[0], deployed.guide.did[0][0].astype(float))

    def moved(mark: EpisodeMark) -> EpisodeMark:
        if mark.kind == "end":
            return mark
        setup = {**mark.body["setup"], "arm": "/elsewhere/arm.yaml"}  # type: ignore[dict-item]
        return replace(mark, body={**mark.body, "setup": setup})

    assert "/elsewhere/arm.yaml" in refused(spoil(deployed.log, tmp_path / "moved", edit_marks(moved)))
