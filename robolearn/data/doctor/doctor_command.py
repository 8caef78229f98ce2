"""What `robolearn data doctor` does, and what it prints."""

from __future__ import annotations

from json import dumps
from pathlib import Path

from rich.console import Console
from rich.text import Text

from robolearn.data.doctor.examination import CHECKS, Examination, examine
from robolearn.data.doctor.groups import groups_of
from robolearn.data.doctor.page import write_page
from robolearn.data.store.store import Store
from robolearn.data.store.store_commands import StorePath
from robolearn.errors import InputError
from robolearn.files import check_writable
from robolearn.training.progress import Display

PAGE = "doctor.html"

STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def run_doctor(store: StorePath, page: Path | None = None, strict: bool = False, json: bool = False) -> int:
    """Look for what is wrong with the episodes of a store, and write a page about it with pictures.

    The exit status is 1 if there is an error: data from which one would learn something false.

    Args:
        store: the store's directory.
        page: the HTML file to write; if not given, doctor.html in the store's directory.
        strict: exit with 1 for warnings, too.
        json: print everything as JSON.
    """
    with Store.open(store) as opened:
        path = opened.path / PAGE if page is None else page
        try:
            check_writable(path.absolute().parent)
        except InputError as error:
            raise InputError(f"{error}: name another place for the page with --page") from error
        total = len(opened.episodes())
        with Display(total, "{:.0f}".format) as display:

            def tell(done: int, errors: int) -> None:
                display.update("episodes", done, f"{errors} errors")

            found = examine(opened, tell)
        write_page(opened, found, path)
    healthy = found.healthy(strict)
    if json:
        print(dumps({**found.to_dict(), "ok": healthy, "page": str(path)}, indent=2))
    else:
        _show(found, path)
    return 0 if healthy else 1


def _show(found: Examination, page: Path) -> None:
    console = Console(highlight=False)
    for group in groups_of(found.findings):
        head = Text(f"{group.severity:<8} ", STYLES[group.severity])
        head.append(f"{group.check}", "bold")
        if group.channel:
            head.append(f", {group.channel}")
        if group.many > 1:
            head.append(f": {group.many} episodes", "dim")
        console.print(head, soft_wrap=True)
        where = f"episode {group.worst.episode}: " if group.worst.episode is not None else ""
        console.print(Text(f"         {where}{group.worst.found}"), soft_wrap=True)
        console.print(Text(f"         {group.worst.remedy}", "dim"), soft_wrap=True)
    counts = ", ".join(f"{n} {severity}{'' if n == 1 else 's'}" for severity, n in found.counts.items())
    clean = len(CHECKS) - len({finding.check for finding in found.findings})
    console.print(
        f"{found.store}: {found.episodes} episodes, {found.steps} steps; {counts}; "
        f"{clean} of {len(CHECKS)} checks found nothing",
        soft_wrap=True,
        markup=False,
    )
    console.print(f"page: {page}", soft_wrap=True, markup=False)
