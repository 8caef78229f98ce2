"""What `robolearn gate` does, and what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from robolearn.errors import InputError
from robolearn.files import check_writable, replacing
from robolearn.improving.gate import run_gate
from robolearn.improving.gate_config import GateConfig, shortfalls
from robolearn.improving.gate_page import write_page
from robolearn.improving.gate_record import GateRecord
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.registry import Registry, short
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.training.configuration import parse_changes

BundleName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NEW")]
Changes = Annotated[
    tuple[tuple[str, ...], ...],
    tyro.conf.arg(name="set", metavar="KEY=VALUE ..."),
    tyro.conf.UseAppendAction,
]

STYLES = {"passed": "green", "failed": "red", "not judged": "yellow"}


def run_gate_command(
    new: BundleName,
    config: Annotated[GateConfig, tyro.conf.arg(name="")],
    against: str = "",
    data: Path | None = None,
    registry: Path | None = None,
    suite: Path | None = None,
    changes: Changes = (),
    workers: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Judge whether a policy may take the place of the one that moves the arm; say why.

    Compares them on the same episodes, lets both rehearse faults and perturbations through the real safety
    monitor, and asks logged episodes. Exits with 0 if the gate is passed and with 1 if it is not.

    Args:
        new: the candidate: a bundle's directory, a training run's directory, or a shipped bundle's name.
        config: how strict; with a registry, as strict as that asks unless something is said.
        against: the incumbent, likewise; what the registry has promoted for task and arm if not given.
        data: store of logged episodes.
        registry: directory of a registry: both policies, the record and its page go there.
        suite: YAML file of the regression suite.
        changes: the task's parameters to change, such as clearance=1mm.
        workers: processes that simulate; one a core if not given. The verdict does not depend on it.
        out: folder for the record (JSON) and its page.
        json: print the record as JSON.
    """

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    candidate = load_bundle(new)
    shelf = None if registry is None else Registry.create(registry)
    incumbent = _incumbent(candidate, against, shelf)
    parsed = parse_changes(candidate.task, [word for group in changes for word in group])
    if out is not None:
        check_writable(out)
    gaps: list[str] = []
    if shelf is not None:
        candidate = _shelved(candidate, shelf)
        incumbent = None if incumbent is None else _shelved(incumbent, shelf)
        if config == GateConfig():
            config = shelf.gate
        suited = None if suite is None else suite_hash(read_suite(suite))
        judged_by = {"changes": parsed, "suite": suited, **vars(config)}
        gaps = shortfalls(judged_by, shelf.gate, shelf.suite)
        if gaps:
            say(f"note     whatever it says, it will not promote in {registry}: {', '.join(gaps)}")

    record = run_gate(
        candidate,
        incumbent,
        config,
        changes=parsed,
        data=data,
        suite=suite,
        workers=workers,
        say=say,
    )
    if json:
        print(record.text.decode(), end="", flush=True)
    else:
        show(record)
    if shelf is not None:
        file = shelf.keep(record)
        write_page(record, file.with_suffix(".html"))
        say(f"record   {file}\npage     {file.with_suffix('.html')}")
    if out is not None:
        file = out / f"gate-{record.hash[:12]}.json"
        with replacing(file) as temporary:
            temporary.write_bytes(record.text)
        write_page(record, file.with_suffix(".html"))
        say(f"record   {file}\npage     {file.with_suffix('.html')}")
    if shelf is None and out is None:
        say("kept     nothing: --registry DIR or --out DIR keeps the record and a page")
    elif record.passed and shelf is not None and not gaps:
        say(f"promote  robolearn registry promote {short(record.bundle)} --registry {registry}")
    return 0 if record.passed else 1


def show(record: GateRecord) -> None:
    """Print the verdict with its reasons."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("check", "verdict", "why"):
        table.add_column(heading, no_wrap=heading != "why", overflow="fold")
    for check in record.checks:
        verdict = check.verdict if check.required else f"{check.verdict}, not required"
        table.add_row(check.name, f"[{STYLES[check.verdict]}]{verdict}[/]", check.reason.replace("[", r"\["))
    console.print(table)
    word = "[green]passed[/]" if record.passed else "[red]not passed[/]"
    against = f"against {short(record.incumbent)}" if record.incumbent else "without an incumbent"
    console.print(f"{record.task} at {record.arm}: {short(record.bundle)} {against}: [bold]{word}[/]")


def _shelved(bundle: Bundle, registry: Registry) -> Bundle:
    """The registry's copy of a bundle, which nobody alters while it is judged."""
    assert bundle.path is not None
    return registry.load(registry.add(bundle.path))


def _incumbent(candidate: Bundle, against: str, registry: Registry | None) -> Bundle | None:
    if against:
        return load_bundle(against)
    if registry is None:
        raise InputError("say whom the candidate is held against: --against BUNDLE, or --registry DIR")
    name = registry.incumbent(candidate.task, candidate.contract.arm)
    return None if name is None else registry.load(name)
