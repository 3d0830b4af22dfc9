"""Changing a model by what people write: ``field="120 G"``, ``frames=8``, ``temperatures="30 K, 40 K"``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel

from nvscope.config.files import validate
from nvscope.config.models import Frozen
from nvscope.config.stored import stored

Model = TypeVar("Model", bound=Frozen)


def read_setting(model: type[BaseModel], name: str, text: str) -> Any:
    """Return what `text` says, as a TOML file would have it; one value of a field that takes several is a list.

    Bare text is a string: ``8``, ``true``, ``120 G``, ``["30 K", "40 K"]`` and ``30 K, 40 K`` all do.
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = [part.strip() for part in text.split(",")] if "," in text else text
    field = model.model_fields.get(name)
    several = field is not None and get_origin(field.annotation) is tuple
    return [value] if several and not isinstance(value, list) else value


def changed(current: Model, settings: Mapping[str, str], source: str = "set") -> Model:
    """Return `current` with some fields changed as people write them; an empty text or a dash means none.

    Raises
    ------
    ConfigError
        If a name is unknown or a value does not do; says which and what was expected.
    """
    kind = type(current)
    data = stored(kind, dict(current))
    for name, text in settings.items():
        cleaned = text.strip()
        data[name] = None if cleaned in ("", "–", "-", "none") else read_setting(kind, name, cleaned)
    return validate(kind, data, source)
