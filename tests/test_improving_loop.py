"""The loop as a whole: what follows from what, who learns from what, and going on after a kill."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from improving import MIDDLE, Here, gate_saying, run, small_bundle, small_config

from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.monitor.promoted import promoted_bundles
from robolearn.hardware.station import load_station
from robolearn.improving import candidate
from robolearn.improving import loop as module
from robolearn.improving.course import Course, read_state
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.registry import Registry
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.training.seeds import FIRST_TRAINING_SEED

LINE = ("grasp", "panda")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("start") / "small")


@pytest.fixture(autouse=True)
def open_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_gate", gate_saying(lambda bundle: "passed"))


@pytest.fixture(scope="module")
def done(start: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A loop of two iterations that nobody disturbed, every candidate promoted."""
    folder = tmp_path_factory.mktemp("done") / "loop"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_gate", gate_saying(lambda bundle: "passed"))
        run(folder, start, small_config(start))
    return folder


def essence(folder: Path) -> list[Any]:
    """All that a loop came to, times and records' names aside."""
    records = read_state(folder)["iterations"]
    for record in records:
        for facts in record.values():
            facts.pop("seconds")
        record.get("gate", {}).pop("record", None)
    with Store.open(folder / "store") as store:
        contents = [(row.content, row.policy, row.seed, row.origin) for row in store.episodes()]
    return [records, contents, Registry(folder / "registry").incumbent(*LINE)]


def test_each_iteration_goes_on_from_the_one_before(done: Path, start: Bundle) -> None:
    first, second, end = read_state(done)["iterations"]
    assert list(first) == ["evaluate", "deploy", "import", "learn", "gate", "promote"]
    assert list(end) == ["evaluate"]
    candidates = [record["learn"]["candidate"] for record in (first, second)]
    policies = [start.weights_hash, *candidates]
    assert len(set(policies)) == 3
    for number, record in enumerate((first, second)):
        assert record["evaluate"]["policy"] == record["deploy"]["policy"] == policies[number]
        assert record["learn"]["from"] == record["gate"]["against"] == policies[number]
        assert record["promote"] == {"promoted": True, "policy": policies[number + 1], "seconds": 0.0} | {
            "seconds": record["promote"]["seconds"]
        }
    assert end["evaluate"]["policy"] == policies[2]
    registry = Registry(done / "registry")
    assert [event.bundle for event in registry.history] == policies
    assert registry.history[0].gate is None
    assert all(event.gate for event in registry.history[1:])


def test_what_was_logged_is_learned_from_and_what_was_held_out_is_not(done: Path) -> None:
    records = read_state(done)["iterations"]
    with Store.open(done / "store") as store:
        rows = store.episodes()
        assert {store.load(row).info["episode"] for row in rows}
    assert [row.policy for row in rows] == [
        record["deploy"]["policy"] for record in records[:2] for _ in range(2)
    ]
    seeds = [row.seed for row in rows]
    assert len(set(seeds)) == 4
    assert min(seeds) >= 1000 * FIRST_TRAINING_SEED
    held_out = [row["seed"] for row in records[0]["evaluate"]["table"]]
    assert max(held_out) < FIRST_TRAINING_SEED
    assert [record["import"]["store"]["episodes"] for record in records[:2]] == [2, 4]
    assert [record["learn"]["data"][0]["episodes"] for record in records[:2]] == [2, 4]
    assert not any((done / "iterations" / "000" / "evaluation").glob("*/"))
    assert all(record["deploy"]["violations"] == 0 for record in records[:2])


def test_the_learner_is_never_told_what_the_arm_is(done: Path) -> None:
    """Neither by the logs nor by the store nor by the training's own files."""
    known = [MIDDLE.sha256, MIDDLE.title, "middle.yaml", str(MIDDLE.joint_friction[0])]
    with Store.open(done / "store") as store:
        for row in store.episodes():
            episode = store.load(row)
            told = json.dumps([episode.info, episode.config, episode.versions, row.quality])
            assert not [word for word in known if word in told]
            assert set(episode.observations) == {"front", "wrist", "q", "dq", "tau", "gripper"}
            assert episode.expert is None
            assert not episode.reward_terms
    config = (done / "iterations" / "000" / "learning" / "config.json").read_text()
    assert not [word for word in known if word in config]


