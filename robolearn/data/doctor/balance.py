"""What a store is made of: outcomes, tasks, policies, origins, and who acted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject

BALANCE = "imbalance"

FEWEST = 20
"""Episodes below which shares say nothing."""

RARE = 0.05
"""A smaller share of successes is hardly any."""

FAIR = 0.2
"""A policy, task or origin with less than this part of an equal share is rare."""

SUCCESSES = 10
"""Fewer successes than this are hardly enough to learn a reward from."""

CUT, HELD = 0.25, 0.1
"""More records without an end, and more actions of the safety monitor, than these shares are worth a word."""


class BalanceSurvey:
    """Counts episodes by task and outcome, by policy and by origin."""

    def __init__(self) -> None:
        self._reasons: dict[str, Counter[str]] = {}
        self._successes: Counter[str] = Counter()
        self._kinds: dict[str, Counter[str]] = {"task": Counter(), "policy": Counter(), "origin": Counter()}
        self._steps = self._held = 0

    def see(self, subject: Subject) -> Iterator[Finding]:
        """Take in an episode."""
        row = subject.row
        self._reasons.setdefault(row.task, Counter())[row.reason] += 1
        self._successes[row.task] += row.success
        for kind, counter in self._kinds.items():
            counter[getattr(row, kind)] += 1
        self._steps += row.steps
        self._held += row.monitor
        return iter(())

    def finish(self) -> Iterator[Finding]:
        """What there is too little of."""
        for task, reasons in self._reasons.items():
            yield from self._of_task(task, reasons)
        total = self._kinds["task"].total()
        for kind, counter in self._kinds.items():
            name, least = min(counter.items(), key=lambda item: item[1], default=("", 0))
            fair = FAIR / max(len(counter), 1)
            if total >= FEWEST and least / total < fair:
                words = ", ".join(f"{_short(key)} {count}" for key, count in counter.most_common(5))
                yield Finding(
                    BALANCE,
                    "note",
                    f"{kind} {_short(name)} has {least} of {total} episodes: {words}"
                    + (f" and {len(counter) - 5} more" if len(counter) > 5 else ""),
                    "weight what is rare (Mixture, set_weights), or collect more of it",
                    value=least / total,
                    bound=fair,
                    channel=kind,
                )
        if self._steps and self._held / self._steps > HELD:
            yield Finding(
                BALANCE,
                "note",
                f"the safety monitor acted in {100 * self._held / self._steps:.0f} % of all steps",
                "see in the logs why it held the arm so often",
                value=self._held / self._steps,
                bound=HELD,
                channel="source",
            )

    def _of_task(self, task: str, reasons: Counter[str]) -> Iterator[Finding]:
        total, won = reasons.total(), self._successes[task]
        share, words = won / total, ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        if won == 0 or (total >= FEWEST and share < RARE):
            yield Finding(
                BALANCE,
                "warning",
                f"{won} of {total} episodes of {task} succeed ({words})",
                "add episodes of a teacher or of a better policy: the reward is success, and it is never seen"
                if won == 0
                else "add episodes of a teacher or of a better policy, and draw successes more often "
                "(Transitions.balance)",
                value=share,
                bound=RARE,
                channel="success",
            )
        elif total >= FEWEST and won < SUCCESSES:
            yield Finding(
                BALANCE,
                "note",
                f"only {won} of {total} episodes of {task} succeed ({words})",
                "draw successes more often (Transitions.balance), and expect wide intervals",
                value=float(won),
                bound=float(SUCCESSES),
                channel="success",
            )
        elif total >= FEWEST and won == total:
            yield Finding(
                BALANCE,
                "note",
                f"all {total} episodes of {task} succeed",
                "enough to imitate; a value that has seen no failure cannot tell good actions from bad ones",
                value=1.0,
                bound=1.0,
                channel="success",
            )
        if reasons["cut"] / total > CUT and total > 1:
            yield Finding(
                BALANCE,
                "warning",
                f"{reasons['cut']} of {total} episodes of {task} are cut off before their end",
                "see why logs end early, or why they have holes: robolearn data import tells of each",
                value=reasons["cut"] / total,
                bound=CUT,
                channel="cut",
            )


def _short(name: str) -> str:
    """A hash in a few letters; a name as it is."""
    return name[:12] if len(name) == 64 else name or "unknown"
