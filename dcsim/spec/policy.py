"""What a scenario says of its policies: registry names and their parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field, GetJsonSchemaHandler, JsonValue, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import Name

__all__ = ["PolicyChoice", "PolicySpec"]


class PolicyChoice(SpecModel):
    """One policy by its registry name, with its parameters; a bare name is enough."""

    name: Name
    """Of the policy registry."""
    parameters: dict[str, JsonValue] = Field(default={})
    """Keyword arguments of the policy."""

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say that a bare name will do, too."""
        written_out: dict[str, Any] = handler.resolve_ref_schema(handler(core_schema))
        bare = written_out["properties"]["name"] | {"description": "The policy's name, without parameters."}
        return {"anyOf": [bare, written_out], "description": written_out.get("description", "")}


class PolicySpec(SpecModel):
    """Who goes first, where, and at what power."""

    ordering: PolicyChoice = PolicyChoice(name="fifo")
    """Who goes first."""
    placement: PolicyChoice = PolicyChoice(name="first_fit")
    """Where a gang goes."""
    energy: PolicyChoice = PolicyChoice(name="none")
    """At what power, and when."""
    cooling: PolicyChoice = PolicyChoice(name="fixed")
    """Supply temperature and flow of the hall."""
    battery: PolicyChoice = PolicyChoice(name="idle")
    """What the battery does, if there is one."""
