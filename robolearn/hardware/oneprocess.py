"""A whole deployment in one process, on a simulated clock: faster than real time, and bit for bit repeatable.

What a person does is a script: everything is put in its place when the arm is at rest, the authority is
raised, the episode begins as soon as the arm is home.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from robolearn.data.episode import Outcome
from robolearn.hardware.episodes import Phase
from robolearn.hardware.monitor.states import Authority, Mode
from robolearn.hardware.monitor.stopping import at_rest
from robolearn.hardware.station import Station
from robolearn.hardware.tally import Tally
from robolearn.hardware.together import Recorder, Together
from robolearn.hardware.wire import SECOND

if TYPE_CHECKING:
    from robolearn.policies.bundle import Bundle

PATIENCE = 30 * SECOND
"""An arm that is not home by then does not come any more [ns]."""

REST_PATIENCE = 2 * SECOND
"""Nobody waits longer for the arm to come to rest between two episodes [ns]."""


class OneProcess(Together):
    """A bundle deployed at the simulated arm, and a person who follows a script.

    Args:
        bundle: the policy.
        station: a simulated one; its cameras become those of the bundle's contract.
        authority: the level to which the person raises the authority.
        options: more arguments of `Together`.

    Raises:
        InputError: what `Together` raises.
    """

    def __init__(
        self,
        bundle: Bundle,
        station: Station,
        *,
        authority: Authority = Authority.AUTONOMOUS,
        **options: Any,
    ) -> None:
        super().__init__(bundle, station, **options)
        self._authority = authority

    def run_episode(self, seed: int) -> Outcome:
        """One episode, from tidying up to the verdict.

        Raises:
            RuntimeError: the arm does not get home, for the monitor does not let it; says why.
        """
        if self._promoted is not None:
            self._promoted.refresh()
        self._come_to_rest()
        self.arm.reset_episode(seed, self.now)
        self._grip = None
        self.episodes.start(seed)
        give_up = self.now + PATIENCE
        while self.episodes.phase is not Phase.WAITING:
            self.step()
            self._lead()
            if self.now > give_up or self.episodes.phase is Phase.IDLE:
                causes = ", ".join(sorted(self.tick.causes)) if self.tick else "nothing has happened"
                raise RuntimeError(f"the arm did not get home to begin an episode: {causes}")
        self._begin()
        while (result := self.episodes.result) is None:
            self.step()
        self.runner.end()
        self._thinking = None
        return self._tally.outcome(result, self.arm)

    def _come_to_rest(self) -> None:
        """Nobody reaches in while the arm moves: asked for nothing more, the monitor brings it to rest.

        One that floats without a controller is not waited for.
        """
        give_up, speed = self.now + REST_PATIENCE, self.station.monitor.hold.speed
        while self.tick is not None and self.tick.publish and self.now < give_up:
            reading = self.monitor.states.reading
            if reading is not None and at_rest(reading.dq, speed):
                return
            self.step()

    def _lead(self) -> None:
        """What a person does until the arm is home: reset what its being set elsewhere stopped, and allow."""
        if self.tick is None:
            return
        if self.tick.mode is Mode.STOPPED:
            self.monitor.reset(self.now, "script")
        elif self.tick.authority < self._authority:
            self.monitor.set_authority(self.now, self._authority, "script")

    def _begin(self) -> None:
        self.arm.begin_episode()
        self.runner.begin(self.now)
        self.runner.forget()
        self._tally = Tally(self.station.monitor.rate)
        self.episodes.ready(self.now)
        self._write_marks()


def run_episodes(
    bundle: Bundle,
    station: Station,
    seeds: Iterable[int],
    *,
    record: Recorder | None = None,
    **options: Any,
) -> list[Outcome]:
    """Deploy a bundle at the simulated arm for some episodes.

    Args:
        bundle: the policy.
        station: a simulated one.
        seeds: of the episodes, one after another.
        record: takes what a log holds.
        options: more arguments of `OneProcess`.

    Raises:
        InputError: what `OneProcess` raises.
        RuntimeError: the monitor does not let the arm begin.
    """
    process = OneProcess(bundle, station, record=record, **options)
    try:
        return [process.run_episode(seed) for seed in seeds]
    finally:
        process.close()
