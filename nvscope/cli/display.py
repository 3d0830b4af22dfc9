"""The live display in the terminal: one block that is redrawn, or one line per step where there is no terminal."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nvscope.cli.plan import clock_text
from nvscope.stream.messages import RunStatus

_STATE_STYLE = {"running": "green", "paused": "yellow", "aborting": "yellow", "failed": "red", "aborted": "yellow"}


class Display:
    """Shows `RunStatus`; safe to update from any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=5, transient=False) if console.is_terminal else None
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._step = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop redrawing."""
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line above the display."""
        self._console.print(text, markup=False, highlight=False)

    def update(self, status: RunStatus) -> None:
        """Show the newest status."""
        with self._lock:
            if self._live is not None:
                self._live.update(render(status, time.monotonic() - self._started))
            elif status.step != self._step:
                self._step = status.step
                self.say(f"{time.monotonic() - self._started:6.1f} s  {line(status)}")


def line(status: RunStatus) -> str:
    """One line for logs."""
    shown = "  ".join(f"{name} {value}" for name, value in numbers(status) if value != "-")
    return f"{status.progress:4.0%}  {status.step}  [{shown}]"


def numbers(status: RunStatus) -> list[tuple[str, str]]:
    """What is shown, in everyday units; "-" where it is not known yet."""

    def show(name: str, form: str, scale: float = 1.0) -> str:
        value = status.values.get(name)
        return "-" if value is None else form.format(value * scale)

    eta = "-" if status.eta is None else clock_text(status.eta)
    return [
        ("T", show("temperature", "{:.2f} K")),
        ("H", show("field", "{:.2f} G", 1e4)),
        ("R", show("resistance", "{:.4g} ohm")),
        ("frames/s", show("frames_per_second", "{:.0f}")),
        ("fitted px/s", show("pixels_per_second", "{:.3g}")),
        ("median δB", show("b_err", "{:.3f} G", 1e4)),
        ("ETA", eta),
    ]


def render(status: RunStatus, elapsed: float) -> Group:
    """The block that is redrawn."""
    head = Text.assemble(
        (status.run, "bold"), "  ", (status.state, _STATE_STYLE.get(status.state, "")), f"  {clock_text(elapsed)}"
    )
    table = Table.grid(padding=(0, 3))
    shown = numbers(status)
    for _ in shown:
        table.add_column()
    table.add_row(*(Text(name, "dim") for name, _ in shown))
    table.add_row(*(Text(value, "bold") for _, value in shown))
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total=1.0, completed=status.progress, width=40), f"{status.progress:.0%}", status.step)
    return Group(head, bar, table)
