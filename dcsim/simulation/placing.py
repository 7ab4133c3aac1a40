"""Placing gangs: what is asked of the placement policy, what is taken from the fleet, what is given back."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dcsim.errors import GuardError, PolicyError
from dcsim.facility.server_power import job_power_w
from dcsim.facility.servers import Held, exact_host, share_units
from dcsim.facility.sharing import SharedLinks
from dcsim.policies import PlacementPolicy
from dcsim.policies.views import Placement, PlacementRequest
from dcsim.rng import stream
from dcsim.simulation.inputs import RunInputs
from dcsim.simulation.placement_view import HeatOfHall, any_type_masks, make_cluster_view
from dcsim.simulation.rates import Rates

__all__ = ["Placer"]


class Placer:
    """Asks the placement policy, checks what it says, and keeps the fleet's books.

    Args:
        inputs: of the run; its fleet is used.
        links: of the run, for policies that look at their loads.
        heat: of the hall, for policies that look at that.
    """

    def __init__(
        self, inputs: RunInputs, links: SharedLinks | None = None, heat: HeatOfHall | None = None
    ) -> None:
        self.inputs = inputs
        self.heat = heat
        self.fleet = inputs.fleet
        jobs = inputs.jobs
        self.fleet.has_shares = bool((jobs.accelerator_share < 1.0).any())
        self.fleet.track_cpu_memory = inputs.cpu_memory_binding
        self.width = array("q", jobs.accelerators.tobytes())
        self.share = array("d", jobs.accelerator_share.tobytes())
        self.least_width = array("q", jobs.min_accelerators.tobytes())
        """Of an elastic gang; 0: rigid."""
        self._max_servers = array("q", jobs.max_servers.tobytes())
        self._cpu = array("d", jobs.cpu_cores.tobytes())
        self._memory = array("d", jobs.memory_bytes.tobytes())
        self._type = array("q", jobs.accelerator_types.tobytes())
        self._profile = array("q", jobs.profile.tobytes())
        # On one accelerator type, an unconstrained job may go anywhere that has devices.
        self._one_type = len(inputs.allowed[-1]) <= 1 and all(t.accelerator for t in self.fleet.types)
        policy = inputs.policies.placement
        self.fleet.track_kinds = policy.counts_kinds
        self._place = policy.place
        self._device = policy.device if type(policy).device is not PlacementPolicy.device else None
        self._draws = stream(inputs.seed, "policies", "placement").random(len(jobs)) if policy.draws else None
        self._any_type = any_type_masks(inputs, one_type=self._one_type) if policy.weighs_types else None
        self._rates = Rates(inputs) if policy.weighs_types else None
        self.view = make_cluster_view(inputs, links, heat, one_type=self._one_type)

    def shape(self, job: int) -> tuple[float, ...]:
        """Return all that a placement depends on but the servers' state."""
        return (
            self.width[job],
            self.share[job],
            self._max_servers[job],
            self._cpu[job],
            self._memory[job],
            self._type[job],
            self._profile[job] if self._rates is not None else -1.0,
        )

    def place(
        self, job: int, width: int | None = None, mask: npt.NDArray[np.bool_] | None = None
    ) -> Placement | None:
        """Return where the policy puts a job now, checked, or None.

        Args:
            job: its row.
            width: accelerators, where not those it asked for.
            mask: (S,) servers it is kept to; None: those of any one type that suits it.

        Raises:
            PolicyError: the placement is not the whole gang on suitable servers.
        """
        wanted = self.width[job] if width is None else width
        constraint = self._type[job]
        if mask is not None:
            placement = self._place(self._request(job, wanted, mask), self.view)
        elif wanted == 0 or (constraint < 0 and self._one_type):
            placement = self._place(self._request(job, wanted, None), self.view)
        elif self._any_type is not None:
            placement = self._place(self._request(job, wanted, self._any_type[constraint]), self.view)
        else:
            for allowed in self.inputs.allowed[constraint]:
                placement = self._place(self._request(job, wanted, allowed), self.view)
                if placement is not None:
                    break
        if placement is not None:
            self._check(job, wanted, placement)
        return placement

    def _request(self, job: int, width: int, allowed: npt.NDArray[np.bool_] | None) -> PlacementRequest:
        asked, share = self.width[job], self.share[job]
        scale = 1.0 if width == asked else width / asked  # an elastic gang's cores go with its devices
        return PlacementRequest(
            width,
            share,
            self._max_servers[job],
            self._cpu[job] * scale,
            self._memory[job] * scale,
            allowed,
            0.0 if self._draws is None else float(self._draws[job]),
            self._speed(job, width),
        )

    def _speed(self, job: int, width: int) -> npt.NDArray[np.float64] | None:
        """Return (S,) the job's speed on each server over that on the fastest, for who weighs types."""
        if self._rates is None or width == 0:
            return None
        return self._rates.relative(job, width)

    def _check(self, job: int, width: int, placement: Placement) -> None:
        """Refuse a placement that is not the whole gang on distinct, ascending, suitable servers."""
        fault = self._fault(job, width, placement)
        if fault:
            raise self._error(job, placement, fault)

    def _error(self, job: int, placement: Placement, fault: object) -> PolicyError:
        name = self.inputs.policies.placement.name
        return PolicyError(f"{name}: job {self.inputs.jobs.job_id[job]} got {placement}: {fault}")

    def _fault(self, job: int, width: int, placement: Placement) -> str:  # noqa: PLR0911  one return a fault
        """Return what is wrong with a placement, or nothing."""
        limit, constraint = self._max_servers[job], self._type[job]
        any_server = width == 0 or (constraint < 0 and self._one_type)
        if len(placement) == 1 and any_server:  # by far the most frequent case
            server, count = placement[0]
            if type(server) is int and type(count) is int and count == width:
                return "" if 0 <= server < len(self.fleet) else "a server that does not exist"
        servers = [server for server, _ in placement]
        counts = [count for _, count in placement]
        # numpy's small integers would overflow in the sums below.
        if any(type(number) is not int for number in (*servers, *counts)):
            return "numbers that are not plain integers"
        if sum(counts) != width or (width and min(counts) < 1):
            return f"{counts} accelerators for a gang of {width}"
        if not servers or servers[0] < 0 or servers[-1] >= len(self.fleet):
            return "a server that does not exist"
        if any(a >= b for a, b in pairwise(servers)):
            return "servers not ascending and distinct"
        if (limit and len(servers) > limit) or (width == 0 and len(servers) != 1):
            return f"{len(servers)} servers where {limit or 1} are allowed"
        if not any_server:
            masks = self.inputs.allowed[constraint]
            if not any(all(mask[server] for server in servers) for mask in masks):
                return "servers without one accelerator type that suits the job"
        return ""

    def take(self, job: int, width: int, placement: Placement) -> tuple[Held, ...]:
        """Take all of a gang's resources.

        Raises:
            PolicyError: there is less free than the placement says.
        """
        fleet, share, held = self.fleet, self.share[job], []
        for server, count in placement:
            cores, memory = self.cores(job, width, server, count), self._memory_on(job, width, count)
            try:
                if share < 1.0:
                    device = -1
                    if self._device is not None:
                        device = self._device(self._request(job, width, None), self.view, server)
                    held.append(fleet.take_share(server, share_units(share), cores, memory, device))
                else:
                    held.append(fleet.take(server, count, cores, memory))
            except GuardError as error:
                raise self._error(job, placement, error) from None
        return tuple(held)

    def give_back(self, job: int, width: int, held: tuple[Held, ...]) -> None:
        """Free what `take` took."""
        fleet, units = self.fleet, share_units(self.share[job])
        tracked = fleet.track_cpu_memory
        for part in held:
            server, count = part[0], max(part[1], 1)
            cores = self.cores(job, width, server, count) if tracked else 0.0
            fleet.give_back(part, units, cores, self._memory_on(job, width, count))

    def is_free(self, job: int, width: int, placement: Placement) -> bool:
        """Return whether everything a job would take of a placement is free."""
        fleet, share = self.fleet, self.share[job]
        for server, count in placement:
            if share < 1.0:
                if fleet.largest_share[server] < share:
                    return False
            elif fleet.free_bytes[server] < count:
                return False
            if fleet.track_cpu_memory:
                # Rounded down as they are when taken: all parts of a server fit it together.
                cores, memory = exact_host(
                    self.cores(job, width, server, count), self._memory_on(job, width, count)
                )
                if fleet.free_cpu[server] < cores or fleet.free_memory[server] < memory:
                    return False
        return True

    def retake(self, job: int, width: int, held: tuple[Held, ...]) -> bool:
        """Take again, device by device, what `give_back` freed; return False, and take nothing, where some is not."""
        fleet, units = self.fleet, share_units(self.share[job])
        tracked = fleet.track_cpu_memory
        for number, part in enumerate(held):
            server, count = part[0], max(part[1], 1)
            cores = self.cores(job, width, server, count) if tracked else 0.0
            try:
                fleet.retake(part, units, cores, self._memory_on(job, width, count))
            except GuardError:
                self.give_back(job, width, held[:number])
                return False
        return True

    def cpu_power_w(self, job: int, width: int, placement: Placement) -> float:
        """Return the power above idle of servers that a gang keeps busy, without its accelerators."""
        power_w, spread = 0.0, len(placement) > 1
        for server, count in placement:
            spec = self.fleet.types[self.fleet.type_of[server]].spec
            cpu = min(1.0, self.cores(job, width, server, count) / spec.cpu_cores)
            devices = count / spec.accelerators if width else cpu
            asked = self._memory_on(job, width, count)
            memory = min(1.0, asked / spec.memory_bytes) if asked > 0.0 else devices
            power_w += job_power_w(spec, cpu, memory, devices if spread else 0.0)
        return power_w

    def cores(self, job: int, width: int, server: int, count: int) -> float:
        """Return the cores a job takes on a server: as asked, else the share that goes with its devices."""
        asked = self._cpu[job]
        if asked > 0.0:
            # Of an elastic gang's width, as many a device as it asked for at its own width.
            return asked * count / self.width[job] if width else asked
        if width == 0 or self.inputs.cpu_memory_binding:
            return 0.0
        spec = self.fleet.types[self.fleet.type_of[server]].spec
        return spec.cpu_cores * count / spec.accelerators

    def _memory_on(self, job: int, width: int, count: int) -> float:
        return self._memory[job] * (count / self.width[job] if width > 0 else 1.0)
