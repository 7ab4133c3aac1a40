"""A small valid scenario as plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SMALL", "Change", "Data"]

Data = dict[str, Any]
Change = Callable[[str, Any], Data]
"""(dotted path of a field, value) -> the scenario with that value."""

SMALL: Data = {
    "name": "small",
    "cluster": {
        "racks": [
            {
                "name": "a",
                "count": 2,
                "servers": [{"count": 4, "accelerator": "H100", "accelerators": 8}],
            }
        ]
    },
    "workload": {"kind": "generated", "jobs": 10, "mix": [{"profile": "digits_mlp"}]},
}
