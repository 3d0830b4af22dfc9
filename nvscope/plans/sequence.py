"""What a sequence is, and how it is found: installed by name, or a script by its path."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nvscope.config import Frozen
from nvscope.devices.base import Assumed
from nvscope.devices.rig import RigDevices
from nvscope.errors import ConfigError
from nvscope.plans.verbs import Plan

Given = Callable[["Sequence", Mapping[str, Any], Frozen], Mapping[str, Any]]
"""Sequence, its parameters as they are written, and as they are resolved → more parameters, as written."""


@dataclass(frozen=True)
class Sequence:
    """A protocol: its parameters and the plan they make.

    Attributes
    ----------
    name : str
        Used in run names and on the command line.
    summary : str
        One line for help and report.
    parameters : type
        A frozen model; its defaults are the paper's.
    plan : callable
        ``plan(rig, parameters)`` yields bluesky messages.
    within : callable, optional
        ``within(parameters, given)`` hands what is given for all sequences, as calibrations are, on to those inside;
        ``given(sequence, texts, resolved)`` says what that is for one of them.
    begins : callable, optional
        ``begins(parameters)`` says where ``nvscope plan`` assumes the rig to be; warm and without field if not given.
    """

    name: str
    summary: str
    parameters: type[Frozen]
    plan: Callable[[RigDevices, Any], Plan]
    within: Callable[[Any, Given], Any] | None = None
    begins: Callable[[Any], Assumed] = lambda parameters: Assumed()


def find_sequence(name: str) -> Sequence:
    """Load a sequence by installed name, or from a Python file that defines ``sequence = Sequence(...)``.

    Raises
    ------
    ConfigError
        If there is none, or the script does not define one; says what to write.
    """
    if name.endswith(".py"):
        return _from_script(Path(name))
    known = {entry.name: entry for entry in entry_points(group="nvscope.sequences")}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"no sequence called {name!r}{hint} (installed: {', '.join(sorted(known))}; or give the path of a .py file)"
        )
    return _checked(known[name].load(), name)


def _from_script(path: Path) -> Sequence:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"nvscope_user_{path.stem.replace('-', '_')}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: cannot be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: failed while loading: {type(error).__name__}: {error}") from error
    return _checked(getattr(module, "sequence", None), str(path))


def _checked(found: object, where: str) -> Sequence:
    if not isinstance(found, Sequence):
        raise ConfigError(
            f"{where}: defines no sequence; write `sequence = Sequence(name=…, summary=…, parameters=…, plan=…)`"
        )
    return found
