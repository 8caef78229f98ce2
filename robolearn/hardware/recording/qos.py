"""Qualities of service as rosbag2 writes them into logs: numbers, in a YAML text (up to metadata version 8).

From version 9 on, rosbag2 writes names instead, which Humble cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from robolearn.errors import InputError

_INFINITE = {"sec": 9223372036, "nsec": 854775807}  # RMW_DURATION_INFINITE
_NAMES = {
    "history": ("system_default", "keep_last", "keep_all", "unknown"),
    "reliability": ("system_default", "reliable", "best_effort", "unknown", "best_available"),
    "durability": ("system_default", "transient_local", "volatile", "unknown", "best_available"),
    "liveliness": ("system_default", "automatic", "", "manual_by_topic", "unknown", "best_available"),
}
"""Names of rmw's policies at their numbers."""


@dataclass(frozen=True)
class Qos:
    """What a publisher offers.

    Attributes:
        reliable: or best effort.
        transient_local: the last messages are kept for subscribers that come late.
        depth: how many are kept.
    """

    reliable: bool = True
    transient_local: bool = False
    depth: int = 10

    @property
    def text(self) -> str:
        """The offered profiles, as metadata of version 8 has them."""
        profile = {
            "history": 1,
            "depth": self.depth,
            "reliability": 1 if self.reliable else 2,
            "durability": 1 if self.transient_local else 2,
            "deadline": dict(_INFINITE),
            "lifespan": dict(_INFINITE),
            "liveliness": 1,
            "liveliness_lease_duration": dict(_INFINITE),
            "avoid_ros_namespace_conventions": False,
        }
        return _dump([profile])


RELIABLE = Qos()


def in_numbers(text: str) -> str:
    """Offered profiles of any version as those of version 8.

    Raises:
        InputError: they are not what rosbag2 writes.
    """
    if not text:
        return ""
    try:
        profiles = yaml.safe_load(text)
        return _dump(
            [{key: _number(key, value) for key, value in profile.items()} for profile in profiles or []]
        )
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"quality of service {text!r} is not what rosbag2 writes: {error}") from error


def _number(key: str, value: Any) -> Any:
    return _NAMES[key].index(value) if key in _NAMES and isinstance(value, str) else value


def _dump(profiles: list[dict[str, Any]]) -> str:
    return yaml.safe_dump(profiles, sort_keys=False).strip() if profiles else ""
