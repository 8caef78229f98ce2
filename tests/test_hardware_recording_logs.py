"""Logs are written, split, cut, read and recovered; other people's tools read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import SeekingReader
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from rosbags.typesys import get_types_from_msg

from robolearn.errors import InputError
from robolearn.hardware.recording import extra
from robolearn.hardware.recording import messages as types
from robolearn.hardware.recording.definitions import STORE, definition
from robolearn.hardware.recording.extra import require_logs
from robolearn.hardware.recording.logs_command import run_logs
from robolearn.hardware.recording.messages import encode
from robolearn.hardware.recording.qos import Qos, in_numbers
from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.recover import recover
from robolearn.hardware.recording.summary import summarize
from robolearn.hardware.recording.topics import EPISODE, MONITOR, REQUESTED, SENT, Topic, station_topics
from robolearn.hardware.recording.writer import Recorder
from robolearn.hardware.station import load_station
from robolearn.hardware.wire import EpisodeMark, JointState, MonitorStatus, Picture, TorqueRequest

STATE, CAMERA = "/joint_states", "/camera/image_raw"
TOPICS = (
    Topic(STATE, types.JOINT_STATE),
    Topic(REQUESTED, types.JOINT_STATE),
    Topic(SENT, types.JOINT_STATE),
    Topic(CAMERA, types.IMAGE, Qos(reliable=False)),
    Topic(MONITOR, types.DIAGNOSTICS),
    Topic(EPISODE, types.STRING, Qos(transient_local=True)),
)
START = 1_700_000_000_000_000_000
STEP = 5_000_000

Line = tuple[str, int, int, bytes]


def lines(seconds: float = 2.0, pixels: int = 16) -> Iterator[Line]:
    """A little episode: state and torque at 200 Hz, a camera at 20 Hz, marks at both ends."""
    yield EPISODE, START, START, encode(EpisodeMark(START, "begin", "e1", {"seed": 3}))
    names = ("a", "b")
    end = START
    for i in range(round(seconds * 200)):
        end = now = START + i * STEP
        state = JointState(now, names, np.array([i, 0.5]), np.zeros(2), np.zeros(2))
        yield STATE, now, now - 1000, encode(state)
        yield REQUESTED, now + 100, now, encode(TorqueRequest(now, names, np.array([i, np.nan])))
        if i % 10 == 0:
            image = np.full((pixels, pixels, 3), i % 256, np.uint8)
            yield CAMERA, now, now - 5_000_000, encode(Picture(now - 5_000_000, "front", image))
            yield MONITOR, now, now, encode(MonitorStatus(now, "passing", "shadow"))
    outcome = {"success": False, "reason": "dropped", "seconds": seconds}
    body = {"outcome": outcome, "judged_by": "predicate"}
    yield EPISODE, end + 200, end, encode(EpisodeMark(end, "end", "e1", body))


def record(directory: Path, content: list[Line], close: bool = True, **options: Any) -> Recorder:
    recorder = Recorder(directory, TOPICS, **options)
    for line in content:
        recorder.write(*line)
    if close:
        recorder.close()
    return recorder


def read(path: Path) -> list[Line]:
    return [(m.topic, m.log_time, m.publish_time, m.data) for m in Log(path).messages()]


def in_order(content: list[Line]) -> list[Line]:
    return sorted(content, key=lambda line: line[1])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    content = list(lines())
    record(tmp_path / "log", content)
    log = Log(tmp_path / "log")
    assert read(tmp_path / "log") == in_order(content)
    assert log.is_whole
    assert log.losses == []
    assert log.counts == {STATE: 400, REQUESTED: 400, SENT: 0, CAMERA: 40, MONITOR: 40, EPISODE: 2}
    states = [message.record() for message in log.messages([STATE])]
    assert [state.position[0] for state in states if isinstance(state, JointState)] == list(range(400))
    with pytest.raises(InputError, match=r"'/joint_state' .*did you mean"):
        next(log.messages(["/joint_state"]))


def test_the_same_messages_make_the_same_files(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        record(tmp_path / parent / "log", list(lines()), split_bytes=30_000)
    ours, theirs = (sorted((tmp_path / parent / "log").iterdir()) for parent in ("a", "b"))
    assert [file.name for file in ours] == [file.name for file in theirs]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(ours, theirs, strict=True))


def test_files_are_split_by_size(tmp_path: Path) -> None:
    content = list(lines())
    record(tmp_path / "log", content, split_bytes=30_000)
    files = sorted((tmp_path / "log").glob("*.mcap"))
    assert len(files) > 3
    assert max(file.stat().st_size for file in files) < 50_000  # the rest is definitions and index
    assert read(tmp_path / "log") == in_order(content)
    assert Log(tmp_path / "log").is_whole


def test_rosbags_reads_a_log(tmp_path: Path) -> None:
    content = list(lines())
    record(tmp_path / "log", content, split_bytes=30_000)
    with AnyReader([tmp_path / "log"]) as reader:
        got = [(connection.topic, time, bytes(data)) for connection, time, data in reader.messages()]
        offered = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}  # type: ignore[union-attr]
    assert sorted(got) == sorted((topic, time, data) for topic, time, _, data in content)
    assert offered[CAMERA].reliability.name == "BEST_EFFORT"
    assert offered[EPISODE].durability.name == "TRANSIENT_LOCAL"


def test_mcap_reads_a_log_by_its_index(tmp_path: Path) -> None:
    content = list(lines())
    record(tmp_path / "log", content)
    with (tmp_path / "log" / "log_0.mcap").open("rb") as stream:
        reader = SeekingReader(stream, validate_crcs=True)
        got = [(c.topic, m.log_time, m.publish_time, m.data) for _, c, m in reader.iter_messages()]
        summary = reader.get_summary()
        assert reader.get_header().profile == "ros2"
    assert sorted(got) == sorted(content)
    assert summary is not None
    for schema in summary.schemas.values():  # as a reader that has only this text understands it
        parsed = get_types_from_msg(schema.data.decode(), schema.name)
        assert parsed[schema.name][1] == STORE.fielddefs[schema.name][1]
    for channel in summary.channels.values():
        kind = summary.schemas[channel.schema_id].name
        assert channel.metadata["topic_type_hash"] == definition(kind).hash


def test_metadata_is_rosbag2s_of_version_8(tmp_path: Path) -> None:
    record(tmp_path / "log", list(lines()), split_bytes=30_000)
    data = yaml.safe_load((tmp_path / "log" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert data["version"] == 8
    assert data["storage_identifier"] == "mcap"
    assert data["message_count"] == 882 == sum(file["message_count"] for file in data["files"])
    assert data["starting_time"] == {"nanoseconds_since_epoch": START}
    assert data["relative_file_paths"] == [file["path"] for file in data["files"]]
    topic = data["topics_with_message_count"][3]
    assert topic["message_count"] == 40
    about = topic["topic_metadata"]
    assert about["type_description_hash"].startswith("RIHS01_")
    (profile,) = yaml.safe_load(about["offered_qos_profiles"])  # a text in the text, numbers for policies
    assert profile["reliability"] == 2
    assert profile["deadline"] == {"sec": 9223372036, "nsec": 854775807}


def test_metadata_is_there_from_the_start(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log", TOPICS)
    log = Log(tmp_path / "log")
    assert log.counts == {}
    assert log.metadata_counts == 0
    assert not log.is_whole
    recorder.close()
    assert Log(tmp_path / "log").is_whole


def test_a_log_without_end_is_read_up_to_the_last_flush(tmp_path: Path) -> None:
    content = list(lines())
    record(tmp_path / "log", content, close=False)
    got = read(tmp_path / "log")
    assert got == in_order(content)[: len(got)]
    assert content[-1][1] - got[-1][1] <= 0.5e9
    log = Log(tmp_path / "log")
    assert [loss.reason for loss in log.losses] == ["the file was cut: it has no end"]


@given(share=st.floats(0, 1))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_read_and_recovered(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    content = in_order(list(lines(0.5)))
    record(tmp_path / "log", content, flush_seconds=0.1)
    file = tmp_path / "log" / "log_0.mcap"
    whole = file.read_bytes()
    kept = round(share * len(whole))
    file.write_bytes(whole[:kept])
    log = Log(tmp_path / "log")
    got = read(tmp_path / "log")
    assert got == content[: len(got)]
    assert bool(log.losses) == (kept < len(whole))
    assert sum(loss.bytes for loss in log.losses) <= kept
    done = recover(tmp_path / "log")
    assert done.messages == len(got)
    assert file.read_bytes() == whole[:kept]
    again = Log(done.directory)
    assert again.is_whole
    assert read(done.directory) == got
    if got:
        with AnyReader([done.directory]) as reader:
            assert sum(1 for _ in reader.messages()) == len(got)


def test_damage_in_the_middle_costs_one_chunk(tmp_path: Path) -> None:
    content = in_order(list(lines()))
    record(tmp_path / "log", content)
    file = tmp_path / "log" / "log_0.mcap"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    log = Log(tmp_path / "log")
    got = list(log.messages())
    assert 0.5 * len(content) < len(got) < len(content)
    (loss,) = log.losses
    assert "crc validation failed" in loss.reason
    assert loss.bytes > 0


def test_zeros_at_the_end_are_no_records(tmp_path: Path) -> None:
    """Some file systems leave them after a power cut."""
    content = in_order(list(lines()))
    record(tmp_path / "log", content, close=False)
    file = tmp_path / "log" / "log_0.mcap"
    with file.open("ab") as stream:
        stream.write(bytes(5000))
    log = Log(file)
    assert "holds no records" in log.losses[0].reason
    assert log.losses[0].bytes == 5000
    assert sum(log.counts.values()) > 600


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    record(tmp_path / "log", list(lines()), split_bytes=30_000)
    (tmp_path / "log" / "log_1.mcap").unlink()
    log = Log(tmp_path / "log")
    assert [(loss.file, loss.reason) for loss in log.losses] == [("log_1.mcap", "the file is missing")]
    assert recover(tmp_path / "log", tmp_path / "new").messages == sum(log.counts.values())


@pytest.mark.parametrize("compression", list(CompressionType))
@pytest.mark.parametrize("shape", ["chunks", "no chunks", "no index"])
@pytest.mark.parametrize("end", [True, False])
def test_files_of_other_writers(tmp_path: Path, compression: CompressionType, shape: str, end: bool) -> None:
    file = tmp_path / "other.mcap"
    content = in_order(list(lines(0.2)))
    with file.open("wb") as stream:
        writer = Writer(
            stream,
            chunk_size=5000,
            compression=compression,
            use_chunking=shape != "no chunks",
            index_types=IndexType.NONE if shape == "no index" else IndexType.ALL,
        )
        writer.start("ros2")
        channels = {}
        for topic in TOPICS:
            text = definition(topic.type).text.encode()
            schema = writer.register_schema(topic.type, "ros2msg", text)
            channels[topic.name] = writer.register_channel(topic.name, "cdr", schema)
        for topic_name, log_time, publish_time, data in content:
            writer.add_message(channels[topic_name], log_time, data, publish_time)
        if end:
            writer.finish()
        else:
            writer.flush()
    assert read(file) == content
    assert Log(file).files[0].whole == end


def test_logs_of_rosbags_and_of_jazzy_are_recovered_for_humble(tmp_path: Path) -> None:
    """Names of policies, from metadata version 9 on, become numbers."""
    content = in_order(list(lines(0.1)))
    with BagWriter(tmp_path / "log", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            t.name: writer.add_connection(
                t.name, t.type, typestore=STORE, offered_qos_profiles=rosbags_profiles()
            )
            for t in TOPICS
        }
        for topic, time, _, data in content:
            writer.write(connections[topic], time, data)
    file = tmp_path / "log" / "log.mcap"
    file.write_bytes(file.read_bytes()[:-50])
    done = recover(tmp_path / "log")
    assert done.messages == len(content)
    about = yaml.safe_load((done.directory / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    text = about["topics_with_message_count"][0]["topic_metadata"]["offered_qos_profiles"]
    assert yaml.safe_load(text)[0]["durability"] == 1


def rosbags_profiles() -> list[Any]:
    from rosbags import interfaces as i

    never = i.QosTime(9223372036, 854775807)
    return [
        i.Qos(
            i.QosHistory.KEEP_LAST,
            1,
            i.QosReliability.RELIABLE,
            i.QosDurability.TRANSIENT_LOCAL,
            never,
            never,
            i.QosLiveliness.AUTOMATIC,
            never,
            False,
        )
    ]


def test_profiles_that_are_none_are_refused() -> None:
    assert in_numbers("") == ""
    assert in_numbers(Qos().text) == Qos().text
    with pytest.raises(InputError, match="quality of service 'x: 1'"):
        in_numbers("x: 1")


def test_a_summary_counts_gaps_and_episodes(tmp_path: Path) -> None:
    content = [line for line in lines() if not START + 1.0e9 < line[1] < START + 1.2e9]
    mark = EpisodeMark(START + 3_000_000_000, "begin", "e2")
    content.append((EPISODE, mark.stamp, mark.stamp, encode(mark)))
    record(tmp_path / "log", content)
    summary = summarize(Log(tmp_path / "log"))
    topics = {topic.name: topic for topic in summary.topics}
    assert (topics[STATE].gaps, round(topics[STATE].rate)) == (1, 200)
    assert topics[STATE].longest == pytest.approx(0.2)
    first, second = summary.episodes
    assert (first.name, first.duration) == ("e1", pytest.approx(1.995, abs=1e-3))
    assert (first.body["seed"], first.body["judged_by"]) == (3, "predicate")
    assert (second.name, second.begin, second.duration) == ("e2", 3.0, None)


def test_the_command_informs_and_recovers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "log", list(lines()), close=False)
    assert run_logs(["info", str(tmp_path / "log")]) == 0
    text = capsys.readouterr().out
    assert "not whole" in text
    assert "no end" in text
    assert run_logs(["recover", str(tmp_path / "log"), "--to", str(tmp_path / "new")]) == 0
    assert "messages" in capsys.readouterr().out
    record(tmp_path / "whole", list(lines()))
    assert run_logs(["info", str(tmp_path / "whole")]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("e1")]
    assert row.split()[-2:] == ["dropped", "predicate"]
    assert run_logs(["info", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"] is True
    assert run_logs(["recover", str(tmp_path / "new")]) == 0
    assert "nothing to recover" in capsys.readouterr().out
    with pytest.raises(InputError, match="is there already"):
        recover(tmp_path / "log", tmp_path / "new")


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Log(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no \.mcap file"):
        Log(tmp_path)
    (tmp_path / "x.mcap").write_bytes(b"hello world")
    with pytest.raises(InputError, match="is no MCAP file"):
        Log(tmp_path)
    with pytest.raises(InputError, match="is there already"):
        Recorder(tmp_path, TOPICS)
    with pytest.raises(InputError, match="each must stand there once"):
        Recorder(tmp_path / "log", (TOPICS[0], TOPICS[0]))
    with pytest.raises(InputError, match="foo/msg/Bar"):
        Recorder(tmp_path / "log", (Topic("/x", "foo/msg/Bar"),))
    assert not (tmp_path / "log").exists()
    recorder = Recorder(tmp_path / "log", TOPICS)
    with pytest.raises(InputError, match="'/x' is not recorded"):
        recorder.write("/x", 0, 0, b"")
    with pytest.raises(InputError, match="must be from 0 up"):
        recorder.write(STATE, -1, 0, b"")
    recorder.close()
    recorder.close()
    shutil.rmtree(tmp_path / "log")


def test_a_station_names_its_topics() -> None:
    station = load_station("sim")
    topics = {topic.name: topic for topic in station_topics(station)}
    assert topics[station.state.topic].type == types.JOINT_STATE
    assert [topics[camera.topic].is_picture for camera in station.cameras] == [True] * len(station.cameras)
    assert topics[EPISODE].qos.transient_local


def test_the_examples_of_the_manual_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "docs" / "logs.md").read_text()
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "2026-05-04-grasp", list(lines(0.2)))
    for indent, code in blocks:
        exec(compile(re.sub(f"^{indent}", "", code, flags=re.MULTILINE), "docs/logs.md", "exec"), {})


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    require_logs()
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mcap and rosbags: pip install 'robolearn\[logs\]'"):
        require_logs()


def test_words_need_neither_ros_nor_logs() -> None:
    """The monitor, which trusts nobody, says its state with them."""
    code = (
        "import sys, robolearn.hardware.recording.words\n"
        "print(*{'rosbags', 'mcap', 'cv2', 'torch', 'mujoco', 'numba'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
