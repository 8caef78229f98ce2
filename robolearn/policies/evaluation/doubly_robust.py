"""The doubly robust estimate (Jiang and Li, ICML 2016): a model's estimate, mended by what really happened.

Where the model's expectation of an action is wrong, the logged reward says so; each such correction counts
as much more often as the policy would have come there than whoever made the logs. The weighted form (Thomas
and Brunskill, ICML 2016) divides the ratios by their sum: a little bias for far less variance, which tens of
steps leave no choice about.

Ratios need densities, and a policy here chooses one action, which nobody else ever chose to the bit. So what
is estimated is the policy disturbed as the logs are: Gaussian around its torques with the spread that the
logged torques have around their prediction (`behaviour`). The value of an observation is the mean of the
critics' verdicts on such disturbed actions (`expectations`).

What this is worth. With the true ratios, unbounded and undivided, the estimate is right on average whatever
the critics say (a test shows it). Here the ratios are learned, each step's is bounded (`steepest`), and they
are divided by their sum; the critics learned the value of the policy undisturbed. Each of these biases it, so
that neither half makes up for the other in full: take it as a second opinion. Ratios of hundreds of steps end
up at a few episodes: `effective` says at how many, and below ten the correction says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError
from robolearn.policies.evaluation.behaviour import Behaviour
from robolearn.policies.evaluation.fqe import FittedQ
from robolearn.policies.evaluation.logged import Floats, Logged

Array = NDArray[np.float64]

FEWEST = 10.0
"""Effective number of episodes below which the estimate is not to be used."""


@dataclass(frozen=True)
class DoublyRobust:
    """An estimate with its interval.

    Attributes:
        value: of the policy from the first observations on.
        low, high: bounds of the bootstrap's interval over episodes.
        effective: number of episodes that the last weights amount to (Kish): 1 / sum of their squares.
    """

    value: float
    low: float
    high: float
    effective: float


@dataclass(frozen=True, eq=False)
class Trajectories:
    """E episodes of up to T steps, padded behind: nothing is earned there and nothing is expected.

    Attributes:
        reward: of each step, with what is expected beyond a last observation that was no end, (E, T).
        log_ratio: logarithm of how much likelier the policy takes the action than who took it, (E, T).
        q: expected from the action on, (E, T).
        v: expected from the observation on, (E, T).
        discount: of rewards, a step.
    """

    reward: Array
    log_ratio: Array
    q: Array
    v: Array
    discount: float


def estimate(
    episodes: Trajectories, weighted: bool = True, counts: Array | None = None
) -> tuple[float, Array]:
    """The estimate, and the weights that it gave the last steps of the episodes that count.

    Args:
        episodes: what happened.
        weighted: whether the ratios are divided by their sum; otherwise by the number of episodes.
        counts: how often each episode counts, (E,); once each if None.
    """
    size, length = episodes.reward.shape
    counts = np.ones(size) if counts is None else counts
    some = counts > 0
    counts = counts[some, None]
    after = np.cumsum(episodes.log_ratio[some], 1)
    if weighted:
        weight = counts * np.exp(after - after.max(0))
        weight /= weight.sum(0)
    else:
        weight = counts * np.exp(after) / counts.sum()
    before = np.column_stack([counts / counts.sum(), weight[:, :-1]])
    gain = weight * (episodes.reward - episodes.q)[some] + before * episodes.v[some]
    return float((episodes.discount ** np.arange(length) * gain.sum(0)).sum()), weight[:, -1]


def doubly_robust(
    episodes: Trajectories,
    *,
    weighted: bool = True,
    draws: int = 400,
    confidence: float = 0.95,
    seed: int = 0,
) -> DoublyRobust:
    """The estimate with a bootstrap interval over whole episodes.

    Args:
        episodes: what happened.
        weighted: as in `estimate`.
        draws: of the bootstrap.
        confidence: of the interval.
        seed: of the bootstrap.
    """
    value, weight = estimate(episodes, weighted)
    size = len(episodes.reward)
    counts = np.random.default_rng([seed, 3]).multinomial(size, np.full(size, 1.0 / size), size=draws)
    found = [estimate(episodes, weighted, count.astype(np.float64))[0] for count in counts]
    low, high = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return DoublyRobust(value, float(low), float(high), float(weight.sum() ** 2 / (weight**2).sum()))


def expectations(
    logged: Logged, proposed: Floats, behaviour: Behaviour, fitted: FittedQ, *, draws: int = 8, seed: int = 0
) -> tuple[Floats, Floats]:
    """What critics that never saw an episode expect of its actions, and of the disturbed policy in its rows.

    Args:
        logged: the episodes.
        proposed: the policy's actions at every observation, (M, a), in the episodes' scale.
        behaviour: how the logged actions were chosen.
        fitted: the critics.
        draws: of the policy's disturbed actions at each observation.
        seed: of these.

    Returns:
        of the logged actions (N,), and at every observation (M,): `q` and `v` of `trajectories`.
    """
    rng = np.random.default_rng([seed, 4])
    values = [fitted.judge(logged, behaviour.disturbed(proposed, rng)) for _ in range(draws)]
    return fitted.unseen(logged)[0], np.mean(values, axis=0)


def trajectories(
    logged: Logged,
    proposed: Floats,
    behaviour: Behaviour,
    q: Floats,
    v: Floats,
    *,
    steepest: float = 3.0,
) -> Trajectories:
    """Logged episodes with a policy's ratios.

    Args:
        logged: the episodes.
        proposed: the policy's actions at every observation, (M, a), in the episodes' scale.
        behaviour: how the logged actions were chosen.
        q: what is expected of the logged actions, (N,).
        v: what is expected of the disturbed policy's at every observation, (M,).
        steepest: bound of a single step's logarithm of the ratio, either way.

    Raises:
        InputError: the bound is not above 0.
    """
    if not steepest > 0.0:
        raise InputError(f"steepest is {steepest}; it must lie above 0")
    mine = behaviour.log_density_of(proposed[logged.row], logged.action)
    ratio = np.clip(mine - behaviour.log_density(logged.row, logged.action), -steepest, steepest)
    steps = np.bincount(logged.episode)
    place = (logged.episode, np.arange(len(logged.action)) - np.repeat(np.cumsum(steps) - steps, steps))

    def padded(values: NDArray[np.floating]) -> Array:
        array = np.zeros((len(steps), int(steps.max())))
        array[place] = values
        return array

    # beyond the last observation of an episode that was cut off, the model is all there is
    last = np.diff(logged.episode, append=-1) != 0
    beyond = np.where(last, logged.bootstrap * v[logged.row + 1], 0.0)
    return Trajectories(
        reward=padded(logged.reward + beyond),
        log_ratio=padded(ratio),
        q=padded(q),
        v=padded(v[logged.row]),
        discount=logged.discount,
    )
