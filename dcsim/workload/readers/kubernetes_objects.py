"""What `kubectl get ... -o yaml` or `-o json` writes: objects of a list, their fields, and quantities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import Problem, ScenarioError, TraceError
from dcsim.spec.strict_json import strict_json
from dcsim.spec.yaml_loader import load_yaml
from dcsim.workload.readers.bounded import decoded, read_bounded
from dcsim.workload.readers.rows import Rows

__all__ = ["YAML_BYTES_MAX", "YAML_VALUES_MAX", "KubernetesObject", "parse_quantity", "read_objects"]

YAML_BYTES_MAX = 64 * 2**20
"""A larger YAML dump is refused [B]; JSON may be larger, and is read five times as fast."""
YAML_VALUES_MAX = 1_500_000
"""Keys and values in a YAML dump; some 5,000 pods."""

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)(?P<suffix>[KMGTPE]i|[numkMGTPE])?\Z", re.ASCII
)
_SUFFIXES: Mapping[str, Decimal] = {
    "": Decimal(1),
    **{name: Decimal(10) ** power for name, power in (("n", -9), ("u", -6), ("m", -3))},
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def parse_quantity(value: object) -> float:
    """Return a Kubernetes quantity in its base unit (cores, bytes, devices).

    Suffixes n, u, m, k, M, G, T, P, E are decimal, Ki to Ei binary; an exponent may stand before them.

    Raises:
        ValueError: It is no quantity, or beyond 1e30.

    Source: k8s.io/apimachinery, api/resource, type Quantity.

    >>> parse_quantity("63500m"), parse_quantity("1e3Ki"), parse_quantity(64)
    (63.5, 1024000.0, 64.0)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(repr(value))  # noqa: TRY004  what a file holds is a value to its reader
    found = _QUANTITY.match(str(value).strip()) if len(str(value)) <= 60 else None
    if found is None:
        raise ValueError(repr(value))
    number = float(Decimal(found["number"]) * _SUFFIXES[found["suffix"] or ""])
    if not math.isfinite(number) or abs(number) > 1e30:
        raise ValueError(repr(value))
    return number


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object of a dump, and where what is wrong with it is noted."""

    kind: str
    data: Mapping[str, Any]
    rows: Rows
    row: int

    def get(self, *path: str) -> Any:  # noqa: ANN401  an object holds anything
        """Return the value at a path, None where it is missing."""
        value: Any = self.data
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    def mapping(self, *path: str) -> Mapping[str, Any]:
        """Return the mapping at a path, empty where it is missing; another value is a problem."""
        value = self.get(*path)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(".".join(path), value, "a mapping")
            return {}
        return value

    def items(self, *path: str) -> Iterator[Mapping[str, Any]]:
        """Yield the mappings of the list at a path; other values are a problem."""
        value = self.get(*path)
        if value is None:
            return
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(".".join(path), value, "a list of mappings")
            return
        yield from value

    def text(self, *path: str) -> str:
        """Return the text at a path, "" where it is missing; another value is a problem."""
        value = self.get(*path)
        if value is None:
            return ""
        if not isinstance(value, str | int | float) or isinstance(value, bool) or len(str(value)) > 1_000:
            self.refuse(".".join(path), value, "a text")
            return ""
        return str(value)

    def quantity(self, path: str, value: object) -> float:
        """Return a quantity >= 0; another value is a problem, and 0."""
        try:
            number = parse_quantity(value)
        except ValueError:
            number = -1.0
        if number < 0:
            self.refuse(path, value, "a quantity such as 64, 63500m or 257Gi")
            return 0.0
        return number

    def stamp_s(self, path: str, value: object) -> float:
        """Return a time [s since 1970], NaN where there is none; another value is a problem."""
        if value is None or value == "":
            return math.nan
        if isinstance(value, str) and _STAMP.match(value):
            try:
                return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)).timestamp()
            except ValueError:
                pass
        self.refuse(path, value, "a time such as 2024-05-01T12:30:00Z")
        return math.nan

    def refuse(self, path: str, got: object, expected: str, hint: str = "") -> None:
        """Note a problem of this object."""
        name = self.rows.texts["name"][self.row]
        self.rows.refuse(self.row, f"{name}.{path}" if name else path, repr(got)[:80], expected, hint)


def read_objects(path: Path, kinds: tuple[str, ...]) -> tuple[Rows, list[KubernetesObject]]:
    """Return the objects of some kinds in a dump, YAML or JSON by its first character, plain or gzipped.

    Raises:
        TraceError: Not such a file, or no object of the first kind in it.
    """
    content = read_bounded(path)
    is_json = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    lines: Mapping[tuple[str, ...], int] = {}
    if is_json:
        data = strict_json(decoded(content, path), str(path))
    else:
        try:
            document = load_yaml(content, str(path), max_bytes=YAML_BYTES_MAX, max_nodes=YAML_VALUES_MAX)
        except ScenarioError as error:
            raise TraceError(_with_hint(error.problems)) from None
        data, lines = document.data, document.lines
    found = list(_objects(data, str(path)))
    kept = [(place, item) for place, item in found if item.get("kind") in kinds]
    if not any(item.get("kind") == kinds[0] for _, item in kept):
        seen = ", ".join(sorted({str(item.get("kind"))[:40] for _, item in found})[:5]) or "nothing"
        hint = f"write it with kubectl get {kinds[0].lower()}s -o yaml"
        raise TraceError([Problem(str(path), None, "kind", seen, f"{kinds[0]} objects", hint)])
    numbers = np.array(
        [int(place[1]) if is_json and place else lines.get(place, 1) for place, _ in kept], dtype=np.int64
    )
    rows = Rows(path, {}, {"name": []}, lambda: numbers, place="items" if is_json else "")
    objects = [KubernetesObject(str(item["kind"]), item, rows, row) for row, (_, item) in enumerate(kept)]
    for item in objects:
        rows.texts["name"].append("")
        rows.texts["name"][-1] = item.text("metadata", "name")
        if not rows.texts["name"][-1]:
            item.refuse("metadata.name", item.get("metadata"), "a name")
    return rows, objects


def _objects(data: object, file: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield (path, object) of each object of a list, or the only one; kinds of lists name those of items."""
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        hint = "is it what kubectl get -o yaml wrote?"
        raise TraceError([Problem(file, 1, "kind", "none", "a Kubernetes object or list", hint)])
    kind = data["kind"]
    if not kind.endswith("List"):
        yield (), data
        return
    items = data.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise TraceError([Problem(file, None, "items", type(items).__name__, "a list of objects")])
    for number, item in enumerate(items):
        own = item if "kind" in item else {**item, "kind": kind.removesuffix("List")}
        yield ("items", str(number)), own


def _with_hint(problems: tuple[Problem, ...]) -> list[Problem]:
    """Return the problems of a YAML file; where it is too large, with what to do about it."""
    hint = "write it with -o json, which may be larger, or in parts"
    large = ("values", "bytes")
    return [
        Problem(p.file, p.line, p.path, p.got, p.expected, p.hint or hint)
        if p.got.startswith("more than") and p.got.endswith(large)
        else p
        for p in problems
    ]
