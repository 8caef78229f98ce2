"""stable-baselines3's half of `benchmarks/online_speed.py`, run by a Python that has it and not robolearn.

Reads lines with a number and answers each with the seconds on the CPU that so many gradient steps of SAC
took, drawing their batches included.
"""

from __future__ import annotations

import sys
import time

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger


class Nothing(gymnasium.Env):
    """An environment of some sizes that nobody steps."""

    def __init__(self, features: int, actions: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (features,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (actions,), np.float32)


def main() -> None:
    features, actions, batch = (int(word) for word in sys.argv[1:4])
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    settings = {"net_arch": [256, 256]}
    model = SAC(
        "MlpPolicy", Nothing(features, actions), buffer_size=5000, policy_kwargs=settings, device="cpu"
    )
    model.set_logger(Logger(None, []))
    for _ in range(2000):
        seen, then = rng.standard_normal((2, 1, features)).astype(np.float32)
        action = rng.uniform(-1.0, 1.0, (1, actions)).astype(np.float32)
        model.replay_buffer.add(seen, then, action, rng.random(1), np.zeros(1), [{}])
    print(f"ready {stable_baselines3.__version__} {torch.__version__}", flush=True)
    for line in sys.stdin:
        started = time.process_time()
        model.train(gradient_steps=int(line), batch_size=batch)
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
