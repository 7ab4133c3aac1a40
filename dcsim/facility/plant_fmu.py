"""A cooling plant in a functional mock-up unit (FMI 2.0), run through fmpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.errors import MissingExtraError, Problem, ScenarioError, SimulationError
from dcsim.facility.air_handlers import AirHandlers
from dcsim.facility.cooling_plant import CoolingPlant, Outdoors, PlantLoad, PlantOutput, closed_output
from dcsim.spec.fmu import FMU_INPUTS, FMU_OUTPUTS, FmuSpec
from dcsim.spec.paths import resolve_data_path

__all__ = ["FmuPlant", "check_leave", "open_fmu"]

Floats = npt.NDArray[np.float64]

_INTERFACES = {"co_simulation": "CoSimulation", "model_exchange": "ModelExchange"}


@dataclass(frozen=True, slots=True)
class FmuPlant(CoolingPlant):
    """A plant whose powers an FMU computes; it starts anew at each call, so that equal calls give equal results.

    Within a call the intervals follow each other: each is held for twice `settle_s` and read in its middle, and
    whatever the unit remembers goes on from one to the next.
    """

    capacity_w: float
    handlers: AirHandlers
    path: Path
    interface: str
    """As fmpy calls it."""
    settle_s: float
    inputs: Mapping[str, str]
    """Variable of the unit for each of our quantities."""
    outputs: Mapping[str, str]

    def air_mover_w(self, hall_heat_w: Floats, flow_fraction: Floats) -> Floats:
        """Return (N,) fan power of the hall's air handlers, W; they are not in the unit."""
        return self.handlers.power_w(flow_fraction)

    def flow_for(self, hall_heat_w: Floats) -> Floats:
        """Return (N,) the flow that follows the heat."""
        return self.handlers.flow_for(hall_heat_w)

    def operate(self, load: PlantLoad, outdoors: Outdoors) -> PlantOutput:
        """Return what the unit answers. Raises `SimulationError` where it fails or answers what no plant can."""
        if load.heat_w.size == 0:
            return closed_output(load.heat_w, free_fraction=np.zeros(0))
        answers = self._answers(load, outdoors)
        for name, values in answers.items():
            most = 1.0 if name == "free_fraction" else np.inf
            if not bool(np.all((values >= 0.0) & (values <= most) & np.isfinite(values))):
                wrong = values[~((values >= 0.0) & (values <= most) & np.isfinite(values))][0]
                expected = "a fraction 0..1" if most == 1.0 else "a finite number >= 0"
                raise SimulationError(f"{self.path.name}: {name} is {wrong:g} -> expected {expected}")
        output = closed_output(
            load.heat_w, free_fraction=answers.pop("free_fraction", np.zeros_like(load.heat_w)), **answers
        )
        if not bool(np.all(output.rejected_w >= 0.0)):
            raise SimulationError(f"{self.path.name}: more heat is reused than there is")
        return output

    def _answers(self, load: PlantLoad, outdoors: Outdoors) -> dict[str, Floats]:
        """Return each output of the unit, (N,), by our name."""
        fmpy = _fmpy()
        steps = len(load.heat_w)
        given = {name: getattr(load if hasattr(load, name) else outdoors, name) for name in self.inputs}
        try:
            result = fmpy.simulate_fmu(
                str(self.path),
                fmi_type=self.interface,
                start_time=0.0,
                stop_time=2.0 * steps * self.settle_s,
                output_interval=self.settle_s,
                record_events=False,
                input=_held(given, self.inputs, steps, 2.0 * self.settle_s),
                output=list(self.outputs.values()),
            )
        except Exception as error:  # fmpy raises bare Exceptions
            raise SimulationError(f"{self.path.name}: the FMU failed: {error}") from error
        # The sample in the middle of each interval.
        rows = np.searchsorted(result["time"], (2.0 * np.arange(steps) + 0.5) * self.settle_s)
        return {
            name: np.asarray(result[variable][rows], dtype=np.float64)
            for name, variable in self.outputs.items()
        }


