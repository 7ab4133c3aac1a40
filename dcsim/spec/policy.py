"""What a scenario says of its policies: registry names and their parameters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, JsonValue, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from dcsim.spec.model import SpecModel
from dcsim.spec.quantities import NAME_PATTERN

__all__ = ["COMBINE", "PolicyChoice", "PolicySpec", "rewritten"]

COMBINE = "+"
"""Between the names of energy policies that act at once."""
_ONE = NAME_PATTERN[1:-1]
_PolicyName = Annotated[str, Field(min_length=1, max_length=300, pattern=rf"^{_ONE}(\+{_ONE})*$")]


class PolicyChoice(SpecModel):
    """One policy by its registry name, with its parameters; a bare name is enough.

    Energy policies may be combined: "power_cap+sleep_idle", with parameters such as `power_cap.cap_fraction`.
    """

    name: _PolicyName
    """Of the policy registry; of several energy policies that act at once, joined by +."""
    parameters: dict[str, JsonValue] = Field(default={})
    """Keyword arguments of the policy; of combined ones each with its policy's name and a dot before it."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the policies, one unless they are combined.

        >>> PolicyChoice(name="power_cap+sleep_idle").parts
        ('power_cap', 'sleep_idle')
        """
        return tuple(self.name.split(COMBINE))

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


def rewritten(choice: PolicyChoice, name: str) -> PolicyChoice:
    """Return the choice of other policies, with the parameters that were written for those that stay.

    >>> written = PolicyChoice(name="power_cap", parameters={"cap_fraction": 0.6})
    >>> rewritten(written, "power_cap+sleep_idle").parameters
    {'power_cap.cap_fraction': 0.6}
    >>> rewritten(written, "sleep_idle").parameters
    {}
    """
    if choice.name == name:
        return choice
    alone = len(choice.parts) == 1
    given = {f"{choice.name}.{key}" if alone else key: value for key, value in choice.parameters.items()}
    parts = tuple(name.split(COMBINE))
    kept = {key: value for key, value in given.items() if key.rpartition(".")[0] in parts}
    if len(parts) == 1:
        kept = {key.rpartition(".")[2]: value for key, value in kept.items()}
    return PolicyChoice(name=name, parameters=kept)
