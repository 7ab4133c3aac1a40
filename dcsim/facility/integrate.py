"""Exact integration of the facility over a power log, in chunks.

Between breakpoints (events, weather, carbon, price, set points, edges of bins) everything outside is constant.
The hall's air relaxes exactly (`Hall`); plant and power chain see the mean heat of each interval, which is
constant to a few per cent: after a jump of power an interval is cut where the air is still on its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.facility.building import Building
from dcsim.facility.cooling_plant import PlantLoad, PlantOutput
from dcsim.facility.grid import Grid
from dcsim.facility.series import StepSeries
from dcsim.facility.set_points import SetPoints
from dcsim.facility.weather import WeatherSeries

__all__ = ["QUANTITIES", "SETTLED", "PowerLog", "Totals", "integrate"]

Floats = npt.NDArray[np.float64]

QUANTITIES = (
    "it_j", "cooling_j", "air_mover_j", "loss_j", "auxiliary_j", "facility_j", "carbon_kg", "cost_usd", "heat_in_j",
    "heat_removed_j", "carbon_intensity_s", "price_s", "hall_temperature_s", "supply_temperature_s", "flow_s",
    "dry_bulb_s", "wet_bulb_s", "compressor_j", "pump_j", "tower_fan_j", "other_cooling_j", "rejected_j", "reused_j",
    "evaporated_l", "water_l", "free_s",
)  # fmt: skip
"""What is integrated over each bin."""
SETTLED = ("it_j", "facility_j", "carbon_kg", "cost_usd", "water_l")
"""Integrals that are also told by settlement interval."""
_CHUNK_EVENTS = 65_536
_CHUNK_SPAN_S = 4 * 365 * 86_400.0
"""Bounds the hourly breakpoints of a chunk where events are rare."""
_CUTS = (0.25, 0.6, 1.2, 2.5)
"""Where an interval after a jump of power is cut, in time constants of the hall."""
_JUMP = 0.01
"""Of peak IT power: a smaller change moves the plant too little to matter."""


@dataclass(frozen=True)
class PowerLog:
    """IT power that holds from each time to the next, and what to sum it over."""

    time_s: Floats
    """(N,) non-decreasing, the first 0."""
    it_power_w: Floats
    """(N,)."""
    end_s: float
    edges_s: Floats
    """(B + 1,) ascending from 0 to `end_s`."""
    set_points: SetPoints
    tree_loss: StepSeries | None
    """W lost by stages in racks and PDUs; None: as if these were evenly loaded."""
    settlement_edges_s: Floats
    """(M + 1,) ascending from 0 to `end_s`: what is settled or attributed is also summed over these."""


@dataclass
class Totals:
    """Sums over the run, by bin, and extremes."""

    bins: dict[str, Floats]
    """(B,) integrals over each bin."""
    stage_losses_j: Floats
    """By stage of the chain."""
    settled: dict[str, Floats]
    """(M,) the integrals of `SETTLED` over each settlement interval."""
    hall_deg_c: float
    """State: the hall's air at the current time."""
    start_deg_c: float
    """The same at t = 0."""
    peak_outputs_w: Floats
    """By stage of the chain."""
    peak_facility_w: float = 0.0
    peak_heat_w: float = 0.0
    peak_hall_deg_c: float = -np.inf
    seconds_above_capacity: float = 0.0


@dataclass(frozen=True)
class _Intervals:
    """Consecutive intervals on which everything outside is constant."""

    begins_s: Floats
    duration_s: Floats
    it_w: Floats

    @property
    def middle_s(self) -> Floats:
        """Because a breakpoint of a repeating series may be rounded to either side of its step."""
        return np.asarray(self.begins_s + 0.5 * self.duration_s)


