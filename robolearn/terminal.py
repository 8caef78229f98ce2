"""What the commands share: reading the words after a command's name, and printing rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


def parse(name: str, target: Callable[..., Result], arguments: list[str], **options: Any) -> Result:
    """Call `target` (a function or a dataclass) with the parameters that `arguments` spell out.

    `name` is the subcommand, for the usage line; `options` go to `tyro.cli`. Exits with status 2 when the
    words do not fit, having printed why, and with 0 after `--help`.
    """
    import tyro

    config = (tyro.conf.FlagCreatePairsOff, *options.pop("config", ()))
    return tyro.cli(target, prog=f"robolearn {name}", args=arguments, config=config, **options)


def brief(value: Any, digits: int = 4) -> str:
    """A value of a configuration, or a sampled one, in a few words."""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {brief(entry, digits)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(brief(entry, digits) for entry in value)
    return "\N{EN DASH}" if value is None else str(value)


def print_table(rows: Sequence[Mapping[str, object]], json: bool = False) -> None:
    """Print rows with the same keys: columns aligned under their names, or a JSON list."""
    if json:
        from json import dumps

        print(dumps(list(rows), indent=2))
        return
    if not rows:
        return
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())
