from __future__ import annotations

import functools
import json
import math
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_logs import STATE, small_logs
from small_policies import CHANGES, TASK

from robolearn import cli
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.improving.gate_record import Check
from robolearn.policies.bundle import load_bundle
from robolearn.policies.offline.bc import BCConfig
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.iql import IQL, IQLConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.offline import finetune as module
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.finetune import duel, finetune
from robolearn.training.offline.finetune_command import FinetuneOptions, read_words
from robolearn.training.offline.finetune_config import FinetuneConfig
from robolearn.training.offline.guard import better
from robolearn.training.offline.train import train_offline
from robolearn.training.offline.versions import Course, Version
from robolearn.training.run import read_config
from robolearn.training.tally import Clock

SMALL = OfflineConfig(batch=8, hidden=8)


@pytest.fixture(autouse=True)
def threads() -> Any:
    """Trainings set their number for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_logs(tmp_path_factory.mktemp("logs") / "store")


@pytest.fixture(scope="module")
def bundle(logs: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A policy that has learned for two steps."""
    path = tmp_path_factory.mktemp("start") / "run"
    changes = {**CHANGES, "observe": STATE}
    network = VisuomotorConfig(channels=(4,), hidden=8)
    train_offline(
        OfflineTrainConfig(TASK, changes, "iql", (logs,), SMALL, IQLConfig(), network, steps=2), path
    )
    return str(path / "bundle")


def asked(bundle: str, logs: str, **values: Any) -> FinetuneConfig:
    settings: dict[str, Any] = {
        "bundle": bundle,
        "changes": {},
        "method": "iql",
        "data": (logs,),
        "offline": SMALL,
        "own": IQLConfig(),
        "episodes": 8,
        "round": 2,
        "duel": 1,
        "margin": 1.0,
        "warm": 3,
        "steps": 2,
        **values,
    }
    return FinetuneConfig(**settings)


def weights(path: str | Path) -> dict[str, torch.Tensor]:
    return load_bundle(path).network.state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], value) for name, value in other.items())


def course(*scores: tuple[int, int]) -> Course:
    """One whose versions have succeeded so often in so many episodes."""
    versions = [
        Version(number, {}, episodes, successes) for number, (successes, episodes) in enumerate(scores)
    ]
    nobody: Any = None
    return Course(nobody, np.random.default_rng(0), Clock(1.0, 0.0), versions)


# --- judging versions -----------------------------------------------------------------------------------


def test_the_best_is_who_is_most_surely_good() -> None:
    assert course((5, 10), (8, 10), (7, 10)).best.number == 1
    assert course((8, 10), (8, 10)).best.number == 0  # no reason to change
    assert course((16, 20), (5, 5)).best.number == 0  # few episodes prove little
    assert course((0, 10), (0, 0)).best.number == 0
    assert course((1, 10), (0, 0)).acted == course((1, 10)).versions[0]


def test_one_bad_round_is_no_proof_of_having_unlearned_and_a_very_bad_one_is() -> None:
    good, worse, lost = course((8, 10), (5, 10), (1, 10)).versions
    assert not worse.clearly_worse(good)
    assert lost.clearly_worse(good)


def contest(
    scores: list[tuple[int, int]],
    outcomes: dict[int, int],
    suite: str | None = None,
    monkeypatch: pytest.MonkeyPatch | None = None,
) -> tuple[Course, list[tuple[int, ...]]]:
    """A duel over ten scenes, of which each version wins the first so many; and the scenes that were played.

    `suite` is what the regression suite says, if there is one.
    """
    played: list[tuple[int, ...]] = []

    def play(version: Version, seeds: Sequence[int], exploration: float) -> Any:
        assert exploration == 0.0
        played.append(tuple(seeds))
        for number, _ in enumerate(seeds):
            yield SimpleNamespace(outcome=SimpleNamespace(success=number < outcomes[version.number]))

    settings = {"seed": 0, "round": 10, "rounds": 2, "duel": 10, "margin": 0.1}
    settings |= {"suite_margin": 0.2, "collectors": 1}
    rest: dict[str, Any] = {"cases": ["one"] if suite else [], "place": lambda version: version.number}
    stage: Any = SimpleNamespace(config=SimpleNamespace(**settings), play=play, **rest)
    if monkeypatch is not None:

        def check(place: int, cases: Any, margin: float, workers: int) -> Check:
            assert (place, margin) == (1, 0.2)
            assert suite is not None
            return Check("regression suite", suite, True, "what it says")

        monkeypatch.setattr(module, "regressed", check)
    found = course(*scores)
    duel(stage, found)
    return found, played


