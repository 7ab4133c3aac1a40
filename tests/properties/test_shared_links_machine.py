"""Links under random flows that start, finish and move, fail, are degraded and mended: rates equal those from scratch."""

from __future__ import annotations

import math

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
        self.capacity = list(capacity)
        self.built = tuple(capacity)
        self.could_carry = np.zeros(LINKS)
        self.links = SharedLinks(capacity)
        self.active: list[Flow] = []
        self.made = 0
        self.bytes_on = np.zeros(LINKS)
        self.settled = True

    @rule(
        demand=st.sampled_from((1, 3, 3, 8, 50, math.inf)),
        share=st.sampled_from((1.0, 1.0, 2.0, 0.5)),
        links=st.lists(st.integers(0, LINKS - 1), min_size=1, max_size=3, unique=True),
        weight=st.sampled_from((1.0, 1.0, 0.5, 2.0)),
    )
    def add(self, demand, share, links, weight):
        flow = Flow.over(self.made, demand, [(link, weight) for link in links], share)
        self.made += 1
        self.links.add(flow)
        self.active.append(flow)
        self.settled = False

    @precondition(lambda self: bool(getattr(self, "active", None)))
    @rule(data=st.data())
    def remove(self, data):
        flow = self.active.pop(data.draw(st.integers(0, len(self.active) - 1)))
        self.links.remove(flow)
        self.settled = False

    @precondition(lambda self: bool(getattr(self, "active", None)))
    @rule(
        data=st.data(),
        links=st.lists(st.integers(0, LINKS - 1), min_size=1, max_size=3, unique=True),
        weight=st.sampled_from((1.0, 0.5)),
    )
    def reroute(self, data, links, weight):
        flow = self.active[data.draw(st.integers(0, len(self.active) - 1))]
        self.links.reroute(flow, [(link, weight) for link in links])
        self.settled = False

    @rule(link=st.integers(0, LINKS - 1), part=st.sampled_from((0.0, 0.25, 0.5, 1.0, 1.0)))
    def change(self, link, part):
        """A link fails, is degraded or mended."""
        self.capacity[link] = self.built[link] * part
        self.links.set_capacity(link, self.capacity[link])
        self.settled = False

    @rule(elapsed_s=st.sampled_from((1.0, 0.125, 60.0)))
    def pass_time(self, elapsed_s):
        self.settle()
        self.could_carry += np.array(self.capacity) * elapsed_s
        for flow in self.active:
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
            np.array([math.inf if f.elastic else f.demand for f in self.active], dtype=np.float64),
            np.array([use[0] for use in uses]),
            np.array([use[1] for use in uses]),
            np.array([use[2] for use in uses]),
        )
        rates = np.array([flow.rate for flow in self.active])
        shares = np.array([flow.share for flow in self.active])
        np.testing.assert_allclose(rates, max_min_rates(*arrays, share=shares), rtol=1e-9, atol=1e-9)
        assert len(unfair_flows(*arrays, rates, share=shares)) == 0
        self.links.check()

    @invariant()
    def bytes_add_up(self):
        if not hasattr(self, "links"):
            return
        # What failed, slow and whole links could carry while they were so.
        assert (self.bytes_on <= self.could_carry * (1 + 1e-9) + 1e-9).all()

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
