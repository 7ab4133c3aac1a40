"""What a scenario says: frozen models, the YAML and Python front doors, checks, and the JSON Schema.

No simulation here. Names are imported from their modules when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcsim.spec.check import check_scenario
    from dcsim.spec.checkpoints import CheckpointSpec
    from dcsim.spec.cluster import AcceleratorSpec, ClusterSpec, RackSpec, ServerSpec
    from dcsim.spec.cooling import (
        ConstantWeatherSpec,
        CoolingSpec,
        FileWeatherSpec,
        SiteWeatherSpec,
        WeatherSpec,
    )
    from dcsim.spec.embodied import EmbodiedSpec
    from dcsim.spec.grid import (
        CarbonSpec,
        ConstantCarbonSpec,
        ConstantPriceSpec,
        DailyCarbonSpec,
        DailyPriceSpec,
        FileSeriesSpec,
        GridSpec,
        MarketSpec,
        NoisyForecastSpec,
        PerfectForecastSpec,
        PersistenceForecastSpec,
        PriceSpec,
    )
    from dcsim.spec.likely import plausibility
    from dcsim.spec.load import (
        LoadedScenario,
        load_scenario,
        scenario_from_data,
        scenario_sha256,
        scenario_to_data,
    )
    from dcsim.spec.network import DragonflySpec, KArySpec, NetworkSpec, RailsSpec, TorusSpec
    from dcsim.spec.network_events import LinkEventSpec
    from dcsim.spec.onsite import BatterySpec, OnsiteSpec, SolarSpec
    from dcsim.spec.paths import referenced_files, resolve_data_path
    from dcsim.spec.policy import PolicyChoice, PolicySpec
    from dcsim.spec.power import PowerChainSpec, PowerStageSpec
    from dcsim.spec.power_tree import PduSpec, PowerTreeSpec
    from dcsim.spec.scenario import Scenario
    from dcsim.spec.schema import json_schema, json_schema_text
    from dcsim.spec.storage import (
        CacheSpec,
        DatasetSpec,
        LocalDiskSpec,
        ObjectStoreSpec,
        SharedFileSystemSpec,
        StorageSpec,
    )
    from dcsim.spec.tariff import DemandRateSpec, EnergyRateSpec, OpenEITariffSpec, TariffSpec
    from dcsim.spec.workload import (
        ArrivalSpec,
        GeneratedWorkloadSpec,
        JobKindSpec,
        SizeSpec,
        TraceWorkloadSpec,
        WorkloadSpec,
    )

_MODULES = {
    "check": ("check_scenario",),
    "checkpoints": ("CheckpointSpec",),
    "cluster": ("AcceleratorSpec", "ClusterSpec", "RackSpec", "ServerSpec"),
    "cooling": ("ConstantWeatherSpec", "CoolingSpec", "FileWeatherSpec", "SiteWeatherSpec", "WeatherSpec"),
    "embodied": ("EmbodiedSpec",),
    "grid": (
        "CarbonSpec",
        "ConstantCarbonSpec",
        "ConstantPriceSpec",
        "DailyCarbonSpec",
        "DailyPriceSpec",
        "FileSeriesSpec",
        "GridSpec",
        "MarketSpec",
        "NoisyForecastSpec",
        "PerfectForecastSpec",
        "PersistenceForecastSpec",
        "PriceSpec",
    ),
    "schema": ("json_schema", "json_schema_text"),
    "load": ("LoadedScenario", "load_scenario", "scenario_from_data", "scenario_sha256", "scenario_to_data"),
    "network": ("DragonflySpec", "KArySpec", "NetworkSpec", "RailsSpec", "TorusSpec"),
    "network_events": ("LinkEventSpec",),
    "onsite": ("BatterySpec", "OnsiteSpec", "SolarSpec"),
    "paths": ("referenced_files", "resolve_data_path"),
    "likely": ("plausibility",),
    "policy": ("PolicyChoice", "PolicySpec"),
    "power": ("PowerChainSpec", "PowerStageSpec"),
    "power_tree": ("PduSpec", "PowerTreeSpec"),
    "scenario": ("Scenario",),
    "storage": (
        "CacheSpec",
        "DatasetSpec",
        "LocalDiskSpec",
        "ObjectStoreSpec",
        "SharedFileSystemSpec",
        "StorageSpec",
    ),
    "tariff": ("DemandRateSpec", "EnergyRateSpec", "OpenEITariffSpec", "TariffSpec"),
    "workload": (
        "ArrivalSpec",
        "GeneratedWorkloadSpec",
        "JobKindSpec",
        "SizeSpec",
        "TraceWorkloadSpec",
        "WorkloadSpec",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AcceleratorSpec",
    "ArrivalSpec",
    "BatterySpec",
    "CacheSpec",
    "CarbonSpec",
    "CheckpointSpec",
    "ClusterSpec",
    "ConstantCarbonSpec",
    "ConstantPriceSpec",
    "ConstantWeatherSpec",
    "CoolingSpec",
    "DailyCarbonSpec",
    "DailyPriceSpec",
    "DatasetSpec",
    "DemandRateSpec",
    "DragonflySpec",
    "EmbodiedSpec",
    "EnergyRateSpec",
    "FileSeriesSpec",
    "FileWeatherSpec",
    "GeneratedWorkloadSpec",
    "GridSpec",
    "JobKindSpec",
    "KArySpec",
    "LinkEventSpec",
    "LoadedScenario",
    "LocalDiskSpec",
    "MarketSpec",
    "NetworkSpec",
    "NoisyForecastSpec",
    "ObjectStoreSpec",
    "OnsiteSpec",
    "OpenEITariffSpec",
    "PduSpec",
    "PerfectForecastSpec",
    "PersistenceForecastSpec",
    "PolicyChoice",
    "PolicySpec",
    "PowerChainSpec",
    "PowerStageSpec",
    "PowerTreeSpec",
    "PriceSpec",
    "RackSpec",
    "RailsSpec",
    "Scenario",
    "ServerSpec",
    "SharedFileSystemSpec",
    "SiteWeatherSpec",
    "SizeSpec",
    "SolarSpec",
    "StorageSpec",
    "TariffSpec",
    "TorusSpec",
    "TraceWorkloadSpec",
    "WeatherSpec",
    "WorkloadSpec",
    "check_scenario",
    "json_schema",
    "json_schema_text",
    "load_scenario",
    "plausibility",
    "referenced_files",
    "resolve_data_path",
    "scenario_from_data",
    "scenario_sha256",
    "scenario_to_data",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        message = f"module 'dcsim.spec' has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"dcsim.spec.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
