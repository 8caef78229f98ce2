"""Records beside whoever must not wait: a bounded queue, and a thread that writes."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from robolearn.hardware.recording.writer import Recorder

QUEUE_BYTES = 2**27
"""Two raw cameras of 640x480 at 30 Hz fill it in two seconds, joint states and torques in some minutes."""

SLOW = 1.0
"""Seconds in the queue after which the disk counts as slow."""

RETRY = 0.1
"""Seconds from a refusal of the disk to the next attempt."""

_Entry = tuple[int, float, str, int, int, bytes]  # ticket, when it came, and what Recorder.write takes


@dataclass(frozen=True)
class Status:
    """How recording goes.

    Attributes:
        trouble: why nothing can be written now, or "".
        lost: messages that were not recorded since the start, by topic.
        behind: bytes that wait in the queue.
    """

    trouble: str = ""
    lost: dict[str, int] = field(default_factory=dict)
    behind: int = 0


class RecorderThread:
    """Takes messages at once and writes them in a thread of its own.

    When the disk is full or slow the queue fills; pictures are given up first, and other messages only when
    no picture is left to make room. As soon as the disk takes data again recording goes on.
    """

    def __init__(
        self,
        recorder: Recorder,
        announce: Callable[[Status], None],
        flush_seconds: float = 0.5,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Begin to record.

        Args:
            recorder: belongs to the thread from now on.
            announce: called from another thread, at most once a second, when trouble comes, changes or goes,
                or when messages were lost; a disk that hangs does not keep it from being called.
            flush_seconds: time between two flushes [s].
            queue_bytes: memory for what waits.
        """
        self.recorder = recorder
        self._announce = announce
        self._flush_seconds = flush_seconds
        self._limit = queue_bytes
        self._condition = threading.Condition()
        self._pictures: deque[_Entry] = deque()
        self._others: deque[_Entry] = deque()
        self._picture_topics = {topic.name for topic in recorder.topics.values() if topic.is_picture}
        self._ticket = 0
        self._behind = 0
        self._lost: Counter[str] = Counter()
        self._trouble = ""
        self._closing = False
        self._done = threading.Event()
        self._patience = 0.0
        self._moved = time.monotonic()  # when the writing thread last showed that it does not hang
        self._in_hand: str | None = None  # topic of the message that it writes now
        self._threads = [
            threading.Thread(target=self._run, name="recorder", daemon=True),
            threading.Thread(target=self._watch, name="recorder watch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def write(self, topic: str, log_time: int, publish_time: int, data: bytes) -> bool:
        """Queue a message, as for `Recorder.write`; never waits for the disk.

        Returns False if it was lost.

        Raises:
            InputError: the log has no such topic, or a time is none.
        """
        self.recorder.check(topic, log_time, publish_time)
        with self._condition:
            picture = topic in self._picture_topics
            while self._behind + len(data) > self._limit and self._pictures and not picture:
                self._lose(self._pictures.popleft())
            self._ticket += 1
            entry = (self._ticket, time.monotonic(), topic, log_time, publish_time, data)
            self._behind += len(data)
            if self._behind > self._limit or self._closing:
                self._lose(entry)
                return False
            (self._pictures if picture else self._others).append(entry)
            self._condition.notify()
            return True

    def status(self) -> Status:
        """How recording goes, from any thread."""
        with self._condition:
            oldest = min((queue[0][1] for queue in (self._pictures, self._others) if queue), default=None)
            wait = time.monotonic() - oldest if oldest is not None else 0.0
            slow = f"the disk is slow: messages wait for {wait:.1f} s" if wait > SLOW else ""
            return Status(self._trouble or slow, dict(self._lost), self._behind)

    def close(self, patience: float = 5.0) -> Status:
        """Write what waits and end the log; gives up when nothing can be written for `patience` seconds.

        What could not be written counts as lost then, and `robolearn logs recover` makes the log whole.
        """
        with self._condition:
            self._patience = patience
            self._closing = True
            self._condition.notify()
        writer = self._threads[0]
        closed = time.monotonic()
        while writer.is_alive():
            writer.join(0.05)
            if writer.is_alive() and time.monotonic() - max(self._moved, closed) > patience + SLOW:
                self._give_up("the disk hangs")
                break
        self._done.set()
        self._threads[1].join()
        return self.status()

    def _lose(self, entry: _Entry) -> None:
        self._lost[entry[2]] += 1
        self._behind -= len(entry[5])

    def _take(self, wait: float) -> _Entry | None:
        """The message that came first, or None if none comes within `wait` seconds."""
        with self._condition:
            if not self._pictures and not self._others and not self._closing:
                self._condition.wait(max(wait, 0.0))
            queues = [queue for queue in (self._pictures, self._others) if queue]
            if not queues:
                return None
            entry = min(queues, key=lambda queue: queue[0][0]).popleft()
            self._behind -= len(entry[5])
            return entry

    def _run(self) -> None:
        try:
            self._write_all()
        except Exception as error:
            self._give_up(f"recording has ended: {error!r}")
            self.recorder.abandon()

    def _write_all(self) -> None:
        due = time.monotonic() + self._flush_seconds
        deadline: float | None = None  # once closing and in trouble
        while True:
            self._moved = time.monotonic()
            try:
                if self._trouble:
                    time.sleep(RETRY)
                    self.recorder.flush()
                    self._set_trouble("")
                entry = self._take(due - time.monotonic())
                if entry is not None:
                    self._in_hand = entry[2]
                    try:
                        self.recorder.write(*entry[2:])
                    finally:
                        self._in_hand = None
                elif self._closing:
                    self.recorder.close()
                    return
                if time.monotonic() >= due:
                    due = time.monotonic() + self._flush_seconds
                    self.recorder.flush()
                    self.recorder.sync()
            except OSError as error:
                self._set_trouble(f"the disk refuses: {error.strerror or error}")
                if self._closing:
                    deadline = deadline or time.monotonic() + self._patience
                    if time.monotonic() > deadline:
                        self._give_up(self._trouble)
                        self.recorder.abandon()
                        return

    def _set_trouble(self, trouble: str) -> None:
        with self._condition:
            self._trouble = trouble

    def _give_up(self, why: str) -> None:
        with self._condition:
            self._trouble, self._closing = why, True
            for queue in (self._pictures, self._others):
                while queue:
                    self._lose(queue.popleft())
            self._lost.update(self.recorder.waiting)
            self._lost.update([self._in_hand] if self._in_hand else [])

    def _watch(self) -> None:
        told = Status()
        while True:
            done = self._done.wait(1.0)
            now = self.status()
            if (bool(now.trouble), now.lost) != (bool(told.trouble), told.lost):
                self._announce(now)
                told = now
            if done:
                return
