"""Options many verbs share, and what they select."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nvscope.config import Frozen, Loading, Rig, Sample, find_config, load_toml, read_model, validate
from nvscope.config.assign import read_setting
from nvscope.config.calibration import CalibrationFile, calibrated_parameters, calibrated_rig, check_belongs
from nvscope.config.faults import HOST_KINDS, fault_specs
from nvscope.config.pairs import parse_pairs
from nvscope.errors import ConfigError

if TYPE_CHECKING:
    from nvscope.plans import Sequence

RigOption = Annotated[str, typer.Option("--rig", help="Rig: a name or a TOML file.", metavar="RIG")]
SampleOption = Annotated[str, typer.Option("--sample", help="Sample: a name or a TOML file.", metavar="SAMPLE")]
LoadingOption = Annotated[
    str | None, typer.Option("--loading", help="Loading: a name or a TOML file; as the sample if not given.")
]
PressureOption = Annotated[
    str | None, typer.Option("--pressure", help='Nominal pressure in place of the loading\'s, e.g. "23 GPa".')
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault", help='A fault of the simulated lab, e.g. "instrument=laser, kind=interlock, at=60 s"; repeatable.'
    ),
]
CalibrationOption = Annotated[
    list[Path] | None,
    typer.Option("--calibration", help="Run directory of a calibration (or its file) to use; repeatable."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help='A parameter of the sequence, e.g. field="120 G"; repeatable.')
]


@dataclass(frozen=True)
class Selection:
    """Rig, sample and loading, resolved."""

    rig: Rig
    sample: Sample
    loading: Loading
    source: str


def select(
    rig: str,
    sample: str,
    loading: str | None,
    pressure: str | None = None,
    faults: Many[str] = (),
    calibrations: Many[CalibrationFile] = (),
) -> Selection:
    """Read rig, sample and loading files; `faults` are added to those of the rig file, `calibrations` put in place."""
    rig_file = find_config("rigs", rig)
    loading_file = find_config("loadings", loading or Path(sample).stem)
    described = load_toml(rig_file)
    if faults:
        described["faults"] = [*described.get("faults", []), *(parse_pairs(text, "--fault") for text in faults)]
    described = calibrated_rig(described, calibrations)
    loaded = load_toml(loading_file)
    if pressure is not None:
        loaded["nominal_pressure"] = pressure
    selection = Selection(
        rig=validate(Rig, described, f"{rig_file} with --calibration" if calibrations else str(rig_file)),
        sample=read_model(Sample, "samples", sample),
        loading=validate(Loading, loaded, str(loading_file) if pressure is None else f"{loading_file} with --pressure"),
        source=str(rig_file),
    )
    check_belongs(calibrations, selection.rig.name, selection.loading.name)
    return selection


def check_faults(selection: Selection, faults: Many[str], lab: Path | None) -> None:
    """Refuse faults that nothing would carry out."""
    rig = selection.rig
    specs = fault_specs(rig.faults, selection.source)
    if rig.simulator is None and specs:
        raise ConfigError(f"{selection.source}: faults: this rig is a real one; faults are for simulated labs")
    given = specs[len(specs) - len(faults) :] if faults else []
    elsewhere = [spec.instrument for spec in given if spec.instrument not in HOST_KINDS]
    if lab is not None and elsewhere:
        raise ConfigError(
            f"--fault: {elsewhere[0]} belongs to the lab of {lab}, which is served already; "
            "give the fault to nvscope sim"
        )


def resolve_parameters(sequence: Sequence, settings: Many[str], calibrations: Many[CalibrationFile] = ()) -> Frozen:
    """Return the sequence's parameters: defaults, the file in ``configs/sequences``, calibrations, every ``--set``."""
    data: dict[str, Any] = {}
    source = f"sequence {sequence.name}"
    try:
        path = find_config("sequences", sequence.name)
    except ConfigError:
        pass  # a sequence without a file uses its own defaults
    else:
        data = load_toml(path)
        source = str(path)
        validate(sequence.parameters, data, source)
    given: set[str] = set()
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f'--set {text}: write it as NAME=VALUE, for example --set field="97 G"')
        data[key.strip()] = read_setting(sequence.parameters, key.strip(), value.strip())
        given.add(key.strip())
        source = f"--set {text}" if len(settings) == 1 else "--set"
    resolved = validate(sequence.parameters, data, source)
    if not calibrations:
        return resolved
    if sequence.within is not None:
        inner: Frozen = sequence.within(resolved, partial(_calibrated, calibrations))
        return inner
    more = _calibrated(calibrations, sequence, dict.fromkeys(given), resolved)
    return validate(sequence.parameters, {**data, **more}, "--calibration")


def _calibrated(
    calibrations: Many[CalibrationFile], sequence: Sequence, given: Mapping[str, Any], resolved: Frozen
) -> dict[str, Any]:
    """Return what `calibrations` say of a sequence's parameters, but for those that are `given`."""
    from nvscope.plans import OdmrSettings

    if not isinstance(resolved, OdmrSettings):
        return {}
    return calibrated_parameters(calibrations, given, resolved.laser_power)


def parse_pixels(text: str | None) -> tuple[int, int] | None:
    """Read ``"64x64"``."""
    if text is None:
        return None
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ConfigError(f'--pixels {text}: write it as HEIGHTxWIDTH, for example "64x64"') from None
    if not (4 <= height <= 4096 and 4 <= width <= 4096):
        raise ConfigError(f"--pixels {text}: between 4x4 and 4096x4096")
    return height, width
