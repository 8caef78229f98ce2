"""The episode: what it checks, and that its file gives back what was written, or says why not."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.errors import InputError

CONTRACT = Contract(
    arm="two",
    joints=("shoulder", "elbow"),
    proprioception=(Channel("q", "rad", 2, per_joint=True),),
    cameras=(
        Camera.from_fovy("front", 4, 3, 0.8, "base", (1, 0, 1), (1, 0, 0, 0)),
        Camera.from_fovy("front_depth", 4, 3, 0.8, "base", (1, 0, 1), (1, 0, 0, 0), encoding="depth"),
    ),
    action=Action("torque", 2, "N·m", gripper=True),
    control_rate=20,
    filter_rate=200,
    limiter={"tau_max": [87, 12]},
    delays={},
)


def make(steps: int = 5, **changes: Any) -> Episode:
    rng = np.random.default_rng(3)
    values: dict[str, Any] = {
        "contract": CONTRACT,
        "observations": {
            "front": rng.integers(0, 256, (steps + 1, 3, 4, 3), np.uint8),
            "front_depth": rng.random((steps + 1, 3, 4), np.float32),
            "q": rng.random((steps + 1, 2), np.float32),
            "state": rng.random((steps + 1, 9)),
        },
        "requested": rng.normal(size=(steps, 3)),
        "filtered": rng.normal(size=(steps, 2)),
        "sent": rng.normal(size=(steps, 2)),
        "stamps": 1.7e9 + np.arange(steps + 1) / 20,
        "reward": rng.normal(size=steps),
        "reward_terms": {"reach": rng.random(steps), "lift": rng.random(steps)},
        "source": np.full(steps, Source.TEACHER, np.uint8),
        "outcome": Outcome(
            True, "success", steps, steps / 20, 12.5, 3.0, 0, 1, {"rate": 3}, 3, 10 * steps, 4.0
        ),
        "task": "grasp",
        "config": {"clearance": 0.003, "cameras": ["front"]},
        "seed": 7,
        "info": {"mass": 0.2, "pose": [0.1, 0.2], "texture": None},
        "expert": rng.normal(size=(steps, 3)),
        **changes,
    }
    return Episode(**values)


def assert_same(first: Episode, second: Episode) -> None:
    ours, theirs = first.arrays(), second.arrays()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.shape == theirs[name].shape, name
        assert array.tobytes() == theirs[name].tobytes(), name
    for name in ("contract", "outcome", "task", "config", "seed", "info", "versions"):
        assert getattr(first, name) == getattr(second, name), name


def rewrite(path: Path, header: Callable[[dict[str, Any]], object] = lambda _: None, **arrays: Any) -> None:
    """Change an episode's file from outside; an array that is None is left out."""
    with np.load(path) as file:
        parts: dict[str, Any] = dict(file)
    meta = json.loads(parts["header"].tobytes())
    header(meta)
    parts["header"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    parts.update({name.replace("__", "/"): array for name, array in arrays.items()})
    np.savez(path, **{name: array for name, array in parts.items() if array is not None})


# --- round trip


def test_round_trip(tmp_path):
    episode = make()
    assert len(episode) == 5
    episode.save(tmp_path / "e.npz")
    assert_same(episode, Episode.load(str(tmp_path / "e.npz")))
    assert os.listdir(tmp_path) == ["e.npz"]
    assert set(episode.versions) >= {"python", "robolearn", "numpy"}
    assert_same(episode, pickle.loads(pickle.dumps(episode)))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5).filter(str.isprintable), inner)
    ),
    max_leaves=8,
)
names = st.from_regex(r"[\w-]{1,8}", fullmatch=True).filter(
    lambda name: name not in ("front", "front_depth", "q")
)
dtypes = st.sampled_from(["u1", "i4", "i8", "f2", "f4", "f8", "?", ">f4"])
tails = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    steps = draw(st.integers(1, 4))
    floats = st.floats(-1e9, 1e9)

    def array(*shape: int, elements: Any = floats) -> np.ndarray:
        return draw(hnp.arrays(np.float64, shape, elements=elements))

    observations = {
        name: draw(hnp.arrays(draw(dtypes), (steps + 1, *draw(tails))))
        for name in draw(st.lists(names, max_size=3, unique=True))
    }
    gaps = draw(hnp.arrays(np.float64, steps + 1, elements=st.floats(1e-3, 10)))
    return make(
        steps,
        observations=observations,
        requested=array(steps, 3, elements=st.floats()),
        filtered=array(steps, 2),
        sent=array(steps, 2).astype(np.float32),
        stamps=np.cumsum(gaps),
        reward=array(steps),
        reward_terms={name: array(steps) for name in draw(st.lists(names, max_size=3, unique=True))},
        source=draw(hnp.arrays(np.uint8, steps, elements=st.integers(0, 3))),
        expert=draw(st.none() | st.just(array(steps, 3))),
        outcome=Outcome(
            draw(st.booleans()),
            "time",
            steps,
            1.0,
            draw(st.none() | st.floats(0, 1e6)),
            drops=draw(st.none() | st.integers(0, 9)),
            jams=draw(st.none() | st.integers(0, 9)),
            altered_ticks=draw(st.none() | st.integers(0, 999)),
        ),
        config=draw(st.dictionaries(names, json_like, max_size=3)),
        info=draw(st.dictionaries(names, json_like, max_size=3)),
        seed=draw(st.integers(0, 2**64)),
    )


