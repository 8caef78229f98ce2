from __future__ import annotations

from typing import Any

import pytest

from robolearn.training import progress
from robolearn.training.progress import progress_of


class Ended:
    """As much of an episode as progress looks at."""

    def __init__(self, success: bool) -> None:
        self.outcome = type("Outcome", (), {"success": success})


def run(outcomes: list[bool]) -> None:
    with progress_of(len(outcomes)) as tell:
        for success in outcomes:
            tell(Ended(success))  # type: ignore[arg-type]


def test_plain_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    run([True] * 15 + [False] * 10)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0] == "2/25 episodes, success 1.000"
    assert lines[-1] == "25/25 episodes, success 0.600"
    assert len(lines) == 13


def test_a_bar_with_the_running_success_rate_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = progress.Console

    def terminal(**options: Any) -> Any:
        return console(force_terminal=True, width=100, **options)

    monkeypatch.setattr(progress, "Console", terminal)
    run([True, False, True, True])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "4/4" in shown.err
    assert "success 0.750" in shown.err
