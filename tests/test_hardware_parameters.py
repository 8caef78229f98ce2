"""Declared parameters: what is read, what a wrong value is told, what is written and documented."""
# ruff: noqa: RUF009 - a declaration is a dataclass field, made by a function

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from robolearn.errors import InputError
from robolearn.hardware import parameters as p
from robolearn.hardware.arm import ArmProfile, load_arm
from robolearn.hardware.reading import Section


@dataclass(frozen=True)
class Inner:
    size: int = p.whole("How many.", "-", 1, 10, default=3)
    name: str = p.text("A name.", default="")


@dataclass(frozen=True)
class Everything:
    origin: str
    rate: float = p.number("How often.", "Hz", 1.0, 1000.0)
    period: float = p.number(
        "How long.", "s", 0.0, 1.0, derive=lambda arm, values: 1.0 / values["rate"], derived="1 / rate"
    )
    loud: bool = p.flag("Whether it is heard.", default=False)
    label: str = p.text("What it is called.", key="title", default="none of all")
    tags: tuple[str, ...] = p.texts("Words.", default=("a", "b"))
    mode: str = p.choice("How it works.", ("slow", "fast"), default="slow")
    joints: tuple[str, ...] = p.joint_names(
        "Names.", derive=lambda arm, values: arm.joint_names, derived="the arm's"
    )
    gains: tuple[float, ...] = p.joint_numbers(
        "Gains.", "N·m/rad", 0.0, 9.0, derive=lambda arm, values: (1.0,) * arm.n, derived="1"
    )
    place: tuple[float, ...] = p.vector("Where.", "m", -1.0, 1.0, 3, default=(0.0, 0.0, 0.0))
    extra: tuple[float, ...] = p.vector(
        "More.", "-", -1.0, 1.0, lambda values: 2 * (values["mode"] == "fast")
    )
    turn: tuple[float, ...] = p.quaternion("How it is turned.", default=(1.0, 0.0, 0.0, 0.0))
    one: Inner = p.mapping(Inner, "One.")
    maybe: Inner | None = p.mapping(Inner, "Perhaps one.", default=None)
    many: tuple[Inner, ...] = p.mappings(Inner, "Several.")

    def check(self, section: Section, arm: ArmProfile) -> None:
        if self.period * self.rate > 100:
            raise section.error("period", self.period, "shorter")


@pytest.fixture(scope="module")
def arm() -> ArmProfile:
    return load_arm("panda")


def read(values: dict, arm: ArmProfile) -> Everything:
    return p.read(Everything, Section(Path("mine.yaml"), "", values), arm, {"origin": "test"})


def test_what_is_left_out_or_empty_has_its_default(arm: ArmProfile) -> None:
    record = read({"rate": 50, "mode": None}, arm)
    assert record == Everything(
        origin="test",
        rate=50.0,
        period=0.02,
        loud=False,
        label="none of all",
        tags=("a", "b"),
        mode="slow",
        joints=arm.joint_names,
        gains=(1.0,) * 7,
        place=(0.0, 0.0, 0.0),
        extra=(),
        turn=(1.0, 0.0, 0.0, 0.0),
        one=Inner(3, ""),
        maybe=None,
        many=(),
    )


