"""Readers of the Alibaba openb traces (GPU cluster of 2023): pods become jobs, nodes a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from dcsim.spec.cluster import ClusterSpec
from dcsim.spec.quantities import NAME_PATTERN
from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.readers.rows import Field, OnBad, Rows, broken_type_lists, read_csv_rows
from dcsim.workload.readers.servers import SERVERS_PER_RACK, Node, cluster_of, equal_racks, refused

__all__ = ["NODE_FIELDS", "POD_FIELDS", "read_openb", "read_openb_nodes"]

Bools = npt.NDArray[np.bool_]

_MIB = 2.0**20
_TIME_MAX_S = 1e10
"""Later times are not seconds (milliseconds since 1970 are above)."""

POD_FIELDS = (
    Field("name", "text", "", "pod; becomes the job's name"),
    Field("cpu_milli", "whole", "core/1000", "CPU asked for", high=1e9),
    Field("memory_mib", "whole", "MiB", "memory asked for; 0: not said", high=1e9),
    Field("num_gpu", "whole", "", "GPUs asked for; 0: a CPU pod", high=64),
    Field("gpu_milli", "whole", "GPU/1000", "part of each GPU; below 1000 the one GPU is shared", high=1000),
    Field("gpu_spec", "text", "", "GPU types accepted, a vertical bar between them; blank: any", default=""),
    Field("qos", "text", "", "service class; becomes the tenant"),
    Field("pod_phase", "text", "", "last state seen"),
    Field("creation_time", "whole", "s", "becomes the arrival", high=_TIME_MAX_S),
    Field("deletion_time", "whole", "s", "creation + run time", high=_TIME_MAX_S),
    Field(
        "scheduled_time",
        "whole",
        "s",
        "not used; blank: never placed",
        default=float("nan"),
        high=_TIME_MAX_S,
    ),
)

NODE_FIELDS = (
    Field("sn", "text", "", "node"),
    Field("cpu_milli", "whole", "core/1000", "CPU", low_open=True, high=1e9),
    Field("memory_mib", "whole", "MiB", "memory", low_open=True, high=1e9),
    Field("gpu", "whole", "", "GPUs", high=64),
    Field("model", "text", "", "GPU type; blank: a CPU node", default=""),
)


def read_openb(path: Path, *, on_bad: OnBad = "refuse") -> JobTable:
    """Return the pods of an openb pod list (Weng et al., USENIX ATC 2023) as jobs.

    Arrival = creation, run time = deletion - creation, t = 0 at the first creation. Every pod is
    used, whatever its phase; each stays on one server. A pod of one GPU with gpu_milli below 1000 takes
    that share of a device; gpu_spec becomes its accelerator types, qos its tenant.

    Raises:
        TraceError: With every malformed row by line, unless `on_bad` is skip.
    """
    rows = read_csv_rows(path, POD_FIELDS)
    numbers, texts = rows.numbers, rows.texts
    _flag_pods(rows)
    kept = rows.kept(on_bad)
    created_s = numbers["creation_time"][kept]
    pick = kept.tolist()
    return job_table(
        job_id=[texts["name"][row] for row in pick],
        submit_s=created_s - created_s.min(),
        accelerators=numbers["num_gpu"][kept],
        accelerator_share=np.where(_shared(rows), numbers["gpu_milli"] / 1000.0, 1.0)[kept],
        max_servers=1,
        cpu_cores=numbers["cpu_milli"][kept] / 1000.0,
        memory_bytes=numbers["memory_mib"][kept] * _MIB,
        duration_s=numbers["deletion_time"][kept] - created_s,
        tenant=[texts["qos"][row] for row in pick],
        accelerator_types=[texts["gpu_spec"][row] for row in pick],
        notes=(*_pod_notes(rows, kept), *rows.skipped()),
    )


def read_openb_nodes(path: Path, *, servers_per_rack: int = SERVERS_PER_RACK) -> ClusterSpec:
    """Return the nodes of an openb node list as a cluster of equal servers, in order of first appearance.

    Equal nodes are put together in racks of `servers_per_rack`, the last one of a kind holding what
    is left: the list says nothing of racks. Power, which it does not say either, is the default server's
    in proportion to cores. GPU models are names of the hardware catalogue (G2 and G3 are anonymised).

    Raises:
        TraceError: With every malformed row by line.
    """
    if servers_per_rack < 1:
        raise ValueError(f"servers_per_rack: {servers_per_rack} -> expected an integer >= 1")
    rows = read_csv_rows(path, NODE_FIELDS)
    rows.flag_repeated("sn")
    with_gpu, with_model = (
        rows.numbers["gpu"] > 0,
        np.array([text != "" for text in rows.texts["model"]], dtype=bool),
    )
    rows.flag(with_gpu & ~with_model, "model", "a GPU type where gpu is above 0")
    rows.flag(with_model & ~with_gpu, "gpu", "at least 1 where a model is given")
    named = np.array([re.match(NAME_PATTERN, text) is not None for text in rows.texts["model"]], dtype=bool)
    rows.flag(with_model & ~named, "model", "a name of letters, digits, '_', '-' and '.'")
    kept = rows.kept("refuse").tolist()
    numbers = rows.numbers
    nodes = [
        Node(
            rows.texts["model"][row],
            int(numbers["gpu"][row]),
            float(numbers["cpu_milli"][row]) / 1000.0,
            float(numbers["memory_mib"][row]) * _MIB,
        )
        for row in kept
    ]
    try:
        racks = equal_racks(nodes, servers_per_rack)
    except ValidationError as error:
        raise refused(path, error) from None
    return cluster_of(path, racks)


def _shared(rows: Rows) -> Bools:
    """Return which pods share their one GPU."""
    return np.asarray((rows.numbers["num_gpu"] == 1) & (rows.numbers["gpu_milli"] < 1000))


def _flag_pods(rows: Rows) -> None:
    """Flag pods that contradict themselves."""
    numbers = rows.numbers
    width, milli = numbers["num_gpu"], numbers["gpu_milli"]
    rows.flag_repeated("name")
    rows.flag((width > 0) & (milli == 0), "gpu_milli", "1 to 1000 where num_gpu is above 0")
    rows.flag((width == 0) & (milli > 0), "gpu_milli", "0 where num_gpu is 0")
    rows.flag((width > 1) & (milli > 0) & (milli < 1000), "gpu_milli", "1000 where num_gpu is above 1")
    late = numbers["deletion_time"] < numbers["creation_time"]
    rows.flag(late, "deletion_time", "a time not before creation_time")
    constraints = rows.texts["gpu_spec"]
    rows.flag(broken_type_lists(constraints), "gpu_spec", "names joined by |")


def _pod_notes(rows: Rows, kept: npt.NDArray[np.int64]) -> list[str]:
    """Return what was assumed of pods that are odd, with counts and lines."""
    numbers = rows.numbers
    inside = np.zeros(len(rows), dtype=bool)
    inside[kept] = True
    pending = np.array([phase == "Pending" for phase in rows.texts["pod_phase"]], dtype=bool)
    odd = {
        "pods were never placed (Pending) and run from creation to deletion like the rest": pending,
        "pods of no run time end as they start": numbers["deletion_time"] == numbers["creation_time"],
        "pods say no memory and take their GPUs' part of the server": (numbers["memory_mib"] == 0)
        & (numbers["num_gpu"] > 0),
        "CPU pods say no memory and take none": (numbers["memory_mib"] == 0) & (numbers["num_gpu"] == 0),
    }
    notes = [
        f"openb: {rows.where(mask & inside)} {words}" for words, mask in odd.items() if (mask & inside).any()
    ]
    first_s = numbers["creation_time"][kept].min()
    return [*notes, f"openb: t = 0 is creation_time {first_s:.0f}"] if first_s else notes
