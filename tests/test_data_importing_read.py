"""What a log gives back is what the policy saw and asked for, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_logs import (
    CHANGES,
    FRONT,
    STATES,
    TASK,
    Deployed,
    assert_same,
    deploy,
    edit_marks,
    edit_record,
    read_log,
    read_one,
    spoil,
    with_cameras,
    write,
)
from small_task import BallEnv

from robolearn.data.episode import Episode, Source
from robolearn.data.importing.plan import Options, plan_log
from robolearn.data.importing.read import Report, read_episode
from robolearn.hardware.faults import Fault
from robolearn.hardware.monitor.states import Authority
from robolearn.hardware.oneprocess import OneProcess
from robolearn.hardware.recording.messages import decode, encode
from robolearn.hardware.recording.reader import Log, LogMessage
from robolearn.hardware.recording.topics import FILTERED, MONITOR, REQUESTED, SENT
from robolearn.hardware.wire import SECOND, EpisodeMark, TorqueRequest
from robolearn.training.rollout import EpisodeSpec, run_episode

MS = 1_000_000


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("read") / "log", (0, 1))


@pytest.fixture(scope="module")
def first(deployed: Deployed) -> tuple[Episode, Report]:
    episodes, report = read_log(deployed.log)[0]
    return episodes[0], report


def check_seen(deployed: Deployed, episode: Episode, k: int, *, offset: int = 0) -> None:
    """Every observation of an episode but the last is one that was shown, and its action what came of it."""
    shown, did = deployed.guide.shown[k], deployed.guide.did[k]
    for i, action in enumerate(episode.requested):
        for name, value in shown[i + offset].items():
            seen = episode.observations[name][i]
            assert seen.dtype == value.dtype
            np.testing.assert_array_equal(seen, value, err_msg=f"{name} {i}")
        np.testing.assert_array_equal(action, did[i + offset].astype(np.float64))


def test_an_episode_is_what_the_policy_saw_and_asked_for(deployed: Deployed) -> None:
    read = read_log(deployed.log)
    assert len(read) == 2
    for k, (episodes, report) in enumerate(read):
        (episode,) = episodes
        episode.validate()
        assert report.counts == {}
        assert report.parts == 1
        # of the very last request nothing may be seen: the goal was reached before it did anything
        assert len(deployed.guide.did[k]) - len(episode) in (0, 1)
        assert report.steps == len(episode)
        check_seen(deployed, episode, k)
        told = replace(deployed.outcomes[k], steps=len(episode), jerk=None)
        assert replace(episode.outcome, jerk=None) == told
        assert episode.outcome.jerk == pytest.approx(deployed.outcomes[k].jerk)
        assert (episode.task, episode.seed) == (TASK, k)
        assert episode.contract == deployed.contract
        assert set(episode.source.tolist()) == {Source.POLICY}
        assert episode.reward[-1] == 1.0
        assert episode.reward[:-1].sum() == 0.0
        assert episode.info["judged_by"] == "predicate"
        np.testing.assert_allclose(np.diff(episode.stamps)[:-1], 0.05)
        assert 0.025 <= np.diff(episode.stamps)[-1] <= 0.05


def test_torques_are_those_of_the_last_tick_that_a_request_governed(
    deployed: Deployed, first: tuple[Episode, Report]
) -> None:
    episode, _ = first
    log = Log(deployed.log)
    ticks: dict[str, dict[int, TorqueRequest]] = {FILTERED: {}, SENT: {}}
    (begin, end) = [m.log_time for m in log.messages(["/robolearn/episode"])][:2]
    altered: set[int] = set()
    stamps: list[int] = []
    asked: Any = None
    for message in log.messages([FILTERED, SENT, REQUESTED], begin + 1, end):
        record: Any = message.record()
        if message.topic == REQUESTED:
            stamps.append(record.stamp)
            asked = record
        elif stamps:
            ticks[message.topic][record.stamp] = record  # the last one stays
            if message.topic == FILTERED and (record.torque != asked.torque).any():
                altered.add(len(stamps) - 1)
    for i, stamp in enumerate(stamps):
        np.testing.assert_array_equal(episode.filtered[i], ticks[FILTERED][stamp].torque)
        np.testing.assert_array_equal(episode.sent[i], ticks[SENT][stamp].torque)
    assert episode.info["altered"] == sorted(altered)
    assert 0 < len(altered) < len(episode)  # the torque's rate is limited when it jumps, and only then


def test_an_episode_of_the_environment_has_the_same_shapes_and_conventions(
    first: tuple[Episode, Report],
) -> None:
    imported, _ = first
    env = BallEnv(**CHANGES)
    collected = run_episode(env, EpisodeSpec(TASK, CHANGES, 0), None)
    env.close()
    assert imported.contract == collected.contract
    ours, theirs = imported.arrays(), collected.arrays()
    assert {name for name in theirs if not name.startswith(("reward_terms", "expert"))} == ours.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.shape[1:] == theirs[name].shape[1:], name
    assert imported.stamps[0] == collected.stamps[0] == 0.0
    # the teacher acts in both: where the episodes are still alike, so is what is recorded
    np.testing.assert_allclose(imported.observations["q"][0], collected.observations["q"][0], atol=0.05)
    a, b = (episode.observations["front"][0].astype(int) for episode in (imported, collected))
    for turned in (a[:, :, ::-1], a[::-1], a[:, ::-1], a.swapaxes(0, 1)):  # not BGR, not mirrored
        assert np.abs(a - b).mean() < np.abs(turned - b).mean()
    for episode in (imported, collected):  # requests that pass are there bit by bit, beside what was altered
        arm = episode.requested[:, :7]
        unaltered = (arm == episode.filtered).all(1)
        assert unaltered.any()
        np.testing.assert_array_equal(episode.sent, episode.filtered)  # this arm carries itself
        assert (np.abs(arm[~unaltered] - episode.filtered[~unaltered]) > 0).any(1).all()


@pytest.mark.parametrize(
    ("station", "options"),
    [
        (with_cameras(30.0), {}),
        (with_cameras(47.0, 0.004, 0.013), {}),
        (None, {"inference": 0.0}),
        (None, {"inference": 0.03}),
        (None, {"prepare": lambda process: process.arm.inject(Fault("state dropped", 0.2))}),
        (None, {"prepare": lambda process: process.arm.inject(Fault("state permuted"))}),
        (None, {"prepare": lambda process: process.arm.inject(Fault("camera late", 0.007, "wrist"))}),
    ],
    ids=["30 Hz", "47 Hz, out of step", "at once", "slow", "states lost", "joints permuted", "late camera"],
)
def test_other_rates_and_delays_give_the_same_back(
    tmp_path: Path, station: Any, options: dict[str, Any]
) -> None:
    deployed = deploy(tmp_path / "log", station=station, **options)
    episode, report = read_one(deployed.log)
    shown = len(deployed.guide.shown[0])
    # the very last request may come too late for anything to be seen of it
    assert shown - 1 <= len(episode) <= shown
    check_seen(deployed, episode, 0)
    assert set(report.counts) <= {"camera wrist missing", "camera front missing"}


def test_a_recorder_that_hears_things_otherwise_than_the_policy_finds_the_same(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    """Arrivals are spread by 2 ms, as over ROS: the grid of moments is often laid otherwise at first."""
    found = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        latest: dict[str, int] = {}

        def late(message: LogMessage, rng: Any = rng, latest: Any = latest) -> list[LogMessage]:
            time = message.log_time + round(rng.exponential(2e-3) * SECOND)
            time = latest[message.topic] = max(time, latest.get(message.topic, 0) + 1)
            return [replace(message, log_time=time)]

        log = spoil(deployed.log, tmp_path / str(seed), late)
        episodes, _ = read_log(log)[0]
        for episode in episodes:
            for i, action in enumerate(episode.requested):
                same = [k for k, other in enumerate(first[0].requested) if (other == action).all()]
                if same:
                    k = same[0]
                    found += all(
                        (episode.observations[name][i] == first[0].observations[name][k]).all()
                        for name in ("front", "wrist", "gripper")
                    )
    assert found >= 0.9 * 3 * len(first[0])


def test_a_slow_policy_leaves_steps_without_a_request_of_their_own(tmp_path: Path) -> None:
    deployed = deploy(tmp_path / "log", inference=0.07)
    episode, report = read_one(deployed.log)
    steps = [k for k, action in enumerate(episode.requested) if np.isfinite(action).all()]
    own = [
        (k, i)
        for k in steps
        for i, did in enumerate(deployed.guide.did[0])
        if (did.astype(float) == episode.requested[k]).all()
        and all((v == episode.observations[n][k]).all() for n, v in deployed.guide.shown[0][i].items())
    ]
    assert {i for _, i in own} == set(range(len(deployed.guide.did[0]) - 1))
    np.testing.assert_allclose(np.diff(episode.stamps)[:-1], 0.05)
    assert len(episode) > len(deployed.guide.did[0])
    # observations that are 85 ms old are too old before the next one comes: the monitor holds the arm
    assert (episode.source == Source.MONITOR).any()
    held = ~np.isfinite(episode.requested[:, :7]).all(1)
    assert (episode.source[held] == Source.MONITOR).all()
    assert np.isfinite(episode.requested[:, 7]).all()
    assert report.counts == {}


def test_in_shadow_nothing_was_done(tmp_path: Path) -> None:
    deployed = deploy(tmp_path / "log", authority=Authority.SHADOW)
    ((episodes, report),) = read_log(deployed.log)
    assert episodes == []
    assert "authority was shadow" in report.refused


def test_assisted_torques_are_the_scaled_ones(tmp_path: Path) -> None:
    deployed = deploy(tmp_path / "log", authority=Authority.ASSISTED)
    episode, _ = read_one(deployed.log)
    check_seen(deployed, episode, 0)
    assert episode.info["altered"] == list(range(len(episode)))
    ratio = np.linalg.norm(episode.filtered, axis=1) / np.linalg.norm(episode.requested[:, :7], axis=1)
    assert np.median(ratio) == pytest.approx(0.5, abs=0.1)


def test_a_stop_of_the_monitor_is_in_the_record(tmp_path: Path) -> None:
    def press(process: OneProcess) -> None:
        guide: Any = process.runner.actor
        plain = guide.act

        def act(observation: dict[str, Any]) -> np.ndarray:
            if len(guide.did[-1]) == 8:
                process.monitor.press_stop(process.now, "test")
            return np.asarray(plain(observation))

        guide.act = act

    deployed = deploy(tmp_path / "log", prepare=press)
    assert deployed.outcomes[0].reason == "stopped"
    episode, report = read_one(deployed.log)
    assert (episode.outcome.success, episode.outcome.reason) == (False, "stopped")
    assert report.reason == "stopped"
    check_seen(deployed, episode, 0)
    assert episode.info["judged_by"] == "monitor"
    assert episode.outcome.terminated


# --- logs that are not as they should be ----------------------------------------------------------------


def test_what_comes_twice_counts_once(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    log = spoil(deployed.log, tmp_path / "log", lambda message: [message, message])
    episodes, report = read_log(log)[0]
    assert_same(episodes[0], first[0])
    assert report.counts.keys() == {"message that is in the log twice"}


def test_what_is_said_again_counts_once(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    def again(message: LogMessage) -> list[LogMessage]:
        return [message, replace(message, log_time=message.log_time + MS)]

    episodes, report = read_log(spoil(deployed.log, tmp_path / "log", again))[0]
    assert_arrays_same(episodes[0], first[0])
    assert report.counts["joint state that is no newer than the one before"] > 100
    assert report.counts["picture of front that is no newer than the one before"] > 10
    assert report.counts["request on an observation that was answered already"] == len(episodes[0])


def assert_arrays_same(ours: Episode, theirs: Episode) -> None:
    assert_same(replace(ours, outcome=theirs.outcome), theirs)


def test_another_order_of_joints_changes_nothing(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    rng = np.random.default_rng(0)

    def permute(record: Any) -> Any:
        place = rng.permutation(len(record.names))
        names = tuple(record.names[i] for i in place)
        if isinstance(record, TorqueRequest):
            return replace(record, names=names, torque=record.torque[place])
        arrays = {name: getattr(record, name)[place] for name in ("position", "velocity", "effort")}
        return replace(record, names=names, **arrays)

    log = deployed.log
    for i, topic in enumerate((STATES, REQUESTED, FILTERED, SENT)):
        log = spoil(log, tmp_path / str(i), edit_record(topic, permute))
    assert_same(read_log(log)[0][0][0], first[0])


def test_without_a_joints_name_nothing_can_be_seen(deployed: Deployed, tmp_path: Path) -> None:
    def rename(record: Any) -> Any:
        return replace(record, names=("other", *record.names[1:]))

    log = spoil(deployed.log, tmp_path / "log", edit_record(STATES, rename))
    episodes, report = read_log(log)[0]
    assert episodes == []
    assert "no two observations" in report.refused
    assert "camera" not in report.refused


def drop(topic: str, begin: float, end: float) -> Any:
    """An edit that loses a topic from so many to so many seconds after the log's beginning."""

    def edit(message: LogMessage) -> list[LogMessage]:
        inside = begin * SECOND <= message.log_time <= end * SECOND
        return [] if message.topic == topic and inside else [message]

    return edit


