"""Transfers over shared links: theorems of max-min sharing, and the counter-example to what looks like one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.facility.transfers import LinkChange, Transfer, finish_times_s, move

SIZES = st.integers(1, 40)
STARTS = st.integers(0, 12)


def transfer(start_s, size, *links, **more):
    return Transfer(float(start_s), float(size), [(link, 1.0) for link in links], **more)


def test_a_parking_lot_gives_everyone_half() -> None:
    hops = 5
    long, short = transfer(0, 10, *range(hops)), [transfer(0, 10, link) for link in range(hops)]
    assert finish_times_s([1.0] * hops, [long, *short]) == [20.0] * (hops + 1)


@given(
    jobs=st.lists(st.tuples(STARTS, SIZES), min_size=1, max_size=8), more=st.sampled_from((2.0, 1.5, 1.01))
)
def test_a_single_shared_link_that_grows_is_never_worse(jobs, more) -> None:
    transfers = [transfer(start_s, size, 0) for start_s, size in jobs]
    slow, fast = finish_times_s([1.0], transfers), finish_times_s([more], transfers)
    assert all(after <= before * (1.0 + 1e-12) for before, after in zip(slow, fast, strict=True))


def test_double_bandwidth_everywhere_can_delay_a_transfer() -> None:
    """Two unit links; five A of 4 on the first, two B of 400 on both, C of 5 on the second from t = 14."""
    a, b = [transfer(0, 4, 0)] * 5, [transfer(0, 400, 0, 1)] * 2
    c = transfer(14, 5, 1)
    assert finish_times_s([1.0, 1.0], [*a, *b, c])[-1] == pytest.approx(21.0, abs=1e-12)
    assert finish_times_s([2.0, 2.0], [*a, *b, c])[-1] == pytest.approx(21.5, abs=1e-12)


def test_shares_caps_and_latencies() -> None:
    heavy, light = transfer(0, 6, 0, share=2.0), transfer(0, 6, 0)
    assert finish_times_s([3.0], [heavy, light]) == [3.0, 4.0]
    capped, free = transfer(0, 2, 0, cap_bytes_per_s=0.5), transfer(0, 10, 0)
    assert finish_times_s([3.0], [capped, free]) == [4.0, 4.0]
    assert finish_times_s([2.0], [transfer(1, 4, 0, latency_s=0.25), transfer(0, 0, 0, latency_s=3.0)]) == [
        3.25,
        3.0,
    ]


def test_a_link_that_fails_holds_its_transfers_until_it_is_mended() -> None:
    one = [transfer(0, 10, 0)]
    down, up = LinkChange(4.0, 0, 0.0), LinkChange(9.0, 0, 2.0)
    assert finish_times_s([1.0], one, [down, up]) == [12.0]
    assert finish_times_s([1.0], one, [down]) == [math.inf]


@given(
    capacity=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    flows=st.lists(
        st.tuples(STARTS, SIZES, st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)),
        min_size=1,
        max_size=12,
    ),
    changes=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 9)), max_size=4),
)
def test_every_byte_crosses_each_of_its_links_once(capacity, flows, changes) -> None:
    transfers = [transfer(start_s, size, *links) for start_s, size, links in flows]
    mended = [LinkChange(40.0, link, 5.0) for link in range(3)]
    moved = move(
        [float(c) for c in capacity],
        transfers,
        [*(LinkChange(float(t), link, float(c)) for t, link, c in changes), *mended],
    )
    assert all(math.isfinite(end_s) for end_s in moved.ends_s)
    for link, carried in enumerate(moved.link_bytes):
        assert carried == pytest.approx(sum(size for _, size, links in flows if link in links), rel=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        transfer(-1, 1, 0),
        transfer(math.nan, 1, 0),
        transfer(0, -1, 0),
        transfer(0, math.inf, 0),
        transfer(0, 1, 0, latency_s=-1.0),
        transfer(0, 1, 0, share=0.0),
        Transfer(0.0, 1.0, []),
    ],
)
def test_what_is_no_transfer_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="expected"):
        move([1.0], [wrong])
