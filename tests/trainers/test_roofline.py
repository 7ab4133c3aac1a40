"""Efficiencies by kind of operator: found again where they made the steps, and honest where they did not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dcsim.facility.hardware import CATALOGUE
from dcsim.workload.profile import CostProfile, OperatorCost
from tests.trainers.profiles import make_profile
from trainers.roofline import (
    Efficiencies,
    kind_times_s,
    learn,
    operators_of,
    step_time_s,
    with_efficiencies,
)

A100 = CATALOGUE["A100-80"]
PEAK, BANDWIDTH = 19.5e12, 2039e9
TRUE = Efficiencies(matmul=0.62, convolution=0.35, memory=0.71, step_s=2e-4)

MATMUL = OperatorCost(kind="matmul", flops_per_sample=3e9, bytes_per_sample=1e6)
CONVOLUTION = OperatorCost(kind="convolution", flops_per_sample=2e9, bytes_per_sample=2e6)
ELEMENTWISE = OperatorCost(kind="elementwise", flops_per_sample=1e7, bytes_per_sample=2e8)
COLLECTIVE = OperatorCost(kind="collective", flops_per_sample=0.0, bytes_per_sample=1e9)


def measured(name: str, operators: Sequence[OperatorCost], slower: float = 1.0) -> CostProfile:
    """Return a profile whose steps the true efficiencies made, times `slower`."""
    steps = {
        (1, batch): slower * step_time_s(operators, batch, A100, "fp32", TRUE) for batch in (4, 16, 64, 128)
    }
    return make_profile(name, "A100-80", steps, operators)


def test_a_kind_takes_the_higher_of_its_two_roofs() -> None:
    times = kind_times_s([MATMUL, ELEMENTWISE, COLLECTIVE], 10, A100, "fp32", TRUE)
    assert times == {
        "matmul": pytest.approx(10 * 3e9 / (0.62 * PEAK)),
        "elementwise": pytest.approx(10 * 2e8 / (0.71 * BANDWIDTH)),
    }
    narrow = MATMUL.model_copy(update={"bytes_per_sample": 1e9})
    (time_s,) = kind_times_s([narrow], 1, A100, "fp32", TRUE).values()
    assert time_s == pytest.approx(1e9 / (0.71 * BANDWIDTH))


def test_a_precision_that_a_device_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="fp8 on A100-80 -> expected one of"):
        step_time_s([MATMUL], 1, A100, "fp8", TRUE)


def test_efficiencies_are_found_again_and_predict_the_model_left_out() -> None:
    profiles = [
        measured("dense", [MATMUL, ELEMENTWISE]),
        measured("moves", [ELEMENTWISE]),
        measured("conv", [CONVOLUTION, ELEMENTWISE]),
        measured("mixed", [MATMUL, CONVOLUTION, ELEMENTWISE]),
    ]
    learnt = learn(profiles, A100)
    assert learnt.efficiencies == pytest.approx(TRUE, rel=0.01)
    assert learnt.residual_relative < 0.005
    assert set(learnt.left_out_relative) == {"dense", "moves", "conv", "mixed"}
    assert max(learnt.left_out_relative.values()) < 0.02


def test_the_error_on_a_model_left_out_shows_a_model_that_is_unlike_the_others() -> None:
    others = [measured(f"dense{i}", [MATMUL, ELEMENTWISE]) for i in range(2)]
    learnt = learn([*others, measured("odd", [MATMUL, ELEMENTWISE], slower=2.0)], A100)
    assert learnt.left_out_relative["odd"] == pytest.approx(0.5, abs=0.02)


def test_kinds_that_a_single_profile_cannot_tell_apart_are_made_alike() -> None:
    found = learn([measured("dense", [MATMUL])], A100)
    assert found.efficiencies.matmul == pytest.approx(TRUE.matmul, rel=0.01)
    assert found.efficiencies.convolution == pytest.approx(found.efficiencies.matmul, rel=0.01)
    assert found.left_out_relative == {}


def test_nothing_measured_on_one_device_teaches_nothing() -> None:
    pair = make_profile("pair", "A100-80", {(2, 8): 1e-3}, [MATMUL])
    with pytest.raises(ValueError, match="at least one to learn from"):
        learn([pair], A100)


def test_efficiencies_of_operators_are_parts_of_their_roofline() -> None:
    found = with_efficiencies([MATMUL, ELEMENTWISE, COLLECTIVE], A100, "fp32", TRUE)
    assert [each.efficiency for each in found] == [pytest.approx(0.62), pytest.approx(0.71), None]


def test_on_a_cpu_caches_may_serve_faster_than_memory_so_that_only_products_have_a_part() -> None:
    fast = Efficiencies(matmul=0.4, convolution=0.4, memory=5.0)
    found = with_efficiencies([MATMUL, ELEMENTWISE], CATALOGUE["cpu-core"], "fp32", fast)
    assert [each.efficiency for each in found] == [pytest.approx(0.4), None]


def test_a_profile_that_tells_no_kinds_is_all_products_and_moves() -> None:
    profile = make_profile("plain", "A100-80", {(1, 8): 1e-3}, ())
    assert [(each.kind, each.flops_per_sample, each.bytes_per_sample) for each in operators_of(profile)] == [
        ("matmul", 1e9, 0.0),
        ("other", 0.0, 1e8),
    ]