def test_what_is_written_is_read_again(arm: ArmProfile) -> None:
    values = {
        "rate": 50,
        "period": 0.5,
        "loud": True,
        "title": "me",
        "tags": ["x"],
        "mode": "fast",
        "joints": list("abcdefg"),
        "gains": [1, 2, 3, 4, 5, 6, 7],
        "place": [0.1, 0.2, 0.3],
        "extra": [1, -1],
        "turn": [0, -1, 0, 0],
        "one": {"size": 5, "name": "n"},
        "maybe": {},
        "many": [{"size": 1}, {"size": 2}],
    }
    record = read(values, arm)
    assert record.turn == (0.0, 1.0, 0.0, 0.0)  # q and -q are one rotation
    assert record.maybe == Inner(3, "")
    assert [inner.size for inner in record.many] == [1, 2]
    assert type(record.one.size) is int
    assert read(p.plain(record), arm) == record
    assert p.plain(record)["title"] == "me"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("rate", 0.5, "rate is 0.5; it must be a number in [1, 1000]"),
        ("rate", "fast", "rate is 'fast'; it must be a number in [1, 1000]"),
        ("rate", float("nan"), "rate is nan; it must be a number in [1, 1000]"),
        ("rate", True, "rate is True; it must be a number in [1, 1000]"),
        ("period", 3, "period is 3; it must be a number in [0, 1]"),
        ("period", 1.0, None),
        ("loud", "yes", "loud is 'yes'; it must be true or false"),
        ("title", "  ", "title is '  '; it must be a text that is not empty"),
        ("tags", ["a", "a"], "tags is ['a', 'a']; it must be a list of different texts"),
        ("mode", "medium", "mode is 'medium'; it must be one of slow, fast"),
        ("mode", "fast", "extra is missing; it must be a list of 2 numbers, each a number in [-1, 1]"),
        ("joints", ["a"], "joints is ['a']; it must be a list of 7 different texts, one for each joint"),
        (
            "gains",
            [1] * 6,
            "gains is [1, 1, 1, 1, 1, 1]; it must be a list of 7 numbers, each a number in [0, 9]",
        ),
        ("gains", [1] * 6 + [10], "gains[6] is 10; it must be a number in [0, 9]"),
        ("place", [0, 0, -2], "place[2] is -2; it must be a number in [-1, 1]"),
        ("extra", [1], "extra is [1]; it must be a list of 0 numbers"),
        ("turn", [1, 1, 0, 0], "turn is [1.0, 1.0, 0.0, 0.0]; it must be (w, x, y, z) of norm 1"),
        ("one", 3, "one is 3; it must be a mapping of keys to values"),
        ("one", {"size": 2.5}, "one.size is 2.5; it must be a whole number in [1, 10]"),
        ("maybe", {"size": 11}, "maybe.size is 11; it must be a number in [1, 10]"),
        ("many", {"size": 1}, "many is {'size': 1}; it must be a list of mappings"),
        ("many", [{}, {"size": 0}], "many[1].size is 0; it must be a number in [1, 10]"),
        ("rat", 3, "in the file: unknown key 'rat' (did you mean 'rate'?)"),
        ("one", {"sise": 3}, "in one: unknown key 'sise' (did you mean 'size'?)"),
        ("label", "x", "unknown key 'label'"),
    ],
)
def test_a_wrong_value_is_told_with_file_key_value_and_range(
    key: str, value: object, complaint: str | None, arm: ArmProfile
) -> None:
    if complaint is None:
        read({"rate": 50, key: value}, arm)
        return
    with pytest.raises(InputError) as caught:
        read({"rate": 50, key: value}, arm)
    assert str(caught.value).startswith("mine.yaml: ")
    assert complaint in str(caught.value)


def test_a_missing_value_is_told(arm: ArmProfile) -> None:
    with pytest.raises(InputError, match=r"mine.yaml: rate is missing; it must be a number in \[1, 1000\]"):
        read({}, arm)


def test_a_record_checks_its_values_together(arm: ArmProfile) -> None:
    with pytest.raises(InputError, match=r"mine.yaml: period is 0.5; it must be shorter"):
        read({"rate": 500, "period": 0.5}, arm)


def test_tables_show_every_parameter_once() -> None:
    text = p.tables(Everything)
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert rows["rate"] == "| `rate` | number | Hz | 1 to 1000 | **required** | How often. |"
    assert rows["period"] == "| `period` | number | s | 0 to 1 | 1 / rate | How long. |"
    assert rows["title"] == "| `title` | text |  |  | `none of all` | What it is called. |"
    assert rows["mode"] == "| `mode` | one of a few |  | `slow`, `fast` | `slow` | How it works. |"
    assert rows["tags"].split(" | ")[4] == "`a`, `b`"
    assert rows["loud"].split(" | ")[4] == "false"
    assert rows["place"].split(" | ")[4] == "0, 0, 0"
    assert rows["one"].split(" | ")[4] == "see below"
    assert rows["maybe"].split(" | ")[4] == rows["many"].split(" | ")[4] == "none"
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["### `one`", "### `maybe`", "### `many[]`"]
