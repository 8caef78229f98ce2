"""What a gate makes of the safety battery: what must not be, and what must not become more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from robolearn.improving.battery import Rehearsal, failings
from robolearn.improving.battery_scenarios import FAULTS, NOT_COMPARED, PERTURBATIONS, Scenario
from robolearn.improving.gate_record import Check
from robolearn.improving.gate_simulation import paired_difference


def battery_check(mine: Sequence[Rehearsal], theirs: Sequence[Rehearsal]) -> Check:
    """Whether the arm stayed safe in every trouble, and nothing shows that the candidate copes worse.

    Args:
        mine: the candidate's rehearsals.
        theirs: the incumbent's, of the same scenarios and seeds.
    """
    scenarios = {scenario.name: scenario for scenario in (*FAULTS, *PERTURBATIONS)}
    wrong = [
        f"{entry.scenario}, seed {entry.seed}: {failing}"
        for entry in mine
        for failing in failings(entry, scenarios[entry.scenario])
    ]
    compared = [s.name for s in PERTURBATIONS if s.name not in NOT_COMPARED]
    pairs = [(a, b) for a, b in zip(mine, theirs, strict=True) if a.scenario in compared]
    success = paired_difference([a.success for a, _ in pairs], [b.success for _, b in pairs])
    stops = paired_difference([bool(a.breaches) for a, _ in pairs], [bool(b.breaches) for _, b in pairs])
    if success["interval"][1] < 0.0:
        wrong.append(f"under perturbations it succeeds less often, by {-success['interval'][1]:.3f} at least")
    if stops["interval"][0] > 0.0:
        wrong.append(f"the monitor stops it more often, by {stops['interval'][0]:.3f} at least")
    figures = {
        "scenarios": [_scenario(s, mine, theirs) for s in scenarios.values() if _of(s, mine)],
        "success": success,
        "stops": stops,
        "failings": wrong,
    }
    words = (
        f"{len(mine)} rehearsals: under perturbations {sum(a.success for a, _ in pairs)} of {len(pairs)} "
        f"succeeded, {sum(b.success for _, b in pairs)} of the incumbent's; the monitor stopped "
        f"{sum(bool(a.breaches) for a, _ in pairs)} and {sum(bool(b.breaches) for _, b in pairs)}"
    )
    if wrong:
        words = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return Check("safety battery", "failed" if wrong else "passed", True, words, figures)


def _scenario(scenario: Scenario, mine: Sequence[Rehearsal], theirs: Sequence[Rehearsal]) -> dict[str, Any]:
    """What a page shows of a scenario."""
    entries, others = _of(scenario, mine), _of(scenario, theirs)
    answered = [entry.answered for entry in entries if entry.answered is not None]
    return {
        "name": scenario.name,
        "about": scenario.about,
        "fault": scenario.is_fault,
        "episodes": len(entries),
        "success": sum(entry.success for entry in entries),
        "incumbent": sum(entry.success for entry in others),
        "stops": dict(Counter(cause for entry in entries for cause in entry.breaches)),
        "answered": max(answered) if answered else None,
        "within": scenario.within if scenario.is_fault else None,
        "excess": max(entry.excess for entry in entries),
        "speed": max(entry.speed for entry in entries),
        "force": max(entry.force for entry in entries),
        "rehearsals": [asdict(entry) for entry in entries],
    }


def _of(scenario: Scenario, rehearsals: Sequence[Rehearsal]) -> list[Rehearsal]:
    return [entry for entry in rehearsals if entry.scenario == scenario.name]
