"""A prediction as a cost profile that the simulator can schedule.

What one server holds is in the profile's step, as in a measured one; what crosses servers is left to the simulator, which
has links of its own. `CostProfile.prediction` tells the whole step of the configuration asked for.
"""

from __future__ import annotations

from dcsim.workload.profile import CostProfile, EnergyMeasurement, PredictedStep, StepTimeFit
from trainers.predict import Prediction, Request, predict
from trainers.roofline import with_efficiencies
from trainers.scaling import scaled_step

__all__ = ["predicted_profile"]


def predicted_profile(profile: CostProfile, prediction: Prediction, name: str, command: str) -> CostProfile:
    """Return the profile of a prediction made from `profile`.

    Its fit goes through the predicted step exactly, and along the batches of the profile as prediction says.

    Args:
        profile: the prediction's.
        prediction: of one configuration.
        name: of the new profile.
        command: what repeats it.
    """
    request = prediction.request
    device, devices, batch = request.device, request.devices, request.batch_per_device
    operators = profile.operators
    if prediction.efficiencies is not None:
        operators = with_efficiencies(operators, device, request.precision, prediction.efficiencies)
    step = prediction.step
    return profile.model_copy(
        update={
            "name": name,
            "description": f"{profile.name} ({profile.origin} on {profile.device}) predicted for {devices} x {device.name}",
            "origin": "predicted",
            "device": device.name,
            "precision": request.precision,
            "memory_bytes_per_device": prediction.memory_bytes,
            "collectives": profile.collectives.model_copy(update={"compiled": ()}),
            "points": (),
            "fit": _fit(profile, prediction),
            "surface": None,
            "held_out": (),
            "energy": EnergyMeasurement(energy_per_step_j=None, method="not measured: a prediction"),
            "operators": operators,
            "startup": profile.startup if device.name == profile.device else None,
            "prediction": PredictedStep(
                devices=devices,
                global_batch=devices * batch,
                layout=f"data={devices}",
                step_time_s=step.step_s,
                step_time_low_s=prediction.low_s,
                step_time_high_s=prediction.high_s,
                coverage=prediction.coverage,
                mfu=min(1.0, prediction.mfu or 1.0),
                parts_s=prediction.parts_s,
                memory_parts_bytes=_memory_parts(profile, prediction),
                assumptions=prediction.reasons,
            ),
            "provenance": profile.provenance.model_copy(
                update={"command": command, "warnings": (*profile.provenance.warnings, *prediction.reasons)}
            ),
        }
    )


def _fit(profile: CostProfile, prediction: Prediction) -> StepTimeFit:
    """Return the line through the predicted step; what is exchanged between servers is not in it."""
    request, step = prediction.request, prediction.step
    devices, batch = request.devices, request.batch_per_device
    low = min(batch, profile.fit.batch_per_device_min)
    high = max(batch, profile.fit.batch_per_device_max)
    per_sample_s = step.compute_s / batch
    if high > low:
        low_s, high_s = (_compute_s(profile, request, each) for each in (low, high))
        per_sample_s = min(per_sample_s, max(0.0, (high_s - low_s) / (high - low)))
    learnt = prediction.learnt
    return StepTimeFit(
        overhead_s=max(0.0, step.compute_s - per_sample_s * batch),
        per_sample_s=per_sample_s,
        per_device_s=_inside_s(profile, prediction) / (devices - 1) if devices > 1 else 0.0,
        mode=profile.fit.mode,
        devices_min=devices,
        devices_max=devices,
        batch_per_device_min=low,
        batch_per_device_max=high,
        residual_relative=learnt.residual_relative if learnt else profile.fit.residual_relative,
        held_out_error_relative=None,
    )


def _compute_s(profile: CostProfile, request: Request, batch: int) -> float:
    """Return what another batch would compute, without any exchange."""
    alone = Request(
        device=request.device,
        batch_per_device=batch,
        precision=request.precision,
        also=request.also,
        extrapolate=True,
    )
    return predict(profile, alone).step.compute_s


def _inside_s(profile: CostProfile, prediction: Prediction) -> float:
    """Return what the fullest server's devices wait for each other."""
    request, step = prediction.request, prediction.step
    if request.network is None:
        return step.exposed_s
    together = min(request.devices, request.network.devices_per_server)
    overlap = request.overlap_fraction
    return scaled_step(
        step.compute_s,
        profile.collectives.all_reduce_bytes,
        together,
        request.network,
        overlap_fraction=profile.collectives.overlap_fraction if overlap is None else overlap,
    ).exposed_s


def _memory_parts(profile: CostProfile, prediction: Prediction) -> dict[str, float]:
    if not prediction.memory_bytes:
        return {}
    state = min(profile.checkpoint_bytes, prediction.memory_bytes)
    return {"parameters and optimizer": state, "activations and the rest": prediction.memory_bytes - state}
