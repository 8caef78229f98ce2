"""Episodes as pictures: film strips of what the policy saw, and videos of what a bystander sees."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from robolearn.data.episode import Episode

if TYPE_CHECKING:
    from robolearn.policies.bundle import Bundle

Picture = NDArray[np.uint8]

FRAMES = 8
"""Moments in a film strip."""
GAP = 2  # between frames [pixels]
FAR = 2.0  # what is this far away is black in a picture of depth [m]
INK, PAPER = (30, 34, 40), (255, 255, 255)
GOOD, BAD = (22, 130, 93), (190, 60, 50)


def said(reason: str) -> str:
    """How an episode ended, for people."""
    return {"time": "out of time"}.get(reason, reason)


def film_moments(steps: int, frames: int = FRAMES) -> NDArray[np.int64]:
    """Which observations of an episode a film strip shows: evenly spread, from the first to the last."""
    return np.unique(np.linspace(0, steps, frames).round().astype(np.int64))


def film_strip(episode: Episode, frames: int = FRAMES, height: int = 96) -> Picture:
    """What the policy saw: one row a camera, one column a moment, uint8 (h, w, 3).

    Args:
        episode: with pictures among its observations.
        frames: moments to show.
        height: of every picture [pixels].
    """
    moments = film_moments(len(episode), frames)
    rows = []
    for camera in episode.contract.cameras:
        pictures = [_sized(as_rgb(episode.observations[camera.name][i]), height) for i in moments]
        blank = np.full((height, GAP, 3), 255, np.uint8)
        parts = [part for picture in pictures for part in (picture, blank)][:-1]
        rows.append(np.concatenate(parts, 1))
    if not rows:
        return np.full((height, height, 3), 255, np.uint8)
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)[:-GAP]


def film_sheet(episodes: Sequence[Episode], frames: int = FRAMES, height: int = 96) -> Picture:
    """Film strips under one another, each with its seed, outcome and times; uint8 (h, w, 3)."""
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    margin, head, foot = 16, 26, 22
    strips = [film_strip(episode, frames, height) for episode in episodes]
    width = max(strip.shape[1] for strip in strips) + 2 * margin
    total = margin + sum(head + strip.shape[0] + foot for strip in strips)
    sheet = Image.new("RGB", (width, total), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = margin
    for episode, strip in zip(episodes, strips, strict=True):
        outcome = episode.outcome
        draw.text((margin, top), f"seed {episode.seed}", INK, font)
        text = f"{said(outcome.reason)} after {outcome.seconds:.1f} s"
        draw.text((width - margin, top), text, GOOD if outcome.success else BAD, font, anchor="ra")
        top += head
        sheet.paste(Image.fromarray(strip), (margin, top))
        top += strip.shape[0]
        moments = film_moments(len(episode), frames)
        pitch = (strip.shape[1] + GAP) / len(moments)
        for column, step in enumerate(moments):
            label = f"{episode.stamps[step] - episode.stamps[0]:.1f} s"
            draw.text((margin + (column + 0.5) * pitch, top + 3), label, INK, small, anchor="ma")
        top += foot
    return np.asarray(sheet, np.uint8)


def play(bundle: Bundle, changes: Mapping[str, Any], seed: int) -> Iterator[tuple[Picture, str]]:
    """An episode of a bundle as a bystander sees it, with what the policy sees beside it.

    Args:
        bundle: whose policy acts.
        changes: the task's configuration, as far as it differs from the defaults.
        seed: of the episode.

    Yields:
        a frame a control step, uint8 (h, w, 3), and how the episode has ended, "" until then.
    """
    from robolearn.envs.tasks import make  # whoever only looks at pictures needs no simulator

    env = make(bundle.task, changes, render_mode="rgb_array")
    cameras = [camera.name for camera in bundle.contract.cameras]
    try:
        observation, _ = env.reset(seed=seed)
        bundle.network.reset()
        done, reason = False, ""
        while True:
            scene = env.render()
            assert scene is not None
            height = scene.shape[0]
            side = height // max(len(cameras), 2)
            views = [_sized(as_rgb(observation[name]), side, side) for name in cameras]
            if views:
                column = np.concatenate(views)
                spare = height - column.shape[0]
                column = np.pad(column, ((0, spare), (0, 0), (0, 0)), constant_values=255)
                scene = np.concatenate([scene, column], 1)
            yield np.asarray(scene, np.uint8), said(reason)
            if done:
                return
            observation, _, terminated, truncated, info = env.step(bundle.network.act(observation))
            done, reason = terminated or truncated, info["reason"]
    finally:
        env.close()


def reel(bundle: Bundle, changes: Mapping[str, Any], seeds: Iterable[int]) -> Iterator[Picture]:
    """Episodes one after another as `play` shows them, each frame over a line that says which, and its end.

    Args:
        bundle, changes: as for `play`.
        seeds: of the episodes.

    Yields:
        uint8 (h, w, 3), h and w even.
    """
    font, period = ImageFont.load_default(16), 1 / bundle.contract.control_rate
    for seed in seeds:
        frame, index, ended = None, 0, ""
        for index, (frame, ended) in enumerate(play(bundle, changes, seed)):
            yield _captioned(frame, f"seed {seed}", f"{index * period:.1f} s", ended, font)
        for _ in range(round(0.8 / period) if frame is not None else 0):  # time to read how it ended
            assert frame is not None
            yield _captioned(frame, f"seed {seed}", f"{index * period:.1f} s", ended, font)


def _captioned(frame: Picture, left: str, middle: str, right: str, font: Any) -> Picture:
    height, width = frame.shape[:2]
    sheet = Image.new("RGB", (width + width % 2, height + 32 + height % 2), INK)
    sheet.paste(Image.fromarray(frame), (0, 0))
    draw, line = ImageDraw.Draw(sheet), height + 16
    draw.text((12, line), left, (170, 178, 190), font, anchor="lm")
    draw.text((width / 2, line), middle, (170, 178, 190), font, anchor="mm")
    colour = (90, 200, 150) if right == "success" else (240, 130, 115)
    draw.text((width - 12, line), right, colour, font, anchor="rm")
    return np.asarray(sheet, np.uint8)


def write_video(path: str | os.PathLike[str], frames: Iterable[Picture], rate: float) -> None:
    """Write an H.264 video that browsers play; `rate` in frames a second, even sizes [pixels]."""
    writer = imageio.get_writer(
        os.fspath(path), format="FFMPEG", fps=rate, codec="libx264", quality=7, macro_block_size=2,
        output_params=["-movflags", "+faststart"],
    )  # fmt: skip
    with writer:
        for frame in frames:
            writer.append_data(frame)


def write_png(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture, uint8 (h, w, 3)."""
    Image.fromarray(picture).save(Path(path), optimize=True)


def as_rgb(picture: NDArray[Any]) -> Picture:
    """An observed picture as uint8 (h, w, 3); depth becomes a shade of grey, near is bright."""
    if picture.dtype == np.uint8:
        return picture
    grey = 255 * (1 - np.clip(np.nan_to_num(picture, nan=FAR), 0, FAR) / FAR)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, -1)


def _sized(picture: Picture, height: int, width: int | None = None) -> Picture:
    """The picture at another height, its proportions kept unless a width is given."""
    width = width or max(1, round(picture.shape[1] * height / picture.shape[0]))
    smaller = height < picture.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)
