from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_policies import CHANGES, TASK, save_small

from robolearn import cli
from robolearn.data.episode import Episode, Outcome
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle, save_bundle
from robolearn.training import commands
from robolearn.training import evaluation as module
from robolearn.training.evaluation import Evaluation, evaluate, save_evaluation, summarise, task_changes
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec

EPISODES = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluation") / "policy"
    save_small(path)
    return path


@pytest.fixture(scope="module")
def result(bundle: Path) -> Evaluation:
    return evaluate(bundle, EPISODES, seed=3, workers=1)


# --- what it runs ---------------------------------------------------------------------------------------


def test_one_row_an_episode_in_the_order_of_the_seeds(result: Evaluation) -> None:
    assert [row["seed"] for row in result.table] == [3, 4, 5, 6]
    steps = round(CHANGES["episode_seconds"] * 20)
    assert {(row["success"], row["reason"], row["steps"]) for row in result.table} == {(False, "time", steps)}
    assert all(row["sampled"].keys() == {"objects", "positions", "yaws", "rests"} for row in result.table)


def test_the_figures_do_not_depend_on_the_number_of_workers(bundle: Path, result: Evaluation) -> None:
    assert evaluate(bundle, EPISODES, seed=3, workers=2).to_json() == result.to_json()


def test_an_episode_alone_is_the_one_among_others(bundle: Path, result: Evaluation) -> None:
    assert evaluate(bundle, 1, seed=5, workers=1).table == result.table[2:3]


def test_it_is_the_policy_that_acts(bundle: Path, result: Evaluation) -> None:
    policy = load_bundle(bundle).network
    episode = result.failures[0]
    for step in (0, 3):
        seen = {name: values[step] for name, values in episode.observations.items()}
        assert episode.requested[step] == pytest.approx(policy.act(seen), abs=1e-4)


def test_changes_are_on_top_of_those_of_training(bundle: Path) -> None:
    changed = evaluate(bundle, 1, changes={"count": 2, "episode_seconds": 0.2}, workers=1)
    assert changed.failures[0].config["image_size"] == CHANGES["image_size"]
    assert len(changed.table[0]["sampled"]["objects"]) == 2
    assert changed.table[0]["steps"] == 4
    assert changed.summary["changes"] == {"count": 2, "episode_seconds": 0.2}


def test_the_state_that_training_saw_is_not_computed(bundle: Path) -> None:
    trained = replace(load_bundle(bundle), changes={"observe": ["front", "q", "state"]})
    assert task_changes(trained, {})["observe"] == ("front", "q")


def test_every_episode_is_told(bundle: Path) -> None:
    told: list[Episode] = []
    evaluate(bundle, 2, workers=1, progress=told.append)
    assert [episode.seed for episode in told] == [100_000, 100_001]  # nothing is tuned on those


# --- what it says ---------------------------------------------------------------------------------------


def row(seed: int, success: bool, **more: Any) -> dict[str, Any]:
    row = {
        "seed": seed,
        "success": success,
        "reason": "success" if success else "time",
        "steps": 20,
        "seconds": 1.0,
    }
    row |= {"peak_force": 10.0, "mean_force": 1.0, "torque_rate": 5.0, "drops": 0, "ticks": 200}
    row |= {"jams": 0, "altered_ticks": 0}
    return {**row, "altered": {"rate": 0, "speed": 0}, "sampled": {}, **more}


