"""The promises of an energy policy: caps, starts, suspensions, widths and reserves, and what it says them from."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.policies.active import ActiveJobs
from dcsim.policies.base import EnergyPolicy
from dcsim.policies.power_view import IdleView, PowerView
from dcsim.policies.views import GridView, JobsView
from dcsim.testing.column_checks import (
    check_column,
    check_repeats,
    check_rows,
    check_tenants,
    check_untouched,
)
from dcsim.testing.deciding_contract import strangers
from dcsim.testing.isolation import (
    same_columns,
    sample_active_jobs,
    sample_grid_view,
    sample_idle_view,
    sample_jobs_view,
    sample_power_view,
)
from dcsim.testing.promises import Promises, require
from dcsim.testing.strategies import (
    active_jobs,
    grid_views,
    idle_views,
    job_views,
    jobs_views,
    make_power_view,
    power_views,
)
from dcsim.testing.timing import decision_time_s
from dcsim.testing.whole_run import check_names_do_not_matter, check_whole_run

__all__ = ["EnergyContract"]

Asked = tuple[Any, ...]
_HOOKS = ("caps_now", "suspended", "widths", "awake_reserve")
"""Asked while a run goes on."""


@st.composite
def _while_running(draw: st.DrawFn) -> tuple[JobsView, PowerView, GridView]:
    jobs = draw(jobs_views())
    power = draw(power_views(jobs))
    return jobs, power, draw(grid_views(now_s=power.now_s))


@st.composite
def _while_present(draw: st.DrawFn) -> tuple[JobsView, ActiveJobs, GridView]:
    jobs = draw(jobs_views())
    active = draw(active_jobs(jobs))
    return jobs, active, draw(grid_views(now_s=active.now_s))


def _questions(hook: str) -> st.SearchStrategy[Asked]:
    if hook == "awake_reserve":
        return st.tuples(idle_views())
    return _while_running() if hook == "caps_now" else _while_present()


def _samples(hook: str, sizes: tuple[tuple[int, int], ...]) -> list[Asked]:
    """Return fixed questions with so many jobs, of which so many are present."""
    found: list[Asked] = []
    for jobs, present in sizes:
        view = sample_jobs_view(jobs)
        if hook == "awake_reserve":
            found.append((sample_idle_view(jobs),))
        elif hook == "caps_now":
            power = sample_power_view(view, present)
            found.append((view, power, sample_grid_view(power.now_s)))
        else:
            active = sample_active_jobs(view, present, knows_progress=True)
            found.append((view, active, sample_grid_view(active.now_s)))
    return found


def _plain(answer: tuple[Any, float]) -> tuple[Any, float]:
    said, again_s = answer
    return (said.tolist() if isinstance(said, np.ndarray) else said), float(again_s)


class EnergyContract(Promises):
    """The promises of an energy policy."""

    def _caps(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        return np.asarray(self.make_policy().power_cap_fractions(jobs))

    def _ask(self, hook: str, asked: Asked) -> tuple[Any, float]:
        return _plain(getattr(self.make_policy(), hook)(*asked))

    def _for_hooks(self, check: Callable[[str, Asked], None]) -> None:
        """Check every hook that the simulator asks this policy."""

        def check_of(hook: str) -> Callable[[Asked], None]:
            def checked(asked: Asked) -> None:
                check(hook, asked)

            return checked

        for hook in self._hooks():
            self._for_all(check_of(hook), _questions(hook))

    def _hooks(self) -> list[str]:
        policy: EnergyPolicy = self.make_policy()
        asked = (policy.recaps, policy.suspends, policy.scales, policy.reserves)
        return [hook for hook, wanted in zip(_HOOKS, asked, strict=True) if wanted]

    def test_caps_are_fractions_one_a_job(self) -> None:
        """Caps (N,) in (0, 1]."""
        self._for_all(lambda jobs: check_column(self._caps(jobs), len(jobs), 0.0, 1.0), jobs_views())

    def test_a_job_becomes_eligible_within_its_slack(self) -> None:
        """The earliest start lies in [submit, submit + slack]; the same job gets the same answer."""

        def check(question: tuple[Any, Any]) -> None:
            job, grid = question
            at_s = self.make_policy().eligible_s(job, grid)
            require(
                job.submit_s <= at_s <= job.submit_s + job.slack_s,
                f"eligible at {at_s} s, submitted at {job.submit_s} s with {job.slack_s} s of slack",
            )
            again_s = self.make_policy().eligible_s(job, grid)
            require(again_s == at_s, f"eligible at {at_s} s, then at {again_s} s")

        self._for_all(check, st.tuples(job_views(), grid_views()))

    def test_sleep_comes_after_a_duration_or_never(self) -> None:
        """`sleep_after_s` is None or a finite number of seconds, >= 0."""
        after_s = self.make_policy().sleep_after_s()
        require(after_s is None or 0.0 <= after_s < math.inf, f"sleep after {after_s} s")

    def test_who_says_widths_may_suspend(self) -> None:
        """`scales` comes with `suspends`: a job without a width is one that holds nothing."""
        policy: EnergyPolicy = self.make_policy()
        require(policy.suspends or not policy.scales, "scales without suspends")

    def test_answers_are_well_formed(self) -> None:
        """Caps, suspensions, widths and reserves of the right shape, type and range; the next question not at NaN."""

        def check(hook: str, asked: Asked) -> None:
            answer = getattr(self.make_policy(), hook)(*asked)
            require(isinstance(answer, tuple) and len(answer) == 2, f"{hook}: {answer!r}, expected a pair")
            said, again_s = answer
            require(not math.isnan(float(again_s)), f"{hook}: the next question at NaN s")
            _FORMS[hook](said, *asked)

        self._for_hooks(check)

    def test_same_question_same_answer(self) -> None:
        """The same views twice, and pickled copies of them, get the same answers."""
        self._for_all(lambda jobs: check_repeats(self._caps, jobs), jobs_views())

        def check(hook: str, asked: Asked) -> None:
            first, second = self._ask(hook, asked), self._ask(hook, asked)
            copied = self._ask(hook, pickle.loads(pickle.dumps(asked)))  # noqa: S301  made here
            require(first == second == copied, f"{hook}: {first}, then {second}, then {copied} on a copy")

        self._for_hooks(check)

    def test_answer_does_not_depend_on_the_hash_seed(self) -> None:
        """New processes with PYTHONHASHSEED 0 and 1 decide alike."""
        self._ignores_hash_seed("power_cap_fractions", [(sample_jobs_view(30),)])
        for hook in self._hooks():
            self._ignores_hash_seed(hook, _samples(hook, ((40, 30),)))

    def test_view_is_left_untouched(self) -> None:
        """No view is changed, nor made writeable."""
        self._for_all(lambda jobs: check_untouched(self._caps, jobs), jobs_views())

        def check(hook: str, asked: Asked) -> None:
            before = pickle.loads(pickle.dumps(asked))  # noqa: S301  made here
            try:
                self._ask(hook, asked)
            except ValueError as error:
                require("read-only" not in str(error), f"{hook}: the policy writes to the view: {error}")
                raise
            pairs = zip(asked, before, strict=True)
            require(
                all(same_columns(now, then) for now, then in pairs), f"{hook}: the policy changed the view"
            )

        self._for_hooks(check)

    def test_no_state_is_kept(self) -> None:
        """Answers depend on the question alone, not on earlier ones."""
        views = [sample_jobs_view(count) for count in (0, 1, 7, 7, 30)]
        self._keeps_no_state(
            lambda policy, jobs: np.asarray(policy.power_cap_fractions(jobs)).tolist(), views
        )
        for hook in self._hooks():
            questions = _samples(hook, ((0, 0), (1, 1), (7, 4), (7, 7), (30, 20)))
            self._keeps_no_state(partial(_asked_of, hook), questions)

    def test_a_cap_depends_on_its_own_job_only(self) -> None:
        """Leaving out other jobs, later ones above all, changes no cap from the start: nothing looks ahead."""
        self._for_all(lambda jobs: check_rows(self._caps, jobs), jobs_views(min_jobs=1))

    def test_jobs_that_are_not_there_do_not_count(self) -> None:
        """Other columns for jobs to come, and for those that ended, change nothing: nothing looks ahead."""

        def check(hook: str, asked: Asked) -> None:
            if hook == "awake_reserve":
                return
            jobs, there = asked[:2]
            one = self._ask(hook, asked)
            other = self._ask(hook, (strangers(jobs, there.row), *asked[1:]))
            require(one == other, f"{hook}: {one}, and {other} when only jobs that are not there are others")

        self._for_hooks(check)

    def test_which_of_equal_jobs_is_which_does_not_matter(self) -> None:
        """Equal running jobs under other numbers get the same caps, place by place."""

        def check(count: int) -> None:
            jobs = _equal_jobs(count)
            views = [
                make_power_view([400.0] * count, row=rows, others_w=100.0, budget_w=300.0 * count)
                for rows in (list(range(count)), list(range(count))[::-1])
            ]
            one, other = (self._ask("caps_now", (jobs, view, sample_grid_view(0.0))) for view in views)
            require(one == other, f"{one}, and {other} when equal jobs change places")

        if "caps_now" in self._hooks():
            self._for_all(check, st.integers(1, 6))

    def test_tenant_numbers_are_only_names(self) -> None:
        """Other numbers for the same tenants change no cap."""
        self._for_all(lambda jobs: check_tenants(self._caps, jobs), jobs_views(min_jobs=2))

    def test_decides_in_time(self) -> None:
        """The caps of 10,000 jobs, or any answer on 500 that run, within `max_decision_s`."""
        jobs, policy = sample_jobs_view(10_000), self.make_policy()
        taken_s = decision_time_s(lambda: policy.power_cap_fractions(jobs), self.max_decision_s)
        require(taken_s <= self.max_decision_s, f"{taken_s:.3g} s for the caps of 10,000 jobs")
        for hook in self._hooks():
            question = _samples(hook, ((10_000, 500),))[0]
            taken_s = decision_time_s(partial(_asked_of, hook, policy, question), self.max_decision_s)
            require(taken_s <= self.max_decision_s, f"{hook}: {taken_s:.3g} s for an answer on 500 jobs")

    def test_whole_runs_complete(self) -> None:
        """Random clusters and jobs run to the end with all guards on, twice alike."""
        self._for_all(check_whole_run(energy=self.make_policy), st.data(), self.runs)

    def test_names_do_not_matter(self) -> None:
        """Other names for racks, jobs and tenants change no number of a run."""
        self._for_all(check_names_do_not_matter(energy=self.make_policy), st.data(), self.runs)


def _equal_jobs(count: int) -> JobsView:
    """Return the columns of jobs that are all alike but for their numbers, not writeable."""
    sample = sample_jobs_view(2)
    columns = {name: np.repeat(getattr(sample, name)[:1], count) for name in JobsView.__slots__}
    columns["accelerators"] = np.ones(count, dtype=np.int64)
    for name in ("min_accelerators", "max_accelerators"):
        columns[name] = np.zeros(count, dtype=np.int64)
    for column in columns.values():
        column.flags.writeable = False
    return JobsView(**columns)


def _asked_of(hook: str, policy: EnergyPolicy, question: Asked) -> tuple[Any, float]:
    return _plain(getattr(policy, hook)(*question))


def _caps_form(said: Any, _: JobsView, power: PowerView, __: GridView) -> None:  # noqa: ANN401
    check_column(np.asarray(said), len(power), 0.0, 1.0)


def _suspended_form(said: Any, _: JobsView, active: ActiveJobs, __: GridView) -> None:  # noqa: ANN401
    column = np.asarray(said)
    fits = column.shape == (len(active),) and column.dtype == np.bool_
    require(fits, f"suspensions {column.tolist()}: expected {len(active)} truth values")


def _widths_form(said: Any, jobs: JobsView, active: ActiveJobs, _: GridView) -> None:  # noqa: ANN401
    width, asks = np.asarray(said), jobs.accelerators[active.row]
    whole = width.shape == (len(active),) and width.dtype.kind in "iu"
    require(whole, f"widths {width.tolist()}: expected {len(active)} whole numbers")
    least = np.where(jobs.min_accelerators[active.row] > 0, jobs.min_accelerators[active.row], asks)
    most = np.where(jobs.max_accelerators[active.row] > 0, jobs.max_accelerators[active.row], asks)
    fits = (width == 0) | (width == -1) | ((width >= least) & (width <= most))
    require(fits.all(), f"widths {width.tolist()}: expected -1, 0, or {least.tolist()} to {most.tolist()}")


def _reserve_form(said: Any, idle: IdleView) -> None:  # noqa: ANN401
    fits = type(said) is int and 0 <= said <= idle.servers
    require(fits, f"a reserve of {said!r}, expected a whole number of 0 to {idle.servers} servers")


_FORMS: dict[str, Callable[..., None]] = {
    "caps_now": _caps_form,
    "suspended": _suspended_form,
    "widths": _widths_form,
    "awake_reserve": _reserve_form,
}
