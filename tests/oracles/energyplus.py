"""The EnergyPlus year of a two-zone hall in Chicago: its columns, its plant and its control in our terms.

What the data's README states is taken as stated; `energyplus_fit` finds the rest. Nothing is tuned on the total.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dcsim.facility.air_side import AirPath, AirSidePlant, Economiser, air_kg_per_s
from dcsim.facility.chilled_water import CurveChiller, FanTower
from dcsim.facility.chiller import RISE
from dcsim.facility.cooling_plant import Outdoors, PlantLoad, PlantOutput
from dcsim.facility.evaporative import DirectCooler, IndirectCooler
from dcsim.facility.movers import Fan, Pump
from dcsim.facility.psychrometrics import humidity_ratio_at_wet_bulb, specific_heat_j_per_kg_k
from dcsim.facility.tower import YorkTower
from dcsim.facility.water_side import WaterSide
from dcsim.facility.weather_file import standard_pressure_pa

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CSV = "energyplus/2ZoneDC_CW_CHI_hourly.csv"
ZONES = ("EAST", "WEST")
ELEVATION_M = 201.0  # O'Hare
PUE, WUE_L_PER_KWH = 1.1410, 1.174  # the README's annual figures
WATER_J_PER_L_K = 4180.0
TOWER_FAN_W_PER_W = 0.0105  # how EnergyPlus sizes the fan of this tower
IMPELLER = 0.78  # EnergyPlus' pump without a curve of its own


@dataclass(frozen=True)
class Year:
    """Hours of the data; arrays (N,)."""

    outdoors: Outdoors
    it_w: Floats
    facility_w: Floats
    columns: dict[str, Floats]
    hour: Floats
    """Of the year, from 0."""

    def of(self, *parts: str) -> Floats:
        """Return the sum of the columns, one for each name."""
        return np.asarray(np.sum([self._one(part) for part in parts], axis=0))

    def _one(self, part: str) -> Floats:
        found = [name for name in self.columns if part in name]
        assert len(found) == 1, (part, found)
        return self.columns[found[0]]

    def where(self, mask: Mask) -> Year:
        """Return some of the hours."""
        out = self.outdoors
        return Year(
            Outdoors(*(getattr(out, name)[mask] for name in out.__slots__)),
            self.it_w[mask],
            self.facility_w[mask],
            {name: values[mask] for name, values in self.columns.items()},
            self.hour[mask],
        )

    @property
    def water_l(self) -> float:
        """Make-up: evaporation of the tower with its blow-down at four cycles, and the evaporative coolers."""
        coolers = [name for name in self.columns if "Evaporative Cooler Water" in name]
        evaporated = self.of("Tower Water Evaporation")
        return 1e3 * float(evaporated.sum() * 4.0 / 3.0 + sum(self.columns[name].sum() for name in coolers))


def read_year(shared_data: Path) -> Year:
    """Return the year; hourly humidity follows from both temperatures at the site's standard pressure."""
    path = shared_data / CSV
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")[1:]
    table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, len(names) + 1))
    columns = dict(zip(names, table.T, strict=True))
    dry = next(values for name, values in columns.items() if "Drybulb" in name)
    wet = np.minimum(
        next(values for name, values in columns.items() if "Site Outdoor Air Wetbulb" in name), dry
    )
    pressure = np.full(len(dry), standard_pressure_pa(ELEVATION_M))
    outdoors = Outdoors(dry, wet, humidity_ratio_at_wet_bulb(dry, wet, pressure), pressure)
    year = Year(outdoors, dry, dry, columns, np.arange(len(dry), dtype=np.float64))
    it_w = year.of(*(f"{zone} ZONE:Zone ITE {part} Elec" for zone in ZONES for part in ("CPU", "Fan", "UPS")))
    return replace(year, it_w=it_w, facility_w=year.of("Facility Total Electricity"))


@dataclass(frozen=True)
class Sizes:
    """What EnergyPlus sized by itself, read off the largest powers."""

    zone_flow_m3_per_s: tuple[float, float]
    """From the supply fan of each zone."""
    secondary_fan_w_per_m3_per_s: float
    """Of supply air; from the indirect cooler that never runs wet (East)."""
    secondary_pump_w_per_m3_per_s: float
    """What the other (West) draws more."""
    condenser_l_per_s: float
    """From the condenser pump."""
    tower_heat_w: float
    """From the tower's fan."""
    chiller_w: float
    """Tower heat without a compressor's work at COP 5."""


@dataclass(frozen=True)
class Hall:
    """What the hall asks of its plant beyond IT heat."""

    return_deg_c: tuple[float, float, float]
    """Hall air: constant, by outdoor temperature (1/K), by IT power (K/W)."""
    envelope_w_per_k: float
    envelope_balance_deg_c: float
    """Heat through walls and roof: proportional to outdoor temperature over this one, which is low for the sun."""
    lights_w: float


@dataclass(frozen=True)
class Fitted:
    """What is read off or fitted; all physical."""

    sizes: Sizes
    hall: Hall
    chilled_water_range_k: float
    """From chilled-water pump power over heat."""
    idle_pump_fraction: float
    """From the condenser pump's power below 10 degC."""
    basin_w_per_k: float
    basin_set_point_deg_c: float
    """From what the HVAC draws in frost beyond its named parts."""
    chiller_leaving_deg_c: float = 7.0
    """Where the chiller's curves are read, from its power over its heat."""
    tower_follows_k: float = 0.0
    """From the tower's fan energy."""
    wet_bulb_limit_deg_c: tuple[float, float] = (20.0, 20.0)
    """Of each zone's direct cooler, from when its pump runs."""


