"""Reader of `kubectl get nodes -o yaml` (or -o json): the cluster as Kubernetes sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from dcsim.errors import Problem, TraceError
from dcsim.workload.readers.accelerator_names import AcceleratorNames
from dcsim.workload.readers.kubernetes_objects import KubernetesObject, read_objects
from dcsim.workload.readers.rows import OnBad
from dcsim.workload.readers.servers import (
    ImportedCluster,
    Node,
    cluster_of,
    equal_racks,
    named_racks,
    refused,
)

__all__ = ["PRODUCT_LABELS", "accelerator_resources", "is_plain_accelerator", "read_kubernetes_nodes"]

PRODUCT_LABELS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "beta.amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "k8s.amazonaws.com/accelerator",
    "gpu.nvidia.com/model",
    "gpu.nvidia.com/class",
)
"""Labels that name the accelerator of a node; the first that is there holds."""

_RESOURCE = re.compile(r"[a-z0-9.\-]+/(gpu|gpu\.shared|tpu)\Z")
_EXTENDED = re.compile(r"(?!(?:.*\.)?(?:kubernetes|k8s)\.io/)[a-z0-9.\-]+\.[a-z0-9.\-]+/.+\Z")
"""What a device plug-in offers; resources of Kubernetes itself are no such."""
_RACK = re.compile(r"(?:.*[/.\-_])?(?:rack|rack[\-_]?(?:id|name)|topology[\-_]rack|network-node-layer-3)\Z")
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def read_kubernetes_nodes(
    path: Path,
    *,
    on_bad: OnBad = "refuse",
    accelerator_names: Mapping[str, str] | None = None,
    rack_label: str | None = None,
) -> ImportedCluster:
    """Return the nodes of a dump as a cluster.

    A server has what pods may take of the node (allocatable, else capacity). Racks are the values
    of a label: `rack_label`, else the first whose name ends in rack, rack-id or network-node-layer-3.
    Nodes without it go in racks of equal servers, zone by zone. The dump says nothing of power: the
    default server's in proportion to cores.

    Args:
        path: YAML or JSON, plain or gzipped.
        on_bad: refuse or skip malformed nodes.
        accelerator_names: Product label, or resource (nvidia.com/gpu), -> catalogue name.
        rack_label: Key of the label that names the rack.

    Raises:
        TraceError: Not such a dump, or every malformed node.
    """
    rows, objects = read_objects(path, ("Node",))
    names = AcceleratorNames(accelerator_names)
    rows.flag_repeated("name")
    nodes = [_node(item, names) for item in objects]
    kept = rows.kept(on_bad).tolist()
    key = rack_label or _rack_key([objects[row] for row in kept])
    if rack_label and not any(rack_label in objects[row].mapping("metadata", "labels") for row in kept):
        raise TraceError([Problem(str(path), None, rack_label, "no node has this label", "a label of nodes")])
    racks: dict[str, list[Node]] = {}
    loose: dict[str, list[Node]] = {}
    for row in kept:
        labels = objects[row].mapping("metadata", "labels")
        zone = next((str(labels[name]) for name in _ZONES if name in labels), "")
        rack = str(labels.get(key, "")) if key else ""
        (racks if rack else loose).setdefault(rack or zone, []).append(nodes[row])
    try:
        specs = named_racks(dict(sorted(racks.items())))
        for zone in sorted(loose):
            specs += [
                rack.model_copy(update={"name": f"{zone}-{rack.name}"[:100]} if zone else {})
                for rack in equal_racks(loose[zone])
            ]
    except ValidationError as error:
        raise refused(path, error) from None
    return ImportedCluster(
        cluster_of(path, specs), tuple(_notes(objects, kept, key, loose, names, rows.skipped()))
    )


def accelerator_resources(
    item: KubernetesObject, path: str, resources: Mapping[str, object], names: AcceleratorNames
) -> dict[str, float]:
    """Return the accelerators among some resources -> how many; what else plug-ins offer is told to `names`.

    They are vendor.com/gpu, vendor.com/tpu, and those that the user has a name for.
    """
    found = {}
    for name, value in resources.items():
        if is_plain_accelerator(name) or names.told(name):
            found[name] = item.quantity(f"{path}.{name}", value)
        elif _EXTENDED.match(name) and value not in {"0", 0}:
            names.pass_over(name)
    for name, count in found.items():
        if count != int(count):
            item.refuse(f"{path}.{name}", resources[name], "a whole number")
    return {name: count for name, count in found.items() if count}


def is_plain_accelerator(resource: str) -> bool:
    """Return whether a resource is accelerators by its name.

    >>> is_plain_accelerator("nvidia.com/gpu"), is_plain_accelerator("nvidia.com/mig-1g.10gb")
    (True, False)
    """
    return bool(_RESOURCE.match(resource))


def _node(item: KubernetesObject, names: AcceleratorNames) -> Node:
    """Return what a node is made of; what is malformed is flagged."""
    source = "allocatable" if item.get("status", "allocatable") else "capacity"
    path, resources = f"status.{source}", item.mapping("status", source)
    amounts = {}
    for name in ("cpu", "memory"):
        amounts[name] = item.quantity(f"{path}.{name}", resources.get(name, ""))
        if amounts[name] == 0 and item.row not in item.rows.bad:
            item.refuse(f"{path}.{name}", resources.get(name), "more than 0")
    accelerators = accelerator_resources(item, path, resources, names)
    if len(accelerators) > 1:
        item.refuse(path, ", ".join(accelerators), "one kind of accelerator in a node")
    if not accelerators:
        return Node("", 0, amounts["cpu"], amounts["memory"])
    resource, count = next(iter(accelerators.items()))
    labels = item.mapping("metadata", "labels")
    replicas = _whole(labels.get("nvidia.com/gpu.replicas", "1"))
    devices = int(count) // replicas if replicas > 1 else int(count)
    product = next((str(labels[name]) for name in PRODUCT_LABELS if name in labels), "").removesuffix(
        "-SHARED"
    )
    label = product if product and not (names.told(resource) and not names.told(product)) else resource
    if label == resource and not names.told(resource):
        hint = f"say which it is: --accelerator {resource}=H100"
        item.refuse(
            "metadata.labels", "no label of the product", f"one of {', '.join(PRODUCT_LABELS[:3])}", hint
        )
        return Node("", 0, amounts["cpu"], amounts["memory"])
    if devices > 64:
        item.refuse(f"{path}.{resource}", count, "at most 64 accelerators in a server")
    return Node(names.one(label), max(1, devices), amounts["cpu"], amounts["memory"])


def _whole(value: object) -> int:
    """Return a label's whole number, 1 where it is none."""
    text = str(value)
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= 4 else 1


