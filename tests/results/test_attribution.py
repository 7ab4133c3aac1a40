"""What jobs answer for: against an integrator that walks second by second, and adding up to the meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.results.attribution import Stretches, attribute
from dcsim.results.schema import ATTRIBUTED
from dcsim.simulation import simulate
from tests.results.synthetic import make_scenario


def columns(rows: Sequence[tuple[int, float, float]]) -> tuple[Any, Any, Any]:
    """Return job, from and until of times that servers were held."""
    job, from_s, until_s = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(job, dtype=np.int32), np.array(from_s, dtype=float), np.array(until_s, dtype=float)


def spread(energy_j, held, edges_s, it_j, amounts):
    """Attribute each job's energy, drawn evenly over the time it held servers."""
    job, from_s, until_s = held
    held_s = np.bincount(job, weights=until_s - from_s, minlength=len(energy_j))
    mean_w = np.divide(energy_j, held_s, out=np.zeros(len(energy_j)), where=held_s > 0.0)
    powers = Stretches(job, from_s, until_s, mean_w[job])
    return attribute(powers, len(energy_j), edges_s, it_j, amounts)


def test_changes_of_power_are_stretches_to_the_end() -> None:
    """2 W from 0 on and 3 W more from 10 s on, 5 W less from 20 s on: 20 J, then 50 J, then nothing."""
    end = np.full(3, 30.0)
    powers = Stretches(np.zeros(3, dtype=int), np.array([0.0, 10.0, 20.0]), end, np.array([2.0, 3.0, -5.0]))
    edges, it_j = np.array([0.0, 10.0, 20.0, 30.0]), np.array([100.0, 100.0, 100.0])
    found = attribute(powers, 1, edges, it_j, {"cost_usd": np.array([1.0, 2.0, 4.0])})
    assert found["cost_usd"][0] == pytest.approx(20.0 / 100.0 * 1.0 + 50.0 / 100.0 * 2.0, rel=1e-12)


def test_a_job_of_the_clean_hours_gets_the_clean_energy() -> None:
    # The same 300 J of 1,000 J of IT energy an hour; the second hour's joules emit nine times as much.
    found = spread(
        np.array([300.0, 300.0, 300.0]),
        columns([(0, 0.0, 3_600.0), (1, 3_600.0, 7_200.0), (2, 1_800.0, 5_400.0)]),
        np.array([0.0, 3_600.0, 7_200.0]),
        np.array([1_000.0, 1_000.0]),
        {"carbon_kg": np.array([1.0, 9.0]), "water_l": np.array([2.0, 2.0])},
    )
    np.testing.assert_allclose(found["carbon_kg"], [0.3, 2.7, 1.5], rtol=1e-12)
    np.testing.assert_allclose(found["water_l"], [0.6, 0.6, 0.6], rtol=1e-12)


