"""The switches of Slurm's topology.conf (tree and block), and the lines that its configuration is made of."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dcsim.errors import Problem
from dcsim.facility.network.hostlist import HOSTS_MAX, HostlistError, expand_hosts

__all__ = ["ConfEntry", "SwitchTree", "conf_entries"]

_PAIR = re.compile(r'([A-Za-z]\w*)=("[^"]*"|[^\s"]+)', re.ASCII)
_PASSED_OVER = ("blocksizes", "topologyparam")


@dataclass(frozen=True, slots=True)
class ConfEntry:
    """One line of a configuration: `Key=value` pairs by lower-case key."""

    file: str
    line: int
    values: Mapping[str, str]


def conf_entries(
    text: str, file: str, keywords: Sequence[str], problems: list[Problem], *, strict: bool
) -> Iterator[ConfEntry]:
    """Yield the lines that begin with one of the keywords.

    Args:
        text: of the file.
        file: shown in problems.
        keywords: in lower case.
        problems: is filled with what is malformed.
        strict: other lines are a problem too.
    """
    for number, line in _joined(text):
        words = line.split()
        if words[0].lower() == "include":
            hint = "paste what it names in its place"
            problems.append(Problem(file, number, "Include", line[:100], "one file without Include", hint))
            continue
        key = words[0].partition("=")[0].lower()
        if key not in keywords:
            if strict and key not in _PASSED_OVER:
                expected = "a line that starts with SwitchName=, BlockName= or NodeName="
                problems.append(Problem(file, number, "", words[0][:100], expected))
            continue
        values: dict[str, str] = {}
        for name, value in _PAIR.findall(line):
            if name.lower() in values:
                problems.append(Problem(file, number, name, "given twice", "each key once"))
            values[name.lower()] = value.strip('"')
        for word in _PAIR.sub("", line).split()[:3]:
            expected = "pairs Key=value without blanks in the value"
            problems.append(Problem(file, number, "", word[:100], expected))
        if key in values:
            yield ConfEntry(file, number, values)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    r"""Yield (first line, text) of lines joined where they end in a backslash, comments gone.

    >>> list(_joined("a=1 \\\n b=2 # c\n\nd=3"))
    [(1, 'a=1  b=2'), (4, 'd=3')]
    """
    start = 0
    parts: list[str] = []
    for number, raw in enumerate(io.StringIO(text, newline=None), start=1):
        line = re.sub(r"(?<!\\)#.*", "", raw.rstrip("\n")).rstrip()
        start = start or number
        # A list of nodes may go on in the next line, indented.
        after_comma = bool(parts) and parts[-1].endswith(",")
        parts.append((line.lstrip() if after_comma else line).removesuffix("\\"))
        if line.endswith("\\"):
            continue
        joined = "".join(parts).strip()
        if joined:
            yield start, joined
        start, parts = 0, []
    if "".join(parts).strip():
        yield start, "".join(parts).strip()


@dataclass
class SwitchTree:
    """Switches or blocks, as far as they have been read."""

    problems: list[Problem] = field(default_factory=list)
    leaves: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Leaf switch or block -> its nodes."""
    above: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Switch -> switches below it."""
    parent: dict[str, str] = field(default_factory=dict)
    """Switch -> the one above it; known after `walk`."""
    lines: dict[str, ConfEntry] = field(default_factory=dict)
    """Line of each switch and block."""

    def refuse(self, entry: ConfEntry, path: str, got: str, expected: str, hint: str = "") -> None:
        """Note one problem."""
        self.problems.append(Problem(entry.file, entry.line, path, got[:100], expected, hint))

    def hosts(self, entry: ConfEntry, key: str) -> tuple[str, ...]:
        """Return the names of a host list, none where it is malformed."""
        try:
            return expand_hosts(entry.values.get(key, ""), hosts_max=HOSTS_MAX)
        except HostlistError as error:
            self.refuse(entry, key, error.got, error.expected)
            return ()

    def take(self, entry: ConfEntry) -> None:
        """Take one SwitchName= or BlockName= line."""
        key = "switchname" if "switchname" in entry.values else "blockname"
        name = entry.values[key]
        if name in self.lines:
            hint = f"it is in line {self.lines[name].line} already"
            self.refuse(entry, key, name, "a name used once", hint)
            return
        self.lines[name] = entry
        below = [part for part in ("nodes", "switches") if part in entry.values]
        if len(below) != 1:
            self.refuse(entry, name, " and ".join(below) or "neither", "either Nodes= or Switches=")
        elif below[0] == "nodes":
            self.leaves[name] = self.hosts(entry, "nodes")
        else:
            self.above[name] = self.hosts(entry, "switches")

    def walk(self) -> list[str]:
        """Return all switches from the top, so that neighbours stay neighbours, each before those below it.

        Switches that are unknown, below two others or in a circle are problems.
        """
        for name, below in self.above.items():
            for child in below:
                entry = self.lines[name]
                if child not in self.lines:
                    self.refuse(entry, f"{name}.Switches", child, "a switch of this file")
                elif child in self.parent:
                    hint = f"it is below {self.parent[child]}"
                    self.refuse(entry, f"{name}.Switches", child, "a switch below one other", hint)
                self.parent.setdefault(child, name)
        order: dict[str, None] = {}
        stack = [name for name in reversed(self.lines) if name not in self.parent]
        while stack:
            name = stack.pop()
            if name in order:
                continue
            order[name] = None
            stack += reversed([child for child in self.above.get(name, ()) if child in self.lines])
        for name, entry in self.lines.items():
            if name not in order:
                self.refuse(entry, name, "a circle of switches", "a tree")
        return list(order)

    def check_nodes(self) -> None:
        """Note nodes that are under two switches."""
        leaf_of: dict[str, str] = {}
        for leaf, members in self.leaves.items():
            for name in members:
                if name in leaf_of:
                    path = f"{leaf}.Nodes"
                    self.refuse(
                        self.lines[leaf], path, name, "a node of one rack", f"it is in {leaf_of[name]}"
                    )
                leaf_of[name] = leaf