def test_the_figures_of_a_table(bundle: Path) -> None:
    table = [
        row(0, True, seconds=2.0, altered={"rate": 30, "speed": 10}, altered_ticks=32, jams=2),
        row(1, True, seconds=3.0, peak_force=40.0),
        row(2, True, seconds=7.0, peak_force=None, mean_force=None),
        row(3, False, reason="dropped", drops=1, seconds=0.5),
    ]
    summary = summarise(table, load_bundle(bundle), {"count": 2}, 0)
    assert summary["success"]["rate"] == 0.75
    assert summary["success"]["interval"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert summary["seconds_to_success"] == {"mean": 4.0, "median": 3.0, "max": 7.0}
    assert summary["peak_force"] == {"mean": 20.0, "median": 10.0, "max": 40.0}
    assert (summary["drops"], summary["jams"]) == (1, 2)
    causes = {"rate": 30 / 800, "speed": 10 / 800}
    assert summary["limiter"] == {"ticks": 800, "share": 32 / 800, "altered": causes}
    assert summary["reasons"] == {"success": 3, "dropped": 1}
    assert summary["command"].endswith("policy --episodes 4 --seed 0 --set count=2")
    assert summary["weights"] == load_bundle(bundle).weights_hash


def test_no_success_and_nothing_measured(bundle: Path) -> None:
    nothing = {"peak_force": None, "mean_force": None, "torque_rate": None, "drops": None, "ticks": None}
    nothing |= {"jams": None, "altered_ticks": None}
    summary = summarise([row(0, False, altered={}, **nothing)], load_bundle(bundle), {}, 0)
    assert summary["seconds_to_success"] is None
    assert summary["peak_force"] is None
    assert summary["limiter"] == {"ticks": 0, "share": 0.0, "altered": {}}
    json.dumps(summary, allow_nan=False)


# --- what it refuses, before anything runs --------------------------------------------------------------


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: Any) -> None:
        raise AssertionError("an episode was run")

    monkeypatch.setattr(module, "open_pool", run)


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"image_size": 48}, ["camera front: requires 24 x 24 pixels", "camera wrist", "offered 48 x 48"]),
        ({"control_rate": 40}, ["control_rate: requires 20 Hz, offered 40 Hz"]),
        ({"arm": "fr3", "filter_rate": 100}, ["arm: requires 'panda', offered 'fr3'", "filter_rate"]),
        ({"observe": ["front", "q"]}, ["camera wrist", "channel dq", "channel tau", "channel gripper"]),
        ({"action": "pose"}, ["action kind: requires torque, offered only pose"]),
        ({"objects": "heldout"}, ["'heldout'", "did you mean 'held-out'"]),
        ({"colour": "red"}, ["unknown parameter of grasp 'colour'"]),
    ],
)
def test_what_the_policy_cannot_run_in(bundle: Path, changes: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(bundle, 1, changes=changes)
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.usefixtures("nothing_runs")
def test_seeds_workers_and_bundles_that_are_none(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not all held out"):
        evaluate(bundle, 10, seed=999_995)
    with pytest.raises(InputError, match="workers is 0"):
        evaluate(bundle, 1, workers=0)
    with pytest.raises(InputError, match="there is no bundle"):
        evaluate(tmp_path / "nothing", 1)
    save_small(tmp_path / "other")
    policy = load_bundle(tmp_path / "other")
    save_bundle(tmp_path / "other", policy.network, policy.contract, "juggle", {}, {})
    with pytest.raises(InputError, match="unknown task 'juggle'"):
        evaluate(tmp_path / "other", 1)


# --- what it leaves -------------------------------------------------------------------------------------


def test_files(result: Evaluation, tmp_path: Path) -> None:
    file = save_evaluation(tmp_path, result)
    assert file == tmp_path / "evaluation.json"
    assert json.loads(file.read_text()) == json.loads(result.to_json())
    strips = sorted(path.name for path in (tmp_path / "evaluation").iterdir())
    assert strips == [*(f"failure-{seed:06d}.png" for seed in (3, 4, 5, 6)), "failures.png"]


def test_changed_evaluations_lie_beside_and_old_strips_go(result: Evaluation, tmp_path: Path) -> None:
    save_evaluation(tmp_path, result)
    success = replace(
        result.failures[0], outcome=Outcome(True, "success", len(result.failures[0]), 0.4, ticks=1)
    )
    save_evaluation(tmp_path, replace(result, failures=[], successes=[success]))
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["success-000003.png"]
    changed = replace(result, summary={**result.summary, "changes": {"objects": "held-out", "arm": "a/b"}})
    assert save_evaluation(tmp_path, changed).name == "evaluation-objects=held-out,arm=a_b.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "evaluation",
        "evaluation-objects=held-out,arm=a_b",
        "evaluation-objects=held-out,arm=a_b.json",
        "evaluation.json",
    ]


def test_figures_of_other_or_more_episodes_stay(tmp_path: Path) -> None:
    def save(first: int, episodes: int, weights: str = "same") -> str:
        summary = {"seed": first, "episodes": episodes, "weights": weights, "changes": {}}
        return save_evaluation(tmp_path, Evaluation(summary, [], [], [])).name

    assert save(100, 200) == "evaluation.json"
    assert save(100, 5) == "evaluation-seeds-100-104.json"
    assert save(0, 200) == "evaluation-seeds-0-199.json"
    assert json.loads((tmp_path / "evaluation.json").read_text())["episodes"] == 200
    assert save(0, 400) == "evaluation.json"  # has them all
    assert save(7, 1, "of a policy trained on") == "evaluation.json"
    (tmp_path / "evaluation.json").write_text("no JSON")
    assert save(7, 1) == "evaluation.json"


# --- on the command line --------------------------------------------------------------------------------


def test_json_is_all_that_stands_on_stdout(
    bundle: Path, result: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(bundle), "--episodes", str(EPISODES), "--seed", "3", "--workers", "1", "--json"]
    assert cli.main(words) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == json.loads(result.to_json())
    assert "4/4 episodes, success 0.000" in shown.err.splitlines()


def test_figures_and_failures_for_people(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(bundle), "--episodes", "2", "--workers", "1", "--set", "count=2", "--set"]
    assert cli.main([*words, "episode_seconds=0.2"]) == 0
    shown, err = capsys.readouterr()
    assert err.splitlines()[-1].startswith("kept     nothing: --out DIR keeps the figures")
    assert "0.000" in shown
    assert "peak wrist force" in shown
    assert "95% interval 0.000 to 0.658" in shown
    assert "2 out of time" in shown
    assert "--set count=2 --set episode_seconds=0.2" in shown.replace("\n", " ")
    assert "failures" in shown


def test_a_run_keeps_its_evaluation_and_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_small(tmp_path / "run" / "bundle", card={"command": "robolearn train grasp"})
    words = ["evaluate", str(tmp_path / "run"), "--episodes", "1", "--workers", "1", "--card"]
    assert cli.main(words) == 0
    assert cli.main(words) == 0
    capsys.readouterr()
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["episodes"] == 1
    assert (tmp_path / "run" / "report.html").is_file()
    card = load_bundle(tmp_path / "run").card
    assert card["command"] == "robolearn train grasp"
    assert [entry["episodes"] for entry in card["evaluations"]] == [1]  # the same one twice is one


@pytest.mark.usefixtures("nothing_runs")
def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["evaluate", str(bundle), "--out", str(tmp_path / "file" / "below")]) == 2
    assert "nothing can be written to" in capsys.readouterr().err


