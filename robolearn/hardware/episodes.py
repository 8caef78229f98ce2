"""The episode runner: home, wait for a person, run, judge; and the marks that give a log its labels.

    IDLE --start--> HOMING --there--> WAITING --ready--> RUNNING --ended--> JUDGING --judged--> IDLE

Where a person guides the arm by hand, a start leads to WAITING at once: nothing is homed, nothing asked for.
Whatever moves the arm passes through the monitor, homing too. While the runner homes and waits it asks for
the torques itself; while it runs, the policy does. The outcome is the task's predicate's where there is one,
and a person's otherwise; the end mark says whose. Nothing starts by itself: after an episode it is idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from robolearn import checks
from robolearn.data.episode import software_versions
from robolearn.errors import choose
from robolearn.hardware.homing import Homing
from robolearn.hardware.station import Station, station_values
from robolearn.hardware.wire import SECOND, EpisodeMark, Heartbeat, JointState, TorqueRequest

SENDER = "episodes"
"""Of the runner's heartbeats and requests, where there is one runner: it asks for torques, too."""

ACTION_SOURCES = ("policy", "teacher", "operator", "none")
"""Who chooses the torques of an episode; "none" where a person guides the arm by hand."""


class Phase(Enum):
    """What the runner is about."""

    IDLE = "idle"
    HOMING = "homing"
    WAITING = "waiting"
    """The arm is home and is held there, or in a person's hands; he may put things where they belong."""
    RUNNING = "running"
    JUDGING = "judging"
    """The episode is over, and a person has yet to say how it went."""


class Event(Enum):
    """What happens to it."""

    START = "start"
    START_GUIDED = "start guided"
    """The same, where a person guides the arm by hand."""
    THERE = "there"
    READY = "ready"
    ENDED = "ended"
    """By timeout, by a person, by the predicate or by the monitor; the outcome is known."""
    OPEN = "open"
    """The same; the outcome is not known."""
    JUDGED = "judged"
    CANCEL = "cancel"


TRANSITIONS = {
    (Phase.IDLE, Event.START): Phase.HOMING,
    (Phase.IDLE, Event.START_GUIDED): Phase.WAITING,
    (Phase.HOMING, Event.THERE): Phase.WAITING,
    (Phase.HOMING, Event.CANCEL): Phase.IDLE,
    (Phase.WAITING, Event.READY): Phase.RUNNING,
    (Phase.WAITING, Event.CANCEL): Phase.IDLE,
    (Phase.RUNNING, Event.ENDED): Phase.IDLE,
    (Phase.RUNNING, Event.OPEN): Phase.JUDGING,
    (Phase.JUDGING, Event.JUDGED): Phase.IDLE,
}
"""The whole state machine; what is not in it does not happen."""


@dataclass(frozen=True)
class EpisodePlan:
    """What all episodes of a session have in common.

    Attributes:
        task: its name.
        seconds: the time limit [s].
        home: the posture that episodes start from (n,) [rad].
        gripper: open (-1) or closed (+1) when they start.
        judged_by: "predicate" where the task has one that is asked, else "person".
        contract, bundle: hashes of what acts; "" where it is no policy.
        requires: that contract itself, as `Contract.to_dict` gives it; None where it is not known.
        action_source: one of `ACTION_SOURCES`.
        session: a name that makes those of the episodes unique.
        exploration: how much who acts is pushed; see `robolearn.hardware.exploring`.

    Raises:
        InputError: a time limit, a judge or an action source that cannot be.
    """

    task: str
    seconds: float
    home: Sequence[float]
    gripper: float
    judged_by: str = "predicate"
    contract: str = ""
    bundle: str = ""
    action_source: str = "policy"
    session: str = "session"
    requires: Mapping[str, Any] | None = None
    exploration: float = 0.0

    def __post_init__(self) -> None:
        checks.text("task", self.task)
        checks.number("exploration", self.exploration, low=0.0)
        checks.text("session", self.session)
        checks.number("seconds", self.seconds, above=0.0)
        checks.within("gripper", self.gripper, -1.0, 1.0)
        choose("judge", self.judged_by, ("predicate", "person"))
        choose("action source", self.action_source, ACTION_SOURCES)


@dataclass(frozen=True)
class Result:
    """How an episode ended.

    Attributes:
        success: whether the goal was reached.
        reason: why it ended, in a word ("success", "time", "dropped", "stopped").
        judged_by: "predicate", "person" or "monitor".
        seconds: how long it ran [s].
        notes: of the person.
    """

    success: bool
    reason: str
    judged_by: str
    seconds: float
    notes: str = ""


