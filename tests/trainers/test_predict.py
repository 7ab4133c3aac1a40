"""Predictions say what they rest on: measured ones are the measurement, others are flagged, widened, and in the end refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from dcsim.errors import InputError
from dcsim.facility.hardware import CATALOGUE
from dcsim.workload.cost import ideal_step_time_s, step_cost
from dcsim.workload.profile import CollectiveTraffic, OperatorCost, StepTimeKnot, StepTimeSurface
from dcsim.workload.profile_store import load_profile, save_profile
from tests.trainers.profiles import make_profile
from trainers.__main__ import main
from trainers.predict import ASSUMED, CALL_S, COVERAGE, REACH, Request, predict
from trainers.predicted import predicted_profile
from trainers.scaling import Network

A100, H100, CORE = CATALOGUE["A100-80"], CATALOGUE["H100"], CATALOGUE["cpu-core"]
OPERATORS = (
    OperatorCost(kind="matmul", flops_per_sample=4e9, bytes_per_sample=1e6, calls_per_step=10),
    OperatorCost(kind="elementwise", flops_per_sample=1e7, bytes_per_sample=2e8, calls_per_step=30),
)
# 0.5 ms, 1 ms a sample, 2 ms for the second device.
STEPS = {
    (devices, batch): 5e-4 + 1e-3 * batch + 2e-3 * (devices - 1)
    for devices in (1, 2)
    for batch in (8, 16, 32)
}
PROFILE = make_profile("model", "A100-80", STEPS, OPERATORS)


def width(found: Any) -> float:
    assert found.high_s / found.step.step_s == pytest.approx(found.step.step_s / found.low_s)
    return float(found.high_s / found.step.step_s)


def test_inside_what_was_measured_the_prediction_is_the_measurement() -> None:
    found = predict(PROFILE, Request(A100, devices=2, batch_per_device=12))
    assert found.step.step_s == pytest.approx(5e-4 + 12e-3 + 2e-3)
    assert (found.basis, found.reasons) == ("measured", ())
    assert found.parts_s == {
        "computing": pytest.approx(12.5e-3),
        "exchange of gradients": pytest.approx(2e-3),
    }
    assert found.samples_per_s == pytest.approx(24 / 14.5e-3)
    assert found.mfu == pytest.approx((4e9 + 1e7) * 12 / (19.5e12 * 14.5e-3))
    assert width(found) == pytest.approx(1 + 1.6 * 0.04)


def test_a_surface_goes_before_the_fit_and_brings_its_own_interval() -> None:
    knots = tuple(
        StepTimeKnot(devices=1, batch_per_device=b, step_time_s=t) for b, t in ((8, 0.01), (32, 0.05))
    )
    surface = StepTimeSurface(knots=knots, interval_relative=0.1, coverage=0.9)
    found = predict(PROFILE.model_copy(update={"surface": surface}), Request(A100, batch_per_device=20))
    assert (found.low_s, found.step.step_s, found.high_s) == pytest.approx((0.027, 0.03, 0.033))
    assert (found.coverage, found.basis) == (0.9, "measured")


def test_between_the_widths_of_a_surface_is_flagged_and_the_interval_holds_ring_and_contention() -> None:
    def surfaced(extra_s: float) -> Any:
        knots = tuple(
            StepTimeKnot(devices=n, batch_per_device=b, step_time_s=1e-3 * b + extra_s * (n > 1))
            for n in (1, 8)
            for b in (8, 32)
        )
        surface = StepTimeSurface(knots=knots, interval_relative=0.03, coverage=0.9)
        return PROFILE.model_copy(update={"surface": surface})

    found = predict(surfaced(10e-3), Request(A100, devices=2, batch_per_device=10))
    assert (found.basis, found.coverage) == ("extrapolated", COVERAGE)
    assert found.reasons == ("2 devices lie between the measured 1 and 8",)
    ring_s, straight_s = 10e-3 + 10e-3 * 0.5 / 0.875, 10e-3 + 10e-3 / 7
    assert found.step.step_s == pytest.approx(ring_s)
    assert math.log(width(found)) == pytest.approx(math.hypot(math.log(1.03), math.log(ring_s / straight_s)))
    assert found.low_s < straight_s
    # Where both agree, as much as for a doubling from the nearer.
    flat = predict(surfaced(0.0), Request(A100, devices=2, batch_per_device=10))
    assert math.log(width(flat)) == pytest.approx(math.hypot(math.log(1.03), math.log(1.1)))
    assert predict(surfaced(10e-3), Request(A100, devices=8, batch_per_device=10)).basis == "measured"


def test_a_larger_batch_is_flagged_and_the_interval_grows_with_it() -> None:
    near, far = (predict(PROFILE, Request(A100, batch_per_device=batch)) for batch in (64, 128))
    assert near.basis == "extrapolated"
    assert near.reasons == ("batch 64 a device: 8 to 32 measured",)
    assert near.coverage == COVERAGE
    inside = math.log(1 + 1.6 * 0.04)
    assert math.log(width(near)) == pytest.approx(math.hypot(inside, math.log(1.15)))
    assert math.log(width(far)) == pytest.approx(math.hypot(inside, 2 * math.log(1.15)))


def test_cores_are_trusted_less_beyond_the_cache() -> None:
    cores = make_profile("model", "cpu-core", STEPS, OPERATORS)
    assert width(predict(cores, Request(CORE, batch_per_device=64))) > width(
        predict(PROFILE, Request(A100, batch_per_device=64))
    )


@pytest.mark.parametrize(("devices", "batch"), [(1, 129), (1, 1), (9, 32)])
def test_too_far_is_refused_unless_asked_for(devices: int, batch: int) -> None:
    with pytest.raises(InputError, match=r"within 4 times the measured .*--extrapolate"):
        predict(PROFILE, Request(A100, devices=devices, batch_per_device=batch))
    found = predict(PROFILE, Request(A100, devices=devices, batch_per_device=batch, extrapolate=True))
    assert found.basis == "extrapolated"


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        predict(PROFILE, Request(H100, devices=100, batch_per_device=10_000, precision="fp4"))
    assert [problem.path for problem in caught.value.problems] == ["batch", "batch", "devices", "precision"]


def test_what_does_not_fit_into_memory_is_refused_even_if_asked_for() -> None:
    # 4 MB of state, and 996 MB of activations at batch 32: 80 GB are reached at 2,570.
    assert predict(PROFILE, Request(A100, batch_per_device=2500, extrapolate=True)).memory_bytes < 80e9
    with pytest.raises(InputError, match="the memory of A100-80"):
        predict(PROFILE, Request(A100, batch_per_device=2600, extrapolate=True))


def test_more_devices_than_measured_exchange_on_the_ring_that_two_spoke_of() -> None:
    found = predict(PROFILE, Request(A100, devices=8, batch_per_device=32))
    # The bytes of a ring grow from 2 / 2 of the message to 2 x 7 / 8 of it.
    assert found.step.exchange_s == pytest.approx(2e-3 * (2 * 7 / 8))
    assert found.step.compute_s == pytest.approx(32.5e-3)
    assert found.basis == "extrapolated"
    assert found.reasons[-1] == "8 devices: 1 to 2 measured"


def test_links_that_are_given_go_before_those_measured_and_hide_what_may_overlap() -> None:
    network = Network(bandwidth_bytes_per_s=1e9, latency_s=1e-4)
    found = predict(
        PROFILE, Request(A100, devices=4, batch_per_device=32, network=network, overlap_fraction=0.1)
    )
    exchange_s = 6 * 1e-4 + 1.5 * 4e6 / 1e9
    assert found.step.exchange_s == pytest.approx(exchange_s)
    assert found.step.exposed_s == pytest.approx(exchange_s - 0.1 * 32.5e-3)
    assert "reckoned for the links given" in found.reasons[0]


def test_steps_that_a_roofline_made_are_carried_over_by_the_peaks() -> None:
    """Half the peak in products, half the bandwidth, nothing else: on another device again half of each."""
    rates = {"A100-80": (19.5e12, 2039e9), "H100": (67e12, 3350e9)}

    def step_s(device: str, batch: int) -> float:
        peak, bandwidth = rates[device]
        return 1e-4 + 2 * batch * (4e9 / peak + 2e8 / bandwidth)

    made = {(1, batch): step_s("A100-80", batch) for batch in (8, 16, 32)}
    found = predict(make_profile("model", "A100-80", made, OPERATORS), Request(H100, batch_per_device=32))
    assert found.step.step_s == pytest.approx(step_s("H100", 32) + 40 * CALL_S["gpu"], rel=0.03)
    assert found.efficiencies is not None
    assert width(found) > 2.4
    assert [reason.split(" ")[0] for reason in found.reasons] == ["efficiencies", "carried"]


def test_a_single_model_and_another_kind_of_device_are_trusted_least() -> None:
    cores = make_profile("model", "cpu-core", STEPS, OPERATORS)
    one = predict(cores, Request(H100, batch_per_device=32))
    other = predict(PROFILE, Request(H100, batch_per_device=32))
    assert width(one) > width(other) > width(predict(PROFILE, Request(A100, batch_per_device=128)))
    assert one.efficiencies is not None
    assert one.efficiencies.memory <= ASSUMED.memory


def test_a_table_that_does_not_say_what_a_sample_computes_is_not_carried_over() -> None:
    table = PROFILE.model_copy(update={"flops_per_sample": None, "origin": "imported"})
    assert predict(table, Request(A100, batch_per_device=16)).reasons == ("model itself is imported",)
    with pytest.raises(InputError, match="flops_per_sample: not known"):
        predict(table, Request(H100, batch_per_device=16))


def test_the_profile_of_a_prediction_is_sound_and_costs_what_was_predicted(tmp_path: Path) -> None:
    found = predict(PROFILE, Request(H100, devices=8, batch_per_device=64))
    profile = predicted_profile(PROFILE, found, "elsewhere", "predict")
    save_profile(profile, tmp_path / "elsewhere.json")
    loaded, _ = load_profile(tmp_path / "elsewhere.json")
    assert (loaded.origin, loaded.device, loaded.points, loaded.surface) == ("predicted", "H100", (), None)
    assert loaded.prediction is not None
    assert loaded.prediction.assumptions == found.reasons
    assert sum(loaded.prediction.parts_s.values()) == pytest.approx(loaded.prediction.step_time_s)
    cost = step_cost(loaded, H100, 8, 64)
    assert ideal_step_time_s(cost, H100, 8) == pytest.approx(found.step.step_s)
    smaller = predict(PROFILE, Request(H100, batch_per_device=16, extrapolate=True)).step.compute_s
    assert step_cost(loaded, H100, 1, 16).compute_s == pytest.approx(smaller)


def test_what_crosses_servers_is_left_to_the_simulator() -> None:
    network = Network(1e9, 0.0, devices_per_server=2, inside_bandwidth_bytes_per_s=1e11)
    found = predict(PROFILE, Request(A100, devices=4, batch_per_device=32, network=network))
    fit = predicted_profile(PROFILE, found, "wide", "predict").fit
    # Inside a server a ring of two: the message once over its links.
    assert fit.per_device_s * 3 == pytest.approx(4e6 / 1e11)
    assert found.step.exposed_s > 4e6 / 1e9


def test_a_prediction_without_traffic_has_none() -> None:
    silent = PROFILE.model_copy(
        update={"collectives": CollectiveTraffic(all_reduce_bytes=0, all_reduce_count=0)}
    )
    assert predict(silent, Request(A100, devices=8, batch_per_device=32)).step.exchange_s == 0.0
    assert REACH == 4.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_profile(PROFILE, tmp_path / "model.json")
    return tmp_path / "model.json"


def test_the_command_prints_a_table_and_writes_a_profile_that_can_be_scheduled(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dcsim import load_scenario, simulate

    out = tmp_path / "h100.json"
    options = [
        "--device",
        "H100",
        "--devices",
        "8",
        "--batch",
        "64",
        "--bandwidth",
        "100GB/s",
        "--out",
        str(out),
    ]
    assert main(["predict", str(file), *options]) == 0
    printed = capsys.readouterr().out
    assert "8 x H100, 64 samples each" in printed
    assert "basis          extrapolated" in printed
    assert max(map(len, printed.splitlines())) <= 160
    (tmp_path / "scenario.yaml").write_text(
        """
version: 1
name: predicted
cluster: {racks: [{name: rack, servers: [{count: 1, accelerator: H100, accelerators: 8}]}]}
profiles: {h100: h100.json}
workload: {kind: generated, jobs: 2, mix: [{profile: h100, widths: {8: 1.0}}]}
"""
    )
    result = simulate(load_scenario(tmp_path / "scenario.yaml").scenario, base_dir=tmp_path)
    assert result.summary["jobs_completed"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "H10"], "--device: H10 -> expected one of"),
        (["--bandwidth", "10furlong"], "--bandwidth: '10furlong' -> expected a bandwidth"),
        (["--devices", "500"], "devices: 500 -> expected within 4 times the measured 1 to 2"),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_the_reason(
    file: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(file), *options]) == 2
    assert message in capsys.readouterr().err
