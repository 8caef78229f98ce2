"""Episodes get into a store once, all of them, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_logs import FRONT, Deployed, assert_same, deploy, edit_marks, read_log, spoil
from small_disk import small_disk

from robolearn.contract import Contract
from robolearn.data.importing import add, pool
from robolearn.data.importing.add import ADDED, LEFT, THERE, Imported, import_logs
from robolearn.data.importing.plan import Options, Plan, plan_log
from robolearn.data.importing.read import Report
from robolearn.data.store import Query, Store
from robolearn.data.store.verification import verify
from robolearn.errors import InputError
from robolearn.hardware.wire import SECOND, EpisodeMark


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("add") / "log", (0, 1, 2))


def plan(log: Path) -> Plan:
    return plan_log(log, Options())


def bring(store: Path, *logs: Path, workers: int = 1, **options: Any) -> Imported:
    return import_logs(logs, store, plan, workers, **options)


def contents(store: Path) -> list[str]:
    with Store.open(store) as opened:
        assert [problem for found in verify(opened) for problem in found] == []
        return [row.content for row in opened.episodes()]


def states(done: Imported) -> list[str]:
    return [state for state, _ in done.reports]


def test_an_import_fills_a_store(deployed: Deployed, tmp_path: Path) -> None:
    done = bring(tmp_path / "store", deployed.log)
    assert states(done) == [ADDED] * 3
    assert done.refused == done.notes == {}
    with Store.open(tmp_path / "store") as store:
        rows = store.episodes(Query(origin="log", policy="ball", success=True))
        assert len(rows) == 3
        for row, ((episode,), report) in zip(rows, read_log(deployed.log), strict=True):
            assert_same(store.load(row), episode)
            assert row.recorded == episode.info["began"] / SECOND
            assert len(row.calibration) == 64
            assert row.quality["parts"] == 1
            assert row.versions == episode.versions != {}
            assert report.steps == row.steps


def test_importing_twice_adds_nothing_and_reads_nothing(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path / "store", deployed.log)
    before = contents(tmp_path / "store")

    def never(job: Any) -> Any:
        raise AssertionError("it was read again")

    monkeypatch.setattr(pool, "read_episode", never)
    assert states(bring(tmp_path / "store", deployed.log, deployed.log)) == [THERE] * 6
    monkeypatch.undo()
    # by another name it has to be read, and is found to be the same
    copy = spoil(deployed.log, tmp_path / "copy", lambda message: [message])
    assert states(bring(tmp_path / "store", copy)) == [THERE] * 3
    assert contents(tmp_path / "store") == before


def test_several_processes_bring_the_same_in_the_same_order(deployed: Deployed, tmp_path: Path) -> None:
    bring(tmp_path / "one", deployed.log)
    done = bring(tmp_path / "two", deployed.log, workers=2)
    assert states(done) == [ADDED] * 3
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_interrupted_import_goes_on_where_it_was(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(add, "COMMIT_TIME", 0.0)
    told: list[str] = []

    def interrupt(state: str, report: Report) -> None:
        told.append(report.episode)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path / "store", deployed.log, tell=interrupt)
    assert len(contents(tmp_path / "store")) == 2  # what was told is there
    assert states(bring(tmp_path / "store", deployed.log)) == [THERE, THERE, ADDED]
    bring(tmp_path / "whole", deployed.log)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_what_was_read_and_not_committed_is_not_there(deployed: Deployed, tmp_path: Path) -> None:
    def interrupt(state: str, report: Report) -> None:
        raise AssertionError("told before it was committed")

    def broken(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "add", broken)
        with pytest.raises(KeyboardInterrupt):
            bring(tmp_path / "store", deployed.log, tell=interrupt)
    assert contents(tmp_path / "store") == []
    assert states(bring(tmp_path / "store", deployed.log)) == [ADDED] * 3


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from robolearn.data.importing import add
from robolearn.data.importing.plan import Options, plan_log
add.COMMIT_TIME = 0.0
add.import_logs([Path({log!r})], Path({store!r}), lambda log: plan_log(log, Options()), 1,
                lambda state, report: print(report.episode, flush=True))
"""


@pytest.mark.slow
def test_a_killed_import_goes_on_where_it_was(deployed: Deployed, tmp_path: Path) -> None:
    bring(tmp_path / "whole", deployed.log)
    store = tmp_path / "store"
    program = KILLED.format(tests=str(Path(__file__).parent), log=str(deployed.log), store=str(store))
    rng = np.random.default_rng(0)
    kills = 0
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        before = len(contents(store)) if store.exists() else 0
        process.stdout.readline()  # something happens from now on
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        after = contents(store)
        assert len(after) >= before
        if len(after) == 3:
            break
    assert kills > 0
    bring(store, deployed.log)
    assert contents(store) == contents(tmp_path / "whole")


def test_a_full_disk_leaves_the_store_as_it_was(deployed: Deployed, tmp_path: Path) -> None:
    one = spoil(deployed.log, tmp_path / "one", edit_marks(lambda m: m if m.episode.endswith("0") else None))
    bring(tmp_path / "store", one)
    before = contents(tmp_path / "store")
    assert len(before) == 1
    told: list[str] = []
    size = max(file.stat().st_size for file in (tmp_path / "store").rglob("*.npy"))
    with small_disk(size + 1000), pytest.raises(OSError, match="which is as before"):
        bring(tmp_path / "store", deployed.log, tell=lambda state, report: told.append(state))
    assert ADDED not in told
    assert contents(tmp_path / "store") == before
    assert ADDED in states(bring(tmp_path / "store", deployed.log))
    assert len(contents(tmp_path / "store")) == 3


