"""Made-up jobs, profiles and runs of a small cluster, in round figures."""

from __future__ import annotations

from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import builtin_profiles, load_profile
from trainers.closed_loop.dispatcher import JobRun
from trainers.closed_loop.jobs import QueuedJob
from trainers.closed_loop.measuring import Colocation, Measured, Probe

STEP_S = 0.01
PROBE = Probe(process_s=2.0, data_s=1.0, compile_s=3.0, input_s=0.0015, step_s=STEP_S, tail_s=0.0005)


def queued(name: str, submit_s: float = 0.0, steps: int = 100, model: str = "digits_mlp") -> QueuedJob:
    """Return a job of 64 samples a step."""
    return QueuedJob(name, model, 64, steps, submit_s, 6.0 + steps * 0.012, seed=0)


def profile(name: str) -> CostProfile:
    """Return a profile whose steps take `STEP_S`, whatever the batch."""
    found = load_profile(builtin_profiles()["digits_mlp"])[0]
    fit = found.fit.model_copy(update={"overhead_s": STEP_S, "per_sample_s": 0.0, "per_device_s": 0.0})
    return found.model_copy(update={"name": name, "fit": fit, "surface": None})


def measured(models: tuple[str, ...], factor: float = 1.0, slowdown: float = 1.0) -> Measured:
    """Return that all models slow each other to `factor` of their rate."""
    relative = {one: dict.fromkeys(models, factor) for one in models}
    return Measured(dict.fromkeys(models, PROBE), Colocation(relative, slowdown))


def ran(job: QueuedJob, start_s: float, end_s: float, core: int = 0) -> JobRun:
    """Return a run that compiled in its first half."""
    half_s = (start_s + end_s) / 2.0
    events = {
        "began": start_s, "imported": start_s + 0.1, "prepared": start_s + 0.2, "compiled": half_s, "trained": end_s - 0.1
    }  # fmt: skip
    return JobRun(job.name, core, job.submit_s, start_s, end_s, events, step_s=STEP_S, input_s=0.002)
