"""The facility's account for people: which lines it has, what they are called, and in which unit they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcsim.results.schema import ACCOUNT

__all__ = [
    "BILL",
    "CARBON",
    "ENERGY",
    "LIMITS",
    "MEANING",
    "ONSITE",
    "STANDARDS",
    "WATER",
    "Line",
    "lines_of",
]

Account = Mapping[str, float]

MEANING = {column.name: column.meaning for column in ACCOUNT}
"""Column of schema.ACCOUNT -> what it means."""
_SITE = ("energy_solar_j", "energy_charged_j", "energy_export_j")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the account."""

    column: str
    """Of schema.ACCOUNT."""
    label: str
    part: bool = False
    """Whether it is a part of the line above."""
    needs: tuple[str, ...] = ()
    """Columns of which one must be there and not zero, or the line says nothing; none: always shown."""

    @property
    def heading(self) -> str:
        """The label as the head of a column.

        >>> Line("cost_usd", "whole bill").heading
        'Whole bill'
        """
        return self.label[:1].upper() + self.label[1:]


def _if_any(column: str, label: str, *, part: bool = False) -> Line:
    return Line(column, label, part, (column,))


ENERGY = (
    Line("energy_it_j", "IT"),
    Line("energy_cooling_j", "cooling"),
    _if_any("energy_air_mover_j", "air handlers", part=True),
    _if_any("energy_compressor_j", "compressors", part=True),
    _if_any("energy_pump_j", "pumps", part=True),
    _if_any("energy_tower_fan_j", "fans of towers and dry coolers", part=True),
    _if_any("energy_other_cooling_j", "sprays, humidifiers, controls", part=True),
    Line("energy_loss_j", "conversion losses"),
    _if_any("energy_auxiliary_j", "auxiliary"),
    Line("energy_facility_j", "facility, at the meter"),
)
ONSITE = (
    Line("energy_import_j", "bought from the grid", needs=_SITE),
    _if_any("energy_export_j", "sold to the grid"),
    _if_any("energy_solar_j", "made by the sun"),
    _if_any("energy_curtailed_j", "of that, without use", part=True),
    _if_any("energy_charged_j", "into the battery"),
    _if_any("energy_discharged_j", "out of the battery"),
    Line(
        "energy_stored_change_j",
        "change of what it stores",
        needs=("energy_charged_j", "energy_discharged_j"),
    ),
)
STANDARDS = (
    Line("pue", "PUE"),
    Line("ppue_cooling", "partial PUE, cooling"),
    Line("ppue_power", "partial PUE, power chain"),
    Line("wue_l_per_j", "WUE"),
    Line("cue_kg_per_j", "CUE"),
    Line("erf", "ERF", needs=("heat_reused_j",)),
    Line("ere", "ERE", needs=("heat_reused_j",)),
    Line("iteu_sv", "ITEUsv"),
    Line("free_cooling_fraction", "free cooling"),
)
WATER = (
    Line("water_l", "water taken in"),
    Line("evaporated_l", "of that, evaporated", part=True),
    _if_any("heat_reused_j", "heat reused"),
)
CARBON = (
    Line("carbon_kg", "operational, location-based"),
    Line("carbon_market_kg", "operational, market-based"),
    _if_any("carbon_marginal_kg", "at the marginal intensity"),
    _if_any("carbon_lifecycle_kg", "at the life-cycle intensity"),
    Line("carbon_embodied_kg", "embodied, the run's part"),
)
BILL = (
    Line("cost_energy_usd", "energy"),
    _if_any("cost_demand_usd", "demand charges"),
    _if_any("cost_fixed_usd", "fixed charges"),
    _if_any("cost_wear_usd", "wear of the battery"),
    _if_any("export_credit_usd", "less credit for what is sold"),
    Line("cost_usd", "whole bill"),
)
LIMITS = (
    Line("peak_facility_w", "peak of the facility"),
    Line("peak_import_w", "peak import, mean of an interval"),
    _if_any("energy_over_limit_j", "above what demand response asks"),
    Line("peak_hall_deg_c", "hottest return air"),
    _if_any("hottest_inlet_deg_c", "hottest inlet of a rack"),
    _if_any("seconds_above_capacity", "plant too small for the heat"),
    _if_any("seconds_above_rating", "power tree above a rating"),
    _if_any("seconds_above_budget", "IT equipment above its budget"),
    _if_any("energy_above_budget_j", "drawn above its budget"),
    _if_any("battery_wear_fraction", "battery life used up"),
)


def lines_of(section: Sequence[Line], accounts: Sequence[Account]) -> list[Line]:
    """Return the lines of a section that say something in any of some accounts.

    >>> [line.label for line in lines_of(BILL, [{"cost_demand_usd": 3.0, "cost_fixed_usd": 0.0,
    ...                                          "cost_wear_usd": math.nan, "export_credit_usd": 0.0}])]
    ['energy', 'demand charges', 'whole bill']
    """
    return [line for line in section if not line.needs or any(_says(line, account) for account in accounts)]


def _says(line: Line, account: Account) -> bool:
    return any(account[column] != 0.0 and not math.isnan(account[column]) for column in line.needs)
