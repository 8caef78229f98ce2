from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_logs import STATE, STATE_WORDS, small_logs
from small_policies import CHANGES, TASK, save_small
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robolearn import cli
from robolearn.data.store.store import Store
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.improving import gate_logs
from robolearn.policies.bundle import load_bundle
from robolearn.policies.offline.bc import BCConfig
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.iql import IQL, IQLConfig
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.methods import METHODS
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.evaluation import evaluate
from robolearn.training.offline import train as module
from robolearn.training.offline.command import read_words
from robolearn.training.offline.config import OfflineTrainConfig
from robolearn.training.offline.problem import check_logs, gather, learner_of, pose_offline
from robolearn.training.offline.train import train_offline
from robolearn.training.run import kind_of, read_config

PICTURES = ("front", "q", "dq", "gripper")
SMALL = OfflineConfig(batch=8, hidden=8)


def asked(*data: str, **values: Any) -> OfflineTrainConfig:
    """A tiny training from state."""
    settings: dict[str, Any] = {
        "task": TASK,
        "changes": {**CHANGES, "observe": STATE},
        "method": "iql",
        "data": data,
        "offline": SMALL,
        "own": IQLConfig(),
        "network": VisuomotorConfig(channels=(4,), hidden=8),
        "steps": 10,
        **values,
    }
    return OfflineTrainConfig(**settings)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_logs(tmp_path_factory.mktemp("logs") / "store")


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


# --- a whole training -----------------------------------------------------------------------------------


