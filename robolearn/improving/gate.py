"""The gate: what a policy has to show before it may take the place of the one that moves the arm.

Each check says passed, failed or not judged, and why. The gate opens if none failed and none that is required
was left unjudged: what cannot be judged for want of logs or of an incumbent keeps it shut, and a person may
answer for it in the registry. Only the regression suite may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from robolearn import checks
from robolearn.data.episode import Episode
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.station import Station, load_station
from robolearn.improving.battery import Rehearsal, run_battery
from robolearn.improving.battery_check import battery_check
from robolearn.improving.gate_config import GateConfig
from robolearn.improving.gate_logs import chosen, data_hash, logs_checks, not_judged
from robolearn.improving.gate_record import Check, GateRecord, code_version
from robolearn.improving.gate_simulation import (
    contract_check,
    evaluate_both,
    limiter_check,
    success_check,
)
from robolearn.improving.gate_suite import read_suite, regression_check, standards, suite_hash
from robolearn.improving.registry import identity, now
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.evaluation.fqe import FQEConfig
from robolearn.training.configuration import read_changes

NO_INCUMBENT = "there is no incumbent to compare with: the first policy of a task is a person's decision"

Say = Callable[[str], None]


def run_gate(
    new: Bundle,
    incumbent: Bundle | None,
    config: GateConfig,
    *,
    changes: Mapping[str, Any] | None = None,
    data: Path | None = None,
    suite: Path | None = None,
    workers: int | None = None,
    say: Say = lambda line: None,
) -> GateRecord:
    """Judge a candidate.

    Args:
        new: the candidate.
        incumbent: who it is held against; None where there is none yet.
        config: how strict.
        changes: fields of the task's configuration that differ from what the candidate was trained under.
        data: a store of logged episodes.
        suite: file of the regression suite.
        workers: processes that simulate; one a core if None.
        say: is told how far it is.

    Raises:
        InputError: changes that do not fit the task, no such store, suite or station, or a bundle was altered
            while it was judged.
    """
    assert new.path is not None
    changes = read_changes(new.task, changes or {})
    station = load_station(config.station)
    if not station.simulated:
        raise InputError(f"station {config.station!r} is no simulated one: the battery needs one that is")
    cases = None if suite is None else read_suite(suite)
    standards(cases or [], new.task)
    suited = None if cases is None else suite_hash(cases)
    first = config.first_seed(new.weights_hash, None if incumbent is None else incumbent.weights_hash)
    store = None if data is None else Store.open(data)
    try:
        found = [contract_check(new, incumbent, station)]
        used = None
        if found[0].verdict != "passed":
            names = ("success", "limiter", "safety battery", "off-policy value", "unsupported actions")
            found += [Check(name, "not judged", True, "the contract does not fit") for name in names]
        elif incumbent is None:
            found += _alone(new, station, config, first, say)
        else:
            found += _against(new, incumbent, station, config, first, changes, workers, say)
            if store is None:
                found += not_judged("no logged episodes are given: --data STORE")
            else:
                episodes = chosen(store, new.task, config.logged)
                used = data_hash(episodes)
                fqe = FQEConfig(updates=config.updates)
                found += logs_checks(new, incumbent, store, episodes, fqe, config.unsupported, say)
            if cases is None:
                found.append(
                    Check("regression suite", "not judged", False, "no suite is given: --suite FILE")
                )
            else:
                say(f"regression suite: {len(cases)} cases")
                found.append(regression_check(new, cases, config.suite_margin, workers))
    finally:
        if store is not None:
            store.close()
    if found[0].verdict == "passed":  # otherwise nothing was run from their files
        for bundle in (new, incumbent):
            if bundle is not None:
                _check_unaltered(bundle)
    if cases is not None and suite_hash(cases) != suited:
        raise InputError(f"a policy that {suite} names was altered while the gate was at work: begin anew")
    judged_by = {"changes": changes, "suite": suited, "first_seed": first, **vars(config)}
    return GateRecord(
        bundle=new.weights_hash,
        contract=new.contract.hash,
        task=new.task,
        arm=new.contract.arm,
        incumbent=None if incumbent is None else incumbent.weights_hash,
        data=used,
        code=code_version(),
        config=checks.json_like("config", judged_by),
        checks=tuple(found),
        at=now(),
    )


def _against(
    new: Bundle,
    incumbent: Bundle,
    station: Station,
    config: GateConfig,
    first: int,
    changes: Mapping[str, Any],
    workers: int | None,
    say: Say,
) -> list[Check]:
    """What the simulator says of a candidate and an incumbent."""
    done = 0

    def count(episode: Episode) -> None:
        nonlocal done
        done += 1
        if done % max(config.episodes // 4, 1) == 0:
            say(f"success: {done} of {2 * config.episodes} episodes")

    tables = evaluate_both(new, incumbent, config.episodes, first, changes, workers, count)
    rehearsals = [_battery(bundle, station, config, first, say) for bundle in (new, incumbent)]
    return [
        success_check(tables, config.margin),
        limiter_check(tables, config.limiter),
        battery_check(rehearsals[0], rehearsals[1]),
    ]


def _alone(new: Bundle, station: Station, config: GateConfig, first: int, say: Say) -> list[Check]:
    """What can be said of a candidate without an incumbent: whether the arm stays safe."""
    rehearsals = _battery(new, station, config, first, say)
    names = ("success", "limiter", "off-policy value", "unsupported actions")
    return [
        battery_check(rehearsals, rehearsals),
        *(Check(name, "not judged", True, NO_INCUMBENT) for name in names),
    ]


def _battery(bundle: Bundle, station: Station, config: GateConfig, first: int, say: Say) -> list[Rehearsal]:
    say(f"safety battery of {bundle.weights_hash[:12]}")
    return run_battery(bundle, station, range(first, first + config.rehearsals))


def _check_unaltered(bundle: Bundle) -> None:
    """Refuse a verdict on other files than those whose hash it would carry: workers read them anew."""
    assert bundle.path is not None
    there = load_bundle(bundle.path)
    if (there.weights_hash, identity(there)) != (bundle.weights_hash, identity(bundle)):
        raise InputError(f"bundle {bundle.path} was altered while it was judged: nothing can be said of it")
