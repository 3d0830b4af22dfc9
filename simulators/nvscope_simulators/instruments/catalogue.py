"""Which instruments can be simulated."""

from __future__ import annotations

MODELS: dict[str, tuple[str, str, str]] = {
    "2400": ("keithley2400", "SimulatedKeithley2400", "Keithley2400Settings"),
    "6221": ("keithley6221", "SimulatedKeithley6221", "Keithley6221Settings"),
    "7001": ("keithley7001", "SimulatedKeithley7001", "Keithley7001Settings"),
    "AMI430": ("ami430", "SimulatedAMI430", "AMI430Settings"),
    "BOP": ("kepco_bop", "SimulatedKepcoBOP", "KepcoBOPSettings"),
    "Cobolt": ("cobolt", "SimulatedCobolt", "CoboltSettings"),
    "Cryostation": ("montana", "SimulatedCryostation", "CryostationSettings"),
    "E-709": ("pi_gcs", "SimulatedPIPiezo", "PIPiezoSettings"),
    "Model336": ("lakeshore336", "SimulatedLakeShore336", "LakeShore336Settings"),
    "SG384": ("sg384", "SimulatedSG384", "SG384Settings"),
    "SMB100A": ("smb100a", "SimulatedSMB100A", "SMB100ASettings"),
    "SR830": ("sr830", "SimulatedSR830", "SR830Settings"),
}
"""Model → module, class and settings model under `nvscope_simulators.instruments`."""
