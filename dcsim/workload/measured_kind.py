"""A kind of job of a rate table, where a cost profile may stand: it costs what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dcsim.workload.rate_table import Rate, RateTable

__all__ = ["MeasuredKind", "packed_layout"]


@dataclass(frozen=True, slots=True)
class MeasuredKind:
    """One kind of job of a rate table, where the table came from, and the hash that its file carries.

    >>> from dcsim.workload.rate_table import MeasuredRate, RateProvenance
    >>> lm = MeasuredRate(kind="lm", accelerator="T4", layout=(2,), batch=8, steps_per_s=4.0)
    >>> kind = MeasuredKind(RateTable(provenance=RateProvenance(source="by hand"), rates=(lm,)), "lm")
    >>> kind.rate("T4", (2,), 8).steps_per_s, kind.runs_on("A100-80", (2,), 8), kind.largest_batch
    (4.0, False, 8)
    """

    table: RateTable
    kind: str
    sha256: str = "0" * 64
    """Of the table's file; zeros where it was made in memory."""
    path: Path = Path("rates.json")

    def rate(self, accelerator: str, layout: tuple[int, ...], batch: int) -> Rate:
        """Return the steps/s of a gang alone on its devices, `RateTable.rate_steps_per_s`."""
        return self.table.rate_steps_per_s(self.kind, accelerator, layout, batch)

    def runs_on(self, accelerator: str, layout: tuple[int, ...], batch: int) -> bool:
        """Return whether it was measured on an accelerator, and does not stand still there."""
        measured = accelerator in self.table.accelerators(self.kind)
        return measured and self.rate(accelerator, layout, batch).steps_per_s > 0.0

    @property
    def largest_batch(self) -> int:
        """Samples a step on each accelerator, the most that were measured; 0: the table does not say."""
        steps = (*self.table.rates, *self.table.shapes)
        return max(step.batch for step in steps if step.kind == self.kind)


def packed_layout(accelerators: int, per_server: int) -> tuple[int, ...]:
    """Return a gang on the fewest servers: devices on each, most first.

    Args:
        accelerators: of the gang, >= 1.
        per_server: devices of a server, >= 1.

    >>> packed_layout(10, 4), packed_layout(2, 4)
    ((4, 4, 2), (2,))
    """
    whole, rest = divmod(accelerators, per_server)
    return (per_server,) * whole + ((rest,) if rest else ())
