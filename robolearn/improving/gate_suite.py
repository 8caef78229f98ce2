"""The regression suite: episodes of earlier tasks that a policy must still master, listed in a file.

A bundle acts in one task. So its earlier tasks are earlier forms of that one: other clearances, objects,
lengths, randomisation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from robolearn import checks
from robolearn.errors import InputError
from robolearn.improving.gate_record import Check
from robolearn.improving.gate_simulation import Progress, evaluate_both, success_check
from robolearn.policies.bundle import Bundle, load_bundle


@dataclass(frozen=True)
class Case:
    """Episodes of an earlier task that a policy must still master.

    Attributes:
        name: in a few words.
        bundle: the policy that set the standard: a path, relative to the suite's file, or a shipped name.
        seed: of the first episode.
        episodes: how many.
        set: the task's parameters that differ from what the candidate was trained under.
    """

    name: str
    bundle: str
    seed: int
    episodes: int
    set: dict[str, Any]


def read_suite(path: Path) -> list[Case]:
    """Read a regression suite: a YAML list of cases with the keys of `Case`; `set` may be left out.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the regression suite {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the regression suite {path} is no YAML: {error}") from error
    cases = []
    for i, entry in enumerate(checks.items(f"{path}", data)):
        thing = f"{path}: case {i}"
        values = checks.mapping(thing, entry)
        values = checks.exact_keys(thing, {"set": {}, **values}, [f.name for f in fields(Case)])
        place = checks.text(f"bundle of {thing}", values["bundle"])
        near = path.parent / place
        cases.append(
            Case(
                name=checks.text(f"name of {thing}", values["name"]),
                bundle=str(near) if near.exists() else place,
                seed=checks.whole(f"seed of {thing}", values["seed"], 0),
                episodes=checks.whole(f"episodes of {thing}", values["episodes"], 1),
                set=checks.mapping(f"set of {thing}", values["set"]),
            )
        )
    if not cases:
        raise InputError(f"the regression suite {path} holds no case")
    return cases


def suite_hash(cases: Sequence[Case]) -> str:
    """Hash of what a suite asks: its cases, with the weights that set the standard in the place of names.

    Raises:
        InputError: a case's policy cannot be used.
    """
    asked = [{**asdict(case), "bundle": load_bundle(case.bundle).weights_hash} for case in cases]
    text = json.dumps(checks.json_like("the suite", asked), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def standards(cases: Sequence[Case], task: str) -> list[Bundle]:
    """The policies that set the standard, in the order of the cases.

    Raises:
        InputError: one cannot be used, or is for another task.
    """
    found = [load_bundle(case.bundle) for case in cases]
    for case, standard in zip(cases, found, strict=True):
        if standard.task != task:
            raise InputError(f"case {case.name!r} is about {standard.task}; the candidate does {task}")
    return found


def regression_check(
    new: Bundle,
    cases: Sequence[Case],
    margin: float,
    workers: int | None,
    progress: Progress | None = None,
) -> Check:
    """Whether the candidate is still as good at every earlier task as the policy that set the standard there.

    Raises:
        InputError: a case's policy cannot be used, or is for another task.
    """
    found: list[Check] = []
    for case, standard in zip(cases, standards(cases, new.task), strict=True):
        tables = evaluate_both(new, standard, case.episodes, case.seed, case.set, workers, progress)
        found.append(success_check(tables, margin, case.name, "the earlier policy"))
    failed = [check for check in found if check.verdict == "failed"]
    words = "; ".join(f"{check.name}: {check.reason}" for check in failed)
    figures = {check.name: check.figures for check in found}
    passed = words or f"as good as the earlier policies in {len(found)} of {len(found)} cases"
    return Check("regression suite", "failed" if failed else "passed", True, passed, figures)
