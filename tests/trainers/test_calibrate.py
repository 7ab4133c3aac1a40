"""Calibration chooses what to measure, fits what it may, says what it must, and never leaves half a profile."""

from __future__ import annotations

import getpass
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from dcsim.errors import InputError
from dcsim.workload.profile_store import builtin_profiles, load_profile, save_profile
from tests.trainers.readings import LAW, reading_of
from trainers import calibrate as calibrate_module
from trainers import settings as settings_module
from trainers.__main__ import main
from trainers.calibrate import CalibrationError, Settings, calibrate, calibrate_together
from trainers.claim import claimed
from trainers.devices import available_cores
from trainers.pool import WorkerPool
from trainers.show import describe
from trainers.worker import Reading, Request

pytest.importorskip("jax", reason="needs the extra train")

GIVEN = Settings("digits_mlp", devices=(1, 2), batches=(32, 64, 96, 128))
CHOSEN = Settings("digits_mlp", devices=(1, 2), batch_range=(32, 128))


class LawfulPool:
    """Stands in for the worker processes; remembers what it was asked."""

    asked: list[tuple[int, int, str]]
    stop_after: int = 10_000
    options: dict[str, Any]

    def __init__(self, *_: object, fresh: bool, freed_memory: str) -> None:
        self.fresh = fresh
        self.freed_memory = freed_memory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def measure(self, devices: int, request: Request) -> Reading:
        if len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append((devices, request.batch_per_device, request.mode))
        options = {
            key: value(devices, request) if callable(value) else value for key, value in self.options.items()
        }
        return reading_of(devices, request, **options)


@pytest.fixture
def lawful(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int, str]]]:
    """Replace workers by ones that obey LAW; returns what they are asked, in order."""

    def install(stop_after: int = 10_000, **options: Any) -> list[tuple[int, int, str]]:
        asked: list[tuple[int, int, str]] = []
        pool = type("Pool", (LawfulPool,), {"asked": asked, "stop_after": stop_after, "options": options})
        monkeypatch.setattr(calibrate_module, "WorkerPool", pool)
        for module in (calibrate_module, settings_module):
            monkeypatch.setattr(module, "available_cores", lambda: options.get("cores", 2))
        return asked

    return install


def quiet(_: str) -> None:
    """Progress for nobody."""


