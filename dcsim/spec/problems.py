"""Turns what pydantic found into problems a person can act on: where, what, what instead, what was meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dcsim.errors import Problem
from dcsim.spec.fields import FieldType, describe, field_type, iter_fields, options
from dcsim.spec.model import FieldError, SpecModel
from dcsim.spec.names import nearest
from dcsim.spec.scenario import Scenario
from dcsim.units import Quantity, QuantityError, format_quantity

__all__ = ["line_of", "problems_of"]

Words = tuple[str, str, str]
"""(got, expected, hint) of one problem."""

_MAX_SHOWN = 80
_MAX_PROBLEMS = 100


def problems_of(
    error: ValidationError,
    file: str,
    lines: Mapping[tuple[str, ...], int],
    root: type[SpecModel] = Scenario,
) -> tuple[Problem, ...]:
    """Return all problems of a scenario, or of another `root`, that pydantic refused, in the order of the file.

    `lines` has the line of each path (of `YamlDocument`); it may be empty.
    """
    details = error.errors(include_url=False)
    refused = {tuple(detail["loc"][:n]) for detail in details for n in range(len(detail["loc"]))}
    details = [detail for detail in details if not _is_echo(detail, refused)]
    if len(details) > _MAX_PROBLEMS:
        # To put an error into words takes milliseconds: only those shown are, the first of the file.
        details.sort(key=lambda detail: line_of(field_type(detail["loc"], root).path, lines) or 0)
    problems = [
        problem
        for detail in details[:_MAX_PROBLEMS]
        for problem in _translate(detail, field_type(detail["loc"], root), file, lines)
    ]
    problems.sort(key=lambda problem: problem.line or 0)
    left = len(problems[_MAX_PROBLEMS:]) + len(details[_MAX_PROBLEMS:])
    if left:
        problems[_MAX_PROBLEMS:] = [
            Problem(file, None, "", f"{left} more problems", "none", "mend these first")
        ]
    return tuple(problems)


def line_of(path: Sequence[str | int], lines: Mapping[tuple[str, ...], int]) -> int | None:
    """Return the line of a field, or of what it is missing from; None if unknown."""
    keys = tuple(map(str, path))
    return next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)


def _is_echo(detail: ErrorDetails, refused: set[tuple[int | str, ...]]) -> bool:
    """Say whether an error only follows from another: a list called too short because its items were refused.

    `refused` holds every place below which there is an error. A default that follows from another field is wrong
    only where that field is.
    """
    if detail["type"] == "default_factory_not_called":
        return True
    if detail["type"] != "too_short" or tuple(detail["loc"]) not in refused:
        return False
    return bool(len(detail["input"] or ()) >= detail["ctx"]["min_length"])


def _translate(
    detail: ErrorDetails, field: FieldType, file: str, lines: Mapping[tuple[str, ...], int]
) -> Iterator[Problem]:
    """Yield the problems of one of pydantic's errors; a validator may have found several."""
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, FieldError):
        for issue in raised.issues:
            path = (*field.path, *map(str, issue.at))
            line = line_of(path, lines)
            yield Problem(file, line, ".".join(path), issue.got, issue.expected, issue.hint)
        return
    got, expected, hint = _words(detail, field, raised)
    path = (*field.path, "kind") if detail["type"].startswith("union_tag") else field.path
    if "[key]" in detail["loc"]:
        expected = f"{expected} as the key"
    yield Problem(file, line_of(path, lines), ".".join(path), got, expected, hint)


def _words(detail: ErrorDetails, field: FieldType, raised: object) -> Words:
    """Return (got, expected, hint) of one error."""
    value = detail["input"]
    if isinstance(raised, QuantityError):
        return raised.got, _with_bounds(raised, field), raised.hint or _type_hint(value, field)
    special = (
        _kind
        if detail["type"] == "model_attributes_type" and options(field)
        else _SPECIAL.get(detail["type"])
    )
    if special is not None:
        return special(detail, field)
    if detail["type"] in _TYPE_ERRORS or detail["type"] in _RANGE_ERRORS:
        return _show(value, field), describe(field), _type_hint(value, field)
    return _show(value, field), f"{describe(field)} ({detail['msg'].lower()})", _type_hint(value, field)


_TYPE_ERRORS = frozenset({
    "int_type", "int_from_float", "int_parsing", "float_type", "float_parsing", "string_type", "bool_type",
    "tuple_type", "list_type", "dict_type", "model_type", "model_attributes_type",
})  # fmt: skip
_RANGE_ERRORS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


def _with_bounds(raised: QuantityError, field: FieldType) -> str:
    """Return what a quantity should have been, with the units and the range of the field."""
    return describe(field) if field.quantity is not None else raised.expected


