"""Links whose bookings rise and fall within one instant, before anybody is told their rates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.sharing import Flow, SharedLinks, max_min_rates


def _flow(demand: int, *links: int) -> Flow:
    return Flow(None, demand, [(link, 1.0, demand) for link in links])


def test_a_link_that_falls_far_and_fills_again_frees_whom_it_held_back() -> None:
    links = SharedLinks([100.0])
    leaves, stays = _flow(70, 0), _flow(60, 0)  # of two groups
    links.add(leaves)
    links.add(stays)
    links.settle()
    assert stays.rate == 50.0
    links.remove(leaves)  # 60: not worth watching any more
    links.add(_flow(35, 0))  # 95: worth watching still, but everybody fits
    links.settle()
    assert stays.rate == 60.0
    links.check()


@given(
    st.lists(st.integers(20, 120), min_size=2, max_size=4),
    st.lists(
        st.lists(
            st.tuples(st.booleans(), st.integers(1, 80), st.sets(st.integers(0, 3), min_size=1)), max_size=5
        ),
        max_size=6,
    ),
)
def test_any_changes_within_an_instant_end_fair(
    capacities: list[int], instants: list[list[tuple[bool, int, set[int]]]]
) -> None:
    links = SharedLinks([float(c) for c in capacities])
    flows: list[Flow] = []
    for changes in instants:
        for leaves, demand, over in changes:
            if leaves and flows:
                links.remove(flows.pop(demand % len(flows)))
            else:
                flows.append(_flow(demand, *sorted({link % len(capacities) for link in over})))
                links.add(flows[-1])
        links.settle()
        links.check()
        uses = [(i, use[0]) for i, flow in enumerate(flows) for use in flow.uses]
        fair = max_min_rates(
            np.array(capacities, dtype=float),
            np.array([float(flow.demand) for flow in flows]),
            np.array([i for i, _ in uses], dtype=np.int64),
            np.array([link for _, link in uses], dtype=np.int64),
            np.ones(len(uses)),
        )
        np.testing.assert_allclose([flow.rate for flow in flows], fair, rtol=1e-9)
