from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from monitoring import Bench

import robolearn
from robolearn.contract import Contract
from robolearn.errors import InputError
from robolearn.hardware.monitor.promoted import PromotedBundles, promoted, promoted_bundles
from robolearn.hardware.monitor.states import Authority
from robolearn.hardware.station import load_station, save_station

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
GRASP = Path(robolearn.__file__).parent / "bundles" / "grasp" / "contract.json"


def registry(*entries: tuple[str, str]) -> dict[str, Any]:
    """A file in which bundles were promoted under contracts, each for a task of its own."""
    lines = [
        {"task": f"task {i}", "arm": "panda", "bundle": bundle, "contract": kind}
        for i, (bundle, kind) in enumerate(entries)
    ]
    about = {"gate": None, "by": "Ada", "reason": "a test", "at": "today"}
    return {
        "format": "robolearn-registry",
        "version": 1,
        "promoted": lines,
        "history": [{**line, "kind": "promote", "previous": None, **about} for line in lines],
    }


def write(directory: Path, *entries: tuple[str, str]) -> None:
    other = directory / "other"
    other.write_text(json.dumps(registry(*entries)))
    os.replace(other, directory / "registry.json")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data["promoted"][0].update(bundle=THREE), "does not follow from its history"),
        (lambda data: data["promoted"][0].update(contract=THREE), "does not follow from its history"),
        (lambda data: data["promoted"].append({**data["promoted"][0], "task": "x"}), "does not follow"),
        (lambda data: data["promoted"].clear(), "does not follow from its history"),
        (lambda data: data["history"].clear(), "does not follow from its history"),
        (lambda data: data["history"].append(dict(data["history"][0])), "follow from what was before it"),
        (lambda data: data["history"][0].update(previous=TWO), "does not follow from what was before it"),
        (lambda data: data["history"][0].update(kind="rollback"), "rolls back where nothing is promoted"),
        (lambda data: data["history"][0].pop("kind"), "is no registry: AttributeError"),
        (lambda data: data.pop("history"), "is no registry: KeyError"),
    ],
)
def test_a_file_that_was_edited_by_hand_promotes_nothing(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], object], words: str
) -> None:
    write(tmp_path, (ONE, TWO))
    allowed = PromotedBundles(tmp_path)
    assert allowed(ONE, TWO)
    data = registry((ONE, TWO))
    spoil(data)
    (tmp_path / "registry.json").write_text(json.dumps(data))
    allowed.refresh()
    assert words in allowed.trouble
    assert not allowed(ONE, TWO)
    assert not allowed(THREE, TWO)


def test_what_stands_in_the_file_is_allowed_with_that_contract_only(tmp_path: Path) -> None:
    write(tmp_path, (ONE, TWO))
    allowed = PromotedBundles(tmp_path)
    assert allowed(ONE, TWO)
    assert not allowed(ONE, THREE)
    assert not allowed(TWO, TWO)
    assert not allowed("", "")


def test_it_notices_another_list_and_a_list_that_is_gone(tmp_path: Path) -> None:
    write(tmp_path, (ONE, TWO))
    allowed = PromotedBundles(tmp_path)
    write(tmp_path, (THREE, TWO))
    assert allowed(ONE, TWO)  # until it looks
    allowed.refresh()
    assert not allowed(ONE, TWO)
    assert allowed(THREE, TWO)

    (tmp_path / "registry.json").rename(tmp_path / "away")
    allowed.refresh()
    assert not allowed(THREE, TWO)
    assert "cannot be read" in allowed.trouble
    (tmp_path / "away").rename(tmp_path / "registry.json")
    allowed.refresh()
    assert allowed(THREE, TWO)
    assert allowed.trouble == ""

    (tmp_path / "registry.json").write_text("{")
    allowed.refresh()
    assert not allowed(THREE, TWO)
    assert "is no registry" in allowed.trouble


def test_a_registry_that_is_not_there_is_an_error_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"monitor.registry.*registry.json cannot be read: No such file"):
        PromotedBundles(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no registry: JSONDecodeError"),
        ("[]", "is no registry: TypeError"),
        ("{}", "is no registry: KeyError"),
        ('{"format": "robolearn-registry", "version": 2, "promoted": []}', "version 2; this reads"),
        ('{"format": "robolearn-registry", "version": 1, "promoted": [[1, 2]]}', "is no registry: TypeError"),
        (json.dumps(registry(("", ""))), "promotes ''; that is no hash"),
        ('{"format": "robolearn-registry", "version": 1, "promoted": {"a": 1}}', "is no registry"),
        ("[" * 100_000, "is no registry: RecursionError"),
    ],
)
def test_a_file_that_is_no_registry_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        promoted(text.encode())


def test_a_station_names_its_registry_relative_to_its_own_file(tmp_path: Path) -> None:
    station = load_station("sim")
    assert promoted_bundles(station) is None
    (tmp_path / "registry").mkdir()
    write(tmp_path / "registry", (ONE, TWO))
    named = replace(
        station, path=tmp_path / "mine.yaml", monitor=replace(station.monitor, registry="registry")
    )
    allowed = promoted_bundles(named)
    assert allowed is not None
    assert allowed(ONE, TWO)
    (tmp_path / "elsewhere").mkdir()
    save_station(named, tmp_path / "elsewhere" / "copy.yaml")
    copied = promoted_bundles(load_station(tmp_path / "elsewhere" / "copy.yaml"))
    assert copied is not None
    assert copied(ONE, TWO)


def test_the_monitor_lets_only_a_promoted_bundle_run_autonomously(tmp_path: Path) -> None:
    kind = Contract.from_json(GRASP.read_bytes())
    write(tmp_path, (ONE, kind.hash))
    allowed = PromotedBundles(tmp_path)
    b = Bench(allowed_bundles=allowed)
    b.announce(kind, bundle=TWO)
    b.step(2)
    refused = b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x")
    assert refused == (False, "authority stays shadow: bundle")
    b.bundle = ONE
    b.step(2)
    assert b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done
    assert b.step().authority is Authority.AUTONOMOUS

    write(tmp_path, (THREE, kind.hash))  # rolled back while it runs
    assert b.step().authority is Authority.AUTONOMOUS
    allowed.refresh()
    assert b.step().authority is Authority.ASSISTED
    assert not b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x").done


def test_at_a_real_arm_nothing_is_promoted_where_there_is_no_registry() -> None:
    kind = Contract.from_json(GRASP.read_bytes())
    b = Bench(replace(load_station("sim"), simulated=False))
    b.announce(kind, bundle=ONE)
    b.step(2)
    refused = b.monitor.set_authority(b.now, Authority.AUTONOMOUS, "x")
    assert refused == (False, "authority stays shadow: bundle")
    assert b.monitor.set_authority(b.now, Authority.ASSISTED, "x").done


def test_reading_the_list_needs_the_standard_library_only() -> None:
    """Beside what a station needs, which the monitor has loaded anyway."""
    program = (
        "import sys; import robolearn.hardware.station; before = set(sys.modules);"
        "import robolearn.hardware.monitor.promoted;"
        "print(*(m for m in set(sys.modules) - before if not m.startswith('robolearn.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    new: list[Any] = [name.partition(".")[0] for name in done.stdout.split()]
    assert set(new) <= sys.stdlib_module_names
