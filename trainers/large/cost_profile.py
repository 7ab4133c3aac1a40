"""A prediction as a cost profile, such that the simulator gets its step time on the cluster that it was made for.

A sample is a token: a step's sequences seldom divide among all devices, its tokens do. The simulator adds to the
computing time C of a profile the exchange of the layout, alone on its links at their full rates, and the bubble of
the pipeline as a part of C. So C is chosen as the solution of

    C (1 + bubble) + exposed(C) = predicted step time

which leaves in C what full rates leave out: latencies inside a server, and bandwidth that rings do not reach.
"""

from __future__ import annotations

from math import ceil

from dcsim.errors import InputError, Problem
from dcsim.workload.collective_cost import Links
from dcsim.workload.parallel import Layout
from dcsim.workload.profile import (
    CollectiveTraffic,
    CostProfile,
    EnergyMeasurement,
    OperatorCost,
    PredictedStep,
    Provenance,
    StepTimeFit,
)
from dcsim.workload.step_traffic import StepTraffic, step_traffic
from trainers.large.layout import TrainingLayout
from trainers.large.operators import block_backward, block_forward, head_kernels, slice_of
from trainers.large.predict import COVERAGE, Prediction
from trainers.large.traffic import collective_traffic

__all__ = ["cost_profile", "simulated_step_s", "simulator_layout"]

_TOKEN_BYTES = 4.0
"""A token as the data loader reads it [B]."""


def simulator_layout(layout: TrainingLayout) -> Layout:
    """Return the layout as a job's `parallelism` block says it."""
    return Layout(
        tensor=layout.tensor,
        pipeline=layout.pipeline,
        micro_batches=layout.micro_batches,
        zero_stage=layout.zero_stage,
        interleaving=layout.interleaving,
    )


def cost_profile(prediction: Prediction, command: str, tokens: float = 300e9) -> CostProfile:
    """Return the profile of origin `predicted`; its samples are tokens.

    Args:
        prediction: Of a run.
        command: What repeats it.
        tokens: Of the data set.

    Raises:
        InputError: the tokens of a step do not divide among the devices.
    """
    shape, layout, cluster = prediction.shape, prediction.layout, prediction.cluster
    batch, left = divmod(layout.global_batch * shape.sequence, layout.devices)
    if left:
        got = f"{layout.global_batch} sequences of {shape.sequence} tokens"
        expected = f"tokens that are a multiple of devices = {layout.devices}"
        raise InputError([Problem("layout", None, "global_batch", got, expected)])
    compute_s = sum((prediction.step.forward_s, prediction.step.backward_s, prediction.step.recomputation_s))
    overlap = layout.overlap * prediction.step.backward_s / compute_s
    collectives = collective_traffic(shape, layout, overlap)
    computing_s = _computing_s(prediction, collectives, batch)
    bubble = 1.0 + _traffic(prediction, collectives, batch).bubble_fraction
    overhead_s = (prediction.step.optimizer_s + prediction.step.host_s) / bubble
    return CostProfile(
        name=shape.name,
        description=f"{shape.name} on {layout.devices} x {cluster.device.name}; a sample is one token, "
        f"a sequence {shape.sequence}",
        origin="predicted",
        device=cluster.device.name,
        precision=layout.precision,
        parameters=shape.parameters,
        optimizer="adam",
        flops_per_sample=shape.flops_per_sample / shape.sequence,
        bytes_accessed_per_sample=_accessed_bytes(prediction),
        input_bytes_per_sample=_TOKEN_BYTES,
        checkpoint_bytes=prediction.checkpoint_bytes,
        dataset_bytes=_TOKEN_BYTES * tokens,
        memory_bytes_per_device=prediction.memory_bytes,
        collectives=collectives,
        points=(),
        fit=StepTimeFit(
            overhead_s=overhead_s,
            per_sample_s=(computing_s - overhead_s) / batch,
            per_device_s=0.0,
            mode="pipeline" if layout.pipeline > 1 else "tensor" if layout.tensor > 1 else "jit",
            devices_min=layout.devices,
            devices_max=layout.devices,
            batch_per_device_min=batch,
            batch_per_device_max=batch,
            residual_relative=0.0,
            held_out_error_relative=None,
        ),
        energy=EnergyMeasurement(energy_per_step_j=None, method="not measured: a prediction"),
        operators=_operators(prediction),
        prediction=_predicted_step(prediction),
        provenance=_provenance(prediction, command),
    )


