"""`python -m robolearn.training.evidence`: the long measurements behind docs/results.md.

Every seed of an experiment is a cell: a training and its evaluations. Cells are measured one after another: a
training that is measured in minutes needs the whole machine. A cell's figures are kept in
evidence/<hash>/<experiment>-<seed>.json, where the hash is that of the experiment and of the code that its
outcome depends on; what is there is not measured again, and a training that was stopped goes on. Everything
runs on a copy of the package made at the start, so that the code may be worked on meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import functools
import hashlib
import json
import os
import platform
import resource
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.training.evidence_code import code_hash, watching_hash
from robolearn.training.evidence_figures import DISTURBED, in_short
from robolearn.training.evidence_tables import write_tables
from robolearn.training.experiments import EPISODES, EXPERIMENTS, Experiment
from robolearn.training.seeds import FIRST_SEED

ROOT = Path(__file__).parents[2]
RESULTS, RUNS = ROOT / "evidence", ROOT / "runs" / "evidence"


@dataclass(frozen=True)
class Cell:
    """One training of an experiment.

    Attributes:
        experiment: what is trained.
        seed: the training's.
        training: hash of all that the trained policy depends on.
        hash: of that and of what it is tried on.
    """

    experiment: Experiment
    seed: int
    training: str
    hash: str

    @property
    def name(self) -> str:
        return f"{self.experiment.name}-{self.seed}"

    @property
    def file(self) -> Path:
        """Where its figures are kept."""
        return RESULTS / self.hash / f"{self.name}.json"


def cells(package: Path) -> list[Cell]:
    """Every cell, for a copy of the package, in the order of the experiments."""
    found = []
    kinds = {(experiment.task, experiment.method) for experiment in EXPERIMENTS}
    codes = {kind: code_hash(package, *kind) for kind in kinds}
    watching = watching_hash(package)
    for experiment in EXPERIMENTS:
        code = codes[experiment.task, experiment.method]
        training = _hash(code, experiment.task, experiment.minutes, experiment.words)
        trials = [(*t.changes, "watched", watching) if t.watched else t.changes for t in experiment.trials]
        tried = _hash(training, trials, FIRST_SEED, EPISODES)
        found += [Cell(experiment, seed, training, tried) for seed in experiment.seeds]
    return found


def matching(every: list[Cell], only: str) -> list[Cell]:
    """The cells whose experiment or whose own name matches a pattern.

    Raises:
        InputError: none does.
    """
    chosen = [c for c in every if fnmatch.fnmatch(c.name, only) or fnmatch.fnmatch(c.experiment.name, only)]
    if not chosen:
        names = ", ".join(experiment.name for experiment in EXPERIMENTS)
        raise InputError(f"no experiment is called {only!r}: choose one of {names}, or a pattern as 'peg*'")
    return chosen


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def measure(cell: Cell, code: Path, commit: str | None) -> dict[str, Any]:
    """Train and evaluate a cell on a copy of the code, which is that of `commit`; returns its figures.

    Raises:
        subprocess.CalledProcessError: the training or an evaluation failed.
    """
    experiment = cell.experiment
    run = RUNS / f"{cell.name}-{cell.training}"
    words = ["train", experiment.task, "--seed", str(cell.seed), "--minutes", f"{experiment.minutes:g}"]
    foreign: float | None = None
    if not _trained(run):
        if (run / "config.json").is_file():
            words = ["train", "--resume", str(run)]
        else:
            shutil.rmtree(run, ignore_errors=True)
            words += ["--run", str(run), *experiment.words]
        busy, own, begin = _busy(), _own(), time.monotonic()
        _robolearn(code, words, RUNS / f"{cell.name}.log")
        if busy is not None:
            total = (_busy() or busy) - busy
            foreign = max(total - (_own() - own), 0.0) / (time.monotonic() - begin)
    card = json.loads((run / "bundle" / "card.json").read_bytes())
    trials = []
    for trial in experiment.trials:
        options = ["--episodes", str(EPISODES), "--seed", str(FIRST_SEED)]
        options += [word for change in trial.changes for word in ("--set", change)]
        verb = "compare" if trial.watched else "evaluate"
        found = json.loads(_robolearn(code, [verb, str(run), *options, "--json"], RUNS / f"{cell.name}.log"))
        summary = found[0] if trial.watched else found
        table = summary.pop("table")
        summary["command"] = shlex.join(["robolearn", verb, "RUN", *options])  # RUN is everybody's own
        summary["failed seeds"] = [row["seed"] for row in table if not row["success"]]
        trials.append({"title": trial.title, "changes": list(trial.changes), **summary})
    return {
        "experiment": asdict(experiment),
        "seed": cell.seed,
        "hash": cell.hash,
        "commit": commit,
        "command": f"{experiment.command} --seed {cell.seed}",
        "training": card["training"],
        "versions": card["versions"],
        "cores used by other work": None if foreign is None else round(foreign, 2),
        "machine": f"{os.cpu_count()} x {_processor()}",
        "measured": time.strftime("%Y-%m-%d"),
        "trials": trials,
    }


def _trained(run: Path) -> bool:
    """Whether a training has come to its end."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        card = json.loads((run / "bundle" / "card.json").read_bytes())
        return bool(card["training"]["interrupted"] == "no")
    return False


