"""Data sets out of simulation: episodes of whoever acts well, badly or now so and now so, known by a hash.

What a set holds follows from its recipe and its seeds, on the same software: the same command gives episodes
of the same content. So a benchmark can be frozen by one hash, and whoever generates it again sees whether it
is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.data.store.manifest import Query
from robolearn.data.store.store import Store
from robolearn.envs.tasks import make, task_class
from robolearn.errors import InputError, choose
from robolearn.policies.bundle import load_bundle
from robolearn.training.evaluation import check_offer, task_changes
from robolearn.training.pool import Pool, map_episodes
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.seeds import FIRST_TRAINING_SEED

TOGETHER = 10  # episodes that are committed in one go


@dataclass(frozen=True)
class Behaviour:
    """Who acts in an episode: a policy or the teacher, and the torque that it adds to explore.

    `exploration` is a share of `ManipulationEnv.noise_torque`.
    """

    policy: bool = False
    exploration: float = 0.0


KINDS = {
    "narrow": (Behaviour(),),
    "noisy-expert": (Behaviour(exploration=0.5),),
    "mixed": (Behaviour(exploration=1.0), Behaviour(policy=True)),
    "failure-heavy": (Behaviour(exploration=2.5),),
    "policy": (Behaviour(policy=True),),
}
"""Behaviours of each kind of set, taking turns from episode to episode."""


@dataclass(frozen=True)
class Recipe:
    """What decides a set, the number of its episodes aside.

    Attributes:
        task: its name.
        kind: one of `KINDS`.
        seed: of the first episode; the others follow it.
        changes: fields of the task's configuration that differ from its defaults.
        origin: what the store calls the origin of the episodes: the same recipe goes on with the same set.
        policy: directory of a bundle, for the kinds with a policy.
        identity: of that policy: hash of its weights.
    """

    task: str
    kind: str
    seed: int
    changes: Mapping[str, Any]
    origin: str
    policy: str | None = None
    identity: str = ""

    def episode(self, number: int) -> tuple[EpisodeSpec, str]:
        """The specification of an episode, and who acts in it, as the store calls it."""
        behaviours = KINDS[self.kind]
        behaviour = behaviours[number % len(behaviours)]
        spec = EpisodeSpec(
            self.task,
            dict(self.changes),
            self.seed + number,
            self.policy if behaviour.policy else None,
            exploration=behaviour.exploration,
        )
        return spec, self.identity if behaviour.policy else "teacher"


def recipe(
    task: str,
    kind: str,
    seed: int = FIRST_TRAINING_SEED,
    changes: Mapping[str, Any] | None = None,
    policy: str | None = None,
    state: bool = False,
) -> Recipe:
    """A recipe that was looked at before anything runs.

    Args:
        task, kind, seed, policy: as in `Recipe`.
        changes: fields of the task's configuration; a policy brings those of its own training.
        state: whether to observe the simulator's privileged state, too.

    Raises:
        InputError: an unknown task or kind, changes that the task does not take, a seed that is held out for
            evaluation, a policy where none acts or none where one does, or one that does not fit the task.
    """
    observed = task_class(task).config_type().observe
    choose("kind of data", kind, KINDS)
    if checks.whole("seed", seed, 0) < FIRST_TRAINING_SEED:
        raise InputError(
            f"seed is {seed}; choose one from {FIRST_TRAINING_SEED} up: those below are held out"
        )
    acts = any(behaviour.policy for behaviour in KINDS[kind])
    if acts != (policy is not None):
        wanted = "needs a policy that acts: give a bundle" if acts else "has no policy that acts: give none"
        raise InputError(f"data of kind {kind!r} {wanted}")
    merged, identity, place = dict(changes or {}), "", None
    origin = [f"generated {kind} {task}", *(["with state"] if state else [])]
    if merged:
        origin.append(json.dumps(checks.json_like("changes", merged), sort_keys=True))
    if policy is not None:
        bundle = load_bundle(policy)
        if bundle.task != task:
            raise InputError(f"bundle {policy!r} acts in the task {bundle.task!r}, not in {task!r}")
        merged = task_changes(bundle, merged)
        check_offer(bundle.contract, task, merged)
        identity, place = bundle.weights_hash, str(bundle.path)
        origin.append(f"by {identity[:12]}")
    observed = tuple(merged.get("observe", observed))
    if state and "state" not in observed:
        merged["observe"] = (*observed, "state")
    make(task, merged).close()
    return Recipe(task, kind, seed, merged, " ".join(origin), place, identity)


def missing(store: Store, recipe: Recipe, episodes: int) -> list[int]:
    """Which of the first episodes of a recipe a store lacks, by number from 0."""
    there = {row.seed for row in store.episodes(Query(origin=recipe.origin))}
    return [n for n in range(checks.whole("episodes", episodes, 1)) if recipe.seed + n not in there]


def generate(
    store: Store,
    recipe: Recipe,
    numbers: Sequence[int],
    pool: Pool,
    ahead: int = 4,
    progress: Callable[[Episode], None] = lambda episode: None,
) -> None:
    """Run episodes of a recipe and add them to a store, in this order.

    Args:
        store: open for adding.
        recipe: what to run.
        numbers: which, from 0 up.
        pool: runs them.
        ahead: how many the pool is asked for at a time.
        progress: called with every episode that was added.
    """
    plans = [recipe.episode(number) for number in numbers]
    running = zip(map_episodes(pool, [spec for spec, _ in plans], ahead), plans, strict=True)
    while part := _some(running):
        with store.group():
            for episode, actor in part:
                store.add(episode, origin=recipe.origin, policy=actor)
        for episode, _ in part:
            progress(episode)


def _some(running: Iterator[tuple[Episode, tuple[EpisodeSpec, str]]]) -> list[tuple[Episode, str]]:
    return [(episode, actor) for episode, (_, actor) in islice(running, TOGETHER)]
