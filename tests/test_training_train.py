from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_disk import small_disk
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training import progress, shelf
from robolearn.training import train as training
from robolearn.training.run import TrainConfig, read_config
from robolearn.training.shelf import load_batch
from robolearn.training.tally import Best, Clock, Tally
from robolearn.training.train import NotKept, train

CONFIG = TrainConfig(
    "peg-insertion",
    {"image_size": 16, "observe": ("front", "q", "dq"), "episode_seconds": 3.0},
    GuidedConfig(demonstrations=4, batch=16, free_share=1.0, scattered=1),
    VisuomotorConfig(channels=(4, 4), kernel=4, history=2),
    minutes=0.15,
    seed=5,
)
WORDS = "peg-insertion --image-size 16 --observe front q dq --episode-seconds 3 --learning.demonstrations 4 "
WORDS += "--learning.batch 16 --network.channels 4 4 --network.kernel 4 --network.history 2"
PATIENCE = 120.0  # seconds for anything on a busy machine


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that happens from time to time happens within the few seconds of a test."""
    for name in ("PUBLISH", "TELL", "CHECKPOINT"):
        monkeypatch.setattr(training, name, 0.2)
    monkeypatch.setattr(training, "AHEAD", 2)
    monkeypatch.setattr(shelf, "BATCH", 40)


def metrics(path: Path) -> list[dict[str, Any]]:
    file = path / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def end_when(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets the time be over when a condition holds, however fast the machine is."""

    def arrange(condition: Callable[[], object]) -> None:
        def share(clock: Clock) -> float:
            return 1.0 if condition() or clock.seconds > PATIENCE else 0.5

        monkeypatch.setattr(Clock, "share", property(share))

    return arrange


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:  # it has ended meanwhile
            continue
        if f"\nPPid:\t{pid}\n" in text:
            found.append(int(status.parent.name))
    return found


def running(pids: list[int]) -> list[int]:
    stats = {pid: Path(f"/proc/{pid}/stat") for pid in pids}
    return [pid for pid, stat in stats.items() if stat.exists() and " Z " not in stat.read_text()]


