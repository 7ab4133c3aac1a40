"""Random placement: a server, and a device of it, by a number drawn for the job."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dcsim.policies.base import PlacementPolicy
from dcsim.policies.gangs import fill, on_one_server
from dcsim.policies.views import ClusterView, Placement, PlacementRequest

__all__ = ["RandomFit"]

Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.uint64]

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1
_DEVICES_APART = np.uint64(1 << 32)


class RandomFit(PlacementPolicy):
    """Any server that holds the gang, each as likely as the others; else servers in a random order.

    The job's number (`request.draw`) gives every server a rank; the first that fits is taken. So a
    question has one answer, and the same job meets the same ranks under other policies' runs.
    """

    name: ClassVar[str] = "random"
    optimises: ClassVar[str] = "nothing: the yardstick for the others"
    source: ClassVar[str] = (
        "the baseline of Weng et al., USENIX ATC (2023); ranks by Steele et al., OOPSLA (2014)"
    )
    needs: ClassVar[str] = "what is free on each server; a number drawn for the job"
    draws: ClassVar[bool] = True
    weighs_types: ClassVar[bool] = True

    def place(self, request: PlacementRequest, view: ClusterView) -> Placement | None:
        """Return the fitting server of least rank, or the servers of least rank that hold the gang."""
        room = view.room(request)
        servers = np.flatnonzero(room >= max(1, request.accelerators))
        if len(servers):
            return on_one_server(int(servers[_ranks(request.draw, servers).argmin()]), request)
        if request.max_servers == 1 or request.accelerators <= 1:
            return None
        servers = np.flatnonzero(room)
        servers = servers[np.argsort(_ranks(request.draw, servers), kind="stable")]
        types = np.zeros_like(room) if view.accelerator_type is None else view.accelerator_type
        # All of a gang is on one type: that of the server of least rank, or the next.
        for code in dict.fromkeys(types[servers].tolist()):
            of_type = servers[types[servers] == code]
            placement = fill(_roomy(of_type, room, request), room, request)
            if placement is not None:
                return placement
        return None

    def device(self, request: PlacementRequest, view: ClusterView, server: int) -> int:
        """Return any device with enough free, each as likely as the others."""
        wanted = np.ceil(request.accelerator_share * 1000.0 - 1e-6)
        devices = np.flatnonzero(view.units()[server] >= wanted)
        if request.accelerator_share == 1.0 or not len(devices):
            return -1
        # Other numbers than the servers': the server was taken for its low rank.
        salted = (devices.astype(np.uint64) + np.uint64(1)) * _DEVICES_APART + np.uint64(server)
        return int(devices[_ranks(request.draw, salted.astype(np.int64)).argmin()])


def _roomy(servers: Ints, room: Ints, request: PlacementRequest) -> Ints:
    """Return servers in their order, without those too small for a gang over a limited number of them."""
    if not request.max_servers:
        return servers
    for least in range(1, int(room.max(initial=0)) + 1):
        chosen = servers[room[servers] >= least]
        if room[chosen[: request.max_servers]].sum() >= request.accelerators:
            return chosen
    # Rooms so unlike that no threshold does: those with most room.
    return servers[np.argsort(-room[servers], kind="stable")]


def _ranks(draw: float, numbers: Ints) -> Masks:
    """Return (K,) ranks: a bijective mix of each number and the draw (SplitMix64's finisher)."""
    word = np.uint64(int(draw * 2.0**53) * _GOLDEN & _WORD)
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) ^ word
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
