"""Placement policies that score each server where the job fits and take the best, the first of equals.

As in the Kubernetes scheduler, scores are whole numbers; cores count in thousandths. A gang wider
than any server goes on the fewest servers.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.errors import PolicyError
from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fewest_servers, on_one_server
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["BestFitVector", "DotProduct", "GpuClustering", "GpuPacking", "ScoringPolicy"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WHOLE = 1000
_MOST_LEVELS = 1_000_000
_FGD_PAPER = "as in Weng et al., USENIX ATC (2023)"


class ScoringPolicy(PlacementPolicy):
    """The server with the highest score of those where the job fits.

    Args:
        levels: scores are rounded down to whole numbers of so many between 0 and 1, as Kubernetes does
            with 100: near-equals become equals and the first server goes first. 0: not rounded.
    """

    weighs_types: ClassVar[bool] = True
    complexity: ClassVar[str] = "O(accelerators)"

    def __init__(self, *, levels: float = 100) -> None:
        if not (0 <= levels <= _MOST_LEVELS and levels == int(levels)):
            msg = f"{self.name}.levels: {levels!r} -> expected a whole number in [0, {_MOST_LEVELS}]"
            raise PolicyError(msg)
        self.levels = int(levels)

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the server with the best score, or the fewest servers with most room."""
        room = view.room(request)
        servers = np.flatnonzero(room >= max(1, request.accelerators))
        if len(servers):
            best = int(self.scores(request, view, servers).argmax())
            return on_one_server(int(servers[best]), request)
        return _widely(room, request, view)

    @abstractmethod
    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats | Ints:
        """Return (K,) the score of each of these servers, where the request fits; higher is better."""

    def rounded(self, score: Floats) -> Floats:
        """Return scores in 0..1 as whole numbers of `levels`."""
        return np.floor(score * self.levels) if self.levels else score


def _widely(room: Ints, request: PlacementRequest, view: ClusterView) -> Placement | None:
    """Place a gang on several servers of one accelerator type: of the one that needs fewest servers."""
    if view.accelerator_type is None or request.accelerators <= 1:
        return fewest_servers(room, request)
    found = [
        fewest_servers(np.where(view.accelerator_type == code, room, 0), request)
        for code in range(int(view.accelerator_type.max(initial=-1)) + 1)
    ]
    return min((placement for placement in found if placement is not None), key=len, default=None)


def _wanted_units(request: PlacementRequest) -> float:
    """Return the thousandths of devices wanted in all."""
    return round(request.accelerators * request.accelerator_share * _WHOLE)


def _capacity(view: ClusterView) -> tuple[float, float]:
    """Return thousandths of cores and of devices of the largest servers, at least one."""
    cores = view.free_cpu_cores if view.cpu_cores is None else view.cpu_cores
    return max(1.0, float(np.rint(cores.max() * 1000.0))), max(1.0, view.largest_server * float(_WHOLE))


def _milli_cores(cores: Floats) -> Floats:
    """Return cores in whole thousandths."""
    return np.rint(cores * 1000.0)


class BestFitVector(ScoringPolicy):
    """The server left with the least cores and accelerators, each over the largest server's, half and half."""

    name: ClassVar[str] = "best_fit_vector"
    optimises: ClassVar[str] = "room kept whole in both dimensions"
    source: ClassVar[str] = f"Panigrahy et al., Heuristics for vector bin packing, MSR (2011), {_FGD_PAPER}"
    needs: ClassVar[str] = "free cores and accelerators of each server"

    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats:
        """Return 1 - the mean of what is left over the largest server, rounded down."""
        most_cores, most_units = _capacity(view)
        cores_left = _milli_cores(view.free_cpu_cores[servers]) - round(request.cpu_cores * 1000.0)
        units_left = view.units()[servers].sum(axis=1, dtype=np.int64) - _wanted_units(request)
        return self.rounded(1.0 - (cores_left / most_cores * 0.5 + units_left / most_units * 0.5))


