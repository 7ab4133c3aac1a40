"""The ranges in which values of fields are found, and what lies so far outside that a unit must be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dcsim.spec.model import FieldIssue, SpecModel
from dcsim.units import Quantity, format_quantity

__all__ = ["absurd_issues", "unusual"]


@dataclass(frozen=True, slots=True)
class _Band:
    """The range in which a field's values are found, and what to suspect outside it."""

    quantity: Quantity
    low: float
    high: float
    below: str
    above: str
    absurd: float = 20.0
    """So many times below or above the range is no matter of taste."""


_W, _B = Quantity.POWER, Quantity.SIZE
_PER_KWH = 1.0 / 3.6e6
_PLAIN_W = "a plain number is in W: kW or MW meant?"
_PLAIN_B = "a plain number is in bytes: GB or GiB meant?"
_PLAIN_BW = "a plain number is in bytes a second: GB/s or Gbit/s meant?"

_BANDS: Mapping[str, _Band] = MappingProxyType(
    {
        "AcceleratorSpec.peak_power_w": _Band(
            _W, 30.0, 2_000.0, _PLAIN_W, "mW or a whole server's power given?"
        ),
        "AcceleratorSpec.memory_bytes": _Band(_B, 1e9, 2e12, _PLAIN_B, "GB meant?"),
        "AcceleratorSpec.memory_bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 1e10, 1e14, _PLAIN_BW, "bits given as bytes, or GB/s meant?"
        ),
        "AcceleratorSpec.link_bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 1e9, 1e13, _PLAIN_BW, "bits given as bytes?"
        ),
        "ServerSpec.idle_power_w": _Band(
            _W, 5.0, 10_000.0, _PLAIN_W, "the power of a rack, or of all servers, given?", absurd=5.0
        ),
        "ServerSpec.peak_power_w": _Band(
            _W, 10.0, 20_000.0, _PLAIN_W, "the power of a rack, or of all servers, given?", absurd=5.0
        ),
        "ServerSpec.memory_bytes": _Band(_B, 1e9, 1e14, _PLAIN_B, "GB meant?"),
        "ServerSpec.boot_power_w": _Band(
            _W, 5.0, 20_000.0, _PLAIN_W, "the power of a rack, or of all servers, given?"
        ),
        "ServerSpec.sleep_latency_s": _Band(Quantity.DURATION, 0.0, 3_600.0, "", "s or min meant?"),
        "FanSpec.full_power_w": _Band(_W, 3.0, 3_000.0, _PLAIN_W, "the fans of a rack given?"),
        "ThermalSpec.time_constant_s": _Band(
            Quantity.DURATION, 0.5, 3_600.0, "min given as s?", "ms given as s, or h meant?"
        ),
        "ServerSpec.wake_latency_s": _Band(Quantity.DURATION, 0.0, 3_600.0, "", "s or min meant?"),
        "NetworkSpec.server_bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 1e8, 1e12, _PLAIN_BW, "bits given as bytes?"
        ),
        "NetworkSpec.latency_s": _Band(Quantity.DURATION, 0.0, 1e-2, "", "us or ms meant?"),
        "NetworkSpec.switch_power_w": _Band(_W, 10.0, 20_000.0, _PLAIN_W, "the power of all switches given?"),
        "NetworkSpec.hop_latency_s": _Band(Quantity.DURATION, 0.0, 1e-3, "", "ns or us meant?"),
        **{
            f"{name}_bytes_per_s": _Band(Quantity.BANDWIDTH, 1e8, 1e12, _PLAIN_BW, "bits given as bytes?")
            for name in (
                "NetworkSpec.storage_link_bandwidth",
                "RailsSpec.bandwidth",
                "DragonflySpec.local_bandwidth",
                "DragonflySpec.global_bandwidth",
                "TorusSpec.link_bandwidth",
            )
        },
        "ServerSpec.fabric_bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 1e9, 1e14, _PLAIN_BW, "bits given as bytes?"
        ),
        "SharedFileSystemSpec.bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 1e8, 1e14, _PLAIN_BW, "bits given as bytes?"
        ),
        "LocalDiskSpec.bandwidth_bytes_per_s": _Band(
            Quantity.BANDWIDTH, 5e7, 2e11, _PLAIN_BW, "bits given as bytes?"
        ),
        "LocalDiskSpec.capacity_bytes": _Band(_B, 1e9, 1e15, _PLAIN_B, "TB meant?"),
        **{
            f"{model}.{name}": _Band(Quantity.BANDWIDTH, low, high, _PLAIN_BW, "bits given as bytes?")
            for model, name, low, high in (
                ("SharedFileSystemSpec", "write_bandwidth_bytes_per_s", 1e8, 1e14),
                ("SharedFileSystemSpec", "client_bandwidth_bytes_per_s", 5e7, 1e12),
                ("SharedFileSystemSpec", "rebuild_bandwidth_bytes_per_s", 1e7, 1e13),
                ("LocalDiskSpec", "write_bandwidth_bytes_per_s", 5e7, 2e11),
                ("ObjectStoreSpec", "bandwidth_bytes_per_s", 1e7, 1e14),
                ("ObjectStoreSpec", "write_bandwidth_bytes_per_s", 1e7, 1e14),
                ("ObjectStoreSpec", "client_bandwidth_bytes_per_s", 1e6, 1e12),
                ("CacheSpec", "bandwidth_bytes_per_s", 1e8, 1e14),
                ("CheckpointSpec", "snapshot_bandwidth_bytes_per_s", 1e9, 1e12),
            )
        },
        **{
            f"{model}.{name}": _Band(_B, low, high, _PLAIN_B, "bits given as bytes, or GB meant?")
            for model, name, low, high in (
                ("SharedFileSystemSpec", "capacity_bytes", 1e11, 1e19),
                ("SharedFileSystemSpec", "file_bytes", 1e3, 1e13),
                ("LocalDiskSpec", "request_bytes", 512.0, 1e8),
                ("ObjectStoreSpec", "capacity_bytes", 1e11, 1e20),
                ("ObjectStoreSpec", "request_bytes", 1e3, 5e9),
                ("CacheSpec", "capacity_bytes", 1e9, 1e17),
                ("CacheSpec", "prefetch_bytes", 1e4, 1e12),
                ("DatasetSpec", "size_bytes", 1e6, 1e17),
                ("DatasetSpec", "file_bytes", 1e2, 1e13),
            )
        },
        **{
            f"{model}.latency_s": _Band(Quantity.DURATION, 1e-6, 1.0, "us or ms meant?", "us or ms meant?")
            for model in ("SharedFileSystemSpec", "LocalDiskSpec", "ObjectStoreSpec")
        },
        "CheckpointSpec.stagger_s": _Band(
            Quantity.DURATION, 1.0, 86_400.0, "a plain number is in s: min meant?", "s meant?"
        ),
        "BatterySpec.capacity_j": _Band(
            Quantity.ENERGY, 3.6e6, 3.6e13, "a plain number is in J: kWh or MWh meant?", "kWh meant?"
        ),
        "OnsiteSpec.export_price_usd_per_j": _Band(
            Quantity.ENERGY_PRICE, 0.0, 1.0 * _PER_KWH, "", "USD/MWh meant? A plain number is in USD/J"
        ),
        **{
            f"{model}.{name}": _Band(_W, low, high, _PLAIN_W, above)
            for model, name, low, high, above in (
                ("SolarSpec", "rated_power_w", 1e3, 1e9, "W given as kW?"),
                ("SolarSpec", "inverter_power_w", 1e3, 1e9, "W given as kW?"),
                ("BatterySpec", "charge_power_w", 1e3, 1e9, "W given as kW?"),
                ("BatterySpec", "discharge_power_w", 1e3, 1e9, "W given as kW?"),
                ("PowerTreeSpec", "server_breaker_w", 100.0, 2e5, "the power of a rack given?"),
                ("PowerTreeSpec", "rack_breaker_w", 1e3, 2e6, "the power of all racks given?"),
                ("PowerTreeSpec", "rack_budget_w", 500.0, 2e6, "the power of all racks given?"),
                ("PduSpec", "rated_power_w", 5e3, 2e7, "the power of all PDUs given?"),
                ("PduSpec", "budget_w", 5e3, 2e7, "the power of all PDUs given?"),
                ("PowerStageSpec", "unit_overhead_w", 0.1, 1e4, "the power of all units given?"),
            )
        },
        "CoolingSpec.supply_temperature_deg_c": _Band(Quantity.TEMPERATURE, 12.0, 40.0, "", "degF meant?"),
        "CoolingSpec.hall_time_constant_s": _Band(
            Quantity.DURATION, 10.0, 86_400.0, "a plain number is in s: min or h meant?", "s meant?"
        ),
        "ConstantWeatherSpec.dry_bulb_deg_c": _Band(Quantity.TEMPERATURE, -40.0, 48.0, "", "degF meant?"),
        "ConstantCarbonSpec.intensity_kg_per_j": _Band(
            Quantity.CARBON_INTENSITY,
            1e-3 * _PER_KWH,
            1.5 * _PER_KWH,
            "kg/kWh given as g/kWh?",
            "g/kWh meant? A plain number is in kg/J",
        ),
        "DailyCarbonSpec.intensity_kg_per_j": _Band(
            Quantity.CARBON_INTENSITY,
            1e-3 * _PER_KWH,
            1.5 * _PER_KWH,
            "kg/kWh given as g/kWh?",
            "g/kWh meant? A plain number is in kg/J",
        ),
        "ConstantPriceSpec.price_usd_per_j": _Band(
            Quantity.ENERGY_PRICE,
            1e-3 * _PER_KWH,
            2.0 * _PER_KWH,
            "USD/kWh given as USD/MWh?",
            "USD/MWh meant? A plain number is in USD/J",
        ),
        "DailyPriceSpec.price_usd_per_j": _Band(
            Quantity.ENERGY_PRICE, 0.0, 5.0 * _PER_KWH, "", "USD/MWh meant? A plain number is in USD/J"
        ),
        **{
            f"{model}.price_usd_per_j": _Band(
                Quantity.ENERGY_PRICE,
                1e-3 * _PER_KWH,
                2.0 * _PER_KWH,
                "USD/kWh given as USD/MWh?",
                "USD/MWh meant? A plain number is in USD/J",
            )
            for model in ("EnergyRateSpec", "EnergyTierSpec")
        },
        "MarketSpec.contracted_intensity_kg_per_j": _Band(
            Quantity.CARBON_INTENSITY,
            1e-3 * _PER_KWH,
            1.5 * _PER_KWH,
            "kg/kWh given as g/kWh?",
            "g/kWh meant? A plain number is in kg/J",
        ),
        "PowerChainSpec.cap_latency_s": _Band(Quantity.DURATION, 1e-3, 3_600.0, "", "ms given as s?"),
        **{
            f"EmbodiedSpec.{name}_lifetime_s": _Band(
                Quantity.DURATION,
                30 * 86_400.0,
                30 * 366 * 86_400.0,
                "a plain number is in s: years meant?",
                "",
            )
            for name in ("accelerator", "server")
        },
        "EnergyTierSpec.above_j": _Band(
            Quantity.ENERGY, 3.6e6, 3.6e15, "a plain number is in J: kWh or MWh meant?", "kWh meant?"
        ),
        "SizeSpec.median_s": _Band(
            Quantity.DURATION, 1.0, 30 * 86_400.0, "a plain number is in s: min or h meant?", "s meant?"
        ),
        **{
            f"PreemptionSpec.{name}": _Band(Quantity.DURATION, 0.1, 7_200.0, "s meant?", "s or min meant?")
            for name in ("checkpoint_s", "start_s", "restore_s", "requeue_s")
        },
        "PreemptionSpec.checkpoint_interval_s": _Band(
            Quantity.DURATION, 60.0, 7 * 86_400.0, "a plain number is in s: min or h meant?", "s meant?"
        ),
        "JobKindSpec.slack_s": _Band(
            Quantity.DURATION, 60.0, 30 * 86_400.0, "a plain number is in s: h meant?", ""
        ),
    }
)
"""Bands of what is sold and published today, wide on purpose; only values the user wrote are judged."""


