from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_logs import STATE, small_logs
from small_policies import CHANGES, TASK

from robolearn import cli
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.learner import OnlineLearner
from robolearn.policies.online.methods import METHODS
from robolearn.policies.online.sac import SAC, SACConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.online import train as module
from robolearn.training.online.command import read_words
from robolearn.training.online.config import CollectConfig, OnlineTrainConfig
from robolearn.training.online.curriculum import Curriculum
from robolearn.training.online.problem import learner_of, pose_online, ranges, replay_of
from robolearn.training.online.train import play_wanted, train_online
from robolearn.training.run import kind_of, read_config
from robolearn.training.seeds import FIRST_TRAINING_SEED

SMALL = OnlineConfig(batch=8, hidden=8, quantiles=2, ratio=0.5)
COLLECT = CollectConfig(first=16, capacity=60, watched=2)
PICTURES = ("front", "q", "dq", "gripper")


def asked(**values: Any) -> OnlineTrainConfig:
    """A tiny training from state, in turns: episodes of eight steps, of which the replay holds six."""
    settings: dict[str, Any] = {
        "task": TASK,
        "changes": {**CHANGES, "observe": STATE},
        "method": "sac",
        "data": (),
        "online": SMALL,
        "own": SACConfig(),
        "collect": COLLECT,
        "network": VisuomotorConfig(channels=(4,), hidden=8),
        "steps": 80,
        "synchronous": True,
        **values,
    }
    return OnlineTrainConfig(**settings)


