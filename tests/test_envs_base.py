from __future__ import annotations

import multiprocessing
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import yaml
from gymnasium.utils.env_checker import check_env
from small_task import BallEnv

import robolearn.envs
from robolearn.envs.base import ManipulationEnv
from robolearn.envs.randomisation import CLEAN
from robolearn.envs.tasks import make
from robolearn.errors import InputError
from robolearn.hardware.arm import ARMS

IDS = ("RoboLearn/Grasp-v0", "RoboLearn/PegInsertion-v0")
READINGS = ("q", "dq", "tau", "gripper")
EVERYTHING = ("front", "wrist", "front_depth", "wrist_depth", *READINGS, "wrench", "state")


def torques(env: ManipulationEnv, seed: int, steps: int) -> np.ndarray:
    """Actions that move the arm about, shape (steps, n + 1)."""
    rng = np.random.default_rng(seed)
    return np.hstack([rng.normal(0, 1.5, (steps, env.arm.n)), rng.uniform(-1, 1, (steps, 1))])


def record(env: ManipulationEnv, seed: int, steps: int = 6) -> list[Any]:
    """Everything that an episode gives: observations, rewards, ends and torques."""
    observation, info = env.reset(seed=seed)
    seen: list[Any] = [*observation.values(), info["sent"]]
    for action in torques(env, seed, steps):
        observation, reward, terminated, truncated, info = env.step(action)
        seen += [*observation.values(), reward, terminated, truncated, info["sent"]]
        if terminated or truncated:
            break
    return seen


def same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


class Trace:
    """Stands between an environment and its torque path, and notes every physics step."""

    def __init__(self, env: ManipulationEnv) -> None:
        self.qpos = [env.data.qpos.copy()]
        self.request: list[float] = []
        several: Callable[..., None] = env.scene.path.advance

        def one_by_one(torque: np.ndarray, width: float, steps: int) -> None:
            for _ in range(steps):
                several(torque, width, 1)
                self.qpos.append(env.data.qpos.copy())
                self.request.append(float(env.scene.path.request[0]))

        env.scene.path.advance = one_by_one  # type: ignore[method-assign]


# --- gymnasium
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"observe": ("q",)},
        {"observe": EVERYTHING, "image_size": 20, "render": False},
        {"observe": ("wrench", "state"), "action": "pose", "arm": "fr3", "render": False},
        {"observe": READINGS, "action": "impedance", "control_rate": 50, "render": False},
        {"observe": ("wrist", "q"), "randomisation": "rich", "image_size": 33, "render": False},
    ],
    ids=["default", "q", "everything", "pose", "impedance", "rich"],
)
def test_gymnasiums_checker(name: str, changes: dict[str, Any]) -> None:
    changes = dict(changes)
    render = changes.pop("render", True)
    env = gymnasium.make(name, render_mode="rgb_array", **changes).unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=not render)
    env.close()
    # units are physical: torques are not normalised, and readings have no bounds
    expected = ("symmetric and normalized space", "minimum value is -infinity", "maximum value is infinity")
    odd = [str(w.message) for w in caught if not any(text in str(w.message) for text in expected)]
    assert not odd


@pytest.mark.parametrize("name", IDS)
def test_observations_are_what_was_asked_for(name: str) -> None:
    env = gymnasium.make(name, observe=EVERYTHING, image_size=20).unwrapped
    observation, _ = env.reset(seed=0)
    assert tuple(observation) == EVERYTHING
    assert observation["front"].shape == (20, 20, 3)
    assert observation["front"].dtype == np.uint8
    assert observation["wrist_depth"].shape == (20, 20)
    assert all(
        value.dtype == np.float32 for key, value in observation.items() if key not in ("front", "wrist")
    )
    assert env.observation_space.contains(observation)
    env.close()


def test_pictures_need_not_be_square_or_alike() -> None:
    env = BallEnv(observe=("front", "wrist", "front_depth"))
    observation, _ = env.reset(seed=0)
    assert observation["front"].shape == (64, 96, 3)
    assert observation["front_depth"].shape == (64, 96)
    assert observation["wrist"].shape == (64, 64, 3)
    env.close()


