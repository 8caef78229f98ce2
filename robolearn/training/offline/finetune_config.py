"""What is asked of a fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from robolearn import checks
from robolearn.errors import InputError, choose
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.methods import METHODS
from robolearn.training.offline.config import settings_from
from robolearn.training.offline.guard import check_duel


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything that is asked of a fine-tuning.

    Attributes:
        bundle: whose policy it begins with.
        changes: fields of the task's configuration that differ from what the bundle was trained under.
        method: one of `METHODS`; not bc, which learns nothing from success.
        data: stores of logged episodes.
        offline: what all methods share.
        own: the method's own settings.
        episodes: that may be spent, all in all.
        round: episodes after which the policy changes.
        duel: episodes of each of the two policies at the end, out of the same budget.
        margin: by how much the policy may be worse in the duel, at 95 %; one that did worse is never kept.
        suite: file of a regression suite that the policy has to pass, too; None: there is none. Its episodes
            are not in the budget.
        suite_margin: as margin, in each of its cases.
        warm: gradient steps on the logs alone before the first change, in which only the critics learn.
        steps: gradient steps after each round.
        exploration: torque that the policy adds by itself in its rounds (see `EpisodeSpec.exploration`).
        seed: of the scenes and of the batches.
        device: "auto" (a GPU where torch sees one), "cpu", "cuda".
        collectors: processes that simulate; with 1 it is this one, for acting and learning take turns.
        evaluate: held-out episodes at the end; none if 0. They are not in the budget.
    """

    KIND: ClassVar[str] = "finetune"
    KEPT: ClassVar[tuple[str, ...]] = (
        "bundle", "changes", "method", "data", "offline", "own", "episodes", "round", "duel", "margin",
        "suite", "suite_margin", "warm", "steps", "exploration", "seed",
    )  # fmt: skip

    bundle: str
    changes: dict[str, Any]
    method: str
    data: tuple[str, ...]
    offline: OfflineConfig
    own: Any
    episodes: int = 100
    round: int = 10
    duel: int = 25
    margin: float = 0.1
    suite: str | None = None
    suite_margin: float = 0.1
    warm: int = 2000
    steps: int = 500
    exploration: float = 0.25
    seed: int = 0
    device: str = "auto"
    collectors: int = 1
    evaluate: int = 0

    def __post_init__(self) -> None:
        checks.text("bundle", self.bundle)
        checks.mapping("changes", self.changes)
        if choose("method", self.method, METHODS) == "bc":
            raise InputError("bc learns nothing from success: choose td3bc, awac, iql or cql to fine-tune")
        object.__setattr__(self, "data", checks.names("data", self.data))
        if not self.data:
            raise InputError(
                "fine-tuning learns from logged episodes, too: give at least one store by --data"
            )
        for name in ("round", "duel", "steps", "collectors"):
            checks.whole(name, getattr(self, name), 1)
        for name in ("warm", "seed", "evaluate"):
            checks.whole(name, getattr(self, name), 0)
        checks.number("exploration", self.exploration, low=0.0)
        for name in ("margin", "suite_margin"):
            checks.share(name, getattr(self, name))
        if self.suite is not None:
            checks.text("suite", self.suite)
        check_duel(self.duel, self.margin)
        least = 2 * self.round + 2 * self.duel
        if checks.whole("episodes", self.episodes, 1) < least:
            raise InputError(
                f"episodes is {self.episodes}; two rounds of {self.round} and a duel of twice {self.duel} "
                f"take {least}: give more, or make these smaller"
            )

    @property
    def rounds(self) -> int:
        """How many rounds the budget has, with the duel left over."""
        return (self.episodes - 2 * self.duel) // self.round

    @property
    def total(self) -> int:
        """Gradient steps of all: after each round but the last."""
        return self.warm + self.steps * (self.rounds - 1)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "changes": checks.json_like("changes", self.changes)}

    @classmethod
    def from_dict(cls, value: object) -> FinetuneConfig:
        """Read what `to_dict` gave; raises InputError for anything else."""
        entries = checks.exact_keys("config", value, [f.name for f in fields(cls)])
        method = choose("method", checks.text("method", entries["method"]), METHODS)
        for name, kind in (("offline", OfflineConfig), ("own", METHODS[method].config_type)):
            entries[name] = settings_from(kind, name, entries[name])
        return cls(**entries)
