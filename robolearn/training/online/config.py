"""What is asked of a training by trial and error."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from robolearn import checks
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError, choose
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.methods import METHODS
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.configuration import differing, read_changes
from robolearn.training.offline.config import settings_from
from robolearn.training.online.hindsight import check_hindsight
from robolearn.units import parse_length


@dataclass(frozen=True)
class CollectConfig:
    """How experience is collected.

    Attributes:
        reach: the largest torque that a policy asks of a joint, in torques that disturb the arm noticeably
            within a control step; prior data may widen it.
        first: steps of the arm with random torques, before learning begins.
        capacity: observations that the replay keeps.
        watched: in one of so many episodes the policy acts as the bundle would, from where the task begins;
            by these it is judged.
        scattered: share of the other episodes that begin somewhere on the way, over the goal, moving.
        scattered_steps: steps of those; they are cut off then.
        exploration: standard deviation of a torque that collecting adds, which comes and goes, as a share of
            what disturbs the arm noticeably.
        backwards: stages of a reverse curriculum over distance: the teacher leads the arm, first nearly all
            of the way, then ever less of it, and the policy goes on from there (Florensa et al., CoRL 2017;
            Salimans and Chen, 2018); 0 for none. What the teacher does is not learned from.
        lead: how long the teacher leads at first [s].
        clearances: a curriculum over clearance: what the task's begins with, such as 4mm 2mm, before it is
            what the task says.
        hindsight: times that an episode is learned from again as if it had been meant to come to where it
            came (Andrychowicz et al., NeurIPS 2017), where the task has a goal that could lie elsewhere.

    Raises:
        InputError: a value that nothing can be collected with.
    """

    reach: float = 5.0
    first: int = 2_000
    capacity: int = 300_000
    watched: int = 5
    scattered: float = 0.5
    scattered_steps: int = 60
    exploration: float = 0.0
    backwards: int = 0
    lead: float = 2.5
    clearances: tuple[str, ...] = ()
    hindsight: int = 0

    def __post_init__(self) -> None:
        checks.number("reach", self.reach, above=0.0)
        for name, low in (("first", 1), ("capacity", 2), ("watched", 1), ("scattered_steps", 1)):
            checks.whole(name, getattr(self, name), low)
        for name in ("backwards", "hindsight"):
            checks.whole(name, getattr(self, name), 0)
        checks.share("scattered", self.scattered)
        checks.number("exploration", self.exploration, low=0.0)
        checks.number("lead", self.lead, above=0.0)
        object.__setattr__(self, "clearances", checks.names("clearances", self.clearances))
        for clearance in self.clearances:
            parse_length(clearance)


@dataclass(frozen=True)
class OnlineTrainConfig:
    """Everything that is asked of a training by trial and error.

    Attributes:
        task: name of the task.
        changes: fields of the task's configuration that differ from its defaults, in their plain form.
        method: one of `METHODS`.
        data: stores of prior data.
        online: what all methods share.
        own: the method's own settings.
        collect: how experience is collected.
        network: size of the policy.
        minutes: wall time, from the start of the process until learning stops [min].
        steps: steps of the arm after which learning stops, if it does not before; 0 for time alone.
        synchronous: whether collecting and learning take turns in one process, so that a run can be repeated
            to the bit, interrupted or not.
        seed: of the network, of the episodes and of the batches.
        device: "auto" (a GPU where torch sees one), "cpu", "cuda".
        collectors: processes that simulate, unless synchronous.
        evaluate: held-out episodes at the end; none if 0.
    """

    KIND: ClassVar[str] = "online"
    KEPT: ClassVar[tuple[str, ...]] = (
        "task", "changes", "method", "data", "online", "own", "collect", "network", "synchronous", "seed",
    )  # fmt: skip

    task: str
    changes: dict[str, Any]
    method: str
    data: tuple[str, ...]
    online: OnlineConfig
    own: Any
    collect: CollectConfig
    network: VisuomotorConfig
    minutes: float = 60.0
    steps: int = 0
    synchronous: bool = False
    seed: int = 0
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0

    def __post_init__(self) -> None:
        kind = task_class(self.task).config_type
        asked = kind(**read_changes(self.task, self.changes))
        object.__setattr__(self, "changes", differing(asked))
        object.__setattr__(self, "data", checks.names("data", self.data))
        method = METHODS[choose("method", self.method, METHODS)]
        if method.needs_data and not self.data:
            raise InputError(
                f"{self.method} learns from prior data, too: give at least one store by --data, such as of "
                f"robolearn data generate, or choose sac, which begins with nothing"
            )
        if self.data and not method.needs_data:
            raise InputError(f"{self.method} learns from its own trials alone: choose rlpd, or leave --data")
        if not isinstance(self.own, method.config_type):
            wanted = method.config_type.__name__
            raise InputError(f"{self.method} has settings of type {wanted}, not {self.own!r}")
        if self.collect.clearances:
            choose("parameter to make narrower in stages", "clearance", [f.name for f in fields(kind)])
        check_hindsight(self.task, self.collect.hindsight)
        checks.number("minutes", self.minutes, above=0.0)
        checks.whole("collectors", self.collectors, 1)
        checks.flag("synchronous", self.synchronous)
        for name in ("steps", "seed", "evaluate"):
            checks.whole(name, getattr(self, name), 0)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "changes": checks.json_like("changes", self.changes)}

    @classmethod
    def from_dict(cls, value: object) -> OnlineTrainConfig:
        """Read what `to_dict` gave; raises InputError for anything else."""
        entries = checks.exact_keys("config", value, [f.name for f in fields(cls)])
        method = METHODS[choose("method", checks.text("method", entries["method"]), METHODS)]
        checks.text("task", entries["task"])
        checks.mapping("changes", entries["changes"])
        kinds: dict[str, Any] = {
            "online": OnlineConfig,
            "own": method.config_type,
            "collect": CollectConfig,
            "network": VisuomotorConfig,
        }
        for name, kind in kinds.items():
            entries[name] = settings_from(kind, name, entries[name])
        return cls(**entries)
