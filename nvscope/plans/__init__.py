"""The verbs sequences are made of, and how a plan is walked without hardware."""

from nvscope.plans.acquisition import find_lines, odmr_map
from nvscope.plans.autofocus import autofocus
from nvscope.plans.bench import ramp_vector, require_vector, set_light, take_images, turned, windows_across
from nvscope.plans.dry_run import PlannedStep, PlanSummary, dry_run
from nvscope.plans.odmr_settings import OdmrSettings, Windows
from nvscope.plans.residual import cancel_residual
from nvscope.plans.sequence import Sequence, find_sequence
from nvscope.plans.verbs import (
    announce,
    certify,
    change_temperature,
    elapsed,
    measure_resistance,
    ramp_field,
    resistance_point,
    screened,
)

__all__ = [
    "OdmrSettings",
    "PlanSummary",
    "PlannedStep",
    "Sequence",
    "Windows",
    "announce",
    "autofocus",
    "cancel_residual",
    "certify",
    "change_temperature",
    "dry_run",
    "elapsed",
    "find_lines",
    "find_sequence",
    "measure_resistance",
    "odmr_map",
    "ramp_field",
    "ramp_vector",
    "require_vector",
    "resistance_point",
    "screened",
    "set_light",
    "take_images",
    "turned",
    "windows_across",
]
