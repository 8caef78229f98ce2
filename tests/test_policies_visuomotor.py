from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robolearn.errors import InputError
from robolearn.policies.visuomotor import SpatialSoftmax, Visuomotor, VisuomotorConfig

CAMERAS = {"front": (20, 24), "wrist": (16, 16)}
CHANNELS = {"q": 7, "gripper": 1}
LOOKING_BACK = [(1, False), (2, False), (3, False), (2, True), (3, True)]

Observation = dict[str, NDArray[Any]]


def network(
    history: int = 1, recurrent: bool = False, cameras: dict[str, tuple[int, int]] = CAMERAS
) -> Visuomotor:
    torch.manual_seed(0)
    config = VisuomotorConfig(channels=(4, 6), hidden=16, history=history, recurrent=recurrent)
    made = Visuomotor(config, cameras, CHANNELS, 5, 8)
    for name in ("reading", "state", "action"):
        made.get_buffer(f"{name}_mean").normal_()
        made.get_buffer(f"{name}_scale").uniform_(0.5, 2.0)
    return made.eval()


def episode(steps: int, seed: int = 0, cameras: dict[str, tuple[int, int]] = CAMERAS) -> list[Observation]:
    rng = np.random.default_rng(seed)
    return [
        {name: rng.integers(0, 256, (*size, 3), np.uint8) for name, size in cameras.items()}
        | {name: rng.standard_normal(size).astype(np.float32) for name, size in CHANNELS.items()}
        for _ in range(steps)
    ]


def window(made: Visuomotor, seen: list[Observation]) -> dict[str, torch.Tensor]:
    """What `forward` is trained on at the latest of the observations, put together step by step."""
    batch = {}
    for name in (*made.cameras, *made.channels):
        length = made.windows.get(name, 1)
        rows = [seen[max(len(seen) - 1 - back, 0)][name] for back in reversed(range(length))]
        batch[name] = torch.from_numpy(np.stack(rows) if name in made.windows else rows[0])[None]
    return batch


@torch.no_grad()
def forward(made: Visuomotor, seen: list[Observation]) -> NDArray[np.float32]:
    normalised, _ = made(window(made, seen))
    action = (normalised[0] * made.action_scale + made.action_mean).numpy()
    action[-1] = 1.0 if normalised[0, -1] > 0 else -1.0
    return np.asarray(action)


@pytest.mark.parametrize(("history", "recurrent"), LOOKING_BACK)
def test_acting_is_what_training_computes_on_the_padded_window(history: int, recurrent: bool) -> None:
    made, seen = network(history, recurrent), episode(7)
    for step in range(7):
        action = made.act(seen[step])
        assert action.dtype == np.float32
        np.testing.assert_allclose(action, forward(made, seen[: step + 1]), atol=1e-5)


@pytest.mark.parametrize(("history", "recurrent"), LOOKING_BACK)
def test_watching_others_act_is_remembered(history: int, recurrent: bool) -> None:
    made, seen = network(history, recurrent), episode(5)
    made.observe(seen[0])
    for observation in seen[1:4]:
        made.observe(observation)
    np.testing.assert_allclose(made.act(seen[4]), forward(made, seen), atol=1e-5)


@pytest.mark.parametrize(("history", "recurrent"), LOOKING_BACK)
def test_the_past_counts_until_a_reset(history: int, recurrent: bool) -> None:
    made, (past, other, now) = network(history, recurrent), episode(3)
    fresh = made.act(now)
    made.reset()
    made.act(past)
    after_past = made.act(now)
    made.reset()
    made.act(other)
    after_other = made.act(now)
    assert np.array_equal(after_past, after_other) == (history == 1)
    made.reset()
    np.testing.assert_array_equal(made.act(now), fresh)


def test_what_lies_further_back_than_the_history_is_forgotten() -> None:
    for recurrent in (False, True):
        made, seen = network(3, recurrent), episode(5)
        actions = []
        for first in (0, 1):
            made.reset()
            actions.append([made.act(observation) for observation in [seen[first], *seen[2:]]][-1])
        np.testing.assert_array_equal(*actions)


@pytest.mark.parametrize(("history", "recurrent"), LOOKING_BACK)
def test_every_picture_is_encoded_once(history: int, recurrent: bool) -> None:
    made, pictures = network(history, recurrent), []
    made.encoders["front"].register_forward_hook(
        lambda module, inputs, output: pictures.append(len(inputs[0]))
    )
    for observation in episode(4):
        made.act(observation)
    assert pictures == [1, 1, 1, 1]


def test_only_a_recurrent_network_takes_windows_of_pictures() -> None:
    assert network().windows == {}
    assert network(4).windows == {"q": 4, "gripper": 4}
    assert network(4, True).windows == {"q": 4, "gripper": 4, "front": 4, "wrist": 4}


@pytest.mark.parametrize(("history", "recurrent"), LOOKING_BACK)
def test_the_sizes_of_what_comes_out(history: int, recurrent: bool) -> None:
    made = network(history, recurrent)
    batches = [window(made, episode(history, seed)) for seed in range(3)]
    batch = {name: torch.cat([part[name] for part in batches]) for name in batches[0]}
    action, state = made(batch)
    assert (action.shape, state.shape) == ((3, 8), (3, 5))
    alone, _ = made(batches[1])  # nothing passes from one row to another
    assert torch.allclose(action[1], alone[0], atol=1e-5)


