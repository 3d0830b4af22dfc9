"""Transport: normal state, resistive transition, coupling, strain, arrays, vortex unbinding, critical fields."""

from nvscope.analysis.transport.arrays import (
    carrier_charge,
    field_oscillation,
    flux_period,
    low_temperature_residual,
    transition_steps,
)
from nvscope.analysis.transport.bkt import PowerLaw, bkt_temperature, power_law
from nvscope.analysis.transport.bloch_gruneisen import (
    NormalState,
    bloch_gruneisen_integral,
    fit_normal_state,
    saturated_resistance,
)
from nvscope.analysis.transport.critical_field import Anisotropy, critical_field, fit_anisotropy
from nvscope.analysis.transport.mcmillan import Coupling, coupling_constant, critical_temperature
from nvscope.analysis.transport.resistive_transition import (
    ResistiveTransition,
    fit_resistive_transition,
    five_percent_temperature,
    transition_resistance,
)
from nvscope.analysis.transport.williamson_hall import Strain, williamson_hall

__all__ = [
    "Anisotropy",
    "Coupling",
    "NormalState",
    "PowerLaw",
    "ResistiveTransition",
    "Strain",
    "bkt_temperature",
    "bloch_gruneisen_integral",
    "carrier_charge",
    "coupling_constant",
    "critical_field",
    "critical_temperature",
    "field_oscillation",
    "fit_anisotropy",
    "fit_normal_state",
    "fit_resistive_transition",
    "five_percent_temperature",
    "flux_period",
    "low_temperature_residual",
    "power_law",
    "saturated_resistance",
    "transition_resistance",
    "transition_steps",
    "williamson_hall",
]
