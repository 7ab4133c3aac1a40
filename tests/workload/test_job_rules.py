"""Rules of generated jobs: bounds, shares, and draws that leave the others alone."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.spec.job_rules import JobRulesSpec
from dcsim.workload.job_rules import rule_columns

COUNT = 4_000
KIND = np.arange(COUNT) % 2
WIDTH = np.where(KIND == 0, 4, 1)
SUBMIT_S = np.linspace(0.0, 10.0 * (COUNT - 1), COUNT)
RUN_S = np.full(COUNT, 100.0, dtype=np.float64)


def _columns(*rules, seed=3):
    return rule_columns(rules, seed, KIND, WIDTH, SUBMIT_S, RUN_S)


def test_kinds_without_rules_carry_none():
    columns = _columns(JobRulesSpec(), JobRulesSpec())
    assert not columns["priority"].any()
    assert np.isnan(columns["time_limit_s"]).all()
    assert np.isnan(columns["deadline_s"]).all()
    assert not columns["max_accelerators"].any()


def test_limits_are_spread_evenly_between_the_factors():
    columns = _columns(JobRulesSpec(time_limit_least=1.5, time_limit_most=4.5), JobRulesSpec())
    limits = columns["time_limit_s"][KIND == 0]
    assert limits.min() >= 150.0
    assert limits.max() < 450.0
    assert limits.mean() == pytest.approx(300.0, rel=0.02)  # 2,000 draws: standard error 0.6 %
    assert np.isnan(columns["time_limit_s"][KIND == 1]).all()


def test_deadlines_and_priorities_are_those_said():
    columns = _columns(JobRulesSpec(priority=2.0, deadline_factor=3.0), JobRulesSpec())
    assert (columns["deadline_s"][KIND == 0] == SUBMIT_S[KIND == 0] + 300.0).all()
    assert (columns["priority"] == np.where(KIND == 0, 2.0, 0.0)).all()


def test_elastic_widths_hold_the_width_asked_for():
    rule = JobRulesSpec(elastic_fraction=0.5, least_width_factor=0.3, most_width_factor=1.9)
    columns = _columns(rule, rule)
    least, most = columns["min_accelerators"], columns["max_accelerators"]
    elastic = most > 0
    assert elastic.mean() == pytest.approx(0.5, abs=0.04)
    assert (least[elastic] >= 1).all()
    assert (least[elastic] <= WIDTH[elastic]).all()
    assert (most[elastic] >= WIDTH[elastic]).all()
    assert (least[elastic & (KIND == 0)] == 1).all()  # a third of four, rounded down
    assert (most[elastic & (KIND == 0)] == 7).all()


def test_a_rule_of_one_kind_moves_no_draw_of_another():
    rule = JobRulesSpec(time_limit_most=3.0, elastic_fraction=0.5)
    alone = _columns(JobRulesSpec(), rule)
    both = _columns(JobRulesSpec(time_limit_most=9.0, elastic_fraction=0.9), rule)
    for name in ("time_limit_s", "max_accelerators"):
        assert (alone[name][KIND == 1] == both[name][KIND == 1]).all()


def test_limits_out_of_order_are_refused():
    with pytest.raises(ValueError, match="at least time_limit_least"):
        JobRulesSpec(time_limit_least=5.0, time_limit_most=2.0)
