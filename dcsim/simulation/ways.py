"""The ways that traffic takes now, over the network as failures have left it; to who is cut off, a dead end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dcsim.errors import UnreachableError
from dcsim.facility.network import Network

__all__ = ["Ways"]

Uses = list[tuple[int, float]]


class Ways:
    """Links that transfers cross, as `Network` finds them.

    Where failed links leave no way, a flow lies on a link without any bandwidth and stands still until a
    repair gives it another one.

    Args:
        network: its routes.
        dead_end: number of a link of capacity 0.
    """

    def __init__(self, network: Network, dead_end: int) -> None:
        self.network = network
        self.dead_end = dead_end
        self._as_built: Ways | None = None

    def as_built(self) -> Ways:
        """Return the ways that traffic took when nothing had failed."""
        if self.network.is_whole:
            return self
        if self._as_built is None:
            self._as_built = Ways(self.network.as_built(), self.dead_end)
        return self._as_built

    def uses(self, transfers: Iterable[tuple[int, int, float]], key: int = 0) -> Uses:
        """Return (link, weight) of transfers between servers, as `Network.uses`."""
        try:
            return self.network.uses(transfers, key)
        except UnreachableError:
            return [(self.dead_end, 1.0)]

    def feed_uses(self, streams: Sequence[tuple[int, float]]) -> Uses:
        """Return (link, weight) from storage to servers, as `Network.feed_uses`."""
        try:
            return self.network.feed_uses(streams)
        except UnreachableError:
            return [(self.dead_end, 1.0)]

    def read_uses(self, streams: Sequence[tuple[int, float]], key: int = 0, /) -> Uses:
        """Return (link, weight) from storage to servers, as `Network.read_uses`."""
        try:
            return self.network.read_uses(streams, key)
        except UnreachableError:
            return [(self.dead_end, 1.0)]

    def write_uses(self, streams: Sequence[tuple[int, float]], key: int = 0, /) -> Uses:
        """Return (link, weight) from servers to storage, as `Network.write_uses`."""
        try:
            return self.network.write_uses(streams, key)
        except UnreachableError:
            return [(self.dead_end, 1.0)]

    def latency_s(self, source: int, target: int) -> float:
        """Return the latency from one server to another [s]; 0 where there is no way."""
        try:
            return self.network.latency_s(source, target)
        except UnreachableError:
            return 0.0

    def built_bandwidth_bytes_per_s(self, link: int) -> float:
        """Return what a link gave as it was built [bytes/s]; the dead end counts as a server's own link would."""
        if link == self.dead_end:
            return self.network.nominal_bandwidth_bytes_per_s
        return self.network.built_bandwidth_bytes_per_s(link)
