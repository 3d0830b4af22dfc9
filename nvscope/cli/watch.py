"""``nvscope watch``: the live preview, the replay of a finished run, and pictures of either."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nvscope.cli.remote import AtOption, KeyOption, elsewhere
from nvscope.errors import ConfigError, NvscopeError

if TYPE_CHECKING:
    from nvscope.stream.control import RunInfo


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def watch(
        directory: Annotated[
            str | None,
            typer.Argument(help='Run directory to replay, its name or number, or "latest"; none watches what runs.'),
        ] = None,
        screenshot: Annotated[
            Path | None, typer.Option(help="Write a PNG of the window to this file and exit; needs no screen.")
        ] = None,
        run: Annotated[str | None, typer.Option("--run", help="Part of the name of the run to watch.")] = None,
        runs: Annotated[Path, typer.Option(help="Folder that holds the run directories.")] = Path("runs"),
        theme: Annotated[str | None, typer.Option(help='"dark" or "light"; as it was left if not given.')] = None,
        point: Annotated[int | None, typer.Option(help="Point to begin with; the last if not given.")] = None,
        tab: Annotated[str, typer.Option("--map", help="Map to begin with, e.g. s_ratio, b_z, status.")] = "s_ratio",
        size: Annotated[str, typer.Option(help="Size of the picture.")] = "1280x800",
        at: AtOption = None,
        key: KeyOption = None,
        process: Annotated[int | None, typer.Option(hidden=True, help="Process id of the run to watch.")] = None,
    ) -> None:
        """Watch a run: camera, maps, spectra, s(T), housekeeping, control. The run does not notice."""
        gui, methods = _gui()
        from nvscope.gui.model.quantities import BY_NAME
        from nvscope.store.layout import find_run

        if theme not in (None, "dark", "light"):
            raise ConfigError(f'--theme {theme}: "dark" or "light"')
        if tab not in BY_NAME:
            raise ConfigError(f"--map {tab}: one of {', '.join(BY_NAME)}")
        if at is not None and directory is not None:
            raise ConfigError(f"--at {at}: a run on another computer is watched, not replayed; leave {directory} out")
        watched = gui.Watch(
            directory=None if directory is None else find_run(directory, runs),
            wanted=_Wanted(run, process),
            elsewhere=None if at is None else elsewhere(at, key),
            mode=theme,
            size=_size(size),
            point=point,
            tab=tab,
        )
        if screenshot is not None:
            gui.take_picture(watched, methods, screenshot)
            print(screenshot)
            return
        raise typer.Exit(gui.watch(watched, methods, _launcher() if at is None else None))


class _Wanted:
    """Which runs to look at: those of a name, and that of a process before any other."""

    def __init__(self, name: str | None, process: int | None) -> None:
        self._name, self._process = name, process

    def __call__(self, info: RunInfo) -> bool:
        if self._process is not None and info.pid != self._process:
            return False
        self._process = None  # once it has been found; when it has ended others may follow
        return self._name is None or self._name in info.run


def _gui() -> tuple[Any, Any]:
    """Import the window; without Qt say how to get it."""
    try:
        from nvscope.cli.watch_methods import methods
        from nvscope.gui import app
    except ImportError as error:
        raise NvscopeError(
            f'the window needs PySide6 and pyqtgraph ({error}); install them with: pip install "nvscope[gui]"'
        ) from error
    return app, methods()


def _launcher() -> Any:
    from nvscope.cli.watch_launch import CommandLauncher

    return CommandLauncher()


def _size(text: str) -> tuple[int, int]:
    """Read ``"1280x800"``."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ConfigError(f'--size {text}: write it as WIDTHxHEIGHT, for example "1280x800"') from None
    if not (640 <= width <= 7680 and 400 <= height <= 4320):
        raise ConfigError(f"--size {text}: between 640x400 and 7680x4320")
    return width, height
