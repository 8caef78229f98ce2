"""What is in one MCAP file, whole or cut: found by walking over its records from the front.

The summary at the end of a whole file is not needed, so that a killed file, which has none, is read in the
same way. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Schema
from mcap.stream_reader import get_chunk_data_stream
from numpy.typing import NDArray

from robolearn.errors import InputError

MAGIC = b"\x89MCAP0\r\n"

_HEAD = struct.Struct("<BQ")  # opcode, length
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_CHUNK = struct.Struct("<QQQII")  # start, end, uncompressed size, CRC, length of the compression's name
_RUN_BYTES = 2**22  # of messages outside chunks that are read in one go


@dataclass(frozen=True)
class Loss:
    """A part of a log that cannot be read: bytes (0 if nobody knows how many), and why."""

    file: str
    bytes: int
    reason: str


@dataclass(frozen=True)
class RawMessage:
    """A message as it stands in the file: times in ns."""

    channel: int
    sequence: int
    log_time: int
    publish_time: int
    data: bytes


@dataclass
class Block:
    """A chunk, or a run of messages outside chunks.

    Attributes:
        offset, length: of its records in the file, as they are stored.
        compression: "", "zstd" or "lz4".
        size: of its records [bytes].
        crc: of its records; 0 if unknown.
        times: log times of its messages [ns], by channel.
    """

    offset: int
    length: int
    compression: str = ""
    size: int = 0
    crc: int = 0
    times: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """The first log time [ns]."""
        return min(int(times.min()) for times in self.times.values())

    @property
    def end(self) -> int:
        """The last log time [ns]."""
        return max(int(times.max()) for times in self.times.values())


@dataclass
class LogFile:
    """An MCAP file.

    Attributes:
        path: of the file.
        whole: it has an end.
        schemas, channels: by their number in this file.
        blocks: that hold messages, in the order of the file.
        losses: what cannot be read.
    """

    path: Path
    whole: bool = False
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def read(self, block: Block) -> list[RawMessage]:
        """The messages of a block; none, and one more loss, if it is damaged."""
        try:
            with self.path.open("rb") as file:
                data = _block_data(file, block)
            return [_raw_message(body) for op, body in _records(data) if op == Opcode.MESSAGE]
        except (ValueError, struct.error, OSError) as error:
            self._lose(block.length, f"a chunk is damaged: {error}")
            return []

    def _lose(self, size: int, reason: str) -> None:
        loss = Loss(self.path.name, size, reason)
        if loss not in self.losses:
            self.losses.append(loss)


def scan(path: Path) -> LogFile:
    """Walk over a file.

    Raises:
        InputError: it is no MCAP file.
        OSError: it cannot be read.
    """
    found = LogFile(path)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        magic = file.read(len(MAGIC))
        if magic != MAGIC[: len(magic)]:
            raise InputError(f"{path} is no MCAP file: it begins with {magic!r}, not with {MAGIC!r}")
        if len(magic) < len(MAGIC):
            found._lose(size, "the file ends before its first record")
            return found
        _walk(file, size, found)
        if not found.whole or not all(block.times for block in found.blocks):
            _look_inside(file, found)
    _forget_unknown(found)
    return found


def _walk(file: BinaryIO, size: int, found: LogFile) -> None:
    position = len(MAGIC)
    while position < size:
        file.seek(position)
        head = file.read(_HEAD.size)
        op, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
        end = position + _HEAD.size + length
        if len(head) < _HEAD.size or end > size:
            found._lose(size - position, f"the file was cut: its last record, {_name(op)}, is not whole")
            return
        if op == 0:
            found._lose(size - position, "from some place on the file holds no records")
            return
        if op == Opcode.FOOTER:
            found.whole = file.read(length + len(MAGIC))[length:] == MAGIC
            if not found.whole:
                found._lose(size - end, "the file was cut in its last bytes")
            return
        try:
            _take(file, found, op, position, end)
        except (ValueError, struct.error, EndOfFile) as error:
            found._lose(end - position, f"a record, {_name(op)}, is damaged: {error}")
        position = end
    found._lose(0, "the file was cut: it has no end")


def _take(file: BinaryIO, found: LogFile, op: int, position: int, end: int) -> None:
    """Note a record from `position` to `end`; `file` stands behind its head."""
    length = end - position - _HEAD.size
    if op == Opcode.CHUNK:
        found.blocks.append(_chunk(file, position))
    elif op == Opcode.MESSAGE_INDEX and found.blocks:
        channel, times = _index(file.read(length))
        found.blocks[-1].times[channel] = times
    elif op == Opcode.MESSAGE:
        _extend_run(found, position, end, _raw_message(file.read(length)))
    elif op in (Opcode.SCHEMA, Opcode.CHANNEL):
        _declare(found, op, file.read(length))


def _look_inside(file: BinaryIO, found: LogFile) -> None:
    """Read every chunk of a file without index: what it declares, and what the index would tell."""
    for block in list(found.blocks):
        try:
            records = list(_records(_block_data(file, block)))
        except (ValueError, struct.error) as error:
            found._lose(block.length, f"a chunk is damaged: {error}")
            found.blocks.remove(block)
            continue
        times: dict[int, list[int]] = {}
        for op, body in records:
            if op == Opcode.MESSAGE:
                channel, _, log_time, _ = _MESSAGE.unpack_from(body)
                times.setdefault(channel, []).append(log_time)
            elif op in (Opcode.SCHEMA, Opcode.CHANNEL):
                _declare(found, op, bytes(body))
        block.times = {channel: np.array(values, np.int64) for channel, values in times.items()}


def _forget_unknown(found: LogFile) -> None:
    """Leave out messages whose topic or type the file does not declare, and blocks without messages."""
    known = {key for key, channel in found.channels.items() if channel.schema_id in found.schemas}
    unknown = 0
    for block in found.blocks:
        unknown += sum(len(times) for channel, times in block.times.items() if channel not in known)
        block.times = {
            channel: times for channel, times in block.times.items() if channel in known and len(times)
        }
    if unknown:
        found._lose(0, f"{unknown} messages belong to no topic, or to one without a type")
    found.channels = {key: channel for key, channel in found.channels.items() if key in known}
    found.blocks = [block for block in found.blocks if block.times]


def _chunk(file: BinaryIO, position: int) -> Block:
    """The chunk at `position`; `file` stands behind its record's head."""
    _, _, size, crc, name_length = _CHUNK.unpack(file.read(_CHUNK.size))
    compression = file.read(name_length).decode()
    (length,) = struct.unpack("<Q", file.read(8))
    return Block(position + _HEAD.size + _CHUNK.size + name_length + 8, length, compression, size, crc)


