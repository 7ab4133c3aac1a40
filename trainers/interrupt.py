"""Ctrl-C and the signal of schedulers, heard between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interrupt"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """While it is entered, the first signal is remembered; the second interrupts at once.

    >>> with Interrupt() as interrupt:
    ...     interrupt.requested()
    False
    """

    def __init__(self, note: str = "stopping after this step; once more stops at once") -> None:
        """Take what to say, on the standard error, when the first signal comes."""
        self._note = note
        self._before: dict[signal.Signals, Any] = {}
        self.signal: int | None = None
        """Number of the signal that came, if one did."""

    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def __enter__(self) -> Self:
        # Python gives signals to the main thread only, and lets nobody else ask for them.
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._heard) for each in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        print(self._note, file=sys.stderr, flush=True)