@pytest.mark.parametrize("context", [None, "spawn", "forkserver"])
def test_vector_environments(context: str | None) -> None:
    alone = [make("grasp", {"observe": ("front", "q"), "image_size": 16}) for _ in range(2)]
    firsts = [env.reset(seed=5 + i)[0] for i, env in enumerate(alone)]
    # this process has drawn, and a fork may inherit a lock that a thread of the driver holds
    vector = (
        partial(gymnasium.vector.AsyncVectorEnv, context=context)
        if context
        else gymnasium.vector.SyncVectorEnv
    )
    envs = vector([Maker(), Maker()])
    observations, infos = envs.reset(seed=[5, 6])
    for i, env in enumerate(alone):
        assert np.array_equal(observations["front"][i], firsts[i]["front"])
        assert infos["sampled"]["action_delay"][i] == env.sampled["action_delay"]
    actions = np.stack([torques(env, i, 1)[0] for i, env in enumerate(alone)]).astype(np.float32)
    observations, *_ = envs.step(actions)
    for i, env in enumerate(alone):
        observation, *_ = env.step(actions[i])
        assert np.array_equal(observations["front"][i], observation["front"])
        assert np.array_equal(observations["q"][i], observation["q"])
        env.close()
    envs.close()


class Maker:
    def __call__(self) -> gymnasium.Env[Any, Any]:
        return gymnasium.make(IDS[0], observe=("front", "q"), image_size=16)


def spawned(connection: Any, env: ManipulationEnv) -> None:
    connection.send(record(env, 3))


def test_an_environment_can_be_sent_to_another_process() -> None:
    env = make("peg-insertion", {"clearance": "1mm", "observe": ("wrist", "q"), "image_size": 16})
    here = record(env, 3)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=spawned, args=(theirs, env))
    process.start()
    assert ours.poll(60)
    assert same(ours.recv(), here)
    process.join()
    env.close()


def test_a_copy_has_the_configuration() -> None:
    env = make("grasp", {"count": 2, "control_rate": 50, "observe": ("q",)}, render_mode="rgb_array")
    copy = pickle.loads(pickle.dumps(env))
    assert copy.config == env.config
    assert copy.render_mode == "rgb_array"
    assert same(record(copy, 1), record(env, 1))


# --- determinism
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grasp", "peg-insertion"])
@pytest.mark.parametrize("tier", ["clean", "rich"])
def test_a_seed_gives_the_same_episode_to_the_bit(name: str, tier: str) -> None:
    changes = {"randomisation": tier, "observe": ("front", "wrist", *READINGS, "wrench", "state")}
    first, second = make(name, changes), make(name, changes)
    episodes = [record(first, seed) for seed in (1, 2, 3)]
    assert not same(episodes[0], episodes[1])
    # in another environment, after other episodes and in another order
    record(second, 17)
    for seed in (3, 1, 2, 3):
        assert same(record(second, seed), episodes[seed - 1])
    first.close()
    second.close()


def test_a_clean_episode_after_rich_ones_is_as_if_nothing_had_been() -> None:
    env, fresh = (BallEnv(observe=("front", "wrist", "q", "state")) for _ in range(2))
    expected = record(fresh, 4)
    rich = BallEnv(randomisation="rich").randomisation
    for seed in range(4):
        env.randomisation = rich
        record(env, seed, steps=2)
        env.randomisation = CLEAN
        assert same(record(env, 4), expected)
    env.close()
    fresh.close()


def test_what_is_observed_does_not_change_what_happens() -> None:
    blind = make("grasp", {"observe": ("q",)})
    seeing = make("grasp", {"observe": EVERYTHING, "image_size": 16})
    for env in (blind, seeing):
        record(env, 6)
    assert np.array_equal(blind.data.qpos, seeing.data.qpos)
    seeing.close()