@dataclass
class Hall:
    """Jobs of a constant power each, and what all else draws, on whole seconds."""

    edges_s: list[int]
    amounts: list[float]
    base_w: list[float]
    power_w: list[float]
    held: list[tuple[int, int, int]]

    def drawn(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return (jobs, seconds) the power of each job, and (seconds,) that of all else."""
        seconds = self.edges_s[-1]
        jobs = np.zeros((len(self.power_w), seconds))
        for job, start, end in self.held:
            jobs[job, start:end] += self.power_w[job]
        base = np.repeat(self.base_w, np.diff(self.edges_s)).astype(float)
        return jobs, base


@st.composite
def halls(draw: st.DrawFn) -> Hall:
    widths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    edges = [0, *np.cumsum(widths).tolist()]
    count = draw(st.integers(0, 4))
    figure = st.floats(0.0, 1e3, allow_subnormal=False)
    instant = st.integers(0, edges[-1])
    spans = st.tuples(st.integers(0, max(count - 1, 0)), instant, instant)
    held = [(job, min(a, b), max(a, b)) for job, a, b in (draw(st.lists(spans, max_size=8)) if count else [])]
    return Hall(
        edges_s=edges,
        amounts=draw(st.lists(figure, min_size=len(widths), max_size=len(widths))),
        base_w=draw(st.lists(st.sampled_from([0.0, 1.0, 250.0]), min_size=len(widths), max_size=len(widths))),
        power_w=draw(st.lists(st.floats(1e-3, 1e3), min_size=count, max_size=count)),
        held=held,
    )


def walked(hall: Hall, drawn: np.ndarray[Any, Any], whole: np.ndarray[Any, Any]) -> float:
    """Return the amounts of some power, second by second: its part of what was drawn in each interval."""
    found = 0.0
    for start, end, amount in zip(hall.edges_s, hall.edges_s[1:], hall.amounts, strict=False):
        energy = sum(float(whole[second]) for second in range(start, end))
        for second in range(start, end):
            if energy > 0.0:
                found += amount * float(drawn[second]) / energy
    return found


@given(halls())
def test_parts_are_those_of_an_integrator_and_add_up_to_the_meter(hall: Hall) -> None:
    jobs, base = hall.drawn()
    whole = jobs.sum(axis=0) + base
    it_j = np.array([whole[a:b].sum() for a, b in zip(hall.edges_s, hall.edges_s[1:], strict=False)])
    amounts = np.array(hall.amounts)
    found = spread(
        jobs.sum(axis=1), columns(hall.held), np.array(hall.edges_s, dtype=float), it_j, {"cost_usd": amounts}
    )["cost_usd"]
    near = 1e-9 * (1.0 + float(amounts.sum()))
    np.testing.assert_allclose(found, [walked(hall, row, whole) for row in jobs], rtol=1e-9, atol=near)
    nobodys = walked(hall, base, whole) + float(amounts[it_j == 0.0].sum())
    np.testing.assert_allclose(found.sum() + nobodys, amounts.sum(), rtol=1e-9, atol=near)


def test_what_was_never_held_or_drawn_is_nobodys() -> None:
    nothing = spread(
        np.array([5.0]), columns([]), np.array([0.0, 10.0]), np.array([5.0]), {"water_l": np.array([3.0])}
    )
    assert nothing["water_l"].tolist() == [0.0]
    idle = spread(
        np.array([0.0]), columns([(0, 0.0, 10.0)]), np.array([0.0, 10.0]), np.array([0.0]), {"water_l": np.array([3.0])}
    )  # fmt: skip
    assert idle["water_l"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("edges", "until"), [([0.0, 1.0, 2.0], [1.0]), ([0.0, 1.0], [1.0, 2.0])], ids=["intervals", "held"]
)
def test_shapes_that_do_not_go_together_are_refused(edges: list[float], until: list[float]) -> None:
    with pytest.raises(ValueError, match="of different lengths"):
        attribute(
            Stretches(np.zeros(1, dtype=int), np.zeros(1), np.array(until), np.ones(1)),
            1,
            np.array(edges),
            np.ones(1),
            {"water_l": np.ones(1)},
        )


def test_jobs_and_nobody_make_the_meter_of_a_run() -> None:
    data = make_scenario(jobs=25).model_dump()
    data["workload"]["mix"][0]["profile"] = "digits_mlp"
    data["grid"]["carbon"] = {"kind": "daily", "intensity_kg_per_j": [1e-7 * (1 + h % 7) for h in range(24)]}
    result = simulate(type(make_scenario()).model_validate(data))
    totals = {"facility_energy_j": "energy_facility_j"}
    for name in (column.name for column in ATTRIBUTED):
        parts = result.jobs[name]
        left = result.account[f"unattributed_{name}"]
        assert (parts > 0.0).all(), name
        assert left > 0.0, name
        assert parts.sum() + left == pytest.approx(result.account[totals.get(name, name)], rel=1e-12)
