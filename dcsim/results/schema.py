"""What a run leaves: every column of every table, with its type, unit and meaning, in one place.

This table drives the Parquet schemas, the checks on reading and the reference in docs/.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVENTS", "JOBS", "LINKS", "RESULT_VERSION", "SERIES", "SUMMARY", "TIERS", "TIMES", "Column"]

RESULT_VERSION = 2
"""Version 1 had no links, no tiers and no times of jobs."""


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
    Column("power_cap_fraction", "float64", "", "accelerator cap over peak power"),
    Column("energy_j", "float64", "J", "IT energy above idle attributed to the job"),
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
    Column("carbon_kg_per_s", "float64", "kg/s", "location-based emission rate"),
    Column("carbon_intensity_kg_per_j", "float64", "kg/J", "grid intensity, time mean"),
    Column("price_usd_per_j", "float64", "USD/J", "energy price, time mean"),
    Column("cost_usd_per_s", "float64", "USD/s", "energy cost rate"),
    Column("water_l_per_s", "float64", "L/s", "tower make-up"),
    Column("hall_temperature_deg_c", "float64", "degC", "hall return air, mean"),
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
    Column("carbon_kg", "float64", "kg", "CO2-equivalent, location-based, operational"),
    Column("cost_usd", "float64", "USD", "energy at the price series"),
    Column("water_l", "float64", "L", "evaporation and blow-down"),
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
