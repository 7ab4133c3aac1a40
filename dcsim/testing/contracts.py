"""What every policy must keep: classes to subclass, one check a test.

    class TestMine(PolicyContract):
        policy = MyPlacement

pytest then runs the checks for the kind of policy that `MyPlacement` is. A broken promise raises
`ContractError`, an AssertionError, with the smallest example that Hypothesis finds.
"""

from __future__ import annotations

import math
import pickle
from functools import partial
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dcsim.policies.base import DecidingPolicy, EnergyPolicy, OrderingPolicy, PlacementPolicy
from dcsim.policies.views import ClusterView, JobsView, Placement, PlacementRequest
from dcsim.testing.column_checks import (
    check_column,
    check_repeats,
    check_rows,
    check_tenants,
    check_untouched,
)
from dcsim.testing.deciding_contract import DecidingContract
from dcsim.testing.energy_contract import EnergyContract
from dcsim.testing.isolation import (
    same_view,
    sample_jobs_view,
    sample_problems,
)
from dcsim.testing.promises import ContractError, Promises, require
from dcsim.testing.strategies import cluster_views, jobs_views, placement_requests
from dcsim.testing.timing import decision_time_s
from dcsim.testing.whole_run import check_names_do_not_matter, check_whole_run

__all__ = [
    "ContractError",
    "DecidingContract",
    "EnergyContract",
    "OrderingContract",
    "PlacementContract",
    "PolicyContract",
]

Problem = tuple[ClusterView, PlacementRequest]


@st.composite
def _problems(draw: st.DrawFn) -> Problem:
    view = draw(cluster_views())
    return view, draw(placement_requests(view))


class PlacementContract(Promises):
    """The promises of a placement policy."""

    non_idling: ClassVar[bool] = True
    """Whether the policy must place a gang where one empty server holds it whole."""

    def _place(self, problem: Problem) -> Placement | None:
        view, request = problem
        placement: Placement | None = self.make_policy().place(request, view)
        return placement

    def test_gang_is_whole_or_waits(self) -> None:
        """All accelerators of the gang, or None; at least one on each of its servers."""

        def check(problem: Problem) -> None:
            placement, wanted = self._place(problem), problem[1].accelerators
            if placement is None:
                return
            counts = [count for _, count in placement]
            require(sum(counts) == wanted, f"{counts} accelerators for a gang of {wanted}")
            if wanted:
                require(min(counts) >= 1, f"a server without accelerators in {placement}")
            else:
                require(len(counts) == 1, f"a CPU-only job on {len(counts)} servers")

        self._for_all(check, _problems())

    def test_servers_are_distinct_and_ascending(self) -> None:
        """Existing servers, each once, in ascending order, as plain integers."""

        def check(problem: Problem) -> None:
            placement = self._place(problem)
            servers = [server for server, _ in placement or ()]
            plain = all(type(number) is int for pair in placement or () for number in pair)
            require(plain, f"other than plain integers in {placement!r}")
            require(servers == sorted(set(servers)), f"servers {servers} not ascending and distinct")
            require(all(0 <= s < len(problem[0].rack) for s in servers), f"no such server in {servers}")

        self._for_all(check, _problems())

    def test_nothing_is_over_allocated(self) -> None:
        """No more on a server than is free there, of accelerators, shares, cores and memory."""

        def check(problem: Problem) -> None:
            view, request = problem
            room = view.room(request)
            for server, count in self._place(problem) or ():
                need = max(1, count)
                require(need <= room[server], f"{count} accelerators on server {server}, room {room[server]}")

        self._for_all(check, _problems())

    def test_limits_of_the_request_are_kept(self) -> None:
        """Only allowed servers, and no more of them than the job may span."""

        def check(problem: Problem) -> None:
            placement, request = self._place(problem) or (), problem[1]
            limit = request.max_servers or len(placement)
            require(len(placement) <= limit, f"{len(placement)} servers, {limit} allowed")
            if request.allowed is not None:
                wrong = [server for server, _ in placement if not request.allowed[server]]
                require(not wrong, f"servers {wrong} have the wrong accelerator type")

        self._for_all(check, _problems())

    def test_same_question_same_answer(self) -> None:
        """The same view twice, and a pickled copy of it, get the same placement."""

        def check(problem: Problem) -> None:
            first, second = self._place(problem), self._place(problem)
            copied = self._place(pickle.loads(pickle.dumps(problem)))  # noqa: S301  made one line above
            require(first == second == copied, f"{first}, then {second}, then {copied} on a copy")

        self._for_all(check, _problems())

    def test_answer_does_not_depend_on_the_hash_seed(self) -> None:
        """New processes with PYTHONHASHSEED 0 and 1 decide alike."""
        questions = [(request, view) for view, request in sample_problems(40)]
        self._ignores_hash_seed("place", questions)

    def test_view_is_left_untouched(self) -> None:
        """Neither the view nor the request is changed, nor made writeable."""

        def check(problem: Problem) -> None:
            before = pickle.loads(pickle.dumps(problem))  # noqa: S301  made here
            try:
                self._place(problem)
            except ValueError as error:
                require("read-only" not in str(error), f"the policy writes to the view: {error}")
                raise
            require(same_view(problem, before), "the policy changed the view or the request")

        self._for_all(check, _problems())

    def test_no_state_is_kept(self) -> None:
        """Answers depend on the question alone, not on earlier ones."""

        def ask(policy: PlacementPolicy, problem: Problem) -> Placement | None:
            return policy.place(problem[1], problem[0])

        self._keeps_no_state(ask, sample_problems(40))

    def test_decides_in_time(self) -> None:
        """One decision on 10,000 servers, the widest gangs among them, within `max_decision_s`."""
        policy = self.make_policy()
        for view, request in sample_problems(4, servers=10_000):
            taken_s = decision_time_s(partial(policy.place, request, view), self.max_decision_s)
            require(taken_s <= self.max_decision_s, f"{taken_s:.3g} s for a gang of {request.accelerators}")

    def test_obvious_fit_is_taken(self) -> None:
        """A gang that an empty server holds is not left waiting (unless `non_idling` is False)."""

        def check(problem: Problem) -> None:
            view, request = problem
            empty = view.free_accelerators == view.total_accelerators
            fits = np.flatnonzero(empty & (view.room(request) >= max(1, request.accelerators)))
            if self.non_idling and len(fits):
                require(self._place(problem) is not None, f"waits although server {fits[0]} is free")

        self._for_all(check, _problems())

    def test_whole_runs_complete(self) -> None:
        """Random clusters and jobs run to the end with all guards on, twice alike."""
        self._for_all(check_whole_run(placement=self.make_policy), st.data(), self.runs)

    def test_names_do_not_matter(self) -> None:
        """Other names for racks, jobs and tenants change no number of a run."""
        self._for_all(check_names_do_not_matter(placement=self.make_policy), st.data(), self.runs)


