"""Other formats: what went in comes out bit by bit, as a whole or not at all, one episode at a time."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exchanging import CONTRACT, flat_episode, rich_episode
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_disk import small_disk
from small_episodes import quick_folder, same

from robolearn.data.episode import Episode
from robolearn.data.exchange import FORMATS, extra, open_dataset, write_dataset
from robolearn.data.exchange.actions import action_names, action_scale, learned_action
from robolearn.data.exchange.losses import Losses
from robolearn.errors import InputError

NAMES = {"lerobot": "grasp", "robomimic": "grasp.hdf5", "minari": "grasp-v0"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.mark.parametrize("format", FORMATS)
def test_episodes_come_back_bit_by_bit(format: str, folder: Path) -> None:
    reasons = ("success", "time", "dropped")
    episodes = [rich_episode(i, i + 1, reason) for i, reason in enumerate(reasons)]
    assert write_dataset(format, episodes, folder / NAMES[format]) == []
    dataset = open_dataset(format, folder / NAMES[format])
    assert len(dataset) == 3
    assert all(same(*pair) for pair in zip(episodes, dataset, strict=True))
    assert all(same(*pair) for pair in zip(episodes, dataset, strict=True))  # a second time, too
    assert dataset.losses.all() == []
    assert os.listdir(folder) == [NAMES[format]]


dtypes = st.sampled_from(["u1", "i4", "i8", "u8", "f2", "f4", "f8", "?", ">f4"])
tails = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
names = st.from_regex(r"[\w-]{1,8}", fullmatch=True).filter(
    lambda name: name not in ("front", "q", "gripper")
)


@st.composite
def odd_episodes(draw: st.DrawFn) -> list[Episode]:
    """Episodes with extra observations of any type and shape, and with or without what may be left out."""
    kinds = draw(st.dictionaries(names, st.tuples(dtypes, tails), max_size=3))
    episodes = []
    for number in range(draw(st.integers(1, 3))):
        steps = draw(st.integers(1, 4))
        episode = flat_episode(number, steps)
        rng = np.random.default_rng(draw(st.integers(0, 9)))
        extras = {
            name: (rng.random((steps + 1, *tail)) * 3).astype(dtype) for name, (dtype, tail) in kinds.items()
        }
        plain = {name: episode.observations[name] for name in ("front", "q", "gripper")}
        terms = {name: rng.random(steps) for name in draw(st.lists(names, max_size=2, unique=True))}
        exact = draw(st.sampled_from([np.float32, np.float64]))
        plain["q"] = plain["q"].astype(exact)
        expert = draw(st.none() | st.just(episode.expert))
        changes = {"observations": plain | extras, "reward_terms": terms, "expert": expert}
        episodes.append(
            replace(episode, **changes, sent=episode.sent.astype(exact), seed=draw(st.integers(0, 2**64)))
        )
    return episodes


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=8)
@given(episodes=odd_episodes())
def test_whatever_an_episode_holds_comes_back(format: str, episodes: list[Episode]) -> None:
    with quick_folder() as folder:
        write_dataset(format, episodes, folder / NAMES[format])
        found = list(open_dataset(format, folder / NAMES[format]))
    assert all(same(*pair) for pair in zip(episodes, found, strict=True))


def test_video_changes_pixels_and_says_so(folder: Path) -> None:
    episodes = [rich_episode(i, 4 + i) for i in range(3)]
    (loss,) = write_dataset("lerobot", episodes, folder / "d", video=True)
    assert (loss.thing, loss.episodes) == ("observations/front", 3)
    assert str(loss) == "observations/front: kept as video, which changes pixels a little (3 episodes)"
    for ours, found in zip(episodes, open_dataset("lerobot", folder / "d"), strict=True):
        shown = found.observations["front"]
        assert np.abs(shown.astype(int) - ours.observations["front"]).mean() < 4
        assert (shown[-1] == ours.observations["front"][-1]).all()  # no frame holds the last one
        kept = replace(found, observations={**found.observations, "front": ours.observations["front"]})
        assert same(kept, ours)


def test_what_only_some_episodes_have_is_told(folder: Path) -> None:
    full, bare = rich_episode(0), rich_episode(1, expert=None)
    losses = write_dataset("lerobot", [full, bare, bare], folder / "d")
    assert [(loss.thing, loss.episodes) for loss in losses] == [("expert", 2)]
    assert [episode.expert is None for episode in open_dataset("lerobot", folder / "d")] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_no_more_than_one_episode_is_in_memory(format: str, folder: Path) -> None:
    alive: list[weakref.ref[Episode]] = []

    def made() -> Iterator[Episode]:
        for number in range(4):
            assert sum(entry() is not None for entry in alive) == 0
            episode = rich_episode(number)
            alive.append(weakref.ref(episode))
            yield episode
            del episode

    write_dataset(format, made(), folder / NAMES[format])
    assert len(alive) == 4
    alive.clear()
    for episode in open_dataset(format, folder / NAMES[format]):
        assert sum(entry() is not None for entry in alive) == 0
        alive.append(weakref.ref(episode))
        del episode


# --- what cannot be


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_overwritten(format: str, folder: Path) -> None:
    place = folder / NAMES[format]
    place.write_text("mine")
    with pytest.raises(InputError, match="is there already, and it is not overwritten"):
        write_dataset(format, [rich_episode()], place)
    assert place.read_text() == "mine"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("video", [False, True])
def test_what_fails_leaves_nothing(format: str, video: bool, folder: Path) -> None:
    if video and format != "lerobot":
        with pytest.raises(InputError, match=f"{format} has no videos"):
            write_dataset(format, [rich_episode()], folder / NAMES[format], video=True)
        return

    def stopped() -> Iterator[Episode]:
        yield rich_episode()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(format, stopped(), folder / NAMES[format], video=video)
    other = flat_episode()
    with pytest.raises(InputError, match=r"episode 1 does not fit the first one:\n.*camera far"):
        write_dataset(format, [rich_episode(), other], folder / NAMES[format], video=video)
    with pytest.raises(InputError, match="there are no episodes to write"):
        write_dataset(format, [], folder / NAMES[format], video=video)
    bad = rich_episode()
    bad.sent[0] = np.nan
    with pytest.raises(InputError, match="sent holds NaN"):
        write_dataset(format, [bad], folder / NAMES[format], video=video)
    assert os.listdir(folder) == []


@pytest.mark.parametrize(("format", "video"), [*((name, False) for name in FORMATS), ("lerobot", True)])
def test_a_full_disk_is_told_and_leaves_nothing(format: str, video: bool, folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (201, 32, 48, 3), np.uint8)
    episode = rich_episode(0, 200)
    episode = replace(episode, observations={**episode.observations, "front": noise})
    with small_disk(100_000), pytest.raises(OSError):  # noqa: PT011  # each library has words of its own
        write_dataset(format, [episode], folder / NAMES[format], video=video)
    assert os.listdir(folder) == []


def test_unknown_formats_and_missing_packages_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"unknown format 'robomimik' \(did you mean 'robomimic'\?\)"):
        write_dataset("robomimik", [], folder / "d")
    monkeypatch.setattr(extra.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs pyarrow: pip install 'robolearn\[formats\]'"):
        open_dataset("lerobot", folder)


# --- the action that others learn


def test_what_was_sent_is_the_action() -> None:
    episode = rich_episode(0, 4)
    requested = episode.requested.copy()
    requested[:, 2] = [np.nan, 1.0, np.nan, -1.0]
    action = learned_action(replace(episode, requested=requested))
    assert action.dtype == np.float32
    assert (action[:, :2] == episode.filtered.astype(np.float32)).all()
    assert action[:, 2].tolist() == [0.0, 1.0, 1.0, -1.0]  # the gripper stays where it was sent
    assert action_names(CONTRACT) == ["shoulder", "elbow", "gripper"]
    assert action_scale(CONTRACT).tolist() == [80.0, 10.0, 1.0]


def test_an_action_that_is_no_torque_is_what_was_asked_for() -> None:
    contract = replace(CONTRACT, action=replace(CONTRACT.action, kind="pose", size=2), limiter={})
    episode = rich_episode(0, 4, contract=contract)
    np.testing.assert_array_equal(learned_action(episode), episode.requested.astype(np.float32))
    assert action_scale(contract).tolist() == [1.0, 1.0, 1.0]
    taller = replace(contract, action=replace(contract.action, size=3, gripper=False))
    assert action_names(taller) == ["pose_0", "pose_1", "pose_2"]


def test_losses_are_counted() -> None:
    losses = Losses()
    for thing in ("b", "a", "b"):
        losses.add(thing, "gone")
    assert [str(loss) for loss in losses.all()] == ["b: gone (2 episodes)", "a: gone (1 episode)"]
