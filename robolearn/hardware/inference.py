"""Policies that were exported to ONNX, as actors for the policy runner."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robolearn.errors import InputError

Array = NDArray[Any]


class OnnxActor:
    """Acts as the network does that `robolearn export` wrote, by onnxruntime on one thread.

    The file remembers nothing; what it looks back on is kept here, filled up at an episode's beginning with
    the first observation.

    Args:
        path: the file.
        contract_hash, weights_hash: of the bundle that is announced; the file must be made of it.

    Raises:
        InputError: onnxruntime is missing, the file cannot be read, or it is of another bundle.
    """

    def __init__(self, path: str | os.PathLike[str], contract_hash: str, weights_hash: str) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError("running an ONNX file needs onnxruntime: pip install 'robolearn[onnx]'")
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = runtime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has a class of its own for each way to fail
            raise InputError(f"{os.fspath(path)} cannot be run: {error}") from error
        facts = self._session.get_modelmeta().custom_metadata_map
        for thing, wanted in (("contract", contract_hash), ("weights", weights_hash)):
            if (found := facts.get(f"{thing}_hash", "nothing known")) != wanted:
                raise InputError(
                    f"{os.fspath(path)}: its {thing} hash is {found}; this policy's is {wanted}: "
                    "export it again"
                )
        # pictures (B, h, w, 3), readings (B, k): one more axis than that, after the batch's, is time
        self._windows: dict[str, deque[Array]] = {}
        self._names: list[str] = []
        for entry in self._session.get_inputs():
            self._names.append(entry.name)
            plain = 4 if entry.type == "tensor(uint8)" else 2
            if len(entry.shape) > plain:
                self._windows[entry.name] = deque(maxlen=int(entry.shape[1]))

    def reset(self) -> None:
        """Forget the past: an episode begins."""
        for window in self._windows.values():
            window.clear()

    def act(self, observation: dict[str, Array]) -> NDArray[np.float32]:
        """The action for the next observation, shape (a,)."""
        batch: dict[str, Array] = {}
        for name in self._names:
            value = np.ascontiguousarray(observation[name])
            if (window := self._windows.get(name)) is not None:
                assert window.maxlen is not None
                window.extend([value] * (1 if window else window.maxlen))
                value = np.stack(tuple(window))
            batch[name] = value[None]
        (action,) = self._session.run(["action"], batch)
        return np.asarray(action[0], np.float32)
