"""Theorems of the allocation programs, on instances small enough to be checked another way."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import linprog

from dcsim.policies import programs

RATES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 8.0])


@st.composite
def demands(draw, *, fewest=1, widest=3):
    """Return throughput (J, T), scale_factor (J,), capacity (T,), weight (J,), steps (J,), elapsed (J,)."""
    j, t = draw(st.integers(fewest, 4)), draw(st.integers(1, 3))
    throughput = np.array([[draw(RATES) for _ in range(t)] for _ in range(j)]).reshape(j, t)

    def whole(low, high, n):
        return np.array([draw(st.integers(low, high)) for _ in range(n)], dtype=float)

    return (
        throughput,
        whole(1, widest, j),
        whole(0, 5, t),
        whole(1, 3, j),
        10.0 * whole(1, 9, j),
        50.0 * whole(0, 4, j),
    )


def solve(program, demand):
    throughput, width, room, weight, steps, elapsed = demand
    return {
        "max_min": lambda: programs.max_min_fairness(throughput, width, room, weight),
        "water": lambda: programs.water_filling(throughput, width, room, weight),
        "sum": lambda: programs.max_sum_throughput(throughput, width, room),
        "due": lambda: programs.max_sum_throughput(throughput, width, room, least_rate=weight),
        "makespan": lambda: programs.min_makespan(throughput, width, room, steps),
        "finish": lambda: programs.finish_time_fairness(throughput, width, room, steps, elapsed),
        "fifo": lambda: programs.fifo_fastest(throughput, width, room),
        "match": lambda: programs.shortest_first(throughput, np.ones(len(width)), room, steps),
    }[program]()


LINEAR = ["max_min", "water", "sum", "due", "makespan", "finish"]
ALL = [*LINEAR, "fifo", "match"]


def usable(demand):
    throughput, width, room, *_ = demand
    return np.where(width[:, None] <= room, throughput, 0.0)


def values_of(demand, x):
    """Return each job's max-min value and who can run."""
    _, width, room, weight, *_ = demand
    rate = usable(demand)
    norm = rate @ room / max(room.sum(), 1.0)
    return width * (rate * x).sum(axis=1) / (weight * np.where(norm > 0, norm, 1.0)), rate.any(axis=1)


@pytest.mark.parametrize("program", ALL)
@given(demand=demands())
def test_every_answer_is_feasible_and_wastes_no_time(program, demand):
    throughput, width, room, *_ = demand
    x = solve(program, demand)
    assert x.shape == throughput.shape
    assert (x >= 0).all()
    assert (x.sum(axis=1) <= 1 + 1e-9).all()
    width = np.ones(len(width)) if program == "match" else width
    assert (width @ x <= room + 1e-9).all()
    assert (x[throughput == 0] == 0).all()


@given(demand=demands())
def test_max_min_equals_its_dual(demand):
    # min room p + sum u  s.t.  y_j worth_j rate_jt <= width_j p_t + u_j,  sum y = 1: the prices prove it.
    _, width, room, weight, *_ = demand
    rate = usable(demand)
    able = rate.any(axis=1)
    assume(able.any())
    worth = (width / (weight * np.maximum(rate @ room / max(room.sum(), 1), 1e-12)))[able]
    rate, width = rate[able], width[able]
    jobs, types = rate.shape
    rows = np.zeros((jobs * types, types + 2 * jobs))
    for job, kind in product(range(jobs), range(types)):
        row = rows[job * types + kind]
        row[kind], row[types + job] = -width[job], -1.0
        row[types + jobs + job] = worth[job] * rate[job, kind]
    # A type the job cannot use has rate 0: the row holds by itself.
    cost = np.concatenate([room, np.ones(jobs), np.zeros(jobs)])
    sums = np.concatenate([np.zeros(types + jobs), np.ones(jobs)])[None, :]
    dual = linprog(cost, A_ub=rows, b_ub=np.zeros(len(rows)), A_eq=sums, b_eq=[1.0])
    for program in ("max_min", "water"):
        value, _ = values_of(demand, solve(program, demand))
        assert value[able].min() == pytest.approx(dual.fun, rel=1e-6, abs=1e-9)


@given(demand=demands())
def test_max_sum_equals_its_dual(demand):
    _, width, room, *_ = demand
    rate = usable(demand)
    jobs, types = rate.shape
    rows = np.zeros((jobs * types, types + jobs))
    for job, kind in product(range(jobs), range(types)):
        rows[job * types + kind, [kind, types + job]] = -width[job], -1.0
    dual = linprog(np.concatenate([room, np.ones(jobs)]), A_ub=rows, b_ub=-rate.ravel())
    assert (rate * solve("sum", demand)).sum() == pytest.approx(dual.fun, rel=1e-6, abs=1e-9)


