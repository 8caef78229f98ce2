"""What is asked of a training from logged episodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from robolearn import checks
from robolearn.envs.tasks import task_class
from robolearn.errors import InputError, choose
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.configuration import differing, read_changes


@dataclass(frozen=True)
class OfflineTrainConfig:
    """Everything that is asked of a training from logged episodes.

    Attributes:
        task: name of the task; episodes of others are left aside.
        changes: fields of the task's configuration that differ from its defaults, in their plain form.
        method: one of `METHODS`.
        data: stores to learn from; each gives an equal share of every batch.
        offline: what all methods share.
        own: the method's own settings.
        network: size of the policy.
        start: bundle whose policy learning starts from, or None.
        steps: gradient steps.
        seed: of the network and of the batches.
        device: "auto" (a GPU where torch sees one), "cpu", "cuda".
        collectors: processes that try the policy out meanwhile, for people to look at; learning does not
            depend on them.
        evaluate: held-out episodes at the end; none if 0.
    """

    KIND: ClassVar[str] = "offline"
    KEPT: ClassVar[tuple[str, ...]] = (
        "task", "changes", "method", "data", "offline", "own", "network", "start", "seed",
    )  # fmt: skip

    task: str
    changes: dict[str, Any]
    method: str
    data: tuple[str, ...]
    offline: OfflineConfig
    own: Any
    network: VisuomotorConfig
    start: str | None = None
    steps: int = 20_000
    seed: int = 0
    device: str = "auto"
    collectors: int = 0
    evaluate: int = 0

    def __post_init__(self) -> None:
        asked = task_class(self.task).config_type(**read_changes(self.task, self.changes))
        object.__setattr__(self, "changes", differing(asked))
        object.__setattr__(self, "data", checks.names("data", self.data))
        choose("method", self.method, METHODS)
        if not self.data:
            raise InputError(f"{self.method} learns from logged episodes: give at least one store by --data")
        if not isinstance(self.own, wanted := METHODS[self.method].config_type):
            raise InputError(f"{self.method} has settings of type {wanted.__name__}, not {self.own!r}")
        if self.start is not None:
            checks.text("start", self.start)
        checks.whole("steps", self.steps, 1)
        for name in ("seed", "collectors", "evaluate"):
            checks.whole(name, getattr(self, name), 0)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "changes": checks.json_like("changes", self.changes)}

    @classmethod
    def from_dict(cls, value: object) -> OfflineTrainConfig:
        """Read what `to_dict` gave; raises InputError for anything else."""
        entries = checks.exact_keys("config", value, [f.name for f in fields(cls)])
        method = choose("method", checks.text("method", entries["method"]), METHODS)
        checks.mapping("changes", checks.text("task", entries["task"]) and entries["changes"])
        kinds = {"offline": OfflineConfig, "own": METHODS[method].config_type, "network": VisuomotorConfig}
        for name, kind in kinds.items():
            entries[name] = settings_from(kind, name, entries[name])
        return cls(**entries)


def settings_from(kind: Any, name: str, value: object) -> Any:
    """Settings of a dataclass of plain values, as JSON gives them back."""
    parts = checks.exact_keys(name, value, [f.name for f in fields(kind)])
    return kind(**{key: tuple(entry) if isinstance(entry, list) else entry for key, entry in parts.items()})
