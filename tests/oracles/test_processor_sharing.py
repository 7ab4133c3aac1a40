"""Fair sharing: readers of one file system are an M/G/1 queue under processor sharing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles.figures import Figures
from tests.oracles.queues import ALARM, batch_means, poisson_arrivals, sizes
from tests.oracles.readers import processor_sharing_ends_s, run_readers

UTILISATION = 0.7
SOJOURN = 1.0 / (1.0 - UTILISATION)
"""E[T] / E[S] = 1 / (1 - rho), whatever the distribution (Kleinrock, Queueing Systems II, 1976, 4.4)."""

KINDS = ["deterministic", "exponential", "hyper"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_end_is_that_of_virtual_time(kind: str) -> None:
    submit_s = poisson_arrivals(1_500, UTILISATION, 3)
    work_s = sizes(kind, len(submit_s), 3)
    result = run_readers(submit_s, work_s)
    assert np.all(result.jobs["wait_s"] == 0.0)  # no job waits for a server
    expected_s = processor_sharing_ends_s(submit_s, work_s)
    np.testing.assert_allclose(result.jobs["end_s"], expected_s, rtol=0.0, atol=1e-9 * expected_s.max())


def test_gangs_of_several_widths_share_by_job() -> None:
    # Max-min gives every job the same bytes a second, so a gang of 4 has four times the work a step.
    draws = np.random.default_rng(8)
    widths = draws.choice([1, 2, 4], 1_200)
    steps = sizes("exponential", len(widths), 9) / widths.mean()
    submit_s = poisson_arrivals(len(widths), 0.8, 9)
    result = run_readers(submit_s, steps, widths)
    assert np.all(result.jobs["wait_s"] == 0.0)
    expected_s = processor_sharing_ends_s(submit_s, steps * widths)
    np.testing.assert_allclose(result.jobs["end_s"], expected_s, rtol=0.0, atol=1e-9 * expected_s.max())


def test_two_readers_by_hand() -> None:
    # Work 3 s and 1 s, one second apart: alone until 1, half speed until 3, alone again until 4.
    result = run_readers(np.array([0.0, 1.0]), np.array([3.0, 1.0]), servers=2, guards=True)
    np.testing.assert_allclose(result.jobs["end_s"], [4.0, 3.0], rtol=1e-12)


def test_guards_hold_while_the_file_system_is_overbooked() -> None:
    submit_s = poisson_arrivals(200, 0.9, 4)
    result = run_readers(submit_s, sizes("exponential", 200, 4), servers=60, guards=True)
    assert result.summary["jobs_completed"] == 200


@pytest.mark.parametrize(
    ("jobs", "precision"),
    [
        pytest.param(20_000, 0.40, id="20k"),
        pytest.param(300_000, 0.10, id="300k", marks=pytest.mark.oracle),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_mean_time_is_insensitive_to_the_distribution(
    kind: str, jobs: int, precision: float, figure: Figures
) -> None:
    submit_s = poisson_arrivals(jobs, UTILISATION, 1)
    result = run_readers(submit_s, sizes(kind, jobs, 1))
    order = np.argsort(result.jobs["submit_s"], kind="stable")
    interval = batch_means(np.asarray(result.jobs["jct_s"])[order])
    assert interval.half_width <= precision * SOJOURN
    basis = f"mean time / mean work, {jobs:,} jobs, batch means, false-alarm rate {ALARM:g}"
    figure.near(f"M/G/1-PS rho .7 {kind}", interval.mean, SOJOURN, interval.half_width, basis)
