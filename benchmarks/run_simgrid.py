"""Flows under SimGrid, by the Python that has it: JSON in, JSON out; needs nothing of this project.

In: {"driver": "one" or "per-source", "optimised": "Full" or "Lazy", "hosts": n, "capacity": [bytes/s],
"flows": [[start s, source, target, bytes]], "routes": [[links]]}. Out: CPU seconds after imports and after the
platform was built, ends of all flows, version.

SimGrid (Casanova et al., J. Parallel Distrib. Comput. 74 (2014) 2899-2917) shares max-min; all that its model adds
to that is off. Two ways to drive it from Python: one actor that starts all flows and waits for any, or one an
origin, each with the flows that start there.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import Any

_SETTINGS = (
    "network/model:CM02",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "network/weight-S:0",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/loopback-lat:0",
)


def _platform(simgrid: ModuleType, told: dict[str, Any]) -> None:
    zone = simgrid.NetZone.create_full_zone("all")
    hosts = [zone.create_host(f"h{number}", 1e9) for number in range(told["hosts"])]
    links = []
    for number, bandwidth in enumerate(told["capacity"]):
        link = zone.create_link(f"link{number}", bandwidth).set_latency(0)
        link.seal()
        links.append(simgrid.LinkInRoute(link, simgrid.LinkInRoute.NONE))
    known = set()
    for (_, source, target, _), route in zip(told["flows"], told["routes"], strict=True):
        if (source, target) not in known:
            known.add((source, target))
            ends = (hosts[source].netpoint, hosts[target].netpoint)
            zone.add_route(*ends, None, None, [links[link] for link in route], False)
    zone.seal()


class Carrier:
    """Starts flows and notes when they end."""

    def __init__(self, simgrid: ModuleType, told: dict[str, Any]) -> None:
        self._simgrid = simgrid
        self._flows = told["flows"]
        self._hosts = [simgrid.Host.by_name(f"h{number}") for number in range(told["hosts"])]
        self.ends_s: list[float | None] = [None] * len(self._flows)

    def carry(self, mine: list[int]) -> None:
        """Start some flows, each at its time, and wait for all of them: what one actor does."""
        simgrid = self._simgrid
        under_way: list[Any] = []
        numbers: list[int] = []
        for number in mine:
            start_s, source, target, size = self._flows[number]
            while under_way and start_s > simgrid.Engine.clock:
                place = simgrid.Comm.wait_any_for(under_way, start_s - simgrid.Engine.clock)
                if place < 0:
                    break
                self._arrived(under_way, numbers, place)
            if start_s > simgrid.Engine.clock:
                simgrid.this_actor.sleep_until(start_s)
            under_way.append(simgrid.Comm.sendto_async(self._hosts[source], self._hosts[target], size))
            numbers.append(number)
        while under_way:
            self._arrived(under_way, numbers, simgrid.Comm.wait_any(under_way))

    def _arrived(self, under_way: list[Any], numbers: list[int], place: int) -> None:
        self.ends_s[numbers[place]] = self._simgrid.Engine.clock
        under_way[place], numbers[place] = under_way[-1], numbers[-1]
        under_way.pop()
        numbers.pop()

    def start(self, driver: str) -> None:
        """Make the actors: one, or one for each source."""
        groups: dict[int, list[int]] = {}
        for number, (_, source, _, _) in enumerate(self._flows):
            groups.setdefault(source if driver == "per-source" else 0, []).append(number)
        for first, mine in groups.items():
            self._simgrid.Actor.create(f"from{first}", self._hosts[first], self.carry, mine)


def main() -> None:
    """Read flows from standard input, write what they cost and when they end to standard output."""
    told = json.load(sys.stdin)
    simgrid = import_module("simgrid")
    quiet = ["--log=root.thres:critical", "--log=xbt_cfg.thres:critical"]
    settings = [f"--cfg={setting}" for setting in (*_SETTINGS, f"network/optim:{told['optimised']}")]
    engine = simgrid.Engine(["flows", *quiet, *settings])
    _platform(simgrid, told)
    carrier = Carrier(simgrid, told)
    carrier.start(told["driver"])
    started = time.process_time()
    engine.run()
    cpu_s = time.process_time() - started
    json.dump({"cpu_s": cpu_s, "ends_s": carrier.ends_s, "version": str(simgrid.simgrid_version)}, sys.stdout)


if __name__ == "__main__":
    main()