def test_without_a_seed_episodes_go_on_from_the_last_one() -> None:
    first, second = BallEnv(), BallEnv()
    for env in (first, second):
        env.reset(seed=0)
        env.reset()
    assert np.array_equal(first.data.qpos, second.data.qpos)
    second.reset(seed=0)
    assert not np.array_equal(first.data.qpos, second.data.qpos)


# --- time
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "physics", "steps"), [(20, 400, 20), (50, 400, 8), (100, 1000, 10), (25, 1000, 40)]
)
def test_a_control_step_lasts_its_time(rate: int, physics: int, steps: int) -> None:
    env = BallEnv(control_rate=rate, physics_rate=physics)
    env.reset(seed=0)
    for i in range(1, 4):
        env.step(np.zeros(8))
        assert env.scene.path.steps == i * steps
        assert env.data.time == pytest.approx(i / rate)
    assert env.metadata["render_fps"] == rate


@pytest.mark.parametrize(
    ("rate", "delay", "first"),
    [
        # the physics step (400 a second) from which the action is in force; the limiter ticks at every second
        # one
        (20, 0.0, 0),
        (20, 0.01, 4),
        (20, 0.0075, 4),
        (20, 0.04, 16),
        (50, 0.04, 16),
        (100, 0.04, 16),
        (100, 0.0325, 14),
    ],
)
def test_an_action_takes_effect_after_its_delay_at_the_next_tick(rate: int, delay: float, first: int) -> None:
    env = BallEnv(control_rate=rate)
    env.randomisation = replace(CLEAN, action_delay=(delay, delay))
    env.reset(seed=0)
    trace = Trace(env)
    period = 400 // rate
    for k in range(1, 2 + 40 // period):
        env.step(np.array([float(k), 0, 0, 0, 0, 0, 0, -1]))
    for k in (1, 2):
        in_force = [i for i, request in enumerate(trace.request) if request == k]
        begin = first + (k - 1) * period
        assert in_force[0] == begin + begin % 2
        assert len(in_force) in (period, period + period % 2)
    assert trace.request[: in_force[0]].count(0.0) == first


@pytest.mark.parametrize(
    ("rate", "delay"), [(20, 0.0), (20, 0.01), (50, 0.04), (100, 0.04), (100, 0.0125), (20, 0.04)]
)
def test_observations_are_as_old_as_their_delay(rate: int, delay: float) -> None:
    env = BallEnv(control_rate=rate, observe=("q", "gripper", "state", "front"), image_size=16)
    env.randomisation = replace(CLEAN, observation_delay=(delay, delay))
    observation, _ = env.reset(seed=1)
    trace = Trace(env)
    period, age, n = 400 // rate, round(400 * delay), env.arm.n
    observations = [observation]
    for action in torques(env, 0, 12):
        observations.append(env.step(action)[0])
    state = mujoco.MjData(env.model)
    for k, observation in enumerate(observations):
        then = trace.qpos[max(0, k * period - age)]
        assert np.array_equal(observation["q"], then[env.handles.qpos].astype(np.float32))
        state.qpos[:] = then
        mujoco.mj_kinematics(env.model, state)
        away = state.body("ball").xpos - state.site("grip").xpos
        assert np.array_equal(observation["state"], away.astype(np.float32))
    assert n == 7
    env.close()


def test_pictures_are_as_old_as_the_readings() -> None:
    late, prompt = (BallEnv(observe=("wrist",)) for _ in range(2))
    late.randomisation = replace(CLEAN, observation_delay=(0.05, 0.05))
    prompt.randomisation = replace(CLEAN, observation_delay=(0.0, 0.0))
    pictures: list[list[np.ndarray]] = []
    for env in (late, prompt):
        frames = [env.reset(seed=2)[0]["wrist"]]
        frames += [env.step(action)[0]["wrist"] for action in torques(env, 9, 5)]
        pictures.append(frames)
        env.close()
    for k in range(5):
        assert np.array_equal(pictures[0][k + 1], pictures[1][k])
        assert not np.array_equal(pictures[1][k + 1], pictures[1][k])


def test_frames_are_those_of_the_present_after_a_step() -> None:
    env = BallEnv()
    env.reset(seed=0)
    env.step(torques(env, 0, 1)[0])
    expected = mujoco.MjData(env.model)
    expected.qpos[:], expected.mocap_pos[:] = env.data.qpos, env.data.mocap_pos
    mujoco.mj_kinematics(env.model, expected)
    assert np.array_equal(env.data.xpos, expected.xpos)
    assert np.array_equal(env.grip_pose()[0], expected.site("grip").xpos)


# --- how episodes end
# -----------------------------------------------------------------------------------------


def test_time_truncates() -> None:
    env = BallEnv(episode_seconds=0.2)
    env.reset(seed=0)
    ends = [env.step(np.zeros(8)) for _ in range(4)]
    assert [(terminated, truncated) for _, _, terminated, truncated, _ in ends] == [(False, False)] * 3 + [
        (False, True)
    ]
    assert [info["reason"] for *_, info in ends] == ["", "", "", "time"]
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(8))
    env.reset()
    env.step(np.zeros(8))


