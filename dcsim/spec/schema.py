"""The JSON Schema of the scenario format, for editors: completion, descriptions, errors while typing."""

from __future__ import annotations

import json
from typing import Any

from dcsim.spec.scenario import Scenario

__all__ = ["json_schema", "json_schema_text"]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file.

    It is kept in scenarios/scenario.schema.json; `dcsim schema` prints it. What it cannot say
    (unit texts, sums, names that must exist) is left to `load_scenario` and `check_scenario`.
    """
    schema = Scenario.model_json_schema(mode="validation")
    for part in schema["$defs"].values():
        # A union is told apart by `kind`, so a file must write it though the model has a default.
        if "const" in part.get("properties", {}).get("kind", {}):
            part["required"] = ["kind", *part.get("required", [])]
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dcsim scenario",
    }
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


def json_schema_text() -> str:
    """Return the schema as it is kept in scenarios/scenario.schema.json."""
    return json.dumps(json_schema(), indent=2) + "\n"
