"""What a run is asked to do, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nvscope.config import Frozen, Loading, Rig, Sample
from nvscope.config.calibration import CalibrationFile
from nvscope.engine.listen import Listen
from nvscope.plans import Sequence

Outcome = Literal["done", "failed", "aborted"]


@dataclass(frozen=True)
class RunRequest:
    """What to run, on what, and where to keep it.

    Attributes
    ----------
    lab_addresses : Path or None
        Address file of a simulated lab that is already served; None starts one where the rig is simulated.
    image_shape : tuple of int or None
        Camera image (y, x) of the simulated lab started for this run, in place of the rig's.
    calibrations : tuple of CalibrationFile
        What `rig` and `parameters` already contain; written to the journal.
    reference : Path or None
        Run whose reference maps normalise s where this one takes none.
    listen : Listen or None
        Where to be controlled and watched from other computers too.
    """

    sequence: Sequence
    parameters: Frozen
    rig: Rig
    sample: Sample
    loading: Loading
    source: str
    runs: Path
    note: str = ""
    operator: str = ""
    lab_addresses: Path | None = None
    lab_arguments: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    calibrations: tuple[CalibrationFile, ...] = ()
    reference: Path | None = None
    listen: Listen | None = None

    @property
    def seed(self) -> int:
        """Seed of the simulated lab; 0 for a real one."""
        return self.rig.simulator.seed if self.rig.simulator is not None else 0


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    outcome: Outcome
    reason: str
    directory: Path
