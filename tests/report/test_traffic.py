"""The heat map and the table of tiers, against what was put in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dcsim.report.sections import tiers_table
from dcsim.report.traffic import MAX_ROWS, busiest_rows, links_figure, tier_uses
from dcsim.results.links import ListedLinks, no_links, no_tiers

LISTED = ListedLinks(
    names=("a up", "b up", "c up", "<fs>"),
    tiers=("server", "server", "server", "storage"),
    capacity_bytes_per_s=np.array([10.0, 10.0, 10.0, 100.0]),
)
# Bins of 10 s up to 30 s, then one of 5 s; nothing moves from 10 to 20 s.
LINKS = {
    "time_s": np.array([0.0, 20.0, 30.0, 0.0, 20.0]),
    "duration_s": np.array([10.0, 10.0, 5.0, 10.0, 10.0]),
    "link": np.array([0, 0, 0, 2, 3], dtype=np.int32),
    "bytes": np.array([50.0, 100.0, 25.0, 10.0, 300.0]),
}
TIERS = {
    "time_s": np.array([0.0, 20.0, 30.0, 20.0, 20.0]),
    "duration_s": np.array([10.0, 10.0, 5.0, 10.0, 10.0]),
    "tier": np.array(["server", "server", "server", "server", "storage"], dtype=object),
    "tenant": np.array(["ada", "ada", "ada", "grace", ""], dtype=object),
    "bytes": np.array([60.0, 20.0, 25.0, 80.0, 300.0]),
    "capacity_bytes_per_s": np.array([30.0, 30.0, 30.0, 30.0, 100.0]),
    "unit": np.array(["B", "B", "B", "B", "operations"], dtype=object),
}


def test_the_heat_map_shows_each_link_in_each_bin() -> None:
    figure = links_figure(LINKS, LISTED, 35.0)
    (trace,) = figure["data"]
    assert trace["x"] == [0.0, 10.0, 20.0, 30.0, 35.0]
    assert trace["y"] == ["<b>server</b>", "a up", "c up", "<b>storage</b>", "&lt;fs&gt;"]
    assert trace["z"] == [
        [None] * 4, [0.5, 0.0, 1.0, 0.5], [0.1, 0.0, 0.0, 0.0], [None] * 4, [0.0, 0.0, 0.3, 0.0],
    ]  # fmt: skip
    assert (trace["zmin"], trace["zmax"], figure["note"]) == (0.0, 1.0, "")


def test_the_table_sums_up_each_tier() -> None:
    server, storage = tier_uses(LINKS, TIERS, LISTED, 35.0)
    assert (server.tier, server.busiest_link, server.busiest_link_peak) == ("server", "a up", 1.0)
    assert (server.carried_bytes, server.top_tenant) == (185.0, "ada")
    assert server.mean == pytest.approx(185.0 / (30.0 * 35.0))
    assert server.peak == pytest.approx(100.0 / 300.0)  # both tenants from 20 to 30 s
    assert server.top_fraction == pytest.approx(105.0 / 185.0)
    assert (storage.top_tenant, storage.top_fraction, storage.peak) == ("", 1.0, 0.3)
    page = tiers_table({"<arm>": [server, storage]})
    assert "&lt;arm&gt;" in page
    assert "nobody, 100.0 %" in page
    assert "&lt;fs&gt;, 30.0 %" in page
    assert "300 operations" in page


def test_a_run_without_traffic_has_an_empty_map_that_says_so() -> None:
    figure = links_figure(no_links(), LISTED, 35.0)
    assert figure["data"] == []
    assert figure["note"] == "No link carried anything."
    assert tier_uses(no_links(), no_tiers(), ListedLinks(), 35.0) == []
    assert links_figure(no_links(), ListedLinks(), 0.0)["data"] == []


def test_of_many_links_each_tier_keeps_its_busiest() -> None:
    count = 200
    listed = ListedLinks(
        names=(*(f"server {i}" for i in range(count)), "spine", "files"),
        tiers=("server",) * count + ("spine", "storage"),
        capacity_bytes_per_s=np.full(count + 2, 1.0),
        left_out=7,
    )
    carried = np.append((np.arange(count) * 37 % count + 1.0) / count, [1e-3, 1e-6])
    links: dict[str, npt.NDArray[Any]] = {
        "time_s": np.zeros(count + 2),
        "duration_s": np.ones(count + 2),
        "link": np.arange(count + 2, dtype=np.int32),
        "bytes": carried,
    }
    rows = busiest_rows(links, listed)
    assert len(rows) == MAX_ROWS
    assert rows == sorted(rows)
    assert rows[-2:] == [count, count + 1]
    busiest = np.sort(np.argsort(-carried[:count])[: MAX_ROWS - 2])
    assert rows[:-2] == busiest.tolist()
    assert links_figure(links, listed, 1.0)["note"] == "40 of 209 links that carried anything are drawn."
