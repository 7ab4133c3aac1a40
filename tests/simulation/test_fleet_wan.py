"""What moves with a job, once or each time, and when it has arrived under fair sharing."""

from __future__ import annotations

import pytest

from dcsim.simulation.fleet_jobs import build_fleet_jobs
from dcsim.simulation.fleet_wan import Wan, luggage_of
from dcsim.workload.jobs import job_table
from dcsim.workload.profile_store import builtin_profiles, load_profile
from tests.simulation.fleets import fleet, site

DATA = {"datasets": {"text": {"size_bytes": 8e9}}, "shared": {"bandwidth_bytes_per_s": 1e6, "power_w": 0.0}}


def wan_of(jobs, **parts):
    loaded = fleet({name: site(storage=DATA) for name in ("a", "b", "c")}, **parts)
    built = build_fleet_jobs(loaded, 0, jobs)
    luggage = luggage_of(loaded.fleet, built, loaded.sites[0].scenario)
    return Wan(loaded.fleet, luggage), luggage


def readers(count, dataset="text"):
    return job_table(
        submit_s=[float(i) for i in range(count)],
        steps=10.0,
        profile="tiny_transformer",
        dataset=dataset,
    )


def test_two_transfers_share_a_way_and_the_other_direction_is_free():
    wan, _ = wan_of(
        readers(3, ""),
        data={"job_bytes": 1e9, "checkpoints": False},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e8},
    )
    profile_bytes = wan.quote(0, 0, 1, 0.0).size_bytes
    for job, (home, to) in enumerate(((0, 1), (0, 1), (1, 0))):
        wan.send(job, home, to, 0.0, wan.quote(job, home, to, 0.0))
    ends_s, _ = wan.arrivals_s()
    # The second of a way needs no data set any more: 1e9 B beside the first, at half the rate.
    assert ends_s[1] == pytest.approx(2e9 / 1e8)
    assert ends_s[0] == pytest.approx((profile_bytes + 1e9) / 1e8)
    assert ends_s[2] == pytest.approx(profile_bytes / 1e8)


def test_a_data_set_moves_once_to_each_site_and_who_reads_it_waits_for_it():
    wan, luggage = wan_of(
        readers(3),
        data={"checkpoints": False},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e8},
    )
    assert luggage.dataset == [0, 0, 0]
    first = wan.quote(0, 0, 1, 0.0)
    assert (first.size_bytes, first.arrival_s) == (8e9, 80.0)
    wan.send(0, 0, 1, 0.0, first)
    second = wan.quote(1, 0, 1, 1.0)
    assert (second.size_bytes, second.arrival_s) == (0.0, 80.0)
    wan.send(1, 0, 1, 1.0, second)
    third = wan.quote(2, 0, 2, 2.0)  # another site
    assert third.size_bytes == 8e9
    wan.send(2, 0, 2, 2.0, third)
    ends_s, ready_s = wan.arrivals_s()
    assert ends_s.tolist() == [80.0, 1.0, 82.0]
    assert ready_s.tolist() == [80.0, 80.0, 82.0]


def test_data_sets_that_are_not_kept_move_each_time():
    wan, _ = wan_of(readers(2), data={"checkpoints": False, "keep_datasets": False})
    for job in range(2):
        quote = wan.quote(job, 0, 1, float(job))
        assert quote.size_bytes == 8e9
        wan.send(job, 0, 1, float(job), quote)


def test_jobs_of_other_homes_have_other_copies():
    jobs = job_table(
        submit_s=[0.0, 1.0], steps=10.0, profile="tiny_transformer", dataset="text", tenant=["one", "two"]
    )
    _, luggage = wan_of(jobs, homes="round_robin")
    assert luggage.dataset == [0, 1]


def test_what_a_job_takes_along_is_what_the_fleet_says():
    jobs = job_table(
        submit_s=[0.0, 0.0],
        steps=[10.0, float("nan")],
        duration_s=[float("nan"), 10.0],
        profile=["tiny_transformer", ""],
    )
    _, luggage = wan_of(jobs, data={"job_bytes": 5.0, "dataset_bytes": 7.0})
    profile = load_profile(builtin_profiles()["tiny_transformer"])[0]
    assert luggage.own_bytes == [5.0 + profile.checkpoint_bytes, 12.0]
    assert luggage.dataset_bytes == ([profile.dataset_bytes] if profile.dataset_bytes else [])


def test_a_pair_differs_only_where_it_says_so_and_both_ways():
    pairs = [{"between": ["c", "a"], "price_usd_per_byte": 3e-11, "latency_s": 2.0}]
    wan, _ = wan_of(readers(1), wan={"price_usd_per_byte": 1e-11, "energy_j_per_byte": 1e-4, "pairs": pairs})
    for home, to, price in ((0, 2, 3e-11), (2, 0, 3e-11), (0, 1, 1e-11)):
        quote = wan.quote(0, home, to, 0.0)
        assert quote.cost_usd == pytest.approx(price * quote.size_bytes)
        assert quote.energy_j == pytest.approx(1e-4 * quote.size_bytes)
    assert wan.quote(0, 0, 2, 0.0).arrival_s - wan.quote(0, 0, 1, 0.0).arrival_s == pytest.approx(1.95)


def test_the_estimate_counts_what_is_under_way_now():
    wan, _ = wan_of(
        readers(2, ""),
        data={"job_bytes": 1e9, "checkpoints": False, "keep_datasets": False},
        wan={"latency_s": 0.0, "bandwidth_bytes_per_s": 1e8},
    )
    alone = wan.quote(0, 0, 1, 0.0)
    wan.send(0, 0, 1, 0.0, alone)
    assert wan.quote(1, 0, 1, 0.0).arrival_s == pytest.approx(2.0 * alone.arrival_s)
    after_s = alone.arrival_s + 1.0
    assert wan.quote(1, 0, 1, after_s).arrival_s == pytest.approx(after_s + alone.arrival_s)
