"""What a run writes down as it goes: a column a job, the log of events, the changes of power."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from dcsim.engine import EventLog
from dcsim.results.schema import TIMES
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.traffic_log import TrafficLog

if TYPE_CHECKING:
    from dcsim.simulation.power_steps import PowerSteps
    from dcsim.simulation.thermal_state import ThermalState
    from dcsim.simulation.tree_watch import HallWatch, TreeWatch

__all__ = ["CANCELLED", "SPENT", "TIMED_OUT", "WALL", "RunRecord"]

TIMED_OUT, CANCELLED = 1, 2
"""Why a job ended without its work being done: its wall-time limit; a job it waits for ended so."""

SPENT = ("productive", "checkpoint", "restore", "redone", "stalled", "waiting")
"""Columns of what accelerator-seconds were spent on: together all that were granted."""

WALL = tuple(column.name for column in TIMES)
"""Columns of what a job's own time was spent on: together all from its submission to its end."""


class RunRecord:
    """Columns of length N, one entry a job, and the logs; whoever runs the jobs fills it.

    Args:
        inputs: of the run.
    """

    # Accelerator-seconds held, by what they were spent on (`SPENT`).
    productive: array[float]
    """At the job's own rate, for steps that count."""
    checkpoint: array[float]
    restore: array[float]
    redone: array[float]
    """At the job's own rate, for steps that were lost."""
    stalled: array[float]
    """Slower than its own rate: shared links, slow input, neighbours on the device."""
    waiting: array[float]
    """For servers to wake."""
    # Seconds of a job's own time, by what they were spent on (`WALL`).
    queue_s: array[float]
    """Waiting for servers, before the first attempt and between attempts."""
    wake_s: array[float]
    """Holding servers that wake."""
    compute_s: array[float]
    """Of steps that count, as fast as the devices are uncapped."""
    throttled_s: array[float]
    """Of steps that count, that a power cap added."""
    communication_s: array[float]
    """Of steps that count, exchange with nobody else on the links."""
    network_stall_s: array[float]
    """Slower because links are shared."""
    data_stall_s: array[float]
    """Slower because input comes too late."""
    neighbour_stall_s: array[float]
    """Slower because of others on its device."""
    checkpoint_s: array[float]
    restore_s: array[float]
    redone_s: array[float]
    """Steps that were lost, at its own rate."""
    idle_s: array[float]
    """Done with its steps of a scheduling round."""

    def __init__(self, inputs: RunInputs) -> None:
        self.inputs = inputs
        count = len(inputs.jobs)
        nan, zero = array("d", [math.nan]), array("d", [0.0])
        self.log = EventLog()
        self.traffic = TrafficLog()
        """What crossed which links."""
        self.notes: list[str] = []
        """What a reader of the result must know; goes to its warnings."""
        self.eligible_s = array("d", inputs.jobs.submit_s.tobytes())
        self.start_s = nan * count
        """First grant."""
        self.end_s = nan * count
        self.cap_fraction = array("d", inputs.cap_fraction.tobytes())
        """Of each job's accelerators; the mean over the time it held them where caps change."""
        self.energy_j = zero * count
        self.steps_done = zero * count
        """That count: not those done again after a failure or a kill."""
        self.servers_used = array("i", [0]) * count
        """Of the last attempt, like `racks_used` and `first_server`."""
        self.racks_used = array("i", [0]) * count
        self.first_server = array("i", [-1]) * count
        self.network_bytes = zero * count
        self.input_bytes = zero * count
        self.extrapolated = bytearray(count)
        self.attempts = array("i", [0]) * count
        self.outcome = bytearray(count)
        """0, TIMED_OUT or CANCELLED."""
        for name in (*SPENT, *WALL):
            setattr(self, name, zero * count)
        self.power_times_s = array("d")
        self.it_power_w = array("d")
        self.power_steps: PowerSteps | None = None
        """Of a run in which jobs' powers change by the clock."""
        self.tree: TreeWatch | None = None
        """Of a scenario with a power tree: which ratings were exceeded."""
        self.hall: HallWatch | None = None
        """Of a run with a budget: whether it was kept."""
        self.heat: ThermalState | None = None
        """Of a hall with a room: inlets, and what fans and leakage drew."""
        self.base_power_w = 0.0
        """Draw of servers, network and storage without any job."""
        self.now_s = 0.0
        """Where the clock stands."""