class DotProduct(ScoringPolicy):
    """The server whose free cores and accelerators have the smallest dot product with the wanted ones."""

    name: ClassVar[str] = "dot_prod"
    optimises: ClassVar[str] = "large servers kept for large jobs in both dimensions"
    source: ClassVar[str] = f"Grandl et al., Tetris, SIGCOMM (2014), {_FGD_PAPER}"
    needs: ClassVar[str] = "free cores and accelerators of each server"

    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats:
        """Return 1 - half the dot product of free and wanted over the largest server's, rounded down."""
        most_cores, most_units = _capacity(view)
        cores = _milli_cores(view.free_cpu_cores[servers]) / most_cores
        units = view.units()[servers].sum(axis=1, dtype=np.int64) / most_units
        wanted_cores = round(request.cpu_cores * 1000.0) / most_cores
        product = cores * wanted_cores + units * (_wanted_units(request) / most_units)
        return self.rounded(1.0 - product / 2.0)


class GpuClustering(ScoringPolicy):
    """Servers that hold jobs of the same kind (parts, or the same number of devices), the fullest first.

    Best are servers with that kind only, then those with that kind among others, then empty ones; each
    of the four classes is a quarter of the scores.
    """

    name: ClassVar[str] = "gpu_clustering"
    optimises: ClassVar[str] = "jobs of a kind together, so that what they leave fits their like"
    source: ClassVar[str] = f"Xiao et al., Gandiva, OSDI (2018), {_FGD_PAPER}"
    needs: ClassVar[str] = "which kinds of jobs each server holds"
    counts_kinds: ClassVar[bool] = True

    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats:
        """Return the class of each server, and within it how full its accelerators are."""
        if request.accelerators == 0:
            return np.zeros(len(servers))
        most_units = _capacity(view)[1]
        left = view.units()[servers].sum(axis=1, dtype=np.int64)
        fullness = (most_units - left) / most_units
        same, empty, alone = self._kinds(request, view, servers, left)
        quarter = np.where(same, np.where(alone, 0.75, 0.5), np.where(empty, 0.25, 0.0))
        step = self.levels // 4 if self.levels else 1
        within = np.floor(step * fullness) if self.levels else fullness
        classed: Floats = quarter * 4.0 * step + within
        return classed

    @staticmethod
    def _kinds(
        request: PlacementRequest, view: ClusterView, servers: Ints, left: Ints
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return (K,) whether a server holds jobs of this kind, none at all, and of one kind only."""
        if view.job_kinds is None:
            empty = left == view.total_accelerators[servers] * _WHOLE
            return np.zeros(len(servers), dtype=bool), empty, empty
        kinds = view.job_kinds[servers]
        kind = min(request.accelerators, 63) if request.accelerator_share == 1.0 else 0
        bit = np.uint64(1 << kind)
        return (kinds & bit) != 0, kinds == 0, kinds == bit


class GpuPacking(ScoringPolicy):
    """Devices in use first, the fullest of them; then free ones of servers in use; then empty servers."""

    name: ClassVar[str] = "gpu_packing"
    optimises: ClassVar[str] = "whole free accelerators, then whole free servers"
    source: ClassVar[str] = f"Weng et al., MLaaS in the Wild, NSDI (2022), {_FGD_PAPER}"
    needs: ClassVar[str] = "what is free on each device"
    complexity: ClassVar[str] = "O(accelerators log devices of a server)"

    def scores(self, request: PlacementRequest, view: ClusterView, servers: Ints) -> Floats | Ints:
        """Return up to 100 on used devices, up to 50 with free ones, up to 33 on an empty server."""
        if request.accelerators == 0:
            return np.zeros(len(servers))
        there = np.arange(view.units().shape[1]) < view.total_accelerators[servers][:, None]
        units = np.sort(np.where(there, view.units()[servers], np.int16(-1)), axis=1).astype(np.int64)
        wanted = request.accelerator_share * _WHOLE - 1e-6
        enough = units >= wanted
        used = enough & (np.cumsum(enough, axis=1) <= request.accelerators)
        whole_used = (used & (units == _WHOLE)).sum(axis=1)
        tenths_free = np.where(used, units // 10, 0).sum(axis=1) // 10
        whole = (units == _WHOLE).sum(axis=1)
        in_use = np.where(whole_used > 0, np.maximum(50 - whole_used, 33), np.maximum(100 - tenths_free, 50))
        empty = whole == view.total_accelerators[servers]
        score: Ints = np.where(empty, np.maximum(33 - whole, whole), in_use)
        return score
