"""Checks across the parts of a valid scenario: names that must exist, and things that cannot work together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dcsim.errors import Problem, ScenarioError
from dcsim.spec.bands import absurd_issues
from dcsim.spec.cluster import ServerSpec
from dcsim.spec.cooling import FileWeatherSpec, SiteWeatherSpec
from dcsim.spec.demand_response import demand_response_issues
from dcsim.spec.grid import export_price_issues
from dcsim.spec.names import nearest
from dcsim.spec.network_size import room_issues, switch_count
from dcsim.spec.onsite import onsite_issues
from dcsim.spec.paths import referenced_files, resolve_data_path
from dcsim.spec.policy import PolicyChoice
from dcsim.spec.power import PowerStageSpec
from dcsim.spec.power_tree import power_tree_issues
from dcsim.spec.problems import line_of
from dcsim.spec.room import recirculation_issues
from dcsim.spec.scenario import Scenario
from dcsim.spec.workload import GeneratedWorkloadSpec, TraceWorkloadSpec
from dcsim.units import Quantity, format_quantity

__all__ = [
    "AcceleratorPower",
    "builtin_profile_names",
    "check_scenario",
    "idle_it_power_w",
    "peak_it_power_w",
    "server_groups",
]

_PROFILES_FOLDER = Path(__file__).resolve().parent.parent / "workload" / "profiles"
_MOST_DECISIONS = 10_000_000
"""Of a cooling policy in a run; in a room each is an event."""
_MAX_FILE_BYTES = {
    "profiles": 16 << 20,
    "rates": 64 << 20,
    "network": 64 << 20,
    "room": 64 << 20,
    "cooling": 256 << 20,
    "weather": 256 << 20,
    "grid": 256 << 20,
    "workload": 8 << 30,
}


class AcceleratorPower(Protocol):
    """What the checks need of an accelerator of the hardware catalogue, or of the scenario."""

    @property
    def idle_power_w(self) -> float:
        """Draw of one device, idle."""

    @property
    def peak_power_w(self) -> float:
        """Draw of one device, busy."""


Catalogue = Mapping[str, AcceleratorPower]


@dataclass(frozen=True, slots=True)
class _Check:
    """What a check looks at, and where it notes problems."""

    scenario: Scenario
    base_dir: Path
    file: str
    lines: Mapping[tuple[str, ...], int]
    catalogue: Catalogue | None
    known_policies: Mapping[str, Collection[str]]
    known_profiles: Collection[str]
    known_sites: Collection[str] | None
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, path: Sequence[str | int], got: str, expected: str, hint: str = "") -> None:
        """Note one problem."""
        place = ".".join(map(str, path))
        self.problems.append(Problem(self.file, line_of(path, self.lines), place, got, expected, hint))


def check_scenario(
    scenario: Scenario,
    base_dir: Path,
    *,
    catalogue: Catalogue | None = None,
    known_policies: Mapping[str, Collection[str]] | None = None,
    known_profiles: Collection[str] | None = None,
    known_sites: Collection[str] | None = None,
    file: str = "scenario",
    lines: Mapping[tuple[str, ...], int] | None = None,
) -> tuple[Problem, ...]:
    """Return every problem between the parts of a scenario; an empty tuple where it can be simulated.

    Args:
        scenario: a valid model.
        base_dir: folder of its file, where relative paths start.
        catalogue: the hardware catalogue, by name; the scenario's own accelerators are added. None
            leaves out what needs it: accelerator names, idle draw and heat.
        known_policies: names by kind ("ordering", "placement", "energy", ...); kinds left out are not checked.
        known_profiles: built-in cost profiles; None: those shipped with dcsim.
        known_sites: built-in weather sites; None leaves them unchecked.
        file: shown in problems, as is the line of a field found in `lines`.
        lines: line of each path, from `LoadedScenario`.
    """
    check = _Check(
        scenario=scenario,
        base_dir=Path(base_dir),
        file=file,
        lines=lines or {},
        catalogue=None if catalogue is None else {**catalogue, **scenario.accelerators},
        known_policies=known_policies or {},
        known_profiles=builtin_profile_names() if known_profiles is None else known_profiles,
        known_sites=known_sites,
    )
    for rule in _RULES:
        rule(check)
    return tuple(sorted(check.problems, key=lambda problem: problem.line or 0))


def builtin_profile_names() -> tuple[str, ...]:
    """Return the names of the cost profiles shipped with dcsim, sorted."""
    return tuple(sorted(path.stem for path in _PROFILES_FOLDER.glob("*.json")))


def server_groups(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], int, ServerSpec]]:
    """Yield (path, number of servers in all its racks, spec) of each group of equal servers."""
    for i, rack in enumerate(scenario.cluster.racks):
        for j, group in enumerate(rack.servers):
            yield ("cluster", "racks", i, "servers", j), rack.count * group.count, group


def idle_it_power_w(scenario: Scenario, catalogue: Catalogue) -> float:
    """Return the IT power, W, with every server on and idle: servers, file system and switches."""
    return _it_power_w(scenario, catalogue, lambda part: part.idle_power_w)


def peak_it_power_w(scenario: Scenario, catalogue: Catalogue) -> float:
    """Return the IT power, W, with every core and accelerator busy and uncapped."""
    return _it_power_w(scenario, catalogue, lambda part: part.peak_power_w)


def _it_power_w(
    scenario: Scenario, catalogue: Catalogue, power_w: Callable[[AcceleratorPower], float]
) -> float:
    """Sum one power over all servers; accelerators that no catalogue knows count nothing."""
    total = [scenario.storage.power_w]
    racks = sum(rack.count for rack in scenario.cluster.racks)
    groups = list(server_groups(scenario))
    servers, most = sum(count for _, count, _ in groups), max(group.accelerators for _, _, group in groups)
    switches = switch_count(scenario.network, servers, racks, most)
    total.append(switches * scenario.network.switch_power_w)
    for _, servers, group in groups:
        device = catalogue.get(group.accelerator or "")
        each = power_w(group) + (group.accelerators * power_w(device) if device is not None else 0.0)
        total.append(servers * each)
    return math.fsum(total)


def _units(check: _Check) -> None:
    """No value is so far from any real one that its unit must be wrong."""
    for issue in absurd_issues(check.scenario):
        check.refuse(issue.at, issue.got, issue.expected, issue.hint)


def _network_room(check: _Check) -> None:
    """A network of a given size has room for the servers."""
    servers = sum(count for _, count, _ in server_groups(check.scenario))
    for issue in room_issues(check.scenario.network, servers):
        check.refuse(("network", *issue.at), issue.got, issue.expected, issue.hint)


def _accelerator_names(check: _Check) -> None:
    """Every accelerator named exists."""
    if check.catalogue is None:
        return
    known = tuple(check.catalogue)
    for path, _, group in server_groups(check.scenario):
        if group.accelerator is not None and group.accelerator not in check.catalogue:
            hint = nearest(group.accelerator, known) or "describe it under `accelerators`"
            expected = f"an accelerator: {', '.join(known)}"
            check.refuse((*path, "accelerator"), repr(group.accelerator), expected, hint)
    for name in check.scenario.embodied.accelerator_kg:
        if name not in check.catalogue:
            expected = f"an accelerator: {', '.join(known)}"
            check.refuse(("embodied", "accelerator_kg", name), repr(name), expected, nearest(name, known))


def _profile_names(check: _Check) -> None:
    """Every cost profile named exists; the kinds of a rate table are known only once it is read."""
    if check.scenario.rates is not None:
        return
    known = sorted({*check.known_profiles, *check.scenario.profiles})
    workload = check.scenario.workload
    named: list[tuple[tuple[str | int, ...], str]] = []
    if isinstance(workload, GeneratedWorkloadSpec):
        named = [(("workload", "mix", i, "profile"), kind.profile) for i, kind in enumerate(workload.mix)]
    elif workload.profile is not None:
        named = [(("workload", "profile"), workload.profile)]
    for path, name in named:
        if name not in known:
            hint = nearest(name, known) or "add it under `profiles`"
            check.refuse(path, repr(name), f"a cost profile: {', '.join(known) or 'none is built in'}", hint)


def _policy_names(check: _Check) -> None:
    """Every policy named is registered."""
    policies = check.scenario.policies
    for kind, known in check.known_policies.items():
        choice = getattr(policies, kind)
        if not isinstance(choice, PolicyChoice):
            continue
        for name in choice.parts if kind == "energy" else (choice.name,):
            if name not in known:
                expected = f"one of {', '.join(sorted(known))}"
                check.refuse(("policies", kind), repr(name), expected, nearest(name, known))


def _weather_site(check: _Check) -> None:
    """The site named has a built-in climate."""
    weather = check.scenario.weather
    known = check.known_sites
    if known is None or not isinstance(weather, SiteWeatherSpec) or weather.site in known:
        return
    expected = f"one of {', '.join(sorted(known))}"
    check.refuse(("weather", "site"), repr(weather.site), expected, nearest(weather.site, known))


def _widths(check: _Check) -> None:
    """No gang is wider than the largest pool of equal accelerators: it would wait for ever."""
    workload = check.scenario.workload
    if isinstance(workload, TraceWorkloadSpec):
        return
    pools: dict[str, int] = {}
    for _, servers, group in server_groups(check.scenario):
        if group.accelerator is not None:
            pools[group.accelerator] = pools.get(group.accelerator, 0) + servers * group.accelerators
    largest = max(pools.values(), default=0)
    for i, kind in enumerate(workload.mix):
        for width in kind.widths:
            if width > largest:
                name = max(pools, key=lambda model: pools[model], default="")
                hint = (
                    f"the cluster has {largest:,} of {name}" if pools else "the cluster has no accelerators"
                )
                expected = f"at most {largest:,}, the largest pool of equal accelerators"
                check.refuse(
                    ("workload", "mix", i, "widths", width), f"{width:,} accelerators", expected, hint
                )


def _sleep_power(check: _Check) -> None:
    """A sleeping server draws no more than an idle one."""
    if check.catalogue is None:
        return
    for path, _, group in server_groups(check.scenario):
        device = check.catalogue.get(group.accelerator or "")
        idle_w = group.idle_power_w + (
            group.accelerators * device.idle_power_w if device is not None else 0.0
        )
        if group.sleep_power_w > idle_w and (device is not None or not group.accelerators):
            hint = (
                "set `sleep_power_w`; its default is 30 W"
                if "sleep_power_w" not in group.model_fields_set
                else ""
            )
            got, expected = _watts(group.sleep_power_w), f"at most the server's idle power ({_watts(idle_w)})"
            check.refuse((*path, "sleep_power_w"), got, expected, hint)


def _cooling_control(check: _Check) -> None:
    """A policy of the hall's air does not decide so often that the run would not end."""
    horizon_s, choice = check.scenario.horizon_s, check.scenario.policies.cooling
    interval_s = choice.parameters.get("interval_s")
    if horizon_s is None or isinstance(interval_s, bool) or not isinstance(interval_s, int | float):
        return
    if 0.0 < interval_s * _MOST_DECISIONS < horizon_s:
        expected = f"at least {horizon_s / _MOST_DECISIONS:.3g} s for a horizon_s of {horizon_s:.3g} s"
        hint = f"{_MOST_DECISIONS:,} decisions are the most; an hour is usual"
        check.refuse(("policies", "cooling", "parameters", "interval_s"), f"{interval_s:g} s", expected, hint)


