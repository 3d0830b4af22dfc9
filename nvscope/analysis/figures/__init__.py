"""Publication-quality figures, drawn without a screen."""

from nvscope.analysis.figures.curves import transition_figure
from nvscope.analysis.figures.maps import error_map, field_maps, ratio_maps, single_map, tc_figure
from nvscope.analysis.figures.penetration import penetration_figure
from nvscope.analysis.figures.spectra import spectra_figure
from nvscope.analysis.figures.stress_and_remnant import remnant_figure, traction_figure
from nvscope.analysis.figures.style import house_style, save
from nvscope.analysis.figures.transport import transport_figure

__all__ = [
    "error_map",
    "field_maps",
    "house_style",
    "penetration_figure",
    "ratio_maps",
    "remnant_figure",
    "save",
    "single_map",
    "spectra_figure",
    "tc_figure",
    "traction_figure",
    "transition_figure",
    "transport_figure",
]
