"""Strategies for what is built: clusters, networks, storage, power, cooling, weather and grid."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from dcsim.spec.cluster import ClusterSpec, RackSpec, ServerSpec
from dcsim.spec.cooling import ConstantWeatherSpec, CoolingSpec, SiteWeatherSpec, WeatherSpec
from dcsim.spec.grid import (
    ConstantCarbonSpec,
    ConstantPriceSpec,
    DailyCarbonSpec,
    DailyPriceSpec,
    GridSpec,
)
from dcsim.spec.network import NetworkSpec
from dcsim.spec.power import PowerChainSpec, PowerStageSpec
from dcsim.spec.redundancy import ErasureCodingSpec, NoRedundancySpec, ReplicationSpec, stored_per_byte
from dcsim.spec.storage import (
    CacheSpec,
    DataServerFailureSpec,
    DatasetSpec,
    LocalDiskSpec,
    ObjectStoreSpec,
    SharedFileSystemSpec,
    StorageSpec,
)

__all__ = ["clusters", "coolings", "grids", "networks", "power_chains", "storages", "weathers"]

_MODELS = ("A100-80", "V100", "H100", "T4")
_KG_PER_J = 1.0 / 3.6e9  # a gram a kilowatt-hour
_USD_PER_J = 1.0 / 3.6e9  # a dollar a megawatt-hour
_SITES = ("chicago", "singapore", "phoenix", "lulea")


def _figures(*values: float) -> SearchStrategy[float]:
    """Draw one of a few round figures, shrinking to the first."""
    return st.sampled_from(values)


@st.composite
def _servers(draw: st.DrawFn, count: int, models: tuple[str, ...], widest: int) -> ServerSpec:
    devices = draw(st.integers(1, widest))
    idle_w = draw(_figures(300.0, 0.0, 123.4))
    return ServerSpec(
        count=count,
        accelerator=draw(st.sampled_from(models)),
        accelerators=devices,
        cpu_cores=draw(_figures(64.0, 8.0, 96.0)),
        memory_bytes=draw(_figures(2.0**39, 2.0**33)),
        idle_power_w=idle_w,
        peak_power_w=idle_w + draw(_figures(600.0, 10.0)),
        sleep_power_w=draw(_figures(0.0, min(30.0, idle_w))),
        wake_latency_s=draw(_figures(120.0, 0.0, 7.0)),
    )


@st.composite
def clusters(
    draw: st.DrawFn,
    *,
    max_servers: int = 6,
    max_accelerators: int = 8,
    models: tuple[str, ...] = _MODELS,
    uniform: bool = False,
    cpu_servers: bool = False,
) -> ClusterSpec:
    """Draw a cluster of 1..`max_servers` servers in one to three lines of racks.

    Args:
        draw: given by Hypothesis.
        max_servers: most servers in all, >= 1.
        max_accelerators: most accelerators a server, 1..64.
        models: catalogue names to choose from.
        uniform: one line of equal servers, all of one accelerator type.
        cpu_servers: some servers may have no accelerator (but not all).
    """
    lines: list[RackSpec] = []
    left = draw(st.integers(1, max_servers))
    while left > 0 and len(lines) < 3:
        racks = draw(st.integers(1, left))
        each = draw(st.integers(1, left // racks))
        left = 0 if uniform else left - racks * each
        if cpu_servers and lines and draw(st.booleans()):
            server = ServerSpec(count=each, wake_latency_s=7.0)
        else:
            server = draw(_servers(each, models, max_accelerators))
        lines.append(RackSpec(name=f"rack-{len(lines)}", count=racks, servers=(server,)))
    return ClusterSpec(racks=tuple(lines))


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    max_oversubscription: float = 8.0,
    starved: bool = True,
    topologies: tuple[str, ...] = ("fat_tree", "star"),
    max_servers: int = 6,
    lively: bool = False,
) -> NetworkSpec:
    """Draw a star or a fat-tree, or another topology; slow links and latencies among them.

    Args:
        draw: given by Hypothesis.
        max_oversubscription: of a rack's uplinks, 1..64.
        starved: links of 1 B/s occur, on which jobs take years.
        topologies: to choose from; all of `dcsim.spec.network.TOPOLOGIES` but graph, which needs a file.
        max_servers: those of other topologies have room for.
        lively: links so slow that jobs take notice, any collective, steps told one by one, links not shared, and
            links that fail or slow down in the first minute and are mended in the next.
    """
    speeds: tuple[float, ...] = (50e9, 1.25e9, 1e6, 1.0) if starved else (50e9, 1.25e9)
    if lively:
        speeds = (1e6, 1e7, 1.25e9)
    topology = draw(st.sampled_from(topologies))
    common: dict[str, Any] = {
        "topology": topology,
        "server_bandwidth_bytes_per_s": draw(_figures(*speeds)),
        "oversubscription": draw(_figures(1.0, max_oversubscription, (1.0 + max_oversubscription) / 2.0)),
        "latency_s": draw(_figures(5e-6, 0.0, 0.25)),
        "switch_power_w": draw(_figures(600.0, 0.0)),
    }
    if topology in _SHAPES:
        common |= draw(_SHAPES[topology](max_servers))
        common["routing"] = draw(st.sampled_from((None, "shortest", "ecmp", "spread")))
    if lively:
        common |= draw(_lively(topology))
    return NetworkSpec(**common)


@st.composite
def _lively(draw: st.DrawFn, topology: str) -> dict[str, Any]:
    """Draw what goes on in a network."""
    parts: dict[str, Any] = {
        "collective": draw(st.sampled_from(("hierarchical", "ring", "tree", "in_network", "auto"))),
        "contention": draw(st.sampled_from((True, True, True, False))),
        "hop_latency_s": draw(st.sampled_from((None, None, 0.01))),
    }
    if draw(st.booleans()):
        from_s, length_s = draw(_or_none(3.0, 7.5)), draw(_or_none(0.5, 20.0))
        until_s = None if length_s is None else (from_s or 0.0) + length_s
        parts |= {"traffic": "steps", "steps_from_s": from_s, "steps_until_s": until_s}
    events: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 3))):
        link = draw(st.sampled_from(_LINKS[topology]))
        at_s = float(draw(st.integers(0, 60)))
        worse: dict[str, Any] = draw(
            st.sampled_from(({"action": "fail"}, {"action": "degrade", "fraction": 0.3}))
        )
        events.append({"at_s": at_s, "link": link, **worse})
        events.append({"at_s": at_s + draw(st.integers(1, 60)), "link": link, "action": "repair"})
    return {**parts, "events": events}


@st.composite
def _k_ary_shapes(draw: st.DrawFn, servers: int) -> dict[str, Any]:
    least = next(k for k in range(2, 129, 2) if k**3 // 4 >= servers)
    return {"k_ary": {"k": least + 2 * draw(st.integers(0, 1))}}


@st.composite
def _rails_shapes(draw: st.DrawFn, servers: int) -> dict[str, Any]:
    rails = {"per_server": draw(st.integers(1, 4)), "servers_per_group": draw(st.integers(1, servers))}
    return {"rails": rails}


@st.composite
def _dragonfly_shapes(draw: st.DrawFn, servers: int) -> dict[str, Any]:
    groups, routers = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    shape = {
        "groups": groups,
        "routers_per_group": routers,
        "servers_per_router": -(-servers // (groups * routers)),
        "arrangement": draw(st.sampled_from(("palmtree", "consecutive"))),
    }
    return {"dragonfly": shape}


@st.composite
def _torus_shapes(draw: st.DrawFn, servers: int) -> dict[str, Any]:
    sides = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    return {"torus": {"shape": (*sides, -(-servers // math.prod(sides)))}}


_SHAPES = {
    "k_ary_fat_tree": _k_ary_shapes,
    "rail_optimised": _rails_shapes,
    "dragonfly": _dragonfly_shapes,
    "torus": _torus_shapes,
}
"""Of topologies with a shape of their own: what draws it for so many servers."""
_LINKS = {
    "star": ("server 0 up", "server 0 down", "server * up"),
    "fat_tree": ("server 0 up", "rack 0 *", "* down"),
    "k_ary_fat_tree": ("server 0 up", "edge 0 to *", "edge 0 to aggregation 0", "core 0 *"),
    "rail_optimised": ("server 0 rail 0 up", "server 0 rail *", "server 0 front end down"),
    "dragonfly": ("server 0 up", "*er 0 *", "server 0 front end *"),
    "torus": ("*0 *", "server 0 front end down"),
}
"""Links, or patterns of links, that every network of a topology has."""


@st.composite
def storages(
    draw: st.DrawFn, *, starved: bool = True, tiers: bool = False, slow: bool = False
) -> StorageSpec:
    """Draw where jobs read.

    Args:
        draw: given by Hypothesis.
        starved: file systems of 1 B/s occur, on which jobs take years.
        tiers: data servers, redundancy, operations, an object store, caches and datasets, too.
        slow: with tiers, so slow, so small and failing so soon that short runs take notice.
    """
    speeds = (100e9, 1e6, 1.0) if starved else (100e9, 1e9)
    if tiers:
        return draw(_tiered_storages((1e8, 1e7, 1e9) if slow else speeds, slow=slow))
    return StorageSpec(
        shared=SharedFileSystemSpec(
            bandwidth_bytes_per_s=draw(_figures(*speeds)), power_w=draw(_figures(5000.0, 0.0))
        ),
        local=LocalDiskSpec(
            bandwidth_bytes_per_s=draw(_figures(6e9, speeds[-1])),
            capacity_bytes=draw(_figures(4e12, 0.0, 1e6)),
        ),
        feed=draw(st.sampled_from(("shared", "local", "cached"))),
    )


def _or_none(*values: float) -> SearchStrategy[float | None]:
    """Draw no limit, or one of a few."""
    return st.sampled_from((None, *values))


@st.composite
def _shared_file_systems(draw: st.DrawFn, speeds: tuple[float, ...], *, slow: bool) -> SharedFileSystemSpec:
    data_servers = draw(st.sampled_from((1, 4, 12)))
    redundancy = draw(
        st.sampled_from(
            (
                NoRedundancySpec(),
                ReplicationSpec(copies=2),
                ErasureCodingSpec(data_shards=2, parity_shards=1),
            )
        )
    )
    fails = data_servers > 1 and not isinstance(redundancy, NoRedundancySpec) and draw(st.booleans())
    return SharedFileSystemSpec(
        bandwidth_bytes_per_s=draw(_figures(*speeds)),
        write_bandwidth_bytes_per_s=draw(_or_none(*speeds)),
        power_w=draw(_figures(5000.0, 0.0)),
        data_servers=data_servers,
        stripe_count=draw(st.sampled_from((None, 1, data_servers))),
        metadata_operations_per_s=draw(_or_none(1e5, 1e3)),
        file_bytes=draw(_figures(1e8, 1e5)),
        latency_s=draw(_figures(0.0, 0.25 if slow else 1e-3)),
        client_bandwidth_bytes_per_s=draw(_or_none(5e9, speeds[-1] / 2)),
        redundancy=redundancy,
        failures=(
            DataServerFailureSpec(
                at_s=7.0 if slow else 600.0, data_server=0, repair_s=draw(_or_none(9.0 if slow else 1e4))
            ),
        )
        if fails
        else (),
    )


@st.composite
def _tiered_storages(draw: st.DrawFn, speeds: tuple[float, ...], *, slow: bool) -> StorageSpec:
    store = ObjectStoreSpec(
        bandwidth_bytes_per_s=draw(_figures(*speeds)),
        requests_per_s=draw(_or_none(1e5)),
        redundancy=ReplicationSpec(copies=3),
    )
    places = st.sampled_from(("shared", "object", "local"))
    datasets = {
        f"dataset-{n}": DatasetSpec(size_bytes=draw(_figures(1e9, 1e8, 1e6)), place=draw(places))
        for n in range(draw(st.integers(0, 3)))
    }
    free = draw(_figures(4e12, 1e9, 1e7) if slow else _figures(4e12, 1e10))
    read_from_afar = any(dataset.place != "local" for dataset in datasets.values())
    feed = draw(st.sampled_from(("shared", "local", "cached")))
    where = draw(st.sampled_from(("node", "shared")))
    cache = CacheSpec(
        where=where,
        policy=draw(st.sampled_from(("no_eviction", "lru"))),
        capacity_bytes=draw(_figures(1e9, 1e6)) if where == "shared" else draw(_or_none(min(1e9, free), 1e6)),
        prefetch_bytes=draw(_or_none(1e8, 0.0)),
        cold=draw(st.booleans()),
    )
    shared = draw(_shared_file_systems(speeds, slow=slow))
    if slow and draw(st.booleans()):
        room = _stored(datasets, "shared") + draw(_figures(1e9, 1e7))
        shared = shared.model_copy(update={"capacity_bytes": room * stored_per_byte(shared.redundancy)})
    return StorageSpec(
        shared=shared,
        local=LocalDiskSpec(
            bandwidth_bytes_per_s=draw(_figures(6e9, speeds[-1])),
            write_bandwidth_bytes_per_s=draw(_or_none(3e9)),
            read_operations_per_s=draw(_or_none(1e6)),
            write_operations_per_s=draw(_or_none(1e5)),
            capacity_bytes=free + _stored(datasets, "local"),
        ),
        object_store=store,
        feed=feed,
        cache=cache if (feed == "cached" or read_from_afar) and draw(st.booleans()) else None,
        datasets=datasets,
    )


def _stored(datasets: dict[str, DatasetSpec], place: str) -> float:
    """Return the bytes of the datasets that lie in a place."""
    return sum(dataset.size_bytes for dataset in datasets.values() if dataset.place == place)


@st.composite
def power_chains(draw: st.DrawFn, *, max_stages: int = 3) -> PowerChainSpec:
    """Draw a chain of 0..`max_stages` stages, each sized by default for the facility's peak."""
    count = draw(st.integers(0, max_stages))
    joined = draw(st.integers(0, count))
    stages = tuple(
        PowerStageSpec(
            name=f"stage-{number}",
            loss_constant=draw(_figures(0.0, 0.01)),
            loss_linear=draw(_figures(0.0, 0.02)),
            loss_quadratic=draw(_figures(0.0, 0.01)),
            heats_hall=number < joined and draw(st.booleans()),
            carries_cooling=number >= joined,
        )
        for number in range(count)
    )
    return PowerChainSpec(stages=stages, auxiliary_power_w=draw(_figures(0.0, 1000.0)))


