"""From what Slurm and Kubernetes call an accelerator to names of the hardware catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dcsim.facility.hardware import CATALOGUE
from dcsim.spec.names import nearest
from dcsim.spec.quantities import NAME_PATTERN

__all__ = ["AcceleratorNames", "catalogue_names", "clean_name"]

_VARIANTS: Mapping[str, tuple[str, ...]] = {
    "a100": ("A100-40", "A100-80"),
    "v100": ("V100", "V100M16", "V100M32"),
}
_BY_MEMORY: Mapping[tuple[str, str], str] = {
    ("a100", "40"): "A100-40",
    ("a100", "80"): "A100-80",
    ("v100", "16"): "V100M16",
    ("v100", "32"): "V100M32",
}
_TPU: Mapping[str, str] = {
    "v4": "TPU-v4",
    "v5 lite": "TPU-v5e",
    "v5e": "TPU-v5e",
    "v5p": "TPU-v5p",
    "v6e": "TPU-v6e",
}
_PLAIN = ("b200", "h200", "h100", "p100", "t4", "a10")
_MEMORY = re.compile(r"(\d{1,3})gb?\Z")
_SLICE = re.compile(r"\d{1,2}g\.\d{1,3}gb")
"""Part of a device under Nvidia's MIG, as in a100_1g.5gb."""


def catalogue_names(label: str) -> tuple[str, ...]:
    """Return the catalogue's names for a label, the likeliest first; none where it has no such model.

    A label that leaves the memory of the device open stands for every variant; the catalogue has no
    parts of devices (MIG).

    >>> catalogue_names("NVIDIA-A100-SXM4-80GB"), catalogue_names("a100"), catalogue_names("mi300x")
    (('A100-80',), ('A100-40', 'A100-80'), ())
    """
    exact = {name.lower(): name for name in CATALOGUE}.get(label.strip().lower())
    if exact and exact != "V100":  # which has variants
        return (exact,)
    tokens = [token for token in re.split(r"[^a-z0-9]+", label.lower()) if token]
    if "mig" in tokens or _SLICE.search(label.lower()):
        return ()
    if "tpu" in tokens or "tpu" in label.lower():
        text = " ".join(tokens)
        return next(((name,) for key, name in _TPU.items() if re.search(rf"\b{key}\b", text)), ())
    memory = next((found[1] for token in tokens if (found := _MEMORY.match(token))), "")
    for family, variants in _VARIANTS.items():
        if family in tokens:
            sized = _BY_MEMORY.get((family, memory))
            return (sized,) if sized else variants
    return next(((name.upper(),) for name in _PLAIN if name in tokens), ())


def clean_name(text: str, *, otherwise: str = "unnamed") -> str:
    """Return a text as a name that a scenario takes: letters, digits, "_", "-" and ".".

    >>> clean_name("row 3/rack 07")
    'row-3-rack-07'
    """
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "-", text).strip("-_.")[:100]
    return name if re.match(NAME_PATTERN, name) else otherwise


class AcceleratorNames:
    """Names for the labels of one file, with what a user says of them, and notes on what was guessed.

    Args:
        given: Label -> catalogue name, as the user says it; labels whatever their case.

    >>> names = AcceleratorNames({"a100": "A100-80"})
    >>> names.one("A100"), names.any_of("v100"), names.one("mi300x"), len(names.notes())
    ('A100-80', 'V100|V100M16|V100M32', 'mi300x', 1)
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = {label.lower(): name for label, name in (given or {}).items()}
        self._notes: dict[str, None] = {}
        self._asked: set[str] = set()
        self._passed_over: dict[str, int] = {}

    def told(self, label: str) -> bool:
        """Return whether the user has a name for a label."""
        self._asked.add(label.lower())
        return label.lower() in self._given

    def pass_over(self, resource: str) -> None:
        """Count a resource that is not known to be an accelerator, so that the notes tell of it."""
        self._passed_over[resource] = self._passed_over.get(resource, 0) + 1

    def one(self, label: str) -> str:
        """Return the one name for the accelerators of a server."""
        if self.told(label):
            return self._given[label.lower()]
        names = catalogue_names(label)
        if not names:
            name = clean_name(label)
            self._note(f"{label!r} is in no catalogue: define {name!r} under `accelerators`, or rename it")
            return name
        if len(names) > 1:
            self._note(f"{label!r} may be {' or '.join(names)}: taken for {names[0]}")
        return names[0]

    def any_of(self, label: str) -> str:
        """Return the names that a job takes which asked for a label, a vertical bar between them."""
        if self.told(label):
            return self._given[label.lower()]
        names = catalogue_names(label)
        if not names:
            self._note(f"{label!r} is in no catalogue: jobs ask for {clean_name(label)!r}")
        return "|".join(names) or clean_name(label)

    def notes(self) -> tuple[str, ...]:
        """Return what was guessed, each once; what was said in vain; and resources passed over."""
        notes = list(self._notes)
        for label, name in self._given.items():
            if label not in self._asked:
                notes.append(f"accelerators: nothing in the file is called {label!r} (--accelerator)")
            elif name not in CATALOGUE:
                near = nearest(name, CATALOGUE)
                words = f"{name!r} is in no catalogue: define it under `accelerators`"
                notes.append(f"accelerators: {words}{near and f' ({near})'}")
        if self._passed_over:
            counted = ", ".join(f"{name} ({times} times)" for name, times in self._passed_over.items())
            notes.append(
                f"accelerators: passed over are {counted}; where it is one, say --accelerator RESOURCE=NAME"
            )
        return tuple(notes)

    def _note(self, text: str) -> None:
        self._notes[f"accelerators: {text}"] = None
