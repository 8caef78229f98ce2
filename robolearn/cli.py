"""The command `robolearn`: it parses and calls.

A subcommand is one small function here, marked with `@command`. It gets the words after its name, returns
the exit status, and imports what it needs itself, so that `robolearn --help` starts at once. The first line
of its docstring stands in `robolearn --help`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping

from robolearn import __version__
from robolearn.errors import InputError, choose
from robolearn.terminal import parse, print_table

Command = Callable[[list[str]], int]

HELP = ("-h", "--help", "help")

COMMANDS: dict[str, Command] = {}
DATA_COMMANDS: dict[str, Command] = {}
"""What follows `robolearn data`."""

_HELP = """\
usage: robolearn COMMAND [options]

Teach a robot arm to manipulate: from camera pixels to joint torques.

commands:
{commands}

`robolearn COMMAND --help` explains a command; `robolearn --version` prints the version.
"""

_DATA_HELP = """\
usage: robolearn data COMMAND [options]

Training stores: what is in them, and what brings episodes in and out.

commands:
{commands}

`robolearn data COMMAND --help` explains a command.
"""


def command(function: Command) -> Command:
    """Make `function` the subcommand of its name (an underscore becomes a hyphen)."""
    COMMANDS[_name(function)] = function
    return function


def data_command(function: Command) -> Command:
    """The same for `robolearn data`; the name of `data_info` there is "info"."""
    DATA_COMMANDS[_name(function).removeprefix("data-")] = function
    return function


def _name(function: Command) -> str:
    return function.__name__.replace("_", "-")


@command
def doctor(arguments: list[str]) -> int:
    """Check this machine: packages, rendering, compilation, torch, ROS; say what to do about each problem."""
    from robolearn.doctor import run

    return parse("doctor", run, arguments)


@command
def arms(arguments: list[str]) -> int:
    """List the arms that are known; a file of one's own takes a name's place anywhere."""
    from robolearn.hardware.arm import arm_names, load_arm

    def show(json: bool = False) -> int:
        """List the arms that are known; a file of one's own takes a name's place anywhere.

        Args:
            json: print the list as JSON.
        """
        profiles = [load_arm(name) for name in arm_names()]
        rows = [{"name": arm.name, "joints": arm.n, "title": arm.title} for arm in profiles]
        print_table(rows, json)
        return 0

    return parse("arms", show, arguments)


@command
def tasks(arguments: list[str]) -> int:
    """List the tasks with their parameters and defaults."""
    from robolearn.training.tasks_command import run_tasks

    return parse("tasks", run_tasks, arguments)


@command
def train(arguments: list[str]) -> int:
    """Train a policy for a task with a teacher, from pixels and joint readings to joint torques."""
    from robolearn.training.train_command import run_train

    return run_train(arguments)


@command
def finetune(arguments: list[str]) -> int:
    """Improve a policy with logged episodes and a few new ones, never below where it began."""
    from robolearn.training.offline.finetune_command import run_finetune

    return run_finetune(arguments)


@command
def compare(arguments: list[str]) -> int:
    """Try policies on the same held-out episodes: how often each succeeds, and where its errors lie."""
    from robolearn.comparing.compare_command import run_compare

    return parse("compare", run_compare, arguments)


@command
def evaluate(arguments: list[str]) -> int:
    """Run a policy on held-out episodes: success with its interval, forces, limiter, failures on film."""
    from robolearn.training.commands import run_evaluate

    return parse("evaluate", run_evaluate, arguments)


@command
def report(arguments: list[str]) -> int:
    """Write a training run's report anew: curves, success with its interval, film strips, a video."""
    from robolearn.training.commands import run_report

    return parse("report", run_report, arguments)


@command
def export(arguments: list[str]) -> int:
    """Write a policy as an ONNX file for other runtimes."""
    from robolearn.training.commands import run_export

    return parse("export", run_export, arguments)


@command
def bundles(arguments: list[str]) -> int:
    """List the trained policies that come with the package, with their measured success."""
    from robolearn.training.commands import run_bundles

    return parse("bundles", run_bundles, arguments)


@command
def up(arguments: list[str]) -> int:
    """Deploy a policy behind the safety monitor, at the simulated arm or at a real one, on one screen."""
    from robolearn.hardware.bringup.up_command import run_up

    return run_up(arguments)


@command
def logs(arguments: list[str]) -> int:
    """Look into logs, and recover those that were killed."""
    from robolearn.hardware.recording.logs_command import run_logs

    return run_logs(arguments)


@command
def gate(arguments: list[str]) -> int:
    """Judge whether a policy may take another one's place: success, faults, perturbations, logs; say why."""
    from robolearn.improving.gate_command import run_gate_command

    return parse("gate", run_gate_command, arguments)


