from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robolearn.data.episode import Episode
from robolearn.envs.views import View
from robolearn.errors import InputError
from robolearn.training.pool import LocalPool, Runner, default_workers, map_episodes
from robolearn.training.rollout import EpisodeSpec

SMALL = {"observe": ("front", "q", "dq", "state"), "image_size": 16}
PATIENCE = 120.0  # seconds for anything on a busy machine


def spec(seed: int, **options: Any) -> EpisodeSpec:
    return EpisodeSpec("peg-insertion", {**SMALL, **options.pop("changes", {})}, seed, **options)


def same(a: Episode, b: Episode) -> bool:
    ours, theirs = a.arrays(), b.arrays()
    return ours.keys() == theirs.keys() and all(ours[k].tobytes() == theirs[k].tobytes() for k in ours)


def collect(pool: LocalPool, count: int) -> list[tuple[EpisodeSpec, Episode]]:
    found: list[tuple[EpisodeSpec, Episode]] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, "the pool gives nothing back"
        found += pool.ready(timeout=5.0)
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    with LocalPool(1) as pool:
        yield pool


def test_another_process_gives_the_same_episode_to_the_bit(pool: LocalPool) -> None:
    specs = [spec(seed, noise=0.3) for seed in (5, 6)]
    theirs = list(map_episodes(pool, specs))
    ours = [Runner()(one) for one in specs]
    assert [episode.seed for episode in theirs] == [5, 6]
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
    theirs[0].observations["front"][0] = 0  # an episode is the receiver's own, to change as it likes
    assert pool.pending == 0


def test_ready_gives_back_the_objects_that_were_submitted(pool: LocalPool) -> None:
    asked = spec(1)
    pool.submit(asked)
    assert pool.pending == 1
    [(answered, episode)] = collect(pool, 1)
    assert answered is asked
    assert episode.seed == 1
    assert pool.ready() == []


def test_ready_waits_no_longer_than_it_may(pool: LocalPool) -> None:
    start = time.monotonic()
    assert pool.ready(0.3) == []
    assert 0.25 < time.monotonic() - start < 5.0


def test_what_an_episode_refuses_is_an_input_error_here_too(pool: LocalPool) -> None:
    pool.submit(EpisodeSpec("peg-insertion", {"shape": "star"}, 0))
    with pytest.raises(InputError, match=r"star.*trapezoid"):
        collect(pool, 1)
    pool.submit(EpisodeSpec("peg-insertoin", {}, 0))
    with pytest.raises(InputError, match="did you mean 'peg-insertion'"):
        collect(pool, 1)
    pool.submit(spec(0, policy="no/such/bundle"))
    with pytest.raises(InputError, match="no/such/bundle"):
        collect(pool, 1)
    assert pool.pending == 0


def test_an_exception_keeps_its_traceback_and_the_pool_its_other_episodes(pool: LocalPool) -> None:
    pool.submit(spec(1))
    pool.submit(EpisodeSpec("peg-insertion", {}, 2, policy=5))  # type: ignore[arg-type]
    pool.submit(spec(3))
    seeds: list[int] = []
    with pytest.raises(RuntimeError, match=r"(?s)seed=2.*Traceback.*expected str"):  # noqa: PT012
        while True:
            seeds += [episode.seed for _, episode in collect(pool, 1)]
    seeds += [episode.seed for _, episode in collect(pool, 2 - len(seeds))]
    assert seeds == [1, 3]
    assert pool.deaths == []


def test_a_spec_that_cannot_be_sent_is_refused_at_once(pool: LocalPool) -> None:
    with pytest.raises(InputError, match="cannot be sent"):
        pool.submit(EpisodeSpec("grasp", {"objects": lambda: None}, 0))
    assert pool.pending == 0


def test_a_killed_worker_is_replaced_and_nothing_is_lost() -> None:
    with LocalPool(1) as pool:
        specs = [spec(seed) for seed in range(4)]
        for one in specs:
            pool.submit(one)
        found = collect(pool, 1)
        os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        found += collect(pool, 4 - len(found))
        assert pool.deaths == [-signal.SIGKILL]
        assert sorted(one.seed for one, _ in found) == [0, 1, 2, 3]
        assert pool.pending == 0
        ours = Runner()(specs[3])
        assert same(ours, next(episode for one, episode in found if one is specs[3]))

        os.kill(pool._workers[0].process.pid, signal.SIGKILL)  # idle
        time.sleep(0.2)
        assert len(list(map_episodes(pool, [spec(9)]))) == 1
        assert pool.deaths == [-signal.SIGKILL] * 2


