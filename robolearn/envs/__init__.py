"""Simulated arms, scenes and tasks, with the teachers that solve them."""

from __future__ import annotations

# reached through the link `envs` of the repository every class would exist twice
if __name__ != "robolearn.envs":
    raise ImportError(f"{__name__!r} is a link for readers: import robolearn.envs instead")

import gymnasium

gymnasium.register(id="RoboLearn/PegInsertion-v0", entry_point="robolearn.envs.peg_insertion:PegInsertionEnv")
gymnasium.register(id="RoboLearn/Grasp-v0", entry_point="robolearn.envs.grasp:GraspEnv")
