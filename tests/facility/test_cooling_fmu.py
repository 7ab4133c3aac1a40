"""A cooling plant in an FMU: run only by leave, refused with words, and the same numbers as its source says."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dcsim.errors import MissingExtraError, ScenarioError, SimulationError
from dcsim.facility.cooling_plant import CoolingPlant, Outdoors, PlantLoad
from dcsim.facility.plant_build import build_cooling_plant
from dcsim.spec.cooling import CoolingSpec

GUID = "{5a1d1b4e-0000-4000-8000-000000000001}"
VARIABLES = (
    ("heat_w", "input", 'start="0"'),
    ("wet_bulb_deg_c", "input", 'start="0"'),
    ("compressor_w", "output", 'start="0"'),
    ("der(compressor_w)", "local", 'derivative="3"'),
    ("pump_w", "output", ""),
    ("free_fraction", "output", ""),
)
NAMES = ("heat_w", "wet_bulb_deg_c", "compressor_w", "pump_w", "free_fraction")


def description() -> str:
    scalars = "".join(
        f'<ScalarVariable name="{name}" valueReference="{ref}" causality="{kind}" variability="continuous"'
        f"{initial(kind, name)}><Real {more}/></ScalarVariable>"
        for ref, (name, kind, more) in enumerate(VARIABLES)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<fmiModelDescription fmiVersion="2.0" modelName="plant" guid="{GUID}" numberOfEventIndicators="0">'
        '<ModelExchange modelIdentifier="plant"/>'
        '<CoSimulation modelIdentifier="plant" canHandleVariableCommunicationStepSize="true"/>'
        f"<ModelVariables>{scalars}</ModelVariables>"
        '<ModelStructure><Outputs><Unknown index="3"/><Unknown index="5"/><Unknown index="6"/></Outputs>'
        '<Derivatives><Unknown index="4"/></Derivatives>'
        '<InitialUnknowns><Unknown index="4"/><Unknown index="5"/><Unknown index="6"/></InitialUnknowns>'
        "</ModelStructure></fmiModelDescription>"
    )


def initial(kind: str, name: str) -> str:
    if kind == "input":
        return ""
    return ' initial="exact"' if name == "compressor_w" else ' initial="calculated"'


def spec(**more: Any) -> CoolingSpec:
    return CoolingSpec(plant="fmu", fmu={"path": "plant.fmu", **more})


def load(heat: list[float]) -> PlantLoad:
    full = np.ones(len(heat))
    return PlantLoad(np.array(heat), full, 24.0 * full, full)


def outdoors(wet: list[float]) -> Outdoors:
    full = np.ones(len(wet))
    return Outdoors(np.array(wet) + 4.0, np.array(wet), 0.005 * full, 101_325.0 * full)


@dataclass
class StandIn:
    """Enough of fmpy: answers by a function of the inputs held in the middle of each interval."""

    answers: dict[str, Any]
    version: str = "2.0"
    calls: list[dict[str, Any]] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        module = ModuleType("fmpy")
        module.__dict__.update(read_model_description=self.describe, simulate_fmu=self.simulate)
        patch.setitem(sys.modules, "fmpy", module)

    def describe(self, path: str) -> Any:
        variables = [type("Variable", (), {"name": name}) for name in NAMES]
        return type("Description", (), {"fmiVersion": self.version, "modelVariables": variables})

    def simulate(self, path: str, **options: Any) -> Any:
        self.calls.append(options)
        times = np.arange(0.0, options["stop_time"] + 1.0, options["output_interval"])
        given = options["input"]
        rows = np.clip(2 * (times // (2 * options["output_interval"])).astype(int), 0, len(given) - 1)
        result = np.zeros(len(times), dtype=[("time", float), *((name, float) for name in options["output"])])
        result["time"] = times
        for name in options["output"]:
            result[name] = self.answers[name](given[rows])
        return result


GOOD = {
    "compressor_w": lambda given: given["heat_w"] / 4.0,
    "pump_w": lambda given: 0.01 * given["heat_w"],
    "free_fraction": lambda given: np.where(given["wet_bulb_deg_c"] < 5.0, 1.0, 0.0),
}


def plant_of(tmp_path: Path, patch: pytest.MonkeyPatch, stand_in: StandIn, **more: Any) -> CoolingPlant:
    (tmp_path / "plant.fmu").write_bytes(b"a unit")
    stand_in.install(patch)
    return build_cooling_plant(spec(**more), 1e6, base_dir=tmp_path, allow_fmu=True)


def test_native_code_runs_only_by_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plant.fmu").write_bytes(b"a unit")
    stand_in = StandIn(GOOD)
    stand_in.install(monkeypatch)
    with pytest.raises(
        ScenarioError, match=r"cooling\.fmu\.path: 'plant\.fmu', an FMU -> expected leave"
    ) as caught:
        build_cooling_plant(spec(), 1e6, base_dir=tmp_path)
    assert "native code" in str(caught.value)
    assert not stand_in.calls


def test_without_fmpy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plant.fmu").write_bytes(b"a unit")
    monkeypatch.setitem(sys.modules, "fmpy", None)  # importing it now fails
    with pytest.raises(MissingExtraError, match=r"dcsim\[fmi\]"):
        build_cooling_plant(spec(), 1e6, base_dir=tmp_path, allow_fmu=True)


@pytest.mark.parametrize(
    "path", ["../plant.fmu", "nothing.fmu", "/etc/hostname", "http://example.org/plant.fmu"]
)
def test_a_unit_outside_the_scenarios_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (tmp_path / "plant.fmu").write_bytes(b"a unit")
    StandIn(GOOD).install(monkeypatch)
    with pytest.raises(ScenarioError):
        build_cooling_plant(spec(path=path), 1e6, base_dir=folder, allow_fmu=True)


def test_answers_become_a_balanced_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = StandIn(GOOD)
    plant = plant_of(tmp_path, monkeypatch, stand_in)
    output = plant.operate(load([1e5, 8e5, 4e5]), outdoors([10.0, 2.0, 7.0]))
    np.testing.assert_allclose(output.compressor_w, [2.5e4, 2e5, 1e5])
    np.testing.assert_allclose(output.pump_w, [1e3, 8e3, 4e3])
    np.testing.assert_allclose(output.free_fraction, [0.0, 1.0, 0.0])
    np.testing.assert_allclose(output.rejected_w, np.array([1e5, 8e5, 4e5]) * 1.26)
    assert stand_in.calls[0]["fmi_type"] == "CoSimulation"
    assert set(stand_in.calls[0]["input"].dtype.names) == {"time", "heat_w", "wet_bulb_deg_c"}
    assert len(plant.operate(load([]), outdoors([])).power_w) == 0


def test_names_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = StandIn(GOOD)
    plant = plant_of(
        tmp_path, monkeypatch, stand_in, outputs={"other_w": "pump_w"}, inputs={"it_fraction": "heat_w"},
        interface="model_exchange",
    )  # fmt: skip
    output = plant.operate(load([1e5]), outdoors([10.0]))
    assert float(output.other_w[0]) == 0.01  # 1 % of what its input got, the fraction 1
    assert stand_in.calls[0]["fmi_type"] == "ModelExchange"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"outputs": {"pump_w": "pumps"}},
            r"cooling\.fmu\.outputs\.pump_w: 'pumps' -> expected a variable of the FMU",
        ),
    ],
)
def test_names_that_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(ScenarioError, match=said):
        plant_of(tmp_path, monkeypatch, StandIn(GOOD), **more)


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioError, match=r"FMI 3\.0 -> expected FMI 2\.0"):
        plant_of(tmp_path, monkeypatch, StandIn(GOOD, version="3.0"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("compressor_w", -1.0), ("pump_w", np.nan), ("free_fraction", 1.5), ("compressor_w", np.inf)],
)
def test_answers_that_no_plant_can_give_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    plant = plant_of(tmp_path, monkeypatch, StandIn({**GOOD, name: lambda given: np.full(len(given), value)}))
    with pytest.raises(SimulationError, match=f"{name} is"):
        plant.operate(load([1e5]), outdoors([10.0]))


def test_a_unit_that_fails_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = plant_of(
        tmp_path, monkeypatch, StandIn(dict.fromkeys(("compressor_w", "pump_w"), GOOD["pump_w"]))
    )
    with pytest.raises(SimulationError, match="the FMU failed"):
        plant.operate(load([1e5]), outdoors([10.0]))


@pytest.fixture(scope="module")
def real_unit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an FMU compiled from plant_unit.c."""
    compiler = shutil.which("cc")
    if importlib.util.find_spec("fmpy") is None or compiler is None or sys.platform != "linux":
        pytest.skip("needs fmpy, a C compiler and Linux")
    folder = tmp_path_factory.mktemp("unit")
    library = folder / "plant.so"
    source = Path(__file__).with_name("plant_unit.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, source], check=True)
    with zipfile.ZipFile(folder / "plant.fmu", "w") as unit:
        unit.writestr("modelDescription.xml", description())
        unit.write(library, "binaries/linux64/plant.so")
    return folder


@pytest.mark.parametrize("interface", ["co_simulation", "model_exchange"])
@pytest.mark.parametrize("settle_s", [60.0, 600.0, 36_000.0])
def test_a_real_unit_gives_what_its_source_says(real_unit: Path, interface: str, settle_s: float) -> None:
    """Its lag, solved by hand: each interval is held for 2 settle_s, and read in its middle."""
    about = spec(interface=interface, settle_s=settle_s)
    plant = build_cooling_plant(about, 1e6, base_dir=real_unit, allow_fmu=True)
    heat = [4e5, 8e5, 2e5]
    output = plant.operate(load(heat), outdoors([10.0, 2.0, 7.0]))
    lag, expected = 0.0, []
    for watts in heat:
        for _ in range(2):
            lag += (watts / 4.0 - lag) * -np.expm1(-settle_s / 600.0)
            expected.append(lag)
    np.testing.assert_allclose(output.compressor_w, expected[::2], rtol=1e-3)
    np.testing.assert_allclose(output.pump_w, 0.01 * np.array(heat))
    np.testing.assert_array_equal(output.free_fraction, [0.0, 1.0, 0.0])
    again = plant.operate(load(heat), outdoors([10.0, 2.0, 7.0]))
    np.testing.assert_array_equal(output.compressor_w, again.compressor_w)
