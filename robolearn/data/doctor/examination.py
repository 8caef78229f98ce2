"""Goes through a store, an episode at a time, and collects what the checks find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from robolearn.data.doctor import frozen, kinematics, timing, torques, values
from robolearn.data.doctor.balance import BALANCE, BalanceSurvey
from robolearn.data.doctor.copies import COPIES, CopySurvey
from robolearn.data.doctor.coverage import COVERAGE, CoverageSurvey
from robolearn.data.doctor.drift import DRIFT, DriftSurvey
from robolearn.data.doctor.finding import SEVERITIES, Finding
from robolearn.data.doctor.lag import LAG, LagSurvey
from robolearn.data.doctor.subject import Subject
from robolearn.data.doctor.tally import Tally
from robolearn.data.store.manifest import EpisodeRow, hash_of
from robolearn.data.store.store import Store
from robolearn.data.store.store_commands import tabulate
from robolearn.errors import InputError

UNREADABLE = "unreadable episode"

EPISODE_CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    values.finite,
    timing.stamps,
    timing.camera_timing,
    timing.log_quality,
    frozen.frozen_pictures,
    frozen.frozen_readings,
    frozen.frozen_gripper,
    values.blank_pictures,
    values.saturated_torque,
    torques.impossible_torques,
    torques.unexplained_torques,
    kinematics.impossible_motion,
    kinematics.speed_reading,
)
"""Each looks at one episode alone."""

CHECKS = {
    UNREADABLE: "every episode can be read",
    values.FINITE: "what was observed and asked for is finite",
    timing.STAMPS: "observations are a control period apart",
    timing.CAMERAS: "the station's cameras deliver as the contract expects",
    timing.LOG: "nothing was wrong with the log that it was imported from",
    LAG: "pictures show motion when the joints make it",
    frozen.PICTURES: "no picture stands still while the arm moves",
    frozen.STALE: "cameras are as fast as the control rate",
    frozen.READINGS: "no reading stands still while another one moves",
    values.BLANK: "pictures show something",
    values.AT_LIMIT: "torques do not stay at their limits",
    torques.TORQUES: "torques are within the contract's limits and rates",
    torques.UNEXPLAINED: "what differs from the request was limited",
    kinematics.MOTION: "joints do not jump, race or leave their range",
    kinematics.SPEED: "dq is the speed of q",
    COPIES: "no two episodes are nearly the same",
    DRIFT: "all episodes are of one contract",
    BALANCE: "successes, tasks, policies and origins are not rare",
    COVERAGE: "what the simulator varies was seen all over its range",
}
"""Every check, and what is so where it finds nothing."""


class Survey(Protocol):
    """Looks at all episodes, one after another, and then says what is wrong with them together."""

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode; what is wrong with it by itself."""

    def finish(self) -> Iterator[Finding]:
        """What is wrong with all of them."""


@dataclass(frozen=True, eq=False)
class Examination:
    """What was found in a store.

    Attributes:
        store: its path.
        hash: of what its episodes hold.
        episodes, steps: how many.
        findings: the worst first, then by check and episode.
        table: episodes by task, policy and end.
        lag: with the correlations of pictures and joints.
        coverage: with the ranges that the simulator varies.
        tally: with histograms.
    """

    store: str
    hash: str
    episodes: int
    steps: int
    findings: list[Finding]
    table: list[dict[str, Any]]
    lag: LagSurvey = field(repr=False)
    coverage: CoverageSurvey = field(repr=False)
    tally: Tally = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def healthy(self, strict: bool = False) -> bool:
        """Whether there is no error, nor, if `strict`, a warning."""
        return not self.counts["error"] and not (strict and self.counts["warning"])

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            "store": self.store,
            "hash": self.hash,
            "episodes": self.episodes,
            "steps": self.steps,
            "counts": self.counts,
            "findings": [asdict(finding) for finding in self.findings],
            "checks": CHECKS,
            "groups": self.table,
            "coverage": [coverage.to_dict() for coverage in self.coverage.ranges],
            "untold": self.coverage.untold,
            "histograms": [histogram.to_dict() for histogram in self.tally.histograms],
            "brightness": {name: each.to_dict() for name, each in self.tally.brightness.items()},
        }


def examine(store: Store, tell: Callable[[int, int], None] = lambda done, errors: None) -> Examination:
    """Look at every episode of a store; one at a time is in memory.

    Args:
        store: open for reading.
        tell: called after each episode with how many are done, and the errors found so far.

    Raises:
        InputError: the store is empty, or its manifest is damaged.
    """
    rows = store.episodes()
    if not rows:
        raise InputError(f"the store {str(store.path)!r} has no episodes: there is nothing to examine")
    lag, coverage, tally = LagSurvey(), CoverageSurvey(), Tally()
    surveys: tuple[Survey, ...] = (
        lag,
        CopySurvey(),
        DriftSurvey(),
        BalanceSurvey(),
        coverage,
        tally,
    )
    findings: list[Finding] = []
    errors = 0
    for done, row in enumerate(rows, 1):
        found = list(_examine_one(store, row, surveys))
        findings += found
        errors += sum(finding.severity == "error" for finding in found)
        tell(done, errors)
    for survey in surveys:
        findings += survey.finish()
    return Examination(
        str(store.path),
        hash_of(rows),
        len(rows),
        sum(row.steps for row in rows),
        in_order(findings),
        tabulate(rows),
        lag,
        coverage,
        tally,
    )


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, then by check, and as they were found."""
    names = list(CHECKS)
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), names.index(f.check)))


def _examine_one(store: Store, row: EpisodeRow, surveys: Iterable[Survey]) -> Iterator[Finding]:
    try:
        subject = Subject(row, store.load(row))
    except InputError as error:
        yield Finding(
            UNREADABLE,
            "error",
            str(error),
            "robolearn data verify says what is damaged; import the episode anew into a new store",
            episode=row.number,
        )
        return
    for check in EPISODE_CHECKS:
        yield from check(subject)
    for survey in surveys:
        yield from survey.see(subject)
