"""What `robolearn compare` does, and what it prints."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import tyro

from robolearn.comparing.compare import Compared, compare
from robolearn.errors import InputError
from robolearn.files import check_writable, replacing
from robolearn.policies.bundle import load_bundle
from robolearn.terminal import print_table
from robolearn.training.commands import Changes
from robolearn.training.configuration import parse_changes
from robolearn.training.progress import progress_of
from robolearn.training.seeds import FIRST_SEED

Policies = Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="POLICY ...")]


def run_compare(
    policies: Policies,
    episodes: int = 200,
    seed: int = FIRST_SEED,
    changes: Changes = (),
    workers: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Try policies on the same held-out episodes: how often each succeeds, and where its errors lie.

    Args:
        policies: bundles' directories, training runs' directories, or shipped bundles' names, of one task.
        episodes: how many.
        seed: of the first episode, from 0 to 999999; the others follow it.
        changes: the task's parameters to change, such as clearance=1mm.
        workers: processes that simulate; one a core if not given.
        out: file for all figures (JSON).
        json: print all figures as JSON.
    """
    if not policies:
        raise InputError("what is to be compared? give one policy or more")
    task = load_bundle(policies[0]).task
    parsed = parse_changes(task, [word for group in changes for word in group])
    if out is not None:
        check_writable(out.parent)  # now: figures take minutes
    with progress_of(episodes * len(policies)) as progress:
        found = compare(policies, episodes, seed, parsed, workers=workers, progress=progress)
    text = dumps([entry.to_dict() for entry in found], indent=2, allow_nan=False)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(text + "\n")
        print(f"figures  {out}", file=sys.stderr)
    if json:
        print(text)
        return 0
    print_table([_row(name, entry) for name, entry in zip(policies, found, strict=True)])
    if found[0].perception:
        print("\nerrors near the hole, root mean squares [mm]; bias: of an episode's mean")
        print_table(
            [row for name, entry in zip(policies, found, strict=True) for row in _errors(name, entry)]
        )
    return 0


ALONG = ("along", "along/across", "bias along")


def _row(name: str, entry: Compared) -> dict[str, Any]:
    summary = entry.evaluation.summary
    success, seconds = summary["success"], summary["seconds_to_success"]
    force = summary["peak_force"]
    difference = "" if entry.interval is None else f"{entry.difference:+.3f} ({_ends(entry.interval, '+')})"
    return {
        "policy": name,
        "method": entry.method,
        "success": f"{success['rate']:.3f} ({_ends(tuple(success['interval']))})",
        "to the first": difference,
        "seconds": "" if seconds is None else f"{seconds['mean']:.2f}",
        "peak N": "" if force is None else f"{force['mean']:.0f}",
        "jams": summary["jams"],
    }


def _errors(name: str, entry: Compared) -> list[dict[str, Any]]:
    """A row of each kind; of what is implied the part across alone, as the part along is no belief."""
    rows = [
        {
            "policy": name,
            "error": kind,
            "along": _ranged(found.along, found.along_interval, 1e3),
            "across": _ranged(found.across, found.across_interval, 1e3),
            "along/across": _ranged(found.ratio, found.ratio_interval),
            "bias along": f"{1e3 * found.bias_along:.2f}",
            "bias across": f"{1e3 * found.bias_across:.2f}",
            "frames": found.frames,
        }
        for kind, found in entry.perception.items()
    ]
    return [row | (dict.fromkeys(ALONG, "") if row["error"] == "implied" else {}) for row in rows]


def _ranged(value: float, interval: tuple[float, float] | None, scale: float = 1.0) -> str:
    ends = "" if interval is None else f" ({scale * interval[0]:.2f} to {scale * interval[1]:.2f})"
    return f"{scale * value:.2f}{ends}"


def _ends(interval: tuple[float, ...], sign: str = "") -> str:
    return f"{interval[0]:{sign}.3f} to {interval[1]:{sign}.3f}"
