"""What flows carried over which links and when: written down as it happens, put into time bins afterwards.

A flow is a set of uses of links, each with a weight: a byte of the flow puts that many bytes on the link.
While its rate holds it is one *stint*. Flows of many equal jobs change their rates together; they move with a
*clock* that grows piecewise linearly, and a stint on a clock says how many bytes go with a unit of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results.links import ListedLinks, no_links, no_tiers
from dcsim.simulation.traffic_bins import Clocks, Stints, Uses, coarser_edges_s, parts_in_bins
from dcsim.simulation.traffic_sums import LinkSums

__all__ = ["Traffic", "TrafficLog"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Traffic:
    """What a log came to."""

    links: dict[str, npt.NDArray[Any]]
    """Columns of `schema.LINKS`; `link` counts on `listed`."""
    tiers: dict[str, npt.NDArray[Any]]
    """Columns of `schema.TIERS`."""
    listed: ListedLinks


class TrafficLog:
    """Stints of flows, in any order.

    >>> log = TrafficLog()
    >>> both = log.uses([(0, 1.0), (1, 0.5)], tenant=0)
    >>> log.stint(0.0, 20.0, both, 100.0)
    >>> edges_s = np.array([0.0, 10.0, 40.0])
    >>> traffic = log.tables(edges_s, ["up", "down"], np.full(2, 10.0), ["ada"], names=["a up", "a down"])
    >>> traffic.links["link"].tolist(), traffic.links["bytes"].tolist()
    ([0, 0, 1, 1], [50.0, 50.0, 25.0, 25.0])
    """

    def __init__(self) -> None:
        self._links, self._weights = array("q"), array("d")
        self._first_use, self._tenant = array("q", [0]), array("q")
        self._steady = _Columns()
        self._clocked = _Columns()
        self._stint_clock = array("q")
        self._clock, self._clock_s, self._clock_total = array("q"), array("d"), array("d")

    def uses(self, links: Sequence[tuple[int, float]], tenant: int) -> int:
        """Register a set of uses and return its number; equal flows may share one.

        Args:
            links: (link, weight), weight > 0; a link may come more than once.
            tenant: index of whose traffic it is; -1: nobody's.
        """
        for link, weight in links:
            self._links.append(link)
            self._weights.append(weight)
        self._first_use.append(len(self._links))
        self._tenant.append(tenant)
        return len(self._tenant) - 1

    def many_uses(self, counts: Ints, links: Ints, weights: Floats, tenants: Ints) -> int:
        """Register many sets of uses at once and return the number of the first; the others follow it.

        Args:
            counts: (K,) links of each set.
            links: (U,) of all sets one after the other.
            weights: (U,) > 0.
            tenants: (K,) whose traffic each is; -1: nobody's.
        """
        first = len(self._tenant)
        before = len(self._links)
        self._links.frombytes(np.asarray(links, dtype=np.int64).tobytes())
        self._weights.frombytes(np.asarray(weights, dtype=np.float64).tobytes())
        self._first_use.frombytes((before + np.cumsum(counts, dtype=np.int64)).tobytes())
        self._tenant.frombytes(np.asarray(tenants, dtype=np.int64).tobytes())
        return first

    def stint(self, start_s: float, end_s: float, uses: int, bytes_: float) -> None:
        """Log that a flow carried bytes at a constant rate; all at once where start and end are one.

        Args:
            start_s: begin in s.
            end_s: end in s, not before the start.
            uses: what `uses` returned.
            bytes_: of the flow, before the weights of its links; >= 0.
        """
        self._steady.add(start_s, end_s, uses, bytes_)

    def stints(self, start_s: Floats, end_s: Floats, uses: Ints, bytes_: Floats) -> None:
        """Log many stints at once: (K,) arrays of what `stint` takes."""
        self._steady.extend(start_s, end_s, uses, bytes_)

    def clock(self, clock: int, time_s: float, total: float) -> None:
        """Log where a clock stands; between two such points it is linear.

        Args:
            clock: the number that the caller gives it.
            time_s: when, in s; not before the clock's last point.
            total: what it shows; not less than before.
        """
        self._clock.append(clock)
        self._clock_s.append(time_s)
        self._clock_total.append(total)

    def stint_on_clock(
        self, clock: int, start_s: float, end_s: float, uses: int, bytes_per_unit: float
    ) -> None:
        """Log that a flow carried so many bytes for each unit by which a clock moved on from start to end.

        The clock's points must reach from the start to the end.
        """
        self._clocked.add(start_s, end_s, uses, bytes_per_unit)
        self._stint_clock.append(clock)

    def tables(
        self,
        edges_s: Floats,
        link_tiers: Sequence[str],
        capacities: Sequence[float] | Floats,
        tenants: Sequence[str],
        *,
        names: Sequence[str],
        operations: Sequence[bool] = (),
    ) -> Traffic:
        """Return the bytes on links and tiers in time bins; a bin without traffic is exactly 0 and has no row.

        Args:
            edges_s: (B + 1,) ascending, from 0 to the end of the run; merged to at most `MAX_BINS` bins.
            link_tiers: (L,) tier of each link.
            capacities: (L,) bytes/s, > 0; may be inf.
            tenants: names on which the tenants of `uses` count.
            names: (L,) of the links.
            operations: (L,) whether a link counts operations in place of bytes; empty: none does.

        Raises:
            ValueError: a stint ends after the last bin, or reaches beyond the points of its clock.
        """
        edges = coarser_edges_s(edges_s)
        capacity = np.asarray(capacities, dtype=np.float64)
        if len(edges) < 2:
            return Traffic(no_links(), no_tiers(), ListedLinks())
        uses = Uses(_ints(self._first_use), _ints(self._links), _doubles(self._weights), _ints(self._tenant))
        sums = LinkSums(uses, edges, link_tiers, capacity, tenants, operations)
        clocks = Clocks(_ints(self._clock), _doubles(self._clock_s), _doubles(self._clock_total))
        for part in parts_in_bins(self._steady.stints(), edges):
            sums.add(*part)
        for part in parts_in_bins(self._clocked.stints(), edges, _ints(self._stint_clock), clocks):
            sums.add(*part)
        links, listed = sums.links_table(names)
        return Traffic(links, sums.tiers_table(), listed)


class _Columns:
    """Stints as they come."""

    def __init__(self) -> None:
        self.start_s, self.end_s = array("d"), array("d")
        self.uses, self.amount = array("q"), array("d")

    def add(self, start_s: float, end_s: float, uses: int, amount: float) -> None:
        self.start_s.append(start_s)
        self.end_s.append(end_s)
        self.uses.append(uses)
        self.amount.append(amount)

    def extend(self, start_s: Floats, end_s: Floats, uses: Ints, amount: Floats) -> None:
        for column, values in ((self.start_s, start_s), (self.end_s, end_s), (self.amount, amount)):
            column.frombytes(np.asarray(values, dtype=np.float64).tobytes())
        self.uses.frombytes(np.asarray(uses, dtype=np.int64).tobytes())

    def stints(self) -> Stints:
        return Stints(_doubles(self.start_s), _doubles(self.end_s), _ints(self.uses), _doubles(self.amount))


def _doubles(values: array[float]) -> Floats:
    return np.frombuffer(values, dtype=np.float64) if values else np.zeros(0)


def _ints(values: array[int]) -> Ints:
    return np.frombuffer(values, dtype=np.int64) if values else np.zeros(0, dtype=np.int64)
