"""How strict a gate is, on which episodes it judges, and what a registry asks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robolearn import checks
from robolearn.training.seeds import FIRST_SEED, FIRST_TRAINING_SEED, evaluation_seeds

CLEAR = 10_000
"""Seeds after `GateConfig.seed` that no gate uses: those of held-out episodes that people look at."""


@dataclass(frozen=True)
class GateConfig:
    """How strict the gate is.

    Attributes:
        episodes: on which candidate and incumbent are compared, the same for both.
        seed: of these episodes and the battery's; with the hashes of both policies it decides them.
        margin: by how much the candidate's success may be lower, at 95 %, a test of non-inferiority.
        limiter: share of ticks in which the limiter may alter the candidate's requests, if the incumbent's
            is not larger.
        rehearsals: episodes of each perturbation in the safety battery.
        suite_margin: as margin, in each case of the regression suite.
        unsupported: share of the candidate's actions that the logs may leave unsupported, if the incumbent's
            is not larger.
        logged: newest episodes of the store that are used.
        updates: gradient steps of fitted Q evaluation.
        station: a simulated one, where the safety battery takes place.

    Raises:
        InputError: a value out of its range.
    """

    episodes: int = 200
    seed: int = FIRST_SEED
    margin: float = 0.05
    limiter: float = 0.05
    rehearsals: int = 3
    suite_margin: float = 0.1
    unsupported: float = 0.2
    logged: int = 500
    updates: int = 4000
    station: str = "sim"

    def __post_init__(self) -> None:
        for name in ("rehearsals", "logged", "updates"):
            checks.whole(name, getattr(self, name), 1)
        checks.whole("seed", self.seed, 0)
        evaluation_seeds(self.seed + CLEAR, self.episodes)
        evaluation_seeds(self.seed + CLEAR, self.rehearsals)
        for name in ("margin", "limiter", "suite_margin", "unsupported"):
            checks.share(name, getattr(self, name))
        checks.text("station", self.station)

    def first_seed(self, new: str, incumbent: str | None) -> int:
        """Seed of the first episode on which a candidate is judged, given the hashes of both policies.

        It follows from the policies, so that nobody can repeat a gate on other episodes until it opens, and
        other candidates meet other episodes: whoever compares again and again on the same chooses by these.
        """
        first, last = self.seed + CLEAR, FIRST_TRAINING_SEED - max(self.episodes, self.rehearsals)
        digest = hashlib.sha256(f"{self.seed} {new} {incumbent}".encode()).digest()
        return first + int.from_bytes(digest[:8], "big") % (last - first + 1)


SAME = ("episodes", "seed", "rehearsals", "logged", "updates", "station")
"""What a gate tries. Were more allowed, too, one could go on until it opens."""

AT_MOST = ("margin", "limiter", "suite_margin", "unsupported")
"""What it forgives: who passes with less would have passed with more."""


def shortfalls(judged: Mapping[str, Any], asked: GateConfig, suite: str | None) -> list[str]:
    """In what a gate was laxer than a registry asks, or another one; empty if in nothing.

    Args:
        judged: configuration of the gate, as its record has it.
        asked: the registry's.
        suite: hash of the registry's regression suite; None: any suite, or none.
    """
    found = []
    if changes := judged.get("changes"):
        found.append(f"the task was changed ({', '.join(changes)})")
    for name in SAME:
        if (value := judged.get(name)) != getattr(asked, name):
            found.append(f"{name} is {value}, not {getattr(asked, name)}")
    for name in AT_MOST:
        value = judged.get(name)
        if not isinstance(value, int | float) or not value <= getattr(asked, name):
            found.append(f"{name} is {value}, above {getattr(asked, name)}")
    if suite is not None and judged.get("suite") != suite:
        found.append("the registry's regression suite was not used")
    return found
