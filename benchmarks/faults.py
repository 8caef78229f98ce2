"""How long the arm is not safe after each thing that can go wrong, with real processes over ROS 2.

    python benchmarks/faults.py --rounds 5

Monitor, watchdog, simulated arm and policy run as processes of this computer; what goes wrong is in
tests/process_faults.py. Prints the worst of all rounds as a Markdown table, for docs/safety.md, and fails if
a bound is exceeded. It measures the computer, too: let nothing else run.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from process_faults import CASES, STALE, Finding, Rehearsal


@contextmanager
def rehearsal() -> Iterator[Rehearsal]:
    """Everybody is up, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        rehearsal = Rehearsal(Path(directory))
        try:
            yield rehearsal
        finally:
            rehearsal.close()


def played(rounds: int) -> Iterator[tuple[str, str, float, float, float]]:
    """What goes wrong while the policy is played: name, end, worst time, its bound, peak."""
    found: dict[str, list[Finding]] = {}
    with rehearsal() as all_of_it:
        all_of_it.bring_up()
        for turn in range(rounds):
            for name, case in CASES.items():
                found.setdefault(name, []).append(all_of_it.run(case))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    for name, case in CASES.items():
        times = [finding.took for finding in found[name]]
        peak = max(finding.peak for finding in found[name])
        worst = math.nan if case.ends in ("passing", "bounded") else max(times, key=_nan_last)
        yield name, f"{case.ends}: `{case.cause}`" if case.cause else case.ends, worst, case.within, peak


def policys(rounds: int) -> Iterator[tuple[str, str, float, float, float]]:
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
            yield name, "holding: `request_late`", max(times), STALE, peak


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    failed = []
    print(
        f"| what goes wrong | what the monitor does | safe after, worst of {rounds} | bound | peak torque |"
    )
    print("|---|---|---|---|---|")
    for name, ends, worst, bound, peak in [*played(rounds), *policys(rounds)]:
        harmless = ends.split(":")[0] in ("passing", "bounded")
        if peak > 1.0 or not (harmless or worst <= bound):
            failed.append(name)
        times = "| | |" if harmless else f"| {1e3 * worst:.0f} ms | {1e3 * bound:.0f} ms |"
        print(f"| {name} | {ends} {times} {peak:.0%} |", flush=True)
    if failed:
        print(f"\nbeyond the bound: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
