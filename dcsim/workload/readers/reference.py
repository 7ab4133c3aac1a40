"""What each format's fields become, as Markdown: the part of docs/reference that lists them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dcsim.workload.readers.gavel import GAVEL_FIELDS
from dcsim.workload.readers.kubernetes_nodes import PRODUCT_LABELS
from dcsim.workload.readers.kubernetes_pods import GANG_KEYS
from dcsim.workload.readers.openb import NODE_FIELDS, POD_FIELDS
from dcsim.workload.readers.philly import PHILLY_FIELDS
from dcsim.workload.readers.pollux import PLACEMENT_FIELDS, SCALABILITY_FIELDS, WORKLOAD_FIELDS
from dcsim.workload.readers.rows import Field
from dcsim.workload.readers.sacct import SACCT_COLUMNS
from dcsim.workload.readers.swf import SWF_FIELDS

__all__ = ["formats_reference"]

_PODS = (
    ("metadata.creationTimestamp", "arrival; t = 0 at the first"),
    (
        "status.containerStatuses[].state.terminated",
        "run time: from the first startedAt (else status.startTime) to the last finishedAt",
    ),
    ("status.phase", "other than Succeeded and Failed: left out and counted"),
    (
        "spec.containers[].resources, spec.initContainers, spec.overhead",
        (
            "cores, memory and accelerators (VENDOR/gpu, VENDOR/tpu, what --accelerator names): requests, else "
            "limits; added over containers, at least those of each init container, plus overhead"
        ),
    ),
    ("metadata.namespace", "tenant; namespace/name is the job's name"),
    ("spec.priority", "priority"),
    ("spec.activeDeadlineSeconds", "wall-time limit"),
    (f"spec.nodeSelector: {', '.join(PRODUCT_LABELS)}", "accelerator types accepted"),
    (
        "annotations VENDOR/gpu-milli, gpu-count, gpu-card-model",
        "share of a device, devices, types (GPU sharing)",
    ),
    (
        f"labels or annotations {', '.join(GANG_KEYS)}",
        "pods of one value are one gang, a job on as many servers",
    ),
    ("metadata.ownerReferences: Job", "array; with the Job in the dump its parallelism is the array's limit"),
)
_NODES = (
    (
        "status.allocatable, else capacity",
        "cores, memory, accelerators (VENDOR/gpu, VENDOR/tpu, what --accelerator names)",
    ),
    (f"labels {', '.join(PRODUCT_LABELS)}", "accelerator, by the first that is there"),
    ("a label whose name ends in rack, rack-id or rack-name, or network-node-layer-3", "rack"),
    ("topology.kubernetes.io/zone", "nodes without rack are put together zone by zone"),
    ("nvidia.com/gpu.replicas", "a GPU offered so many times counts once"),
)
_SLURM = (
    ("SwitchName= Nodes=, BlockName= Nodes=", "a rack, in the order of a walk down the tree"),
    ("SwitchName= Switches=", "order of the racks; levels above the leaves are not kept"),
    ("NodeName= Gres=gpu:TYPE:N", "accelerator and count"),
    ("NodeName= CPUs=, else Sockets x CoresPerSocket x ThreadsPerCore", "cores, as Slurm counts them"),
    ("NodeName= RealMemory=", "memory [MiB]"),
    ("NodeName=DEFAULT", "defaults of the lines below it"),
    ("Include", "refused: paste what it names in its place"),
)


def formats_reference() -> str:
    """Return the fields of every format but dcsim's own, and what becomes of them."""
    parts = (
        ("swf", ("Standard Workload Format, plain or gzipped: 18 fields between blanks, -1 is unknown, `;` "
         "starts a comment."), _fields(SWF_FIELDS)),
        ("sacct", ("What `sacct --parsable2` prints, with its header, any fields in any order, plain or "
         "gzipped. All other fields are passed over."), _rows(("field", "becomes"), SACCT_COLUMNS.items())),
        ("gavel", "One job a line, fields between tabs, no header.", _fields(GAVEL_FIELDS)),
        ("pollux", "CSV.", _fields(WORKLOAD_FIELDS)),
        ("kubernetes", "What `kubectl get pods -o json` or `-o yaml` writes, plain or gzipped.",
         _rows(("field", "becomes"), _PODS)),
        ("openb", "CSV.", _fields(POD_FIELDS)),
        ("philly", "CSV.", _fields(PHILLY_FIELDS)),
    )  # fmt: skip
    clusters = (
        ("slurm", "topology.conf of the tree or block plug-in, and slurm.conf with `--nodes`.",
         _rows(("entry", "becomes"), _SLURM)),
        ("kubernetes", "What `kubectl get nodes -o json` or `-o yaml` writes.", _rows(("field", "becomes"), _NODES)),
        ("openb", "CSV.", _fields(NODE_FIELDS)),
    )  # fmt: skip
    text = "\n# Formats of `dcsim trace import`\n\nThe same names are taken by `workload.format` of a scenario.\n"
    text += "".join(f"\n## {name}\n\n{about}\n\n{table}" for name, about, table in parts)
    text += "\n# Formats of `dcsim cluster import`\n"
    text += "".join(f"\n## Clusters: {name}\n\n{about}\n\n{table}" for name, about, table in clusters)
    text += (
        "\n# Formats of `dcsim trace rates`\n\n## Rates: gavel\n\nJSON: accelerator -> `('KIND', WIDTH)` -> `null` "
        "(alone) or another such key (both on the same devices) -> steps/s. An accelerator whose name ends in "
        "`_unconsolidated` holds gangs with each device on a server of its own, the others gangs on one server.\n"
        "\n## Rates: pollux\n\nA folder for each application, with `placements.csv`:\n\n"
    )
    return text + _fields(PLACEMENT_FIELDS) + "\nand `scalability.csv`:\n\n" + _fields(SCALABILITY_FIELDS)


def _fields(fields: Sequence[Field]) -> str:
    """Return a table of declared fields."""
    header = ("field", "must be", "meaning")
    return _rows(header, ((column.name, column.expected, column.meaning) for column in fields))


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is code."""
    lines = [header, ["---"] * len(header), *((f"`{first}`", *rest) for first, *rest in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', ' or ') for cell in line)} |\n" for line in lines)