@given(episode=episodes())
def test_any_episode_comes_back_bit_for_bit(tmp_path_factory, episode: Episode):
    path = tmp_path_factory.getbasetemp() / "any.npz"
    episode.save(path)
    assert_same(episode, Episode.load(path))


def test_an_episode_may_have_neither_observations_nor_terms_nor_expert(tmp_path):
    episode = make(1, observations={}, reward_terms={}, expert=None, info={}, config={})
    episode.save(tmp_path / "e.npz")
    assert_same(episode, Episode.load(tmp_path / "e.npz"))


def test_what_a_policy_asked_for_is_kept_even_if_it_is_nan(tmp_path):
    episode = make()
    episode.requested[2, 1] = math.nan
    episode.requested[3, 0] = -math.inf
    episode.save(tmp_path / "e.npz")
    assert_same(episode, Episode.load(tmp_path / "e.npz"))


def test_info_and_config_become_plain():
    episode = make(info={"pose": np.arange(3.0), "gain": np.float32(0.5), "tiers": ("a", {"b": np.int64(2)})})
    assert episode.info == {"pose": [0.0, 1.0, 2.0], "gain": 0.5, "tiers": ["a", {"b": 2}]}
    assert type(episode.info["gain"]) is float
    with pytest.raises(InputError, match=r"info.a\[1\] is nan; numbers must be finite"):
        make(info={"a": [0.0, math.nan]})
    with pytest.raises(InputError, match=r"config\.path is PosixPath\('x'\); JSON has no PosixPath"):
        make(config={"path": Path("x")})
    with pytest.raises(InputError, match=r"info\.a has the key 3; keys must be text"):
        make(info={"a": {3: 1}})
    with pytest.raises(InputError, match="seed is -1"):
        make(seed=-1)
    with pytest.raises(InputError, match="task is ''"):
        make(task="")


