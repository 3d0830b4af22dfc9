"""Finding and reading configuration files, with errors a physicist can act on."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

import platformdirs
from pydantic import BaseModel, ValidationError

from nvscope.config.models import Frozen
from nvscope.config.stored import field_unit, value_text
from nvscope.errors import ConfigError

Kind = Literal["rigs", "samples", "loadings", "sequences"]
Model = TypeVar("Model", bound=Frozen)


def config_folders() -> tuple[Path, ...]:
    """Return the folders searched, in order: ``./configs``, the user's folder, the packaged copy."""
    packaged = Path(str(files("nvscope"))) / "configs"
    if not packaged.is_dir():  # an editable install keeps them at the top of the tree
        packaged = packaged.parent.parent / "configs"
    return Path("configs"), Path(platformdirs.user_config_dir("nvscope", appauthor=False)), packaged


def find_config(kind: Kind, name: str) -> Path:
    """Return the file for `name`: a path to a TOML file, or a name looked up in `config_folders`.

    Raises
    ------
    ConfigError
        If there is none; the message lists what there is and the nearest name.
    """
    path = Path(name)
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        raise ConfigError(f"{path}: no such file")
    known: set[str] = set()
    for folder in config_folders():
        candidate = folder / kind / f"{name}.toml"
        if candidate.is_file():
            return candidate
        known |= {file.stem for file in (folder / kind).glob("*.toml")}
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"no {kind[:-1]} called {name!r}{hint} (known: {', '.join(sorted(known)) or 'none'})")


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; syntax errors name file and place."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def read_model(model: type[Model], kind: Kind, name: str) -> Model:
    """Find, read and validate one configuration file."""
    path = find_config(kind, name)
    return validate(model, load_toml(path), str(path))


def validate(model: type[Model], data: Mapping[str, Any], source: str, prefix: str = "") -> Model:
    """Validate `data`; every problem is reported with `source` (a file or ``--set``), its key and what was expected."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(model, problem, prefix) for problem in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from None


def _explain(model: type[BaseModel], problem: Any, prefix: str) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(([prefix] if prefix else []) + location) or "(file)"
    if problem["type"] == "extra_forbidden":
        names = _field_names(model, problem["loc"][:-1])
        near = difflib.get_close_matches(location[-1], names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(names))}"
        return f"{key}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: missing; it is required"
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], Mapping):  # a whole model: the message says which of its values disagree
        return f"{key}: {message}" if location or prefix else message
    field = model.model_fields.get(location[0]) if location else None
    unit = field_unit(field) if field is not None else None
    if problem["type"] in _BOUNDS:
        name, word = _BOUNDS[problem["type"]]
        message = f"must be {word} {value_text(problem['ctx'][name], unit)}"
    value = problem["input"]  # has been converted to SI already, or is still as it was written
    given = value_text(value, unit) if unit is not None and isinstance(value, float) else repr(value)
    return f"{key}: {message} (got {given})"


_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
"""What pydantic calls a bound that is not kept: where its value is, and how to say it."""


def _field_names(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location:
        if isinstance(part, int) or not (isinstance(current, type) and issubclass(current, BaseModel)):
            continue
        field = current.model_fields.get(part)
        if field is None:
            return []
        current = _model_in(field.annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
