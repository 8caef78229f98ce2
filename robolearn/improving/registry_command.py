"""What `robolearn registry` does, and what it prints."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.errors import InputError
from robolearn.hardware.monitor.promoted import FILE
from robolearn.improving.gate_config import GateConfig
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.registry import Registry, short
from robolearn.improving.registry_history import Event
from robolearn.terminal import print_table

PLACE = Path("registry")
DEFAULT = GateConfig()

Hash = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="HASH")]


def run_registry(arguments: list[str]) -> int:
    """Policies by their hash, and which of them may run autonomously."""
    return tyro.extras.subcommand_cli_from_dict(
        {
            "create": run_create,
            "list": run_list,
            "add": run_add,
            "show": run_show,
            "promote": run_promote,
            "rollback": run_rollback,
        },
        prog="robolearn registry",
        description="Policies by their hash, and which of them may run autonomously.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def run_create(
    gate: Annotated[GateConfig, tyro.conf.arg(name="")] = DEFAULT,
    registry: Path = PLACE,
    suite: Path | None = None,
) -> int:
    """Make a registry, and say what a gate must be like for its record to promote there.

    That stays so. The other commands make one that asks for the default gate.

    Args:
        gate: what is tried must be just this; what is forgiven, at most this.
        registry: the registry's directory, where there is none yet.
        suite: YAML file of the regression suite that a gate must use.
    """
    if (registry / FILE).exists():
        raise InputError(f"{registry} is a registry already, and what it asks of a gate stays")
    opened = Registry.create(registry, gate, None if suite is None else suite_hash(read_suite(suite)))
    print(f"registry  {registry}\ngate      {dumps(asdict(opened.gate))}")
    print(f"suite     {opened.suite or 'any, or none'}")
    return 0


def run_list(registry: Path = PLACE, json: bool = False) -> int:
    """List the policies of a registry.

    Args:
        registry: its directory.
        json: print the list as JSON.
    """
    opened = Registry(registry)
    rows = [_row(opened, name) for name in opened.bundles()]
    if not rows and not json:
        print(f"{registry} holds no policy: `robolearn registry add BUNDLE` puts one there")
    if not json:
        said = {True: "promoted", False: ""}
        rows = [{**row, "bundle": short(row["bundle"]), "promoted": said[row["promoted"]]} for row in rows]
    print_table(rows, json)
    return 0


def run_add(
    bundle: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="BUNDLE")], registry: Path = PLACE
) -> int:
    """Copy a policy into a registry; one that is there already stays as it is. Prints its hash.

    Args:
        bundle: a bundle's directory, a training run's directory, or a shipped bundle's name.
        registry: the registry's directory; made if it is not there.
    """
    print(Registry.create(registry).add(bundle))
    return 0


def run_show(bundle: Hash, registry: Path = PLACE, json: bool = False) -> int:
    """Print what is known of a policy: where it is, its gates, its promotions.

    Args:
        bundle: the beginning of its hash.
        registry: the registry's directory.
        json: print everything as JSON.
    """
    opened = Registry(registry)
    loaded = opened.load(bundle)
    name = loaded.weights_hash
    records = opened.records(name)
    events = [event for event in opened.history if name in (event.bundle, event.previous)]
    if json:
        gates = [
            {"record": key, "passed": record.passed, "against": record.incumbent, "at": record.at}
            for key, record in records.items()
        ]
        found = {"path": str(loaded.path), **_row(opened, name), "gates": gates}
        print(dumps({**found, "history": [asdict(event) for event in events]}, indent=2))
        return 0
    print(f"bundle    {name}\ncontract  {loaded.contract.hash}\ntask      {loaded.task}")
    print(f"arm       {loaded.contract.arm}\npath      {loaded.path}")
    print(f"promoted  {'yes' if _row(opened, name)['promoted'] else 'no'}")
    for key, record in records.items():
        verdict = "passed" if record.passed else "not passed"
        print(f"gate      {short(key)} {verdict} against {short(record.incumbent)}, {record.at}")
    for event in events:
        print(f"history   {_said(event)}")
    return 0


def run_promote(
    bundle: Hash, registry: Path = PLACE, override: str = "", reason: str = "", json: bool = False
) -> int:
    """Let a policy run autonomously in place of the one that is promoted now.

    It takes a gate that this very policy passed against that one (`robolearn gate`), or a person's name and
    reason.

    Args:
        bundle: the beginning of its hash.
        registry: the registry's directory.
        override: name of the person who answers for it where no gate was passed.
        reason: of the override.
        json: print what was done as JSON.
    """
    return _show(Registry(registry).promote(bundle, override=override, reason=reason), json)


def run_rollback(
    registry: Path = PLACE,
    task: str = "",
    arm: str = "",
    by: str = "",
    reason: str = "",
    json: bool = False,
) -> int:
    """Promote again what was promoted before; if there was nothing, then nothing is promoted.

    Args:
        registry: its directory.
        task: whose policy; needed where several tasks have one.
        arm: whose policy; needed where several arms have one for that task.
        by: who does it; the name of the system's user if not given.
        reason: why.
        json: print what was done as JSON.
    """
    return _show(Registry(registry).rollback(task, arm, by=by, reason=reason), json)


def _row(registry: Registry, name: str) -> dict[str, Any]:
    bundle = registry.load(name)
    line = bundle.task, bundle.contract.arm
    figures = bundle.card.get("evaluations") or [None]
    return {
        "bundle": name,
        "task": bundle.task,
        "arm": bundle.contract.arm,
        "promoted": registry.incumbent(*line) == name,
        "success on its card": figures[0] and figures[0]["success"]["rate"],
    }


def _show(event: Event, json: bool) -> int:
    print(dumps(asdict(event), indent=2) if json else _said(event))
    return 0


def _said(event: Event) -> str:
    done = "promoted" if event.kind == "promote" else "rolled back to"
    why = f"by gate {short(event.gate)}" if event.gate else event.reason or "without a reason"
    at = f"for {event.task} at arm {event.arm}, until then {short(event.previous)}"
    return f"{done} {short(event.bundle)} {at}; {event.by}, {why}, {event.at}"
