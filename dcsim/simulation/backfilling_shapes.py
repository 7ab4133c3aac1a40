"""The shapes of waiting jobs: which might fit now, and which were refused, though they be thousands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.simulation.placing import Placer

__all__ = ["Refused", "Shapes", "devices_needed"]

_WIDTH, _CORES, _MEMORY = 0, 3, 4
"""Places in what `Placer.shape` returns."""
_SLACK = 1.0 - 1e-9
"""What is free may be that much less than what is asked for: the placement policy has the last word."""


def devices_needed(placer: Placer) -> list[int]:
    """Return (N,) whole free devices without which each job does not fit: 0 for a part of one."""
    return [width if share == 1.0 else 0 for width, share in zip(placer.width, placer.share, strict=True)]


class Refused:
    """Shapes that were refused, and with each all that differ only in asking for as much cores and memory, or more.

    Args:
        like: (K,) shapes with the same number differ in nothing but cores and memory.
        cores: (K,) for each device.
        memory_bytes: (K,) for each device.

    >>> refused = Refused([0, 0, 0, 1], [4.0, 8.0, 3.0, 8.0], [1.0, 1.0, 1.0, 1.0])
    >>> refused.add(0)
    >>> [shape in refused for shape in range(4)]
    [True, True, False, False]
    """

    def __init__(self, like: Sequence[int], cores: Sequence[float], memory_bytes: Sequence[float]) -> None:
        self._like = like
        self._asks = list(zip(cores, memory_bytes, strict=True))
        self._least: dict[int, list[tuple[float, float]]] = {}

    def __contains__(self, shape: int) -> bool:
        least = self._least.get(self._like[shape])
        if least is None:
            return False
        cores, memory = self._asks[shape]
        return any(c <= cores and m <= memory for c, m in least)

    def add(self, shape: int) -> None:
        """Refuse a shape that is not refused yet."""
        cores, memory = asks = self._asks[shape]
        least = self._least.setdefault(self._like[shape], [])
        least[:] = [(c, m) for c, m in least if c < cores or m < memory]
        least.append(asks)

    def clear(self) -> None:
        """Refuse nobody."""
        self._least.clear()


class Shapes:
    """All shapes of a run's jobs, numbered 0, 1, ..., and those of which jobs wait.

    Args:
        placer: says what a placement depends on, and what is free.
    """

    def __init__(self, placer: Placer) -> None:
        self._fleet = placer.fleet
        self._binding = placer.inputs.cpu_memory_binding
        number: dict[tuple[float, ...], int] = {}
        like: dict[tuple[float, ...], int] = {}
        self._like: list[int] = []
        self._need: list[int] = []
        self._cores: list[float] = []
        self._memory: list[float] = []
        of_job = []
        for job, need in enumerate(devices_needed(placer)):
            whole = placer.shape(job)
            without_host = whole[:_CORES] + whole[_MEMORY + 1 :]
            parts = max(1.0, whole[_WIDTH])
            shape = number.setdefault(whole if self._binding else without_host, len(number))
            of_job.append(shape)
            if shape == len(self._need):
                self._like.append(like.setdefault(without_host, len(like)))
                self._need.append(need)
                self._cores.append(whole[_CORES] / parts if self._binding else 0.0)
                self._memory.append(whole[_MEMORY] / parts if self._binding else 0.0)
        self.of_job: npt.NDArray[np.int64] = np.array(of_job, dtype=np.int64)
        """(N,)"""
        self._only_whole = min(self._need, default=1) > 0
        # The shapes of which jobs wait, side by side, in any order.
        self._place: dict[int, int] = {}
        self._shapes = np.zeros(16, dtype=np.int64)
        self._needs = np.zeros(16, dtype=np.int64)
        self._cores_each = np.zeros(16)
        self._memory_each = np.zeros(16)

    def refused(self) -> Refused:
        """Return an empty set of refused shapes."""
        return Refused(self._like, self._cores, self._memory)

    def __len__(self) -> int:
        return len(self._place)

    def enter(self, shape: int) -> None:
        """Jobs of a shape wait from now on."""
        at = len(self._place)
        self._place[shape] = at
        if at == len(self._shapes):
            columns = (self._shapes, self._needs, self._cores_each, self._memory_each)
            self._shapes, self._needs, self._cores_each, self._memory_each = (
                np.concatenate([column, np.zeros_like(column)]) for column in columns
            )
        self._shapes[at], self._needs[at] = shape, self._need[shape]
        self._cores_each[at] = self._cores[shape] * _SLACK
        self._memory_each[at] = self._memory[shape] * _SLACK

    def leave(self, shape: int) -> None:
        """No job of a shape waits any more."""
        at, last = self._place.pop(shape), len(self._place)
        if at < last:
            for column in (self._shapes, self._needs, self._cores_each, self._memory_each):
                column[at] = column[last]
            self._place[int(self._shapes[at])] = at

    def possible(self, room: int) -> list[int]:
        """Return the waiting shapes that might fit now, ascending.

        Args:
            room: devices that are free, or more.
        """
        count = len(self._place)
        fits = self._needs[:count] <= room
        if self._binding and count:
            fleet = self._fleet
            with_device = fleet.free > 0 if self._only_whole else np.ones(len(fleet), dtype=np.bool_)
            fits &= self._cores_each[:count] <= fleet.free_cpu.max(initial=0.0, where=with_device)
            fits &= self._memory_each[:count] <= fleet.free_memory.max(initial=0.0, where=with_device)
        found: list[int] = np.sort(self._shapes[:count][fits]).tolist()
        return found
