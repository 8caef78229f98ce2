"""What some records say in words: the texts inside diagnostics, headers and strings.

Free of ROS and of serialisation, so that nodes with genuine messages and logs share them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.hardware.wire import EpisodeMark, Heartbeat, MonitorStatus

LEVELS = {"passing": 0, "holding": 1, "stopped": 2}
"""diagnostic_msgs/DiagnosticStatus' OK, WARN and ERROR for the monitor's modes."""

MONITOR_NAME = "robolearn: safety monitor"
"""DiagnosticStatus.name of the monitor's state."""


def status_summary(status: MonitorStatus) -> str:
    """One line for people (DiagnosticStatus.message)."""
    causes = f": {', '.join(status.causes)}" if status.causes else ""
    return f"{status.mode}, {status.authority}{causes}"


def status_pairs(status: MonitorStatus) -> list[tuple[str, str]]:
    """Keys and values of the diagnostics: mode, authority, scale, each cause, each count."""
    return [
        ("mode", status.mode),
        ("authority", status.authority),
        ("scale", repr(float(status.scale))),
        *(("cause", cause) for cause in status.causes),
        *((f"count {cause}", str(count)) for cause, count in status.counts.items()),
    ]


def status_from_pairs(stamp: int, pairs: Iterable[tuple[str, str]]) -> MonitorStatus:
    """The monitor's state from the keys and values of its diagnostics.

    Raises:
        InputError: a key is missing or a value is not what it must be.
    """
    pairs = list(pairs)
    single = dict(pairs)
    try:
        return MonitorStatus(
            stamp=stamp,
            mode=choose("mode of the monitor", single["mode"], LEVELS),
            authority=single["authority"],
            causes=tuple(value for key, value in pairs if key == "cause"),
            counts={key[len("count ") :]: int(value) for key, value in pairs if key.startswith("count ")},
            scale=float(single["scale"]),
        )
    except KeyError as error:
        raise InputError(f"diagnostics of the monitor lack {error}; they have {sorted(single)}") from error
    except ValueError as error:
        raise InputError(f"diagnostics of the monitor: {error}") from error


def mark_text(mark: EpisodeMark) -> str:
    """An episode's mark as JSON.

    Raises:
        InputError: the body holds what JSON cannot say, or the mark could not be read back.
    """
    data = {"stamp": mark.stamp, "kind": mark.kind, "episode": mark.episode, "body": mark.body}
    try:
        text = json.dumps(data, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"body of the mark of episode {mark.episode!r} is not JSON-like: {error}") from error
    mark_from_text(text)
    return text


def mark_from_text(text: str) -> EpisodeMark:
    """The mark that `mark_text` wrote.

    Raises:
        InputError: the text is none.
    """
    thing = "an episode's mark"
    data = checks.exact_keys(thing, checks.parse_json(thing, text), ("stamp", "kind", "episode", "body"))
    return EpisodeMark(
        stamp=checks.whole(f"stamp of {thing}", data["stamp"], 0),
        kind=choose(f"kind of {thing}", data["kind"], ("begin", "end")),
        episode=checks.text(f"name of {thing}", data["episode"]),
        body=checks.mapping(f"body of {thing}", data["body"]),
    )


def heartbeat_text(beat: Heartbeat) -> str:
    """Who is alive, as JSON (Header.frame_id)."""
    return json.dumps(
        {"sender": beat.sender, "bundle": beat.bundle, "contract": beat.contract}, ensure_ascii=False
    )


def heartbeat_from_text(stamp: int, text: str) -> Heartbeat:
    """The heartbeat that `heartbeat_text` wrote.

    Raises:
        InputError: the text is none.
    """
    thing = "a heartbeat"
    data = checks.exact_keys(thing, checks.parse_json(thing, text), ("sender", "bundle", "contract"))
    if wrong := [key for key, value in data.items() if not isinstance(value, str)]:
        raise InputError(f"{wrong[0]} of {thing} is {data[wrong[0]]!r}; it must be a text")
    return Heartbeat(stamp, data["sender"], data["bundle"], data["contract"])