def simulated_step_s(prediction: Prediction, profile: CostProfile) -> float:
    """Return the step time that the simulator gets on the cluster of the prediction, alone there [s]."""
    fit = profile.fit
    batch = fit.batch_per_device_max
    computing_s = fit.overhead_s + fit.per_sample_s * batch
    return _step_s(_traffic(prediction, profile.collectives, batch), prediction, computing_s)


def _traffic(prediction: Prediction, collectives: CollectiveTraffic, batch: int) -> StepTraffic:
    """Return what a step moves on as few servers as hold the run."""
    most, devices = prediction.cluster.server_devices, prediction.layout.devices
    placement = [(server, min(most, devices - server * most)) for server in range(ceil(devices / most))]
    return step_traffic(collectives, simulator_layout(prediction.layout), placement, batch)


def _step_s(traffic: StepTraffic, prediction: Prediction, computing_s: float) -> float:
    cluster = prediction.cluster
    links = Links(
        inside_bandwidth_bytes_per_s=cluster.device.link_bandwidth_bytes_per_s,
        between_bandwidth_bytes_per_s=cluster.between_bytes_per_s,
        between_latency_s=cluster.latency_s,
    )
    return computing_s * (1.0 + traffic.bubble_fraction) + traffic.exposed_s(links, computing_s)


def _computing_s(prediction: Prediction, collectives: CollectiveTraffic, batch: int) -> float:
    """Return C [s] by bisection; C (1 + bubble) + exposed(C) never falls as C grows where nothing hides more than it."""
    traffic = _traffic(prediction, collectives, batch)
    low_s, high_s = 0.0, prediction.step_time_s
    for _ in range(100):
        middle_s = 0.5 * (low_s + high_s)
        if _step_s(traffic, prediction, middle_s) < prediction.step_time_s:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _accessed_bytes(prediction: Prediction) -> float:
    """Return what all devices of a replica read and write in device memory for a token, recomputation left out [B]."""
    shape, layout = prediction.shape, prediction.layout
    part = slice_of(shape, layout)
    layer = sum(kernel.size_bytes for kernel in (*block_forward(part), *block_backward(part)))
    head = sum(kernel.size_bytes for kernels in head_kernels(part) for kernel in kernels)
    return layout.tensor * (shape.layers * layer + head) / part.tokens


def _operators(prediction: Prediction) -> tuple[OperatorCost, ...]:
    """Return what products and all else cost a token."""
    shape, layout = prediction.shape, prediction.layout
    part = slice_of(shape, layout)
    layer = (*block_forward(part), *block_backward(part))
    heads = [kernel for kernels in head_kernels(part) for kernel in kernels]
    found = []
    for kind, products in (("matmul", True), ("elementwise", False)):
        weights = [(shape.layers, k) for k in layer if bool(k.rows) == products]
        weights += [(1, k) for k in heads if bool(k.rows) == products]
        flops = layout.tensor * sum(times * k.flops for times, k in weights) / part.tokens
        moved = layout.tensor * sum(times * k.size_bytes for times, k in weights) / part.tokens
        found.append(
            OperatorCost.model_validate({"kind": kind, "flops_per_sample": flops, "bytes_per_sample": moved})
        )
    return tuple(found)


def _predicted_step(prediction: Prediction) -> PredictedStep:
    layout = prediction.layout
    parts = {name: value for name, value in prediction.step.parts_s.items() if value > 0.0}
    return PredictedStep(
        devices=layout.devices,
        global_batch=layout.global_batch * prediction.shape.sequence,
        layout=layout.words,
        step_time_s=prediction.step_time_s,
        step_time_low_s=prediction.step_time_low_s,
        step_time_high_s=prediction.step_time_high_s,
        coverage=COVERAGE,
        mfu=prediction.mfu,
        parts_s=parts,
        memory_parts_bytes=prediction.memory_parts_bytes,
        assumptions=(
            "efficiencies of kernels, host and links as assumed, not measured on this cluster",
            "nobody else on the links; no failures, no stragglers, no wait for data",
            "Adam; the exchange of a tied embedding between first and last stage is left out",
            "a sample is one token",
        ),
    )


def _provenance(prediction: Prediction, command: str) -> Provenance:
    cluster = prediction.cluster
    words = f"servers of {cluster.server_devices} on {cluster.between_bytes_per_s / 1e9:g} GB/s each"
    return Provenance(
        created_utc="",
        host_cpu="none: predicted",
        host_cores=0,
        operating_system="",
        python_version="",
        packages={},
        backend="tpu" if prediction.cluster.device.kind == "tpu" else "gpu",
        load_average_start=0.0,
        load_average_end=0.0,
        seed=0,
        command=command,
        dataset="tokens of 4 bytes",
        import_time_s=0.0,
        warnings=(f"predicted for {words}; nothing was run",),
    )
