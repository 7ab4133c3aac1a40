"""What one step of a gang exchanges where it is placed: over which links, in which order, how long alone.

Bytes and who sends them to whom follow from the cost profile and the layout (`dcsim.workload.step_traffic`);
the network says which links that crosses. Alone means with nobody else there, on links as they were built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dcsim.facility.hardware import Accelerator
from dcsim.policies.views import Placement
from dcsim.simulation.ways import Ways
from dcsim.workload.collective_cost import AlgorithmChoice, Links, pattern_time_s
from dcsim.workload.collectives import SWITCH, Pattern
from dcsim.workload.overlap import exposed_communication_s
from dcsim.workload.parallel import Layout
from dcsim.workload.profile import CollectiveTraffic
from dcsim.workload.step_traffic import DimensionStep, StepTraffic, step_traffic

__all__ = ["Exchange", "ExchangePart", "Exchanges"]

Uses = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExchangePart:
    """One collective of a step, or the part of it inside servers or between them."""

    uses: Uses
    """(link, weight): the busiest has weight 1."""
    reference_bytes: float
    """What a step puts on the busiest link."""
    cap_bytes_per_s: float
    """As fast as the devices' own links let it, whatever the shared ones give."""
    latency_s: float
    """Rounds that wait for each other, before anything else."""
    alone_s: float
    overlap_fraction: float
    """Part of the time of computing behind which it may hide."""

    @property
    def alone_bytes_per_s(self) -> float:
        """As fast as it goes with nobody else on links as they were built."""
        bytes_s = self.alone_s - self.latency_s
        return self.reference_bytes / bytes_s if bytes_s > 0.0 else math.inf


@dataclass(frozen=True, eq=False)
class Exchange:
    """All that a step exchanges, in the order of its parts."""

    parts: tuple[ExchangePart, ...]
    sent_bytes: float
    """Between servers, in all."""
    bubble_fraction: float
    """Time that stages of a pipeline wait for each other, over that of computing."""
    inside: tuple[Uses, float]
    """Fabric links on which it holds nobody back, with their weights and the bytes of the busiest: for the records only."""
    nominal_bytes: float = 0.0
    """A step through the busiest server, where it is not said yet which servers those are."""

    @cached_property
    def together(self) -> tuple[Uses, float]:
        """(link, weight) and bytes a step on the busiest link, of all parts together."""
        total: dict[int, float] = {}
        for part in self.parts:
            for link, weight in part.uses:
                total[link] = total.get(link, 0.0) + weight * part.reference_bytes
        busiest = max(total.values(), default=0.0)
        return _weights(total, busiest), busiest

    @property
    def busiest_bytes(self) -> float:
        """Bytes a step on the busiest link, or through the busiest server where links are not known yet."""
        return self.nominal_bytes or self.together[1]

    @cached_property
    def times(self) -> tuple[tuple[float, float], ...]:
        """(time alone [s], part of computing behind which it may hide) of each part."""
        return tuple([(part.alone_s, part.overlap_fraction) for part in self.parts])

    def waited_s(self, compute_s: float) -> float:
        """Return the time that a step waits for exchange and for other stages, alone [s]."""
        return self.bubble_fraction * compute_s + exposed_communication_s(self.times, compute_s)

    def hidden_s(self, compute_s: float) -> float:
        """Return the time of exchange that computing hides, alone [s]."""
        return math.fsum(time_s for time_s, _ in self.times) - exposed_communication_s(self.times, compute_s)


def _weights(total: dict[int, float], busiest: float) -> Uses:
    if busiest <= 0.0:
        return ()
    return tuple(sorted((link, size / busiest) for link, size in total.items() if size > 0.0))


