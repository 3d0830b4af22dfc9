"""One group of a large Zarr hierarchy, as if it were a hierarchy of its own.

zarr-python parses the metadata of everything before it opens anything: seconds for each of hundreds of points.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

_METADATA = "zarr.json"


class PartStore(LocalStore):
    """The files below `path`, read-only, with metadata from `nodes`, which are one state of the whole.

    Parameters
    ----------
    root
        The ``….zarr`` folder.
    path
        Of the group.
    nodes
        Metadata of every group and array of the whole by path.

    Raises
    ------
    KeyError
        If there is no such group.
    """

    def __init__(self, root: Path, path: str, nodes: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(root / path, read_only=True)
        inside = path + "/"
        below = {name.removeprefix(inside): node for name, node in nodes.items() if name.startswith(inside)}
        summary = {"kind": "inline", "must_understand": False, "metadata": below}
        self._summary = msgspec.json.encode({**nodes[path], "consolidated_metadata": summary})

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return what is at `key`, None if there is nothing."""
        if key == _METADATA and prototype is not None:
            return prototype.buffer.from_bytes(self._summary)
        return await super().get(key, prototype, byte_range)
