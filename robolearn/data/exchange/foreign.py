"""Somebody else's episodes made into ours, by rules that say what they assume.

Other people's datasets have pictures, readings and actions, and seldom a contract, torques, or a word about
success. What a person knows about them is told (`Told`); what nobody says is refused, or filled in and named
as a loss. `docs/exchange.md` has the rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.contract import Action, Camera, Channel, Contract
from robolearn.data.episode import Episode, Outcome, Source
from robolearn.data.exchange.losses import Losses
from robolearn.errors import InputError, choose

Array = NDArray[Any]

LUMP = "proprioception"
"""Name of an observation in which a dataset keeps all its readings side by side."""

FOVY = math.radians(60)
"""Vertical field of view of a camera that nobody described [rad]."""


@dataclass(frozen=True)
class Told:
    """What a person says about a dataset that does not say it itself.

    Attributes:
        contract: what the episodes are to be for; None builds one from the dataset's own features.
        success: how all episodes ended; None takes the dataset's word.
        rate: the rate of the actions [Hz]; None takes the dataset's word.
        source: who chose the actions.
        rename: observations by the dataset's name, and what they are to be called.
    """

    contract: Contract | None = None
    success: bool | None = None
    rate: float | None = None
    source: Source = Source.OPERATOR
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Recording:
    """An episode of somebody else's dataset: N actions, and N or N + 1 observations.

    Attributes:
        name: of the episode, for messages.
        task: what was done, in words.
        seed: a number that tells the episode from the others.
        observations: by name, (N, ...) or (N + 1, ...), all of them alike.
        actions: (N, a).
        names: of the numbers in an array, by the array's name ("actions" or an observation's), if it has any.
        reward: (N,), or None.
        stamps: one an observation [s], or None.
        success: whether it ended well, or None where the dataset does not say.
        failed: whether it ended because it could not succeed any more, and not because time was up.
    """

    name: str
    task: str
    seed: int
    observations: dict[str, Array]
    actions: Array
    names: dict[str, list[str]] = field(default_factory=dict)
    reward: Array | None = None
    stamps: Array | None = None
    success: bool | None = None
    failed: bool = False


class Adoption:
    """Makes episodes of the recordings of one dataset, one after another.

    Args:
        arm: name of the arm in a contract that has to be built.
        rate: of the actions as the dataset says it [Hz], or None.
        told: what a person says.
        losses: what was lost or assumed is counted here.

    Raises:
        InputError: nobody says the rate, or the dataset and the contract say different ones.
    """

    def __init__(self, arm: str, rate: float | None, told: Told, losses: Losses) -> None:
        self._arm, self._told, self._losses = arm, told, losses
        self._contract = told.contract
        contract = None if told.contract is None else told.contract.control_rate
        said = {"the dataset": rate, "--rate": told.rate, "the contract": contract}
        rates = {who: value for who, value in said.items() if value is not None}
        if not rates:
            raise InputError("the dataset does not say the rate of its actions: give it (--rate HZ)")
        self._rate = next(iter(rates.values()))
        if any(not math.isclose(self._rate, other, rel_tol=1e-6) for other in rates.values()):
            words = ", ".join(f"{value:g} Hz by {who}" for who, value in rates.items())
            raise InputError(f"the rate of the actions is said to be {words}")

    def episode(self, recording: Recording) -> Episode:
        """The recording as an episode.

        Raises:
            InputError: it lacks what the contract names, or what nobody can fill in.
        """
        try:
            return self._episode(recording)
        except InputError as error:
            raise InputError(f"{recording.name}: {error}") from error

    def _episode(self, recording: Recording) -> Episode:
        recording = self._plain(recording)
        rows = {len(array) for array in recording.observations.values()}
        if len(rows) > 1 or not rows <= {len(recording.actions), len(recording.actions) + 1}:
            raise InputError(f"it has {len(recording.actions)} actions and {sorted(rows)} observations")
        steps = len(recording.actions)
        if rows <= {steps}:  # the last action's consequence was never seen
            steps -= 1
            self._losses.add("last action", "left out: the dataset has no observation after it")
        if steps < 1 or recording.actions.ndim != 2:
            raise InputError(f"its actions have shape {recording.actions.shape}; that is too short for one")
        if self._contract is None:
            self._contract = self._build(recording)
        contract = self._contract
        requested = self._ordered_action(contract, recording)[:steps]
        torque = contract.action.kind == "torque"
        if torque:
            sent = requested[:, : contract.action.size]
            self._losses.add("filtered, sent", "the dataset has one torque: it stands for both")
        else:
            sent = np.zeros((steps, len(contract.joints)))
            self._losses.add("filtered, sent", "zeros: the dataset's actions are no torques")
        stamps = self._stamps(recording, steps)
        episode = Episode(
            contract=contract,
            observations=self._observations(contract, recording),
            requested=requested,
            filtered=sent,
            sent=sent.copy(),
            stamps=stamps,
            reward=self._reward(recording, steps),
            reward_terms={},
            source=np.full(steps, self._told.source, np.uint8),
            outcome=self._outcome(recording, steps, float(stamps[-1] - stamps[0])),
            task=recording.task,
            config={},
            seed=recording.seed,
            info={"recording": recording.name},
            versions={},
        )
        episode.validate()
        return episode

    def _plain(self, recording: Recording) -> Recording:
        """The recording with names as ours are, and without observations that are no numbers."""
        found: dict[str, Array] = {}
        names = {"actions": recording.names.get("actions", [])}
        there = [valid_name(name) for name in recording.observations]
        for old in self._told.rename:
            choose("observation to rename", old, there)
        for name, array in recording.observations.items():
            plain = valid_name(name)
            plain = self._told.rename.get(plain, plain)
            if plain in found:
                raise InputError(f"two of its observations are called {plain!r}, as far as letters go")
            if array.dtype.kind in "buif":
                found[plain], names[plain] = array, recording.names.get(name, [])
            else:
                self._losses.add(plain, "left out: it holds no numbers")
        return replace(recording, observations=found, names=names)

    # --- the contract -------------------------------------------------------------------------------------

    def _build(self, recording: Recording) -> Contract:
        """A contract of the recording's own features, for an arm that no station is."""
        cameras, channels = [], []
        for name, array in recording.observations.items():
            if array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] == 3:
                height, width = array.shape[1:3]
                cameras.append(Camera.from_fovy(name, width, height, FOVY, "base", (0, 0, 0), (1, 0, 0, 0)))
            elif array.dtype.kind == "f" and array.ndim <= 2 and array[0].size:
                channels.append(Channel(name, "unknown", array[0].size))
        size = recording.actions.shape[1]
        names = recording.names.get("actions", [])
        self._losses.add("contract", "built from the dataset's features; where cameras stand is not known")
        return Contract(
            arm=self._arm,
            joints=tuple(names if len(set(names)) == size else (f"number_{i}" for i in range(size))),
            proprioception=tuple(channels),
            cameras=tuple(cameras),
            action=Action("pose", size, "unknown", gripper=False),
            control_rate=self._rate,
            filter_rate=self._rate,
            limiter={},
            delays={},
        )

    # --- arrays -------------------------------------------------------------------------------------------

    def _ordered_action(self, contract: Contract, recording: Recording) -> Array:
        """The actions in the contract's order, float64 (N, a)."""
        action, found = contract.action, recording.actions.shape[1]
        if found != action.length:
            raise InputError(f"its actions have {found} numbers; the contract's have {action.length}")
        actions = recording.actions.astype(np.float64)
        if self._told.contract is not None and action.size == len(contract.joints):
            names = recording.names.get("actions", [])[: action.size]
            order = self._order("actions", names, contract.joints)
            actions[:, : action.size] = actions[:, order]
        return actions

    def _observations(self, contract: Contract, recording: Recording) -> dict[str, Array]:
        """Every observation; those that the contract names in its order and shape."""
        found, names = dict(recording.observations), dict(recording.names)
        there = ", ".join(found) or "none"
        missing = [channel for channel in contract.proprioception if channel.name not in found]
        if missing:
            self._split(missing, found, names)
        for channel in contract.proprioception:
            array = found[channel.name]
            array = array.reshape(len(array), -1)
            if channel.per_joint and array.shape[1] == channel.size:
                array = array[:, self._order(channel.name, names.get(channel.name, []), contract.joints)]
            dtype = array.dtype if array.dtype.kind == "f" else np.float32
            found[channel.name] = np.ascontiguousarray(array, dtype)
        for camera in contract.cameras:
            if camera.name not in found:
                raise InputError(f"it has no picture {camera.name!r}; its observations are: {there}")
        return found

    def _split(
        self, channels: Sequence[Channel], found: dict[str, Array], names: dict[str, list[str]]
    ) -> None:
        """Cut the channels that have no array of their own out of the one with all readings."""
        size, wanted = sum(channel.size for channel in channels), ", ".join(c.name for c in channels)
        there = ", ".join(found) or "none"
        lump, labels = found.pop(LUMP, None), names.get(LUMP, [])
        if lump is None or lump.shape[1:] != (size,):
            shape = "none" if lump is None else f"one of shape {lump.shape[1:]}"
            raise InputError(
                f"it has no channel {wanted}: that takes an observation of each name, or {LUMP!r} with all "
                f"{size} numbers (it has {shape}); its observations are: {there}"
            )
        first = 0
        for channel in channels:
            stop = first + channel.size
            found[channel.name], names[channel.name] = lump[:, first:stop], labels[first:stop]
            first = stop

    def _order(self, thing: str, names: Sequence[str], joints: Sequence[str]) -> list[int]:
        """Where each joint's number is among those named; as they stand if no name is a joint's.

        "shoulder" names the joint shoulder, and so do "shoulder.pos" and "q.shoulder".
        """
        places = [[i for i, name in enumerate(names) if joint in name.split(".")] for joint in joints]
        if all(len(place) == 1 for place in places):
            return [place[0] for place in places]
        if any(places):
            raise InputError(
                f"{thing} is of {', '.join(names)}; the contract's joints are {', '.join(joints)}"
            )
        self._losses.add(thing, "taken in the order in which its numbers stand: they bear no joint's name")
        return list(range(len(joints)))

    def _stamps(self, recording: Recording, steps: int) -> NDArray[np.float64]:
        if recording.stamps is not None:
            stamps = recording.stamps.astype(np.float64)
            if np.isfinite(stamps).all() and (np.diff(stamps) > 0.0).all():
                return stamps
            self._losses.add("stamps", "they do not increase; the number of the observation stands for them")
        return np.arange(steps + 1) / self._rate

    def _reward(self, recording: Recording, steps: int) -> NDArray[np.float64]:
        if recording.reward is None:
            self._losses.add("reward", "zeros: the dataset has none")
            return np.zeros(steps)
        return recording.reward[:steps].astype(np.float64)

    def _outcome(self, recording: Recording, steps: int, seconds: float) -> Outcome:
        success = recording.success
        if success is None:
            success = self._told.success
        if success is None and recording.reward is not None and np.isin(recording.reward, (0, 1)).all():
            success = bool(recording.reward.any())  # the usual sparse reward
        if success is None:
            raise InputError("the dataset does not say whether it succeeded: give it (--success yes|no)")
        reason = "success" if success else "failed" if recording.failed else "cut"
        return Outcome(success, reason, steps, seconds)


def valid_name(name: str) -> str:
    """An observation's name with letters, digits, "_" and "-" only."""
    return re.sub(r"[^\w-]", "_", name)