def _cooling_capacity(check: _Check) -> None:
    """The plant can remove the heat of an idle hall."""
    capacity_w = check.scenario.cooling.capacity_w
    if check.catalogue is None or capacity_w is None:
        return
    idle_w = idle_it_power_w(check.scenario, check.catalogue)
    if capacity_w <= idle_w:
        hint = "the hall would heat up without end; leave it out for 1.25 times the peak heat"
        check.refuse(
            ("cooling", "capacity_w"), _watts(capacity_w), f"more than the idle heat ({_watts(idle_w)})", hint
        )


def _demand_response(check: _Check) -> None:
    """Events leave room for idle servers, and begin before the run ends."""
    if check.catalogue is None:
        return
    scenario = check.scenario
    idle_w = idle_it_power_w(scenario, check.catalogue)
    ends_s = math.inf if scenario.horizon_s is None else scenario.horizon_s
    for issue in demand_response_issues(scenario.grid.demand_response, idle_w, ends_s):
        check.refuse(("grid", "demand_response", *issue.at), issue.got, issue.expected, issue.hint)


def _power_ratings(check: _Check) -> None:
    """Every stage of the power chain can carry the idle draw, its redundant modules having failed."""
    if check.catalogue is None:
        return
    output_w = idle_it_power_w(check.scenario, check.catalogue)
    for i, stage in enumerate(check.scenario.power.stages):
        past_w = min(stage.bypass_power_w, output_w)
        carried_w, rated_w = output_w - past_w, stage.rated_power_w
        if rated_w is not None and rated_w < carried_w:
            expected = f"at least the idle draw it carries ({_watts(carried_w)})"
            hint = "leave it out for 1.25 times the peak"
            check.refuse(("power", "stages", i, "rated_power_w"), _watts(rated_w), expected, hint)
            continue
        output_w = past_w + _least_input_w(stage, carried_w)


