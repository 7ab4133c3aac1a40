"""Question: what would four, eight or twelve more servers change in waiting, energy and cost?

The jobs stay the same, because they arrive at a fixed rate instead of a load relative to the cluster.
Run it from anywhere: python scenarios/what_if_more_servers.py
"""

from __future__ import annotations

import dcsim
from dcsim.spec import (
    ArrivalSpec,
    ClusterSpec,
    GeneratedWorkloadSpec,
    JobKindSpec,
    RackSpec,
    ServerSpec,
    SizeSpec,
)
from dcsim.units import Quantity, format_quantity


def scenario(servers: int) -> dcsim.Scenario:
    """Return racks of four servers with eight A100 each, under the same 600 jobs."""
    server = ServerSpec(
        count=4,
        accelerator="A100-80",
        accelerators=8,
        memory_bytes="1 TB",
        idle_power_w="900 W",
        peak_power_w="2 kW",
        sleep_power_w="50 W",
    )
    return dcsim.Scenario(
        name=f"servers-{servers}",
        description="What more servers change for the same jobs.",
        horizon_s="5 d",  # the same for all, so that idle power is compared fairly
        cluster=ClusterSpec(racks=[RackSpec(name="rack", count=servers // 4, servers=[server])]),
        workload=GeneratedWorkloadSpec(
            jobs=600,
            arrivals=ArrivalSpec(rate_per_s=600 / (3 * 86_400.0)),
            sizes=SizeSpec(median_s="40 min", sigma=1.3, min_s="2 min", max_s="12 h"),
            mix=[JobKindSpec(profile="tiny_transformer", widths={4: 0.3, 8: 0.4, 16: 0.2, 32: 0.1})],
        ),
    )


def main() -> None:
    """Print one row for each number of servers."""
    print(f"{'servers':>7}  {'mean wait':>14}  {'p95 completion':>16}  {'facility energy':>15}  {'cost':>9}")
    for servers in (16, 20, 24, 28):
        summary = dcsim.simulate(scenario(servers), seed=1).summary
        wait = format_quantity(float(summary["wait_mean_s"]), Quantity.DURATION)
        completion = format_quantity(float(summary["jct_p95_s"]), Quantity.DURATION)
        energy = format_quantity(float(summary["energy_facility_j"]), Quantity.ENERGY)
        cost = f"{float(summary['cost_usd']):.0f} USD"
        print(f"{servers:7d}  {wait:>14}  {completion:>16}  {energy:>15}  {cost:>9}")


if __name__ == "__main__":
    main()
