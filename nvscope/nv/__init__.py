"""NV physics: constants, Hamiltonian, stress coupling and line inversion, as pure functions."""

from nvscope.nv.constants import (
    BARSON_2017,
    GAMMA,
    HSIEH_2019,
    SUSCEPTIBILITIES,
    StressSusceptibility,
    susceptibility,
)
from nvscope.nv.expected import expected_center, expected_half_splitting, line_windows, window_frequencies
from nvscope.nv.hamiltonian import Lines, hamiltonian, transitions
from nvscope.nv.inversion import PairInversion, field_from_half_splitting, invert_pair
from nvscope.nv.stress import (
    GROUP_AXES,
    GROUP_FRAMES,
    StressCoupling,
    crystal_rotation,
    group_lines,
    in_group_frames,
    miscut_rotation,
    rotate_tensor,
    stress_coupling,
)
from nvscope.nv.stress_lines import StressLines, coupling_matrix, six_numbers, stress_lines, tensor
from nvscope.nv.temperature import zero_field_splitting
from nvscope.nv.traction import PairObservation, StressFit, fit_stress, stress_from_splittings, traction

__all__ = [
    "BARSON_2017",
    "GAMMA",
    "GROUP_AXES",
    "GROUP_FRAMES",
    "HSIEH_2019",
    "SUSCEPTIBILITIES",
    "Lines",
    "PairInversion",
    "PairObservation",
    "StressCoupling",
    "StressFit",
    "StressLines",
    "StressSusceptibility",
    "coupling_matrix",
    "crystal_rotation",
    "expected_center",
    "expected_half_splitting",
    "field_from_half_splitting",
    "fit_stress",
    "group_lines",
    "hamiltonian",
    "in_group_frames",
    "invert_pair",
    "line_windows",
    "miscut_rotation",
    "rotate_tensor",
    "six_numbers",
    "stress_coupling",
    "stress_from_splittings",
    "stress_lines",
    "susceptibility",
    "tensor",
    "traction",
    "transitions",
    "window_frequencies",
    "zero_field_splitting",
]
