from __future__ import annotations

from dataclasses import replace

from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.plan import episode_wanted
from robolearn.training.problem import pose
from robolearn.training.run import TrainConfig
from robolearn.training.seeds import FIRST_TRAINING_SEED

CONFIG = TrainConfig(
    "peg-insertion",
    {"image_size": 16, "observe": ("front", "q", "dq")},
    GuidedConfig(),
    VisuomotorConfig(channels=(4,)),
    minutes=1.0,
    seed=5,
)


def test_what_collectors_are_asked_for() -> None:
    problem = pose(CONFIG)
    first = episode_wanted(CONFIG, problem, 0, None, 0.0)
    assert (first.seed, first.policy, first.labels) == (6 * FIRST_TRAINING_SEED, None, True)
    assert first.noise == CONFIG.learning.noise
    assert first.changes["observe"] == ("front", "q", "dq", "state")
    assert first.teacher_share == 0.0
    for free in (0.0, 0.25, 1.0):
        learning = GuidedConfig(
            free_share=free, teacher_share=0.4, policy_noise=0.2, scattered=2, scattered_steps=7
        )
        config = replace(CONFIG, learning=learning)
        specs = [episode_wanted(config, problem, number, "policy", 0.5) for number in range(900)]
        assert episode_wanted(config, problem, 7, "policy", 0.5) == specs[7]
        assert {spec.noise for spec in specs} == {0.2}
        whole = [spec for spec in specs if not spec.scattered]
        assert len(whole) == 300
        assert {spec.steps for spec in whole} == {None}
        assert {(spec.steps, spec.teacher_share) for spec in specs if spec.scattered} == {(7, 0.4)}
        assert {spec.teacher_share for spec in whole} <= {0.0, 0.4}
        assert abs(sum(spec.teacher_share == 0.0 for spec in whole) / 300 - free) < 0.09


def test_conditions_are_clean_at_first_and_ever_less_so() -> None:
    problem = pose(CONFIG)
    config = replace(CONFIG, learning=GuidedConfig(clean_start=0.4, scattered=2))

    def clean(progress: float) -> float:
        specs = [episode_wanted(config, problem, number, "policy", progress) for number in range(900)]
        assert not any(spec.clean for spec in specs if not spec.scattered and spec.teacher_share == 0.0)
        taught = [spec.clean for spec in specs if spec.scattered or spec.teacher_share]
        return sum(taught) / len(taught)

    assert clean(0.0) == 1.0
    assert abs(clean(0.1) - 0.75) < 0.05
    assert abs(clean(0.3) - 0.25) < 0.05
    assert clean(0.4) == 0.0
    never = replace(config, learning=GuidedConfig(clean_start=0.0))
    assert not any(episode_wanted(never, problem, number, None, 0.0).clean for number in range(100))
