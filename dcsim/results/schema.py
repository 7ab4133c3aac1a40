"""What a run leaves: every column of every table, with its type, unit and meaning, in one place.

This table drives the Parquet schemas, the checks on reading and the reference in docs/.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ACCOUNT",
    "ATTRIBUTED",
    "EVENTS",
    "JOBS",
    "LINKS",
    "RESULT_VERSION",
    "SERIES",
    "SUMMARY",
    "TIERS",
    "TIMES",
    "Column",
]

RESULT_VERSION = 3
"""Version 1 had no links, no tiers and no times of jobs, version 2 no account of the facility."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result table."""

    name: str
    dtype: str
    """float64, int64, int32, int16, bool or text."""
    unit: str
    """"" for counts, names and ratios."""
    meaning: str


TIMES = (
    Column("queue_s", "float64", "s", "waiting for servers: before the first attempt and between attempts"),
    Column("wake_s", "float64", "s", "holding servers that wake"),
    Column("compute_s", "float64", "s", "computing steps that count, at the speed without a power cap"),
    Column("throttled_s", "float64", "s", "added to them by a power cap"),
    Column(
        "communication_s",
        "float64",
        "s",
        "exchange of steps that count that computing does not hide, with nobody else on the links, and stages of a"
        " pipeline waiting for each other",
    ),
    Column("network_stall_s", "float64", "s", "lost because links are shared with other traffic"),
    Column("data_stall_s", "float64", "s", "lost because input comes more slowly than steps use it up"),
    Column("neighbour_stall_s", "float64", "s", "lost to other jobs on the same device"),
    Column("checkpoint_s", "float64", "s", "writing checkpoints"),
    Column("restore_s", "float64", "s", "starting up and loading checkpoints"),
    Column("redone_s", "float64", "s", "spent on steps that were lost and done again"),
    Column("idle_s", "float64", "s", "holding servers, done with the steps of a scheduling round"),
)
"""What each second of a job's own time from submission to end went into, whatever its width: together they
are `jct_s` of a completed job, and the time from submission to the end of the run of one that goes on."""

ATTRIBUTED = (
    Column("facility_energy_j", "float64", "J", "energy at the meter attributed to the job"),
    Column("carbon_kg", "float64", "kg", "CO2-equivalent attributed to the job, location-based, operational"),
    Column("cost_usd", "float64", "USD", "part of the bill attributed to the job"),
    Column("water_l", "float64", "L", "water attributed to the job"),
)
"""What jobs answer for: their own IT energy, with the idle power of the parts of servers that they held, times what
the facility spent for each joule of IT energy meanwhile.
With what nobody answers for (`unattributed_...` of the account) they add up to the meter."""

JOBS = (
    Column("job_id", "text", "", "name of the job"),
    Column("tenant", "text", "", "who submitted it"),
    Column("profile", "text", "", "cost profile, empty for pure run time"),
    Column(
        "status",
        "text",
        "",
        "completed, timed out, cancelled (one it waits for was not completed), running, waiting or not submitted"
        " yet at the end of the run",
    ),
    Column("submit_s", "float64", "s", "arrival"),
    Column("eligible_s", "float64", "s", "earliest start the energy policy allowed"),
    Column("start_s", "float64", "s", "resources first granted (wake-up included in the run); NaN if never"),
    Column("end_s", "float64", "s", "work done, time limit reached or cancelled; NaN if not"),
    Column("wait_s", "float64", "s", "start - submit"),
    Column("jct_s", "float64", "s", "job completion time: end - submit; NaN if not completed"),
    Column(
        "ideal_s",
        "float64",
        "s",
        "run time alone, uncapped, on the fewest servers of the fastest suitable type",
    ),
    Column("accelerators", "int32", "", "gang width"),
    Column("servers", "int32", "", "servers the gang spans, in its last attempt"),
    Column("racks", "int32", "", "racks the gang spans"),
    Column("first_server", "int32", "", "lowest server index of the placement; -1 if never placed"),
    Column(
        "power_cap_fraction",
        "float64",
        "",
        "accelerator cap over peak power, the mean over the time that accelerators were held where it changes",
    ),
    Column("energy_j", "float64", "J", "IT energy above idle attributed to the job"),
    *ATTRIBUTED,
    Column("steps", "float64", "", "steps done that count; seconds at full speed where it has no profile"),
    Column("network_bytes", "float64", "B", "sent between servers for its collectives"),
    Column("input_bytes", "float64", "B", "read as training input"),
    Column("attempts", "int32", "", "times it was granted resources"),
    Column("deadline_s", "float64", "s", "when it should be done, absolute; NaN: no deadline"),
    Column(
        "productive_accelerator_s",
        "float64",
        "s",
        "accelerator-seconds at its own rate, for steps that count",
    ),
    Column("checkpoint_accelerator_s", "float64", "s", "accelerator-seconds of writing checkpoints"),
    Column("restore_accelerator_s", "float64", "s", "accelerator-seconds of loading checkpoints"),
    Column(
        "redone_accelerator_s",
        "float64",
        "s",
        "accelerator-seconds at its own rate, for steps that were lost",
    ),
    Column(
        "stalled_accelerator_s",
        "float64",
        "s",
        "accelerator-seconds lost to shared links, slow input and neighbours on the device",
    ),
    Column("waiting_accelerator_s", "float64", "s", "accelerator-seconds of waiting for servers to wake"),
    Column("extrapolated", "bool", "", "its cost profile was used outside what was measured"),
    *TIMES,
)

