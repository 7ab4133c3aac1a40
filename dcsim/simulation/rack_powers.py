"""What each rack draws, kept up as jobs and servers change; only in runs that ask for it."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from dcsim.facility.servers import Fleet, quantised_w
from dcsim.simulation.running import RunningJob

__all__ = ["RackPowers"]

Floats = npt.NDArray[np.float64]


class RackPowers:
    """Power of the servers of each rack, exact: the racks' sum is that of all servers at every instant.

    Args:
        fleet: its servers, awake and idle.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._rack = fleet.rack.tolist()
        racks = len(fleet.rack_start)
        idle = np.bincount(fleet.rack, weights=fleet.idle_power_w, minlength=racks)
        self.power_w: Floats = np.asarray(idle, dtype=np.float64)
        """(R,) now."""
        self.dirty: dict[int, None] = dict.fromkeys(range(racks))
        """Racks that changed since `log`; whoever watches them looks before that."""
        self._parts: dict[RunningJob, tuple[tuple[int, int], ...]] = {}
        self.log_time_s = array("d")
        self.log_rack = array("i")
        self.log_power_w = array("d")

    def server_changed(self, server: int, change_w: float) -> None:
        """A server without a job draws more or less: it falls asleep, boots, or wakes."""
        rack = self._rack[server]
        self.power_w[rack] += change_w
        self.dirty[rack] = None

    def job_changed(self, running: RunningJob, before_w: float, after_w: float) -> None:
        """A job draws `after_w` in place of `before_w`, over its servers as its devices are."""
        parts = self.parts_of(running)
        if len(parts) == 1:
            rack = parts[0][0]
            self.power_w[rack] += after_w - before_w
            self.dirty[rack] = None
            return
        devices = sum(count for _, count in parts)
        left_w = after_w - before_w
        for rack, count in parts[1:]:
            # Each share by itself, so that what a job added it takes away again to the last bit.
            share_w = quantised_w(after_w * count / devices) - quantised_w(before_w * count / devices)
            left_w -= share_w
            self.power_w[rack] += share_w
            self.dirty[rack] = None
        self.power_w[parts[0][0]] += left_w
        self.dirty[parts[0][0]] = None

    def granted(self, running: RunningJob) -> None:
        """A job was granted its servers: it draws nothing yet."""

    def parts_of(self, running: RunningJob) -> tuple[tuple[int, int], ...]:
        """Return (rack, devices there) of a job, the rack of its first server first."""
        parts = self._parts.get(running)
        if parts is None:
            parts = self._parts[running] = self._racks_of(running)
        return parts

    def released(self, running: RunningJob) -> None:
        """A job has given everything back."""
        self._parts.pop(running, None)

    def _racks_of(self, running: RunningJob) -> tuple[tuple[int, int], ...]:
        found: dict[int, int] = {}
        for server, count in running.placement:
            rack = self._rack[server]
            found[rack] = found.get(rack, 0) + max(count, 1)
        return tuple(found.items())

    def log(self, now_s: float) -> list[int]:
        """Write down what changed since last time; returns these racks, ascending."""
        changed = sorted(self.dirty)
        self.dirty.clear()
        for rack in changed:
            self.log_time_s.append(now_s)
            self.log_rack.append(rack)
            self.log_power_w.append(float(self.power_w[rack]))
        return changed
