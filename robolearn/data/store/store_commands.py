"""What `robolearn data info` and `robolearn data verify` do, and what they print."""

from __future__ import annotations

import sys
import time
from collections import Counter
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.data.store.manifest import EpisodeRow, hash_of
from robolearn.data.store.store import Store
from robolearn.data.store.verification import shard_files, verify
from robolearn.terminal import print_table

StorePath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="STORE")]

QUIET = 10.0  # seconds between lines that say how far it is


def run_info(store: StorePath, json: bool = False) -> int:
    """Print what is in a store: its layout, its episodes by task, policy and outcome, and how large it is.

    Args:
        store: the store's directory.
        json: print everything as JSON.
    """
    with Store.open(store) as opened:
        episodes, layout = opened.episodes(), opened.layout
        size = sum(path.stat().st_blocks * 512 for path in shard_files(opened))
    steps = sum(row.steps for row in episodes)
    rows = tabulate(episodes)
    if json:
        found = {
            "store": str(store),
            "episodes": len(episodes),
            "steps": steps,
            "bytes": size,
            "hash": hash_of(episodes),
            "layout": layout,
            "origins": dict(Counter(row.origin for row in episodes)),
            "groups": rows,
        }
        print(dumps(found, indent=2))
        return 0
    print(f"{store}: {len(episodes)} episodes, {steps} steps, {size / 1e6:.1f} MB on the disk")
    print(f"  hash: {hash_of(episodes)}")
    for thing, what in layout.items():
        print(f"  {thing}: {what}")
    if rows:
        print()
        print_table([{**row, "policy": row["policy"][:12] or "unknown"} for row in rows])
    return 0


def tabulate(episodes: list[EpisodeRow]) -> list[dict[str, Any]]:
    """Episodes by task, policy and why they ended: how many, their steps, and what was done to requests."""
    groups: dict[tuple[str, str, str], list[EpisodeRow]] = {}
    for row in episodes:
        groups.setdefault((row.task, row.policy, row.reason), []).append(row)
    return [
        {
            "task": task,
            "policy": policy,
            "ended": reason,
            "episodes": len(group),
            "successes": sum(row.success for row in group),
            "steps": sum(row.steps for row in group),
            "altered": sum(row.altered for row in group),
            "by operator": sum(row.operator for row in group),
            "by monitor": sum(row.monitor for row in group),
        }
        for (task, policy, reason), group in sorted(groups.items())
    ]


def run_verify(store: StorePath, json: bool = False) -> int:
    """Compare every byte of a store with its checksums; exit status 1 where one differs.

    Args:
        store: the store's directory.
        json: print what was found as JSON.
    """
    problems: list[str] = []
    episodes, told = -1, time.monotonic()
    with Store.open(store) as opened:
        total = len(opened.episodes())
        for found in verify(opened):
            episodes += 1
            problems += found
            if time.monotonic() - told > QUIET:
                told = time.monotonic()
                print(f"{episodes}/{total} episodes", file=sys.stderr, flush=True)
    if json:
        print(dumps({"store": str(store), "episodes": episodes, "problems": problems}, indent=2))
    else:
        for problem in problems:
            print(f"damaged  {problem}")
        print(f"{store}: {episodes} episodes, {'nothing' if not problems else len(problems)} wrong")
    return 1 if problems else 0
