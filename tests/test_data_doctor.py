"""What the doctor finds in an episode: one fault at a time in a healthy one, and episodes that lack much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robolearn.contract import Channel
from robolearn.data.doctor.examination import CHECKS, in_order
from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.groups import groups_of
from robolearn.data.doctor.subject import runs, worst
from robolearn.data.episode import Episode, Outcome, Source
from tests.doctored import CONTRACT, examined, findings_in, having, healthy, seeing


def only(episode: Episode, **told: Any) -> Finding:
    """The one finding in a store of one episode."""
    (found,) = findings_in(episode, **told)
    return found


def observed(episode: Episode, name: str) -> np.ndarray:
    """A copy of an observation, to change."""
    return episode.observations[name].copy()


def test_an_episode_without_a_fault_has_no_finding():
    assert [findings_in(healthy(number)) for number in range(8)] == [[]] * 8


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_reading_that_is_no_number(number: float):
    q = observed(healthy(), "wrench")
    q[7, 1] = q[9, 2] = number
    found = only(seeing(healthy(), wrench=q))
    assert (found.check, found.severity, found.channel) == ("not a number", "error", "wrench")
    assert (found.step, found.component, found.episode) == (7, 1, 1)
    assert found.value == pytest.approx(2 / 61)
    assert "in 2 of 61 observations" in found.found
    assert "0.35 s" in found.found


@pytest.mark.parametrize("name", ["q", "dq", "tau"])
def test_a_joint_reading_that_is_no_number_is_told_once(name: str):
    reading = observed(healthy(), name)
    reading[7, 1] = np.nan
    assert only(seeing(healthy(), **{name: reading})).check == "not a number"


def test_a_policy_that_asks_for_no_number():
    requested = healthy().requested.copy()
    requested[3, 0] = np.nan
    found = only(replace(healthy(), requested=requested))
    assert (found.check, found.severity, found.step) == ("not a number", "warning", 3)


def test_nothing_is_asked_for_while_the_monitor_holds_and_where_nobody_commands():
    requested, source = healthy().requested.copy(), healthy().source.copy()
    requested[3:6, :3], source[3:6] = np.nan, Source.MONITOR
    assert findings_in(replace(healthy(), requested=requested, source=source)) == []
    by_hand = replace(
        healthy(),
        requested=np.full_like(requested, np.nan),
        filtered=np.zeros((60, 3)),
        sent=np.zeros((60, 3)),
        info={**healthy().info, "torque_labels": False},
    )
    still = np.zeros_like(observed(healthy(), "tau"))
    assert findings_in(seeing(by_hand, tau=still)) == []


@pytest.mark.parametrize(("value", "frames", "severity"), [(0, 40, "error"), (255, 10, "warning")])
def test_pictures_that_show_nothing(value: int, frames: int, severity: str):
    """Noise at the end of the range does not make a picture of it."""
    front = observed(healthy(), "front")
    noise = np.random.default_rng(0).integers(0, 3, front[:frames].shape, np.uint8)
    front[:frames] = value - noise if value else noise
    found = only(seeing(healthy(), front=front))
    assert (found.check, found.severity, found.channel) == ("blank picture", severity, "front")
    assert found.value == pytest.approx(frames / 61)


def test_a_picture_of_one_value_is_blank():
    found = findings_in(seeing(healthy(), hand=np.full_like(observed(healthy(), "hand"), 90)))
    assert {f.check for f in found} == {"blank picture", "frozen picture"}
    assert {f.channel for f in found} == {"hand"}


def test_a_torque_that_stays_at_its_limit():
    sent = healthy().sent.copy()
    up = np.clip(0.8 * np.arange(60), 0, 10.0)  # the limiter lets it change by 10 N·m and more in a step
    sent[:, 2] = np.where(np.arange(60) < 40, up, 0.0)
    found = only(replace(healthy(), sent=sent))
    assert (found.check, found.severity, found.component) == ("torque at its limit", "warning", 2)
    assert (found.step, found.last) == (13, 40)
    assert found.value == pytest.approx(27 * 0.05)
    assert "wrist" in found.found


# --- timing ---------------------------------------------------------------------------------------------


def test_a_gap_between_observations():
    """The arm goes on moving meanwhile, as it should: only the stamps tell."""
    stamps = healthy().stamps.copy()
    slow = seeing(healthy(), dq=np.zeros_like(observed(healthy(), "dq")), q=np.zeros((61, 3), np.float32))
    slow = seeing(slow, front=observed(healthy(), "front"))
    stamps[30:] += 0.2
    found = only(replace(slow, stamps=stamps))
    assert (found.check, found.severity, found.step) == ("stamps", "error", 29)
    assert found.value == pytest.approx(0.25)


def test_uneven_stamps():
    stamps = healthy().stamps + np.where(np.arange(61) % 2, 0.006, -0.006)[::-1]
    found = only(replace(healthy(), stamps=stamps))
    assert (found.check, found.severity, found.value) == ("stamps", "warning", 1.0)


@pytest.mark.parametrize(
    ("quality", "severity"),
    [
        ({"camera front missing": 2, "parts": 1, "import": "a"}, "note"),
        ({"camera front missing": 7}, "warning"),
    ],
)
def test_what_the_import_counted(quality: dict[str, Any], severity: str):
    found = only(healthy(), quality=quality)
    assert (found.check, found.severity) == ("log quality", severity)
    assert "x camera front missing" in found.found


def test_an_import_that_counted_nothing():
    assert findings_in(healthy(), quality={"parts": 1, "import": "abc", "whole": True}) == []


def test_cameras_that_are_not_as_the_contract_expects():
    camera = {"name": "hand", "delay": 0.12, "rate": 10.0}
    late, slow = findings_in(replace(healthy(), info={**healthy().info, "cameras": [camera]}))
    assert {late.check, slow.check} == {"camera timing"}
    assert late.value == pytest.approx(0.12)
    assert (slow.value, slow.channel) == (10.0, "hand")
    odd = {"cameras": [{"name": "hand", "delay": "late", "rate": None}, "front", {}]}
    assert findings_in(replace(healthy(), info={**healthy().info, **odd})) == []


# --- frozen ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["front", "hand"])
def test_a_picture_that_freezes(camera: str):
    pictures = observed(healthy(), camera)
    pictures[20:40] = pictures[20]
    found = only(seeing(healthy(), **{camera: pictures}))
    assert (found.check, found.severity, found.channel) == ("frozen picture", "error", camera)
    assert (found.step, found.last) == (20, 39)


def test_a_picture_may_stand_still_while_the_arm_does():
    still = {name: observed(healthy(), name) for name in ("front", "q", "hand", "wrench")}
    for array in still.values():
        array[20:40] = array[20]
    dq, q = observed(healthy(), "dq"), still["q"]
    q[40:] = q[20]
    dq[19:] = 0.0
    way = np.float32(0.05) * (dq[1:] + dq[:-1]) / 2
    still["q"] = np.concatenate([q[:1], q[:1] + np.cumsum(way, 0)])
    still["wrench"][20:] += np.arange(41)[:, None]
    assert findings_in(seeing(healthy(), dq=dq, **still)) == []


def test_a_camera_that_is_slower_than_the_control_rate():
    front = observed(healthy(), "front")
    front = front[np.arange(61) // 2 * 2]
    found = only(seeing(healthy(), front=front))
    assert (found.check, found.severity, found.channel) == ("stale pictures", "warning", "front")
    assert found.value == pytest.approx(0.5, abs=0.05)


def test_a_position_that_freezes():
    """It stops where it was, and goes on from there: q alone has no jump."""
    episode = healthy(3)
    q = observed(episode, "q").astype(float)
    dq = observed(episode, "dq")
    way = 0.05 * (dq[1:] + dq[:-1]) / 2
    way[10:20, 1] = 0.0
    q[1:, 1] = q[0, 1] + np.cumsum(way[:, 1])
    q[10:21, 1] = q[10, 1]
    found = findings_in(seeing(episode, q=q.astype(np.float32)))
    assert "frozen reading" in {f.check for f in found}
    frozen = next(f for f in found if f.check == "frozen reading")
    assert (frozen.channel, frozen.component, frozen.step, frozen.last) == ("q", 1, 10, 20)


@pytest.mark.parametrize(("name", "joint"), [("dq", 0), ("tau", 1)])
def test_another_reading_that_freezes(name: str, joint: int):
    reading = observed(healthy(2), name)
    reading[10:40, joint] = reading[10, joint]
    loud = replace(healthy(2), filtered=3.0 * healthy(2).filtered, requested=3.0 * healthy(2).requested)
    found = [f for f in findings_in(seeing(loud, **{name: reading})) if f.check == "frozen reading"]
    assert [(f.channel, f.component, f.step, f.severity) for f in found] == [(name, joint, 10, "error")]


def test_a_force_that_freezes():
    wrench = observed(healthy(), "wrench")
    wrench[10:50] = wrench[10]
    found = only(seeing(healthy(), wrench=wrench))
    assert (found.check, found.channel, found.step, found.last) == ("frozen reading", "wrench", 10, 49)


def test_a_gripper_that_never_moves():
    found = only(seeing(healthy(), gripper=np.full((61, 2), 0.04, np.float32)))
    assert (found.check, found.severity, found.channel) == ("frozen reading", "warning", "gripper")
    held = healthy().requested.copy()
    held[:, -1] = 1.0
    told_once = replace(healthy(), requested=held)
    assert findings_in(seeing(told_once, gripper=np.full((61, 2), 0.04, np.float32))) == []


# --- torques and motions --------------------------------------------------------------------------------


def test_a_torque_beyond_its_limit():
    sent = healthy().sent.copy()
    sent[30:33, 2] = [5.0, 12.0, 5.0]
    found = only(replace(healthy(), sent=sent))
    assert (found.check, found.severity) == ("impossible torque", "error")
    assert (found.step, found.component, found.value, found.bound) == (31, 2, 12.0, 10.0)


def test_a_torque_that_changes_faster_than_the_limiter_lets_it():
    sent = healthy().sent.copy()
    sent[30:, 0] += 25.0
    found = only(replace(healthy(), sent=sent))
    assert (found.check, found.severity) == ("impossible torque", "error")
    assert (found.step, found.component) == (29, 0)
    assert found.bound == pytest.approx(13.0)  # 10 ticks, 2 of the delays' tolerance, 1 for where it was read
    sent[:30] = 0.0  # in shadow nothing was sent
    assert findings_in(replace(healthy(), sent=sent)) == []


def test_a_torque_that_nobody_explains():
    requested = healthy().requested.copy()
    requested[5:8, 1] += [0.1, 0.3, 0.2]
    altered = replace(healthy(), requested=requested)
    found = only(altered)
    assert (found.check, found.severity) == ("unexplained torque", "warning")
    assert (found.step, found.component, found.value) == (6, 1, 3.0)

    limited = replace(altered.outcome, altered_ticks=9)
    assert findings_in(replace(altered, outcome=limited)) == []
    marked = {**altered.info, "altered": [5, 6]}
    assert only(replace(altered, info=marked, outcome=limited)).step == 7
    assert findings_in(replace(altered, info={**altered.info, "altered": [5, 6, 7]})) == []
    assert findings_in(replace(altered, info={**altered.info, "noise": 0.2})) == []
    unknown = replace(altered.outcome, altered_ticks=None, interventions={})
    assert only(replace(altered, outcome=unknown)).severity == "note"


def test_requests_that_are_no_torques_are_not_compared():
    pose = replace(CONTRACT.action, kind="pose", size=6, unit="m, rad")
    episode = replace(having(healthy(), action=pose), requested=np.ones((60, 7)))
    assert findings_in(episode) == []


def test_a_position_that_jumps():
    q = observed(healthy(), "q")
    q[30:, 1] += 0.4
    found = only(seeing(healthy(), q=q))
    assert (found.check, found.severity, found.channel) == ("impossible motion", "error", "q")
    assert (found.step, found.component) == (29, 1)
    assert found.value == pytest.approx(0.4, abs=0.05)


def test_a_joint_that_is_faster_than_any():
    slow = {**CONTRACT.limiter, "dq_max": [2.0, 2.0, 0.3]}
    found = only(having(healthy(), limiter=slow))
    assert (found.check, found.severity, found.channel) == ("impossible motion", "error", "dq")
    assert (found.component, found.bound) == (2, 0.6)
    assert found.value == np.abs(healthy().observations["dq"][:, 2]).max()


def test_a_joint_where_it_cannot_be():
    found = only(seeing(healthy(), q=observed(healthy(), "q") + np.float32([0.0, 0.0, 3.0])))
    assert (found.check, found.channel, found.component) == ("impossible motion", "q", 2)
    assert found.value is not None
    assert found.value > 0.2


@pytest.mark.parametrize("factor", [0.0, 0.6, -1.0])
def test_speeds_in_other_units(factor: float):
    dq = observed(healthy(), "dq")
    dq[:, 0] *= factor
    found = [f for f in findings_in(seeing(healthy(), dq=dq)) if f.check == "speed reading"]
    assert [(f.severity, f.component) for f in found] == [("error", 0)]


@pytest.mark.parametrize("noise", [1e-4, 1e-3])
def test_the_noise_of_a_joint_at_rest_is_no_wrong_speed(noise: float):
    q, dq = observed(healthy(), "q"), observed(healthy(), "dq")
    q[:, 0] = np.random.default_rng(0).normal(0.0, noise, len(q))
    dq[:, 0] = 0.0
    assert [f for f in findings_in(seeing(healthy(), q=q, dq=dq)) if f.check == "speed reading"] == []


# --- episodes that lack much ----------------------------------------------------------------------------


def test_an_episode_of_one_step():
    assert findings_in(healthy(steps=1)) == []
    assert findings_in(healthy(steps=2)) == []


def test_an_episode_without_cameras():
    seen = {k: v for k, v in healthy().observations.items() if k not in ("front", "hand")}
    assert findings_in(having(replace(healthy(), observations=seen), cameras=())) == []


def test_an_episode_of_pictures_alone():
    seen = {name: healthy().observations[name] for name in ("front", "hand")}
    assert findings_in(having(replace(healthy(), observations=seen), proprioception=())) == []


def test_an_episode_of_speeds_without_positions():
    seen = {name: healthy().observations[name] for name in ("front", "hand", "dq")}
    channels = (Channel("dq", "rad/s", 3, per_joint=True),)
    episode = having(replace(healthy(), observations=seen), proprioception=channels)
    assert findings_in(episode) == []
    even = np.full_like(observed(episode, "dq"), 0.2)
    assert not [f for f in findings_in(seeing(episode, dq=even)) if f.check == "frozen reading"]
    front = observed(episode, "front")
    front[20:40] = front[20]
    assert only(seeing(episode, front=front)).check == "frozen picture"


def test_an_episode_of_which_nothing_is_told():
    bare = replace(healthy(), info={}, config={})
    bare = replace(bare, outcome=Outcome(True, "success", 60, 3.0))
    assert findings_in(having(bare, limiter={}, delays={})) == []


def test_limits_of_all_joints_in_one_number():
    assert findings_in(having(healthy(), limiter={"tau_max": 80.0, "dtau": 1.0})) == []
    found = findings_in(having(healthy(), limiter={"tau_max": 0.5}))
    assert {f.check for f in found} == {"impossible torque", "torque at its limit"}


def test_depth():
    cameras = (replace(CONTRACT.cameras[0], encoding="depth"), CONTRACT.cameras[1])
    grey = healthy().observations["front"].mean(-1, dtype=np.float32) / 100
    episode = having(seeing(healthy(), front=grey), cameras=cameras)
    assert findings_in(episode) == []
    beyond = grey.copy()
    beyond[::2, :8] = 0.0  # nothing near enough in most of every other picture
    assert only(seeing(episode, front=beyond)).check == "blank picture"
    hole = grey.copy()
    hole[4, 3, 2] = np.nan
    assert only(seeing(episode, front=hole)).check == "not a number"


# --- what findings are made of --------------------------------------------------------------------------


@given(arrays(bool, st.integers(0, 30)))
def test_runs_are_where_the_mask_holds(mask: np.ndarray):
    found = runs(mask)
    again = np.zeros(len(mask), bool)
    for begin, end in found:
        assert mask[begin:end].all()
        assert begin < end
        again[begin:end] = True
    assert (again == mask).all()
    assert all(a[1] < b[0] for a, b in pairwise(found))


def test_the_worst_is_a_number():
    assert worst(np.array([[1.0, np.nan], [3.0, 2.0]])) == (1, 0)
    assert worst(np.array([np.nan])) == (0,)


def test_findings_are_in_order_and_grouped():
    def one(check: str, severity: Any, episode: int, value: float) -> Finding:
        return Finding(check, severity, "it", "mend", value, 1.0, episode, "q")

    found = in_order(
        [
            one("stamps", "note", 1, 2.0),
            one("impossible torque", "error", 1, 3.0),
            one("not a number", "error", 2, 1.0),
            one("impossible torque", "error", 2, 9.0),
            one("impossible torque", "error", 1, 0.0),
        ]
    )
    assert [f.check for f in found][:2] == ["not a number", "impossible torque"]
    groups = groups_of(found)
    assert [(g.severity, g.check, g.many) for g in groups] == [
        ("error", "not a number", 1),
        ("error", "impossible torque", 2),
        ("note", "stamps", 1),
    ]
    assert groups[1].worst.value == 9.0


def test_every_finding_is_of_a_check_that_the_page_lists():
    reached: list[Callable[[], Episode]] = [
        lambda: seeing(healthy(), front=np.zeros_like(observed(healthy(), "front"))),
        lambda: replace(healthy(), sent=100.0 * healthy().sent),
    ]
    found = examined([make() for make in reached]).findings
    assert found
    assert {f.check for f in found} <= CHECKS.keys()
