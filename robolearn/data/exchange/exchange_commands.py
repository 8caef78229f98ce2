"""What `robolearn data export` and `robolearn data import-dataset` do, and what they print."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from robolearn.data.episode import Episode, Source
from robolearn.data.exchange import Told, open_dataset, write_dataset
from robolearn.data.exchange.losses import Loss
from robolearn.data.store.manifest import EpisodeRow, Query
from robolearn.data.store.store import Store
from robolearn.errors import InputError
from robolearn.hardware.contracts import contract_of, read_contract

StorePath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="STORE")]
DatasetPath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATASET")]
Format = Literal["lerobot", "robomimic", "minari"]

Renames = Annotated[
    tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="OLD=NEW ..."), tyro.conf.UseAppendAction
]

PROVENANCE = "provenance"
"""Key in an exported episode's info of what the store tells about it, so that another store can tell it."""

QUIET = 10.0  # seconds between lines that say how far it is

GROUP = 16  # episodes that go into the store together


def run_export(
    store: StorePath,
    to: Path,
    format: Format,
    video: bool = False,
    task: str | None = None,
    policy: str | None = None,
    outcome: Literal["success", "failure"] | None = None,
    origin: str | None = None,
    json: bool = False,
) -> int:
    """Write episodes of a store as a dataset in another format, all of them or nothing.

    Args:
        store: the store's directory.
        to: the dataset to make: a folder, or for robomimic a file that ends in .hdf5.
        format: what to write.
        video: keep pictures as video, which is small and changes pixels; lerobot only.
        task: only episodes of this task.
        policy: only those of this policy: a bundle's hash, or "teacher".
        outcome: only those that ended so.
        origin: only those from this log or dataset.
        json: print what was written as JSON.
    """
    success = None if outcome is None else outcome == "success"
    counts = {"episodes": 0, "steps": 0}
    with Store.open(store) as opened:
        rows = opened.episodes(Query(task=task, policy=policy, success=success, origin=origin))
        tell = teller(len(rows))

        def episodes() -> Iterator[Episode]:
            for row in rows:
                yield with_provenance(opened.load(row), row)
                counts["episodes"] += 1
                counts["steps"] += row.steps
                tell(counts["episodes"])

        losses = write_dataset(format, episodes(), to, video=video)
    if json:
        print(dumps({"format": format, "path": str(to), **counts, "losses": as_json(losses)}, indent=2))
    else:
        print(f"{to}: {counts['episodes']} episodes, {counts['steps']} steps, as {format}")
        show(losses)
    return 0


def run_import_dataset(
    dataset: DatasetPath,
    format: Format,
    to: Path,
    bundle: str | None = None,
    contract: Path | None = None,
    success: Literal["yes", "no"] | None = None,
    rate: float | None = None,
    source: Literal["policy", "teacher", "operator"] = "operator",
    rename: Renames = (),
    json: bool = False,
) -> int:
    """Bring the episodes of a dataset in another format into a store; none is added twice.

    All options but the first two say what somebody else's dataset does not say itself: see docs/exchange.md.

    Args:
        dataset: a folder, or for robomimic a file.
        format: what it is.
        to: the store; made if there is none.
        bundle: take its contract; otherwise one is built from the dataset's features.
        contract: the same, from a contract.json.
        success: how all episodes ended, where the dataset does not say.
        rate: of the actions [Hz].
        source: who chose the actions.
        rename: what the contract calls an observation, such as agentview_image=front.
        json: print what was done as JSON.
    """
    if bundle is not None and contract is not None:
        raise InputError("--bundle and --contract are both given; one names the contract")
    told = Told(
        contract=contract_of(bundle) if bundle else read_contract(contract) if contract else None,
        success=None if success is None else success == "yes",
        rate=rate,
        source=Source[source.upper()],
        rename=dict(_pair(word) for words in rename for word in words),
    )
    found = open_dataset(format, dataset, told)
    episodes = _begun(iter(found), dataset)
    with Store.open_or_create(to) as store:
        added, there = add_all(store, episodes, dataset.resolve().stem, teller(len(found)))
    losses = found.losses.all()
    if json:
        print(dumps({"store": str(to), "added": added, "there": there, "losses": as_json(losses)}, indent=2))
    else:
        print(f"{to}: {added} episodes added, {there} there already")
        show(losses)
    return 0


def _pair(word: str) -> tuple[str, str]:
    old, _, new = word.partition("=")
    if not old or not new:
        raise InputError(f"--rename {word!r} must have the form OLD=NEW")
    return old, new


def _begun(episodes: Iterator[Episode], dataset: Path) -> Iterator[Episode]:
    """The same, of which the first one has been read: no store is made for a dataset that gives none."""
    waiting = [next(episodes, None)]
    if waiting == [None]:
        raise InputError(f"{str(dataset)!r} has no episodes")

    def all_of_them() -> Iterator[Episode]:
        yield waiting.pop()  # type: ignore[misc]
        yield from episodes

    return all_of_them()


def add_all(
    store: Store, episodes: Iterator[Episode], origin: str, tell: Callable[[int], None]
) -> tuple[int, int]:
    """Add episodes, some at a time; how many were added and how many were there already.

    Raises:
        InputError: an episode that cannot be read or does not fit; those before it stay in the store.
    """
    counts = {True: 0, False: 0}
    more = True
    while more:
        refused: InputError | None = None
        with store.group():
            for _ in range(GROUP):
                try:
                    more = _add_next(store, episodes, origin, counts)
                except InputError as error:  # told after the group: what came before it is good
                    refused = error
                if refused or not more:
                    break
        done = sum(counts.values())
        if refused is not None:
            raise InputError(
                f"{refused}" + (f" ({done} episodes before it are in the store)" if done else "")
            )
        tell(done)
    return counts[True], counts[False]


def _add_next(store: Store, episodes: Iterator[Episode], origin: str, counts: dict[bool, int]) -> bool:
    """Add the next episode; whether there was one."""
    episode = next(episodes, None)
    if episode is not None:
        told = {"origin": origin, **episode.info.get(PROVENANCE, {})}
        info = {key: value for key, value in episode.info.items() if key != PROVENANCE}
        counts[store.add(replace(episode, info=info), **told)] += 1
    return episode is not None


def with_provenance(episode: Episode, row: EpisodeRow) -> Episode:
    """The episode, with what the store tells about it in its info."""
    told = {name: getattr(row, name) for name in ("origin", "policy", "recorded", "calibration", "quality")}
    return replace(episode, info={**episode.info, PROVENANCE: told})


def teller(total: int) -> Callable[[int], None]:
    """What says on stderr, now and then, how many episodes of `total` are done."""
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > QUIET:
            told = time.monotonic()
            print(f"{done}/{total} episodes", file=sys.stderr, flush=True)

    return tell


def show(losses: list[Loss]) -> None:
    """Print what did not come through."""
    for loss in losses:
        print(f"lost  {loss}")


def as_json(losses: list[Loss]) -> list[dict[str, Any]]:
    """Losses as JSON has them."""
    return [loss._asdict() for loss in losses]
