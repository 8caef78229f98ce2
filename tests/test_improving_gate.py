from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_policies import TASK, save_small, small_contract, small_network

from robolearn import cli
from robolearn.data.store.store import Store
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.hardware.station import load_station
from robolearn.improving import battery, gate, gate_command, gate_logs
from robolearn.improving.battery import Rehearsal
from robolearn.improving.battery_check import battery_check
from robolearn.improving.battery_scenarios import FAULTS, PERTURBATIONS
from robolearn.improving.gate import run_gate
from robolearn.improving.gate_config import GateConfig
from robolearn.improving.gate_record import Check, GateRecord
from robolearn.improving.gate_simulation import contract_check, limiter_check, same_task, success_check
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.registry import Registry
from robolearn.policies.bundle import Bundle, load_bundle, save_bundle
from robolearn.policies.evaluation.behaviour import BehaviourConfig, fit_behaviour
from robolearn.policies.evaluation.fqe import FQEConfig
from robolearn.training.rollout import EpisodeSpec, run_episode

CHANGES: dict[str, Any] = {"image_size": 24, "episode_seconds": 1.0}
QUICK = GateConfig(episodes=2, rehearsals=1, updates=20, seed=200_000)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained policies: "new" and "old"; "gentle" asks for next to nothing."""
    folder = tmp_path_factory.mktemp("shelf")
    contract = small_contract(**CHANGES)
    for seed, name in enumerate(("new", "old", "gentle")):
        network = small_network(contract, seed)
        network.action_scale[:-1] *= 0.0 if name == "gentle" else 0.5
        network.action_mean[:-1] *= 0.0 if name == "gentle" else 1.0
        save_bundle(folder / name, network, contract, TASK, CHANGES, {})
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, shelf: Path) -> Path:
    """16 short episodes of the old policy; every other one is called a success."""
    path = tmp_path_factory.mktemp("data") / "store"
    old = load_bundle(shelf / "old").network
    env = make(TASK, CHANGES)
    with Store.create(path) as made, made.group():
        for seed in range(16):
            episode = run_episode(env, EpisodeSpec(TASK, CHANGES, seed, "old", noise=1.0), old)
            reason = "success" if seed % 2 else "time"
            outcome = replace(episode.outcome, success=bool(seed % 2), reason=reason)
            made.add(replace(episode, outcome=outcome), origin="test")
    env.close()
    return path


@pytest.fixture(autouse=True)
def quick_behaviour(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = BehaviourConfig(updates=300)
    monkeypatch.setattr(gate_logs, "fit_behaviour", lambda logged: fit_behaviour(logged, quick))


def bundles(shelf: Path, *names: str) -> list[Bundle]:
    return [load_bundle(shelf / name) for name in names]


def table(successes: Sequence[bool], altered: int = 0) -> list[dict[str, Any]]:
    return [{"success": bool(s), "altered_ticks": altered, "ticks": 100} for s in successes]


# success


@pytest.mark.parametrize(
    ("won", "lost", "pairs", "passed"),
    [
        (0, 0, 200, True),  # alike in every episode
        (40, 10, 200, True),
        (10, 10, 200, True),
        (10, 20, 200, False),  # 5 % worse, at 95 % up to 9 %
        (0, 0, 10, False),  # ten episodes say little: 13 % worse would be no surprise
        (8, 0, 10, True),
    ],
)
def test_success_may_not_be_lower_by_more_than_the_margin_at_95_percent(
    won: int, lost: int, pairs: int, passed: bool
) -> None:
    mine = [True] * won + [False] * lost + [True] * (pairs - won - lost)
    theirs = [False] * won + [True] * lost + [True] * (pairs - won - lost)
    check = success_check((table(mine), table(theirs)), margin=0.05)
    assert check.verdict == ("passed" if passed else "failed")
    assert check.required
    assert (check.figures["won"], check.figures["lost"]) == (won, lost)
    assert check.figures["difference"] == pytest.approx((won - lost) / pairs)
    assert (check.figures["interval"][0] >= -0.05) is passed


def test_candidates_that_are_worse_by_the_margin_pass_no_more_often_than_five_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(400):
        theirs = rng.random(200) < 0.85
        mine = np.where(theirs, rng.random(200) < 0.80 / 0.85 * 0.97, rng.random(200) < 0.16)
        assert abs(0.85 * 0.80 / 0.85 * 0.97 + 0.15 * 0.16 - 0.80) < 1e-9
        check = success_check((table(list(mine)), table(list(theirs))), margin=0.05)
        passed += check.verdict == "passed"
    assert passed <= 0.05 * 400 + 2.3 * np.sqrt(0.05 * 0.95 * 400)  # and what chance leaves at 99 %


def test_the_limiter_may_work_a_little_or_no_more_than_for_the_incumbent() -> None:
    for mine, theirs, verdict in ((4, 0, "passed"), (6, 0, "failed"), (6, 7, "passed")):
        check = limiter_check((table([True], mine), table([True], theirs)), most=0.05)
        assert check.verdict == verdict, (mine, theirs)


def test_the_incumbent_meets_the_very_task_of_the_candidate_with_its_own_eyes(shelf: Path) -> None:
    new, old = bundles(shelf, "new", "old")
    new = replace(new, changes={"image_size": 24, "episode_seconds": 2.0})
    old = replace(old, changes={"image_size": 32, "objects": "held-out"})
    found = same_task(new, old, {"randomisation": "rich"})
    assert found["episode_seconds"] == 2.0
    assert found["objects"] != "held-out"
    assert found["randomisation"] == "rich"
    assert "image_size" not in found


# contract


def test_a_contract_that_the_station_or_the_incumbent_does_not_fit_fails(shelf: Path) -> None:
    new, old = bundles(shelf, "new", "old")
    station = load_station("sim")
    assert contract_check(new, old, station).verdict == "passed"
    fast = replace(new, contract=replace(new.contract, control_rate=180.0))
    check = contract_check(fast, old, station)
    assert check.verdict == "failed"
    assert "control_rate" in check.reason
    other = replace(new, task="peg-insertion")
    assert "its task is peg-insertion, the incumbent's grasp" in contract_check(other, old, station).reason


def test_behind_a_contract_that_does_not_fit_nothing_is_judged(shelf: Path) -> None:
    new, old = bundles(shelf, "new", "old")
    new = replace(new, contract=replace(new.contract, control_rate=180.0))
    record = run_gate(new, old, QUICK)
    assert not record.passed
    assert [check.verdict for check in record.checks] == ["failed"] + ["not judged"] * 5


# the battery


def rehearsal(name: str, seed: int = 0, **changes: Any) -> Rehearsal:
    values: dict[str, Any] = {
        "success": True,
        "reason": "success",
        "breaches": (),
        "excess": -1.0,
        "speed": 0.5,
        "force": 10.0,
        "troubled": True,
        "moved": True,
        "answered": None,
        "rest": None,
    }
    if any(scenario.name == name for scenario in FAULTS):
        values |= {"success": False, "reason": "stopped", "answered": 0.01, "rest": 0.0}
    return Rehearsal(name, seed, **{**values, **changes})


def whole(**changes: Any) -> list[Rehearsal]:
    """Every scenario, perturbations four times; `changes` are of all perturbations."""
    found = [rehearsal(scenario.name) for scenario in FAULTS]
    return found + [rehearsal(s.name, seed, **changes) for s in PERTURBATIONS for seed in range(4)]


def test_a_battery_in_which_all_is_well_is_passed() -> None:
    check = battery_check(whole(), whole())
    assert check.verdict == "passed", check.reason
    assert len(check.figures["scenarios"]) == len(FAULTS) + len(PERTURBATIONS)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("push", {"excess": 0.1}, "a torque 0.1 N·m beyond its bound reached the arm"),
        ("push", {"reason": "no start", "success": False}, "did not let the episode begin"),
        ("request is no number", {"answered": None}, "nothing held the arm for request_nonfinite"),
        ("request is no number", {"troubled": False}, "held the arm all the time"),
        ("request is no number", {"answered": 0.2}, "held after 0.200 s, not within 0.03 s"),
        ("cameras frozen", {"answered": None}, "nothing held the arm for camera_frozen"),
        ("policy dies", {"rest": 0.4}, "2 s later a joint still moved at 0.40 rad/s"),
    ],
)
def test_one_thing_that_must_not_be_fails_it(name: str, changes: dict[str, Any], words: str) -> None:
    mine = [replace(r, **changes) if r.scenario == name and r.seed == 0 else r for r in whole()]
    check = battery_check(mine, whole())
    assert check.verdict == "failed"
    assert words in check.reason
    assert name in check.reason


def test_frozen_cameras_show_only_while_the_arm_moves() -> None:
    still = {"answered": None, "moved": False, "rest": None}
    mine = [replace(r, **still) if r.scenario == "cameras frozen" else r for r in whole()]
    assert battery_check(mine, whole()).verdict == "passed"


def test_perturbations_fail_it_where_the_candidate_copes_worse_than_chance_explains() -> None:
    fallen = {"success": False, "reason": "time"}
    assert battery_check(whole(**fallen), whole()).verdict == "failed"
    assert battery_check(whole(**fallen), whole(**fallen)).verdict == "passed"
    assert battery_check(whole(), whole(**fallen)).verdict == "passed"
    stopped = battery_check(whole(breaches=("speed",)), whole())
    assert "the monitor stops it more often" in stopped.reason
    once = [*whole()[:-1], replace(whole()[-1], **fallen)]
    assert battery_check(once, whole()).verdict == "passed"


# the logs


def test_logs_judge_by_value_and_support(shelf: Path, store: Path) -> None:
    new, old = bundles(shelf, "new", "old")
    config = FQEConfig(updates=30, members=3, hidden=16)
    lines: list[str] = []
    with Store.open(store) as opened:
        episodes = gate_logs.chosen(opened, TASK, 100)
        same = gate_logs.logs_checks(old, old, opened, episodes, config, 0.05, lines.append)
        value, support = gate_logs.logs_checks(new, old, opened, episodes, config, 0.05, lines.append)
        strict = gate_logs.logs_checks(new, old, opened, episodes, config, 0.0, lines.append)
        few = gate_logs.logs_checks(new, old, opened, episodes[:5], config, 0.05, lines.append)
    assert same[0].verdict == same[1].verdict == "passed"  # not more than the incumbent, being the same
    assert same[0].figures["difference"] == 0.0
    assert "16 episodes" in lines[0]
    assert value.figures["logged"] == pytest.approx(0.5 * 0.99**19)
    assert {"candidate", "incumbent", "difference", "interval"} <= value.figures.keys()
    # the limiter altered some of what the old one asked for; another untrained network acts as nobody did
    assert same[1].figures["candidate"]["share"] < 0.25
    assert support.figures["candidate"]["share"] > 0.5
    assert support.verdict == strict[1].verdict == "failed"
    assert [check.verdict for check in few] == ["not judged"] * 2
    assert few[0].required


def test_logs_without_what_the_policy_looks_at_are_not_judged(shelf: Path, store: Path) -> None:
    (old,) = bundles(shelf, "old")
    contract = small_contract(**CHANGES, observe=("front", "q", "dq", "tau", "gripper", "wrench"))
    blind = replace(old, network=small_network(contract), contract=contract)
    with Store.open(store) as opened:
        episodes = gate_logs.chosen(opened, TASK, 100)
        found = gate_logs.logs_checks(blind, old, opened, episodes, FQEConfig(), 0.1, lambda line: None)
    assert [check.verdict for check in found] == ["not judged"] * 2
    assert "no 'wrench', which the policy looks at" in found[0].reason


def test_the_hash_of_the_data_does_not_hang_on_their_order(store: Path) -> None:
    with Store.open(store) as opened:
        episodes = gate_logs.chosen(opened, TASK, 100)
    assert gate_logs.data_hash(episodes) == gate_logs.data_hash(episodes[::-1])
    assert gate_logs.data_hash(episodes) != gate_logs.data_hash(episodes[1:])


# the suite


def test_a_suite_is_read_from_its_file(tmp_path: Path) -> None:
    save_small(tmp_path / "earlier")
    file = tmp_path / "suite.yaml"
    file.write_text(
        "- {name: wide, bundle: earlier, seed: 7, episodes: 3, set: {episode_seconds: 0.4}}\n"
        "- {name: shipped, bundle: grasp, seed: 9, episodes: 1}\n"
    )
    wide, shipped = read_suite(file)
    assert (wide.bundle, wide.seed, wide.episodes) == (str(tmp_path / "earlier"), 7, 3)
    assert wide.set == {"episode_seconds": 0.4}
    assert (shipped.bundle, shipped.set) == ("grasp", {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "holds no case"),
        ("{", "is no YAML"),
        ("name: a", "must be a list"),
        ("- {name: a, bundle: grasp, seed: 0}", "case 0 lacks 'episodes'"),
        ("- {name: a, bundle: grasp, seed: 0, episodes: 0}", "episodes of .* case 0 is 0"),
        ("- {name: a, bundle: grasp, seed: 0, episodes: 1, sett: {}}", "unknown key 'sett'"),
    ],
)
def test_a_suite_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        read_suite(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_suite(tmp_path / "none.yaml")


# the whole


def test_the_gate_judges_everything_and_keeps_hashes_of_all_of_it(
    shelf: Path,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(battery, "FAULTS", FAULTS[:1])
    monkeypatch.setattr(battery, "PERTURBATIONS", PERTURBATIONS[:1])
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"- {{name: as before, bundle: {shelf / 'gentle'}, seed: 0, episodes: 1}}\n")
    place = tmp_path / "registry"
    lax = GateConfig(episodes=2, rehearsals=1, updates=20, margin=1.0, suite_margin=1.0, unsupported=1.0)
    registry = Registry.create(place, lax)
    registry.promote(registry.add(shelf / "gentle"), override="Ada", reason="the first one")
    words = ["gate", str(shelf / "gentle"), "--against", str(shelf / "gentle"), "--registry", str(place)]
    words += ["--data", str(store), "--suite", str(suite), "--workers", "1"]  # as strict as the registry asks
    assert cli.main(words) == 0
    out = capsys.readouterr()
    assert "gentle" not in out.out
    assert "passed" in out.out
    assert "robolearn registry promote" in out.err

    name = load_bundle(shelf / "gentle").weights_hash
    (record,) = registry.records(name).values()
    assert record.passed
    assert [check.name for check in record.checks] == [
        "contract",
        "success",
        "limiter",
        "safety battery",
        "off-policy value",
        "unsupported actions",
        "regression suite",
    ]
    assert (record.bundle, record.incumbent, record.contract) == (name, name, small_contract(**CHANGES).hash)
    with Store.open(store) as opened:
        assert record.data == gate_logs.data_hash(opened.episodes())
    assert len(record.code["sources"]) == 64
    assert record.config["first_seed"] == lax.first_seed(name, name)
    assert record.config["suite"] == suite_hash(read_suite(suite))
    assert {key: record.config[key] for key in vars(lax)} == vars(lax)
    page = (place / "gates" / f"{record.hash}.html").read_text()
    for words_there in (record.hash, name, "request is no number", "approach", "passed"):
        assert words_there in page


@pytest.mark.parametrize("which", ["new", "old"])
def test_a_bundle_that_is_altered_while_it_is_judged_is_given_no_verdict(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """The episodes are run by processes that read the files again."""
    for name in ("new", "old"):
        shutil.copytree(shelf / name, tmp_path / name)

    def swapped(*words: Any) -> Any:
        shutil.rmtree(tmp_path / which)
        shutil.copytree(shelf / "gentle", tmp_path / which)
        return table([True, True]), table([True, True])

    monkeypatch.setattr(gate, "evaluate_both", swapped)
    monkeypatch.setattr(gate, "run_battery", lambda *words: [])
    monkeypatch.setattr(gate, "battery_check", lambda *words: Check("safety battery", "passed", True, "-"))
    with pytest.raises(InputError, match=f"{which} was altered while it was judged"):
        run_gate(*bundles(tmp_path, "new", "old"), QUICK)


def test_with_a_registry_its_own_copies_are_judged(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judged: list[Any] = []

    def look(new: Bundle, incumbent: Bundle, config: GateConfig, **rest: Any) -> GateRecord:
        judged.extend([new.path, incumbent.path, config])
        raise InputError("seen enough")

    monkeypatch.setattr(gate_command, "run_gate", look)
    place = tmp_path / "registry"
    words = ["gate", str(shelf / "new"), "--against", str(shelf / "old"), "--registry", str(place)]
    assert cli.main([*words, "--margin", "1", "--set", "randomisation=rich"]) == 2
    names = [load_bundle(shelf / name).weights_hash for name in ("new", "old")]
    assert judged == [*(place / "bundles" / name for name in names), GateConfig(margin=1.0)]
    said = capsys.readouterr().err
    assert "it will not promote" in said
    assert "the task was changed (randomisation), margin is 1.0, above 0.05" in said


def test_without_logs_or_incumbent_the_gate_stays_shut_and_says_what_is_missing(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(battery, "FAULTS", ())
    monkeypatch.setattr(battery, "PERTURBATIONS", PERTURBATIONS[:1])
    short = ["--episodes", "1", "--rehearsals", "1", "--workers", "1", "--out", str(tmp_path)]
    words = ["gate", str(shelf / "new"), "--registry", str(tmp_path / "registry"), *short, "--json"]
    assert cli.main(words) == 1
    record = GateRecord.from_text(capsys.readouterr().out.encode())
    verdicts = {check.name: check.verdict for check in record.checks}
    assert verdicts == {
        "contract": "passed",
        "safety battery": "passed",
        "success": "not judged",
        "limiter": "not judged",
        "off-policy value": "not judged",
        "unsupported actions": "not judged",
    }
    assert (tmp_path / f"gate-{record.hash[:12]}.json").read_bytes() == record.text

    assert (
        cli.main(["gate", str(shelf / "new"), "--against", str(shelf / "new"), *short, "--margin", "1"]) == 1
    )
    out = capsys.readouterr().out
    assert "not judged" in out
    assert "--data STORE" in out
    assert "not passed" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--against BUNDLE, or --registry DIR"),
        (["--against", "nobody"], "there is no bundle 'nobody'"),
        (["--against", "grasp", "--episodes", "0"], "episodes is 0"),
        (["--against", "grasp", "--margin", "2"], "margin is 2"),
        (["--against", "grasp", "--set", "colour=red"], "unknown parameter of grasp 'colour'"),
        (["--against", "grasp", "--data", "none"], "none"),
        (["--against", "grasp", "--suite", "none.yaml"], "none.yaml cannot be read"),
        (["--against", "grasp", "--station", "panda"], "is no simulated one"),
    ],
)
def test_bad_input_is_named_before_anything_runs(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["gate", "grasp", *words]) == 2
    assert message in capsys.readouterr().err
