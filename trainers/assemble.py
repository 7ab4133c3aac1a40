"""A cost profile from readings: fit, surface, start-up, traffic, energy, and where all of it comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from dcsim.workload.profile import (
    CollectiveKind,
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    HeldOutPoint,
    Mode,
    OperatorCost,
    StartUp,
    StepTimeFit,
)
from trainers.energy import power_w
from trainers.fit import Sample, choose_held_out, fit_step_time, relative_errors
from trainers.host_noise import noise_relative
from trainers.provenance import provenance
from trainers.registry import card
from trainers.settings import Settings
from trainers.surface import ALIKE, Scatter, build_surface
from trainers.worker import Reading

__all__ = ["build_profile"]


def build_profile(
    settings: Settings,
    readings: Sequence[Reading],
    samples: Sequence[Sample],
    load_average_start: float,
    warnings: Sequence[str],
    scatter: Scatter = ALIKE,
) -> CostProfile:
    """Return the profile of a set of readings, of which one at least had a core for each device.

    Points with more devices than cores are kept, but neither fitted nor on the surface: they time the queue for a core.

    Args:
        settings: what was measured.
        readings: all of it.
        samples: those of them that are fitted, drift taken out.
        load_average_start: before measuring.
        warnings: what a reader must know.
        scatter: of the visits of a point.
    """
    points = tuple(reading.measured_point() for reading in readings)
    mode: Mode = next(point.mode for point in points if point.mode == settings.mode)
    fit, held_out = _fit(samples, mode, settings.seed)
    fitted = [reading for reading in readings if reading.point["mode"] == mode]
    largest = max(fitted, key=lambda reading: (reading.key[1], reading.devices))
    top = largest.measured_point()
    widest = max(readings, key=lambda reading: (reading.devices, reading.point["mode"] == "jit"))
    return CostProfile(
        name=settings.name,
        description=f"{card(settings.model).summary}; data parallel, step time without input, batch per device",
        device=settings.device,
        precision=settings.precision,
        parameters=widest.parameters,
        optimizer=card(settings.model).optimizer,
        flops_per_sample=(top.flops_per_device or 0.0) / top.batch_per_device or None,
        bytes_accessed_per_sample=(top.bytes_accessed_per_device or 0.0) / top.batch_per_device,
        input_bytes_per_sample=widest.sample_bytes,
        checkpoint_bytes=widest.checkpoint_bytes,
        dataset_bytes=widest.dataset_bytes,
        memory_bytes_per_device=max(reading.memory_bytes for reading in readings),
        collectives=_traffic(readings),
        points=points,
        fit=fit,
        surface=build_surface(samples, mode, noise_relative(fitted), scatter),
        held_out=held_out,
        energy=_energy(largest),
        operators=_operators(fitted),
        startup=_startup(fitted),
        provenance=provenance(
            command=settings.command(),
            dataset=widest.dataset,
            backend=settings.backend,
            seed=settings.seed,
            import_time_s=float(np.median([reading.process_s for reading in readings])),
            load_average_start=load_average_start,
            warnings=[*warnings, *_left_out(settings, readings)],
            device_kind=widest.device_kind,
            freed_memory=widest.freed_memory,
        ),
    )


def _left_out(settings: Settings, readings: Sequence[Reading]) -> list[str]:
    """Return a warning for each number of devices that had too few cores."""
    crowded = {reading.devices: reading.cores for reading in readings if settings.crowds(reading.devices)}
    return [
        f"{devices} devices shared {cores} cores: points not fitted" for devices, cores in crowded.items()
    ]


def _traffic(readings: Sequence[Reading]) -> CollectiveTraffic:
    """Return what devices send: all-reduces of copies that average their gradients, and whatever else was compiled.

    A mode that divides the state sends other things; a job of it has the same gradients to bring together.
    """
    copies = [each for each in readings if each.point["mode"] != "fsdp"] or list(readings)
    widest = max(copies, key=lambda each: (each.devices, each.point["mode"] == "jit", each.all_reduce_bytes))
    # Each mode and number of devices once: of the largest batch, where the compiler has most to choose from.
    largest = {
        (each.point["mode"], each.devices): each
        for each in sorted(readings, key=lambda each: (each.key[2], each.devices, each.key[1]))
    }
    return CollectiveTraffic(
        all_reduce_bytes=widest.all_reduce_bytes or 4.0 * (widest.parameters + 1),
        all_reduce_count=widest.all_reduce_count,
        compiled=tuple(CollectiveKind(**kind) for each in largest.values() for kind in each.collectives),
    )


def _operators(fitted: Sequence[Reading]) -> tuple[OperatorCost, ...]:
    """Return the operators of the largest batch on one device; none where one device was not measured."""
    alone = [reading for reading in fitted if reading.devices == 1]
    if not alone:
        return ()
    largest = max(alone, key=lambda reading: reading.key[1])
    return tuple(OperatorCost.model_validate(operator) for operator in largest.operators)


def _startup(fitted: Sequence[Reading]) -> StartUp:
    """Return what a job does before its first step; medians over the points of the fewest devices, in one mode.

    Steps for more devices may take longer to compile. Of the steps that warm up counts what they take
    longer than others do: a job makes its first steps as part of its work.
    """
    fewest = min(reading.devices for reading in fitted)
    alike = [reading for reading in fitted if reading.devices == fewest]
    return StartUp(
        process_s=float(np.median([reading.process_s for reading in alike])),
        data_s=float(np.median([reading.data_s for reading in alike])),
        compile_s=float(np.median([_compile_s(reading) for reading in alike])),
    )


def _compile_s(reading: Reading) -> float:
    usual_s = reading.warm_up_steps * float(reading.point["step_time_s"])
    return float(reading.point["compile_time_s"]) + max(0.0, reading.warm_up_s - usual_s)


def _energy(largest: Reading) -> EnergyMeasurement:
    """Return the energy of a step of the largest configuration, and over the wall time of the same steps the draw."""
    joules, mean_s = largest.energy_per_step_j, largest.mean_step_s
    cores, devices = os.cpu_count() or 0, largest.devices
    draw_w = (
        None
        if mean_s is None
        else power_w(joules, mean_s, largest.energy_devices, devices=devices, host_cores=cores)
    )
    return EnergyMeasurement(energy_per_step_j=joules, method=largest.energy_method, power_w=draw_w)


def _fit(samples: Sequence[Sample], mode: Mode, seed: int) -> tuple[StepTimeFit, tuple[HeldOutPoint, ...]]:
    """Return the line through the samples, tested on a quarter of them that it has not seen."""
    out = choose_held_out(samples, seed)
    fitted = [sample for index, sample in enumerate(samples) if index not in out]
    held_out = [samples[index] for index in out]
    coefficients = fit_step_time(fitted)
    residuals = relative_errors(coefficients, fitted)
    errors = relative_errors(coefficients, held_out)
    fit = StepTimeFit(
        **coefficients._asdict(),
        mode=mode,
        devices_min=min(sample.devices for sample in fitted),
        devices_max=max(sample.devices for sample in fitted),
        batch_per_device_min=min(sample.batch_per_device for sample in fitted),
        batch_per_device_max=max(sample.batch_per_device for sample in fitted),
        residual_relative=float(np.sqrt(np.mean(np.square(residuals)))),
        held_out_error_relative=float(np.mean(np.abs(errors))) if errors else None,
    )
    return fit, tuple(
        HeldOutPoint(
            **sample._asdict(), predicted_s=coefficients.predict_s(sample.devices, sample.batch_per_device)
        )
        for sample in held_out
    )
