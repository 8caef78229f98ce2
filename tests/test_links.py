"""The folders envs, hardware and policies at the top are links for readers, never packages of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
LINKS = ("envs", "hardware", "policies")


@pytest.mark.parametrize("name", LINKS)
def test_the_link_leads_into_the_package(name: str) -> None:
    assert (TOP / name).is_symlink()
    assert (TOP / name).resolve() == (TOP / "robolearn" / name).resolve()


@pytest.mark.parametrize("name", LINKS)
def test_importing_the_bare_name_names_the_right_one(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"ImportError: '{name}' is a link for readers: import robolearn.{name} instead" in done.stderr


@pytest.mark.parametrize("name", LINKS)
def test_the_package_imports_under_its_own_name(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import robolearn.{name}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
