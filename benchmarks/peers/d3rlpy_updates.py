"""d3rlpy's half of `benchmarks/offline_speed.py`, run by a Python that has d3rlpy and not robolearn.

Reads lines "METHOD UPDATES" and answers each with the seconds on the CPU that so many updates took.
"""

from __future__ import annotations

import sys
import time

import d3rlpy
import numpy as np
import torch


def main() -> None:
    features, actions, batch = (int(word) for word in sys.argv[1:4])
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    count = 4 * batch
    terminals = np.zeros(count, np.float32)
    terminals[99::100] = terminals[-1] = 1.0
    dataset = d3rlpy.dataset.MDPDataset(
        rng.standard_normal((count, features)).astype(np.float32),
        rng.uniform(-1.0, 1.0, (count, actions)).astype(np.float32),
        rng.random(count).astype(np.float32),
        terminals,
    )
    configs = {
        "iql": d3rlpy.algos.IQLConfig(batch_size=batch),
        "td3bc": d3rlpy.algos.TD3PlusBCConfig(batch_size=batch),
        "awac": d3rlpy.algos.AWACConfig(batch_size=batch),
        "cql": d3rlpy.algos.CQLConfig(batch_size=batch, n_action_samples=10),
        "bc": d3rlpy.algos.BCConfig(batch_size=batch),
    }
    learners = {}
    for name, config in configs.items():
        learners[name] = config.create(device=False)
        learners[name].build_with_dataset(dataset)
    batches = [dataset.sample_transition_batch(batch) for _ in range(4)]
    print(f"ready {d3rlpy.__version__} {torch.__version__}", flush=True)
    for line in sys.stdin:
        name, updates = line.split()
        started = time.process_time()
        for number in range(int(updates)):
            learners[name].update(batches[number % len(batches)])
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