@pytest.mark.parametrize(
    ("scores", "outcomes", "kept"),
    [
        ([(5, 10), (9, 10)], {0: 3, 1: 9}, 1),
        ([(5, 10), (9, 10)], {0: 3, 1: 3}, 0),  # ten scenes do not show that it is no worse by 0.1
        ([(5, 10), (9, 10)], {0: 4, 1: 3}, 0),  # luck in its round
        ([(9, 10), (5, 10), (8, 10)], {}, 0),  # nobody did better
    ],
)
def test_who_does_not_show_that_it_is_no_worse_than_the_first_on_the_same_scenes_is_not_kept(
    scores: list[tuple[int, int]], outcomes: dict[int, int], kept: int
) -> None:
    found, played = contest(scores, outcomes)
    assert found.kept is found.versions[kept]
    assert "is kept" in found.verdict
    assert found.episodes == (20 if outcomes else 0)
    if outcomes:
        assert played[0] == played[1]  # the same scenes
        assert min(played[0]) >= 1_250_000 + 20  # that nobody has acted on before


@pytest.mark.parametrize("suite", ["passed", "failed"])
def test_who_fails_the_regression_suite_is_not_kept(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = contest([(5, 10), (9, 10)], {0: 3, 1: 9}, suite, monkeypatch)
    assert found.kept is found.versions[1 if suite == "passed" else 0]
    assert f"regression suite {suite}: what it says" in found.verdict
    assert found.contest is not None
    assert found.contest["suite"]["verdict"] == suite


@functools.cache
def verdicts(duel: int, margin: float) -> dict[tuple[int, int], bool]:
    """By how many scenes only the new policy won and only the old one, whether the new one is kept."""
    found = {}
    for won in range(duel + 1):
        for lost in range(duel + 1 - won):
            new = [True] * won + [False] * (duel - won)
            old = [False] * won + [True] * lost + [False] * (duel - won - lost)
            found[won, lost] = better(new, old, margin).verdict == "passed"
    return found


def chance(duel: int, margin: float, won: float, lost: float) -> float:
    """That the new policy is kept, by how likely it alone wins a scene, and the old one alone."""
    total = 0.0
    for (w, k), passed in verdicts(duel, margin).items():
        rest = duel - w - k
        ways = math.comb(duel, w) * math.comb(duel - w, k)
        total += passed * ways * won**w * lost**k * (1.0 - won - lost) ** rest
    return total


def test_a_policy_that_is_worse_by_the_margin_is_seldom_kept_whatever_else_is_true() -> None:
    """What docs/offline-rl.md says of the duel, worked out over all that can happen."""
    options = FinetuneOptions()
    assert (options.duel, options.margin) == (25, 0.1)
    worse = [chance(25, 0.1, won / 100, won / 100 + 0.1) for won in range(0, 45, 3)]
    assert 0.05 < max(worse) < 0.08
    better_by_a_fifth = [chance(25, 0.1, lost + 0.2, lost) for lost in (0.02, 0.05, 0.09)]
    assert min(better_by_a_fifth) > 0.8


# --- a whole fine-tuning --------------------------------------------------------------------------------


def test_a_fine_tuning_spends_its_budget_and_keeps_everything(
    bundle: str, logs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    result = finetune(asked(bundle, logs), path, command="robolearn finetune this")
    assert (result.bundle, result.interrupted) == (path / "bundle", False)
    with Store.open(path / "fresh") as store, Store.open(logs) as old:
        rows = store.episodes()
        assert store.layout == old.layout
    card = load_bundle(path).card
    assert card["training"]["episodes"] == len(rows) == 6  # nobody ever succeeds, so that there is no duel
    assert card["training"]["gradient steps"] == 3 + 2 * 2
    assert len({row.policy for row in rows}) == 3  # one policy a round
    assert "none did better than the bundle's policy" in card["training"]["kept"]
    assert equal(weights(path), weights(bundle))
    assert load_bundle(path).weights_hash in {row.policy for row in rows}
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [line["episodes"] for line in lines] == [2, 4, 6]
    assert lines[-1]["success"] == 0.0
    assert "6/8 episodes: the policy after round 2 (0 of 2)" in capsys.readouterr().err
    page = (path / "report.html").read_text()
    for words in (
        "Success in each round",
        "The bundle&#39;s policy",
        "None did better",
        "<b>6</b><span>of 8",
    ):
        assert words in page, words
    assert "latest 20 whole episodes" not in page  # that is of other trainings
    assert not (path / "snapshots").exists()
    assert read_config(path, FinetuneConfig) == asked(bundle, logs)


def test_the_critics_learn_first_and_the_policy_rests(
    bundle: str, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, moved, judged = weights(bundle), [], []
    update = IQL.update

    def watched(self: IQL, batch: Any) -> dict[str, float]:
        before = self.critic.network[0].weight.detach().clone()
        losses = update(self, batch)
        moved.append(not equal(self.actor.network.state_dict(), start))
        judged.append(not torch.equal(before, self.critic.network[0].weight))
        return losses

    monkeypatch.setattr(IQL, "update", watched)
    finetune(asked(bundle, logs), tmp_path / "run")
    assert moved == 3 * [False] + 4 * [True]
    assert all(judged)


def test_half_of_a_batch_is_from_the_logs_and_half_is_fresh(
    bundle: str, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    draw = module.draw

    def watched(source: Any, *rest: Any) -> Any:
        drawn.append((source.shares.tolist(), [len(part) for part in source.sources]))
        return draw(source, *rest)

    monkeypatch.setattr(module, "draw", watched)
    finetune(asked(bundle, logs), tmp_path / "run")
    steps = 4 * 8
    assert drawn[:3] == 3 * [([1.0], [steps])]
    assert drawn[3:] == 2 * [([0.5, 0.5], [steps, 2 * 8])] + 2 * [([0.5, 0.5], [steps, 4 * 8])]


def test_a_policy_that_has_unlearned_is_given_up(
    bundle: str,
    logs: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Version, "clearly_worse", lambda self, other: self.number == 1)
    finetune(asked(bundle, logs, steps=1, exploration=0.0), tmp_path / "run")
    assert "clearly worse than the bundle's policy (0 of 2): learning goes on" in capsys.readouterr().err
    course_of = json.loads((tmp_path / "run" / "finetuning.json").read_text())
    assert [each["given_up"] for each in course_of["rounds"]] == [False, True, False]
    assert "given up" in (tmp_path / "run" / "report.html").read_text()


def test_the_same_run_gives_the_same_policy_interrupted_or_not(
    bundle: str, logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the latest is the best here, and the duel is lost by nobody: what comes out is what was learned
    monkeypatch.setattr(Course, "best", property(lambda self: self.acted))
    config = asked(bundle, logs)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    finetune(config, whole)
    assert not equal(weights(whole), weights(bundle))
    update = IQL.update

    def interrupted(self: IQL, batch: Any) -> dict[str, float]:
        if self.steps == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, batch)

    monkeypatch.setattr(IQL, "update", interrupted)
    assert finetune(config, parts).interrupted
    assert equal(weights(parts), weights(bundle))  # nobody has shown yet that another is no worse
    monkeypatch.setattr(IQL, "update", update)
    torch.manual_seed(99)
    assert not finetune(config, parts, resume=True).interrupted
    assert equal(weights(parts), weights(whole))
    with Store.open(whole / "fresh") as one, Store.open(parts / "fresh") as other:
        assert [row.content for row in one.episodes()] == [row.content for row in other.episodes()]
    assert load_bundle(whole).card["training"]["episodes"] == 8  # with the duel
    assert "on the same 1 new scenes" in load_bundle(whole).card["training"]["kept"]
    page = (whole / "report.html").read_text()
    for words in ("The policy after round 2", "on 1 new scenes", "Won 0, lost 0", "at least -1.000"):
        assert words in page, words


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "bc", "own": BCConfig()}, "bc learns nothing from success"),
        ({"episodes": 5}, r"two rounds of 2 and a duel of twice 1 take 6: give more"),
        ({"margin": 0.1}, r"duel is 1, and winning it all would not .* by 0.1: give at least 2"),
        ({"margin": 2}, r"margin is 2"),
        ({"data": ()}, "give at least one store"),
        ({"round": 0}, "round is 0"),
        ({"exploration": -1.0}, "exploration is -1.0"),
    ],
)
def test_what_cannot_be_asked_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked("bundle", "logs", **values)


