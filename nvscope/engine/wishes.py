"""What an operator changes while a run goes on: how the points to come are taken, and which region matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

from nvscope.config import Frozen
from nvscope.config.assign import changed
from nvscope.config.stored import field_unit, value_text
from nvscope.errors import ConfigError
from nvscope.plans import OdmrSettings, PlanSummary
from nvscope.stream.control import Parameter

Settings = TypeVar("Settings", bound=OdmrSettings)


class Wishes:
    """Keeps the changes; `apply` puts them into the settings of a point that begins.

    Only what says how a point is taken may change: where the temperature and field go is the protocol, and a
    certificate judges the history against it.

    Parameters
    ----------
    parameters : Frozen
        Of the sequence, as the run began.
    walk : callable
        Walks the plan with other parameters; raises `LimitError` for what the rig forbids.
    """

    def __init__(self, parameters: Frozen, walk: Callable[[Frozen], PlanSummary]) -> None:
        self._parameters = parameters
        self._walk = walk
        self._changes: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What may be changed; empty if the sequence takes no points the usual way."""
        if not isinstance(self._parameters, OdmrSettings):
            return ()
        return tuple(name for name in OdmrSettings.model_fields if name != "crop")  # maps of a run share their pixels

    def describe(self) -> list[Parameter]:
        """Return what may be changed, with its value for the next point."""
        return describe(self._parameters, self.names)

    def change(self, settings: Mapping[str, str]) -> tuple[str, PlanSummary]:
        """Take changes for the points to come; returns what changed in words, and the plan as it will be.

        Raises
        ------
        NvscopeError
            If a name, a value or the plan they make does not do; nothing is changed then.
        """
        if not settings:
            raise ConfigError("nothing to set; write NAME=VALUE")
        if not self.names:
            raise ConfigError("this sequence takes no ODMR points whose settings could be changed")
        if fixed := [name for name in settings if name not in self.names]:
            raise ConfigError(
                f"{', '.join(fixed)}: cannot be changed while the run goes on (these can: {', '.join(self.names)})"
            )
        wanted = changed(self._parameters, settings)
        planned = self._walk(wanted)
        texts = []
        for name in settings:
            before, after = getattr(self._parameters, name), getattr(wanted, name)
            unit = field_unit(type(wanted).model_fields[name])
            texts.append(f"{name} {value_text(before, unit)} → {value_text(after, unit)}")
            self._changes = {**self._changes, name: after}
        self._parameters = wanted
        return ", ".join(texts), planned

    def apply(self, settings: Settings) -> Settings:
        """Return the settings of a point that begins now."""
        return settings.model_copy(update=self._changes)


def describe(model: Frozen, names: Sequence[str]) -> list[Parameter]:
    """Return fields of a model for people: value with unit, meaning, choices."""
    fields = type(model).model_fields
    return [_parameter(name, fields[name], getattr(model, name)) for name in names]


def _parameter(name: str, info: FieldInfo, value: object) -> Parameter:
    unit = field_unit(info)
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    if info.annotation is bool:
        choices = ("no", "yes")
    return Parameter(
        name=name,
        value="" if value is None else value_text(value, unit),
        meaning=info.description or "",
        unit=unit.display if unit is not None else "",
        choices=[str(choice) for choice in choices],
    )
