"""What a scenario says of how a kind of job divides its model and its samples over a gang."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from dcsim.spec.model import FieldIssue, SpecModel

__all__ = ["ParallelismSpec"]

Degree = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class ParallelismSpec(SpecModel):
    """Degrees of parallelism; what they leave of a gang's width is data parallel."""

    tensor: Degree = 1
    """Accelerators that share each layer."""
    pipeline: Degree = 1
    """Stages that the layers are divided into."""
    context: Degree = 1
    """Accelerators that share each sequence."""
    expert: Degree = 1
    """Data-parallel ranks that share the experts of each layer between them."""
    micro_batches: Degree = 1
    """Parts in which a replica's samples of a step go through it."""
    zero_stage: int = Field(default=0, ge=0, le=3, strict=True)
    """What data-parallel ranks share instead of each holding it: 0 nothing, 1 optimizer state, 2 gradients, too,
    3 parameters, too (ZeRO)."""
    interleaving: Degree = 1
    """Chunks of layers that each pipeline stage holds; the wait for the first and last micro-batch is divided by it."""

    def issues(self, widths: Iterable[int], *, elastic: bool) -> list[FieldIssue]:
        """Return why gangs of these widths, or elastic ones, cannot be divided so; empty where they can.

        >>> issue = ParallelismSpec(tensor=4, pipeline=2).issues([12, 16], elastic=False)[0]
        >>> issue.got, issue.expected
        ('width 12', 'widths that are multiples of tensor x pipeline x context x expert = 8')
        """
        least = self.tensor * self.pipeline * self.context * self.expert
        expected = f"widths that are multiples of tensor x pipeline x context x expert = {least}"
        hint = "the rest of a width is data parallel, and experts are spread over that"
        found = [
            FieldIssue(f"width {width}", expected, f"{hint}; the next are {_near(width, least)}")
            for width in sorted(widths)
            if width % least
        ]
        if elastic and least > 1:
            hint = "an elastic gang may be given a width that does not divide: set it to 0, or leave out the degrees"
            found.append(FieldIssue("an elastic kind of job", "rules.elastic_fraction 0", hint))
        return found


def _near(width: int, least: int) -> str:
    """Return the multiples of `least` below and above a width, in words."""
    below = width // least * least
    return " and ".join(str(near) for near in (below, below + least) if near)
