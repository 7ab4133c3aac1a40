"""Published tables, in small, become profiles: step times by hand, and nothing filled in that they do not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcsim.errors import InputError, ProfileError
from dcsim.facility.hardware import CATALOGUE
from dcsim.simulation import simulate
from dcsim.spec.scenario import Scenario
from dcsim.workload.cost import step_cost
from dcsim.workload.profile import CostProfile
from dcsim.workload.profile_store import load_profile
from trainers.__main__ import main
from trainers.fit import Sample
from trainers.imports.knots import leave_one_out, measured_surface
from trainers.imports.zeus import SAMPLES_PER_EPOCH

GAVEL = {
    "v100": {
        "('LM (batch size 5)', 1)": {"null": 100.0},
        "('LM (batch size 5)', 2)": {"null": 160.0, "('LM (batch size 5)', 2)": [1.0, 1.0]},
        "('LM (batch size 10)', 1)": {"null": 50.0},
        "('LM (batch size 20)', 1)": {"null": 0.0},
        "('A3C', 1)": {"null": 4.0},
    },
    "v100_unconsolidated": {"('LM (batch size 5)', 2)": {"null": 40.0}},
}
POLLUX = "placement,local_bsz,step_time,sync_time\n1,4,0.5,0.1\n2,4,0.75,0.2\n1,8,1.0,0.1\n11,4,3.0,2.0\n"
VTRAIN = """\ufeff# GPUs,global batch,micro batch,hidden size,attention heads,# layers,sequence length,tensor parallelism,data parallelism,pipeline parallelism,iteration time (ms)
2,16,8,1024,16,24,1024,1,2,1,400
2,16,4,1024,16,24,1024,1,2,1,500
2,32,8,1024,16,24,1024,1,2,1,700
2,16,8,1024,16,24,1024,2,1,1,300
4,16,8,1024,16,24,1024,2,2,1,250
"""
ZEUS = """dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power
cifar100,net,1024,adam,100,40,90
cifar100,net,1024,adam,250,24.5,200
cifar100,net,2048,adam,250,25,180
elsewhere,net,16,adam,250,25,180
"""


def imported(folder: Path, source: str, *options: str) -> dict[str, CostProfile]:
    """Import by the command and return the profiles that it wrote."""
    out = folder / "out"
    assert main(["import", source, *options, "--out", str(out)]) == 0
    return {path.stem: load_profile(path)[0] for path in sorted(out.glob("*.json"))}


def times(profile: CostProfile) -> dict[tuple[int, int, str], float]:
    return {(p.devices, p.batch_per_device, p.mode): p.step_time_s for p in profile.points}


@pytest.fixture
def gavel(tmp_path: Path) -> dict[str, CostProfile]:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(GAVEL))
    return imported(tmp_path, "gavel", str(path))


def test_gavel_steps_take_scale_factor_over_summed_throughput(gavel: dict[str, CostProfile]) -> None:
    lm = gavel["gavel-lm-v100"]
    assert times(lm) == {(1, 5, "jit"): 0.01, (1, 10, "jit"): 0.02, (2, 5, "jit"): 2 / 160}
    assert (lm.origin, lm.device, lm.flops_per_sample) == ("imported", "V100", None)
    assert lm.collectives.all_reduce_bytes == 4 * (lm.parameters or 0) > 0
    assert {p.steps for p in lm.points} == {p.step_time_low_s for p in lm.points} == {None}


def test_gavel_says_what_it_left_out_and_does_not_know(gavel: dict[str, CostProfile]) -> None:
    a3c = gavel["gavel-a3c-v100"]
    assert (a3c.parameters, times(a3c)) == (None, {(1, 1, "jit"): 0.25})
    said = " ".join(a3c.provenance.warnings)
    assert "states no batch" in said
    assert "1 rates of gangs over several servers, 1 of kinds that did not fit, 1 of pairs" in said
    assert "MIT" in a3c.provenance.dataset
    assert "table.json sha256 " in a3c.provenance.dataset


def test_a_profile_runs_on_its_device_and_is_refused_elsewhere(
    gavel: dict[str, CostProfile], tmp_path: Path
) -> None:
    lm = gavel["gavel-lm-v100"]
    assert step_cost(lm, CATALOGUE["V100"], 1, 10).compute_s == pytest.approx(0.02, rel=0.2)
    with pytest.raises(ProfileError, match=r"flops_per_sample: not known -> expected jobs on V100 only"):
        step_cost(lm, CATALOGUE["A100-80"], 1, 10)
    scenario = Scenario.model_validate(
        {
            "name": "imported",
            "cluster": {"racks": [{"name": "r", "servers": [{"count": 1, "accelerator": "V100", "accelerators": 2}]}]},
            "workload": {"kind": "generated", "jobs": 2, "mix": [{"profile": "lm"}]},
            "profiles": {"lm": "out/gavel-lm-v100.json"},
        }
    )  # fmt: skip
    result = simulate(scenario, base_dir=tmp_path)
    assert any("taken over from a table" in text for text in result.warnings)


def test_pollux_takes_placements_on_one_server(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/placements.csv").write_text(POLLUX)
    bert = imported(tmp_path, "pollux", str(tmp_path))["pollux-bert-t4"]
    assert times(bert) == {(1, 4, "jit"): 0.5, (1, 8, "jit"): 1.0, (2, 4, "jit"): 0.75}
    assert bert.parameters == 110_000_000
    assert "left out of the file: 1 step times of gangs over several servers" in bert.provenance.warnings


def test_vtrain_takes_one_kind_of_parallelism_and_the_fastest_micro_batch(tmp_path: Path) -> None:
    path = tmp_path / "single.csv"
    path.write_text(VTRAIN)
    (profile,) = imported(tmp_path, "vtrain", str(path)).values()
    assert times(profile) == {(2, 8, "jit"): 0.4, (2, 16, "jit"): 0.7, (2, 8, "tensor"): 0.3}
    assert (profile.fit.mode, profile.device) == ("jit", "A100-80")
    assert any("1 rows of several kinds" in text for text in profile.provenance.warnings)


def test_zeus_steps_are_an_epoch_over_its_batches_at_the_highest_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary_power_v100.csv"
    path.write_text(ZEUS)
    (profile,) = imported(tmp_path, "zeus", str(path)).values()
    # 50,000 images are 48.8 batches of 1,024 and 24.4 of 2,048.
    assert SAMPLES_PER_EPOCH["cifar100"].count == 50_000
    assert times(profile) == {(1, 1024, "jit"): 24.5 / 49, (1, 2048, "jit"): 1.0}
    assert (profile.energy.power_w, profile.energy.energy_per_step_j) == (180.0, 180.0)


def test_zeus_takes_samples_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text(ZEUS)
    options = ("--device", "A40", "--samples-per-epoch", "elsewhere=400")
    profiles = imported(tmp_path, "zeus", str(path), *options)
    assert times(profiles["zeus-net-elsewhere-adam-a40"]) == {(1, 16, "jit"): 1.0}


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(GAVEL))
    outs = [tmp_path / name for name in ("a", "b")]
    for out in outs:
        assert main(["import", "gavel", str(path), "--out", str(out)]) == 0
    assert [p.read_bytes() for p in sorted(outs[0].iterdir())] == [
        p.read_bytes() for p in sorted(outs[1].iterdir())
    ]


def test_leave_one_out_sees_what_is_not_linear() -> None:
    """By hand: 2.0 between 1.0 and 5.0 is predicted as 3.0; on two devices likewise, and two between one and three."""
    samples = [
        Sample(devices, batch, time_s)
        for devices in (1, 2, 3)
        for batch, time_s in ((1, 1.0), (2, 2.0), (3, 5.0))
    ]
    assert leave_one_out(samples) == [0.5, 0.5, 0.5, 0.0, 0.0, 0.0]
    surface = measured_surface(samples, "jit")
    assert surface is not None
    assert (surface.interval_relative, surface.coverage) == (0.5, 6 / 7)


def test_too_few_points_have_no_surface() -> None:
    assert measured_surface([Sample(1, 1, 1.0), Sample(1, 2, 2.0)], "jit") is None


BAD = [
    ("gavel", "t.json", b"{", "Expecting property name"),
    ("gavel", "t.json", b"[" * 100_000, "nesting"),
    ("gavel", "t.json", b'{"v100": {"(\'a\', 1)": {"null": -1}}}', "a rate >= 0"),
    ("gavel", "t.json", b'{"v100": {"(\'a\', 1)": {"null": NaN}}}', "finite"),
    ("gavel", "t.json", b'{"x9": {"(\'a\', 1)": {"null": 1}}}', "hardware catalogue"),
    ("vtrain", "t.csv", VTRAIN.replace("400", "-400").encode(), "t.csv:2: iteration time (ms)"),
    ("vtrain", "t.csv", VTRAIN.replace("2,16,8,1024,16,24,1024,1,2,1", "3,16,8,1024,16,24,1024,1,2,1").encode(), "product"),
    ("vtrain", "t.csv", (VTRAIN + VTRAIN.splitlines()[1]).encode(), "each configuration once"),
    ("vtrain", "t.csv", VTRAIN.replace("micro batch", "mikro batch").encode(), "unknown column"),
    ("vtrain", "t.csv", b"", "an empty file"),
    ("zeus", "v100.csv", ZEUS.replace("cifar100", "unknown").encode(), "--samples-per-epoch"),
    ("zeus", "v100.csv", ZEUS.replace("24.5", "nan").encode(), "v100.csv:3: time_per_epoch"),
    ("zeus", "other.csv", ZEUS.encode(), "say --device"),
    ("zeus", "v100.csv", ZEUS.encode("utf-16"), "UTF-16"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "name", "content", "said"), BAD)
def test_bad_tables_are_refused_and_nothing_is_written(
    source: str, name: str, content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / name, tmp_path / "out"
    path.write_bytes(content)
    assert main(["import", source, str(path), "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_device_that_the_table_has_not_is_refused(tmp_path: Path) -> None:
    from trainers.imports.gavel import read_gavel_models

    path = tmp_path / "table.json"
    path.write_text(json.dumps(GAVEL))
    with pytest.raises(InputError, match="no rates of K80"):
        read_gavel_models(path, device="K80")
