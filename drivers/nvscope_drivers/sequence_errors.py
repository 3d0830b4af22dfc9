"""Errors of a camera's sequence thread, which otherwise reach nobody but `threading.excepthook`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nvscope.errors import InstrumentError

Hook = Callable[[threading.ExceptHookArgs], Any]


class SequenceErrors:
    """Listens for the end of one camera's sequence thread by an error.

    The interpreter has one hook for errors of threads. This one passes on whatever is not the camera's, and steps
    back when it is told to forget, unless another hook has been put on top meanwhile.

    Parameters
    ----------
    label : str
        Label of the camera in its core.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._failure: BaseException | None = None
        self._before: Hook | None = None
        self._hook: Hook = self._heard

    def listen(self) -> None:
        """Forget earlier errors and listen from now on."""
        self._failure = None
        if self._before is None:  # else it is still in the chain, under a hook that came later
            self._before = threading.excepthook
            threading.excepthook = self._hook

    def forget(self) -> None:
        """Stop listening."""
        self._failure = None
        if self._before is not None and threading.excepthook is self._hook:
            threading.excepthook = self._before
            self._before = None

    def raise_any(self, name: str) -> None:
        """Raise the error the sequence ended with, if it did."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise InstrumentError(f"{name}: {failure}") from failure

    def _heard(self, args: threading.ExceptHookArgs) -> None:
        if getattr(args.thread, "label", None) == self._label and args.exc_value is not None:
            self._failure = args.exc_value
        elif self._before is not None:
            self._before(args)
