"""`robolearn doctor`: is everything here that robolearn needs, how fast is it, and what to do if not.

What can crash or hang (OpenGL drivers, compilers, GPU runtimes) is tried in a process of its own, so that the
doctor survives every patient.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from json import dumps, loads
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

GL_PACKAGES = "libegl1 libgl1-mesa-dri libopengl0"
GIGABYTE = 1e9
SLOW_FRAME_RATE = 200.0  # frames/s at 64x64; below it two cameras at 20 Hz cost more than the physics

PATIENCE = 120.0  # s for one probe; a cold import of torch can take tens of seconds
PROBE = "import json; from robolearn import doctor; print(json.dumps(doctor.{name}()))"

Status = Literal["ok", "absent", "warning", "broken"]


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        status: "ok"; "absent" (optional and not there); "warning" (works, but badly); "broken" (needed).
        value: what was found.
        remedy: what to do about it, empty if nothing needs to be done.
    """

    name: str
    status: Status
    value: str
    remedy: str = ""


# Probes: each runs in a process of its own and returns what it found.


def probe_rendering() -> dict[str, Any]:
    """Draw a small scene at 64x64 with the backend in MUJOCO_GL: frames per second and the driver's name."""
    import mujoco

    geoms = "".join(
        f"<geom type='{kind}' size='.05 .1 .05' pos='{0.2 * i - 0.5} {0.1 * i} .2'/>"
        for i, kind in enumerate(("capsule", "cylinder", "box") * 4)
    )
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><visual><quality shadowsize='0' offsamples='0' numslices='12' numstacks='12'/></visual>"
        f"<worldbody><light pos='0 0 3'/><geom type='plane' size='2 2 .1'/>{geoms}</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = mujoco.Renderer(model, 64, 64)
    renderer.update_scene(data)
    picture = renderer.render()
    if picture.max() == picture.min():
        raise RuntimeError("the picture is empty")

    from OpenGL import GL

    driver = GL.glGetString(GL.GL_RENDERER)
    frames, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < 0.3:
        renderer.update_scene(data)
        renderer.render()
        frames += 1
    return {"frames_per_second": frames / seconds, "driver": driver.decode() if driver else "unknown driver"}


def probe_torch() -> dict[str, Any]:
    """Compute something with torch on the CPU and on every GPU that it sees."""
    import torch

    gpus = []
    for index in range(torch.cuda.device_count()):
        torch.ones(8, 8, device=f"cuda:{index}").matmul(torch.ones(8, 8, device=f"cuda:{index}")).sum().item()
        gpus.append(torch.cuda.get_device_name(index))
    torch.ones(8, 8).matmul(torch.ones(8, 8)).sum().item()
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda_build": torch.version.cuda or torch.version.hip,
    }


def probe_numba() -> dict[str, Any]:
    """Compile and run one small loop."""
    import numba
    import numpy as np

    @numba.njit
    def total(values: np.ndarray) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    start = time.perf_counter()
    if total(np.arange(5.0)) != 10.0:
        raise RuntimeError("a compiled sum is wrong")
    return {"seconds": time.perf_counter() - start}


def probe_ros() -> dict[str, Any]:
    """Import rclpy."""
    import rclpy

    return {"file": rclpy.__file__}


