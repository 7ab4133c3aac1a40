"""Figures printed beside their targets, which fail when they fall short."""

from __future__ import annotations

import math

__all__ = ["Figures"]


class Figures:
    """Prints measured figures beside their targets (shown by `make oracle`) and asserts them."""

    def near(self, name: str, measured: float, target: float, within: float, basis: str = "") -> None:
        """The figure is at most `within` (absolute) from its target."""
        line = f"{name}: {measured:.6g}, target {target:.6g} +- {within:.2g}"
        self._say(line, basis, met=math.isfinite(measured) and abs(measured - target) <= within)

    def equal(self, name: str, measured: float, target: float, relative: float, basis: str = "") -> None:
        """The figure is the target, to a relative rounding error."""
        error = abs(measured - target) / abs(target) if target else abs(measured)
        line = f"{name}: {measured:.12g}, target {target:.12g}, off by {error:.1e} (at most {relative:.0e})"
        self._say(line, basis, met=error <= relative)

    def at_most(self, name: str, measured: float, limit: float, basis: str = "") -> None:
        """The figure does not exceed its limit."""
        self._say(f"{name}: {measured:.4g}, target at most {limit:.4g}", basis, met=measured <= limit)

    def tell(self, name: str, measured: float | str, basis: str = "") -> None:
        """A figure without a target."""
        shown = measured if isinstance(measured, str) else f"{measured:.6g}"
        self._say(f"{name}: {shown}", basis, met=True)

    @staticmethod
    def _say(line: str, basis: str, *, met: bool) -> None:
        text = f"{'ok   ' if met else 'SHORT'} {line}" + (f"  [{basis}]" if basis else "")
        print(f"\n{text}", end="")
        assert met, text