class OrderingContract(Promises):
    """The promises of an ordering policy."""

    def _keys(self, jobs: JobsView) -> npt.NDArray[np.float64]:
        return np.asarray(self.make_policy().keys(jobs))

    def test_keys_are_numbers_one_a_job(self) -> None:
        """Keys (N,), finite."""
        self._for_all(lambda jobs: check_column(self._keys(jobs), len(jobs), -math.inf), jobs_views())

    def test_same_question_same_answer(self) -> None:
        """The same view twice, and a pickled copy of it, get the same keys."""
        self._for_all(lambda jobs: check_repeats(self._keys, jobs), jobs_views())

    def test_answer_does_not_depend_on_the_hash_seed(self) -> None:
        """New processes with PYTHONHASHSEED 0 and 1 order alike."""
        self._ignores_hash_seed("keys", [(sample_jobs_view(30),)])

    def test_view_is_left_untouched(self) -> None:
        """The view is not changed, nor made writeable."""
        self._for_all(lambda jobs: check_untouched(self._keys, jobs), jobs_views())

    def test_no_state_is_kept(self) -> None:
        """Answers depend on the question alone, not on earlier ones."""
        views = [sample_jobs_view(count) for count in (0, 1, 7, 7, 30)]
        self._keeps_no_state(lambda policy, jobs: np.asarray(policy.keys(jobs)).tolist(), views)

    def test_a_key_depends_on_its_own_job_only(self) -> None:
        """Leaving out other jobs, later ones above all, changes no key: nothing looks ahead."""
        self._for_all(lambda jobs: check_rows(self._keys, jobs), jobs_views(min_jobs=1))

    def test_tenant_numbers_are_only_names(self) -> None:
        """Other numbers for the same tenants change no order."""
        self._for_all(lambda jobs: check_tenants(self._keys, jobs), jobs_views(min_jobs=2))

    def test_decides_in_time(self) -> None:
        """The keys of 10,000 jobs within `max_decision_s`."""
        jobs, policy = sample_jobs_view(10_000), self.make_policy()
        taken_s = decision_time_s(lambda: policy.keys(jobs), self.max_decision_s)
        require(taken_s <= self.max_decision_s, f"{taken_s:.3g} s for the keys of 10,000 jobs")

    def test_whole_runs_complete(self) -> None:
        """Random clusters and jobs run to the end with all guards on, twice alike."""
        self._for_all(check_whole_run(ordering=self.make_policy), st.data(), self.runs)

    def test_names_do_not_matter(self) -> None:
        """Other names for racks, jobs and tenants change no number of a run."""
        self._for_all(check_names_do_not_matter(ordering=self.make_policy), st.data(), self.runs)


_BY_KIND: tuple[tuple[type, type[Promises]], ...] = (
    (PlacementPolicy, PlacementContract),
    (DecidingPolicy, DecidingContract),
    (OrderingPolicy, OrderingContract),
    (EnergyPolicy, EnergyContract),
)


class PolicyContract(Promises):
    """The promises of a policy of any kind: a subclass gets the checks of the kind its `policy` is."""

    def __init_subclass__(cls, **arguments: object) -> None:
        """Take over the checks for the kind of policy named.

        Raises:
            TypeError: `policy` is given and is no policy.
        """
        super().__init_subclass__(**arguments)
        policy = getattr(cls, "policy", None)
        if policy is None:
            return
        kind = policy if isinstance(policy, type) else type(policy)
        contract = next((contract for base, contract in _BY_KIND if issubclass(kind, base)), None)
        if contract is None:
            msg = f"{cls.__name__}.policy: {policy!r} -> expected a placement, ordering or energy policy"
            raise TypeError(msg)
        for name, value in vars(contract).items():
            if not name.startswith("__") and not hasattr(cls, name):
                setattr(cls, name, value)
