"""Step costs against figures worked out by hand from the round profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import ProfileError
from dcsim.facility.hardware import CATALOGUE
from dcsim.workload.cost import (
    check_efficiency,
    fits,
    ideal_step_time_s,
    marginal_efficiency,
    rate_used,
    roofline_s,
    step_cost,
)
from dcsim.workload.profile import CostProfile

HERE = CATALOGUE["cpu-core"]
V100 = CATALOGUE["V100"]


def test_measured_configurations_are_given_back(profile: CostProfile) -> None:
    for point in profile.points:
        cost = step_cost(profile, HERE, point.devices, point.batch_per_device)
        assert cost.compute_s == pytest.approx(point.step_time_s, rel=1e-12)
        assert not cost.extrapolated
        assert cost.reasons == ()
        # The ring inside the server is part of what was measured: nothing may be added to it.
        assert ideal_step_time_s(cost, HERE, point.devices) == cost.compute_s


def test_traffic_and_utilisation(profile: CostProfile) -> None:
    one, two = step_cost(profile, HERE, 1, 32), step_cost(profile, HERE, 2, 32)
    assert (one.allreduce_bytes, two.allreduce_bytes) == (0.0, 400_004.0)
    assert (one.intra_allreduce_bytes, two.intra_allreduce_bytes) == (0.0, 0.0)
    assert (one.input_bytes, two.input_bytes) == (32 * 3_000.0, 2 * 32 * 3_000.0)
    assert one.utilisation == 1.0
    assert two.utilisation == pytest.approx(4.2 / 6.2)


def test_outside_the_measured_range_is_flagged(profile: CostProfile) -> None:
    wide, large, small = (step_cost(profile, HERE, *shape) for shape in ((8, 64), (1, 1024), (1, 1)))
    assert wide.compute_s == pytest.approx(1e-3 + 64e-4 + 2e-3)  # held at the widest measured
    assert large.compute_s == pytest.approx(1e-3 + 1024e-4)
    assert small.compute_s == pytest.approx(1.1e-3)
    assert all(cost.extrapolated for cost in (wide, large, small))
    assert wide.reasons == ("round: 8 devices are outside the measured 1 to 2",)
    assert large.reasons == ("round: batch 1024 a device is outside the measured 32 to 128",)


def test_other_hardware_is_scaled_by_a_roofline(profile: CostProfile) -> None:
    # On the calibrated core: 1e6 / 262.4e9 = 3.811 us a sample against 100 us measured.
    efficiency = (1e6 / 262.4e9) / 1e-4
    assert marginal_efficiency(profile, HERE) == pytest.approx(efficiency)
    cost = step_cost(profile, V100, 4, 64)
    assert cost.compute_s == pytest.approx(1e-3 + 64 * max(1e6 / 15.7e12, 1e4 / 900e9) / efficiency)
    assert cost.intra_allreduce_bytes == cost.allreduce_bytes == 400_004.0
    assert cost.utilisation == 1.0
    assert cost.extrapolated
    assert "measured on cpu-core, scaled by a roofline to V100" in cost.reasons[0]
    ring_s = 2 * 3 / 4 * 400_004.0 / 150e9
    assert ideal_step_time_s(cost, V100, 4) == pytest.approx(cost.compute_s + ring_s)


def test_the_roofline_on_the_calibrated_device_is_the_fit(profile: CostProfile) -> None:
    # The same figures under another name: only the contention of the host is missing.
    twin = replace(HERE, name="twin")
    for batch in (1, 64, 999):
        scaled, fitted = step_cost(profile, twin, 1, batch), step_cost(profile, HERE, 1, batch)
        assert scaled.compute_s == pytest.approx(fitted.compute_s, rel=1e-12)


def test_efficiency_is_at_most_one(make_profile: Callable[..., CostProfile]) -> None:
    flat = make_profile(fit={"per_sample_s": 0.0})
    assert marginal_efficiency(flat, HERE) == 1.0
    assert step_cost(flat, V100, 1, 64).compute_s == pytest.approx(1e-3 + 64 * 1e6 / 15.7e12)


def test_more_than_the_peak_is_refused(
    make_profile: Callable[..., CostProfile], profile: CostProfile
) -> None:
    check_efficiency(profile)
    greedy = make_profile(points=[{**p.model_dump(), "flops_per_device": 1e12} for p in profile.points])
    with pytest.raises(ProfileError, match="of the peak of cpu-core") as caught:
        check_efficiency(greedy)
    assert len(caught.value.problems) == len(profile.points)


def test_unknown_devices_and_precisions_are_refused(make_profile: Callable[..., CostProfile]) -> None:
    with pytest.raises(ProfileError, match="abacus -> expected a catalogue name"):
        step_cost(make_profile(device="abacus"), V100, 1, 64)
    with pytest.raises(ProfileError, match="fp8 -> expected one of fp64, fp32, fp16"):
        step_cost(make_profile(precision="fp8"), V100, 1, 64, measured_on=CATALOGUE["H100"])
    with pytest.raises(ProfileError, match="both >= 1"):
        step_cost(make_profile(), V100, 0, 64)


def test_a_user_device_can_be_given(make_profile: Callable[..., CostProfile]) -> None:
    twice = replace(
        HERE, name="abacus", peak_flop_per_s={"fp32": 2 * 262.4e9}, memory_bandwidth_bytes_per_s=1e12
    )
    cost = step_cost(make_profile(device="abacus"), V100, 1, 64, measured_on=twice)
    assert cost.compute_s == pytest.approx(1e-3 + 64 * 1e6 / 15.7e12 / (1e6 / (2 * 262.4e9) / 1e-4))


def test_tpus_multiply_fp32_in_bf16() -> None:
    assert rate_used(CATALOGUE["TPU-v5e"], "fp32") == "bf16"
    assert rate_used(V100, "bf16") == "bf16"  # which it has no rate for: refused, not replaced
    assert roofline_s(197e12, 0.0, CATALOGUE["TPU-v5e"], "fp32", 0.5) == pytest.approx(2.0)


@given(
    devices=st.integers(1, 64),
    batch=st.integers(1, 4096),
    name=st.sampled_from(sorted(CATALOGUE)),
)
def test_costs_grow_with_batch_and_width(profile: CostProfile, devices: int, batch: int, name: str) -> None:
    accelerator = CATALOGUE[name]
    cost = step_cost(profile, accelerator, devices, batch)
    more = step_cost(profile, accelerator, devices + 1, batch + 1)
    assert 0 < cost.compute_s < more.compute_s
    assert cost.input_bytes < more.input_bytes
    assert 0 < cost.utilisation <= 1
    assert cost.extrapolated == bool(cost.reasons)
    inside = devices <= 2 and 32 <= batch <= 128 and name == "cpu-core"
    assert cost.extrapolated != inside


KNOTS = {(1, 32): 4e-3, (1, 64): 8e-3, (1, 128): 40e-3, (2, 32): 5e-3, (2, 128): 50e-3}


def _with_surface(make_profile: Callable[..., CostProfile], **changes: Any) -> CostProfile:
    knots = [
        {"devices": devices, "batch_per_device": batch, "step_time_s": time_s}
        for (devices, batch), time_s in KNOTS.items()
    ]
    return make_profile(surface={"knots": knots, "interval_relative": 0.07, "coverage": 0.9}, **changes)


def test_a_surface_goes_before_the_fit(make_profile: Callable[..., CostProfile]) -> None:
    profile = _with_surface(make_profile)
    for (devices, batch), time_s in KNOTS.items():
        cost = step_cost(profile, HERE, devices, batch)
        assert cost.compute_s == pytest.approx(time_s)
        assert cost.reasons == ()
        # The ring inside the server is part of what was measured: nothing may be added to it.
        assert ideal_step_time_s(cost, HERE, devices) == cost.compute_s
    # 1 device takes 40 of the 50 ms of 2: the rest is lost by running together.
    assert step_cost(profile, HERE, 2, 128).utilisation == pytest.approx(0.8)
    assert step_cost(profile, HERE, 1, 96).compute_s == pytest.approx(24e-3)


def test_outside_a_surface_is_flagged_and_continued(make_profile: Callable[..., CostProfile]) -> None:
    profile = _with_surface(make_profile)
    wide, large = step_cost(profile, HERE, 8, 128), step_cost(profile, HERE, 1, 192)
    assert wide.compute_s == pytest.approx(50e-3)
    assert wide.reasons == ("round: 8 devices are outside the measured 1 to 2",)
    assert large.compute_s == pytest.approx(72e-3)
    assert large.reasons == ("round: batch 192 a device is outside the measured 32 to 128",)


def test_between_the_widths_of_a_surface_is_flagged(make_profile: Callable[..., CostProfile]) -> None:
    knots = [
        {"devices": n, "batch_per_device": b, "step_time_s": 1e-3 * b + 2 * (n - 1) / n * 5e-3}
        for n in (1, 8)
        for b in (32, 128)
    ]
    profile = make_profile(surface={"knots": knots, "interval_relative": 0.05, "coverage": 0.9})
    cost = step_cost(profile, HERE, 4, 64)
    assert cost.compute_s == pytest.approx(64e-3 + 7.5e-3)
    assert cost.extrapolated
    assert cost.reasons == ("round: 4 devices lie between the measured 1 and 8",)
    assert not step_cost(profile, HERE, 8, 64).extrapolated
    # Elsewhere the surface is not used, nor what it leaves open.
    assert len(step_cost(profile, V100, 4, 64).reasons) == 1


def test_a_gang_faster_than_one_device_computes_all_the_time(
    make_profile: Callable[..., CostProfile],
) -> None:
    knots = [
        {"devices": devices, "batch_per_device": 64, "step_time_s": time_s}
        for devices, time_s in ((1, 0.2), (2, 0.1))
    ]
    profile = make_profile(surface={"knots": knots, "interval_relative": 0.1, "coverage": 0.9})
    cost = step_cost(profile, HERE, 2, 64)
    assert (cost.compute_s, cost.utilisation) == (0.1, 1.0)


def test_other_hardware_is_scaled_as_without_a_surface(make_profile: Callable[..., CostProfile]) -> None:
    plain = step_cost(make_profile(), V100, 4, 64)
    assert step_cost(_with_surface(make_profile), V100, 4, 64).compute_s == plain.compute_s


def test_what_was_not_measured_says_so(make_profile: Callable[..., CostProfile]) -> None:
    step = {
        "devices": 2, "global_batch": 64, "layout": "data=2", "step_time_s": 0.01, "step_time_low_s": 0.0093,
        "step_time_high_s": 0.0109, "coverage": 0.9, "mfu": 0.3, "parts_s": {"compute": 0.01}, "memory_parts_bytes": {},
    }  # fmt: skip
    predicted = make_profile(origin="predicted", prediction=step)
    cost = step_cost(predicted, HERE, 1, 64)
    assert cost.extrapolated
    assert cost.reasons == ("round: predicted, not measured: 90% within -7% to +9%",)
    compiled = step_cost(make_profile(origin="compiled"), HERE, 1, 256)
    assert compiled.reasons == (
        "round: compiled, not timed",
        "round: batch 256 a device is outside the compiled 32 to 128",
    )
    imported = step_cost(_with_surface(make_profile, origin="imported"), HERE, 1, 64)
    assert imported.reasons == (
        "round: taken over from a table, not measured by the trainers: 90% within -+7%",
    )


def test_memory_that_does_not_fit_is_told(make_profile: Callable[..., CostProfile]) -> None:
    assert fits(make_profile(memory_bytes_per_device=16e9), V100)
    assert not fits(make_profile(memory_bytes_per_device=100e9), V100)
    assert fits(make_profile(memory_bytes_per_device=0.0), V100)  # not known
