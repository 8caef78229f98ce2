"""What `robolearn logs` does, and what it prints."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from robolearn.hardware.recording.reader import Log
from robolearn.hardware.recording.recover import recover
from robolearn.hardware.recording.summary import LogSummary, summarize

Bag = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BAG")]


def run_logs(arguments: list[str]) -> int:
    """Look into logs, and recover those that were killed."""
    return tyro.extras.subcommand_cli_from_dict(
        {"info": run_info, "recover": run_recover},
        prog="robolearn logs",
        description="Look into logs, and recover those that were killed.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def run_info(bag: Bag, json: bool = False) -> int:
    """Print what is in a log: topics, counts, gaps, episodes, and what cannot be read.

    Args:
        bag: a log's directory, or one .mcap file.
        json: print everything as JSON.
    """
    summary = summarize(Log(bag))
    if json:
        print(dumps(summary.to_dict(), indent=2))
    else:
        show_summary(summary)
    return 0


def run_recover(bag: Bag, to: Path | None = None) -> int:
    """Make a whole log of one that was killed, so that `ros2 bag` plays it; the original stays as it is.

    Args:
        bag: a log's directory, or one .mcap file.
        to: the new log's directory; BAG-recovered if not given.
    """
    if Log(bag).is_whole:
        print(f"{bag} is whole: there is nothing to recover")
        return 0
    done = recover(bag, to)
    for loss in done.losses:
        size = f" ({loss.bytes} bytes)" if loss.bytes else ""
        print(f"lost       {loss.file}: {loss.reason}{size}")
    print(f"recovered  {done.directory}, {done.messages} messages")
    return 0


def show_summary(summary: LogSummary) -> None:
    """Print a log's figures for people."""
    console = Console(highlight=False)
    state = "whole" if summary.whole else "not whole: `robolearn logs recover` makes it so"
    console.print(f"{summary.path}: {state}", markup=False, soft_wrap=True)
    console.print(
        f"{summary.duration:.1f} s, {summary.messages} messages, {summary.size / 1e6:.1f} MB in "
        f"{summary.files} file{'s' if summary.files != 1 else ''}"
    )
    for loss in summary.losses:
        console.print(f"lost: {loss}", markup=False, soft_wrap=True)
    topics = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("topic", "type", "messages", "Hz", "gaps", "longest s"):
        topics.add_column(name, justify="left" if name in ("topic", "type") else "right")
    for topic in summary.topics:
        figures = (f"{topic.messages}", f"{topic.rate:.1f}", f"{topic.gaps}", f"{topic.longest:.3f}")
        topics.add_row(topic.name, topic.type, *figures)
    console.print(topics)
    if summary.episodes:
        episodes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("episode", "begin s", "duration s", "outcome", "judged by"):
            episodes.add_column(name, justify="right" if name.endswith(" s") else "left")
        for episode in summary.episodes:
            duration = "no end" if episode.duration is None else f"{episode.duration:.1f}"
            outcome = episode.body.get("outcome")
            reason = outcome.get("reason", "") if isinstance(outcome, dict) else ""
            judge = str(episode.body.get("judged_by", ""))
            episodes.add_row(episode.name, f"{episode.begin:.1f}", duration, str(reason), judge)
        console.print(episodes)
