"""Completion times of flows by SimGrid: run by the Python that has it, JSON in, JSON out.

SimGrid (Casanova et al., J. Parallel Distrib. Comput. 74 (2014) 2899-2917) shares bandwidth max-min.
All that its network model adds to that is switched off: latencies, windows and protocol overheads.
Input: {"capacity": [bytes/s], "flows": [[start s, bytes, [links]]]}; flows on separate links do not
meet, so many graphs go through one engine, of which SimGrid allows one a process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["main"]

_SETTINGS = (
    "network/model:CM02",
    "network/bandwidth-factor:1",
    "network/latency-factor:1",
    "network/weight-S:0",
    "network/TCP-gamma:0",
    "network/crosstraffic:0",
    "network/optim:Full",
    "network/loopback-lat:0",
    "surf/precision:1e-9",
    "maxmin/precision:1e-9",
)


def _platform(simgrid: Any, capacity: list[float], flows: list[list[Any]]) -> None:
    """Build links and, for each flow, a pair of hosts joined by the flow's links."""
    zone = simgrid.NetZone.create_full_zone("all")
    links = []
    for number, bandwidth in enumerate(capacity):
        link = zone.create_link(f"link{number}", bandwidth).set_latency(0)
        link.seal()
        links.append(simgrid.LinkInRoute(link, simgrid.LinkInRoute.NONE))
    for number, (_, _, route) in enumerate(flows):
        ends = [zone.create_host(f"{side}{number}", 1e9) for side in ("from", "to")]
        path = [links[link] for link in route]
        zone.add_route(ends[0].netpoint, ends[1].netpoint, None, None, path, False)
    zone.seal()


def main() -> None:
    """Read flows from standard input, write their completion times [s] to standard output."""
    import simgrid  # type: ignore[import-not-found]  # in Debian's Python only

    given = json.load(sys.stdin)
    quiet = ["--log=root.thres:critical", "--log=xbt_cfg.thres:critical"]
    engine = simgrid.Engine(["oracle", *quiet, *(f"--cfg={setting}" for setting in _SETTINGS)])
    flows = given["flows"]
    _platform(simgrid, given["capacity"], flows)
    ends_s: list[float | None] = [None] * len(flows)

    def send(number: int) -> None:
        start_s, size_bytes, _ = flows[number]
        if start_s > 0.0:
            simgrid.this_actor.sleep_until(start_s)
        ends = [simgrid.Host.by_name(f"{side}{number}") for side in ("from", "to")]
        simgrid.Comm.sendto(ends[0], ends[1], size_bytes)
        ends_s[number] = simgrid.Engine.get_clock()

    for number in range(len(flows)):
        simgrid.Actor.create(f"flow{number}", simgrid.Host.by_name(f"from{number}"), send, number)
    engine.run()
    json.dump({"version": str(simgrid.simgrid_version), "ends_s": ends_s}, sys.stdout)


if __name__ == "__main__":
    main()
