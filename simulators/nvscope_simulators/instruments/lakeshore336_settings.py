"""What a rig file may say about a simulated Lake Shore Model 336."""

from __future__ import annotations

from pydantic import Field

from nvscope.config import Frozen
from nvscope.units import Amperes, Kelvin, Ohms, Seconds
from nvscope_simulators.instruments.lakeshore336_sensor import SensorSettings

__all__ = ["LakeShore336Settings"]


def _inputs() -> dict[str, SensorSettings]:
    return {
        "A": SensorSettings(world="sample", curve="CX-1050"),
        "B": SensorSettings(world="stage", curve="CX-1050"),
        "C": SensorSettings(world="platform", curve="DT-670"),
    }


class LakeShore336Settings(Frozen):
    """What a rig may say about its simulated Model 336."""

    serial: str = "LSA25QF"
    firmware: str = "2.9"
    inputs: dict[str, SensorSettings] = Field(default_factory=_inputs, description="sensor at each input, by letter")
    heater_resistance: Ohms = Field(default=25.0, description="heater at each output")
    max_current: Amperes = Field(default=1.732, description="user maximum current set at the front panel")
    control_period: Seconds = Field(default=0.25, description="rig time between two runs of the control law")
    setpoint: Kelvin = Field(default=0.0, description="setpoint of both loops at power-up")
    max_connections: int = Field(default=2, ge=1, description="clients served at once")