def beginning(deployed: Deployed) -> float:
    """When the first episode begins [s]."""
    return next(iter(Log(deployed.log).messages(["/robolearn/episode"]))).log_time / SECOND


def test_a_camera_that_is_lost_for_a_while_cuts_the_episode(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    start = beginning(deployed)
    log = spoil(deployed.log, tmp_path / "log", drop(FRONT, start + 0.3, start + 0.6))
    episodes, report = read_log(log)[0]
    assert report.parts == len(episodes) == 2
    assert report.counts["camera front missing"] >= 4
    assert report.counts["cut where observations are missing"] == 1
    assert [episode.outcome.reason for episode in episodes] == ["cut", "success"]
    assert [episode.outcome.success for episode in episodes] == [False, True]
    assert [episode.info["part"] for episode in episodes] == [0, 1]
    assert not episodes[0].outcome.terminated
    lost = len(first[0]) - sum(map(len, episodes))
    assert 5 <= lost <= 8
    whole, (a, b) = first[0], episodes
    np.testing.assert_array_equal(a.requested, whole.requested[: len(a)])
    np.testing.assert_array_equal(b.requested, whole.requested[-len(b) :])
    for part in episodes:
        part.validate()
        assert np.diff(part.stamps).max() <= 0.05 + 1e-9


def test_one_picture_that_is_lost_is_bridged(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    moment = first[0].info["began"] / SECOND + 0.35
    log = spoil(deployed.log, tmp_path / "log", drop(FRONT, moment + 0.005, moment + 0.015))
    episodes, report = read_log(log)[0]
    (episode,) = episodes
    # pictures come 17 ms apart, and one that is more than 10 ms off shows another moment
    assert report.counts["camera front missing"] == 1
    assert report.counts["request whose observation is not in the log"] == 1
    assert np.diff(episode.stamps).max() == pytest.approx(0.1)
    assert len(episode) == len(first[0]) - 1


def test_a_torque_that_is_not_in_the_log_cuts_the_episode(deployed: Deployed, tmp_path: Path) -> None:
    start = beginning(deployed)
    log = spoil(deployed.log, tmp_path / "log", drop(SENT, start + 0.4, start + 0.52))
    _, report = read_log(log)[0]
    assert report.parts == 2
    assert report.counts["cut where a torque is missing"] >= 1


def test_readings_are_not_made_up_over_a_gap(deployed: Deployed, tmp_path: Path) -> None:
    start = beginning(deployed)
    log = spoil(deployed.log, tmp_path / "log", drop(STATES, start + 0.3, start + 0.5))
    _, report = read_log(log)[0]
    assert report.parts == 2
    assert report.counts["joint state missing"] >= 2


def test_a_clock_that_was_set_back_is_told_and_cuts(deployed: Deployed, tmp_path: Path) -> None:
    """From some time on all that the recorder and the others say of time is 0.3 s less."""
    start = beginning(deployed)
    back = round(0.3 * SECOND)

    def edit(message: LogMessage) -> LogMessage:
        if message.log_time < (start + 0.6) * SECOND:
            return message
        time = message.log_time - back
        record: Any = decode(message.type, message.data)
        record = replace(record, stamp=record.stamp - back)
        return replace(message, log_time=time, publish_time=time, data=encode(record))

    log = write(tmp_path / "log", [edit(message) for message in Log(deployed.log).messages()])
    plan = plan_log(log, Options())
    assert any("clock was set back by 0.29" in note for note in plan.notes)
    episodes, report = read_episode(plan.jobs[0])
    assert report.counts["message from a time that the recorder's clock went through twice"] > 100
    for episode in episodes:
        assert np.diff(episode.stamps).max() <= 0.1 + 1e-9
    blind = plan.jobs[0].blind[0]
    for episode in episodes:
        moments = episode.info["began"] + np.round(episode.stamps * SECOND).astype(np.int64)
        assert not ((moments > blind[0] + 20 * MS) & (moments < blind[1] - 20 * MS)).any()


def test_a_log_without_an_end_gives_what_it_holds(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    half = tmp_path / "log"
    half.mkdir()
    (file,) = deployed.log.glob("*.mcap")
    (half / "log_0.mcap").write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.4)])
    plan = plan_log(half, Options())
    assert any("cut" in note for note in plan.notes)
    episodes, report = read_episode(plan.jobs[0])
    (episode,) = episodes
    assert report.reason == episode.outcome.reason == "cut"
    assert episode.info["judged_by"] == "nobody"
    steps = len(episode)
    assert 3 < steps < len(first[0])
    np.testing.assert_array_equal(episode.requested[:-1], first[0].requested[: steps - 1])
    for name, array in episode.observations.items():
        np.testing.assert_array_equal(array[:steps], first[0].observations[name][:steps])


