"""Where views of the board come from: image files, a log, topics.

Image files are taken as they are. A log or a camera gives many pictures of which few are worth anything:
those are picked in which the board stands still and stands elsewhere than in those picked before.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from robolearn import checks
from robolearn.errors import InputError
from robolearn.files import replacing
from robolearn.hardware.calibration.board import Board, Corners, find_corners
from robolearn.hardware.station import StationCamera
from robolearn.hardware.wire import SECOND, JointState, Picture, order

Array = NDArray[np.float64]
Record = JointState | Picture

JOINTS = "joints.csv"
"""Joint positions of the images in a folder."""
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STILL = 0.5
"""Corners that move by less from one picture to the next stand still (root mean square) [pixels]."""
ELSEWHERE = 0.03
"""Corners that have moved by more stand elsewhere, as a share of the image's width."""
STILL_JOINTS = 0.005
"""Joints that move by less, from one STATE_AGE before a picture to one after, stand still [rad]."""
STATE_AGE = SECOND // 4


@dataclass(frozen=True, eq=False)
class View:
    """The board in one image, and the arm's joints at the time.

    Attributes:
        corners: found in the image.
        image: uint8 (height, width, 3) RGB.
        positions: of the joints (n,) in the arm's order [rad]; None where nobody asked for them.
    """

    corners: Corners
    image: NDArray[np.uint8]
    positions: Array | None


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The image files among `paths` and in the folders among them, in order of name.

    Raises:
        InputError: a path is neither, or there are none, or two have one name.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGES)
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path} is neither an image nor a folder of images")
    if not found:
        where = ", ".join(map(str, paths)) or "what was given"
        raise InputError(f"there is no image in {where}; images end in {', '.join(IMAGES)}")
    names = [file.name for file in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two images are called {', '.join(twice)}; each must have its own name")
    return found


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as uint8 RGB (height, width, 3), its pixels as the camera had them. Raises InputError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise InputError(f"{path} cannot be read as an image")
    return np.asarray(image[:, :, ::-1], np.uint8)


def read_joints(path: Path, joints: Sequence[str]) -> dict[str, Array]:
    """Joint positions of images, by the image's name: (n,) in the order of `joints` [rad].

    A CSV file has a first line `image,JOINT,JOINT...` and a line for each image; a JSON file is a mapping
    `{"image.png": {"JOINT": 0.1, ...}, ...}`. Joints are matched by name; others than `joints` may stand
    there.

    Raises:
        InputError: the file cannot be read, or a joint is missing or no number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if path.suffix.lower() == ".json":
        rows = checks.mapping(str(path), checks.parse_json(str(path), text))
    elif path.suffix.lower() == ".csv":
        rows = _csv_rows(path, text)
    else:
        raise InputError(f"{path}: joint positions come from a file that ends in .csv or .json")
    result = {}
    for image, row in rows.items():
        positions = checks.mapping(f"{path}: {image}", row)
        if missing := [name for name in joints if name not in positions]:
            raise InputError(
                f"{path}: {image} lacks {', '.join(missing)}; it has {', '.join(positions) or 'nothing'}"
            )
        thing = f"{path}: {image}"
        result[image] = np.array([checks.within(f"{thing}: {j}", positions[j], -13.0, 13.0) for j in joints])
    return result


def _csv_rows(path: Path, text: str) -> dict[str, dict[str, object]]:
    lines = list(csv.reader(text.splitlines(), skipinitialspace=True))
    if not lines or lines[0][:1] != ["image"]:
        raise InputError(f"{path}: the first line must name the columns: image, then the joints")
    head, rows = lines[0], dict[str, dict[str, object]]()
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(head):
            raise InputError(f"{path}: line {number} has {len(line)} columns; the first line has {len(head)}")
        if line[0] in rows:
            raise InputError(f"{path}: image {line[0]} stands there twice")
        try:
            rows[line[0]] = {name: float(value) for name, value in zip(head[1:], line[1:], strict=True)}
        except ValueError as error:
            raise InputError(f"{path}: line {number}: {error}; joint positions are numbers [rad]") from error
    return rows


def find_views(
    board: Board, paths: Sequence[Path], joints: dict[str, Array] | None = None
) -> tuple[list[View], list[str]]:
    """Views from image files, and the names of those in which the board was not found.

    Args:
        board: the board.
        paths: images and folders of them.
        joints: positions by the image's name; None where they are not needed.

    Raises:
        InputError: an image cannot be read or has no joint positions.
    """
    views, without = list[View](), list[str]()
    for path in image_files(paths):
        if joints is not None and path.name not in joints:
            some = ", ".join(list(joints)[:3])
            raise InputError(f"there are no joint positions for {path.name}; there are for {some} ...")
        image = read_image(path)
        corners = find_corners(board, image, path.name)
        if corners is None:
            without.append(path.name)
        else:
            views.append(View(corners, image, None if joints is None else joints[path.name]))
    return views, without


def write_view(folder: Path, view: View, joints: Sequence[str]) -> Path:
    """Add a view to a folder: an image file, and a line in its joints.csv if it has positions.

    Raises:
        OSError: it cannot be written.
    """
    number = len(list(folder.glob("view*.png")))
    path = folder / f"view{number:03d}.png"
    done, data = cv2.imencode(".png", np.ascontiguousarray(view.image[:, :, ::-1]))
    if not done:
        raise OSError(f"{path} cannot be written as PNG")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
    if view.positions is not None:
        table = folder / JOINTS
        head = "" if table.exists() else ",".join(["image", *joints]) + "\n"
        with table.open("a", encoding="utf-8") as file:
            file.write(head + ",".join([path.name, *(f"{q:.6f}" for q in view.positions)]) + "\n")
    return path


def records_of_log(path: Path, camera: StationCamera, states: str | None) -> Iterator[Record]:
    """A camera's pictures in a log (a rosbag2 MCAP file, or a directory of them), and the joint states on "
    "the topic
    `states` in between.

    Raises:
        InputError: there is no such log, or it lacks a topic.
    """
    from robolearn.hardware.recording.reader import Log

    topics = [camera.topic] if states is None else [camera.topic, states]
    for message in Log(path).messages(topics):
        record = message.record()
        if isinstance(record, JointState | Picture):
            yield record


def pick(board: Board, records: Iterable[Record], joints: Sequence[str] | None) -> Iterator[View]:
    """The views worth having among the pictures of one camera, as they come in the order of time.

    Args:
        board: the board.
        records: pictures, and joint states in between.
        joints: whose positions a view must have, standing still around the picture; None if none are needed.

    Raises:
        InputError: the pictures are of depth, or a joint state lacks a joint.
    """
    kept: list[Corners] = []
    for corners, picture, states in _standing(board, records, joints is not None):
        size = ELSEWHERE * corners.size[0]
        if any((off := _moved(corners, other)) is not None and off < size for other in kept):
            continue
        positions = None if joints is None else _position(states, picture.stamp, joints)
        if joints is None or positions is not None:
            kept.append(corners)
            yield View(corners, picture.pixels.astype(np.uint8, copy=False), positions)


def _standing(
    board: Board, records: Iterable[Record], with_states: bool
) -> Iterator[tuple[Corners, Picture, list[JointState]]]:
    """Pictures in which the board stands as in the one before; each once the states until STATE_AGE after "
    "it are
    there, with those around it."""
    states: list[JointState] = []
    waiting: list[tuple[Corners, Picture]] = []
    before: Corners | None = None
    for record in records:
        if isinstance(record, JointState):
            states.append(record)
            while waiting and record.stamp >= waiting[0][1].stamp + STATE_AGE:
                yield *waiting.pop(0), states
            keep = min([record.stamp, *(picture.stamp for _, picture in waiting)]) - 4 * STATE_AGE
            while states[0].stamp < keep:
                states.pop(0)
            continue
        if record.pixels.dtype != np.uint8:
            raise InputError(f"camera {record.camera!r} measures depth; a board is seen in colours or grey")
        pixels = record.pixels.astype(np.uint8, copy=False)
        corners = find_corners(board, pixels, f"{record.camera} at {record.stamp / SECOND:.3f} s")
        off = None if corners is None or before is None else _moved(corners, before)
        before = corners
        if corners is not None and off is not None and off < STILL:
            if with_states:
                waiting.append((corners, record))
            else:
                yield corners, record, states


def _moved(first: Corners, second: Corners) -> float | None:
    """Root mean square way of the corners seen in both [pixels]; None if there are fewer than four."""
    places = {tuple(point): pixel for point, pixel in zip(first.points.tolist(), first.pixels, strict=True)}
    ways = [
        pixel - places[tuple(point)]
        for point, pixel in zip(second.points.tolist(), second.pixels, strict=True)
        if tuple(point) in places
    ]
    return float(np.sqrt(np.mean(np.sum(np.square(ways), axis=1)))) if len(ways) >= 4 else None


def _position(states: Sequence[JointState], stamp: int, joints: Sequence[str]) -> Array | None:
    """Where the joints stood around a picture; None if they moved, or if nobody knows.

    Raises:
        InputError: a state lacks one of the joints.
    """
    around = []
    for state in states:
        if abs(state.stamp - stamp) > STATE_AGE:
            continue
        places = order(state.names, joints)
        if places is None:
            have = ", ".join(state.names)
            raise InputError(f"the joint states lack some of {', '.join(joints)}; they have {have}")
        around.append(np.asarray(state.position)[places])
    if len(around) < 2 or np.ptp(around, axis=0).max() > STILL_JOINTS:
        return None
    return np.asarray(np.mean(around, axis=0))
