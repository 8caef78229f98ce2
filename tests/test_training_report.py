from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_policies import save_small

from robolearn import cli
from robolearn.data.episode import Outcome
from robolearn.errors import InputError
from robolearn.policies.bundle import load_bundle
from robolearn.training.evaluation import Evaluation, evaluate, save_evaluation, summarise
from robolearn.training.report import read_metrics, write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
MUST_HAVE = "ROBOLEARN_TESTS_NEED_CHROMIUM"
"""This variable is set where nothing may be skipped for want of a browser."""
COMMAND = "robolearn train grasp --minutes 4 --note '<script>alert(1)</script>'"


def as_success(found: Evaluation) -> Evaluation:
    """The same evaluation, its first episode a success: an untrained policy has none."""
    first, *others = found.failures
    outcome = Outcome(True, "success", len(first), first.outcome.seconds, ticks=first.outcome.ticks)
    table = [{**found.table[0], "success": True, "reason": "success"}, *found.table[1:]]
    return replace(found, table=table, successes=[replace(first, outcome=outcome)], failures=others)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as training leaves it, with two evaluations."""
    run = tmp_path_factory.mktemp("runs") / "demo"
    save_small(run / "bundle")
    bundle = load_bundle(run)
    config = {"task": "grasp", "command": COMMAND, "learning": {"batch": 64, "noise": 1.0}, "seed": 7}
    (run / "config.json").write_text(json.dumps(config))
    with (run / "metrics.jsonl").open("w") as file:
        for i in range(50):
            losses = {"torque": 0.5 * 0.95**i, "state": 0.2 * 0.97**i}
            success = None if i < 10 else i / 60
            entry = {"seconds": 6.0 * i, "steps": 100 * i, "episodes": 12 * i, "frames": 900 * i}
            file.write(json.dumps({**entry, "success": success, "losses": losses}) + "\n")
    found = as_success(evaluate(bundle.path or "", 4, workers=1))
    summary = summarise(found.table, bundle, {}, 0)
    save_evaluation(run, replace(found, summary=summary))
    save_evaluation(run, replace(found, summary=summarise(found.table, bundle, {"objects": "held-out"}, 0)))
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text()


def test_it_needs_nothing_but_itself(page: str) -> None:
    sources = re.findall(r'(?:src|href|poster|data)="([^"]{0,40})', page)
    assert len(sources) == 5  # the video, three failures and a success
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"https?://|@import|url\(", page)


def test_it_says_what_was_found(page: str) -> None:
    assert "of 4 held-out episodes succeeded" in page
    assert "95 % interval: 4.6 to 69.9 %" in page
    assert page.count('<svg class="interval"') == 3  # one on top, one for each evaluation
    assert "<td>objects held-out</td>" in page
    assert page.count('<td class="n">4 from 0</td>') == 2
    assert "peak wrist force, median" in page
    assert "3 out of time, 1 success" in page
    assert page.count('<svg class="chart"') == 2
    assert page.count('class="line c0"') == 2
    assert page.count('class="line c1"') == 1


def test_it_says_how_it_was_made(page: str, run: Path) -> None:
    assert "robolearn train grasp --minutes 4" in page
    assert "--episodes 4 --seed 0 --set objects=held-out" in page
    assert "image_size 24, episode_seconds 0.4" in page
    assert "<dt>learning.batch</dt><dd>64</dd>" in page
    assert load_bundle(run).contract.hash[:16] in page
    assert "<dt>mujoco</dt>" in page
    assert len(re.findall(r'<tr><td class="n">\d+</td><td class="(?:good|bad)">', page)) == 4


def test_what_people_wrote_is_no_html(page: str) -> None:
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_report_again_films_nothing_again(run: Path) -> None:
    film = run / "evaluation" / "video.mp4"
    before = film.stat().st_mtime_ns
    write_report(run)
    assert film.stat().st_mtime_ns == before
    assert sorted(entry.name for entry in run.iterdir() if entry.name.startswith(".")) == []


# --- runs that lack something ---------------------------------------------------------------------------


def test_a_run_that_was_not_evaluated(run: Path, tmp_path: Path) -> None:
    for name in ("config.json", "metrics.jsonl"):
        shutil.copy(run / name, tmp_path)
    page = write_report(tmp_path).read_text()
    assert f"robolearn evaluate {tmp_path.name}" in page
    assert page.count('<svg class="chart"') == 2
    assert "<video" not in page
    assert "Failures" not in page


def test_an_evaluation_without_a_run(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "evaluation.json", tmp_path)
    page = write_report(tmp_path).read_text()
    assert "of 4 held-out episodes succeeded" in page
    assert '<svg class="chart"' not in page


def test_a_bundle_of_later_than_its_evaluation(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "evaluation.json", tmp_path)
    save_small(tmp_path / "bundle", seed=1)
    page = write_report(tmp_path).read_text()
    assert "These figures are of other weights than those in the bundle now" in page
    assert "<video" not in page  # it would show another policy than the figures are of


def test_a_directory_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"is no training run: there is none of config\.json"):
        write_report(tmp_path)
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 2
    assert "is no training run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", r"config\.json is not JSON"),
        ("evaluation.json", "[]", "must be a mapping"),
        ("evaluation.json", '{"success": {}}', "is no evaluation: it lacks task, table, changes"),
        ("metrics.jsonl", '{"seconds": 1}\n{"seconds"\n{"seconds": 3}\n', "line 2, cannot be read"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        write_report(tmp_path)


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"seconds": 1.0}\n{"seconds": 2.0}\n{"seco')
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"seconds": 1.0}, {"seconds": 2.0}]


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")
    assert cli.main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": str(run), "report": str(run / "report.html")}


# --- in a browser ---------------------------------------------------------------------------------------


def chromium(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    flags: tuple[str, ...] = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    flags += ("--no-first-run", "--disable-quic", "--disable-sync", "--disable-component-update")
    flags += ("--disable-background-networking", "--virtual-time-budget=3000")
    flags += (f"--user-data-dir={tmp_path / 'profile'}",)
    return subprocess.run([CHROMIUM, *flags, *words], capture_output=True, text=True, timeout=120)


def screenshot(tmp_path: Path, report: Path, width: int, height: int, *flags: str) -> np.ndarray:
    file = tmp_path / f"{width}.png"
    size = f"--window-size={width},{height}"
    result = chromium(tmp_path, f"--screenshot={file}", size, *flags, report.as_uri())
    assert file.is_file(), result.stderr
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def test_a_browser_is_there_where_it_must_be() -> None:
    if not os.environ.get(MUST_HAVE):
        pytest.skip(f"{MUST_HAVE} is not set: without a browser its tests are skipped")
    assert CHROMIUM is not None, f"none of {', '.join(BROWSERS)} is there: apt-get install chromium"


def test_where_the_project_is_checked_it_must_be() -> None:
    assert f"{MUST_HAVE}=1" in (Path(__file__).parents[1] / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
class TestInABrowser:
    def test_it_looks_like_a_report(self, run: Path, tmp_path: Path) -> None:
        picture = screenshot(tmp_path, run / "report.html", 1200, 2400)
        assert picture.shape == (2400, 1200, 3)
        paper = picture[4, 4]
        assert paper.min() > 240
        inked = (np.abs(picture - paper).max(2) > 60).mean(1)  # share of every row that is not paper
        assert (inked[:700] > 0.2).sum() > 150  # the video and the tiles
        assert (inked > 0.3).sum() > 300  # film strips
        # nothing sticks out at the sides
        assert (np.abs(picture[:, :40] - paper).max(2) < 10).all()
        assert (np.abs(picture[:, -40:] - paper).max(2) < 10).all()

    def test_it_is_dark_where_people_want_it_dark(self, run: Path, tmp_path: Path) -> None:
        dark = screenshot(tmp_path, run / "report.html", 1200, 700, "--blink-settings=preferredColorScheme=0")
        assert dark[4, 4].max() < 40
        assert (dark[:260].min(2) > 200).mean() > 0.005  # the writing

    def test_it_fits_a_narrow_window(self, run: Path, tmp_path: Path) -> None:
        picture = screenshot(tmp_path, run / "report.html", 500, 1600)
        assert (np.abs(picture[:, -10:] - picture[4, 4]).max(2) < 10).all()

    def test_every_picture_and_the_video_load(self, run: Path, tmp_path: Path) -> None:
        probe = (run / "report.html").read_text().replace(
            "</body>",
            """<script>addEventListener("load", () => {
                const video = document.querySelector("video");
                const tell = () => { document.title = JSON.stringify({
                    pictures: [...document.images].map(each => each.naturalWidth),
                    seconds: video.duration, width: video.videoWidth,
                }); };
                video.readyState >= 1 ? tell() : video.addEventListener("loadedmetadata", tell);
            });</script></body>""",
        )  # fmt: skip
        (tmp_path / "probe.html").write_text(probe)
        dumped = chromium(tmp_path, "--dump-dom", (tmp_path / "probe.html").as_uri()).stdout
        found = re.search(r"<title>(.*?)</title>", dumped)
        assert found is not None
        loaded: dict[str, Any] = json.loads(found.group(1))
        assert len(loaded["pictures"]) == 4
        assert min(loaded["pictures"]) > 700
        assert loaded["width"] == 720
        assert loaded["seconds"] > 2