def files_of(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_law_is_found_and_held_out_points_agree(lawful: Any, tmp_path: Path) -> None:
    lawful()
    profile = calibrate(GIVEN, tmp_path, quiet)
    fit = profile.fit
    assert (fit.overhead_s, fit.per_sample_s, fit.per_device_s) == pytest.approx(LAW, rel=1e-9)
    assert (fit.mode, fit.devices_min, fit.devices_max) == ("jit", 1, 2)
    assert (fit.batch_per_device_min, fit.batch_per_device_max) == (32, 128)
    assert fit.held_out_error_relative == pytest.approx(0, abs=1e-9)
    assert len(profile.held_out) == 2
    assert profile.flops_per_sample == 1000
    assert profile.memory_bytes_per_device == 158
    assert len(profile.points) == 16
    assert load_profile(tmp_path / "digits_mlp.json")[0] == profile
    assert files_of(tmp_path) == ["digits_mlp.json"]


def test_chosen_points_give_a_surface_start_up_operators_and_collectives(lawful: Any, tmp_path: Path) -> None:
    asked = lawful()
    profile = calibrate(CHOSEN, tmp_path, quiet)
    assert len(set(asked)) == len(asked) <= 12 + 2
    assert {each for each in asked if each[2] == "pmap"} == {(1, 128, "pmap"), (2, 128, "pmap")}
    surface = profile.surface
    assert surface is not None
    for knot in surface.knots:
        law_s = LAW.predict_s(knot.devices, knot.batch_per_device)
        assert knot.step_time_s == pytest.approx(law_s, rel=0.01)
    assert surface.regimes == ()
    start = profile.startup
    assert start is not None
    assert (start.process_s, start.data_s) == (1.0, 0.25)
    assert 0.5 < start.compile_s < 0.625
    assert [(each.kind, each.flops_per_sample) for each in profile.operators] == [("matmul", 1000.0)]
    assert [(each.mode, each.devices, each.size_bytes) for each in profile.collectives.compiled] == [
        ("jit", 2, 404.0),
        ("pmap", 2, 404.0),
    ]
    assert "--batch 32..128" in profile.provenance.command
    assert profile.provenance.device_kind == "cpu"


def test_start_up_is_that_of_the_fewest_devices_and_leaves_out_what_any_step_takes(
    lawful: Any, tmp_path: Path
) -> None:
    # Three steps that warm up take 3 x LAW and, on one device, 0.05 s more; two devices compile for 60 s.
    lawful(
        compile_s=lambda devices, request: 0.5 if (devices, request.mode) == (1, "jit") else 60.0,
        warm_up_s=lambda devices, request: 3 * LAW.predict_s(devices, request.batch_per_device) + 0.05,
    )
    start = calibrate(GIVEN, tmp_path, quiet).startup
    assert start is not None
    assert start.compile_s == pytest.approx(0.55)


def test_warm_up_steps_as_fast_as_others_are_no_start_up(lawful: Any, tmp_path: Path) -> None:
    lawful(warm_up_s=1e-6)
    start = calibrate(GIVEN, tmp_path, quiet).startup
    assert start is not None
    assert start.compile_s == 0.5


def test_a_draw_is_energy_over_the_time_of_the_same_steps(lawful: Any, tmp_path: Path) -> None:
    # A few slow steps: the mean is 1.5 times the median.
    lawful(energy_j=0.6, mean_factor=1.5)
    energy = calibrate(GIVEN, tmp_path, quiet).energy
    largest_s = LAW.predict_s(2, 128)
    assert energy.energy_per_step_j == 0.6
    assert energy.power_w == pytest.approx(0.6 / (1.5 * largest_s))


def test_pmap_alone_is_fitted_as_pmap(lawful: Any, tmp_path: Path) -> None:
    lawful()
    profile = calibrate(replace(GIVEN, modes=("pmap",)), tmp_path, quiet)
    assert profile.fit.mode == "pmap"
    assert profile.fit.overhead_s == pytest.approx(1.1 * LAW.overhead_s)


@pytest.mark.parametrize("settings", [GIVEN, CHOSEN])
def test_more_devices_than_cores_are_kept_but_not_fitted(
    lawful: Any, tmp_path: Path, settings: Settings
) -> None:
    lawful(cores=2)
    profile = calibrate(replace(settings, devices=(1, 2, 8)), tmp_path, quiet)
    assert {point.devices for point in profile.points} == {1, 2, 8}
    assert profile.fit.devices_max == 2
    assert profile.surface is not None
    assert {knot.devices for knot in profile.surface.knots} == {1, 2}
    assert "8 devices shared 2 cores: points not fitted" in profile.provenance.warnings


def test_only_more_devices_than_cores_are_refused(lawful: Any, tmp_path: Path) -> None:
    lawful(cores=1)
    with pytest.raises(InputError, match="at most 1"):
        calibrate(replace(GIVEN, devices=(2, 4)), tmp_path, quiet)


def test_noisy_points_are_refused_unless_forced_and_then_named(lawful: Any, tmp_path: Path) -> None:
    lawful(spread=0.4, taken=0.5)
    with pytest.raises(CalibrationError, match="noisy"):
        calibrate(GIVEN, tmp_path, quiet)
    assert not (tmp_path / "digits_mlp.json").exists()
    profile = calibrate(GIVEN, tmp_path, quiet, force=True)
    assert any("split-half spread 40%" in text for text in profile.provenance.warnings)
    assert any("other processes took 50%" in text for text in profile.provenance.warnings)


def test_quiet_points_of_a_refused_calibration_are_kept(lawful: Any, tmp_path: Path) -> None:
    lawful(spread=lambda devices, _: 0.4 if devices == 2 else 0.01)
    with pytest.raises(CalibrationError, match="noisy"):
        calibrate(GIVEN, tmp_path, quiet)
    asked = lawful()
    calibrate(GIVEN, tmp_path, quiet)
    assert {devices for devices, _, _ in asked} == {2}


def test_a_host_that_slows_down_is_seen_by_the_anchor_and_corrected(lawful: Any, tmp_path: Path) -> None:
    slow = {(1, 64, "jit"), (2, 96, "jit")}
    lawful(slower=lambda devices, each: 1.5 if (devices, each.batch_per_device, each.mode) in slow else 1.0)
    profile = calibrate(GIVEN, tmp_path, quiet)
    assert profile.surface is not None
    for knot in profile.surface.knots:
        law_s = LAW.predict_s(knot.devices, knot.batch_per_device)
        assert knot.step_time_s == pytest.approx(law_s, rel=0.01)
    assert any("drifted" in text for text in profile.provenance.warnings)
    measured = {(point.devices, point.batch_per_device, point.mode): point for point in profile.points}
    # The point itself stays as it was measured.
    assert measured[1, 64, "jit"].step_time_s == pytest.approx(1.5 * LAW.predict_s(1, 64))


@pytest.mark.parametrize("settings", [GIVEN, CHOSEN])
@pytest.mark.parametrize("finished", [1, 5])
def test_an_interrupted_calibration_goes_on_as_it_would_have(
    lawful: Any, tmp_path: Path, settings: Settings, finished: int
) -> None:
    whole = lawful()
    old = calibrate(settings, tmp_path, quiet)
    first = lawful(stop_after=finished)
    with pytest.raises(KeyboardInterrupt):
        calibrate(settings, tmp_path, quiet)
    assert load_profile(tmp_path / "digits_mlp.json")[0] == old
    rest = lawful()
    new = calibrate(settings, tmp_path, quiet)
    assert len(first) == finished
    assert [*first, *rest] == whole
    assert new.surface == old.surface
    assert files_of(tmp_path) == ["digits_mlp.json"]


def test_other_precisions_are_profiles_of_their_own(lawful: Any, tmp_path: Path) -> None:
    lawful()
    options = ["--precision", "bf16,fp32", "--batch", "32,64,128", "--out", str(tmp_path)]
    assert main(["calibrate", "digits_mlp", *options]) == 0
    profiles = {path.stem: load_profile(path)[0] for path in tmp_path.glob("*.json")}
    assert {name: profile.precision for name, profile in profiles.items()} == {
        "digits_mlp": "fp32",
        "digits_mlp_bf16": "bf16",
    }
    assert all(profile.name == name for name, profile in profiles.items())


@pytest.mark.slow  # starts JAX twice
def test_each_point_has_a_process_of_its_own_where_that_is_asked_for() -> None:
    said: list[str] = []
    with WorkerPool(0, "cpu", said.append, fresh=True) as pool:
        readings = [
            pool.measure(1, Request("linear", batch, "jit", anchor=(10, "jit"), steps=12, budget_s=1.0))
            for batch in (10, 20)
        ]
    assert len(said) == 2
    assert all(reading.anchor == (10, "jit") and reading.anchor_s > 0.0 for reading in readings)


def test_a_worker_that_fails_says_how() -> None:
    with (
        WorkerPool(0, "cpu", quiet) as pool,
        pytest.raises(CalibrationError, match="expected one of linear"),
    ):
        pool.measure(1, Request("no_such_model", 8, "jit"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A real calibration of the linear model, killed after its first measurement; (its folder, its worker)."""
    folder = tmp_path_factory.mktemp("profiles")
    counts = ",".join(str(count) for count in (1, 2) if count <= available_cores())
    command = [
        sys.executable, "-m", "trainers", "calibrate", "linear", "--devices", counts, "--batch", "10,100", "--modes", "jit",
        "--steps", "12", "--budget-s", "0.1", "--max-spread", "1000", "--force", "--out", str(folder),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if " ms" in line:
                break
        # The worker of that point has ended, and that of the next one may not have begun.
        children = ""
        while not children and process.poll() is None:
            ask = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
            children = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        os.kill(process.pid, signal.SIGKILL)
        # Whatever still holds the pipe keeps this waiting: nothing does.
        process.stdout.read()
    return folder, int(children.split()[0])


@pytest.fixture(scope="module")
def resumed(killed: tuple[Path, int]) -> tuple[Path, list[str]]:
    """The same calibration, gone on with; (its profile, what it said)."""
    folder, _ = killed
    devices = tuple(count for count in (1, 2) if count <= available_cores())
    said: list[str] = []
    # However noisy the point that was kept: with time left, a noisy one is timed again at once.
    settings = Settings(
        "linear", devices, batches=(10, 100), modes=("jit",), steps=12, budget_s=0.1, max_spread=1000.0
    )
    calibrate(settings, folder, said.append, force=True)
    return folder / "linear.json", said


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end workers")
def test_kill_9_loses_one_measurement_at_most_and_leaves_no_worker(
    killed: tuple[Path, int], resumed: tuple[Path, list[str]]
) -> None:
    _, worker = killed
    profile, said = resumed
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert any("points kept from an interrupted calibration" in line for line in said)
    again = {line.split()[1] for line in said if "once more" in line}
    measured = {line.split(": ")[1] for line in said if line.endswith(" ms")}
    # One was finished when it was killed; a second may have been by then. What the host was slow for is timed again.
    assert (
        len({point for point in measured if point.split()[-1] not in again})
        <= len(load_profile(profile)[0].points) - 1
    ), said
    assert files_of(profile.parent) == ["linear.json"]


def test_a_real_measurement_is_whole_and_names_nobody(resumed: tuple[Path, list[str]]) -> None:
    path, _ = resumed
    profile, _ = load_profile(path)
    assert profile.parameters == 11
    assert profile.collectives.all_reduce_bytes == 4 * 11 + 4
    assert profile.checkpoint_bytes == 4 * 11 + 4  # and the number of updates
    assert profile.input_bytes_per_sample == 44
    for point in profile.points:
        assert point.steps is not None
        assert point.steps >= 12
        assert point.step_time_low_s is not None
        assert point.step_time_high_s is not None
        assert point.step_time_low_s <= point.step_time_s <= point.step_time_high_s
        assert point.compile_time_s
        assert point.flops_per_device
    assert (profile.energy.energy_per_step_j is None) == profile.energy.method.startswith("not measured")
    assert profile.startup is not None
    assert min(profile.startup.process_s, profile.startup.data_s, profile.startup.compile_s) > 0
    assert {"jax", "jaxlib", "flax", "optax", "numpy"} <= set(profile.provenance.packages)
    text = path.read_text()
    assert str(Path.cwd()) not in text
    assert platform.node() not in text or len(platform.node()) < 4
    assert f"/{getpass.getuser()}" not in text


def test_a_description_has_a_table_of_each_part(lawful: Any, tmp_path: Path) -> None:
    lawful()
    lines = describe(calibrate(CHOSEN, tmp_path, quiet)).splitlines()
    text = "\n".join(lines)
    assert "404 B a step" in text
    for title in (
        "points:",
        "start-up:",
        "operators, a sample:",
        "surface (jit), 90% of new measurements within",
    ):
        assert title in text
    table = lines[lines.index("points:") + 1 : lines.index("points:") + 4]
    assert len({len(line) for line in table}) == 1  # the last column ends in one place
    assert table[1].split()[:4] == ["jit", "1", "32", "1.320"]
    assert "  not known: faults" in lines  # and no column of dashes
    assert "  not known: efficiency" in lines


@pytest.mark.parametrize("name", ["digits_mlp", "tiny_transformer"])
def test_kept_profiles_are_sound(name: str) -> None:
    profile, _ = load_profile(builtin_profiles()[name])
    assert profile.name == name
    assert profile.parameters is not None
    assert profile.collectives.all_reduce_bytes == 4 * profile.parameters + 4
    # Adam keeps two moments beside each parameter, and a count of steps.
    assert profile.checkpoint_bytes == 3 * 4 * profile.parameters + 4
    assert {point.mode for point in profile.points} == {"pmap", "jit"}
    assert profile.fit.residual_relative < 0.15
    assert "/" not in json.dumps(profile.provenance.command)


def of_precisions(factor: Callable[[str], float], lawful: Any, stop_after: int = 10_000) -> list[str]:
    """Install workers whose steps in each precision are slower by that factor; returns the precisions asked, in order."""
    asked: list[str] = []

    def own_factor(_: int, request: Request) -> float:
        asked.append(request.precision)
        return factor(f"{request.precision} {request.batch_per_device}")

    lawful(stop_after, own_factor=own_factor)
    return asked


def test_precisions_are_designed_together_and_the_least_known_goes_first(lawful: Any, tmp_path: Path) -> None:
    # bf16 jumps above 77 samples, which takes points to close in on; fp32 obeys the law.
    asked = of_precisions(lambda each: 1.8 if each.startswith("bf16") and int(each[5:]) > 77 else 1.0, lawful)
    both = [replace(CHOSEN, devices=(1,), precision="fp32"), replace(CHOSEN, devices=(1,), precision="bf16")]
    plain, low = calibrate_together(both, tmp_path, quiet)
    assert asked.count("bf16") > asked.count("fp32")
    assert asked.index("bf16") < len(asked) - 1 - asked[::-1].index("fp32"), "in turns"
    assert sorted(files_of(tmp_path)) == ["digits_mlp.json", "digits_mlp_bf16.json"]
    assert (plain.precision, low.precision) == ("fp32", "bf16")
    assert low.surface is not None
    assert len(low.surface.regimes) == 1


def test_precisions_that_were_interrupted_go_on_as_they_would_have(lawful: Any, tmp_path: Path) -> None:
    both = [replace(CHOSEN, devices=(1,), precision=each) for each in ("fp32", "bf16")]
    whole = of_precisions(lambda _: 1.0, lawful)
    calibrate_together(both, tmp_path / "whole", quiet)
    first = of_precisions(lambda _: 1.0, lawful, stop_after=7)
    with pytest.raises(KeyboardInterrupt):
        calibrate_together(both, tmp_path / "broken", quiet)
    rest = of_precisions(lambda _: 1.0, lawful)
    calibrate_together(both, tmp_path / "broken", quiet)
    assert first + rest == whole
    for name in ("digits_mlp.json", "digits_mlp_bf16.json"):
        one, other = (load_profile(tmp_path / folder / name)[0] for folder in ("whole", "broken"))
        assert one.points == other.points


def test_where_one_precision_is_noisy_none_is_written_and_the_quiet_points_are_kept(
    lawful: Any, tmp_path: Path
) -> None:
    both = [replace(GIVEN, precision=each) for each in ("fp32", "bf16")]
    lawful(spread=lambda _, request: 0.4 if request.precision == "bf16" else 0.01)
    with pytest.raises(CalibrationError, match="digits_mlp_bf16: 16 noisy points, profiles not written"):
        calibrate_together(both, tmp_path, quiet)
    assert not list(tmp_path.glob("*.json"))
    asked = of_precisions(lambda _: 1.0, lawful)
    calibrate_together(both, tmp_path, quiet)
    assert asked == ["bf16"] * 16


def test_two_calibrations_of_one_profile_do_not_write_into_each_other(lawful: Any, tmp_path: Path) -> None:
    asked = lawful()
    with (
        claimed(GIVEN.lock(tmp_path), "a test"),
        pytest.raises(InputError, match="another calibration writes there -> expected one at a time"),
    ):
        calibrate(GIVEN, tmp_path, quiet)
    assert asked == []
    assert files_of(tmp_path) == []
    calibrate(GIVEN, tmp_path, quiet)
    assert files_of(tmp_path) == ["digits_mlp.json"]


def test_a_profile_of_another_processor_is_shown_with_a_note(
    lawful: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lawful()
    own = calibrate(GIVEN, tmp_path, quiet)
    path = tmp_path / "digits_mlp.json"
    assert main(["show", str(path)]) == 0
    assert "another processor" not in capsys.readouterr().out
    foreign = own.provenance.model_copy(update={"host_cpu": "an abacus"})
    save_profile(own.model_copy(update={"provenance": foreign}), path)
    assert main(["show", str(path)]) == 0
    assert "measured on another processor, an abacus" in capsys.readouterr().out
