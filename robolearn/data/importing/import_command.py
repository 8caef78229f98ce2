"""What `robolearn data import` and `robolearn data inspect` do, and what they print."""

from __future__ import annotations

import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import tyro

from robolearn.contract import Contract
from robolearn.data.importing.add import ADDED, LEFT, STATES, Imported, import_logs
from robolearn.data.importing.inspecting import Look, inspect_bag
from robolearn.data.importing.mapped import plan_mapped
from robolearn.data.importing.mapping import read_mapping
from robolearn.data.importing.plan import Options, Plan, plan_log
from robolearn.data.importing.read import Report
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.hardware.contracts import contract_of, read_contract
from robolearn.hardware.station import load_station
from robolearn.terminal import print_table

Logs = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="LOGS")]
Bag = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BAG")]
MapFile = Annotated[Path | None, tyro.conf.arg(name="map")]


def run_import(
    logs: Logs,
    to: Path,
    map_file: MapFile = None,
    bundle: str | None = None,
    contract: Path | None = None,
    station: str | None = None,
    unlabelled: bool = False,
    workers: int | None = None,
    json: bool = False,
) -> int:
    """Bring the episodes of logs into a store; what is in it already is not read again.

    Exit status 1 where something was left out: it is told why.

    Args:
        logs: rosbag2 directories or files, MCAP or sqlite3.
        to: the store; made if there is none.
        map_file: which topic is which channel, for logs that are not our own; `robolearn data inspect`
            proposes such a file.
        bundle: take its contract, for logs that carry none, or to see them with other cameras' sizes.
        contract: the same, from a contract.json.
        station: where the logs were recorded, if they do not tell: a name or a file.
        unlabelled: take episodes in which nobody commanded torques, too; keep them in a store of their own.
        workers: processes that read; one a core if not given.
        json: print everything as JSON.
    """
    if not logs:
        raise InputError("no logs are named: give directories or files of rosbag2")
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; there must be at least 1")
    if bundle is not None and contract is not None:
        raise InputError("--bundle and --contract are both given; one names the contract")
    if map_file is not None:
        if bundle is not None or contract is not None or station is not None:
            raise InputError(
                "--map names the contract; --bundle, --contract and --station are for logs of our own"
            )
        mapping = read_mapping(map_file)

        def plan(log: Path) -> Plan:
            return plan_mapped(log, mapping, unlabelled)
    else:
        place = None if station is None else load_station(station)
        options = Options(_contract(bundle, contract), place, unlabelled)

        def plan(log: Path) -> Plan:
            return plan_log(log, options)

    def tell(state: str, report: Report) -> None:
        if not json:
            print(line_of(state, report), flush=True)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = import_logs(logs, to, plan, workers or cores, tell)
    if json:
        print(dumps(done.to_dict(), indent=2))
    else:
        show(done, to)
    return 1 if done.refused or done.count(LEFT) else 0


def _contract(bundle: str | None, contract: Path | None) -> Contract | None:
    if bundle is not None:
        return contract_of(bundle)
    return None if contract is None else read_contract(contract)


def line_of(state: str, report: Report) -> str:
    """An episode's report for people."""
    words = [f"{state:<13} {report.log}/{report.episode}"]
    if report.refused:
        words.append(report.refused)
    elif state == ADDED:
        pieces = f" in {report.parts} pieces" if report.parts > 1 else ""
        words.append(f"{report.steps} steps{pieces}, {report.reason}")
    if not report.refused and report.counts:
        words.append("; ".join(f"{count} x {what}" for what, count in report.counts.items()))
    return ": ".join((words[0], "; ".join(words[1:]))) if words[1:] else words[0]


def show(done: Imported, to: Path) -> None:
    """Print what is to be known of the logs as a whole, and the sums."""
    for log, notes in done.notes.items():
        for note in notes:
            print(f"note          {log}: {note}")
    for log, why in done.refused.items():
        print(f"refused       {log}: {why}", file=sys.stderr)
    counts = ", ".join(f"{done.count(state)} {state}" for state in STATES)
    print(f"{to}: {counts}")


def run_inspect(
    bag: Bag,
    bundle: str | None = None,
    contract: Path | None = None,
    write: Path | None = None,
    json: bool = False,
) -> int:
    """Print what is in a bag: topics, rates, gaps, stamps; and propose a mapping file for the import.

    Args:
        bag: a rosbag2 directory or file, MCAP or sqlite3.
        bundle: what its episodes are to be for: cameras and joints are then matched with its contract.
        contract: the same, from a contract.json.
        write: put the proposed mapping file there, where nothing is yet.
        json: print everything as JSON.
    """
    named = bundle or ("" if contract is None else str(contract.resolve()))
    look = inspect_bag(bag, _contract(bundle, contract), named)
    if json:
        print(dumps(look.to_dict(), indent=2))
    else:
        show_look(look)
    if write is not None and look.proposal:
        if write.exists():
            raise InputError(f"{write} is there already; it is not overwritten")
        with replacing(write) as temporary:
            temporary.write_text(look.proposal, encoding="utf-8")
    return 0


def show_look(look: Look) -> None:
    """Print what was found for people."""
    rows = []
    for topic in look.topics:
        found = topic.summary
        rows.append(
            {
                "topic": found.name,
                "type": found.type,
                "messages": found.messages,
                "Hz": f"{found.rate:.1f}",
                "gaps": found.gaps,
                "longest s": f"{found.longest:.3f}",
                "lag ms": "" if topic.lag is None else f"{1e3 * topic.lag:.1f}",
                "content": topic.content,
            }
        )
    print_table(rows)
    for note in look.notes:
        print(f"note: {note}")
    print()
    if look.episodes:
        print(f"{len(look.episodes)} episodes of our own: no mapping file is needed")
    else:
        print(look.proposal, end="")
