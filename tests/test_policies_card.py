from __future__ import annotations

from typing import Any

from small_policies import small_contract

from robolearn.policies.card import card_text


def test_a_card_tells_what_was_measured_and_how() -> None:
    success = {"rate": 0.9651, "interval": [0.93, 0.983]}
    first = {"episodes": 200, "success": success, "changes": {}, "command": "robolearn evaluate a"}
    first |= {"drops": 3, "jams": 1, "limiter": {"ticks": 9, "share": 0.0312, "altered": {}}}
    second = {**first, "episodes": 50, "changes": {"objects": "held-out"}, "command": "robolearn evaluate b"}
    card: dict[str, Any] = {
        "command": "robolearn train grasp --minutes 4",
        "evaluations": [first, second],
        "training": {"minutes": 4.0, "seed": 0},
        "versions": {"torch": "2.13.0"},
    }
    lines = card_text("grasp", {"image_size": 24}, small_contract(), card).splitlines()
    assert lines[0] == "# A robolearn policy for grasp"
    assert "    robolearn train grasp --minutes 4" in lines
    assert "| 200 | 0.965 | 0.930 to 0.983 | 3 | 1 | 3.12 % | as trained | `robolearn evaluate a` |" in lines
    assert (
        "| 50 | 0.965 | 0.930 to 0.983 | 3 | 1 | 3.12 % | objects=held-out | `robolearn evaluate b` |"
        in lines
    )
    assert "| task: image_size | 24 |" in lines
    assert "| training | minutes: 4, seed: 0 |" in lines
    assert "| torch | 2.13.0 |" in lines
    assert "| commands | torque [N·m] and the gripper |" in lines


def test_a_snapshot_claims_nothing() -> None:
    text = card_text("grasp", {}, small_contract(), {})
    assert "nothing has been measured yet" in text
    assert "Measured" not in text