def _rack_key(objects: list[KubernetesObject]) -> str:
    """Return the label that names racks: the one that most nodes have, the first by name among equals."""
    times: dict[str, int] = {}
    for item in objects:
        for name in item.mapping("metadata", "labels"):
            if _RACK.match(str(name).lower()):
                times[name] = times.get(name, 0) + 1
    return min(times, key=lambda name: (-times[name], name)) if times else ""


def _notes(
    objects: list[KubernetesObject],
    kept: list[int],
    key: str,
    loose: Mapping[str, list[Node]],
    names: AcceleratorNames,
    skipped: tuple[str, ...],
) -> list[str]:
    """Return what was assumed."""
    notes = [f"kubernetes: racks are the values of the label {key}"] if key else []
    without = sum(map(len, loose.values()))
    if without:
        notes.append(f"kubernetes: {without} nodes name no rack: equal ones are put together, 32 a rack")
    off = sum(bool(objects[row].get("spec", "unschedulable")) or not _ready(objects[row]) for row in kept)
    if off:
        notes.append(f"kubernetes: {off} nodes are cordoned or not ready, and part of the cluster")
    shared = sum("nvidia.com/gpu.replicas" in objects[row].mapping("metadata", "labels") for row in kept)
    if shared:
        notes.append(f"kubernetes: {shared} nodes offer each GPU several times; each counts once")
    return [*notes, *names.notes(), *skipped]


def _ready(item: KubernetesObject) -> bool:
    """Return whether a node is ready, or does not say."""
    states = [c.get("status") for c in item.items("status", "conditions") if c.get("type") == "Ready"]
    return not states or states[0] in {"True", True}
