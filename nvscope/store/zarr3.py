"""Writing Zarr 3 so that a reader sees whole states only, while we write and whenever we die.

A chunk is one file, written whole and put on disk before the metadata that makes it visible. All metadata is published
in one atomic step: the root's ``zarr.json`` carries the (consolidated) metadata of everything below, so that arrays of
one group change shape together; xarray reads that first. The libraries' own writer updates arrays one by one and leaves
durability to the operating system. Reading is theirs: what is written here is plain Zarr 3 (core specification 3.0;
codecs bytes, blosc, crc32c; consolidated metadata as zarr-python writes it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import msgspec
import numpy as np
from numcodecs.blosc import BITSHUFFLE, Blosc
from numpy.typing import NDArray

from nvscope.errors import DataError
from nvscope.store.files import write_whole

MAX_CHUNK = 2**31 - 17
"""Largest chunk (bytes) the compressor takes."""

Node = dict[str, Any]
_COMPRESSOR = Blosc("lz4", 1, BITSHUFFLE)
_METADATA = "zarr.json"


def group(attrs: Mapping[str, Any] | None = None) -> Node:
    """Return the metadata of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attrs or {})}


def array(
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: str,
    dimensions: Sequence[str],
    attrs: Mapping[str, Any] | None = None,
) -> Node:
    """Return the metadata of an array; integers missing are 0, floats NaN."""
    blosc = {"cname": "lz4", "clevel": 1, "shuffle": "bitshuffle", "blocksize": 0, "typesize": np.dtype(dtype).itemsize}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": "NaN" if dtype.startswith("float") else 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "blosc", "configuration": blosc},
            {"name": "crc32c"},
        ],
        "attributes": dict(attrs or {}),
        "dimension_names": list(dimensions),
        "storage_transformers": [],
    }


class ZarrWriter:
    """Writes one Zarr 3 hierarchy; the only writer of it.

    Parameters
    ----------
    root
        The ``….zarr`` folder; made if missing, continued if there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # as JSON, which is what they become: a night has thousands, and all are written again with every change
        self._nodes: dict[str, msgspec.Raw] = {}
        if (root / _METADATA).is_file():
            self._nodes = _load(root / _METADATA)
        else:
            root.mkdir(parents=True, exist_ok=True)
            self.publish({})

    def node(self, path: str) -> Node | None:
        """Return the published metadata at `path`, None if there is none."""
        known = self._nodes.get(path)
        return None if known is None else msgspec.json.decode(known, type=Node)

    def below(self, path: str) -> list[str]:
        """Return the paths of all published nodes below `path`."""
        return [known for known in self._nodes if known.startswith(f"{path}/")]

    def write_chunk(self, path: str, index: Sequence[int], data: NDArray[Any]) -> int:
        """Put one chunk of the array at `path` on disk; invisible until the array's shape is published.

        Returns
        -------
        int
            Bytes written.
        """
        folder = self._root / path
        folder.mkdir(parents=True, exist_ok=True)
        little = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        payload = _COMPRESSOR.encode(little)
        checksum = google_crc32c.value(payload).to_bytes(4, "little")
        write_whole(folder / ".".join(["c", *map(str, index)]), payload, checksum)
        return len(payload) + len(checksum)

    def publish(self, changes: Mapping[str, Node]) -> None:
        """Make nodes visible, new or changed, all at once; groups above them are made as needed.

        Raises
        ------
        OSError
            If the disk refuses; then readers see what they saw before.
        """
        nodes = dict(self._nodes)
        changed = {parent: group() for path in changes for parent in _parents(path) if parent not in nodes}
        for path, node in {**changed, **changes}.items():
            encoded = msgspec.Raw(msgspec.json.encode(node))
            if nodes.get(path) != encoded:
                folder = self._root / path
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / _METADATA, bytes(encoded), durable=False)
                nodes[path] = encoded
        root = {**group(), "consolidated_metadata": _consolidated(nodes)}
        write_whole(self._root / _METADATA, msgspec.json.encode(root))
        self._nodes = nodes


def _consolidated(nodes: Mapping[str, msgspec.Raw]) -> Node:
    """Return all metadata as zarr-python expects it in a root group."""
    # it takes siblings that do not follow one another for two groups of the same name, and keeps the second
    paths = sorted(nodes, key=lambda path: (path.count("/"), path))
    return {"kind": "inline", "must_understand": False, "metadata": {path: nodes[path] for path in paths}}


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _load(path: Path) -> dict[str, msgspec.Raw]:
    try:
        root = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
        summary = msgspec.json.decode(root["consolidated_metadata"], type=dict[str, msgspec.Raw])
        nodes = msgspec.json.decode(summary["metadata"], type=dict[str, msgspec.Raw])
        # copies: views would keep the whole file in memory
        return {node: msgspec.Raw(bytes(encoded)) for node, encoded in nodes.items()}
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise DataError(f"{path} was not written by nvscope: {error!r}") from error
