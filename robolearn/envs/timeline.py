"""The wire in simulation: commands on their way to the arm, and moments on their way to the policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from robolearn.envs.commands import Command
from robolearn.envs.observing import Moment


class Timeline:
    """One episode's physics steps, and what happens at which of them.

    Observation k is made at control step k and shows the moment `moment_age` physics steps before: moments
    are kept when their time comes, and a delay of several control steps keeps several. The command given at
    control step k takes effect `command_age` physics steps later.

    Args:
        steps: physics steps in a control step.
        command_age, moment_age: the delays, in physics steps.
        waiting: the command before the first one arrives.
        look: gives the present as a moment.
    """

    def __init__(
        self, steps: int, *, command_age: int, moment_age: int, waiting: Command, look: Callable[[], Moment]
    ) -> None:
        self._steps, self._command_age, self._moment_age = steps, command_age, moment_age
        self._now = 0  # physics steps since the episode began
        self._active = waiting
        self._pending: deque[tuple[int, Command]] = deque()
        self._moments: deque[Moment] = deque()
        self._due = 0
        self._kept = 0
        while self._due == 0:
            self._keep(look)

    def step(self, command: Command, look: Callable[[], Moment]) -> None:
        """One control step, at whose beginning a command is given."""
        self._pending.append((self._now + self._command_age, command))
        end = self._now + self._steps
        while self._now < end:
            while self._pending and self._pending[0][0] <= self._now:
                self._active = self._pending.popleft()[1]
            until = min(end, self._due)
            if self._pending:
                until = min(until, self._pending[0][0])
            self._active.run(until - self._now)
            self._now = until
            if self._now == self._due:
                self._keep(look)

    def seen(self) -> Moment:
        """The moment that the next observation shows."""
        return self._moments.popleft()

    def _keep(self, look: Callable[[], Moment]) -> None:
        self._moments.append(look())
        self._kept += 1
        self._due = max(0, self._kept * self._steps - self._moment_age)
