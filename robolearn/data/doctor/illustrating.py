"""Pictures of findings: what the camera saw around the moment, and the signal that is wrong."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robolearn.charts import Line, line_chart
from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.lag import Correlation
from robolearn.data.doctor.subject import Array, Subject
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


def lag_chart(correlation: Correlation, period: float) -> str:
    """How well pictures and joints go together if the one is taken to be later than the other, as SVG."""
    middle = len(correlation.sums) // 2
    values: Array = correlation.sums / correlation.steps
    lags: Array = 1e3 * period * np.arange(middle + 1, dtype=np.float64)
    lines = [
        Line("pictures later than the joints", lags, values[middle:]),
        Line("pictures earlier", lags, values[middle::-1]),
    ]
    return line_chart(lines, "lag in milliseconds, against the correlation of how both grow")


def _lines(subject: Subject, finding: Finding) -> list[Line]:
    episode = subject.episode
    observed, acted = episode.stamps - episode.stamps[0], (episode.stamps - episode.stamps[0])[:-1]
    channel, i = finding.channel, finding.component
    if i is None:
        return []
    if channel in ("sent", "filtered", "requested"):
        torque: Array = getattr(episode, channel)[:, i]
        lines = [Line(f"{channel}, {_name(subject, i)}", acted, torque)]
        limit = subject.limit("tau_max")
        if channel == "filtered":
            lines.append(Line("requested", acted, episode.requested[:, i]))
        elif limit is not None and np.nanmax(np.abs(torque), initial=0.0) > limit[i] / 2:
            low, high = (np.full(len(acted), side * limit[i]) for side in (-1.0, 1.0))
            lines += [Line("highest", acted, high), Line("lowest", acted, low)]
        return lines
    if channel not in episode.observations or episode.observations[channel].ndim != 2:
        return []
    per_joint = any(c.name == channel and c.per_joint for c in episode.contract.proprioception)
    name = _name(subject, i) if per_joint else f"number {i + 1}"
    lines = [Line(f"{channel}, {name}", observed, episode.observations[channel][:, i].astype(float))]
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
        first = max(0, finding.step - 2)
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


def _name(subject: Subject, component: int) -> str:
    """Of a joint, or of the gripper, which comes after them in an action."""
    joints = subject.episode.contract.joints
    return joints[component] if component < len(joints) else "gripper"
