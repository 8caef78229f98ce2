"""What `robolearn data doctor` prints, writes and returns."""

from __future__ import annotations

import base64
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robolearn.cli import main
from robolearn.data.doctor.illustrating import FRAMES
from robolearn.data.episode import Episode
from robolearn.data.store import Store
from robolearn.training.pool import Runner
from robolearn.training.rollout import EpisodeSpec
from tests.doctored import healthy, seeing
from tests.small_episodes import quick_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def stored(folder: Path, *episodes: Episode) -> Path:
    with Store.create(folder / "store") as store, store.group():
        for episode in episodes:
            store.add(episode, origin="log <7>", policy="teacher")
    return folder / "store"


def frozen() -> Episode:
    front = healthy(1).observations["front"].copy()
    front[20:40] = front[20]
    return seeing(healthy(1), front=front)


class Parsed(HTMLParser):
    """Whether a page's tags fit together, its text, and what it links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.sources: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_clean_store(folder: Path, capsys: pytest.CaptureFixture[str]):
    store = stored(folder, healthy(0), healthy(1))
    assert main(["data", "doctor", str(store), "--strict"]) == 0
    shown = capsys.readouterr().out
    assert "2 episodes, 120 steps; 0 errors, 0 warnings, 0 notes; 19 of 19 checks found nothing" in shown
    page = (store / "doctor.html").read_text()
    assert "Nothing is wrong with these episodes" in Parsed(page).text
    assert "None" not in Parsed(page).text
    with Store.open(store, write=True) as again:  # the page in it does not disturb
        assert again.add(healthy(2), origin="later")


def test_a_store_with_faults(folder: Path, capsys: pytest.CaptureFixture[str]):
    store, page = stored(folder, healthy(0), frozen()), folder / "pages" / "found.html"
    assert main(["data", "doctor", str(store), "--page", str(page)]) == 1
    shown = capsys.readouterr()
    assert "error    frozen picture, front" in shown.out
    assert "episode 2: camera front shows the same picture for 0.95 s from 1.00 s on" in shown.out
    assert "1 error, 0 warnings, 0 notes" in shown.out
    assert not (store / "doctor.html").exists()

    parsed = Parsed(page.read_text())
    assert "frozen picture" in parsed.text
    assert "log <7>" in parsed.text
    (picture,) = parsed.sources
    assert picture.startswith("data:image/png;base64,")
    film = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))))
    assert film.shape == (9, FRAMES * 12 + FRAMES - 1, 3)
    moments = [float(t) for t in re.findall(r"<span>([\d.]+) s</span>", page.read_text())]
    assert moments[0] == 0.9
    assert (film[:, :12] == frozen().observations["front"][18]).all()


def test_a_signal_is_drawn(folder: Path):
    q = healthy(0).observations["q"].copy()
    q[30:, 1] += 0.4
    store = stored(folder, seeing(healthy(0), q=q))
    assert main(["data", "doctor", str(store)]) == 1
    page = (store / "doctor.html").read_text()
    assert "q, elbow" in page
    assert "by dq, from the start" in page


def test_warnings_count_where_one_is_strict(folder: Path):
    still = seeing(healthy(0), gripper=np.full((61, 2), 0.04, np.float32))
    store = stored(folder, still)
    assert main(["data", "doctor", str(store)]) == 0
    assert main(["data", "doctor", str(store), "--strict"]) == 1


def test_everything_as_json(folder: Path, capsys: pytest.CaptureFixture[str]):
    store = stored(folder, healthy(0), frozen())
    assert main(["data", "doctor", str(store), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["counts"] == {"error": 1, "warning": 0, "note": 0}
    (finding,) = found["findings"]
    assert finding["check"] == "frozen picture"
    assert (finding["episode"], finding["channel"], finding["step"], finding["last"]) == (2, "front", 20, 39)
    assert found["page"] == str(store / "doctor.html")
    assert finding["check"] in found["checks"]
    assert sum(found["histograms"][0]["counts"]) == 2
    assert found["untold"] == {"swing": {}}


def test_an_episode_that_cannot_be_read(folder: Path, capsys: pytest.CaptureFixture[str]):
    store = stored(folder, healthy(0), healthy(1))
    shard = store / "shards" / "00000" / "observations.hand.npy"
    shard.write_bytes(shard.read_bytes()[:9000])
    assert main(["data", "doctor", str(store)]) == 1
    assert "unreadable episode" in capsys.readouterr().out
    assert "data verify" in (store / "doctor.html").read_text()


def test_what_is_no_store(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "doctor", str(folder / "none")]) == 2
    assert "there is no store" in capsys.readouterr().err
    assert main(["data", "doctor", str(folder)]) == 2
    assert "is no store" in capsys.readouterr().err
    Store.create(folder / "empty").close()
    assert main(["data", "doctor", str(folder / "empty")]) == 2
    assert "has no episodes" in capsys.readouterr().err
    assert not (folder / "empty" / "doctor.html").exists()


def test_a_store_of_another_version(folder: Path, capsys: pytest.CaptureFixture[str]):
    store = stored(folder, healthy(0))
    with sqlite3.connect(store / "manifest.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    assert main(["data", "doctor", str(store)]) == 2
    assert "version 9" in capsys.readouterr().err


def test_a_page_that_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]):
    store = stored(folder, healthy(0))
    (folder / "file").write_text("")
    assert main(["data", "doctor", str(store), "--page", str(folder / "file" / "page.html")]) == 2
    shown = capsys.readouterr().err
    assert "nothing can be written" in shown
    assert "--page" in shown


@pytest.mark.slow
@pytest.mark.parametrize("exploration", [0.0, 2.5])
def test_simulated_episodes_have_no_error(folder: Path, exploration: float):
    runner = Runner()
    changes = {"image_size": 32, "randomisation": "rich"}
    try:
        specs = [
            EpisodeSpec("grasp", changes, 1_000_000 + number, exploration=exploration) for number in range(4)
        ]
        store = stored(folder, *(runner(spec) for spec in specs))
    finally:
        runner.close()
    assert main(["data", "doctor", str(store)]) == 0
