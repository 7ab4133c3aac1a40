"""What a scenario says of the power chain between the meter and the servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import refuse_alike
from dcsim.spec.power_tree import PowerTreeSpec
from dcsim.spec.quantities import Count, DurationS, Fraction, Name, Number, PowerW

__all__ = ["CHAINS", "PowerChainSpec", "PowerStageSpec"]

_LEAST_TELEMETRY_S = 0.1
"""Meters of servers and racks are read no faster; each reading is an event of the run."""


class PowerStageSpec(SpecModel):
    """One conversion stage, with either of two losses: a fraction of its rating or a constant efficiency.

    P_in = P_out + rated * (c0 + c1 u + c2 u^2), u = P_out / rated, rated that of all its modules; or, for each
    of its units, P_in = (P_out + overhead) / efficiency.
    """

    name: Name
    """Unique."""
    rated_power_w: PowerW | None = Field(default=None, gt=0)
    """What it can carry when its redundant modules have failed; None: 1.25 times the stage's own output at the
    facility's peak IT power and design weather."""
    redundancy: Literal["N", "N+1", "N+2", "2N", "2(N+1)"] = "N"
    """All modules share the load, the redundant ones too: 2N halves the load of each."""
    modules: Count | None = None
    """N, the modules that carry the rating together; needed where a number of modules is redundant."""
    loss_constant: Number = Field(default=0.0, ge=0, le=0.5)
    """c0, fraction of the rating lost without load."""
    loss_linear: Number = Field(default=0.0, ge=0, le=0.5)
    """c1, fraction of the power carried."""
    loss_quadratic: Number = Field(default=0.0, ge=0, le=0.5)
    """c2, fraction of the rating lost at full load, beyond the other two."""
    efficiency: Fraction | None = Field(default=None, ge=0.5)
    """Of a unit beyond its overhead, instead of the three losses."""
    unit_overhead_w: PowerW = Field(default=0.0, ge=0)
    """What each unit loses, loaded or not; with `efficiency`."""
    units: Count | None = None
    """Installed, all of them on; None: by `unit_peak_w`, else one. With `efficiency`."""
    unit_peak_w: PowerW | None = Field(default=None, gt=0)
    """Output of one unit at the facility's peak, to find how many there are."""
    bypass_power_w: PowerW = Field(default=0.0, ge=0)
    """IT power that does not pass this stage and joins at its input: switches fed behind the servers' converters."""
    level: Literal["rack", "pdu", "hall"] = "hall"
    """Where it stands: in each rack, in each PDU of `tree`, or once. Matters with `tree` only."""
    heats_hall: bool = Field(default=False, strict=True)
    """Its losses are heat in the hall, for the cooling to remove; else they leave with outdoor air. Not for a
    stage that carries cooling."""
    carries_cooling: bool = Field(default=False, strict=True)
    """Cooling is fed at its output, so that its losses grow with the plant's power."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        quadratic = ("loss_constant", "loss_linear", "loss_quadratic")
        by_unit = ("unit_overhead_w", "units", "unit_peak_w")
        if self.efficiency is not None:
            hint = "give either `efficiency` or the three losses"
            issues = [
                FieldIssue(f"{getattr(self, name):g}", "0 beside `efficiency`", hint, (name,))
                for name in quadratic
                if getattr(self, name)
            ]
        else:
            issues = [
                FieldIssue(
                    f"{getattr(self, name):g}", "nothing without `efficiency`", "add `efficiency`", (name,)
                )
                for name in by_unit
                if getattr(self, name)
            ]
        if self.units is not None and self.unit_peak_w is not None:
            issues.append(FieldIssue(f"{self.units}", "either `units` or `unit_peak_w`", "", ("units",)))
        if self.redundancy not in {"N", "2N"} and self.modules is None:
            hint = "add `modules: 4`, those that carry the rating without the redundant ones"
            issues.append(
                FieldIssue("nothing", f"how many modules N is in {self.redundancy}", hint, ("modules",))
            )
        if issues:
            raise FieldError(*issues)
        return self

    @property
    def installed_ratio(self) -> float:
        """Installed modules over those needed, >= 1.

        >>> PowerStageSpec(name="ups", redundancy="N+1", modules=4).installed_ratio
        1.25
        """
        needed = self.modules or 1
        spare, sides = {"N": (0, 1), "N+1": (1, 1), "N+2": (2, 1), "2N": (0, 2), "2(N+1)": (1, 2)}[
            self.redundancy
        ]
        return sides * (needed + spare) / needed


_TRANSFORMER = PowerStageSpec(
    name="transformer", loss_constant=0.003, loss_quadratic=0.008, carries_cooling=True
)

CHAINS: Mapping[str, tuple[PowerStageSpec, ...]] = MappingProxyType(
    {
        "double_conversion": (
            PowerStageSpec(
                name="pdu", loss_constant=0.002, loss_linear=0.005, loss_quadratic=0.008, heats_hall=True, level="pdu"
            ),
            PowerStageSpec(name="ups", loss_constant=0.012, loss_linear=0.020, loss_quadratic=0.012),
            _TRANSFORMER,
        ),
        "380v_dc": (
            PowerStageSpec(name="busway", loss_quadratic=0.005, heats_hall=True, level="pdu"),
            PowerStageSpec(name="rectifier", loss_constant=0.010, loss_linear=0.015, loss_quadratic=0.013),
            _TRANSFORMER,
        ),
        "frontier": (
            PowerStageSpec(
                name="sivoc", efficiency=0.98, unit_overhead_w=13.0, unit_peak_w=2_704.26, heats_hall=True, level="rack"
            ),
            PowerStageSpec(
                name="rectifier", efficiency=0.96, unit_overhead_w=17.0, unit_peak_w=11_340.9, heats_hall=True,
                level="rack",
            ),
        ),
    }
)  # fmt: skip
"""Ready-made chains, from the servers up. double_conversion: PDU with transformer, online UPS (Rasmussen, APC white
paper 113). 380v_dc: one rectifier before a DC bus, 96.0 % at half load (Rasmussen and Spitaels, APC white paper 127;
Ton, Fortenbery and Tschudi, LBNL 2008). frontier: a SIVOC converter for each server of 2.7 kW behind one rectifier
for four (Brewer et al., SC 2024)."""


def _chosen_stages(data: dict[str, Any]) -> tuple[PowerStageSpec, ...]:
    """Return the stages of the chain named, where none are listed."""
    return CHAINS[data.get("chain") or "double_conversion"]


class PowerChainSpec(SpecModel):
    """Stages in order from the servers up to the meter; by default those of a double-conversion UPS chain."""

    chain: Literal["double_conversion", "380v_dc", "frontier"] | None = None
    """A ready-made chain; None: as `stages` says, or double_conversion."""
    stages: tuple[PowerStageSpec, ...] = Field(default_factory=_chosen_stages)
    """From the servers up to the meter; left out: those of `chain`; an empty list means no losses. Without a stage
    that carries cooling, the plant is fed at the meter."""
    tree: PowerTreeSpec | None = None
    """Which PDU feeds which racks, with ratings and budgets; None: one hall."""
    auxiliary_power_w: PowerW = Field(default=0.0, ge=0)
    """Constant facility load that is neither IT nor cooling (lighting, offices), at the meter."""
    budget_w: PowerW | None = Field(default=None, gt=0)
    """What all IT equipment together may draw, for policies that keep to it; None: no budget."""
    cap_latency_s: DurationS = Field(default=0.0, ge=0)
    """From the decision on a power cap until the devices keep to it."""
    telemetry_interval_s: DurationS = Field(default=0.0, ge=0)
    """How often policies see the powers, 0.1 s or more; 0: whenever they change."""

    @field_validator("telemetry_interval_s")
    @classmethod
    def _no_flood(cls, interval_s: float) -> float:
        if 0.0 < interval_s < _LEAST_TELEMETRY_S:
            hint = "0 is whenever powers change"
            raise FieldError(FieldIssue(f"{interval_s:g} s", f"0 or at least {_LEAST_TELEMETRY_S:g} s", hint))
        return interval_s

    @field_validator("stages")
    @classmethod
    def _chain_or_stages(
        cls, stages: tuple[PowerStageSpec, ...], info: ValidationInfo
    ) -> tuple[PowerStageSpec, ...]:
        chain = info.data.get("chain")
        if chain is not None and stages != CHAINS[chain]:
            hint = "leave out `chain`, or `stages`"
            raise FieldError(FieldIssue(f"{len(stages)} stages", f"those of the chain {chain!r}", hint))
        return stages

    @field_validator("stages")
    @classmethod
    def _levels_ascend(cls, stages: tuple[PowerStageSpec, ...]) -> tuple[PowerStageSpec, ...]:
        order = ("rack", "pdu", "hall")
        highest, issues = 0, []
        for i, stage in enumerate(stages):
            if order.index(stage.level) < highest:
                expected = f"{order[highest]!r} or above, as the stage before it"
                issues.append(
                    FieldIssue(repr(stage.level), expected, "stages go from the servers up", (i, "level"))
                )
            highest = max(highest, order.index(stage.level))
            if stage.level != "hall" and stage.carries_cooling:
                hint = "cooling is fed behind the PDUs"
                issues.append(
                    FieldIssue(repr(stage.level), "'hall' where cooling is carried", hint, (i, "level"))
                )
        if issues:
            raise FieldError(*issues)
        return stages

    @field_validator("stages")
    @classmethod
    def _distinct_names(cls, stages: tuple[PowerStageSpec, ...]) -> tuple[PowerStageSpec, ...]:
        refuse_alike([stage.name for stage in stages], "a stage name of its own", at="name")
        return stages

    @field_validator("stages")
    @classmethod
    def _cooling_joins_once(cls, stages: tuple[PowerStageSpec, ...]) -> tuple[PowerStageSpec, ...]:
        carries = [stage.carries_cooling for stage in stages]
        joined = carries.index(True) if True in carries else len(carries)
        issues = [
            FieldIssue(
                "true", "false", "a stage that carries cooling stands outside the hall", (i, "heats_hall")
            )
            for i, stage in enumerate(stages)
            if stage.heats_hall and stage.carries_cooling
        ]
        issues += [
            FieldIssue(
                "false",
                "true",
                f"cooling joins at stage {stages[joined].name!r}, and all later stages carry it",
                (i, "carries_cooling"),
            )
            for i in range(joined, len(carries))
            if not carries[i]
        ]
        if issues:
            raise FieldError(*issues)
        return stages
