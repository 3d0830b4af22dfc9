"""What the card refuses, in the error codes of NI-DAQmx."""

from __future__ import annotations

from nidaqmx.error_codes import DAQmxErrors, DAQmxWarnings

Code = DAQmxErrors

STOPPED_BEFORE_DONE = int(DAQmxWarnings.STOPPED_BEFORE_DONE)
"""Warning a client gets when it stops a finite generation early."""

_TEXTS = {
    Code.INVALID_TASK: "Task specified is invalid or does not exist.",
    Code.INVALID_DEVICE_ID: "Device identifier is invalid.",
    Code.PHYSICAL_CHAN_DOES_NOT_EXIST: "Physical channel specified does not exist on this device.",
    Code.PAL_RESOURCE_RESERVED: "The specified resource is reserved. "
    "The operation could not be completed as specified.",
    Code.WAIT_UNTIL_DONE_DOES_NOT_INDICATE_DONE: "Wait Until Done did not indicate that the task was done "
    "within the specified timeout.",
    Code.INVALID_ATTRIBUTE_VALUE: "Requested value is not a supported value for this property.",
    Code.ATTRIBUTE_NOT_SUPPORTED_IN_TASK_CONTEXT: "Specified property is not supported by the device or is not "
    "applicable to the task.",
    Code.ATTR_NOT_SUPPORTED: "Specified property is not supported by the device.",
    Code.ATTR_CANNOT_BE_SET: "Specified property is read-only.",
    Code.CAN_NOT_PERFORM_OP_WHILE_TASK_RUNNING: "Specified operation cannot be performed while the task is running.",
    Code.CAN_NOT_PERFORM_OP_WHEN_NO_CHANS_IN_TASK: "Specified operation cannot be performed when there are no "
    "channels in the task.",
    Code.CANNOT_SET_PROPERTY_WHEN_TASK_RUNNING: "Specified property cannot be set while the task is running.",
    Code.FUNCTION_NOT_SUPPORTED_FOR_DEVICE: "Specified function is not supported by this device.",
    Code.INVALID_TERM: "Terminal name is invalid or does not exist on the device.",
    Code.PAL_MEMORY_FULL: "The requested memory could not be allocated.",
    Code.SAMPLES_NOT_YET_AVAILABLE: "Some or all of the samples requested have not yet been acquired.",
    Code.VIRTUAL_CHAN_DOES_NOT_EXIST: "Channel name specified does not exist in the task.",
    Code.CHAN_ALREADY_IN_TASK: "Channel name specified is already used in the task.",
    Code.NUM_LINES_MISMATCH_IN_READ_OR_WRITE: "Specified read or write operation failed, because the number of lines "
    "in the data for a channel does not match the number of lines in the channel.",
    Code.WRITE_NUM_CHANS_MISMATCH: "Write cannot be performed, because the number of channels in the data does not "
    "match the number of channels in the task.",
    Code.MULTI_CHAN_TYPES_IN_TASK: "Task cannot contain channels of different types.",
}


class DAQmxError(Exception):
    """A refusal.

    Parameters
    ----------
    code : DAQmxErrors
        The error as NI-DAQmx numbers it.
    **details
        What it concerns, one line each: ``Device="Dev1"`` is shown as ``Device: Dev1``.
    """

    def __init__(self, code: DAQmxErrors, **details: object) -> None:
        self.code = int(code)
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in details.items() if value not in ("", None)]
        body = "\n".join(lines)
        super().__init__("\n\n".join(part for part in (describe(self.code), body, f"Status Code: {self.code}") if part))


def describe(code: int) -> str:
    """Return the text of an error or warning; empty for a number NI-DAQmx does not know."""
    try:
        known: DAQmxErrors | DAQmxWarnings = DAQmxErrors(code)
    except ValueError:
        try:
            known = DAQmxWarnings(code)
        except ValueError:
            return ""
    if known.name == "UNKNOWN":
        return ""
    if isinstance(known, DAQmxErrors) and known in _TEXTS:
        return _TEXTS[known]
    return known.name.replace("_", " ").capitalize() + "."