# --- validation


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("requested", np.zeros((0, 3)), "the episode has no steps"),
        ("requested", np.zeros(()), "the episode has no steps"),
        (
            "requested",
            np.zeros((5, 2)),
            r"requested is float64 of shape \(5, 2\); in an episode of 5 steps .*\(5, 3\)",
        ),
        ("requested", np.zeros((5, 3), int), r"requested is int64 .* must be float of shape \(5, 3\)"),
        ("requested", [[0.0] * 3] * 5, "requested is of type list; it must be an array of numbers"),
        ("filtered", np.zeros((6, 2)), r"filtered is float64 of shape \(6, 2\)"),
        ("filtered", np.full((5, 2), np.nan), "filtered holds NaN or infinity at step 0"),
        ("sent", np.zeros((5, 3)), r"sent is float64 of shape \(5, 3\).*\(5, 2\)"),
        ("sent", np.array([[0.0, 0.0]] * 4 + [[0.0, np.inf]]), "sent holds NaN or infinity at step 4"),
        ("expert", np.zeros((4, 3)), r"expert is float64 of shape \(4, 3\)"),
        ("stamps", np.arange(5.0), r"stamps is float64 of shape \(5,\).*\(6,\)"),
        ("stamps", np.arange(6, dtype=np.float32), "stamps is float32"),
        ("stamps", np.array([0, 1, 2, 2, 3, 4.0]), "stamps do not increase from observation 2 to 3"),
        ("stamps", np.array([0, 1, 2, np.nan, 3, 4.0]), "stamps holds NaN or infinity at step 3"),
        ("reward", np.zeros((5, 1)), r"reward is float64 of shape \(5, 1\)"),
        ("reward", np.full(5, np.nan), "reward holds NaN"),
        ("source", np.zeros(5), r"source is float64 of shape \(5,\); .* must be uint8"),
        (
            "source",
            np.array([0, 1, 2, 3, 4], np.uint8),
            r"source holds 4; choose from 0 \(policy\), 1 \(teacher\)",
        ),
    ],
)
def test_a_bad_array_is_named(name, array, message):
    with pytest.raises(InputError, match=message):
        make(**{name: array}).validate()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "front",
            np.zeros((6, 4, 3, 3), np.uint8),
            r"observations/front is uint8 of shape \(6, 4, 3, 3\).*\(6, 3, 4, 3\)",
        ),
        ("front", np.zeros((6, 3, 4, 3)), "observations/front is float64 .* must be uint8"),
        ("front_depth", np.zeros((6, 3, 4, 1), np.float32), r"observations/front_depth .* \(6, 3, 4\)"),
        ("q", np.zeros((5, 2)), r"observations/q is float64 of shape \(5, 2\).* of shape \(6, 2\)"),
        ("q", np.zeros((6, 3)), r"observations/q .* of shape \(6, 2\)"),
        ("state", np.zeros((5, 9)), r"observations/state .* must be an array of shape \(6, 9\)"),
        ("state", np.zeros(()), "observations/state is float64 of shape"),
        ("state", np.array(["a"] * 6), "observations/state is of type <U1; it must be an array of numbers"),
        ("state", np.array([None] * 6), "observations/state is of type object"),
        ("a/b", np.zeros(6), "'observations/a/b' is no name for an array"),
        ("x.npy", np.zeros(6), "'observations/x.npy' is no name for an array"),
        ("", np.zeros(6), "'observations/' is no name for an array"),
    ],
)
def test_a_bad_observation_is_named(name, array, message):
    episode = make()
    with pytest.raises(InputError, match=message):
        replace(episode, observations={**episode.observations, name: array}).validate()


def test_other_things_are_validated():
    make().validate()
    with pytest.raises(InputError, match="reward_terms/reach is float64 of shape"):
        make(reward_terms={"reach": np.zeros(4)}).validate()
    with pytest.raises(InputError, match="outcome says 4 steps; requested has 5"):
        make(outcome=Outcome(False, "time", 4, 0.2)).validate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"success": 1}, "outcome success is 1; it must be true or false"),
        ({"reason": ""}, "outcome reason is ''"),
        ({"steps": 0}, "outcome steps is 0"),
        ({"seconds": -1}, "outcome seconds is -1"),
        ({"peak_force": math.nan}, "outcome peak_force is nan"),
        ({"jerk": -1.0}, "outcome jerk is -1.0"),
        ({"drops": 0.5}, "outcome drops is 0.5"),
        ({"jams": -1}, "outcome jams is -1"),
        ({"altered_ticks": True}, "outcome altered_ticks is True"),
        ({"interventions": {"rate": -1}}, "outcome interventions rate is -1"),
        ({"interventions": [1]}, "outcome interventions is"),
    ],
)
def test_a_bad_outcome_is_named(change, message):
    with pytest.raises(InputError, match=message):
        replace(make().outcome, **change)