def _index(body: bytes) -> tuple[int, NDArray[np.int64]]:
    channel, length = struct.unpack_from("<HI", body)
    pairs = np.frombuffer(body, "<u8", length // 8, 6).reshape(-1, 2)
    return channel, pairs[:, 0].astype(np.int64)


def _extend_run(found: LogFile, position: int, end: int, message: RawMessage) -> None:
    last = found.blocks[-1] if found.blocks else None
    joins = last is not None and last.offset + last.length == position and last.length < _RUN_BYTES
    if last is None or not joins:
        last = Block(position, 0)
        found.blocks.append(last)
    last.length = last.size = end - last.offset
    times = last.times.get(message.channel, np.empty(0, np.int64))
    last.times[message.channel] = np.append(times, message.log_time)


def _declare(found: LogFile, op: int, body: bytes) -> None:
    stream = ReadDataStream(BytesIO(body))
    if op == Opcode.SCHEMA:
        schema = Schema.read(stream)
        found.schemas[schema.id] = schema
    else:
        channel = Channel.read(stream)
        found.channels[channel.id] = channel


def _block_data(file: BinaryIO, block: Block) -> bytes:
    file.seek(block.offset)
    data = file.read(block.length)
    if len(data) < block.length:
        raise ValueError(f"it has {len(data)} bytes, not {block.length}")
    chunk = Chunk(block.compression, data, 0, 0, block.crc, block.size)
    try:
        stream, size = get_chunk_data_stream(chunk, validate_crc=True)
    except Exception as error:  # of three libraries, each with its own kinds
        raise ValueError(str(error)) from error
    return stream.read(size)


def _records(data: bytes) -> Iterator[tuple[int, memoryview]]:
    view, position = memoryview(data), 0
    while position < len(data):
        op, length = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        if position + length > len(data):
            raise ValueError("a record in it is not whole")
        yield op, view[position : position + length]
        position += length


def _raw_message(body: bytes | memoryview) -> RawMessage:
    channel, sequence, log_time, publish_time = _MESSAGE.unpack_from(body)
    return RawMessage(channel, sequence, log_time, publish_time, bytes(body[_MESSAGE.size :]))


def _name(op: int) -> str:
    try:
        return f"a {Opcode(op).name.lower().replace('_', ' ')}"
    except ValueError:
        return "of an unknown kind"
