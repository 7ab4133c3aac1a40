"""Allocation programs with jobs that share accelerators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.policies import programs
from dcsim.policies.programs import Pairs

STEPS = [30.0, 20.0, 10.0]


@st.composite
def shared(draw):
    """Return three jobs of equal width, all three pairs of them, and a capacity."""
    rate = st.sampled_from([0.0, 0.5, 1.0, 3.0])
    types = draw(st.integers(1, 2))
    alone = np.array([[draw(rate) for _ in range(types)] for _ in range(3)])
    members = np.array([[0, 1], [0, 2], [2, 1]])
    # Beside another a job is not faster than alone.
    slow = np.array(
        [[[draw(st.sampled_from([0.0, 0.4, 0.9])) for _ in range(types)] for _ in "ab"] for _ in "abc"]
    )
    width = np.full(3, float(draw(st.integers(1, 2))))
    room = np.array([float(draw(st.integers(0, 4))) for _ in range(types)])
    return alone, width, room, Pairs(members, slow * alone[members])


PROGRAMS: dict[str, Callable[..., npt.NDArray[np.float64]]] = {
    "max_min": programs.max_min_fairness,
    "water": programs.water_filling,
    "sum": programs.max_sum_throughput,
    "makespan": lambda t, s, c, **more: programs.min_makespan(t, s, c, STEPS, **more),
    "finish": lambda t, s, c, **more: programs.finish_time_fairness(t, s, c, STEPS, [0, 10, 40], **more),
}


def rates(alone, x, pairs):
    """Return what each job gains in all."""
    got = (alone * x[: len(alone)]).sum(axis=1)
    for side in (0, 1):
        np.add.at(got, pairs.members[:, side], (pairs.throughput[:, side] * x[len(alone) :]).sum(axis=1))
    return got


@pytest.mark.parametrize("name", PROGRAMS)
@given(demand=shared())
def test_shared_accelerators_are_counted_once_and_time_twice(name, demand):
    alone, width, room, pairs = demand
    x = PROGRAMS[name](alone, width, room, pairs=pairs)
    assert x.shape == (6, len(room))
    assert (x >= 0).all()
    assert (width[0] * x.sum(axis=0) <= room + 1e-9).all()
    time = x[:3].sum(axis=1)
    for side in (0, 1):
        np.add.at(time, pairs.members[:, side], x[3:].sum(axis=1))
    assert (time <= 1 + 1e-9).all()


@given(demand=shared())
def test_sharing_never_lowers_an_optimum(demand):
    alone, width, room, pairs = demand
    able = np.where(width[:, None] <= room, alone, 0.0).any(axis=1)
    got = {name: rates(alone, run(alone, width, room, pairs=pairs), pairs) for name, run in PROGRAMS.items()}
    apart = {name: (alone * run(alone, width, room)).sum(axis=1) for name, run in PROGRAMS.items()}
    assert got["sum"].sum() >= apart["sum"].sum() - 1e-6
    if able.any():
        norm = programs.proportional_rate(alone, room)[able]
        for name in ("max_min", "water"):
            assert (got[name][able] / norm).min() >= (apart[name][able] / norm).min() - 1e-6
        ends = [(np.array(STEPS)[able] / rate["makespan"][able]).max() for rate in (got, apart)]
        assert ends[0] <= ends[1] * (1 + 1e-6)
        isolated = programs.isolated_rate(alone, width, room)[able]
        asked = np.array(STEPS)[able], np.array([0.0, 10.0, 40.0])[able], isolated, np.zeros(able.sum())
        ratios = [programs.finish_time_ratio(rate["finish"][able], *asked).max() for rate in (got, apart)]
        assert ratios[0] <= ratios[1] * (1 + 1e-5)


def test_two_that_do_not_disturb_each_other_both_run_all_the_time():
    pairs = Pairs(np.array([[0, 1]]), np.array([[[1.0], [2.0]]]))
    x = programs.water_filling([[1.0], [2.0]], [1, 1], [1], pairs=pairs)
    np.testing.assert_allclose(x, [[0.0], [0.0], [1.0]], atol=1e-9)


def test_two_that_halve_each_other_gain_nothing():
    pairs = Pairs(np.array([[0, 1]]), np.array([[[0.4], [0.4]]]))
    x = programs.max_min_fairness([[1.0], [1.0]], [1, 1], [1], pairs=pairs)
    np.testing.assert_allclose(x, [[0.5], [0.5], [0.0]], atol=1e-9)


def test_a_pair_wider_than_a_type_is_not_promised_it():
    pairs = Pairs(np.array([[0, 1]]), np.ones((1, 2, 2)))
    x = programs.max_sum_throughput(np.ones((2, 2)), [2, 2], [1, 2], pairs=pairs)
    assert x[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert x[2, 1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("members", "throughput", "message"),
    [
        ([0, 1], np.ones((1, 2, 1)), "members: shape"),
        ([[0, 1]], np.ones((2, 2, 1)), "throughput: shape"),
        ([[1, 1]], np.ones((1, 2, 1)), "paired with itself"),
        ([[0, 1]], -np.ones((1, 2, 1)), "negative or not finite"),
    ],
)
def test_wrong_pairs_are_refused(members, throughput, message):
    with pytest.raises(ValueError, match=message):
        Pairs(np.array(members), throughput)


@pytest.mark.parametrize(
    ("width", "members", "types", "message"),
    [
        ([1, 1], [[0, 2]], 1, "indices of the 2 jobs"),
        ([1, 2], [[0, 1]], 1, "different scale factor"),
        ([1, 1], [[0, 1]], 2, "2 types -> expected 1"),
    ],
)
def test_pairs_must_fit_the_jobs(width, members, types, message):
    pairs = Pairs(np.array(members), np.ones((1, 2, types)))
    with pytest.raises(ValueError, match=message):
        programs.max_min_fairness(np.ones((2, 1)), width, [2], pairs=pairs)
