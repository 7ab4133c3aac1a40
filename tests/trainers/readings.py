"""Made-up readings of a worker, whose steps take what a law says."""

from __future__ import annotations

from trainers.fit import Coefficients
from trainers.worker import Reading, Request

LAW = Coefficients(1e-3, 1e-5, 2e-3)


def reading_of(
    devices: int,
    request: Request,
    *,
    cores: int = 2,
    spread: float = 0.01,
    taken: float = 0.0,
    slower: float = 1.0,
    compile_s: float = 0.5,
    warm_up_s: float = 0.125,
    energy_j: float | None = None,
    mean_factor: float = 1.0,
    own_factor: float = 1.0,
) -> Reading:
    """Return what a worker would find if steps took what LAW says, and pmap a tenth longer."""
    batch, mode = request.batch_per_device, request.mode
    step_s = own_factor * slower * LAW.predict_s(devices, batch) * (1.1 if mode == "pmap" else 1.0)
    anchor = request.anchor or (batch, mode)
    anchor_s = slower * LAW.predict_s(devices, anchor[0]) * (1.1 if anchor[1] == "pmap" else 1.0)
    point = {
        "devices": devices, "batch_per_device": batch, "mode": mode, "steps": 20, "step_time_s": step_s,
        "step_time_low_s": step_s * 0.9, "step_time_high_s": step_s * 1.2, "cpu_time_per_step_s": step_s,
        "split_half_spread": spread, "compile_time_s": compile_s, "flops_per_device": 1000.0 * batch,
        "bytes_accessed_per_device": 400.0 * batch, "temporary_bytes": 10.0, "argument_bytes": 20.0,
    }  # fmt: skip
    sent = {"kind": "all_reduce", "devices": devices, "mode": mode, "count": 1, "size_bytes": 404.0}
    costs = {"kind": "matmul", "flops_per_sample": 1000.0, "bytes_per_sample": 400.0}
    return Reading(
        devices=devices, cores=min(cores, devices), precision=request.precision, point=point, anchor=anchor,
        anchor_s=anchor_s, taken_share=taken, memory_bytes=30.0 + batch, energy_per_step_j=energy_j,
        energy_method="not measured: no counter", energy_devices=None if energy_j is None else 1, all_reduce_bytes=404.0 * (devices > 1),
        all_reduce_count=int(devices > 1), collectives=[sent] if devices > 1 else [],
        operators=[costs] if devices == 1 else [], parameters=100, checkpoint_bytes=1200, sample_bytes=785,
        dataset_bytes=3_925_000, dataset="digits", device_kind="cpu", process_s=1.0, data_s=0.25,
        warm_up_s=warm_up_s, mean_step_s=mean_factor * step_s,
    )  # fmt: skip