def test_figures_are_shown_before_they_are_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commands, "write_card", full)
    words = ["evaluate", str(bundle), "--episodes", "1", "--workers", "1", "--card", "--out", str(tmp_path)]
    assert cli.main(words) == 1
    shown = capsys.readouterr()
    assert "95% interval" in shown.out
    assert "No space left on device" in shown.err.splitlines()[-1]
    assert (tmp_path / "evaluation.json").is_file()


def test_the_policy_of_a_spec_is_a_bundle(bundle: Path) -> None:
    runner = Runner()
    episode = runner(EpisodeSpec(TASK, CHANGES, 3, str(bundle)))
    runner.close()
    assert episode.outcome.steps == round(CHANGES["episode_seconds"] * 20)


def test_bundles_lists_what_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from robolearn.policies import bundle as bundles

    monkeypatch.setattr(bundles, "SHIPPED", tmp_path)
    assert cli.main(["bundles"]) == 0
    assert "no bundle comes with this robolearn" in capsys.readouterr().out
    success = {"rate": 0.95, "interval": [0.91, 0.97]}
    entry = {"episodes": 200, "success": success, "changes": {"objects": "held-out"}, "command": "x"}
    save_small(tmp_path / "lift", card={"evaluations": [entry]})
    assert cli.main(["bundles", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["task"]) == ("lift", "grasp")
    assert listed["evaluation"] == "0.950 (0.910 to 0.970) over 200 episodes, objects=held-out"
