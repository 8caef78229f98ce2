"""A reality is what a simulated arm is like when it is not the training simulator: numbers in a file.

`load_reality("middle", arm)` reads a shipped one, `load_reality("mine.yaml", arm)` one's own. What is learned
never sees it: only the simulated arm takes it (`robolearn.hardware.simulation`), and nothing of environments,
policies and training imports this. The shipped files are frozen, each by its SHA-256.

`python -m robolearn.hardware.realities` prints the table of `docs/improvement.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robolearn.errors import choose
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.parameters import (
    by_name,
    flag,
    joint_numbers,
    number,
    read,
    tables,
    text,
    vector,
    whole,
)
from robolearn.hardware.reading import read_yaml

REALITIES = Path(__file__).parent / "realities"


@dataclass(frozen=True)
class Reality:
    """A simulated arm that differs from the training simulator, the same in every episode.

    Attributes:
        path: the file that this was read from.
        sha256: of that file, in hex.
    """

    path: Path = field(compare=False)
    sha256: str
    title: str = text("What it is like, in a few words.")
    torque_gain: tuple[float, ...] = joint_numbers("Torque made for each N·m sent.", "-", 0.2, 2.0)
    joint_friction: tuple[float, ...] = joint_numbers("Coulomb friction of the joints.", "N·m", 0.0, 20.0)
    mass_scale: float = number("Factor on the masses of the objects.", "-", 0.1, 10.0)
    friction_scale: float = number("Factor on the friction of objects and finger pads.", "-", 0.05, 10.0)
    state_delay_extra: float = number("Joint states come so much later than the station says.", "s", 0.0, 0.1)
    command_delay_extra: float = number("Torques act so much later.", "s", 0.0, 0.1)
    camera_delay_extra: float = number("Pictures come so much later.", "s", 0.0, 0.5)
    camera_shift: Mapping[str, tuple[float, ...]] = by_name(
        "How far each camera stands from its place, along the base's axes, or the hand's if it rides there.",
        "m",
        -0.2,
        0.2,
        3,
    )
    camera_turn: Mapping[str, tuple[float, ...]] = by_name(
        "Rotation of each camera about these axes.", "rad", -0.5, 0.5, 3
    )
    focal_scale: Mapping[str, float] = by_name("Factor on each camera's focal length.", "-", 0.5, 2.0, 1)
    light_intensity: float = number("Factor on the lamp's brightness.", "-", 0.0, 4.0)
    light_shift: tuple[float, ...] = vector(
        "Shift of the direction of the light, which points 1 down.", "-", -2.0, 2.0, 3
    )
    colour_shift: float = number(
        "Largest shift, up or down, of every surface's colour channels (1 is full scale).", "-", 0.0, 1.0
    )
    colour_seed: int = whole("Of these shifts, of the pattern and of the distractors.", "-", 0, 2**31 - 1)
    texture: bool = flag("Whether the table carries a pattern.")
    distractors: int = whole("Things that stand about outside the work's way.", "-", 0, 4)
    q_noise: float = number("Standard deviation of joint positions as measured.", "rad", 0.0, 0.01)
    dq_noise: float = number("The same of joint velocities.", "rad/s", 0.0, 1.0)
    image_noise: float = number("The same of pixels (255 is full scale).", "-", 0.0, 64.0)

    @property
    def name(self) -> str:
        """What its file is called."""
        return self.path.stem


def reality_names() -> tuple[str, ...]:
    """Names of the realities that come with the package."""
    return tuple(sorted(path.stem for path in REALITIES.glob("*.yaml")))


def load_reality(name_or_path: str | Path, arm: ArmProfile) -> Reality:
    """Read a reality: one of `reality_names()` or the path of a YAML file (it ends in .yaml or .yml).

    Args:
        name_or_path: which.
        arm: whose joints it counts.

    Raises:
        InputError: no such reality, or a value in the file that cannot be: names file, key, value, range.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    else:
        path = REALITIES / f"{choose('reality', name_or_path, reality_names())}.yaml"
    section = read_yaml(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return read(Reality, section, arm, {"path": path, "sha256": digest})


if __name__ == "__main__":
    print(tables(Reality))
