"""NI X-series card: a counter clocks the sweep, a digital line gates the laser.

Talks through NI's own ``nidaqmx`` package, to a card in this computer or to one behind NI's gRPC device server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import grpc
import nidaqmx.errors
from nidaqmx.constants import AcquisitionType, Level, LineGrouping
from pydantic import Field

from nvscope.config import Frozen
from nvscope.devices.roles import Identity, Value
from nvscope.errors import InstrumentError, InstrumentTimeout
from nvscope.units import Seconds
from nvscope_drivers.ni_connection import Connection, open_connection

__all__ = ["NITiming", "NITimingSettings"]


_ANY_FAILURE = (nidaqmx.errors.Error, OSError, ValueError)
"""What closing a task may raise; the first error is the one to report."""


class NITimingSettings(Frozen):
    """What a rig file may say about the card."""

    device: str = Field(default="Dev1", description="name of the card in NI MAX; ignored when it is the address")
    counter: str = Field(default="ctr0", description="counter that makes the pulse train")
    terminal: str = Field(default="", description="where its pulses leave the card; empty for the counter's own pin")
    gate_line: str = Field(default="port0/line0", description="digital line of the laser's gate")
    gate_inverted: bool = Field(default=False, description="low opens the gate")
    idle_high: bool = Field(default=False, description="the train rests high; for receivers of falling edges")
    duty_cycle: float = Field(default=0.5, gt=0.0, lt=1.0, description="share of the period the pulse is high")
    timeout: Seconds = Field(default=5.0, description="longest a single call may take")


class NITiming:
    """The timing role on an NI card.

    Tasks have fixed names: a task that a process left behind on a gRPC server when it died is found by its name and
    cleared before a new one is made, so its counter and lines never stay reserved.
    """

    Settings: ClassVar[type[Frozen]] = NITimingSettings

    def __init__(self, connection: Connection, settings: NITimingSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._train: Any = None
        self._gate: Any = None
        self._rate = 0.0
        self._gate_open: bool | None = None

    @classmethod
    def connect(cls, address: str, settings: Frozen) -> NITiming:
        """Find the card; changes nothing on it.

        Parameters
        ----------
        address : str
            ``"grpc://HOST:PORT"`` of a gRPC device server, or the name of a card in this computer, ``"Dev1"``.
        settings : NITimingSettings
        """
        assert isinstance(settings, NITimingSettings)
        connection = open_connection(address, settings.device, settings.timeout)
        card = cls(connection, settings)
        try:
            card.identify()
        except BaseException:
            connection.close()
            raise
        return card

    # ------------------------------------------------------------------ every instrument

    def identify(self) -> Identity:
        """Ask the driver which card it is."""
        with self._speaking("identify"):
            device = self._connection.device()
            version = self._connection.driver_version()
            return Identity("National Instruments", str(device.product_type), f"{device.serial_num:08X}", version)

    def readings(self) -> Mapping[str, Value]:
        """Return the state of gate and train as far as this process has set them."""
        found: dict[str, Value] = {}
        if self._gate_open is not None:
            found["gate_open"] = self._gate_open
        if self._train is not None:
            found["train_done"] = self.train_done()
        return found

    def make_safe(self) -> None:
        """End any train, also one left behind by another process, and close the gate."""
        try:
            self._discard_train()
        finally:
            self.set_gate(False)

    def close(self) -> None:
        """Clear the tasks and hang up; the gate line stays as it is."""
        for task in (self._train, self._gate):
            if task is not None:
                with contextlib.suppress(*_ANY_FAILURE):
                    task.close()
        self._train = self._gate = None
        self._connection.close()

    # ------------------------------------------------------------------ the train

    def prepare_train(self, pulses: int, rate: float) -> None:
        """Prepare `pulses` pulses at `rate` (1/s)."""
        if pulses < 1 or not rate > 0:
            raise InstrumentError(f"{self._name}: cannot make {pulses} pulses at {rate:g} Hz")
        with self._speaking("prepare the pulse train"):
            if self._train is None:
                self._train = self._claim("train", self._add_counter(rate))
                self._rate = rate
            self._train.stop()
            if rate != self._rate:
                self._train.co_channels.all.co_pulse_freq = rate
                self._rate = rate
            self._train.timing.cfg_implicit_timing(sample_mode=AcquisitionType.FINITE, samps_per_chan=pulses)

    def _add_counter(self, rate: float) -> Callable[[Any], None]:
        def add(task: Any) -> None:
            channel = task.co_channels.add_co_pulse_chan_freq(
                f"{self._connection.device_name}/{self._settings.counter}",
                idle_state=Level.HIGH if self._settings.idle_high else Level.LOW,
                freq=rate,
                duty_cycle=self._settings.duty_cycle,
            )
            if self._settings.terminal:
                channel.co_pulse_term = f"/{self._connection.device_name}/{self._settings.terminal}"

        return add

    def start_train(self) -> None:
        """Send the prepared pulses."""
        with self._speaking("start the pulse train"):
            self._prepared().start()

    def train_done(self) -> bool:
        """Whether all pulses have been sent."""
        with self._speaking("ask for the pulse train"):
            return bool(self._prepared().is_task_done())

    def stop_train(self) -> None:
        """End the train and release the counter; harmless when none runs."""
        if self._train is not None:
            with self._speaking("stop the pulse train"):
                self._train.stop()

    def _prepared(self) -> Any:
        if self._train is None:
            raise InstrumentError(f"{self._name}: no pulse train has been prepared")
        return self._train

    def _discard_train(self) -> None:
        with self._speaking("end the pulse train"):
            task, self._train = self._train, None
            if task is None:
                task = self._connection.leftover(self._task_name("train"))
            if task is not None:
                task.close()

    # ------------------------------------------------------------------ the gate

    def set_gate(self, is_open: bool) -> None:
        """Open or close the laser's gate."""
        with self._speaking(f"{'open' if is_open else 'close'} the gate"):
            if self._gate is None:
                self._gate = self._claim("gate", self._add_gate)
            self._gate.write(is_open != self._settings.gate_inverted, auto_start=True)
            self._gate_open = is_open

    def _add_gate(self, task: Any) -> None:
        line = f"{self._connection.device_name}/{self._settings.gate_line}"
        task.do_channels.add_do_chan(line, line_grouping=LineGrouping.CHAN_PER_LINE)

    # ------------------------------------------------------------------ tasks and errors

    @property
    def _name(self) -> str:
        return f"NI card {self._connection.device_name} at {self._connection.address}"

    def _task_name(self, duty: str) -> str:
        resource = self._settings.counter if duty == "train" else self._settings.gate_line
        return f"nvscope {duty} {self._connection.device_name}/{resource}"

    def _claim(self, duty: str, configure: Callable[[Any], None]) -> Any:
        name = self._task_name(duty)
        leftover = self._connection.leftover(name)
        if leftover is not None:
            leftover.close()
        task = self._connection.task(name)
        try:
            configure(task)
        except BaseException:
            with contextlib.suppress(*_ANY_FAILURE):
                task.close()
            raise
        return task

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn NI's errors into ours; after one, tasks are made anew, because their state is not known."""
        try:
            yield
        except nidaqmx.errors.RpcError as error:
            self._train = self._gate = None
            if error.rpc_code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise InstrumentTimeout(
                    f"{self._name}: no answer within {self._settings.timeout:g} s when asked to {what}; "
                    "check the gRPC device server and its computer"
                ) from error
            raise InstrumentError(f"{self._name}: could not {what}: {error}") from error
        except nidaqmx.errors.Error as error:
            self._train = self._gate = None
            message = " ".join(str(error).split())
            raise InstrumentError(f"{self._name}: could not {what}: {message}") from error
