"""What `robolearn calibrate` does, and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import date
from json import dumps
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from robolearn import checks
from robolearn.camera import Camera, angle_between, distance_between
from robolearn.errors import InputError, choose
from robolearn.files import replacing
from robolearn.hardware.arm import ArmProfile
from robolearn.hardware.calibration.board import Board, draw_board
from robolearn.hardware.calibration.handeye import HandEye, calibrate_hand_eye
from robolearn.hardware.calibration.intrinsics import Intrinsics, calibrate_intrinsics, cover
from robolearn.hardware.calibration.projection import Lens, lens_of, quaternion_of
from robolearn.hardware.calibration.sources import (
    JOINTS,
    View,
    find_views,
    image_files,
    pick,
    read_image,
    read_joints,
    records_of_log,
    write_view,
)
from robolearn.hardware.calibration.station_file import Value, write_camera
from robolearn.hardware.model import ArmModel
from robolearn.hardware.station import Station, StationCamera, load_station, offered_camera
from robolearn.terminal import parse
from robolearn.units import format_length

Array = NDArray[np.float64]

StationName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="STATION")]
CameraName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="CAMERA")]
Images = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="IMAGES")]
BoardFlags = Annotated[Board, tyro.conf.arg(name="")]

_HELP = """\
usage: robolearn calibrate STEP [options]

Measure a station's cameras with a printed board and write the result into the station's file.

steps:
{steps}

`robolearn calibrate STEP --help` explains a step; docs/calibration.md, the whole way.
"""


def run_calibrate(words: list[str]) -> int:
    """Run the step that `words` begin with; returns the exit status."""
    if not words or words[0] in ("-h", "--help"):
        lines = (f"  {name:<12}{(step.__doc__ or '').splitlines()[0]}" for name, step in STEPS.items())
        print(_HELP.format(steps="\n".join(lines)), end="")
        return 0 if words else 2
    step = STEPS[choose("step", words[0], STEPS)]
    return parse(f"calibrate {words[0]}", step, words[1:])


def run_board(out: Path, board: BoardFlags, dpi: int = 300, margin: str = "10mm") -> int:
    """Draw the board, to be printed at its actual size.

    Args:
        out: the file: .pdf, .png or .tiff.
        board: which board.
        dpi: dots an inch.
        margin: white around the board.
    """
    width, height = draw_board(board, out, dpi, checks.length("margin", margin, 0.0, 0.2))
    print(f"{out}: {1e3 * width:.0f} x {1e3 * height:.0f} mm")
    print(
        f"print it at its actual size and measure its squares: --square {1e3 * board.side:g}mm must be true"
    )
    return 0


def run_capture(
    station: StationName,
    camera: CameraName,
    out: Path,
    board: BoardFlags,
    log: Path | None = None,
    views: int = 25,
    joints: bool = True,
) -> int:
    """Save views of the board in which it stands still, with the joints, from topics or from a log.

    Args:
        station: name or file of the station.
        camera: name of the camera in it.
        out: folder for images and joints.csv; views are added to those in it.
        board: which board.
        log: a recorded log; the station's topics are listened to if not given.
        views: how many are enough; Ctrl-C ends it before.
        joints: save the joints' positions, too; they are needed for a pose, and not for intrinsics.
    """
    place = load_station(station)
    chosen = _camera(place, camera)
    out.mkdir(parents=True, exist_ok=True)
    topic = place.state.topic if joints else None
    if log is not None:
        records = records_of_log(log, chosen, topic)
    else:
        from robolearn.hardware.calibration.live import records_of_topics

        records = records_of_topics(chosen, topic)
        print(
            f"looking at {chosen.topic}; hold the board still, elsewhere each time; Ctrl-C ends",
            file=sys.stderr,
        )
    found: list[View] = []
    try:
        for view in pick(board, records, place.joint_names if joints else None):
            found.append(view)
            path = write_view(out, view, place.joint_names)
            share, unseen = cover([v.corners for v in found])
            missing = f", nothing yet at the {', '.join(unseen)}" if unseen else ""
            print(
                f"{path}  {len(view.corners.points)} corners, {share:.0%} of the image covered{missing}",
                flush=True,
            )
            if len(found) >= views:
                break
    except KeyboardInterrupt:
        print(file=sys.stderr)
    print(f"{len(found)} views in {out}")
    return 0 if found else 1


def run_intrinsics(
    station: StationName,
    camera: CameraName,
    images: Images,
    board: BoardFlags,
    distortion: str = "plumb_bob",
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find a camera's focal lengths, principal point and distortion, and write them into the station's file.

    Args:
        station: file of the station.
        camera: name of the camera in it.
        images: images, and folders of them.
        board: which board.
        distortion: model of the lens: plumb_bob, or equidistant for a fisheye.
        dry_run: print the result and write nothing.
        json: print it as JSON.
    """
    place = load_station(station)
    _camera(place, camera)
    path = _to_write(place, station, dry_run)
    views, without = find_views(board, images)
    result = calibrate_intrinsics([view.corners for view in views], distortion)
    lens = result.lens
    values: dict[str, Value] = {
        "width": lens.width,
        "height": lens.height,
        **{key: round(getattr(lens, key), 4) for key in ("fx", "fy", "cx", "cy")},
        "distortion": lens.model,
        "coefficients": [round(c, 8) for c in lens.coefficients],
    }
    used = len(result.view_errors)
    focal = max(result.deviations[:2])
    note = f"{date.today()}: {result.error:.2f} pixels in {used} views, fx and fy ± {focal:.1f} pixels"
    backup = path and write_camera(path, camera, values, "intrinsics", note)
    if json:
        _print_json(values, result, without, path)
        return 0
    for key, deviation in zip(("fx", "fy", "cx", "cy"), result.deviations, strict=True):
        print(f"{key:<13}{values[key]:.2f} ± {deviation:.2f} pixels")
    print(f"{lens.model:<13}{' '.join(f'{c:.4f}' for c in lens.coefficients)}")
    print(f"covered      {result.coverage:.0%} of the image")
    if result.unseen:
        print(f"unseen       {', '.join(result.unseen)}: the distortion is a guess there")
    _print_views(result, without, f"{result.error:.3f} pixels in {used} views")
    _print_written(path, backup)
    return 0


