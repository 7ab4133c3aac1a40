"""A small valid scenario as plain data."""

from __future__ import annotations

__all__ = ["SMALL"]

SMALL = {
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
