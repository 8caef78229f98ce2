"""The bundle: a trained policy as a directory that can be shipped, checked and trusted.

    weights.safetensors   the network's weights and its normalisation
    bundle.json           format version, task, the network's kind and configuration, and the hashes
    contract.json         what the policy sees and commands
    card.json             measured figures, and the command and versions that made them
    README.md             the card for people

Loading checks everything against everything: all but the page for people against its hash, the weights
against the network, the network against the contract. Nothing here needs a simulator.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

import robolearn
from robolearn import checks
from robolearn.contract import Contract
from robolearn.errors import InputError, choose
from robolearn.files import flush_directory
from robolearn.policies.card import card_text
from robolearn.policies.modular.policy import Modular, ModularConfig
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

FORMAT = "robolearn-bundle"
VERSION = 2
"""Version of the files; another one is refused."""

NETWORKS: dict[str, tuple[type[Visuomotor], type[Any]]] = {
    "visuomotor": (Visuomotor, VisuomotorConfig),
    "modular": (Modular, ModularConfig),
}
"""Kinds of network by the name that stands in bundle.json: the class and its configuration's class."""

SHIPPED = Path(robolearn.__file__).parent / "bundles"

_SEAL = "content_sha256"
_KEYS = ("format", "version", "task", "changes", "network", "weights_sha256", "contract_hash", _SEAL)
_NETWORK_KEYS = ("kind", "config", "cameras", "channels", "state", "action")


@dataclass
class Bundle:
    """A policy and all that belongs to it.

    Attributes:
        network: in evaluation mode, on the CPU.
        contract: what the network sees and commands.
        task: name of the task that it was trained on.
        changes: fields of the task's configuration that differed from the defaults, JSON-like.
        card: measured figures, command, versions, JSON-like; empty for a snapshot.
        path: the directory it was read from.
        weights_hash: SHA-256 of the weights' file, in hex: the policy's identity.
    """

    network: Visuomotor
    contract: Contract
    task: str
    changes: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    weights_hash: str = ""


def shipped_bundles() -> tuple[str, ...]:
    """Names of the bundles that come with the package; each is taken wherever a bundle is."""
    return tuple(sorted(file.parent.name for file in SHIPPED.glob("*/bundle.json")))


def find_bundle(path: str | os.PathLike[str]) -> Path:
    """The directory of a bundle, given that directory, a training run that holds one, or a shipped name.

    A shipped name goes before a directory of the same name; write ./grasp for the latter.

    Raises:
        InputError: there is none; says what was looked for and which names are shipped.
    """
    shipped = shipped_bundles()
    if os.fspath(path) in shipped:
        return SHIPPED / path
    given = Path(path)
    for place in (given, given / "bundle"):
        for directory in (place, _previous(place)):  # what a save leaves that is killed between two renames
            if (directory / "bundle.json").is_file():
                return directory
    names = ", ".join(shipped) or "there is none"
    choices = f"give a bundle's directory, a training run's directory or a shipped bundle ({names})"
    if given.is_dir():
        raise InputError(f"{str(path)!r} holds no bundle (no bundle.json in it or in its bundle/): {choices}")
    raise InputError(f"there is no bundle {str(path)!r}: {choices}")