class Exchanges:
    """Exchanges by layout and placement, what can be known once of each kept.

    Args:
        ways: that transfers take.
        algorithm: of all collectives.
        fabric_bound: (S,) whether the inside of a server gives less than its devices can ask for together.
    """

    def __init__(self, ways: Ways, algorithm: AlgorithmChoice, fabric_bound: Sequence[bool]) -> None:
        self._ways = ways
        self._network = network = ways.network
        self._algorithm = algorithm
        self._fabric_bound = fabric_bound
        self._traffic: dict[tuple[object, ...], StepTraffic] = {}
        self._nominal: dict[tuple[object, ...], Exchange] = {}
        self._inside: dict[tuple[object, ...], Exchange] = {}
        bandwidth = network.nominal_bandwidth_bytes_per_s
        spec = network.spec
        self.uniform = network.is_tree and algorithm in {"ring", "hierarchical"}
        """Whether data-parallel exchange alone takes as long on any servers that hold a gang in the same parts."""
        self._nominal_latency_s = spec.latency_s
        """Between two servers that are near each other."""
        if len(fabric_bound) > 1 and (spec.hop_latency_s is not None or spec.topology == "graph"):
            self._nominal_latency_s = network.latency_s(0, 1)
        self.uniform &= spec.hop_latency_s is None and not any(fabric_bound)
        self.uniform &= all(
            network.capacity_bytes_per_s[link - network.first_link] >= spec.server_bandwidth_bytes_per_s
            for link in network.leaf_up
        )
        self._bandwidth = bandwidth

    def always_nominal(self, layout: Layout) -> bool:
        """Return whether a gang's exchange alone takes the same time wherever it is placed in equal parts."""
        return self.uniform and layout == Layout()

    def nominal(
        self,
        traffic: CollectiveTraffic,
        layout: Layout,
        batch: int,
        counts: tuple[int, ...],
        accelerator: Accelerator,
        *,
        inside_measured: bool,
    ) -> Exchange:
        """Return what a gang on so many devices of some servers exchanges, by the bandwidth of a server alone.

        Args:
            traffic: of the profile.
            layout: how the gang divides the model.
            batch: samples a step on each accelerator.
            counts: devices on each server, in the order of ranks.
            accelerator: for the links inside servers.
            inside_measured: whether the time inside servers is contained in the time of computing.
        """
        key = (id(traffic), layout, batch, counts, accelerator.name, inside_measured)
        found = self._nominal.get(key)
        if found is None:
            step = self._step(traffic, layout, batch, counts, accelerator)
            links = self._links(accelerator, self._nominal_latency_s)
            parts = []
            for part in step.parts:
                pattern = part.pattern._replace(device_bytes=0.0) if inside_measured else part.pattern
                size, time_s = pattern.busiest_bytes, pattern_time_s(pattern, links)
                if pattern.transfers or time_s > 0.0:
                    parts.append(ExchangePart((), size, math.inf, 0.0, time_s, part.overlap_fraction))
            total = sum(part.reference_bytes for part in parts)
            found = Exchange(tuple(parts), step.between_bytes, step.bubble_fraction, ((), 0.0), total)
            self._nominal[key] = found
        return found

    def placed(
        self,
        traffic: CollectiveTraffic,
        layout: Layout,
        batch: int,
        placement: Placement,
        accelerator: Accelerator,
        *,
        inside_measured: bool,
        flow: int,
        as_built: bool = False,
    ) -> Exchange:
        """Return what a gang exchanges on its servers, over the links as they are routed now.

        Args:
            traffic: of the profile.
            layout: how the gang divides the model.
            batch: samples a step on each accelerator.
            placement: (server, devices), ascending.
            accelerator: for the links inside servers.
            inside_measured: whether the time inside servers is contained in the time of computing.
            flow: tells flows apart where routes are chosen by a hash.
            as_built: over the ways that there were before anything failed.
        """
        alone = len(placement) == 1
        key = (id(traffic), layout, batch, placement, accelerator.name, inside_measured)
        if alone and key in self._inside:
            return self._inside[key]
        counts = tuple([count for _, count in placement])
        step = self._step(traffic, layout, batch, counts, accelerator)
        servers = [server for server, _ in placement]
        ways = self._ways.as_built() if as_built else self._ways
        parts: list[ExchangePart] = []
        for part in step.parts:
            parts += self._parts(part, servers, accelerator, ways, flow, inside_measured=inside_measured)
        inside = _weights_of(
            {
                self._network.inside_use(servers[place]): size
                for place, size in step.inside
                if inside_measured or not self._fabric_bound[servers[place]]
            }
        )
        found = Exchange(tuple(parts), step.between_bytes, step.bubble_fraction, inside)
        if alone:
            self._inside[key] = found
        return found

    # -- inside --------------------------------------------------------------------------------------

    def _step(
        self,
        traffic: CollectiveTraffic,
        layout: Layout,
        batch: int,
        counts: tuple[int, ...],
        accelerator: Accelerator,
    ) -> StepTraffic:
        """Return the traffic of a gang on servers 0, 1, ..."""
        key = (id(traffic), layout, batch, counts, accelerator.name if self._algorithm == "auto" else "")
        found = self._traffic.get(key)
        if found is None:
            links = self._links(accelerator, self._nominal_latency_s)
            placement = list(enumerate(counts))
            found = step_traffic(traffic, layout, placement, max(1, batch), self._algorithm, links)
            self._traffic[key] = found
        return found

    def _links(self, accelerator: Accelerator, latency_s: float) -> Links:
        return Links(accelerator.link_bandwidth_bytes_per_s, self._bandwidth, 0.0, latency_s)

    def _parts(
        self,
        part: DimensionStep,
        servers: Sequence[int],
        accelerator: Accelerator,
        ways: Ways,
        flow: int,
        *,
        inside_measured: bool,
    ) -> list[ExchangePart]:
        """Return a collective as one part, or as two where what is inside servers comes before the rest."""
        pattern, network = part.pattern, self._network
        device_s = 0.0
        if not inside_measured:
            device_s = pattern.device_bytes / accelerator.link_bandwidth_bytes_per_s
        fabric: dict[int, float] = {}
        if device_s > 0.0:
            for place, size in pattern.inside:
                if self._fabric_bound[servers[place]]:
                    fabric[network.inside_use(servers[place])] = size
        between = _between(pattern, servers, ways, flow)
        latency_s = pattern.rounds_between * self._latency_s(servers, ways) if between else 0.0
        hidden = part.overlap_fraction
        if not pattern.sequential or not between:
            total = {**fabric, **between}
            made = self._part(total, device_s, latency_s, hidden)
            return [made] if made.alone_s > 0.0 else []
        first, second = self._part(fabric, device_s, 0.0, hidden), self._part(between, 0.0, latency_s, hidden)
        return [made for made in (first, second) if made.alone_s > 0.0]

    def _part(
        self, total: dict[int, float], device_s: float, latency_s: float, overlap_fraction: float
    ) -> ExchangePart:
        """Return a part that puts so many bytes on links and takes the devices' own links so long."""
        busiest = max(total.values(), default=0.0)
        slowest_s = device_s
        for link, size in total.items():
            slowest_s = max(slowest_s, size / self._ways.built_bandwidth_bytes_per_s(link))
        # Without shared links it is a stretch of time: bytes at their own speed.
        reference = busiest or device_s
        cap = reference / device_s if device_s > 0.0 else math.inf
        return ExchangePart(
            _weights(total, busiest), reference, cap, latency_s, latency_s + slowest_s, overlap_fraction
        )

    def _latency_s(self, servers: Sequence[int], ways: Ways) -> float:
        """Return the latency of one round: that of the longest way from a server to the next."""
        spec = self._network.spec
        if spec.hop_latency_s is None and spec.topology != "graph":
            return spec.latency_s
        following = (*servers[1:], servers[0])
        return max(ways.latency_s(s, t) for s, t in zip(servers, following, strict=True))


