"""Tenants, profiles and nobody, against sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dcsim.results.schema import ATTRIBUTED
from dcsim.results.shares import NOBODY, profile_shares, tenant_shares
from tests.results.synthetic import make_result

JOBS = {
    "tenant": np.array(["ada", "grace", "ada", "", "grace"], dtype=object),
    "profile": np.array(["mlp", "mlp", "", "llm", "mlp"], dtype=object),
    "jct_s": np.array([10.0, 20.0, np.nan, 30.0, 40.0]),
    "steps": np.array([1_000.0, 3_000.0, 500.0, 0.0, 0.0]),
    "facility_energy_j": np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
    "carbon_kg": np.array([0.1, 0.2, 0.4, 0.8, 1.6]),
    "cost_usd": np.array([3.0, 3.0, 3.0, 3.0, 3.0]),
    "water_l": np.zeros(5),
}
ACCOUNT = {f"unattributed_{column.name}": 0.5 for column in ATTRIBUTED}


def test_tenants_by_hand() -> None:
    shares = tenant_shares(JOBS, ACCOUNT)
    assert [share.name for share in shares] == ["grace", "", "ada", NOBODY]
    grace, unnamed, ada, nobody = shares
    assert (grace.jobs_completed, unnamed.jobs_completed, ada.jobs_completed) == (2, 1, 1)
    assert ada.amounts["facility_energy_j"] == 5.0
    assert ada.per_completed_job["facility_energy_j"] == 1.0  # of the job that was completed
    assert grace.per_completed_job["cost_usd"] == 3.0
    assert grace.per_completed_job["carbon_kg"] == pytest.approx(0.9)
    assert nobody.amounts == {column.name: 0.5 for column in ATTRIBUTED}
    assert math.isnan(nobody.per_completed_job["cost_usd"])


def test_profiles_by_hand_and_jobs_without_one_left_out() -> None:
    llm, mlp = profile_shares(JOBS)
    assert (llm.profile, mlp.profile, mlp.steps, mlp.jobs_completed) == ("llm", "mlp", 4_000.0, 3)
    # The job of no step that counts is paid for by the steps that do.
    assert mlp.per_step["facility_energy_j"] == pytest.approx(19.0 / 4_000.0)
    assert math.isnan(llm.per_step["facility_energy_j"])


def test_nobody_completed_anything() -> None:
    jobs = {**JOBS, "jct_s": np.full(5, np.nan)}
    assert all(math.isnan(share.per_completed_job["water_l"]) for share in tenant_shares(jobs, ACCOUNT))
    none = {name: values[:0] for name, values in JOBS.items()}
    assert [share.name for share in tenant_shares(none, ACCOUNT)] == [NOBODY]
    assert profile_shares(none) == []


def test_all_together_are_the_meter() -> None:
    result = make_result(seed=5, unfinished=4)
    shares = tenant_shares(result.jobs, result.account)
    whole = sum(share.amounts["facility_energy_j"] for share in shares)
    assert whole == pytest.approx(result.account["energy_facility_j"], rel=1e-12)