def test_words_become_a_configuration(bundle: str, logs: str) -> None:
    words = f"{bundle} --data {logs} --method cql --cql.calibrated --episodes 60 --round 5 --seed 3 --duel 20"
    words += " --changes randomisation=rich --offline.critics 4"
    config, options = read_words(words.split())
    assert (config.bundle, config.method, config.data) == (bundle, "cql", (logs,))
    assert (config.own.calibrated, config.offline.critics, config.changes) == (
        True,
        4,
        {"randomisation": "rich"},
    )
    assert (config.episodes, config.round, config.rounds, config.seed) == (60, 5, 4, 3)
    assert config.offline.batch == OfflineConfig().batch  # no pictures
    assert options.run is None


def test_a_fine_tuning_is_a_command(
    bundle: str,
    logs: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "run"
    words = f"finetune {bundle} --data {logs} --episodes 6 --round 2 --duel 1 --margin 1 --warm 1 --steps 1"
    assert cli.main([*words.split(), "--offline.batch", "4", "--run", str(path)]) == 0
    assert f"bundle   {path / 'bundle'}" in capsys.readouterr().out
    config, _ = read_words(["--resume", str(path)])
    assert config == replace(read_config(path, FinetuneConfig))
    for bad, message in (
        ("finetune --data x", "which policy is to be fine-tuned?"),
        (f"finetune {bundle}", "give at least one store"),
        ("finetune nobody --data x", "there is no bundle 'nobody'"),
        (f"finetune {bundle} --data nowhere", "there is no store 'nowhere'"),
        (f"finetune elsewhere --resume {path}", "not elsewhere"),
        (f"train --resume {path}", "is a run of the kind 'finetune'"),
    ):
        monkeypatch.chdir(tmp_path)
        assert cli.main(bad.split()) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
    assert cli.main(["finetune", "--help"]) == 0
    assert "BUNDLE" in capsys.readouterr().out
