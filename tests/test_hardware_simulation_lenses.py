"""Cameras with lenses at the simulated arm: what they see, and what preprocessing makes of it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from deploying_alone import STATION, Teacher, ball_bundle, deploy
from small_task import BallEnv

from robolearn.envs.views import View
from robolearn.errors import InputError
from robolearn.hardware.lens import distort
from robolearn.hardware.settings import StationCamera
from robolearn.hardware.simulation import SimulatedArm, lenses
from robolearn.hardware.simulation.lenses import Lens
from robolearn.hardware.station import Station
from robolearn.hardware.viewing import ViewMap
from robolearn.hardware.wire import SECOND, Picture

BROWN = ("plumb_bob", (-0.25, 0.08, 0.001, -0.002, 0.0))
FISHEYE = ("equidistant", (-0.02, 0.004, -0.001, 0.0))
CONTRACT = BallEnv(observe=("front", "wrist", "q", "dq", "tau", "gripper")).contract()
NEEDED = {camera.name: camera for camera in CONTRACT.cameras}
VIEWS = {view.name: view for view in BallEnv.config_type().cameras}


def camera(name: str, lens: tuple[str, tuple[float, ...]], **changes: Any) -> StationCamera:
    """A real camera in a task camera's place: finer, wider, not quite centred, pixels not quite square."""
    needed = NEEDED[name]
    width, height, focal = 3 * needed.width, 3 * needed.height, 2.0 * needed.fx
    given: dict[str, Any] = dict(
        distortion=lens[0],
        coefficients=lens[1],
        width=width,
        height=height,
        fx=focal,
        fy=1.02 * focal,
        cx=0.5 * width - 4.0,
        cy=0.5 * height + 3.0,
    )
    mine = next(each for each in STATION.cameras if each.name == name)
    return replace(mine, **(given | changes))


def station(**cameras: StationCamera) -> Station:
    mine = {each.name: each for each in STATION.cameras} | cameras
    return replace(STATION, cameras=tuple(mine.values())).with_cameras_of(CONTRACT)


@pytest.mark.parametrize("lens", [BROWN, FISHEYE])
def test_a_pixel_shows_what_its_ray_meets(lens: tuple[str, tuple[float, ...]]) -> None:
    """The pinhole's picture says of every pixel which ray it is of; the camera's must say the lens's."""
    real = camera("front", lens)
    made = Lens(VIEWS["front"], real)
    pinhole = made.view
    focal = pinhole.height / (2.0 * np.tan(pinhole.fovy / 2.0))
    columns, rows = np.meshgrid(np.arange(pinhole.width), np.arange(pinhole.height))
    x, y = (columns - (pinhole.width - 1) / 2) / focal, (rows - (pinhole.height - 1) / 2) / focal
    span = max(np.abs(x).max(), np.abs(y).max())
    coded = np.rint(127.5 + 127.0 * np.stack([x, y, x - y], -1) / (2.0 * span)).astype(np.uint8)
    shown = made(coded)
    assert shown.shape == (real.height, real.width, 3)
    seen = (shown[..., :2] - 127.5) / 127.0 * 2.0 * span
    bent = distort(real.distortion, real.coefficients, seen)
    u, v = np.meshgrid(np.arange(real.width), np.arange(real.height))
    code = 2.0 * span / 127.0  # of the rays, by the colours' steps
    assert np.abs(bent[..., 0] * real.fx + real.cx - u).max() < code * real.fx
    assert np.abs(bent[..., 1] * real.fy + real.cy - v).max() < code * real.fy


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[SimulatedArm, Station]]:
    where = station(front=camera("front", BROWN), wrist=camera("wrist", FISHEYE))
    arm = SimulatedArm("small_task:BallEnv", lenses=lenses(where))
    yield arm, where
    arm.close()


