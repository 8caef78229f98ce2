from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import robolearn
from robolearn import cli
from robolearn.errors import InputError

Command = Callable[[list[str]], int]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[Command], None]:
    """Adds a subcommand called "try-it" for the length of a test."""
    return lambda command: monkeypatch.setitem(cli.COMMANDS, "try-it", command)


def test_help_lists_every_command_with_the_first_line_of_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "robolearn COMMAND --help" in shown
    for name, command in cli.COMMANDS.items():
        assert command.__doc__ is not None
        summary = command.__doc__.splitlines()[0]
        assert any(line.split(maxsplit=1) == [name, summary] for line in shown.splitlines())


def test_no_words_at_all_show_the_help_and_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: robolearn" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{robolearn.__version__}\n"


def test_a_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docter"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        "robolearn: unknown command 'docter' (did you mean 'doctor'?): choose one of "
    )


def test_command_names_have_hyphens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", {})

    @cli.command
    def peel_apples(arguments: list[str]) -> int:
        """Peel."""
        return len(arguments)

    assert cli.main(["peel-apples", "one", "two"]) == 2
    assert cli.main(["peel-apples"]) == 0


def test_a_config_that_refuses_its_values_is_a_message_and_status_2(
    register: Callable[[Command], None], capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclasses.dataclass
    class Config:
        clearance: float = 1.0

        def __post_init__(self) -> None:
            if self.clearance < 0:
                raise InputError(f"clearance {self.clearance} is negative")

    register(lambda arguments: int(cli.parse("try-it", Config, arguments).clearance))
    assert cli.main(["try-it", "--clearance", "3"]) == 3
    with pytest.raises(SystemExit) as caught:
        cli.main(["try-it", "--clearance", "-3"])
    assert caught.value.code == 2
    assert "clearance -3.0 is negative" in capsys.readouterr().err


def test_bad_input_from_the_work_itself_leaves_no_traceback(
    register: Callable[[Command], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def work(size: int = 0) -> int:
        raise InputError(f"a camera of size {size}")

    register(lambda arguments: cli.parse("try-it", work, arguments))
    assert cli.main(["try-it"]) == 2
    assert capsys.readouterr().err == "robolearn: a camera of size 0\n"


def test_words_that_do_not_fit_leave_with_status_2(register: Callable[[Command], None]) -> None:
    def work(size: int = 0) -> int:
        return size

    register(lambda arguments: cli.parse("try-it", work, arguments))
    for words in (["--size", "many"], ["--sise", "1"], ["left-over"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(["try-it", *words])
        assert caught.value.code == 2


def test_other_errors_keep_their_traceback(register: Callable[[Command], None]) -> None:
    def work(size: int = 0) -> int:
        raise ValueError("a defect of the program")

    register(lambda arguments: cli.parse("try-it", work, arguments))
    with pytest.raises(ValueError, match="defect"):
        cli.main(["try-it"])


def test_what_the_system_refuses_is_said_in_a_line(
    register: Callable[[Command], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(arguments: list[str]) -> int:
        raise PermissionError(13, "Permission denied", "/nowhere")

    register(refused)
    assert cli.main(["try-it"]) == 1
    assert capsys.readouterr().err == "robolearn: [Errno 13] Permission denied: '/nowhere'\n"


def test_a_table_has_aligned_columns_or_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [{"name": "a", "size": 10}, {"name": "long name", "size": None}]
    cli.print_table(rows)
    assert capsys.readouterr().out == "name       size\na          10\nlong name  None\n"
    cli.print_table(rows, json=True)
    assert json.loads(capsys.readouterr().out) == rows
    cli.print_table([])
    assert capsys.readouterr().out == ""
    cli.print_table([], json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_arms_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["arms", "--json"]) == 0
    listed = {arm["name"]: arm for arm in json.loads(capsys.readouterr().out)}
    assert listed["panda"] == {"name": "panda", "joints": 7, "title": listed["panda"]["title"]}
    assert cli.main(["arms"]) == 0
    assert listed["panda"]["title"] in capsys.readouterr().out


def test_ctrl_c_is_status_130(
    register: Callable[[Command], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    register(interrupted)
    assert cli.main(["try-it"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys; from robolearn import cli; cli.main(['--help']);"
        "print([name for name in ('torch', 'mujoco', 'numpy', 'tyro', 'rich') if name in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert time.perf_counter() - start < 2.0  # some hundredths on an idle machine


def test_a_reader_that_stops_reading_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "robolearn.cli", "--help"], stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, "egl"), ({"MUJOCO_GL": "osmesa"}, "osmesa"), ({"DISPLAY": ":0"}, "None"), ({"MUJOCO_GL": ""}, "")],
)
def test_importing_robolearn_chooses_egl_only_where_nothing_else_was_chosen(
    settings: dict[str, str], expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    code = "import os, robolearn; print(os.environ.get('MUJOCO_GL'), os.environ['LP_NUM_THREADS'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{expected} {os.environ.get('LP_NUM_THREADS', '0')}\n"


def test_a_mujoco_that_cannot_be_imported_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "robolearn.cli", "tasks"],
        env={**os.environ, "MUJOCO_GL": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "robolearn: MuJoCo cannot be imported with MUJOCO_GL=nonsense (RuntimeError: "
    )
    assert "`robolearn doctor`" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="EGL is Linux'")
def test_without_the_egl_libraries_mujoco_still_imports() -> None:
    """With MUJOCO_GL=egl but no EGL, `import mujoco` itself fails; states and torques need no pictures."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    code = (
        "import ctypes, os\n"
        "load = ctypes.CDLL\n"
        "def missing(name, *args, **options):\n"
        "    if name and 'EGL' in str(name): raise OSError(name)\n"
        "    return load(name, *args, **options)\n"
        "ctypes.CDLL = missing\n"
        "import robolearn, mujoco\n"
        "print(os.environ.get('MUJOCO_GL'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
