"""What is written down about a run before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nvscope.engine.connect import Connected
from nvscope.store.info import RunInfo, describe_run

if TYPE_CHECKING:
    from nvscope.engine.request import RunRequest

_PATIENCE = 10.0


def run_info(request: RunRequest) -> RunInfo:
    """Return the content of ``run.json``; the simulated lab's truth stays out, because analysis reads this file."""
    return describe_run(
        request.sequence.name,
        request.parameters.model_dump(mode="json"),
        rig=request.rig.model_dump(mode="json", exclude={"simulator": {"settings"}}),
        sample=request.sample.model_dump(mode="json", exclude={"simulation"}),
        loading=request.loading.model_dump(mode="json"),
        nominal_pressure=request.loading.nominal_pressure,
        note=request.note,
        operator=request.operator or None,
    )


def snapshot(instruments: Mapping[str, Connected]) -> dict[str, Any]:
    """Ask every instrument who it is and what it reads; a failure is written down as such."""
    return {name: _describe(item) for name, item in instruments.items()}


def _describe(item: Connected) -> dict[str, Any]:
    def ask(call: Callable[[], Any]) -> Any:
        try:
            return item.worker.submit(call).result(_PATIENCE)
        except Exception as error:  # a snapshot that fails must not keep a run from starting; the run itself will tell
            return {"error": f"{type(error).__name__}: {error}"}

    return {
        "driver": item.spec.driver,
        "address": item.address,
        "identity": ask(lambda: asdict(item.role.identify())),
        "readings": ask(lambda: dict(item.role.readings())),
    }
