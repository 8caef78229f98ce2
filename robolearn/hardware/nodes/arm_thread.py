"""The thread that owns a simulated arm, for OpenGL wants it made, used and closed by one thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from robolearn.hardware.nodes.common import system
from robolearn.hardware.simulation import Message, SimulatedArm
from robolearn.hardware.wire import SECOND

SLICE = SECOND // 500
"""The thread never sleeps longer than that [ns]: what arrives meanwhile waits so long at most."""

PATIENCE = 60.0
"""A call to the thread that takes longer has failed [s]; compiling a scene takes seconds."""

Call = Callable[[SimulatedArm], Any]


class ArmThread:
    """Makes an arm, warms it up, and lets time pass at it from `begin` on, in step with the system's clock.

    Args:
        make: makes it.
        publish: called with every message when it arrives.
        watch: called with the arm after each piece of time.

    Attributes:
        failure: what went wrong, if anything did.
    """

    def __init__(
        self,
        make: Callable[[], SimulatedArm],
        publish: Callable[[Message], None],
        watch: Callable[[SimulatedArm], None],
    ) -> None:
        self._make, self._publish, self._watch = make, publish, watch
        self._calls: queue.SimpleQueue[tuple[Call, Future[Any]]] = queue.SimpleQueue()
        self._made: Future[None] = Future()
        self.failure: BaseException | None = None
        self._passing, self._stop = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="arm", daemon=True)
        self._thread.start()
        self._made.result()

    def call(self, function: Call) -> Any:
        """Let the thread call `function` with the arm, between two pieces of time; its answer."""
        return self._later(function).result(PATIENCE)

    def tell(self, function: Call) -> None:
        """The same where nobody waits for the answer; what goes wrong ends the node."""
        self._later(function).add_done_callback(self._note)

    def begin(self) -> None:
        """Everybody is ready to listen: time passes from now on."""
        self.call(self._begin)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(5.0)

    def _begin(self, arm: SimulatedArm) -> None:
        arm.skip(system())
        self._passing = True

    def _later(self, function: Call) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((function, future))
        return future

    def _note(self, done: Future[Any]) -> None:
        self.failure = self.failure or done.exception()

    def _run(self) -> None:
        try:
            arm = self._make()
            arm.warm_up()
        except BaseException as error:
            self._made.set_exception(error)
            return
        self._made.set_result(None)
        try:
            while not self._stop.is_set():
                wait = SLICE
                if self._passing:
                    for message in arm.advance(system()):
                        self._publish(message)
                    self._watch(arm)
                    wait = min(arm.next_arrival() - system(), SLICE)
                self._serve(arm, max(wait / SECOND, 0.0))
        except Exception as error:
            self.failure = error
        finally:
            arm.close()

    def _serve(self, arm: SimulatedArm, wait: float) -> None:
        """Do what was called for; wait for it so long [s] at most."""
        while True:
            try:
                function, future = self._calls.get(timeout=wait) if wait else self._calls.get_nowait()
            except queue.Empty:
                return
            wait = 0.0
            try:
                future.set_result(function(arm))
            except Exception as error:
                future.set_exception(error)