def integrate(
    building: Building, weather: WeatherSeries, grid: Grid, log: PowerLog, start_deg_c: float
) -> Totals:
    """Return the sums over [0, log.end_s] of a hall whose air is at `start_deg_c` at t = 0.

    The log is as checked by `Meter.run`. Memory is bounded by the chunk, time is linear.
    """
    totals = Totals(
        bins={name: np.zeros(len(log.edges_s) - 1) for name in QUANTITIES},
        stage_losses_j=np.zeros(len(building.stages)),
        settled={name: np.zeros(len(log.settlement_edges_s) - 1) for name in SETTLED},
        hall_deg_c=start_deg_c,
        start_deg_c=start_deg_c,
        peak_outputs_w=np.zeros(len(building.stages)),
    )
    for begins, ends, power in _chunks(building, weather, grid, log):
        keep = ends > begins
        intervals = _Intervals(begins[keep], (ends - begins)[keep], power[keep])
        _add(totals, building, weather, grid, log, intervals)
    return totals


def _chunks(
    building: Building, weather: WeatherSeries, grid: Grid, log: PowerLog
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield (begins, ends, IT power) of the merged intervals, a bounded number at a time."""
    at_s = 0.0
    while at_s < log.end_s:
        # The event that holds at at_s; of simultaneous ones the last, so the next is later.
        first = int(np.searchsorted(log.time_s, at_s, side="right")) - 1
        last = first + _CHUNK_EVENTS
        event_s = float(log.time_s[last]) if last < len(log.time_s) else log.end_s
        until_s = min(event_s, at_s + _CHUNK_SPAN_S)
        events = slice(first, max(int(np.searchsorted(log.time_s, until_s, side="left")), first + 1))
        times, power = log.time_s[events].copy(), log.it_power_w[events]
        times[0] = at_s
        outside = (
            weather.breakpoints(at_s, until_s),
            grid.breakpoints(at_s, until_s),
            log.set_points.breakpoints(at_s, until_s),
            np.zeros(0) if log.tree_loss is None else log.tree_loss.breakpoints(at_s, until_s),
            _within(log.edges_s, at_s, until_s),
            _within(log.settlement_edges_s, at_s, until_s),
            _cuts(log, events, building),
        )
        merged = np.unique(np.concatenate(outside))
        extra = merged[(merged > at_s) & (merged < until_s)]
        places = np.searchsorted(times, extra, side="right")
        starts = np.insert(times, places, extra)
        yield starts, np.append(starts[1:], until_s), np.insert(power, places, power[places - 1])
        at_s = until_s


def _within(edges: Floats, from_s: float, to_s: float) -> Floats:
    return edges[slice(*np.searchsorted(edges, [from_s, to_s]).tolist())]


def _cuts(log: PowerLog, events: slice, building: Building) -> Floats:
    """Return instants after jumps of power, of some events, at which the hall's air is still on its way."""
    tau_s = building.time_constant_s
    times, power = log.time_s[events], log.it_power_w[events]
    ends = log.time_s[events.start + 1 : events.stop + 1]
    next_s = np.append(ends, log.end_s) if len(ends) < len(times) else ends
    before = log.it_power_w[events.start - 1] if events.start else np.inf  # the first event is a jump
    jumps = np.abs(np.diff(power, prepend=before)) > _JUMP * building.peak_it_w
    after = np.flatnonzero(jumps & (next_s - times > _CUTS[0] * tau_s))
    cuts = [times[after] + cut * tau_s for cut in _CUTS]
    kept = [instants[instants < next_s[after]] for instants in cuts]
    return np.sort(np.concatenate(kept))


def _add(
    totals: Totals,
    building: Building,
    weather: WeatherSeries,
    grid: Grid,
    log: PowerLog,
    intervals: _Intervals,
) -> None:
    """Add consecutive intervals, and move the state of the hall to the end of the last."""
    dt, middle_s = intervals.duration_s, intervals.middle_s
    outdoors = weather.outdoors(middle_s)
    tree_loss_w = None if log.tree_loss is None else log.tree_loss.at(middle_s)
    released_w = building.released_w(intervals.it_w, tree_loss_w)
    supply_deg_c, flow = log.set_points.at(middle_s, building.plant.flow_for(released_w))
    air_mover_w = building.plant.air_mover_w(released_w, flow)
    heat_w = released_w + air_mover_w
    hall = building.hall.relax(totals.hall_deg_c, heat_w, supply_deg_c, flow, dt)
    totals.hall_deg_c = float(hall.end_deg_c[-1])
    it_fraction = np.divide(intervals.it_w, heat_w, out=np.zeros_like(heat_w), where=heat_w > 0.0)
    load = PlantLoad(hall.removed_w, it_fraction, supply_deg_c, flow)
    output = building.plant.operate(load, outdoors)
    cooling_w = output.power_w + air_mover_w
    flows = building.chain(intervals.it_w, cooling_w, tree_loss_w)
    loss_w = _losses(totals, flows, dt)
    facility_w = intervals.it_w + cooling_w + loss_w + building.auxiliary_w
    rates = {
        "it_j": intervals.it_w,
        "cooling_j": cooling_w,
        "air_mover_j": air_mover_w,
        "loss_j": loss_w,
        "auxiliary_j": np.full_like(dt, building.auxiliary_w),
        "facility_j": facility_w,
        "carbon_kg": facility_w * grid.carbon.at(middle_s),
        "cost_usd": facility_w * grid.price.at(middle_s),
        "heat_in_j": heat_w,
        "heat_removed_j": hall.removed_w,
        "carbon_intensity_s": grid.carbon.at(middle_s),
        "price_s": grid.price.at(middle_s),
        "hall_temperature_s": hall.mean_deg_c,
        "supply_temperature_s": supply_deg_c,
        "flow_s": flow,
        "dry_bulb_s": outdoors.dry_bulb_deg_c,
        "wet_bulb_s": outdoors.wet_bulb_deg_c,
        **_plant_rates(output),
    }
    _sum_up(totals, log, rates, middle_s, dt)
    totals.peak_facility_w = max(totals.peak_facility_w, float(facility_w.max()))
    totals.peak_heat_w = max(totals.peak_heat_w, float(heat_w.max()))
    totals.peak_hall_deg_c = max(totals.peak_hall_deg_c, float(hall.end_deg_c.max()))
    totals.seconds_above_capacity += float(hall.over_s.sum())


def _plant_rates(output: PlantOutput) -> dict[str, Floats]:
    """Return what the plant draws and gives off, by name of its integral."""
    return {
        "compressor_j": output.compressor_w,
        "pump_j": output.pump_w,
        "tower_fan_j": output.tower_fan_w,
        "other_cooling_j": output.other_w,
        "rejected_j": output.rejected_w,
        "reused_j": output.reused_w,
        "evaporated_l": output.evaporated_l_per_s,
        "water_l": output.water_l_per_s,
        "free_s": output.free_fraction,
    }


def _losses(totals: Totals, flows: Sequence[tuple[Floats, Floats]], duration_s: Floats) -> Floats:
    """Return what all stages lose, W, and note the peaks and losses of each."""
    loss_w = np.zeros_like(duration_s)
    for place, (output, loss) in enumerate(flows):
        totals.peak_outputs_w[place] = max(totals.peak_outputs_w[place], float(output.max()))
        totals.stage_losses_j[place] += float(loss @ duration_s)
        loss_w = loss_w + loss
    return loss_w


def _sum_up(
    totals: Totals, log: PowerLog, rates: Mapping[str, Floats], middle_s: Floats, duration_s: Floats
) -> None:
    """Add rates times durations to the bins; the last edge belongs to the last bin."""
    _add_binned(totals.bins, log.edges_s, rates, middle_s, duration_s)
    _add_binned(
        totals.settled, log.settlement_edges_s, {name: rates[name] for name in SETTLED}, middle_s, duration_s
    )


def _add_binned(
    sums: dict[str, Floats],
    edges_s: Floats,
    rates: Mapping[str, Floats],
    middle_s: Floats,
    duration_s: Floats,
) -> None:
    bins = len(edges_s) - 1
    index = np.minimum(np.searchsorted(edges_s, middle_s, side="right") - 1, bins - 1)
    for name, rate in rates.items():
        sums[name] += np.bincount(index, weights=rate * duration_s, minlength=bins)
