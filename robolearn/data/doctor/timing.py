"""When things were observed: stamps, what the import said of the log, and how late the cameras are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from robolearn.data.doctor.finding import Finding
from robolearn.data.doctor.subject import Subject

STAMPS, LOG, CAMERAS = "stamps", "log quality", "camera timing"

LONGEST = 2.5
"""Control periods between two observations that belong to one transition, at most; imports cut there."""

UNEVEN, MANY = 0.2, 0.1
"""An interval is uneven if it is off by more than this share of the period; so many of them are too many."""

LOST = 0.1
"""A log with more than this many complaints a step deserves more than a note."""

SLOWER = 0.9
"""A camera whose rate is below this share of the control rate shows some things twice."""


def stamps(subject: Subject) -> Iterator[Finding]:
    """Whether observations are a control period apart."""
    ratio = subject.intervals / subject.period
    longest = int(ratio.argmax())
    share = float((np.abs(ratio - 1.0) > UNEVEN).mean())
    if ratio[longest] > LONGEST:
        yield subject.finding(
            STAMPS,
            "error",
            f"{1e3 * subject.intervals[longest]:.0f} ms lie between two observations at "
            f"{subject.at(longest)}; a control period is {1e3 * subject.period:g} ms",
            "cut the episode there: what happened meanwhile is not known, and a transition spans it",
            value=float(subject.intervals[longest]),
            bound=LONGEST * subject.period,
            step=longest,
            last=longest + 1,
        )
    elif share > MANY:
        yield subject.finding(
            STAMPS,
            "warning",
            f"{100 * share:.0f} % of the intervals are off the control period of {1e3 * subject.period:g} ms "
            f"by more than {100 * UNEVEN:g} %",
            "see why observations were skipped (a busy machine, a slow camera), or import at the rate that "
            "was kept",
            value=share,
            bound=MANY,
        )


def log_quality(subject: Subject) -> Iterator[Finding]:
    """What the import counted in the episode's log."""
    counts = {
        name: count
        for name, count in subject.row.quality.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0 and name != "parts"
    }
    parts = subject.row.quality.get("parts")
    if isinstance(parts, int) and parts > 1:
        counts["pieces that it was cut into"] = parts
    if not counts:
        return
    rate = sum(counts.values()) / subject.row.steps
    words = ", ".join(f"{count} x {name}" for name, count in counts.items())
    yield subject.finding(
        LOG,
        "warning" if rate > LOST else "note",
        f"its log had {words}",
        "look for the cause at the station: docs/importing.md says what each one means",
        value=rate,
        bound=LOST,
    )


def camera_timing(subject: Subject) -> Iterator[Finding]:
    """Whether the station's cameras, where the log tells of them, are as the contract expects them."""
    contract = subject.episode.contract
    told = subject.episode.info.get("cameras")
    stations = {
        camera.get("name"): camera
        for camera in (told if isinstance(told, list) else [])
        if isinstance(camera, dict)
        and all(isinstance(camera.get(number), int | float) for number in ("delay", "rate"))
    }
    for camera in contract.cameras:
        station = stations.get(camera.name)
        if station is None:
            continue
        off, bound = abs(station["delay"] - camera.delay), contract.delay_tolerance + 1e-9
        if off > bound:
            yield subject.finding(
                CAMERAS,
                "warning",
                f"camera {camera.name} delivers after {1e3 * station['delay']:g} ms; the contract expects "
                f"{1e3 * camera.delay:g} ms, give or take {1e3 * contract.delay_tolerance:g} ms",
                "import with the contract of a policy that was trained with this delay",
                channel=camera.name,
                value=off,
                bound=bound,
            )
        if station["rate"] < SLOWER * contract.control_rate:
            yield subject.finding(
                CAMERAS,
                "warning",
                f"camera {camera.name} makes {station['rate']:g} pictures a second; the control rate is "
                f"{contract.control_rate:g} Hz",
                "let the camera run faster, or act more slowly: some observations show a moment twice",
                channel=camera.name,
                value=float(station["rate"]),
                bound=SLOWER * contract.control_rate,
            )
