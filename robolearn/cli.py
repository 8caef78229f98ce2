"""The command `robolearn`: it parses and calls."""

from __future__ import annotations


def main() -> int:
    raise SystemExit("not yet")
