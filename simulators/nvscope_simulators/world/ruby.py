"""The ruby pellet: where its R1 line sits."""

from __future__ import annotations

R1_AMBIENT = 694.24e-9
"""R1 at ambient pressure and 298 K (m)."""


def r1_wavelength(pressure: float, temperature: float) -> float:
    """Return the R1 wavelength (m) at `pressure` (Pa) and `temperature` (K).

    Quasi-hydrostatic scale P = (A/B) [(λ/λ0)^B − 1], A = 1904 GPa, B = 7.665 (Mao, Xu and Bell, J. Geophys. Res. 91,
    4673 (1986)); λ0(T) by a cubic below room temperature (Datchi, Dewaele et al., High Press. Res. 27, 447 (2007)),
    −0.887 nm at the lowest temperatures.
    """
    delta = temperature - 296.0
    if delta >= 0:
        shift = 0.00746 * delta - 3.01e-6 * delta**2 + 8.76e-9 * delta**3
    elif temperature >= 50:
        shift = 0.00664 * delta + 6.76e-6 * delta**2 - 2.33e-8 * delta**3
    else:
        shift = -0.887
    ambient = R1_AMBIENT + shift * 1e-9
    return ambient * (1 + 7.665 * pressure / 1904e9) ** (1 / 7.665)
