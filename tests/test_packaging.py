"""What is installed beside the code: setup.py and pyproject.toml say it each, and all of it is there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def said_by_setup() -> list[str]:
    """The patterns of `package_data` in setup.py."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (data,) = (
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "package_data"
    )
    return list(ast.literal_eval(data)["robolearn"])


def said_by_pyproject() -> list[str]:
    """The same in pyproject.toml; Python 3.10 has no reader of TOML, and a list of texts is JSON."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^\[tool\.setuptools\.package-data\]\nrobolearn = (\[.*?\])$", text, re.M | re.S)
    assert found is not None
    return list(json.loads(found.group(1)))


def test_both_install_the_same_files() -> None:
    assert sorted(said_by_setup()) == sorted(said_by_pyproject())


def test_every_pattern_is_of_something() -> None:
    for pattern in said_by_setup():
        assert list((ROOT / "robolearn").glob(pattern)), pattern


def test_no_file_beside_the_code_is_forgotten() -> None:
    package = ROOT / "robolearn"
    said = {file for pattern in said_by_setup() for file in package.glob(pattern)}
    there = {file for file in package.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    beside = {file for file in there if file.suffix not in (".py", ".pyc", ".md")}
    assert {file.relative_to(package).as_posix() for file in beside - said} == set()
