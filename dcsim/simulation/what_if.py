"""What if: stop these and start those on the fleet's own books, and undo it all afterwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError
from dcsim.facility.servers import Held
from dcsim.policies.views import Placement
from dcsim.simulation.attempts import Attempts
from dcsim.simulation.placing import Placer
from dcsim.simulation.running import Phase

__all__ = ["WhatIf"]

Bools = npt.NDArray[np.bool_]


class WhatIf:
    """Tries releases and grants; placement policies see the fleet as it would be.

    Only the fleet's books change, no job does; `undo` restores them.

    Args:
        placer: keeps the books.
        attempts: knows what each running job holds.
    """

    def __init__(self, placer: Placer, attempts: Attempts) -> None:
        self._placer = placer
        self._attempts = attempts
        self.released: dict[int, None] = {}
        """Running jobs whose resources were given back, in order."""
        self._taken: list[tuple[int, int, tuple[Held, ...]]] = []

    def release(self, job: int) -> None:
        """Give back what a running job holds."""
        running = self._attempts.running[job]
        self._placer.give_back(job, running.width, running.held)
        self.released[job] = None

    def may_release(self, job: int) -> bool:
        """Return whether a job holds something that could be given back."""
        running = self._attempts.running.get(job)
        return running is not None and job not in self.released and running.phase is not Phase.LEAVE

    def take_back(self, job: int) -> bool:
        """Let a released job hold again what it held, if all of that is free; return whether it does."""
        running = self._attempts.running[job]
        if not self._placer.retake(job, running.width, running.held):
            return False
        del self.released[job]
        return True

    def place(self, job: int, width: int, mask: Bools | None) -> Placement | None:
        """Return where a job would go now."""
        return self._placer.place(job, width, mask)

    def take(self, job: int, width: int, placement: Placement) -> None:
        """Let a job take a placement."""
        self._taken.append((job, width, self._placer.take(job, width, placement)))

    def push_out(self, job: int, width: int, mask: Bools | None, victims: list[int]) -> Placement | None:
        """Return where a job fits once the fewest of `victims`, from the first on, are released; None if nowhere.

        Victims none of whose servers the placement uses are spared.
        """
        running = self._attempts.running
        if width and sum(running[victim].width for victim in victims) + self._free() < width:
            return None
        tried: list[int] = []
        placement = None
        for victim in victims:
            self.release(victim)
            tried.append(victim)
            if width and self._free() < width:
                continue
            placement = self._placer.place(job, width, mask)
            if placement is not None:
                break
        used = {server for server, _ in placement} if placement else set()
        for victim in reversed(tried):
            if used.isdisjoint(server for server, _ in running[victim].placement):
                self.take_back(victim)
        return placement

    def _free(self) -> int:
        fleet = self._placer.fleet
        whole = int(fleet.free.sum(dtype=np.int64))
        # Parts of devices count as whole ones here: too many are tried rather than too few.
        return whole + (len(fleet) if fleet.has_shares else 0)

    def undo(self) -> None:
        """Restore the books."""
        for job, width, held in reversed(self._taken):
            self._placer.give_back(job, width, held)
        for job in reversed(tuple(self.released)):
            if not self.take_back(job):
                msg = f"row {job} cannot hold again what it held before a decision was tried"
                raise GuardError(msg)
        self._taken.clear()
