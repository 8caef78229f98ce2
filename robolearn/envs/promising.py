"""What an environment promises a policy, and a policy trained in it requires of whoever runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from robolearn.contract import Action, Channel, Contract
from robolearn.envs.commands import command_size
from robolearn.envs.config import CHANNELS, DEPTH, channels
from robolearn.envs.scene import STATE_DELAY

if TYPE_CHECKING:
    from robolearn.envs.base import ManipulationEnv

UNITS = {"torque": "N·m", "impedance": "rad", "pose": "m, rad"}  # of each kind of action
STATE = "state"  # name of the channel with what only a simulator knows
LEAST_TOLERANCE = 0.01  # delays may differ by this, even where training knew only one [s]


def contract_of(env: ManipulationEnv, history: int) -> Contract:
    """The contract of a policy that is shown `history` observations; privileged state is no part of it."""
    config = env.config
    ranges = {
        "observation": env.randomisation.observation_delay,
        "action": env.randomisation.action_delay,
    }
    delays = {name: (low + high) / 2 for name, (low, high) in ranges.items()}
    spread = max((high - low) / 2 for low, high in ranges.values())
    known = channels(env.arm.n)
    cameras = [
        env.views[item.removesuffix(DEPTH)].camera(
            name=item,
            delay=delays["observation"],
            encoding="rgb8" if item in env.views else "depth",
        )
        for item in config.observe
        if item not in CHANNELS
    ]
    limiter = env.scene.path.parameters._asdict()
    size = command_size(config.action, env.arm) - 1
    return Contract(
        arm=env.arm.name,
        joints=env.arm.joint_names,
        proprioception=tuple(known[item] for item in config.observe if item in known),
        cameras=tuple(cameras),
        action=Action(config.action, size, UNITS[config.action], gripper=True),
        control_rate=config.control_rate,
        filter_rate=config.filter_rate,
        limiter={k: tuple(v) if isinstance(v, list) else v for k, v in limiter.items()},
        delays={**delays, "state": STATE_DELAY},
        delay_tolerance=max(spread, LEAST_TOLERANCE),
        history=history,
    )


def with_state(contract: Contract, size: int) -> Contract:
    """The contract of a policy that is shown the privileged state, too, which no arm offers."""
    return replace(contract, proprioception=(*contract.proprioception, Channel(STATE, "privileged", size)))
