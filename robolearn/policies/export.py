"""Policies as ONNX files, for runtimes that have no PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from packaging.version import Version
from torch import Tensor, nn

from robolearn.errors import InputError
from robolearn.files import check_writable, replacing
from robolearn.policies.bundle import Bundle
from robolearn.policies.modular.policy import Modular
from robolearn.policies.visuomotor import Visuomotor

TOLERANCE = 1e-3
"""Largest difference to the network that a file may show [N·m]; rounding alone makes some 1e-5."""

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_TORCH = "2.6"  # the first one whose exporter takes these arguments


class _Actor(nn.Module):
    """What `Visuomotor.act` computes, on a batch: observations in the order of `names`, actions (B, a)."""

    def __init__(self, network: Visuomotor) -> None:
        super().__init__()
        self.network = network
        self.names = [*network.cameras, *network.channels]

    def forward(self, *observation: Tensor) -> Tensor:
        network = self.network
        normalised, _ = network(dict(zip(self.names, observation, strict=True)))
        action = normalised * network.action_scale + network.action_mean
        gripper = torch.where(normalised[:, -1:] > 0, 1.0, -1.0)
        return torch.cat([action[:, :-1], gripper], 1)


def export_onnx(bundle: Bundle, path: str | os.PathLike[str]) -> float:
    """Write a bundle's policy as an ONNX file, and run the file with onnxruntime to see that it is the same.

    The file takes the observations by their names, each with a leading batch axis: pictures uint8
    (B, h, w, 3), readings float32 (B, size). It remembers nothing: what a policy with a history looks back on
    (`Visuomotor.windows`) has a time axis after the batch's, oldest first, filled up with the episode's first
    observation where the episode is too young. It gives `action`, float32 (B, a), as `Visuomotor.act` does.
    Its metadata carry `task`, `contract` (JSON), `contract_hash` and `weights_hash`.

    Returns:
        the largest difference to the network over some random observations [N·m].

    Raises:
        InputError: the policy is a modular one, a package is missing or torch is too old for it, the name
            does not end in .onnx, or nothing can be written there.
        RuntimeError: the file does not compute what the network does; it is not left behind.
    """
    path = Path(path)
    if isinstance(bundle.network, Modular):
        raise InputError(
            "this is a modular policy: its actions come from a controller that remembers, and no network's "
            "file can hold that"
        )
    if path.suffix != ".onnx":
        raise InputError(f"an ONNX file's name ends in .onnx; {str(path)!r} does not")
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(f"exporting to ONNX needs {', '.join(missing)}: pip install 'robolearn[onnx]'")
    if Version(torch.__version__) < Version(_TORCH):
        raise InputError(
            f"exporting to ONNX needs torch {_TORCH} or newer; this is torch {torch.__version__}"
        )
    check_writable(path.parent)
    onnx = importlib.import_module("onnx")
    actor = _Actor(bundle.network).eval()
    observations = random_observations(bundle.network, 8)
    example = tuple(torch.from_numpy(observations[name]) for name in actor.names)
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            actor,
            example,
            input_names=actor.names,
            output_names=["action"],
            dynamic_shapes=(tuple({0: batch} for _ in example),),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    contract = bundle.contract
    facts = {"task": bundle.task, "contract": contract.to_json(), "contract_hash": contract.hash}
    facts["weights_hash"] = bundle.weights_hash
    onnx.helper.set_model_props(model, facts)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        difference = float(np.abs(run_onnx(temporary, observations) - _run(actor, observations)).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"the ONNX file's actions differ from the network's by {difference:g} N·m")
    return difference


def random_observations(network: Visuomotor, batch: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """What a network's `forward` could be given: noise for pictures, readings such as it was trained on."""
    rng = np.random.default_rng(seed)
    leading: dict[str, tuple[int, ...]] = {name: (batch,) for name in (*network.cameras, *network.channels)}
    leading |= {name: (batch, length) for name, length in network.windows.items()}
    observations: dict[str, NDArray[Any]] = {
        name: rng.integers(0, 256, (*leading[name], *size, 3), np.uint8)
        for name, size in network.cameras.items()
    }
    mean, scale = network.reading_mean.cpu().numpy(), network.reading_scale.cpu().numpy()
    first = 0
    for name, size in network.channels.items():
        own = slice(first, first + size)
        readings = mean[own] + scale[own] * rng.standard_normal((*leading[name], size))
        observations[name] = readings.astype(np.float32)
        first += size
    return observations


def run_onnx(path: str | os.PathLike[str], observations: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Actions (B, a) of an exported policy for a batch of observations, on one thread of the CPU."""
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    (action,) = session.run(["action"], observations)
    return np.asarray(action, np.float32)


@torch.no_grad()
def _run(actor: _Actor, observations: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    action: Tensor = actor(*(torch.from_numpy(observations[name]) for name in actor.names))
    return np.asarray(action.numpy(), np.float32)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about packages that nobody asked for, and about its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
