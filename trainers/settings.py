"""What a calibration is asked to measure, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.allocator import FreedMemory
from trainers.design import Space
from trainers.devices import available_cores
from trainers.modes import PLAIN_MODES
from trainers.provenance import host_cpu, package_versions, python_build
from trainers.recipe import Precision
from trainers.registry import card

__all__ = ["Settings"]

_MEASURING = 4
"""Raised when steps are timed in another way, so that no calibration is finished in another way than it was begun."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long."""

    model: str
    devices: tuple[int, ...] = (1, 2)
    batches: tuple[int, ...] = ()
    """Samples per device, measured as given; empty: chosen one after another from a range."""
    batch_range: tuple[int, int] | None = None
    """That range; None: from the model's smallest to its largest."""
    modes: tuple[str, ...] = ("pmap", "jit")
    precision: Precision = "fp32"
    steps: int = 200
    budget_s: float = 90.0
    """Wall time of the whole, imports and compilation included; 12 steps of each are always timed."""
    target: float = 0.05
    """Mean |relative error| at which the choosing stops."""
    points: int = 12
    """Most points that are chosen; modes beside the first add one for each number of devices."""
    max_spread: float = 0.25
    seed: int = 0
    quick: bool = False
    """Few batches as given, and all modes but one for the largest only: what `make demo` has time for."""
    backend: str = "cpu"
    device: str = "cpu-core"
    """What the hardware catalogue calls one device of this host."""
    freed_memory: FreedMemory = "kept"
    """By the process that is timed, or returned to the system after each step."""

    @property
    def name(self) -> str:
        """Name of the profile.

        >>> Settings("linear", precision="bf16").name
        'linear_bf16'
        """
        return self.model if self.precision == "fp32" else f"{self.model}_{self.precision}"

    @property
    def mode(self) -> str:
        """The mode that surface and fit are made of."""
        return self.ordered_modes()[0]

    def ordered_modes(self) -> list[str]:
        """Return the modes, the one that is designed first."""
        return [mode for mode in PLAIN_MODES if mode in self.modes]

    def device_counts(self) -> tuple[int, ...]:
        """Return the numbers of devices, ascending, each once."""
        return tuple(sorted(set(self.devices)))

    def crowds(self, devices: int) -> bool:
        """Return whether there are fewer cores than so many devices need."""
        return self.backend == "cpu" and devices > available_cores()

    def space(self) -> Space | None:
        """Return what the design may choose from; None where everything is given."""
        if self.batches or self.quick:
            return None
        sizes = card(self.model).batches
        low, high = self.batch_range or (min(sizes), max(sizes))
        return Space(self.device_counts(), low, high)

    def configurations(self) -> tuple[tuple[int, str], ...]:
        """Return (batch per device, mode) of what is measured on each number of devices whatever comes out.

        >>> Settings("linear", quick=True).configurations()
        ((25, 'jit'), (50, 'jit'), (100, 'jit'), (100, 'pmap'))
        """
        first, *others = self.ordered_modes()
        space = self.space()
        if space is not None:
            return tuple((space.batch_max, mode) for mode in others)
        sizes = sorted(set(self.batches or card(self.model).quick_batches))
        few = sizes[-1:] if self.quick else sizes
        return (*((size, first) for size in sizes), *((size, mode) for mode in others for size in few))

    def journal(self, out: Path) -> Path:
        """Return where finished measurements are kept until the profile is written."""
        return out / f".{self.name}.calibrating.jsonl"

    def lock(self, out: Path) -> Path:
        """Return the file that is held while this is measured."""
        return out / f".{self.name}.calibrating.lock"

    def fingerprint(self) -> dict[str, object]:
        """Return what must be equal for a finished measurement to be used again."""
        return {
            "measuring": _MEASURING,
            "model": self.model,
            "precision": self.precision,
            "steps": self.steps,
            "seed": self.seed,
            "backend": self.backend,
            "freed_memory": self.freed_memory,
            "processes": "shared" if self.quick else "fresh",
            "packages": package_versions(),
            "python": python_build(),
            "host_cpu": host_cpu(),
            "cores": available_cores(),
        }

    def command(self) -> str:
        """Return the command line that repeats the measurement, without folders."""
        space = self.space()
        if space is None:
            batch = _listed(sorted({size for size, _ in self.configurations()}))
        else:
            batch = f"{space.batch_min}..{space.batch_max}"
        chosen = "" if space is None else f" --target {self.target:g} --points {self.points}"
        return (
            f"python -m trainers calibrate {self.model} --devices {_listed(self.devices)} --batch {batch} "
            f"--modes {_listed(self.modes)} --precision {self.precision} --steps {self.steps} "
            f"--budget-s {self.budget_s:g} --seed {self.seed}{chosen}"
            + "".join(
                f" {option} {value}"
                for option, value, usual in (
                    ("--max-spread", f"{self.max_spread:g}", "0.25"),
                    ("--backend", self.backend, "cpu"),
                    ("--device", self.device, "cpu-core"),
                    ("--freed-memory", self.freed_memory, "kept"),
                )
                if value != usual
            )
            + (" --quick" if self.quick else "")
        )


def _listed(values: Sequence[object]) -> str:
    return ",".join(str(value) for value in values)
