"""The card: its tasks, what they have reserved, its terminals, and the cables from them into the lab."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Hertz
from nvscope_simulators.nidaqmx_card import tables
from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.model import COUNTERS, CardModel
from nvscope_simulators.nidaqmx_card.wiring import Wiring
from nvscope_simulators.world.interface import World

if TYPE_CHECKING:
    from nvscope_simulators.nidaqmx_card.tasks import Task

MAX_TASKS = 128
_SUBSYSTEMS = {tables.AI: "ai", tables.AO: "ao", tables.DI: "di", tables.DO: "do"}


class NISettings(Frozen):
    """The card and its cables."""

    device: str = Field(default="Dev1", min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_\- ]*$")
    serial: int = Field(default=0x01D2A6F3, ge=0, lt=2**32)
    outputs: dict[str, str] = Field(
        default={"PFI12": "sweep"}, description="cables from terminals to the lab's trigger lines (ctr0 drives PFI12)"
    )
    inputs: dict[str, str] = Field(default={}, description="cables from the lab's trigger lines, by terminal")
    jumpers: dict[str, str] = Field(default={}, description="cables from terminal to terminal")
    analog_jumpers: dict[str, str] = Field(default={}, description='analog cables, input to output: { ai0 = "ao0" }')
    laser_gate: str = Field(default="port0/line0", description="the line that opens the laser's gate; empty for none")
    bandwidth: Hertz = Field(default=5e4, description="pulses per second the receivers follow")


class Card:
    """One card in the lab.

    Parameters
    ----------
    world : World
        Its trigger lines and laser gate are driven from here, at rig time.
    settings : NISettings
    """

    def __init__(self, world: World, settings: NISettings) -> None:
        self.world = world
        self.settings = settings
        self.timeline = world.timeline
        self.model = CardModel(settings.device)
        self.wiring = Wiring()
        self.tasks: dict[str, Task] = {}
        self.routes: set[tuple[str, str]] = set()
        self._owners: dict[str, Task] = {}
        self.volts: dict[str, float] = {}
        self._unnamed = itertools.count()
        self._spoiled, self._copies = 0, 1
        self._plug_cables()

    def _plug_cables(self) -> None:
        ports = self.world.ports
        for source, destination in self.settings.jumpers.items():
            self.wiring.connect(self.node(source), self.node(destination))
        for terminal, line in self.settings.outputs.items():
            self.wiring.watch(self.node(terminal), True, self._fire(line))
        for terminal, line in self.settings.inputs.items():
            ports.triggers.plug(line, self._pulse(self.node(terminal)))
        if self.settings.laser_gate:
            gate = self.node(self.settings.laser_gate)
            ports.laser.gate_open = self.wiring.level(gate)
            for level in (True, False):
                self.wiring.watch(gate, level, self._gate(level))

    def _fire(self, line: str) -> Callable[[int], None]:
        def send(_: int) -> None:
            copies = 1
            if self._spoiled:
                self._spoiled -= 1
                copies = self._copies
            for _ in range(copies):
                self.world.ports.triggers.fire(line)

        return send

    def spoil_pulses(self, count: int, copies: int) -> None:
        """Let each of the next `count` pulses on the cables arrive `copies` times."""
        self._spoiled, self._copies = count, copies

    def _pulse(self, node: str) -> Callable[[], None]:
        return lambda: self.wiring.pulse(node)

    def _gate(self, level: bool) -> Callable[[int], None]:
        def move(_: int) -> None:
            self.world.ports.laser.gate_open = level

        return move

    def node(self, name: str) -> str:
        """Return the electrical node of a terminal or of a digital line."""
        if "line" in name:
            return self.model.pin_of_line(self.model.physical(f"{self.model.device}/{name.removeprefix('/')}")[0])
        return self.model.terminal(name)

    def input_volts(self, channel: str) -> float:
        """Return the voltage at an analog input: of the output wired to it, or none."""
        short = channel.rpartition("/")[2]
        source = self.settings.analog_jumpers.get(short, short.removeprefix("_").removesuffix("_vs_aognd"))
        return self.volts.get(f"{self.model.device}/{source}", 0.0)

    # ------------------------------------------------------------------ tasks

    def new_name(self) -> str:
        """Return the name of a task that was given none."""
        return f"_unnamedTask<{next(self._unnamed):X}>"

    def task(self, name: str) -> Task:
        """Return a task by name.

        Raises
        ------
        DAQmxError
            -200088 if there is none.
        """
        try:
            return self.tasks[name]
        except KeyError:
            raise DAQmxError(Code.INVALID_TASK, Task_Name=name[:80]) from None

    def clear(self, task: Task) -> None:
        """Abort a task and forget it."""
        task.abort()
        for stream in list(task.streams.values()):
            stream.close()
        self.tasks.pop(task.name, None)

    def reset(self) -> None:
        """Abort every task, drop all routes, let all lines go low (a device reset)."""
        for task in list(self.tasks.values()):
            task.abort()
        for source, destination in list(self.routes):
            self.wiring.disconnect(source, destination)
        self.routes.clear()
        self.volts.clear()
        for line in self.model.lines:
            self.wiring.set(self.model.pin_of_line(line), False)

    # ------------------------------------------------------------------ resources

    def reserve(self, task: Task, resources: list[str]) -> list[str]:
        """Reserve all of them or none.

        Raises
        ------
        DAQmxError
            -50103 if another task has one of them.
        """
        for resource in resources:
            owner = self._owners.get(resource)
            if owner is not None and owner is not task:
                raise DAQmxError(Code.PAL_RESOURCE_RESERVED, Device=self.model.device, Task_Name=task.name)
        for resource in resources:
            self._owners[resource] = task
        return resources

    def release(self, resources: list[str]) -> None:
        """Give resources back."""
        for resource in resources:
            self._owners.pop(resource, None)

    def check_destination(self, text: str) -> str:
        """Return the full name of a terminal that a signal can be routed to.

        Raises
        ------
        DAQmxError
            -89121 for an unknown one, -89136 for one that is no output.
        """
        try:
            terminal = self.model.terminal(text)
        except DAQmxError:
            raise DAQmxError(
                Code.INVALID_ROUTING_DESTINATION_TERMINAL_NAME_ROUTING, Destination_Terminal=text[:80]
            ) from None
        if not terminal.rpartition("/")[2].startswith(("PFI", "RTSI")):
            raise DAQmxError(Code.ROUTE_NOT_SUPPORTED_BY_HW_ROUTING, Destination_Terminal=terminal)
        return terminal

    def onboard_clock(self, kind: int) -> str:
        """Return the terminal of the onboard sample clock of a subsystem."""
        group = _SUBSYSTEMS.get(kind)
        return f"/{self.model.device}/{group}/SampleClock" if group else ""

    def start_trigger(self, kind: int) -> str:
        """Return the terminal a subsystem's start trigger appears on."""
        group = _SUBSYSTEMS.get(kind)
        return f"/{self.model.device}/{group}/StartTrigger" if group else f"/{self.model.device}/counter start trigger"

    def counter_signal(self, counter: str, signal: str) -> str:
        """Return a counter's internal terminal, ``counter_signal("Dev1/ctr0", "InternalOutput")``."""
        number = int(counter.rpartition("ctr")[2])
        assert number < COUNTERS
        return f"/{self.model.device}/Ctr{number}{signal}"
