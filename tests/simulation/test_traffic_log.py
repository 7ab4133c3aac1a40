"""Bytes in bins against sums of exact fractions, conservation, clocks, and what is listed of a large hall."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.results.arrow import to_arrow
from dcsim.results.schema import LINKS, TIERS
from dcsim.rng import stream
from dcsim.simulation import traffic_bins, traffic_sums
from dcsim.simulation.traffic_bins import MAX_BINS, coarser_edges_s
from dcsim.simulation.traffic_log import Traffic, TrafficLog
from dcsim.simulation.traffic_sums import MAX_LINKS, MAX_TENANTS, OTHER_TENANTS

EDGES_S = np.array([0.0, 10.0, 20.0, 50.0, 51.0])
Stint = tuple[float, float, int, float]


def tables(log: TrafficLog, links: int = 2, edges_s: npt.NDArray[Any] = EDGES_S) -> Traffic:
    tiers = ["leaf"] * (links - 1) + ["spine"]
    names = [f"link {i}" for i in range(links)]
    return log.tables(edges_s, tiers, [4.0] * links, ["ada", "grace"], names=names)


def on_links(traffic: Traffic) -> dict[tuple[int, float], float]:
    columns = traffic.links
    keys = zip(columns["link"].tolist(), columns["time_s"].tolist(), strict=True)
    return dict(zip(keys, columns["bytes"].tolist(), strict=True))


def on_tiers(traffic: Traffic) -> dict[tuple[str, str, float], float]:
    columns = traffic.tiers
    keys = zip(*(columns[name].tolist() for name in ("tier", "tenant", "time_s")), strict=True)
    return dict(zip(keys, columns["bytes"].tolist(), strict=True))


def test_one_flow_over_two_links_by_hand() -> None:
    log = TrafficLog()
    log.stint(5.0, 45.0, log.uses([(0, 1.0), (1, 0.5)], tenant=1), 400.0)
    traffic = tables(log)
    assert on_links(traffic) == {
        (0, 0.0): 50.0, (0, 10.0): 100.0, (0, 20.0): 250.0,
        (1, 0.0): 25.0, (1, 10.0): 50.0, (1, 20.0): 125.0,
    }  # fmt: skip
    assert on_tiers(traffic) == {
        ("leaf", "grace", 0.0): 50.0, ("leaf", "grace", 10.0): 100.0, ("leaf", "grace", 20.0): 250.0,
        ("spine", "grace", 0.0): 25.0, ("spine", "grace", 10.0): 50.0, ("spine", "grace", 20.0): 125.0,
    }  # fmt: skip
    assert traffic.tiers["capacity_bytes_per_s"].tolist() == [4.0] * 6
    assert traffic.links["duration_s"].tolist() == [10.0, 10.0, 30.0] * 2


@pytest.mark.parametrize(
    ("start_s", "end_s", "bins"),
    [
        (0.0, 10.0, [0]),
        (10.0, 20.0, [1]),
        (10.0, 10.0, [1]),
        (0.0, 0.0, [0]),
        (51.0, 51.0, [3]),
        (20.0, 51.0, [2, 3]),
    ],
)
def test_a_stint_at_an_edge_is_in_no_bin_that_it_only_touches(
    start_s: float, end_s: float, bins: list[int]
) -> None:
    log = TrafficLog()
    log.stint(start_s, end_s, log.uses([(0, 1.0)], tenant=-1), 31.0)
    traffic = tables(log)
    assert traffic.links["time_s"].tolist() == [EDGES_S[b] for b in bins]
    assert math.fsum(traffic.links["bytes"]) == 31.0
    assert set(traffic.tiers["tenant"]) == {""}


def test_a_flow_on_a_clock_goes_as_fast_as_the_clock() -> None:
    # The clock moves 1 a second for 10 s, stands until 20 s, then moves 2 a second.
    log = TrafficLog()
    for time_s, total in ((0.0, 0.0), (10.0, 10.0), (20.0, 10.0), (51.0, 72.0)):
        log.clock(3, time_s, total)
    log.clock(8, 0.0, 0.0)
    log.clock(8, 51.0, 0.0)
    uses = log.uses([(0, 2.0)], tenant=0)
    log.stint_on_clock(3, 4.0, 50.0, uses, 5.0)
    log.stint_on_clock(8, 0.0, 51.0, uses, 5.0)
    assert on_links(tables(log)) == pytest.approx({(0, 0.0): 60.0, (0, 20.0): 600.0})


def test_a_clock_that_is_not_known_there_is_refused() -> None:
    for start_s, end_s in ((0.0, 8.0), (2.0, 9.0)):
        log = TrafficLog()
        log.clock(3, 1.0, 0.0)
        log.clock(3, 8.0, 7.0)
        log.stint_on_clock(3, start_s, end_s, log.uses([(0, 1.0)], tenant=0), 1.0)
        with pytest.raises(ValueError, match="clock 3 has no points"):
            tables(log)


def test_traffic_outside_the_run_is_refused_and_rounding_is_not() -> None:
    for start_s, end_s, wrong in (
        (0.0, 52.0, True),
        (9.0, 8.0, True),
        (0.0, math.nextafter(51.0, 60.0), False),
    ):
        log = TrafficLog()
        log.stint(start_s, end_s, log.uses([(0, 1.0)], tenant=0), 7.0)
        if wrong:
            with pytest.raises(ValueError, match="traffic"):
                tables(log)
        else:
            assert math.fsum(tables(log).links["bytes"]) == pytest.approx(7.0, rel=1e-15)


def exact(stints: list[Stint], weights: list[list[tuple[int, float]]]) -> dict[tuple[int, float], Fraction]:
    """Return bytes on links in bins in exact arithmetic."""
    found: dict[tuple[int, float], Fraction] = {}
    for start_s, end_s, uses, bytes_ in stints:
        for low, high in zip(EDGES_S.tolist(), EDGES_S[1:].tolist(), strict=False):
            inside = max(Fraction(0), Fraction(min(high, end_s)) - Fraction(max(low, start_s)))
            for link, weight in weights[uses]:
                amount = Fraction(bytes_) * Fraction(weight) * inside / (Fraction(end_s) - Fraction(start_s))
                found[link, low] = found.get((link, low), Fraction(0)) + amount
    return {key: value for key, value in found.items() if value}


times_s = st.floats(0.0, 51.0).map(lambda t: round(t, 3))


@given(
    st.lists(
        st.tuples(times_s, times_s, st.integers(0, 2), st.floats(1e-3, 1e15)).filter(lambda s: s[0] < s[1]),
        max_size=8,
    ),
    st.lists(
        st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 8.0)), max_size=4), min_size=3, max_size=3
    ),
)
def test_bins_equal_exact_fractions(stints: list[Stint], weights: list[list[tuple[int, float]]]) -> None:
    log = TrafficLog()
    idents = [log.uses(uses, tenant=0) for uses in weights]
    for start_s, end_s, uses, bytes_ in stints:
        log.stint(start_s, end_s, idents[uses], bytes_)
    found, expected = on_links(tables(log, links=5)), exact(stints, weights)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(float(value), rel=1e-13)


def random_log(seed: int, count: int) -> tuple[TrafficLog, float]:
    """Return a log of many stints, one by one and at once and on clocks, and the bytes they put on links."""
    draws, log, total = stream(seed, "traffic"), TrafficLog(), []
    weight = draws.uniform(0.1, 3.0, (20, 3))
    uses = [
        log.uses([(int(link), w) for link, w in zip(draws.integers(0, 30, 3), row, strict=True)], int(tenant))
        for row, tenant in zip(weight.tolist(), draws.integers(-1, 2, 20), strict=True)
    ]
    start_s = draws.uniform(0.0, 1e6, count)
    end_s = np.minimum(start_s + draws.exponential(3e4, count), 1e6)
    ident, bytes_ = draws.integers(0, 20, count), 10.0 ** draws.uniform(0.0, 14.0, count)
    for row in range(count // 2):
        log.stint(start_s[row], end_s[row], uses[ident[row]], bytes_[row])
    rest = slice(count // 2, None)
    log.stints(start_s[rest], end_s[rest], np.array(uses)[ident[rest]], bytes_[rest])
    total += (bytes_ * weight.sum(axis=1)[ident]).tolist()
    for clock in range(50):
        points_s = np.sort(np.concatenate([[0.0, 1e6], draws.uniform(0.0, 1e6, 40)]))
        shown = np.cumsum(draws.exponential(1.0, 42) * (draws.uniform(size=42) < 0.8))
        for time_s, value in zip(points_s.tolist(), shown.tolist(), strict=True):
            log.clock(clock, time_s, value)
        for _ in range(20):
            use = int(draws.integers(0, 20))
            low, high = sorted(draws.integers(0, 42, 2).tolist())
            log.stint_on_clock(clock, points_s[low], points_s[high], uses[use], 1e12)
            total.append(1e12 * (shown[high] - shown[low]) * weight[use].sum())
    return log, math.fsum(total)


def test_no_byte_is_lost_or_made() -> None:
    log, total = random_log(1, 20_000)
    traffic = tables(log, links=30, edges_s=np.linspace(0.0, 1e6, 1_400))
    assert math.fsum(traffic.links["bytes"]) == pytest.approx(total, rel=1e-12)
    assert math.fsum(traffic.tiers["bytes"]) == pytest.approx(total, rel=1e-12)


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = random_log(2, 3_000)
    edges_s = np.linspace(0.0, 1e6, 150)
    whole = on_links(tables(log, links=30, edges_s=edges_s))
    monkeypatch.setattr(traffic_bins, "_PARTS_AT_A_TIME", 100)
    monkeypatch.setattr(traffic_sums, "_TERMS_AT_A_TIME", 64)
    assert on_links(tables(log, links=30, edges_s=edges_s)) == pytest.approx(whole, rel=1e-12)


def test_tables_have_the_columns_and_the_order_of_the_schema() -> None:
    log, _ = random_log(3, 500)
    traffic = tables(log, links=30, edges_s=np.linspace(0.0, 1e6, 90))
    to_arrow(traffic.links, LINKS, "links")
    to_arrow(traffic.tiers, TIERS, "tiers")
    assert list(traffic.links) == [column.name for column in LINKS]
    assert list(traffic.tiers) == [column.name for column in TIERS]
    order = np.lexsort((traffic.links["time_s"], traffic.links["link"]))
    assert order.tolist() == list(range(len(order)))
    assert (traffic.links["bytes"] > 0.0).all()


def test_a_log_without_traffic_or_of_an_instant_has_no_rows() -> None:
    empty = tables(TrafficLog())
    assert empty.links["bytes"].size == empty.tiers["bytes"].size == 0
    assert empty.listed.names == ("link 0", "link 1")
    assert tables(TrafficLog(), edges_s=np.array([0.0])).listed.names == ()


@given(st.integers(1, 5_000))
def test_coarser_bins_keep_both_ends(bins: int) -> None:
    edges = coarser_edges_s(np.arange(bins + 1.0))
    assert (edges[0], edges[-1]) == (0.0, bins)
    assert MAX_BINS / 2 < len(edges) - 1 <= MAX_BINS or len(edges) - 1 == bins
    assert (np.diff(edges) > 0.0).all()


def test_of_a_large_hall_the_busiest_links_are_listed_and_the_tiers_count_all() -> None:
    links, log = MAX_LINKS + 100, TrafficLog()
    for link in range(links):
        log.stint(0.0, 10.0, log.uses([(link, 1.0)], tenant=0), 1.0 + (link * 7) % links)
    traffic = tables(log, links=links)
    assert len(traffic.listed.names) == MAX_LINKS
    assert traffic.listed.left_out == 100
    assert traffic.links["bytes"].min() == 101.0
    of_link = {int(name.split()[1]): i for i, name in enumerate(traffic.listed.names)}
    for link, place in of_link.items():
        assert on_links(traffic)[place, 0.0] == 1.0 + (link * 7) % links
    assert math.fsum(traffic.tiers["bytes"]) == links * (links + 1) / 2


def test_an_infinite_link_is_never_busy() -> None:
    log = TrafficLog()
    for link in range(MAX_LINKS + 1):
        log.stint(0.0, 10.0, log.uses([(link, 1.0)], tenant=0), 5.0 if link else 1e30)
    capacity = np.full(MAX_LINKS + 1, 4.0)
    capacity[0] = np.inf
    names = [str(link) for link in range(MAX_LINKS + 1)]
    traffic = log.tables(EDGES_S, ["all"] * len(names), capacity, ["ada"], names=names)
    assert "0" not in traffic.listed.names
    assert np.isinf(traffic.tiers["capacity_bytes_per_s"]).all()


def test_many_tenants_are_told_together() -> None:
    log, tenants = TrafficLog(), [f"tenant {i}" for i in range(MAX_TENANTS + 5)]
    for tenant in range(-1, len(tenants)):
        log.stint(0.0, 10.0, log.uses([(0, 1.0)], tenant), 100.0 + (tenant * 11) % 37)
    traffic = log.tables(EDGES_S, ["leaf"], [4.0], tenants, names=["up"])
    assert traffic.tiers["tenant"].size == MAX_TENANTS + 2
    told = on_tiers(traffic)
    assert told["leaf", OTHER_TENANTS, 0.0] == sum(100.0 + i for i in range(5))
    assert told["leaf", "", 0.0] == 100.0 + (-11) % 37
