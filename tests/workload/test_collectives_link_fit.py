"""Links found from steps: made by a formula written here, with links that are known."""

from __future__ import annotations

import math
from itertools import product

import pytest

from dcsim.workload.collective_cost import Links
from dcsim.workload.link_fit import FITTED, LinkFit, MeasuredStep, fit_links, predicted_step_s

INSIDE, BETWEEN, PAIR, ALPHA, BETA, OVERLAP = 8e9, 1.5e9, 2e9, 4e-5, 3e-4, 0.35
PLACEMENTS = [(2,), (4,), (1, 1), (2, 2), (1, 1, 1), (4, 4, 2), (1, 1, 1, 1), (3, 1, 2, 4)]


def made(counts: tuple[int, ...], size: float, compute_s: float, messages: int = 1) -> float:
    """Step time of a ring, by hand: every link carries 2 (n - 1) / n of the message."""
    n, s = sum(counts), len(counts)
    edge = 2 * (n - 1) / n * size
    inside_s = edge / INSIDE if max(counts) > 1 else 0.0
    between_s = 0.0
    if s > 1:
        # Two servers send each other all of it, so that both directions meet on one pair.
        between_s = max(edge / BETWEEN, (2 if s == 2 else 1) * edge / PAIR)
    latency_s = 2 * (n - 1) * messages * (BETA if s > 1 else ALPHA)
    return compute_s + max(0.0, max(inside_s, between_s) + latency_s - OVERLAP * compute_s)


def steps(messages: int = 1) -> list[MeasuredStep]:
    found = []
    for counts, size, compute_s in product(PLACEMENTS, (4e6, 1e8, 6e8), (1e-3, 0.05, 0.3)):
        found.append(MeasuredStep(counts, size, compute_s, made(counts, size, compute_s, messages), messages))
    return found


KNOWN = LinkFit(Links(INSIDE, BETWEEN, ALPHA, BETA, PAIR), OVERLAP, "ring", 0.0)


@pytest.mark.parametrize("messages", [1, 7])
def test_steps_are_predicted_by_known_links(messages: int) -> None:
    for step in steps(messages):
        assert predicted_step_s(step, KNOWN) == pytest.approx(step.step_s, rel=1e-12)


@pytest.mark.parametrize("messages", [1, 7])
def test_known_links_are_found(messages: int) -> None:
    fit = fit_links(steps(messages), (*FITTED, "pair_bandwidth_bytes_per_s"))
    links = fit.links
    found = [links.inside_bandwidth_bytes_per_s, links.between_bandwidth_bytes_per_s]
    found += [links.pair_bandwidth_bytes_per_s, links.inside_latency_s, links.between_latency_s]
    assert found == pytest.approx([INSIDE, BETWEEN, PAIR, ALPHA, BETA], rel=1e-4)
    assert fit.overlap_fraction == pytest.approx(OVERLAP, rel=1e-4)
    assert fit.residual_relative < 1e-6


def test_what_is_not_fitted_is_kept() -> None:
    start = Links(INSIDE, 1e9, ALPHA, BETA, PAIR)
    fit = fit_links(steps(), ("between_bandwidth_bytes_per_s",), start, overlap_fraction=OVERLAP)
    assert fit.links.between_bandwidth_bytes_per_s == pytest.approx(BETWEEN, rel=1e-6)
    assert (fit.links.inside_bandwidth_bytes_per_s, fit.links.inside_latency_s) == (INSIDE, ALPHA)
    assert fit.overlap_fraction == OVERLAP


def test_a_measurement_off_by_a_factor_shows_in_the_residual() -> None:
    wrong = [step._replace(step_s=1.5 * step.step_s) if i % 2 else step for i, step in enumerate(steps())]
    assert 0.1 < fit_links(wrong).residual_relative < math.log(1.5)


def test_too_little_to_fit_is_refused() -> None:
    some = steps()
    with pytest.raises(ValueError, match="5 parameters, 3 steps"):
        fit_links(some[:3])
    with pytest.raises(ValueError, match="expected distinct parameters"):
        fit_links(some, ("overlap_fraction", "overlap_fraction"))
    with pytest.raises(ValueError, match="expected compute_s and step_s above 0"):
        fit_links([*some, some[0]._replace(step_s=math.nan)])
