"""What the scenario models say of one field: found by its path, and described in words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, Union

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AwareDatetime, JsonValue
from pydantic.fields import FieldInfo

from dcsim.spec.model import SpecModel
from dcsim.spec.scenario import Scenario
from dcsim.units import Quantity, format_quantity, unit_symbols

__all__ = ["FieldType", "describe", "field_type", "iter_fields", "options"]

Annotation: TypeAlias = Any
"""What may stand behind the colon of a field; Python has no type for it."""

_OPERATORS = ((Gt, "gt", ">"), (Ge, "ge", ">="), (Lt, "lt", "<"), (Le, "le", "<="))


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field's annotation without its wrappings, the metadata found in them, and its clean path."""

    annotation: Annotation
    metadata: tuple[Any, ...]
    path: tuple[str, ...]
    """As a reader of the file counts: without the tags of unions."""
    root: type[SpecModel] = Scenario
    """What the path starts from."""

    @property
    def origin(self) -> Annotation:
        """The container without its parts: tuple, dict, Literal or Union; else the annotation."""
        return _origin(self.annotation)

    @property
    def model(self) -> type[SpecModel] | None:
        """The model, where the field is one."""
        kind = self.annotation
        return kind if isinstance(kind, type) and issubclass(kind, SpecModel) else None

    @property
    def quantity(self) -> Quantity | None:
        """The physical quantity, where the field is one."""
        return next((item for item in self.metadata if isinstance(item, Quantity)), None)


def field_type(location: Sequence[str | int], root: type[SpecModel] = Scenario) -> FieldType:
    """Return the field of a scenario, or of another `root`, that pydantic's error location names.

    A part that no model knows (an unknown field, free-form policy parameters) has annotation None.
    """
    current, path = _unwrapped(root, ()), list[str]()
    mapping, tagged = current, False
    for part in location:
        if part == "[key]":
            current = _unwrapped(typing.get_args(mapping.annotation)[0], ())
            continue
        if current.annotation is JsonValue:
            # Pydantic tags each level of free-form JSON with its type: x.list.0.float is x.0.
            if not (tagged := not tagged):
                path.append(str(part))
            continue
        if _is_union(current.annotation):
            member = next((m for m in typing.get_args(current.annotation) if _tag(m) == part), None)
            current = _unwrapped(member, ())
            continue
        path.append(str(part))
        mapping, current = current, _below(current, part)
    return FieldType(current.annotation, current.metadata, tuple(path), root)


def options(field: FieldType) -> tuple[str, ...]:
    """Return what a choice may be: the kinds of a union, the values of a literal, else nothing."""
    if _is_union(field.annotation):
        return tuple(tag for tag in map(_tag, typing.get_args(field.annotation)) if tag)
    if field.origin is Literal:
        return tuple(map(str, typing.get_args(field.annotation)))
    return ()


def describe(field: FieldType) -> str:
    """Return in words what a field expects.

    >>> describe(field_type(("cluster", "racks", 0, "count")))
    'an integer >= 1 and <= 10,000,000'
    >>> describe(field_type(("cooling", "fan_fraction")))
    'a fraction (0.7 or 70 %) >= 0 and <= 100 %'
    """
    return f"{_noun(field)} {_bounds(field)}".strip()


