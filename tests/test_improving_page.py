"""The page of a loop, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from improving import CONFIG, gate_saying, small_bundle

from robolearn.cli import main
from robolearn.errors import InputError
from robolearn.improving import candidate, loop
from robolearn.improving.course import Course
from robolearn.improving.improve_command import ImproveOptions, read_words, run_improve
from robolearn.improving.page import summary, write_page


def tried(policy: str, won: list[int], episodes: int = 20, **more: Any) -> dict[str, Any]:
    """What an evaluation or a deployment found."""
    return {
        "policy": policy * 64,
        "episodes": episodes,
        "successes": len(won),
        "rate": len(won) / episodes,
        "interval": [max(len(won) / episodes - 0.1, 0.0), min(len(won) / episodes + 0.1, 1.0)],
        "reasons": {"success": len(won), "time": episodes - len(won)},
        "running": 90.0,
        "interventions": {
            "altered": 0.0125,
            "limited": {"rate": 0.0125},
            "held": 0.5,
            "stopped": 1,
            "stops": {"speed": 1},
        },
        "sent": 1000,
        "violations": 0,
        "table": [{"seed": seed, "success": seed in won} for seed in range(episodes)],
        "seconds": 12.0,
        **more,
    }


def gate(passed: bool) -> dict[str, Any]:
    check = {"name": "success", "verdict": "passed" if passed else "failed", "required": True}
    check |= {"reason": "4 of 20 <against> 3", "shuts": not passed}
    return {
        "candidate": "b" * 64,
        "against": "a" * 64,
        "record": "f" * 64,
        "passed": passed,
        "checks": [check],
    }


def begun(folder: Path, *facts: tuple[int, str, dict[str, Any]]) -> Path:
    with Course(folder, CONFIG, 2, "robolearn improve --policy <mine>") as course:
        for entry in facts:
            course.note(*entry)
    return folder


LEARNED = {
    "from": "a" * 64,
    "candidate": "b" * 64,
    "method": "iql",
    "steps": 100,
    "data": [{"episodes": 10, "successes": 3, "steps": 900}, {"episodes": 5, "successes": 5, "steps": 300}],
    "losses": {"policy": 0.25},
    "seconds": 3.0,
}
IMPORTED = {"left_out": {"no torques": 2}, "store": {"episodes": 8, "successes": 3, "transitions": 700}}
WHOLE = [
    (0, "evaluate", tried("a", [1, 2, 3, 4])),
    (0, "deploy", tried("a", [1, 2], 10)),
    (0, "import", IMPORTED),
    (0, "learn", LEARNED),
    (0, "gate", gate(True)),
    (0, "promote", {"promoted": True, "policy": "b" * 64}),
    (1, "evaluate", tried("b", [2, 3, 4, 5, 6, 7, 8, 9])),
]


def test_the_page_shows_what_changed(tmp_path: Path) -> None:
    page = write_page(begun(tmp_path / "loop", *WHOLE)).read_text()
    for words in (
        "40.0<small>%",
        "it began with 20.0 % of 20",
        "<code>aaaaaaaaaaaa</code>",
        "won 5, lost 1 against the policy before: +0.200",
        "2 of 10",
        "1.25 % altered",
        "held 50 %, stopped 1 episodes (speed 1)",
        "0 of 1000 torques beyond a limit",
        "8 episodes",
        "2 left out: no torques",
        "from 10 and 5 episodes",
        f"registry/gates/{'f' * 64}.html",
        "passed</a>, promoted",
        "robolearn improve --policy &lt;mine&gt;",
        "iterations/000/learning/report.html",
        'class="dot c0"',
    ):
        assert words in page, words
    assert "undefined" not in page


@pytest.mark.parametrize("phases", range(len(WHOLE)))
def test_there_is_a_page_after_every_phase(tmp_path: Path, phases: int) -> None:
    page = write_page(begun(tmp_path / "loop", *WHOLE[:phases])).read_text()
    assert ("Nothing has been deployed yet" in page) == (phases == 0)


def test_what_shut_the_gate_is_said(tmp_path: Path) -> None:
    refused = (0, "promote", {"promoted": False, "policy": "a" * 64})
    page = write_page(begun(tmp_path / "loop", *WHOLE[:4], (0, "gate", gate(False)), refused)).read_text()
    assert "not passed</a>" in page
    assert "success failed: 4 of 20 &lt;against&gt; 3" in page
    assert "promoted" not in page.split("not passed</a>")[1].split("</td>")[0]


def test_the_control_stands_beside_it(tmp_path: Path) -> None:
    folder = begun(tmp_path / "loop", *WHOLE)
    begun(folder / "control", (0, "evaluate", tried("a", [1, 2, 3])), (1, "evaluate", tried("c", [1])))
    page = write_page(folder).read_text()
    assert 'class="dot c1"' in page
    assert "control, without them" in page
    assert "its latest policy has 1 of 20" in page
    found = summary(folder)
    assert found["control"]["latest"]["successes"] == 1
    assert (found["first"]["successes"], found["latest"]["successes"]) == (4, 8)
    assert (found["sent"], found["violations"]) == (3000, 0)


def test_a_policy_that_stayed_is_no_change(tmp_path: Path) -> None:
    again = tried("a", [1, 2, 3, 4], again=True)
    folder = begun(tmp_path / "loop", *WHOLE[:6], (1, "evaluate", again))
    assert summary(folder)["iterations"][1]["change"] is None
    assert summary(folder)["sent"] == 2000
    assert "the same policy" in write_page(folder).read_text()


# --- the command --------------------------------------------------------------------------------------------


def test_words_become_settings() -> None:
    words = [
        "--policy",
        "grasp",
        "--to",
        "x",
        "--method",
        "cql",
        "--cql.samples",
        "3",
        "--offline.batch",
        "9",
    ]
    options, offline, own, gate = read_words([*words, "--gate.episodes", "30", "--iterations", "7"])
    assert (options.method, options.iterations, options.to) == ("cql", 7, Path("x"))
    assert (own.samples, offline.batch, gate.episodes) == (3, 9, 30)
    assert read_words([])[0] == ImproveOptions()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what is to be improved and where"),
        (["--policy", "grasp"], "say what is to be improved and where"),
        (["--policy", "nothing", "--to", "x"], "there is no bundle 'nothing'"),
        (["--policy", "grasp", "--to", "x", "--method", "ppo"], "unknown method 'ppo'"),
        (["--policy", "grasp", "--to", "x", "--reality", "moon"], "unknown reality 'moon'"),
        (["--policy", "grasp", "--to", "x", "--workers", "0"], "workers is 0"),
        (["--policy", "grasp", "--to", "x", "--episodes", "0"], "episodes is 0"),
        (["--policy", "grasp", "--to", "x", "--control", "--evaluate", "0"], "needs episodes to evaluate"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    words = [str(tmp_path / word) if word == "x" else word for word in words]
    with pytest.raises(InputError, match=message):
        run_improve(words)
    assert not any(tmp_path.iterdir())


def test_ros_is_asked_for_only_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="rclpy is missing"):
        run_improve(["--policy", "grasp", "--to", str(tmp_path / "x"), "--ros"])


def test_the_command_runs_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loop, "run_gate", gate_saying(lambda bundle: "passed"))
    small_bundle(tmp_path / "small")
    words = ["improve", "--policy", str(tmp_path / "small"), "--to", str(tmp_path / "loop"), "--prior", "0"]
    words += ["--reality", "middle", "--episodes", "2", "--evaluate", "0", "--iterations", "1"]
    words += ["--workers", "1", "--method", "bc", "--steps", "4", "--offline.batch", "8"]
    train, calls = candidate.train_offline, 0

    def interrupted(*rest: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyboardInterrupt
        return train(*rest, **more)

    monkeypatch.setattr(candidate, "train_offline", interrupted)
    assert main(words) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["iterations"][0]["promote"]["promoted"]
    assert Path(found["page"]).is_file()
    assert "deploy:" not in shown.err  # that was done before
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "success  0.000, 95% interval 0.000 to 0.658, at the start" in told
    assert "limits   0 of" in told
    assert main([*words[:-1], "16"]) == 2
    assert "offline is" in capsys.readouterr().err