def run_pose(
    station: StationName,
    camera: CameraName,
    images: Images,
    board: BoardFlags,
    joints: Path | None = None,
    overlay: Path | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Find where a camera stands, in the base's or the hand's frame, and write it into the station's file.

    Args:
        station: file of the station; it has the camera's intrinsics and its frame.
        camera: name of the camera in it.
        images: images, and folders of them.
        board: which board; on the hand for a camera in the base's frame, lying still for one on the hand.
        joints: CSV or JSON file of the joint positions; joints.csv beside the first image if not given.
        overlay: PNG file: the simulated arm over the first image.
        dry_run: print the result and write nothing into the station's file.
        json: print it as JSON.
    """
    place = load_station(station)
    chosen = _camera(place, camera)
    path = _to_write(place, station, dry_run)
    table = joints or image_files(images)[0].parent / JOINTS
    views, without = find_views(board, images, read_joints(table, place.joint_names))
    hands = [_hand_pose(place.arm, _positions(view)) for view in views]
    lens = lens_of(chosen)
    result = calibrate_hand_eye([view.corners for view in views], hands, lens, chosen.frame)
    position = [round(float(v), 6) for v in result.pose[:3, 3]]
    quaternion = [round(v, 9) for v in quaternion_of(result.pose[:3, :3])]
    values: dict[str, Value] = {"frame": result.frame, "position": position, "quaternion": quaternion}
    used = len(result.view_errors)
    spread = (
        f"± {1e3 * float(np.linalg.norm(result.position_deviation)):.1f} mm, "
        f"± {np.degrees(float(np.linalg.norm(result.rotation_deviation))):.2f} degrees"
    )
    error = f"{result.held_out:.2f} pixels in {used} held-out views"
    backup = path and write_camera(path, camera, values, "pose", f"{date.today()}: {error}, {spread}")
    before = offered_camera(chosen)
    measured = replace(before, position=tuple(position), quaternion=tuple(quaternion))
    if overlay is not None:
        _write_overlay(overlay, views[0].image, _positions(views[0]), place, measured, lens)
    if json:
        _print_json(values, result, without, path)
        return 0
    print(f"frame        {result.frame}")
    print(f"position     {' '.join(f'{v:.4f}' for v in position)} m")
    print(f"quaternion   {' '.join(f'{v:.5f}' for v in quaternion)}")
    print(f"uncertain    {spread}")
    shift = distance_between(measured, before)
    turn = np.degrees(angle_between(measured, before))
    print(f"moved        {format_length(shift)} and {turn:.2f} degrees from where the station had it")
    _print_views(result, without, f"{error}, {result.error:.2f} in those fitted to")
    _print_written(path, backup)
    if overlay is not None:
        print(f"overlay      {overlay}")
    return 0


def run_overlay(
    station: StationName,
    camera: CameraName,
    image: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="IMAGE")],
    out: Path,
    joints: Path | None = None,
) -> int:
    """Draw the simulated arm over a real image: where they part, something is wrong.

    Args:
        station: name or file of the station.
        camera: name of the camera in it.
        image: the image.
        out: the PNG file to write.
        joints: CSV or JSON file of the joint positions; joints.csv beside the image if not given.
    """
    place = load_station(station)
    chosen = _camera(place, camera)
    rows = read_joints(joints or image.parent / JOINTS, place.joint_names)
    if image.name not in rows:
        raise InputError(f"there are no joint positions for {image.name}")
    _write_overlay(out, read_image(image), rows[image.name], place, offered_camera(chosen), lens_of(chosen))
    print(out)
    return 0


def _camera(station: Station, name: str) -> StationCamera:
    cameras = {camera.name: camera for camera in station.cameras}
    return cameras[choose(f"camera of station {station.name!r}", name, cameras)]


def _to_write(station: Station, given: str, dry_run: bool) -> Path | None:
    """The station's file; None if nothing is to be written. A shipped one is not a person's to write."""
    if dry_run:
        return None
    if not given.endswith((".yaml", ".yml")):
        raise InputError(
            f"station {given!r} comes with the package; copy {station.path} to a file of your own and give "
            "that, or add --dry-run"
        )
    return station.path


def _positions(view: View) -> Array:
    assert view.positions is not None  # they were asked for
    return view.positions


def _hand_pose(arm: ArmProfile, positions: Array) -> Array:
    """(4, 4) in the base frame."""
    if arm.mjcf is None:
        model = ArmModel(arm)
        return model.hand(model.frames(positions))
    from robolearn.hardware.calibration.overlay import hand_pose  # only MuJoCo can read the user's file

    return hand_pose(arm, positions)


def _write_overlay(
    path: Path, image: NDArray[np.uint8], positions: Array, station: Station, camera: Camera, lens: Lens
) -> None:
    from PIL import Image

    from robolearn.hardware.calibration.overlay import overlay

    choose("kind of file", path.suffix.lower(), (".png",))
    picture = Image.fromarray(overlay(image, station.arm, positions, camera, lens))
    with replacing(path) as temporary:
        picture.save(temporary)


def _print_views(result: Intrinsics | HandEye, without: Sequence[str], error: str) -> None:
    worst = max(result.view_errors, key=lambda name: result.view_errors[name])
    print(f"error        {error}; the worst is {worst}, {result.view_errors[worst]:.2f}")
    for name, pixels in result.rejected.items():
        print(f"rejected     {name}: {pixels:.1f} pixels, unlike the others")
    if without:
        print(f"no board     {', '.join(without)}")


def _print_written(path: Path | None, backup: Path | None) -> None:
    print(f"written      {path}; as it was: {backup}" if path else "written      nothing: --dry-run")


def _print_json(
    values: dict[str, Value], result: Intrinsics | HandEye, without: Sequence[str], path: Path | None
) -> None:
    names = [field.name for field in fields(result) if field.name not in ("lens", "pose", "board", "frame")]
    figures = {name: getattr(result, name) for name in names}
    everything = {**values, **figures, "without_board": list(without), "written": path and str(path)}
    print(dumps(everything, indent=2, default=np.ndarray.tolist))


STEPS: dict[str, Callable[..., int]] = {
    "board": run_board,
    "capture": run_capture,
    "intrinsics": run_intrinsics,
    "pose": run_pose,
    "overlay": run_overlay,
}