def load_actor(path: str | os.PathLike[str]) -> Visuomotor:
    """The policy of a bundle, ready to act; raises what `load_bundle` raises."""
    return load_bundle(path).network


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle: a directory, a training run's directory, or a shipped name.

    Raises:
        InputError: it is not there, is damaged, is of another version, or its parts do not belong together.
    """
    directory = find_bundle(path)
    try:
        return _read(directory)
    except InputError as error:
        raise InputError(f"bundle {directory}: {error}") from error


def save_bundle(
    path: str | os.PathLike[str],
    network: Visuomotor,
    contract: Contract,
    task: str,
    changes: Mapping[str, Any],
    card: Mapping[str, Any],
) -> None:
    """Write a bundle, all of it or, whatever happens, nothing; one that was there before is replaced.

    Args:
        path: its directory.
        network: of a kind in `NETWORKS`; on any device.
        contract: what the network sees and commands.
        task: name of the task.
        changes: fields of the task's configuration that differ from its defaults, dataclasses included.
        card: measured figures, JSON-like; empty for a snapshot.

    Raises:
        InputError: the network does not fit the contract, or there is something else than a bundle at `path`.
        OSError: it cannot be written; what was there before is untouched.
    """
    path = Path(path)
    if path.exists() and not (path / "bundle.json").is_file() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already and is no bundle: choose another place")
    _check_fit(network, contract)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    weights = safetensors.torch.save(state)
    head = {
        "format": FORMAT,
        "version": VERSION,
        "task": checks.text("task", task),
        "changes": checks.json_like("changes", changes),
        "network": _describe(network),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "contract_hash": contract.hash,
    }
    _write_all(path, weights, contract, head, card)


def write_card(path: str | os.PathLike[str], card: Mapping[str, Any]) -> None:
    """Put another card into a bundle, all of it or nothing; raises what loading and saving raise."""
    bundle = load_bundle(path)
    assert bundle.path is not None
    head = checks.parse_json("bundle.json", _bytes(bundle.path, "bundle.json"))
    _write_all(bundle.path, _bytes(bundle.path, "weights.safetensors"), bundle.contract, head, card)


# --- reading ------------------------------------------------------------------------------------------------


def _read(directory: Path) -> Bundle:
    head = checks.mapping("bundle.json", checks.parse_json("bundle.json", _bytes(directory, "bundle.json")))
    if (kind := (head.get("format"), head.get("version"))) != (FORMAT, VERSION):
        raise InputError(
            f"it is {kind[0]!r} version {kind[1]!r}; this robolearn reads {FORMAT!r} version {VERSION}: "
            "train it again, or use the robolearn that made it"
        )
    head = checks.exact_keys("bundle.json", head, _KEYS)
    card = checks.mapping("card.json", checks.parse_json("card.json", _bytes(directory, "card.json")))
    if (digest := content_hash(head, card)) != head[_SEAL]:
        raise InputError(
            f"bundle.json or card.json is damaged or of another bundle: what they say has SHA-256 {digest}, "
            f"bundle.json says {head['content_sha256']}"
        )
    contract = Contract.from_json(_bytes(directory, "contract.json"))
    if contract.hash != head["contract_hash"]:
        raise InputError(
            f"contract.json has hash {contract.hash}; bundle.json was written for {head['contract_hash']}"
        )
    weights = _bytes(directory, "weights.safetensors")
    if (digest := hashlib.sha256(weights).hexdigest()) != head["weights_sha256"]:
        raise InputError(
            f"weights.safetensors is damaged or of another policy: its SHA-256 is {digest}, "
            f"bundle.json says {head['weights_sha256']}"
        )
    network = _build(head["network"])
    _check_fit(network, contract)
    _fill(network, weights)
    return Bundle(
        network=network.eval(),
        contract=contract,
        task=checks.text("task", head["task"]),
        changes=checks.mapping("changes", head["changes"]),
        card=card,
        path=directory,
        weights_hash=digest,
    )


def _bytes(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except FileNotFoundError:
        raise InputError(f"the file {name} is missing") from None
    except OSError as error:
        raise InputError(f"the file {name} cannot be read: {error.strerror}") from error


def _build(description: object) -> Visuomotor:
    """The network that `_describe` described, its weights still random."""
    entry = checks.exact_keys("network", description, _NETWORK_KEYS)
    kind = choose("kind of network", checks.text("kind of network", entry["kind"]), NETWORKS)
    network_type, config_type = NETWORKS[kind]
    names = [f.name for f in fields(config_type)]
    config = checks.exact_keys("network config", entry["config"], names)
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    sizes = checks.mapping("network cameras", entry["cameras"])
    cameras = {name: tuple(checks.items(f"network camera {name}", size)) for name, size in sizes.items()}
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay what they were
            return network_type(
                config_type(**config),
                cameras,
                checks.mapping("network channels", entry["channels"]),
                checks.whole("network state", entry["state"], 0),
                checks.whole("network action", entry["action"], 1),
            )
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"its network cannot be built from {entry}: {error}") from error


def _fill(network: Visuomotor, weights: bytes) -> None:
    try:
        state = safetensors.torch.load(weights)
    except safetensors.SafetensorError as error:
        raise InputError(f"weights.safetensors cannot be read: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wrong = [f"lacks {name}" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"has an unknown {name}" for name in sorted(found.keys() - expected.keys())]
    wrong += [
        f"has {name} of shape {found[name]} in place of {expected[name]}"
        for name in sorted(expected.keys() & found.keys())
        if expected[name] != found[name]
    ]
    wrong += [f"holds NaN or infinity in {name}" for name in state if not state[name].isfinite().all()]
    if wrong:
        raise InputError(f"weights.safetensors does not fit the network: it {'; '.join(wrong)}")
    network.load_state_dict(state)


def _check_fit(network: Visuomotor, contract: Contract) -> None:
    """The network must take exactly what the contract provides, and give what it commands."""
    found: dict[str, object] = {
        "cameras": {name: tuple(size) for name, size in network.cameras.items()},
        "channels": dict(network.channels),
        "numbers in an action": network.action_mean.numel(),
        "history": network.config.history,
    }
    required: dict[str, object] = {
        "cameras": {camera.name: (camera.height, camera.width) for camera in contract.cameras},
        "channels": {channel.name: channel.size for channel in contract.proprioception},
        "numbers in an action": contract.action.length,
        "history": contract.history,
    }
    if wrong := [name for name in found if found[name] != required[name]]:
        wrong = [f"{name}: {found[name]} against {required[name]}" for name in wrong]
        raise InputError(f"the network does not fit the contract: {'; '.join(wrong)}")


# --- writing ------------------------------------------------------------------------------------------------


def _describe(network: Visuomotor) -> dict[str, Any]:
    kinds = {network_type: kind for kind, (network_type, _) in NETWORKS.items()}
    if type(network) not in kinds:
        raise InputError(
            f"no kind of network is a {type(network).__name__}: choose one of {', '.join(NETWORKS)}"
        )
    return {
        "kind": kinds[type(network)],
        "config": checks.json_like("config", network.config),
        "cameras": checks.json_like("cameras", network.cameras),
        "channels": checks.json_like("channels", network.channels),
        "state": network.get_buffer("state_mean").numel(),
        "action": network.get_buffer("action_mean").numel(),
    }


def content_hash(head: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of what bundle.json (but for this hash) and card.json say, in any layout."""
    said = {"head": {key: value for key, value in head.items() if key != _SEAL}, "card": card}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _json(value: object) -> bytes:
    try:
        return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"a bundle holds what JSON can say: {error}") from error


def _write_all(
    path: Path, weights: bytes, contract: Contract, head: Mapping[str, Any], card: Mapping[str, Any]
) -> None:
    """Put a bundle of these parts in place of what is at `path`; seals head and card by their hash."""
    head, card = (checks.parse_json("a bundle", _json(dict(part))) for part in (head, card))
    files = {
        "weights.safetensors": weights,
        "contract.json": _json(contract.to_dict()),
        "card.json": _json(card),
        "README.md": card_text(head["task"], head["changes"], contract, card).encode(),
        "bundle.json": _json({**head, _SEAL: content_hash(head, card)}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.mkdir()
        for name, content in files.items():
            _write(temporary / name, content)
        flush_directory(temporary)
        _swap(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _previous(path: Path) -> Path:
    """Where a bundle lies for the moment in which its successor takes its place."""
    return path.with_name(f".{path.name}.previous")


def _swap(new: Path, path: Path) -> None:
    previous = _previous(path)
    if path.exists():
        shutil.rmtree(previous, ignore_errors=True)
        path.rename(previous)
    new.rename(path)
    flush_directory(path.parent)
    shutil.rmtree(previous, ignore_errors=True)