def _show(value: object, field: FieldType | None = None) -> str:
    """Return the start of a value as the file has it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and field is not None and field.quantity is not None:
        return format_quantity(value, field.quantity)
    if isinstance(value, dict | list | tuple):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)}"
    try:
        text = repr(value)
    except ValueError:  # an integer too long for Python to print
        text = "a huge integer"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _type_hint(value: object, field: FieldType) -> str:
    """Return what was probably meant by a value of the wrong type or outside its range."""
    expected = field.annotation
    number = expected in {int, float}
    hints = (
        (value is None, "give a value, or indent what belongs to it below"),
        (isinstance(value, bool) and number, "true and false are no numbers"),
        (isinstance(value, str) and number, _text_for_number(value)),
        (isinstance(value, int | float) and expected is str, f"quote it: '{_show(value)}'"),
        (isinstance(value, float) and expected is int, _whole(value)),
        (_is_fraction(field), _percentage(value)),
        (isinstance(value, dict) and field.origin is tuple, "start each item with '- '"),
        (isinstance(value, list) and field.model is not None, "leave out the '- ': this is one mapping"),
    )
    return next((hint for applies, hint in hints if applies), "")


def _whole(value: object) -> str:
    """Return how to write a float that is a whole number."""
    return f"write {int(value)}" if isinstance(value, float) and value.is_integer() else ""


def _percentage(value: object) -> str:
    """Return how to write a fraction that was given in percent."""
    percent = isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100
    return f"write '{value:g} %'" if percent else ""


def _is_fraction(field: FieldType) -> bool:
    return field.quantity is Quantity.FRACTION


def _text_for_number(value: object) -> str:
    """Return what to write instead of a text where a number is expected."""
    text = str(value) if isinstance(value, str) else ""
    bare = text.strip().replace(",", "").replace("_", "").replace("'", "")
    try:
        float(bare)
    except ValueError:
        return ""
    return "remove the quotes" if bare == text.strip() else "write the number without thousands separators"


def _missing(_detail: ErrorDetails, field: FieldType) -> Words:
    return "missing", describe(field), ""


def _unknown(detail: ErrorDetails, field: FieldType) -> Words:
    """Name the nearest field of the same part, else where a field of that name belongs."""
    parent = field_type(detail["loc"][:-1], field.root)
    # The tag of a union stands last before the field: the union's member is what has the fields.
    known = tuple(parent.model.model_fields) if parent.model is not None else ()
    hint = nearest(str(detail["loc"][-1]), known) or _elsewhere(str(detail["loc"][-1]), field.root)
    return "an unknown field", f"one of {', '.join(known)}" if known else "a known field", hint


def _elsewhere(name: str, root: type[SpecModel]) -> str:
    """Return in which part of a scenario a field of this or a similar name belongs, "" if in none."""
    places: dict[str, str] = {}
    for place, other in iter_fields(root):
        places.setdefault(other, place or "the top level")
    if name in places:
        return f"it belongs in {places[name]}".replace("in the top", "at the top")
    similar = nearest(name, places)
    meant = similar.split("'")[1] if similar else ""
    return f"did you mean {meant!r} in {places[meant]}?".replace("in the top", "at the top") if meant else ""


def _choice(detail: ErrorDetails, field: FieldType) -> Words:
    value = detail["input"]
    hint = nearest(value, options(field)) if isinstance(value, str) else ""
    return _show(value), describe(field), hint


def _kind(detail: ErrorDetails, field: FieldType) -> Words:
    value = detail["input"]
    tag = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict):
        return _show(value), f"a mapping with kind: {describe(field)}", ""
    if "kind" not in value:
        guess = _guess_kind(value, field)
        return "missing", describe(field), f"did you mean kind: {guess}?" if guess else ""
    return _show(tag), describe(field), nearest(tag, options(field)) if isinstance(tag, str) else ""


def _guess_kind(value: Mapping[str, Any], field: FieldType) -> str:
    """Return the kind whose fields hold most of those given, "" if none fits."""
    by_kind = {
        kind: tuple(sub.model.model_fields)
        if (sub := field_type((*field.path, kind), field.root)).model
        else ()
        for kind in options(field)
    }
    shared = {kind: len(set(value) & set(names)) for kind, names in by_kind.items()}
    best = max(shared, key=lambda kind: shared[kind], default="")
    return best if best and shared[best] else ""


def _finite(detail: ErrorDetails, field: FieldType) -> Words:
    expected = describe(field).replace("a value", "a number")
    return _show(detail["input"]), expected.replace("a number", "a finite number"), ""


def _name(detail: ErrorDetails, _field: FieldType) -> Words:
    expected = "a name: letters, digits, '_', '-' and '.', the first a letter or digit"
    return _show(detail["input"]), expected, "spaces and accents go into `description`"


def _length(detail: ErrorDetails, field: FieldType) -> Words:
    value = detail["input"]
    context = detail.get("ctx", {})
    if detail["type"].startswith("string"):
        least, most = context.get("min_length"), context.get("max_length")
        bound = f"at least {least} character" if most is None else f"at most {most} characters"
        return _show(value), f"text of {bound}", ""
    count = len(value) if hasattr(value, "__len__") else context.get("actual_length")
    return f"{count} items" if count != 1 else "1 item", describe(field), ""


_SPECIAL: Mapping[str, Callable[[ErrorDetails, FieldType], Words]] = {
    "missing": _missing,
    "finite_number": _finite,
    "extra_forbidden": _unknown,
    "literal_error": _choice,
    "union_tag_invalid": _kind,
    "union_tag_not_found": _kind,
    "string_pattern_mismatch": _name,
    "string_too_short": _length,
    "string_too_long": _length,
    "too_short": _length,
    "too_long": _length,
}