EVENTS = (
    Column("time_s", "float64", "s", "when"),
    Column("kind", "int16", "", "index into the manifest's event_kinds"),
    Column("job", "int32", "", "row of jobs.parquet; -1 if none"),
    Column("server", "int32", "", "server index; -1 if none"),
    Column("value", "float64", "", "what the kind says: accelerators granted, steps/s, W, ..."),
)

SERIES = (
    Column("time_s", "float64", "s", "start of the bin"),
    Column("duration_s", "float64", "s", "width of the bin"),
    Column("it_power_w", "float64", "W", "servers, storage and network; mean of the bin"),
    Column("cooling_power_w", "float64", "W", "chillers, fans, pumps, towers"),
    Column("loss_power_w", "float64", "W", "conversion losses of the power chain"),
    Column("facility_power_w", "float64", "W", "at the meter"),
    Column("pue", "float64", "", "facility over IT energy of the bin"),
    Column(
        "import_power_w",
        "float64",
        "W",
        "bought from the grid: facility, less what is made or stored on site",
    ),
    Column("solar_power_w", "float64", "W", "made on site, curtailed or not"),
    Column("battery_power_w", "float64", "W", "into the battery; negative: out of it"),
    Column("stored_j", "float64", "J", "in the battery, at the end of the bin"),
    Column("carbon_kg_per_s", "float64", "kg/s", "location-based emission rate of what is bought"),
    Column("carbon_intensity_kg_per_j", "float64", "kg/J", "grid intensity, time mean"),
    Column("price_usd_per_j", "float64", "USD/J", "energy price, time mean"),
    Column(
        "cost_usd_per_s", "float64", "USD/s", "rate of the bill: energy, and demand and fixed charges spread"
    ),
    Column("water_l_per_s", "float64", "L/s", "tower make-up"),
    Column("supply_temperature_deg_c", "float64", "degC", "air from the plant, mean"),
    Column("hall_temperature_deg_c", "float64", "degC", "hall return air, mean"),
    Column(
        "hottest_inlet_deg_c", "float64", "degC", "air into the hottest rack, mean; supply air without a room"
    ),
    Column("dry_bulb_deg_c", "float64", "degC", "outdoors"),
    Column("wet_bulb_deg_c", "float64", "degC", "outdoors"),
    Column("busy_accelerators", "float64", "", "granted devices, mean"),
    Column("running_jobs", "float64", "", "mean"),
    Column("waiting_jobs", "float64", "", "submitted but not started, mean"),
)

LINKS = (
    Column("time_s", "float64", "s", "start of the bin"),
    Column("duration_s", "float64", "s", "width of the bin"),
    Column("link", "int32", "", "index into the manifest's links"),
    Column("bytes", "float64", "B", "carried in the bin; over duration_s x capacity it is the utilisation"),
)

