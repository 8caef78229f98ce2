from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.envs.base import CHANNELS, ManipulationEnv, TaskConfig
from robolearn.envs.grasp import GraspEnv
from robolearn.envs.peg_insertion import PegInsertionEnv
from robolearn.envs.tasks import TASKS, make, task_class
from robolearn.errors import InputError

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "your-own-task.md"


def test_tasks_by_name() -> None:
    assert {"grasp": GraspEnv, "peg-insertion": PegInsertionEnv} == TASKS
    for name, kind in TASKS.items():
        assert task_class(name) is kind
    env = make("grasp", {"count": 3, "observe": ("q",)}, render_mode="rgb_array")
    assert isinstance(env, GraspEnv)
    assert (env.config.count, env.render_mode) == (3, "rgb_array")


def test_tasks_of_ones_own_by_where_they_are() -> None:
    assert task_class("small_task:BallEnv").name == "ball"
    assert make("small_task:BallEnv", {"control_rate": 50}).config.control_rate == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("grap", r"unknown task 'grap' .*'grasp'.*: choose one of grasp, peg-insertion"),
        ("", "unknown task ''"),
        ("no_such_module:Thing", "task 'no_such_module:Thing' cannot be imported .No module.*PYTHONPATH"),
        ("small_task:Bal", "cannot be imported .*Bal"),
        ("small_task:BallConfig", "is no subclass of robolearn.envs.base.ManipulationEnv"),
        ("small_task:BALL_RADIUS", "is no subclass"),
        (":Thing", "cannot be imported"),
        ("small_task:", "cannot be imported"),
    ],
)
def test_tasks_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_class(name)


@pytest.mark.parametrize("name", TASKS)
def test_the_teacher_only_looks(name: str) -> None:
    env = make(name, {"observe": ("q",)})
    env.reset(seed=0)
    for _ in range(25):
        before = env.data.qpos.copy(), env.data.qvel.copy(), env.data.ctrl.copy(), env.data.qacc.copy()
        first, second = env.teacher(), env.teacher()
        assert np.array_equal(first, second)  # no hidden phase
        env.privileged()
        after = env.data.qpos, env.data.qvel, env.data.ctrl, env.data.qacc
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert env.action_space.contains(first)
        env.step(first)


@pytest.mark.parametrize("name", TASKS)
def test_reward_terms_lie_between_0_and_1_and_grow_with_the_work(name: str) -> None:
    env = make(name, {"observe": ("q",)})
    env.reset(seed=3)
    terms = [env.reward_terms()]
    while not env.success:
        terms.append(env.step(env.teacher())[4]["reward_terms"])
    for term in env.config.reward_scales:
        values = [at[term] for at in terms]
        assert min(values) >= 0.0
        assert max(values) <= 1.0
        assert values[-1] > values[0], term


@pytest.mark.parametrize("name", TASKS)
def test_a_scattered_start_is_the_one_that_the_limiter_sees(name: str) -> None:
    env = make(name, {"observe": ("q",)})
    for seed in range(5):
        env.reset(seed=seed, options={"scattered": True})
        q, dq = env.data.qpos[env.handles.qpos], env.data.qvel[env.handles.dof]
        seen = env.scene.path.delayed_state
        assert seen[0] == pytest.approx(q, abs=1e-3)
        assert seen[1] == pytest.approx(dq, abs=2e-2)
        closed = 0.0 if env.starts_closed else env.arm.gripper.max_width
        assert env.scene.path.gripper_target == pytest.approx(closed, abs=0.03)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Python of the page; the first piece, the task, is in a module `park` on the path."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "park.py").write_text(blocks[0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "park", raising=False)
    return blocks


def test_the_pages_task_takes_few_lines_and_works(page: list[str]) -> None:
    assert len(page[0].splitlines()) < 60
    env = make("park:Park", {"observe": ("q", "state")})
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        while True:
            _, reward, terminated, truncated, info = env.step(env.teacher())
            assert np.isfinite(reward)
            if terminated or truncated:
                break
        assert info["success"], f"the page's teacher failed on seed {seed}"


def test_the_rest_of_the_page_runs(page: list[str], tmp_path: Path) -> None:
    names: dict[str, object] = {}
    for block in page[1:]:
        exec(block, names)
    env = names["env"]
    assert isinstance(env, ManipulationEnv)
    env.reset(seed=0)
    assert env.render().shape == (480, 480, 3)
    env.close()
    # in a process of its own, which finds it by its path, as the page says
    command = "from robolearn.envs.tasks import make; print(make('park:Park').max_steps)"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "120"


def test_the_pages_of_the_tasks_name_every_parameter_and_term() -> None:
    shared = (DOCS / "environments.md").read_text(encoding="utf-8")
    common = {field.name for field in fields(TaskConfig)}
    for name, kind in TASKS.items():
        page = (DOCS / "tasks" / f"{name}.md").read_text(encoding="utf-8")
        own = {field.name for field in fields(kind.config_type)} - common
        for term in (*own, *kind.config_type().reward_scales):
            assert f"| `{term}` |" in page, f"{name}.md says nothing of {term}"
        assert f"{kind.state_size} numbers" in page
    for term in (*common, *CHANNELS):
        assert f"`{term}`" in shared, f"environments.md says nothing of {term}"


def test_the_page_of_what_tasks_share_runs() -> None:
    page = (DOCS / "environments.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert set(names["observation"]) == {"front", "wrist", "q", "dq"}
    names["env"].close()