@given(demand=demands())
def test_water_filling_raises_nobody_further_without_taking_from_who_has_no_more(demand):
    _, width, room, *_ = demand
    value, able = values_of(demand, solve("water", demand))
    rate = usable(demand)
    jobs, types = rate.shape
    worth = np.zeros((jobs, jobs * types))
    unit, _ = values_of(demand, np.ones_like(rate))
    scale = np.divide(unit, rate.sum(axis=1), out=np.zeros(jobs), where=able)
    for job in range(jobs):
        worth[job, job * types : (job + 1) * types] = scale[job] * rate[job]
    limits = np.vstack([np.kron(np.eye(jobs), np.ones(types)), np.kron(width[None, :], np.eye(types))])
    for job in np.flatnonzero(able).tolist():
        kept = (value <= value[job] + 1e-7) & (np.arange(jobs) != job)
        rows = np.vstack([limits, -worth[kept]])
        bound = np.concatenate([np.ones(jobs), room, -value[kept] + 1e-9])
        best = linprog(-worth[job], A_ub=rows, b_ub=bound)
        assert worth[job] @ best.x == pytest.approx(value[job], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("program", LINEAR)
@given(demand=demands(), seed=st.integers(0, 99))
def test_the_order_of_the_jobs_does_not_matter(program, demand, seed):
    order = np.random.default_rng(seed).permutation(len(demand[1]))
    shuffled = [array if k == 2 else array[order] for k, array in enumerate(demand)]
    assert np.array_equal(solve(program, shuffled), solve(program, demand)[order])


@pytest.mark.parametrize("program", LINEAR)
@given(demand=demands(fewest=2))
def test_equal_jobs_are_treated_equally(program, demand):
    for k in (0, 1, 3, 4, 5):
        demand[k][1] = demand[k][0]
    x = solve(program, demand)
    assert np.array_equal(x[0], x[1])


@pytest.mark.parametrize("program", ["max_min", "water"])
@given(demand=demands(), factors=st.lists(st.sampled_from([0.1, 0.5, 4.0, 1000.0]), min_size=4, max_size=4))
def test_max_min_does_not_care_in_which_unit_a_job_counts_steps(program, demand, factors):
    value, able = values_of(demand, solve(program, demand))
    scaled = (demand[0] * np.array(factors[: len(demand[0])])[:, None], *demand[1:])
    again, _ = values_of(scaled, solve(program, scaled))
    assume(able.any())
    if program == "water":
        np.testing.assert_allclose(again, value, rtol=1e-6, atol=1e-9)
    assert again[able].min() == pytest.approx(value[able].min(), rel=1e-6, abs=1e-9)


@given(demand=demands())
def test_makespan_is_the_longest_job_or_the_fullest_cluster_on_one_type(demand):
    throughput, width, room, _, steps, _ = demand
    rate = np.where(width <= room[0], throughput[:, 0], 0.0)
    able = rate > 0
    assume(able.any())
    x = programs.min_makespan(throughput[:, :1], width, room[:1], steps)
    took_s = steps[able] / (rate[able] * x[able, 0])
    alone_s = steps[able] / rate[able]
    expected_s = max(alone_s.max(), (width[able] * alone_s).sum() / room[0])
    assert took_s.max() == pytest.approx(expected_s, rel=1e-6)


@given(demand=demands())
def test_makespan_cannot_be_beaten(demand):
    _, width, room, _, steps, _ = demand
    rate = usable(demand)
    able = rate.any(axis=1)
    assume(able.any())
    took_s = (steps[able] / (rate * solve("makespan", demand)).sum(axis=1)[able]).max()
    assert not attainable(rate[able], width[able], room, steps[able] / (took_s * (1 - 1e-4)))
    assert attainable(rate[able], width[able], room, steps[able] / (took_s * (1 + 1e-4)))


def attainable(rate, width, room, wanted):
    """Return whether some allocation gives every job its wanted rate, asked of the solver directly."""
    jobs, types = rate.shape
    gain = np.kron(np.eye(jobs), np.ones(types)) * rate.ravel()
    limits = np.vstack([np.kron(np.eye(jobs), np.ones(types)), np.kron(width[None, :], np.eye(types))])
    # In units of what is wanted, so that the solver's tolerance is relative.
    rows = np.vstack([limits, -gain / wanted[:, None]])
    bound = np.concatenate([np.ones(jobs), room, -np.ones(jobs)])
    return linprog(np.zeros(jobs * types), A_ub=rows, b_ub=bound).status == 0


@given(demand=demands())
def test_finish_time_fairness_cannot_be_beaten(demand):
    throughput, width, room, _, steps, elapsed_s = demand
    rate = usable(demand)
    able = rate.any(axis=1)
    assume(able.any())
    alone = programs.isolated_rate(throughput, width, room)
    got = (rate * solve("finish", demand)).sum(axis=1)
    none = np.zeros(len(steps))[able]
    ratio = programs.finish_time_ratio(got[able], steps[able], elapsed_s[able], alone[able], none).max()
    assert np.isfinite(ratio)
    for slack, possible in ((1 - 1e-4, False), (1 + 1e-4, True)):
        left_s = slack * ratio * steps[able] / alone[able] - elapsed_s[able]
        feasible = (left_s > 0).all() and attainable(rate[able], width[able], room, steps[able] / left_s)
        assert feasible == possible


@given(
    durations=st.lists(st.tuples(*[st.sampled_from([1.0, 3.0, 5.0, 8.0, np.inf])] * 2), max_size=5),
    room=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
@example(durations=[(3.0, 5.0), (3.0, 5.0)], room=(1, 1))  # apart 3 + 5, in one queue 3 + 6
@example(durations=[(3.0, 7.0), (3.0, 7.0)], room=(1, 1))  # apart 3 + 7
def test_matching_has_the_least_total_completion_time(durations, room):
    length = np.array(durations).reshape(-1, 2)
    able = np.isfinite(np.where(np.array(room) > 0, length, np.inf)).any(axis=1)
    kind, place, turn = programs.match_shortest(length, room)
    assert ((kind >= 0) == able).all()
    assert (np.array(room)[kind[able]] > place[able]).all()
    queues: dict[tuple[int, int], dict[int, float]] = {}
    for job in np.flatnonzero(able):
        queues.setdefault((kind[job], place[job]), {})[turn[job]] = length[job, kind[job]]
    for queue in queues.values():
        assert sorted(queue) == list(range(len(queue)))
    got_s = sum(np.cumsum([queue[k] for k in sorted(queue)]).sum() for queue in queues.values())
    machines = [kind for kind in (0, 1) for _ in range(room[kind])]
    best_s = np.inf if able.any() else 0.0
    # In one queue the shortest goes first (W. E. Smith, 1956), so only the queues are to be tried.
    for chosen in product(range(len(machines)), repeat=int(able.sum())):
        times: list[list[float]] = [[] for _ in machines]
        for job, machine in zip(np.flatnonzero(able), chosen, strict=True):
            times[machine].append(length[job, machines[machine]])
        best_s = min(best_s, sum(np.cumsum(sorted(each)).sum() for each in times if each))
    assert got_s == pytest.approx(best_s)


@given(demand=demands())
def test_fifo_gives_whole_types_in_order(demand):
    throughput, width, room, *_ = demand
    x = programs.fifo_fastest(throughput, width, room)
    assert set(np.unique(x)) <= {0.0, 1.0}
    # Nobody is moved by who comes later.
    for job in range(len(width)):
        np.testing.assert_array_equal(programs.fifo_fastest(throughput[:job], width[:job], room), x[:job])


def test_fifo_stops_at_the_first_gang_that_fits_nowhere():
    assert programs.fifo_fastest([[1.0], [1.0], [1.0]], [2, 3, 1], [4]).tolist() == [[1.0], [0.0], [0.0]]


def test_last_listed_fifo_promises_a_type_more_than_once():
    throughput, none, nobody = np.ones((4, 2)), np.full(4, -1), np.zeros(4, dtype=bool)
    kind = programs.fifo_last_listed(throughput, [1] * 4, [2, 1], none, nobody, lambda n: 0)
    # The first job fills type 1, but type 0 is struck off: type 1 has no room and nobody else gets any.
    assert kind.tolist() == [1, -1, -1, -1]

    def strike_last(n):
        return n - 1

    kind = programs.fifo_last_listed(throughput, [1] * 4, [2, 1], none, nobody, strike_last)
    assert kind.tolist() == [1, 0, 0, -1]
    ended = np.array([True, False, False, False])
    again = programs.fifo_last_listed(throughput, [1] * 4, [2, 1], kind, ended, strike_last)
    assert again.tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize("width", [[1, 1, 1], [1, 2, 4], [4, 4, 4]])
def test_who_is_indifferent_to_types_holds_them_in_proportion(width):
    room = np.array([24.0, 16.0, 8.0])
    x = programs.water_filling(np.ones((3, 3)), width, room)
    np.testing.assert_allclose(x, np.outer([1.0, 1.0, 1.0], room / 48), atol=1e-9)


def test_water_filling_goes_on_where_max_min_stops():
    # The single job saturates at 1; the gang of four may still rise to the whole cluster.
    x = programs.water_filling([[1.0], [1.0]], [1, 4], [4])
    np.testing.assert_allclose(x, [[1.0], [0.75]], atol=1e-9)


def test_weights_divide_one_type_in_proportion():
    x = programs.water_filling(np.ones((3, 1)), [1, 1, 1], [1], [1.0, 2.0, 5.0])
    np.testing.assert_allclose(x[:, 0], [0.125, 0.25, 0.625], atol=1e-9)


@given(demand=demands())
def test_least_rates_are_met_or_missed_by_the_least_sum(demand):
    _, width, room, due, *_ = demand
    rate = usable(demand)
    got = (rate * solve("due", demand)).sum(axis=1)
    able = rate.any(axis=1)
    assume(able.any())
    missed = np.maximum(0.0, 1.0 - got / due)[able].sum()
    jobs, types = rate.shape
    gain = np.kron(np.eye(jobs), np.ones(types)) * rate.ravel() / due[:, None]
    limits = np.vstack([np.kron(np.eye(jobs), np.ones(types)), np.kron(width[None, :], np.eye(types))])
    rows = np.block([[limits, np.zeros((len(limits), jobs))], [-gain, -np.eye(jobs)]])
    bound = np.concatenate([np.ones(jobs), room, -np.ones(jobs)])
    cost = np.concatenate([np.zeros(jobs * types), able])
    assert missed == pytest.approx(linprog(cost, A_ub=rows, b_ub=bound).fun, abs=1e-6)


def test_two_alike_that_miss_count_twice():
    # In half the time each of the first two meets its rate, the third in four fifths.
    x = programs.max_sum_throughput([[2.0], [2.0], [1.0]], [1, 1, 1], [1], least_rate=[1.0, 1.0, 0.8])
    np.testing.assert_allclose(x[:, 0], [0.5, 0.5, 0.0], atol=1e-9)


def test_cost_turns_the_sum_towards_cheap_types():
    throughput = [[4.0, 3.0]]
    assert programs.max_sum_throughput(throughput, [1], [1, 1]).tolist() == [[1.0, 0.0]]
    assert programs.max_sum_throughput(throughput, [1], [1, 1], cost=[2.0, 1.0]).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("program", ALL)
def test_no_jobs(program):
    nobody = np.zeros(0)
    x = solve(program, (np.zeros((0, 2)), nobody, np.array([1.0, 2.0]), nobody, nobody, nobody))
    assert x.shape == (0, 2)


@pytest.mark.parametrize("program", ALL)
def test_one_job_takes_the_fastest_type(program):
    one = np.ones(1)
    x = solve(program, (np.array([[1.0, 4.0, 0.0]]), one, np.ones(3), 3 * one, 10 * one, 5 * one))
    assert x.tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("program", ALL)
def test_a_job_that_runs_nowhere_holds_nobody_back(program):
    two = np.ones(2)
    x = solve(program, (np.array([[0.0], [2.0]]), two, np.array([1.0]), two, 10 * two, 0 * two))
    np.testing.assert_allclose(x, [[0.0], [1.0]], atol=1e-9)


def test_a_gang_wider_than_a_type_is_not_promised_it():
    x = programs.water_filling([[9.0, 1.0]], [4], [2, 4])
    assert x.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [1, 1], [1]), r"throughput: shape \(1, 1\) -> expected \(2, 1\)"),
        (([[-1.0]], [1], [1]), "throughput: -1.0 -> expected steps/s >= 0"),
        (([[np.nan]], [0], [-2]), "throughput: nan.*\nscale_factor: 0.0.*\ncapacity: -2.0"),
        (([[1.0]], [1], [1], [0.0]), "weight -> expected numbers > 0"),
        (([[1.0]], [1], [1], [1.0, 1.0]), r"weight: shape \(2,\) -> expected \(1,\)"),
    ],
)
def test_what_is_wrong_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        programs.water_filling(*arguments)


@pytest.mark.parametrize("steps", [[0.0], [np.inf], [1.0, 1.0]])
def test_steps_left_are_checked(steps):
    for program in (programs.min_makespan, programs.shortest_first):
        with pytest.raises(ValueError, match="steps_left"):
            program([[1.0]], [1], [1], steps)
    with pytest.raises(ValueError, match="steps_left"):
        programs.finish_time_fairness([[1.0]], [1], [1], steps, [0.0])


def test_a_gang_counts_as_so_many_times_its_work_and_starts_where_all_of_it_is_free():
    # 2 x 10 s goes after 15 s on the one accelerator, 2 x 7 s before it; but two have to be free.
    first = [
        programs.shortest_first([[1.0]] * 2, [2, 1], [1], [left, 15.0])[:, 0].tolist() for left in (10.0, 7.0)
    ]
    assert first == [[0.0, 1.0], [0.0, 0.0]]
    assert programs.shortest_first([[1.0]], [2], [2], [10.0]).tolist() == [[1.0]]


def test_scipy_is_loaded_by_solving_alone():
    code = "import sys, dcsim.policies.programs; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
