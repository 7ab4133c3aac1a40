"""What a site pays for a run, spread over its settlement intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.grid import Grid
from dcsim.facility.tariff import DemandLine, Tariff
from dcsim.simulation.site_ledger import SiteFlows
from dcsim.spec.onsite import OnsiteSpec

__all__ = ["RunBill", "demand_of", "run_bill"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunBill:
    """USD; `total_usd` is the sum of `interval_usd` and of its parts."""

    energy_usd: float
    demand_usd: float
    fixed_usd: float
    wear_usd: float
    """Of the battery's cells."""
    export_credit_usd: float
    """Taken off."""
    interval_usd: Floats
    """(M,) energy less credit where it flows, demand charges where they are set, fixed charges and wear by time."""
    demand_lines: tuple[DemandLine, ...] = ()

    @property
    def total_usd(self) -> float:
        """What the run costs."""
        return math.fsum(
            [self.energy_usd, self.demand_usd, self.fixed_usd, self.wear_usd, -self.export_credit_usd]
        )


def demand_of(grid: Grid, onsite: OnsiteSpec, edges_s: Floats) -> tuple[Floats, Ints, Ints]:
    """Return (M,) price of another watt of peak, billing window and metering block of settlement intervals.

    Args:
        grid: whose tariff has demand charges, if it has a tariff.
        onsite: how long a settlement interval is without one.
        edges_s: (M + 1,).
    """
    count = max(0, len(edges_s) - 1)
    if grid.tariff is None:
        block = np.floor(edges_s[:-1] / onsite.settlement_interval_s).astype(np.int64)
        return np.zeros(count), np.zeros(count, dtype=np.int64), block
    where = grid.tariff.windows(edges_s)
    block = _blocks(grid.tariff, edges_s)
    return where.demand_price_usd_per_w, where.window, block


def _blocks(tariff: Tariff, edges_s: Floats) -> Ints:
    """Return (M,) the metering interval of the tariff in which each settlement interval lies."""
    coarse = tariff.edges_s(float(edges_s[-1]))
    middle_s = 0.5 * (edges_s[:-1] + edges_s[1:])
    return np.asarray(np.searchsorted(coarse, middle_s, side="right") - 1, dtype=np.int64)


def run_bill(grid: Grid, onsite: OnsiteSpec, flows: SiteFlows, wear_usd: float) -> RunBill:
    """Return the bill of a run.

    Args:
        grid: its tariff, or its price.
        onsite: price of exports where the grid has none.
        flows: of the run.
        wear_usd: of the battery.
    """
    edges_s, widths = flows.edges_s, flows.duration_s
    by_time = widths / float(edges_s[-1]) if len(widths) else widths
    if grid.tariff is not None and len(widths):
        return _by_tariff(grid.tariff, flows, wear_usd, by_time)
    middle_s = 0.5 * (edges_s[:-1] + edges_s[1:])
    paid = onsite.export_price_usd_per_j if grid.export_price is None else grid.export_price.at(middle_s)
    energy = flows.import_w * widths * grid.price.at(middle_s)
    credit = flows.export_w * widths * paid
    return RunBill(
        energy_usd=math.fsum(energy.tolist()),
        demand_usd=0.0,
        fixed_usd=0.0,
        wear_usd=wear_usd,
        export_credit_usd=math.fsum(credit.tolist()),
        interval_usd=np.asarray(energy - credit + wear_usd * by_time),
    )


def _by_tariff(tariff: Tariff, flows: SiteFlows, wear_usd: float, by_time: Floats) -> RunBill:
    """Bill the means over the tariff's metering intervals, and spread each one's bill over its parts."""
    edges_s, widths = flows.edges_s, flows.duration_s
    coarse = tariff.edges_s(float(edges_s[-1]))
    block = _blocks(tariff, edges_s)
    lengths = np.diff(coarse)
    bought = np.bincount(block, weights=flows.import_w * widths, minlength=len(lengths))
    sold = np.bincount(block, weights=flows.export_w * widths, minlength=len(lengths))
    bill = tariff.bill(bought / lengths, sold / lengths, coarse)
    of_block = bought[block]
    share = np.where(of_block > 0.0, flows.import_w * widths / np.where(of_block > 0.0, of_block, 1.0), 0.0)
    share = np.where(of_block > 0.0, share, widths / lengths[block])
    return RunBill(
        energy_usd=bill.energy_usd,
        demand_usd=bill.demand_usd,
        fixed_usd=bill.fixed_usd,
        wear_usd=wear_usd,
        export_credit_usd=bill.export_credit_usd,
        interval_usd=np.asarray(bill.by_interval_usd[block] * share + wear_usd * by_time),
        demand_lines=bill.demand_lines,
    )
