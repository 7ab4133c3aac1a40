"""Commands that only show: hardware, policies, profiles, traces and versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.imports import InFile, TraceFormat
from dcsim.cli.tables import print_table

if TYPE_CHECKING:
    from dcsim.facility.hardware import Accelerator

__all__ = ["describe_trace", "hardware", "policies", "show_profile", "version"]

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One accelerator, with its sources.")]
Form = Annotated[
    TraceFormat,
    typer.Option("--format", metavar="FORMAT", help="Of the file: native, or another that `import` takes."),
]
ProfileFile = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON file, or the name of a profile kept in dcsim.")
]


def hardware(name: Name = None) -> None:
    """List the accelerators that scenarios can name.

    With NAME, each figure of one and its source.
    """
    from dcsim.facility.hardware import CATALOGUE

    if name is None:
        print_table(
            "Hardware catalogue: dense peaks in TFLOP/s, memory and link in one direction",
            _CATALOGUE_COLUMNS,
            [_catalogue_row(accelerator) for accelerator in CATALOGUE.values()],
        )
        typer.echo("Each figure's source: dcsim hardware NAME")
        return
    if name not in CATALOGUE:
        raise typer.BadParameter(f"{name!r} is not in the catalogue; known are {', '.join(CATALOGUE)}")
    rows, sources = _sourced_rows(CATALOGUE[name])
    print_table(f"{name} ({CATALOGUE[name].kind})", ["figure", ">value", "source"], rows)
    print_table("Sources", [">", "source"], sources)


_CATALOGUE_COLUMNS = (
    "name",
    ">fp32",
    ">16-bit",
    ">8-bit",
    ">memory GB",
    ">memory GB/s",
    ">link GB/s",
    ">idle W",
    ">peak W",
)


def _catalogue_row(accelerator: Accelerator) -> list[str]:
    def fastest(*precisions: str) -> str:
        rates = [accelerator.peak_flop_per_s.get(precision, 0.0) for precision in precisions]
        return f"{max(rates) / 1e12:,.4g}" if any(rates) else "-"

    return [
        accelerator.name,
        fastest("fp32"),
        fastest("bf16", "fp16"),
        fastest("fp8", "int8"),
        f"{accelerator.memory_bytes / 1e9:.4g}",
        f"{accelerator.memory_bandwidth_bytes_per_s / 1e9:,.4g}",
        f"{accelerator.link_bandwidth_bytes_per_s / 1e9:,.4g}",
        f"{accelerator.idle_power_w:.4g}",
        f"{accelerator.peak_power_w:,.4g}",
    ]


def _sourced_rows(accelerator: Accelerator) -> tuple[list[list[str]], list[list[str]]]:
    """Return the figures, each with the number of its source, and the numbered sources."""
    from dcsim.units import Quantity, format_quantity, format_si

    given, curve = accelerator.sources, accelerator.cap_curve
    rates = accelerator.peak_flop_per_s.items()
    figures = [
        (f"peak {name}", format_si(rate, "FLOP/s"), given.get("peak_flop_per_s", "")) for name, rate in rates
    ]
    for label, field, quantity in (
        ("memory", "memory_bytes", Quantity.SIZE),
        ("memory bandwidth", "memory_bandwidth_bytes_per_s", Quantity.BANDWIDTH),
        ("link bandwidth", "link_bandwidth_bytes_per_s", Quantity.BANDWIDTH),
        ("idle power", "idle_power_w", Quantity.POWER),
        ("peak power", "peak_power_w", Quantity.POWER),
    ):
        figures.append((label, format_quantity(getattr(accelerator, field), quantity), given.get(field, "")))
    caps = f"held from {accelerator.least_cap:.3g} of the peak"
    figures.append(("power under a cap", caps, curve.source))
    numbers = {
        source: number for number, source in enumerate(dict.fromkeys(row[2] for row in figures), start=1)
    }
    rows = [[label, value, f"[{numbers[source]}]"] for label, value, source in figures]
    return rows, [[f"[{number}]", source] for source, number in numbers.items()]


def policies() -> None:
    """List the policies that scenarios can name, with parameters and sources."""
    import inspect

    from dcsim.policies import POLICY_KINDS, known_policies
    from dcsim.policies.registry import ROUTING

    rows = []
    for kind in (*POLICY_KINDS, ROUTING):
        for name, policy in sorted(known_policies(kind).items()):
            parameters = inspect.signature(policy).parameters.values()
            given = ", ".join(f"{item.name}={item.default}" for item in parameters) or "-"
            aim, source = (getattr(policy, fact, "not said") for fact in ("optimises", "source"))
            rows.append([kind, name, given, f"{aim} ({source})"])
    print_table("Policies", ["decides", "name", "parameters", "aims at (source)"], rows)


def describe_trace(file: InFile, *, form: Form = TraceFormat.NATIVE) -> None:
    """Say what is in a trace: jobs, widths, run times, arrivals, accelerator time."""
    from dcsim.workload.describe import describe
    from dcsim.workload.readers import read_trace

    facts = describe(read_trace(file, form.value))
    rows = [[fact.section, fact.name, _figure(fact.value), fact.unit] for fact in facts]
    print_table(str(file), ["about", "what", ">value", "unit"], rows)


def _figure(value: float | str) -> str:
    """Return a figure to six digits, thousands apart.

    >>> _figure(82248), _figure(1.23456789), _figure("default")
    ('82,248', '1.23457', 'default')
    """
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def show_profile(file: ProfileFile) -> None:
    """Show a cost profile: what a step costs, how well the fit holds, and where it was measured."""
    from dcsim.workload.profile_store import builtin_profiles, load_profile

    path = builtin_profiles().get(file, Path(file))
    profile, sha256 = load_profile(path)
    fit, made = profile.fit, profile.provenance
    error = "none" if fit.held_out_error_relative is None else f"{fit.held_out_error_relative:.1%}"
    rows = [
        ["description", profile.description],
        ["measured on", f"{profile.device} ({made.host_cpu}, {made.host_cores} cores), {made.created_utc}"],
        ["by", made.command],
        ["parameters", f"{profile.parameters:,}"],
        ["FLOP a sample", f"{profile.flops_per_sample:,.4g}"],
        ["input a sample", f"{profile.input_bytes_per_sample:,.4g} B"],
        ["checkpoint", f"{profile.checkpoint_bytes:,.4g} B"],
        ["all-reduce a step", f"{profile.collectives.all_reduce_bytes:,.0f} B"],
        [
            "step time",
            f"{fit.overhead_s:.3g} s + {fit.per_sample_s:.3g} s x batch + {fit.per_device_s:.3g} s x (devices - 1)",
        ],
        [
            "fitted on",
            f"{fit.devices_min} to {fit.devices_max} devices, batch {fit.batch_per_device_min} to {fit.batch_per_device_max}",
        ],
        ["error of the fit", f"{fit.residual_relative:.1%} on the fitted points, {error} held out"],
        ["energy a step", _energy(profile.energy.energy_per_step_j, profile.energy.method)],
        ["sha256", sha256],
    ]
    print_table(f"{profile.name} ({path})", ["what", "value"], rows)


def _energy(energy_j: float | None, method: str) -> str:
    return method if energy_j is None else f"{energy_j:.3g} J ({method})"


def version() -> None:
    """Print the versions of dcsim and of Python."""
    import platform
    from importlib.metadata import version as installed

    typer.echo(f"dcsim {installed('dcsim')} (Python {platform.python_version()})")
