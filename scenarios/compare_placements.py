"""Question: how much longer do gangs take when a placement policy lets them cross racks?

The network between racks is oversubscribed more and more; the same jobs are placed by three policies.
Run it from anywhere: python scenarios/compare_placements.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import dcsim
from dcsim.spec import (
    ArrivalSpec,
    ClusterSpec,
    GeneratedWorkloadSpec,
    JobKindSpec,
    NetworkSpec,
    RackSpec,
    ServerSpec,
    SizeSpec,
)

PLACEMENTS = ("first_fit", "spread", "rack_local")
SEEDS = range(3)


def scenario(oversubscription: float) -> dcsim.Scenario:
    """Return four racks of four servers with eight CPU cores, and 150 jobs that are up to 16 wide."""
    server = ServerSpec(
        count=4,
        accelerator="cpu-core",
        accelerators=8,
        idle_power_w="24 W",
        peak_power_w="62 W",
        sleep_power_w="5 W",
    )
    kind = JobKindSpec(
        profile="digits_mlp", batch_per_accelerator=128, widths={1: 0.3, 2: 0.2, 4: 0.2, 8: 0.2, 16: 0.1}
    )
    return dcsim.Scenario(
        name=f"oversubscribed-{oversubscription:g}",
        description="Cost of crossing racks, by placement policy.",
        cluster=ClusterSpec(racks=[RackSpec(name="rack", count=4, servers=[server])]),
        network=NetworkSpec(
            topology="fat_tree",
            server_bandwidth_bytes_per_s="10 Gbit/s",
            oversubscription=oversubscription,
            latency_s="10 us",
            switch_power_w="80 W",
        ),
        workload=GeneratedWorkloadSpec(
            jobs=150,
            arrivals=ArrivalSpec(load=0.4),
            mix=[kind],
            sizes=SizeSpec(median_s="20 min", sigma=1.0, min_s="1 min", max_s="4 h"),
        ),
    )


def main(folder: Path) -> None:
    """Print the mean job completion time of each policy at each oversubscription."""
    print(
        f"{'oversubscription':>16}  "
        + "".join(f"{name:>12}" for name in PLACEMENTS)
        + "   mean completion, s"
    )
    for oversubscription in (1.0, 2.0, 4.0):
        study = dcsim.compare(
            scenario(oversubscription),
            placements=PLACEMENTS,
            energies=("none",),
            seeds=SEEDS,
            out=folder / f"x{oversubscription:g}",
        )
        means = [study.interval(arm, "jct_mean_s").mean for arm in study.arms]
        print(f"{oversubscription:16g}  " + "".join(f"{mean:12.0f}" for mean in means))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "study-placements"))
