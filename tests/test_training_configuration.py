from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest

from robolearn.envs.tasks import TASKS
from robolearn.errors import InputError
from robolearn.training.configuration import describe_changes, parse_changes, read_changes


@pytest.mark.parametrize(
    ("task", "word", "key", "value"),
    [
        ("peg-insertion", "clearance=1mm", "clearance", 0.001),
        ("peg-insertion", "clearance = 0.5 mm ", "clearance", 0.0005),
        ("peg-insertion", "clearance=0.002", "clearance", 0.002),
        ("peg-insertion", "shape=round", "shape", "round"),
        ("peg-insertion", "hole_turn=0.25", "hole_turn", 0.25),
        ("peg-insertion", "hole-turn=1", "hole_turn", 1.0),
        ("peg-insertion", "grasp_tilt=30deg", "grasp_tilt", float(np.radians(30))),
        ("grasp", "count=3", "count", 3),
        ("grasp", "objects=held-out", "objects", "held-out"),
        ("grasp", "observe=front, q,dq", "observe", ("front", "q", "dq")),
        ("grasp", 'observe=["front"]', "observe", ("front",)),
        ("grasp", "image_size=none", "image_size", None),
        ("grasp", "image_size=32", "image_size", 32),
        ("grasp", 'reward_scales={"lift": 2}', "reward_scales", {"lift": 2.0}),
    ],
)
def test_words(task: str, word: str, key: str, value: Any) -> None:
    parsed = parse_changes(task, [word])
    assert parsed == {key: value}
    assert type(parsed[key]) is type(value)


def test_several_words() -> None:
    assert parse_changes("grasp", ["count=2", "objects=train"]) == {"count": 2, "objects": "train"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clearence=1mm"], "unknown parameter of peg-insertion 'clearence' .did you mean 'clearance'"),
        (["clearance=1 mn"], "^clearance: .*unknown unit 'mn'.*mm"),
        (["clearance=wide"], "^clearance: .*'wide' is not a number"),
        (["clearance"], "write key=value with one of the keys .*clearance"),
        (["hole_turn=left"], "^hole_turn: angle 'left' is not a number"),
        (["hole_turn=NaN"], "angle 'NaN' is not a number"),
        (["control_rate=20.5"], "control_rate is 20.5; it must be a whole number"),
        (["control_rate=true"], "control_rate is True; it must be a whole number"),
        (["image_size=big"], "image_size is 'big'; it must be a whole number or none"),
        (["reward_scales=[1]"], "reward_scales is .*must be a mapping"),
        (["observe=[1]"], r"observe\[0\] is 1; it must be text"),
        (["shape=round", "shape=square"], "shape is given more than once"),
        (['cameras=[{"name": "front"}]'], r"cameras\[0\] lacks frame, position"),
        (['cameras=[{"nam": "front"}]'], "unknown key of cameras.*did you mean 'name'"),
    ],
)
def test_words_that_cannot_be_used(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_changes("peg-insertion", words)


def test_an_unknown_task() -> None:
    with pytest.raises(InputError, match=r"unknown task 'graps' .did you mean 'grasp'"):
        parse_changes("graps", [])


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_field_survives_json(task: str) -> None:
    config = TASKS[task].config_type()
    read = read_changes(task, json.loads(json.dumps(asdict(config))))
    assert read == {field.name: getattr(config, field.name) for field in fields(config)}


def test_what_is_read_already_stays() -> None:
    changes = {"cameras": TASKS["grasp"].config_type().cameras, "count": 2}
    assert read_changes("grasp", changes) == changes


def test_a_value_of_another_type_in_json() -> None:
    with pytest.raises(InputError, match="count is '3'; it must be a whole number"):
        read_changes("grasp", {"count": "3"})
    with pytest.raises(InputError, match="unknown parameter of grasp 'shape'"):
        read_changes("grasp", {"shape": "round"})
    with pytest.raises(InputError, match=r"cameras\[0\].position is .* it must be a list of 3"):
        read_changes(
            "grasp", {"cameras": [{**asdict(TASKS["grasp"].config_type().cameras[0]), "position": [1, 2]}]}
        )


def test_changes_for_people() -> None:
    changes: dict[str, Any] = {"clearance": 0.001, "shape": "round", "hole_turn": 0.123456}
    changes |= {"observe": ["front", "q"], "image_size": None}
    changes["cameras"] = [asdict(camera) for camera in TASKS["peg-insertion"].config_type().cameras]
    assert describe_changes("peg-insertion", changes) == {
        "clearance": "1 mm",
        "shape": "round",
        "hole_turn": "7.074 deg",
        "observe": "front q",
        "image_size": "None",
        "cameras": "...",
    }