def plant_of(fitted: Fitted) -> AirSidePlant:
    """Return the plant of the README with the fitted parameters."""
    flow = sum(fitted.sizes.zone_flow_m3_per_s)
    paths = tuple(
        AirPath(
            zone / flow,
            DirectCooler(0.7, 30.0, 16.0, limit, 3.0),
            IndirectCooler(
                0.72,
                0.7,
                1.0,
                fitted.sizes.secondary_fan_w_per_m3_per_s,
                fitted.sizes.secondary_pump_w_per_m3_per_s,
                wet_from,
                24.0,
            ),
        )
        for zone, limit, wet_from in zip(
            fitted.sizes.zone_flow_m3_per_s, fitted.wet_bulb_limit_deg_c, (22.0, 20.0), strict=True
        )
    )
    water = WaterSide(
        CurveChiller(RISE.sized(fitted.sizes.chiller_w)),
        fitted.chilled_water_range_k,
        Pump(fitted.sizes.chiller_w / (WATER_J_PER_L_K * 4.0), 160e3, 0.87, IMPELLER),
        Pump(fitted.sizes.condenser_l_per_s, 140e3, 0.9, IMPELLER),
        FanTower(tower_of(fitted)),
        fitted.idle_pump_fraction,
        fitted.basin_w_per_k,
        fitted.basin_set_point_deg_c,
    )
    return AirSidePlant(
        capacity_w=fitted.sizes.chiller_w,
        fan=Fan(flow, 300.0, 0.7),
        air_rise_k=8.0,
        least_flow=0.4,
        economiser=Economiser(-20.0, 23.0, 13.5),
        paths=paths,
        water=water,
        coil_approach_k=0.0,
        chilled_water_deg_c=fitted.chiller_leaving_deg_c,
    )


@dataclass(frozen=True)
class Prediction:
    """What the model says of some hours."""

    it_w: Floats
    fan_w: Floats
    output: PlantOutput
    facility_w: Floats
    load: PlantLoad

    @property
    def pue(self) -> float:
        """Facility over IT."""
        return float(self.facility_w.sum() / self.it_w.sum())

    @property
    def water_l(self) -> float:
        """Make-up of hours."""
        return float(self.output.water_l_per_s.sum() * 3600.0)


def predict(fitted: Fitted, it_w: Floats, outdoors: Outdoors) -> Prediction:
    """Return facility power for IT power and weather: the hall's control, then the plant."""
    plant = plant_of(fitted)
    load, fan = hall_load(fitted, plant, it_w, outdoors)
    output = plant.operate(load, outdoors)
    return Prediction(it_w, fan, output, it_w + fan + output.power_w + fitted.hall.lights_w, load)


def hall_load(
    fitted: Fitted, plant: AirSidePlant, it_w: Floats, outdoors: Outdoors
) -> tuple[PlantLoad, Floats]:
    """Return what the hall asks of its plant: a return temperature held by supply air of 12..18 degC."""
    dry = outdoors.dry_bulb_deg_c
    heat = (
        it_w
        + fitted.hall.lights_w
        + fitted.hall.envelope_w_per_k * (dry - fitted.hall.envelope_balance_deg_c)
    )
    constant, by_dry, by_it = fitted.hall.return_deg_c
    back = constant + by_dry * dry + by_it * it_w
    full = air_kg_per_s(plant.fan.flow_m3_per_s, outdoors.pressure_pa)
    full_w_per_k = full * specific_heat_j_per_kg_k(outdoors.humidity_ratio)
    flow = np.clip(heat / (full_w_per_k * (back - 18.0)), 0.4, 1.0)
    supply = np.clip(back - heat / (full_w_per_k * flow), 12.0, 18.0)
    fan = plant.air_mover_w(heat, flow)
    return PlantLoad(heat + fan, it_w / (heat + fan), supply, flow), fan


def tower_of(fitted: Fitted) -> YorkTower:
    """Return the tower, with the water flow of the condenser pump and air for the site's pressure."""
    sized = YorkTower.for_heat(fitted.sizes.tower_heat_w)
    air = sized.air_flow_m3_per_s * standard_pressure_pa(0.0) / standard_pressure_pa(ELEVATION_M)
    return replace(
        sized,
        water_flow_l_per_s=fitted.sizes.condenser_l_per_s,
        air_flow_m3_per_s=air,
        follows_wet_bulb_k=fitted.tower_follows_k,
        cycles_of_concentration=4.0,
    )


def cv_rmse(measured: Floats, modelled: Floats) -> float:
    """Return the coefficient of variation of the root-mean-square error (ASHRAE Guideline 14-2014, p = 1)."""
    return float(np.sqrt(np.sum((modelled - measured) ** 2) / (len(measured) - 1)) / measured.mean())


def nmbe(measured: Floats, modelled: Floats) -> float:
    """Return the normalised mean bias error, positive where the model says more (ibid., p = 1)."""
    return float(np.sum(modelled - measured) / ((len(measured) - 1) * measured.mean()))
