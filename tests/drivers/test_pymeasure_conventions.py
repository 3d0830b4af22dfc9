"""What PyMeasure asks of every instrument class: a name one can choose, docstrings that say what a property does."""

import importlib
import inspect
import pkgutil
from typing import Any

import nvscope_drivers
import pytest
from pymeasure.adapters import ProtocolAdapter
from pymeasure.instruments import Channel, Instrument

STARTS = ("Control", "Get", "Measure", "Set")


def classes(base: type) -> list[type[Any]]:
    found = set()
    for module in pkgutil.iter_modules(nvscope_drivers.__path__):
        loaded = importlib.import_module(f"nvscope_drivers.{module.name}")
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(value, base) and value.__module__.startswith("nvscope_drivers"):
                found.add(value)
    return sorted(found, key=lambda value: (value.__module__, value.__name__))


def properties(cls: type) -> list[tuple[str, property]]:
    return [(n, v) for c in cls.__mro__ if c.__module__.startswith("nvscope_drivers") for n, v in vars(c).items()
            if isinstance(v, property) and not n.startswith("_")]  # fmt: skip


@pytest.mark.parametrize("cls", classes(Instrument), ids=lambda cls: cls.__name__)
def test_an_instrument_takes_a_name_and_further_arguments(cls: type[Any]) -> None:
    signature = inspect.signature(cls.__init__).parameters
    assert "name" in signature
    assert any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.values())
    needed = [p for p in list(signature.values())[2:] if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if not any(parameter.name != "name" for parameter in needed):
        assert cls(ProtocolAdapter(), name="chosen").name == "chosen"


@pytest.mark.parametrize("cls", [*classes(Instrument), *classes(Channel)], ids=lambda cls: cls.__name__)
def test_docstrings_say_what_a_property_does(cls: type[Any]) -> None:
    wrong = [name for name, value in properties(cls) if not (value.__doc__ or "").strip().startswith(STARTS)]
    assert wrong == []