TIERS = (
    Column("time_s", "float64", "s", "start of the bin"),
    Column("duration_s", "float64", "s", "width of the bin"),
    Column("tier", "text", "", "kind of links: those of servers, of racks, of storage, ..."),
    Column("tenant", "text", "", "whose traffic; empty: nobody's, such as that of a rebuild"),
    Column("bytes", "float64", "B", "carried in the bin by all links of the tier; counted on each link"),
    Column("capacity_bytes_per_s", "float64", "B/s", "of all links of the tier together"),
    Column(
        "unit",
        "text",
        "",
        "B; or operations, where the tier is limited in these (metadata, requests): then they stand in place of bytes",
    ),
)

SUMMARY = (
    Column("placement", "text", "", "placement policy"),
    Column("energy", "text", "", "energy policy"),
    Column("seed", "int64", "", "of the named random streams"),
    Column("jct_mean_s", "float64", "s", "mean job completion time of completed jobs"),
    Column("jct_p95_s", "float64", "s", "95th percentile, linear interpolation"),
    Column("wait_mean_s", "float64", "s", "mean start - submit of started jobs"),
    Column("makespan_s", "float64", "s", "first submit to last end"),
    Column(
        "accelerator_utilisation",
        "float64",
        "",
        "granted accelerator-seconds over all accelerator-seconds of the run",
    ),
    Column("energy_it_j", "float64", "J", "servers, storage, network"),
    Column("energy_facility_j", "float64", "J", "at the meter"),
    Column("pue", "float64", "", "energy_facility_j / energy_it_j"),
    Column("carbon_kg", "float64", "kg", "CO2-equivalent of what is bought, location-based, operational"),
    Column(
        "carbon_embodied_kg", "float64", "kg", "CO2-equivalent of making the hardware, the run's part by time"
    ),
    Column(
        "cost_usd", "float64", "USD", "the whole bill: energy, demand, fixed charges, wear, less what is sold"
    ),
    Column(
        "peak_import_w", "float64", "W", "largest mean of a metering interval (15 min), bought from the grid"
    ),
    Column("water_l", "float64", "L", "evaporation, blow-down and drift"),
    Column("jobs_completed", "int64", "", "jobs whose work was done"),
    Column(
        "preemptions",
        "int64",
        "",
        "attempts that were stopped to go on later, those running at the end aside",
    ),
    Column(
        "productive_fraction",
        "float64",
        "",
        "accelerator-seconds at jobs' own rates, for steps that count, over all granted (training goodput)",
    ),
    Column(
        "deadlines_met_fraction",
        "float64",
        "",
        "jobs completed by their deadline over jobs whose deadline is within the run; NaN without any",
    ),
    Column(
        "network_stall_fraction",
        "float64",
        "",
        "accelerator-seconds lost because links are shared, over all granted",
    ),
    Column(
        "data_stall_fraction",
        "float64",
        "",
        "accelerator-seconds lost because input comes too slowly, over all granted",
    ),
)

