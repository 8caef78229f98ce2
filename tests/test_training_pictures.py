from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from small_policies import CHANGES, TASK, save_small

from robolearn.data.episode import Episode
from robolearn.envs.tasks import make
from robolearn.policies.bundle import Bundle, load_bundle
from robolearn.training.evaluation import evaluate
from robolearn.training.pictures import as_rgb, film_moments, film_sheet, film_strip, play, reel, write_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("pictures") / "policy"
    save_small(path)
    return load_bundle(path)


@pytest.fixture(scope="module")
def episode(bundle: Bundle) -> Episode:
    assert bundle.path is not None
    return evaluate(bundle.path, 1, seed=2, workers=1).failures[0]


@pytest.mark.parametrize(
    ("steps", "moments"),
    [(1, [0, 1]), (3, [0, 1, 2, 3]), (7, [*range(8)]), (70, [0, 10, 20, 30, 40, 50, 60, 70])],
)
def test_moments_run_from_the_first_to_the_last_observation(steps: int, moments: list[int]) -> None:
    assert film_moments(steps).tolist() == moments


def test_a_strip_has_a_row_a_camera_and_a_column_a_moment(episode: Episode) -> None:
    strip = film_strip(episode, frames=3, height=24)
    assert strip.shape == (2 * 24 + 2, 3 * 24 + 2 * 2, 3)
    np.testing.assert_array_equal(strip[:24, :24], episode.observations["front"][0])
    np.testing.assert_array_equal(strip[26:, -24:], episode.observations["wrist"][-1])


def test_a_sheet_holds_every_strip(episode: Episode) -> None:
    one, two = film_sheet([episode]), film_sheet([episode, episode])
    strip = film_strip(episode)
    assert one.shape[1] == two.shape[1] > strip.shape[1]
    assert two.shape[0] - one.shape[0] > strip.shape[0]
    assert len(np.unique(one.reshape(-1, 3), axis=0)) > 50


def test_an_episode_without_pictures_is_a_blank_strip(episode: Episode) -> None:
    blind = replace(episode, contract=replace(episode.contract, cameras=()))
    assert (film_strip(blind) == 255).all()
    assert film_sheet([blind]).shape[0] > 0


def test_depth_is_bright_where_it_is_near() -> None:
    picture = as_rgb(np.array([[0.0, 1.0, 2.0, 50.0, np.nan, np.inf]], np.float32))
    assert picture.shape == (1, 6, 3)
    assert picture[0, :, 0].tolist() == [255, 127, 0, 0, 0, 0]


def test_filming_an_episode_changes_nothing_in_it(bundle: Bundle, episode: Episode) -> None:
    """The policy must see the same while a second renderer draws the film."""
    bystander, watched = make(TASK, CHANGES), make(TASK, CHANGES, render_mode="rgb_array")
    (seen, _), (seen_filmed, _) = bystander.reset(seed=2), watched.reset(seed=2)
    for step in range(4):
        watched.render()
        for name, values in seen.items():
            np.testing.assert_array_equal(seen_filmed[name], values, err_msg=name)
        action = episode.requested[step].astype(np.float32)
        seen, seen_filmed = bystander.step(action)[0], watched.step(action)[0]
    bystander.close()
    watched.close()


def test_a_film_shows_every_step_and_how_it_ended(bundle: Bundle, episode: Episode) -> None:
    frames = list(play(bundle, CHANGES, seed=2))
    assert len(frames) == len(episode) + 1
    assert [ended for _, ended in frames] == [""] * len(episode) + ["out of time"]
    picture, _ = frames[0]
    assert picture.dtype == np.uint8
    side = picture.shape[0] // 2
    middle = picture[side // 2, -side // 2].astype(int)  # of what the front camera saw, drawn larger
    assert np.abs(middle - episode.observations["front"][0][12, 12]).max() < 30


def test_a_reel_is_a_video_that_can_be_read_again(bundle: Bundle, episode: Episode, tmp_path: Path) -> None:
    frames = list(reel(bundle, CHANGES, [2, 3]))
    pause = round(0.8 * bundle.contract.control_rate)
    assert len(frames) == 2 * (len(episode) + 1 + pause)
    height, width = frames[0].shape[:2]
    assert height % 2 == width % 2 == 0
    write_video(tmp_path / "film.mp4", frames, 20.0)
    with imageio.get_reader(tmp_path / "film.mp4") as reader:
        facts = reader.get_meta_data()
        again = [np.asarray(frame) for frame in reader]
    assert facts["codec"] == "h264"
    assert facts["fps"] == 20.0
    assert facts["size"] == (width, height)
    assert len(again) == len(frames)
    assert np.abs(again[0].astype(int) - frames[0]).mean() < 6
