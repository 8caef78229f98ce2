from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from small_disk import small_disk
from small_policies import CHANGES, TASK, save_small, small_contract, small_network

from robolearn import cli
from robolearn.errors import InputError
from robolearn.hardware.monitor.promoted import PromotedBundles
from robolearn.improving.gate_config import CLEAR, GateConfig, shortfalls
from robolearn.improving.gate_record import Check, GateRecord, code_version
from robolearn.improving.registry import Registry, now
from robolearn.policies.bundle import load_bundle, save_bundle
from robolearn.training.seeds import FIRST_TRAINING_SEED

ARM = "panda"
GOOD = Check("success", "passed", True, "0.9 against 0.5")
BAD = Check("contract", "failed", True, "it has 8 joints")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three bundles, called 0, 1 and 2."""
    folder = tmp_path_factory.mktemp("shelf")
    for seed in range(3):
        save_small(folder / str(seed), seed)
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.create(tmp_path / "registry")


def filled(registry: Registry, shelf: Path) -> list[str]:
    return [registry.add(shelf / str(i)) for i in range(3)]


def record(bundle: str, incumbent: str | None, *found: Check, **changes: Any) -> GateRecord:
    values: dict[str, Any] = {
        "bundle": bundle,
        "contract": small_contract().hash,
        "task": TASK,
        "arm": ARM,
        "incumbent": incumbent,
        "data": None,
        "code": code_version(),
        "config": {"changes": {}, "suite": None, **asdict(GateConfig())},
        "checks": found or (GOOD,),
        "at": now(),
    }
    return GateRecord(**(values | changes))


# bundles


def test_a_bundle_is_kept_under_the_hash_of_its_weights(registry: Registry, shelf: Path) -> None:
    name = registry.add(shelf / "0")
    assert name == load_bundle(shelf / "0").weights_hash
    assert registry.bundles() == (name,)
    assert registry.find(name[:6]) == name
    kept = registry.load(name[:8])
    assert kept.path == registry.path / "bundles" / name
    assert kept.contract == load_bundle(shelf / "0").contract
    assert registry.add(shelf / "0") == name
    assert registry.bundles() == (name,)
    assert not [p for p in (registry.path / "bundles").iterdir() if p.name != name]


def test_the_same_weights_under_another_contract_are_refused(
    registry: Registry, shelf: Path, tmp_path: Path
) -> None:
    registry.add(shelf / "0")
    other = replace(small_contract(), delay_tolerance=0.02)
    save_bundle(tmp_path / "other", small_network(), other, TASK, CHANGES, {})
    with pytest.raises(InputError, match="but another contract, task or network"):
        registry.add(tmp_path / "other")


def test_a_bundle_that_rots_in_the_registry_is_found_out(registry: Registry, shelf: Path) -> None:
    name = registry.add(shelf / "0")
    weights = registry.path / "bundles" / name / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="damaged"):
        registry.promote(name, override="Ada", reason="try")
    assert registry.history == ()


@pytest.mark.parametrize(
    ("digits", "words"), [("abc", "too short"), ("0" * 12, "has no bundle '000000000000'")]
)
def test_a_hash_that_names_no_bundle(registry: Registry, shelf: Path, digits: str, words: str) -> None:
    name = registry.add(shelf / "0")
    with pytest.raises(InputError, match=words) as caught:
        registry.find(digits)
    assert len(digits) < 6 or name[:12] in str(caught.value)


# promotion


def test_only_a_gate_that_this_very_bundle_passed_against_the_incumbent_promotes(
    registry: Registry, shelf: Path
) -> None:
    a, b, c = filled(registry, shelf)
    with pytest.raises(InputError, match=r"passed no gate.*there is no record of one.*--override NAME"):
        registry.promote(a)
    registry.promote(a, override="Ada Lovelace", reason="the first one")
    assert registry.incumbent(TASK, ARM) == a

    registry.keep(record(c, a))
    registry.keep(record(b, None))
    registry.keep(record(b, a, GOOD, BAD))
    registry.keep(record(b, a, contract="0" * 64))
    with pytest.raises(InputError) as caught:
        registry.promote(b)
    for words in ("is against nothing, but", "did not pass", "is about another contract"):
        assert words in str(caught.value)
    assert registry.incumbent(TASK, ARM) == a

    good = record(b, a)
    registry.keep(good)
    event = registry.promote(b[:10])
    assert (event.gate, event.previous, event.bundle) == (good.hash, a, b)
    assert Registry(registry.path).incumbent(TASK, ARM) == b
    with pytest.raises(InputError, match="promoted already"):
        registry.promote(b)


def test_an_override_needs_a_name_and_a_reason_and_is_kept(registry: Registry, shelf: Path) -> None:
    a = registry.add(shelf / "0")
    with pytest.raises(InputError, match="reason of the override"):
        registry.promote(a, override="Ada")
    with pytest.raises(InputError, match="nobody's name"):
        registry.promote(a, reason="because")
    registry.promote(a, override="Ada", reason="because")
    (event,) = Registry(registry.path).history
    assert (event.by, event.reason, event.gate) == ("Ada", "because", None)


def test_rolling_back_promotes_the_one_before_and_then_nothing(registry: Registry, shelf: Path) -> None:
    names = filled(registry, shelf)
    for name in names:
        registry.promote(name, override="Ada", reason="try")
    allowed = PromotedBundles(registry.path)
    for name in (*reversed(names[:-1]), None):
        registry.rollback(by="Bob", reason="it shook")
        assert registry.incumbent(TASK, ARM) == name
        allowed.refresh()
        assert [n for n in names if allowed(n, small_contract().hash)] == ([name] if name else [])
    with pytest.raises(InputError, match="nothing is promoted"):
        registry.rollback()
    assert [event.kind for event in registry.history] == ["promote"] * 3 + ["rollback"] * 3


def test_a_gate_promotes_once(registry: Registry, shelf: Path) -> None:
    a, b, _ = filled(registry, shelf)
    registry.promote(a, override="Ada", reason="first")
    registry.keep(record(b, a))
    registry.promote(b)
    registry.rollback()
    with pytest.raises(InputError, match="promoted it once before"):
        registry.promote(b)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"margin": 1.0}, "margin is 1.0, above 0.05"),
        ({"limiter": 1.0}, "limiter is 1.0, above 0.05"),
        ({"unsupported": 1.0}, "unsupported is 1.0, above 0.2"),
        ({"suite_margin": 0.5}, "suite_margin is 0.5, above 0.1"),
        ({"episodes": 1}, "episodes is 1, not 200"),
        ({"episodes": 240}, "episodes is 240, not 200"),  # one could go on until it opens
        ({"rehearsals": 1}, "rehearsals is 1, not 3"),
        ({"updates": 1}, "updates is 1, not 4000"),
        ({"logged": 10}, "logged is 10, not 500"),
        ({"seed": 7}, "seed is 7, not 100000"),
        ({"station": "other"}, "station is other, not sim"),
        ({"changes": {"clearance": 0.003}}, r"the task was changed \(clearance\)"),
    ],
)
def test_a_laxer_gate_than_the_registry_asks_for_promotes_nothing(
    registry: Registry, shelf: Path, changes: dict[str, Any], words: str
) -> None:
    a, b, _ = filled(registry, shelf)
    registry.promote(a, override="Ada", reason="first")
    lax = record(b, a)
    registry.keep(replace(lax, config=lax.config | changes))
    with pytest.raises(InputError, match=f"not of the gate that this registry asks for: {words}"):
        registry.promote(b)
    assert registry.incumbent(TASK, ARM) == a
    registry.promote(b, override="Ada", reason="I know what I do")


def test_a_registry_keeps_what_it_asks_of_a_gate_from_its_beginning(tmp_path: Path, shelf: Path) -> None:
    asked = GateConfig(episodes=400, margin=0.03)
    registry = Registry.create(tmp_path / "registry", asked, "f" * 64)
    assert (registry.gate, registry.suite) == (asked, "f" * 64)
    again = Registry.create(tmp_path / "registry", GateConfig(margin=1.0))
    assert (again.gate, again.suite) == (asked, "f" * 64)
    a, b, _ = filled(registry, shelf)
    registry.promote(a, override="Ada", reason="first")
    one = record(b, a)
    registry.keep(one)
    registry.keep(replace(one, config=one.config | {"episodes": 400, "margin": 0.02, "suite": "0" * 64}))
    with pytest.raises(InputError) as caught:
        registry.promote(b)
    assert "episodes is 200, not 400, margin is 0.05, above 0.03" in str(caught.value)
    assert "the registry's regression suite was not used" in str(caught.value)
    registry.keep(replace(one, config=one.config | {"episodes": 400, "margin": 0.02, "suite": "f" * 64}))
    assert registry.promote(b).gate is not None
    (tmp_path / "registry" / "gate.json").write_text('{"episodes": 1}')
    with pytest.raises(InputError, match=r"gate.json lacks"):
        Registry(tmp_path / "registry")


def test_which_episodes_a_gate_tries_follows_from_the_policies() -> None:
    config = GateConfig()
    pairs = [("a" * 64, "b" * 64), ("a" * 64, "c" * 64), ("d" * 64, "b" * 64), ("a" * 64, None)]
    seeds = [config.first_seed(*pair) for pair in pairs]
    assert seeds == [config.first_seed(*pair) for pair in pairs]
    assert len(set(seeds)) == 4
    many = [config.first_seed(f"{i:064x}", "b" * 64) for i in range(2000)]
    assert min(many) >= config.seed + CLEAR
    assert max(many) + config.episodes <= FIRST_TRAINING_SEED
    assert len(set(many)) > 1990
    assert shortfalls(asdict(config), config, None) == []
    with pytest.raises(InputError, match="seeds 999990 to 1000189 are not all held out"):
        GateConfig(seed=989_990)


def test_each_task_has_its_own_and_which_is_meant_must_be_said(
    registry: Registry, shelf: Path, tmp_path: Path
) -> None:
    a = registry.add(shelf / "0")
    bundle = load_bundle(shelf / "1")
    save_bundle(tmp_path / "peg", bundle.network, bundle.contract, "peg-insertion", {}, {})
    b = registry.add(tmp_path / "peg")
    for name in (a, b):
        registry.promote(name, override="Ada", reason="try")
    assert registry.incumbent("peg-insertion", ARM) == b
    with pytest.raises(InputError, match="grasp at panda, peg-insertion at panda: say which"):
        registry.rollback()
    with pytest.raises(InputError, match="unknown promoted task 'gasp'"):
        registry.rollback("gasp")
    with pytest.raises(InputError, match="unknown arm 'fr3'"):
        registry.rollback("grasp", "fr3")
    registry.rollback("grasp")
    assert registry.incumbent("grasp", ARM) is None
    assert registry.incumbent("peg-insertion", ARM) == b


# records


def test_a_record_is_passed_if_nothing_failed_and_nothing_required_is_missing() -> None:
    optional, needed = (
        Check("data", "not judged", required, "there are no logs") for required in (False, True)
    )
    assert record("a" * 64, None).passed
    assert record("a" * 64, None, GOOD, optional).passed
    assert not record("a" * 64, None, GOOD, needed).passed
    assert not record("a" * 64, None, GOOD, replace(BAD, required=False)).passed


def test_a_record_comes_back_as_it_was_and_not_otherwise() -> None:
    one = record("a" * 64, "b" * 64, GOOD, BAD)
    assert GateRecord.from_text(one.text) == one
    assert GateRecord.from_text(one.text).hash == one.hash
    with pytest.raises(InputError, match="says passed: True, and its checks say False"):
        GateRecord.from_text(one.text.replace(b'"passed": false', b'"passed": true'))
    with pytest.raises(InputError, match="version 7; this reads"):
        GateRecord.from_text(one.text.replace(b'"version": 1', b'"version": 7'))
    with pytest.raises(InputError, match="unknown verdict of success 'perhaps'"):
        Check("success", "perhaps", True, "?")


def test_a_record_that_was_altered_is_refused(registry: Registry, shelf: Path) -> None:
    a = registry.add(shelf / "0")
    file = registry.keep(record(a, None, GOOD, BAD))
    file.write_text(file.read_text().replace('"failed"', '"passed"'))
    with pytest.raises(InputError, match="was altered: its hash is"):
        registry.promote(a)


# what lies on the disk


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data | {"version": 2}, "version 2; this reads"),
        (lambda data: data | {"promoted": []}, "does not follow from its history"),
        (lambda data: data | {"history": data["history"][1:]}, "does not follow from what was before it"),
        (lambda data: data | {"history": data["history"][:1]}, "does not follow from its history"),
        (lambda data: data | {"more": 1}, "has an unknown key 'more'"),
        (lambda data: data | {"history": [{**data["history"][0], "kind": "x"}]}, "unknown kind of event"),
        (lambda data: data | {"history": [{**data["history"][0], "bundle": "x"}]}, "is 'x', and no hash"),
        (
            lambda data: data | {"history": [{**data["history"][0], "kind": "rollback"}]},
            "nothing is promoted",
        ),
    ],
)
def test_a_file_that_was_altered_is_refused(
    registry: Registry, shelf: Path, spoil: Callable[[dict[str, Any]], object], words: str
) -> None:
    a, b, _ = filled(registry, shelf)
    for name in (a, b):
        registry.promote(name, override="Ada", reason="try")
    file = registry.path / "registry.json"
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    with pytest.raises(InputError, match=words):
        Registry(registry.path)


def test_a_place_that_holds_something_else_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no registry in"):
        Registry(tmp_path)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"holds thesis.tex and is no registry"):
        Registry.create(tmp_path)
    with pytest.raises(InputError, match="is no directory"):
        Registry.create(tmp_path / "thesis.tex")


def test_a_full_disk_leaves_everything_as_it_was(registry: Registry, shelf: Path) -> None:
    a = registry.add(shelf / "0")
    registry.promote(a, override="Ada", reason="try")
    before = (registry.path / "registry.json").read_bytes()
    with small_disk(100), pytest.raises(OSError, match="File too large"):
        registry.rollback()
    with small_disk(100), pytest.raises(OSError, match="File too large"):
        registry.add(shelf / "1")
    assert (registry.path / "registry.json").read_bytes() == before
    assert Registry(registry.path).bundles() == (a,)
    assert not list((registry.path / "bundles").glob(".*"))


def _work(path: Path, shelf: Path, done: Any) -> None:
    """Promote, roll back and add for ever; tell how long the history is after each."""
    registry = Registry.create(path)
    for i in range(10**9):
        name = registry.add(shelf / str(i % 3))
        if registry.incumbent(TASK, ARM) != name:
            registry.promote(name, override="Ada", reason="try")
        if i % 3 == 2:
            registry.rollback()
        done.send((len(registry.history), registry.incumbent(TASK, ARM)))


@pytest.mark.parametrize("kills", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_it_survives_being_killed_at_any_moment(kills: int, tmp_path: Path, shelf: Path) -> None:
    path, chance = tmp_path / "registry", random.Random(0)
    context = multiprocessing.get_context("fork")
    told: tuple[int, str | None] = (0, None)
    for _ in range(kills):
        listening, done = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(path, shelf, done))
        worker.start()
        done.close()
        for _ in range(chance.randrange(3)):
            told = listening.recv()
        time.sleep(chance.uniform(0.0, 0.05))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        while listening.poll():
            try:
                told = listening.recv()
            except EOFError:
                break
        registry = Registry.create(path)
        assert len(registry.history) >= told[0]
        if len(registry.history) == told[0]:
            assert registry.incumbent(TASK, ARM) == told[1]
        for name in registry.bundles():
            registry.load(name)
        allowed, now_promoted = PromotedBundles(path), registry.incumbent(TASK, ARM)
        kind = small_contract().hash
        assert [name for name in registry.bundles() if allowed(name, kind)] == [now_promoted] * bool(
            now_promoted
        )
    assert told[0] > 0


# the command


def test_the_command_adds_promotes_shows_and_rolls_back(
    tmp_path: Path, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--registry", str(tmp_path / "registry")]
    names = []
    for i in (0, 1):
        assert cli.main(["registry", "add", str(shelf / str(i)), *place]) == 0
        names.append(capsys.readouterr().out.strip())
    words = ["--override", "Ada", "--reason", "the first one"]
    assert cli.main(["registry", "promote", names[0][:8], *words, *place]) == 0
    assert "until then nothing; Ada, the first one" in capsys.readouterr().out
    assert cli.main(["registry", "promote", names[1], *place]) == 2
    assert "has passed no gate" in capsys.readouterr().err

    assert cli.main(["registry", "list", "--json", *place]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["bundle"]: row["promoted"] for row in rows} == {names[0]: True, names[1]: False}
    assert cli.main(["registry", "list", *place]) == 0
    assert capsys.readouterr().out.count("promoted") == 2  # the heading and the one

    Registry(tmp_path / "registry").keep(record(names[1], names[0]))
    assert cli.main(["registry", "promote", names[1], *place]) == 0
    assert cli.main(["registry", "rollback", "--reason", "it shook", "--json", *place]) == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["bundle"] == names[0]
    assert cli.main(["registry", "show", names[1][:7], *place]) == 0
    shown = capsys.readouterr().out
    for words_there in (names[1], "promoted  no", "passed against", "it shook"):
        assert words_there in shown


def test_a_registry_is_made_with_a_gate_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["registry", "create", "--registry", str(tmp_path / "registry")]
    assert cli.main([*words, "--episodes", "400", "--margin", "0.02"]) == 0
    assert '"episodes": 400' in capsys.readouterr().out
    assert Registry(tmp_path / "registry").gate == GateConfig(episodes=400, margin=0.02)
    assert cli.main(words) == 2
    assert "is a registry already" in capsys.readouterr().err


def test_an_empty_registry_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Registry.create(tmp_path / "registry")
    assert cli.main(["registry", "list", "--registry", str(tmp_path / "registry")]) == 0
    assert "robolearn registry add" in capsys.readouterr().out
    assert cli.main(["registry", "list", "--registry", str(tmp_path / "none")]) == 2
    assert "there is no registry" in capsys.readouterr().err
