"""Pictures of findings: what the camera saw around the moment, and the signal that is wrong."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.lag import LAG
from robolearn.data.doctor.subject import Array, Subject
from robolearn.training.charts import Line, line_chart
from robolearn.training.pictures import as_rgb

FRAMES = 8
"""In a film strip."""

TALLEST = 128
"""Pixels that a frame is high, at most."""


@dataclass(frozen=True)
class Film:
    """A film strip: the PNG as a data URI, the camera, and when each frame was taken [s]."""

    picture: str
    camera: str
    times: list[float]


def film_of(subject: Subject, finding: Finding) -> Film | None:
    """What the camera of a finding, or the first one, saw when it began; None without cameras."""
    cameras = [camera.name for camera in subject.episode.contract.cameras]
    if not cameras:
        return None
    camera = finding.channel if finding.channel in cameras else cameras[0]
    moments = _moments(len(subject.episode), finding)
    pictures: NDArray[Any] = subject.episode.observations[camera][moments]
    times = subject.episode.stamps[moments] - subject.episode.stamps[0]
    return Film(_strip([as_rgb(picture) for picture in pictures]), camera, times.tolist())


def chart_of(subject: Subject, finding: Finding) -> str:
    """The signal that a finding is about, over the time of its episode, as SVG; "" where there is none."""
    return line_chart(_lines(subject, finding), "seconds of the episode")


def _lines(subject: Subject, finding: Finding) -> list[Line]:
    episode = subject.episode
    observed, acted = episode.stamps - episode.stamps[0], (episode.stamps - episode.stamps[0])[:-1]
    channel, i = finding.channel, finding.component
    if finding.check == LAG and subject.motion is not None:
        change = subject.change[channel]
        return [
            Line("motion of the joints", acted, _scaled(subject.motion)),
            Line(f"change of {channel}, both as shares of their largest", acted, _scaled(change)),
        ]
    if i is None:
        return []
    if channel in ("sent", "filtered", "requested"):
        lines = [Line(f"{channel}, component {i}", acted, getattr(episode, channel)[:, i])]
        limit = subject.limit("tau_max")
        if channel == "filtered":
            lines.append(Line("requested", acted, episode.requested[:, i]))
        elif limit is not None and i < len(limit):
            lines += [Line("limit", acted, np.full(len(acted), side * limit[i])) for side in (1.0, -1.0)]
        return lines
    if channel not in episode.observations or episode.observations[channel].ndim != 2:
        return []
    lines = [Line(f"{channel}, component {i}", observed, episode.observations[channel][:, i].astype(float))]
    if channel == "dq" and subject.q is not None:
        lines.append(Line("by differences of q", acted, np.diff(subject.q[:, i]) / subject.intervals))
    if channel == "q" and subject.turned is not None and subject.q is not None:
        way = np.concatenate([[0.0], np.cumsum(np.nan_to_num(subject.turned[:, i]))])
        lines.append(Line("by dq, from the start", observed, subject.q[0, i] + way))
    return lines


def _moments(steps: int, finding: Finding) -> NDArray[np.int64]:
    """Which observations to show: from where a finding begins to its end, or those of all the episode."""
    if finding.step is None:
        first, last = 0, steps
    else:
        first = finding.step - 2
        last = max(first + FRAMES - 1, (finding.last if finding.last is not None else finding.step) + 2)
    first = max(0, min(first, steps - FRAMES + 1))
    return np.unique(np.linspace(first, min(last, steps), FRAMES).round().astype(np.int64))


def _strip(frames: list[NDArray[np.uint8]]) -> str:
    """Frames side by side, as a data URI."""
    thin = max(1, -(-frames[0].shape[0] // TALLEST))
    blank = np.full((len(frames[0][::thin]), 1, 3), 255, np.uint8)
    parts = [part for frame in frames for part in (frame[::thin, ::thin], blank)][:-1]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(parts, 1)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _scaled(values: Array) -> Array:
    return values / max(float(values.max(initial=0.0)), 1e-12)
