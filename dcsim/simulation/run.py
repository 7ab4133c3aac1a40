"""run(scenario, seed) -> RunResult: the one way into the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dcsim.errors import SimulationError
from dcsim.facility.meter import Meter
from dcsim.results.run_result import RunResult
from dcsim.simulation.assemble import assemble
from dcsim.simulation.bins import bin_edges_s
from dcsim.simulation.cluster_run import ClusterRun
from dcsim.simulation.explaining import Observer
from dcsim.simulation.forecasting import make_forecast
from dcsim.simulation.guards import check_run
from dcsim.simulation.inputs import Policies, RunInputs, prepare
from dcsim.simulation.open_loop_record import run_open_loop
from dcsim.simulation.set_point_control import make_control, set_points_of
from dcsim.simulation.site_account import account_site
from dcsim.simulation.thermal_setup import own_flow_of
from dcsim.spec.scenario import MAX_HORIZON_S, Scenario
from dcsim.units import Quantity, format_quantity
from dcsim.workload.jobs import JobTable
from dcsim.workload.profile_store import JobCosts

__all__ = ["simulate"]


def simulate(
    scenario: Scenario,
    seed: int | None = None,
    *,
    base_dir: Path | None = None,
    guards: bool = False,
    profiles: Mapping[str, JobCosts] | None = None,
    policies: Policies | None = None,
    jobs: JobTable | None = None,
    progress: Callable[[int, int], object] | None = None,
    observer: Observer | None = None,
    allow_fmu: bool = False,
) -> RunResult:
    """Run one scenario with one seed.

    Args:
        scenario: what to simulate.
        seed: of the named random streams; None: the scenario's.
        base_dir: folder that relative paths in the scenario start from; None: the working folder.
        guards: also prove capacities and max-min fairness after every instant (slow), and at the end
            that the event log alone rebuilds the run. Energy and heat balances are always proven.
        profiles: cost profiles, or kinds of a rate table, by name, that go before the scenario's and the
            built-in ones.
        policies: policy objects instead of those the scenario names.
        jobs: a job table instead of the scenario's workload.
        progress: called now and then with (jobs done, jobs).
        observer: watches what holds one job back; the result is the same.
        allow_fmu: whether a cooling plant that is an FMU, native code, may be loaded and run.

    Returns:
        Tables, summary, balances and provenance; equal arguments give equal bytes.

    Raises:
        InputError: a file or value cannot be used; holds every problem found.
        PolicyError: a policy is unknown or broke its contract.
        SimulationError: deadlock, or a balance that does not close.
    """
    chosen_seed = scenario.seed if seed is None else seed
    folder = Path() if base_dir is None else base_dir
    inputs = prepare(scenario, chosen_seed, folder, profiles=profiles, policies=policies, jobs=jobs)
    meter = _meter(inputs, allow_fmu=allow_fmu)
    view = make_forecast(scenario, meter.grid, chosen_seed)
    control = make_control(inputs, meter.weather, meter.building.peak_it_w)
    # Guards prove each instant, and the open loop has none: only what it would have come to.
    watched = guards or observer is not None
    record = None if watched else run_open_loop(inputs, scenario.horizon_s, progress)
    if record is None:
        flow = own_flow_of(meter.building)
        run = ClusterRun(
            inputs, view, guards=guards, progress=progress, observer=observer, control=control, own_flow=flow
        )
        record = run.run_to(scenario.horizon_s)
    _refuse_endless(end_s := record.now_s)
    edges_s = bin_edges_s(end_s)
    set_points = set_points_of(record, control, end_s)
    account = account_site(inputs, record, meter, view, edges_s, set_points)
    if guards:
        check_run(record, end_s)
    return assemble(record, account, end_s, edges_s)


def _meter(inputs: RunInputs, *, allow_fmu: bool) -> Meter:
    """Return the meter of the facility around a run's IT equipment."""
    base_w = inputs.network.power_w + inputs.storage.power_w
    return Meter(
        inputs.scenario,
        peak_it_w=inputs.fleet.peak_power_w() + base_w,
        idle_it_w=float(inputs.fleet.idle_power_w.sum()) + base_w,
        base_dir=inputs.base_dir,
        allow_fmu=allow_fmu,
    )


def _refuse_endless(end_s: float) -> None:
    """Stop before a run of thousands of years is metered hour by hour: some link is a trickle."""
    if end_s > MAX_HORIZON_S:
        most = format_quantity(MAX_HORIZON_S, Quantity.DURATION)
        raise SimulationError(
            f"the last job ends after {format_quantity(end_s, Quantity.DURATION)}, more than {most}: "
            "look at the bandwidths of storage and network, or give horizon_s"
        )
