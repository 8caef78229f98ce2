"""What a plan hands to whoever reads: which episode of which log, and how its messages are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from robolearn.contract import Contract
from robolearn.data.episode import Source
from robolearn.data.importing.mapping import GripperTopics
from robolearn.hardware.alignment import Wiring
from robolearn.hardware.arm import ArmProfile


@dataclass(frozen=True)
class Topics:
    """Which topic is what; "" where there is none.

    Attributes:
        states: of joint states, the arm's and the gripper's.
        cameras: by topic, the name of the camera.
        requested, filtered, sent: of torques.
        monitor: of the monitor's state.
        gripper: of what the gripper was told, where requests do not say it.
    """

    states: tuple[str, ...]
    cameras: Mapping[str, str]
    requested: str = ""
    filtered: str = ""
    sent: str = ""
    monitor: str = ""
    gripper: str = ""

    @property
    def all(self) -> list[str]:
        """Every topic that is read, each once."""
        single = (self.requested, self.filtered, self.sent, self.monitor, self.gripper)
        return [*dict.fromkeys([*self.states, *self.cameras, *(topic for topic in single if topic)])]


@dataclass(frozen=True)
class Recipe:
    """How an episode's messages are read.

    Attributes:
        contract: what the episode is for.
        wiring: how the wire calls things.
        arm: its profile.
        joint_names: the wire's, in the arm's order: that of torques without names.
        topics: which topic is what.
        source: who chose the actions.
        labelled: whether torques were commanded; False where a person moved the arm by hand.
        ours: our own log: messages count from their arrival, as for the policy, and requests carry the stamp
            of what they came from. Otherwise they count from when they say that they were measured.
        stamps: "header", or "arrival" where what messages say of their time cannot be used.
        offset: from the clock of the stamps to the recorder's [ns].
        gripper: how the gripper's command is found, where requests do not say it.
    """

    contract: Contract
    wiring: Wiring
    arm: ArmProfile = field(repr=False)
    joint_names: tuple[str, ...]
    topics: Topics
    source: Source
    labelled: bool = True
    ours: bool = True
    stamps: str = "header"
    offset: int = 0
    gripper: GripperTopics | None = None

    @property
    def answers(self) -> bool:
        """Whether each request answers an observation, whose stamp it carries."""
        return self.ours and self.source in (Source.POLICY, Source.TEACHER)


@dataclass(frozen=True)
class Span:
    """An episode in a log, as its marks or the mapping tell of it.

    Attributes:
        name: of the episode.
        begin, end: log times [ns].
        task: its name.
        seed: of a simulated one; None where nobody knows.
        policy: the bundle's hash, or who acted in a word.
        outcome: how it ended: "success" and "reason", and what was measured.
        judged_by, notes: of the verdict.
        versions: of the software that made the log.
        setup: the station, JSON-like; empty where the log does not tell.
    """

    name: str
    begin: int
    end: int
    task: str
    seed: int | None
    policy: str
    outcome: Mapping[str, Any]
    judged_by: str = ""
    notes: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    setup: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calibration(self) -> str:
        """Hash of the station's cameras; "" where the log does not tell of them."""
        cameras = self.setup.get("cameras")
        return hashlib.sha256(json.dumps(cameras, sort_keys=True).encode()).hexdigest() if cameras else ""


@dataclass(frozen=True)
class Job:
    """One episode to read.

    Attributes:
        path: of the log.
        origin: its name.
        span: the episode.
        recipe: how to read it.
        blind: spans of log time that cannot be told apart from others, for the clock was set back [ns].
    """

    path: Path
    origin: str
    span: Span
    recipe: Recipe
    blind: tuple[tuple[int, int], ...] = ()

    @property
    def key(self) -> str:
        """A hash of all that decides what comes of it, but for what is in the log's messages."""
        return self._hash(asdict(self.span), self.blind)

    @property
    def beginning(self) -> str:
        """The same without what is known only when the episode is over: half a log ends it elsewhere."""
        span = asdict(self.span)
        for name in ("end", "outcome", "judged_by", "notes"):
            del span[name]
        return self._hash(span, ())

    def _hash(self, span: dict[str, Any], blind: tuple[tuple[int, int], ...]) -> str:
        parts = (self.origin, span, self.recipe.contract.hash, asdict(self.recipe.topics))
        more = (asdict(self.recipe.wiring), self.recipe.source, self.recipe.labelled, self.recipe.stamps)
        gripper = None if self.recipe.gripper is None else asdict(self.recipe.gripper)
        text = json.dumps([parts, more, self.recipe.offset, gripper, blind], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
