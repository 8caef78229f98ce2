"""Everything that the monitor refuses, stops for or alters, by name: what it means and what to do about it.

The page docs/safety.md has this table, made by `table`; a test holds the two together.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Bearing(Enum):
    """What a cause bears upon: each but COUNTED is a fact of `robolearn.hardware.monitor.states`."""

    COUNTED = auto()
    REFUSED = auto()
    LATE = auto()
    NO_BUNDLE = auto()
    NO_POLICY = auto()
    INSANE = auto()
    BAD = auto()
    LOST = auto()
    BREACH = auto()
    EMERGENCY = auto()
    STRANGER = auto()
    USURPED = auto()


_EFFECTS = {
    Bearing.COUNTED: "is counted",
    Bearing.REFUSED: "holds",
    Bearing.LATE: "holds, without feedback",
    Bearing.NO_BUNDLE: "keeps from autonomous",
    Bearing.NO_POLICY: "stops; in shadow it holds",
    Bearing.INSANE: "stops",
    Bearing.BAD: "stops, without feedback",
    Bearing.LOST: "stops, without feedback; deactivates where that is allowed",
    Bearing.BREACH: "stops",
    Bearing.EMERGENCY: "stops",
    Bearing.STRANGER: "stops",
    Bearing.USURPED: "stops; the watchdog publishes",
}


class _Entry(NamedTuple):
    name: str
    bearing: Bearing
    meaning: str
    remedy: str


class Cause(Enum):
    """One thing that is wrong. The value's name is what messages, logs and docs call it."""

    # the joint state
    STATE_MISSING = _Entry(
        "state_missing",
        Bearing.LATE,
        "No joint state has come yet.",
        "Start the driver; compare topic and QoS.",
    )
    STATE_LATE = _Entry(
        "state_late",
        Bearing.LATE,
        "The newest joint state is older than state_age.",
        "Look at the driver's rate, the network and the load of the computer.",
    )
    STATE_LOST = _Entry(
        "state_lost",
        Bearing.LOST,
        "No usable joint state came for hold.deactivate_within.",
        "Find out why the driver fell silent; activate the controller again after the reset.",
    )
    STATE_NONFINITE = _Entry(
        "state_nonfinite",
        Bearing.BAD,
        "A joint position, speed or torque is NaN or infinite.",
        "A sensor or its driver is broken: repair it.",
    )
    STATE_SIZE = _Entry(
        "state_size",
        Bearing.BAD,
        "The arrays of a joint state and its list of names differ in length.",
        "Repair the driver.",
    )
    STATE_NAMES = _Entry(
        "state_names",
        Bearing.BAD,
        "A joint is missing from a joint state, or stands in it twice.",
        "Compare the station's joint_names with the driver's.",
    )
    STATE_NO_VELOCITY = _Entry(
        "state_no_velocity",
        Bearing.BAD,
        "The joint state has no velocities; without them the arm cannot be braked.",
        "Let the driver (the joint state broadcaster) publish the velocity interface.",
    )
    STATE_FROZEN = _Entry(
        "state_frozen",
        Bearing.BAD,
        "Positions repeat to the bit although the arm moves or is pushed by a changed torque.",
        "The driver repeats an old reading: restart it.",
    )
    STATE_JUMP = _Entry(
        "state_jump",
        Bearing.BAD,
        "A position differs from the one before by more than any speed explains.",
        "Look for a slipping encoder or two drivers; a simulated arm that was set elsewhere does it, too.",
    )
    STATE_FUTURE = _Entry(
        "state_future",
        Bearing.COUNTED,
        "A joint state is stamped later than now; it is dropped, and the one before grows old.",
        "Synchronise the clocks of the arm and of this computer.",
    )
    STATE_BACKWARDS = _Entry(
        "state_backwards",
        Bearing.COUNTED,
        "A joint state is stamped before the one received last; it is dropped.",
        "Look for two drivers, or a network that changes the order of messages.",
    )
    STATE_DUPLICATE = _Entry(
        "state_duplicate",
        Bearing.COUNTED,
        "A joint state has the stamp of the one received last; it is dropped.",
        "Look for a relay that publishes twice.",
    )

    # what the measured arm does
    POSITION = _Entry(
        "position",
        Bearing.BREACH,
        "A joint is within position_margin of its published limit, or beyond.",
        "Guide the arm back by hand, then reset.",
    )
    SPEED = _Entry(
        "speed",
        Bearing.BREACH,
        "A joint is faster than speed_factor times its published limit.",
        "Look at what the policy asked for, and whether something hit the arm.",
    )
    TORQUE = _Entry(
        "torque",
        Bearing.BREACH,
        "A measured torque exceeds torque_factor times its published limit.",
        "The arm is jammed or overloaded: free it.",
    )
    TORQUE_RATE = _Entry(
        "torque_rate",
        Bearing.BREACH,
        "A measured torque changes faster than twice the published rate: a collision.",
        "See what the arm hit.",
    )
    POWER = _Entry(
        "power",
        Bearing.BREACH,
        "The motors put more than power_factor times power_max into the arm.",
        "Look at what the policy asked for.",
    )
    WORKSPACE = _Entry(
        "workspace",
        Bearing.BREACH,
        "The grip point or a link is outside its box.",
        "Guide the arm back by hand, or correct the station's workspace.",
    )
    SELF_COLLISION = _Entry(
        "self_collision",
        Bearing.BREACH,
        "Parts of the arm touch, by its capsules.",
        "Guide the arm apart by hand.",
    )
    WRENCH = _Entry(
        "wrench",
        Bearing.BREACH,
        "The external force or torque at the wrist exceeds its maximum, or is no number.",
        "Free the hand; look at the sensor's tare.",
    )
    CLOCK_JUMP = _Entry(
        "clock_jump",
        Bearing.BREACH,
        "The clock of the stamps jumped against the steady one, or the steady one went back.",
        "Let the clock be slewed, not stepped, while the arm is in use (chrony: no makestep).",
    )
    OVERLOAD = _Entry(
        "overload",
        Bearing.BREACH,
        "deadline_misses ticks in a row came more than a period late.",
        "Free the computer of other load; give the monitor a real-time priority.",
    )
    DEADLINE = _Entry(
        "deadline", Bearing.COUNTED, "One tick of the monitor came more than a period late.", "As overload."
    )

    # where the measured arm is about to be
    STOPPING_DISTANCE = _Entry(
        "stopping_distance",
        Bearing.REFUSED,
        "A joint is too fast to stop before its limit at the published acceleration.",
        "None: all joints brake, then requests pass again.",
    )
    WORKSPACE_AHEAD = _Entry(
        "workspace_ahead",
        Bearing.REFUSED,
        "At its present speed the arm is about to leave the workspace.",
        "Lower the authority to shadow and guide it back, if the policy does not turn round.",
    )
    SELF_COLLISION_AHEAD = _Entry(
        "self_collision_ahead",
        Bearing.REFUSED,
        "At its present speed parts of the arm are about to come closer than self_distance.",
        "As workspace_ahead.",
    )

    # the request
    REQUEST_MISSING = _Entry(
        "request_missing", Bearing.REFUSED, "No request has come yet.", "Start the policy or the homing."
    )
    REQUEST_LATE = _Entry(
        "request_late",
        Bearing.REFUSED,
        "The request, or the oldest observation behind it, is older than request_age.",
        "Look at the policy's latency and at its cameras.",
    )
    REQUEST_NONFINITE = _Entry(
        "request_nonfinite",
        Bearing.INSANE,
        "A requested torque, or the gripper, is NaN or infinite.",
        "The policy is broken, or was trained to break: do not run it.",
    )
    REQUEST_SIZE = _Entry(
        "request_size",
        Bearing.REFUSED,
        "A request's torques and names differ in number.",
        "Repair the sender.",
    )
    REQUEST_NAMES = _Entry(
        "request_names",
        Bearing.REFUSED,
        "A request's joints are not exactly the station's. Any order will do: they are matched by name.",
        "The policy is made for another arm.",
    )
    REQUEST_GRIPPER = _Entry(
        "request_gripper", Bearing.REFUSED, "The gripper's number is not in [-1, 1].", "Repair the sender."
    )
    REQUEST_SENDER = _Entry(
        "request_sender",
        Bearing.REFUSED,
        "A request comes from somebody who sends no heartbeat.",
        "Let him beat; the sender in his heartbeats is the header.frame_id of his requests.",
    )
    REQUEST_BACKWARDS = _Entry(
        "request_backwards",
        Bearing.REFUSED,
        "A request comes from an older observation than the one before.",
        "Look for two senders.",
    )
    REQUEST_FUTURE = _Entry(
        "request_future",
        Bearing.REFUSED,
        "A request comes from an observation that is yet to be made.",
        "Synchronise the clocks.",
    )
    REQUEST_FLOOD = _Entry(
        "request_flood",
        Bearing.REFUSED,
        "Requests come much faster than announced.",
        "Look for two senders, or one without a rate.",
    )

    # who asks
    POLICY_MISSING = _Entry(
        "policy_missing",
        Bearing.NO_POLICY,
        "Nobody has sent a heartbeat yet.",
        "Start the policy or the homing.",
    )
    POLICY_LOST = _Entry(
        "policy_lost",
        Bearing.NO_POLICY,
        "Somebody's heartbeat stopped for heartbeat_timeout.",
        "See why it crashed or hung; start it again, then reset.",
    )
    TWO_POLICIES = _Entry(
        "two_policies",
        Bearing.STRANGER,
        "Two senders announce a policy, or ask for torques, at the same time.",
        "Stop one of them.",
    )
    CONTRACT = _Entry(
        "contract",
        Bearing.REFUSED,
        "The announced contract is unknown to the monitor, or does not fit the station.",
        "Start a policy whose contract `robolearn` accepts for this station.",
    )
    BUNDLE = _Entry(
        "bundle",
        Bearing.NO_BUNDLE,
        "No bundle is announced, or one that is not on the list of those that may run autonomously.",
        "Promote it, or stay in assisted; a real station needs a registry.",
    )

    # cameras
    CAMERA_LATE = _Entry(
        "camera_late",
        Bearing.REFUSED,
        "A camera's newest image is older than camera_age, or none has come.",
        "Look at the camera's driver, its cable and the network.",
    )
    CAMERA_FROZEN = _Entry(
        "camera_frozen",
        Bearing.REFUSED,
        "A camera's images repeat to the bit although the arm moves.",
        "Restart the camera's driver.",
    )
    CAMERA_BLACK = _Entry(
        "camera_black", Bearing.REFUSED, "A camera sees nothing.", "Take off the cap; switch on the light."
    )

    # people, publishers, the wrist
    EMERGENCY_STOP = _Entry(
        "emergency_stop", Bearing.EMERGENCY, "Somebody pressed stop.", "Release the button, then reset."
    )
    STRANGER = _Entry(
        "stranger",
        Bearing.STRANGER,
        "Somebody else publishes on the controller's topic.",
        "Stop that node; only monitor and watchdog may publish there.",
    )
    WATCHDOG_OWNS = _Entry(
        "watchdog_owns",
        Bearing.USURPED,
        "The watchdog took the arm, for the monitor's heartbeat was late.",
        "Reset the watchdog, then the monitor.",
    )
    WATCHDOG_LATE = _Entry(
        "watchdog_late", Bearing.REFUSED, "The watchdog's heartbeat is missing.", "Start the watchdog."
    )
    WRENCH_LATE = _Entry(
        "wrench_late", Bearing.REFUSED, "The external wrench is older than age_max.", "Look at the sensor."
    )

    # what the limiter altered (docs/torque-path.md)
    LIMITED_NONFINITE = _Entry(
        "limited_nonfinite",
        Bearing.COUNTED,
        "Numbers that are none reached the limiter.",
        "Report it: the checks before it let them through.",
    )
    LIMITED_MAGNITUDE = _Entry(
        "limited_magnitude", Bearing.COUNTED, "The limiter cut a torque at its maximum.", "None."
    )
    LIMITED_RATE = _Entry(
        "limited_rate", Bearing.COUNTED, "The limiter slowed the change of a torque.", "None."
    )
    LIMITED_POSITION = _Entry(
        "limited_position", Bearing.COUNTED, "The limiter's wall kept a joint from its limit.", "None."
    )
    LIMITED_SPEED = _Entry(
        "limited_speed", Bearing.COUNTED, "The limiter braked a joint at its speed limit.", "None."
    )
    LIMITED_POWER = _Entry("limited_power", Bearing.COUNTED, "The limiter cut the power.", "None.")

    @property
    def label(self) -> str:
        """Its name in messages, logs and docs."""
        return self.value.name

    @property
    def bearing(self) -> Bearing:
        return self.value.bearing

    @property
    def effect(self) -> str:
        """What it does, in words."""
        return _EFFECTS[self.value.bearing]

    @property
    def meaning(self) -> str:
        return self.value.meaning

    @property
    def remedy(self) -> str:
        return self.value.remedy


def table() -> str:
    """All causes as a Markdown table, for docs/safety.md."""
    rows = ["| cause | what it does | what it means | what to do |", "|---|---|---|---|"]
    rows += [f"| `{c.label}` | {c.effect} | {c.meaning} | {c.remedy} |" for c in Cause]
    return "\n".join(rows) + "\n"
