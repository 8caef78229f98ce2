"""Gradient steps a second of the online methods, and of stable-baselines3's SAC in the same run.

Networks of two layers of 256, batches of 256, of the grasping task's readings, state and actions; each
gradient step draws its batch. `sac, as the peer` has what stable-baselines3's has: two critics of one
number each, no normalised layers, a step of the policy for each of the critics. The other rows are what
`robolearn train` does unless told otherwise. One thread; counted is the time on the CPU, rounds of two
steps alternate, and the fastest of each counts: what else a machine does hardly matters. Also measured:
steps of the arm a second that one collector brings, with an actor as large.

    python benchmarks/online_speed.py
    python -m venv S; S/bin/pip install stable-baselines3
    python benchmarks/online_speed.py --peer-python S/bin/python --json
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import rich
import torch
import tyro
from rich.table import Table

from robolearn.data.episode import Episode
from robolearn.policies.offline.batch import draw
from robolearn.policies.online.actor import SoftActor
from robolearn.policies.online.config import OnlineConfig
from robolearn.policies.online.learner import OnlineLearner
from robolearn.policies.online.methods import METHODS
from robolearn.policies.online.replay import Replay
from robolearn.policies.online.sac import SAC, SACConfig
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig
from robolearn.training.online.playing import Play, Player, Policy
from robolearn.training.rollout import EpisodeSpec

CHANNELS = {"q": 7, "dq": 7, "tau": 7, "gripper": 2, "state": 11}
ACTION = 8
BATCH = 256
REACH = np.array([20.0] * 4 + [1.0] * 3)
PEER = Path(__file__).parent / "peers" / "sb3_sac_updates.py"
AS_THE_PEER = OnlineConfig(quantiles=1, pessimism="lowest", layer_norm=False)


class Peer:
    """stable-baselines3 in a process of its own."""

    def __init__(self, python: Path) -> None:
        words = [str(python), str(PEER), str(sum(CHANNELS.values())), str(ACTION), str(BATCH)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = self._answer().removeprefix("ready ")

    def seconds(self, updates: int) -> float:
        """What so many updates take [s]."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{updates}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"stable-baselines3 ended: run {PEER} by hand to see why")
        return line.strip()


def actor() -> SoftActor:
    torch.manual_seed(0)
    reach = torch.from_numpy(REACH).float()
    network = Visuomotor(VisuomotorConfig(), {}, CHANNELS, 0, ACTION)
    return SoftActor(network, -reach, reach, 0.5 * reach)


def learners() -> dict[str, OnlineLearner]:
    """By the names of the rows."""
    cpu = torch.device("cpu")
    rows: dict[str, OnlineLearner] = {
        "sac, as the peer": SAC(actor(), AS_THE_PEER, SACConfig(delay=1), None, cpu)
    }
    for name, kind in METHODS.items():
        shared = replace(kind.beginning, batch=BATCH)
        rows[name] = kind(actor(), shared, kind.config_type(), None, cpu)
    return rows


def collected() -> tuple[list[Episode], float]:
    """Some episodes, and the steps a second that came, on the CPU; whole ones, as a policy collects them."""
    player, policy = Player(), Policy(actor(), actor().network).packed()
    episodes: list[Episode] = []
    for seed in range(6):
        if seed == 1:  # the first has compiled what there is to compile
            started = time.process_time()
        spec = EpisodeSpec("grasp", {"observe": tuple(CHANNELS)}, 1_000_000 + seed)
        episodes.append(player(Play(spec, REACH, policy, 1)))
    seconds = time.process_time() - started
    player.close()
    return episodes, sum(map(len, episodes[1:])) / seconds


def main(
    peer_python: Path | None = None,
    rounds: int = 50,
    precision: Literal["medium", "highest"] = "medium",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure every method and print its figures.

    Args:
        peer_python: the Python of an environment with stable-baselines3.
        rounds: of each method; one is two gradient steps.
        precision: of our matrix products, as torch.set_float32_matmul_precision takes it; trainings: medium.
        as_json: print JSON instead of a table.
    """
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(precision)
    peer = Peer(peer_python) if peer_python is not None else None
    episodes, steps = collected()
    replay, rng = Replay(5000, tuple(CHANNELS), shaping=0.5), np.random.default_rng(0)
    for episode in episodes:
        replay.add(episode)
    updates, rows = 2, []
    for name, learner in learners().items():
        ours, theirs = [], []
        for _ in range(1 + rounds):
            started = time.process_time()
            for _ in range(updates):
                learner.update(draw(replay, BATCH, rng, learner.device))
            ours.append(time.process_time() - started)
            if peer is not None:
                theirs.append(peer.seconds(updates))
        row = {"method": name, "updates_per_second": updates / min(ours[1:])}
        if theirs:
            row["sb3_sac"] = updates / min(theirs[1:])
            row["ratio"] = min(theirs[1:]) / min(ours[1:])
        rows.append(row)
    if as_json:
        versions = {"torch": torch.__version__, "sb3": peer.versions if peer else None}
        print(json.dumps({**versions, "arm_steps_per_second": steps, "rows": rows}, indent=2))
        return
    table = Table("method", "updates/s", "SB3's SAC", "ratio")
    for row in rows:
        more = [f"{row[name]:.2f}" if name in row else "" for name in ("sb3_sac", "ratio")]
        table.add_row(str(row["method"]), f"{row['updates_per_second']:.1f}", *more)
    rich.print(table)
    rich.print(f"batch {BATCH}, one thread, torch {torch.__version__}; a collector: {steps:.0f} steps/s")


if __name__ == "__main__":
    tyro.cli(main)
