"""The errors nvscope raises on purpose; each message says what, where and what to do."""


class NvscopeError(Exception):
    """Anything nvscope refuses or could not do."""


class ConfigError(NvscopeError):
    """A configuration file or a ``--set`` is wrong: file, key, what was expected."""


class InstrumentError(NvscopeError):
    """An instrument refused, reported an error, or answered nonsense."""


class NoResistance(InstrumentError):
    """Four probes gave nothing that could be called a resistance: a contact is open, or the current too large."""


class ComplianceReached(NoResistance):
    """A current source reached its compliance: more resistance than it can drive its current through.

    Attributes
    ----------
    resistance : float
        What the resistance exceeds (ohm).
    """

    def __init__(self, message: str, resistance: float) -> None:
        super().__init__(message)
        self.resistance = resistance


class InstrumentTimeout(InstrumentError):
    """An instrument did not answer in time; its session has been discarded."""


class LimitError(NvscopeError):
    """A request lies outside what the rig allows; nothing was moved."""


class SettleTimeout(NvscopeError):
    """A quantity never stayed in its band long enough; the message carries the last readings."""


class HistoryInvalid(NvscopeError):
    """The sample's recorded history is not what the protocol claims; going on would waste time."""


class DataError(NvscopeError):
    """Stored or streamed data is incomplete or inconsistent."""


def first_cause(error: BaseException) -> BaseException:
    """Return what began it: bluesky wraps what a device raised in a FailedStatus."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