def _least_input_w(stage: PowerStageSpec, output_w: float) -> float:
    """Return what a stage takes at its input, W; the least it may where its rating or units follow from the peak."""
    if stage.efficiency is not None:
        units = stage.units or (0 if stage.unit_peak_w is not None else 1)
        return (output_w + units * stage.unit_overhead_w) / stage.efficiency
    if stage.rated_power_w is None:
        return output_w * (1.0 + stage.loss_linear)
    installed_w = stage.rated_power_w * stage.installed_ratio
    load = output_w / installed_w
    loss = stage.loss_constant + stage.loss_linear * load + stage.loss_quadratic * load * load
    return output_w + installed_w * loss


def _power_tree(check: _Check) -> None:
    """The power tree feeds every rack once, and carries the idle draw."""
    tree = check.scenario.power.tree
    if check.catalogue is None or tree is None:
        return
    racks, idle_w, peaks_w = check.scenario.cluster.racks, list[float](), dict[str, float]()
    for rack in racks:
        each_w = 0.0
        for group in rack.servers:
            device = check.catalogue.get(group.accelerator or "")
            idle, peak = group.idle_power_w, group.peak_power_w
            if device is not None:
                idle += group.accelerators * device.idle_power_w
                peak += group.accelerators * device.peak_power_w
            each_w += group.count * idle
            peaks_w[rack.name] = max(peaks_w.get(rack.name, 0.0), peak)
        idle_w += [each_w] * rack.count
    groups = [(rack.name, rack.count) for rack in racks]
    for issue in power_tree_issues(tree, groups, idle_w, peaks_w):
        check.refuse(("power", "tree", *issue.at), issue.got, issue.expected, issue.hint)


