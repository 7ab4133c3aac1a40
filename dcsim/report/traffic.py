"""What links and tiers carried, for the page: a heat map of links over time and a row a tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.report.display import scale_for
from dcsim.report.figures import plain, rounded
from dcsim.results.links import ListedLinks

__all__ = ["MAX_ROWS", "TierUse", "busiest_rows", "links_figure", "tier_uses"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = Mapping[str, npt.NDArray[Any]]

MAX_ROWS = 40
"""Links of a heat map that a person can read."""


@dataclass(frozen=True, slots=True)
class TierUse:
    """What one tier of links carried in a run."""

    tier: str
    mean: float
    """Utilisation over the whole run, 0..1."""
    peak: float
    """Utilisation in its busiest bin."""
    busiest_link: str
    busiest_link_peak: float
    """Of the link whose busiest bin is the busiest; NaN where none is listed."""
    carried_bytes: float
    """Or operations, where `unit` says so."""
    unit: str
    """B or operations."""
    top_tenant: str
    """Whose traffic is most; empty: nobody's."""
    top_fraction: float


def tier_uses(links: Table, tiers: Table, listed: ListedLinks, end_s: float) -> list[TierUse]:
    """Return one row a tier that carried anything, in the order of the tiers table.

    Args:
        links: columns of schema.LINKS.
        tiers: columns of schema.TIERS.
        listed: what the links table counts on.
        end_s: end of the run in s.
    """
    peaks = _peaks(links, listed)
    found = []
    for tier in dict.fromkeys(tiers["tier"].tolist()):
        mine = np.flatnonzero(tiers["tier"] == tier)
        bytes_, capacity = tiers["bytes"][mine], float(tiers["capacity_bytes_per_s"][mine[0]])
        start_s, bin_ = np.unique(tiers["time_s"][mine], return_inverse=True)
        duration_s = np.zeros(len(start_s))
        duration_s[bin_] = tiers["duration_s"][mine]
        peak = float((np.bincount(bin_, weights=bytes_) / duration_s).max()) / capacity
        tenants, of = np.unique(tiers["tenant"][mine].astype(str), return_inverse=True)
        by_tenant = np.bincount(of, weights=bytes_)
        top, whole = int(by_tenant.argmax()), float(bytes_.sum())
        own = np.flatnonzero(np.array(listed.tiers) == tier)
        link = int(own[peaks[own].argmax()]) if len(own) else -1
        found.append(
            TierUse(
                tier=tier,
                mean=whole / (capacity * end_s),
                peak=peak,
                busiest_link=listed.names[link] if link >= 0 else "",
                busiest_link_peak=float(peaks[link]) if link >= 0 else np.nan,
                carried_bytes=whole,
                unit=str(tiers["unit"][mine[0]]),
                top_tenant=str(tenants[top]),
                top_fraction=float(by_tenant[top]) / whole,
            )
        )
    return found


def _peaks(links: Table, listed: ListedLinks) -> Floats:
    """Return the utilisation of each listed link in its busiest bin."""
    peaks = np.zeros(len(listed.names))
    used = links["bytes"] / (links["duration_s"] * listed.capacity_bytes_per_s[links["link"]])
    np.maximum.at(peaks, links["link"], used)
    return peaks


def busiest_rows(links: Table, listed: ListedLinks, limit: int = MAX_ROWS) -> list[int]:
    """Return the links to draw: by turns the busiest of each tier that is left, then sorted by tier.

    So a tier of few links is seen beside one of thousands. Busy is who carried most of what it could have.
    """
    carried = np.bincount(links["link"], weights=links["bytes"], minlength=len(listed.names))
    load = carried / listed.capacity_bytes_per_s
    order = {tier: place for place, tier in enumerate(dict.fromkeys(listed.tiers))}
    turn = np.zeros(len(load), dtype=np.int64)
    tier = np.array([order[name] for name in listed.tiers], dtype=np.int64)
    for place in range(len(order)):
        mine = np.flatnonzero(tier == place)
        turn[mine[np.argsort(-load[mine], kind="stable")]] = np.arange(len(mine))
    used = np.flatnonzero(carried > 0.0)
    chosen = used[np.lexsort((used, -load[used], turn[used]))][:limit]
    return [int(row) for row in chosen[np.lexsort((chosen, tier[chosen]))]]


def links_figure(links: Table, listed: ListedLinks, end_s: float) -> dict[str, Any]:
    """Return a heat map: a row a link, grouped by tier, the colour its utilisation.

    Args:
        links: columns of schema.LINKS.
        listed: what the table counts on.
        end_s: end of the run in s.
    """
    time = scale_for("makespan_s", [end_s])
    edges_s = _edges_s(links, end_s)
    rows = busiest_rows(links, listed)
    labels: list[str] = []
    z: list[list[float | None]] = []
    heading = ""
    for row, cells in zip(rows, _utilisation(links, listed, rows, edges_s), strict=True):
        if listed.tiers[row] != heading:
            heading = listed.tiers[row]
            labels.append(f"<b>{plain(heading)}</b>")
            z.append([None] * len(cells))
        labels.append(plain(listed.names[row]))
        z.append([round(float(cell), 3) for cell in cells])
    trace = {
        "type": "heatmap",
        "x": rounded(edges_s / time.factor),
        "y": labels,
        "z": z,
        "zmin": 0.0,
        "zmax": 1.0,
        "ygap": 1,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}, %{{x}} {time.unit}: %{{z:.1%}}<extra></extra>",
        "colorbar": {
            "title": {"text": "Utilisation", "side": "top"},
            "tickformat": ".0%",
            "outlinewidth": 0,
            "thickness": 12,
            "orientation": "h",
            "len": 0.35,
            "x": 0.0,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
        },
        "meta": {"slot": "text"},
    }
    layout = {
        "height": 170 + 20 * max(len(labels), 6),
        "hovermode": "closest",
        "xaxis": {"title": {"text": f"Time ({time.unit})"}, "showgrid": False, "zeroline": False},
        "yaxis": {
            "type": "category",
            "autorange": "reversed",
            "tickmode": "linear",
            "dtick": 1,
            "showgrid": False,
            "zeroline": False,
        },
    }
    return {"data": [trace] if rows else [], "layout": layout, "note": _note(len(rows), links, listed)}


def _edges_s(links: Table, end_s: float) -> Floats:
    """Return the edges of all bins; bins without traffic have no rows and are put between the others."""
    start_s, first = np.unique(links["time_s"], return_index=True)
    stop_s = start_s + links["duration_s"][first]
    after = np.append(start_s[1:], end_s)[: len(start_s)]
    gaps = stop_s[stop_s < after - 1e-6 * links["duration_s"][first]]
    return np.unique(np.concatenate([[0.0], start_s, gaps, [end_s]]))


def _utilisation(links: Table, listed: ListedLinks, rows: Sequence[int], edges_s: Floats) -> Floats:
    """Return (rows, bins) of bytes over what the link could have carried."""
    place = np.full(len(listed.names), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    shown = np.flatnonzero(place[links["link"]] >= 0)
    link = links["link"][shown]
    used = links["bytes"][shown] / (links["duration_s"][shown] * listed.capacity_bytes_per_s[link])
    cells = np.zeros((len(rows), len(edges_s) - 1))
    cells[place[link], np.searchsorted(edges_s, links["time_s"][shown])] = used
    return cells


def _note(drawn: int, links: Table, listed: ListedLinks) -> str:
    used = len(np.unique(links["link"])) + listed.left_out
    if not used:
        return "No link carried anything."
    return "" if drawn == used else f"{drawn:,} of {used:,} links that carried anything are drawn."
