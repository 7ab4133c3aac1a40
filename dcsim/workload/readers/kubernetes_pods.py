"""Reader of `kubectl get pods -o yaml` (or -o json): finished pods become jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dcsim.workload.jobs import JobTable, job_table
from dcsim.workload.readers.accelerator_names import AcceleratorNames
from dcsim.workload.readers.kubernetes_nodes import (
    PRODUCT_LABELS,
    accelerator_resources,
    is_plain_accelerator,
)
from dcsim.workload.readers.kubernetes_objects import KubernetesObject, read_objects
from dcsim.workload.readers.rows import OnBad, Rows

__all__ = ["GANG_KEYS", "read_kubernetes_pods"]

GANG_KEYS = (
    "scheduling.k8s.io/group-name",
    "pod-group.scheduling.sigs.k8s.io",
    "pod-group.scheduling.sigs.k8s.io/name",
    "scheduling.x-k8s.io/pod-group",
    "training.kubeflow.org/job-name",
    "volcano.sh/job-name",
)
"""Labels or annotations whose value names the gang of a pod; the first that is there holds."""

_WIDTH_MAX = 1_000_000


class _Need(NamedTuple):
    """What one pod asks for."""

    cpu_cores: float = 0.0
    memory_bytes: float = 0.0
    accelerators: float = 0.0

    def plus(self, other: _Need) -> _Need:
        return _Need(*(a + b for a, b in zip(self, other, strict=True)))

    def most(self, other: _Need) -> _Need:
        return _Need(*(max(a, b) for a, b in zip(self, other, strict=True)))


class _Pod(NamedTuple):
    """One finished pod."""

    row: int
    name: str
    created_s: float
    run_s: float
    need: _Need
    share: float
    types: str
    tenant: str
    priority: float
    limit_s: float
    gang: str
    job: str


def read_kubernetes_pods(
    path: Path, *, on_bad: OnBad = "refuse", accelerator_names: Mapping[str, str] | None = None
) -> JobTable:
    """Return the finished pods of a dump as jobs; pods that still wait or run are left out and counted.

    Arrival = creation; run time from the first container's start to the last one's end. Requests
    are those that the scheduler counts: containers added, at least the largest init container, plus
    overhead. A pod stays on one server; pods of one gang (`GANG_KEYS`) are one job that spans as many
    servers as it has pods. Pods of a Kubernetes Job are an array, limited to its parallelism where
    the Job is in the dump (kubectl get pods,jobs). Namespaces are tenants.

    Args:
        path: YAML or JSON, plain or gzipped.
        on_bad: refuse or skip malformed pods.
        accelerator_names: Product label -> catalogue name, over what is guessed from it.

    Raises:
        TraceError: Not such a dump, every malformed pod, or no finished one.
    """
    rows, objects = read_objects(path, ("Pod", "Job"))
    names = AcceleratorNames(accelerator_names)
    counts: dict[str, int] = {}
    pods = [_pod(item, names, counts) if item.kind == "Pod" else None for item in objects]
    _flag_repeated(rows, pods)
    rows.leave_out(np.array([pod is None for pod in pods], dtype=bool))
    used = [pod for row in rows.kept(on_bad).tolist() if (pod := pods[row]) is not None]
    singles = {pod.name for pod in used if not pod.gang}
    gangs: dict[str, list[_Pod]] = {}
    for pod in used:
        together = f"{pod.gang}-gang" if pod.gang in singles else pod.gang
        gangs.setdefault(together or pod.name, []).append(pod)
    limits = _parallelism(objects)
    first_s = min(pod.created_s for pod in used)
    members = list(gangs.values())
    needs = [_total(gang) for gang in members]
    merged = sum(len(gang) > 1 for gang in members)
    notes = [
        f"kubernetes: t = 0 is {datetime.fromtimestamp(first_s, UTC):%Y-%m-%dT%H:%M:%SZ}",
        *(f"kubernetes: {count} pods {words}" for words, count in counts.items()),
        *([f"kubernetes: {merged} gangs of several pods are one job each"] if merged else []),
    ]
    arrays = [gang[0].job if len(gang) == 1 else "" for gang in members]
    return job_table(
        job_id=list(gangs),
        submit_s=np.array([min(pod.created_s for pod in gang) for gang in members]) - first_s,
        accelerators=[int(need.accelerators) for need in needs],
        accelerator_share=[gang[0].share if len(gang) == 1 else 1.0 for gang in members],
        max_servers=[len(gang) for gang in members],
        cpu_cores=[need.cpu_cores for need in needs],
        memory_bytes=[need.memory_bytes for need in needs],
        duration_s=[max(pod.run_s for pod in gang) for gang in members],
        tenant=[gang[0].tenant for gang in members],
        accelerator_types=[next((pod.types for pod in gang if pod.types), "") for gang in members],
        priority=[max(pod.priority for pod in gang) for gang in members],
        time_limit_s=[_limit(gang) for gang in members],
        array=arrays,
        array_limit=[limits.get(array, 0) for array in arrays],
        notes=(*notes, *names.notes(), *rows.skipped()),
    )


def _pod(item: KubernetesObject, names: AcceleratorNames, counts: dict[str, int]) -> _Pod | None:
    """Return a finished pod, or None where it has not finished or is malformed."""

    def count(words: str) -> None:
        counts[words] = counts.get(words, 0) + 1

    phase = item.text("status", "phase")
    if phase not in {"Succeeded", "Failed"}:
        count("have not finished, and are left out")
        return None
    created_s = item.stamp_s("metadata.creationTimestamp", item.get("metadata", "creationTimestamp"))
    began_s, ended_s = _span(item)
    need, share = _shared(item, _requests(item, names))
    types = _types(item, names)
    if item.row in item.rows.bad:
        return None
    types = types or _told_types(item, names)
    if math.isnan(began_s) or math.isnan(ended_s):
        count("ended before they ran, and are left out")
        return None
    if math.isnan(created_s):
        item.refuse("metadata.creationTimestamp", None, "a time such as 2024-05-01T12:30:00Z")
    elif ended_s < began_s:
        item.refuse("status.containerStatuses", ended_s - began_s, "an end not before the start")
    limit, priority = item.get("spec", "activeDeadlineSeconds"), item.get("spec", "priority") or 0
    if not isinstance(priority, int) or abs(priority) > 2**31:
        item.refuse("spec.priority", priority, "a whole number of 32 bits")
    namespace = item.text("metadata", "namespace") or "default"
    group = _group(item)
    if need.accelerators > _WIDTH_MAX or need.cpu_cores > _WIDTH_MAX:
        item.refuse("spec.containers", need.accelerators, f"at most {_WIDTH_MAX:,} of each resource")
    if item.row in item.rows.bad:
        return None
    return _Pod(
        row=item.row,
        name=f"{namespace}/{item.text('metadata', 'name')}",
        created_s=created_s,
        run_s=ended_s - began_s,
        need=need,
        share=share,
        types=types,
        tenant=namespace,
        priority=float(priority),
        limit_s=float(limit) if isinstance(limit, int) and limit > 0 else math.nan,
        gang=f"{namespace}/{group}" if group else "",
        job=_owner(item, namespace),
    )


def _span(item: KubernetesObject) -> tuple[float, float]:
    """Return when the first container started and the last one ended [s since 1970]; NaN: not known."""
    began, ended = [], []
    for number, status in enumerate(item.items("status", "containerStatuses")):
        state = status.get("state")
        over = state.get("terminated") if isinstance(state, dict) else None
        if not isinstance(over, dict):
            continue
        path = f"status.containerStatuses.{number}.state.terminated"
        began.append(item.stamp_s(f"{path}.startedAt", over.get("startedAt")))
        ended.append(item.stamp_s(f"{path}.finishedAt", over.get("finishedAt")))
    started_s = item.stamp_s("status.startTime", item.get("status", "startTime"))
    known = [time_s for time_s in began if not math.isnan(time_s)]
    ends = [time_s for time_s in ended if not math.isnan(time_s)]
    return min(known, default=started_s), max(ends, default=math.nan)


def _requests(item: KubernetesObject, names: AcceleratorNames) -> _Need:
    """Return what the scheduler counts for a pod.

    Containers and side-cars (init containers that keep running) add up; an init container needs its
    own requests and those of the side-cars before it; the larger of the two holds, plus overhead.
    """
    together, before, most = _Need(), _Need(), _Need()
    for number, container in enumerate(item.items("spec", "initContainers")):
        need = _of_container(item, f"spec.initContainers.{number}", container, names)
        if container.get("restartPolicy") == "Always":
            before = before.plus(need)
            most = most.most(before)
        else:
            most = most.most(before.plus(need))
    for number, container in enumerate(item.items("spec", "containers")):
        together = together.plus(_of_container(item, f"spec.containers.{number}", container, names))
    overhead = _of_resources(item, "spec.overhead", item.mapping("spec", "overhead"), names)
    return together.plus(before).most(most).plus(overhead)


def _of_container(
    item: KubernetesObject, path: str, container: Mapping[str, Any], names: AcceleratorNames
) -> _Need:
    """Return the requests of one container; where it only has limits, those."""
    resources = container.get("resources") or {}
    merged: dict[str, Any] = {}
    for name in ("limits", "requests"):
        part = resources.get(name) if isinstance(resources, dict) else resources
        if part is not None and not isinstance(part, dict):
            item.refuse(f"{path}.resources", resources, "mappings `requests` and `limits`")
            return _Need()
        merged |= part or {}
    return _of_resources(item, f"{path}.resources", merged, names)


def _of_resources(
    item: KubernetesObject, path: str, resources: Mapping[str, Any], names: AcceleratorNames
) -> _Need:
    cores, memory = (item.quantity(f"{path}.{name}", resources.get(name, 0)) for name in ("cpu", "memory"))
    return _Need(cores, memory, sum(accelerator_resources(item, path, resources, names).values()))


def _shared(item: KubernetesObject, need: _Need) -> tuple[_Need, float]:
    """Return what a pod asks for and its part of the one device, as annotations of GPU sharing say.

    VENDOR/gpu-milli is the part of each device in thousandths, VENDOR/gpu-count how many (Alibaba's
    GPU sharing, whose pods ask for no VENDOR/gpu).
    """
    told = {**item.mapping("metadata", "labels"), **item.mapping("metadata", "annotations")}
    amounts = {
        name: item.quantity(f"metadata.annotations.{key}", value)
        for name in ("gpu-milli", "gpu-count")
        for key, value in told.items()
        if str(key).endswith(f"/{name}")
    }
    milli = amounts.get("gpu-milli", 1000.0)
    if not need.accelerators and amounts:
        need = need._replace(accelerators=amounts.get("gpu-count", 1.0 if milli else 0.0))
    if not 0 <= milli <= 1000 or need.accelerators != int(need.accelerators):
        item.refuse("metadata.annotations", amounts, "gpu-milli from 0 to 1000, a whole gpu-count")
    if 0 < milli < 1000 and need.accelerators > 1:
        item.refuse("metadata.annotations", amounts, "gpu-milli 1000 where gpu-count is above 1")
    return need, milli / 1000.0 if 0 < milli < 1000 else 1.0


def _types(item: KubernetesObject, names: AcceleratorNames) -> str:
    """Return the accelerator types that a pod accepts, by its node selector or VENDOR/gpu-card-model."""
    selector = item.mapping("spec", "nodeSelector")
    product = next((str(selector[name]) for name in PRODUCT_LABELS if name in selector), "")
    if product:
        return names.any_of(product.removesuffix("-SHARED"))
    told = {**item.mapping("metadata", "labels"), **item.mapping("metadata", "annotations")}
    models = next((str(value) for key, value in told.items() if str(key).endswith("/gpu-card-model")), "")
    return "|".join(dict.fromkeys(map(names.any_of, filter(None, models.split("|")))))


def _told_types(item: KubernetesObject, names: AcceleratorNames) -> str:
    """Return the type that the user says a resource is (no VENDOR/gpu: it may be any), "" for none."""
    for container in item.items("spec", "containers"):
        resources = container.get("resources") or {}
        for name in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}:
            if not is_plain_accelerator(name) and names.told(name):
                return names.any_of(name)
    return ""


def _group(item: KubernetesObject) -> str:
    """Return the gang that a pod names, "" for none."""
    told = {**item.mapping("metadata", "labels"), **item.mapping("metadata", "annotations")}
    return next((str(told[key]) for key in GANG_KEYS if told.get(key)), "")


def _owner(item: KubernetesObject, namespace: str) -> str:
    """Return the Kubernetes Job that a pod belongs to, "" for none."""
    owners = [o.get("name") for o in item.items("metadata", "ownerReferences") if o.get("kind") == "Job"]
    return f"{namespace}/{owners[0]}" if owners else ""


def _parallelism(objects: Iterable[KubernetesObject]) -> dict[str, int]:
    """Return how many pods of each Job run at once, where that is fewer than it completes."""
    limits = {}
    for item in objects:
        if item.kind == "Job":
            at_once, in_all = (item.get("spec", name) for name in ("parallelism", "completions"))
            if isinstance(at_once, int) and isinstance(in_all, int) and 0 < at_once < in_all:
                namespace = item.text("metadata", "namespace") or "default"
                limits[f"{namespace}/{item.text('metadata', 'name')}"] = at_once
    return limits


def _flag_repeated(rows: Rows, pods: Sequence[_Pod | None]) -> None:
    seen: set[str] = set()
    for pod in pods:
        if pod is not None and pod.name in seen:
            rows.refuse(pod.row, "metadata.name", repr(pod.name), "a name used once in its namespace")
        if pod is not None:
            seen.add(pod.name)


def _total(gang: Sequence[_Pod]) -> _Need:
    """Return what the pods of a gang ask for in all; a share of a device counts as the device."""
    total = _Need()
    for pod in gang:
        total = total.plus(pod.need)
    return total


def _limit(gang: Sequence[_Pod]) -> float:
    """Return the wall-time limit of a gang, at least its run time; NaN for none."""
    limits = [pod.limit_s for pod in gang if not math.isnan(pod.limit_s)]
    return max(min(limits), *(pod.run_s for pod in gang)) if limits else math.nan
