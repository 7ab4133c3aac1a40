"""Intervals against published tables and their nominal coverage; verdicts only when earned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.rng import stream
from dcsim.study.pareto import pareto_front
from dcsim.study.statistics import compare_arms, holm, mean_interval, paired_difference


def test_student_half_widths_from_the_printed_table() -> None:
    """t(0.975) of 1, 4, 9 and 30 degrees of freedom, as in any printed table of Student's t."""
    for degrees, quantile in ((1, 12.706), (4, 2.776), (9, 2.262), (30, 2.042)):
        n = degrees + 1
        values = np.arange(n, dtype=float)
        interval = mean_interval(values)
        expected = quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
        assert interval.high - interval.mean == pytest.approx(expected, rel=5e-4)
        assert interval.mean - interval.low == pytest.approx(expected, rel=5e-4)


def test_sleep_data_of_student_1908() -> None:
    """Ten patients, hours of sleep gained under two drugs: t = 4.0621, p = 0.00283 (R's `sleep`, paired)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_difference("x", "b", "a", dict(enumerate(second)), dict(enumerate(first)))
    assert found.difference.mean == pytest.approx(1.58)
    assert found.difference.low == pytest.approx(0.7001, abs=1e-4)
    assert found.difference.high == pytest.approx(2.4599, abs=1e-4)
    assert found.p_value == pytest.approx(0.002833, abs=1e-6)
    relative = found.relative  # the mean of the first drug is 0.75 h
    assert (relative.low, relative.mean, relative.high) == pytest.approx(
        (0.7001 / 0.75, 1.58 / 0.75, 2.4599 / 0.75), abs=2e-4
    )


@pytest.mark.parametrize("n", [2, 5, 20])
def test_paired_intervals_cover_at_the_nominal_rate(n: int) -> None:
    """4,000 studies of a true difference of 2 under strong noise common to both arms."""
    draws = stream(7, "coverage", n)
    studies, hits = 4_000, 0
    for _ in range(studies):
        common = draws.normal(100.0, 50.0, n)
        ours = dict(enumerate(common + draws.normal(2.0, 1.0, n)))
        theirs = dict(enumerate(common + draws.normal(0.0, 1.0, n)))
        interval = paired_difference("x", "b", "a", ours, theirs).difference
        hits += interval.low <= 2.0 <= interval.high
    # five standard deviations of a binomial proportion: wrong by chance once in two million
    assert abs(hits / studies - 0.95) < 5.0 * math.sqrt(0.95 * 0.05 / studies)


def test_false_verdicts_stay_below_five_percent_over_all_arms() -> None:
    """Eight equal arms against a baseline: some verdict is given in at most 5 % of studies (Holm)."""
    draws = stream(8, "family")
    studies, wrong = 500, 0
    for _ in range(studies):
        values = {f"arm{i}": {"pue": dict(enumerate(draws.normal(0.0, 1.0, 6)))} for i in range(9)}
        wrong += any(d.verdict != "no clear difference" for d in compare_arms(values, "arm0", ["pue"]))
    assert wrong / studies < 0.05 + 4.0 * math.sqrt(0.05 * 0.95 / studies)


def test_verdicts_know_which_way_is_better() -> None:
    base = {0: 10.0, 1: 11.0, 2: 12.0, 3: 13.0}
    more = {seed: value + 5.0 + 0.01 * seed for seed, value in base.items()}
    values = {m: {"a": base, "b": more} for m in ("pue", "jobs_completed", "accelerator_utilisation")}
    arms = {arm: {m: values[m][arm] for m in values} for arm in ("a", "b")}
    found = {d.metric: d.verdict for d in compare_arms(arms, "a", list(values))}
    assert found == {"pue": "worse", "jobs_completed": "better", "accelerator_utilisation": "higher"}


def test_an_interval_that_excludes_zero_is_not_enough_among_many_arms() -> None:
    """p = 0.03 alone decides; among five arms Holm asks for p < 0.01. Differences are below one unit."""
    differences = [0.01, 0.02, 0.03, 0.06, 0.08]
    base = {"pue": dict(enumerate([1.2] * 5))}
    arm = {"pue": {seed: 1.2 + d for seed, d in enumerate(differences)}}
    (alone,) = compare_arms({"base": base, "arm": arm}, "base", ["pue"])
    assert 0.01 < alone.p_value < 0.05
    assert alone.verdict == "worse"
    others = {f"same{k}": base for k in range(4)}
    among = compare_arms({"base": base, "arm": arm, **others}, "base", ["pue"])[0]
    assert among.difference == alone.difference
    assert among.difference.low > 0.0
    assert among.verdict == "no clear difference"


def test_one_seed_gives_no_interval_and_no_verdict() -> None:
    values = {"a": {"pue": {0: 1.0}}, "b": {"pue": {0: 9.0}}}
    (found,) = compare_arms(values, "a", ["pue"])
    assert not found.difference.is_defined
    assert found.difference.mean == 8.0
    assert found.verdict == "no clear difference"


def test_only_common_seeds_are_paired() -> None:
    found = paired_difference("x", "b", "a", {0: 1.0, 1: 2.0, 5: 900.0}, {0: 0.0, 1: 1.0, 7: -900.0})
    assert (found.difference.n, found.difference.mean) == (2, 1.0)


def test_nan_pairs_are_left_out_and_zero_baselines_have_no_relative() -> None:
    found = paired_difference("x", "b", "a", {0: math.nan, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 0.0, 2: 0.0})
    assert found.difference.n == 2
    assert math.isnan(found.relative.mean)


def test_differences_without_spread_are_certain() -> None:
    """A trace replayed as it is gives the same on every seed: no spread is not rounding noise."""
    same = paired_difference("x", "b", "a", dict.fromkeys(range(5), 0.1), dict.fromkeys(range(5), 0.1))
    assert (same.p_value, same.difference.low, same.difference.high) == (1.0, 0.0, 0.0)
    values = {"a": {"pue": dict.fromkeys(range(5), 1.3)}, "b": {"pue": dict.fromkeys(range(5), 1.1)}}
    (lower,) = compare_arms(values, "a", ["pue"])
    assert lower.verdict == "better"


def test_the_relative_interval_agrees_with_the_absolute_one_about_zero() -> None:
    """Ratios by seed would not: a seed with a tiny baseline value would swamp the others."""
    theirs = {0: 0.001, 1: 5.0, 2: 10.0}
    ours = {0: 3.0, 1: 8.2, 2: 12.9}
    found = paired_difference("x", "b", "a", ours, theirs)
    assert found.difference.low > 0.0
    assert found.relative.low > 0.0
    assert found.relative.mean == pytest.approx((24.1 - 15.001) / 15.001)


def test_rounding_is_no_difference() -> None:
    base = dict.fromkeys(range(5), 1.25)
    last_bit = {seed: math.nextafter(value, 2.0) for seed, value in base.items()}
    (found,) = compare_arms({"a": {"pue": base}, "b": {"pue": last_bit}}, "a", ["pue"])
    assert (found.verdict, found.p_value) == ("no clear difference", 1.0)


@given(st.lists(st.one_of(st.floats(0.0, 1.0), st.just(math.nan)), max_size=12))
def test_holm_never_lowers_keeps_order_and_is_at_most_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    for i in known:
        assert p_values[i] <= corrected[i] <= min(1.0, p_values[i] * len(known)) or p_values[i] == 0.0
        assert all(corrected[i] <= corrected[j] for j in known if p_values[i] < p_values[j])
    assert all(math.isnan(corrected[i]) for i in set(range(len(p_values))) - set(known))


points = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10
)


@given(points)
def test_the_front_is_exactly_what_nothing_dominates(points: dict[str, tuple[int, int]]) -> None:
    front = set(pareto_front(points))
    for name, (x, y) in points.items():
        beaten = any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())
        assert (name in front) == (not beaten)


def test_points_that_cannot_be_judged_are_left_out() -> None:
    assert pareto_front({"a": (math.nan, 1.0), "b": (2.0, 2.0)}) == ("b",)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("pue", "worse"), ("productive_fraction", "better"), ("accelerator_utilisation", "higher")],
)
def test_the_direction_of_a_small_difference_is_that_of_a_large_one(metric: str, expected: str) -> None:
    baseline = {seed: 0.5 + 0.001 * seed for seed in range(8)}
    ours = {seed: value + 0.05 + 0.0001 * (seed % 2) for seed, value in baseline.items()}
    (found,) = compare_arms({"old": {metric: baseline}, "new": {metric: ours}}, "old", [metric])
    assert found.verdict == expected


def test_an_interval_says_of_how_many_values_it_is() -> None:
    assert [mean_interval(list(range(n))).n for n in range(4)] == [0, 1, 2, 3]
