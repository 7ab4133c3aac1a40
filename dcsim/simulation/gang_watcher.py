"""What is told of the gangs that are granted their servers, and that gave them back."""

from __future__ import annotations

from typing import Protocol

from dcsim.simulation.running import RunningJob

__all__ = ["GangWatcher"]


class GangWatcher(Protocol):
    """Is told who holds servers."""

    def granted(self, running: RunningJob) -> None:
        """A job was granted its servers; it does not work yet."""

    def released(self, running: RunningJob) -> None:
        """A job gave its servers back."""
