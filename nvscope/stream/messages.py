"""The messages nvscope's processes exchange: a JSON header each, raw array buffers behind it.

One message is one ZeroMQ multipart: the header, encoded by msgspec with its ``type`` tag, then one buffer per array.
No pickle; unknown fields are refused; sizes are capped by `nvscope.stream.wire`. Arrays are C-ordered, little-endian.
The limits annotated here are checked when a message is encoded and again when it is decoded.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Index = Annotated[int, Meta(ge=0, lt=2**31)]
"""A number that counts something."""

Count = Annotated[int, Meta(ge=0, lt=2**53)]
"""How many of something there were."""

Side = Annotated[int, Meta(ge=0, le=16384)]
"""Edge of an image in pixels."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]
"""A name that may become a column, a file or an array: no separators, no leading dot."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class PointOpened(_Message, frozen=True, tag="point-opened"):
    """A point begins: its frequency axis (Hz) and image shape (y, x); sent before its first frame.

    A transport point has no frames: no frequencies and shape (0, 0). ``attrs["pixel_size"]``, where known, is the edge
    of a pixel (m).
    """

    point: Index
    kind: Literal["odmr", "images", "transport"]
    frequencies: Annotated[list[float], Meta(max_length=65536)]
    shape: tuple[Side, Side]
    rig_time: float
    attrs: dict[str, Any] = {}


class Frame(_Message, frozen=True, tag="frame"):
    """One camera exposure, with one uint16 buffer of `shape`.

    `step` indexes the point's frequency axis, `sweep` counts sweeps within the point, `block` is the write-once block
    that will hold it, `reference` marks microwave-off frames. `number` is the camera's own: it counts from 0 within one
    arming, so that a frame lost or doubled anywhere upstream shows (`nvscope.stream.order`).
    """

    point: Index
    block: Index
    sweep: Index
    step: Index
    number: Index
    reference: bool
    rig_time: float
    shape: tuple[Side, Side]


class BlockClosed(_Message, frozen=True, tag="block-closed"):
    """A block is complete: `frames` of `sweeps` whole sweeps were sent for it.

    If `valid` the recorder commits it (`Committed`) or says why it will not (`Rejected`); otherwise it is forgotten.
    `shift` is how far its image has moved (y, x; pixels), None where nobody looked.
    """

    point: Index
    block: Index
    frames: Count
    sweeps: Count
    valid: bool
    rig_time: float
    reason: str = ""
    shift: tuple[float, float] | None = None


class Committed(_Message, frozen=True, tag="committed"):
    """Recorder to run: the block is on disk and in the journal."""

    point: Index
    block: Index
    frames: Count


class Rejected(_Message, frozen=True, tag="rejected"):
    """Recorder to run: the block will not be on disk, because of `reason`; repeat its sweeps as a new block."""

    point: Index
    block: Index
    reason: str


class Maps(_Message, frozen=True, tag="maps"):
    """Fitter to recorder, run and viewers: the newest maps of a point, float32, one buffer per name.

    `summary` holds scalars such as ``median_b_err`` (T), ``pixels_per_second`` and ``fitted_fraction``; `final` marks
    the maps of a closed point. Scalars that are not finite are left out when the message is encoded.
    """

    point: Index
    sweeps: Count
    final: bool
    rig_time: float
    shape: tuple[Side, Side]
    names: Annotated[list[Name], Meta(max_length=256)]
    summary: dict[Name, float]


class PointClosed(_Message, frozen=True, tag="point-closed"):
    """A point is over; `attrs` are added to it (T, H, certificate, resistance …). The fitter then sends final maps."""

    point: Index
    rig_time: float
    attrs: dict[str, Any] = {}


class Document(_Message, frozen=True, tag="document"):
    """An event-model document."""

    name: Name
    doc: dict[str, Any]


class JournalEntry(_Message, frozen=True, tag="journal"):
    """A state change, warning, decision or note for the journal."""

    kind: Name
    rig_time: float
    data: dict[str, Any]


class HistoryRow(_Message, frozen=True, tag="history"):
    """Housekeeping at one rig time; SI values by column name, None where unknown."""

    rig_time: float
    values: dict[Name, float | None]


class RunStatus(_Message, frozen=True, tag="status"):
    """What the run is doing, for terminal and viewers. Values that are not finite are left out when encoded."""

    run: str
    state: Literal["starting", "running", "paused", "aborting", "done", "failed", "aborted"]
    step: str
    progress: float
    rig_time: float
    values: dict[Name, float]
    eta: float | None = None


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """I am alive; `sender` is a process name, `counts` what it has handled."""

    sender: Name
    counts: dict[Name, Count]


class Ready(_Message, frozen=True, tag="ready"):
    """A worker process to the run: I am connected. `endpoint` is where I listen in turn, empty if nowhere.

    The recorder's endpoint is a PULL to which the fitter connects a PUSH for `Maps` and, last of all, `Finished`.
    """

    sender: Name
    endpoint: str = ""


class Fault(_Message, frozen=True, tag="fault"):
    """A worker process to the run: I could not do something (disk full …); what was done before is safe."""

    sender: Name
    reason: str


class Finish(_Message, frozen=True, tag="finish"):
    """The run ends: drain, write everything, reply `Finished` and exit."""

    outcome: Literal["done", "failed", "aborted"]
    reason: str = ""


class Finished(_Message, frozen=True, tag="finished"):
    """A worker process has drained and is leaving."""

    sender: Name
    counts: dict[Name, Count]


Message = (
    PointOpened
    | Frame
    | BlockClosed
    | Committed
    | Rejected
    | Maps
    | PointClosed
    | Document
    | JournalEntry
    | HistoryRow
    | RunStatus
    | Heartbeat
    | Ready
    | Fault
    | Finish
    | Finished
)
