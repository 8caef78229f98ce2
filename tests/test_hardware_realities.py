"""Reading a reality's file, and who may know of it."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest
import yaml

import robolearn
from robolearn.errors import InputError
from robolearn.hardware.arm import load_arm
from robolearn.hardware.realities import REALITIES, load_reality, reality_names

PANDA = load_arm("panda")
FROZEN = {
    "near": "76360ff2efcaf78748ba5e8f19f3533795fcf7ab9ccfa043b0e7886f843050aa",
    "middle": "2c045d662f0756720fd48ab24b5219cde4692a888c244cb70a68fb9cef1b5aa3",
    "far": "9920e4dc47a424d74ef5470b60b28764fd57fa215b4c30ebfc180447fa93883d",
}


def altered(path: Path, **changes: object) -> Path:
    values = {**yaml.safe_load((REALITIES / "near.yaml").read_bytes()), **changes}
    path.write_text(yaml.safe_dump({key: value for key, value in values.items() if value != ""}))
    return path


def test_the_shipped_realities_are_frozen() -> None:
    assert set(reality_names()) == FROZEN.keys()
    for name, digest in FROZEN.items():
        assert hashlib.sha256((REALITIES / f"{name}.yaml").read_bytes()).hexdigest() == digest
        assert load_reality(name, PANDA).sha256 == digest


def test_what_a_file_says_is_what_is_read() -> None:
    middle = load_reality("middle", PANDA)
    assert middle.name == "middle"
    assert middle.torque_gain == (0.96, 1.04, 0.97, 1.05, 0.95, 1.03, 0.96)
    assert middle.camera_shift == {"front": (-0.010, 0.008, 0.009), "wrist": (0.003, -0.003, 0.003)}
    assert middle.focal_scale == {"front": 0.975, "wrist": 1.020}
    assert (middle.texture, middle.distractors, middle.colour_seed) == (True, 1, 22)
    assert middle.camera_delay_extra == 0.010


def test_they_lie_farther_and_farther_from_the_training_simulator() -> None:
    near, middle, far = (load_reality(name, PANDA) for name in ("near", "middle", "far"))
    for name in ("mass_scale", "command_delay_extra", "colour_shift", "dq_noise"):
        assert getattr(near, name) < getattr(middle, name) < getattr(far, name)
    for joint in range(7):
        frictions = [reality.joint_friction[joint] for reality in (near, middle, far)]
        assert frictions == sorted(frictions)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    mine = load_reality(altered(tmp_path / "mine.yaml", mass_scale=2.5), PANDA)
    assert (mine.name, mine.mass_scale) == ("mine", 2.5)
    assert load_reality(str(tmp_path / "mine.yaml"), PANDA) == mine


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joint_frictoin": [0.1] * 7}, r"unknown key 'joint_frictoin'.*did you mean 'joint_friction'"),
        ({"mass_scale": ""}, r"mass_scale is missing; it must be a number in \[0\.1, 10\]"),
        ({"mass_scale": 0.0}, r"mass_scale is 0\.0; it must be a number in \[0\.1, 10\]"),
        ({"mass_scale": float("nan")}, r"mass_scale is nan"),
        ({"torque_gain": [1.0] * 6}, r"torque_gain is .*; it must be a list of 7 numbers"),
        ({"camera_shift": {"front": [0.0, 0.0]}}, r"camera_shift\.front is .*a list of 3 numbers"),
        ({"focal_scale": {"front": "wide"}}, r"focal_scale\.front is 'wide'"),
        ({"focal_scale": {7: 1.0}}, r"focal_scale is \{7: 1\.0\}; it must be a mapping from names"),
        ({"camera_turn": [0.0, 0.0, 0.0]}, r"camera_turn is .*a mapping"),
        ({"distractors": 2.5}, r"distractors is 2\.5; it must be a whole number in \[0, 4\]"),
        ({"texture": 1}, r"texture is 1; it must be true or false"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_reality(altered(tmp_path / "mine.yaml", **changes), PANDA)


def test_an_unknown_reality_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 'middle'.*far, middle, near"):
        load_reality("midle", PANDA)
    with pytest.raises(InputError, match="cannot be read"):
        load_reality(tmp_path / "none.yaml", PANDA)


def imports(file: Path) -> set[str]:
    """Modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(f"{node.module}")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_nothing_that_learns_or_trains_can_see_a_reality() -> None:
    """Whatever a module of envs, policies or training imports, directly or through others."""
    package = Path(robolearn.__file__).parent
    files = {}
    for file in package.rglob("*.py"):
        parts = ("robolearn", *file.relative_to(package).with_suffix("").parts)
        files[".".join(parts).removesuffix(".__init__")] = file
    reached = {
        name
        for name in files
        if name.startswith(("robolearn.envs", "robolearn.policies", "robolearn.training"))
    }
    assert len(reached) > 50
    open_ones = list(reached)
    while open_ones:
        new = (imports(files[open_ones.pop()]) & files.keys()) - reached
        reached |= new
        open_ones += new
    assert "robolearn.hardware.limiter" in reached
    assert not {name for name in reached if name.startswith("robolearn.hardware.realities")}
    assert not {name for name in reached if name.startswith("robolearn.hardware.simulation")}
    for name in reached:
        text = files[name].read_text(encoding="utf-8")
        assert "realities" not in text, name
