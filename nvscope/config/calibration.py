"""What a calibration run found, as a file that later runs are given: ``nvscope run … --calibration RUN_DIR``.

Values of the rig file, and parameters of whatever maps, each with its uncertainty where it was measured. Nothing takes
them up by itself: a run uses the calibrations it is given, and writes down what it used.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from nvscope.config.files import load_toml, validate
from nvscope.config.models import Frozen
from nvscope.errors import ConfigError
from nvscope.units import Watts

FILE = "calibration.toml"
PARAMETERS = "parameters."
_SAME_POWER = 0.01
_IN_RIG = ("instruments.", "detector.")


class Value(Frozen):
    """One calibrated value."""

    key: str = Field(description="where it belongs: instruments.ROLE.settings.…, detector.… or parameters.…")
    value: str | float = Field(description="the value, with its unit")
    err: str | float | None = Field(default=None, description="1-σ uncertainty; none where it was chosen, not measured")
    laser_power: Watts | None = Field(default=None, description="holds at this laser power only")
    note: str = ""


class CalibrationFile(Frozen):
    """What one run found, and what it holds for."""

    run: str
    rig: str
    loading: str
    values: tuple[Value, ...] = Field(min_length=1)

    def toml(self) -> str:
        """Return it as text for a file."""
        lines = [
            f"# use it with: nvscope run SEQUENCE --calibration {FILE} (or the run directory)",
            *(f"{name} = {_quoted(getattr(self, name))}" for name in ("run", "rig", "loading")),
        ]
        for item in self.values:
            lines += ["", "[[values]]", f"key = {_quoted(item.key)}", f"value = {_quoted(item.value)}"]
            if item.err is not None:
                lines.append(f"err = {_quoted(item.err)}")
            if item.laser_power is not None:
                lines.append(f'laser_power = "{item.laser_power * 1e3:.6g} mW"')
            if item.note:
                lines.append(f"note = {_quoted(item.note)}")
        return "\n".join(lines) + "\n"

    @property
    def of_mapping(self) -> bool:
        """Whether it holds for one loading only: how bright and how strongly driven the NV centres are."""
        return any(item.key.startswith(PARAMETERS) for item in self.values)


def _quoted(value: str | float) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_calibration(path: Path) -> CalibrationFile:
    """Read a run directory's calibration, or the file itself.

    Raises
    ------
    ConfigError
        If there is none, or it does not say what such a file says.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(
            f"--calibration {path}: no {FILE} there; calibrate-field, calibrate-microwave and calibrate-exposure "
            "leave one in their run directory"
        )
    found = validate(CalibrationFile, load_toml(file), str(file))
    for place, item in enumerate(found.values):
        if not item.key.startswith((*_IN_RIG, PARAMETERS)):
            raise ConfigError(f"{file}: values.{place}.key: {item.key!r} is neither of the rig nor a parameter")
    return found


def check_belongs(calibrations: Iterable[CalibrationFile], rig: str, loading: str) -> None:
    """Raise `ConfigError` for a calibration of another rig, or of light and microwaves in another loading."""
    for one in calibrations:
        if one.rig != rig:
            raise ConfigError(f"--calibration {one.run}: is of rig {one.rig!r}, not of {rig!r}")
        if one.of_mapping and one.loading != loading:
            raise ConfigError(
                f"--calibration {one.run}: exposure and microwave power were found with loading {one.loading!r}; "
                f"calibrate again with {loading!r}"
            )


def calibrated_rig(described: Mapping[str, Any], calibrations: Iterable[CalibrationFile]) -> dict[str, Any]:
    """Return a rig file's content with the calibrated values in place; later calibrations override earlier ones.

    Raises
    ------
    ConfigError
        If the rig has no such instrument.
    """
    result: dict[str, Any] = copy.deepcopy(dict(described))
    for one in calibrations:
        for item in one.values:
            if item.key.startswith(PARAMETERS):
                continue
            *way, last = item.key.split(".")
            if way[0] == "instruments" and way[1] not in result.get("instruments", {}):
                raise ConfigError(f"--calibration {one.run}: this rig has no instrument {way[1]!r}")
            table = result
            for name in way:
                table = table.setdefault(name, {})
            table[last] = item.value
    return result


def calibrated_parameters(
    calibrations: Iterable[CalibrationFile], given: Container[str], laser_power: float
) -> dict[str, str | float]:
    """Return parameters of mapping at a laser power (W), by name, but for those `given` otherwise.

    Raises
    ------
    ConfigError
        If one is known at other laser powers, but not at this one.
    """
    found: dict[str, str | float] = {}
    elsewhere: dict[str, list[float]] = {}
    items = [item for one in calibrations for item in one.values if item.key.startswith(PARAMETERS)]
    for item in items:
        name, at = item.key.removeprefix(PARAMETERS), item.laser_power
        if name in given:
            continue
        if at is None or abs(at - laser_power) <= _SAME_POWER * at:
            found[name] = item.value
        else:
            elsewhere.setdefault(name, []).append(at)
    for name, powers in elsewhere.items():
        if name not in found:
            known = ", ".join(f"{power * 1e3:g} mW" for power in powers)
            raise ConfigError(
                f"--calibration: {name} is known at {known}, not at {laser_power * 1e3:g} mW; set laser_power to one "
                f"of them, or {name} too"
            )
    return found
