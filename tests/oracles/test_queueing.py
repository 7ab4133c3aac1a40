"""Waiting: M/M/1, M/M/8 (Erlang C), M/D/1 and M/G/1 in the mean, and every sample path job by job."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracles.figures import Figures
from tests.oracles.queues import (
    ALARM,
    batch_means,
    erlang_c_wait,
    kiefer_wolfowitz_waits,
    poisson_arrivals,
    pollaczek_khinchine_wait,
    run_queue,
    sizes,
)

SAMPLE_PATH_RELATIVE = 1e-9
"""Of the run's length: both sides add the same floats in another order."""

QUEUES = {
    # name: (servers, utilisation, sizes, theory in units of the mean service time)
    "M/M/1 rho .8": (1, 0.8, "exponential", erlang_c_wait(1, 0.8, 1.0)),
    "M/M/8 rho .85": (8, 0.85, "exponential", erlang_c_wait(8, 0.85, 1.0)),
    "M/D/1 rho .8": (1, 0.8, "deterministic", pollaczek_khinchine_wait(0.8, 1.0, 0.0)),
    "M/G/1 rho .8 cv 2": (1, 0.8, "hyper", pollaczek_khinchine_wait(0.8, 1.0, 2.0)),
}


def test_formulas_give_the_published_values() -> None:
    # Tijms, A First Course in Stochastic Models (2003), and hand arithmetic for the single servers.
    assert erlang_c_wait(8, 0.85, 1.0) == pytest.approx(0.4771, abs=5e-5)
    assert erlang_c_wait(1, 0.8, 1.0) == pytest.approx(4.0)
    assert pollaczek_khinchine_wait(0.8, 1.0, 2.0) == pytest.approx(10.0)
    assert pollaczek_khinchine_wait(0.8, 1.0, 0.0) == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["exponential", "deterministic", "hyper"])
def test_sizes_have_mean_one_and_the_stated_variation(kind: str) -> None:
    drawn = sizes(kind, 400_000, 5)
    assert drawn.mean() == pytest.approx(1.0, abs=0.02)
    variation = {"exponential": 1.0, "deterministic": 0.0, "hyper": 2.0}[kind]
    assert drawn.std() / drawn.mean() == pytest.approx(variation, abs=0.03)


def _simulate_queue(
    name: str, jobs: int, seed: int, service_s: float = 1_000.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    servers, utilisation, kind, _ = QUEUES[name]
    submit_s = poisson_arrivals(jobs, servers * utilisation / service_s, seed)
    duration_s = service_s * sizes(kind, jobs, seed)
    result = run_queue(submit_s, duration_s, servers)
    order = np.argsort(result.jobs["submit_s"], kind="stable")
    return submit_s, duration_s, np.asarray(result.jobs["wait_s"])[order], servers


@pytest.mark.parametrize("name", QUEUES)
def test_every_wait_is_that_of_the_sample_path(name: str) -> None:
    submit_s, duration_s, wait_s, servers = _simulate_queue(name, 8_000, seed=2)
    expected_s = kiefer_wolfowitz_waits(submit_s, duration_s, servers)
    np.testing.assert_allclose(wait_s, expected_s, rtol=0.0, atol=SAMPLE_PATH_RELATIVE * submit_s[-1])
    assert (expected_s > 0.0).mean() > 0.3


@pytest.mark.parametrize(
    ("jobs", "precision"),
    [
        pytest.param(60_000, 0.40, id="60k"),
        pytest.param(1_000_000, 0.10, id="1M", marks=pytest.mark.oracle),
    ],
)
@pytest.mark.parametrize("name", QUEUES)
def test_mean_wait_is_that_of_theory(name: str, jobs: int, precision: float, figure: Figures) -> None:
    service_s = 1_000.0
    *_, wait_s, _ = _simulate_queue(name, jobs, seed=1, service_s=service_s)
    interval = batch_means(wait_s / service_s)
    theory = QUEUES[name][3]
    # An interval that is too wide proves nothing.
    assert interval.half_width <= precision * theory
    basis = f"mean wait / mean service, {jobs:,} jobs, batch means, false-alarm rate {ALARM:g}"
    figure.near(name, interval.mean, theory, interval.half_width, basis)
