"""Generated data sets: who acts in them, and that the same recipe gives the same content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from robolearn import cli
from robolearn.data.episode import Source
from robolearn.data.store import Store
from robolearn.data.store.manifest import hash_of
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.training.generating import KINDS, generate, missing, recipe
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec
from robolearn.training.seeds import FIRST_TRAINING_SEED
from tests.small_episodes import quick_folder
from tests.small_policies import CHANGES, TASK, save_small

BLIND = {"observe": ("q", "dq", "tau", "gripper"), "episode_seconds": 0.3}


class Here:
    """A pool that runs episodes in this process, when they are asked for."""

    def __init__(self) -> None:
        self.ran: list[EpisodeSpec] = []
        self._runner = Runner()
        self._waiting: list[EpisodeSpec] = []

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def submit(self, spec: EpisodeSpec) -> None:
        self._waiting.append(spec)

    def ready(self, timeout: float = 0.0) -> list[Any]:
        waiting, self._waiting = self._waiting[::-1], []  # in another order than they were asked for
        self.ran += waiting
        return [(spec, self._runner(spec)) for spec in waiting]

    def close(self) -> None:
        self._runner.close()


@pytest.fixture(scope="module")
def pool() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundles") / "weak"
    save_small(path)
    return str(path)


def test_the_same_recipe_gives_the_same_content(folder: Path, pool: Here):
    hashes = []
    for name, ahead in (("one", 1), ("other", 3)):
        plan = recipe(TASK, "noisy-expert", changes=BLIND)
        with Store.create(folder / name) as store:
            generate(store, plan, range(3), pool, ahead)
            hashes.append(hash_of(store.episodes()))
            assert [row.seed for row in store.episodes()] == [FIRST_TRAINING_SEED + n for n in range(3)]
    assert hashes[0] == hashes[1]
    with Store.create(folder / "third") as store:
        generate(store, recipe(TASK, "failure-heavy", changes=BLIND), range(3), pool)
        assert hash_of(store.episodes()) != hashes[0]


def test_what_is_there_is_not_run_again(folder: Path, pool: Here):
    plan = recipe(TASK, "narrow", changes=BLIND)
    seen = []
    with Store.create(folder / "store") as store:
        generate(store, plan, missing(store, plan, 2), pool)
        pool.ran.clear()
        assert missing(store, plan, 4) == [2, 3]
        generate(store, plan, missing(store, plan, 4), pool, progress=seen.append)
        assert sorted(spec.seed for spec in pool.ran) == [FIRST_TRAINING_SEED + 2, FIRST_TRAINING_SEED + 3]
        assert len(seen) == 2
        assert missing(store, plan, 4) == []
        assert missing(store, recipe(TASK, "noisy-expert", changes=BLIND), 1) == [0]
        assert missing(store, recipe(TASK, "narrow", changes={**BLIND, "count": 2}), 1) == [0]


def test_the_state_is_kept_only_if_asked_for(folder: Path, pool: Here):
    for state in (False, True):
        plan = recipe(TASK, "narrow", changes=BLIND, state=state)
        with Store.create(folder / f"{state}") as store:
            generate(store, plan, [0], pool)
            episode = store.load(store.episodes()[0])
            assert ("state" in episode.observations) == ("observation state" in store.layout) == state
            assert "state" not in {channel.name for channel in episode.contract.proprioception}


def test_teacher_and_policy_take_turns_in_mixed_data(folder: Path, pool: Here, bundle: str):
    plan = recipe(TASK, "mixed", policy=bundle)
    assert plan.changes["image_size"] == CHANGES["image_size"]  # as the policy was trained
    identity = load_bundle(bundle).weights_hash
    with Store.create(folder / "store") as store:
        generate(store, plan, range(3), pool)
        rows = store.episodes()
        assert [row.policy for row in rows] == ["teacher", identity, "teacher"]
        assert {row.origin for row in rows} == {f"generated mixed {TASK} by {identity[:12]}"}
        sources = [set(store.load(row).source.tolist()) for row in rows]
        assert sources == [{Source.TEACHER}, {Source.POLICY}, {Source.TEACHER}]
        explored = [store.load(row).info["exploration"] for row in rows]
        assert explored == [KINDS["mixed"][0].exploration, 0.0, KINDS["mixed"][0].exploration]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "fold"}, "unknown task 'fold'"),
        ({"kind": "bad"}, "unknown kind of data 'bad'"),
        ({"seed": 3}, "seed is 3; choose one from 1000000 up: those below are held out"),
        ({"kind": "mixed"}, "'mixed' needs a policy"),
        ({"policy": "grasp"}, "'narrow' has no policy"),
        ({"kind": "policy", "policy": "nowhere"}, "no bundle 'nowhere'"),
        ({"task": "peg-insertion", "kind": "policy"}, "acts in the task 'grasp', not in 'peg-insertion'"),
        ({"changes": {"observe": ("smell",)}}, "unknown observation 'smell'"),
        ({"changes": {"colour": 1}}, "unknown parameter"),
    ],
)
def test_recipes_that_cannot_be(arguments: dict[str, Any], message: str, bundle: str):
    if arguments.get("kind") == "policy":
        arguments = {"policy": bundle, **arguments}
    with pytest.raises(InputError, match=message):
        recipe(**{"task": TASK, "kind": "narrow", **arguments})


@pytest.mark.slow
def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]):
    words = ["data", "generate", TASK, "--kind", "narrow", "--to", str(folder / "store"), "--workers", "2"]
    words += ["--state", "--set", "observe=q,dq", "episode_seconds=0.3"]
    assert cli.main([*words, "--episodes", "2", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["episodes"], first["ran"]) == (2, 2)
    assert cli.main([*words, "--episodes", "3", "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["episodes"], second["ran"]) == (3, 1)
    assert cli.main([*words, "--episodes", "2", "--json"]) == 0
    third = json.loads(capsys.readouterr().out)
    assert (third["ran"], third["hash"]) == (0, first["hash"])
