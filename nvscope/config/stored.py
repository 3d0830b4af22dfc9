"""Configuration that was written down in SI, as in ``run.json``: back to models, and to text people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nvscope.units import Resolved, Unit, format_quantity

Model = TypeVar("Model", bound=BaseModel)


def from_stored(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Make a model of stored values: numbers whose field has a unit are SI already.

    Raises
    ------
    ValueError
        If they do not make one (pydantic's `ValidationError`).
    """
    return model.model_validate(stored(model, values))


def stored(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return SI values by field name, marked so that a model takes them as they are."""
    return {name: _marked(model.model_fields.get(name), value) for name, value in values.items()}


def _marked(field: FieldInfo | None, value: Any) -> Any:
    if field is None or field_unit(field) is None:
        return value
    if isinstance(value, list | tuple):
        return tuple(_marked(field, item) for item in value)
    return Resolved(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value


def field_unit(field: FieldInfo) -> Unit | None:
    """Return the unit of a model's field, also inside an optional or a tuple; None for a pure number or text."""
    found: list[Any] = list(field.metadata)
    pending: list[Any] = [field.annotation]
    while pending:
        annotation = pending.pop()
        found += getattr(annotation, "__metadata__", ())
        pending += getattr(annotation, "__args__", ())
    return next((item for item in found if isinstance(item, Unit)), None)


def value_text(value: object, unit: Unit | None = None) -> str:
    """Write one SI value in everyday units; nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(value_text(item, unit) for item in value)
    if isinstance(value, int | float) and unit is not None:
        return format_quantity(float(value), unit)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def texts(model: type[BaseModel], values: Mapping[str, object]) -> dict[str, str]:
    """Write SI values by field name in everyday units; names the model does not know are written as they are."""
    fields = model.model_fields
    return {
        name: value_text(value, field_unit(fields[name]) if name in fields else None) for name, value in values.items()
    }