def test_the_monitor_lets_only_what_is_promoted_act(done: Path, start: Bundle) -> None:
    allowed = promoted_bundles(load_station(done / "station.yaml"))
    assert allowed is not None
    last = load_bundle(done / "iterations" / "001" / "learning")
    assert allowed(last.weights_hash, last.contract.hash)
    assert not allowed(start.weights_hash, start.contract.hash)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def test_it_is_the_same_wherever_it_was_killed(
    done: Path, start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a phase's work and the note of it, or right after the note, all along two iterations."""
    note, count = Course.note, 0

    def deadly(self: Course, *words: Any) -> None:
        nonlocal count
        count += 1
        if count % 3 != 1:
            note(self, *words)
        if count % 3 != 0:
            raise Killed

    monkeypatch.setattr(Course, "note", deadly)
    folder, config = tmp_path / "loop", small_config(start)
    for _ in range(100):
        try:
            run(folder, start, config)
            break
        except Killed:
            continue
    assert count >= 19
    assert essence(folder) == essence(done)


def test_nothing_is_left_to_do_where_all_is_done(
    done: Path, start: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (done / "loop.json").read_bytes()
    monkeypatch.setattr(module, "deploy", None)
    run(done, start, small_config(start))
    assert (done / "loop.json").read_bytes() == before


def test_a_candidate_that_fails_the_gate_leaves_the_policy_where_it_is(
    start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    verdicts = iter(["failed", "passed"])
    monkeypatch.setattr(module, "run_gate", gate_saying(lambda bundle: next(verdicts), asked))
    said: list[str] = []
    run(tmp_path / "loop", start, small_config(start), say=said.append)
    first, second, end = read_state(tmp_path / "loop")["iterations"]
    assert (first["promote"]["promoted"], second["promote"]["promoted"]) == (False, True)
    assert second["learn"]["from"] == start.weights_hash
    assert second["evaluate"]["again"]
    assert end["evaluate"]["policy"] == second["learn"]["candidate"]
    assert [entry["incumbent"] for entry in asked] == [start.weights_hash] * 2
    assert asked[0]["data"] == tmp_path / "loop" / "store"
    assert [entry["config"] for entry in asked] == [small_config(start).gate] * 2
    assert any("success failed" in line and "stays" in line for line in said)


def test_a_loop_takes_a_regression_suite_to_every_gate(
    start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "run_gate", gate_saying(lambda bundle: "passed", asked))
    file, folder = tmp_path / "suite.yaml", tmp_path / "loop"
    file.write_text(f"- {{name: as ever, bundle: {start.path}, seed: 0, episodes: 1}}\n")
    config = small_config(start, evaluate=0, suite=str(file), suite_sha256=suite_hash(read_suite(file)))
    run(folder, start, config, iterations=1)
    assert [entry["suite"] for entry in asked] == [file]
    assert Registry(folder / "registry").suite == config.suite_sha256
    file.write_text(f"- {{name: as ever, bundle: {start.path}, seed: 1, episodes: 1}}\n")
    with pytest.raises(InputError, match="has changed"):
        run(folder, start, config, iterations=2)


def test_prior_episodes_are_of_the_training_simulator_as_it_is(
    start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "LocalPool", Here)
    folder, config = tmp_path / "loop", small_config(start, prior=3, evaluate=0)
    run(folder, start, config, iterations=1)
    (record,) = read_state(folder)["iterations"]
    assert [part["episodes"] for part in record["learn"]["data"]] == [2, 3]
    with Store.open(folder / "prior") as store:
        rows = store.episodes()
        for row in rows:
            drawn = store.load(row).info
            assert row.policy == "teacher"
            assert (drawn["mass_scale"], drawn["light_intensity"], drawn["texture"]) == (1.0, 1.0, False)
            assert drawn["torque_gain"] == [1.0] * 7
    with Store.open(folder / "store") as store:
        assert not {row.seed for row in rows} & {row.seed for row in store.episodes()}
    monkeypatch.setattr(candidate, "LocalPool", None)  # they are there: nothing is run for more iterations
    run(folder, start, config, iterations=2)


def test_a_control_learns_the_same_without_the_logs(
    start: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "run_gate", gate_saying(lambda bundle: "passed", asked))
    monkeypatch.setattr(candidate, "LocalPool", Here)
    folder = tmp_path / "loop" / "control"
    run(folder, start, small_config(start, prior=3, control=True), iterations=1)
    first, end = read_state(folder)["iterations"]
    assert list(first) == ["evaluate", "learn", "gate", "promote"]
    assert [part["episodes"] for part in first["learn"]["data"]] == [3]
    assert not (folder / "store").exists()
    assert asked[0]["data"] == folder / "prior"
    assert end["evaluate"]["policy"] == first["learn"]["candidate"]


def test_logs_need_not_stay(done: Path, start: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "loop"
    run(folder, start, small_config(start, evaluate=0), iterations=1, keep_logs=False)
    names = sorted(entry.name for entry in (folder / "iterations" / "000" / "logs").iterdir())
    assert names == ["000-000.json"]
    kept = sorted(entry.name for entry in (done / "iterations" / "000" / "logs").iterdir())
    assert kept == ["000-000", "000-000.json"]


def test_what_a_loop_cannot_do_is_told(start: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no simulated one"):
        run(tmp_path / "a", start, small_config(start, station="panda"))
    with pytest.raises(InputError, match=r"reality 'middle' has SHA-256 .*; the loop was begun with 0000"):
        run(tmp_path / "b", start, small_config(start, reality_sha256="0" * 64))


def test_where_no_episode_can_be_learned_from_it_is_told_why(start: Bundle, tmp_path: Path) -> None:
    """Under the far reality pictures come later than a policy of clean training takes them."""
    far = module.load_reality("far", load_station("sim").arm)
    config = small_config(start, reality="far", reality_sha256=far.sha256, evaluate=0)
    with pytest.raises(
        InputError, match=r"nothing can be learned from any episode that was logged: .*2 times"
    ):
        run(tmp_path / "loop", start, config, iterations=1)


SCRIPT = """
import sys
from pathlib import Path
from improving import gate_saying, run, small_bundle, small_config
from robolearn.improving import loop
from robolearn.improving.course import read_state

if __name__ == "__main__":
    loop.run_gate = gate_saying(lambda bundle: "passed")
    folder = Path(sys.argv[1])
    start = small_bundle(folder / "small")
    workers = int(sys.argv[2])
    config = small_config(start, prior=3, episodes=4)
    run(folder / "loop", start, config, workers=workers, say=lambda line: print(line, flush=True))
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_changes_nothing(tmp_path: Path) -> None:
    """Killed some time after one of the next lines that it says, and begun again with other workers."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}

    def begin(folder: Path, workers: int) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        words = [sys.executable, str(script), str(folder), str(workers)]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    assert begin(tmp_path / "whole", 1).communicate()[0].count("promote:") == 2
    rng, kills = random.Random(0), 0
    while True:
        process = begin(tmp_path / "killed", rng.choice((1, 2)))
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randint(1, 4))]
        if not lines[-1]:  # it had no more to say
            assert process.wait() == 0
            break
        time.sleep(rng.uniform(0.0, 2.0))
        process.kill()
        process.communicate()
        kills += 1
        assert kills < 100
    assert kills >= 5
    assert essence(tmp_path / "killed" / "loop") == essence(tmp_path / "whole" / "loop")
