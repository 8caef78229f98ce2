"""What LeRobot normalises with: the statistics of every feature, for each episode and for all of them.

Keys and shapes are LeRobot's: (k,) for k numbers; pictures by channel, (3, 1, 1), scaled to 0 to 1; depth
(1, 1, 1). Numbers that are not finite do not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Stats = dict[str, NDArray[np.float64]]

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


def of_numbers(rows: Array) -> Stats:
    """Of the rows (T, ...) of k numbers each."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    return _of_columns(flat, len(rows))


def of_depth(rows: Array) -> Stats:
    """Of all pixels of (T, h, w)."""
    stats = _of_columns(rows.reshape(-1, 1).astype(np.float64), len(rows))
    return {key: value if key == "count" else value.reshape(1, 1, 1) for key, value in stats.items()}


def of_pictures(rows: Array) -> Stats:
    """Of all pixels of (T, h, w, 3), by channel, exactly: by how often each of the 256 values is there."""
    values = np.arange(256) / 255.0
    counts = np.stack([np.bincount(rows[..., channel].ravel(), minlength=256) for channel in range(3)])
    share = counts / counts.sum(1, keepdims=True)
    mean = share @ values
    cumulated = np.cumsum(share, 1)
    stats = {
        "min": values[(counts > 0).argmax(1)],
        "max": values[255 - (counts[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt((share * (values - mean[:, None]) ** 2).sum(1)),
    }
    stats |= {key: values[(cumulated >= q - 1e-12).argmax(1)] for key, q in QUANTILES.items()}
    return {key: value.reshape(3, 1, 1) for key, value in stats.items()} | {
        "count": np.array([float(len(rows))])
    }


def _of_columns(flat: Array, count: int) -> Stats:
    result = {key: np.zeros(flat.shape[1]) for key in ("min", "max", "mean", "std", *QUANTILES)}
    for i in range(flat.shape[1]):
        column = flat[np.isfinite(flat[:, i]), i]
        if not column.size:
            continue
        result["min"][i], result["max"][i] = column.min(), column.max()
        result["mean"][i], result["std"][i] = column.mean(), column.std()
        for key, value in zip(QUANTILES, np.quantile(column, list(QUANTILES.values())), strict=True):
            result[key][i] = value
    return result | {"count": np.array([float(count)])}


class Running:
    """The statistics of all episodes, from those of each.

    Mean and standard deviation are exact; a quantile of all cannot be had from those of each, and as in
    LeRobot the outermost one stands for it.
    """

    def __init__(self) -> None:
        self._all: dict[str, Stats] = {}

    def add(self, stats: dict[str, Stats]) -> None:
        for key, new in stats.items():
            old = self._all.get(key)
            self._all[key] = new if old is None else _joined(old, new)

    def to_json(self) -> dict[str, dict[str, Any]]:
        return {key: to_json(stats) for key, stats in self._all.items()}


def to_json(stats: Stats) -> dict[str, Any]:
    """Plain lists; the count a whole number."""
    return {
        key: [int(v) for v in value] if key == "count" else value.tolist() for key, value in stats.items()
    }


def _joined(old: Stats, new: Stats) -> Stats:
    n, m = old["count"][0], new["count"][0]
    mean = (n * old["mean"] + m * new["mean"]) / (n + m)
    spread = [s["std"] ** 2 + (s["mean"] - mean) ** 2 for s in (old, new)]
    joined = {
        "min": np.minimum(old["min"], new["min"]),
        "max": np.maximum(old["max"], new["max"]),
        "mean": mean,
        "std": np.sqrt((n * spread[0] + m * spread[1]) / (n + m)),
        "count": np.array([n + m]),
    }
    for key, q in QUANTILES.items():
        joined[key] = (np.minimum if q <= 0.5 else np.maximum)(old[key], new[key])
    return joined
