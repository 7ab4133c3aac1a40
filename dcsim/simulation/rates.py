"""How fast a job would run at a width on a type of accelerator, before anyone places it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dcsim.simulation.costing import Shape
from dcsim.simulation.inputs import RunInputs
from dcsim.workload.elastic import relative_progress
from dcsim.workload.measured_kind import packed_layout

__all__ = ["Rates"]


class Rates:
    """Progress by (job, width, accelerator type): alone, uncapped, on the fewest servers of that type.

    Args:
        inputs: of the run.
    """

    def __init__(self, inputs: RunInputs) -> None:
        self._inputs = inputs
        fleet = inputs.fleet
        names = [t.accelerator.name if t.accelerator else "" for t in fleet.types]
        self.types = tuple(dict.fromkeys(name for name in names if name))
        """Accelerator types of the cluster, in order of their first server."""
        code = {name: number for number, name in enumerate(self.types)}
        self.type_of_server = [code.get(names[kind], -1) for kind in fleet.type_of]
        """Per server; -1: it has no accelerators."""
        of_server = np.array(self.type_of_server, dtype=np.int64)
        self._of_server = of_server
        total = fleet.total
        self.type_accelerators = np.array(
            [int(total[of_server == number].sum()) for number in range(len(self.types))], dtype=np.int64
        )
        self._largest = [int(total[of_server == number].max()) for number in range(len(self.types))]
        self._masks: list[npt.NDArray[np.bool_]] = [of_server == number for number in range(len(self.types))]
        for mask in self._masks:
            mask.flags.writeable = False
        self._accepted = [
            {number for number, name in enumerate(self.types) if name in accepted}
            for accepted in (*inputs.jobs.type_constraints, self.types)
        ]
        self._known: dict[tuple[float, ...], float] = {}
        self._held: dict[tuple[float, ...], bool] = {}

    def mask(self, kind: int) -> npt.NDArray[np.bool_]:
        """Return (S,) the servers of an accelerator type."""
        return self._masks[kind]

    def relative(self, row: int, width: int) -> npt.NDArray[np.float64] | None:
        """Return (S,) a job's speed on each server over that on the fastest type; None where it runs nowhere."""
        rates = [self.steps_per_s(row, width, kind) for kind in range(len(self.types))]
        fastest = max(rates, default=0.0)
        if fastest <= 0.0:
            return None
        of_type = np.array([rate / fastest for rate in rates] + [0.0])  # the last for servers without any
        return np.asarray(of_type[self._of_server])

    def steps_per_s(self, row: int, width: int, kind: int) -> float:
        """Return the progress in the job's own steps/s; 0 where it cannot run."""
        jobs = self._inputs.jobs
        constraint = int(jobs.accelerator_types[row])
        if width < 1 or kind not in self._accepted[constraint] or not self._holds(row, width, kind):
            return 0.0
        span = int(jobs.max_servers[row])
        if span and -(-width // self._largest[kind]) > span:
            return 0.0
        profile, batch = int(jobs.profile[row]), int(jobs.batch_per_accelerator[row])
        share, asked = float(jobs.accelerator_share[row]), int(jobs.accelerators[row])
        noise = float(jobs.noise_scale_samples[row])
        division = int(jobs.parallelism[row])
        key = (profile, batch, width, asked, kind, share, -1.0 if math.isnan(noise) else noise, division)
        if key not in self._known:
            self._known[key] = self._rate(profile, batch, width, asked, kind, share, noise, division)
        return self._known[key]

    def _holds(self, row: int, width: int, kind: int) -> bool:
        """Return whether the empty servers of a type can hold a job's gang on as many of them as it may span."""
        if width > self.type_accelerators[kind]:
            return False
        jobs, fleet = self._inputs.jobs, self._inputs.fleet
        limit = int(jobs.max_servers[row])
        cores, memory = 0.0, 0.0
        if self._inputs.cpu_memory_binding:
            asked = max(1, int(jobs.accelerators[row]))
            cores, memory = float(jobs.cpu_cores[row]) / asked, float(jobs.memory_bytes[row]) / asked
        if not limit and not cores and not memory:
            return True
        key = (width, kind, limit, cores, memory)
        if key not in self._held:
            here = self._masks[kind]
            room = fleet.total[here].astype(np.float64)
            for has, wanted in ((fleet.cpu_cores, cores), (fleet.memory_bytes, memory)):
                if wanted > 0.0:  # the epsilon forgives the division by the width asked for
                    room = np.minimum(room, np.floor(has[here] / wanted * (1.0 + 1e-15)))
            roomiest = np.sort(room)[::-1][: limit or len(room)]
            self._held[key] = bool(roomiest.sum() >= width)
        return self._held[key]

    def _rate(
        self,
        profile: int,
        batch: int,
        width: int,
        asked: int,
        kind: int,
        share: float,
        noise: float,
        division: int,
    ) -> float:
        costs, largest = self._inputs.costs, min(width, self._largest[kind])
        shape = Shape(
            profile, batch, width, self.types[kind], 1.0, share, packed_layout(width, largest), division
        )
        rate = costs.foresee(shape).rate
        if width == asked:
            return rate
        return rate * relative_progress(width, asked, costs.batch(profile, batch), noise)