def start(path: Path, *words: str) -> subprocess.Popen[str]:
    words = (*WORDS.split(), "--run", str(path), *words)
    command = [sys.executable, "-m", "robolearn.cli", "train", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_training_leaves_all_that_it_should_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end_when: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "run"
    end_when(lambda: metrics(path) and metrics(path)[-1]["success"] is not None)
    result = train(replace(CONFIG, evaluate=1), path, command="robolearn train this")
    assert (result.bundle, result.report) == (path / "bundle", path / "report.html")
    assert not result.interrupted

    rows = metrics(path)
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    assert rows[-1]["steps"] > rows[0]["steps"] > 0
    assert rows[-1]["episodes"] > 2
    assert rows[-1]["frames"] > 30
    assert rows[-1]["losses"].keys() >= {"torque", "gripper", "state"}
    assert 0.0 <= rows[-1]["success"] <= 1.0
    events = EventAccumulator(str(path))
    events.Reload()
    scalars = events.Scalars("loss/torque")
    assert [event.step for event in scalars] == [row["steps"] for row in rows]

    bundle = load_bundle(path)
    assert bundle.contract == make("peg-insertion", CONFIG.changes).contract(history=2)
    assert bundle.changes == read_config(path, TrainConfig).to_dict()["changes"]
    assert bundle.card["command"] == "robolearn train this"
    assert bundle.card["training"]["gradient steps"] == rows[-1]["steps"]
    assert result.evaluation is not None
    assert bundle.card["evaluations"] == [result.evaluation.summary]
    assert json.loads((path / "evaluation.json").read_text())["episodes"] == 1
    assert "robolearn train this" in (path / "report.html").read_text()

    names = {file.name for file in path.iterdir() if "tfevents" not in file.name}
    files = {".lock", "checkpoint.pt", "config.json", "evaluation.json", "metrics.jsonl", "report.html"}
    assert names == files | {"bundle", "evaluation"}
    assert multiprocessing.active_children() == []
    assert re.search(r"0:\d\d/\d:\d\d", capsys.readouterr().err)  # the clock, for a person


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    process = start(path, "--minutes", "5")
    wait_for(lambda: (path / "checkpoint.pt").exists() and list(path.glob("episodes/[0-9]*.npz")))
    collectors = children(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not running(collectors))  # they end with their parent
    before = metrics(path)
    episodes = sum(len(load_batch(file)) for file in path.glob("episodes/[0-9]*.npz"))
    assert episodes > 4

    with pytest.raises(InputError, match="seed would change"):
        train(replace(read_config(path, TrainConfig), seed=1), path, resume=True)
    config = replace(read_config(path, TrainConfig), minutes=before[-1]["seconds"] / 60 + 0.1)
    started = time.monotonic()
    result = train(config, path, resume=True, command="again", started=started)
    assert not result.interrupted
    assert f"with {episodes} episodes" in capsys.readouterr().err

    after = metrics(path)[len(before) :]
    used = before[-1]["seconds"]
    assert all(row["seconds"] >= used for row in after)
    assert after[-1]["seconds"] - used <= time.monotonic() - started
    assert after[-1]["episodes"] >= episodes
    card = load_bundle(path).card
    assert card["training"]["resumed"] == 1
    assert card["command"] == f"robolearn train {WORDS} --run {path} --minutes 5"
    assert not (path / "episodes").exists()


def test_ctrl_c_keeps_the_policy_and_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start(path, "--minutes", "5")
    wait_for(lambda: metrics(path))
    family = children(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted: keeping the best policy so far" in err
    assert "Traceback" not in err
    assert f"robolearn train --resume {path}" in out
    wait_for(lambda: not running(family))
    bundle = load_bundle(path)
    assert bundle.card["training"]["interrupted"] == "yes"
    assert bundle.card["training"]["gradient steps"] == metrics(path)[-1]["steps"]
    kept = bundle.card["training"]["kept"]
    assert kept.startswith("the latest weights, of step")
    assert f"kept: {kept}\n" in err
    assert (path / "report.html").is_file()
    assert list(path.glob("episodes/[0-9]*.npz"))  # for --resume
    assert not (path / "snapshots").exists()


def test_ctrl_c_keeps_the_best_policy_even_of_before_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "RECENT", 2)
    best: list[Best] = []

    def judge(self: Tally, steps: int, weights: dict[str, Any]) -> None:
        """The policy never succeeds so early, nor does it get worse: say so for the first one."""
        if not best:
            best.append(Best(steps, 2, weights))
            self.best = best[0]

    asked: list[bool] = []

    def share(clock: Clock) -> float:
        if not asked and best and metrics(path) and metrics(path)[-1]["steps"] > best[0].steps:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return 0.5

    monkeypatch.setattr(Tally, "judge", judge)
    monkeypatch.setattr(Clock, "share", property(share))
    path = tmp_path / "run"
    for resume in (False, True):
        asked.clear()
        assert train(CONFIG, path, resume=resume).interrupted
        bundle = load_bundle(path)
        weights = bundle.network.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in best[0].weights.items())
        said = f"the weights of step {best[0].steps}, when the policy alone had succeeded in 2 of its last 2"
        assert bundle.card["training"]["kept"].startswith(said)
        assert f"kept: {said}" in capsys.readouterr().err
        assert bundle.card["training"]["gradient steps"] > best[0].steps


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start(path, "--minutes", "5")
    wait_for(lambda: metrics(path))
    family = children(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    wait_for(lambda: "interrupted" in process.stderr.readline())  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.endswith("robolearn: interrupted\n")
    assert not (path / "report.html").exists()
    wait_for(lambda: not running(family))


def test_ctrl_c_before_there_is_a_policy_keeps_none(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start(path, "--minutes", "5", "--learning.demonstrations", "1000")
    wait_for((path / "config.json").exists)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert metrics(path) == []  # a hundred demonstrations take longer than that
    assert "there is no policy to keep" in err
    assert not (path / "bundle").exists()


def test_a_killed_collector_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end_when: Callable[[Callable[[], object]], None]
) -> None:
    path, killed = tmp_path / "run", list[int]()

    def kill() -> None:
        wait_for(lambda: metrics(path))
        [process] = multiprocessing.active_children()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        killed.append(metrics(path)[-1]["episodes"])

    end_when(lambda: killed and metrics(path)[-1]["episodes"] > killed[0] + 4)
    killer = threading.Thread(target=kill)
    killer.start()
    result = train(CONFIG, path)
    killer.join()
    assert result.bundle is not None
    err = capsys.readouterr().err
    assert err.count("a collector died (exit code -9): another one does its episodes again") == 1


class FullDisk:
    """Lets no file reach the disk below a folder while it is full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.full, self.refused = folder, False, 0
        self._flush = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        if self.full and Path(os.readlink(f"/proc/self/fd/{number}")).is_relative_to(self.folder):
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._flush(file)

    def fill_when(self, condition: Callable[[], object], full: bool = True) -> None:
        def wait() -> None:
            wait_for(condition)
            self.full = full

        threading.Thread(target=wait, daemon=True).start()


def test_a_full_disk_ends_nothing_and_all_is_written_once_there_is_space(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end_when: Callable[[Callable[[], object]], None],
) -> None:
    path, said = tmp_path / "run", list[str]()
    monkeypatch.setattr(progress, "say", said.append)
    disk = FullDisk(tmp_path, monkeypatch)
    kinds = ("snapshots", "checkpoints", "episodes")
    why = "cannot be written (No space left on device); training goes on in memory"
    failed = [f"{kind} {why}" for kind in kinds]
    mended = [f"{kind} are written again" for kind in kinds]
    disk.fill_when(lambda: metrics(path))
    disk.fill_when(lambda: set(failed) <= set(said), full=False)
    end_when(lambda: set(mended) <= set(said))
    result = train(CONFIG, path)
    assert result.bundle == path / "bundle"
    assert all(said.count(line) == 1 for line in (*failed, *mended))
    assert load_bundle(path).card["training"]["gradient steps"] == metrics(path)[-1]["steps"]
    assert not list(path.glob(".*.pt"))  # nothing half written is left


def test_a_checkpoint_that_is_too_large_for_the_disk_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end_when: Callable[[Callable[[], object]], None]
) -> None:
    path, said = tmp_path / "run", list[str]()
    monkeypatch.setattr(progress, "say", said.append)
    end_when(lambda: len([line for line in said if line.startswith("checkpoints")]))
    with small_disk(1_500_000):  # room for a policy, but not for its optimiser beside it
        result = train(CONFIG, path)
    assert "checkpoints cannot be written (File too large); training goes on in memory" in said
    assert result.bundle == path / "bundle"
    assert result.report is not None
    assert load_bundle(path).card["training"]["interrupted"] == "no"
    assert not (path / "checkpoint.pt").exists()


def test_a_failure_in_a_collector_keeps_the_policy_and_lets_the_run_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end_when: Callable[[Callable[[], object]], None]
) -> None:
    path, ready = tmp_path / "run", training.LocalPool.ready

    def fail(pool: Any, timeout: float = 0.0) -> Any:
        if (path / "checkpoint.pt").exists():
            raise RuntimeError("an episode failed")
        return ready(pool, timeout)

    end_when(lambda: False)
    with monkeypatch.context() as patch:
        patch.setattr(training.LocalPool, "ready", fail)
        with pytest.raises(RuntimeError, match="an episode failed"):
            train(CONFIG, path)
    card = load_bundle(path).card["training"]
    assert card["interrupted"] == "yes"
    assert card["kept"].startswith("the latest weights, of step")
    assert (path / "report.html").is_file()
    assert multiprocessing.active_children() == []

    steps = metrics(path)[-1]["steps"]
    end_when(lambda: metrics(path)[-1]["steps"] > steps)
    assert train(CONFIG, path, resume=True).bundle is not None
    assert load_bundle(path).card["training"]["interrupted"] == "no"


def test_learning_that_diverges_keeps_the_last_weights_that_are_finite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end_when: Callable[[Callable[[], object]], None]
) -> None:
    end_when(lambda: False)
    learning = replace(CONFIG.learning, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"diverged.*try a smaller --learning\.learning-rate"):
        train(replace(CONFIG, learning=learning), tmp_path / "run")
    load_bundle(tmp_path / "run")  # it refuses weights that are not finite
    assert "learning has failed (FloatingPointError): keeping the best policy" in capsys.readouterr().err


def test_where_nothing_can_be_drawn_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end_when: Callable[[Callable[[], object]], None]
) -> None:
    end_when(lambda: False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MUJOCO_GL", "glfw")  # for the collectors: this process has its own already
    with pytest.raises(InputError, match="no picture can be drawn with MUJOCO_GL=glfw"):
        train(CONFIG, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_does_not_fit_on_the_disk_goes_where_temporary_files_go(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end_when: Callable[[Callable[[], object]], None],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    disk = FullDisk(tmp_path / "run", monkeypatch)
    disk.fill_when(lambda: metrics(tmp_path / "run"))
    end_when(lambda: disk.refused > 2)
    result = train(CONFIG, tmp_path / "run")
    assert result.bundle is not None
    assert result.bundle.parent == elsewhere
    assert result.report is None
    load_bundle(result.bundle)
    err = capsys.readouterr().err
    assert f"the policy cannot be written to {tmp_path / 'run' / 'bundle'} (No space left on device)" in err
    assert f"the policy is in {result.bundle}: move it to a safe place" in err
    assert "the report cannot be written (No space left on device)" in err


def test_a_policy_that_fits_nowhere_is_a_clear_error_and_can_be_had_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end_when: Callable[[Callable[[], object]], None]
) -> None:
    path = tmp_path / "run"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    disk = FullDisk(tmp_path, monkeypatch)
    disk.fill_when((path / "checkpoint.pt").exists)
    end_when(lambda: disk.refused > 2)
    with pytest.raises(NotKept, match=r"neither to .*bundle \(No space left.* free some space.*--resume"):
        train(CONFIG, path)
    assert not list(tmp_path.rglob("weights.safetensors"))
    disk.full = False
    result = train(CONFIG, path, resume=True)  # the time is used up: nothing but the end is repeated
    assert result.bundle == path / "bundle"
    load_bundle(path)


def test_learning_ends_when_the_time_since_the_start_of_the_process_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(CONFIG, tmp_path / "late", started=time.monotonic() - 60.0 * CONFIG.minutes)
    assert result.bundle is None  # importing has taken all of the time
    assert metrics(tmp_path / "late") == []
    assert "there is no policy to keep" in capsys.readouterr().err

    path = tmp_path / "run"
    seconds = Clock.seconds.fget  # type: ignore[attr-defined]
    jump = property(lambda clock: seconds(clock) + 600.0 * bool(metrics(path)))
    monkeypatch.setattr(Clock, "seconds", jump)  # ten minutes pass at once when learning has begun
    config = replace(CONFIG, minutes=10.0)
    assert train(config, path).bundle == path / "bundle"
    with pytest.raises(InputError, match="has used its 10 minutes; --minutes gives it more"):
        train(config, path, resume=True)


def test_nothing_is_made_of_what_is_refused(tmp_path: Path) -> None:
    for change in ({"device": "tpu"}, {"changes": {"shape": "star"}}, {"task": "grsp"}):
        with pytest.raises(InputError, match="choose one of"):
            train(replace(CONFIG, **change), tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is no run"):
        train(CONFIG, tmp_path / "run", resume=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_grasping_is_learned_well_above_chance_in_75_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # no hurry
    config = TrainConfig("grasp", {}, GuidedConfig(), VisuomotorConfig(), minutes=1.25, evaluate=30)
    result = train(config, tmp_path / "run")
    assert result.evaluation is not None
    assert result.evaluation.summary["success"]["rate"] > 0.3  # a policy that has learned nothing: 0