def _probe(function: Callable[[], dict[str, Any]], **environment: str | None) -> dict[str, Any]:
    """Run `function` in a fresh process and return its result, or {"error": the last line it left}.

    `environment` is laid over this process's; None takes a variable away.
    """
    variables: dict[str, str | None] = {**os.environ, **environment}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(name=function.__name__)],
            env={name: value for name, value in variables.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {PATIENCE:g} s"}
    if done.returncode < 0:
        return {"error": f"the process was killed by signal {-done.returncode}"}
    if done.returncode > 0:
        return {"error": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
    result: dict[str, Any] = loads(done.stdout.splitlines()[-1])
    return result


# Checks


def check_python() -> Iterator[Check]:
    yield Check("Python", "ok", f"{platform.python_version()} ({sys.executable})")


def check_packages() -> Iterator[Check]:
    """Every requirement that the package declares, against what is installed."""
    try:
        required = [Requirement(line) for line in metadata.requires("robolearn") or []]
        extras = metadata.metadata("robolearn").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Check("robolearn", "broken", "not installed", "in its directory: pip install -e .")
        return
    yield Check("robolearn", "ok", metadata.version("robolearn"))
    for requirement in required:
        extra = ""
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            wanted = [name for name in extras if requirement.marker.evaluate({"extra": name})]
            if not wanted:
                continue  # meant for another Python or another system
            extra = wanted[0]
        yield _check_package(requirement, extra)


def _check_package(requirement: Requirement, extra: str) -> Check:
    name = f"{requirement.name} ({extra})" if extra else requirement.name
    remedy = f"pip install 'robolearn[{extra}]'" if extra else f"pip install '{requirement}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(name, "absent" if extra else "broken", "not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        status: Status = "warning" if extra else "broken"
        return Check(name, status, f"{version}, needed is {requirement.specifier}", remedy)
    return Check(name, "ok", version)


def check_rendering() -> Iterator[Check]:
    """The backend that MuJoCo would use in this environment first, then the others it could use."""
    native = {"linux": "glfw", "darwin": "cgl", "win32": "wgl"}.get(sys.platform, "glfw")
    used = os.environ.get("MUJOCO_GL", "").lower().strip() or native
    others = [name for name in ("egl", "osmesa", "glfw") if name != used] if sys.platform == "linux" else []
    result = _probe(probe_rendering)
    alternatives = {name: _probe(probe_rendering, MUJOCO_GL=name, PYOPENGL_PLATFORM=None) for name in others}

    if "error" in result:
        working = [name for name in others if "error" not in alternatives[name]]
        if working:
            remedy = f"export MUJOCO_GL={working[0]}"
        elif sys.platform == "linux":
            remedy = f"sudo apt-get install {GL_PACKAGES} (elsewhere: Mesa's EGL), then unset MUJOCO_GL"
        else:
            remedy = "run from a session that may open a window, or update the graphics driver"
        yield Check("rendering", "broken", f"MUJOCO_GL={used}: {result['error']}", remedy)
    else:
        slow = result["frames_per_second"] < SLOW_FRAME_RATE
        yield Check(
            "rendering",
            "warning" if slow else "ok",
            f"MUJOCO_GL={used}: {result['frames_per_second']:.0f} frames/s at 64x64 ({result['driver']})",
            "pictures will be the bottleneck: close what else computes here, or use a GPU" if slow else "",
        )
    for name, result in alternatives.items():
        if "error" in result:
            yield Check(f"rendering by {name}", "absent", result["error"])
        else:
            found = f"{result['frames_per_second']:.0f} frames/s at 64x64 ({result['driver']})"
            yield Check(f"rendering by {name}", "ok", found)


def check_torch() -> Iterator[Check]:
    result = _probe(probe_torch)
    if "error" in result:
        yield Check("torch", "broken", result["error"], "pip install --force-reinstall torch")
        return
    gpus = ", ".join(result["gpus"]) or "no GPU"
    remedy = ""
    if not result["gpus"] and shutil.which("nvidia-smi"):
        if result["cuda_build"]:
            remedy = "torch cannot use the GPU: compare the CUDA version that `nvidia-smi` shows with torch's"
        else:
            remedy = "this torch is built without CUDA: pytorch.org/get-started tells how to get one with it"
    status: Status = "warning" if remedy else "ok"
    yield Check("torch devices", status, f"{result['threads']} threads, {gpus}", remedy)


def check_numba() -> Iterator[Check]:
    result = _probe(probe_numba)
    if "error" in result:
        remedy = "pip install --upgrade numba (it must fit the installed numpy)"
        yield Check("numba compiler", "broken", result["error"], remedy)
    else:
        yield Check("numba compiler", "ok", f"compiled a loop in {result['seconds']:.1f} s")


def check_ros() -> Iterator[Check]:
    distribution = os.environ.get("ROS_DISTRO", "")
    if importlib.util.find_spec("rclpy") is None:
        if distribution:
            remedy = f"use the Python of ROS {distribution} (a venv of it with --system-site-packages)"
            yield Check("ROS 2", "warning", f"{distribution} is sourced, but there is no rclpy here", remedy)
        else:
            yield Check("ROS 2", "absent", "no rclpy; only a real arm needs it")
        return
    result = _probe(probe_ros)
    if "error" in result:
        remedy = "source the ROS setup file in this shell; do not mix it with rclpy from a package index"
        yield Check("ROS 2", "warning", f"rclpy does not import: {result['error']}", remedy)
    else:
        yield Check("ROS 2", "ok", f"{distribution or 'rclpy from a package index'} ({result['file']})")


def check_machine() -> Iterator[Check]:
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    yield Check(
        "CPU cores",
        "ok" if usable > 1 else "warning",
        f"{usable} of {total} usable",
        "" if usable > 1 else "collecting and learning share one core: expect twice the time",
    )
    here = Path.cwd()
    free = shutil.disk_usage(here).free / GIGABYTE
    status: Status = "broken" if free < 0.5 else "warning" if free < 3 else "ok"
    remedy = "" if status == "ok" else f"free some space: runs are written under {here}"
    yield Check("free disk", status, f"{free:.1f} GB under {here}", remedy)


CHECKS = (check_python, check_machine, check_rendering, check_torch, check_numba, check_ros, check_packages)


def examine() -> list[Check]:
    """Look at everything; takes some seconds."""
    return [check for look in CHECKS for check in look()]


def run(json: bool = False) -> int:
    """Check this machine: packages, rendering, compilation, torch, ROS; say what to do about each problem.

    The exit status is 1 if something that robolearn needs is broken.

    Args:
        json: print the checks as JSON.
    """
    checks = examine()
    healthy = all(check.status != "broken" for check in checks)
    if json:
        print(dumps({"ok": healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _show(checks, healthy)
    return 0 if healthy else 1


def _show(checks: list[Check], healthy: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "absent": "dim", "warning": "yellow", "broken": "bold red"}
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("status")
    table.add_column("found", overflow="fold")
    for check in checks:
        table.add_row(Text(check.name), Text(check.status, styles[check.status]), Text(check.value))
    console.print(table)
    remedies = [check for check in checks if check.remedy and check.status in ("warning", "broken")]
    if remedies:
        console.print("\nwhat to do:", style="bold")
        for check in remedies:
            line = Text.assemble("  ", (check.name, styles[check.status]), ": ", check.remedy)
            console.print(line, soft_wrap=True)
    verdict = "everything" if healthy else "not everything"
    console.print(f"\n{verdict} that robolearn needs works")