@pytest.fixture(autouse=True)
def threads() -> Any:
    """Trainings set their number for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    assert torch.get_float32_matmul_precision() == "highest"


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_bundle(path).network.state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], value) for name, value in other.items())


def metrics(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


# --- a whole training -----------------------------------------------------------------------------------


def test_what_wandering_comes_upon_does_not_set_the_scale_of_the_state() -> None:
    from robolearn.envs.tasks import task_class
    from robolearn.training.online.problem import PLACES, SCALES, sizes_of

    for task, scale in SCALES.items():
        assert len(scale) == task_class(task).state_size
        far = np.linspace(0.0, 1.0, 101, dtype=np.float32)[:, None] * np.ones(len(scale), np.float32)
        middle, found = sizes_of(task, "state", [far])
        assert found.tolist() == pytest.approx(scale)
        expected = np.zeros(len(scale))
        expected[PLACES[task]] = 0.5
        assert middle.tolist() == pytest.approx(expected.tolist())
    assert sizes_of("grasp", "q", [far])[1].tolist() == pytest.approx([0.25] * len(scale))


def test_a_training_from_state_leaves_an_ordinary_bundle(tmp_path: Path) -> None:
    result = train_online(asked(evaluate=1), tmp_path / "run", command="robolearn train this")
    assert (result.bundle, result.interrupted) == (tmp_path / "run" / "bundle", False)
    bundle = load_bundle(tmp_path / "run")
    assert [channel.name for channel in bundle.contract.proprioception] == list(STATE)
    assert result.evaluation is not None
    assert result.evaluation.summary["episodes"] == 1
    training = bundle.card["training"]
    assert (training["method"], training["steps of the arm"], training["episodes"]) == ("sac", 80, 10)
    assert training["gradient steps"] == (80 - 16) * 0.5
    assert training["collectors"] == "synchronous"
    assert "robolearn train this" in (tmp_path / "run" / "report.html").read_text()
    last = metrics(tmp_path / "run")[-1]
    assert (last["steps"], last["frames"], last["stage"]) == (32, 80, 0)
    assert last["losses"].keys() >= {"critic", "policy", "entropy", "temperature"}
    assert kind_of(tmp_path / "run") == "online"
    assert read_config(tmp_path / "run", OnlineTrainConfig) == asked(evaluate=1)


class Killed(BaseException):
    """As little is done about it as about a kill."""


def test_a_synchronous_run_is_the_same_to_the_bit_interrupted_killed_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT", 0.0)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert not train_online(asked(), whole).interrupted
    update, fatal = SAC.update, {"at": 5, "how": "interrupt"}

    def disturbed(self: SAC, batch: Any) -> dict[str, float]:
        if self.steps == fatal["at"] and fatal["how"] == "kill":
            raise Killed
        if self.steps == fatal["at"]:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, batch)

    monkeypatch.setattr(SAC, "update", disturbed)
    assert train_online(asked(), parts).interrupted
    assert load_bundle(parts).card["training"]["kept"].startswith("the latest weights, of step 6")
    fatal.update(at=21, how="kill")
    monkeypatch.setattr(module, "CHECKPOINT", 1e9)  # only one more, when learning goes on
    with pytest.raises(Killed):
        train_online(asked(), parts, resume=True)
    fatal["how"] = ""
    fatal["at"] = -1
    torch.manual_seed(99)
    assert not train_online(asked(), parts, resume=True).interrupted
    assert equal(weights(parts), weights(whole))
    one, other = (torch.load(path / "checkpoint.pt") for path in (parts, whole))
    assert equal(one["learner"]["critic"], other["learner"]["critic"])
    assert one["batches"] == other["batches"]
    assert torch.equal(one["torch"], other["torch"])
    with pytest.raises(InputError, match="online would change: only minutes, steps, device, collectors and"):
        train_online(asked(online=replace(SMALL, batch=9)), parts, resume=True)


def test_seeds_give_other_policies_and_other_episodes(tmp_path: Path) -> None:
    for seed in (0, 1):
        train_online(asked(seed=seed, steps=24), tmp_path / str(seed))
    assert not equal(weights(tmp_path / "0"), weights(tmp_path / "1"))
    trial = pose_online(asked())
    first = [play_wanted(asked(seed=s), trial, 3, Curriculum(COLLECT), None).spec.seed for s in (0, 1)]
    assert np.diff(first).tolist() == [FIRST_TRAINING_SEED]
    assert FIRST_TRAINING_SEED + 300 < first[0] < 2 * FIRST_TRAINING_SEED  # no scene of most data sets


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_from_pictures_with_critics_that_see_the_state(
    method: str, tmp_path: Path
) -> None:
    kind = METHODS[method]
    data = (small_logs(tmp_path / "store", (*PICTURES, "state")),) if kind.needs_data else ()
    online = replace(kind.beginning, batch=8, hidden=8, critics=2, shaping=0.0, asymmetric=True)
    config = asked(
        method=method,
        data=data,
        online=online,
        own=kind.config_type(),
        changes={**CHANGES, "observe": PICTURES},
        steps=24,
    )
    train_online(config, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    assert [camera.name for camera in bundle.contract.cameras] == ["front"]
    assert [channel.name for channel in bundle.contract.proprioception] == ["q", "dq", "gripper"]
    assert bundle.changes["observe"] == list(PICTURES)
    assert (bundle.card["training"].get("data", [{}])[0].get("episodes") == 4) == bool(data)


def test_learning_that_diverges_keeps_the_policy_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    descend = OnlineLearner.descend

    def diverging(self: OnlineLearner, optimiser: Any, loss: torch.Tensor) -> None:
        descend(self, optimiser, loss * float("inf") if self.steps == 4 else loss)

    monkeypatch.setattr(OnlineLearner, "descend", diverging)
    with pytest.raises(FloatingPointError, match="diverged at step 4"):
        train_online(asked(), tmp_path / "run")
    assert "keeping the best policy so far" in capsys.readouterr().err
    assert load_bundle(tmp_path / "run").card["training"]["gradient steps"] == 4


def test_collectors_work_beside_the_learner_and_a_run_goes_on(tmp_path: Path) -> None:
    path, config = tmp_path / "run", asked(synchronous=False)
    train_online(config, path)
    training = load_bundle(path).card["training"]
    assert training["steps of the arm"] >= 80
    assert training["gradient steps"] >= (80 - 16) * 0.5
    train_online(replace(config, steps=160), path, resume=True)  # its replay is gone: it begins anew
    training = load_bundle(path).card["training"]
    assert training["steps of the arm"] >= 160
    assert training["resumed"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--synchronous"], []])
def test_a_run_goes_on_after_kill_9(words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "run"
    common = (
        "train grasp --method sac --from-state --episode-seconds 0.4 --collect.first 16 --online.batch 8 "
    )
    common += "--online.ratio 0.2 --network.hidden 8 --steps 4000"
    started = [sys.executable, "-m", "robolearn.cli", *common.split(), *words, "--run", str(path)]
    process = subprocess.Popen(started, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (path / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1.0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = torch.load(path / "checkpoint.pt")["tally"]["frames"]
    assert cli.main(["train", "--resume", str(path), "--steps", str(before + 80)]) == 0
    training = load_bundle(path).card["training"]
    assert training["steps of the arm"] >= before + 80
    assert training["resumed"] == 1


# --- what is learned from -------------------------------------------------------------------------------


def test_how_large_everything_is_does_not_hang_on_what_hardly_ever_happens() -> None:
    held = np.zeros((1000, 3), np.float32)
    held[:, 0] = np.linspace(2.0, 4.0, 1000)
    held[7, 1] = 1.0  # once, something was held
    mean, scale = ranges([held[:500], held[500:]])
    assert mean.tolist() == pytest.approx([3.0, 0.5, 0.0])
    assert scale.tolist() == pytest.approx([0.5, 0.25, 1.0])
    assert float(((torch.from_numpy(held) - mean) / scale).abs().max()) == pytest.approx(2.0)


def test_the_box_is_as_wide_as_prior_data_need_and_no_wider_than_the_limiter(tmp_path: Path) -> None:
    from robolearn.training.online.problem import prior_of

    config = asked(
        method="rlpd",
        data=(small_logs(tmp_path / "store"),),
        online=replace(SMALL, quantiles=1, pessimism="lowest", shaping=0.0),
        own=METHODS["rlpd"].config_type(),
        collect=replace(COLLECT, reach=0.01),
    )
    trial = pose_online(config)
    prior, facts = prior_of(config, trial)
    assert prior is not None
    assert (facts[0]["episodes"], facts[0]["steps"], len(prior)) == (4, 32, 32)
    learner = learner_of(config, trial, [prior], torch.device("cpu"))
    most = np.abs(prior.readings(["action"])[:, :-1]).max(0)
    np.testing.assert_allclose(learner.actor.reach, np.maximum(most, trial.reach), rtol=1e-5)
    assert torch.equal(trial.problem.network.action_scale[:-1], learner.actor.reach)
    prior._columns["action"][:, 0] = 1e6
    learner = learner_of(config, trial, [prior], torch.device("cpu"))
    assert float(learner.actor.reach[0]) == pytest.approx(trial.problem.contract.limiter["tau_max"][0])


def test_what_is_asked_of_collectors() -> None:
    config = asked(
        task="peg-insertion",
        changes={"observe": STATE},
        collect=CollectConfig(watched=5, scattered=0.5, backwards=2, clearances=("4mm",), lead=2.0),
    )
    trial = pose_online(config)
    curriculum, acting = Curriculum(config.collect), (7, b"policy")
    plays = [play_wanted(config, trial, number, curriculum, acting) for number in range(200)]
    alone = [play for play in plays if play.alone]
    assert len(alone) == 40
    assert all(not play.spec.scattered and play.lead == 0 for play in alone)
    assert all("clearance" not in play.spec.changes for play in alone)
    scattered = [play for play in plays if play.spec.scattered]
    assert 60 < len(scattered) < 100
    assert {play.spec.steps for play in scattered} == {config.collect.scattered_steps}
    led = [play for play in plays if not play.alone and not play.spec.scattered]
    assert all(32 <= play.lead <= 48 and play.spec.changes["clearance"] == "4mm" for play in led)
    curriculum.number = 3
    assert all(play_wanted(config, trial, n, curriculum, acting).lead == 0 for n in range(20))
    wandering = play_wanted(config, trial, 0, curriculum, None)
    assert (wandering.policy, wandering.alone) == (None, False)


def test_privileged_state_is_collected_where_it_is_needed_and_nowhere_else() -> None:
    pictures = {**CHANGES, "observe": PICTURES}
    for asymmetric, weight, told in ((False, 0.0, False), (True, 0.0, True), (False, 0.1, True)):
        online = replace(SMALL, asymmetric=asymmetric, state_weight=weight)
        trial = pose_online(asked(changes=pictures, online=online))
        assert ("state" in trial.observe) == told
        assert ("state" in trial.problem.collected["observe"]) == told
        assert (trial.problem.network.pose is not None) == (weight > 0)
        assert "state" not in trial.problem.changes["observe"]
    trial = pose_online(asked())
    assert trial.problem.network.pose is None
    assert replay_of(asked(), trial, 60).observe == STATE


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    for values, message in (
        ({"method": "sacc"}, "did you mean 'sac'"),
        ({"data": ("x",)}, "sac learns from its own trials alone"),
        ({"method": "rlpd", "own": METHODS["rlpd"].config_type()}, "give at least one store by --data"),
        ({"own": METHODS["qtopt"].config_type()}, "sac has settings of type SACConfig"),
        ({"collectors": 0}, "collectors is 0"),
        ({"minutes": 0.0}, "minutes is 0"),
        ({"collect": CollectConfig(hindsight=4)}, "grasp has no goal that could have been elsewhere"),
        ({"collect": CollectConfig(clearances=("1mm",))}, "parameter to make narrower in stages 'clearance'"),
    ):
        with pytest.raises(InputError, match=message):
            asked(**values)
    with pytest.raises(InputError, match="there are none"):
        pose_online(asked(online=replace(SMALL, asymmetric=True)))
    with pytest.raises(InputError, match="there is no store"):
        train_online(
            asked(method="rlpd", data=(str(tmp_path / "nowhere"),), own=METHODS["rlpd"].config_type()),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()
    for values in ({"reach": 0.0}, {"scattered": 1.5}, {"backwards": -1}, {"clearances": ("wide",)}):
        with pytest.raises(InputError):
            CollectConfig(**values)  # type: ignore[arg-type]


# --- the command ----------------------------------------------------------------------------------------


def test_words_become_a_configuration() -> None:
    words = "grasp --method sac --from-state --sac.entropy -2 --online.n-step 3 --collect.reach 2 --steps 7 "
    words += "--minutes 3 --seed 2 --evaluate 5 --objects held-out --network.hidden 9 --synchronous"
    config, options = read_words(words.split())
    assert (config.task, config.method, config.data, config.synchronous) == ("grasp", "sac", (), True)
    assert config.changes == {"objects": "held-out", "observe": STATE}
    assert (config.own, config.online.n_step, config.collect.reach) == (SACConfig(entropy=-2.0), 3, 2.0)
    assert (config.network.hidden, config.steps, config.minutes, config.seed) == (9, 7, 3.0, 2)
    assert config.online == replace(SAC.beginning, n_step=3)
    assert not options.json
    pictures, _ = read_words(
        ["peg-insertion", "--method", "rlpd", "--data", "x", "--collect.clearances", "4mm"]
    )
    assert pictures.collect.clearances == ("4mm",)
    assert (pictures.online.critics, pictures.online.batch, pictures.collect.capacity) == (10, 64, 30_000)


def test_a_run_is_trained_and_resumed_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    words = (
        "grasp --method sac --from-state --synchronous --episode-seconds 0.4 --collect.first 16 --steps 24 "
    )
    words += "--online.batch 4 --network.hidden 8 --json --run"
    assert cli.main(["train", *words.split(), str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == str(path / "bundle")
    assert cli.main(["train", "--resume", str(path), "--steps", "40"]) == 0
    assert load_bundle(path).card["training"]["steps of the arm"] == 40
    assert cli.main(["train", "peg-insertion", "--resume", str(path)]) == 2
    assert "trains grasp, not peg-insertion" in capsys.readouterr().err