def _between(pattern: Pattern, servers: Sequence[int], ways: Ways, flow: int) -> dict[int, float]:
    """Return the bytes on each link between servers; to who is cut off, those of the busiest server on a dead end."""
    names = (*servers, SWITCH)
    transfers = [(names[s], names[t], size) for s, t, size in pattern.transfers]
    direct = [t for t in transfers if SWITCH not in t[:2]]
    total = dict(ways.uses(direct, flow)) if direct else {}
    reduced = [t for t in transfers if SWITCH in t[:2]]
    if reduced:
        for link, size in _reduced(reduced, servers, ways, flow).items():
            total[link] = total.get(link, 0.0) + size
    return {ways.dead_end: pattern.busiest_bytes} if ways.dead_end in total else total


def _reduced(
    transfers: Sequence[tuple[int, int, float]], servers: Sequence[int], ways: Ways, flow: int
) -> dict[int, float]:
    """Return the bytes on links where switches add up and copy: once on each link of a tree from the first server.

    The ways from all servers to the first and back are that tree; where they come together their bytes
    are added up, not carried twice. On links of its own a server has what it sends and receives itself.
    """
    links: dict[int, float] = {}
    first, network = servers[0], ways.network
    most = max(size for _, _, size in transfers)
    for server in servers[1:]:
        for pair in ((server, first), (first, server)):
            for link, weight in ways.uses([(*pair, 1.0)], flow):
                links[link] = max(links.get(link, 0.0), weight * most)
    sent = {source: size for source, _, size in transfers if source != SWITCH}
    received = {target: size for _, target, size in transfers if target != SWITCH}
    for server in servers:
        own = network.own_links(server)
        if len(own) > 1 and network.spec.topology != "rail_optimised":
            continue  # others' traffic may pass through it
        for up, down in own:
            for link, size in ((up, sent.get(server, 0.0)), (down, received.get(server, 0.0))):
                if link in links:
                    links[link] *= size / most
    return links


def _weights_of(total: dict[int, float]) -> tuple[Uses, float]:
    busiest = max(total.values(), default=0.0)
    return _weights(total, busiest), busiest