@st.composite
def coolings(draw: st.DrawFn) -> CoolingSpec:
    """Draw a plant of one of four kinds, sized by default for the peak heat."""
    return CoolingSpec(
        plant=draw(st.sampled_from(("chilled_water", "crac", "air_side", "liquid"))),
        supply_temperature_deg_c=draw(st.integers(15, 32).map(float)),
        hall_time_constant_s=draw(_figures(900.0, 60.0, 7200.0)),
        fan_fraction=draw(_figures(0.04, 0.0)),
        pump_fraction=draw(_figures(0.02, 0.0)),
        carnot_fraction=draw(_figures(0.5, 0.3)),
    )


def weathers(*, constant: bool = False) -> SearchStrategy[WeatherSpec]:
    """Draw the weather: constant, or (unless `constant`) one of four built-in climates."""
    steady = st.builds(
        ConstantWeatherSpec,
        dry_bulb_deg_c=st.integers(-20, 40).map(float),
        relative_humidity=_figures(0.5, 0.1, 0.95),
    )
    sites = st.sampled_from(_SITES).map(lambda site: SiteWeatherSpec(site=site))
    return steady if constant else st.one_of(steady, sites)


def grids(*, constant: bool = False) -> SearchStrategy[GridSpec]:
    """Draw carbon intensity (0..1,000 g/kWh) and price (-50..300 USD/MWh), constant or by the hour.

    Args:
        constant: the same at all times.
    """
    grams, dollars = st.integers(0, 1000), st.integers(-50, 300)
    carbon = grams.map(lambda g: ConstantCarbonSpec(intensity_kg_per_j=g * _KG_PER_J))
    price = dollars.map(lambda d: ConstantPriceSpec(price_usd_per_j=d * _USD_PER_J))
    if constant:
        return st.builds(GridSpec, carbon=carbon, price=price)
    daily_carbon = st.lists(grams, min_size=24, max_size=24).map(
        lambda day: DailyCarbonSpec(intensity_kg_per_j=tuple(g * _KG_PER_J for g in day))
    )
    daily_price = st.lists(dollars, min_size=24, max_size=24).map(
        lambda day: DailyPriceSpec(price_usd_per_j=tuple(d * _USD_PER_J for d in day))
    )
    return st.builds(GridSpec, carbon=st.one_of(carbon, daily_carbon), price=st.one_of(price, daily_price))
