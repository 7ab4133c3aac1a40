"""Embodied carbon by hand: rates, defaults with their notes, shares that add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.embodied import ACCELERATOR_KG, embodied, embodied_kg
from dcsim.facility.hardware import CATALOGUE
from dcsim.spec.scenario import Scenario

YEAR_S = 365.25 * 86_400.0


def scenario(accelerator: str | None = "H100", servers: int = 2, **parts: Any) -> Scenario:
    server: dict[str, Any] = {"count": servers}
    if accelerator is not None:
        server |= {"accelerator": accelerator, "accelerators": 8}
    whole = {
        "name": "embodied",
        "cluster": {"racks": [{"name": "r", "count": 3, "servers": [server]}]},
        "workload": {"kind": "generated", "jobs": 1, "mix": [{"profile": "tiny_transformer"}]},
    }
    return Scenario.model_validate(whole | parts)


def test_a_cluster_by_hand() -> None:
    """Six servers of 2,500 kg with 48 H100 of 164 kg, all used up in six years."""
    made = scenario()
    assert embodied_kg(made, 6 * YEAR_S) == pytest.approx(6 * 2_500 + 48 * 164)
    assert embodied_kg(made, YEAR_S) == pytest.approx((6 * 2_500 + 48 * 164) / 6)
    assert embodied(made).notes == ()


def test_what_the_scenario_tells_goes_first() -> None:
    own = {"accelerator_kg": {"H100": 100.0}, "server_kg": 1000.0, "accelerator_lifetime_s": 4 * YEAR_S}
    made = scenario(embodied=own | {"server_lifetime_s": 5 * YEAR_S})
    assert embodied_kg(made, YEAR_S) == pytest.approx(6 * 1000 / 5 + 48 * 100 / 4)


def test_models_without_a_figure_have_a_default_that_is_flagged() -> None:
    made = embodied(scenario("V100"))
    assert made.accelerator_kg_per_s["V100"] == pytest.approx(150 / (6 * YEAR_S))
    (note,) = made.notes
    assert "no figure is published for V100; 150 kg assumed" in note
    assert "give embodied.accelerator_kg" in note
    assert "assumed from its predecessor" in embodied(scenario("H200")).notes[0]


def test_a_model_of_ones_own_has_no_published_figure() -> None:
    device = {
        "peak_flop_per_s": {"fp32": 1e12},
        "memory_bytes": 1e10,
        "memory_bandwidth_bytes_per_s": 1e11,
        "link_bandwidth_bytes_per_s": 1e9,
        "idle_power_w": 50.0,
        "peak_power_w": 300.0,
        "source": "made up",
    }
    assert "no figure is published for H100" in embodied(scenario(accelerators={"H100": device})).notes[0]


def test_servers_without_accelerators() -> None:
    made = scenario(None)
    assert embodied_kg(made, 6 * YEAR_S) == pytest.approx(6 * 2_500)
    assert embodied(made).job_kg([5.0]).tolist() == [0.0]


def test_every_figure_is_of_a_catalogued_model_and_has_a_source() -> None:
    assert set(ACCELERATOR_KG) <= set(CATALOGUE)
    assert all(source for _, source in ACCELERATOR_KG.values())
    assert {name for name, (kg, _) in ACCELERATOR_KG.items() if not kg > 0.0} == {
        "cpu-core"
    }  # no device of its own


@given(st.lists(st.floats(0.0, 1e6), max_size=20), st.floats(1.0, 1e6))
def test_shares_and_the_rest_are_the_cluster(held: list[float], more_s: float) -> None:
    made = embodied(scenario())
    whole_s = (sum(held) + more_s) / 48
    parts = made.job_kg([*held, more_s])
    assert float(np.sum(parts)) == pytest.approx(made.kg_per_s * whole_s, rel=1e-9)
