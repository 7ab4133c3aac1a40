"""The promises of an ordering policy that decides again and again: what it says, and what it says it from."""

from __future__ import annotations

import math
import pickle
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.policies.active import ActiveJobs, Decision
from dcsim.policies.base import DecidingPolicy
from dcsim.policies.views import JobsView
from dcsim.testing.isolation import same_columns, sample_active_jobs, sample_jobs_view
from dcsim.testing.promises import Promises, require
from dcsim.testing.strategies import active_jobs, jobs_views
from dcsim.testing.timing import decision_time_s
from dcsim.testing.whole_run import check_names_do_not_matter, check_whole_run

__all__ = ["DecidingContract", "strangers"]

Question = tuple[JobsView, ActiveJobs]


@st.composite
def _questions(draw: st.DrawFn, policy: DecidingPolicy) -> Question:
    jobs = draw(jobs_views())
    thresholds = policy.service_thresholds_accelerator_s
    return jobs, draw(active_jobs(jobs, knows_progress=policy.knows_progress, thresholds=thresholds))


def _said(decision: Decision) -> list[Any]:
    """Return all that a decision says, as plain values."""
    values = [getattr(decision, field.name) for field in fields(decision)]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


class DecidingContract(Promises):
    """The promises of a policy that decides again and again."""

    def _decide(self, question: Question) -> Decision:
        policy: DecidingPolicy = self.make_policy()
        return policy.decide(*question)

    def _sample(self, jobs: int, present: int) -> Question:
        policy: DecidingPolicy = self.make_policy()
        view = sample_jobs_view(jobs)
        thresholds = policy.service_thresholds_accelerator_s
        return view, sample_active_jobs(
            view, present, knows_progress=policy.knows_progress, thresholds=thresholds
        )

    def test_a_decision_is_well_formed(self) -> None:
        """Each job at most once; widths that jobs can have; types that exist; the next decision not in the past."""
        self._for_all(lambda asked: _check_form(asked, self._decide(asked)), _questions(self.make_policy()))

    def test_jobs_that_are_not_there_do_not_count(self) -> None:
        """Other columns for jobs to come, and for those that ended, change nothing: nothing looks ahead."""

        def check(asked: Question) -> None:
            jobs, active = asked
            one, other = (
                _said(self._decide(asked)),
                _said(self._decide((strangers(jobs, active.row), active))),
            )
            require(one == other, f"{one}, and {other} when only jobs that are not there are others")

        self._for_all(check, _questions(self.make_policy()))

    def test_same_question_same_answer(self) -> None:
        """The same views twice, and pickled copies of them, get the same decision."""

        def check(asked: Question) -> None:
            first, second = _said(self._decide(asked)), _said(self._decide(asked))
            copied = _said(self._decide(pickle.loads(pickle.dumps(asked))))  # noqa: S301  made here
            require(first == second == copied, f"{first}, then {second}, then {copied} on a copy")

        self._for_all(check, _questions(self.make_policy()))

    def test_answer_does_not_depend_on_the_hash_seed(self) -> None:
        """New processes with PYTHONHASHSEED 0 and 1 decide alike."""
        self._ignores_hash_seed("decide", [self._sample(40, 30)])

    def test_view_is_left_untouched(self) -> None:
        """Neither the jobs' columns nor the active jobs' are changed, or made writeable."""

        def check(asked: Question) -> None:
            before = pickle.loads(pickle.dumps(asked))  # noqa: S301  made here
            try:
                self._decide(asked)
            except ValueError as error:
                require("read-only" not in str(error), f"the policy writes to the view: {error}")
                raise
            untouched = all(same_columns(now, then) for now, then in zip(asked, before, strict=True))
            require(untouched, "the policy changed the view")

        self._for_all(check, _questions(self.make_policy()))

    def test_no_state_is_kept(self) -> None:
        """Answers depend on the question alone, not on earlier ones."""
        questions = [
            self._sample(jobs, present) for jobs, present in ((0, 0), (1, 1), (7, 4), (7, 7), (30, 20))
        ]
        self._keeps_no_state(lambda policy, asked: _said(policy.decide(*asked)), questions)

    def test_decides_in_time(self) -> None:
        """A decision for 1,000 jobs of 10,000 within `max_decision_s`."""
        policy, question = self.make_policy(), self._sample(10_000, 1_000)
        taken_s = decision_time_s(partial(policy.decide, *question), self.max_decision_s)
        require(taken_s <= self.max_decision_s, f"{taken_s:.3g} s for a decision on 1,000 jobs")

    def test_whole_runs_complete(self) -> None:
        """Random clusters and jobs run to the end with all guards on, twice alike."""
        self._for_all(check_whole_run(ordering=self.make_policy), st.data(), self.runs)

    def test_names_do_not_matter(self) -> None:
        """Other names for racks, jobs and tenants change no number of a run."""
        self._for_all(check_names_do_not_matter(ordering=self.make_policy), st.data(), self.runs)


def _check_form(asked: Question, decision: Decision) -> None:
    jobs, active = asked
    count, types = len(active), len(active.type_accelerators)
    order, width = np.asarray(decision.order), np.asarray(decision.width)
    require(order.dtype.kind in "iu" or not order.size, f"an order of {order.dtype}, expected whole numbers")
    require(len(np.unique(order)) == len(order), f"a job twice in {order.tolist()}")
    require(((order >= 0) & (order < count)).all(), f"{order.tolist()}: positions are 0 to {count - 1}")
    whole = width.shape == (count,) and width.dtype.kind in "iu"
    require(whole, f"widths {width.tolist()}: expected {count} whole numbers")
    asks = jobs.accelerators[active.row]
    least = np.where(jobs.min_accelerators[active.row] > 0, jobs.min_accelerators[active.row], asks)
    most = np.where(jobs.max_accelerators[active.row] > 0, jobs.max_accelerators[active.row], asks)
    fits = (width == 0) | ((width >= least) & (width <= most))
    require(fits.all(), f"widths {width.tolist()}: expected 0, or {least.tolist()} to {most.tolist()}")
    if decision.accelerator_type is not None:
        kind = np.asarray(decision.accelerator_type)
        known = kind.shape == (count,) and ((kind >= -1) & (kind < types)).all()
        require(known, f"types {kind.tolist()}: expected {count} of -1 to {types - 1}")
    if decision.move is not None:
        require(np.asarray(decision.move).shape == (count,), f"moves: expected {count} truth values")
    require(not math.isnan(decision.again_s), "the next decision at NaN s")


def strangers(jobs: JobsView, row: npt.NDArray[np.int64]) -> JobsView:
    """Return the columns with others where a job is not among some rows (K,), not writeable."""
    there = np.zeros(len(jobs), dtype=bool)
    there[row] = True
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in JobsView.__slots__:
        column = getattr(jobs, name)
        other = column[::-1] + np.ones_like(column)
        columns[name] = np.where(there, column, 0 if name == "tenant" else other).astype(column.dtype)
        columns[name].flags.writeable = False
    return JobsView(**columns)