def iter_fields(model: type[SpecModel] = Scenario, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield (dotted path of the model, field name) for every field of the scenario's models."""
    for name, info in model.model_fields.items():
        yield ".".join(path), name
        for below in _models_in(info.annotation):
            yield from iter_fields(below, (*path, name))


def _models_in(annotation: Annotation) -> Iterator[type[SpecModel]]:
    """Yield the models that occur in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        yield annotation
        return
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _unwrapped(annotation: Annotation, metadata: tuple[Any, ...]) -> FieldType:
    """Take `Annotated` and `| None` off an annotation, keeping the metadata."""
    while True:
        if isinstance(annotation, FieldInfo):
            annotation, metadata = annotation.annotation, (*metadata, *annotation.metadata)
        elif hasattr(annotation, "__metadata__"):
            metadata = (*metadata, *annotation.__metadata__)
            annotation = annotation.__origin__
        else:
            members = [m for m in typing.get_args(annotation) if m is not type(None)]
            if _origin(annotation) in {Union, types.UnionType} and len(members) == 1:
                annotation = members[0]
                continue
            flat = [
                part
                for item in metadata
                for part in (item.metadata if isinstance(item, FieldInfo) else [item])
            ]
            return FieldType(annotation, tuple(flat), ())


def _origin(annotation: Annotation) -> Annotation:
    """Return what an annotation is a case of, or the annotation itself."""
    origin: Annotation = typing.get_origin(annotation)
    return annotation if origin is None else origin


def _below(field: FieldType, part: str | int) -> FieldType:
    """Return the type of one part of a field."""
    if field.model is not None:
        info = field.model.model_fields.get(str(part))
        return _unwrapped(info, ()) if info is not None else FieldType(None, (), ())
    arguments = typing.get_args(field.annotation)
    origin = field.origin
    if origin is tuple and arguments:
        return _unwrapped(arguments[0], ())
    if origin is dict and len(arguments) == 2:
        return _unwrapped(arguments[1], ())
    return FieldType(None, (), ())


def _is_union(annotation: Annotation) -> bool:
    """Say whether an annotation is a choice between models by their `kind`."""
    return _origin(annotation) in {Union, types.UnionType} and all(
        _tag(member) for member in typing.get_args(annotation)
    )


def _tag(member: Annotation) -> str:
    """Return the `kind` that selects one member of a union, "" if it has none."""
    kinds = (
        member.model_fields.get("kind")
        if isinstance(member, type) and issubclass(member, SpecModel)
        else None
    )
    return str(typing.get_args(kinds.annotation)[0]) if kinds is not None else ""


def _noun(field: FieldType) -> str:
    """Return what kind of value a field holds."""
    choices = options(field)
    if choices:
        return f"one of {', '.join(choices)}"
    if field.quantity is Quantity.FRACTION:
        return "a fraction (0.7 or 70 %)"
    if field.quantity is not None:
        article = "an" if field.quantity.value.startswith("e") else "a"
        return f"{article} {field.quantity.value} ({', '.join(_shown_units(field.quantity))})"
    if field.model is not None:
        return "a mapping of fields"
    origin = field.origin
    return _NOUNS.get(origin, "a value")


_NOUNS: Mapping[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
    dict: "a mapping",
    datetime: "a date and time with its UTC offset, such as 2023-01-01T00:00:00Z",
    AwareDatetime: "a date and time with its UTC offset, such as 2023-01-01T00:00:00Z",
}


def _shown_units(quantity: Quantity) -> tuple[str, ...]:
    """Return a few of the units of a quantity."""
    favourites = {
        Quantity.SIZE: ("MB", "GB", "GiB"),
        Quantity.BANDWIDTH: ("GB/s", "Gbit/s"),
        Quantity.DURATION: ("s", "min", "h", "d"),
        Quantity.FLOP_RATE: ("TFLOP/s", "PFLOP/s"),
        Quantity.CARBON_INTENSITY: ("g/kWh", "kg/MWh"),
        Quantity.ENERGY_PRICE: ("USD/kWh", "USD/MWh"),
        Quantity.TEMPERATURE: ("degC", "degF", "K"),
    }
    return favourites.get(quantity, unit_symbols(quantity)[:3])


def _bounds(field: FieldType) -> str:
    """Return the range of a field, and the length of a list."""
    words = []
    for item in field.metadata:
        for kind, name, sign in _OPERATORS:
            if isinstance(item, kind):
                words.append(f"{sign} {_bound(getattr(item, name), field)}")
    if field.annotation is str:
        return " and ".join(words)
    shortest = next((item.min_length for item in field.metadata if isinstance(item, MinLen)), 0)
    longest = next((item.max_length for item in field.metadata if isinstance(item, MaxLen)), None)
    if longest is not None:
        least = f"{shortest} to" if 0 < shortest < longest else "at most" if shortest < longest else ""
        words.append(f"of {least} {longest:,} items".replace("  ", " "))
    elif shortest:
        words.append(f"of at least {shortest} item" + ("s" if shortest > 1 else ""))
    return " and ".join(words)


def _bound(value: float, field: FieldType) -> str:
    """Return one bound in the unit people use."""
    if field.quantity is not None:
        return format_quantity(value, field.quantity) if value else "0"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
