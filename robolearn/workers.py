"""How the processes of a pool begin, so that none of them outlives who started it."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection


def begin_worker(line: Connection) -> None:
    """The initializer of a pool's processes: Ctrl-C is the parent's, and who is gone needs no work.

    Args:
        line: the reading end of a pipe (`Pipe(duplex=False)`) whose other end the parent alone has. When that
            is closed, as it is however the parent ends, the process ends at once, whatever it is at.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        line.poll(None)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
