"""Parts of a server: fans, leakage, and that the parts add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.server_power import (
    PARTS,
    fan_power_w,
    idle_parts_w,
    job_parts_w,
    job_power_w,
    leakage_w,
)
from dcsim.spec.cluster import ServerSpec

watts = st.floats(0.0, 1000.0)
fractions = st.floats(0.0, 1.0)


@given(watts, watts, st.floats(10.0, 40.0), st.floats(1.0, 20.0), st.floats(-10.0, 90.0))
def test_fans_follow_the_cube_of_a_speed_that_rises_linearly(
    least: float, more: float, start: float, span: float, inlet: float
) -> None:
    most, end = least + more, start + span
    kinds = {
        "power_w": least,
        "full_power_w": most,
        "reference_inlet_deg_c": start,
        "full_inlet_deg_c": end,
    }
    power = float(fan_power_w(inlet, **kinds))
    assert least <= power <= most * (1.0 + 1e-12)
    part = min(1.0, max(0.0, (inlet - start) / (end - start)))
    # Affinity law: P ~ n^3, speeds n of the two ends at the cube roots of their powers.
    speed = math.cbrt(least) * (1.0 - part) + math.cbrt(most) * part
    assert power == pytest.approx(speed**3, rel=1e-9, abs=1e-9)
    if inlet <= start:
        assert power == least
    if inlet >= end:
        assert power == most


def test_fans_without_a_rise_draw_the_same_in_any_air() -> None:
    kinds = {"power_w": 33.3, "full_power_w": 33.3, "reference_inlet_deg_c": 25.0, "full_inlet_deg_c": 40.0}
    assert fan_power_w(np.linspace(0.0, 60.0, 61), **kinds).tolist() == [33.3] * 61


@given(watts, st.floats(0.0, 0.05), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_leakage_is_a_line_through_the_reference_that_ends_at_no_static_power(
    static: float, fraction: float, reference: float, temperature: float
) -> None:
    change = float(
        leakage_w(temperature, static_power_w=static, fraction_per_k=fraction, reference_deg_c=reference)
    )
    assert change >= -static
    if change > -static:
        assert change == pytest.approx(static * fraction * (temperature - reference), rel=1e-9, abs=1e-12)


def test_leakage_is_near_the_exponential_over_the_range_of_a_chip() -> None:
    # Liu et al. (DATE 2007): a line is good over the working range; here 50 to 80 degC about 65 degC.
    temperature = np.linspace(50.0, 80.0, 31)
    exponential = 100.0 * np.exp(0.01 * (temperature - 65.0))
    line = 100.0 + leakage_w(temperature, static_power_w=100.0, fraction_per_k=0.01, reference_deg_c=65.0)
    assert np.max(np.abs(line / exponential - 1.0)) < 0.0125


@st.composite
def servers(draw: st.DrawFn) -> ServerSpec:
    """Draw a server whose idle and peak power are divided among any parts."""
    idle_w, more_w = draw(st.integers(1, 2000)), draw(st.integers(0, 3000))
    weights = [draw(st.integers(0, 8)) / 32 for _ in range(5)]
    return ServerSpec(
        idle_power_w=idle_w,
        peak_power_w=idle_w + more_w,
        parts={
            "memory_idle_power_w": weights[0] * idle_w,
            "nic_idle_power_w": weights[1] * idle_w,
            "memory_busy_power_w": weights[2] * more_w,
            "nic_busy_power_w": weights[3] * more_w,
        },
        fans={"power_w": weights[4] * idle_w, "full_power_w": weights[4] * idle_w + 100.0},
    )


@given(servers(), watts)
def test_idle_parts_add_up_to_the_idle_server(spec: ServerSpec, accelerators_w: float) -> None:
    parts = idle_parts_w(spec, accelerators_w)
    assert len(parts) == len(PARTS)
    assert min(parts) >= 0.0
    assert math.fsum(parts) == pytest.approx(spec.idle_power_w + accelerators_w, rel=1e-12)


@given(servers(), fractions, fractions, fractions, watts)
def test_parts_of_jobs_add_up_to_what_they_draw(
    spec: ServerSpec, cpu: float, memory: float, network: float, accelerators_w: float
) -> None:
    parts = job_parts_w(spec, cpu, memory, network, accelerators_w=accelerators_w)
    drawn = job_power_w(spec, cpu, memory, network)
    assert math.fsum(parts) == pytest.approx(drawn + accelerators_w, rel=1e-12, abs=1e-12)
    # Two jobs that hold the rest add up with it to the server's peak.
    rest = job_power_w(spec, (1.0 - cpu) / 2.0, (1.0 - memory) / 2.0, (1.0 - network) / 2.0)
    peak = spec.peak_power_w - spec.idle_power_w
    assert drawn + 2.0 * rest == pytest.approx(peak, rel=1e-9, abs=1e-9)


def test_without_parts_all_is_the_cpu() -> None:
    spec = ServerSpec(idle_power_w=300.0, peak_power_w=900.0)
    assert idle_parts_w(spec, 320.0) == (320.0, 300.0, 0.0, 0.0, 0.0)
    assert job_parts_w(spec, 0.25, accelerators_w=50.0) == (50.0, 150.0, 0.0, 0.0, 0.0)
    assert job_power_w(spec, 0.25, 0.0, 1.0) == 150.0