def test_a_step_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match="reset"):
        BallEnv().step(np.zeros(8))


def test_success_takes_its_steps_on_end_and_terminates() -> None:
    env = BallEnv(episode_seconds=6.0)
    env.reset(seed=3)
    held = 0
    while True:
        _, reward, terminated, truncated, info = env.step(env.teacher())
        held = held + 1 if env.holds() else 0
        assert info["success"] == terminated == (held == 3)
        assert set(info["reward_terms"]) == {"near", "height"}
        assert reward == pytest.approx(info["reward_terms"]["near"] + 0.5 * info["reward_terms"]["height"])
        if terminated:
            break
        assert not truncated
    assert info["reason"] == "success"


def test_the_tasks_own_failure_terminates() -> None:
    env = BallEnv()
    env.reset(seed=0)
    env.data.joint("ball").qpos[0] = 0.9
    _, _, terminated, truncated, info = env.step(np.zeros(8))
    assert (terminated, truncated, info["reason"], info["success"]) == (True, False, "lost", False)


def test_a_world_that_flies_apart_ends_the_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warning to a file
    env = BallEnv(observe=("front", *READINGS, "wrench", "state"), image_size=16)
    expected = record(env, 1)
    before, _ = env.reset(seed=0)
    env.data.qvel[env.handles.dof] = 1e12
    observation, reward, terminated, truncated, info = env.step(np.zeros(8))
    assert (terminated, truncated, info["reason"], info["success"]) == (True, False, "diverged", False)
    assert reward == 0.0
    assert info["reward_terms"] == {"near": 0.0, "height": 0.0}
    assert np.isfinite(info["sent"]).all()
    assert all(np.array_equal(observation[key], before[key]) for key in before)  # the last that made sense
    with pytest.raises(RuntimeError, match="reset"):
        env.step(np.zeros(8))
    assert same(record(env, 1), expected)
    env.close()


# --- bad input
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["torque", "impedance", "pose"])
@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full(8, np.nan), "must be finite; entries 0: nan"),
        (np.r_[np.zeros(6), np.inf], "finite|has shape"),
        (np.zeros(5), r"has shape \(.*and the gripper; got \(5,\)"),
        (np.zeros((1, 8)), "has shape"),
        (0.0, "has shape"),
        (["a"] * 8, "array of numbers"),
        (None, "array of numbers|has shape|finite"),
    ],
)
def test_actions_that_are_none(kind: str, action: Any, message: str) -> None:
    env, other = BallEnv(action=kind), BallEnv(action=kind)
    size = env.action_space.shape[0]
    if isinstance(action, np.ndarray) and action.shape == (8,):
        action = action[:size]
    env.reset(seed=0)
    other.reset(seed=0)
    with pytest.raises(InputError, match=message):
        env.step(action)
    for each in (env, other):
        each.step(np.full(size, 0.01))
    assert np.array_equal(env.data.qpos, other.data.qpos)  # nothing had happened