@command
def improve(arguments: list[str]) -> int:
    """Deploy a policy, learn from what was logged, let the better one take its place, and again."""
    from robolearn.improving.improve_command import run_improve

    return run_improve(arguments)


@command
def registry(arguments: list[str]) -> int:
    """Keep policies by their hash, and say which of them may run autonomously; roll back in one command."""
    from robolearn.improving.registry_command import run_registry

    return run_registry(arguments)


@command
def calibrate(arguments: list[str]) -> int:
    """Measure a station's cameras with a printed board: how they see, and where they stand."""
    from robolearn.hardware.calibration.calibrate_command import run_calibrate

    return run_calibrate(arguments)


@command
def data(arguments: list[str]) -> int:
    """Fill training stores and look into them: `robolearn data --help` lists how."""
    if not arguments or arguments[0] in HELP:
        print(_help(_DATA_HELP, DATA_COMMANDS), end="")
        return 0 if arguments else 2
    return DATA_COMMANDS[choose("data command", arguments[0], DATA_COMMANDS)](arguments[1:])


@data_command
def data_import(arguments: list[str]) -> int:
    """Bring the episodes of logs into a store: rosbag2 files, our own or, with a mapping file, anybody's."""
    from robolearn.hardware.recording.extra import require_logs

    require_logs()
    from robolearn.data.importing.import_command import run_import

    return parse("data import", run_import, arguments)


@data_command
def data_inspect(arguments: list[str]) -> int:
    """Look into a bag: topics, rates, gaps, stamps; propose the mapping file that imports it."""
    from robolearn.hardware.recording.extra import require_logs

    require_logs()
    from robolearn.data.importing.import_command import run_inspect

    return parse("data inspect", run_inspect, arguments)


@data_command
def data_export(arguments: list[str]) -> int:
    """Write a store's episodes as a LeRobotDataset, a robomimic file or a Minari dataset."""
    from robolearn.data.exchange.exchange_commands import run_export

    return parse("data export", run_export, arguments)


@data_command
def data_import_dataset(arguments: list[str]) -> int:
    """Bring a LeRobotDataset, a robomimic file or a Minari dataset into a store."""
    from robolearn.data.exchange.exchange_commands import run_import_dataset

    return parse("data import-dataset", run_import_dataset, arguments)


@data_command
def data_generate(arguments: list[str]) -> int:
    """Fill a store with simulated episodes: good, noisy, mixed or mostly failing ones."""
    from robolearn.training.generate_command import run_generate

    return parse("data generate", run_generate, arguments)


@data_command
def data_info(arguments: list[str]) -> int:
    """Print what is in a store: episodes by task, policy and outcome, and how large it is."""
    from robolearn.data.store.store_commands import run_info

    return parse("data info", run_info, arguments)


@data_command
def data_verify(arguments: list[str]) -> int:
    """Compare every byte of a store with its checksums; exit status 1 where one differs."""
    from robolearn.data.store.store_commands import run_verify

    return parse("data verify", run_verify, arguments)


@data_command
def data_doctor(arguments: list[str]) -> int:
    """Look for what is wrong with a store's episodes: sensors, torques, copies, balance, coverage; a page."""
    from robolearn.data.doctor.doctor_command import run_doctor

    return parse("data doctor", run_doctor, arguments)


def _help(text: str, commands: Mapping[str, Command]) -> str:
    width = max(map(len, commands)) + 2
    lines = [f"  {name:<{width}}{(run.__doc__ or '').splitlines()[0]}" for name, run in commands.items()]
    return text.format(commands="\n".join(lines))


def _run(words: list[str]) -> int:
    if not words or words[0] in HELP:
        print(_help(_HELP, COMMANDS), end="")
        return 0 if words else 2
    if words[0] == "--version":
        print(__version__)
        return 0
    run = COMMANDS[choose("command", words[0], COMMANDS)]
    try:
        return run(words[1:])
    except Exception as error:
        if not _raised_by_importing("mujoco", error):
            raise
        used = os.environ.get("MUJOCO_GL")
        raise InputError(
            f"MuJoCo cannot be imported with MUJOCO_GL={used} ({type(error).__name__}: {error}): run "
            "`robolearn doctor`, which names what is missing and the values of MUJOCO_GL that work here"
        ) from error


def _raised_by_importing(package: str, error: Exception) -> bool:
    """Whether a package's own code raised an error while it was being imported."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any((f.f_globals.get("__name__"), f.f_code.co_name) == (package, "<module>") for f in frames)


def main(arguments: list[str] | None = None) -> int:
    """Run `robolearn` with the given words (those of the command line by default) and return the exit status.

    0: done. 1: done, with a bad outcome, or stopped by the system (a full disk, a folder that may not be
    written). 2: the input cannot be used. 130: interrupted by Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"robolearn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("robolearn: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (`| head`) has seen enough; nothing may be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"robolearn: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