def test_large_specifications_and_large_episodes_do_not_wait_for_one_another() -> None:
    cameras = [View("front", "base", (0.9, 0.0, 0.4), (0.5, 0.0, 0.05), (0, 0, 1), 0.5, 160, 160)]
    cameras += [replace(cameras[0], name=f"unused{i}") for i in range(500)]
    changes = {"observe": ("front", "q"), "cameras": tuple(cameras)}
    asked = EpisodeSpec("peg-insertion", changes, 0, steps=16)
    assert len(pickle.dumps(asked)) > 20_000
    with LocalPool(1) as pool:

        def submit() -> None:
            for seed in range(12):
                pool.submit(replace(asked, seed=seed))

        submitting = threading.Thread(target=submit, daemon=True)
        submitting.start()
        submitting.join(PATIENCE)
        assert not submitting.is_alive(), "the pool waits for a worker that waits for the pool"
        found = collect(pool, 12)
        assert found[0][1].observations["front"].nbytes > 2**20  # more than a line holds
        assert [one.seed for one, _ in found] == list(range(12))


class Bomb:
    """Ends every process that it is sent to."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (77,)


def test_an_episode_on_which_every_worker_dies_is_given_up() -> None:
    with LocalPool(1) as pool:
        pool.submit(EpisodeSpec("grasp", {"count": Bomb()}, 41))
        with pytest.raises(RuntimeError, match=r"(?s)3 worker processes died.*exit code 77.*seed=41"):
            collect(pool, 1)


def test_closing_leaves_no_process_in_mid_episode() -> None:
    pool = LocalPool(2)
    for seed in range(6):
        pool.submit(spec(seed))
    collect(pool, 1)
    pids = [worker.process.pid for worker in pool._workers]
    assert len(set(pids)) == 2
    assert all(alive(pid) for pid in pids)
    pool.close()
    assert not any(alive(pid) for pid in pids)
    pool.close()  # harmless


ORPHANS = """
import os, sys, time
if __name__ == "__main__":
    from robolearn.training.pool import LocalPool
    from robolearn.training.rollout import EpisodeSpec
    pool = LocalPool(2)
    for seed in range(50):
        pool.submit(EpisodeSpec("peg-insertion", {"observe": ("q", "dq")}, seed))
    print(*[worker.process.pid for worker in pool._workers], flush=True)
    pool.ready(60)
    print("running", flush=True)
    time.sleep(600)
"""


def test_workers_ignore_ctrl_c_and_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        pids = [int(word) for word in parent.stdout.readline().split()]
        for pid in pids:
            os.kill(pid, signal.SIGINT)  # while they start
        assert parent.stdout.readline() == "running\n"
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert all(alive(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30.0
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(InputError, match="0 workers"):
        LocalPool(0)
    assert default_workers() >= 1


class Backwards:
    """A pool that gives back the latest first, and remembers how many it was asked for at once."""

    def __init__(self, episode: Episode) -> None:
        self.episode, self.specs, self.most = episode, deque[EpisodeSpec](), 0

    def submit(self, spec: EpisodeSpec) -> None:
        self.specs.append(spec)
        self.most = max(self.most, len(self.specs))

    def ready(self, timeout: float = 0.0) -> list[tuple[EpisodeSpec, Episode]]:
        spec = self.specs.pop()
        episode = Episode(**{**vars(self.episode), "seed": spec.seed})
        return [(spec, episode)]

    @property
    def pending(self) -> int:
        return len(self.specs)

    def close(self) -> None: ...


def test_episodes_come_in_the_order_of_their_specs() -> None:
    backwards = Backwards(Runner()(spec(0)))
    seeds = [*np.random.default_rng(0).permutation(20).tolist(), 7, 7]
    given = map_episodes(backwards, (spec(seed) for seed in seeds), ahead=5)
    assert [episode.seed for episode in given] == seeds
    assert backwards.most == 5
    one = spec(4)
    assert [episode.seed for episode in map_episodes(backwards, [one, one, one])] == [4, 4, 4]
    assert list(map_episodes(backwards, [])) == []
