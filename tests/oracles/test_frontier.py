"""Frontier's published configuration through our chain: power idle and at peak, and what conversion loses.

Brewer et al., "A digital twin framework for liquid-cooled supercomputers as demonstrated at exascale", SC 2024,
and the configuration of its public simulator, ExaDigiT/RAPS (config/frontier). Targets: the same paper's
verification, as the issue states them.
"""

from __future__ import annotations

import pytest

from dcsim.facility.power import build_chain, chain_input_w, chain_losses_w
from dcsim.simulation import simulate
from dcsim.spec.power import PowerChainSpec
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from tests.oracles.figures import Figures

RACKS, CHASSIS_PER_RACK, NODES_PER_RACK, COOLING_UNITS = 74, 8, 128, 25
NODES = RACKS * NODES_PER_RACK
RECTIFIERS = RACKS * CHASSIS_PER_RACK * 4
SWITCHES = RACKS * CHASSIS_PER_RACK * 4
GPU_IDLE_W, GPU_PEAK_W, CPU_IDLE_W, CPU_PEAK_W = 88.0, 560.0, 90.0, 280.0
MEMORY_W, NIC_W, NVME_W, SWITCH_W, COOLING_UNIT_W = 74.26, 20.0, 30.0, 250.0, 8_473.47
"""A node: one CPU, four GPUs, four network cards, two NVMe drives; 250 W a switch; 8.5 kW of pumps a cooling unit."""

NODE_REST_W = MEMORY_W + 4 * NIC_W + NVME_W
NODE_IDLE_W = 4 * GPU_IDLE_W + CPU_IDLE_W + NODE_REST_W
NODE_PEAK_W = 4 * GPU_PEAK_W + CPU_PEAK_W + NODE_REST_W
NETWORK_W, PUMPS_W = SWITCHES * SWITCH_W, COOLING_UNITS * COOLING_UNIT_W

CHAIN = {
    "stages": [
        {
            "name": "sivoc",
            "efficiency": 0.98,
            "unit_overhead_w": 13.0,
            "units": NODES,
            "bypass_power_w": NETWORK_W,
            "heats_hall": True,
            "level": "rack",
        },
        {
            "name": "rectifier",
            "efficiency": 0.96,
            "unit_overhead_w": 17.0,
            "units": RECTIFIERS,
            "heats_hall": True,
            "level": "rack",
        },
    ]
}
"""Switches hang behind the rectifiers, beside the SIVOC converters; the pumps of the cooling units have no converter."""

TARGETS = {"idle": (NODE_IDLE_W, 7.31e6, 0.922), "peak": (NODE_PEAK_W, 28.23e6, 0.936)}


@pytest.mark.parametrize("state", TARGETS)
def test_frontiers_power_and_conversion_efficiency(state: str, figure: Figures) -> None:
    node_w, target_w, target_efficiency = TARGETS[state]
    peak_it_w = NODES * NODE_PEAK_W + NETWORK_W
    chain = build_chain(PowerChainSpec.model_validate(CHAIN), peak_it_w, PUMPS_W)
    it_w = NODES * node_w + NETWORK_W
    meter_w = float(chain_input_w(chain, it_w, PUMPS_W))
    figure.near(f"Frontier {state} power [MW]", meter_w / 1e6, target_w / 1e6, 0.01 * target_w / 1e6)
    efficiency = (it_w + PUMPS_W) / meter_w
    figure.near(
        f"Frontier {state} conversion efficiency", efficiency, target_efficiency, 0.01 * target_efficiency
    )
    lost_w = sum(float(loss) for _, loss in chain_losses_w(chain, it_w))
    figure.equal(f"Frontier {state} IT + pumps + losses [W]", it_w + PUMPS_W + lost_w, meter_w, 1e-12)


@pytest.mark.parametrize("state", TARGETS)
def test_the_ready_made_chain_does_without_the_counts(state: str, figure: Figures) -> None:
    """`chain: frontier` finds how many converters there are from the peak power, and has no by-pass."""
    node_w, target_w, _ = TARGETS[state]
    chain = build_chain(PowerChainSpec(chain="frontier"), NODES * NODE_PEAK_W + NETWORK_W, 0.0)
    meter_w = float(chain_input_w(chain, NODES * node_w + NETWORK_W)) + PUMPS_W
    figure.near(
        f"Frontier {state} power, chain: frontier [MW]", meter_w / 1e6, target_w / 1e6, 0.01 * target_w / 1e6
    )


def frontier_scenario() -> Scenario:
    """Return the machine as a user writes it, idle for an hour and busy for another."""
    server = {
        "count": NODES_PER_RACK,
        "accelerator": "mi250x",
        "accelerators": 4,
        "cpu_cores": 64,
        "idle_power_w": CPU_IDLE_W + NODE_REST_W,
        "peak_power_w": CPU_PEAK_W + NODE_REST_W,
    }
    device = {
        "peak_flop_per_s": {"fp64": 47.9e12},
        "memory_bytes": "128 GiB",
        "memory_bandwidth_bytes_per_s": "3.2 TB/s",
        "link_bandwidth_bytes_per_s": "50 GB/s",
        "idle_power_w": GPU_IDLE_W,
        "peak_power_w": GPU_PEAK_W,
        "source": "Brewer et al., SC 2024; AMD",
    }
    return Scenario.model_validate(
        {
            "name": "frontier",
            "horizon_s": 7_200.0,
            "accelerators": {"mi250x": device},
            "cluster": {"racks": [{"name": "rack", "count": RACKS, "servers": [server]}]},
            "network": {"topology": "star", "switch_power_w": 0.0},
            "storage": {"shared": {"power_w": NETWORK_W}},  # the switches, at constant power
            "power": {**CHAIN, "auxiliary_power_w": PUMPS_W},
            "workload": {"kind": "trace", "path": "not-read.csv"},
        }
    )


def test_a_run_of_the_whole_machine_draws_what_is_published(figure: Figures) -> None:
    """One job on all 37,888 devices in the second hour; the meter's IT power, losses and pumps, without our cooling."""
    jobs = job_table(submit_s=[3_600.0], duration_s=[3_600.0], accelerators=[4 * NODES])
    series = simulate(frontier_scenario(), 0, jobs=jobs).series
    for state, place in (("idle", 0), ("peak", -1)):
        _, target_w, target_efficiency = TARGETS[state]
        useful_w = float(series["it_power_w"][place]) + PUMPS_W
        drawn_w = useful_w + float(series["loss_power_w"][place])
        figure.near(
            f"Frontier {state} power of a run [MW]", drawn_w / 1e6, target_w / 1e6, 0.01 * target_w / 1e6
        )
        figure.near(
            f"Frontier {state} efficiency of a run",
            useful_w / drawn_w,
            target_efficiency,
            0.01 * target_efficiency,
        )
