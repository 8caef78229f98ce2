"""How well estimates from logs rank ten policies whose success is known.

    python benchmarks/ope.py runs/ope

Everything lies in the folder and is not made again, so that a run that was stopped goes on:

    candidates/      the shipped grasping policy with noise on its weights: from good to useless
    policies.json    ten of them, picked by a first look so that at least five succeed in 0.6 to 0.95
    store/           episodes of three others, pushed about, which made the logs
    truths.json      success of the ten on held-out episodes, and its discounted value
    estimates/       what fitted Q evaluation and the doubly robust estimate say, from pixels and from state
    ope.json         rank correlation, regret@1, calibration; printed as a table

The candidates' first look, the logs and the truths use different seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robolearn.data.store.store import Store
from robolearn.files import replacing
from robolearn.policies.bundle import load_bundle, save_bundle
from robolearn.policies.evaluation.behaviour import fit_behaviour
from robolearn.policies.evaluation.doubly_robust import doubly_robust, expectations, trajectories
from robolearn.policies.evaluation.fqe import FQEConfig, fitted_q
from robolearn.policies.evaluation.logged import Logged, read_logged
from robolearn.policies.evaluation.phases import read_phases
from robolearn.policies.evaluation.ranking import ranking
from robolearn.policies.evaluation.support import unsupported
from robolearn.terminal import print_table
from robolearn.training.evaluation import evaluate
from robolearn.training.pool import LocalPool, map_episodes
from robolearn.training.rollout import EpisodeSpec

START = "grasp"
SPREADS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
"""Standard deviations of the noise on each weight, as a share of its layer's spread."""

DRAWS = 4
WANTED = (0.1, 0.35, 0.5, 0.62, 0.7, 0.78, 0.84, 0.9, 0.94, 1.0)
"""Success that the ten are picked for."""

LOGGING = (0.55, 0.75, 0.9)
"""Success that those who make the logs are picked for."""

LOOK_SEED, LOG_SEED, TRUTH_SEED = 10_000, 20_000, 300_000
PUSH = 0.2
"""Size of the pushes in the logs, as `EpisodeSpec.noise`."""

STATE = ("q", "dq", "tau", "gripper", "state")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--look", type=int, default=40, help="episodes of the first look at a candidate")
    parser.add_argument("--episodes", type=int, default=300, help="held-out episodes of each policy")
    parser.add_argument("--logged", type=int, default=300, help="episodes in the logs")
    parser.add_argument("--updates", type=int, default=4000, help="gradient steps of fitted Q evaluation")
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)

    chosen = kept(folder / "policies.json", lambda: choose(folder, arguments.look, arguments.workers))
    write_logs(folder, chosen["logging"], arguments.logged, arguments.workers)
    truths = kept(
        folder / f"truths-{arguments.episodes}.json",
        lambda: find_truths(folder, chosen["ten"], arguments.episodes, arguments.discount, arguments.workers),
    )
    tag = f"{arguments.logged}-{arguments.updates}-{arguments.discount:g}"
    estimates = {
        eyes: [
            kept(folder / "estimates" / f"{eyes}-{tag}-{name}.json", make)
            for name, make in estimators(folder, chosen["ten"], eyes, arguments)
        ]
        for eyes in ("pixels", "state")
    }
    report(folder, chosen["ten"], truths, estimates)
    return 0


def kept(path: Path, make: Any) -> Any:
    """What lies in a file; made and put there first if there is none."""
    if not path.is_file():
        value = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value, indent=1))
    return json.loads(path.read_text())


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- policies, logs, truths ---------------------------------------------------------------------------------


def candidates(folder: Path) -> dict[str, Path]:
    """The shipped policy and its noisy copies, by name."""
    places = {}
    for spread in SPREADS:
        for draw in range(DRAWS):
            name = f"{spread:g}-{draw}"
            places[name] = folder / "candidates" / name
            if places[name].exists():
                continue
            bundle = load_bundle(START)
            generator = torch.Generator().manual_seed(1000 * draw + round(100 * spread))
            with torch.no_grad():
                for weights in bundle.network.parameters():
                    noise = torch.randn(weights.shape, generator=generator)
                    weights.add_(spread * weights.std() * noise)
            save_bundle(places[name], bundle.network, bundle.contract, bundle.task, bundle.changes, {})
    return places


