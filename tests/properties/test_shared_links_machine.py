"""Links under random flows: after each change the incremental rates equal those from scratch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dcsim.facility.sharing import Flow, SharedLinks, max_min_rates, unfair_flows

LINKS = 4


class LinksMachine(RuleBasedStateMachine):
    """Flows come and go over four links; bytes are counted by flow and by link."""

    @initialize(capacity=st.lists(st.sampled_from((1.0, 10.0, 100.0, 7.5)), min_size=LINKS, max_size=LINKS))
    def build(self, capacity):
        self.capacity = capacity
        self.links = SharedLinks(capacity)
        self.active: list[Flow] = []
        self.made = 0
        self.time_s = 0.0
        self.bytes_on = np.zeros(LINKS)
        self.bytes_of: dict[Flow, float] = {}
        self.settled = True

    @rule(
        demand=st.sampled_from((1, 3, 3, 8, 50)),
        links=st.lists(st.integers(0, LINKS - 1), min_size=1, max_size=3, unique=True),
        weight=st.sampled_from((1.0, 1.0, 0.5, 2.0)),
    )
    def add(self, demand, links, weight):
        uses = [(link, weight, int(np.ceil(weight * demand))) for link in links]
        flow = Flow(self.made, demand, uses)
        self.made += 1
        self.links.add(flow)
        self.active.append(flow)
        self.bytes_of[flow] = 0.0
        self.settled = False

    @precondition(lambda self: bool(getattr(self, "active", None)))
    @rule(data=st.data())
    def remove(self, data):
        flow = self.active.pop(data.draw(st.integers(0, len(self.active) - 1)))
        self.links.remove(flow)
        self.settled = False

    @rule(elapsed_s=st.sampled_from((1.0, 0.125, 60.0)))
    def pass_time(self, elapsed_s):
        self.settle()
        self.time_s += elapsed_s
        for flow in self.active:
            self.bytes_of[flow] += flow.rate * elapsed_s
            for link, weight, _ in flow.uses:
                self.bytes_on[link] += weight * flow.rate * elapsed_s

    @rule()
    def settle(self):
        """Settle; who was not reported has kept its rate."""
        before = {flow: flow.rate for flow in self.active}
        groups = {flow: flow.group for flow in self.active}
        regrouped, changed = self.links.settle()
        for flow in self.active:
            told = flow in regrouped or flow.group in changed or groups[flow] is not flow.group
            assert told or flow.rate == before[flow], "a new rate that nobody was told of"
        self.settled = True

    @invariant()
    def rates_are_those_from_scratch(self):
        if not getattr(self, "settled", False) or not self.active:
            return
        uses = [(i, link, weight) for i, flow in enumerate(self.active) for link, weight, _ in flow.uses]
        arrays = (
            np.array(self.capacity),
            np.array([flow.demand for flow in self.active], dtype=np.float64),
            np.array([use[0] for use in uses]),
            np.array([use[1] for use in uses]),
            np.array([use[2] for use in uses]),
        )
        rates = np.array([flow.rate for flow in self.active])
        np.testing.assert_allclose(rates, max_min_rates(*arrays), rtol=1e-12)
        assert len(unfair_flows(*arrays, rates)) == 0
        self.links.check()

    @invariant()
    def bytes_add_up(self):
        if not hasattr(self, "links"):
            return
        assert (self.bytes_on <= np.array(self.capacity) * self.time_s * (1 + 1e-9)).all()
        by_flow = np.zeros(LINKS)
        for flow, sent in self.bytes_of.items():
            for link, weight, _ in flow.uses:
                by_flow[link] += weight * sent
        np.testing.assert_allclose(by_flow, self.bytes_on, rtol=1e-9, atol=1e-9)

    @invariant()
    def books_are_exact(self):
        if hasattr(self, "links"):
            booked = [0] * LINKS
            for flow in self.active:
                for link, _, usage in flow.uses:
                    booked[link] += usage
            assert self.links.booked == booked


TestLinks = LinksMachine.TestCase
TestLinks.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.deep
def test_long_histories():
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        LinksMachine, settings=settings(max_examples=2_000, stateful_step_count=60, deadline=None)
    )