def _power_budget(check: _Check) -> None:
    """A budget is not below what idle servers draw."""
    budget_w = check.scenario.power.budget_w
    if check.catalogue is None or budget_w is None:
        return
    idle_w = idle_it_power_w(check.scenario, check.catalogue)
    if budget_w <= idle_w:
        hint = "no cap can keep to it; is it in W, not in kW?"
        expected = f"more than the idle draw ({_watts(idle_w)})"
        check.refuse(("power", "budget_w"), _watts(budget_w), expected, hint)


def _onsite(check: _Check) -> None:
    """Panels have a place and a sky, and a battery's policy has a battery."""
    scenario = check.scenario
    weather = scenario.weather
    located = isinstance(weather, SiteWeatherSpec) or (
        isinstance(weather, FileWeatherSpec) and weather.path.lower().endswith(".epw")
    )
    policy = scenario.policies.battery.name
    for issue in onsite_issues(scenario.onsite, policy, located=located, clearness_known=located):
        check.refuse(("onsite", *issue.at), issue.got, issue.expected, issue.hint)
    for issue in export_price_issues(scenario.grid, scenario.onsite.export_price_usd_per_j):
        check.refuse(issue.at, issue.got, issue.expected, issue.hint)


def _room(check: _Check) -> None:
    """The room's layout goes with the racks."""
    for issue in recirculation_issues(check.scenario):
        check.refuse(issue.at, issue.got, issue.expected, issue.hint)


def _data_files(check: _Check) -> None:
    """Every data file exists, lies in an allowed folder, and is not absurdly large."""
    for path, text in referenced_files(check.scenario):
        try:
            found = resolve_data_path(check.base_dir, text)
        except ScenarioError as error:
            for problem in error.problems:
                check.refuse(path, problem.got, problem.expected, problem.hint)
            continue
        size, limit = found.stat().st_size, _MAX_FILE_BYTES[path[0]]
        if size > limit:
            got = format_quantity(size, Quantity.SIZE)
            check.refuse(
                path, f"{text!r} of {got}", f"a file of at most {format_quantity(limit, Quantity.SIZE)}"
            )
        elif size == 0:
            check.refuse(path, f"{text!r}, an empty file", "a file with data")


def _watts(power_w: float) -> str:
    """Return a power as people read it."""
    return format_quantity(power_w, Quantity.POWER)


_RULES: tuple[Callable[[_Check], None], ...] = (
    _units,
    _accelerator_names,
    _profile_names,
    _policy_names,
    _network_room,
    _weather_site,
    _widths,
    _sleep_power,
    _cooling_capacity,
    _cooling_control,
    _power_ratings,
    _demand_response,
    _power_tree,
    _power_budget,
    _onsite,
    _room,
    _data_files,
)