def shots(arm: SimulatedArm) -> dict[str, Picture]:
    """The first picture of each camera after an episode's reset, the world standing still."""
    arm.reset_episode(5, arm._time(arm._count))
    since = arm._time(arm._count)
    found: dict[str, Picture] = {}
    for message in arm.advance(since + SECOND // 10):
        if isinstance(message, Picture) and message.stamp > since:
            found.setdefault(message.camera, message)
    return found


@pytest.mark.parametrize("name", ["front", "wrist"])
def test_preprocessing_makes_the_plain_picture_of_a_bent_one(
    there: tuple[SimulatedArm, Station], name: str
) -> None:
    arm, where = there
    real = next(each for each in where.cameras if each.name == name)
    seen = shots(arm)[name].pixels
    assert seen.shape == (real.height, real.width, 3)
    shown = ViewMap(NEEDED[name], real)(seen)
    plain = BallEnv()
    plain.reset(seed=5)
    view = VIEWS[name]
    wanted = plain.picture(name, view.width, view.height, "fast")
    off = np.abs(shown.astype(int) - wanted.astype(int))
    assert np.mean(off) < 3.0, "edges are softer: a pixel is the mean of several"
    assert np.quantile(off, 0.9) <= 6
    # a picture that is off by a pixel is much farther off
    rolled = np.abs(np.roll(shown, 1, axis=1).astype(int) - wanted.astype(int))
    assert np.mean(rolled) > 1.5 * np.mean(off)
    # and so is one whose lens is forgotten
    unbent = replace(real, distortion="none", coefficients=())
    forgotten = np.abs(ViewMap(NEEDED[name], unbent)(seen).astype(int) - wanted.astype(int))
    assert np.mean(forgotten) > 1.2 * np.mean(off)
    plain.close()


def test_an_environment_gets_its_cameras_back(there: tuple[SimulatedArm, Station]) -> None:
    arm, _ = there
    shots(arm)
    wide = arm.env.model.camera("front").fovy[0]
    shots(arm)
    assert arm.env.model.camera("front").fovy[0] == wide, "not wider and wider"
    assert np.radians(wide) > 1.2 * VIEWS["front"].fovy
    assert arm._pristine is not None
    arm._pristine.restore()
    assert np.radians(arm.env.model.camera("front").fovy[0]) == pytest.approx(VIEWS["front"].fovy)
    arm.reset_episode(0, arm._time(arm._count))


def test_noise_is_that_of_the_sensor_behind_the_lens() -> None:
    where = station(front=camera("front", BROWN))
    arm = SimulatedArm("small_task:BallEnv", lenses=lenses(where), seed=1)
    arm.env.randomisation = replace(arm.env.randomisation, image_noise=4.0)
    first = shots(arm)["front"].pixels.astype(float)
    second = shots(arm)["front"].pixels.astype(float)
    middle = (first > 20) & (first < 235)
    assert np.std((first - second)[middle]) == pytest.approx(4.0 * np.sqrt(2.0), rel=0.1)
    arm.close()


def test_a_station_keeps_its_lenses_at_the_places_of_the_task() -> None:
    given = camera("front", BROWN, position=(9.0, 9.0, 9.0))
    where = station(front=given)
    front, wrist = where.cameras
    assert (front.width, front.fx, front.coefficients) == (given.width, given.fx, given.coefficients)
    assert front.position == NEEDED["front"].position
    assert (wrist.distortion, wrist.width) == ("none", NEEDED["wrist"].width)
    assert CONTRACT.satisfied_by(where.offer()) == []
    assert list(lenses(where)) == ["front"]


def test_a_deployment_looks_through_its_lenses() -> None:
    bundle = ball_bundle()
    needed = {each.name: each for each in bundle.contract.cameras}
    lens = camera("front", BROWN, fx=2.0 * needed["front"].fx, fy=2.0 * needed["front"].fx)
    size = dict(width=96, height=96, cx=47.5, cy=47.5)
    where = replace(STATION, cameras=(replace(lens, **size), STATION.cameras[1]))
    shown: list[np.ndarray] = []

    class Looker(Teacher):
        def act(self, observation: dict[str, Any]) -> np.ndarray:
            shown.append(observation["front"])
            return super().act(observation)

    process, log = deploy(bundle, Looker(), station=where)
    assert process.run_episode(0).success
    sizes = {record.pixels.shape for topic, _, record in log if topic == lens.topic}
    assert sizes == {(96, 96, 3)}
    assert {picture.shape for picture in shown} == {(32, 32, 3)}
    assert not process.runner.reports
    process.close()


def test_a_lens_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match=r"lens of camera 'front'.*at most 4096"):
        Lens(VIEWS["front"], camera("front", FISHEYE, width=4000, fx=100.0, fy=100.0))
    with pytest.raises(InputError, match="bends the image back"):
        Lens(VIEWS["front"], camera("front", ("plumb_bob", (-2.0, 0.0, 0.0, 0.0, 0.0)), fx=30.0, fy=30.0))
    with pytest.raises(InputError, match="unknown camera 'side'"):
        SimulatedArm("small_task:BallEnv", lenses={"side": camera("front", BROWN)})


def test_views_are_pinholes_of_the_same_place() -> None:
    view = Lens(VIEWS["front"], camera("front", BROWN)).view
    assert isinstance(view, View)
    assert (view.position, view.target, view.up) == tuple(
        getattr(VIEWS["front"], name) for name in ("position", "target", "up")
    )
