"""The episodes that a training has collected, on disk, so that a resumed run learns on from all of them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from robolearn.contract import Contract
from robolearn.data.episode import Episode, Outcome
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.training.scribe import Say, Scribe

BATCH = 400  # observations in a file: one a second or two
BACKLOG = 16  # jobs of the scribe that wait for a slow disk; beyond it episodes are left out


class EpisodeShelf:
    """A folder with as many of the latest episodes as the replay holds, many in a file.

    Args:
        directory: the folder; made when it is needed.
        capacity: observations to keep.
        scribe: writes the files.
        say: tells a person something.
    """

    def __init__(self, directory: Path, capacity: int, scribe: Scribe, say: Say) -> None:
        self._directory, self._capacity = directory, capacity
        self._scribe, self._say = scribe, say
        self._files: deque[tuple[Path, int]] = deque()  # with the number of their observations
        self._kept = 0
        self._next = 0
        self._batch: list[Episode] = []
        self._left_out = 0

    @property
    def files(self) -> int:
        """Files that were begun so far, those that are gone included."""
        return self._next

    def load(self, files: int | None = None) -> Iterator[Episode]:
        """The episodes in the order in which they came; damaged files are named and left out.

        With `files` those are deleted that came after `files` was so large: what they hold comes again.
        """
        for path in sorted(self._directory.glob("[0-9]*.npz")):
            if files is not None and int(path.stem) >= files:
                path.unlink()
                continue
            self._next = int(path.stem) + 1
            try:
                batch = load_batch(path)
            except InputError as error:
                self._say(str(error))
                continue
            self._count(path, batch)
            yield from batch

    def add(self, episode: Episode) -> None:
        """Keep an episode, some moments later."""
        self._batch.append(episode)
        if sum(map(len, self._batch)) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written yet, or leave it out and say so where the disk is too slow."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        if self._scribe.backlog > BACKLOG:
            if not self._left_out:
                self._say("the disk is too slow for the episodes: a resumed run would miss some of them")
            self._left_out += len(batch)
            return
        path = self._directory / f"{self._next:06d}.npz"
        self._next += 1
        self._scribe.write("episodes", lambda: save_batch(path, batch))
        self._count(path, batch)

    def _count(self, path: Path, batch: Sequence[Episode]) -> None:
        steps = sum(map(len, batch))
        self._files.append((path, steps))
        self._kept += steps
        while self._kept - self._files[0][1] >= self._capacity:
            oldest, gone = self._files.popleft()
            self._kept -= gone
            self._scribe.write("episodes", lambda path=oldest: path.unlink(missing_ok=True))  # type: ignore[misc]


def save_batch(path: Path, episodes: Sequence[Episode]) -> None:
    """Write episodes of one task and configuration into an .npz file: their arrays one after another.

    Raises:
        OSError: the file cannot be written; there is none then.
    """
    first = episodes[0]
    head = {
        "contract": first.contract.to_dict(),
        "task": first.task,
        "config": first.config,
        "episodes": [
            {"seed": e.seed, "info": e.info, "outcome": asdict(e.outcome), "versions": e.versions}
            for e in episodes
        ],
    }
    each = [episode.arrays() for episode in episodes]
    arrays = {name: np.concatenate([arrays[name] for arrays in each]) for name in each[0]}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def load_batch(path: Path) -> list[Episode]:
    """Read what `save_batch` wrote; raises InputError where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(arrays.pop("head").tobytes())
        contract = Contract.from_dict(head["contract"])
        episodes, start = [], 0
        for number, entry in enumerate(head["episodes"]):
            outcome = Outcome(**entry.pop("outcome"))
            parts: dict[str, dict[str, np.ndarray]] = {"": {}, "observations": {}, "reward_terms": {}}
            for name, array in arrays.items():
                group, _, key = name.rpartition("/")
                more = name == "stamps" or group == "observations"  # one more than there are steps
                begin = start + number if more else start
                parts[group][key] = array[begin : begin + outcome.steps + more]
            start += outcome.steps
            plain = parts.pop("")
            common = {"contract": contract, "task": head["task"], "config": head["config"]}
            episode = Episode(**common, **entry, **plain, **parts, outcome=outcome)  # type: ignore[arg-type]
            episode.validate()
            episodes.append(episode)
        return episodes
    except Exception as error:  # a damaged archive raises whatever its bytes lead to
        raise InputError(f"{path} is damaged: {error}") from error
