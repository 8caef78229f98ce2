"""LeRobotDataset: its files as others write them, damaged or changed; statistics, videos, shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchanging import CONTRACT, flat_episode, rich_episode
from small_episodes import quick_folder, same

from robolearn.data.exchange import Told, open_dataset, write_dataset
from robolearn.data.exchange.lerobot import statistics, writing
from robolearn.data.exchange.lerobot.tables import TableReader, from_pictures, to_numbers
from robolearn.data.exchange.lerobot.video import VideoReader, VideoWriter
from robolearn.errors import InputError

EPISODES = [rich_episode(i, 3 + i) for i in range(3)]
TABLE, ROWS = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.front/chunk-000/file-000.mp4"


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


def rewrite(path: Path, edit: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(edit(pq.read_table(path)), path)


def tell(path: Path, **changes: Any) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    (path / "meta/info.json").write_text(json.dumps(info | changes))


def refused(path: Path, message: str, told: Told | None = None) -> None:
    with pytest.raises(InputError, match=message):
        list(open_dataset("lerobot", path, told))


# --- what is written


def test_the_files_are_where_lerobot_looks_for_them(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    files = {str(file.relative_to(folder / "d")) for file in (folder / "d").rglob("*") if file.is_file()}
    meta = {f"meta/{name}" for name in ("info.json", "stats.json", "tasks.parquet", "robolearn.parquet")}
    assert files == meta | {TABLE, ROWS}
    info = json.loads((folder / "d/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v3.0", 20, "two")
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 12, 1)
    assert info["video_path"] is None
    state = ["q.shoulder", "q.elbow", "gripper.0"]
    assert info["features"]["observation.state"] == {"dtype": "float32", "shape": [3], "names": state}
    assert info["features"]["action"]["names"] == ["shoulder", "elbow", "gripper"]
    assert info["features"]["observation.images.front"]["shape"] == [32, 48, 3]
    table = pq.read_table(folder / "d" / TABLE)
    assert set(table.column_names) == set(info["features"])
    assert pq.ParquetFile(folder / "d" / TABLE).num_row_groups == 3  # one an episode
    assert table["index"].to_pylist() == list(range(12))
    assert table["frame_index"].to_pylist() == [*range(3), *range(4), *range(5)]
    rows = pq.read_table(folder / "d" / ROWS).to_pylist()
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 3), (3, 7), (7, 12)]
    pandas = json.loads(pq.read_schema(folder / "d/meta/tasks.parquet").metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]


def test_statistics_are_those_of_all_frames(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    found = json.loads((folder / "d/meta/stats.json").read_text())
    sent = np.concatenate([episode.sent for episode in EPISODES])
    ours = found["complementary_info.sent"]
    for key, value in (
        ("min", sent.min(0)),
        ("max", sent.max(0)),
        ("mean", sent.mean(0)),
        ("std", sent.std(0)),
    ):
        np.testing.assert_allclose(ours[key], value)
    assert ours["count"] == [12]
    depth = np.concatenate([episode.observations["far"][:-1] for episode in EPISODES])
    np.testing.assert_allclose(found["observation.images.far"]["mean"], [[[depth.mean()]]], rtol=1e-5)
    # The request of the last step is NaN: only the others count.
    asked = np.concatenate([episode.requested[:-1] for episode in EPISODES])
    np.testing.assert_allclose(found["complementary_info.requested"]["max"], asked.max(0))


def test_statistics_of_pictures_are_exact() -> None:
    pictures = np.random.default_rng(0).integers(3, 250, (4, 5, 6, 3), np.uint8)
    ours, scaled = statistics.of_pictures(pictures), pictures / 255
    for key, value in (
        ("min", scaled.min((0, 1, 2))),
        ("max", scaled.max((0, 1, 2))),
        ("mean", scaled.mean((0, 1, 2))),
        ("std", scaled.std((0, 1, 2))),
        ("q50", np.quantile(scaled.reshape(-1, 3), 0.5, axis=0, method="inverted_cdf")),
    ):
        assert ours[key].shape == (3, 1, 1)
        np.testing.assert_allclose(ours[key].ravel(), value)
    nothing = statistics.of_numbers(np.full((3, 2), np.nan))
    assert nothing["mean"].tolist() == [0.0, 0.0]


def test_files_that_become_large_are_followed_by_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "DATA_BYTES", 10_000)
    monkeypatch.setattr(writing, "VIDEO_BYTES", 31 * 32 * 48 * 3)
    monkeypatch.setattr(writing, "CHUNK", 2)
    episodes = [rich_episode(i, 30) for i in range(6)]
    write_dataset("lerobot", episodes, folder / "d", video=True)
    assert len(list((folder / "d/data").rglob("*.parquet"))) == 6
    assert (folder / "d/data/chunk-002/file-001.parquet").exists()
    assert len(list((folder / "d/videos").rglob("*.mp4"))) == 3
    found = list(open_dataset("lerobot", folder / "d"))
    for ours, theirs in zip(episodes, found, strict=True):
        assert (ours.sent == theirs.sent).all()
        difference = np.abs(ours.observations["front"].astype(int) - theirs.observations["front"])
        assert difference.mean() < 6


# --- videos


def test_frames_of_a_video_come_in_any_order(folder: Path) -> None:
    shades = np.arange(0, 250, 10, dtype=np.uint8)
    pictures = np.broadcast_to(shades[:, None, None, None], (25, 32, 48, 3)).copy()
    for rate in (20.0, 29.97):
        writer = VideoWriter(folder / f"{rate}.mp4", 32, 48, rate)
        writer.add(pictures[:10])
        writer.add(pictures[10:])
        writer.close()
        assert writer.frames == 25
        reader = VideoReader(32, 48)
        for first, count in ((0, 25), (5, 3), (8, 2), (20, 5), (3, 1)):
            found = reader.take(folder / f"{rate}.mp4", first, count).mean((1, 2, 3))
            np.testing.assert_allclose(found, shades[first : first + count], atol=2)
        with pytest.raises(InputError, match="ends early"):
            reader.take(folder / f"{rate}.mp4", 20, 6)
        with pytest.raises(InputError, match=r"has frames of 48 x 32; info\.json says 32 x 48"):
            VideoReader(48, 32).take(folder / f"{rate}.mp4", 0, 1)


def test_pictures_of_an_odd_size_make_no_video(folder: Path) -> None:
    contract = CONTRACT.from_dict(CONTRACT.to_dict())
    camera = json.loads(json.dumps(contract.to_dict()["cameras"][0])) | {"width": 47}
    odd = contract.from_dict(contract.to_dict() | {"cameras": [camera]})
    episode = flat_episode(contract=odd)
    episode.observations["front"] = episode.observations["front"][:, :, :47].copy()
    with pytest.raises(InputError, match="pictures of 47 x 32 make no video"):
        write_dataset("lerobot", [episode], folder / "d", video=True)
    write_dataset("lerobot", [episode], folder / "d")
    assert same(next(iter(open_dataset("lerobot", folder / "d"))), episode)


def test_a_damaged_video_is_refused(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d", video=True)
    content = (folder / "d" / VIDEO).read_bytes()
    (folder / "d" / VIDEO).write_bytes(content[: len(content) // 2])
    refused(folder / "d", "file-000.mp4 (is no video, or it is damaged|ends early)")
    (folder / "d" / VIDEO).write_bytes(b"hello")
    refused(folder / "d", "is no video, or it is damaged")
    (folder / "d" / VIDEO).unlink()
    refused(folder / "d", "there is no video")


# --- what is damaged or changed


def test_half_a_dataset_is_refused(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    for file in (TABLE, ROWS, "meta/tasks.parquet", "meta/robolearn.parquet"):
        content = (folder / "d" / file).read_bytes()
        for part in (0.0, 0.3, 0.99):
            (folder / "d" / file).write_bytes(content[: int(part * len(content))])
            refused(folder / "d", f"{Path(file).name} is no parquet file, or it is damaged")
        (folder / "d" / file).write_bytes(content)
    assert len(list(open_dataset("lerobot", folder / "d"))) == 3


def test_files_that_are_missing_are_named(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    (folder / "d" / TABLE).rename(folder / "aside")
    refused(folder / "d", "there is no file .*file-000.parquet")
    (folder / "aside").rename(folder / "d" / TABLE)
    shutil.rmtree(folder / "d/meta/episodes")
    refused(folder / "d", "has no episodes: there is no parquet file below meta/episodes")
    (folder / "d/meta/info.json").write_text("{")
    refused(folder / "d", "info.json is damaged")
    (folder / "d/meta/info.json").unlink()
    refused(folder / "d", "is no LeRobotDataset: it has no meta/info.json")
    refused(folder / "nothing", "is no LeRobotDataset")


def test_what_the_dataset_says_of_itself_must_be_right(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    for change, message in (
        ({"codebase_version": "v2.1"}, r"LeRobotDataset v2\.1; this reads v3\.0 \(lerobot's own convert"),
        ({"total_episodes": 4}, "has 3 episodes in meta/episodes; meta/info.json says 4"),
        ({"fps": 0}, "fps is 0; it must be a finite number above 0"),
        ({"features": []}, r"features is \[\]; it must be a mapping"),
        ({"data_path": "{nothing}"}, "data_path is '{nothing}', and meta/episodes says"),
    ):
        shutil.copytree(folder / "d", folder / "e")
        tell(folder / "e", **change)
        refused(folder / "e", message)
        shutil.rmtree(folder / "e")


def test_a_dataset_of_ours_that_was_changed_is_refused_or_read_as_a_strangers(folder: Path) -> None:
    episodes = [flat_episode(i, 4) for i in range(3)]
    write_dataset("lerobot", episodes, folder / "d")

    def swapped(table: pa.Table) -> pa.Table:
        kept = ("episode_index", "index")
        turned = pa.concat_tables([table.slice(4, 4), table.slice(0, 4), table.slice(8)])
        for name in kept:
            turned = turned.set_column(turned.column_names.index(name), name, table[name])
        return turned

    rewrite(folder / "d" / TABLE, swapped)
    refused(folder / "d", "episode 0 is not the one that was exported: somebody changed the dataset")
    (folder / "d/meta/robolearn.parquet").unlink()
    found = list(open_dataset("lerobot", folder / "d", Told(contract=episodes[0].contract)))
    assert [len(episode) for episode in found] == [3, 3, 3]
    assert (found[0].observations["q"] == episodes[1].observations["q"][:-1]).all()


def test_frames_that_lack_a_column_or_stand_elsewhere_are_refused(folder: Path) -> None:
    write_dataset("lerobot", EPISODES, folder / "d")
    rewrite(folder / "d" / TABLE, lambda table: table.drop_columns(["observation.state"]))
    refused(folder / "d", "the frames lack 'observation.state'; they have")
    rewrite(folder / "d" / TABLE, lambda table: table.slice(1))
    refused(folder / "d", "does not hold episode 0 where meta/episodes says")
    rewrite(folder / "d" / TABLE, lambda table: table.slice(0, 1))
    refused(folder / "d", "ends early: 2 rows are missing")


# --- a stranger's


def strangers(path: Path, **columns: Any) -> None:
    """Two episodes of three frames, in two files, as v3.0 has them."""
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [2], "names": {"motors": ["a", "b"]}},
        "action": {"dtype": "float32", "shape": [2], "names": {"motors": ["a", "b"]}},
        "observation.image": {
            "dtype": "image",
            "shape": [3, 8, 10],
            "names": ["channels", "height", "width"],
        },
        "observation.images.far": {
            "dtype": "image",
            "shape": [8, 10, 1],
            "names": None,
            "info": {"is_depth_map": True, "depth_unit": "mm"},
        },
        "observation.grid": {"dtype": "float32", "shape": [2, 2], "names": None},
        "observation.said": {"dtype": "string", "shape": [1], "names": None},
        "next.success": {"dtype": "bool", "shape": [1], "names": None},
    }
    frames = [{"dtype": "int64", "shape": [1], "names": None}] * 4
    features |= dict(zip(("frame_index", "episode_index", "index", "task_index"), frames, strict=True))
    (path / "meta/episodes/chunk-000").mkdir(parents=True)
    rows = []
    for number in range(2):
        table = {
            "observation.state": [[float(number), float(step)] for step in range(3)],
            "action": [[1.0, 2.0]] * 3,
            "observation.image": [file(np.full((8, 10, 3), 10 * step, np.uint8)) for step in range(3)],
            "observation.images.far": [file(np.full((8, 10), 1500, np.uint16)) for _ in range(3)],
            "observation.grid": [[[1.0, 2.0], [3.0, 4.0]]] * 3,
            "observation.said": ["hm"] * 3,
            "next.success": [False, False, number == 1],
            "timestamp": pa.array([0.0, 0.1, 0.2], pa.float32()),
            "frame_index": [0, 1, 2],
            "episode_index": [number] * 3,
            "index": [3 * number + step for step in range(3)],
            "task_index": [number] * 3,
            **columns,
        }
        place = path / f"data/chunk-000/file-{number:03d}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), place)
        row = {"episode_index": number, "length": 3, "tasks": [f"task {number}"]}
        rows.append(row | {"data/chunk_index": 0, "data/file_index": number, "stats/action/mean": [1.0]})
    pq.write_table(pa.Table.from_pylist(rows), path / ROWS)
    tasks = {"task_index": [0, 1], "__index_level_0__": ["task 0", "task 1"]}
    pq.write_table(pa.table(tasks), path / "meta/tasks.parquet")
    info = {"codebase_version": "v3.0", "fps": 10, "robot_type": "so100", "total_episodes": 2}
    (path / "meta/info.json").write_text(json.dumps(info | {"features": features}))


def file(picture: np.ndarray) -> dict[str, Any]:
    return {"bytes": cv2.imencode(".png", picture)[1].tobytes(), "path": "frame.png"}


def test_a_strangers_dataset_is_read(folder: Path) -> None:
    strangers(folder / "d")
    dataset = open_dataset("lerobot", folder / "d")
    first, second = dataset
    assert (first.task, second.task) == ("task 0", "task 1")
    assert (first.contract.arm, first.contract.joints) == ("lerobot:so100", ("a", "b"))
    assert len(first) == 2
    assert second.observations["proprioception"].tolist() == [[1, 0], [1, 1], [1, 2]]
    assert first.observations["image"][:, 0, 0, 0].tolist() == [0, 10, 20]
    assert first.observations["far"].dtype == np.float32
    assert (first.observations["far"] == 1.5).all()  # metres
    assert first.observations["grid"].shape == (3, 2, 2)
    assert [episode.outcome.success for episode in (first, second)] == [False, True]
    np.testing.assert_allclose(first.stamps, [0, 0.1, 0.2], atol=1e-7)
    lost = {loss.thing: loss.why for loss in dataset.losses.all()}
    assert lost["observation.said"] == "left out: it is text"
    assert lost["reward"] == "zeros: the dataset has none"


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("observation.grid", [[[1.0]], [[1.0, 2.0]], [[1.0]]], "grid has rows of different lengths"),
        ("observation.grid", ["a", "b", "c"], "grid is of string, .*; it must be numbers"),
        ("action", [[1.0, None]] * 3, "action is of list<.*, and lacks 3 values"),
        ("action", [[1.0, 2.0], None, [1.0, 2.0]], "action has rows of different lengths"),
        ("observation.image", [{"bytes": b"no", "path": ""}] * 3, "image holds 2 bytes that are no picture"),
        (
            "observation.image",
            [{"bytes": None, "path": "x.png"}] * 3,
            "image holds no pictures but the names",
        ),
        ("observation.images.far", [{"bytes": b"no", "path": ""}] * 3, "far holds 2 bytes that are no depth"),
        ("task_index", [None, 0, 0], "task_index is of int64, and lacks 1 values"),
    ],
)
def test_a_strangers_columns_are_checked(folder: Path, key: str, values: list[Any], message: str) -> None:
    strangers(folder / "d", **{key: values})
    refused(folder / "d", message)


def test_pictures_of_different_sizes_are_refused(folder: Path) -> None:
    sizes = [file(np.zeros((8, 10 + step, 3), np.uint8)) for step in range(3)]
    strangers(folder / "d", **{"observation.image": sizes})
    refused(folder / "d", "observation.image has pictures of different sizes")


def test_a_table_is_read_in_pieces_of_any_length(folder: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 9, (300, 2))
    pq.write_table(pa.table({"x": [list(row) for row in numbers.tolist()]}), folder / "x.parquet")
    reader, done = TableReader(), 0
    for count in (1, 64, 63, 100, 72):
        found = to_numbers("x", reader.take(folder / "x.parquet", count)["x"])
        assert (found == numbers[done : done + count]).all()
        done += count
    with pytest.raises(InputError, match="ends early: 1 rows are missing"):
        reader.take(folder / "x.parquet", 1)


def test_pictures_are_kept_as_png_and_depth_as_tiff() -> None:
    rgb = from_pictures(np.zeros((1, 4, 4, 3), np.uint8))[0]["bytes"].as_py()
    depth = from_pictures(np.full((1, 4, 4), np.nan, np.float32))[0]["bytes"].as_py()
    assert rgb.startswith(b"\x89PNG")
    assert depth[:2] in (b"II", b"MM")
