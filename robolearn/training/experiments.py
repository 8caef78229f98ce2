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
    """

    title: str
    changes: tuple[str, ...] = ()
    mean: float | None = None
    worst: float | None = None


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


TABLES = {
    "targets": "Success",
    "parts": "What each part brings",
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
)
