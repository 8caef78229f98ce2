"""What a task can be asked for, and whether it makes sense."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

from robolearn import checks
from robolearn.contract import Channel
from robolearn.envs.commands import COMMANDS
from robolearn.envs.views import VIDEO, View
from robolearn.errors import InputError, choose
from robolearn.hardware.limiter import REACTION_TIME

CHANNELS = ("q", "dq", "tau", "gripper", "wrench", "state")
IMAGE_SIZES = (8, 1024)  # smallest and largest side of pictures that a policy sees [pixels]
DEPTH = "_depth"  # what follows a camera's name where its depth is observed


@dataclass(frozen=True)
class TaskConfig:
    """What every task can be asked for.

    Attributes:
        arm: name of a shipped arm, or path of an arm profile.
        observe: names of cameras ("front", "wrist"), their depth ("front_depth"), and of channels (q, dq,
            tau, gripper, wrench, state), in the order in which observations carry them.
        image_size: width and height of every picture [pixels], 8 to 1024; None keeps each camera's own.
        cameras: the virtual cameras; observe picks among them.
        action: "torque" (joint torques, gravity excluded), "impedance" (joint displacements) or "pose" (hand
            displacements).
        control_rate: how often the policy acts [Hz]; divides physics_rate.
        filter_rate: how often the torque limiter acts [Hz], from 40 up; divides physics_rate.
        physics_rate: simulation steps a second [Hz]; None takes what the task needs.
        episode_seconds: the time limit [s].
        randomisation: "clean" or "rich".
        reward_scales: weight of each named reward term; all of the task's terms and no others.
    """

    arm: str = "panda"
    observe: tuple[str, ...] = ("front", "wrist", "q", "dq", "tau", "gripper")
    image_size: int | None = None
    cameras: tuple[View, ...] = ()
    action: str = "torque"
    control_rate: int = 20
    filter_rate: int = 200
    physics_rate: int | None = None
    episode_seconds: float = 6.0
    randomisation: str = "clean"
    reward_scales: dict[str, float] = field(default_factory=dict)


def channels(joints: int) -> dict[str, Channel]:
    """What a robot can be asked for besides pictures, by name; the privileged state is none of it."""
    return {
        "q": Channel("q", "rad", joints, per_joint=True),
        "dq": Channel("dq", "rad/s", joints, per_joint=True),
        "tau": Channel("tau", "N·m", joints, per_joint=True),
        "gripper": Channel("gripper", "m, m/s", 2),
        "wrench": Channel("wrench", "N, N·m", 6),
    }


def views_of(config: TaskConfig) -> dict[str, View]:
    """The config's cameras by name, pictures in the size asked for.

    Raises:
        InputError: the size is no size, a camera is no view, or its name is taken.
    """
    size = config.image_size
    if size is not None:
        size = checks.whole("image_size", size, *IMAGE_SIZES)
    views: dict[str, View] = {}
    for index, view in enumerate(checks.items("cameras", config.cameras)):
        if not isinstance(view, View):
            raise InputError(f"cameras[{index}] is {view!r}; it must be a robolearn.envs.views.View")
        if view.name in (*views, *CHANNELS, VIDEO.name) or view.name.endswith(DEPTH):
            taken = ", ".join([*views, *CHANNELS, VIDEO.name, f"and what ends in {DEPTH}"])
            raise InputError(f"a camera cannot be called {view.name!r}: taken are {taken}")
        views[view.name] = view if size is None else replace(view, width=size, height=size)
    return views


def check(config: TaskConfig, physics_rate: int) -> None:
    """See whether a config can be had at a physics rate [Hz].

    Raises:
        InputError: names the field, its value and what could be there instead.
    """
    checks.whole("physics_rate", physics_rate, 1)
    for name, lowest in (("control_rate", 1), ("filter_rate", ceil(1 / REACTION_TIME))):
        rate = checks.whole(name, getattr(config, name), lowest)
        if physics_rate % rate:
            divisors = [d for d in range(lowest, physics_rate + 1) if physics_rate % d == 0]
            raise InputError(
                f"{name} {rate!r} Hz does not divide physics_rate {physics_rate} Hz: choose one of {divisors}"
            )
    seconds = checks.number("episode_seconds", config.episode_seconds, above=0.0)
    if round(seconds * config.control_rate) < 1:
        least = 1 / config.control_rate
        raise InputError(f"episode_seconds is {seconds!r}: an episode lasts at least one action, {least:g} s")
    names = list(views_of(config))
    choices = [*names, *(name + DEPTH for name in names), *CHANNELS]
    observe = checks.names("observe", config.observe)
    if not observe:
        raise InputError(f"observe is empty; it names one or more of {', '.join(choices)}")
    for item in observe:
        choose("observation", item, choices)
    choose("kind of action", config.action, COMMANDS)
    for name, scale in checks.mapping("reward_scales", config.reward_scales).items():
        checks.number(f"reward_scales {name}", scale)


def weighed(terms: dict[str, float], scales: dict[str, float], task: str) -> float:
    """The reward: every term times its scale, added up.

    Raises:
        InputError: a term without a scale, or a scale without a term.
    """
    if terms.keys() != scales.keys():
        raise InputError(
            f"reward_scales has {', '.join(scales) or 'nothing'}; it takes one scale per reward term of "
            f"{task}: {', '.join(terms)}"
        )
    return float(sum(scales[name] * value for name, value in terms.items()))
