"""Procedural objects to grasp: their shapes, rests and grasps, and how they enter a MuJoCo scene."""

from __future__ import annotations

from robolearn.envs.objects.grasps import grasps_for
from robolearn.envs.objects.library import SPLITS, library
from robolearn.envs.objects.model import Grasp, ObjectModel, Part, Rest, centred
from robolearn.envs.objects.scene import add_object, resting_pose

__all__ = [
    "SPLITS",
    "Grasp",
    "ObjectModel",
    "Part",
    "Rest",
    "add_object",
    "centred",
    "grasps_for",
    "library",
    "resting_pose",
]
