"""What a scenario says of the power chain between the meter and the servers."""

from __future__ import annotations

from pydantic import Field, field_validator

from dcsim.spec.model import FieldError, FieldIssue, SpecModel
from dcsim.spec.names import refuse_alike
from dcsim.spec.quantities import Name, Number, PowerW

__all__ = ["PowerChainSpec", "PowerStageSpec"]


class PowerStageSpec(SpecModel):
    """One conversion stage: P_in = P_out + rated * (c0 + c1 u + c2 u^2), u = P_out / rated."""

    name: Name
    """Unique."""
    rated_power_w: PowerW | None = Field(default=None, gt=0)
    """None: 1.25 times the stage's own output at the facility's peak IT power and design weather."""
    loss_constant: Number = Field(default=0.0, ge=0, le=0.5)
    """c0, fraction of the rating lost without load."""
    loss_linear: Number = Field(default=0.0, ge=0, le=0.5)
    """c1, fraction of the power carried."""
    loss_quadratic: Number = Field(default=0.0, ge=0, le=0.5)
    """c2, fraction of the rating lost at full load, beyond the other two."""
    heats_hall: bool = Field(default=False, strict=True)
    """Its losses are heat in the hall, for the cooling to remove; else they leave with outdoor air. Not for a
    stage that carries cooling."""
    carries_cooling: bool = Field(default=False, strict=True)
    """Cooling is fed at its output, so that its losses grow with the plant's power."""


class PowerChainSpec(SpecModel):
    """Stages in order from the servers up to the meter; the defaults are a double-conversion UPS chain."""

    stages: tuple[PowerStageSpec, ...] = (
        PowerStageSpec(
            name="pdu", loss_constant=0.002, loss_linear=0.005, loss_quadratic=0.008, heats_hall=True
        ),
        PowerStageSpec(name="ups", loss_constant=0.012, loss_linear=0.020, loss_quadratic=0.012),
        PowerStageSpec(name="transformer", loss_constant=0.003, loss_quadratic=0.008, carries_cooling=True),
    )
    """From the servers up to the meter; an empty list means no losses. Without a stage that carries
    cooling, the plant is fed at the meter."""
    auxiliary_power_w: PowerW = Field(default=0.0, ge=0)
    """Constant facility load that is neither IT nor cooling (lighting, offices), at the meter."""

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
