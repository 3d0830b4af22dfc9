"""Simulated Lake Shore Model 336 temperature controller: four sensors, two heaters under PID control, ramps, zones.

Commands and formats follow chapter 6 of the Model 336 manual. Choices where it leaves room: heater output is linear in
power when it is displayed as power, in current when displayed as current; a ramp that is switched off stops where it
is; autotuning refuses, as the instrument does when its initial conditions are not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from nvscope_simulators.instruments.base import Session
from nvscope_simulators.instruments.lakeshore336_memory import (
    INPUTS,
    decimal,
    input_letter,
    integer,
    memory,
    six,
)
from nvscope_simulators.instruments.lakeshore336_output import HeaterOutput, HeaterSetup, parse_heater, parse_zone
from nvscope_simulators.instruments.lakeshore336_sensor import Sensor, SensorSettings
from nvscope_simulators.instruments.lakeshore336_settings import LakeShore336Settings
from nvscope_simulators.instruments.lakeshore_curves import curve_header, curve_point
from nvscope_simulators.instruments.scpi import (
    DATA_OUT_OF_RANGE,
    MISSING_PARAMETER,
    PARAMETER_NOT_ALLOWED,
    UNDEFINED_HEADER,
    Command,
    CommandError,
    LineSession,
    parse_mnemonic,
    split_units,
)
from nvscope_simulators.timeline import Event
from nvscope_simulators.world.interface import World

_COMPLETE, _EXECUTION, _COMMAND, _POWER_ON = 1, 16, 32, 128
_RANGES = {1: 3, 2: 3, 3: 1, 4: 1}
Arguments = tuple[str, ...]


class SimulatedLakeShore336:
    """The controller."""

    model: ClassVar[str] = "MODEL336"

    def __init__(self, world: World, settings: LakeShore336Settings) -> None:
        self.max_connections = settings.max_connections
        self._world = world
        self._settings = settings
        self.sensors = {
            letter: Sensor(world, settings.inputs.get(letter, SensorSettings(curve="none"))) for letter in INPUTS
        }
        self._memory = memory()
        self._outputs = self._new_outputs()
        self._voltage_modes = {3: (0, 0, 0), 4: (0, 0, 0)}
        self._voltage_ranges = {3: 0, 4: 0}
        self._limits = dict.fromkeys(INPUTS, 0.0)
        self._event_status = _POWER_ON
        self._masks = {"*ESE": 0, "*SRE": 0, "OPSTE": 0}
        self._tick: Event | None = None
        self._handlers = self._table()

    def _new_outputs(self) -> dict[int, HeaterOutput]:
        outputs = {}
        for number in (1, 2):
            outputs[number] = HeaterOutput(
                number, self._settings.heater_resistance, HeaterSetup(user_current=self._settings.max_current)
            )
            outputs[number].set_setpoint(self._settings.setpoint, self._now)
        return outputs

    @property
    def _now(self) -> float:
        return self._world.timeline.now

    # -- conversation

    def open_session(self) -> tuple[bytes, Session]:
        """Accept a connection; no banner."""
        return b"", LineSession(self.respond, on_overflow=lambda: self._note(_COMMAND))

    def respond(self, line: str) -> str | None:
        """Answer one line; queries chained with ``;`` are answered on one line."""
        replies = []
        for unit in split_units(line):
            try:
                reply = self._run(parse_mnemonic(unit.lstrip(": ")))
            except CommandError as error:
                self._note(_EXECUTION if error.code <= -200 else _COMMAND)
            else:
                if reply is not None:
                    replies.append(reply)
        return ";".join(replies) if replies else None

    def _note(self, bits: int) -> None:
        self._event_status |= bits

    def _run(self, command: Command) -> str | None:
        remembered = self._memory.get(command.header)
        if remembered is not None:
            if command.query:
                return remembered.get(command.arguments)
            remembered.set(command.arguments)
            return None
        handler = self._handlers.get((command.header, command.query))
        if handler is None:
            raise CommandError(*UNDEFINED_HEADER)
        least, most, run = handler
        if len(command.arguments) < least:
            raise CommandError(*MISSING_PARAMETER)
        if len(command.arguments) > most:
            raise CommandError(*PARAMETER_NOT_ALLOWED)
        return run(command.arguments)

    def _table(self) -> Mapping[tuple[str, bool], tuple[int, int, Callable[[Arguments], str | None]]]:
        """Handlers by (mnemonic, is a query), each with the least and most arguments it takes."""
        identity = f"LSCI,{self.model},{self._settings.serial}/#######,{self._settings.firmware}"
        heater, each = self._heater, self._each_input
        return {
            ("*IDN", True): (0, 0, lambda _: identity),
            ("*OPC", True): (0, 0, lambda _: "1"),
            ("*OPC", False): (0, 0, lambda _: self._note(_COMPLETE)),
            ("*WAI", False): (0, 0, lambda _: None),
            ("*TST", True): (0, 0, lambda _: "0"),
            ("*CLS", False): (0, 0, lambda _: self._clear()),
            ("*RST", False): (0, 0, lambda _: self._reset()),
            ("*ESR", True): (0, 0, lambda _: self._read_events()),
            ("*STB", True): (0, 0, lambda _: str(self._status_byte())),
            **{(name, True): (0, 0, self._mask_reader(name)) for name in self._masks},
            **{(name, False): (1, 1, self._mask_writer(name)) for name in self._masks},
            ("OPST", True): (0, 0, lambda _: str(self._operation())),
            ("OPSTR", True): (0, 0, lambda _: str(self._operation())),
            ("KRDG", True): (1, 1, lambda a: each(a, lambda s: six(s.kelvin()))),
            ("CRDG", True): (1, 1, lambda a: each(a, lambda s: six(s.kelvin() - 273.15))),
            ("SRDG", True): (1, 1, lambda a: each(a, lambda s: six(s.units()))),
            ("RDGST", True): (1, 1, lambda a: str(self._sensor(a[0]).status())),
            ("ALARMST", True): (1, 1, lambda a: "0,0" if input_letter(a[0]) else None),
            ("ALMRST", False): (0, 0, lambda _: None),
            ("MDAT", True): (1, 1, lambda a: self._sensor(a[0]).extremes()),
            ("MNMXRST", False): (0, 0, lambda _: self._reset_extremes()),
            ("TEMP", True): (0, 0, lambda _: six(296.2)),
            ("INNAME", True): (1, 1, lambda a: f"{self._sensor(a[0]).name:<15}"),
            ("INNAME", False): (2, 2, self._set_name),
            ("INCRV", True): (1, 1, lambda a: str(self._sensor(a[0]).curve_number)),
            ("INTYPE", True): (1, 1, lambda a: ",".join(str(n) for n in self._sensor(a[0]).type)),
            ("INTYPE", False): (6, 6, self._set_type),
            ("CRVHDR", True): (1, 1, lambda a: curve_header(integer(a[0], 1, 59))),
            ("CRVPT", True): (2, 2, lambda a: curve_point(integer(a[0], 1, 59), integer(a[1], 1, 200))),
            ("TLIMIT", True): (1, 1, lambda a: six(self._limits[input_letter(a[0])])),
            ("TLIMIT", False): (2, 2, self._set_limit),
            ("SETP", True): (1, 1, lambda a: self._setpoint(heater(a[0]))),
            ("SETP", False): (2, 2, self._set_setpoint),
            ("RAMP", True): (1, 1, lambda a: f"{heater(a[0]).ramp_on},{heater(a[0]).ramp_rate:05.1f}"),
            ("RAMP", False): (3, 3, self._set_ramp),
            ("RAMPST", True): (1, 1, lambda a: str(int(heater(a[0]).ramping(self._now)))),
            ("PID", True): (1, 1, lambda a: self._pid(heater(a[0]))),
            ("PID", False): (4, 4, self._set_pid),
            ("MOUT", True): (1, 1, lambda a: six(heater(a[0]).manual)),
            ("MOUT", False): (2, 2, self._set_manual),
            ("OUTMODE", True): (1, 1, self._get_mode),
            ("OUTMODE", False): (4, 4, self._set_mode),
            ("RANGE", True): (1, 1, self._get_range),
            ("RANGE", False): (2, 2, self._set_range),
            ("ZONE", True): (2, 2, self._get_zone),
            ("ZONE", False): (10, 10, self._set_zone),
            ("HTR", True): (1, 1, lambda a: f"{heater(a[0]).percent:+06.1f}"),
            ("HTRST", True): (1, 1, self._heater_status),
            ("HTRSET", True): (1, 1, lambda a: str(heater(a[0]).setup)),
            ("HTRSET", False): (5, 5, self._set_heater),
            ("AOUT", True): (1, 1, lambda a: "+000.0" if integer(a[0], 3, 4) else None),
            ("TUNEST", True): (0, 0, lambda _: "0,1,1,0"),
            ("RELAYST", True): (1, 1, lambda a: "0" if integer(a[0], 1, 2) else None),
            ("NETID", True): (0, 0, lambda _: "LSCI-336,local,00:40:9D:00:00:01,LSCI-336.local,LSCI-336"),
        }

    # -- status

    def _mask_reader(self, name: str) -> Callable[[Arguments], str]:
        return lambda _: f"{self._masks[name]:03d}"

    def _mask_writer(self, name: str) -> Callable[[Arguments], None]:
        return lambda arguments: self._masks.__setitem__(name, integer(arguments[0], 0, 255))

    def _clear(self) -> None:
        self._event_status = 0

    def _read_events(self) -> str:
        value, self._event_status = self._event_status, 0
        return f"{value:03d}"

    def _operation(self) -> int:
        """Return the operation register: bits sensor overload, ramp 2 done, ramp 1 done, new reading."""
        overload = any(sensor.present and sensor.status() for sensor in self.sensors.values())
        done = [not self._outputs[number].ramping(self._now) for number in (2, 1)]
        return overload << 1 | done[0] << 2 | done[1] << 3 | 16

    def _status_byte(self) -> int:
        byte = (32 if self._event_status & self._masks["*ESE"] else 0) | (
            128 if self._operation() & self._masks["OPSTE"] else 0
        )
        return byte | (64 if byte & self._masks["*SRE"] else 0)

    def _reset(self) -> None:
        for remembered in self._memory.values():
            remembered.forget()
        self._outputs = self._new_outputs()
        self._limits = dict.fromkeys(INPUTS, 0.0)
        self._control()

    # -- inputs

    def _sensor(self, text: str) -> Sensor:
        return self.sensors[input_letter(text)]

    def _each_input(self, arguments: Arguments, read: Callable[[Sensor], str]) -> str:
        if arguments[0] == "0":
            return ",".join(read(sensor) for sensor in self.sensors.values())
        return read(self._sensor(arguments[0]))

    def _reset_extremes(self) -> None:
        for sensor in self.sensors.values():
            sensor.reset_extremes()

    def _set_name(self, arguments: Arguments) -> None:
        self._sensor(arguments[0]).name = arguments[1].strip("\"'")[:15]

    def _set_type(self, arguments: Arguments) -> None:
        highs = (4, 1, 8, 1, 3)
        values = tuple(integer(text, 0, high) for text, high in zip(arguments[1:], highs, strict=True))
        self._sensor(arguments[0]).type = list(values)

    def _set_limit(self, arguments: Arguments) -> None:
        self._limits[input_letter(arguments[0])] = decimal(arguments[1], 0.0, 2000.0)

    # -- outputs

    def _heater(self, text: str) -> HeaterOutput:
        return self._outputs[integer(text, 1, 2)]

    def _setpoint(self, output: HeaterOutput) -> str:
        return six(self._in_units(output, output.setpoint(self._now)))

    def _in_units(self, output: HeaterOutput, kelvin: float) -> float:
        sensor = self._controlling(output)
        units = sensor.type[4] if sensor is not None else 1
        if units == 3 and sensor is not None and sensor.curve is not None:
            return sensor.curve.units(kelvin)
        return kelvin - 273.15 if units == 2 else kelvin

    def _controlling(self, output: HeaterOutput) -> Sensor | None:
        number = output.control_input()
        return self.sensors[INPUTS[number - 1]] if number else None

    def _set_setpoint(self, arguments: Arguments) -> None:
        output = self._heater(arguments[0])
        value = decimal(arguments[1], -1e6, 1e6)
        sensor = self._controlling(output)
        units = sensor.type[4] if sensor is not None else 1
        kelvin = value + 273.15 if units == 2 else value
        if units == 3 and sensor is not None and sensor.curve is not None:
            kelvin = sensor.curve.kelvin(value)
        if not 0 <= kelvin <= 2000:
            raise CommandError(*DATA_OUT_OF_RANGE)
        output.set_setpoint(kelvin, self._now)

    def _set_ramp(self, arguments: Arguments) -> None:
        on, rate = integer(arguments[1], 0, 1), round(decimal(arguments[2], 0.0, 100.0), 1)
        self._heater(arguments[0]).set_ramp(on, rate, self._now)

    def _pid(self, output: HeaterOutput) -> str:
        return f"{output.p:+07.1f},{output.i:+07.1f},{output.d:+07.1f}"

    def _set_pid(self, arguments: Arguments) -> None:
        output = self._heater(arguments[0])
        p, i, d = (
            decimal(text, low, high)
            for text, low, high in zip(arguments[1:], (0, 0, 0), (1000, 1000, 200), strict=True)
        )
        output.p, output.i, output.d = round(p, 1), round(i, 1), round(d, 1)

    def _set_manual(self, arguments: Arguments) -> None:
        self._heater(arguments[0]).manual = decimal(arguments[1], -100.0, 100.0)

    def _get_mode(self, arguments: Arguments) -> str:
        number = integer(arguments[0], 1, 4)
        if number > 2:
            return ",".join(str(value) for value in self._voltage_modes[number])
        output = self._outputs[number]
        return f"{output.mode},{output.input},{output.powerup}"

    def _set_mode(self, arguments: Arguments) -> None:
        number = integer(arguments[0], 1, 4)
        mode, source, powerup = (integer(text, 0, high) for text, high in zip(arguments[1:], (5, 4, 1), strict=True))
        if number > 2:
            self._voltage_modes[number] = (mode, source, powerup)
            return
        if mode > 3:
            raise CommandError(*DATA_OUT_OF_RANGE)
        output = self._outputs[number]
        output.mode, output.input, output.powerup = mode, source, powerup
        self._control()

    def _get_range(self, arguments: Arguments) -> str:
        number = integer(arguments[0], 1, 4)
        return str(self._voltage_ranges[number] if number > 2 else self._outputs[number].range)

    def _set_range(self, arguments: Arguments) -> None:
        number = integer(arguments[0], 1, 4)
        value = integer(arguments[1], 0, _RANGES[number])
        if number > 2:
            self._voltage_ranges[number] = value
            return
        output = self._outputs[number]
        if value == 0:
            output.switch_off()
        output.range = value
        self._control()

    def _get_zone(self, arguments: Arguments) -> str:
        return str(self._heater(arguments[0]).zones[integer(arguments[1], 1, 10) - 1])

    def _set_zone(self, arguments: Arguments) -> None:
        output, index = self._heater(arguments[0]), integer(arguments[1], 1, 10) - 1
        output.set_zone(index, parse_zone(arguments[2:]))

    def _heater_status(self, arguments: Arguments) -> str:
        output = self._heater(arguments[0])
        error, output.error = output.error, 0
        return str(error)

    def _set_heater(self, arguments: Arguments) -> None:
        self._heater(arguments[0]).setup = parse_heater(arguments[1:])
        self._deliver()

    # -- control

    def _control(self) -> None:
        """Start the control loop if something has to be controlled; heaters that are off are off at once."""
        self._deliver()
        if self._tick is None and any(output.active for output in self._outputs.values()):
            self._tick = self._world.timeline.after(self._settings.control_period, self._run_control)

    def _run_control(self) -> None:
        self._tick = None
        for letter, limit in self._limits.items():
            if limit and self.sensors[letter].kelvin() > limit:
                self._all_off()
        for output in self._outputs.values():
            if output.active:
                sensor = self._controlling(output)
                kelvin, status = sensor.measure() if sensor is not None else (0.0, 1)
                output.step(None if status else kelvin, self._now, self._settings.control_period)
        self._control()

    def _deliver(self) -> None:
        for number, output in self._outputs.items():
            self._world.ports.heaters.power[number] = output.power()

    def _all_off(self) -> None:
        for output in self._outputs.values():
            output.switch_off()
        self._voltage_ranges = dict.fromkeys(self._voltage_ranges, 0)

    # -- faults

    def set_coolant_low(self, *, low: bool) -> None:
        """Let the cryostat that this controller regulates run out of helium: nothing is cooled; or refill it."""
        self._world.ports.cooler.running = not low

    def set_heater_fault(self, number: int, fault: str) -> None:
        """Break heater `number`: ``"open"``, ``"short"``, ``"runaway"`` (full power while on) or ``"none"``."""
        output = self._outputs[number]
        output.broken = {"open": 1, "short": 2}.get(fault, 0)
        output.runaway = fault == "runaway"
        self._deliver()
