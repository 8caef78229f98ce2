from __future__ import annotations

from typing import Any

import pytest

from robolearn.training.comparison_tables import error_rows, paired, pairs_of, success_rows
from robolearn.training.evidence_figures import Measured
from robolearn.training.experiments import COMPARISON, Experiment, Trial


def experiment(method: str) -> Experiment:
    words = ("--clearance", "1mm", *(("--method", method) if method != "guided" else ()))
    trials = (Trial("peg", watched=True),)
    return Experiment(method, ("comparison",), "peg-insertion", 4.0, (0, 1), trials, words)


BOTH = [experiment("guided"), experiment("modular")]


def figures(failed: list[int], kinds: dict[str, tuple[float, float]]) -> dict[str, Any]:
    spread: dict[str, Any] = {k: {"along": a, "across": b, "ratio": a / b} for k, (a, b) in kinds.items()}
    for parts in spread.values():
        parts |= {f"{key}_interval": [0.5 * value, 2 * value] for key, value in tuple(parts.items())}
    success = {"rate": 1 - len(failed) / 10, "successes": 10 - len(failed)}
    trial = {"title": "peg", "seed": 0, "episodes": 10, "success": success, "failed seeds": failed}
    return {
        "training": {"episodes": 100, "observations": 700, "resumed": 0},
        "trials": [{**trial, "perception": spread}],
        "hash": "code",
        "commit": "abc123",
        "cores used by other work": 0.0,
        "measured": "2026-01-01",
    }


def of(measured: Experiment) -> Measured:
    if measured.method == "guided":
        seeds = {0: figures([1], {"seen": (0.001, 0.001), "implied": (0.004, 0.0005)})}
        seeds[1] = figures([1, 2], {"seen": (0.003, 0.001), "implied": (0.004, 0.0005)})
    else:
        seeds = {1: figures([2, 3, 4], {"seen": (0.002, 0.002), "used": (0.001, 0.001)})}
    return Measured(measured, seeds, True)


def test_every_comparison_has_both_methods_and_differs_in_nothing_else() -> None:
    for pair in pairs_of(COMPARISON):
        assert set(pair) == {"guided", "modular"}
        first, other = pair.values()
        assert (first.seeds, first.tables, first.trials) == (other.seeds, other.tables, other.trials)
        assert len(first.seeds) >= 3


def test_success_stands_side_by_side_and_in_pairs_of_the_same_training_seed() -> None:
    titles: list[str] = []
    [row] = success_rows(BOTH, of, titles)
    assert len(row) == len(titles)
    cells = dict(zip(titles, row, strict=True))
    assert cells["end to end"].startswith("**0.850** (0.900, 0.800)")
    assert cells["modular"].startswith("**0.700** (0.700)")
    assert cells["difference"] == "-0.100 (lost 2, won 1 of 10)"  # seed 1 alone has both
    low, _, high = cells["over episodes"].partition(" to ")
    assert float(low) < -0.1 < float(high)


def test_errors_are_means_over_seeds_in_millimetres_and_what_is_missing_stays_empty() -> None:
    titles: list[str] = []
    guided, modular = error_rows(BOTH, of, titles)
    assert len(guided) == len(modular) == len(titles)
    shown = ["seen, along", "seen, across", "seen, ratio", "used, along", "used, across", "used, ratio"]
    assert titles[3:10] == [*shown, "implied, across"]  # along the axis it is no belief
    seen = ["2.00 (0.50 to 6.00)", "1.00 (0.50 to 2.00)", "2.00 (0.50 to 6.00)"]
    assert guided[3:10] == [*seen, "", "", "", "0.50 (0.25 to 1.00)"]
    used = ["1.00 (0.50 to 2.00)"] * 3
    assert modular[3:10] == ["2.00 (1.00 to 4.00)", "2.00 (1.00 to 4.00)", "1.00 (0.50 to 2.00)", *used, ""]


def test_an_error_of_a_single_episode_has_no_interval() -> None:
    lone = figures([], {"seen": (0.001, 0.001)})
    lone["trials"][0]["perception"]["seen"]["along_interval"] = None
    [row] = error_rows(BOTH[:1], lambda each: Measured(each, {0: lone}, True), [])
    assert row[3] == "1.00"


def test_a_difference_over_trainings_is_of_what_each_seed_differs_by() -> None:
    failed = {"guided": ([], [1]), "modular": ([1, 2], [1, 2])}  # differences of -0.2 and -0.1

    def both(measured: Experiment, present: bool = True) -> Measured:
        seeds = {seed: figures(each, {}) for seed, each in enumerate(failed[measured.method])}
        return Measured(measured, seeds, present)

    titles: list[str] = []
    [row] = success_rows(BOTH, both, titles)
    cells = dict(zip(titles, row, strict=True))
    # -0.15 plus or minus 12.706 * 0.0707 / sqrt(2)
    assert cells["over trainings"] == "-0.785 to +0.485"
    [row] = success_rows(BOTH, of, titles := [])
    assert dict(zip(titles, row, strict=True))["over trainings"] == ""  # a single seed has both


def test_what_was_not_measured_is_said_to_be_so() -> None:
    titles: list[str] = []
    [row] = success_rows(BOTH, lambda each: Measured(each, {}, True), titles)
    assert row.count("not measured") == 2


def test_other_scenes_make_no_pair() -> None:
    one, two = figures([1], {}), figures([1], {})
    two["trials"][0]["seed"] = 5
    first = Measured(BOTH[0], {0: one}, True)
    assert paired(first, Measured(BOTH[1], {0: two}, True)) == ["", ""]
    assert paired(first, Measured(BOTH[1], {1: one}, True)) == ["", ""]


@pytest.mark.parametrize(
    ("present", "commit", "pairs"),
    [
        ((True, True), "def456", True),
        ((False, True), "abc123", True),
        ((False, True), "def456", False),
        ((False, False), "def456", False),
        ((False, False), "abc123+", False),
        ((False, False), None, False),
    ],
)
def test_figures_of_different_code_are_not_subtracted(
    present: tuple[bool, bool], commit: str | None, pairs: bool
) -> None:
    first = Measured(BOTH[0], {0: figures([1], {})}, present[0])
    other = Measured(BOTH[1], {0: {**figures([1, 2], {}), "commit": commit}}, present[1])
    difference = paired(first, other)[0]
    assert difference == ("-0.100 (lost 1, won 0 of 10)" if pairs else "of different code")


def test_rows_say_where_they_come_from_and_what_to_know_of_them() -> None:
    titles: list[str] = []
    [row] = success_rows(BOTH, of, titles)
    name, command, measured, notes = row[-4:]
    assert titles[-4:] == ["name", "command", "measured", "notes"]
    assert name == "`guided`, `modular`"
    assert command.endswith("--clearance 1mm --method modular`")
    assert measured == "end to end: 2026-01-01, commit abc123; modular: 2026-01-01, commit abc123"
    assert "modular: 1 of 2 seeds" in notes
    titles = []
    _, modular = error_rows(BOTH, of, titles)
    assert titles[-4:] == ["name", "command", "measured", "notes"]
    assert modular[-4] == "`modular`"
    assert modular[-1].startswith("1 of 2 seeds")
