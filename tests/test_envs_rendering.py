from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from small_task import BallEnv

from robolearn.envs import rendering
from robolearn.errors import InputError

EXPLAINED = r"no picture can be drawn with MUJOCO_GL=.*robolearn doctor"


def test_libraries_that_are_missing_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise OSError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr(rendering, "_contexts", {})
    monkeypatch.setattr(rendering.mujoco, "GLContext", broken)
    env = BallEnv(observe=("front",))
    with pytest.raises(InputError, match=rf"(?s){EXPLAINED}") as caught:
        env.reset(seed=0)
    assert "libEGL.so.1" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_a_missing_display_is_explained() -> None:
    """GLFW itself makes a context without one; only MuJoCo finds out that it is none."""
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    code = "from small_task import BallEnv; BallEnv(observe=('front',)).reset(seed=0)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=os.path.dirname(__file__),
        env={**environment, "MUJOCO_GL": "glfw"},
        capture_output=True,
        text=True,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("robolearn.errors.InputError: no picture can be drawn with MUJOCO_GL=glfw")
