"""Parts of servers: what is left out changes nothing, and what cannot be is refused where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dcsim.spec import plausibility, scenario_from_data
from dcsim.spec.cluster import ServerSpec
from dcsim.spec.server_parts import FanSpec, ServerPartsSpec, ThermalSpec
from tests.spec.examples import Change

GPUS: dict[str, Any] = {"accelerator": "H100", "accelerators": 8}


def test_by_default_nothing_is_told() -> None:
    spec = ServerSpec()
    assert spec.parts == ServerPartsSpec()
    assert (spec.fans, spec.thermal, spec.boot_power_w, spec.sleep_latency_s) == (None, None, None, 0.0)


def test_units_are_read() -> None:
    spec = ServerSpec(
        **GPUS,
        idle_power_w="1 kW",
        peak_power_w="2.4 kW",
        boot_power_w="1.5 kW",
        sleep_latency_s="1 min",
        parts={"memory_idle_power_w": "60 W", "nic_busy_power_w": "0.2 kW"},
        fans={"power_w": "80 W", "full_power_w": "0.6 kW", "full_inlet_deg_c": "95 degF"},
        thermal={"resistance_k_per_w": 0.06, "time_constant_s": "1 min", "throttled_cap_fraction": "40 %"},
    )
    assert (spec.boot_power_w, spec.sleep_latency_s) == (1500.0, 60.0)
    assert spec.parts.nic_busy_power_w == 200.0
    assert spec.fans is not None
    assert spec.fans.full_inlet_deg_c == pytest.approx(35.0)
    assert spec.thermal is not None
    assert (spec.thermal.time_constant_s, spec.thermal.throttled_cap_fraction) == (60.0, 0.4)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"parts": {"memory_idle_power_w": 301.0}}, r"at most idle_power_w \(300 W\)"),
        ({"parts": {"memory_idle_power_w": 200.0, "nic_idle_power_w": 150.0}}, "350 W of memory and network"),
        ({"parts": {"nic_busy_power_w": 700.0}}, r"at most peak_power_w less idle_power_w \(600 W\)"),
        (
            {"parts": {"memory_idle_power_w": 250.0}, "fans": {"power_w": 60.0, "full_power_w": 90.0}},
            "what other parts leave",
        ),
        ({"fans": {"power_w": 60.0, "full_power_w": 50.0}}, "at least power_w, 60 W"),
        (
            {"fans": {"power_w": 10.0, "full_power_w": 50.0, "full_inlet_deg_c": 20.0}},
            "more than reference_inlet_deg_c, 25 degC",
        ),
        ({"thermal": {"resistance_k_per_w": 0.06}}, "without accelerators"),
        ({**GPUS, "thermal": {"resistance_k_per_w": 0.0}}, "greater than 0"),
        (
            {**GPUS, "thermal": {"resistance_k_per_w": 0.06, "leakage_fraction_per_k": 0.5}},
            "less than or equal",
        ),
        ({**GPUS, "thermal": {}}, "resistance_k_per_w"),
        ({"boot_power_w": -1.0}, "greater than or equal to 0"),
        ({"sleep_latency_s": float("nan")}, "sleep_latency_s"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        ServerSpec(**changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("boot_power_w", 1.5),
        ("boot_power_w", "900 kW"),
        ("sleep_latency_s", "3 h"),
        ("fans", {"power_w": 0.1, "full_power_w": 0.6}),
        ("thermal", {"resistance_k_per_w": 0.06, "time_constant_s": "2 h"}),
    ],
)
def test_wrong_units_are_suspected(changed: Change, field: str, value: Any) -> None:
    changed("room", {})
    (doubt,) = plausibility(scenario_from_data(changed(f"cluster.racks.0.servers.0.{field}", value)))
    assert field in doubt


def test_models_stand_alone() -> None:
    assert (
        FanSpec(power_w=5.0, full_power_w=5.0).full_inlet_deg_c
        > FanSpec(power_w=5.0, full_power_w=5.0).reference_inlet_deg_c
    )
    assert ThermalSpec(resistance_k_per_w=0.1).leakage_fraction_per_k == 0.0
