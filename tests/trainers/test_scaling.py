"""More devices: closed forms of the ring, limits, and what can be learnt from measured widths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.scaling import Network, all_reduce_s, fit_network, scaled_step

SIZE = 4e6
ONE_A_SERVER = Network(bandwidth_bytes_per_s=1e9, latency_s=1e-5)

devices = st.integers(1, 300)
sizes = st.floats(0.0, 1e12)
times = st.floats(1e-6, 1e3)


@pytest.mark.parametrize("count", [2, 3, 8, 64])
def test_a_ring_takes_its_closed_form(count: int) -> None:
    expected = 2 * (count - 1) * 1e-5 + 2 * (count - 1) / count * SIZE / 1e9
    assert all_reduce_s(SIZE, count, ONE_A_SERVER) == pytest.approx(expected)


def test_inside_one_server_only_its_links_count() -> None:
    network = Network(
        1e9, 1e-5, devices_per_server=8, inside_bandwidth_bytes_per_s=1e11, inside_latency_s=1e-6
    )
    assert all_reduce_s(SIZE, 8, network) == pytest.approx(14 * 1e-6 + 2 * 7 / 8 * SIZE / 1e11)


@given(devices, sizes)
def test_a_ring_never_gets_quicker_with_a_device_more(count: int, size: float) -> None:
    assert all_reduce_s(size, count, ONE_A_SERVER) <= all_reduce_s(size, count + 1, ONE_A_SERVER) * (
        1 + 1e-12
    )


@given(devices, sizes)
def test_the_quickest_algorithm_is_no_slower_than_the_ring(count: int, size: float) -> None:
    assert all_reduce_s(size, count, ONE_A_SERVER, "auto") <= all_reduce_s(size, count, ONE_A_SERVER)


@given(devices, sizes, times, st.floats(0.0, 1.0))
def test_a_step_takes_at_least_its_computing_and_at_most_all_of_both(
    count: int, size: float, compute_s: float, overlap: float
) -> None:
    step = scaled_step(compute_s, size, count, ONE_A_SERVER, overlap_fraction=overlap)
    assert compute_s <= step.step_s <= (compute_s + step.exchange_s) * (1 + 1e-12)
    assert step.step_s >= step.exchange_s * (1 - 1e-12)


def test_with_a_fixed_total_batch_the_speed_up_stays_below_amdahls_limit() -> None:
    overhead_s, per_sample_s, total = 1e-3, 1e-4, 4096

    def step_s(count: int) -> float:
        return scaled_step(overhead_s + per_sample_s * total / count, SIZE, count, ONE_A_SERVER).step_s

    serial = overhead_s / (overhead_s + per_sample_s * total)
    for count in (2, 16, 256, 4096):
        speed_up = step_s(1) / step_s(count)
        assert speed_up <= 1.0 / (serial + (1.0 - serial) / count)
    free = Network(bandwidth_bytes_per_s=float("inf"))
    best = scaled_step(overhead_s + per_sample_s * total / 4096, SIZE, 4096, free).step_s
    assert step_s(1) / best == pytest.approx(1.0 / (serial + (1.0 - serial) / 4096))


def test_links_are_found_again_from_the_steps_they_made() -> None:
    made = [(count, all_reduce_s(SIZE, count, ONE_A_SERVER)) for count in (2, 4, 8)]
    found = fit_network(made, SIZE)
    assert found.bandwidth_bytes_per_s == pytest.approx(1e9)
    assert found.latency_s == pytest.approx(1e-5)


def test_two_devices_alone_say_the_bandwidth_and_a_ring_of_many_takes_twice_as_long() -> None:
    found = fit_network([(2, 1e-3), (2, 3e-3)], SIZE)
    assert all_reduce_s(SIZE, 2, found) == pytest.approx(2e-3)
    assert all_reduce_s(SIZE, 10_000, found) == pytest.approx(4e-3, rel=1e-3)


def test_devices_that_cost_nothing_more_have_links_without_limit() -> None:
    assert all_reduce_s(SIZE, 64, fit_network([(2, -1e-4)], SIZE)) == 0.0


@pytest.mark.parametrize("extra", [[], [(1, 0.0)]])
def test_widths_of_one_say_nothing(extra: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="two devices or more"):
        fit_network(extra, SIZE)