def test_learning_reaches_back_to_the_oldest_readings_and_pictures() -> None:
    for history, recurrent in LOOKING_BACK[1:]:
        made = network(history, recurrent)
        for name, length in made.windows.items():
            if (
                name in CAMERAS
            ):  # whole numbers have no gradient: see whether the oldest picture changes anything
                changed = window(made, episode(length))
                before, _ = made(changed)
                changed[name][:, 0] = 255 - changed[name][:, 0]
                assert not torch.allclose(made(changed)[0], before, atol=1e-6)
            else:
                inputs = window(made, episode(length))
                inputs[name].requires_grad_()
                made(inputs)[0].sum().backward()
                assert inputs[name].grad is not None
                assert inputs[name].grad[0, 0].abs().max() > 0


def test_the_default_network_looks_at_the_present_alone_and_is_small() -> None:
    cameras, channels = {"front": (64, 64), "wrist": (64, 64)}, {"q": 7, "dq": 7, "gripper": 1}
    for config in (
        VisuomotorConfig(),
        VisuomotorConfig(history=4),
        VisuomotorConfig(history=4, recurrent=True),
    ):
        made = Visuomotor(config, cameras, channels, 15, 8)
        assert sum(parameter.numel() for parameter in made.parameters()) < 500_000
    names = {
        name.split(".")[0] for name in Visuomotor(VisuomotorConfig(), cameras, channels, 15, 8).state_dict()
    }
    normalisation = {
        f"{name}_{what}" for name in ("reading", "state", "action") for what in ("mean", "scale")
    }
    assert names == {"encoders", "pose", "control"} | normalisation


def test_a_network_may_see_no_pictures() -> None:
    for history, recurrent in LOOKING_BACK:
        made, seen = network(history, recurrent, cameras={}), episode(4, cameras={})
        actions = [made.act(observation) for observation in seen]
        np.testing.assert_allclose(actions[-1], forward(made, seen), atol=1e-5)


def test_a_network_may_predict_no_state() -> None:
    made = Visuomotor(VisuomotorConfig(channels=(4, 6), hidden=16), CAMERAS, CHANNELS, 0, 8)
    assert "pose" not in {name.split(".")[0] for name in made.state_dict()}
    batch = window(made, episode(1))
    action, state = made(batch)
    assert (action.shape, state.shape) == ((1, 8), (1, 0))
    assert made.encode(batch).shape == (1, made.features)


def test_the_gripper_opens_or_closes_and_torques_are_in_their_units() -> None:
    made, (observation,) = network(), episode(1)
    with torch.no_grad():
        for parameter in made.control.parameters():
            parameter.zero_()
    bias = made.control[-1].bias
    assert isinstance(bias, torch.Tensor)
    for logit, gripper in ((3.0, 1.0), (0.0, -1.0), (-3.0, -1.0)):
        with torch.no_grad():
            bias[-1] = logit
        action = made.act(observation)
        assert action[-1] == gripper
        np.testing.assert_array_equal(action[:-1], made.action_mean[:-1].numpy())


def test_observations_may_hold_more_and_be_views() -> None:
    made, (observation,) = network(), episode(1)
    expected = made.act(observation)
    turned = {**observation, "front": np.flip(np.flip(observation["front"], 0).copy(), 0)}  # as OpenGL draws
    assert turned["front"].strides[0] < 0
    np.testing.assert_array_equal(made.act({**turned, "state": np.zeros(99)}), expected)


def test_a_copy_has_a_memory_of_its_own() -> None:
    made, (past, now, other) = network(2), episode(3)
    made.act(past)
    twin = copy.deepcopy(made)
    twin.act(other)
    twin.reset()
    np.testing.assert_allclose(made.act(now), forward(made, [past, now]), atol=1e-5)


def test_the_softmax_finds_the_point_that_a_map_is_about() -> None:
    softmax, maps = SpatialSoftmax(5, 9), torch.zeros(2, 3, 5, 9)
    maps[0, 0, 4, 0] = maps[0, 1, 2, 8] = 50.0  # bottom left, middle right; the rest is flat
    points = softmax(maps)
    assert points.shape == (2, 6)
    assert points[0, [0, 3]].tolist() == pytest.approx([-1.0, 1.0])  # x of map 0, y of map 0
    assert points[0, [1, 4]].tolist() == pytest.approx([1.0, 0.0])
    assert points[1].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"history": 0}, "history is 0"),
        ({"history": 1.5}, "history is 1.5"),
        ({"recurrent": True}, "choose a history from 2 up"),
        ({"history": 2, "recurrent": "yes"}, "recurrent is 'yes'"),
    ],
)
def test_what_looks_back_on_nothing_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VisuomotorConfig(**config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"channels": ()}, "channels is empty"),
        ({"channels": (8, 0)}, r"channels\[1\] is 0"),
        ({"kernel": 0}, "kernel is 0"),
        ({"stride": -1}, "stride is -1"),
        ({"hidden": 0.5}, "hidden is 0.5"),
        ({"layers": -1}, "layers is -1"),
    ],
)
def test_a_size_that_no_network_has_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        VisuomotorConfig(**config)
