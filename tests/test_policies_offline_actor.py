from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal

from robolearn.policies.offline.actor import Actor, Proposal
from robolearn.policies.offline.augmentation import shifted
from robolearn.policies.visuomotor import Visuomotor, VisuomotorConfig

LOW, HIGH = torch.tensor([-4.0, 1.0, -0.5]), torch.tensor([8.0, 3.0, 0.5])


def made() -> Actor:
    torch.manual_seed(0)
    network = Visuomotor(VisuomotorConfig(hidden=16), {}, {"q": 5}, 0, 4)
    for name in ("reading", "action"):
        network.get_buffer(f"{name}_mean").normal_()
        network.get_buffer(f"{name}_scale").uniform_(0.5, 2.0)
    return Actor(network, LOW, HIGH, torch.tensor([0.6, 0.1, 0.2]))


def test_the_box_goes_from_the_smallest_torque_to_the_largest() -> None:
    actor = made()
    corners = torch.stack([torch.cat([LOW, torch.tensor([-1.0])]), torch.cat([HIGH, torch.tensor([1.0])])])
    assert actor.inside(corners).tolist() == [[-1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]]
    assert actor.inside(torch.tensor([[2.0, 2.0, 0.0, 0.4]])).tolist() == [[0.0, 0.0, 0.0, 1.0]]
    assert actor.std.tolist() == pytest.approx([0.1, 0.1, 0.4])


@torch.no_grad()
def test_what_it_proposes_is_what_the_policy_does() -> None:
    actor, rng = made(), np.random.default_rng(0)
    for _ in range(5):
        reading = rng.standard_normal(5).astype(np.float32)
        proposal = actor(actor.encode({"q": torch.from_numpy(reading)[None]}))
        done = torch.from_numpy(actor.network.act({"q": reading}))[None]
        torques = proposal.torque * (HIGH - LOW) / 2 + (HIGH + LOW) / 2
        torch.testing.assert_close(torques, done[:, :-1], atol=1e-5, rtol=1e-5)
        assert float(done[0, -1]) == (1.0 if float(proposal.logit) > 0 else -1.0)
        torch.testing.assert_close(actor.inside(done)[:, :-1], proposal.torque, atol=1e-5, rtol=1e-5)


def test_densities_and_entropy_are_those_of_the_distribution() -> None:
    actor = made()
    proposal = Proposal(torch.randn(6, 3), torch.randn(6))
    torques = Independent(Normal(proposal.torque, actor.std), 1)
    closing = Bernoulli(logits=proposal.logit)
    actions = actor.sample(proposal, 7)
    expected = torques.log_prob(actions[..., :-1]) + closing.log_prob((actions[..., -1] + 1) / 2)
    torch.testing.assert_close(actor.log_prob(proposal, actions), expected)
    torch.testing.assert_close(actor.log_prob(proposal, actions[0]), expected[0])
    torch.testing.assert_close(actor.entropy(proposal), torques.entropy() + closing.entropy())


def test_samples_have_the_mean_and_the_spread() -> None:
    actor = made()
    proposal = Proposal(torch.tensor([[0.5, -0.2, 0.0]]), torch.tensor([1.2]))
    actions = actor.sample(proposal, 40_000)[:, 0]
    assert actions[:, :-1].mean(0).tolist() == pytest.approx([0.5, -0.2, 0.0], abs=0.01)
    torch.testing.assert_close(actions[:, :-1].std(0), actor.std.detach(), atol=0.01, rtol=0.02)
    assert set(actions[:, -1].tolist()) == {-1.0, 1.0}
    smooth = proposal.smooth()
    assert float(actions[:, -1].mean()) == pytest.approx(float(smooth[0, -1]), abs=0.01)  # tanh(logit / 2)


def test_what_acts_is_inside_the_box_and_a_choice() -> None:
    proposal = Proposal(torch.tensor([[2.0, -3.0], [0.3, 0.4]]), torch.tensor([-0.1, 0.1]))
    assert proposal.action().tolist() == pytest.approx(np.array([[1.0, -1.0, -1.0], [0.3, 0.4, 1.0]]))


def test_a_joint_that_never_moved_has_a_box_all_the_same() -> None:
    network = Visuomotor(VisuomotorConfig(hidden=4), {}, {"q": 5}, 0, 4)
    actor = Actor(network, torch.zeros(3), torch.zeros(3), torch.zeros(3))
    assert torch.isfinite(actor.inside(torch.ones(1, 4))).all()
    assert torch.isfinite(actor.std).all()


# --- shifting pictures ----------------------------------------------------------------------------------


def test_pictures_are_shifted_each_by_its_own() -> None:
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (30, 6, 8, 3), dtype=torch.uint8)
    moves = set()
    for before, after in zip(pictures, shifted(pictures, 2), strict=True):
        rows = [torch.arange(6).add(dy).clamp(0, 5) for dy in range(-2, 3)]
        columns = [torch.arange(8).add(dx).clamp(0, 7) for dx in range(-2, 3)]
        found = [
            (dy, dx)
            for dy, row in enumerate(rows)
            for dx, column in enumerate(columns)
            if torch.equal(before[row][:, column], after)
        ]
        assert found
        moves.add(found[0])
    assert len(moves) > 10
    assert torch.equal(shifted(pictures, 0), pictures)


def test_the_pictures_of_one_window_are_shifted_alike() -> None:
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (20, 1, 6, 8, 3), dtype=torch.uint8)
    moved = shifted(picture.expand(-1, 3, -1, -1, -1), 2)
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert torch.equal(moved[:, 0], moved[:, 2])
    assert not torch.equal(moved[:, 0], picture[:, 0])