def _robolearn(code: Path, words: list[str], log: Path) -> str:
    """Run `robolearn` in a process of its own; returns what it printed."""
    command = [sys.executable, "-m", "robolearn.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    with log.open("a") as errors:
        done = subprocess.run(command, cwd=code, env=environment, stdout=subprocess.PIPE, stderr=errors)
    done.check_returncode()
    return done.stdout.decode()


def _commit() -> str | None:
    """The commit that the package is at, with a plus if it has been changed since; None if nobody knows."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = functools.partial(subprocess.check_output, cwd=ROOT, text=True, stderr=subprocess.DEVNULL)
        changed = git(["git", "status", "--porcelain", "--", "robolearn"])
        return git(["git", "rev-parse", "--short", "HEAD"]).strip() + ("+" if changed else "")
    return None


def _busy() -> float | None:
    """Seconds that the machine's cores have been busy since it was started; None where nothing tells."""
    try:
        times = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    except (OSError, ValueError, IndexError):
        return None
    user, nice, system, _, _, irq, soft, stolen = times[:8]
    return (user + nice + system + irq + soft + stolen) / float(os.sysconf("SC_CLK_TCK"))


def _own() -> float:
    """Seconds of computing of the processes that have ended below this one, and of this one."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def run(only: str = "*", list: bool = False, tables: bool = False) -> int:
    """Measure what docs/results.md says, cell after cell, and write its tables; goes on where it stopped.

    Args:
        only: experiments or cells to measure, such as "grasp", "peg-3mm-0" or "peg*".
        list: only list the cells and what is known of them.
        tables: only write the tables anew.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise InputError("evidence is made in a clone of the repository, not in an installed package")
    package = Path(__file__).parents[1]
    every = cells(package)
    chosen = matching(every, only)
    if list or tables:
        for cell in chosen if list else ():
            state = "missing"
            if cell.file.is_file():
                state = in_short(json.loads(cell.file.read_bytes()))
            print(f"{cell.name:<22}{cell.hash}  {cell.experiment.minutes:4g} min  {state}")
        if tables:
            write_tables(RESULTS, {cell.experiment.name: cell.hash for cell in every})
        return 0

    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError("another process is measuring already; two at once would spoil both") from None
        code, commit = RUNS / "code", _commit()
        shutil.rmtree(code, ignore_errors=True)
        shutil.copytree(package, code / "robolearn", ignore=shutil.ignore_patterns("__pycache__"))
        every = cells(code / "robolearn")
        chosen, hashes = matching(every, only), {cell.experiment.name: cell.hash for cell in every}
        failed = 0
        waiting = [cell for cell in chosen if not cell.file.is_file()]
        minutes = sum(cell.experiment.minutes for cell in waiting)
        _say(f"{len(waiting)} of {len(chosen)} cells to measure, {minutes / 60:.1f} h of training")
        for number, cell in enumerate(waiting, 1):
            _say(f"{number}/{len(waiting)}  {cell.experiment.command} --seed {cell.seed}")
            try:
                figures = measure(cell, code, commit)
            except subprocess.CalledProcessError as error:
                if error.returncode == 130:
                    raise KeyboardInterrupt from None
                _say(f"failed with status {error.returncode}; see {RUNS / cell.name}.log")
                failed += 1
                continue
            cell.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(cell.file) as temporary:
                temporary.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
            write_tables(RESULTS, hashes)
            _say(in_short(figures))
            if (foreign := figures["cores used by other work"] or 0.0) > DISTURBED:
                _say(f"other work used {foreign:g} cores meanwhile: an idle machine does better")
        write_tables(RESULTS, hashes)
    return 1 if failed else 0


def main() -> int:
    """Run the command with the words of the command line and return the exit status."""
    import tyro

    prog = "python -m robolearn.training.evidence"
    try:
        return tyro.cli(run, prog=prog, config=(tyro.conf.FlagCreatePairsOff,))
    except InputError as error:
        print(f"evidence: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("evidence: interrupted; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
