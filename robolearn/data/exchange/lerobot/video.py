"""Videos, written and read frame by frame through the ffmpeg that imageio brings along."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError

Pictures = NDArray[np.uint8]

QUALITY = 18
"""H.264's constant rate factor: 0 is without loss, 23 the usual, 51 the worst."""

KEYFRAMES = 2
"""Every so many frames one stands alone, as in LeRobot's videos: random access has little to decode."""


def check_size(height: int, width: int) -> None:
    """Raise an InputError for pictures that make no video."""
    if height % 2 or width % 2:
        raise InputError(
            f"pictures of {width} x {height} make no video: H.264 halves colours, so both must be even"
        )


class VideoWriter:
    """A video file that frames are added to.

    Args:
        path: of the .mp4 file; its folder is made.
        height, width: of a picture, both even.
        rate: frames a second.
    """

    def __init__(self, path: Path, height: int, width: int, rate: float) -> None:
        check_size(height, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.frames, self._picture = path, 0, height * width * 3
        fps = str(Fraction(rate).limit_denominator(10**6))
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-"]
        codec = [
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            "-crf",
            str(QUALITY),
            "-g",
            str(KEYFRAMES),
            "-bf",
            "0",
        ]
        words = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-loglevel",
            "error",
            *raw,
            *codec,
            "-threads",
            "1",
            str(path),
        ]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    @property
    def size(self) -> int:
        """Of the pictures so far [bytes]; that of the file is known when ffmpeg has done."""
        return self.frames * self._picture

    def add(self, pictures: Pictures) -> None:
        """Add pictures, (T, height, width, 3).

        Raises:
            OSError: they cannot be written, because the disk is full for example.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(pictures).data.cast("B"))
        except OSError as error:
            self._fail(error)
        self.frames += len(pictures)

    def close(self) -> None:
        """Finish the file; raises what `add` raises."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError as error:
            self._fail(error)
        if self._process.wait() != 0:
            self._fail(None)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def abandon(self) -> None:
        """Stop, whatever is still to be written; does nothing after `close`."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _fail(self, error: OSError | None) -> None:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        raise OSError(f"{self.path.name} cannot be written: {said[-1] if said else error}") from error


class VideoReader:
    """Frames of some videos, taken in order; a step back or another file begins anew.

    Raises:
        InputError: a file that is not there, is damaged, is of another size or too short, as it is come to.
    """

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width, 3)
        self._path: Path | None = None
        self._position = 0
        self._frames: Iterator[Any] = iter(())

    def take(self, path: Path, first: int, count: int) -> Pictures:
        """`count` frames from the number `first` on, (count, height, width, 3)."""
        if path != self._path or first < self._position:
            self._open(path)
        frames = np.empty((count, *self._shape), np.uint8)
        for number in range(self._position, first + count):
            frame = self._next()
            if number >= first:
                frames[number - first] = np.frombuffer(frame, np.uint8).reshape(self._shape)
        self._position = first + count
        return frames

    def close(self) -> None:
        """Stop ffmpeg."""
        if hasattr(self._frames, "close"):
            self._frames.close()
        self._path, self._frames = None, iter(())

    def _open(self, path: Path) -> None:
        self.close()
        if not path.is_file():
            raise InputError(f"there is no video {str(path)!r}")
        # Every frame of the file once, whatever its time: LeRobot counts frames.
        self._frames = imageio_ffmpeg.read_frames(path, output_params=["-fps_mode", "passthrough"])
        self._path, self._position = path, 0
        width, height = self._next()["size"]
        if (height, width) != self._shape[:2]:
            wanted = f"{self._shape[1]} x {self._shape[0]}"
            raise InputError(f"{path} has frames of {width} x {height}; info.json says {wanted}")

    def _next(self) -> Any:
        try:
            return next(self._frames)
        except StopIteration as error:
            raise InputError(f"{self._path} ends early: frames are missing") from error
        except (OSError, RuntimeError, IndexError) as error:
            said = str(error).strip().splitlines()
            raise InputError(f"{self._path} is no video, or it is damaged: {said[-1]}") from error