def test_damaged_messages_are_counted(deployed: Deployed, tmp_path: Path) -> None:
    def edit(message: LogMessage) -> list[LogMessage]:
        if message.topic == STATES and message.log_time // (5 * MS) % 10 == 0:
            return [replace(message, data=message.data[:20])]
        if message.topic == FRONT and message.log_time // MS % 7 == 0:
            return [replace(message, data=message.data[:100])]
        return [message]

    log = spoil(deployed.log, tmp_path / "log", edit)
    _, report = read_log(log)[0]
    assert report.counts[f"message of {STATES} that cannot be read"] > 10
    assert any("that cannot be made" in words for words in report.counts)


def test_readings_that_are_not_numbers_are_none(deployed: Deployed, tmp_path: Path) -> None:
    start = beginning(deployed)

    def spoilt(record: Any) -> Any:
        inside = start + 0.3 <= record.stamp / SECOND <= start + 0.4
        return replace(record, position=np.full(len(record.names), np.nan)) if inside else record

    log = spoil(deployed.log, tmp_path / "log", edit_record(STATES, spoilt))
    episodes, report = read_log(log)[0]
    assert report.counts["joint state that is not finite"] >= 20
    for episode in episodes:
        assert np.isfinite(episode.observations["q"]).all()


def test_without_the_monitors_state_torques_still_tell(
    deployed: Deployed, tmp_path: Path, first: tuple[Episode, Report]
) -> None:
    log = spoil(deployed.log, tmp_path / "log", lambda m: [] if m.topic == MONITOR else [m])
    episodes, _ = read_log(log)[0]
    assert_arrays_same(episodes[0], first[0])
    assert episodes[0].outcome.interventions == {}
    assert episodes[0].outcome.altered_ticks == first[0].outcome.altered_ticks