def test_a_training_from_state_leaves_an_ordinary_bundle(logs: str, tmp_path: Path) -> None:
    result = train_offline(asked(logs, evaluate=1), tmp_path / "run", command="robolearn train this")
    assert (result.bundle, result.interrupted) == (tmp_path / "run" / "bundle", False)
    bundle = load_bundle(tmp_path / "run")
    assert [channel.name for channel in bundle.contract.proprioception] == list(STATE)
    assert bundle.contract.cameras == ()
    assert bundle.changes["observe"] == list(STATE)
    assert result.evaluation is not None
    assert result.evaluation.summary["episodes"] == 1
    assert bundle.card["evaluations"] == [result.evaluation.summary]
    training = bundle.card["training"]
    assert (training["method"], training["gradient steps"], training["interrupted"]) == ("iql", 10, "no")
    (fact,) = training["data"]
    assert (fact["store"], fact["episodes"], fact["successes"], fact["steps"]) == (logs, 4, 2, 32)
    with Store.open(logs) as store:
        from robolearn.data.store.manifest import hash_of

        assert fact["hash"] == hash_of(store.episodes())
    assert "robolearn train this" in (tmp_path / "run" / "report.html").read_text()
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["steps"] == 10
    assert rows[-1]["losses"].keys() >= {"value", "critic", "policy"}
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    assert events.Scalars("loss/critic")[-1].step == 10
    assert kind_of(tmp_path / "run") == "offline"
    assert read_config(tmp_path / "run", OfflineTrainConfig) == asked(logs, evaluate=1)
    # the policy is refused where nobody knows the state
    with pytest.raises(InputError, match="channel state"):
        evaluate(tmp_path / "run", 1, changes={"observe": ("q", "dq", "tau", "gripper")}, workers=1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_from_pictures(method: str, tmp_path: Path) -> None:
    data = small_logs(tmp_path / "store", PICTURES)
    own = METHODS[method].config_type()
    config = asked(data, method=method, own=own, changes={**CHANGES, "observe": PICTURES}, steps=3)
    result = train_offline(config, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run")
    assert [camera.name for camera in bundle.contract.cameras] == ["front"]
    assert bundle.network.pose is None
    assert result.report is not None
    env = make(TASK, config.changes)
    observation, _ = env.reset(seed=0)
    assert np.isfinite(bundle.network.act(observation)).all()
    env.close()
    first = pose_offline(config).network  # with the random weights that it began with, but for the seed
    assert first.encoders["front"].convolutions[0].weight.shape == (4, 3, 6, 6)


def test_convolutions_learn_whatever_the_method(tmp_path: Path) -> None:
    data = small_logs(tmp_path / "store", PICTURES)
    for method, kind in METHODS.items():
        config = asked(data, method=method, own=kind.config_type(), changes={**CHANGES, "observe": PICTURES})
        torch.manual_seed(0)
        problem = pose_offline(config)
        found = gather(config, problem)
        learner = learner_of(config, problem, found, torch.device("cpu"))
        convolution = problem.network.encoders["front"].convolutions[0].weight
        before = convolution.detach().clone()
        for _ in range(2):
            learner.update(module.draw(found.source, 8, np.random.default_rng(0), torch.device("cpu")))
        assert not torch.equal(before, convolution.detach()), method


def test_the_same_run_gives_the_same_policy_interrupted_or_not(
    logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert not train_offline(asked(logs), whole).interrupted
    update = IQL.update

    def interrupted(self: IQL, batch: Any) -> dict[str, float]:
        if self.steps == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, batch)

    monkeypatch.setattr(IQL, "update", interrupted)
    assert train_offline(asked(logs), parts, command="first").interrupted
    card = load_bundle(parts).card
    assert card["training"]["gradient steps"] == 6
    assert card["training"]["kept"].startswith("the latest weights, of step 6")
    assert "kept: the latest weights, of step 6" in capsys.readouterr().err
    assert not equal(weights(parts), weights(whole))
    monkeypatch.setattr(IQL, "update", update)
    torch.manual_seed(99)
    assert not train_offline(asked(logs), parts, resume=True).interrupted
    assert equal(weights(parts), weights(whole))
    assert load_bundle(parts).card["command"] == "first"
    with pytest.raises(InputError, match="has taken its 10 steps; --steps gives it more"):
        train_offline(asked(logs), parts, resume=True)
    assert not train_offline(asked(logs, steps=12), parts, resume=True).interrupted
    with pytest.raises(InputError, match=r"offline would change: only steps, device, collectors and"):
        train_offline(asked(logs, offline=replace(SMALL, batch=9)), parts, resume=True)


def test_seeds_give_other_policies(logs: str, tmp_path: Path) -> None:
    for seed in (0, 1):
        train_offline(asked(logs, seed=seed, steps=2), tmp_path / str(seed))
    assert not equal(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_learning_that_diverges_keeps_the_policy_and_says_so(
    logs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    descend = Learner.descend

    def diverging(self: Learner, optimiser: Any, loss: torch.Tensor) -> None:
        descend(self, optimiser, loss * float("inf") if self.steps == 4 else loss)

    monkeypatch.setattr(Learner, "descend", diverging)
    with pytest.raises(FloatingPointError, match="diverged at step 4"):
        train_offline(asked(logs), tmp_path / "run")
    assert "keeping the best policy so far" in capsys.readouterr().err
    assert load_bundle(tmp_path / "run").card["training"]["gradient steps"] == 4


@pytest.mark.slow
def test_the_policy_is_tried_while_it_learns_and_nothing_depends_on_it(logs: str, tmp_path: Path) -> None:
    train_offline(asked(logs, steps=400), tmp_path / "alone")
    train_offline(asked(logs, steps=400, collectors=1), tmp_path / "watched")
    assert equal(weights(tmp_path / "alone"), weights(tmp_path / "watched"))


# --- where it starts, and from what ---------------------------------------------------------------------


def test_a_new_network_is_measured_by_the_data(logs: str) -> None:
    config = asked(logs)
    problem = pose_offline(config)
    learner = learner_of(config, problem, gather(config, problem), torch.device("cpu"))
    with Store.open(logs) as store:
        episodes = [store.load(row) for row in store.episodes()]
    torques = np.concatenate([episode.filtered for episode in episodes]).astype(np.float32)
    q = np.concatenate([episode.observations["q"][:-1] for episode in episodes])
    network, actor = problem.network, learner.actor
    np.testing.assert_allclose(network.action_mean[:-1], torques.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(network.action_scale[:-1], torques.std(0).clip(1e-3), rtol=1e-3)
    assert (float(network.action_mean[-1]), float(network.action_scale[-1])) == (0.0, 1.0)
    np.testing.assert_allclose(network.reading_mean[:7], q.mean(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(actor.middle + actor.reach, torques.max(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(actor.middle - actor.reach, torques.min(0), rtol=1e-4, atol=1e-4)


def test_learning_starts_from_a_bundle_as_it_is(tmp_path: Path) -> None:
    observe = ("front", "wrist", "q", "dq", "tau", "gripper")
    data, bundle = small_logs(tmp_path / "store", observe), tmp_path / "bundle"
    made = save_small(bundle)
    config = asked(data, changes=CHANGES, start=str(bundle), network=made.config, steps=1)
    problem = pose_offline(config)
    learner = learner_of(config, problem, gather(config, problem), torch.device("cpu"))
    assert equal(learner.policy().state_dict(), made.state_dict())
    train_offline(config, tmp_path / "run")
    after = weights(tmp_path / "run")
    measures = [name for name in after if name.endswith(("_mean", "_scale"))]
    assert len(measures) == 6
    assert all(torch.equal(after[name], made.state_dict()[name]) for name in measures)
    assert not equal(after, made.state_dict())
    assert load_bundle(tmp_path / "run").card["training"]["start"] == str(bundle)
    with pytest.raises(InputError, match="acts in grasp, not in peg-insertion"):
        pose_offline(asked(data, task="peg-insertion", changes={}, start=str(bundle)))


def test_several_stores_give_equal_shares(logs: str, tmp_path: Path) -> None:
    other = small_logs(tmp_path / "other", successes=(False,))
    config = asked(logs, other)
    found = gather(config, pose_offline(config))
    assert [fact["episodes"] for fact in found.facts] == [4, 1]
    assert found.source.shares.tolist() == [0.5, 0.5]


def test_filtered_imitation_sees_successes_alone(logs: str, tmp_path: Path) -> None:
    for filtered, episodes in ((False, 4), (True, 2)):
        config = asked(logs, method="bc", own=BCConfig(filtered=filtered))
        (fact,) = gather(config, pose_offline(config)).facts
        assert (fact["episodes"], fact["successes"]) == (episodes, 2)


def test_logs_without_a_success_are_refused_where_there_is_nothing_to_learn(tmp_path: Path) -> None:
    data = small_logs(tmp_path / "store", successes=(False, False))
    config = asked(data)
    with pytest.raises(InputError, match=r"no episode of .* succeeded: iql has nothing to learn from"):
        gather(config, pose_offline(config))
    filtered = asked(data, method="bc", own=BCConfig(filtered=True))
    with pytest.raises(InputError, match="there is nothing to imitate"):
        gather(filtered, pose_offline(filtered))
    train_offline(asked(data, method="bc", own=BCConfig(), steps=1), tmp_path / "run")


def test_episodes_in_which_nobody_commanded_torques_are_not_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `robolearn data import --unlabelled` takes: zeros stand for torques there."""
    place = small_logs(tmp_path / "store")
    with Store.open(place, write=True) as store:
        led = store.load(store.episodes()[0])
        still = np.zeros_like(led.filtered)
        led = replace(led, filtered=still, sent=still, info={**led.info, "torque_labels": False})
        store.add(led, origin="by hand")
        rows = store.episodes()
        assert [row.labelled for row in rows] == 4 * [True] + [False]
        assert rows[:4] == gate_logs.chosen(store, TASK, 100)
    config = asked(place)
    problem = pose_offline(config)
    data = gather(config, problem)
    assert data.facts[0]["episodes"] == 4
    assert not (data.source.batch(200, np.random.default_rng(0)).action[:, :-1] == 0.0).all(1).any()
    assert "in 1 of 5 episodes" in capsys.readouterr().err
    with Store.create(tmp_path / "led") as store:
        store.add(led, origin="by hand")
        with pytest.raises(InputError, match="nobody commanded torques in 1 of 1 episodes"):
            check_logs(store, store.episodes(), problem.contract)
    with pytest.raises(InputError, match="nobody commanded torques in 1 of 1 episodes"):
        gather(asked(str(tmp_path / "led")), problem)


def test_logs_that_lack_something_are_refused_with_every_gap(logs: str, tmp_path: Path) -> None:
    blind = asked(logs, changes={**CHANGES, "observe": ("front", "q", "wrench")})
    with pytest.raises(InputError, match=r"the logs in .* lack what the policy needs: ") as caught:
        gather(blind, pose_offline(blind))
    for gap in ("camera front", "channel wrench"):
        assert gap in str(caught.value)
    ignorant = small_logs(tmp_path / "store", ("q", "dq", "tau", "gripper"))
    config = asked(ignorant)
    with pytest.raises(InputError, match="channel state"):
        gather(config, pose_offline(config))
    coarse = small_logs(tmp_path / "coarse", PICTURES)
    fine = asked(coarse, changes={**CHANGES, "image_size": 32, "observe": PICTURES})
    with pytest.raises(InputError, match="camera front"):
        gather(fine, pose_offline(fine))
    elsewhere = asked(logs, task="peg-insertion", changes={"observe": STATE})
    with pytest.raises(InputError, match="has no episodes of peg-insertion; it holds 4 of grasp"):
        gather(elsewhere, pose_offline(elsewhere))
    with pytest.raises(InputError, match="there is no store"):
        gather(asked(str(tmp_path / "nowhere")), pose_offline(config))
    Store.create(tmp_path / "empty").close()
    with pytest.raises(InputError, match="holds no episodes at all"):
        gather(asked(str(tmp_path / "empty")), pose_offline(config))


def test_what_cannot_be_asked_is_refused(logs: str, tmp_path: Path) -> None:
    for values, message in (
        ({"method": "iqll"}, "did you mean 'iql'"),
        ({"data": ()}, "give at least one store"),
        ({"own": BCConfig()}, "iql has settings of type IQLConfig"),
        ({"steps": 0}, "steps is 0"),
        ({"collectors": -1}, "collectors is -1"),
    ):
        with pytest.raises(InputError, match=message):
            asked(logs, **values)
    for changes, message in (
        ({"action": "pose"}, "what is learned are torques"),
        ({"observe": ("front",)}, "no readings"),
        ({"observe": ("q", "front_depth")}, "unknown observation of a policy 'front_depth'"),
    ):
        with pytest.raises(InputError, match=message):
            pose_offline(asked(logs, changes={**CHANGES, **changes}))


# --- the command ----------------------------------------------------------------------------------------


def test_words_become_a_configuration(logs: str) -> None:
    words = f"grasp --method iql --data {logs} elsewhere --from-state --iql.expectile 0.9 --offline.n-step 3"
    words += " --steps 7 --seed 2 --evaluate 5 --objects held-out --network.hidden 9"
    config, options = read_words(words.split())
    assert (config.task, config.method, config.data) == ("grasp", "iql", (logs, "elsewhere"))
    assert config.changes == {"objects": "held-out", "observe": STATE}
    assert (config.own, config.offline.n_step) == (IQLConfig(expectile=0.9), 3)
    assert (config.network.hidden, config.steps, config.seed, config.evaluate) == (9, 7, 2, 5)
    assert config.offline.batch == OfflineConfig().batch
    assert not options.json
    pictures, _ = read_words(["grasp", "--method", "bc", "--data", logs, "--bc.filtered"])
    assert (pictures.own, pictures.changes, pictures.offline.batch) == (BCConfig(filtered=True), {}, 64)


def test_a_run_is_trained_and_resumed_by_command(
    logs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    words = [*STATE_WORDS, "--method", "iql", "--data", logs, "--offline.batch", "4", "--network.hidden", "8"]
    assert cli.main(["train", *words, "--steps", "3", "--run", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == str(path / "bundle")
    assert cli.main(["train", "--resume", str(path), "--steps", "5"]) == 0
    assert load_bundle(path).card["training"]["gradient steps"] == 5
    assert "robolearn evaluate" in capsys.readouterr().out
    assert cli.main(["train", "peg-insertion", "--resume", str(path)]) == 2
    assert "trains grasp, not peg-insertion" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grasp --method iql", "give at least one store by --data"),
        ("grasp --method iqll --data x", "unknown method 'iqll' (did you mean 'iql'?)"),
        ("grsp --method iql --data x", "did you mean 'grasp'"),
        ("--method iql --data x", "what is to be trained?"),
        ("grasp --method iql --data nowhere --from-state", "there is no store 'nowhere'"),
        ("grasp --method iql --data x --start nobody", "there is no bundle 'nobody'"),
    ],
)
def test_bad_words_are_one_clear_line_and_start_nothing(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *words.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("robolearn: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
