"""The built things and their state: servers, storage, network, power, weather, cooling, grid, meter.

| module | what it holds |
|---|---|
| hardware, catalogue_data | the accelerators that can be named, each figure with its source |
| servers | servers, their devices, power states and running totals |
| sharing, network, storage | bandwidth shared max-min over links and disks |
| power | cap curves, server power, the conversion chain |
| weather, sites, weather_file | dry and wet bulb over the run |
| grid, series, series_file | carbon intensity and price over the run |
| cooling, plant | the physics of cooling, and the plant of one hall |
| meter, integrate | exact energy, carbon, cost, water and heat from the IT power log |
"""

from __future__ import annotations

__all__: list[str] = []
