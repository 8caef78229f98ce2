"""What `colcon build` installs into a ROS 2 workspace; everybody else installs by pip from pyproject.toml.

The setuptools of Ubuntu 22.04 (Humble) is 59.6, which does not read metadata from pyproject.toml: name,
version and packages are said here, too. colcon installs no pip packages, so none are required here;
docs/deployment.md says what a node needs. On newer setuptools pyproject.toml goes first where both speak.
"""

import ast
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """The version in robolearn/__init__.py, read without importing it."""
    for statement in ast.parse((HERE / "robolearn" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__":
            return str(ast.literal_eval(statement.value))
    raise SystemExit("robolearn/__init__.py has no __version__")


setup(
    name="robolearn",
    version=version(),
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["robolearn", "robolearn.*"]),
    package_data={
        "robolearn": [
            "py.typed",
            "hardware/arms/*.yaml",
            "hardware/stations/*.yaml",
            "hardware/nodes/*.xml",
            "hardware/realities/*.yaml",
            "bundles/**/*",
            "training/templates/*",
            "improving/templates/*",
            "data/doctor/templates/*",
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/robolearn"]),
        ("share/robolearn", ["package.xml"]),
        ("share/robolearn/launch", sorted(glob("launch/*.py"))),
    ],
    zip_safe=False,
)
