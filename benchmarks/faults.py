"""How long the arm is not safe after each thing that can go wrong, with real processes over ROS 2.

    python benchmarks/faults.py --rounds 5

Monitor, watchdog, simulated arm and policy run as processes of this computer; what goes wrong is in
tests/process_faults.py. Prints the worst of all rounds as a Markdown table, for docs/safety.md, and fails if
a bound is exceeded. It measures the computer, too: let nothing else run. Its load is printed at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from process_faults import CASES, STALE
from rehearsing import Finding, Rehearsal


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """Everybody is up, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        rehearsal = Rehearsal(Path(directory))
        try:
            yield rehearsal
        finally:
            rehearsal.close()


class Row(NamedTuple):
    """What came of something that went wrong several times.

    Attributes:
        name: what went wrong.
        ends: what the monitor did.
        times: each time until the arm was safe [s]; empty where it was all the time.
        bound: of these times [s].
        peak: largest torque that the arm received, as a share of its bound.
    """

    name: str
    ends: str
    times: list[float]
    bound: float
    peak: float

    @property
    def fails(self) -> bool:
        """Whether the arm received too much, or was not safe in time."""
        return not (self.peak <= 1.0 and all(time <= self.bound for time in self.times))

    def __str__(self) -> str:
        cells = ["", "", ""]
        if self.times:
            median, worst = np.quantile(self.times, [0.5, 1.0])
            cells = [f"{1e3 * value:.0f} ms" for value in (median, worst, self.bound)]
        return f"| {' | '.join([self.name, self.ends, *cells, f'{self.peak:.0%}'])} |"


def played(rounds: int) -> Iterator[Row]:
    """What goes wrong while the policy is played."""
    found: dict[str, list[Finding]] = {}
    with rehearsal() as all_of_it:
        all_of_it.bring_up()
        for turn in range(rounds):
            for name, case in CASES.items():
                found.setdefault(name, []).append(all_of_it.run(case))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    for name, case in CASES.items():
        harmless = case.ends in ("passing", "bounded")
        times = [] if harmless else [finding.took for finding in found[name]]
        ends = f"{case.ends}: `{case.cause}`" if case.cause else case.ends
        yield Row(name, ends, times, case.within, max(finding.peak for finding in found[name]))


def policys(rounds: int) -> Iterator[Row]:
    """What goes wrong with a policy's process."""
    with rehearsal() as all_of_it:
        all_of_it.processes.start("policy", policy="grasp")
        all_of_it.bring_up()
        for number, name in ((signal.SIGSTOP, "policy hangs"), (signal.SIGKILL, "policy killed")):
            times, peak = [], 0.0
            for _ in range(rounds):
                if "policy" not in all_of_it.alive():
                    all_of_it.processes.start("policy", policy="grasp")
                all_of_it.let_the_policy_act()
                all_of_it.wire.commands.clear()
                since = all_of_it.kill("policy", number)
                times.append(all_of_it.time_until("request_late", since))
                peak = max(peak, all_of_it.peak())
                if number is signal.SIGSTOP:
                    all_of_it.processes.signal("policy", signal.SIGCONT)
            yield Row(name, "holding: `request_late`", times, STALE, peak)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rows = [*played(rounds), *policys(rounds)]
    print("| what goes wrong | what the monitor does | safe after: median | worst | bound | peak torque |")
    print("|---|---|---|---|---|---|")
    print(*rows, sep="\n")
    print(f"\n{rounds} rounds; load of the computer {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    if failed := [row.name for row in rows if row.fails]:
        print(f"beyond the bound: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
