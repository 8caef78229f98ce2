"""Episodes of tiny Markov decision processes, whose values are known, as estimates take logged ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robolearn.policies.evaluation.logged import Logged

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mdp:
    """S states and 2 actions, of which the second is "closed"; the last state ends it and earns nothing.

    Attributes:
        move: probabilities (S, 2, S).
        reward: (S, 2), of an action, whatever follows.
        discount: a step.
    """

    move: Array
    reward: Array
    discount: float

    def value(self, policy: Array) -> Array:
        """Value (S,) of a policy that closes with probability (S,), exactly."""
        chance = np.stack([1.0 - policy, policy], 1)
        step = np.einsum("sa,sat->st", chance, self.move)
        step[-1] = 0.0
        reward = (chance * self.reward).sum(1)
        reward[-1] = 0.0
        return np.linalg.solve(np.eye(len(reward)) - self.discount * step, reward)

    def q(self, policy: Array) -> Array:
        """Value (S, 2) of an action and the policy from then on."""
        value = self.value(policy)
        value[-1] = 0.0
        return self.reward + self.discount * self.move @ value

    def episode(self, policy: Array, rng: np.random.Generator, limit: int) -> tuple[list[int], list[int]]:
        """States (T + 1,) and actions (T,) from state 0 to the end, or to the limit."""
        states, actions = [0], []
        while len(actions) < limit and states[-1] != len(self.reward) - 1:
            action = int(rng.random() < policy[states[-1]])
            actions.append(action)
            states.append(int(rng.choice(len(self.reward), p=self.move[states[-1], action])))
        return states, actions


def chain(length: int, discount: float = 0.9) -> Mdp:
    """Closed goes on to the next state, open stays; the last step earns 1."""
    move, reward = np.zeros((length + 1, 2, length + 1)), np.zeros((length + 1, 2))
    for state in range(length):
        move[state, 0, state] = move[state, 1, state + 1] = 1.0
    move[length, :, length] = 1.0
    reward[length - 1, 1] = 1.0
    return Mdp(move, reward, discount)


def gamble(chance: float, discount: float = 0.9) -> Mdp:
    """Open earns 0.4 and ends; closed leads on to a second choice of the same kind with some chance, or ends
    in vain; there, closed earns 1."""
    move, reward = np.zeros((3, 2, 3)), np.zeros((3, 2))
    move[:2, 0, 2] = move[1, 1, 2] = move[2, :, 2] = 1.0
    move[0, 1, 1], move[0, 1, 2] = chance, 1.0 - chance
    reward[:2, 0], reward[1, 1] = 0.4, 1.0
    return Mdp(move, reward, discount)


def logged(mdp: Mdp, policy: Array, episodes: int, seed: int = 0, limit: int = 50) -> Logged:
    """Episodes of a policy that closes with probability (S,): features tell the state, one each.

    An action is one torque that says nothing and the gripper: open (-1) or closed (+1).
    """
    rng = np.random.default_rng(seed)
    states: list[int] = []
    rows: list[int] = []
    taken: list[tuple[int, int, bool]] = []
    first: list[int] = []
    number: list[int] = []
    for i in range(episodes):
        path, actions = mdp.episode(policy, rng, limit)
        first.append(len(states))
        rows += [len(states) + t for t in range(len(actions))]
        number += [i] * len(actions)
        ended = [state == len(mdp.reward) - 1 for state in path[1:]]
        taken += list(zip(path[:-1], actions, ended, strict=True))
        states += path
    features = np.eye(len(mdp.reward), dtype=np.float32)[states]
    action = np.array([[0.0, 2.0 * a - 1.0] for _, a, _ in taken], np.float32)
    return Logged(
        features=features,
        action=action,
        reward=np.array([mdp.reward[s, a] for s, a, _ in taken], np.float32),
        bootstrap=np.array([0.0 if end else mdp.discount for _, _, end in taken], np.float32),
        row=np.array(rows),
        episode=np.array(number),
        first=np.array(first),
        mean=np.zeros(2, np.float32),
        scale=np.ones(2, np.float32),
        discount=mdp.discount,
    )


def states_of(data: Logged) -> NDArray[np.int64]:
    """The state at every observation, (M,)."""
    return np.asarray(data.features.argmax(1))


def proposed(data: Logged, closes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The actions (M, 2) of a policy that closes in these states (S,)."""
    gripper = np.where(closes[states_of(data)], 1.0, -1.0)
    return np.stack([np.zeros_like(gripper), gripper], 1).astype(np.float32)
