"""The index of free accelerators says what a look at every server would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import GuardError
from dcsim.facility.free_index import FreeIndex


def naive(free):
    """All answers, by looking at every server."""
    most = max(free, default=0)
    answers: dict[Any, Any] = {
        "total": sum(free),
        "by_room": [s for s, _ in sorted(enumerate(free), key=lambda pair: (-pair[1], pair[0])) if free[s]],
        "in_order": [s for s, count in enumerate(free) if count],
        "roomiest": free.index(most) if most else -1,
    }
    for need in range(1, 10):
        fitting = [(count, s) for s, count in enumerate(free) if count >= need]
        answers["tightest", need] = min(fitting, default=(0, -1))[1]
        answers["lowest", need] = min((s for _, s in fitting), default=-1)
        kept = [(count, s) for count, s in fitting if s % 3]
        answers["tightest_but", need] = min(kept, default=(0, -1))[1]
        for start in (0, 1, len(free) // 2, len(free), len(free) + 200):
            found = [s for s, count in enumerate(free) if count == need and s >= start]
            answers["find_free", need, start] = min(found, default=-1)
    return answers


def asked(index):
    """The same from the index."""
    answers: dict[Any, Any] = {
        "total": index.total,
        "by_room": list(index.by_room()),
        "in_order": list(index.in_order()),
        "roomiest": index.roomiest(),
    }
    third = set(range(0, len(index), 3))
    for need in range(1, 10):
        answers["tightest", need] = index.tightest(need)
        answers["lowest", need] = index.lowest(need)
        answers["tightest_but", need] = index.tightest_but(need, third)
        for start in (0, 1, len(index) // 2, len(index), len(index) + 200):
            answers["find_free", need, start] = index.find_free(need, start)
    return answers


@given(
    free=st.one_of(
        st.lists(st.integers(0, 8), max_size=12),
        # Words of servers that are empty, full and at the edge of the next.
        st.tuples(st.sampled_from((126, 127, 128, 129, 255, 256, 300)), st.integers(0, 8)).map(
            lambda pair: [pair[1]] * pair[0]
        ),
    ),
    data=st.data(),
)
def test_it_answers_like_a_look_at_every_server(free, data):
    index, total = FreeIndex(free), list(free)
    assert asked(index) == naive(free)
    for _ in range(data.draw(st.integers(0, 12)) if free else 0):
        server = data.draw(st.integers(0, len(free) - 1))
        count = data.draw(st.integers(0, total[server]))
        change = count - free[server]
        if change > 0:
            index.give(server, change)
        elif change < 0:
            index.take(server, -change)
        free[server] = count
    assert index.free == free
    assert asked(index) == naive(free)


def test_taking_more_than_is_free_is_refused_and_changes_nothing():
    index = FreeIndex([1, 3])
    with pytest.raises(GuardError, match="2 accelerators wanted, 1 free"):
        index.take(0, 2)
    assert (index.free, index.total, index.tightest(1)) == ([1, 3], 4, 0)
    with pytest.raises(GuardError, match="below zero"):
        FreeIndex([-1])


def test_a_decision_among_many_servers_looks_at_few(monkeypatch):
    index = FreeIndex([0] * 50_000 + [8] * 50_000)

    def look(index, level):
        raise AssertionError(f"looked at all servers with {level} free")

    monkeypatch.setattr(FreeIndex, "_members", look)
    assert index.tightest(3) == index.lowest(1) == index.roomiest() == 50_000
