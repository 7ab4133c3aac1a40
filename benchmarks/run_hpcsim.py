"""Jobs under hpcsim, by a Python that has it: JSON in, JSON out; needs nothing of this project.

In: {"submit_s": [...], "run_s": [...], "servers": n, "accelerators": a}. Out: CPU seconds after the imports
(cluster and jobs built, run, summed up), mean job completion time, jobs completed.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module


def main() -> None:
    """Run what comes in on standard input with hpcsim's FIFO and its defaults otherwise."""
    told = json.load(sys.stdin)
    sim, cluster_of = import_module("hpcsim"), import_module("hpcsim.cluster.cluster")
    started = time.process_time()
    nodes = cluster_of.NodeSpec(
        gpu_type=sim.GPUType.A100, num_nodes=told["servers"], gpus_per_node=told["accelerators"]
    )
    cluster = sim.Cluster(cluster_of.ClusterConfig("bench", nodes=[nodes]))
    # Without a model a job makes one iteration a second on one device, so run times are exact.
    jobs = [
        sim.TrainingJob(
            job_id=f"job-{row}",
            submit_time=submit_s,
            arch=None,
            num_gpus_requested=1,
            num_iterations=run_s,
        )
        for row, (submit_s, run_s) in enumerate(zip(told["submit_s"], told["run_s"], strict=True))
    ]
    last_s = max(told["submit_s"]) + sum(sorted(told["run_s"])[-1:]) + 1.0
    engine = sim.SimulationEngine(
        cluster, sim.create_scheduler("fifo", cluster), jobs, sim.MetricsCollector(), max_sim_time=last_s
    )
    result = engine.run()
    result.metrics.summary()
    print(
        json.dumps(
            {
                "cpu_s": time.process_time() - started,
                "jct_mean_s": result.avg_jct(),
                "completed": len(result.completed_jobs),
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024.0,
            }
        )
    )


if __name__ == "__main__":
    main()