def test_one_bad_log_keeps_nobody_out(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "bad.mcap").write_bytes(b"not a log at all")
    done = bring(tmp_path / "store", tmp_path / "bad.mcap", tmp_path / "nothing", deployed.log)
    assert states(done) == [ADDED] * 3
    assert list(done.refused) == [str(tmp_path / "bad.mcap"), str(tmp_path / "nothing")]
    assert "no MCAP file" in done.refused[str(tmp_path / "bad.mcap")]


def test_where_there_is_nothing_to_bring_no_store_is_made(deployed: Deployed, tmp_path: Path) -> None:
    done = bring(tmp_path / "store", tmp_path / "nothing")
    assert done.reports == []
    blind = spoil(deployed.log, tmp_path / "blind", lambda m: [] if m.topic == FRONT else [m])
    assert states(bring(tmp_path / "store", blind)) == [LEFT] * 3
    assert not (tmp_path / "store").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(InputError, match="other"):
        bring(tmp_path / "other", deployed.log)


def test_episodes_that_do_not_fit_the_store_are_left_out(deployed: Deployed, tmp_path: Path) -> None:
    bring(tmp_path / "store", deployed.log)
    before = contents(tmp_path / "store")

    def small(contract: Contract) -> Contract:
        cameras = tuple(
            replace(c, width=16, height=16, fx=c.fx / 2, fy=c.fy / 2, cx=7.5, cy=7.5)
            for c in contract.cameras
        )
        return replace(contract, cameras=cameras)

    options = Options(contract=small(deployed.contract))
    done = import_logs([deployed.log], tmp_path / "store", lambda log: plan_log(log, options), 1)
    assert states(done) == [LEFT] * 3
    assert "camera front: requires 32 x 32 rgb8, offered 16 x 16 rgb8" in done.reports[0][1].refused
    assert contents(tmp_path / "store") == before


def test_the_pieces_of_an_episode_are_committed_together(deployed: Deployed, tmp_path: Path) -> None:
    start = read_log(deployed.log)[0][0][0].info["began"]

    def edit(message: Any) -> list[Any]:
        lost = start + 0.3 * SECOND < message.log_time < start + 0.6 * SECOND
        return [] if message.topic == FRONT and lost else [message]

    log = spoil(deployed.log, tmp_path / "log", edit)
    done = bring(tmp_path / "store", log)
    assert [(state, report.parts) for state, report in done.reports] == [(ADDED, 2), (ADDED, 1), (ADDED, 1)]
    with Store.open(tmp_path / "store") as store:
        rows = store.episodes()
        assert [row.quality["parts"] for row in rows] == [2, 2, 1, 1]
        assert rows[0].quality["cut where observations are missing"] == 1
        assert [row.reason for row in rows[:2]] == ["cut", "success"]
    assert states(bring(tmp_path / "store", log)) == [THERE] * 3


def test_an_episode_that_was_half_written_is_not_brought_a_second_time(
    deployed: Deployed, tmp_path: Path
) -> None:
    """Its log was still being written when it was first imported."""
    third = read_log(deployed.log)[2][0][0].info["began"]

    def early(message: Any) -> list[Any]:
        return [message] if message.log_time < third + SECOND // 2 else []

    (tmp_path / "then").mkdir()
    unfinished = spoil(deployed.log, tmp_path / "then" / "log", early)
    first = bring(tmp_path / "store", unfinished)
    assert [(state, report.reason) for state, report in first.reports] == [
        (ADDED, "success"),
        (ADDED, "success"),
        (ADDED, "cut"),
    ]
    before = contents(tmp_path / "store")
    again = bring(tmp_path / "store", deployed.log)
    assert states(again) == [THERE, THERE, LEFT]
    assert "later here: one of the two is from a log that was not complete" in again.reports[2][1].refused
    assert contents(tmp_path / "store") == before
    assert states(bring(tmp_path / "store", unfinished)) == [THERE] * 3

    both = bring(tmp_path / "both", deployed.log, unfinished)
    assert states(both) == [ADDED] * 3 + [THERE, THERE, LEFT]
    assert len(contents(tmp_path / "both")) == 3
    assert "earlier here" in both.reports[-1][1].refused


def test_another_verdict_is_another_episode(deployed: Deployed, tmp_path: Path) -> None:
    def failed(mark: EpisodeMark) -> EpisodeMark:
        if mark.kind == "begin":
            return mark
        outcome = {**mark.body["outcome"], "success": False, "reason": "dropped"}  # type: ignore[dict-item]
        return replace(mark, body={**mark.body, "outcome": outcome})

    bring(tmp_path / "store", deployed.log)
    judged_anew = spoil(deployed.log, tmp_path / "log", edit_marks(failed))
    assert states(bring(tmp_path / "store", judged_anew)) == [ADDED] * 3


def test_a_worker_that_dies_is_told(
    deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_read", _die)
    with pytest.raises(OSError, match="was killed"):
        bring(tmp_path / "store", deployed.log, workers=2)
    assert not (tmp_path / "store").exists()


def _die(job: Any) -> Any:
    os._exit(1)
