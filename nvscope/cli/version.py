"""``nvscope version``."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

import typer

import nvscope

_REPORTED = ("bluesky", "numba", "numpy", "pymeasure", "pymmcore-plus", "pyvisa", "pyzmq", "zarr")


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def version() -> None:
        """Print the versions of nvscope and of what its results depend on."""
        print(f"nvscope {nvscope.__version__}")
        print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
        for name in _REPORTED:
            print(f"{name} {installed(name)}")
