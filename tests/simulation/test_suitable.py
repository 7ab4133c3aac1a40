"""Halls with several kinds of accelerators: where a job may run, and on which it counts as ideal."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.errors import ScenarioError
from dcsim.spec.scenario import Scenario
from dcsim.workload.jobs import job_table
from tests.simulation.halls import hall, run


def _mixed(first: tuple[str, int], second: tuple[str, int]) -> Scenario:
    """One server of each (accelerator, how many), in racks of their own."""
    racks = [
        {"name": name, "servers": [{"accelerator": name, "accelerators": devices}]}
        for name, devices in (first, second)
    ]
    return hall(cluster={"racks": racks})


def test_ideal_is_the_fastest_type_not_the_first(make_profiles: Any) -> None:
    profiles = make_profiles(input_bytes_per_sample=0.0, flops_per_sample=5e10)
    jobs = job_table(submit_s=[0.0, 0.0], steps=100.0, profile="round")
    result = run(_mixed(("T4", 1), ("H100", 1)), jobs, profiles=profiles)
    assert result.jobs["first_server"].tolist() == [0, 1]
    assert result.jobs["ideal_s"][0] == result.jobs["ideal_s"][1]
    assert result.jobs["ideal_s"].tolist() == pytest.approx([result.jobs["jct_s"][1]] * 2, rel=1e-12)
    assert result.jobs["ideal_s"][0] < result.jobs["jct_s"][0]


def test_ideal_is_of_a_type_that_can_hold_the_gang(make_profiles: Any) -> None:
    profiles = make_profiles(input_bytes_per_sample=0.0)
    jobs = job_table(submit_s=0.0, steps=100.0, profile="round", accelerators=8)
    result = run(_mixed(("H100", 1), ("T4", 8)), jobs, profiles=profiles)
    assert result.jobs["first_server"].tolist() == [1]
    assert result.jobs["ideal_s"].tolist() == pytest.approx(result.jobs["jct_s"].tolist(), rel=1e-12)


def test_a_profile_stays_off_accelerators_with_too_little_memory(make_profiles: Any) -> None:
    # 40 GB fit an A100 of 80 GB, not a T4 of 16 GB: the second job waits for the A100.
    profiles = make_profiles(memory_bytes_per_device=40e9, input_bytes_per_sample=0.0)
    jobs = job_table(submit_s=[0.0, 0.0], steps=100.0, profile="round")
    result = run(_mixed(("T4", 1), ("A100-80", 1)), jobs, profiles=profiles)
    assert result.jobs["first_server"].tolist() == [1, 1]
    assert result.jobs["start_s"][1] == result.jobs["end_s"][0]
    assert [record["used_on"] for record in result.provenance] == [["A100-80"]]


def test_a_profile_that_fits_nowhere_is_refused(make_profiles: Any) -> None:
    profiles = make_profiles(memory_bytes_per_device=100e9)
    jobs = job_table(submit_s=0.0, steps=1.0, profile="round")
    with pytest.raises(ScenarioError, match="1e\\+11 B in fp32"):
        run(_mixed(("T4", 1), ("A100-80", 1)), jobs, profiles=profiles)


def test_a_gang_too_wide_for_those_that_suit_it_is_refused(make_profiles: Any) -> None:
    profiles = make_profiles(memory_bytes_per_device=40e9)
    jobs = job_table(submit_s=0.0, steps=1.0, profile="round", accelerators=4)
    with pytest.raises(ScenarioError, match="4 accelerators"):
        run(_mixed(("T4", 8), ("A100-80", 1)), jobs, profiles=profiles)


def test_part_of_a_device_is_outside_what_was_measured(profiles: Any) -> None:
    jobs = job_table(submit_s=0.0, steps=10.0, profile="round", accelerator_share=[0.5])
    result = run(hall(servers=1), jobs, profiles=profiles)
    assert result.jobs["end_s"].tolist() == pytest.approx([20.0], rel=1e-12)
    assert result.jobs["extrapolated"].tolist() == [True]
    assert [record["extrapolated"] for record in result.provenance] == [True]
    assert any("part of a device" in warning for warning in result.warnings)