def test_an_action_may_be_overwritten_by_its_owner() -> None:
    env, other = BallEnv(), BallEnv()
    action = np.full(8, 2.0)
    for each in (env, other):
        each.reset(seed=0)
    env.step(action)
    env.step(action)
    other.step(action.copy())
    mine = action.copy()
    several = other.scene.path.advance

    def spoil(torque: np.ndarray, width: float, steps: int) -> None:
        mine[:] = -50.0
        several(torque, width, steps)

    other.scene.path.advance = spoil  # type: ignore[method-assign]
    other.step(mine)
    assert np.array_equal(env.data.qpos, other.data.qpos)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown parameter of BallEnv 'colour'.*cameras"),
        (
            {"observe": ("fronnt",)},
            "unknown observation 'fronnt' .did you mean 'front'.*front_depth.*wrench, state",
        ),
        ({"observe": ("side_depth",)}, "unknown observation"),
        ({"action": "velocity"}, "unknown kind of action 'velocity': choose one of torque, impedance, pose"),
        ({"arm": "pandda"}, "unknown arm 'pandda' .did you mean 'panda'"),
        ({"randomisation": "wild"}, "unknown randomisation tier 'wild': choose one of clean, rich"),
        *(
            ({"image_size": size}, "image_size is .*; it must be a whole number from 8 to 1024")
            for size in (0, -3, 7, 1025, 32.5, 32.0, "32", True, float("inf"))
        ),
        ({"cameras": ("front",)}, r"cameras\[0\] is 'front'; it must be a robolearn.envs.views.View"),
        ({"cameras": "front"}, "cameras is 'front'; it must be a list"),
        ({"cameras": None}, "cameras is None"),
        ({"observe": "front"}, "observe is 'front'; it must be a list"),
        ({"observe": ("q", "q")}, "observe names q more than once"),
        ({"observe": ()}, "observe is empty; it names one or more of front, wrist, front_depth, .*, state"),
        ({"reward_scales": {"near": float("nan"), "height": 1.0}}, "reward_scales near is nan"),
        (
            {"control_rate": 30},
            r"control_rate 30 Hz does not divide physics_rate 400 Hz: choose one of \[1, 2, 4",
        ),
        ({"control_rate": 0}, "control_rate is 0; it must be a whole number"),
        ({"control_rate": 20.5}, "control_rate is 20.5"),
        ({"control_rate": 20.0}, "control_rate is 20.0"),
        ({"control_rate": True}, "control_rate is True"),
        ({"filter_rate": 300}, "filter_rate 300 Hz does not divide"),
        ({"filter_rate": 20}, "filter_rate is 20; it must be a whole number from 40 up"),
        ({"filter_rate": 90}, r"choose one of \[40, 50, 80, 100, 200, 400\]"),
        ({"physics_rate": 0}, "physics_rate is 0"),
        ({"physics_rate": -400}, "physics_rate is -400"),
        ({"physics_rate": 410}, "does not divide physics_rate 410"),
        ({"episode_seconds": 0.01}, "episode_seconds is 0.01: .* at least one action, 0.05 s"),
        *(
            ({"episode_seconds": seconds}, "episode_seconds is .*; it must be a finite number above 0")
            for seconds in (0, -1.0, float("nan"), float("inf"), "6", True, None)
        ),
    ],
)
def test_configurations_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BallEnv(**changes)


@pytest.mark.parametrize("name", ["q", "state", "video", "front", "left_depth"])
def test_names_that_a_camera_cannot_have(name: str) -> None:
    cameras = BallEnv.config_type().cameras
    with pytest.raises(InputError, match=f"camera cannot be called '{name}'"):
        BallEnv(cameras=(*cameras, replace(cameras[0], name=name)))


def test_a_render_mode_that_is_not_there() -> None:
    with pytest.raises(InputError, match="unknown render mode 'human': choose one of rgb_array"):
        BallEnv(render_mode="human")


