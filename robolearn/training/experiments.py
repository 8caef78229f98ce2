"""The experiments behind docs/results.md, as data: what is trained, how often, and what it is tried on."""

from __future__ import annotations

from dataclasses import dataclass

EPISODES = 200
"""Held-out episodes of every evaluation."""


@dataclass(frozen=True)
class Trial:
    """One set of held-out episodes.

    Attributes:
        title: what it is, for the table.
        changes: `--set` words of `robolearn evaluate`.
        mean: success that was aimed at, as a mean over training seeds; None if none was.
        worst: success that was aimed at for the worst seed.
        watched: whether the policy's errors of perception are measured, too (`robolearn compare`).
    """

    title: str
    changes: tuple[str, ...] = ()
    mean: float | None = None
    worst: float | None = None
    watched: bool = False


@dataclass(frozen=True)
class Experiment:
    """A training, repeated with several seeds; each seed is a cell.

    Attributes:
        name: of files and of --only.
        tables: which tables of docs/results.md it stands in.
        task: name of the task.
        minutes: wall time of a training [min].
        seeds: training seeds.
        trials: what every trained policy is tried on.
        words: further options of `robolearn train`.
        allowed: wall time within which the success was aimed at [min]; None if it is `minutes`.
    """

    name: str
    tables: tuple[str, ...]
    task: str
    minutes: float
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    words: tuple[str, ...] = ()
    allowed: float | None = None

    @property
    def command(self) -> str:
        """What trains a cell, but for the seed."""
        return " ".join(["robolearn train", self.task, f"--minutes {self.minutes:g}", *self.words])

    @property
    def method(self) -> str:
        """How is learned: "guided" unless `words` say otherwise."""
        return self._word("--method") or "guided"

    @property
    def episodes(self) -> int | None:
        """How many episodes are asked for; None for as many as the time allows."""
        asked = self._word("--learning.episodes")
        return None if asked is None else int(asked)

    def _word(self, option: str) -> str | None:
        return self.words[self.words.index(option) + 1] if option in self.words else None


TABLES = {
    "targets": "Success",
    "parts": "What each part brings",
    "comparison": "End to end against modular",
    "errors": "Where their errors lie",
    "curves": "Both over the number of episodes",
}
"""Tables of success in docs/results.md: name and title. One on the manner of moving follows.

Parts are compared with the experiment that comes first among those of their task, which lacks none.
"""

_GRASP = (
    Trial("grasp, training objects", (), 0.97, 0.93),
    Trial("grasp, held-out objects", ("objects=held-out",), 0.90),
)

_PEG = ("--shape", "trapezoid", "--clearance", "3mm")
_NO_WRIST = ("--observe", "front", "q", "dq", "tau", "gripper")


def _part(name: str, title: str, *words: str) -> Experiment:
    """Grasping in 4 minutes with something changed."""
    return Experiment(f"grasp-{name}", ("parts",), "grasp", 4.0, (0, 1), (Trial(f"grasp, {title}"),), words)


def _peg_part(name: str, title: str, *words: str) -> Experiment:
    """Insertion at 3 mm in 3 minutes with something changed."""
    trials = (Trial(f"3 mm peg, {title}"),)
    return Experiment(f"peg-{name}", ("parts",), "peg-insertion", 3.0, (0, 1), trials, (*_PEG, *words))


CLEARANCES = ("4mm", "3mm", "2mm", "1mm", "0.5mm")
MINUTES = {"clean": 4.0, "rich": 12.0}
"""Of both methods, under each tier of randomisation."""
ENOUGH = 10_000  # episodes that either has collected before the time is over, on two cores that are its own
FEWER = (500, 1000, 2000, 4000, 8000)


def _rival(method: str, tier: str, clearance: str, episodes: int, tables: tuple[str, ...]) -> Experiment:
    """One of a pair that differs in nothing but the method."""
    title = f"trapezoid peg, {clearance.replace('mm', ' mm')}, {tier}, {episodes} episodes"
    words = ("--clearance", clearance, "--randomisation", tier, "--learning.episodes", str(episodes))
    return Experiment(
        f"{method}-{tier}-{clearance}-{episodes}",
        tables,
        "peg-insertion",
        MINUTES[tier],
        (0, 1, 2),
        (Trial(title, watched=True),),
        (*words, *(("--method", method) if method != "guided" else ())),
    )


COMPARISON = (
    *(
        _rival(method, tier, clearance, ENOUGH, ("comparison", "errors"))
        for tier in MINUTES
        for clearance in CLEARANCES
        for method in ("guided", "modular")
    ),
    *(
        _rival(method, "clean", "1mm", episodes, ("curves",))
        for episodes in FEWER
        for method in ("guided", "modular")
    ),
)

EXPERIMENTS = (
    Experiment("grasp", ("targets", "parts"), "grasp", 4.0, (0, 1, 2, 3, 4), _GRASP),
    Experiment(
        "peg-3mm",
        ("targets", "parts"),
        "peg-insertion",
        3.0,
        (0, 1, 2, 3, 4),
        (Trial("trapezoid peg, 3 mm", (), 0.95, 0.90),),
        _PEG,
        allowed=20.0,
    ),
    Experiment(
        "grasp-rich",
        ("targets",),
        "grasp",
        30.0,
        (0, 1, 2),
        (Trial("grasp, rich randomisation", (), 0.85),),
        ("--randomisation", "rich"),
    ),
    Experiment(
        "peg-1mm",
        ("targets",),
        "peg-insertion",
        4.0,
        (0, 1, 2),
        (Trial("trapezoid peg, 1 mm", (), 0.85),),
        ("--shape", "trapezoid", "--clearance", "1mm"),
        allowed=60.0,
    ),
    Experiment(
        "peg-half",
        ("targets",),
        "peg-insertion",
        8.0,
        (0, 1, 2),
        (Trial("trapezoid peg, 0.5 mm", ()), Trial("the same policies at 0.2 mm", ("clearance=0.2mm",))),
        ("--shape", "trapezoid", "--clearance", "0.5mm"),
    ),
    _part("whole", "whole episodes only, no scattered starts", "--learning.scattered", "0"),
    _part("hues", "colours as they are", "--learning.recolour", "0"),
    _part("cloning", "the teacher alone acts", "--learning.demonstrations", "1000000"),
    _part("undisturbed", "nobody is disturbed", "--learning.noise", "0", "--learning.policy-noise", "0"),
    _part("alone", "the policy is never helped", "--learning.teacher-share", "0"),
    _part("no-state", "no predicted state", "--learning.state-weight", "0"),
    _part("no-average", "weights not averaged", "--learning.average", "0"),
    _part("no-wrist", "no wrist camera", *_NO_WRIST),
    _peg_part("whole", "whole episodes only, no scattered starts", "--learning.scattered", "0"),
    _peg_part("no-state", "no predicted state", "--learning.state-weight", "0"),
    _peg_part("no-wrist", "no wrist camera", *_NO_WRIST),
    *COMPARISON,
)
