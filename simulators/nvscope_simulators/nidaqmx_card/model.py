"""The card itself: a PCIe-6363 of the X series; its channels, pins and terminals.

Names, numbers of lines and default counter terminals as in NI's X Series user manual; product number 0x7435 as listed
in the PCI ID database.
"""

from __future__ import annotations

from functools import cached_property

from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError
from nvscope_simulators.nidaqmx_card.names import expand

PRODUCT_TYPE = "PCIe-6363"
PRODUCT_NUMBER = 0x7435
PORTS = {"port0": 32, "port1": 8, "port2": 8}
COUNTERS = 4
ANALOG_INPUTS = 32
ANALOG_OUTPUTS = 4
MAX_TIMEBASE = 1e8
"""Fastest counter timebase (Hz)."""

COUNTER_OUTPUT_PIN = ("PFI12", "PFI13", "PFI14", "PFI15")
COUNTER_SOURCE_PIN = ("PFI8", "PFI3", "PFI0", "PFI5")
COUNTER_GATE_PIN = ("PFI9", "PFI4", "PFI1", "PFI6")

TIMEBASES = {"20MHzTimebase": 2e7, "100MHzTimebase": 1e8, "100kHzTimebase": 1e5, "10MHzRefClock": 1e7}

_COUNTER_SIGNALS = ("Source", "Gate", "Aux", "SampleClock", "ArmStartTrigger")
_SUBSYSTEM_SIGNALS = ("StartTrigger", "SampleClock", "PauseTrigger", "SampleClockTimebase")
_INTERNAL = (
    *TIMEBASES,
    *(f"Ctr{n}{signal}" for n in range(COUNTERS) for signal in _COUNTER_SIGNALS),
    *(f"Ctr{n}InternalOutput" for n in range(COUNTERS)),
    *(f"{group}/{signal}" for group in ("ai", "ao", "di", "do") for signal in _SUBSYSTEM_SIGNALS),
    "ai/ReferenceTrigger",
    "ai/ConvertClock",
    "ai/HoldCompleteEvent",
    "di/ReferenceTrigger",
    "ChangeDetectionEvent",
    "FrequencyOutput",
    "PairedCtrInternalOutput",
    "PairedCtrOutputPulse",
    "AnalogComparisonEvent",
    "WatchdogExpiredEvent",
)


class CardModel:
    """Names of everything on one card.

    Parameters
    ----------
    device : str
        Its name in the system, ``"Dev1"``.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.lines = [f"{device}/{port}/line{n}" for port, width in PORTS.items() for n in range(width)]
        self.ports = [f"{device}/{port}" for port in PORTS]
        self.counters = [f"{device}/ctr{n}" for n in range(COUNTERS)]
        self.frequency_output = f"{device}/freqout"
        self.analog_inputs = [f"{device}/ai{n}" for n in range(ANALOG_INPUTS)]
        self.internal_inputs = [f"{device}/_ao{n}_vs_aognd" for n in range(ANALOG_OUTPUTS)]
        self.analog_outputs = [f"{device}/ao{n}" for n in range(ANALOG_OUTPUTS)]
        pins = [f"PFI{n}" for n in range(16)] + [f"RTSI{n}" for n in range(8)] + ["APFI0", "APFI1"]
        self.terminals = [f"/{device}/{name}" for name in (*pins, *_INTERNAL)]

    @cached_property
    def _physical(self) -> dict[str, str]:
        every = (
            *self.lines,
            *self.ports,
            *self.counters,
            self.frequency_output,
            *self.analog_inputs,
            *self.internal_inputs,
            *self.analog_outputs,
        )
        return {name.lower(): name for name in every}

    @cached_property
    def _terminal(self) -> dict[str, str]:
        return {name.lower(): name for name in self.terminals}

    def check_device(self, name: str) -> None:
        """Refuse (-200220) a device that is not this one."""
        if name.strip("/ ").lower() != self.device.lower():
            raise DAQmxError(Code.INVALID_DEVICE_ID, Device_Specified=name[:80] or "(empty)")

    def physical(self, text: str) -> list[str]:
        """Return the canonical names of a list of physical channels.

        Raises
        ------
        DAQmxError
            -200220 for another device, -200170 for a channel the card does not have.
        """
        names = expand(text)
        if not names:
            raise DAQmxError(Code.PHYSICAL_CHAN_DOES_NOT_EXIST, Physical_Channel_Name="(empty)")
        found = []
        for name in names:
            device, _, channel = name.partition("/")
            self.check_device(device)
            known = self._physical.get(f"{self.device}/{channel}".lower())
            if known is None:
                raise DAQmxError(Code.PHYSICAL_CHAN_DOES_NOT_EXIST, Device=self.device, Physical_Channel_Name=name[:80])
            found.append(known)
        return found

    def port_lines(self, name: str) -> list[str]:
        """Return the lines of a port, or the line itself."""
        if name in self.ports:
            port = name.rpartition("/")[2]
            return [f"{name}/line{n}" for n in range(PORTS[port])]
        return [name]

    def terminal(self, text: str) -> str:
        """Return the full name of a terminal written ``/Dev1/PFI0``, ``Dev1/PFI0`` or ``PFI0``.

        Raises
        ------
        DAQmxError
            -200254 if there is none.
        """
        known = self._terminal.get(self.qualified(text).lower())
        if known is None:
            raise DAQmxError(Code.INVALID_TERM, Terminal=text[:80] or "(empty)", Device=self.device)
        return known

    def source(self, text: str) -> str:
        """Return the full name of a terminal that a signal is taken from.

        Raises
        ------
        DAQmxError
            -89120 if there is none.
        """
        try:
            return self.terminal(text)
        except DAQmxError:
            raise DAQmxError(Code.INVALID_ROUTING_SOURCE_TERMINAL_NAME_ROUTING, Source_Terminal=text[:80]) from None

    def timebase(self, text: str) -> str:
        """Return the terminal of a counter timebase; the onboard clock is the fastest one."""
        return self.terminal("100MHzTimebase" if text.strip().lower() in ("", "onboardclock") else text)

    def qualified(self, text: str) -> str:
        """Return a terminal's name with the device in front, its case as typed, whether there is one or not."""
        stripped = text.strip().lstrip("/")
        device = f"{self.device}/"
        short = stripped[len(device) :] if stripped.lower().startswith(device.lower()) else stripped
        return f"/{device}{short}"

    def pin_of_line(self, line: str) -> str:
        """Return the node a digital line drives: its PFI terminal on ports 1 and 2, the line itself on port 0."""
        _, port, number = line.rsplit("/", 2)
        index = int(number.removeprefix("line"))
        if port == "port1":
            return f"/{self.device}/PFI{index}"
        if port == "port2":
            return f"/{self.device}/PFI{index + 8}"
        return line
