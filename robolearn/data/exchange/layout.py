"""Whether episodes fit together: every format wants the same arrays of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from robolearn.data.episode import Episode
from robolearn.data.store.layout import gaps_between, layout_of
from robolearn.errors import InputError


def fitting(episodes: Iterable[Episode]) -> Iterator[Episode]:
    """The episodes, one at a time, as long as each is valid and of the first one's layout.

    Raises:
        InputError: one does not fit (every gap is named), or there is none at all.
    """
    layout: dict[str, str] | None = None
    number = 0
    for episode in episodes:
        episode.validate()
        its_own = layout_of(episode)
        layout = layout or its_own
        if gaps := gaps_between(layout, its_own):
            differences = "\n".join(f"  {gap}" for gap in gaps)
            raise InputError(f"episode {number} does not fit the first one:\n{differences}")
        yield episode
        del episode  # before the next one is made: there is never more than one
        number += 1  # noqa: SIM113  # enumerate would keep it
    if layout is None:
        raise InputError("there are no episodes to write")