def choose(folder: Path, look: int, workers: int | None) -> dict[str, Any]:
    """Ten policies to rank, and three others that make the logs, by a first look."""
    seen = {}
    for name, place in candidates(folder).items():
        figures = kept(
            folder / "looks" / f"{name}.json",
            lambda place=place: evaluate(place, look, LOOK_SEED, workers=workers).summary["success"],
        )
        seen[name] = figures["rate"]
        say(f"candidate {name}: {seen[name]:.3f}")
    left = dict(seen)
    picked: dict[str, list[str]] = {"ten": [], "logging": []}
    for group, rates in (("logging", LOGGING), ("ten", WANTED)):
        for rate in rates:
            name = min(left, key=lambda name: abs(left[name] - rate))
            picked[group].append(name)
            left.pop(name)
    return {**picked, "looks": seen}


def write_logs(folder: Path, logging: list[str], episodes: int, workers: int | None) -> None:
    """Episodes of the policies that make the logs, in turns."""
    with Store.open_or_create(folder / "store") as store:
        there = len(store.episodes())
        if there >= episodes:
            return
        bundle = load_bundle(START)
        changes = {**bundle.changes, "observe": ("front", "wrist", *STATE)}
        specs = [
            EpisodeSpec(
                bundle.task,
                changes,
                LOG_SEED + i,
                str((folder / "candidates" / logging[i % len(logging)]).resolve()),
                noise=PUSH,
            )
            for i in range(there, episodes)
        ]
        with LocalPool(workers or 1) as pool:
            for i, episode in enumerate(map_episodes(pool, specs, ahead=4)):
                store.add(episode, origin="benchmarks/ope.py", policy=logging[(there + i) % len(logging)])
                if (i + 1) % 50 == 0:
                    say(f"logs: {there + i + 1} of {episodes} episodes")


def find_truths(
    folder: Path, names: list[str], episodes: int, discount: float, workers: int | None
) -> dict[str, Any]:
    """Success of each policy, and its discounted value, which is what estimates are about."""
    found = {}
    for name in names:
        place = folder / "candidates" / name
        evaluation = kept(
            folder / "truths" / f"{name}-{episodes}.json",
            lambda place=place: json.loads(evaluate(place, episodes, TRUTH_SEED, workers=workers).to_json()),
        )
        values = [discount ** (row["steps"] - 1) * row["success"] for row in evaluation["table"]]
        found[name] = {**evaluation["success"], "value": float(np.mean(values))}
        say(f"truth of {name}: {found[name]['rate']:.3f}, discounted {found[name]['value']:.3f}")
    return found


# --- estimates ----------------------------------------------------------------------------------------------


def estimators(
    folder: Path, names: list[str], eyes: str, arguments: argparse.Namespace
) -> Iterator[tuple[str, Any]]:
    """Of each policy, what makes its estimates; the logs are read when the first is needed."""
    read: list[Any] = []

    def logs() -> Any:
        if not read:
            logged, proposed, phase = read_logs(folder, names, eyes, arguments)
            size = f"{len(logged.action)} actions, {logged.features.shape[1]} features"
            say(f"{eyes}: {len(logged)} episodes, {size}")
            read.extend((logged, proposed, phase, fit_behaviour(logged)))
        return read

    for name in names:

        def make(name: str = name) -> dict[str, Any]:
            logged, proposed, phase, behaviour = logs()
            found = fitted_q(logged, proposed[name], FQEConfig(updates=arguments.updates))
            expected = expectations(logged, proposed[name], behaviour, found)
            robust = doubly_robust(trajectories(logged, proposed[name], behaviour, *expected))
            half = 1.96 * float(found.values.std(ddof=1))
            support = unsupported(logged, proposed[name], behaviour, phase)
            figures = f"fitted {found.value:.3f}, robust {robust.value:.3f}, {support.share:.3f} unsupported"
            say(f"{eyes}, {name}: {figures}")
            return {
                "fitted": [found.value, found.value - half, found.value + half],
                "robust": [robust.value, robust.low, robust.high],
                "effective": robust.effective,
                "unsupported": support.share,
                "phases": support.phases,
            }

        yield name, make


