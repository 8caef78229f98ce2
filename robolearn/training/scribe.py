"""Writing beside the learner: a thread of its own for files, so that learning never waits for a disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Say = Callable[[str], None]


class Scribe:
    """Does jobs that write files, one after another, in a thread.

    A job that fails with an OSError (the disk is full) ends nothing: that is announced once, and again when a
    job of that kind succeeds. Any other exception is a defect, and is raised by the next call here.

    Args:
        say: tells a person something; called from the thread.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._jobs: queue.Queue[tuple[str, Callable[[], None]] | None] = queue.Queue()
        self._failing: set[str] = set()
        self._defect: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="scribe", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Jobs not begun yet."""
        return self._jobs.qsize()

    def write(self, what: str, job: Callable[[], None]) -> None:
        """Do `job` soon; `what` names its kind in announcements, as a plural ("snapshots")."""
        self._raise_defect()
        self._jobs.put((what, job))

    def finish(self) -> None:
        """Wait until every job is done; none can be given afterwards."""
        self._jobs.put(None)
        self._thread.join()
        self._raise_defect()

    def _raise_defect(self) -> None:
        if self._defect is not None:
            defect, self._defect = self._defect, None
            raise defect

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            what, job = entry
            try:
                job()
            except OSError as error:
                if what not in self._failing:
                    self._failing.add(what)
                    why = error.strerror or error
                    self._say(f"{what} cannot be written ({why}); training goes on in memory")
            except Exception as error:
                self._defect = error
            else:
                if what in self._failing:
                    self._failing.discard(what)
                    self._say(f"{what} are written again")
