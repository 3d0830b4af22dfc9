"""Channel lists as NI-DAQmx writes them: ``"Dev1/port0/line0:3, Dev1/ctr0"``."""

from __future__ import annotations

import re

from nvscope_simulators.nidaqmx_card.errors import Code, DAQmxError

MAX_NAMES = 256
"""A list longer than any card has channels is refused instead of expanded."""

_RANGE = re.compile(r"^(?P<stem>.*?)(?P<first>\d+):(?P<tail>.*?)(?P<last>\d+)$", re.DOTALL)


def expand(text: str) -> list[str]:
    """Split a channel list and expand its ranges, rising or falling.

    Raises
    ------
    DAQmxError
        -200086 for a range that cannot be read, -200592 for more than `MAX_NAMES` names.
    """
    names: list[str] = []
    for part in text.split(","):
        item = part.strip()
        if not item:
            continue
        names.extend(_expand_range(item) if ":" in item else [item])
        if len(names) > MAX_NAMES:
            raise DAQmxError(Code.RANGE_WITH_TOO_MANY_OBJECTS, String=text[:80])
    return names


def _expand_range(item: str) -> list[str]:
    match = _RANGE.match(item)
    if match is None or match["tail"] not in ("", match["stem"], match["stem"].rpartition("/")[2]):
        raise DAQmxError(Code.INVALID_SYNTAX_FOR_PHYSICAL_CHANNEL_RANGE, String=item[:80])
    if len(match["first"]) > 9 or len(match["last"]) > 9:
        raise DAQmxError(Code.RANGE_WITH_TOO_MANY_OBJECTS, String=item[:80])
    first, last = int(match["first"]), int(match["last"])
    if abs(last - first) >= MAX_NAMES:
        raise DAQmxError(Code.RANGE_WITH_TOO_MANY_OBJECTS, String=item[:80])
    step = 1 if last >= first else -1
    return [f"{match['stem']}{number}" for number in range(first, last + step, step)]