def read_logs(
    folder: Path, names: list[str], eyes: str, arguments: argparse.Namespace
) -> tuple[Logged, dict[str, Any], Any]:
    """The logs as estimates take them, every policy's actions there, and phases; kept in a file."""
    file = folder / f"read-{eyes}-{arguments.logged}-{arguments.discount:g}.npz"
    parts = [f.name for f in fields(Logged)]
    if not file.is_file():
        with Store.open(folder / "store") as store:
            episodes = store.episodes()[: arguments.logged]
            logged, proposed = read_logged(
                store,
                episodes,
                [load_bundle(START).network] if eyes == "pixels" else [],
                {name: load_bundle(folder / "candidates" / name).network for name in names},
                readings=() if eyes == "pixels" else STATE,
                discount=arguments.discount,
            )
            arrays = {name: getattr(logged, name) for name in parts}
            arrays |= {f"policy {name}": actions for name, actions in proposed.items()}
            with replacing(file) as temporary:
                np.savez(temporary, phase=read_phases(store, episodes), **arrays)
    with np.load(file) as kept_arrays:
        arrays = dict(kept_arrays)
    logged = Logged(**{**{name: arrays[name] for name in parts}, "discount": float(arrays["discount"])})
    return logged, {name: arrays[f"policy {name}"] for name in names}, arrays["phase"]


def report(folder: Path, names: list[str], truths: Any, estimates: dict[str, list[Any]]) -> None:
    """Print what became of it, and keep it."""
    success = [truths[name]["rate"] for name in names]
    values = [truths[name]["value"] for name in names]
    rows = []
    for i, name in enumerate(names):
        row: dict[str, Any] = {"policy": name, "success": f"{success[i]:.3f}", "value": f"{values[i]:.3f}"}
        for eyes, found in estimates.items():
            row |= {
                f"FQE {eyes}": f"{found[i]['fitted'][0]:.3f}",
                f"DR {eyes}": f"{found[i]['robust'][0]:.3f}",
            }
            row |= {
                f"n {eyes}": f"{found[i]['effective']:.1f}",
                f"out {eyes}": f"{found[i]['unsupported']:.3f}",
            }
        rows.append(row)
    print_table(sorted(rows, key=lambda row: row["success"]))
    print()
    summary = []
    for eyes, found in estimates.items():
        for kind, title in (("fitted", "FQE"), ("robust", "DR")):
            bounds = [(entry[kind][1], entry[kind][2]) for entry in found]
            result = ranking([entry[kind][0] for entry in found], values, success, bounds)
            summary.append(
                {
                    "estimate": f"{title}, {eyes}",
                    "Spearman": f"{result.spearman:.3f}",
                    "regret@1": f"{result.regret:.3f}",
                    "error": f"{result.error:.3f}",
                    "slope": f"{result.slope:.2f}",
                    "covered": f"{result.covered:.2f}",
                }
            )
        support = ranking([-entry["unsupported"] for entry in found], values, success)
        summary.append({**dict.fromkeys(summary[-1], ""), "estimate": f"less unsupported, {eyes}"})
        summary[-1] |= {"Spearman": f"{support.spearman:.3f}", "regret@1": f"{support.regret:.3f}"}
    print_table(summary)
    between = sum(0.6 <= rate <= 0.95 for rate in success)
    print(f"\n{between} of {len(names)} policies succeed in 0.6 to 0.95")
    with replacing(folder / "ope.json") as temporary:
        temporary.write_text(json.dumps({"policies": rows, "ranking": summary}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