def check_leave(spec: FmuSpec, *, allowed: bool) -> None:
    """Refuse a unit that the one who runs the scenario does not let run.

    Raises:
        ScenarioError: not allowed.
    """
    if allowed:
        return
    hint = (
        "an FMU is native code with all your rights: allow it only where you trust its author"
        " (--allow-fmu, allow_fmu=True in Python)"
    )
    got, expected = f"{spec.path!r}, an FMU", "leave of the one who runs the scenario"
    raise _refused("cooling.fmu.path", got, expected, hint)


def open_fmu(
    spec: FmuSpec, capacity_w: float, handlers: AirHandlers, base_dir: Path, *, allowed: bool
) -> FmuPlant:
    """Return the plant of an FMU.

    Args:
        spec: what the scenario says of it.
        capacity_w: heat it can remove.
        handlers: of the hall.
        base_dir: folder of the scenario file.
        allowed: whether the one who runs the scenario lets it run native code.

    Raises:
        ScenarioError: not allowed, not found, or a name that is none of ours or none of the unit's.
        MissingExtraError: fmpy is not installed.
    """
    place = "cooling.fmu.path"
    check_leave(spec, allowed=allowed)
    path = resolve_data_path(base_dir, spec.path)
    known = _variables(path, place)
    inputs = _mapped(spec.inputs, FMU_INPUTS, known, "cooling.fmu.inputs")
    outputs = _mapped(spec.outputs, FMU_OUTPUTS, known, "cooling.fmu.outputs")
    return FmuPlant(
        capacity_w=capacity_w,
        handlers=handlers,
        path=path,
        interface=_INTERFACES[spec.interface],
        settle_s=spec.settle_s,
        inputs=inputs,
        outputs=outputs,
    )


def _fmpy() -> Any:  # noqa: ANN401  it ships no types
    try:
        import fmpy
    except ImportError as error:
        raise MissingExtraError("a cooling plant from an FMU", "fmi") from error
    return fmpy


def _variables(path: Path, place: str) -> tuple[str, ...]:
    """Return the names of the unit's variables; reads its description, runs nothing of it."""
    fmpy = _fmpy()
    try:
        description = fmpy.read_model_description(str(path))
    except Exception as error:
        raise _refused(place, f"{path.name}: {error}", "an FMU") from error
    if description.fmiVersion != "2.0":
        raise _refused(place, f"FMI {description.fmiVersion}", "FMI 2.0")
    return tuple(variable.name for variable in description.modelVariables)


def _mapped(
    written: Mapping[str, str], ours: tuple[str, ...], known: tuple[str, ...], place: str
) -> Mapping[str, str]:
    """Return the unit's variable for each of our quantities that it has; raises `ScenarioError`."""
    chosen = dict(written) or {name: name for name in ours if name in known}
    problems = [
        Problem(
            "scenario",
            None,
            f"{place}.{name}",
            repr(variable),
            f"a variable of the FMU: {', '.join(known[:20])}",
        )
        for name, variable in chosen.items()
        if variable not in known
    ]
    if not chosen:
        problems = [Problem("scenario", None, place, "none", f"variables of the FMU named {', '.join(ours)}")]
    if problems:
        raise ScenarioError(problems)
    return MappingProxyType({name: chosen[name] for name in ours if name in chosen})


def _held(
    given: Mapping[str, Floats], variables: Mapping[str, str], steps: int, length_s: float
) -> npt.NDArray[Any]:
    """Return inputs that are constant within each interval and jump between, as fmpy reads them."""
    signals = np.zeros(
        2 * steps, dtype=[("time", np.float64), *((name, np.float64) for name in variables.values())]
    )
    starts = length_s * np.arange(steps)
    signals["time"] = np.column_stack([starts, starts + length_s]).ravel()
    for name, variable in variables.items():
        signals[variable] = np.repeat(given[name], 2)
    return signals


def _refused(place: str, got: str, expected: str, hint: str = "") -> ScenarioError:
    return ScenarioError([Problem("scenario", None, place, got, expected, hint)])