# --- the file


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    make().save(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        make(9).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["e.npz"]


def test_nothing_invalid_is_written(tmp_path):
    with pytest.raises(InputError, match="sent is"):
        make(sent=np.zeros((4, 2))).save(tmp_path / "e.npz")
    assert os.listdir(tmp_path) == []


def test_what_is_no_episode_is_refused(tmp_path):
    for name in ("e.pt", "e"):
        with pytest.raises(InputError, match=rf"ends in \.npz; .*{name}' does not"):
            make().save(tmp_path / name)
        with pytest.raises(InputError, match=r"ends in \.npz"):
            Episode.load(tmp_path / name)
    path = tmp_path / "e.npz"
    with pytest.raises(InputError, match=r"there is no episode .*e\.npz"):
        Episode.load(path)
    for content in (b"", b"PK\x03\x04", b"hello", pickle.dumps(make())):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"e\.npz is no episode file, or it is damaged"):
            Episode.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match="no episode file"):
        Episode.load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="no episode file"):
        Episode.load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="no episode file"):
        Episode.load(path)


def test_any_truncation_is_refused(tmp_path):
    path = tmp_path / "e.npz"
    make(1, observations={}).save(path)
    content = path.read_bytes()
    for length in range(0, len(content), 61):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged"):
            Episode.load(path)


def test_a_damaged_byte_is_refused_or_does_not_matter(tmp_path):
    path = tmp_path / "e.npz"
    episode = make(1)
    episode.save(path)
    content = path.read_bytes()
    refused = 0
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(content), 400):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = Episode.load(path)
        except InputError:
            refused += 1
        else:  # a file time in the zip archive, for example
            assert_same(episode, found)
    assert refused > 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"header": lambda h: h.update(version=2)},
            "it is 'robolearn-episode' version 2; this reads .* version 1",
        ),
        ({"header": lambda h: h.update(format="other")}, "it is 'other' version 1"),
        ({"header": lambda h: h.update(extra=1)}, "header has an unknown key 'extra'"),
        ({"header": lambda h: h.pop("seed")}, "header lacks 'seed'"),
        ({"header": lambda h: h["info"].update(mass=math.nan)}, "header holds NaN"),
        ({"header": lambda h: h["contract"].update(arm="fr3")}, "its contract has hash .*, not "),
        ({"header": lambda h: h["contract"].pop("arm")}, "contract lacks 'arm'"),
        ({"header": lambda h: h["outcome"].pop("reason")}, "outcome lacks 'reason'"),
        ({"header": lambda h: h["outcome"].update(steps=4)}, "outcome says 4 steps"),
        ({"header": lambda h: h.update(seed="x")}, "seed is 'x'"),
        ({"header": lambda h: h.update(info=[])}, r"info is \[\]; it must be a mapping"),
        ({"header": lambda h: h.update(task=None)}, "task is None"),
        ({"header": lambda h: h["arrays"].pop("sent"), "sent": None}, "it lacks the arrays sent"),
        ({"header": lambda h: h["arrays"].update(x=["<f8", [1]]), "x": np.zeros(1)}, "an unknown array 'x'"),
        ({"sent": None}, "it holds the arrays .* its header says"),
        ({"sent": np.zeros((4, 2))}, "it holds the arrays .* its header says"),
        ({"observations__front": None}, "it holds the arrays .* its header says"),
        ({"stamps": np.zeros(6)}, "stamps do not increase"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, change, message):
    path = tmp_path / "e.npz"
    make().save(path)
    rewrite(path, **change)
    with pytest.raises(InputError, match=f"e.npz is no valid episode: .*{message}"):
        Episode.load(path)


def test_pickled_objects_are_never_loaded(tmp_path):
    path = tmp_path / "e.npz"
    make().save(path)
    rewrite(path, sent=np.array([print], dtype=object))
    with pytest.raises(InputError, match="damaged: Object arrays cannot be loaded"):
        Episode.load(path)
