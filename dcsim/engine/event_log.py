"""The event log: typed columns that grow in place and reach Arrow without a copy."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

__all__ = ["EventLog"]


class EventLog:
    """One row an event: time_s (float64), kind (int16), job, server (int32), value (float64).

    >>> log = EventLog()
    >>> log.add(1.5, 2, 0, 7, 8.0)
    >>> log.columns()["server"].tolist()
    [7]
    """

    __slots__ = ("_job", "_kind", "_server", "_time_s", "_value")

    def __init__(self) -> None:
        self._time_s = array("d")
        self._kind = array("h")
        self._job = array("i")
        self._server = array("i")
        self._value = array("d")

    def __len__(self) -> int:
        return len(self._time_s)

    def add(self, time_s: float, kind: int, job: int, server: int, value: float) -> None:
        """Append one event; -1 stands for no job or no server."""
        self._time_s.append(time_s)
        self._kind.append(kind)
        self._job.append(job)
        self._server.append(server)
        self._value.append(value)

    def extend(
        self,
        time_s: npt.NDArray[np.float64],
        kind: npt.NDArray[np.integer],
        job: npt.NDArray[np.integer],
        server: npt.NDArray[np.integer],
        value: npt.NDArray[np.float64],
    ) -> None:
        """Append many events, columns (K,) of what `add` takes."""
        self._time_s.frombytes(time_s.astype(np.float64).tobytes())
        self._kind.frombytes(kind.astype(np.int16).tobytes())
        self._job.frombytes(job.astype(np.int32).tobytes())
        self._server.frombytes(server.astype(np.int32).tobytes())
        self._value.frombytes(value.astype(np.float64).tobytes())

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the columns by name; they share the log's memory, so add nothing afterwards."""
        return {
            "time_s": np.frombuffer(self._time_s, dtype=np.float64),
            "kind": np.frombuffer(self._kind, dtype=np.int16),
            "job": np.frombuffer(self._job, dtype=np.int32),
            "server": np.frombuffer(self._server, dtype=np.int32),
            "value": np.frombuffer(self._value, dtype=np.float64),
        }
