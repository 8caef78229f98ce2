from __future__ import annotations

from dataclasses import asdict, dataclass, field

import pytest
import tyro

from robolearn.envs.grasp import GraspConfig
from robolearn.envs.peg_insertion import PegInsertionConfig
from robolearn.policies.guided import GuidedConfig
from robolearn.policies.visuomotor import VisuomotorConfig
from robolearn.training.describe import as_options, meanings, summary_of


@dataclass(frozen=True)
class Base:
    """Something.

    Attributes:
        size: how large it is [m]: the widest side
            of it.
        names: what it is called.

    Made by hand: names: no.
    """

    size: float = 1.0
    names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class Derived(Base):
    """Attributes:
    kind: one of
        two.
    names: other names.
    """

    kind: str = "x"
    silent: dict[str, int] = field(default_factory=dict)


def test_meanings_come_from_the_docstrings_of_a_class_and_its_bases() -> None:
    assert meanings(Derived) == {
        "size": "how large it is [m]: the widest side of it",
        "names": "other names",
        "kind": "one of two",
        "silent": "",
    }
    assert meanings(Base)["names"] == "what it is called"


@pytest.mark.parametrize("kind", [GraspConfig, PegInsertionConfig, GuidedConfig, VisuomotorConfig])
def test_every_field_that_a_person_can_set_is_explained(kind: type) -> None:
    assert [name for name, text in meanings(kind).items() if not text] == []


def test_options_are_explained_and_hidden_ones_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    options = as_options(Derived(size=2.5, silent={"k": 1}), hidden=["silent"])
    assert isinstance(options, Derived)
    read = tyro.cli(type(options), default=options, args=["--names", "b", "c"])
    assert asdict(read) == {"size": 2.5, "names": ("b", "c"), "kind": "x", "silent": {"k": 1}}
    with pytest.raises(SystemExit):
        tyro.cli(type(options), default=options, args=["--help"])
    shown = capsys.readouterr().out
    assert "how large it is [m]" in shown
    assert "silent" not in shown


def test_a_task_is_summed_up_in_a_sentence() -> None:
    assert summary_of("grasp").startswith("Grasping: ")
    assert "\n" not in summary_of("peg-insertion")