ACCOUNT = (
    Column("energy_it_j", "float64", "J", "servers, storage, network"),
    Column("energy_cooling_j", "float64", "J", "the five parts that follow"),
    Column("energy_air_mover_j", "float64", "J", "fans of the hall's air handlers"),
    Column("energy_compressor_j", "float64", "J", "chillers and direct expansion"),
    Column("energy_pump_j", "float64", "J", "pumps"),
    Column("energy_tower_fan_j", "float64", "J", "fans of towers and dry coolers"),
    Column("energy_other_cooling_j", "float64", "J", "sprays, humidifiers, controls"),
    Column("energy_loss_j", "float64", "J", "lost in the power chain"),
    Column("energy_auxiliary_j", "float64", "J", "neither IT nor cooling: lighting, offices"),
    Column("energy_facility_j", "float64", "J", "all of the above"),
    Column("energy_import_j", "float64", "J", "bought from the grid"),
    Column("energy_export_j", "float64", "J", "sold to the grid"),
    Column("energy_solar_j", "float64", "J", "made on site, curtailed or not"),
    Column("energy_curtailed_j", "float64", "J", "made on site without use"),
    Column("energy_charged_j", "float64", "J", "into the battery"),
    Column("energy_discharged_j", "float64", "J", "out of the battery"),
    Column("energy_stored_change_j", "float64", "J", "in the battery at the end, less that at the start"),
    Column(
        "pue",
        "float64",
        "",
        "power usage effectiveness, facility over IT energy (ISO/IEC 30134-2); losses of a battery are not in it",
    ),
    Column("ppue_cooling", "float64", "", "partial PUE of cooling, (IT + cooling) over IT (ISO/IEC 30134-2)"),
    Column(
        "ppue_power", "float64", "", "partial PUE of the power chain, (IT + losses) over IT (ISO/IEC 30134-2)"
    ),
    Column(
        "wue_l_per_j", "float64", "L/J", "water usage effectiveness, water over IT energy (ISO/IEC 30134-9)"
    ),
    Column(
        "cue_kg_per_j",
        "float64",
        "kg/J",
        "carbon usage effectiveness, carbon over IT energy (ISO/IEC 30134-8)",
    ),
    Column("erf", "float64", "", "energy reuse factor, reused heat over facility energy (ISO/IEC 30134-6)"),
    Column("ere", "float64", "", "energy reuse effectiveness, PUE (1 - ERF) (The Green Grid)"),
    Column("iteu_sv", "float64", "", "mean CPU utilisation of all servers (ISO/IEC 30134-5)"),
    Column(
        "free_cooling_fraction",
        "float64",
        "",
        "part of the heat that left without a compressor, mean over time",
    ),
    Column("heat_removed_j", "float64", "J", "from the hall, by the plant"),
    Column("heat_rejected_j", "float64", "J", "to the surroundings"),
    Column("heat_reused_j", "float64", "J", "by somebody who has use for it"),
    Column("water_l", "float64", "L", "taken in by towers and sprays"),
    Column("evaporated_l", "float64", "L", "of that, evaporated"),
    Column(
        "carbon_kg",
        "float64",
        "kg",
        "CO2-equivalent of what is bought, location-based (GHG Protocol scope 2)",
    ),
    Column("carbon_market_kg", "float64", "kg", "the same, market-based; NaN: the scenario has no contracts"),
    Column(
        "carbon_marginal_kg",
        "float64",
        "kg",
        "at the marginal intensity; NaN: the scenario has no such series",
    ),
    Column(
        "carbon_lifecycle_kg",
        "float64",
        "kg",
        "at the life-cycle intensity; NaN: the scenario has no such series",
    ),
    Column(
        "carbon_embodied_kg",
        "float64",
        "kg",
        "of making the hardware, the run's part by time (ISO/IEC 21031)",
    ),
    Column("cost_usd", "float64", "USD", "the whole bill"),
    Column("cost_energy_usd", "float64", "USD", "of that, energy"),
    Column("cost_demand_usd", "float64", "USD", "of that, demand charges"),
    Column("cost_fixed_usd", "float64", "USD", "of that, fixed charges"),
    Column("cost_wear_usd", "float64", "USD", "of that, wear of the battery"),
    Column("export_credit_usd", "float64", "USD", "taken off for energy sold"),
    Column("battery_wear_fraction", "float64", "", "of the battery's life used up"),
    Column("peak_facility_w", "float64", "W", "largest power of the facility"),
    Column(
        "peak_import_w", "float64", "W", "largest mean of a metering interval (15 min), bought from the grid"
    ),
    Column("energy_over_limit_j", "float64", "J", "imported above what demand response asked for"),
    Column("peak_hall_deg_c", "float64", "degC", "hottest return air"),
    Column("hottest_inlet_deg_c", "float64", "degC", "hottest air into a rack; NaN without a room"),
    Column("seconds_above_capacity", "float64", "s", "for which the plant could not remove all heat"),
    Column(
        "seconds_above_rating", "float64", "s", "for which some node of the power tree was above its rating"
    ),
    Column("seconds_above_budget", "float64", "s", "for which all IT equipment drew more than its budget"),
    Column("energy_above_budget_j", "float64", "J", "drawn by IT equipment above its budget"),
    Column(
        "unattributed_facility_energy_j",
        "float64",
        "J",
        "energy that no job answers for: free servers, network, storage",
    ),
    Column("unattributed_carbon_kg", "float64", "kg", "carbon that no job answers for"),
    Column("unattributed_cost_usd", "float64", "USD", "part of the bill that no job answers for"),
    Column("unattributed_water_l", "float64", "L", "water that no job answers for"),
)
"""The facility's account of one run, one row."""
