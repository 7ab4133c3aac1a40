"""YAML, the safe part of it: plain data and the line of every field, or every problem at once.

PyYAML parses; what the events mean is decided here, by the core schema of YAML 1.2 and not by
PyYAML's YAML 1.1: `no` and `on` are text, `1e3` is a number, `12:30:00` and dates are text, `010`
is refused because the two versions disagree on it. Aliases, merge keys, tags, duplicate keys,
several documents, NaN and infinities are refused; size, depth and the number of values are bounded,
so that no file takes more than about a second.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from dcsim.errors import Problem, ScenarioError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "YamlDocument", "load_yaml"]

MAX_BYTES = 1 << 20
"""Largest file, 1 MiB."""
MAX_DEPTH = 32
"""Deepest nesting."""
MAX_NODES = 20_000
"""Most keys and values in one file."""
_MAX_PROBLEMS = 100
_MAX_SHOWN = 60

Data = Any
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """What one file says: nested dict, list, str, int, float, bool and None, and where."""

    data: dict[str | int, Data]
    lines: Mapping[Path, int]
    """Line, from 1, of each key or list item by its path; all parts of a path are text."""


def load_yaml(
    raw: bytes, file: str, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES
) -> YamlDocument:
    r"""Return the one mapping that a YAML text holds.

    `file` is only shown. `max_bytes` and `max_nodes` bound the text and its keys and values: the
    defaults fit whatever people write by hand, dumps of programs need more; nothing else is relaxed.
    Raises `ScenarioError` with all problems found.

    >>> document = load_yaml(b"name: demo\nsize: 1e3\n", "demo.yaml")
    >>> document.data, document.lines[("size",)]
    ({'name': 'demo', 'size': 1000.0}, 2)
    """
    text = _decode(raw, file, max_bytes)
    reader = _Reader(file, text, max_nodes)
    try:
        data = reader.read()
    except _LimitError:
        data = None
    except yaml.YAMLError as error:
        reader.syntax_error(error)
        data = None
    if not reader.problems and not isinstance(data, dict):
        got = "nothing" if data is None else f"a {'list' if isinstance(data, list) else 'single value'}"
        reader.refuse(1, (), got, "a mapping of field names to values")
    if reader.problems:
        raise ScenarioError(reader.problems)
    return YamlDocument(data=data, lines=reader.lines)


def _decode(raw: bytes, file: str, max_bytes: int) -> str:
    """Return the text of a UTF-8 file, with or without byte-order mark and with any line ends."""
    if len(raw) > max_bytes:
        raise _single(file, None, f"more than {max_bytes:,} bytes", f"at most {max_bytes:,} bytes")
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in raw[:64]:
        raise _single(file, 1, "UTF-16, UTF-32 or binary data", "UTF-8 text", "save the file as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{raw[error.start]:02X}"
        raise _single(file, line, got, "UTF-8 text", "save the file as UTF-8 (is it Latin-1?)") from None
    bad = _CONTROL.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise _single(file, line, f"control character U+{ord(bad.group()):04X}", "printable text")
    return text


# U+0085, U+2028 and U+2029 end a line for PyYAML and for no editor, so a comment could hide a field.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _single(file: str, line: int | None, got: str, expected: str, hint: str = "") -> ScenarioError:
    """Return the error of a text that cannot even be parsed."""
    return ScenarioError([Problem(file, line, "", got, expected, hint)])


class _LimitError(Exception):
    """Reading stops: a limit is passed, and the problem is noted."""


@dataclass
class _Reader:
    """Builds data from PyYAML's events, noting problems instead of stopping where it can."""

    file: str
    text: str
    max_nodes: int = MAX_NODES
    problems: list[Problem] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)
    nodes: int = 0

    def read(self) -> Data:
        """Return the data of the single document, None if there is none."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        events = yaml.parse(self.text, Loader=loader)
        data: Data = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(
                        _line(event), (), "a second document", "one document", "remove the line '---'"
                    )
                    raise _LimitError
                if event.tags:
                    self.refuse(_line(event), (), "a %TAG directive", "plain data", "remove it")
            elif isinstance(event, yaml.NodeEvent):
                data = self.node(event, events, ())
        return data

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Data:
        """Return the value that starts with `event`."""
        line = _line(event)
        self.nodes += 1
        if self.nodes > self.max_nodes:
            expected = f"at most {self.max_nodes:,} values in a file"
            self.refuse(line, path, f"more than {self.max_nodes:,} values", expected)
            raise _LimitError
        if len(path) > MAX_DEPTH:
            self.refuse(line, (), "deeper nesting", f"at most {MAX_DEPTH} levels")
            raise _LimitError
        if isinstance(event, yaml.AliasEvent):
            alias = _short(event.anchor or "")
            self.refuse(line, path, f"the alias *{alias}", "the value itself", "write it out again")
            return None
        self.refuse_decorations(event, line, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(events, path)
        return self.scalar(cast("yaml.ScalarEvent", event), line, path)

    def refuse_decorations(self, event: yaml.Event, line: int, path: Path) -> None:
        """Refuse anchors and tags."""
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            hint = "anchors and aliases are refused: write the value out where it is needed"
            self.refuse(line, path, f"the anchor &{_short(anchor)}", "plain data", hint)
        if tag is not None:
            shown = _short(tag).replace("tag:yaml.org,2002:", "!!")
            self.refuse(line, path, f"the tag {shown}", "plain data", "remove the tag")

    def mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str | int, Data]:
        """Return a mapping; keys are text or whole numbers, in NFC, and each occurs once."""
        result: dict[str | int, Data] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            key = self.key(event, events, path)
            here = (*path, str(key))
            duplicate = here in self.lines
            if duplicate:
                hint = f"it is already in line {self.lines[here]}"
                self.refuse(line, here, "a second time", "each key once", hint)
            self.lines.setdefault(here, line)
            value = self.node(next(events), events, here)
            if not duplicate:
                result[key] = value
        return result

    def key(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> str | int:
        """Return one key of a mapping."""
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            self.node(event, events, (*path, "?"))
            self.refuse(line, path, "a list, mapping or alias as a key", "a field name")
            return f"?{len(self.problems)}"
        self.nodes += 1
        self.refuse_decorations(event, line, path)
        text = unicodedata.normalize("NFC", event.value)
        plain = not event.style  # libyaml says "", PyYAML itself None
        if plain and text == "<<":
            self.refuse(line, path, "the merge key <<", "plain data", "write the fields out")
        resolved = self.scalar(event, line, path) if plain else text
        if isinstance(resolved, bool | float) or resolved is None:
            self.refuse(
                line, path, f"the key {_short(event.value)!r}", "a field name", "quote it if it is a name"
            )
        return resolved if isinstance(resolved, int) and not isinstance(resolved, bool) else text

    def sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Data]:
        """Return a list."""
        result: list[Data] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            here = (*path, str(len(result)))
            self.lines[here] = _line(event)
            result.append(self.node(event, events, here))
        return result

    def scalar(self, event: yaml.ScalarEvent, line: int, path: Path) -> str | int | float | bool | None:
        """Return a text, or what the YAML 1.2 core schema makes of it where it has no quotes."""
        text = event.value
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _SPECIAL.fullmatch(text):
            self.refuse(line, path, text, "a finite number")
            return None
        if _INT.fullmatch(text):
            return self.integer(text, line, path)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if number in {float("inf"), float("-inf")}:
                self.refuse(line, path, _short(text), "a finite number")
            return number
        return text

    def integer(self, text: str, line: int, path: Path) -> int:
        """Return a decimal, hexadecimal or octal (0o17) integer."""
        digits = text.lstrip("+-")
        if len(digits) > 30:
            self.refuse(line, path, _short(text), "an integer of at most 30 digits")
            return 0
        if digits[:2] in {"0x", "0o"}:
            return int(text, 0)
        if len(digits) > 1 and digits[0] == "0":
            meant = digits.lstrip("0") or "0"
            hint = f"YAML 1.1 would read it in base 8: write {meant}, or quote it if it is a name"
            self.refuse(line, path, text, "a number without leading zeros", hint)
        return int(text)

    def refuse(self, line: int | None, path: Path, got: str, expected: str, hint: str = "") -> None:
        """Note one problem; stop reading when there are too many."""
        self.problems.append(Problem(self.file, line, ".".join(map(_short, path)), got, expected, hint))
        if len(self.problems) >= _MAX_PROBLEMS:
            raise _LimitError

    def syntax_error(self, error: yaml.YAMLError) -> None:
        """Note where PyYAML lost the thread, with the usual cause."""
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = None if mark is None else mark.line + 1
        reason = str(getattr(error, "problem", None) or "unreadable text")
        rows = self.text.splitlines()
        row = rows[line - 1] if line is not None and line <= len(rows) else ""
        hint = next((hint for needle, hint in _CAUSES.items() if needle in reason), "")
        if "\t" in row[: len(row) - len(row.lstrip())]:
            hint = "indent with spaces: YAML does not take tabs"
        got = reason if not row.strip() else f"{_short(row.strip())!r} ({reason})"
        self.problems.append(Problem(self.file, line, "", got, "valid YAML", hint))


_WORDS: Mapping[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_CAUSES: Mapping[str, str] = {
    "mapping values are not allowed": "quote a text that holds ': ', and check the indentation",
    "could not find expected ':'": "write 'name: value', with a space after the colon",
    "did not find expected key": "check the indentation and the quotes of the lines above",
    "expected <block end>": "check the indentation and the quotes of the lines above",
    "cannot start any token": "quote a text that starts with @, `, % or a tab",
    "did not find expected ',' or": "close the bracket, or quote the text in it",
    "undefined alias": "aliases are refused: write the value out where it is needed",
}


def _line(event: yaml.Event) -> int:
    """Return the line, from 1, on which an event starts."""
    return 1 if event.start_mark is None else int(event.start_mark.line) + 1


def _short(text: str) -> str:
    """Return the start of a text, for a message."""
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
