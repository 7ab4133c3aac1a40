"""A profile as text for people."""

from __future__ import annotations

from dcsim.workload.profile import CostProfile, StepTimeFit

__all__ = ["describe"]


def describe(profile: CostProfile) -> str:
    """Return a profile's main figures as lines of text."""
    fit, origin = profile.fit, profile.provenance
    held_out = "none" if fit.held_out_error_relative is None else f"{fit.held_out_error_relative:.1%}"
    lines = [
        f"{profile.name}: {profile.description}",
        f"parameters     {profile.parameters:,} ({profile.optimizer})",
        f"a sample       {profile.flops_per_sample:,.0f} FLOP, {profile.input_bytes_per_sample:,.0f} B of input",
        f"all-reduce     {profile.collectives.all_reduce_bytes:,.0f} B a step",
        f"memory         {profile.memory_bytes_per_device:,.0f} B a device, checkpoint {profile.checkpoint_bytes:,.0f} B",
        f"fit            {_formula(fit)}",
        f"               residual {fit.residual_relative:.1%}, held out {held_out}",
        f"energy         {_energy(profile)}",
        f"measured       {origin.created_utc}, {origin.host_cores} x {origin.host_cpu}",
        f"load average   {origin.load_average_start} before, {origin.load_average_end} after",
        *(f"warning        {text}" for text in origin.warnings),
        "mode  devices  batch   step ms      p10      p90   CPU ms  spread  compile s",
    ]
    lines += [
        f"{point.mode:<5} {point.devices:7d} {point.batch_per_device:6d} {_ms(point.step_time_s)}"
        f"{_ms(point.step_time_low_s)}{_ms(point.step_time_high_s)}{_ms(point.cpu_time_per_step_s)}"
        f"{_cell(point.split_half_spread, '8.1%')}{_cell(point.compile_time_s, '11.2f')}"
        for point in profile.points
    ]
    return "\n".join(lines)


def _ms(time_s: float | None) -> str:
    return _cell(None if time_s is None else time_s * 1e3, "9.3f")


def _cell(value: float | None, form: str) -> str:
    """Return a number in a form such as 9.3f, or as wide a dash where it is not known."""
    return f"{'-':>{int(form.split('.', maxsplit=1)[0])}}" if value is None else f"{value:{form}}"


def _formula(fit: StepTimeFit) -> str:
    terms = (
        f"{fit.overhead_s * 1e3:.3f} ms",
        f"{fit.per_sample_s * 1e6:.3f} us a sample",
        f"{fit.per_device_s * 1e3:.3f} ms a further device",
    )
    return f"{fit.mode}: " + " + ".join(terms)


def _energy(profile: CostProfile) -> str:
    joules = profile.energy.energy_per_step_j
    return profile.energy.method if joules is None else f"{joules:.4g} J a step ({profile.energy.method})"