def test_a_person_who_takes_over_is_in_the_record(deployed: Deployed, tmp_path: Path) -> None:
    start = beginning(deployed)

    def theirs(record: Any) -> Any:
        return replace(record, sender="pendant 12@host") if record.stamp / SECOND > start + 0.5 else record

    log = spoil(deployed.log, tmp_path / "log", edit_record(REQUESTED, theirs))
    episodes, _ = read_log(log)[0]
    source = np.concatenate([episode.source for episode in episodes])
    assert set(source.tolist()) == {Source.POLICY, Source.OPERATOR}
    assert (np.diff(source.astype(int)) >= 0).all()  # the policy first, then the person


def test_episodes_that_nobody_commanded_are_taken_when_asked_for(deployed: Deployed, tmp_path: Path) -> None:
    def by_hand(mark: EpisodeMark) -> EpisodeMark:
        return replace(mark, body={**mark.body, "action_source": "none", "bundle": ""})

    log = spoil(deployed.log, tmp_path / "log", edit_marks(by_hand))
    plan = plan_log(log, Options())
    assert plan.jobs == []
    assert all("nobody commanded torques" in report.refused for report in plan.refused)
    episodes, _ = read_log(log, unlabelled=True)[0]
    (episode,) = episodes
    episode.validate()
    assert not episode.info["torque_labels"]
    assert np.isnan(episode.requested[:, :7]).all()
    assert not episode.filtered.any()
    assert not episode.sent.any()
    assert set(episode.source.tolist()) == {Source.OPERATOR}
    assert len(episode) >= 18
    # as record.launch.py leaves it: no policy, so no contract in the log
    for key in ("requires", "contract"):
        log = spoil(log, tmp_path / key, edit_marks(partial(without, key=key)))
    plan = plan_log(log, Options(unlabelled=True))
    assert all("give --bundle or --contract" in report.refused for report in plan.refused)
    again, _ = read_log(log, unlabelled=True, contract=deployed.contract)[0]
    assert_same(again[0], episode)


def without(mark: EpisodeMark, key: str) -> EpisodeMark:
    return replace(mark, body={name: value for name, value in mark.body.items() if name != key})
