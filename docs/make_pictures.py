"""Draw the tasks' pages' pictures into docs/images: `python docs/make_pictures.py`.

Of each task an episode of its teacher, as a bystander and as the policy sees it, and what varies from one to
the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robolearn.envs.base import ManipulationEnv
from robolearn.envs.pegs import SHAPES
from robolearn.envs.tasks import make
from robolearn.envs.views import VIDEO

IMAGES = Path(__file__).parent / "images"
SIDE = 240  # of a bystander's picture [pixels]
GAP = 6
CAMERAS = ("front", "wrist")

Picture = NDArray[np.uint8]


def main() -> None:
    save("grasp", film("grasp", {}, seed=3, moments=(0.0, 0.35, 0.62, 0.72, 1.0)))
    save("peg-insertion", film("peg-insertion", {}, seed=6, moments=(0.0, 0.3, 0.55, 0.75, 1.0)))
    varied = [("grasp", {"randomisation": "rich"}), ("grasp", {"count": 8, "objects": "held-out"})]
    save("grasp-variety", rows(seen(task, changes, range(6)) for task, changes in varied))
    shapes = (seen("peg-insertion", {"shape": shape}, (1,), steps=12)[0] for shape in SHAPES)
    rich = seen("peg-insertion", {"randomisation": "rich"}, range(4))
    save("peg-insertion-variety", rows([list(shapes), rich]))


def save(name: str, picture: Picture) -> None:
    path = IMAGES / f"{name}.jpg"
    Image.fromarray(picture).save(path, quality=88, optimize=True)
    print(f"{path}: {picture.shape[1]} x {picture.shape[0]}, {path.stat().st_size / 1000:.0f} kB")


def film(task: str, changes: dict[str, Any], seed: int, moments: Iterable[float]) -> Picture:
    """Moments of a teacher's episode, a column each: the bystander's view over the policy's cameras."""
    env = make(task, {"observe": CAMERAS, **changes})
    observation, _ = env.reset(seed=seed)
    columns = [column(env, observation)]
    done = False
    while not done:
        observation, _, terminated, truncated, _ = env.step(env.teacher())
        columns.append(column(env, observation))
        done = terminated or truncated
    env.close()
    chosen = [columns[round(moment * (len(columns) - 1))] for moment in moments]
    return beside(chosen)


def seen(task: str, changes: dict[str, Any], seeds: Iterable[int], steps: int = 0) -> list[Picture]:
    """What the policy's cameras see after some steps of a teacher's episodes, a picture each."""
    env = make(task, {"observe": CAMERAS, **changes})
    found = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        for _ in range(steps):
            observation, *_ = env.step(env.teacher())
        found.append(policy_view(observation))
    env.close()
    return found


def column(env: ManipulationEnv, observation: dict[str, Picture]) -> Picture:
    bystander = Image.fromarray(env.picture(VIDEO.name, 2 * SIDE, 2 * SIDE)).resize(
        (SIDE, SIDE), Image.Resampling.LANCZOS
    )
    return over([np.asarray(bystander), policy_view(observation)])


def policy_view(observation: dict[str, Picture]) -> Picture:
    """The cameras side by side, as wide as a bystander's picture, pixels left square."""
    side = (SIDE - GAP) // 2
    pictures = (Image.fromarray(observation[name]) for name in CAMERAS)
    return beside(
        [np.asarray(picture.resize((side, side), Image.Resampling.NEAREST)) for picture in pictures]
    )


def beside(pictures: list[Picture]) -> Picture:
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (gap, picture)][1:])


def over(pictures: list[Picture]) -> Picture:
    gap = np.full((GAP, pictures[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for picture in pictures for part in (gap, picture)][1:])


def rows(pictures: Iterable[list[Picture]]) -> Picture:
    return over([beside(row) for row in pictures])


if __name__ == "__main__":
    main()