_REFUSED = frozenset({Quantity.POWER, Quantity.ENERGY, Quantity.ENERGY_PRICE, Quantity.CARBON_INTENSITY})


def unusual(model: SpecModel) -> Iterator[str]:
    """Yield a warning for each value, or list of values, that the user wrote and that is outside its range."""
    for path, number, band in _outside(model):
        shown = format_quantity(number, band.quantity)
        hint = _hint(number, band)
        yield f"{'.'.join(path)}: {shown} is unusual (usually {_range(band)})" + (f"; {hint}" if hint else "")


def absurd_issues(model: SpecModel) -> Iterator[FieldIssue]:
    """Yield each value that is so far outside its range that nothing of the kind exists; paths start at the model.

    Watts given as kilowatts, a price for a kilowatt-hour taken for one of a joule: such a run would be finished and
    mean nothing. Only powers, energies, prices and carbon intensities: a link of a bit a second may be somebody's point.
    """
    for path, number, band in _outside(model):
        if band.quantity not in _REFUSED:
            continue
        if not band.low / band.absurd <= abs(number) <= band.high * band.absurd:
            at = tuple(int(part) if part.isdigit() else part for part in path)
            yield FieldIssue(format_quantity(number, band.quantity), _range(band), _hint(number, band), at)


def _outside(model: SpecModel) -> Iterator[tuple[tuple[str, ...], float, _Band]]:
    """Yield (path, value, band) of each field outside its band; of a list the first value that is."""
    for path, field, value, kind in _written(model, ()):
        band = _BANDS.get(f"{kind}.{field}")
        if band is None:
            continue
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and number != 0.0 and not band.low <= abs(number) <= band.high:
                yield path, number, band
                break


def _hint(number: float, band: _Band) -> str:
    """Return what to suspect of a value outside its band."""
    low = number if band.quantity is Quantity.TEMPERATURE else abs(number)
    return band.below if low < band.low else band.above


def _range(band: _Band) -> str:
    """Return a band as people read it."""
    return f"{format_quantity(band.low, band.quantity)} to {format_quantity(band.high, band.quantity)}"


def _written(model: SpecModel, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, object, str]]:
    """Yield (path, field, value, model's name) of each field that the user wrote."""
    for name in type(model).model_fields:
        if name not in model.model_fields_set:
            continue
        value = getattr(model, name)
        yield (*path, name), name, value, type(model).__name__
        for key, part in _parts(value):
            yield from _written(part, (*path, name, *key))


def _parts(value: object) -> Iterator[tuple[tuple[str, ...], SpecModel]]:
    """Yield the models in a value, with the keys that lead to them."""
    if isinstance(value, SpecModel):
        yield (), value
    elif isinstance(value, tuple):
        yield from (((str(i),), item) for i, item in enumerate(value) if isinstance(item, SpecModel))
    elif isinstance(value, dict):
        yield from (((str(key),), item) for key, item in value.items() if isinstance(item, SpecModel))
