"""When each job's power changes, and by how much: only in runs in which it does so by the clock."""

from __future__ import annotations

from array import array

from dcsim.engine import Engine
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.running import RunningJob

__all__ = ["PowerSteps", "steps_power"]


def steps_power(inputs: RunInputs) -> bool:
    """Return whether jobs draw more at some hours than at others for a reason: caps, stops and hot devices."""
    energy = inputs.policies.energy
    return energy.recaps or energy.suspends or inputs.scenario.room is not None


class PowerSteps:
    """Columns of all changes.

    Args:
        engine: for the time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.time_s = array("d")
        self.job = array("q")
        self.change_w = array("d")

    def changed(self, running: RunningJob, before_w: float, after_w: float) -> None:
        """A job draws `after_w` in place of `before_w`, above idle servers."""
        if after_w != before_w:
            self.time_s.append(self._engine.now)
            self.job.append(running.index)
            self.change_w.append(after_w - before_w)
