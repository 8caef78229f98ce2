"""Findings of one kind taken together: a fault of a sensor shows in many episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robolearn.data.doctor.finding import Finding, Severity


@dataclass(frozen=True)
class Group:
    """Findings of one check, severity and channel, in the order in which they came."""

    findings: tuple[Finding, ...]

    @property
    def check(self) -> str:
        """The check."""
        return self.findings[0].check

    @property
    def severity(self) -> Severity:
        """How bad they are."""
        return self.findings[0].severity

    @property
    def channel(self) -> str:
        """Where they were found."""
        return self.findings[0].channel

    @property
    def worst(self) -> Finding:
        """The one farthest beyond its bound; the first where they are alike."""
        return max(self.findings, key=_excess)

    @property
    def episodes(self) -> list[int]:
        """Numbers of the episodes."""
        return list(dict.fromkeys(f.episode for f in self.findings if f.episode is not None))

    @property
    def many(self) -> int:
        """How many episodes."""
        return len(self.episodes)


def groups_of(findings: Iterable[Finding]) -> list[Group]:
    """Findings by severity, check and channel, in the order in which each kind comes first."""
    found: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.severity, finding.check, finding.channel), []).append(finding)
    return [Group(tuple(group)) for group in found.values()]


def _excess(finding: Finding) -> float:
    """How far a value is from its bound."""
    if finding.value is None or finding.bound is None:
        return 0.0
    return abs(finding.value - finding.bound)