@dataclass
class EpisodeRunner:
    """Leads one episode after another.

    Args:
        station: the arm where it stands.
        plan: what its episodes have in common.
        sender: of its heartbeats and requests; two runners need two.

    Attributes:
        phase: what it is about.
        result: of the latest episode.
        measured: what the task's predicate measures (forces, drops), kept up to date by whoever asks it; the
            end mark carries it.
    """

    station: Station
    plan: EpisodePlan
    sender: str = SENDER
    phase: Phase = Phase.IDLE
    result: Result | None = None
    measured: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._homing = Homing(self.station, self.plan.home, self.plan.gripper, self.sender)
        self._marks: list[EpisodeMark] = []
        self._count = 0
        self._name = ""
        self._seed: int | None = None
        self._begun = 0
        self._ended: tuple[str, float] = "", 0.0

    # --- what people ask ----------------------------------------------------------------------------------

    def start(self, seed: int | None = None) -> bool:
        """Go home for the next episode, unless the arm is guided; False where one is going on.

        Args:
            seed: of a simulated episode.
        """
        if not self._happens(Event.START_GUIDED if self._guided else Event.START):
            return False
        self._homing.begin()
        self._name, self._seed = f"{self.plan.session}-{self._count:04d}", seed
        self._count += 1
        self.result, self.measured = None, {}
        return True

    def ready(self, now: int) -> bool:
        """A person says that everything is in its place: the episode begins; False if the arm is not home."""
        if not self._happens(Event.READY):
            return False
        self._begun = now
        # all that it takes to read the log again, wherever it is
        setup = station_values(self.station)
        self._mark(
            now,
            "begin",
            {
                "requires": self.plan.requires,
                "setup": setup,
                "versions": software_versions(),
                "exploration": self.plan.exploration,
            },
        )
        return True

    def stop(self, now: int) -> bool:
        """A person ends the episode, or calls off the one to come; False where there is none."""
        if self.phase is Phase.RUNNING:
            return self._end(now, "stopped")
        return self._happens(Event.CANCEL)

    def judge(self, now: int, success: bool, notes: str = "") -> bool:
        """A person says how the episode went, while it runs or afterwards; False where there is none."""
        if self.phase is Phase.RUNNING:
            seconds = (now - self._begun) / SECOND
            result = Result(success, "success" if success else "stopped", "person", seconds, notes)
            return self._close(now, Event.ENDED, result)
        reason, seconds = self._ended
        result = Result(success, "success" if success else reason, "person", seconds, notes)
        return self._close(now, Event.JUDGED, result)

    # --- what happens by itself ---------------------------------------------------------------------------

    def on_state(self, state: JointState) -> TorqueRequest | None:
        """A joint state: what the runner itself asks of the arm, while it homes it and keeps it home."""
        if self._guided or self.phase not in (Phase.HOMING, Phase.WAITING):
            return None
        request = self._homing.on_state(state)
        if self._homing.there:
            self._happens(Event.THERE)
        return request

    def on_verdict(self, now: int, success: bool, reason: str) -> None:
        """The task's predicate has decided; without effect where a person judges."""
        if self.phase is Phase.RUNNING and self.plan.judged_by == "predicate":
            seconds = (now - self._begun) / SECOND
            self._close(now, Event.ENDED, Result(success, reason, "predicate", seconds))

    def on_monitor_stopped(self, now: int) -> None:
        """The monitor has stopped the arm: what runs has failed, and what was to come is called off."""
        if self.phase is Phase.RUNNING:
            seconds = (now - self._begun) / SECOND
            self._close(now, Event.ENDED, Result(False, "stopped", "monitor", seconds))
        else:
            self._happens(Event.CANCEL)

    def tick(self, now: int) -> None:
        """Time passes; at the time limit an episode ends."""
        if self.phase is Phase.RUNNING and now - self._begun >= round(self.plan.seconds * SECOND):
            self._end(now, "time")

    def heartbeat(self, now: int) -> Heartbeat:
        """Says that whoever homes the arm is alive."""
        return Heartbeat(now, self.sender)

    def take_marks(self) -> list[EpisodeMark]:
        """The marks that have been made since the last call."""
        marks, self._marks = self._marks, []
        return marks

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _guided(self) -> bool:
        return self.plan.action_source == "none"

    def _happens(self, event: Event) -> bool:
        after = TRANSITIONS.get((self.phase, event))
        if after is None:
            return False
        self.phase = after
        return True

    def _end(self, now: int, reason: str) -> bool:
        """A running episode ends without a verdict."""
        self._ended = reason, (now - self._begun) / SECOND
        if self.plan.judged_by == "person":
            return self._happens(Event.OPEN)
        return self._close(now, Event.ENDED, Result(False, reason, "predicate", self._ended[1]))

    def _close(self, now: int, event: Event, result: Result) -> bool:
        if not self._happens(event):
            return False
        self.result = result
        outcome = {"success": result.success, "reason": result.reason, "seconds": result.seconds}
        body = {"outcome": {**outcome, **self.measured}, "judged_by": result.judged_by, "notes": result.notes}
        self._mark(now, "end", body)
        return True

    def _mark(self, now: int, kind: str, more: Mapping[str, object]) -> None:
        plan = self.plan
        body: dict[str, object] = {
            "task": plan.task,
            "seed": self._seed,
            "station": self.station.name,
            "contract": plan.contract,
            "bundle": plan.bundle,
            "action_source": plan.action_source,
            **more,
        }
        self._marks.append(EpisodeMark(now, kind, self._name, body))
