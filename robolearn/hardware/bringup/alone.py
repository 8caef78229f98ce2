"""A deployment without ROS: the same cores in one process, with the same log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from json import dumps

from robolearn.data.episode import Outcome
from robolearn.hardware.bringup.sessions import Session, run_session, run_sessions
from robolearn.hardware.bringup.success import said, summary

TOGETHER = 10
"""Episodes in a log where several processes write logs."""


def run_alone(session: Session, workers: int = 1, json: bool = False) -> int:
    """Run episodes of a policy on a simulated clock, print how they go, and leave the log.

    Args:
        session: all of the episodes.
        workers: processes; with more than one there is a log for every ten episodes, in folders below.
        json: print nothing but the outcomes, as JSON, when all is done.

    Raises:
        InputError: the station does not offer what the policy requires, or the log is there already.
    """
    done: list[tuple[int, Outcome]] = []

    def tell(seed: int, outcome: Outcome) -> None:
        if not json:
            print(f"episode {len(done)}: {outcome.reason} after {outcome.seconds:.1f} s", flush=True)
        done.append((seed, outcome))

    if workers == 1:
        run_session(session, tell)
    else:
        for part, outcomes in run_sessions(_parts(session), workers, run_session):
            for seed, outcome in zip(part.seeds, outcomes, strict=True):
                tell(seed, outcome)
    successes = sum(outcome.success for _, outcome in done)
    if json:
        table = [{"seed": seed, **asdict(outcome)} for seed, outcome in done]
        print(
            dumps({**summary(successes, len(done)), "log": str(session.directory), "table": table}, indent=2)
        )
    else:
        print(said(successes, len(done), session.directory))
    return 0


def _parts(session: Session) -> Sequence[Session]:
    seeds = session.seeds
    firsts = range(0, len(seeds), TOGETHER)
    return [
        replace(session, seeds=seeds[k : k + TOGETHER], directory=session.directory / f"{number:03d}")
        for number, k in enumerate(firsts)
    ]
