from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import pytest
from packaging.requirements import Requirement

from robolearn import cli, doctor
from robolearn.doctor import Check


def test_this_machine_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    """The real thing, as JSON: the tests could not run without what the doctor calls needed."""
    status = cli.main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    broken = [check for check in report["checks"] if check["status"] == "broken"]
    assert (status, report["ok"], broken) == (0, True, [])
    found = {check["name"]: check for check in report["checks"]}
    assert {
        "Python",
        "CPU cores",
        "free disk",
        "torch devices",
        "numba compiler",
        "ROS 2",
        "mujoco",
    } <= found.keys()
    assert f"MUJOCO_GL={os.environ['MUJOCO_GL']}" in found["rendering"]["value"]
    assert "frames/s at 64x64" in found["rendering"]["value"]


def dies() -> dict[str, Any]:
    os.abort()


def complains() -> dict[str, Any]:
    print("chatter")
    raise RuntimeError("no such driver")


def answers() -> dict[str, Any]:
    print("chatter of a library")
    return {"setting": os.environ.get("A_SETTING"), "pid": os.getpid()}


def sleeps() -> dict[str, Any]:
    time.sleep(60)
    return {}


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`doctor._probe` for the functions of this file."""
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.setattr(doctor, "PROBE", "import json, test_doctor; print(json.dumps(test_doctor.{name}()))")
    return doctor._probe


def test_a_probe_runs_elsewhere_and_ignores_chatter(probe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "1")
    result = probe(answers)
    assert result["setting"] == "1"
    assert result["pid"] != os.getpid()
    assert probe(answers, A_SETTING="2")["setting"] == "2"
    assert probe(answers, A_SETTING=None)["setting"] is None


def test_the_doctor_survives_a_crash_an_exception_and_a_hang(
    probe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe(dies) == {"error": "the process was killed by signal 6"}
    assert probe(complains) == {"error": "RuntimeError: no such driver"}
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    assert probe(sleeps) == {"error": "no answer in 0.5 s"}


def answer(monkeypatch: pytest.MonkeyPatch, result: dict[Any, Any]) -> None:
    """Let every probe return `result`, or what it holds for the MUJOCO_GL that the probe was given."""

    def fake(function: object, **environment: str | None) -> dict[str, Any]:
        found: dict[str, Any] = result.get(environment.get("MUJOCO_GL"), result)
        return found

    monkeypatch.setattr(doctor, "_probe", fake)


WORKS = {"frames_per_second": 1000.0, "driver": "llvmpipe"}
FAILS = {"error": "AttributeError: no library"}


@pytest.mark.skipif(sys.platform != "linux", reason="the choice of backends is Linux'")
def test_broken_rendering_points_to_a_backend_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    answer(monkeypatch, {None: FAILS, "osmesa": WORKS, "glfw": FAILS})
    used, osmesa, glfw = doctor.check_rendering()
    assert used == Check(
        "rendering", "broken", "MUJOCO_GL=egl: AttributeError: no library", "export MUJOCO_GL=osmesa"
    )
    assert (osmesa.status, glfw.status) == ("ok", "absent")


@pytest.mark.skipif(sys.platform != "linux", reason="the choice of backends is Linux'")
def test_no_rendering_at_all_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    answer(monkeypatch, FAILS)
    used = next(doctor.check_rendering())
    assert used.status == "broken"
    assert "apt-get install libegl1 libgl1-mesa-dri libopengl0" in used.remedy


def test_slow_rendering_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, {"frames_per_second": 40.0, "driver": "softpipe"})
    assert next(doctor.check_rendering()).status == "warning"


@pytest.mark.parametrize("cuda_build", [None, "13.0"])
def test_a_gpu_that_torch_cannot_use_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, cuda_build: str | None
) -> None:
    answer(monkeypatch, {"version": "2", "threads": 2, "gpus": [], "cuda_build": cuda_build})
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    (check,) = doctor.check_torch()
    assert check.status == "warning"
    assert ("without CUDA" in check.remedy) == (cuda_build is None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert [check.status for check in doctor.check_torch()] == ["ok"]


def test_ros_is_needed_only_where_it_was_sourced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    assert [check.status for check in doctor.check_ros()] == ["absent"]
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    (check,) = doctor.check_ros()
    assert check.status == "warning"
    assert "Python of ROS jazzy" in check.remedy


@pytest.mark.parametrize(
    ("requirement", "extra", "status"),
    [
        ("numpy>=1.0", "", "ok"),
        ("numpy>=99", "", "broken"),
        ("numpy>=99", "dev", "warning"),
        ("surely-not-installed", "", "broken"),
        ("surely-not-installed", "dev", "absent"),
    ],
)
def test_packages_are_compared_with_what_is_required(requirement: str, extra: str, status: str) -> None:
    check = doctor._check_package(Requirement(requirement), extra)
    assert check.status == status
    assert bool(check.remedy) == (status != "ok")


def test_every_declared_requirement_is_looked_at() -> None:
    names = {check.name for check in doctor.check_packages()}
    assert {"robolearn", "mujoco", "torch", "pytest (dev)", "onnxruntime (onnx)"} <= names


@pytest.mark.parametrize(("free", "status"), [(0.1e9, "broken"), (1e9, "warning"), (1e11, "ok")])
def test_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free}))
    disk = next(check for check in doctor.check_machine() if check.name == "free disk")
    assert disk.status == status


def test_the_exit_status_and_the_remedies_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Check("gripper", "broken", "stuck", "oil it [with care]")
    absent = Check("lid", "absent", "", "get one")
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([broken, absent]),))
    assert cli.main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "gripper: oil it [with care]" in shown
    assert "not everything that robolearn needs works" in shown
    assert "get one" not in shown
    monkeypatch.setattr(doctor, "CHECKS", (lambda: iter([absent]),))
    assert cli.main(["doctor"]) == 0
