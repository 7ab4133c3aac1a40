"""Fragmentation gradient descent: each job goes where it adds least to what typical jobs cannot use."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.fragmentation import TypicalJobs, fragmented_units, typical_jobs
from dcsim.policies.placement_scores import ScoringPolicy
from dcsim.policies.views import ClusterView, DemandView, PlacementRequest

__all__ = ["FragmentationGradient"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WHOLE = 1000
_MOST_SHAPES = 512
"""Shapes of requests whose gradients are remembered."""
_MOST_VIEWS = 4


class FragmentationGradient(ScoringPolicy):
    """Where the fragmentation that typical jobs would see grows least, on the device where it does.

    What is remembered from one decision to the next only saves time: gradients are computed again for
    every server whose free resources have changed since.

    Args:
        popularity: part of all jobs that the typical shapes make up, (0, 1].
        levels: the gradient in accelerators, squeezed into 0..1 by a logistic, counts in so many steps,
            rounded down; 0: not squeezed, not rounded. The authors' simulator has 100.
    """

    name: ClassVar[str] = "fgd"
    optimises: ClassVar[str] = "accelerators that the jobs to come can use"
    source: ClassVar[str] = "Weng et al., Beware of Fragmentation, USENIX ATC (2023), algorithm 1"
    needs: ClassVar[str] = "free cores and devices; how often each shape of job comes in the run"
    complexity: ClassVar[str] = "O(servers + changed servers * devices^2 * typical shapes)"
    knows_demand: ClassVar[bool] = True

    def __init__(self, *, popularity: float = 0.95, levels: float = 100) -> None:
        super().__init__(levels=levels)
        if not 0.0 < popularity <= 1.0:
            msg = f"{self.name}.popularity: {popularity!r} -> expected a fraction in (0, 1]"
            raise PolicyError(msg)
        self.popularity = popularity
        self._memory = _Memories()

    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats:
        """Return how little each server's fragmentation grows, in `levels`."""
        memory = self._memory.of(view)
        shape = memory.shape(request, view, self.popularity)
        missing = servers[~shape.known[servers]]
        if len(missing):
            gradient, _ = _gradients(request, view, missing, memory.typical, self.levels)
            shape.score[missing] = gradient
            shape.known[missing] = True
        return shape.score[servers]

    def device(self, request: PlacementRequest, view: ClusterView, server: int) -> int:
        """Return the device on which the gradient is best, the first of equals."""
        if request.accelerator_share == 1.0:
            return -1
        memory, servers = self._memory.of(view), np.array([server])
        memory.shape(request, view, self.popularity)
        return int(_gradients(request, view, servers, memory.typical, self.levels)[1][0])


def _gradients(
    request: PlacementRequest, view: ClusterView, servers: Ints, typical: TypicalJobs, levels: int
) -> tuple[Floats, Ints]:
    """Return (K,) scores of placing a request on each server, and the device for a part of one, else -1."""
    units = view.units()[servers]
    cores = view.free_cpu_cores[servers] if view.cpu_memory_binding else np.full(len(servers), np.inf)
    cores_after = cores - request.cpu_cores
    before = fragmented_units(units, cores, servers, typical)
    if request.accelerator_share == 1.0:
        whole = units == _WHOLE
        taken = whole & (np.cumsum(whole, axis=1) <= request.accelerators)
        after = fragmented_units(np.where(taken, np.int16(0), units), cores_after, servers, typical)
        return _squeezed(before - after, levels), np.full(len(servers), -1, dtype=np.int64)
    wanted = int(np.ceil(request.accelerator_share * _WHOLE - 1e-6))
    row, device = np.nonzero(units >= wanted)
    changed = units[row]
    changed[np.arange(len(row)), device] -= np.int16(wanted)
    after = fragmented_units(changed, cores_after[row], servers[row], typical)
    scores = np.full(units.shape, -np.inf)
    scores[row, device] = _squeezed(before[row] - after, levels)
    return scores.max(axis=1), scores.argmax(axis=1)


def _squeezed(gained: Floats, levels: int) -> Floats:
    """Return a score of thousandths of fragmentation saved."""
    return np.floor(levels / (1.0 + np.exp(-gained / _WHOLE))) if levels else gained


class _Shape:
    """The gradients of one shape of request on each server, as far as they are known."""

    __slots__ = ("known", "score", "tick")

    def __init__(self, servers: int) -> None:
        self.score = np.zeros(servers)
        self.known = np.zeros(servers, dtype=bool)
        self.tick = 0


class _Memories:
    """What was computed before, for each of the last few views (plans for later have one of their own)."""

    def __init__(self) -> None:
        self._latest: list[_Memory] = []

    def __repr__(self) -> str:
        return "<gradients computed before>"

    def __getstate__(self) -> dict[str, object]:
        return {"_latest": []}

    def of(self, view: ClusterView) -> _Memory:
        """Return what is known of the servers behind a view."""
        found = next((memory for memory in self._latest if memory.view is view), None)
        if found is None:
            found = _Memory(view)
            self._latest = [found, *self._latest[: _MOST_VIEWS - 1]]
        return found


class _Memory:
    """The gradients on the servers of one view, and which servers have changed since."""

    def __init__(self, view: ClusterView) -> None:
        self.view = view
        self.typical: TypicalJobs
        self._demand: DemandView | None = None
        self._shapes: dict[tuple[int, float, float], _Shape] = {}
        self._units, self._cores = view.units().copy(), view.free_cpu_cores.copy()
        self._changed_at = np.zeros(len(view.rack), dtype=np.int64)
        self._tick = 0

    def shape(self, request: PlacementRequest, view: ClusterView, popularity: float) -> _Shape:
        """Return the gradients of requests like this one; those of changed servers are unknown again."""
        if self._demand is None or view.demand is None:
            # Nothing told of the jobs to come: the one at hand stands for all of them.
            self._demand = _demand_of(request) if view.demand is None else view.demand
            self.typical, self._shapes = typical_jobs(self._demand, popularity), {}
        self._note_changes(view)
        key = (request.accelerators, request.accelerator_share, request.cpu_cores)
        if key not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[key] = _Shape(len(view.rack))
        shape = self._shapes[key]
        if shape.tick != self._tick:
            shape.known &= self._changed_at <= shape.tick
            shape.tick = self._tick
        return shape

    def _note_changes(self, view: ClusterView) -> None:
        units = view.units()
        changed = (units != self._units).any(axis=1) | (view.free_cpu_cores != self._cores)
        servers = np.flatnonzero(changed)
        if len(servers):
            self._tick += 1
            self._changed_at[servers] = self._tick
            self._units[servers] = units[servers]
            self._cores[servers] = view.free_cpu_cores[servers]


def _demand_of(request: PlacementRequest) -> DemandView:
    """Return a demand of jobs like one request only."""
    return DemandView(
        np.array([request.accelerators]),
        np.array([request.accelerator_share]),
        np.array([request.cpu_cores]),
        np.array([request.memory_bytes]),
        (request.allowed,),
        np.array([1]),
    )
