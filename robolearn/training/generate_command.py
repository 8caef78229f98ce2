"""What `robolearn data generate` does, and what it prints."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

import tyro

from robolearn.data.store.manifest import Query, hash_of
from robolearn.data.store.store import Store
from robolearn.training.commands import Changes
from robolearn.training.configuration import parse_changes
from robolearn.training.generating import generate, missing, recipe
from robolearn.training.pool import LocalPool, default_workers
from robolearn.training.progress import progress_of
from robolearn.training.seeds import FIRST_TRAINING_SEED

Task = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]


def run_generate(
    task: Task,
    kind: str,
    to: Path,
    episodes: int = 300,
    seed: int = FIRST_TRAINING_SEED,
    policy: str | None = None,
    state: bool = False,
    changes: Changes = (),
    workers: int | None = None,
    json: bool = False,
) -> int:
    """Fill a store with simulated episodes, and print the hash of what they hold.

    The same command gives the same hash on the same software. Where it was interrupted, it goes on.

    Args:
        task: name of the task.
        kind: who acts: narrow (the teacher), noisy-expert (the teacher with noise), mixed (the teacher with
            more noise and a policy in turns), failure-heavy (the teacher with so much noise that it mostly
            fails) or policy (a policy).
        to: the store; made if there is none.
        episodes: how many the set is to have.
        seed: of the first episode, from 1000000 up; the others follow it.
        policy: for mixed and policy: a bundle's directory, a training run's or a shipped bundle's name.
        state: keep the simulator's privileged state among the observations, too.
        changes: the task's parameters to change, such as clearance=1mm or observe=q,dq,tau,gripper.
        workers: processes that simulate; one a core if not given. The episodes do not depend on it.
        json: print what was done as JSON.
    """
    parsed = parse_changes(task, [word for group in changes for word in group])
    plan = recipe(task, kind, seed, parsed, policy, state)
    count = default_workers() if workers is None else workers
    with LocalPool(count) as pool, Store.open_or_create(to) as store:
        lacking = missing(store, plan, episodes)
        with progress_of(len(lacking)) as progress:
            generate(store, plan, lacking, pool, 2 * count, progress)
        rows = [
            row for row in store.episodes(Query(origin=plan.origin)) if row.seed - seed in range(episodes)
        ]
    successes = sum(row.success for row in rows)
    if json:
        found = {
            "store": str(to),
            "origin": plan.origin,
            "episodes": len(rows),
            "ran": len(lacking),
            "successes": successes,
            "hash": hash_of(rows),
        }
        print(dumps(found, indent=2))
    else:
        print(f"{to}: {len(rows)} episodes {plan.origin}, {len(lacking)} of them now; {successes} succeeded")
        print(f"hash  {hash_of(rows)}")
    return 0
