"""The JSON Schema that editors read: kept up to date, complete, and described."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dcsim.spec
from dcsim.spec import json_schema
from dcsim.spec.fields import describe, field_type, iter_fields
from dcsim.spec.schema import json_schema_text


def test_the_kept_schema_has_not_drifted(repository: Path) -> None:
    kept = (repository / "scenarios" / "scenario.schema.json").read_text(encoding="utf-8")
    assert kept == json_schema_text(), "run: dcsim schema --out scenarios/scenario.schema.json"


def test_every_field_is_described() -> None:
    schema = json_schema()
    parts = {"Scenario": schema, **schema["$defs"]}
    assert len(parts) > 20
    for name, part in parts.items():
        for member in part.get("anyOf", [part]):
            for field, about in member.get("properties", {}).items():
                # Pydantic leaves out a description that repeats that of the part it refers to.
                referred = parts.get(about.get("$ref", "").split("/")[-1], {})
                words = about.get("description") or referred.get("description") or about.get("const")
                assert words, f"{name}.{field}"


def test_unknown_fields_are_refused_everywhere() -> None:
    schema = json_schema()
    for name, part in {"Scenario": schema, **schema["$defs"]}.items():
        if "properties" in part:
            assert part["additionalProperties"] is False, name


def test_quantities_take_numbers_and_text() -> None:
    about = json_schema()["$defs"]["ServerSpec"]["properties"]["idle_power_w"]
    assert {choice["type"] for choice in about["anyOf"]} == {"number", "string"}
    assert about["description"].startswith("Draw of the server")


def test_a_policy_may_be_a_bare_name() -> None:
    choices = json_schema()["$defs"]["PolicyChoice"]["anyOf"]
    assert [choice["type"] for choice in choices] == ["string", "object"]


def test_the_schema_is_plain_json() -> None:
    assert json.loads(json_schema_text()) == json_schema()


@pytest.mark.parametrize("name", dcsim.spec.__all__)
def test_every_exported_name_is_importable(name: str) -> None:
    assert getattr(dcsim.spec, name) is not None


def test_exports_are_sorted_and_listed() -> None:
    assert dcsim.spec.__all__ == sorted(dcsim.spec.__all__)
    assert set(dcsim.spec.__all__) == set(dcsim.spec._MODULE_OF)
    assert set(dcsim.spec.__all__) <= set(dir(dcsim.spec))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dcsim.spec.nothing  # noqa: B018  reading it is what is tested


def test_every_field_has_words_for_what_it_expects() -> None:
    places = [tuple(filter(None, (*place.split("."), name))) for place, name in iter_fields()]
    top = [place for place in places if len(place) == 1]
    assert {name for (name,) in top} == set(dcsim.spec.Scenario.model_fields)
    assert all(describe(field_type(place)) != "a value" for place in top)