@pytest.mark.parametrize("scales", [{}, {"near": 1.0}, {"near": 1.0, "height": 1.0, "speed": 1.0}])
def test_reward_scales_name_every_term_and_no_other(scales: dict[str, float]) -> None:
    env = BallEnv(reward_scales=scales)
    env.reset(seed=0)
    with pytest.raises(InputError, match="one scale per reward term of BallEnv: near, height"):
        env.step(np.zeros(8))


# --- pictures for people
# --------------------------------------------------------------------------------------


def test_rendering() -> None:
    env, other = (BallEnv(observe=("front", "wrist"), render_mode=mode) for mode in ("rgb_array", None))
    for each in (env, other):
        each.reset(seed=0)
    picture = env.render()
    assert picture.shape == (480, 480, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    assert other.render() is None
    # a pretty picture between the steps changes none of the observations
    for action in torques(env, 0, 3):
        seen, expected = env.step(action)[0], other.step(action)[0]
        env.render()
        assert all(np.array_equal(seen[key], expected[key]) for key in seen)
    assert not np.array_equal(env.render(), picture)
    env.close()
    env.close()
    other.close()
    assert env.render().shape == (480, 480, 3)  # what was freed is taken anew
    env.close()


def test_rendering_shows_what_is_moved_by_hand() -> None:
    env = BallEnv(render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.data.mocap_pos[0] = [0.5, 0.0, 0.3]
    assert not np.array_equal(env.render(), before)
    env.close()


# --- arms
# -----------------------------------------------------------------------------------------------------


def heavy_arm(tmp_path: Path) -> str:
    """A Panda that does not carry its own weight."""
    profile = yaml.safe_load((ARMS / "panda.yaml").read_text())
    profile["name"] = "heavy"
    profile["control"]["compensates_gravity"] = False
    path = tmp_path / "heavy.yaml"
    path.write_text(yaml.safe_dump(profile))
    return str(path)


def test_an_arm_whose_weight_is_ours_to_carry(tmp_path: Path) -> None:
    heavy, light = BallEnv(arm=heavy_arm(tmp_path)), BallEnv()
    for env in (heavy, light):
        env.reset(seed=0)
        start = env.data.qpos[env.handles.qpos].copy()
        for _ in range(10):
            *_, info = env.step(np.zeros(8))
        assert np.abs(env.data.qpos[env.handles.qpos] - start).max() < 0.002
        assert np.array_equal(info["filtered"], np.zeros(7))  # what was asked for: nothing
        if env is light:
            assert np.array_equal(info["sent"], np.zeros(7))
        else:  # and sent was the arm's weight
            weight = env.data.qfrc_gravcomp[env.handles.dof]
            assert info["sent"] == pytest.approx(weight, abs=0.5)
            assert np.abs(info["sent"][1]) > 5.0
    # a request goes on top of it
    *_, info = heavy.step(np.full(8, 0.5))
    *_, info = heavy.step(np.full(8, 0.5))
    assert info["filtered"] == pytest.approx(np.full(7, 0.5))
    assert info["sent"] - info["filtered"] == pytest.approx(
        heavy.data.qfrc_gravcomp[heavy.handles.dof], abs=0.5
    )


def test_the_contract_says_what_the_environment_does() -> None:
    env = make("grasp", {"observe": ("front", "wrist_depth", "q", "wrench", "state"), "image_size": 32})
    contract = env.contract(history=2)
    assert contract.joints == env.arm.joint_names
    assert [channel.name for channel in contract.proprioception] == ["q", "wrench"]
    assert [(camera.name, camera.encoding) for camera in contract.cameras] == [
        ("front", "rgb8"),
        ("wrist_depth", "depth"),
    ]
    assert {camera.width for camera in contract.cameras} == {32}
    assert (contract.control_rate, contract.filter_rate, contract.history) == (20, 200, 2)
    assert contract.delays == {"observation": 0.01, "action": 0.01, "state": 0.01}
    for kind in ("torque", "impedance", "pose"):
        env = BallEnv(action=kind)
        assert env.contract().action.size == env.action_space.shape[0] - 1


def test_the_tasks_are_registered() -> None:
    assert robolearn.envs
    for name in IDS:
        assert gymnasium.spec(name).id == name
