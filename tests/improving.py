"""A loop small enough for tests: tiny policies, short episodes, and a gate that is told what to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_policies import save_small

from robolearn.data.episode import Episode
from robolearn.hardware.realities import load_reality
from robolearn.hardware.station import load_station
from robolearn.improving.course import Course, LoopConfig
from robolearn.improving.gate_config import GateConfig
from robolearn.improving.gate_record import Check, GateRecord
from robolearn.improving.gate_suite import read_suite, suite_hash
from robolearn.improving.loop import improve
from robolearn.improving.manner import Manner
from robolearn.improving.registry import now
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.policies.offline.bc import BCConfig
from robolearn.policies.offline.config import OfflineConfig
from robolearn.policies.offline.iql import IQLConfig
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec

CONFIG = LoopConfig(
    start="a" * 64,
    task="grasp",
    arm="panda",
    station="sim",
    reality="middle",
    reality_sha256="b" * 64,
    episodes=10,
    evaluate=10,
    exploration=0.1,
    prior=10,
    prior_store="",
    seed=0,
    control=False,
    ros=False,
    method="iql",
    steps=100,
    offline=OfflineConfig(),
    own=IQLConfig(),
    gate=GateConfig(),
)
"""What a loop does that nobody runs."""

MIDDLE = load_reality("middle", load_station("sim").arm)


def small_bundle(path: Path) -> Bundle:
    """The policy that the loop begins with."""
    if not path.exists():
        save_small(path)
    return load_bundle(path)


def small_config(start: Bundle, **changes: Any) -> LoopConfig:
    """What the small loop does."""
    values: dict[str, Any] = {
        "start": start.weights_hash,
        "reality_sha256": MIDDLE.sha256,
        "episodes": 2,
        "evaluate": 1,
        "exploration": 0.2,
        "prior": 0,
        "method": "bc",
        "steps": 6,
        "offline": OfflineConfig(batch=8, hidden=8),
        "own": BCConfig(),
    }
    return replace(CONFIG, **{**values, **changes})


def run(folder: Path, start: Bundle, config: LoopConfig, iterations: int = 2, **manner: Any) -> Course:
    """Improve, or go on improving."""
    with Course(folder, config, iterations, "robolearn improve") as course:
        improve(course, start, Manner(**manner))
    return course


def gate_saying(verdict: Callable[[Bundle], str], asked: list[Any] | None = None) -> Any:
    """Stands for `run_gate`; says of each candidate what it is told, and notes what it was given."""

    def gate(new: Bundle, incumbent: Bundle, config: GateConfig, **rest: Any) -> GateRecord:
        if asked is not None:
            given = {"new": new.weights_hash, "incumbent": incumbent.weights_hash, "config": config}
            asked.append({**given, **rest})
        said = verdict(new)
        suited = None if rest["suite"] is None else suite_hash(read_suite(rest["suite"]))
        return GateRecord(
            bundle=new.weights_hash,
            contract=new.contract.hash,
            task=new.task,
            arm=new.contract.arm,
            incumbent=incumbent.weights_hash,
            data=None,
            code={},
            config={"changes": {}, "suite": suited, **vars(config)},
            checks=(Check("success", said, True, f"it is {said}"),),
            at=now(),
        )

    return gate


class Here:
    """A pool without processes."""

    def __init__(self, workers: int = 1) -> None:
        self._runner = Runner()
        self._specs: list[EpisodeSpec] = []

    @property
    def pending(self) -> int:
        return len(self._specs)

    def submit(self, spec: EpisodeSpec) -> None:
        self._specs.append(spec)

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        specs, self._specs = self._specs, []
        return [(spec, self._runner(spec)) for spec in specs]

    def close(self) -> None:
        self._runner.close()

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
