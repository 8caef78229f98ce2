"""Plays what a log holds of an episode to the alignment that the policy runner uses.

A look is taken wherever the policy runner would have taken one: at the end of every moment at which something
happened, and when the next observation falls due. Then the requests are matched with what was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from robolearn.data.episode import Source
from robolearn.data.importing.events import Event
from robolearn.data.importing.matching import PATIENCE, Matcher, Seen
from robolearn.data.importing.recipe import Recipe, Span
from robolearn.hardware.alignment import Alignment
from robolearn.hardware.model import ArmModel
from robolearn.hardware.runner import SENDER
from robolearn.hardware.wire import SECOND, Array, JointState, MonitorStatus, TorqueRequest, order


@dataclass(eq=False)
class Torque:
    """A torque.

    Attributes:
        now, stamp: when it came, and of what stamp [ns].
        torque: in the contract's order (n,) [N·m].
        gripper: from open (-1) to closed (+1); NaN where it was left.
        source: who asked for it.
    """

    now: int
    stamp: int
    torque: Array
    gripper: float
    source: Source


@dataclass(eq=False)
class Played:
    """What an episode held, each list in the order of time.

    Attributes:
        seen: observations.
        asked, filtered, sent: torques.
        states: of the monitor: when, whether requests pass, whether anything is sent, causes.
        grips: of the gripper where requests do not tell: when, and from open (-1) to closed (+1).
        counts: what was wrong, in words.
    """

    seen: list[Seen] = field(default_factory=list)
    asked: list[Torque] = field(default_factory=list)
    filtered: list[Torque] = field(default_factory=list)
    sent: list[Torque] = field(default_factory=list)
    states: list[tuple[int, bool, bool, tuple[str, ...]]] = field(default_factory=list)
    grips: list[tuple[int, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def play(happened: Iterable[Event], recipe: Recipe, span: Span) -> Played:
    """Play an episode.

    Args:
        happened: in order, from some time before its beginning to some time after its end.
        recipe, span: of the episode; its times become those of the stamps' clock.

    Raises:
        InputError: a channel that no log has, or a camera that cannot serve the contract's.
    """
    player = _Player(recipe, span.begin - recipe.offset, span.end - recipe.offset)
    for event in happened:
        player.take(event)
    return player.finish()


class _Player:
    def __init__(self, recipe: Recipe, begin: int, end: int) -> None:
        self._recipe, self._begin, self._end = recipe, begin, end
        self._alignment = Alignment(recipe.contract, recipe.wiring)
        self._played = Played()
        self._matcher = Matcher(self._alignment, begin, self._played.counts)
        self._played.seen = self._matcher.seen
        self._last = begin - 2 * SECOND  # the moment that events are being taken of
        self._begun = False
        self._model = None if recipe.arm.compensates_gravity else ArmModel(recipe.arm)
        self._state: JointState | None = None

    # --- what happens -------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        now, topic, record = event
        if now > self._last:
            self._pass_time(now)
        topics = self._recipe.topics
        measured = topic in topics.cameras or topic in topics.states
        # the next episode may follow at once: what was measured after this one's end is no part of it
        if (record.stamp if measured else now) > self._end:
            return
        if topic in topics.cameras:
            self._alignment.on_picture(now, record)
        elif topic in topics.states:
            self._take_state(now, record)
        elif topic == topics.monitor:
            self._take_status(now, record)
        elif topic == topics.gripper:
            self._grip(now, record)
        elif self._recipe.labelled:
            self._take_torque(now, topic, record)

    def _take_state(self, now: int, state: JointState) -> None:
        self._state = state
        self._alignment.on_state(now, state)
        if not self._recipe.labelled:  # an arm that a person moves by hand is sent nothing
            joints = self._recipe.wiring.joint_names
            self._alignment.on_filtered(now, TorqueRequest(now, joints, np.zeros(len(joints))))
        gripper = self._recipe.gripper
        if gripper is not None and not self._recipe.topics.gripper:
            places = order(state.names, self._recipe.wiring.fingers)
            if places is not None and len(state.position) == len(state.names):
                self._grip(now, float(np.asarray(state.position)[places].sum()))

    def _grip(self, now: int, number: float) -> None:
        """The gripper's command in the driver's unit, or its width, as open (-1) or closed (+1)."""
        gripper = self._recipe.gripper
        assert gripper is not None
        closed = abs(number - gripper.closed) < abs(number - gripper.open)
        self._played.grips.append((now, 1.0 if closed else -1.0))

    def _take_status(self, now: int, status: MonitorStatus) -> None:
        live = status.authority != "shadow"
        self._played.states.append((now, status.mode == "passing", live, status.causes))

    def _take_torque(self, now: int, topic: str, record: TorqueRequest) -> None:
        """A torque of one of the three topics; what a stranger's log lacks of them is worked out."""
        topics, played, recipe = self._recipe.topics, self._played, self._recipe
        places = order(record.names, recipe.wiring.joint_names)
        if places is None or len(record.torque) != len(record.names):
            played.counts[f"torque of {topic} without the contract's joints"] += 1
            return
        gripper = np.nan if record.gripper is None else record.gripper
        # a mark says who acts in an episode; whoever else asks in it is a person's program that took over
        whose = record.sender.partition(" ")[0] in ("", SENDER) or not recipe.ours
        source = recipe.source if whose else Source.OPERATOR
        torque = Torque(now, record.stamp, np.asarray(record.torque, np.float64)[places], gripper, source)
        if topic == topics.requested:
            self._ask(torque)
        if topic == topics.sent:
            played.sent.append(torque)
        if topic == (topics.filtered or topics.sent or topics.requested):
            self._let_through(torque, topic)

    def _ask(self, torque: Torque) -> None:
        if torque.now > self._begin and self._recipe.answers and torque.source is self._recipe.source:
            self._matcher.ask(len(self._played.asked), torque.stamp, torque.now)
        self._played.asked.append(torque)

    def _let_through(self, torque: Torque, topic: str) -> None:
        topics, played = self._recipe.topics, self._played
        if not np.isfinite(torque.torque).all():
            played.counts[f"torque of {topic} that is not finite"] += 1
            return
        if topic != topics.filtered or not topics.sent:
            weight = self._weight()
            if weight is None:
                played.counts[f"torque of {topic} before the arm's posture was known"] += 1
                return
            if topic == topics.sent:
                torque = replace(torque, torque=torque.torque - weight)
            elif not topics.sent:
                played.sent.append(replace(torque, torque=torque.torque + weight))
        if not topics.requested:
            self._ask(torque)
        played.filtered.append(torque)
        joints = self._recipe.wiring.joint_names
        self._alignment.on_filtered(torque.now, TorqueRequest(torque.stamp, joints, torque.torque))

    def _weight(self) -> Array | None:
        """What we add to carry the arm where it stood last, in the contract's order (n,) [N·m]."""
        if self._model is None:
            return np.zeros(len(self._recipe.wiring.joint_names))
        if self._state is None or (places := order(self._state.names, self._recipe.joint_names)) is None:
            return None
        weight = np.asarray(self._model.gravity(self._model.frames(self._state.position[places])))
        return weight[[self._recipe.joint_names.index(name) for name in self._recipe.wiring.joint_names]]

    # --- looking ------------------------------------------------------------------------------------------

    def _pass_time(self, now: int) -> None:
        """Everything of the last moment is known; look then, and whenever something falls due until `now`."""
        self._look(self._last)
        while (due := self._alignment.next_due()) is not None and self._last < due < now:
            self._last = due
            self._look(due)
        self._last = now

    def _look(self, now: int) -> None:
        if now <= self._begin:
            return
        if not self._begun:
            self._begun = True
            self._alignment.reports.clear()
            self._alignment.begin(self._begin)
        coming = self._alignment.next_moment
        over = (now if coming is None else coming) > self._end
        if not over and self._alignment.due(now):
            self._matcher.look(now)
        self._matcher.answer(now)

    def finish(self) -> Played:
        """The last look: at a moment as near to the end as is shown, if the grid has none there."""
        self._pass_time(self._last + PATIENCE)
        self._matcher.answer(self._last)
        seen, moment = self._matcher.seen, self._alignment.latest(self._end)
        if seen and moment - seen[-1].moment >= self._alignment.period // 2:
            self._matcher.look_at(moment, self._last)
        self._played.counts.update(self._alignment.reports)
        return self._played
